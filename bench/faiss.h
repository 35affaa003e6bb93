/* faiss's flat index behind C functions: the opponent of V6. */
#ifndef LAKEHOUSE_BENCH_FAISS_H
#define LAKEHOUSE_BENCH_FAISS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct faiss_flat;

/* One thread from now on; by inner product. */
struct faiss_flat *faiss_flat_new(const float *rows, size_t count, size_t dimensions);
void faiss_flat_free(struct faiss_flat *index);
/* k numbers of rows and scores for each query, best first. */
void faiss_flat_search(struct faiss_flat *index, const float *queries, size_t count, size_t k,
                       int64_t *ret_rows, float *ret_scores);

#ifdef __cplusplus
}
#endif

#endif
