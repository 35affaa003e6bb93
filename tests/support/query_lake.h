/* A small lake for tests of query/: Parquet files, the relations over them, and beside them an
 * oracle: a second engine in which views of the same names stand over the same files. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_QUERY_LAKE_H
#define LAKEHOUSE_TESTS_SUPPORT_QUERY_LAKE_H

#include "query/encoder.h"
#include "query/relations.h"
#include "support/temp_lake.h"

struct query_lake_version {
    const char *select; /* rows that this version adds: one file */
    int64_t unix_ms;    /* committed at */
};
struct query_lake_dataset {
    const char *name;
    const char *columns; /* as the view names them: "stored" AS "name", … */
    const struct query_lake_version *versions;
    size_t version_count;
};

struct query_lake {
    struct temp_lake folder;
    struct engine *engine; /* of the queries */
    struct engine *oracle;
    struct query_engine *query;
    struct query_relations relations;
    const struct query_relations *sources[1];
    struct lh_arena *arena;
    struct lh_str paths[32][8]; /* by dataset and version */
    struct engine_columns columns[32];
    size_t version_count[32]; /* committed so far: tests may add one */
};

extern const struct query_lake_dataset query_lake_datasets[];
extern const size_t query_lake_dataset_count;

void query_lake_open(struct query_lake *lake);
void query_lake_close(struct query_lake *lake);

/* The reply of the JSON encoder, or "ERROR <code>: <message>" with *ret_err filled. */
struct lh_str query_lake_json(struct query_lake *lake, const struct query_request *request,
                              struct lh_arena *arena, struct lh_error *ret_err);
struct lh_str query_lake_sql(struct query_lake *lake, const char *sql, struct lh_arena *arena);

#endif
