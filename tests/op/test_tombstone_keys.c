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

static json_t *tombstone(const char *values)
{
    char args[1024];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"k\", \"row_key_values\": %s, \"reason\": "
             "\"asked for\", \"actor\": \"ann\"}",
             values);
    return op_house_call(&house, "datasets.tombstone", args);
}

static json_t *lift(const char *values)
{
    char args[1024];
    snprintf(args, sizeof args, "{\"name\": \"t\", \"row_key_values\": %s}", values);
    return op_house_call(&house, "datasets.lift", args);
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
    int64_t suppressed = reply_int(reply, "suppressed_rows");
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

static void a_key_hides_no_value_that_is_only_near_it_in_another_type(void **state)
{
    static const struct {
        const char *type, *csv, *keys;
        const char *later, *later_csv;
        int64_t suppressed;
    } rows[] = {
        {"DOUBLE", "k\n5.5\n6.0\n8.25\n", "[5.5, 6.0]", "BIGINT", "k\n5\n6\n7\n", 1},
        {"DOUBLE", "k\n5.5\n8.25\n", "[5.5]", "BIGINT", "k\n5\n6\n7\n", 0},
        {"BIGINT", "k\n6\n7\n", "[6]", "DOUBLE", "k\n5.5\n6.0\n6.4\n", 1},
        {"BIGINT", "k\n6\n7\n", "[6]", "VARCHAR", "k\n5.5\n6\n06\nx\n", 2},
        {"VARCHAR", "k\n6\n5.5\nx\n", "[\"6\", \"5.5\", \"x\"]", "BIGINT", "k\n5\n6\n7\n", 1},
        {"TIMESTAMP", "k\n2024-01-01 10:00:00\n2024-01-01 11:00:00\n2025-01-01 00:00:00\n",
         "[\"2024-01-01 10:00:00\", \"2024-01-01 11:00:00\"]", "DATE",
         "k\n2024-01-01\n2024-01-02\n", 0},
        {"TIMESTAMP", "k\n2024-01-01 00:00:00\n2024-01-01 11:00:00\n", "[\"2024-01-01 00:00:00\"]",
         "DATE", "k\n2024-01-01\n2024-01-02\n", 1},
        {"DATE", "k\n2024-01-01\n2024-01-02\n", "[\"2024-01-01\"]", "TIMESTAMP",
         "k\n2024-01-01 00:00:00\n2024-01-01 10:00:00\n", 1},
        {"TIMESTAMP", "k\n2024-01-01 10:00:00\n2024-01-02 00:00:00\n", "[\"2024-01-01 10:00:00\"]",
         "VARCHAR", "k\n2024-01-01 10:00:00\n2024-01-01T10:00:00\n2024-01-01\n2024-01-01 10:00\n",
         3},
        {"FLOAT", "k\n0.1\n0.5\n", "[0.1]", "DOUBLE", "k\n0.1\n0.10001\n", 1},
        {"DOUBLE", "k\n0.1\n0.5\n", "[0.1]", "FLOAT", "k\n0.1\n0.10001\n", 1},
        {"DECIMAL(10,2)", "k\n0.10\n0.50\n", "[\"0.1\"]", "DOUBLE", "k\n0.1\n0.101\n", 1},
        {"BIGINT", "k\n9007199254740992\n1\n", "[9007199254740992]", "DOUBLE",
         "k\n9007199254740992\n1.5\n", 1},
        {"DOUBLE", "k\n9007199254740992\n1.5\n", "[9007199254740992]", "BIGINT",
         "k\n9007199254740992\n9007199254740993\n", 1},
        {"BOOLEAN", "k\ntrue\nfalse\n", "[true]", "DATE", "k\n2024-01-01\n", 0},
        {"UUID", "k\n6d3f0f8e-8f0b-4b1e-9f5e-3a1f0a0b0c0d\n",
         "[\"6d3f0f8e-8f0b-4b1e-9f5e-3a1f0a0b0c0d\"]", "VARCHAR",
         "k\n6d3f0f8e-8f0b-4b1e-9f5e-3a1f0a0b0c0d\nx\n", 1},
        {"TIME", "k\n10:00:00\n11:00:00\n", "[\"10:00:00\"]", "TIMESTAMP",
         "k\n2024-01-01 10:00:00\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rows_of_type("create", rows[i].type, rows[i].csv);
        tombstone(rows[i].keys);
        int64_t count = rows_of_type("replace", rows[i].later, rows[i].later_csv);
        if (count != rows[i].suppressed)
            fail_msg("%s, then %s (row %zu): %lld rows are hidden", rows[i].type, rows[i].later, i,
                     (long long)count);
        op_house_reopen(&house);
        op_house_call(&house, "datasets.delete", "{\"name\": \"t\"}");
        op_house_reopen(&house);
    }
}

static void a_key_is_lifted_in_the_type_in_which_it_was_made(void **state)
{
    (void)state;
    rows_of_type("create", "BIGINT", "k\n5\n6\n7\n");
    tombstone("[5, 6]");
    assert_int_equal(rows_of_type("replace", "DOUBLE", "k\n5.0\n6.0\n7.5\n8.5\n"), 2);
    then_sql("SELECT k FROM t ORDER BY k", "[[7.5],[8.5]]");
    tombstone("[7.5]");
    then_sql("SELECT k FROM t ORDER BY k", "[[8.5]]");
    assert_int_equal(reply_int(lift("[5]"), "rows_restored"), 1);
    assert_int_equal(house.status, 200);
    then_sql("SELECT k FROM t ORDER BY k", "[[5.0],[8.5]]");
    assert_int_equal(reply_int(lift("[7.5, 6]"), "rows_restored"), 2);
    assert_int_equal(house.status, 200);
    then_sql("SELECT k FROM t ORDER BY k", "[[5.0],[6.0],[7.5],[8.5]]");
    op_house_reopen(&house);
    then_sql("SELECT k FROM t ORDER BY k", "[[5.0],[6.0],[7.5],[8.5]]");
}

static void a_key_that_is_listed_in_two_types_is_lifted_in_both(void **state)
{
    (void)state;
    rows_of_type("create", "BIGINT", "k\n5\n6\n");
    tombstone("[5]");
    assert_int_equal(rows_of_type("replace", "DOUBLE", "k\n5.0\n6.0\n8.5\n"), 1);
    tombstone("[5.0, 8.5]");
    lift("[5]");
    assert_int_equal(house.status, 200);
    then_sql("SELECT k FROM t ORDER BY k", "[[5.0],[6.0]]");
    op_house_reopen(&house);
    then_sql("SELECT k FROM t ORDER BY k", "[[5.0],[6.0]]");
    assert_int_equal(rows_of_type("append", "DOUBLE", "k\n5.0\n8.5\n"), 1);
}

/* --- sizes */

#define LONG_KEYS 60
#define LONG_BYTES 60000

/* Each byte of such a key is six in JSON. */
static void who_makes_a_dataset_anew_that_was_dropped_with_tombstones_is_told(void **state)
{
    size_t at;
    (void)state;
    op_house_rows(&house, "t", "k,v\n1,a\n2,b\n", "create");
    tombstone("[2]");
    op_house_call(&house, "datasets.delete", "{\"name\": \"t\"}");
    op_house_reopen(&house);
    op_house_rows(&house, "t", "k,v\n1,a\n2,b\n3,c\n", "create");
    assert_true(lh_str_find(house.body, lh_lit("'t' that was dropped had tombstones"), &at));
    then_sql("SELECT count(*) FROM t", "[[3]]");
    op_house_rows(&house, "other", "k,v\n1,a\n", "create");
    assert_false(lh_str_find(house.body, lh_lit("had tombstones"), &at));
}

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
    assert_int_equal(reply_int(reply, "suppressed_rows"), LONG_KEYS);
    then_sql("SELECT k FROM t", "[[\"plain\"]]");
    free(args);
    free(csv);
}

/* Few rows are looked up among the keys, many are joined with them: both find the same. */
static void few_rows_and_many_find_the_same_keys(void **state)
{
    static const struct {
        const char *type, *keys, *as_it_comes, *other;
    } rows[] = {
        {"INTEGER", "[7, 8, 9]", "7", "70"},
        {"HUGEINT", "[\"170141183460469231731687303715884105727\", 8, 9]",
         "170141183460469231731687303715884105727", "5"},
        {"DOUBLE", "[0, 1.5, \"NaN\"]", "-0.0", "1.25"},
        {"FLOAT", "[0.1, 1.5, 2]", "0.1", "0.3"},
        {"DECIMAL(9,2)", "[\"1.50\", 2, 3]", "1.5", "1.51"},
        {"BOOLEAN", "[true]", "true", "false"},
        {"DATE", "[\"2024-02-29\", \"2024-03-01\", \"2024-03-02\"]", "2024-02-29", "2024-02-28"},
        {"TIMESTAMP", "[\"2024-02-29 10:00:00\", \"2024-03-01\", \"2024-03-02\"]",
         "2024-02-29T10:00:00.000", "2024-02-29 10:00:00.001"},
        {"TIMESTAMP WITH TIME ZONE", "[\"2024-02-29 10:00:00+00\", \"2024-03-01 00:00:00+00\"]",
         "2024-02-29 11:00:00+01", "2024-02-29 10:00:00+01"},
        {"UUID", "[\"6f9619ff-8b86-d011-b42d-00c04fc964ff\"]",
         "6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964fe"},
        {"VARCHAR", "[\"\u00e4\", \"B\", \"c\"]", "\xc3\xa4", "b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char csv[512];
        size_t len = 0;
        if (i)
            op_house_call(&house, "datasets.delete", "{\"name\": \"t\"}");
        snprintf(csv, sizeof csv, "k,n\n%s,1\n%s,2\n", rows[i].as_it_comes, rows[i].other);
        rows_of_type("create", rows[i].type, csv);
        for (int k = 0; k < 3; k++) { /* every key names a row */
            json_t *keys = json_loads(rows[i].keys, 0, NULL);
            const json_t *key = json_array_get(keys, (size_t)k);
            char *text = key ? json_dumps(key, JSON_ENCODE_ANY) : NULL;
            if (key && k) {
                snprintf(csv, sizeof csv, "k,n\n%.*s,3\n",
                         (int)strcspn(text + (*text == '"'), "\""), text + (*text == '"'));
                rows_of_type("append", rows[i].type, csv);
            }
            free(text);
            json_decref(keys);
        }
        tombstone(rows[i].keys);
        snprintf(csv, sizeof csv, "k,n\n%s,10\n", rows[i].as_it_comes);
        if (rows_of_type("append", rows[i].type, csv) != 1)
            fail_msg("%s: a row by itself is not found", rows[i].type);
        snprintf(csv, sizeof csv, "k,n\n%s,11\n", rows[i].other);
        if (rows_of_type("append", rows[i].type, csv) != 0)
            fail_msg("%s: another row is found", rows[i].type);
        len = (size_t)snprintf(csv, sizeof csv, "k,n\n");
        for (int n = 0; n < 4; n++)
            len += (size_t)snprintf(csv + len, sizeof csv - len, "%s,%d\n", rows[i].other, 20 + n);
        snprintf(csv + len, sizeof csv - len, "%s,30\n", rows[i].as_it_comes);
        if (rows_of_type("append", rows[i].type, csv) != 1)
            fail_msg("%s: a row among many is not found", rows[i].type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_remembered_statement_sees_every_append_under_a_tombstone),
        cmocka_unit_test(keys_that_two_values_of_a_file_are_equal_to_hide_its_row_once),
        cmocka_unit_test(a_key_hides_no_value_that_is_only_near_it_in_another_type),
        cmocka_unit_test(a_key_is_lifted_in_the_type_in_which_it_was_made),
        cmocka_unit_test(a_key_that_is_listed_in_two_types_is_lifted_in_both),
        cmocka_unit_test(who_makes_a_dataset_anew_that_was_dropped_with_tombstones_is_told),
        cmocka_unit_test(few_rows_and_many_find_the_same_keys),
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
