/* Rows made by seed for tests of the graph, and graphs over them. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_GRAPH_DATA_H
#define LAKEHOUSE_TESTS_SUPPORT_GRAPH_DATA_H

#include "search/distance.h"
#include "search/graph.h"

enum graph_data_kind {
    GRAPH_DATA_CLUSTERS,
    GRAPH_DATA_GAUSSIAN,
    GRAPH_DATA_SKEWED, /* few dimensions carry most */
    GRAPH_DATA_EQUAL,  /* Gaussian, but half of the rows are three rows, again and again */
};

struct graph_data {
    size_t count, dimensions, query_count;
    float *rows, *queries;
    bool is_unit; /* scores are dot products, else minus the squared distance */
    bool is_dot;
};

uint64_t graph_data_bits(void); /* the next number by seed */
struct graph_data graph_data_make(enum graph_data_kind kind, size_t count, size_t dimensions,
                                  bool is_unit);
void graph_data_release(struct graph_data *data);
/* The score of the k-th best row, by looking at all; by the metric of the last graph made. */
float graph_data_kth(const struct graph_data *data, const float *query, size_t k);

/* Graphs over all rows; the test fails if there is none. */
struct graph *graph_data_build(struct graph_data *data, enum graph_metric metric, unsigned bits,
                               unsigned threads);
struct graph *graph_data_build_with(struct graph_data *data, const struct graph_options *options,
                                    unsigned threads);

/* A graph's file in memory, and a graph of a file with these bytes. */
struct graph_data_bytes {
    uint8_t *bytes;
    size_t count;
};
struct graph_data_bytes graph_data_write(struct graph *graph);
enum lh_code graph_data_open(const struct graph_data_bytes *bytes, struct graph **ret,
                             struct lh_error *err);

#endif
