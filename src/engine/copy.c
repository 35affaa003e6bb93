/* Parquet files: writing them from a SELECT, reading them back, and the sums that prove they hold
 * the same.
 *
 * The tap is a scalar function in the middle of the plan: it adds up the hash of every row that
 * passes, for the connection whose number it is given, and answers true. It stands in a projection
 * under a filter because a filter alone would be pushed below the caller's own expressions, which
 * then run twice; a volatile column is not pushed through. Beside a plain COPY of six columns it
 * costs no more than the noise between two runs.
 */
#include "engine/internal.h"

#define TAP "__lh_tap"
#define ROW "__lh_row"
#define PLACE "__lh_place"
#define COPY_TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ROW_GROUP_ROWS 61440

/* A second, unrelated sum: rows that were changed to keep the first would have to keep both. */
static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9U;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EBU;
    return hash ^ hash >> 31;
}

static void tap(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    struct engine *engine = duckdb_scalar_function_get_extra_info(info);
    idx_t count = duckdb_data_chunk_get_size(input);
    bool *answers = duckdb_vector_get_data(output);
    uint64_t sums[2] = {0, 0};
    if (count == 0)
        return;
    uint64_t number =
        ((const uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 0)))[0];
    const uint64_t *hashes = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1));
    if (number >= engine->connection_count) {
        duckdb_scalar_function_set_error(info, "There is no such running copy.");
        return;
    }
    for (idx_t i = 0; i < count; i++) {
        sums[0] += hashes[i];
        sums[1] += mix(hashes[i]);
        answers[i] = true;
    }
    struct engine_connection *connection = engine->connections[number];
    atomic_fetch_add_explicit(&connection->tap_rows, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&connection->tap_sums[0], sums[0], memory_order_relaxed);
    atomic_fetch_add_explicit(&connection->tap_sums[1], sums[1], memory_order_relaxed);
}

enum lh_code copy_register_tap(struct engine *engine, duckdb_connection handle,
                               struct lh_error *err)
{
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);
    duckdb_logical_type answer = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
    duckdb_scalar_function_set_name(function, TAP);
    duckdb_scalar_function_add_parameter(function, number);
    duckdb_scalar_function_add_parameter(function, number);
    duckdb_scalar_function_set_return_type(function, answer);
    duckdb_scalar_function_set_volatile(function);
    duckdb_scalar_function_set_special_handling(function);
    duckdb_scalar_function_set_extra_info(function, engine, NULL);
    duckdb_scalar_function_set_function(function, tap);
    duckdb_state state = duckdb_register_scalar_function(handle, function);
    duckdb_destroy_scalar_function(&function);
    duckdb_destroy_logical_type(&number);
    duckdb_destroy_logical_type(&answer);
    if (state == DuckDBError)
        return lh_fail(err, LH_INTERNAL, "The SQL engine refuses the function that sums up rows.");
    return LH_OK;
}

static void begin_sums(struct engine_connection *connection)
{
    atomic_store(&connection->tap_rows, 0);
    atomic_store(&connection->tap_sums[0], 0);
    atomic_store(&connection->tap_sums[1], 0);
}

static struct engine_content end_sums(struct engine_connection *connection)
{
    return (struct engine_content){
        .rows = atomic_load(&connection->tap_rows),
        .sums = {atomic_load(&connection->tap_sums[0]), atomic_load(&connection->tap_sums[1])},
    };
}

/* --- writing */

/* Keeping the order of rows, the library's writer holds back whole batches of several threads, some
 * 200 MB. Rows that are numbered as they come run through one thread, in order by themselves: then
 * there is nothing to keep, and one row group at a time is held. A small LIMIT the library
 * materialises, and its rows are few. */
#define STREAMED_ROWS_MIN 100000
static bool is_streamed(const struct engine_copy_options *options)
{
    return options && options->has_no_sums && options->row_max >= STREAMED_ROWS_MIN;
}

/* SELECT the columns under their own names, in the types that are stored, past the tap. Inside they
 * are called c0, c1, …, so that no name of the caller's can meet one of ours. */
static size_t write_tapped(const struct engine_columns *columns, const struct lh_str *names,
                           size_t connection_index, const struct engine_copy_options *options,
                           struct lh_str select, struct lh_buf *buf)
{
    bool has_sums = !options || !options->has_no_sums;
    lh_buf_append_str(buf, lh_lit("SELECT "));
    for (size_t i = 0; i < columns->count; i++) {
        lh_buf_printf(buf, "%sc%zu AS ", i ? ", " : "", i);
        engine_quote_ident(buf, names ? names[i] : columns->items[i].name);
    }
    lh_buf_append_str(buf, lh_lit(" FROM ("));
    if (has_sums)
        lh_buf_printf(buf, "SELECT *, " TAP "(%zu, hash(" ROW ")) AS __lh_ok FROM (",
                      connection_index);
    else if (is_streamed(options))
        lh_buf_append_str(buf, lh_lit("SELECT *, row_number() OVER () AS " PLACE " FROM ("));
    lh_buf_append_str(buf, lh_lit("SELECT "));
    for (size_t i = 0; i < columns->count; i++) {
        size_t start = buf->len;
        lh_buf_printf(buf, "%sCAST(c%zu AS ", i ? ", " : "", i);
        if (columns->items[i].is_cast) {
            lh_buf_append_str(buf, lh_lit("VARCHAR"));
        } else if (!engine_stored_text(columns->items[i].info, buf)) {
            buf->len = start;
            lh_buf_printf(buf, "%sc%zu", i ? ", " : "", i);
            continue;
        }
        lh_buf_printf(buf, ") AS c%zu", i);
    }
    lh_buf_append_str(buf, lh_lit(" FROM ("));
    size_t prefix = buf->len;
    lh_buf_append_str(buf, select);
    lh_buf_append_str(buf, lh_lit("\n) AS __lh_select("));
    for (size_t i = 0; i < columns->count; i++)
        lh_buf_printf(buf, "%sc%zu", i ? ", " : "", i);
    lh_buf_append_char(buf, ')');
    long long row_max = options ? options->row_max : 0;
    if (is_streamed(options))
        lh_buf_printf(buf, ")) WHERE " PLACE " <= %lld", row_max);
    if (row_max)
        lh_buf_printf(buf, " LIMIT %lld", row_max);
    if (has_sums)
        lh_buf_append_str(buf, lh_lit(") AS " ROW ") WHERE __lh_ok"));
    else if (!is_streamed(options))
        lh_buf_append_char(buf, ')');
    return prefix;
}

static enum lh_code check_options(const struct engine_copy_options *options, struct lh_str path,
                                  struct lh_str *ret_codec, int64_t *ret_rows, struct lh_error *err)
{
    static const char *const codecs[] = {"snappy", "zstd", "lz4", "uncompressed"};
    *ret_codec = options && options->codec.len ? options->codec : lh_lit("snappy");
    *ret_rows = options && options->row_group_rows ? options->row_group_rows : ROW_GROUP_ROWS;
    bool is_known = false;
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
        is_known |= lh_str_equal(*ret_codec, lh_str_of(codecs[i]));
    if (!is_known)
        return lh_fail(err, LH_INVALID, "'%.*s' is not a codec of Parquet files written here.",
                       LH_ARG(*ret_codec));
    if (*ret_rows < 1)
        return lh_fail(err, LH_INVALID, "A row group has at least one row.");
    if (!lh_str_starts_with(path, lh_lit("/")) || memchr(path.data, 0, path.len))
        return lh_fail(err, LH_INVALID, "A file is written to an absolute path.");
    return LH_OK;
}

/* One error for what went wrong in either of the two texts that contain the caller's. */
static enum lh_code place(enum lh_code code, size_t prefix, struct lh_str select,
                          struct lh_error *err)
{
    if (err && err->position >= 0) {
        int64_t position = err->position - (int64_t)prefix;
        err->position = position >= 0 && position <= (int64_t)select.len ? position : -1;
    }
    return code;
}

enum lh_code engine_copy(struct engine_connection *connection, struct lh_str select,
                         struct lh_str path, const struct engine_copy_options *options,
                         const struct engine_params *params, const struct lh_cancel *cancel,
                         struct engine_content *ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_columns columns;
    struct engine_progress progress = {0};
    struct engine_step step = {0};
    struct lh_str codec;
    struct lh_buf text;
    int64_t rows, written = 0;
    lh_buf_init(&text, COPY_TEXT_BYTES_MAX);
    enum lh_code code = check_options(options, path, &codec, &rows, err);
    if (code)
        goto out;
    code = describe_columns(connection, select, params, cancel, arena, &columns, err);
    if (code)
        goto out;
    const struct lh_str *names = options && options->has_distinct_names
                                     ? engine_distinct_names(columns.items, columns.count, arena)
                                     : NULL;
    lh_buf_append_str(&text, lh_lit("COPY ("));
    struct lh_str body = statement_body(select);
    size_t prefix = write_tapped(&columns, names, connection->index, options, body, &text);
    prefix -= (size_t)(body.data - select.data);
    lh_buf_append_str(&text, lh_lit(") TO "));
    engine_quote_literal(&text, path);
    lh_buf_printf(
        &text, " (FORMAT parquet, CODEC '%.*s', ROW_GROUP_SIZE %lld, USE_TMP_FILE false%s)",
        LH_ARG(codec), (long long)rows, is_streamed(options) ? ", PRESERVE_ORDER false" : "");
    code = lh_buf_check(&text, "The statement to store", err);
    if (code)
        goto out;
    if (options && options->progress)
        progress = (struct engine_progress){options->progress, options->progress_context, 0};
    if (options && options->step)
        step = (struct engine_step){options->step, options->step_context};
    begin_sums(connection);
    code = execute_once(connection, lh_buf_str(&text), params, cancel, &progress,
                        step.call ? &step : NULL, &written, err);
    if (code) {
        place(code, prefix, select, err);
        goto out;
    }
    struct engine_content content = end_sums(connection);
    if (options && options->has_no_sums)
        content = (struct engine_content){.rows = (uint64_t)written};
    if (content.rows != (uint64_t)written) {
        code = lh_fail(err, LH_INTERNAL, "The SQL engine wrote %lld rows of the %llu that it read.",
                       (long long)written, (unsigned long long)content.rows);
        goto out;
    }
    *ret = content;
out:
    lh_buf_release(&text);
    lh_arena_free(arena);
    return code;
}

/* --- reading back */

/* Runs a statement of which every row passes the tap. */
static enum lh_code sum_up(struct engine_connection *connection, struct lh_str text,
                           const struct lh_cancel *cancel, struct engine_content *ret,
                           struct lh_error *err)
{
    begin_sums(connection);
    enum lh_code code = execute_once(connection, text, NULL, cancel, NULL, NULL, NULL, err);
    if (!code)
        *ret = end_sums(connection);
    return code;
}

enum lh_code engine_parquet_check(struct engine_connection *connection, struct lh_str path,
                                  const struct lh_cancel *cancel, struct engine_content *ret,
                                  struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_columns columns;
    struct lh_buf text;
    int64_t rows = 0;
    lh_buf_init(&text, COPY_TEXT_BYTES_MAX);
    enum lh_code code = engine_parquet_schema(connection, path, arena, &columns, &rows, err);
    if (code)
        goto out;
    lh_buf_printf(&text,
                  "SELECT count(*) FROM (SELECT " TAP "(%zu, hash(" ROW
                  ")) AS __lh_ok FROM (FROM read_parquet(",
                  connection->index);
    engine_quote_path(&text, path);
    lh_buf_append_str(&text, lh_lit(", hive_partitioning = false)) AS " ROW "("));
    for (size_t i = 0; i < columns.count; i++)
        lh_buf_printf(&text, "%sc%zu", i ? ", " : "", i);
    lh_buf_append_str(&text, lh_lit(")) WHERE __lh_ok"));
    code = lh_buf_check(&text, "The statement to check", err);
    if (code)
        goto out;
    struct engine_content content;
    code = sum_up(connection, lh_buf_str(&text), cancel, &content, err);
    if (code) {
        place(code, text.len, (struct lh_str){0}, err);
        goto out;
    }
    if (content.rows != (uint64_t)rows) {
        code = lh_fail(err, LH_UNREADABLE,
                       "The Parquet file holds %llu rows, but its footer says %lld.",
                       (unsigned long long)content.rows, (long long)rows);
        goto out;
    }
    *ret = content;
out:
    lh_buf_release(&text);
    lh_arena_free(arena);
    return code;
}

/* --- without a file */

enum lh_code engine_content_of(struct engine_connection *connection, struct lh_str select,
                               const struct lh_cancel *cancel, struct engine_content *ret,
                               struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_columns columns;
    struct lh_buf text;
    size_t prefix = 0;
    lh_buf_init(&text, COPY_TEXT_BYTES_MAX);
    enum lh_code code = describe_columns(connection, select, NULL, cancel, arena, &columns, err);
    if (code)
        goto out;
    lh_buf_append_str(&text, lh_lit("SELECT count(*) FROM ("));
    prefix = write_tapped(&columns, NULL, connection->index, NULL, select, &text);
    lh_buf_append_char(&text, ')');
    code = lh_buf_check(&text, "The statement to sum up", err);
    if (code)
        goto out;
    code = sum_up(connection, lh_buf_str(&text), cancel, ret, err);
    if (code)
        place(code, prefix, select, err);
out:
    lh_buf_release(&text);
    lh_arena_free(arena);
    return code;
}
