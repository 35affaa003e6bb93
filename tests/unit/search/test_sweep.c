#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/asking.h"

#define WIDTH ((size_t)128)
#define ROWS ((size_t)40960)
#define PARTS ((size_t)4)
#define K ((size_t)5)

static float *numbers(size_t count, uint64_t seed)
{
    float *ret = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    assert_non_null(ret);
    for (size_t i = 0; i < count; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        ret[i] = (float)(seed >> 40) / (float)(1 << 23) - 1;
    }
    return ret;
}

/* An index in memory as searches see it: rows in parts, some of them muted. */
struct house {
    struct index_manifest manifest;
    struct entries parts[PARTS];
    struct entries *part_list[PARTS];
    size_t bases[PARTS];
    struct view view;
    struct layer layers[LAYERS];
    uint64_t mute[ROWS / 64];
    struct sweeps *sweeps;
};

static struct house *house_new(size_t places)
{
    struct house *house = calloc(1, sizeof *house);
    assert_non_null(house);
    house->manifest.dimensions = (int64_t)WIDTH;
    for (size_t i = 0; i < PARTS; i++) {
        house->parts[i].count = ROWS / PARTS;
        house->parts[i].dimensions = WIDTH;
        house->parts[i].vectors = numbers(ROWS / PARTS * WIDTH, 77 + i);
        house->parts[i].codes = search_codes_new(house->parts[i].vectors, ROWS / PARTS, WIDTH);
        assert_non_null(house->parts[i].codes);
        house->part_list[i] = &house->parts[i];
        house->bases[i] = i * (ROWS / PARTS);
    }
    house->view = (struct view){.manifest = &house->manifest,
                                .parts = house->part_list,
                                .bases = house->bases,
                                .part_count = PARTS,
                                .span = ROWS};
    house->layers[0] = (struct layer){.view = &house->view, .mute = house->mute};
    for (size_t i = 0; i < ROWS / 64; i++)
        house->mute[i] = UINT64_C(0x8000000000000001);
    house->sweeps = sweeps_new(places);
    assert_non_null(house->sweeps);
    return house;
}

static void house_free(struct house *house)
{
    for (size_t i = 0; i < PARTS; i++) {
        free(house->parts[i].vectors);
        search_codes_free(house->parts[i].codes);
    }
    sweeps_free(house->sweeps);
    free(house);
}

static enum lh_code ask(struct house *house, const void *rows, const float *query,
                        const struct lh_cancel *cancel, struct search_scan_hit *ret,
                        size_t *ret_count)
{
    struct lh_error err = LH_ERROR_NONE;
    const struct search_scan_hit *hits = NULL;
    struct search_scanner *scanner = search_scanner_new(query, WIDTH, K);
    struct sweep sweep = {
        .rows = rows, .layers = house->layers, .scanners = &scanner, .count = 1, .cancel = cancel};
    assert_non_null(scanner);
    enum lh_code code = sweeps_join(house->sweeps, &sweep, &err);
    *ret_count = search_scanner_finish(scanner, &hits);
    memcpy(ret, hits, *ret_count * sizeof *hits);
    search_scanner_free(scanner);
    return code;
}

static void find_alone(const struct house *house, const float *query, struct search_scan_hit *ret)
{
    const struct search_scan_hit *hits = NULL;
    struct search_scanner *scanner = search_scanner_new(query, WIDTH, K);
    assert_non_null(scanner);
    for (size_t i = 0; i < PARTS; i++)
        search_scanner_add(scanner,
                           &(struct search_scan){.rows = house->parts[i].vectors,
                                                 .row_count = house->parts[i].count,
                                                 .left_out = house->mute + house->bases[i] / 64},
                           house->bases[i]);
    assert_int_equal(search_scanner_finish(scanner, &hits), K);
    memcpy(ret, hits, K * sizeof *hits);
    search_scanner_free(scanner);
}

struct asker {
    struct house *house;
    const void *rows;
    uint64_t seed;
    atomic_int *wrong;
};

#define TURNS 6

static void *ask_on(void *context)
{
    const struct asker *asker = context;
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        struct search_scan_hit hits[K], truth[K];
        size_t count = 0;
        float *query = numbers(WIDTH, asker->seed * 100 + turn + 1);
        enum lh_code code = ask(asker->house, asker->rows, query, NULL, hits, &count);
        find_alone(asker->house, query, truth);
        bool is_same = !code && count == K;
        for (size_t i = 0; i < K && is_same; i++)
            is_same = hits[i].row == truth[i].row &&
                      memcmp(&hits[i].score, &truth[i].score, sizeof hits[i].score) == 0;
        atomic_fetch_add(asker->wrong, !is_same);
        free(query);
    }
    return NULL;
}

static void ask_from_all_sides(struct house *house, size_t sides, const void *const *rows)
{
    enum { MOST = 16 };
    pthread_t threads[MOST];
    struct asker askers[MOST];
    atomic_int wrong = 0;
    assert_true(sides <= MOST);
    for (size_t i = 0; i < sides; i++) {
        askers[i] = (struct asker){house, rows[i % 2], i + 1, &wrong};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &askers[i]), 0);
    }
    for (size_t i = 0; i < sides; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
}

static void who_waits_for_the_same_rows_is_served_by_one_look(void **state)
{
    struct house *house = house_new(1);
    const void *const rows[] = {house, house};
    int64_t passes = 0, served = 0;
    (void)state;
    ask_from_all_sides(house, 12, rows);
    sweeps_count(house->sweeps, &passes, &served);
    assert_int_equal(served, 12 * TURNS);
    assert_true(passes < served);
    house_free(house);
}

static void who_waits_for_other_rows_gets_a_turn_too(void **state)
{
    struct house *house = house_new(2);
    const void *const rows[] = {house, &house->view};
    int64_t passes = 0, served = 0;
    (void)state;
    ask_from_all_sides(house, 12, rows);
    sweeps_count(house->sweeps, &passes, &served);
    assert_int_equal(served, 12 * TURNS);
    house_free(house);
}

static void one_alone_is_served_at_once_by_a_look_of_its_own(void **state)
{
    struct house *house = house_new(0);
    const void *const rows[] = {house, house};
    int64_t passes = 0, served = 0;
    (void)state;
    ask_from_all_sides(house, 1, rows);
    sweeps_count(house->sweeps, &passes, &served);
    assert_int_equal(passes, TURNS);
    assert_int_equal(served, TURNS);
    house_free(house);
}

static void who_gave_up_stops_alone(void **state)
{
    struct house *house = house_new(1);
    struct search_scan_hit hits[K];
    struct lh_cancel cancel;
    pthread_t threads[4];
    struct asker askers[4];
    atomic_int wrong = 0;
    size_t count = 0;
    float *query = numbers(WIDTH, 5);
    (void)state;
    lh_cancel_init(&cancel);
    lh_cancel_fire(&cancel, LH_CANCELLED);
    for (size_t i = 0; i < 4; i++) {
        askers[i] = (struct asker){house, house, i + 1, &wrong};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &askers[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(house, house, query, &cancel, hits, &count), LH_CANCELLED);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    free(query);
    house_free(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_for_the_same_rows_is_served_by_one_look),
        cmocka_unit_test(who_waits_for_other_rows_gets_a_turn_too),
        cmocka_unit_test(one_alone_is_served_at_once_by_a_look_of_its_own),
        cmocka_unit_test(who_gave_up_stops_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
