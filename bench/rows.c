#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/relations.h"

static const struct query_principal admin = {.is_trusted = true};

/* Every name is a table of the engine. */
static uint64_t stamp(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment)
{
    (void)context;
    (void)scope;
    (void)name;
    (void)moment;
    return 1;
}

static enum lh_code write_table(void *context, const struct query_scope *scope, struct lh_str name,
                                const struct query_moment *moment,
                                struct query_relation_writer *writer, struct lh_error *err)
{
    char sql[256];
    (void)context;
    (void)scope;
    (void)moment;
    (void)err;
    int len = snprintf(sql, sizeof sql, "SELECT * FROM memory.main.\"%.*s\"", LH_ARG(name));
    query_write_sql(writer, (struct lh_str){sql, (size_t)len});
    return LH_OK;
}

static void list(void *context, const struct query_scope *scope,
                 void (*each)(void *each_context, struct lh_str name), void *each_context)
{
    (void)context;
    (void)scope;
    (void)each;
    (void)each_context;
}

static const struct query_relations tables = {
    .kind = "table", .stamp = stamp, .write = write_table, .list = list};

void rows_open(struct rows *rows, unsigned threads, size_t target_bytes)
{
    static const struct query_relations *const relations[] = {&tables};
    struct lh_error err = LH_ERROR_NONE;
    struct engine_options options = {.thread_count = threads};
    memset(rows, 0, sizeof *rows);
    if (engine_open(&options, &rows->engine, &err))
        bench_die("%s", err.message);
    struct query_engine_options query = {
        .engine = rows->engine,
        .relations = relations,
        .relation_count = 1,
        .scratch_path = lh_str_of(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp"),
    };
    if (query_engine_new(&query, &rows->query, &err))
        bench_die("%s", err.message);
    rows->target_bytes = target_bytes;
    rows->target = target_bytes ? malloc(target_bytes) : NULL;
    if (target_bytes && !rows->target)
        bench_die("no memory");
    if (target_bytes)
        memset(rows->target, 1, target_bytes);
}

void rows_close(struct rows *rows)
{
    query_engine_free(rows->query);
    engine_close(rows->engine);
    free(rows->target);
}

int64_t rows_execute(struct rows *rows, const char *sql)
{
    struct engine_connection *connection = NULL;
    struct lh_error err = LH_ERROR_NONE;
    int64_t count = 0;
    if (engine_acquire(rows->engine, (struct lh_str){0}, NULL, &connection, &err) ||
        engine_execute(connection, lh_str_of(sql), NULL, NULL, &count, &err))
        bench_die("%s: %s", sql, err.message);
    engine_release(connection);
    return count;
}

void rows_cell(struct rows *rows, const char *sql, char *ret, size_t size)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf text;
    lh_buf_init(&text, 65536);
    if (engine_query(rows->engine, lh_str_of(sql), NULL, NULL, &cursor, &err) ||
        engine_cursor_next(cursor, &chunk, &err) || !chunk)
        bench_die("%s: %s", sql, err.message);
    engine_value_text(&chunk->columns[0], 0, &text);
    snprintf(ret, size, "%.*s", (int)text.len, text.data);
    lh_buf_release(&text);
    engine_cursor_close(cursor);
}

struct target {
    struct rows *rows;
    FILE *file;
    size_t at, bytes;
};

static enum lh_code take(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct target *target = context;
    struct rows *rows = target->rows;
    target->bytes += bytes.len;
    if (target->file)
        return fwrite(bytes.data, 1, bytes.len, target->file) == bytes.len
                   ? LH_OK
                   : lh_fail(err, LH_IO, "a file cannot be written");
    while (bytes.len && rows->target) {
        size_t room = rows->target_bytes - target->at;
        size_t part = bytes.len < room ? bytes.len : room;
        memcpy(rows->target + target->at, bytes.data, part);
        target->at = (target->at + part) % rows->target_bytes;
        bytes = lh_str_slice(bytes, part, bytes.len);
    }
    return LH_OK;
}

struct rows_sent rows_encode(struct rows *rows, const char *format, const char *sql,
                             const char *path)
{
    struct target target = {.rows = rows, .file = path ? fopen(path, "wb") : NULL};
    struct query_sink sink = {.context = &target, .write = take};
    struct query_request request = {.sql = lh_str_of(sql),
                                    .limit = QUERY_ROWS_MAX,
                                    .timeout_ms = 600000,
                                    .encoder = query_encoder_by_name(lh_str_of(format))};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    bool is_failed = false;
    double start = bench_now();
    if (query_open(rows->query, &admin, &request, NULL, &query, &err) ||
        query_encode(query, request.encoder, NULL, &sink, &is_failed, &err) || is_failed)
        bench_die("%s: %s", sql, err.message);
    struct rows_sent sent = {
        .seconds = bench_now() - start, .bytes = target.bytes, .rows = query_row_count(query)};
    query_close(query);
    if (target.file)
        fclose(target.file);
    return sent;
}

struct rows_sent rows_fetch(struct rows *rows, const char *sql)
{
    struct query_request request = {
        .sql = lh_str_of(sql), .limit = QUERY_ROWS_MAX, .timeout_ms = 600000};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    const struct engine_chunk *chunk = NULL;
    double start = bench_now();
    if (query_open(rows->query, &admin, &request, NULL, &query, &err))
        bench_die("%s: %s", sql, err.message);
    do {
        if (query_next(query, &chunk, &err))
            bench_die("%s: %s", sql, err.message);
    } while (chunk);
    struct rows_sent sent = {.seconds = bench_now() - start, .rows = query_row_count(query)};
    query_close(query);
    return sent;
}
