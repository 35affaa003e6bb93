/* Rows that were not taken: a call of the file system fails for good while an ingest writes them,
 * and while SQL reads them and /health looks for what is unsettled. They are there if and only if
 * the rows are that came with them, and what is read is right or an error. */
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

#define POINTS_MAX 2000

static const char csv[] = "id,n\n3,3\n4,4\n5,many\n";
static const char ingest_args[] = "{\"dataset\": \"fresh\", \"mode\": \"append\", \"options\": "
                                  "{\"types\": {\"n\": \"INTEGER\"}}}";
static const char read_args[] = "{\"sql\": \"SELECT line, raw FROM __rejects__fresh\"}";

static enum lh_code ingest(struct op_house *house)
{
    return op_house_try_file(house, "ingest.file", ingest_args, "more.csv", csv, sizeof(csv) - 1);
}

static bool write_session(unsigned at)
{
    struct op_house house = {0};
    char plan[32];
    op_house_make(&house);
    op_house_rows(&house, "fresh", "id,n\n1,1\n2,2\n", "create");
    snprintf(plan, sizeof(plan), "*=%u+:EIO", at);
    assert_true(lh_fault_plan(plan));
    enum lh_code code = ingest(&house);
    bool was_struck = lh_fault_was_struck();
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    const char *rows = op_house_sql(&house, "SELECT count(*) FROM fresh");
    bool is_there = strcmp(rows, "[[4]]") == 0;
    if (!is_there && strcmp(rows, "[[2]]") != 0)
        fail_msg("%s: rows are half there: %s", plan, rows);
    if ((!code && !is_there) || (code && code != LH_UNKNOWN && is_there))
        fail_msg("%s: told code %d, and the rows are %sthere", plan, code, is_there ? "" : "not ");
    const char *kept = op_house_sql(&house, "SELECT line, raw FROM __rejects__fresh");
    if (strcmp(kept, is_there ? "[[4,\"5,many\"]]" : "[]") != 0)
        fail_msg("%s: the rows that were not taken are %s", plan, kept);
    op_house_remove(&house);
    return was_struck;
}

static void rejected_rows_come_with_the_others_or_not_at_all(void **state)
{
    unsigned sessions = 0;
    (void)state;
    for (unsigned at = 1; at < POINTS_MAX && write_session(at); at += fault_stride(3))
        sessions++;
    assert_in_range(sessions, 3, POINTS_MAX - 2);
}

static void rejected_rows_are_read_right_or_not_at_all(void **state)
{
    struct op_house house = {0};
    bool was_struck = true;
    unsigned at = 1;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "fresh", "id,n\n1,1\n2,2\n", "create");
    assert_int_equal(ingest(&house), LH_OK);
    for (; was_struck; at++) {
        struct lake_health health;
        char plan[32];
        size_t place = 0;
        assert_true(at < POINTS_MAX);
        snprintf(plan, sizeof(plan), "*=%u+:EIO", at);
        assert_true(lh_fault_plan(plan));
        enum lh_code code = op_house_try(&house, "query.sql", read_args);
        if (!code && !lh_str_find(house.body, lh_lit("[4,\"5,many\"]"), &place))
            fail_msg("%s: read wrong: %.*s", plan, LH_ARG(house.body));
        if (code && !house.err.message[0])
            fail_msg("%s: code %d says nothing", plan, code);
        lake_check_health(house.lake, house.arena, &health);
        was_struck = lh_fault_was_struck();
        assert_true(lh_fault_plan(NULL));
        assert_string_equal(op_house_sql(&house, "SELECT line, raw FROM __rejects__fresh"),
                            "[[4,\"5,many\"]]");
    }
    assert_true(at > 2);
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rejected_rows_come_with_the_others_or_not_at_all),
        cmocka_unit_test(rejected_rows_are_read_right_or_not_at_all),
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
