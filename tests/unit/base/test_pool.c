#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/pool.h"

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_open;
    int waiting;
};

static struct gate gate;
static _Atomic int done;

static int set_up(void **state)
{
    (void)state;
    pthread_mutex_init(&gate.mutex, NULL);
    pthread_cond_init(&gate.changed, NULL);
    gate.is_open = false;
    gate.waiting = 0;
    atomic_store(&done, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pthread_cond_destroy(&gate.changed);
    pthread_mutex_destroy(&gate.mutex);
    return 0;
}

static void wait_at_gate(void *context)
{
    (void)context;
    pthread_mutex_lock(&gate.mutex);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.is_open)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    gate.waiting--;
    pthread_mutex_unlock(&gate.mutex);
    atomic_fetch_add(&done, 1);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

static void until_waiting(int count)
{
    pthread_mutex_lock(&gate.mutex);
    while (gate.waiting < count)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
}

static void count_up(void *context)
{
    atomic_fetch_add((_Atomic int *)context, 1);
}

static struct lh_pool *pool_of(unsigned threads, unsigned queue_max)
{
    struct lh_pool *pool = NULL;
    assert_int_equal(lh_pool_new(threads, 0, queue_max, &pool, NULL), LH_OK);
    return pool;
}

static void everything_queued_runs_before_the_pool_ends(void **state)
{
    (void)state;
    struct lh_pool *pool = pool_of(3, 1000);
    for (int i = 0; i < 900; i++)
        assert_int_equal(
            lh_pool_submit(pool, i % 2 ? LH_LANE_SHORT : LH_LANE_SLOW, count_up, &done, NULL),
            LH_OK);
    lh_pool_free(pool);
    assert_int_equal(atomic_load(&done), 900);
    lh_pool_free(NULL);
}

static void slow_work_takes_at_most_half_the_threads(void **state)
{
    (void)state;
    struct lh_pool *pool = pool_of(4, 10);
    for (int i = 0; i < 6; i++)
        assert_int_equal(lh_pool_submit(pool, LH_LANE_SLOW, wait_at_gate, NULL, NULL), LH_OK);
    until_waiting(2);
    _Atomic int quick = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, count_up, &quick, NULL), LH_OK);
    while (atomic_load(&quick) < 5)
        usleep(1000); /* would hang if slow work stood before it */
    struct lh_pool_stats stats = lh_pool_stats(pool);
    assert_int_equal(stats.running[LH_LANE_SLOW], 2);
    assert_int_equal(stats.queued[LH_LANE_SLOW], 4);
    assert_int_equal(stats.thread_count, 4);
    open_gate();
    lh_pool_free(pool);
    assert_int_equal(atomic_load(&done), 6);
}

static void a_full_lane_refuses_at_once_and_the_other_goes_on(void **state)
{
    (void)state;
    struct lh_pool *pool = pool_of(2, 3);
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SLOW, wait_at_gate, NULL, NULL), LH_OK);
    until_waiting(1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lh_pool_submit(pool, LH_LANE_SLOW, wait_at_gate, NULL, NULL), LH_OK);
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SLOW, wait_at_gate, NULL, &err), LH_BUSY);
    assert_non_null(strstr(err.message, "3 requests"));
    assert_int_equal(lh_pool_stats(pool).refused[LH_LANE_SLOW], 1);
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, count_up, &done, NULL), LH_OK);
    open_gate();
    lh_pool_free(pool);
    assert_int_equal(atomic_load(&done), 5);
}

static void vital_work_is_done_while_every_other_thread_is_taken(void **state)
{
    (void)state;
    struct lh_pool *pool = pool_of(2, 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, wait_at_gate, NULL, NULL), LH_OK);
    until_waiting(2);
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, wait_at_gate, NULL, NULL), LH_BUSY);
    _Atomic int vital = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(lh_pool_submit(pool, LH_LANE_VITAL, count_up, &vital, NULL), LH_OK);
    while (atomic_load(&vital) < 3)
        usleep(1000); /* would hang if it had to wait for a worker */
    open_gate();
    lh_pool_free(pool);
    assert_int_equal(atomic_load(&done), 5);
}

static void long_work_gives_its_place_to_who_waits(void **state)
{
    (void)state;
    struct lh_pool *pool = NULL;
    _Atomic int quick = 0;
    assert_int_equal(lh_pool_new(2, 3, 10, &pool, NULL), LH_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, wait_at_gate, NULL, NULL), LH_OK);
    until_waiting(5); /* two places, and three for what turned out to be long */
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, count_up, &quick, NULL), LH_OK);
    usleep(LH_POOL_LONG_MS * 1000 + 200000);
    struct lh_pool_stats stats = lh_pool_stats(pool);
    assert_int_equal(stats.long_running, 3);
    assert_int_equal(stats.running[LH_LANE_SHORT], 5);
    assert_int_equal(stats.queued[LH_LANE_SHORT], 1);
    assert_int_equal(atomic_load(&quick), 0); /* five are all that run at once */
    open_gate();
    lh_pool_free(pool);
    assert_int_equal(atomic_load(&quick), 1);
    assert_int_equal(atomic_load(&done), 5);
}

static void until_stopped(void *context)
{
    struct lh_cancel *cancel = context;
    lh_pool_yields(cancel);
    while (!lh_cancel_check(cancel))
        usleep(1000);
    lh_pool_yields(NULL);
    atomic_fetch_add(&done, 1);
}

static void with_no_long_place_left_the_youngest_that_yields_makes_way(void **state)
{
    (void)state;
    struct lh_pool *pool = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_cancel tokens[2];
    _Atomic int quick = 0;
    assert_int_equal(lh_pool_new(3, 1, 10, &pool, NULL), LH_OK);
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, wait_at_gate, NULL, NULL), LH_OK);
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, wait_at_gate, NULL, NULL), LH_OK);
    until_waiting(2);
    for (int i = 0; i < 2; i++) {
        lh_cancel_init(&tokens[i]);
        assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, until_stopped, &tokens[i], NULL),
                         LH_OK);
        usleep(20000);
    }
    usleep(LH_POOL_YIELD_MS * 1000 + 500000); /* all four run, and nobody waits */
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, count_up, &quick, NULL), LH_OK);
    while (!atomic_load(&quick))
        usleep(1000); /* would hang if nobody made way */
    assert_int_equal(lh_cancel_check(&tokens[0]), LH_OK);
    assert_int_equal(lh_cancel_fail(&tokens[1], "The statement", &err), LH_BUSY);
    assert_string_equal(err.message,
                        "The statement was stopped to make way: too many long ones run.");
    assert_int_equal(lh_pool_stats(pool).yielded, 1);
    lh_cancel_fire(&tokens[0], LH_CANCELLED);
    open_gate();
    lh_pool_free(pool);
    assert_int_equal(atomic_load(&done), 4);
}

static void long_work_is_left_alone_while_nobody_waits(void **state)
{
    (void)state;
    struct lh_pool *pool = NULL;
    struct lh_cancel token;
    lh_cancel_init(&token);
    assert_int_equal(lh_pool_new(1, 1, 10, &pool, NULL), LH_OK);
    assert_int_equal(lh_pool_submit(pool, LH_LANE_SHORT, until_stopped, &token, NULL), LH_OK);
    usleep(LH_POOL_YIELD_MS * 1000 + 200000);
    assert_int_equal(lh_cancel_check(&token), LH_OK);
    assert_int_equal(lh_pool_stats(pool).long_running, 0);
    lh_cancel_fire(&token, LH_CANCELLED);
    lh_pool_free(pool);
    lh_pool_yields(&token); /* outside a pool it means nothing */
}

struct recorder {
    struct lh_pool *pool;
    char order[64];
    _Atomic int count;
    enum lh_code late; /* what a submission during the end was answered */
};

static void note_slow(void *context)
{
    struct recorder *recorder = context;
    recorder->order[atomic_fetch_add(&recorder->count, 1)] = 's';
}

static void note_short(void *context)
{
    struct recorder *recorder = context;
    recorder->order[atomic_fetch_add(&recorder->count, 1)] = 'q';
}

static void short_work_overtakes_slow_work_on_a_single_thread(void **state)
{
    (void)state;
    struct recorder recorder = {.pool = pool_of(1, 20)};
    assert_int_equal(lh_pool_submit(recorder.pool, LH_LANE_SHORT, wait_at_gate, NULL, NULL), LH_OK);
    until_waiting(1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lh_pool_submit(recorder.pool, LH_LANE_SLOW, note_slow, &recorder, NULL),
                         LH_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lh_pool_submit(recorder.pool, LH_LANE_SHORT, note_short, &recorder, NULL),
                         LH_OK);
    open_gate();
    lh_pool_free(recorder.pool);
    assert_string_equal(recorder.order, "qqqsss");
}

static void resubmit(void *context)
{
    struct recorder *recorder = context;
    wait_at_gate(NULL);
    while (recorder->late != LH_STOPPING)
        recorder->late = lh_pool_submit(recorder->pool, LH_LANE_SHORT, count_up, &done, NULL);
}

static void *end_pool(void *context)
{
    struct recorder *recorder = context;
    lh_pool_free(recorder->pool);
    return NULL;
}

static void an_ending_pool_takes_no_more_work(void **state)
{
    (void)state;
    struct recorder recorder = {.pool = pool_of(2, 5)};
    pthread_t thread;
    assert_int_equal(lh_pool_submit(recorder.pool, LH_LANE_SHORT, resubmit, &recorder, NULL),
                     LH_OK);
    until_waiting(1);
    assert_int_equal(lh_thread_start("ender", end_pool, &recorder, &thread, NULL), LH_OK);
    open_gate();
    pthread_join(thread, NULL);
    assert_int_equal(recorder.late, LH_STOPPING);
}

static void *look_at_own_signals(void *context)
{
    sigset_t blocked;
    pthread_attr_t attributes;
    size_t stack = 0;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &stack);
    pthread_attr_destroy(&attributes);
    *(bool *)context = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGINT) == 1 &&
                       sigismember(&blocked, SIGSEGV) == 0 && stack >= LH_THREAD_STACK_BYTES;
    return NULL;
}

static void threads_leave_signals_to_the_main_thread_and_have_deep_stacks(void **state)
{
    (void)state;
    bool is_fine = false;
    pthread_t thread;
    sigset_t now;
    assert_int_equal(lh_thread_start("a-name-longer-than-the-kernel-keeps", look_at_own_signals,
                                     &is_fine, &thread, NULL),
                     LH_OK);
    pthread_join(thread, NULL);
    assert_true(is_fine);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 0);
}

static void the_first_reason_to_stop_wins(void **state)
{
    (void)state;
    struct lh_cancel cancel;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_cancel_check(NULL), LH_OK);
    lh_cancel_init(&cancel);
    assert_int_equal(lh_cancel_fail(&cancel, "The statement", &err), LH_OK);
    lh_cancel_fire(&cancel, LH_CANCELLED);
    lh_cancel_fire(&cancel, LH_STOPPING);
    assert_int_equal(lh_cancel_fail(&cancel, "The statement", &err), LH_CANCELLED);
    assert_string_equal(err.message, "The statement was cancelled.");
}

static void a_deadline_passes_and_stays_the_reason(void **state)
{
    (void)state;
    struct lh_cancel cancel;
    struct lh_error err = LH_ERROR_NONE;
    lh_cancel_init(&cancel);
    lh_cancel_set_timeout(&cancel, INT64_MAX);
    assert_int_equal(lh_cancel_check(&cancel), LH_OK);
    lh_cancel_set_timeout(&cancel, 20);
    int64_t until_us = lh_clock_monotonic_us() + 20000;
    while (lh_cancel_check(&cancel) == LH_OK)
        assert_true(lh_clock_monotonic_us() < until_us + 5000000);
    assert_true(lh_clock_monotonic_us() >= until_us - 1000);
    lh_cancel_fire(&cancel, LH_CANCELLED);
    assert_int_equal(lh_cancel_fail(&cancel, "The statement", &err), LH_TIMEOUT);
    assert_string_equal(err.message, "The statement ran longer than its limit of 20 ms.");
}

static void a_child_stops_with_its_parent_and_not_the_other_way(void **state)
{
    (void)state;
    struct lh_cancel parent;
    struct lh_cancel child;
    struct lh_cancel other;
    lh_cancel_init(&parent);
    lh_cancel_init_child(&child, &parent);
    lh_cancel_init_child(&other, &parent);
    lh_cancel_fire(&child, LH_CANCELLED);
    assert_int_equal(lh_cancel_check(&parent), LH_OK);
    assert_int_equal(lh_cancel_check(&other), LH_OK);
    lh_cancel_fire(&parent, LH_STOPPING);
    assert_int_equal(lh_cancel_check(&other), LH_STOPPING);
    assert_int_equal(lh_cancel_check(&child), LH_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_queued_runs_before_the_pool_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(slow_work_takes_at_most_half_the_threads, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_lane_refuses_at_once_and_the_other_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(vital_work_is_done_while_every_other_thread_is_taken,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_work_gives_its_place_to_who_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_no_long_place_left_the_youngest_that_yields_makes_way,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_work_is_left_alone_while_nobody_waits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(short_work_overtakes_slow_work_on_a_single_thread, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_ending_pool_takes_no_more_work, set_up, tear_down),
        cmocka_unit_test(threads_leave_signals_to_the_main_thread_and_have_deep_stacks),
        cmocka_unit_test(the_first_reason_to_stop_wins),
        cmocka_unit_test(a_deadline_passes_and_stays_the_reason),
        cmocka_unit_test(a_child_stops_with_its_parent_and_not_the_other_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
