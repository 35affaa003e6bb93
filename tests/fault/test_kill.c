/* SIGKILL at every fault point of a life: a child opens a lake and changes it, and is killed at the
 * first, second, third … point until it lives through. Each time the lake is opened anew: what the
 * child was told is there, what it was not told is whole or absent, and the lake verifies.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/lived_steps.h"

#ifdef LH_FAULTS

#define STRIDE 3
#define POINTS_MAX 4000
#define PLAN_BYTES (KILLED_LINE_BYTES + 16)

/* --- the life of a child */

static const struct lived_step steps[] = {
    {"ingest.file", "{\"dataset\": \"fresh\", \"mode\": \"create\"}", "id\n1\n2\n", "fresh 2 3"},
    {"ingest.file", "{\"dataset\": \"fresh\", \"mode\": \"append\"}", "id\n3\n4\n5\n",
     "fresh 5 15"},
    {"ingest.file", "{\"dataset\": \"fresh\", \"mode\": \"replace\"}", "id\n6\n", "fresh 1 6"},
    {"ingest.file", "{\"dataset\": \"other\", \"mode\": \"create\"}", "id\n9\n",
     "fresh 1 6 other 1 9"},
    {"datasets.rename", "{\"name\": \"other\", \"to\": \"another\"}", NULL,
     "another 1 9 fresh 1 6"},
    {"datasets.update", "{\"name\": \"fresh\", \"description\": \"words\"}", NULL,
     "another 1 9 fresh 1 6 words"},
    {"datasets.delete", "{\"name\": \"another\"}", NULL, "fresh 1 6 words"},
    {"keys.create", "{\"name\": \"k\", \"role\": \"reader\"}", NULL, "fresh 1 6 words k"},
    {"objects.put", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", "one",
     "fresh 1 6 words k a/b=one"},
    {"objects.put", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", "two",
     "fresh 1 6 words k a/b=two"},
    {"objects.delete", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", NULL, "fresh 1 6 words k"},
    {"ingest.file", "{\"dataset\": \"fresh\", \"mode\": \"append\"}", "id\n6\n7\n",
     "fresh 3 19 words k"},
    {"datasets.tombstone",
     "{\"name\": \"fresh\", \"row_key_column\": \"id\", \"row_key_values\": [6, 1]}", NULL,
     "fresh 1 7 words k"},
    {"ingest.file", "{\"dataset\": \"fresh\", \"mode\": \"append\"}", "id\n6\n8\n",
     "fresh 2 15 words k"},
    {"datasets.lift", "{\"name\": \"fresh\", \"row_key_values\": [6]}", NULL, "fresh 5 33 words k"},
    {"ingest.file",
     "{\"dataset\": \"fresh\", \"mode\": \"upsert\", \"options\": {\"key\": \"id\"}}", "id\n6\n9\n",
     "fresh 4 30 words k"},
    {"query.compact", "{\"dataset\": \"fresh\"}", NULL, "fresh 4 30 words k"},
    {"ingest.file", "{\"dataset\": \"fresh\", \"mode\": \"append\"}", "id\n1\n10\n",
     "fresh 5 40 words k"},
    {"query.compact", NULL, NULL, "fresh 5 40 words k"},
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

/* --- the parent */

static void check_lake(const char *folder, const char *plan, size_t acknowledged)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    const char *found = lived_state(&house, 0);
    const char *told = acknowledged ? steps[acknowledged - 1].after : "";
    const char *next = acknowledged < STEP_COUNT ? steps[acknowledged].after : told;
    if (strcmp(found, told) != 0 && strcmp(found, next) != 0)
        fail_msg("%s: after %zu acknowledged steps the lake holds '%s', not '%s' or '%s'", plan,
                 acknowledged, found, told, next);
    op_house_rows(&house, "after", "id\n1\n", "create"); /* and it goes on */
    op_house_close(&house);
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    (void)context;
    struct temp_lake folder;
    char lake[4200];
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, plan, ending.acknowledged);
    temp_lake_remove(&folder);
    return ending;
}

static unsigned stride(void)
{
    return fault_stride(STRIDE);
}

static void a_kill_at_any_point_loses_nothing(void **state)
{
    (void)state;
    struct killed_lives lives = killed_everywhere(one_life, NULL, STEP_COUNT, STRIDE, 1);
    assert_int_equal(lives.named, lives.peace.name_count);
    printf("figure: kill points: %zu points under %zu names in one life, %u kills (every %u), each "
           "recovered and verified\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
}

/* The recovery from one kill, killed itself at every point of its own; returns how often. */
static unsigned kill_recovery(unsigned first)
{
    struct temp_lake folder;
    char lake[4200];
    char plan[PLAN_BYTES];
    unsigned kills = 0;
    bool is_through = false;
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    snprintf(plan, sizeof(plan), "*=%u:kill", first);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    assert_true(ending.was_killed);
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at += stride()) {
        snprintf(plan, sizeof(plan), "*=%u:kill", at);
        is_through = !killed_child_run("--open", lake, plan).was_killed;
        kills += !is_through;
    }
    assert_true(is_through);
    assert_true(kills * stride() > 36); /* points of a recovery, at the least */
    snprintf(plan, sizeof(plan), "*=%u:kill and %u kills of its recovery", first, kills);
    check_lake(lake, plan, ending.acknowledged);
    temp_lake_remove(&folder);
    return kills;
}

static void a_kill_during_recovery_loses_nothing(void **state)
{
    unsigned kills = 0;
    unsigned lives = 0;
    (void)state;
    /* Not a multiple of what one change passes, so that the lives end in different steps of it. */
    for (unsigned first = 40; first < 220; first += stride() == 1 ? 7 : 61, lives++)
        kills += kill_recovery(first);
    printf(
        "figure: the recoveries from %u kills were killed %u times in all, and then ended well\n",
        lives, kills);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return lived_steps_live(argv[2], steps, strcmp(argv[1], "--open") == 0 ? 0 : STEP_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_point_loses_nothing),
        cmocka_unit_test(a_kill_during_recovery_loses_nothing),
    };
    temp_lake_prefer_memory(); /* a kill leaves the page cache alone: memory is as good */
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
