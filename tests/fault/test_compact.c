/* Every call that a compaction makes to the file system fails, once and from there on for good, in
 * all the ways that disks fail. Afterwards the rows are what they were, in their order, nothing
 * lies in staging, the lake opens and verifies, and the next compaction does what this one could
 * not. */
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

static const char *const files[] = {"id,name\n1,a\n2,b\n", "id,name\n3,c\nx,d\n5,e\n",
                                    "id,name\n6,f\n"};
static const char args[] = "{\"dataset\": \"t\", \"mode\": \"append\", \"options\": "
                           "{\"max_rejected_ratio\": 0.9}}";
static const char rows_of[] = "SELECT id FROM t";

static enum lh_code append(struct op_house *house, const char *csv)
{
    return op_house_try_file(house, "ingest.file", args, "f.csv", csv, strlen(csv));
}

static void check_after(struct op_house *house, const enum lh_code *told, const char *plan)
{
    const char *rows = op_house_sql(house, rows_of);
    bool has_append = strcmp(rows, "[[1],[3],[5],[6],[7]]") == 0;
    if (!has_append && strcmp(rows, "[[1],[3],[5],[6]]") != 0)
        fail_msg("%s: the rows are %s", plan, rows);
    if (has_append ? told[1] && told[1] != LH_UNKNOWN : !told[1])
        fail_msg("%s: the append between two compactions is lost, or came back", plan);
    json_t *result = op_house_call(house, "query.compact", "{\"dataset\": \"t\"}");
    assert_int_equal(json_integer_value(json_object_get(result, "files_after")), 1);
    if (strcmp(op_house_sql(house, rows_of), rows) != 0)
        fail_msg("%s: the next compaction changes the rows", plan);
    if (append(house, files[1]))
        fail_msg("%s: %s", plan, house->err.message);
    if (strcmp(op_house_sql(house, rows_of), rows) != 0)
        fail_msg("%s: a file that comes again is not known", plan);
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct op_house house;
    enum lh_code told[3];
    struct fault_outcome ret = {0};
    op_house_make(&house);
    op_house_rows(&house, "t", files[0], "create");
    assert_int_equal(append(&house, files[1]), LH_OK);
    assert_int_equal(append(&house, files[2]), LH_OK);
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [2]}");
    assert_true(lh_fault_plan(plan));
    told[0] = op_house_try(&house, "query.compact", "{\"dataset\": \"t\"}");
    told[1] = append(&house, "id,name\n7,g\n");
    told[2] = op_house_try(&house, "query.compact", NULL);
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
    fault_ways_run("compact", session, 50, 9);
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
