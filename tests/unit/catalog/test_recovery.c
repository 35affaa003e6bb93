/* What opening makes of a folder after kills, damage, gaps, newer releases and other writers. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "catalog/erase.h"
#include "support/catalog_lake.h"

static int set_up(void **state)
{
    struct catalog_lake *lake = calloc(1, sizeof *lake);
    catalog_lake_make(lake);
    catalog_lake_open(lake);
    *state = lake;
    return 0;
}

static int tear_down(void **state)
{
    lh_fault_plan(NULL);
    catalog_lake_remove(*state);
    free(*state);
    return 0;
}

static void flip_byte(const char *path, off_t at)
{
    unsigned char byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static size_t problem_count(struct catalog_lake *lake)
{
    struct catalog_problem *problems;
    size_t count = 0;
    catalog_problems(lake->catalog, lake->arena, &problems, &count);
    return count;
}

static enum lh_code find(struct catalog_lake *lake, const char *name)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    enum lh_code code = catalog_find(snapshot, lh_str_of(name), &dataset, NULL);
    catalog_snapshot_unref(snapshot);
    return code;
}

static void after_a_clean_end_nothing_is_published_anew(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_append(lake, id, 4);
    catalog_lake_reopen(lake);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_version(lake, "t"), 2);
    assert_int_equal(catalog_epoch(lake->catalog), 3);
}

static void after_a_kill_the_newest_commit_is_published_anew_and_either_copy_suffices(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_append(lake, id, 4);
    for (int kills = 1; kills <= 12; kills++) {
        catalog_lake_crash(lake);
        catalog_lake_open(lake);
        assert_int_equal(catalog_lake_version(lake, "t"), 2 + kills);
        assert_int_equal(catalog_lake_rows(lake, "t"), 7);
        catalog_lake_is_clean(lake);
    }
    catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    /* The power cut that took the name of the first copy, and of some of the others. */
    for (int64_t version = 2; version <= 13; version++)
        assert_int_equal(unlink(catalog_lake_manifest(lake, id, version)), 0);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 8);
    assert_int_equal(problem_count(lake), 0);
    catalog_lake_is_clean(lake);
}

static void a_first_version_is_published_anew_without_a_parent(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_crash(lake);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_version(lake, "t"), 2);
    catalog_lake_close(lake);
    assert_int_equal(unlink(catalog_lake_manifest(lake, id, 1)), 0);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 3);
    catalog_lake_is_clean(lake);
}

static void a_damaged_newest_version_is_never_rolled_back_silently(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_create(lake, "other", 9);
    catalog_lake_append(lake, id, 4);
    catalog_lake_close(lake);
    flip_byte(catalog_lake_manifest(lake, id, 2), 200);
    catalog_lake_open(lake);
    assert_int_equal(find(lake, "t"), LH_DAMAGED);
    assert_int_equal(catalog_lake_try_append(lake, id, 1, NULL, &err), LH_DAMAGED);
    assert_int_equal(catalog_lake_try_create(lake, "t", 1, NULL, &err), LH_EXISTS);
    assert_int_equal(problem_count(lake), 1);
    assert_int_equal(catalog_lake_rows(lake, "other"), 9);
    catalog_lake_create(lake, "third", 1);
    /* Asked for by number, what is whole can be read. */
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct catalog_as_of first = {CATALOG_AT_VERSION, 1}, second = {CATALOG_AT_VERSION, 2};
    assert_int_equal(catalog_find_at(lake->catalog, snapshot, lh_lit("t"), second, &dataset, &err),
                     LH_DAMAGED);
    assert_int_equal(catalog_find_at(lake->catalog, snapshot, lh_lit("t"), first, &dataset, &err),
                     LH_OK);
    assert_int_equal(dataset->row_count, 3);
    catalog_dataset_unref(dataset);
    catalog_snapshot_unref(snapshot);
    assert_true(catalog_lake_verify(lake, NULL) > 0);
}

static void a_missing_version_below_the_newest_is_damage(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    for (int i = 0; i < 40; i++)
        catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    assert_int_equal(unlink(catalog_lake_manifest(lake, id, 5)), 0); /* below the checkpoints */
    catalog_lake_open(lake);
    assert_int_equal(find(lake, "t"), LH_DAMAGED);
    assert_true(catalog_lake_verify(lake, NULL) > 0);
}

static void a_version_of_another_dataset_in_its_place_is_damage(void **state)
{
    struct catalog_lake *lake = *state;
    char from[4096];
    struct lh_str a = catalog_lake_create(lake, "a", 3), b = catalog_lake_create(lake, "b", 3);
    catalog_lake_append(lake, a, 1);
    catalog_lake_append(lake, b, 1);
    catalog_lake_close(lake);
    snprintf(from, sizeof from, "%s", catalog_lake_manifest(lake, a, 2));
    assert_int_equal(rename(from, catalog_lake_manifest(lake, b, 2)), 0);
    catalog_lake_open(lake);
    assert_int_equal(find(lake, "b"), LH_DAMAGED);
    assert_int_equal(find(lake, "a"), LH_DAMAGED); /* of whose version 2 nothing is left */
}

static void losing_the_newest_version_of_all_is_told(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    assert_int_equal(unlink(catalog_lake_manifest(lake, id, 2)), 0);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
    catalog_lake_open(lake);
    assert_int_equal(problem_count(lake), 1);
    struct catalog_commit_result result;
    assert_int_equal(catalog_lake_try_append(lake, id, 1, &result, NULL), LH_DAMAGED);
    struct lh_str other = catalog_lake_create(lake, "u", 1);
    assert_int_equal(catalog_lake_try_append(lake, other, 1, &result, NULL), LH_OK);
    assert_int_equal(result.sequence, 4); /* 2 is not given twice */
}

static void a_data_file_that_changed_is_found_before_it_is_read(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    (void)id;
    for (int round = 0; round < 2; round++) {
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
        const struct catalog_object *object = catalog_snapshot_item(snapshot, 0)->objects[0];
        assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, &err), LH_OK);
        assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, &err), LH_OK);
        catalog_snapshot_unref(snapshot);
        catalog_lake_reopen(lake);
    }
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_object *object = catalog_snapshot_item(snapshot, 0)->objects[0];
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, &err), LH_OK);
    const char *path = temp_lake_file(&lake->folder, object->key.data);
    chmod(path, 0600);
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    struct timespec times[2] = {before.st_atim, before.st_mtim};
    flip_byte(path, 5);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0); /* as if nobody had written */
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, &err), LH_DAMAGED);
    assert_non_null(strstr(err.message, "checksum"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, &err), LH_DAMAGED);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, &err), LH_DAMAGED);
    assert_int_equal(unlink(path), 0);
    catalog_snapshot_unref(snapshot);
    assert_true(catalog_lake_verify(lake, NULL) == 1);
}

static void checking_a_file_ends_when_nobody_wants_it_any_more(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_cancel cancel;
    catalog_lake_create(lake, "t", 3);
    catalog_lake_reopen(lake);
    lh_cancel_init(&cancel);
    lh_cancel_fire(&cancel, LH_CANCELLED);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_object *object = catalog_snapshot_item(snapshot, 0)->objects[0];
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, &cancel, NULL), LH_CANCELLED);
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, NULL, NULL), LH_OK);
    assert_int_equal(catalog_ensure_verified(lake->catalog, object, &cancel, NULL), LH_OK);
    catalog_snapshot_unref(snapshot);
}

static void a_newest_version_that_vanished_is_missed_until_it_is_back(void **state)
{
    struct catalog_lake *lake = *state;
    char away[4096];
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct lh_str other = catalog_lake_create(lake, "u", 1);
    catalog_lake_append(lake, id, 4);
    catalog_lake_close(lake);
    const char *path = catalog_lake_manifest(lake, id, 2);
    snprintf(away, sizeof away, "%s.away", path);
    assert_int_equal(rename(path, away), 0);
    for (int round = 0; round < 3; round++) {
        assert_true(catalog_lake_verify(lake, NULL) > 0);
        catalog_lake_open(lake);
        assert_int_equal(find(lake, "t"), LH_DAMAGED);
        assert_int_equal(catalog_lake_try_append(lake, id, 1, NULL, NULL), LH_DAMAGED);
        assert_true(problem_count(lake) > 0);
        catalog_lake_append(lake, other, 1); /* the others go on */
        catalog_lake_close(lake);
    }
    assert_int_equal(rename(away, catalog_lake_manifest(lake, id, 2)), 0);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 7);
    assert_int_equal(catalog_lake_rows(lake, "u"), 4);
    assert_int_equal(problem_count(lake), 0);
    catalog_lake_is_clean(lake);
}

static void a_dataset_whose_folder_vanished_is_missed(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_create(lake, "u", 3);
    catalog_lake_close(lake);
    assert_int_equal(unlink(catalog_lake_manifest(lake, id, 1)), 0);
    for (int round = 0; round < 2; round++) {
        assert_true(catalog_lake_verify(lake, NULL) > 0);
        catalog_lake_open(lake);
        assert_int_equal(problem_count(lake), 1);
        assert_int_equal(catalog_lake_rows(lake, "u"), 3);
        catalog_lake_close(lake);
    }
}

static void sequences_of_versions_that_cannot_be_read_are_not_given_again(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str a = catalog_lake_create(lake, "a", 1);
    struct lh_str b = catalog_lake_create(lake, "b", 1);
    catalog_lake_append(lake, b, 1);
    catalog_lake_append(lake, b, 1);
    catalog_lake_crash(lake);
    const char *path = catalog_lake_manifest(lake, b, 3);
    chmod(path, 0600);
    flip_byte(path, 40);
    catalog_lake_open(lake);
    assert_int_equal(find(lake, "b"), LH_DAMAGED);
    catalog_lake_append(lake, a, 1);
    catalog_lake_close(lake);
    flip_byte(catalog_lake_manifest(lake, b, 3), 40); /* restored */
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "b"), 3);
    catalog_lake_is_clean(lake);
}

static void verification_in_the_background_names_the_damaged_dataset(void **state)
{
    struct catalog_lake *lake = *state;
    struct catalog_object object;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_create(lake, "u", 3);
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    struct catalog_change append = {
        .action = CATALOG_APPEND, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(catalog_lake_commit(lake, &append, NULL, NULL), LH_OK);
    catalog_lake_close(lake);
    flip_byte(temp_lake_file(&lake->folder, object.key.data), 3);
    catalog_lake_open(lake);
    assert_int_equal(problem_count(lake), 0);
    int rounds = 1;
    while (catalog_verify_some(lake->catalog, 1, NULL))
        rounds++;
    assert_int_equal(rounds, 4); /* one file each, and one to see that nothing is left */
    assert_int_equal(problem_count(lake), 1);
}

static void a_missing_data_file_is_a_problem_from_the_start(void **state)
{
    struct catalog_lake *lake = *state;
    catalog_lake_create(lake, "t", 3);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const char *path =
        temp_lake_file(&lake->folder, catalog_snapshot_item(snapshot, 0)->objects[0]->key.data);
    assert_int_equal(unlink(path), 0);
    catalog_snapshot_unref(snapshot);
    catalog_lake_reopen(lake);
    assert_int_equal(problem_count(lake), 1);
    assert_int_equal(find(lake, "t"), LH_OK);
}

static void files_of_writers_that_never_committed_are_swept_and_no_others(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_object object;
    struct catalog_report report;
    size_t moved = 0;
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    struct catalog_change replace = {
        .action = CATALOG_REPLACE, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(catalog_lake_commit(lake, &replace, NULL, NULL), LH_OK);
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    assert_int_equal(catalog_lake_file(lake, lh_uuid_str(&uuid), 5, lake->arena, &object, NULL),
                     LH_OK);
    assert_int_equal(catalog_lake_verify(lake, &report), 0);
    assert_int_equal(report.orphans, 2);
    assert_int_equal(catalog_sweep(lake->catalog, &moved, &err), LH_OK);
    assert_int_equal(moved, 0); /* their writer may still be about to commit */
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    assert_int_equal(catalog_sweep(lake->catalog, &moved, &err), LH_OK);
    assert_int_equal(moved, 2);
    assert_int_equal(catalog_lake_verify(lake, &report), 0);
    assert_int_equal(report.orphans, 1);
    assert_int_equal(report.objects, 2);
}

static void rows_that_were_not_taken_are_swept_only_if_nobody_names_them(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_object object;
    size_t moved = 0;
    char folder[256], named[300], orphan[300];
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    snprintf(folder, sizeof folder, "datasets/%.*s/rejects", LH_ARG(id));
    snprintf(named, sizeof named, "%s/a.parquet", folder);
    snprintf(orphan, sizeof orphan, "%s/b.parquet", folder);
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    object.rejects = lh_str_of(named);
    object.rejected_rows = 1;
    struct catalog_change append = {
        .action = CATALOG_APPEND, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(catalog_lake_commit(lake, &append, NULL, NULL), LH_OK);
    assert_int_equal(mkdir(temp_lake_file(&lake->folder, folder), 0700), 0);
    temp_lake_write(&lake->folder, named, "a", 1);
    temp_lake_write(&lake->folder, orphan, "b", 1);
    catalog_lake_reopen(lake);
    /* A sweep that fails is tried again. */
    assert_true(lh_fault_plan("file.publish=1:EIO"));
    assert_true(catalog_sweep(lake->catalog, &moved, &err) != LH_OK);
    lh_fault_plan(NULL);
    assert_int_equal(catalog_sweep(lake->catalog, &moved, &err), LH_OK);
    assert_int_equal(moved, 1);
    assert_int_equal(access(temp_lake_file(&lake->folder, named), F_OK), 0);
    assert_int_equal(access(temp_lake_file(&lake->folder, orphan), F_OK), -1);
    catalog_lake_is_clean(lake);
}

static void a_writer_stops_when_a_later_one_has_begun(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    temp_lake_write(&lake->folder, "_catalog/epochs/00000000000000000002.json", "{}", 2);
    assert_int_equal(catalog_lake_try_append(lake, id, 1, NULL, &err), LH_LOCKED);
    assert_false(catalog_is_writable(lake->catalog));
    assert_int_equal(catalog_lake_try_append(lake, id, 1, NULL, &err), LH_LOCKED);
    assert_int_equal(catalog_lake_rows(lake, "t"), 3);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_append(lake, id, 1), 3); /* 2 is 1, published anew */
}

static void a_lost_race_is_rebased_on_what_the_winner_made(void **state)
{
    struct catalog_lake *lake = *state;
    char winner[4096], bytes[65536];
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    catalog_lake_append(lake, id, 10);
    snprintf(winner, sizeof winner, "%s", catalog_lake_manifest(lake, id, 2));
    int fd = open(winner, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, bytes, sizeof bytes);
    assert_true(size > 0);
    close(fd);
    /* The writer does not know of version 2 any more when somebody puts it back behind its back. */
    static const char note[] = "{\"epoch\":1,\"format\":1,\"sequence\":1}\n";
    catalog_lake_close(lake);
    assert_int_equal(unlink(winner), 0);
    const char *closed = "_catalog/epochs/00000000000000000001.closed.json";
    assert_int_equal(unlink(temp_lake_file(&lake->folder, closed)), 0);
    temp_lake_write(&lake->folder, closed, note, sizeof note - 1);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_version(lake, "t"), 1);
    char name[256];
    snprintf(name, sizeof name, "_catalog/datasets/%.*s/%020d.json", LH_ARG(id), 2);
    temp_lake_write(&lake->folder, name, bytes, (size_t)size);
    assert_int_equal(catalog_lake_append(lake, id, 100), 3);
    assert_int_equal(catalog_lake_rows(lake, "t"), 113);
}

#ifdef LH_FAULTS
static void after_an_unknown_outcome_writing_stops_and_the_next_open_settles_it(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_object object;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    struct catalog_change append = {
        .action = CATALOG_APPEND, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_true(lh_fault_plan("dir.sync=1:EIO"));
    enum lh_code code = catalog_lake_commit(lake, &append, NULL, &err);
    bool was_struck = lh_fault_was_struck();
    lh_fault_plan(NULL);
    assert_true(was_struck);
    assert_int_equal(code, LH_UNKNOWN);
    assert_false(catalog_is_writable(lake->catalog));
    assert_int_equal(catalog_lake_rows(lake, "t"), 3); /* readers never saw it */
    struct lh_str_list named = {0}; /* nor may its file go as one that nobody names */
    assert_int_equal(catalog_erase_named(lake->catalog, lake->arena, &named, &err), LH_UNKNOWN);
    assert_int_equal(catalog_lake_commit(lake, &append, NULL, &err), LH_UNKNOWN);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 8);
    assert_int_equal(catalog_lake_version(lake, "t"), 3);
    assert_true(catalog_is_writable(lake->catalog));
    catalog_lake_is_clean(lake);
}

static unsigned syncs_of_open_after_a_kill(struct catalog_lake *lake, int datasets)
{
    const char *points[1000];
    unsigned syncs = 0;
    for (int i = 0; i < datasets; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        catalog_lake_create(lake, name, 1);
    }
    catalog_lake_crash(lake);
    assert_true(lh_fault_plan("nothing=1:EIO"));
    catalog_lake_open(lake);
    size_t count = lh_fault_trace(points, 1000);
    lh_fault_plan(NULL);
    for (size_t i = 0; i < count; i++)
        syncs += strcmp(points[i], "dir.sync") == 0;
    for (int i = 0; i < datasets; i++) {
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
        struct catalog_change drop = {.action = CATALOG_DROP,
                                      .dataset_id = catalog_snapshot_item(snapshot, 0)->id};
        assert_int_equal(catalog_lake_commit(lake, &drop, NULL, NULL), LH_OK);
        catalog_snapshot_unref(snapshot);
    }
    catalog_lake_reopen(lake);
    return syncs;
}

static void after_a_kill_the_folder_of_every_dataset_is_made_durable_before_it_is_read(void **state)
{
    struct catalog_lake *lake = *state;
    catalog_lake_reopen(lake); /* folders of the layout exist from here on */
    unsigned one = syncs_of_open_after_a_kill(lake, 1), five = syncs_of_open_after_a_kill(lake, 5);
    assert_true(one >= 1);
    assert_int_equal(five, one + 4);
}
#endif

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(after_a_clean_end_nothing_is_published_anew),
        TEST(after_a_kill_the_newest_commit_is_published_anew_and_either_copy_suffices),
        TEST(a_first_version_is_published_anew_without_a_parent),
        TEST(a_damaged_newest_version_is_never_rolled_back_silently),
        TEST(a_missing_version_below_the_newest_is_damage),
        TEST(a_version_of_another_dataset_in_its_place_is_damage),
        TEST(losing_the_newest_version_of_all_is_told),
        TEST(a_data_file_that_changed_is_found_before_it_is_read),
        TEST(rows_that_were_not_taken_are_swept_only_if_nobody_names_them),
        TEST(checking_a_file_ends_when_nobody_wants_it_any_more),
        TEST(a_newest_version_that_vanished_is_missed_until_it_is_back),
        TEST(a_dataset_whose_folder_vanished_is_missed),
        TEST(sequences_of_versions_that_cannot_be_read_are_not_given_again),
        TEST(verification_in_the_background_names_the_damaged_dataset),
        TEST(a_missing_data_file_is_a_problem_from_the_start),
        TEST(files_of_writers_that_never_committed_are_swept_and_no_others),
        TEST(a_writer_stops_when_a_later_one_has_begun),
        TEST(a_lost_race_is_rebased_on_what_the_winner_made),
#ifdef LH_FAULTS
        TEST(after_an_unknown_outcome_writing_stops_and_the_next_open_settles_it),
        TEST(after_a_kill_the_folder_of_every_dataset_is_made_durable_before_it_is_read),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
