/* A5: the 1,000th commit of a dataset against the 10th of another: appends of the same few rows to
 * both in turn, so that only the length of the history differs. */
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#define LONG_HISTORY 1000
#define SHORT_HISTORY 10

struct side {
    struct bench_http *http;
    char dataset[32];
    int number;
};

static double append(void *context)
{
    struct side *side = context;
    char csv[128];
    int len = snprintf(csv, sizeof(csv), "id,name\n%d,a\n%d,b\n", side->number, side->number + 1);
    side->number++;
    double start = bench_now();
    bench_http_ingest(side->http, side->dataset, "append", "x.csv", csv, (size_t)len);
    return bench_now() - start;
}

static void make_history(struct side *side, int commits)
{
    bench_http_ingest(side->http, side->dataset, "replace", "x.csv", "id,name\n0,x\n", 12);
    for (int at = 1; at < commits; at++)
        (void)append(side);
}

/* A short history stays short: a fresh dataset per run, its nine first commits not counted. */
static double append_short(void *context)
{
    struct side *side = context;
    snprintf(side->dataset, sizeof(side->dataset), "short_%d", side->number++);
    make_history(side, SHORT_HISTORY - 1);
    return append(side);
}

int main(void)
{
    char folder[128];
    struct bench_server server;
    struct bench_http http;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    struct side old = {.http = &http, .dataset = "old"};
    struct side young = {.http = &http};
    make_history(&old, LONG_HISTORY - 1);
    struct bench_ratio ratio = bench_compare((struct bench_side){"1,000th", append, &old},
                                             (struct bench_side){"10th", append_short, &young}, 15);
    char detail[128];
    snprintf(detail, sizeof(detail), "about the 1,000th %.2f ms, the 10th %.2f ms",
             ratio.a_seconds * 1e3, ratio.b_seconds * 1e3);
    bool is_met = bench_report("A5", "1,000th commit of a dataset / 10th", ratio.median, ratio.low,
                               ratio.high, "×", 1.2, true, detail);
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
