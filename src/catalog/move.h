/* Moving a dataset to another bucket: all its data files, of all versions that can be read.
 *
 *   list ─▶ copy, compare with their checksums ─▶ list again: nothing new? ─▶ one commit (move)
 *              ▲                                          │ something                │
 *              └──────────────────────────────────────────┘                          ▼
 *                                                   old copies that nobody reads go to the trash
 *
 * The commit names no files but says: what `from` had of the versions up to that one is in `to`,
 * under its own key. So readers of every version find it there from then on, whatever manifests of
 * old ones say, and everything that knows files by their keys (tombstones, indexes, caches) goes
 * on. Until the commit all is read where it was; whoever began to read before goes on there, and
 * what they read stays until they have ended. Rows that are appended, deleted or compacted
 * meanwhile are of later versions, or are listed again: they are moved in the next round, or stay
 * where they are, and none is lost. Lists of tombstones and rows that were not taken are always in
 * primary.
 *
 * What fails or is cancelled before the commit leaves nothing. A kill leaves copies that the next
 * move to that bucket takes over.
 *
 * Threads: any; one move of a dataset at a time. Blocking: as long as the copying takes.
 */
#ifndef LAKEHOUSE_CATALOG_MOVE_H
#define LAKEHOUSE_CATALOG_MOVE_H

#include "base/cancel.h"
#include "catalog/catalog.h"

struct catalog_move_options {
    struct lh_str dataset_id; /* of a live one, or of one that was dropped and can come back */
    struct lh_str from;       /* only what is there; absent = wherever it is */
    struct lh_str to;
    bool is_dry_run; /* only tell what would be copied */
    struct lh_str actor;
    struct lh_str reason;
    struct lh_str job_id; /* kept with the first commit; absent = none */
    const struct lh_cancel *cancel;
    /* How far it is; may be NULL. */
    void (*progress)(void *context, int64_t files_done, int64_t files, int64_t bytes_done,
                     int64_t bytes);
    void *context;
};
struct catalog_move {
    struct lh_str dataset_id;
    struct lh_str name;
    int64_t version; /* that it has now */
    int64_t file_count;
    int64_t byte_count;
    int64_t left_count; /* files that came meanwhile, and are where others were before */
};
/* Nothing to move: LH_OK with no files. Texts of *ret are in `arena`. LH_NOT_FOUND: no such bucket,
 * or the dataset is gone for good; LH_CONFLICT: it is being moved already; LH_DAMAGED: a file is
 * not what was written; LH_FULL, LH_IO; LH_UNKNOWN and LH_LOCKED as in catalog_commit. */
enum lh_code catalog_move(struct catalog *catalog, const struct catalog_move_options *options,
                          struct lh_arena *arena, struct catalog_move *ret,
                          struct lh_error *err) LH_MUST_USE;

/* The ids of the datasets, dropped ones included, that have files of their retained versions in the
 * bucket; in `arena`. Reads manifests. */
enum lh_code catalog_list_in_bucket(struct catalog *catalog, struct lh_str bucket,
                                    struct lh_arena *arena, struct lh_str_list *ret,
                                    struct lh_error *err) LH_MUST_USE;

#endif
