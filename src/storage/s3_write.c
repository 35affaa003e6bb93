/* Putting objects: small ones in one request, large ones in parts; each put has a name of its own,
 * so that what became of one whose answer was lost can be found out. */
#include <stdlib.h>

#include "base/uuid.h"
#include "storage/s3_internal.h"

#define PART_BYTES ((int64_t)16 << 20) /* at most 320 of them */
#define HASH_BYTES ((size_t)262144)
#define MARK_HEADER "x-amz-meta-lakehouse-put"
#define PART_XML_BYTES 256

struct put {
    struct s3 *s3;
    struct lh_arena *arena;
    struct lh_str key;
    struct lh_str path; /* of the file; absent: `text` */
    struct lh_str text;
    struct lh_str hash;
    struct lh_uuid mark;
    int64_t bytes;
    bool is_exclusive;
    const struct lh_cancel *cancel;
};

/* 1: the object there is of this very put; 0: it is not; -1: nobody knows. */
static int find_out(const struct put *put)
{
    struct s3_call call = {.method = "HEAD", .key = put->key};
    struct s3_answer answer = {0};
    if (s3_send(put->s3, &call, &answer, NULL))
        return -1;
    int status = answer.response.status;
    bool is_ours = lh_str_equal(http_client_response_header(&answer.response, MARK_HEADER),
                                lh_uuid_str(&put->mark));
    s3_answer_release(&answer);
    if (status == 404)
        return 0;
    return status >= 300 ? -1 : is_ours;
}

static enum lh_code fail_exists(const struct put *put, struct lh_error *err)
{
    return lh_fail(err, LH_EXISTS, "There is an object '%.*s' in the bucket '%.*s' already.",
                   LH_ARG(put->key), LH_ARG(put->s3->bucket->name));
}

/* What the last request of a put came to. `code` is of s3_send, with its error in *err. */
static enum lh_code conclude(const struct put *put, enum lh_code code, struct s3_answer *answer,
                             bool *ret_is_unknown, struct lh_error *err)
{
    if (code) {
        int is_there = answer->is_ambiguous ? find_out(put) : 0;
        *ret_is_unknown = is_there < 0;
        return is_there > 0 ? LH_OK : code;
    }
    int status = answer->response.status;
    /* Completing may begin to answer before it is done: then the refusal is in the body. */
    struct lh_str body = lh_buf_str(&answer->response.body);
    bool is_refused_late = status == 200 && s3_xml_next(&body, "Code").len;
    if (status < 300 && !is_refused_late)
        return LH_OK;
    /* An attempt before this one may have been the one that put it there: one of ours, or one that
     * the client library repeated by itself when a kept connection turned out to be dead. */
    if (find_out(put) > 0)
        return LH_OK;
    if (status == 412 || status == 409)
        return fail_exists(put, err);
    if (!is_refused_late)
        return s3_fail(put->s3, answer, put->key, err);
    return lh_fail(err, LH_IO, "The store of the bucket '%.*s' could not put the parts together.",
                   LH_ARG(put->s3->bucket->name));
}

/* A store may refuse one of two puts that come at once (409) without doing either. */
#define CONFLICTS_MAX 4

static enum lh_code put_whole(const struct put *put, bool *ret_is_unknown, struct lh_error *err)
{
    struct s3_call call = {
        .method = "PUT",
        .key = put->key,
        .body = put->text,
        .body_path = put->path.len && put->bytes ? put->path : (struct lh_str){0},
        .payload_hash = put->hash,
        .cancel = put->cancel,
    };
    s3_header(&call, MARK_HEADER, lh_uuid_str(&put->mark));
    if (put->is_exclusive)
        s3_header(&call, "If-None-Match", lh_lit("*"));
    for (unsigned at = 0;; at++) {
        struct s3_answer answer = {0};
        enum lh_code code = s3_send(put->s3, &call, &answer, err);
        bool is_conflict = !code && answer.response.status == 409;
        if (!is_conflict || at + 1 == CONFLICTS_MAX || !s3_rest(at, put->cancel)) {
            bool has_answer = !code;
            code = conclude(put, code, &answer, ret_is_unknown, err);
            if (has_answer)
                s3_answer_release(&answer);
            return code;
        }
        s3_answer_release(&answer);
    }
}

/* --- parts */

static enum lh_code hash_range(const struct put *put, int64_t from, int64_t bytes,
                               struct lh_str *ret, struct lh_error *err)
{
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct lh_sha256 *hash = lh_sha256_new();
    char *piece = malloc(HASH_BYTES);
    int fd = -1;
    enum lh_code code = piece ? lh_file_open_path(put->path, &fd, err)
                              : lh_fail(err, LH_BUSY, "There is no memory to send the object.");
    for (int64_t at = from; !code && at < from + bytes;) {
        int64_t left = from + bytes - at;
        size_t got = 0, wanted = left < (int64_t)HASH_BYTES ? (size_t)left : HASH_BYTES;
        code = lh_file_read_at(fd, piece, wanted, at, &got, err);
        if (!code && !got)
            code = lh_fail(err, LH_IO, "The file to send ends too early.");
        lh_sha256_add(hash, piece, code ? 0 : got);
        at += (int64_t)got;
    }
    lh_file_abandon(fd);
    free(piece);
    lh_sha256_finish(hash, sum);
    lh_sha256_free(hash);
    lh_hex(sum, sizeof sum, hex);
    if (!code)
        *ret = lh_arena_str(put->arena, lh_str_of(hex));
    return code;
}

static enum lh_code begin_parts(const struct put *put, struct lh_str *ret_id, struct lh_error *err)
{
    struct s3_call call = {.method = "POST", .key = put->key, .cancel = put->cancel};
    struct s3_answer answer = {0};
    s3_query(&call, "uploads", lh_lit(""));
    s3_header(&call, MARK_HEADER, lh_uuid_str(&put->mark));
    enum lh_code code = s3_send(put->s3, &call, &answer, err);
    if (code)
        return code;
    struct lh_str body = lh_buf_str(&answer.response.body);
    struct lh_str id = s3_xml_next(&body, "UploadId");
    if (answer.response.status >= 300)
        code = s3_fail(put->s3, &answer, put->key, err);
    else if (!id.len)
        code = lh_fail(err, LH_IO, "The store of the bucket '%.*s' gave no name to an upload.",
                       LH_ARG(put->s3->bucket->name));
    else
        *ret_id = s3_xml_text(id, put->arena);
    s3_answer_release(&answer);
    return code;
}

static bool is_tag(struct lh_str tag)
{
    bool is_fine = tag.len > 0 && tag.len <= 128;
    for (size_t i = 0; i < tag.len && is_fine; i++)
        is_fine = tag.data[i] > ' ' && (unsigned char)tag.data[i] < 0x7f &&
                  !memchr("<>&", tag.data[i], 3);
    return is_fine;
}

static enum lh_code send_part(const struct put *put, struct lh_str id, int64_t number,
                              struct lh_buf *xml, struct lh_error *err)
{
    int64_t from = (number - 1) * PART_BYTES;
    int64_t bytes = put->bytes - from < PART_BYTES ? put->bytes - from : PART_BYTES;
    struct s3_call call = {.method = "PUT",
                           .key = put->key,
                           .body_path = put->path,
                           .body_offset = from,
                           .body_bytes = bytes,
                           .cancel = put->cancel};
    struct s3_answer answer = {0};
    s3_query(&call, "partNumber", lh_arena_printf(put->arena, "%lld", (long long)number));
    s3_query(&call, "uploadId", id);
    enum lh_code code = hash_range(put, from, bytes, &call.payload_hash, err);
    if (!code)
        code = s3_send(put->s3, &call, &answer, err);
    if (code)
        return code;
    struct lh_str tag = http_client_response_header(&answer.response, "ETag");
    if (answer.response.status >= 300)
        code = s3_fail(put->s3, &answer, put->key, err);
    else if (!is_tag(tag))
        code = lh_fail(err, LH_IO, "The store of the bucket '%.*s' gave no tag to a part.",
                       LH_ARG(put->s3->bucket->name));
    else
        lh_buf_printf(xml, "<Part><PartNumber>%lld</PartNumber><ETag>%.*s</ETag></Part>",
                      (long long)number, LH_ARG(tag));
    s3_answer_release(&answer);
    return code;
}

static enum lh_code complete(const struct put *put, struct lh_str id, struct lh_str xml,
                             bool *ret_is_unknown, struct lh_error *err)
{
    struct s3_call call = {.method = "POST", .key = put->key, .body = xml, .cancel = put->cancel};
    struct s3_answer answer = {0};
    s3_query(&call, "uploadId", id);
    s3_header(&call, "Content-Type", lh_lit("application/xml"));
    if (put->is_exclusive)
        s3_header(&call, "If-None-Match", lh_lit("*"));
    enum lh_code code = s3_send(put->s3, &call, &answer, err);
    bool has_answer = !code;
    code = conclude(put, code, &answer, ret_is_unknown, err);
    if (has_answer)
        s3_answer_release(&answer);
    return code;
}

/* Parts that nobody puts together cost their owner. */
static void give_up_parts(const struct put *put, struct lh_str id)
{
    struct s3_call call = {.method = "DELETE", .key = put->key};
    struct s3_answer answer = {0};
    s3_query(&call, "uploadId", id);
    if (s3_send(put->s3, &call, &answer, NULL) == LH_OK)
        s3_answer_release(&answer);
}

/* Whoever looks for uploads that nobody ends leaves it alone. */
static void list_upload(struct s3 *s3, struct s3_upload *upload)
{
    pthread_mutex_lock(&s3->mutex);
    upload->next = s3->uploads;
    s3->uploads = upload;
    pthread_mutex_unlock(&s3->mutex);
}

static void unlist_upload(struct s3 *s3, const struct s3_upload *upload)
{
    pthread_mutex_lock(&s3->mutex);
    struct s3_upload **at = &s3->uploads;
    while (*at != upload)
        at = &(*at)->next;
    *at = upload->next;
    pthread_mutex_unlock(&s3->mutex);
}

static enum lh_code put_parts(const struct put *put, bool *ret_is_unknown, struct lh_error *err)
{
    struct s3_upload upload = {.key = put->key};
    struct lh_str id = {0};
    struct lh_buf xml;
    int64_t count = (put->bytes + PART_BYTES - 1) / PART_BYTES;
    lh_buf_init(&xml, (size_t)count * PART_XML_BYTES + PART_XML_BYTES);
    list_upload(put->s3, &upload);
    enum lh_code code = begin_parts(put, &id, err);
    lh_buf_append_str(&xml, lh_lit("<CompleteMultipartUpload>"));
    for (int64_t number = 1; number <= count && !code; number++)
        code = send_part(put, id, number, &xml, err);
    lh_buf_append_str(&xml, lh_lit("</CompleteMultipartUpload>"));
    if (!code)
        code = lh_buf_check(&xml, "The list of parts", err);
    if (!code)
        code = complete(put, id, lh_buf_str(&xml), ret_is_unknown, err);
    if (code && id.len && !*ret_is_unknown)
        give_up_parts(put, id);
    unlist_upload(put->s3, &upload);
    lh_buf_release(&xml);
    return code;
}

/* --- the whole */

static enum lh_code sum_file(struct lh_str path, struct storage_sum *ret, struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = lh_file_open_path(path, &fd, err);
    if (!code)
        code = lh_sha256_of_file(fd, NULL, ret->sha256, &ret->bytes, err);
    lh_file_abandon(fd);
    return code;
}

enum lh_code s3_put_file(struct s3 *s3, struct lh_str path, struct lh_str key, bool is_exclusive,
                         struct storage_sum *ret_sum, bool *ret_is_unknown, struct lh_error *err)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct storage_sum sum;
    enum lh_code code = sum_file(path, &sum, err);
    if (!code && sum.bytes > S3_OBJECT_BYTES_MAX) {
        code = lh_fail(err, LH_TOO_LARGE, "An object of %lld bytes is too large for '%.*s'.",
                       (long long)sum.bytes, LH_ARG(s3->bucket->name));
        lh_error_hint(err, "The buckets of S3 stores take up to 5 GiB.");
    }
    if (code)
        return code;
    lh_hex(sum.sha256, sizeof sum.sha256, hex);
    struct put put = {
        .s3 = s3,
        .arena = lh_arena_new(0),
        .key = key,
        .path = path,
        .hash = lh_str_of(hex),
        .mark = lh_uuid_new(),
        .bytes = sum.bytes,
        .is_exclusive = is_exclusive,
    };
    code = sum.bytes > PART_BYTES ? put_parts(&put, ret_is_unknown, err)
                                  : put_whole(&put, ret_is_unknown, err);
    lh_arena_free(put.arena);
    if (!code)
        *ret_sum = sum;
    return code;
}

enum lh_code s3_put_text(struct s3 *s3, struct lh_str text, struct lh_str key, bool is_exclusive,
                         const struct lh_cancel *cancel, struct lh_error *err)
{
    bool is_unknown = false; /* what it is used for may be there or not */
    struct put put = {
        .s3 = s3,
        .arena = lh_arena_new(0),
        .key = key,
        .text = text,
        .mark = lh_uuid_new(),
        .bytes = (int64_t)text.len,
        .is_exclusive = is_exclusive,
        .cancel = cancel,
    };
    enum lh_code code = put_whole(&put, &is_unknown, err);
    lh_arena_free(put.arena);
    return code;
}
