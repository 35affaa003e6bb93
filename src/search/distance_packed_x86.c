/* Kernels of packed codes for x86-64. Four codes go side by side, so that their sums do not wait
 * for each other and each part of the query is loaded once. */
#include "search/distance_packed.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX_VNNI __attribute__((target("avx2,avxvnni")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

/* Leaf 7, part 1: older compilers have no name for it to be asked by. That the system keeps the
 * registers is what asking for AVX2 has told. */
bool packed_has_avx_vnni(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

AVX2 static inline int32_t add_lanes_256(__m256i lanes)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

/* --- AVX2. Of 4 bits, two products fit 16 bits: 2 · 15 · 127. Bytes are made wide first. */

AVX2 static inline __m256i four_bits_avx2(__m256i sum, const uint8_t *from, __m256i low,
                                          __m256i high)
{
    const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i code = _mm256_load_si256((const void *)from);
    __m256i a = _mm256_maddubs_epi16(_mm256_and_si256(code, mask), low);
    __m256i b = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(code, 4), mask), high);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(a, b), ones));
}

AVX2 static void four_bits_by_avx2(const uint8_t *const *codes, size_t block_count,
                                   const int8_t *query, int32_t *ret)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += 32) {
        const int8_t *by = query + i / PACKED_BLOCK_BYTES * PACKED_BLOCK_BYTES + i;
        __m256i low = _mm256_load_si256((const void *)by);
        __m256i high = _mm256_load_si256((const void *)(by + PACKED_BLOCK_BYTES));
        a = four_bits_avx2(a, codes[0] + i, low, high);
        b = four_bits_avx2(b, codes[1] + i, low, high);
        c = four_bits_avx2(c, codes[2] + i, low, high);
        d = four_bits_avx2(d, codes[3] + i, low, high);
    }
    ret[0] = add_lanes_256(a);
    ret[1] = add_lanes_256(b);
    ret[2] = add_lanes_256(c);
    ret[3] = add_lanes_256(d);
}

AVX2 static inline __m256i eight_bits_avx2(__m256i sum, const uint8_t *from, __m256i query)
{
    __m256i code = _mm256_cvtepu8_epi16(_mm_load_si128((const void *)from));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(code, query));
}

AVX2 static void eight_bits_by_avx2(const uint8_t *const *codes, size_t block_count,
                                    const int8_t *query, int32_t *ret)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += 16) {
        __m256i by = _mm256_cvtepi8_epi16(_mm_load_si128((const void *)(query + i)));
        a = eight_bits_avx2(a, codes[0] + i, by);
        b = eight_bits_avx2(b, codes[1] + i, by);
        c = eight_bits_avx2(c, codes[2] + i, by);
        d = eight_bits_avx2(d, codes[3] + i, by);
    }
    ret[0] = add_lanes_256(a);
    ret[1] = add_lanes_256(b);
    ret[2] = add_lanes_256(c);
    ret[3] = add_lanes_256(d);
}

const struct packed_kernels packed_kernels_avx2 = {"avx2", four_bits_by_avx2, eight_bits_by_avx2};

/* --- AVX-VNNI: unsigned bytes of the code times signed ones of the query, four to a lane */

AVX_VNNI static inline __m256i four_bits_avx_vnni(__m256i sum, const uint8_t *from, __m256i low,
                                                  __m256i high)
{
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i code = _mm256_load_si256((const void *)from);
    sum = _mm256_dpbusd_avx_epi32(sum, _mm256_and_si256(code, mask), low);
    return _mm256_dpbusd_avx_epi32(sum, _mm256_and_si256(_mm256_srli_epi16(code, 4), mask), high);
}

AVX_VNNI static void four_bits_by_avx_vnni(const uint8_t *const *codes, size_t block_count,
                                           const int8_t *query, int32_t *ret)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += 32) {
        const int8_t *by = query + i / PACKED_BLOCK_BYTES * PACKED_BLOCK_BYTES + i;
        __m256i low = _mm256_load_si256((const void *)by);
        __m256i high = _mm256_load_si256((const void *)(by + PACKED_BLOCK_BYTES));
        a = four_bits_avx_vnni(a, codes[0] + i, low, high);
        b = four_bits_avx_vnni(b, codes[1] + i, low, high);
        c = four_bits_avx_vnni(c, codes[2] + i, low, high);
        d = four_bits_avx_vnni(d, codes[3] + i, low, high);
    }
    ret[0] = add_lanes_256(a);
    ret[1] = add_lanes_256(b);
    ret[2] = add_lanes_256(c);
    ret[3] = add_lanes_256(d);
}

AVX_VNNI static void eight_bits_by_avx_vnni(const uint8_t *const *codes, size_t block_count,
                                            const int8_t *query, int32_t *ret)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += 32) {
        __m256i by = _mm256_load_si256((const void *)(query + i));
        a = _mm256_dpbusd_avx_epi32(a, _mm256_load_si256((const void *)(codes[0] + i)), by);
        b = _mm256_dpbusd_avx_epi32(b, _mm256_load_si256((const void *)(codes[1] + i)), by);
        c = _mm256_dpbusd_avx_epi32(c, _mm256_load_si256((const void *)(codes[2] + i)), by);
        d = _mm256_dpbusd_avx_epi32(d, _mm256_load_si256((const void *)(codes[3] + i)), by);
    }
    ret[0] = add_lanes_256(a);
    ret[1] = add_lanes_256(b);
    ret[2] = add_lanes_256(c);
    ret[3] = add_lanes_256(d);
}

const struct packed_kernels packed_kernels_avx_vnni = {"avx-vnni", four_bits_by_avx_vnni,
                                                       eight_bits_by_avx_vnni};

/* --- AVX-512 with VNNI */

VNNI static inline __m256i halves_added(__m512i lanes)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
}

/* The sums of four registers at once. */
VNNI static inline void add_lanes_512(__m512i a, __m512i b, __m512i c, __m512i d, int32_t *ret)
{
    __m256i ab = _mm256_hadd_epi32(halves_added(a), halves_added(b));
    __m256i cd = _mm256_hadd_epi32(halves_added(c), halves_added(d));
    __m256i all = _mm256_hadd_epi32(ab, cd);
    _mm_storeu_si128((void *)ret,
                     _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}

VNNI static inline __m512i four_bits_vnni(__m512i sum, const uint8_t *from, __m512i low,
                                          __m512i high)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i code = _mm512_load_si512(from);
    sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(code, mask), low);
    return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(code, 4), mask), high);
}

VNNI static void four_bits_by_vnni(const uint8_t *const *codes, size_t block_count,
                                   const int8_t *query, int32_t *ret)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += PACKED_BLOCK_BYTES) {
        __m512i low = _mm512_load_si512(query + 2 * i);
        __m512i high = _mm512_load_si512(query + 2 * i + PACKED_BLOCK_BYTES);
        a = four_bits_vnni(a, codes[0] + i, low, high);
        b = four_bits_vnni(b, codes[1] + i, low, high);
        c = four_bits_vnni(c, codes[2] + i, low, high);
        d = four_bits_vnni(d, codes[3] + i, low, high);
    }
    add_lanes_512(a, b, c, d, ret);
}

VNNI static void eight_bits_by_vnni(const uint8_t *const *codes, size_t block_count,
                                    const int8_t *query, int32_t *ret)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += PACKED_BLOCK_BYTES) {
        __m512i by = _mm512_load_si512(query + i);
        a = _mm512_dpbusd_epi32(a, _mm512_load_si512(codes[0] + i), by);
        b = _mm512_dpbusd_epi32(b, _mm512_load_si512(codes[1] + i), by);
        c = _mm512_dpbusd_epi32(c, _mm512_load_si512(codes[2] + i), by);
        d = _mm512_dpbusd_epi32(d, _mm512_load_si512(codes[3] + i), by);
    }
    add_lanes_512(a, b, c, d, ret);
}

const struct packed_kernels packed_kernels_avx512_vnni = {"avx512-vnni", four_bits_by_vnni,
                                                          eight_bits_by_vnni};

#else
typedef int packed_no_x86_here;
#endif
