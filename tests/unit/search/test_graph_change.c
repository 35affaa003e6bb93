/* Graphs that change: rows come and go, while others search; filters; files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "support/graph_data.h"

static void must_hold(struct graph *graph)
{
    struct lh_error err = LH_ERROR_NONE;
    if (graph_check(graph, &err))
        fail_msg("%s", err.message);
}

static bool is_set(const uint64_t *bits, size_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

/* --- inserts and deletes */

static void everything_holds_after_every_change(void **state)
{
    (void)state;
    enum { ROWS = 1500, WIDTH = 24 };
    struct graph_data data = graph_data_make(GRAPH_DATA_EQUAL, ROWS, WIDTH, true);
    struct graph_data some = data;
    some.count = 0;
    struct graph *graph = graph_data_build(&some, GRAPH_COSINE, 8, 1);
    struct lh_error err = LH_ERROR_NONE;
    bool is_deleted[ROWS] = {false};
    size_t count = 0, live = 0;
    while (count < ROWS) {
        size_t more = graph_data_bits() % 400 + 1, first = 0;
        struct graph_work work = {.threads = 1 + (unsigned)graph_data_bits() % 3};
        more = more < ROWS - count ? more : ROWS - count;
        assert_int_equal(graph_insert(graph, data.rows + count * WIDTH, more, &work, &first, &err),
                         LH_OK);
        assert_int_equal(first, count);
        count += more;
        live += more;
        must_hold(graph);
        for (size_t i = graph_data_bits() % (count / 2); i > 0; i--) {
            size_t row = graph_data_bits() % count;
            assert_int_equal(graph_delete(graph, row, &err), LH_OK);
            live -= is_deleted[row] ? 0 : 1;
            is_deleted[row] = true;
        }
        must_hold(graph);
        if (graph_data_bits() % 2) {
            assert_int_equal(graph_repair(graph, &work, &err), LH_OK);
            must_hold(graph);
        }
        struct graph_hit hits[10];
        size_t found = 0, wanted = live < 10 ? live : 10;
        assert_int_equal(graph_search(graph, data.queries,
                                      &(struct graph_ask){.k = 10, .width = 30}, hits, &found, NULL,
                                      &err),
                         LH_OK);
        assert_int_equal(found, wanted);
        for (size_t i = 0; i < found; i++)
            assert_false(is_deleted[hits[i].row]);
    }
    graph_free(graph);
    graph_data_release(&data);
}

static void all_rows_may_be_deleted_and_others_come(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, 400, 16, true);
    struct graph *graph = graph_data_build(&data, GRAPH_L2, 8, 2);
    struct lh_error err = LH_ERROR_NONE;
    struct graph_hit hits[10];
    size_t found = 9, first = 0;
    struct graph_ask ask = {.k = 10, .width = 30};
    for (size_t row = 0; row < 400; row++)
        assert_int_equal(graph_delete(graph, row, &err), LH_OK);
    for (int round = 0; round < 2; round++) {
        must_hold(graph);
        assert_int_equal(graph_search(graph, data.queries, &ask, hits, &found, NULL, &err), LH_OK);
        assert_int_equal(found, 0);
        assert_int_equal(graph_repair(graph, NULL, &err), LH_OK);
    }
    assert_int_equal(graph_insert(graph, data.rows, 300, NULL, &first, &err), LH_OK);
    must_hold(graph);
    assert_int_equal(graph_search(graph, data.rows, &ask, hits, &found, NULL, &err), LH_OK);
    assert_int_equal(found, 10);
    assert_int_equal(hits[0].row, 400);
    graph_free(graph);
    graph_data_release(&data);
}

/* Of the ten best among those that may be found, by looking at all. */
static double recall(struct graph *graph, const struct graph_data *data, const uint64_t *may,
                     size_t width, enum graph_way *ret_way)
{
    size_t right = 0, wanted = 0;
    for (size_t query = 0; query < data->query_count; query++) {
        const float *at = data->queries + query * data->dimensions;
        struct graph_data left = *data;
        struct graph_hit hits[10];
        struct graph_ask ask = {.k = 10, .width = width, .filter = may, .filter_rows = data->count};
        struct graph_told told;
        struct lh_error err = LH_ERROR_NONE;
        size_t count = 0;
        left.count = 0;
        left.rows = malloc(data->count * data->dimensions * sizeof *left.rows);
        assert_non_null(left.rows);
        for (size_t row = 0; row < data->count; row++)
            if (is_set(may, row))
                memcpy(left.rows + left.count++ * data->dimensions,
                       data->rows + row * data->dimensions, data->dimensions * sizeof *left.rows);
        size_t k = left.count < 10 ? left.count : 10;
        float kth = k ? graph_data_kth(&left, at, k) : 0;
        free(left.rows);
        assert_int_equal(graph_search(graph, at, &ask, hits, &count, &told, &err), LH_OK);
        assert_int_equal(count, k);
        for (size_t i = 0; i < count; i++) {
            assert_true(is_set(may, hits[i].row));
            right += hits[i].score >= kth - fabsf(kth) * 1e-5F;
        }
        wanted += k;
        *ret_way = told.way;
    }
    return wanted ? (double)right / (double)wanted : 1;
}

static void a_filter_is_kept_and_k_are_found_whatever_passes(void **state)
{
    (void)state;
    enum { ROWS = 8000, WIDTH = 32 };
    static const struct {
        unsigned of_thousand;
        size_t width;
        enum graph_way way;
        double recall; /* at least */
    } asks[] = {{0, 60, GRAPH_EXACT, 1},      {1, 60, GRAPH_EXACT, 1},
                {50, 60, GRAPH_EXACT, 1},     {350, 60, GRAPH_EXACT, 1},
                {350, 20, GRAPH_BRIDGE, 0.9}, {700, 60, GRAPH_WALK, 0.95},
                {1000, 60, GRAPH_WALK, 0.95}};
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, ROWS, WIDTH, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 2);
    uint64_t may[ROWS / 64];
    data.query_count = 12;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        enum graph_way way = asks[i].way;
        memset(may, 0, sizeof may);
        for (size_t row = 0; row < ROWS; row++)
            if (graph_data_bits() % 1000 < asks[i].of_thousand)
                may[row / 64] |= UINT64_C(1) << (row % 64);
        double found = recall(graph, &data, may, asks[i].width, &way);
        if (way != asks[i].way || found < asks[i].recall)
            fail_msg("%u of 1000: way %d, recall %f", asks[i].of_thousand, (int)way, found);
    }
    graph_free(graph);
    graph_data_release(&data);
}

/* --- searches beside changes */

struct beside {
    struct graph *graph;
    const struct graph_data *data;
    atomic_bool is_over;
    atomic_size_t searches, wrong;
};

static void *search_on(void *context)
{
    struct beside *beside = context;
    for (size_t query = 0; !atomic_load(&beside->is_over); query++) {
        struct graph_hit hits[10];
        size_t count = 0;
        struct lh_error err = LH_ERROR_NONE;
        struct graph_ask ask = {.k = 10, .width = 40};
        enum lh_code code = graph_search(beside->graph,
                                         beside->data->queries + query % beside->data->query_count *
                                                                     beside->data->dimensions,
                                         &ask, hits, &count, NULL, &err);
        atomic_fetch_add(&beside->wrong, code || count != 10 ? 1 : 0);
        atomic_fetch_add(&beside->searches, 1);
    }
    return NULL;
}

static void searches_go_on_while_rows_come_and_go(void **state)
{
    (void)state;
    enum { ROWS = 2000, WIDTH = 24, START = 500 };
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, ROWS, WIDTH, true), some = data;
    some.count = START;
    struct beside beside = {.graph = graph_data_build(&some, GRAPH_COSINE, 8, 1), .data = &data};
    struct lh_error err = LH_ERROR_NONE;
    struct graph_work work = {.threads = 2};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(threads + i, NULL, search_on, &beside), 0);
    for (size_t at = START; at < ROWS; at += 250) {
        size_t first = 0;
        assert_int_equal(
            graph_insert(beside.graph, data.rows + at * WIDTH, 250, &work, &first, &err), LH_OK);
        for (size_t i = 0; i < 60; i++)
            assert_int_equal(graph_delete(beside.graph, graph_data_bits() % at, &err), LH_OK);
        if (at % 500 == 0)
            assert_int_equal(graph_repair(beside.graph, &work, &err), LH_OK);
    }
    while (!atomic_load(&beside.searches))
        ;
    atomic_store(&beside.is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&beside.wrong), 0);
    must_hold(beside.graph);
    graph_free(beside.graph);
    graph_data_release(&data);
}

/* --- files */

static void the_same_is_found(struct graph *a, struct graph *b, const struct graph_data *data)
{
    for (size_t query = 0; query < data->query_count; query++) {
        struct graph_hit of_a[10], of_b[10];
        struct graph_ask ask = {.k = 10, .width = 50};
        struct lh_error err = LH_ERROR_NONE;
        size_t a_count = 0, b_count = 0;
        const float *at = data->queries + query * data->dimensions;
        assert_int_equal(graph_search(a, at, &ask, of_a, &a_count, NULL, &err), LH_OK);
        assert_int_equal(graph_search(b, at, &ask, of_b, &b_count, NULL, &err), LH_OK);
        assert_int_equal(a_count, b_count);
        for (size_t i = 0; i < a_count; i++)
            assert_true(of_a[i].row == of_b[i].row && of_a[i].score == of_b[i].score);
    }
}

static void a_graph_from_its_file_finds_the_same_and_grows_like_it(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 4500, 40, true), some = data;
    some.count = 4100;
    struct graph *graph = graph_data_build(&some, GRAPH_COSINE, 4, 2), *opened = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct graph_work work = {.threads = 2};
    size_t first = 0;
    for (size_t row = 0; row < 900; row += 3)
        assert_int_equal(graph_delete(graph, row, &err), LH_OK);
    struct graph_data_bytes bytes = graph_data_write(graph);
    assert_int_equal(graph_data_open(&bytes, &opened, &err), LH_OK);
    assert_int_equal(graph_state(opened).deleted, 300);
    assert_int_equal(graph_verify(opened, NULL, &err), LH_OK);
    must_hold(opened);
    the_same_is_found(graph, opened, &data);
    for (int i = 0; i < 2; i++) {
        struct graph *to = i ? opened : graph;
        assert_int_equal(graph_insert(to, data.rows + 4100 * 40, 400, &work, &first, &err), LH_OK);
        assert_int_equal(graph_repair(to, &work, &err), LH_OK);
        must_hold(to);
    }
    the_same_is_found(graph, opened, &data);
    struct graph_data_bytes a = graph_data_write(graph), b = graph_data_write(opened);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.bytes, b.bytes, a.count);
    free(a.bytes);
    free(b.bytes);
    free(bytes.bytes);
    graph_free(graph);
    graph_free(opened);
    graph_data_release(&data);
}

static void an_empty_graph_goes_through_a_file(void **state)
{
    (void)state;
    struct graph_data data = {.dimensions = 8};
    struct graph *graph = graph_data_build(&data, GRAPH_L2, 8, 1), *opened = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct graph_data_bytes bytes = graph_data_write(graph);
    assert_int_equal(graph_data_open(&bytes, &opened, &err), LH_OK);
    must_hold(opened);
    free(bytes.bytes);
    graph_free(graph);
    graph_free(opened);
}

/* Whatever is flipped, either opening fails, or verifying does; and no search that needs the block
 * answers. */
static void a_flipped_bit_is_found(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 400, 24, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 1);
    struct graph_data_bytes bytes = graph_data_write(graph);
    size_t refused = 0;
    for (size_t round = 0; round < 300; round++) {
        struct lh_error err = LH_ERROR_NONE;
        struct graph *opened = NULL;
        size_t at = round < 120 ? round * 2 : graph_data_bits() % bytes.count;
        bytes.bytes[at] ^= (uint8_t)(1U << (round % 8));
        enum lh_code code = graph_data_open(&bytes, &opened, &err);
        if (!code) {
            struct graph_hit hits[10];
            size_t count = 0;
            enum lh_code searched =
                graph_search(opened, data.queries, &(struct graph_ask){.k = 10, .width = 30}, hits,
                             &count, NULL, &err);
            assert_true(!searched || searched == LH_DAMAGED);
            refused += searched == LH_DAMAGED;
            code = graph_verify(opened, NULL, &err);
        }
        if (code != LH_DAMAGED && code != LH_FORMAT)
            fail_msg("a bit of byte %zu of %zu was flipped: %d", at, bytes.count, (int)code);
        graph_free(opened);
        bytes.bytes[at] ^= (uint8_t)(1U << (round % 8));
    }
    assert_true(refused > 20);
    free(bytes.bytes);
    graph_free(graph);
    graph_data_release(&data);
}

static void a_file_of_another_length_is_refused(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 100, 24, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 1), *opened = NULL;
    struct graph_data_bytes bytes = graph_data_write(graph);
    struct lh_error err = LH_ERROR_NONE;
    size_t whole = bytes.count;
    static const size_t cuts[] = {0, 7, 199, 4096, 5000};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        bytes.count = cuts[i];
        assert_int_equal(graph_data_open(&bytes, &opened, &err), LH_DAMAGED);
    }
    bytes.count = whole - 1;
    assert_int_equal(graph_data_open(&bytes, &opened, &err), LH_DAMAGED);
    assert_null(opened);
    free(bytes.bytes);
    graph_free(graph);
    graph_data_release(&data);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
#ifdef LH_FAULTS
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 100, 24, true);
    struct graph *graph = graph_data_build(&data, GRAPH_COSINE, 8, 1), *opened = NULL;
    struct graph_data_bytes bytes = graph_data_write(graph);
    struct lh_error err = LH_ERROR_NONE;
    assert_true(lh_fault_plan("file.write=1:ENOSPC"));
    assert_int_equal(graph_write(graph, -1, NULL, &err), LH_FULL);
    lh_fault_plan(NULL);
    assert_true(lh_fault_plan("file.map=1:ENOMEM"));
    assert_int_equal(graph_data_open(&bytes, &opened, &err), LH_BUSY);
    lh_fault_plan(NULL);
    assert_null(opened);
    free(bytes.bytes);
    graph_free(graph);
    graph_data_release(&data);
#else
    skip();
#endif
}

/* --- gaps, and rows that are lent */

static bool is_gap(size_t row)
{
    return row % 7 == 3 || (row >= 1024 && row < 2048 + 100); /* a whole batch, too */
}

/* Rows with gaps between them, then numbers that no row has, then all rows once more. */
static struct graph *with_gaps(const struct graph_data *data, unsigned threads)
{
    const struct graph_options options = {.dimensions = data->dimensions,
                                          .metric = GRAPH_COSINE,
                                          .build_width = 60,
                                          .seed = 3,
                                          .lends_rows = true};
    const struct graph_work work = {.threads = threads};
    struct graph *graph = NULL;
    struct lh_error err = LH_ERROR_NONE;
    uint64_t *gaps = calloc(data->count / 64 + 1, sizeof *gaps);
    size_t first = 0;
    assert_non_null(gaps);
    for (size_t row = 0; row < data->count; row++)
        gaps[row / 64] |= (uint64_t)is_gap(row) << (row % 64);
    assert_int_equal(graph_new(&options, &graph, &err), LH_OK);
    assert_int_equal(graph_skip(graph, 5, &err), LH_OK);
    assert_int_equal(
        graph_insert_between(graph, data->rows, data->count, gaps, &work, &first, &err), LH_OK);
    assert_int_equal(first, 5);
    must_hold(graph);
    assert_int_equal(graph_skip(graph, 64, &err), LH_OK);
    assert_int_equal(graph_insert(graph, data->rows, 300, &work, &first, &err), LH_OK);
    assert_int_equal(first, 5 + data->count + 64);
    must_hold(graph);
    free(gaps);
    return graph;
}

static void a_gap_is_never_found_and_hides_nothing(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_CLUSTERS, 3000, 24, true);
    struct graph *graph = with_gaps(&data, 2);
    struct lh_error err = LH_ERROR_NONE;
    size_t live = 300;
    for (size_t row = 0; row < data.count; row++)
        live += is_gap(row) ? 0 : 1;
    struct graph_hit *hits = calloc(4000, sizeof *hits);
    assert_non_null(hits);
    for (size_t query = 0; query < 10; query++) {
        size_t count = 0;
        const struct graph_ask all = {.k = 4000, .width = 4000};
        const float *at = data.queries + query * data.dimensions;
        assert_int_equal(graph_search(graph, at, &all, hits, &count, NULL, &err), LH_OK);
        assert_int_equal(count, live);
        const struct graph_ask ten = {.k = 10, .width = 60};
        struct graph_hit found[10];
        assert_int_equal(graph_search(graph, at, &ten, found, &count, NULL, &err), LH_OK);
        assert_int_equal(count, 10);
        assert_true(found[0].score >= hits[2].score);
        for (size_t i = 0; i < live; i++)
            assert_true(
                hits[i].row >= 5 + data.count + 64 ||
                (hits[i].row >= 5 && hits[i].row < 5 + data.count && !is_gap(hits[i].row - 5)));
    }
    free(hits);
    graph_free(graph);
    graph_data_release(&data);
}

static void gaps_make_equal_graphs_with_any_number_of_threads(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_EQUAL, 2500, 16, true);
    struct graph *one = with_gaps(&data, 1), *three = with_gaps(&data, 3);
    struct graph_data_bytes a = graph_data_write(one), b = graph_data_write(three);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.bytes, b.bytes, a.count);
    free(a.bytes);
    free(b.bytes);
    graph_free(one);
    graph_free(three);
    graph_data_release(&data);
}

static void a_file_without_rows_finds_the_same_among_those_that_are_lent(void **state)
{
    (void)state;
    struct graph_data data = graph_data_make(GRAPH_DATA_GAUSSIAN, 2500, 32, true);
    struct graph *graph = with_gaps(&data, 1), *again = NULL;
    struct graph_data_bytes bytes = graph_data_write(graph);
    struct lh_error err = LH_ERROR_NONE;
    uint64_t may[64] = {0};
    const struct graph_lent lent[] = {{5, data.count, data.rows},
                                      {5 + data.count + 64, 300, data.rows}};
    assert_int_equal(graph_data_open(&bytes, &again, &err), LH_OK);
    assert_true(graph_state(again).options.lends_rows);
    assert_int_equal(graph_state(again).row_bytes, 0);
    assert_int_equal(graph_lend(again, lent, 2, &err), LH_OK);
    /* Of what is not lent any more, nothing may be found. */
    for (size_t row = 5 + data.count + 64; row < 5 + data.count + 64 + 300; row++)
        may[row / 64] |= UINT64_C(1) << (row % 64);
    for (size_t query = 0; query < data.query_count && query < 40; query++) {
        for (size_t filtered = 0; filtered < 2; filtered++) {
            struct graph_hit a[10], b[10];
            size_t a_count = 0, b_count = 0;
            const struct graph_ask ask = {
                .k = 10, .width = 40, .filter = filtered ? may : NULL, .filter_rows = 64 * 64};
            const float *at = data.queries + query * data.dimensions;
            assert_int_equal(graph_search(graph, at, &ask, a, &a_count, NULL, &err), LH_OK);
            assert_int_equal(graph_search(again, at, &ask, b, &b_count, NULL, &err), LH_OK);
            assert_int_equal(a_count, b_count);
            for (size_t i = 0; i < a_count; i++)
                assert_true(a[i].row == b[i].row && a[i].score == b[i].score);
        }
    }
    /* It grows as the first does. */
    size_t first = 0;
    assert_int_equal(graph_insert(again, data.rows, 200, NULL, &first, &err), LH_OK);
    assert_int_equal(graph_insert(graph, data.rows, 200, NULL, &first, &err), LH_OK);
    must_hold(again);
    struct graph_data_bytes grown = graph_data_write(again), other = graph_data_write(graph);
    assert_int_equal(grown.count, other.count);
    assert_memory_equal(grown.bytes, other.bytes, grown.count);
    free(grown.bytes);
    free(other.bytes);
    free(bytes.bytes);
    graph_free(again);
    graph_free(graph);
    graph_data_release(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_holds_after_every_change),
        cmocka_unit_test(all_rows_may_be_deleted_and_others_come),
        cmocka_unit_test(a_filter_is_kept_and_k_are_found_whatever_passes),
        cmocka_unit_test(searches_go_on_while_rows_come_and_go),
        cmocka_unit_test(a_graph_from_its_file_finds_the_same_and_grows_like_it),
        cmocka_unit_test(an_empty_graph_goes_through_a_file),
        cmocka_unit_test(a_flipped_bit_is_found),
        cmocka_unit_test(a_file_of_another_length_is_refused),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(a_gap_is_never_found_and_hides_nothing),
        cmocka_unit_test(gaps_make_equal_graphs_with_any_number_of_threads),
        cmocka_unit_test(a_file_without_rows_finds_the_same_among_those_that_are_lent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
