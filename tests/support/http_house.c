#include "support/http_house.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"

static void pause_ms(long ms)
{
    const struct timespec step = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&step, NULL);
}

/* --- handlers --- */

static int64_t number(const struct http_request *request, const char *name, int64_t otherwise)
{
    int64_t value = otherwise;
    for (size_t at = 0; at < request->query_count; at++)
        if (lh_str_equal(request->query[at].name, lh_str_of(name)))
            assert_true(lh_str_to_int(request->query[at].value, &value));
    return value;
}

static void show_upload(struct lh_buf *out, const struct lh_upload *file)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(file->sha256, sizeof file->sha256, hex);
    lh_buf_printf(out, "%lld %s", (long long)file->bytes, hex);
}

static void show(struct http_house *house, const struct http_request *request,
                 struct http_reply *reply)
{
    (void)house;
    struct lh_buf out;
    lh_buf_init(&out, 1 << 20);
    lh_buf_printf(&out, "method %.*s\npath %.*s\nremote %.*s\n", LH_ARG(request->method_name),
                  LH_ARG(request->path), LH_ARG(request->remote));
    for (size_t at = 0; at < request->segment_count; at++)
        lh_buf_printf(&out, "segment [%.*s]\n", LH_ARG(request->segments[at]));
    for (size_t at = 0; at < request->query_count; at++)
        lh_buf_printf(&out, "query [%.*s]=[%.*s]\n", LH_ARG(request->query[at].name),
                      LH_ARG(request->query[at].value));
    lh_buf_printf(&out, "header [%.*s]\n", LH_ARG(http_request_header(request, "x-test")));
    lh_buf_printf(&out, "type [%.*s]\n", LH_ARG(http_request_content_type(request)));
    http_reply_header(reply, "Content-Type", lh_lit("text/plain"));
    http_reply_header(reply, "X-Clean", lh_lit("a\r\nSet-Cookie: b"));
    http_reply_take(reply, &out);
}

static void form(struct http_house *house, const struct http_request *request,
                 struct http_reply *reply)
{
    (void)house;
    struct lh_buf out;
    lh_buf_init(&out, 1 << 20);
    for (size_t at = 0; at < request->part_count; at++) {
        const struct http_part *part = &request->parts[at];
        lh_buf_printf(&out, "%.*s", LH_ARG(part->name));
        if (part->is_file) {
            lh_buf_printf(&out, " file [%.*s] ", LH_ARG(part->file.filename));
            show_upload(&out, &part->file);
        } else {
            lh_buf_printf(&out, " value [%.*s]", LH_ARG(part->value));
        }
        lh_buf_printf(&out, " type [%.*s]\n", LH_ARG(part->content_type));
    }
    http_reply_take(reply, &out);
}

static void spool(struct http_house *house, const struct http_request *request,
                  struct http_reply *reply)
{
    (void)house;
    struct lh_buf out;
    lh_buf_init(&out, 1 << 16);
    show_upload(&out, &request->upload);
    http_reply_take(reply, &out);
}

static void stream(struct http_house *house, const struct http_request *request,
                   struct http_reply *reply)
{
    static const char piece[10000] = {0};
    const int64_t bytes = number(request, "bytes", 100000);
    struct lh_error err = LH_ERROR_NONE;
    http_reply_pack(reply);
    enum lh_code code = http_reply_begin(reply, &err);
    int64_t done = 0;
    while (!code && done < bytes) {
        const size_t count = bytes - done < 10000 ? (size_t)(bytes - done) : sizeof piece;
        code = http_reply_write(reply, piece, count, &err);
        done += code ? 0 : (int64_t)count;
        atomic_store(&house->streamed, done);
    }
    atomic_store(&house->last_cancel, (int)code);
    atomic_store(&house->cancelled_us, lh_clock_monotonic_us());
    if (!code)
        http_reply_end(reply);
}

static void events(struct http_house *house, const struct http_request *request,
                   struct http_reply *reply)
{
    (void)request;
    struct lh_error err = LH_ERROR_NONE;
    http_reply_pack(reply);
    enum lh_code code = http_reply_write(reply, "one\n", 4, &err);
    if (!code)
        code = http_reply_flush(reply, &err);
    atomic_fetch_add(&house->waiting, 1);
    pthread_mutex_lock(&house->lock);
    while (!house->is_open)
        pthread_cond_wait(&house->changed, &house->lock);
    pthread_mutex_unlock(&house->lock);
    if (!code && !http_reply_write(reply, "two\n", 4, &err))
        http_reply_end(reply);
}

static void wait(struct http_house *house, const struct http_request *request,
                 struct http_reply *reply)
{
    atomic_fetch_add(&house->waiting, 1);
    const int64_t until_us = lh_clock_monotonic_us() + 10000000;
    enum lh_code code = LH_OK;
    while (!code && lh_clock_monotonic_us() < until_us) {
        code = lh_cancel_check(request->cancel);
        if (!code)
            pause_ms(1);
    }
    atomic_store(&house->cancelled_us, lh_clock_monotonic_us());
    atomic_store(&house->last_cancel, (int)code);
    http_reply_status(reply, 503);
    http_reply_body(reply, lh_lit("cancelled"));
}

static void gate(struct http_house *house, const struct http_request *request,
                 struct http_reply *reply)
{
    (void)request;
    atomic_fetch_add(&house->waiting, 1);
    pthread_mutex_lock(&house->lock);
    while (!house->is_open)
        pthread_cond_wait(&house->changed, &house->lock);
    pthread_mutex_unlock(&house->lock);
    http_reply_body(reply, lh_lit("through"));
}

static void echo(struct http_house *house, const struct http_request *request,
                 struct http_reply *reply)
{
    (void)house;
    http_reply_body(reply, request->body);
}

static void late(struct http_house *house, const struct http_request *request,
                 struct http_reply *reply)
{
    (void)house;
    struct lh_error err = LH_ERROR_NONE;
    static const char rows[200000] = {0};
    const int64_t before = number(request, "bytes", 10);
    if (http_reply_write(reply, rows, (size_t)before, &err))
        return;
    if (!http_reply_restart(reply)) {
        http_reply_abort(reply);
        return;
    }
    http_reply_status(reply, 400);
    http_reply_body(reply, lh_lit("a late error"));
}

static void nothing(struct http_house *house, const struct http_request *request,
                    struct http_reply *reply)
{
    (void)house;
    (void)request;
    http_reply_status(reply, 204);
}

static void cut(struct http_house *house, const struct http_request *request,
                struct http_reply *reply)
{
    (void)house;
    (void)request;
    http_reply_abort(reply);
}

struct afterwards {
    struct http_house *house;
    const struct http_request *request;
};

static void look_back(void *context)
{
    const struct afterwards *afterwards = context;
    struct http_house *house = afterwards->house;
    atomic_fetch_add(&house->waiting, 1);
    pthread_mutex_lock(&house->lock);
    while (!house->is_open)
        pthread_cond_wait(&house->changed, &house->lock);
    pthread_mutex_unlock(&house->lock);
    if (lh_str_equal(http_request_header(afterwards->request, "x-test"), lh_lit("kept")))
        atomic_fetch_add(&house->looked_back, 1);
}

/* Streams before, if so asked. */
static void after(struct http_house *house, const struct http_request *request,
                  struct http_reply *reply)
{
    struct afterwards *afterwards = lh_arena_alloc(request->arena, sizeof *afterwards);
    *afterwards = (struct afterwards){house, request};
    if (number(request, "bytes", 0))
        stream(house, request, reply);
    else
        http_reply_body(reply, lh_lit("now"));
    http_reply_after(reply, look_back, afterwards);
}

struct house_route {
    const char *name;
    enum http_body_kind body;
    int64_t body_bytes_max;
    void (*run)(struct http_house *house, const struct http_request *request,
                struct http_reply *reply);
};

static const struct house_route routes[] = {
    {"echo", HTTP_BODY_MEMORY, 1 << 20, echo},
    {"show", HTTP_BODY_NONE, 0, show},
    {"spool", HTTP_BODY_SPOOL, (int64_t)1 << 30, spool},
    {"form", HTTP_BODY_MULTIPART, (int64_t)1 << 30, form},
    {"stream", HTTP_BODY_NONE, 0, stream},
    {"events", HTTP_BODY_NONE, 0, events},
    {"wait", HTTP_BODY_NONE, 0, wait},
    {"gate", HTTP_BODY_NONE, 0, gate},
    {"late", HTTP_BODY_NONE, 0, late},
    {"nothing", HTTP_BODY_NONE, 0, nothing},
    {"cut", HTTP_BODY_NONE, 0, cut},
    {"after", HTTP_BODY_NONE, 0, after},
};

static enum lh_code route(void *context, const struct http_request *request, struct http_route *ret,
                          struct lh_error *err)
{
    (void)context;
    union {
        const struct house_route *row;
        void *data;
    } chosen;
    for (size_t at = 0; at < sizeof routes / sizeof routes[0]; at++)
        if (request->segment_count > 0 &&
            lh_str_equal(request->segments[0], lh_str_of(routes[at].name))) {
            chosen.row = &routes[at];
            ret->body = routes[at].body;
            ret->body_bytes_max = routes[at].body_bytes_max;
            ret->data = chosen.data;
            return LH_OK;
        }
    return lh_fail(err, LH_NO_ROUTE, "Nothing answers at '%.*s'.", LH_ARG(request->path));
}

static void handle(void *context, const struct http_request *request, struct http_reply *reply)
{
    const struct house_route *row = request->route_data;
    row->run(context, request, reply);
}

static void refuse(void *context, const struct http_request *request, const struct lh_error *err,
                   struct http_reply *reply)
{
    (void)context;
    (void)request;
    http_reply_header(reply, "Content-Type", lh_lit("application/problem+json"));
    struct lh_buf out;
    lh_buf_init(&out, 1 << 16);
    lh_buf_printf(&out, "{\"code\":\"%s\",\"detail\":\"%s\"}", lh_error_row(err->code)->id,
                  err->message);
    http_reply_take(reply, &out);
}

const struct http_handlers http_house_handlers = {route, handle, refuse, NULL};

/* --- the house --- */

struct http_house *http_house_new(const struct http_server_options *options, unsigned workers,
                                  unsigned queue_max)
{
    struct http_house *house = calloc(1, sizeof *house);
    assert_non_null(house);
    struct lh_error err = LH_ERROR_NONE;
    temp_lake_make(&house->lake);
    pthread_mutex_init(&house->lock, NULL);
    pthread_cond_init(&house->changed, NULL);
    assert_int_equal(lh_dir_open(temp_lake_path(&house->lake), true, &house->dir, &err), LH_OK);
    assert_int_equal(lh_dir_make(house->dir, "staging", NULL, &err), LH_OK);
    assert_int_equal(lh_pool_new(workers, 0, queue_max, &house->pool, &err), LH_OK);
    struct http_server_options mine = options ? *options : (struct http_server_options){0};
    mine.pool = house->pool;
    mine.staging = house->dir;
    struct http_handlers handlers = http_house_handlers;
    handlers.context = house;
    if (http_server_start(&mine, &handlers, &house->server, &err))
        fail_msg("%s", err.message);
    return house;
}

void http_house_free(struct http_house *house)
{
    http_house_open(house);
    http_server_stop(house->server, 100);
    assert_int_equal(http_house_staged(house), 0);
    lh_pool_free(house->pool);
    lh_dir_close(house->dir);
    temp_lake_remove(&house->lake);
    pthread_mutex_destroy(&house->lock);
    pthread_cond_destroy(&house->changed);
    free(house);
}

void http_house_open(struct http_house *house)
{
    pthread_mutex_lock(&house->lock);
    house->is_open = true;
    pthread_cond_broadcast(&house->changed);
    pthread_mutex_unlock(&house->lock);
}

void http_house_wait(struct http_house *house, int count)
{
    for (int step = 0; step < 5000 && atomic_load(&house->waiting) < count; step++)
        pause_ms(1);
    assert_true(atomic_load(&house->waiting) >= count);
}

int http_house_staged(struct http_house *house)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    struct lh_error err = LH_ERROR_NONE;
    size_t count = 0;
    assert_int_equal(lh_dir_list(house->dir, "staging", arena, &entries, &count, &err), LH_OK);
    lh_arena_free(arena);
    return (int)count;
}

/* --- raw client --- */

int raw_connect(const struct http_house *house)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(house->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

bool raw_try_send(int fd, const void *bytes, size_t count)
{
    const char *from = bytes;
    while (count > 0) {
        const ssize_t sent = send(fd, from, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        from += sent;
        count -= (size_t)sent;
    }
    return true;
}

void raw_send(int fd, const char *text)
{
    assert_true(raw_try_send(fd, text, strlen(text)));
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, timeout_ms) == 1;
}

/* Appends what comes next; false at the end, on an error or on silence. */
static bool read_more(int fd, struct lh_buf *into, int timeout_ms)
{
    char piece[16384];
    if (!readable(fd, timeout_ms))
        return false;
    const ssize_t count = recv(fd, piece, sizeof piece, 0);
    if (count > 0)
        lh_buf_append(into, piece, (size_t)count);
    return count > 0;
}

static char *as_text(struct lh_buf *buf)
{
    lh_buf_append_char(buf, '\0');
    return buf->data;
}

char *raw_read_all(int fd, int timeout_ms)
{
    struct lh_buf all;
    lh_buf_init(&all, (size_t)1 << 30);
    while (read_more(fd, &all, timeout_ms))
        continue;
    return as_text(&all);
}

/* The length of the complete response at the start of `text`; 0 = not yet complete. */
static size_t response_len(struct lh_str text)
{
    size_t head = 0;
    size_t at = 0;
    if (!lh_str_find(text, lh_lit("\r\n\r\n"), &head))
        return 0;
    head += 4;
    if (lh_str_find(lh_str_slice(text, 0, head), lh_lit("Transfer-Encoding: chunked"), &at)) {
        if (lh_str_find(lh_str_slice(text, head, text.len), lh_lit("0\r\n\r\n"), &at))
            return head + at + 5;
        return 0;
    }
    if (!lh_str_find(lh_str_slice(text, 0, head), lh_lit("Content-Length: "), &at))
        return head;
    const size_t length = strtoul(text.data + at + 16, NULL, 10);
    return text.len >= head + length ? head + length : 0;
}

/* Looks before it takes: what comes after this response stays in the socket. */
char *raw_read_response(int fd)
{
    struct lh_buf all;
    char piece[65536];
    size_t complete = 0;
    lh_buf_init(&all, (size_t)1 << 30);
    while (complete == 0 && readable(fd, 5000)) {
        const size_t before = all.len;
        const ssize_t seen = recv(fd, piece, sizeof piece, MSG_PEEK);
        if (seen <= 0)
            break;
        lh_buf_append(&all, piece, (size_t)seen);
        complete = response_len(lh_buf_str(&all));
        const size_t taken = complete ? complete - before : (size_t)seen;
        assert_int_equal(recv(fd, piece, taken, 0), taken);
        if (complete)
            all.len = complete;
    }
    return as_text(&all);
}

char *raw_ask(const struct http_house *house, const char *text)
{
    const int fd = raw_connect(house);
    raw_send(fd, text);
    char *answer = raw_read_response(fd);
    close(fd);
    return answer;
}

bool raw_is_closed(int fd, int timeout_ms)
{
    char byte;
    return readable(fd, timeout_ms) && recv(fd, &byte, 1, MSG_PEEK) <= 0;
}
