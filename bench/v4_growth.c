/* V4: how the time to build a graph grows with its rows, 25,000 to 400,000 or as many as are asked
 * for, each size four times the one before; and what a search at a recall of 0.99 costs at each.
 *
 * The exponent is the slope of a straight line through the logarithms. Times are the processor's,
 * of two threads; the rows are clusters from a seed, whose first rows are the same at every size.
 *
 * v4_growth [rows at most] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "search/graph.h"
#include "support.h"
#include "vectors.h"

#define D VECTORS_DIMENSIONS
#define ROWS_LEAST ((size_t)25000)
#define SIZES_MAX 8
#define RECALL 0.99
#define THREADS 2

struct size {
    double rows, build_seconds, query_seconds, evaluations;
};

static double cpu_of_all(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct graph *build(const struct vectors *set, double *ret_seconds)
{
    struct graph_options options = {
        .dimensions = D, .metric = GRAPH_COSINE, .seed = 1, .lends_rows = true};
    struct graph_work work = {.threads = THREADS};
    struct lh_error err = LH_ERROR_NONE;
    struct graph *graph = NULL;
    size_t first = 0;
    double start = cpu_of_all();
    if (graph_new(&options, &graph, &err) ||
        graph_insert(graph, set->rows, set->count, &work, &first, &err))
        bench_die("%s", err.message);
    *ret_seconds = (cpu_of_all() - start) / THREADS;
    return graph;
}

/* Asks everything at one width; returns the recall. */
static double ask(struct graph *graph, const struct vectors *set, size_t width, struct size *ret)
{
    size_t right = 0, evaluations = 0;
    double seconds = 0;
    for (size_t query = 0; query < VECTORS_QUERIES; query++) {
        struct graph_hit hits[VECTORS_K];
        size_t rows[VECTORS_K], count = 0;
        struct graph_ask asked = {.k = VECTORS_K, .width = width};
        struct graph_told told;
        struct lh_error err = LH_ERROR_NONE;
        double start = bench_cpu_now();
        if (graph_search(graph, set->queries + query * D, &asked, hits, &count, &told, &err))
            bench_die("%s", err.message);
        seconds += bench_cpu_now() - start;
        evaluations += told.evaluations;
        for (size_t i = 0; i < count; i++)
            rows[i] = hits[i].row;
        right += vectors_right(set, query, rows, count);
    }
    ret->query_seconds = seconds / VECTORS_QUERIES;
    ret->evaluations = (double)evaluations / VECTORS_QUERIES;
    return (double)right / (VECTORS_QUERIES * VECTORS_K);
}

static void measure(size_t rows, struct size *ret)
{
    struct vectors set;
    vectors_make(VECTORS_CLUSTERS, rows, &set);
    ret->rows = (double)rows;
    struct graph *graph = build(&set, &ret->build_seconds);
    double recall = 0;
    size_t width = 16;
    while (recall < RECALL && width < 4096)
        recall = ask(graph, &set, width *= 2, ret);
    printf("%9zu rows: built in %.1f s of two processors, %.1f µs a row; recall %.4f at width "
           "%zu, %.0f µs, %.0f codes\n",
           rows, ret->build_seconds, ret->build_seconds / (double)rows * 1e6, recall, width,
           ret->query_seconds * 1e6, ret->evaluations);
    graph_free(graph);
    vectors_release(&set);
}

static double slope(const struct size *sizes, size_t count)
{
    double x = 0, y = 0, xx = 0, xy = 0, n = (double)count;
    for (size_t i = 0; i < count; i++) {
        double a = log(sizes[i].rows), b = log(sizes[i].build_seconds);
        x += a;
        y += b;
        xx += a * a;
        xy += a * b;
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

int main(int argc, char **argv)
{
    struct size sizes[SIZES_MAX];
    size_t count = 0, most = argc > 1 ? strtoul(argv[1], NULL, 10) : 400000;
    char detail[120];
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_machine();
    for (size_t rows = ROWS_LEAST; rows < most && count + 1 < SIZES_MAX; rows *= 4)
        measure(rows, sizes + count++);
    measure(most, sizes + count++);
    if (count < 2)
        bench_die("a growth needs two sizes: more than %zu rows", ROWS_LEAST);
    double low = slope(sizes, 2), high = slope(sizes + count - 2, 2);
    snprintf(detail, sizeof detail, "clusters, %zu to %zu rows; first and last step: %.3f, %.3f",
             ROWS_LEAST, most, low, high);
    return bench_report("V4", "growth of the build time: exponent", slope(sizes, count), low, high,
                        "", 1.12, true, detail)
               ? 0
               : 1;
}
