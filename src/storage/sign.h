/* AWS Signature Version 4, as stores of the S3 protocol ask for it: a request is signed by headers
 * that go with it, or by its own address.
 *
 * After the published algorithm; nothing of a secret is ever part of what it returns. Stateless.
 */
#ifndef LAKEHOUSE_STORAGE_SIGN_H
#define LAKEHOUSE_STORAGE_SIGN_H

#include "base/arena.h"
#include "http/http.h"

/* Of a request without a body. */
#define SIGN_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGN_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGN_HEADERS_MAX 24
#define SIGN_SECRET_BYTES_MAX 256

struct sign_keys {
    struct lh_str access_key, secret_key;
    struct lh_str session_token; /* absent = none */
};

struct sign_request {
    const char *method;
    struct lh_str host; /* as the Host header says it */
    struct lh_str path; /* not encoded: "/bucket/a b.parquet" */
    const struct http_pair *query;
    size_t query_count;
    const struct http_pair *headers; /* that are signed besides Host; names in any case */
    size_t header_count;
    struct lh_str payload_hash; /* SHA-256 in hex; absent: not told in a header of its own */
    int64_t unix_ms;
    struct lh_str region, service;
    struct sign_keys keys;
};

/* The headers that make it a signed one: X-Amz-Date, X-Amz-Content-Sha256 and X-Amz-Security-Token
 * where there are any, and Authorization. At most 4; the request's own are not among them. */
size_t sign_headers(const struct sign_request *request, struct lh_arena *arena,
                    struct http_pair *ret);
/* The query of an address that is good for so long, for whoever has it. */
struct lh_str sign_query(const struct sign_request *request, int64_t expires_s,
                         struct lh_arena *arena);

/* As the algorithm wants it, which is also how the request must be sent. */
struct lh_str sign_encode(struct lh_str text, bool keeps_slashes, struct lh_arena *arena);
struct lh_str sign_encode_query(const struct http_pair *query, size_t count,
                                struct lh_arena *arena);

#endif
