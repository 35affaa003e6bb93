#include "ingest/internal.h"

#include <stdio.h>

#include "catalog/pii.h"

#define SELECT_BYTES_MAX ((size_t)8 << 20)
#define WARNINGS_MAX 50
#define DIFFERENCES_BYTES_MAX ((size_t)1024)

void task_warn(struct task *task, const char *format, ...)
{
    char text[512];
    va_list args;
    if (task->warnings.count >= WARNINGS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct lh_str *items =
        lh_arena_array(task->arena, task->warnings.count + 1, sizeof(struct lh_str));
    if (task->warnings.count)
        memcpy(items, task->warnings.items, task->warnings.count * sizeof(*items));
    items[task->warnings.count] = lh_arena_str(task->arena, lh_str_head(lh_str_of(text), 500));
    task->warnings = (struct lh_str_list){items, task->warnings.count + 1};
}

/* Without control characters, at most INGEST_COLUMN_NAME_BYTES_MAX bytes, and not empty. */
static struct lh_str printable(struct task *task, struct lh_str name, size_t index)
{
    struct lh_str trimmed = lh_str_trim(name);
    struct lh_str kept = lh_str_head(trimmed, INGEST_COLUMN_NAME_BYTES_MAX - 8);
    if (!kept.len)
        return lh_arena_printf(task->arena, "column%zu", index + 1);
    char *copy = lh_arena_alloc(task->arena, kept.len + 1);
    for (size_t at = 0; at < kept.len; at++)
        copy[at] =
            (unsigned char)kept.data[at] < 0x20 || kept.data[at] == 0x7F ? '_' : kept.data[at];
    return (struct lh_str){copy, kept.len};
}

static bool is_taken(const struct task *task, size_t count, struct lh_str name)
{
    for (size_t at = 0; at < count; at++)
        if (lh_str_equal_nocase(task->columns[at].name, name))
            return true;
    return false;
}

enum lh_code columns_fail_width(size_t count, struct lh_error *err)
{
    lh_fail(err, LH_TOO_LARGE, "The file has at least %zu columns; a dataset has at most %d.",
            count, INGEST_COLUMNS_MAX);
    return lh_error_hint(err, "Turn groups of columns into rows (name, value) or split the file.");
}

enum lh_code columns_clean(struct task *task, struct lh_error *err)
{
    if (task->column_count > INGEST_COLUMNS_MAX)
        return columns_fail_width(task->column_count, err);
    if (!task->column_count)
        return lh_fail(err, LH_UNREADABLE, "The file has no columns.");
    for (size_t at = 0; at < task->column_count; at++) {
        struct lh_str given = task->columns[at].name;
        struct lh_str base = printable(task, given, at);
        struct lh_str name = base;
        for (int number = 2; is_taken(task, at, name); number++)
            name = lh_arena_printf(task->arena, "%.*s_%d", LH_ARG(base), number);
        if (!lh_str_equal(name, given))
            task_warn(task, "Column %zu is called '%.*s' here.", at + 1, LH_ARG(name));
        task->columns[at].name = name;
    }
    return LH_OK;
}

typedef void (*quote_fn)(struct lh_buf *buf, struct lh_str text);

static struct lh_str quoted(quote_fn quote, struct lh_arena *arena, struct lh_str text)
{
    struct lh_buf buf;
    lh_buf_init(&buf, text.len * 3 + 16); /* a path's patterns take three bytes each */
    quote(&buf, text);
    struct lh_str copy = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return copy;
}

struct lh_str sql_literal(struct lh_arena *arena, struct lh_str text)
{
    return quoted(engine_quote_literal, arena, text);
}

struct lh_str sql_path(struct lh_arena *arena, struct lh_str path)
{
    return quoted(engine_quote_path, arena, path);
}

struct lh_str sql_ident(struct lh_arena *arena, struct lh_str name)
{
    return quoted(engine_quote_ident, arena, name);
}

/* --- a new schema ------------------------------------------------------------------------------
 */

static struct catalog_column new_column(struct task *task, const struct source_column *column)
{
    struct catalog_pii pii = catalog_pii_of_column(column->name, column->type);
    return (struct catalog_column){
        .name = column->name,
        .stored_name = catalog_stored_name(column->name, task->arena),
        .type = column->type,
        .sensitivity = pii.sensitivity,
        .is_pii = pii.is_pii,
        .pii_kind = lh_str_of(pii.kind),
    };
}

static void put_column(struct lh_buf *sql, struct lh_str expr, struct lh_str stored_name)
{
    lh_buf_append_str(sql, sql->len > strlen("SELECT ") ? lh_lit(", ") : lh_lit(""));
    lh_buf_append_str(sql, expr);
    lh_buf_append_str(sql, lh_lit(" AS "));
    engine_quote_ident(sql, stored_name);
}

/* Keeps what people wrote about a column when the data is replaced. */
static void keep_words(const struct task *task, struct catalog_column *column)
{
    const struct catalog_column *old =
        task->dataset ? catalog_dataset_column(task->dataset, column->name) : NULL;
    if (!old)
        return;
    column->description = old->description;
    if (old->sensitivity != CATALOG_INTERNAL)
        column->sensitivity = old->sensitivity;
}

/* What collects the rows that are left out: a condition, and what is wrong with each. */
struct misfits {
    struct lh_buf condition;
    struct lh_buf reasons;
};

/* A value of `expr`, which is text, that is no whole number of `type`. */
static struct lh_str not_whole(struct lh_arena *arena, struct lh_str expr, struct lh_str type)
{
    return lh_arena_printf(arena,
                           "(%.*s IS NOT NULL AND (TRY_CAST(%.*s AS %.*s) IS NULL OR "
                           "((contains(%.*s, '.') OR contains(%.*s, '-')) AND "
                           "regexp_matches(%.*s, '\\.[0-9]*[1-9]|[eE]-'))))",
                           LH_ARG(expr), LH_ARG(expr), LH_ARG(type), LH_ARG(expr), LH_ARG(expr),
                           LH_ARG(expr));
}

static void add_misfit(struct task *task, struct misfits *misfits, const struct lh_str name,
                       struct lh_str expr, struct lh_str type, struct lh_str condition)
{
    const char *between = misfits->condition.len ? " OR " : "";
    struct lh_str words = lh_arena_printf(task->arena, "column '%.*s': ", LH_ARG(name));
    lh_buf_printf(&misfits->condition, "%s%.*s", between, LH_ARG(condition));
    lh_buf_printf(&misfits->reasons,
                  ", CASE WHEN %.*s THEN %.*s || left(CAST(%.*s AS VARCHAR), 100) || ' is no %.*s' "
                  "END",
                  LH_ARG(condition), LH_ARG(sql_literal(task->arena, words)), LH_ARG(expr),
                  LH_ARG(type));
}

/* The expression of a column that is stored as `type`, and its misfits. */
static struct lh_str checked(struct task *task, const struct source_column *source,
                             struct lh_str type, struct misfits *misfits)
{
    add_misfit(task, misfits, source->name, source->expr, type,
               not_whole(task->arena, source->expr, type));
    return lh_arena_printf(task->arena, "TRY_CAST(%.*s AS %.*s)", LH_ARG(source->expr),
                           LH_ARG(type));
}

static void fit_new(struct task *task, struct lh_buf *sql, struct misfits *misfits)
{
    for (size_t at = 0; at < task->column_count; at++) {
        const struct source_column *source = &task->columns[at];
        task->stored[at] = new_column(task, source);
        keep_words(task, &task->stored[at]);
        put_column(sql,
                   source->is_checked ? checked(task, source, source->type, misfits) : source->expr,
                   task->stored[at].stored_name);
    }
    task->stored_count = task->column_count;
}

/* --- an append ---------------------------------------------------------------------------------
 */

static int integer_rank(struct lh_str type)
{
    static const char *const names[] = {"TINYINT",  "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER",
                                        "UINTEGER", "BIGINT",   "UBIGINT",  "HUGEINT"};
    for (size_t at = 0; at < sizeof(names) / sizeof(names[0]); at++)
        if (lh_str_equal(type, lh_str_of(names[at])))
            return (int)at + 1;
    return 0;
}

bool column_is_whole(struct lh_str type)
{
    return integer_rank(type) > 0;
}

enum conversion { CONVERT_NONE, CONVERT_SAFE, CONVERT_TRIED, CONVERT_NEVER };

/* How values of `from` become values of `to`: as they are, always, row by row, or not at all. */
static enum conversion conversion_of(struct lh_str from, struct lh_str to)
{
    int from_rank = integer_rank(from);
    int to_rank = integer_rank(to);
    bool is_nested = lh_str_ends_with(from, lh_lit("]")) || lh_str_ends_with(to, lh_lit("]")) ||
                     lh_str_starts_with(from, lh_lit("STRUCT")) ||
                     lh_str_starts_with(to, lh_lit("STRUCT"));
    if (lh_str_equal(from, to))
        return CONVERT_NONE;
    if (is_nested)
        return CONVERT_NEVER;
    if (lh_str_equal(to, lh_lit("VARCHAR")))
        return CONVERT_SAFE;
    if (from_rank && to_rank)
        return from_rank < to_rank && from.data[0] != 'U' ? CONVERT_SAFE : CONVERT_TRIED;
    if (from_rank &&
        (lh_str_equal(to, lh_lit("DOUBLE")) || lh_str_starts_with(to, lh_lit("DECIMAL"))))
        return CONVERT_TRIED;
    if (lh_str_equal(from, lh_lit("FLOAT")) && lh_str_equal(to, lh_lit("DOUBLE")))
        return CONVERT_SAFE;
    if (lh_str_equal(from, lh_lit("DATE")) && lh_str_starts_with(to, lh_lit("TIMESTAMP")))
        return CONVERT_SAFE;
    return lh_str_equal(from, lh_lit("VARCHAR")) ? CONVERT_TRIED : CONVERT_NEVER;
}

static const struct source_column *find_source(const struct task *task, struct lh_str name)
{
    for (size_t at = 0; at < task->column_count; at++)
        if (lh_str_equal_nocase(task->columns[at].name, name))
            return &task->columns[at];
    return NULL;
}

static void put_difference(struct lh_buf *list, struct lh_str name, struct lh_str type,
                           const char *what, struct lh_str other)
{
    lh_buf_printf(list, "%s'%.*s' (%.*s)%s%.*s", list->len ? ", " : "", LH_ARG(name), LH_ARG(type),
                  what, LH_ARG(other));
}

/* Columns that the dataset has not, and columns whose values can never be its. */
static enum lh_code check_differences(const struct task *task, struct lh_error *err)
{
    struct lh_buf list;
    lh_buf_init(&list, DIFFERENCES_BYTES_MAX);
    for (size_t at = 0; at < task->column_count; at++) {
        const struct source_column *source = &task->columns[at];
        const struct catalog_column *column = catalog_dataset_column(task->dataset, source->name);
        if (!column)
            put_difference(&list, source->name, source->type, " is new", lh_lit(""));
        else if (!source->is_null_only &&
                 conversion_of(source->type, column->type) == CONVERT_NEVER)
            put_difference(&list, source->name, source->type, " is here ", column->type);
    }
    enum lh_code code = LH_OK;
    if (list.len || list.is_over) {
        code = lh_fail(err, LH_SCHEMA, "The file does not fit the columns of '%.*s': %.*s%s.",
                       LH_ARG(task->dataset->name), LH_ARG(lh_buf_str(&list)),
                       list.is_over ? ", …" : "");
        lh_error_hint(err,
                      "Rename or leave out these columns, or bring the file with mode replace; "
                      "columns that the file lacks become NULL.");
    }
    lh_buf_release(&list);
    return code;
}

static void fit_append(struct task *task, struct lh_buf *sql, struct misfits *misfits)
{
    task->stored_count = task->dataset->column_count;
    for (size_t at = 0; at < task->stored_count; at++) {
        const struct catalog_column *column = &task->dataset->columns[at];
        const struct source_column *source = find_source(task, column->name);
        struct lh_str expr = source ? source->expr : lh_lit("NULL");
        enum conversion conversion =
            source ? conversion_of(source->type, column->type) : CONVERT_SAFE;
        task->stored[at] = *column;
        if (source && source->is_checked) {
            put_column(sql, checked(task, source, column->type, misfits), column->stored_name);
            continue;
        }
        if (source && source->is_null_only)
            conversion = CONVERT_TRIED;
        if (conversion == CONVERT_TRIED)
            add_misfit(task, misfits, column->name, expr, column->type,
                       lh_arena_printf(task->arena,
                                       "(%.*s IS NOT NULL AND TRY_CAST(%.*s AS %.*s) IS NULL)",
                                       LH_ARG(expr), LH_ARG(expr), LH_ARG(column->type)));
        if (conversion != CONVERT_NONE)
            expr = lh_arena_printf(task->arena, "TRY_CAST(%.*s AS %.*s)", LH_ARG(expr),
                                   LH_ARG(column->type));
        put_column(sql, expr, column->stored_name);
    }
}

/* Rows of which a value does not become the column's are left out, and can be asked for. */
static void leave_out(struct task *task, struct lh_buf *sql, const struct misfits *misfits)
{
    struct lh_str condition = lh_buf_str(&misfits->condition);
    task->misfits = (struct lh_str){0};
    if (!condition.len)
        return;
    lh_buf_printf(sql, " WHERE NOT (%.*s)", LH_ARG(condition));
    task->misfits = lh_arena_printf(
        task->arena,
        "SELECT NULL::BIGINT AS line, concat_ws('; '%.*s) AS reason, to_json(r)::VARCHAR AS raw "
        "FROM (SELECT * FROM %.*s WHERE %.*s) r",
        LH_ARG(lh_buf_str(&misfits->reasons)), LH_ARG(task->relation), LH_ARG(condition));
}

enum lh_code columns_refuse_types(const struct task *task, struct lh_error *err)
{
    if (!json_object_size(task->options.types.value))
        return LH_OK;
    lh_fail(err, LH_INVALID, "options.types is for CSV: this file says itself what its types are.");
    lh_error_field(err, lh_lit("options.types"));
    return lh_error_hint(err, "Take it in as it is, and cast in SQL.");
}

enum lh_code columns_check_types(const struct task *task, struct lh_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    struct lh_str *names = lh_arena_array(task->arena, task->column_count + 1, sizeof(*names));
    for (size_t at = 0; at < task->column_count; at++)
        names[at] = task->columns[at].name;
    json_object_foreach((json_t *)task->options.types.value, key, value)
    {
        struct lh_str name = lh_str_of(key);
        if (is_taken(task, task->column_count, name))
            continue;
        struct lh_str nearest = lh_str_nearest(name, names, task->column_count);
        lh_fail(err, LH_INVALID, "options.types names the column '%.*s', which the file has not.",
                LH_ARG(lh_str_head(name, 100)));
        lh_error_field(err, lh_lit("options.types"));
        return nearest.len ? lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest))
                           : LH_INVALID;
    }
    return LH_OK;
}

enum lh_code columns_fit(struct task *task, struct lh_error *err)
{
    struct lh_buf sql;
    struct misfits misfits;
    bool is_append = task->action == CATALOG_APPEND;
    size_t count = is_append ? task->dataset->column_count : task->column_count;
    enum lh_code code = is_append ? check_differences(task, err) : LH_OK;
    if (code)
        return code;
    lh_buf_init(&sql, SELECT_BYTES_MAX);
    lh_buf_init(&misfits.condition, SELECT_BYTES_MAX);
    lh_buf_init(&misfits.reasons, SELECT_BYTES_MAX);
    task->stored = lh_arena_array(task->arena, count + 1, sizeof(*task->stored));
    lh_buf_append_str(&sql, lh_lit("SELECT "));
    if (is_append)
        fit_append(task, &sql, &misfits);
    else
        fit_new(task, &sql, &misfits);
    lh_buf_append_str(&sql, lh_lit(" FROM "));
    lh_buf_append_str(&sql, task->relation);
    leave_out(task, &sql, &misfits);
    code = lh_buf_check(&sql, "the columns of the file", err);
    if (!code)
        code = lh_buf_check(&misfits.reasons, "the columns of the file", err);
    if (!code)
        task->select = lh_arena_str(task->arena, lh_buf_str(&sql));
    lh_buf_release(&sql);
    lh_buf_release(&misfits.condition);
    lh_buf_release(&misfits.reasons);
    return code;
}
