/* Records of an index in batches that are written once. */
#include "search/ledger.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/sealed.h"

#define READS_MAX 10 /* a merge may take the files away between two looks */

/* --- sealed files */

/* "_hnsw_trials/<id>/…" */
static struct lh_str id_of_key(struct lh_str key)
{
    struct lh_str rest = key;
    (void)lh_str_cut(&rest, '/');
    return lh_str_cut(&rest, '/');
}

enum lh_code sealed_put(struct search *search, struct lh_str key, const struct lh_fields *fields,
                        const void *record, bool replaces, struct lh_error *err)
{
    struct lh_buf body, buf;
    struct lh_json json;
    lh_buf_init(&body, LEDGER_BYTES_MAX - 128); /* its checksum comes before it */
    lh_buf_init(&buf, LEDGER_BYTES_MAX);
    lh_json_init(&json, &body);
    lh_fields_write(fields, record, &json);
    lh_buf_append_char(&body, '\n');
    enum lh_code code = lh_buf_check(&body, fields->struct_name, err);
    if (!code) {
        lh_sealed_append(&buf, lh_buf_str(&body));
        code = lh_buf_check(&buf, fields->struct_name, err);
    }
    if (!code) {
        char room[STORAGE_BUCKET_NAME_BYTES_MAX + 1];
        struct lh_str bucket = place_of_records(search, id_of_key(key), room);
        code = (replaces ? storage_put_replacing : storage_put_exclusive)(
            search->options.storage, bucket, key, lh_buf_str(&buf), err);
        place_of_records_end(search);
    }
    lh_buf_release(&body);
    lh_buf_release(&buf);
    return code;
}

enum lh_code sealed_bind(struct lh_str bytes, struct lh_str key, const struct lh_fields *fields,
                         struct lh_arena *arena, void *ret, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    json_t *root = NULL;
    enum lh_code code = lh_sealed_check(bytes, key, err);
    if (code)
        return code;
    code = lh_sealed_parse(bytes, key, LEDGER_BYTES_MAX, &root, err);
    if (code)
        return code;
    lh_json_keep(root, arena);
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    if (format > LEDGER_FORMAT) {
        lh_fail(err, LH_FORMAT, "%.*s has format %lld, this release reads up to %d.", LH_ARG(key),
                (long long)format, LEDGER_FORMAT);
        return lh_error_hint(err, "Open the lake with the release that wrote it, or a newer one.");
    }
    json_object_del(root, LH_SEALED_MEMBER);
    lh_fields_preset(fields, ret);
    code = lh_fields_bind_json(fields, root, arena, ret, &why);
    if (!code)
        code = lh_fields_check(fields, ret, &why);
    return code ? lh_fail(err, LH_DAMAGED, "%.*s: %s", LH_ARG(key), why.message) : LH_OK;
}

enum lh_code sealed_get(struct search *search, struct lh_str key, const struct lh_fields *fields,
                        struct lh_arena *arena, void *ret, struct lh_error *err)
{
    char room[STORAGE_BUCKET_NAME_BYTES_MAX + 1];
    struct lh_str bytes, bucket = place_of_records(search, id_of_key(key), room);
    enum lh_code code =
        storage_get(search->options.storage, bucket, key, LEDGER_BYTES_MAX, arena, &bytes, err);
    place_of_records_end(search);
    return code ? code : sealed_bind(bytes, key, fields, arena, ret, err);
}

enum lh_code sealed_list(struct search *search, const char *folder, struct lh_str id,
                         struct lh_arena *arena, struct storage_entry **ret, size_t *ret_count,
                         struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0, kept = 0;
    char room[STORAGE_BUCKET_NAME_BYTES_MAX + 1];
    struct lh_str bucket = place_of_records(search, id, room);
    enum lh_code code = storage_list(search->options.storage, bucket,
                                     lh_arena_printf(arena, "%s/%.*s", folder, LH_ARG(id)), arena,
                                     &entries, &count, err);
    place_of_records_end(search);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++)
        if (!entries[i].is_folder && !entries[i].is_special &&
            lh_str_ends_with(entries[i].name, lh_lit(".json")))
            entries[kept++] = entries[i];
    *ret = entries;
    *ret_count = kept;
    return LH_OK;
}

enum lh_code sealed_trash(struct search *search, const struct lh_str *keys, size_t count,
                          struct lh_error *err)
{
    char room[STORAGE_BUCKET_NAME_BYTES_MAX + 1];
    if (!count)
        return LH_OK;
    struct lh_str bucket = place_of_records(search, id_of_key(keys[0]), room);
    enum lh_code code = storage_trash(search->options.storage, bucket, keys, count, err);
    place_of_records_end(search);
    return code;
}

/* --- batches */

struct batch {
    int64_t format;
    struct lh_list items;
};

/* The table of a batch of such records: the rows are on the caller's stack. */
static struct lh_fields batch_fields(const struct ledger *ledger, struct lh_field rows[2])
{
    rows[0] = (struct lh_field)LH_INT(struct batch, format, .required = true, .min = 1,
                                      .doc = "Of this file.");
    rows[1] = (struct lh_field)LH_LIST(struct batch, items, .fields = ledger->fields,
                                       .doc = "Oldest first.");
    return (struct lh_fields){.struct_name = "A batch of records",
                              .size = sizeof(struct batch),
                              .items = rows,
                              .count = 2};
}

static enum lh_code put_batch(struct search *search, const struct ledger *ledger, struct lh_str id,
                              const void *records, size_t count, struct lh_error *err)
{
    struct lh_field rows[2];
    const struct lh_fields fields = batch_fields(ledger, rows);
    const struct batch batch = {.format = LEDGER_FORMAT, .items = {records, count}};
    struct lh_uuid name = lh_uuid_new();
    struct lh_arena *arena = lh_arena_new_small();
    struct lh_str key =
        lh_arena_printf(arena, "%s/%.*s/%s.json", ledger->folder, LH_ARG(id), name.text);
    enum lh_code code = sealed_put(search, key, &fields, &batch, false, err);
    lh_arena_free(arena);
    return code;
}

static struct lh_str id_of(const void *record)
{
    return *(const struct lh_str *)record;
}

static int compare_records(const void *a, const void *b)
{
    return lh_str_compare(id_of(a), id_of(b));
}

/* All batches as one list, each record once. */
static void join(const struct ledger *ledger, const struct batch *batches, size_t count,
                 struct lh_arena *arena, struct lh_list *ret)
{
    size_t size = ledger->fields->size, total = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        total += batches[i].items.count;
    char *items = lh_arena_array(arena, total + 1, size);
    for (size_t i = 0, at = 0; i < count; at += batches[i++].items.count)
        if (batches[i].items.count)
            memcpy(items + at * size, batches[i].items.items, batches[i].items.count * size);
    qsort(items, total, size, compare_records);
    for (size_t i = 0; i < total; i++) {
        if (kept && lh_str_equal(id_of(items + i * size), id_of(items + (kept - 1) * size)))
            continue;
        memmove(items + kept++ * size, items + i * size, size);
    }
    *ret = (struct lh_list){items, kept};
}

static enum lh_code read_batch(struct search *search, const struct ledger *ledger,
                               struct lh_str key, struct lh_arena *arena, struct batch *ret,
                               struct lh_error *err)
{
    struct lh_field rows[2];
    const struct lh_fields fields = batch_fields(ledger, rows);
    return sealed_get(search, key, &fields, arena, ret, err);
}

/* LH_NOT_FOUND: a batch went meanwhile. */
static enum lh_code read_once(struct search *search, const struct ledger *ledger, struct lh_str id,
                              struct lh_arena *arena, struct lh_str **ret_keys,
                              size_t *ret_key_count, struct lh_list *ret, struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0, kept = 0;
    enum lh_code code = sealed_list(search, ledger->folder, id, arena, &entries, &count, err);
    struct batch *batches = lh_arena_array(arena, count + 1, sizeof *batches);
    struct lh_str *keys = lh_arena_array(arena, count + 1, sizeof *keys);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_error why = LH_ERROR_NONE;
        keys[kept] = entries[i].key;
        code = read_batch(search, ledger, entries[i].key, arena, &batches[kept], &why);
        kept += !code;
        if (code == LH_DAMAGED) {
            lh_log_error(LH_LOG_WARN, "search.ledger", &why);
            code = LH_OK;
        } else if (code && err) {
            *err = why;
        }
    }
    if (code)
        return code;
    join(ledger, batches, kept, arena, ret);
    *ret_keys = keys;
    *ret_key_count = kept;
    return LH_OK;
}

static enum lh_code read_all(struct search *search, const struct ledger *ledger, struct lh_str id,
                             struct lh_arena *arena, struct lh_str **ret_keys,
                             size_t *ret_key_count, struct lh_list *ret, struct lh_error *err)
{
    enum lh_code code = LH_NOT_FOUND;
    for (int i = 0; i < READS_MAX && code == LH_NOT_FOUND; i++)
        code = read_once(search, ledger, id, arena, ret_keys, ret_key_count, ret, err);
    return code;
}

enum lh_code ledger_read(struct search *search, const struct ledger *ledger, struct lh_str id,
                         struct lh_arena *arena, struct lh_list *ret, struct lh_error *err)
{
    struct lh_str *keys = NULL;
    size_t count = 0;
    return read_all(search, ledger, id, arena, &keys, &count, ret, err);
}

/* Under ledger_lock. What could not be read stays where it is. */
static enum lh_code rewrite(struct search *search, const struct ledger *ledger, struct lh_str id,
                            const struct lh_list *records, const struct lh_str *keys,
                            size_t key_count, struct lh_error *err)
{
    size_t skip = ledger->kept && records->count > ledger->kept ? records->count - ledger->kept : 0;
    const char *items = records->items;
    enum lh_code code = put_batch(search, ledger, id, items + skip * ledger->fields->size,
                                  records->count - skip, err);
    if (!code)
        code = sealed_trash(search, keys, key_count, err);
    return code;
}

static enum lh_code merge_batches(struct search *search, const struct ledger *ledger,
                                  struct lh_str id, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    struct lh_str *keys = NULL;
    struct lh_list records;
    size_t count = 0;
    pthread_mutex_lock(&search->ledger_lock);
    enum lh_code code = sealed_list(search, ledger->folder, id, arena, &entries, &count, err);
    if (!code && count > LEDGER_BATCHES_MAX) {
        code = read_all(search, ledger, id, arena, &keys, &count, &records, err);
        if (!code && count > 1)
            code = rewrite(search, ledger, id, &records, keys, count, err);
    }
    pthread_mutex_unlock(&search->ledger_lock);
    lh_arena_free(arena);
    return code;
}

enum lh_code ledger_append(struct search *search, const struct ledger *ledger, struct lh_str id,
                           const void *records, size_t count, struct lh_error *err)
{
    struct lh_error late = LH_ERROR_NONE;
    enum lh_code code = put_batch(search, ledger, id, records, count, err);
    if (code)
        return code;
    atomic_fetch_add(&search->ledger_stamp, 1);
    /* The records are durable: that the files stay many for now is no failure of theirs. */
    if (merge_batches(search, ledger, id, &late))
        lh_log_error(LH_LOG_WARN, "search.ledger", &late);
    return LH_OK;
}

enum lh_code ledger_redact(struct search *search, const struct ledger *ledger, struct lh_str id,
                           bool (*redact)(void *context, void *record), void *context,
                           int64_t *ret_changed, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *keys = NULL;
    struct lh_list records = {0};
    size_t count = 0;
    int64_t changed = 0;
    pthread_mutex_lock(&search->ledger_lock);
    enum lh_code code = read_all(search, ledger, id, arena, &keys, &count, &records, err);
    char *items = (char *)(uintptr_t)records.items;
    for (size_t i = 0; i < records.count && !code; i++)
        changed += redact(context, items + i * ledger->fields->size);
    if (!code && changed)
        code = rewrite(search, ledger, id, &records, keys, count, err);
    pthread_mutex_unlock(&search->ledger_lock);
    if (!code && changed)
        atomic_fetch_add(&search->ledger_stamp, 1);
    if (!code)
        *ret_changed += changed;
    lh_arena_free(arena);
    return code;
}

enum lh_code ledger_check(const struct ledger *ledger, struct lh_str bytes, struct lh_str key,
                          struct lh_error *err)
{
    struct lh_field rows[2];
    struct batch batch;
    const struct lh_fields fields = batch_fields(ledger, rows);
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = sealed_bind(bytes, key, &fields, arena, &batch, err);
    lh_arena_free(arena);
    return code;
}
