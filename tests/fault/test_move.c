/* Every call of a move to the file system fails once, and from there on for good, and is the place
 * of a kill: all versions are whole, in one bucket or the other, a move that was acknowledged
 * lasts, and the next one leaves nothing where they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/killed_child.h"
#include "support/two_places.h"

#ifdef LH_FAULTS

#define POINTS_MAX 2000

static struct lh_str id_of(struct catalog_lake *lake)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct lh_error err = LH_ERROR_NONE;
    if (catalog_find(snapshot, lh_lit("t"), &dataset, &err))
        fail_msg("%s", err.message);
    struct lh_str id = lh_arena_str(lake->arena, dataset->id);
    catalog_snapshot_unref(snapshot);
    return id;
}

/* Version 1 has a file that version 2 replaced; version 3 has a second one. */
static void fill(struct two_places *places)
{
    struct catalog_lake *lake = &places->lake;
    struct catalog_object object;
    struct lh_error err;
    two_places_make(places);
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    assert_int_equal(catalog_lake_file(lake, id, 4, lake->arena, &object, &err), LH_OK);
    const struct catalog_change change = {
        .action = CATALOG_REPLACE, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(catalog_lake_commit(lake, &change, NULL, &err), LH_OK);
    catalog_lake_append(lake, id, 2);
    catalog_lake_close(lake);
}

static void check(struct two_places *places, bool was_acknowledged, const char *plan)
{
    struct catalog_lake *lake = &places->lake;
    struct lh_error err;
    if (catalog_lake_verify(lake, NULL))
        fail_msg("%s: the lake does not verify", plan);
    catalog_lake_open(lake);
    size_t moved = two_places_read(lake, "t", 0, "other");
    if (moved != 2 && (moved || was_acknowledged))
        fail_msg("%s: %zu files of the present are in the other bucket", plan, moved);
    if (two_places_read(lake, "t", 1, "other") != moved / 2)
        fail_msg("%s: version 1 is where the present is not", plan);
    assert_int_equal(catalog_lake_rows(lake, "t"), 6);
    if (two_places_move(lake, id_of(lake), "other", NULL, &err))
        fail_msg("%s: the next move: %s", plan, err.message);
    assert_int_equal(two_places_read(lake, "t", 0, "other"), 2);
    assert_int_equal(two_places_read(lake, "t", 1, "other"), 1);
    if (two_places_count(lake, "primary") || two_places_count(lake, "other") != 3)
        fail_msg("%s: %zu files were left in primary", plan, two_places_count(lake, "primary"));
    if (two_places_move(lake, id_of(lake), "primary", NULL, &err))
        fail_msg("%s: the move back: %s", plan, err.message);
    if (two_places_count(lake, "other") || two_places_count(lake, "primary") != 3)
        fail_msg("%s: %zu files were left behind", plan, two_places_count(lake, "other"));
    two_places_remove(places);
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct two_places places;
    struct fault_outcome ret = {0};
    struct lh_error err = LH_ERROR_NONE;
    fill(&places);
    catalog_lake_open(&places.lake);
    struct lh_str id = id_of(&places.lake);
    assert_int_equal(two_places_count(&places.lake, "other"), 0); /* from here on it is open */
    assert_true(lh_fault_plan(plan));
    ret.told = two_places_move(&places.lake, id, "other", NULL, &err);
    fault_note(&ret, at);
    assert_true(lh_fault_plan(NULL));
    if (ret.told)
        assert_true(err.message[0] != '\0');
    /* A folder that cannot be looked at is the bucket's problem; that a look meets a full disk is
     * the plan's doing, no stat() says so. */
    if (ret.told == LH_IO && ret.point && !strcmp(ret.point, "file.info"))
        ret.told = LH_FULL;
    catalog_lake_close(&places.lake);
    check(&places, !ret.told, plan);
    return ret;
}

static void a_call_of_a_move_that_fails_leaves_all_versions_in_one_place(void **state)
{
    (void)state;
    fault_ways_run("move", session, 60, 5);
}

static int live(const char *folder)
{
    struct catalog_lake lake = {.arena = lh_arena_new(0)};
    struct lh_error err;
    snprintf(lake.folder.path, sizeof(lake.folder.path), "%s", folder);
    if (catalog_lake_try_open(&lake, &err) ||
        two_places_move(&lake, id_of(&lake), "other", NULL, &err) || !killed_child_acknowledge())
        return 1;
    catalog_lake_close(&lake);
    lh_arena_free(lake.arena);
    return killed_child_end();
}

static struct killed_ending one_life(const char *plan)
{
    struct two_places places;
    fill(&places);
    struct killed_ending ending = killed_child_run("--live", places.lake.folder.path, plan);
    check(&places, ending.acknowledged > 0, plan);
    return ending;
}

static void a_move_that_was_killed_is_made_or_not(void **state)
{
    char plan[64];
    unsigned kills = 0, lives = 0, step = fault_stride(3);
    (void)state;
    struct killed_ending whole = one_life("*=1000000:kill");
    assert_false(whole.was_killed);
    for (unsigned at = 1; at <= whole.point_count && at < POINTS_MAX; at += step) {
        snprintf(plan, sizeof plan, "*=%u:kill", at);
        kills += one_life(plan).was_killed;
        lives++;
    }
    assert_true(whole.point_count > 100);
    assert_true(kills > lives / 2);
    printf("figure: move: killed at %u of %zu points\n", kills, whole.point_count);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[2]);
    temp_lake_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_of_a_move_that_fails_leaves_all_versions_in_one_place),
        cmocka_unit_test(a_move_that_was_killed_is_made_or_not),
    };
    return cmocka_run_group_tests_name("move faults", tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
