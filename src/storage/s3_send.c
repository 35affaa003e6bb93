/* One request to a store, signed, and again where that may help: after a broken connection, when
 * the store is at its limits, when our clock is not its own, when the keys were changed. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/secret.h"
#include "storage/failures.h"
#include "storage/s3_internal.h"

#define CONNECT_TIMEOUT_MS 3000
#define STALL_TIMEOUT_MS 10000
#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define REST_FIRST_MS 100
#define REST_STEP_MS 20
#define CODE_BYTES_MAX 64

void s3_query(struct s3_call *call, const char *name, struct lh_str value)
{
    call->query[call->query_count++] = (struct http_pair){lh_str_of(name), value};
}

void s3_header(struct s3_call *call, const char *name, struct lh_str value)
{
    call->headers[call->header_count++] = (struct http_pair){lh_str_of(name), value};
}

bool s3_rest(unsigned attempt, const struct lh_cancel *cancel)
{
    uint8_t random = 0;
    int64_t ms = (int64_t)REST_FIRST_MS << (attempt < 6 ? attempt : 6);
    lh_random_bytes(&random, 1); /* so that many who failed at once do not come again at once */
    ms = ms / 2 + ms * random / 512;
    for (; ms > 0; ms -= REST_STEP_MS) {
        const struct timespec step = {.tv_nsec = (long)REST_STEP_MS * 1000000};
        if (lh_cancel_check(cancel))
            return false;
        nanosleep(&step, NULL);
    }
    return lh_cancel_check(cancel) == LH_OK;
}

/* --- connections and keys */

static enum lh_code client_take(struct s3 *s3, struct http_client **ret, struct lh_error *err)
{
    struct http_client *client = NULL;
    pthread_mutex_lock(&s3->mutex);
    if (s3->client_count)
        client = s3->clients[--s3->client_count];
    pthread_mutex_unlock(&s3->mutex);
    if (!client)
        return http_client_new(ret, err);
    *ret = client;
    return LH_OK;
}

static void client_give(struct s3 *s3, struct http_client *client)
{
    pthread_mutex_lock(&s3->mutex);
    if (s3->client_count < S3_CLIENTS_MAX) {
        s3->clients[s3->client_count++] = client;
        client = NULL;
    }
    pthread_mutex_unlock(&s3->mutex);
    http_client_free(client);
}

/* `reads`: from the file, whatever is known. *ret_is_new: they are others than before. */
static enum lh_code keys_take(struct s3 *s3, bool reads, struct store_keys *ret, bool *ret_is_new,
                              struct lh_error *err)
{
    pthread_mutex_lock(&s3->mutex);
    *ret = s3->keys;
    bool has = s3->has_keys;
    pthread_mutex_unlock(&s3->mutex);
    *ret_is_new = false;
    if (has && !reads)
        return LH_OK;
    struct store_keys keys;
    enum lh_code code = secrets_find(s3->bucket->storage, s3->bucket->options.secret, &keys, err);
    if (code)
        return lh_error_context(err, "The bucket '%.*s'", LH_ARG(s3->bucket->name));
    *ret_is_new = memcmp(&keys, ret, sizeof keys) != 0;
    pthread_mutex_lock(&s3->mutex);
    s3->keys = keys;
    s3->has_keys = true;
    pthread_mutex_unlock(&s3->mutex);
    *ret = keys;
    lh_wipe(&keys, sizeof keys);
    return LH_OK;
}

/* --- one attempt */

static struct lh_str path_of(const struct s3 *s3, struct lh_str key, struct lh_arena *arena)
{
    const struct storage_bucket_options *options = &s3->bucket->options;
    if (!key.len)
        return lh_arena_printf(arena, "/%.*s", LH_ARG(options->bucket));
    return lh_arena_printf(arena, "/%.*s/%.*s%s%.*s", LH_ARG(options->bucket),
                           LH_ARG(options->prefix), options->prefix.len ? "/" : "", LH_ARG(key));
}

static enum lh_code attempt(struct s3 *s3, const struct s3_call *call,
                            const struct store_keys *keys, struct http_client_response *ret,
                            struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct http_client *client = NULL;
    struct http_pair headers[6 + 4];
    char hash[LH_SHA256_HEX_BYTES + 1];
    uint8_t sum[LH_SHA256_BYTES];
    size_t count = call->header_count;
    memcpy(headers, call->headers, count * sizeof *headers);
    lh_sha256_of(call->body, sum);
    lh_hex(sum, sizeof sum, hash);
    pthread_mutex_lock(&s3->mutex);
    int64_t now_ms = lh_clock_unix_ms() + s3->clock_offset_ms;
    pthread_mutex_unlock(&s3->mutex);
    const struct sign_request sign = {
        .method = call->method,
        .host = s3->host,
        .path = path_of(s3, call->key, arena),
        .query = call->query,
        .query_count = call->query_count,
        .headers = call->headers,
        .header_count = call->header_count,
        .payload_hash = call->payload_hash.len ? call->payload_hash : lh_str_of(hash),
        .unix_ms = now_ms,
        .region = s3->region,
        .service = lh_lit("s3"),
        .keys = {lh_str_of(keys->access_key), lh_str_of(keys->secret_key),
                 lh_str_of(keys->session_token)},
    };
    count += sign_headers(&sign, arena, headers + count);
    struct lh_str query = sign_encode_query(call->query, call->query_count, arena);
    const struct http_client_request request = {
        .method = call->method,
        .url = lh_arena_printf(arena, "%.*s%.*s%s%.*s", LH_ARG(s3->bucket->options.endpoint),
                               LH_ARG(sign_encode(sign.path, true, arena)), query.len ? "?" : "",
                               LH_ARG(query)),
        .headers = headers,
        .header_count = count,
        .body = call->body,
        .body_path = call->body_path,
        .body_offset = call->body_offset,
        .body_bytes = call->body_bytes,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .stall_timeout_ms = STALL_TIMEOUT_MS,
        .cancel = call->cancel,
        .response_bytes_max =
            call->response_bytes_max ? call->response_bytes_max : ANSWER_BYTES_MAX,
        .sink = call->sink,
        .context = call->context,
    };
    enum lh_code code = client_take(s3, &client, err);
    if (!code)
        code = http_client_send(client, &request, ret, err);
    if (code)
        http_client_free(client); /* its connection may be in any state */
    else
        client_give(s3, client);
    lh_arena_free(arena);
    return code;
}

/* --- what an answer says */

static struct lh_str code_of(const struct http_client_response *response)
{
    struct lh_str text = lh_buf_str(&response->body);
    struct lh_str code = s3_xml_next(&text, "Code");
    bool is_fine = code.len && code.len <= CODE_BYTES_MAX;
    for (size_t i = 0; i < code.len && is_fine; i++)
        is_fine = isalnum((unsigned char)code.data[i]);
    return is_fine ? code : (struct lh_str){0};
}

static bool says(const struct http_client_response *response, const char *code)
{
    return lh_str_equal(code_of(response), lh_str_of(code));
}

/* "Fri, 24 May 2013 00:00:00 GMT" */
static bool read_date(struct lh_str text, int64_t *ret_ms)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char copy[40], month[4] = "";
    struct tm parts = {0};
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data ? text.data : "", text.len);
    copy[text.len] = '\0';
    /* NOLINTNEXTLINE(cert-err34-c): a number that is too long is a clock that is far off */
    if (sscanf(copy, "%*3s, %d %3s %d %d:%d:%d", &parts.tm_mday, month, &parts.tm_year,
               &parts.tm_hour, &parts.tm_min, &parts.tm_sec) != 6)
        return false;
    const char *at = strstr(names, month);
    if (!at || strlen(month) != 3)
        return false;
    parts.tm_mon = (int)(at - names) / 3;
    parts.tm_year -= 1900;
    *ret_ms = (int64_t)timegm(&parts) * 1000;
    return true;
}

static bool set_clock(struct s3 *s3, const struct http_client_response *response)
{
    int64_t theirs_ms = 0;
    if (!read_date(http_client_response_header(response, "Date"), &theirs_ms))
        return false;
    pthread_mutex_lock(&s3->mutex);
    s3->clock_offset_ms = theirs_ms - lh_clock_unix_ms();
    pthread_mutex_unlock(&s3->mutex);
    return true;
}

/* 501: it does not know such a request, and never will. */
static bool is_transient(int status)
{
    return (status >= 500 && status != 501) || status == 429 || status == 408;
}

static enum lh_code fail_limits(const struct s3 *s3, const struct http_client_response *response,
                                struct lh_error *err)
{
    struct lh_str code = code_of(response);
    lh_fail(err, LH_IO,
            "The store of the bucket '%.*s' does not serve it now: it answered %d %.*s.",
            LH_ARG(s3->bucket->name), response->status, LH_ARG(code));
    return lh_error_hint(err, "Try again later.");
}

static enum lh_code explain(const struct s3 *s3, const struct s3_answer *answer, struct lh_str key,
                            struct lh_error *err)
{
    const struct http_client_response *response = &answer->response;
    struct lh_str name = s3->bucket->name, code = code_of(response);
    if (says(response, "NoSuchBucket")) {
        lh_fail(err, LH_IO, "The store has no bucket '%.*s' any more, which '%.*s' is kept in.",
                LH_ARG(s3->bucket->options.bucket), LH_ARG(name));
        return lh_error_hint(err, "Restore it, or what lives there cannot be read.");
    }
    if (response->status == 404)
        return lh_fail(err, LH_NOT_FOUND, "There is no object '%.*s' in the bucket '%.*s'.",
                       LH_ARG(key), LH_ARG(name));
    lh_fail(err, LH_IO, "The store of the bucket '%.*s' refused a request: %d %.*s.", LH_ARG(name),
            response->status, LH_ARG(code));
    if (says(response, "RequestTimeTooSkewed"))
        return lh_error_hint(err, "The clocks of this machine and of the store differ too much.");
    if (response->status == 403 || response->status == 401)
        return lh_error_hint(err,
                             "Look at the section [%.*s] of the secrets file, and at what its "
                             "keys may do.",
                             LH_ARG(s3->bucket->options.secret));
    if (response->status == 301 || response->status == 307 || response->status == 400)
        return lh_error_hint(err, "Look at the bucket's endpoint and region.");
    return LH_IO;
}

enum lh_code s3_fail(const struct s3 *s3, const struct s3_answer *answer, struct lh_str key,
                     struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = explain(s3, answer, key, &own);
    if (code != LH_NOT_FOUND) /* which may be what was asked for */
        storage_failure_note(s3->bucket->storage, s3->bucket->name, key, "refused", &own);
    if (err)
        *err = own;
    return code;
}

void s3_answer_release(struct s3_answer *answer)
{
    http_client_response_release(&answer->response);
}

/* --- all attempts */

struct trying {
    struct s3 *s3;
    const struct s3_call *call;
    struct store_keys keys;
    bool has_set_clock, has_read_keys;
};

/* A refusal that another attempt may end: the cause was just removed. */
static bool is_mended(struct trying *trying, const struct http_client_response *response)
{
    bool is_new = false;
    if (response->status != 403 && response->status != 400)
        return false;
    if (!trying->has_set_clock && says(response, "RequestTimeTooSkewed")) {
        trying->has_set_clock = true;
        return set_clock(trying->s3, response);
    }
    if (response->status == 403 && !trying->has_read_keys) {
        trying->has_read_keys = true;
        return !keys_take(trying->s3, true, &trying->keys, &is_new, NULL) && is_new;
    }
    return false;
}

static bool is_worth_repeating(enum lh_code code, const struct http_client_response *response)
{
    if (code)
        return code == LH_IO || code == LH_TIMEOUT;
    return is_transient(response->status);
}

enum lh_code s3_send(struct s3 *s3, const struct s3_call *call, struct s3_answer *ret,
                     struct lh_error *err)
{
    struct trying trying = {.s3 = s3, .call = call};
    struct lh_error own = LH_ERROR_NONE;
    bool is_new = false, is_ambiguous = false;
    enum lh_code code = keys_take(s3, false, &trying.keys, &is_new, &own);
    for (unsigned at = 0; !code; at++) {
        struct http_client_response response = {0};
        code = attempt(s3, call, &trying.keys, &response, &own);
        bool is_failed = is_worth_repeating(code, &response);
        bool is_last = at + 1 == S3_ATTEMPTS;
        bool may_repeat = !is_last && !call->is_once;
        is_ambiguous |= is_failed;
        if (!code && !is_failed && (is_last || !is_mended(&trying, &response))) {
            *ret = (struct s3_answer){.response = response, .is_ambiguous = is_ambiguous};
            break;
        }
        if (!code && is_failed)
            code = fail_limits(s3, &response, &own);
        http_client_response_release(&response);
        if (!is_failed)
            continue; /* mended, or over: LH_CANCELLED and the like */
        if (!may_repeat || !s3_rest(at, call->cancel)) {
            code = lh_cancel_check(call->cancel) ? lh_cancel_fail(call->cancel, "The request", &own)
                                                 : LH_IO;
            break;
        }
        code = LH_OK;
    }
    lh_wipe(&trying.keys, sizeof trying.keys);
    if (!code)
        return LH_OK;
    ret->is_ambiguous = is_ambiguous;
    own.code = code;
    if (code == LH_IO || code == LH_TIMEOUT)
        storage_failure_note(s3->bucket->storage, s3->bucket->name, call->key, call->method, &own);
    if (code == LH_IO)
        lh_error_context(&own, "The bucket '%.*s'", LH_ARG(s3->bucket->name));
    if (err)
        *err = own;
    return code;
}
