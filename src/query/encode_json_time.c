/* Dates and times as RFC 3339 writes them. Timestamps without a zone are told in UTC, which is the
 * zone that the engine runs in. What RFC 3339 cannot say (years beyond 9999 or before 1, infinity)
 * is the engine's own text. */
#include "base/digits.h"
#include "query/encode_json.h"

#define SECONDS_PER_DAY INT64_C(86400)
#define MICROS INT64_C(1000000)
#define NANOS INT64_C(1000000000)

/* "2026-01-31", or NULL if the year has no four digits.
 *
 * From days since 1970-01-01 to the proleptic Gregorian calendar, counted from a first of March, so
 * that the leap day is a year's last. The constants are those of Neri and Schneider, "Euclidean
 * affine functions and their application to calendar algorithms" (2022): each division is a
 * multiplication and a shift. */
#define DAY_FIRST (-719162)
#define DAY_LAST 2932896
static inline char *write_date(char *out, int64_t since)
{
    if (since < DAY_FIRST || since > DAY_LAST)
        return NULL;
    uint32_t quarters = 4 * (uint32_t)(since + 719468) + 3;
    uint32_t century = quarters / 146097, of_century = (quarters % 146097) | 3;
    uint64_t product = (uint64_t)2939745 * of_century;
    uint32_t year = 100 * century + (uint32_t)(product >> 32);
    uint32_t of_year = (uint32_t)product / 2939745 / 4;
    uint32_t month = 2141 * of_year + 197913;
    uint32_t day = (month & 0xFFFF) / 2141 + 1;
    bool is_next = of_year >= 306; /* January and February */
    month = (month >> 16) - (is_next ? 12 : 0);
    year += is_next;
    lh_digits_two(out, year / 100);
    lh_digits_two(out + 2, year % 100);
    out[4] = '-';
    lh_digits_two(out + 5, month);
    out[7] = '-';
    return lh_digits_two(out + 8, day);
}

/* "09:00:00" */
static inline char *write_seconds(char *out, unsigned seconds)
{
    unsigned minutes = seconds / 60;
    lh_digits_two(out, minutes / 60);
    out[2] = ':';
    lh_digits_two(out + 3, minutes % 60);
    out[5] = ':';
    return lh_digits_two(out + 6, seconds - minutes * 60);
}

/* The fraction of a second: as many groups of three digits as there is something in. */
static inline char *write_micros(char *out, unsigned micros)
{
    if (!micros)
        return out;
    *out = '.';
    lh_digits_two(out + 1, micros / 10000);
    lh_digits_two(out + 3, micros / 100 % 100);
    lh_digits_two(out + 5, micros % 100);
    return out + (micros % 1000 ? 7 : 4);
}

static inline char *write_nanos(char *out, unsigned nanos)
{
    if (nanos % 1000 == 0)
        return write_micros(out, nanos / 1000);
    *out = '.';
    lh_digits_store(out + 1, lh_digits_eight(nanos / 10) | LH_DIGITS_ZEROS);
    out[9] = (char)('0' + nanos % 10);
    return out + 10;
}

static char *write_clock(char *out, int64_t nanos)
{
    out = write_seconds(out, (unsigned)(nanos / NANOS));
    return write_nanos(out, (unsigned)(nanos % NANOS));
}

char *query_json_engine_text(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                             char *out)
{
    buf->len = (size_t)(out - buf->data);
    lh_buf_append_char(buf, '"');
    engine_value_text(vector, row, buf);
    lh_buf_append_char(buf, '"');
    return lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
}

char *query_json_date(struct lh_buf *buf, const struct engine_vector *vector, size_t row, char *out)
{
    int32_t days = ((const int32_t *)vector->data)[row];
    *out = '"';
    char *end = write_date(out + 1, days);
    if (!end)
        return query_json_engine_text(buf, vector, row, out);
    *end++ = '"';
    return end;
}

static char *write_offset(char *out, int32_t offset)
{
    unsigned seconds = (unsigned)(offset < 0 ? -offset : offset);
    *out++ = offset < 0 ? '-' : '+';
    out = lh_digits_two(out, seconds / 3600);
    *out++ = ':';
    out = lh_digits_two(out, seconds / 60 % 60);
    if (seconds % 60 == 0)
        return out;
    *out++ = ':'; /* RFC 3339 has no such zone, the engine has */
    return lh_digits_two(out, seconds % 60);
}

char *query_json_time(struct lh_buf *buf, const struct engine_vector *vector, size_t row, char *out)
{
    int64_t nanos;
    int32_t offset = 0;
    (void)buf;
    if (vector->type == ENGINE_TIME_TZ) {
        engine_time_tz_split(((const uint64_t *)vector->data)[row], &nanos, &offset);
        nanos *= 1000;
    } else {
        nanos = ((const int64_t *)vector->data)[row] * (vector->type == ENGINE_TIME ? 1000 : 1);
    }
    *out++ = '"';
    out = write_clock(out, nanos);
    if (vector->type == ENGINE_TIME_TZ)
        out = write_offset(out, offset);
    *out++ = '"';
    return out;
}

/* `unit` per second is a constant of each function, so that no division is one. */
#define TIMESTAMP_CELL(name, unit)                                                                 \
    char *name(struct lh_buf *buf, const struct engine_vector *vector, size_t row, char *out)      \
    {                                                                                              \
        const int64_t value = ((const int64_t *)vector->data)[row];                                \
        const int64_t per_day = (unit)*SECONDS_PER_DAY;                                            \
        int64_t days = value / per_day, of_day = value % per_day;                                  \
        days -= of_day < 0;                                                                        \
        of_day += of_day < 0 ? per_day : 0;                                                        \
        const bool is_finite = value != INT64_MAX && value != -INT64_MAX;                          \
        *out = '"';                                                                                \
        char *end = is_finite ? write_date(out + 1, days) : NULL;                                  \
        if (!end)                                                                                  \
            return query_json_engine_text(buf, vector, row, out);                                  \
        *end = 'T';                                                                                \
        end = write_seconds(end + 1, (unsigned)(of_day / (unit)));                                 \
        end = write_nanos(end, (unsigned)(of_day % (unit) * (NANOS / (unit))));                    \
        memcpy(end, "Z\"", 2);                                                                     \
        return end + 2;                                                                            \
    }
TIMESTAMP_CELL(query_json_timestamp, MICROS)
TIMESTAMP_CELL(query_json_timestamp_s, INT64_C(1))
TIMESTAMP_CELL(query_json_timestamp_ms, INT64_C(1000))
TIMESTAMP_CELL(query_json_timestamp_ns, NANOS)
