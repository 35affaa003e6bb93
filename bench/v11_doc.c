/* V11's own side, a child of v11_rows.mjs: `v11_doc FOLDER PORT INDEX ROWS` opens a copy of the
 * server's lake and answers each line of standard input, `in` (in process) or `http`, with the p50
 * in microseconds of 100 rows that are fetched by their ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/lake.h"
#include "search/ask.h"
#include "support.h"

#define FETCHES 100

static unsigned state = 7;

static int draw(int rows)
{
    state = state * 1103515245U + 12345U;
    return (int)((state >> 8) % (unsigned)rows);
}

static double in_process(struct search *search, const char *index, int rows)
{
    static double times[FETCHES];
    char id[16];
    for (int at = 0; at < FETCHES; at++) {
        struct search_doc doc;
        struct lh_error err = LH_ERROR_NONE;
        struct lh_arena *arena = lh_arena_new(0);
        snprintf(id, sizeof(id), "%d", draw(rows));
        double start = bench_now();
        if (search_find_doc(search, lh_str_of(index), lh_str_of(id), NULL, arena, &doc, &err))
            bench_die("%s", err.message);
        times[at] = bench_now() - start;
        if (doc.chunks.count != 1)
            bench_die("row %s has %zu chunks", id, doc.chunks.count);
        lh_arena_free(arena);
    }
    return bench_median(times, FETCHES);
}

static double over_http(struct bench_http *http, const char *index, int rows)
{
    static double times[FETCHES];
    char path[128];
    for (int at = 0; at < FETCHES; at++) {
        snprintf(path, sizeof(path), "/vectors/indexes/%s/docs/%d", index, draw(rows));
        double start = bench_now();
        bench_http_send(http, "GET", path, NULL, NULL, 0, 200);
        times[at] = bench_now() - start;
    }
    return bench_median(times, FETCHES);
}

int main(int argc, char **argv)
{
    struct bench_http http;
    struct settings settings;
    struct lake *lake = NULL;
    struct lh_error err = LH_ERROR_NONE;
    char line[16];
    if (argc != 5) {
        fputs("v11_doc FOLDER PORT INDEX ROWS: bench/v11_rows.mjs starts it\n", stderr);
        return 2;
    }
    int rows = atoi(argv[4]);
    settings_preset(&settings, lh_str_of(argv[1]));
    if (lake_open(&settings, &lake, &err))
        bench_die("%s", err.message);
    bench_http_open(&http, atoi(argv[2]));
    while (fgets(line, sizeof(line), stdin)) {
        double seconds = line[0] == 'i' ? in_process(lake_search(lake), argv[3], rows)
                                        : over_http(&http, argv[3], rows);
        printf("%.3f\n", seconds * 1e6);
        fflush(stdout);
    }
    bench_http_close(&http);
    lake_close(lake);
    return 0;
}
