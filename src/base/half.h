/* Floats of 16 bits (IEEE 754 binary16): every one is a float. */
#ifndef LAKEHOUSE_BASE_HALF_H
#define LAKEHOUSE_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float lh_float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, bits = half & 0x7FFF;
    float value;
    if (bits >= 0x7C00) /* infinite, or no number */
        bits = 0x7F800000 | (bits & 0x3FF) << 13;
    else if (bits >= 0x400)
        bits = (bits << 13) + ((127 - 15) << 23);
    else { /* a multiple of 2⁻²⁴ */
        value = (float)bits / 16777216.0F;
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
