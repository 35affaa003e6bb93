/* Table functions of the lakehouse, by way of the library's callbacks. */
#include "engine/internal.h"

#include <stdatomic.h>
#include <stdlib.h>

/* One registered function; the library keeps a pointer to it as long as the database lives. */
struct engine_table {
    struct engine *engine;
    struct engine_table_function function; /* its name and arguments are copies in `arena` */
    struct lh_arena *arena;
    struct engine_table *next;
};

struct bound_column {
    enum engine_type type;
    bool is_list;
};

/* What one bind made: lives as long as the prepared statement and each of its scans. */
struct engine_bind {
    atomic_size_t refs;
    struct engine_table *table;
    duckdb_bind_info info;
    struct lh_arena *arena;
    duckdb_value *values; /* per argument; NULL = not given */
    struct bound_column *columns;
    size_t column_count;
    size_t column_capacity;
    void *bound;
    struct engine_connection *connection;
};

struct engine_scan {
    struct engine_bind *bind;
    size_t *columns;
    size_t column_count;
    void *state;
};

struct engine_write {
    duckdb_data_chunk chunk;
    struct engine_scan *scan;
};

/* --- bind
 * -----------------------------------------------------------------------------------------------
 */

/* A thread of the engine may let go of a scan after the statement has gone. */
static void unref_bind(void *object)
{
    struct engine_bind *bind = object;
    if (atomic_fetch_sub(&bind->refs, 1) != 1)
        return;
    if (bind->bound && bind->table->function.free_bound)
        bind->table->function.free_bound(bind->bound);
    for (size_t i = 0; bind->values && i < bind->table->function.argument_count; i++)
        duckdb_destroy_value(&bind->values[i]);
    lh_arena_free(bind->arena);
    free(bind->columns);
    free(bind);
}

static void read_arguments(struct engine_bind *bind)
{
    const struct engine_table_function *function = &bind->table->function;
    idx_t positional = 0;
    bind->values = lh_arena_array(
        bind->arena, function->argument_count ? function->argument_count : 1, sizeof *bind->values);
    for (size_t i = 0; i < function->argument_count; i++) {
        const char *name = function->arguments[i].name;
        bind->values[i] = name ? duckdb_bind_get_named_parameter(bind->info, name)
                               : duckdb_bind_get_parameter(bind->info, positional++);
    }
}

static void on_bind(duckdb_bind_info info)
{
    struct engine_table *table = duckdb_bind_get_extra_info(info);
    struct engine_bind *bind = calloc(1, sizeof *bind);
    struct lh_error err = LH_ERROR_NONE;
    duckdb_client_context context = NULL;
    if (!bind) {
        duckdb_bind_set_error(info, "No memory is left to prepare the statement.");
        return;
    }
    atomic_init(&bind->refs, 1);
    bind->table = table;
    bind->info = info;
    bind->arena = lh_arena_new(0);
    duckdb_table_function_get_client_context(info, &context);
    bind->connection =
        engine_find_connection(table->engine, duckdb_client_context_get_connection_id(context));
    duckdb_destroy_client_context(&context);
    duckdb_bind_set_bind_data(info, bind, unref_bind);
    read_arguments(bind);
    if (table->function.bind(table->function.context, bind, &bind->bound, &err)) {
        connection_keep_error(bind->connection, &err);
        duckdb_bind_set_error(info, err.message);
    }
    bind->info = NULL;
}

static duckdb_value value_of(const struct engine_bind *bind, size_t argument)
{
    assert(argument < bind->table->function.argument_count);
    return bind->values[argument];
}

bool engine_bind_has(const struct engine_bind *bind, size_t argument)
{
    duckdb_value value = value_of(bind, argument);
    return value && !duckdb_is_null_value(value);
}

int64_t engine_bind_int(const struct engine_bind *bind, size_t argument)
{
    return duckdb_get_int64(value_of(bind, argument));
}

double engine_bind_double(const struct engine_bind *bind, size_t argument)
{
    return duckdb_get_double(value_of(bind, argument));
}

bool engine_bind_bool(const struct engine_bind *bind, size_t argument)
{
    return duckdb_get_bool(value_of(bind, argument));
}

static struct lh_str text_of(const struct engine_bind *bind, duckdb_value value)
{
    char *text = value ? duckdb_get_varchar(value) : NULL;
    if (!text)
        return (struct lh_str){0};
    struct lh_str copy = lh_arena_str(bind->arena, lh_str_of(text));
    duckdb_free(text);
    return copy;
}

struct lh_str engine_bind_str(const struct engine_bind *bind, size_t argument)
{
    return engine_bind_has(bind, argument) ? text_of(bind, value_of(bind, argument))
                                           : (struct lh_str){0};
}

size_t engine_bind_list_count(const struct engine_bind *bind, size_t argument)
{
    return engine_bind_has(bind, argument) ? duckdb_get_list_size(value_of(bind, argument)) : 0;
}

void engine_bind_list_doubles(const struct engine_bind *bind, size_t argument, double *ret)
{
    size_t count = engine_bind_list_count(bind, argument);
    for (size_t i = 0; i < count; i++) {
        duckdb_value item = duckdb_get_list_child(value_of(bind, argument), i);
        ret[i] = duckdb_get_double(item);
        duckdb_destroy_value(&item);
    }
}

struct lh_str engine_bind_list_str(const struct engine_bind *bind, size_t argument, size_t item)
{
    duckdb_value value = duckdb_get_list_child(value_of(bind, argument), item);
    struct lh_str text = text_of(bind, value);
    duckdb_destroy_value(&value);
    return text;
}

void engine_bind_column(struct engine_bind *bind, struct lh_str name, enum engine_type type,
                        bool is_list)
{
    assert(bind->info && type != ENGINE_DECIMAL && type != ENGINE_ENUM && type < ENGINE_LIST);
    if (bind->column_count == bind->column_capacity) {
        size_t capacity = bind->column_capacity ? bind->column_capacity * 2 : 8;
        struct bound_column *grown = realloc(bind->columns, capacity * sizeof *grown);
        if (!grown) {
            duckdb_bind_set_error(bind->info, "No memory is left to prepare the statement.");
            return;
        }
        bind->columns = grown;
        bind->column_capacity = capacity;
    }
    bind->columns[bind->column_count++] = (struct bound_column){type, is_list};
    duckdb_logical_type made = type_make(type, is_list);
    duckdb_bind_add_result_column(bind->info, lh_arena_cstr(bind->arena, name), made);
    duckdb_destroy_logical_type(&made);
}

void engine_bind_rows(struct engine_bind *bind, int64_t row_count)
{
    duckdb_bind_set_cardinality(bind->info, (idx_t)(row_count > 0 ? row_count : 0), false);
}

/* --- start and next */

static void free_scan(void *object)
{
    struct engine_scan *scan = object;
    const struct engine_table_function *function = &scan->bind->table->function;
    if (scan->state && function->free_state)
        function->free_state(scan->state);
    unref_bind(scan->bind);
    free(scan->columns);
    free(scan);
}

static void on_start(duckdb_init_info info)
{
    struct engine_bind *bind = duckdb_init_get_bind_data(info);
    const struct engine_table_function *function = &bind->table->function;
    struct engine_scan *scan = calloc(1, sizeof *scan);
    size_t count = duckdb_init_get_column_count(info);
    struct lh_error err = LH_ERROR_NONE;
    if (scan)
        scan->columns = calloc(count ? count : 1, sizeof *scan->columns);
    if (!scan || !scan->columns) {
        free(scan);
        duckdb_init_set_error(info, "No memory is left to run the statement.");
        return;
    }
    scan->bind = bind;
    atomic_fetch_add(&bind->refs, 1);
    scan->column_count = count;
    for (size_t i = 0; i < count; i++)
        scan->columns[i] = duckdb_init_get_column_index(info, i);
    duckdb_init_set_max_threads(info, 1);
    if (function->start &&
        function->start(function->context, bind->bound, scan, &scan->state, &err)) {
        connection_keep_error(bind->connection, &err);
        free_scan(scan);
        duckdb_init_set_error(info, err.message);
        return;
    }
    duckdb_init_set_init_data(info, scan, free_scan);
}

static void on_next(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct engine_scan *scan = duckdb_function_get_init_data(info);
    struct engine_bind *bind = scan->bind;
    const struct engine_table_function *function = &bind->table->function;
    struct engine_write write = {.chunk = chunk, .scan = scan};
    struct lh_error err = LH_ERROR_NONE;
    size_t rows = 0;
    enum lh_code code = lh_cancel_fail(engine_scan_cancel(scan), "The statement", &err);
    if (!code)
        code =
            function->next(function->context, bind->bound, scan->state, scan, &write, &rows, &err);
    if (code) {
        connection_keep_error(bind->connection, &err);
        duckdb_function_set_error(info, err.message);
        return;
    }
    assert(rows <= ENGINE_CHUNK_ROWS);
    duckdb_data_chunk_set_size(chunk, rows);
}

const struct lh_cancel *engine_scan_cancel(const struct engine_scan *scan)
{
    struct engine_connection *connection = scan->bind->connection;
    return connection ? atomic_load(&connection->watched) : NULL;
}

size_t engine_scan_column_count(const struct engine_scan *scan)
{
    return scan->column_count;
}

size_t engine_scan_column(const struct engine_scan *scan, size_t at)
{
    assert(at < scan->column_count);
    return scan->columns[at];
}

/* --- writing */

static duckdb_vector vector_at(struct engine_write *write, size_t at)
{
    assert(at < write->scan->column_count);
    return duckdb_data_chunk_get_vector(write->chunk, at);
}

void *engine_write_data(struct engine_write *write, size_t at)
{
    return duckdb_vector_get_data(vector_at(write, at));
}

void engine_write_null(struct engine_write *write, size_t at, size_t row)
{
    duckdb_vector vector = vector_at(write, at);
    duckdb_vector_ensure_validity_writable(vector);
    duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row);
}

void engine_write_str(struct engine_write *write, size_t at, size_t row, struct lh_str value)
{
    duckdb_vector_assign_string_element_len(vector_at(write, at), row, value.data ? value.data : "",
                                            value.len);
}

/* Makes room for `count` items of the row's list; returns the items' vector and the first one's
 * place. */
static duckdb_vector extend_list(duckdb_vector list, size_t row, size_t count, size_t *ret_from)
{
    size_t from = duckdb_list_vector_get_size(list);
    duckdb_list_vector_reserve(list, from + count);
    duckdb_list_vector_set_size(list, from + count);
    duckdb_list_entry *entries = duckdb_vector_get_data(list);
    entries[row] = (duckdb_list_entry){.offset = from, .length = count};
    *ret_from = from;
    return duckdb_list_vector_get_child(list);
}

static void write_numbers(struct engine_write *write, size_t at, size_t row, const void *values,
                          size_t count, size_t bytes)
{
    size_t from;
    duckdb_vector items = extend_list(vector_at(write, at), row, count, &from);
    if (count)
        memcpy((char *)duckdb_vector_get_data(items) + from * bytes, values, count * bytes);
}

void engine_write_floats(struct engine_write *write, size_t at, size_t row, const float *values,
                         size_t count)
{
    write_numbers(write, at, row, values, count, sizeof *values);
}

void engine_write_doubles(struct engine_write *write, size_t at, size_t row, const double *values,
                          size_t count)
{
    write_numbers(write, at, row, values, count, sizeof *values);
}

void engine_write_strs(struct engine_write *write, size_t at, size_t row,
                       const struct lh_str *values, size_t count)
{
    size_t from;
    duckdb_vector items = extend_list(vector_at(write, at), row, count, &from);
    for (size_t i = 0; i < count; i++)
        duckdb_vector_assign_string_element_len(
            items, from + i, values[i].data ? values[i].data : "", values[i].len);
}

/* --- registering */

static struct engine_table *copy_function(struct engine *engine,
                                          const struct engine_table_function *function)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_table *table = lh_arena_alloc(arena, sizeof *table);
    size_t count = function->argument_count;
    struct engine_argument *arguments = lh_arena_array(arena, count ? count : 1, sizeof *arguments);
    *table = (struct engine_table){.engine = engine, .function = *function, .arena = arena};
    for (size_t i = 0; i < count; i++) {
        arguments[i] = function->arguments[i];
        if (arguments[i].name)
            arguments[i].name = lh_arena_cstr(arena, lh_str_of(arguments[i].name));
    }
    table->function.arguments = arguments;
    table->function.name = lh_arena_cstr(arena, lh_str_of(function->name));
    return table;
}

static bool is_registered(struct engine *engine, const char *name)
{
    for (const struct engine_table *table = engine->tables; table; table = table->next)
        if (lh_str_equal_nocase(lh_str_of(table->function.name), lh_str_of(name)))
            return true;
    return false;
}

static duckdb_state register_with(duckdb_connection handle, struct engine_table *table)
{
    duckdb_table_function made = duckdb_create_table_function();
    duckdb_table_function_set_name(made, table->function.name);
    for (size_t i = 0; i < table->function.argument_count; i++) {
        const struct engine_argument *argument = &table->function.arguments[i];
        duckdb_logical_type type = type_make(argument->type, argument->is_list);
        if (argument->name)
            duckdb_table_function_add_named_parameter(made, argument->name, type);
        else
            duckdb_table_function_add_parameter(made, type);
        duckdb_destroy_logical_type(&type);
    }
    duckdb_table_function_set_extra_info(made, table, NULL);
    duckdb_table_function_set_bind(made, on_bind);
    duckdb_table_function_set_init(made, on_start);
    duckdb_table_function_set_function(made, on_next);
    duckdb_table_function_supports_projection_pushdown(made, true);
    duckdb_state state = duckdb_register_table_function(handle, made);
    duckdb_destroy_table_function(&made);
    return state;
}

enum lh_code engine_register_table(struct engine *engine,
                                   const struct engine_table_function *function,
                                   struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    enum lh_code code = engine_acquire(engine, (struct lh_str){0}, NULL, &connection, err);
    if (code)
        return code;
    struct engine_table *table = copy_function(engine, function);
    pthread_mutex_lock(&engine->lock);
    if (is_registered(engine, function->name) ||
        register_with(connection->handle, table) == DuckDBError) {
        code = lh_fail(err, LH_EXISTS, "There is a function '%s' already.", function->name);
        lh_arena_free(table->arena);
    } else {
        table->next = engine->tables;
        engine->tables = table;
    }
    pthread_mutex_unlock(&engine->lock);
    engine_release(connection);
    return code;
}

void function_free_all(struct engine *engine)
{
    struct engine_table *table = engine->tables;
    while (table) {
        struct engine_table *next = table->next;
        lh_arena_free(table->arena);
        table = next;
    }
    engine->tables = NULL;
}
