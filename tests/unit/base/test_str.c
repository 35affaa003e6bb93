#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static void text_is_compared_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(lh_str_equal(lh_lit("abc"), lh_lit("abc")));
    assert_false(lh_str_equal(lh_lit("abc"), lh_lit("abd")));
    assert_true(lh_str_equal((struct lh_str){NULL, 0}, lh_lit("")));
    assert_true(lh_str_compare(lh_lit("a"), lh_lit("ab")) < 0);
    assert_true(lh_str_compare(lh_lit("b"), lh_lit("ab")) > 0);
    assert_true(lh_str_compare(lh_lit("\xC3"), lh_lit("z")) > 0);
    assert_true(lh_str_equal_nocase(lh_lit("SELECT"), lh_lit("select")));
    assert_false(lh_str_equal_nocase(lh_lit("\xC3\x84"), lh_lit("\xC3\xA4")));
    assert_true(lh_str_compare_nocase(lh_lit("B"), lh_lit("a")) > 0);
}

static void parts_are_found_sliced_and_cut_within_the_text(void **state)
{
    (void)state;
    size_t at = 99;
    assert_true(lh_str_find(lh_lit("lakehouse"), lh_lit("house"), &at));
    assert_int_equal(at, 4);
    assert_false(lh_str_find(lh_lit("lake"), lh_lit("lakes"), &at));
    assert_int_equal(at, 4);
    assert_true(lh_str_find((struct lh_str){NULL, 0}, lh_lit(""), &at));
    assert_true(lh_str_starts_with(lh_lit("lake"), lh_lit("la")));
    assert_false(lh_str_starts_with(lh_lit("la"), lh_lit("lake")));
    assert_true(lh_str_ends_with(lh_lit("a.csv"), lh_lit(".csv")));
    assert_false(lh_str_ends_with(lh_lit("csv"), lh_lit(".csv")));
    assert_int_equal(lh_str_slice(lh_lit("abc"), 2, SIZE_MAX).len, 1);
    assert_int_equal(lh_str_slice(lh_lit("abc"), SIZE_MAX, 1).len, 0);
    assert_null(lh_str_slice((struct lh_str){NULL, 0}, 1, 1).data);
    assert_true(lh_str_equal(lh_str_trim(lh_lit(" \t a b\r\n")), lh_lit("a b")));
    assert_int_equal(lh_str_trim(lh_lit(" \n")).len, 0);
    struct lh_str rest = lh_lit("a,,b");
    assert_true(lh_str_equal(lh_str_cut(&rest, ','), lh_lit("a")));
    assert_true(lh_str_equal(lh_str_cut(&rest, ','), lh_lit("")));
    assert_true(lh_str_equal(lh_str_cut(&rest, ','), lh_lit("b")));
    assert_null(rest.data);
    rest = lh_lit("a,");
    (void)lh_str_cut(&rest, ',');
    assert_non_null(rest.data);
}

static void whole_numbers_are_read_to_the_last_of_64_bits_and_not_beyond(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_true(lh_str_to_int(lh_lit("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    assert_true(lh_str_to_int(lh_lit("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(lh_str_to_int(lh_lit("+007"), &value));
    assert_int_equal(value, 7);
    static const char *const bad[] = {"9223372036854775808",
                                      "-9223372036854775809",
                                      "18446744073709551616",
                                      "",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lh_str_to_int(lh_str_of(bad[i]), &value));
        assert_int_equal(value, 7);
    }
}

static void decimals_are_read_and_what_strtod_also_takes_is_not(void **state)
{
    (void)state;
    double value = 0;
    assert_true(lh_str_to_double(lh_lit("-1.5e3"), &value));
    assert_true(value == -1500.0);
    assert_true(lh_str_to_double(lh_lit("1e-400"), &value));
    assert_true(value == 0.0);
    static const char *const bad[] = {"",      "nan",   "inf", "0x1p3", " 1", "1 ",
                                      "1e400", "1.2.3", "e5",  "1e",    "."};
    value = 42;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lh_str_to_double(lh_str_of(bad[i]), &value));
        assert_true(value == 42);
    }
    assert_false(lh_str_to_double((struct lh_str){"1\0", 2}, &value));
}

/* Every code point and every illegal form, against the definition. */
static size_t encode(uint32_t point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t count = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = count; i-- > 1; point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3F));
    out[0] = (char)((count == 2 ? 0xC0u : count == 3 ? 0xE0u : 0xF0u) | point);
    return count;
}

static void utf8_is_exactly_what_the_standard_says(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char text[4];
        struct lh_str str = {text, encode(point, text)};
        bool is_good = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
        assert_int_equal(lh_str_utf8_step(str), is_good ? str.len : 0);
        if (str.len > 1) {
            assert_int_equal(lh_str_utf8_step((struct lh_str){text, str.len - 1}), 0);
        }
    }
    static const char *const overlong[] = {
        "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\x80", "\xFF", "\xFE"};
    for (size_t i = 0; i < sizeof overlong / sizeof *overlong; i++)
        assert_int_equal(lh_str_utf8_step(lh_str_of(overlong[i])), 0);
    size_t bad_at = 0;
    assert_true(lh_str_is_utf8(lh_lit("12345678\xC3\xA4"), &bad_at));
    assert_false(lh_str_is_utf8(lh_lit("1234567890\xC3"), &bad_at));
    assert_int_equal(bad_at, 10);
    assert_true(lh_str_is_utf8((struct lh_str){"a\0b", 3}, NULL));
    assert_true(lh_str_is_utf8((struct lh_str){NULL, 0}, NULL));
}

static void a_head_never_ends_inside_a_character(void **state)
{
    (void)state;
    struct lh_str text = lh_lit("a\xE2\x82\xAC\xF0\x9F\x98\x80");
    static const size_t expected[] = {0, 1, 1, 1, 4, 4, 4, 4, 8, 8};
    for (size_t max = 0; max < 10; max++)
        assert_int_equal(lh_str_head(text, max).len, expected[max]);
    /* Bytes that are no characters are cut where the maximum says. */
    assert_int_equal(lh_str_head(lh_lit("\x80\x80\x80\x80\x80\x80"), 5).len, 5);
}

static void the_nearest_name_is_the_one_that_was_meant(void **state)
{
    (void)state;
    const struct lh_str names[] = {lh_lit("limit"), lh_lit("timeout_ms"), lh_lit("sql"),
                                   lh_lit("a")};
    assert_true(lh_str_equal(lh_str_nearest(lh_lit("limt"), names, 4), lh_lit("limit")));
    assert_true(lh_str_equal(lh_str_nearest(lh_lit("LIMIT"), names, 4), lh_lit("limit")));
    assert_true(lh_str_equal(lh_str_nearest(lh_lit("slq"), names, 4), lh_lit("sql")));
    assert_true(lh_str_equal(lh_str_nearest(lh_lit("timeoutms"), names, 4), lh_lit("timeout_ms")));
    assert_null(lh_str_nearest(lh_lit("colour"), names, 4).data);
    assert_null(lh_str_nearest(lh_lit("z"), names, 4).data);
    assert_null(lh_str_nearest(lh_lit(""), names, 4).data);
    assert_int_equal(lh_str_distance(lh_lit("ab"), lh_lit("ba"), 5), 1);
    assert_int_equal(lh_str_distance(lh_lit("kitten"), lh_lit("sitting"), 5), 3);
    assert_int_equal(lh_str_distance(lh_lit("kitten"), lh_lit("sitting"), 1), 2);
    char longer[200];
    memset(longer, 'x', sizeof longer);
    assert_int_equal(lh_str_distance((struct lh_str){longer, 200}, lh_lit("x"), 3), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_compared_by_bytes_then_length),
        cmocka_unit_test(parts_are_found_sliced_and_cut_within_the_text),
        cmocka_unit_test(whole_numbers_are_read_to_the_last_of_64_bits_and_not_beyond),
        cmocka_unit_test(decimals_are_read_and_what_strtod_also_takes_is_not),
        cmocka_unit_test(utf8_is_exactly_what_the_standard_says),
        cmocka_unit_test(a_head_never_ends_inside_a_character),
        cmocka_unit_test(the_nearest_name_is_the_one_that_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
