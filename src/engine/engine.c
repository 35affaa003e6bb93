/* Opening an instance with its guards, and the pool of its connections. */
#include "engine/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define CONNECTIONS_PRESET 32
#define WAIT_STEP_MS 5

struct setting {
    const char *name;
    const char *value;
};

/* What never changes, before anything can run. */
static const struct setting guards[] = {
    {"autoinstall_known_extensions", "false"},
    {"autoload_known_extensions", "false"},
    {"allow_community_extensions", "false"},
    {"allow_unsigned_extensions", "false"},
    {"errors_as_json", "true"},
};

/* Known only once the built-in extensions are in; the lock comes last. Data files never change, so
 * nothing asks the file system again whether they did. Footers are not cached: the cache has no
 * bound but memory_limit, and kept those of files that were gone, 20 KB and more for every file
 * that ever was. Without it a file costs a statement some 35 µs, which no statement that reads rows
 * notices; bare counts read no footers at all. */
static const char *const finishing[] = {
    "SET GLOBAL TimeZone = 'UTC'",
    "SET GLOBAL validate_external_file_cache = 'NO_VALIDATION'",
    "SET GLOBAL parquet_metadata_cache = false",
    "SET GLOBAL lock_configuration = true",
};

static int64_t machine_memory_bytes(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    return bytes > 0 ? bytes / 4 * 3 : (int64_t)4 << 30;
}

static enum lh_code set_option(duckdb_config config, const char *name, const char *value,
                               struct lh_error *err)
{
    if (duckdb_set_config(config, name, value) == DuckDBError)
        return lh_fail(err, LH_INVALID, "The SQL engine refuses the value of its setting '%s'.",
                       name);
    return LH_OK;
}

static enum lh_code configure(const struct engine_options *options, int64_t memory_bytes,
                              struct lh_arena *arena, duckdb_config config, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; !code && i < sizeof guards / sizeof guards[0]; i++)
        code = set_option(config, guards[i].name, guards[i].value, err);
    if (!code)
        code = set_option(config, "memory_limit",
                          lh_arena_printf(arena, "%lldB", (long long)memory_bytes).data, err);
    if (!code && options->thread_count)
        code = set_option(config, "threads",
                          lh_arena_printf(arena, "%u", options->thread_count).data, err);
    if (!code) /* "" is nowhere; without the setting it would be ".tmp" wherever we stand */
        code = set_option(config, "temp_directory", lh_arena_cstr(arena, options->temp_path), err);
    if (!code && options->temp_bytes)
        code =
            set_option(config, "max_temp_directory_size",
                       lh_arena_printf(arena, "%lldB", (long long)options->temp_bytes).data, err);
    return code;
}

static enum lh_code open_database(const struct engine_options *options, struct engine *engine,
                                  struct lh_error *err)
{
    duckdb_config config = NULL;
    char *message = NULL;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = LH_OK;
    if (duckdb_create_config(&config) == DuckDBError)
        code = lh_fail(err, LH_BUSY, "The SQL engine cannot be opened: no memory is left.");
    if (!code)
        code = configure(options, engine->memory_bytes, arena, config, err);
    if (!code && duckdb_open_ext(NULL, &engine->database, config, &message) == DuckDBError) {
        engine->database = NULL;
        code = engine_fail(message, (struct lh_str){0}, 0, NULL, err);
        lh_error_context(err, "The SQL engine cannot be opened");
    }
    duckdb_free(message);
    duckdb_destroy_config(&config);
    lh_arena_free(arena);
    return code;
}

static enum lh_code run_settings(duckdb_connection handle, const char *const *settings,
                                 size_t count, struct lh_error *err)
{
    for (size_t i = 0; i < count; i++) {
        duckdb_result result;
        duckdb_state state = duckdb_query(handle, settings[i], &result);
        enum lh_code code = LH_OK;
        if (state == DuckDBError)
            code = engine_fail(duckdb_result_error(&result), (struct lh_str){0}, 0, NULL, err);
        duckdb_destroy_result(&result);
        if (code)
            return code;
    }
    return LH_OK;
}

static void free_connection(struct engine_connection *connection)
{
    if (!connection)
        return;
    for (size_t i = 0; i < ENGINE_STATEMENTS_MAX; i++)
        statement_drop(&connection->statements[i]);
    statement_drop(&connection->once);
    duckdb_destroy_prepare(&connection->parse);
    duckdb_destroy_prepare(&connection->unparse);
    duckdb_disconnect(&connection->handle);
    blocks_release(&connection->blocks);
    pthread_mutex_destroy(&connection->watch_lock);
    pthread_mutex_destroy(&connection->error_lock);
    free(connection);
}

static enum lh_code add_connection(struct engine *engine, struct lh_error *err)
{
    struct engine_connection *connection = calloc(1, sizeof *connection);
    duckdb_client_context context = NULL;
    if (!connection)
        return lh_fail(err, LH_BUSY, "No memory is left for another connection of the SQL engine.");
    pthread_mutex_init(&connection->watch_lock, NULL);
    pthread_mutex_init(&connection->error_lock, NULL);
    blocks_init(&connection->blocks);
    if (duckdb_connect(engine->database, &connection->handle) == DuckDBError) {
        free_connection(connection);
        return lh_fail(err, LH_BUSY, "The SQL engine cannot open another connection.");
    }
    duckdb_connection_get_client_context(connection->handle, &context);
    connection->id = duckdb_client_context_get_connection_id(context);
    duckdb_destroy_client_context(&context);
    connection->engine = engine;
    connection->index = engine->connection_count;
    engine->connections[engine->connection_count++] = connection;
    return LH_OK;
}

static enum lh_code init_engine(struct engine *engine, const struct engine_options *options,
                                struct lh_error *err)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_mutex_init(&engine->watchdog_lock, NULL);
    pthread_cond_init(&engine->released, &monotonic);
    pthread_cond_init(&engine->watchdog_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    engine->memory_bytes = options->memory_bytes ? options->memory_bytes : machine_memory_bytes();
    engine->connection_max = options->connection_max ? options->connection_max : CONNECTIONS_PRESET;
    if (engine->connection_max > ENGINE_CONNECTIONS_MAX)
        return lh_fail(err, LH_INVALID, "The SQL engine has at most %d connections, not %u.",
                       ENGINE_CONNECTIONS_MAX, options->connection_max);
    engine->connections = calloc(engine->connection_max, sizeof(struct engine_connection *));
    if (!engine->connections)
        return lh_fail(err, LH_BUSY, "No memory is left for the SQL engine.");
    return LH_OK;
}

enum lh_code engine_open(const struct engine_options *options, struct engine **ret,
                         struct lh_error *err)
{
    struct engine *engine = calloc(1, sizeof *engine);
    enum lh_code code;
    if (!engine)
        return lh_fail(err, LH_BUSY, "No memory is left for the SQL engine.");
    code = init_engine(engine, options, err);
    if (code)
        goto out;
    code = open_database(options, engine, err);
    if (code)
        goto out;
    while (!code && engine->connection_count < engine->connection_max)
        code = add_connection(engine, err);
    if (code)
        goto out;
    duckdb_connection first = engine->connections[0]->handle;
    code = copy_register_tap(engine, first, err);
    if (!code)
        code = filters_register(engine, first, err);
    if (!code)
        code = blocks_register(engine, first, err);
    if (code)
        goto out;
    code = run_settings(first, finishing, sizeof finishing / sizeof finishing[0], err);
    if (code)
        goto out;
    code = watchdog_start(engine, err);
    if (code)
        goto out;
    *ret = engine;
    engine = NULL;
out:
    engine_close(engine);
    return code;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    assert(engine->busy_count == 0);
    watchdog_stop(engine);
    for (size_t i = 0; i < engine->connection_count; i++)
        free_connection(engine->connections[i]);
    free(engine->connections);
    duckdb_close(&engine->database);
    function_free_all(engine);
    filters_free(engine);
    pthread_cond_destroy(&engine->released);
    pthread_cond_destroy(&engine->watchdog_wake);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->watchdog_lock);
    free(engine);
}

/* The idle connection that has the statement, else the one used last: its caches are the warmest.
 */
static struct engine_connection *best_idle(struct engine *engine, struct lh_str sql)
{
    struct engine_connection *best = NULL;
    size_t count = engine->connection_count;
    uint64_t hash = lh_str_empty(sql) ? 0 : lh_str_hash(sql);
    bool best_has = false;
    for (size_t i = 0; i < count; i++) {
        struct engine_connection *connection = engine->connections[i];
        if (connection->is_busy || (best_has && connection->released < best->released))
            continue;
        bool has = !lh_str_empty(sql) && statement_is_kept(connection, hash, sql);
        if (!best || (has && !best_has) ||
            (has == best_has && connection->released > best->released)) {
            best = connection;
            best_has = has;
        }
    }
    return best;
}

static void wait_for_release(struct engine *engine)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_STEP_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&engine->released, &engine->lock, &until);
}

enum lh_code engine_acquire(struct engine *engine, struct lh_str sql,
                            const struct lh_cancel *cancel, struct engine_connection **ret,
                            struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    enum lh_code code = LH_OK;
    bool has_waited = false;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        connection = best_idle(engine, sql);
        if (connection)
            break;
        code = lh_cancel_fail(cancel, "Waiting for a connection of the SQL engine", err);
        if (code)
            break;
        if (!has_waited)
            atomic_fetch_add(&engine->waited, 1);
        has_waited = true;
        wait_for_release(engine);
    }
    if (!code) {
        connection->is_busy = true;
        engine->busy_count++;
        *ret = connection;
    }
    pthread_mutex_unlock(&engine->lock);
    return code;
}

void engine_release(struct engine_connection *connection)
{
    if (!connection)
        return;
    struct engine *engine = connection->engine;
    connection->cursor.owns_connection = false;
    engine_cursor_close(&connection->cursor);
    pthread_mutex_lock(&engine->lock);
    assert(connection->is_busy);
    connection->is_busy = false;
    connection->released = ++engine->release_count;
    engine->busy_count--;
    pthread_cond_signal(&engine->released);
    pthread_mutex_unlock(&engine->lock);
}

void connection_keep_error(struct engine_connection *connection, const struct lh_error *err)
{
    if (!connection)
        return;
    pthread_mutex_lock(&connection->error_lock);
    if (!connection->error.code)
        connection->error = *err;
    pthread_mutex_unlock(&connection->error_lock);
}

enum lh_code connection_take_error(struct engine_connection *connection, struct lh_error *err)
{
    pthread_mutex_lock(&connection->error_lock);
    enum lh_code code = connection->error.code;
    if (code && err)
        *err = connection->error;
    connection->error.code = LH_OK;
    pthread_mutex_unlock(&connection->error_lock);
    return code;
}

struct engine_connection *engine_find_connection(struct engine *engine, uint64_t id)
{
    size_t count = engine->connection_count;
    for (size_t i = 0; i < count; i++)
        if (engine->connections[i]->id == id)
            return engine->connections[i];
    return NULL;
}

struct engine_stats engine_stats(struct engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    int64_t busy = (int64_t)engine->busy_count;
    pthread_mutex_unlock(&engine->lock);
    return (struct engine_stats){
        .connections_open = (int64_t)engine->connection_count,
        .connections_busy = busy,
        .connections_waited = atomic_load(&engine->waited),
        .statements_run = atomic_load(&engine->run),
        .statements_failed = atomic_load(&engine->failed),
        .statements_stopped = atomic_load(&engine->stopped),
        .statements_prepared = atomic_load(&engine->prepared),
        .statements_kept = atomic_load(&engine->kept),
    };
}
