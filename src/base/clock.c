#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t fake_ms;
static _Atomic bool is_fake;

int64_t lh_clock_unix_ms(void)
{
    if (atomic_load_explicit(&is_fake, memory_order_acquire))
        return atomic_load(&fake_ms);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t lh_clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void lh_clock_set_fake(int64_t unix_ms)
{
    atomic_store(&fake_ms, unix_ms);
    atomic_store_explicit(&is_fake, true, memory_order_release);
}

void lh_clock_advance_fake(int64_t ms)
{
    atomic_fetch_add(&fake_ms, ms);
}

void lh_clock_clear_fake(void)
{
    atomic_store_explicit(&is_fake, false, memory_order_release);
}

/* Days since 1970-01-01 of a proleptic Gregorian date: the years are counted from March, so that
 * the leap day is the last of its year, in eras of 400 years, which all have the same number of
 * days. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int shifted = (int)((5 * day_of_year + 2) / 153);
    *ret_day = (int)(day_of_year - (153 * shifted + 2) / 5) + 1;
    *ret_month = shifted < 10 ? shifted + 3 : shifted - 9;
    *ret_year = era * 400 + year_of_era + (*ret_month <= 2);
}

#define DAY_MS ((int64_t)86400000)

void lh_time_format(int64_t unix_ms, char *ret)
{
    /* Years 0000 to 9999 are what RFC 3339 can write. */
    int64_t least = days_of(0, 1, 1) * DAY_MS;
    int64_t most = days_of(10000, 1, 1) * DAY_MS - 1;
    int64_t ms = unix_ms < least ? least : unix_ms > most ? most : unix_ms;
    int64_t days = (ms >= 0 ? ms : ms - (DAY_MS - 1)) / DAY_MS;
    int64_t rest = ms - days * DAY_MS;
    int64_t year = 0;
    int month = 0;
    int day = 0;
    date_of(days, &year, &month, &day);
    snprintf(ret, LH_TIME_TEXT_BYTES + 1, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)year % 10000, (unsigned)month % 100, (unsigned)day % 100,
             (unsigned)(rest / 3600000) % 100, (unsigned)(rest / 60000 % 60),
             (unsigned)(rest / 1000 % 60), (unsigned)(rest % 1000));
}

/* Takes `count` digits off the front. */
static bool take_number(struct lh_str *text, size_t count, int *ret)
{
    if (text->len < count)
        return false;
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            return false;
        value = value * 10 + (text->data[i] - '0');
    }
    *text = (struct lh_str){text->data + count, text->len - count};
    *ret = value;
    return true;
}

static bool take_char(struct lh_str *text, const char *choices)
{
    if (text->len == 0 || text->data[0] == '\0' || !strchr(choices, text->data[0]))
        return false;
    *text = (struct lh_str){text->data + 1, text->len - 1};
    return true;
}

static bool take_date(struct lh_str *text, int64_t *ret_days)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 0;
    int month = 0;
    int day = 0;
    if (!take_number(text, 4, &year) || !take_char(text, "-") || !take_number(text, 2, &month) ||
        !take_char(text, "-") || !take_number(text, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > month_days[month - 1] + (month == 2 && is_leap))
        return false;
    *ret_days = days_of(year, month, day);
    return true;
}

/* "hh:mm:ss", seconds and their fraction optional; digits after the third are dropped. */
static bool take_time(struct lh_str *text, int64_t *ret_ms)
{
    int hour = 0;
    int minute = 0;
    int second = 0;
    int64_t fraction_ms = 0;
    if (!take_number(text, 2, &hour) || !take_char(text, ":") || !take_number(text, 2, &minute))
        return false;
    if (take_char(text, ":")) {
        if (!take_number(text, 2, &second))
            return false;
        if (take_char(text, ".")) {
            int digit = 0;
            int64_t scale = 100;
            if (!take_number(text, 1, &digit))
                return false;
            do {
                fraction_ms += digit * scale;
                scale /= 10;
            } while (take_number(text, 1, &digit));
        }
    }
    if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second is the next minute's start */
        return false;
    *ret_ms = ((int64_t)hour * 60 + minute) * 60000 + (int64_t)second * 1000 + fraction_ms;
    return true;
}

/* "Z" or "+hh:mm" */
static bool take_offset(struct lh_str *text, int64_t *ret_ms)
{
    if (take_char(text, "Zz")) {
        *ret_ms = 0;
        return true;
    }
    bool is_west = text->len && text->data[0] == '-';
    int hours = 0;
    int minutes = 0;
    if (!take_char(text, "+-") || !take_number(text, 2, &hours) || !take_char(text, ":") ||
        !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    int64_t offset_ms = ((int64_t)hours * 60 + minutes) * 60000;
    *ret_ms = is_west ? -offset_ms : offset_ms;
    return true;
}

bool lh_time_parse(struct lh_str text, int64_t *ret_unix_ms)
{
    int64_t days = 0;
    int64_t time_ms = 0;
    int64_t offset_ms = 0;
    if (!take_date(&text, &days))
        return false;
    if (text.len) {
        if (!take_char(&text, "Tt ") || !take_time(&text, &time_ms) ||
            !take_offset(&text, &offset_ms))
            return false;
    }
    if (text.len)
        return false;
    *ret_unix_ms = days * DAY_MS + time_ms - offset_ms;
    return true;
}
