/* Writing: a job is accepted, begun, noted, ended, removed. */
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "jobs/internal.h"
#include "jobs/records.h"

/* A job that was accepted ends also on a full disk: but for most, accepting it needs room. */
static enum lh_code put(struct jobs *jobs, const struct lh_uuid *id, const char *what,
                        const struct lh_fields *fields, const void *record, bool is_vital,
                        struct lh_error *err)
{
    char key[RECORD_KEY_BYTES];
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, JOBS_RECORD_BYTES_MAX);
    lh_json_init(&json, &buf);
    if (fields) {
        lh_fields_write(fields, record, &json);
    } else {
        lh_json_object(&json);
        lh_json_object_end(&json);
    }
    enum lh_code code = lh_buf_check(&buf, "The job's record", err);
    if (!code)
        code = (is_vital ? storage_put_vital : storage_put_exclusive)(
            jobs->storage, STORAGE_PRIMARY, record_key(lh_uuid_str(id), what, key),
            lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

static enum lh_code trash(struct jobs *jobs, const struct lh_str *keys, size_t count)
{
    struct lh_error err = LH_ERROR_NONE;
    enum lh_code code = storage_trash(jobs->storage, STORAGE_PRIMARY, keys, count, &err);
    if (code)
        lh_log_error(LH_LOG_WARN, "jobs.trash", &err);
    return code;
}

/* --- accepting --------------------------------------------------------------------------------*/

/* The input becomes an object of its own before the job is accepted. */
static enum lh_code keep_input(struct job *job, const struct lh_upload *input,
                               struct record_input *record, struct lh_error *err)
{
    struct storage *storage = job->jobs->storage;
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    char buffer[RECORD_KEY_BYTES];
    struct lh_str key = record_key(lh_uuid_str(&job->id), "input", buffer);
    enum lh_code code = storage_stage_file(storage, input->path, lh_lit(".input"), &staged, err);
    if (!code)
        code = storage_staged_seal(staged, &sum, err);
    if (!code)
        code = storage_staged_publish(staged, STORAGE_PRIMARY, key, err);
    if (!code) {
        char *hex = lh_arena_alloc(job->arena, LH_SHA256_HEX_BYTES + 1);
        lh_hex(sum.sha256, LH_SHA256_BYTES, hex);
        job->input.bytes = sum.bytes;
        memcpy(job->input.sha256, sum.sha256, LH_SHA256_BYTES);
        job->input.filename = lh_arena_str(job->arena, input->filename);
        *record = (struct record_input){job->input.filename, sum.bytes, lh_str_of(hex)};
        code =
            storage_object_path(storage, STORAGE_PRIMARY, key, job->arena, &job->input.path, err);
    }
    storage_staged_discard(staged);
    return code;
}

enum lh_code record_submit(struct job *job, const struct lh_upload *input, struct lh_error *err)
{
    struct record_input kept;
    struct record_submitted record = {.kind = job->kind_name,
                                      .dataset = job->dataset,
                                      .actor = job->actor,
                                      .args = {.text = job->args},
                                      .created_at = {job->created_ms}};
    enum lh_code code = LH_OK;
    if (input) {
        code = keep_input(job, input, &kept, err);
        record.input = &kept;
    }
    if (!code)
        code = put(job->jobs, &job->id, "submitted.json", &record_submitted_fields, &record,
                   job->is_vital, err);
    /* Of an accepted job, and of one that may be, the next process wants the input. */
    if (code && code != LH_UNKNOWN && input)
        record_drop_input(job->jobs, &job->id);
    return code;
}

/* --- in its life ------------------------------------------------------------------------------*/

enum lh_code record_attempt(struct jobs *jobs, const struct lh_uuid *id, int64_t attempt,
                            struct lh_error *err)
{
    char what[40];
    snprintf(what, sizeof what, "attempt-%lld.json", (long long)attempt);
    return put(jobs, id, what, NULL, NULL, true, err);
}

enum lh_code record_stopped(struct jobs *jobs, const struct lh_uuid *id, int64_t attempt,
                            struct lh_error *err)
{
    char what[40];
    snprintf(what, sizeof what, "stopped-%lld.json", (long long)attempt);
    return put(jobs, id, what, NULL, NULL, true, err);
}

enum lh_code record_cancel(struct jobs *jobs, const struct lh_uuid *id, struct lh_error *err)
{
    return put(jobs, id, "cancel.json", NULL, NULL, true, err);
}

struct record_ended record_of_ending(const struct job_ending *ending)
{
    struct record_ended record = {.state = (int)ending->state,
                                  .attempts = ending->attempts,
                                  .started_at = {ending->started_ms},
                                  .ended_at = {ending->ended_ms},
                                  .rows_done = ending->progress.rows_done,
                                  .bytes_done = ending->progress.bytes_done,
                                  .bytes_total = ending->progress.bytes_total};
    if (ending->state == JOB_SUCCEEDED)
        record.result.text = ending->result.data ? ending->result : lh_lit("{}");
    if (ending->has_error) {
        record.code = ending->error.code;
        record.message = ending->error.message;
        record.hint = ending->error.hint;
        record.field = ending->error.field;
        record.line = ending->error.line;
    }
    return record;
}

enum lh_code record_end(struct jobs *jobs, const struct job_ending *ending, struct lh_error *err)
{
    const struct record_ended record = record_of_ending(ending);
    return put(jobs, &ending->id, "ended.json", &record_ended_fields, &record, true, err);
}

/* --- removing ---------------------------------------------------------------------------------*/

void record_drop_input(struct jobs *jobs, const struct lh_uuid *id)
{
    char buffer[RECORD_KEY_BYTES];
    struct lh_str key = record_key(lh_uuid_str(id), "input", buffer);
    (void)trash(jobs, &key, 1);
}

struct keys {
    struct lh_arena *arena;
    struct lh_str *items;
    size_t count;
};

static void add_key(struct keys *keys, const struct lh_uuid *id, const char *what)
{
    char buffer[RECORD_KEY_BYTES];
    struct lh_str key = record_key(lh_uuid_str(id), what, buffer);
    keys->items[keys->count++] = lh_arena_str(keys->arena, key);
}

static void add_numbered(struct keys *keys, const struct job *job)
{
    char what[40];
    for (int64_t n = 1; n <= job->last_attempt; n++) {
        snprintf(what, sizeof what, "attempt-%lld.json", (long long)n);
        add_key(keys, &job->id, what);
        snprintf(what, sizeof what, "stopped-%lld.json", (long long)n);
        add_key(keys, &job->id, what);
    }
}

/* What says that they were accepted goes first, and durably: the rest alone is nobody's job, and
 * swept by the next opening. The names are known, so nothing is listed; absent ones are fine. */
void record_remove(struct jobs *jobs, const struct job *first)
{
    static const char *const rest[] = {"ended.json", "cancel.json", "input"};
    struct keys keys = {.arena = lh_arena_new(0)};
    size_t most = 0;
    for (const struct job *job = first; job; job = job->next_queued)
        most += sizeof(rest) / sizeof(rest[0]) + 2 * (size_t)job->last_attempt;
    keys.items = lh_arena_array(keys.arena, most, sizeof *keys.items);
    for (const struct job *job = first; job; job = job->next_queued)
        if (job->is_durable)
            add_key(&keys, &job->id, "submitted.json");
        else if (job->batch) /* it was the last of it */
            add_key(&keys, &job->batch->id, RECORD_BATCH);
    /* What could not be moved is an ended job to the next process, which removes it then. */
    bool is_gone = keys.count && !trash(jobs, keys.items, keys.count);
    keys.count = 0;
    for (const struct job *job = first; is_gone && job; job = job->next_queued) {
        if (!job->is_durable)
            continue;
        for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
            add_key(&keys, &job->id, rest[i]);
        add_numbered(&keys, job);
    }
    if (keys.count)
        (void)trash(jobs, keys.items, keys.count);
    lh_arena_free(keys.arena);
}
