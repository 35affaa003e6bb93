#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "search/scan.h"

/* --- numbers */

static uint64_t state_of_random = 7;

static uint64_t bits(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return state_of_random;
}

static float number(void) /* -1 … 1 */
{
    return (float)(bits() >> 40) / (float)(1 << 23) - 1;
}

static float gaussian(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)number();
    return (float)(sum / 2);
}

struct matrix {
    float *rows, *query;
    size_t count, width;
    uint64_t *left_out;
    struct search_codes *codes;
};

static void matrix_init(struct matrix *matrix, size_t count, size_t width)
{
    *matrix = (struct matrix){.count = count, .width = width};
    matrix->rows = calloc(count * width + 1, sizeof *matrix->rows);
    matrix->query = calloc(width + 1, sizeof *matrix->query);
    matrix->left_out = calloc(count / 64 + 1, sizeof *matrix->left_out);
    assert_true(matrix->rows && matrix->query && matrix->left_out);
}

static void make_codes(struct matrix *matrix)
{
    search_codes_free(matrix->codes);
    matrix->codes = search_codes_new(matrix->rows, matrix->count, matrix->width);
    assert_non_null(matrix->codes);
}

static void matrix_release(struct matrix *matrix)
{
    free(matrix->rows);
    free(matrix->query);
    free(matrix->left_out);
    search_codes_free(matrix->codes);
}

static void to_unit(float *row, size_t width)
{
    double square = 0;
    for (size_t i = 0; i < width; i++)
        square += (double)row[i] * (double)row[i];
    for (size_t i = 0; i < width && square > 0; i++)
        row[i] = (float)((double)row[i] / sqrt(square));
}

/* --- what a scan finds */

static size_t scan_by(const struct matrix *matrix, const struct search_kernels *kernels, size_t k,
                      bool with_codes, struct search_scan_hit *ret, size_t *ret_scored)
{
    struct search_scanner *scanner = search_scanner_new(matrix->query, matrix->width, k);
    const struct search_scan_hit *hits = NULL;
    assert_non_null(scanner);
    search_scanner_use(scanner, kernels);
    search_scanner_add(scanner,
                       &(struct search_scan){matrix->rows, matrix->count, matrix->left_out,
                                             with_codes ? matrix->codes : NULL},
                       0);
    size_t count = search_scanner_finish(scanner, &hits);
    memcpy(ret, hits, count * sizeof *hits);
    if (ret_scored)
        *ret_scored = search_scanner_scored(scanner);
    search_scanner_free(scanner);
    return count;
}

static int compare(const void *a, const void *b)
{
    const struct search_scan_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void assert_same(const struct search_scan_hit *a, const struct search_scan_hit *b,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].row, b[i].row);
        assert_memory_equal(&a[i].score, &b[i].score, sizeof a[i].score);
    }
}

/* Every set of kernels, with codes and without, finds what sorting all of the plain scores gives.
 * Returns how many rows the codes left to be read as floats. */
static size_t assert_all_agree(const struct matrix *matrix, size_t k)
{
    struct search_scan_hit *all = calloc(matrix->count + 1, sizeof *all);
    struct search_scan_hit *hits = calloc(matrix->count + 1, sizeof *hits);
    const struct search_kernels *plain = search_kernels_at(0);
    size_t live = 0, scored = 0, most = 0;
    for (size_t row = 0; row < matrix->count; row++) {
        if (matrix->left_out[row / 64] >> (row % 64) & 1)
            continue;
        all[live].row = row;
        plain->dots(matrix->rows + row * matrix->width, 1, matrix->width, matrix->query,
                    &all[live++].score);
    }
    qsort(all, live, sizeof *all, compare);
    size_t want = k < live ? k : live;
    for (size_t at = 0; search_kernels_at(at); at++) {
        assert_int_equal(scan_by(matrix, search_kernels_at(at), k, false, hits, NULL), want);
        assert_same(hits, all, want);
        assert_int_equal(scan_by(matrix, search_kernels_at(at), k, true, hits, &scored), want);
        assert_same(hits, all, want);
        most = scored > most ? scored : most;
    }
    free(all);
    free(hits);
    return most;
}

/* --- tests */

static void the_best_k_are_those_that_sorting_all_gives(void **state)
{
    static const size_t dimensions[] = {1, 3, 16, 17, 64, 100, 384, 391, 1100};
    (void)state;
    for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
        struct matrix matrix;
        matrix_init(&matrix, 389, dimensions[d]);
        size_t width = matrix.width;
        for (size_t i = 0; i < matrix.count * width; i++)
            matrix.rows[i] = number();
        /* Equal rows: ties are told apart by row. */
        memcpy(matrix.rows + 10 * width, matrix.rows + 200 * width, width * sizeof *matrix.rows);
        for (size_t i = 0; i < width; i++)
            matrix.query[i] = number();
        for (size_t row = 0; row < matrix.count; row += 5)
            matrix.left_out[row / 64] |= UINT64_C(1) << row % 64;
        make_codes(&matrix);
        for (size_t k = 0; k < 24; k += 3)
            assert_all_agree(&matrix, k);
        assert_all_agree(&matrix, matrix.count);
        matrix_release(&matrix);
    }
}

static void every_set_of_kernels_gives_the_same_bits(void **state)
{
    enum { ROWS = 7, MOST = 2200 };
    static float rows[ROWS * MOST], query[MOST];
    (void)state;
    assert_string_equal(search_kernels_at(0)->name, "plain");
    for (size_t width = 1; width <= MOST; width = width < 150 ? width + 1 : width + 171) {
        float plain[ROWS], other[ROWS];
        int64_t plain_sums[ROWS], other_sums[ROWS];
        struct search_query ready;
        for (size_t i = 0; i < ROWS * width; i++)
            rows[i] = number() * (i % 7 ? 1.0F : 1e4F);
        for (size_t i = 0; i < width; i++)
            query[i] = number();
        struct search_codes *codes = search_codes_new(rows, ROWS, width);
        assert_true(codes && search_query_init(&ready, query, width));
        search_kernels_at(0)->dots(rows, ROWS, width, query, plain);
        search_kernels_at(0)->code_dots(codes->codes, codes->sums, ROWS, codes->stride, &ready.code,
                                        plain_sums);
        for (size_t at = 1; search_kernels_at(at); at++) {
            search_kernels_at(at)->dots(rows, ROWS, width, query, other);
            assert_memory_equal(plain, other, sizeof plain);
            search_kernels_at(at)->code_dots(codes->codes, codes->sums, ROWS, codes->stride,
                                             &ready.code, other_sums);
            assert_memory_equal(plain_sums, other_sums, sizeof plain_sums);
        }
        search_query_release(&ready);
        search_codes_free(codes);
    }
}

/* The largest codes in the longest rows there are: no sum overflows. */
static void the_largest_sums_are_exact(void **state)
{
    size_t width = SEARCH_CODE_DIMENSIONS_MAX;
    float *rows = calloc(width, 5 * sizeof *rows), *query = calloc(width, sizeof *query);
    struct search_query ready;
    (void)state;
    for (size_t i = 0; i < width; i++) {
        for (size_t row = 0; row < 5; row++)
            rows[row * width + i] = row % 2 ? -1.0F : 1.0F;
        query[i] = i % 5 == 4 ? -1.0F : 1.0F;
    }
    struct search_codes *codes = search_codes_new(rows, 5, width);
    assert_true(codes && search_query_init(&ready, query, width));
    int64_t truth = 0;
    for (size_t i = 0; i < width; i++)
        truth += INT64_C(127) * ready.code.values[i];
    for (size_t at = 0; search_kernels_at(at); at++) {
        int64_t sums[5];
        search_kernels_at(at)->code_dots(codes->codes, codes->sums, 5, codes->stride, &ready.code,
                                         sums);
        for (int row = 0; row < 5; row++)
            assert_int_equal(sums[row], row % 2 ? -truth : truth);
    }
    search_query_release(&ready);
    search_codes_free(codes);
    free(rows);
    free(query);
}

static void bounds_hold(const struct matrix *matrix)
{
    struct search_query query;
    const struct search_codes *codes = matrix->codes;
    assert_true(search_query_init(&query, matrix->query, matrix->width));
    for (size_t row = 0; row < matrix->count; row++) {
        const float *floats = matrix->rows + row * matrix->width;
        long double exact = 0, error = 0;
        int64_t sum = 0;
        for (size_t i = 0; i < matrix->width; i++) {
            int code = codes->codes[row * codes->stride + i];
            long double rest = (long double)floats[i] - (long double)codes->scales[row] * code;
            exact += (long double)floats[i] * (long double)matrix->query[i];
            error += rest * rest;
            sum += (int64_t)code * query.code.values[i];
        }
        assert_true(sqrtl(error) <= (long double)codes->errors[row]);
        long double estimate = (long double)codes->scales[row] * query.step * sum;
        long double reach = (long double)codes->errors[row] * query.reach +
                            (long double)codes->longest * query.blur;
        assert_true(fabsl(exact - estimate) <= reach * (1 + 1e-12L));
    }
    search_query_release(&query);
}

enum kind { CLUSTERED, GAUSSIAN, SKEWED, DOUBLED, ZEROS, TINY, HUGE_ROWS, SPARSE, KINDS };

static void fill(struct matrix *matrix, enum kind kind)
{
    size_t width = matrix->width;
    float centres[8][512];
    for (size_t c = 0; c < 8; c++)
        for (size_t i = 0; i < width; i++)
            centres[c][i] = gaussian();
    for (size_t row = 0; row <= matrix->count; row++) {
        float *to = row < matrix->count ? matrix->rows + row * width : matrix->query;
        const float *centre = centres[bits() % 8];
        for (size_t i = 0; i < width; i++) {
            float value = gaussian();
            if (kind == CLUSTERED)
                value = centre[i] + value * 0.05F;
            else if (kind == SKEWED)
                value *= i % 64 == 0 ? 100.0F : 0.01F;
            else if (kind == DOUBLED)
                value = centre[i];
            else if (kind == SPARSE)
                value = bits() % 20 ? 0 : value;
            else if (kind == TINY)
                value *= row % 3 ? 1e-38F : 1e-41F;
            else if (kind == HUGE_ROWS)
                value *= row % 50 ? 1e18F : 1e-18F;
            to[i] = value;
        }
        if (kind == ZEROS && row % 4)
            memset(to, 0, width * sizeof *to);
        if (kind != TINY && kind != HUGE_ROWS)
            to_unit(to, width);
    }
}

static void codes_find_exactly_what_floats_find(void **state)
{
    static const size_t dimensions[] = {64, 70, 384, 500};
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
            struct matrix matrix;
            matrix_init(&matrix, 800 + bits() % 400, dimensions[d]);
            fill(&matrix, (enum kind)kind);
            make_codes(&matrix);
            bounds_hold(&matrix);
            static const size_t wanted[] = {1, 10, 45};
            for (size_t k = 0; k < sizeof wanted / sizeof wanted[0]; k++)
                assert_all_agree(&matrix, wanted[k]);
            /* Most are left out, in long stretches. */
            for (size_t word = 0; word < matrix.count / 64; word++)
                matrix.left_out[word] |= word % 5 ? UINT64_MAX : bits() & bits();
            assert_all_agree(&matrix, 10);
            for (size_t word = 0; word < matrix.count / 64; word++)
                matrix.left_out[word] |= bits() | bits() | bits() | bits();
            assert_all_agree(&matrix, 10);
            memset(matrix.query, 0, matrix.width * sizeof *matrix.query);
            assert_all_agree(&matrix, 10);
            matrix_release(&matrix);
        }
}

static void codes_leave_few_rows_to_be_read_as_floats(void **state)
{
    struct matrix matrix;
    (void)state;
    matrix_init(&matrix, 20000, 384);
    fill(&matrix, GAUSSIAN);
    make_codes(&matrix);
    assert_true(assert_all_agree(&matrix, 26) < matrix.count / 20);
    matrix_release(&matrix);
}

/* Rows that ascend to the query make every one a candidate when it is seen. */
static void rows_in_the_worst_order_are_found_all_the_same(void **state)
{
    struct matrix matrix;
    (void)state;
    matrix_init(&matrix, 6000, 64);
    fill(&matrix, GAUSSIAN);
    for (size_t row = 0; row < matrix.count; row++) {
        float *to = matrix.rows + row * matrix.width;
        for (size_t i = 0; i < matrix.width; i++)
            to[i] += matrix.query[i] * (float)row / 100;
        to_unit(to, matrix.width);
    }
    make_codes(&matrix);
    assert_all_agree(&matrix, 10);
    matrix_release(&matrix);
}

/* The first rows look best by their codes and are not: all of their error points away from the
 * query, and that of the last ones points to it. */
static void errors_that_point_at_the_query_mislead_nobody(void **state)
{
    struct matrix matrix;
    struct search_scan_hit hits[10];
    size_t width = 384;
    (void)state;
    matrix_init(&matrix, 640, width);
    for (size_t row = 0; row < matrix.count; row++)
        for (size_t i = 0; i < width; i++) {
            bool is_late = row >= 620;
            float code = is_late || i % 10 == 0 ? 3 : 4;
            matrix.rows[row * width + i] = i ? code + (is_late ? 0.49F : -0.49F) : 127;
        }
    for (size_t i = 0; i < width; i++)
        matrix.query[i] = 1;
    make_codes(&matrix);
    assert_all_agree(&matrix, 10);
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 10, true, hits, NULL), 10);
    assert_int_equal(hits[0].row, 620);
    /* The same with the error of the query. */
    for (size_t row = 0; row < matrix.count; row++)
        for (size_t i = 0; i < width; i++)
            matrix.rows[row * width + i] = i > 1 && i % 2 == (row >= 620) ? 1 : 0;
    matrix.query[0] = 32767;
    for (size_t i = 1; i < width; i++)
        matrix.query[i] = i % 2 ? 1.49F : i % 10 ? 1.51F : 0.51F;
    make_codes(&matrix);
    assert_all_agree(&matrix, 10);
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 10, true, hits, NULL), 10);
    assert_int_equal(hits[0].row, 620);
    matrix_release(&matrix);
}

static void what_is_no_number_is_found_last(void **state)
{
    struct matrix matrix;
    struct search_scan_hit hits[1024];
    (void)state;
    matrix_init(&matrix, 1024, 64);
    fill(&matrix, GAUSSIAN);
    for (size_t row = 0; row < matrix.count; row += 3)
        matrix.rows[row * matrix.width + row % 64] = row % 2 ? NAN : INFINITY;
    make_codes(&matrix);
    for (size_t at = 0; search_kernels_at(at); at++) {
        struct search_scan_hit others[1024];
        size_t count = scan_by(&matrix, search_kernels_at(at), 50, false, hits, NULL);
        assert_int_equal(scan_by(&matrix, search_kernels_at(at), 50, true, others, NULL), count);
        assert_same(hits, others, count);
    }
    matrix_release(&matrix);
}

/* Several matrices, some with codes, are one. */
static void parts_are_one_matrix(void **state)
{
    struct matrix matrix;
    struct search_scan_hit whole[30];
    const struct search_scan_hit *hits = NULL;
    (void)state;
    matrix_init(&matrix, 64 * 40, 128);
    fill(&matrix, CLUSTERED);
    memcpy(matrix.rows + 64 * 39 * 128, matrix.rows, 64 * 128 * sizeof *matrix.rows);
    make_codes(&matrix);
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 30, false, whole, NULL), 30);
    struct search_scanner *scanner = search_scanner_new(matrix.query, matrix.width, 30);
    for (size_t from = 0, part = 0, rows = 64; from < matrix.count; from += rows, part++) {
        rows = part % 3 ? 512 : 64;
        rows = rows < matrix.count - from ? rows : matrix.count - from;
        const float *at = matrix.rows + from * matrix.width;
        struct search_codes *codes = search_codes_new(at, rows, matrix.width);
        search_scanner_add(scanner, &(struct search_scan){at, rows, NULL, part % 2 ? codes : NULL},
                           from);
        search_codes_free(codes);
    }
    assert_int_equal(search_scanner_finish(scanner, &hits), 30);
    assert_same(hits, whole, 30);
    search_scanner_free(scanner);
    matrix_release(&matrix);
}

static void nothing_is_found_in_nothing(void **state)
{
    struct matrix matrix;
    struct search_scan_hit hits[8];
    (void)state;
    matrix_init(&matrix, 1, 2);
    matrix.rows[0] = matrix.query[0] = 1;
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 0, false, hits, NULL), 0);
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 4, false, hits, NULL), 1);
    matrix.left_out[0] = 1;
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 4, false, hits, NULL), 0);
    matrix.count = 0;
    assert_int_equal(scan_by(&matrix, search_kernels_best(), 4, false, hits, NULL), 0);
    matrix_release(&matrix);
}

/* --- several at once */

enum { ASKERS = 37 };

static void scan_all(struct search_scanner **scanners, const struct matrix *matrix,
                     const struct matrix *queries, const struct search_kernels *kernels,
                     const uint64_t *const *left_out)
{
    const struct search_scan scan = {
        .rows = matrix->rows, .row_count = matrix->count, .codes = matrix->codes};
    for (size_t q = 0; q < ASKERS; q++) {
        scanners[q] =
            search_scanner_new(queries->rows + q * queries->width, queries->width, q % 13);
        assert_non_null(scanners[q]);
        search_scanner_use(scanners[q], kernels);
    }
    search_scanners_add(scanners, left_out, ASKERS, &scan, 1000);
}

static void find_each_alone(const struct matrix *matrix, const struct matrix *queries,
                            const uint64_t *const *left_out, struct search_scanner **ret)
{
    for (size_t q = 0; q < ASKERS; q++) {
        ret[q] = search_scanner_new(queries->rows + q * queries->width, queries->width, q % 13);
        assert_non_null(ret[q]);
        search_scanner_use(ret[q], search_kernels_at(0));
        search_scanner_add(ret[q],
                           &(struct search_scan){.rows = matrix->rows,
                                                 .row_count = matrix->count,
                                                 .left_out = left_out[q]},
                           1000);
    }
}

/* By every set of kernels each finds what it finds alone, in floats; returns the rows of the last
 * one that were read as floats. */
static size_t assert_each_finds_its_own(const struct matrix *matrix, const struct matrix *queries)
{
    struct search_scanner *scanners[ASKERS], *alone[ASKERS];
    const uint64_t *left_out[ASKERS];
    size_t scored = 0;
    for (size_t q = 0; q < ASKERS; q++)
        left_out[q] = q % 3 ? matrix->left_out : NULL;
    find_each_alone(matrix, queries, left_out, alone);
    for (size_t at = 0; search_kernels_at(at); at++) {
        scan_all(scanners, matrix, queries, search_kernels_at(at), left_out);
        for (size_t q = 0; q < ASKERS; q++) {
            const struct search_scan_hit *hits = NULL, *truth = NULL;
            size_t count = search_scanner_finish(alone[q], &truth);
            assert_int_equal(search_scanner_finish(scanners[q], &hits), count);
            assert_same(hits, truth, count);
            scored = search_scanner_scored(scanners[q]);
            search_scanner_free(scanners[q]);
        }
    }
    for (size_t q = 0; q < ASKERS; q++)
        search_scanner_free(alone[q]);
    return scored;
}

static void those_who_ask_together_find_what_each_finds_alone(void **state)
{
    static const size_t dimensions[] = {70, 384};
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
            struct matrix matrix, queries;
            matrix_init(&matrix, 400 + bits() % 100, dimensions[d]);
            matrix_init(&queries, ASKERS, dimensions[d]);
            fill(&matrix, (enum kind)kind);
            fill(&queries, (enum kind)kind);
            make_codes(&matrix);
            for (size_t row = 0; row < matrix.count; row += 1 + bits() % 3)
                matrix.left_out[row / 64] |= UINT64_C(1) << row % 64;
            /* One asks for nothing, one with what is no number. */
            memset(queries.rows + 3 * queries.width, 0, queries.width * sizeof *queries.rows);
            queries.rows[5 * queries.width] = NAN;
            assert_each_finds_its_own(&matrix, &queries);
            for (size_t row = 0; row < matrix.count; row += 7)
                matrix.rows[row * matrix.width + row % 64] = row % 2 ? NAN : INFINITY;
            make_codes(&matrix);
            assert_each_finds_its_own(&matrix, &queries);
            matrix_release(&queries);
            matrix_release(&matrix);
        }
}

static void together_few_rows_are_read_as_floats_too(void **state)
{
    struct matrix matrix, queries;
    (void)state;
    matrix_init(&matrix, 5000, 384);
    matrix_init(&queries, ASKERS, 384);
    fill(&matrix, GAUSSIAN);
    fill(&queries, GAUSSIAN);
    make_codes(&matrix);
    assert_true(assert_each_finds_its_own(&matrix, &queries) < matrix.count / 20);
    matrix_release(&queries);
    matrix_release(&matrix);
}

/* The sums of bytes that the kernels for several queries make are those of whole numbers. */
static void the_sums_of_several_queries_are_exact(void **state)
{
    enum { ROWS = 61, WIDTH = 200 };
    static double sums[SEARCH_BLOCK_ROWS * SEARCH_BLOCK_QUERIES];
    uint32_t reached[SEARCH_BLOCK_ROWS];
    (void)state;
    for (size_t asked = 1; asked <= SEARCH_BLOCK_QUERIES; asked += 5) {
        struct search_query ready[SEARCH_BLOCK_QUERIES];
        const struct search_query *queries[SEARCH_BLOCK_QUERIES];
        struct matrix matrix, wide;
        matrix_init(&matrix, ROWS, WIDTH);
        matrix_init(&wide, asked, WIDTH);
        fill(&matrix, GAUSSIAN);
        fill(&wide, SKEWED);
        make_codes(&matrix);
        for (size_t q = 0; q < asked; q++) {
            assert_true(search_query_init(&ready[q], wide.rows + q * WIDTH, WIDTH));
            queries[q] = &ready[q];
        }
        struct search_block *block = search_block_new(queries, asked);
        assert_non_null(block);
        for (size_t q = 0; q < asked; q++)
            block->bars[q] = -INFINITY;
        const struct search_codes *codes = matrix.codes;
        const struct search_block_rows rows = {ROWS,        codes->stride, codes->codes,
                                               codes->sums, codes->scales, codes->errors};
        for (size_t at = 0; search_kernels_at(at); at++) {
            memset(sums, 0, sizeof sums);
            search_kernels_at(at)->block(block, &rows, sums, reached);
            for (size_t row = 0; row < ROWS; row++) {
                assert_int_equal(reached[row], (UINT64_C(1) << asked) - 1);
                for (size_t q = 0; q < asked; q++) {
                    int64_t sum = 0;
                    for (size_t i = 0; i < WIDTH; i++)
                        sum += (int64_t)codes->codes[row * codes->stride + i] *
                               ready[q].code.values[i];
                    assert_true(sums[row * SEARCH_BLOCK_QUERIES + q] == (double)sum);
                }
            }
        }
        search_block_free(block);
        for (size_t q = 0; q < asked; q++)
            search_query_release(&ready[q]);
        matrix_release(&wide);
        matrix_release(&matrix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_k_are_those_that_sorting_all_gives),
        cmocka_unit_test(every_set_of_kernels_gives_the_same_bits),
        cmocka_unit_test(the_largest_sums_are_exact),
        cmocka_unit_test(codes_find_exactly_what_floats_find),
        cmocka_unit_test(codes_leave_few_rows_to_be_read_as_floats),
        cmocka_unit_test(rows_in_the_worst_order_are_found_all_the_same),
        cmocka_unit_test(errors_that_point_at_the_query_mislead_nobody),
        cmocka_unit_test(what_is_no_number_is_found_last),
        cmocka_unit_test(those_who_ask_together_find_what_each_finds_alone),
        cmocka_unit_test(together_few_rows_are_read_as_floats_too),
        cmocka_unit_test(the_sums_of_several_queries_are_exact),
        cmocka_unit_test(parts_are_one_matrix),
        cmocka_unit_test(nothing_is_found_in_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
