/* In which bucket an index is: its parts, what its model learned, its graph, and its records
 * (trials, promotions, eval sets). The keyword leg and the manifests stay in primary.
 *
 *   served from `from` ─ manifest: copies may be in `to` ─▶ copied, verified ─ manifest: served
 *   from `to`, copies may be in `from` ─▶ those trashed ─ manifest: nothing is elsewhere
 *
 * The manifest in the middle is the move. A kill leaves copies that one of the manifests tells of:
 * search_sweep removes them, and those in a bucket that is away once it is back.
 *
 * Threads: any.
 */
#ifndef LAKEHOUSE_SEARCH_PLACE_H
#define LAKEHOUSE_SEARCH_PLACE_H

#include "search/search.h"

struct storage_placed;

struct search_move {
    struct lh_str index; /* its name */
    struct lh_str to;
    int64_t expected_version; /* 0: any; else LH_PRECONDITION */
    bool is_plan;             /* nothing is done: what would be moved */
    const struct lh_cancel *cancel;
};
struct search_moved {
    int64_t files;
    int64_t bytes;
};
/* Where it is already, nothing is done. LH_NOT_FOUND: the index or the bucket; LH_CONFLICT: it is
 * being built or refreshed; LH_DAMAGED: a file is not what was written; LH_FULL, LH_IO: the bucket
 * takes it not. After these nothing has changed. */
enum lh_code search_move_index(struct search *search, const struct search_move *move,
                               struct search_moved *ret, struct lh_error *err) LH_MUST_USE;

/* The names of the indexes that are in a bucket; in `arena`. */
void search_list_in_bucket(struct search *search, struct lh_str bucket, struct lh_arena *arena,
                           struct lh_str_list *ret);
/* Keys that must stay in a bucket: of files that an index names, wherever it is, and of records of
 * those in this one. Ascending, in `arena`. Not those that somebody is about to name: he holds the
 * bucket. */
enum lh_code search_list_named(struct search *search, struct lh_str bucket, struct lh_arena *arena,
                               struct lh_str_list *ret, struct lh_error *err) LH_MUST_USE;
/* "indexes/…", "_hnsw_trials/…" and the like. */
bool search_is_key(struct lh_str key);

/* For a backup: what the indexes had in other buckets at one moment. */
struct search_moment;
/* When nobody can publish. */
enum lh_code search_moment_new(struct search *search, struct search_moment **ret,
                               struct lh_error *err) LH_MUST_USE;
/* Later; small files with what they hold. In `arena`. */
enum lh_code search_moment_list(const struct search_moment *moment, struct lh_arena *arena,
                                struct storage_placed **ret, size_t *ret_count,
                                struct lh_error *err) LH_MUST_USE;
void search_moment_free(struct search_moment *moment); /* NULL is fine */

#endif
