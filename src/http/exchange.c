#include <stdlib.h>

#include "base/clock.h"
#include "http/internal.h"

/* The life of one request with its reply: what libmicrohttpd calls, in the order of internal.h's
 * diagram. */

static struct exchange *make(struct http_server *server)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->arena = lh_arena_new(0);
    exchange->server = server;
    exchange->body = (struct body){.spool = {.fd = -1}};
    reply_init(&exchange->reply, exchange);
    return exchange;
}

struct exchange *exchange_new(struct connection *connection, struct exchange *spare)
{
    struct exchange *exchange = spare ? spare : make(connection->server);
    if (!exchange)
        return NULL;
    exchange->connection = connection;
    lh_cancel_init(&exchange->cancel);
    exchange->request = (struct http_request){
        /* Copied: a handler may log after its connection is gone. */
        .remote = lh_arena_str(exchange->arena, lh_str_of(connection->remote)),
        .arena = exchange->arena,
        .cancel = &exchange->cancel,
    };
    exchange->route = (struct http_route){0};
    exchange->state = EXCHANGE_TARGET;
    exchange->is_refused = exchange->is_cut = exchange->is_counted = false;
    exchange->expects_continue = false;
    exchange->content_length = 0;
    atomic_store(&exchange->is_answered, false);
    atomic_store(&exchange->references, 1);
    return exchange;
}

static void exchange_reset(struct exchange *exchange)
{
    body_release(exchange);
    reply_reset(&exchange->reply);
    lh_arena_clear(exchange->arena);
}

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    body_release(exchange);
    reply_release(&exchange->reply);
    lh_arena_free(exchange->arena);
    free(exchange);
}

void exchange_unref(struct exchange *exchange)
{
    if (atomic_fetch_sub(&exchange->references, 1) == 1)
        exchange_free(exchange);
}

/* --- the worker --- */

/* False once the server stops: from then on nothing more is queued. */
static bool list_add(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    if (atomic_load(&server->is_stopping)) {
        pthread_mutex_unlock(&server->lock);
        return false;
    }
    exchange->previous = NULL;
    exchange->next = server->handling;
    if (server->handling)
        server->handling->previous = exchange;
    server->handling = exchange;
    server->handling_count++;
    pthread_mutex_unlock(&server->lock);
    return true;
}

/* Off the list, so that nobody fires its cancel any more; still counted. */
static void list_remove(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        server->handling = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    pthread_mutex_unlock(&server->lock);
}

/* The last thing that a worker does with the server: http_server_stop waits for it. */
static void uncount(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->handling_count--;
    if (server->handling_count == 0)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void exchange_wake(struct exchange *exchange)
{
    exchange->state = EXCHANGE_READY;
    MHD_resume_connection(exchange->mhd);
}

/* Runs the handler, unless the client left or the server stops while the request was queued. */
static void handle(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (lh_cancel_check(&exchange->cancel)) {
        lh_cancel_fail(&exchange->cancel, "The request", &exchange->error);
        exchange->is_refused = true;
    } else {
        server->handlers.handle(server->handlers.context, &exchange->request, &exchange->reply);
        reply_finish(&exchange->reply);
    }
    body_remove_files(exchange);
}

static void work(void *context)
{
    struct exchange *exchange = context;
    struct http_server *server = exchange->server;
    struct MHD_Connection *mhd = exchange->mhd;
    handle(exchange);
    list_remove(exchange);
    const bool is_started = exchange->reply.stream.is_started;
    void (*after)(void *context) = exchange->reply.after;
    void *const after_context = exchange->reply.after_context;
    if (!is_started)
        exchange->state = EXCHANGE_READY;
    if (!after)
        exchange_unref(exchange); /* an unstarted one is still held by its connection */
    if (!is_started)
        MHD_resume_connection(mhd);
    if (after) {
        after(after_context);
        exchange_unref(exchange);
    }
    uncount(server);
}

enum MHD_Result exchange_submit(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    struct connection *connection = exchange->connection;
    exchange->request.received_us = lh_clock_monotonic_us();
    if (!list_add(exchange)) {
        lh_fail(&exchange->error, LH_STOPPING, "The server is shutting down.");
        exchange->is_refused = true;
        return reply_queue(exchange);
    }
    pthread_mutex_lock(&connection->lock);
    connection->exchange = exchange;
    if (connection->is_hung_up)
        lh_cancel_fire(&exchange->cancel, LH_CANCELLED);
    pthread_mutex_unlock(&connection->lock);
    /* Suspended first: the worker may be done before lh_pool_submit has returned. */
    MHD_suspend_connection(exchange->mhd);
    exchange->state = EXCHANGE_QUEUED;
    atomic_store(&exchange->references, 2);
    if (!lh_pool_submit(server->options.pool, exchange->route.lane, work, exchange,
                        &exchange->error))
        return MHD_YES;
    list_remove(exchange);
    count_add(&server->counters.queue_refused, 1);
    exchange->is_refused = true;
    atomic_store(&exchange->references, 1);
    exchange_wake(exchange);
    uncount(server);
    return MHD_YES;
}

/* --- libmicrohttpd's calls, all on the connection's I/O thread --- */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void *exchange_target(void *server, const char *target, struct MHD_Connection *mhd)
{
    (void)server;
    struct connection *connection = connection_of(mhd);
    if (!connection)
        return NULL; /* there was no memory for it: exchange_access will close it */
    struct exchange *exchange = exchange_new(connection, connection->spare);
    connection->spare = NULL;
    if (!exchange)
        return NULL;
    exchange->mhd = mhd;
    exchange->request.target = lh_arena_str(exchange->arena, lh_str_of(target));
    connection_set_phase(connection, PHASE_HEADER);
    return exchange;
}

/* exchange->error says why. A body that is small enough is read away to keep the connection alive;
 * otherwise the answer goes out at once, past libmicrohttpd, and the connection ends. */
static enum MHD_Result refuse(struct exchange *exchange)
{
    exchange->is_refused = true;
    body_remove_files(exchange); /* before the client hears of it */
    const int64_t left = exchange->content_length - exchange->body.received;
    const bool is_known = exchange->content_length >= 0;
    if (is_known && left <= DRAIN_BYTES_MAX && (left == 0 || !exchange->expects_continue)) {
        exchange->state = EXCHANGE_DRAIN;
        return MHD_YES;
    }
    refuse_raw(exchange);
    return MHD_NO;
}

static enum lh_code begin(struct exchange *exchange, const char *method, const char *version,
                          struct lh_error *err)
{
    const struct http_handlers *handlers = &exchange->server->handlers;
    enum lh_code code = head_read(exchange, method, version, err);
    if (code)
        return code;
    if (atomic_load(&exchange->server->is_stopping))
        return lh_fail(err, LH_STOPPING, "The server is shutting down.");
    code = handlers->route(handlers->context, &exchange->request, &exchange->route, err);
    if (!code)
        code = crowd_check(exchange, err);
    if (code)
        return code;
    exchange->request.route_data = exchange->route.data;
    return body_begin(exchange, err);
}

static enum MHD_Result on_header(struct exchange *exchange, const char *method, const char *version)
{
    struct connection *connection = exchange->connection;
    count_add(&exchange->server->counters.requests_total, 1);
    count_add(&exchange->server->counters.in_flight, 1);
    exchange->is_counted = true;
    atomic_store(&connection->body_bytes, 0);
    const enum lh_code code = begin(exchange, method, version, &exchange->error);
    connection_set_phase(connection, exchange->content_length == 0 ? PHASE_BUSY : PHASE_BODY);
    if (code)
        return refuse(exchange);
    exchange->state = EXCHANGE_BODY;
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *exchange, struct lh_str bytes)
{
    count_add(&exchange->connection->body_bytes, (int64_t)bytes.len);
    if (exchange->state == EXCHANGE_BODY && body_add(exchange, bytes, &exchange->error))
        return refuse(exchange);
    return MHD_YES;
}

static enum MHD_Result on_body_end(struct exchange *exchange)
{
    connection_set_phase(exchange->connection, PHASE_BUSY);
    if (exchange->state == EXCHANGE_BODY && body_end(exchange, &exchange->error)) {
        exchange->is_refused = true;
        body_remove_files(exchange);
        exchange->state = EXCHANGE_DRAIN;
    }
    if (exchange->state == EXCHANGE_DRAIN)
        return reply_queue(exchange);
    return exchange_submit(exchange);
}

/* A whole reply is on its way: its client may leave now. */
static enum MHD_Result on_ready(struct exchange *exchange)
{
    if (!exchange->reply.stream.is_started) {
        struct connection *connection = exchange->connection;
        pthread_mutex_lock(&connection->lock);
        connection->exchange = NULL;
        pthread_mutex_unlock(&connection->lock);
    }
    return reply_queue(exchange);
}

enum MHD_Result exchange_access(void *server, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_size, void **context)
{
    (void)server;
    (void)mhd;
    (void)url;
    struct exchange *exchange = *context;
    const size_t count = *data_size;
    if (!exchange)
        return MHD_NO;
    switch (exchange->state) {
    case EXCHANGE_TARGET:
        return on_header(exchange, method, version);
    case EXCHANGE_BODY:
    case EXCHANGE_DRAIN:
        if (count == 0)
            return on_body_end(exchange);
        *data_size = 0;
        return on_body(exchange, (struct lh_str){data, count});
    case EXCHANGE_QUEUED:
        return MHD_YES; /* suspended: cannot happen, and would do no harm */
    case EXCHANGE_READY:
        return on_ready(exchange);
    }
    return MHD_NO;
}

void exchange_completed(void *server, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode how)
{
    (void)server;
    (void)mhd;
    (void)how;
    struct exchange *exchange = *context;
    *context = NULL;
    if (!exchange)
        return;
    struct connection *connection = exchange->connection;
    pthread_mutex_lock(&connection->lock);
    connection->exchange = NULL;
    pthread_mutex_unlock(&connection->lock);
    connection_set_phase(connection, PHASE_IDLE);
    if (exchange->is_counted)
        count_add(&exchange->server->counters.in_flight, -1);
    stream_close(exchange);
    if (atomic_fetch_sub(&exchange->references, 1) > 1)
        return; /* its handler still runs and will free it */
    exchange_reset(exchange);
    connection->spare = exchange;
}
