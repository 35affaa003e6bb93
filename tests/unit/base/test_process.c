#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/process.h"

static enum lh_code collect(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    lh_buf_append_str(context, bytes);
    return LH_OK;
}

static enum lh_code refuse(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)context;
    (void)bytes;
    return lh_fail(err, LH_FULL, "No room.");
}

static void output_arrives_whole_and_the_exit_status_is_a_result(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "seq 1 50000; echo oops >&2; exit 7", NULL};
    struct lh_buf out;
    lh_buf_init(&out, 1 << 20);
    struct lh_process_request request = {.argv = argv, .sink = collect, .context = &out};
    struct lh_process_result result;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_process_run(&request, &result, &err), LH_OK);
    assert_int_equal(result.exit_status, 7);
    assert_string_equal(result.stderr_tail, "oops\n");
    assert_true(lh_str_ends_with(lh_buf_str(&out), lh_lit("\n49999\n50000\n")));
    lh_buf_release(&out);
}

static void a_missing_program_is_named(void **state)
{
    (void)state;
    const char *const argv[] = {"no-such-program-here", NULL};
    struct lh_process_request request = {.argv = argv};
    struct lh_process_result result;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_process_run(&request, &result, &err), LH_NOT_FOUND);
    assert_non_null(strstr(err.message, "no-such-program-here"));
}

static void a_silent_child_is_killed_at_its_timeout(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "30", NULL};
    struct lh_process_request request = {.argv = argv, .timeout_ms = 100};
    struct lh_process_result result;
    struct lh_error err = LH_ERROR_NONE;
    int64_t start_us = lh_clock_monotonic_us();
    assert_int_equal(lh_process_run(&request, &result, &err), LH_TIMEOUT);
    assert_true(lh_clock_monotonic_us() - start_us < 5000000);
}

static void a_sink_that_refuses_ends_the_child(void **state)
{
    (void)state;
    const char *const argv[] = {"yes", NULL};
    struct lh_process_request request = {.argv = argv, .sink = refuse};
    struct lh_process_result result;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_process_run(&request, &result, &err), LH_FULL);
    assert_string_equal(err.message, "No room.");
}

static void only_the_end_of_long_complaints_is_kept(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "seq 1 5000 >&2", NULL};
    struct lh_process_request request = {.argv = argv};
    struct lh_process_result result;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_process_run(&request, &result, &err), LH_OK);
    assert_int_equal(strlen(result.stderr_tail), LH_PROCESS_STDERR_BYTES);
    assert_non_null(strstr(result.stderr_tail, "\n5000\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_arrives_whole_and_the_exit_status_is_a_result),
        cmocka_unit_test(a_missing_program_is_named),
        cmocka_unit_test(a_silent_child_is_killed_at_its_timeout),
        cmocka_unit_test(a_sink_that_refuses_ends_the_child),
        cmocka_unit_test(only_the_end_of_long_complaints_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
