/* Parts: entries as Parquet objects, written through the engine by a function that COPY reads from,
 * durable and compared before anything names them. */
#include "catalog/data_file.h"
#include "engine/function.h"
#include "search/view.h"

#include <stdlib.h>

/* --- the function that COPY reads from */

struct entry_scan {
    struct entry_scan *next;
    int64_t number;
    const struct entries *entries;
};

#define SCAN_FUNCTION "lakehouse_index_entries"

enum { COLUMN_ID, COLUMN_CHUNK, COLUMN_START, COLUMN_TEXT, COLUMN_HASH, COLUMN_VECTOR };

static const struct entries *find_scan(struct search *search, int64_t number)
{
    const struct entries *entries = NULL;
    pthread_mutex_lock(&search->scan_lock);
    for (const struct entry_scan *scan = search->scans; scan; scan = scan->next)
        if (scan->number == number)
            entries = scan->entries;
    pthread_mutex_unlock(&search->scan_lock);
    return entries;
}

static enum lh_code scan_bind(void *context, struct engine_bind *bind, void **ret_bound,
                              struct lh_error *err)
{
    int64_t number = engine_bind_has(bind, 0) ? engine_bind_int(bind, 0) : -1;
    const struct entries *entries = find_scan(context, number);
    if (!entries)
        return lh_fail(err, LH_REFUSED, "The function '%s' serves the server alone.",
                       SCAN_FUNCTION);
    engine_bind_column(bind, lh_lit("id"), ENGINE_TEXT, false);
    engine_bind_column(bind, lh_lit("chunk"), ENGINE_INT32, false);
    engine_bind_column(bind, lh_lit("start"), ENGINE_INT64, false);
    engine_bind_column(bind, lh_lit("text"), ENGINE_TEXT, false);
    engine_bind_column(bind, lh_lit("content_hash"), ENGINE_BLOB, false);
    engine_bind_column(bind, lh_lit("vector"), ENGINE_FLOAT, true);
    engine_bind_rows(bind, (int64_t)entries->count);
    *ret_bound = (void *)(uintptr_t)entries;
    return LH_OK;
}

struct scan_state {
    size_t at;
};

static enum lh_code scan_start(void *context, void *bound, struct engine_scan *scan,
                               void **ret_state, struct lh_error *err)
{
    (void)context;
    (void)bound;
    (void)scan;
    (void)err;
    *ret_state = lh_allocate(1, sizeof(struct scan_state));
    return LH_OK;
}

static void write_cell(const struct entries *entries, size_t from, size_t column,
                       struct engine_write *write, size_t at, size_t row)
{
    size_t entry = from + row;
    switch (column) {
    case COLUMN_ID:
        engine_write_str(write, at, row, entries->ids[entry]);
        return;
    case COLUMN_CHUNK:
        ((int32_t *)engine_write_data(write, at))[row] = entries->chunks[entry];
        return;
    case COLUMN_START:
        ((int64_t *)engine_write_data(write, at))[row] = entries->starts[entry];
        return;
    case COLUMN_TEXT:
        if (entries->texts_of[entry].data)
            engine_write_str(write, at, row, entries->texts_of[entry]);
        else
            engine_write_null(write, at, row);
        return;
    case COLUMN_HASH:
        engine_write_str(write, at, row,
                         (struct lh_str){(const char *)entries->hashes[entry], SEARCH_HASH_BYTES});
        return;
    default:
        if (entries->is_blank[entry]) {
            /* The list's place is set all the same: the engine reads it. */
            engine_write_floats(write, at, row, NULL, 0);
            engine_write_null(write, at, row);
        } else {
            engine_write_floats(write, at, row, entries->vectors + entry * entries->dimensions,
                                entries->dimensions);
        }
    }
}

static enum lh_code scan_next(void *context, void *bound, void *state, struct engine_scan *scan,
                              struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    const struct entries *entries = bound;
    struct scan_state *place = state;
    size_t rows = entries->count - place->at;
    (void)context;
    (void)err;
    if (rows > ENGINE_CHUNK_ROWS)
        rows = ENGINE_CHUNK_ROWS;
    for (size_t at = 0; at < engine_scan_column_count(scan); at++)
        for (size_t row = 0; row < rows; row++)
            write_cell(entries, place->at, engine_scan_column(scan, at), write, at, row);
    place->at += rows;
    *ret_rows = rows;
    return LH_OK;
}

enum lh_code part_register(struct search *search, struct lh_error *err)
{
    const struct engine_argument arguments[] = {{NULL, ENGINE_INT64, false}};
    const struct engine_table_function function = {
        .name = SCAN_FUNCTION,
        .arguments = arguments,
        .argument_count = 1,
        .context = search,
        .bind = scan_bind,
        .start = scan_start,
        .next = scan_next,
        .free_state = free,
    };
    return engine_register_table(search->options.engine, &function, err);
}

/* --- writing */

static void announce(struct search *search, struct entry_scan *scan)
{
    pthread_mutex_lock(&search->scan_lock);
    scan->number = ++search->next_scan;
    scan->next = search->scans;
    search->scans = scan;
    pthread_mutex_unlock(&search->scan_lock);
}

static void withdraw(struct search *search, struct entry_scan *scan)
{
    pthread_mutex_lock(&search->scan_lock);
    struct entry_scan **link = &search->scans;
    while (*link != scan)
        link = &(*link)->next;
    *link = scan->next;
    pthread_mutex_unlock(&search->scan_lock);
}

static enum lh_code copy(struct search *search, struct lh_str select,
                         const struct lh_cancel *cancel, struct data_file *ret,
                         struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    const struct engine_copy_options options = {.codec = lh_lit("snappy")};
    enum lh_code code =
        engine_acquire(search->options.engine, (struct lh_str){0}, cancel, &connection, err);
    if (!code)
        code =
            data_file_copy(search->options.storage, connection, select, &options, cancel, ret, err);
    if (!code)
        code = data_file_seal(ret, connection, "a part of the index", cancel, err);
    engine_release(connection);
    return code;
}

static struct lh_str hex_of(const uint8_t *sha256, struct lh_arena *arena)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(sha256, LH_SHA256_BYTES, hex);
    return lh_arena_str(arena, lh_str_of(hex));
}

enum lh_code part_write(struct search *search, const struct index_manifest *manifest,
                        struct entries *entries, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct index_part *ret, struct lh_error *err)
{
    struct data_file file = {0};
    struct entry_scan scan = {.entries = entries};
    struct lh_uuid name = lh_uuid_new();
    struct lh_str key =
        lh_arena_printf(arena, SEARCH_FOLDER "/%.*s/%s.parquet", LH_ARG(manifest->id), name.text);
    announce(search, &scan);
    struct lh_str select = lh_arena_printf(
        arena,
        "SELECT CAST(id AS %.*s) AS id, chunk, start, text, content_hash, vector FROM %s(%lld)",
        LH_ARG(manifest->id_type), SCAN_FUNCTION, (long long)scan.number);
    enum lh_code code = copy(search, select, cancel, &file, err);
    withdraw(search, &scan);
    if (!code)
        code = storage_staged_publish(file.staged, index_bucket(manifest), key, err);
    data_file_discard(&file);
    if (code)
        return lh_error_context(err, "The index '%.*s'", LH_ARG(manifest->name));
    *ret = (struct index_part){.bytes = file.sum.bytes,
                               .entries = (int64_t)entries->count,
                               .key = key,
                               .sha256 = hex_of(file.sum.sha256, arena)};
    return LH_OK;
}

enum lh_code object_write(struct search *search, struct lh_str bucket, struct lh_str key,
                          struct lh_str bytes, struct lh_arena *arena, struct index_object *ret,
                          struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    struct storage_sum sum = {0};
    uint8_t written[LH_SHA256_BYTES];
    enum lh_code code = storage_stage(search->options.storage, lh_lit(".bin"), &staged, err);
    if (!code)
        code = storage_staged_write(staged, bytes.data, bytes.len, err);
    if (!code)
        code = storage_staged_seal(staged, &sum, err);
    lh_sha256_of(bytes, written);
    if (!code && memcmp(written, sum.sha256, sizeof written) != 0)
        code = lh_fail(err, LH_IO, "A file of the index does not read back as it was written.");
    if (!code)
        code = storage_staged_publish(staged, bucket, key, err);
    storage_staged_discard(staged);
    if (!code)
        *ret = (struct index_object){
            .bytes = sum.bytes, .key = key, .sha256 = hex_of(sum.sha256, arena)};
    return code;
}

/* --- reading */

bool object_sum(const struct index_object *object, struct storage_sum *ret)
{
    ret->bytes = object->bytes;
    return lh_hex_parse(object->sha256, ret->sha256, sizeof ret->sha256);
}

static enum lh_code fail_missing(struct storage *storage, struct lh_str bucket,
                                 const struct index_object *object, struct lh_error *err)
{
    if (!storage_has_bucket(storage, bucket))
        return lh_fail(err, LH_DAMAGED, "The bucket '%.*s', where it is, is not there any more.",
                       LH_ARG(bucket));
    return lh_fail(err, LH_DAMAGED, "The file %.*s is missing%s%.*s%s.", LH_ARG(object->key),
                   lh_str_equal(bucket, STORAGE_PRIMARY) ? "" : " in the bucket '",
                   lh_str_equal(bucket, STORAGE_PRIMARY) ? 0 : (int)bucket.len, bucket.data,
                   lh_str_equal(bucket, STORAGE_PRIMARY) ? "" : "'");
}

enum lh_code object_verify(struct storage *storage, struct lh_str bucket,
                           const struct index_object *object, struct lh_error *err)
{
    struct storage_sum sum;
    char hex[LH_SHA256_HEX_BYTES + 1];
    enum lh_code code = storage_sum(storage, bucket, object->key, NULL, &sum, err);
    if (code)
        return code == LH_NOT_FOUND ? fail_missing(storage, bucket, object, err) : code;
    lh_hex(sum.sha256, sizeof sum.sha256, hex);
    if (sum.bytes != object->bytes || !lh_str_equal(lh_str_of(hex), object->sha256))
        return lh_fail(err, LH_DAMAGED, "The file %.*s is not what was written.",
                       LH_ARG(object->key));
    return LH_OK;
}

enum lh_code object_pin(struct storage *storage, struct lh_str bucket,
                        const struct index_object *object, const struct lh_cancel *cancel,
                        struct storage_pin **ret, struct lh_error *err)
{
    struct storage_sum sum;
    *ret = NULL;
    if (!storage_is_remote(storage, bucket))
        return LH_OK;
    if (!object_sum(object, &sum))
        return lh_fail(err, LH_DAMAGED, "The checksum of %.*s is none.", LH_ARG(object->key));
    enum lh_code code = storage_pin(storage, bucket, object->key, &sum, cancel, ret, err);
    return code == LH_NOT_FOUND ? fail_missing(storage, bucket, object, err) : code;
}

enum lh_code object_read(struct storage *storage, struct lh_str bucket,
                         const struct index_object *object, size_t bytes_max,
                         struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    uint8_t found[LH_SHA256_BYTES];
    struct lh_str bytes = {0};
    enum lh_code code = storage_get(storage, bucket, object->key, bytes_max, arena, &bytes, err);
    if (code)
        return code == LH_NOT_FOUND ? fail_missing(storage, bucket, object, err) : code;
    lh_sha256_of(bytes, found);
    if ((int64_t)bytes.len != object->bytes || !lh_str_equal(hex_of(found, arena), object->sha256))
        return lh_fail(err, LH_DAMAGED, "The file %.*s is not what was written.",
                       LH_ARG(object->key));
    *ret = bytes;
    return LH_OK;
}

static enum lh_code read_vector(struct entries *entries, const struct engine_vector *column,
                                size_t row, struct lh_error *err)
{
    size_t at = entries->count - 1;
    if (engine_vector_is_null(column, row))
        return LH_OK;
    struct engine_list_entry list = engine_vector_list(column, row);
    if (list.length != entries->dimensions)
        return lh_fail(err, LH_DAMAGED, "A vector has %llu dimensions instead of %zu.",
                       (unsigned long long)list.length, entries->dimensions);
    memcpy(entries->vectors + at * entries->dimensions,
           (const float *)column->children[0].data + list.offset,
           entries->dimensions * sizeof(float));
    entries->is_blank[at] = false;
    return LH_OK;
}

static enum lh_code read_chunk(struct entries *entries, const struct engine_chunk *chunk,
                               struct lh_error *err)
{
    const struct engine_vector *columns = chunk->columns;
    enum lh_code code = LH_OK;
    for (size_t row = 0; row < chunk->row_count && !code; row++) {
        struct lh_str hash = engine_vector_str(&columns[4], row);
        bool has_text = !engine_vector_is_null(&columns[3], row);
        if (hash.len != SEARCH_HASH_BYTES || engine_vector_is_null(&columns[0], row))
            return lh_fail(err, LH_DAMAGED, "An entry has no id or no hash.");
        const struct entry entry = {
            .id = engine_vector_str(&columns[0], row),
            .chunk = ((const int32_t *)columns[1].data)[row],
            .start = ((const int64_t *)columns[2].data)[row],
            .text = has_text ? engine_vector_str(&columns[3], row) : (struct lh_str){0},
            .hash = (const uint8_t *)hash.data,
        };
        code = entries_add(entries, &entry, err);
        if (!code && entries->has_vectors)
            code = read_vector(entries, &columns[5], row, err);
    }
    return code;
}

static enum lh_code read_rows(struct search *search, struct lh_str path, struct entries *entries,
                              const struct lh_cancel *cancel, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_buf sql;
    lh_buf_init(&sql, 65536);
    lh_buf_printf(&sql,
                  "SELECT CAST(id AS VARCHAR), chunk, start, text, content_hash%s FROM "
                  "read_parquet([",
                  entries->has_vectors ? ", CAST(vector AS FLOAT[])" : "");
    engine_quote_path(&sql, path);
    lh_buf_append_str(&sql, lh_lit("], hive_partitioning = false)"));
    enum lh_code code = lh_buf_check(&sql, "The path of a part", err);
    if (!code)
        code = engine_query(search->options.engine, lh_buf_str(&sql), NULL, cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        code = read_chunk(entries, chunk, err);
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    return code;
}

enum lh_code part_read(struct search *search, const struct index_manifest *manifest,
                       const struct index_part *part, bool has_vectors,
                       const struct lh_cancel *cancel, struct entries **ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str path = {0};
    const struct index_object object = {
        .key = part->key, .bytes = part->bytes, .sha256 = part->sha256};
    struct entries *entries = entries_new((size_t)manifest->dimensions, has_vectors);
    struct lh_error why = LH_ERROR_NONE;
    struct storage *storage = search->options.storage;
    struct lh_str bucket = index_bucket(manifest);
    struct storage_pin *pinned = NULL;
    enum lh_code code = object_pin(storage, bucket, &object, cancel, &pinned, err);
    if (!code && !pinned)
        code = object_verify(storage, bucket, &object, err);
    bool was_sound = !code && !pinned;
    if (!code)
        code = storage_object_path(storage, bucket, part->key, arena, &path, err);
    if (!code)
        code = entries_reserve(entries, (size_t)part->entries, err);
    if (!code)
        code = read_rows(search, path, entries, cancel, err);
    /* Merged away after it was looked at: that is what to tell. */
    if (code && was_sound && code != LH_CANCELLED &&
        object_verify(storage, bucket, &object, &why) == LH_DAMAGED)
        code = lh_fail(err, LH_DAMAGED, "%s", why.message);
    if (!code && (int64_t)entries->count != part->entries)
        code = lh_fail(err, LH_DAMAGED, "A part has %zu entries, its manifest says %lld.",
                       entries->count, (long long)part->entries);
    if (!code)
        entries_make_codes(entries);
    storage_unpin(pinned);
    lh_arena_free(arena);
    if (code) {
        entries_unref(entries);
        return lh_error_context(err, "The index '%.*s'", LH_ARG(manifest->name));
    }
    *ret = entries;
    return LH_OK;
}
