/* A compaction that copies row groups instead of writing rows anew: its calls to the file system
 * fail, once and for good, and the process is killed at its fault points. Afterwards the rows are
 * what they were, the lake opens and verifies, and the next compaction does what this one could
 * not.
 *
 * LAKEHOUSE_LONG: every way of failing at every point; else some points in one way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define ROWS 41000 /* of a file: one row group, large enough */
#define FAIL_STRIDE 13
#define KILL_STRIDE 13
#define POINTS_MAX 2000
#define PLAN_BYTES (KILLED_LINE_BYTES + 64)

static struct op_house base; /* closed; only its folder is used */

static void bring(struct op_house *house, const char *mode, int first)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)1 << 24);
    lh_buf_append_str(&csv, lh_lit("id\n"));
    for (int i = first; i < first + ROWS; i++)
        lh_buf_printf(&csv, "%d\n", i);
    lh_buf_append_char(&csv, '\0');
    op_house_rows(house, "t", csv.data, mode);
    lh_buf_release(&csv);
}

static int make_base(void **state)
{
    (void)state;
    op_house_make(&base);
    bring(&base, "create", 0);
    bring(&base, "append", ROWS);
    op_house_close(&base);
    return 0;
}

static int remove_base(void **state)
{
    (void)state;
    temp_lake_remove(&base.folder);
    return 0;
}

static void copy_base(struct temp_lake *own, char *ret, size_t size)
{
    char command[9000];
    temp_lake_make(own);
    snprintf(ret, size, "%s/lake", own->path);
    snprintf(command, sizeof command, "cp -a '%s/lake' '%s'", base.folder.path, ret);
    assert_int_equal(system(command), 0);
}

static const char rows_of[] = "SELECT count(id), min(id), max(id), sum(id) = 3361959000 FROM t";
static const char expected[] = "[[82000,0,81999,true]]";

static void check_rows(struct op_house *house, const char *plan)
{
    const char *rows = op_house_sql(house, rows_of);
    if (strcmp(rows, expected) != 0)
        fail_msg("%s: the rows are %s", plan, rows);
}

static void check_lake(const char *lake, const char *plan)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(lake));
    if (op_house_staged_count(&house))
        fail_msg("%s: something was left in staging", plan);
    check_rows(&house, plan);
    json_t *result = op_house_call(&house, "query.compact", "{\"dataset\": \"t\"}");
    assert_int_equal(json_integer_value(json_object_get(result, "files_after")), 1);
    check_rows(&house, plan);
    op_house_close(&house); /* verifies */
}

/* --- calls fail */

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct temp_lake own;
    struct op_house house = {0};
    struct fault_outcome ret = {0};
    char lake[4200];
    copy_base(&own, lake, sizeof lake);
    op_house_open(&house, lh_str_of(lake));
    assert_true(lh_fault_plan(plan));
    ret.told = op_house_try(&house, "query.compact", "{\"dataset\": \"t\"}");
    fault_note(&ret, at);
    assert_true(lh_fault_plan(NULL));
    check_rows(&house, plan);
    lake_close(house.lake);
    lh_arena_free(house.arena);
    check_lake(lake, plan);
    temp_lake_remove(&own);
    return ret;
}

static void a_call_that_fails_loses_nothing(void **state)
{
    unsigned at = 1, sessions = 0, errors = 0;
    struct fault_outcome outcome = {.was_struck = true};
    (void)state;
    if (getenv("LAKEHOUSE_LONG")) {
        fault_ways_run("joining", session, 20, 1);
        return;
    }
    for (; outcome.was_struck && at < POINTS_MAX; at += fault_stride(FAIL_STRIDE)) {
        char plan[64];
        snprintf(plan, sizeof plan, "*=%u:EIO", at);
        outcome = session(plan, at);
        sessions += outcome.was_struck;
        errors += outcome.told != LH_OK;
    }
    printf("figure: joining with EIO, every %u: %u points struck, %u told an error\n",
           fault_stride(FAIL_STRIDE), sessions, errors);
    assert_false(outcome.was_struck);
    assert_true(sessions * fault_stride(FAIL_STRIDE) >= 40);
}

/* --- kills */

static int live(const char *folder)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    op_house_call(&house, "query.compact", "{\"dataset\": \"t\"}");
    if (!killed_child_acknowledge())
        return 1;
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

static struct killed_ending one_life(const char *plan)
{
    struct temp_lake own;
    char lake[4200];
    copy_base(&own, lake, sizeof lake);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(lake)); /* recovers */
    check_rows(&house, plan);
    op_house_close(&house);
    check_lake(lake, plan);
    temp_lake_remove(&own);
    return ending;
}

static void it_may_be_killed_anywhere(void **state)
{
    char plan[PLAN_BYTES];
    unsigned kills = 0, step = fault_stride(KILL_STRIDE);
    bool is_through = false;
    (void)state;
    struct killed_ending peace = one_life("");
    assert_false(peace.was_killed);
    assert_int_equal(peace.acknowledged, 1);
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at += step) {
        snprintf(plan, sizeof plan, "*=%u:kill", at);
        is_through = !one_life(plan).was_killed;
        kills += !is_through;
    }
    assert_true(is_through);
    assert_true(kills * step >= 80);
    printf("figure: joining killed: %zu points in one life, %u kills (every %u), no row lost\n",
           peace.point_count, kills, step);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_loses_nothing),
        cmocka_unit_test(it_may_be_killed_anywhere),
    };
    temp_lake_prefer_memory(); /* a kill leaves the page cache alone: memory is as good */
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, make_base, remove_base));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
