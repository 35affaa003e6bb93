#include "ops/describe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "query/encoder.h"

/* Schemas are written once, under the names of their structs, however many operations use them. */
#define SCHEMAS_MAX 512

struct schema {
    const struct lh_fields *fields;
    bool is_input;
};

struct document {
    struct lh_json json;
    struct schema schemas[SCHEMAS_MAX];
    size_t schema_count;
    const struct op *clash; /* used a name that other fields have */
};

static void add_schema(struct document *document, const struct op *op,
                       const struct lh_fields *fields, bool is_input)
{
    for (size_t i = 0; i < document->schema_count; i++) {
        if (document->schemas[i].fields == fields && document->schemas[i].is_input == is_input)
            return;
        if (strcmp(document->schemas[i].fields->struct_name, fields->struct_name) == 0)
            document->clash = op;
    }
    if (document->clash || document->schema_count == SCHEMAS_MAX) {
        document->clash = op;
        return;
    }
    document->schemas[document->schema_count++] = (struct schema){fields, is_input};
    for (size_t i = 0; i < fields->count; i++)
        if (fields->items[i].fields)
            add_schema(document, op, fields->items[i].fields, is_input);
}

static bool is_in_path(const struct op *op, const struct lh_field *field)
{
    struct lh_str rest = lh_str_of(op->http.path);
    while (rest.data) {
        struct lh_str part = lh_str_cut(&rest, '/');
        if (lh_str_equal(op_path_field(part, NULL), lh_str_of(field->name)))
            return true;
    }
    return false;
}

static bool takes_rest(const struct op *op, const struct lh_field *field)
{
    struct lh_str rest = lh_str_of(op->http.path);
    bool is_rest = false;
    while (rest.data)
        if (lh_str_equal(op_path_field(lh_str_cut(&rest, '/'), &is_rest), lh_str_of(field->name)))
            return is_rest;
    return false;
}

/* --- small pieces */

static void put_ref(struct lh_json *json, const char *kind, const char *name)
{
    char text[256];
    snprintf(text, sizeof(text), "#/components/%s/%s", kind, name);
    lh_json_object(json);
    lh_json_put_cstr(json, "$ref", text);
    lh_json_object_end(json);
}

static void put_schema_ref(struct lh_json *json, const struct lh_fields *fields)
{
    lh_json_key(json, "schema");
    put_ref(json, "schemas", fields->struct_name);
}

struct lh_str op_group(const struct op *op)
{
    struct lh_str name = lh_str_of(op->name);
    return lh_str_cut(&name, '.');
}

static struct lh_str media_without_parameters(const char *media)
{
    struct lh_str rest = lh_str_of(media);
    return lh_str_trim(lh_str_cut(&rest, ';'));
}

/* A table of one field, so that a parameter's schema is the field's own. */
static void put_field_schema(struct lh_json *json, const struct lh_field *field)
{
    lh_json_key(json, "schema");
    lh_field_write_schema(field, true, json);
}

/* --- requests */

static void put_parameter(struct document *document, const struct op *op,
                          const struct lh_field *field)
{
    struct lh_json *json = &document->json;
    bool is_path = is_in_path(op, field);
    bool is_beside_octets = !is_path && op->body == OP_BODY_JSON && op->takes_octets;
    if (!is_path && op->body != OP_BODY_NONE && op->body != OP_BODY_RAW && !is_beside_octets)
        return;
    if (field->type == LH_FIELD_FILE || (is_beside_octets && field->type == LH_FIELD_JSON))
        return;
    lh_json_object(json);
    lh_json_put_cstr(json, "name", field->name);
    lh_json_put_cstr(json, "in", is_path ? "path" : "query");
    lh_json_put_bool(json, "required", field->required && !is_beside_octets);
    char text[1024];
    snprintf(text, sizeof text, "%s%s", is_beside_octets ? "Only with a body of octets. " : "",
             field->doc);
    lh_json_put_cstr(json, "description", text);
    if (is_path && takes_rest(op, field))
        lh_json_put_bool(json, "x-takes-slashes", true);
    if (field->type == LH_FIELD_STR_LIST) {
        lh_json_put_cstr(json, "style", "form");
        lh_json_put_bool(json, "explode", false);
    }
    put_field_schema(json, field);
    lh_json_object_end(json);
}

static void put_parameters(struct document *document, const struct op *op)
{
    struct lh_json *json = &document->json;
    lh_json_key(json, "parameters");
    lh_json_array(json);
    for (size_t i = 0; op->fields && i < op->fields->count; i++)
        put_parameter(document, op, &op->fields->items[i]);
    if (op->takes_bucket)
        put_ref(json, "parameters", "Bucket");
    if (op->takes_if_match)
        put_ref(json, "parameters", "IfMatch");
    if (op->takes_if_none_match || op->kind == OP_BYTES)
        put_ref(json, "parameters", "IfNoneMatch");
    if (op->kind == OP_BYTES)
        put_ref(json, "parameters", "Range");
    if (op->effect == OP_WRITE)
        put_ref(json, "parameters", "IdempotencyKey");
    put_ref(json, "parameters", "RequestId");
    lh_json_array_end(json);
}

/* Members of the body: the fields that the path does not carry. */
static void put_body_schema(struct document *document, const struct op *op)
{
    struct lh_json *json = &document->json;
    bool has_required = false;
    lh_json_object(json);
    lh_json_put_cstr(json, "type", "object");
    lh_json_key(json, "properties");
    lh_json_object(json);
    for (size_t i = 0; i < op->fields->count; i++) {
        const struct lh_field *field = &op->fields->items[i];
        if (is_in_path(op, field))
            continue;
        has_required = has_required || field->required;
        lh_json_key(json, field->name);
        lh_field_write_schema(field, true, json);
        if (field->fields)
            add_schema(document, op, field->fields, true);
    }
    lh_json_object_end(json);
    if (has_required) {
        lh_json_key(json, "required");
        lh_json_array(json);
        for (size_t i = 0; i < op->fields->count; i++)
            if (op->fields->items[i].required && !is_in_path(op, &op->fields->items[i]))
                lh_json_str(json, lh_str_of(op->fields->items[i].name));
        lh_json_array_end(json);
    }
    lh_json_put_bool(json, "additionalProperties", false);
    lh_json_object_end(json);
}

static void put_examples(struct lh_json *json, const struct op *op, bool is_request)
{
    bool is_open = false;
    for (size_t i = 0; i < op->example_count; i++) {
        const struct op_example *example = &op->examples[i];
        const char *value = is_request ? example->request : example->reply;
        char name[32];
        if (!value)
            continue;
        if (!is_open) {
            lh_json_key(json, "examples");
            lh_json_object(json);
        }
        is_open = true;
        snprintf(name, sizeof(name), "example_%zu", i + 1);
        lh_json_key(json, name);
        lh_json_object(json);
        lh_json_put_cstr(json, "summary", example->summary);
        lh_json_key(json, "value");
        lh_json_raw(json, lh_str_of(value));
        lh_json_object_end(json);
    }
    if (is_open)
        lh_json_object_end(json);
}

static void put_body(struct document *document, const struct op *op)
{
    struct lh_json *json = &document->json;
    bool is_form = op->body == OP_BODY_MULTIPART;
    if (op->body == OP_BODY_NONE)
        return;
    lh_json_key(json, "requestBody");
    lh_json_object(json);
    lh_json_put_bool(json, "required", true);
    lh_json_key(json, "content");
    lh_json_object(json);
    lh_json_key(json, op->body == OP_BODY_RAW ? "*/*"
                      : is_form               ? "multipart/form-data"
                                              : "application/json");
    lh_json_object(json);
    lh_json_key(json, "schema");
    if (op->body == OP_BODY_RAW)
        lh_json_raw(json, lh_lit("{\"type\":\"string\",\"format\":\"binary\"}"));
    else
        put_body_schema(document, op);
    put_examples(json, op, true);
    lh_json_object_end(json);
    if (op->takes_octets) {
        lh_json_key(json, "application/octet-stream");
        lh_json_raw(json, lh_lit("{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}"));
    }
    lh_json_object_end(json);
    lh_json_object_end(json);
}

/* --- responses */

static void put_list_schema(struct lh_json *json, const struct lh_fields *item)
{
    lh_json_key(json, "schema");
    lh_json_object(json);
    lh_json_put_cstr(json, "type", "object");
    lh_json_key(json, "properties");
    lh_json_object(json);
    lh_json_key(json, "items");
    lh_json_object(json);
    lh_json_put_cstr(json, "type", "array");
    lh_json_key(json, "items");
    put_ref(json, "schemas", item->struct_name);
    lh_json_object_end(json);
    lh_json_key(json, "next");
    lh_json_object(json);
    lh_json_key(json, "type");
    lh_json_raw(json, lh_lit("[\"string\",\"null\"]"));
    lh_json_put_cstr(json, "description", "Give it as `after` for the next page; null at the end.");
    lh_json_object_end(json);
    lh_json_object_end(json);
    lh_json_key(json, "required");
    lh_json_raw(json, lh_lit("[\"items\",\"next\"]"));
    lh_json_object_end(json);
}

/* The other formats of a table of rows: bytes whose form is their own affair. */
static void put_row_formats(struct lh_json *json)
{
    for (size_t i = 1; i < query_encoder_count; i++) {
        const struct query_encoder *encoder = query_encoders[i];
        bool is_text = lh_str_starts_with(lh_str_of(encoder->media_type), lh_lit("text/"));
        lh_json_key(json, encoder->media_type);
        lh_json_raw(json, is_text || encoder->fail
                              ? lh_lit("{\"schema\":{\"type\":\"string\"}}")
                              : lh_lit("{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}"));
    }
}

static void put_content(struct document *document, const struct op *op,
                        const struct lh_fields *fields)
{
    struct lh_json *json = &document->json;
    if (op->kind == OP_RESULT_NONE)
        return;
    if (op->kind == OP_BYTES) {
        lh_json_key(json, "content");
        lh_json_raw(json, lh_lit("{\"*/*\":{\"schema\":{\"type\":\"string\","
                                 "\"format\":\"binary\"}}}"));
        return;
    }
    if (fields)
        add_schema(document, op, fields, false);
    lh_json_key(json, "content");
    lh_json_object(json);
    if (op->kind == OP_TEXT)
        lh_json_key_str(json, media_without_parameters(op->media_type));
    else
        lh_json_key(json, "application/json");
    lh_json_object(json);
    if (op->kind == OP_LIST && fields) {
        put_list_schema(json, fields);
    } else if (fields) {
        put_schema_ref(json, fields);
    } else {
        bool is_object =
            lh_str_equal(media_without_parameters(op->media_type), lh_lit("application/json"));
        lh_json_key(json, "schema");
        lh_json_object(json);
        lh_json_put_cstr(json, "type", is_object ? "object" : "string");
        lh_json_object_end(json);
    }
    if (fields == op->result)
        put_examples(json, op, false);
    lh_json_object_end(json);
    if (op->kind == OP_ROWS)
        put_row_formats(json);
    lh_json_object_end(json);
}

static void put_success(struct document *document, const struct op *op, int status,
                        const struct lh_fields *fields)
{
    struct lh_json *json = &document->json;
    char name[8];
    snprintf(name, sizeof(name), "%d", status);
    lh_json_key(json, name);
    lh_json_object(json);
    lh_json_put_cstr(json, "description",
                     status == 202   ? "Accepted; it goes on in the background."
                     : status == 204 ? "Done."
                     : status == 206 ? "The range that was asked for."
                     : status == OP_STATUS_PARTIAL
                         ? "A part of it was done, a part failed; the answer says which and why."
                         : op->summary);
    lh_json_key(json, "headers");
    lh_json_object(json);
    lh_json_key(json, "X-Request-Id");
    put_ref(json, "headers", "RequestId");
    if (op->has_etag && status != 202) {
        lh_json_key(json, "ETag");
        put_ref(json, "headers", "ETag");
    }
    lh_json_object_end(json);
    put_content(document, op, fields);
    lh_json_object_end(json);
}

static bool is_declared(const struct op *op, enum lh_code code)
{
    /* What any operation may answer, whatever its row says. */
    static const enum lh_code anyone[] = {LH_INVALID, LH_UNKNOWN_FIELD, LH_FORBIDDEN, LH_INTERNAL,
                                          LH_BUSY,    LH_STOPPING,      LH_IO};
    static const enum lh_code with_body[] = {LH_MALFORMED, LH_SLOW_CLIENT, LH_TOO_LARGE,
                                             LH_UNSUPPORTED};
    for (size_t i = 0; i < sizeof(anyone) / sizeof(anyone[0]); i++)
        if (anyone[i] == code)
            return true;
    for (size_t i = 0; i < sizeof(with_body) / sizeof(with_body[0]); i++)
        if (with_body[i] == code && op->body != OP_BODY_NONE)
            return true;
    if ((code == LH_KEY_REUSED || code == LH_RACE) && op->effect == OP_WRITE)
        return true;
    if (code == LH_UNAUTHENTICATED && strcmp(op->permission, "public") != 0)
        return true;
    for (size_t i = 0; op->errors && op->errors[i]; i++)
        if (op->errors[i] == code)
            return true;
    return false;
}

/* The rows of errors.def are in the order of their status, so equal ones are neighbours. */
static void put_failures(struct document *document, const struct op *op)
{
    struct lh_json *json = &document->json;
    for (int at = 1, next; at < LH_CODE_COUNT; at = next) {
        int status = lh_error_row((enum lh_code)at)->http_status;
        struct lh_buf codes;
        char name[8];
        lh_buf_init(&codes, 1024);
        for (next = at; next < LH_CODE_COUNT; next++) {
            const struct lh_error_row *row = lh_error_row((enum lh_code)next);
            if (row->http_status != status)
                break;
            if (is_declared(op, row->code))
                lh_buf_printf(&codes, "%s`%s`", codes.len ? ", " : "", row->id);
        }
        if (codes.len) {
            snprintf(name, sizeof(name), "%d", status);
            lh_json_key(json, name);
            lh_json_object(json);
            lh_json_put_str(json, "description", lh_buf_str(&codes));
            lh_json_key(json, "content");
            lh_json_raw(json, lh_lit("{\"application/problem+json\":{\"schema\":{\"$ref\":"
                                     "\"#/components/schemas/Problem\"}}}"));
            lh_json_object_end(json);
        }
        lh_buf_release(&codes);
    }
}

/* --- the document */

static const char *method_name(const struct op *op)
{
    static const char *const names[] = {
        [OP_METHOD_NONE] = "", [OP_GET] = "get",     [OP_POST] = "post",
        [OP_PUT] = "put",      [OP_PATCH] = "patch", [OP_DELETE] = "delete",
    };
    return names[op->http.method];
}

static void put_operation(struct document *document, const struct op *op)
{
    struct lh_json *json = &document->json;
    struct lh_str group = op_group(op);
    lh_json_key(json, method_name(op));
    lh_json_object(json);
    lh_json_put_cstr(json, "operationId", op->name);
    lh_json_key(json, "tags");
    lh_json_array(json);
    lh_json_str(json, group);
    lh_json_array_end(json);
    lh_json_put_cstr(json, "summary", op->summary);
    if (op->description)
        lh_json_put_cstr(json, "description", op->description);
    lh_json_put_cstr(json, "x-permission", op->permission);
    lh_json_put_cstr(json, "x-effect", op->effect == OP_WRITE ? "write" : "read");
    put_parameters(document, op);
    put_body(document, op);
    lh_json_key(json, "responses");
    lh_json_object(json);
    put_success(document, op,
                op->status                   ? op->status
                : op->kind == OP_RESULT_NONE ? 204
                                             : 200,
                op->result);
    if (op->other_status)
        put_success(document, op, op->other_status,
                    op->other_result ? op->other_result : op->result);
    if (op->may_be_partial)
        put_success(document, op, OP_STATUS_PARTIAL, op->result);
    if (op->kind == OP_BYTES) {
        lh_json_key(json, "304");
        lh_json_raw(json, lh_lit("{\"description\":\"It is what If-None-Match names.\"}"));
    }
    put_failures(document, op);
    lh_json_object_end(json);
    lh_json_object_end(json);
}

void op_shown_path(const struct op *op, char ret[OP_PATH_BYTES_MAX])
{
    size_t len = 0;
    for (const char *at = op->http.path; *at && len + 1 < OP_PATH_BYTES_MAX; at++)
        if (*at != '*')
            ret[len++] = *at;
    ret[len] = '\0';
}

static void put_paths(struct document *document, const struct op *const *ops, size_t op_count)
{
    struct lh_json *json = &document->json;
    lh_json_key(json, "paths");
    lh_json_object(json);
    for (size_t i = 0; i < op_count; i++) {
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && strcmp(ops[k]->http.path, ops[i]->http.path) != 0;
        if (!is_first)
            continue;
        char path[OP_PATH_BYTES_MAX];
        op_shown_path(ops[i], path);
        lh_json_key(json, path);
        lh_json_object(json);
        for (size_t k = i; k < op_count; k++)
            if (strcmp(ops[k]->http.path, ops[i]->http.path) == 0)
                put_operation(document, ops[k]);
        lh_json_object_end(json);
    }
    lh_json_object_end(json);
}

static const char problem_schema[] =
    "{\"type\":\"object\",\"description\":\"RFC 9457 problem details.\",\"properties\":{"
    "\"type\":{\"type\":\"string\",\"format\":\"uri\"},"
    "\"title\":{\"type\":\"string\",\"description\":\"What the code means.\"},"
    "\"status\":{\"type\":\"integer\"},"
    "\"detail\":{\"type\":\"string\",\"description\":\"What is wrong here, in a sentence.\"},"
    "\"code\":{\"type\":\"string\",\"description\":\"Stable; see docs/errors.md.\"},"
    "\"hint\":{\"type\":\"string\",\"description\":\"What to do.\"},"
    "\"field\":{\"type\":\"string\",\"description\":\"The argument that is wrong.\"},"
    "\"position\":{\"type\":\"integer\",\"description\":\"Byte offset in the caller's text.\"},"
    "\"line\":{\"type\":\"integer\",\"description\":\"Line of the file or body, from 1.\"},"
    "\"instance\":{\"type\":\"string\"},"
    "\"request_id\":{\"type\":\"string\"},"
    "\"retryable\":{\"type\":\"boolean\",\"description\":\"The same request may succeed later.\"}},"
    "\"required\":[\"type\",\"title\",\"status\",\"detail\",\"code\",\"request_id\","
    "\"retryable\"],\"additionalProperties\":false}";

static const char parameters[] =
    "{\"Bucket\":{\"name\":\"X-Lakehouse-Bucket\",\"in\":\"header\",\"required\":false,"
    "\"schema\":{\"type\":\"string\",\"maxLength\":63},\"description\":\"The bucket that the call "
    "is "
    "for; an unknown one is 404.\"},"
    "\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"required\":false,"
    "\"description\":\"An ETag: 412 unless it is still that version.\","
    "\"schema\":{\"type\":\"string\"}},"
    "\"IfNoneMatch\":{\"name\":\"If-None-Match\",\"in\":\"header\",\"required\":false,"
    "\"description\":\"ETags, or *: when one is the object's, a reading answers 304, a writing "
    "412.\",\"schema\":{\"type\":\"string\"}},"
    "\"Range\":{\"name\":\"Range\",\"in\":\"header\",\"required\":false,"
    "\"description\":\"One range of bytes: bytes=0-99, bytes=100-, bytes=-100.\","
    "\"schema\":{\"type\":\"string\"}},"
    "\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"required\":false,"
    "\"description\":\"A repetition with the same key within 24 hours is not done again.\","
    "\"schema\":{\"type\":\"string\",\"maxLength\":255}},"
    "\"RequestId\":{\"name\":\"X-Request-Id\",\"in\":\"header\",\"required\":false,"
    "\"description\":\"Comes back with the reply and stands in the log.\","
    "\"schema\":{\"type\":\"string\",\"maxLength\":128}}}";

static const char headers[] = "{\"RequestId\":{\"description\":\"The caller's, or a new one.\","
                              "\"schema\":{\"type\":\"string\"}},"
                              "\"ETag\":{\"description\":\"The version, or the sum, in quotes.\","
                              "\"schema\":{\"type\":\"string\"}}}";

static void put_components(struct document *document)
{
    struct lh_json *json = &document->json;
    lh_json_key(json, "components");
    lh_json_object(json);
    lh_json_key(json, "schemas");
    lh_json_object(json);
    lh_json_key(json, "Problem");
    lh_json_raw(json, lh_str_of(problem_schema));
    for (size_t i = 0; i < document->schema_count; i++) {
        lh_json_key(json, document->schemas[i].fields->struct_name);
        lh_fields_write_schema(document->schemas[i].fields, document->schemas[i].is_input, json);
    }
    lh_json_object_end(json);
    lh_json_key(json, "parameters");
    lh_json_raw(json, lh_str_of(parameters));
    lh_json_key(json, "headers");
    lh_json_raw(json, lh_str_of(headers));
    lh_json_object_end(json);
}

/* What each group of operations is about (the document's lint wants each). */
static const struct {
    const char *group;
    const char *doc;
} group_docs[] = {
    {"system", "How the server is, what it counts, and what it can do."},
    {"datasets", "What there is: datasets, their columns, versions and words about them."},
    {"catalog", "What concerns all datasets at once."},
    {"erasures", "Rows that went from everything that is kept, and the receipts of it."},
    {"ingest", "Bringing data in."},
    {"query", "Asking in SQL."},
    {"queries", "Statements that were saved under a name, and running them."},
    {"buckets", "The places where data files and objects are: folders and S3 stores."},
    {"objects", "Bytes under keys of your own choosing."},
    {"failures", "What went wrong with buckets."},
    {"vectors", "Indexes, and searching them by meaning and by words."},
    {"evals", "Eval sets: what graphs of indexes are measured on."},
    {"hnsw", "Trials of graphs, tuning by them, and what is promoted."},
    {"agent", "Tuning that the server does by itself."},
    {"profiles", "Models and the datasets that they work with: made, activated, searched."},
    {"jobs", "Work that goes on in the background."},
    {"journal", "What was done, by whom and why; reporting what else happened."},
    {"access", "Who calls, and what they may do."},
    {"keys", "Keys of callers: made, listed, revoked."},
};

const char *op_group_doc(struct lh_str group)
{
    for (size_t i = 0; i < sizeof(group_docs) / sizeof(group_docs[0]); i++)
        if (lh_str_equal(group, lh_str_of(group_docs[i].group)))
            return group_docs[i].doc;
    return NULL;
}

static bool is_first_of_group(const struct op *const *ops, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (lh_str_equal(op_group(ops[i]), op_group(ops[at])))
            return false;
    return true;
}

static void put_tags(struct lh_json *json, const struct op *const *ops, size_t op_count)
{
    lh_json_key(json, "tags");
    lh_json_array(json);
    for (size_t i = 0; i < op_count; i++) {
        if (!is_first_of_group(ops, i))
            continue;
        lh_json_object(json);
        lh_json_put_str(json, "name", op_group(ops[i]));
        if (op_group_doc(op_group(ops[i])))
            lh_json_put_cstr(json, "description", op_group_doc(op_group(ops[i])));
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

enum lh_code op_write_openapi(const struct op *const *ops, size_t op_count, struct lh_buf *buf,
                              struct lh_error *err)
{
    struct document *document = calloc(1, sizeof(*document));
    if (!document)
        return lh_fail(err, LH_BUSY, "There is no memory for the document.");
    struct lh_json *json = &document->json;
    lh_json_init(json, buf);
    lh_json_object(json);
    lh_json_put_cstr(json, "openapi", "3.1.0");
    lh_json_key(json, "info");
    lh_json_object(json);
    lh_json_put_cstr(json, "title", "lakehouse");
    lh_json_put_cstr(json, "version", LH_VERSION);
    lh_json_put_cstr(json, "description",
                     "SQL over your own files: versioned datasets, ingest, queries. Errors are "
                     "problem documents (RFC 9457) with a stable `code` and mostly a `hint`.");
    lh_json_key(json, "license");
    lh_json_raw(json, lh_lit("{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}"));
    lh_json_object_end(json);
    lh_json_key(json, "servers");
    lh_json_raw(json, lh_lit("[{\"url\":\"/\",\"description\":\"The server that gave this.\"}]"));
    put_tags(json, ops, op_count);
    put_paths(document, ops, op_count);
    put_components(document);
    lh_json_object_end(json);
    enum lh_code code = lh_buf_check(buf, "The OpenAPI document", err);
    if (!code && document->clash)
        code = lh_fail(err, LH_INTERNAL, "The operation '%s' has a schema whose name is taken.",
                       document->clash->name);
    free(document);
    return code;
}
