/* Every call that an ingest makes to the file system fails, once and from there on for good, in all
 * the ways that disks fail: the whole stack below the doors. Afterwards an error was told, the lake
 * opens and verifies, what was acknowledged is there, what was not is whole or absent, and nothing
 * lies in staging. */
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
#include "support/op_house.h"

#ifdef LH_FAULTS

static const char created[] = "id,name\n1,a\n2,b\n";
static const char appended[] = "id,name\n3,c\n4,d\n5,e\n";

struct outcome {
    enum lh_code create;
    enum lh_code append;
};

static enum lh_code ingest(struct op_house *house, const char *mode, const char *csv)
{
    char args[128];
    snprintf(args, sizeof(args), "{\"dataset\": \"fresh\", \"mode\": \"%s\"}", mode);
    enum lh_code code =
        op_house_try_file(house, "ingest.file", args, "fresh.csv", csv, strlen(csv));
    if (code && !house->err.message[0])
        fail_msg("a failed %s says nothing", mode);
    return code;
}

static void check_after(struct op_house *house, const struct outcome *outcome, const char *plan)
{
    bool is_there = op_house_try(house, "datasets.get", "{\"name\": \"fresh\"}") == LH_OK;
    if (!is_there && house->err.code != LH_NOT_FOUND)
        fail_msg("%s: the dataset is neither there nor absent: %s", plan, house->err.message);
    if (!is_there && (!outcome->create || !outcome->append))
        fail_msg("%s: an acknowledged dataset is lost", plan);
    if (is_there && outcome->create && outcome->create != LH_UNKNOWN && outcome->append)
        fail_msg("%s: a create that failed is there", plan);
    if (is_there) {
        const char *rows = op_house_sql(house, "SELECT count(*), sum(id)::INT FROM fresh");
        bool has_both = strcmp(rows, "[[5,15]]") == 0;
        if (!has_both && strcmp(rows, "[[2,3]]") != 0)
            fail_msg("%s: rows are half there: %s", plan, rows);
        if (!has_both && !outcome->append)
            fail_msg("%s: an acknowledged append is lost", plan);
        if (has_both && outcome->append && outcome->append != LH_UNKNOWN)
            fail_msg("%s: an append that failed is there", plan);
    }
    assert_string_equal(op_house_sql(house, "SELECT id FROM old"), "[[1]]");
    op_house_rows(house, "after", "id\n1\n", "create");
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct op_house house;
    struct outcome outcome = {0};
    struct fault_outcome ret = {0};
    op_house_make(&house);
    op_house_rows(&house, "old", "id\n1\n", "create");
    assert_true(lh_fault_plan(plan));
    outcome.create = ingest(&house, "create", created);
    outcome.append = ingest(&house, "append", appended);
    fault_note(&ret, at);
    ret.told = outcome.create ? outcome.create : outcome.append;
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    if (op_house_staged_count(&house))
        fail_msg("%s: something was left in staging", plan);
    check_after(&house, &outcome, plan);
    op_house_remove(&house); /* verifies, and counts descriptors */
    return ret;
}

static void a_call_that_fails_in_any_way_loses_nothing(void **state)
{
    (void)state;
    fault_ways_run("ingest", session, 50, 9);
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
