#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "search/configuration.h"
#include "search/graph.h"

static void what_is_left_out_is_preset(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_arena *arena = lh_arena_new(0);
    json_t *given = NULL;
    (void)state;
    struct search_configuration configuration = search_configuration_preset();
    assert_int_equal(lh_json_parse(lh_lit("{\"ef_search\": 60}"), "it", 1000, &given, &err), LH_OK);
    assert_int_equal(
        lh_fields_bind_json(&search_configuration_fields, given, arena, &configuration, &err),
        LH_OK);
    const struct search_configuration wanted = {
        .ef_construction = 80, .ef_search = 60, .seed = 42, .m = 16};
    assert_true(search_configuration_equal(&configuration, &wanted));
    json_decref(given);
    lh_arena_free(arena);
}

static void every_number_in_its_bounds_makes_a_graph(void **state)
{
    (void)state;
    for (int64_t m = SEARCH_M_MIN; m <= SEARCH_M_MAX; m++) {
        struct search_configuration configuration = search_configuration_preset();
        struct graph_options options = {.dimensions = 8};
        struct lh_error err = LH_ERROR_NONE;
        struct graph *graph = NULL;
        configuration.m = m;
        configuration.ef_construction =
            m % 2 ? SEARCH_EF_CONSTRUCTION_MIN : SEARCH_EF_CONSTRUCTION_MAX;
        configuration.seed = SEARCH_SEED_MAX;
        assert_int_equal(search_configuration_check(&configuration, &err), LH_OK);
        search_configuration_to_graph(&configuration, &options);
        assert_true(options.links >= 2 * (unsigned)m);
        assert_true(options.links < 2 * (unsigned)m + 16);
        assert_int_equal(graph_new(&options, &graph, &err), LH_OK);
        assert_int_equal(graph_state(graph).options.build_width, configuration.ef_construction);
        assert_int_equal(graph_state(graph).options.seed, SEARCH_SEED_MAX);
        graph_free(graph);
    }
    assert_true(SEARCH_EF_SEARCH_MAX <= GRAPH_WIDTH_MAX);
}

static void what_is_out_of_bounds_is_named(void **state)
{
    static const struct {
        struct search_configuration configuration;
        const char *field;
        bool is_fine_untuned;
    } cases[] = {
        {{9, 30, 42, 16}, "ef_construction", true},
        {{7, 30, 42, 16}, "ef_construction", false},
        {{401, 30, 42, 16}, "ef_construction", true},
        {{4097, 30, 42, 16}, "ef_construction", false},
        {{80, 9, 42, 16}, "ef_search", true},
        {{80, 0, 42, 16}, "ef_search", false},
        {{80, 201, 42, 16}, "ef_search", true},
        {{80, 65537, 42, 16}, "ef_search", false},
        {{80, 30, -1, 16}, "seed", false},
        {{80, 30, 42, 1}, "m", false},
        {{80, 30, 42, 32}, "m", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(search_configuration_check_tuned(&cases[i].configuration, &err),
                         LH_INVALID);
        assert_string_equal(err.field, cases[i].field);
        assert_int_equal(search_configuration_check(&cases[i].configuration, &err),
                         cases[i].is_fine_untuned ? LH_OK : LH_INVALID);
    }
}

static void a_search_s_width_is_not_part_of_the_graph(void **state)
{
    const struct search_configuration one = {80, 30, 42, 16}, wider = {80, 60, 42, 16};
    const struct search_configuration slower = {160, 30, 42, 16}, other = {80, 30, 43, 16};
    const struct search_configuration alike = {80, 30, 42, 17};
    (void)state;
    assert_true(search_configuration_builds_same(&one, &wider));
    assert_false(search_configuration_equal(&one, &wider));
    assert_false(search_configuration_builds_same(&one, &slower));
    assert_false(search_configuration_builds_same(&one, &other));
    /* 32 and 34 links are both 46. */
    assert_true(search_configuration_builds_same(&one, &alike));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_is_preset),
        cmocka_unit_test(every_number_in_its_bounds_makes_a_graph),
        cmocka_unit_test(what_is_out_of_bounds_is_named),
        cmocka_unit_test(a_search_s_width_is_not_part_of_the_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
