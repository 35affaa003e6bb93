/* The registry of background work, with kinds that only note what was done to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
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

static void open_jobs(void)
{
    jobs_house_open(&house);
}

static void close_jobs(void)
{
    jobs_house_close(&house);
}

static struct lh_uuid submitted(const char *kind, const char *args)
{
    return jobs_house_submit(&house, kind, args);
}

static struct job_info ended(struct lh_uuid id)
{
    return jobs_house_ended(&house, id);
}

static struct job_info told(struct lh_uuid id)
{
    return jobs_house_told(&house, id);
}

/* --- a life */

static void a_job_is_done_once_and_its_end_outlives_the_process(void **state)
{
    (void)state;
    struct lh_uuid id = submitted("echo", "{\"a\":1}");
    struct job_info info = ended(id);
    assert_int_equal(info.state, JOB_SUCCEEDED);
    assert_true(lh_str_equal(info.result.text, lh_lit("{\"a\":1}")));
    close_jobs();
    open_jobs();
    info = told(id);
    assert_int_equal(info.state, JOB_SUCCEEDED);
    assert_true(lh_str_equal(info.result.text, lh_lit("{\"a\":1}")));
    assert_true(lh_str_equal(info.actor, lh_lit("tester")));
    assert_int_equal(atomic_load(&house.runs), 1);
}

static void a_failure_is_kept_with_its_words(void **state)
{
    (void)state;
    struct lh_uuid id = submitted("fail", "{}");
    struct job_info info = ended(id);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(info.state, JOB_FAILED);
        assert_true(lh_str_equal(info.error->code, lh_lit("unreadable_file")));
        assert_true(lh_str_equal(info.error->message, lh_lit("The thing cannot be read.")));
        assert_true(lh_str_equal(info.error->hint, lh_lit("Bring another.")));
        close_jobs();
        open_jobs();
        info = told(id);
    }
    assert_int_equal(atomic_load(&house.runs), 1);
}

static void what_does_not_exist_is_not_found(void **state)
{
    struct job_info info;
    struct lh_uuid id;
    const struct job_spec spec = {.kind = lh_lit("nosuch")};
    (void)state;
    assert_int_equal(jobs_submit(house.jobs, &spec, &id, &house.err), LH_NOT_FOUND);
    assert_int_equal(jobs_get(house.jobs, lh_lit("x"), house.arena, &info, &house.err),
                     LH_NOT_FOUND);
    assert_int_equal(jobs_cancel(house.jobs, lh_lit("x"), &house.err), LH_NOT_FOUND);
}

/* --- stopping and starting */

static void a_job_that_was_stopped_in_good_order_goes_on_in_the_next_process(void **state)
{
    (void)state;
    struct lh_uuid id = submitted("wait", "{}");
    jobs_house_until_running(&house, id);
    jobs_stop(house.jobs);
    close_jobs();
    atomic_store(&house.may_end, true);
    open_jobs();
    assert_int_equal(ended(id).state, JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&house.runs), 2);
}

static void queued_jobs_are_run_by_the_next_process(void **state)
{
    (void)state;
    close_jobs();
    house.options.running_max = 1;
    open_jobs();
    struct lh_uuid running = submitted("wait", "{}");
    jobs_house_until_running(&house, running);
    struct lh_uuid queued = submitted("echo", "{}");
    close_jobs();
    atomic_store(&house.may_end, true);
    open_jobs();
    assert_int_equal(ended(queued).state, JOB_SUCCEEDED);
    assert_int_equal(ended(running).state, JOB_SUCCEEDED);
}

/* Three attempts that the process did not outlive: the fourth is not made. */
static void a_job_that_takes_the_process_down_is_given_up(void **state)
{
    static const char id[] = "01900000-0000-7000-8000-000000000001";
    (void)state;
    struct lh_uuid first = submitted("echo", "{}"); /* so that the folder is there */
    (void)ended(first);
    close_jobs();
    jobs_house_write(&house, id, "submitted.json",
                     "{\"kind\": \"echo\", \"actor\": \"tester\", \"args\": {}, \"created_at\": "
                     "\"2024-01-01T00:00:00Z\"}");
    jobs_house_write(&house, id, "attempt-1.json", "{}");
    jobs_house_write(&house, id, "attempt-2.json", "{}");
    jobs_house_write(&house, id, "attempt-3.json", "{}");
    open_jobs();
    struct lh_uuid known;
    memcpy(known.text, id, sizeof(id));
    struct job_info info = ended(known);
    assert_int_equal(info.state, JOB_FAILED);
    assert_int_equal(info.attempts, 3);
    assert_int_equal(atomic_load(&house.runs), 1);
}

static void attempts_that_ended_in_good_order_do_not_count(void **state)
{
    static const char id[] = "01900000-0000-7000-8000-000000000002";
    struct job_info info;
    struct lh_cancel patience;
    (void)state;
    (void)ended(submitted("echo", "{}"));
    close_jobs();
    jobs_house_write(
        &house, id, "submitted.json",
        "{\"kind\": \"echo\", \"args\": {}, \"created_at\": \"2024-01-01T00:00:00Z\"}");
    for (int i = 1; i <= 3; i++) {
        char what[32];
        snprintf(what, sizeof(what), "attempt-%d.json", i);
        jobs_house_write(&house, id, what, "{}");
        snprintf(what, sizeof(what), "stopped-%d.json", i);
        jobs_house_write(&house, id, what, "{}");
    }
    open_jobs();
    lh_cancel_init(&patience);
    lh_cancel_set_timeout(&patience, 20000);
    assert_int_equal(
        jobs_wait(house.jobs, lh_str_of(id), &patience, house.arena, &info, &house.err), LH_OK);
    assert_int_equal(info.state, JOB_SUCCEEDED);
}

static void a_record_that_cannot_be_read_is_counted_and_stops_nothing(void **state)
{
    (void)state;
    (void)ended(submitted("echo", "{}"));
    close_jobs();
    jobs_house_write(&house, "01900000-0000-7000-8000-000000000003", "submitted.json",
                     "{\"kind\": ");
    open_jobs();
    assert_int_equal(jobs_damaged(house.jobs), 1);
    assert_int_equal(ended(submitted("echo", "{}")).state, JOB_SUCCEEDED);
}

/* --- cancelling */

static void a_running_job_stops_when_it_is_told_to(void **state)
{
    (void)state;
    struct lh_uuid id = submitted("wait", "{}");
    jobs_house_until_running(&house, id);
    assert_int_equal(jobs_cancel(house.jobs, lh_uuid_str(&id), &house.err), LH_OK);
    assert_int_equal(ended(id).state, JOB_CANCELLED);
    assert_int_equal(jobs_cancel(house.jobs, lh_uuid_str(&id), &house.err), LH_CONFLICT);
    close_jobs();
    open_jobs();
    assert_int_equal(told(id).state, JOB_CANCELLED);
    assert_int_equal(atomic_load(&house.runs), 1);
}

static void a_waiting_job_that_is_cancelled_is_never_run(void **state)
{
    struct lh_uuid first[2];
    (void)state;
    close_jobs();
    house.options.running_max = 2;
    open_jobs();
    for (int i = 0; i < 2; i++) {
        first[i] = submitted("wait", "{}");
        jobs_house_until_running(&house, first[i]);
    }
    struct lh_uuid id = submitted("echo", "{}");
    assert_int_equal(told(id).state, JOB_QUEUED);
    assert_int_equal(jobs_cancel(house.jobs, lh_uuid_str(&id), &house.err), LH_OK);
    assert_int_equal(told(id).state, JOB_CANCELLED);
    atomic_store(&house.may_end, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ended(first[i]).state, JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&house.runs), 2);
}

/* --- limits */

/* Of two that go one at a time the second takes no place; others pass it. */
static void jobs_that_go_alone_keep_nobody_waiting(void **state)
{
    (void)state;
    struct lh_uuid first = submitted("alone", "{}");
    jobs_house_until_running(&house, first);
    struct lh_uuid second = submitted("alone", "{}"), third = submitted("alone", "{}");
    struct lh_uuid other = submitted("echo", "{}");
    assert_int_equal(ended(other).state, JOB_SUCCEEDED);
    assert_int_equal(told(second).state, JOB_QUEUED);
    for (int i = 0; i < 2000 && lh_pool_stats(house.pool).running[LH_LANE_SLOW] > 1; i++)
        usleep(1000); /* that one's place is given back a moment later */
    assert_int_equal(lh_pool_stats(house.pool).running[LH_LANE_SLOW], 1);
    assert_int_equal(jobs_cancel(house.jobs, lh_uuid_str(&second), &house.err), LH_OK);
    assert_int_equal(told(second).state, JOB_CANCELLED);
    atomic_store(&house.may_end, true);
    assert_int_equal(ended(first).state, JOB_SUCCEEDED);
    assert_int_equal(ended(third).state, JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&house.runs), 3);
}

static void a_full_queue_refuses_and_keeps_nothing(void **state)
{
    struct lh_uuid id;
    struct lh_uuid waiting;
    struct job_info *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    const struct job_spec spec = {.kind = lh_lit("echo")};
    (void)state;
    close_jobs();
    house.options.running_max = 1;
    house.options.queue_max = 2;
    open_jobs();
    waiting = submitted("wait", "{}");
    jobs_house_until_running(&house, waiting);
    submitted("echo", "{}");
    submitted("echo", "{}");
    assert_int_equal(jobs_submit(house.jobs, &spec, &id, &house.err), LH_BUSY);
    assert_int_equal(jobs_list(house.jobs, NULL, (struct lh_str){0}, 100, house.arena, &items,
                               &count, &next, &house.err),
                     LH_OK);
    assert_int_equal(count, 3);
    atomic_store(&house.may_end, true);
    assert_int_equal(ended(waiting).state, JOB_SUCCEEDED);
}

static void ended_jobs_are_forgotten_beyond_their_number(void **state)
{
    struct lh_uuid first;
    struct lh_uuid last;
    struct job_info info;
    (void)state;
    close_jobs();
    house.options.keep_max = 3;
    open_jobs();
    first = submitted("echo", "{}");
    (void)ended(first);
    for (int i = 0; i < 6; i++) {
        last = submitted("echo", "{}");
        (void)ended(last);
    }
    for (int turn = 0; turn < 2000; turn++) {
        if (jobs_get(house.jobs, lh_uuid_str(&first), house.arena, &info, &house.err) ==
            LH_NOT_FOUND)
            break;
        usleep(1000);
    }
    assert_int_equal(jobs_get(house.jobs, lh_uuid_str(&first), house.arena, &info, &house.err),
                     LH_NOT_FOUND);
    assert_int_equal(told(last).state, JOB_SUCCEEDED);
}

/* --- looking */

static void pages_hold_every_job_once_newest_first(void **state)
{
    struct job_info *items = NULL;
    struct lh_str after = {0};
    struct lh_str last = {0};
    size_t count = 0;
    size_t seen = 0;
    (void)state;
    for (int i = 0; i < 25; i++)
        (void)ended(submitted(i % 5 ? "echo" : "fail", "{}"));
    do {
        assert_int_equal(
            jobs_list(house.jobs, NULL, after, 10, house.arena, &items, &count, &after, &house.err),
            LH_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(!last.data || lh_str_compare(items[i].id, last) < 0);
            last = items[i].id;
        }
        seen += count;
    } while (after.len);
    assert_int_equal(seen, 25);
    const struct jobs_filter failed = {.kind = lh_lit("fail"), .state = JOB_FAILED};
    assert_int_equal(
        jobs_list(house.jobs, &failed, after, 100, house.arena, &items, &count, &after, &house.err),
        LH_OK);
    assert_int_equal(count, 5);
    assert_int_equal(jobs_list(house.jobs, NULL, lh_lit("nonsense"), 10, house.arena, &items,
                               &count, &after, &house.err),
                     LH_INVALID);
}

static void a_watcher_hears_of_every_change_up_to_the_end(void **state)
{
    struct job_info info = {0};
    uint64_t seen = 0;
    int changes = 0;
    (void)state;
    struct lh_uuid id = submitted("wait", "{}");
    jobs_house_until_running(&house, id);
    while (info.state < JOB_SUCCEEDED) {
        assert_int_equal(jobs_watch(house.jobs, lh_uuid_str(&id), seen, 5000, NULL, house.arena,
                                    &info, &house.err),
                         LH_OK);
        assert_true(info.change > seen);
        seen = info.change;
        if (++changes == 3)
            atomic_store(&house.may_end, true);
        if (info.state == JOB_RUNNING && info.progress && info.progress->rows_done)
            assert_int_equal(info.progress->rows_done, 7);
    }
    assert_int_equal(info.state, JOB_SUCCEEDED);
    int64_t from_us = lh_clock_monotonic_us();
    assert_int_equal(
        jobs_watch(house.jobs, lh_uuid_str(&id), seen, 30, NULL, house.arena, &info, &house.err),
        LH_OK);
    assert_true(lh_clock_monotonic_us() - from_us < 5000000);
}

/* --- files */

static void the_file_of_a_job_is_its_own_and_goes_with_its_end(void **state)
{
    char name[128];
    struct lh_uuid id;
    (void)state;
    temp_lake_write(&house.folder, "mine.txt", "hello", 5);
    const struct job_spec spec = {
        .kind = lh_lit("echo"),
        .input = {.path = lh_str_of(temp_lake_file(&house.folder, "mine.txt")),
                  .filename = lh_lit("mine.txt"),
                  .bytes = 5},
    };
    assert_int_equal(jobs_submit(house.jobs, &spec, &id, &house.err), LH_OK);
    assert_int_equal(ended(id).state, JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&house.first_input_bytes), 5);
    assert_true(temp_lake_has(&house.folder, "mine.txt")); /* it was copied */
    snprintf(name, sizeof(name), "_jobs/%s.input", id.text);
    for (int turn = 0; turn < 2000 && temp_lake_has(&house.folder, name); turn++)
        usleep(1000);
    assert_false(temp_lake_has(&house.folder, name));
}

/* Others end and make it the oldest, just as it ends itself. */
static void *run_others(void *context)
{
    const struct job_spec spec = {.kind = lh_lit("echo"), .args = lh_lit("{}")};
    const _Atomic bool *is_over = context;
    while (!atomic_load(is_over)) {
        struct lh_error err = LH_ERROR_NONE;
        if (jobs_run(house.jobs, &spec, NULL, NULL, NULL, NULL, &err))
            break;
    }
    return NULL;
}

static void a_job_that_is_run_here_is_not_forgotten_before_it_is_answered(void **state)
{
    (void)state;
    const struct job_spec spec = {.kind = lh_lit("echo"), .args = lh_lit("{\"a\":1}")};
    static _Atomic bool is_over;
    pthread_t threads[2];
    close_jobs();
    house.options.keep_max = 1;
    open_jobs();
    atomic_store(&is_over, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_others, &is_over), 0);
    for (int i = 0; i < 2000; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_str result = {0};
        assert_int_equal(jobs_run(house.jobs, &spec, NULL, arena, NULL, &result, &house.err),
                         LH_OK);
        assert_true(lh_str_equal(result, spec.args));
        lh_arena_free(arena);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_that_is_run_here_is_not_forgotten_before_it_is_answered),
        TEST(a_job_is_done_once_and_its_end_outlives_the_process),
        TEST(a_failure_is_kept_with_its_words),
        TEST(what_does_not_exist_is_not_found),
        TEST(a_job_that_was_stopped_in_good_order_goes_on_in_the_next_process),
        TEST(queued_jobs_are_run_by_the_next_process),
        TEST(a_job_that_takes_the_process_down_is_given_up),
        TEST(attempts_that_ended_in_good_order_do_not_count),
        TEST(a_record_that_cannot_be_read_is_counted_and_stops_nothing),
        TEST(a_running_job_stops_when_it_is_told_to),
        TEST(a_waiting_job_that_is_cancelled_is_never_run),
        TEST(jobs_that_go_alone_keep_nobody_waiting),
        TEST(a_full_queue_refuses_and_keeps_nothing),
        TEST(ended_jobs_are_forgotten_beyond_their_number),
        TEST(pages_hold_every_job_once_newest_first),
        TEST(a_watcher_hears_of_every_change_up_to_the_end),
        TEST(the_file_of_a_job_is_its_own_and_goes_with_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
