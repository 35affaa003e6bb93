#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/repair.h"
#include "catalog/retention.h"
#include "catalog/undo.h"
#include "storage/buckets.h"
#include "support/two_places.h"

/* What somebody else does while the first file is being copied. */
struct meanwhile {
    struct two_places *places;
    struct lh_str id;
    void (*act)(struct meanwhile *meanwhile);
    struct lh_cancel cancel;
    unsigned calls;
};

static void on_progress(void *context, int64_t files_done, int64_t files, int64_t bytes_done,
                        int64_t bytes)
{
    struct meanwhile *meanwhile = context;
    assert_true(files_done <= files && bytes_done <= bytes);
    if (files_done == 1 && !meanwhile->calls++)
        meanwhile->act(meanwhile);
}

static enum lh_code move_with(struct meanwhile *meanwhile, const char *to, struct catalog_move *ret,
                              struct lh_error *err)
{
    struct catalog_lake *lake = &meanwhile->places->lake;
    const struct catalog_move_options options = {.dataset_id = meanwhile->id,
                                                 .to = lh_str_of(to),
                                                 .cancel = &meanwhile->cancel,
                                                 .progress = on_progress,
                                                 .context = meanwhile};
    lh_cancel_init(&meanwhile->cancel);
    return catalog_move(lake->catalog, &options, lake->arena, ret, err);
}

static struct lh_str two_files(struct two_places *places)
{
    two_places_make(places);
    struct lh_str id = catalog_lake_create(&places->lake, "t", 3);
    catalog_lake_append(&places->lake, id, 2);
    return id;
}

static void must_move(struct catalog_lake *lake, struct lh_str id, const char *to)
{
    struct lh_error err = LH_ERROR_NONE;
    if (two_places_move(lake, id, to, NULL, &err))
        fail_msg("%s", err.message);
}

static void every_version_is_read_where_it_went_and_again_after_opening(void **state)
{
    struct two_places places;
    struct lh_str id = two_files(&places);
    struct catalog_lake *lake = &places.lake;
    (void)state;
    assert_int_equal(two_places_read(lake, "t", 1, "primary"), 1);
    must_move(lake, id, "other");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(two_places_read(lake, "t", 0, "other"), 2);
        assert_int_equal(two_places_read(lake, "t", 1, "other"), 1);
        assert_int_equal(two_places_read(lake, "t", 2, "other"), 2);
        assert_int_equal(two_places_count(lake, "primary"), 0);
        catalog_lake_reopen(lake);
    }
    catalog_lake_crash(lake); /* its newest version is published anew */
    catalog_lake_open(lake);
    assert_int_equal(two_places_read(lake, "t", 1, "other"), 1);
    assert_int_equal(two_places_read(lake, "t", 0, "other"), 2);
    two_places_remove(&places);
}

static void checkpoints_and_many_moves_tell_where_files_are(void **state)
{
    struct two_places places;
    struct lh_str id = two_files(&places);
    struct catalog_lake *lake = &places.lake;
    (void)state;
    for (int i = 0; i < 5; i++) {
        must_move(lake, id, i % 2 ? "primary" : "other");
        for (int k = 0; k < 5; k++)
            catalog_lake_append(lake, id, 1);
    }
    size_t elsewhere = two_places_read(lake, "t", 0, "other");
    assert_int_equal(elsewhere, 22); /* the last five came to primary */
    assert_int_equal(two_places_read(lake, "t", 1, "other"), 1);
    assert_int_equal(two_places_read(lake, "t", 20, "other"), 17);
    catalog_lake_reopen(lake);
    assert_int_equal(two_places_read(lake, "t", 20, "other"), 17);
    assert_int_equal(two_places_count(lake, "primary"), 5);
    two_places_remove(&places);
}

static void append(struct meanwhile *meanwhile)
{
    catalog_lake_append(&meanwhile->places->lake, meanwhile->id, 10);
}

static void rows_that_are_appended_meanwhile_are_moved_too(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places), .act = append};
    struct catalog_move done;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(move_with(&meanwhile, "other", &done, &err), LH_OK);
    assert_int_equal(done.file_count, 3);
    assert_int_equal(done.left_count, 0);
    assert_int_equal(catalog_lake_rows(&places.lake, "t"), 15);
    assert_int_equal(two_places_read(&places.lake, "t", 0, "other"), 3);
    two_places_remove(&places);
}

static void drop(struct meanwhile *meanwhile)
{
    const struct catalog_change change = {.action = CATALOG_DROP, .dataset_id = meanwhile->id};
    struct lh_error err;
    assert_int_equal(catalog_lake_commit(&meanwhile->places->lake, &change, NULL, &err), LH_OK);
}

static void a_dataset_that_is_dropped_meanwhile_comes_back_whole(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places), .act = drop};
    struct catalog_lake *lake = &places.lake;
    struct catalog_move done;
    struct catalog_undo undone;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    if (move_with(&meanwhile, "other", &done, &err))
        fail_msg("%s", err.message);
    assert_int_equal(catalog_lake_rows(lake, "t"), -1);
    const struct catalog_undo_options options = {.dataset = lh_lit("t")};
    if (catalog_undo(lake->catalog, &options, lake->arena, &undone, &err))
        fail_msg("%s", err.message);
    assert_int_equal(catalog_lake_rows(lake, "t"), 5);
    assert_int_equal(two_places_read(lake, "t", 0, "other"), 2);
    two_places_remove(&places);
}

static void rename_it(struct meanwhile *meanwhile)
{
    const struct catalog_change change = {
        .action = CATALOG_RENAME, .dataset_id = meanwhile->id, .name = lh_lit("renamed")};
    struct lh_error err;
    assert_int_equal(catalog_lake_commit(&meanwhile->places->lake, &change, NULL, &err), LH_OK);
}

static void a_dataset_that_is_renamed_meanwhile_is_moved(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places), .act = rename_it};
    struct catalog_move done;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(move_with(&meanwhile, "other", &done, &err), LH_OK);
    assert_int_equal(two_places_read(&places.lake, "renamed", 0, "other"), 2);
    two_places_remove(&places);
}

static void replace_and_expire(struct meanwhile *meanwhile)
{
    struct catalog_lake *lake = &meanwhile->places->lake;
    const struct catalog_expire_options options = {.dataset = lh_lit("t"), .older_than_ms = -1};
    struct catalog_object object;
    struct catalog_expiry *items = NULL;
    struct lh_error err;
    size_t count = 0;
    assert_int_equal(catalog_lake_file(lake, meanwhile->id, 4, lake->arena, &object, &err), LH_OK);
    const struct catalog_change change = {.action = CATALOG_REPLACE,
                                          .dataset_id = meanwhile->id,
                                          .objects = &object,
                                          .object_count = 1};
    assert_int_equal(catalog_lake_commit(lake, &change, NULL, &err), LH_OK);
    assert_int_equal(catalog_expire(lake->catalog, &options, lake->arena, &items, &count, &err),
                     LH_OK);
    assert_int_equal(count, 1);
    assert_int_equal(items[0].object_count, 2);
}

static void what_expires_meanwhile_is_not_brought_along(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {
        .places = &places, .id = two_files(&places), .act = replace_and_expire};
    struct catalog_move done;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    if (move_with(&meanwhile, "other", &done, &err))
        fail_msg("%s", err.message);
    assert_int_equal(done.file_count, 1);
    assert_int_equal(two_places_read(&places.lake, "t", 0, "other"), 1);
    assert_int_equal(two_places_count(&places.lake, "other"), 1);
    assert_int_equal(two_places_count(&places.lake, "primary"), 0);
    two_places_remove(&places);
}

static void stop(struct meanwhile *meanwhile)
{
    lh_cancel_fire(&meanwhile->cancel, LH_CANCELLED);
}

static void a_cancelled_move_leaves_nothing_behind(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places), .act = stop};
    struct catalog_move done;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(move_with(&meanwhile, "other", &done, &err), LH_CANCELLED);
    assert_int_equal(two_places_count(&places.lake, "other"), 0);
    assert_int_equal(two_places_read(&places.lake, "t", 0, "primary"), 2);
    assert_int_equal(catalog_lake_version(&places.lake, "t"), 2);
    two_places_remove(&places);
}

static void move_too(struct meanwhile *meanwhile)
{
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(two_places_move(&meanwhile->places->lake, meanwhile->id, "other", NULL, &err),
                     LH_CONFLICT);
    assert_non_null(strstr(err.message, "being moved"));
}

static void two_moves_of_one_dataset_are_not_made_at_once(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places), .act = move_too};
    struct catalog_move done;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(move_with(&meanwhile, "other", &done, &err), LH_OK);
    two_places_remove(&places);
}

static void remove_the_bucket(struct meanwhile *meanwhile)
{
    char command[9000];
    snprintf(command, sizeof command, "cd '%s' && mv datasets gone && touch datasets",
             meanwhile->places->other.path);
    assert_int_equal(system(command), 0);
}

static void a_bucket_that_fails_half_way_changes_nothing(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {
        .places = &places, .id = two_files(&places), .act = remove_the_bucket};
    struct catalog_move done;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    enum lh_code code = move_with(&meanwhile, "other", &done, &err);
    assert_int_not_equal(code, LH_OK);
    assert_true(err.message[0] != '\0');
    assert_int_equal(two_places_read(&places.lake, "t", 0, "primary"), 2);
    assert_int_equal(catalog_lake_version(&places.lake, "t"), 2);
    two_places_remove(&places);
}

static void readers_keep_what_they_began_with_until_they_end(void **state)
{
    struct two_places places;
    struct lh_str id = two_files(&places);
    struct catalog_lake *lake = &places.lake;
    struct catalog_snapshot *before = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *dataset = NULL;
    struct storage_sum sum;
    struct lh_error err = LH_ERROR_NONE;
    size_t moved = 0;
    (void)state;
    must_move(lake, id, "other");
    assert_int_equal(catalog_find(before, lh_lit("t"), &dataset, &err), LH_OK);
    for (size_t i = 0; i < dataset->object_count; i++) {
        assert_true(lh_str_equal(dataset->objects[i]->bucket, STORAGE_PRIMARY));
        assert_int_equal(
            storage_sum(lake->storage, STORAGE_PRIMARY, dataset->objects[i]->key, NULL, &sum, &err),
            LH_OK);
    }
    assert_int_equal(two_places_count(lake, "primary"), 2);
    catalog_snapshot_unref(before);
    assert_int_equal(catalog_collect(lake->catalog, &moved, &err), LH_OK);
    assert_int_equal(moved, 2);
    assert_int_equal(two_places_count(lake, "primary"), 0);
    two_places_remove(&places);
}

static enum lh_code other_rows(void *context, const struct catalog_object *object, int64_t *ret,
                               struct lh_error *err)
{
    struct meanwhile *meanwhile = context;
    (void)err;
    *ret = object->rows + 1;
    if (!meanwhile->calls++)
        must_move(&meanwhile->places->lake, meanwhile->id, "other");
    return LH_OK;
}

static void a_repair_that_looked_before_the_move_does_not_name_the_old_place(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places)};
    const struct catalog_repair_options options = {
        .dataset = lh_lit("t"), .count_rows = other_rows, .context = &meanwhile};
    struct catalog_repair repair;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(
        catalog_resync(places.lake.catalog, &options, places.lake.arena, &repair, &err), LH_RACE);
    assert_int_equal(two_places_read(&places.lake, "t", 0, "other"), 2);
    two_places_remove(&places);
}

static void what_expires_after_moves_goes_wherever_it_is(void **state)
{
    struct two_places places;
    struct meanwhile meanwhile = {.places = &places, .id = two_files(&places)};
    (void)state;
    must_move(&places.lake, meanwhile.id, "other");
    replace_and_expire(&meanwhile);
    assert_int_equal(two_places_count(&places.lake, "other"), 0);
    assert_int_equal(two_places_count(&places.lake, "primary"), 1);
    must_move(&places.lake, meanwhile.id, "other");
    assert_int_equal(two_places_count(&places.lake, "primary"), 0);
    two_places_remove(&places);
}

static void a_copy_that_is_damaged_is_not_taken_for_the_file(void **state)
{
    struct two_places places;
    struct lh_str id = two_files(&places);
    struct catalog_lake *lake = &places.lake;
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &dataset, &err), LH_OK);
    assert_int_equal(storage_put_exclusive(lake->storage, lh_lit("other"), dataset->objects[0]->key,
                                           lh_lit("not these bytes"), &err),
                     LH_OK);
    catalog_snapshot_unref(snapshot);
    must_move(lake, id, "other");
    assert_int_equal(two_places_read(lake, "t", 0, "other"), 2);
    two_places_remove(&places);
}

static void a_file_that_is_damaged_is_not_moved(void **state)
{
    struct two_places places;
    struct lh_str id = two_files(&places);
    struct catalog_lake *lake = &places.lake;
    struct lh_error err = LH_ERROR_NONE;
    char command[9000];
    (void)state;
    snprintf(command, sizeof command,
             "for f in '%s'/datasets/*/*.parquet; do cp $f $f.kept; printf x | dd of=$f bs=1 "
             "conv=notrunc status=none; break; done",
             lake->folder.path);
    assert_int_equal(system(command), 0);
    assert_int_equal(two_places_move(lake, id, "other", NULL, &err), LH_DAMAGED);
    assert_non_null(strstr(err.message, ".parquet"));
    assert_int_equal(two_places_count(lake, "other"), 0);
    snprintf(command, sizeof command, "for f in '%s'/datasets/*/*.kept; do mv $f ${f%%.kept}; done",
             lake->folder.path);
    assert_int_equal(system(command), 0);
    must_move(lake, id, "other");
    two_places_remove(&places);
}

static void a_bucket_that_is_not_there_is_told(void **state)
{
    struct two_places places;
    struct lh_str id = two_files(&places);
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(two_places_move(&places.lake, id, "nowhere", NULL, &err), LH_NOT_FOUND);
    assert_non_null(strstr(err.hint, "other"));
    assert_int_equal(two_places_move(&places.lake, lh_lit("019a3c5e-7d20-7b6e-9a51-3f0c2b8d4e61"),
                                     "other", NULL, &err),
                     LH_NOT_FOUND);
    two_places_remove(&places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_read_where_it_went_and_again_after_opening),
        cmocka_unit_test(checkpoints_and_many_moves_tell_where_files_are),
        cmocka_unit_test(rows_that_are_appended_meanwhile_are_moved_too),
        cmocka_unit_test(a_dataset_that_is_dropped_meanwhile_comes_back_whole),
        cmocka_unit_test(a_dataset_that_is_renamed_meanwhile_is_moved),
        cmocka_unit_test(what_expires_meanwhile_is_not_brought_along),
        cmocka_unit_test(a_cancelled_move_leaves_nothing_behind),
        cmocka_unit_test(two_moves_of_one_dataset_are_not_made_at_once),
        cmocka_unit_test(a_bucket_that_fails_half_way_changes_nothing),
        cmocka_unit_test(readers_keep_what_they_began_with_until_they_end),
        cmocka_unit_test(a_repair_that_looked_before_the_move_does_not_name_the_old_place),
        cmocka_unit_test(what_expires_after_moves_goes_wherever_it_is),
        cmocka_unit_test(a_copy_that_is_damaged_is_not_taken_for_the_file),
        cmocka_unit_test(a_file_that_is_damaged_is_not_moved),
        cmocka_unit_test(a_bucket_that_is_not_there_is_told),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
