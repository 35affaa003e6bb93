#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/internal.h"

static struct lh_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = lh_arena_new(0);
    return 0;
}

static int drop_arena(void **state)
{
    (void)state;
    lh_arena_free(arena);
    return 0;
}

static const struct cli_value *parsed(const char *json)
{
    struct cli_value *value = NULL;
    struct lh_error err = LH_ERROR_NONE;
    if (cli_parse(lh_str_of(json), arena, &value, &err))
        fail_msg("%s: %s", json, err.message);
    return value;
}

static void then_text(const struct cli_value *value, const char *text)
{
    assert_non_null(value);
    assert_int_equal(value->text.len, strlen(text));
    assert_memory_equal(value->text.data, text, strlen(text));
}

static void numbers_keep_their_text(void **state)
{
    (void)state;
    then_text(parsed("18446744073709551615"), "18446744073709551615");
    then_text(cli_get(parsed(" { \"a\" : 1.50e3 } "), "a"), "1.50e3");
}

static void texts_are_unescaped(void **state)
{
    (void)state;
    then_text(parsed("\"a\\\"b\\\\c\\n\\u00e4\\ud83d\\ude00\\/\""), "a\"b\\c\nä😀/");
    then_text(parsed("\"plain ä\""), "plain ä");
    then_text(parsed("\"\""), "");
}

static void lists_and_objects_keep_their_order_and_their_json(void **state)
{
    (void)state;
    const struct cli_value *value = parsed("{\"x\":[1, {\"y\":null}],\"z\":true}");
    const struct cli_value *list = cli_get(value, "x");
    assert_int_equal(list->kind, CLI_LIST);
    then_text(list, "[1, {\"y\":null}]");
    assert_int_equal(list->first->next->first->kind, CLI_NULL);
    assert_int_equal(cli_get(value, "z")->kind, CLI_BOOL);
    assert_null(cli_get(value, "w"));
    assert_null(parsed("[]")->first);
    assert_null(parsed("{}")->first);
}

static void what_is_cut_or_wrong_is_refused(void **state)
{
    static const char *const wrong[] = {"",        "{",       "[1",        "[1,]", "{\"a\"}",
                                        "\"a",     "\"\\x\"", "\"\\u12\"", "1 2",  "{\"a\":}",
                                        "\"a\\\"", "[1]]",    "{1:2}"};
    struct cli_value *value = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (cli_parse(lh_str_of(wrong[i]), arena, &value, NULL) != LH_MALFORMED)
            fail_msg("'%s' was taken", wrong[i]);
}

static void depth_has_an_end(void **state)
{
    char deep[2001];
    struct cli_value *value = NULL;
    (void)state;
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    deep[2000] = '\0';
    assert_int_equal(cli_parse(lh_str_of(deep), arena, &value, NULL), LH_MALFORMED);
}

/* --- words */

static enum lh_code words_of(const char *op_name, char *const *words, int count,
                             struct cli_call *ret, struct lh_error *err)
{
    *ret = (struct cli_call){.op = op_find(lh_str_of(op_name)), .arena = arena};
    assert_non_null(ret->op);
    return cli_read_call(count, words, ret, err);
}

static void flags_and_positionals_become_arguments(void **state)
{
    char *words[] = {"SELECT 1", "--limit", "5", "--timeout-ms=77", "--json", "--data", "d"};
    struct cli_call call;
    (void)state;
    assert_int_equal(words_of("query.sql", words, 7, &call, NULL), LH_OK);
    assert_true(call.is_json);
    assert_true(lh_str_equal(call.data, lh_lit("d")));
    assert_int_equal(call.given_count, 3);
}

static void wrong_words_are_told(void **state)
{
    static char *const unknown[] = {"x", "--limti", "5"};
    static char *const twice[] = {"x", "--limit", "5", "--limit", "6"};
    static char *const much[] = {"x", "y"};
    static char *const valueless[] = {"x", "--limit"};
    static char *const bad[] = {"x", "--limit", "many"};
    struct lh_error err = LH_ERROR_NONE;
    struct cli_call call;
    (void)state;
    assert_int_equal(words_of("query.sql", unknown, 3, &call, &err), LH_UNKNOWN_FIELD);
    assert_non_null(strstr(err.hint, "--limit"));
    assert_int_equal(words_of("query.sql", twice, 5, &call, &err), LH_INVALID);
    assert_int_equal(words_of("query.sql", much, 2, &call, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "'y'"));
    assert_int_equal(words_of("query.sql", valueless, 2, &call, &err), LH_INVALID);
    assert_int_equal(words_of("query.sql", bad, 3, &call, &err), LH_INVALID);
    assert_int_equal(words_of("query.sql", NULL, 0, &call, &err), LH_INVALID);
    assert_string_equal(err.field, "sql");
}

static void after_two_dashes_nothing_is_a_flag(void **state)
{
    char *words[] = {"--", "--json"};
    struct cli_call call;
    (void)state;
    assert_int_equal(words_of("datasets.get", words, 2, &call, NULL), LH_OK);
    assert_false(call.is_json);
    assert_true(lh_str_equal(call.given[0].text, lh_lit("--json")));
}

/* --- tables */

static void rows_are_shown_with_titles_count_and_the_cut(void **state)
{
    struct lh_buf out;
    (void)state;
    lh_buf_init(&out, 10000);
    assert_int_equal(
        cli_show(op_find(lh_lit("query.sql")),
                 lh_lit("{\"columns\":[{\"name\":\"n\",\"type\":\"UBIGINT\"},{\"name\":\"t\","
                        "\"type\":\"VARCHAR\"}],\"rows\":[[18446744073709551615,\"\\u001b[2J\"],"
                        "[2,null]],\"row_count\":2,\"truncated\":true}"),
                 arena, &out, NULL),
        LH_OK);
    assert_non_null(strstr(out.data, "18446744073709551615"));
    assert_non_null(strstr(out.data, "2 rows"));
    assert_non_null(strstr(out.data, "--limit"));
    assert_null(strchr(out.data, '\033'));
    lh_buf_release(&out);
}

static void an_error_inside_a_reply_is_an_error(void **state)
{
    struct lh_buf out;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    lh_buf_init(&out, 10000);
    assert_int_equal(cli_show(op_find(lh_lit("query.sql")),
                              lh_lit("{\"columns\":[],\"rows\":[],\"error\":{\"code\":\"sql_failed"
                                     "\",\"detail\":\"It broke.\"}}"),
                              arena, &out, &err),
                     LH_SQL);
    assert_string_equal(err.message, "It broke.");
    lh_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_their_text),
        cmocka_unit_test(texts_are_unescaped),
        cmocka_unit_test(lists_and_objects_keep_their_order_and_their_json),
        cmocka_unit_test(what_is_cut_or_wrong_is_refused),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(flags_and_positionals_become_arguments),
        cmocka_unit_test(wrong_words_are_told),
        cmocka_unit_test(after_two_dashes_nothing_is_a_flag),
        cmocka_unit_test(rows_are_shown_with_titles_count_and_the_cut),
        cmocka_unit_test(an_error_inside_a_reply_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
