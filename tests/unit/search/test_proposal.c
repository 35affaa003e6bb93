#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "search/proposal.h"

#define STEPS 200

/* A walk of proposals, each of which was tried; returns how many there were. */
static size_t walk(uint64_t seed, struct search_configuration *ret)
{
    size_t count = 0;
    while (count < STEPS) {
        const struct search_proposal from = {.tried = ret,
                                             .tried_count = count,
                                             .champion = search_configuration_preset(),
                                             .seed = seed};
        if (!search_propose(&from, &ret[count]))
            break;
        count++;
    }
    return count;
}

static void the_same_history_proposes_the_same(void **state)
{
    static struct search_configuration first[STEPS], again[STEPS], other[STEPS];
    (void)state;
    size_t count = walk(7, first);
    assert_int_equal(walk(7, again), count);
    for (size_t i = 0; i < count; i++)
        assert_true(search_configuration_equal(&first[i], &again[i]));
    size_t different = 0, others = walk(8, other);
    for (size_t i = 0; i < count && i < others; i++)
        different += !search_configuration_equal(&first[i], &other[i]);
    assert_true(different > 0);
}

static void nothing_is_proposed_twice_or_out_of_bounds(void **state)
{
    static struct search_configuration tried[STEPS];
    (void)state;
    size_t count = walk(7, tried);
    assert_true(count > 50);
    for (size_t i = 0; i < count; i++) {
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(search_configuration_check_tuned(&tried[i], &err), LH_OK);
        for (size_t k = 0; k < i; k++)
            assert_false(search_configuration_equal(&tried[i], &tried[k]));
    }
}

/* By the first proposals of many indexes: three of four stay near. */
static void three_of_four_stay_near_the_champion(void **state)
{
    const struct search_configuration champion = search_configuration_preset();
    size_t near = 0, found = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        const struct search_proposal from = {
            .tried = &champion, .tried_count = 1, .champion = champion, .seed = seed * 977};
        struct search_configuration one;
        if (!search_propose(&from, &one))
            continue;
        found++;
        near += llabs(one.ef_construction - champion.ef_construction) <= 20 &&
                llabs(one.ef_search - champion.ef_search) <= 10;
    }
    assert_int_equal(found, 1000);
    assert_in_range(near, 680, 800);
}

static void a_champion_in_the_corner_has_few_neighbours_and_no_loop(void **state)
{
    static struct search_configuration tried[STEPS];
    (void)state;
    for (size_t count = 0; count < STEPS; count++) {
        const struct search_proposal from = {
            .tried = tried,
            .tried_count = count,
            .champion = {.ef_construction = 400, .ef_search = 200, .seed = 42, .m = 16},
            .seed = 3};
        if (!search_propose(&from, &tried[count]))
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_history_proposes_the_same),
        cmocka_unit_test(nothing_is_proposed_twice_or_out_of_bounds),
        cmocka_unit_test(three_of_four_stay_near_the_champion),
        cmocka_unit_test(a_champion_in_the_corner_has_few_neighbours_and_no_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
