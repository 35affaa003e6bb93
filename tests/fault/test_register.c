/* Every call to the file system that a registration of stored Parquet makes fails, in all the ways
 * that disks fail. Afterwards the dataset is there whole if that was told, or not at all; the
 * objects are what they were; nothing lies in staging, and the lake verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/stored_parquet.h"

#ifdef LH_FAULTS

#define OBJECT(key) "{\"bucket\": \"primary\", \"key\": \"" key "\"}"

static void check_after(struct op_house *house, enum lh_code code, const char *plan)
{
    bool is_there = op_house_try(house, "datasets.get", "{\"name\": \"fresh\"}") == LH_OK;
    if (is_there != !code && code != LH_UNKNOWN)
        fail_msg("%s: told %d, and the dataset is %s", plan, (int)code, is_there ? "there" : "not");
    if (is_there)
        assert_string_equal(op_house_sql(house, "SELECT count(*), sum(id)::INT FROM fresh"),
                            "[[5,24]]");
    assert_int_equal(op_house_try(house, "objects.get", OBJECT("a")), LH_OK);
    assert_int_equal(op_house_try(house, "objects.get", OBJECT("b")), LH_OK);
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct op_house house;
    struct fault_outcome ret = {0};
    op_house_make(&house);
    stored_parquet_put(&house, "a", "SELECT i AS id FROM range(3) t(i)");
    stored_parquet_put(&house, "b", "SELECT i + 10 AS id FROM range(2) t(i)");
    assert_true(lh_fault_plan(plan));
    ret.told =
        op_house_try(&house, "datasets.register",
                     "{\"name\": \"fresh\", \"objects\": [" OBJECT("a") "," OBJECT("b") "]}");
    fault_note(&ret, at);
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    if (op_house_staged_count(&house))
        fail_msg("%s: something was left in staging", plan);
    check_after(&house, ret.told, plan);
    op_house_remove(&house); /* verifies, and counts descriptors */
    return ret;
}

static void a_call_that_fails_in_any_way_registers_all_or_nothing(void **state)
{
    (void)state;
    fault_ways_run("registrations", session, 30, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_in_any_way_registers_all_or_nothing),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
