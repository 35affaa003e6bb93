/* Text columns that would be numbers but for a few values: what nobody wanted and nothing says. The
 * head of the written file tells which columns are worth a look; only these are read as a whole. */
#include "ingest/internal.h"
#include "storage/storage.h"

#define SQL_BYTES_MAX ((size_t)4 << 20)
#define COLUMNS_MAX ((size_t)256) /* that are looked at */
#define HEAD_ROWS 2000
#define NUMBERS_PER_TEN 9 /* at least as many values of ten are numbers */

static bool is_told(const struct task *task, struct lh_str name)
{
    for (size_t i = 0; i < task->column_count; i++)
        if (lh_str_equal(task->columns[i].name, name))
            return task->columns[i].is_told;
    return false;
}

static bool is_mostly_numbers(int64_t values, int64_t numbers)
{
    return values > 0 && numbers * 10 >= values * NUMBERS_PER_TEN;
}

static void put_from(struct lh_buf *sql, struct lh_str path)
{
    lh_buf_append_str(sql, lh_lit(" FROM read_parquet("));
    engine_quote_path(sql, path);
    lh_buf_append_str(sql, lh_lit(", hive_partitioning = false, file_row_number = true)"));
}

/* The one row of a statement of numbers: the first `count`, with -1 for NULL. */
static enum lh_code ask_numbers(struct task *task, struct lh_buf *sql, int64_t *ret, size_t count,
                                struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = lh_buf_check(sql, "The look at text columns", err);
    if (!code)
        code = engine_run(task->connection, lh_buf_str(sql), NULL, task->cancel, &cursor, err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, err);
    for (size_t i = 0; i < count; i++)
        ret[i] = code || !chunk || engine_vector_is_null(&chunk->columns[i], 0)
                     ? -1
                     : ((const int64_t *)chunk->columns[i].data)[0];
    engine_cursor_close(cursor);
    return code;
}

static void put_counts(struct lh_buf *sql, struct lh_str name)
{
    lh_buf_append_str(sql, lh_lit("count("));
    engine_quote_ident(sql, name);
    lh_buf_append_str(sql, lh_lit(")::BIGINT, count(TRY_CAST("));
    engine_quote_ident(sql, name);
    lh_buf_append_str(sql, lh_lit(" AS DOUBLE))::BIGINT"));
}

static enum lh_code warn_column(struct task *task, const struct catalog_column *column,
                                struct lh_str path, struct lh_error *err)
{
    int64_t found[3]; /* values, numbers, first row that is none */
    struct lh_buf sql;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, lh_lit("SELECT "));
    put_counts(&sql, column->stored_name);
    lh_buf_append_str(&sql, lh_lit(", min(file_row_number) FILTER ("));
    engine_quote_ident(&sql, column->stored_name);
    lh_buf_append_str(&sql, lh_lit(" IS NOT NULL AND TRY_CAST("));
    engine_quote_ident(&sql, column->stored_name);
    lh_buf_append_str(&sql, lh_lit(" AS DOUBLE) IS NULL)::BIGINT"));
    put_from(&sql, path);
    enum lh_code code = ask_numbers(task, &sql, found, 3, err);
    lh_buf_release(&sql);
    if (!code && found[2] >= 0 && is_mostly_numbers(found[0], found[1]))
        task_warn(task,
                  "Column '%.*s' is text: %lld of its %lld values are no numbers, the first in row "
                  "%lld. With options.types or options.null_strings it would be one of numbers.",
                  LH_ARG(lh_str_head(column->name, 100)), (long long)(found[0] - found[1]),
                  (long long)found[0], (long long)found[2] + 1);
    return code;
}

enum lh_code dirty_warn(struct task *task, struct lh_str path, struct lh_error *err)
{
    const struct catalog_column *texts[COLUMNS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < task->stored_count && count < COLUMNS_MAX; i++)
        if (lh_str_equal(task->stored[i].type, lh_lit("VARCHAR")) &&
            !is_told(task, task->stored[i].name))
            texts[count++] = &task->stored[i];
    if (!count || lh_str_empty(task->reject_table) || task->action == CATALOG_APPEND)
        return LH_OK;
    struct lh_buf sql;
    int64_t *found = lh_arena_array(task->arena, 2 * count, sizeof *found);
    lh_buf_init(&sql, SQL_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        lh_buf_append_str(&sql, i ? lh_lit(", ") : lh_lit("SELECT "));
        put_counts(&sql, texts[i]->stored_name);
    }
    lh_buf_append_str(&sql, lh_lit(" FROM (SELECT *"));
    put_from(&sql, path);
    lh_buf_printf(&sql, " LIMIT %d)", HEAD_ROWS);
    enum lh_code code = ask_numbers(task, &sql, found, 2 * count, err);
    lh_buf_release(&sql);
    for (size_t i = 0; i < count && !code; i++)
        if (is_mostly_numbers(found[2 * i], found[2 * i + 1]))
            code = warn_column(task, texts[i], path, err);
    return code;
}
