/* Datasets from bucket to bucket: one, or all that have files in one bucket. A job, of which one
 * runs at a time; it goes on after a kill, and what it copied serves it. No rows are erased
 * meanwhile: what one would copy the other would remove.
 *
 * Threads: any. Blocking: lake_move_begin reads manifests and asks the bucket.
 */
#ifndef LAKEHOUSE_LAKE_MOVING_H
#define LAKEHOUSE_LAKE_MOVING_H

#include "base/field.h"

struct lake;
struct lh_cancel;
struct job;

#define LAKE_MOVE_JOB_KIND "catalog.move"
#define LAKE_MOVE_ITEMS_MAX 100 /* that a result lists; more are only counted */

struct lake_move_request {
    struct lh_str dataset;   /* a name; absent: all that have files in one of `from` */
    struct lh_str_list from; /* none: wherever they are; only with a dataset */
    struct lh_str to;
    struct lh_str actor;
    struct lh_str reason; /* absent = none */
};
struct lake_move_item {
    struct lh_str dataset;
    struct lh_str dataset_id;
    int64_t version; /* that it has now */
    int64_t files;
    int64_t bytes;
    int64_t files_left;    /* that came meanwhile, and are where others were before */
    struct lh_str problem; /* why it is where it was; absent = it was moved */
};
struct lake_move_index {
    struct lh_str index;
    int64_t files;
    int64_t bytes;
    struct lh_str problem; /* why it is where it was; absent = it was moved */
};
struct lake_move_result {
    struct lh_str job_id; /* absent: a dry run */
    bool dry_run;
    struct lh_str to;
    int64_t moved;  /* datasets that were, or would be */
    int64_t failed; /* datasets and indexes with a problem */
    int64_t files;
    int64_t bytes;
    struct lh_list datasets; /* struct lake_move_item */
    struct lh_list indexes;  /* struct lake_move_index */
    /* Buckets that still hold objects of people: their keys are links that others have. */
    struct lh_str_list objects_left;
    int64_t elapsed_ms;
};
extern const struct lh_fields lake_move_result_fields;

/* What would be moved; changes nothing. LH_NOT_FOUND: no such dataset or bucket. */
enum lh_code lake_move_plan(struct lake *lake, const struct lake_move_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct lake_move_result *ret, struct lh_error *err) LH_MUST_USE;
/* Accepts it as a job. Besides these: LH_CONFLICT: the dataset has no file that is not in the
 * bucket already; LH_IO and the like: the bucket takes nothing. */
enum lh_code lake_move_begin(struct lake *lake, const struct lake_move_request *request,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct lh_str *ret_job, struct lh_error *err) LH_MUST_USE;

/* An index alone, now: as search_move_index, with its event in the journal. `event` has the action
 * and who asks. */
struct search_move;
struct search_moved;
struct journal_event;
enum lh_code lake_move_index(struct lake *lake, const struct search_move *move,
                             struct journal_event *event, struct lh_arena *arena,
                             struct search_moved *ret, struct lh_error *err) LH_MUST_USE;

/* The kind of job; `context` of both is the lake. */
enum lh_code lake_move_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
enum lh_code lake_move_effect(void *context, struct job *job, bool *ret_is_done,
                              struct lh_error *err) LH_MUST_USE;

#endif
