/* Which of several trials wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search/trials.h"

struct tried {
    double recall, p50_us;
    int64_t evaluations, ef_search;
};

static size_t choose(const struct tried *tried, size_t count, enum search_metric metric,
                     double min_recall)
{
    struct search_trial trials[8] = {0};
    struct search_configuration configurations[8] = {0};
    for (size_t i = 0; i < count; i++) {
        configurations[i].ef_search = tried[i].ef_search;
        trials[i] = (struct search_trial){.config = &configurations[i],
                                          .recall = tried[i].recall,
                                          .p50_us = tried[i].p50_us,
                                          .evaluations = tried[i].evaluations};
    }
    return trial_choose(trials, count, metric, min_recall);
}

static void the_best_recall_wins_however_long_it_takes(void **state)
{
    (void)state;
    const struct tried tried[] = {{0.95, 10, 100, 10}, {0.99, 900, 9000, 200}, {0.98, 20, 200, 20}};
    assert_int_equal(choose(tried, 3, SEARCH_BEST_RECALL, 0.5), 1);
    assert_int_equal(choose(tried, 1, SEARCH_BEST_RECALL, 0.99), 0);
}

static void the_quickest_that_finds_enough_wins_if_any_does(void **state)
{
    (void)state;
    const struct tried tried[] = {
        {0.99, 900, 9000, 200}, {0.95, 100, 1000, 40}, {0.94, 50, 500, 20}, {0.96, 200, 2000, 60}};
    assert_int_equal(choose(tried, 4, SEARCH_BEST_LATENCY, 0.95), 1);
    assert_int_equal(choose(tried, 4, SEARCH_BEST_LATENCY, 0.951), 3);
    assert_int_equal(choose(tried, 4, SEARCH_BEST_LATENCY, 0), 2);
    assert_int_equal(choose(tried, 4, SEARCH_BEST_LATENCY, 0.999), 0); /* none: the best there is */
}

/* In whatever order they were tried, and whichever was measured as the lower by chance. */
static void of_times_that_are_nearly_equal_the_fewest_codes_win(void **state)
{
    (void)state;
    static const enum search_metric metrics[] = {SEARCH_BEST_RECALL, SEARCH_BEST_LATENCY};
    struct tried tried[] = {{1, 100, 4000, 200}, {1, 104, 2000, 60}, {1, 130, 100, 10}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(choose(tried, 3, metrics[i], 1), 1);
        struct tried turned[] = {tried[2], tried[1], tried[0]};
        assert_int_equal(choose(turned, 3, metrics[i], 1), 1);
    }
    tried[1].p50_us = 111;
    assert_int_equal(choose(tried, 3, SEARCH_BEST_RECALL, 1), 0);
    /* A clock counts whole microseconds. */
    const struct tried quick[] = {{1, 3, 400, 60}, {1, 5, 200, 30}, {1, 6, 100, 10}};
    assert_int_equal(choose(quick, 3, SEARCH_BEST_RECALL, 1), 1);
}

static void equal_work_is_decided_by_recall_then_width_then_order(void **state)
{
    (void)state;
    const struct tried recalls[] = {{0.96, 100, 500, 10}, {0.97, 100, 500, 20}};
    assert_int_equal(choose(recalls, 2, SEARCH_BEST_LATENCY, 0.9), 1);
    const struct tried widths[] = {{1, 100, 500, 200}, {1, 100, 500, 60}, {1, 100, 500, 60}};
    assert_int_equal(choose(widths, 3, SEARCH_BEST_RECALL, 0.9), 1);
    const struct tried unknown[] = {{1, 100, 0, 10}, {1, 100, 500, 60}};
    assert_int_equal(choose(unknown, 2, SEARCH_BEST_RECALL, 0.9), 1);
    const struct tried useless[] = {{0, 100, 500, 60}, {0, 300, 100, 10}};
    assert_int_equal(choose(useless, 2, SEARCH_BEST_RECALL, 0.9), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_recall_wins_however_long_it_takes),
        cmocka_unit_test(the_quickest_that_finds_enough_wins_if_any_does),
        cmocka_unit_test(of_times_that_are_nearly_equal_the_fewest_codes_win),
        cmocka_unit_test(equal_work_is_decided_by_recall_then_width_then_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
