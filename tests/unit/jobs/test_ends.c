/* Many jobs end, begin, are cancelled, looked at and forgotten at the same time: for the thread
 * sanitizer, and for the counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "support/jobs_house.h"

#define WRITERS 3
#define JOBS_EACH 40
#define KEPT 12

static struct jobs_house house;
static _Atomic bool is_over;
static _Atomic int accepted;

/* Nothing of cmocka here: it belongs to the main thread. */
static void *submit_many(void *context)
{
    const char *const kinds[] = {"echo", "fail", "wait"};
    const char *own = context;
    for (int i = 0; i < JOBS_EACH; i++) {
        struct lh_uuid id;
        struct lh_error err = LH_ERROR_NONE;
        const struct job_spec spec = {.kind = lh_str_of(kinds[i % 3]), .actor = lh_str_of(own)};
        if (jobs_submit(house.jobs, &spec, &id, &err))
            continue;
        atomic_fetch_add(&accepted, 1);
        if (i % 3 == 2) {
            usleep(200);
            (void)!jobs_cancel(house.jobs, lh_uuid_str(&id), &err); /* running, queued or gone */
        }
    }
    return NULL;
}

static void *run_many(void *context)
{
    (void)context;
    for (int i = 0; i < JOBS_EACH; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_str result;
        struct lh_error err = LH_ERROR_NONE;
        const struct job_spec spec = {.kind = lh_lit("echo"), .actor = lh_lit("waiting")};
        if (!jobs_run(house.jobs, &spec, NULL, arena, NULL, &result, &err))
            atomic_fetch_add(&accepted, 1);
        lh_arena_free(arena);
    }
    return NULL;
}

static void *look(void *context)
{
    (void)context;
    while (!atomic_load(&is_over)) {
        struct lh_arena *arena = lh_arena_new(0);
        struct job_info *items = NULL;
        size_t count = 0;
        struct lh_str next;
        struct lh_error err = LH_ERROR_NONE;
        (void)!jobs_list(house.jobs, NULL, (struct lh_str){0}, 100, arena, &items, &count, &next,
                         &err);
        (void)jobs_counts(house.jobs);
        lh_arena_free(arena);
    }
    return NULL;
}

static void jobs_that_end_at_the_same_time_are_all_counted_and_forgotten(void **state)
{
    pthread_t threads[WRITERS + 2];
    (void)state;
    jobs_house_make(&house);
    jobs_house_close(&house);
    house.options.keep_max = KEPT; /* so that the list is changed all the time */
    jobs_house_open(&house);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, (void *)"writer"), 0);
    assert_int_equal(pthread_create(&threads[WRITERS], NULL, run_many, NULL), 0);
    assert_int_equal(pthread_create(&threads[WRITERS + 1], NULL, look, NULL), 0);
    for (int i = 0; i <= WRITERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&house.may_end, true);
    struct jobs_counts counts = jobs_counts(house.jobs);
    for (int turn = 0; turn < 20000 && counts.queued + counts.running; turn++) {
        usleep(1000);
        counts = jobs_counts(house.jobs);
    }
    atomic_store(&is_over, true);
    pthread_join(threads[WRITERS + 1], NULL);
    assert_int_equal(counts.succeeded + counts.failed + counts.cancelled, atomic_load(&accepted));
    assert_true(counts.succeeded > 0 && counts.failed > 0 && counts.cancelled > 0);
    jobs_house_close(&house);
    jobs_house_open(&house);
    struct job_info *items = NULL;
    size_t count = 0;
    struct lh_str next;
    assert_int_equal(jobs_list(house.jobs, NULL, (struct lh_str){0}, 100, house.arena, &items,
                               &count, &next, &house.err),
                     LH_OK);
    assert_in_range(count, 1, KEPT);
    assert_int_equal(jobs_damaged(house.jobs), 0);
    jobs_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_that_end_at_the_same_time_are_all_counted_and_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
