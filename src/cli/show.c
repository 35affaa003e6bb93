#include "base/text_table.h"
#include "cli/internal.h"

#define CELL_WIDTH_MAX 60

static struct lh_str cell_text(const struct cli_value *value)
{
    if (!value || value->kind == CLI_NULL)
        return lh_lit("");
    return value->text;
}

static bool is_number_type(struct lh_str type)
{
    static const char *const names[] = {"TINYINT", "SMALLINT", "INTEGER",   "BIGINT",
                                        "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
                                        "UBIGINT", "UHUGEINT", "FLOAT",     "DOUBLE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (lh_str_equal(type, lh_str_of(names[i])))
            return true;
    return lh_str_starts_with(type, lh_lit("DECIMAL"));
}

static size_t count_of(const struct cli_value *parent)
{
    size_t count = 0;
    for (const struct cli_value *at = parent ? parent->first : NULL; at; at = at->next)
        count++;
    return count;
}

/* --- rows of a query */

static enum lh_code show_rows(const struct cli_value *reply, struct lh_arena *arena,
                              struct lh_buf *out, struct lh_error *err)
{
    const struct cli_value *columns = cli_get(reply, "columns");
    const struct cli_value *rows = cli_get(reply, "rows");
    const struct cli_value *error = cli_get(reply, "error");
    const struct cli_value *truncated = cli_get(reply, "truncated");
    size_t column_count = count_of(columns);
    size_t row_count = count_of(rows);
    struct lh_text_column *heads = lh_arena_array(arena, column_count + 1, sizeof(*heads));
    struct lh_str *cells = NULL;
    size_t size = 0;
    if (!__builtin_mul_overflow(column_count * sizeof(*cells), row_count + 1, &size))
        cells = lh_arena_try(arena, size ? size : 1);
    if (!cells)
        return lh_fail(err, LH_TOO_LARGE, "The table does not fit in memory; use --json.");
    size_t at = 0;
    for (const struct cli_value *column = columns ? columns->first : NULL; column;
         column = column->next)
        heads[at++] = (struct lh_text_column){cell_text(cli_get(column, "name")),
                                              is_number_type(cell_text(cli_get(column, "type")))};
    at = 0;
    for (const struct cli_value *row = rows ? rows->first : NULL; row; row = row->next)
        for (const struct cli_value *cell = row->first; cell && at < column_count * row_count;
             cell = cell->next)
            cells[at++] = cell_text(cell);
    lh_text_table(out, heads, column_count, cells, row_count, CELL_WIDTH_MAX, 0);
    bool is_cut = truncated && lh_str_equal(truncated->text, lh_lit("true"));
    lh_buf_printf(out, "\n%zu row%s%s\n", row_count, row_count == 1 ? "" : "s",
                  is_cut ? ", and there are more: raise --limit" : "");
    if (!error)
        return LH_OK;
    return lh_fail(err, LH_SQL, "%.*s", LH_ARG(cell_text(cli_get(error, "detail"))));
}

/* A member of any JSON is shown where it is a number or a text, such as an id. */
static bool is_single(const struct cli_value *value)
{
    return !value || (value->kind != CLI_LIST && value->kind != CLI_OBJECT);
}

/* --- lists: the members that are single values and that at least one item has */

static bool is_shown(const struct lh_field *field, const struct cli_value *items)
{
    if (field->type == LH_FIELD_OBJECT || field->type == LH_FIELD_LIST ||
        field->type == LH_FIELD_INT_MAP || field->type == LH_FIELD_STR_LIST)
        return false;
    for (const struct cli_value *item = items->first; item && field->type == LH_FIELD_JSON;
         item = item->next)
        if (!is_single(cli_get(item, field->name)))
            return false;
    for (const struct cli_value *item = items->first; item; item = item->next)
        if (cell_text(cli_get(item, field->name)).len)
            return true;
    return false;
}

static void show_items(const struct lh_fields *fields, const struct cli_value *items, size_t margin,
                       struct lh_arena *arena, struct lh_buf *out)
{
    struct lh_text_column *heads = lh_arena_array(arena, fields->count + 1, sizeof(*heads));
    const struct lh_field **shown = lh_arena_array(arena, fields->count + 1, sizeof(void *));
    size_t column_count = 0;
    for (size_t i = 0; i < fields->count; i++) {
        if (!is_shown(&fields->items[i], items))
            continue;
        bool is_number = fields->items[i].type == LH_FIELD_INT;
        shown[column_count] = &fields->items[i];
        heads[column_count++] =
            (struct lh_text_column){lh_str_of(fields->items[i].name), is_number};
    }
    size_t row_count = count_of(items);
    struct lh_str *cells = lh_arena_array(arena, row_count * column_count + 1, sizeof(*cells));
    size_t at = 0;
    for (const struct cli_value *item = items->first; item; item = item->next)
        for (size_t i = 0; i < column_count; i++)
            cells[at++] = cell_text(cli_get(item, shown[i]->name));
    lh_text_table(out, heads, column_count, cells, row_count, CELL_WIDTH_MAX, margin);
}

static void show_list(const struct op *op, const struct cli_value *reply, struct lh_arena *arena,
                      struct lh_buf *out)
{
    const struct cli_value *items = cli_get(reply, "items");
    const struct cli_value *next = cli_get(reply, "next");
    if (!items || !items->first) {
        lh_buf_append_str(out, lh_lit("There are none.\n"));
        return;
    }
    show_items(op->result, items, 0, arena, out);
    if (next && next->kind == CLI_TEXT)
        lh_buf_printf(out, "\nThere are more: --after %.*s\n", LH_ARG(next->text));
}

/* --- one object: a line per member, tables below */

static void show_member(const struct lh_field *field, const struct cli_value *value,
                        struct lh_buf *out)
{
    struct lh_str text = cell_text(value);
    lh_buf_printf(out, "%-26s ", field->name);
    if (value->kind == CLI_LIST && field->type == LH_FIELD_STR_LIST) {
        for (const struct cli_value *item = value->first; item; item = item->next)
            lh_buf_printf(out, "%.*s%s", LH_ARG(item->text), item->next ? ", " : "");
    } else {
        bool has_lines = text.len && memchr(text.data, '\n', text.len);
        while (has_lines && text.data) {
            lh_buf_append_char(out, '\n');
            lh_text_line(out, lh_str_cut(&text, '\n'));
        }
        lh_text_line(out, text);
    }
    lh_buf_append_char(out, '\n');
}

static void show_record(const struct lh_fields *fields, const struct cli_value *reply,
                        struct lh_arena *arena, struct lh_buf *out)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct cli_value *value = cli_get(reply, fields->items[i].name);
        bool is_empty = !value || (value->kind == CLI_LIST || value->kind == CLI_OBJECT
                                       ? !value->first
                                       : !cell_text(value).len);
        if (!is_empty && fields->items[i].type != LH_FIELD_LIST)
            show_member(&fields->items[i], value, out);
    }
    for (size_t i = 0; i < fields->count; i++) {
        const struct cli_value *value = cli_get(reply, fields->items[i].name);
        if (!value || fields->items[i].type != LH_FIELD_LIST || !value->first)
            continue;
        lh_buf_printf(out, "\n%s\n", fields->items[i].name);
        show_items(fields->items[i].fields, value, 2, arena, out);
    }
}

enum lh_code cli_show(const struct op *op, struct lh_str body, struct lh_arena *arena,
                      struct lh_buf *out, struct lh_error *err)
{
    struct cli_value *reply = NULL;
    if (op->kind == OP_RESULT_NONE || !body.len) {
        lh_buf_append_str(out, lh_lit("Done.\n"));
        return LH_OK;
    }
    enum lh_code code = cli_parse(body, arena, &reply, err);
    if (code)
        return code;
    if (op->kind == OP_ROWS)
        return show_rows(reply, arena, out, err);
    if (op->kind == OP_LIST)
        show_list(op, reply, arena, out);
    else if (op->other_result && cli_get(reply, op->other_result->items[0].name) &&
             !cli_get(reply, op->result->items[1].name))
        show_record(op->other_result, reply, arena, out);
    else
        show_record(op->result, reply, arena, out);
    return LH_OK;
}
