/* Storage: where the lake's bytes are, and the only place that publishes, makes durable or removes
 * them.
 *
 * An object is a key in a bucket with bytes that never change. It appears whole or not at all, and
 * never in the place of another:
 *
 *            storage_stage          storage_staged_seal            storage_staged_publish
 *   (caller) ───────────▶ _staging/ ───────────────────▶ durable ─────────────────────▶ object
 *                            │      fsync, then summed   (in _staging) exclusive, then     │
 *                            ▼                            fsync of the folder               ▼
 *              removed by storage_staged_discard,               _trash/ by storage_trash,
 *              or by the next storage_open                      gone by storage_trash_sweep
 *
 * What fails before publication leaves nothing behind, and a file whose fsync failed is never tried
 * again: start anew with a fresh name. In the data folder stand `_lake.json` (which says that it is
 * one), `_lock` and `_owner.json`, `_reserve`, `_staging/`, `_scratch/` and `_trash/`, and the
 * objects of the bucket "primary" under their keys. What a backend can do is one row in the table
 * of backends (internal.h).
 *
 * Keys: 1 to 1024 bytes of UTF-8 in parts divided by "/", each 1 to 255 bytes, none "." or "..",
 * without backslash or control characters; the first part is none of the names above. Anything else
 * is LH_INVALID.
 *
 * Threads: any thread may call anything; one staged file belongs to one thread at a time. Every
 * call blocks. Knows nothing of datasets, manifests or formats.
 */
#ifndef LAKEHOUSE_STORAGE_STORAGE_H
#define LAKEHOUSE_STORAGE_STORAGE_H

#include "base/hash.h"

#include "base/arena.h"

#define STORAGE_KEY_BYTES_MAX 1024
#define STORAGE_KEY_PART_BYTES_MAX 255
#define STORAGE_PRIMARY lh_lit("primary")
#define STORAGE_FORMAT 1 /* of the folder's layout; a higher one in `_lake.json` is LH_FORMAT */

struct storage;        /* opaque; made by storage_open, ended by storage_close */
struct storage_staged; /* opaque; made by storage_stage, ended by storage_staged_discard */

/* --- a data folder ------------------------------------------------------------------------------
 */

enum storage_access {
    STORAGE_WRITE, /* takes the lake's lock; empties _staging and _scratch */
    STORAGE_READ,  /* takes and changes nothing: for looking beside a running server */
};

struct storage_options {
    struct lh_str path; /* of the data folder */
    enum storage_access access;
    struct lh_str secrets_path; /* of the file with the keys of stores; absent: where it is looked
                                   for (secrets.c) */
    int64_t cache_bytes_max;    /* of remote objects on the local disk; 0 = a preset */
    bool create; /* make the folder and its layout if it is not there; only with STORAGE_WRITE */
};

/* LH_LOCKED: another process has it, named with its pid and address. LH_NOT_FOUND: no such folder
 * (and not `create`). LH_CONFLICT: a folder of something else. LH_FORMAT: of a newer release.
 * LH_DAMAGED: it holds objects but no readable `_lake.json`. The caller ends *ret with
 * storage_close. */
enum lh_code storage_open(const struct storage_options *options, struct storage **ret,
                          struct lh_error *err) LH_MUST_USE;
void storage_close(struct storage *storage); /* gives the lock back; NULL is fine */

struct lh_str storage_path(const struct storage *storage); /* absolute */
struct lh_str storage_id(
    const struct storage *storage); /* of this lake: a UUID, for ever; a restored one has its own */
struct lh_str
storage_staging_path(const struct storage *storage); /* absolute; for spooling uploads */
struct lh_str
storage_scratch_path(const struct storage *storage); /* absolute; the engine's temporary files */
enum lh_code storage_free_bytes(struct storage *storage, int64_t *ret,
                                struct lh_error *err) LH_MUST_USE;

/* A file that takes room for storage_put_vital. It is filled when the lake is opened, and whenever
 * this is called, if the disk has plenty; LH_OK also if it has not. */
#define STORAGE_RESERVE_BYTES ((int64_t)4 << 20)
enum lh_code storage_reserve_fill(struct storage *storage, struct lh_error *err) LH_MUST_USE;
int64_t storage_reserve_bytes(struct storage *storage); /* that are kept now */

/* Writes where this process can be reached ("127.0.0.1:3100") beside the lock, for storage_owner.
 */
enum lh_code storage_announce(struct storage *storage, struct lh_str address,
                              struct lh_error *err) LH_MUST_USE;

struct storage_owner {
    bool is_running;       /* a process holds the lock now */
    int64_t pid;           /* 0: not known */
    struct lh_str address; /* "": it does not listen (yet) */
    int64_t started_ms;
};
/* Who has the data folder at `path`; takes no lock. An absent folder or lock is not running. */
enum lh_code storage_owner(struct lh_str path, struct lh_arena *arena, struct storage_owner *ret,
                           struct lh_error *err) LH_MUST_USE;

/* --- writing ------------------------------------------------------------------------------------
 */

struct storage_sum {
    int64_t bytes;
    uint8_t sha256[LH_SHA256_BYTES];
};

/* A fresh name in _staging, ending in `suffix` (".parquet"); no file yet. The caller ends *ret with
 * storage_staged_discard, also after publishing. */
enum lh_code storage_stage(struct storage *storage, struct lh_str suffix,
                           struct storage_staged **ret, struct lh_error *err) LH_MUST_USE;
/* Takes over a file that lies directly in storage_staging_path (a spooled upload), by its absolute
 * path. */
enum lh_code storage_stage_adopt(struct storage *storage, struct lh_str path,
                                 struct storage_staged **ret, struct lh_error *err) LH_MUST_USE;
/* Whether that absolute path is below storage_staging_path. */
bool storage_is_staging(const struct storage *storage, struct lh_str path);
/* The file at an absolute path as a staged one: taken over if it lies in storage_staging_path,
 * copied into a fresh one with `suffix` if not. */
enum lh_code storage_stage_file(struct storage *storage, struct lh_str path, struct lh_str suffix,
                                struct storage_staged **ret, struct lh_error *err) LH_MUST_USE;
/* Absolute, NUL-ended: where the engine may COPY to. Valid until discard. */
struct lh_str storage_staged_path(const struct storage_staged *staged);

/* Instead of letting somebody else write the file: appends, making the file on the first call. */
enum lh_code storage_staged_write(struct storage_staged *staged, const void *bytes, size_t count,
                                  struct lh_error *err) LH_MUST_USE;

/* Nobody writes any more: makes the file private (0600) and durable, then reads it back from its
 * start and sums it. The caller may now check its content by path. ret_sum may be NULL (then
 * nothing is read). After a failure the file can only be discarded. */
enum lh_code storage_staged_seal(struct storage_staged *staged, struct storage_sum *ret_sum,
                                 struct lh_error *err) LH_MUST_USE;

/* One staged file and where it shall be. */
struct storage_target {
    struct storage_staged *staged; /* sealed */
    struct lh_str key;
};
/* Publishes sealed files exclusively, then makes each folder durable once; makes missing folders,
 * durably. LH_EXISTS: a key is taken. On failure some of them may be published: they are not
 * referenced by anything, and their names must not be used again; discard all. */
enum lh_code storage_publish(struct storage *storage, struct lh_str bucket,
                             const struct storage_target *targets, size_t target_count,
                             struct lh_error *err) LH_MUST_USE;
enum lh_code storage_staged_publish(struct storage_staged *staged, struct lh_str bucket,
                                    struct lh_str key, struct lh_error *err) LH_MUST_USE;

/* Removes the file unless it was published, and ends `staged`. NULL is fine. */
void storage_staged_discard(struct storage_staged *staged);

/* The commit point: writes, fsyncs, re-reads and compares a small object in _staging, publishes it
 * exclusively and makes its folder durable. LH_EXISTS: the race is lost, nothing was changed.
 * LH_UNKNOWN: it was published but may not survive a power cut: acknowledge nothing, stop writing,
 * recover. Every other code: nothing was changed. */
enum lh_code storage_put_exclusive(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                   struct lh_str bytes, struct lh_error *err) LH_MUST_USE;
/* The same in the place of the object that has the key, if there is one: for small records that
 * name what is current. Whoever reads sees the old one or the new one, whole. Two writers of one
 * key: the later one counts; who must not lose the earlier one takes a lock of its own. Errors as
 * above, without LH_EXISTS. */
enum lh_code storage_put_replacing(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                   struct lh_str bytes, struct lh_error *err) LH_MUST_USE;
/* The same for what must go on when the disk is full, because it leads out of there or ends what
 * was begun: deletes, revocations, the ends of jobs, the start of a writer. Small, and rare beside
 * the rest: when there is no space, the reserve is given up piece by piece for it. */
enum lh_code storage_put_vital(struct storage *storage, struct lh_str bucket, struct lh_str key,
                               struct lh_str bytes, struct lh_error *err) LH_MUST_USE;
/* Makes the folder of `key` durable once more: recovery asks this before it trusts what it found.
 */
enum lh_code storage_sync_folder(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                 struct lh_error *err) LH_MUST_USE;

/* --- reading ------------------------------------------------------------------------------------
 */

/* The whole object, NUL-ended, in the arena. LH_NOT_FOUND; LH_TOO_LARGE over bytes_max. */
enum lh_code storage_get(struct storage *storage, struct lh_str bucket, struct lh_str key,
                         size_t bytes_max, struct lh_arena *arena, struct lh_str *ret,
                         struct lh_error *err) LH_MUST_USE;

struct storage_info {
    int64_t bytes;
    int64_t modified_ms;
    int64_t changed_ns; /* 0 where there is none; */
    uint64_t inode;     /* likewise; with bytes they tell that a file is not the one it was */
};
/* Do both tell of one file that nobody wrote to in between? */
bool storage_is_same(const struct storage_info *a, const struct storage_info *b);
enum lh_code storage_info(struct storage *storage, struct lh_str bucket, struct lh_str key,
                          struct storage_info *ret, struct lh_error *err) LH_MUST_USE;
/* Reads the whole object and sums it: compare with what the manifest says. `cancel` may be NULL. */
enum lh_code storage_sum(struct storage *storage, struct lh_str bucket, struct lh_str key,
                         const struct lh_cancel *cancel, struct storage_sum *ret,
                         struct lh_error *err) LH_MUST_USE;
/* The object as an open file, for reading pieces of it with base/file; removed or replaced
 * meanwhile, it stays what it was. The caller ends it with lh_file_abandon. LH_NOT_FOUND. */
enum lh_code storage_open_file(struct storage *storage, struct lh_str bucket, struct lh_str key,
                               int *ret_fd, struct lh_error *err) LH_MUST_USE;
/* A file that the engine can open: absolute, NUL-ended, in the arena. Checks that the object is
 * there and no link leads to it, which costs a few microseconds: callers keep the path as long as
 * they pin the object. */
enum lh_code storage_object_path(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                 struct lh_arena *arena, struct lh_str *ret,
                                 struct lh_error *err) LH_MUST_USE;

struct storage_entry {
    struct lh_str key;  /* whole: can be given to storage_get */
    struct lh_str name; /* the last part */
    bool is_folder;
    bool is_special; /* a link or device that somebody planted: not an object */
    int64_t bytes;
    int64_t modified_ms;
};
/* What stands directly in the folder `folder` ("" = the bucket), ascending by name; never the names
 * of the layout above. A missing folder is empty. */
enum lh_code storage_list(struct storage *storage, struct lh_str bucket, struct lh_str folder,
                          struct lh_arena *arena, struct storage_entry **ret, size_t *ret_count,
                          struct lh_error *err) LH_MUST_USE;
/* Calls visit for every object (and planted thing) below `folder`, at any depth, ascending within
 * each folder; what visit returns other than LH_OK ends the walk and is returned. `entry` lives for
 * the call. */
enum lh_code storage_walk(struct storage *storage, struct lh_str bucket, struct lh_str folder,
                          enum lh_code (*visit)(void *context, const struct storage_entry *entry,
                                                struct lh_error *err),
                          void *context, struct lh_error *err) LH_MUST_USE;

/* --- removing -----------------------------------------------------------------------------------
 */

/* Moves objects to the trash, durably, out of every reader's sight; readers that have them open
 * keep them. Missing ones are fine. The caller has made sure that nothing references them. */
enum lh_code storage_trash(struct storage *storage, struct lh_str bucket, const struct lh_str *keys,
                           size_t key_count, struct lh_error *err) LH_MUST_USE;
/* Removes for good what was trashed at least `age_ms` ago; *ret_bytes (may be NULL) is what became
 * free. While a backup runs nothing is. */
enum lh_code storage_trash_sweep(struct storage *storage, int64_t age_ms, int64_t *ret_bytes,
                                 struct lh_error *err) LH_MUST_USE;

/* --- buckets and backends -----------------------------------------------------------------------
 */

/* True if `key` may name an object; otherwise LH_INVALID with the reason. */
enum lh_code storage_key_check(struct lh_str key, struct lh_error *err) LH_MUST_USE;
bool storage_has_bucket(struct storage *storage, struct lh_str bucket);

/* The rows of the table of backends, for conformance tests and what the system tells: NULL past the
 * last. */
const char *storage_backend_name(size_t index);

#endif
