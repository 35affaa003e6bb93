#include "ops/op.h"

#include "base/json.h"
#include "query/encoder.h"

void op_reply_init(struct op_reply *reply, const struct op *op, const struct op_sink *sink,
                   size_t body_bytes_max)
{
    memset(reply, 0, sizeof(*reply));
    reply->op = op;
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

/* --- rows */

static struct lh_str format_names(struct lh_arena *arena)
{
    struct lh_str list = {0};
    for (size_t i = 0; i < query_encoder_count; i++)
        list = lh_arena_printf(arena, "%.*s%s%s", LH_ARG(list), i ? ", " : "",
                               query_encoders[i]->name);
    return list;
}

/* The accepted media range with the highest weight that an encoder writes; ranges are taken as RFC
 * 9110 says, parameters other than q are not looked at. */
static enum lh_code encoder_accepted(struct op_call *call, const struct query_encoder **ret,
                                     struct lh_error *err)
{
    struct lh_str rest = call->accept;
    double best = 0;
    while (rest.len) {
        struct lh_str range = lh_str_cut(&rest, ',');
        struct lh_str media = lh_str_trim(lh_str_cut(&range, ';'));
        double weight = 1;
        while (range.len) {
            struct lh_str parameter = lh_str_trim(lh_str_cut(&range, ';'));
            if (lh_str_starts_with(parameter, lh_lit("q=")) &&
                !lh_str_to_double(lh_str_slice(parameter, 2, parameter.len), &weight))
                weight = 0;
        }
        const struct query_encoder *encoder = query_encoder_by_media_type(media);
        if (lh_str_equal(media, lh_lit("*/*")) || lh_str_equal(media, lh_lit("application/*")))
            encoder = query_encoders[0];
        if (encoder && weight > best) {
            best = weight;
            *ret = encoder;
        }
    }
    if (best > 0)
        return LH_OK;
    lh_fail(err, LH_NOT_ACCEPTABLE, "Rows cannot be written as '%.*s'.", LH_ARG(call->accept));
    struct lh_str media = {0};
    for (size_t i = 0; i < query_encoder_count; i++)
        media = lh_arena_printf(call->arena, "%.*s%s%s", LH_ARG(media), i ? ", " : "",
                                query_encoders[i]->media_type);
    return lh_error_hint(err, "These can be written: %.*s.", LH_ARG(media));
}

static enum lh_code choose_encoder(struct op_call *call, struct lh_str format,
                                   const struct query_encoder **ret, struct lh_error *err)
{
    if (format.data) {
        *ret = query_encoder_by_name(format);
        if (*ret)
            return LH_OK;
        lh_fail(err, LH_INVALID, "There is no format '%.*s'.", LH_ARG(format));
        lh_error_hint(err, "The formats are: %.*s.", LH_ARG(format_names(call->arena)));
        return lh_error_field(err, lh_lit("format"));
    }
    if (call->accept.len)
        return encoder_accepted(call, ret, err);
    *ret = query_encoders[0];
    return LH_OK;
}

static enum lh_code rows_write(void *context, struct lh_str bytes, struct lh_error *err)
{
    return op_reply_write(context, bytes, err);
}

enum lh_code op_reply_rows(struct op_reply *reply, struct op_call *call, struct query *query,
                           struct lh_str format, struct lh_error *err)
{
    const struct query_encoder *encoder = NULL;
    struct lh_error why = LH_ERROR_NONE;
    enum lh_code code = choose_encoder(call, format, &encoder, err);
    if (!encoder)
        return code;
    reply->content_type = lh_str_of(encoder->media_type);
    lh_buf_clear(&reply->body);
    struct query_sink sink = {.context = reply, .write = rows_write};
    bool is_failed = false;
    code = query_encode(query, encoder, &sink, &is_failed, &why);
    reply->row_count = query_row_count(query);
    reply->is_failed = is_failed;
    if (err && (code || is_failed))
        *err = why;
    /* Nothing has left yet: a problem document with its own status says more than a broken table.
     */
    if (!code && is_failed && !reply->has_begun && why.code)
        code = why.code;
    return code;
}
