/* C1: how long the program takes from its start to its ready line over a lake of 1,000 datasets;
 * beside it the same over an empty lake, so that what the datasets cost can be seen. */
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#define DATASETS 1000

static double start_once(void *context)
{
    struct bench_server server;
    bench_server_start(&server, context);
    double took = server.start_seconds;
    bench_server_stop(&server);
    return took;
}

int main(void)
{
    char full[128];
    char empty[128];
    struct bench_server server;
    struct bench_http http;
    double times[2 * BENCH_ROUNDS];
    bench_machine();
    bench_temp_folder(full, sizeof(full));
    bench_temp_folder(empty, sizeof(empty));
    bench_server_start(&server, full);
    bench_http_open(&http, server.port);
    for (int at = 0; at < DATASETS; at++) {
        char name[64];
        char csv[128];
        snprintf(name, sizeof(name), "set_%d", at);
        int len = snprintf(csv, sizeof(csv), "id,name,city\n%d,a,b\n%d,c,d\n", at, at + 1);
        bench_http_ingest(&http, name, "create", "x.csv", csv, (size_t)len);
    }
    bench_http_close(&http);
    bench_server_stop(&server);
    struct bench_ratio ratio =
        bench_compare((struct bench_side){"1,000 datasets", start_once, full},
                      (struct bench_side){"none", start_once, empty}, BENCH_ROUNDS);
    for (int at = 0; at < 2 * BENCH_ROUNDS; at++)
        times[at] = start_once(full) * 1e3;
    double median = bench_median(times, (size_t)2 * BENCH_ROUNDS);
    char detail[160];
    snprintf(detail, sizeof(detail), "empty lake %.0f ms; the 1,000 datasets cost %.0f ms more",
             ratio.b_seconds * 1e3, (ratio.a_seconds - ratio.b_seconds) * 1e3);
    bool is_met = bench_report("C1", "start of the program with 1,000 datasets", median, times[1],
                               times[2 * BENCH_ROUNDS - 2], "ms", 200, true, detail);
    bench_remove_folder(full);
    bench_remove_folder(empty);
    return is_met ? 0 : 1;
}
