/* Dates and times as RFC 3339 writes them. Timestamps without a zone are told in UTC, which is the
 * zone that the engine runs in. What RFC 3339 cannot say (years beyond 9999 or before 1, infinity)
 * is the engine's own text. */
#include "query/encode_json.h"

#define SECONDS_PER_DAY INT64_C(86400)
#define NANOS INT64_C(1000000000)

static char *two(char *out, unsigned value)
{
    *out++ = (char)('0' + value / 10);
    *out++ = (char)('0' + value % 10);
    return out;
}

/* From days since 1970-01-01 to the proleptic Gregorian calendar, counting in eras of 400 years
 * that begin on the first of March, so that the leap day is an era's last. */
static void civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned of_era = (unsigned)(days - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned shifted = (5 * of_year + 2) / 153;
    *ret_day = of_year - (153 * shifted + 2) / 5 + 1;
    *ret_month = shifted < 10 ? shifted + 3 : shifted - 9;
    *ret_year = (int64_t)year + era * 400 + (*ret_month <= 2);
}

/* "2026-01-31", or NULL if the year has no four digits. */
static char *write_date(char *out, int64_t days)
{
    int64_t year;
    unsigned month, day;
    civil(days, &year, &month, &day);
    if (year < 1 || year > 9999)
        return NULL;
    out = two(out, (unsigned)year / 100);
    out = two(out, (unsigned)year % 100);
    *out++ = '-';
    out = two(out, month);
    *out++ = '-';
    return two(out, day);
}

/* "09:00:00.123456": as many groups of three digits as there is something in. */
static char *write_clock(char *out, int64_t nanos)
{
    unsigned seconds = (unsigned)(nanos / NANOS), part = (unsigned)(nanos % NANOS);
    out = two(out, seconds / 3600);
    *out++ = ':';
    out = two(out, seconds / 60 % 60);
    *out++ = ':';
    out = two(out, seconds % 60);
    if (!part)
        return out;
    *out++ = '.';
    unsigned digits = part % 1000 ? 9 : part % 1000000 ? 6 : 3;
    for (unsigned i = 0, unit = 100000000; i < digits; i++, unit /= 10)
        *out++ = (char)('0' + part / unit % 10);
    return out;
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
    out = two(out, seconds / 3600);
    *out++ = ':';
    out = two(out, seconds / 60 % 60);
    if (seconds % 60 == 0)
        return out;
    *out++ = ':'; /* RFC 3339 has no such zone, the engine has */
    return two(out, seconds % 60);
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

/* Units per second of each timestamp. */
static int64_t unit_of(enum engine_type type)
{
    switch (type) {
    case ENGINE_TIMESTAMP_S:
        return 1;
    case ENGINE_TIMESTAMP_MS:
        return 1000;
    case ENGINE_TIMESTAMP_NS:
        return NANOS;
    default:
        return 1000000;
    }
}

char *query_json_timestamp(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                           char *out)
{
    int64_t value = ((const int64_t *)vector->data)[row], unit = unit_of(vector->type);
    if (value == INT64_MAX || value == -INT64_MAX)
        return query_json_engine_text(buf, vector, row, out);
    int64_t seconds = value / unit, part = value % unit;
    if (part < 0) {
        part += unit;
        seconds--;
    }
    int64_t days = seconds / SECONDS_PER_DAY, of_day = seconds % SECONDS_PER_DAY;
    if (of_day < 0) {
        of_day += SECONDS_PER_DAY;
        days--;
    }
    *out = '"';
    char *end = write_date(out + 1, days);
    if (!end)
        return query_json_engine_text(buf, vector, row, out);
    *end++ = 'T';
    end = write_clock(end, of_day * NANOS + part * (NANOS / unit));
    *end++ = 'Z';
    *end++ = '"';
    return end;
}
