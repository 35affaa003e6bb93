#include "support/kept_engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "engine/internal.h"

#define FUNCTIONS_MAX 16

/* The linker gives these names: every call of engine_open comes to __wrap_engine_open. */
enum lh_code __real_engine_open(const struct engine_options *options, struct engine **ret,
                                struct lh_error *err);
void __real_engine_close(struct engine *engine);
enum lh_code __real_engine_register_table(struct engine *engine,
                                          const struct engine_table_function *function,
                                          struct lh_error *err);
enum lh_code __wrap_engine_open(const struct engine_options *options, struct engine **ret,
                                struct lh_error *err);
void __wrap_engine_close(struct engine *engine);
enum lh_code __wrap_engine_register_table(struct engine *engine,
                                          const struct engine_table_function *function,
                                          struct lh_error *err);

static struct {
    pthread_mutex_t lock;
    struct engine *engine; /* NULL: none yet */
    struct engine_options options;
    unsigned lakes, lakes_max; /* that it served; 0: nothing is kept */
    bool is_used;
    struct engine_table_function functions[FUNCTIONS_MAX];
    char names[FUNCTIONS_MAX][64];
    size_t function_count;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

void kept_engine_begin(unsigned lakes)
{
    pthread_mutex_lock(&kept.lock);
    kept.lakes_max = lakes;
    pthread_mutex_unlock(&kept.lock);
}

int kept_engine_end(int failed)
{
    pthread_mutex_lock(&kept.lock);
    struct engine *engine = kept.engine;
    assert_false(kept.is_used);
    kept.engine = NULL;
    kept.lakes_max = 0;
    pthread_mutex_unlock(&kept.lock);
    __real_engine_close(engine);
    return failed;
}

static bool is_same(const struct engine_options *a, const struct engine_options *b)
{
    return a->thread_count == b->thread_count && a->connection_max == b->connection_max &&
           a->memory_bytes == b->memory_bytes && a->temp_bytes == b->temp_bytes;
}

/* An error that the library takes for its own end makes it refuse everything after it. */
static bool answers(struct engine *engine)
{
    duckdb_result result;
    duckdb_state state = duckdb_query(engine->connections[0]->handle, "SELECT 1", &result);
    duckdb_destroy_result(&result);
    return state == DuckDBSuccess;
}

enum lh_code __wrap_engine_open(const struct engine_options *options, struct engine **ret,
                                struct lh_error *err)
{
    pthread_mutex_lock(&kept.lock);
    bool is_wanted = kept.lakes_max && !kept.is_used;
    bool is_there = is_wanted && kept.engine && is_same(options, &kept.options);
    struct engine *old = NULL;
    enum lh_code code = LH_OK;
    if (is_wanted && kept.engine && (!is_there || !answers(kept.engine))) {
        old = kept.engine;
        kept.engine = NULL;
        is_there = false;
    }
    if (is_wanted && !is_there) {
        code = __real_engine_open(options, &kept.engine, err);
        kept.options = *options;
        kept.lakes = 0;
        kept.function_count = 0;
    }
    if (is_wanted && !code) {
        *ret = kept.engine;
        kept.is_used = true;
        kept.lakes++;
    }
    pthread_mutex_unlock(&kept.lock);
    __real_engine_close(old);
    return is_wanted ? code : __real_engine_open(options, ret, err);
}

/* They hold what the functions bound, which is the lake's. */
static void drop_statements(struct engine_connection *connection)
{
    for (size_t i = 0; i < ENGINE_STATEMENTS_MAX; i++) {
        if (connection->statements[i].is_kept)
            statement_forget(connection, &connection->statements[i]);
        else
            statement_drop(&connection->statements[i]);
    }
    statement_drop(&connection->once);
    connection->error = (struct lh_error)LH_ERROR_NONE;
}

void __wrap_engine_close(struct engine *engine)
{
    pthread_mutex_lock(&kept.lock);
    bool is_kept = engine && engine == kept.engine;
    bool goes_on = is_kept && kept.lakes < kept.lakes_max;
    if (is_kept) {
        assert_int_equal(engine->busy_count, 0);
        kept.is_used = false;
    }
    for (size_t i = 0; goes_on && i < engine->connection_count; i++)
        drop_statements(engine->connections[i]);
    if (is_kept && !goes_on)
        kept.engine = NULL;
    pthread_mutex_unlock(&kept.lock);
    if (!goes_on)
        __real_engine_close(engine);
}

/* --- functions: the library knows them for as long as it lives, so it is given these, which call
 * those of the lake that is open */

static enum lh_code bind(void *context, struct engine_bind *engine_bind, void **ret_bound,
                         struct lh_error *err)
{
    const struct engine_table_function *function = context;
    return function->bind(function->context, engine_bind, ret_bound, err);
}

static enum lh_code start(void *context, void *bound, struct engine_scan *scan, void **ret_state,
                          struct lh_error *err)
{
    const struct engine_table_function *function = context;
    return function->start ? function->start(function->context, bound, scan, ret_state, err)
                           : LH_OK;
}

static enum lh_code next(void *context, void *bound, void *state, struct engine_scan *scan,
                         struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    const struct engine_table_function *function = context;
    return function->next(function->context, bound, state, scan, write, ret_rows, err);
}

enum lh_code __wrap_engine_register_table(struct engine *engine,
                                          const struct engine_table_function *function,
                                          struct lh_error *err)
{
    if (engine != kept.engine)
        return __real_engine_register_table(engine, function, err);
    size_t at = 0;
    while (at < kept.function_count && strcmp(kept.names[at], function->name) != 0)
        at++;
    bool is_known = at < kept.function_count;
    assert_true(at < FUNCTIONS_MAX);
    kept.functions[at] = *function;
    if (is_known)
        return LH_OK;
    struct engine_table_function ours = *function;
    ours.context = &kept.functions[at];
    ours.bind = bind;
    ours.start = start;
    ours.next = next;
    enum lh_code code = __real_engine_register_table(engine, &ours, err);
    if (!code)
        snprintf(kept.names[kept.function_count++], sizeof(kept.names[0]), "%s", function->name);
    return code;
}
