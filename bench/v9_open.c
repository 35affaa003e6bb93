/* V9: opening a graph's file and asking it once, while nothing of the file is in memory: against
 * hnswlib, which reads its file whole; and at a quarter of the rows, which should take as long.
 *
 * Both files are written, made durable, and dropped from the page cache before every round. Wall
 * time, because reading is what takes it. Gate: what is found first is the same before and after.
 *
 * v9_open [rows] */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opponents.h"
#include "search/graph.h"
#include "support.h"
#include "vectors.h"

#define D VECTORS_DIMENSIONS
#define THREADS 2
#define WIDTH 128

struct side {
    const struct vectors *set;
    char path[512];
    size_t found; /* the best row of the first query, before it was written */
};

static void drop(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
        bench_die("the file cannot be dropped from the page cache");
    close(fd);
}

static size_t ask_graph(struct graph *graph, const struct vectors *set)
{
    struct graph_hit hits[VECTORS_K];
    size_t count = 0;
    struct graph_ask asked = {.k = VECTORS_K, .width = WIDTH};
    struct lh_error err = LH_ERROR_NONE;
    if (graph_search(graph, set->queries, &asked, hits, &count, NULL, &err) || !count)
        bench_die("%s", err.message);
    return hits[0].row;
}

static double open_graph(void *context)
{
    struct side *side = context;
    struct graph *graph = NULL;
    struct lh_error err = LH_ERROR_NONE;
    drop(side->path);
    double start = bench_now();
    int fd = open(side->path, O_RDONLY);
    if (fd < 0 || graph_open(fd, &graph, &err))
        bench_die("%s", err.message);
    close(fd);
    size_t found = ask_graph(graph, side->set);
    double seconds = bench_now() - start;
    if (found != side->found)
        bench_die("the graph finds another row after it was opened");
    graph_free(graph);
    return seconds;
}

static double open_hnswlib(void *context)
{
    struct side *side = context;
    size_t rows[VECTORS_K];
    drop(side->path);
    double start = bench_now();
    void *index = opponent_hnswlib.load(side->path, D);
    size_t count = opponent_hnswlib.search(index, side->set->queries, VECTORS_K, WIDTH, rows);
    double seconds = bench_now() - start;
    if (!count || rows[count - 1] != side->found)
        bench_die("hnswlib finds another row after it was opened");
    opponent_hnswlib.free(index);
    return seconds;
}

static void write_graph(struct side *side, const char *folder, const char *name)
{
    struct graph_options options = {
        .dimensions = D, .metric = GRAPH_COSINE, .build_width = 80, .seed = 1};
    struct graph_work work = {.threads = THREADS};
    struct lh_error err = LH_ERROR_NONE;
    struct graph *graph = NULL;
    size_t first = 0;
    snprintf(side->path, sizeof side->path, "%s/%s", folder, name);
    int fd = open(side->path, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0 || graph_new(&options, &graph, &err) ||
        graph_insert(graph, side->set->rows, side->set->count, &work, &first, &err) ||
        graph_write(graph, fd, NULL, &err))
        bench_die("%s", err.message);
    close(fd);
    side->found = ask_graph(graph, side->set);
    graph_free(graph);
}

static void write_hnswlib(struct side *side, const char *folder)
{
    static const struct opponent_config config = {16, 40};
    size_t rows[VECTORS_K];
    snprintf(side->path, sizeof side->path, "%s/hnswlib", folder);
    void *index = opponent_hnswlib.build(side->set->rows, side->set->count, D, &config, THREADS);
    size_t count = opponent_hnswlib.search(index, side->set->queries, VECTORS_K, WIDTH, rows);
    side->found = rows[count - 1];
    opponent_hnswlib.save(index, side->path);
    opponent_hnswlib.free(index);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    struct vectors set;
    char folder[256], detail[160];
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_machine();
    bench_temp_folder(folder, sizeof folder);
    vectors_make(VECTORS_CLUSTERS, rows, &set);
    struct vectors part = set;
    part.count = rows / 4;
    struct side ours = {.set = &set}, quarter = {.set = &part}, theirs = {.set = &set};
    write_graph(&quarter, folder, "quarter");
    write_graph(&ours, folder, "graph");
    write_hnswlib(&theirs, folder);
    struct bench_ratio gain = bench_compare((struct bench_side){"hnswlib", open_hnswlib, &theirs},
                                            (struct bench_side){"graph", open_graph, &ours}, 7);
    struct bench_ratio flat =
        bench_compare((struct bench_side){"graph", open_graph, &ours},
                      (struct bench_side){"a quarter", open_graph, &quarter}, 7);
    snprintf(detail, sizeof detail, "%.1f ms and %.0f ms; clusters, %zu rows", gain.b_seconds * 1e3,
             gain.a_seconds * 1e3, rows);
    bool is_met = bench_report("V9", "open and ask once, cold: hnswlib / graph", gain.median,
                               gain.low, gain.high, "×", 50, false, detail);
    snprintf(detail, sizeof detail, "%.1f ms and %.1f ms", flat.a_seconds * 1e3,
             flat.b_seconds * 1e3);
    bench_report("V9", "the same: all rows / a quarter of them", flat.median, flat.low, flat.high,
                 "×", 2, true, detail);
    vectors_release(&set);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
