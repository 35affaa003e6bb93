/* R1: bringing an index of 100,000 rows up to 1,000 new ones (1 %), against making it anew: texts
 * cut, embedded, written, synced, published, and the graph with them. Both as jobs that are waited
 * for over HTTP. The new rows are found by a search before the next round.
 *
 * r1_refresh [rows] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define TEXT_BYTES_MAX 160
#define ROUNDS 5

static unsigned state = 7;

static unsigned draw(unsigned below)
{
    state = state * 1103515245U + 12345U;
    return (state >> 8) % below;
}

/* Sixteen syllables of forty, with a word of the row's own: no two rows are alike. */
static size_t write_row(char *to, size_t row)
{
    static const char *const syllables[] = {"ar",  "ben", "cor", "dal", "el",  "fen", "gor", "hal",
                                            "in",  "jor", "kel", "lum", "mar", "nor", "os",  "pel",
                                            "qua", "ros", "sel", "tor", "ul",  "ven", "wil", "xan",
                                            "yor", "zel", "bri", "cla", "dro", "fla", "gri", "hor",
                                            "jul", "kra", "lor", "mel", "nim", "pra", "sta", "tri"};
    size_t at = (size_t)sprintf(to, "%zu,item%zu", row, row);
    for (int word = 0; word < 8; word++)
        at += (size_t)sprintf(to + at, " %s%s", syllables[draw(40)], syllables[draw(40)]);
    return at + (size_t)sprintf(to + at, "\n");
}

static void add(struct bench_http *http, const char *mode, size_t from, size_t count)
{
    char *csv = malloc(count * TEXT_BYTES_MAX + 64);
    if (!csv)
        bench_die("no memory");
    size_t at = (size_t)sprintf(csv, "id,text\n");
    for (size_t row = from; row < from + count; row++)
        at += write_row(csv + at, row);
    bench_http_ingest(http, "texts", mode, "texts.csv", csv, at);
    free(csv);
}

static double post(struct bench_http *http, const char *path, const char *body)
{
    double start = bench_now();
    bench_http_send(http, "POST", path, "application/json", body, strlen(body), 200);
    return bench_now() - start;
}

static void must_find(struct bench_http *http, size_t row)
{
    char body[160], wanted[32];
    snprintf(body, sizeof body, "{\"index\":\"texts_v1\",\"query\":\"item%zu\",\"k\":1}", row);
    snprintf(wanted, sizeof wanted, "item%zu", row);
    bench_http_send(http, "POST", "/vectors/hybrid", "application/json", body, strlen(body), 200);
    if (!strstr(http->body, wanted))
        bench_die("row %zu is not found after the refresh: %.200s", row, http->body);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000, more = rows / 100;
    char folder[128], detail[160];
    double fresh[ROUNDS], anew[ROUNDS], ratios[ROUNDS];
    struct bench_server server;
    struct bench_http http;
    bench_machine();
    bench_temp_folder(folder, sizeof folder);
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    add(&http, "create", 0, rows);
    post(&http, "/vectors/index",
         "{\"index_name\":\"texts_v1\",\"dataset\":\"texts\",\"id_column\":\"id\","
         "\"text_columns\":[\"text\"],\"wait\":true}");
    for (int round = 0; round < ROUNDS; round++) {
        add(&http, "append", rows, more);
        fresh[round] = post(&http, "/vectors/refresh/texts", "{\"wait\":true}");
        rows += more;
        must_find(&http, rows - 1);
        anew[round] =
            post(&http, "/vectors/refresh/texts", "{\"wait\":true,\"from_scratch\":true}");
        ratios[round] = anew[round] / fresh[round];
        printf("round %d: refresh %.0f ms, anew %.0f ms\n", round + 1, fresh[round] * 1e3,
               anew[round] * 1e3);
    }
    snprintf(detail, sizeof detail, "refresh %.0f ms, anew %.0f ms; %zu rows at the end",
             bench_median(fresh, ROUNDS) * 1e3, bench_median(anew, ROUNDS) * 1e3, rows);
    double median = bench_median(ratios, ROUNDS);
    bool is_met = bench_report("R1", "an index made anew / refreshed after 1 % new rows", median,
                               ratios[1], ratios[ROUNDS - 2], "×", 60, false, detail);
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
