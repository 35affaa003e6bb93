/* Numbers that are read without a tree are those that the tree would have had, and everything else
 * is refused in the same words at the same place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define BYTES_MAX 100000

static uint64_t bits = 88172645463325252U;

static uint64_t next_bits(void)
{
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    return bits;
}

/* One text, read both ways. */
struct reading {
    struct lh_arena *arena;
    struct lh_json_list lists[2];
    json_t *whole, *rest;
    struct lh_error err;
};

static bool is_same_float(float a, const json_t *b)
{
    float of_tree = (float)json_number_value(b);
    return json_is_number(b) && a == of_tree && !signbit(a) == !signbit(of_tree);
}

static void compare_numbers(const struct lh_json_list *list, const json_t *in_whole,
                            const json_t *in_rest)
{
    const struct lh_floats *numbers = &list->numbers;
    if (!numbers->items) {
        assert_true(!in_whole == !in_rest && (!in_whole || json_equal(in_whole, in_rest)));
        return;
    }
    size_t each = list->is_nested ? numbers->each : numbers->count;
    assert_true(json_is_array(in_rest) && json_array_size(in_rest) == 0);
    assert_int_equal(json_array_size(in_whole) * (list->is_nested ? each : 1), numbers->count);
    for (size_t i = 0; i < numbers->count; i++) {
        const json_t *row = list->is_nested ? json_array_get(in_whole, i / each) : in_whole;
        assert_int_equal(json_array_size(row), each);
        assert_true(is_same_float(numbers->items[i], json_array_get(row, i % each)));
    }
}

static void read_both(struct lh_str text, struct reading *ret)
{
    struct lh_error err = LH_ERROR_NONE;
    *ret = (struct reading){
        .arena = lh_arena_new(0),
        .lists = {{.name = lh_lit("list")}, {.name = lh_lit("lists"), .is_nested = true}},
        .err = LH_ERROR_NONE};
    enum lh_code whole = lh_json_parse(text, "It", BYTES_MAX, &ret->whole, &err);
    enum lh_code rest = lh_json_parse_lists(text, "It", BYTES_MAX, ret->lists, 2, ret->arena,
                                            &ret->rest, &ret->err);
    assert_int_equal(whole, rest);
    assert_string_equal(err.message, ret->err.message);
    assert_string_equal(err.hint, ret->err.hint);
    assert_int_equal(err.position, ret->err.position);
    assert_int_equal(err.line, ret->err.line);
    for (size_t i = 0; i < 2 && !whole && json_is_object(ret->whole); i++)
        compare_numbers(&ret->lists[i], json_object_get(ret->whole, ret->lists[i].name.data),
                        json_object_get(ret->rest, ret->lists[i].name.data));
}

static void end(struct reading *reading)
{
    json_decref(reading->whole);
    json_decref(reading->rest);
    lh_arena_free(reading->arena);
}

/* {"list": [<number>]}; whether it was read without a tree. */
static bool read_number(const char *number)
{
    char text[1024];
    struct reading reading;
    snprintf(text, sizeof text, "{\"a\": 1, \"list\": [%s]}", number);
    read_both(lh_str_of(text), &reading);
    bool is_read = reading.lists[0].numbers.items != NULL;
    end(&reading);
    return is_read;
}

static void numbers_are_those_of_the_tree(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0",
                                          "-0",
                                          "0.0",
                                          "-0.0",
                                          "1",
                                          "-1",
                                          "10",
                                          "1.5",
                                          "-2.25e3",
                                          "1E5",
                                          "1e+5",
                                          "1e-5",
                                          "0e999",
                                          "999999999999999999",
                                          "-999999999999999999",
                                          "0.1",
                                          "0.30000000000000004",
                                          "9007199254740993.0",
                                          "9007199254740992.5",
                                          "123456789012345678.0",
                                          "1e22",
                                          "1e23",
                                          "3.4028234663852886e38",
                                          "1.1754943508222875e-38",
                                          "1.401298464324817e-45",
                                          "1e-60",
                                          "2.2250738585072011e-308",
                                          "0.000000000000000000000000000000000000000000000000001",
                                          "100000000000000000000000000000.0",
                                          "16777217",
                                          "16777217.000000001",
                                          "1e-22",
                                          "7e-23",
                                          "1.00000005960464477539",
                                          "1.000000059604644775390625",
                                          "1.0000000596046447753906250001",
                                          "8.5070591730234616e+37",
                                          "1 , 2\t,\n3\r, 4"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!read_number(numbers[i]))
            fail_msg("%s is left to the tree", numbers[i]);
}

static void what_is_no_float_or_no_number_is_left_to_the_tree(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         " ",
                                         "1e39",
                                         "-3.5e38",
                                         "1e400",
                                         "-1e400",
                                         "1e-400",
                                         "9223372036854775807",
                                         "99999999999999999999",
                                         "-9223372036854775809",
                                         "01",
                                         "-",
                                         "-a",
                                         "1.",
                                         ".5",
                                         "1.e5",
                                         "1e",
                                         "1e+",
                                         "+1",
                                         "1 2",
                                         "1,",
                                         ",1",
                                         "1,,2",
                                         "NaN",
                                         "Infinity",
                                         "null",
                                         "true",
                                         "\"1\"",
                                         "[1]",
                                         "{}",
                                         "1.5f",
                                         "0x10",
                                         "1_000",
                                         "--1",
                                         "1e5.5",
                                         "1\x01",
                                         "\xFF",

                                         "1}",
                                         "/**/1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (read_number(others[i]))
            fail_msg("%s is read as a number", others[i]);
    /* As many zeros as an exponent that is cut short would take back. */
    char far[1200] = "0.";
    memset(far + 2, '0', 998);
    strcpy(far + 1000, "5e9999");
    assert_false(read_number(far));
}

/* Any bits as a double, any float, and short numbers; written in several ways. */
static void write_number(struct lh_buf *to)
{
    static const char *const formats[] = {"%.17g", "%.9g", "%.4f", "%.20f", "%.25e", "%.0f.0"};
    uint64_t way = next_bits() % 16, some = next_bits();
    double value;
    float narrow;
    uint32_t half = (uint32_t)(some >> 7);
    memcpy(&value, &some, sizeof value);
    memcpy(&narrow, &half, sizeof narrow);
    if (way >= 4)
        value = (double)(int64_t)some / 0x1p63;
    if (way >= 10)
        value = (double)narrow;
    if (!(value > -1e300 && value < 1e300))
        value = 0.125;
    if (way == 15)
        lh_buf_printf(to, "%lld", (long long)(int64_t)some >> (some & 63));
    else if (way % 3 == 0)
        lh_json_append_double(to, value);
    else
        lh_buf_printf(to, formats[next_bits() % 6], value);
}

static void random_numbers_are_those_of_the_tree(void **state)
{
    (void)state;
    struct lh_buf text;
    size_t read = 0;
    lh_buf_init(&text, BYTES_MAX);
    for (int i = 0; i < 30000; i++) {
        lh_buf_clear(&text);
        write_number(&text);
        read += read_number(text.data);
    }
    assert_true(read > 15000); /* the rest is too large for a float */
    lh_buf_release(&text);
}

static void lists_of_lists_are_read_if_they_are_equally_long(void **state)
{
    (void)state;
    struct reading reading;
    read_both(lh_lit("{\"lists\":[[1,2,3] , [4,5,6]],\"list\":[7],\"b\":[8]}"), &reading);
    assert_int_equal(reading.lists[1].numbers.count, 6);
    assert_int_equal(reading.lists[1].numbers.each, 3);
    assert_int_equal(reading.lists[0].numbers.count, 1);
    assert_int_equal(reading.lists[0].numbers.each, 0);
    assert_int_equal(json_array_size(json_object_get(reading.rest, "b")), 1);
    end(&reading);
    static const char *const others[] = {"{\"lists\":[[1],[2,3]]}", "{\"lists\":[[1],[]]}",
                                         "{\"lists\":[1,2]}",       "{\"lists\":[[1],2]}",
                                         "{\"lists\":[[[1]]]}",     "{\"lists\":[[1]",
                                         "{\"lists\":[[1],]}",      "{\"lists\":[]}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        read_both(lh_str_of(others[i]), &reading);
        assert_null(reading.lists[1].numbers.items);
        end(&reading);
    }
}

/* Only the first member of that name in the outermost object; a second one is refused. */
static void only_members_of_the_outermost_object_are_read(void **state)
{
    (void)state;
    static const char *const others[] = {"{\"a\":{\"list\":[1]}}", "[\"list\",[1]]",
                                         "[{\"list\":[1]}]",       "{\"l\\u0069st\":[1]}",
                                         "{\"lis\":[1]}",          "{\"list\" [1]}",
                                         "\"list\":[1]",           "{\"a\":\"list\",\"b\":[1]}"};
    struct reading reading;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        read_both(lh_str_of(others[i]), &reading);
        assert_null(reading.lists[0].numbers.items);
        end(&reading);
    }
    read_both(lh_lit("{\"list\":[1,2],\n \"list\":[3]}"), &reading);
    assert_int_equal(reading.err.code, LH_MALFORMED);
    assert_int_equal(reading.err.line, 2);
    end(&reading);
    read_both(lh_lit("{\"list\":[1,2], \"l\\u0069st\":[3]}"), &reading);
    assert_int_equal(reading.err.code, LH_MALFORMED);
    end(&reading);
}

/* Whatever stands behind a list that was read, its place is that in the whole text. */
static void errors_keep_their_places_behind_lists(void **state)
{
    (void)state;
    static const char pieces[] = "{}[]\",:\\ \n1-.eE\xC3\xA4tnul";
    const char whole[] = "\xEF\xBB\xBF{\"list\": [1.5, -2e3,\n 4], \"a\": \"\xC3\xA4\", "
                         "\"lists\": [[1, 2], [3, 4]], \"b\": [true, {\"list\": [1]}]}";
    struct reading reading;
    for (size_t len = 0; len < sizeof whole; len++) {
        read_both((struct lh_str){whole, len}, &reading);
        end(&reading);
    }
    for (int i = 0; i < 20000; i++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        for (uint64_t changes = 1 + next_bits() % 3; changes; changes--)
            text[next_bits() % (sizeof whole - 1)] = pieces[next_bits() % (sizeof pieces - 1)];
        /* In memory of its own: nothing behind its end may be read. */
        char *alone = malloc(sizeof whole - 1);
        assert_non_null(alone);
        memcpy(alone, text, sizeof whole - 1);
        read_both((struct lh_str){alone, sizeof whole - 1}, &reading);
        end(&reading);
        free(alone);
    }
}

static void a_list_without_room_in_the_arena_stays_in_the_tree(void **state)
{
    (void)state;
    struct lh_arena *arena = lh_arena_new(64);
    struct lh_json_list list = {.name = lh_lit("list")};
    json_t *tree = NULL;
    struct lh_buf text;
    lh_buf_init(&text, BYTES_MAX);
    lh_buf_append_str(&text, lh_lit("{\"list\":[0"));
    for (int i = 0; i < 100; i++)
        lh_buf_append_str(&text, lh_lit(",1"));
    lh_buf_append_str(&text, lh_lit("]}"));
    assert_int_equal(
        lh_json_parse_lists(lh_buf_str(&text), "It", BYTES_MAX, &list, 1, arena, &tree, NULL),
        LH_OK);
    assert_null(list.numbers.items);
    assert_int_equal(json_array_size(json_object_get(tree, "list")), 101);
    json_decref(tree);
    lh_buf_release(&text);
    lh_arena_free(arena);
}

static void a_list_counts_as_many_values_as_it_has(void **state)
{
    (void)state;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_json_list list = {.name = lh_lit("list")};
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf text;
    json_t *tree = NULL;
    lh_buf_init(&text, (size_t)8 << 20);
    lh_buf_append_str(&text, lh_lit("{\"list\":[0"));
    for (int i = 0; i < LH_JSON_VALUES_MAX; i++)
        lh_buf_append_str(&text, lh_lit(",1"));
    lh_buf_append_str(&text, lh_lit("]}"));
    assert_int_equal(
        lh_json_parse_lists(lh_buf_str(&text), "It", (size_t)8 << 20, &list, 1, arena, &tree, &err),
        LH_TOO_LARGE);
    assert_null(tree);
    lh_buf_release(&text);
    lh_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_tree),
        cmocka_unit_test(what_is_no_float_or_no_number_is_left_to_the_tree),
        cmocka_unit_test(random_numbers_are_those_of_the_tree),
        cmocka_unit_test(lists_of_lists_are_read_if_they_are_equally_long),
        cmocka_unit_test(only_members_of_the_outermost_object_are_read),
        cmocka_unit_test(errors_keep_their_places_behind_lists),
        cmocka_unit_test(a_list_without_room_in_the_arena_stays_in_the_tree),
        cmocka_unit_test(a_list_counts_as_many_values_as_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
