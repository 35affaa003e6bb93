#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/internal.h"

/* Why a thread and an epoll set of its own: libmicrohttpd looks away from a suspended connection,
 * and that is when we most want to know that its client left. Edge-triggered on EPOLLRDHUP alone, a
 * socket costs one epoll_ctl in its life and wakes this thread once, at its end; data does not wake
 * it. A client that shuts only its sending side counts as gone, as in most servers. */

#define TICK_MS 200
#define EVENTS_MAX 64
#define LINGER_US 2000000
#define LINGER_BYTES_MAX ((int64_t)64 * 1024 * 1024)

enum event_kind { EVENT_WAKE, EVENT_CONNECTION, EVENT_LINGERING };

static uint64_t event_tag(enum event_kind kind, size_t slot, uint32_t generation)
{
    return (uint64_t)kind << 62 | (uint64_t)generation << 24 | (uint64_t)slot;
}

void connection_set_phase(struct connection *connection, enum phase phase)
{
    const int64_t now_us = lh_clock_monotonic_us();
    pthread_mutex_lock(&connection->lock);
    connection->phase = phase;
    connection->phase_us = now_us;
    pthread_mutex_unlock(&connection->lock);
}

/* --- who is watched --- */

/* With the lock held. False without memory: the connection is served all the same, but its
 * deadlines are not kept and its hang-up is found only when writing. */
static bool take_slot(struct watch *watch, struct connection *connection)
{
    size_t at = 0;
    while (at < watch->slot_count && watch->slots[at].connection)
        at++;
    if (at == watch->slot_count) {
        const size_t count = at ? at * 2 : 64;
        struct watch_slot *slots = realloc(watch->slots, count * sizeof *slots);
        if (!slots)
            return false;
        memset(slots + at, 0, (count - at) * sizeof *slots);
        watch->slots = slots;
        watch->slot_count = count;
    }
    watch->slots[at].connection = connection;
    connection->slot = at;
    return true;
}

void watch_add(struct http_server *server, struct connection *connection)
{
    struct watch *watch = &server->watch;
    pthread_mutex_lock(&watch->lock);
    connection->is_watched = take_slot(watch, connection);
    if (connection->is_watched) {
        const uint32_t generation = watch->slots[connection->slot].generation;
        struct epoll_event event = {
            .events = EPOLLRDHUP | EPOLLET,
            .data.u64 = event_tag(EVENT_CONNECTION, connection->slot, generation),
        };
        (void)epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
    }
    pthread_mutex_unlock(&watch->lock);
}

void watch_remove(struct http_server *server, struct connection *connection)
{
    struct watch *watch = &server->watch;
    pthread_mutex_lock(&watch->lock);
    if (connection->is_watched) {
        (void)epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
        watch->slots[connection->slot].connection = NULL;
        watch->slots[connection->slot].generation++;
    }
    pthread_mutex_unlock(&watch->lock);
}

static void connection_start(struct http_server *server, struct MHD_Connection *mhd,
                             void **socket_context)
{
    struct connection *connection = calloc(1, sizeof *connection);
    *socket_context = connection;
    if (!connection)
        return; /* exchange_target closes it */
    connection->server = server;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    address_text(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
                 connection->remote, sizeof connection->remote);
    pthread_mutex_init(&connection->lock, NULL);
    connection_set_phase(connection, PHASE_HEADER);
    /* The kernel ends connections whose client reads nothing, also for replies that are no streams.
     */
    const unsigned timeout_ms = (unsigned)server->options.write_timeout_ms + 2000;
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    count_add(&server->counters.connections, 1);
    count_add(&server->counters.connections_total, 1);
    watch_add(server, connection);
    crowd_enter(server, connection);
}

void connection_notify(void *context, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode what)
{
    static _Thread_local bool is_prompt; /* the library's threads start without a word to us */
    struct http_server *server = context;
    if (!is_prompt)
        lh_thread_be_prompt();
    is_prompt = true;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_start(server, mhd, socket_context);
        return;
    }
    struct connection *connection = *socket_context;
    if (!connection)
        return;
    watch_remove(server, connection);
    count_add(&server->counters.connections, -1);
    exchange_free(connection->spare);
    pthread_mutex_destroy(&connection->lock);
    free(connection);
}

/* --- clients that leave --- */

/* libmicrohttpd overlooks an end that arrives together with the last bytes: after a short read it
 * waits for another edge, which never comes. Shutting the receiving side makes one, and leaves
 * unread bytes and the sending side alone. Repeated at every tick, because the edge may come too
 * early to be seen as another. */
static void nudge_locked(const struct connection *connection)
{
    if (connection->is_hung_up && connection->phase != PHASE_BUSY)
        shutdown(connection->fd, SHUT_RD);
}

static void on_hang_up(struct http_server *server, uint64_t tag)
{
    struct watch *watch = &server->watch;
    const size_t slot = tag & 0xffffff;
    const uint32_t generation = (uint32_t)(tag >> 24);
    pthread_mutex_lock(&watch->lock);
    struct connection *connection = watch->slots[slot].connection;
    if (connection && watch->slots[slot].generation == generation) {
        pthread_mutex_lock(&connection->lock);
        connection->is_hung_up = true;
        struct exchange *exchange = connection->exchange;
        if (exchange && !atomic_load(&exchange->is_answered)) {
            lh_cancel_fire(&exchange->cancel, LH_CANCELLED);
            count_add(&server->counters.hang_ups, 1);
        }
        nudge_locked(connection);
        pthread_mutex_unlock(&connection->lock);
    }
    pthread_mutex_unlock(&watch->lock);
}

/* --- clients that were refused and still send --- */

static void linger_end(struct watch *watch, struct lingering *lingering)
{
    (void)epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, lingering->fd, NULL);
    close(lingering->fd);
    lingering->fd = -1;
}

void watch_linger(struct http_server *server, int fd)
{
    struct watch *watch = &server->watch;
    struct lingering *chosen = NULL;
    shutdown(fd, SHUT_WR);
    pthread_mutex_lock(&watch->lock);
    for (size_t at = 0; at < LINGERING_MAX && !chosen; at++)
        if (watch->lingering[at].fd < 0)
            chosen = &watch->lingering[at];
    if (!chosen) { /* too many: the longest waiting goes */
        chosen = &watch->lingering[0];
        for (size_t at = 1; at < LINGERING_MAX; at++)
            if (watch->lingering[at].deadline_us < chosen->deadline_us)
                chosen = &watch->lingering[at];
        linger_end(watch, chosen);
    }
    *chosen = (struct lingering){fd, lh_clock_monotonic_us() + LINGER_US, LINGER_BYTES_MAX};
    struct epoll_event event = {
        .events = EPOLLIN,
        .data.u64 = event_tag(EVENT_LINGERING, (size_t)(chosen - watch->lingering), 0),
    };
    if (epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        linger_end(watch, chosen);
    pthread_mutex_unlock(&watch->lock);
}

static void on_lingering(struct watch *watch, uint64_t tag)
{
    char waste[65536];
    pthread_mutex_lock(&watch->lock);
    struct lingering *lingering = &watch->lingering[tag & 0xffffff];
    if (lingering->fd >= 0) {
        const ssize_t count = recv(lingering->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (count > 0)
            lingering->bytes_left -= count;
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) ||
            lingering->bytes_left < 0)
            linger_end(watch, lingering);
    }
    pthread_mutex_unlock(&watch->lock);
}

/* --- deadlines --- */

/* What the client is told when it is cut, "" for silence, NULL while all is well. */
static const char *overdue(const struct connection *connection, int64_t now_us)
{
    const struct http_server_options *options = &connection->server->options;
    const int64_t since_us = now_us - connection->phase_us;
    const int64_t bytes = atomic_load_explicit(&connection->body_bytes, memory_order_relaxed);
    switch (connection->phase) {
    case PHASE_IDLE:
        return since_us > options->idle_timeout_ms * 1000 ? "" : NULL;
    case PHASE_HEADER:
        return since_us > options->header_timeout_ms * 1000
                   ? "The request's header did not arrive in time."
                   : NULL;
    case PHASE_BODY:
        return since_us >
                       options->header_timeout_ms * 1000 + bytes * 1000000 / options->body_rate_min
                   ? "The request's body arrives too slowly."
                   : NULL;
    case PHASE_BUSY:
        return NULL;
    }
    return NULL;
}

/* The socket is shut, not closed: its I/O thread sees the end and cleans up. */
static void cut_if_overdue(struct connection *connection, int64_t now_us)
{
    pthread_mutex_lock(&connection->lock);
    const char *message = connection->is_cut ? NULL : overdue(connection, now_us);
    if (message) {
        connection->is_cut = true;
        count_add(&connection->server->counters.timeouts, 1);
        if (message[0])
            refuse_slow(connection, message);
        shutdown(connection->fd, SHUT_RDWR);
    }
    nudge_locked(connection);
    pthread_mutex_unlock(&connection->lock);
}

static void on_tick(struct http_server *server)
{
    struct watch *watch = &server->watch;
    const int64_t now_us = lh_clock_monotonic_us();
    pthread_mutex_lock(&watch->lock);
    for (size_t at = 0; at < watch->slot_count; at++)
        if (watch->slots[at].connection)
            cut_if_overdue(watch->slots[at].connection, now_us);
    for (size_t at = 0; at < LINGERING_MAX; at++)
        if (watch->lingering[at].fd >= 0 && watch->lingering[at].deadline_us < now_us)
            linger_end(watch, &watch->lingering[at]);
    pthread_mutex_unlock(&watch->lock);
}

/* --- the thread --- */

static void *watch_run(void *context)
{
    struct http_server *server = context;
    struct watch *watch = &server->watch;
    struct epoll_event events[EVENTS_MAX];
    int64_t tick_us = lh_clock_monotonic_us();
    while (!atomic_load(&watch->is_stopping)) {
        const int count = epoll_wait(watch->epoll_fd, events, EVENTS_MAX, TICK_MS);
        for (int at = 0; at < count; at++) {
            const enum event_kind kind = (enum event_kind)(events[at].data.u64 >> 62);
            if (kind == EVENT_CONNECTION)
                on_hang_up(server, events[at].data.u64);
            else if (kind == EVENT_LINGERING)
                on_lingering(watch, events[at].data.u64);
        }
        if (lh_clock_monotonic_us() - tick_us >= (int64_t)TICK_MS * 1000) {
            on_tick(server);
            tick_us = lh_clock_monotonic_us();
        }
    }
    return NULL;
}

enum lh_code watch_start(struct http_server *server, struct lh_error *err)
{
    struct watch *watch = &server->watch;
    pthread_mutex_init(&watch->lock, NULL);
    for (size_t at = 0; at < LINGERING_MAX; at++)
        watch->lingering[at].fd = -1;
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = event_tag(EVENT_WAKE, 0, 0)};
    if (watch->epoll_fd < 0 || watch->wake_fd < 0 ||
        epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->wake_fd, &event))
        return lh_fail_errno(err, errno, "The server cannot watch its connections");
    const enum lh_code code = lh_thread_start("http-watch", watch_run, server, &watch->thread, err);
    watch->is_started = !code;
    return code;
}

void watch_stop(struct http_server *server)
{
    struct watch *watch = &server->watch;
    if (watch->is_started) {
        const uint64_t one = 1;
        atomic_store(&watch->is_stopping, true);
        if (write(watch->wake_fd, &one, sizeof one) == sizeof one || errno == EAGAIN)
            pthread_join(watch->thread, NULL); /* without the write it would end at its next tick */
    }
    for (size_t at = 0; at < LINGERING_MAX; at++)
        if (watch->lingering[at].fd >= 0)
            linger_end(watch, &watch->lingering[at]);
    if (watch->epoll_fd >= 0)
        close(watch->epoll_fd);
    if (watch->wake_fd >= 0)
        close(watch->wake_fd);
    pthread_mutex_destroy(&watch->lock);
    free(watch->slots);
}
