#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "http/internal.h"

/* A streamed reply: the worker writes into a ring, the I/O thread takes from it when the socket has
 * room.
 *
 *   memory only ── 32 KB, 50 ms, flush ──▶ started ── end ──▶ ended        (the worker's calls)
 *        └──────── end ──▶ sent as one body    └──── abort, timeout ──▶ aborted
 *
 * The I/O thread never waits: on an empty ring it suspends the connection and the next write
 * resumes it. The worker waits on a full one, in steps, because a cancel has no condition to
 * signal. */

#define KICK_BYTES ((size_t)32768)
#define KICK_US 50000
#define FIRST_RING_BYTES ((size_t)65536)
#define WAIT_STEP_US 20000

void stream_init(struct http_stream *stream, size_t max)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stream->room, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&stream->lock, NULL);
    stream->max = max;
}

void stream_reset(struct http_stream *stream)
{
    free(stream->ring);
    stream->ring = NULL;
    stream->capacity = stream->start = stream->len = 0;
    stream->is_begun = stream->is_started = false;
    stream->is_waiting = stream->is_ended = stream->is_aborted = stream->is_closed = false;
}

void stream_release(struct http_stream *stream)
{
    stream_reset(stream);
    pthread_cond_destroy(&stream->room);
    pthread_mutex_destroy(&stream->lock);
}

/* --- the I/O thread's side --- */

static size_t take(struct http_stream *stream, char *ret, size_t max)
{
    assert(stream->capacity > 0); /* there is something in it */
    const size_t count = stream->len < max ? stream->len : max;
    const size_t until_end = stream->capacity - stream->start;
    const size_t first = count < until_end ? count : until_end;
    memcpy(ret, stream->ring + stream->start, first);
    memcpy(ret + first, stream->ring, count - first);
    stream->start = (stream->start + count) % stream->capacity;
    stream->len -= count;
    return count;
}

ssize_t stream_read(void *context, uint64_t at, char *ret, size_t max)
{
    (void)at;
    struct exchange *exchange = context;
    struct http_stream *stream = &exchange->reply.stream;
    ssize_t result = 0;
    pthread_mutex_lock(&stream->lock);
    if (stream->is_aborted) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (stream->len > 0) {
        result = (ssize_t)take(stream, ret, max);
        stream->read_us = lh_clock_monotonic_us();
        pthread_cond_signal(&stream->room);
        count_add(&exchange->server->counters.bytes_sent, result);
    } else if (stream->is_ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->is_waiting = true;
        MHD_suspend_connection(exchange->mhd);
    }
    pthread_mutex_unlock(&stream->lock);
    return result;
}

void stream_close(struct exchange *exchange)
{
    struct http_stream *stream = &exchange->reply.stream;
    pthread_mutex_lock(&stream->lock);
    if (stream->is_started && !stream->is_ended)
        lh_cancel_fire(&exchange->cancel, LH_CANCELLED);
    stream->is_closed = true;
    pthread_cond_signal(&stream->room);
    pthread_mutex_unlock(&stream->lock);
}

/* --- the worker's side --- */

static void resume_locked(struct exchange *exchange)
{
    struct http_stream *stream = &exchange->reply.stream;
    if (!stream->is_waiting || stream->is_closed)
        return;
    stream->is_waiting = false;
    MHD_resume_connection(exchange->mhd);
}

static void kick(struct exchange *exchange)
{
    struct http_stream *stream = &exchange->reply.stream;
    stream->kicked_us = lh_clock_monotonic_us();
    if (!stream->is_started) {
        stream->is_started = true;
        stream->read_us = stream->kicked_us;
        exchange_wake(exchange);
        return;
    }
    pthread_mutex_lock(&stream->lock);
    resume_locked(exchange);
    pthread_mutex_unlock(&stream->lock);
}

/* Doubles the ring up to its maximum and straightens it. */
static bool grow_locked(struct http_stream *stream, size_t wanted)
{
    size_t capacity = stream->capacity ? stream->capacity : FIRST_RING_BYTES;
    while (capacity < wanted && capacity < stream->max)
        capacity *= 2;
    capacity = capacity < stream->max ? capacity : stream->max;
    if (capacity <= stream->capacity)
        return true;
    char *const ring = malloc(capacity);
    if (!ring)
        return stream->capacity > 0; /* goes on with what it has */
    const size_t len = stream->len;
    if (len > 0)
        take(stream, ring, len);
    free(stream->ring);
    stream->ring = ring;
    stream->capacity = capacity;
    stream->start = 0;
    stream->len = len;
    return true;
}

static size_t put_locked(struct http_stream *stream, const char *bytes, size_t count)
{
    const size_t room = stream->capacity - stream->len;
    count = count < room ? count : room;
    const size_t at = (stream->start + stream->len) % stream->capacity;
    const size_t until_end = stream->capacity - at;
    const size_t first = count < until_end ? count : until_end;
    memcpy(stream->ring + at, bytes, first);
    memcpy(stream->ring, bytes + first, count - first);
    stream->len += count;
    return count;
}

static enum lh_code check_locked(struct exchange *exchange, struct lh_error *err)
{
    const struct http_stream *stream = &exchange->reply.stream;
    if (stream->is_closed && !stream->is_ended)
        lh_cancel_fire(&exchange->cancel, LH_CANCELLED);
    const enum lh_code code = lh_cancel_check(&exchange->cancel);
    if (code == LH_CANCELLED)
        return lh_fail(err, code, "The client hung up before the reply was sent.");
    if (code)
        return lh_cancel_fail(&exchange->cancel, "The reply", err);
    if (stream->is_aborted)
        return lh_fail(err, LH_CANCELLED, "The reply was cut off before.");
    return LH_OK;
}

/* Waits a step for room; LH_TIMEOUT once the client has read nothing for too long. */
static enum lh_code wait_locked(struct exchange *exchange, int64_t since_us, struct lh_error *err)
{
    struct http_stream *stream = &exchange->reply.stream;
    const int64_t timeout_ms = exchange->server->options.write_timeout_ms;
    const int64_t now_us = lh_clock_monotonic_us();
    const int64_t last_us = stream->read_us > since_us ? stream->read_us : since_us;
    if (now_us - last_us > timeout_ms * 1000) {
        stream->is_aborted = true;
        if (!stream->is_closed)
            shutdown(exchange->connection->fd, SHUT_RDWR);
        count_add(&exchange->server->counters.timeouts, 1);
        return lh_fail(err, LH_TIMEOUT, "The client read nothing of the reply for %lld ms.",
                       (long long)timeout_ms);
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_STEP_US * 1000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    const int result = pthread_cond_timedwait(&stream->room, &stream->lock, &until);
    assert(result == 0 || result == ETIMEDOUT);
    (void)result;
    return LH_OK;
}

enum lh_code http_reply_begin(struct http_reply *reply, struct lh_error *err)
{
    struct exchange *exchange = reply->exchange;
    enum lh_code code = LH_OK;
    if (!reply->stream.is_begun) {
        reply->stream.is_begun = true;
        reply->stream.kicked_us = lh_clock_monotonic_us();
        if (reply->coding != CODING_NONE) {
            http_reply_header(reply, "Content-Encoding", coding_name(reply->coding));
            code = coder_open(reply->coding, false, &reply->coder, err);
        }
    }
    pthread_mutex_lock(&reply->stream.lock);
    if (!code)
        code = check_locked(exchange, err);
    pthread_mutex_unlock(&reply->stream.lock);
    return code;
}

/* Puts what fits. *ret_is_full: the I/O thread should hear of it. */
static enum lh_code put_some(struct exchange *exchange, const char *bytes, size_t count,
                             size_t *ret_count, bool *ret_is_full, struct lh_error *err)
{
    struct http_stream *stream = &exchange->reply.stream;
    pthread_mutex_lock(&stream->lock);
    enum lh_code code = check_locked(exchange, err);
    if (!code && !grow_locked(stream, stream->len + count))
        code = lh_fail(err, LH_BUSY, "There is no memory left for the reply.");
    if (!code)
        *ret_count = put_locked(stream, bytes, count);
    *ret_is_full = stream->len >= KICK_BYTES;
    pthread_mutex_unlock(&stream->lock);
    return code;
}

static enum lh_code wait_for_room(struct exchange *exchange, struct lh_error *err)
{
    struct http_stream *stream = &exchange->reply.stream;
    const int64_t since_us = lh_clock_monotonic_us();
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&stream->lock);
    while (!code && stream->len == stream->capacity) {
        code = check_locked(exchange, err);
        if (!code)
            code = wait_locked(exchange, since_us, err);
    }
    pthread_mutex_unlock(&stream->lock);
    return code;
}

/* Puts it all, waiting for room. The context is the exchange: a coder's sink. */
static enum lh_code put(void *context, const void *bytes, size_t count, struct lh_error *err)
{
    struct exchange *exchange = context;
    enum lh_code code = LH_OK;
    const char *from = bytes;
    while (!code && count > 0) {
        size_t taken = 0;
        bool is_full = false;
        code = put_some(exchange, from, count, &taken, &is_full, err);
        if (code)
            return code;
        from += taken;
        count -= taken;
        if (is_full || lh_clock_monotonic_us() - exchange->reply.stream.kicked_us > KICK_US)
            kick(exchange);
        if (count > 0)
            code = wait_for_room(exchange, err);
    }
    return code;
}

/* What a coder holds back of a slow stream leaves as early as it would unpacked. */
static enum lh_code put_packed(struct http_reply *reply, const void *bytes, size_t count,
                               struct lh_error *err)
{
    const struct coder_sink sink = {reply->exchange, put};
    const int64_t kicked_us = reply->stream.kicked_us;
    enum lh_code code = coder_write(reply->coder, bytes, count, &sink, err);
    if (!code && reply->stream.kicked_us == kicked_us &&
        lh_clock_monotonic_us() - kicked_us > KICK_US)
        code = coder_flush(reply->coder, &sink, err);
    return code;
}

enum lh_code http_reply_write(struct http_reply *reply, const void *bytes, size_t count,
                              struct lh_error *err)
{
    enum lh_code code = http_reply_begin(reply, err);
    if (code || reply->exchange->request.method == HTTP_HEAD)
        return code;
    return reply->coder ? put_packed(reply, bytes, count, err)
                        : put(reply->exchange, bytes, count, err);
}

enum lh_code http_reply_flush(struct http_reply *reply, struct lh_error *err)
{
    const struct coder_sink sink = {reply->exchange, put};
    enum lh_code code = http_reply_begin(reply, err);
    if (code || reply->exchange->request.method == HTTP_HEAD)
        return code;
    if (reply->coder)
        code = coder_flush(reply->coder, &sink, err);
    if (!code)
        kick(reply->exchange);
    return code;
}

/* The last of what a coder holds. False: the client is gone or too slow, the stream is cut. */
static bool end_coder(struct http_reply *reply)
{
    const struct coder_sink sink = {reply->exchange, put};
    bool is_alive = !reply->coder || reply->exchange->request.method == HTTP_HEAD ||
                    coder_end(reply->coder, &sink, NULL) == LH_OK;
    coder_close(reply->coder);
    reply->coder = NULL;
    return is_alive;
}

void http_reply_end(struct http_reply *reply)
{
    struct http_stream *stream = &reply->stream;
    if (!stream->is_begun)
        stream->is_begun = true;
    if (!end_coder(reply)) {
        http_reply_abort(reply);
        return;
    }
    pthread_mutex_lock(&stream->lock);
    stream->is_ended = !stream->is_aborted;
    atomic_store(&reply->exchange->is_answered, true);
    resume_locked(reply->exchange);
    pthread_mutex_unlock(&stream->lock);
}

void http_reply_abort(struct http_reply *reply)
{
    struct http_stream *stream = &reply->stream;
    if (!stream->is_begun)
        stream->is_begun = true;
    pthread_mutex_lock(&stream->lock);
    stream->is_aborted = !stream->is_ended;
    resume_locked(reply->exchange);
    pthread_mutex_unlock(&stream->lock);
}
