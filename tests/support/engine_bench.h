/* An engine and one of its connections, for tests that need nothing else of the house. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_ENGINE_BENCH_H
#define LAKEHOUSE_TESTS_SUPPORT_ENGINE_BENCH_H

#include "engine/engine.h"

struct engine_bench {
    struct engine *engine;
    struct engine_connection *connection;
    struct lh_error err;
    char folder[64]; /* an empty folder of its own */
};

/* Group setup and teardown of cmocka. The teardown removes the folder with what is in it. */
int engine_bench_open(void **state);
int engine_bench_close(void **state);

/* Runs a statement without parameters; fails the test if it does not start. */
struct engine_cursor *engine_bench_run(struct engine_bench *bench, const char *sql);
/* Runs it and returns the first value as text, in static memory; "NULL" for NULL. */
const char *engine_bench_text(struct engine_bench *bench, const char *sql);
/* Runs it to its end; the code it ends with, the error in bench->err. */
enum lh_code engine_bench_code(struct engine_bench *bench, const char *sql,
                               const struct lh_cancel *cancel);
/* An absolute path in the folder, in static memory. */
const char *engine_bench_path(struct engine_bench *bench, const char *name);

#endif
