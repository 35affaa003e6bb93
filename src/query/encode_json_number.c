/* Numbers as JSON: whole ones, fractions, and those that are texts because JSON's readers would
 * lose digits. */
#include <math.h>

#include "base/digits.h"
#include "base/json.h"
#include "query/encode_json.h"

/* --- whole numbers */

static inline uint64_t size_of(int64_t value)
{
    return value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value;
}

static inline char *write_int(char *out, int64_t value)
{
    *out = '-';
    return lh_digits_uint(out + (value < 0), size_of(value));
}

#define INTEGER_CELL(name, ctype, write)                                                           \
    char *name(struct lh_buf *buf, const struct engine_vector *vector, size_t row, char *out)      \
    {                                                                                              \
        (void)buf;                                                                                 \
        return write(out, ((const ctype *)vector->data)[row]);                                     \
    }
INTEGER_CELL(query_json_int8, int8_t, write_int)
INTEGER_CELL(query_json_int16, int16_t, write_int)
INTEGER_CELL(query_json_int32, int32_t, write_int)
INTEGER_CELL(query_json_int64, int64_t, write_int)
INTEGER_CELL(query_json_uint8, uint8_t, lh_digits_uint)
INTEGER_CELL(query_json_uint16, uint16_t, lh_digits_uint)
INTEGER_CELL(query_json_uint32, uint32_t, lh_digits_uint)
INTEGER_CELL(query_json_uint64, uint64_t, lh_digits_uint)

/* Without a branch: what is true is no pattern. */
char *query_json_bool(struct lh_buf *buf, const struct engine_vector *vector, size_t row, char *out)
{
    static const char words[2][8] = {"false", "true"};
    (void)buf;
    size_t is_true = ((const uint8_t *)vector->data)[row] != 0;
    memcpy(out, words[is_true], 8);
    return out + 5 - is_true;
}

/* --- fractions */

/* What people store has few digits behind its point. If the value times 10^4, rounded, is below
 * 10^15 and divides back to the value, then that decimal is the only one of up to 15 digits that
 * reads back as the value, so it is the shortest: both numbers are exact, and the one division
 * rounds as reading the text does. Zeros at its end are no part of the shortest. NULL: it is not so
 * simple. */
static inline char *write_simple(char *out, double size)
{
    double scaled = size * 1e4;
    uint64_t digits = (uint64_t)(scaled + 0.5);
    if (!(scaled < 1e15) || (double)digits / 1e4 != size)
        return NULL;
    uint64_t eight = lh_digits_eight((uint32_t)(digits % LH_DIGITS_EIGHT));
    unsigned zeros = lh_digits_trailing(eight);
    if (digits < LH_DIGITS_EIGHT) {
        out = lh_digits_point(out, (uint32_t)digits, 4);
    } else {
        out = lh_digits_uint(out, digits / 10000);
        *out++ = '.';
        lh_digits_store(out, (eight >> 32) | LH_DIGITS_ZEROS);
        out += 4;
    }
    return out - (zeros < 3 ? zeros : 3);
}

char *query_json_double(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                        char *out)
{
    double value = ((const double *)vector->data)[row], size = fabs(value);
    (void)buf;
    if (size >= 1e-4 && size < 1e11) {
        *out = '-';
        char *end = write_simple(out + (value < 0), size);
        if (end)
            return end;
    }
    return lh_json_write_double(out, value);
}

char *query_json_float(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    (void)buf;
    return lh_json_write_float(out, ((const float *)vector->data)[row]);
}

/* --- numbers as text */

static char *write_long_decimal(char *out, uint64_t size, unsigned scale)
{
    char text[32], *end = lh_digits_uint(text, size);
    unsigned count = (unsigned)(end - text);
    unsigned zeros = count > scale ? 0 : scale + 1 - count;
    char padded[64];
    memset(padded, '0', zeros);
    memcpy(padded + zeros, text, count);
    unsigned before = count + zeros - scale;
    memcpy(out, padded, before);
    out[before] = '.';
    memcpy(out + before + 1, padded + before, scale);
    return out + before + 1 + scale;
}

static inline char *write_decimal64(char *out, int64_t value, unsigned scale)
{
    uint64_t size = size_of(value);
    *out++ = '"';
    *out = '-';
    out += value < 0;
    if (scale == 0)
        out = lh_digits_uint(out, size);
    else if (size < LH_DIGITS_EIGHT && scale < 8)
        out = lh_digits_point(out, (uint32_t)size, scale);
    else
        out = write_long_decimal(out, size, scale);
    *out = '"';
    return out + 1;
}

char *query_json_decimal(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                         char *out)
{
    unsigned scale = vector->info->scale;
    switch (vector->info->storage) {
    case ENGINE_INT16:
        return write_decimal64(out, ((const int16_t *)vector->data)[row], scale);
    case ENGINE_INT32:
        return write_decimal64(out, ((const int32_t *)vector->data)[row], scale);
    case ENGINE_INT64:
        return write_decimal64(out, ((const int64_t *)vector->data)[row], scale);
    default:
        return query_json_engine_text(buf, vector, row, out);
    }
}
