/* When something is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/schedule.h"

static const char *next(const char *pattern, const char *after)
{
    static char text[LH_TIME_TEXT_BYTES + 1];
    struct lh_schedule schedule;
    struct lh_error err = LH_ERROR_NONE;
    int64_t from = 0;
    assert_true(lh_time_parse(lh_str_of(after), &from));
    if (lh_schedule_parse(lh_str_of(pattern), &schedule, &err))
        fail_msg("%s: %s", pattern, err.message);
    int64_t at = lh_schedule_next(&schedule, from);
    if (at == INT64_MAX)
        return "never";
    lh_time_format(at, text);
    return text;
}

static void a_pattern_names_minutes_hours_and_days(void **state)
{
    (void)state;
    assert_string_equal(next("* * * * *", "2026-01-31T09:00:00.000Z"), "2026-01-31T09:01:00.000Z");
    assert_string_equal(next("* * * * *", "2026-01-31T23:59:59.999Z"), "2026-02-01T00:00:00.000Z");
    assert_string_equal(next("30 3 * * *", "2026-01-31T03:29:59.999Z"), "2026-01-31T03:30:00.000Z");
    assert_string_equal(next("30 3 * * *", "2026-01-31T03:30:00.000Z"), "2026-02-01T03:30:00.000Z");
    assert_string_equal(next("*/20 8-9 * * *", "2026-01-31T09:40:00Z"), "2026-02-01T08:00:00.000Z");
    assert_string_equal(next("5,50 */6 * * *", "2026-01-31T06:05:00Z"), "2026-01-31T06:50:00.000Z");
    assert_string_equal(next("10-20/5 0 * * *", "2026-01-31T00:16:00Z"),
                        "2026-01-31T00:20:00.000Z");
    assert_string_equal(next("50/4 0 * * *", "2026-01-31T00:54:00Z"), "2026-01-31T00:58:00.000Z");
    assert_string_equal(next("0 0 1 * *", "2026-01-31T00:00:00Z"), "2026-02-01T00:00:00.000Z");
    assert_string_equal(next("0 0 * FEB *", "2026-03-01T00:00:00Z"), "2027-02-01T00:00:00.000Z");
}

static void days_of_the_week_are_names_or_numbers_and_sunday_is_0_and_7(void **state)
{
    (void)state; /* 2026-01-31 is a Saturday */
    assert_string_equal(next("0 0 * * mon-FRI", "2026-01-31T00:00:00Z"),
                        "2026-02-02T00:00:00.000Z");
    assert_string_equal(next("0 0 * * 0", "2026-01-31T00:00:00Z"), "2026-02-01T00:00:00.000Z");
    assert_string_equal(next("0 0 * * 7", "2026-01-31T00:00:00Z"), "2026-02-01T00:00:00.000Z");
    assert_string_equal(next("0 0 * * 6", "2026-01-31T00:00:00Z"), "2026-02-07T00:00:00.000Z");
}

static void where_both_kinds_of_days_are_restricted_either_is_enough(void **state)
{
    (void)state;
    assert_string_equal(next("0 0 15 * SUN", "2026-01-31T00:00:00Z"), "2026-02-01T00:00:00.000Z");
    assert_string_equal(next("0 0 3 * SUN", "2026-02-01T00:00:00Z"), "2026-02-03T00:00:00.000Z");
}

static void rare_days_are_found_and_days_that_never_come_are_not(void **state)
{
    (void)state;
    assert_string_equal(next("0 0 29 2 *", "2026-01-31T00:00:00Z"), "2028-02-29T00:00:00.000Z");
    assert_string_equal(next("0 0 29 2 *", "2096-03-01T00:00:00Z"), "2104-02-29T00:00:00.000Z");
    assert_string_equal(next("0 0 30 2 *", "2026-01-31T00:00:00Z"), "never");
    assert_string_equal(next("0 0 1 1 *", "1969-06-01T00:00:00Z"), "1970-01-01T00:00:00.000Z");
}

static void an_interval_is_counted_from_a_fixed_point(void **state)
{
    (void)state;
    assert_string_equal(next("every 15m", "2026-01-31T09:07:00Z"), "2026-01-31T09:15:00.000Z");
    assert_string_equal(next("every 15m", "2026-01-31T09:15:00Z"), "2026-01-31T09:30:00.000Z");
    assert_string_equal(next("every 1s", "2026-01-31T09:15:00.001Z"), "2026-01-31T09:15:01.000Z");
    assert_string_equal(next("every 6h", "2026-01-31T19:00:00Z"), "2026-02-01T00:00:00.000Z");
    assert_string_equal(next(" every 1d ", "2026-01-31T19:00:00Z"), "2026-02-01T00:00:00.000Z");
}

static void what_is_no_schedule_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "* * * *",
                                      "* * * * * *",
                                      "60 * * * *",
                                      "-1 * * * *",
                                      "* 24 * * *",
                                      "* * 0 * *",
                                      "* * 32 * *",
                                      "* * * 0 *",
                                      "* * * 13 *",
                                      "* * * * 8",
                                      "* * * * MONDAY",
                                      "a * * * *",
                                      "5- * * * *",
                                      "5-1 * * * *",
                                      "*/0 * * * *",
                                      "*/60 * * * *",
                                      "1, * * * *",
                                      ",1 * * * *",
                                      "*/ * * * *",
                                      "1//2 * * * *",
                                      "+1 * * * *",
                                      "every",
                                      "every 0m",
                                      "every m",
                                      "every 1.5h",
                                      "every 15",
                                      "every 9999999999999d",
                                      "every 367d",
                                      "hourly",
                                      "001 * * * *",
                                      "*5 * * * *",
                                      "* * * * * every 1m"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lh_schedule schedule;
        struct lh_error err = LH_ERROR_NONE;
        if (lh_schedule_parse(lh_str_of(bad[i]), &schedule, &err) != LH_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.message[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_names_minutes_hours_and_days),
        cmocka_unit_test(days_of_the_week_are_names_or_numbers_and_sunday_is_0_and_7),
        cmocka_unit_test(where_both_kinds_of_days_are_restricted_either_is_enough),
        cmocka_unit_test(rare_days_are_found_and_days_that_never_come_are_not),
        cmocka_unit_test(an_interval_is_counted_from_a_fixed_point),
        cmocka_unit_test(what_is_no_schedule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
