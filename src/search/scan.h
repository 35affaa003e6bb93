/* The nearest rows of a matrix by dot product, found by looking at all of them.
 *
 * Sums are made in 16 lanes that are added in a fixed order, without fused operations, so every
 * processor gives the same bits. No locks, no blocking; any thread.
 */
#ifndef LAKEHOUSE_SEARCH_SCAN_H
#define LAKEHOUSE_SEARCH_SCAN_H

#include "base/str.h"

struct search_scan {
    const float *rows; /* row after row */
    size_t row_count;
    size_t dimensions;
    const uint64_t *left_out; /* bit per row; NULL: none is */
};
struct search_scan_hit {
    size_t row;
    float score;
};
/* Fills `ret`, best first, equal scores by row; returns how many there are, at most k. */
size_t search_scan_top(const struct search_scan *scan, const float *query, size_t k,
                       struct search_scan_hit *ret);

#endif
