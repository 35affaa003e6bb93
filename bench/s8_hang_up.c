/* S8: from the moment a client hangs up until the engine runs nothing for it any more, as /metrics
 * tells (asked again and again on another connection; one such question is the resolution, and is
 * part of the figure). Statements that compute without an answer, that sort, that are being read in
 * several formats, and whose client has stopped reading. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define ROUNDS 25

struct kind {
    const char *name;
    const char *format;
    const char *sql;
    bool is_read; /* the client reads until it leaves */
};
#define ROWS                                                                                       \
    "SELECT range AS id, 'text ' || range AS t, range / 7 AS d FROM range(300000000) WHERE range " \
    "% "                                                                                           \
    "3 < 2"
static const struct kind kinds[] = {
    {"a join", "json",
     "SELECT count(*) FROM range(300000) a, range(300000) b WHERE hash(a.range + b.range) = 1",
     false},
    {"a sort", "json", "SELECT hash(range) AS h FROM range(30000000) ORDER BY h", false},
    {"JSON", "json", ROWS, true},
    {"NDJSON", "ndjson", ROWS, true},
    {"CSV", "csv", ROWS, true},
    {"Arrow", "arrow", ROWS, true},
    {"Parquet", "parquet", ROWS, true},
    {"a client that stopped reading", "json", ROWS, false},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static long busy(struct bench_http *http)
{
    static const char name[] = "\nlakehouse_engine_connections_busy ";
    bench_http_send(http, "GET", "/metrics", NULL, "", 0, 200);
    const char *at = strstr(http->body, name);
    if (!at)
        bench_die("/metrics does not tell the busy connections");
    return strtol(at + strlen(name), NULL, 10);
}

static void wait_until(struct bench_http *http, bool is_busy)
{
    double give_up = bench_now() + 60;
    while ((busy(http) > 0) != is_busy)
        if (bench_now() > give_up)
            bench_die("the engine does not %s", is_busy ? "start" : "stop");
}

static double hang_up(const struct kind *kind, int port, struct bench_http *watcher)
{
    static char buffer[65536];
    struct bench_http http;
    char body[1024], head[256];
    int len = snprintf(body, sizeof(body),
                       "{\"sql\": \"%s\", \"limit\": 10000000, \"timeout_ms\": 600000, "
                       "\"format\": \"%s\"}",
                       kind->sql, kind->format);
    int head_len = snprintf(head, sizeof(head),
                            "POST /query/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                            "application/json\r\nContent-Length: %d\r\n\r\n",
                            len);
    bench_http_open(&http, port);
    if (send(http.fd, head, (size_t)head_len, MSG_NOSIGNAL) != head_len ||
        send(http.fd, body, (size_t)len, MSG_NOSIGNAL) != len)
        bench_die("the request was not taken");
    wait_until(watcher, true);
    double leave = bench_now() + 0.05;
    do {
        if (kind->is_read && recv(http.fd, buffer, sizeof(buffer), 0) <= 0)
            bench_die("%s: the reply ended", kind->name);
    } while (bench_now() < leave);
    if (busy(watcher) == 0)
        bench_die("%s: the statement ended before its client left", kind->name);
    double left = bench_now();
    bench_http_close(&http);
    wait_until(watcher, false);
    return bench_now() - left;
}

int main(void)
{
    double all[KIND_COUNT * ROUNDS];
    size_t count = 0, used = 0;
    char folder[128], detail[1024] = "";
    struct bench_server server;
    struct bench_http watcher;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&watcher, server.port);
    double start = bench_now();
    for (int i = 0; i < 200; i++)
        (void)busy(&watcher);
    printf("one question to /metrics: %.2f ms\n", (bench_now() - start) / 200 * 1e3);
    for (size_t k = 0; k < KIND_COUNT; k++) {
        double own[ROUNDS];
        for (int round = 0; round < ROUNDS; round++)
            own[round] = all[count++] = hang_up(&kinds[k], server.port, &watcher) * 1e3;
        double median = bench_median(own, ROUNDS);
        used += (size_t)snprintf(detail + used, sizeof(detail) - used, "%s%s %.1f (most %.1f)",
                                 used ? "; " : "", kinds[k].name, median, own[ROUNDS - 1]);
    }
    double worst = bench_percentile(all, count, 99), median = bench_percentile(all, count, 50);
    bool is_met = bench_report("S8", "a client hangs up until the engine has stopped, p99", worst,
                               median, all[count - 1], "ms", 50, true, detail);
    bench_http_close(&watcher);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
