/* Every call that building, refreshing and asking an index makes to the file system fails once,
 * and, every third, from there on for good. Afterwards an error was told, the lake opens and
 * verifies, an acknowledged index is there and answers, one that was not is absent, and the index
 * that was there before answers for all rows of its dataset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define POINTS_MAX 3000

struct outcome {
    enum lh_code build, refresh, anew, ask;
    bool was_struck;
};

static void check_told(const struct op_house *house, const char *what, enum lh_code code)
{
    if (code && !house->err.message[0])
        fail_msg("a failed %s says nothing", what);
}

static bool answers(struct op_house *house, const char *index)
{
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT list(id ORDER BY id) FROM text_search('%s', 'player', k := 10)", index);
    return strcmp(op_house_sql(house, sql), "[[[1,3,4]]]") == 0;
}

static struct outcome run_session(const char *plan)
{
    struct op_house house;
    struct outcome outcome = {0};
    op_house_make(&house);
    op_house_rows(&house, "tools", "id,text\n1,music player\n2,text editor\n", "create");
    op_house_call(&house, "vectors.index",
                  "{\"index_name\": \"kept\", \"dataset\": \"tools\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
    op_house_rows(&house, "tools", "id,text\n3,game player\n4,a player\n", "append");
    assert_true(lh_fault_plan(plan));
    outcome.build = op_house_try(&house, "vectors.index",
                                 "{\"index_name\": \"fresh\", \"dataset\": \"tools\", "
                                 "\"id_column\": \"id\", \"text_columns\": [\"text\"]}");
    check_told(&house, "build", outcome.build);
    outcome.refresh = op_house_try(&house, "vectors.refresh",
                                   "{\"dataset\": \"tools\", \"index_name\": \"kept\"}");
    check_told(&house, "refresh", outcome.refresh);
    outcome.anew = op_house_try(&house, "vectors.refresh",
                                "{\"dataset\": \"tools\", \"index_name\": \"kept\", "
                                "\"from_scratch\": true}");
    check_told(&house, "refresh from scratch", outcome.anew);
    outcome.ask =
        op_house_try(&house, "vectors.hybrid", "{\"index\": \"kept\", \"query\": \"player\"}");
    check_told(&house, "search", outcome.ask);
    outcome.was_struck = lh_fault_was_struck();
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    if (!answers(&house, "kept"))
        fail_msg("%s: the index that was there answers wrong", plan);
    bool is_there = op_house_try(&house, "vectors.get", "{\"name\": \"fresh\"}") == LH_OK;
    if (!is_there && !outcome.build)
        fail_msg("%s: an acknowledged index is lost", plan);
    if (is_there && outcome.build && outcome.build != LH_UNKNOWN)
        fail_msg("%s: an index that failed is there", plan);
    if (is_there && !answers(&house, "fresh"))
        fail_msg("%s: the new index answers wrong", plan);
    op_house_call(&house, "vectors.refresh", "{\"dataset\": \"tools\", \"index_name\": \"kept\"}");
    op_house_remove(&house); /* verifies */
    return outcome;
}

static unsigned run_all(const char *format, unsigned step)
{
    unsigned failures = 0;
    for (unsigned at = 1; at < POINTS_MAX; at += step) {
        char plan[64];
        snprintf(plan, sizeof(plan), format, at);
        struct outcome outcome = run_session(plan);
        if (!outcome.was_struck) {
            assert_int_equal(outcome.build, LH_OK);
            assert_int_equal(outcome.refresh, LH_OK);
            assert_int_equal(outcome.anew, LH_OK);
            assert_int_equal(outcome.ask, LH_OK);
            return failures;
        }
        failures += outcome.build || outcome.refresh || outcome.anew || outcome.ask;
    }
    fail_msg("the session never ran clean");
    return 0;
}

/* A session takes a second: LAKEHOUSE_LONG tries every call, else some. */
static unsigned stride(unsigned usual)
{
    return fault_stride(usual);
}

static void each_call_that_fails_once_loses_nothing(void **state)
{
    (void)state;
    unsigned step = stride(7);
    unsigned failures = run_all("*=%u:EIO", step);
    printf("figure: index: every %u. call failed once (EIO); %u sessions told an error\n", step,
           failures);
    assert_true(failures * step >= 56);
}

static void a_disk_that_is_full_from_some_call_on_loses_nothing(void **state)
{
    (void)state;
    unsigned step = stride(19);
    unsigned failures = run_all("*=%u+:ENOSPC", step);
    printf("figure: index: every %u. call failed for good (ENOSPC); %u sessions told an error\n",
           step, failures);
    assert_true(failures * step >= 76);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_that_fails_once_loses_nothing),
        cmocka_unit_test(a_disk_that_is_full_from_some_call_on_loses_nothing),
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
