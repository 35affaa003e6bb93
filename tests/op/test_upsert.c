/* Rows that come again by key take the place of those that are there, from that version on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "catalog/catalog.h"
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

static enum lh_code try_upsert(const char *dataset, const char *key, const char *csv)
{
    char args[256];
    snprintf(args, sizeof args,
             "{\"dataset\": \"%s\", \"mode\": \"upsert\", \"options\": {\"key\": \"%s\"}}", dataset,
             key);
    return op_house_try_file(&house, "ingest.file", args, "u.csv", csv, strlen(csv));
}

static json_t *upsert(const char *dataset, const char *key, const char *csv)
{
    if (try_upsert(dataset, key, csv))
        fail_msg("%s", house.err.message);
    json_t *reply = json_loads(house.body.data, 0, NULL);
    assert_non_null(reply);
    return reply;
}

static void then_counts(json_t *reply, int rows, int replaced, int suppressed)
{
    assert_int_equal(json_integer_value(json_object_get(reply, "rows")), rows);
    assert_int_equal(json_integer_value(json_object_get(reply, "replaced_rows")), replaced);
    assert_int_equal(json_integer_value(json_object_get(reply, "suppressed_rows")), suppressed);
    json_decref(reply);
}

static void then_sql(const char *sql, const char *rows)
{
    assert_string_equal(op_house_sql(&house, sql), rows);
}

static void rows_of_the_same_key_are_replaced_in_one_version(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,a\n2,b\n3,c\n", "create");
    op_house_rows(&house, "t", "id,v\n2,bb\n4,d\n", "append");
    then_counts(upsert("t", "id", "id,v\n2,B\n3,C\n5,E\n"), 3, 3, 0);
    then_sql("SELECT id, v FROM t ORDER BY id",
             "[[1,\"a\"],[2,\"B\"],[3,\"C\"],[4,\"d\"],[5,\"E\"]]");
    /* What was before stays what it was. */
    then_sql("SELECT id, v FROM t AT (VERSION => 2) ORDER BY id, v",
             "[[1,\"a\"],[2,\"b\"],[2,\"bb\"],[3,\"c\"],[4,\"d\"]]");
    op_house_reopen(&house);
    then_sql("SELECT count(*) FROM t", "[[5]]");
    then_sql("SELECT count(*) FROM __raw__t", "[[5]]"); /* replaced is not deleted */
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"t\"}");
    assert_int_equal(json_integer_value(json_object_get(dataset, "row_count")), 5);
    assert_int_equal(json_integer_value(json_object_get(dataset, "hidden_rows")), 3);
}

static void a_new_dataset_is_made_and_the_last_row_of_a_key_counts(void **state)
{
    (void)state;
    then_counts(upsert("t", "id", "id,v\n1,a\n,x\n1,b\n,y\n1,c\n2,d\n"), 6, 0, 0);
    then_sql("SELECT id, v FROM t ORDER BY id, v",
             "[[1,\"c\"],[2,\"d\"],[null,\"x\"],[null,\"y\"]]");
    then_counts(upsert("t", "ID", "id,v\n2,e\n2,f\n,z\n"), 3, 1, 0);
    then_sql("SELECT id, v FROM t ORDER BY id, v",
             "[[1,\"c\"],[2,\"f\"],[null,\"x\"],[null,\"y\"],[null,\"z\"]]");
}

static void tombstoned_keys_stay_hidden_and_come_back_in_their_last_form(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,a\n2,b\n", "create");
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [2]}");
    then_counts(upsert("t", "id", "id,v\n1,A\n2,B\n"), 2, 1, 1);
    then_sql("SELECT v FROM t", "[[\"A\"]]");
    then_sql("SELECT v FROM __raw__t ORDER BY v", "[[\"A\"],[\"B\"]]");
    op_house_reopen(&house);
    then_sql("SELECT v FROM t", "[[\"A\"]]");
    op_house_call(&house, "datasets.lift", "{\"name\": \"t\", \"row_key_values\": [2]}");
    then_sql("SELECT v FROM t ORDER BY v", "[[\"A\"],[\"B\"]]");
    then_sql("SELECT v FROM t AT (VERSION => 1) ORDER BY v", "[[\"a\"],[\"b\"]]");
}

static void compaction_tells_replaced_rows_from_deleted_ones(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,a\n2,b\n3,c\n4,d\n", "create");
    json_decref(upsert("t", "id", "id,v\n2,B\n3,C\n"));
    json_t *dry = op_house_call(&house, "query.compact", "{\"dataset\": \"t\", \"dry_run\": true}");
    assert_int_equal(reply_int(dry, "rows_dropped_by_upserts"), 2);
    assert_int_equal(reply_int(dry, "rows_dropped_by_tombstones"), 0);
    assert_int_equal(reply_int(dry, "tombstones_applied"), 0);
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [3, 4], "
                  "\"actor\": \"ann\", \"reason\": \"asked\"}");
    json_t *done = op_house_call(&house, "query.compact", "{\"dataset\": \"t\"}");
    assert_int_equal(reply_int(done, "rows_dropped_by_upserts"), 2); /* 2 and 3 of the first file */
    assert_int_equal(reply_int(done, "rows_dropped_by_tombstones"), 2); /* 4, and 3 of the second */
    assert_int_equal(reply_int(done, "tombstones_applied"), 2);
    assert_int_equal(reply_int(done, "final_rows"), 2);
    then_sql("SELECT id, v FROM t ORDER BY id", "[[1,\"a\"],[2,\"B\"]]");
}

static void an_upsert_can_be_undone(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,a\n2,b\n", "create");
    json_decref(upsert("t", "id", "id,v\n2,B\n3,C\n"));
    json_decref(upsert("t", "id", "id,v\n2,BB\n"));
    op_house_call(&house, "datasets.undo", "{\"name\": \"t\"}");
    then_sql("SELECT id, v FROM t ORDER BY id", "[[1,\"a\"],[2,\"B\"],[3,\"C\"]]");
    op_house_rows(&house, "t", "id,v\n9,z\n", "replace");
    op_house_call(&house, "datasets.undo", "{\"name\": \"t\"}");
    then_sql("SELECT id, v FROM t ORDER BY id", "[[1,\"a\"],[2,\"B\"],[3,\"C\"]]");
    op_house_reopen(&house);
    then_sql("SELECT id, v FROM t ORDER BY id", "[[1,\"a\"],[2,\"B\"],[3,\"C\"]]");
}

static void an_undo_does_not_bring_deleted_rows_back(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id\n1\n2\n", "create");
    op_house_rows(&house, "t", "id\n3\n", "replace");
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [3]}");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"t\"}", LH_CONFLICT);
    op_house_rows(&house, "t", "id\n3\n4\n", "replace");
    op_house_call(&house, "datasets.undo", "{\"name\": \"t\"}");
    then_sql("SELECT count(*) FROM t", "[[0]]");
    then_sql("SELECT id FROM t AT (VERSION => 1) ORDER BY id", "[[1],[2]]");
}

static void bad_keys_are_told(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,a\n", "create");
    assert_int_equal(try_upsert("t", "nope", "id,v\n1,b\n"), LH_INVALID);
    assert_int_equal(op_house_try_file(&house, "ingest.file",
                                       "{\"dataset\": \"t\", \"mode\": \"upsert\"}", "u.csv",
                                       "id,v\n1,b\n", 9),
                     LH_INVALID);
    assert_int_equal(op_house_try_file(&house, "ingest.file",
                                       "{\"dataset\": \"t\", \"mode\": \"append\", \"options\": "
                                       "{\"key\": \"id\"}}",
                                       "u.csv", "id,v\n1,b\n", 9),
                     LH_INVALID);
    assert_int_equal(op_house_try_file(&house, "ingest.file",
                                       "{\"dataset\": \"t\", \"mode\": \"upsert\", \"key\": "
                                       "\"id\", \"options\": {\"key\": \"v\"}}",
                                       "u.csv", "id,v\n1,b\n", 9),
                     LH_INVALID);
    then_sql("SELECT v FROM t", "[[\"a\"]]");
    assert_int_equal(op_house_try_file(&house, "ingest.file",
                                       "{\"dataset\": \"t\", \"mode\": \"upsert\", \"key\": "
                                       "\"id\"}",
                                       "u.csv", "id,v\n1,b\n", 9),
                     LH_OK);
    then_sql("SELECT v FROM t", "[[\"b\"]]");
}

static void many_upserts_stay_few_files_of_positions(void **state)
{
    char csv[64];
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,0\n2,0\n", "create");
    for (int i = 1; i <= 40; i++) {
        snprintf(csv, sizeof csv, "id,v\n1,%d\n", i);
        then_counts(upsert("t", "id", csv), 1, 1, 0);
    }
    then_sql("SELECT id, v FROM t ORDER BY id", "[[1,40],[2,0]]");
    op_house_reopen(&house);
    then_sql("SELECT id, v FROM t ORDER BY id", "[[1,40],[2,0]]");
    then_sql("SELECT v FROM t AT (VERSION => 11) WHERE id = 1", "[[10]]");
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(house.lake));
    const struct catalog_dataset *dataset = NULL;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &dataset, NULL), LH_OK);
    assert_true(dataset->tombstone_count < 20);
    catalog_snapshot_unref(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_the_same_key_are_replaced_in_one_version),
        cmocka_unit_test(a_new_dataset_is_made_and_the_last_row_of_a_key_counts),
        cmocka_unit_test(tombstoned_keys_stay_hidden_and_come_back_in_their_last_form),
        cmocka_unit_test(compaction_tells_replaced_rows_from_deleted_ones),
        cmocka_unit_test(an_upsert_can_be_undone),
        cmocka_unit_test(an_undo_does_not_bring_deleted_rows_back),
        cmocka_unit_test(bad_keys_are_told),
        cmocka_unit_test(many_upserts_stay_few_files_of_positions),
    };
    struct CMUnitTest each[sizeof tests / sizeof tests[0]];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        each[i] = tests[i];
        each[i].setup_func = make_house;
        each[i].teardown_func = remove_house;
    }
    return cmocka_run_group_tests(each, NULL, NULL);
}
