/* Compaction: the small files of a dataset become few, and no answer changes.
 *
 *   plan ─▶ each group of neighbours: COPY in their order, or bytes behind bytes where that gives
 *                             the same rows ─▶ durable, read back, sums compared
 *                                            ─▶ published ─▶ one commit of the dataset (rewrite)
 *
 * Files that are as large as files shall be stay as they are; those between them are merged, order
 * kept, evolved columns united, deleted rows left out. A commit happens only if every file that was
 * read is still in the dataset: rows appended meanwhile stay behind it, rows deleted meanwhile are
 * found by their keys in the new file, and after a replace, an undo or a lift the work is done anew
 * on what there is. Old versions keep their files until they expire. What fails or is cancelled
 * before the commit leaves nothing and changes nothing.
 *
 * Errors: LH_NOT_FOUND, LH_DAMAGED (a file is not what was committed), LH_FULL, LH_IO, LH_RACE
 * (changed again and again),
 * LH_INTERNAL (what was written has not the rows of what was read) and the stopping codes.
 *
 * Threads: any thread may call anything. Blocking: as long as the work takes.
 */
#ifndef LAKEHOUSE_QUERY_COMPACT_H
#define LAKEHOUSE_QUERY_COMPACT_H

#include "base/cancel.h"
#include "base/field.h"
#include "base/uuid.h"
#include "catalog/dataset.h"

struct storage;
struct engine;
struct catalog;
struct catalog_snapshot;
struct jobs;
struct job;
struct query_compactor; /* made by query_compactor_new, ended by query_compactor_free */

/* Why files are merged up to half a gigabyte: a file is what is written again when a row of it
 * goes, and what comes whole from a remote bucket; the engine reads row groups in parallel, so that
 * larger files make no scan faster. */
#define QUERY_COMPACT_FILE_BYTES ((int64_t)512 << 20)
/* Of one file: each is known by name for as long as its rows are there. */
#define QUERY_COMPACT_SOURCES_MAX ((size_t)10000)

struct query_compactor_options { /* all borrowed, all outlive the compactor */
    struct engine *engine;
    struct storage *storage;
    struct catalog *catalog;
    struct jobs *jobs;
    int64_t file_bytes; /* what files are merged up to; 0: QUERY_COMPACT_FILE_BYTES */
};
enum lh_code query_compactor_new(const struct query_compactor_options *options,
                                 struct query_compactor **ret, struct lh_error *err) LH_MUST_USE;
void query_compactor_free(struct query_compactor *compactor); /* NULL is fine */

/* --- the request -------------------------------------------------------------------------------*/

struct query_compact_request {
    struct lh_str dataset; /* absent: all */
    bool is_dry_run;       /* only tell what would be done */
    bool is_automatic;     /* leave large files alone that would gain little: less is written */
    bool has_room;         /* the caller has seen to it that what is written fits on the disk */
    struct lh_str actor;
    struct lh_str reason; /* absent = none */
};

struct query_compact_item { /* one dataset of which something was done, or could not be */
    struct lh_str dataset;
    int64_t version; /* that it has now */
    int64_t rows;
    int64_t files_before, files_after;
    int64_t bytes_before;          /* of all its files */
    struct lh_opt_int bytes_after; /* unset: a dry run, or nothing was done */
    int64_t bytes_read;            /* of the files that were merged */
    int64_t tombstones_applied;    /* keys that are tombstoned, if rows of such were dropped */
    int64_t rows_dropped_by_tombstones;
    int64_t rows_dropped_by_upserts;
    struct lh_str problem; /* why it is as it was; absent = it is compacted */
};
struct query_compact_result {
    struct lh_str job_id; /* absent: a dry run */
    bool dry_run;
    int64_t tombstones_applied;
    int64_t rows_dropped_by_tombstones;
    int64_t rows_dropped_by_upserts;
    int64_t final_rows; /* these, and those below, of all datasets that were looked at */
    int64_t files_before, files_after;
    int64_t bytes_before;
    struct lh_opt_int bytes_after; /* unset: a dry run */
    int64_t compacted;             /* datasets that were, or would be */
    struct lh_list datasets;       /* struct query_compact_item; at most QUERY_COMPACT_ITEMS_MAX */
    int64_t elapsed_ms;
};
#define QUERY_COMPACT_ITEMS_MAX 100
extern const struct lh_fields query_compact_result_fields;

/* --- the work ----------------------------------------------------------------------------------*/

/* Compacts and waits. It shows as a job meanwhile, but for a dry run, which reads no rows. With all
 * datasets, one that cannot be compacted does not keep the others from it. Texts of *ret live in
 * `arena`. */
enum lh_code query_compact(struct query_compactor *compactor,
                           const struct query_compact_request *request,
                           const struct lh_cancel *cancel, struct lh_arena *arena,
                           struct query_compact_result *ret, struct lh_error *err) LH_MUST_USE;
/* Accepts it as a job. LH_NOT_FOUND: no such dataset. */
enum lh_code query_compact_later(struct query_compactor *compactor,
                                 const struct query_compact_request *request,
                                 struct lh_uuid *ret_job_id, struct lh_error *err) LH_MUST_USE;

/* The kind of job for the table that lake/ hands to jobs_start; `context` of both is the
 * compactor. */
#define QUERY_COMPACT_JOB_KIND "query.compact"
enum lh_code query_compact_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
enum lh_code query_compact_effect(void *context, struct job *job, bool *ret_is_done,
                                  struct lh_error *err) LH_MUST_USE;

/* --- when it is worth it -----------------------------------------------------------------------*/

struct query_compact_policy {
    int64_t files;    /* so many that can be merged, */
    int64_t pause_ms; /* or fewer, once the dataset has not changed for so long, that */
    int64_t bytes;    /* have so many bytes beside the largest, or deleted rows, */
    int64_t age_ms;   /* or whatever, once it has not changed for so long */
};
/* What a request that is automatic would do something for. */
bool query_compact_is_due(const struct query_compactor *compactor,
                          const struct catalog_snapshot *snapshot,
                          const struct catalog_dataset *dataset,
                          const struct query_compact_policy *policy, int64_t now_ms);

#endif
