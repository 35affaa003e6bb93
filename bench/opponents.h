/* The libraries that the graph is measured beside, behind one row each: V1 to V4 and V7 to V10.
 *
 * Vectors have length 1; the nearest are those of the greatest dot product. All functions end the
 * program when a library fails. */
#ifndef LAKEHOUSE_BENCH_OPPONENTS_H
#define LAKEHOUSE_BENCH_OPPONENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct opponent_config {
    unsigned links;       /* M: per node of the upper levels, twice as many on the lowest */
    unsigned build_width; /* ef_construction */
};

struct opponent { /* a library's index, or a way to use it */
    const char *name;
    const char *version;
    /* Takes the rows in; they stay where they are until it is freed. */
    void *(*build)(const float *rows, size_t count, size_t dimensions,
                   const struct opponent_config *config, unsigned threads);
    void (*free)(void *index);
    /* The numbers of the k nearest, in any order; returns how many. One thread at a time. */
    size_t (*search)(void *index, const float *query, size_t k, size_t width, size_t *ret);
    /* From now on only rows whose bit is set are found; NULL: all. The bits stay. */
    void (*allow)(void *index, const uint64_t *bits);
    size_t (*bytes)(const void *index); /* rows, links and labels; 0: it does not say */
    void (*save)(const void *index, const char *path);
    void *(*load)(const char *path, size_t dimensions);
    const char *(*speed)(void); /* which instructions it computes with; NULL: as compiled */
};

extern const struct opponent opponent_hnswlib, opponent_faiss_hnsw, opponent_faiss_ivfpq;
extern const struct opponent opponent_usearch_f32, opponent_usearch_i8;

#ifdef __cplusplus
}
#endif

#endif
