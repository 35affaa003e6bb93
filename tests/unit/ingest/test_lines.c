/* No line of a CSV is lost without a word: it is a row, a rejected row, or the file is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/op_house.h"

static struct op_house house;

static int make(void **state)
{
    (void)state;
    op_house_make(&house);
    return 0;
}

static int remove_house(void **state)
{
    (void)state;
    op_house_remove(&house);
    return 0;
}

static enum lh_code take(const char *options, const char *bytes, size_t count)
{
    char args[256];
    snprintf(args, sizeof args, "{\"dataset\": \"t\", \"mode\": \"replace\", \"options\": %s}",
             options);
    (void)op_house_try(&house, "datasets.delete", "{\"name\": \"t\"}");
    return op_house_try_file(&house, "ingest.file", args, "t.csv", bytes, count);
}

/* `odd` stands in the lines whose numbers are given; the caller frees. */
static char *many(int rows, const char *odd, int first, int second, size_t *ret_count)
{
    char *csv = malloc((size_t)rows * 24 + 64);
    size_t at = (size_t)sprintf(csv, "id,name\n");
    for (int row = 0; row < rows; row++)
        at += (size_t)(row == first || row == second ? sprintf(csv + at, "%d,%s\n", row, odd)
                                                     : sprintf(csv + at, "%d,name\n", row));
    *ret_count = at;
    return csv;
}

static void a_quote_that_is_never_closed_is_refused_with_its_line(void **state)
{
    (void)state;
    size_t count = 0;
    char *csv = many(50000, "\"abc", 40000, -1, &count);
    assert_int_equal(take("{}", csv, count), LH_UNREADABLE);
    assert_non_null(strstr(house.err.message, "40002"));
    assert_non_null(strstr(house.err.hint, "quote"));
    op_house_refuses(&house, "datasets.get", "{\"name\": \"t\"}", LH_NOT_FOUND);
    /* Said to be plain text, the same file comes in whole. */
    assert_int_equal(take("{\"quote\": \"\"}", csv, count), LH_OK);
    assert_string_equal(op_house_sql(&house, "SELECT count(*), max(name) FROM t WHERE id >= 40000"),
                        "[[10000,\"name\"]]");
    free(csv);
}

static void two_stray_quotes_do_not_swallow_what_is_between_them(void **state)
{
    (void)state;
    size_t count = 0;
    char *csv = many(50000, "\"abc", 40000, 45000, &count);
    assert_int_equal(take("{}", csv, count), LH_UNREADABLE);
    free(csv);
}

static void a_header_with_a_stray_quote_is_refused(void **state)
{
    (void)state;
    static const char csv[] = "\"name,id\na,1\nb,2\nc,3\n";
    assert_int_equal(take("{}", csv, sizeof csv - 1), LH_UNREADABLE);
}

static void lines_that_are_no_rows_do_not_count_as_lost(void **state)
{
    (void)state;
    static const struct {
        const char *what, *csv, *rows;
    } files[] = {
        {"breaks inside texts", "id,note\n1,\"a\nb\n\nc\"\n2,d\n", "[[2]]"},
        {"blank lines", "id,note\n\n1,a\n\n\n2,b\n\n\n", "[[2]]"},
        {"carriage returns and blank lines", "id,note\r\n1,a\r\n\r\n2,b\r\n\r\n", "[[2]]"},
        {"breaks inside names", "id,\"the\nnote\"\n1,a\n2,b\n", "[[2]]"},
        {"no break at the end", "id,note\n1,a\n2,\"b\nc\"", "[[2]]"},
        {"breaks inside a row that does not fit", "id,n\n1,2\n3,4,\"a\nb\nc\"\n5,6\n7,8\n",
         "[[3]]"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (take("{}", files[i].csv, strlen(files[i].csv)))
            fail_msg("%s: %s", files[i].what, house.err.message);
        const char *rows = op_house_sql(&house, "SELECT count(*) FROM t");
        if (strcmp(rows, files[i].rows) != 0)
            fail_msg("%s: %s rows", files[i].what, rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quote_that_is_never_closed_is_refused_with_its_line),
        cmocka_unit_test(two_stray_quotes_do_not_swallow_what_is_between_them),
        cmocka_unit_test(a_header_with_a_stray_quote_is_refused),
        cmocka_unit_test(lines_that_are_no_rows_do_not_count_as_lost),
    };
    return cmocka_run_group_tests(tests, make, remove_house);
}
