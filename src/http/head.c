#include "http/internal.h"

/* What a request's head must look like before anything is done with it. */

struct head_scan {
    struct exchange *exchange;
    struct http_pair *headers;
    size_t count;
    size_t count_max;
    size_t bytes;
    bool is_over;
    size_t length_count;
    size_t host_count; /* Content-Length headers */
    bool is_bad;
};

static const char *const method_names[] = {"GET",   "HEAD",   "POST",   "PUT",
                                           "PATCH", "DELETE", "OPTIONS"};

static bool is_token(struct lh_str text)
{
    for (size_t at = 0; at < text.len; at++) {
        const unsigned char byte = (unsigned char)text.data[at];
        if (byte <= ' ' || byte >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", byte))
            return false;
    }
    return text.len > 0;
}

static bool has_control(struct lh_str text)
{
    for (size_t at = 0; at < text.len; at++) {
        const unsigned char byte = (unsigned char)text.data[at];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return true;
    }
    return false;
}

static struct lh_str method_take(struct exchange *exchange, const char *method)
{
    exchange->request.method = HTTP_OTHER;
    for (size_t at = 0; at < sizeof method_names / sizeof method_names[0]; at++)
        if (strcmp(method, method_names[at]) == 0) {
            exchange->request.method = (enum http_method)at;
            return lh_str_of(method_names[at]);
        }
    return lh_arena_str(exchange->arena, lh_str_slice(lh_str_of(method), 0, 64));
}

/* Copies one header: libmicrohttpd's memory ends with the exchange, a handler may outlive that. */
static enum MHD_Result scan_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct head_scan *scan = context;
    scan->bytes += name_len + value_len;
    if (scan->count == scan->count_max || scan->bytes > HTTP_HEADER_BYTES_MAX) {
        scan->is_over = true;
        return MHD_NO;
    }
    struct http_pair *pair = &scan->headers[scan->count++];
    pair->name = lh_arena_str(scan->exchange->arena, (struct lh_str){name, name_len});
    pair->value = lh_arena_str(scan->exchange->arena,
                               lh_str_trim((struct lh_str){value ? value : "", value_len}));
    scan->is_bad = scan->is_bad || !is_token(pair->name) || has_control(pair->value);
    if (lh_str_equal_nocase(pair->name, lh_lit("Content-Length")))
        scan->length_count++;
    if (lh_str_equal_nocase(pair->name, lh_lit("Host")))
        scan->host_count++;
    return MHD_YES;
}

/* How long the body is, so that nobody after us can read it differently (request smuggling). */
static enum lh_code read_framing(struct exchange *exchange, const struct head_scan *scan,
                                 struct lh_error *err)
{
    const struct http_request *request = &exchange->request;
    const struct lh_str length = http_request_header(request, "Content-Length");
    const struct lh_str encoding = http_request_header(request, "Transfer-Encoding");
    if (encoding.data) {
        if (!lh_str_equal_nocase(encoding, lh_lit("chunked")))
            return lh_fail(err, LH_INVALID, "The transfer encoding '%.*s' is not understood.",
                           LH_ARG(lh_str_slice(encoding, 0, 64)));
        if (length.data)
            return lh_fail(err, LH_INVALID,
                           "The request has both Content-Length and Transfer-Encoding.");
    }
    if (scan->length_count > 1)
        return lh_fail(err, LH_INVALID, "The request has more than one Content-Length.");
    int64_t bytes = encoding.data ? -1 : 0;
    if (length.data && (!lh_str_to_int(length, &bytes) || bytes < 0 || length.data[0] == '+'))
        return lh_fail(err, LH_INVALID, "The Content-Length '%.*s' is not a number.",
                       LH_ARG(lh_str_slice(length, 0, 64)));
    exchange->content_length = bytes;
    exchange->expects_continue =
        lh_str_equal_nocase(http_request_header(request, "Expect"), lh_lit("100-continue"));
    return LH_OK;
}

enum lh_code head_read(struct exchange *exchange, const char *method, const char *version,
                       struct lh_error *err)
{
    struct http_request *request = &exchange->request;
    request->method_name = method_take(exchange, method);
    struct head_scan scan = {.exchange = exchange};
    const int count = MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, NULL, NULL);
    scan.count_max = (size_t)count > HTTP_HEADER_COUNT_MAX ? HTTP_HEADER_COUNT_MAX : (size_t)count;
    scan.headers = lh_arena_array(exchange->arena, scan.count_max + 1, sizeof *scan.headers);
    MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, scan_header, &scan);
    exchange->content_length = -1; /* until it is known, a refusal closes the connection */
    if (scan.is_over) {
        lh_fail(err, LH_HEADERS_TOO_LARGE,
                "The request has more than %zu header fields or %zu bytes of them.",
                HTTP_HEADER_COUNT_MAX, HTTP_HEADER_BYTES_MAX);
        return lh_error_hint(err, "Send fewer or shorter headers; cookies are the usual cause.");
    }
    request->headers = scan.headers;
    request->header_count = scan.count;
    const enum lh_code code = read_framing(exchange, &scan, err);
    if (code)
        return code;
    if (scan.is_bad)
        return lh_fail(err, LH_INVALID, "A header field of the request has forbidden characters.");
    if (strcmp(version, "HTTP/1.1") == 0 && !http_request_header(request, "Host").data)
        return lh_fail(err, LH_INVALID, "The request has no Host header, which HTTP/1.1 demands.");
    if (scan.host_count > 1)
        return lh_fail(err, LH_INVALID, "The request has more than one Host header.");
    if (!is_token(lh_str_of(method)))
        return lh_fail(err, LH_INVALID, "The request's method has forbidden characters.");
    return target_parse(request, err);
}

struct lh_str http_request_header(const struct http_request *request, const char *name)
{
    const struct lh_str wanted = lh_str_of(name);
    for (size_t at = 0; at < request->header_count; at++)
        if (lh_str_equal_nocase(request->headers[at].name, wanted))
            return request->headers[at].value;
    return (struct lh_str){0};
}

struct lh_str http_request_content_type(const struct http_request *request)
{
    struct lh_str rest = http_request_header(request, "Content-Type");
    return rest.data ? lh_str_trim(lh_str_cut(&rest, ';')) : rest;
}
