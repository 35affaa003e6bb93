/* What the files of objects share: heads, and where they and the bytes lie. */
#ifndef LAKEHOUSE_STORAGE_OBJECTS_INTERNAL_H
#define LAKEHOUSE_STORAGE_OBJECTS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/uuid.h"
#include "storage/buckets.h"
#include "storage/objects.h"

#define OBJECTS_HEADS "_objects/heads"
#define OBJECTS_DATA "_objects/data"
#define OBJECTS_FORMAT 1
#define OBJECTS_STRIPES 64

struct objects {
    struct storage *storage;
    struct lh_uuid opening; /* ids of this process are above it, whatever the clock does */
    pthread_mutex_t stripes[OBJECTS_STRIPES]; /* by key: one writer of a head at a time */
    int64_t bytes_max;
    pthread_mutex_t count_lock; /* guards the two below; held while they are first counted */
    bool is_counted;
    int64_t bytes; /* of all objects, those that are being put included */
    atomic_bool is_stopped;
    atomic_size_t damaged;
};

struct object_head {
    int64_t format;
    struct lh_str key;
    struct lh_str data; /* the UUID of the bytes */
    int64_t bytes;
    struct lh_str sha256;
    struct lh_str content_type;
    struct lh_time modified_at;
    struct lh_str modified_by;
    struct lh_str request; /* that brought it, if it had a name */
    bool was_new;          /* there was none before it */
};

/* The head's own object key. */
struct lh_str object_head_key(struct lh_str key, struct lh_arena *arena);
/* The object key of bytes. */
struct lh_str object_data_key(struct lh_str uuid, struct lh_arena *arena);
enum lh_code object_head_write(const struct object_head *head, struct lh_buf *buf,
                               struct lh_error *err) LH_MUST_USE;
/* LH_DAMAGED: it is not what was written; LH_FORMAT: by a newer release. `key` is what it must be
 * the head of; absent = any. Texts live in `arena`. */
enum lh_code object_head_parse(struct lh_str text, struct lh_str key, struct lh_arena *arena,
                               struct object_head *ret, struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND, or the errors of object_head_parse. */
enum lh_code object_head_read(struct storage *storage, struct lh_str bucket, struct lh_str key,
                              struct lh_arena *arena, struct object_head *ret,
                              struct lh_error *err) LH_MUST_USE;
/* The user's key of a head's own key below OBJECTS_HEADS; false: no head is called so. */
bool object_key_of_head(struct lh_str object_head_key, struct lh_arena *arena, struct lh_str *ret);
/* The sum of what all heads say. Damaged ones count nothing. */
enum lh_code objects_count_bytes(struct storage *storage, int64_t *ret,
                                 struct lh_error *err) LH_MUST_USE;
void object_info_of(const struct object_head *head, struct lh_arena *arena,
                    struct object_info *ret);

#endif
