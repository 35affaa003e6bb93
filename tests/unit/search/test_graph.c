#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "search/distance_packed.h"
#include "support/graph_data.h"

/* --- what is found */

/* Of the k best by looking at all rows, the part that is found. */
static double recall(struct graph *graph, const struct graph_data *data, size_t width, size_t k)
{
    size_t right = 0;
    for (size_t query = 0; query < data->query_count; query++) {
        const float *at = data->queries + query * data->dimensions;
        struct graph_hit hits[64];
        struct graph_ask ask = {.k = k, .width = width};
        struct lh_error err = LH_ERROR_NONE;
        size_t count = 0;
        float kth = graph_data_kth(data, at, k);
        assert_int_equal(graph_search(graph, at, &ask, hits, &count, NULL, &err), LH_OK);
        assert_int_equal(count, k);
        for (size_t i = 0; i < count; i++)
            right += hits[i].score >= kth - fabsf(kth) * 1e-5F;
    }
    return (double)right / (double)(data->query_count * k);
}

static void recall_is_kept_on(enum graph_data_kind kind, enum graph_metric metric, unsigned bits,
                              size_t dimensions, double wanted)
{
    struct graph_data data = graph_data_make(kind, 2000, dimensions, metric == GRAPH_COSINE);
    struct graph *graph = graph_data_build(&data, metric, bits, 2);
    double found = recall(graph, &data, 100, 10);
    if (found < wanted)
        print_error("kind %d, metric %d, %u bits: %f\n", kind, metric, bits, found);
    assert_true(found >= wanted);
    graph_free(graph);
    graph_data_release(&data);
}

static void recall_is_kept_on_clusters(void **state)
{
    (void)state;
    recall_is_kept_on(GRAPH_DATA_CLUSTERS, GRAPH_COSINE, 4, 256, 0.98);
    recall_is_kept_on(GRAPH_DATA_CLUSTERS, GRAPH_L2, 8, 48, 0.98);
}

static void recall_is_kept_on_gaussian_rows(void **state)
{
    (void)state;
    recall_is_kept_on(GRAPH_DATA_GAUSSIAN, GRAPH_COSINE, 8, 32, 0.97);
    recall_is_kept_on(GRAPH_DATA_GAUSSIAN, GRAPH_L2, 4, 32, 0.93);
}

static void recall_is_kept_when_few_dimensions_carry_all(void **state)
{
    (void)state;
    recall_is_kept_on(GRAPH_DATA_SKEWED, GRAPH_COSINE, 4, 256, 0.97);
    recall_is_kept_on(GRAPH_DATA_SKEWED, GRAPH_DOT, 8, 64, 0.95);
}

static void recall_is_kept_among_thousands_of_equal_rows(void **state)
{
    (void)state;
    recall_is_kept_on(GRAPH_DATA_EQUAL, GRAPH_COSINE, 8, 48, 0.97);
    recall_is_kept_on(GRAPH_DATA_EQUAL, GRAPH_L2, 4, 256, 0.97);
}

static void rows_of_zeros_are_found_like_others(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, 600, 32, true);
    memset(data.rows, 0, 500 * 32 * sizeof(float));
    struct graph *graph = graph_data_build(&data, GRAPH_L2, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    struct graph_hit hits[20];
    size_t count = 0;
    float zero[32] = {0};
    assert_int_equal(graph_check(graph, &err), LH_OK);
    assert_int_equal(graph_search(graph, zero, &(struct graph_ask){.k = 20, .width = 20}, hits,
                                  &count, NULL, &err),
                     LH_OK);
    assert_int_equal(count, 20);
    for (size_t i = 0; i < 20; i++)
        assert_true(hits[i].row < 500 && hits[i].score == 0);
    assert_true(recall(graph, &data, 64, 10) > 0.95);
    graph_free(graph);
    graph_data_release(&data);
}

static void a_score_has_the_bits_of_an_exact_search(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 800, 100, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    struct graph_hit hits[10];
    size_t count = 0;
    assert_int_equal(graph_search(graph, data.queries, &(struct graph_ask){.k = 10, .width = 64},
                                  hits, &count, NULL, &err),
                     LH_OK);
    assert_int_equal(count, 10);
    for (size_t i = 0; i < count; i++) {
        float score = 0;
        search_kernels_at(0)->dots(data.rows + hits[i].row * 100, 1, 100, data.queries, &score);
        assert_memory_equal(&score, &hits[i].score, sizeof score);
        assert_true(!i || hits[i].score <= hits[i - 1].score);
    }
    graph_free(graph);
    graph_data_release(&data);
}

/* --- the same everywhere */

static void all_kernels_give_the_same_sums(void **state)
{
    (void)state;
    enum { BLOCKS = 7 };
    static _Alignas(64) uint8_t codes[PACKED_AT_ONCE][BLOCKS * 64];
    static _Alignas(64) int8_t query[BLOCKS * 128];
    const uint8_t *at[PACKED_AT_ONCE] = {codes[0], codes[1], codes[2], codes[3]};
    for (int round = 0; round < 50; round++) {
        int32_t wanted[PACKED_AT_ONCE], found[PACKED_AT_ONCE];
        /* The first rounds hold the extremes, where sums could leave their registers. */
        for (size_t i = 0; i < sizeof codes; i++)
            codes[i / sizeof codes[0]][i % sizeof codes[0]] =
                round < 2 ? 255 : (uint8_t)graph_data_bits();
        for (size_t i = 0; i < sizeof query; i++)
            query[i] = (int8_t)(round == 0   ? 127
                                : round == 1 ? -127
                                             : (int)(graph_data_bits() % 255) - 127);
        size_t blocks = (size_t)round % BLOCKS + 1;
        for (size_t kernel = 1; packed_kernels_at(kernel); kernel++) {
            packed_kernels_at(0)->four_bits(at, blocks, query, wanted);
            packed_kernels_at(kernel)->four_bits(at, blocks, query, found);
            assert_memory_equal(wanted, found, sizeof wanted);
            packed_kernels_at(0)->eight_bits(at, blocks, query, wanted);
            packed_kernels_at(kernel)->eight_bits(at, blocks, query, found);
            assert_memory_equal(wanted, found, sizeof wanted);
        }
    }
}

static void a_build_has_the_same_bytes_for_all_threads_and_kernels(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 2100, 64, true);
    struct graph_data_bytes first = {0};
    for (size_t kernel = 0; kernel < 8; kernel++) {
        static const unsigned threads[] = {1, 2, 4};
        const struct packed_kernels *kernels = packed_kernels_at(kernel);
        for (size_t i = 0; kernels && i < (kernel ? 1 : 3); i++) {
            struct graph_options options = {.dimensions = 64,
                                            .metric = GRAPH_COSINE,
                                            .build_width = 40,
                                            .seed = 5,
                                            .kernels = kernels};
            struct graph *graph = graph_data_build_with(&data, &options, threads[i]);
            struct graph_data_bytes bytes = graph_data_write(graph);
            graph_free(graph);
            if (first.bytes) {
                assert_int_equal(bytes.count, first.count);
                assert_memory_equal(bytes.bytes, first.bytes, first.count);
                free(bytes.bytes);
            } else {
                first = bytes;
            }
        }
    }
    free(first.bytes);
    graph_data_release(&data);
}

/* --- bounds and bad input */

static void k_and_width_may_be_anything(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, 50, 16, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    struct graph_hit hits[100];
    static const struct {
        size_t k, width, wanted;
    } asks[] = {{0, 10, 0}, {1, 0, 1}, {10, 3, 10}, {50, 50, 50}, {100, 20, 50}};
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        size_t count = 99;
        struct graph_ask ask = {.k = asks[i].k, .width = asks[i].width};
        assert_int_equal(graph_search(graph, data.queries, &ask, hits, &count, NULL, &err), LH_OK);
        assert_int_equal(count, asks[i].wanted);
    }
    struct graph_ask wide = {.k = 1, .width = GRAPH_WIDTH_MAX + 1};
    size_t count = 0;
    assert_int_equal(graph_search(graph, data.queries, &wide, hits, &count, NULL, &err),
                     LH_INVALID);
    graph_free(graph);
    graph_data_release(&data);
}

static void an_empty_graph_finds_nothing(void **state)
{
    (void)state;
    struct graph_data data = {.dimensions = 8};
    struct graph *graph = graph_data_build(&data, GRAPH_L2, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    struct graph_hit hit;
    size_t count = 9;
    float query[8] = {1};
    assert_int_equal(graph_search(graph, query, &(struct graph_ask){.k = 1, .width = 9}, &hit,
                                  &count, NULL, &err),
                     LH_OK);
    assert_int_equal(count, 0);
    assert_int_equal(graph_check(graph, &err), LH_OK);
    assert_int_equal(graph_repair(graph, NULL, &err), LH_OK);
    assert_int_equal(graph_delete(graph, 0, &err), LH_NOT_FOUND);
    graph_free(graph);
}

static void numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e20F, 3.0F};
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, 20, 16, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    size_t first = 77, count = 0;
    struct graph_hit hit;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        float kept = data.rows[3 * 16 + 5];
        data.rows[3 * 16 + 5] = bad[i];
        assert_int_equal(graph_insert(graph, data.rows, 20, NULL, &first, &err), LH_INVALID);
        assert_non_null(strstr(err.message, "Row 3"));
        data.rows[3 * 16 + 5] = kept;
        assert_int_equal(graph_state(graph).rows, 20);
        assert_int_equal(first, 77);
        data.queries[2] = bad[i];
        if (i < 4)
            assert_int_equal(graph_search(graph, data.queries,
                                          &(struct graph_ask){.k = 1, .width = 9}, &hit, &count,
                                          NULL, &err),
                             LH_INVALID);
    }
    graph_free(graph);
    graph_data_release(&data);
}

static void options_out_of_bounds_are_refused(void **state)
{
    (void)state;
    static const struct graph_options bad[] = {
        {.dimensions = 0},
        {.dimensions = 32769},
        {.dimensions = 8, .bits = 5},
        {.dimensions = 8, .links = 16},
        {.dimensions = 8, .links = 78},
        {.dimensions = 8, .build_width = 4},
        {.dimensions = 8, .build_width = 5000},
        {.dimensions = 8, .metric = (enum graph_metric)7},
    };
    struct lh_error err = LH_ERROR_NONE;
    struct graph *graph = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(graph_new(bad + i, &graph, &err), LH_INVALID);
        assert_null(graph);
    }
}

static void fire(void *context, size_t done, size_t total)
{
    (void)total;
    if (done >= 1024)
        lh_cancel_fire(context, LH_CANCELLED);
}

static void a_cancelled_insertion_leaves_nothing_to_find(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, 2500, 16, true);
    struct graph_data some = data;
    some.count = 100;
    struct graph *graph = graph_data_build(&some, GRAPH_COSINE, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    struct lh_cancel cancel;
    struct graph_hit hits[200];
    size_t first = 77, count = 0;
    lh_cancel_init(&cancel);
    struct graph_work work = {
        .threads = 2, .cancel = &cancel, .progress = fire, .context = &cancel};
    assert_int_equal(graph_insert(graph, data.rows, 2500, &work, &first, &err), LH_CANCELLED);
    assert_int_equal(first, 77);
    assert_int_equal(graph_search(graph, data.queries, &(struct graph_ask){.k = 200, .width = 200},
                                  hits, &count, NULL, &err),
                     LH_OK);
    assert_int_equal(count, 100);
    for (size_t i = 0; i < count; i++)
        assert_true(hits[i].row < 100);
    assert_int_equal(graph_check(graph, &err), LH_OK);
    assert_int_equal(graph_repair(graph, NULL, &err), LH_OK);
    assert_int_equal(graph_check(graph, &err), LH_OK);
    assert_int_equal(graph_insert(graph, data.rows, 50, NULL, &first, &err), LH_OK);
    assert_true(first >= 100);
    assert_int_equal(graph_check(graph, &err), LH_OK);
    graph_free(graph);
    graph_data_release(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_is_kept_on_clusters),
        cmocka_unit_test(recall_is_kept_on_gaussian_rows),
        cmocka_unit_test(recall_is_kept_when_few_dimensions_carry_all),
        cmocka_unit_test(recall_is_kept_among_thousands_of_equal_rows),
        cmocka_unit_test(rows_of_zeros_are_found_like_others),
        cmocka_unit_test(a_score_has_the_bits_of_an_exact_search),
        cmocka_unit_test(all_kernels_give_the_same_sums),
        cmocka_unit_test(a_build_has_the_same_bytes_for_all_threads_and_kernels),
        cmocka_unit_test(k_and_width_may_be_anything),
        cmocka_unit_test(an_empty_graph_finds_nothing),
        cmocka_unit_test(numbers_that_are_none_are_refused),
        cmocka_unit_test(options_out_of_bounds_are_refused),
        cmocka_unit_test(a_cancelled_insertion_leaves_nothing_to_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
