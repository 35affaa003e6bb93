/* A6: statements over a dataset of 64 deltas against the same rows compacted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define ROWS 1000000
#define DELTAS 64

static const char *const words[] = {"lake", "house", "boat",  "river",  "stone", "cloud",
                                    "tree", "field", "light", "winter", "road",  "garden"};

static void make_rows(struct bench_http *http, const char *dataset)
{
    int part = ROWS / DELTAS;
    char *csv = malloc((size_t)part * 64 + 64);
    if (!csv)
        bench_die("There is no memory for the rows.");
    for (int file = 0; file < DELTAS; file++) {
        size_t len = (size_t)sprintf(csv, "id,n,text\n");
        for (int i = file * part; i < (file + 1) * part; i++) {
            unsigned mixed = (unsigned)i * 2654435761u;
            len += (size_t)sprintf(csv + len, "%d,%u,%s %s %u\n", i, mixed % 100000,
                                   words[mixed % 12], words[mixed / 16 % 12], mixed / 256 % 20);
        }
        bench_http_ingest(http, dataset, file ? "append" : "create", "rows.csv", csv, len);
    }
    free(csv);
}

struct side {
    struct bench_http *http;
    char sql[256];
};

static double run(void *context)
{
    struct side *side = context;
    double start = bench_now();
    for (int i = 0; i < 5; i++)
        bench_http_sql(side->http, side->sql);
    return (bench_now() - start) / 5;
}

/* Both sides must say the same. */
static void compare_rows(struct side *a, struct side *b)
{
    bench_http_sql(a->http, a->sql);
    char *rows = strstr(a->http->body, "\"rows\":");
    char *first = strdup(rows ? rows : "");
    char *end = strstr(first, "\"elapsed");
    if (end)
        *end = '\0';
    bench_http_sql(b->http, b->sql);
    rows = strstr(b->http->body, "\"rows\":");
    if (!*first || !rows || strncmp(rows, first, strlen(first)) != 0)
        bench_die("'%s' does not say what the compacted data says.", a->sql);
    free(first);
}

static bool measure(struct bench_http *http, const char *what, const char *sql, double target)
{
    char name[128], detail[160];
    struct side deltas = {.http = http}, compacted = {.http = http};
    snprintf(deltas.sql, sizeof deltas.sql, sql, "deltas");
    snprintf(compacted.sql, sizeof compacted.sql, sql, "compacted");
    compare_rows(&deltas, &compacted);
    struct bench_ratio ratio =
        bench_compare((struct bench_side){"64 deltas", run, &deltas},
                      (struct bench_side){"compacted", run, &compacted}, BENCH_ROUNDS);
    snprintf(name, sizeof name, "%s, 64 deltas / compacted", what);
    snprintf(detail, sizeof detail, "%.2f ms, compacted %.2f ms", ratio.a_seconds * 1e3,
             ratio.b_seconds * 1e3);
    if (strcmp(what, "bare count") != 0)
        return bench_report("A6", name, ratio.median, ratio.low, ratio.high, "×", target, true,
                            detail);
    double more = (ratio.a_seconds - ratio.b_seconds) * 1e3;
    return bench_report("A6", "bare count, more over 64 deltas", more, more, more, "ms", target,
                        true, detail);
}

int main(void)
{
    char folder[128];
    struct bench_server server;
    struct bench_http http;
    bool is_met = true;
    static const char compact[] = "{\"dataset\": \"compacted\"}";
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    make_rows(&http, "deltas");
    make_rows(&http, "compacted");
    bench_http_send(&http, "POST", "/query/compact", "application/json", compact,
                    sizeof compact - 1, 200);
    is_met = measure(&http, "group by text",
                     "SELECT text, count(*), sum(n) FROM %s GROUP BY text ORDER BY text LIMIT 100",
                     1.2) &&
             is_met;
    is_met = measure(&http, "sum", "SELECT sum(n) FROM %s", 1.6) && is_met;
    is_met = measure(&http, "bare count", "SELECT count(*) FROM %s", 0.4) && is_met;
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
