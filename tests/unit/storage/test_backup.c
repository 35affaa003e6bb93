#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "catalog/moment.h"
#include "support/backed_lake.h"

static struct backed_lake backed;

static int make(void **state)
{
    (void)state;
    backed_lake_make(&backed);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    backed_lake_remove(&backed);
    return 0;
}

static void backs_up(struct storage_backup_result *ret)
{
    struct lh_error err;
    if (backed_lake_backup(&backed, false, ret, &err))
        fail_msg("%s", err.message);
}

static void restores(int64_t number, int64_t old_rows, int64_t new_rows)
{
    struct lh_error err;
    int64_t old_found = 0, new_found = 0;
    if (backed_lake_restore(&backed, number, false, &err))
        fail_msg("%s", err.message);
    backed_lake_look(&backed, &old_found, &new_found);
    assert_int_equal(old_found, old_rows);
    assert_int_equal(new_found, new_rows);
}

static void flip(const char *path, long at, int bit)
{
    FILE *file = fopen(path, "r+b");
    if (!file)
        fail_msg("%s cannot be opened", path);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_true(byte != EOF);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1 << bit, file), byte ^ 1 << bit);
    assert_int_equal(fclose(file), 0);
}

static long size_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    fclose(file);
    return size;
}

static void each_backup_is_the_lake_of_its_moment(void **state)
{
    struct storage_backup_result first, second, third;
    (void)state;
    backs_up(&first);
    struct lh_str id = catalog_lake_create(&backed.lake, "new", 5);
    catalog_lake_append(&backed.lake, id, 6);
    backs_up(&second);
    catalog_lake_commit(&backed.lake,
                        &(struct catalog_change){.action = CATALOG_DROP, .dataset_id = id}, NULL,
                        NULL);
    backs_up(&third);
    assert_int_equal(first.number, 1);
    assert_int_equal(third.number, 3);
    assert_true(second.sequence > first.sequence && third.sequence > second.sequence);
    restores(1, 3, -1);
    restores(2, 3, 11);
    restores(0, 3, -1);
}

static void only_what_is_new_is_copied(void **state)
{
    struct storage_backup_result first, second, third;
    (void)state;
    backs_up(&first);
    backs_up(&second);
    assert_int_equal(first.copied_count, first.file_count);
    assert_true(second.copied_count <= 2); /* the folder's identity and the note of the end */
    catalog_lake_create(&backed.lake, "new", 5);
    backs_up(&third);
    assert_int_equal(third.copied_count, second.copied_count + 2); /* a file and its manifest */
}

/* A backup that may be stopped in a phase, and what it told. */
struct told {
    struct lh_cancel cancel;
    const char *stop_in;
    struct storage_backup_progress last;
};

static void hear(void *context, const struct storage_backup_progress *progress)
{
    struct told *told = context;
    told->last = *progress;
    if (told->stop_in && strcmp(progress->phase, told->stop_in) == 0)
        lh_cancel_fire(&told->cancel, LH_CANCELLED);
}

static enum lh_code backs_up_as(struct lh_str job, const char *stop_in, struct told *told,
                                struct storage_backup_result *ret)
{
    struct lh_error err;
    struct catalog_moment *moment = catalog_moment_new(backed.lake.catalog);
    *told = (struct told){.stop_in = stop_in};
    lh_cancel_init(&told->cancel);
    const struct storage_backup_options options = {
        .path = lh_str_of(backed_lake_file(&backed, "")),
        .source = catalog_moment_source(moment),
        .job = job,
        .cancel = &told->cancel,
        .tell = hear,
        .tell_context = told,
    };
    enum lh_code code = storage_backup(backed.lake.storage, &options, ret, &err);
    catalog_moment_free(moment);
    return code;
}

/* A data file's name in the store is known from its manifest, without a list that names it. */
static void what_a_backup_that_was_cut_off_copied_is_not_read_again(void **state)
{
    struct storage_backup_result result;
    struct told told;
    char before[64][160];
    (void)state;
    for (int64_t i = 0; i < 5; i++)
        catalog_lake_append(
            &backed.lake,
            catalog_lake_create(&backed.lake, i ? (char[]){'a' + (char)i, 0} : "new", 5), 6);
    assert_int_equal(backs_up_as((struct lh_str){0}, "ending", &told, &result), LH_OK);
    int64_t all = result.copied_count;
    size_t objects = backed_lake_files(&backed, "objects", before, 64);
    assert_true(objects > 10);
    assert_int_equal(remove(backed_lake_file(&backed, "snapshots/00000000000000000001.txt")),
                     0); /* cut off right before its list */
    assert_int_equal(backs_up_as((struct lh_str){0}, NULL, &told, &result), LH_OK);
    assert_int_equal(result.number, 1);
    assert_true(result.copied_count <= all - 11); /* the files of six datasets, twice of five */
    assert_int_equal(told.last.files_done, result.copied_count);
    assert_int_equal(told.last.bytes_done, result.copied_bytes);
    assert_int_equal(told.last.bytes_total, result.copied_bytes);
    restores(0, 3, 11);
}

static int touch(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    return kind == FTW_F ? chmod(path, status->st_mode) : 0;
}

/* As a copy of the lake in another place has them: what is asked for room is what is copied. */
static void a_lake_whose_files_only_look_new_needs_no_room(void **state)
{
    struct storage_backup_result result, touched;
    struct told told;
    (void)state;
    struct lh_str id = catalog_lake_create(&backed.lake, "new", 5);
    for (int64_t i = 0; i < 5; i++)
        catalog_lake_append(&backed.lake, id, 6);
    backs_up(&result);
    struct timespec tick = {.tv_nsec = 20000000}; /* longer than clocks of file systems tick */
    nanosleep(&tick, NULL);
    assert_int_equal(nftw(backed.lake.folder.path, touch, 8, FTW_PHYS), 0);
    assert_int_equal(backs_up_as((struct lh_str){0}, NULL, &told, &touched), LH_OK);
    /* Manifests and the catalog's small files: no sum of theirs is known without reading them. */
    assert_true(touched.copied_count > 0);
    assert_true(touched.copied_count <= result.copied_count - 7);
    assert_int_equal(told.last.bytes_total, touched.copied_bytes);
    restores(0, 3, 35);
}

static void what_was_read_already_is_known_by_its_sum(void **state)
{
    struct storage_backup_result result;
    char key[64];
    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "settings/%d", i);
        assert_int_equal(storage_put_exclusive(backed.lake.storage, STORAGE_PRIMARY, lh_str_of(key),
                                               lh_lit("the same"), NULL),
                         LH_OK);
    }
    backs_up(&result);
    int64_t first = result.copied_count;
    backs_up(&result);
    int64_t usual = result.copied_count;
    assert_true(usual < first);
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "settings/other-%d", i);
        assert_int_equal(storage_put_exclusive(backed.lake.storage, STORAGE_PRIMARY, lh_str_of(key),
                                               lh_lit("the same"), NULL),
                         LH_OK);
    }
    backs_up(&result);
    assert_int_equal(result.copied_count, usual);
    restores(0, 3, -1);
}

static void a_backup_that_is_cancelled_leaves_the_earlier_ones(void **state)
{
    static const char *const phases[] = {"listing", "comparing", "copying"};
    struct storage_backup_result result;
    struct told told;
    (void)state;
    backs_up(&result);
    catalog_lake_create(&backed.lake, "new", 5);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        assert_int_equal(backs_up_as((struct lh_str){0}, phases[i], &told, &result), LH_CANCELLED);
    restores(0, 3, -1);
    backs_up(&result);
    assert_int_equal(result.number, 2);
    restores(0, 3, 5);
}

static void the_backup_of_a_job_is_found_again_with_what_was_answered(void **state)
{
    struct lh_uuid job = lh_uuid_new(), other = lh_uuid_new();
    struct storage_backup_result made, found, later;
    struct lh_error err;
    struct told told;
    bool is_there = true;
    struct lh_str path = lh_arena_str(backed.lake.arena, lh_str_of(backed_lake_file(&backed, "")));
    (void)state;
    assert_int_equal(
        storage_backup_of_job(path, lh_uuid_str(&job), backed.lake.arena, &is_there, &found, &err),
        LH_OK);
    assert_false(is_there); /* there is no folder yet, and none is made */
    backs_up(&later);
    assert_int_equal(backs_up_as(lh_uuid_str(&job), NULL, &told, &made), LH_OK);
    backs_up(&later);
    assert_int_equal(storage_backup_of_job(path, lh_uuid_str(&other), backed.lake.arena, &is_there,
                                           &found, &err),
                     LH_OK);
    assert_false(is_there);
    assert_int_equal(
        storage_backup_of_job(path, lh_uuid_str(&job), backed.lake.arena, &is_there, &found, &err),
        LH_OK);
    assert_true(is_there);
    assert_int_equal(found.number, 2);
    assert_int_equal(found.sequence, made.sequence);
    assert_int_equal(found.file_count, made.file_count);
    assert_int_equal(found.byte_count, made.byte_count);
    assert_int_equal(found.copied_count, made.copied_count);
    assert_int_equal(found.copied_bytes, made.copied_bytes);
    assert_int_equal(found.held_us, made.held_us);
#ifdef LH_FAULTS
    assert_true(lh_fault_plan("dir.sync=1:EIO")); /* a kill may have come before the list's name */
    assert_int_equal(                             /* was durable: then it must be made so */
                     storage_backup_of_job(path, lh_uuid_str(&job), backed.lake.arena, &is_there,
                                           &found, &err),
                     LH_IO);
    assert_true(lh_fault_plan(NULL));
#endif
}

static void a_restore_never_touches_what_is_there(void **state)
{
    struct lh_error err;
    struct storage_backup_result result;
    (void)state;
    backs_up(&result);
    temp_lake_write(&backed.target, "mine", "x", 1);
    const struct storage_restore_options options = {
        .path = lh_str_of(backed_lake_file(&backed, "")),
        .target = temp_lake_path(&backed.target),
    };
    struct storage_restore_result restored;
    assert_int_equal(storage_restore(&options, &restored, &err), LH_CONFLICT);
    assert_non_null(strstr(err.message, "'mine'"));
    assert_int_equal(backed_lake_restore(&backed, 7, true, &err), LH_NOT_FOUND);
    restores(0, 3, -1);
}

static void a_folder_of_something_else_is_no_backup(void **state)
{
    struct lh_error err;
    (void)state;
    assert_int_equal(backed_lake_restore(&backed, 0, true, &err), LH_NOT_FOUND);
    const struct {
        const char *path;
        enum lh_code code;
    } rows[] = {{"relative", LH_INVALID},
                {backed.lake.folder.path, LH_CONFLICT},
                {backed.target.path, LH_CONFLICT}};
    temp_lake_write(&backed.target, "mine", "x", 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct storage_backup_options options = {.path = lh_str_of(rows[i].path)};
        struct storage_backup_result result;
        assert_int_equal(storage_backup(backed.lake.storage, &options, &result, &err),
                         rows[i].code);
    }
    struct backed_lake other;
    struct storage_backup_result result;
    backs_up(&result);
    backed_lake_make(&other);
    const struct storage_backup_options options = {.path =
                                                       lh_str_of(backed_lake_file(&backed, ""))};
    assert_int_equal(storage_backup(other.lake.storage, &options, &result, &err), LH_CONFLICT);
    assert_non_null(strstr(err.message, "another lake"));
    backed_lake_remove(&other);
}

/* Every byte of a small backup in turn, one bit each: refused before the target is made. */
static void no_flipped_bit_of_a_backup_is_restored(void **state)
{
    static char paths[64][160];
    struct storage_backup_result result;
    struct lh_error err;
    unsigned flips = 0;
    (void)state;
    backs_up(&result);
    size_t count = backed_lake_files(&backed, "objects", paths, 64);
    count += backed_lake_files(&backed, "snapshots", paths + count, 64 - count);
    assert_true(count >= 5);
    for (size_t i = 0; i < count; i++) {
        char path[4400];
        snprintf(path, sizeof(path), "%s", backed_lake_file(&backed, paths[i]));
        long size = size_of(path);
        for (long at = 0; at < size; at += 1 + size / 60) {
            int bit = (int)(at % 8);
            flip(path, at, bit);
            enum lh_code code = backed_lake_restore(&backed, 0, false, &err);
            if (code != LH_DAMAGED && code != LH_NOT_FOUND)
                fail_msg("%s, byte %ld: %d %s", paths[i], at, code, err.message);
            assert_false(temp_lake_has(&backed.target, "r"));
            flip(path, at, bit);
            flips++;
        }
    }
    /* A cut file, and one that is gone. */
    char last[4400];
    snprintf(last, sizeof(last), "%s", backed_lake_file(&backed, paths[0]));
    assert_int_equal(truncate(last, size_of(last) - 1), 0);
    assert_int_equal(backed_lake_restore(&backed, 0, false, &err), LH_DAMAGED);
    assert_int_equal(unlink(last), 0);
    assert_int_equal(backed_lake_restore(&backed, 0, false, &err), LH_DAMAGED);
    assert_false(temp_lake_has(&backed.target, "r"));
    printf("figure: backup: %u damages, each found before anything was written\n", flips);
}

static void damage_of_a_backup_is_mended_from_the_lake(void **state)
{
    static char paths[64][160];
    struct storage_backup_result result;
    struct lh_error err;
    (void)state;
    catalog_lake_create(&backed.lake, "new", 5);
    backs_up(&result);
    size_t count = backed_lake_files(&backed, "objects", paths, 64);
    for (size_t i = 0; i < count; i++)
        flip(backed_lake_file(&backed, paths[i]), 3, 2);
    assert_int_equal(backed_lake_restore(&backed, 0, true, &err), LH_DAMAGED);
    assert_int_equal(backed_lake_backup(&backed, true, &result, &err), LH_OK);
    assert_true(result.mended_count >= 4);
    restores(2, 3, 5);
}

static void a_damaged_file_of_the_lake_is_named_and_not_backed_up(void **state)
{
    struct storage_backup_result result;
    struct lh_error err;
    const struct catalog_dataset *dataset = NULL;
    char path[4400];
    (void)state;
    backs_up(&result);
    catalog_lake_create(&backed.lake, "new", 5);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(backed.lake.catalog);
    assert_int_equal(catalog_find(snapshot, lh_lit("new"), &dataset, NULL), LH_OK);
    snprintf(path, sizeof(path), "%s/%.*s", backed.lake.folder.path,
             LH_ARG(dataset->objects[0]->key));
    catalog_snapshot_unref(snapshot);
    flip(path, 2, 1);
    assert_int_equal(backed_lake_backup(&backed, false, &result, &err), LH_DAMAGED);
    assert_non_null(strstr(err.message, "datasets/"));
    restores(0, 3, -1); /* the earlier one is the newest */
    flip(path, 2, 1);
    backs_up(&result);
    assert_int_equal(result.number, 2);
    restores(0, 3, 5);
}

/* --- while others write */

struct writers {
    atomic_bool is_over;
    struct lh_str left, right;
    atomic_int rows;
};

/* One row to the left, then one to the right: at every moment left is right or one more. */
static void *write_both(void *context)
{
    struct writers *writers = context;
    while (!atomic_load(&writers->is_over)) {
        catalog_lake_append(&backed.lake, writers->left, 1);
        catalog_lake_append(&backed.lake, writers->right, 1);
        atomic_fetch_add(&writers->rows, 1);
        usleep(1000); /* a fast disk must not make the lake larger than the test needs */
    }
    return NULL;
}

static void a_backup_beside_a_writer_is_of_one_sequence(void **state)
{
    struct writers writers = {0};
    pthread_t thread;
    int64_t least[12], held_us = 0, files = 0;
    (void)state;
    writers.left = catalog_lake_create(&backed.lake, "left", 1);
    writers.right = catalog_lake_create(&backed.lake, "new", 1);
    assert_int_equal(pthread_create(&thread, NULL, write_both, &writers), 0);
    for (size_t i = 0; i < 12; i++) {
        struct storage_backup_result result;
        least[i] = atomic_load(&writers.rows);
        backs_up(&result);
        held_us = result.held_us > held_us ? result.held_us : held_us;
        files = result.file_count;
        usleep(3000);
    }
    atomic_store(&writers.is_over, true);
    pthread_join(thread, NULL);
    for (int64_t i = 0; i < 12; i++) {
        struct lh_error err;
        char path[4200];
        if (backed_lake_restore(&backed, i + 1, false, &err))
            fail_msg("%s", err.message);
        struct catalog_lake restored = {.arena = lh_arena_new(0)};
        snprintf(path, sizeof(path), "%s/r", backed.target.path);
        snprintf(restored.folder.path, sizeof(restored.folder.path), "%.4000s", path);
        catalog_lake_open(&restored);
        int64_t left = catalog_lake_rows(&restored, "left");
        catalog_lake_close(&restored);
        lh_arena_free(restored.arena);
        int64_t old_rows = 0, right = 0;
        backed_lake_look(&backed, &old_rows, &right);
        if (left != right && left != right + 1)
            fail_msg("backup %lld: %lld rows left, %lld right", (long long)i + 1, (long long)left,
                     (long long)right);
        assert_true(right >= 1 + least[i]); /* what was acknowledged before is in it */
    }
    printf(
        "figure: backup: 12 beside %d pairs of commits, each of one sequence; commits waited %lld "
        "us at most, of %lld files\n",
        atomic_load(&writers.rows), (long long)held_us, (long long)files);
}

#ifdef LH_FAULTS

static bool is_one_of(const char *call, const char *one, const char *other)
{
    return strcmp(call, one) == 0 || strcmp(call, other) == 0;
}

/* Of the calls since the plan was set: each file that was written was synced before it was closed
 * or named, and after the last name came the sync of its folder. */
static void check_durable(size_t files_min)
{
    static const char *calls[LH_FAULT_TRACE_MAX];
    size_t count = lh_fault_trace(calls, LH_FAULT_TRACE_MAX), made = 0;
    bool is_file_open = false, is_name_open = false;
    assert_true(count < LH_FAULT_TRACE_MAX);
    for (size_t i = 0; i < count; i++) {
        bool is_name = is_one_of(calls[i], "file.publish", "file.replace");
        if (is_file_open && (is_name || is_one_of(calls[i], "file.close", "file.create")))
            fail_msg("call %zu (%s) comes before the file is synced", i, calls[i]);
        made += strcmp(calls[i], "file.create") == 0;
        is_file_open = strcmp(calls[i], "file.write") == 0 ||
                       (is_file_open && strcmp(calls[i], "file.sync") != 0);
        is_name_open = is_name || (is_name_open && strcmp(calls[i], "dir.sync") != 0);
    }
    assert_true(made >= files_min);
    assert_false(is_file_open);
    assert_false(is_name_open);
}

/* The names of the files before the list that names them. */
static void check_list_is_last(void)
{
    static const char *calls[LH_FAULT_TRACE_MAX];
    size_t count = lh_fault_trace(calls, LH_FAULT_TRACE_MAX), names = 0, at = count, synced = 0;
    while (at > 0 && names < 2) {
        names += is_one_of(calls[--at], "file.publish", "file.replace");
        synced += names == 1 && strcmp(calls[at], "dir.sync") == 0;
    }
    assert_int_equal(names, 2);
    assert_true(synced >= 2); /* the folder of the file, and the one above it */
}

static void a_backup_and_what_is_restored_from_it_are_durable_before_they_are_named(void **state)
{
    struct storage_backup_result result;
    struct lh_error err;
    int64_t old_rows = 0, new_rows = 0;
    (void)state;
    assert_true(lh_fault_plan(NULL));
    backs_up(&result);
    check_durable((size_t)result.copied_count);
    check_list_is_last();
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(backed_lake_restore(&backed, 0, false, &err), LH_OK);
    check_durable((size_t)result.file_count);
    backed_lake_look(&backed, &old_rows, &new_rows);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef LH_FAULTS
        cmocka_unit_test_setup_teardown(
            a_backup_and_what_is_restored_from_it_are_durable_before_they_are_named, make, drop),
#endif
        cmocka_unit_test_setup_teardown(each_backup_is_the_lake_of_its_moment, make, drop),
        cmocka_unit_test_setup_teardown(only_what_is_new_is_copied, make, drop),
        cmocka_unit_test_setup_teardown(what_a_backup_that_was_cut_off_copied_is_not_read_again,
                                        make, drop),
        cmocka_unit_test_setup_teardown(a_lake_whose_files_only_look_new_needs_no_room, make, drop),
        cmocka_unit_test_setup_teardown(what_was_read_already_is_known_by_its_sum, make, drop),
        cmocka_unit_test_setup_teardown(a_backup_that_is_cancelled_leaves_the_earlier_ones, make,
                                        drop),
        cmocka_unit_test_setup_teardown(the_backup_of_a_job_is_found_again_with_what_was_answered,
                                        make, drop),
        cmocka_unit_test_setup_teardown(a_restore_never_touches_what_is_there, make, drop),
        cmocka_unit_test_setup_teardown(a_folder_of_something_else_is_no_backup, make, drop),
        cmocka_unit_test_setup_teardown(no_flipped_bit_of_a_backup_is_restored, make, drop),
        cmocka_unit_test_setup_teardown(damage_of_a_backup_is_mended_from_the_lake, make, drop),
        cmocka_unit_test_setup_teardown(a_damaged_file_of_the_lake_is_named_and_not_backed_up, make,
                                        drop),
        cmocka_unit_test_setup_teardown(a_backup_beside_a_writer_is_of_one_sequence, make, drop),
    };
    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
