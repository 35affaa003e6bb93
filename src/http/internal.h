/* How the server works inside: sockets, exchanges (one request with its reply), bodies, the
 * watcher.
 *
 *   TARGET ─ header read ─▶ BODY ─ body read ─▶ QUEUED ─ worker ─▶ READY ─▶ sent, completed
 *      │                       │ refused
 *      ├─ refused, little body ┴──▶ DRAIN ─▶ READY
 *      └─ refused, much body ─────▶ raw: the answer is written past libmicrohttpd, which cannot
 *                                   answer while a body comes in
 *
 * An exchange belongs to its I/O thread until it is queued, to its worker until it is ready, then
 * to the I/O thread again. A started stream has both: they meet in struct http_stream under its
 * lock. The last of the two to leave releases it. Locks, never nested but in this order:
 * watch.lock, connection.lock.
 */
#ifndef LAKEHOUSE_HTTP_INTERNAL_H
#define LAKEHOUSE_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "http/accept.h"
#include "http/body.h"
#include "http/coding.h"
#include "http/http.h"
#include "http/stream.h"

#define REPLY_HEADERS_MAX 32
#define DRAIN_BYTES_MAX                                                                            \
    ((int64_t)65536) /* a refused body up to here is read away to keep the connection */
#define REMOTE_TEXT_BYTES 64

struct exchange;

/* --- sockets and their watcher --- */

enum phase {
    PHASE_IDLE,   /* between requests */
    PHASE_HEADER, /* from the start of the connection or the request line to the end of the header
                   */
    PHASE_BODY,
    PHASE_BUSY, /* handled or answered: no deadline of ours */
};

/* One socket. Made and ended by its I/O thread; seen by the watcher only under watch.lock. */
struct connection {
    struct http_server *server;
    int fd;
    size_t slot; /* in watch.slots */
    bool is_watched;
    char remote[REMOTE_TEXT_BYTES];
    struct exchange *spare; /* of the last request, to be used again; I/O thread only */
    _Atomic int64_t body_bytes;
    pthread_mutex_t lock; /* guards what follows */
    enum phase phase;
    int64_t phase_us;          /* when it began */
    struct exchange *exchange; /* whose cancel is fired when the client leaves; NULL = none */
    bool is_hung_up;
    bool is_cut;     /* the watcher has answered: nothing more may be sent */
    bool is_surplus; /* above a limit: told so and closed; set before its first request is read */
};

struct watch_slot {
    struct connection *connection; /* NULL = free */
    uint32_t generation;           /* tells a late event of the slot's last owner */
};

struct lingering {
    int fd; /* -1 = free */
    int64_t deadline_us;
    int64_t bytes_left;
};

#define LINGERING_MAX 64
#define SURPLUS_MAX 64 /* connections above the limits, to be told so */

/* One thread that notices clients that leave, enforces the deadlines, and reads away what refused
 * clients still send, so that they come to read their answer. */
struct watch {
    int epoll_fd;
    int wake_fd;
    pthread_t thread;
    bool is_started;
    _Atomic bool is_stopping;
    pthread_mutex_t lock; /* guards what follows */
    struct watch_slot *slots;
    size_t slot_count;
    struct lingering lingering[LINGERING_MAX];
};

enum lh_code watch_start(struct http_server *server, struct lh_error *err) LH_MUST_USE;
void watch_stop(struct http_server *server);
void watch_add(struct http_server *server, struct connection *connection);
void watch_remove(struct http_server *server, struct connection *connection);
/* Takes fd: its sending side is shut, its receiving side read away for a while, then it is closed.
 */
void watch_linger(struct http_server *server, int fd);

/* Over a limit the connection that has been silent longest makes room; if none has been for a
 * while, the new one is surplus. */
void crowd_enter(struct http_server *server, struct connection *connection);
/* LH_BUSY for a surplus connection, unless its request is vital. */
enum lh_code crowd_check(const struct exchange *exchange, struct lh_error *err) LH_MUST_USE;

void connection_notify(void *context, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode what);
void connection_set_phase(struct connection *connection, enum phase phase);

/* --- exchanges --- */

enum exchange_state {
    EXCHANGE_TARGET,
    EXCHANGE_BODY,
    EXCHANGE_DRAIN,
    EXCHANGE_QUEUED,
    EXCHANGE_READY
};

struct http_reply {
    struct exchange *exchange;
    int status;
    struct http_pair headers[REPLY_HEADERS_MAX]; /* in the arena, NUL-ended */
    size_t header_count;
    struct lh_buf body;
    int64_t length; /* of a stream; -1 = not known before */
    struct http_stream stream;
    enum coding coding;           /* what the client likes, once http_reply_pack has asked */
    struct coder *coder;          /* of a stream that is packed; else NULL */
    void (*after)(void *context); /* NULL: nothing */
    void *after_context;
};

struct exchange {
    struct http_request request;
    struct http_reply reply;
    struct http_route route;
    struct lh_cancel cancel;
    struct lh_arena *arena;
    struct body body;
    struct http_server *server;
    struct connection *connection; /* I/O thread only */
    struct MHD_Connection *mhd;
    enum exchange_state state; /* owner only, see above */
    _Atomic int references;
    bool is_refused; /* `error` holds why; the reply is to be made on the I/O thread */
    bool is_cut;     /* the handler aborted before anything was sent: close without an answer */
    _Atomic bool is_answered; /* whatever the client does now is no hang-up */
    bool is_counted;          /* in counters.in_flight */
    struct lh_error error;
    int64_t content_length; /* -1 = unknown, chunked */
    bool expects_continue;
    struct exchange *previous; /* in server->handling, guarded by server->lock */
    struct exchange *next;
};

void *exchange_target(void *server, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_access(void *server, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_size, void **context);
void exchange_completed(void *server, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode how);
/* Makes it, or makes `spare` new again (may be NULL). NULL without memory. */
struct exchange *exchange_new(struct connection *connection, struct exchange *spare);
void exchange_free(struct exchange *exchange); /* NULL is fine */
void exchange_unref(struct exchange *exchange);
/* Hands a READY exchange to its I/O thread. The caller may own it no longer. */
void exchange_wake(struct exchange *exchange);
/* Queues it for a worker; on a full queue, or when the server stops, it turns refused. Returns at
 * once. */
enum MHD_Result exchange_submit(struct exchange *exchange);

/* Fills method, headers and path of the request and checks them against the limits. */
enum lh_code head_read(struct exchange *exchange, const char *method, const char *version,
                       struct lh_error *err) LH_MUST_USE;
/* Splits and decodes request->target into path, segments and query. LH_INVALID, LH_TARGET_TOO_LONG.
 */
enum lh_code target_parse(struct http_request *request, struct lh_error *err) LH_MUST_USE;

/* --- replies --- */

void reply_init(struct http_reply *reply, struct exchange *exchange);
void reply_reset(struct http_reply *reply);
void reply_release(struct http_reply *reply);
/* After the handler: a stream that was not ended is cut, an unstarted one becomes one body. */
void reply_finish(struct http_reply *reply);
/* Forgets what was said so far; only while no stream has started. */
void reply_clear(struct http_reply *reply);
enum MHD_Result reply_queue(struct exchange *exchange);

/* Lets the door write the reply of a refused exchange. */
void refuse_make(struct http_server *server, const struct http_request *request,
                 const struct lh_error *error, struct http_reply *reply);
/* Writes the refusal straight to the socket and lets the rest of the body run into the void. The
 * caller returns MHD_NO. */
void refuse_raw(struct exchange *exchange);
/* The same for a connection without an exchange: used by the watcher. The socket stays open. */
void refuse_slow(struct connection *connection, const char *message);

/* --- the server --- */

struct counters {
    _Atomic int64_t connections;
    _Atomic int64_t connections_total;
    _Atomic int64_t requests_total;
    _Atomic int64_t replies[6];
    _Atomic int64_t in_flight;
    _Atomic int64_t bytes_received;
    _Atomic int64_t bytes_sent;
    _Atomic int64_t queue_refused;
    _Atomic int64_t hang_ups;
    _Atomic int64_t timeouts;
    _Atomic int64_t evicted;
    _Atomic int64_t surplus;
};

struct http_server {
    struct http_server_options options; /* zeros replaced */
    struct http_handlers handlers;
    struct MHD_Daemon **daemons; /* options.io_threads of them, the first daemon_count run */
    unsigned daemon_count;
    struct acceptor acceptor;
    uint16_t port;
    char *staging_prefix;
    _Atomic bool is_stopping;
    _Atomic int64_t body_memory; /* bytes of bodies in memory */
    struct counters counters;
    struct watch watch;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct exchange *handling; /* those that are queued or on a worker */
    int64_t handling_count;
};

static inline void count_add(_Atomic int64_t *counter, int64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

#endif
