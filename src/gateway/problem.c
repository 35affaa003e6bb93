#include "gateway/internal.h"

#include "base/json.h"
#include "base/uuid.h"

#define REQUEST_ID_BYTES_MAX 128

static bool is_sane_id(struct lh_str id)
{
    if (!id.len || id.len > REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_word && c != '-' && c != '_' && c != '.' && c != ':')
            return false;
    }
    return true;
}

struct lh_str problem_request_id(const struct http_request *request)
{
    struct lh_str id = http_request_header(request, "X-Request-Id");
    if (is_sane_id(id))
        return id;
    struct lh_uuid uuid = lh_uuid_new();
    return lh_arena_str(request->arena, lh_uuid_str(&uuid));
}

void problem_write(const struct http_request *request, struct lh_str request_id,
                   const struct lh_error *err, struct http_reply *reply)
{
    const struct lh_error_row *row = lh_error_row(err->code);
    struct lh_buf body;
    struct lh_json json;
    lh_buf_init(&body, 65536);
    lh_json_init(&json, &body);
    lh_json_object(&json);
    lh_json_key(&json, "type");
    lh_json_str(&json, lh_arena_printf(request->arena, "urn:lakehouse:error:%s", row->id));
    lh_json_put_cstr(&json, "title", row->meaning);
    lh_json_put_int(&json, "status", row->http_status);
    lh_json_put_error(&json, err);
    if (request->path.len)
        lh_json_put_str(&json, "instance", lh_str_head(request->path, 1024));
    lh_json_put_str(&json, "request_id", request_id);
    lh_json_object_end(&json);
    http_reply_status(reply, row->http_status);
    http_reply_header(reply, "Content-Type", lh_lit("application/problem+json"));
    http_reply_header(reply, "X-Request-Id", request_id);
    if (err->code != LH_FORBIDDEN)
        guard_reply(request, reply);
    if (err->code == LH_UNAUTHENTICATED)
        http_reply_header(reply, "WWW-Authenticate", lh_lit("Bearer realm=\"lakehouse\""));
    http_reply_take(reply, &body);
    lh_buf_release(&body);
}
