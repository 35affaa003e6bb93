#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static json_t *dataset_of(const char *name)
{
    char args[96];
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", name);
    return op_house_call(&house, "datasets.get", args);
}

/* The path of a data file of the present version. */
static void path_of(const char *name, size_t index, char *path, size_t size)
{
    const json_t *object = json_array_get(json_object_get(dataset_of(name), "objects"), index);
    snprintf(path, size, "%s/lake/%s", house.folder.path,
             json_string_value(json_object_get(object, "key")));
}

static void flip(const char *path)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 5, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 5, SEEK_SET), 0);
    fputc(byte ^ 2, file);
    fclose(file);
}

static bool health_names(const char *words)
{
    json_t *health = op_house_call(&house, "system.health", NULL);
    char *text = json_dumps(health, JSON_COMPACT);
    bool found = strstr(text, words) != NULL;
    free(text);
    return found;
}

static void a_damaged_file_is_set_aside_by_a_commit_and_comes_back_by_an_undo(void **state)
{
    char path[4300];
    (void)state;
    op_house_rows(&house, "hurt", "id\n1\n2\n", "create");
    op_house_rows(&house, "hurt", "id\n3\n4\n5\n", "append");
    path_of("hurt", 1, path, sizeof path);
    flip(path);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT * FROM hurt\"}", LH_DAMAGED);
    assert_non_null(strstr(house.err.message, ".parquet"));

    json_t *told =
        op_house_call(&house, "datasets.quarantine", "{\"name\": \"hurt\", \"dry_run\": true}");
    assert_int_equal(json_array_size(json_object_get(told, "files")), 1);
    assert_int_equal(reply_int(told, "version"), 2);
    json_t *done = op_house_call(&house, "datasets.quarantine",
                                 "{\"name\": \"HURT\", \"reason\": \"a bad disk\"}");
    const json_t *file = json_array_get(json_object_get(done, "files"), 0);
    assert_non_null(strstr(path, json_string_value(json_object_get(file, "key"))));
    assert_int_equal(reply_int(file, "rows"), 3);
    assert_int_equal(reply_int(done, "version"), 3);
    assert_int_equal(reply_int(done, "file_count"), 2);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM hurt ORDER BY id"), "[[1],[2]]");
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT * FROM hurt AT (VERSION => 2)\"}",
                     LH_DAMAGED);
    assert_int_equal(reply_int(dataset_of("hurt"), "quarantined_rows"), 3);
    assert_true(health_names("1 damaged files with 3 rows"));
    done = op_house_call(&house, "datasets.quarantine", "{\"name\": \"hurt\"}");
    assert_int_equal(reply_int(done, "version"), 3); /* nothing more to set aside */
    op_house_refuses(&house, "datasets.undo", "{\"name\": \"hurt\"}", LH_DAMAGED);

    flip(path); /* as it was: from a backup */
    op_house_reopen(&house);
    assert_int_equal(reply_int(dataset_of("hurt"), "quarantined_rows"), 3);
    assert_true(health_names("1 damaged files with 3 rows"));
    op_house_call(&house, "datasets.undo", "{\"name\": \"hurt\"}");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM hurt"), "[[5]]");
    assert_int_equal(reply_int(dataset_of("hurt"), "quarantined_rows"), 0);
    assert_false(health_names("set aside"));
}

static void a_dataset_of_which_nothing_is_left_is_not_emptied(void **state)
{
    char path[4300], aside[4400];
    (void)state;
    op_house_rows(&house, "all", "id\n1\n", "create");
    path_of("all", 0, path, sizeof path);
    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    op_house_refuses(&house, "datasets.quarantine", "{\"name\": \"all\"}", LH_CONFLICT);
    assert_int_equal(reply_int(dataset_of("all"), "version"), 1);
    assert_int_equal(rename(aside, path), 0);
    json_t *done = op_house_call(&house, "datasets.quarantine", "{\"name\": \"all\"}");
    assert_int_equal(json_array_size(json_object_get(done, "files")), 0);
    op_house_refuses(&house, "datasets.quarantine", "{\"name\": \"al\"}", LH_NOT_FOUND);
    house.if_match = lh_lit("\"7\"");
    op_house_refuses(&house, "datasets.quarantine", "{\"name\": \"all\"}", LH_PRECONDITION);
}

static void replacing_a_dataset_forgets_what_was_set_aside(void **state)
{
    char path[4300];
    (void)state;
    op_house_rows(&house, "renewed", "id\n1\n", "create");
    op_house_rows(&house, "renewed", "id\n2\n", "append");
    path_of("renewed", 0, path, sizeof path);
    flip(path);
    op_house_call(&house, "datasets.quarantine", "{\"name\": \"renewed\"}");
    op_house_rows(&house, "renewed", "id\n8\n9\n", "replace");
    assert_int_equal(reply_int(dataset_of("renewed"), "quarantined_rows"), 0);
    flip(path);
}

/* A manifest that says another count than the file has: as a faulty tool would have written it. */
static void miscount(const char *name, int64_t rows)
{
    struct catalog *catalog = lake_catalog(house.lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_dataset *dataset = NULL;
    struct catalog_commit_result result;
    assert_int_equal(catalog_find(snapshot, lh_str_of(name), &dataset, NULL), LH_OK);
    struct catalog_object object = *dataset->objects[0];
    object.rows = rows;
    const struct catalog_change change = {.action = CATALOG_RESYNC,
                                          .dataset_id = dataset->id,
                                          .objects = &object,
                                          .object_count = 1,
                                          .removed = &object.key,
                                          .removed_count = 1};
    assert_int_equal(catalog_commit(catalog, &change, house.arena, &result, NULL), LH_OK);
    catalog_snapshot_unref(snapshot);
}

static void row_counts_are_taken_from_the_footers(void **state)
{
    (void)state;
    op_house_rows(&house, "counted", "id\n1\n2\n3\n", "create");
    op_house_rows(&house, "right", "id\n1\n", "create");
    json_t *done = op_house_call(&house, "datasets.resync", "{\"name\": \"counted\"}");
    assert_int_equal(reply_int(done, "version"), 1);
    miscount("counted", 70);
    assert_int_equal(reply_int(dataset_of("counted"), "row_count"), 70);
    json_t *told =
        op_house_call(&house, "datasets.resync", "{\"name\": \"counted\", \"dry_run\": true}");
    assert_int_equal(json_array_size(json_object_get(told, "files")), 1);
    assert_int_equal(reply_int(dataset_of("counted"), "row_count"), 70);
    done = op_house_call(&house, "datasets.resync", "{\"name\": \"counted\"}");
    const json_t *file = json_array_get(json_object_get(done, "files"), 0);
    assert_int_equal(reply_int(file, "rows"), 70);
    assert_int_equal(reply_int(file, "found_rows"), 3);
    assert_int_equal(reply_int(done, "row_count"), 3);
    assert_int_equal(reply_int(dataset_of("counted"), "row_count"), 3);
    assert_string_equal(op_house_sql(&house, "SELECT sum(id)::INT FROM counted"), "[[6]]");

    miscount("counted", 9);
    json_t *all = op_house_call(&house, "catalog.resync_missing", NULL);
    const json_t *items = json_object_get(all, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "name")),
                        "counted");
    assert_int_equal(reply_int(json_array_get(items, 0), "row_count"), 3);
    all = op_house_call(&house, "catalog.resync_missing", NULL);
    assert_int_equal(json_array_size(json_object_get(all, "items")), 0);
    op_house_refuses(&house, "datasets.resync", "{\"name\": \"count\"}", LH_NOT_FOUND);

    char path[4300];
    path_of("counted", 0, path, sizeof path);
    flip(path);
    op_house_refuses(&house, "datasets.resync", "{\"name\": \"counted\"}", LH_DAMAGED);
    all = op_house_call(&house, "catalog.resync_missing", NULL);
    items = json_object_get(all, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_false(json_is_true(json_object_get(json_array_get(items, 0), "is_resynced")));
    flip(path);
    /* The versions that miscounted go, for the verifier reads footers too. */
    op_house_rows(&house, "counted", "id\n4\n", "replace");
    op_house_call(&house, "catalog.expire", "{\"dataset\": \"counted\", \"older_than_s\": 0}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_file_is_set_aside_by_a_commit_and_comes_back_by_an_undo),
        cmocka_unit_test(a_dataset_of_which_nothing_is_left_is_not_emptied),
        cmocka_unit_test(replacing_a_dataset_forgets_what_was_set_aside),
        cmocka_unit_test(row_counts_are_taken_from_the_footers),
    };
    return cmocka_run_group_tests_name("repair", tests, make_house, remove_house);
}
