/* How jobs show: one, a page of them, and waiting for a change. */
#include <stdlib.h>

#include "base/clock.h"
#include "jobs/internal.h"

#define WATCH_STEP_MS 50 /* a cancel token has no bell: it is looked at so often */

static const struct lh_field progress_rows[] = {
    LH_STR(struct job_progress, phase, .doc = "What the job is doing now."),
    LH_INT(struct job_progress, rows_done, .doc = "Rows done so far."),
    LH_OPT_INT(struct job_progress, rows_total, .nullable = true,
               .doc = "Rows in all; null while that is not known."),
    LH_INT(struct job_progress, bytes_done, .doc = "Bytes of the input done so far."),
    LH_INT(struct job_progress, bytes_total, .doc = "Bytes of the input in all."),
    LH_OPT_INT(struct job_progress, chunks_done, .doc = "Chunks of text done so far."),
    LH_OPT_INT(struct job_progress, files_done, .doc = "Files done so far."),
    LH_OPT_INT(struct job_progress, files_total, .doc = "Files in all; absent while not known."),
    LH_DOUBLE(struct job_progress, rows_per_second, .doc = "While it runs; 0 = not known."),
    LH_DOUBLE(struct job_progress, bytes_per_second, .doc = "While it runs; 0 = not known."),
    LH_OPT_INT(struct job_progress, eta_s, .doc = "Seconds that it may still take."),
};
const struct lh_fields job_progress_fields =
    LH_FIELDS_OF(struct job_progress, "JobProgress", progress_rows);

static const struct lh_field error_rows[] = {
    LH_STR(struct job_error, code, .doc = "The stable id of the error."),
    LH_STR(struct job_error, message, .doc = "What went wrong."),
    LH_STR(struct job_error, hint, .doc = "What to do about it."),
    LH_STR(struct job_error, field, .doc = "The argument that is wrong."),
    LH_INT(struct job_error, line, .doc = "The line of the file; 0 = none."),
};
static const struct lh_fields error_fields = LH_FIELDS_OF(struct job_error, "JobError", error_rows);

static const struct lh_field info_rows[] = {
    LH_STR(struct job_info, id, .required = true, .format = "uuid", .doc = "The job's id."),
    LH_STR(struct job_info, kind, .required = true, .doc = "What kind of work: ingest.file, …."),
    LH_CHOICE(struct job_info, state, .required = true, .choices = job_state_names,
              .doc = "How it stands."),
    LH_STR(struct job_info, dataset, .doc = "The dataset that it works on."),
    LH_STR(struct job_info, actor, .doc = "Who asked for it."),
    LH_INT(struct job_info, attempts, .doc = "How often it was begun."),
    LH_TIME(struct job_info, created_at, .doc = "When it was accepted."),
    LH_TIME(struct job_info, started_at, .doc = "When it first began."),
    LH_TIME(struct job_info, ended_at, .doc = "When it ended."),
    LH_BOOL(struct job_info, is_cancelling, .doc = "It was told to stop and has not yet."),
    LH_OBJECT(struct job_info, progress, const struct job_progress *,
              .fields = &job_progress_fields, .doc = "How far it is."),
    LH_JSON(struct job_info, result, .doc = "What the work gave, once it succeeded."),
    LH_OBJECT(struct job_info, error, const struct job_error *, .fields = &error_fields,
              .doc = "Why it failed, was cancelled, or waits for the next start."),
};
const struct lh_fields job_info_fields = LH_FIELDS_OF(struct job_info, "Job", info_rows);

static void estimate_left(int64_t left, double per_second, struct job_progress *progress)
{
    if (left >= 0 && per_second > 0)
        progress->eta_s = (struct lh_opt_int){true, (int64_t)((double)left / per_second + 0.5)};
}

/* From how far it came since it was begun. */
static void estimate(const struct job *job, struct job_progress *progress)
{
    int64_t took_us = lh_clock_monotonic_us() - job->begun_us;
    if (took_us <= 0)
        return;
    progress->rows_per_second = (double)progress->rows_done * 1e6 / (double)took_us;
    progress->bytes_per_second = (double)progress->bytes_done * 1e6 / (double)took_us;
    if (progress->rows_total.is_set)
        estimate_left(progress->rows_total.value - progress->rows_done, progress->rows_per_second,
                      progress);
    else if (!progress->rows_done && progress->bytes_total > 0)
        estimate_left(progress->bytes_total - progress->bytes_done, progress->bytes_per_second,
                      progress);
}

static void copy_info(const struct job *job, struct lh_arena *arena, struct job_info *ret)
{
    struct job_progress *progress = lh_arena_alloc(arena, sizeof *progress);
    *progress = job->progress;
    if (job->state == JOB_RUNNING)
        estimate(job, progress);
    struct job_error *error = NULL;
    if (job->has_error) {
        error = lh_arena_alloc(arena, sizeof *error);
        *error = (struct job_error){.code = lh_arena_str(arena, job->error.code),
                                    .message = lh_arena_str(arena, job->error.message),
                                    .hint = lh_arena_str(arena, job->error.hint),
                                    .field = lh_arena_str(arena, job->error.field),
                                    .line = job->error.line};
    }
    *ret = (struct job_info){
        .id = lh_arena_str(arena, lh_uuid_str(&job->id)),
        .kind = lh_arena_str(arena, job->kind_name),
        .state = (int)job->state,
        .dataset = lh_arena_str(arena, job->dataset),
        .actor = lh_arena_str(arena, job->actor),
        .attempts = job->attempts,
        .created_at = {job->created_ms},
        .started_at = {job->started_ms},
        .ended_at = {job->ended_ms},
        .progress = progress,
        .error = error,
        .is_cancelling = job->is_cancelling,
        .change = job->change,
    };
    if (job->state == JOB_SUCCEEDED)
        ret->result.text = lh_arena_str(arena, job->result);
}

static enum lh_code fail_missing(struct lh_str id, struct lh_error *err)
{
    (void)lh_fail(err, LH_NOT_FOUND, "There is no job '%.*s'.", LH_ARG(id));
    return lh_error_hint(err, "Jobs are forgotten some time after they end.");
}

enum lh_code jobs_get(struct jobs *jobs, struct lh_str id, struct lh_arena *arena,
                      struct job_info *ret, struct lh_error *err)
{
    pthread_mutex_lock(&jobs->lock);
    const struct job *job = jobs_find(jobs, id);
    if (job)
        copy_info(job, arena, ret);
    pthread_mutex_unlock(&jobs->lock);
    return job ? LH_OK : fail_missing(id, err);
}

static bool is_wanted(const struct job *job, const struct jobs_filter *filter)
{
    if (!filter)
        return true;
    return (lh_str_empty(filter->kind) || lh_str_equal(filter->kind, job->kind_name)) &&
           (lh_str_empty(filter->dataset) || lh_str_equal_nocase(filter->dataset, job->dataset)) &&
           (filter->state < 0 || filter->state == (int)job->state);
}

enum lh_code jobs_list(struct jobs *jobs, const struct jobs_filter *filter, struct lh_str after,
                       size_t limit, struct lh_arena *arena, struct job_info **ret,
                       size_t *ret_count, struct lh_str *ret_next, struct lh_error *err)
{
    struct job_info *items = lh_arena_array(arena, limit ? limit : 1, sizeof *items);
    size_t count = 0;
    *ret_next = (struct lh_str){0};
    pthread_mutex_lock(&jobs->lock);
    const struct job *job = jobs->newest;
    if (!lh_str_empty(after)) {
        const struct job *last = jobs_find(jobs, after);
        if (!last) {
            pthread_mutex_unlock(&jobs->lock);
            (void)lh_fail(err, LH_INVALID, "There is no job '%.*s' to go on after.", LH_ARG(after));
            return lh_error_field(err, lh_lit("after"));
        }
        job = last->older;
    }
    for (; job; job = job->older) {
        if (!is_wanted(job, filter))
            continue;
        if (count == limit) {
            *ret_next = count ? items[count - 1].id : (struct lh_str){0};
            break;
        }
        copy_info(job, arena, &items[count++]);
    }
    pthread_mutex_unlock(&jobs->lock);
    *ret = items;
    *ret_count = count;
    return LH_OK;
}

/* Waits until the job is past `seen` or, `to_end`, has ended; `until_us` on the monotonic clock. */
static enum lh_code wait_for(struct jobs *jobs, struct lh_str id, bool to_end, uint64_t seen,
                             int64_t until_us, const struct lh_cancel *cancel,
                             struct lh_arena *arena, struct job_info *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&jobs->lock);
    for (;;) {
        const struct job *job = jobs_find(jobs, id);
        if (!job) {
            code = fail_missing(id, err);
            break;
        }
        bool is_over = job->state >= JOB_SUCCEEDED || (to_end && job->is_held);
        if (is_over || (!to_end && job->change > seen) || lh_clock_monotonic_us() >= until_us) {
            copy_info(job, arena, ret);
            break;
        }
        if (lh_cancel_check(cancel)) {
            code = lh_cancel_fail(cancel, "Waiting for the job", err);
            break;
        }
        jobs_wait_a_while(jobs, WATCH_STEP_MS);
    }
    pthread_mutex_unlock(&jobs->lock);
    return code;
}

enum lh_code jobs_wait(struct jobs *jobs, struct lh_str id, const struct lh_cancel *cancel,
                       struct lh_arena *arena, struct job_info *ret, struct lh_error *err)
{
    return wait_for(jobs, id, true, 0, INT64_MAX, cancel, arena, ret, err);
}

enum lh_code jobs_watch(struct jobs *jobs, struct lh_str id, uint64_t seen, int64_t timeout_ms,
                        const struct lh_cancel *cancel, struct lh_arena *arena,
                        struct job_info *ret, struct lh_error *err)
{
    return wait_for(jobs, id, false, seen, lh_clock_monotonic_us() + timeout_ms * 1000, cancel,
                    arena, ret, err);
}
