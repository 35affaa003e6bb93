/* A6: statements over a dataset of 64 deltas against the same rows compacted: first with all 64
 * there, for which the server must not merge by itself; then as many appends, four a second, to a
 * server as it is, and what it has made of them half a minute later. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

#define ROWS 1000000
#define DELTAS 64
#define GROUPS "SELECT text, count(*), sum(n) FROM %s GROUP BY text ORDER BY text LIMIT 100"

static const char *const words[] = {"lake", "house", "boat",  "river",  "stone", "cloud",
                                    "tree", "field", "light", "winter", "road",  "garden"};

static void make_rows(struct bench_http *http, const char *dataset, unsigned pause_ms)
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
        usleep(pause_ms * 1000);
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

static bool measure(struct bench_http *http, const char *what, const char *dataset, const char *sql,
                    double target)
{
    char name[128], detail[160];
    struct side deltas = {.http = http}, compacted = {.http = http};
    snprintf(deltas.sql, sizeof deltas.sql, sql, dataset);
    snprintf(compacted.sql, sizeof compacted.sql, sql, "compacted");
    compare_rows(&deltas, &compacted);
    struct bench_ratio ratio =
        bench_compare((struct bench_side){dataset, run, &deltas},
                      (struct bench_side){"compacted", run, &compacted}, BENCH_ROUNDS);
    snprintf(name, sizeof name, "%s / compacted", what);
    snprintf(detail, sizeof detail, "%.2f ms, compacted %.2f ms", ratio.a_seconds * 1e3,
             ratio.b_seconds * 1e3);
    if (strcmp(what, "bare count") != 0)
        return bench_report("A6", name, ratio.median, ratio.low, ratio.high, "×", target, true,
                            detail);
    double more = (ratio.a_seconds - ratio.b_seconds) * 1e3;
    return bench_report("A6", "bare count, more over 64 deltas", more, more, more, "ms", target,
                        true, detail);
}

static int count_files(struct bench_http *http, const char *dataset)
{
    char path[128];
    int count = 0;
    snprintf(path, sizeof path, "/catalog/datasets/by-name/%s", dataset);
    bench_http_send(http, "GET", path, NULL, NULL, 0, 200);
    for (const char *at = http->body; (at = strstr(at, ".parquet\"")) != NULL; at++)
        count++;
    return count;
}

/* What a reader meets who comes after 64 appends. */
static bool measure_kept(struct bench_http *http)
{
    char what[64];
    make_rows(http, "kept", 250);
    sleep(30);
    snprintf(what, sizeof what, "group by text, 64 appends kept as %d files",
             count_files(http, "kept"));
    return measure(http, what, "kept", GROUPS, 1.2);
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
    make_rows(&http, "deltas", 0);
    make_rows(&http, "compacted", 0);
    bench_http_send(&http, "POST", "/query/compact", "application/json", compact,
                    sizeof compact - 1, 200);
    is_met = measure(&http, "group by text, 64 deltas", "deltas", GROUPS, 1.2) && is_met;
    is_met = measure(&http, "sum, 64 deltas", "deltas", "SELECT sum(n) FROM %s", 1.6) && is_met;
    is_met = measure(&http, "bare count", "deltas", "SELECT count(*) FROM %s", 0.4) && is_met;
    bench_http_send(&http, "DELETE", "/catalog/datasets/by-name/deltas", NULL, NULL, 0, 204);
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_server_start_compacting(&server, folder);
    bench_http_open(&http, server.port);
    is_met = measure_kept(&http) && is_met;
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
