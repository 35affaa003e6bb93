/* A small HTTP server for tests, and a raw client that may misbehave.
 *
 * Routes: /echo (body in memory, sent back), /show (what the handler sees, as text), /spool, /form,
 * /stream
 * (?bytes=, streamed), /events (flushed piece by piece), /wait (until its cancel fires), /gate
 * (until http_house_open), /late (an error after some rows), /cut (aborts), /after (replies; then
 * waits until http_house_open and looks at its request). All else is refused with LH_NO_ROUTE.
 */
#ifndef LAKEHOUSE_TESTS_SUPPORT_HTTP_HOUSE_H
#define LAKEHOUSE_TESTS_SUPPORT_HTTP_HOUSE_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/http.h"
#include "support/temp_lake.h"

struct http_house {
    struct temp_lake lake;
    struct lh_dir *dir;
    struct lh_pool *pool;
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;                 /* the gate */
    _Atomic int waiting;          /* handlers inside /gate or /wait */
    _Atomic int last_cancel;      /* the code that ended the last /wait or /stream */
    _Atomic int64_t cancelled_us; /* when */
    _Atomic int64_t streamed;     /* bytes that /stream could write */
    _Atomic int looked_back;      /* pieces of work after a reply of /after that are done */
};

extern const struct http_handlers http_house_handlers; /* without a house as context */

/* Zeros in `options` mean what they mean to the server; pool, port and staging are the house's own.
 */
struct http_house *http_house_new(const struct http_server_options *options, unsigned workers,
                                  unsigned queue_max);
void http_house_free(
    struct http_house *house); /* stops, removes its folder, asserts that no file is left */
void http_house_open(struct http_house *house);
/* Waits up to 5 s until `count` handlers stand in /gate or /wait. */
void http_house_wait(struct http_house *house, int count);
int http_house_staged(struct http_house *house); /* files in its staging folder */

/* --- raw client --- */

int raw_connect(const struct http_house *house);
void raw_send(int fd, const char *text);
bool raw_try_send(int fd, const void *bytes, size_t count); /* false once the other side is gone */
/* Reads until the end of the connection or `timeout_ms` of silence; the text is malloc'd. */
char *raw_read_all(int fd, int timeout_ms);
/* Reads one response with Content-Length or chunked framing (frames kept); malloc'd. "" at the end.
 */
char *raw_read_response(int fd);
/* Connects, sends, reads one response, closes. */
char *raw_ask(const struct http_house *house, const char *text);
bool raw_is_closed(int fd, int timeout_ms);

#endif
