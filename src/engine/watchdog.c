/* One thread per engine that interrupts what was told to stop.
 *
 *   asleep ──watchdog_watch──▶ looking, every LOOK_MS ──nothing watched for LINGER_MS──▶ asleep
 *
 * The library forgets an interrupt that comes before execution starts, so one is not enough: it is
 * repeated until the statement has ended. The look is a poll because a deadline passes without an
 * event; it goes on for a while after the last statement, so that short statements, one after the
 * other, never pay for a wake-up. A connection's watch_lock is held while it is struck and while
 * its progress is told: after watchdog_unwatch no late interrupt can hit the next statement, and
 * the token and the context of the callback may go away.
 */
#include "engine/internal.h"

#include <time.h>

#include "base/clock.h"
#include "base/pool.h"

#define LOOK_MS 3
#define LINGER_MS 1000
#define PROGRESS_MS 100

static struct timespec from_now(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    return until;
}

static void report_progress(struct engine_connection *connection)
{
    struct engine_progress *progress = &connection->progress;
    int64_t now_us = lh_clock_monotonic_us();
    if (!progress->call || now_us < progress->next_us)
        return;
    progress->next_us = now_us + (int64_t)PROGRESS_MS * 1000;
    progress->call(progress->context, (int64_t)atomic_load(&connection->tap_rows));
}

static void look_at(struct engine_connection *connection)
{
    if (!atomic_load(&connection->is_watched))
        return;
    pthread_mutex_lock(&connection->watch_lock);
    const struct lh_cancel *cancel = atomic_load(&connection->watched);
    if (cancel && lh_cancel_check(cancel))
        duckdb_interrupt(connection->handle);
    report_progress(connection);
    pthread_mutex_unlock(&connection->watch_lock);
}

static void sleep_until_needed(struct engine *engine)
{
    pthread_mutex_lock(&engine->watchdog_lock);
    atomic_store(&engine->watchdog_sleeps, true);
    while (!atomic_load(&engine->is_closing) && atomic_load(&engine->watched_count) == 0)
        pthread_cond_wait(&engine->watchdog_wake, &engine->watchdog_lock);
    atomic_store(&engine->watchdog_sleeps, false);
    pthread_mutex_unlock(&engine->watchdog_lock);
}

static void *watchdog_run(void *context)
{
    struct engine *engine = context;
    int64_t last_seen_us = lh_clock_monotonic_us();
    while (!atomic_load(&engine->is_closing)) {
        struct timespec until = from_now(LOOK_MS);
        pthread_mutex_lock(&engine->watchdog_lock);
        if (!atomic_load(&engine->is_closing))
            pthread_cond_timedwait(&engine->watchdog_wake, &engine->watchdog_lock, &until);
        pthread_mutex_unlock(&engine->watchdog_lock);
        size_t count = engine->connection_count;
        for (size_t i = 0; i < count; i++)
            look_at(engine->connections[i]);
        int64_t now_us = lh_clock_monotonic_us();
        if (atomic_load(&engine->watched_count) > 0)
            last_seen_us = now_us;
        else if (now_us - last_seen_us > (int64_t)LINGER_MS * 1000) {
            sleep_until_needed(engine);
            last_seen_us = lh_clock_monotonic_us();
        }
    }
    return NULL;
}

enum lh_code watchdog_start(struct engine *engine, struct lh_error *err)
{
    enum lh_code code =
        lh_thread_start("engine-watchdog", watchdog_run, engine, &engine->watchdog, err);
    engine->has_watchdog = !code;
    return code;
}

static void wake(struct engine *engine)
{
    pthread_mutex_lock(&engine->watchdog_lock);
    pthread_cond_signal(&engine->watchdog_wake);
    pthread_mutex_unlock(&engine->watchdog_lock);
}

void watchdog_stop(struct engine *engine)
{
    if (!engine->has_watchdog)
        return;
    atomic_store(&engine->is_closing, true);
    wake(engine);
    pthread_join(engine->watchdog, NULL);
    engine->has_watchdog = false;
}

void watchdog_watch(struct engine_connection *connection, const struct lh_cancel *cancel,
                    const struct engine_progress *progress)
{
    struct engine *engine = connection->engine;
    if (!cancel && !progress)
        return;
    pthread_mutex_lock(&connection->watch_lock);
    connection->progress = progress ? *progress : (struct engine_progress){0};
    atomic_store(&connection->watched, cancel);
    atomic_store(&connection->is_watched, true);
    pthread_mutex_unlock(&connection->watch_lock);
    /* Counted before looking whether it sleeps; it says that it sleeps before it looks at the
     * count. */
    atomic_fetch_add(&engine->watched_count, 1);
    if (atomic_load(&engine->watchdog_sleeps))
        wake(engine);
}

void watchdog_unwatch(struct engine_connection *connection)
{
    if (!atomic_load(&connection->is_watched))
        return;
    pthread_mutex_lock(&connection->watch_lock);
    atomic_store(&connection->watched, NULL);
    connection->progress = (struct engine_progress){0};
    atomic_store(&connection->is_watched, false);
    pthread_mutex_unlock(&connection->watch_lock);
    atomic_fetch_sub(&connection->engine->watched_count, 1);
}
