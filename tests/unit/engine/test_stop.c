/* Statements end when they are told to, early closes leave nothing running. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/engine_bench.h"

/* Generous beside the few milliseconds that it takes: the machine may be busy, and sanitizers are
 * slow. */
#define LATE_MS 1000

static const char *const hostile[] = {
    "SELECT count(*) FROM range(100000000000)",
    "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3",
    "SELECT i, i * 2 FROM range(10000000000) t(i) ORDER BY i DESC",
    "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "SELECT sum(length(repeat('ab', (i % 1000)::INT))) FROM range(1000000000) t(i)",
    "SELECT string_agg(i::VARCHAR, ',') FROM range(300000000) t(i)",
    "SELECT * FROM range(100000000000)",
};

static void hostile_statements_end_soon_after_their_deadline(void **state)
{
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        struct lh_cancel cancel;
        lh_cancel_init(&cancel);
        lh_cancel_set_timeout(&cancel, 40);
        int64_t start_us = lh_clock_monotonic_us();
        assert_int_equal(engine_bench_code(bench, hostile[i], &cancel), LH_TIMEOUT);
        int64_t took_ms = (lh_clock_monotonic_us() - start_us) / 1000;
        assert_true(took_ms >= 40);
        if (took_ms > 40 + LATE_MS)
            fail_msg("%s ended after %lld ms", hostile[i], (long long)took_ms);
        assert_string_equal(engine_bench_text(bench, "SELECT 42"), "42");
    }
}

static void a_deadline_that_has_passed_stops_before_anything_runs(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_cancel cancel;
    lh_cancel_init(&cancel);
    lh_cancel_fire(&cancel, LH_STOPPING);
    assert_int_equal(engine_bench_code(bench, "SELECT 1", &cancel), LH_STOPPING);
    assert_int_equal(engine_bench_code(bench, "SELECT 1", NULL), LH_OK);
}

static void *fire_soon(void *context)
{
    usleep(30000);
    lh_cancel_fire(context, LH_CANCELLED);
    return NULL;
}

static void another_thread_cancels_a_running_statement(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_cancel cancel;
    pthread_t thread;
    lh_cancel_init(&cancel);
    assert_int_equal(pthread_create(&thread, NULL, fire_soon, &cancel), 0);
    assert_int_equal(engine_bench_code(bench, hostile[1], &cancel), LH_CANCELLED);
    pthread_join(thread, NULL);
    assert_non_null(strstr(bench->err.message, "cancelled"));
}

static void the_next_statement_is_never_hit_by_an_old_interrupt(void **state)
{
    struct engine_bench *bench = *state;
    for (int i = 0; i < 200; i++) {
        struct lh_cancel cancel;
        lh_cancel_init(&cancel);
        lh_cancel_set_timeout(&cancel, 1 + i % 4);
        enum lh_code code =
            engine_bench_code(bench, "SELECT sum(i) FROM range(3000000) t(i)", &cancel);
        assert_true(code == LH_OK || code == LH_TIMEOUT);
        assert_int_equal(engine_bench_code(bench, "SELECT count(*) FROM range(1000)", NULL), LH_OK);
    }
}

static int64_t process_cpu_ms(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return spent.tv_sec * 1000 + spent.tv_nsec / 1000000;
}

static void a_cursor_closed_early_leaves_the_machine_idle(void **state)
{
    static const char *const streams[] = {
        "SELECT i, md5(i::VARCHAR) FROM range(10000000000) t(i)",
        "SELECT i FROM range(100000000000) t(i) WHERE i < 500000 OR hash(i) = 5",
    };
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < 2; i++) {
        const struct engine_chunk *chunk = NULL;
        struct engine_cursor *cursor = engine_bench_run(bench, streams[i]);
        assert_int_equal(engine_cursor_next(cursor, &chunk, &bench->err), LH_OK);
        assert_true(chunk && chunk->row_count > 0);
        int64_t start_us = lh_clock_monotonic_us();
        engine_cursor_close(cursor);
        assert_true(lh_clock_monotonic_us() - start_us < LATE_MS * 1000);
        int64_t cpu_ms = process_cpu_ms();
        usleep(200000);
        assert_true(process_cpu_ms() - cpu_ms < 60);
    }
}

static void a_cursor_that_waits_for_its_reader_can_be_cancelled(void **state)
{
    struct engine_bench *bench = *state;
    const struct engine_chunk *chunk = NULL;
    struct engine_cursor *cursor = NULL;
    struct lh_cancel cancel;
    lh_cancel_init(&cancel);
    assert_int_equal(engine_run(bench->connection, lh_lit("SELECT * FROM range(1000000000)"), NULL,
                                &cancel, &cursor, &bench->err),
                     LH_OK);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &bench->err), LH_OK);
    lh_cancel_fire(&cancel, LH_CANCELLED);
    usleep(10000);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &bench->err), LH_CANCELLED);
    assert_null(chunk);
    engine_cursor_close(cursor);
}

static void stopped_statements_are_counted_once(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_stats before = engine_stats(bench->engine);
    struct lh_cancel cancel;
    lh_cancel_init(&cancel);
    lh_cancel_set_timeout(&cancel, 20);
    assert_int_equal(engine_bench_code(bench, hostile[0], &cancel), LH_TIMEOUT);
    struct engine_stats after = engine_stats(bench->engine);
    assert_int_equal(after.statements_stopped - before.statements_stopped, 1);
    assert_int_equal(after.statements_run - before.statements_run, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_statements_end_soon_after_their_deadline),
        cmocka_unit_test(a_deadline_that_has_passed_stops_before_anything_runs),
        cmocka_unit_test(another_thread_cancels_a_running_statement),
        cmocka_unit_test(the_next_statement_is_never_hit_by_an_old_interrupt),
        cmocka_unit_test(a_cursor_closed_early_leaves_the_machine_idle),
        cmocka_unit_test(a_cursor_that_waits_for_its_reader_can_be_cancelled),
        cmocka_unit_test(stopped_statements_are_counted_once),
    };
    return cmocka_run_group_tests(tests, engine_bench_open, engine_bench_close);
}
