/* Kernels for x86-64. Rows go four at a time, one of each quarter: their sums do not wait for each
 * other, and memory is read in four places at once, which is up to twice as fast as in one. The
 * fours are written out, so that their sums stay in registers at any level of optimisation. */
#include "search/distance_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define AT_ONCE ((size_t)4)

/* The processor itself looks ahead to the end of a page only: asking for what comes behind keeps
 * more bytes on their way. What lies behind the last row is not read. A
 * macro, because a function that does nothing else is taken for one that does nothing. */
#define ASK_AHEAD(from, stride)                                                                    \
    do {                                                                                           \
        const char *at = (const char *)(from) + SEARCH_BYTES_AHEAD;                                \
        _mm_prefetch(at, _MM_HINT_T0);                                                             \
        _mm_prefetch(at + (stride), _MM_HINT_T0);                                                  \
        _mm_prefetch(at + 2 * (stride), _MM_HINT_T0);                                              \
        _mm_prefetch(at + 3 * (stride), _MM_HINT_T0);                                              \
    } while (0)

/* --- AVX2: 16 lanes in two registers */

struct lanes_256 {
    __m256 low, high;
};

AVX2 static inline float add_lanes_256(__m256 low, __m256 high)
{
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/* The lanes of what is left behind the whole sixteens. */
AVX2 static float finish_256(struct lanes_256 sum, const float *a, const float *b, size_t count)
{
    float lanes[SEARCH_LANES];
    if (!count)
        return add_lanes_256(sum.low, sum.high);
    _mm256_storeu_ps(lanes, sum.low);
    _mm256_storeu_ps(lanes + 8, sum.high);
    for (size_t i = 0; i < count; i++)
        lanes[i] += a[i] * b[i];
    return add_lanes_256(_mm256_loadu_ps(lanes), _mm256_loadu_ps(lanes + 8));
}

AVX2 static inline struct lanes_256 step_256(struct lanes_256 sum, const float *from, __m256 q,
                                             __m256 r)
{
    sum.low = _mm256_add_ps(sum.low, _mm256_mul_ps(_mm256_loadu_ps(from), q));
    sum.high = _mm256_add_ps(sum.high, _mm256_mul_ps(_mm256_loadu_ps(from + 8), r));
    return sum;
}

AVX2 static void four_dots_avx2(const float *rows, size_t leap, size_t width, const float *query,
                                size_t quarter, float *ret)
{
    const struct lanes_256 none = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    struct lanes_256 a = none, b = none, c = none, d = none;
    size_t whole = width / SEARCH_LANES * SEARCH_LANES, rest = width - whole;
    for (size_t i = 0; i < whole; i += SEARCH_LANES) {
        __m256 q = _mm256_loadu_ps(query + i), r = _mm256_loadu_ps(query + i + 8);
        ASK_AHEAD(rows + i, leap * sizeof *rows);
        a = step_256(a, rows + i, q, r);
        b = step_256(b, rows + leap + i, q, r);
        c = step_256(c, rows + 2 * leap + i, q, r);
        d = step_256(d, rows + 3 * leap + i, q, r);
    }
    ret[0] = finish_256(a, rows + whole, query + whole, rest);
    ret[quarter] = finish_256(b, rows + leap + whole, query + whole, rest);
    ret[2 * quarter] = finish_256(c, rows + 2 * leap + whole, query + whole, rest);
    ret[3 * quarter] = finish_256(d, rows + 3 * leap + whole, query + whole, rest);
}

AVX2 static void dots_avx2(const float *rows, size_t row_count, size_t dimensions,
                           const float *query, float *ret)
{
    size_t whole = dimensions / SEARCH_LANES * SEARCH_LANES;
    size_t quarter = row_count / AT_ONCE, row = 0;
    for (; row < quarter; row++)
        four_dots_avx2(rows + row * dimensions, quarter * dimensions, dimensions, query, quarter,
                       ret + row);
    for (row = quarter * AT_ONCE; row < row_count; row++) {
        const float *from = rows + row * dimensions;
        struct lanes_256 sum = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (size_t i = 0; i < whole; i += SEARCH_LANES)
            sum =
                step_256(sum, from + i, _mm256_loadu_ps(query + i), _mm256_loadu_ps(query + i + 8));
        ret[row] = finish_256(sum, from + whole, query + whole, dimensions - whole);
    }
}

#define WIDEN_EVERY ((size_t)1024) /* dimensions: 64 sums of two products below 2^23 in a lane */

AVX2 static inline __m256i step_codes_256(__m256i sum, const int8_t *code, const int16_t *query)
{
    const void *a = code, *b = query;
    return _mm256_add_epi32(
        sum, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(a)), _mm256_loadu_si256(b)));
}

AVX2 static void code_dots_avx2(const int8_t *codes, const int32_t *sums, size_t row_count,
                                size_t stride, const struct search_query_code *query, int64_t *ret)
{
    (void)sums;
    for (size_t row = 0; row < row_count; row++) {
        const int8_t *code = codes + row * stride;
        int64_t sum = 0;
        for (size_t from = 0; from < stride; from += WIDEN_EVERY) {
            size_t end = from + WIDEN_EVERY < stride ? from + WIDEN_EVERY : stride;
            __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
            int32_t lanes[8];
            for (size_t i = from; i < end; i += SEARCH_CODE_ALIGNMENT) {
                a = step_codes_256(a, code + i, query->values + i);
                b = step_codes_256(b, code + i + 16, query->values + i + 16);
                c = step_codes_256(c, code + i + 32, query->values + i + 32);
                d = step_codes_256(d, code + i + 48, query->values + i + 48);
            }
            _mm256_storeu_si256((void *)lanes,
                                _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
            for (size_t lane = 0; lane < 8; lane++)
                sum += lanes[lane];
        }
        ret[row] = sum;
    }
}

static void block_avx2(const struct search_block *block, const struct search_block_rows *rows,
                       double *ret_sums, uint32_t *ret_reached)
{
    search_block_by_query(block, rows, code_dots_avx2, ret_sums, ret_reached);
}

const struct search_kernels search_kernels_avx2 = {"avx2", dots_avx2, code_dots_avx2, block_avx2};

/* --- AVX-512 */

AVX512 static inline float add_lanes_512(__m512 lanes)
{
    __m256 low = _mm512_castps512_ps256(lanes);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(lanes), 1));
    return add_lanes_256(low, high);
}

AVX512 static inline __m512 step_512(__m512 sum, const float *from, __m512 q)
{
    return _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(from), q));
}

AVX512 static inline __m512 finish_512(__m512 sum, __mmask16 rest, const float *from, __m512 q)
{
    __m512 last = _mm512_maskz_loadu_ps(rest, from);
    return _mm512_mask_add_ps(sum, rest, sum, _mm512_mul_ps(last, q));
}

AVX512 static void four_dots_avx512(const float *rows, size_t leap, size_t width,
                                    const float *query, size_t quarter, float *ret)
{
    __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
    size_t whole = width / SEARCH_LANES * SEARCH_LANES;
    __mmask16 rest = (__mmask16)((1U << (width - whole)) - 1);
    for (size_t i = 0; i < whole; i += SEARCH_LANES) {
        __m512 q = _mm512_loadu_ps(query + i);
        ASK_AHEAD(rows + i, leap * sizeof *rows);
        a = step_512(a, rows + i, q);
        b = step_512(b, rows + leap + i, q);
        c = step_512(c, rows + 2 * leap + i, q);
        d = step_512(d, rows + 3 * leap + i, q);
    }
    if (rest) {
        __m512 q = _mm512_maskz_loadu_ps(rest, query + whole);
        a = finish_512(a, rest, rows + whole, q);
        b = finish_512(b, rest, rows + leap + whole, q);
        c = finish_512(c, rest, rows + 2 * leap + whole, q);
        d = finish_512(d, rest, rows + 3 * leap + whole, q);
    }
    ret[0] = add_lanes_512(a);
    ret[quarter] = add_lanes_512(b);
    ret[2 * quarter] = add_lanes_512(c);
    ret[3 * quarter] = add_lanes_512(d);
}

AVX512 void search_dots_avx512(const float *rows, size_t row_count, size_t dimensions,
                               const float *query, float *ret)
{
    size_t whole = dimensions / SEARCH_LANES * SEARCH_LANES;
    size_t quarter = row_count / AT_ONCE, row = 0;
    __mmask16 rest = (__mmask16)((1U << (dimensions - whole)) - 1);
    for (; row < quarter; row++)
        four_dots_avx512(rows + row * dimensions, quarter * dimensions, dimensions, query, quarter,
                         ret + row);
    for (row = quarter * AT_ONCE; row < row_count; row++) {
        const float *from = rows + row * dimensions;
        __m512 sum = _mm512_setzero_ps();
        for (size_t i = 0; i < whole; i += SEARCH_LANES)
            sum = step_512(sum, from + i, _mm512_loadu_ps(query + i));
        if (rest)
            sum = finish_512(sum, rest, from + whole, _mm512_maskz_loadu_ps(rest, query + whole));
        ret[row] = add_lanes_512(sum);
    }
}

AVX512 static inline int64_t add_int_lanes_512(__m512i lanes)
{
    __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(lanes));
    __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(lanes, 1));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
}

AVX512 static inline __m512i step_codes_512(__m512i sum, const int8_t *code, __m512i query)
{
    const void *from = code;
    return _mm512_add_epi32(
        sum, _mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_loadu_si256(from)), query));
}

AVX512 static void code_dots_avx512(const int8_t *codes, const int32_t *sums, size_t row_count,
                                    size_t stride, const struct search_query_code *query,
                                    int64_t *ret)
{
    (void)sums;
    for (size_t row = 0; row < row_count; row++) {
        const int8_t *code = codes + row * stride;
        int64_t sum = 0;
        for (size_t from = 0; from < stride; from += WIDEN_EVERY) {
            size_t end = from + WIDEN_EVERY < stride ? from + WIDEN_EVERY : stride;
            __m512i a = _mm512_setzero_si512(), b = a;
            for (size_t i = from; i < end; i += SEARCH_CODE_ALIGNMENT) {
                a = step_codes_512(a, code + i, _mm512_loadu_si512(query->values + i));
                b = step_codes_512(b, code + i + 32, _mm512_loadu_si512(query->values + i + 32));
            }
            sum += add_int_lanes_512(_mm512_add_epi32(a, b));
        }
        ret[row] = sum;
    }
}

static void block_avx512(const struct search_block *block, const struct search_block_rows *rows,
                         double *ret_sums, uint32_t *ret_reached)
{
    search_block_by_query(block, rows, code_dots_avx512, ret_sums, ret_reached);
}

const struct search_kernels search_kernels_avx512 = {"avx512", search_dots_avx512, code_dots_avx512,
                                                     block_avx512};

/* --- AVX-512 with VNNI: unsigned bytes of the query times signed codes, four to a lane */

struct sums_512 {
    __m512i high, low;
};

VNNI static inline struct sums_512 step_vnni(struct sums_512 sum, const int8_t *from, __m512i high,
                                             __m512i low)
{
    __m512i code = _mm512_loadu_si512(from);
    sum.high = _mm512_dpbusd_epi32(sum.high, high, code);
    sum.low = _mm512_dpbusd_epi32(sum.low, low, code);
    return sum;
}

VNNI static inline int64_t finish_vnni(struct sums_512 sum, int32_t code_sum)
{
    int64_t by_high = _mm512_reduce_add_epi32(sum.high), by_low = _mm512_reduce_add_epi32(sum.low);
    return by_high * 256 + by_low - (int64_t)code_sum * 32768;
}

VNNI void search_code_dots_vnni(const int8_t *codes, const int32_t *sums, size_t row_count,
                                size_t stride, const struct search_query_code *query, int64_t *ret)
{
    const struct sums_512 none = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    size_t quarter = row_count / AT_ONCE, leap = quarter * stride, row = 0;
    for (; row < quarter; row++) {
        struct sums_512 a = none, b = none, c = none, d = none;
        const int8_t *from = codes + row * stride;
        for (size_t i = 0; i < stride; i += SEARCH_CODE_ALIGNMENT) {
            __m512i high = _mm512_loadu_si512(query->high + i);
            __m512i low = _mm512_loadu_si512(query->low + i);
            ASK_AHEAD(from + i, leap);
            a = step_vnni(a, from + i, high, low);
            b = step_vnni(b, from + leap + i, high, low);
            c = step_vnni(c, from + 2 * leap + i, high, low);
            d = step_vnni(d, from + 3 * leap + i, high, low);
        }
        ret[row] = finish_vnni(a, sums[row]);
        ret[row + quarter] = finish_vnni(b, sums[row + quarter]);
        ret[row + 2 * quarter] = finish_vnni(c, sums[row + 2 * quarter]);
        ret[row + 3 * quarter] = finish_vnni(d, sums[row + 3 * quarter]);
    }
    for (row = quarter * AT_ONCE; row < row_count; row++) {
        struct sums_512 sum = none;
        for (size_t i = 0; i < stride; i += SEARCH_CODE_ALIGNMENT)
            sum = step_vnni(sum, codes + row * stride + i, _mm512_loadu_si512(query->high + i),
                            _mm512_loadu_si512(query->low + i));
        ret[row] = finish_vnni(sum, sums[row]);
    }
}

const struct search_kernels search_kernels_vnni = {"avx512-vnni", search_dots_avx512,
                                                   search_code_dots_vnni, search_block_vnni};

#else
typedef int search_no_x86_here;
#endif
