#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/base/sample_fields.h"

struct given {
    struct lh_arena *arena;
    struct sample sample;
    struct lh_error err;
};

static int set_up(void **state)
{
    struct given *given = calloc(1, sizeof *given);
    given->arena = lh_arena_new(1 << 20);
    *state = given;
    return 0;
}

static int tear_down(void **state)
{
    struct given *given = *state;
    lh_arena_free(given->arena);
    free(given);
    return 0;
}

static void end_json(void *value)
{
    json_decref(value);
}

/* As a door does it: presets, members, then what is required. */
static enum lh_code when_bound(struct given *given, const char *text)
{
    json_t *value = NULL;
    given->err = (struct lh_error)LH_ERROR_NONE;
    enum lh_code code = lh_json_parse(lh_str_of(text), "The body", 100000, &value, &given->err);
    if (code)
        return code;
    lh_arena_defer(given->arena, end_json, value);
    lh_fields_preset(&sample_fields, &given->sample);
    code = lh_fields_bind_json(&sample_fields, value, given->arena, &given->sample, &given->err);
    return code ? code : lh_fields_check(&sample_fields, &given->sample, &given->err);
}

static void then_text(struct lh_str text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
}

static void members_of_every_type_arrive(void **state)
{
    struct given *given = *state;
    assert_int_equal(
        when_bound(given, "{\"sql\":\"SELECT 1\",\"label\":\"\",\"limit\":1e1,\"offset\":-5,"
                          "\"version\":4,\"is_dry\":false,\"share\":1,\"kind\":\"arrow\","
                          "\"since\":\"1970-01-02\",\"columns\":[\"a\",\"\"],"
                          "\"options\":{\"x\":[null]},\"first\":{\"name\":\"n\",\"weight\":0},"
                          "\"items\":[{\"weight\":2,\"name\":\"b\"}],\"counts\":{\"x\":-3}}"),
        LH_OK);
    const struct sample *sample = &given->sample;
    then_text(sample->sql, "SELECT 1");
    assert_non_null(sample->label.data);
    then_text(sample->label, "");
    assert_int_equal(sample->limit, 10);
    assert_int_equal(sample->offset, -5);
    assert_true(sample->version.is_set && sample->version.value == 4);
    assert_false(sample->is_dry);
    assert_true(sample->share == 1.0);
    assert_int_equal(sample->kind, 2);
    assert_int_equal(sample->since.unix_ms, 86400000);
    assert_int_equal(sample->columns.count, 2);
    then_text(sample->columns.items[0], "a");
    assert_int_equal(json_object_size(sample->options.value), 1);
    then_text(sample->first->name, "n");
    assert_int_equal(sample->items.count, 1);
    assert_int_equal(((const struct sample_item *)sample->items.items)->weight, 2);
    assert_int_equal(sample->counts.count, 1);
    then_text(sample->counts.items[0].name, "x");
    assert_int_equal(sample->counts.items[0].value, -3);
}

static void what_is_not_given_or_null_keeps_its_preset(void **state)
{
    struct given *given = *state;
    static const char *const texts[] = {
        "{\"sql\":\"s\"}",
        "{\"sql\":\"s\",\"label\":null,\"limit\":null,\"offset\":null,\"version\":null,"
        "\"is_dry\":null,\"share\":null,\"kind\":null,\"since\":null,\"columns\":null,"
        "\"first\":null,\"items\":null,\"counts\":null,\"file\":null}"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(when_bound(given, texts[i]), LH_OK);
        const struct sample *sample = &given->sample;
        then_text(sample->label, "none");
        assert_int_equal(sample->limit, 100);
        assert_int_equal(sample->offset, 0);
        assert_false(sample->version.is_set);
        assert_true(sample->is_dry);
        assert_true(sample->share == 0.5);
        assert_int_equal(sample->kind, 1);
        assert_int_equal(sample->since.unix_ms, 0);
        assert_null(sample->columns.items);
        assert_null(sample->options.value);
        assert_null(sample->first);
        assert_null(sample->items.items);
        assert_null(sample->counts.items);
    }
}

static void null_is_a_value_where_any_json_is_taken(void **state)
{
    struct given *given = *state;
    assert_int_equal(when_bound(given, "{\"sql\":\"s\",\"options\":null}"), LH_OK);
    assert_true(json_is_null(given->sample.options.value));
}

struct wrong {
    const char *text;
    enum lh_code code;
    const char *field;
    const char *message;
};

static void a_wrong_member_is_named_with_what_was_expected(void **state)
{
    struct given *given = *state;
    static const struct wrong cases[] = {
        {"{}", LH_INVALID, "sql", "`sql` is required."},
        {"{\"sql\":null}", LH_INVALID, "sql", "`sql` is required."},
        {"{\"sql\":1}", LH_INVALID, "sql", "`sql` must be text; 1 is not."},
        {"{\"sql\":\"123456789012345678901\"}", LH_INVALID, "sql",
         "`sql` has 21 bytes; at most 20 are taken."},
        {"{\"sql\":\"a\\u0000b\"}", LH_INVALID, "sql",
         "`sql` holds a NUL character, which text here may not."},
        {"{\"limit\":\"abc\"}", LH_INVALID, "limit",
         "`limit` must be a whole number between 1 and 10000000; 'abc' is not."},
        {"{\"limit\":0}", LH_INVALID, "limit",
         "`limit` must be a whole number between 1 and 10000000; 0 is not."},
        {"{\"limit\":10000001}", LH_INVALID, "limit",
         "`limit` must be a whole number between 1 and 10000000; 10000001 is not."},
        {"{\"limit\":1.5}", LH_INVALID, "limit",
         "`limit` must be a whole number between 1 and 10000000; 1.5 is not."},
        {"{\"limit\":true}", LH_INVALID, "limit",
         "`limit` must be a whole number between 1 and 10000000; true is not."},
        {"{\"limit\":1e300}", LH_INVALID, "limit",
         "`limit` must be a whole number between 1 and 10000000; 1e+300 is not."},
        {"{\"offset\":-6}", LH_INVALID, "offset",
         "`offset` must be a whole number between -5 and 0; -6 is not."},
        {"{\"version\":0}", LH_INVALID, "version",
         "`version` must be a whole number of at least 1; 0 is not."},
        {"{\"is_dry\":1}", LH_INVALID, "is_dry", "`is_dry` must be true or false; 1 is not."},
        {"{\"share\":1.01}", LH_INVALID, "share",
         "`share` must be a number between 0 and 1; 1.01 is not."},
        {"{\"kind\":\"xml\"}", LH_INVALID, "kind",
         "`kind` must be json, csv or arrow; 'xml' is not."},
        {"{\"since\":\"soon\"}", LH_INVALID, "since",
         "`since` must be a time such as 2026-01-31T09:00:00Z; 'soon' is not."},
        {"{\"columns\":\"a\"}", LH_INVALID, "columns",
         "`columns` must be a list of texts; 'a' is not."},
        {"{\"columns\":[\"a\",2]}", LH_INVALID, "columns[1]",
         "`columns[1]` must be text; 2 is not."},
        {"{\"columns\":[\"a\",null]}", LH_INVALID, "columns[1]",
         "`columns[1]` must be text; null is not."},
        {"{\"columns\":[\"a\",\"b\",\"c\",\"d\"]}", LH_INVALID, "columns",
         "`columns` has 4 items; at most 3 are taken."},
        {"{\"first\":[]}", LH_INVALID, "first", "`first` must be an object; a list is not."},
        {"{\"sql\":\"s\",\"first\":{\"name\":\"n\"}}", LH_INVALID, "first.weight",
         "`first.weight` is required."},
        {"{\"items\":[{\"name\":\"\"}]}", LH_INVALID, "items[0].name",
         "`items[0].name` must not be empty."},
        {"{\"items\":[{},7]}", LH_INVALID, "items[1]", "`items[1]` must be an object; 7 is not."},
        {"{\"sql\":\"s\",\"items\":[{\"name\":\"n\",\"weight\":1},{\"name\":\"m\"}]}", LH_INVALID,
         "items[1].weight", "`items[1].weight` is required."},
        {"{\"items\":[{\"nam\":1}]}", LH_UNKNOWN_FIELD, "items[0].nam",
         "Unknown field `items[0].nam`; did you mean `name`?"},
        {"{\"counts\":{\"a\":\"b\"}}", LH_INVALID, "counts.a",
         "`counts.a` must be a whole number; 'b' is not."},
        {"{\"file\":\"/etc/passwd\"}", LH_INVALID, "file",
         "`file` must be a file that is sent as a part of a multipart/form-data body; "
         "'/etc/passwd' is not."},
        {"{\"limt\":1}", LH_UNKNOWN_FIELD, "limt", "Unknown field `limt`; did you mean `limit`?"},
        {"{\"zzz\":1}", LH_UNKNOWN_FIELD, "zzz", "Unknown field `zzz`."},
        {"[]", LH_INVALID, "", "A JSON object is expected, with the fields as its members."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(when_bound(given, cases[i].text), cases[i].code);
        assert_string_equal(given->err.message, cases[i].message);
        assert_string_equal(given->err.field, cases[i].field);
    }
    assert_int_equal(when_bound(given, "{\"zzz\":1}"), LH_UNKNOWN_FIELD);
    assert_non_null(strstr(given->err.hint, "Known fields: `sql`, `label`, `limit`"));
}

static void a_failing_member_leaves_the_struct_as_it_was(void **state)
{
    struct given *given = *state;
    static const char *const texts[] = {
        "{\"label\":7}",           "{\"limit\":0}",           "{\"version\":0}",
        "{\"is_dry\":\"x\"}",      "{\"share\":2}",           "{\"kind\":\"\"}",
        "{\"since\":\"x\"}",       "{\"columns\":[1]}",       "{\"first\":{\"x\":1}}",
        "{\"items\":[{\"x\":1}]}", "{\"counts\":{\"a\":1.5}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sample fresh;
        lh_fields_preset(&sample_fields, &fresh);
        assert_int_not_equal(when_bound(given, texts[i]), LH_OK);
        assert_memory_equal(&given->sample, &fresh, sizeof fresh);
    }
}

static void a_required_number_of_zero_is_given_and_none_is_not(void **state)
{
    struct given *given = *state;
    assert_int_equal(when_bound(given, "{\"sql\":\"s\",\"first\":{\"name\":\"n\",\"weight\":0}}"),
                     LH_OK);
    assert_int_equal(when_bound(given, "{\"sql\":\"s\",\"first\":{\"name\":\"n\"}}"), LH_INVALID);
}

static void a_long_path_is_cut_and_a_hostile_name_is_shown_harmless(void **state)
{
    struct given *given = *state;
    char text[2000];
    memset(text, 'k', sizeof text);
    memcpy(text, "{\"", 2);
    snprintf(text + 1500, 500, "\":1}");
    assert_int_equal(when_bound(given, text), LH_UNKNOWN_FIELD);
    assert_true(strlen(given->err.field) < LH_ERROR_FIELD_BYTES);
    assert_int_equal(when_bound(given, "{\"counts\":{\"\\u001b[2J\":true}}"), LH_INVALID);
    assert_null(strchr(given->err.message, 0x1B));
    assert_int_equal(when_bound(given, "{\"counts\":{\"\":true}}"), LH_INVALID);
    assert_int_equal(when_bound(given, "{\"\":true}"), LH_UNKNOWN_FIELD);
}

static void the_arena_budget_bounds_what_is_bound(void **state)
{
    struct given *given = *state;
    lh_arena_free(given->arena);
    given->arena = lh_arena_new(64);
    assert_int_equal(when_bound(given, "{\"items\":[{},{},{},{},{},{},{},{},{}]}"), LH_TOO_LARGE);
    assert_string_equal(given->err.field, "items");
}

static void structs_filled_by_hand_are_held_to_the_same_limits(void **state)
{
    struct given *given = *state;
    struct sample *sample = &given->sample;
    lh_fields_preset(&sample_fields, sample);
    sample->sql = lh_lit("s");
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_OK);
    sample->limit = 0;
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_INVALID);
    assert_string_equal(given->err.field, "limit");
    sample->limit = 1;
    sample->kind = 3;
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_INVALID);
    sample->kind = -2;
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_INVALID);
    sample->kind = -1;
    sample->share = INFINITY;
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_INVALID);
    sample->share = 0;
    struct sample_item item = {.name = lh_lit("longer than 8"), .weight = 1};
    sample->first = &item;
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_INVALID);
    assert_string_equal(given->err.field, "first.name");
    item.name = lh_lit("ok");
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_of_every_type_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_given_or_null_keeps_its_preset, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(null_is_a_value_where_any_json_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_member_is_named_with_what_was_expected, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failing_member_leaves_the_struct_as_it_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_required_number_of_zero_is_given_and_none_is_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_long_path_is_cut_and_a_hostile_name_is_shown_harmless,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_arena_budget_bounds_what_is_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(structs_filled_by_hand_are_held_to_the_same_limits, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
