/* Every call of an undo to the file system fails once, and from there on for good, and is the place
 * of a kill: the dataset is what it was before or what it was before that, and an undo that was
 * acknowledged lasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "catalog/undo.h"
#include "support/catalog_lake.h"
#include "support/fault_ways.h"
#include "support/killed_child.h"

#ifdef LH_FAULTS

#define POINTS_MAX 2000

static enum lh_code undo(struct catalog_lake *lake, struct lh_error *err)
{
    const struct catalog_undo_options options = {.dataset = lh_lit("t"), .actor = lh_lit("test")};
    struct catalog_undo done;
    return catalog_undo(lake->catalog, &options, lake->arena, &done, err);
}

/* Version 1 has 3 rows, version 2, which replaced it, 4: undoing brings a file back and takes one
 * out. */
static void fill(struct catalog_lake *lake)
{
    struct catalog_object object;
    struct lh_error err;
    struct catalog_commit_result result;
    catalog_lake_open(lake);
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    assert_int_equal(catalog_lake_file(lake, id, 4, lake->arena, &object, &err), LH_OK);
    const struct catalog_change change = {
        .action = CATALOG_REPLACE, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(catalog_lake_commit(lake, &change, &result, &err), LH_OK);
    catalog_lake_close(lake);
}

static void check(struct catalog_lake *lake, bool was_acknowledged, const char *plan)
{
    struct lh_error err;
    catalog_lake_open(lake);
    int64_t rows = catalog_lake_rows(lake, "t");
    if (rows != 3 && (was_acknowledged || rows != 4))
        fail_msg("%s: there are %lld rows", plan, (long long)rows);
    enum lh_code code = undo(lake, &err);
    if (code != (rows == 3 ? LH_CONFLICT : LH_OK))
        fail_msg("%s: the next undo: %d %s", plan, code, err.message);
    assert_int_equal(catalog_lake_rows(lake, "t"), 3);
    if (catalog_lake_verify(lake, NULL))
        fail_msg("%s: the lake does not verify", plan);
    catalog_lake_close(lake);
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct catalog_lake lake;
    struct fault_outcome ret = {0};
    struct lh_error err = LH_ERROR_NONE;
    catalog_lake_make(&lake);
    fill(&lake);
    catalog_lake_open(&lake);
    assert_true(lh_fault_plan(plan));
    ret.told = undo(&lake, &err);
    fault_note(&ret, at);
    assert_true(lh_fault_plan(NULL));
    if (ret.told)
        assert_true(err.message[0] != '\0');
    catalog_lake_close(&lake);
    check(&lake, !ret.told, plan);
    catalog_lake_remove(&lake);
    return ret;
}

static void a_call_of_an_undo_that_fails_changes_all_or_nothing(void **state)
{
    (void)state;
    fault_ways_run("undo", session, 10, 1);
}

static int live(const char *folder)
{
    struct catalog_lake lake = {.arena = lh_arena_new(0)};
    struct lh_error err;
    snprintf(lake.folder.path, sizeof(lake.folder.path), "%s", folder);
    if (catalog_lake_try_open(&lake, &err) || undo(&lake, &err) || !killed_child_acknowledge())
        return 1;
    catalog_lake_close(&lake);
    lh_arena_free(lake.arena);
    return killed_child_end();
}

static struct killed_ending one_life(const char *plan)
{
    struct catalog_lake lake;
    catalog_lake_make(&lake);
    fill(&lake);
    struct killed_ending ending = killed_child_run("--live", lake.folder.path, plan);
    check(&lake, ending.acknowledged > 0, plan);
    catalog_lake_remove(&lake);
    return ending;
}

static void an_undo_that_was_killed_is_made_or_not(void **state)
{
    char plan[64];
    unsigned kills = 0;
    (void)state;
    struct killed_ending whole = one_life("*=1000000:kill");
    assert_false(whole.was_killed);
    for (unsigned at = 1; at <= whole.point_count && at < POINTS_MAX; at++) {
        snprintf(plan, sizeof(plan), "*=%u:kill", at);
        kills += one_life(plan).was_killed;
    }
    assert_true(kills > 20);
    printf("figure: undo: killed at %u of %zu points\n", kills, whole.point_count);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[2]);
    temp_lake_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_of_an_undo_that_fails_changes_all_or_nothing),
        cmocka_unit_test(an_undo_that_was_killed_is_made_or_not),
    };
    return cmocka_run_group_tests_name("undo faults", tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
