/* A graph against what is true: queries of an eval set, asked of the graph and of all rows. Inside
 * search/ only.
 *
 * A bench holds the index's view as long as it is open: what is measured on it is comparable. Rows
 * that the index has not yet are searched exactly beside every graph, so they are left out on both
 * sides. One thread.
 */
#ifndef LAKEHOUSE_SEARCH_BENCH_H
#define LAKEHOUSE_SEARCH_BENCH_H

#include "search/evals.h"
#include "search/view_graph.h"

/* A source row that was found, by the ordinal of its first entry. */
struct bench_row {
    size_t row;
    float score;
};

struct bench_query {
    const float *vector;    /* unit length, 64-byte aligned */
    size_t own;             /* the row that asks, which does not count; VIEW_NONE */
    size_t wanted;          /* rows that are to be found: k, if there are so many */
    float floor;            /* what the last of them scores */
    const size_t *relevant; /* rows, by labels */
    size_t relevant_count;
};

struct bench {
    struct search *search;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct pin pin;
    const struct view *view;
    const uint64_t *mute; /* bit per ordinal: is not to be found */
    struct eval_set set;
    bool is_stale;
    size_t k;
    struct bench_query *queries;
    size_t query_count;
    size_t left_out; /* queries that cannot be asked: the row is gone, or the words mean nothing */
    size_t unknown_ids;
    float *vectors;
};

/* What a bench says of a graph. */
struct measured {
    double recall;
    bool has_labels;
    struct search_relevance relevance;
    double p50_us, p95_us;
    double evaluations; /* rows that a search looks at, in codes or floats, on average */
};

/* Rows alone, without queries: for who makes them. */
enum lh_code bench_open_rows(struct search *search, struct lh_str index_name,
                             const struct lh_cancel *cancel, struct bench *ret,
                             struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND: the index or the set; LH_CONFLICT: there is nothing to ask. The truth of a labelled
 * or a stale set is looked for now. */
enum lh_code bench_open(struct search *search, struct lh_str index_name, struct lh_str harness,
                        const struct lh_cancel *cancel, struct bench *ret,
                        struct lh_error *err) LH_MUST_USE;
void bench_close(struct bench *bench);

/* The nearest rows by looking at all of them; `ret` has room for `want`. */
enum lh_code bench_exact(const struct bench *bench, const float *vector, size_t own, size_t want,
                         struct bench_row *ret, size_t *ret_count,
                         struct lh_error *err) LH_MUST_USE;

/* Adds the entry's row unless it stands there, is the one that asks, or there are `want`. */
void bench_add_row(const struct view *view, size_t ordinal, float score, size_t own, size_t want,
                   struct bench_row *rows, size_t *count);

/* A graph over the bench's view, beside whatever is served; its numbers are the view's ordinals. */
struct bench_graph {
    struct graph *graph;
    size_t rows;     /* that it finds */
    int64_t claimed; /* bytes of memory */
    int64_t build_ms;
};
typedef void bench_progress(void *context, size_t done, size_t total);
/* LH_TOO_LARGE, LH_BUSY: there is no memory beside what is loaded. */
enum lh_code bench_build(struct bench *bench, const struct search_configuration *configuration,
                         bench_progress *progress, void *context, struct bench_graph *ret,
                         struct lh_error *err) LH_MUST_USE;
void bench_graph_release(struct bench *bench, struct bench_graph *graph);
enum lh_code bench_run(const struct bench *bench, const struct bench_graph *graph,
                       int64_t ef_search, struct measured *ret, struct lh_error *err) LH_MUST_USE;

/* Of found rows, best first, and those that are relevant: how well the first k answer. Each row
 * counts once. */
struct search_relevance relevance_of(const size_t *found, size_t found_count,
                                     const size_t *relevant, size_t relevant_count, size_t k);
/* The share `part` (0 … 1) of sorted samples lies at or below it: nearest rank. */
double percentile_of(const double *sorted, size_t count, double part);

#endif
