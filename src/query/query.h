/* SQL over the lake: one SELECT in, typed rows out, at one pinned moment.
 *
 *                     parse, check, splice          run                     query_next, … or
 *   struct query_request ───────────────▶ plan ───────────▶ struct query ──────────────────▶ rows
 *                     (remembered per text)                  query_open          query_encode
 *
 * Resolving is the only way that SQL reaches data: the statement's tree is walked with an
 * allow-list, every table name becomes the relation that this principal may see, spliced into the
 * caller's own text, and what runs is proven to be the checked statement but for those relations.
 * Files, settings, other catalogs and writes are refused with a reason. Errors speak in the
 * caller's text and positions (err->position); neither paths nor spliced SQL appear in them.
 *
 * Errors: LH_SYNTAX (cannot be parsed), LH_REFUSED (understood, not allowed), LH_NOT_FOUND (no such
 * dataset, no such version), LH_SQL (unknown columns, types, values), LH_INVALID (parameters,
 * as_of, limits), LH_TOO_LARGE (text, depth, nodes), LH_FORBIDDEN (this principal may not use SQL),
 * and those of the engine (LH_TIMEOUT, LH_CANCELLED, LH_BUSY, …).
 *
 * Threads: a query engine is shared; a query belongs to one thread at a time. Blocking: query_open
 * waits for a free connection and for the statement to start; query_next for its rows.
 */
#ifndef LAKEHOUSE_QUERY_QUERY_H
#define LAKEHOUSE_QUERY_QUERY_H

#include <jansson.h>

#include "base/cancel.h"
#include "engine/engine.h"

struct catalog;       /* catalog/catalog.h */
struct storage;       /* storage/storage.h */
struct query_engine;  /* made by query_engine_new, ended by query_engine_free */
struct query;         /* one statement; opened by query_open, ended by query_close */
struct query_encoder; /* encoder.h */

#define QUERY_SQL_BYTES_MAX ((size_t)65536)
#define QUERY_ROWS_PRESET INT64_C(10000)
#define QUERY_ROWS_MAX INT64_C(10000000)
#define QUERY_TIMEOUT_MS_PRESET INT64_C(30000)
#define QUERY_TIMEOUT_MS_MAX INT64_C(3600000)
#define QUERY_PARAMETERS_MAX 1000

/* --- the engine of one lake -------------------------------------------------------------------*/

struct query_relations; /* relations.h: more kinds of names that SQL may use (views, caches, …) */

struct query_engine_options {
    struct engine *engine;   /* borrowed, outlives the query engine */
    struct catalog *catalog; /* borrowed; NULL: there are no datasets, only `relations` */
    struct storage *storage; /* borrowed; where the catalog's objects are */
    /* Asked for a table name in this order, before the catalog's datasets: who stands first
     * shadows. Borrowed. */
    const struct query_relations *const *relations;
    size_t relation_count;
    /* Table functions of the lake that SQL may call ("hybrid_search", …); borrowed. */
    const struct lh_str *table_functions;
    size_t table_function_count;
    /* A number that changes when a statement that calls one of them must be prepared anew, because
     * its columns may be others. NULL: never. Any thread; no more than a look-up. */
    uint64_t (*table_function_stamp)(void *context);
    void *table_function_context;
    size_t plan_max; /* statements remembered; 0: 1024 */
    /* The folder of results that are files while they are sent; absent: the storage's. Absolute. */
    struct lh_str scratch_path;
};

enum lh_code query_engine_new(const struct query_engine_options *options, struct query_engine **ret,
                              struct lh_error *err) LH_MUST_USE;
/* Every query must have been closed. NULL is fine. */
void query_engine_free(struct query_engine *engine);

struct query_stats {
    int64_t queries;     /* opened since the start */
    int64_t refused;     /* by the resolver */
    int64_t plan_hits;   /* statements that were remembered */
    int64_t plan_misses; /* statements that were resolved */
    int64_t plans;       /* remembered now */
    int64_t plan_bytes;  /* that they hold, without the engine's own part of them */
};
struct query_stats query_engine_stats(struct query_engine *engine);

/* --- one statement ----------------------------------------------------------------------------*/

/* Who asks. Only trusted principals run in this process; for others query_open is LH_FORBIDDEN. */
struct query_principal {
    bool is_trusted;
    bool sees_raw; /* tombstoned rows too, as __raw__name; for others such names do not exist */
    struct lh_str
        grants; /* names what they may see: equal texts see the same; absent: everything */
};

struct query_request {
    struct lh_str sql;        /* one SELECT, DESCRIBE, SUMMARIZE, SHOW TABLES or EXPLAIN of these */
    const json_t *parameters; /* [1, "a"] for ? and $1, {"name": 1} for $name; NULL: none */
    const json_t *as_of;      /* "2026-01-31T09:00:00Z", or {"dataset": version}; NULL: now */
    int64_t limit;            /* rows returned at most; 0: QUERY_ROWS_PRESET */
    int64_t timeout_ms;       /* 0: QUERY_TIMEOUT_MS_PRESET */
    int64_t received_us;      /* monotonic: where the time limit counts from; 0: query_open */
    /* What query_encode will write, and query_next then has no rows; NULL: anything but a format
     * that is a file, or rows by query_next. */
    const struct query_encoder *encoder;
};

/* Resolves and starts the statement; the request and the principal are borrowed until it returns,
 * `cancel` (may be NULL) until the query is closed. */
enum lh_code query_open(struct query_engine *engine, const struct query_principal *principal,
                        const struct query_request *request, const struct lh_cancel *cancel,
                        struct query **ret, struct lh_error *err) LH_MUST_USE;

/* Live as long as the query; names may repeat. */
const struct engine_column *query_columns(const struct query *query, size_t *ret_count);

/* The next rows, never an empty chunk; *ret = NULL at the end or at the limit. What the last call
 * returned is gone. After an error only query_close may follow. */
enum lh_code query_next(struct query *query, const struct engine_chunk **ret,
                        struct lh_error *err) LH_MUST_USE;

/* Appends a value as the replies in JSON write it. LH_TOO_LARGE: more than the buffer takes. */
enum lh_code query_write_json(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                              struct lh_error *err) LH_MUST_USE;

/* What was read: name (as the catalog writes it) and version of every dataset, in order of name;
 * a dataset read at two versions stands there twice, the newer first. */
struct query_version {
    struct lh_str dataset;
    uint64_t version;
};
const struct query_version *query_versions(const struct query *query, size_t *ret_count);

int64_t query_row_count(const struct query *query); /* returned so far */
bool query_is_truncated(const struct query *query); /* after the end: there were more rows */
int64_t query_elapsed_us(const struct query *query);

void query_close(struct query *query); /* stops the statement if it still runs; NULL is fine */

/* The names of a statement's parameters, in `arena`. The statement is resolved and prepared as for
 * query_open, without values, and not run: LH_OK says that it could be. */
enum lh_code query_parameters(struct query_engine *engine, const struct query_principal *principal,
                              const struct query_request *request, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct lh_str **ret, size_t *ret_count,
                              struct lh_error *err) LH_MUST_USE;

/* The plan of a statement as text, free of paths and of what was spliced in. With `is_analyzed` it
 * is run to its end first and the plan carries times and rows. */
enum lh_code query_explain(struct query_engine *engine, const struct query_principal *principal,
                           const struct query_request *request, bool is_analyzed,
                           const struct lh_cancel *cancel, struct lh_arena *arena,
                           struct lh_str *ret_plan, struct lh_error *err) LH_MUST_USE;

#endif
