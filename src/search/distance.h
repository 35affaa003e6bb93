/* How near vectors are: dot products of many rows with one query, by the widest instructions that
 * the processor has.
 *
 * Every set of kernels gives the same bits. Floats: 16 lanes, each the sum of every 16th product in
 * order, products rounded before they are added, then the lanes added pairwise (8, 4, 2, 1). No
 * fused operations, which would round differently: memory is the wall here, not arithmetic.
 * Integers are exact anyway. No locks, no blocking, any thread.
 */
#ifndef LAKEHOUSE_SEARCH_DISTANCE_H
#define LAKEHOUSE_SEARCH_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Codes of a row end with zeros, so that rows begin at multiples of this many bytes. */
#define SEARCH_CODE_ALIGNMENT ((size_t)64)
/* Up to here no integer sum can overflow. */
#define SEARCH_CODE_DIMENSIONS_MAX ((size_t)32768)

/* A query in whole numbers: `values[i]` and, for instructions that multiply unsigned by signed
 * bytes, the same plus 32768 as two bytes. All three have `stride` numbers, zeros (32768) behind
 * the dimensions. */
struct search_query_code {
    const int16_t *values;
    const uint8_t *high;
    const uint8_t *low;
};

struct search_kernels {
    const char *name;
    /* ret[i] = rows[i] · query; rows are `dimensions` floats apart. */
    void (*dots)(const float *rows, size_t row_count, size_t dimensions, const float *query,
                 float *ret);
    /* ret[i] = codes[i] · query, exactly; rows are `stride` bytes apart, a multiple of 64.
     * sums[i] is the sum of the row's codes. */
    void (*code_dots)(const int8_t *codes, const int32_t *sums, size_t row_count, size_t stride,
                      const struct search_query_code *query, int64_t *ret);
};

/* The best one here; decided once. */
const struct search_kernels *search_kernels_best(void);
/* All that can run on this processor, the plain ones first; NULL past the last. */
const struct search_kernels *search_kernels_at(size_t at);

#endif
