/* H1: what HTTP costs a search. p50 of a search over HTTP, less the same search in process on a
 * copy of the same lake, less a bare loopback echo of as many bytes; all three in turn in one run.
 * For a query in words, and for a vector: as JSON, and as a body of octets.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lake/lake.h"
#include "search/ask.h"
#include "support.h"

#define REQUESTS 1000
#define ROUNDS 9
#define ROWS 2000

#define DIMENSIONS 384

/* A question as a client sends it. */
struct question {
    const char *what, *path, *type, *body;
    size_t length;
    const float *vector; /* NULL: words */
};

/* One connection; every request is answered with `size` bytes of body. */
static void echo_serve(int listener, size_t size)
{
    char *reply = malloc(size + 256);
    char bytes[8192];
    int yes = 1;
    int head = snprintf(reply, 256,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu"
                        "\r\nX-Request-Id: 00000000-0000-7000-8000-000000000000\r\n\r\n",
                        size);
    memset(reply + head, 'x', size);
    int fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        if (send(fd, reply, (size_t)head + size, MSG_NOSIGNAL) <= 0)
            break;
    _exit(0);
}

static pid_t echo_start(size_t size, int *ret_port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        bench_die("the echo server cannot listen");
    *ret_port = ntohs(address.sin_port);
    pid_t pid = fork();
    if (pid == 0)
        echo_serve(listener, size);
    close(listener);
    return pid;
}

static double http_p50(struct bench_http *http, const struct question *question)
{
    static double times[REQUESTS];
    for (int at = 0; at < REQUESTS; at++) {
        double start = bench_now();
        bench_http_send(http, "POST", question->path, question->type, question->body,
                        question->length, 200);
        times[at] = bench_now() - start;
    }
    return bench_median(times, REQUESTS);
}

static double in_process_p50(struct search *search, const struct question *question,
                             size_t *ret_hits)
{
    static double times[REQUESTS];
    struct search_ask ask = {.index = lh_lit("texts_v1"), .mode = SEARCH_VECTOR, .k = 10};
    if (question->vector) {
        ask.vector = question->vector;
        ask.vector_count = DIMENSIONS;
    } else {
        ask.query = lh_lit("river stone market");
    }
    for (int at = 0; at < REQUESTS; at++) {
        struct search_answer answer;
        struct lh_error err = LH_ERROR_NONE;
        struct lh_arena *arena = lh_arena_new(0);
        double start = bench_now();
        if (search_run(search, &ask, NULL, arena, &answer, &err))
            bench_die("%s", err.message);
        times[at] = bench_now() - start;
        *ret_hits = answer.hit_count;
        lh_arena_free(arena);
    }
    return bench_median(times, REQUESTS);
}

/* One question, three ways in turn. */
static bool compare(struct bench_http *http, struct lake *lake, const struct question *question)
{
    struct bench_http echo;
    double costs[ROUNDS], all[3][ROUNDS];
    size_t hits = 0;
    int echo_port = 0;
    (void)http_p50(http, question);
    pid_t echo_pid = echo_start(http->body_len, &echo_port);
    bench_http_open(&echo, echo_port);
    (void)in_process_p50(lake_search(lake), question, &hits);
    for (int round = 0; round < ROUNDS; round++) {
        all[0][round] = http_p50(http, question);
        all[1][round] = in_process_p50(lake_search(lake), question, &hits);
        all[2][round] = http_p50(&echo, question);
        costs[round] = (all[0][round] - all[1][round] - all[2][round]) * 1e6;
    }
    if (hits != 10)
        bench_die("a search found %zu rows instead of 10", hits);
    double median = bench_median(costs, ROUNDS);
    char what[160], detail[256];
    snprintf(what, sizeof(what),
             "exact search of 2,000 rows, %s: HTTP − in process − bare echo, p50", question->what);
    snprintf(detail, sizeof(detail), "HTTP %.1f µs, in process %.1f µs, bare echo %.1f µs",
             bench_median(all[0], ROUNDS) * 1e6, bench_median(all[1], ROUNDS) * 1e6,
             bench_median(all[2], ROUNDS) * 1e6);
    bench_http_close(&echo);
    kill(echo_pid, SIGTERM);
    waitpid(echo_pid, NULL, 0);
    return bench_report("H1", what, median, costs[1], costs[ROUNDS - 2], "µs", 50, true, detail);
}

static bool compare_all(struct bench_http *http, struct lake *lake)
{
    static const char words[] =
        "{\"index\":\"texts_v1\",\"query\":\"river stone market\",\"k\":10}";
    static float vector[DIMENSIONS];
    static char json[DIMENSIONS * 16 + 64];
    size_t length = (size_t)sprintf(json, "{\"index\":\"texts_v1\",\"k\":10,\"vector\":[");
    unsigned state = 11;
    for (int i = 0; i < DIMENSIONS; i++) {
        state = state * 1103515245U + 12345U;
        vector[i] = (float)((int)(state >> 16) % 1000 - 500) / 4096;
        length += (size_t)sprintf(json + length, "%s%.9g", i ? "," : "", (double)vector[i]);
    }
    length += (size_t)sprintf(json + length, "]}");
    const struct question questions[] = {
        {"words", "/vectors/search", "application/json", words, sizeof(words) - 1, NULL},
        {"a vector as JSON", "/vectors/search", "application/json", json, length, vector},
        {"a vector as octets", "/vectors/search?index=texts_v1&k=10", "application/octet-stream",
         (const char *)vector, sizeof(vector), vector},
    };
    bool is_met = true;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        is_met &= compare(http, lake, &questions[i]);
    return is_met;
}

static void fill(struct bench_http *http)
{
    static const char *const words[] = {"river", "stone",  "market", "window", "garden",  "letter",
                                        "table", "winter", "street", "bridge", "morning", "paper"};
    static const char index_body[] =
        "{\"index_name\":\"texts_v1\",\"dataset\":\"texts\",\"id_column\":\"id\","
        "\"text_columns\":[\"text\"]}";
    char *csv = malloc((size_t)ROWS * 120);
    size_t at = (size_t)sprintf(csv, "id,text\n");
    unsigned state = 7;
    for (int row = 0; row < ROWS; row++) {
        at += (size_t)sprintf(csv + at, "%d,", row);
        for (int word = 0; word < 8; word++) {
            state = state * 1103515245U + 12345U;
            at += (size_t)sprintf(csv + at, "%s%s", word ? " " : "", words[(state >> 16) % 12]);
        }
        at += (size_t)sprintf(csv + at, "\n");
    }
    bench_http_ingest(http, "texts", "create", "texts.csv", csv, at);
    bench_http_send(http, "POST", "/vectors/index", "application/json", index_body,
                    sizeof(index_body) - 1, 200);
    free(csv);
}

int main(void)
{
    char folder[128], copy[160];
    struct bench_server server;
    struct bench_http http;
    struct settings settings;
    struct lake *lake = NULL;
    struct lh_error err = LH_ERROR_NONE;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    snprintf(copy, sizeof(copy), "%s-copy", folder);
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    fill(&http);
    bench_http_close(&http);
    bench_server_stop(&server);
    if (bench_shell("cp -r '%s' '%s'", folder, copy))
        bench_die("the lake cannot be copied");
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    settings_preset(&settings, lh_str_of(copy));
    if (lake_open(&settings, &lake, &err))
        bench_die("%s", err.message);
    bool is_met = compare_all(&http, lake);
    bench_http_close(&http);
    lake_close(lake);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    bench_remove_folder(copy);
    return is_met ? 0 : 1;
}
