/* Taking the last commit of a dataset back, by a commit of its own.
 *
 *   versions   1 ── 2 ── 3 ── 4          undo: version 5 is what version 3 was; 4 stays readable
 *                        └─────── 5      as long as it is kept, and who undid it and why is in 5
 *
 * What is undone is the newest version that is neither an expiry nor a compaction, which changed no
 * rows; all its commits, if writers shared it. What it is taken back to must still be readable, and
 * what must come back of data files is verified first. Not undone are: an undo (undoing twice says
 * so), the first version, tombstones (they are lifted, and hold in every version).
 *
 * Threads: any. Blocks: reads manifests, may read data files, commits.
 */
#ifndef LAKEHOUSE_CATALOG_UNDO_H
#define LAKEHOUSE_CATALOG_UNDO_H

#include "base/cancel.h"
#include "catalog/catalog.h"

struct catalog_undo_options {
    struct lh_str dataset;    /* an id, or a name: of the live one, else of the one dropped last */
    int64_t expected_version; /* If-Match: another one is LH_PRECONDITION; 0 = any */
    bool is_dry_run;          /* only tell what would be undone */
    struct lh_str actor;
    struct lh_str reason;
    struct lh_str idempotency_key; /* as in struct catalog_change */
    struct lh_str request_hash;
    const struct lh_cancel *cancel; /* may be NULL */
};
struct catalog_undo {
    struct lh_str dataset_id;
    struct lh_str name;         /* that it has afterwards */
    int64_t version;            /* that the undo made; of a dry run the one that there is */
    int64_t undone_version;     /* the one that was taken back */
    int64_t restored_version;   /* the one whose state is there again */
    struct lh_str_list actions; /* of the commits that were undone: "append", … */
    int64_t row_count;          /* afterwards; of the data files */
    bool is_dry_run;
};

/* LH_NOT_FOUND: no such dataset. LH_CONFLICT: its last commit cannot be undone, and why (an undo,
 * the first version, what it needs has expired). LH_EXISTS: another dataset has the name now.
 * LH_RACE: it changed meanwhile; nothing was undone. LH_DAMAGED: a data file that had to come back
 * is not what it was. Texts of *ret are in the arena. */
enum lh_code catalog_undo(struct catalog *catalog, const struct catalog_undo_options *options,
                          struct lh_arena *arena, struct catalog_undo *ret,
                          struct lh_error *err) LH_MUST_USE;

#endif
