/* V5: exact search, one query, one thread: codes and floats (what a search does) against all
 * floats, and against the floor: reading the bytes that it must read, once, from first to last.
 *
 * Time is what the thread spent on a processor: neighbours take time from all sides alike.
 *
 * Three sets (exact.h).
 * Gates: the ten best of every query are the same rows with the same bits for every kind of
 * instructions, with codes and without.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "support.h"

#define DIMENSIONS EXACT_DIMENSIONS
#define ROWS EXACT_ROWS
#define QUERIES EXACT_QUERIES
#define GATED 8
#define K EXACT_K

struct set {
    struct exact_set exact;
    size_t asked;
    size_t streams; /* of the floor */
};

/* --- the sides */

static size_t find(const struct set *set, size_t query, const struct search_kernels *kernels,
                   bool with_codes, struct search_scan_hit *ret)
{
    const struct search_scan_hit *hits = NULL;
    struct search_scanner *scanner =
        search_scanner_new(set->exact.queries + query * DIMENSIONS, DIMENSIONS, K);
    if (!scanner)
        bench_die("there is no memory for a scan");
    search_scanner_use(scanner, kernels);
    search_scanner_add(scanner,
                       &(struct search_scan){.rows = set->exact.rows,
                                             .row_count = ROWS,
                                             .codes = with_codes ? set->exact.codes : NULL},
                       0);
    if (search_scanner_finish(scanner, &hits) != K)
        bench_die("%s: there are fewer than %d", set->exact.name, K);
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
    read_all(set->exact.codes->codes, ROWS * set->exact.codes->stride, set->streams);
    read_all(set->exact.codes->scales, ROWS * sizeof(float), set->streams);
    read_all(set->exact.codes->errors, ROWS * sizeof(float), set->streams);
    read_all(set->exact.codes->sums, ROWS * sizeof(int32_t), set->streams);
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
                    bench_die("%s: %s %s find something else for query %zu", set->exact.name,
                              search_kernels_at(at)->name, with_codes ? "codes" : "floats", query);
            }
    }
    printf("%s: the %d best of %d queries are the same by every instruction set; %.0f of %zu rows "
           "read as floats\n",
           set->exact.name, K, GATED, (double)scored / GATED, ROWS);
}

static bool run(struct set *set)
{
    char what[96], detail[128];
    check(set);
    choose_streams(set);
    struct bench_side codes = {"codes", by_codes, set}, floats = {"floats", by_floats, set},
                      floor = {"floor", by_floor, set};
    struct bench_ratio same = bench_compare(codes, codes, BENCH_ROUNDS * 2);
    printf("noise: A/A %.3f [%.3f … %.3f]\n", same.median, same.low, same.high);
    struct bench_ratio gain = bench_compare(floats, codes, BENCH_ROUNDS * 2);
    struct bench_ratio wall = bench_compare(codes, floor, BENCH_ROUNDS * 2);
    double bytes = (double)search_codes_bytes(ROWS, DIMENSIONS);
    snprintf(what, sizeof what, "exact search, %s: floats / codes", set->exact.name);
    snprintf(detail, sizeof detail, "codes %.2f ms, floats %.2f ms, %zu rows", gain.b_seconds * 1e3,
             gain.a_seconds * 1e3, ROWS);
    bool is_met = bench_report("V5", what, gain.median, gain.low, gain.high, "×", 3, false, detail);
    snprintf(what, sizeof what, "exact search, %s: codes / reading them", set->exact.name);
    snprintf(detail, sizeof detail, "the floor reads %.1f GB/s", bytes / wall.b_seconds / 1e9);
    is_met &= bench_report("V5", what, wall.median, wall.low, wall.high, "×", 1.3, true, detail);
    return is_met;
}

int main(void)
{
    struct set set = {.asked = 0};
    bool is_met = true;
    bench_machine();
    printf("kernels: %s\n", search_kernels_best()->name);
    for (int kind = 0; kind < EXACT_KINDS; kind++) {
        exact_make(&set.exact, (enum exact_kind)kind);
        is_met &= run(&set);
    }
    exact_release(&set.exact);
    return is_met ? 0 : 1;
}
