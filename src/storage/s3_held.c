/* All that a store holds of a bucket: every version of every object, the marks that say that one is
 * deleted, and parts of uploads that nobody put together.
 *
 *   list the versions ─▶ the store tells them ─────────────────────────────▶ all is known
 *        │ it does not know that, or its keys must not
 *        └─▶ ask whether it ever kept any ─▶ never ─▶ the objects are all ──▶ all is known
 *                     └─▶ it does, or nobody tells ────────────────────────▶ LH_FORBIDDEN
 */
#include "storage/held_internal.h"
#include "storage/s3_internal.h"

struct inventory {
    struct s3 *s3;
    struct lh_str start; /* what all keys begin with */
    const struct lh_cancel *cancel;
    struct held_list list;
};

enum reply_kind { REPLY_FINE, REPLY_UNKNOWN, REPLY_DENIED };

/* A store that does not know what it was asked for may answer something else. */
static enum reply_kind kind_of(const struct s3_answer *answer, const char *root)
{
    struct lh_str body = lh_buf_str(&answer->response.body);
    struct lh_str head = lh_str_head(body, 1024);
    size_t at = 0;
    int status = answer->response.status;
    if (status == 403 || status == 401)
        return REPLY_DENIED;
    return status < 300 && lh_str_find(head, lh_str_of(root), &at) ? REPLY_FINE : REPLY_UNKNOWN;
}

static enum lh_code fail_cut(const struct s3 *s3, struct lh_error *err)
{
    return lh_fail(err, LH_IO, "The list of the store of the bucket '%.*s' cannot be understood.",
                   LH_ARG(s3->bucket->name));
}

/* A key as the bucket knows it. False: it cannot be read. */
static bool read_key(const struct inventory *inventory, struct lh_str element, struct lh_str *ret)
{
    struct lh_str key = s3_url_text(s3_xml_next(&element, "Key"), inventory->list.arena);
    *ret = lh_str_slice(key, inventory->start.len, key.len);
    return lh_str_starts_with(key, inventory->start) && key.len > inventory->start.len;
}

static bool is_trial(const struct storage_held *held)
{
    return lh_str_starts_with(held->key, lh_lit(S3_PROBE_FOLDER "/")) &&
           held->bytes <= S3_PROBE_BYTES_MAX;
}

/* --- versions */

static enum lh_code add_versions(struct inventory *inventory, struct lh_str page, const char *tag,
                                 bool is_marker, struct lh_error *err)
{
    struct lh_arena *arena = inventory->list.arena;
    struct lh_str element = {0};
    enum lh_code code = LH_OK;
    while (!code && (element = s3_xml_next(&page, tag)).data) {
        struct storage_held held = {.is_marker = is_marker};
        struct lh_str inner = element;
        held.version = s3_xml_text(s3_xml_next(&inner, "VersionId"), arena);
        inner = element;
        held.is_past = !lh_str_equal(s3_xml_next(&inner, "IsLatest"), lh_lit("true"));
        inner = element;
        bool is_fine = held.version.len && read_key(inventory, element, &held.key) &&
                       (is_marker || lh_str_to_int(s3_xml_next(&inner, "Size"), &held.bytes));
        if (!is_fine)
            return fail_cut(inventory->s3, err);
        if (!is_trial(&held))
            code = held_add(&inventory->list, &held, err);
    }
    return code;
}

/* Where the next page begins; *ret_more: there is one. */
static enum lh_code find_next(const struct inventory *inventory, struct lh_str page,
                              const char *tags[2], struct lh_str ret[2], bool *ret_more,
                              struct lh_error *err)
{
    struct lh_str at = page;
    *ret_more = lh_str_equal(s3_xml_next(&at, "IsTruncated"), lh_lit("true"));
    at = page;
    ret[0] = s3_url_text(s3_xml_next(&at, tags[0]), inventory->list.arena);
    at = page;
    ret[1] = s3_xml_text(s3_xml_next(&at, tags[1]), inventory->list.arena);
    return *ret_more && !ret[0].len ? fail_cut(inventory->s3, err) : LH_OK;
}

static enum lh_code ask(const struct inventory *inventory, struct s3_call *call,
                        struct s3_answer *ret, struct lh_error *err)
{
    call->method = "GET";
    call->cancel = inventory->cancel;
    return s3_send(inventory->s3, call, ret, err);
}

/* The first page decides whether the store tells its versions at all. */
static enum lh_code list_versions(struct inventory *inventory, enum reply_kind *ret_kind,
                                  struct lh_error *err)
{
    static const char *tags[2] = {"NextKeyMarker", "NextVersionIdMarker"};
    struct lh_str next[2] = {{0}};
    bool has_more = true;
    enum lh_code code = LH_OK;
    *ret_kind = REPLY_FINE;
    while (!code && has_more && *ret_kind == REPLY_FINE) {
        struct s3_call call = {0};
        struct s3_answer answer = {0};
        s3_query(&call, "versions", lh_lit(""));
        s3_query(&call, "encoding-type", lh_lit("url"));
        s3_query(&call, "prefix", inventory->start);
        if (next[0].len)
            s3_query(&call, "key-marker", next[0]);
        if (next[1].len)
            s3_query(&call, "version-id-marker", next[1]);
        code = ask(inventory, &call, &answer, err);
        if (code)
            break;
        struct lh_str page = lh_buf_str(&answer.response.body);
        *ret_kind = kind_of(&answer, "<ListVersionsResult");
        if (*ret_kind == REPLY_FINE)
            code = add_versions(inventory, page, "Version", false, err);
        if (!code && *ret_kind == REPLY_FINE)
            code = add_versions(inventory, page, "DeleteMarker", true, err);
        if (!code && *ret_kind == REPLY_FINE)
            code = find_next(inventory, page, tags, next, &has_more, err);
        s3_answer_release(&answer);
    }
    return code;
}

/* --- a store without versions */

static enum lh_code check_never_versioned(const struct inventory *inventory,
                                          enum reply_kind versions, struct lh_error *err)
{
    struct s3_call call = {0};
    struct s3_answer answer = {0};
    struct lh_str name = inventory->s3->bucket->name;
    s3_query(&call, "versioning", lh_lit(""));
    enum lh_code code = ask(inventory, &call, &answer, err);
    if (code)
        return code;
    struct lh_str body = lh_buf_str(&answer.response.body);
    enum reply_kind kind = kind_of(&answer, "<VersioningConfiguration");
    bool is_unknown_to_it = answer.response.status == 501 && versions == REPLY_UNKNOWN;
    bool is_never = kind == REPLY_FINE && !s3_xml_next(&body, "Status").data;
    s3_answer_release(&answer);
    if (is_never || is_unknown_to_it)
        return LH_OK;
    if (kind == REPLY_FINE)
        lh_fail(err, LH_FORBIDDEN,
                "The store of the bucket '%.*s' keeps old versions, and does not list them.",
                LH_ARG(name));
    else
        lh_fail(err, LH_FORBIDDEN,
                "Whether the store of the bucket '%.*s' keeps old versions, it does not tell.",
                LH_ARG(name));
    return lh_error_hint(err,
                         "Its keys need the right to list versions of objects "
                         "(s3:ListBucketVersions) and to delete them (s3:DeleteObjectVersion).");
}

static enum lh_code list_objects(struct inventory *inventory, struct lh_error *err)
{
    struct storage_bucket *bucket = inventory->s3->bucket;
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = s3_list_deep(bucket, inventory->list.arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        const struct storage_held held = {.key = entries[i].name, .bytes = entries[i].bytes};
        if (!is_trial(&held))
            code = held_add(&inventory->list, &held, err);
    }
    return code;
}

/* --- uploads */

static bool goes_on(struct s3 *s3, struct lh_str key)
{
    pthread_mutex_lock(&s3->mutex);
    const struct s3_upload *at = s3->uploads;
    while (at && !lh_str_equal(at->key, key))
        at = at->next;
    pthread_mutex_unlock(&s3->mutex);
    return at != NULL;
}

static enum lh_code add_uploads(struct inventory *inventory, struct lh_str page,
                                struct lh_error *err)
{
    struct lh_str element = {0};
    enum lh_code code = LH_OK;
    while (!code && (element = s3_xml_next(&page, "Upload")).data) {
        struct storage_held held = {.is_upload = true};
        struct lh_str inner = element;
        held.version = s3_xml_text(s3_xml_next(&inner, "UploadId"), inventory->list.arena);
        if (!held.version.len || !read_key(inventory, element, &held.key))
            return fail_cut(inventory->s3, err);
        if (!goes_on(inventory->s3, held.key))
            code = held_add(&inventory->list, &held, err);
    }
    return code;
}

static enum lh_code fail_uploads(struct s3 *s3, const struct s3_answer *answer,
                                 struct lh_error *err)
{
    int status = answer->response.status;
    if (status == 404 || status == 301 || status == 307)
        return s3_fail(s3, answer, lh_lit("its uploads"), err);
    lh_fail(err, LH_FORBIDDEN,
            "The store of the bucket '%.*s' does not list uploads that were never ended (%d): "
            "parts of files may lie there.",
            LH_ARG(s3->bucket->name), status);
    return lh_error_hint(err, "Its keys need s3:ListBucketMultipartUploads and "
                              "s3:AbortMultipartUpload.");
}

static enum lh_code list_uploads(struct inventory *inventory, struct lh_error *err)
{
    static const char *tags[2] = {"NextKeyMarker", "NextUploadIdMarker"};
    struct lh_str next[2] = {{0}};
    bool has_more = true;
    enum lh_code code = LH_OK;
    while (!code && has_more) {
        struct s3_call call = {0};
        struct s3_answer answer = {0};
        s3_query(&call, "uploads", lh_lit(""));
        s3_query(&call, "encoding-type", lh_lit("url"));
        s3_query(&call, "prefix", inventory->start);
        if (next[0].len)
            s3_query(&call, "key-marker", next[0]);
        if (next[1].len)
            s3_query(&call, "upload-id-marker", next[1]);
        code = ask(inventory, &call, &answer, err);
        if (code)
            break;
        struct lh_str page = lh_buf_str(&answer.response.body);
        if (kind_of(&answer, "<ListMultipartUploadsResult") != REPLY_FINE)
            code = fail_uploads(inventory->s3, &answer, err);
        if (!code)
            code = add_uploads(inventory, page, err);
        if (!code)
            code = find_next(inventory, page, tags, next, &has_more, err);
        s3_answer_release(&answer);
    }
    return code;
}

/* --- all of it */

/* Uploads first: one that is ended meanwhile is an object that the other list has. */
static enum lh_code list(struct storage_bucket *bucket, const struct lh_cancel *cancel,
                         struct lh_arena *arena, struct storage_holdings *ret, struct lh_error *err)
{
    struct inventory inventory = {.s3 = bucket->state,
                                  .start = s3_start(bucket->state, "", arena),
                                  .cancel = cancel,
                                  .list.arena = arena};
    enum reply_kind kind = REPLY_FINE;
    enum lh_code code = list_uploads(&inventory, err);
    if (!code)
        code = list_versions(&inventory, &kind, err);
    if (!code && kind != REPLY_FINE)
        code = check_never_versioned(&inventory, kind, err);
    if (!code && kind != REPLY_FINE)
        code = list_objects(&inventory, err);
    if (!code)
        *ret = (struct storage_holdings){inventory.list.items, inventory.list.count, 0};
    return code;
}

/* Why one stays: by what the store says of it, if it says anything. */
static enum lh_code fail_kept(struct s3 *s3, const struct storage_held *held,
                              const struct lh_cancel *cancel, struct lh_error *err)
{
    struct s3_call call = {.method = "HEAD", .key = held->key, .cancel = cancel};
    struct s3_answer answer = {0};
    struct lh_str name = s3->bucket->name;
    bool is_locked = false;
    if (held->version.len)
        s3_query(&call, "versionId", held->version);
    if (!s3_send(s3, &call, &answer, NULL)) {
        const struct http_client_response *response = &answer.response;
        struct lh_str until =
            http_client_response_header(response, "x-amz-object-lock-retain-until-date");
        struct lh_str hold = http_client_response_header(response, "x-amz-object-lock-legal-hold");
        is_locked = until.len || lh_str_equal(hold, lh_lit("ON"));
        if (is_locked)
            lh_fail(err, LH_FORBIDDEN,
                    "The store of the bucket '%.*s' keeps it: it is locked%s%.*s.", LH_ARG(name),
                    until.len ? " until " : " by a legal hold", LH_ARG(lh_str_head(until, 40)));
        s3_answer_release(&answer);
    }
    if (is_locked)
        return lh_error_hint(err, "Lift the lock, or wait for its end.");
    lh_fail(err, LH_FORBIDDEN, "The store of the bucket '%.*s' refuses to delete it.",
            LH_ARG(name));
    return lh_error_hint(err, "Its keys need the right to delete versions (s3:DeleteObjectVersion) "
                              "and to abort uploads (s3:AbortMultipartUpload).");
}

static enum lh_code remove_one(struct storage_bucket *bucket, const struct storage_held *held,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    struct s3 *s3 = bucket->state;
    struct s3_call call = {.method = "DELETE", .key = held->key, .cancel = cancel};
    struct s3_answer answer = {0};
    if (held->version.len)
        s3_query(&call, held->is_upload ? "uploadId" : "versionId", held->version);
    enum lh_code code = s3_send(s3, &call, &answer, err);
    if (code)
        return code;
    int status = answer.response.status;
    if (status == 403 || status == 401)
        code = fail_kept(s3, held, cancel, err);
    else if (status >= 300 && status != 404)
        code = s3_fail(s3, &answer, held->key, err);
    s3_answer_release(&answer);
    return code;
}

static enum lh_code fetch(struct storage_bucket *bucket, const struct storage_held *held, int fd,
                          const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct s3_reading reading = {.key = held->key,
                                       .version = held->version,
                                       .cancel = cancel,
                                       .take = s3_write_to_file,
                                       .context = &fd};
    int64_t bytes = 0;
    enum lh_code code = s3_read(bucket->state, &reading, &bytes, err);
    if (!code && bytes != held->bytes)
        code = lh_fail(err, LH_IO, "The object '%.*s' of the bucket '%.*s' came cut.",
                       LH_ARG(held->key), LH_ARG(bucket->name));
    return code;
}

const struct storage_held_backend held_s3 = {.list = list, .remove = remove_one, .fetch = fetch};
