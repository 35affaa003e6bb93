/* Letting old versions go: which of them stay readable, and the files that only expired ones name.
 *
 *   versions   1 2 3 4 │ 5 6 7      expire: a commit that says "5 is the oldest that stays"
 *              expired │ retained   collect: files that none of 5, 6, 7 and no running reader names
 *                                   go to the trash, then the manifests that nothing needs any more
 *
 * A version expires when another has taken its place for longer than is asked for; the newest never
 * does. What expired cannot be read again, though its files may still be there: readers that hold
 * it go on, and hold its files. The files of a dropped dataset all expire with its drop; its
 * manifests stay, a few KB. An expiry is a version of its own, with who and why.
 *
 * Threads: any; one caller at a time works, the others wait. Blocks: reads manifests, commits.
 */
#ifndef LAKEHOUSE_CATALOG_RETENTION_H
#define LAKEHOUSE_CATALOG_RETENTION_H

#include "catalog/catalog.h"

struct engine;

struct catalog_expire_options {
    struct lh_str dataset; /* a name, live or dropped; absent = all datasets */
    int64_t older_than_ms; /* how long ago a version must have been replaced */
    bool is_dry_run;       /* only tell what would go */
    struct lh_str actor;
    struct lh_str reason;
    const struct lh_cancel *cancel; /* looked at between datasets; may be NULL */
};
struct catalog_expiry {
    struct lh_str dataset_id;
    struct lh_str name;
    bool is_dropped;
    int64_t retained_version; /* the oldest that stays */
    int64_t version_count;    /* that expire now */
    int64_t object_count;     /* files that only they name */
    int64_t byte_count;
};
/* Expires versions where that sets files free, then collects. Datasets with nothing to gain are not
 * touched and not listed. LH_NOT_FOUND with the nearest names. On a later error those before it
 * are done. Texts of *ret are in the arena. */
enum lh_code catalog_expire(struct catalog *catalog, const struct catalog_expire_options *options,
                            struct lh_arena *arena, struct catalog_expiry **ret, size_t *ret_count,
                            struct lh_error *err) LH_MUST_USE;

/* After them: their datasets' keys of which no row is left become hashes (catalog_seal_tombstones).
 * Failures are logged; the next expiry tries again. */
void catalog_seal_expired(struct catalog *catalog, struct engine *engine,
                          const struct catalog_expiry *items, size_t count,
                          const struct lh_cancel *cancel);

/* Moves to the trash what expired and nobody holds any more; what an earlier session left too. */
enum lh_code catalog_collect(struct catalog *catalog, size_t *ret_moved,
                             struct lh_error *err) LH_MUST_USE;

/* The names of the datasets, dropped ones included, of which a version that can be read, or is
 * being read, has files in the bucket; a damaged one may have some anywhere. Reads manifests. */
void catalog_bucket_users(struct catalog *catalog, struct lh_str bucket, struct lh_arena *arena,
                          struct lh_str **ret, size_t *ret_count);

#endif
