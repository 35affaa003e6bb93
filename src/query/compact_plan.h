/* Which files of a dataset are merged. Never leaves the folder. */
#ifndef LAKEHOUSE_QUERY_COMPACT_PLAN_H
#define LAKEHOUSE_QUERY_COMPACT_PLAN_H

#include "base/arena.h"
#include "catalog/dataset.h"

struct compact_group { /* neighbours that become one file */
    size_t first, count;
    int64_t bytes, rows;
    int64_t hidden; /* of the rows: they do not come along */
    size_t source_count;
};
struct compact_plan {
    struct compact_group *groups;
    size_t group_count;
    int64_t bytes, rows, hidden; /* of all groups */
    size_t file_count;
    struct catalog_hidden *rows_hidden; /* of the whole dataset; borrowed; NULL: none */
};

struct compact_planning {
    const struct catalog_dataset *dataset;
    struct catalog_hidden *hidden; /* NULL: none */
    int64_t file_bytes;
    bool is_automatic;
};
void compact_plan(const struct compact_planning *planning, struct lh_arena *arena,
                  struct compact_plan *ret);

#endif
