/* V10: the slowest searches (p99) while 1,000 rows a second are inserted by another thread, against
 * those of the same graph while nobody writes. Wall time: waiting is what is looked for.
 *
 * Rows come one at a time, as a stream of them does, on their own clock: none is left out.
 *
 * v10_inserts [rows before] */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "search/graph.h"
#include "support.h"
#include "vectors.h"

#define D VECTORS_DIMENSIONS
#define WIDTH 128
#define PER_SECOND 1000
#define SECONDS 3
#define ROUNDS 7
#define SEARCHES_MAX 200000

struct writer {
    struct graph *graph;
    const float *rows;
    size_t count, inserted;
    atomic_bool is_over;
};

static void insert(struct graph *graph, const float *rows, size_t count, unsigned threads)
{
    struct graph_work work = {.threads = threads};
    struct lh_error err = LH_ERROR_NONE;
    size_t first = 0;
    if (graph_insert(graph, rows, count, &work, &first, &err))
        bench_die("%s", err.message);
}

static void *write_rows(void *context)
{
    struct writer *writer = context;
    double start = bench_now();
    for (size_t i = 0; i < writer->count && !atomic_load(&writer->is_over); i++) {
        double due = start + (double)i / PER_SECOND - bench_now();
        if (due > 0)
            nanosleep(&(struct timespec){.tv_nsec = (long)(due * 1e9)}, NULL);
        insert(writer->graph, writer->rows + i * D, 1, 1);
        writer->inserted++;
    }
    return NULL;
}

/* The 99th percentile of as many searches as fit, in seconds. */
static double searches(struct graph *graph, const struct vectors *set)
{
    static double each[SEARCHES_MAX];
    size_t count = 0;
    for (double end = bench_now() + SECONDS; bench_now() < end && count < SEARCHES_MAX; count++) {
        struct graph_hit hits[VECTORS_K];
        struct graph_ask asked = {.k = VECTORS_K, .width = WIDTH};
        struct lh_error err = LH_ERROR_NONE;
        size_t found = 0;
        double start = bench_now();
        if (graph_search(graph, set->queries + count % VECTORS_QUERIES * D, &asked, hits, &found,
                         NULL, &err))
            bench_die("%s", err.message);
        each[count] = bench_now() - start;
    }
    return bench_percentile(each, count, 99);
}

static double while_inserting(struct writer *writer, const struct vectors *set)
{
    pthread_t thread;
    writer->inserted = 0;
    atomic_store(&writer->is_over, false);
    if (pthread_create(&thread, NULL, write_rows, writer))
        bench_die("there is no thread that inserts");
    double p99 = searches(writer->graph, set);
    atomic_store(&writer->is_over, true);
    pthread_join(thread, NULL);
    writer->rows += writer->inserted * D;
    if (writer->inserted < PER_SECOND * SECONDS * 9 / 10)
        printf("  only %zu rows a second were inserted\n", writer->inserted / SECONDS);
    return p99;
}

int main(int argc, char **argv)
{
    size_t before = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;
    size_t more = (size_t)PER_SECOND * SECONDS * ROUNDS;
    double idle[ROUNDS], busy[ROUNDS], ratios[ROUNDS];
    struct vectors set;
    struct graph *graph = NULL;
    struct lh_error err = LH_ERROR_NONE;
    char detail[160];
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_machine();
    vectors_make(VECTORS_CLUSTERS, before + more, &set);
    struct graph_options options = {
        .dimensions = D, .metric = GRAPH_COSINE, .build_width = 80, .seed = 1, .lends_rows = true};
    if (graph_new(&options, &graph, &err))
        bench_die("%s", err.message);
    insert(graph, set.rows, before, 2);
    struct writer writer = {
        .graph = graph, .rows = set.rows + before * D, .count = (size_t)PER_SECOND * SECONDS};
    for (int round = 0; round < ROUNDS; round++) {
        idle[round] = searches(graph, &set);
        busy[round] = while_inserting(&writer, &set);
        ratios[round] = busy[round] / idle[round];
        printf("round %d: p99 %.0f µs idle, %.0f µs beside inserts\n", round + 1, idle[round] * 1e6,
               busy[round] * 1e6);
    }
    double idle_p99 = bench_median(idle, ROUNDS), busy_p99 = bench_median(busy, ROUNDS);
    double median = bench_median(ratios, ROUNDS);
    snprintf(detail, sizeof detail, "%.0f and %.0f µs; clusters, from %zu rows on, width %d",
             busy_p99 * 1e6, idle_p99 * 1e6, before, WIDTH);
    bool is_met = bench_report("V10", "p99 beside 1,000 inserts a second / idle", median, ratios[1],
                               ratios[ROUNDS - 2], "×", 2, true, detail);
    graph_free(graph);
    vectors_release(&set);
    return is_met ? 0 : 1;
}
