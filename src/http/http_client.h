/* The HTTP client: one request, one response, over a connection that is kept for the next.
 *
 * Goes only where the URL says: http and https, no redirects, no proxies or passwords from the
 * environment or from files. Certificates are verified. Statuses are results, not errors: LH_OK
 * means that a whole response came. A client may be used by one thread at a time; blocks until the
 * response, the timeout or the cancel.
 */
#ifndef LAKEHOUSE_HTTP_HTTP_CLIENT_H
#define LAKEHOUSE_HTTP_HTTP_CLIENT_H

#include "http/http.h"

struct http_client; /* opaque; made by http_client_new, ended by http_client_free */

enum lh_code http_client_new(struct http_client **ret, struct lh_error *err) LH_MUST_USE;
void http_client_free(struct http_client *client); /* NULL is fine */

/* A part of a multipart body that is sent: a value, or a file if `file_path` is present. */
struct http_client_part {
    struct lh_str name;
    struct lh_str value;
    struct lh_str file_path;    /* a path of the caller's machine, read while sending */
    struct lh_str filename;     /* as the server sees it; absent = the path's last component */
    struct lh_str content_type; /* absent = application/octet-stream for files, none for values */
};

struct http_client_request {
    const char *method; /* "GET" … */
    struct lh_str url;
    const struct http_pair *headers;
    size_t header_count;
    struct lh_str body;      /* sent as it is; with parts: unused */
    struct lh_str body_path; /* a file of the caller's machine that is the body; absent = none */
    int64_t body_offset;     /* of that file: where the body begins */
    int64_t body_bytes;      /* and how long it is; 0 = to the end of the file */
    const struct http_client_part *parts;
    size_t part_count;
    int64_t connect_timeout_ms;     /* 0 = 10000 */
    int64_t timeout_ms;             /* of the whole exchange; 0 = none */
    int64_t stall_timeout_ms;       /* without a byte in either direction; 0 = none */
    const struct lh_cancel *cancel; /* looked at least every 50 ms; may be NULL */
    size_t response_bytes_max;      /* of response->body; 0 = 64 MB; more is LH_TOO_LARGE */
    /* Given: bodies of statuses below 300 go here piece by piece instead of into response->body.
     * `status` comes with every piece. Any code but LH_OK ends the exchange and is returned with
     * its err. */
    enum lh_code (*sink)(void *context, int status, struct lh_str bytes, struct lh_error *err);
    /* Given: called now and then with the bytes of the body sent so far and to send (-1 = unknown).
     */
    void (*progress)(void *context, int64_t sent, int64_t total);
    void *context; /* of sink and progress */
};

struct http_client_response {
    int status;
    const struct http_pair *headers; /* in `arena` */
    size_t header_count;
    struct lh_buf body;
    struct lh_arena *arena;
};

/* Sends and waits. LH_INVALID: the URL; LH_NOT_FOUND: a file to send; LH_IO: no connection or a
 * broken one (the message names host and port, the hint says what to look at); LH_TIMEOUT;
 * LH_CANCELLED. On LH_OK the caller ends *ret with http_client_response_release. */
enum lh_code http_client_send(struct http_client *client, const struct http_client_request *request,
                              struct http_client_response *ret, struct lh_error *err) LH_MUST_USE;
void http_client_response_release(struct http_client_response *response); /* NULL is fine */

/* The first header of that name (case ignored); absent text if there is none. */
struct lh_str http_client_response_header(const struct http_client_response *response,
                                          const char *name);

#endif
