#include "ops/op.h"

/* What a row must be for every door to work with it. One function per concern; each names the row.
 */

static enum lh_code wrong(const struct op *op, struct lh_error *err, const char *what)
{
    return lh_fail(err, LH_INTERNAL, "The operation '%s' %s.", op->name ? op->name : "(unnamed)",
                   what);
}

static bool is_name(const char *name)
{
    size_t words = 1;
    if (!name || !*name || *name == '.')
        return false;
    for (const char *at = name; *at; at++) {
        if (*at == '.' && at[1] && at[1] != '.')
            words++;
        else if (!((*at >= 'a' && *at <= 'z') || *at == '_'))
            return false;
    }
    return words == 2;
}

static enum lh_code check_texts(const struct op *op, struct lh_error *err)
{
    if (!is_name(op->name))
        return wrong(op, err, "has no name of the form group.verb");
    if (!op->summary || !*op->summary)
        return wrong(op, err, "has no summary");
    if (!op->permission || !*op->permission)
        return wrong(op, err, "declares no permission");
    if (!access_permission_find(op->permission))
        return wrong(op, err, "declares a permission that does not exist");
    if (op->effect != OP_READ && op->effect != OP_WRITE)
        return wrong(op, err, "does not say whether it reads or writes");
    if (!op->run)
        return wrong(op, err, "has no function");
    return LH_OK;
}

static bool is_success(int status)
{
    return status == 200 || status == 206 || status == 201 || status == 202 || status == 204 ||
           status == OP_STATUS_PARTIAL;
}

static enum lh_code check_result(const struct op *op, struct lh_error *err)
{
    if ((op->kind == OP_RECORD || op->kind == OP_LIST || op->kind == OP_ROWS) && !op->result)
        return wrong(op, err, "has no field table of its result");
    if (op->kind == OP_TEXT && !op->media_type)
        return wrong(op, err, "answers text without a media type");
    if ((op->status && !is_success(op->status)) ||
        (op->other_status && !is_success(op->other_status)))
        return wrong(op, err, "has a success status that is not one");
    if (op->other_result && !op->other_status)
        return wrong(op, err, "has a second result without its status");
    if (op->may_be_partial && op->kind != OP_RECORD && op->kind != OP_LIST)
        return wrong(op, err, "may be partial and has no answer that says so");
    if (op->example_count && !op->examples)
        return wrong(op, err, "counts examples that it does not have");
    return LH_OK;
}

static enum lh_code check_fields(const struct op *op, struct lh_error *err)
{
    size_t files = 0;
    if (op->fields && op->fields->count > 64)
        return wrong(op, err, "has more than 64 fields");
    for (size_t i = 0; op->fields && i < op->fields->count; i++) {
        const struct lh_field *field = &op->fields->items[i];
        if (!field->doc || !*field->doc)
            return wrong(op, err, "has a field that is not described");
        files += field->type == LH_FIELD_FILE;
    }
    if (files && op->body != OP_BODY_MULTIPART && op->body != OP_BODY_RAW)
        return wrong(op, err, "takes a file but no form");
    if (op->body == OP_BODY_RAW && files != 1)
        return wrong(op, err, "takes a body as it is, but not one file");
    if (op->takes_octets && op->body != OP_BODY_JSON)
        return wrong(op, err, "takes octets in place of JSON that it does not take");
    if (op->body != OP_BODY_NONE && !op->fields)
        return wrong(op, err, "takes a body but has no fields");
    /* A list of what is to go may be long: it comes in the body of a DELETE. */
    bool takes_any = op->http.method != OP_GET && op->http.method != OP_DELETE;
    if (op->body != OP_BODY_NONE && !takes_any &&
        (op->http.method == OP_GET || op->body != OP_BODY_JSON))
        return wrong(op, err, "takes a body with a method that has none");
    return LH_OK;
}

static enum lh_code check_path(const struct op *op, struct lh_error *err)
{
    struct lh_str rest = lh_str_of(op->http.path);
    if (op->http.method == OP_METHOD_NONE || !rest.len || rest.data[0] != '/')
        return wrong(op, err, "has no method and path");
    lh_str_cut(&rest, '/');
    if (!rest.len)
        return LH_OK; /* "/" */
    while (rest.data) {
        struct lh_str part = lh_str_cut(&rest, '/');
        if (!part.len)
            return wrong(op, err, "has an empty part in its path");
        if (part.data[0] != '{')
            continue;
        bool takes_rest = false;
        struct lh_str name = op_path_field(part, &takes_rest);
        const struct lh_field *field = op->fields ? lh_fields_find(op->fields, name) : NULL;
        if (part.data[part.len - 1] != '}' || !field || !field->required)
            return wrong(op, err, "has a path parameter that is not a required field");
        if (takes_rest && (rest.data || field->type != LH_FIELD_STR))
            return wrong(op, err, "has a path that goes on behind the rest, or no text for it");
    }
    return LH_OK;
}

/* Two routes are one if only the names of their parameters differ. */
static bool is_same_route(const struct op_http *a, const struct op_http *b)
{
    struct lh_str rest_a = lh_str_of(a->path);
    struct lh_str rest_b = lh_str_of(b->path);
    if (a->method != b->method)
        return false;
    while (rest_a.data && rest_b.data) {
        struct lh_str part_a = lh_str_cut(&rest_a, '/');
        struct lh_str part_b = lh_str_cut(&rest_b, '/');
        bool is_parameter_a = part_a.len && part_a.data[0] == '{';
        bool is_parameter_b = part_b.len && part_b.data[0] == '{';
        if (is_parameter_a != is_parameter_b)
            return false;
        if (!is_parameter_a && !lh_str_equal(part_a, part_b))
            return false;
    }
    return !rest_a.data && !rest_b.data;
}

static enum lh_code check_unique(const struct op *const *ops, size_t at, struct lh_error *err)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(ops[i]->name, ops[at]->name) == 0)
            return wrong(ops[at], err, "stands twice in the table");
        if (is_same_route(&ops[i]->http, &ops[at]->http))
            return wrong(ops[at], err, "has the method and path of another one");
        if (ops[i]->command && ops[at]->command && strcmp(ops[i]->command, ops[at]->command) == 0)
            return wrong(ops[at], err, "has the command of another one");
    }
    return LH_OK;
}

enum lh_code op_table_check(const struct op *const *ops, size_t op_count, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < op_count && !code; i++) {
        if ((code = check_texts(ops[i], err)) || (code = check_result(ops[i], err)) ||
            (code = check_fields(ops[i], err)) || (code = check_path(ops[i], err)))
            break;
        code = check_unique(ops, i, err);
    }
    return code;
}
