/* The registry's life, and the list that it keeps. */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "jobs/internal.h"

#define QUEUE_MAX_PRESET 1000
#define RUNNING_MAX_PRESET 4
#define KEEP_MAX_PRESET 1000
#define KEEP_MS_PRESET (INT64_C(7) * 24 * 3600 * 1000)
#define ATTEMPTS_MAX_PRESET 3
#define WRITE_MS_PRESET 1000
#define TELL_AFTER_MS 200 /* which jobs the end waits for */
#define DRAIN_STEP_MS 50

const char *const job_state_names[] = {"queued", "running",   "succeeded",
                                       "failed", "cancelled", NULL};

struct job *jobs_new_job(struct jobs *jobs)
{
    struct job *job = lh_allocate(1, sizeof *job);
    job->jobs = jobs;
    job->arena = lh_arena_new_small(); /* ended ones are kept by the thousand */
    job->id = lh_uuid_new();
    job->created_ms = lh_clock_unix_ms();
    job->progress.phase = lh_lit("queued");
    lh_cancel_init(&job->cancel);
    return job;
}

void jobs_free_job(struct job *job)
{
    if (!job)
        return;
    free(job->batch);
    lh_arena_free(job->arena);
    free(job);
}

void jobs_touch(struct job *job)
{
    job->change = ++job->jobs->last_change;
    pthread_cond_broadcast(&job->jobs->changed);
}

static bool is_newer(const struct job *a, const struct job *b)
{
    if (a->created_ms != b->created_ms)
        return a->created_ms > b->created_ms;
    return lh_str_compare(lh_uuid_str(&a->id), lh_uuid_str(&b->id)) > 0;
}

void jobs_insert(struct jobs *jobs, struct job *job)
{
    struct job *older = jobs->newest;
    while (older && is_newer(older, job))
        older = older->older;
    job->older = older;
    job->newer = older ? older->newer : jobs->oldest;
    *(job->newer ? &job->newer->older : &jobs->newest) = job;
    *(older ? &older->newer : &jobs->oldest) = job;
    jobs_touch(job);
}

/* The last of its jobs keeps the batch, to end it. */
static void leave_batch(struct job *job)
{
    if (job->batch && --job->batch->jobs)
        job->batch = NULL;
}

void jobs_unlink(struct jobs *jobs, struct job *job)
{
    assert(job);
    jobs->unwritten -= job->is_unwritten;
    job->is_unwritten = false;
    leave_batch(job);
    *(job->newer ? &job->newer->older : &jobs->newest) = job->older;
    *(job->older ? &job->older->newer : &jobs->oldest) = job->newer;
}

void jobs_enqueue(struct jobs *jobs, struct job *job)
{
    assert(job->state == JOB_QUEUED);
    job->next_queued = NULL;
    *(jobs->queue_last ? &jobs->queue_last->next_queued : &jobs->queue_first) = job;
    jobs->queue_last = job;
    jobs->queued++;
    jobs_touch(job);
}

struct job *jobs_find(struct jobs *jobs, struct lh_str id)
{
    for (struct job *job = jobs->newest; job; job = job->older)
        if (lh_str_equal(lh_uuid_str(&job->id), id))
            return job;
    return NULL;
}

const struct job_kind *jobs_find_kind(struct jobs *jobs, struct lh_str name)
{
    for (size_t i = 0; i < jobs->kind_count; i++)
        if (lh_str_equal(lh_str_of(jobs->kinds[i].name), name))
            return &jobs->kinds[i];
    return NULL;
}

/* CLOCK_MONOTONIC, as jobs_open made the condition. */
void jobs_wait_a_while(struct jobs *jobs, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until);
}

/* Takes the oldest ended job that is one too many or too old out of the list. */
static struct job *take_old(struct jobs *jobs, int64_t now_ms)
{
    for (struct job *job = jobs->oldest; job; job = job->newer) {
        if (job->state < JOB_SUCCEEDED || job->is_awaited || job->is_being_written)
            continue;
        if (jobs->ended_kept <= jobs->options.keep_max &&
            now_ms - job->ended_ms <= jobs->options.keep_ms)
            return NULL;
        jobs_unlink(jobs, job);
        jobs->ended_kept--;
        return job;
    }
    return NULL;
}

void jobs_forget_old(struct jobs *jobs)
{
    struct job *first = NULL;
    pthread_mutex_lock(&jobs->lock);
    for (struct job *job; (job = take_old(jobs, lh_clock_unix_ms()));) {
        job->next_queued = first;
        first = job;
    }
    pthread_mutex_unlock(&jobs->lock);
    record_remove(jobs, first);
    for (struct job *job = first; job;) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): each was taken out of the jobs, once */
        struct job *next = job->next_queued;
        jobs_free_job(job);
        job = next;
    }
}

static void free_all(struct jobs *jobs)
{
    for (struct job *job = jobs->newest; job;) {
        struct job *older = job->older;
        leave_batch(job);
        jobs_free_job(job);
        job = older;
    }
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

static void preset(unsigned *value, unsigned otherwise)
{
    if (!*value)
        *value = otherwise;
}

enum lh_code jobs_open(const struct jobs_options *options, struct jobs **ret, struct lh_error *err)
{
    struct jobs *jobs = lh_allocate(1, sizeof *jobs);
    jobs->storage = options->storage;
    jobs->pool = options->pool;
    jobs->options = *options;
    preset(&jobs->options.queue_max, QUEUE_MAX_PRESET);
    preset(&jobs->options.running_max, RUNNING_MAX_PRESET);
    preset(&jobs->options.keep_max, KEEP_MAX_PRESET);
    preset(&jobs->options.attempts_max, ATTEMPTS_MAX_PRESET);
    if (!jobs->options.keep_ms)
        jobs->options.keep_ms = KEEP_MS_PRESET;
    if (!jobs->options.write_ms)
        jobs->options.write_ms = WRITE_MS_PRESET;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&jobs->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    enum lh_code code = record_load(jobs, err);
    if (code) {
        free_all(jobs);
        return code;
    }
    jobs_forget_old(jobs);
    *ret = jobs;
    return LH_OK;
}

enum lh_code jobs_start(struct jobs *jobs, const struct job_kind *kinds, size_t kind_count,
                        struct lh_error *err)
{
    assert(!jobs->is_started);
    pthread_mutex_lock(&jobs->lock);
    jobs->kinds = kinds;
    jobs->kind_count = kind_count;
    pthread_mutex_unlock(&jobs->lock);
    enum lh_code code = lh_thread_start("jobs", jobs_dispatch, jobs, &jobs->dispatcher, err);
    if (!code)
        jobs->is_started = true;
    return code;
}

void jobs_stop(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->is_stopping = true;
    for (struct job *job = jobs->newest; job; job = job->older)
        if (job->state == JOB_RUNNING || job->is_handed_over)
            lh_cancel_fire(&job->cancel, LH_STOPPING);
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
}

/* --- the end ----------------------------------------------------------------------------------*/

/* A job that was told to stop and goes on: what is told of it without the lock. */
struct straggler {
    struct lh_uuid id;
    int64_t attempt;
    bool is_durable;
    struct lh_str kind;
};

/* Locked. */
static size_t list_stragglers(const struct jobs *jobs, struct lh_arena *arena,
                              struct straggler **ret)
{
    size_t count = 0;
    struct straggler *items =
        lh_arena_array(arena, (size_t)jobs->counts.running + 1, sizeof *items);
    for (const struct job *job = jobs->oldest; job; job = job->newer)
        if (job->state == JOB_RUNNING && count < (size_t)jobs->counts.running)
            items[count++] = (struct straggler){job->id, job->attempts, job->is_durable,
                                                lh_arena_str(arena, job->kind_name)};
    *ret = items;
    return count;
}

/* Its process ends under it, but not by its doing. */
static void leave_behind(struct jobs *jobs, const struct straggler *job, int64_t limit_ms)
{
    struct lh_error err = LH_ERROR_NONE;
    lh_log(LH_LOG_WARN, "jobs.left", "The job %s (%.*s) did not stop within %lld ms.%s",
           job->id.text, LH_ARG(job->kind), (long long)limit_ms,
           job->is_durable ? " It stays queued for the next start." : "");
    if (!job->is_durable)
        return;
    enum lh_code code = record_stopped(jobs, &job->id, job->attempt, &err);
    if (code && code != LH_EXISTS)
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
}

static void tell_waiting(const struct straggler *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lh_log(LH_LOG_WARN, "jobs.waiting", "The end waits for the job %s (%.*s).", jobs[i].id.text,
               LH_ARG(jobs[i].kind));
}

bool jobs_drain(struct jobs *jobs, int64_t limit_ms)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct straggler *stragglers = NULL;
    size_t count = 0;
    bool is_over = false;
    bool is_told = false;
    int64_t began_us = lh_clock_monotonic_us();
    jobs_stop(jobs);
    pthread_mutex_lock(&jobs->lock);
    for (;;) {
        int64_t waited_ms = (lh_clock_monotonic_us() - began_us) / 1000;
        is_over = !jobs->pooled && !jobs->counts.running;
        if (is_over)
            break;
        if (!is_told && waited_ms >= TELL_AFTER_MS) {
            is_told = true;
            count = list_stragglers(jobs, arena, &stragglers);
            pthread_mutex_unlock(&jobs->lock);
            tell_waiting(stragglers, count);
            pthread_mutex_lock(&jobs->lock);
            continue;
        }
        if (limit_ms >= 0 && waited_ms >= limit_ms)
            break;
        jobs_wait_a_while(jobs, DRAIN_STEP_MS);
    }
    count = is_over ? 0 : list_stragglers(jobs, arena, &stragglers);
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < count; i++)
        leave_behind(jobs, &stragglers[i], limit_ms);
    batches_write(jobs);
    lh_arena_free(arena);
    return is_over;
}

void jobs_close(struct jobs *jobs)
{
    if (!jobs)
        return;
    (void)jobs_drain(jobs, -1);
    if (jobs->is_started)
        (void)pthread_join(jobs->dispatcher, NULL);
    free_all(jobs);
}

size_t jobs_damaged(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    size_t damaged = jobs->damaged;
    pthread_mutex_unlock(&jobs->lock);
    return damaged;
}

struct jobs_counts jobs_counts(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    struct jobs_counts counts = jobs->counts;
    counts.queued = (int64_t)jobs->queued + jobs->pooled - counts.running + counts.held;
    pthread_mutex_unlock(&jobs->lock);
    return counts;
}
