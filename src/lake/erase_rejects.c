/* Rows that were not taken when a file came are kept beside the data, as they were written. Those
 * in which something of the erased rows stands stay as a line that says nothing: the file's name
 * and the number of its rows stand in manifests. */
#include <stdlib.h>

#include "base/file.h"
#include "catalog/rejects.h"
#include "engine/engine.h"
#include "lake/erasing_internal.h"

#define SQL_BYTES_MAX ((size_t)16 << 20)
#define PIECE_BYTES ((size_t)1 << 20)
#define STAMP_ROOM ((size_t)1 << 20) /* what is written anew may be a little larger */

static bool holds(const struct erase_rejects *of, struct lh_str text)
{
    return canaries_holds(of->canaries, text) || erase_keys_in(of->keys, text);
}

static void write_from(struct lh_str path, struct lh_buf *sql)
{
    lh_buf_append_str(sql, lh_lit(" FROM read_parquet("));
    engine_quote_path(sql, path);
    lh_buf_append_str(sql, lh_lit(", hive_partitioning = false, file_row_number = true)"));
}

/* Their numbers, as SQL lists them. */
static enum lh_code find_rows(const struct erase_rejects *of, struct lh_str path,
                              struct lh_buf *list, int64_t *ret_count, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_buf sql;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, lh_lit("SELECT CAST(file_row_number AS BIGINT), concat_ws(' ', "
                                   "CAST(reason AS VARCHAR), CAST(raw AS VARCHAR))"));
    write_from(path, &sql);
    enum lh_code code = lh_buf_check(&sql, "The statement", err);
    if (!code)
        code = engine_query(of->engine, lh_buf_str(&sql), NULL, of->cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++)
            if (holds(of, engine_vector_str(&chunk->columns[1], row))) {
                lh_buf_printf(list, "%s%lld", list->len ? "," : "",
                              (long long)((const int64_t *)chunk->columns[0].data)[row]);
                ++*ret_count;
            }
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    return code ? code : lh_buf_check(list, "The list of rows", err);
}

static enum lh_code read_staged(struct lh_str path, struct lh_buf *ret, struct lh_error *err)
{
    char *piece = lh_allocate(PIECE_BYTES, 1);
    size_t count = PIECE_BYTES;
    int fd = -1;
    enum lh_code code = lh_file_open_path(path, &fd, err);
    while (!code && count == PIECE_BYTES) {
        code = lh_file_read_at(fd, piece, PIECE_BYTES, (int64_t)ret->len, &count, err);
        if (!code)
            lh_buf_append_str(ret, (struct lh_str){piece, count});
        if (!code)
            code = lh_buf_check(ret, "A file of rows that were not taken", err);
    }
    if (fd >= 0)
        (void)!lh_file_close(fd, NULL);
    free(piece);
    return code;
}

/* The same rows in the same order, in the file's place. One that is not what was written stays
 * so for whoever reads it. */
static enum lh_code write_anew(const struct erase_rejects *of, struct lh_str key,
                               struct lh_str path, struct lh_str list, struct lh_error *err)
{
    const struct engine_copy_options options = {.codec = lh_lit("snappy"), .has_no_sums = true};
    struct engine_connection *connection = NULL;
    struct storage_staged *staged = NULL;
    struct engine_content content;
    struct lh_buf sql, bytes;
    bool is_sound = !catalog_rejects_check(of->storage, key, of->cancel, NULL);
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_init(&bytes, CATALOG_REJECTS_ANEW_MAX);
    lh_buf_printf(&sql,
                  "SELECT line, CASE WHEN file_row_number IN (%.*s) THEN 'erased' ELSE reason END "
                  "AS reason, CASE WHEN file_row_number IN (%.*s) THEN 'erased' ELSE raw END AS "
                  "raw",
                  LH_ARG(list), LH_ARG(list));
    write_from(path, &sql);
    lh_buf_append_str(&sql, lh_lit(" ORDER BY file_row_number"));
    enum lh_code code = lh_buf_check(&sql, "The statement", err);
    if (!code)
        code = storage_stage(of->storage, lh_lit(".parquet"), &staged, err);
    if (!code)
        code = engine_acquire(of->engine, (struct lh_str){0}, of->cancel, &connection, err);
    if (!code)
        code = engine_copy(connection, lh_buf_str(&sql), storage_staged_path(staged), &options,
                           NULL, of->cancel, &content, err);
    engine_release(connection);
    if (!code)
        code = storage_staged_seal(staged, NULL, err);
    if (!code)
        code = read_staged(storage_staged_path(staged), &bytes, err);
    if (!code && is_sound)
        code = catalog_rejects_stamp(&bytes, err);
    if (!code)
        code = storage_put_replacing(of->storage, STORAGE_PRIMARY, key, lh_buf_str(&bytes), err);
    storage_staged_discard(staged);
    lh_buf_release(&sql);
    lh_buf_release(&bytes);
    return code;
}

/* How the engine reads it: an erasure before may have written it anew under its name. */
static enum lh_code path_of(const struct erase_rejects *of, struct lh_str file,
                            struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    struct storage_info info = {0};
    enum lh_code code = storage_info(of->storage, STORAGE_PRIMARY, file, &info, err);
    if (!code)
        code = storage_object_path(of->storage, STORAGE_PRIMARY, file, arena, ret, err);
    if (!code)
        *ret = engine_path_of(*ret, (uint64_t)info.changed_ns ^ info.inode, arena);
    return code;
}

enum lh_code erase_rejects_count(const struct erase_rejects *of, struct lh_str file, int64_t *ret,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str root = storage_path(of->storage), path;
    struct lh_buf list;
    lh_buf_init(&list, SQL_BYTES_MAX);
    enum lh_code code = LH_OK;
    if (lh_str_starts_with(file, lh_lit("_"))) /* in the trash */
        path = lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(root), LH_ARG(file));
    else
        code = path_of(of, file, arena, &path, err);
    *ret = 0;
    if (!code)
        code = find_rows(of, path, &list, ret, err);
    lh_buf_release(&list);
    lh_arena_free(arena);
    return code;
}

enum lh_code erase_rejects(const struct erase_rejects *of, struct lh_str dataset_id,
                           int64_t *ret_rows, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *files = NULL;
    size_t count = 0;
    enum lh_code code =
        storage_list(of->storage, STORAGE_PRIMARY,
                     lh_arena_printf(arena, "datasets/%.*s/rejects", LH_ARG(dataset_id)), arena,
                     &files, &count, err);
    *ret_rows = 0;
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_buf list;
        struct lh_str path = {0};
        int64_t rows = 0;
        if (files[i].is_folder || files[i].is_special ||
            files[i].bytes > (int64_t)(CATALOG_REJECTS_ANEW_MAX - STAMP_ROOM)) /* the scan tells */
            continue;
        lh_buf_init(&list, SQL_BYTES_MAX / 4);
        code = path_of(of, files[i].key, arena, &path, err);
        if (!code)
            code = find_rows(of, path, &list, &rows, err);
        if (!code && rows)
            code = write_anew(of, files[i].key, path, lh_buf_str(&list), err);
        *ret_rows += code ? 0 : rows;
        lh_buf_release(&list);
    }
    lh_arena_free(arena);
    return code;
}
