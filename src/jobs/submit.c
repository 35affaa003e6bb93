/* From outside: submitting, running in the caller's thread, cancelling. */
#include "base/clock.h"
#include "jobs/internal.h"

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
    job->is_vital = spec->is_vital;
    job->args = spec->args.len ? lh_arena_str(job->arena, spec->args) : lh_lit("{}");
    return job;
}

/* The record stands there, so the job may be run now or by the next process, and nothing takes that
 * back. Now is better: sooner or later both its end and what the caller does next are in order. */
static void tell_doubt(const struct job *job, struct lh_error *err)
{
    struct lh_error cause = *err;
    lh_fail(err, LH_UNKNOWN, "Whether the job %s outlives a power cut is not known: %s",
            job->id.text, cause.message);
    lh_error_hint(err, "It runs all the same: GET /jobs/%s tells how it ends.", job->id.text);
}

enum lh_code jobs_submit(struct jobs *jobs, const struct job_spec *spec, struct lh_uuid *ret_id,
                         struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    err = err ? err : &own;
    enum lh_code code = check_spec(jobs, spec, err);
    if (code)
        return code;
    pthread_mutex_lock(&jobs->lock);
    bool is_full = jobs->queued + jobs->counts.held >= jobs->options.queue_max;
    pthread_mutex_unlock(&jobs->lock);
    if (is_full) {
        (void)lh_fail(err, LH_BUSY, "%u jobs wait already.", jobs->options.queue_max);
        return lh_error_hint(err, "Try again when some have ended; GET /jobs lists them.");
    }
    struct job *job = job_of_spec(jobs, spec);
    job->is_durable = true;
    code = record_submit(job, lh_str_empty(spec->input.path) ? NULL : &spec->input, err);
    if (code && code != LH_UNKNOWN) {
        jobs_free_job(job);
        return code;
    }
    if (code)
        tell_doubt(job, err);
    else
        *ret_id = job->id;
    pthread_mutex_lock(&jobs->lock);
    jobs_insert(jobs, job);
    jobs_enqueue(jobs, job);
    pthread_mutex_unlock(&jobs->lock);
    return code;
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
    job->is_awaited = true;
    jobs_insert(jobs, job);
    jobs->pooled++; /* jobs_close waits for the last look at the job below */
    pthread_mutex_unlock(&jobs->lock);
    code = jobs_perform(job, err);
    pthread_mutex_lock(&jobs->lock);
    /* The caller's token may end before the job is forgotten. */
    lh_cancel_init(&job->cancel);
    if (!code && ret_result)
        *ret_result = lh_arena_str(arena, job->result);
    job->is_awaited = false;
    batches_add(jobs, job);
    pthread_mutex_unlock(&jobs->lock);
    jobs_forget_old(jobs);
    pthread_mutex_lock(&jobs->lock);
    jobs->pooled--;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    return code;
}

/* --- cancelling -------------------------------------------------------------------------------*/

/* Locked: nothing can have come of it, and nothing will. Else only run() can tell. */
static bool is_unbegun(const struct job *job)
{
    return job->state == JOB_QUEUED && !job->is_handed_over && !job->attempts && !job->given_up &&
           !job->is_cancelling;
}

/* It left the queue before its record was written; now that it is, it has ended, or it goes on. */
static void end_cancel(struct jobs *jobs, struct job *job, bool is_noted)
{
    struct lh_error why = LH_ERROR_NONE;
    (void)lh_fail(&why, LH_CANCELLED, "The job was cancelled before it began.");
    pthread_mutex_lock(&jobs->lock);
    job->is_cancelling = false;
    if (is_noted)
        jobs_settle(job, JOB_CANCELLED, lh_clock_unix_ms(), &why);
    else
        jobs_enqueue(jobs, job);
    pthread_mutex_unlock(&jobs->lock);
}

enum lh_code jobs_cancel(struct jobs *jobs, struct lh_str id, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct lh_uuid known = {0};
    bool is_durable = false;
    bool is_out = false; /* of the queue: nobody else touches it */
    pthread_mutex_lock(&jobs->lock);
    struct job *job = jobs_find(jobs, id);
    if (!job) {
        code = lh_fail(err, LH_NOT_FOUND, "There is no job '%.*s'.", LH_ARG(id));
    } else if (job->state >= JOB_SUCCEEDED) {
        code = lh_fail(err, LH_CONFLICT, "The job '%.*s' has already ended: it %s%s.", LH_ARG(id),
                       job->state == JOB_CANCELLED ? "was " : "", job_state_names[job->state]);
    } else {
        known = job->id;
        is_durable = job->is_durable;
        is_out = is_unbegun(job);
        job->is_cancelling = true;
        if (is_out)
            jobs_leave_queue(jobs, job);
        else
            lh_cancel_fire(&job->cancel, LH_CANCELLED);
        jobs_touch(job);
    }
    pthread_mutex_unlock(&jobs->lock);
    /* Noted so that the next process does not run it; already noted is as good. */
    if (is_durable) {
        code = record_cancel(jobs, &known, err);
        code = code == LH_EXISTS ? LH_OK : code;
    }
    if (is_out)
        end_cancel(jobs, job, !code);
    return code;
}
