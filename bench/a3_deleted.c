/* A3: scans of a dataset with 1 % and 10 % of its rows deleted against the same data rewritten
 * without them: over texts, over one numeric column, and a bare count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define ROWS 1000000
#define FILES 8 /* appended one after the other */

static const char *const words[] = {"lake", "house", "boat",  "river",  "stone", "cloud",
                                    "tree", "field", "light", "winter", "road",  "garden"};

/* Rows `from` to `to`, without every `step`-th (0: all of them). */
static size_t put_rows(char *csv, int from, int to, int step)
{
    size_t len = (size_t)sprintf(csv, "id,n,text\n");
    for (int i = from; i < to; i++) {
        unsigned mixed = (unsigned)i * 2654435761u;
        if (step && i % step == 0)
            continue;
        len += (size_t)sprintf(csv + len, "%d,%d,%s %s %s of the %s number %d\n", i,
                               (int)(mixed % 100000), words[mixed % 12], words[mixed / 16 % 12],
                               words[mixed / 256 % 12], words[mixed / 4096 % 12], i % 9973);
    }
    return len;
}

static void make_rows(struct bench_http *http, const char *dataset, int step)
{
    int part = ROWS / FILES;
    char *csv = malloc((size_t)part * 80 + 64);
    if (!csv)
        bench_die("There is no memory for the rows.");
    for (int file = 0; file < FILES; file++)
        bench_http_ingest(http, dataset, file ? "append" : "create", "rows.csv", csv,
                          put_rows(csv, file * part, (file + 1) * part, step));
    free(csv);
}

static void delete_rows(struct bench_http *http, const char *dataset, int step)
{
    char path[128];
    char *body = malloc((size_t)ROWS / (size_t)step * 9 + 128);
    if (!body)
        bench_die("There is no memory for the keys.");
    size_t len = (size_t)sprintf(body, "{\"row_key_column\": \"id\", \"row_key_values\": [0");
    for (int i = step; i < ROWS; i += step)
        len += (size_t)sprintf(body + len, ",%d", i);
    len += (size_t)sprintf(body + len, "]}");
    snprintf(path, sizeof path, "/catalog/datasets/by-name/%s/tombstone", dataset);
    double start = bench_now();
    bench_http_send(http, "POST", path, "application/json", body, len, 200);
    printf("     %d keys in one call: %.0f ms\n", ROWS / step, (bench_now() - start) * 1e3);
    free(body);
}

struct side {
    struct bench_http *http;
    char sql[256];
};

static double run(void *context)
{
    struct side *side = context;
    double start = bench_now();
    for (int i = 0; i < 3; i++)
        bench_http_sql(side->http, side->sql);
    return (bench_now() - start) / 3;
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
    if (!rows || strncmp(rows, first, strlen(first)) != 0)
        bench_die("'%s' does not say what the rewritten data says.", a->sql);
    free(first);
}

static bool measure(struct bench_http *http, int percent, const char *what, const char *sql,
                    double target)
{
    char name[128], detail[160];
    struct side deleted = {.http = http}, rewritten = {.http = http};
    snprintf(deleted.sql, sizeof deleted.sql, "%s FROM deleted_%d", sql, percent);
    snprintf(rewritten.sql, sizeof rewritten.sql, "%s FROM rewritten_%d", sql, percent);
    compare_rows(&deleted, &rewritten);
    struct bench_ratio ratio =
        bench_compare((struct bench_side){"deleted", run, &deleted},
                      (struct bench_side){"rewritten", run, &rewritten}, BENCH_ROUNDS);
    snprintf(name, sizeof name, "%s, %d %% deleted / rewritten", what, percent);
    snprintf(detail, sizeof detail, "%.2f ms, rewritten %.2f ms", ratio.a_seconds * 1e3,
             ratio.b_seconds * 1e3);
    if (strcmp(what, "bare count") != 0)
        return bench_report("A3", name, ratio.median, ratio.low, ratio.high, "×", target, true,
                            detail);
    double more = (ratio.a_seconds - ratio.b_seconds) * 1e3;
    return bench_report("A3", name, more, more, more, "ms more for 1M rows", target, true, detail);
}

int main(void)
{
    char folder[128];
    struct bench_server server;
    struct bench_http http;
    bool is_met = true;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    make_rows(&http, "deleted_1", 0);
    make_rows(&http, "deleted_10", 0);
    make_rows(&http, "rewritten_1", 100);
    make_rows(&http, "rewritten_10", 10);
    delete_rows(&http, "deleted_1", 100);
    delete_rows(&http, "deleted_10", 10);
    static const int percents[] = {1, 10};
    for (int i = 0; i < 2; i++) {
        is_met = measure(&http, percents[i], "texts",
                         "SELECT sum(length(text)), max(text), count(DISTINCT text)", 1.15) &&
                 is_met;
        is_met = measure(&http, percents[i], "one numeric column", "SELECT sum(n)", 1.8) && is_met;
        is_met = measure(&http, percents[i], "bare count", "SELECT count(*)", 2) && is_met;
    }
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
