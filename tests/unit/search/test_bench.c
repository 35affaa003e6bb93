#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search/bench.h"

#define NEAR(value, wanted) assert_true(fabs((value) - (wanted)) < 1e-12)

static void the_place_of_what_is_relevant_decides(void **state)
{
    static const size_t found[] = {7, 3, 9, 1}, relevant[] = {3, 1};
    (void)state;
    struct search_relevance all = relevance_of(found, 4, relevant, 2, 4);
    NEAR(all.recall, 1);
    NEAR(all.mrr, 0.5);
    NEAR(all.ndcg, (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)));
    struct search_relevance first = relevance_of(found, 4, relevant, 2, 3);
    NEAR(first.recall, 0.5);
    NEAR(first.ndcg, 1 / log2(3) / (1 + 1 / log2(3)));
}

static void a_perfect_order_has_no_less_than_one(void **state)
{
    static const size_t found[] = {4, 5, 6};
    (void)state;
    struct search_relevance told = relevance_of(found, 3, found, 3, 3);
    NEAR(told.recall, 1);
    NEAR(told.mrr, 1);
    NEAR(told.ndcg, 1);
    /* More is relevant than k shows: the best order shows k of them. */
    struct search_relevance cut = relevance_of(found, 2, found, 3, 2);
    NEAR(cut.recall, 2.0 / 3);
    NEAR(cut.ndcg, 1);
}

static void nothing_found_is_nothing_won(void **state)
{
    static const size_t found[] = {1}, relevant[] = {2};
    (void)state;
    struct search_relevance told = relevance_of(found, 1, relevant, 1, 10);
    NEAR(told.recall + told.mrr + told.ndcg, 0);
    told = relevance_of(found, 0, relevant, 1, 10);
    NEAR(told.recall + told.mrr + told.ndcg, 0);
    told = relevance_of(found, 1, relevant, 0, 10);
    NEAR(told.recall + told.mrr + told.ndcg, 0);
}

static void percentiles_are_of_the_nearest_rank(void **state)
{
    static const double times[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    (void)state;
    NEAR(percentile_of(times, 10, 0.5), 5);
    NEAR(percentile_of(times, 10, 0.95), 10);
    NEAR(percentile_of(times, 10, 0), 1);
    NEAR(percentile_of(times, 1, 0.95), 1);
    assert_true(isnan(percentile_of(times, 0, 0.5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_of_what_is_relevant_decides),
        cmocka_unit_test(a_perfect_order_has_no_less_than_one),
        cmocka_unit_test(nothing_found_is_nothing_won),
        cmocka_unit_test(percentiles_are_of_the_nearest_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
