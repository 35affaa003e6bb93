#include "base/clock.h"
#include "base/json.h"
#include "cli/internal.h"
#include "http/http_client.h"

/* --- the request */

static const char *const method_names[] = {
    [OP_METHOD_NONE] = "", [OP_GET] = "GET",     [OP_POST] = "POST",
    [OP_PUT] = "PUT",      [OP_PATCH] = "PATCH", [OP_DELETE] = "DELETE",
};

static void put_encoded(struct lh_buf *buf, struct lh_str text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; text.data && i < text.len; i++) {
        char c = text.data[i];
        if (c && strchr(plain, c))
            lh_buf_append_char(buf, c);
        else
            lh_buf_printf(buf, "%%%02X", (unsigned char)c);
    }
}

static const struct cli_given *given_of(const struct cli_call *call, struct lh_str name)
{
    for (size_t i = 0; i < call->given_count; i++)
        if (lh_str_equal(lh_str_of(call->given[i].field->name), name))
            return &call->given[i];
    return NULL;
}

static bool is_in_path(const struct cli_call *call, const struct lh_field *field)
{
    for (struct lh_str rest = lh_str_of(call->op->http.path); rest.data;)
        if (lh_str_equal(op_path_field(lh_str_cut(&rest, '/'), NULL), lh_str_of(field->name)))
            return true;
    return false;
}

/* One part of a path, or, for the rest of it, parts with their slashes. */
static void put_part(struct lh_buf *buf, struct lh_str text, bool is_rest)
{
    while (is_rest && text.data && memchr(text.data, '/', text.len)) {
        put_encoded(buf, lh_str_cut(&text, '/'));
        lh_buf_append_char(buf, '/');
    }
    put_encoded(buf, text);
}

static void put_target(const struct cli_call *call, struct lh_buf *buf)
{
    struct lh_str rest = lh_str_of(call->op->http.path);
    char mark = '?';
    lh_str_cut(&rest, '/');
    while (rest.data) {
        struct lh_str part = lh_str_cut(&rest, '/');
        bool is_rest = false;
        struct lh_str name = op_path_field(part, &is_rest);
        lh_buf_append_char(buf, '/');
        if (name.data)
            put_part(buf, given_of(call, name)->text, is_rest);
        else
            lh_buf_append_str(buf, part);
    }
    bool has_query = call->op->body == OP_BODY_NONE || call->op->body == OP_BODY_RAW;
    for (size_t i = 0; i < call->given_count && has_query; i++) {
        const struct lh_field *field = call->given[i].field;
        if (field->type == LH_FIELD_FILE || is_in_path(call, field))
            continue;
        lh_buf_append_char(buf, mark);
        mark = '&';
        put_encoded(buf, lh_str_of(field->name));
        lh_buf_append_char(buf, '=');
        put_encoded(buf, call->given[i].text);
    }
}

/* The text was bound before, so it is what its type wants. */
static void put_json_value(struct lh_json *json, const struct cli_given *given)
{
    struct lh_str rest = given->text;
    int64_t truth = 0;
    switch (given->field->type) {
    case LH_FIELD_INT:
    case LH_FIELD_OPT_INT:
    case LH_FIELD_DOUBLE:
    case LH_FIELD_JSON:
    case LH_FIELD_OBJECT:
    case LH_FIELD_LIST:
    case LH_FIELD_INT_MAP:
        lh_json_raw(json, lh_str_trim(given->text));
        break;
    case LH_FIELD_BOOL:
        lh_json_bool(json, lh_str_equal(given->text, lh_lit("true")) ||
                               (lh_str_to_int(given->text, &truth) && truth == 1));
        break;
    case LH_FIELD_STR_LIST:
        lh_json_array(json);
        while (rest.len)
            lh_json_str(json, lh_str_trim(lh_str_cut(&rest, ',')));
        lh_json_array_end(json);
        break;
    case LH_FIELD_STR:
    case LH_FIELD_CHOICE:
    case LH_FIELD_TIME:
    case LH_FIELD_FILE:
        lh_json_str(json, given->text);
        break;
    }
}

static void put_json_body(const struct cli_call *call, struct lh_buf *buf)
{
    struct lh_json json;
    lh_json_init(&json, buf);
    lh_json_object(&json);
    for (size_t i = 0; i < call->given_count; i++) {
        if (is_in_path(call, call->given[i].field))
            continue;
        lh_json_key(&json, call->given[i].field->name);
        put_json_value(&json, &call->given[i]);
    }
    lh_json_object_end(&json);
}

static struct http_client_part *make_parts(const struct cli_call *call)
{
    struct http_client_part *parts =
        lh_arena_array(call->arena, call->given_count + 1, sizeof(*parts));
    for (size_t i = 0; i < call->given_count; i++) {
        const struct cli_given *given = &call->given[i];
        parts[i].name = lh_str_of(given->field->name);
        if (given->field->type == LH_FIELD_FILE)
            parts[i].file_path = given->text;
        else
            parts[i].value = given->text;
    }
    return parts;
}

/* --- the reply */

enum lh_code cli_code_of(struct lh_str id)
{
    for (int i = 1; i < LH_CODE_COUNT; i++)
        if (lh_str_equal(id, lh_str_of(lh_error_row((enum lh_code)i)->id)))
            return (enum lh_code)i;
    return LH_INTERNAL;
}

enum lh_code cli_fail_as_told(struct lh_str body, int status, struct lh_arena *arena,
                              struct lh_error *err)
{
    struct cli_value *problem = NULL;
    if (cli_parse(body, arena, &problem, NULL) || !cli_get(problem, "detail"))
        return lh_fail(err, LH_IO, "The server answered with status %d and no explanation.",
                       status);
    struct lh_str detail = cli_get(problem, "detail")->text;
    const struct cli_value *id = cli_get(problem, "code");
    const struct cli_value *hint = cli_get(problem, "hint");
    const struct cli_value *position = cli_get(problem, "position");
    const struct cli_value *field = cli_get(problem, "field");
    enum lh_code code = id ? cli_code_of(id->text) : LH_INTERNAL;
    lh_fail(err, code, "%.*s", LH_ARG(detail));
    if (hint)
        lh_error_hint(err, "%.*s", LH_ARG(hint->text));
    if (field)
        lh_error_field(err, field->text);
    if (err && position && !lh_str_to_int(position->text, &err->position))
        err->position = -1;
    return code;
}

/* What goes through while a request is sent and answered. */
struct relay {
    struct cli_progress *shown;
    char tail[16384]; /* the last of what was passed on: an error may stand there */
    size_t tail_len;
};

static void keep_tail(struct relay *relay, struct lh_str bytes)
{
    const size_t max = sizeof(relay->tail);
    if (bytes.len > max)
        bytes = lh_str_slice(bytes, bytes.len - max, max);
    size_t over = relay->tail_len + bytes.len > max ? relay->tail_len + bytes.len - max : 0;
    memmove(relay->tail, relay->tail + over, relay->tail_len - over);
    memcpy(relay->tail + relay->tail_len - over, bytes.data, bytes.len);
    relay->tail_len += bytes.len - over;
}

static enum lh_code pass_on(void *context, int status, struct lh_str bytes, struct lh_error *err)
{
    (void)status;
    keep_tail(context, bytes);
    return cli_print(bytes, err);
}

/* A reply that failed after its first rows has the status of a success and says so at its end: in
 * JSON by a last member "error", in NDJSON by a last line of it. The name with its quotes cannot
 * stand inside a text, and what follows it must be the end. */
static enum lh_code failed_at_its_end(const struct relay *relay, struct lh_arena *arena,
                                      struct lh_error *err)
{
    static const struct lh_str name = LH_LIT("\"error\":{");
    struct lh_str tail = lh_str_trim((struct lh_str){relay->tail, relay->tail_len});
    size_t from = tail.len, at = 0;
    for (size_t start = 0; lh_str_find(lh_str_slice(tail, start, tail.len - start), name, &at);
         start = from + 1)
        from = start + at;
    if (from == tail.len)
        return LH_OK;
    struct cli_value *last = NULL;
    struct lh_str text =
        lh_arena_printf(arena, "{%.*s", LH_ARG(lh_str_slice(tail, from, tail.len - from)));
    if (cli_parse(text, arena, &last, NULL))
        return LH_OK;
    const struct cli_value *error = cli_get(last, "error");
    const struct cli_value *id = error ? cli_get(error, "code") : NULL;
    const struct cli_value *detail = error ? cli_get(error, "detail") : NULL;
    if (!id || !detail)
        return LH_OK;
    return lh_fail(err, cli_code_of(id->text), "%.*s", LH_ARG(detail->text));
}

static size_t put_headers(const struct cli_call *call, struct http_pair *headers)
{
    size_t count = 0;
    if (call->op->body == OP_BODY_JSON)
        headers[count++] = (struct http_pair){lh_lit("Content-Type"), lh_lit("application/json")};
    if (call->bucket.data)
        headers[count++] = (struct http_pair){lh_lit("X-Lakehouse-Bucket"), call->bucket};
    if (call->if_match.data)
        headers[count++] = (struct http_pair){lh_lit("If-Match"), call->if_match};
    if (call->if_none_match.data)
        headers[count++] = (struct http_pair){lh_lit("If-None-Match"), call->if_none_match};
    if (call->range.data)
        headers[count++] = (struct http_pair){lh_lit("Range"), call->range};
    if (call->idempotency_key.data)
        headers[count++] = (struct http_pair){lh_lit("Idempotency-Key"), call->idempotency_key};
    if (call->key.data)
        headers[count++] = (struct http_pair){lh_lit("X-API-Key"), call->key};
    return count;
}

/* A file on its way, as one step more. */
static void on_sent(void *context, int64_t sent, int64_t total)
{
    const struct cli_step step = {
        .phase = lh_lit("sending"), .done = sent, .total = total, .is_bytes = true, .eta_s = -1};
    if (total > 0)
        cli_progress_show(((struct relay *)context)->shown, &step);
}

/* What an accepted job gives, in the place of the answer that named it. */
static enum lh_code follow(struct cli_call *call, struct http_client *client, struct lh_str url,
                           const struct http_client_response *accepted, struct lh_buf *body,
                           struct lh_error *err)
{
    struct lh_str place = http_client_response_header(accepted, "Location");
    struct cli_value *answer = NULL;
    enum lh_code code = cli_parse(lh_buf_str(&accepted->body), call->arena, &answer, err);
    if (code)
        return code;
    const struct cli_value *id = cli_get(answer, "job_id");
    if (!id)
        return lh_fail(err, LH_IO, "The server accepted the work and named no job.");
    call->shown.from_us = lh_clock_monotonic_us(); /* what was sent is another matter */
    if (!lh_str_starts_with(place, lh_lit("/")) || lh_str_starts_with(place, lh_lit("/jobs/")))
        place = (struct lh_str){0};
    code = cli_follow_job(call, client, url, id->text, place, &call->shown, body, err);
    if (!code && cli_is_raw(call))
        code = cli_print(lh_buf_str(body), err);
    return code;
}

/* A job that somebody began: until it ends, then what it gave. */
static enum lh_code follow_events(struct cli_call *call, struct lh_str url, struct lh_error *err)
{
    struct http_client *client = NULL;
    struct lh_buf result;
    lh_buf_init(&result, CLI_BODY_BYTES_MAX);
    enum lh_code code = http_client_new(&client, err);
    if (!code)
        code = cli_follow_job(call, client, url, given_of(call, lh_lit("id"))->text,
                              (struct lh_str){0}, &call->shown, &result, err);
    if (!code)
        code = cli_print(lh_buf_str(&result), err);
    http_client_free(client);
    lh_buf_release(&result);
    return code;
}

enum lh_code cli_run_remote(struct cli_call *call, struct lh_str url, struct lh_buf *body,
                            struct lh_error *err)
{
    struct http_client *client = NULL;
    struct http_client_response response = {0};
    struct http_pair headers[8];
    struct relay relay = {.shown = &call->shown};
    struct lh_buf target;
    struct lh_buf json;
    lh_buf_init(&target, HTTP_TARGET_BYTES_MAX + url.len);
    lh_buf_init(&json, (size_t)64 << 20);
    if (lh_str_ends_with(url, lh_lit("/")))
        url = lh_str_slice(url, 0, url.len - 1);
    if (call->is_followed && cli_tells_events(call->op))
        return follow_events(call, url, err);
    lh_buf_append_str(&target, url);
    put_target(call, &target);
    if (call->op->body == OP_BODY_JSON)
        put_json_body(call, &json);
    struct http_client_request request = {
        .method = method_names[call->op->http.method],
        .url = lh_buf_str(&target),
        .headers = headers,
        .header_count = put_headers(call, headers),
        .body = lh_buf_str(&json),
        .response_bytes_max = CLI_BODY_BYTES_MAX,
        .sink = cli_is_raw(call) && !call->is_followed ? pass_on : NULL,
        .progress = on_sent,
        .context = &relay,
    };
    for (size_t i = 0; i < call->given_count && call->op->body == OP_BODY_RAW; i++)
        if (call->given[i].field->type == LH_FIELD_FILE)
            request.body_path = call->given[i].text;
    if (call->op->body == OP_BODY_MULTIPART) {
        request.parts = make_parts(call);
        request.part_count = call->given_count;
    }
    enum lh_code code = lh_buf_check(&target, "The request's address", err);
    if (!code)
        code = lh_buf_check(&json, "The request", err);
    if (!code)
        code = http_client_new(&client, err);
    if (!code)
        code = http_client_send(client, &request, &response, err);
    if (!code && response.status >= 400)
        code = cli_fail_as_told(lh_buf_str(&response.body), response.status, call->arena, err);
    call->is_partial = !code && response.status == OP_STATUS_PARTIAL;
    cli_progress_clear(&call->shown);
    if (!code && request.sink && call->op->kind == OP_ROWS)
        code = failed_at_its_end(&relay, call->arena, err);
    if (!code && call->is_followed && response.status == 202)
        code = follow(call, client, url, &response, body, err);
    else if (!code && !request.sink)
        lh_buf_append_str(body, lh_buf_str(&response.body));
    http_client_response_release(&response);
    http_client_free(client);
    lh_buf_release(&target);
    lh_buf_release(&json);
    return code ? code : lh_buf_check(body, "The reply", err);
}
