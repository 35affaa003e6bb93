#include "catalog/erase.h"

#include <stdlib.h>

#include "catalog/file_set.h"
#include "catalog/rehash.h"
#include "engine/engine.h"
#include "storage/buckets.h"

#define RACES_MAX 8

struct erasing {
    struct catalog *catalog;
    struct engine *engine;
    const struct catalog_dataset *dataset;
    struct lh_str column;
    const json_t *values;
    struct lh_str actor;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct lh_str *texts; /* keys that become hashes, ascending */
    size_t text_count;
    struct lh_str *sealed; /* hashes of those that only could not be seen any more, ascending */
    size_t sealed_count;
    int64_t key_count; /* of the values: hashes afterwards, or already */
};

/* What all records of the column name, whether it is still tombstoned or was lifted since. */
struct named {
    struct lh_str *texts; /* ascending */
    size_t text_count;
    struct lh_str *types; /* each once */
    size_t type_count;
};

static void add_type(struct named *named, struct lh_str type)
{
    for (size_t i = 0; i < named->type_count; i++)
        if (lh_str_equal(named->types[i], type))
            return;
    named->types[named->type_count++] = type;
}

static void add_named(struct named *named, const struct tombstone_record *record)
{
    if (record->key_count && record->type.len)
        add_type(named, record->type);
    for (size_t i = 0; i < record->key_count; i++)
        if (record->keys[i].form == TOMBSTONE_VALUE)
            named->texts[named->text_count++] = record->keys[i].text;
}

/* `type`: of the column now. */
static enum lh_code list_named(struct storage *storage, const struct catalog_dataset *dataset,
                               struct lh_str column, struct lh_str type, struct lh_arena *arena,
                               struct named *ret, struct lh_error *err)
{
    size_t record_count = 0, key_count = 0;
    enum lh_code code = LH_OK;
    for (int pass = 0; pass < 2 && !code; pass++) {
        if (pass) {
            ret->texts = lh_arena_array(arena, key_count + 1, sizeof *ret->texts);
            ret->types = lh_arena_array(arena, record_count + 2, sizeof *ret->types);
            if (type.len)
                add_type(ret, type);
        }
        for (size_t i = 0; i < dataset->tombstone_count && !code; i++) {
            const struct tombstone_content *content = NULL;
            if (!tombstone_is_of_column(dataset->tombstones[i], column))
                continue;
            code = tombstone_read(storage, dataset->tombstones[i], &content, err);
            for (size_t k = 0; !code && k < content->record_count; k++) {
                if (pass)
                    add_named(ret, &content->records[k]);
                record_count += !pass;
                key_count += pass ? 0 : content->records[k].key_count;
            }
        }
    }
    if (!code && ret->text_count)
        qsort(ret->texts, ret->text_count, sizeof *ret->texts, compare_str);
    return code;
}

enum lh_code catalog_erase_texts(struct catalog *catalog, struct engine *engine,
                                 const struct catalog_dataset *dataset, struct lh_str column,
                                 const json_t *values, const struct lh_cancel *cancel,
                                 struct lh_arena *arena, struct lh_str_list *ret,
                                 struct lh_error *err)
{
    const struct catalog_column *found = catalog_dataset_column(dataset, column);
    struct named named = {0};
    size_t count = json_array_size(values), text_count = 0;
    enum lh_code code = list_named(catalog->storage, dataset, column,
                                   found ? found->type : (struct lh_str){0}, arena, &named, err);
    struct lh_str *texts = lh_arena_array(arena, count * named.type_count + 1, sizeof *texts);
    for (size_t t = 0; t < named.type_count && !code; t++) {
        struct typed_key *keys = NULL;
        code = keys_type(engine, values, named.types[t], cancel, arena, &keys, err);
        for (size_t i = 0; i < count && !code; i++)
            if (keys[i].outcome == CATALOG_KEY_DONE)
                texts[text_count++] = keys[i].text;
    }
    if (!code)
        *ret = (struct lh_str_list){texts, text_count};
    return code;
}

/* The keys that records hold and the values name, in whichever type they were made. */
static enum lh_code find_texts(struct erasing *erasing, struct lh_error *err)
{
    struct storage *storage = erasing->catalog->storage;
    size_t count = json_array_size(erasing->values);
    struct named named = {0};
    struct key_list list = {0};
    bool *is_hash = lh_arena_array(erasing->arena, count + 1, sizeof *is_hash);
    enum lh_code code = list_named(storage, erasing->dataset, erasing->column, (struct lh_str){0},
                                   erasing->arena, &named, err);
    if (!code)
        code = tombstone_keys(erasing->catalog, erasing->dataset, erasing->column, erasing->arena,
                              &list, err);
    size_t most = count * named.type_count + 1;
    erasing->texts = lh_arena_array(erasing->arena, most, sizeof *erasing->texts);
    erasing->sealed = lh_arena_array(erasing->arena, most, sizeof *erasing->sealed);
    for (size_t t = 0; t < named.type_count && !code; t++) {
        struct typed_key *keys = NULL;
        code = keys_type(erasing->engine, erasing->values, named.types[t], erasing->cancel,
                         erasing->arena, &keys, err);
        for (size_t i = 0; i < count && !code; i++) {
            bool is_key = keys[i].outcome == CATALOG_KEY_DONE;
            bool is_text = is_key && named.text_count &&
                           bsearch(&keys[i].text, named.texts, named.text_count,
                                   sizeof *named.texts, compare_str);
            if (is_text)
                erasing->texts[erasing->text_count++] = keys[i].text;
            const struct key_entry *hash = is_key ? key_list_find_hash(&list, keys[i].text) : NULL;
            if (hash && hash->form == TOMBSTONE_SEALED)
                erasing->sealed[erasing->sealed_count++] = hash->text;
            is_hash[i] |= is_text || hash;
        }
    }
    for (size_t i = 0; i < count; i++)
        erasing->key_count += is_hash[i];
    if (erasing->text_count)
        qsort(erasing->texts, erasing->text_count, sizeof *erasing->texts, compare_str);
    if (erasing->sealed_count)
        qsort(erasing->sealed, erasing->sealed_count, sizeof *erasing->sealed, compare_str);
    return code;
}

/* --- where its files are */

enum lh_code catalog_erase_named(struct catalog *catalog, struct lh_arena *arena,
                                 struct lh_str_list *ret, struct lh_error *err)
{
    struct file_set set = {.arena = lh_arena_new(0)};
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    for (size_t i = 0; i < snapshot->item_count && !code; i++) {
        code = retention_add_state(catalog, snapshot->items[i], &set, err);
        live_visit(catalog->live, snapshot->items[i]->view.id, INT64_MAX, file_set_add_view, &set);
    }
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    struct lh_str *keys = lh_arena_array(arena, set.count + 1, sizeof *keys);
    for (size_t i = 0; i < set.count; i++)
        keys[i] = lh_arena_str(arena, set.items[i].key);
    if (set.count)
        qsort(keys, set.count, sizeof *keys, compare_str);
    if (!code && !catalog_is_writable(catalog)) /* a version may be there that nobody knows */
        code = lh_fail(err, LH_UNKNOWN,
                       "Writing has stopped: which files are named is known after a restart.");
    if (!code)
        *ret = (struct lh_str_list){keys, set.count};
    lh_arena_free(set.arena);
    return code;
}

/* As it is now, for versions that the caller still knows may have expired; by bucket first. */
static enum lh_code list_retained(struct catalog *catalog, struct lh_str dataset_id,
                                  struct file_set *set, struct lh_error *err)
{
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t place = snapshot_find_id(snapshot, dataset_id);
    enum lh_code code = place == SIZE_MAX
                            ? lh_fail(err, LH_NOT_FOUND, "There is no such dataset any more.")
                            : retention_add_state(catalog, snapshot->items[place], set, err);
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    file_set_sort(set);
    return code;
}

enum lh_code catalog_erase_each_file(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     void (*each)(void *context, struct lh_str key,
                                                  const uint8_t *sha256),
                                     void *context, struct lh_error *err)
{
    struct file_set set = {.arena = lh_arena_new(0)};
    enum lh_code code = list_retained(catalog, dataset->id, &set, err);
    for (size_t i = 0; i < set.count && !code; i++)
        if (set.items[i].sha256)
            each(context, set.items[i].key, set.items[i].sha256);
    lh_arena_free(set.arena);
    return code;
}

enum lh_code catalog_erase_buckets(struct catalog *catalog, const struct catalog_dataset *dataset,
                                   struct lh_arena *arena, struct lh_str_list *ret,
                                   struct lh_error *err)
{
    struct file_set set = {.arena = lh_arena_new(0)};
    size_t count = 0;
    struct lh_str *names = lh_arena_array(arena, STORAGE_BUCKETS_MAX, sizeof *names);
    enum lh_code code = list_retained(catalog, dataset->id, &set, err);
    for (size_t i = 0; i < set.count && !code && count < STORAGE_BUCKETS_MAX; i++)
        if (!i || !lh_str_equal(set.items[i].bucket, set.items[i - 1].bucket))
            names[count++] = lh_arena_str(arena, set.items[i].bucket);
    *ret = (struct lh_str_list){names, count};
    lh_arena_free(set.arena);
    return code;
}

enum lh_code catalog_erase_check(struct catalog *catalog, const struct catalog_dataset *dataset,
                                 struct lh_str column, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str_list buckets = {0};
    enum lh_code code = LH_OK;
    const struct catalog_column *found = catalog_dataset_column(dataset, column);
    if (found)
        code = keys_check_type(found->name, found->type, err);
    if (!found) {
        code = lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' has no column '%.*s'.",
                       LH_ARG(dataset->name), LH_ARG(lh_str_head(column, 100)));
        lh_error_field(err, lh_lit("row_key_column"));
    }
    if (!code)
        code = tombstone_check_column(dataset, column, true, err);
    if (!code)
        code = catalog_erase_buckets(catalog, dataset, arena, &buckets, err);
    for (size_t i = 0; i < buckets.count && !code; i++)
        code = storage_bucket_check(catalog->storage, buckets.items[i], err);
    lh_arena_free(arena);
    return code;
}

enum lh_code catalog_erase_check_dropped(struct catalog *catalog, struct lh_str name,
                                         struct lh_str column, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < snapshot->item_count && !code; i++) {
        const struct dataset_state *state = snapshot->items[i];
        const struct catalog_dataset *view = &state->view;
        if (state->damage || !view->is_deleted || view->retained_version == view->version ||
            (name.len && !lh_str_equal_nocase(view->name, name)) ||
            !catalog_dataset_column(view, column))
            continue;
        lh_fail(err, LH_CONFLICT,
                "The dataset '%.*s' was dropped and its files are kept: undoing that would bring "
                "the rows back.",
                LH_ARG(view->name));
        code = lh_error_hint(err,
                             "POST /catalog/expire {\"dataset\": \"%.*s\", "
                             "\"older_than_s\": 0} removes them; or undo the drop first.",
                             LH_ARG(view->name));
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

struct lh_str_list catalog_erase_dropped(struct catalog *catalog, struct lh_arena *arena)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct lh_str *ids = lh_arena_array(arena, snapshot->item_count + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < snapshot->item_count; i++)
        if (!snapshot->items[i]->damage && snapshot->items[i]->view.is_deleted)
            ids[count++] = lh_arena_str(arena, snapshot->items[i]->view.id);
    catalog_snapshot_unref(snapshot);
    return (struct lh_str_list){ids, count};
}

static enum lh_code commit_hashes(struct erasing *erasing, int64_t *ret_version,
                                  struct lh_error *err)
{
    struct rehash rehash = {
        .catalog = erasing->catalog,
        .dataset = erasing->dataset,
        .column = erasing->column,
        .texts = erasing->texts,
        .text_count = erasing->text_count,
        .sealed = erasing->sealed,
        .sealed_count = erasing->sealed_count,
        .form = TOMBSTONE_HASHED,
        .actor = erasing->actor,
        .reason = lh_lit("The keys of erased rows are kept as hashes only."),
        .arena = erasing->arena,
    };
    return tombstone_rehash(&rehash, ret_version, err);
}

enum lh_code catalog_erase_keys(struct catalog *catalog, struct engine *engine,
                                struct lh_str dataset_id, struct lh_str column,
                                const json_t *values, struct lh_str actor,
                                const struct lh_cancel *cancel, int64_t *ret_keys,
                                int64_t *ret_version, struct lh_error *err)
{
    enum lh_code code = LH_RACE;
    for (int i = 0; i < RACES_MAX && code == LH_RACE; i++) {
        struct erasing erasing = {.catalog = catalog,
                                  .engine = engine,
                                  .column = column,
                                  .values = values,
                                  .actor = actor,
                                  .cancel = cancel,
                                  .arena = lh_arena_new(0)};
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
        int64_t version = 0;
        code = catalog_find_id(snapshot, dataset_id, &erasing.dataset, err);
        if (!code)
            version = erasing.dataset->version;
        if (!code)
            code = find_texts(&erasing, err);
        if (!code && (erasing.text_count || erasing.sealed_count))
            code = commit_hashes(&erasing, &version, err);
        if (!code) {
            *ret_keys = erasing.key_count;
            *ret_version = version;
        }
        catalog_snapshot_unref(snapshot);
        lh_arena_free(erasing.arena);
    }
    return code;
}

enum lh_code catalog_erase_has_keys(struct catalog *catalog, struct engine *engine,
                                    const struct catalog_dataset *dataset, struct lh_str column,
                                    const json_t *values, const struct lh_cancel *cancel, bool *ret,
                                    struct lh_error *err)
{
    struct erasing erasing = {.catalog = catalog,
                              .engine = engine,
                              .dataset = dataset,
                              .column = column,
                              .values = values,
                              .cancel = cancel,
                              .arena = lh_arena_new(0)};
    enum lh_code code = find_texts(&erasing, err);
    if (!code)
        *ret = erasing.text_count || erasing.sealed_count;
    lh_arena_free(erasing.arena);
    return code;
}

enum lh_code catalog_erase_each_key(struct lh_str bytes, struct lh_str column,
                                    void (*each)(void *context, struct lh_str text), void *context,
                                    struct lh_error *err)
{
    struct tombstone_content *content = NULL;
    enum lh_code code = tombstone_decode(bytes, lh_lit("A list of tombstones"), &content, err);
    if (code)
        return code;
    assert(content);
    for (size_t i = 0; i < content->record_count; i++) {
        const struct tombstone_record *record = &content->records[i];
        for (size_t k = 0; k < record->key_count; k++)
            if (record->keys[k].form == TOMBSTONE_VALUE &&
                lh_str_equal_nocase(record->column, column))
                each(context, record->keys[k].text);
    }
    tombstone_content_free(content);
    return LH_OK;
}

enum lh_code catalog_pseudonym(struct catalog *catalog, struct lh_str text, struct lh_arena *arena,
                               struct lh_str *ret, struct lh_error *err)
{
    const uint8_t *secret = NULL;
    char hash[ERASE_HASH_BYTES + 1];
    enum lh_code code = erase_secret(catalog->storage, true, arena, &secret, err);
    if (code)
        return code;
    erase_hash(secret, text, hash);
    *ret = lh_arena_printf(arena, "erased:%.16s", hash);
    return LH_OK;
}
