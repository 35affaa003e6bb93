/* Rows deleted by key: typed, at once, in every version, and again when they come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
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

static json_t *tombstone(const char *dataset, const char *column, const char *values)
{
    char args[1024];
    snprintf(args, sizeof args,
             "{\"name\": \"%s\", \"row_key_column\": \"%s\", \"row_key_values\": %s, \"reason\": "
             "\"asked for\", \"actor\": \"ann\"}",
             dataset, column, values);
    return op_house_call(&house, "datasets.tombstone", args);
}

static json_t *lift(const char *dataset, const char *values)
{
    char args[1024];
    snprintf(args, sizeof args, "{\"name\": \"%s\", \"row_key_values\": %s}", dataset, values);
    return op_house_call(&house, "datasets.lift", args);
}

static void then_sql(const char *sql, const char *rows)
{
    assert_string_equal(op_house_sql(&house, sql), rows);
}

static json_t *typed_rows(const char *dataset, const char *type, const char *csv)
{
    char args[512];
    snprintf(
        args, sizeof args,
        "{\"dataset\": \"%s\", \"mode\": \"create\", \"options\": {\"types\": {\"k\": \"%s\"}}}",
        dataset, type);
    if (op_house_try_file(&house, "ingest.file", args, "t.csv", csv, strlen(csv)))
        fail_msg("%s: %s", type, house.err.message);
    return NULL;
}

/* --- what is hidden */

static void deleted_rows_are_gone_from_the_next_statement_on(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n2,b\n3,c\n", "create");
    then_sql("SELECT count(*) FROM t", "[[3]]");
    json_t *reply = tombstone("t", "id", "[2]");
    assert_int_equal(house.status, 200);
    assert_int_equal(reply_int(reply, "rows_tombstoned"), 1);
    assert_int_equal(reply_int(reply, "version"), 2);
    then_sql("SELECT count(*) FROM t", "[[2]]");
    then_sql("SELECT name FROM t ORDER BY name", "[[\"a\"],[\"c\"]]");
    then_sql("SELECT name FROM t WHERE id = 2", "[]");
    op_house_reopen(&house);
    then_sql("SELECT name FROM t ORDER BY name", "[[\"a\"],[\"c\"]]");
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"t\"}");
    assert_int_equal(reply_int(dataset, "row_count"), 2);
    assert_int_equal(reply_int(dataset, "hidden_rows"), 1);
}

static void a_tombstone_leaves_rows_with_null_keys(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n,b\n3,c\n", "create");
    tombstone("t", "id", "[1]");
    then_sql("SELECT name FROM t ORDER BY name", "[[\"b\"],[\"c\"]]");
    json_t *reply = tombstone("t", "id", "[3, null]");
    assert_int_equal(house.status, 207);
    assert_int_equal(reply_int(reply, "failed"), 1);
    then_sql("SELECT name FROM t ORDER BY name", "[[\"b\"]]");
}

static void it_applies_to_every_version(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n2,b\n", "create");
    op_house_rows(&house, "t", "id,name\n2,again\n3,c\n", "append");
    op_house_rows(&house, "t", "id,name\n2,anew\n4,d\n", "replace");
    then_sql("SELECT count(*) FROM t AT (VERSION => 1)", "[[2]]");
    then_sql("SELECT count(*) FROM t AT (VERSION => 2)", "[[4]]");
    assert_int_equal(reply_int(tombstone("t", "id", "[2]"), "rows_tombstoned"), 1);
    then_sql("SELECT id FROM t", "[[4]]");
    then_sql("SELECT id FROM t AT (VERSION => 1)", "[[1]]");
    then_sql("SELECT id FROM t AT (VERSION => 2) ORDER BY id", "[[1],[3]]");
    then_sql("SELECT id FROM t AT (VERSION => 3)", "[[4]]");
    op_house_reopen(&house);
    then_sql("SELECT id FROM t AT (VERSION => 2) ORDER BY id", "[[1],[3]]");
    then_sql("SELECT id FROM __raw__t AT (VERSION => 2) ORDER BY id", "[[1],[2],[2],[3]]");
    lift("t", "[2]");
    then_sql("SELECT count(*) FROM t AT (VERSION => 2)", "[[4]]");
    then_sql("SELECT id FROM t ORDER BY id", "[[2],[4]]");
}

static void a_key_that_only_older_versions_have_is_hidden_there(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n2,b\n", "create");
    op_house_rows(&house, "t", "id,name\n3,c\n", "replace");
    op_house_rows(&house, "t", "id,name\n4,d\n", "append");
    json_t *reply = tombstone("t", "id", "[1, 9]");
    assert_int_equal(house.status, 207);
    assert_int_equal(reply_int(reply, "keys_tombstoned"), 1);
    assert_int_equal(reply_int(reply, "rows_tombstoned"), 0);
    then_sql("SELECT id FROM t AT (VERSION => 1)", "[[2]]");
    then_sql("SELECT id FROM t ORDER BY id", "[[3],[4]]");
}

static void rows_of_a_tombstoned_key_that_come_later_stay_hidden(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n2,b\n", "create");
    tombstone("t", "id", "[2]");
    json_t *reply = op_house_rows(&house, "t", "id,name\n2,x\n3,c\n2,y\n", "append");
    assert_int_equal(reply_int(reply, "rows"), 3);
    assert_int_equal(reply_int(reply, "suppressed_rows"), 2);
    then_sql("SELECT id FROM t ORDER BY id", "[[1],[3]]");
    op_house_reopen(&house);
    reply = op_house_rows(&house, "t", "name,id\nz,2\nw,5\n", "replace");
    assert_int_equal(reply_int(reply, "suppressed_rows"), 1);
    then_sql("SELECT id FROM t", "[[5]]");
    op_house_reopen(&house);
    then_sql("SELECT id FROM t", "[[5]]");
    assert_int_equal(reply_int(lift("t", "[2]"), "rows_restored"), 1);
    then_sql("SELECT id FROM t ORDER BY id", "[[2],[5]]");
    reply = op_house_rows(&house, "t", "name,id\nq,2\n", "append");
    assert_int_equal(reply_int(reply, "suppressed_rows"), 0);
    then_sql("SELECT count(*) FROM t", "[[3]]");
}

static void files_that_lack_the_key_column_are_left_alone(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n2,b\n", "create");
    tombstone("t", "id", "[2]");
    json_t *reply = op_house_rows(&house, "t", "name\nx\ny\n", "replace");
    assert_int_equal(reply_int(reply, "suppressed_rows"), 0);
    then_sql("SELECT count(*) FROM t", "[[2]]");
    then_sql("SELECT id FROM t AT (VERSION => 1)", "[[1]]");
}

static void columns_with_the_names_of_the_readers_own_keep_working(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "file_index,file_row_number,filename\n7,1,x\n8,2,y\n9,3,z\n",
                  "create");
    tombstone("t", "file_row_number", "[2]");
    then_sql("SELECT file_index, file_row_number, filename FROM t ORDER BY 1",
             "[[7,1,\"x\"],[9,3,\"z\"]]");
    then_sql("SELECT count(*) FROM t WHERE file_index = 8", "[[0]]");
}

static void a_hidden_row_is_never_calculated_with(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,12\n2,secret\n3,14\n", "create");
    tombstone("t", "id", "[2]");
    then_sql("SELECT sum(v::INT)::INT FROM t", "[[26]]");
    then_sql("SELECT id FROM t WHERE v::INT > 12", "[[3]]");
    then_sql("SELECT id FROM t WHERE v::INT BETWEEN 13 AND 20 AND id > 0", "[[3]]");
    then_sql("SELECT a.id FROM t a JOIN t b ON a.v::INT = b.v::INT + 2", "[[3]]");
    then_sql("SELECT max(v) FROM t", "[[\"14\"]]");
    then_sql("SELECT id FROM t ORDER BY v::INT DESC LIMIT 1", "[[3]]");
}

/* --- keys of every kind */

static void keys_are_values_of_the_columns_type(void **state)
{
    static const struct {
        const char *type, *csv, *values;
        int rows; /* left */
        int failed;
    } rows[] = {
        {"INTEGER", "k\n1\n2\n3\n", "[\"2\", \" 3 \"]", 1, 0},
        {"INTEGER", "k\n1\n2\n3\n", "[2.0, 1.5, 4000000000, \"2e0\", true]", 2, 4},
        {"BIGINT", "k\n9007199254740993\n9007199254740992\n", "[9007199254740993]", 1, 0},
        {"HUGEINT", "k\n170141183460469231731687303715884105727\n5\n",
         "[\"170141183460469231731687303715884105727\"]", 1, 0},
        {"DECIMAL(10,2)", "k\n1.10\n2.20\n3.30\n", "[1.1, \"2.200\", \"3.301\"]", 1, 1},
        {"DOUBLE", "k\n0.1\n1e300\nnan\n-0.0\ninf\n", "[0.1, 1e300, \"nan\", 0, \"inf\"]", 0, 0},
        {"FLOAT", "k\n0.1\n0.2\n", "[0.1]", 1, 0},
        {"VARCHAR", "k\n007\n7\n\" 7\"\nO'Neil\n", "[\"7\", \"O'Neil\", 7]", 2, 1},
        {"BOOLEAN", "k\ntrue\nfalse\ntrue\n", "[true, \"yes\"]", 1, 1},
        {"DATE", "k\n2026-01-31\n2026-02-01\n", "[\"2026-01-31\", \"2026-02-30\"]", 1, 1},
        {"TIMESTAMP", "k\n2026-01-31 09:00:00\n2026-01-31 09:00:00.000001\n",
         "[\"2026-01-31T09:00:00Z\"]", 1, 0},
        {"TIMESTAMP", "k\n2026-01-31 09:00:00\n2026-02-01 00:00:00\n",
         "[\"2026-01-31 09:00:00\", \"2026-02-01T00:00:00.0000005Z\"]", 1, 1},
        {"TIMESTAMPTZ", "k\n2026-01-31 09:00:00+00\n2026-01-31 10:00:00+00\n",
         "[\"2026-01-31T12:00:00+02:00\"]", 1, 0},
        {"TIME", "k\n09:00:00\n10:00:00\n", "[\"09:00:00\"]", 1, 0},
        {"UUID", "k\n11111111-1111-1111-1111-111111111111\n22222222-2222-2222-2222-222222222222\n",
         "[\"11111111-1111-1111-1111-111111111111\", \"nobody\"]", 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[16], sql[64], left[16];
        snprintf(name, sizeof name, "t%zu", i);
        typed_rows(name, rows[i].type, rows[i].csv);
        json_t *reply = tombstone(name, "k", rows[i].values);
        if (reply_int(reply, "failed") != rows[i].failed)
            fail_msg("%s %s: %s", rows[i].type, rows[i].values, house.body.data);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", name);
        snprintf(left, sizeof left, "[[%d]]", rows[i].rows);
        if (strcmp(op_house_sql(&house, sql), left) != 0)
            fail_msg("%s %s: %s rows are left, not %s", rows[i].type, rows[i].values,
                     op_house_sql(&house, sql), left);
    }
}

static void each_value_has_its_result_and_failures_make_no_tombstone(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id\n1\n2\n3\n", "create");
    json_t *reply = tombstone("t", "id", "[1, 9, null, \"x\", 1, \"1\"]");
    assert_int_equal(house.status, 207);
    assert_int_equal(reply_int(reply, "keys_tombstoned"), 1);
    assert_int_equal(json_array_size(json_object_get(reply, "failures")), 3);
    static const char *const expected[] = {"done",       "no_match", "null",
                                           "wrong_type", "already",  "already"};
    for (size_t i = 0; i < 6; i++) {
        const json_t *value = json_array_get(json_object_get(reply, "values"), i);
        assert_string_equal(json_string_value(json_object_get(value, "outcome")), expected[i]);
    }
    json_t *list = op_house_call(&house, "datasets.tombstones", "{\"name\": \"t\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    const json_t *item = json_array_get(json_object_get(list, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "row_key_value")), "1");
    assert_string_equal(json_string_value(json_object_get(item, "actor")), "ann");
    assert_string_equal(json_string_value(json_object_get(item, "reason")), "asked for");
    /* What failed was not tombstoned: it may come. */
    reply = op_house_rows(&house, "t", "id\n9\n1\n", "append");
    assert_int_equal(reply_int(reply, "suppressed_rows"), 1);
    then_sql("SELECT id FROM t ORDER BY id", "[[2],[3],[9]]");
    /* Done again, nothing is to be done. */
    reply = tombstone("t", "id", "[1]");
    assert_int_equal(house.status, 200);
    assert_int_equal(reply_int(reply, "rows_tombstoned"), 0);
    assert_int_equal(reply_int(reply, "version"), 3);
}

static void bad_requests_say_what_is_wrong(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name,l\n1,a,x\n", "create");
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"u\", \"row_key_column\": \"id\", \"row_key_values\": [1]}",
                     LH_NOT_FOUND);
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"nam\", \"row_key_values\": [1]}",
                     LH_INVALID);
    assert_non_null(strstr(house.err.hint, "name"));
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": []}",
                     LH_INVALID);
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": 1}",
                     LH_INVALID);
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [\"x\"]}",
                     LH_INVALID);
    assert_non_null(strstr(house.err.message, "BIGINT"));
    op_house_refuses(&house, "datasets.tombstone", "{\"name\": \"t\", \"row_key_values\": [1]}",
                     LH_INVALID);
    tombstone("t", "id", "[1]");
    house.if_match = lh_lit("\"1\"");
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [1]}",
                     LH_PRECONDITION);
}

static void a_list_column_cannot_be_a_key(void **state)
{
    static const char json[] = "[{\"id\": 1, \"l\": [1, 2]}]";
    (void)state;
    assert_int_equal(op_house_try_file(&house, "ingest.file", "{\"dataset\": \"t\"}", "t.json",
                                       json, strlen(json)),
                     LH_OK);
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"l\", \"row_key_values\": [\"x\"]}",
                     LH_INVALID);
}

static void a_hundred_thousand_keys_go_in_one_call(void **state)
{
    enum { COUNT = 100000 };
    char *csv = malloc((size_t)COUNT * 16 + 16), *args = malloc((size_t)COUNT * 10 + 256);
    size_t csv_len = 0, len = 0;
    (void)state;
    csv_len += (size_t)sprintf(csv, "id\n");
    for (int i = 0; i <= COUNT; i++)
        csv_len += (size_t)sprintf(csv + csv_len, "%d\n", i);
    assert_int_equal(
        op_house_try_file(&house, "ingest.file", "{\"dataset\": \"t\"}", "t.csv", csv, csv_len),
        LH_OK);
    len += (size_t)sprintf(args, "{\"name\": \"t\", \"row_key_column\": \"id\", "
                                 "\"row_key_values\": [1");
    for (int i = 2; i <= COUNT; i++)
        len += (size_t)sprintf(args + len, ",%d", i);
    sprintf(args + len, "]}");
    json_t *reply = op_house_call(&house, "datasets.tombstone", args);
    assert_int_equal(reply_int(reply, "rows_tombstoned"), COUNT);
    then_sql("SELECT id FROM t", "[[0]]");
    sprintf(args + len, ",0]}");
    op_house_refuses(&house, "datasets.tombstone", args, LH_TOO_LARGE);
    op_house_reopen(&house);
    then_sql("SELECT count(*) FROM t", "[[1]]");
    free(args);
    free(csv);
}

/* --- lifting */

static void lifting_the_last_leaves_nothing_behind(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,name\n1,a\n2,b\n", "create");
    tombstone("t", "id", "[1, 2]");
    then_sql("SELECT count(*) FROM t", "[[0]]");
    json_t *reply = lift("t", "[1, 7]");
    assert_int_equal(house.status, 207);
    assert_int_equal(reply_int(reply, "rows_restored"), 1);
    then_sql("SELECT id FROM t", "[[1]]");
    lift("t", "[2]");
    then_sql("SELECT count(*) FROM t", "[[2]]");
    reply = op_house_call(&house, "datasets.lift",
                          "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [1]}");
    assert_int_equal(house.status, 207);
    assert_int_equal(reply_int(reply, "version"), 4);
}

static void many_single_tombstones_are_written_together(void **state)
{
    char csv[4096] = "id\n", values[32];
    (void)state;
    for (int i = 0; i < 100; i++)
        sprintf(csv + strlen(csv), "%d\n", i);
    op_house_rows(&house, "t", csv, "create");
    for (int i = 0; i < 70; i++) {
        sprintf(values, "[%d]", i);
        tombstone("t", "id", values);
        if (i % 10 == 9) {
            lift("t", values);
            op_house_rows(&house, "t", i == 39 ? "id\n1\n200\n" : "id\n1\n", "append");
        }
    }
    then_sql("SELECT count(*), sum(id)::INT FROM t", "[[38,3008]]");
    op_house_reopen(&house);
    then_sql("SELECT count(*), sum(id)::INT FROM t", "[[38,3008]]");
    struct catalog *catalog = lake_catalog(house.lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_dataset *dataset = NULL;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &dataset, NULL), LH_OK);
    assert_true(dataset->tombstone_count < 32);
    catalog_snapshot_unref(snapshot);
    json_t *list = op_house_call(&house, "datasets.tombstones", "{\"name\": \"t\", \"limit\": 10}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 10);
    assert_string_equal(json_string_value(json_object_get(list, "next")), "\"id\"=17");
    list = op_house_call(&house, "datasets.tombstones",
                         "{\"name\": \"t\", \"limit\": 1000, \"after\": \"17\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 53);
}

static void a_repetition_under_its_key_does_nothing_twice(void **state)
{
    static const char args[] =
        "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [1]}";
    (void)state;
    op_house_rows(&house, "t", "id\n1\n2\n", "create");
    house.idempotency_key = lh_lit("once");
    json_t *first = op_house_call(&house, "datasets.tombstone", args);
    lift("t", "[1]");
    house.idempotency_key = lh_lit("once");
    json_t *second = op_house_call(&house, "datasets.tombstone", args);
    assert_int_equal(reply_int(first, "version"), reply_int(second, "version"));
    then_sql("SELECT count(*) FROM t", "[[2]]");
    house.idempotency_key = lh_lit("once");
    op_house_refuses(&house, "datasets.tombstone",
                     "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [2]}",
                     LH_KEY_REUSED);
}

static void only_administrators_know_raw_relations(void **state)
{
    struct principal reader;
    (void)state;
    op_house_rows(&house, "t", "id\n1\n2\n", "create");
    tombstone("t", "id", "[1]");
    then_sql("SELECT count(*) FROM __raw__t", "[[2]]");
    assert_int_equal(access_lower(access_local_admin(), lh_lit("reader"), &reader, NULL), LH_OK);
    const struct principal *admin = house.principal;
    house.principal = &reader;
    then_sql("SELECT count(*) FROM t", "[[1]]");
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT count(*) FROM __raw__t\"}",
                     LH_NOT_FOUND);
    char told[LH_ERROR_MESSAGE_BYTES];
    snprintf(told, sizeof told, "%s", house.err.message);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT count(*) FROM __raw__u\"}",
                     LH_NOT_FOUND);
    char *at = strstr(told, "__raw__t");
    assert_non_null(at);
    at[7] = 'u';
    assert_string_equal(told, house.err.message);
    op_house_refuses(&house, "datasets.tombstones", "{\"name\": \"t\"}", LH_FORBIDDEN);
    house.principal = admin;
}

static void the_same_file_comes_in_again_after_a_tombstone(void **state)
{
    static const char csv[] = "id\n1\n2\n";
    (void)state;
    op_house_rows(&house, "t", csv, "create");
    op_house_rows(&house, "t", "id\n5\n6\n", "append");
    json_t *reply = op_house_rows(&house, "t", "id\n5\n6\n", "append");
    assert_true(json_is_true(json_object_get(reply, "deduplicated")));
    tombstone("t", "id", "[5]");
    reply = op_house_rows(&house, "t", "id\n5\n6\n", "append");
    assert_false(json_is_true(json_object_get(reply, "deduplicated")));
    assert_int_equal(reply_int(reply, "suppressed_rows"), 1);
    then_sql("SELECT id FROM t ORDER BY id", "[[1],[2],[6],[6]]");
    reply = op_house_rows(&house, "t", "id\n5\n6\n", "append"); /* as it is there now */
    assert_true(json_is_true(json_object_get(reply, "deduplicated")));
}

/* --- with others at work */

#define KEYS 60
#define WRITERS 2

static void *append_rows(void *context)
{
    struct op_house *own = context;
    for (int i = 0; i < 12; i++) {
        char csv[64], args[128];
        snprintf(csv, sizeof csv, "id,k\n%d,k%d\n%d,k%d\n", i, i, 1000 + i, 1000 + i);
        snprintf(args, sizeof args,
                 "{\"dataset\": \"t\", \"mode\": \"append\", \"options\": "
                 "{\"allow_duplicate\": true}}");
        if (op_house_try_file(own, "ingest.file", args, "a.csv", csv, strlen(csv)))
            return own;
    }
    return NULL;
}

/* By one column and by another in turn. */
static void *delete_rows(void *context)
{
    struct op_house *own = context;
    for (int i = 0; i < KEYS; i++) {
        char args[128];
        snprintf(args, sizeof args,
                 i % 2 ? "{\"name\": \"t\", \"row_key_column\": \"k\", \"row_key_values\": "
                         "[\"k%d\"], \"another_key_column\": true}"
                       : "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": "
                         "[%d]}",
                 i);
        if (op_house_try(own, "datasets.tombstone", args))
            return own;
    }
    return NULL;
}

static _Atomic bool is_over;

/* What was gone once is never seen again, whatever else comes. */
static void *read_rows(void *context)
{
    struct op_house *own = context;
    long long gone = 0;
    while (!is_over) {
        long long low = 0;
        if (op_house_try(own, "query.sql",
                         "{\"sql\": \"SELECT coalesce(min(id), 999) FROM t WHERE id < 1000\"}"))
            return own;
        const char *rows = strstr(own->body.data, "\"rows\":[[");
        if (!rows || sscanf(rows, "\"rows\":[[%lld]]", &low) != 1 || low < gone)
            return own;
        gone = low;
    }
    return NULL;
}

static void deletes_appends_and_reads_at_once_never_show_what_was_gone(void **state)
{
    struct op_house own[WRITERS + 3];
    pthread_t threads[WRITERS + 3];
    char csv[1024] = "id,k\n";
    (void)state;
    for (int i = 0; i < KEYS; i++)
        sprintf(csv + strlen(csv), "%d,k%d\n", i, i);
    op_house_rows(&house, "t", csv, "create");
    is_over = false;
    for (int i = 0; i < WRITERS + 3; i++) {
        own[i] = house;
        own[i].arena = lh_arena_new(0);
    }
    assert_int_equal(pthread_create(&threads[0], NULL, delete_rows, &own[0]), 0);
    for (int i = 1; i <= WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_rows, &own[i]), 0);
    for (int i = WRITERS + 1; i < WRITERS + 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_rows, &own[i]), 0);
    for (int i = 0; i < WRITERS + 3; i++) {
        void *failed = NULL;
        if (i == WRITERS + 1)
            is_over = true;
        pthread_join(threads[i], &failed);
        if (failed)
            fail_msg("thread %d: %s (%s)", i, own[i].err.message, own[i].body.data);
    }
    for (int i = 0; i < WRITERS + 3; i++)
        lh_arena_free(own[i].arena);
    then_sql("SELECT count(*), min(id) FROM t", "[[24,1000]]");
    op_house_reopen(&house);
    then_sql("SELECT count(*), min(id) FROM t", "[[24,1000]]");
    then_sql("SELECT count(*) FROM __raw__t", "[[108]]");
}

static void damaged_tombstones_show_nothing_rather_than_too_much(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id\n1\n2\n", "create");
    tombstone("t", "id", "[1]");
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(house.lake));
    const struct catalog_dataset *dataset = NULL;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &dataset, NULL), LH_OK);
    struct lh_str path;
    assert_int_equal(storage_object_path(lake_storage(house.lake), STORAGE_PRIMARY,
                                         dataset->tombstones[0]->key, house.arena, &path, NULL),
                     LH_OK);
    catalog_snapshot_unref(snapshot);
    FILE *file = fopen(path.data, "r+b");
    assert_non_null(file);
    fseek(file, -1, SEEK_END);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
    lake_close(house.lake);
    assert_int_equal(lake_open(&house.settings, &house.lake, NULL), LH_OK);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT * FROM t\"}", LH_DAMAGED);
    op_house_refuses(&house, "datasets.get", "{\"name\": \"t\"}", LH_DAMAGED);
    op_house_call(&house, "system.health", NULL);
    assert_non_null(strstr(house.body.data, "\"degraded\""));
    assert_non_null(strstr(house.body.data, "not what was written"));
    file = fopen(path.data, "r+b");
    assert_non_null(file);
    fseek(file, -1, SEEK_END);
    fputc(byte, file);
    fclose(file);
    then_sql("SELECT id FROM t", "[[2]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleted_rows_are_gone_from_the_next_statement_on),
        cmocka_unit_test(a_tombstone_leaves_rows_with_null_keys),
        cmocka_unit_test(it_applies_to_every_version),
        cmocka_unit_test(a_key_that_only_older_versions_have_is_hidden_there),
        cmocka_unit_test(rows_of_a_tombstoned_key_that_come_later_stay_hidden),
        cmocka_unit_test(files_that_lack_the_key_column_are_left_alone),
        cmocka_unit_test(columns_with_the_names_of_the_readers_own_keep_working),
        cmocka_unit_test(a_hidden_row_is_never_calculated_with),
        cmocka_unit_test(keys_are_values_of_the_columns_type),
        cmocka_unit_test(each_value_has_its_result_and_failures_make_no_tombstone),
        cmocka_unit_test(bad_requests_say_what_is_wrong),
        cmocka_unit_test(a_list_column_cannot_be_a_key),
        cmocka_unit_test(a_hundred_thousand_keys_go_in_one_call),
        cmocka_unit_test(lifting_the_last_leaves_nothing_behind),
        cmocka_unit_test(many_single_tombstones_are_written_together),
        cmocka_unit_test(a_repetition_under_its_key_does_nothing_twice),
        cmocka_unit_test(only_administrators_know_raw_relations),
        cmocka_unit_test(the_same_file_comes_in_again_after_a_tombstone),
        cmocka_unit_test(deletes_appends_and_reads_at_once_never_show_what_was_gone),
        cmocka_unit_test(damaged_tombstones_show_nothing_rather_than_too_much),
    };
    struct CMUnitTest each[sizeof tests / sizeof tests[0]];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        each[i] = tests[i];
        each[i].setup_func = make_house;
        each[i].teardown_func = remove_house;
    }
    return cmocka_run_group_tests(each, NULL, NULL);
}
