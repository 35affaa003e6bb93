/* Three sets of 384 dimensions, none of which fits a cache of a core: clusters, Gaussian (the worst
 * there is for codes: all rows are equally far), and texts as the built-in embedder sees them. */
#ifndef LAKEHOUSE_BENCH_EXACT_H
#define LAKEHOUSE_BENCH_EXACT_H

#include "ai/lexical.h"
#include "search/scan.h"

#define EXACT_DIMENSIONS ((size_t)LEXICAL_DIMENSIONS)
#define EXACT_ROWS ((size_t)300000)
#define EXACT_QUERIES ((size_t)32)
#define EXACT_K 10

enum exact_kind { EXACT_CLUSTERS, EXACT_GAUSSIAN, EXACT_TEXTS, EXACT_KINDS };

struct exact_set {
    const char *name;
    float *rows, *queries;
    struct search_codes *codes;
};

/* In place of what the set held. */
void exact_make(struct exact_set *set, enum exact_kind kind);
void exact_release(struct exact_set *set);
float *exact_room(size_t rows); /* 64-byte aligned */

#endif
