/* What the files of the gateway share: the routing tree, binding, problem documents.
 *
 * The tree is made once and constant afterwards; everything else belongs to one request.
 */
#ifndef LAKEHOUSE_GATEWAY_INTERNAL_H
#define LAKEHOUSE_GATEWAY_INTERNAL_H

#include "gateway/gateway.h"
#include "http/http.h"
#include "lake/lake.h"
#include "ops/op.h"

#define ROUTE_METHODS ((size_t)OP_DELETE + 1)

/* One part of a path; the children are literals first, then what a parameter matches. */
struct route_node {
    struct lh_str literal;
    struct route_node *first; /* literal children */
    struct route_node *next;
    struct route_node *parameter; /* child that takes any one part; NULL = none */
    struct route_node *rest;      /* child that takes all parts that are left; NULL = none */
    const struct op *ops[ROUTE_METHODS];
};

struct route_node *route_tree_new(const struct op *const *ops, size_t op_count,
                                  struct lh_arena *arena);
/* NULL: no operation has such a path. */
const struct route_node *route_find(const struct route_node *root, const struct lh_str *segments,
                                    size_t segment_count);
/* The operation of a method; HEAD is GET. NULL: not with this method. */
const struct op *route_op(const struct route_node *node, enum http_method method);
/* "GET, HEAD, PATCH, OPTIONS" */
struct lh_str route_allow(const struct route_node *node, struct lh_arena *arena);
/* LH_NO_ROUTE with the nearest path. */
enum lh_code route_missing(const struct op *const *ops, size_t op_count,
                           const struct http_request *request, struct lh_error *err);

/* Fills a new struct of op->fields from the request; *ret is NULL without fields. `staging` is the
 * folder of spooled files. LH_UNKNOWN_FIELD, LH_INVALID, LH_MALFORMED; required fields are left to
 * op_run. */
enum lh_code bind_request(const struct op *op, const struct http_request *request,
                          struct lh_str staging, void **ret, struct lh_error *err) LH_MUST_USE;
/* Before the body: LH_UNSUPPORTED if its content type is not the operation's. */
enum lh_code bind_check_type(const struct op *op, const struct http_request *request,
                             struct lh_error *err) LH_MUST_USE;

/* LH_FORBIDDEN for an Origin that is neither this server nor one of cors_origins, and, without
 * keys, for a Host that is not this machine's (a page that had its name resolve to it): nothing
 * else keeps a browser's other pages out then. */
enum lh_code guard_site(const struct http_request *request, const struct settings *settings,
                        struct lh_error *err) LH_MUST_USE;
/* What a browser must hear before a page of a listed origin may read the reply; for requests that
 * guard_site let in. */
void guard_reply(const struct http_request *request, struct http_reply *reply);
/* The same for the question that browsers ask first. */
void guard_preflight(const struct http_request *request, struct lh_str methods,
                     struct http_reply *reply);

/* Who calls: by key, or the local administrator where none are asked for; lowered to the role of
 * X-Lakehouse-Role. NULL: nobody, no key was sent. In the request's arena. LH_UNAUTHENTICATED: the
 * key opens nothing; LH_INVALID: two keys, or no such role; LH_FORBIDDEN: a stronger role. */
enum lh_code caller_find(struct lake *lake, const struct http_request *request,
                         const struct principal **ret, struct lh_error *err) LH_MUST_USE;

/* The caller's X-Request-Id if it is sane, else a new one. */
struct lh_str problem_request_id(const struct http_request *request);
/* Status, headers and body of a refusal. */
void problem_write(const struct http_request *request, struct lh_str request_id,
                   const struct lh_error *err, struct http_reply *reply);

#endif
