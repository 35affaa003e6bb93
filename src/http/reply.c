#include <assert.h>
#include <stdlib.h>

#include "http/internal.h"

#define PACKED_BYTES_MIN ((size_t)1400)    /* what is smaller travels in one frame as it is */
#define STREAM_BLOCK_BYTES ((size_t)65536) /* at a time, of bodies that are not chunked */

void reply_init(struct http_reply *reply, struct exchange *exchange)
{
    reply->exchange = exchange;
    reply->status = 200;
    reply->length = -1;
    lh_buf_init(&reply->body, SIZE_MAX / 2);
    stream_init(&reply->stream, exchange->server->options.stream_buffer_bytes);
}

void reply_clear(struct http_reply *reply)
{
    reply->status = 200;
    reply->header_count = 0;
    reply->length = -1;
    lh_buf_clear(&reply->body);
    stream_reset(&reply->stream);
    coder_close(reply->coder);
    reply->coder = NULL;
    reply->coding = CODING_NONE;
    reply->after = NULL;
}

void reply_reset(struct http_reply *reply)
{
    if (reply->body.capacity >
        65536) { /* a connection does not keep the memory of its largest reply */
        lh_buf_release(&reply->body);
        lh_buf_init(&reply->body, SIZE_MAX / 2);
    }
    reply_clear(reply);
}

void reply_release(struct http_reply *reply)
{
    lh_buf_release(&reply->body);
    stream_release(&reply->stream);
    coder_close(reply->coder);
}

static enum lh_code add_packed(void *buf, const void *bytes, size_t count, struct lh_error *err)
{
    lh_buf_append(buf, bytes, count);
    return lh_buf_check(buf, "The reply", err);
}

/* Packs a whole body. One that did not get smaller, or for which there is no memory, stays. */
static void pack_body(struct http_reply *reply)
{
    struct coder *coder = NULL;
    struct lh_buf packed;
    const struct coder_sink sink = {&packed, add_packed};
    lh_buf_init(&packed, reply->body.len);
    if (!coder_open(reply->coding, true, &coder, NULL) &&
        !coder_write(coder, reply->body.data, reply->body.len, &sink, NULL) &&
        !coder_end(coder, &sink, NULL)) {
        http_reply_take(reply, &packed);
        http_reply_header(reply, "Content-Encoding", coding_name(reply->coding));
    }
    coder_close(coder);
    lh_buf_release(&packed);
}

void reply_finish(struct http_reply *reply)
{
    if (!reply->stream.is_begun && reply->coding != CODING_NONE &&
        reply->body.len >= PACKED_BYTES_MIN)
        pack_body(reply);
    if (reply->stream.is_begun && !reply->stream.is_ended)
        http_reply_abort(reply);
    if (!reply->stream.is_started)
        reply->exchange->is_cut = reply->stream.is_aborted;
}

void http_reply_status(struct http_reply *reply, int status)
{
    assert(status >= 200 && status <= 599);
    if (!reply->stream.is_started)
        reply->status = status;
}

static bool is_ours(struct lh_str name)
{
    return lh_str_equal_nocase(name, lh_lit("Content-Length")) ||
           lh_str_equal_nocase(name, lh_lit("Transfer-Encoding")) ||
           lh_str_equal_nocase(name, lh_lit("Connection")) ||
           lh_str_equal_nocase(name, lh_lit("Date"));
}

void http_reply_header(struct http_reply *reply, const char *name, struct lh_str value)
{
    const bool is_mistake = is_ours(lh_str_of(name)) || reply->header_count == REPLY_HEADERS_MAX;
    assert(!is_mistake);
    if (reply->stream.is_started || is_mistake)
        return;
    struct lh_arena *arena = reply->exchange->arena;
    char *const text = lh_arena_alloc(arena, value.len + 1);
    for (size_t at = 0; at < value.len; at++) {
        const unsigned char byte = (unsigned char)value.data[at];
        text[at] = byte < ' ' || byte == 0x7f ? ' ' : value.data[at];
    }
    struct http_pair *pair = &reply->headers[reply->header_count++];
    pair->name = lh_arena_str(arena, lh_str_of(name));
    pair->value = (struct lh_str){text, value.len};
}

void http_reply_length(struct http_reply *reply, int64_t bytes)
{
    assert(bytes >= 0);
    if (!reply->stream.is_started)
        reply->length = bytes;
}

void http_reply_pack(struct http_reply *reply)
{
    assert(!reply->stream.is_begun);
    http_reply_header(reply, "Vary", lh_lit("Accept-Encoding"));
    reply->coding =
        coding_choose(http_request_header(&reply->exchange->request, "Accept-Encoding"));
}

void http_reply_body(struct http_reply *reply, struct lh_str bytes)
{
    assert(!reply->stream.is_begun);
    lh_buf_clear(&reply->body);
    lh_buf_append(&reply->body, bytes.data, bytes.len);
}

void http_reply_take(struct http_reply *reply, struct lh_buf *buf)
{
    assert(!reply->stream.is_begun);
    const size_t max = buf->max;
    lh_buf_release(&reply->body);
    reply->body = *buf;
    reply->body.max = SIZE_MAX / 2;
    lh_buf_init(buf, max);
}

bool http_reply_restart(struct http_reply *reply)
{
    if (reply->stream.is_started)
        return false;
    reply_clear(reply);
    return true;
}

/* The body of a reply that is sent as one. A stream that never started lies straight in its ring.
 */
static struct lh_str whole_body(const struct http_reply *reply)
{
    const struct http_stream *stream = &reply->stream;
    if (!stream->is_begun)
        return lh_buf_str(&reply->body);
    return (struct lh_str){stream->ring ? stream->ring + stream->start : "", stream->len};
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    const struct http_reply *reply = &exchange->reply;
    const bool is_head = exchange->request.method == HTTP_HEAD;
    const bool is_open_ended = is_head && (reply->stream.is_begun || reply->length >= 0);
    const uint64_t length = reply->length >= 0 ? (uint64_t)reply->length : MHD_SIZE_UNKNOWN;
    if (reply->stream.is_started || is_open_ended)
        return MHD_create_response_from_callback(length, STREAM_BLOCK_BYTES, stream_read, exchange,
                                                 NULL);
    const struct lh_str body = whole_body(reply);
    count_add(&exchange->server->counters.bytes_sent, (int64_t)body.len);
    /* Persistent: it belongs to the exchange, which outlives the sending. */
    union {
        const char *const_data;
        void *data;
    } pointer = {.const_data = body.data};
    return MHD_create_response_from_buffer(body.len, pointer.data, MHD_RESPMEM_PERSISTENT);
}

enum MHD_Result reply_queue(struct exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;
    if (exchange->is_cut && !reply->stream.is_started)
        return MHD_NO;
    if (exchange->is_refused)
        refuse_make(exchange->server, &exchange->request, &exchange->error, reply);
    struct MHD_Response *response = make_response(exchange);
    if (!response)
        return MHD_NO;
    for (size_t at = 0; at < reply->header_count; at++)
        MHD_add_response_header(response, reply->headers[at].name.data,
                                reply->headers[at].value.data);
    if (exchange->connection->is_surplus)
        MHD_add_response_header(response, "Connection", "close");
    count_add(&exchange->server->counters.replies[reply->status / 100], 1);
    const enum MHD_Result result =
        MHD_queue_response(exchange->mhd, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return result;
}

void http_reply_after(struct http_reply *reply, void (*run)(void *context), void *context)
{
    reply->after = run;
    reply->after_context = context;
}

const char *http_status_reason(int status)
{
    const char *const reason =
        status >= 100 && status <= 599 ? MHD_get_reason_phrase_for((unsigned)status) : "";
    return strcmp(reason, "Unknown") == 0 ? "" : reason;
}
