#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

static void then_quoted(struct lh_str text, const char *expected)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 10000);
    lh_json_append_quoted(&buf, text);
    assert_string_equal(buf.data, expected);
    assert_int_equal(buf.len, strlen(expected));
    lh_buf_release(&buf);
}

static void strings_are_escaped_where_they_must_be_and_nowhere_else(void **state)
{
    (void)state;
    then_quoted(lh_lit(""), "\"\"");
    then_quoted((struct lh_str){NULL, 0}, "\"\"");
    then_quoted(lh_lit("plain / text \x7F"), "\"plain / text \x7F\"");
    then_quoted(lh_lit("a\"b\\c"), "\"a\\\"b\\\\c\"");
    then_quoted(lh_lit("\b\f\n\r\t\x01\x1F"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\"");
    then_quoted((struct lh_str){"\0", 1}, "\"\\u0000\"");
    then_quoted(lh_lit("\xC3\xA4\xF0\x9F\x98\x80"), "\"\xC3\xA4\xF0\x9F\x98\x80\"");
    then_quoted(lh_lit("\xFFz\xC3"), "\"\xEF\xBF\xBDz\xEF\xBF\xBD\"");
}

/* Each byte at each place of a text longer than a machine word, read back by the parser. */
static void every_byte_at_every_place_reads_back(void **state)
{
    (void)state;
    struct lh_buf buf;
    lh_buf_init(&buf, 10000);
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 20; at++) {
            char text[20];
            memset(text, 'a', sizeof text);
            text[at] = (char)byte;
            lh_buf_clear(&buf);
            lh_json_append_quoted(&buf, (struct lh_str){text, sizeof text});
            json_t *value = NULL;
            assert_int_equal(lh_json_parse(lh_buf_str(&buf), "It", 10000, &value, NULL), LH_OK);
            struct lh_str back = lh_json_text(value);
            if (byte < 0x80) {
                assert_true(lh_str_equal(back, (struct lh_str){text, sizeof text}));
            } else {
                assert_int_equal(back.len, sizeof text + 2);
                assert_memory_equal(back.data + at, "\xEF\xBF\xBD", 3);
            }
            json_decref(value);
        }
    }
    lh_buf_release(&buf);
}

static void then_double(double value, const char *expected)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 100);
    lh_json_append_double(&buf, value);
    assert_string_equal(buf.data, expected);
    lh_buf_release(&buf);
}

static void doubles_are_short_and_look_like_doubles(void **state)
{
    (void)state;
    then_double(3, "3.0");
    then_double(0, "0.0");
    then_double(-0.0, "-0.0");
    then_double(0.1, "0.1");
    then_double(-12.5, "-12.5");
    then_double(0.1 + 0.2, "0.30000000000000004");
    then_double(1.0 / 3, "0.3333333333333333");
    then_double(1e15, "1000000000000000.0");
    then_double(1e21, "1e+21");
    then_double(1e23, "1e+23");
    then_double(1e-7, "1e-07");
    then_double(0.00001, "0.00001");
    then_double(5e-324, "5e-324");
    then_double(1.7976931348623157e308, "1.7976931348623157e+308");
    then_double(2.2250738585072014e-308, "2.2250738585072014e-308");
    then_double(9007199254740993.0, "9007199254740992.0");
    then_double(NAN, "\"NaN\"");
    then_double(INFINITY, "\"Infinity\"");
    then_double(-INFINITY, "\"-Infinity\"");
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int digits_of(const char *text)
{
    char digits[64];
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text >= '0' && *text <= '9')
            digits[count++] = *text;
    }
    while (count && digits[count - 1] == '0')
        count--;
    while (zeros < count && digits[zeros] == '0')
        zeros++;
    return count - zeros;
}

static int fewest_digits(double value)
{
    char text[40];
    for (int digits = 1; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value)
            return digits;
    }
    return 17;
}

static void random_doubles_read_back_bit_for_bit_in_the_fewest_digits(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(88172645463325252);
    struct lh_buf buf;
    lh_buf_init(&buf, 100);
    for (int i = 0; i < 60000; i++) {
        uint64_t bits = next_random(&seed);
        double value = (double)(bits % 100000000) / 1000;
        if (i % 3 == 0)
            memcpy(&value, &bits, sizeof value);
        else if (i % 3 == 1)
            value = (double)(bits >> 11) * 0x1p-53;
        if (!isfinite(value))
            continue;
        lh_buf_clear(&buf);
        lh_json_append_double(&buf, value);
        double back = strtod(buf.data, NULL);
        assert_memory_equal(&back, &value, sizeof value);
        assert_true(strpbrk(buf.data, ".e") != NULL);
        assert_int_equal(digits_of(buf.data), value == 0 ? 0 : fewest_digits(value));
    }
    lh_buf_release(&buf);
}

static void the_writer_places_commas_at_every_depth(void **state)
{
    (void)state;
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 10000);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "least", INT64_MIN);
    lh_json_key(&json, "most");
    lh_json_uint(&json, UINT64_MAX);
    lh_json_key(&json, "list");
    lh_json_array(&json);
    lh_json_object(&json);
    lh_json_object_end(&json);
    lh_json_array(&json);
    lh_json_array_end(&json);
    lh_json_null(&json);
    lh_json_double(&json, 1.5);
    lh_json_raw(&json, lh_lit("[1,2]"));
    lh_json_array_end(&json);
    lh_json_put_bool(&json, "yes", true);
    lh_json_put_cstr(&json, "k\"", "v");
    lh_json_object_end(&json);
    assert_string_equal(buf.data, "{\"least\":-9223372036854775808,\"most\":18446744073709551615,"
                                  "\"list\":[{},[],null,1.5,[1,2]],\"yes\":true,\"k\\\"\":\"v\"}");
    lh_buf_release(&buf);
}

static void the_writer_goes_as_deep_as_its_limit(void **state)
{
    (void)state;
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 10000);
    lh_json_init(&json, &buf);
    for (int i = 0; i < LH_JSON_DEPTH_MAX; i++)
        lh_json_array(&json);
    lh_json_int(&json, 1);
    lh_json_int(&json, 2);
    for (int i = 0; i < LH_JSON_DEPTH_MAX; i++)
        lh_json_array_end(&json);
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_buf_str(&buf), "It", 10000, &value, NULL), LH_OK);
    json_decref(value);
    lh_buf_release(&buf);
}

static void canonical_keys_may_come_in_order_whatever_they_hold(void **state)
{
    (void)state;
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 10000);
    lh_json_init(&json, &buf);
    json.is_canonical = true;
    static const char *const keys[] = {"\n", "\"", "A", "a", "aa", "\xC3\xA4", "\xFF"};
    lh_json_object(&json);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        lh_json_key(&json, keys[i]);
        lh_json_object(&json);
        lh_json_put_int(&json, "a", 1);
        lh_json_put_int(&json, "b", 1);
        lh_json_object_end(&json);
    }
    lh_json_object_end(&json);
    assert_false(buf.is_over);
    lh_buf_release(&buf);
}

static void a_full_buffer_is_noticed_once_at_the_end(void **state)
{
    (void)state;
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 10);
    lh_json_init(&json, &buf);
    json.is_canonical = true;
    lh_json_object(&json);
    lh_json_put_cstr(&json, "a", "long enough to be over");
    lh_json_put_cstr(&json, "b", "\"escaped\" and over");
    lh_json_put_int(&json, "c", 1);
    lh_json_object_end(&json);
    assert_int_equal(lh_buf_check(&buf, "The reply", NULL), LH_TOO_LARGE);
    lh_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_where_they_must_be_and_nowhere_else),
        cmocka_unit_test(every_byte_at_every_place_reads_back),
        cmocka_unit_test(doubles_are_short_and_look_like_doubles),
        cmocka_unit_test(random_doubles_read_back_bit_for_bit_in_the_fewest_digits),
        cmocka_unit_test(the_writer_places_commas_at_every_depth),
        cmocka_unit_test(the_writer_goes_as_deep_as_its_limit),
        cmocka_unit_test(canonical_keys_may_come_in_order_whatever_they_hold),
        cmocka_unit_test(a_full_buffer_is_noticed_once_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
