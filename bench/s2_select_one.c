/* S2: what HTTP costs. p50 of a repeated `SELECT 1` over HTTP, less the same statement in process,
 * less a bare loopback echo of the same bytes; all three measured in turn in one run. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "lake/lake.h"
#include "query/query.h"
#include "support.h"

#define REQUESTS 2000
#define ROUNDS 9

static const char sql[] = "SELECT 1";
static const char request_body[] = "{\"sql\":\"SELECT 1\"}";

/* One connection, one fixed reply of the size that the server gives. */
static void echo_serve(int listener)
{
    char reply[1024];
    char bytes[8192];
    int len = snprintf(reply, sizeof(reply),
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 129"
                       "\r\nX-Request-Id: 00000000-0000-7000-8000-000000000000\r\n\r\n%0129d",
                       0);
    int fd = accept(listener, NULL, NULL);
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        if (send(fd, reply, (size_t)len, MSG_NOSIGNAL) <= 0)
            break;
    _exit(0);
}

static pid_t echo_start(int *ret_port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        bench_die("the echo server cannot listen");
    *ret_port = ntohs(address.sin_port);
    pid_t pid = fork();
    if (pid == 0)
        echo_serve(listener);
    close(listener);
    return pid;
}

static double http_p50(struct bench_http *http)
{
    static double times[REQUESTS];
    for (int at = 0; at < REQUESTS; at++) {
        double start = bench_now();
        bench_http_send(http, "POST", "/query/sql", "application/json", request_body,
                        sizeof(request_body) - 1, 200);
        times[at] = bench_now() - start;
    }
    return bench_median(times, REQUESTS);
}

static double in_process_p50(struct query_engine *engine)
{
    static double times[REQUESTS];
    const struct query_principal principal = {.is_trusted = true};
    const struct query_request request = {.sql = {sql, sizeof(sql) - 1}};
    for (int at = 0; at < REQUESTS; at++) {
        struct query *query = NULL;
        const struct engine_chunk *chunk = NULL;
        struct lh_error err = LH_ERROR_NONE;
        double start = bench_now();
        if (query_open(engine, &principal, &request, NULL, &query, &err) ||
            query_next(query, &chunk, &err) || !chunk || query_next(query, &chunk, &err))
            bench_die("%s", err.message);
        query_close(query);
        times[at] = bench_now() - start;
    }
    return bench_median(times, REQUESTS);
}

int main(void)
{
    char folder[128];
    struct bench_server server;
    struct bench_http http;
    struct bench_http echo;
    struct engine *engine = NULL;
    struct query_engine *query_engine = NULL;
    struct lh_error err = LH_ERROR_NONE;
    double costs[ROUNDS];
    double all[3][ROUNDS];
    int echo_port = 0;
    bench_machine();
    pid_t echo_pid = echo_start(&echo_port);
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    struct engine_options options = {.thread_count = 0};
    if (engine_open(&options, &engine, &err))
        bench_die("%s", err.message);
    struct query_engine_options query_options = {.engine = engine};
    if (query_engine_new(&query_options, &query_engine, &err))
        bench_die("%s", err.message);
    bench_http_open(&http, server.port);
    bench_http_open(&echo, echo_port);
    (void)http_p50(&http);
    double cpu = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double before = bench_cpu_seconds(server.pid);
        all[0][round] = http_p50(&http);
        cpu += bench_cpu_seconds(server.pid) - before;
        all[1][round] = in_process_p50(query_engine);
        all[2][round] = http_p50(&echo);
        costs[round] = (all[0][round] - all[1][round] - all[2][round]) * 1e6;
    }
    double median = bench_median(costs, ROUNDS);
    char detail[256];
    snprintf(detail, sizeof(detail),
             "HTTP %.1f µs, in process %.1f µs, bare echo %.1f µs; server CPU %.1f µs a request",
             bench_median(all[0], ROUNDS) * 1e6, bench_median(all[1], ROUNDS) * 1e6,
             bench_median(all[2], ROUNDS) * 1e6, cpu / (ROUNDS * REQUESTS) * 1e6);
    bool is_met = bench_report("S2", "SELECT 1: HTTP − in process − bare echo, p50", median,
                               costs[1], costs[ROUNDS - 2], "µs", 80, true, detail);
    bench_http_close(&http);
    bench_http_close(&echo);
    query_engine_free(query_engine);
    engine_close(engine);
    bench_server_stop(&server);
    kill(echo_pid, SIGTERM);
    waitpid(echo_pid, NULL, 0);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
