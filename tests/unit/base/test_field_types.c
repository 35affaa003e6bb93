#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/field.h"

/* A struct with a member of each type, and one row, as a file of the project would have it. */
static const char program[] = "#include \"base/field.h\"\n"
                              "struct thing { struct lh_str str; int64_t whole; bool flag;\n"
                              "    int narrow; double real; struct lh_opt_int maybe;\n"
                              "    struct lh_time time; struct lh_str_list names;\n"
                              "    struct lh_json_value json; struct lh_list list;\n"
                              "    struct lh_int_map map; struct lh_upload file;\n"
                              "    const struct thing *next; };\n"
                              "extern const struct lh_field rows[];\n"
                              "const struct lh_field rows[] = {%s(struct thing, %s)};\n";

/* True if the compiler takes it. WORKING_DIRECTORY is the root of the project. */
static bool compiles(const char *macro, const char *member)
{
    FILE *compiler =
        popen("${CC:-cc} -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -Isrc -x c - "
              "2>/dev/null",
              "w");
    assert_non_null(compiler);
    assert_true(fprintf(compiler, program, macro, member) > 0);
    int status = pclose(compiler);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 126);
    return WEXITSTATUS(status) == 0;
}

struct kind {
    const char *macro;
    const char *right;
    const char *wrong;
};

static const struct kind kinds[] = {
    {"LH_STR", "str", "whole"},
    {"LH_INT", "whole", "narrow"},
    {"LH_OPT_INT", "maybe", "whole"},
    {"LH_BOOL", "flag", "narrow"},
    {"LH_DOUBLE", "real", "whole"},
    {"LH_CHOICE", "narrow", "whole"},
    {"LH_TIME", "time", "whole"},
    {"LH_STR_LIST", "names", "str"},
    {"LH_JSON", "json", "str"},
    {"LH_LIST", "list", "names"},
    {"LH_INT_MAP", "map", "list"},
    {"LH_FILE", "file", "str"},
    {"LH_OBJECT", "next, const struct thing *", "next, const struct lh_field *"},
};

static void a_row_of_the_right_type_compiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!compiles(kinds[i].macro, kinds[i].right))
            fail_msg("%s on %s does not compile.", kinds[i].macro, kinds[i].right);
    }
}

static void a_row_of_the_wrong_type_does_not_compile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (compiles(kinds[i].macro, kinds[i].wrong))
            fail_msg("%s on %s compiles.", kinds[i].macro, kinds[i].wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_of_the_right_type_compiles),
        cmocka_unit_test(a_row_of_the_wrong_type_does_not_compile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
