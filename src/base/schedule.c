#include "base/schedule.h"

#include <time.h>

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (MINUTE_MS * 60 * 24)
#define INTERVAL_MS_MAX (DAY_MS * 366)
/* The rarest day, February 29 on one weekday, comes within 40 years (1900 and 2100 are no leap
 * years). */
#define DAYS_MAX (41 * 366)

struct field {
    const char *what;
    unsigned low, high;
    const char *const *names; /* of `low` and what follows; NULL-ended, or NULL */
};

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
                                          "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};
static const struct field fields[] = {{"minute", 0, 59, NULL},
                                      {"hour", 0, 23, NULL},
                                      {"day of month", 1, 31, NULL},
                                      {"month", 1, 12, month_names},
                                      {"day of week", 0, 7, weekday_names}};

static enum lh_code fail_part(const struct field *field, struct lh_str part, struct lh_error *err)
{
    lh_fail(err, LH_INVALID, "'%.*s' is no %s (%u to %u).", LH_ARG(lh_str_head(part, 64)),
            field->what, field->low, field->high);
    return lh_error_hint(err, "A pattern is minute, hour, day of month, month, day of week: "
                              "\"30 3 * * MON-FRI\".");
}

static bool read_value(const struct field *field, struct lh_str text, unsigned *ret)
{
    int64_t number = 0;
    for (unsigned i = 0; field->names && field->names[i]; i++)
        if (lh_str_equal_nocase(text, lh_str_of(field->names[i]))) {
            *ret = field->low + i;
            return true;
        }
    if (text.len == 0 || text.len > 2 || text.data[0] < '0' || text.data[0] > '9' ||
        !lh_str_to_int(text, &number) || number < field->low || number > field->high)
        return false;
    *ret = (unsigned)number;
    return true;
}

/* "*", "5", "1-5", with "/2" behind: a step over a range, or from a value to the end. */
static bool read_part(const struct field *field, struct lh_str part, uint64_t *bits)
{
    struct lh_str range = lh_str_cut(&part, '/'), step_text = part;
    bool has_step = step_text.data && step_text.data != range.data && step_text.len > 0;
    int64_t step = 1;
    unsigned from = field->low, to = field->high;
    if (has_step && (!lh_str_to_int(step_text, &step) || step < 1 || step > field->high))
        return false;
    if (!lh_str_equal(range, lh_lit("*"))) {
        struct lh_str rest = range, low = lh_str_cut(&rest, '-');
        bool is_range = low.len < range.len;
        if (!read_value(field, low, &from))
            return false;
        to = has_step ? field->high : from;
        if (is_range && (!read_value(field, rest, &to) || to < from))
            return false;
    }
    for (unsigned value = from; value <= to; value += (unsigned)step)
        *bits |= UINT64_C(1) << value;
    return true;
}

static enum lh_code read_field(const struct field *field, struct lh_str text, uint64_t *ret,
                               struct lh_error *err)
{
    struct lh_str rest = text;
    *ret = 0;
    while (rest.len) {
        struct lh_str part = lh_str_cut(&rest, ',');
        /* A comma or a slash with nothing behind it. */
        bool is_cut_short = part.len && (part.data[part.len - 1] == '/');
        if (!part.len || is_cut_short || !read_part(field, part, ret))
            return fail_part(field, part, err);
    }
    if (!text.len || text.data[text.len - 1] == ',')
        return fail_part(field, text, err);
    return LH_OK;
}

static enum lh_code read_pattern(struct lh_str text, struct lh_schedule *ret, struct lh_error *err)
{
    uint64_t *const bits[] = {&ret->minutes, &ret->hours, &ret->days, &ret->months, &ret->weekdays};
    struct lh_str rest = text, parts[5];
    size_t count = 0;
    enum lh_code code = LH_OK;
    while ((rest = lh_str_trim(rest)).len && count < 6) {
        struct lh_str part = lh_str_cut(&rest, ' ');
        if (count < 5)
            parts[count] = part;
        count++;
    }
    if (count != 5) {
        lh_fail(err, LH_INVALID, "'%.*s' is no schedule: a cron pattern has five fields.",
                LH_ARG(lh_str_head(text, 64)));
        return lh_error_hint(err, "\"30 3 * * *\" is every day at 3:30 in UTC; \"every 15m\" is a "
                                  "schedule too.");
    }
    for (size_t i = 0; i < 5 && !code; i++)
        code = read_field(&fields[i], parts[i], bits[i], err);
    ret->is_any_day = lh_str_starts_with(parts[2], lh_lit("*"));
    ret->is_any_weekday = lh_str_starts_with(parts[4], lh_lit("*"));
    if (ret->weekdays >> 7 & 1) /* Sunday again */
        ret->weekdays |= 1;
    return code;
}

static enum lh_code read_interval(struct lh_str text, struct lh_schedule *ret, struct lh_error *err)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', MINUTE_MS}, {'h', 60 * MINUTE_MS}, {'d', DAY_MS}};
    int64_t number = 0;
    text = lh_str_trim(text);
    for (size_t i = 0; i < sizeof units / sizeof units[0] && text.len > 1; i++) {
        if (text.data[text.len - 1] != units[i].unit ||
            !lh_str_to_int(lh_str_slice(text, 0, text.len - 1), &number) || number < 1 ||
            number > INTERVAL_MS_MAX / units[i].ms)
            continue;
        ret->interval_ms = number * units[i].ms;
        return LH_OK;
    }
    lh_fail(err, LH_INVALID, "'every %.*s' is no interval.", LH_ARG(lh_str_head(text, 64)));
    return lh_error_hint(err, "A whole number and s, m, h or d: \"every 15m\"; at most 366 days.");
}

enum lh_code lh_schedule_parse(struct lh_str text, struct lh_schedule *ret, struct lh_error *err)
{
    struct lh_schedule schedule = {.interval_ms = 0};
    text = lh_str_trim(text);
    enum lh_code code = lh_str_starts_with(text, lh_lit("every "))
                            ? read_interval(lh_str_slice(text, 6, text.len), &schedule, err)
                            : read_pattern(text, &schedule, err);
    if (!code)
        *ret = schedule;
    return code;
}

static bool is_day(const struct lh_schedule *schedule, const struct tm *day)
{
    bool fits_day = schedule->days >> day->tm_mday & 1;
    bool fits_weekday = schedule->weekdays >> day->tm_wday & 1;
    if (!(schedule->months >> (day->tm_mon + 1) & 1))
        return false;
    if (schedule->is_any_day || schedule->is_any_weekday)
        return fits_day && fits_weekday;
    return fits_day || fits_weekday;
}

/* The first minute of that day from `minute` on; -1: none. */
static int64_t minute_of_day(const struct lh_schedule *schedule, int64_t minute)
{
    for (; minute < INT64_C(24) * 60; minute++)
        if (schedule->hours >> (minute / 60) & 1 && schedule->minutes >> (minute % 60) & 1)
            return minute;
    return -1;
}

static int64_t floor_to(int64_t value, int64_t unit)
{
    int64_t rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

int64_t lh_schedule_next(const struct lh_schedule *schedule, int64_t unix_ms)
{
    if (schedule->interval_ms)
        return floor_to(unix_ms, schedule->interval_ms) + schedule->interval_ms;
    int64_t from = floor_to(unix_ms, MINUTE_MS) + MINUTE_MS;
    int64_t day = floor_to(from, DAY_MS), minute = (from - day) / MINUTE_MS;
    for (int i = 0; i < DAYS_MAX; i++, day += DAY_MS, minute = 0) {
        struct tm parts;
        time_t seconds = (time_t)(day / 1000);
        if (!gmtime_r(&seconds, &parts) || !is_day(schedule, &parts))
            continue;
        int64_t at = minute_of_day(schedule, minute);
        if (at >= 0)
            return day + at * MINUTE_MS;
    }
    return INT64_MAX;
}
