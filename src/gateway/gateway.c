#include "gateway/internal.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "lake/failures.h"
#include "lake/lake.h"
#include "storage/buckets.h"
#include "storage/storage.h"

#define WHOLE_BODY_BYTES_MAX ((size_t)256 << 20)
#define LAKE_FILES 2048 /* besides connections: data files, spooled bodies, indexes */
#define CONNECTIONS_LEAST 64

struct gateway {
    struct lake *lake;
    struct lh_arena *arena; /* the routing tree and the address */
    struct route_node *routes;
    struct lh_dir *staging;
    struct http_server *server;
    struct lh_str url;
};

static enum lh_code route(void *context, const struct http_request *request, struct http_route *ret,
                          struct lh_error *err)
{
    struct gateway *gateway = context;
    const struct settings_server *settings = &lake_settings(gateway->lake)->server;
    const struct route_node *node =
        route_find(gateway->routes, request->segments, request->segment_count);
    enum lh_code code = guard_site(request, lake_settings(gateway->lake), err);
    if (code)
        return code;
    if (!node)
        return route_missing(op_table, op_table_count, request, err);
    if (request->method == HTTP_OPTIONS)
        return LH_OK; /* no operation: handle() tells what the path takes */
    const struct op *op = route_op(node, request->method);
    if (!op) {
        lh_fail(err, LH_METHOD, "'%.*s' does not take %.*s.",
                LH_ARG(lh_str_head(request->path, 200)), LH_ARG(request->method_name));
        return lh_error_hint(err, "It takes %.*s.", LH_ARG(route_allow(node, request->arena)));
    }
    /* Asked here already, so that nobody's upload is read in vain; op_run asks again. */
    const struct principal *principal = NULL;
    code = caller_find(gateway->lake, request, &principal, err);
    if (!code)
        code = access_check(principal, op->permission, err);
    if (code)
        return code;
    ret->lane = op->lane;
    memcpy(&ret->data, &op, sizeof ret->data); /* handle() takes it back as const */
    switch (op->body) {
    case OP_BODY_NONE:
        ret->body = HTTP_BODY_NONE;
        break;
    case OP_BODY_JSON:
        ret->body = HTTP_BODY_MEMORY;
        ret->body_bytes_max = settings->json_bytes_max;
        break;
    case OP_BODY_MULTIPART:
        ret->body = HTTP_BODY_MULTIPART;
        ret->body_bytes_max = settings->upload_bytes_max;
        break;
    case OP_BODY_RAW:
        ret->body = HTTP_BODY_SPOOL;
        ret->body_bytes_max = settings->upload_bytes_max;
        break;
    }
    return bind_check_type(op, request, err);
}

/* --- one request */

struct exchange {
    const struct gateway *gateway;
    const struct http_request *request;
    struct http_reply *reply;
    const struct principal *principal; /* NULL: nobody, or not known yet */
    struct lh_str request_id;
    int64_t from_us;
    int64_t bytes;
};

/* One line of the log. Written when the reply is on its way: nobody waits for it. */
struct line {
    struct exchange exchange;
    const char *op_name;
    int status;
    const char *error_id;
    int64_t rows;
    int64_t elapsed_us;
};

static void write_line(void *context)
{
    const struct line *line = context;
    const struct http_request *request = line->exchange.request;
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 16384);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_str(&json, "request_id", line->exchange.request_id);
    lh_json_put_str(&json, "method", request->method_name);
    lh_json_put_str(&json, "path", lh_str_head(request->path, 1024));
    lh_json_put_int(&json, "status", line->status);
    if (line->op_name)
        lh_json_put_cstr(&json, "operation", line->op_name);
    if (line->error_id)
        lh_json_put_cstr(&json, "code", line->error_id);
    lh_json_put_str(&json, "remote", request->remote);
    lh_json_put_int(&json, "bytes", line->exchange.bytes);
    if (line->rows)
        lh_json_put_int(&json, "rows", line->rows);
    lh_json_put_int(&json, "elapsed_us", line->elapsed_us);
    lh_json_object_end(&json);
    if (!buf.is_over)
        lh_log_members(LH_LOG_INFO, "http.request", lh_str_slice(lh_buf_str(&buf), 1, buf.len - 2));
    lh_buf_release(&buf);
}

static struct line *line_of(const struct exchange *exchange, const char *op_name, int status,
                            const char *error_id, int64_t rows)
{
    struct line *line = lh_arena_alloc(exchange->request->arena, sizeof *line);
    *line = (struct line){*exchange, op_name, status,
                          error_id,  rows,    lh_clock_monotonic_us() - exchange->from_us};
    return line;
}

static void log_request(const struct exchange *exchange, const char *op_name, int status,
                        const char *error_id, int64_t rows)
{
    if (lake_settings(exchange->gateway->lake)->log.requests)
        http_reply_after(exchange->reply, write_line,
                         line_of(exchange, op_name, status, error_id, rows));
}

/* What somebody put there may be a page with scripts of theirs: a browser must take it for nothing
 * but a file to keep, whatever its type says. */
static void put_bytes_head(struct exchange *exchange, const struct op_reply *reply)
{
    struct lh_buf name;
    lh_buf_init(&name, 4096);
    lh_buf_append_str(&name, lh_lit("attachment; filename*=UTF-8''"));
    for (size_t i = 0; i < reply->filename.len; i++) {
        unsigned char byte = (unsigned char)reply->filename.data[i];
        bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= 'a' && byte <= 'z') || (byte && strchr("-._~", byte));
        lh_buf_printf(&name, is_plain ? "%c" : "%%%02X", byte);
    }
    http_reply_header(exchange->reply, "Content-Disposition", lh_buf_str(&name));
    lh_buf_release(&name);
    http_reply_header(exchange->reply, "X-Content-Type-Options", lh_lit("nosniff"));
    http_reply_header(exchange->reply, "Content-Security-Policy",
                      lh_lit("sandbox; default-src 'none'"));
    http_reply_header(exchange->reply, "Accept-Ranges", lh_lit("bytes"));
    http_reply_header(exchange->reply, "Cache-Control", lh_lit("private, no-cache"));
    if (reply->range.data)
        http_reply_header(exchange->reply, "Content-Range", reply->range);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static void put_modified(struct exchange *exchange, int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (!gmtime_r(&seconds, &parts))
        return;
    http_reply_header(exchange->reply, "Last-Modified",
                      lh_arena_printf(exchange->request->arena,
                                      "%s, %02d %s %04d %02d:%02d:%02d GMT", days[parts.tm_wday],
                                      parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900,
                                      parts.tm_hour, parts.tm_min, parts.tm_sec));
}

/* Parquet is packed already, events must not wait, and an ETag or a range of a file means the bytes
 * as they are. */
static bool is_worth_packing(const struct op_reply *reply)
{
    static const struct lh_str packed[] = {LH_LIT("application/vnd.apache.parquet"),
                                           LH_LIT("text/event-stream")};
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
        if (lh_str_starts_with(reply->content_type, packed[i]))
            return false;
    return reply->content_type.data && !reply->etag.data && !reply->filename.data &&
           reply->length < 0;
}

/* Whether what is sent came from another bucket than the one that it is of. */
static void put_rescue(struct http_reply *reply)
{
    struct lh_str bucket, reason;
    if (!storage_rescue_used(&bucket, &reason))
        return;
    http_reply_header(reply, "X-Lakehouse-Rescue-Used", lh_lit("true"));
    http_reply_header(reply, "X-Lakehouse-Rescue-Original-Bucket", bucket);
    http_reply_header(reply, "X-Lakehouse-Rescue-Reason", reason);
}

static void put_head(struct exchange *exchange, const struct op_reply *reply)
{
    http_reply_status(exchange->reply, reply->status);
    http_reply_header(exchange->reply, "X-Request-Id", exchange->request_id);
    guard_reply(exchange->request, exchange->reply);
    if (reply->content_type.data)
        http_reply_header(exchange->reply, "Content-Type", reply->content_type);
    if (reply->etag.data)
        http_reply_header(exchange->reply, "ETag", reply->etag);
    put_rescue(exchange->reply);
    if (reply->location.data)
        http_reply_header(exchange->reply, "Location", reply->location);
    if (reply->filename.data)
        put_bytes_head(exchange, reply);
    if (reply->modified_ms)
        put_modified(exchange, reply->modified_ms);
    if (reply->length >= 0)
        http_reply_length(exchange->reply, reply->length);
    if (reply->op->kind == OP_ROWS)
        http_reply_header(exchange->reply, "Vary", lh_lit("Accept"));
    if (is_worth_packing(reply))
        http_reply_pack(exchange->reply);
}

/* Bytes that the client has already. Only of these: what JSON tells of a version may change without
 * it, such as whether a dataset is overdue. */
static bool is_known(const struct exchange *exchange, const struct op *op,
                     const struct op_reply *reply)
{
    struct lh_str tags = http_request_header(exchange->request, "If-None-Match");
    if (op->kind != OP_BYTES || !reply->etag.data || reply->status != 200)
        return false;
    while (tags.data) {
        struct lh_str tag = lh_str_trim(lh_str_cut(&tags, ','));
        if (lh_str_starts_with(tag, lh_lit("W/")))
            tag = lh_str_slice(tag, 2, tag.len);
        if (lh_str_equal(tag, lh_lit("*")) || lh_str_equal(tag, reply->etag))
            return true;
    }
    return false;
}

static enum lh_code stream_begin(void *context, struct op_reply *reply, struct lh_error *err)
{
    struct exchange *exchange = context;
    put_head(exchange, reply);
    return http_reply_begin(exchange->reply, err);
}

static enum lh_code stream_write(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct exchange *exchange = context;
    exchange->bytes += (int64_t)bytes.len;
    return http_reply_write(exchange->reply, bytes.data, bytes.len, err);
}

static enum lh_code stream_flush(void *context, struct lh_error *err)
{
    struct exchange *exchange = context;
    return http_reply_flush(exchange->reply, err);
}

static void note_failure(const struct exchange *exchange, const char *op_name,
                         const struct lh_error *err)
{
    const struct lake_failure_request request = {
        .operation = lh_str_of(op_name),
        .method = exchange->request->method_name,
        .path = exchange->request->path,
        .principal = exchange->principal ? exchange->principal->id : (struct lh_str){0},
        .request_id = exchange->request_id,
    };
    lake_note_failure(exchange->gateway->lake, &request, err);
}

static void finish(struct exchange *exchange, const struct op *op, struct op_reply *reply,
                   enum lh_code code, struct lh_error *err)
{
    int status = code ? lh_error_row(code)->http_status : reply->status;
    if (reply->has_begun && code) {
        http_reply_abort(exchange->reply);
    } else if (reply->has_begun) {
        http_reply_end(exchange->reply);
    } else if (code) {
        problem_write(exchange->request, exchange->request_id, err, exchange->reply);
        if (code == LH_RANGE && reply->range.data)
            http_reply_header(exchange->reply, "Content-Range", reply->range);
    } else if (is_known(exchange, op, reply)) {
        status = 304;
        reply->content_type = reply->filename = (struct lh_str){0};
        reply->length = -1;
        put_head(exchange, reply);
        http_reply_status(exchange->reply, status);
    } else {
        put_head(exchange, reply);
        exchange->bytes = (int64_t)reply->body.len;
        http_reply_take(exchange->reply, &reply->body);
    }
    if (code == LH_INTERNAL || code == LH_DAMAGED || code == LH_UNKNOWN)
        lh_log_error_alone(LH_LOG_ERROR, op->name, err);
    if (err->code)
        note_failure(exchange, op->name, err);
    const char *error_id =
        code || reply->is_failed ? lh_error_row(code ? code : err->code)->id : NULL;
    log_request(exchange, op->name, reply->has_begun ? reply->status : status, error_id,
                reply->row_count);
}

static void answer_options(struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    const struct route_node *node =
        route_find(exchange->gateway->routes, request->segments, request->segment_count);
    http_reply_status(exchange->reply, 204);
    http_reply_header(exchange->reply, "X-Request-Id", exchange->request_id);
    http_reply_header(exchange->reply, "Allow", route_allow(node, request->arena));
    guard_reply(request, exchange->reply);
    guard_preflight(request, route_allow(node, request->arena), exchange->reply);
    log_request(exchange, NULL, 204, NULL, 0);
}

static void handle(void *context, const struct http_request *request, struct http_reply *reply)
{
    struct gateway *gateway = context;
    const struct op *op = request->route_data;
    struct lh_error err = LH_ERROR_NONE;
    struct exchange exchange = {
        .gateway = gateway,
        .request = request,
        .reply = reply,
        .request_id = problem_request_id(request),
        .from_us = lh_clock_monotonic_us(),
    };
    if (!op) {
        answer_options(&exchange);
        return;
    }
    const struct op_sink sink = {stream_begin, stream_write, &exchange, stream_flush};
    struct op_call call = {
        .lake = gateway->lake,
        .arena = request->arena,
        .cancel = request->cancel,
        .received_us = request->received_us,
        .request_id = exchange.request_id,
        .if_match = http_request_header(request, "If-Match"),
        .if_none_match = http_request_header(request, "If-None-Match"),
        .bucket = http_request_header(request, "X-Lakehouse-Bucket"),
        .range = http_request_header(request, "Range"),
        .if_range = http_request_header(request, "If-Range"),
        .is_head = request->method == HTTP_HEAD,
        .idempotency_key = http_request_header(request, "Idempotency-Key"),
        .accept = http_request_header(request, "Accept"),
    };
    struct op_reply answer;
    void *args = NULL;
    storage_rescue_forget();
    op_reply_init(&answer, op, &sink, WHOLE_BODY_BYTES_MAX);
    enum lh_code code = caller_find(gateway->lake, request, &call.principal, &err);
    exchange.principal = call.principal;
    if (!code)
        code = bind_request(op, request, lh_dir_path(gateway->staging), &args, &err);
    /* What only reads can be asked for again: it may be stopped to make way for others. */
    if (op->effect == OP_READ)
        lh_pool_yields(request->cancel);
    if (!code)
        code = op_run(op, &call, args, &answer, &err);
    lh_pool_yields(NULL);
    finish(&exchange, op, &answer, code, &err);
    op_reply_release(&answer);
}

static void refuse(void *context, const struct http_request *request, const struct lh_error *err,
                   struct http_reply *reply)
{
    struct gateway *gateway = context;
    struct exchange exchange = {
        .gateway = gateway,
        .request = request,
        .reply = reply,
        .request_id = problem_request_id(request),
        .from_us = lh_clock_monotonic_us(),
    };
    problem_write(request, exchange.request_id, err, reply);
    if (err->code == LH_METHOD) {
        const struct route_node *node =
            route_find(gateway->routes, request->segments, request->segment_count);
        if (node)
            http_reply_header(reply, "Allow", route_allow(node, request->arena));
    }
    note_failure(&exchange, NULL, err);
    const struct lh_error_row *row = lh_error_row(err->code);
    if (lake_settings(gateway->lake)->log.requests) /* on an I/O thread: nothing comes after */
        write_line(line_of(&exchange, NULL, row->http_status, row->id, 0));
}

/* --- figures */

static void put_figure(struct lh_buf *buf, const char *name, const char *type, const char *help,
                       int64_t value)
{
    lh_buf_printf(buf, "# HELP lakehouse_%s %s\n# TYPE lakehouse_%s %s\nlakehouse_%s %lld\n", name,
                  help, name, type, name, (long long)value);
}

static void write_meter(void *context, struct lh_buf *buf)
{
    struct gateway *gateway = context;
    struct http_server_stats stats = http_server_stats(gateway->server);
    put_figure(buf, "http_connections", "gauge", "Open connections.", stats.connections);
    put_figure(buf, "http_connections_total", "counter", "Accepted connections.",
               stats.connections_total);
    put_figure(buf, "http_requests_total", "counter", "Requests whose header was read.",
               stats.requests_total);
    put_figure(buf, "http_requests_in_flight", "gauge", "Requests that are not answered yet.",
               stats.in_flight);
    put_figure(buf, "http_received_bytes_total", "counter", "Bytes of request bodies.",
               stats.bytes_received);
    put_figure(buf, "http_sent_bytes_total", "counter", "Bytes of reply bodies.", stats.bytes_sent);
    put_figure(buf, "http_queue_refused_total", "counter", "Requests refused by a full queue.",
               stats.queue_refused);
    put_figure(buf, "http_hang_ups_total", "counter", "Clients that left before their reply.",
               stats.hang_ups);
    put_figure(buf, "http_timeouts_total", "counter", "Connections cut for being too slow.",
               stats.timeouts);
    put_figure(buf, "http_evicted_total", "counter", "Silent connections closed to make room.",
               stats.evicted);
    put_figure(buf, "http_surplus_total", "counter", "Connections for which there was no room.",
               stats.surplus);
    lh_buf_printf(buf, "# HELP lakehouse_http_replies_total Replies by class of status.\n"
                       "# TYPE lakehouse_http_replies_total counter\n");
    for (int class = 1; class < 6; class ++)
        lh_buf_printf(buf, "lakehouse_http_replies_total{class=\"%dxx\"} %lld\n", class,
                      (long long)stats.replies[class]);
}

/* --- life */

/* Connections and the lake's own files share what the process may have open. */
static unsigned connections_allowed(int64_t wanted)
{
    int64_t allowed = lh_files_allow(wanted + LAKE_FILES) - LAKE_FILES;
    if (allowed >= wanted)
        return (unsigned)wanted;
    if (allowed < CONNECTIONS_LEAST)
        allowed = CONNECTIONS_LEAST;
    lh_log(LH_LOG_WARN, "http.connections",
           "This process may not have enough files open for %lld connections; %lld are served. "
           "`ulimit -n` is the limit.",
           (long long)wanted, (long long)allowed);
    return (unsigned)allowed;
}

enum lh_code gateway_check(const struct settings *settings, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lake_holder holder = {0};
    struct lh_str host;
    uint16_t port;
    enum lh_code code = settings_address(settings->server.listen, &host, &port, err);
    if (!code && (lake_holder(settings_root(settings), arena, &holder, NULL) || !holder.is_running))
        code = http_server_check(host, port, err);
    lh_arena_free(arena);
    return code;
}

static enum lh_code listen_on(struct gateway *gateway, struct lh_error *err)
{
    const struct settings_server *settings = &lake_settings(gateway->lake)->server;
    const struct http_handlers handlers = {route, handle, refuse, gateway};
    struct lh_str host;
    uint16_t port;
    enum lh_code code = settings_address(settings->listen, &host, &port, err);
    if (code)
        return code;
    const struct http_server_options options = {
        .address = host,
        .port = port,
        .io_threads = (unsigned)settings->io_threads,
        .connections_max = connections_allowed(settings->connections_max),
        .write_timeout_ms = settings->write_timeout_ms,
        .pool = lake_pool(gateway->lake),
        .staging = gateway->staging,
        .staging_prefix = "",
    };
    code = http_server_start(&options, &handlers, &gateway->server, err);
    if (code)
        return code;
    bool is_six = memchr(host.data, ':', host.len) != NULL;
    gateway->url =
        lh_arena_printf(gateway->arena, "http://%s%.*s%s:%u", is_six ? "[" : "", LH_ARG(host),
                        is_six ? "]" : "", http_server_port(gateway->server));
    return LH_OK;
}

enum lh_code gateway_start(struct lake *lake, struct gateway **ret, struct lh_error *err)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    if (!gateway)
        return lh_fail(err, LH_BUSY, "There is no memory for the HTTP door.");
    gateway->lake = lake;
    gateway->arena = lh_arena_new(0);
    enum lh_code code = op_table_check(op_table, op_table_count, err);
    if (code)
        goto out;
    gateway->routes = route_tree_new(op_table, op_table_count, gateway->arena);
    code = lh_dir_open(storage_staging_path(lake_storage(lake)), false, &gateway->staging, err);
    if (code)
        goto out;
    code = listen_on(gateway, err);
    if (code)
        goto out;
    lake_set_meter(lake, write_meter, gateway);
    code = lake_announce(lake, lh_str_slice(gateway->url, 7, gateway->url.len), err);
    if (code)
        goto out;
    *ret = gateway;
    gateway = NULL;
out:
    gateway_stop(gateway, 0);
    return code;
}

struct lh_str gateway_url(const struct gateway *gateway)
{
    return gateway->url;
}

void gateway_hurry(struct gateway *gateway)
{
    http_server_cancel_all(gateway->server);
}

void gateway_stop(struct gateway *gateway, int64_t grace_ms)
{
    if (!gateway)
        return;
    lake_set_meter(gateway->lake, NULL, NULL);
    http_server_stop(gateway->server, grace_ms);
    lh_dir_close(gateway->staging);
    lh_arena_free(gateway->arena);
    free(gateway);
}
