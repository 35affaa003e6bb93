/* V5: exact search, one query, one thread: codes and floats (what a search does) against all
 * floats, and against the floor: reading the bytes that it must read, once, from first to last.
 *
 * Time is what the thread spent on a processor: neighbours take time from all sides alike.
 *
 * Three sets of 384 dimensions, none of which fits a cache of a core: clusters, Gaussian (the worst
 * there is for codes: all rows are equally far), and texts as the built-in embedder sees them.
 * Gates: the ten best of every query are the same rows with the same bits for every kind of
 * instructions, with codes and without.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai/lexical.h"
#include "search/scan.h"
#include "support.h"

#define DIMENSIONS ((size_t)LEXICAL_DIMENSIONS)
#define ROWS ((size_t)300000)
#define QUERIES 32
#define GATED 8
#define K 10
#define CLUSTERS 1000

struct set {
    const char *name;
    float *rows;
    float *queries;
    struct search_codes *codes;
    size_t asked;
    size_t streams; /* of the floor */
};

static uint64_t seed = 42;

static double uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / (double)(UINT64_C(1) << 53);
}

static float gaussian(void)
{
    return (float)(sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform()));
}

static void to_unit(float *row)
{
    double square = 0;
    for (size_t i = 0; i < DIMENSIONS; i++)
        square += (double)row[i] * (double)row[i];
    for (size_t i = 0; i < DIMENSIONS && square > 0; i++)
        row[i] = (float)((double)row[i] / sqrt(square));
}

static float *room(size_t rows)
{
    float *memory = aligned_alloc(64, rows * DIMENSIONS * sizeof(float));
    if (!memory)
        bench_die("there is no memory for %zu rows", rows);
    return memory;
}

/* Rows about centres; without a spread of the centres, Gaussian. Noise is drawn from a table: each
 * row takes another stretch of it. */
static void make_points(struct set *set, float spread)
{
    enum { NOISE = 1 << 20 };
    float *noise = malloc(NOISE * sizeof *noise), *centres = room(CLUSTERS);
    for (size_t i = 0; i < NOISE; i++)
        noise[i] = gaussian();
    for (size_t i = 0; i < CLUSTERS * DIMENSIONS; i++)
        centres[i] = gaussian() * spread;
    for (size_t row = 0; row < ROWS + QUERIES; row++) {
        float *to =
            row < ROWS ? set->rows + row * DIMENSIONS : set->queries + (row - ROWS) * DIMENSIONS;
        const float *centre = centres + (size_t)(uniform() * CLUSTERS) * DIMENSIONS;
        const float *from = noise + (size_t)(uniform() * (NOISE - 2 * DIMENSIONS));
        for (size_t i = 0; i < DIMENSIONS; i++)
            to[i] = centre[i] + from[i] + noise[(size_t)(i * 2731 + row * 17) % NOISE] * 0.3F;
        to_unit(to);
    }
    free(noise);
    free(centres);
}

/* Texts of words whose frequencies fall as their ranks do. */
static struct lh_str make_text(char *text, size_t size)
{
    static const char *const ends[] = {"tion", "er", "ing", "lib", "ity", "ode", "um", "ax"};
    size_t at = 0;
    for (int word = 0; word < 9; word++) {
        unsigned rank = (unsigned)exp(uniform() * log(30000.0));
        at += (size_t)snprintf(text + at, size - at, "%s%c%c%c%s", word ? " " : "",
                               (int)('a' + rank % 26), (int)('a' + rank / 26 % 26),
                               (int)('a' + rank / 676 % 26), ends[rank % 8]);
    }
    return (struct lh_str){text, at};
}

static void make_texts(struct set *set)
{
    struct lexical_fit *fit = NULL;
    struct lexical *lexical = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf bytes;
    char text[256];
    if (lexical_fit_new(&fit, &err))
        bench_die("%s", err.message);
    for (int i = 0; i < 20000; i++)
        if (lexical_fit_add(fit, make_text(text, sizeof text), &err))
            bench_die("%s", err.message);
    lh_buf_init(&bytes, (size_t)16 << 20);
    lexical_fit_finish(fit, &bytes);
    lexical_fit_free(fit);
    if (lexical_load(lh_buf_str(&bytes), &lexical, &err))
        bench_die("%s", err.message);
    for (size_t row = 0; row < ROWS + QUERIES; row++) {
        struct lh_str one = make_text(text, sizeof text);
        float *to =
            row < ROWS ? set->rows + row * DIMENSIONS : set->queries + (row - ROWS) * DIMENSIONS;
        if (lexical_embed(lexical, &one, 1, to, &err))
            bench_die("%s", err.message);
    }
    lexical_free(lexical);
    lh_buf_release(&bytes);
}

/* --- the sides */

static size_t find(const struct set *set, size_t query, const struct search_kernels *kernels,
                   bool with_codes, struct search_scan_hit *ret)
{
    const struct search_scan_hit *hits = NULL;
    struct search_scanner *scanner =
        search_scanner_new(set->queries + query * DIMENSIONS, DIMENSIONS, K);
    if (!scanner)
        bench_die("there is no memory for a scan");
    search_scanner_use(scanner, kernels);
    search_scanner_add(scanner,
                       &(struct search_scan){.rows = set->rows,
                                             .row_count = ROWS,
                                             .codes = with_codes ? set->codes : NULL},
                       0);
    if (search_scanner_finish(scanner, &hits) != K)
        bench_die("%s: there are fewer than %d", set->name, K);
    memcpy(ret, hits, K * sizeof *hits);
    size_t scored = search_scanner_scored(scanner);
    search_scanner_free(scanner);
    return scored;
}

static double seconds(struct set *set, bool with_codes)
{
    struct search_scan_hit hits[K];
    size_t query = set->asked++ / 2 % QUERIES;
    double start = bench_cpu_now();
    find(set, query, search_kernels_best(), with_codes, hits);
    return bench_cpu_now() - start;
}

static double by_codes(void *set)
{
    return seconds(set, true);
}

static double by_floats(void *set)
{
    return seconds(set, false);
}

static volatile uint64_t sink;

/* One thread, `streams` places at once: some machines read several faster than one. */
static void read_all(const void *memory, size_t bytes, size_t streams)
{
    const uint64_t *words = memory;
    size_t part = bytes / 8 / streams / 8 * 8;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i < part; i += 8)
        for (size_t stream = 0; stream < streams; stream++)
            for (size_t k = 0; k < 8; k++)
                sums[k] += words[stream * part + i + k];
    for (size_t k = 0; k < 8; k++)
        sink += sums[k];
}

static double by_floor(void *context)
{
    const struct set *set = context;
    double start = bench_cpu_now();
    read_all(set->codes->codes, ROWS * set->codes->stride, set->streams);
    read_all(set->codes->scales, ROWS * sizeof(float), set->streams);
    read_all(set->codes->errors, ROWS * sizeof(float), set->streams);
    read_all(set->codes->sums, ROWS * sizeof(int32_t), set->streams);
    return bench_cpu_now() - start;
}

/* The lowest floor there is. */
static void choose_streams(struct set *set)
{
    double best = 0;
    size_t chosen = 1;
    for (size_t streams = 1; streams <= 8; streams *= 2) {
        double times[5];
        set->streams = streams;
        for (int round = 0; round < 5; round++)
            times[round] = by_floor(set);
        double median = bench_median(times, 5);
        printf("floor, %zu streams: %.2f ms\n", streams, median * 1e3);
        if (streams == 1 || median < best) {
            best = median;
            chosen = streams;
        }
    }
    set->streams = chosen;
}

/* --- gates */

static void check(const struct set *set)
{
    size_t scored = 0;
    for (size_t query = 0; query < GATED; query++) {
        struct search_scan_hit truth[K], hits[K];
        find(set, query, search_kernels_at(0), false, truth);
        for (size_t at = 0; search_kernels_at(at); at++)
            for (int with_codes = 0; with_codes < 2; with_codes++) {
                size_t count = find(set, query, search_kernels_at(at), with_codes, hits);
                scored += with_codes && !search_kernels_at(at + 1) ? count : 0;
                if (memcmp(truth, hits, sizeof truth) != 0)
                    bench_die("%s: %s %s find something else for query %zu", set->name,
                              search_kernels_at(at)->name, with_codes ? "codes" : "floats", query);
            }
    }
    printf("%s: the %d best of %d queries are the same by every instruction set; %.0f of %zu rows "
           "read as floats\n",
           set->name, K, GATED, (double)scored / GATED, ROWS);
}

static bool run(struct set *set)
{
    char what[96], detail[128];
    set->codes = search_codes_new(set->rows, ROWS, DIMENSIONS);
    if (!set->codes)
        bench_die("there is no memory for codes");
    check(set);
    choose_streams(set);
    struct bench_side codes = {"codes", by_codes, set}, floats = {"floats", by_floats, set},
                      floor = {"floor", by_floor, set};
    struct bench_ratio same = bench_compare(codes, codes, BENCH_ROUNDS * 2);
    printf("noise: A/A %.3f [%.3f … %.3f]\n", same.median, same.low, same.high);
    struct bench_ratio gain = bench_compare(floats, codes, BENCH_ROUNDS * 2);
    struct bench_ratio wall = bench_compare(codes, floor, BENCH_ROUNDS * 2);
    double bytes = (double)search_codes_bytes(ROWS, DIMENSIONS);
    snprintf(what, sizeof what, "exact search, %s: floats / codes", set->name);
    snprintf(detail, sizeof detail, "codes %.2f ms, floats %.2f ms, %zu rows", gain.b_seconds * 1e3,
             gain.a_seconds * 1e3, ROWS);
    bool is_met = bench_report("V5", what, gain.median, gain.low, gain.high, "×", 3, false, detail);
    snprintf(what, sizeof what, "exact search, %s: codes / reading them", set->name);
    snprintf(detail, sizeof detail, "the floor reads %.1f GB/s", bytes / wall.b_seconds / 1e9);
    is_met &= bench_report("V5", what, wall.median, wall.low, wall.high, "×", 1.3, true, detail);
    search_codes_free(set->codes);
    return is_met;
}

int main(void)
{
    static const char *const names[] = {"clusters", "Gaussian", "texts"};
    struct set set = {.rows = room(ROWS), .queries = room(QUERIES)};
    bool is_met = true;
    bench_machine();
    printf("kernels: %s\n", search_kernels_best()->name);
    for (int at = 0; at < 3; at++) {
        set.name = names[at];
        if (at == 2)
            make_texts(&set);
        else
            make_points(&set, at ? 0 : 2);
        is_met &= run(&set);
    }
    free(set.rows);
    free(set.queries);
    return is_met ? 0 : 1;
}
