/* Rows times queries, on x86-64: with VNNI four bytes of sixteen queries at once, with AMX tiles of
 * sixteen rows and sixteen queries.
 *
 * A lane is a query here, not a dimension: nothing has to be added across lanes, and a row's codes
 * are read once for all of the queries. */
#include "search/distance_internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define AMX __attribute__((target("avx512f,avx512bw,avx512vnni,amx-tile,amx-int8")))
#define TILE_ROWS ((size_t)16)
#define AT_ONCE ((size_t)4)
/* How far ahead of the rows at hand memory is asked for. */
#define TILES_AHEAD ((size_t)2)

/* What the high and the low bytes of all queries sum up to, for a tile of rows. */
struct parts {
    _Alignas(64) int32_t high[TILE_ROWS][SEARCH_BLOCK_QUERIES];
    _Alignas(64) int32_t low[TILE_ROWS][SEARCH_BLOCK_QUERIES];
};

/* --- from sums of bytes to which floors are reached */

/* Sixteen queries of one row, in floats: their rounding is in the bars. */
VNNI static inline __mmask16 reach_tile(const struct search_block *block,
                                        const struct search_block_rows *rows, size_t row,
                                        const struct parts *parts, size_t at, size_t q)
{
    __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(parts->high[at] + q)),
                                 _mm512_set1_ps(256),
                                 _mm512_cvtepi32_ps(_mm512_load_si512(parts->low[at] + q)));
    sum = _mm512_sub_ps(sum, _mm512_set1_ps((float)rows->sums[row] * SEARCH_BIAS));
    sum = _mm512_mul_ps(sum, _mm512_load_ps(block->float_steps + q));
    __m512 spread =
        _mm512_mul_ps(_mm512_set1_ps(rows->errors[row]), _mm512_load_ps(block->float_reaches + q));
    __m512 most = _mm512_fmadd_ps(sum, _mm512_set1_ps(rows->scales[row]), spread);
    return _mm512_cmp_ps_mask(most, _mm512_load_ps(block->bars + q), _CMP_NLT_UQ);
}

static void keep_sums(const struct parts *parts, size_t at, int32_t code_sum, uint32_t reached,
                      double *ret_sums)
{
    for (; reached; reached &= reached - 1) {
        int q = __builtin_ctz(reached);
        ret_sums[q] = (double)parts->high[at][q] * 256 + (double)parts->low[at][q] -
                      (double)code_sum * SEARCH_BIAS;
    }
}

VNNI static void reach(const struct search_block *block, const struct search_block_rows *rows,
                       size_t first, size_t count, const struct parts *parts, double *ret_sums,
                       uint32_t *ret_reached)
{
    uint32_t asked = (uint32_t)((UINT64_C(1) << block->count) - 1);
    for (size_t i = 0; i < count; i++) {
        size_t row = first + i;
        uint32_t reached = reach_tile(block, rows, row, parts, i, 0);
        if (block->tile_count > 1)
            reached |= (uint32_t)reach_tile(block, rows, row, parts, i, SEARCH_TILE_QUERIES)
                       << SEARCH_TILE_QUERIES;
        ret_reached[row] = reached & asked;
        if (ret_reached[row])
            keep_sums(parts, i, rows->sums[row], ret_reached[row],
                      ret_sums + row * SEARCH_BLOCK_QUERIES);
    }
}

/* --- VNNI */

struct quad { /* high and low bytes of the first and of the second sixteen queries */
    __m512i a, b, c, d;
};

VNNI static inline struct quad step(struct quad sum, const struct quad *query, const int8_t *code)
{
    int32_t four;
    memcpy(&four, code, sizeof four);
    __m512i codes = _mm512_set1_epi32(four);
    sum.a = _mm512_dpbusd_epi32(sum.a, query->a, codes);
    sum.b = _mm512_dpbusd_epi32(sum.b, query->b, codes);
    sum.c = _mm512_dpbusd_epi32(sum.c, query->c, codes);
    sum.d = _mm512_dpbusd_epi32(sum.d, query->d, codes);
    return sum;
}

VNNI static inline void keep(const struct quad *sum, struct parts *parts, size_t row)
{
    _mm512_store_si512(parts->high[row], sum->a);
    _mm512_store_si512(parts->low[row], sum->b);
    _mm512_store_si512(parts->high[row] + SEARCH_TILE_QUERIES, sum->c);
    _mm512_store_si512(parts->low[row] + SEARCH_TILE_QUERIES, sum->d);
}

/* The tiles of four dimensions; up to sixteen queries have but half of them. */
VNNI static inline struct quad query_at(const struct search_block *block, size_t chunk, size_t at)
{
    const uint8_t *tiles =
        block->tiles + chunk * block->tile_count * 2 * SEARCH_TILE_BYTES + at * 64;
    struct quad query = {_mm512_loadu_si512(tiles), _mm512_loadu_si512(tiles + SEARCH_TILE_BYTES),
                         _mm512_setzero_si512(), _mm512_setzero_si512()};
    if (block->tile_count > 1) {
        query.c = _mm512_loadu_si512(tiles + 2 * SEARCH_TILE_BYTES);
        query.d = _mm512_loadu_si512(tiles + 3 * SEARCH_TILE_BYTES);
    }
    return query;
}

/* Four rows; their sums fill half of the registers. */
VNNI static void four_rows(const struct search_block *block, const int8_t *codes, size_t stride,
                           struct parts *parts, size_t row)
{
    const __m512i zero = _mm512_setzero_si512();
    const struct quad none = {zero, zero, zero, zero};
    struct quad a = none, b = none, c = none, d = none;
    for (size_t chunk = 0; chunk < stride / SEARCH_CODE_ALIGNMENT; chunk++) {
        const int8_t *from = codes + chunk * SEARCH_CODE_ALIGNMENT;
        const char *ahead = (const char *)from + TILES_AHEAD * TILE_ROWS * stride;
        _mm_prefetch(ahead, _MM_HINT_T0);
        _mm_prefetch(ahead + stride, _MM_HINT_T0);
        _mm_prefetch(ahead + 2 * stride, _MM_HINT_T0);
        _mm_prefetch(ahead + 3 * stride, _MM_HINT_T0);
        for (size_t at = 0; at < 16; at++) {
            const struct quad query = query_at(block, chunk, at);
            a = step(a, &query, from + at * 4);
            b = step(b, &query, from + at * 4 + stride);
            c = step(c, &query, from + at * 4 + 2 * stride);
            d = step(d, &query, from + at * 4 + 3 * stride);
        }
    }
    keep(&a, parts, row);
    keep(&b, parts, row + 1);
    keep(&c, parts, row + 2);
    keep(&d, parts, row + 3);
}

VNNI static void one_row(const struct search_block *block, const int8_t *codes, size_t stride,
                         struct parts *parts, size_t row)
{
    const __m512i zero = _mm512_setzero_si512();
    struct quad sum = {zero, zero, zero, zero};
    for (size_t chunk = 0; chunk < stride / SEARCH_CODE_ALIGNMENT; chunk++)
        for (size_t at = 0; at < 16; at++) {
            const struct quad query = query_at(block, chunk, at);
            sum = step(sum, &query, codes + chunk * SEARCH_CODE_ALIGNMENT + at * 4);
        }
    keep(&sum, parts, row);
}

VNNI static void rows_vnni(const struct search_block *block, const struct search_block_rows *rows,
                           size_t from, size_t end, double *ret_sums, uint32_t *ret_reached)
{
    struct parts parts;
    for (; from < end; from += TILE_ROWS) {
        size_t count = end - from < TILE_ROWS ? end - from : TILE_ROWS, row = 0;
        const int8_t *codes = rows->codes + from * rows->stride;
        for (; row + AT_ONCE <= count; row += AT_ONCE)
            four_rows(block, codes + row * rows->stride, rows->stride, &parts, row);
        for (; row < count; row++)
            one_row(block, codes + row * rows->stride, rows->stride, &parts, row);
        reach(block, rows, from, count, &parts, ret_sums, ret_reached);
    }
}

VNNI void search_block_vnni(const struct search_block *block, const struct search_block_rows *rows,
                            double *ret_sums, uint32_t *ret_reached)
{
    rows_vnni(block, rows, 0, rows->count, ret_sums, ret_reached);
}

/* --- AMX */

/* What the processor reads: all eight tiles are of sixteen rows of 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
static const struct tile_config config = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

/* The tiles' numbers are part of the instructions: 0 to 3 are sums, 4 codes, 5 and 6 queries. */
AMX static inline void multiply_tile(const uint8_t *query, bool is_wide)
{
    _tile_loadd(5, query, 64);
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, query + SEARCH_TILE_BYTES, 64);
    _tile_dpbsud(1, 4, 6);
    if (!is_wide)
        return;
    _tile_loadd(5, query + 2 * SEARCH_TILE_BYTES, 64);
    _tile_dpbsud(2, 4, 5);
    _tile_loadd(6, query + 3 * SEARCH_TILE_BYTES, 64);
    _tile_dpbsud(3, 4, 6);
}

AMX static void tile_of_rows(const struct search_block *block, const int8_t *codes, size_t stride,
                             struct parts *parts)
{
    bool is_wide = block->tile_count > 1;
    size_t per_chunk = block->tile_count * 2 * SEARCH_TILE_BYTES;
    const char *ahead = (const char *)codes + TILES_AHEAD * TILE_ROWS * stride;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t chunk = 0; chunk < stride / SEARCH_CODE_ALIGNMENT; chunk++) {
        for (size_t line = 0; line < TILE_ROWS; line++)
            _mm_prefetch(ahead + (chunk * TILE_ROWS + line) * 64, _MM_HINT_T0);
        _tile_loadd(4, codes + chunk * SEARCH_CODE_ALIGNMENT, stride);
        multiply_tile(block->tiles + chunk * per_chunk, is_wide);
    }
    _tile_stored(0, parts->high, sizeof parts->high[0]);
    _tile_stored(1, parts->low, sizeof parts->low[0]);
    _tile_stored(2, parts->high[0] + SEARCH_TILE_QUERIES, sizeof parts->high[0]);
    _tile_stored(3, parts->low[0] + SEARCH_TILE_QUERIES, sizeof parts->low[0]);
}

AMX static void block_amx(const struct search_block *block, const struct search_block_rows *rows,
                          double *ret_sums, uint32_t *ret_reached)
{
    struct parts parts;
    size_t whole = rows->count / TILE_ROWS * TILE_ROWS;
    _tile_loadconfig(&config);
    for (size_t from = 0; from < whole; from += TILE_ROWS) {
        tile_of_rows(block, rows->codes + from * rows->stride, rows->stride, &parts);
        reach(block, rows, from, TILE_ROWS, &parts, ret_sums, ret_reached);
    }
    _tile_release(); /* so that a change of threads need not keep eight kilobytes */
    rows_vnni(block, rows, whole, rows->count, ret_sums, ret_reached);
}

const struct search_kernels search_kernels_amx = {"amx", search_dots_avx512, search_code_dots_vnni,
                                                  block_amx};

#define ASK_FOR_STATE 0x1023 /* of arch_prctl */
#define TILE_DATA 18         /* a part of a thread's state */

bool search_amx_may(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    const unsigned tiles = 1U << 24 | 1U << 25; /* tiles, and bytes in them */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & tiles) == tiles &&
           syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
}

#else
typedef int search_no_blocks_here;
#endif
