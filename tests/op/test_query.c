#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "support/op_house.h"

static struct op_house house;

static int make_house(void **state)
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

static void a_statement_answers_with_rows_counts_and_versions(void **state)
{
    (void)state;
    op_house_rows(&house, "people", "id,name\n1,Ann\n2,Bob\n", "create");
    json_t *reply = op_house_call(
        &house, "query.sql", "{\"sql\": \"SELECT name FROM people ORDER BY id\", \"limit\": 1}");
    assert_int_equal(reply_int(reply, "row_count"), 1);
    assert_true(json_is_true(json_object_get(reply, "truncated")));
    assert_int_equal(reply_int(json_object_get(reply, "versions"), "people"), 1);
    assert_true(lh_str_equal(house.content_type, lh_lit("application/json")));
}

static void parameters_and_the_past_reach_the_statement(void **state)
{
    (void)state;
    op_house_rows(&house, "past", "id\n1\n", "create");
    op_house_rows(&house, "past", "id\n2\n", "append");
    json_t *reply = op_house_call(&house, "query.sql",
                                  "{\"sql\": \"SELECT count(*) + $1 FROM past\", \"parameters\": "
                                  "[40], \"as_of\": {\"past\": 1}}");
    assert_int_equal(
        json_integer_value(json_array_get(json_array_get(json_object_get(reply, "rows"), 0), 0)),
        41);
}

static void a_format_that_does_not_exist_names_those_that_do(void **state)
{
    (void)state;
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT 1\", \"format\": \"xml\"}",
                     LH_INVALID);
    assert_string_equal(house.err.field, "format");
    assert_non_null(strstr(house.err.hint, "json"));
    house.accept = lh_lit("text/html, image/*;q=0.9");
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT 1\"}", LH_NOT_ACCEPTABLE);
    house.accept = lh_lit("text/html, application/json;q=0.1");
    op_house_call(&house, "query.sql", "{\"sql\": \"SELECT 1\"}");
    house.accept = lh_lit("*/*");
    op_house_call(&house, "query.sql", "{\"sql\": \"SELECT 1\"}");
    house.accept = lh_lit("application/json;q=0");
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT 1\"}", LH_NOT_ACCEPTABLE);
}

static void an_error_before_anything_has_left_is_an_error_not_a_broken_table(void **state)
{
    (void)state;
    op_house_refuses(&house, "query.sql",
                     "{\"sql\": \"SELECT CASE WHEN range = 2500 THEN CAST('x' || range AS INT) "
                     "ELSE range END FROM range(3000)\"}",
                     LH_SQL);
}

static void what_is_not_allowed_is_refused_with_a_reason(void **state)
{
    (void)state;
    op_house_refuses(&house, "query.sql", "{\"sql\": \"DROP TABLE people\"}", LH_REFUSED);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT * FROM '/etc/passwd'\"}", LH_REFUSED);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"\"}", LH_INVALID);
    op_house_refuses(&house, "query.sql", "{}", LH_INVALID);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT 1\", \"timeout_ms\": 0}", LH_INVALID);
    op_house_refuses(
        &house, "query.sql",
        "{\"sql\": \"SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * "
        "b.range = 7\", \"timeout_ms\": 100}",
        LH_TIMEOUT);
}

static void only_the_administrator_may_use_sql_here(void **state)
{
    const struct principal analyst = {
        .id = LH_LIT("a"), .role = LH_LIT("analyst"), .permissions = UINT64_MAX};
    (void)state;
    house.principal = &analyst;
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT 1\"}", LH_FORBIDDEN);
    op_house_refuses(&house, "query.explain", "{\"sql\": \"SELECT 1\"}", LH_FORBIDDEN);
    house.principal = access_local_admin();
}

static void a_plan_is_text_without_paths(void **state)
{
    (void)state;
    op_house_rows(&house, "planned", "id\n1\n", "create");
    for (int analyze = 0; analyze < 2; analyze++) {
        json_t *reply =
            op_house_call(&house, "query.explain",
                          analyze ? "{\"sql\": \"SELECT sum(id) FROM planned\", \"analyze\": true}"
                                  : "{\"sql\": \"SELECT sum(id) FROM planned\"}");
        const char *plan = json_string_value(json_object_get(reply, "plan"));
        assert_true(strlen(plan) > 20);
        assert_null(strstr(plan, ".parquet"));
        assert_null(strstr(plan, house.folder.path));
    }
    op_house_refuses(&house, "query.explain", "{\"sql\": \"SELECT nope\"}", LH_SQL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_answers_with_rows_counts_and_versions),
        cmocka_unit_test(parameters_and_the_past_reach_the_statement),
        cmocka_unit_test(a_format_that_does_not_exist_names_those_that_do),
        cmocka_unit_test(an_error_before_anything_has_left_is_an_error_not_a_broken_table),
        cmocka_unit_test(what_is_not_allowed_is_refused_with_a_reason),
        cmocka_unit_test(only_the_administrator_may_use_sql_here),
        cmocka_unit_test(a_plan_is_text_without_paths),
    };
    return cmocka_run_group_tests(tests, make_house, remove_house);
}
