/* A growing byte buffer that states its maximum at birth.
 *
 * Appends never fail one by one: past the maximum (or without memory) the buffer turns `is_over`,
 * drops what comes after, and lh_buf_check says so once, at the end. Without memory for a small one
 * (LH_ARENA_SMALL_BYTES) the process ends, as with arenas: the many short texts that cannot reach
 * their maximum need no check, and none is ever stored in part. Not thread-safe. Does not block.
 */
#ifndef LAKEHOUSE_BASE_BUF_H
#define LAKEHOUSE_BASE_BUF_H

#include <stdarg.h>

#include "base/error.h"

struct lh_buf {
    char *data; /* NUL-ended after every append; NULL before the first */
    size_t len;
    size_t capacity;
    size_t max; /* bytes, the ending NUL not counted */
    bool is_over;
    bool is_out_of_memory; /* is_over because there was no memory, not because of the maximum */
};

void lh_buf_init(struct lh_buf *buf, size_t max);
void lh_buf_release(
    struct lh_buf *buf); /* NULL is fine; the buffer can be used again with the same maximum */
void lh_buf_clear(struct lh_buf *buf); /* keeps the memory, forgets is_over */

void lh_buf_append(struct lh_buf *buf, const void *bytes, size_t count);
void lh_buf_append_str(struct lh_buf *buf, struct lh_str str);
void lh_buf_append_char(struct lh_buf *buf, char character);
void lh_buf_printf(struct lh_buf *buf, const char *format, ...) LH_PRINTF(2, 3);
void lh_buf_vprintf(struct lh_buf *buf, const char *format, va_list args);

/* Room for `count` more bytes at data + len, or NULL (then is_over). The caller writes there, then
 * adds to len; an ending NUL comes back with the next append. */
char *lh_buf_reserve(struct lh_buf *buf, size_t count);

/* LH_TOO_LARGE naming `what` if anything was dropped; LH_BUSY if it was dropped for lack of memory.
 */
enum lh_code lh_buf_check(const struct lh_buf *buf, const char *what,
                          struct lh_error *err) LH_MUST_USE;

static inline struct lh_str lh_buf_str(const struct lh_buf *buf)
{
    return (struct lh_str){buf->data ? buf->data : "", buf->len};
}

#endif
