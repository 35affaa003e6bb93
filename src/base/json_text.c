/* Strings and numbers as JSON writes them: the part of the writer that runs once per cell of a
 * result. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

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

/* Exact powers: of double up to 10^22. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define POWER_MAX 22

/* Room for the text of any double without its sign. */
#define DOUBLE_BYTES 48

/* Writes 0.<digits> × 10^point with its point in sight, or as d.dde±x when that would take many
 * zeros. */
static size_t place_point(char *out, const char *digits, int count, int point)
{
    int len = 0;
    if (point > 21 || point < -5) {
        out[len++] = digits[0];
        if (count > 1) {
            out[len++] = '.';
            memcpy(out + len, digits + 1, (size_t)count - 1);
            len += count - 1;
        }
        len += snprintf(out + len, DOUBLE_BYTES - (size_t)len, "e%+03d", point - 1);
        return (size_t)len;
    }
    if (point <= 0)
        out[len++] = '0';
    for (int i = 0; i < point; i++)
        out[len++] = i < count ? digits[i] : '0';
    out[len++] = '.';
    for (int i = point; i < 0; i++)
        out[len++] = '0';
    for (int i = point > 0 ? point : 0; i < count; i++)
        out[len++] = digits[i];
    if (count <= point)
        out[len++] = '0';
    return (size_t)len;
}

/* digits × 10^-scale as text, without the zeros at its end. */
static size_t write_decimal(char *out, uint64_t value, int scale)
{
    char digits[20];
    int count = 0;
    while (value && value % 10 == 0) {
        value /= 10;
        scale--;
    }
    do {
        digits[19 - count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return place_point(out, digits + 20 - count, count, count - scale);
}

/* The shortest decimal of up to 15 digits that reads back as `value`, if there is one; there is at
 * most one such decimal. Both the digits (below 2^53) and the power are exact doubles, so that one
 * division or multiplication rounds exactly as reading the text would. */
static bool write_short(char *out, double value, size_t *ret_len)
{
    int scale = 14 - (int)floor(log10(value));
    if (scale < -POWER_MAX || scale > POWER_MAX)
        return false;
    double scaled = scale >= 0 ? value * powers[scale] : value / powers[-scale];
    uint64_t digits = (uint64_t)llrint(scaled);
    double back = scale >= 0 ? (double)digits / powers[scale] : (double)digits * powers[-scale];
    if (back != value || digits >= UINT64_C(1) << 53)
        return false;
    *ret_len = write_decimal(out, digits, scale);
    return true;
}

/* 16 and 17 digits, scaled with the wider type where the machine has one, and proven by reading
 * them back: several times faster than printing with growing precision. What is clearly nearer to
 * another double is not read at all. */
static bool write_long(char *out, double value, size_t *ret_len)
{
    int exponent = (int)floor(log10(value));
    long double half_step = ((long double)nextafter(value, INFINITY) - (long double)value) / 2;
    for (int precision = 16; precision <= 17; precision++) {
        int scale = precision - 1 - exponent;
        if (scale < -POWER_MAX || scale > POWER_MAX)
            return false;
        long double power = (long double)powers[scale < 0 ? -scale : scale];
        long double scaled = scale >= 0 ? (long double)value * power : (long double)value / power;
        uint64_t digits = (uint64_t)llrintl(scaled);
        long double back = scale >= 0 ? (long double)digits / power : (long double)digits * power;
        if (fabsl(back - (long double)value) > half_step * 1.001L)
            continue;
        size_t len = write_decimal(out, digits, scale);
        out[len] = 0;
        if (strtod(out, NULL) == value) {
            *ret_len = len;
            return true;
        }
    }
    return false;
}

/* Very large and very small numbers, and whatever the ways above did not prove. */
static size_t write_any(char *out, double value)
{
    char text[40];
    /* Below the normal numbers fewer digits tell one from the next. */
    for (int precision = value < 0x1p-1022 ? 0 : 14; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char *mark = strchr(text, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10);
    int count = 1;
    if (text[1] == '.') {
        memmove(text + 1, text + 2, (size_t)(mark - text) - 2);
        count = (int)(mark - text) - 1;
    }
    while (count > 1 && text[count - 1] == '0')
        count--;
    return place_point(out, text, count, exponent + 1);
}

void lh_json_append_double(struct lh_buf *buf, double value)
{
    if (!isfinite(value)) {
        const char *name = isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        lh_buf_append_str(buf, lh_str_of(name));
        return;
    }
    char text[1 + DOUBLE_BYTES];
    size_t len = 0, sign = 0;
    if (signbit(value)) {
        text[sign++] = '-';
        value = -value;
    }
    if (value < 9007199254740992.0 && value == (double)(uint64_t)value) {
        len = write_decimal(text + sign, (uint64_t)value, 0);
    } else if (!write_short(text + sign, value, &len) && !write_long(text + sign, value, &len)) {
        len = write_any(text + sign, value);
    }
    lh_buf_append(buf, text, sign + len);
}
