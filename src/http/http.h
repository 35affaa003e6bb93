/* The HTTP/1.1 server: bytes of a socket become a checked request, a reply becomes bytes again.
 *
 *   header read ─ route() ─▶ body read or spooled ─▶ queue ─▶ handle() on a worker ─▶ reply
 *        │           │                │                │
 *        └───────────┴── refuse() ────┴────────────────┘
 *
 * A few I/O threads own the sockets and never run business; handlers run on the pool's workers
 * while their connection sleeps. While a handler runs, a hang-up of its client fires
 * request->cancel. Every refusal, ours or the router's, is written by one function, so that all
 * errors look alike. Knows no business word.
 *
 * Threads: route and refuse run on the server's own threads and must not block; handle may, on a
 * worker. All three are called by many threads at once.
 */
#ifndef LAKEHOUSE_HTTP_HTTP_H
#define LAKEHOUSE_HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cancel.h"
#include "base/field.h"
#include "base/file.h"
#include "base/pool.h"

#define HTTP_HEADER_BYTES_MAX ((size_t)16384) /* names and values, summed: more is 431 */
#define HTTP_HEADER_COUNT_MAX ((size_t)100)
#define HTTP_TARGET_BYTES_MAX ((size_t)8192) /* more is 414 */

struct http_server; /* opaque; made by http_server_start, ended by http_server_stop */
struct http_reply;  /* opaque; lives as long as its request */

enum http_method {
    HTTP_GET,
    HTTP_HEAD, /* routed and handled like GET; the body is not sent */
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER,
};

struct http_pair {
    struct lh_str name;
    struct lh_str value;
};

/* One part of a multipart body, in the order of arrival. */
struct http_part {
    struct lh_str name;
    struct lh_str content_type; /* absent = not said */
    bool is_file;               /* it had a filename: then `file`, else `value` */
    struct lh_str value;
    struct lh_upload file; /* path is relative to http_server_options.staging */
};

/* A request; const for everybody but the server. Everything in it lives in `arena`, until the reply
 * is sent. Text is bytes as they came: valid UTF-8 is checked for the path and the query only. */
struct http_request {
    enum http_method method;
    struct lh_str method_name;
    struct lh_str target; /* as sent: path and query */
    struct lh_str path;   /* as sent, without the query */
    const struct lh_str
        *segments;        /* between the slashes, percent-decoded once; "/a%2Fb/c" = {"a/b", "c"} */
    size_t segment_count; /* "/" = 0; a slash at the end adds nothing */
    const struct http_pair *query; /* decoded; '+' is a space */
    size_t query_count;
    const struct http_pair *headers;
    size_t header_count;
    int64_t
        received_us; /* monotonic: when the whole of it had come, before it waited for a worker */
    struct lh_str remote; /* the client's address without its port: "127.0.0.1", "::1" */

    /* Present only in handle(), as the route asked. */
    struct lh_str body;            /* HTTP_BODY_MEMORY, NUL-ended */
    struct lh_upload upload;       /* HTTP_BODY_SPOOL */
    const struct http_part *parts; /* HTTP_BODY_MULTIPART */
    size_t part_count;

    void *route_data;         /* what route() left in http_route.data */
    struct lh_arena *arena;   /* for the handler too; not thread-safe */
    struct lh_cancel *cancel; /* LH_CANCELLED: the client hung up; LH_STOPPING: the server ends */
};

enum http_body_kind {
    HTTP_BODY_NONE,      /* a body is refused with 413 */
    HTTP_BODY_MEMORY,    /* the whole body as request->body */
    HTTP_BODY_SPOOL,     /* the raw body as a file in the staging folder, with its SHA-256 */
    HTTP_BODY_MULTIPART, /* multipart/form-data: files spooled with their SHA-256, other parts in
                            memory */
};

/* What route() decides when the header has been read. Starts as: short lane, no body. */
struct http_route {
    enum lh_lane lane;
    enum http_body_kind body;
    int64_t body_bytes_max; /* of the whole body, however sent; more is 413 */
    void *data;             /* becomes request->route_data */
};

struct http_handlers {
    /* Decides before the body is read. Any code but LH_OK is refused with `err`; a client that
     * waits for "100 Continue" then never sends its body. */
    enum lh_code (*route)(void *context, const struct http_request *request, struct http_route *ret,
                          struct lh_error *err);
    /* Answers. Returning without http_reply_body, _take or _begin sends an empty body. */
    void (*handle)(void *context, const struct http_request *request, struct http_reply *reply);
    /* Writes the reply of a refused request with http_reply_header and http_reply_body; the status
     * is preset from err->code, Retry-After is added by the server. Of `request` only what was
     * already read is filled. */
    void (*refuse)(void *context, const struct http_request *request, const struct lh_error *err,
                   struct http_reply *reply);
    void *context;
};

/* A zero means the value in brackets. */
struct http_server_options {
    struct lh_str address;    /* IPv4 or IPv6 text [127.0.0.1] */
    uint16_t port;            /* 0 = any free one, see http_server_port */
    unsigned io_threads;      /* [2] */
    unsigned connections_max; /* [1024] see connections_per_address_max */
    /* [512] Over a limit the connection that has been silent longest is closed; if none has been
     * for a second, the newest gets 503, but for vital requests. */
    unsigned connections_per_address_max;
    int64_t header_timeout_ms; /* [10000] from the connection's start to the header's end */
    int64_t idle_timeout_ms;   /* [60000] between two requests of a connection */
    int64_t body_rate_min;    /* [1024] bytes per second, over the body's whole time; 408 and end */
    int64_t write_timeout_ms; /* [30000] a client that reads nothing for so long is cut off */
    size_t stream_buffer_bytes; /* [512 KB] of one streamed reply; then http_reply_write waits */
    int64_t disk_reserve_bytes; /* [16 MB] that uploads leave free; more is 507 */
    size_t body_memory_max;     /* [256 MB] of all bodies held in memory at once; more is 503 */
    size_t form_bytes_max;      /* [1 MB] of all parts in memory of one form */
    unsigned form_parts_max;    /* [100] */
    struct lh_pool *pool;       /* runs handle(); outlives the server */
    struct lh_dir *staging;     /* takes the spooled bodies; NULL: such routes answer 503 */
    const char *staging_prefix; /* "staging/": put before the file names; its folder exists */
};

/* Whether a server could listen there now: LH_BUSY, the port is taken; LH_INVALID, not an address
 * of this machine. Asked before much is begun; http_server_start may still find it taken. */
enum lh_code http_server_check(struct lh_str address, uint16_t port,
                               struct lh_error *err) LH_MUST_USE;

/* Listens and serves from here on. LH_BUSY: the port is taken; LH_INVALID: not an address of this
 * machine; LH_IO else. `options` and `handlers` are copied; the pool, the folder and the context
 * are borrowed. */
enum lh_code http_server_start(const struct http_server_options *options,
                               const struct http_handlers *handlers, struct http_server **ret,
                               struct lh_error *err) LH_MUST_USE;
uint16_t http_server_port(const struct http_server *server);

/* Stops accepting, waits up to grace_ms for running handlers, then fires their cancels with
 * LH_STOPPING and waits for their end. Requests that arrive meanwhile get 503. Frees the server.
 * NULL is fine. */
void http_server_stop(struct http_server *server, int64_t grace_ms);

/* Makes requests fail with 503 and fires the cancels of running handlers, without waiting; stop
 * comes later. */
void http_server_cancel_all(struct http_server *server);

struct http_server_stats {
    int64_t connections;       /* open now */
    int64_t connections_total; /* accepted since the start */
    int64_t requests_total;
    int64_t replies[6];     /* by status class: [2] = 2xx … */
    int64_t in_flight;      /* header read, reply not finished */
    int64_t handling;       /* on a worker or queued for one */
    int64_t bytes_received; /* of bodies */
    int64_t bytes_sent;     /* of bodies */
    int64_t queue_refused;  /* 503 because the pool's queue was full */
    int64_t hang_ups;       /* clients that left while their handler ran */
    int64_t timeouts;       /* connections cut for being too slow */
    int64_t evicted;        /* silent connections closed to make room */
    int64_t surplus;        /* connections for which no room could be made */
};
struct http_server_stats http_server_stats(struct http_server *server);

/* --- a request --- */

/* The first header of that name (case ignored), trimmed; absent text if there is none. */
struct lh_str http_request_header(const struct http_request *request, const char *name);
/* The media type of Content-Type without parameters, trimmed, as sent; absent text if there is
 * none. */
struct lh_str http_request_content_type(const struct http_request *request);

/* --- a reply: status and headers, then one body, or a stream --- */

void http_reply_status(struct http_reply *reply, int status); /* 200 unless set */
/* Adds a header; control characters in the value become spaces. Content-Length, Transfer-Encoding,
 * Date and Connection are the server's own: naming one is our mistake. Ignored once the stream has
 * begun. */
void http_reply_header(struct http_reply *reply, const char *name, struct lh_str value);

/* Says that this body is worth packing: it leaves in the content coding that the client likes best
 * (gzip, zstd), if it is not a small one. Before the body and before a stream begins; adds Vary. */
void http_reply_pack(struct http_reply *reply);

/* The whole body, sent when the handler returns, with Content-Length. Copied; the last call counts.
 */
void http_reply_body(struct http_reply *reply, struct lh_str bytes);
/* The same without a copy: takes the buffer's memory, which is empty afterwards. */
void http_reply_take(struct http_reply *reply, struct lh_buf *buf);

/* Before the stream begins: how long the body will be. It is then sent with Content-Length, and so
 * is the reply to HEAD, for which nothing need be written. A stream that ends early is cut. */
void http_reply_length(struct http_reply *reply, int64_t bytes);
/* Begins a stream. Nothing is sent before 32 KB, 50 ms, http_reply_flush or the end, whichever
 * comes first: a small reply leaves in one piece with Content-Length, a longer one chunked. Fails
 * like http_reply_write. */
enum lh_code http_reply_begin(struct http_reply *reply, struct lh_error *err) LH_MUST_USE;
/* Copies bytes into the stream; waits while its buffer is full. LH_CANCELLED: the client left;
 * LH_STOPPING: the server ends; LH_TIMEOUT: the client reads nothing (and is cut off). After an
 * error the stream is dead. */
enum lh_code http_reply_write(struct http_reply *reply, const void *bytes, size_t count,
                              struct lh_error *err) LH_MUST_USE;
/* Sends what was written so far instead of waiting for more (first rows, server-sent events). */
enum lh_code http_reply_flush(struct http_reply *reply, struct lh_error *err) LH_MUST_USE;
/* Ends the body well. A handler that returns without it has cut the stream, as http_reply_abort. */
void http_reply_end(struct http_reply *reply);
/* Cuts the stream so that the client sees an error. */
void http_reply_abort(struct http_reply *reply);
/* Takes back status, headers and what was written, as long as none of it was sent: for an error
 * that shows up after the first rows. False: too late, only http_reply_abort is left. */
bool http_reply_restart(struct http_reply *reply) LH_MUST_USE;

/* Runs on the worker once the reply is on its way, or its client is gone: for what nobody waits
 * for. The request, but not the reply, may be read as before; `context` may lie in its arena. One
 * per reply. */
void http_reply_after(struct http_reply *reply, void (*run)(void *context), void *context);

/* The standard reason of a status ("Not Found"); "" if there is none. */
const char *http_status_reason(int status);

#endif
