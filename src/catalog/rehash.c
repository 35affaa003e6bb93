/* The list of tombstones written anew, with hashes in the place of some keys: what they suppress
 * stays suppressed, and who reads the list does not learn them. */
#include <stdlib.h>

#include "catalog/rehash.h"

int compare_str(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static bool is_in(const struct lh_str *texts, size_t count, struct lh_str text)
{
    return count && bsearch(&text, texts, count, sizeof *texts, compare_str);
}

static struct lh_str hash_of(const struct rehash *rehash, struct lh_str text)
{
    char hash[ERASE_HASH_BYTES + 1];
    erase_hash(rehash->secret, text, hash);
    return lh_arena_str(rehash->arena, lh_str_of(hash));
}

#define TELLING_BYTES_MIN ((size_t)6) /* a shorter one stands in other words by chance */

static bool tells(const struct rehash *rehash, struct lh_str text)
{
    size_t at = 0;
    for (size_t i = 0; text.len && i < rehash->telling.count; i++)
        if (rehash->telling.items[i].len >= TELLING_BYTES_MIN &&
            lh_str_find(text, rehash->telling.items[i], &at))
            return true;
    return false;
}

enum lh_code tombstone_tells(const struct rehash *rehash, bool *ret, struct lh_error *err)
{
    const struct catalog_dataset *dataset = rehash->dataset;
    enum lh_code code = LH_OK;
    *ret = false;
    for (size_t i = 0; i < dataset->tombstone_count && !code && rehash->telling.count; i++) {
        const struct tombstone_content *content = NULL;
        if (!tombstone_is_of_column(dataset->tombstones[i], rehash->column))
            continue;
        code = tombstone_read(rehash->catalog->storage, dataset->tombstones[i], &content, err);
        for (size_t k = 0; !code && k < content->record_count && !*ret; k++)
            *ret = tells(rehash, content->records[k].reason) ||
                   tells(rehash, content->records[k].actor);
    }
    return code;
}

/* Wherever a record names one of the keys, its hash stands afterwards; a reason that holds one is
 * left out. */
static void rewrite_record(const struct rehash *rehash, const struct tombstone_record *from,
                           int64_t version, struct tombstone_record *ret)
{
    struct tombstone_key *keys = lh_arena_array(rehash->arena, from->key_count + 1, sizeof *keys);
    *ret = *from;
    ret->keys = keys;
    if (!ret->version)
        ret->version = version;
    bool is_clear = !from->key_count;
    for (size_t i = 0; i < from->key_count; i++) {
        size_t at = 0;
        keys[i] = from->keys[i];
        if (keys[i].form == TOMBSTONE_SEALED &&
            is_in(rehash->sealed, rehash->sealed_count, keys[i].text))
            keys[i].form = rehash->form;
        if (keys[i].form != TOMBSTONE_VALUE ||
            !is_in(rehash->texts, rehash->text_count, keys[i].text)) {
            is_clear |= keys[i].form == TOMBSTONE_VALUE;
            continue;
        }
        if (lh_str_find(ret->reason, keys[i].text, &at))
            ret->reason = lh_lit("");
        if (lh_str_find(ret->actor, keys[i].text, &at))
            ret->actor = lh_lit("");
        keys[i] = (struct tombstone_key){rehash->form, hash_of(rehash, keys[i].text)};
    }
    bool is_forgotten = rehash->forgets_reasons && !is_clear;
    if (is_forgotten || tells(rehash, ret->reason))
        ret->reason = lh_lit("");
    if (is_forgotten || tells(rehash, ret->actor))
        ret->actor = lh_lit("");
}

/* What came with rows names no key and gives no reason: it stays where it is. Each such record is
 * the first that says anything of its file, so it may stand before older records or behind. */
static bool has_arrivals_only(const struct tombstone_content *content)
{
    for (size_t i = 0; i < content->record_count; i++)
        if (content->records[i].kind != TOMBSTONE_ARRIVED)
            return false;
    return true;
}

static bool was_seen(const struct catalog_dataset *dataset, struct lh_str key)
{
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        if (lh_str_equal(dataset->tombstones[i]->key, key))
            return true;
    return false;
}

/* Written anew behind a record that names keys, older ones would undo it. */
static enum lh_code check_newer(const void *context, const struct catalog_dataset *now,
                                struct lh_error *err)
{
    const struct rehash *rehash = context;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < now->tombstone_count && !code; i++) {
        const struct tombstone_content *content = NULL;
        if (!tombstone_is_of_column(now->tombstones[i], rehash->column) ||
            was_seen(rehash->dataset, now->tombstones[i]->key))
            continue;
        code = tombstone_read(rehash->catalog->storage, now->tombstones[i], &content, err);
        if (!code && !has_arrivals_only(content))
            code = lh_fail(err, LH_RACE,
                           "The tombstones of dataset '%.*s' by column '%.*s' changed meanwhile.",
                           LH_ARG(now->name), LH_ARG(rehash->column));
    }
    return code;
}

static enum lh_code rewrite_records(struct rehash *rehash, struct tombstone_record **ret,
                                    size_t *ret_count, struct lh_str **ret_removed,
                                    size_t *ret_removed_count, struct lh_error *err)
{
    const struct catalog_dataset *dataset = rehash->dataset;
    struct tombstone_record *records = NULL;
    struct lh_str *removed =
        lh_arena_array(rehash->arena, dataset->tombstone_count + 1, sizeof *removed);
    size_t count = 0, removed_count = 0;
    enum lh_code code = LH_OK;
    for (int pass = 0; pass < 2 && !code; pass++) {
        if (pass)
            records = lh_arena_array(rehash->arena, count + 1, sizeof *records);
        count = removed_count = 0;
        for (size_t i = 0; i < dataset->tombstone_count && !code; i++) {
            const struct catalog_object *object = dataset->tombstones[i];
            const struct tombstone_content *content = NULL;
            if (!tombstone_is_of_column(object, rehash->column))
                continue;
            code = tombstone_read(rehash->catalog->storage, object, &content, err);
            if (!code && has_arrivals_only(content))
                continue;
            removed[removed_count++] = object->key;
            for (size_t k = 0; !code && k < content->record_count; k++, count++)
                if (pass)
                    rewrite_record(rehash, &content->records[k], object->added_version,
                                   &records[count]);
        }
    }
    *ret = records;
    *ret_count = count;
    *ret_removed = removed;
    *ret_removed_count = removed_count;
    return code;
}

enum lh_code tombstone_rehash(struct rehash *rehash, int64_t *ret_version, struct lh_error *err)
{
    struct catalog *catalog = rehash->catalog;
    struct tombstone_record *records = NULL;
    struct lh_str *removed = NULL;
    size_t record_count = 0, removed_count = 0;
    struct catalog_object object = {0};
    struct catalog_commit_result done = {0};
    enum lh_code code = erase_secret(catalog->storage, true, rehash->arena, &rehash->secret, err);
    if (!code)
        code = rewrite_records(rehash, &records, &record_count, &removed, &removed_count, err);
    if (!code)
        code = tombstone_publish(catalog, rehash->dataset->id, records, record_count, rehash->arena,
                                 &object, err);
    const struct catalog_change change = {
        .action = CATALOG_FOLD,
        .dataset_id = rehash->dataset->id,
        .tombstones = &object,
        .tombstone_count = 1,
        .tombstones_removed = removed,
        .tombstone_removed_count = removed_count,
        .tombstone_check = check_newer,
        .tombstone_context = rehash,
        .actor = rehash->actor,
        .reason = rehash->reason,
    };
    if (!code)
        code = catalog_commit(catalog, &change, rehash->arena, &done, err);
    if (code && code != LH_UNKNOWN && code != LH_LOCKED && object.key.len)
        (void)!storage_trash(catalog->storage, STORAGE_PRIMARY, &object.key, 1, NULL);
    if (!code)
        *ret_version = done.version;
    return code;
}
