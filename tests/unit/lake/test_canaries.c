/* Texts that must be nowhere, and the search for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "lake/canaries.h"

struct hits {
    size_t count;
    size_t last;
};

static void note(void *context, size_t index, size_t at, size_t len)
{
    struct hits *hits = context;
    (void)at;
    (void)len;
    hits->count++;
    hits->last = index;
}

static size_t count_in(const struct canaries *canaries, const char *text)
{
    struct hits hits = {0};
    struct lh_str bytes = lh_str_of(text);
    canaries_search(canaries, bytes, 0, bytes.len, note, &hits);
    return hits.count;
}

static void a_key_is_found_as_a_word_and_a_text_anywhere(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    assert_true(canaries_add(canaries, lh_lit("CAND-7"), true));
    assert_true(canaries_add(canaries, lh_lit("Zaphod Beeblebrox"), false));
    assert_false(canaries_add(canaries, lh_lit("short"), true));
    canaries_seal(canaries);
    assert_int_equal(count_in(canaries, "CAND-7"), 1);
    assert_int_equal(count_in(canaries, "{\"id\":\"CAND-7\",\"x\":\"CAND-7\"}"), 2);
    assert_int_equal(count_in(canaries, "people/CAND-7"), 1);
    assert_int_equal(count_in(canaries, "CAND-70 XCAND-7 CAND-7b 1CAND-7"), 0);
    assert_int_equal(count_in(canaries, "_CAND-7 CAND-7_ CAND-7-old x-CAND-7"), 4);
    assert_int_equal(count_in(canaries, "\xE2\x80\x9C"
                                        "CAND-7\xE2\x80\x9D, CAND-7\xC3\xA9 \xC3\xA9"
                                        "CAND-7"),
                     3);
    assert_int_equal(count_in(canaries, "xxZaphod Beeblebroxxx"), 1);
    assert_int_equal(count_in(canaries, "Zaphod Beeblebro"), 0);
    assert_int_equal(count_in(canaries, ""), 0);
    canaries_free(canaries);
}

static void a_key_that_is_told_apart_is_found_within_longer_words(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    assert_true(canaries_add(canaries, lh_lit("a@x.de"), true));
    assert_true(canaries_add(canaries, lh_lit("customer-00012"), true));
    assert_true(canaries_add(canaries, lh_lit("491701234567"), true)); /* a number goes on */
    canaries_seal(canaries);
    assert_true(canaries_has_parts(canaries));
    assert_int_equal(count_in(canaries, "cva@x.de2 CVcustomer-00012b"), 2);
    assert_int_equal(count_in(canaries, "4917012345678 0491701234567 x491701234567"), 0);
    assert_int_equal(count_in(canaries, "+491701234567 (491701234567)"), 2);
    canaries_free(canaries);
}

/* The numbers and addresses of others, which begin or end alike. */
static void a_key_within_the_words_of_rows_that_are_left_is_a_word_from_then_on(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    assert_true(canaries_add(canaries, lh_lit("ann@x.org"), true));
    canaries_seal(canaries);
    canaries_share(canaries, lh_lit("by ann@x.org herself"), true);
    assert_int_equal(count_in(canaries, "joann@x.org, ann@x.organ, ann@x.org"), 3);
    assert_false(canaries_is_shared_key(canaries, 0));
    canaries_share(canaries, lh_lit("joann@x.org"), true);
    assert_int_equal(count_in(canaries, "joann@x.org, ann@x.organ, cv_ann@x.org"), 1);
    assert_true(canaries_is_shared_key(canaries, 0));
    assert_false(canaries_is_dropped(canaries, 0));
    canaries_free(canaries);
}

static void what_json_escapes_is_no_letter_before_a_key(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    assert_true(canaries_add(canaries, lh_lit("CAND-7"), true));
    canaries_seal(canaries);
    assert_int_equal(count_in(canaries, "of:\\nCAND-7"), 1);
    assert_int_equal(count_in(canaries, "of:\\u00ebCAND-7"), 1);
    assert_int_equal(count_in(canaries, "c:\\\\nCAND-7 nCAND-7 u00ebCAND-7"), 0);
    canaries_free(canaries);
}

static void a_text_is_found_as_json_writes_it(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    assert_true(canaries_add(canaries, lh_lit("says \"no\"\nto it"), false));
    canaries_seal(canaries);
    assert_int_equal(canaries_count(canaries), 1);
    assert_int_equal(count_in(canaries, "says \"no\"\nto it"), 1);
    assert_int_equal(count_in(canaries, "says \\\"no\\\"\\nto it"), 1);
    canaries_free(canaries);
}

static void a_text_is_found_as_sql_and_csv_write_its_quotes(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    assert_true(canaries_add(canaries, lh_lit("O'Brien-7"), true));
    assert_true(canaries_add(canaries, lh_lit("Sean \"the Fish\" Brien"), false));
    canaries_seal(canaries);
    assert_int_equal(canaries_count(canaries), 2);
    assert_int_equal(count_in(canaries, "WHERE id = 'O''Brien-7'"), 1);
    assert_int_equal(count_in(canaries, "WHERE id = 'O'Brien-7'"), 1);
    assert_int_equal(count_in(canaries, "7,\"Sean \"\"the Fish\"\" Brien\",x"), 1);
    assert_int_equal(count_in(canaries, "\"Sean \\\"\\\"the Fish\\\"\\\" Brien\""), 1);
    assert_int_equal(count_in(canaries, "\"Sean \\\"the Fish\\\" Brien\""), 1);
    canaries_free(canaries);
}

static void one_that_is_dropped_says_so_and_twins_are_one(void **state)
{
    struct canaries *canaries = canaries_new();
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(canaries_add(canaries, lh_lit("the very same text"), false));
    canaries_seal(canaries);
    assert_int_equal(canaries_count(canaries), 1);
    assert_int_equal(count_in(canaries, "it is the very same text"), 1);
    assert_false(canaries_is_dropped(canaries, 0));
    canaries_share(canaries, lh_lit("a row that has the very same text"), true);
    assert_false(canaries_is_dropped(canaries, 0));
    canaries_share(canaries, lh_lit("a row that has the very same text"), false);
    assert_true(canaries_is_dropped(canaries, 0));
    canaries_free(canaries);
}

/* As the scan reads a file: piece by piece, with what may have begun kept. */
static void thousands_are_found_wherever_a_piece_ends(void **state)
{
    struct canaries *canaries = canaries_new();
    char text[64], bytes[4096];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "person number %d!", i);
        assert_true(canaries_add(canaries, lh_str_of(text), false));
    }
    canaries_seal(canaries);
    assert_int_equal(canaries_count(canaries), 5000);
    for (int i = 0; i < 150; i++)
        len += (size_t)snprintf(bytes + len, sizeof bytes - len, "person number %d!, ", i * 33);
    for (size_t piece = 40; piece < 60; piece++) {
        struct hits hits = {0};
        for (size_t at = 0; at < len; at += piece)
            canaries_search(canaries, (struct lh_str){bytes, len}, at,
                            at + piece < len ? at + piece : len, note, &hits);
        assert_int_equal(hits.count, 150);
    }
    assert_true(canaries_overlap(canaries) > 16);
    canaries_free(canaries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_as_a_word_and_a_text_anywhere),
        cmocka_unit_test(a_key_that_is_told_apart_is_found_within_longer_words),
        cmocka_unit_test(a_key_within_the_words_of_rows_that_are_left_is_a_word_from_then_on),
        cmocka_unit_test(what_json_escapes_is_no_letter_before_a_key),
        cmocka_unit_test(a_text_is_found_as_json_writes_it),
        cmocka_unit_test(a_text_is_found_as_sql_and_csv_write_its_quotes),
        cmocka_unit_test(one_that_is_dropped_says_so_and_twins_are_one),
        cmocka_unit_test(thousands_are_found_wherever_a_piece_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
