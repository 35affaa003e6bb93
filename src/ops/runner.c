#include "ops/op.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "lake/lake.h"
#include "lake/repeats.h"
#include "storage/buckets.h"
#include "storage/storage.h"

#define REQUEST_BYTES_MAX ((size_t)1 << 30) /* arguments are bounded by the doors */

/* Counters per row of the table; rows that are not in it (tests) share the last one. */
#define COUNTERS_MAX 256

struct counter {
    _Atomic int64_t calls;
    _Atomic int64_t failures[6];
    _Atomic int64_t micros;
    _Atomic int64_t running;
};

static struct counter counters[COUNTERS_MAX + 1];

static struct counter *counter_of(const struct op *op)
{
    for (size_t i = 0; i < op_table_count && i < COUNTERS_MAX; i++)
        if (op_table[i] == op)
            return &counters[i];
    return &counters[COUNTERS_MAX];
}

struct op_counts op_counts_of(size_t table_index)
{
    struct counter *counter = &counters[table_index < COUNTERS_MAX ? table_index : COUNTERS_MAX];
    struct op_counts counts = {
        .calls = atomic_load_explicit(&counter->calls, memory_order_relaxed),
        .micros = atomic_load_explicit(&counter->micros, memory_order_relaxed),
        .running = atomic_load_explicit(&counter->running, memory_order_relaxed),
    };
    for (size_t i = 0; i < 6; i++)
        counts.failures[i] = atomic_load_explicit(&counter->failures[i], memory_order_relaxed);
    return counts;
}

const struct op *op_find(struct lh_str name)
{
    for (size_t i = 0; i < op_table_count; i++)
        if (lh_str_equal(lh_str_of(op_table[i]->name), name))
            return op_table[i];
    return NULL;
}

struct lh_str op_path_field(struct lh_str part, bool *ret_takes_rest)
{
    if (part.len < 3 || part.data[0] != '{')
        return (struct lh_str){0};
    bool takes_rest = part.data[1] == '*';
    if (ret_takes_rest)
        *ret_takes_rest = takes_rest;
    return lh_str_slice(part, 1 + takes_rest, part.len - 2 - takes_rest);
}

enum lh_code op_if_match(const struct op_call *call, int64_t *ret_version, struct lh_error *err)
{
    struct lh_str tag = lh_str_trim(call->if_match);
    int64_t version = 0;
    if (!call->if_match.data || lh_str_equal(tag, lh_lit("*"))) {
        *ret_version = 0;
        return LH_OK;
    }
    if (tag.len && memchr(tag.data, ',', tag.len))
        return lh_fail(err, LH_INVALID, "If-Match names more than one version; one is taken.");
    if (tag.len > 2 && tag.data[0] == '"' && tag.data[tag.len - 1] == '"' &&
        lh_str_to_int(lh_str_slice(tag, 1, tag.len - 2), &version) && version > 0) {
        *ret_version = version;
        return LH_OK;
    }
    lh_fail(err, LH_PRECONDITION, "If-Match is %.*s, which is no version of anything.",
            LH_ARG(tag));
    return lh_error_hint(err, "Send the ETag of the last reply as it was, quotes included.");
}

struct lh_str op_idempotency_key(const struct op_call *call)
{
    if (!call->idempotency_key.len)
        return (struct lh_str){0};
    return lh_arena_printf(call->arena, "%.*s:%.*s", LH_ARG(call->principal->id),
                           LH_ARG(call->idempotency_key));
}

/* What is asked for, the content of files included: two requests with one key must be the same. */
static enum lh_code hash_request(const struct op *op, struct op_call *call, const void *args,
                                 struct lh_error *err)
{
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct lh_buf buf;
    struct lh_json json;
    enum lh_code code = LH_OK;
    lh_buf_init(&buf, REQUEST_BYTES_MAX);
    lh_buf_printf(&buf, "%s %.*s %.*s ", op->name, LH_ARG(call->if_match),
                  LH_ARG(call->if_none_match));
    if (call->bucket.data)
        lh_buf_printf(&buf, "bucket %.*s ", LH_ARG(call->bucket));
    lh_json_init(&json, &buf);
    if (op->fields)
        lh_fields_write(op->fields, args, &json);
    for (size_t i = 0; op->fields && i < op->fields->count && !code; i++) {
        const struct lh_field *field = &op->fields->items[i];
        if (field->type != LH_FIELD_FILE)
            continue;
        struct lh_upload upload =
            *(const struct lh_upload *)(const void *)((const char *)args + field->offset);
        code = lh_upload_sum(&upload, call->cancel, err);
        lh_hex(upload.sha256, sizeof(upload.sha256), hex);
        lh_buf_printf(&buf, " %s", hex);
    }
    if (!code)
        code = lh_buf_check(&buf, "The arguments", err);
    lh_sha256_of(lh_buf_str(&buf), sum);
    lh_hex(sum, sizeof(sum), hex);
    call->request_hash = lh_arena_str(call->arena, lh_str_of(hex));
    lh_buf_release(&buf);
    return code;
}

#define IDEMPOTENCY_KEY_BYTES_MAX 255

static enum lh_code check_call(const struct op *op, struct op_call *call, const void *args,
                               struct lh_error *err)
{
    enum lh_code code = access_check(call->principal, op->permission, err);
    if (code)
        return code;
    if (call->idempotency_key.len > IDEMPOTENCY_KEY_BYTES_MAX)
        return lh_fail(err, LH_INVALID, "The Idempotency-Key has %zu bytes; at most %d are taken.",
                       call->idempotency_key.len, IDEMPOTENCY_KEY_BYTES_MAX);
    if (call->idempotency_key.data && op->effect != OP_WRITE)
        return lh_fail(err, LH_INVALID, "'%s' changes nothing and takes no Idempotency-Key.",
                       op->name);
    /* A condition that nobody looks at is worse than none. */
    if (call->if_match.data && op->effect == OP_WRITE && !op->takes_if_match)
        return lh_fail(err, LH_INVALID,
                       "'%s' changes nothing that has a version, and takes no "
                       "If-Match.",
                       op->name);
    if (call->bucket.data && op->effect == OP_WRITE && !op->takes_bucket)
        return lh_fail(err, LH_INVALID, "'%s' takes no X-Lakehouse-Bucket.", op->name);
    if (call->bucket.data && op->takes_bucket &&
        (code = storage_bucket_check(lake_storage(call->lake), call->bucket, err)))
        return code;
    if (call->if_none_match.data && op->effect == OP_WRITE && !op->takes_if_none_match)
        return lh_fail(err, LH_INVALID, "'%s' takes no If-None-Match.", op->name);
    if (op->fields && (code = lh_fields_check(op->fields, args, err)))
        return code;
    return lh_cancel_fail(call->cancel, op->name, err);
}

/* --- once under an Idempotency-Key */

static enum lh_code answer_again(const struct lake_answer *answer, struct op_reply *reply,
                                 struct lh_error *err)
{
    reply->status = (int)answer->status;
    reply->content_type = answer->content_type;
    reply->etag = answer->etag;
    reply->location = answer->location;
    lh_buf_clear(&reply->body);
    lh_buf_append_str(&reply->body, answer->body);
    return lh_buf_check(&reply->body, "The reply", err);
}

static enum lh_code run_once(const struct op *op, struct op_call *call, const void *args,
                             struct op_reply *reply, struct lh_error *err)
{
    struct lh_str key = op_idempotency_key(call);
    const struct lake_answer *first = NULL;
    enum lh_code code = hash_request(op, call, args, err);
    if (!code)
        code = lake_repeat_begin(call->lake, key, call->request_hash, call->arena, &first, err);
    if (code || first)
        return code ? code : answer_again(first, reply, err);
    code = op->run(call, args, reply, err);
    const struct lake_answer answer = {
        .request_hash = call->request_hash,
        .status = reply->status,
        .content_type = reply->content_type,
        .etag = reply->etag,
        .location = reply->location,
        .body = lh_buf_str(&reply->body),
        .is_secret = op->is_secret,
    };
    bool is_kept = !code && !reply->has_begun && reply->body.len <= LAKE_REPEAT_BODY_BYTES_MAX;
    lake_repeat_end(call->lake, key, is_kept ? &answer : NULL);
    return code;
}

/* Files are named as the lake knows them: where it lies on the machine is nobody's business. */
static void hide_folder(const struct op_call *call, struct lh_error *err)
{
    static const char shown[] = "<lake>";
    struct lh_str path = call->lake && err ? storage_path(lake_storage(call->lake)) : lh_lit("");
    if (path.len < sizeof shown - 1)
        return;
    for (char *at = strstr(err->message, path.data); at; at = strstr(at, path.data)) {
        memcpy(at, shown, sizeof shown - 1);
        at += sizeof shown - 1;
        const char *rest = at + path.len - (sizeof shown - 1);
        memmove(at, rest, strlen(rest) + 1);
    }
}

enum lh_code op_run(const struct op *op, struct op_call *call, const void *args,
                    struct op_reply *reply, struct lh_error *err)
{
    struct counter *counter = counter_of(op);
    int64_t from_us = lh_clock_monotonic_us();
    atomic_fetch_add_explicit(&counter->running, 1, memory_order_relaxed);
    enum lh_code code = check_call(op, call, args, err);
    if (!code)
        code = call->idempotency_key.len ? run_once(op, call, args, reply, err)
                                         : op->run(call, args, reply, err);
    if (code) {
        hide_folder(call, err);
        int class = lh_error_row(code)->http_status / 100;
        atomic_fetch_add_explicit(&counter->failures[class >= 0 && class < 6 ? class : 5], 1,
                                  memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&counter->micros, lh_clock_monotonic_us() - from_us,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&counter->calls, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&counter->running, 1, memory_order_relaxed);
    return code;
}
