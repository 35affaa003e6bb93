#include <stdlib.h>

#include "catalog/tombstone_internal.h"

/* Records are a log: what comes later stands for what came before it. */

static int compare_entries(const void *a, const void *b)
{
    const struct key_entry *x = a, *y = b;
    int order = (int)x->form - (int)y->form;
    if (!order)
        order = lh_str_compare(x->text, y->text);
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int compare_text(const void *text, const void *entry)
{
    const struct key_entry *at = entry;
    return at->form ? -1 : lh_str_compare(*(const struct lh_str *)text, at->text);
}

const struct key_entry *key_list_find(const struct key_list *list, struct lh_str text)
{
    return list->count ? bsearch(&text, list->items, list->count, sizeof *list->items, compare_text)
                       : NULL;
}

bool key_list_has_hash(const struct key_list *list, struct lh_str text)
{
    char hash[ERASE_HASH_BYTES + 1];
    size_t low = 0, high = list->count;
    if (!list->secret)
        return false;
    erase_hash(list->secret, text, hash);
    while (low < high) { /* values stand before hashes */
        size_t middle = low + (high - low) / 2;
        const struct key_entry *entry = &list->items[middle];
        int order =
            entry->form == TOMBSTONE_HASHED ? lh_str_compare(lh_str_of(hash), entry->text) : 1;
        if (!order)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static bool names_keys(const struct tombstone_record *record)
{
    return record->kind == TOMBSTONE_KEYS || record->kind == TOMBSTONE_LIFTED;
}

static enum lh_code count_keys(struct storage *storage, const struct catalog_dataset *dataset,
                               size_t *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    *ret = 0;
    for (size_t i = 0; i < dataset->tombstone_count && !code; i++) {
        const struct tombstone_content *content = NULL;
        if (tombstone_is_of_rows(dataset->tombstones[i]))
            continue;
        code = tombstone_read(storage, dataset->tombstones[i], &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++)
            *ret += names_keys(&content->records[k]) ? content->records[k].key_count : 0;
    }
    return code;
}

static void add_record(const struct tombstone_record *record, struct key_list *list)
{
    if (!names_keys(record))
        return;
    list->column = record->column;
    list->type = record->type;
    for (size_t i = 0; i < record->key_count; i++) {
        list->items[list->count] =
            (struct key_entry){record->keys[i].text, record->keys[i].form, record, list->count};
        list->count++;
    }
}

enum lh_code tombstone_keys(struct storage *storage, const struct catalog_dataset *dataset,
                            struct lh_arena *arena, struct key_list *ret, struct lh_error *err)
{
    struct key_list list = {0};
    size_t count = 0, kept = 0;
    enum lh_code code = count_keys(storage, dataset, &count, err);
    list.items = lh_arena_array(arena, count + 1, sizeof *list.items);
    for (size_t i = 0; i < dataset->tombstone_count && !code && count; i++) {
        const struct tombstone_content *content = NULL;
        if (tombstone_is_of_rows(dataset->tombstones[i]))
            continue;
        code = tombstone_read(storage, dataset->tombstones[i], &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++)
            add_record(&content->records[k], &list);
    }
    if (code)
        return code;
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, compare_entries);
    for (size_t i = 0; i < list.count; i++) {
        bool is_last = i + 1 == list.count || list.items[i + 1].form != list.items[i].form ||
                       !lh_str_equal(list.items[i + 1].text, list.items[i].text);
        if (is_last && list.items[i].record->kind == TOMBSTONE_KEYS)
            list.items[kept++] = list.items[i];
    }
    list.count = kept;
    if (kept && list.items[kept - 1].form == TOMBSTONE_HASHED)
        code = erase_secret(storage, false, arena, &list.secret, err);
    if (!code)
        *ret = list;
    return code;
}

struct lh_str *key_list_types(const struct key_list *list, struct lh_arena *arena,
                              size_t *ret_count)
{
    size_t count = 0, capacity = 8;
    struct lh_str *types = lh_arena_array(arena, capacity, sizeof *types);
    for (size_t i = 0; i < list->count; i++) {
        size_t at = count;
        while (at > 0 && !lh_str_equal(types[at - 1], list->items[i].record->type))
            at--;
        if (at)
            continue;
        if (count == capacity) {
            struct lh_str *grown = lh_arena_array(arena, capacity * 2, sizeof *grown);
            memcpy(grown, types, count * sizeof *grown);
            types = grown;
            capacity *= 2;
        }
        types[count++] = list->items[i].record->type;
    }
    *ret_count = count;
    return types;
}

struct renumbering {
    void (*found)(void *context, size_t file, uint64_t row, size_t key);
    void *context;
    const size_t *places;
};

static void renumber(void *context, size_t file, uint64_t row, size_t key)
{
    const struct renumbering *to = context;
    to->found(to->context, file, row, to->places[key]);
}

enum lh_code key_list_rows(const struct key_list *list, struct engine *engine,
                           const struct key_files *files, const struct lh_cancel *cancel,
                           struct lh_arena *arena,
                           void (*found)(void *context, size_t file, uint64_t row, size_t key),
                           void *context, struct lh_error *err)
{
    size_t type_count = 0;
    const struct lh_str *types = key_list_types(list, arena, &type_count);
    struct lh_str *texts = lh_arena_array(arena, list->count + 1, sizeof *texts);
    size_t *places = lh_arena_array(arena, list->count + 1, sizeof *places);
    struct renumbering to = {found, context, places};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < 2 * type_count && !code; i++) {
        enum tombstone_form form = i % 2 ? TOMBSTONE_HASHED : TOMBSTONE_VALUE;
        struct key_files typed = *files;
        size_t count = 0;
        typed.key_type = types[i / 2];
        for (size_t k = 0; k < list->count; k++)
            if (list->items[k].form == form &&
                lh_str_equal(list->items[k].record->type, typed.key_type)) {
                texts[count] = list->items[k].text;
                places[count++] = k;
            }
        code = form == TOMBSTONE_VALUE
                   ? keys_find(engine, &typed, texts, count, cancel, renumber, &to, err)
                   : keys_find_hashed(engine, &typed, list->secret, texts, count, cancel, renumber,
                                      &to, err);
    }
    return code;
}

struct lh_str tombstone_stored(const struct catalog_dataset *dataset, struct lh_str fingerprint,
                               struct lh_str column)
{
    const struct catalog_column *found = catalog_dataset_column(dataset, column);
    if (!found || lh_str_equal(fingerprint, dataset->schema))
        return found ? found->stored_name : (struct lh_str){0};
    for (size_t i = 0; i < dataset->schema_count; i++) {
        const struct catalog_schema *schema = &dataset->schemas[i];
        for (size_t k = 0;
             lh_str_equal(schema->fingerprint, fingerprint) && k < schema->column_count; k++)
            if (lh_str_equal(schema->columns[k].stored_name, found->stored_name))
                return found->stored_name;
    }
    return (struct lh_str){0};
}

enum lh_code catalog_tombstone_list(struct catalog *catalog, const struct catalog_dataset *dataset,
                                    struct lh_str after, size_t limit, struct lh_arena *arena,
                                    struct catalog_tombstone_item **ret, size_t *ret_count,
                                    struct lh_error *err)
{
    struct key_list list;
    size_t count = 0;
    enum lh_code code = tombstone_keys(catalog->storage, dataset, arena, &list, err);
    if (code)
        return code;
    struct catalog_tombstone_item *items =
        lh_arena_array(arena, (limit < list.count ? limit : list.count) + 1, sizeof *items);
    for (size_t i = 0; i < list.count && count < limit; i++) {
        const struct key_entry *entry = &list.items[i];
        if (entry->form != TOMBSTONE_VALUE ||
            (after.data && lh_str_compare(entry->text, after) <= 0))
            continue;
        items[count++] = (struct catalog_tombstone_item){
            .column = entry->record->column,
            .value = entry->text,
            .deleted_at_ms = entry->record->time_ms,
            .actor = entry->record->actor,
            .reason = entry->record->reason,
        };
    }
    *ret = items;
    *ret_count = count;
    return LH_OK;
}

enum lh_code catalog_tombstone_count(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     size_t *ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct key_list keys = {0};
    enum lh_code code = tombstone_keys(catalog->storage, dataset, arena, &keys, err);
    if (!code)
        *ret = keys.count;
    lh_arena_free(arena);
    return code;
}

enum lh_code catalog_tombstones_differ(struct catalog *catalog,
                                       const struct catalog_dataset *dataset, int64_t version,
                                       bool *ret, struct lh_error *err)
{
    bool differ = false;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->tombstone_count && !code && !differ; i++) {
        const struct catalog_object *object = dataset->tombstones[i];
        const struct tombstone_content *content = NULL;
        if (object->added_version <= version)
            continue;
        code = tombstone_read(catalog->storage, object, &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++) {
            const struct tombstone_record *record = &content->records[k];
            int64_t since = record->version ? record->version : object->added_version;
            differ |= since > version &&
                      (record->kind == TOMBSTONE_LIFTED || record->kind == TOMBSTONE_REPLACED);
        }
    }
    if (!code)
        *ret = differ;
    return code;
}
