/* Every call that a backup or a restore makes to the file system fails once, and from there on for
 * good, and every one of them is the place of a kill. The earlier backup is whole each time, the
 * next one comes through, and a restore that was cut off is continued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "support/backed_lake.h"
#include "support/fault_ways.h"
#include "support/killed_child.h"

#ifdef LH_FAULTS

#define STRIDE 7
#define POINTS_MAX 4000
#define PLAN_BYTES (KILLED_LINE_BYTES + 64)

static void must(enum lh_code code, const char *plan, const char *what, const struct lh_error *err)
{
    if (code)
        fail_msg("%s: %s: %s", plan, what, err->message);
}

static void prepare(struct backed_lake *backed)
{
    struct lh_error err;
    backed_lake_make(backed);
    backed_lake_spread(backed);
    must(backed_lake_backup(backed, false, NULL, &err), "before", "the first backup", &err);
    catalog_lake_create(&backed->lake, "new", 5);
    backed_lake_spread(backed);
}

/* The newest backup is this one, and a restore of it is the lake. */
static void newest_is(struct backed_lake *backed, int64_t new_rows, const char *plan)
{
    struct lh_error err;
    int64_t old_found = 0, new_found = 0;
    must(backed_lake_restore(backed, 0, false, &err), plan, "the restore", &err);
    backed_lake_look(backed, &old_found, &new_found);
    if (old_found != 3 || new_found != new_rows)
        fail_msg("%s: %lld and %lld rows were restored", plan, (long long)old_found,
                 (long long)new_found);
}

static struct fault_outcome back_up(const char *plan, unsigned at)
{
    struct backed_lake backed;
    struct fault_outcome ret = {0};
    struct lh_error err = LH_ERROR_NONE;
    prepare(&backed);
    assert_true(lh_fault_plan(plan));
    ret.told = backed_lake_backup(&backed, false, NULL, &err);
    fault_note(&ret, at);
    assert_true(lh_fault_plan(NULL));
    if (ret.told)
        assert_true(err.message[0] != '\0');
    /* A bucket whose folder cannot be looked at does not answer, whatever the look met. That it
     * meets a full disk is the plan's doing: no stat() says so. */
    if ((ret.told == LH_CONFLICT || ret.told == LH_IO) && ret.point &&
        !strcmp(ret.point, "file.info"))
        ret.told = LH_FULL;
    must(backed_lake_restore(&backed, 1, true, &err), plan, "the earlier backup", &err);
    if (!ret.told)
        newest_is(&backed, 5, plan);
    catalog_lake_append(&backed.lake, catalog_lake_create(&backed.lake, "after", 1), 1);
    must(backed_lake_backup(&backed, false, NULL, &err), plan, "the next backup", &err);
    newest_is(&backed, 5, plan);
    backed_lake_remove(&backed);
    return ret;
}

static struct fault_outcome restore(const char *plan, unsigned at)
{
    struct backed_lake backed;
    struct fault_outcome ret = {0};
    struct lh_error err = LH_ERROR_NONE;
    prepare(&backed);
    assert_true(lh_fault_plan(plan));
    ret.told = backed_lake_restore(&backed, 1, false, &err);
    fault_note(&ret, at);
    assert_true(lh_fault_plan(NULL));
    int64_t old_found = 0, new_found = 0;
    if (ret.told) { /* the same command again: it goes on, or begins */
        assert_true(err.message[0] != '\0');
        enum lh_code code = backed_lake_restore(&backed, 1, false, &err);
        /* All was done but the last sync: then it is a lake, and says so. */
        if (code && code != LH_CONFLICT)
            must(code, plan, "the restore again", &err);
    }
    backed_lake_look(&backed, &old_found, &new_found);
    assert_int_equal(old_found, 3);
    assert_int_equal(new_found, -1);
    backed_lake_remove(&backed);
    return ret;
}

static void a_call_of_a_backup_that_fails_leaves_the_earlier_one(void **state)
{
    (void)state;
    fault_ways_run("backup", back_up, 60, 5);
}

static void a_call_of_a_restore_that_fails_leaves_it_to_be_continued(void **state)
{
    (void)state;
    fault_ways_run("restore", restore, 60, 5);
}

/* --- kills */

/* In the child: the lake of the parent, which has it closed meanwhile. */
static int live(const char *folder, bool restores)
{
    struct backed_lake backed = {0};
    struct lh_error err;
    snprintf(backed.lake.folder.path, sizeof(backed.lake.folder.path), "%s/lake", folder);
    snprintf(backed.backup.path, sizeof(backed.backup.path), "%s", folder);
    snprintf(backed.target.path, sizeof(backed.target.path), "%s", folder);
    if (restores) {
        if (backed_lake_restore(&backed, 1, false, &err))
            return 1;
        return killed_child_end();
    }
    backed.lake.arena = lh_arena_new(0);
    if (catalog_lake_try_open(&backed.lake, &err) ||
        backed_lake_backup(&backed, false, NULL, &err) || !killed_child_acknowledge())
        return 1;
    catalog_lake_close(&backed.lake);
    lh_arena_free(backed.lake.arena);
    return killed_child_end();
}

static void make_in(struct temp_lake *folder, struct backed_lake *backed)
{
    struct lh_error err;
    temp_lake_make(folder);
    *backed = (struct backed_lake){.lake.arena = lh_arena_new(0)};
    snprintf(backed->lake.folder.path, sizeof(backed->lake.folder.path), "%.4000s/lake",
             folder->path);
    snprintf(backed->backup.path, sizeof(backed->backup.path), "%s", folder->path);
    snprintf(backed->target.path, sizeof(backed->target.path), "%s", folder->path);
    catalog_lake_open(&backed->lake);
    catalog_lake_create(&backed->lake, "old", 3);
    backed_lake_spread(backed);
    must(backed_lake_backup(backed, false, NULL, &err), "before", "the first backup", &err);
    catalog_lake_create(&backed->lake, "new", 5);
    backed_lake_spread(backed);
    catalog_lake_close(&backed->lake);
}

static struct killed_ending one_life(const char *plan, bool restores)
{
    struct temp_lake folder;
    struct backed_lake backed;
    struct lh_error err;
    make_in(&folder, &backed);
    struct killed_ending ending =
        killed_child_run(restores ? "--restore" : "--backup", folder.path, plan);
    if (restores) {
        enum lh_code code = backed_lake_restore(&backed, 1, false, &err);
        int64_t old_found = 0, new_found = 0;
        if (code && code != LH_CONFLICT)
            must(code, plan, "the restore again", &err);
        backed_lake_look(&backed, &old_found, &new_found);
        assert_int_equal(old_found, 3);
        assert_int_equal(new_found, -1);
    } else {
        must(backed_lake_restore(&backed, 1, true, &err), plan, "the earlier backup", &err);
        if (ending.acknowledged)
            must(backed_lake_restore(&backed, 2, true, &err), plan, "what was answered", &err);
        catalog_lake_open(&backed.lake);
        must(backed_lake_backup(&backed, false, NULL, &err), plan, "the next backup", &err);
        catalog_lake_close(&backed.lake);
        newest_is(&backed, 5, plan);
    }
    lh_arena_free(backed.lake.arena);
    temp_lake_remove(&folder);
    return ending;
}

static void kill_everywhere(const char *what, bool restores)
{
    char plan[PLAN_BYTES];
    unsigned lives = 0;
    unsigned stride = fault_stride(STRIDE);
    struct killed_ending whole = one_life("*=1000000:kill", restores);
    assert_false(whole.was_killed);
    assert_true(whole.point_count > 40);
    for (unsigned at = 1; at <= whole.point_count + stride && at < POINTS_MAX; at += stride) {
        snprintf(plan, sizeof(plan), "*=%u:kill", at);
        lives += one_life(plan, restores).was_killed;
    }
    for (size_t i = 0; i < whole.name_count; i++) { /* the first of each name */
        snprintf(plan, sizeof(plan), "%s=1:kill", whole.names[i]);
        lives += one_life(plan, restores).was_killed;
    }
    assert_true(lives >= whole.point_count / stride);
    printf("figure: %s: killed %u times at %zu points\n", what, lives, whole.point_count);
}

static void a_kill_during_a_backup_leaves_the_earlier_one_whole(void **state)
{
    (void)state;
    kill_everywhere("backup", false);
}

static void a_restore_that_was_killed_is_continued(void **state)
{
    (void)state;
    kill_everywhere("restore", true);
}

#endif

int main(int argc, char **argv)
{
#ifdef LH_FAULTS
    if (argc == 3 && strcmp(argv[1], "--backup") == 0)
        return live(argv[2], false);
    if (argc == 3 && strcmp(argv[1], "--restore") == 0)
        return live(argv[2], true);
    temp_lake_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_of_a_backup_that_fails_leaves_the_earlier_one),
        cmocka_unit_test(a_call_of_a_restore_that_fails_leaves_it_to_be_continued),
        cmocka_unit_test(a_kill_during_a_backup_leaves_the_earlier_one_whole),
        cmocka_unit_test(a_restore_that_was_killed_is_continued),
    };
    return cmocka_run_group_tests_name("backup faults", tests, NULL, NULL);
#else
    (void)argc;
    (void)argv;
    printf("no fault points in this build: skipped\n");
    return 0;
#endif
}
