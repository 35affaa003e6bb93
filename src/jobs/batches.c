/* How jobs ended whose callers waited. Nobody waits for these records, so one fsync is shared by
 * all that ended within a while: the dispatcher's thread writes them as one file, and so does the
 * end of the registry. What a kill within that while loses, its effect tells: the commit names the
 * job.
 *
 * Rejected: a record of its own for each, as submitted jobs have (an fsync or two on the way of
 * every small ingest, and a file each); an append log (it would have to be cut and rewritten for
 * retention and erasure, where a batch just goes with the last of its jobs). */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "jobs/internal.h"
#include "jobs/records.h"

#define BATCH_BYTES ((size_t)512 << 10) /* the last line may go over it, and fits all the same */
#define RETRY_US INT64_C(10000000)      /* after a failure */

void batches_add(struct jobs *jobs, struct job *job)
{
    if (!jobs->unwritten++)
        jobs->write_at_us = lh_clock_monotonic_us() + jobs->options.write_ms * 1000;
    job->is_unwritten = true;
}

int64_t batches_due_ms(const struct jobs *jobs)
{
    int64_t left_us = jobs->write_at_us - lh_clock_monotonic_us();
    if (!jobs->unwritten)
        return -1;
    return left_us > 0 ? (left_us + 999) / 1000 : 0;
}

/* --- writing ----------------------------------------------------------------------------------*/

static void write_line(const struct job *job, struct lh_buf *buf)
{
    const struct job_ending ending = {.state = job->state,
                                      .attempts = job->attempts,
                                      .started_ms = job->started_ms,
                                      .ended_ms = job->ended_ms,
                                      .progress = job->progress,
                                      .result = job->result,
                                      .error = job->error,
                                      .has_error = job->has_error};
    const struct record_ended ended = record_of_ending(&ending);
    const struct record_batched record = {.id = lh_uuid_str(&job->id),
                                          .kind = job->kind_name,
                                          .dataset = job->dataset,
                                          .actor = job->actor,
                                          .created_at = {job->created_ms},
                                          .ended = &ended};
    struct lh_json json;
    lh_json_init(&json, buf);
    lh_fields_write(&record_batched_fields, &record, &json);
    lh_buf_append_char(buf, '\n');
}

/* Locked. The oldest first, as many as go into one file. */
static unsigned collect(struct jobs *jobs, struct lh_buf *buf)
{
    unsigned count = 0;
    for (struct job *job = jobs->oldest; job && buf->len < BATCH_BYTES; job = job->newer) {
        if (!job->is_unwritten)
            continue;
        job->is_being_written = true;
        write_line(job, buf);
        count++;
    }
    record_batch_seal(buf);
    return count;
}

/* Locked. */
static void settle_batch(struct jobs *jobs, struct job_batch *batch, enum lh_code code)
{
    for (struct job *job = jobs->oldest; job; job = job->newer) {
        if (!job->is_being_written)
            continue;
        job->is_being_written = false;
        if (code)
            continue;
        job->is_unwritten = false;
        jobs->unwritten--;
        job->batch = batch;
        batch->jobs++;
    }
    if (code)
        free(batch);
}

/* Locked, but not while it writes. When it is not known whether the file is durable, another one
 * tells the same: of two lines of one job the next process takes the first. */
static enum lh_code write_batch(struct jobs *jobs, unsigned *ret_count, struct lh_error *err)
{
    struct lh_buf buf;
    char key[RECORD_KEY_BYTES];
    struct job_batch *batch = lh_allocate(1, sizeof *batch);
    batch->id = lh_uuid_new();
    lh_buf_init(&buf, JOBS_RECORD_BYTES_MAX);
    unsigned count = collect(jobs, &buf);
    pthread_mutex_unlock(&jobs->lock);
    enum lh_code code = lh_buf_check(&buf, "The record of ended jobs", err);
    if (!code)
        code = storage_put_exclusive(jobs->storage, STORAGE_PRIMARY,
                                     record_key(lh_uuid_str(&batch->id), RECORD_BATCH, key),
                                     lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    pthread_mutex_lock(&jobs->lock);
    settle_batch(jobs, batch, code);
    if (!code)
        *ret_count = count;
    return code;
}

enum lh_code batches_begin(struct jobs *jobs, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    unsigned written = 0;
    pthread_mutex_lock(&jobs->lock);
    while (jobs->is_writing_batches)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    jobs->is_writing_batches = true;
    for (unsigned due = jobs->unwritten; !code && jobs->unwritten && due; due -= written) {
        code = write_batch(jobs, &written, err);
        written = written < due ? written : due;
    }
    if (code)
        jobs->write_at_us = lh_clock_monotonic_us() + RETRY_US;
    pthread_mutex_unlock(&jobs->lock);
    return code;
}

void batches_end(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->is_writing_batches = false;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
}

void batches_write(struct jobs *jobs)
{
    struct lh_error err = LH_ERROR_NONE;
    if (batches_begin(jobs, &err)) {
        (void)lh_error_context(&err, "How jobs ended is not known after a restart");
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
    }
    batches_end(jobs);
}

/* --- reading ----------------------------------------------------------------------------------*/

/* Two batches may tell of one job: the second was written because nobody knew of the first. */
static bool is_known(const struct jobs *jobs, const struct record_batched *record)
{
    const struct job *job = jobs->newest;
    while (job && job->created_ms > record->created_at.unix_ms)
        job = job->older;
    for (; job && job->created_ms == record->created_at.unix_ms; job = job->older)
        if (lh_str_equal(lh_uuid_str(&job->id), record->id))
            return true;
    return false;
}

static void load_line(struct jobs *jobs, const struct record_batched *record,
                      struct job_batch *batch)
{
    struct job *job = jobs_new_job(jobs);
    memcpy(job->id.text, record->id.data, LH_UUID_TEXT_BYTES);
    job->kind_name = lh_arena_str(job->arena, record->kind);
    job->dataset = lh_arena_str(job->arena, record->dataset);
    job->actor = lh_arena_str(job->arena, record->actor);
    job->args = lh_lit("{}");
    job->created_ms = record->created_at.unix_ms;
    record_tell(job, record->ended);
    job->batch = batch;
    batch->jobs++;
    jobs->ended_kept++;
    jobs_insert(jobs, job);
}

void batches_load(struct jobs *jobs, struct lh_str id)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_arena *arena = lh_arena_new(0);
    struct record_batch record = {0};
    struct job_batch *batch = lh_allocate(1, sizeof *batch);
    char buffer[RECORD_KEY_BYTES];
    struct lh_str key = record_key(id, RECORD_BATCH, buffer);
    memcpy(batch->id.text, id.data, LH_UUID_TEXT_BYTES);
    enum lh_code code = record_read_batch(jobs->storage, id, arena, &record, &err);
    for (size_t i = 0; i < record.count; i++)
        if (!is_known(jobs, &record.jobs[i]))
            load_line(jobs, &record.jobs[i], batch);
    if (code) {
        (void)lh_error_context(&err, "%.*s", LH_ARG(key));
        lh_log_error(LH_LOG_ERROR, "jobs.damaged", &err);
        jobs->damaged++;
    } else if (!batch->jobs && storage_trash(jobs->storage, STORAGE_PRIMARY, &key, 1, &err)) {
        lh_log_error(LH_LOG_WARN, "jobs.trash", &err);
    }
    if (!batch->jobs)
        free(batch);
    lh_arena_free(arena);
}
