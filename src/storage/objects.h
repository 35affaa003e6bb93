/* Objects of people: bytes under keys of their own choosing, apart from what the lake itself keeps.
 *
 *        seal                  publish                          replace                    trash
 *   put ─────▶ staged, durable ───────▶ _objects/data/3f/<uuid> ───────▶ head of the key ───────▶
 * what (nothing names it yet)           (the commit point)   it had
 *
 * A head is one small file per key, _objects/heads/+raw/=a.csv for "raw/a.csv", that says where the
 * bytes are, how many, their SHA-256 and their content type. It is replaced in one step, so that a
 * reader gets the old object or the new one, whole, and a crash leaves one or the other; bytes that
 * no head names are swept at the next opening. No key can lead to a file of the lake's own: keys
 * are names of heads, and nothing else is ever opened by them.
 *
 * Keys: as storage.h has them, but at most OBJECT_KEY_BYTES_MAX bytes in OBJECT_KEY_PARTS_MAX parts
 * of up to 254 bytes; the first part does not begin with "_" and is no name of the lake's own. "a"
 * and "a/b" may both be objects. The ETag of an object is its SHA-256 in quotes.
 *
 * Threads: any thread may call anything; writers of one key take turns. Every call blocks.
 */
#ifndef LAKEHOUSE_STORAGE_OBJECTS_H
#define LAKEHOUSE_STORAGE_OBJECTS_H

#include "base/cancel.h"
#include "base/field.h"
#include "storage/storage.h"

#define OBJECT_KEY_BYTES_MAX 900
#define OBJECT_KEY_PARTS_MAX 60
#define OBJECT_TYPE_BYTES_MAX 255

struct objects; /* opaque; made by objects_open, ended by objects_close */

/* `storage` is borrowed and open for writing. `bytes_max`: of all objects together; 0 = as the disk
 * allows. With one, the first change after the opening looks at every head. */
enum lh_code objects_open(struct storage *storage, int64_t bytes_max, struct objects **ret,
                          struct lh_error *err) LH_MUST_USE;
void objects_close(struct objects *objects); /* no call may be running; NULL is fine */

/* LH_INVALID with what is wrong. */
enum lh_code object_key_check(struct lh_str key, struct lh_error *err) LH_MUST_USE;

struct object_info {
    struct lh_str key;
    int64_t bytes;
    struct lh_str etag; /* quoted */
    struct lh_str content_type;
    struct lh_time modified_at;
    struct lh_str modified_by;
    struct lh_str problem; /* in lists: why the rest is not known; absent = nothing is wrong */
};

/* As callers send them: "*", or tags, quoted and comma-separated; absent = no condition. */
struct object_condition {
    struct lh_str if_match;
    struct lh_str if_none_match;
};

struct object_put {
    struct lh_str bucket;
    struct lh_str key;
    struct lh_upload content;   /* a file of the staging folder is taken over, another is copied */
    struct lh_str content_type; /* absent = by the key's ending */
    struct lh_str actor;
    struct object_condition condition;
    /* Names the request, if it may be repeated: when the key's object came by that very request,
     * and has these bytes, it was done already, and the first result is given. Absent = no name. */
    struct lh_str request;
};
/* The object is durable, and everybody's, when this returns. *ret_is_new: there was none before.
 * LH_NOT_FOUND: no such bucket; LH_INVALID: the key or the content type; LH_PRECONDITION; LH_FULL:
 * the disk, or what is allowed to all objects, has no room left for it; LH_DAMAGED: other bytes
 * came to lie on the disk than were received; LH_UNKNOWN: it may or may not last: nothing more is
 * written until the next opening. */
enum lh_code objects_put(struct objects *objects, const struct object_put *put,
                         struct lh_arena *arena, struct object_info *ret, bool *ret_is_new,
                         struct lh_error *err) LH_MUST_USE;

/* LH_NOT_FOUND: the bucket or the object; LH_DAMAGED. */
enum lh_code objects_get(struct objects *objects, struct lh_str bucket, struct lh_str key,
                         struct lh_arena *arena, struct object_info *ret,
                         struct lh_error *err) LH_MUST_USE;
/* The same with its bytes as an open file, which stays whole whatever happens to the key; the
 * caller ends it with lh_file_abandon. */
enum lh_code objects_read(struct objects *objects, struct lh_str bucket, struct lh_str key,
                          struct lh_arena *arena, struct object_info *ret, int *ret_fd,
                          struct lh_error *err) LH_MUST_USE;

/* LH_NOT_FOUND; LH_PRECONDITION; LH_UNKNOWN as in objects_put. */
enum lh_code objects_delete(struct objects *objects, struct lh_str bucket, struct lh_str key,
                            const struct object_condition *condition,
                            struct lh_error *err) LH_MUST_USE;

/* LH_PRECONDITION unless an object with that tag (absent = there is none) meets the condition. */
enum lh_code object_condition_check(const struct object_condition *condition, struct lh_str etag,
                                    struct lh_error *err) LH_MUST_USE;
/* True if `tags` (as of If-None-Match) names the tag. */
bool object_tags_match(struct lh_str tags, struct lh_str etag);

/* Objects whose keys begin with `prefix`, those behind the key `after` (absent = from the first),
 * in the order of their parts, each bytewise. *ret_has_more: there are more. LH_INVALID. */
enum lh_code objects_list(struct objects *objects, struct lh_str bucket, struct lh_str prefix,
                          struct lh_str after, size_t limit, struct lh_arena *arena,
                          struct object_info **ret, size_t *ret_count, bool *ret_has_more,
                          struct lh_error *err) LH_MUST_USE;

/* Moves bytes that no head names, and that are older than this opening, to the trash: for a
 * background thread. Looks at every head. */
enum lh_code objects_sweep(struct objects *objects, size_t *ret_moved,
                           struct lh_error *err) LH_MUST_USE;
/* Damaged heads that the last sweep met. */
size_t objects_damaged(struct objects *objects);
/* False after an outcome that is not known. */
bool objects_are_writable(struct objects *objects);

/* --- offline */

#define OBJECTS_FINDINGS_MAX 10000
struct objects_finding {
    bool is_error;
    struct lh_str object;
    struct lh_str what;
};
struct objects_report {
    const struct objects_finding *findings;
    size_t finding_count;
    size_t error_count;
    int64_t objects; /* whose checksum was compared */
    int64_t object_bytes;
    int64_t orphans;
};
/* Every promise of every head, over a lake that nobody writes. Findings are the result, not a
 * failure. Texts live in `arena`. */
enum lh_code objects_verify(struct storage *storage, const struct lh_cancel *cancel,
                            struct lh_arena *arena, struct objects_report *ret,
                            struct lh_error *err) LH_MUST_USE;

#endif
