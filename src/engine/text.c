/* Values as text, exactly as the library casts them to VARCHAR. */
#include "engine/vector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 wide; /* both compilers have it on every 64-bit machine */

static void append_wide(wide value, struct lh_buf *buf)
{
    char digits[40];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value);
    lh_buf_append(buf, digits + at, sizeof digits - at);
}

static wide magnitude(struct engine_int128 value)
{
    wide bits = (wide)(uint64_t)value.upper << 64 | value.lower;
    return value.upper < 0 ? ~bits + 1 : bits;
}

void engine_int128_text(struct engine_int128 value, struct lh_buf *buf)
{
    if (value.upper < 0)
        lh_buf_append_char(buf, '-');
    append_wide(magnitude(value), buf);
}

void engine_uint128_text(struct engine_uint128 value, struct lh_buf *buf)
{
    append_wide((wide)value.upper << 64 | value.lower, buf);
}

void engine_decimal_text(struct engine_int128 value, unsigned scale, struct lh_buf *buf)
{
    char digits[40];
    size_t at = sizeof digits;
    wide rest = magnitude(value);
    size_t written = 0;
    while (rest || written <= scale) {
        digits[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
        written++;
    }
    if (value.upper < 0)
        lh_buf_append_char(buf, '-');
    lh_buf_append(buf, digits + at, written - scale);
    if (scale) {
        lh_buf_append_char(buf, '.');
        lh_buf_append(buf, digits + at + written - scale, scale);
    }
}

struct engine_int128 engine_vector_decimal(const struct engine_vector *vector, size_t row)
{
    int64_t value;
    switch (vector->info->storage) {
    case ENGINE_INT16:
        value = ((const int16_t *)vector->data)[row];
        break;
    case ENGINE_INT32:
        value = ((const int32_t *)vector->data)[row];
        break;
    case ENGINE_INT64:
        value = ((const int64_t *)vector->data)[row];
        break;
    default:
        return ((const struct engine_int128 *)vector->data)[row];
    }
    return (struct engine_int128){(uint64_t)value, value < 0 ? -1 : 0};
}

void engine_uuid_text(struct engine_int128 value, char ret[36])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t halves[2] = {(uint64_t)value.upper ^ ((uint64_t)1 << 63), value.lower};
    size_t at = 0;
    for (size_t i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            ret[at++] = '-';
        ret[at++] = hex[halves[i / 16] >> (60 - 4 * (i % 16)) & 15];
    }
}

void engine_bit_text(struct lh_str bits, struct lh_buf *buf)
{
    /* The first byte says how many of the first bits are only padding. */
    size_t padding = bits.len ? (unsigned char)bits.data[0] : 0;
    for (size_t i = 8 + padding; i < bits.len * 8; i++)
        lh_buf_append_char(buf, (unsigned char)bits.data[i / 8] >> (7 - i % 8) & 1 ? '1' : '0');
}

/* Three bytes of header (top bit: not negative), then the magnitude, most significant byte first;
 * all of a negative number is inverted. Nine decimal digits are divided off at a time. */
void engine_bignum_text(struct lh_str bignum, struct lh_buf *buf)
{
    if (bignum.len < 4)
        return;
    bool is_negative = !((unsigned char)bignum.data[0] & 0x80);
    size_t count = bignum.len - 3, word_count = (count + 3) / 4, group_count = 0;
    uint32_t *words = calloc(word_count, sizeof *words);
    uint32_t *groups = calloc(word_count * 10 / 9 + 2, sizeof *groups);
    for (size_t i = 0; words && groups && i < count; i++) {
        unsigned char byte = (unsigned char)bignum.data[3 + i];
        size_t place = count - 1 - i; /* from the least significant byte */
        words[place / 4] |= (uint32_t)(unsigned char)(is_negative ? ~byte : byte)
                            << (place % 4 * 8);
    }
    while (words && groups && word_count > 0) {
        uint64_t rest = 0;
        for (size_t i = word_count; i-- > 0;) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 1000000000U);
            rest %= 1000000000U;
        }
        groups[group_count++] = (uint32_t)rest;
        while (word_count > 0 && words[word_count - 1] == 0)
            word_count--;
    }
    if (is_negative)
        lh_buf_append_char(buf, '-');
    for (size_t i = group_count; i-- > 0;)
        lh_buf_printf(buf, i + 1 == group_count ? "%u" : "%09u", groups[i]);
    free(words);
    free(groups);
}

static void append_blob(struct lh_str bytes, struct lh_buf *buf)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c >= 32 && c <= 126 && c != '\\' && c != '\'' && c != '"')
            lh_buf_append_char(buf, (char)c);
        else
            lh_buf_printf(buf, "\\x%02X", c);
    }
}

/* --- numbers */

/* The fewest digits that read back as the same number, as a decimal up to 1e16 and down to 1e-4. */
static void append_real(double value, bool is_float, struct lh_buf *buf)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        lh_buf_append_str(buf, lh_str_of(isnan(value) ? "nan" : value < 0 ? "-inf" : "inf"));
        return;
    }
    int precision = 1;
    for (; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        if (is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        lh_buf_append_str(buf, lh_str_of(text));
        return;
    }
    int decimals = precision - 1 - exponent;
    lh_buf_printf(buf, "%.*f", decimals > 0 ? decimals : 1, value);
}

/* --- dates and times */

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Days since 1970 to a date of the proleptic Gregorian calendar, by counting eras of 400 years from
 * March. */
static void append_date(int64_t days, struct lh_buf *buf, bool *ret_is_bc)
{
    int64_t shifted = days + 719468;
    int64_t era = floor_divide(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    *ret_is_bc = year <= 0;
    lh_buf_printf(buf, "%04lld-%02lld-%02lld", (long long)(year <= 0 ? 1 - year : year),
                  (long long)month, (long long)day);
}

/* `digits` of the fraction are stored; trailing zeros are not shown. */
static void append_clock(int64_t ticks, int64_t per_second, int digits, struct lh_buf *buf)
{
    int64_t seconds = ticks / per_second, fraction = ticks % per_second;
    lh_buf_printf(buf, "%02lld:%02lld:%02lld", (long long)(seconds / 3600),
                  (long long)(seconds / 60 % 60), (long long)(seconds % 60));
    if (!fraction)
        return;
    for (; fraction % 10 == 0; digits--)
        fraction /= 10;
    lh_buf_printf(buf, ".%0*lld", digits, (long long)fraction);
}

static void append_offset(int32_t seconds, struct lh_buf *buf)
{
    int32_t size = seconds < 0 ? -seconds : seconds;
    lh_buf_printf(buf, "%c%02d", seconds < 0 ? '-' : '+', (int)(size / 3600));
    if (size % 3600)
        lh_buf_printf(buf, ":%02d", (int)(size / 60 % 60));
    if (size % 60)
        lh_buf_printf(buf, ":%02d", (int)(size % 60));
}

static void append_timestamp(int64_t ticks, int64_t per_second, int digits, const char *zone,
                             struct lh_buf *buf)
{
    bool is_bc = false;
    if (ticks == INT64_MAX || ticks == -INT64_MAX) {
        lh_buf_append_str(buf, lh_str_of(ticks > 0 ? "infinity" : "-infinity"));
        return;
    }
    int64_t per_day = 86400 * per_second;
    int64_t days = floor_divide(ticks, per_day);
    /* The product may lie below INT64_MIN by less than a day; unsigned arithmetic brings it back.
     */
    int64_t in_day = (int64_t)((uint64_t)ticks - (uint64_t)days * (uint64_t)per_day);
    append_date(days, buf, &is_bc);
    lh_buf_append_str(buf, is_bc ? lh_lit(" (BC) ") : lh_lit(" "));
    append_clock(in_day, per_second, digits, buf);
    lh_buf_append_str(buf, lh_str_of(zone));
}

static void append_unit(int64_t count, const char *unit, struct lh_buf *buf, size_t start)
{
    if (!count)
        return;
    lh_buf_printf(buf, "%s%lld %s%s", buf->len > start ? " " : "", (long long)count, unit,
                  count == 1 || count == -1 ? "" : "s");
}

static void append_interval(struct engine_interval value, struct lh_buf *buf)
{
    size_t start = buf->len;
    append_unit(value.months / 12, "year", buf, start);
    append_unit(value.months % 12, "month", buf, start);
    append_unit(value.days, "day", buf, start);
    if (!value.micros && buf->len > start)
        return;
    if (buf->len > start)
        lh_buf_append_char(buf, ' ');
    uint64_t size = value.micros < 0 ? -(uint64_t)value.micros : (uint64_t)value.micros;
    if (value.micros < 0)
        lh_buf_append_char(buf, '-');
    lh_buf_printf(buf, "%02llu", (unsigned long long)(size / 3600000000U));
    struct lh_buf rest;
    lh_buf_init(&rest, 64);
    append_clock((int64_t)(size % 3600000000U), 1000000, 6, &rest);
    lh_buf_append_str(buf, lh_str_slice(lh_buf_str(&rest), 2, rest.len));
    lh_buf_release(&rest);
}

static void append_date_value(int32_t days, struct lh_buf *buf)
{
    bool is_bc = false;
    if (days == INT32_MAX || days == -INT32_MAX) {
        lh_buf_append_str(buf, lh_str_of(days > 0 ? "infinity" : "-infinity"));
        return;
    }
    append_date(days, buf, &is_bc);
    if (is_bc)
        lh_buf_append(buf, " (BC)", 5);
}

static void append_time_tz(uint64_t bits, struct lh_buf *buf)
{
    int64_t micros;
    int32_t offset;
    engine_time_tz_split(bits, &micros, &offset);
    append_clock(micros, 1000000, 6, buf);
    append_offset(offset, buf);
}

/* --- all
 * ------------------------------------------------------------------------------------------------
 */

#define AT(type) (((const type *)vector->data)[row])

static void append_time(const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    switch (vector->type) {
    case ENGINE_DATE:
        append_date_value(AT(int32_t), buf);
        break;
    case ENGINE_TIME:
        append_clock(AT(int64_t), 1000000, 6, buf);
        break;
    case ENGINE_TIME_NS:
        append_clock(AT(int64_t), 1000000000, 9, buf);
        break;
    case ENGINE_TIME_TZ:
        append_time_tz(AT(uint64_t), buf);
        break;
    case ENGINE_TIMESTAMP:
        append_timestamp(AT(int64_t), 1000000, 6, "", buf);
        break;
    case ENGINE_TIMESTAMP_S:
        append_timestamp(AT(int64_t), 1, 0, "", buf);
        break;
    case ENGINE_TIMESTAMP_MS:
        append_timestamp(AT(int64_t), 1000, 3, "", buf);
        break;
    case ENGINE_TIMESTAMP_NS:
        append_timestamp(AT(int64_t), 1000000000, 9, "", buf);
        break;
    case ENGINE_TIMESTAMP_TZ:
        append_timestamp(AT(int64_t), 1000000, 6, "+00", buf);
        break;
    default:
        append_interval(AT(struct engine_interval), buf);
        break;
    }
}

static void append_integer(const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    switch (vector->type) {
    case ENGINE_INT8:
        lh_buf_printf(buf, "%d", AT(int8_t));
        break;
    case ENGINE_INT16:
        lh_buf_printf(buf, "%d", AT(int16_t));
        break;
    case ENGINE_INT32:
        lh_buf_printf(buf, "%d", (int)AT(int32_t));
        break;
    case ENGINE_INT64:
        lh_buf_printf(buf, "%lld", (long long)AT(int64_t));
        break;
    case ENGINE_UINT8:
        lh_buf_printf(buf, "%u", AT(uint8_t));
        break;
    case ENGINE_UINT16:
        lh_buf_printf(buf, "%u", AT(uint16_t));
        break;
    case ENGINE_UINT32:
        lh_buf_printf(buf, "%u", (unsigned)AT(uint32_t));
        break;
    case ENGINE_UINT64:
        lh_buf_printf(buf, "%llu", (unsigned long long)AT(uint64_t));
        break;
    case ENGINE_INT128:
        engine_int128_text(AT(struct engine_int128), buf);
        break;
    default:
        engine_uint128_text(AT(struct engine_uint128), buf);
        break;
    }
}

static void append_uuid(struct engine_int128 value, struct lh_buf *buf)
{
    char text[36];
    engine_uuid_text(value, text);
    lh_buf_append(buf, text, sizeof text);
}

void engine_value_text(const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    assert(vector->type < ENGINE_LIST && !engine_vector_is_null(vector, row));
    switch (vector->type) {
    case ENGINE_BOOL:
        lh_buf_append_str(buf, lh_str_of(AT(uint8_t) ? "true" : "false"));
        break;
    case ENGINE_FLOAT:
        append_real((double)AT(float), true, buf);
        break;
    case ENGINE_DOUBLE:
        append_real(AT(double), false, buf);
        break;
    case ENGINE_DECIMAL:
        engine_decimal_text(engine_vector_decimal(vector, row), vector->info->scale, buf);
        break;
    case ENGINE_UUID:
        append_uuid(AT(struct engine_int128), buf);
        break;
    case ENGINE_TEXT:
        lh_buf_append_str(buf, engine_vector_str(vector, row));
        break;
    case ENGINE_BLOB:
        append_blob(engine_vector_str(vector, row), buf);
        break;
    case ENGINE_BIT:
        engine_bit_text(engine_vector_str(vector, row), buf);
        break;
    case ENGINE_BIGNUM:
        engine_bignum_text(engine_vector_str(vector, row), buf);
        break;
    case ENGINE_ENUM:
        lh_buf_append_str(buf, engine_vector_enum_label(vector, row));
        break;
    default:
        if (vector->type >= ENGINE_INT8 && vector->type <= ENGINE_UINT128)
            append_integer(vector, row, buf);
        else
            append_time(vector, row, buf);
        break;
    }
}
