/* From accepted to ended: the dispatcher, the work itself, submitting, running here, cancelling. */
#include <assert.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "jobs/internal.h"

#define POOL_RETRY_MS 100 /* when its queue is full */

/* --- what run() sees --------------------------------------------------------------------------*/

struct lh_str job_id(const struct job *job)
{
    return lh_uuid_str(&job->id);
}

struct lh_str job_args(const struct job *job)
{
    return job->args;
}

struct lh_str job_actor(const struct job *job)
{
    return job->actor;
}

struct lh_upload job_input(const struct job *job)
{
    return job->input;
}

int64_t job_attempt(const struct job *job)
{
    pthread_mutex_lock(&job->jobs->lock);
    int64_t attempts = job->attempts;
    pthread_mutex_unlock(&job->jobs->lock);
    return attempts;
}

const struct lh_cancel *job_cancel(const struct job *job)
{
    return &job->cancel;
}

void job_set_progress(struct job *job, const struct job_progress *progress)
{
    pthread_mutex_lock(&job->jobs->lock);
    job->progress = *progress;
    jobs_touch(job);
    pthread_mutex_unlock(&job->jobs->lock);
}

void job_checkpoint(struct job *job)
{
    struct lh_error err = LH_ERROR_NONE;
    if (!job->is_durable || job->is_checked)
        return;
    job->is_checked = true; /* only run() reads and writes it */
    if (record_note(job, "stopped", &err))
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
}

void job_set_result(struct job *job, struct lh_str json)
{
    assert(json.len <= JOBS_RESULT_BYTES_MAX);
    pthread_mutex_lock(&job->jobs->lock);
    job->result = lh_arena_str(job->arena, json);
    pthread_mutex_unlock(&job->jobs->lock);
}

/* --- one job ----------------------------------------------------------------------------------*/

void jobs_settle(struct job *job, enum job_state state, const struct lh_error *err)
{
    struct jobs *jobs = job->jobs;
    job->state = state;
    job->ended_ms = lh_clock_unix_ms();
    job->is_cancelling = false;
    job->is_handed_over = false;
    jobs->ended_kept++;
    if (state == JOB_SUCCEEDED) {
        jobs->counts.succeeded++;
        job->progress.phase = lh_lit("done");
        if (!job->result.data)
            job->result = lh_lit("{}");
    } else {
        *(state == JOB_FAILED ? &jobs->counts.failed : &jobs->counts.cancelled) += 1;
        job->has_error = true;
        job->error.code = lh_str_of(lh_error_row(err->code)->id);
        job->error.message = lh_arena_str(job->arena, lh_str_of(err->message));
        job->error.hint = lh_arena_str(job->arena, lh_str_of(*err->hint ? err->hint : NULL));
        job->error.field = lh_arena_str(job->arena, lh_str_of(*err->field ? err->field : NULL));
        job->error.line = err->line;
    }
    jobs_touch(job);
}

/* Calls run(); the job is running. */
static enum lh_code call_kind(struct job *job, struct lh_error *err)
{
    const struct job_kind *kind = jobs_find_kind(job->jobs, job->kind_name);
    if (!kind)
        return lh_fail(err, LH_NOT_FOUND, "This release knows no jobs of the kind '%.*s'.",
                       LH_ARG(job->kind_name));
    return kind->run(kind->context, job, err);
}

/* What became of it is durable before anybody is told. A record that cannot be written is no
 * reason to lie about the work: the next process runs the job again and finds its effect. */
static void write_end(struct job *job)
{
    struct lh_error err = LH_ERROR_NONE;
    if (job->is_durable && record_end(job, &err))
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
    else if (job->is_durable)
        record_drop_input(job);
}

/* Nobody waits for such a job: the log and who watches it are where its failure is found. */
static void tell_failure(const struct job *job, const struct lh_error *err)
{
    struct lh_error told = *err;
    if (lh_error_context(&told, "The job %s (%.*s)", job->id.text, LH_ARG(job->kind_name)))
        lh_log_error(LH_LOG_WARN, "jobs.failed", &told);
}

static void end_job(struct job *job, enum lh_code code, const struct lh_error *err)
{
    struct jobs *jobs = job->jobs;
    if (code == LH_STOPPING && job->is_durable) {
        struct lh_error note = LH_ERROR_NONE;
        if (!job->is_checked && record_note(job, "stopped", &note))
            lh_log_error(LH_LOG_WARN, "jobs.record", &note);
        pthread_mutex_lock(&jobs->lock);
        jobs->counts.running--;
        job->state = JOB_QUEUED; /* for the next process */
        job->is_handed_over = false;
        jobs_touch(job);
        pthread_mutex_unlock(&jobs->lock);
        return;
    }
    enum job_state state = !code                  ? JOB_SUCCEEDED
                           : code == LH_CANCELLED ? JOB_CANCELLED
                                                  : JOB_FAILED;
    /* The record is made from the settled job, but readers must not see it settled before: so it is
     * settled twice, first in a copy. */
    struct job copy = *job;
    copy.state = state;
    copy.ended_ms = lh_clock_unix_ms();
    copy.has_error = code != LH_OK;
    if (copy.has_error && state == JOB_FAILED && job->is_durable)
        tell_failure(job, err);
    if (copy.has_error) {
        copy.error = (struct job_error){.code = lh_str_of(lh_error_row(code)->id),
                                        .message = lh_str_of(err->message),
                                        .hint = lh_str_of(*err->hint ? err->hint : NULL),
                                        .field = lh_str_of(*err->field ? err->field : NULL),
                                        .line = err->line};
    }
    write_end(&copy);
    pthread_mutex_lock(&jobs->lock);
    jobs->counts.running--;
    jobs_settle(job, state, err);
    pthread_mutex_unlock(&jobs->lock);
}

static void begin_job(struct job *job)
{
    struct jobs *jobs = job->jobs;
    pthread_mutex_lock(&jobs->lock);
    job->state = JOB_RUNNING;
    job->attempts++;
    job->begun_us = lh_clock_monotonic_us();
    if (!job->started_ms)
        job->started_ms = lh_clock_unix_ms();
    job->progress.phase = lh_lit("starting");
    jobs->counts.running++;
    jobs_touch(job);
    pthread_mutex_unlock(&jobs->lock);
}

enum lh_code jobs_perform(struct job *job, struct lh_error *err)
{
    begin_job(job);
    enum lh_code code = LH_OK;
    if (job->is_durable)
        code = record_attempt(job, err);
    if (!code)
        code = call_kind(job, err);
    end_job(job, code, err);
    return code;
}

/* --- the dispatcher ---------------------------------------------------------------------------*/

static void perform_pooled(void *context)
{
    struct job *job = context;
    struct jobs *jobs = job->jobs;
    struct lh_error err = LH_ERROR_NONE;
    (void)jobs_perform(job, &err);
    jobs_forget_old(jobs);
    pthread_mutex_lock(&jobs->lock);
    jobs->pooled--;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock); /* from here on jobs_close may end everything */
}

static void pop_first(struct jobs *jobs)
{
    struct job *job = jobs->queue_first;
    jobs->queue_first = job->next_queued;
    if (!jobs->queue_first)
        jobs->queue_last = NULL;
    job->next_queued = NULL;
    jobs->queued--;
}

/* Locked. CLOCK_MONOTONIC, as jobs_open made the condition. */
static void wait_a_while(struct jobs *jobs, int64_t ms)
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

void *jobs_dispatch(void *context)
{
    struct jobs *jobs = context;
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping) {
        struct job *job = jobs->queue_first;
        if (!job || jobs->pooled >= jobs->options.running_max) {
            pthread_cond_wait(&jobs->changed, &jobs->lock);
            continue;
        }
        pop_first(jobs);
        if (job->state != JOB_QUEUED)
            continue; /* cancelled while it waited */
        job->is_handed_over = true;
        jobs->pooled++;
        pthread_mutex_unlock(&jobs->lock);
        enum lh_code code = lh_pool_submit(jobs->pool, LH_LANE_SLOW, perform_pooled, job, NULL);
        pthread_mutex_lock(&jobs->lock);
        if (!code)
            continue;
        jobs->pooled--;
        job->is_handed_over = false;
        job->next_queued = jobs->queue_first;
        jobs->queue_first = job;
        if (!jobs->queue_last)
            jobs->queue_last = job;
        jobs->queued++;
        wait_a_while(jobs, POOL_RETRY_MS);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

/* --- from outside -----------------------------------------------------------------------------*/

static enum lh_code check_spec(struct jobs *jobs, const struct job_spec *spec, struct lh_error *err)
{
    if (spec->args.len > JOBS_ARGS_BYTES_MAX)
        return lh_fail(err, LH_TOO_LARGE, "A job's arguments may be %d bytes, these are %zu.",
                       JOBS_ARGS_BYTES_MAX, spec->args.len);
    pthread_mutex_lock(&jobs->lock);
    bool is_known = jobs_find_kind(jobs, spec->kind);
    bool is_stopping = jobs->is_stopping;
    pthread_mutex_unlock(&jobs->lock);
    if (is_stopping)
        return lh_fail(err, LH_STOPPING, "The server is shutting down and takes no more jobs.");
    if (!is_known)
        return lh_fail(err, LH_NOT_FOUND, "There are no jobs of the kind '%.*s'.",
                       LH_ARG(spec->kind));
    return LH_OK;
}

static struct job *job_of_spec(struct jobs *jobs, const struct job_spec *spec)
{
    struct job *job = jobs_new_job(jobs);
    job->kind_name = lh_arena_str(job->arena, spec->kind);
    job->dataset = lh_arena_str(job->arena, spec->dataset);
    job->actor = lh_arena_str(job->arena, spec->actor);
    job->args = spec->args.len ? lh_arena_str(job->arena, spec->args) : lh_lit("{}");
    return job;
}

enum lh_code jobs_submit(struct jobs *jobs, const struct job_spec *spec, struct lh_uuid *ret_id,
                         struct lh_error *err)
{
    enum lh_code code = check_spec(jobs, spec, err);
    if (code)
        return code;
    pthread_mutex_lock(&jobs->lock);
    bool is_full = jobs->queued >= jobs->options.queue_max;
    pthread_mutex_unlock(&jobs->lock);
    if (is_full) {
        (void)lh_fail(err, LH_BUSY, "%u jobs wait already.", jobs->options.queue_max);
        return lh_error_hint(err, "Try again when some have ended; GET /jobs lists them.");
    }
    struct job *job = job_of_spec(jobs, spec);
    job->is_durable = true;
    code = record_submit(job, lh_str_empty(spec->input.path) ? NULL : &spec->input, err);
    if (code) {
        jobs_free_job(job);
        return code;
    }
    *ret_id = job->id;
    pthread_mutex_lock(&jobs->lock);
    jobs_insert(jobs, job);
    jobs_enqueue(jobs, job);
    pthread_mutex_unlock(&jobs->lock);
    return LH_OK;
}

enum lh_code jobs_run(struct jobs *jobs, const struct job_spec *spec,
                      const struct lh_cancel *cancel, struct lh_arena *arena,
                      struct lh_uuid *ret_id, struct lh_str *ret_result, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    err = err ? err : &own;
    enum lh_code code = check_spec(jobs, spec, err);
    if (code)
        return code;
    struct job *job = job_of_spec(jobs, spec);
    lh_cancel_init_child(&job->cancel, cancel);
    job->input = spec->input;
    job->input.path = lh_arena_str(job->arena, spec->input.path);
    job->input.filename = lh_arena_str(job->arena, spec->input.filename);
    struct lh_uuid id = job->id;
    if (ret_id)
        *ret_id = id;
    pthread_mutex_lock(&jobs->lock);
    job->state = JOB_RUNNING; /* nobody may take it for a queued one */
    jobs_insert(jobs, job);
    jobs->pooled++; /* jobs_close waits for the last look at the job below */
    pthread_mutex_unlock(&jobs->lock);
    code = jobs_perform(job, err);
    pthread_mutex_lock(&jobs->lock);
    /* The caller's token may end before the job is forgotten. */
    lh_cancel_init(&job->cancel);
    if (!code && ret_result)
        *ret_result = lh_arena_str(arena, job->result);
    pthread_mutex_unlock(&jobs->lock);
    jobs_forget_old(jobs);
    pthread_mutex_lock(&jobs->lock);
    jobs->pooled--;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    return code;
}

/* Takes a queued job out of the queue and settles it; locked. */
static void settle_queued(struct jobs *jobs, struct job *job)
{
    struct lh_error why = LH_ERROR_NONE;
    (void)lh_fail(&why, LH_CANCELLED, "The job was cancelled before it began.");
    struct job **link = &jobs->queue_first;
    struct job *last = NULL;
    while (*link && *link != job) {
        last = *link;
        link = &last->next_queued;
    }
    if (*link) {
        *link = job->next_queued;
        if (jobs->queue_last == job)
            jobs->queue_last = last;
        job->next_queued = NULL;
        jobs->queued--;
    }
    jobs_settle(job, JOB_CANCELLED, &why);
}

enum lh_code jobs_cancel(struct jobs *jobs, struct lh_str id, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct job note = {.jobs = jobs}; /* what the record needs, beyond the lock */
    const char *what = NULL;
    pthread_mutex_lock(&jobs->lock);
    struct job *job = jobs_find(jobs, id);
    if (!job) {
        code = lh_fail(err, LH_NOT_FOUND, "There is no job '%.*s'.", LH_ARG(id));
    } else if (job->state >= JOB_SUCCEEDED) {
        code = lh_fail(err, LH_CONFLICT, "The job '%.*s' has already ended: it %s%s.", LH_ARG(id),
                       job->state == JOB_CANCELLED ? "was " : "", job_state_names[job->state]);
    } else {
        note.id = job->id;
        what = job->is_durable ? "cancel" : NULL;
        if (job->state == JOB_QUEUED && !job->is_handed_over) {
            settle_queued(jobs, job);
        } else {
            job->is_cancelling = true;
            lh_cancel_fire(&job->cancel, LH_CANCELLED);
            jobs_touch(job);
        }
    }
    pthread_mutex_unlock(&jobs->lock);
    /* Noted so that the next process does not run it; already noted is as good. */
    if (what) {
        code = record_note(&note, what, err);
        code = code == LH_EXISTS ? LH_OK : code;
    }
    return code;
}
