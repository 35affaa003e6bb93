/* hnswlib behind C functions: the opponent of V1, V3 and V8. */
#ifndef LAKEHOUSE_BENCH_OPPONENT_H
#define LAKEHOUSE_BENCH_OPPONENT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct opponent;

struct opponent *opponent_new(size_t dimensions, size_t rows_max, size_t links, size_t build_width);
void opponent_free(struct opponent *index);
void opponent_add(struct opponent *index, const float *row, size_t number); /* any thread */
void opponent_set_width(struct opponent *index, size_t width);
/* The numbers of the k nearest, in any order; returns how many. */
size_t opponent_search(struct opponent *index, const float *query, size_t k, size_t *ret);
/* Rows, links and labels, as they were allocated. */
size_t opponent_bytes(const struct opponent *index);

#ifdef __cplusplus
}
#endif

#endif
