#include "ops/op.h"

#include "base/json.h"

void op_reply_init(struct op_reply *reply, const struct op *op, const struct op_sink *sink,
                   size_t body_bytes_max)
{
    memset(reply, 0, sizeof(*reply));
    reply->op = op;
    reply->length = -1;
    reply->status = op->status ? op->status : op->kind == OP_RESULT_NONE ? 204 : 200;
    if (sink)
        reply->sink = *sink;
    lh_buf_init(&reply->body, body_bytes_max);
}

void op_reply_release(struct op_reply *reply)
{
    if (reply)
        lh_buf_release(&reply->body);
}

void op_reply_status(struct op_reply *reply, int status)
{
    reply->status = status;
}

void op_reply_partial(struct op_reply *reply)
{
    reply->status = OP_STATUS_PARTIAL;
}

void op_reply_version(struct op_reply *reply, struct op_call *call, int64_t version)
{
    reply->etag = lh_arena_printf(call->arena, "\"%lld\"", (long long)version);
}

/* A record or a page is small by its limits, so it is made whole. */
static enum lh_code whole_json(struct op_reply *reply, struct lh_error *err)
{
    reply->content_type = lh_lit("application/json");
    return lh_buf_check(&reply->body, "The reply", err);
}

enum lh_code op_reply_record(struct op_reply *reply, const void *record, struct lh_error *err)
{
    const struct op *op = reply->op;
    const struct lh_fields *fields =
        op->other_result && reply->status == op->other_status ? op->other_result : op->result;
    struct lh_json json;
    lh_buf_clear(&reply->body);
    lh_json_init(&json, &reply->body);
    lh_fields_write(fields, record, &json);
    return whole_json(reply, err);
}

enum lh_code op_reply_list(struct op_reply *reply, const void *items, size_t count,
                           struct lh_str next, struct lh_error *err)
{
    const char *item = items;
    struct lh_json json;
    lh_buf_clear(&reply->body);
    lh_json_init(&json, &reply->body);
    lh_json_object(&json);
    lh_json_key(&json, "items");
    lh_json_array(&json);
    for (size_t i = 0; i < count; i++)
        lh_fields_write(reply->op->result, item + i * reply->op->result->size, &json);
    lh_json_array_end(&json);
    lh_json_key(&json, "next");
    if (next.data)
        lh_json_str(&json, next);
    else
        lh_json_null(&json);
    lh_json_object_end(&json);
    reply->row_count = (int64_t)count;
    return whole_json(reply, err);
}

enum lh_code op_reply_text(struct op_reply *reply, struct lh_str text, struct lh_error *err)
{
    lh_buf_clear(&reply->body);
    lh_buf_append_str(&reply->body, text);
    reply->content_type = lh_str_of(reply->op->media_type);
    return lh_buf_check(&reply->body, "The reply", err);
}

enum lh_code op_reply_write(struct op_reply *reply, struct lh_str bytes, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!reply->has_begun &&
        (!reply->sink.write || reply->body.len + bytes.len <= OP_REPLY_WHOLE_BYTES)) {
        lh_buf_append_str(&reply->body, bytes);
        return lh_buf_check(&reply->body, "The reply", err);
    }
    if (!reply->has_begun) {
        reply->has_begun = true;
        code = reply->sink.begin(reply->sink.context, reply, err);
        if (!code && reply->body.len)
            code = reply->sink.write(reply->sink.context, lh_buf_str(&reply->body), err);
        lh_buf_release(&reply->body);
    }
    return code ? code : reply->sink.write(reply->sink.context, bytes, err);
}

enum lh_code op_reply_stream(struct op_reply *reply, struct lh_error *err)
{
    if (reply->has_begun || !reply->sink.begin)
        return LH_OK;
    reply->has_begun = true;
    return reply->sink.begin(reply->sink.context, reply, err);
}

enum lh_code op_reply_flush(struct op_reply *reply, struct lh_error *err)
{
    return reply->sink.flush ? reply->sink.flush(reply->sink.context, err) : LH_OK;
}
