/* The kernels by kind of processor; distance.c chooses. */
#ifndef LAKEHOUSE_SEARCH_DISTANCE_INTERNAL_H
#define LAKEHOUSE_SEARCH_DISTANCE_INTERNAL_H

#include "search/distance.h"

#define SEARCH_LANES 16
#define SEARCH_BYTES_AHEAD 2048 /* how far ahead memory is asked for */

#if defined(__x86_64__)
extern const struct search_kernels search_kernels_avx2;
extern const struct search_kernels search_kernels_avx512;
extern const struct search_kernels search_kernels_vnni;
#elif defined(__aarch64__)
extern const struct search_kernels search_kernels_neon;
#endif

#endif
