/* Kernels for 64-bit ARM: the 16 lanes in four registers. */
#include "search/distance_internal.h"

#if defined(__aarch64__)
#include <arm_neon.h>

static float add_lanes(const float32x4_t *lanes)
{
    float32x4_t four = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

static float dot(const float *a, const float *b, size_t count)
{
    float32x4_t lanes[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t whole = count / SEARCH_LANES * SEARCH_LANES;
    for (size_t i = 0; i < whole; i += SEARCH_LANES)
        for (size_t k = 0; k < 4; k++)
            lanes[k] =
                vaddq_f32(lanes[k], vmulq_f32(vld1q_f32(a + i + k * 4), vld1q_f32(b + i + k * 4)));
    if (whole < count) {
        float rest[SEARCH_LANES];
        for (size_t k = 0; k < 4; k++)
            vst1q_f32(rest + k * 4, lanes[k]);
        for (size_t i = whole; i < count; i++)
            rest[i - whole] += a[i] * b[i];
        for (size_t k = 0; k < 4; k++)
            lanes[k] = vld1q_f32(rest + k * 4);
    }
    return add_lanes(lanes);
}

static void dots_neon(const float *rows, size_t row_count, size_t dimensions, const float *query,
                      float *ret)
{
    for (size_t row = 0; row < row_count; row++)
        ret[row] = dot(rows + row * dimensions, query, dimensions);
}

#define WIDEN_EVERY ((size_t)1024) /* dimensions: 64 products below 2^22 in each lane and half */

static void code_dots_neon(const int8_t *codes, const int32_t *sums, size_t row_count,
                           size_t stride, const struct search_query_code *query, int64_t *ret)
{
    (void)sums;
    for (size_t row = 0; row < row_count; row++) {
        const int8_t *code = codes + row * stride;
        int64_t sum = 0;
        for (size_t from = 0; from < stride; from += WIDEN_EVERY) {
            size_t end = from + WIDEN_EVERY < stride ? from + WIDEN_EVERY : stride;
            int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);
            for (size_t i = from; i < end; i += 8) {
                int16x8_t a = vmovl_s8(vld1_s8(code + i)), b = vld1q_s16(query->values + i);
                low = vmlal_s16(low, vget_low_s16(a), vget_low_s16(b));
                high = vmlal_high_s16(high, a, b);
            }
            sum += vaddlvq_s32(low) + vaddlvq_s32(high);
        }
        ret[row] = sum;
    }
}

static void block_neon(const struct search_block *block, const struct search_block_rows *rows,
                       double *ret_sums, uint32_t *ret_reached)
{
    search_block_by_query(block, rows, code_dots_neon, ret_sums, ret_reached);
}

const struct search_kernels search_kernels_neon = {"neon", dots_neon, code_dots_neon, block_neon};

#else
typedef int search_no_arm_here;
#endif
