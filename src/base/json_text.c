/* Strings and numbers as JSON writes them: the part of the writer that runs once per cell of a
 * result. */
#include <math.h>
#include <stdio.h>

#include "base/digits.h"
#include "base/json.h"
#include "base/shortest.h"

#define REPEAT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* True if one of eight bytes must be looked at: a control character, '"', '\\' or a byte above
 * ASCII. (x - n) & ~x & 0x80 marks the bytes below n, as long as they are below 0x80 themselves. */
static bool needs_care(uint64_t word)
{
    uint64_t quote = word ^ REPEAT('"'), slash = word ^ REPEAT('\\');
    uint64_t marks = (word - REPEAT(0x20)) | (quote - REPEAT(1)) | (slash - REPEAT(1)) | word;
    return (marks & REPEAT(0x80)) != 0;
}

/* Bytes from `from` on that are copied as they stand. */
static size_t clean_run(struct lh_str text, size_t from)
{
    size_t i = from;
    while (i < text.len) {
        uint64_t word;
        if (text.len - i >= sizeof word) {
            memcpy(&word, text.data + i, sizeof word);
            if (!needs_care(word)) {
                i += sizeof word;
                continue;
            }
        }
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < 0x20 || byte == '"' || byte == '\\')
            break;
        size_t step = lh_str_utf8_step((struct lh_str){text.data + i, text.len - i});
        if (step == 0)
            break;
        i += step;
    }
    return i - from;
}

static void append_escaped(struct lh_buf *buf, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (byte >= 0x80) {
        lh_buf_append_str(buf, lh_lit("\xEF\xBF\xBD"));
    } else if (byte >= 0x20) {
        lh_buf_append(buf, (char[]){'\\', (char)byte}, 2);
    } else if (letters[byte]) {
        lh_buf_append(buf, (char[]){'\\', letters[byte]}, 2);
    } else {
        lh_buf_append(buf, (char[]){'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]}, 6);
    }
}

void lh_json_append_quoted(struct lh_buf *buf, struct lh_str text)
{
    size_t run = clean_run(text, 0);
    if (run == text.len) {
        /* Nearly every string: room once, one copy. */
        char *at = text.len < SIZE_MAX - 2 ? lh_buf_reserve(buf, text.len + 2) : NULL;
        if (!at)
            return;
        *at++ = '"';
        if (run)
            memcpy(at, text.data, run);
        at[run] = '"';
        at[run + 1] = 0;
        buf->len += run + 2;
        return;
    }
    lh_buf_append_char(buf, '"');
    for (size_t i = 0; i < text.len && !buf->is_over;) {
        lh_buf_append(buf, text.data + i, run);
        i += run;
        if (i < text.len)
            append_escaped(buf, (unsigned char)text.data[i++]);
        run = clean_run(text, i);
    }
    lh_buf_append_char(buf, '"');
}

const char lh_digits_pairs[201] = "00010203040506070809101112131415161718192021222324252627282930"
                                  "31323334353637383940414243444546474849505152535455565758596061"
                                  "62636465666768697071727374757677787980818283848586878889909192"
                                  "93949596979899";

/* Copies are of a fixed size, which is faster than of the right one; what is too much is written
 * over. */
#define DIGITS_BYTES ((size_t)2 * LH_SHORTEST_BYTES)

__extension__ typedef unsigned __int128 wide; /* both compilers have it on every 64-bit machine */

/* The shortest decimal digits × 10^*ret_exponent that reads back as `value`, and of several the
 * nearest, for values from 10^-5 to 10^15; 0 if this way cannot tell.
 *
 * The idea is that of Schubfach (Giulietti, "The Schubfach way to render doubles"): value and the
 * borders of what reads back as it are scaled by a power of ten so that neighbours are 16 or 17
 * digits apart; then a multiple of ten between the borders, if there is one, is the answer or the
 * answer with zeros behind it, else one of the two whole numbers beside the value is. Here every
 * power is a whole number of at most 49 bits, so products are exact in 128 bits and no table is
 * needed: four times the scaled number is cut to a whole one, and made odd if something was cut
 * off, which keeps every comparison with a multiple of four what it was. */
static uint64_t shortest_of(double value, int *ret_exponent)
{
    static const uint64_t fives[23] = {1,
                                       5,
                                       25,
                                       125,
                                       625,
                                       3125,
                                       15625,
                                       78125,
                                       390625,
                                       1953125,
                                       9765625,
                                       48828125,
                                       244140625,
                                       1220703125,
                                       6103515625,
                                       30517578125,
                                       152587890625,
                                       762939453125,
                                       3814697265625,
                                       19073486328125,
                                       95367431640625,
                                       476837158203125,
                                       2384185791015625};
    uint64_t bits, fraction;
    memcpy(&bits, &value, sizeof bits);
    int binary = (int)(bits >> 52) - 1075; /* value = fraction × 2^binary; there is no sign */
    fraction = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    if (binary < -69 || binary > -3 || fraction == UINT64_C(1) << 52)
        return 0; /* of a power of two the lower border is nearer */
    unsigned scale = (unsigned)(-binary * 1233 >> 12) + 1; /* 10^scale × 2^binary is 1 to 10 */
    unsigned shift = (unsigned)-binary - scale;
    uint64_t is_odd = fraction & 1; /* then the borders themselves read back as a neighbour */
    uint64_t cut = (UINT64_C(1) << shift) - 1;
    wide middle = (wide)(4 * fraction) * fives[scale], half = (wide)2 * fives[scale];
    wide below = middle - half, above = middle + half;
    uint64_t scaled = (uint64_t)(middle >> shift) | (((uint64_t)middle & cut) != 0);
    uint64_t lower = ((uint64_t)(below >> shift) | (((uint64_t)below & cut) != 0)) + is_odd;
    uint64_t upper = ((uint64_t)(above >> shift) | (((uint64_t)above & cut) != 0)) - is_odd;
    uint64_t whole = scaled / 4, tens = whole / 10;
    bool is_down = lower <= 40 * tens, is_up = 40 * tens + 40 <= upper;
    if (is_down != is_up) {
        *ret_exponent = 1 - (int)scale;
        return tens + is_up;
    }
    *ret_exponent = -(int)scale;
    is_down = lower <= 4 * whole;
    is_up = 4 * whole + 4 <= upper;
    if (is_down != is_up)
        return whole + is_up;
    uint64_t half_way = 4 * whole + 2;
    return whole + (scaled > half_way || (scaled == half_way && (whole & 1)));
}

/* As lh_shortest_double, for nearly all numbers several times faster. */
static int shortest_digits(double value, char *ret_digits, int *ret_point)
{
    int exponent;
    uint64_t digits = shortest_of(value, &exponent);
    if (digits == 0 || digits < UINT64_C(1000000000000000))
        return lh_shortest_double(value, ret_digits, ret_point);
    uint64_t first = digits / LH_DIGITS_EIGHT;
    uint64_t last = lh_digits_eight((uint32_t)(digits - first * LH_DIGITS_EIGHT));
    char *end = lh_digits_uint(ret_digits, first);
    int count = (int)(end - ret_digits) + 8;
    lh_digits_store(end, last | LH_DIGITS_ZEROS);
    *ret_point = count + exponent;
    count -= (int)lh_digits_trailing(last);
    while (ret_digits[count - 1] == '0')
        count--;
    return count;
}

/* Copies of a fixed size are one instruction; what they bring too much is written over. Nothing
 * here is a C string.
 * NOLINTBEGIN(bugprone-not-null-terminated-result) */
/* Writes 0.<digits> × 10^point with its point in sight, or as d.dde±x when that would take many
 * zeros. */
static char *place_point(char *out, const char *digits, int count, int point)
{
    if (point > 21 || point < -5) {
        *out++ = digits[0];
        if (count > 1) {
            *out++ = '.';
            memcpy(out, digits + 1, LH_SHORTEST_BYTES);
            out += count - 1;
        }
        return out + snprintf(out, 8, "e%+03d", point - 1);
    }
    if (point <= 0) {
        memcpy(out, "0.00000", 7);
        out += 2 - point;
        memcpy(out, digits, LH_SHORTEST_BYTES);
        return out + count;
    }
    memcpy(out, digits, LH_SHORTEST_BYTES);
    if (count > point) {
        out[point] = '.';
        memcpy(out + point + 1, digits + point, LH_SHORTEST_BYTES);
        return out + count + 1;
    }
    memset(out + count, '0', (size_t)(point - count));
    out += point;
    memcpy(out, ".0", 2);
    return out + 2;
}

/* NOLINTEND(bugprone-not-null-terminated-result) */

static char *write_special(char *out, double value)
{
    struct lh_str name = isnan(value) ? lh_lit("\"NaN\"")
                         : value > 0  ? lh_lit("\"Infinity\"")
                                      : lh_lit("\"-Infinity\"");
    memcpy(out, name.data, name.len);
    return out + name.len;
}

static char *write_zero(char *out)
{
    static const char zero[] = {'0', '.', '0'};
    memcpy(out, zero, sizeof(zero));
    return out + sizeof(zero);
}

char *lh_json_write_double(char *out, double value)
{
    char digits[DIGITS_BYTES] = {0};
    int point;
    if (!isfinite(value))
        return write_special(out, value);
    if (signbit(value))
        *out++ = '-';
    if (value == 0)
        return write_zero(out);
    int count = shortest_digits(fabs(value), digits, &point);
    return place_point(out, digits, count, point);
}

char *lh_json_write_float(char *out, float value)
{
    char digits[DIGITS_BYTES] = {0};
    int point;
    if (!isfinite(value))
        return write_special(out, (double)value);
    if (signbit(value))
        *out++ = '-';
    if (value == 0)
        return write_zero(out);
    int count = lh_shortest_float(fabsf(value), digits, &point);
    return place_point(out, digits, count, point);
}

void lh_json_append_double(struct lh_buf *buf, double value)
{
    char text[LH_JSON_DOUBLE_BYTES];
    lh_buf_append(buf, text, (size_t)(lh_json_write_double(text, value) - text));
}
