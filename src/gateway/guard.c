#include "gateway/internal.h"

/* "[::1]:3100" and "localhost:3100" without the port. */
static struct lh_str host_of(struct lh_str authority)
{
    if (authority.len && authority.data[0] == '[') {
        for (size_t i = 0; i < authority.len; i++)
            if (authority.data[i] == ']')
                return lh_str_slice(authority, 0, i + 1);
        return authority;
    }
    return lh_str_cut(&authority, ':');
}

static bool is_loopback_name(struct lh_str host)
{
    if (lh_str_equal_nocase(host, lh_lit("localhost")) || lh_str_equal(host, lh_lit("[::1]")))
        return true;
    struct lh_str rest = host;
    int64_t number = 0;
    for (int i = 0; i < 4; i++) {
        struct lh_str part = lh_str_cut(&rest, '.');
        if (part.len > 3 || !lh_str_to_int(part, &number) || number < 0 || number > 255 ||
            (i == 0 && number != 127))
            return false;
    }
    return !rest.data;
}

static bool is_listed(const struct lh_str_list *list, struct lh_str text)
{
    for (size_t i = 0; i < list->count; i++)
        if (lh_str_equal_nocase(list->items[i], text) || lh_str_equal(list->items[i], lh_lit("*")))
            return true;
    return false;
}

static bool is_same_origin(const struct http_request *request, struct lh_str origin)
{
    size_t at = 0;
    return lh_str_find(origin, lh_lit("://"), &at) &&
           lh_str_equal_nocase(lh_str_slice(origin, at + 3, origin.len),
                               http_request_header(request, "Host"));
}

enum lh_code guard_site(const struct http_request *request, const struct settings *settings,
                        struct lh_error *err)
{
    struct lh_str authority = http_request_header(request, "Host");
    struct lh_str host = host_of(authority);
    bool is_ours = settings->auth.enabled || !authority.len || is_loopback_name(host) ||
                   is_listed(&settings->server.hosts, host);
    if (!is_ours) {
        lh_fail(err, LH_FORBIDDEN, "This server does not answer to the name '%.*s'.",
                LH_ARG(lh_str_head(host, 100)));
        return lh_error_hint(err, "Use its address, or list the name under [server] hosts.");
    }
    struct lh_str origin = http_request_header(request, "Origin");
    if (!origin.data || is_same_origin(request, origin) ||
        is_listed(&settings->server.cors_origins, origin))
        return LH_OK;
    lh_fail(err, LH_FORBIDDEN, "Pages of '%.*s' may not use this server.",
            LH_ARG(lh_str_head(origin, 100)));
    return lh_error_hint(err, "List the origin under [server] cors_origins to let them.");
}

void guard_reply(const struct http_request *request, struct http_reply *reply)
{
    struct lh_str origin = http_request_header(request, "Origin");
    if (!origin.data || is_same_origin(request, origin))
        return;
    http_reply_header(reply, "Access-Control-Allow-Origin", origin);
    http_reply_header(reply, "Access-Control-Expose-Headers",
                      lh_lit("ETag, Location, Retry-After, X-Request-Id"));
    http_reply_header(reply, "Vary", lh_lit("Origin"));
}

void guard_preflight(const struct http_request *request, struct lh_str methods,
                     struct http_reply *reply)
{
    struct lh_str headers = http_request_header(request, "Access-Control-Request-Headers");
    if (!http_request_header(request, "Access-Control-Request-Method").data)
        return;
    http_reply_header(reply, "Access-Control-Allow-Methods", methods);
    if (headers.data)
        http_reply_header(reply, "Access-Control-Allow-Headers", headers);
    http_reply_header(reply, "Access-Control-Max-Age", lh_lit("600"));
}
