/* Reading a whole object: in order, going on behind what came when the connection breaks off, and
 * only as long as it is the same object. */
#include <stdlib.h>

#include "storage/s3_internal.h"

#define FAILURES_MAX 5 /* one after the other, without a byte in between */

struct progress {
    const struct s3_reading *reading;
    int64_t at;     /* bytes that were taken */
    int64_t skip;   /* of this answer: it began before them */
    bool has_moved; /* in this attempt */
    enum lh_code code;
};

static enum lh_code take(void *context, int status, struct lh_str bytes, struct lh_error *err)
{
    struct progress *progress = context;
    if (status != 206 && !progress->has_moved)
        progress->skip = progress->at; /* it does not know ranges: from the start again */
    progress->has_moved = true;
    if (progress->skip >= (int64_t)bytes.len) {
        progress->skip -= (int64_t)bytes.len;
        return LH_OK;
    }
    bytes = lh_str_slice(bytes, (size_t)progress->skip, bytes.len);
    progress->skip = 0;
    progress->code = progress->reading->take(progress->reading->context, bytes, err);
    progress->at += (int64_t)bytes.len;
    return progress->code;
}

static void prepare(struct s3_call *call, struct progress *progress, struct lh_str etag,
                    struct lh_arena *arena)
{
    *call = (struct s3_call){
        .method = "GET",
        .key = progress->reading->key,
        .sink = take,
        .context = progress,
        .is_once = true,
        .cancel = progress->reading->cancel,
    };
    progress->has_moved = false;
    progress->skip = 0;
    if (progress->reading->version.len)
        s3_query(call, "versionId", progress->reading->version);
    if (progress->at)
        s3_header(call, "Range", lh_arena_printf(arena, "bytes=%lld-", (long long)progress->at));
    if (progress->at && etag.len)
        s3_header(call, "If-Match", etag);
}

/* How long the object is, by the head of the first answer; -1: it does not say. */
static int64_t length_of(const struct http_client_response *response)
{
    int64_t bytes = -1;
    struct lh_str length = http_client_response_header(response, "Content-Length");
    return lh_str_to_int(length, &bytes) ? bytes : -1;
}

static enum lh_code fail_changed(struct s3 *s3, struct lh_str key, struct lh_error *err)
{
    return lh_fail(err, LH_DAMAGED,
                   "The object '%.*s' of the bucket '%.*s' changed while it was read.", LH_ARG(key),
                   LH_ARG(s3->bucket->name));
}

/* One answer that came: *ret_is_done, or more is to come. */
static enum lh_code judge(struct s3 *s3, struct progress *progress, struct s3_answer *answer,
                          bool *ret_is_done, struct lh_error *err)
{
    const struct http_client_response *response = &answer->response;
    int64_t length = length_of(response);
    *ret_is_done = true;
    if (response->status == 412)
        return fail_changed(s3, progress->reading->key, err);
    if (response->status == 416 && progress->at)
        return LH_OK; /* nothing is left; the caller compares the sum */
    if (response->status >= 300)
        return s3_fail(s3, answer, progress->reading->key, err);
    if (response->status == 200 && length >= 0 && progress->at < length)
        *ret_is_done = false; /* cut, with a length that says so */
    return LH_OK;
}

/* A first look tells the tag that what follows must have. */
static enum lh_code look_first(struct s3 *s3, const struct s3_reading *reading,
                               struct lh_arena *arena, struct lh_str *ret_etag,
                               struct lh_error *err)
{
    struct s3_call call = {.method = "HEAD", .key = reading->key, .cancel = reading->cancel};
    struct s3_answer answer = {0};
    if (reading->version.len)
        s3_query(&call, "versionId", reading->version);
    enum lh_code code = s3_send(s3, &call, &answer, err);
    if (code)
        return code;
    if (answer.response.status >= 300)
        code = s3_fail(s3, &answer, reading->key, err);
    else
        *ret_etag = lh_arena_str(arena, http_client_response_header(&answer.response, "ETag"));
    s3_answer_release(&answer);
    return code;
}

enum lh_code s3_read(struct s3 *s3, const struct s3_reading *reading, int64_t *ret_bytes,
                     struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct progress progress = {.reading = reading};
    struct lh_error own = LH_ERROR_NONE;
    struct lh_str etag = {0};
    bool is_done = false;
    unsigned failures = 0;
    enum lh_code code = LH_OK;
    while (!code && !is_done) {
        struct s3_call call;
        struct s3_answer answer = {0};
        if (progress.at && !etag.len)
            code = look_first(s3, reading, arena, &etag, &own);
        if (code)
            break;
        prepare(&call, &progress, etag, arena);
        code = s3_send(s3, &call, &answer, &own);
        if (!code) {
            code = judge(s3, &progress, &answer, &is_done, &own);
            s3_answer_release(&answer);
            if (code || is_done)
                break;
        } else if (progress.code || (code != LH_IO && code != LH_TIMEOUT)) {
            break; /* the taker's own failure, or one that another try does not mend */
        }
        failures = progress.has_moved ? 1 : failures + 1;
        if (failures >= FAILURES_MAX || !s3_rest(failures, reading->cancel)) {
            code = lh_cancel_check(reading->cancel)
                       ? lh_cancel_fail(reading->cancel, "Reading the object", &own)
                       : LH_IO;
            break;
        }
        code = LH_OK;
    }
    lh_arena_free(arena);
    if (!code)
        *ret_bytes = progress.at;
    else if (err)
        *err = own;
    return code;
}
