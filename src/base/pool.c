#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct item {
    void (*work)(void *context);
    void *context;
};

struct lane {
    struct item *items; /* a ring of `capacity` */
    size_t capacity;
    size_t first;
    size_t count;
    unsigned running;
    unsigned running_max;
    int64_t refused;
};

struct lh_pool {
    pthread_mutex_t mutex;     /* guards everything below but the threads' array */
    pthread_cond_t wake;       /* of the threads below */
    pthread_cond_t wake_vital; /* of the one that serves the vital lane alone */
    struct lane lanes[LH_LANE_COUNT];
    unsigned queue_max;
    bool is_stopping;
    unsigned thread_count;
    pthread_t *threads;
    pthread_t vital;
    bool has_vital;
};

static bool can_take(const struct lane *lane)
{
    return lane->count && lane->running < lane->running_max;
}

/* With the mutex held: the lane to serve next, or NULL. */
static struct lane *next_lane(struct lh_pool *pool)
{
    struct lane *slow = &pool->lanes[LH_LANE_SLOW];
    struct lane *brief = &pool->lanes[LH_LANE_SHORT];
    bool is_starving = can_take(slow) && slow->running == 0 && pool->thread_count > 1;
    if (can_take(brief) && !is_starving)
        return brief;
    return can_take(slow) ? slow : NULL;
}

static bool is_drained(const struct lh_pool *pool)
{
    return pool->lanes[LH_LANE_SHORT].count == 0 && pool->lanes[LH_LANE_SLOW].count == 0;
}

/* With the mutex held, which it gives back while the piece runs. */
static void run_next(struct lh_pool *pool, struct lane *lane)
{
    struct item item = lane->items[lane->first];
    lane->first = (lane->first + 1) % lane->capacity;
    lane->count--;
    lane->running++;
    pthread_mutex_unlock(&pool->mutex);
    item.work(item.context);
    pthread_mutex_lock(&pool->mutex);
    lane->running--;
}

static void *serve_vital(void *context)
{
    struct lh_pool *pool = context;
    struct lane *lane = &pool->lanes[LH_LANE_VITAL];
    pthread_mutex_lock(&pool->mutex);
    while (lane->count || !pool->is_stopping) {
        if (lane->count)
            run_next(pool, lane);
        else
            pthread_cond_wait(&pool->wake_vital, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void *serve(void *context)
{
    struct lh_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct lane *lane = next_lane(pool);
        if (!lane) {
            if (pool->is_stopping && is_drained(pool))
                break;
            pthread_cond_wait(&pool->wake, &pool->mutex);
            continue;
        }
        run_next(pool, lane);
        /* A place in the slow lane may be what another thread waits for, and so may the end. */
        if (pool->is_stopping)
            pthread_cond_broadcast(&pool->wake);
        else if (next_lane(pool))
            pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void free_memory(struct lh_pool *pool)
{
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->wake_vital);
    pthread_mutex_destroy(&pool->mutex);
    for (int i = 0; i < LH_LANE_COUNT; i++)
        free(pool->lanes[i].items);
    free(pool->threads);
    free(pool);
}

void lh_pool_free(struct lh_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_cond_broadcast(&pool->wake_vital);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    if (pool->has_vital)
        pthread_join(pool->vital, NULL);
    free_memory(pool);
}

/* Those that started are joined by lh_pool_free. */
static enum lh_code start_threads(struct lh_pool *pool, unsigned thread_count, struct lh_error *err)
{
    enum lh_code code = lh_thread_start("vital", serve_vital, pool, &pool->vital, err);
    pool->has_vital = !code;
    for (unsigned i = 0; i < thread_count && !code; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%u", i);
        code = lh_thread_start(name, serve, pool, &pool->threads[i], err);
        if (code)
            break;
        pthread_mutex_lock(&pool->mutex);
        pool->thread_count++;
        pthread_mutex_unlock(&pool->mutex);
    }
    return code;
}

enum lh_code lh_pool_new(unsigned thread_count, unsigned queue_max, struct lh_pool **ret,
                         struct lh_error *err)
{
    assert(thread_count > 0 && thread_count <= 4096 && queue_max > 0);
    struct lh_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return lh_fail(err, LH_BUSY, "There is no memory for the worker threads.");
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->wake_vital, NULL);
    pool->queue_max = queue_max;
    pool->threads = calloc(thread_count, sizeof *pool->threads);
    bool has_memory = pool->threads != NULL;
    for (int i = 0; i < LH_LANE_COUNT; i++) {
        struct lane *lane = &pool->lanes[i];
        lane->capacity = (size_t)queue_max + thread_count;
        lane->items = calloc(lane->capacity, sizeof *lane->items);
        has_memory = has_memory && lane->items;
    }
    if (!has_memory) {
        free_memory(pool);
        return lh_fail(err, LH_BUSY, "There is no memory for the worker threads.");
    }
    pool->lanes[LH_LANE_SHORT].running_max = thread_count;
    pool->lanes[LH_LANE_SLOW].running_max = thread_count > 1 ? thread_count / 2 : 1;
    pool->lanes[LH_LANE_VITAL].running_max = 1;
    enum lh_code code = start_threads(pool, thread_count, err);
    if (code) {
        lh_pool_free(pool);
        return code;
    }
    *ret = pool;
    return LH_OK;
}

/* With the mutex held: how many of the lane's queued pieces have a thread that is about to take
 * them. */
static size_t idle_for(const struct lh_pool *pool, const struct lane *lane)
{
    unsigned busy = pool->lanes[LH_LANE_SHORT].running + pool->lanes[LH_LANE_SLOW].running;
    unsigned idle = lane == &pool->lanes[LH_LANE_VITAL] ? 1 : pool->thread_count - busy;
    unsigned open = lane->running_max - lane->running;
    return idle < open ? idle : open;
}

enum lh_code lh_pool_submit(struct lh_pool *pool, enum lh_lane lane_index,
                            void (*work)(void *context), void *context, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_cond_t *wake = lane_index == LH_LANE_VITAL ? &pool->wake_vital : &pool->wake;
    pthread_mutex_lock(&pool->mutex);
    struct lane *lane = &pool->lanes[lane_index];
    if (pool->is_stopping) {
        code = LH_STOPPING;
    } else if (lane->count >= pool->queue_max + idle_for(pool, lane)) {
        lane->refused++;
        code = LH_BUSY;
    } else {
        lane->items[(lane->first + lane->count) % lane->capacity] = (struct item){work, context};
        lane->count++;
    }
    pthread_mutex_unlock(&pool->mutex);
    /* Without the mutex: who wakes up wants it at once. */
    if (!code)
        pthread_cond_signal(wake);
    if (code == LH_STOPPING)
        return lh_fail(err, code, "The server is shutting down and takes no more work.");
    if (code == LH_BUSY)
        return lh_fail(err, code,
                       "The server has %u requests waiting and takes no more for the moment.",
                       pool->queue_max);
    return LH_OK;
}

struct lh_pool_stats lh_pool_stats(struct lh_pool *pool)
{
    struct lh_pool_stats stats = {0};
    pthread_mutex_lock(&pool->mutex);
    stats.thread_count = pool->thread_count;
    for (int i = 0; i < LH_LANE_COUNT; i++) {
        stats.running[i] = pool->lanes[i].running;
        stats.queued[i] = (int64_t)pool->lanes[i].count;
        stats.refused[i] = pool->lanes[i].refused;
    }
    pthread_mutex_unlock(&pool->mutex);
    return stats;
}

/* Signals that a thread raises by its own mistake stay its own. */
static void fill_blocked(sigset_t *set)
{
    sigfillset(set);
    sigdelset(set, SIGSEGV);
    sigdelset(set, SIGBUS);
    sigdelset(set, SIGFPE);
    sigdelset(set, SIGILL);
    sigdelset(set, SIGABRT);
    sigdelset(set, SIGTRAP);
}

enum lh_code lh_thread_start(const char *name, void *(*run)(void *context), void *context,
                             pthread_t *ret, struct lh_error *err)
{
    pthread_attr_t attributes;
    sigset_t blocked;
    sigset_t before;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LH_THREAD_STACK_BYTES);
    fill_blocked(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error_number = pthread_create(&thread, &attributes, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error_number)
        return lh_fail_errno(err, error_number == EAGAIN ? ENOMEM : error_number,
                             "The thread '%s' could not be started", name);
    char short_name[16];
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(thread, short_name);
    *ret = thread;
    return LH_OK;
}
