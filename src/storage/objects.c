/* Objects: put, read, deleted. */
#include "storage/objects.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/buckets.h"
#include "storage/objects_internal.h"

/* Kept free, so that deletes and commits still find room on a disk that objects fill. */
#define FREE_BYTES_KEPT ((int64_t)64 << 20)
#define READ_ATTEMPTS 8

enum lh_code objects_open(struct storage *storage, int64_t bytes_max, struct objects **ret,
                          struct lh_error *err)
{
    struct objects *objects = calloc(1, sizeof *objects);
    if (!objects)
        return lh_fail(err, LH_BUSY, "There is no memory for the objects.");
    objects->storage = storage;
    objects->opening = lh_uuid_new();
    objects->bytes_max = bytes_max;
    pthread_mutex_init(&objects->count_lock, NULL);
    for (size_t i = 0; i < OBJECTS_STRIPES; i++)
        pthread_mutex_init(&objects->stripes[i], NULL);
    *ret = objects;
    return LH_OK;
}

void objects_close(struct objects *objects)
{
    if (!objects)
        return;
    for (size_t i = 0; i < OBJECTS_STRIPES; i++)
        pthread_mutex_destroy(&objects->stripes[i]);
    pthread_mutex_destroy(&objects->count_lock);
    free(objects);
}

size_t objects_damaged(struct objects *objects)
{
    return atomic_load(&objects->damaged);
}

bool objects_are_writable(struct objects *objects)
{
    return !atomic_load(&objects->is_stopped);
}

static enum lh_code check_writable(struct objects *objects, struct lh_error *err)
{
    if (objects_are_writable(objects))
        return LH_OK;
    lh_fail(err, LH_UNKNOWN,
            "Objects are not written any more: the disk failed in the middle of "
            "a change.");
    return lh_error_hint(err, "Restart the server: it recovers what is there.");
}

static pthread_mutex_t *stripe_of(struct objects *objects, struct lh_str key)
{
    return &objects->stripes[lh_str_hash(key) % OBJECTS_STRIPES];
}

/* --- what all objects may take: nothing changes before they were counted, so that the count stays
 * right */

static enum lh_code count_first(struct objects *objects, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!objects->bytes_max)
        return LH_OK;
    pthread_mutex_lock(&objects->count_lock);
    if (!objects->is_counted) {
        code = objects_count_bytes(objects->storage, &objects->bytes, err);
        objects->is_counted = code == LH_OK;
    }
    pthread_mutex_unlock(&objects->count_lock);
    return code;
}

static enum lh_code reserve(struct objects *objects, struct lh_str bucket, int64_t bytes,
                            struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!objects->bytes_max || !lh_str_equal(bucket, STORAGE_PRIMARY))
        return LH_OK;
    pthread_mutex_lock(&objects->count_lock);
    if (bytes > objects->bytes_max - objects->bytes) {
        lh_fail(err, LH_FULL,
                "The objects have %lld bytes; with %lld more they are over the %lld "
                "that are allowed.",
                (long long)objects->bytes, (long long)bytes, (long long)objects->bytes_max);
        code = lh_error_hint(err, "Delete objects, or raise [storage] objects_bytes_max.");
    } else {
        objects->bytes += bytes;
    }
    pthread_mutex_unlock(&objects->count_lock);
    return code;
}

static void give_back(struct objects *objects, struct lh_str bucket, int64_t bytes)
{
    if (!lh_str_equal(bucket, STORAGE_PRIMARY))
        return;
    pthread_mutex_lock(&objects->count_lock);
    objects->bytes -= objects->is_counted ? bytes : 0;
    pthread_mutex_unlock(&objects->count_lock);
}

/* --- conditions */

/* Weak tags are told apart by the caller: an ETag of ours is never weak. */
static bool has_tag(struct lh_str tags, struct lh_str etag, bool takes_weak)
{
    while (tags.data) {
        struct lh_str tag = lh_str_trim(lh_str_cut(&tags, ','));
        if (takes_weak && lh_str_starts_with(tag, lh_lit("W/")))
            tag = lh_str_slice(tag, 2, tag.len);
        if (lh_str_equal(tag, lh_lit("*")) || lh_str_equal(tag, etag))
            return true;
    }
    return false;
}

bool object_tags_match(struct lh_str tags, struct lh_str etag)
{
    return etag.data && has_tag(tags, etag, true);
}

enum lh_code object_condition_check(const struct object_condition *condition, struct lh_str etag,
                                    struct lh_error *err)
{
    if (condition->if_match.data && (!etag.data || !has_tag(condition->if_match, etag, false))) {
        if (!etag.data)
            return lh_fail(err, LH_PRECONDITION, "There is no object that If-Match could name.");
        lh_fail(err, LH_PRECONDITION, "The object is %.*s, which If-Match does not name.",
                LH_ARG(etag));
        return lh_error_hint(err, "Read it again, and send the ETag of that reply.");
    }
    if (!object_tags_match(condition->if_none_match, etag))
        return LH_OK;
    return lh_fail(err, LH_PRECONDITION, "There is such an object already: %.*s.", LH_ARG(etag));
}

static enum lh_code check_head(const struct object_condition *condition,
                               const struct object_head *head, struct lh_arena *arena,
                               struct lh_error *err)
{
    struct object_info info = {0};
    if (head)
        object_info_of(head, arena, &info);
    return object_condition_check(condition, info.etag, err);
}

/* The head that a key has now; *ret_has: false if it has none. */
static enum lh_code current(struct objects *objects, struct lh_str bucket, struct lh_str key,
                            struct lh_arena *arena, struct object_head *ret, bool *ret_has,
                            struct lh_error *err)
{
    enum lh_code code = object_head_read(objects->storage, bucket, key, arena, ret, err);
    *ret_has = code == LH_OK;
    return code == LH_NOT_FOUND ? LH_OK : code;
}

/* --- put */

static const struct {
    const char *ending, *type;
} types[] = {
    {".csv", "text/csv"},
    {".css", "text/css"},
    {".eml", "message/rfc822"},
    {".gif", "image/gif"},
    {".gz", "application/gzip"},
    {".html", "text/html"},
    {".jpeg", "image/jpeg"},
    {".jpg", "image/jpeg"},
    {".json", "application/json"},
    {".md", "text/markdown"},
    {".ndjson", "application/x-ndjson"},
    {".parquet", "application/vnd.apache.parquet"},
    {".pdf", "application/pdf"},
    {".png", "image/png"},
    {".txt", "text/plain"},
    {".tsv", "text/tab-separated-values"},
    {".webp", "image/webp"},
    {".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {".xml", "application/xml"},
    {".zip", "application/zip"},
    {".zst", "application/zstd"},
};

static struct lh_str type_by_ending(struct lh_str key)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct lh_str ending = lh_str_of(types[i].ending);
        if (key.len > ending.len &&
            lh_str_equal_nocase(lh_str_slice(key, key.len - ending.len, ending.len), ending))
            return lh_str_of(types[i].type);
    }
    return lh_lit("application/octet-stream");
}

/* It comes back as a header of its own: nothing that could end the line or be read as another. */
static enum lh_code check_type(struct lh_str type, struct lh_error *err)
{
    bool is_fine =
        type.len && type.len <= OBJECT_TYPE_BYTES_MAX && memchr(type.data, '/', type.len);
    for (size_t i = 0; i < type.len && is_fine; i++)
        is_fine = type.data[i] >= ' ' && type.data[i] < 0x7f;
    if (is_fine && type.data[0] != '/' && type.data[0] != ' ')
        return LH_OK;
    lh_fail(err, LH_INVALID, "'%.*s' is no content type.", LH_ARG(lh_str_slice(type, 0, 64)));
    lh_error_hint(err, "Write it as type/subtype, such as text/csv.");
    return lh_error_field(err, lh_lit("content_type"));
}

static enum lh_code check_room(struct storage *storage, int64_t bytes, bool is_there,
                               struct lh_error *err)
{
    int64_t free_bytes = 0;
    enum lh_code code = storage_free_bytes(storage, &free_bytes, err);
    if (code || free_bytes - (is_there ? 0 : bytes) >= FREE_BYTES_KEPT)
        return code;
    lh_fail(err, LH_FULL, "The disk has no room left for an object of %lld bytes.",
            (long long)bytes);
    return lh_error_hint(err, "Delete what is not needed; it becomes free after an hour.");
}

/* The content as a durable staged file, and its sum as the disk gives it back. */
static enum lh_code stage(struct objects *objects, const struct lh_upload *content,
                          struct storage_staged **ret, struct storage_sum *ret_sum,
                          struct lh_error *err)
{
    struct storage *storage = objects->storage;
    struct storage_staged *staged = NULL;
    bool is_ours = storage_is_staging(storage, content->path);
    enum lh_code code = check_room(storage, content->bytes, is_ours, err);
    if (!code)
        code = storage_stage_file(storage, content->path, lh_lit(".object"), &staged, err);
    if (!code)
        code = storage_staged_seal(staged, ret_sum, err);
    if (!code && is_ours && memcmp(ret_sum->sha256, content->sha256, LH_SHA256_BYTES) != 0)
        code = lh_fail(err, LH_DAMAGED, "The disk gives back other bytes than were received.");
    if (code)
        storage_staged_discard(staged);
    else
        *ret = staged;
    return code;
}

static void trash(struct objects *objects, struct lh_str bucket, struct lh_str key)
{
    struct lh_error err = LH_ERROR_NONE;
    if (storage_trash(objects->storage, bucket, &key, 1, &err))
        lh_log_error(LH_LOG_WARN, "objects.trash", &err); /* the next sweep finds it */
}

/* True if `head` is there because of this very request. */
static bool is_of_request(const struct object_put *put, const struct object_head *head)
{
    return put->request.len && lh_str_equal(put->request, head->request);
}

/* A disk that fails in the middle of a change is not written to any more; a store that does not
 * answer leaves one key in doubt, which its next put settles. */
static void note_unknown(struct objects *objects, struct lh_str bucket, enum lh_code code)
{
    if (code == LH_UNKNOWN && !storage_is_remote(objects->storage, bucket))
        atomic_store(&objects->is_stopped, true);
}

/* Under the key's lock: what the key has is looked at once more, then replaced. `head` becomes what
 * the key had if that came by the same request with the same bytes: *ret_is_done. */
static enum lh_code replace_head(struct objects *objects, const struct object_put *put,
                                 struct object_head *head, struct lh_arena *arena,
                                 struct object_head *ret_old, bool *ret_had, bool *ret_is_done,
                                 struct lh_error *err)
{
    struct lh_buf buf = {0};
    pthread_mutex_t *stripe = stripe_of(objects, put->key);
    pthread_mutex_lock(stripe);
    enum lh_code code = check_writable(objects, err);
    if (!code)
        code = current(objects, put->bucket, put->key, arena, ret_old, ret_had, err);
    if (code == LH_DAMAGED && !put->condition.if_match.data && !put->condition.if_none_match.data) {
        *ret_had = false; /* a damaged head is mended by putting the object again */
        code = LH_OK;
    }
    *ret_is_done = !code && *ret_had && is_of_request(put, ret_old) &&
                   lh_str_equal(ret_old->sha256, head->sha256);
    if (!code && !*ret_is_done)
        code = check_head(&put->condition, *ret_had ? ret_old : NULL, arena, err);
    head->was_new = !*ret_had;
    if (!code && !*ret_is_done)
        code = object_head_write(head, &buf, err);
    if (!code && !*ret_is_done)
        code = storage_put_replacing(objects->storage, put->bucket,
                                     object_head_key(put->key, arena), lh_buf_str(&buf), err);
    note_unknown(objects, put->bucket, code);
    pthread_mutex_unlock(stripe);
    lh_buf_release(&buf);
    if (!code && *ret_is_done)
        *head = *ret_old;
    return code;
}

static enum lh_code check_put(struct objects *objects, const struct object_put *put,
                              struct lh_str type, struct lh_arena *arena, struct lh_error *err)
{
    struct object_head head;
    bool has = false;
    enum lh_code code = storage_bucket_check(objects->storage, put->bucket, err);
    if (!code)
        code = object_key_check(put->key, err);
    if (code)
        return code == LH_INVALID ? lh_error_field(err, lh_lit("key")) : code;
    code = check_type(type, err);
    if (!code)
        code = check_writable(objects, err);
    /* Asked again under the lock: here it only saves the work. */
    if (!code && (put->condition.if_match.data || put->condition.if_none_match.data)) {
        code = current(objects, put->bucket, put->key, arena, &head, &has, err);
        if (!code && !(has && is_of_request(put, &head)))
            code = check_head(&put->condition, has ? &head : NULL, arena, err);
    }
    return code;
}

/* Sealed bytes become the key's: `head` is what the key has then. */
static enum lh_code place(struct objects *objects, const struct object_put *put,
                          struct storage_staged *staged, struct object_head *head,
                          struct lh_arena *arena, struct lh_error *err)
{
    struct lh_str data = object_data_key(head->data, arena);
    const int64_t bytes = head->bytes;
    struct object_head old = {0};
    bool had = false, is_done = false;
    enum lh_code code = reserve(objects, put->bucket, bytes, err);
    if (code)
        return code;
    code = storage_staged_publish(staged, put->bucket, data, err);
    if (!code) {
        code = replace_head(objects, put, head, arena, &old, &had, &is_done, err);
        if ((code && code != LH_UNKNOWN) || is_done)
            trash(objects, put->bucket, data);
    } /* else, published or not, nothing names it: a sweep will find it */
    if (code || is_done) {
        give_back(objects, put->bucket, bytes);
    } else if (had) {
        give_back(objects, put->bucket, old.bytes);
        trash(objects, put->bucket, object_data_key(old.data, arena));
    }
    return code;
}

enum lh_code objects_put(struct objects *objects, const struct object_put *put,
                         struct lh_arena *arena, struct object_info *ret, bool *ret_is_new,
                         struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    struct lh_uuid uuid = lh_uuid_new();
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct lh_str type = put->content_type.data ? put->content_type : type_by_ending(put->key);
    enum lh_code code = check_put(objects, put, type, arena, err);
    if (!code)
        code = count_first(objects, err);
    if (!code)
        code = stage(objects, &put->content, &staged, &sum, err);
    if (code)
        return code;
    lh_hex(sum.sha256, sizeof sum.sha256, hex);
    struct object_head head = {
        .format = OBJECTS_FORMAT,
        .key = put->key,
        .data = lh_arena_str(arena, lh_uuid_str(&uuid)),
        .bytes = sum.bytes,
        .sha256 = lh_arena_str(arena, lh_str_of(hex)),
        .content_type = lh_arena_str(arena, type),
        .modified_at = {lh_clock_unix_ms()},
        .modified_by = put->actor,
        .request = put->request,
    };
    code = storage_bucket_hold(objects->storage, put->bucket, err);
    if (!code) {
        code = place(objects, put, staged, &head, arena, err);
        storage_bucket_let_go(objects->storage, put->bucket);
    }
    storage_staged_discard(staged);
    if (code)
        return code;
    object_info_of(&head, arena, ret);
    *ret_is_new = head.was_new;
    return LH_OK;
}

/* --- reading */

static enum lh_code check_address(struct objects *objects, struct lh_str bucket, struct lh_str key,
                                  struct lh_error *err)
{
    enum lh_code code = storage_bucket_check(objects->storage, bucket, err);
    if (!code && (code = object_key_check(key, err)))
        lh_error_field(err, lh_lit("key"));
    return code;
}

enum lh_code objects_get(struct objects *objects, struct lh_str bucket, struct lh_str key,
                         struct lh_arena *arena, struct object_info *ret, struct lh_error *err)
{
    struct object_head head;
    enum lh_code code = check_address(objects, bucket, key, err);
    if (!code)
        code = object_head_read(objects->storage, bucket, key, arena, &head, err);
    if (!code)
        object_info_of(&head, arena, ret);
    return code;
}

/* Bytes that are as long as the head says; whether they are the right ones shows their sum. */
static enum lh_code open_bytes(struct objects *objects, struct lh_str bucket,
                               const struct object_head *head, struct lh_arena *arena, int *ret_fd,
                               struct lh_error *err)
{
    int fd = -1;
    struct lh_file_info file = {0};
    enum lh_code code =
        storage_open_file(objects->storage, bucket, object_data_key(head->data, arena), &fd, err);
    if (!code)
        code = lh_file_info_of(fd, &file, err);
    if (!code && file.bytes != head->bytes)
        code = lh_fail(err, LH_DAMAGED, "The object '%.*s' has %lld bytes instead of %lld.",
                       LH_ARG(head->key), (long long)file.bytes, (long long)head->bytes);
    if (code)
        lh_file_abandon(fd);
    else
        *ret_fd = fd;
    return code;
}

/* From the bucket that rescues, if it has the very bytes. */
static bool rescue_bytes(struct objects *objects, struct lh_str bucket,
                         const struct object_head *head, struct lh_arena *arena, enum lh_code why,
                         int *ret_fd)
{
    struct storage_sum sum = {.bytes = head->bytes};
    return lh_hex_parse(head->sha256, sum.sha256, sizeof sum.sha256) &&
           storage_open_rescued(objects->storage, bucket, object_data_key(head->data, arena), &sum,
                                why, ret_fd) == LH_OK;
}

enum lh_code objects_read(struct objects *objects, struct lh_str bucket, struct lh_str key,
                          struct lh_arena *arena, struct object_info *ret, int *ret_fd,
                          struct lh_error *err)
{
    struct object_head head;
    char seen[LH_UUID_TEXT_BYTES] = "";
    enum lh_code code = check_address(objects, bucket, key, err);
    for (int attempt = 0; !code && attempt < READ_ATTEMPTS; attempt++) {
        code = object_head_read(objects->storage, bucket, key, arena, &head, err);
        if (code)
            return code;
        bool is_same = memcmp(seen, head.data.data, sizeof seen) == 0;
        memcpy(seen, head.data.data, sizeof seen);
        code = open_bytes(objects, bucket, &head, arena, ret_fd, err);
        bool is_lost = code == LH_IO || code == LH_DAMAGED || (code == LH_NOT_FOUND && is_same);
        if (is_lost && rescue_bytes(objects, bucket, &head, arena, code, ret_fd))
            code = LH_OK;
        if (!code) {
            object_info_of(&head, arena, ret);
            return LH_OK;
        }
        if (code != LH_NOT_FOUND)
            return code;
        if (is_same)
            return lh_fail(err, LH_DAMAGED, "The bytes of the object '%.*s' are gone.",
                           LH_ARG(key));
        code = LH_OK; /* another put was faster between head and bytes */
    }
    return code ? code
                : lh_fail(err, LH_BUSY, "The object '%.*s' changes all the time.", LH_ARG(key));
}

/* --- delete */

static enum lh_code trash_head(struct objects *objects, struct lh_str bucket, struct lh_str key,
                               struct lh_arena *arena, struct lh_error *err)
{
    struct lh_str name = object_head_key(key, arena);
    struct storage_info info;
    enum lh_code code = storage_trash(objects->storage, bucket, &name, 1, err);
    if (!code || storage_info(objects->storage, bucket, name, &info, NULL) == LH_OK)
        return code; /* done, or it stands where it stood */
    note_unknown(objects, bucket, LH_UNKNOWN);
    struct lh_error cause = err ? *err : (struct lh_error)LH_ERROR_NONE;
    lh_fail(err, LH_UNKNOWN, "Whether the object '%.*s' stays deleted is not known: %s",
            LH_ARG(key), cause.message);
    return lh_error_hint(err, "Restart the server: it recovers what is there.");
}

enum lh_code objects_delete(struct objects *objects, struct lh_str bucket, struct lh_str key,
                            const struct object_condition *condition, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct object_head head = {0};
    enum lh_code code = check_address(objects, bucket, key, err);
    if (!code)
        code = count_first(objects, err);
    if (code)
        goto out;
    pthread_mutex_t *stripe = stripe_of(objects, key);
    pthread_mutex_lock(stripe);
    code = check_writable(objects, err);
    bool is_damaged = false;
    if (!code) {
        code = object_head_read(objects->storage, bucket, key, arena, &head, err);
        is_damaged = code == LH_DAMAGED;
    }
    if (!code)
        code = check_head(condition, &head, arena, err);
    else if (is_damaged && !condition->if_match.data)
        code = LH_OK; /* what cannot be read can still be removed */
    if (!code)
        code = trash_head(objects, bucket, key, arena, err);
    pthread_mutex_unlock(stripe);
    if (!code && !is_damaged) {
        give_back(objects, bucket, head.bytes);
        trash(objects, bucket, object_data_key(head.data, arena));
    }
out:
    lh_arena_free(arena);
    return code;
}
