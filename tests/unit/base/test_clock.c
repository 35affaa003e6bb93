#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/uuid.h"

static int tear_down(void **state)
{
    (void)state;
    lh_clock_clear_fake();
    return 0;
}

static void then_parses(const char *text, int64_t expected)
{
    int64_t ms = -1;
    if (!lh_time_parse(lh_str_of(text), &ms) || ms != expected)
        fail_msg("%s gave %lld", text, (long long)ms);
}

static void times_are_read_with_any_offset(void **state)
{
    (void)state;
    then_parses("1970-01-01T00:00:00Z", 0);
    then_parses("1970-01-01", 0);
    then_parses("2026-01-31T09:00:00.123Z", 1769850000123);
    then_parses("2026-01-31t09:00:00.123456789z", 1769850000123);
    then_parses("2026-01-31 10:00:00+01:00", 1769850000000);
    then_parses("2026-01-31T03:30:00.5-05:30", 1769850000500);
    then_parses("1969-12-31T23:59:59.999Z", -1);
    then_parses("2000-02-29T00:00Z", 951782400000);
    then_parses("0000-01-01", -62167219200000);
    then_parses("9999-12-31T23:59:59Z", 253402300799000);
    then_parses("1990-12-31T23:59:60Z", 662688000000);
}

static void what_is_not_a_time_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "2026",
                                        "2026-1-1",
                                        "2026-13-01",
                                        "2026-00-01",
                                        "2026-02-29",
                                        "1900-02-29",
                                        "2026-04-31",
                                        "2026-01-00",
                                        "2026-01-31T",
                                        "2026-01-31T09:00:00",
                                        "2026-01-31T24:00Z",
                                        "2026-01-31T09:60Z",
                                        "2026-01-31T09:00:61Z",
                                        "2026-01-31T09:00:00.Z",
                                        "2026-01-31T09:00:00+0100",
                                        "2026-01-31T09:00:00+24:00",
                                        "2026-01-31T09:00:00Zx",
                                        " 2026-01-31",
                                        "2026-01-31 ",
                                        "20260131",
                                        "-026-01-31"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t ms = 0;
        if (lh_time_parse(lh_str_of(texts[i]), &ms))
            fail_msg("'%s' was taken", texts[i]);
    }
}

static void formatting_and_reading_are_inverse_and_agree_with_the_system(void **state)
{
    (void)state;
    char text[LH_TIME_TEXT_BYTES + 1];
    char expected[32];
    for (int64_t ms = -62167219200000; ms < 253402300799000; ms += 98765432101234 / 500) {
        int64_t back = 0;
        lh_time_format(ms, text);
        assert_int_equal(strlen(text), LH_TIME_TEXT_BYTES);
        assert_true(lh_time_parse(lh_str_of(text), &back));
        assert_int_equal(back, ms);
        time_t seconds = (time_t)((ms - (ms % 1000 + 1000) % 1000) / 1000);
        struct tm broken;
        gmtime_r(&seconds, &broken);
        strftime(expected, sizeof expected, "-%m-%dT%H:%M:%S", &broken);
        assert_memory_equal(text + 4, expected, 15);
    }
    lh_time_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    lh_time_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void a_fake_clock_stands_still_until_it_is_moved(void **state)
{
    (void)state;
    lh_clock_set_fake(1000);
    assert_int_equal(lh_clock_unix_ms(), 1000);
    lh_clock_advance_fake(5);
    assert_int_equal(lh_clock_unix_ms(), 1005);
    lh_clock_clear_fake();
    assert_true(lh_clock_unix_ms() > 1600000000000);
    int64_t before = lh_clock_monotonic_us();
    assert_true(lh_clock_monotonic_us() >= before);
}

static void ids_ascend_even_when_the_clock_stands_or_goes_back(void **state)
{
    (void)state;
    struct lh_uuid last = lh_uuid_new();
    for (int i = 0; i < 20000; i++) {
        if (i == 5000)
            lh_clock_set_fake(lh_clock_unix_ms());
        if (i == 10000)
            lh_clock_advance_fake(-100000);
        struct lh_uuid next = lh_uuid_new();
        assert_true(lh_uuid_is_valid(lh_uuid_str(&next)));
        assert_int_equal(next.text[14], '7');
        assert_non_null(strchr("89ab", next.text[19]));
        assert_true(strcmp(last.text, next.text) < 0);
        last = next;
    }
}

static void only_canonical_ids_are_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "01890a5d-ac96-774b-bcce-b302099a805",
                                        "01890a5d-ac96-774b-bcce-b302099a80571",
                                        "01890A5d-ac96-774b-bcce-b302099a8057",
                                        "01890a5dxac96-774b-bcce-b302099a8057",
                                        "g1890a5d-ac96-774b-bcce-b302099a8057"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(lh_uuid_is_valid(lh_str_of(texts[i])));
    assert_true(lh_uuid_is_valid(lh_lit("01890a5d-ac96-774b-bcce-b302099a8057")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_with_any_offset),
        cmocka_unit_test(what_is_not_a_time_is_refused),
        cmocka_unit_test(formatting_and_reading_are_inverse_and_agree_with_the_system),
        cmocka_unit_test_teardown(a_fake_clock_stands_still_until_it_is_moved, tear_down),
        cmocka_unit_test_teardown(ids_ascend_even_when_the_clock_stands_or_goes_back, tear_down),
        cmocka_unit_test(only_canonical_ids_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
