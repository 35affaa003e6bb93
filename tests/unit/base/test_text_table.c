#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text_table.h"

static void columns_line_up_by_shown_width(void **state)
{
    (void)state;
    const struct lh_text_column columns[] = {{lh_lit("name"), false}, {lh_lit("n"), true}};
    const struct lh_str cells[] = {lh_lit("日本"), lh_lit("8"), lh_lit("Zoë"), lh_lit("1234")};
    struct lh_buf out;
    lh_buf_init(&out, 4096);
    lh_text_table(&out, columns, 2, cells, 2, 0, 2);
    assert_string_equal(out.data, "  name     n\n"
                                  "  ────  ────\n"
                                  "  日本     8\n"
                                  "  Zoë   1234\n");
    lh_buf_release(&out);
}

static void long_cells_are_cut_and_data_cannot_steer_the_terminal(void **state)
{
    (void)state;
    const struct lh_text_column columns[] = {{lh_lit("a"), false}, {lh_lit("b"), false}};
    const struct lh_str cells[] = {lh_lit("abcdefgh"), lh_lit("x\x1b[2J\ny")};
    struct lh_buf out;
    lh_buf_init(&out, 4096);
    lh_text_table(&out, columns, 2, cells, 1, 6, 0);
    assert_null(strchr(out.data, 0x1b));
    assert_non_null(strstr(out.data, "abcde…"));
    assert_int_equal(lh_text_width(lh_lit("x\x1b[2J\ny")), 7);
    lh_buf_release(&out);
}

static void empty_cells_leave_no_trailing_blanks(void **state)
{
    (void)state;
    const struct lh_text_column columns[] = {{lh_lit("a"), false}, {lh_lit("b"), false}};
    const struct lh_str cells[] = {lh_lit("x"), {NULL, 0}};
    struct lh_buf out;
    lh_buf_init(&out, 4096);
    lh_text_table(&out, columns, 2, cells, 1, 0, 0);
    assert_string_equal(out.data, "a  b\n─  ─\nx\n");
    lh_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up_by_shown_width),
        cmocka_unit_test(long_cells_are_cut_and_data_cannot_steer_the_terminal),
        cmocka_unit_test(empty_cells_leave_no_trailing_blanks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
