/* What the files of compaction share. Never leaves the folder. */
#ifndef LAKEHOUSE_QUERY_COMPACT_INTERNAL_H
#define LAKEHOUSE_QUERY_COMPACT_INTERNAL_H

#include "catalog/tombstones.h"
#include "engine/engine.h"
#include "jobs/jobs.h"
#include "query/compact.h"
#include "query/compact_plan.h"
#include "storage/storage.h"

struct query_compactor {
    struct engine *engine;
    struct storage *storage;
    struct catalog *catalog;
    struct jobs *jobs;
    int64_t file_bytes;
};

/* One run of the job. */
struct compact_run {
    struct query_compactor *compactor;
    struct job *job;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    bool is_automatic;
    bool has_room; /* see query_compact_request */
    bool is_alone; /* one dataset was asked for: its commit is what the job does */
    struct lh_str actor, reason;
    int64_t started_us;
    int64_t rows_done, rows_total; /* of all datasets */
    int64_t bytes_total;
    struct query_compact_result result;
    struct query_compact_item *items; /* what result.datasets points to */
    size_t item_count;
};

/* Fills the item with what the dataset of that snapshot is, and the plan with what would be done;
 * what is hidden lives as long as the arena. */
enum lh_code compact_look(const struct query_compactor *compactor,
                          const struct catalog_snapshot *snapshot,
                          const struct catalog_dataset *dataset, bool is_automatic,
                          const struct lh_cancel *cancel, struct lh_arena *arena,
                          struct compact_plan *plan, struct query_compact_item *ret,
                          struct lh_error *err) LH_MUST_USE;
/* The run's result as JSON, with this item added to what was done before. */
struct lh_str compact_tell(struct compact_run *run, const struct query_compact_item *item);
/* compact_sums.c: what a merged file must hold by what its parts were committed with. */
struct compact_sums {
    const struct query_compactor *compactor;
    const struct catalog_dataset *dataset;
    struct catalog_hidden *hidden; /* of the dataset; NULL: none */
    struct engine_connection *connection;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
};
/* The sums that the manifests give of all rows of the group; false: there are none of today's
 * columns. */
bool compact_known_content(const struct catalog_dataset *dataset, const struct compact_group *group,
                           struct engine_content *ret);
/* LH_INTERNAL: `written` are not the rows that the group's files were committed with, less the
 * hidden ones. */
enum lh_code compact_compare(const struct compact_sums *sums, const struct compact_group *group,
                             const struct engine_content *written,
                             struct lh_error *err) LH_MUST_USE;
/* compact_write.c: merges what there is to merge of one dataset. */
enum lh_code compact_dataset(struct compact_run *run, struct lh_str dataset_id,
                             struct query_compact_item *ret, struct lh_error *err) LH_MUST_USE;

#endif
