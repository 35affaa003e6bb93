/* The plain kernels of packed codes, which say what the others have to give, and the choice. */
#include "search/distance_packed.h"

#include <pthread.h>

static void four_bits_plain(const uint8_t *const *codes, size_t block_count, const int8_t *query,
                            int32_t *ret)
{
    for (size_t code = 0; code < PACKED_AT_ONCE; code++) {
        int32_t sum = 0;
        for (size_t block = 0; block < block_count; block++) {
            const uint8_t *from = codes[code] + block * PACKED_BLOCK_BYTES;
            const int8_t *by = query + block * 2 * PACKED_BLOCK_BYTES;
            for (size_t i = 0; i < PACKED_BLOCK_BYTES; i++)
                sum += (from[i] & 15) * by[i] + (from[i] >> 4) * by[PACKED_BLOCK_BYTES + i];
        }
        ret[code] = sum;
    }
}

static void eight_bits_plain(const uint8_t *const *codes, size_t block_count, const int8_t *query,
                             int32_t *ret)
{
    for (size_t code = 0; code < PACKED_AT_ONCE; code++) {
        int32_t sum = 0;
        for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i++)
            sum += codes[code][i] * query[i];
        ret[code] = sum;
    }
}

static const struct packed_kernels kernels_plain = {"plain", four_bits_plain, eight_bits_plain};

static const struct packed_kernels *found[8]; /* NULL behind the last */
static pthread_once_t is_found = PTHREAD_ONCE_INIT;

static void find(void)
{
    size_t count = 0;
    found[count++] = &kernels_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        found[count++] = &packed_kernels_avx2;
        if (packed_has_avx_vnni())
            found[count++] = &packed_kernels_avx_vnni;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vnni"))
        found[count++] = &packed_kernels_avx512_vnni;
#elif defined(__aarch64__)
    found[count++] = &packed_kernels_neon;
#endif
    found[count] = NULL;
}

const struct packed_kernels *packed_kernels_at(size_t at)
{
    pthread_once(&is_found, find);
    return at < sizeof found / sizeof found[0] ? found[at] : NULL;
}

const struct packed_kernels *packed_kernels_best(void)
{
    const struct packed_kernels *best = packed_kernels_at(0);
    for (size_t at = 1; packed_kernels_at(at); at++)
        best = packed_kernels_at(at);
    return best;
}
