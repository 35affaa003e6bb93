/* Kernels of packed codes for 64-bit ARM. */
#include "search/distance_packed.h"

#if defined(__aarch64__)
#include <arm_neon.h>

/* Signed products of 16 bits, two of them added, then widened: of 4 bits 2 · 15 · 127 fit. */
static inline int32x4_t four_bits_step(int32x4_t sum, uint8x16_t code, const int8_t *low,
                                       const int8_t *high)
{
    int8x16_t a = vreinterpretq_s8_u8(vandq_u8(code, vdupq_n_u8(15)));
    int8x16_t b = vreinterpretq_s8_u8(vshrq_n_u8(code, 4));
    int8x16_t p = vld1q_s8(low), q = vld1q_s8(high);
    int16x8_t first = vmull_s8(vget_low_s8(a), vget_low_s8(p));
    int16x8_t second = vmull_high_s8(a, p);
    first = vmlal_s8(first, vget_low_s8(b), vget_low_s8(q));
    second = vmlal_high_s8(second, b, q);
    return vpadalq_s16(vpadalq_s16(sum, first), second);
}

static void four_bits_by_neon(const uint8_t *const *codes, size_t block_count, const int8_t *query,
                              int32_t *ret)
{
    for (size_t code = 0; code < PACKED_AT_ONCE; code++) {
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += 16) {
            const int8_t *by = query + i / PACKED_BLOCK_BYTES * PACKED_BLOCK_BYTES + i;
            sum = four_bits_step(sum, vld1q_u8(codes[code] + i), by, by + PACKED_BLOCK_BYTES);
        }
        ret[code] = vaddvq_s32(sum);
    }
}

static void eight_bits_by_neon(const uint8_t *const *codes, size_t block_count, const int8_t *query,
                               int32_t *ret)
{
    for (size_t code = 0; code < PACKED_AT_ONCE; code++) {
        int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);
        for (size_t i = 0; i < block_count * PACKED_BLOCK_BYTES; i += 8) {
            int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(codes[code] + i)));
            int16x8_t b = vmovl_s8(vld1_s8(query + i));
            low = vmlal_s16(low, vget_low_s16(a), vget_low_s16(b));
            high = vmlal_high_s16(high, a, b);
        }
        ret[code] = vaddvq_s32(vaddq_s32(low, high));
    }
}

const struct packed_kernels packed_kernels_neon = {"neon", four_bits_by_neon, eight_bits_by_neon};

#else
typedef int packed_no_arm_here;
#endif
