/* What is told of a job is true and stays true: where the disk fails, where the process goes down,
 * and where nobody can say whether the work had its effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "support/jobs_house.h"

static struct jobs_house house;

static int make(void **state)
{
    (void)state;
    jobs_house_make(&house);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    jobs_house_remove(&house);
    return 0;
}

static void reopen(void)
{
    jobs_house_close(&house);
    jobs_house_open(&house);
}

static struct lh_uuid id_of(const char *text)
{
    struct lh_uuid id;
    memcpy(id.text, text, sizeof(id.text));
    return id;
}

static const char submitted_record[] =
    "{\"kind\": \"told\", \"actor\": \"tester\", \"args\": {}, \"created_at\": "
    "\"2024-01-01T00:00:00Z\"}";

/* Until the job neither waits for its turn nor runs: it has ended, or this process does no more
 * with it. */
static struct job_info settled(struct lh_uuid id, int runs)
{
    struct job_info info = jobs_house_told(&house, id);
    for (int turn = 0; turn < 20000; turn++, info = jobs_house_told(&house, id)) {
        if (info.state >= JOB_SUCCEEDED ||
            (info.state == JOB_QUEUED && atomic_load(&house.runs) >= runs))
            return info;
        usleep(1000);
    }
    fail_msg("the job %s neither ends nor waits", id.text);
    return info;
}

/* --- outcomes that are not known */

static void check_waits(enum lh_code code)
{
    int before = atomic_load(&house.runs);
    atomic_store(&house.ends_with, (int)code);
    struct lh_uuid id = jobs_house_submit(&house, "told", "{}");
    struct job_info info = settled(id, before + 1);
    assert_int_equal(info.state, JOB_QUEUED);
    assert_non_null(info.error); /* and says why */
    assert_string_equal(info.error->code.data, lh_error_row(code)->id);
    atomic_store(&house.ends_with, LH_OK);
    reopen();
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&house.runs), before + 2);
}

static void a_job_of_unknown_outcome_is_left_to_the_next_process(void **state)
{
    (void)state;
    check_waits(LH_UNKNOWN);
    check_waits(LH_LOCKED);
}

static void who_waits_for_a_job_of_unknown_outcome_is_answered(void **state)
{
    (void)state;
    atomic_store(&house.ends_with, LH_UNKNOWN);
    struct lh_uuid id = jobs_house_submit(&house, "told", "{}");
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_QUEUED);
}

static void jobs_that_wait_for_the_next_start_fill_the_queue_like_others(void **state)
{
    struct lh_uuid id;
    const struct job_spec spec = {.kind = lh_lit("echo")};
    (void)state;
    house.options.queue_max = 2;
    reopen();
    atomic_store(&house.ends_with, LH_UNKNOWN);
    for (int i = 0; i < 2; i++)
        assert_int_equal(jobs_house_ended(&house, jobs_house_submit(&house, "told", "{}")).state,
                         JOB_QUEUED);
    assert_int_equal(jobs_submit(house.jobs, &spec, &id, &house.err), LH_BUSY);
}

static void a_job_of_unknown_outcome_is_not_told_cancelled_before_that_is_known(void **state)
{
    (void)state;
    atomic_store(&house.ends_with, LH_UNKNOWN);
    struct lh_uuid id = jobs_house_submit(&house, "told", "{}");
    (void)settled(id, 1);
    assert_int_equal(jobs_cancel(house.jobs, lh_uuid_str(&id), &house.err), LH_OK);
    assert_int_equal(jobs_house_told(&house, id).state, JOB_QUEUED);
    atomic_store(&house.ends_with, LH_OK); /* the next attempt finds the effect */
    reopen();
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_SUCCEEDED);
}

/* Killed while it ran, and cancelled while it waits to be run again: the effect may be there. */
static void a_job_that_was_begun_before_looks_for_its_effect_before_it_is_cancelled(void **state)
{
    static const char waits[] = "01900000-0000-7000-8000-000000000001";
    static const char begun[] = "01900000-0000-7000-8000-000000000002";
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    jobs_house_close(&house);
    jobs_house_write(&house, waits, "submitted.json",
                     "{\"kind\": \"wait\", \"created_at\": \"2024-01-01T00:00:00Z\"}");
    jobs_house_write(&house, begun, "submitted.json", submitted_record);
    jobs_house_write(&house, begun, "attempt-1.json", "{}");
    house.options.running_max = 1;
    jobs_house_open(&house);
    jobs_house_until_running(&house, id_of(waits));
    assert_int_equal(jobs_cancel(house.jobs, lh_str_of(begun), &house.err), LH_OK);
    assert_int_equal(jobs_house_told(&house, id_of(begun)).state, JOB_QUEUED);
    atomic_store(&house.may_end, true);
    assert_int_equal(jobs_house_ended(&house, id_of(begun)).state, JOB_SUCCEEDED);
}

/* Three attempts that the process did not outlive: the fourth is not made. */
static struct lh_uuid given_up(const char *also)
{
    static const char id[] = "01900000-0000-7000-8000-000000000005";
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    jobs_house_close(&house);
    jobs_house_write(&house, id, "submitted.json", submitted_record);
    jobs_house_write(&house, id, "attempt-1.json", "{}");
    jobs_house_write(&house, id, "attempt-2.json", "{}");
    jobs_house_write(&house, id, "attempt-3.json", "{}");
    if (also)
        jobs_house_write(&house, id, also, "{}");
    jobs_house_open(&house);
    return id_of(id);
}

static void a_job_that_is_not_run_again_has_succeeded_if_its_effect_is_there(void **state)
{
    (void)state;
    atomic_store(&house.has_effect, true);
    struct lh_uuid id = given_up(NULL);
    for (int life = 0; life < 2; life++) {
        struct job_info info = jobs_house_ended(&house, id);
        assert_int_equal(info.state, JOB_SUCCEEDED);
        assert_string_equal(info.result.text.data, "{\"found\":true}");
        assert_int_equal(info.attempts, 3);
        reopen();
    }
    assert_int_equal(atomic_load(&house.runs), 1); /* only the echo */
}

static void
a_job_that_is_not_run_again_is_not_told_failed_while_its_effect_is_not_known(void **state)
{
    (void)state;
    atomic_store(&house.finds_with, LH_IO);
    struct lh_uuid id = given_up(NULL);
    struct job_info info = jobs_house_ended(&house, id); /* or waits for the next start */
    assert_int_equal(info.state, JOB_QUEUED);
    assert_string_equal(info.error->code.data, "outcome_unknown");
    assert_int_equal(jobs_counts(house.jobs).held, 1);
    atomic_store(&house.finds_with, LH_OK);
    reopen();
    info = jobs_house_ended(&house, id);
    assert_int_equal(info.state, JOB_FAILED);
    assert_non_null(strstr(info.error->message.data, "3 times"));
    assert_int_equal(atomic_load(&house.runs), 1);
}

static void a_job_that_is_not_run_again_and_was_cancelled_ends_cancelled(void **state)
{
    (void)state;
    struct lh_uuid id = given_up("cancel.json");
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_CANCELLED);
    assert_int_equal(atomic_load(&house.runs), 1);
}

/* --- the end of the process */

static void the_end_waits_for_a_job_that_does_not_stop_only_so_long_and_names_it(void **state)
{
    char log[4096] = "";
    int fd = open(temp_lake_file(&house.folder, "log"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    (void)state;
    assert_true(fd >= 0);
    lh_log_set_fd(fd);
    lh_log_set_level(LH_LOG_WARN);
    struct lh_uuid id = jobs_house_submit(&house, "stubborn", "{}");
    jobs_house_until_running(&house, id);
    int64_t began_us = lh_clock_monotonic_us();
    assert_false(jobs_drain(house.jobs, 300));
    int64_t took_ms = (lh_clock_monotonic_us() - began_us) / 1000;
    lh_log_set_fd(STDERR_FILENO);
    assert_in_range(took_ms, 300, 10000);
    assert_true(pread(fd, log, sizeof(log) - 1, 0) > 0);
    close(fd);
    const char *waiting = strstr(log, "jobs.waiting");
    assert_non_null(waiting);
    assert_non_null(strstr(waiting, id.text));
    assert_non_null(strstr(waiting, "jobs.left"));
    assert_true(jobs_house_has(&house, id.text, "stopped-1.json")); /* no fault of the job's */
    atomic_store(&house.may_end, true);
    assert_true(jobs_drain(house.jobs, -1));
    assert_int_equal(jobs_house_told(&house, id).state, JOB_QUEUED);
    reopen();
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_SUCCEEDED);
}

#ifdef LH_FAULTS

/* --- records that cannot be written */

static void plan(const char *text)
{
    assert_true(lh_fault_plan(text));
}

/* The records of a job's life in their order: submitted, attempt-1, ended. */
static void a_job_whose_attempt_cannot_be_recorded_is_run_all_the_same(void **state)
{
    static const char *const plans[] = {"dir.sync=2:EIO", "file.sync=2:EIO",
                                        "file.create=2:ENOSPC"};
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        plan(plans[i]);
        struct lh_uuid id = jobs_house_submit(&house, "echo", "{\"a\":1}");
        struct job_info info = jobs_house_ended(&house, id);
        assert_true(lh_fault_was_struck());
        plan(NULL);
        assert_int_equal(info.state, JOB_SUCCEEDED);
        reopen();
        assert_int_equal(jobs_house_told(&house, id).state, JOB_SUCCEEDED);
    }
    assert_int_equal(atomic_load(&house.runs), 4);
}

static void a_failure_that_cannot_be_recorded_is_not_told_as_one(void **state)
{
    static const char *const plans[] = {"dir.sync=3:EIO", "file.sync=3:EIO"};
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        int before = atomic_load(&house.runs);
        atomic_store(&house.ends_with, LH_UNREADABLE);
        plan(plans[i]);
        struct lh_uuid id = jobs_house_submit(&house, "told", "{}");
        struct job_info info = settled(id, before + 1);
        for (int turn = 0; turn < 5000 && !info.error; turn++, info = settled(id, before + 1))
            usleep(1000);
        assert_true(lh_fault_was_struck());
        plan(NULL);
        assert_int_equal(info.state, JOB_QUEUED);
        assert_non_null(info.error);
        assert_string_equal(info.error->code.data, "unreadable_file");
        reopen();
        assert_int_equal(jobs_house_ended(&house, id).state, JOB_FAILED);
    }
}

static void a_success_that_cannot_be_recorded_is_found_again(void **state)
{
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    plan("file.sync=3:EIO");
    struct lh_uuid id = jobs_house_submit(&house, "echo", "{\"b\":2}");
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_SUCCEEDED);
    assert_true(lh_fault_was_struck());
    plan(NULL);
    reopen();
    struct job_info info = jobs_house_ended(&house, id);
    assert_int_equal(info.state, JOB_SUCCEEDED);
    assert_string_equal(info.result.text.data, "{\"b\":2}");
}

static void a_cancel_that_cannot_be_recorded_leaves_the_job_in_the_queue(void **state)
{
    (void)state;
    jobs_house_close(&house);
    house.options.running_max = 1;
    jobs_house_open(&house);
    struct lh_uuid first = jobs_house_submit(&house, "wait", "{}");
    jobs_house_until_running(&house, first);
    for (int turn = 0; turn < 5000 && !jobs_house_has(&house, first.text, "attempt-1.json"); turn++)
        usleep(1000);
    struct lh_uuid id = jobs_house_submit(&house, "echo", "{}");
    plan("file.sync=1+:EIO");
    assert_int_not_equal(jobs_cancel(house.jobs, lh_uuid_str(&id), &house.err), LH_OK);
    plan(NULL);
    assert_int_equal(jobs_house_told(&house, id).state, JOB_QUEUED);
    assert_false(jobs_house_told(&house, id).is_cancelling);
    atomic_store(&house.may_end, true);
    assert_int_equal(jobs_house_ended(&house, id).state, JOB_SUCCEEDED);
    assert_int_equal(jobs_house_ended(&house, first).state, JOB_SUCCEEDED);
}

/* --- a submit that fails */

/* The job of the last submit, whatever was told of it. */
static size_t list_jobs(struct job_info **ret)
{
    size_t count = 0;
    struct lh_str next;
    assert_int_equal(jobs_list(house.jobs, NULL, (struct lh_str){0}, 100, house.arena, ret, &count,
                               &next, &house.err),
                     LH_OK);
    return count;
}

/* Every fsync of a folder that a submit with a file makes fails in turn. */
static void a_submit_of_unknown_outcome_leaves_a_job_that_is_run_and_no_damage(void **state)
{
    unsigned unknown = 0;
    bool was_struck = true;
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    temp_lake_write(&house.folder, "mine.txt", "hello", 5);
    const struct job_spec spec = {
        .kind = lh_lit("echo"),
        .input = {.path = lh_str_of(temp_lake_file(&house.folder, "mine.txt")),
                  .filename = lh_lit("mine.txt"),
                  .bytes = 5},
    };
    for (unsigned at = 1; was_struck && at < 20; at++) {
        char text[64];
        struct lh_uuid id;
        struct job_info *items = NULL;
        size_t before = list_jobs(&items);
        snprintf(text, sizeof(text), "dir.sync=%u:EIO", at);
        plan(text);
        enum lh_code code = jobs_submit(house.jobs, &spec, &id, &house.err);
        plan(code ? NULL : text);
        was_struck = code != LH_OK;
        unknown += code == LH_UNKNOWN;
        size_t count = list_jobs(&items);
        assert_int_equal(count, before + (code == LH_OK || code == LH_UNKNOWN));
        if (code == LH_UNKNOWN) /* the caller is told where to look */
            assert_non_null(strstr(house.err.message, items[0].id.data));
        if (count > before)
            assert_int_equal(jobs_house_ended(&house, id_of(items[0].id.data)).state,
                             JOB_SUCCEEDED);
        plan(NULL);
        reopen();
        assert_int_equal(jobs_damaged(house.jobs), 0);
        assert_int_equal(list_jobs(&items), count);
    }
    assert_false(was_struck);
    assert_int_equal(unknown, 1);
}

/* --- removal */

static bool is_known(struct lh_uuid id)
{
    struct job_info info;
    return jobs_get(house.jobs, lh_uuid_str(&id), house.arena, &info, &house.err) == LH_OK;
}

/* Ends one job, then lets the n-th renaming that is made while a second one pushes it out fail:
 * what stands in the folder after that is what a kill there would leave. */
static bool is_removal_struck(unsigned at)
{
    char text[64];
    struct lh_uuid id;
    const struct job_spec spec = {.kind = lh_lit("echo")};
    jobs_house_remove(&house);
    jobs_house_make(&house);
    house.options.keep_max = 1;
    reopen();
    struct lh_uuid first = jobs_house_submit(&house, "told", "{}");
    assert_int_equal(jobs_house_ended(&house, first).state, JOB_SUCCEEDED);
    snprintf(text, sizeof(text), "file.publish=%u+:EIO", at);
    plan(text);
    if (!jobs_submit(house.jobs, &spec, &id, &house.err))
        for (int turn = 0; turn < 200 && is_known(first); turn++)
            usleep(1000);
    jobs_house_close(&house);
    bool was_struck = lh_fault_was_struck();
    plan(NULL);
    house.options.keep_max = 1000;
    int before = atomic_load(&house.runs);
    atomic_store(&house.ends_with, LH_UNREADABLE); /* should it be run again, that shows */
    jobs_house_open(&house);
    if (is_known(first))
        assert_int_equal(jobs_house_ended(&house, first).state, JOB_SUCCEEDED);
    else /* nothing of it is left */
        for (int i = 0; i < 3; i++) {
            static const char *const files[] = {"submitted.json", "attempt-1.json", "ended.json"};
            assert_false(jobs_house_has(&house, first.text, files[i]));
        }
    assert_true(atomic_load(&house.runs) <= before + 1); /* the second one, at most */
    assert_int_equal(jobs_damaged(house.jobs), 0);
    return was_struck;
}

static void an_ended_job_whose_removal_is_cut_short_is_not_run_again(void **state)
{
    unsigned at = 1;
    (void)state;
    while (at < 30 && is_removal_struck(at))
        at++;
    assert_in_range(at, 6, 29); /* three records of the second job, three of the first */
}

static void removing_jobs_does_not_list_the_folder(void **state)
{
    static const char *trace[LH_FAULT_TRACE_MAX];
    (void)state;
    jobs_house_close(&house);
    house.options.keep_max = 2;
    jobs_house_open(&house);
    struct lh_uuid first = jobs_house_submit(&house, "echo", "{}");
    (void)jobs_house_ended(&house, first);
    plan(NULL); /* the trace begins here */
    for (int i = 0; i < 6; i++)
        (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    for (int turn = 0; turn < 5000 && jobs_house_has(&house, first.text, "ended.json"); turn++)
        usleep(1000);
    assert_false(jobs_house_has(&house, first.text, "ended.json"));
    size_t count = lh_fault_trace(trace, LH_FAULT_TRACE_MAX);
    for (size_t i = 0; i < count; i++)
        assert_string_not_equal(trace[i], "dir.list");
}

#endif

static void what_a_removal_left_behind_is_swept(void **state)
{
    static const char id[] = "01900000-0000-7000-8000-000000000003";
    static const char *const files[] = {"attempt-1.json", "stopped-1.json", "cancel.json", "input",
                                        "ended.json"};
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    jobs_house_close(&house);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        jobs_house_write(&house, id, files[i], "{}");
    jobs_house_open(&house);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        assert_false(jobs_house_has(&house, id, files[i]));
    assert_int_equal(jobs_damaged(house.jobs), 0);
}

/* What an earlier release could leave: an accepted job whose file is in the trash. */
static void a_job_whose_file_is_gone_has_failed_and_says_so(void **state)
{
    static const char id[] = "01900000-0000-7000-8000-000000000004";
    (void)state;
    (void)jobs_house_ended(&house, jobs_house_submit(&house, "echo", "{}"));
    jobs_house_close(&house);
    jobs_house_write(&house, id, "submitted.json",
                     "{\"kind\": \"echo\", \"created_at\": \"2024-01-01T00:00:00Z\", \"input\": "
                     "{\"filename\": \"a.csv\", \"bytes\": 5, \"sha256\": "
                     "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}}");
    for (int life = 0; life < 2; life++) {
        jobs_house_open(&house);
        struct job_info info = jobs_house_ended(&house, id_of(id));
        assert_int_equal(info.state, JOB_FAILED);
        assert_non_null(strstr(info.error->message.data, "a.csv"));
        assert_int_equal(jobs_damaged(house.jobs), 0);
        jobs_house_close(&house);
    }
    jobs_house_open(&house);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_of_unknown_outcome_is_left_to_the_next_process),
        TEST(who_waits_for_a_job_of_unknown_outcome_is_answered),
        TEST(jobs_that_wait_for_the_next_start_fill_the_queue_like_others),
        TEST(a_job_of_unknown_outcome_is_not_told_cancelled_before_that_is_known),
        TEST(a_job_that_was_begun_before_looks_for_its_effect_before_it_is_cancelled),
        TEST(a_job_that_is_not_run_again_has_succeeded_if_its_effect_is_there),
        TEST(a_job_that_is_not_run_again_is_not_told_failed_while_its_effect_is_not_known),
        TEST(a_job_that_is_not_run_again_and_was_cancelled_ends_cancelled),
        TEST(the_end_waits_for_a_job_that_does_not_stop_only_so_long_and_names_it),
#ifdef LH_FAULTS
        TEST(a_job_whose_attempt_cannot_be_recorded_is_run_all_the_same),
        TEST(a_failure_that_cannot_be_recorded_is_not_told_as_one),
        TEST(a_success_that_cannot_be_recorded_is_found_again),
        TEST(a_cancel_that_cannot_be_recorded_leaves_the_job_in_the_queue),
        TEST(a_submit_of_unknown_outcome_leaves_a_job_that_is_run_and_no_damage),
        TEST(an_ended_job_whose_removal_is_cut_short_is_not_run_again),
        TEST(removing_jobs_does_not_list_the_folder),
#endif
        TEST(what_a_removal_left_behind_is_swept),
        TEST(a_job_whose_file_is_gone_has_failed_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
