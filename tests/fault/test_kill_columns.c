/* SIGKILL while rows of one dataset are hidden by keys of a second and a third column, come again,
 * are lifted and compacted: what the child was told is there, what it was not told is whole or
 * absent, and the lake verifies.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/lived_steps.h"

#ifdef LH_FAULTS

#define STRIDE 60
#define TOMBSTONE(column, values)                                                                  \
    "{\"name\": \"t\", \"row_key_column\": \"" column "\", \"row_key_values\": " values            \
    ", \"another_key_column\": true}"
#define LIFT(column, values)                                                                       \
    "{\"name\": \"t\", \"row_key_column\": \"" column "\", \"row_key_values\": " values "}"

/* Column, then how many rows there are, and the sum of their ids. */
static const struct lived_step steps[] = {
    {"ingest.file", "{\"dataset\": \"t\"}", "id,m,p\n1,a,x\n2,b,y\n4,c,z\n8,d,w\n", "t 4 15"},
    {"datasets.tombstone", TOMBSTONE("id", "[1]"), NULL, "t 3 14"},
    {"datasets.tombstone", TOMBSTONE("m", "[\"b\"]"), NULL, "t 2 12"},
    {"ingest.file", "{\"dataset\": \"t\", \"mode\": \"append\"}", "id,m,p\n1,b,x\n16,b,y\n32,e,z\n",
     "t 3 44"},
    {"datasets.tombstone", TOMBSTONE("p", "[\"z\", \"x\"]"), NULL, "t 1 8"},
    {"datasets.lift", LIFT("m", "[\"b\"]"), NULL, "t 3 26"},
    {"query.compact", "{\"dataset\": \"t\"}", NULL, "t 3 26"},
    {"ingest.file", "{\"dataset\": \"t\", \"mode\": \"append\"}", "id,m,p\n1,f,x\n64,g,q\n",
     "t 4 90"},
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static struct killed_ending one_life(const void *context, const char *plan)
{
    (void)context;
    struct temp_lake folder;
    struct op_house house = {0};
    char lake[4200];
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    size_t done = ending.acknowledged;
    op_house_open(&house, lh_str_of(lake));
    const char *found = lived_state(&house, 0);
    const char *told = done ? steps[done - 1].after : "";
    const char *next = done < STEP_COUNT ? steps[done].after : told;
    if (strcmp(found, told) != 0 && strcmp(found, next) != 0)
        fail_msg("%s: after %zu acknowledged steps the lake holds '%s', not '%s' or '%s'", plan,
                 done, found, told, next);
    op_house_close(&house);
    temp_lake_remove(&folder);
    return ending;
}

static void a_kill_at_any_point_leaves_each_column_whole(void **state)
{
    (void)state;
    struct killed_lives lives = killed_everywhere(one_life, NULL, STEP_COUNT, STRIDE, 1);
    assert_int_equal(lives.named, lives.peace.name_count);
    printf("figure: kills under several key columns: %zu points under %zu names in one life, %u "
           "kills (every %u), each recovered and verified\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return lived_steps_live(argv[2], steps, strcmp(argv[1], "--open") == 0 ? 0 : STEP_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_point_leaves_each_column_whole),
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
