/* V1, V2, V3 and V8: the graph against the libraries: queries per second at a recall of 0.99, one
 * thread; the time to build what reaches that with a width of 128, two threads; bytes of a row.
 *
 * All get the same rows, and 1,000 queries that are not among them. Each is built in several
 * configurations and asked at several widths; every point is printed, and written to a file from
 * which bench/curve draws. The quickest point of each at the recall asked for is measured again,
 * side by side with ours. Recall counts what is as near as the tenth of an exact search. Times are
 * the processor's.
 *
 * v1_graph [set 0 … 3: texts, clusters, Gaussian, skewed] [rows at most] [opponents: their first
 * letters and more, by commas; -: all] [file for the points] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "opponents.h"
#include "search/graph.h"
#include "support.h"
#include "vectors.h"

#define RECALL 0.99
#define RECALL_ENOUGH 0.998 /* wider searches show nothing more */
#define V3_WIDTH 128
#define BUILD_THREADS 2
#define D VECTORS_DIMENSIONS

static const size_t widths[] = {32, 64, 96, 128, 192, 256, 320, 384, 512, 768, 1024, 1536};
#define WIDTH_COUNT (sizeof widths / sizeof widths[0])

struct side {
    const char *name;
    const struct vectors *set;
    struct graph *graph;            /* ours, or */
    const struct opponent *library; /* theirs, */
    void *index;                    /* with its index */
    size_t width;                   /* of the searches */
    size_t evaluations, hops, rescored;
    double build_seconds; /* of each of two processors */
};

struct point { /* the best so far */
    struct side side;
    double seconds; /* of all queries */
    double recall;
};

/* --- building */

static double cpu_of_all(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void build(struct side *side, const struct opponent_config *config)
{
    double start = cpu_of_all();
    if (side->library) {
        side->index =
            side->library->build(side->set->rows, side->set->count, D, config, BUILD_THREADS);
    } else {
        struct graph_options options = {.dimensions = D,
                                        .metric = GRAPH_COSINE,
                                        .links = config->links,
                                        .build_width = config->build_width,
                                        .seed = 1,
                                        .lends_rows = true};
        struct graph_work work = {.threads = BUILD_THREADS};
        struct lh_error err = LH_ERROR_NONE;
        size_t first = 0;
        if (graph_new(&options, &side->graph, &err) ||
            graph_insert(side->graph, side->set->rows, side->set->count, &work, &first, &err))
            bench_die("%s", err.message);
    }
    side->build_seconds = (cpu_of_all() - start) / BUILD_THREADS;
}

static void side_free(struct side *side)
{
    graph_free(side->graph);
    if (side->index)
        side->library->free(side->index);
    side->graph = NULL;
    side->index = NULL;
}

static double bytes_per_row(const struct side *side)
{
    double bytes = side->graph ? (double)graph_state(side->graph).bytes
                               : (double)side->library->bytes(side->index);
    return bytes / (double)side->set->count;
}

/* --- asking */

static size_t ask(struct side *side, size_t query, size_t *ret)
{
    const float *at = side->set->queries + query * D;
    if (side->index)
        return side->library->search(side->index, at, VECTORS_K, side->width, ret);
    struct graph_hit hits[VECTORS_K];
    struct graph_ask asked = {.k = VECTORS_K, .width = side->width};
    struct graph_told told;
    struct lh_error err = LH_ERROR_NONE;
    size_t count = 0;
    if (graph_search(side->graph, at, &asked, hits, &count, &told, &err))
        bench_die("%s", err.message);
    side->evaluations += told.evaluations;
    side->hops += told.hops;
    side->rescored += told.rescored;
    for (size_t i = 0; i < count; i++)
        ret[i] = hits[i].row;
    return count;
}

static double ask_all(void *context)
{
    struct side *side = context;
    size_t found[VECTORS_K];
    double start = bench_cpu_now();
    for (size_t query = 0; query < VECTORS_QUERIES; query++)
        ask(side, query, found);
    return bench_cpu_now() - start;
}

static void set_width(struct side *side, size_t width)
{
    side->width = width;
    side->evaluations = side->hops = side->rescored = 0;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The whole, and the mean of the tenth of the queries that fared worst. */
static double recall_of(struct side *side, double *ret_worst)
{
    static double each[VECTORS_QUERIES];
    double sum = 0, worst = 0;
    for (size_t query = 0; query < VECTORS_QUERIES; query++) {
        size_t found[VECTORS_K], count = ask(side, query, found);
        each[query] = (double)vectors_right(side->set, query, found, count) / (double)VECTORS_K;
        sum += each[query];
    }
    qsort(each, VECTORS_QUERIES, sizeof each[0], compare);
    for (size_t i = 0; i < VECTORS_QUERIES / 10; i++)
        worst += each[i];
    *ret_worst = worst / (double)(VECTORS_QUERIES / 10);
    return sum / (double)VECTORS_QUERIES;
}

static FILE *curve; /* NULL: nobody wants it */

static void note(const struct side *side, const struct opponent_config *config, double recall,
                 double seconds)
{
    if (curve)
        fprintf(curve, "%s\t%u\t%u\t%zu\t%.5f\t%.1f\n", side->name, config->links,
                config->build_width, side->width, recall, (double)VECTORS_QUERIES / seconds);
}

/* Widens until the recall is far above what is asked for; the first point that reaches it may be
 * the best, and its side is then kept there. True if V3's width was enough. */
static bool sweep(struct side *side, const struct opponent_config *config, struct point *best)
{
    struct point first = {0};
    double recall = 0;
    for (size_t i = 0; i < WIDTH_COUNT && recall < RECALL_ENOUGH; i++) {
        double worst = 0;
        set_width(side, widths[i]);
        recall = recall_of(side, &worst);
        double per_query = (double)VECTORS_QUERIES;
        double evaluations = (double)side->evaluations / per_query;
        double hops = (double)side->hops / per_query, rescored = (double)side->rescored / per_query;
        double seconds = ask_all(side), again = ask_all(side);
        seconds = again < seconds ? again : seconds;
        printf("  %s width %4zu: recall %.4f (worst tenth %.3f), %.0f µs", side->name, widths[i],
               recall, worst, seconds * 1e6 / per_query);
        if (side->graph) /* each code with its first line of links */
            printf(", %.0f codes, %.0f hops, %.0f rows; %.1f GB/s", evaluations, hops, rescored,
                   (evaluations * 448 + hops * 128 + rescored * D * sizeof(float)) * per_query /
                       seconds / 1e9);
        printf("\n");
        note(side, config, recall, seconds);
        if (recall >= RECALL && !first.recall)
            first = (struct point){*side, seconds, recall};
    }
    if (first.recall && (!best->recall || first.seconds < best->seconds)) {
        side_free(&best->side);
        *best = first;
        *side = (struct side){0};
    }
    return first.recall && first.side.width <= V3_WIDTH;
}

/* Returns the seconds of the quickest build that V3 asks for; 0: none reached it. */
static double sweep_all(struct side like, const struct opponent_config *configs, size_t count,
                        struct point *best)
{
    double quickest = 0;
    for (size_t i = 0; i < count; i++) {
        struct side side = like;
        build(&side, configs + i);
        double seconds = side.build_seconds;
        printf("%s, links %u, build width %u: built in %.1f s of two processors, %.0f bytes a "
               "row\n",
               side.name, configs[i].links, configs[i].build_width, seconds, bytes_per_row(&side));
        if (sweep(&side, configs + i, best) && (quickest == 0 || seconds < quickest))
            quickest = seconds;
        side_free(&side);
    }
    return quickest;
}

/* --- the claims */

static const struct rival {
    const struct opponent *library;
    const char *claim; /* which says how much quicker we are; NULL: for comparison only */
    double goal;
    struct opponent_config configs[2];
} rivals[] = {
    {&opponent_hnswlib, "V1", 4, {{16, 200}, {32, 400}}},
    {&opponent_usearch_f32, "V2", 2.5, {{16, 200}, {32, 400}}},
    {&opponent_usearch_i8, "V2", 2.5, {{16, 200}, {32, 400}}},
    {&opponent_faiss_hnsw, NULL, 0, {{16, 200}, {32, 400}}},
    {&opponent_faiss_ivfpq, NULL, 0, {{0, 0}}},
};
#define RIVAL_COUNT (sizeof rivals / sizeof rivals[0])

static bool report_build(const char *rival, double ours, double theirs)
{
    char what[120];
    snprintf(what, sizeof what, "build to recall 0.99 by width %d: %s / graph", V3_WIDTH, rival);
    if (ours > 0 && theirs > 0)
        return bench_report("V3", what, theirs / ours, theirs / ours, theirs / ours, "×", 4, false,
                            "single builds");
    printf("V3: within these configurations, %s reaches it by a width of %d\n",
           ours > 0     ? "only the graph"
           : theirs > 0 ? "only the rival"
                        : "neither",
           V3_WIDTH);
    return ours > 0;
}

/* Builds, asks and compares one rival. `ours_build`: 0: no configuration of ours did for V3. */
static bool against(const struct rival *rival, const struct vectors *set, struct point *ours,
                    double ours_build)
{
    struct point theirs = {0};
    char detail[200], what[120];
    bool is_met = true;
    const struct opponent *library = rival->library;
    printf("%s %s%s%s\n", library->name, library->version, library->speed ? ", " : "",
           library->speed ? library->speed() : "");
    double build_seconds =
        sweep_all((struct side){.name = library->name, .set = set, .library = library},
                  rival->configs, rival->configs[1].links ? 2 : 1, &theirs);
    if (!theirs.recall) {
        printf("%s does not reach a recall of %.2f\n", library->name, RECALL);
        return true;
    }
    struct bench_ratio gain =
        bench_compare((struct bench_side){library->name, ask_all, &theirs.side},
                      (struct bench_side){"graph", ask_all, &ours->side}, 7);
    snprintf(detail, sizeof detail, "%.0f µs at %.4f, %.0f µs at %.4f; %s, %zu rows",
             gain.b_seconds * 1e3, ours->recall, gain.a_seconds * 1e3, theirs.recall, set->name,
             set->count);
    snprintf(what, sizeof what, "queries at recall 0.99: graph / %s", library->name);
    is_met &= bench_report(rival->claim ? rival->claim : "--", what, gain.median, gain.low,
                           gain.high, "×", rival->goal, false, detail);
    if (library == &opponent_hnswlib) {
        double part = bytes_per_row(&ours->side) / bytes_per_row(&theirs.side);
        snprintf(detail, sizeof detail, "%.0f and %.0f bytes a row; ours without the rows",
                 bytes_per_row(&ours->side), bytes_per_row(&theirs.side));
        is_met &=
            bench_report("V8", "bytes: graph / hnswlib", part, part, part, "×", 0.35, true, detail);
        is_met &= report_build(library->name, ours_build, build_seconds);
    }
    side_free(&theirs.side);
    return is_met;
}

static bool is_asked_for(const char *names, const char *name)
{
    for (const char *at = names; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (!strncmp(at, name, strcspn(at, ",")))
            return true;
    return !names || !strcmp(names, "-");
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    static const struct opponent_config configs[] = {{46, 200}, {62, 300}};
    enum vectors_kind kind = argc > 1 ? (enum vectors_kind)(argv[1][0] - '0') : VECTORS_TEXTS;
    size_t rows = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
    if (argc > 4 && !(curve = fopen(argv[4], "we")))
        bench_die("%s cannot be written", argv[4]);
    if (curve)
        setvbuf(curve, NULL, _IOLBF, 0); /* a long run may be stopped */
    struct vectors set;
    struct point ours = {0};
    bench_machine();
    vectors_make(kind, rows, &set);
    printf("%s: %zu rows of %zu dimensions, %zu queries\n", set.name, set.count, D,
           VECTORS_QUERIES);
    double build_seconds = sweep_all((struct side){.name = "graph", .set = &set}, configs,
                                     sizeof configs / sizeof configs[0], &ours);
    if (!ours.recall)
        bench_die("the graph does not reach a recall of %.2f", RECALL);
    bool is_met = true;
    for (size_t i = 0; i < RIVAL_COUNT; i++)
        if (is_asked_for(argc > 3 ? argv[3] : NULL, rivals[i].library->name))
            is_met &= against(rivals + i, &set, &ours, build_seconds);
    side_free(&ours.side);
    vectors_release(&set);
    if (curve && fclose(curve))
        bench_die("%s cannot be written", argv[4]);
    return is_met ? 0 : 1;
}
