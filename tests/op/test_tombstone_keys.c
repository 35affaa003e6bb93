/* Tombstoned keys against columns whose type changes, files whose rows several keys name, and
 * statements that are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/catalog.h"
#include "storage/storage.h"
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

static int64_t int_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static json_t *tombstone(const char *values)
{
    char args[1024];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"k\", \"row_key_values\": %s, \"reason\": "
             "\"asked for\", \"actor\": \"ann\"}",
             values);
    return op_house_call(&house, "datasets.tombstone", args);
}

static void then_sql(const char *sql, const char *rows)
{
    assert_string_equal(op_house_sql(&house, sql), rows);
}

/* A column k of that type; how many rows were suppressed. */
static int64_t rows_of_type(const char *mode, const char *type, const char *csv)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"dataset\": \"t\", \"mode\": \"%s\", \"options\": {\"types\": {\"k\": \"%s\"}}}",
             mode, type);
    if (op_house_try_file(&house, "ingest.file", args, "t.csv", csv, strlen(csv)))
        fail_msg("%s: %s", type, house.err.message);
    json_t *reply = json_loadb(house.body.data, house.body.len, 0, NULL);
    int64_t suppressed = int_of(reply, "suppressed_rows");
    json_decref(reply);
    return suppressed;
}

/* --- remembered statements */

static void a_remembered_statement_sees_every_append_under_a_tombstone(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "k\n1\n2\n3\n", "create");
    tombstone("[1]");
    then_sql("SELECT count(*) FROM t", "[[2]]");
    for (int i = 0; i < 6; i++) {
        char csv[32], rows[32];
        snprintf(csv, sizeof csv, "k\n%d\n", 10 + i);
        snprintf(rows, sizeof rows, "[[%d]]", 3 + i);
        op_house_rows(&house, "t", csv, "append");
        then_sql("SELECT count(*) FROM t", rows);
    }
}

/* --- types */

static void keys_that_two_values_of_a_file_are_equal_to_hide_its_row_once(void **state)
{
    (void)state;
    rows_of_type("create", "VARCHAR", "k,n\n5,a\n5.0,b\n7,c\n");
    tombstone("[\"5\", \"5.0\"]");
    then_sql("SELECT n FROM t", "[[\"c\"]]");
    assert_int_equal(rows_of_type("replace", "BIGINT", "k,n\n5,a\n6,b\n7,c\n"), 1);
    then_sql("SELECT n FROM t ORDER BY n", "[[\"b\"],[\"c\"]]");
    op_house_reopen(&house);
    then_sql("SELECT n FROM t ORDER BY n", "[[\"b\"],[\"c\"]]");
    assert_int_equal(rows_of_type("append", "BIGINT", "k,n\n5,d\n8,e\n"), 1);
    then_sql("SELECT k FROM t ORDER BY k", "[[6],[7],[8]]");
}

/* --- sizes */

#define LONG_KEYS 60
#define LONG_BYTES 60000

/* Each byte of such a key is six in JSON. */
static void long_keys_of_control_characters_neither_fail_nor_come_back(void **state)
{
    (void)state;
    size_t size = (size_t)LONG_KEYS * (LONG_BYTES + 8) + 8;
    char *csv = malloc(size), *args = malloc((size_t)LONG_BYTES * 6 * 20 + 4096), *at = csv;
    assert_non_null(csv);
    assert_non_null(args);
    at += sprintf(at, "k\nplain\n");
    for (int i = 0; i < LONG_KEYS; i++) {
        memset(at, 1, LONG_BYTES);
        at += LONG_BYTES;
        at += sprintf(at, "%02d\n", i);
    }
    op_house_rows(&house, "t", csv, "create");
    for (int i = 0; i < LONG_KEYS; i += 20) {
        char *end = args + sprintf(args, "{\"name\": \"t\", \"row_key_column\": \"k\", "
                                         "\"row_key_values\": [");
        for (int k = i; k < i + 20; k++) {
            end += sprintf(end, k == i ? "\"" : ", \"");
            for (int n = 0; n < LONG_BYTES; n++, end += 6)
                memcpy(end, "\\u0001", 6);
            end += sprintf(end, "%02d\"", k);
        }
        strcpy(end, "]}");
        op_house_call(&house, "datasets.tombstone", args);
        assert_int_equal(house.status, 200);
    }
    then_sql("SELECT k FROM t", "[[\"plain\"]]");
    json_t *reply = op_house_rows(&house, "t", csv, "replace");
    assert_int_equal(int_of(reply, "suppressed_rows"), LONG_KEYS);
    then_sql("SELECT k FROM t", "[[\"plain\"]]");
    free(args);
    free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_remembered_statement_sees_every_append_under_a_tombstone),
        cmocka_unit_test(keys_that_two_values_of_a_file_are_equal_to_hide_its_row_once),
        cmocka_unit_test(long_keys_of_control_characters_neither_fail_nor_come_back),
    };
    struct CMUnitTest each[sizeof tests / sizeof tests[0]];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        each[i] = tests[i];
        each[i].setup_func = make_house;
        each[i].teardown_func = remove_house;
    }
    return cmocka_run_group_tests(each, NULL, NULL);
}
