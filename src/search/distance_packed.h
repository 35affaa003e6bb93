/* Dot products of packed codes with one query of bytes: what a walk over the graph spends its time
 * on.
 *
 * A code is made of blocks of 64 bytes. With 8 bits a block holds 64 numbers, each a byte, 128
 * more than what it means. With 4 bits it holds 128: number i in the low half of byte i, number
 * 64 + i in the high half of byte i, each 0 … 15. The query has a signed byte for each number,
 * in their order, zeros behind the dimensions. Sums are of whole numbers, so all kernels give
 * the same.
 *
 * No locks, no blocking, any thread.
 */
#ifndef LAKEHOUSE_SEARCH_DISTANCE_PACKED_H
#define LAKEHOUSE_SEARCH_DISTANCE_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKED_BLOCK_BYTES ((size_t)64)
/* Up to so many numbers no sum leaves 32 bits. */
#define PACKED_DIMENSIONS_MAX ((size_t)32768)
/* How many codes a kernel takes in one call. */
#define PACKED_AT_ONCE ((size_t)4)

/* ret[i] = the sum of numbers of codes[i] times the query's, for PACKED_AT_ONCE codes of
 * `block_count` blocks. Codes are aligned to 64 bytes, the query too. */
typedef void packed_dots(const uint8_t *const *codes, size_t block_count, const int8_t *query,
                         int32_t *ret);

struct packed_kernels {
    const char *name;
    packed_dots *four_bits;
    packed_dots *eight_bits;
};

/* The best one here; decided once. */
const struct packed_kernels *packed_kernels_best(void);
/* All that can run on this processor, the plain ones first; NULL past the last. */
const struct packed_kernels *packed_kernels_at(size_t at);

#if defined(__x86_64__)
bool packed_has_avx_vnni(void);
extern const struct packed_kernels packed_kernels_avx2;
extern const struct packed_kernels packed_kernels_avx_vnni;
extern const struct packed_kernels packed_kernels_avx512_vnni;
#elif defined(__aarch64__)
extern const struct packed_kernels packed_kernels_neon;
#endif

#endif
