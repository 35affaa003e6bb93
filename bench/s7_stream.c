/* S7: ten million rows, unsorted, over HTTP in every format: time until the first byte of the body,
 * and what the server's memory is at its peak over what it was before the first of these requests,
 * while a client reads all rows, and while a client asks and never reads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw.h"

#define ROW_COUNT 10000000
#define FIRST_ROUNDS 9
#define STALL_SECONDS 5

static const char *const formats[] = {"json", "ndjson", "csv", "arrow", "parquet"};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

/* --- the server's memory */

static size_t status_kb(pid_t pid, const char *name)
{
    char path[64], line[256];
    size_t value = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name) + 1, NULL, 10);
    if (!file || fclose(file) || !value)
        bench_die("%s does not tell %s", path, name);
    return value;
}

/* From here on VmHWM is the peak since now. */
static void begin_peak(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);
    FILE *file = fopen(path, "w");
    if (!file || fputs("5", file) < 0 || fclose(file))
        bench_die("%s cannot be written: %s", path, strerror(errno));
}

static double peak_mb(pid_t pid, size_t from_kb)
{
    size_t peak = status_kb(pid, "VmHWM:");
    return peak > from_kb ? (double)(peak - from_kb) / 1024 : 0;
}

/* --- one request, read as it comes */

struct reading {
    double first_seconds;
    double seconds;
    size_t bytes;
};

static void send_query(struct bench_http *http, const char *format, const char *sql)
{
    char body[512], head[256];
    int len = snprintf(body, sizeof(body),
                       "{\"sql\": \"%s\", \"limit\": 10000000, \"timeout_ms\": 600000, "
                       "\"format\": \"%s\"}",
                       sql, format);
    int head_len = snprintf(head, sizeof(head),
                            "POST /query/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                            "application/json\r\nContent-Length: %d\r\n\r\n",
                            len);
    if (send(http->fd, head, (size_t)head_len, MSG_NOSIGNAL) != head_len ||
        send(http->fd, body, (size_t)len, MSG_NOSIGNAL) != len)
        bench_die("the request was not taken");
}

/* Reads a chunked body to its end, which is the only thing of the framing that is looked at: five
 * bytes that end the stream of a server that keeps the connection. */
static struct reading read_all(int port, const char *format, const char *sql)
{
    static char buffer[1 << 20];
    static const char end[] = "\r\n0\r\n\r\n";
    struct bench_http http;
    struct reading reading = {0};
    char tail[7] = {0};
    bench_http_open(&http, port);
    double start = bench_now();
    send_query(&http, format, sql);
    for (;;) {
        ssize_t got = recv(http.fd, buffer, sizeof(buffer), 0);
        if (got <= 0)
            bench_die("%s: the reply was cut after %zu bytes", format, reading.bytes);
        if (reading.bytes == 0 && strncmp(buffer, "HTTP/1.1 200", 12) != 0)
            bench_die("%s: %.300s", format, buffer);
        /* The head may come alone: the first byte of the body is what counts. */
        const char *head = reading.bytes == 0 ? strstr(buffer, "\r\n\r\n") : NULL;
        if (!reading.first_seconds && (reading.bytes || (head && head + 4 < buffer + got)))
            reading.first_seconds = bench_now() - start;
        reading.bytes += (size_t)got;
        if (got >= 7) {
            memcpy(tail, buffer + got - 7, 7);
        } else {
            memmove(tail, tail + got, 7 - (size_t)got);
            memcpy(tail + 7 - got, buffer, (size_t)got);
        }
        if (memcmp(tail, end, 7) == 0)
            break;
    }
    reading.seconds = bench_now() - start;
    bench_http_close(&http);
    return reading;
}

/* Only the first byte: then the client hangs up. */
static double read_first(int port, const char *format, const char *sql)
{
    char buffer[65536];
    struct bench_http http;
    bench_http_open(&http, port);
    double start = bench_now();
    send_query(&http, format, sql);
    size_t len = 0;
    const char *head = NULL;
    while (!head || head + 4 >= buffer + len) {
        ssize_t got = recv(http.fd, buffer + len, sizeof(buffer) - 1 - len, 0);
        if (got <= 0)
            bench_die("%s: no first byte", format);
        len += (size_t)got;
        buffer[len] = '\0';
        head = strstr(buffer, "\r\n\r\n");
    }
    double seconds = bench_now() - start;
    bench_http_close(&http);
    return seconds;
}

/* Asks and reads nothing while the server does what it can. */
static double stall_mb(const struct bench_server *server, const char *format, const char *sql,
                       size_t from)
{
    struct bench_http http;
    begin_peak(server->pid);
    bench_http_open(&http, server->port);
    send_query(&http, format, sql);
    sleep(STALL_SECONDS);
    double mb = peak_mb(server->pid, from);
    bench_http_close(&http);
    return mb;
}

static void make_data(struct bench_server *server, const char *folder)
{
    struct raw_engine raw;
    struct bench_http http;
    char sql[1024], path[256];
    raw_open(&raw);
    snprintf(path, sizeof(path), "%s-rows.parquet", folder);
    snprintf(
        sql, sizeof(sql),
        "COPY (SELECT range AS id, (hash(range) %% 97)::INTEGER AS grp, 'name ' || (hash(range "
        "+ 1) %% 50000) AS name, (hash(range + 3) %% 1000000) / 1e4 AS score FROM range(%d)) TO "
        "'%s' (FORMAT parquet)",
        ROW_COUNT, path);
    raw_run(&raw, sql);
    raw_close(&raw);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        bench_die("%s cannot be read", path);
    size_t size = (size_t)ftell(file);
    char *bytes = malloc(size);
    rewind(file);
    if (!bytes || fread(bytes, 1, size, file) != size)
        bench_die("%s cannot be read", path);
    fclose(file);
    remove(path);
    bench_http_open(&http, server->port);
    bench_http_ingest(&http, "big", "replace", "rows.parquet", bytes, size);
    bench_http_close(&http);
    free(bytes);
}

int main(void)
{
    static const char sql[] = "SELECT id, grp, name, score FROM big";
    char folder[128], detail[512];
    struct bench_server server;
    bool is_met = true;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    make_data(&server, folder);
    bench_server_stop(&server);
    bench_server_start(&server, folder);
    (void)read_first(server.port, "json",
                     "SELECT count(*) FROM big"); /* the file is checked once */
    const size_t from = status_kb(server.pid, "VmRSS:");
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        double firsts[FIRST_ROUNDS];
        for (int round = 0; round < FIRST_ROUNDS; round++) {
            firsts[round] = read_first(server.port, formats[i], sql) * 1e3;
            usleep(50000);
        }
        double first = bench_median(firsts, FIRST_ROUNDS);
        begin_peak(server.pid);
        struct reading reading = read_all(server.port, formats[i], sql);
        double mb = peak_mb(server.pid, from);
        double stalled = stall_mb(&server, formats[i], sql, from);
        char what[96];
        snprintf(what, sizeof(what), "%s: first byte of 10M rows", formats[i]);
        snprintf(detail, sizeof(detail), "%.0f MB in %.2f s = %.0f MB/s, %.1f M rows/s",
                 (double)reading.bytes / 1e6, reading.seconds,
                 (double)reading.bytes / reading.seconds / 1e6, ROW_COUNT / reading.seconds / 1e6);
        is_met &= bench_report("S7", what, first, firsts[1], firsts[FIRST_ROUNDS - 2], "ms", 20,
                               true, detail);
        is_met &= bench_report("S7m", "  memory at its peak, over before", mb, mb, mb, "MB", 64,
                               true, NULL);
        is_met &= bench_report("S7s", "  the same, for a client that reads nothing", stalled,
                               stalled, stalled, "MB", 64, true, NULL);
    }
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
