#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "search/scan.h"

static float number(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return (float)(*seed >> 8 & 0xFFFF) / 65536.0F - 0.5F;
}

static int compare(const void *a, const void *b)
{
    const struct search_scan_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void the_best_k_are_those_that_sorting_all_gives(void **state)
{
    static const size_t dimensions[] = {1, 3, 16, 17, 384, 391};
    enum { ROWS = 257 };
    unsigned seed = 7;
    (void)state;
    for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
        size_t width = dimensions[d];
        float *rows = malloc(ROWS * width * sizeof *rows), *query = malloc(width * sizeof *query);
        struct search_scan_hit all[ROWS], hits[ROWS];
        uint64_t left_out[ROWS / 64 + 1] = {0};
        for (size_t i = 0; i < ROWS * width; i++)
            rows[i] = number(&seed);
        /* Equal rows: ties are told apart by row. */
        memcpy(rows + 10 * width, rows + 200 * width, width * sizeof *rows);
        for (size_t i = 0; i < width; i++)
            query[i] = number(&seed);
        for (size_t row = 0; row < ROWS; row += 5)
            left_out[row / 64] |= UINT64_C(1) << row % 64;
        const struct search_scan scan = {rows, ROWS, width, left_out};
        size_t count = search_scan_top(&scan, query, ROWS, all);
        assert_int_equal(count, ROWS - ROWS / 5 - 1);
        for (size_t i = 0; i < count; i++) {
            double exact = 0;
            assert_true(all[i].row % 5 != 0);
            for (size_t j = 0; j < width; j++)
                exact += (double)rows[all[i].row * width + j] * (double)query[j];
            assert_true(exact - (double)all[i].score < 1e-4 && (double)all[i].score - exact < 1e-4);
        }
        qsort(all, count, sizeof *all, compare);
        for (size_t k = 0; k < 40; k += 3) {
            assert_int_equal(search_scan_top(&scan, query, k, hits), k);
            for (size_t i = 0; i < k; i++) {
                assert_int_equal(hits[i].row, all[i].row);
                assert_true(hits[i].score == all[i].score);
            }
        }
        free(rows);
        free(query);
    }
}

static void nothing_is_found_in_nothing(void **state)
{
    struct search_scan_hit hits[4];
    const float query[] = {1, 2};
    (void)state;
    assert_int_equal(search_scan_top(&(struct search_scan){query, 0, 2, NULL}, query, 4, hits), 0);
    assert_int_equal(search_scan_top(&(struct search_scan){query, 1, 2, NULL}, query, 0, hits), 0);
    assert_int_equal(search_scan_top(&(struct search_scan){query, 1, 2, NULL}, query, 4, hits), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_k_are_those_that_sorting_all_gives),
        cmocka_unit_test(nothing_is_found_in_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
