/* What earlier processes left, read when the registry is opened. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "jobs/internal.h"
#include "jobs/records.h"

/* What nobody accepted, or what a removal left: nothing of it is wanted. */
static void sweep(struct jobs *jobs, const struct record_files *files)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *keys = lh_arena_array(arena, files->entry_count, sizeof *keys);
    for (size_t i = 0; i < files->entry_count; i++)
        keys[i] = files->entries[i].key;
    if (storage_trash(jobs->storage, STORAGE_PRIMARY, keys, files->entry_count, &err))
        lh_log_error(LH_LOG_WARN, "jobs.trash", &err);
    lh_arena_free(arena);
}

static struct lh_str json_text(const json_t *value, struct lh_arena *arena)
{
    if (!value)
        return lh_lit("{}");
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, JOBS_RECORD_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_parsed(&json, value);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static enum lh_code load_submitted(struct job *job, const struct record_files *files,
                                   struct lh_error *err)
{
    struct record_submitted record;
    char buffer[RECORD_KEY_BYTES];
    enum lh_code code = record_read_submitted(job->jobs->storage, files->id, job->arena, &record,
                                              job->input.sha256, err);
    if (code)
        return code;
    job->kind_name = record.kind;
    job->dataset = record.dataset;
    job->actor = record.actor;
    job->created_ms = record.created_at.unix_ms;
    job->args = json_text(record.args.value, job->arena);
    if (!record.input || files->is_ended)
        return LH_OK;
    job->input.filename = record.input->filename;
    job->input.bytes = record.input->bytes;
    code = storage_object_path(job->jobs->storage, STORAGE_PRIMARY,
                               record_key(files->id, "input", buffer), job->arena, &job->input.path,
                               err);
    if (code != LH_NOT_FOUND)
        return code;
    struct lh_error *why = lh_arena_alloc(job->arena, sizeof *why);
    *why = (struct lh_error)LH_ERROR_NONE;
    (void)lh_fail(why, LH_DAMAGED, "The file '%.*s' that the job was to work on is gone.",
                  LH_ARG(record.input->filename));
    (void)lh_error_hint(why, "Send the file again.");
    job->given_up = why;
    return LH_OK;
}

void record_tell(struct job *job, const struct record_ended *record)
{
    job->state = (enum job_state)record->state;
    job->attempts = record->attempts;
    job->started_ms = record->started_at.unix_ms;
    job->ended_ms = record->ended_at.unix_ms;
    job->result = json_text(record->result.value, job->arena);
    job->has_error = job->state != JOB_SUCCEEDED;
    job->error = (struct job_error){.code = lh_arena_str(job->arena, record->code),
                                    .message = lh_arena_str(job->arena, record->message),
                                    .hint = lh_arena_str(job->arena, record->hint),
                                    .field = lh_arena_str(job->arena, record->field),
                                    .line = record->line};
    job->progress = (struct job_progress){.phase = lh_lit("done"),
                                          .rows_done = record->rows_done,
                                          .bytes_done = record->bytes_done,
                                          .bytes_total = record->bytes_total};
}

static enum lh_code load_ended(struct job *job, struct lh_error *err)
{
    struct record_ended record;
    enum lh_code code =
        record_read_ended(job->jobs->storage, lh_uuid_str(&job->id), job->arena, &record, err);
    if (!code)
        record_tell(job, &record);
    return code;
}

/* Cancelled before it was ever begun: nothing can have come of it. */
static void end_unbegun(struct jobs *jobs, struct job *job)
{
    struct lh_error err = LH_ERROR_NONE;
    (void)lh_fail(&err, LH_CANCELLED, "The job was cancelled before it began.");
    jobs_settle(job, JOB_CANCELLED, lh_clock_unix_ms(), &err);
    const struct job_ending ending = {.id = job->id,
                                      .state = job->state,
                                      .ended_ms = job->ended_ms,
                                      .error = job->error,
                                      .has_error = true};
    if (record_end(jobs, &ending, &err)) /* its cancel.json says the same to the next process */
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
    else
        record_drop_input(jobs, &job->id);
}

/* An unfinished job goes back to the queue. What takes the process down is only asked for its
 * effect: the last of the attempts may have had it. */
static void requeue(struct jobs *jobs, struct job *job, const struct record_files *files)
{
    int64_t downs = files->last_attempt - files->last_stopped;
    job->attempts = files->last_attempt;
    if (files->is_cancelled && !files->last_attempt) {
        end_unbegun(jobs, job);
        return;
    }
    if (!job->given_up && downs >= (int64_t)jobs->options.attempts_max) {
        struct lh_error *why = lh_arena_alloc(job->arena, sizeof *why);
        *why = (struct lh_error)LH_ERROR_NONE;
        (void)lh_fail(
            why, LH_INTERNAL,
            "The server went down %lld times while it ran this job, so it is not run again.",
            (long long)downs);
        job->given_up = why;
    }
    /* Cancelled while it ran: run() may look whether it had its effect, and must then stop. */
    if (files->is_cancelled)
        lh_cancel_fire(&job->cancel, LH_CANCELLED);
    jobs_enqueue(jobs, job);
}

static enum lh_code load_job(void *context, const struct record_files *files,
                             struct lh_error *ignored)
{
    struct jobs *jobs = context;
    struct lh_error err = LH_ERROR_NONE;
    (void)ignored; /* one record that cannot be read does not keep the others from being run */
    if (!files->is_submitted) {
        sweep(jobs, files);
        return LH_OK;
    }
    struct job *job = jobs_new_job(jobs);
    job->is_durable = true;
    job->last_attempt =
        files->last_attempt > files->last_stopped ? files->last_attempt : files->last_stopped;
    memcpy(job->id.text, files->id.data, LH_UUID_TEXT_BYTES);
    enum lh_code code = load_submitted(job, files, &err);
    if (!code && files->is_ended)
        code = load_ended(job, &err);
    if (code) {
        (void)lh_error_context(&err, "job %.*s", LH_ARG(files->id));
        lh_log_error(LH_LOG_ERROR, "jobs.damaged", &err);
        jobs->damaged++;
        jobs_free_job(job);
        return LH_OK;
    }
    jobs_insert(jobs, job);
    if (!files->is_ended) {
        requeue(jobs, job, files);
    } else {
        jobs->ended_kept++;
        if (files->has_input)
            record_drop_input(jobs, &job->id);
    }
    return LH_OK;
}

static enum lh_code load_batch(void *context, struct lh_str id, struct lh_error *err)
{
    (void)err; /* likewise */
    batches_load(context, id);
    return LH_OK;
}

enum lh_code record_load(struct jobs *jobs, struct lh_error *err)
{
    const struct record_visitor visitor = {.visit = load_job, .batch = load_batch, .context = jobs};
    return record_each(jobs->storage, &visitor, err);
}
