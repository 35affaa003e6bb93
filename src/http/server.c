#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/internal.h"

/* Half of it is the read buffer, which holds a whole header; all of it is cleared after every
 * request. */
#define CONNECTION_MEMORY_BYTES ((size_t)65536)
#define DRAIN_MS 2000 /* for replies that are still being sent when the server stops */

static void fill_options(struct http_server_options *options)
{
    const struct http_server_options presets = {
        .address = LH_LIT("127.0.0.1"),
        .io_threads = 2,
        .connections_max = 1024,
        .connections_per_address_max = 512,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 60000,
        .body_rate_min = 1024,
        .write_timeout_ms = 30000,
        .stream_buffer_bytes = (size_t)512 * 1024,
        .disk_reserve_bytes = INT64_C(16) << 20,
        .body_memory_max = (size_t)256 * 1024 * 1024,
        .form_bytes_max = (size_t)1024 * 1024,
        .form_parts_max = 100,
    };
#define FILL(member)                                                                               \
    if (!options->member)                                                                          \
    options->member = presets.member
    if (lh_str_empty(options->address))
        options->address = presets.address;
    FILL(io_threads);
    FILL(connections_max);
    FILL(connections_per_address_max);
    FILL(header_timeout_ms);
    FILL(idle_timeout_ms);
    FILL(body_rate_min);
    FILL(write_timeout_ms);
    FILL(stream_buffer_bytes);
    FILL(disk_reserve_bytes);
    FILL(body_memory_max);
    FILL(form_bytes_max);
    FILL(form_parts_max);
#undef FILL
}

/* Targets are decoded by us, once: libmicrohttpd shall leave its copy alone. */
static size_t keep_escapes(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context;
    (void)mhd;
    return strlen(text);
}

/* One of them is one I/O thread. A pool of the library's own would need its listening socket. */
static struct MHD_Daemon *daemon_start(struct http_server *server)
{
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                           MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_MEMORY_BYTES, NULL},
        /* Never reached: ours are kept in crowd.c. */
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(server->options.connections_max + 2 * SURPLUS_MAX),
         NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(flags, 0, NULL, NULL, exchange_access, server, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, server,
                            MHD_OPTION_NOTIFY_CONNECTION, connection_notify, server,
                            MHD_OPTION_URI_LOG_CALLBACK, exchange_target, server,
                            MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
}

static void daemons_stop(struct http_server *server)
{
    for (; server->daemon_count > 0; server->daemon_count--)
        MHD_stop_daemon(server->daemons[server->daemon_count - 1]);
}

static enum lh_code daemons_start(struct http_server *server, struct lh_error *err)
{
    for (; server->daemon_count < server->options.io_threads; server->daemon_count++) {
        server->daemons[server->daemon_count] = daemon_start(server);
        if (!server->daemons[server->daemon_count])
            return lh_fail_errno(err, errno ? errno : EIO,
                                 "The HTTP server cannot start its threads");
    }
    return LH_OK;
}

static void server_free(struct http_server *server)
{
    daemons_stop(server);
    watch_stop(server);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server->staging_prefix);
    free(server->daemons);
    free(server);
}

static struct http_server *server_new(const struct http_server_options *options,
                                      const struct http_handlers *handlers)
{
    struct http_server_options filled = *options;
    fill_options(&filled);
    struct http_server *server = calloc(1, sizeof *server);
    struct MHD_Daemon **const daemons = calloc(filled.io_threads, sizeof(struct MHD_Daemon *));
    pthread_condattr_t attributes;
    char *const prefix = strdup(options->staging_prefix ? options->staging_prefix : "staging/");
    if (!server || !daemons || !prefix) {
        free(server);
        free(daemons);
        free(prefix);
        return NULL;
    }
    server->options = filled;
    server->handlers = *handlers;
    server->daemons = daemons;
    server->staging_prefix = prefix;
    server->watch.epoll_fd = server->watch.wake_fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return server;
}

enum lh_code http_server_check(struct lh_str address, uint16_t port, struct lh_error *err)
{
    int fd = -1;
    uint16_t taken = 0;
    enum lh_code code = listen_open(address, port, &fd, &taken, err);
    if (!code)
        close(fd);
    return code;
}

enum lh_code http_server_start(const struct http_server_options *options,
                               const struct http_handlers *handlers, struct http_server **ret,
                               struct lh_error *err)
{
    assert(options->pool && handlers->route && handlers->handle);
    struct http_server *server = server_new(options, handlers);
    if (!server)
        return lh_fail(err, LH_BUSY, "There is no memory for the HTTP server.");
    int listen_fd = -1;
    enum lh_code code = watch_start(server, err);
    if (!code)
        code = listen_open(server->options.address, server->options.port, &listen_fd, &server->port,
                           err);
    if (!code)
        code = daemons_start(server, err);
    if (!code)
        code = accept_start(server, listen_fd, err); /* owns the socket from here on */
    if (!code) {
        *ret = server;
        return LH_OK;
    }
    if (listen_fd >= 0)
        close(listen_fd);
    server_free(server);
    return code;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

/* --- the end --- */

/* With the lock held. False when time is up. */
static bool wait_changed(struct http_server *server, int64_t until_us)
{
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    return pthread_cond_timedwait(&server->changed, &server->lock, &until) != ETIMEDOUT;
}

/* With the lock held. */
static void cancel_handlers(struct http_server *server)
{
    for (struct exchange *exchange = server->handling; exchange; exchange = exchange->next)
        lh_cancel_fire(&exchange->cancel, LH_STOPPING);
}

void http_server_cancel_all(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    atomic_store(&server->is_stopping, true);
    cancel_handlers(server);
    pthread_mutex_unlock(&server->lock);
}

static void wait_for_handlers(struct http_server *server, int64_t grace_ms)
{
    const int64_t until_us = lh_clock_monotonic_us() + grace_ms * 1000;
    pthread_mutex_lock(&server->lock);
    atomic_store(&server->is_stopping, true); /* under the lock: nothing is queued any more */
    while (server->handling_count > 0 && wait_changed(server, until_us))
        continue;
    cancel_handlers(server);
    while (server->handling_count > 0)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

/* Answers that were given shall arrive. */
static void wait_for_replies(struct http_server *server)
{
    const int64_t until_us = lh_clock_monotonic_us() + (int64_t)DRAIN_MS * 1000;
    const struct timespec step = {0, 2000000};
    while (atomic_load(&server->counters.in_flight) > 0 && lh_clock_monotonic_us() < until_us)
        nanosleep(&step, NULL);
}

void http_server_stop(struct http_server *server, int64_t grace_ms)
{
    if (!server)
        return;
    accept_stop(server);
    wait_for_handlers(server, grace_ms);
    wait_for_replies(server);
    /* No connection is suspended any more, which the library would not bear at its end. */
    server_free(server);
}

struct http_server_stats http_server_stats(struct http_server *server)
{
    const struct counters *from = &server->counters;
    struct http_server_stats stats = {
        .connections = atomic_load(&from->connections),
        .connections_total = atomic_load(&from->connections_total),
        .requests_total = atomic_load(&from->requests_total),
        .in_flight = atomic_load(&from->in_flight),
        .bytes_received = atomic_load(&from->bytes_received),
        .bytes_sent = atomic_load(&from->bytes_sent),
        .queue_refused = atomic_load(&from->queue_refused),
        .hang_ups = atomic_load(&from->hang_ups),
        .timeouts = atomic_load(&from->timeouts),
        .evicted = atomic_load(&from->evicted),
        .surplus = atomic_load(&from->surplus),
    };
    for (size_t at = 0; at < 6; at++)
        stats.replies[at] = atomic_load(&from->replies[at]);
    pthread_mutex_lock(&server->lock);
    stats.handling = server->handling_count;
    pthread_mutex_unlock(&server->lock);
    return stats;
}
