/* Objects: bytes under keys of the caller's choosing. */
#include "storage/objects.h"

#include "base/file.h"
#include "base/hash.h"
#include "lake/lake.h"
#include "ops/internal.h"

#define CHUNK_BYTES ((size_t)262144)

static const struct lh_field info_rows[] = {
    LH_STR(struct object_info, key, .required = true, .doc = "Of the object."),
    LH_INT(struct object_info, bytes, .required = true, .doc = "How long it is."),
    LH_STR(struct object_info, etag, .doc = "The SHA-256 of its bytes, in quotes."),
    LH_STR(struct object_info, content_type, .doc = "What it is said to be."),
    LH_TIME(struct object_info, modified_at, .doc = "When it was put."),
    LH_STR(struct object_info, modified_by, .doc = "Who put it."),
    LH_STR(struct object_info, problem, .doc = "Why it cannot be read; absent: it can."),
};
static const struct lh_fields info_fields =
    LH_FIELDS_OF(struct object_info, "StorageObject", info_rows);

#define BUCKET_ROW(struct_type)                                                                    \
    LH_STR(struct_type, bucket, .required = true, .positional = true, .min = 1, .max = 63,         \
           .doc = "The bucket: primary, or another of GET /storage/buckets.")
#define KEY_ROW(struct_type)                                                                       \
    LH_STR(struct_type, key, .required = true, .positional = true, .min = 1, .max = 4096,          \
           .doc = "The object's key: up to 900 bytes in parts divided by slashes.")

/* --- GET /storage/buckets/{bucket}/objects */

struct list_args {
    struct lh_str bucket;
    struct lh_str prefix;
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    BUCKET_ROW(struct list_args),
    LH_STR(struct list_args, prefix, .positional = true, .max = OBJECT_KEY_BYTES_MAX,
           .doc = "Only keys that begin so."),
    OP_LIST_LIMIT(struct list_args),
    LH_STR(struct list_args, after, .max = OBJECT_KEY_BYTES_MAX,
           .doc = "Only keys behind this one: the `next` of the page before, or any key."),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "ObjectsListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct object_info *items = NULL;
    size_t count = 0;
    bool has_more = false;
    enum lh_code code =
        objects_list(lake_objects(call->lake), args->bucket, args->prefix, args->after,
                     (size_t)args->limit, call->arena, &items, &count, &has_more, err);
    if (code)
        return code;
    return op_reply_list(reply, items, count, has_more ? items[count - 1].key : (struct lh_str){0},
                         err);
}

const struct op op_objects_list = {
    .name = "objects.list",
    .summary = "The objects of a bucket, by key.",
    .description = "In the order of the keys' parts, each bytewise. What the lake itself keeps is "
                   "not among them.",
    .http = {OP_GET, "/storage/buckets/{bucket}/objects"},
    .effect = OP_READ,
    .permission = "storage.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &info_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND),
    .run = run_list,
};

/* --- GET …/objects/{*key} */

struct get_args {
    struct lh_str bucket;
    struct lh_str key;
};
static const struct lh_field get_rows[] = {BUCKET_ROW(struct get_args), KEY_ROW(struct get_args)};
static const struct lh_fields get_fields =
    LH_FIELDS_OF(struct get_args, "ObjectsGetArgs", get_rows);

struct range {
    int64_t from;
    int64_t until; /* exclusive */
};

/* "0-99", "100-", "-100" of an object of so many bytes. False: it says nothing, and is taken as if
 * it were not there, as RFC 9110 wants it; so are several ranges. */
static bool read_range(struct lh_str text, int64_t bytes, struct range *ret)
{
    struct lh_str last = lh_str_trim(text);
    struct range range = {0, bytes};
    struct lh_str unit = lh_str_trim(lh_str_cut(&last, '='));
    last = lh_str_trim(last);
    if (!lh_str_equal_nocase(unit, lh_lit("bytes")) || !last.len ||
        memchr(last.data, ',', last.len) || memchr(last.data, '+', last.len))
        return false;
    struct lh_str first = lh_str_trim(lh_str_cut(&last, '-'));
    if (!last.data)
        return false;
    last = lh_str_trim(last);
    if (!first.len) {
        int64_t count = 0;
        if (!lh_str_to_int(last, &count) || count < 0)
            return false;
        range.from = count < bytes ? bytes - count : 0;
        range.until = count ? bytes : range.from; /* the last 0 bytes: none */
    } else {
        if (!lh_str_to_int(first, &range.from) || range.from < 0)
            return false;
        if (last.len && (!lh_str_to_int(last, &range.until) || range.until < range.from))
            return false;
        range.until = last.len && range.until < bytes ? range.until + 1 : bytes;
    }
    *ret = range;
    return true;
}

/* Which bytes are wanted; sets what the reply's head says of them. */
static enum lh_code choose_range(struct op_call *call, const struct object_info *info,
                                 struct op_reply *reply, struct range *ret, struct lh_error *err)
{
    bool is_current = !call->if_range.data || lh_str_equal(lh_str_trim(call->if_range), info->etag);
    *ret = (struct range){0, info->bytes};
    if (!call->range.data || !is_current || !read_range(call->range, info->bytes, ret))
        return LH_OK;
    if (ret->from >= ret->until) {
        reply->range = lh_arena_printf(call->arena, "bytes */%lld", (long long)info->bytes);
        return lh_fail(err, LH_RANGE, "The object has %lld bytes; none of '%.*s' are among them.",
                       (long long)info->bytes, LH_ARG(lh_str_slice(call->range, 0, 64)));
    }
    reply->range = lh_arena_printf(call->arena, "bytes %lld-%lld/%lld", (long long)ret->from,
                                   (long long)ret->until - 1, (long long)info->bytes);
    op_reply_status(reply, 206);
    return LH_OK;
}

/* A whole object is summed while it is sent, and its last piece is held back until the sum is
 * known to be right: so a client never takes damaged bytes for a complete object. */
static enum lh_code check_sum(struct lh_sha256 *sum, const struct object_info *info,
                              struct lh_error *err)
{
    uint8_t bytes[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_finish(sum, bytes);
    lh_hex(bytes, sizeof(bytes), hex);
    if (lh_str_equal(lh_str_slice(info->etag, 1, info->etag.len - 2), lh_str_of(hex)))
        return LH_OK;
    return lh_fail(err, LH_DAMAGED, "The bytes of the object '%.*s' are not those that were put.",
                   LH_ARG(info->key));
}

static enum lh_code send(struct op_call *call, int fd, const struct object_info *info,
                         const struct range *range, struct op_reply *reply, struct lh_error *err)
{
    bool is_whole = range->until - range->from == info->bytes;
    struct lh_sha256 *sum = is_whole ? lh_sha256_new() : NULL;
    char *bytes = lh_arena_alloc(call->arena, CHUNK_BYTES);
    enum lh_code code = LH_OK;
    int64_t at = range->from;
    if (is_whole && !info->bytes) {
        code = check_sum(sum, info, err);
        if (!code)
            code = op_reply_write(reply, lh_lit(""), err);
    }
    while (!code && at < range->until) {
        size_t wanted =
            range->until - at < (int64_t)CHUNK_BYTES ? (size_t)(range->until - at) : CHUNK_BYTES;
        size_t got = 0;
        code = lh_cancel_fail(call->cancel, "Sending the object", err);
        if (!code)
            code = lh_file_read_at(fd, bytes, wanted, at, &got, err);
        if (!code && got != wanted)
            code = lh_fail(err, LH_DAMAGED, "The object '%.*s' ends too early.", LH_ARG(info->key));
        if (!code && sum)
            lh_sha256_add(sum, bytes, got);
        at += (int64_t)got;
        if (!code && sum && at == range->until)
            code = check_sum(sum, info, err);
        if (!code)
            code = op_reply_write(reply, (struct lh_str){bytes, got}, err);
    }
    lh_sha256_free(sum);
    return code;
}

static struct lh_str last_part(struct lh_str key)
{
    const char *slash = memrchr(key.data, '/', key.len);
    size_t from = slash ? (size_t)(slash - key.data) + 1 : 0;
    return lh_str_slice(key, from, key.len);
}

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct get_args *args = raw;
    const struct object_condition condition = {.if_match = call->if_match};
    struct object_info info;
    struct range range;
    int fd = -1;
    enum lh_code code = objects_read(lake_objects(call->lake), args->bucket, args->key, call->arena,
                                     &info, &fd, err);
    if (code)
        return code;
    code = object_condition_check(&condition, info.etag, err);
    if (code)
        goto out;
    reply->etag = info.etag;
    reply->content_type = info.content_type;
    reply->filename = last_part(info.key);
    reply->modified_ms = info.modified_at.unix_ms;
    if (object_tags_match(call->if_none_match, info.etag))
        goto out; /* the door says that it is known */
    code = choose_range(call, &info, reply, &range, err);
    if (code)
        goto out;
    reply->length = range.until - range.from;
    if (!call->is_head)
        code = send(call, fd, &info, &range, reply, err);
out:
    lh_file_abandon(fd);
    return code;
}

const struct op op_objects_get = {
    .name = "objects.get",
    .summary = "The bytes of an object, or a range of them.",
    .description =
        "With the content type that it was put with, always as an attachment that a browser keeps "
        "and does not show. `Range` takes one range of bytes; `If-Range`, `If-Match` and "
        "`If-None-Match` take the ETag. HEAD tells the same without the bytes. A whole object "
        "whose "
        "bytes are not those that were put ends short.",
    .http = {OP_GET, "/storage/buckets/{bucket}/objects/{*key}"},
    .effect = OP_READ,
    .permission = "storage.read",
    .fields = &get_fields,
    .kind = OP_BYTES,
    .other_status = 206,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_PRECONDITION, LH_RANGE, LH_DAMAGED),
    .run = run_get,
};

/* --- PUT …/objects/{*key} */

struct put_args {
    struct lh_str bucket;
    struct lh_str key;
    struct lh_upload file;
    struct lh_str content_type;
};
static const struct lh_field put_rows[] = {
    BUCKET_ROW(struct put_args),
    KEY_ROW(struct put_args),
    LH_FILE(struct put_args, file, .required = true, .positional = true, .doc = "The bytes."),
    LH_STR(struct put_args, content_type, .max = OBJECT_TYPE_BYTES_MAX,
           .doc = "What it comes back as; absent: the body's, else by the key's ending."),
};
static const struct lh_fields put_fields =
    LH_FIELDS_OF(struct put_args, "ObjectsPutArgs", put_rows);

/* What a repetition is known by even if nobody could note that the first one was done. */
static struct lh_str name_of_request(struct op_call *call)
{
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct lh_str key = op_idempotency_key(call);
    if (!key.len)
        return key;
    lh_sha256_of(lh_arena_printf(call->arena, "%.*s %.*s", LH_ARG(call->request_hash), LH_ARG(key)),
                 sum);
    lh_hex(sum, sizeof(sum), hex);
    return lh_arena_str(call->arena, lh_str_of(hex));
}

static struct journal_event event_of(struct op_call *call, const char *action, struct lh_str bucket,
                                     struct lh_str key)
{
    struct journal_event event = op_event(call, action, key);
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 4096);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_str(&json, "bucket", bucket);
    lh_json_object_end(&json);
    event.detail = lh_arena_str(call->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return event;
}

/* What is wrong with an address is told before anything is announced. */
static enum lh_code put_object(struct op_call *call, const struct object_put *put,
                               struct object_info *ret, bool *ret_is_new, struct lh_error *err)
{
    const struct journal_event event = event_of(call, "object.put", put->bucket, put->key);
    struct lake_change change = {0};
    enum lh_code code = object_key_check(put->key, err);
    if (!code && storage_has_bucket(lake_storage(call->lake), put->bucket))
        code = lake_change_begin(call->lake, &event, false, &change, err);
    if (!code) {
        code = objects_put(lake_objects(call->lake), put, call->arena, ret, ret_is_new, err);
        lake_change_end(call->lake, &change, code, &event);
    }
    return code;
}

static enum lh_code run_put(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct put_args *args = raw;
    const struct object_put put = {
        .bucket = args->bucket,
        .key = args->key,
        .content = args->file,
        .content_type = args->content_type,
        .actor = call->principal->id,
        .condition = {.if_match = call->if_match, .if_none_match = call->if_none_match},
        .request = name_of_request(call),
    };
    struct object_info info;
    bool is_new = false;
    enum lh_code code = put_object(call, &put, &info, &is_new, err);
    if (code == LH_NOT_FOUND) { /* the bucket may be there once the configuration is right again */
        struct lh_error why = err ? *err : (struct lh_error)LH_ERROR_NONE;
        lh_fail(err, LH_NO_BUCKET, "%s", why.message);
        return lh_error_hint(err, "%s", why.hint);
    }
    if (code)
        return code;
    reply->etag = info.etag;
    if (!is_new)
        op_reply_status(reply, 200);
    return op_reply_record(reply, &info, err);
}

const struct op op_objects_put = {
    .name = "objects.put",
    .summary = "Put an object, or another in its place.",
    .description =
        "Durable, and everybody's, when it is answered; until then the key has what it had. "
        "`If-None-Match: *` puts only where there is none, `If-Match` only in the place of that "
        "very object. 201 for a new one. An unknown bucket is 503.",
    .http = {OP_PUT, "/storage/buckets/{bucket}/objects/{*key}"},
    .effect = OP_WRITE,
    .permission = "storage.write",
    .body = OP_BODY_RAW,
    .fields = &put_fields,
    .kind = OP_RECORD,
    .result = &info_fields,
    .status = 201,
    .other_status = 200,
    .takes_if_match = true,
    .takes_if_none_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_PRECONDITION, LH_NO_BUCKET, LH_DAMAGED, LH_UNKNOWN, LH_IO, LH_FULL),
    .run = run_put,
};

/* --- DELETE …/objects/{*key} */

static const struct lh_fields delete_fields =
    LH_FIELDS_OF(struct get_args, "ObjectsDeleteArgs", get_rows);

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct get_args *args = raw;
    const struct object_condition condition = {.if_match = call->if_match};
    const struct journal_event event = event_of(call, "object.delete", args->bucket, args->key);
    struct lake_change change = {0};
    struct object_info info;
    (void)reply;
    enum lh_code code =
        objects_get(lake_objects(call->lake), args->bucket, args->key, call->arena, &info, err);
    if (!code)
        code = lake_change_begin(call->lake, &event, true, &change, err);
    else if (code == LH_DAMAGED)
        code = LH_OK; /* deleting it mends it */
    if (!code) {
        code = objects_delete(lake_objects(call->lake), args->bucket, args->key, &condition, err);
        lake_change_end(call->lake, &change, code, &event);
    }
    return code;
}

const struct op op_objects_delete = {
    .name = "objects.delete",
    .summary = "Delete an object.",
    .description = "Its bytes become free after an hour.",
    .http = {OP_DELETE, "/storage/buckets/{bucket}/objects/{*key}"},
    .effect = OP_WRITE,
    .permission = "storage.write",
    .fields = &delete_fields,
    .kind = OP_RESULT_NONE,
    .takes_if_match = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_PRECONDITION, LH_UNKNOWN, LH_FULL),
    .run = run_delete,
};
