/* What the server adds to a request: p50 over one kept connection, against libmicrohttpd answering
 * on its own I/O thread (no worker, no limits, no watcher), and against a thread that echoes bytes.
 * Interleaved A B C, C B A, medians of the rounds; in one process, so that all three share the
 * machine's noise.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/http.h"

#define REQUESTS 4000
#define ROUNDS 8
#define SYSTEMS 3

static const char request_text[] =
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n"
    "{\"sql\":\"SELECT 1\"}";
static const char reply_text[] = "{\"columns\":[\"1\"],\"rows\":[[1]]}";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static enum MHD_Result bare_answer(void *context, struct MHD_Connection *mhd, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *size, void **state)
{
    (void)context, (void)url, (void)method, (void)version, (void)data;
    if (!*state || *size > 0) {
        *state = mhd;
        *size = 0;
        return MHD_YES;
    }
    static char body[] = "{\"columns\":[\"1\"],\"rows\":[[1]]}";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    const enum MHD_Result result = MHD_queue_response(mhd, 200, response);
    MHD_destroy_response(response);
    return result;
}

static enum lh_code route(void *context, const struct http_request *request, struct http_route *ret,
                          struct lh_error *err)
{
    (void)context, (void)request, (void)err;
    ret->body = HTTP_BODY_MEMORY;
    ret->body_bytes_max = 65536;
    return LH_OK;
}

static void handle(void *context, const struct http_request *request, struct http_reply *reply)
{
    (void)context, (void)request;
    http_reply_body(reply, lh_str_of(reply_text));
}

static void *echo_bytes(void *context)
{
    char bytes[4096];
    const int fd = accept(*(int *)context, NULL, NULL);
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (ssize_t count; (count = read(fd, bytes, sizeof bytes)) > 0;)
        if (write(fd, bytes, (size_t)count) != count)
            break;
    close(fd);
    return NULL;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double round_p50(int fd)
{
    static double times[REQUESTS];
    char answer[4096];
    for (int at = 0; at < REQUESTS; at++) {
        const double start = now_us();
        if (write(fd, request_text, sizeof request_text - 1) < 0 ||
            read(fd, answer, sizeof answer) <= 0)
            die("exchange");
        times[at] = now_us() - start;
    }
    return median(times, REQUESTS);
}

static int start_echo(pthread_t *thread, int *listen_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(*listen_fd, (struct sockaddr *)&address, sizeof address) || listen(*listen_fd, 1) ||
        getsockname(*listen_fd, (struct sockaddr *)&address, &len) ||
        pthread_create(thread, NULL, echo_bytes, listen_fd))
        die("echo");
    return connect_to(ntohs(address.sin_port));
}

static void print_rounds(double results[SYSTEMS][ROUNDS])
{
    static const char *const names[] = {"bytes echoed by a thread", "bare libmicrohttpd",
                                        "http (ours)"};
    double middle[SYSTEMS];
    for (int system = 0; system < SYSTEMS; system++) {
        middle[system] = median(results[system], ROUNDS);
        printf("%-26s p50 %6.1f us  (rounds %.1f .. %.1f)\n", names[system], middle[system],
               results[system][0], results[system][ROUNDS - 1]);
    }
    printf("ours - bare libmicrohttpd  %6.1f us\n", middle[2] - middle[1]);
    printf("ours - echo                %6.1f us\n", middle[2] - middle[0]);
}

int main(void)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_pool *pool = NULL;
    struct http_server *server = NULL;
    const struct http_handlers handlers = {route, handle, NULL, NULL};
    pthread_t thread;
    int listen_fd = -1;
    struct MHD_Daemon *bare =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, bare_answer, NULL,
                         MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
    if (!bare || lh_pool_new(2, 0, 16, &pool, &err))
        die("start");
    const struct http_server_options options = {.pool = pool};
    if (http_server_start(&options, &handlers, &server, &err))
        die(err.message);
    const int fds[SYSTEMS] = {
        start_echo(&thread, &listen_fd),
        connect_to(MHD_get_daemon_info(bare, MHD_DAEMON_INFO_BIND_PORT)->port),
        connect_to(http_server_port(server))};
    double results[SYSTEMS][ROUNDS];
    for (int system = 0; system < SYSTEMS; system++)
        round_p50(fds[system]);
    for (int round = 0; round < ROUNDS; round++)
        for (int at = 0; at < SYSTEMS; at++) {
            const int system = round % 2 ? SYSTEMS - 1 - at : at;
            results[system][round] = round_p50(fds[system]);
        }
    print_rounds(results);
    for (int system = 0; system < SYSTEMS; system++)
        close(fds[system]);
    pthread_join(thread, NULL);
    close(listen_fd);
    http_server_stop(server, 100);
    MHD_stop_daemon(bare);
    lh_pool_free(pool);
    return 0;
}
