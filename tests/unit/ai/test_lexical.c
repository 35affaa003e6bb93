#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ai/lexical.h"

static const char *const texts[] = {"image editor for photos", "text editor for programmers",
                                    "music player for the terminal", "a player for games",
                                    "photographs edited with ease"};

static struct lexical *fitted(struct lh_buf *bytes)
{
    struct lexical_fit *fit = NULL;
    struct lexical *lexical = NULL;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lexical_fit_new(&fit, &err), LH_OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(lexical_fit_add(fit, lh_str_of(texts[i]), &err), LH_OK);
    lh_buf_init(bytes, (size_t)16 << 20);
    lexical_fit_finish(fit, bytes);
    lexical_fit_free(fit);
    assert_int_equal(lexical_load(lh_buf_str(bytes), &lexical, &err), LH_OK);
    return lexical;
}

static double near(const struct lexical *lexical, const char *a, const char *b)
{
    static float vectors[2 * LEXICAL_DIMENSIONS];
    const struct lh_str both[] = {lh_str_of(a), lh_str_of(b)};
    struct lh_error err = LH_ERROR_NONE;
    double dot = 0;
    assert_int_equal(lexical_embed(lexical, both, 2, vectors, &err), LH_OK);
    for (size_t i = 0; i < LEXICAL_DIMENSIONS; i++)
        dot += (double)vectors[i] * (double)vectors[LEXICAL_DIMENSIONS + i];
    return dot;
}

static void texts_that_share_words_or_parts_of_words_are_near(void **state)
{
    struct lh_buf bytes;
    struct lexical *lexical = fitted(&bytes);
    (void)state;
    assert_true(near(lexical, texts[0], texts[0]) > 0.9999);
    assert_true(near(lexical, "Photos, EDITOR!", "photos editor") > 0.9999);
    assert_true(near(lexical, "photo editing", texts[0]) >
                near(lexical, "photo editing", texts[3]));
    assert_true(near(lexical, "terminal", texts[2]) > near(lexical, "for", texts[2]));
    lexical_free(lexical);
    lh_buf_release(&bytes);
}

static void equal_fits_give_equal_bytes_and_vectors(void **state)
{
    struct lh_buf first, second;
    struct lexical *a = fitted(&first), *b = fitted(&second);
    static float one[LEXICAL_DIMENSIONS], other[LEXICAL_DIMENSIONS];
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    struct lh_str text = lh_str_of(texts[4]);
    assert_int_equal(lexical_embed(a, &text, 1, one, &err), LH_OK);
    assert_int_equal(lexical_embed(b, &text, 1, other, &err), LH_OK);
    assert_memory_equal(one, other, sizeof one);
    lexical_free(a);
    lexical_free(b);
    lh_buf_release(&first);
    lh_buf_release(&second);
}

static void texts_without_words_are_the_zero_vector(void **state)
{
    struct lh_buf bytes;
    struct lexical *lexical = fitted(&bytes);
    static const char *const empty[] = {"", "   ", "\"\" -- ,.;", "\xF0\x9F\x98\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        assert_true(near(lexical, empty[i], texts[0]) == 0.0);
    lexical_free(lexical);
    lh_buf_release(&bytes);
}

static void very_long_words_and_letters_of_any_script_are_fine(void **state)
{
    struct lh_buf bytes;
    struct lexical *lexical = fitted(&bytes);
    char word[5000];
    (void)state;
    for (size_t i = 0; i + 2 < sizeof word; i += 2) {
        word[i] = '\xC3';
        word[i + 1] = '\xA9';
    }
    word[sizeof word - 2] = '\0';
    assert_true(near(lexical, word, word) > 0.9999);
    assert_true(near(lexical, "\xC3\x89t\xC3\xA9", "\xC3\xA9t\xC3\xA9") > 0.9999);
    lexical_free(lexical);
    lh_buf_release(&bytes);
}

static void bytes_of_something_else_are_refused(void **state)
{
    struct lh_buf bytes;
    struct lexical *lexical = fitted(&bytes), *none = NULL;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(lexical_load(lh_lit(""), &none, &err), LH_DAMAGED);
    assert_int_equal(lexical_load(lh_str_slice(lh_buf_str(&bytes), 0, bytes.len - 1), &none, &err),
                     LH_DAMAGED);
    bytes.data[0] = 'L';
    assert_int_equal(lexical_load(lh_buf_str(&bytes), &none, &err), LH_DAMAGED);
    lexical_free(lexical);
    lh_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_share_words_or_parts_of_words_are_near),
        cmocka_unit_test(equal_fits_give_equal_bytes_and_vectors),
        cmocka_unit_test(texts_without_words_are_the_zero_vector),
        cmocka_unit_test(very_long_words_and_letters_of_any_script_are_fine),
        cmocka_unit_test(bytes_of_something_else_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
