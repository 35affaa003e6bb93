#include "gateway/internal.h"

#include "base/json.h"

#define JSON_TYPE "application/json"
#define FORM_TYPE "multipart/form-data"
#define OCTETS_TYPE "application/octet-stream"

static bool has_octets(const struct op *op, const struct http_request *request)
{
    return op->takes_octets &&
           lh_str_equal_nocase(http_request_content_type(request), lh_lit(OCTETS_TYPE));
}

enum lh_code bind_check_type(const struct op *op, const struct http_request *request,
                             struct lh_error *err)
{
    struct lh_str type = http_request_content_type(request);
    struct lh_str length = http_request_header(request, "Content-Length");
    struct lh_str encoding = http_request_header(request, "Content-Encoding");
    const char *wanted = op->body == OP_BODY_JSON ? JSON_TYPE : FORM_TYPE;
    if (encoding.len && !lh_str_equal_nocase(encoding, lh_lit("identity"))) {
        lh_fail(err, LH_UNSUPPORTED, "The body is packed as '%.*s', which is not unpacked here.",
                LH_ARG(lh_str_head(encoding, 100)));
        return lh_error_hint(err, "Send it without Content-Encoding; files may be gzipped inside.");
    }
    if (op->body == OP_BODY_NONE || op->body == OP_BODY_RAW || has_octets(op, request) ||
        lh_str_equal_nocase(type, lh_str_of(wanted)))
        return LH_OK;
    bool is_chunked = http_request_header(request, "Transfer-Encoding").data != NULL;
    bool is_empty = !is_chunked && (!length.data || lh_str_equal(length, lh_lit("0")));
    if (op->body == OP_BODY_JSON && is_empty && !type.data)
        return LH_OK; /* no body at all: an object without members */
    const char *also = op->takes_octets ? " or " OCTETS_TYPE : "";
    if (type.data)
        lh_fail(err, LH_UNSUPPORTED, "The body is '%.*s'; '%s' takes %s%s.",
                LH_ARG(lh_str_head(type, 100)), op->name, wanted, also);
    else
        lh_fail(err, LH_UNSUPPORTED, "The body has no content type; '%s' takes %s%s.", op->name,
                wanted, also);
    return lh_error_hint(err, "Send the header Content-Type: %s.", wanted);
}

/* All parts from `from` on, as one text. A slash at the end, which adds no part, is kept: what it
 * names is another thing. */
static struct lh_str join_rest(const struct http_request *request, size_t from)
{
    struct lh_buf buf;
    lh_buf_init(&buf, HTTP_TARGET_BYTES_MAX + 1);
    for (size_t i = from; i < request->segment_count; i++) {
        if (i > from)
            lh_buf_append_char(&buf, '/');
        lh_buf_append_str(&buf, request->segments[i]);
    }
    if (lh_str_ends_with(request->path, lh_lit("/")))
        lh_buf_append_char(&buf, '/');
    struct lh_str text = lh_arena_str(request->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* The parts of the path that stand where the row has {parameters}. */
static enum lh_code bind_path(const struct op *op, const struct http_request *request, void *args,
                              uint64_t *bound, struct lh_error *err)
{
    struct lh_str rest = lh_str_of(op->http.path);
    enum lh_code code = LH_OK;
    lh_str_cut(&rest, '/');
    for (size_t i = 0; rest.data && !code && i < request->segment_count; i++) {
        struct lh_str part = lh_str_cut(&rest, '/');
        bool takes_rest = false;
        struct lh_str name = op_path_field(part, &takes_rest);
        if (name.data)
            code = lh_fields_bind_text(op->fields, name,
                                       takes_rest ? join_rest(request, i) : request->segments[i],
                                       request->arena, args, bound, err);
    }
    return code;
}

static enum lh_code no_parameters(const struct op *op, const struct http_pair *given,
                                  struct lh_error *err)
{
    lh_fail(err, LH_UNKNOWN_FIELD, "'%s' has no parameter '%.*s'.", op->name,
            LH_ARG(lh_str_head(given->name, 100)));
    if (op->body != OP_BODY_NONE)
        lh_error_hint(err, "Its arguments stand in the body, not in the address.");
    return lh_error_field(err, given->name);
}

static enum lh_code bind_query(const struct op *op, const struct http_request *request, void *args,
                               uint64_t *bound, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < request->query_count && !code; i++) {
        if (!op->fields ||
            (op->body != OP_BODY_NONE && op->body != OP_BODY_RAW && !has_octets(op, request)))
            return no_parameters(op, &request->query[i], err);
        code = lh_fields_bind_text(op->fields, request->query[i].name, request->query[i].value,
                                   request->arena, args, bound, err);
    }
    return code;
}

/* What the path already said may not be said again by the body. */
static enum lh_code not_twice(const struct op *op, const json_t *object, uint64_t bound,
                              struct lh_error *err)
{
    for (size_t i = 0; op->fields && i < op->fields->count; i++)
        if ((bound >> i & 1) && json_object_get(object, op->fields->items[i].name)) {
            lh_fail(err, LH_INVALID, "'%s' stands in the path and in the body.",
                    op->fields->items[i].name);
            return lh_error_field(err, lh_str_of(op->fields->items[i].name));
        }
    return LH_OK;
}

static enum lh_code bind_json(const struct op *op, const struct http_request *request, void *args,
                              uint64_t bound, struct lh_error *err)
{
    const json_t *object = NULL;
    if (!request->body.len)
        return LH_OK;
    enum lh_code code = lh_fields_parse_json(op->fields, request->body, "The request body",
                                             request->body.len, request->arena, args, &object, err);
    if (code)
        return code;
    if (!json_is_object(object))
        return lh_fail(err, LH_MALFORMED, "The request body is not a JSON object.");
    code = not_twice(op, object, bound, err);
    return code ? code : lh_fields_bind_json(op->fields, object, request->arena, args, err);
}

static enum lh_code bind_file(const struct op *op, const struct http_part *part,
                              struct lh_str staging, const struct http_request *request, void *args,
                              uint64_t *bound, struct lh_error *err)
{
    struct lh_upload upload = part->file;
    upload.path =
        lh_arena_printf(request->arena, "%.*s/%.*s", LH_ARG(staging), LH_ARG(part->file.path));
    return lh_fields_bind_file(op->fields, part->name, &upload, args, bound, err);
}

static enum lh_code bind_form(const struct op *op, const struct http_request *request,
                              struct lh_str staging, void *args, uint64_t *bound,
                              struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < request->part_count && !code; i++) {
        const struct http_part *part = &request->parts[i];
        const struct lh_field *field = lh_fields_find(op->fields, part->name);
        if (field && field->type == LH_FIELD_FILE && part->is_file) {
            code = bind_file(op, part, staging, request, args, bound, err);
        } else if (field && field->type == LH_FIELD_FILE) {
            lh_fail(err, LH_INVALID, "The part '%.*s' is text; a file is expected.",
                    LH_ARG(part->name));
            lh_error_hint(err, "Give the part a filename (curl: -F %s=@FILE).", field->name);
            code = lh_error_field(err, part->name);
        } else if (field && part->is_file) {
            lh_fail(err, LH_INVALID, "The part '%.*s' is a file; text is expected.",
                    LH_ARG(part->name));
            code = lh_error_field(err, part->name);
        } else {
            code = lh_fields_bind_text(op->fields, part->name, part->value, request->arena, args,
                                       bound, err);
        }
    }
    return code;
}

/* The body itself, and what it is said to be. */
static enum lh_code bind_raw(const struct op *op, const struct http_request *request,
                             struct lh_str staging, void *args, uint64_t *bound,
                             struct lh_error *err)
{
    struct lh_str type = http_request_header(request, "Content-Type");
    struct lh_upload upload = request->upload;
    enum lh_code code = LH_OK;
    upload.path =
        lh_arena_printf(request->arena, "%.*s/%.*s", LH_ARG(staging), LH_ARG(upload.path));
    for (size_t i = 0; op->fields && i < op->fields->count && !code; i++) {
        const struct lh_field *field = &op->fields->items[i];
        if (field->type == LH_FIELD_FILE)
            code =
                lh_fields_bind_file(op->fields, lh_str_of(field->name), &upload, args, bound, err);
        else if (type.data && strcmp(field->name, "content_type") == 0 && !(*bound >> i & 1))
            code = lh_fields_bind_text(op->fields, lh_str_of(field->name), type, request->arena,
                                       args, bound, err);
    }
    return code;
}

enum lh_code bind_request(const struct op *op, const struct http_request *request,
                          struct lh_str staging, void **ret, struct lh_error *err)
{
    uint64_t bound = 0;
    void *args = NULL;
    enum lh_code code = LH_OK;
    if (op->fields) {
        args = lh_arena_alloc(request->arena, op->fields->size);
        lh_fields_preset(op->fields, args);
        code = bind_path(op, request, args, &bound, err);
    }
    if (!code)
        code = bind_query(op, request, args, &bound, err);
    if (!code && args && has_octets(op, request))
        *(struct lh_str *)(void *)((char *)args + op->octets) =
            request->body.data ? request->body : lh_lit("");
    else if (!code && op->body == OP_BODY_JSON)
        code = bind_json(op, request, args, bound, err);
    if (!code && op->body == OP_BODY_MULTIPART)
        code = bind_form(op, request, staging, args, &bound, err);
    if (!code && op->body == OP_BODY_RAW)
        code = bind_raw(op, request, staging, args, &bound, err);
    if (!code)
        *ret = args;
    return code;
}
