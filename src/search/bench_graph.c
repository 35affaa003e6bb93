/* Graphs beside what is served: built over the rows of a bench, asked its queries. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "search/bench.h"

#define ROUNDS 3 /* that are timed; one before them warms the caches and tells what is found */
#define ROOM_MAX ((size_t)65536) /* hits of one search */

/* --- building */

/* Of a node: its codes and links, and what stands in the levels above, generously. */
static int64_t bytes_expected(const struct view *view, const struct graph_options *options)
{
    size_t each = (size_t)view->manifest->dimensions + options->links * sizeof(uint32_t) + 64;
    return (int64_t)(view->span * each);
}

struct making {
    struct bench *bench;
    const struct search_configuration *configuration;
    const struct graph_work *work;
    struct graph *graph;
    struct lh_error *err;
    enum lh_code code;
};

/* On a thread that gives way: queries come first. */
static void *make_last(void *context)
{
    struct making *making = context;
    lh_thread_be_last();
    making->code = view_graph_build(making->bench->view, making->bench->mute, making->configuration,
                                    making->work, &making->graph, making->err);
    return NULL;
}

enum lh_code bench_build(struct bench *bench, const struct search_configuration *configuration,
                         bench_progress *progress, void *context, struct bench_graph *ret,
                         struct lh_error *err)
{
    const struct graph_work work = {.threads = bench->search->options.graph_threads,
                                    .cancel = bench->cancel,
                                    .progress = progress,
                                    .context = context};
    struct graph_options options = {.dimensions = (size_t)bench->view->manifest->dimensions};
    struct making making = {bench, configuration, &work, NULL, err, LH_OK};
    int64_t started_us = lh_clock_monotonic_us();
    pthread_t thread;
    search_configuration_to_graph(configuration, &options);
    enum lh_code code = memory_claim_trial(bench->pin.index, bench->view->manifest->name,
                                           bytes_expected(bench->view, &options), err);
    if (code)
        return lh_error_context(err, "A graph to try");
    code = lh_thread_start("trial", make_last, &making, &thread, err);
    if (!code) {
        pthread_join(thread, NULL);
        code = making.code;
    }
    if (code) {
        memory_settle_trial(bench->pin.index, bytes_expected(bench->view, &options));
        return code;
    }
    *ret = (struct bench_graph){.graph = making.graph,
                                .rows = bits_clear(bench->mute, bench->view->span),
                                .claimed = bytes_expected(bench->view, &options),
                                .build_ms = (lh_clock_monotonic_us() - started_us) / 1000};
    return LH_OK;
}

void bench_graph_release(struct bench *bench, struct bench_graph *graph)
{
    graph_free(graph->graph);
    memory_settle_trial(bench->pin.index, graph->claimed);
    *graph = (struct bench_graph){0};
}

/* --- asking */

struct asked {
    const struct bench *bench;
    const struct bench_graph *graph;
    size_t width;
    size_t room;
    struct graph_hit *hits;
    struct bench_row *rows;
    size_t evaluations; /* so far */
};

/* The rows that the graph finds for a query: more is asked for when chunks of one row, or the row
 * that asks, took places. */
static enum lh_code ask(struct asked *asked, const struct bench_query *query, size_t *ret_count,
                        struct lh_error *err)
{
    const struct bench *bench = asked->bench;
    size_t want = query->wanted, take = want + (query->own != VIEW_NONE), found = 0, count = 0;
    enum lh_code code = LH_OK;
    for (;;) {
        take = take < asked->room ? take : asked->room;
        const struct graph_ask request = {.k = take, .width = asked->width};
        struct graph_told told = {0};
        code = graph_search(asked->graph->graph, query->vector, &request, asked->hits, &found,
                            &told, err);
        asked->evaluations += told.evaluations + told.rescored;
        count = 0;
        for (size_t i = 0; i < found && !code; i++)
            bench_add_row(bench->view, asked->hits[i].row, asked->hits[i].score, query->own, want,
                          asked->rows, &count);
        if (code || count == want || found < take || take == asked->room)
            break;
        take *= 4;
    }
    *ret_count = count;
    return code;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct sums {
    size_t right, wanted;
    struct search_relevance relevance;
    size_t labelled;
};

/* What scores at least what the last of the true ones does is one of them, whichever of equals. */
static void add_up(const struct bench *bench, const struct bench_query *query,
                   const struct bench_row *rows, size_t count, size_t *ids, struct sums *sums)
{
    sums->wanted += query->wanted;
    for (size_t i = 0; i < count; i++) {
        sums->right += rows[i].score >= query->floor;
        ids[i] = rows[i].row;
    }
    if (!query->relevant_count)
        return;
    struct search_relevance one =
        relevance_of(ids, count, query->relevant, query->relevant_count, bench->k);
    sums->relevance.recall += one.recall;
    sums->relevance.mrr += one.mrr;
    sums->relevance.ndcg += one.ndcg;
    sums->labelled++;
}

static void conclude(const struct sums *sums, double *times, size_t time_count,
                     struct measured *ret)
{
    double labelled = (double)sums->labelled;
    qsort(times, time_count, sizeof *times, compare_doubles);
    *ret = (struct measured){
        .recall = sums->wanted ? (double)sums->right / (double)sums->wanted : 0,
        .has_labels = sums->labelled > 0,
        .p50_us = percentile_of(times, time_count, 0.5),
        .p95_us = percentile_of(times, time_count, 0.95),
    };
    if (sums->labelled)
        ret->relevance = (struct search_relevance){sums->relevance.recall / labelled,
                                                   sums->relevance.mrr / labelled,
                                                   sums->relevance.ndcg / labelled};
}

static enum lh_code run_rounds(struct asked *asked, double *times, size_t *ids, struct sums *sums,
                               struct lh_error *err)
{
    const struct bench *bench = asked->bench;
    enum lh_code code = LH_OK;
    for (size_t round = 0; round <= ROUNDS && !code; round++)
        for (size_t i = 0; i < bench->query_count && !code; i++) {
            size_t count = 0;
            int64_t started_us = lh_clock_monotonic_us();
            code = ask(asked, &bench->queries[i], &count, err);
            if (round)
                times[(round - 1) * bench->query_count + i] =
                    (double)(lh_clock_monotonic_us() - started_us);
            else if (!code)
                add_up(bench, &bench->queries[i], asked->rows, count, ids, sums);
            if (!code)
                code = lh_cancel_fail(bench->cancel, "The measurement", err);
        }
    return code;
}

enum lh_code bench_run(const struct bench *bench, const struct bench_graph *graph,
                       int64_t ef_search, struct measured *ret, struct lh_error *err)
{
    struct sums sums = {0};
    size_t room = graph->rows < ROOM_MAX ? graph->rows : ROOM_MAX;
    size_t time_count = bench->query_count * ROUNDS;
    struct asked asked = {.bench = bench,
                          .graph = graph,
                          .width = (size_t)ef_search,
                          .room = room,
                          .hits = calloc(room + 1, sizeof *asked.hits),
                          .rows = calloc(bench->k + 1, sizeof *asked.rows)};
    double *times = calloc(time_count + 1, sizeof *times);
    size_t *ids = calloc(bench->k + 1, sizeof *ids);
    enum lh_code code = LH_OK;
    if (asked.hits && asked.rows && times && ids) {
        code = run_rounds(&asked, times, ids, &sums, err);
        if (!code)
            conclude(&sums, times, time_count, ret);
        if (!code)
            ret->evaluations =
                (double)asked.evaluations / (double)((ROUNDS + 1) * bench->query_count);
    } else {
        code = lh_fail(err, LH_BUSY, "There is no memory to measure.");
    }
    free(asked.hits);
    free(asked.rows);
    free(times);
    free(ids);
    return code;
}
