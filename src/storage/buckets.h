/* Buckets: names for places of objects, and where each of them is.
 *
 * "primary" is the data folder itself; everything that the lake must never lose the order of (its
 * manifests and records) stays there. Others are made by the configuration or at run time, and keep
 * data files, indexes and objects of people: a folder of the machine, or a store that speaks the S3
 * protocol. Each has a record in primary, `_storage/buckets/<name>.json`, and `_bucket.json` in its
 * own place, which says whose it is: two lakes never share one, and a disk that is not mounted is
 * not taken for an empty one.
 *
 *   add / configure ─▶ open ◀─▶ unavailable (tried again when it is asked for)
 *                       │
 *                       └─ remove ─▶ gone; the bytes stay where they are
 *
 * A bucket that is not available takes down nothing else: what needs it gets LH_IO, by its name.
 *
 * Threads: any thread may call anything. Calls that open or probe a bucket block, as long as its
 * place takes to answer.
 */
#ifndef LAKEHOUSE_STORAGE_BUCKETS_H
#define LAKEHOUSE_STORAGE_BUCKETS_H

#include "base/cancel.h"
#include "base/field.h"
#include "base/hash.h"

struct storage;
struct storage_sum;

#define STORAGE_BUCKET_NAME_BYTES_MAX 63
#define STORAGE_BUCKETS_MAX 64

enum storage_backend_kind { STORAGE_LOCAL, STORAGE_S3 };
struct storage_bucket_options {
    struct lh_str name; /* [a-z0-9][a-z0-9:_-]{0,62} */
    int backend;        /* enum storage_backend_kind */
    struct lh_str root; /* local: an absolute path, not in and not around the data folder */
    /* S3: */
    struct lh_str endpoint; /* "https://s3.example.org", "http://127.0.0.1:9000" */
    struct lh_str region;   /* as it is signed; absent = us-east-1 */
    struct lh_str bucket;   /* as the store calls it */
    struct lh_str prefix;   /* of all keys there; absent = none */
    struct lh_str secret;   /* an id of the secrets file; never a secret itself */
};
extern const struct lh_fields storage_bucket_fields; /* of settings, requests and records */
bool storage_bucket_is_name(struct lh_str name);

/* What the configuration lists, and the name of the bucket that rescues reads ("" = none). After
 * storage_open, before anything else. LH_INVALID: one of them makes no sense; LH_CONFLICT: another
 * place than it had while something may live there. One that is not available is no error. */
enum lh_code storage_buckets_configure(struct storage *storage,
                                       const struct storage_bucket_options *items, size_t count,
                                       struct lh_str rescue, struct lh_error *err) LH_MUST_USE;

/* Makes it known, durably, once its place has answered and took a trial. LH_INVALID; LH_EXISTS: the
 * name is taken; LH_CONFLICT: the place is another lake's or another bucket's; LH_IO. */
enum lh_code storage_bucket_add(struct storage *storage,
                                const struct storage_bucket_options *options,
                                struct lh_error *err) LH_MUST_USE;
/* Forgets it. `check`, called when nobody can begin to put anything there any more, refuses when
 * something lives there. LH_NOT_FOUND; LH_FORBIDDEN: primary, the rescue bucket, or one that the
 * configuration lists; LH_CONFLICT: somebody is putting something there; what check says. */
enum lh_code storage_bucket_remove(struct storage *storage, struct lh_str name,
                                   enum lh_code (*check)(void *context, struct lh_str name,
                                                         struct lh_error *err),
                                   void *context, struct lh_error *err) LH_MUST_USE;

/* A restored lake finds the buckets of its original by their records, and neither reads nor writes
 * them (LH_IO) until it adopts them: then they are its own, and no more the original's, once
 * that is opened or asks the bucket again. It must not run meanwhile. One that is ours is fine.
 * LH_NOT_FOUND; LH_CONFLICT: the place is neither ours nor the original's; LH_IO. */
enum lh_code storage_bucket_adopt(struct storage *storage, struct lh_str name,
                                  struct lh_error *err) LH_MUST_USE;
bool storage_bucket_is_inherited(struct storage *storage, struct lh_str name); /* and not adopted */

struct storage_bucket_info {
    struct storage_bucket_options options; /* primary: only its name */
    bool is_configured;
    bool is_rescue;
    bool is_remote;
    struct lh_str problem; /* why it was not available when it was last asked; absent: it was */
};
/* All of them, primary first, then by name; texts in `arena`. Asks nobody. */
void storage_bucket_list(struct storage *storage, struct lh_arena *arena,
                         struct storage_bucket_info **ret, size_t *ret_count);
void storage_bucket_names(struct storage *storage, struct lh_arena *arena, struct lh_str **ret,
                          size_t *ret_count);
/* Asks its place now, with a trial of writing. LH_NOT_FOUND; LH_IO and the like: what is wrong. */
enum lh_code storage_bucket_probe(struct storage *storage, struct lh_str name,
                                  const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;

/* Looks whether the folders of local buckets are where they were, and opens those that came back:
 * storage_bucket_list tells. For a thread that does so now and then; stores are not asked. */
void storage_buckets_look(struct storage *storage);

/* Fine if there is such a bucket; otherwise LH_NOT_FOUND with the names that there are. */
enum lh_code storage_bucket_check(struct storage *storage, struct lh_str name,
                                  struct lh_error *err) LH_MUST_USE;
/* Whoever is about to put something there that is only known to others later holds the bucket until
 * it is: so long nobody removes it. LH_NOT_FOUND. */
enum lh_code storage_bucket_hold(struct storage *storage, struct lh_str name,
                                 struct lh_error *err) LH_MUST_USE;
void storage_bucket_let_go(struct storage *storage, struct lh_str name);

/* An object into another bucket, under the same key, durably; where it was it stays. It has the
 * `expected` bytes there: a copy that is there already is read, and taken if it has them. What its
 * bucket cannot give the rescue bucket may. LH_DAMAGED: neither has these bytes; LH_FULL, LH_IO;
 * the codes of `cancel`, which may be NULL. */
enum lh_code storage_copy(struct storage *storage, struct lh_str from, struct lh_str to,
                          struct lh_str key, const struct storage_sum *expected,
                          const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;

/* Its objects are read through the cache; an unknown one is not. */
bool storage_is_remote(struct storage *storage, struct lh_str name);

struct storage_findings;
/* Offline: every record can be read, and its place is there and ours. A store is not asked. */
enum lh_code storage_buckets_verify(struct storage *storage, struct storage_findings *findings,
                                    int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

/* --- rescue: what one bucket failed to give, and another gave --- */

#define STORAGE_RESCUE_REASON_BYTES 32
/* Of this thread, since storage_rescue_forget: whether one was, and the first one's bucket and why,
 * as the id of an error. Texts hold until the thread reads again. */
void storage_rescue_forget(void);
bool storage_rescue_used(struct lh_str *ret_bucket, struct lh_str *ret_reason);

/* The same object of the rescue bucket as an open file, if its bytes are those that are expected;
 * `reason` is what its own bucket said. Noted for this thread. LH_NOT_FOUND: there is no rescue
 * bucket, it has no such object, or another; the caller ends *ret_fd with lh_file_abandon. */
enum lh_code storage_open_rescued(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                  const struct storage_sum *expected, enum lh_code reason,
                                  int *ret_fd) LH_MUST_USE;

/* --- the cache of remote objects ---------------------------------------------------------------
 *
 * Whole objects in `_cache` of the data folder, at most so many bytes. What a statement reads is
 * pinned: it stays until the pin is given back. Room is made by dropping what was not read for
 * longest.
 */
struct storage_pin; /* opaque; made by storage_pin, ended by storage_unpin */

/* The object is in the cache afterwards, at storage_object_path, with these bytes: fetched if it is
 * not there yet; a copy of the rescue bucket if it has exactly these bytes and the bucket fails.
 * LH_DAMAGED: the bucket has other bytes; LH_TOO_LARGE: over the cache's size; LH_BUSY: pins of
 * others leave no room; LH_FULL; LH_IO. */
enum lh_code storage_pin(struct storage *storage, struct lh_str bucket, struct lh_str key,
                         const struct storage_sum *expected, const struct lh_cancel *cancel,
                         struct storage_pin **ret, struct lh_error *err) LH_MUST_USE;
/* The same object of the rescue bucket, in the stead of one in a local bucket that failed with
 * `reason`; *ret_path, in `arena`, holds as long as the pin. Noted for this thread. LH_NOT_FOUND:
 * there is no sound copy, or `reason` is none that a copy helps against; others as above. */
enum lh_code storage_pin_rescued(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                 const struct storage_sum *expected, enum lh_code reason,
                                 const struct lh_cancel *cancel, struct lh_arena *arena,
                                 struct storage_pin **ret, struct lh_str *ret_path,
                                 struct lh_error *err) LH_MUST_USE;
void storage_unpin(struct storage_pin *pin); /* NULL is fine */

struct storage_cache_figures {
    int64_t bytes, bytes_max, pinned_bytes;
    int64_t objects, hits, misses, evictions, rescues;
};
struct storage_cache_figures storage_cache_figures(struct storage *storage);

#endif
