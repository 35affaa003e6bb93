/* Every call that a session makes to the file system fails once, and, from there on, for good. What
 * was acknowledged is there afterwards, what was not is whole or absent, and the verifier is
 * content. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/catalog_lake.h"
#include "support/fault_ways.h"

#ifdef LH_FAULTS

struct outcome {
    bool was_opened;
    bool is_created;
    int64_t acknowledged; /* rows that were acknowledged */
    int64_t doubtful;     /* rows of a commit of unknown outcome */
    enum lh_code told;    /* the first error */
};

/* A session: open, create, append, replace nothing, close. */
static void run_session(struct catalog_lake *lake, struct outcome *outcome)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = {0};
    outcome->told = catalog_lake_try_open(lake, &err);
    if (outcome->told) {
        assert_true(err.message[0] != '\0');
        return;
    }
    outcome->was_opened = true;
    enum lh_code code = catalog_lake_try_create(lake, "fresh", 1, &id, &err);
    outcome->is_created = code == LH_OK;
    for (int64_t rows = 10; rows <= 100 && !code; rows *= 10) {
        code = catalog_lake_try_append(lake, id, rows, NULL, &err);
        if (!code)
            outcome->acknowledged += rows;
        else if (code == LH_UNKNOWN)
            outcome->doubtful = rows;
    }
    if (code) {
        assert_true(err.message[0] != '\0');
        outcome->told = code;
        if (code == LH_UNKNOWN)
            assert_false(catalog_is_writable(lake->catalog));
    }
    catalog_lake_close(lake);
}

static void check_after(struct catalog_lake *lake, const struct outcome *outcome, const char *plan)
{
    catalog_lake_open(lake);
    int64_t rows = catalog_lake_rows(lake, "fresh");
    int64_t old = catalog_lake_rows(lake, "old");
    if (old != 7)
        fail_msg("%s: the old dataset has %lld rows", plan, (long long)old);
    int64_t least = outcome->is_created ? 1 + outcome->acknowledged : -1;
    bool is_right = rows == least || (outcome->doubtful && rows == least + outcome->doubtful) ||
                    (!outcome->is_created && rows == 1);
    if (!is_right)
        fail_msg("%s: %lld rows, acknowledged were %lld", plan, (long long)rows, (long long)least);
    if (catalog_lake_verify(lake, NULL))
        fail_msg("%s: the lake does not verify", plan);
    catalog_lake_append(lake, catalog_lake_create(lake, "after", 1), 1);
    catalog_lake_close(lake);
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct catalog_lake lake;
    struct outcome outcome = {0};
    struct fault_outcome ret = {0};
    catalog_lake_make(&lake);
    lake.options.checkpoint_every = 2;
    catalog_lake_open(&lake);
    struct lh_str id = catalog_lake_create(&lake, "old", 3);
    catalog_lake_append(&lake, id, 4);
    catalog_lake_close(&lake);
    assert_true(lh_fault_plan(plan));
    run_session(&lake, &outcome);
    fault_note(&ret, at);
    ret.told = outcome.told;
    assert_true(lh_fault_plan(NULL));
    check_after(&lake, &outcome, plan);
    catalog_lake_remove(&lake); /* counts descriptors */
    if (!outcome.told)
        assert_int_equal(outcome.acknowledged, 110);
    return ret;
}

static void a_call_that_fails_in_any_way_loses_nothing(void **state)
{
    (void)state;
    fault_ways_run("catalog", session, 50, 1);
}

static void no_fsync_fails_unnoticed(void **state)
{
    (void)state;
    for (unsigned point = 0; point < 2; point++) {
        const char *name = point ? "dir.sync" : "file.sync";
        for (unsigned at = 1;; at++) {
            struct catalog_lake lake;
            unsigned failures = 0;
            char plan[64];
            catalog_lake_make(&lake);
            catalog_lake_open(&lake);
            struct lh_str id = catalog_lake_create(&lake, "t", 1);
            snprintf(plan, sizeof plan, "%s=%u:EIO", name, at);
            assert_true(lh_fault_plan(plan));
            for (int i = 0; i < 3; i++) {
                struct lh_error err = LH_ERROR_NONE;
                if (catalog_lake_try_append(&lake, id, 1, NULL, &err))
                    failures++;
            }
            bool was_struck = lh_fault_was_struck();
            lh_fault_plan(NULL);
            catalog_lake_remove(&lake);
            if (!was_struck) {
                assert_true(at > 3);
                printf("figure: catalog: %s failed %u times, each told\n", name, at - 1);
                break;
            }
            if (!failures)
                fail_msg("%s: nobody was told", plan);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_in_any_way_loses_nothing),
        cmocka_unit_test(no_fsync_fails_unnoticed),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: this build has no fault points");
    return 0;
}

#endif
