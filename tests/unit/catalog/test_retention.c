/* Which versions stay readable, which files go, and that nothing that is needed ever does. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "catalog/internal.h"
#include "catalog/retention.h"
#include "support/catalog_lake.h"

#define DAY_MS ((int64_t)86400 * 1000)

static int set_up(void **state)
{
    struct catalog_lake *lake = calloc(1, sizeof *lake);
    lh_clock_set_fake((int64_t)1700000000 * 1000);
    catalog_lake_make(lake);
    lake->options.checkpoint_every = 4;
    catalog_lake_open(lake);
    *state = lake;
    return 0;
}

static int tear_down(void **state)
{
    lh_fault_plan(NULL);
    catalog_lake_remove(*state);
    free(*state);
    lh_clock_clear_fake();
    return 0;
}

static void replace(struct catalog_lake *lake, struct lh_str id, int64_t rows)
{
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_object object;
    struct catalog_change change = {
        .action = CATALOG_REPLACE, .dataset_id = id, .objects = &object, .object_count = 1};
    if (catalog_lake_file(lake, id, rows, lake->arena, &object, &err) ||
        catalog_lake_commit(lake, &change, NULL, &err))
        fail_msg("%s", err.message);
}

static size_t expire(struct catalog_lake *lake, int64_t older_than_ms, bool is_dry_run,
                     struct catalog_expiry *ret)
{
    struct lh_error err = LH_ERROR_NONE;
    const struct catalog_expire_options options = {.older_than_ms = older_than_ms,
                                                   .is_dry_run = is_dry_run,
                                                   .actor = lh_lit("tester"),
                                                   .reason = lh_lit("a test")};
    struct catalog_expiry *items = NULL;
    size_t count = 0;
    if (catalog_expire(lake->catalog, &options, lake->arena, &items, &count, &err))
        fail_msg("%s", err.message);
    if (count && ret)
        *ret = items[0];
    return count;
}

/* Names in a folder of the lake, of those that end in `suffix`. */
static size_t count_files(struct catalog_lake *lake, const char *folder, struct lh_str id,
                          const char *suffix)
{
    char name[256];
    size_t count = 0;
    snprintf(name, sizeof name, "%s/%.*s", folder, LH_ARG(id));
    DIR *dir = opendir(temp_lake_file(&lake->folder, name));
    if (!dir)
        return 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += lh_str_ends_with(lh_str_of(entry->d_name), lh_str_of(suffix));
    closedir(dir);
    return count;
}

static enum lh_code rows_at(struct catalog_lake *lake, const char *name, int64_t version,
                            int64_t *ret, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *dataset = NULL;
    const struct catalog_as_of as_of = {CATALOG_AT_VERSION, version};
    enum lh_code code =
        catalog_find_at(lake->catalog, snapshot, lh_str_of(name), as_of, &dataset, err);
    if (!code)
        *ret = dataset->row_count;
    if (!code)
        catalog_dataset_unref(dataset);
    catalog_snapshot_unref(snapshot);
    return code;
}

static void versions_replaced_long_enough_ago_go_with_their_files(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    struct catalog_expiry told = {0};
    int64_t rows = 0;
    for (int64_t i = 2; i <= 5; i++) {
        lh_clock_advance_fake(DAY_MS);
        replace(lake, id, i);
    }
    lh_clock_advance_fake(DAY_MS / 2); /* version 4 was the present two days ago */
    assert_int_equal(expire(lake, 2 * DAY_MS - DAY_MS / 2, true, &told), 1);
    assert_int_equal(told.retained_version, 4);
    assert_int_equal(told.version_count, 3);
    assert_int_equal(told.object_count, 3);
    assert_int_equal(told.byte_count, 3 * LH_UUID_TEXT_BYTES);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 5);
    assert_int_equal(catalog_lake_version(lake, "t"), 5);

    assert_int_equal(expire(lake, 2 * DAY_MS - DAY_MS / 2, false, &told), 1);
    assert_int_equal(told.object_count, 3);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 2);
    assert_int_equal(catalog_lake_version(lake, "t"), 6);
    assert_int_equal(catalog_lake_rows(lake, "t"), 5);
    assert_int_equal(rows_at(lake, "t", 4, &rows, NULL), LH_OK);
    assert_int_equal(rows, 4);
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(rows_at(lake, "t", 3, &rows, &err), LH_NOT_FOUND);
    assert_non_null(strstr(err.message, "expired"));
    assert_non_null(strstr(err.hint, "4"));
    catalog_lake_is_clean(lake);
    catalog_lake_reopen(lake);
    catalog_lake_is_clean(lake);
    assert_int_equal(rows_at(lake, "t", 3, &rows, NULL), LH_NOT_FOUND);
    assert_int_equal(rows_at(lake, "t", 4, &rows, NULL), LH_OK);
}

static void a_second_expiry_finds_nothing_to_do(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    replace(lake, id, 2);
    lh_clock_advance_fake(DAY_MS);
    assert_int_equal(expire(lake, 0, false, NULL), 1);
    for (int i = 0; i < 5; i++) {
        lh_clock_advance_fake(30 * DAY_MS);
        assert_int_equal(expire(lake, DAY_MS, false, NULL), 0);
    }
    assert_int_equal(catalog_lake_version(lake, "t"), 3);
    catalog_lake_is_clean(lake);
}

static void appended_files_stay_because_the_newest_version_names_them(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int64_t i = 0; i < 3; i++)
        catalog_lake_append(lake, id, 10);
    lh_clock_advance_fake(DAY_MS);
    assert_int_equal(expire(lake, 0, false, NULL), 0);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 4);
    assert_int_equal(catalog_lake_rows(lake, "t"), 31);
}

static void what_a_reader_holds_stays_until_it_lets_go(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    struct catalog_snapshot *held = catalog_snapshot_ref(lake->catalog);
    size_t moved = 0;
    replace(lake, id, 2);
    replace(lake, id, 3);
    lh_clock_advance_fake(DAY_MS);
    assert_int_equal(expire(lake, 0, false, NULL), 1);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 2);
    const struct catalog_dataset *dataset = NULL;
    assert_int_equal(catalog_find(held, lh_lit("t"), &dataset, NULL), LH_OK);
    assert_int_equal(catalog_ensure_verified(lake->catalog, dataset->objects[0], NULL, NULL),
                     LH_OK);
    /* Its snapshot is of before the expiry, yet it cannot begin to read what expired. */
    const struct catalog_dataset *old = NULL;
    const struct catalog_as_of as_of = {CATALOG_AT_SEQUENCE, 0};
    assert_int_equal(catalog_find_at(lake->catalog, held, lh_lit("t"), as_of, &old, NULL),
                     LH_NOT_FOUND);
    catalog_snapshot_unref(held);
    assert_int_equal(catalog_collect(lake->catalog, &moved, NULL), LH_OK);
    assert_int_equal(moved, 1);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 1);
    assert_int_equal(catalog_collect(lake->catalog, &moved, NULL), LH_OK);
    assert_int_equal(moved, 0);
    catalog_lake_is_clean(lake);
}

static void a_snapshot_of_before_cannot_begin_to_read_what_expired(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    replace(lake, id, 2);
    replace(lake, id, 3);
    struct catalog_snapshot *held = catalog_snapshot_ref(lake->catalog);
    lh_clock_advance_fake(DAY_MS);
    assert_int_equal(expire(lake, 0, false, NULL), 1);
    const struct catalog_dataset *old = NULL;
    const struct catalog_as_of as_of = {CATALOG_AT_VERSION, 1};
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(catalog_find_at(lake->catalog, held, lh_lit("t"), as_of, &old, &err),
                     LH_NOT_FOUND);
    assert_non_null(strstr(err.message, "expired"));
    catalog_snapshot_unref(held);
}

static void a_dropped_dataset_gives_all_its_files_back(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    struct catalog_expiry told = {0};
    catalog_lake_append(lake, id, 2);
    replace(lake, id, 3);
    struct catalog_change drop = {.action = CATALOG_DROP, .dataset_id = id};
    assert_int_equal(catalog_lake_commit(lake, &drop, NULL, NULL), LH_OK);
    lh_clock_advance_fake(DAY_MS);
    assert_int_equal(expire(lake, 2 * DAY_MS, false, NULL), 0);
    assert_int_equal(expire(lake, DAY_MS, false, &told), 1);
    assert_true(told.is_dropped);
    assert_int_equal(told.object_count, 3);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 0);
    assert_int_equal(expire(lake, 0, false, NULL), 0);
    catalog_lake_create(lake, "t", 7); /* the name is free */
    catalog_lake_is_clean(lake);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 7);
    struct catalog_problem *problems;
    size_t count = 0;
    catalog_problems(lake->catalog, lake->arena, &problems, &count);
    assert_int_equal(count, 0);
}

static void manifests_go_when_two_checkpoints_stand_above_them(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int64_t i = 0; i < 40; i++)
        replace(lake, id, i);
    size_t before = count_files(lake, "_catalog/datasets", id, ".json");
    lh_clock_advance_fake(3 * DAY_MS); /* beyond what repeated requests ask for */
    catalog_lake_create(lake, "later", 1);
    assert_int_equal(expire(lake, DAY_MS, false, NULL), 1);
    size_t after = count_files(lake, "_catalog/datasets", id, ".json");
    assert_true(after < before / 2);
    catalog_lake_is_clean(lake);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 39);
    replace(lake, id, 77);
    catalog_lake_is_clean(lake);
}

static void young_manifests_stay_for_repeated_requests(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int64_t i = 0; i < 40; i++)
        replace(lake, id, i);
    size_t before = count_files(lake, "_catalog/datasets", id, ".json");
    lh_clock_advance_fake(DAY_MS / 24);
    assert_int_equal(expire(lake, 0, false, NULL), 1);
    assert_true(count_files(lake, "_catalog/datasets", id, ".json") > before);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 1);
    catalog_lake_is_clean(lake);
}

static void retired_manifests_survive_the_loss_of_the_upper_checkpoint(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    char name[256];
    for (int64_t i = 0; i < 40; i++)
        replace(lake, id, i);
    lh_clock_advance_fake(3 * DAY_MS);
    catalog_lake_create(lake, "later", 1);
    assert_int_equal(expire(lake, DAY_MS, false, NULL), 1);
    catalog_lake_close(lake);
    /* The highest checkpoint goes: the one below it must do. */
    for (int64_t version = 42; version > 0; version--) {
        snprintf(name, sizeof name, "_catalog/datasets/%.*s/%020lld.checkpoint.json", LH_ARG(id),
                 (long long)version);
        if (unlink(temp_lake_file(&lake->folder, name)) == 0)
            break;
    }
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 39);
}

static void a_version_that_vanished_is_not_taken_for_an_expired_one(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int64_t i = 0; i < 3; i++)
        replace(lake, id, i);
    catalog_lake_close(lake);
    assert_int_equal(unlink(catalog_lake_manifest(lake, id, 1)), 0);
    assert_true(catalog_lake_verify(lake, NULL) > 0);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), -1);
}

/* A kill between the expiry and the last file: every single call of the file system fails once. */
static void an_interrupted_collection_is_finished_later(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    unsigned failures = 0;
    for (unsigned at = 1;;
         at += 1 + at / 8) { /* every early point, later ones ever further apart */
        for (int64_t i = 0; i < 6; i++)
            replace(lake, id, i);
        lh_clock_advance_fake(3 * DAY_MS);
        replace(lake, id, 100 + at);
        lh_clock_advance_fake(3 * DAY_MS);
        char plan[32];
        snprintf(plan, sizeof plan, "*=%u:EIO", at);
        struct lh_error err = LH_ERROR_NONE;
        const struct catalog_expire_options options = {.older_than_ms = 0};
        struct catalog_expiry *items = NULL;
        size_t count = 0, moved = 0;
        lh_fault_plan(plan);
        enum lh_code code =
            catalog_expire(lake->catalog, &options, lake->arena, &items, &count, &err);
        bool was_struck = lh_fault_was_struck();
        lh_fault_plan(NULL);
        failures += code != LH_OK;
        catalog_lake_crash(lake);
        catalog_lake_open(lake);
        assert_int_equal(catalog_lake_rows(lake, "t"), 100 + at);
        assert_int_equal(catalog_collect(lake->catalog, &moved, NULL), LH_OK);
        catalog_lake_is_clean(lake);
        if (!was_struck)
            break;
    }
    assert_true(failures > 5);
    expire(lake, 0, false, NULL);
    assert_int_equal(count_files(lake, "datasets", id, ".parquet"), 1);
}

/* An object whose empty file is there, without a commit. */
static struct catalog_object stray_object(struct catalog_lake *lake, int number)
{
    struct catalog_object object = {.bucket = lh_lit("primary")};
    object.key = lh_arena_printf(lake->arena, "datasets/stray-%d.parquet", number);
    FILE *file = fopen(temp_lake_file(&lake->folder, object.key.data), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    return object;
}

static void what_was_known_of_files_goes_with_them(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    struct trust *trust = &lake->catalog->trust;
    for (int64_t i = 2; i <= 9; i++)
        replace(lake, id, i);
    assert_int_equal(trust->count, 9);
    lh_clock_advance_fake(DAY_MS);
    expire(lake, 0, false, NULL);
    assert_int_equal(trust->count, 1);
    catalog_lake_is_clean(lake);
    /* Many, so that places collide: what is forgotten takes no other with it. */
    enum { COUNT = 400 };
    struct catalog_object objects[COUNT];
    for (int i = 0; i < COUNT; i++) {
        objects[i] = stray_object(lake, i);
        assert_int_equal(trust_note(lake->catalog, &objects[i], NULL), LH_OK);
    }
    for (int left = COUNT; left > 0; left--) {
        const struct catalog_object *object = &objects[(COUNT - left) * 7 % COUNT];
        assert_int_equal(trust->count, 1 + left);
        trust_forget(trust, object->bucket, object->key);
        trust_forget(trust, object->bucket, object->key);
    }
    assert_int_equal(trust->count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions_replaced_long_enough_ago_go_with_their_files,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_expiry_finds_nothing_to_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(appended_files_stay_because_the_newest_version_names_them,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_reader_holds_stays_until_it_lets_go, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_of_before_cannot_begin_to_read_what_expired,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dropped_dataset_gives_all_its_files_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(manifests_go_when_two_checkpoints_stand_above_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(young_manifests_stay_for_repeated_requests, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(retired_manifests_survive_the_loss_of_the_upper_checkpoint,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_version_that_vanished_is_not_taken_for_an_expired_one,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_known_of_files_goes_with_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_interrupted_collection_is_finished_later, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
