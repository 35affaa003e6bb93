/* The plain kernels, which say what the others have to give, and the choice. */
#include <pthread.h>
#include <string.h>

#include "search/distance_internal.h"

static float dot(const float *a, const float *b, size_t count)
{
    float lanes[SEARCH_LANES] = {0};
    size_t whole = count / SEARCH_LANES * SEARCH_LANES;
    for (size_t i = 0; i < whole; i += SEARCH_LANES)
        for (size_t lane = 0; lane < SEARCH_LANES; lane++)
            lanes[lane] += a[i + lane] * b[i + lane];
    for (size_t i = whole; i < count; i++)
        lanes[i - whole] += a[i] * b[i];
    for (size_t width = SEARCH_LANES / 2; width; width /= 2)
        for (size_t lane = 0; lane < width; lane++)
            lanes[lane] += lanes[lane + width];
    return lanes[0];
}

static void dots_plain(const float *rows, size_t row_count, size_t dimensions, const float *query,
                       float *ret)
{
    for (size_t row = 0; row < row_count; row++)
        ret[row] = dot(rows + row * dimensions, query, dimensions);
}

static void code_dots_plain(const int8_t *codes, const int32_t *sums, size_t row_count,
                            size_t stride, const struct search_query_code *query, int64_t *ret)
{
    (void)sums;
    for (size_t row = 0; row < row_count; row++) {
        const int8_t *code = codes + row * stride;
        int64_t sum = 0;
        for (size_t i = 0; i < stride; i += SEARCH_CODE_ALIGNMENT) {
            int32_t part = 0; /* of 64 products below 2^22 */
            for (size_t k = i; k < i + SEARCH_CODE_ALIGNMENT; k++)
                part += code[k] * query->values[k];
            sum += part;
        }
        ret[row] = sum;
    }
}

void search_block_by_query(const struct search_block *block, const struct search_block_rows *rows,
                           void (*code_dots)(const int8_t *codes, const int32_t *sums,
                                             size_t row_count, size_t stride,
                                             const struct search_query_code *query, int64_t *ret),
                           double *ret_sums, uint32_t *ret_reached)
{
    int64_t sums[SEARCH_BLOCK_ROWS];
    memset(ret_reached, 0, rows->count * sizeof *ret_reached);
    for (size_t q = 0; q < block->count; q++) {
        code_dots(rows->codes, rows->sums, rows->count, rows->stride, block->codes[q], sums);
        for (size_t row = 0; row < rows->count; row++) {
            float estimate = (float)sums[row] * block->float_steps[q] * rows->scales[row];
            float most = estimate + rows->errors[row] * block->float_reaches[q];
            ret_sums[row * SEARCH_BLOCK_QUERIES + q] = (double)sums[row];
            ret_reached[row] |= (uint32_t) !(most < block->bars[q]) << q;
        }
    }
}

static void block_plain(const struct search_block *block, const struct search_block_rows *rows,
                        double *ret_sums, uint32_t *ret_reached)
{
    search_block_by_query(block, rows, code_dots_plain, ret_sums, ret_reached);
}

static const struct search_kernels kernels_plain = {"plain", dots_plain, code_dots_plain,
                                                    block_plain};

static const struct search_kernels *found[8]; /* NULL behind the last */
static pthread_once_t is_found = PTHREAD_ONCE_INIT;

static void find(void)
{
    size_t count = 0;
    found[count++] = &kernels_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        found[count++] = &search_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
        found[count++] = &search_kernels_avx512;
        if (__builtin_cpu_supports("avx512vnni"))
            found[count++] = &search_kernels_vnni;
        if (__builtin_cpu_supports("avx512vnni") && search_amx_may())
            found[count++] = &search_kernels_amx;
    }
#elif defined(__aarch64__)
    found[count++] = &search_kernels_neon;
#endif
    found[count] = NULL;
}

const struct search_kernels *search_kernels_at(size_t at)
{
    pthread_once(&is_found, find);
    return at < sizeof found / sizeof found[0] ? found[at] : NULL;
}

const struct search_kernels *search_kernels_best(void)
{
    const struct search_kernels *best = search_kernels_at(0);
    for (size_t at = 1; search_kernels_at(at); at++)
        best = search_kernels_at(at);
    return best;
}
