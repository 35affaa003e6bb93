#include "base/cancel.h"

#include "base/clock.h"

void lh_cancel_init(struct lh_cancel *cancel)
{
    lh_cancel_init_child(cancel, NULL);
}

void lh_cancel_init_child(struct lh_cancel *cancel, const struct lh_cancel *parent)
{
    atomic_init(&cancel->fired, LH_OK);
    atomic_init(&cancel->deadline_us, 0);
    atomic_init(&cancel->timeout_ms, 0);
    cancel->parent = parent;
}

void lh_cancel_set_timeout(struct lh_cancel *cancel, int64_t timeout_ms)
{
    lh_cancel_set_timeout_from(cancel, timeout_ms, lh_clock_monotonic_us());
}

void lh_cancel_set_timeout_from(struct lh_cancel *cancel, int64_t timeout_ms, int64_t from_us)
{
    int64_t deadline_us = 0;
    /* So far away that the sum would not fit: never. */
    if (timeout_ms > 0 && timeout_ms <= (INT64_MAX - from_us) / 1000)
        deadline_us = from_us + timeout_ms * 1000;
    atomic_store(&cancel->timeout_ms, timeout_ms);
    atomic_store(&cancel->deadline_us, deadline_us);
}

static bool is_past_deadline(const struct lh_cancel *cancel)
{
    int64_t deadline_us = atomic_load_explicit(&cancel->deadline_us, memory_order_relaxed);
    return deadline_us && lh_clock_monotonic_us() >= deadline_us;
}

void lh_cancel_fire(struct lh_cancel *cancel, enum lh_code reason)
{
    int running = LH_OK;
    /* A deadline that passed unseen was first. */
    int first = is_past_deadline(cancel) ? LH_TIMEOUT : (int)reason;
    atomic_compare_exchange_strong(&cancel->fired, &running, first);
}

/* The token that stopped, itself or an ancestor, and why; NULL while running. */
static const struct lh_cancel *stopped(const struct lh_cancel *cancel, enum lh_code *ret)
{
    for (; cancel; cancel = cancel->parent) {
        int fired = atomic_load_explicit(&cancel->fired, memory_order_acquire);
        if (!fired && is_past_deadline(cancel))
            fired = LH_TIMEOUT;
        if (fired) {
            *ret = (enum lh_code)fired;
            return cancel;
        }
    }
    return NULL;
}

enum lh_code lh_cancel_check(const struct lh_cancel *cancel)
{
    enum lh_code code = LH_OK;
    stopped(cancel, &code);
    return code;
}

enum lh_code lh_cancel_fail(const struct lh_cancel *cancel, const char *what, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    const struct lh_cancel *token = stopped(cancel, &code);
    if (!token)
        return LH_OK;
    if (code == LH_TIMEOUT)
        return lh_fail(err, code, "%s ran longer than its limit of %lld ms.", what,
                       (long long)atomic_load(&token->timeout_ms));
    if (code == LH_BUSY)
        return lh_fail(err, code, "%s was stopped to make way: too many long ones run.", what);
    if (code == LH_STOPPING)
        return lh_fail(err, code, "%s was stopped because the server is shutting down.", what);
    return lh_fail(err, code, "%s was cancelled.", what);
}
