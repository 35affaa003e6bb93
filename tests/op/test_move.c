#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "catalog/retention.h"
#include "support/op_house.h"

#define MOVE "{\"name\": \"people\", \"to\": \"%s\", \"wait\": true}"

static void make_bucket(struct op_house *house, const char *name)
{
    char args[4400];
    snprintf(args, sizeof args, "{\"name\": \"%s\", \"backend\": \"local\", \"root\": \"%s/%s\"}",
             name, house->folder.path, name);
    op_house_call(house, "buckets.create", args);
}

static json_t *move(struct op_house *house, const char *to)
{
    char args[128];
    snprintf(args, sizeof args, MOVE, to);
    return op_house_call(house, "datasets.move", args);
}

/* Three people in three files, one of them deleted, one in another version. */
static void make_people(struct op_house *house)
{
    op_house_rows(house, "people", "id,name\n1,Ann\n2,Bob\n", "create");
    op_house_rows(house, "people", "id,name\n3,Cid\n", "append");
    op_house_rows(house, "people", "id,name\n4,Dan\n", "append");
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": [2]}");
}

static size_t files_in(struct op_house *house, const char *bucket)
{
    json_t *objects =
        json_object_get(op_house_call(house, "datasets.get", "{\"name\": \"people\"}"), "objects");
    size_t i = 0, count = 0;
    const json_t *object = NULL;
    json_array_foreach(objects, i, object) count +=
        strcmp(reply_text(object, "bucket"), bucket) == 0;
    return count;
}

static int parquet_files(struct op_house *house, const char *folder)
{
    char command[4400];
    int count = -1;
    snprintf(command, sizeof command, "find '%s/%s/datasets' -name '*.parquet' 2>&1 | wc -l",
             house->folder.path, folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

/* Somebody in the background may still hold what was before: then it goes when they have ended. */
static void is_emptied(struct op_house *house, const char *folder)
{
    struct lh_error err = LH_ERROR_NONE;
    size_t moved = 0;
    for (int i = 0; i < 100 && parquet_files(house, folder) > 0; i++) {
        if (catalog_collect(lake_catalog(house->lake), &moved, &err))
            fail_msg("%s", err.message);
        usleep(50000);
    }
    assert_int_equal(parquet_files(house, folder), 0);
}

static void answers_as_before(struct op_house *house)
{
    assert_string_equal(op_house_sql(house, "SELECT id, name FROM people ORDER BY id"),
                        "[[1,\"Ann\"],[3,\"Cid\"],[4,\"Dan\"]]");
    assert_string_equal(op_house_sql(house, "SELECT id FROM people AT (VERSION => 2) ORDER BY id"),
                        "[[1],[3]]");
}

static void a_moved_dataset_answers_as_before_in_every_version(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    make_people(house);
    answers_as_before(house); /* and plans are kept */
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"names\", \"dataset\": \"people\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"name\"]}");
    json_t *plan = op_house_call(house, "datasets.move",
                                 "{\"name\": \"people\", \"to\": \"far\", \"dry_run\": true}");
    assert_int_equal(reply_int(plan, "files"), 3);
    assert_int_equal(files_in(house, "primary"), 3);
    json_t *done = move(house, "far");
    assert_string_equal(op_house_sql(house, "SELECT id FROM __raw__people ORDER BY id"),
                        "[[1],[2],[3],[4]]");
    assert_int_equal(reply_int(done, "files"), 3);
    assert_int_equal(reply_int(done, "moved"), 1);
    assert_int_equal(files_in(house, "far"), 3);
    assert_int_equal(parquet_files(house, "far"), 3);
    answers_as_before(house);
    assert_string_equal(op_house_sql(house, "SELECT id FROM text_search('names', 'Cid', k := 5)"),
                        "[[3]]");
    op_house_reopen(house);
    answers_as_before(house);
    assert_string_equal(op_house_sql(house, "SELECT id FROM text_search('names', 'Cid', k := 5)"),
                        "[[3]]");
}

static void what_comes_later_follows_and_goes_on_as_ever(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    make_people(house);
    move(house, "far");
    op_house_rows(house, "people", "id,name\n5,Eve\n", "append");
    assert_int_equal(files_in(house, "far"), 4);
    op_house_call(house, "datasets.undo", "{\"name\": \"people\"}"); /* the append */
    answers_as_before(house);
    json_t *compacted = op_house_call(house, "query.compact", "{\"dataset\": \"people\"}");
    assert_int_equal(reply_int(compacted, "compacted"), 1);
    assert_int_equal(files_in(house, "far"), 1);
    answers_as_before(house);
    move(house, "primary");
    assert_int_equal(files_in(house, "primary"), 1);
    answers_as_before(house);
    is_emptied(house, "far");
    op_house_call(house, "buckets.delete", "{\"bucket\": \"far\"}");
    answers_as_before(house);
}

static void an_undo_passes_a_move(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    op_house_rows(house, "people", "id,name\n1,Ann\n", "create");
    op_house_rows(house, "people", "id,name\n9,Zoe\n", "replace");
    move(house, "far");
    op_house_call(house, "datasets.undo", "{\"name\": \"people\"}");
    assert_string_equal(op_house_sql(house, "SELECT id FROM people"), "[[1]]");
    assert_int_equal(files_in(house, "far"), 1);
}

static void the_journal_tells_of_moves(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    make_people(house);
    move(house, "far");
    assert_string_equal(op_house_sql(house,
                                     "SELECT count(*) FROM journal WHERE action = 'dataset.move' "
                                     "AND entity LIKE '%people%'"),
                        "[[1]]");
}

static void the_journal_tells_which_buckets_came_and_went(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    op_house_call(house, "buckets.delete", "{\"bucket\": \"far\"}");
    op_house_refuses(house, "buckets.delete", "{\"bucket\": \"far\"}", LH_NOT_FOUND);
    make_bucket(house, "near");
    make_people(house);
    move(house, "near");
    op_house_refuses(house, "buckets.delete", "{\"bucket\": \"near\"}", LH_CONFLICT);
    assert_string_equal(
        op_house_sql(house, "SELECT action, entity FROM journal WHERE action LIKE 'bucket.%' "
                            "ORDER BY sequence"),
        "[[\"bucket.create\",\"far\"],[\"bucket.delete\",\"far\"],[\"bucket.create\",\"near\"]]");
}

/* Its folder goes while nobody looks: what is asked for then is told, and kept. */
static void a_bucket_that_disappears_is_among_the_errors(void **state)
{
    struct op_house *house = *state;
    char away[4300], here[4300];
    make_bucket(house, "far");
    make_people(house);
    move(house, "far");
    snprintf(here, sizeof here, "%s/far", house->folder.path);
    snprintf(away, sizeof away, "%s/away", house->folder.path);
    assert_int_equal(rename(here, away), 0);
    usleep(1100000); /* so long it is believed to be where it was */
    assert_int_not_equal(op_house_try(house, "query.sql", "{\"sql\": \"SELECT * FROM people\"}"),
                         LH_OK);
    assert_non_null(strstr(house->err.message, "'far' is not there"));
    op_house_call(house, "failures.flush", NULL);
    json_t *items =
        json_object_get(op_house_call(house, "failures.list", "{\"bucket\": \"far\"}"), "items");
    assert_true(json_array_size(items) > 0);
    assert_int_equal(rename(away, here), 0);
    answers_as_before(house);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    make_people(house);
    op_house_refuses(house, "datasets.move", "{\"name\": \"people\", \"to\": \"nowhere\"}",
                     LH_NOT_FOUND);
    assert_non_null(strstr(house->err.hint, "far"));
    op_house_refuses(house, "datasets.move", "{\"name\": \"nobody\", \"to\": \"far\"}",
                     LH_NOT_FOUND);
    op_house_refuses(house, "datasets.move", "{\"name\": \"people\", \"to\": \"primary\"}",
                     LH_CONFLICT);
    assert_non_null(strstr(house->err.message, "people"));
    op_house_refuses(house, "datasets.move",
                     "{\"name\": \"people\", \"from\": \"far\", \"to\": \"far\"}", LH_CONFLICT);
    op_house_refuses(house, "catalog.migrate_buckets", "{\"from\": \"nowhere\"}", LH_NOT_FOUND);
    answers_as_before(house);
}

#define ERASE_ONE                                                                                  \
    "{\"dataset\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": [1], \"reason\": "  \
    "\"asked\"}"

/* How many data files lie in the folder, those of its trash too. */
static int all_files(struct op_house *house, const char *folder)
{
    char command[4400];
    int count = -1;
    snprintf(command, sizeof command, "find '%s/%s' -name '*.parquet' 2>&1 | wc -l",
             house->folder.path, folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

static void rows_are_erased_from_the_trash_that_a_move_left(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "far");
    make_people(house);
    move(house, "far");
    move(house, "primary");
    assert_int_equal(all_files(house, "far"), 3);
    json_t *told = op_house_call(house, "catalog.erase", ERASE_ONE);
    assert_string_equal(reply_text(told, "state"), "erased");
    assert_int_equal(all_files(house, "far"), 0);
    assert_string_equal(op_house_sql(house, "SELECT id FROM people ORDER BY id"), "[[3],[4]]");
}

/* Beside the files of versions lies a copy that none names; what is not the dataset's stays. */
static void rows_are_erased_from_copies_that_nobody_names(void **state)
{
    struct op_house *house = *state;
    char path[4800];
    make_bucket(house, "far");
    make_people(house);
    move(house, "far");
    snprintf(
        path, sizeof path,
        "cd '%s/far/datasets/'* && f=$(ls *.parquet | head -1) && mkdir -p ../x && cp $f ../x/ "
        "&& cp $f ../../datasets/$(basename $PWD)/0198c0de-0000-7000-8000-000000000000.parquet",
        house->folder.path);
    assert_int_equal(system(path), 0);
    assert_int_equal(parquet_files(house, "far"), 5);
    json_t *told = op_house_call(house, "catalog.erase", ERASE_ONE);
    json_t *far = json_array_get(json_object_get(told, "buckets"), 0);
    assert_string_equal(reply_text(told, "state"), "erased");
    assert_string_equal(reply_text(far, "bucket"), "far");
    assert_true(reply_int(far, "objects_removed") >= 4); /* three by way of the trash */
    assert_int_equal(parquet_files(house, "far"), 2);    /* the one that is read; another's */
    assert_string_equal(op_house_sql(house, "SELECT id FROM people ORDER BY id"), "[[3],[4]]");
}

static void a_whole_bucket_is_emptied_and_that_may_be_repeated(void **state)
{
    struct op_house *house = *state;
    make_bucket(house, "data");
    make_people(house);
    op_house_rows(house, "others", "id\n7\n", "create");
    op_house_rows(house, "gone", "id\n8\n", "create");
    op_house_rows(house, "home", "id\n9\n", "create");
    json_t *none = op_house_call(house, "catalog.migrate_buckets", "{\"wait\": true}");
    assert_int_equal(reply_int(none, "moved"), 0);
    move(house, "data");
    op_house_call(house, "datasets.move",
                  "{\"name\": \"others\", \"to\": \"data\", \"wait\": true}");
    op_house_call(house, "datasets.move", "{\"name\": \"gone\", \"to\": \"data\", \"wait\": true}");
    op_house_call(house, "datasets.delete", "{\"name\": \"gone\"}");
    json_t *plan =
        op_house_call(house, "catalog.migrate_buckets", "{\"from\": \"data\", \"dry_run\": true}");
    assert_int_equal(reply_int(plan, "moved"), 3);
    /* Without a name: those of old names, of which there is one. */
    json_t *done = op_house_call(house, "catalog.migrate_buckets", "{\"wait\": true}");
    assert_int_equal(reply_int(done, "moved"), 3);
    assert_int_equal(reply_int(done, "failed"), 0);
    assert_int_equal(json_array_size(json_object_get(done, "datasets")), 3);
    is_emptied(house, "data");
    answers_as_before(house);
    op_house_call(house, "datasets.undo", "{\"name\": \"gone\"}");
    assert_string_equal(op_house_sql(house, "SELECT * FROM gone"), "[[8]]");
    assert_int_equal(
        reply_int(op_house_call(house, "catalog.migrate_buckets", "{\"wait\": true}"), "moved"), 0);
    op_house_call(house, "buckets.delete", "{\"bucket\": \"data\"}");
}

static void a_move_that_is_not_waited_for_is_a_job(void **state)
{
    struct op_house *house = *state;
    char args[128];
    make_bucket(house, "far");
    make_people(house);
    json_t *accepted =
        op_house_call(house, "datasets.move", "{\"name\": \"people\", \"to\": \"far\"}");
    assert_int_equal(house->status, 202);
    snprintf(args, sizeof args, "{\"id\": \"%s\", \"wait_ms\": 20000}",
             reply_text(accepted, "job_id"));
    json_t *job = op_house_call(house, "jobs.get", args);
    assert_string_equal(reply_text(job, "state"), "succeeded");
    assert_int_equal(reply_int(json_object_get(job, "result"), "files"), 3);
    assert_int_equal(reply_int(json_object_get(job, "progress"), "bytes_done"),
                     reply_int(json_object_get(job, "progress"), "bytes_total"));
    answers_as_before(house);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_moved_dataset_answers_as_before_in_every_version),
        TEST(what_comes_later_follows_and_goes_on_as_ever),
        TEST(an_undo_passes_a_move),
        TEST(the_journal_tells_of_moves),
        TEST(the_journal_tells_which_buckets_came_and_went),
        TEST(a_bucket_that_disappears_is_among_the_errors),
        TEST(what_makes_no_sense_is_refused),
        TEST(rows_are_erased_from_the_trash_that_a_move_left),
        TEST(rows_are_erased_from_copies_that_nobody_names),
        TEST(a_whole_bucket_is_emptied_and_that_may_be_repeated),
        TEST(a_move_that_is_not_waited_for_is_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
