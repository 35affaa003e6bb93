/* V7: searches that may find only some of the rows, 50 to 0.01 %, chosen at random or so that they
 * lie far from what is asked (anti-correlated): recall, and time against an exact search of exactly
 * those rows, whose codes stand side by side as if they had been picked out before; the unfiltered
 * walk of the same recall beside it. The libraries beside us, each at
 * the least width that reaches the recall, or at the widest.
 *
 * Times are the thread's on a processor. Gate: always k rows, if k may be found, all allowed.
 *
 * v7_filter [rows at most] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opponents.h"
#include "search/graph.h"
#include "search/scan.h"
#include "support.h"
#include "vectors.h"

#define D VECTORS_DIMENSIONS
#define RECALL 0.99
#define ASKED ((size_t)200) /* of the queries */
#define ROUNDS 7

static const double shares[] = {0.5, 0.1, 0.01, 0.001, 0.0001};
static const size_t widths[] = {16, 32, 64, 128, 256, 512, 1024, 2048};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

struct filter {
    uint64_t *bits;         /* of the rows that may be found, */
    float *rows;            /* side by side, */
    size_t *numbers, count; /* with their numbers */
    struct search_codes *codes;
    float *kth; /* of each query: the score of the worst hit of an exact search */
    size_t *found;
};

struct asking {
    const struct vectors *set;
    const struct filter *filter; /* NULL: all rows */
    struct graph *graph;
    const struct opponent *library;
    void *index;
    size_t width;
    enum graph_way way;
};

/* --- filters */

static float *dots; /* of every row with one direction, for the anti-correlated filters */

static int compare_dots(const void *a, const void *b)
{
    float x = dots[*(const size_t *)a], y = dots[*(const size_t *)b];
    return x < y ? -1 : x > y;
}

/* The share of the rows that lies farthest from the mean of the queries. */
static void choose_far(const struct vectors *set, size_t wanted, uint64_t *bits)
{
    float *mean = calloc(D, sizeof *mean);
    size_t *order = malloc(set->count * sizeof *order);
    dots = malloc(set->count * sizeof *dots);
    if (!mean || !order || !dots)
        bench_die("there is no memory for a filter");
    for (size_t i = 0; i < ASKED * D; i++)
        mean[i % D] += set->queries[i];
    for (size_t row = 0; row < set->count; row++) {
        search_kernels_best()->dots(set->rows + row * D, 1, D, mean, dots + row);
        order[row] = row;
    }
    qsort(order, set->count, sizeof *order, compare_dots);
    for (size_t i = 0; i < wanted; i++)
        bits[order[i] / 64] |= UINT64_C(1) << (order[i] % 64);
    free(dots);
    free(order);
    free(mean);
}

static void choose_random(const struct vectors *set, size_t wanted, uint64_t *bits)
{
    uint64_t seed = 42;
    for (size_t chosen = 0; chosen < wanted;) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t row = (size_t)(seed >> 20) % set->count;
        chosen += !(bits[row / 64] >> (row % 64) & 1);
        bits[row / 64] |= UINT64_C(1) << (row % 64);
    }
}

static size_t exact(const struct vectors *set, const struct filter *filter, size_t query,
                    size_t *ret, float *ret_worst)
{
    const struct search_scan_hit *hits = NULL;
    struct search_scanner *scanner = search_scanner_new(set->queries + query * D, D, VECTORS_K);
    if (!scanner)
        bench_die("there is no memory for an exact search");
    search_scanner_add(scanner,
                       &(struct search_scan){.rows = filter->rows,
                                             .row_count = filter->count,
                                             .codes = filter->codes},
                       0);
    size_t count = search_scanner_finish(scanner, &hits);
    *ret_worst = count ? hits[count - 1].score : 0;
    for (size_t i = 0; i < count; i++)
        ret[i] = filter->numbers[hits[i].row];
    search_scanner_free(scanner);
    return count;
}

static void filter_make(const struct vectors *set, double share, bool is_far, struct filter *ret)
{
    size_t words = (set->count + 63) / 64, rows[VECTORS_K];
    size_t wanted = (size_t)((double)set->count * share);
    wanted = wanted ? wanted : 1;
    *ret = (struct filter){.bits = calloc(words, 8),
                           .rows = aligned_alloc(64, wanted * D * sizeof(float)),
                           .numbers = malloc(wanted * sizeof(size_t)),
                           .kth = malloc(ASKED * sizeof(float)),
                           .found = malloc(ASKED * sizeof(size_t))};
    if (!ret->bits || !ret->rows || !ret->numbers || !ret->kth || !ret->found)
        bench_die("there is no memory for a filter");
    (is_far ? choose_far : choose_random)(set, wanted, ret->bits);
    for (size_t row = 0; row < set->count; row++)
        if (ret->bits[row / 64] >> (row % 64) & 1) {
            memcpy(ret->rows + ret->count * D, set->rows + row * D, D * sizeof(float));
            ret->numbers[ret->count++] = row;
        }
    ret->codes = search_codes_new(ret->rows, ret->count, D);
    for (size_t query = 0; query < ASKED; query++)
        ret->found[query] = exact(set, ret, query, rows, ret->kth + query);
}

static void filter_release(struct filter *filter)
{
    free(filter->bits);
    free(filter->rows);
    free(filter->numbers);
    search_codes_free(filter->codes);
    free(filter->kth);
    free(filter->found);
}

/* --- asking */

static size_t ask(struct asking *asking, size_t query, size_t *ret)
{
    const struct filter *filter = asking->filter;
    const float *at = asking->set->queries + query * D;
    float worst = 0;
    if (asking->library)
        return asking->library->search(asking->index, at, VECTORS_K, asking->width, ret);
    if (!asking->graph)
        return exact(asking->set, filter, query, ret, &worst);
    struct graph_hit hits[VECTORS_K];
    struct graph_ask asked = {.k = VECTORS_K,
                              .width = asking->width,
                              .filter = filter ? filter->bits : NULL,
                              .filter_rows = asking->set->count};
    struct graph_told told;
    struct lh_error err = LH_ERROR_NONE;
    size_t count = 0;
    if (graph_search(asking->graph, at, &asked, hits, &count, &told, &err))
        bench_die("%s", err.message);
    asking->way = told.way;
    for (size_t i = 0; i < count; i++)
        ret[i] = hits[i].row;
    return count;
}

static double ask_all(void *context)
{
    size_t found[VECTORS_K];
    double start = bench_cpu_now();
    for (size_t query = 0; query < ASKED; query++)
        ask(context, query, found);
    return (bench_cpu_now() - start) / (double)ASKED;
}

static bool is_right(const struct asking *asking, size_t query, size_t row)
{
    float score = 0, kth = asking->filter ? asking->filter->kth[query] : asking->set->kth[query];
    search_kernels_best()->dots(asking->set->rows + row * D, 1, D, asking->set->queries + query * D,
                                &score);
    return score >= kth - 1e-6F;
}

static double recall_of(struct asking *asking)
{
    size_t right = 0, all = 0;
    for (size_t query = 0; query < ASKED; query++) {
        size_t found[VECTORS_K], count = ask(asking, query, found);
        size_t there = asking->filter ? asking->filter->found[query] : VECTORS_K;
        if (!asking->library && count != there)
            bench_die("%zu rows were found, of %zu that may be", count, there);
        for (size_t i = 0; i < count; i++) {
            if (asking->filter && !(asking->filter->bits[found[i] / 64] >> (found[i] % 64) & 1))
                bench_die("row %zu was found, which may not be", found[i]);
            right += is_right(asking, query, found[i]);
        }
        all += there;
    }
    return (double)right / (double)all;
}

/* The least width that reaches the recall, or the widest; the recall. */
static double widen(struct asking *asking)
{
    double recall = 0;
    for (size_t i = 0; i < COUNT_OF(widths) && recall < RECALL; i++) {
        asking->width = widths[i];
        recall = recall_of(asking);
    }
    return recall;
}

/* --- the claim */

static bool measure(struct graph *graph, const struct vectors *set, double share, bool is_far,
                    struct asking *plain, struct asking *theirs, size_t their_count)
{
    static const char *const ways[] = {"walk", "bridge", "exact"};
    struct filter filter;
    char what[120], detail[200];
    filter_make(set, share, is_far, &filter);
    struct asking ours = {.set = set, .filter = &filter, .graph = graph};
    struct asking scan = {.set = set, .filter = &filter};
    double recall = widen(&ours);
    struct bench_ratio to_scan =
        bench_compare((struct bench_side){"graph", ask_all, &ours},
                      (struct bench_side){"subset", ask_all, &scan}, ROUNDS);
    struct bench_ratio to_plain =
        bench_compare((struct bench_side){"graph", ask_all, &ours},
                      (struct bench_side){"unfiltered", ask_all, plain}, ROUNDS);
    snprintf(what, sizeof what, "%g %% %s: graph / exact over the subset, its codes at hand",
             share * 100, is_far ? "far" : "at random");
    snprintf(detail, sizeof detail,
             "recall %.4f, width %zu, %s, %.0f µs; subset %.0f µs, unfiltered %.0f µs: %.2f × "
             "[%.2f … %.2f]",
             recall, ours.width, ways[ours.way], to_scan.a_seconds * 1e6, to_scan.b_seconds * 1e6,
             to_plain.b_seconds * 1e6, to_plain.median, to_plain.low, to_plain.high);
    bool is_met = bench_report("V7", what, to_scan.median, to_scan.low, to_scan.high, "×", 1.1,
                               true, detail) &&
                  recall >= RECALL;
    for (size_t i = 0; i < their_count; i++) {
        struct asking *other = theirs + i;
        other->filter = &filter;
        other->library->allow(other->index, filter.bits);
        recall = widen(other);
        printf("   %s: recall %.4f at width %zu, %.0f µs\n", other->library->name, recall,
               other->width, ask_all(other) * 1e6);
        other->library->allow(other->index, NULL);
    }
    filter_release(&filter);
    return is_met;
}

int main(int argc, char **argv)
{
    static const struct opponent *const libraries[] = {&opponent_hnswlib, &opponent_usearch_f32,
                                                       &opponent_faiss_hnsw};
    static const struct opponent_config config = {16, 200};
    struct asking theirs[COUNT_OF(libraries)];
    struct vectors set;
    struct graph *graph = NULL;
    struct lh_error err = LH_ERROR_NONE;
    size_t first = 0;
    bool is_met = true;
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_machine();
    vectors_make(VECTORS_TEXTS, argc > 1 ? strtoul(argv[1], NULL, 10) : 100000, &set);
    struct graph_options options = {
        .dimensions = D, .metric = GRAPH_COSINE, .seed = 1, .lends_rows = true};
    struct graph_work work = {.threads = 2};
    if (graph_new(&options, &graph, &err) ||
        graph_insert(graph, set.rows, set.count, &work, &first, &err))
        bench_die("%s", err.message);
    for (size_t i = 0; i < COUNT_OF(libraries); i++)
        theirs[i] =
            (struct asking){.set = &set,
                            .library = libraries[i],
                            .index = libraries[i]->build(set.rows, set.count, D, &config, 2)};
    struct asking plain = {.set = &set, .graph = graph};
    printf("%s: %zu rows; unfiltered: recall %.4f", set.name, set.count, widen(&plain));
    printf(" at width %zu, %.0f µs\n", plain.width, ask_all(&plain) * 1e6);
    for (int is_far = 0; is_far < 2; is_far++)
        for (size_t i = 0; i < COUNT_OF(shares); i++)
            is_met &= measure(graph, &set, shares[i], is_far, &plain, theirs, COUNT_OF(libraries));
    for (size_t i = 0; i < COUNT_OF(libraries); i++)
        libraries[i]->free(theirs[i].index);
    graph_free(graph);
    vectors_release(&set);
    return is_met ? 0 : 1;
}
