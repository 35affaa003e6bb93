/* Decimal digits: small functions that nearly every cell of a result runs.
 *
 * Digits are made eight at a time in a machine word, the first one in its lowest byte, without
 * branches: numbers of mixed lengths would mislead the processor at nearly every one. Each function
 * writes at `out`; there is room for 32 bytes whatever the number, and what is written beyond the
 * end that it returns is written over.
 */
#ifndef LAKEHOUSE_BASE_DIGITS_H
#define LAKEHOUSE_BASE_DIGITS_H

#include <stdint.h>
#include <string.h>

#define LH_DIGITS_ZEROS UINT64_C(0x3030303030303030) /* "00000000" */
#define LH_DIGITS_EIGHT UINT64_C(100000000) /* the first number with more than eight digits */

/* The eight digits of a value below 10^8, each a byte from 0 to 9. Halved three times, all parts of
 * a step at once; each division is a multiplication that is exact for so few digits. */
static inline uint64_t lh_digits_eight(uint32_t value)
{
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x0000007F0000007F);
    uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
    uint64_t tens = (twos * 103 >> 10) & UINT64_C(0x000F000F000F000F);
    return tens | (twos - tens * 10) << 8;
}

static inline void lh_digits_store(char *out, uint64_t digits)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    digits = __builtin_bswap64(digits);
#endif
    memcpy(out, &digits, sizeof digits);
}

/* Zeros in front of the last digit that need not be written: at most seven. */
static inline unsigned lh_digits_leading(uint64_t digits)
{
    return (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;
}

static inline char *lh_digits_short(char *out, uint32_t value) /* below 10^8; returns the end */
{
    uint64_t digits = lh_digits_eight(value);
    unsigned leading = lh_digits_leading(digits);
    lh_digits_store(out, (digits >> 8 * leading) | LH_DIGITS_ZEROS);
    return out + 8 - leading;
}

/* Eight digits with zeros in front, then as many of the following as there are. */
static inline char *lh_digits_uint(char *out, uint64_t value) /* returns the end */
{
    if (value >= LH_DIGITS_EIGHT * LH_DIGITS_EIGHT) {
        out = lh_digits_short(out, (uint32_t)(value / (LH_DIGITS_EIGHT * LH_DIGITS_EIGHT)));
        value %= LH_DIGITS_EIGHT * LH_DIGITS_EIGHT;
        lh_digits_store(out,
                        lh_digits_eight((uint32_t)(value / LH_DIGITS_EIGHT)) | LH_DIGITS_ZEROS);
        out += 8;
    } else if (value >= LH_DIGITS_EIGHT) {
        out = lh_digits_short(out, (uint32_t)(value / LH_DIGITS_EIGHT));
    } else {
        return lh_digits_short(out, (uint32_t)value);
    }
    lh_digits_store(out, lh_digits_eight((uint32_t)(value % LH_DIGITS_EIGHT)) | LH_DIGITS_ZEROS);
    return out + 8;
}

/* digits × 10^-scale, the digits below 10^8, the scale from 1 to 7; returns the end. */
static inline char *lh_digits_point(char *out, uint32_t value, unsigned scale)
{
    uint64_t digits = lh_digits_eight(value);
    unsigned leading = lh_digits_leading(digits), before = 8 - leading;
    /* "0.05": a digit before the point, and all behind it. */
    before = before > scale ? before - scale : 1;
    digits = (digits >> 8 * (8 - before - scale)) | LH_DIGITS_ZEROS;
    lh_digits_store(out, digits);
    out[before] = '.';
    lh_digits_store(out + before + 1, digits >> 8 * before);
    return out + before + 1 + scale;
}

/* Zeros at the end of eight digits. */
static inline unsigned lh_digits_trailing(uint64_t digits)
{
    return digits ? (unsigned)__builtin_clzll(digits) / 8 : 8;
}

extern const char lh_digits_pairs[201]; /* "000102…99"; json_text.c */

static inline char *lh_digits_two(char *out, unsigned value) /* below 100; returns the end */
{
    memcpy(out, lh_digits_pairs + 2 * (size_t)value, 2);
    return out + 2;
}

#endif
