/* All that a bucket holds, in anybody's sight or not: files of the layout's own folders, versions
 * that a store keeps of what was deleted or replaced, parts of uploads that nobody put together.
 * For who must know that something is gone for good.
 *
 * Threads: any. Blocks: as long as the bucket's place takes to answer.
 */
#ifndef LAKEHOUSE_STORAGE_HELD_H
#define LAKEHOUSE_STORAGE_HELD_H

#include "base/cancel.h"
#include "storage/storage.h"

struct storage_held {
    struct lh_str key;     /* "_trash/…" and the like, too */
    struct lh_str version; /* of a store that keeps several; of an upload: its name */
    int64_t bytes;
    bool is_past;   /* another version is the newest: nobody reads this one */
    bool is_marker; /* no bytes: says that what was before is deleted */
    bool is_upload; /* no bytes that could be read */
};
struct storage_holdings {
    struct storage_held *items;
    size_t count;
    size_t special; /* links and devices that somebody planted: nothing is known of them */
};
/* All of it, in `arena`, but trials of writing, and uploads of this process that go on.
 * LH_FORBIDDEN: the store does not tell all that it holds, and why; LH_NOT_FOUND: no such bucket;
 * LH_IO. */
enum lh_code storage_held_list(struct storage *storage, struct lh_str name,
                               const struct lh_cancel *cancel, struct lh_arena *arena,
                               struct storage_holdings *ret, struct lh_error *err) LH_MUST_USE;
/* Removes it for good, not by way of the trash; what is gone already is fine. LH_BUSY: a backup
 * runs, and may need it; LH_FORBIDDEN: the store keeps it, and why; LH_IO. */
enum lh_code storage_held_remove(struct storage *storage, struct lh_str name,
                                 const struct storage_held *held, const struct lh_cancel *cancel,
                                 struct lh_error *err) LH_MUST_USE;

struct storage_held_file {
    struct storage *storage;
    int fd;             /* open for reading */
    struct lh_str path; /* absolute: for the engine */
    char fresh[64];     /* of a copy that was fetched: goes at the end */
};
/* Its bytes as a file, to be ended by storage_held_close. LH_NOT_FOUND: it went meanwhile. */
enum lh_code storage_held_open(struct storage *storage, struct lh_str name,
                               const struct storage_held *held, const struct lh_cancel *cancel,
                               struct lh_arena *arena, struct storage_held_file *ret,
                               struct lh_error *err) LH_MUST_USE;
void storage_held_close(struct storage_held_file *file);

/* Whether somebody is about to put something there that is named later (storage_bucket_hold). */
bool storage_bucket_is_held(struct storage *storage, struct lh_str name);
/* What is free where the folder of a bucket lies; of a store INT64_MAX: nobody knows. LH_NOT_FOUND;
 * LH_IO. */
enum lh_code storage_bucket_free_bytes(struct storage *storage, struct lh_str name, int64_t *ret,
                                       struct lh_error *err) LH_MUST_USE;
/* Drops everything from the cache: at once, or as soon as nobody reads it. */
void storage_cache_empty(struct storage *storage);

#endif
