/* Search: indexes derived from datasets, asked in words and by meaning.
 *
 *   search_index ─▶ source rows at a pinned version ─▶ chunks ─▶ vectors ─▶ parts (Parquet) ─▶
 *   published one by one, each with a manifest ─▶ "ready"
 *   search_query ─▶ the dataset's version now ─▶ what differs from the index ─▶ exact search over
 *   both, words beside it, fused ─▶ one hit per source row
 *
 * An index is a list of parts; each row of a part says which source row (id, hash of its text) it
 * stands for. So what an index lacks or has too much against any version of its dataset is always
 * known, a half-built index goes on where it stopped, and no search shows a row that the dataset
 * does not have: rows that went are hidden, rows that came are searched from memory (or counted in
 * the reply as pending, when they are many). Everything here can be made again from the datasets.
 *
 * Knows datasets (catalog/), not who may see them: rows are read through the `source` that lake/
 * hands over, and vectors are made by an `embedder` that it hands over.
 *
 * Threads: any thread may call. One build or refresh per index at a time (LH_CONFLICT). Blocking:
 * as long as the work takes; the first search of an index loads it. Errors besides those named:
 * LH_NOT_FOUND (no such index), LH_DAMAGED (a file is not what was written), LH_IO, LH_FULL,
 * LH_BUSY (memory), LH_UNKNOWN, and the stopping codes.
 */
#ifndef LAKEHOUSE_SEARCH_SEARCH_H
#define LAKEHOUSE_SEARCH_SEARCH_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/field.h"
#include "base/uuid.h"
#include "search/configuration.h"
#include "search/embedder.h"

struct storage;
struct engine;
struct catalog;
struct jobs;
struct job;
struct engine_chunk;
struct engine_vector;
struct search; /* made by search_open, ended by search_close */

#define SEARCH_NAME_BYTES_MAX 63
#define SEARCH_K_MAX 10000
#define SEARCH_K_PRESET 10
#define SEARCH_DIMENSIONS_MAX 16384
#define SEARCH_QUERY_BYTES_MAX 65536
#define SEARCH_CHUNK_SIZE_PRESET 1000
#define SEARCH_OVERLAP_PRESET 150
#define SEARCH_GRAPH_ROWS_PRESET 20000
#define SEARCH_WATCH_PERCENT_PRESET 2
#define SEARCH_DOCUMENT_BYTES_MAX ((size_t)256 << 20) /* the text of one row */

/* Rows of a SELECT over the lake, as a trusted reader sees it. */
struct search_source {
    void *context;
    enum lh_code (*open)(void *context, struct lh_str sql, const json_t *parameters,
                         const struct lh_cancel *cancel, void **ret_rows, struct lh_error *err);
    /* The next rows, *ret = NULL at the end; borrowed until the next call. */
    enum lh_code (*next)(void *rows, const struct engine_chunk **ret, struct lh_error *err);
    /* Appends a value as replies in JSON write it. */
    enum lh_code (*write)(const struct engine_vector *vector, size_t row, struct lh_buf *buf,
                          struct lh_error *err);
    void (*close)(void *rows); /* NULL is fine */
};

struct search_options {
    struct engine *engine; /* all borrowed, all outlive the search */
    struct storage *storage;
    struct catalog *catalog;
    const struct search_embedder *const *embedders; /* the first is the default */
    size_t embedder_count;
    struct search_source source;
    int64_t memory_max; /* of all loaded indexes together; 0: no limit */
    int64_t graph_rows; /* chunks from which on an index has a graph; 0: SEARCH_GRAPH_ROWS_PRESET */
    unsigned graph_threads; /* that make one; 0: 1 */
    int64_t watch_percent;  /* of a thread's time, see watch.h; 0: SEARCH_WATCH_PERCENT_PRESET */
    /* Who wrote versions of an index is done with it; may be NULL. Called by the writer, without
     * locks; does not block. */
    void (*on_change)(void *context);
    void *context; /* of on_change */
};

/* Reads the registry, finishes what a crash left, registers the table functions with the engine. A
 * damaged index does not fail the open: it is unavailable and listed by search_problems. */
enum lh_code search_open(const struct search_options *options, struct search **ret,
                         struct lh_error *err) LH_MUST_USE;
/* After jobs_open, before jobs_start: a half-built index whose job will not run again is removed.
 */
void search_forget_abandoned(struct search *search, struct jobs *jobs);
/* No call may be running. NULL is fine. */
void search_close(struct search *search);

/* Moves files that no manifest names to the trash, and those of the keyword leg that an index made
 * anew does not read any more: for a background thread. */
enum lh_code search_sweep(struct search *search, size_t *ret_moved,
                          struct lh_error *err) LH_MUST_USE;

struct search_problem {
    struct lh_str name;
    struct lh_str what; /* a sentence */
};
void search_problems(struct search *search, struct lh_arena *arena, struct search_problem **ret,
                     size_t *ret_count);
/* What is in memory of the indexes that were searched, by name. In `arena`. */
struct search_memory {
    struct lh_str name;
    int64_t entries; /* chunks */
    int64_t vector_bytes;
    int64_t graph_bytes;
    int64_t bytes;       /* of everything: vectors, graph, texts, the order of ids */
    int64_t fresh_bytes; /* of rows that the index does not hold yet */
};
void search_memory_list(struct search *search, struct lh_arena *arena, struct search_memory **ret,
                        size_t *ret_count);
int64_t search_memory_limit(const struct search *search); /* 0: none */
/* Names of the indexes that rest on a dataset. */
void search_dependents(struct search *search, struct lh_str dataset_id, struct lh_arena *arena,
                       struct lh_str_list *ret);

/* The names of the table functions, for the resolver's allow-list, and a number that changes when a
 * statement that calls one must be prepared anew. */
extern const struct lh_str search_table_functions[];
extern const size_t search_table_function_count;
uint64_t search_definitions(const struct search *search);

/* --- the registry ------------------------------------------------------------------------------*/

/* Whose stems the keyword leg knows; "none": words as they are. Ends with NULL. */
extern const char *const search_languages[];

enum search_state { SEARCH_BUILDING, SEARCH_READY };
extern const char *const search_state_names[];
/* What is told of it: ready, unless its files are not what was written, or its bucket is away. */
enum search_shown_state {
    SEARCH_SHOWN_BUILDING,
    SEARCH_SHOWN_READY,
    SEARCH_SHOWN_DAMAGED,
    SEARCH_SHOWN_UNAVAILABLE
};

/* When an index follows its dataset. */
struct search_policy {
    int kind;               /* enum catalog_refresh_kind */
    struct lh_str schedule; /* as lh_schedule_parse reads it; absent unless scheduled */
};
extern const struct lh_fields search_policy_fields;

/* What is told of an index's graph. */
struct search_graph_info {
    const struct search_configuration *configuration; /* that it was made with */
    int64_t ef_search;                                /* in effect: raised until enough is found */
    double recall;                                    /* as measured with that */
    int64_t sample;
    struct lh_time made_at;
    int64_t dataset_version; /* that it was made at */
    int64_t rows;            /* chunks that it found then */
    int64_t tail;            /* chunks of parts that came since: searched exactly beside it */
    int64_t bytes;
    struct lh_list recalls; /* of struct search_graph_recall */
};
struct search_graph_recall {
    int64_t ef;
    double recall;
};
/* What is told of an index. */
struct search_index_info {
    struct lh_str name;
    struct lh_str id;
    int state;             /* enum search_shown_state */
    struct lh_str problem; /* of damaged and unavailable: what is wrong */
    struct lh_str source;  /* the dataset's name today; absent: it is gone */
    struct lh_str dataset_id;
    struct lh_str model;
    struct lh_str model_version;
    int64_t dimensions;
    struct lh_str bucket;
    struct lh_str backend;
    struct lh_str id_column;
    struct lh_str id_type; /* SQL */
    struct lh_str id_prefix;
    struct lh_str_list text_columns;
    struct lh_str vector_column;
    int64_t chunk_size;
    int64_t overlap;
    struct lh_str language;
    double recall;                                    /* of searches by meaning */
    double min_recall;                                /* that they shall have; 0: none is said */
    const struct search_configuration *configuration; /* of its graphs */
    bool is_promoted;                                 /* that configuration; not shown */
    const struct search_graph_info *graph;            /* NULL: it has none */
    bool is_graph_due;                                /* one is to be made; not shown */
    int64_t version;                                  /* of the index */
    int64_t generation;                               /* of its vectors */
    int64_t dataset_version;                          /* that it covers; 0: none yet */
    int64_t rows;
    int64_t chunks;
    int64_t empty_rows;
    int64_t null_ids;
    int64_t duplicate_ids;
    int64_t parts;
    int64_t bytes;
    struct lh_str description;
    const struct search_policy *refresh_policy; /* its own, or its dataset's */
    bool has_own_policy;
    bool is_stale;
    struct lh_time created_at;
    struct lh_time updated_at;
    struct lh_str job_id; /* of the build that goes on; absent: none */
};
extern const struct lh_fields search_index_info_fields;

struct search_list_filter {
    struct lh_str source; /* a dataset's name; absent: any */
    struct lh_str model;  /* absent: any */
};
/* Ascending by name, those after the name `after` (absent = all). */
enum lh_code search_list(struct search *search, const struct search_list_filter *filter,
                         struct lh_str after, size_t limit, struct lh_arena *arena,
                         struct search_index_info **ret, size_t *ret_count, struct lh_str *ret_next,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code search_get(struct search *search, struct lh_str name, struct lh_arena *arena,
                        struct search_index_info *ret, struct lh_error *err) LH_MUST_USE;
/* What is given is changed; texts with data NULL stay as they are. */
struct search_change {
    struct lh_str name;
    struct lh_str description;
    struct lh_str id_prefix;
    struct lh_str language;
    const struct search_policy *refresh_policy; /* NULL: stays as it is */
    double min_recall;                          /* of its graph; below 0: stays as it is */
    bool is_policy_of_dataset;                  /* the index has no policy of its own any more */
    int64_t expected_version;                   /* 0: any; else LH_PRECONDITION */
};
/* LH_INVALID, LH_EXISTS (the name), LH_PRECONDITION; LH_CONFLICT: it is being built or refreshed.
 * Words of another language are counted anew by the next search. */
enum lh_code search_change_index(struct search *search, struct lh_str name,
                                 const struct search_change *change,
                                 struct lh_error *err) LH_MUST_USE;
/* When the index fell behind its dataset; 0: it did not. LH_NOT_FOUND. */
enum lh_code search_stale_since(struct search *search, struct lh_str name, int64_t *ret_unix_ms,
                                struct lh_error *err) LH_MUST_USE;
/* LH_CONFLICT: it is being built. LH_PRECONDITION: it is not (any more) that `version` (0 = any).
 */
enum lh_code search_drop(struct search *search, struct lh_str name, int64_t version,
                         struct lh_error *err) LH_MUST_USE;

#endif
