/* Building and refreshing indexes: the two kinds of jobs, and which indexes need one. See search.h
 * for what holds of all of it. */
#ifndef LAKEHOUSE_SEARCH_MAKE_H
#define LAKEHOUSE_SEARCH_MAKE_H

#include "search/search.h"

/* The arguments of both kinds of jobs, as their record keeps them. */
struct search_build_request {
    struct lh_str index_name;
    struct lh_str dataset;
    struct lh_str id_column;
    struct lh_str_list text_columns;
    struct lh_str vector_column;
    struct lh_str model;
    int64_t chunk_size;
    int64_t overlap;
    struct lh_str id_prefix;
    struct lh_str language; /* absent: english, or what the index has */
    bool from_scratch;      /* of a refresh: everything is made anew, as a new generation */
};
extern const struct lh_fields search_build_request_fields;

struct search_build_result {
    struct lh_str index_name;
    struct lh_str dataset;
    int64_t dataset_version;
    int64_t version;
    int64_t rows; /* of the dataset that were looked at */
    int64_t new;
    int64_t changed;
    int64_t removed;
    int64_t chunks_embedded;
    int64_t empty_rows;
    int64_t null_ids;
    int64_t duplicate_ids;
    bool stale_cleared;
    double rows_per_second;
    int64_t elapsed_ms;
};
extern const struct lh_fields search_build_result_fields;

/* What is wrong with a request is told before a job is accepted: LH_INVALID, LH_NOT_FOUND (dataset,
 * column, model), LH_EXISTS. */
enum lh_code search_check(struct search *search, const struct search_build_request *request,
                          struct lh_error *err) LH_MUST_USE;

/* Kinds of jobs, for the table that lake/ hands to jobs_start; `context` of run is the struct
 * search. Arguments are search_build_request_fields, the result search_build_result_fields. */
#define SEARCH_INDEX_JOB_KIND "vectors.index"
#define SEARCH_REFRESH_JOB_KIND "vectors.refresh"
enum lh_code search_index_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
/* Brings an index up to its dataset's version now; builds it when it is absent. */
enum lh_code search_refresh_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
/* Makes the graph of an index that is large enough for one and has none, or a bad one. The result
 * is search_graph_result_fields. */
#define SEARCH_GRAPH_JOB_KIND "vectors.graph"
struct search_graph_result {
    struct lh_str index_name;
    int64_t version; /* of the index */
    int64_t rows;    /* that the graph finds; 0: there is none */
    int64_t ef_search;
    double recall; /* NaN: there is no graph */
    int64_t sample;
    int64_t elapsed_ms;
};
extern const struct lh_fields search_graph_result_fields;
enum lh_code search_graph_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
/* Of the two before: whether the index stands as this job made it (job_kind.find_effect). */
enum lh_code search_find_effect(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err) LH_MUST_USE;

struct search_stale {
    struct lh_str dataset;
    struct lh_str index_name;
    struct lh_time stale_since;
    int64_t age_s;
    struct lh_str policy;
    int64_t rows_waiting; /* new and changed */
    int64_t rows_removed;
    struct lh_str problem; /* why the two are not known, and 0; absent: they are */
};
extern const struct lh_fields search_stale_fields;
enum lh_code search_stale_list(struct search *search, const struct lh_cancel *cancel,
                               struct lh_arena *arena, struct search_stale **ret, size_t *ret_count,
                               struct lh_error *err) LH_MUST_USE;

#endif
