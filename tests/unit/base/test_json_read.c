#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/json.h"

#define BYTES_MAX 8000000

struct refusal {
    const char *text;
    const char *part; /* of the message */
    int64_t line;
};

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"", "is empty", 0},
        {" \n\t", "is empty", 0},
        {"{\n \"a\": 1,\n \"a\": 2\n}", "line 3, column 4: duplicate object key near '\"a\"'", 3},
        {"[1, 2", "line 1", 1},
        {"{\"a\": 99999999999999999999}", "too big integer", 1},
        {"[-9223372036854775809]", "too big negative integer", 1},
        {"[1e999]", "real number overflow", 1},
        {"\"\\ud800\"", "invalid Unicode", 1},
        {"\"\\udc00\"", "invalid Unicode", 1},
        {"[1] [2]", "end of file expected", 1},
        {"{\"a\": \"\xFF\"}", "0xff", 1},
        {"\"\xED\xA0\x80\"", "decode byte", 1},
        {"{a: 1}", "near 'a'", 1},
        {"{\"a\\u0000\": 1}", "NUL", 1},
        {"[01]", "invalid token", 1},
        {"[\"\t\"]", "control character", 1},
        {"[NaN]", "invalid token", 1},
        {"{\"a\": 1,}", "near '}'", 1},
        {"\n\n// no", "invalid token", 3},
        {"\"never ends", "premature", 1},
        {"\"ends in \\", "", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lh_error err = LH_ERROR_NONE;
        json_t *value = NULL;
        assert_int_equal(
            lh_json_parse(lh_str_of(cases[i].text), "The request body", BYTES_MAX, &value, &err),
            LH_MALFORMED);
        assert_null(value);
        assert_true(lh_str_starts_with(lh_str_of(err.message), lh_lit("The request body ")));
        if (!strstr(err.message, cases[i].part))
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_int_equal(err.line, cases[i].line);
        assert_true(err.position >= (cases[i].line ? 0 : -1));
        assert_true(err.position <= (int64_t)strlen(cases[i].text));
    }
}

static void values_of_every_kind_come_back_as_they_went_in(void **state)
{
    (void)state;
    static const char *const texts[] = {"null",
                                        "true",
                                        "false",
                                        "-9223372036854775808",
                                        "9223372036854775807",
                                        "1.5",
                                        "\"\"",
                                        "[]",
                                        "{}",
                                        "\"a\\u0000b\"",
                                        "{\"b\":[1,2.5,{\"x\":null}],\"a\":\"\xC3\xA4\"}"};
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 1000);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *value = NULL;
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(lh_json_parse(lh_str_of(texts[i]), "It", 100, &value, &err), LH_OK);
        lh_buf_clear(&buf);
        lh_json_init(&json, &buf);
        lh_json_parsed(&json, value);
        assert_string_equal(buf.data, texts[i]);
        json_decref(value);
    }
    lh_buf_release(&buf);
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_lit("\xEF\xBB\xBF[1]"), "It", 100, &value, NULL), LH_OK);
    json_decref(value);
}

/* `count` openings, then a 1, then what closes them. */
static enum lh_code parse_nested(size_t count, const char *opening, char closing,
                                 struct lh_error *err)
{
    size_t step = strlen(opening);
    char *text = malloc(count * (step + 1) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * step, opening, step);
    text[count * step] = '1';
    memset(text + count * step + 1, closing, count);
    json_t *value = NULL;
    enum lh_code code = lh_json_parse((struct lh_str){text, count * (step + 1) + 1}, "The body",
                                      BYTES_MAX, &value, err);
    json_decref(value);
    free(text);
    return code;
}

static void depth_is_taken_up_to_the_limit_and_refused_beyond_it(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(parse_nested(LH_JSON_DEPTH_MAX, "[", ']', &err), LH_OK);
    assert_int_equal(parse_nested(LH_JSON_DEPTH_MAX, "{\"a\":", '}', &err), LH_OK);
    assert_int_equal(parse_nested(LH_JSON_DEPTH_MAX + 1, "[", ']', &err), LH_MALFORMED);
    assert_string_equal(err.message,
                        "The body is not valid JSON at line 1, column 65: it is nested "
                        "too deep.");
    assert_int_equal(err.position, 64);
    assert_int_equal(parse_nested(100000, "\n[", ']', &err), LH_MALFORMED);
    assert_int_equal(err.line, 66);
    assert_int_equal(parse_nested(100000, "{\"a\":", '}', &err), LH_MALFORMED);
}

static void brackets_in_strings_are_no_depth(void **state)
{
    (void)state;
    char text[1000] = "[\"\\\"";
    size_t len = strlen(text);
    memset(text + len, '[', 500);
    memcpy(text + len + 500, "\\\\\"]", 5);
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_str_of(text), "It", 1000, &value, NULL), LH_OK);
    json_decref(value);
}

static void too_many_bytes_and_too_many_values_are_too_large(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_lit("[1,2]"), "The body", 4, &value, &err), LH_TOO_LARGE);
    assert_string_equal(err.message, "The body has 5 bytes; at most 4 are taken.");
    size_t len = 2 * (size_t)LH_JSON_VALUES_MAX + 1;
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 2 ? '0' : ',';
    text[0] = '[';
    text[len - 1] = ']';
    assert_int_equal(lh_json_parse((struct lh_str){text, len}, "The body", BYTES_MAX, &value, &err),
                     LH_TOO_LARGE);
    assert_null(value);
    free(text);
}

/* Cutting a body anywhere gives a clean refusal, never a read beyond its end. */
static void every_beginning_of_a_body_is_refused_cleanly(void **state)
{
    (void)state;
    const char *whole = "{\"a\\n\": [1, -2.5e3, \"\\u00e4\xC3\xA4\", true], \"b\": {\"c\": null}}";
    for (size_t len = 0; len < strlen(whole); len++) {
        char *part = malloc(len ? len : 1);
        assert_non_null(part);
        memcpy(part, whole, len);
        json_t *value = NULL;
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(lh_json_parse((struct lh_str){part, len}, "It", 1000, &value, &err),
                         LH_MALFORMED);
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(values_of_every_kind_come_back_as_they_went_in),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(depth_is_taken_up_to_the_limit_and_refused_beyond_it),
        cmocka_unit_test(brackets_in_strings_are_no_depth),
        cmocka_unit_test(too_many_bytes_and_too_many_values_are_too_large),
        cmocka_unit_test(every_beginning_of_a_body_is_refused_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
