/* The last step of an erasure: every file of the data folder, whoever wrote it, is searched for
 * what the rows held. Parquet is packed and is read through the engine, row by row; everything is
 * read as bytes besides. What is packed in another way cannot be looked into, and is named. */
#include "lake/erase_scan.h"
#include "base/file.h"
#include "catalog/files.h"
#include "engine/engine.h"
#include "lake/erase_run.h"
#include "storage/scrub.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES ((size_t)1 << 20)
#define SELECT_BYTES_MAX ((size_t)1 << 20)

struct file_scan {
    struct erase_scanning *scanning;
    size_t keys, texts; /* places where one was found */
    bool keys_only;     /* of what drops */
    bool drops;         /* its rows are left: what they hold is theirs */
};

static void note(void *context, size_t index, size_t at, size_t len)
{
    struct file_scan *file = context;
    const struct canaries *canaries = file->scanning->canaries;
    (void)at;
    (void)len;
    if (canaries_is_dropped(canaries, index))
        return;
    file->keys += canaries_is_key(canaries, index);
    file->texts += !canaries_is_key(canaries, index);
}

void erase_scan_find(struct erase_scanning *scanning, struct lh_str object, struct lh_str what)
{
    if (scanning->told)
        scanning->told(scanning->context, object);
    if (scanning->found_count == LAKE_ERASE_FOUND_MAX) {
        scanning->found_more++;
        return;
    }
    scanning->found[scanning->found_count++] = (struct lake_erase_finding){
        lh_arena_str(scanning->arena, object), lh_arena_str(scanning->arena, what)};
}

/* --- Parquet */

static bool is_nested(const struct engine_type_info *info)
{
    return info->child_count > 0;
}

static bool holds_texts(const struct engine_type_info *info)
{
    if (info->type == ENGINE_TEXT || info->type == ENGINE_BLOB || info->type == ENGINE_ENUM ||
        info->type == ENGINE_UUID)
        return true;
    for (size_t i = 0; i < info->child_count; i++)
        if (holds_texts(info->children[i]))
            return true;
    return false;
}

/* A key that is looked for has nine digits at least: a FLOAT, as vectors have, has fewer. */
static bool holds_values(const struct engine_type_info *info)
{
    bool is_some = !info->child_count && info->type != ENGINE_FLOAT && info->type != ENGINE_BOOL;
    for (size_t i = 0; i < info->child_count; i++)
        is_some |= holds_values(info->children[i]);
    return is_some;
}

/* Numbers and moments stand for something only if keys are such. */
static bool write_select(const struct engine_columns *columns, bool has_values, struct lh_str path,
                         struct lh_buf *sql)
{
    size_t count = 0;
    lh_buf_append_str(sql, lh_lit("SELECT "));
    for (size_t i = 0; i < columns->count; i++) {
        const struct engine_type_info *info = columns->items[i].info;
        bool is_plain = info->type == ENGINE_TEXT || info->type == ENGINE_BLOB;
        if (!holds_texts(info) && !(has_values && holds_values(info)))
            continue;
        lh_buf_append_str(sql, count++ ? lh_lit(", ") : lh_lit(""));
        lh_buf_append_str(sql, is_plain          ? lh_lit("")
                               : is_nested(info) ? lh_lit("CAST(to_json(")
                                                 : lh_lit("CAST("));
        engine_quote_ident(sql, columns->items[i].name);
        lh_buf_append_str(sql, is_plain          ? lh_lit("")
                               : is_nested(info) ? lh_lit(") AS VARCHAR)")
                                                 : lh_lit(" AS VARCHAR)"));
    }
    lh_buf_append_str(sql, lh_lit(" FROM read_parquet("));
    engine_quote_path(sql, path);
    lh_buf_append_str(sql, lh_lit(", hive_partitioning = false)"));
    return count > 0;
}

static enum lh_code search_rows(struct file_scan *file, struct lh_str sql, struct lh_error *err)
{
    struct erase_scanning *scanning = file->scanning;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = engine_query(scanning->engine, sql, NULL, scanning->cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        for (size_t at = 0; at < chunk->column_count; at++)
            for (size_t row = 0; row < chunk->row_count; row++) {
                if (engine_vector_is_null(&chunk->columns[at], row))
                    continue;
                struct lh_str text = engine_vector_str(&chunk->columns[at], row);
                if (file->drops)
                    canaries_share(scanning->canaries, text, file->keys_only);
                else
                    canaries_search(scanning->canaries, text, 0, text.len, note, file);
            }
    engine_cursor_close(cursor);
    return code;
}

/* The Parquet file at an absolute path. */
static enum lh_code decode(struct file_scan *file, struct lh_str path, struct lh_error *err)
{
    struct erase_scanning *scanning = file->scanning;
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_connection *connection = NULL;
    struct engine_columns columns = {0};
    int64_t rows = 0;
    struct lh_buf sql;
    lh_buf_init(&sql, SELECT_BYTES_MAX);
    enum lh_code code =
        engine_acquire(scanning->engine, (struct lh_str){0}, scanning->cancel, &connection, err);
    if (!code)
        code = engine_parquet_schema(connection, path, arena, &columns, &rows, err);
    engine_release(connection);
    if (!code && write_select(&columns, scanning->has_values && !file->drops, path, &sql)) {
        code = lh_buf_check(&sql, "The statement", err);
        if (!code)
            code = search_rows(file, lh_buf_str(&sql), err);
    }
    if (!code && !file->drops) {
        scanning->result.decoded_files++;
        scanning->result.decoded_rows += rows;
    }
    lh_buf_release(&sql);
    lh_arena_free(arena);
    return code;
}

static void note_not_read(struct erase_scanning *scanning, struct lh_str path)
{
    size_t most = sizeof scanning->not_read / sizeof scanning->not_read[0];
    if (scanning->not_read_count < most)
        scanning->not_read[scanning->not_read_count++] = lh_arena_str(scanning->arena, path);
    else
        scanning->not_read_more++;
}

/* --- bytes */

enum packing { PLAIN, PARQUET, PACKED };

static enum packing packing_of(const char *bytes, size_t count)
{
    static const char gzip[] = {'\x1F', '\x8B'}, zstd[] = {'\x28', '\xB5', '\x2F', '\xFD'},
                      zip[] = {'P', 'K', 3, 4};
    if (count >= 4 && memcmp(bytes, "PAR1", 4) == 0)
        return PARQUET;
    if ((count >= sizeof gzip && memcmp(bytes, gzip, sizeof gzip) == 0) ||
        (count >= sizeof zstd && memcmp(bytes, zstd, sizeof zstd) == 0) ||
        (count >= sizeof zip && memcmp(bytes, zip, sizeof zip) == 0))
        return PACKED;
    return PLAIN;
}

static enum lh_code search_bytes(struct file_scan *file, int fd, enum packing *ret_packing,
                                 int64_t *ret_bytes, struct lh_error *err)
{
    struct erase_scanning *scanning = file->scanning;
    size_t overlap = canaries_overlap(scanning->canaries), kept = 0, from = 0;
    char *buffer = lh_allocate(PIECE_BYTES + 2 * overlap, 1);
    int64_t offset = 0;
    enum lh_code code = LH_OK;
    bool is_last = false;
    *ret_packing = PLAIN;
    while (!code && !is_last) {
        size_t count = 0;
        code = lh_file_read_at(fd, buffer + kept, PIECE_BYTES, offset, &count, err);
        if (code)
            break;
        if (!offset)
            *ret_packing = packing_of(buffer, count);
        is_last = count < PIECE_BYTES;
        offset += (int64_t)count;
        size_t len = kept + count;
        /* What begins in the last bytes is searched for with the next piece. */
        size_t upto = is_last || len < overlap ? len : len - overlap;
        canaries_search(scanning->canaries, (struct lh_str){buffer, len}, from, upto, note, file);
        size_t start = upto > CANARY_AROUND_BYTES ? upto - CANARY_AROUND_BYTES : 0;
        from = upto - start;
        kept = len - start;
        memmove(buffer, buffer + start, kept);
        code = lh_cancel_fail(scanning->cancel, "The search through all files", err);
    }
    free(buffer);
    *ret_bytes = offset;
    return code;
}

bool erase_is_final(enum lh_code code)
{
    return code == LH_CANCELLED || code == LH_TIMEOUT || code == LH_STOPPING || code == LH_BUSY;
}

/* Request and plan of another erasure hold what it must find, the same keys maybe: they go when it
 * ends. One that was found to be complete has no business with them any more. */
static bool is_pending(struct erase_scanning *scanning, struct lh_str path)
{
    struct lake_erasure other;
    bool is_list = lh_str_ends_with(path, lh_lit(".request.json")) ||
                   lh_str_ends_with(path, lh_lit(".plan.json"));
    if (!is_list || !lh_str_starts_with(path, lh_lit(ERASE_FOLDER "/")))
        return false;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str id =
        lh_str_head(lh_str_slice(path, sizeof ERASE_FOLDER, path.len), LH_UUID_TEXT_BYTES);
    enum lh_code code =
        erase_read(scanning->storage, id, "receipt", &lake_erasure_fields, arena, &other, NULL);
    bool is_one = code == LH_NOT_FOUND || (!code && other.state == LAKE_ERASE_INCOMPLETE);
    lh_arena_free(arena);
    if (is_one && !scanning->pending_count++)
        scanning->pending = lh_arena_str(scanning->arena, id);
    return is_one;
}

static void find_in_file(const struct file_scan *file, struct lh_str object)
{
    struct lh_arena *arena = file->scanning->arena;
    struct lh_str what =
        lh_arena_printf(arena, "A key stands in it %zu times, a text of an erased row %zu.",
                        file->keys, file->texts);
    struct lh_str where = erase_tell_manifest(file->scanning, object);
    if (where.len)
        what = lh_arena_printf(arena, "%.*s %.*s", LH_ARG(what), LH_ARG(where));
    erase_scan_find(file->scanning, object, what);
}

enum lh_code erase_scan_file(struct erase_scanning *scanning, struct lh_str object,
                             struct lh_str path, int fd, struct lh_error *err)
{
    struct file_scan file = {.scanning = scanning};
    struct lh_error found = LH_ERROR_NONE;
    enum packing packing = PLAIN;
    int64_t bytes = 0;
    enum lh_code code = search_bytes(&file, fd, &packing, &bytes, err);
    if (code)
        return code;
    scanning->result.files++;
    scanning->result.bytes += bytes;
    if (packing == PARQUET)
        code = decode(&file, path, &found);
    if (code && erase_is_final(code)) {
        if (err)
            *err = found;
        return code;
    }
    if (code || packing == PACKED)
        note_not_read(scanning, object);
    if (file.keys || file.texts)
        find_in_file(&file, object);
    file.keys = file.texts = 0;
    canaries_search(scanning->canaries, object, 0, object.len, note, &file);
    if (file.keys || file.texts)
        erase_scan_find(scanning, object,
                        lh_lit("Its name says a key, or a text of an erased row."));
    return LH_OK;
}

static enum lh_code visit(void *context, struct lh_str path, int fd, struct lh_error *err)
{
    struct erase_scanning *scanning = context;
    if (lh_str_starts_with(path, scanning->own) || is_pending(scanning, path))
        return LH_OK;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str root = storage_path(scanning->storage);
    struct lh_str whole = lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(root), LH_ARG(path));
    enum lh_code code = erase_scan_file(scanning, path, whole, fd, err);
    lh_arena_free(arena);
    return code;
}

enum lh_code erase_scan_shared(struct erase_scanning *scanning,
                               const struct catalog_object *const *objects, size_t count,
                               bool keys_only, struct lh_error *err)
{
    struct file_scan file = {.scanning = scanning, .drops = true, .keys_only = keys_only};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_arena *arena = lh_arena_new(0); /* of what is pinned */
        struct lh_str path;
        code =
            catalog_object_file(scanning->catalog, objects[i], scanning->cancel, arena, &path, err);
        if (!code)
            code = decode(&file, path, err);
        lh_arena_free(arena);
    }
    return code;
}

enum lh_code erase_scan(struct erase_scanning *scanning, struct lh_error *err)
{
    int64_t special = 0;
    enum lh_code code = storage_each_file(scanning->storage, visit, scanning, &special, err);
    scanning->result.texts = scanning->result.texts_shared = 0;
    for (size_t i = 0; i < canaries_count(scanning->canaries); i++)
        *(canaries_is_dropped(scanning->canaries, i) ? &scanning->result.texts_shared
                                                     : &scanning->result.texts) += 1;
    return code;
}
