#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "unit/base/sample_fields.h"

struct given {
    struct lh_arena *arena;
    struct sample sample;
    uint64_t bound;
    struct lh_error err;
};

static int set_up(void **state)
{
    struct given *given = calloc(1, sizeof *given);
    given->arena = lh_arena_new(1 << 20);
    lh_fields_preset(&sample_fields, &given->sample);
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

static enum lh_code when_bound(struct given *given, const char *name, struct lh_str value)
{
    given->err = (struct lh_error)LH_ERROR_NONE;
    return lh_fields_bind_text(&sample_fields, lh_str_of(name), value, given->arena, &given->sample,
                               &given->bound, &given->err);
}

static void texts_of_every_type_arrive(void **state)
{
    struct given *given = *state;
    static const char *const pairs[][2] = {
        {"sql", "x,y"},
        {"label", ""},
        {"limit", "12"},
        {"version", "3"},
        {"is_dry", "false"},
        {"share", "2.5e-1"},
        {"kind", "json"},
        {"since", "1970-01-01T00:00:01Z"},
        {"columns", " a, b"},
        {"options", "{\"a\":[1]}"},
        {"counts", "{\"x\":3}"},
        {"items", "[{\"name\":\"q\",\"weight\":2}]"},
        {"first", "{\"name\":\"f\",\"weight\":1}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(when_bound(given, pairs[i][0], lh_str_of(pairs[i][1])), LH_OK);
    const struct sample *sample = &given->sample;
    assert_int_equal(lh_fields_check(&sample_fields, sample, &given->err), LH_OK);
    assert_true(lh_str_equal(sample->sql, lh_lit("x,y")));
    assert_true(sample->label.data && sample->label.len == 0);
    assert_int_equal(sample->limit, 12);
    assert_int_equal(sample->version.value, 3);
    assert_false(sample->is_dry);
    assert_true(sample->share == 0.25);
    assert_int_equal(sample->kind, 0);
    assert_int_equal(sample->since.unix_ms, 1000);
    assert_int_equal(sample->columns.count, 2);
    assert_true(lh_str_equal(sample->columns.items[1], lh_lit("b")));
    assert_int_equal(json_object_size(sample->options.value), 1);
    assert_int_equal(sample->counts.items[0].value, 3);
    assert_int_equal(((const struct sample_item *)sample->items.items)->weight, 2);
    assert_int_equal(sample->first->weight, 1);
}

static void a_second_value_is_refused_but_a_refused_one_does_not_count(void **state)
{
    struct given *given = *state;
    assert_int_equal(when_bound(given, "limit", lh_lit("x")), LH_INVALID);
    assert_int_equal(given->bound, 0);
    assert_int_equal(when_bound(given, "limit", lh_lit("5")), LH_OK);
    assert_int_equal(when_bound(given, "limit", lh_lit("6")), LH_INVALID);
    assert_string_equal(given->err.message, "`limit` is given more than once.");
    assert_int_equal(given->sample.limit, 5);
}

struct wrong {
    const char *name;
    struct lh_str value;
    const char *message;
};

static void wrong_text_is_refused_with_a_sentence(void **state)
{
    struct given *given = *state;
    static const struct wrong cases[] = {
        {"limit", LH_LIT(" 5"),
         "`limit` must be a whole number between 1 and 10000000; ' 5' is not."},
        {"limit", LH_LIT(""), "`limit` must be a whole number between 1 and 10000000; '' is not."},
        {"limit", LH_LIT("9223372036854775808"),
         "`limit` must be a whole number between 1 and 10000000; '9223372036854775808' is not."},
        {"share", LH_LIT("nan"), "`share` must be a number between 0 and 1; 'nan' is not."},
        {"is_dry", LH_LIT("yes"), "`is_dry` must be true or false; 'yes' is not."},
        {"columns", LH_LIT("a,,b"), "`columns` has an empty item between its commas."},
        {"columns", LH_LIT("a,b,c,d"), "`columns` has 4 items; at most 3 are taken."},
        {"kind", LH_LIT("JSON"), "`kind` must be json, csv or arrow; 'JSON' is not."},
        {"since", LH_LIT("2026-13-01"),
         "`since` must be a time such as 2026-01-31T09:00:00Z; '2026-13-01' is not."},
        {"options", LH_LIT("{bad"),
         "`options` must be JSON: it is not valid JSON at line 1, column 4: string or '}' expected "
         "near 'bad'."},
        {"sql", LH_LIT("a\xFF"), "`sql` is not valid UTF-8 at byte 2."},
        {"sql", LH_LIT("a\0b"), "`sql` holds a NUL character, which text here may not."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(when_bound(given, cases[i].name, cases[i].value), LH_INVALID);
        assert_string_equal(given->err.message, cases[i].message);
        assert_string_equal(given->err.field, cases[i].name);
    }
    assert_int_equal(when_bound(given, "colums", lh_lit("a")), LH_UNKNOWN_FIELD);
    assert_string_equal(given->err.message, "Unknown field `colums`; did you mean `columns`?");
}

static void a_long_value_is_shown_shortened(void **state)
{
    struct given *given = *state;
    char value[5000];
    memset(value, '7', sizeof value);
    assert_int_equal(when_bound(given, "limit", (struct lh_str){value, sizeof value}), LH_INVALID);
    assert_true(strlen(given->err.message) < 250);
    assert_non_null(strstr(given->err.message, "7\xE2\x80\xA6' is not."));
}

static void text_never_becomes_the_path_of_a_file(void **state)
{
    struct given *given = *state;
    assert_int_equal(when_bound(given, "file", lh_lit("/etc/passwd")), LH_INVALID);
    assert_int_equal(given->sample.file.path.len, 0);
}

static void a_received_file_binds_once_and_only_to_a_file_field(void **state)
{
    struct given *given = *state;
    struct lh_upload upload = {.path = lh_lit("staged"), .filename = lh_lit("a.csv"), .bytes = 3};
    assert_int_equal(lh_fields_bind_file(&sample_fields, lh_lit("sql"), &upload, &given->sample,
                                         &given->bound, &given->err),
                     LH_INVALID);
    assert_string_equal(given->err.message, "`sql` must be text; a file is not.");
    assert_int_equal(lh_fields_bind_file(&sample_fields, lh_lit("file"), &upload, &given->sample,
                                         &given->bound, &given->err),
                     LH_OK);
    assert_int_equal(given->sample.file.bytes, 3);
    assert_int_equal(lh_fields_bind_file(&sample_fields, lh_lit("file"), &upload, &given->sample,
                                         &given->bound, &given->err),
                     LH_INVALID);
    assert_int_equal(lh_fields_bind_file(&sample_fields, lh_lit("fil"), &upload, &given->sample,
                                         &given->bound, &given->err),
                     LH_UNKNOWN_FIELD);
}

static void parsed_text_lives_as_long_as_the_arena(void **state)
{
    struct given *given = *state;
    assert_int_equal(when_bound(given, "options", lh_lit("[\"kept\"]")), LH_OK);
    struct lh_str kept = lh_json_text(json_array_get(given->sample.options.value, 0));
    assert_true(lh_str_equal(kept, lh_lit("kept")));
    lh_arena_clear(given->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_of_every_type_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_value_is_refused_but_a_refused_one_does_not_count,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_text_is_refused_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_value_is_shown_shortened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_never_becomes_the_path_of_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_received_file_binds_once_and_only_to_a_file_field, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(parsed_text_lives_as_long_as_the_arena, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
