#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

/* A message byte takes at most six in JSON ("\u0001"). */
#define MESSAGE_BYTES_MAX 8192
#define MEMBERS_BYTES_MAX 49152
#define LINE_BYTES_MAX (MESSAGE_BYTES_MAX * 6 + MEMBERS_BYTES_MAX + 1024)
#define STALL_MS 200

static _Atomic int least_level = LH_LOG_INFO;
static _Atomic int log_fd = 2;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* lines stay whole on a slow pipe too */

void lh_log_set_level(enum lh_log_level least)
{
    atomic_store(&least_level, (int)least);
}

void lh_log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

static bool is_wanted(enum lh_log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

/* One call per line; more only if the reader takes it in pieces. A reader that takes nothing loses
 * the line: a stuck terminal must not stop the server. */
static void write_line(const char *bytes, size_t count)
{
    int fd = atomic_load(&log_fd);
    pthread_mutex_lock(&mutex);
    while (count) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            if (poll(&ready, 1, STALL_MS) == 1 && !(ready.revents & (POLLERR | POLLNVAL)))
                continue;
        }
        if (written <= 0)
            break;
        bytes += written;
        count -= (size_t)written;
    }
    pthread_mutex_unlock(&mutex);
}

static void begin(struct lh_buf *buf, struct lh_json *json, enum lh_log_level level,
                  const char *event)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char time[LH_TIME_TEXT_BYTES + 1];
    lh_time_format(lh_clock_unix_ms(), time);
    lh_buf_init(buf, LINE_BYTES_MAX);
    lh_json_init(json, buf);
    lh_json_object(json);
    lh_json_put_cstr(json, "time", time);
    lh_json_put_cstr(json, "level", names[level]);
    lh_json_put_cstr(json, "event", event);
}

static void end(struct lh_buf *buf)
{
    lh_buf_append_char(buf, '\n');
    /* Without memory the line is lost: half a line would not be JSON. */
    if (!buf->is_over)
        write_line(buf->data, buf->len);
    lh_buf_release(buf);
}

/* Cuts at a character's start. */
static struct lh_str cut(const char *text, size_t len)
{
    if (len > MESSAGE_BYTES_MAX) {
        len = MESSAGE_BYTES_MAX;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    return (struct lh_str){text, len};
}

void lh_log(enum lh_log_level level, const char *event, const char *format, ...)
{
    if (!is_wanted(level))
        return;
    int error_number = errno;
    char message[MESSAGE_BYTES_MAX + 8];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t count = len < 0 ? 0 : (size_t)len < sizeof message ? (size_t)len : sizeof message - 1;
    struct lh_buf buf;
    struct lh_json json;
    begin(&buf, &json, level, event);
    lh_json_put_str(&json, "message", cut(message, count));
    lh_json_object_end(&json);
    end(&buf);
    errno = error_number;
}

#ifndef NDEBUG
static bool is_inside_of_object(struct lh_str members)
{
    struct lh_buf buf;
    lh_buf_init(&buf, MEMBERS_BYTES_MAX + 2);
    lh_buf_append_char(&buf, '{');
    lh_buf_append_str(&buf, members);
    lh_buf_append_char(&buf, '}');
    json_t *parsed = NULL;
    bool is_fine =
        lh_json_parse(lh_buf_str(&buf), "members", MEMBERS_BYTES_MAX + 2, &parsed, NULL) == LH_OK;
    json_decref(parsed);
    lh_buf_release(&buf);
    return is_fine;
}
#endif

void lh_log_members(enum lh_log_level level, const char *event, struct lh_str members)
{
    if (!is_wanted(level))
        return;
    int error_number = errno;
    struct lh_buf buf;
    struct lh_json json;
    begin(&buf, &json, level, event);
    if (members.len > MEMBERS_BYTES_MAX) {
        lh_json_put_str(&json, "message", lh_lit("The details were too long for one line."));
        lh_json_put_int(&json, "bytes_left_out", (int64_t)members.len);
    } else if (members.len) {
        assert(is_inside_of_object(members));
        lh_buf_append_char(&buf, ',');
        lh_buf_append_str(&buf, members);
    }
    lh_json_object_end(&json);
    end(&buf);
    errno = error_number;
}

/* --- watchers */

struct watcher {
    void (*seen)(void *context, const char *event, const struct lh_error *err);
    void *context;
};
static struct watcher watchers[LH_LOG_WATCHERS_MAX];
static size_t watcher_count;
static pthread_rwlock_t watchers_lock = PTHREAD_RWLOCK_INITIALIZER; /* guards the two above */

bool lh_log_watch(void (*seen)(void *context, const char *event, const struct lh_error *err),
                  void *context)
{
    pthread_rwlock_wrlock(&watchers_lock);
    bool has_room = watcher_count < LH_LOG_WATCHERS_MAX;
    if (has_room)
        watchers[watcher_count++] = (struct watcher){seen, context};
    pthread_rwlock_unlock(&watchers_lock);
    return has_room;
}

void lh_log_unwatch(void *context)
{
    pthread_rwlock_wrlock(&watchers_lock);
    size_t kept = 0;
    for (size_t i = 0; i < watcher_count; i++)
        if (watchers[i].context != context)
            watchers[kept++] = watchers[i];
    watcher_count = kept;
    pthread_rwlock_unlock(&watchers_lock);
}

void lh_log_error(enum lh_log_level level, const char *event, const struct lh_error *err)
{
    pthread_rwlock_rdlock(&watchers_lock);
    for (size_t i = 0; i < watcher_count; i++)
        watchers[i].seen(watchers[i].context, event, err);
    pthread_rwlock_unlock(&watchers_lock);
    lh_log_error_alone(level, event, err);
}

void lh_log_error_alone(enum lh_log_level level, const char *event, const struct lh_error *err)
{
    if (!is_wanted(level))
        return;
    int error_number = errno;
    struct lh_buf buf;
    struct lh_json json;
    begin(&buf, &json, level, event);
    lh_json_put_cstr(&json, "code", lh_error_row(err->code)->id);
    lh_json_put_cstr(&json, "message", err->message);
    if (err->hint[0])
        lh_json_put_cstr(&json, "hint", err->hint);
    if (err->field[0])
        lh_json_put_cstr(&json, "field", err->field);
    if (err->line > 0)
        lh_json_put_int(&json, "line", err->line);
    lh_json_object_end(&json);
    end(&buf);
    errno = error_number;
}
