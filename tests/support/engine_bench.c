#include "support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

int engine_bench_open(void **state)
{
    static struct engine_bench bench;
    struct engine_options options = {
        .memory_bytes = (int64_t)1 << 30, .thread_count = 2, .connection_max = 4};
    bench = (struct engine_bench){.err = LH_ERROR_NONE};
    snprintf(bench.folder, sizeof bench.folder, "/tmp/lakehouse-engine-XXXXXX");
    if (!mkdtemp(bench.folder))
        return -1;
    if (engine_open(&options, &bench.engine, &bench.err) ||
        engine_acquire(bench.engine, (struct lh_str){0}, NULL, &bench.connection, &bench.err)) {
        fprintf(stderr, "%s\n", bench.err.message);
        return -1;
    }
    *state = &bench;
    return 0;
}

int engine_bench_close(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_dir *dir = NULL;
    engine_release(bench->connection);
    engine_close(bench->engine);
    if (lh_dir_open(lh_lit("/tmp"), false, &dir, &bench->err) ||
        lh_dir_remove_tree(dir, bench->folder + strlen("/tmp/"), &bench->err)) {
        fprintf(stderr, "%s\n", bench->err.message);
        return -1;
    }
    lh_dir_close(dir);
    return 0;
}

struct engine_cursor *engine_bench_run(struct engine_bench *bench, const char *sql)
{
    struct engine_cursor *cursor = NULL;
    if (engine_run(bench->connection, lh_str_of(sql), NULL, NULL, &cursor, &bench->err))
        fail_msg("%s: %s", sql, bench->err.message);
    return cursor;
}

const char *engine_bench_text(struct engine_bench *bench, const char *sql)
{
    static char text[4096];
    const struct engine_chunk *chunk = NULL;
    struct engine_cursor *cursor = engine_bench_run(bench, sql);
    if (engine_cursor_next(cursor, &chunk, &bench->err))
        fail_msg("%s: %s", sql, bench->err.message);
    assert_non_null(chunk);
    struct lh_buf buf;
    lh_buf_init(&buf, sizeof text - 1);
    if (engine_vector_is_null(&chunk->columns[0], 0))
        lh_buf_append_str(&buf, lh_lit("NULL"));
    else
        engine_value_text(&chunk->columns[0], 0, &buf);
    snprintf(text, sizeof text, "%.*s", LH_ARG(lh_buf_str(&buf)));
    lh_buf_release(&buf);
    engine_cursor_close(cursor);
    return text;
}

enum lh_code engine_bench_code(struct engine_bench *bench, const char *sql,
                               const struct lh_cancel *cancel)
{
    bench->err = (struct lh_error)LH_ERROR_NONE;
    return engine_execute(bench->connection, lh_str_of(sql), NULL, cancel, NULL, &bench->err);
}

const char *engine_bench_path(struct engine_bench *bench, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    return path;
}
