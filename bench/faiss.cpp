#include "faiss.h"
#include "opponents.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexRefine.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_io.h>
#include <omp.h>

extern "C" void openblas_set_num_threads(int);

struct faiss_flat {
    ::faiss::IndexFlatIP index;
    explicit faiss_flat(int dimensions) : index(dimensions)
    {
    }
};

struct faiss_flat *faiss_flat_new(const float *rows, size_t count, size_t dimensions)
{
    omp_set_num_threads(1);
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

namespace
{

/* The library's names follow its version; Debian 12 has one. */
const char *const version = "1.7.3";

struct held {
    std::unique_ptr<::faiss::Index> base;
    std::unique_ptr<::faiss::IndexRefineFlat> refined; /* over `base`: orders it by floats */
    std::unique_ptr<::faiss::IDSelector> among;
};

struct bits_selector : ::faiss::IDSelector {
    const uint64_t *bits;
    explicit bits_selector(const uint64_t *bits) : bits(bits)
    {
    }
    bool is_member(::faiss::Index::idx_t at) const override
    {
        return bits[at / 64] >> (at % 64) & 1;
    }
};

void *build_hnsw(const float *rows, size_t count, size_t dimensions, const opponent_config *config,
                 unsigned threads)
{
    omp_set_num_threads(static_cast<int>(threads));
    auto made = std::make_unique<::faiss::IndexHNSWFlat>(static_cast<int>(dimensions),
                                                         static_cast<int>(config->links),
                                                         ::faiss::METRIC_INNER_PRODUCT);
    made->hnsw.efConstruction = static_cast<int>(config->build_width);
    made->add(static_cast<::faiss::Index::idx_t>(count), rows);
    omp_set_num_threads(1);
    return new held{std::move(made), nullptr, nullptr};
}

size_t take(const ::faiss::Index::idx_t *labels, size_t k, size_t *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < k; i++)
        if (labels[i] >= 0)
            ret[count++] = static_cast<size_t>(labels[i]);
    return count;
}

size_t search_hnsw(void *from, const float *query, size_t k, size_t width, size_t *ret)
{
    auto self = static_cast<held *>(from);
    ::faiss::SearchParametersHNSW how;
    how.efSearch = static_cast<int>(width);
    how.sel = self->among.get();
    std::unique_ptr<float[]> scores(new float[k]);
    std::unique_ptr<::faiss::Index::idx_t[]> labels(new ::faiss::Index::idx_t[k]);
    self->base->search(1, query, static_cast<::faiss::Index::idx_t>(k), scores.get(), labels.get(),
                       &how);
    return take(labels.get(), k, ret);
}

void allow(void *from, const uint64_t *bits)
{
    auto self = static_cast<held *>(from);
    self->among.reset(bits ? new bits_selector(bits) : nullptr);
}

size_t bytes_hnsw(const void *from)
{
    auto graph =
        static_cast<const ::faiss::IndexHNSW *>(static_cast<const held *>(from)->base.get());
    return static_cast<size_t>(graph->ntotal) * static_cast<size_t>(graph->d) * sizeof(float) +
           graph->hnsw.neighbors.size() * sizeof(graph->hnsw.neighbors[0]) +
           graph->hnsw.offsets.size() * sizeof(graph->hnsw.offsets[0]);
}

/* Lists by k-means, rows as product codes of 8 dimensions a byte; what is found is ordered by
 * floats. `links` and `build_width` say nothing here; a search's width is that of the floats' list,
 * and an eighth of it the number of lists looked into. */
void *build_ivfpq(const float *rows, size_t count, size_t dimensions, const opponent_config *,
                  unsigned threads)
{
    omp_set_num_threads(static_cast<int>(threads));
    auto lists = static_cast<size_t>(4 * std::sqrt(static_cast<double>(count)));
    auto quantizer = new ::faiss::IndexFlatIP(static_cast<::faiss::Index::idx_t>(dimensions));
    auto made = std::make_unique<::faiss::IndexIVFPQ>(quantizer, dimensions, lists, dimensions / 8,
                                                      8, ::faiss::METRIC_INNER_PRODUCT);
    made->own_fields = true;
    auto refined = std::make_unique<::faiss::IndexRefineFlat>(made.get());
    refined->train(static_cast<::faiss::Index::idx_t>(count), rows);
    refined->add(static_cast<::faiss::Index::idx_t>(count), rows);
    omp_set_num_threads(1);
    return new held{std::move(made), std::move(refined), nullptr};
}

size_t search_ivfpq(void *from, const float *query, size_t k, size_t width, size_t *ret)
{
    auto self = static_cast<held *>(from);
    static_cast<::faiss::IndexIVFPQ *>(self->base.get())->nprobe = std::max<size_t>(1, width / 8);
    self->refined->k_factor = static_cast<float>(std::max<size_t>(1, width / k));
    std::unique_ptr<float[]> scores(new float[k]);
    std::unique_ptr<::faiss::Index::idx_t[]> labels(new ::faiss::Index::idx_t[k]);
    self->refined->search(1, query, static_cast<::faiss::Index::idx_t>(k), scores.get(),
                          labels.get());
    return take(labels.get(), k, ret);
}

size_t bytes_ivfpq(const void *from)
{
    auto lists =
        static_cast<const ::faiss::IndexIVFPQ *>(static_cast<const held *>(from)->base.get());
    return static_cast<size_t>(lists->ntotal) * (lists->code_size + sizeof(::faiss::Index::idx_t) +
                                                 static_cast<size_t>(lists->d) * sizeof(float));
}

void release(void *from)
{
    auto self = static_cast<held *>(from);
    self->refined.reset(); /* before what it stands on */
    delete self;
}

} // namespace

const opponent opponent_faiss_hnsw = {
    "faiss HNSW",
    version,
    build_hnsw,
    release,
    search_hnsw,
    allow,
    bytes_hnsw,
    [](const void *from, const char *path) {
        ::faiss::write_index(static_cast<const held *>(from)->base.get(), path);
    },
    [](const char *path, size_t) -> void * {
        return new held{std::unique_ptr<::faiss::Index>(::faiss::read_index(path)), nullptr,
                        nullptr};
    },
    nullptr,
};

const opponent opponent_faiss_ivfpq = {
    "faiss IVF-PQ + floats",
    version,
    build_ivfpq,
    release,
    search_ivfpq,
    nullptr,
    bytes_ivfpq,
    nullptr,
    nullptr,
    nullptr,
};
