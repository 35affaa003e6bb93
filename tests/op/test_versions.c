#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/pool.h"
#include "catalog/undo.h"
#include "lake/lake.h"
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

static bool says(const char *words)
{
    return strstr(house.err.message, words) || strstr(house.err.hint, words);
}

/* --- undo */

static void an_undo_is_a_version_of_its_own_and_loses_nothing(void **state)
{
    (void)state;
    op_house_rows(&house, "t", "id,v\n1,a\n", "create");
    op_house_rows(&house, "t", "id,v\n2,b\n", "append");
    json_t *told = op_house_call(&house, "datasets.undo", "{\"name\": \"t\", \"dry_run\": true}");
    assert_int_equal(reply_int(told, "undone_version"), 2);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM t ORDER BY id"), "[[1],[2]]");
    json_t *done =
        op_house_call(&house, "datasets.undo", "{\"name\": \"T\", \"reason\": \"wrong file\"}");
    assert_int_equal(reply_int(done, "version"), 3);
    assert_int_equal(reply_int(done, "restored_version"), 1);
    assert_int_equal(reply_int(done, "row_count"), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(done, "actions"), 0)),
                        "append");
    assert_true(lh_str_equal(house.etag, lh_lit("\"3\"")));
    assert_string_equal(op_house_sql(&house, "SELECT id FROM t"), "[[1]]");
    assert_string_equal(op_house_sql(&house, "SELECT id FROM t AT (VERSION => 2) ORDER BY id"),
                        "[[1],[2]]");
    json_t *versions = op_house_call(&house, "datasets.versions", "{\"name\": \"t\"}");
    json_t *newest = json_array_get(json_object_get(versions, "items"), 0);
    json_t *commit = json_array_get(json_object_get(newest, "commits"), 0);
    assert_string_equal(reply_text(commit, "action"), "undo");
    assert_string_equal(reply_text(commit, "reason"), "wrong file");
    assert_string_equal(reply_text(commit, "actor"), "local-admin");
    op_house_reopen(&house);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM t"), "[[1]]");
    /* The file that was undone is not there any more: it comes in again. */
    json_t *again = op_house_rows(&house, "t", "id,v\n2,b\n", "append");
    assert_false(json_is_true(json_object_get(again, "deduplicated")));
    assert_string_equal(op_house_sql(&house, "SELECT id FROM t ORDER BY id"), "[[1],[2]]");
}

#ifdef LH_FAULTS

struct late_undo {
    struct lh_arena *arena;
    struct catalog_undo undone;
    enum lh_code code;
    struct lh_error err;
};

static void *undo_late(void *context)
{
    struct late_undo *late = context;
    const struct catalog_undo_options options = {.dataset = lh_lit("raced"),
                                                 .actor = lh_lit("bob")};
    late->code =
        catalog_undo(lake_catalog(house.lake), &options, late->arena, &late->undone, &late->err);
    return NULL;
}

static void an_undo_takes_back_what_was_last_when_it_was_asked_for_or_nothing(void **state)
{
    struct late_undo late = {.arena = lh_arena_new(0), .err = LH_ERROR_NONE};
    pthread_t thread;
    (void)state;
    op_house_rows(&house, "raced", "id\n1\n", "create");
    op_house_rows(&house, "raced", "id\n2\n", "append");
    assert_true(lh_fault_plan("*=1:wait")); /* it reads what the last commit was */
    assert_int_equal(lh_thread_start("late", undo_late, &late, &thread, &late.err), LH_OK);
    lh_fault_await();
    op_house_rows(&house, "raced", "id\n3\n", "append");
    assert_true(lh_fault_plan(NULL));
    pthread_join(thread, NULL);
    assert_int_equal(late.code, LH_RACE);
    assert_non_null(strstr(late.err.message, "nothing was undone"));
    assert_string_equal(op_house_sql(&house, "SELECT id FROM raced ORDER BY id"), "[[1],[2],[3]]");
    lh_arena_free(late.arena);
}

#endif

static void undoing_twice_is_refused_and_says_why(void **state)
{
    (void)state;
    op_house_rows(&house, "twice", "id\n1\n", "create");
    op_house_rows(&house, "twice", "id\n2\n", "append");
    op_house_call(&house, "datasets.undo", "{\"name\": \"twice\"}");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"twice\"}", LH_CONFLICT);
    assert_true(says("itself an undo") && says("'twice'") && says("VERSION => 2"));
    op_house_rows(&house, "first", "id\n1\n", "create");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"first\"}", LH_CONFLICT);
    assert_true(says("made the dataset"));
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"fist\"}", LH_NOT_FOUND);
    assert_true(says("first"));
}

static void an_undone_replacement_brings_rows_columns_and_words_back(void **state)
{
    (void)state;
    op_house_rows(&house, "whole", "id,v\n1,a\n2,b\n", "create");
    op_house_call(&house, "datasets.update",
                  "{\"name\": \"whole\", \"description\": \"Old.\", \"tags\": [\"x\"]}");
    op_house_rows(&house, "whole", "other\n7\n", "replace");
    op_house_call(&house, "datasets.undo", "{\"name\": \"whole\"}");
    assert_string_equal(op_house_sql(&house, "SELECT * FROM whole ORDER BY id"),
                        "[[1,\"a\"],[2,\"b\"]]");
    op_house_reopen(&house);
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"whole\"}");
    assert_string_equal(reply_text(dataset, "description"), "Old.");
    assert_int_equal(json_array_size(json_object_get(dataset, "columns")), 2);
    op_house_call(&house, "datasets.update", "{\"name\": \"whole\", \"description\": \"New.\"}");
    op_house_call(&house, "datasets.undo", "{\"name\": \"whole\"}");
    dataset = op_house_call(&house, "datasets.get", "{\"name\": \"whole\"}");
    assert_string_equal(reply_text(dataset, "description"), "Old.");
}

static void a_deletion_is_undone_while_the_files_are_kept(void **state)
{
    char args[128];
    (void)state;
    op_house_rows(&house, "gone", "id\n1\n2\n", "create");
    op_house_call(&house, "datasets.delete", "{\"name\": \"gone\"}");
    json_t *done = op_house_call(&house, "datasets.undo", "{\"name\": \"GONE\"}");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"gone\"}", LH_CONFLICT);
    assert_true(says("itself an undo") && says("drop it again") && !says("VERSION"));
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM gone"), "[[2]]");
    op_house_call(&house, "datasets.delete", "{\"name\": \"gone\"}");
    op_house_rows(&house, "gone", "other\n1\n", "create");
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", reply_text(done, "dataset_id"));
    op_house_refuses(&house, "datasets.undo", args, LH_EXISTS);
    op_house_call(&house, "datasets.rename", "{\"name\": \"gone\", \"to\": \"newer\"}");
    op_house_call(&house, "datasets.undo", args);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM gone ORDER BY id"), "[[1],[2]]");
    op_house_call(&house, "datasets.delete", "{\"name\": \"gone\"}");
    op_house_call(&house, "catalog.expire", "{\"dataset\": \"gone\", \"older_than_s\": 0}");
    op_house_refuses(&house, "datasets.undo", args, LH_CONFLICT);
    assert_true(says("expired"));
}

static void a_rename_is_undone_unless_the_name_is_taken(void **state)
{
    (void)state;
    op_house_rows(&house, "before", "id\n1\n", "create");
    op_house_call(&house, "datasets.rename", "{\"name\": \"before\", \"to\": \"after\"}");
    op_house_rows(&house, "before", "id\n9\n", "create");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"after\"}", LH_EXISTS);
    op_house_call(&house, "datasets.delete", "{\"name\": \"before\"}");
    op_house_call(&house, "datasets.undo", "{\"name\": \"after\"}");
    assert_string_equal(op_house_sql(&house, "SELECT id FROM before"), "[[1]]");
}

static void an_expiry_is_passed_over_and_takes_what_an_undo_needs(void **state)
{
    (void)state;
    op_house_rows(&house, "kept", "id\n1\n", "create");
    op_house_rows(&house, "kept", "id\n2\n", "replace");
    op_house_rows(&house, "kept", "id\n3\n", "append");
    op_house_call(&house, "catalog.expire", "{\"dataset\": \"kept\", \"older_than_s\": 0}");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"kept\"}", LH_CONFLICT);
    assert_true(says("expired"));
    op_house_rows(&house, "kept", "id\n4\n", "append");
    op_house_call(&house, "datasets.undo", "{\"name\": \"kept\"}");
    assert_string_equal(op_house_sql(&house, "SELECT id FROM kept ORDER BY id"), "[[2],[3]]");
}

static void an_undo_heeds_if_match_and_a_repeated_key(void **state)
{
    (void)state;
    op_house_rows(&house, "heeds", "id\n1\n", "create");
    op_house_rows(&house, "heeds", "id\n2\n", "append");
    house.if_match = lh_lit("\"1\"");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"heeds\"}", LH_PRECONDITION);
    house.if_match = lh_lit("\"2\"");
    house.idempotency_key = lh_lit("undo-1");
    op_house_call(&house, "datasets.undo", "{\"name\": \"heeds\"}");
    house.if_match = lh_lit("\"2\"");
    house.idempotency_key = lh_lit("undo-1");
    json_t *again = op_house_call(&house, "datasets.undo", "{\"name\": \"heeds\"}");
    assert_int_equal(reply_int(again, "version"), 3);
    assert_int_equal(reply_int(again, "undone_version"), 2);
    assert_int_equal(reply_int(again, "row_count"), 1);
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"heeds\"}");
    assert_int_equal(reply_int(dataset, "version"), 3);
}

static void a_damaged_file_does_not_come_back(void **state)
{
    char path[4200];
    (void)state;
    op_house_rows(&house, "hurt", "id\n1\n2\n3\n", "create");
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"hurt\"}");
    const char *key = reply_text(json_array_get(json_object_get(dataset, "objects"), 0), "key");
    snprintf(path, sizeof path, "%s/lake/%s", house.folder.path, key);
    op_house_rows(&house, "hurt", "id\n4\n", "replace");
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    int byte = (fseek(file, 6, SEEK_SET), fgetc(file));
    fseek(file, 6, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"hurt\"}", LH_DAMAGED);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM hurt"), "[[4]]");
    file = fopen(path, "r+b"); /* mended, as from a backup */
    assert_non_null(file);
    fseek(file, 6, SEEK_SET);
    fputc(byte, file);
    fclose(file);
    op_house_call(&house, "datasets.undo", "{\"name\": \"hurt\"}");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM hurt"), "[[3]]");
}

static void an_undone_upsert_shows_the_rows_that_it_replaced(void **state)
{
    (void)state;
    op_house_rows(&house, "ups", "id,v\n1,a\n2,b\n3,c\n", "create");
    assert_int_equal(
        op_house_try_file(&house, "ingest.file",
                          "{\"dataset\": \"ups\", \"mode\": \"upsert\", \"options\": {\"key\": "
                          "\"id\"}}",
                          "u.csv", "id,v\n2,B\n4,d\n", 13),
        LH_OK);
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"ups\", \"row_key_column\": \"id\", \"row_key_values\": [3], "
                  "\"actor\": \"me\", \"reason\": \"asked\"}");
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"ups\"}", LH_CONFLICT);
    assert_true(says("Lift"));
    op_house_call(&house, "datasets.update", "{\"name\": \"ups\", \"owner\": \"me\"}");
    op_house_call(&house, "datasets.undo", "{\"name\": \"ups\"}");
    assert_string_equal(op_house_sql(&house, "SELECT id, v FROM ups ORDER BY id"),
                        "[[1,\"a\"],[2,\"B\"],[4,\"d\"]]");

    op_house_rows(&house, "ups2", "id,v\n1,a\n2,b\n3,c\n", "create");
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"ups2\", \"row_key_column\": \"id\", \"row_key_values\": [3], "
                  "\"actor\": \"me\", \"reason\": \"asked\"}");
    assert_int_equal(
        op_house_try_file(&house, "ingest.file",
                          "{\"dataset\": \"ups2\", \"mode\": \"upsert\", \"options\": {\"key\": "
                          "\"id\"}}",
                          "u.csv", "id,v\n2,B\n3,C\n", 13),
        LH_OK);
    assert_string_equal(op_house_sql(&house, "SELECT id, v FROM ups2 ORDER BY id"),
                        "[[1,\"a\"],[2,\"B\"]]");
    op_house_call(&house, "datasets.undo", "{\"name\": \"ups2\"}");
    assert_string_equal(op_house_sql(&house, "SELECT id, v FROM ups2 ORDER BY id"),
                        "[[1,\"a\"],[2,\"b\"]]");
    op_house_reopen(&house);
    assert_string_equal(op_house_sql(&house, "SELECT id, v FROM ups2 ORDER BY id"),
                        "[[1,\"a\"],[2,\"b\"]]");
    /* A replacement takes every file; undone, the upserted state is there again. */
    op_house_rows(&house, "ups", "id,v\n9,z\n", "replace");
    op_house_call(&house, "datasets.undo", "{\"name\": \"ups\"}");
    assert_string_equal(op_house_sql(&house, "SELECT id, v FROM ups ORDER BY id"),
                        "[[1,\"a\"],[2,\"B\"],[4,\"d\"]]");
}

/* --- moments */

static void a_moment_before_the_first_version_or_to_come_is_an_error(void **state)
{
    char sql[256], time[LH_TIME_TEXT_BYTES + 1];
    (void)state;
    op_house_rows(&house, "aged", "id\n1\n", "create");
    op_house_refuses(&house, "query.sql",
                     "{\"sql\": \"SELECT * FROM aged AT (TIMESTAMP => '2001-01-01')\"}",
                     LH_NOT_FOUND);
    assert_true(says("no dataset 'aged' at that time") && says("was made at"));
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT * FROM aged AT (VERSION => 9)\"}",
                     LH_NOT_FOUND);
    assert_true(says("newest version is 1"));
    lh_time_format(lh_clock_unix_ms() + 3600000, time);
    snprintf(sql, sizeof sql, "{\"sql\": \"SELECT * FROM aged AT (TIMESTAMP => '%s')\"}", time);
    op_house_refuses(&house, "query.sql", sql, LH_INVALID);
    assert_true(says("in the future"));
    snprintf(sql, sizeof sql, "{\"sql\": \"SELECT * FROM aged\", \"as_of\": \"%s\"}", time);
    op_house_refuses(&house, "query.sql", sql, LH_INVALID);
    assert_true(says("in the future"));
}

static void one_time_is_one_state_of_all_datasets(void **state)
{
    char sql[256];
    struct timespec pause = {.tv_nsec = 5000000};
    (void)state;
    op_house_rows(&house, "left", "id\n1\n", "create");
    op_house_rows(&house, "right", "id\n1\n", "create");
    nanosleep(&pause, NULL);
    char time[LH_TIME_TEXT_BYTES + 1];
    lh_time_format(lh_clock_unix_ms(), time);
    nanosleep(&pause, NULL);
    op_house_rows(&house, "left", "id\n2\n", "append");
    op_house_rows(&house, "right", "id\n2\n3\n", "append");
    snprintf(sql, sizeof sql,
             "{\"sql\": \"SELECT (SELECT count(*) FROM \\\"left\\\"), (SELECT count(*) FROM "
             "\\\"right\\\")\", \"as_of\": \"%s\"}",
             time);
    json_t *reply = op_house_call(&house, "query.sql", sql);
    json_t *row = json_array_get(json_object_get(reply, "rows"), 0);
    assert_int_equal(json_integer_value(json_array_get(row, 0)), 1);
    assert_int_equal(json_integer_value(json_array_get(row, 1)), 1);
    json_t *versions = json_object_get(reply, "versions");
    assert_int_equal(reply_int(versions, "left"), 1);
    reply = op_house_call(&house, "query.sql",
                          "{\"sql\": \"SELECT (SELECT count(*) FROM \\\"left\\\"), (SELECT "
                          "count(*) FROM \\\"right\\\")\", \"as_of\": {\"right\": 1}}");
    row = json_array_get(json_object_get(reply, "rows"), 0);
    assert_int_equal(json_integer_value(json_array_get(row, 0)), 2);
    assert_int_equal(json_integer_value(json_array_get(row, 1)), 1);
}

/* --- difference */

static const char *items_of(const json_t *reply)
{
    char *text = json_dumps(json_object_get(reply, "items"), JSON_COMPACT | JSON_SORT_KEYS);
    const char *kept = lh_arena_str(house.arena, lh_str_of(text)).data;
    free(text);
    return kept;
}

static void counts_are(const json_t *reply, int64_t added, int64_t removed, int64_t changed)
{
    assert_int_equal(reply_int(reply, "added"), added);
    assert_int_equal(reply_int(reply, "removed"), removed);
    assert_int_equal(reply_int(reply, "changed"), changed);
}

static void a_difference_by_key_pairs_rows_and_by_row_does_not(void **state)
{
    (void)state;
    op_house_rows(&house, "d", "id,v\n1,a\n2,b\n3,c\n", "create");
    op_house_rows(&house, "d", "id,v\n1,a\n2,B\n4,d\n", "replace");
    json_t *keyed = op_house_call(&house, "datasets.diff", "{\"name\": \"D\", \"key\": \"ID\"}");
    counts_are(keyed, 1, 1, 1);
    assert_string_equal(reply_text(keyed, "key"), "id");
    assert_string_equal(
        items_of(keyed),
        "[{\"after\":{\"id\":2,\"v\":\"B\"},\"before\":{\"id\":2,\"v\":\"b\"},\"change\":"
        "\"changed\"},{\"before\":{\"id\":3,\"v\":\"c\"},\"change\":\"removed\"},{\"after\":{"
        "\"id\":4,\"v\":\"d\"},\"change\":\"added\"}]");
    json_t *rows = op_house_call(&house, "datasets.diff", "{\"name\": \"d\", \"from\": 1}");
    counts_are(rows, 2, 2, 0);
    assert_int_equal(json_array_size(json_object_get(rows, "items")), 4);
    json_t *back = op_house_call(&house, "datasets.diff",
                                 "{\"name\": \"d\", \"from\": 2, \"to\": 1, \"key\": \"id\"}");
    counts_are(back, 1, 1, 1);
    json_t *same = op_house_call(&house, "datasets.diff",
                                 "{\"name\": \"d\", \"from\": 2, \"to\": 2, \"key\": \"id\"}");
    counts_are(same, 0, 0, 0);
    op_house_refuses(&house, "datasets.diff", "{\"name\": \"d\", \"key\": \"idd\"}", LH_INVALID);
    assert_true(says("id"));
    op_house_refuses(&house, "datasets.diff", "{\"name\": \"d\", \"to\": 1}", LH_CONFLICT);
    op_house_refuses(&house, "datasets.diff", "{\"name\": \"d\", \"to\": 7}", LH_NOT_FOUND);
    op_house_refuses(&house, "datasets.diff", "{\"name\": \"d\", \"after\": \"x\"}", LH_INVALID);
}

static void a_difference_counts_null_keys_and_repeated_rows(void **state)
{
    (void)state;
    op_house_rows(&house, "n", "id,v\n1,a\n1,a\n,x\n,y\n2,q\n", "create");
    op_house_rows(&house, "n", "id,v\n1,a\n1,a\n1,a\n,x\n,z\n2,q\n", "replace");
    json_t *keyed = op_house_call(&house, "datasets.diff", "{\"name\": \"n\", \"key\": \"id\"}");
    counts_are(keyed, 1, 0, 1);
    assert_string_equal(items_of(keyed),
                        "[{\"after\":{\"id\":1,\"v\":\"a\"},\"change\":\"added\"},{\"after\":{"
                        "\"id\":null,\"v\":\"z\"},\"before\":{\"id\":null,\"v\":\"y\"},\"change\":"
                        "\"changed\"}]");
    counts_are(op_house_call(&house, "datasets.diff", "{\"name\": \"n\"}"), 2, 1, 0);
}

static void a_difference_tells_of_columns_and_takes_any_name(void **state)
{
    (void)state;
    op_house_rows(&house, "x", "c0,m,\"a \"\"b\"\"\",r\n1,2,3,4\n", "create");
    op_house_rows(&house, "x", "c0,m,\"a \"\"b\"\"\",u\n1,two,3,5\n", "replace");
    json_t *reply = op_house_call(&house, "datasets.diff", "{\"name\": \"x\", \"key\": \"c0\"}");
    counts_are(reply, 0, 0, 1);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(reply, "columns_added"), 0)), "u");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(reply, "columns_removed"), 0)), "r");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(reply, "columns_retyped"), 0)), "m");
    assert_string_equal(items_of(reply),
                        "[{\"after\":{\"a \\\"b\\\"\":3,\"c0\":1,\"m\":\"two\"},\"before\":{\"a "
                        "\\\"b\\\"\":3,\"c0\":1,\"m\":\"2\"},\"change\":\"changed\"}]");
}

static void a_difference_comes_in_pages_that_belong_together(void **state)
{
    char args[160] = "{\"name\": \"pages\", \"limit\": 3, \"key\": \"id\"}";
    int64_t seen = 0, pages = 0, last = -1;
    (void)state;
    op_house_rows(&house, "pages", "id\n100\n", "create");
    op_house_rows(&house, "pages", "id\n0\n1\n2\n3\n4\n5\n6\n", "append");
    for (;;) {
        json_t *reply = op_house_call(&house, "datasets.diff", args);
        const json_t *items = json_object_get(reply, "items"), *item;
        size_t i;
        counts_are(reply, 7, 0, 0);
        json_array_foreach(items, i, item)
        {
            int64_t id = reply_int(json_object_get(item, "after"), "id");
            assert_int_equal(id, last + 1);
            last = id;
            seen++;
        }
        pages++;
        if (json_is_null(json_object_get(reply, "next")))
            break;
        snprintf(args, sizeof args,
                 "{\"name\": \"pages\", \"limit\": 3, \"key\": \"id\", \"after\": \"%s\"}",
                 reply_text(reply, "next"));
        op_house_rows(&house, "pages", pages == 1 ? "id\n50\n" : "id\n51\n", "append");
    }
    assert_int_equal(seen, 7);
    assert_int_equal(pages, 3);
    json_t *counts = op_house_call(&house, "datasets.diff",
                                   "{\"name\": \"pages\", \"from\": 1, \"to\": 2, \"limit\": 0}");
    counts_are(counts, 7, 0, 0);
    assert_int_equal(json_array_size(json_object_get(counts, "items")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_undo_is_a_version_of_its_own_and_loses_nothing),
#ifdef LH_FAULTS
        cmocka_unit_test(an_undo_takes_back_what_was_last_when_it_was_asked_for_or_nothing),
#endif
        cmocka_unit_test(undoing_twice_is_refused_and_says_why),
        cmocka_unit_test(an_undone_replacement_brings_rows_columns_and_words_back),
        cmocka_unit_test(a_deletion_is_undone_while_the_files_are_kept),
        cmocka_unit_test(a_rename_is_undone_unless_the_name_is_taken),
        cmocka_unit_test(an_expiry_is_passed_over_and_takes_what_an_undo_needs),
        cmocka_unit_test(an_undo_heeds_if_match_and_a_repeated_key),
        cmocka_unit_test(a_damaged_file_does_not_come_back),
        cmocka_unit_test(an_undone_upsert_shows_the_rows_that_it_replaced),
        cmocka_unit_test(a_moment_before_the_first_version_or_to_come_is_an_error),
        cmocka_unit_test(one_time_is_one_state_of_all_datasets),
        cmocka_unit_test(a_difference_by_key_pairs_rows_and_by_row_does_not),
        cmocka_unit_test(a_difference_counts_null_keys_and_repeated_rows),
        cmocka_unit_test(a_difference_tells_of_columns_and_takes_any_name),
        cmocka_unit_test(a_difference_comes_in_pages_that_belong_together),
    };
    return cmocka_run_group_tests_name("versions", tests, make_house, remove_house);
}
