#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define BUFFER_BYTES ((size_t)1 << 20)

void bench_http_open(struct bench_http *http, int port)
{
    memset(http, 0, sizeof(*http));
    http->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(http->fd, (struct sockaddr *)&address, sizeof(address)))
        bench_die("no connection to port %d: %s", port, strerror(errno));
    int yes = 1;
    setsockopt(http->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    http->buffer = malloc(BUFFER_BYTES + 1);
    http->body_capacity = BUFFER_BYTES;
    http->body = malloc(http->body_capacity + 1);
    if (!http->buffer || !http->body)
        bench_die("no memory");
}

void bench_http_close(struct bench_http *http)
{
    close(http->fd);
    free(http->buffer);
    free(http->body);
}

static void send_all(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count) {
        ssize_t sent = send(fd, at, count, MSG_NOSIGNAL);
        if (sent <= 0)
            bench_die("the server hung up while a request was sent");
        at += sent;
        count -= (size_t)sent;
    }
}

static void fill(struct bench_http *http)
{
    if (http->buffered == BUFFER_BYTES)
        bench_die("a line of the reply is too long");
    ssize_t got = recv(http->fd, http->buffer + http->buffered, BUFFER_BYTES - http->buffered, 0);
    if (got <= 0)
        bench_die("the server hung up in the middle of a reply");
    http->buffered += (size_t)got;
    http->buffer[http->buffered] = '\0';
}

static void drop(struct bench_http *http, size_t count)
{
    memmove(http->buffer, http->buffer + count, http->buffered - count);
    http->buffered -= count;
    http->buffer[http->buffered] = '\0';
}

/* Moves `count` bytes of the reply into the body. */
static void take(struct bench_http *http, size_t count)
{
    while (http->body_len + count > http->body_capacity) {
        http->body_capacity *= 2;
        http->body = realloc(http->body, http->body_capacity + 1);
        if (!http->body)
            bench_die("no memory for a reply");
    }
    while (count) {
        if (!http->buffered)
            fill(http);
        size_t now = count < http->buffered ? count : http->buffered;
        memcpy(http->body + http->body_len, http->buffer, now);
        http->body_len += now;
        drop(http, now);
        count -= now;
    }
}

static char *line_end(struct bench_http *http, const char *mark)
{
    char *end;
    while (!http->buffered || !(end = strstr(http->buffer, mark)))
        fill(http);
    return end;
}

static void take_chunks(struct bench_http *http)
{
    for (;;) {
        char *end = line_end(http, "\r\n");
        size_t size = strtoul(http->buffer, NULL, 16);
        drop(http, (size_t)(end - http->buffer) + 2);
        take(http, size);
        while (http->buffered < 2)
            fill(http);
        drop(http, 2);
        if (!size)
            return;
    }
}

static void receive(struct bench_http *http)
{
    char *end = line_end(http, "\r\n\r\n");
    http->status = atoi(http->buffer + strlen("HTTP/1.1 "));
    http->body_len = 0;
    *end = '\0';
    char *length = strcasestr(http->buffer, "\ncontent-length:");
    bool is_chunked = strcasestr(http->buffer, "\ntransfer-encoding: chunked") != NULL;
    size_t size = length ? strtoul(length + strlen("\ncontent-length:"), NULL, 10) : 0;
    drop(http, (size_t)(end - http->buffer) + 4);
    if (is_chunked)
        take_chunks(http);
    else
        take(http, size);
    http->body[http->body_len] = '\0';
}

void bench_http_send(struct bench_http *http, const char *method, const char *path,
                     const char *content_type, const void *body, size_t body_len, int wanted_status)
{
    char head[4096];
    int len = snprintf(head, sizeof(head),
                       "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%sContent-Length: %zu\r\n\r\n",
                       method, path, content_type ? "Content-Type: " : "",
                       content_type ? content_type : "", content_type ? "\r\n" : "", body_len);
    if (body_len && (size_t)len + body_len < sizeof(head)) {
        memcpy(head + len, body, body_len);
        send_all(http->fd, head, (size_t)len + body_len);
    } else {
        send_all(http->fd, head, (size_t)len);
        send_all(http->fd, body, body_len);
    }
    receive(http);
    if (wanted_status && http->status != wanted_status)
        bench_die("%s %s answered %d: %.600s", method, path, http->status, http->body);
}

void bench_http_sql(struct bench_http *http, const char *sql)
{
    char body[8192];
    size_t at = (size_t)snprintf(body, sizeof(body), "{\"sql\":\"");
    for (; *sql && at < sizeof(body) - 64; sql++) {
        if (*sql == '"' || *sql == '\\')
            body[at++] = '\\';
        body[at++] = *sql;
    }
    at += (size_t)snprintf(body + at, sizeof(body) - at, "\",\"limit\":10000000}");
    bench_http_send(http, "POST", "/query/sql", "application/json", body, at, 200);
}

void bench_http_ingest(struct bench_http *http, const char *dataset, const char *mode,
                       const char *filename, const void *bytes, size_t count)
{
    static const char tail[] = "\r\n--bench-boundary--\r\n";
    char head[2048];
    int len =
        snprintf(head, sizeof(head),
                 "--bench-boundary\r\nContent-Disposition: form-data; name=\"dataset\"\r\n\r\n"
                 "%s\r\n--bench-boundary\r\nContent-Disposition: form-data; name=\"mode\""
                 "\r\n\r\n%s\r\n--bench-boundary\r\nContent-Disposition: form-data; "
                 "name=\"options\"\r\n\r\n{\"allow_duplicate\":true}\r\n--bench-boundary\r\n"
                 "Content-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                 "Content-Type: application/octet-stream\r\n\r\n",
                 dataset, mode, filename);
    size_t size = (size_t)len + count + sizeof(tail) - 1;
    char *body = malloc(size);
    if (!body)
        bench_die("no memory");
    memcpy(body, head, (size_t)len);
    memcpy(body + len, bytes, count);
    memcpy(body + (size_t)len + count, tail, sizeof(tail) - 1);
    bench_http_send(http, "POST", "/ingest/file", "multipart/form-data; boundary=bench-boundary",
                    body, size, 200);
    free(body);
}
