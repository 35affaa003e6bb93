#include "http/internal.h"

/* The request target: "/datasets/a%20b?limit=3" becomes segments and pairs, each decoded exactly
 * once, after it was split: an encoded slash or ampersand is data, never structure. */

static int hex_value(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    const char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* False on a bad escape, a NUL, or bytes that are not UTF-8. */
static bool decode(struct lh_arena *arena, struct lh_str text, bool plus_is_space,
                   struct lh_str *ret)
{
    if (!memchr(text.data, '%', text.len) &&
        (!plus_is_space || !memchr(text.data, '+', text.len))) {
        *ret = text;
        return true;
    }
    char *const memory = lh_arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t at = 0; at < text.len; at++) {
        char byte = text.data[at];
        if (byte == '%') {
            const int high = at + 2 < text.len ? hex_value(text.data[at + 1]) : -1;
            const int low = high >= 0 ? hex_value(text.data[at + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0))
                return false;
            byte = (char)(high * 16 + low);
            at += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        memory[len++] = byte;
    }
    *ret = (struct lh_str){memory, len};
    return lh_str_is_utf8(*ret, NULL);
}

static size_t count_char(struct lh_str text, char wanted)
{
    size_t count = 0;
    for (size_t at = 0; at < text.len; at++)
        count += text.data[at] == wanted;
    return count;
}

static enum lh_code fail_escape(const char *what, struct lh_str text, struct lh_error *err)
{
    lh_fail(err, LH_INVALID, "The %s '%.*s' of the request has a bad percent escape.", what,
            LH_ARG(lh_str_slice(text, 0, 200)));
    return lh_error_hint(
        err, "Escape bytes of UTF-8 as %%XX with two hexadecimal digits; %%00 is refused.");
}

static enum lh_code parse_path(struct http_request *request, struct lh_error *err)
{
    struct lh_str *const segments =
        lh_arena_array(request->arena, count_char(request->path, '/') + 1, sizeof *segments);
    size_t count = 0;
    struct lh_str rest = lh_str_slice(request->path, 1, request->path.len);
    while (rest.data && rest.len > 0) {
        const struct lh_str raw = lh_str_cut(&rest, '/');
        if (!decode(request->arena, raw, false, &segments[count]))
            return fail_escape("path segment", raw, err);
        count++;
    }
    request->segments = segments;
    request->segment_count = count;
    return LH_OK;
}

static enum lh_code parse_query(struct http_request *request, struct lh_str query,
                                struct lh_error *err)
{
    struct http_pair *const pairs =
        lh_arena_array(request->arena, count_char(query, '&') + 1, sizeof *pairs);
    size_t count = 0;
    struct lh_str rest = query;
    while (rest.data && rest.len > 0) {
        struct lh_str value = lh_str_cut(&rest, '&');
        if (value.len == 0)
            continue;
        const struct lh_str name = lh_str_cut(&value, '=');
        if (!value.data)
            value = lh_lit("");
        if (!decode(request->arena, name, true, &pairs[count].name))
            return fail_escape("query parameter", name, err);
        if (!decode(request->arena, value, true, &pairs[count].value))
            return fail_escape("value of the query parameter", name, err);
        count++;
    }
    request->query = pairs;
    request->query_count = count;
    return LH_OK;
}

enum lh_code target_parse(struct http_request *request, struct lh_error *err)
{
    if (request->target.len > HTTP_TARGET_BYTES_MAX) {
        lh_fail(err, LH_TARGET_TOO_LONG, "The request target is longer than %zu bytes.",
                HTTP_TARGET_BYTES_MAX);
        return lh_error_hint(err, "Send long arguments in the body of a POST.");
    }
    for (size_t at = 0; at < request->target.len; at++) {
        const unsigned char byte = (unsigned char)request->target.data[at];
        if (byte <= ' ' || byte >= 0x7f)
            return lh_fail(
                err, LH_INVALID,
                "The request target has a byte at offset %zu that must be percent-escaped.", at);
    }
    struct lh_str query = request->target;
    request->path = lh_str_cut(&query, '?');
    if (request->path.len == 0 || request->path.data[0] != '/') {
        request->path = lh_lit("/");
        if (!lh_str_equal(request->target, lh_lit("*")) || request->method != HTTP_OPTIONS)
            return lh_fail(err, LH_INVALID, "The request target does not begin with a slash.");
    }
    const enum lh_code code = parse_path(request, err);
    return code || !query.data ? code : parse_query(request, query, err);
}
