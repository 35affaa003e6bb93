/* The kernels by kind of processor; distance.c chooses. */
#ifndef LAKEHOUSE_SEARCH_DISTANCE_INTERNAL_H
#define LAKEHOUSE_SEARCH_DISTANCE_INTERNAL_H

#include "search/distance.h"

#define SEARCH_LANES 16
#define SEARCH_BYTES_AHEAD 2048 /* how far ahead memory is asked for */

/* One query after the other: rows that were read once stay near. */
void search_block_by_query(const struct search_block *block, const struct search_block_rows *rows,
                           void (*code_dots)(const int8_t *codes, const int32_t *sums,
                                             size_t row_count, size_t stride,
                                             const struct search_query_code *query, int64_t *ret),
                           double *ret_sums, uint32_t *ret_reached);

#if defined(__x86_64__)
/* Of the kernels without tiles, for those with them. */
void search_dots_avx512(const float *rows, size_t row_count, size_t dimensions, const float *query,
                        float *ret);
void search_code_dots_vnni(const int8_t *codes, const int32_t *sums, size_t row_count,
                           size_t stride, const struct search_query_code *query, int64_t *ret);
void search_block_vnni(const struct search_block *block, const struct search_block_rows *rows,
                       double *ret_sums, uint32_t *ret_reached);
/* Whether this processor multiplies tiles of bytes, and the system lets this process do it. */
bool search_amx_may(void);
extern const struct search_kernels search_kernels_amx;
extern const struct search_kernels search_kernels_avx2;
extern const struct search_kernels search_kernels_avx512;
extern const struct search_kernels search_kernels_vnni;
#elif defined(__aarch64__)
extern const struct search_kernels search_kernels_neon;
#endif

#endif
