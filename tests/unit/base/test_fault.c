#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/fault.h"

static int tear_down(void **state)
{
    (void)state;
    lh_fault_plan(NULL);
    return 0;
}

static void without_a_plan_nothing_fails_and_hits_are_counted(void **state)
{
    (void)state;
    const char *trace[3];
    assert_true(lh_fault_plan(""));
    for (int i = 0; i < 5; i++)
        assert_false(LH_FAULT("a.b"));
    assert_int_equal(lh_fault_count(), 5);
    assert_false(lh_fault_was_struck());
    assert_int_equal(lh_fault_trace(trace, 3), 3);
    assert_string_equal(trace[2], "a.b");
}

static void the_nth_hit_of_a_point_fails_once(void **state)
{
    (void)state;
    assert_true(lh_fault_plan("a=2:ENOSPC"));
    assert_false(LH_FAULT("a"));
    assert_false(LH_FAULT("b"));
    errno = 0;
    assert_true(LH_FAULT("a"));
    assert_int_equal(errno, ENOSPC);
    assert_true(lh_fault_was_struck());
    assert_false(LH_FAULT("a"));
}

static void a_plus_keeps_failing_and_a_star_means_any_point(void **state)
{
    (void)state;
    assert_true(lh_fault_plan("*=3+:EIO"));
    assert_false(LH_FAULT("a"));
    assert_false(LH_FAULT("b"));
    assert_true(LH_FAULT("c"));
    assert_true(LH_FAULT("a"));
    assert_true(lh_fault_plan(NULL));
    assert_false(LH_FAULT("a"));
}

static void short_is_told_apart_from_failure(void **state)
{
    (void)state;
    assert_true(lh_fault_plan("w=1:short"));
    assert_false(LH_FAULT("w"));
    assert_true(LH_FAULT_SHORT());
    assert_false(LH_FAULT("w"));
    assert_false(LH_FAULT_SHORT());
}

static void *hit_once(void *context)
{
    bool *has_failed = context;
    *has_failed = LH_FAULT("a");
    return NULL;
}

static void a_thread_that_waits_goes_on_under_another_plan(void **state)
{
    pthread_t thread;
    bool has_failed = true;
    (void)state;
    assert_true(lh_fault_plan("a=1:wait"));
    assert_int_equal(pthread_create(&thread, NULL, hit_once, &has_failed), 0);
    lh_fault_await();
    assert_false(LH_FAULT("a")); /* the others do not */
    assert_true(has_failed);     /* it has not come back */
    assert_true(lh_fault_plan("b=1:EIO"));
    pthread_join(thread, NULL);
    assert_false(has_failed);
}

static void plans_that_cannot_be_read_are_refused(void **state)
{
    (void)state;
    static const char *const plans[] = {
        "a",    "a=",        "=1:EIO", "a=0:EIO",  "a=x:EIO",   "a=1",
        "a=1:", "a=1:EWHAT", "a=1EIO", "a=-1:EIO", "a=1++:EIO", "a=99999999999999999999:EIO"};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        if (lh_fault_plan(plans[i]))
            fail_msg("%s", plans[i]);
        assert_false(LH_FAULT("a"));
    }
}

static int ending_of(const char *plan)
{
    pid_t child = fork();
    if (child == 0) {
        lh_fault_plan(plan);
        if (LH_FAULT("a"))
            _exit(1);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void kill_ends_the_process_at_the_point(void **state)
{
    (void)state;
    int status = ending_of("a=1:kill");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = ending_of("a=2:kill");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_a_plan_nothing_fails_and_hits_are_counted, tear_down),
        cmocka_unit_test_teardown(the_nth_hit_of_a_point_fails_once, tear_down),
        cmocka_unit_test_teardown(a_plus_keeps_failing_and_a_star_means_any_point, tear_down),
        cmocka_unit_test_teardown(short_is_told_apart_from_failure, tear_down),
        cmocka_unit_test_teardown(a_thread_that_waits_goes_on_under_another_plan, tear_down),
        cmocka_unit_test_teardown(plans_that_cannot_be_read_are_refused, tear_down),
        cmocka_unit_test_teardown(kill_ends_the_process_at_the_point, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
