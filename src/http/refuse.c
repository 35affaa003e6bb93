#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "http/internal.h"

#define RAW_BYTES_MAX ((size_t)65536)
#define RETRY_AFTER_SECONDS "1"

void refuse_make(struct http_server *server, const struct http_request *request,
                 const struct lh_error *error, struct http_reply *reply)
{
    reply_clear(reply);
    reply->status = lh_error_row(error->code)->http_status;
    if (server->handlers.refuse) {
        server->handlers.refuse(server->handlers.context, request, error, reply);
    } else {
        http_reply_header(reply, "Content-Type", lh_lit("text/plain; charset=utf-8"));
        http_reply_body(reply, lh_arena_printf(reply->exchange->arena, "%s\n", error->message));
    }
    if (lh_error_row(error->code)->http_status == 503)
        http_reply_header(reply, "Retry-After", lh_lit(RETRY_AFTER_SECONDS));
}

static void write_reply(const struct http_reply *reply, bool has_body, struct lh_buf *out)
{
    const struct lh_str body = lh_buf_str(&reply->body);
    lh_buf_printf(out, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
                  reply->status, http_status_reason(reply->status), body.len);
    for (size_t at = 0; at < reply->header_count; at++)
        lh_buf_printf(out, "%.*s: %.*s\r\n", LH_ARG(reply->headers[at].name),
                      LH_ARG(reply->headers[at].value));
    lh_buf_append_str(out, lh_lit("\r\n"));
    if (has_body)
        lh_buf_append_str(out, body);
}

/* Straight to the socket, without waiting: a refusal is small, and the send buffer holds at most
 * the answer to an earlier request. What does not fit is lost with the connection. */
static void send_reply(int fd, const struct http_reply *reply, bool has_body)
{
    struct lh_buf out;
    lh_buf_init(&out, RAW_BYTES_MAX);
    write_reply(reply, has_body, &out);
    size_t sent = 0;
    while (sent < out.len) {
        const ssize_t count =
            send(fd, out.data + sent, out.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        sent += (size_t)count;
    }
    lh_buf_release(&out);
}

void refuse_raw(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    struct connection *connection = exchange->connection;
    refuse_make(server, &exchange->request, &exchange->error, &exchange->reply);
    count_add(&server->counters.replies[exchange->reply.status / 100], 1);
    send_reply(connection->fd, &exchange->reply, exchange->request.method != HTTP_HEAD);
    const int fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        watch_linger(server, fd);
}

void refuse_slow(struct connection *connection, const char *message)
{
    struct http_server *server = connection->server;
    struct exchange *exchange = exchange_new(connection, NULL);
    if (!exchange)
        return;
    lh_fail(&exchange->error, LH_SLOW_CLIENT, "%s", message);
    refuse_make(server, &exchange->request, &exchange->error, &exchange->reply);
    count_add(&server->counters.replies[exchange->reply.status / 100], 1);
    send_reply(connection->fd, &exchange->reply, true);
    exchange_free(exchange);
}
