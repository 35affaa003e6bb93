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

enum lh_code guard_site(const struct http_request *request, const struct lh_str_list *hosts,
                        struct lh_error *err)
{
    struct lh_str authority = http_request_header(request, "Host");
    struct lh_str host = host_of(authority);
    bool is_ours = !authority.len || is_loopback_name(host);
    for (size_t i = 0; i < hosts->count && !is_ours; i++)
        is_ours = lh_str_equal_nocase(hosts->items[i], host);
    if (!is_ours) {
        lh_fail(err, LH_FORBIDDEN, "This server does not answer to the name '%.*s'.",
                LH_ARG(lh_str_head(host, 100)));
        return lh_error_hint(err, "Use its address, or list the name under [server] hosts.");
    }
    struct lh_str origin = http_request_header(request, "Origin");
    size_t at = 0;
    if (!origin.data)
        return LH_OK;
    if (lh_str_find(origin, lh_lit("://"), &at) &&
        lh_str_equal_nocase(lh_str_slice(origin, at + 3, origin.len), authority))
        return LH_OK;
    return lh_fail(err, LH_FORBIDDEN, "Pages of '%.*s' may not use this server.",
                   LH_ARG(lh_str_head(origin, 100)));
}
