/* Prepared statements: remembered per connection, with the shape of what they return. */
#include "engine/internal.h"

#include <stdlib.h>

static void drop_shape(struct engine_shape *shape)
{
    lh_arena_free(shape->arena);
    *shape = (struct engine_shape){0};
}

void statement_drop(struct engine_statement *statement)
{
    duckdb_destroy_prepare(&statement->prepared);
    drop_shape(&statement->shape);
    lh_buf_release(&statement->text);
    lh_buf_release(&statement->wrapped);
    free(statement->casts);
    *statement = (struct engine_statement){0};
}

/* What positions of the library are ahead of those in the caller's text. */
size_t statement_offset(const struct engine_statement *statement)
{
    return statement->prefix - statement->skipped;
}

static struct engine_statement *find_kept(const struct engine_connection *connection, uint64_t hash,
                                          struct lh_str sql)
{
    for (size_t i = 0; i < ENGINE_STATEMENTS_MAX; i++) {
        const struct engine_statement *statement = &connection->statements[i];
        if (statement->hash == hash && statement->is_kept &&
            lh_str_equal(lh_buf_str(&statement->text), sql))
            return (struct engine_statement *)statement;
    }
    return NULL;
}

bool statement_is_kept(const struct engine_connection *connection, uint64_t hash, struct lh_str sql)
{
    return find_kept(connection, hash, sql) != NULL;
}

void statement_forget(struct engine_connection *connection, struct engine_statement *statement)
{
    const bool is_kept = statement->is_kept;
    statement_drop(statement);
    if (is_kept) {
        connection->kept_count--;
        atomic_fetch_sub(&connection->engine->kept, 1);
    }
}

static void remember(struct engine_connection *connection, struct engine_statement *statement)
{
    statement->is_kept = true;
    connection->kept_count++;
    atomic_fetch_add(&connection->engine->kept, 1);
}

/* The statement used longest ago; NULL: nothing is remembered. */
static struct engine_statement *oldest_of(struct engine_connection *connection)
{
    struct engine_statement *oldest = NULL;
    for (size_t i = 0; i < ENGINE_STATEMENTS_MAX; i++) {
        struct engine_statement *statement = &connection->statements[i];
        if (statement->is_kept && (!oldest || statement->last_used < oldest->last_used))
            oldest = statement;
    }
    return oldest;
}

/* All connections together remember enough: the one that has rested longest gives a statement up.
 * It is taken meanwhile: what ends with a statement may ask for locks. False: none can. */
static bool take_from_idle(struct engine *engine)
{
    struct engine_connection *coldest = NULL;
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < engine->connection_count; i++) {
        struct engine_connection *connection = engine->connections[i];
        if (!connection->is_busy && connection->kept_count > ENGINE_STATEMENTS_LEAST &&
            (!coldest || connection->released < coldest->released))
            coldest = connection;
    }
    if (coldest)
        coldest->is_busy = true;
    pthread_mutex_unlock(&engine->lock);
    if (!coldest)
        return false;
    statement_forget(coldest, oldest_of(coldest));
    pthread_mutex_lock(&engine->lock);
    coldest->is_busy = false;
    pthread_cond_signal(&engine->released);
    pthread_mutex_unlock(&engine->lock);
    return true;
}

/* A free place, else that of the own statement used longest ago. */
static struct engine_statement *place_for(struct engine_connection *connection)
{
    struct engine *engine = connection->engine;
    struct engine_statement *place = NULL;
    for (size_t i = 0; !place && i < ENGINE_STATEMENTS_MAX; i++)
        if (!connection->statements[i].is_kept)
            place = &connection->statements[i];
    if (place && (connection->kept_count < ENGINE_STATEMENTS_LEAST ||
                  atomic_load(&engine->kept) < ENGINE_STATEMENTS_TOTAL || take_from_idle(engine)))
        return place;
    place = oldest_of(connection);
    statement_forget(connection, place);
    return place;
}

/* --- shapes */

static void begin_shape(struct engine_shape *shape, size_t column_count)
{
    drop_shape(shape);
    shape->arena = lh_arena_new_small();
    shape->column_count = column_count;
    shape->columns =
        lh_arena_array(shape->arena, column_count ? column_count : 1, sizeof *shape->columns);
}

static void add_column(struct engine_statement *statement, size_t i, const char *name,
                       duckdb_logical_type type)
{
    struct engine_shape *shape = &statement->shape;
    bool is_unknown = false;
    shape->columns[i].name = lh_arena_str(shape->arena, lh_str_of(name ? name : ""));
    shape->columns[i].info = type_read(type, shape->arena, &is_unknown);
    shape->has_unknown |= is_unknown;
    shape->columns[i].is_cast = is_unknown || (statement->casts && statement->casts[i]);
    duckdb_destroy_logical_type(&type);
}

/* What the planner knows before it runs; without parameters that is what will come. */
static void shape_of_prepared(struct engine_statement *statement)
{
    size_t count = duckdb_prepared_statement_column_count(statement->prepared);
    bool is_resolved = statement->param_count == 0;
    for (size_t i = 0; is_resolved && i < count; i++)
        is_resolved =
            duckdb_prepared_statement_column_type(statement->prepared, i) != DUCKDB_TYPE_INVALID;
    statement->has_fixed_shape = is_resolved && count > 0;
    if (!statement->has_fixed_shape)
        return;
    begin_shape(&statement->shape, count);
    for (size_t i = 0; i < count; i++) {
        const char *name = duckdb_prepared_statement_column_name(statement->prepared, i);
        add_column(statement, i, name,
                   duckdb_prepared_statement_column_logical_type(statement->prepared, i));
        duckdb_free((void *)name);
    }
    shape_vectors(&statement->shape);
}

/* A remembered statement is bound anew when a table that it reads was replaced: names and types may
 * differ from last time. Types that say more than their name are not compared, they are read again.
 */
static bool still_fits(const struct engine_shape *shape, duckdb_result *result)
{
    if (!shape->arena || shape->column_count != duckdb_column_count(result))
        return false;
    for (size_t i = 0; i < shape->column_count; i++) {
        const struct engine_column *column = &shape->columns[i];
        if (!type_is(column->info, duckdb_column_type(result, i)) ||
            !lh_str_equal(column->name, lh_str_of(duckdb_column_name(result, i))))
            return false;
    }
    return true;
}

void statement_shape_of_result(struct engine_statement *statement, duckdb_result *result)
{
    size_t count = duckdb_column_count(result);
    if (still_fits(&statement->shape, result))
        return;
    begin_shape(&statement->shape, count);
    for (size_t i = 0; i < count; i++)
        add_column(statement, i, duckdb_column_name(result, i),
                   duckdb_column_logical_type(result, i));
    shape_vectors(&statement->shape);
}

/* --- preparing */

static enum lh_code prepare(struct engine_connection *connection,
                            struct engine_statement *statement, const struct lh_cancel *cancel,
                            struct lh_error *err)
{
    struct lh_buf *text = statement->prefix ? &statement->wrapped : &statement->text;
    enum lh_code code = lh_buf_check(text, "The statement", err);
    if (code)
        return code;
    atomic_fetch_add(&connection->engine->prepared, 1);
    if (duckdb_prepare(connection->handle, text->data, &statement->prepared) == DuckDBError) {
        code = connection_take_error(connection, err);
        if (!code)
            code =
                engine_fail(duckdb_prepare_error(statement->prepared), lh_buf_str(&statement->text),
                            statement_offset(statement), cancel, err);
        duckdb_destroy_prepare(&statement->prepared);
        return code;
    }
    statement->param_count = duckdb_nparams(statement->prepared);
    shape_of_prepared(statement);
    return LH_OK;
}

enum lh_code statement_check_text(struct lh_str sql, struct lh_error *err)
{
    size_t bad;
    if (lh_str_empty(lh_str_trim(sql)))
        return lh_fail(err, LH_SYNTAX, "The statement is empty.");
    if (memchr(sql.data, 0, sql.len)) {
        lh_fail(err, LH_SYNTAX, "The statement contains a NUL character.");
    } else if (!lh_str_is_utf8(sql, &bad)) {
        lh_fail(err, LH_SYNTAX, "The statement is not valid UTF-8.");
        if (err)
            err->position = (int64_t)bad;
    } else {
        return LH_OK;
    }
    return LH_SYNTAX;
}

enum lh_code statement_get(struct engine_connection *connection, struct lh_str sql, bool keep,
                           const struct lh_cancel *cancel, struct engine_statement **ret,
                           struct lh_error *err)
{
    uint64_t hash = lh_str_hash(sql);
    struct engine_statement *statement = keep ? find_kept(connection, hash, sql) : NULL;
    enum lh_code code = LH_OK;
    if (!statement) {
        code = statement_check_text(sql, err);
        if (code)
            return code;
        keep = keep && sql.len <= STATEMENT_KEPT_BYTES;
        statement_drop(&connection->once);
        statement = keep ? place_for(connection) : &connection->once;
        lh_buf_init(&statement->text, STATEMENT_BYTES_MAX);
        lh_buf_append_str(&statement->text, sql);
        statement->hash = hash;
        code = prepare(connection, statement, cancel, err);
        if (!code && statement->shape.has_unknown)
            code = statement_wrap(connection, statement, cancel, err);
        if (code) {
            statement_drop(statement);
            return code;
        }
        if (keep)
            remember(connection, statement);
    }
    statement->last_used = ++connection->use_count;
    *ret = statement;
    return LH_OK;
}

struct lh_str statement_body(struct lh_str sql)
{
    sql = lh_str_trim(sql);
    while (lh_str_ends_with(sql, lh_lit(";")))
        sql = lh_str_trim(lh_str_slice(sql, 0, sql.len - 1));
    return sql;
}

/* Columns are renamed on the way in, so that equal names do not meet, and get their names back. */
static void write_wrapper(struct engine_statement *statement)
{
    const struct engine_shape *shape = &statement->shape;
    struct lh_buf *buf = &statement->wrapped;
    struct lh_str sql = statement_body(lh_buf_str(&statement->text));
    lh_buf_init(buf, STATEMENT_BYTES_MAX);
    lh_buf_append(buf, "SELECT ", 7);
    for (size_t i = 0; i < shape->column_count; i++) {
        lh_buf_printf(buf, shape->columns[i].is_cast ? "%sCAST(c%zu AS VARCHAR) AS " : "%sc%zu AS ",
                      i ? ", " : "", i);
        engine_quote_ident(buf, shape->columns[i].name);
    }
    lh_buf_append(buf, " FROM (", 7);
    statement->prefix = buf->len;
    statement->skipped = (size_t)(sql.data - statement->text.data);
    lh_buf_append_str(buf, sql);
    lh_buf_append(buf, "\n) AS __lh_rows(", 16);
    for (size_t i = 0; i < shape->column_count; i++)
        lh_buf_printf(buf, "%sc%zu", i ? ", " : "", i);
    lh_buf_append_char(buf, ')');
}

enum lh_code statement_wrap(struct engine_connection *connection,
                            struct engine_statement *statement, const struct lh_cancel *cancel,
                            struct lh_error *err)
{
    size_t count = statement->shape.column_count;
    if (statement->prefix)
        return lh_fail(err, LH_SQL, "The statement returns a type that cannot be shown as text.");
    statement->casts = calloc(count, sizeof *statement->casts);
    if (!statement->casts)
        return lh_fail(err, LH_BUSY, "No memory is left to prepare the statement.");
    for (size_t i = 0; i < count; i++)
        statement->casts[i] = statement->shape.columns[i].is_cast;
    write_wrapper(statement);
    drop_shape(&statement->shape);
    duckdb_destroy_prepare(&statement->prepared);
    return prepare(connection, statement, cancel, err);
}

/* --- for blocks */

#define BLOCKS_HASH UINT64_C(0x9E3779B97F4A7C15) /* parts the two that have one text */

/* The library flattens the columns that it hands to a function, but not what is nested in them. */
static bool suits_blocks(const struct engine_statement *plain)
{
    const struct engine_shape *shape = &plain->shape;
    if (!plain->is_kept || !plain->has_fixed_shape || plain->casts)
        return false;
    for (size_t i = 0; i < shape->column_count; i++) {
        enum engine_type type = shape->columns[i].info->type;
        if (type == ENGINE_NULL || type >= ENGINE_LIST)
            return false;
    }
    return true;
}

static void write_blocks_wrapper(struct engine_statement *statement,
                                 const struct engine_shape *shape, size_t connection_index)
{
    struct lh_buf *buf = &statement->wrapped;
    struct lh_str sql = statement_body(lh_buf_str(&statement->text));
    lh_buf_init(buf, STATEMENT_BYTES_MAX);
    lh_buf_printf(buf, "SELECT " BLOCKS_FUNCTION "(%zu", connection_index);
    for (size_t i = 0; i < shape->column_count; i++)
        lh_buf_printf(buf, ", c%zu", i);
    lh_buf_append_str(buf, lh_lit(") FROM ("));
    statement->prefix = buf->len;
    statement->skipped = (size_t)(sql.data - statement->text.data);
    lh_buf_append_str(buf, sql);
    lh_buf_append_str(buf, lh_lit("\n) AS __lh_select("));
    for (size_t i = 0; i < shape->column_count; i++)
        lh_buf_printf(buf, "%sc%zu", i ? ", " : "", i);
    lh_buf_append_char(buf, ')');
}

/* `plain` was used last, so it is not its place that is taken. */
enum lh_code statement_get_blocks(struct engine_connection *connection,
                                  const struct engine_statement *plain,
                                  const struct lh_cancel *cancel, struct engine_statement **ret,
                                  struct lh_error *err)
{
    uint64_t hash = plain->hash ^ BLOCKS_HASH;
    struct lh_str text = lh_buf_str(&plain->text);
    *ret = NULL;
    if (!suits_blocks(plain))
        return LH_OK;
    struct engine_statement *statement = find_kept(connection, hash, text);
    if (!statement) {
        statement = place_for(connection);
        assert(statement != plain);
        lh_buf_init(&statement->text, STATEMENT_BYTES_MAX);
        lh_buf_append_str(&statement->text, text);
        statement->hash = hash;
        write_blocks_wrapper(statement, &plain->shape, connection->index);
        blocks_begin(&connection->blocks, &plain->shape, NULL); /* for the function's bind */
        enum lh_code code = prepare(connection, statement, cancel, err);
        if (code) {
            statement_drop(statement);
            return code;
        }
        remember(connection, statement);
    }
    statement->last_used = ++connection->use_count;
    *ret = statement;
    return LH_OK;
}
