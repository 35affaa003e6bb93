#include "lake/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/retention.h"
#include "storage/buckets.h"
#include "storage/failures.h"
#include "storage/objects.h"

/* A piece, which is one file or several small ones, is followed by a rest, so that statements find
 * the disk free in between; the end of the server interrupts it. */
#define VERIFY_BYTES ((int64_t)8 << 20)
#define VERIFY_REST_MS 100
#define TRASH_AGE_MS ((int64_t)3600 * 1000)
#define TRASH_EVERY_MS ((int64_t)600 * 1000)
#define EXPIRE_EVERY_MS ((int64_t)3600 * 1000)
#define QUIET_MS 5000 /* between two looks at the reserve */

struct keeper {
    struct catalog *catalog;
    struct engine *engine;
    struct objects *objects;
    struct storage *storage;
    struct search *search;
    struct repeats *repeats;
    struct compacting *compacting;
    int64_t retention_ms;
    int64_t expired_us; /* when it last looked for old versions */
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_ending */
    pthread_cond_t wake;
    bool is_ending;
    struct lh_cancel cancel; /* fired when it ends */
};

/* Rests, or returns false when it is time to end. */
static bool rest(struct keeper *keeper, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanos = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + nanos / 1000000000);
    until.tv_nsec = (long)(nanos % 1000000000);
    pthread_mutex_lock(&keeper->lock);
    int waited = 0;
    while (!keeper->is_ending && waited == 0)
        waited = pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
    bool goes_on = !keeper->is_ending;
    pthread_mutex_unlock(&keeper->lock);
    return goes_on;
}

static void sweep(struct keeper *keeper)
{
    struct lh_error err = LH_ERROR_NONE;
    size_t moved = 0;
    if (catalog_sweep(keeper->catalog, &moved, &err))
        lh_log_error(LH_LOG_WARN, "lake.sweep", &err);
    else if (moved)
        lh_log(LH_LOG_INFO, "lake.sweep", "%zu files that no commit names went to the trash.",
               moved);
    moved = 0;
    if (search_sweep(keeper->search, &moved, &err))
        lh_log_error(LH_LOG_WARN, "lake.sweep", &err);
    else if (moved)
        lh_log(LH_LOG_INFO, "lake.sweep", "%zu files that no index names went to the trash.",
               moved);
    moved = 0;
    if (objects_sweep(keeper->objects, &moved, &err))
        lh_log_error(LH_LOG_WARN, "lake.sweep", &err);
    else if (moved)
        lh_log(LH_LOG_INFO, "lake.sweep", "%zu files that no object names went to the trash.",
               moved);
}

/* Old versions, once an hour; what readers still held then, each time. */
static void expire(struct keeper *keeper)
{
    const struct catalog_expire_options options = {
        .older_than_ms = keeper->retention_ms,
        .actor = lh_lit("lakehouse"),
        .reason = lh_lit("older than catalog.version_retention_s"),
        .cancel = &keeper->cancel,
    };
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_expiry *items = NULL;
    size_t count = 0, moved = 0;
    int64_t now_us = lh_clock_monotonic_us();
    bool is_due = !keeper->expired_us || now_us - keeper->expired_us >= EXPIRE_EVERY_MS * 1000;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = LH_OK;
    if (is_due) {
        keeper->expired_us = now_us;
        code = catalog_expire(keeper->catalog, &options, arena, &items, &count, &err);
    }
    if (!code)
        code = catalog_collect(keeper->catalog, &moved, &err);
    for (size_t i = 0; i < count && !code; i++)
        lh_log(LH_LOG_INFO, "lake.expire",
               "Dataset '%.*s': versions before %lld expired, with %lld files of %lld bytes.",
               LH_ARG(items[i].name), (long long)items[i].retained_version,
               (long long)items[i].object_count, (long long)items[i].byte_count);
    if (!code)
        catalog_seal_expired(keeper->catalog, keeper->engine, items, count, &keeper->cancel);
    if (code && code != LH_STOPPING)
        lh_log_error(LH_LOG_WARN, "lake.expire", &err);
    lh_arena_free(arena);
}

static void *keep(void *context)
{
    struct keeper *keeper = context;
    struct lh_error err = LH_ERROR_NONE;
    if (!rest(keeper, VERIFY_REST_MS))
        return NULL;
    sweep(keeper);
    bool is_verified = false;
    size_t failed = 0;
    int64_t again_us = 0;
    do {
        if (!is_verified) {
            is_verified = !catalog_verify_some(keeper->catalog, VERIFY_BYTES, &keeper->cancel);
            again_us = lh_clock_monotonic_us() + TRASH_EVERY_MS * 1000;
        } else if (lh_clock_monotonic_us() >= again_us) {
            sweep(keeper); /* what could not be moved before */
            expire(keeper);
            if (repeats_sweep(keeper->repeats, &err))
                lh_log_error(LH_LOG_WARN, "lake.idempotency", &err);
            if (storage_trash_sweep(keeper->storage, TRASH_AGE_MS, NULL, &err))
                lh_log_error(LH_LOG_WARN, "lake.trash", &err);
            is_verified = false; /* what came since is looked at in the next round */
        }
        storage_buckets_look(keeper->storage);
        compacting_look(keeper->compacting);
        if (storage_failures_flush(keeper->storage, &failed, &err))
            lh_log_error(LH_LOG_WARN, "lake.errors", &err);
        if (storage_reserve_fill(keeper->storage, &err))
            lh_log_error(LH_LOG_WARN, "lake.reserve", &err);
    } while (rest(keeper, is_verified ? QUIET_MS : VERIFY_REST_MS));
    return NULL;
}

enum lh_code keeper_start(const struct keeper_options *options, struct keeper **ret,
                          struct lh_error *err)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t attributes;
    if (!keeper)
        return lh_fail(err, LH_BUSY, "There is no memory for the keeper.");
    keeper->catalog = options->catalog;
    keeper->engine = options->engine;
    keeper->objects = options->objects;
    keeper->storage = options->storage;
    keeper->search = options->search;
    keeper->repeats = options->repeats;
    keeper->compacting = options->compacting;
    keeper->retention_ms = options->retention_ms;
    lh_cancel_init(&keeper->cancel);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    enum lh_code code = lh_thread_start("keeper", keep, keeper, &keeper->thread, err);
    if (code) {
        pthread_cond_destroy(&keeper->wake);
        pthread_mutex_destroy(&keeper->lock);
        free(keeper);
        return code;
    }
    *ret = keeper;
    return LH_OK;
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper)
        return;
    lh_cancel_fire(&keeper->cancel, LH_STOPPING);
    pthread_mutex_lock(&keeper->lock);
    keeper->is_ending = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}
