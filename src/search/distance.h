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

/* Several queries that look at the same rows together, and from where on a row counts for each. */
#define SEARCH_BLOCK_QUERIES ((size_t)32)
#define SEARCH_BLOCK_ROWS ((size_t)64) /* at a time, at most */
#define SEARCH_TILE_QUERIES ((size_t)16)
#define SEARCH_TILE_BYTES ((size_t)1024)
#define SEARCH_BIAS 32768 /* what the two bytes of a query's number have too much */
struct search_block {
    /* By query, in floats: what a row is looked at with first. */
    _Alignas(64) float float_steps[SEARCH_BLOCK_QUERIES];
    float float_reaches[SEARCH_BLOCK_QUERIES];
    float bars[SEARCH_BLOCK_QUERIES];
    const struct search_query_code *codes[SEARCH_BLOCK_QUERIES];
    size_t count;
    size_t tile_count; /* for each 64 dimensions: 1 up to 16 queries, else 2 */
    /* For each 64 dimensions and each 16 queries, first of the high bytes, then of the low ones:
     * four bytes of the first query, four of the second …; then the next four of each. */
    const uint8_t *tiles;
};
/* The codes of up to SEARCH_BLOCK_ROWS rows, side by side. */
struct search_block_rows {
    size_t count, stride;
    const int8_t *codes;
    const int32_t *sums;
    const float *scales, *errors;
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
    /* ret_reached[row]: a bit for each query whose bar the row reaches,
     *   scale · step · (codes[row] · query q) + error · reach ≥ bar, or no number,
     * up to the rounding of floats; ret_sums[row * SEARCH_BLOCK_QUERIES + q], where the bit is set,
     * is codes[row] · query q, exactly. */
    void (*block)(const struct search_block *block, const struct search_block_rows *rows,
                  double *ret_sums, uint32_t *ret_reached);
};

/* The best one here; decided once. */
const struct search_kernels *search_kernels_best(void);
/* All that can run on this processor, the plain ones first; NULL past the last. */
const struct search_kernels *search_kernels_at(size_t at);

#endif
