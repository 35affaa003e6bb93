/* Running statements and reading what they return, chunk by chunk.
 *
 *   closed ──engine_run──▶ open ──end, error──▶ at end ──engine_cursor_close──▶ closed
 *                            └──────engine_cursor_close (interrupts, drains)──────┘
 *
 * The cursor lives inside its connection: a short statement allocates nothing here.
 */
#include "engine/internal.h"

#include <time.h>

static struct lh_str text_of(const struct engine_cursor *cursor)
{
    return lh_buf_str(&cursor->statement->text);
}

static bool is_interrupt(const char *message)
{
    return message && (strstr(message, "INTERRUPT") || strstr(message, "Interrupted"));
}

/* When one of its threads fails, the library interrupts the others, and at times it is that which
 * it tells instead of the failure. Nobody else interrupts a statement whose token has not fired, so
 * the statement is run again, without its rows, for what it really has to say. NULL: nothing this
 * time.
 */
#define REASON_TRIES 3
static const char *ask_again(struct engine_cursor *cursor)
{
    duckdb_prepared_statement prepared = cursor->statement->prepared;
    const char *message = NULL;
    if (duckdb_prepared_statement_type(prepared) != DUCKDB_STATEMENT_TYPE_SELECT)
        return NULL;
    for (int i = 0; i < REASON_TRIES && !lh_cancel_check(cursor->cancel); i++) {
        duckdb_data_chunk chunk = NULL;
        if (cursor->has_result)
            duckdb_destroy_result(&cursor->result);
        cursor->has_result = true;
        if (duckdb_execute_prepared_streaming(prepared, &cursor->result) == DuckDBSuccess)
            while ((chunk = duckdb_fetch_chunk(cursor->result)) != NULL)
                duckdb_destroy_data_chunk(&chunk);
        message = duckdb_result_error(&cursor->result);
        if (!message || !*message)
            return NULL; /* it went well: the failure was no property of the statement */
        if (!is_interrupt(message))
            return message;
    }
    return message;
}

static enum lh_code fail_cursor(struct engine_cursor *cursor, const char *message,
                                struct lh_error *err)
{
    struct engine *engine = cursor->connection->engine;
    if (is_interrupt(message) && !lh_cancel_check(cursor->cancel)) {
        if (cursor->has_blocks)
            blocks_mute(&cursor->connection->blocks);
        const char *reason = ask_again(cursor);
        message = reason ? reason : message;
    }
    enum lh_code code = connection_take_error(cursor->connection, err);
    if (!code)
        code = engine_fail(message, text_of(cursor), statement_offset(cursor->statement),
                           cursor->cancel, err);
    atomic_fetch_add(&engine->failed, 1);
    cursor->is_at_end = true;
    cursor->has_failed = true;
    return code;
}

/* Nothing of the statement runs any more when this returns. */
static void stop_pending(struct engine_cursor *cursor, duckdb_pending_result pending)
{
    duckdb_pending_state state;
    do {
        duckdb_interrupt(cursor->connection->handle);
        state = duckdb_pending_execute_task(pending);
    } while (state == DUCKDB_PENDING_RESULT_NOT_READY ||
             state == DUCKDB_PENDING_NO_TASKS_AVAILABLE);
}

/* Between looks at a statement whose parts all run elsewhere: the engine's own wait looks on and
 * on, which takes a processor from those parts. Short ones are not slept through. */
#define LOOKS_AWAKE 200 /* some 50 microseconds */
#define PAUSE_NS 100000
static void rest(unsigned *looks)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_NS};
    if (++*looks > LOOKS_AWAKE)
        nanosleep(&pause, NULL);
}

/* Part by part, until the first rows are there or the statement has ended, however it did. */
static enum lh_code run_parts(struct engine_cursor *cursor, duckdb_pending_result pending,
                              struct lh_error *err)
{
    const struct engine_step *step = cursor->step;
    enum lh_code code = LH_OK;
    for (unsigned looks = 0; !code;) {
        duckdb_pending_state state = duckdb_pending_execute_task(pending);
        if (state == DUCKDB_PENDING_ERROR)
            return fail_cursor(cursor, duckdb_pending_error(pending), err);
        if (state == DUCKDB_PENDING_RESULT_READY)
            return LH_OK;
        if (step)
            code = step->call(step->context, err);
        if (state == DUCKDB_PENDING_NO_TASKS_AVAILABLE)
            rest(&looks);
        else
            looks = 0;
    }
    stop_pending(cursor, pending);
    cursor->is_at_end = true;
    cursor->has_failed = true;
    return code;
}

/* Starts the prepared statement and waits until its first rows are there or it has ended. */
static enum lh_code start(struct engine_cursor *cursor, struct lh_error *err)
{
    duckdb_pending_result pending = NULL;
    duckdb_prepared_statement prepared = cursor->statement->prepared;
    enum lh_code code = lh_cancel_fail(cursor->cancel, "The statement", err);
    if (code)
        return code;
    if (duckdb_pending_prepared_streaming(prepared, &pending) == DuckDBError) {
        code = fail_cursor(cursor, duckdb_pending_error(pending), err);
        duckdb_destroy_pending(&pending);
        return code;
    }
    code = run_parts(cursor, pending, err);
    if (code) {
        duckdb_destroy_pending(&pending);
        return code;
    }
    duckdb_state state = duckdb_execute_pending(pending, &cursor->result);
    cursor->has_result = true;
    if (state == DuckDBError)
        code = fail_cursor(cursor, duckdb_result_error(&cursor->result), err);
    duckdb_destroy_pending(&pending);
    return code;
}

static void drop_result(struct engine_cursor *cursor)
{
    duckdb_destroy_data_chunk(&cursor->current);
    if (!cursor->has_result)
        return;
    /* An unread stream goes on in the background until its buffer is full: end it now, so that the
     * connection comes back idle. */
    while (!cursor->is_at_end) {
        duckdb_interrupt(cursor->connection->handle);
        duckdb_data_chunk chunk = duckdb_fetch_chunk(cursor->result);
        cursor->is_at_end = chunk == NULL;
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&cursor->result);
    cursor->has_result = false;
}

/* How a statement is run, beyond its text. */
struct manner {
    bool keeps; /* it is remembered */
    const struct engine_params *params;
    const struct engine_progress *progress;
    const struct engine_step *step;
    engine_block_writer writer;
};

/* Leaves *ret_runs false, and everything as it was, if the statement does not run for blocks; a
 * wrapper that the library refuses is no error of the caller's. */
static enum lh_code run_for_blocks(struct engine_cursor *cursor, engine_block_writer writer,
                                   bool *ret_runs, struct lh_error *err)
{
    struct engine_connection *connection = cursor->connection;
    struct engine_statement *plain = cursor->statement, *statement = NULL;
    struct lh_error own = LH_ERROR_NONE;
    *ret_runs = false;
    if (statement_get_blocks(connection, plain, cursor->cancel, &statement, &own) || !statement)
        return LH_OK;
    *ret_runs = true;
    cursor->statement = statement;
    cursor->plain = plain;
    cursor->has_blocks = true;
    blocks_begin(&connection->blocks, &plain->shape, writer);
    return start(cursor, err);
}

static enum lh_code run(struct engine_cursor *cursor, struct lh_str sql,
                        const struct manner *manner, struct lh_error *err)
{
    struct engine_connection *connection = cursor->connection;
    const struct engine_params *params = manner->params;
    bool runs_for_blocks = false;
    enum lh_code code =
        statement_get(connection, sql, manner->keeps, cursor->cancel, &cursor->statement, err);
    if (code)
        return code;
    if (manner->writer)
        code = run_for_blocks(cursor, manner->writer, &runs_for_blocks, err);
    if (code || runs_for_blocks)
        return code;
    code = params_bind(cursor->statement, params, err);
    if (code)
        return code;
    code = start(cursor, err);
    if (code)
        return code;
    statement_shape_of_result(cursor->statement, &cursor->result);
    if (!cursor->statement->shape.has_unknown)
        return LH_OK;
    /* Only now that the parameters have types is it known that a column must be cast. */
    drop_result(cursor);
    cursor->is_at_end = false;
    code = statement_wrap(connection, cursor->statement, cursor->cancel, err);
    if (code) {
        statement_forget(cursor->connection, cursor->statement);
        return code;
    }
    code = params_bind(cursor->statement, params, err);
    if (!code)
        code = start(cursor, err);
    if (!code)
        statement_shape_of_result(cursor->statement, &cursor->result);
    return code;
}

static enum lh_code run_watched(struct engine_connection *connection, struct lh_str sql,
                                const struct manner *manner, const struct lh_cancel *cancel,
                                struct engine_cursor **ret, struct lh_error *err)
{
    struct engine_cursor *cursor = &connection->cursor;
    assert(!cursor->is_open);
    *cursor = (struct engine_cursor){
        .connection = connection, .step = manner->step, .cancel = cancel, .is_open = true};
    atomic_fetch_add(&connection->engine->run, 1);
    (void)connection_take_error(connection, NULL); /* none of an earlier statement's */
    watchdog_watch(connection, cancel, manner->progress);
    enum lh_code code = run(cursor, sql, manner, err);
    if (code) {
        engine_cursor_close(cursor);
        return code;
    }
    *ret = cursor;
    return LH_OK;
}

enum lh_code engine_run(struct engine_connection *connection, struct lh_str sql,
                        const struct engine_params *params, const struct lh_cancel *cancel,
                        struct engine_cursor **ret, struct lh_error *err)
{
    const struct manner manner = {.keeps = true, .params = params};
    return run_watched(connection, sql, &manner, cancel, ret, err);
}

enum lh_code engine_run_blocks(struct engine_connection *connection, struct lh_str sql,
                               engine_block_writer writer, const struct lh_cancel *cancel,
                               struct engine_cursor **ret, struct lh_error *err)
{
    const struct manner manner = {.keeps = true, .writer = writer};
    return run_watched(connection, sql, &manner, cancel, ret, err);
}

enum lh_code engine_query(struct engine *engine, struct lh_str sql,
                          const struct engine_params *params, const struct lh_cancel *cancel,
                          struct engine_cursor **ret, struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    enum lh_code code = engine_acquire(engine, sql, cancel, &connection, err);
    if (code)
        return code;
    code = engine_run(connection, sql, params, cancel, ret, err);
    if (code)
        engine_release(connection);
    else
        connection->cursor.owns_connection = true;
    return code;
}

/* With blocks, the statement that runs returns something else than rows. */
static const struct engine_shape *shape_of(const struct engine_cursor *cursor)
{
    return cursor->plain ? &cursor->plain->shape : &cursor->statement->shape;
}

size_t engine_cursor_column_count(const struct engine_cursor *cursor)
{
    return shape_of(cursor)->column_count;
}

const struct engine_column *engine_cursor_columns(const struct engine_cursor *cursor)
{
    return shape_of(cursor)->columns;
}

static void show_chunk(struct engine_cursor *cursor)
{
    const struct engine_shape *shape = &cursor->statement->shape;
    for (size_t i = 0; i < shape->column_count; i++)
        shape_fill(&shape->vectors[i], duckdb_data_chunk_get_vector(cursor->current, i));
    cursor->chunk.column_count = shape->column_count;
    cursor->chunk.columns = shape->vectors;
}

enum lh_code cursor_fetch(struct engine_cursor *cursor, struct lh_error *err)
{
    duckdb_destroy_data_chunk(&cursor->current);
    while (!cursor->is_at_end) {
        enum lh_code code = lh_cancel_fail(cursor->cancel, "The statement", err);
        if (code)
            return code;
        cursor->current = duckdb_fetch_chunk(cursor->result);
        if (!cursor->current) {
            const char *message = duckdb_result_error(&cursor->result);
            if (message && *message)
                return fail_cursor(cursor, message, err);
            cursor->is_at_end = true;
            return LH_OK;
        }
        if (duckdb_data_chunk_get_size(cursor->current) > 0)
            return LH_OK;
        duckdb_destroy_data_chunk(&cursor->current);
    }
    return LH_OK;
}

enum lh_code engine_cursor_next(struct engine_cursor *cursor, const struct engine_chunk **ret,
                                struct lh_error *err)
{
    assert(!cursor->has_blocks);
    *ret = NULL;
    enum lh_code code = cursor_fetch(cursor, err);
    if (code || !cursor->current)
        return code;
    cursor->chunk.row_count = duckdb_data_chunk_get_size(cursor->current);
    show_chunk(cursor);
    *ret = &cursor->chunk;
    return LH_OK;
}

/* What failed may have done so because a table is no longer what it was when the statement and its
 * columns were prepared: the next run begins anew. */
static void end_blocks(struct engine_cursor *cursor)
{
    struct engine_connection *connection = cursor->connection;
    blocks_end(&connection->blocks);
    if (cursor->has_failed) {
        statement_forget(connection, cursor->statement);
        statement_forget(connection, cursor->plain);
    }
}

void engine_cursor_close(struct engine_cursor *cursor)
{
    if (!cursor || !cursor->is_open)
        return;
    struct engine_connection *connection = cursor->connection;
    bool was_at_end = cursor->is_at_end && !cursor->has_failed;
    if (cursor->has_blocks)
        blocks_mute(&connection->blocks);
    drop_result(cursor);
    if (cursor->has_blocks)
        end_blocks(cursor);
    watchdog_unwatch(connection);
    if (lh_cancel_check(cursor->cancel) && !was_at_end)
        atomic_fetch_add(&connection->engine->stopped, 1);
    cursor->is_open = false;
    statement_drop(&connection->once);
    if (cursor->owns_connection)
        engine_release(connection);
}

/* Reads a cursor to its end and closes it, counting the rows returned or changed. */
static enum lh_code drain(struct engine_cursor *cursor, int64_t *ret_rows, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    int64_t rows = 0;
    bool counts = duckdb_result_return_type(cursor->result) == DUCKDB_RESULT_TYPE_CHANGED_ROWS;
    enum lh_code code;
    do {
        code = engine_cursor_next(cursor, &chunk, err);
        if (!code && chunk)
            rows +=
                counts ? ((const int64_t *)chunk->columns[0].data)[0] : (int64_t)chunk->row_count;
    } while (!code && chunk);
    engine_cursor_close(cursor);
    if (!code && ret_rows)
        *ret_rows = rows;
    return code;
}

enum lh_code engine_execute(struct engine_connection *connection, struct lh_str sql,
                            const struct engine_params *params, const struct lh_cancel *cancel,
                            int64_t *ret_rows, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    enum lh_code code = engine_run(connection, sql, params, cancel, &cursor, err);
    return code ? code : drain(cursor, ret_rows, err);
}

enum lh_code execute_once(struct engine_connection *connection, struct lh_str sql,
                          const struct engine_params *params, const struct lh_cancel *cancel,
                          const struct engine_progress *progress, const struct engine_step *step,
                          int64_t *ret_rows, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct manner manner = {.params = params, .progress = progress, .step = step};
    enum lh_code code = run_watched(connection, sql, &manner, cancel, &cursor, err);
    return code ? code : drain(cursor, ret_rows, err);
}
