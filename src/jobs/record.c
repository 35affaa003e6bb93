/* What stands in storage of each submitted job, all of it write-once:
 *
 *   _jobs/<id>.input             the file it works on; written first, removed when it has ended
 *   _jobs/<id>.submitted.json    from here on it is accepted
 *   _jobs/<id>.attempt-<n>.json  it was begun for the nth time
 *   _jobs/<id>.stopped-<n>.json  … and given up in good order: not one that took the process down
 *   _jobs/<id>.cancel.json       it shall not be run again
 *   _jobs/<id>.ended.json        how it ended
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "jobs/internal.h"

#define INPUT_COPY_BYTES ((size_t)1 << 20)

struct record_input {
    struct lh_str filename;
    int64_t bytes;
    struct lh_str sha256; /* hex */
};
static const struct lh_field input_rows[] = {
    LH_STR(struct record_input, filename),
    LH_INT(struct record_input, bytes, .max = INT64_MAX),
    LH_STR(struct record_input, sha256, .required = true),
};
static const struct lh_fields input_fields =
    LH_FIELDS_OF(struct record_input, "JobRecordInput", input_rows);

struct record_submitted {
    struct lh_str kind;
    struct lh_str dataset;
    struct lh_str actor;
    struct lh_json_value args;
    struct lh_time created_at;
    const struct record_input *input;
};
static const struct lh_field submitted_rows[] = {
    LH_STR(struct record_submitted, kind, .required = true),
    LH_STR(struct record_submitted, dataset),
    LH_STR(struct record_submitted, actor),
    LH_JSON(struct record_submitted, args),
    LH_TIME(struct record_submitted, created_at),
    LH_OBJECT(struct record_submitted, input, const struct record_input *, .fields = &input_fields),
};
static const struct lh_fields submitted_fields =
    LH_FIELDS_OF(struct record_submitted, "JobSubmitted", submitted_rows);

struct record_ended {
    int state;
    int64_t attempts;
    struct lh_time started_at;
    struct lh_time ended_at;
    struct lh_json_value result;
    struct lh_str code;
    struct lh_str message;
    struct lh_str hint;
    struct lh_str field;
    int64_t line;
    int64_t rows_done;
    int64_t bytes_done;
    int64_t bytes_total;
};
static const struct lh_field ended_rows[] = {
    LH_CHOICE(struct record_ended, state, .required = true, .choices = job_state_names),
    LH_INT(struct record_ended, attempts, .max = INT64_MAX),
    LH_TIME(struct record_ended, started_at),
    LH_TIME(struct record_ended, ended_at),
    LH_JSON(struct record_ended, result),
    LH_STR(struct record_ended, code),
    LH_STR(struct record_ended, message),
    LH_STR(struct record_ended, hint),
    LH_STR(struct record_ended, field),
    LH_INT(struct record_ended, line, .max = INT64_MAX),
    LH_INT(struct record_ended, rows_done, .max = INT64_MAX),
    LH_INT(struct record_ended, bytes_done, .max = INT64_MAX),
    LH_INT(struct record_ended, bytes_total, .max = INT64_MAX),
};
static const struct lh_fields ended_fields =
    LH_FIELDS_OF(struct record_ended, "JobEnded", ended_rows);

#define KEY_BYTES 96
static struct lh_str key_of(struct lh_str id, const char *what, char buffer[KEY_BYTES])
{
    snprintf(buffer, KEY_BYTES, JOBS_FOLDER "/%.*s.%s", LH_ARG(id), what);
    return lh_str_of(buffer);
}

static enum lh_code put(struct job *job, const char *what, const struct lh_fields *fields,
                        const void *record, struct lh_error *err)
{
    char key[KEY_BYTES];
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
        code =
            storage_put_exclusive(job->jobs->storage, STORAGE_PRIMARY,
                                  key_of(lh_uuid_str(&job->id), what, key), lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

/* --- writing ----------------------------------------------------------------------------------*/

static void trash(struct jobs *jobs, struct lh_str id, const char *what)
{
    char buffer[KEY_BYTES];
    struct lh_str key = key_of(id, what, buffer);
    struct lh_error err = LH_ERROR_NONE;
    if (storage_trash(jobs->storage, STORAGE_PRIMARY, &key, 1, &err))
        lh_log_error(LH_LOG_WARN, "jobs.trash", &err);
}

static enum lh_code copy_into(struct storage_staged *staged, const struct lh_upload *input,
                              struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    int fd = -1;
    struct lh_dir *dir = NULL;
    const char *slash = memrchr(input->path.data, '/', input->path.len);
    size_t folder = slash ? (size_t)(slash - input->path.data) : 0;
    const char *name = lh_arena_cstr(arena, lh_str_slice(input->path, folder + 1, SIZE_MAX));
    char *bytes = lh_arena_alloc(arena, INPUT_COPY_BYTES);
    enum lh_code code =
        lh_dir_open(folder ? lh_str_slice(input->path, 0, folder) : lh_lit("/"), false, &dir, err);
    if (!code)
        code = lh_file_open(dir, name, false, &fd, err);
    int64_t at = 0;
    size_t got = INPUT_COPY_BYTES;
    while (!code && got == INPUT_COPY_BYTES) {
        code = lh_file_read_at(fd, bytes, INPUT_COPY_BYTES, at, &got, err);
        if (!code)
            code = storage_staged_write(staged, bytes, got, err);
        at += (int64_t)got;
    }
    lh_file_abandon(fd); /* only read */
    lh_dir_close(dir);
    lh_arena_free(arena);
    return code;
}

/* The input becomes an object of its own before the job is accepted. */
static enum lh_code keep_input(struct job *job, const struct lh_upload *input,
                               struct record_input *record, struct lh_error *err)
{
    struct storage *storage = job->jobs->storage;
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    char buffer[KEY_BYTES];
    struct lh_str key = key_of(lh_uuid_str(&job->id), "input", buffer);
    struct lh_str staging = storage_staging_path(storage);
    bool is_ours = lh_str_starts_with(input->path, staging) && input->path.len > staging.len + 1 &&
                   input->path.data[staging.len] == '/';
    enum lh_code code = is_ours ? storage_stage_adopt(storage, input->path, &staged, err)
                                : storage_stage(storage, lh_lit(".input"), &staged, err);
    if (!code && !is_ours)
        code = copy_into(staged, input, err);
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
        code = put(job, "submitted.json", &submitted_fields, &record, err);
    if (code && input)
        trash(job->jobs, lh_uuid_str(&job->id), "input");
    return code;
}

enum lh_code record_attempt(struct job *job, struct lh_error *err)
{
    char what[40];
    snprintf(what, sizeof what, "attempt-%lld.json", (long long)job_attempt(job));
    return put(job, what, NULL, NULL, err);
}

enum lh_code record_note(struct job *job, const char *what, struct lh_error *err)
{
    char name[40];
    if (job->attempts && strcmp(what, "stopped") == 0)
        snprintf(name, sizeof name, "%s-%lld.json", what, (long long)job->attempts);
    else
        snprintf(name, sizeof name, "%s.json", what);
    return put(job, name, NULL, NULL, err);
}

enum lh_code record_end(struct job *job, struct lh_error *err)
{
    struct record_ended record = {.state = (int)job->state,
                                  .attempts = job->attempts,
                                  .started_at = {job->started_ms},
                                  .ended_at = {job->ended_ms},
                                  .rows_done = job->progress.rows_done,
                                  .bytes_done = job->progress.bytes_done,
                                  .bytes_total = job->progress.bytes_total};
    if (job->state == JOB_SUCCEEDED)
        record.result.text = job->result.data ? job->result : lh_lit("{}");
    if (job->has_error) {
        record.code = job->error.code;
        record.message = job->error.message;
        record.hint = job->error.hint;
        record.field = job->error.field;
        record.line = job->error.line;
    }
    return put(job, "ended.json", &ended_fields, &record, err);
}

void record_drop_input(struct job *job)
{
    if (!lh_str_empty(job->input.path))
        trash(job->jobs, lh_uuid_str(&job->id), "input");
}

/* The key "_jobs/<id>.<what>" in two; false if it is none. */
static bool split_name(struct lh_str name, struct lh_str *ret_id, struct lh_str *ret_what)
{
    *ret_id = lh_str_slice(name, 0, LH_UUID_TEXT_BYTES);
    *ret_what = lh_str_slice(name, LH_UUID_TEXT_BYTES + 1, SIZE_MAX);
    return name.len > LH_UUID_TEXT_BYTES + 1 && name.data[LH_UUID_TEXT_BYTES] == '.' &&
           lh_uuid_is_valid(*ret_id);
}

void record_remove(struct jobs *jobs, struct lh_str id)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    struct lh_error err = LH_ERROR_NONE;
    if (storage_list(jobs->storage, STORAGE_PRIMARY, lh_lit(JOBS_FOLDER), arena, &entries, &count,
                     &err))
        lh_log_error(LH_LOG_WARN, "jobs.trash", &err);
    struct lh_str *keys = lh_arena_array(arena, count + 1, sizeof *keys);
    size_t key_count = 0;
    for (size_t i = 0; i < count; i++)
        if (lh_str_starts_with(entries[i].name, id))
            keys[key_count++] = entries[i].key;
    if (key_count && storage_trash(jobs->storage, STORAGE_PRIMARY, keys, key_count, &err))
        lh_log_error(LH_LOG_WARN, "jobs.trash", &err);
    lh_arena_free(arena);
}

/* --- reading ----------------------------------------------------------------------------------*/

/* What the folder holds of one job. */
struct found {
    struct lh_str id;
    bool has_input;
    bool is_submitted;
    bool is_ended;
    bool is_cancelled;
    int64_t attempts;
    int64_t stopped; /* the last attempt that is not held against the job */
};

static void note_file(struct found *found, struct lh_str what)
{
    found->has_input |= lh_str_equal(what, lh_lit("input"));
    found->is_submitted |= lh_str_equal(what, lh_lit("submitted.json"));
    found->is_ended |= lh_str_equal(what, lh_lit("ended.json"));
    found->is_cancelled |= lh_str_equal(what, lh_lit("cancel.json"));
    found->attempts += lh_str_starts_with(what, lh_lit("attempt-"));
    if (lh_str_starts_with(what, lh_lit("stopped-"))) {
        struct lh_str number = lh_str_slice(what, sizeof "stopped-" - 1, what.len);
        int64_t attempt = 0;
        if (lh_str_to_int(lh_str_cut(&number, '.'), &attempt) && attempt > found->stopped)
            found->stopped = attempt;
    }
}

static enum lh_code read_record(struct job *job, const char *what, const struct lh_fields *fields,
                                void *record, struct lh_error *err)
{
    char buffer[KEY_BYTES];
    struct lh_str text;
    json_t *json = NULL;
    lh_fields_preset(fields, record);
    enum lh_code code = storage_get(job->jobs->storage, STORAGE_PRIMARY,
                                    key_of(lh_uuid_str(&job->id), what, buffer),
                                    JOBS_RECORD_BYTES_MAX, job->arena, &text, err);
    if (!code)
        code = lh_json_parse(text, "The job's record", JOBS_RECORD_BYTES_MAX, &json, err);
    if (!code) {
        code = lh_fields_bind_json(fields, json, job->arena, record, err);
        if (!code)
            code = lh_fields_check(fields, record, err);
        /* Parsed values are borrowed from the tree: it lives as long as the job. */
        lh_arena_defer(job->arena, (void (*)(void *))json_decref, json);
    }
    return code;
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

static enum lh_code load_submitted(struct job *job, const struct found *found, struct lh_error *err)
{
    struct record_submitted record;
    enum lh_code code = read_record(job, "submitted.json", &submitted_fields, &record, err);
    if (code)
        return code;
    job->kind_name = record.kind;
    job->dataset = record.dataset;
    job->actor = record.actor;
    job->created_ms = record.created_at.unix_ms;
    job->args = json_text(record.args.value, job->arena);
    if (!record.input || found->is_ended)
        return LH_OK;
    char buffer[KEY_BYTES];
    job->input.filename = record.input->filename;
    job->input.bytes = record.input->bytes;
    if (!lh_hex_parse(record.input->sha256, job->input.sha256, LH_SHA256_BYTES))
        return lh_fail(err, LH_DAMAGED, "The record of the job '%.*s' holds no SHA-256 sum.",
                       LH_ARG(found->id));
    return storage_object_path(job->jobs->storage, STORAGE_PRIMARY,
                               key_of(found->id, "input", buffer), job->arena, &job->input.path,
                               err);
}

static enum lh_code load_ended(struct job *job, struct lh_error *err)
{
    struct record_ended record;
    enum lh_code code = read_record(job, "ended.json", &ended_fields, &record, err);
    if (code)
        return code;
    if (record.state < JOB_SUCCEEDED)
        return lh_fail(err, LH_DAMAGED, "The record of an ended job says that it goes on.");
    job->state = (enum job_state)record.state;
    job->attempts = record.attempts;
    job->started_ms = record.started_at.unix_ms;
    job->ended_ms = record.ended_at.unix_ms;
    job->result = json_text(record.result.value, job->arena);
    job->has_error = job->state != JOB_SUCCEEDED;
    job->error =
        (struct job_error){record.code, record.message, record.hint, record.field, record.line};
    job->progress = (struct job_progress){.phase = lh_lit("done"),
                                          .rows_done = record.rows_done,
                                          .bytes_done = record.bytes_done,
                                          .bytes_total = record.bytes_total};
    return LH_OK;
}

/* An unfinished job goes back to the queue, unless it is what takes the process down. */
static void requeue(struct jobs *jobs, struct job *job, const struct found *found)
{
    struct lh_error err = LH_ERROR_NONE;
    job->attempts = found->attempts;
    if (found->is_cancelled && !found->attempts) {
        (void)lh_fail(&err, LH_CANCELLED, "The job was cancelled before it began.");
        jobs_settle(job, JOB_CANCELLED, &err);
    } else if (found->attempts - found->stopped >= (int64_t)jobs->options.attempts_max) {
        (void)lh_fail(
            &err, LH_INTERNAL,
            "The server went down %lld times while it ran this job, so it is not run again.",
            (long long)(found->attempts - found->stopped));
        jobs_settle(job, JOB_FAILED, &err);
    } else {
        /* Cancelled while it ran: run() may look whether it had its effect, and must then stop. */
        if (found->is_cancelled)
            lh_cancel_fire(&job->cancel, LH_CANCELLED);
        jobs_enqueue(jobs, job);
        return;
    }
    if (record_end(job, &err))
        lh_log_error(LH_LOG_WARN, "jobs.record", &err);
    else
        record_drop_input(job);
}

static void load_job(struct jobs *jobs, const struct found *found)
{
    struct lh_error err = LH_ERROR_NONE;
    if (!found->is_submitted) {
        if (found->has_input) /* the process died before it accepted the job */
            trash(jobs, found->id, "input");
        return;
    }
    struct job *job = jobs_new_job(jobs);
    job->is_durable = true;
    memcpy(job->id.text, found->id.data, LH_UUID_TEXT_BYTES);
    enum lh_code code = load_submitted(job, found, &err);
    if (!code && found->is_ended)
        code = load_ended(job, &err);
    if (code) {
        (void)lh_error_context(&err, "job %.*s", LH_ARG(found->id));
        lh_log_error(LH_LOG_ERROR, "jobs.damaged", &err);
        jobs->damaged++;
        jobs_free_job(job);
        return;
    }
    jobs_insert(jobs, job);
    if (!found->is_ended) {
        requeue(jobs, job, found);
    } else {
        jobs->ended_kept++;
        if (found->has_input)
            trash(jobs, found->id, "input");
    }
}

enum lh_code record_load(struct jobs *jobs, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(jobs->storage, STORAGE_PRIMARY, lh_lit(JOBS_FOLDER), arena,
                                     &entries, &count, err);
    struct found found = {0};
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_str id, what;
        if (!split_name(entries[i].name, &id, &what))
            continue;
        if (!lh_str_equal(id, found.id)) {
            if (found.id.data)
                load_job(jobs, &found);
            found = (struct found){.id = id};
        }
        note_file(&found, what);
    }
    if (found.id.data)
        load_job(jobs, &found);
    lh_arena_free(arena);
    return code;
}
