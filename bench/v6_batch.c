/* V6: exact search, 32 queries at once, one thread: the time of one query among them against that
 * of one alone that reads all floats; faiss's flat index beside both, one query and 32.
 *
 * Time is what the thread spent on a processor. Gates: by every kind of instructions the ten best
 * of each query are those that it finds alone in floats, to the last bit; faiss finds the same, up
 * to the rounding of its sums.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "faiss.h"
#include "support.h"

struct side {
    const struct exact_set *set;
    struct faiss_flat *faiss;
    size_t asked;
};

static void find_together(const struct exact_set *set, const struct search_kernels *kernels,
                          struct search_scan_hit (*ret)[EXACT_K])
{
    struct search_scanner *scanners[EXACT_QUERIES];
    const uint64_t *left_out[EXACT_QUERIES] = {NULL};
    const struct search_scan scan = {
        .rows = set->rows, .row_count = EXACT_ROWS, .codes = set->codes};
    for (size_t q = 0; q < EXACT_QUERIES; q++) {
        scanners[q] =
            search_scanner_new(set->queries + q * EXACT_DIMENSIONS, EXACT_DIMENSIONS, EXACT_K);
        if (!scanners[q])
            bench_die("there is no memory for a scan");
        search_scanner_use(scanners[q], kernels);
    }
    search_scanners_add(scanners, left_out, EXACT_QUERIES, &scan, 0);
    for (size_t q = 0; q < EXACT_QUERIES; q++) {
        const struct search_scan_hit *hits = NULL;
        if (search_scanner_finish(scanners[q], &hits) != EXACT_K)
            bench_die("%s: there are fewer than %d", set->name, EXACT_K);
        memcpy(ret[q], hits, sizeof ret[q]);
        search_scanner_free(scanners[q]);
    }
}

static void find_alone(const struct exact_set *set, size_t query, struct search_scan_hit *ret)
{
    const struct search_scan_hit *hits = NULL;
    struct search_scanner *scanner =
        search_scanner_new(set->queries + query * EXACT_DIMENSIONS, EXACT_DIMENSIONS, EXACT_K);
    if (!scanner)
        bench_die("there is no memory for a scan");
    search_scanner_add(scanner, &(struct search_scan){.rows = set->rows, .row_count = EXACT_ROWS},
                       0);
    if (search_scanner_finish(scanner, &hits) != EXACT_K)
        bench_die("%s: there are fewer than %d", set->name, EXACT_K);
    memcpy(ret, hits, EXACT_K * sizeof *ret);
    search_scanner_free(scanner);
}

static double by_floats(void *context)
{
    struct side *side = context;
    struct search_scan_hit hits[EXACT_K];
    double start = bench_cpu_now();
    find_alone(side->set, side->asked++ % EXACT_QUERIES, hits);
    return bench_cpu_now() - start;
}

static double by_all(void *context)
{
    struct side *side = context;
    struct search_scan_hit hits[EXACT_QUERIES][EXACT_K];
    double start = bench_cpu_now();
    find_together(side->set, search_kernels_best(), hits);
    return (bench_cpu_now() - start) / (double)EXACT_QUERIES;
}

static double by_faiss(struct side *side, size_t queries)
{
    int64_t rows[EXACT_QUERIES * EXACT_K];
    float scores[EXACT_QUERIES * EXACT_K];
    double start = bench_cpu_now();
    faiss_flat_search(side->faiss, side->set->queries, queries, EXACT_K, rows, scores);
    return (bench_cpu_now() - start) / (double)queries;
}

static double by_faiss_alone(void *context)
{
    return by_faiss(context, 1);
}

static double by_faiss_together(void *context)
{
    return by_faiss(context, EXACT_QUERIES);
}

static void check_faiss(struct side *side, struct search_scan_hit (*truth)[EXACT_K])
{
    int64_t rows[EXACT_QUERIES * EXACT_K];
    float scores[EXACT_QUERIES * EXACT_K];
    faiss_flat_search(side->faiss, side->set->queries, EXACT_QUERIES, EXACT_K, rows, scores);
    for (size_t q = 0; q < EXACT_QUERIES; q++)
        for (size_t i = 0; i < EXACT_K; i++)
            if (fabs((double)scores[q * EXACT_K + i] - (double)truth[q][i].score) > 1e-5)
                bench_die("%s: faiss finds something else for query %zu", side->set->name, q);
}

static void check(struct side *side)
{
    static struct search_scan_hit truth[EXACT_QUERIES][EXACT_K], hits[EXACT_QUERIES][EXACT_K];
    for (size_t q = 0; q < EXACT_QUERIES; q++)
        find_alone(side->set, q, truth[q]);
    for (size_t at = 0; search_kernels_at(at); at++) {
        find_together(side->set, search_kernels_at(at), hits);
        if (memcmp(truth, hits, sizeof truth) != 0)
            bench_die("%s: by %s those who ask together find something else", side->set->name,
                      search_kernels_at(at)->name);
    }
    check_faiss(side, truth);
    printf("%s: the %d best of %zu queries are those that each finds alone, by every instruction "
           "set; faiss finds them too\n",
           side->set->name, EXACT_K, EXACT_QUERIES);
}

static bool run(struct side *side)
{
    char what[96], detail[160];
    check(side);
    struct bench_side all = {"32 at once", by_all, side}, floats = {"floats", by_floats, side};
    struct bench_ratio same = bench_compare(all, all, BENCH_ROUNDS);
    printf("noise: A/A %.3f [%.3f … %.3f]\n", same.median, same.low, same.high);
    struct bench_ratio gain = bench_compare(floats, all, BENCH_ROUNDS);
    snprintf(what, sizeof what, "exact, %s: one f32 scan / a query among 32", side->set->name);
    snprintf(detail, sizeof detail, "floats %.2f ms, a query among 32 %.3f ms, %zu rows",
             gain.a_seconds * 1e3, gain.b_seconds * 1e3, EXACT_ROWS);
    bool is_met =
        bench_report("V6", what, gain.median, gain.low, gain.high, "×", 40, false, detail);
    struct bench_side one = {"faiss", by_faiss_alone, side},
                      many = {"faiss, 32 at once", by_faiss_together, side};
    struct bench_ratio alone = bench_compare(one, all, BENCH_ROUNDS);
    struct bench_ratio together = bench_compare(many, all, BENCH_ROUNDS);
    printf(
        "%s: faiss Flat alone %.2f ms (%.1f × ours [%.1f … %.1f]), among 32 %.3f ms (%.1f × ours "
        "[%.1f … %.1f])\n",
        side->set->name, alone.a_seconds * 1e3, alone.median, alone.low, alone.high,
        together.a_seconds * 1e3, together.median, together.low, together.high);
    return is_met;
}

int main(void)
{
    struct exact_set set = {.rows = NULL};
    bool is_met = true;
    bench_machine();
    printf("kernels: %s\n", search_kernels_best()->name);
    for (int kind = 0; kind < EXACT_KINDS; kind++) {
        exact_make(&set, (enum exact_kind)kind);
        struct side side = {.set = &set,
                            .faiss = faiss_flat_new(set.rows, EXACT_ROWS, EXACT_DIMENSIONS)};
        is_met &= run(&side);
        faiss_flat_free(side.faiss);
    }
    exact_release(&set);
    return is_met ? 0 : 1;
}
