/* Who sends a request: its key, and the role that it asks to be lowered to. */
#include "access/keys.h"
#include "gateway/internal.h"
#include "lake/lake.h"

static enum lh_code fail_twice(struct lh_error *err)
{
    lh_fail(err, LH_INVALID, "The request carries more than one key.");
    return lh_error_hint(err, "Send one, as X-API-Key or as Authorization: Bearer.");
}

/* The one key that was sent; absent text if there is none. */
static enum lh_code key_of(const struct http_request *request, struct lh_str *ret,
                           struct lh_error *err)
{
    struct lh_str found = {0};
    for (size_t i = 0; i < request->header_count; i++) {
        struct lh_str value = lh_str_trim(request->headers[i].value);
        bool is_bearer = lh_str_equal_nocase(request->headers[i].name, lh_lit("Authorization"));
        if (!is_bearer && !lh_str_equal_nocase(request->headers[i].name, lh_lit("X-API-Key")))
            continue;
        if (found.data)
            return fail_twice(err);
        found = value;
        if (!is_bearer)
            continue;
        struct lh_str scheme = lh_str_cut(&value, ' ');
        if (!lh_str_equal_nocase(scheme, lh_lit("Bearer"))) {
            lh_fail(err, LH_UNAUTHENTICATED, "The Authorization header is not a Bearer key.");
            return lh_error_hint(err, "Write it as 'Authorization: Bearer lh_…'.");
        }
        found = lh_str_trim(value);
    }
    *ret = found;
    return LH_OK;
}

static enum lh_code principal_of(struct lake *lake, const struct http_request *request,
                                 const struct principal **ret, struct lh_error *err)
{
    struct lh_str key = {0};
    if (!lake_settings(lake)->auth.enabled) {
        *ret = access_local_admin();
        return LH_OK;
    }
    enum lh_code code = key_of(request, &key, err);
    if (code || !key.data) {
        *ret = NULL;
        return code;
    }
    struct principal *found = lh_arena_alloc(request->arena, sizeof(*found));
    code = access_keys_find(lake_keys(lake), key, request->arena, found, err);
    if (!code)
        *ret = found;
    return code;
}

enum lh_code caller_find(struct lake *lake, const struct http_request *request,
                         const struct principal **ret, struct lh_error *err)
{
    struct lh_str role = http_request_header(request, "X-Lakehouse-Role");
    enum lh_code code = principal_of(lake, request, ret, err);
    if (code || !*ret || !role.data)
        return code;
    struct principal *lowered = lh_arena_alloc(request->arena, sizeof(*lowered));
    code = access_lower(*ret, role, lowered, err);
    if (!code)
        *ret = lowered;
    return code;
}
