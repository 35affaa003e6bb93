/* Keys of any length, in any spelling, as texts and within them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "lake/erasing_internal.h"

#define UUID "0a1b2c3d-1111-4222-8333-0123456789ab"

static struct lh_arena *arena;

static const struct erase_keys *keys_of(const char *json, bool is_loose)
{
    json_t *values = NULL;
    if (lh_json_parse(lh_str_of(json), "The keys", 4096, &values, NULL))
        fail_msg("%s is no JSON", json);
    struct lh_str_list list = erase_keys_of(values, arena);
    for (size_t i = 0; i < list.count; i++) { /* they are borrowed */
        struct lh_str *texts = (struct lh_str *)(uintptr_t)list.items;
        texts[i] = lh_arena_str(arena, texts[i]);
    }
    json_decref(values);
    return erase_keys_new(erase_keys_join(&list, 1, arena), is_loose, arena);
}

static bool has(const struct erase_keys *keys, const char *text)
{
    return erase_keys_has(keys, lh_str_of(text));
}

static bool in(const struct erase_keys *keys, const char *text)
{
    return erase_keys_in(keys, lh_str_of(text));
}

static void a_number_is_one_in_every_spelling_and_a_text_is_not(void **state)
{
    const struct erase_keys *loose = keys_of("[7, \"12.50\", \"-3\", 0]", true);
    const struct erase_keys *strict = keys_of("[\"7\", \"12.50\"]", false);
    (void)state;
    const char *const same[] = {"7",    "7.0",     "07",   "+7", "7.",
                                "12.5", "012.500", "-3.0", "-0", ".0"};
    const char *const other[] = {"70", "-7", "7e0", "12.05", "3", "", "-", "+", ".", "7 ", "7.0.0"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_true(has(loose, same[i]));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(has(loose, other[i]));
    assert_true(has(strict, "7") && has(strict, "12.50"));
    assert_false(has(strict, "7.0") || has(strict, "07") || has(strict, "12.5"));
}

static void a_uuid_is_one_in_either_case(void **state)
{
    const struct erase_keys *keys = keys_of("[\"" UUID "\"]", false);
    (void)state;
    assert_true(has(keys, UUID));
    assert_true(has(keys, "0A1B2C3D-1111-4222-8333-0123456789AB"));
    assert_false(has(keys, "0a1b2c3d-1111-4222-8333-0123456789ac"));
    assert_true(in(keys, "of 0A1B2C3D-1111-4222-8333-0123456789AB, yes"));
}

static void a_key_is_found_within_a_text_as_a_word_of_its_own(void **state)
{
    const struct erase_keys *keys = keys_of("[7, \"a b\", \"O'X\", \"\", null]", true);
    (void)state;
    assert_true(in(keys, "7") && in(keys, "(7)") && in(keys, "{\"id\":7}") && in(keys, "x,7\n"));
    assert_false(in(keys, "77") || in(keys, "a7") || in(keys, "7-b"));
    assert_true(in(keys, "it was a b.") && in(keys, "a b") && in(keys, "xa b, a b"));
    assert_false(in(keys, "xa b") || in(keys, "a bc") || in(keys, "a  b") || in(keys, ""));
    assert_true(in(keys, "by O'X"));
    assert_false(in(keys_of("[]", true), "anything at all, 7"));
}

/* Else every text with a date in it named the key 7. */
static void a_short_number_is_not_in_dates_decimals_and_the_keys_of_others(void **state)
{
    const struct erase_keys *keys = keys_of("[7, 1234]", true);
    (void)state;
    const char *const others[] = {"2024-01-07", "2024-07-01T07:07:07Z",
                                  "0.7",        "7.5",
                                  "1.7.3",      "CAND-7",
                                  "7-b",        "-7",
                                  "2024_07_01", "0a1b2c3d-1234-4222-8333-0123456789ab",
                                  "x7",         "7x"};
    const char *const same[] = {"_7",
                                "7_",
                                "7.",
                                "7.0",
                                "customer_7.csv",
                                "people/7",
                                "[5,7]",
                                "id: 7, ",
                                "#7",
                                "\xE2\x80\x9C"
                                "7\xE2\x80\x9D"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (in(keys, others[i]))
            fail_msg("7 is not in %s", others[i]);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (!in(keys, same[i]))
            fail_msg("7 is in %s", same[i]);
}

static void a_short_key_of_letters_ends_where_no_letter_goes_on(void **state)
{
    const struct erase_keys *keys = keys_of("[\"K7\", \"C-12\", \"\u00e97\"]", false);
    (void)state;
    assert_true(in(keys, "_K7") && in(keys, "K7-old") && in(keys, "x-K7") && in(keys, "\\nK7"));
    assert_false(in(keys, "K70") || in(keys, "AK7") || in(keys, "nK7"));
    assert_true(in(keys, "C-12") && in(keys, "_C-12_") && in(keys, "C-12-a"));
    assert_false(in(keys, "C-123") || in(keys, "AC-12") || in(keys, "C-1"));
    assert_true(in(keys, "of \xC3\xA9"
                         "7."));
}

static void a_key_is_searched_for_anywhere_if_it_is_long_enough(void **state)
{
    (void)state;
    assert_true(erase_key_is_distinctive(lh_lit("CAND-7")));
    assert_true(erase_key_is_distinctive(lh_lit("491701234")));
    assert_false(erase_key_is_distinctive(lh_lit("49170123")));
    assert_false(erase_key_is_distinctive(lh_lit("Ann")));
    assert_true(erase_key_is_value(lh_lit("2024-01-05T10:00:00Z")));
    assert_true(erase_key_is_value(lh_lit("491701234567")));
    assert_false(erase_key_is_value(lh_lit("CAND-7")));
}

static int set_up(void **state)
{
    (void)state;
    arena = lh_arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lh_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_one_in_every_spelling_and_a_text_is_not),
        cmocka_unit_test(a_uuid_is_one_in_either_case),
        cmocka_unit_test(a_key_is_found_within_a_text_as_a_word_of_its_own),
        cmocka_unit_test(a_short_number_is_not_in_dates_decimals_and_the_keys_of_others),
        cmocka_unit_test(a_short_key_of_letters_ends_where_no_letter_goes_on),
        cmocka_unit_test(a_key_is_searched_for_anywhere_if_it_is_long_enough),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
