/* Erased keys of every type go on suppressing, by their hashes alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/op_house.h"

struct kind {
    const char *name;
    const char *rows;   /* the second one is erased */
    const char *value;  /* as it is asked for, in JSON */
    const char *again;  /* the same value, perhaps written in another way */
    const char *others; /* that stay to be seen */
};
static const struct kind kinds[] = {
    {"texts", "k\nalpha\nbeta\n", "\"beta\"", "k\nbeta\nbetas\n", "[[2]]"},
    {"numbers", "k\n1\n22\n", "22", "k\n22\n220\n", "[[2]]"},
    {"floats", "k\n1.5\n-0.0\n", "0.0", "k\n0.0\n2.5\n", "[[2]]"},
    {"moments", "k\n2020-01-01 00:00:00\n2021-02-03 04:05:06\n", "\"2021-02-03 04:05:06\"",
     "k\n2021-02-03 04:05:06\n2021-02-03 04:05:07\n", "[[2]]"},
    {"days", "k\n2020-01-01\n2021-02-03\n", "\"2021-02-03\"", "k\n2021-02-03\n2021-02-04\n",
     "[[2]]"},
    {"truths", "k\nfalse\ntrue\n", "true", "k\ntrue\nfalse\n", "[[2]]"},
};

static void every_type_of_key_goes_on_suppressing(void **state)
{
    struct op_house house;
    char args[512], sql[128];
    (void)state;
    op_house_make(&house);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct kind *kind = &kinds[i];
        op_house_rows(&house, kind->name, kind->rows, "create");
        snprintf(args, sizeof args,
                 "{\"dataset\": \"%s\", \"row_key_column\": \"k\", \"row_key_values\": [%s]}",
                 kind->name, kind->value);
        json_t *reply = op_house_call(&house, "catalog.erase", args);
        json_t *dataset = json_array_get(json_object_get(reply, "datasets"), 0);
        if (json_integer_value(json_object_get(dataset, "rows")) != 1 ||
            json_integer_value(json_object_get(dataset, "keys")) != 1)
            fail_msg("%s: %.*s", kind->name, LH_ARG(house.body));
    }
    op_house_reopen(&house);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        json_t *reply = op_house_rows(&house, kinds[i].name, kinds[i].again, "append");
        if (json_integer_value(json_object_get(reply, "suppressed_rows")) != 1)
            fail_msg("%s: %.*s", kinds[i].name, LH_ARG(house.body));
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", kinds[i].name);
        if (strcmp(op_house_sql(&house, sql), kinds[i].others) != 0)
            fail_msg("%s: %s", kinds[i].name, op_house_sql(&house, sql));
    }
    op_house_remove(&house);
}

static void a_column_that_is_no_key_is_refused(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "t", "id,n\n1,2\n", "create");
    op_house_refuses(&house, "catalog.erase",
                     "{\"dataset\": \"t\", \"row_key_column\": \"x\", \"row_key_values\": [1]}",
                     LH_NOT_FOUND);
    op_house_refuses(&house, "catalog.erase",
                     "{\"row_key_column\": \"x\", \"row_key_values\": [1]}", LH_NOT_FOUND);
    op_house_refuses(&house, "catalog.erase",
                     "{\"row_key_column\": \"id\", \"row_key_values\": {}}", LH_INVALID);
    op_house_refuses(&house, "erasures.get", "{\"id\": \"nothing\"}", LH_NOT_FOUND);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM t"), "[[1]]");
    op_house_remove(&house);
}

/* The file comes and the key with it, while other keys are tombstoned and stay so. */
static void other_tombstones_stay_what_they_are(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "t", "id\n1\n2\n3\n4\n", "create");
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [1, 2]}");
    op_house_call(&house, "catalog.erase",
                  "{\"dataset\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [2, 3]}");
    json_t *items =
        json_object_get(op_house_call(&house, "datasets.tombstones", "{\"name\": \"t\"}"), "items");
    assert_int_equal(json_array_size(items), 1);
    op_house_rows(&house, "t", "id\n1\n2\n3\n", "append");
    assert_string_equal(op_house_sql(&house, "SELECT list(id ORDER BY id) FROM t"), "[[[4]]]");
    op_house_call(&house, "datasets.lift", "{\"name\": \"t\", \"row_key_values\": [1, 2, 3]}");
    assert_int_equal(house.status, 207);
    assert_string_equal(op_house_sql(&house, "SELECT list(id ORDER BY id) FROM t"), "[[[1,4]]]");
    op_house_reopen(&house);
    assert_string_equal(op_house_sql(&house, "SELECT list(id ORDER BY id) FROM t"), "[[[1,4]]]");
    op_house_call(&house, "query.compact", "{\"dataset\": \"t\"}");
    op_house_rows(&house, "t", "id\n2\n5\n", "append");
    assert_string_equal(op_house_sql(&house, "SELECT list(id ORDER BY id) FROM t"), "[[[1,4,5]]]");
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_key_goes_on_suppressing),
        cmocka_unit_test(a_column_that_is_no_key_is_refused),
        cmocka_unit_test(other_tombstones_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
