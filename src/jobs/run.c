/* One job: what its work sees, how it is begun, and how it ends. */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "jobs/internal.h"

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
    if (record_stopped(job->jobs, &job->id, job_attempt(job), &err))
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
}

void job_set_result(struct job *job, struct lh_str json)
{
    assert(json.len <= JOBS_RESULT_BYTES_MAX);
    pthread_mutex_lock(&job->jobs->lock);
    job->result = lh_arena_str(job->arena, json);
    pthread_mutex_unlock(&job->jobs->lock);
}

/* --- its end ----------------------------------------------------------------------------------*/

static struct lh_str text_or_none(const char *text)
{
    return lh_str_of(*text ? text : NULL);
}

static struct job_error error_of(const struct lh_error *err)
{
    return (struct job_error){.code = lh_str_of(lh_error_row(err->code)->id),
                              .message = lh_str_of(err->message),
                              .hint = text_or_none(err->hint),
                              .field = text_or_none(err->field),
                              .line = err->line};
}

/* Locked. */
static void keep_error(struct job *job, const struct lh_error *err)
{
    struct job_error error = error_of(err);
    job->has_error = true;
    job->error = (struct job_error){.code = error.code,
                                    .message = lh_arena_str(job->arena, error.message),
                                    .hint = lh_arena_str(job->arena, error.hint),
                                    .field = lh_arena_str(job->arena, error.field),
                                    .line = error.line};
}

void jobs_settle(struct job *job, enum job_state state, int64_t ended_ms,
                 const struct lh_error *err)
{
    struct jobs *jobs = job->jobs;
    job->state = state;
    job->ended_ms = ended_ms;
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
        keep_error(job, err);
    }
    jobs_touch(job);
}

/* This process cannot say how the job ends: it goes back to the queue for the next one, which finds
 * its effect or runs it again. */
static void hold_job(struct job *job, const struct lh_error *why)
{
    struct jobs *jobs = job->jobs;
    pthread_mutex_lock(&jobs->lock);
    jobs->counts.running--;
    jobs->counts.held++;
    job->state = JOB_QUEUED;
    job->is_handed_over = false;
    job->is_held = true;
    job->progress.phase = lh_lit("waiting for the next start");
    keep_error(job, why);
    jobs_touch(job);
    pthread_mutex_unlock(&jobs->lock);
}

/* Nobody waits for such a job: the log and who watches it are where its failure is found. */
static void tell_failure(const struct job *job, const struct lh_error *err)
{
    struct lh_error told = *err;
    if (lh_error_context(&told, "The job %s (%.*s)", job->id.text, LH_ARG(job->kind_name)))
        lh_log_error(LH_LOG_WARN, "jobs.failed", &told);
}

/* Its effect may be there or come back (LH_UNKNOWN), another process has the lake and the job
 * (LH_LOCKED), or this one stops. */
static bool is_for_next_process(enum lh_code code)
{
    return code == LH_STOPPING || code == LH_UNKNOWN || code == LH_LOCKED;
}

/* The note keeps the attempt from being held against the job. Who took the lake over owns the
 * records. */
static void leave_to_next_process(struct job *job, const struct lh_error *err)
{
    struct lh_error note = LH_ERROR_NONE;
    if (err->code != LH_STOPPING)
        tell_failure(job, err);
    if (err->code != LH_LOCKED && !job->is_checked && !job->given_up) {
        enum lh_code code = record_stopped(job->jobs, &job->id, job_attempt(job), &note);
        if (code && code != LH_EXISTS)
            lh_log_error(LH_LOG_WARN, "jobs.record", &note);
    }
    hold_job(job, err);
}

/* Locked: what the record needs, so that it is written without the lock. */
static struct job_ending ending_of(const struct job *job, enum job_state state,
                                   const struct lh_error *err)
{
    struct job_ending ending = {.id = job->id,
                                .state = state,
                                .attempts = job->attempts,
                                .started_ms = job->started_ms,
                                .ended_ms = lh_clock_unix_ms(),
                                .progress = job->progress,
                                .result = job->result,
                                .has_error = state != JOB_SUCCEEDED};
    if (ending.has_error)
        ending.error = error_of(err);
    return ending;
}

/* What became of it is durable before anybody is told. Only a success is told without its record:
 * the effect is durable, and the next process finds it. Any other end would be a promise that
 * nothing keeps: the next process runs the job again. */
static bool is_end_kept(struct job *job, const struct job_ending *ending)
{
    struct lh_error err = LH_ERROR_NONE;
    if (!job->is_durable)
        return true;
    if (record_end(job->jobs, ending, &err)) {
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
        return ending->state == JOB_SUCCEEDED;
    }
    record_drop_input(job->jobs, &job->id);
    return true;
}

static void end_job(struct job *job, enum lh_code code, const struct lh_error *err)
{
    struct jobs *jobs = job->jobs;
    if (job->is_durable && is_for_next_process(code)) {
        leave_to_next_process(job, err);
        return;
    }
    enum job_state state = !code                  ? JOB_SUCCEEDED
                           : code == LH_CANCELLED ? JOB_CANCELLED
                                                  : JOB_FAILED;
    pthread_mutex_lock(&jobs->lock);
    const struct job_ending ending = ending_of(job, state, err);
    pthread_mutex_unlock(&jobs->lock);
    if (state == JOB_FAILED && job->is_durable)
        tell_failure(job, err);
    if (!is_end_kept(job, &ending)) {
        hold_job(job, err);
        return;
    }
    pthread_mutex_lock(&jobs->lock);
    jobs->counts.running--;
    jobs_settle(job, state, ending.ended_ms, err);
    pthread_mutex_unlock(&jobs->lock);
}

/* --- its work ---------------------------------------------------------------------------------*/

static enum lh_code fail_unknown_kind(const struct job *job, struct lh_error *err)
{
    return lh_fail(err, LH_NOT_FOUND, "This release knows no jobs of the kind '%.*s'.",
                   LH_ARG(job->kind_name));
}

/* The record of the attempt only guards against a job that takes the process down: that it cannot
 * be written is no reason to refuse what was accepted. */
static enum lh_code run_job(struct job *job, struct lh_error *err)
{
    struct lh_error note = LH_ERROR_NONE;
    const struct job_kind *kind = jobs_find_kind(job->jobs, job->kind_name);
    if (!kind)
        return fail_unknown_kind(job, err);
    if (job->is_durable && record_attempt(job->jobs, &job->id, job_attempt(job), &note))
        lh_log_error(LH_LOG_WARN, "jobs.record", &note);
    return kind->run(kind->context, job, err);
}

/* The job is not run again, but what it did before counts. */
static enum lh_code look_for_effect(struct job *job, struct lh_error *err)
{
    bool is_done = false;
    struct lh_error cause = LH_ERROR_NONE;
    const struct job_kind *kind = jobs_find_kind(job->jobs, job->kind_name);
    if (!kind)
        return fail_unknown_kind(job, err);
    if (kind->find_effect && kind->find_effect(kind->find_context, job, &is_done, &cause))
        return lh_fail(err, LH_UNKNOWN, "Whether the job had its effect cannot be told: %s",
                       cause.message);
    if (is_done)
        return LH_OK;
    enum lh_code code = lh_cancel_fail(&job->cancel, "The job", err);
    if (code)
        return code;
    *err = *job->given_up;
    return err->code;
}

static void begin_job(struct job *job)
{
    struct jobs *jobs = job->jobs;
    pthread_mutex_lock(&jobs->lock);
    job->state = JOB_RUNNING;
    if (!job->given_up)
        job->attempts++;
    if (job->attempts > job->last_attempt)
        job->last_attempt = job->attempts;
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
    enum lh_code code = job->given_up ? look_for_effect(job, err) : run_job(job, err);
    end_job(job, code, err);
    return code;
}
