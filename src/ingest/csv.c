/* CSV and TSV: the dialect and the types are sniffed once, then the file is read with both spelled
 * out, so that it is parsed once more only. Rows that do not fit are noted by the reader itself in
 * temporary tables of the connection. */
#include "ingest/internal.h"

#include <assert.h>
#include <stdlib.h>

#define SQL_BYTES_MAX ((size_t)4 << 20)
#define LINE_BYTES_MAX "16777216"
/* Of the reader, which would take sixteen of the longest lines: then one thread reads most files
 * alone. */
#define BUFFER_BYTES "33554432"

/* What sniff_csv found. Texts are SQL literals' contents. */
struct dialect {
    struct lh_str delimiter;
    struct lh_str quote;
    struct lh_str escape;
    struct lh_str comment;
    int64_t skip;
    bool has_header;
    struct lh_str date_format;
    struct lh_str timestamp_format;
    struct lh_str *names;
    struct lh_str *types;
    size_t column_count;
};

static void put_option(struct lh_buf *sql, const char *name, struct lh_str value)
{
    lh_buf_printf(sql, ", %s=", name);
    engine_quote_literal(sql, value);
}

/* Options that sniffer and reader take alike. */
static void put_common(struct lh_buf *sql, const struct task *task)
{
    if (task->scan.is_gzip)
        put_option(sql, "compression", lh_lit("gzip"));
    lh_buf_append_str(sql, lh_lit(", max_line_size=" LINE_BYTES_MAX ", buffer_size=" BUFFER_BYTES));
    if (task->options.null_strings.count) {
        lh_buf_append_str(sql, lh_lit(", nullstr=[''"));
        for (size_t at = 0; at < task->options.null_strings.count; at++) {
            lh_buf_append_char(sql, ',');
            engine_quote_literal(sql, task->options.null_strings.items[at]);
        }
        lh_buf_append_char(sql, ']');
    }
}

static void put_sniff(struct lh_buf *sql, const struct task *task)
{
    lh_buf_append_str(sql, lh_lit("SELECT Delimiter, Quote, Escape, Comment, SkipRows::BIGINT, "
                                  "HasHeader, DateFormat, TimestampFormat, "
                                  "list_transform(Columns, lambda c: c.name), "
                                  "list_transform(Columns, lambda c: c.type) FROM sniff_csv("));
    engine_quote_path(sql, task->path);
    lh_buf_append_str(sql, lh_lit(", ignore_errors=true"));
    if (task->is_thorough)
        lh_buf_append_str(sql, lh_lit(", sample_size=-1"));
    if (task->options.delimiter.len)
        put_option(sql, "delim", task->options.delimiter);
    else if (task->source->format == FORMAT_TSV)
        put_option(sql, "delim", lh_lit("\t"));
    if (task->options.quote.data)
        put_option(sql, "quote", task->options.quote);
    if (task->options.escape.data)
        put_option(sql, "escape", task->options.escape);
    if (task->options.header != HEADER_AUTO)
        lh_buf_append_str(sql, task->options.header == HEADER_PRESENT ? lh_lit(", header=true")
                                                                      : lh_lit(", header=false"));
    put_common(sql, task);
    lh_buf_append_char(sql, ')');
}

static struct lh_str cell(const struct task *task, const struct engine_chunk *chunk, size_t column)
{
    const struct engine_vector *vector = &chunk->columns[column];
    if (engine_vector_is_null(vector, 0))
        return (struct lh_str){NULL, 0};
    struct lh_str text = engine_vector_str(vector, 0);
    if (lh_str_equal(text, lh_lit("(empty)")))
        return lh_lit("");
    return lh_arena_str(task->arena, text);
}

static struct lh_str *list_cell(const struct task *task, const struct engine_chunk *chunk,
                                size_t column, size_t *ret_count)
{
    struct engine_list_entry entry = engine_vector_list(&chunk->columns[column], 0);
    struct lh_str *texts = lh_arena_array(task->arena, entry.length + 1, sizeof(*texts));
    for (size_t at = 0; at < entry.length; at++)
        texts[at] = lh_arena_str(
            task->arena, engine_vector_str(&chunk->columns[column].children[0], entry.offset + at));
    *ret_count = entry.length;
    return texts;
}

static enum lh_code read_dialect(struct task *task, struct engine_cursor *cursor,
                                 struct dialect *ret, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = engine_cursor_next(cursor, &chunk, err);
    if (code)
        return code;
    if (!chunk)
        return lh_fail(err, LH_UNREADABLE, "The file cannot be read as CSV.");
    *ret = (struct dialect){
        .delimiter = cell(task, chunk, 0),
        .quote = cell(task, chunk, 1),
        .escape = cell(task, chunk, 2),
        .comment = cell(task, chunk, 3),
        .skip = ((const int64_t *)chunk->columns[4].data)[0],
        .has_header = ((const uint8_t *)chunk->columns[5].data)[0] != 0,
        .date_format = cell(task, chunk, 6),
        .timestamp_format = cell(task, chunk, 7),
    };
    ret->names = list_cell(task, chunk, 8, &ret->column_count);
    ret->types = list_cell(task, chunk, 9, &ret->column_count);
    /* A sample without quotes says nothing about the rest of the file. */
    if (!ret->quote.len && !task->options.quote.data)
        ret->quote = lh_lit("\"");
    if (!ret->escape.len && !task->options.escape.data)
        ret->escape = ret->quote;
    return LH_OK;
}

static enum lh_code sniff(struct task *task, struct dialect *ret, struct lh_error *err)
{
    struct lh_buf sql;
    struct engine_cursor *cursor = NULL;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    put_sniff(&sql, task);
    enum lh_code code =
        engine_run(task->connection, lh_buf_str(&sql), NULL, task->cancel, &cursor, err);
    if (!code)
        code = read_dialect(task, cursor, ret, err);
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    return code ? fail_unreadable(task, code, err) : LH_OK;
}

/* The caller's word for a column, then the dataset's (an append), then what was sniffed. */
static enum lh_code choose_type(struct task *task, struct source_column *column,
                                struct lh_str sniffed, struct lh_error *err)
{
    const json_t *types = task->options.types.value;
    const char *key = NULL;
    json_t *value = NULL;
    column->type = sniffed;
    json_object_foreach((json_t *)types, key, value)
    {
        if (!lh_str_equal_nocase(lh_str_of(key), column->name))
            continue;
        column->is_told = true;
        return types_settle(task, lh_str_trim(lh_json_text(value)), &column->type, err);
    }
    const struct catalog_column *old =
        task->action == CATALOG_APPEND ? catalog_dataset_column(task->dataset, column->name) : NULL;
    if (old && !strchr(lh_arena_cstr(task->arena, old->type), '[')) {
        column->type = old->type;
        column->is_told = true;
    }
    return LH_OK;
}

static void put_read(struct lh_buf *sql, const struct task *task, const struct dialect *dialect)
{
    lh_buf_append_str(sql, lh_lit("read_csv("));
    engine_quote_path(sql, task->path);
    lh_buf_append_str(
        sql,
        lh_lit(
            ", hive_partitioning=false, auto_detect=false, store_rejects=true, rejects_limit=0"));
    lh_buf_printf(sql, ", rejects_table='%.*s', rejects_scan='%.*s_scan'",
                  LH_ARG(task->reject_table), LH_ARG(task->reject_table));
    put_option(sql, "delim", dialect->delimiter);
    put_option(sql, "quote", dialect->quote);
    put_option(sql, "escape", dialect->escape);
    put_option(sql, "comment", dialect->comment);
    lh_buf_printf(sql, ", skip=%lld, header=%s", (long long)dialect->skip,
                  dialect->has_header ? "true" : "false");
    /* Without a form the reader takes the beginning of a text for a date and drops the rest. */
    put_option(sql, "dateformat",
               dialect->date_format.len ? dialect->date_format : lh_lit("%Y-%m-%d"));
    if (dialect->timestamp_format.len)
        put_option(sql, "timestampformat", dialect->timestamp_format);
    put_common(sql, task);
    lh_buf_append_str(sql, lh_lit(", columns={"));
    for (size_t at = 0; at < task->column_count; at++) {
        lh_buf_append_str(sql, at ? lh_lit(", ") : lh_lit(""));
        engine_quote_literal(sql, task->columns[at].name);
        lh_buf_append_str(sql, lh_lit(": "));
        engine_quote_literal(sql, task->columns[at].is_checked ? lh_lit("VARCHAR")
                                                               : task->columns[at].type);
    }
    lh_buf_append_str(sql, lh_lit("})"));
}

static enum lh_code find_numbers(struct task *task, const struct dialect *dialect,
                                 struct lh_error *err)
{
    const struct csv_marks marks = {
        .delimiter = dialect->delimiter.len ? dialect->delimiter : lh_lit("\n"),
        .quote = dialect->quote.len ? (unsigned char)dialect->quote.data[0] : 0,
        .escape = dialect->escape.len ? (unsigned char)dialect->escape.data[0] : 0,
        .has_quote = dialect->quote.len > 0,
        .head_lines = task->head_lines,
    };
    return numbers_find(task, &marks, err);
}

/* Whether the reader may make something else of the column's numbers than what they say. What every
 * row of the file said is sure to have no fraction; a sample, a caller and a dataset may be wrong.
 */
static bool is_asked(const struct task *task, const struct source_column *column)
{
    bool is_whole = column_is_whole(column->type);
    bool is_double = lh_str_equal(column->type, lh_lit("DOUBLE"));
    bool is_sure = task->is_thorough && !column->is_told;
    if (is_whole && task->scan.has_fractions && !is_sure)
        return true;
    if (column->is_told)
        return false;
    return (task->scan.has_zeros && (is_whole || is_double)) ||
           (task->scan.has_long_numbers && is_double);
}

/* The type that keeps what the column's fields say. */
static void settle_type(struct task *task, struct source_column *column)
{
    bool is_long =
        lh_str_equal(column->type, lh_lit("DOUBLE")) && column->digits > INGEST_EXACT_DIGITS;
    if (!column->is_told && column->has_zeros) {
        column->type = lh_lit("VARCHAR");
        task_warn(task, "Column '%.*s' is text: it has numbers with leading zeros.",
                  LH_ARG(lh_str_head(column->name, 100)));
    } else if (!column->is_told && is_long) {
        bool is_exact = !column->has_fraction && column->digits <= INGEST_DECIMAL_DIGITS;
        column->type = is_exact ? lh_lit("DECIMAL(38,0)") : lh_lit("VARCHAR");
        task_warn(task, "Column '%.*s' is %.*s: as DOUBLE its %zu digits would be rounded.",
                  LH_ARG(lh_str_head(column->name, 100)), LH_ARG(column->type), column->digits);
    }
    column->is_checked = column->has_fraction && column_is_whole(column->type);
}

/* --- names that the sniffer made its own of */

/* Whether it may have put a number behind the name: the rest is a column's name, too. */
static bool may_be_numbered(const struct task *task, struct lh_str name)
{
    size_t len = name.len;
    while (len > 0 && name.data[len - 1] >= '0' && name.data[len - 1] <= '9')
        len--;
    if (len == name.len || len < 2 || name.data[len - 1] != '_')
        return false;
    struct lh_str rest = lh_str_head(name, len - 1);
    for (size_t at = 0; at < task->column_count; at++)
        if (lh_str_equal_nocase(task->columns[at].name, rest))
            return true;
    return false;
}

/* The header's line as a row of texts. */
static void put_header(struct lh_buf *sql, const struct task *task, const struct dialect *dialect)
{
    lh_buf_append_str(sql, lh_lit("SELECT * FROM read_csv("));
    engine_quote_path(sql, task->path);
    lh_buf_printf(sql, ", auto_detect=false, header=false, null_padding=true, skip=%lld",
                  (long long)dialect->skip);
    put_option(sql, "delim", dialect->delimiter);
    put_option(sql, "quote", dialect->quote);
    put_option(sql, "escape", dialect->escape);
    put_option(sql, "comment", dialect->comment);
    put_common(sql, task);
    lh_buf_append_str(sql, lh_lit(", columns={"));
    for (size_t at = 0; at < task->column_count; at++)
        lh_buf_printf(sql, "%s'c%zu': 'VARCHAR'", at ? ", " : "", at);
    lh_buf_append_str(sql, lh_lit("}) LIMIT 1"));
}

/* A name that stands twice in the header was numbered by the sniffer, which says nothing of it. */
static enum lh_code warn_numbered(struct task *task, const struct dialect *dialect,
                                  struct lh_error *err)
{
    bool is_wanted = false;
    struct lh_buf sql;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    for (size_t at = 0; dialect->has_header && at < task->column_count && !is_wanted; at++)
        is_wanted = may_be_numbered(task, task->columns[at].name);
    if (!is_wanted)
        return LH_OK;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    put_header(&sql, task, dialect);
    enum lh_code code =
        engine_run(task->connection, lh_buf_str(&sql), NULL, task->cancel, &cursor, err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, err);
    for (size_t at = 0; !code && chunk && at < task->column_count; at++) {
        struct lh_str name = task->columns[at].name;
        if (may_be_numbered(task, name) && !lh_str_equal(cell(task, chunk, at), name))
            task_warn(task, "Column %zu is called '%.*s' here.", at + 1, LH_ARG(name));
    }
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    return code ? fail_unreadable(task, code, err) : LH_OK;
}

static enum lh_code make_columns(struct task *task, const struct dialect *dialect,
                                 struct lh_error *err)
{
    bool has_asked = false;
    task->column_count = dialect->column_count;
    task->columns = lh_arena_array(task->arena, task->column_count + 1, sizeof(*task->columns));
    task->head_lines = dialect->skip + dialect->has_header;
    task->name_breaks = 0;
    task->comment = dialect->comment.len ? dialect->comment.data[0] : 0;
    for (size_t at = 0; at < task->column_count; at++) {
        task->columns[at].name = dialect->names[at];
        for (size_t i = 0; dialect->has_header && i < dialect->names[at].len; i++)
            task->name_breaks += dialect->names[at].data[i] == '\n';
    }
    enum lh_code code = warn_numbered(task, dialect, err);
    if (!code)
        code = columns_clean(task, err);
    if (!code)
        code = columns_check_types(task, err);
    assert(dialect->types || task->column_count == 0);
    for (size_t at = 0; !code && at < task->column_count; at++) {
        struct source_column *column = &task->columns[at];
        column->expr = sql_ident(task->arena, column->name);
        code = choose_type(task, column, dialect->types[at], err);
        column->is_asked = !code && is_asked(task, column);
        has_asked = has_asked || column->is_asked;
    }
    if (!code && has_asked)
        code = find_numbers(task, dialect, err);
    for (size_t at = 0; !code && at < task->column_count; at++)
        if (task->columns[at].is_asked)
            settle_type(task, &task->columns[at]);
    return code;
}

void csv_close(struct task *task)
{
    static const char *const suffixes[] = {"", "_scan"};
    for (size_t at = 0; task->connection && task->reject_table.len && at < 2; at++) {
        struct lh_str sql = lh_arena_printf(task->arena, "DROP TABLE IF EXISTS %.*s%s",
                                            LH_ARG(task->reject_table), suffixes[at]);
        if (engine_execute(task->connection, sql, NULL, NULL, NULL, NULL) != LH_OK)
            break;
    }
    task->reject_table = lh_str_of(NULL);
}

enum lh_code csv_open(struct task *task, struct lh_error *err)
{
    struct dialect dialect = {0};
    struct lh_buf sql;
    csv_close(task); /* of the reading before */
    enum lh_code code = sniff(task, &dialect, err);
    enum lh_code seen = scan_end(task, err); /* says more about a bad file than the engine */
    if (seen)
        return seen;
    if (!code)
        code = make_columns(task, &dialect, err);
    if (code)
        return code;
    struct lh_uuid id = lh_uuid_new();
    struct lh_str random = lh_str_slice(lh_uuid_str(&id), LH_UUID_TEXT_BYTES - 12, 12);
    task->reject_table = lh_arena_printf(task->arena, "lh_rejects_%.*s", LH_ARG(random));
    task->rejects = lh_arena_printf(
        task->arena,
        "SELECT line::BIGINT AS line, string_agg(coalesce('column ''' || column_name || ''': ', "
        "'') "
        "|| regexp_replace(error_message, '^Error when converting column \"[^\"]*\"\\. ', ''), '; "
        "' ORDER BY column_idx) AS reason, any_value(csv_line) AS raw "
        "FROM %.*s GROUP BY line ORDER BY line",
        LH_ARG(task->reject_table));
    lh_buf_init(&sql, SQL_BYTES_MAX);
    put_read(&sql, task, &dialect);
    task->relation = lh_arena_str(task->arena, lh_buf_str(&sql));
    code = lh_buf_check(&sql, "the columns of the file", err);
    lh_buf_release(&sql);
    return code;
}
