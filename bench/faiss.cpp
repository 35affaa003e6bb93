#include "faiss.h"

#if BENCH_FAISS
#include <faiss/IndexFlat.h>
#include <omp.h>

extern "C" void openblas_set_num_threads(int) __attribute__((weak));

struct faiss_flat {
    ::faiss::IndexFlatIP index;
    explicit faiss_flat(int dimensions) : index(dimensions) {}
};

struct faiss_flat *faiss_flat_new(const float *rows, size_t count, size_t dimensions)
{
    omp_set_num_threads(1);
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
    auto *flat = new struct faiss_flat(static_cast<int>(dimensions));
    flat->index.add(static_cast<::faiss::Index::idx_t>(count), rows);
    return flat;
}

void faiss_flat_free(struct faiss_flat *index)
{
    delete index;
}

void faiss_flat_search(struct faiss_flat *index, const float *queries, size_t count, size_t k,
                       int64_t *ret_rows, float *ret_scores)
{
    index->index.search(static_cast<::faiss::Index::idx_t>(count), queries,
                        static_cast<::faiss::Index::idx_t>(k), ret_scores, ret_rows);
}
#else
struct faiss_flat *faiss_flat_new(const float *, size_t, size_t)
{
    return nullptr;
}
void faiss_flat_free(struct faiss_flat *) {}
void faiss_flat_search(struct faiss_flat *, const float *, size_t, size_t, int64_t *, float *) {}
#endif
