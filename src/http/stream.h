/* The stream of a reply: where the worker that writes and the I/O thread that reads meet. */
#ifndef LAKEHOUSE_HTTP_STREAM_H
#define LAKEHOUSE_HTTP_STREAM_H

#include <pthread.h>
#include <sys/types.h>

#include "http/http.h"

struct exchange;

/* Between the worker that writes and the I/O thread that reads. Starts as memory only: until
 * `is_started` nothing was sent, and a stream that ends before is sent as one body. */
struct http_stream {
    bool is_begun;        /* worker only */
    bool is_started;      /* worker only: the connection was woken to send it */
    int64_t kicked_us;    /* worker only: when the I/O thread was last told */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t room;
    char *ring;
    size_t capacity;
    size_t max;
    size_t start;
    size_t len;
    bool is_waiting; /* the I/O thread found nothing and suspended the connection */
    bool is_ended;
    bool is_aborted;
    bool is_closed;  /* the I/O thread has left: sent, or the client is gone */
    int64_t read_us; /* when the I/O thread last took bytes */
};

/* The content reader of a started stream; `context` is the exchange. */
ssize_t stream_read(void *context, uint64_t at, char *ret, size_t max);
void stream_close(struct exchange *exchange); /* the I/O thread leaves */
void stream_init(struct http_stream *stream, size_t max);
void stream_reset(struct http_stream *stream); /* for the next request; keeps nothing */
void stream_release(struct http_stream *stream);

#endif
