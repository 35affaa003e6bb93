/* A wish to stop, with its reason and a deadline: made by who waits for work, looked at by who does
 * it.
 *
 *             lh_cancel_fire(reason), or
 *             the deadline has passed
 *   running ─────────────────────────────▶ stopped: LH_CANCELLED, LH_TIMEOUT, LH_BUSY or
 *                                          LH_STOPPING; the first wins
 *
 * Any thread may fire or look. Looking costs one atomic load, and a clock call when there is a
 * deadline. A child token (lh_cancel_init_child) is stopped too when its parent is.
 */
#ifndef LAKEHOUSE_BASE_CANCEL_H
#define LAKEHOUSE_BASE_CANCEL_H

#include <stdatomic.h>

#include "base/error.h"

struct lh_cancel {
    _Atomic int fired;              /* an enum lh_code, LH_OK while running */
    _Atomic int64_t deadline_us;    /* monotonic; 0 = none */
    _Atomic int64_t timeout_ms;     /* what the deadline was made from, for the message */
    const struct lh_cancel *parent; /* NULL = none; outlives this one */
};

void lh_cancel_init(struct lh_cancel *cancel);
void lh_cancel_init_child(struct lh_cancel *cancel, const struct lh_cancel *parent);
void lh_cancel_set_timeout(struct lh_cancel *cancel, int64_t timeout_ms); /* from now; 0 = none */
/* The same, counted from a moment on the monotonic clock. */
void lh_cancel_set_timeout_from(struct lh_cancel *cancel, int64_t timeout_ms, int64_t from_us);
void lh_cancel_fire(struct lh_cancel *cancel, enum lh_code reason);

/* LH_OK while work should go on; NULL never stops. */
enum lh_code lh_cancel_check(const struct lh_cancel *cancel);
/* The same, writing the error ("The statement ran longer than its limit of 30000 ms." …). */
enum lh_code lh_cancel_fail(const struct lh_cancel *cancel, const char *what, struct lh_error *err);

#endif
