#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "search/pieces.h"

static size_t characters(struct lh_str text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.len; count++)
        at += lh_str_utf8_step(lh_str_slice(text, at, 4));
    return count;
}

/* Every piece is valid, short enough, where it says it is; together they are the whole text. */
static size_t check(struct lh_str text, size_t size, size_t overlap)
{
    struct search_pieces pieces;
    struct search_piece piece;
    size_t count = 0, covered = 0;
    search_pieces_init(&pieces, text, size, overlap);
    while (search_pieces_next(&pieces, &piece)) {
        size_t from = (size_t)(piece.text.data - text.data);
        assert_true(piece.text.len > 0);
        assert_true(lh_str_is_utf8(piece.text, NULL));
        assert_true(characters(piece.text) <= size);
        assert_int_equal(characters(lh_str_slice(text, 0, from)), piece.start);
        for (size_t i = covered; i < from; i++) /* only blanks are left out */
            assert_true((unsigned char)text.data[i] <= ' ');
        if (count && from < covered)
            assert_true(characters(lh_str_slice(text, from, covered - from)) <= overlap);
        covered = from + piece.text.len;
        count++;
    }
    for (size_t i = covered; i < text.len; i++)
        assert_true((unsigned char)text.data[i] <= ' ');
    return count;
}

static void a_short_text_is_one_piece_and_blanks_are_none(void **state)
{
    (void)state;
    assert_int_equal(check(lh_lit("One sentence."), 100, 10), 1);
    assert_int_equal(check(lh_lit(""), 100, 10), 0);
    assert_int_equal(check(lh_lit(" \n\t "), 100, 10), 0);
}

static void a_long_text_is_cut_where_sentences_end(void **state)
{
    struct search_pieces pieces;
    struct search_piece piece;
    (void)state;
    search_pieces_init(&pieces, lh_lit("The first one ends here. The second is longer than that."),
                       32, 0);
    assert_true(search_pieces_next(&pieces, &piece));
    assert_true(lh_str_starts_with(piece.text, lh_lit("The first one ends here.")));
    assert_true(piece.text.len <= 25);
}

static void neighbours_share_whole_words(void **state)
{
    struct search_pieces pieces;
    struct search_piece piece;
    char text[4000];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 7 == 6 ? ' ' : 'a';
    struct lh_str all = {text, sizeof text};
    assert_true(check(all, 100, 20) > 45);
    search_pieces_init(&pieces, all, 100, 20);
    assert_true(search_pieces_next(&pieces, &piece));
    assert_true(search_pieces_next(&pieces, &piece));
    assert_int_equal(piece.text.data[-1], ' ');
}

static void no_character_is_cut_and_no_mark_left_behind(void **state)
{
    char text[6000];
    size_t length = 0;
    (void)state;
    while (length + 8 < sizeof text) { /* e with an accent of its own, then an emoji with a tone */
        static const char cluster[] = "e\xCC\x81\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD";
        size_t bytes = sizeof cluster - 1;
        if (length + bytes > sizeof text)
            break;
        for (size_t i = 0; i < bytes; i++)
            text[length + i] = cluster[i];
        length += bytes;
    }
    struct lh_str all = {text, length};
    for (size_t size = 50; size < 60; size++) {
        struct search_pieces pieces;
        struct search_piece piece;
        check(all, size, 7);
        search_pieces_init(&pieces, all, size, 7);
        while (search_pieces_next(&pieces, &piece)) {
            unsigned char first = (unsigned char)piece.text.data[0];
            assert_true(first == 'e' || first == 0xF0);
            assert_false(lh_str_starts_with(piece.text, lh_lit("\xF0\x9F\x8F\xBD")));
        }
    }
}

static void any_bytes_of_text_and_any_size_end(void **state)
{
    unsigned seed = 42;
    (void)state;
    for (int round = 0; round < 300; round++) {
        char text[700];
        size_t length = 0;
        while (length + 4 < sizeof text) {
            static const char *const parts[] = {
                "a",    " ",  ".",       "\n", "\xC3\xA9", "\xE3\x80\x82", "\xF0\x9F\x98\x80",
                "\n\n", "! ", "\xCC\x81"};
            seed = seed * 1103515245U + 12345U;
            struct lh_str part = lh_str_of(parts[(seed >> 16) % 10]);
            for (size_t i = 0; i < part.len; i++)
                text[length++] = part.data[i];
        }
        size_t size = 50 + seed % 100;
        check((struct lh_str){text, length}, size, (seed >> 8) % (size / 2 + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_text_is_one_piece_and_blanks_are_none),
        cmocka_unit_test(a_long_text_is_cut_where_sentences_end),
        cmocka_unit_test(neighbours_share_whole_words),
        cmocka_unit_test(no_character_is_cut_and_no_mark_left_behind),
        cmocka_unit_test(any_bytes_of_text_and_any_size_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
