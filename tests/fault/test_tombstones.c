/* Every call that a tombstone by a second column, an append under both and its lifting make to the
 * file system fails, once and for good, in all the ways that disks fail. What was acknowledged is
 * hidden or shown, what was not is so whole or not at all; the lake opens and verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

static const char append_args[] = "{\"dataset\": \"t\", \"mode\": \"append\"}";
static const char tombstone_args[] =
    "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [2, 3], "
    "\"another_key_column\": true}";
static const char lift_args[] =
    "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [3]}";
static const char appended[] = "id,m\n2,b\n3,c\n5,e\n9,z\n"; /* z is hidden in any case */

/* One bit for every step that is in the rows. */
static int steps_of(struct op_house *house, const char *plan)
{
    static const char *const states[] = {"[[1],[2],[3]]", "[[1]]", "[[1],[5]]", "[[1],[3],[3],[5]]",
                                         NULL};
    /* Without the tombstone; without the append. */
    static const char *const others[] = {"[[1],[2],[2],[3],[3],[5]]", "[[1],[3]]", NULL};
    const char *rows = op_house_sql(house, "SELECT id FROM t ORDER BY id");
    static const int bits[] = {0, 1, 3, 7}, other_bits[] = {2, 5};
    for (int i = 0; states[i]; i++)
        if (strcmp(rows, states[i]) == 0)
            return bits[i];
    for (int i = 0; others[i]; i++)
        if (strcmp(rows, others[i]) == 0)
            return other_bits[i];
    fail_msg("%s: half a change is there: %s", plan, rows);
    return 0;
}

static void check_after(struct op_house *house, const enum lh_code *told, const char *plan)
{
    int steps = steps_of(house, plan);
    for (int i = 0; i < 3; i++) {
        bool is_there = steps >> i & 1;
        if (!told[i] && !is_there)
            fail_msg("%s: step %d was acknowledged and is lost", plan, i);
        if (told[i] && told[i] != LH_UNKNOWN && is_there)
            fail_msg("%s: step %d failed and is there", plan, i);
    }
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [1], "
                  "\"another_key_column\": true}");
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct op_house house;
    enum lh_code told[3];
    struct fault_outcome ret = {0};
    op_house_make(&house);
    op_house_rows(&house, "t", "id,m\n1,a\n2,b\n3,c\n9,z\n", "create");
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"m\", \"row_key_values\": [\"z\"]}");
    assert_true(lh_fault_plan(plan));
    told[0] = op_house_try(&house, "datasets.tombstone", tombstone_args);
    told[1] =
        op_house_try_file(&house, "ingest.file", append_args, "f.csv", appended, strlen(appended));
    told[2] = op_house_try(&house, "datasets.lift", lift_args);
    if (told[0])
        told[2] = told[0]; /* what is not tombstoned is lifted by doing nothing */
    fault_note(&ret, at);
    for (int i = 0; i < 3 && !ret.told; i++)
        ret.told = told[i];
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    if (op_house_staged_count(&house))
        fail_msg("%s: something was left in staging", plan);
    check_after(&house, told, plan);
    op_house_remove(&house); /* verifies, and counts descriptors */
    return ret;
}

static void a_call_that_fails_in_any_way_loses_nothing(void **state)
{
    (void)state;
    fault_ways_run("tombstones", session, 40, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_in_any_way_loses_nothing),
    };
    temp_lake_prefer_memory();
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
