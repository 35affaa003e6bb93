/* SIGKILL at every fault point of refreshes that merge the parts of an index: a child adds rows
 * and refreshes, and is killed at the first, second, third … point until it lives through. The next
 * start finds an index that answers for every row of its dataset, once, and refreshes go on.
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
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 7
#define REFRESH "{\"dataset\": \"tools\", \"index_name\": \"kept\"}"

/* The first is merged with what was built, the second with that, the third leaves a row out. */
static const struct {
    const char *csv, *mode;
} steps[] = {
    {"id,text\n3,player three\n4,player four\n", "append"},
    {"id,text\n5,player five\n6,player six\n7,player seven\n", "append"},
    {"id,text\n1,player one\n3,player three\n5,other player\n6,player six\n7,player seven\n",
     "replace"},
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static int live(const char *folder)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    for (size_t i = 0; i < STEP_COUNT; i++) {
        op_house_rows(&house, "tools", steps[i].csv, steps[i].mode);
        op_house_call(&house, "vectors.refresh", REFRESH);
        if (!killed_child_acknowledge())
            return 1;
    }
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

static const char *by(struct op_house *house, const char *how)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT list(id ORDER BY id) FROM %s('kept', 'player', k := 100)",
             how);
    return op_house_sql(house, sql);
}

static void check_index(struct op_house *house, const char *plan)
{
    static const char *const ways[] = {"text_search", "vector_search", "hybrid_search"};
    const char *rows = op_house_sql(house, "SELECT list(id ORDER BY id) FROM tools");
    for (size_t i = 0; i < 3; i++) {
        const char *found = by(house, ways[i]);
        if (strcmp(found, rows) != 0)
            fail_msg("%s: %s finds %s, the dataset has %s", plan, ways[i], found, rows);
    }
}

static void check_lake(const char *folder, const char *plan)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    check_index(&house, plan);
    op_house_call(&house, "vectors.refresh", REFRESH);
    check_index(&house, plan);
    op_house_close(&house); /* verifies */
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    const struct temp_lake *folder = context;
    struct temp_lake own;
    char base[4200], lake[4200];
    temp_lake_make(&own);
    snprintf(base, sizeof(base), "%s/lake", folder->path);
    snprintf(lake, sizeof(lake), "%s/lake", own.path);
    temp_lake_copy(base, lake);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, plan);
    temp_lake_remove(&own);
    return ending;
}

static void a_refresh_that_merges_parts_may_be_killed_anywhere(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "tools", "id,text\n1,player one\n2,player two\n", "create");
    op_house_call(&house, "vectors.index",
                  "{\"index_name\": \"kept\", \"dataset\": \"tools\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
    op_house_close(&house);
    struct killed_lives lives = killed_everywhere(one_life, &house.folder, STEP_COUNT, STRIDE, 1);
    assert_true(lives.kills > 20);
    printf("figure: merges killed: %zu points under %zu names in one life, %u kills (every %u), "
           "every row found once afterwards\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
    temp_lake_remove(&house.folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refresh_that_merges_parts_may_be_killed_anywhere),
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
