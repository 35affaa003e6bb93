#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define MINDER_STEP_MS 50
#define PROMPT_SLICE_NS UINT64_C(100000) /* the least that the system knows */

struct item {
    void (*work)(void *context);
    void *context;
};

struct lane {
    struct item *items; /* a ring of `capacity` */
    size_t capacity;
    size_t first;
    size_t count;
    unsigned running; /* without those that turned out to be long */
    unsigned running_max;
    int64_t refused;
};

/* A thread and what it runs. */
struct seat {
    struct lh_pool *pool;
    pthread_t thread;
    pthread_cond_t wake;
    bool is_resting;
    struct seat *next_resting;
    struct lane *lane; /* NULL: it runs nothing */
    int64_t since_us;
    bool is_long;
    bool is_told;             /* to stop, for others */
    pthread_mutex_t lock;     /* guards `yields`, and holds while it is fired */
    struct lh_cancel *yields; /* lent by the piece; NULL: it is not to be stopped */
};

static _Thread_local struct seat *own_seat;

struct lh_pool {
    pthread_mutex_t mutex;      /* guards everything below, but for `lock` and `yields` of a seat */
    pthread_cond_t wake_vital;  /* of the one that serves the vital lane alone */
    pthread_cond_t wake_minder; /* monotonic */
    struct lane lanes[LH_LANE_COUNT];
    unsigned queue_max;
    bool is_stopping;
    bool is_minding; /* the minder looks again by itself */
    unsigned thread_count;
    unsigned long_max;
    unsigned long_running;
    int64_t yielded;
    struct seat *resting; /* the one that rests shortest first: its caches are the warmest */
    struct seat *seats;   /* thread_count + long_max, of which seat_count have a thread */
    unsigned seat_count;
    struct seat vital;
    bool has_vital;
    pthread_t minder;
    bool has_minder;
};

/* With the mutex held, as for everything here. NULL: nobody rests. */
static pthread_cond_t *next_to_wake(struct lh_pool *pool)
{
    struct seat *seat = pool->resting;
    if (!seat)
        return NULL;
    pool->resting = seat->next_resting;
    seat->is_resting = false;
    return &seat->wake;
}

static void wake_one(struct lh_pool *pool)
{
    pthread_cond_t *wake = next_to_wake(pool);
    if (wake)
        pthread_cond_signal(wake);
}

static void wake_all(struct lh_pool *pool)
{
    while (pool->resting)
        wake_one(pool);
}

static void rest(struct seat *seat)
{
    seat->next_resting = seat->pool->resting;
    seat->pool->resting = seat;
    seat->is_resting = true;
    while (seat->is_resting)
        pthread_cond_wait(&seat->wake, &seat->pool->mutex);
}

static unsigned places_taken(const struct lh_pool *pool)
{
    return pool->lanes[LH_LANE_SHORT].running + pool->lanes[LH_LANE_SLOW].running;
}

static bool can_take(const struct lane *lane)
{
    return lane->count && lane->running < lane->running_max;
}

/* With the mutex held: the lane to serve next, or NULL. */
static struct lane *next_lane(struct lh_pool *pool)
{
    struct lane *slow = &pool->lanes[LH_LANE_SLOW];
    struct lane *brief = &pool->lanes[LH_LANE_SHORT];
    if (places_taken(pool) >= pool->thread_count)
        return NULL;
    bool is_starving = can_take(slow) && slow->running == 0 && pool->thread_count > 1;
    if (can_take(brief) && !is_starving)
        return brief;
    return can_take(slow) ? slow : NULL;
}

static bool is_drained(const struct lh_pool *pool)
{
    return pool->lanes[LH_LANE_SHORT].count == 0 && pool->lanes[LH_LANE_SLOW].count == 0;
}

/* Wakes the minder if somebody waits who may have to wait for long. */
static void mind(struct lh_pool *pool)
{
    if (pool->is_minding || !pool->lanes[LH_LANE_SHORT].count)
        return;
    pool->is_minding = true;
    pthread_cond_signal(&pool->wake_minder);
}

/* With the mutex held, which it gives back while the piece runs. */
static void run_next(struct seat *seat, struct lane *lane)
{
    struct lh_pool *pool = seat->pool;
    struct item item = lane->items[lane->first];
    lane->first = (lane->first + 1) % lane->capacity;
    lane->count--;
    lane->running++;
    seat->lane = lane;
    seat->since_us = lh_clock_monotonic_us();
    mind(pool);
    pthread_mutex_unlock(&pool->mutex);
    item.work(item.context);
    pthread_mutex_lock(&pool->mutex);
    if (seat->is_long)
        pool->long_running--;
    else
        lane->running--;
    seat->is_long = seat->is_told = false;
    seat->lane = NULL;
}

void lh_pool_yields(struct lh_cancel *cancel)
{
    if (!own_seat)
        return;
    pthread_mutex_lock(&own_seat->lock);
    own_seat->yields = cancel;
    pthread_mutex_unlock(&own_seat->lock);
}

static void *serve_vital(void *context)
{
    struct seat *seat = context;
    struct lh_pool *pool = seat->pool;
    struct lane *lane = &pool->lanes[LH_LANE_VITAL];
    lh_thread_be_prompt();
    pthread_mutex_lock(&pool->mutex);
    while (lane->count || !pool->is_stopping) {
        if (lane->count)
            run_next(seat, lane);
        else
            pthread_cond_wait(&pool->wake_vital, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void *serve(void *context)
{
    struct seat *seat = context;
    struct lh_pool *pool = seat->pool;
    own_seat = seat;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct lane *lane = next_lane(pool);
        if (!lane) {
            if (pool->is_stopping && is_drained(pool))
                break;
            rest(seat);
            continue;
        }
        run_next(seat, lane);
        /* A place in the slow lane may be what another thread waits for, and so may the end. */
        if (pool->is_stopping)
            wake_all(pool);
        else if (next_lane(pool))
            wake_one(pool);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* --- the minder: places for those who wait behind long work */

static bool is_older(const struct seat *seat, int64_t now_us, int64_t ms)
{
    return now_us - seat->since_us >= ms * 1000;
}

/* The oldest piece of short work that is none becomes long. */
static bool promote_one(struct lh_pool *pool, int64_t now_us)
{
    struct lane *brief = &pool->lanes[LH_LANE_SHORT];
    struct seat *oldest = NULL;
    for (unsigned i = 0; i < pool->seat_count; i++) {
        struct seat *seat = &pool->seats[i];
        if (seat->lane == brief && !seat->is_long && is_older(seat, now_us, LH_POOL_LONG_MS) &&
            (!oldest || seat->since_us < oldest->since_us))
            oldest = seat;
    }
    if (!oldest || pool->long_running >= pool->long_max)
        return false;
    oldest->is_long = true;
    brief->running--;
    pool->long_running++;
    wake_one(pool);
    return true;
}

static bool tell(struct seat *seat)
{
    pthread_mutex_lock(&seat->lock);
    bool can_stop = seat->yields != NULL;
    if (can_stop)
        lh_cancel_fire(seat->yields, LH_BUSY);
    pthread_mutex_unlock(&seat->lock);
    return can_stop;
}

/* The one that has lost least is stopped. One that does not listen is passed over the next time. */
static void stop_one(struct lh_pool *pool, int64_t now_us)
{
    struct seat *youngest = NULL;
    for (unsigned i = 0; i < pool->seat_count; i++) {
        struct seat *seat = &pool->seats[i];
        if (seat->lane == &pool->lanes[LH_LANE_SHORT] && !seat->is_long && !seat->is_told &&
            is_older(seat, now_us, LH_POOL_YIELD_MS) &&
            (!youngest || seat->since_us > youngest->since_us))
            youngest = seat;
    }
    if (!youngest)
        return;
    youngest->is_told = true;
    pool->yielded += tell(youngest);
}

static void wait_a_step(struct lh_pool *pool)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += MINDER_STEP_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&pool->wake_minder, &pool->mutex, &until);
}

static void *serve_minder(void *context)
{
    struct lh_pool *pool = context;
    struct lane *brief = &pool->lanes[LH_LANE_SHORT];
    pthread_mutex_lock(&pool->mutex);
    while (!pool->is_stopping) {
        pool->is_minding = brief->count > 0;
        if (!pool->is_minding) {
            pthread_cond_wait(&pool->wake_minder, &pool->mutex);
            continue;
        }
        wait_a_step(pool);
        int64_t now_us = lh_clock_monotonic_us();
        if (brief->count && places_taken(pool) >= pool->thread_count && !promote_one(pool, now_us))
            stop_one(pool, now_us);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* --- life */

static unsigned seats_wanted(const struct lh_pool *pool)
{
    return pool->thread_count + pool->long_max;
}

static void free_memory(struct lh_pool *pool)
{
    pthread_cond_destroy(&pool->wake_vital);
    pthread_cond_destroy(&pool->wake_minder);
    pthread_mutex_destroy(&pool->mutex);
    for (int i = 0; i < LH_LANE_COUNT; i++)
        free(pool->lanes[i].items);
    for (unsigned i = 0; pool->seats && i < seats_wanted(pool); i++) {
        pthread_mutex_destroy(&pool->seats[i].lock);
        pthread_cond_destroy(&pool->seats[i].wake);
    }
    pthread_mutex_destroy(&pool->vital.lock);
    free(pool->seats);
    free(pool);
}

void lh_pool_free(struct lh_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->is_stopping = true;
    wake_all(pool);
    pthread_cond_broadcast(&pool->wake_vital);
    pthread_cond_broadcast(&pool->wake_minder);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->seat_count; i++)
        pthread_join(pool->seats[i].thread, NULL);
    if (pool->has_vital)
        pthread_join(pool->vital.thread, NULL);
    if (pool->has_minder)
        pthread_join(pool->minder, NULL);
    free_memory(pool);
}

/* Those that started are joined by lh_pool_free. */
static enum lh_code start_threads(struct lh_pool *pool, struct lh_error *err)
{
    enum lh_code code =
        lh_thread_start("vital", serve_vital, &pool->vital, &pool->vital.thread, err);
    pool->has_vital = !code;
    if (!code && pool->long_max) {
        code = lh_thread_start("minder", serve_minder, pool, &pool->minder, err);
        pool->has_minder = !code;
    }
    for (unsigned i = 0; i < seats_wanted(pool) && !code; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%u", i);
        code = lh_thread_start(name, serve, &pool->seats[i], &pool->seats[i].thread, err);
        if (code)
            break;
        pthread_mutex_lock(&pool->mutex);
        pool->seat_count++;
        pthread_mutex_unlock(&pool->mutex);
    }
    return code;
}

static void init_locks(struct lh_pool *pool)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake_vital, NULL);
    pthread_cond_init(&pool->wake_minder, &attributes);
    pthread_condattr_destroy(&attributes);
    pool->vital.pool = pool;
    pthread_mutex_init(&pool->vital.lock, NULL);
    for (unsigned i = 0; pool->seats && i < seats_wanted(pool); i++) {
        pool->seats[i].pool = pool;
        pthread_mutex_init(&pool->seats[i].lock, NULL);
        pthread_cond_init(&pool->seats[i].wake, NULL);
    }
}

enum lh_code lh_pool_new(unsigned thread_count, unsigned long_max, unsigned queue_max,
                         struct lh_pool **ret, struct lh_error *err)
{
    assert(thread_count > 0 && thread_count <= 4096 && long_max <= 4096 && queue_max > 0);
    struct lh_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return lh_fail(err, LH_BUSY, "There is no memory for the worker threads.");
    pool->thread_count = thread_count;
    pool->long_max = long_max;
    pool->queue_max = queue_max;
    pool->seats = calloc(seats_wanted(pool), sizeof *pool->seats);
    init_locks(pool);
    bool has_memory = pool->seats != NULL;
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
    enum lh_code code = start_threads(pool, err);
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
    bool is_vital = lane == &pool->lanes[LH_LANE_VITAL];
    unsigned idle = is_vital ? 1 : pool->thread_count - places_taken(pool);
    unsigned open = lane->running_max - lane->running;
    return idle < open ? idle : open;
}

enum lh_code lh_pool_submit(struct lh_pool *pool, enum lh_lane lane_index,
                            void (*work)(void *context), void *context, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_cond_t *wake = NULL;
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
        if (lane_index == LH_LANE_VITAL)
            wake = &pool->wake_vital;
        else if (next_lane(pool)) /* else whoever is done first takes it */
            wake = next_to_wake(pool);
        if (places_taken(pool) >= pool->thread_count)
            mind(pool);
    }
    pthread_mutex_unlock(&pool->mutex);
    /* Without the mutex: who wakes up wants it at once. */
    if (wake)
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
    stats.long_max = pool->long_max;
    stats.long_running = pool->long_running;
    stats.yielded = pool->yielded;
    for (int i = 0; i < LH_LANE_COUNT; i++) {
        stats.running[i] = pool->lanes[i].running;
        stats.queued[i] = (int64_t)pool->lanes[i].count;
        stats.refused[i] = pool->lanes[i].refused;
    }
    stats.running[LH_LANE_SHORT] += pool->long_running;
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

/* The C library has no name for it. */
struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

void lh_thread_be_prompt(void)
{
    struct sched_attributes attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0))
        return;
    attributes.runtime_ns = PROMPT_SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

#define LAST_NICE 10

void lh_thread_be_last(void)
{
    (void)setpriority(PRIO_PROCESS, 0, LAST_NICE); /* 0: of this thread alone */
}
