#include <stdio.h>

#include "ops/describe.h"

/* The pages of docs/ that are generated: Markdown tables made from the rows. */

const char *op_method_name(enum op_method method)
{
    static const char *const names[] = {
        [OP_METHOD_NONE] = "", [OP_GET] = "GET",     [OP_POST] = "POST",
        [OP_PUT] = "PUT",      [OP_PATCH] = "PATCH", [OP_DELETE] = "DELETE",
    };
    return names[method];
}

/* A cell: a bar or a line break would end it. */
static void put_cell(struct lh_buf *buf, struct lh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '|')
            lh_buf_append_char(buf, '\\');
        lh_buf_append_char(buf, text.data[i] == '\n' ? ' ' : text.data[i]);
    }
}

const char *op_type_name(const struct lh_field *field)
{
    switch (field->type) {
    case LH_FIELD_STR:
        return "text";
    case LH_FIELD_INT:
    case LH_FIELD_OPT_INT:
        return "integer";
    case LH_FIELD_BOOL:
        return "boolean";
    case LH_FIELD_DOUBLE:
        return "number";
    case LH_FIELD_CHOICE:
        return "choice";
    case LH_FIELD_TIME:
        return "time";
    case LH_FIELD_STR_LIST:
        return "list of texts";
    case LH_FIELD_JSON:
        return "JSON";
    case LH_FIELD_OBJECT:
        return "object";
    case LH_FIELD_LIST:
        return "list of objects";
    case LH_FIELD_INT_MAP:
        return "map of integers";
    case LH_FIELD_FILE:
        return "file";
    }
    return "";
}

void op_put_limits(struct lh_buf *buf, const struct lh_field *field)
{
    bool is_number = field->type == LH_FIELD_INT || field->type == LH_FIELD_OPT_INT;
    if (field->required)
        lh_buf_append_str(buf, lh_lit("required"));
    if (field->has_preset && field->type == LH_FIELD_STR)
        lh_buf_printf(buf, "`%s`", field->preset_text);
    else if (field->has_preset && field->type == LH_FIELD_BOOL)
        lh_buf_printf(buf, "`%s`", field->preset ? "true" : "false");
    else if (field->has_preset && field->type == LH_FIELD_CHOICE)
        lh_buf_printf(buf, "`%s`", field->choices[field->preset]);
    else if (field->has_preset && is_number)
        lh_buf_printf(buf, "%lld", (long long)field->preset);
    if (is_number && field->max)
        lh_buf_printf(buf, "%s%lld–%lld", field->has_preset || field->required ? "; " : "",
                      (long long)field->min, (long long)field->max);
}

void op_put_choices(struct lh_buf *buf, const struct lh_field *field)
{
    if (field->type != LH_FIELD_CHOICE)
        return;
    for (size_t i = 0; field->choices[i]; i++)
        lh_buf_printf(buf, "%s`%s`", i ? ", " : "one of ", field->choices[i]);
}

/* A row each; the members of an object follow it, by their path: `options.delimiter`. */
static void put_rows(struct lh_buf *buf, const struct lh_fields *fields, const char *within)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct lh_field *field = &fields->items[i];
        char path[128];
        snprintf(path, sizeof(path), "%s%s.", within, field->name);
        lh_buf_printf(buf, "| `%s%s` | %s | ", within, field->name, op_type_name(field));
        size_t before = buf->len;
        op_put_limits(buf, field);
        if (field->type == LH_FIELD_CHOICE && buf->len > before)
            lh_buf_append_str(buf, lh_lit("; "));
        op_put_choices(buf, field);
        lh_buf_append_str(buf, lh_lit(" | "));
        put_cell(buf, lh_str_of(field->doc ? field->doc : ""));
        lh_buf_append_str(buf, lh_lit(" |\n"));
        if (field->fields && !*within)
            put_rows(buf, field->fields, path);
    }
}

static void put_fields(struct lh_buf *buf, const struct lh_fields *fields)
{
    lh_buf_append_str(buf, lh_lit("\n| argument | type | default; limits | meaning |\n"
                                  "|---|---|---|---|\n"));
    put_rows(buf, fields, "");
}

static void put_operation(struct lh_buf *buf, const struct op *op)
{
    char path[OP_PATH_BYTES_MAX];
    struct lh_str verb = lh_str_of(op->name);
    struct lh_str group = lh_str_cut(&verb, '.');
    op_shown_path(op, path);
    lh_buf_printf(buf, "\n## %s\n\n%s", op->name, op->summary);
    if (op->description)
        lh_buf_printf(buf, " %s", op->description);
    lh_buf_printf(buf, "\n\n`%s %s` · `lakehouse %.*s %.*s`", op_method_name(op->http.method), path,
                  LH_ARG(group), LH_ARG(verb));
    if (op->command)
        lh_buf_printf(buf, " · `lakehouse %s`", op->command);
    lh_buf_printf(buf, " · permission `%s`\n", op->permission);
    if (op->fields)
        put_fields(buf, op->fields);
    if (op->errors) {
        lh_buf_append_str(buf, lh_lit("\nErrors of its own: "));
        for (size_t i = 0; op->errors[i]; i++)
            lh_buf_printf(buf, "%s`%s`", i ? ", " : "", lh_error_row(op->errors[i])->id);
        lh_buf_append_str(buf, lh_lit(".\n"));
    }
    for (size_t i = 0; i < op->example_count; i++)
        lh_buf_printf(buf, "\n%s:\n\n```json\n%s\n```\n", op->examples[i].summary,
                      op->examples[i].request);
}

enum lh_code op_write_operations_page(const struct op *const *ops, size_t op_count,
                                      struct lh_buf *buf, struct lh_error *err)
{
    lh_buf_append_str(
        buf, lh_lit("# Operations\n\nGenerated by `lakehouse docs --write docs` from the table of "
                    "operations. Every operation is a path and a command; both take the same "
                    "arguments.\n\n| operation | path | what it does |\n|---|---|---|\n"));
    for (size_t i = 0; i < op_count; i++) {
        char path[OP_PATH_BYTES_MAX];
        op_shown_path(ops[i], path);
        lh_buf_printf(buf, "| `%s` | `%s %s` | ", ops[i]->name, op_method_name(ops[i]->http.method),
                      path);
        put_cell(buf, lh_str_of(ops[i]->summary));
        lh_buf_append_str(buf, lh_lit(" |\n"));
    }
    for (size_t i = 0; i < op_count; i++)
        put_operation(buf, ops[i]);
    lh_buf_append_str(buf, lh_lit("\n## Permissions\n\n| permission | allows |\n|---|---|\n"));
    for (size_t i = 0; i < access_permission_count; i++)
        lh_buf_printf(buf, "| `%s` | %s |\n", access_permissions[i].name,
                      access_permissions[i].doc);
    return lh_buf_check(buf, "The page of operations", err);
}

enum lh_code op_write_errors_page(struct lh_buf *buf, struct lh_error *err)
{
    lh_buf_append_str(
        buf,
        lh_lit(
            "# Errors\n\nGenerated by `lakehouse docs --write docs` from `errors.def`. Over HTTP "
            "an error is a problem document (RFC 9457): `code` is stable, `detail` says what is "
            "wrong, `hint` what to do. On the command line the exit status is 1, and 2 for wrong "
            "usage.\n\n| code | status | again? | meaning |\n|---|---|---|---|\n"));
    for (int code = 1; code < LH_CODE_COUNT; code++) {
        const struct lh_error_row *row = lh_error_row((enum lh_code)code);
        lh_buf_printf(buf, "| `%s` | %d | %s | ", row->id, row->http_status,
                      row->retryable ? "later" : "no");
        put_cell(buf, lh_str_of(row->meaning));
        lh_buf_append_str(buf, lh_lit(" |\n"));
    }
    return lh_buf_check(buf, "The page of errors", err);
}
