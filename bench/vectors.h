/* Vectors to measure searches on, of 768 dimensions and length 1: made from the package index of
 * the machine, or from a seed. Queries never stand among the rows. */
#ifndef LAKEHOUSE_BENCH_VECTORS_H
#define LAKEHOUSE_BENCH_VECTORS_H

#include <stddef.h>

#define VECTORS_DIMENSIONS ((size_t)768)
#define VECTORS_QUERIES ((size_t)1000)
#define VECTORS_K ((size_t)10)

struct vectors {
    const char *name;
    size_t count; /* rows */
    float *rows, *queries;
    float *kth; /* of each query: the score of its k-th best row, by an exact search */
};

enum vectors_kind { VECTORS_TEXTS, VECTORS_CLUSTERS, VECTORS_GAUSSIAN, VECTORS_SKEWED };

/* At most `rows_max` rows; the exact search is done by two threads. */
void vectors_make(enum vectors_kind kind, size_t rows_max, struct vectors *ret);
void vectors_release(struct vectors *vectors);
/* Of k scores of found rows (computed here from their numbers): how many are as good as the k-th
 * best, up to a millionth of the distance. */
size_t vectors_right(const struct vectors *vectors, size_t query, const size_t *rows, size_t count);

#endif
