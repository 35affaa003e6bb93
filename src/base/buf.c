#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

#define CAPACITY_LEAST 256

void lh_buf_init(struct lh_buf *buf, size_t max)
{
    /* One byte beyond the maximum is the ending NUL's. */
    *buf = (struct lh_buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void lh_buf_release(struct lh_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    lh_buf_init(buf, buf->max);
}

void lh_buf_clear(struct lh_buf *buf)
{
    buf->len = 0;
    buf->is_over = buf->is_out_of_memory = false;
    if (buf->data)
        buf->data[0] = 0;
}

/* Grows by doubling, so that n appends copy O(n) bytes; the last step stops at the maximum. */
static bool grow(struct lh_buf *buf, size_t needed)
{
    size_t capacity = buf->capacity < CAPACITY_LEAST ? CAPACITY_LEAST : buf->capacity;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (capacity > buf->max + 1)
        capacity = buf->max + 1;
    char *data = realloc(buf->data, capacity);
    if (!data && capacity <= LH_ARENA_SMALL_BYTES)
        lh_die_without_memory();
    if (!data) {
        buf->is_over = buf->is_out_of_memory = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *lh_buf_reserve(struct lh_buf *buf, size_t count)
{
    if (buf->is_over)
        return NULL;
    if (count > buf->max - buf->len) {
        buf->is_over = true;
        return NULL;
    }
    size_t needed = buf->len + count + 1;
    if (needed > buf->capacity && !grow(buf, needed))
        return NULL;
    return buf->data + buf->len;
}

void lh_buf_append(struct lh_buf *buf, const void *bytes, size_t count)
{
    char *at = lh_buf_reserve(buf, count);
    if (!at)
        return;
    if (count)
        memcpy(at, bytes, count);
    at[count] = 0;
    buf->len += count;
}

void lh_buf_append_str(struct lh_buf *buf, struct lh_str str)
{
    lh_buf_append(buf, str.data, str.len);
}

void lh_buf_append_char(struct lh_buf *buf, char character)
{
    lh_buf_append(buf, &character, 1);
}

void lh_buf_printf(struct lh_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lh_buf_vprintf(buf, format, args);
    va_end(args);
}

void lh_buf_vprintf(struct lh_buf *buf, const char *format, va_list args)
{
    if (buf->is_over)
        return;
    va_list again;
    va_copy(again, args);
    size_t room = buf->capacity - buf->len;
    int len = vsnprintf(room ? buf->data + buf->len : NULL, room, format, args);
    if (len >= 0 && (size_t)len < room) {
        buf->len += (size_t)len;
    } else {
        char *at = lh_buf_reserve(buf, len < 0 ? SIZE_MAX : (size_t)len);
        if (at) {
            vsnprintf(at, (size_t)len + 1, format, again);
            buf->len += (size_t)len;
        } else if (buf->data) {
            buf->data[buf->len] = 0;
        }
    }
    va_end(again);
}

enum lh_code lh_buf_check(const struct lh_buf *buf, const char *what, struct lh_error *err)
{
    if (!buf->is_over)
        return LH_OK;
    if (buf->is_out_of_memory)
        return lh_fail(err, LH_BUSY, "There is no memory for %s.", what);
    return lh_fail(err, LH_TOO_LARGE, "%s is larger than %zu bytes.", what, buf->max);
}
