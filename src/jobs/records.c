/* What stands in storage of each submitted job, all of it write-once:
 *
 *   _jobs/<id>.input             the file it works on; written first, removed when it has ended
 *   _jobs/<id>.submitted.json    from here on it is accepted
 *   _jobs/<id>.attempt-<n>.json  it was begun for the nth time
 *   _jobs/<id>.stopped-<n>.json  … and given up in good order: not one that took the process down
 *   _jobs/<id>.cancel.json       it shall not be run again
 *   _jobs/<id>.ended.json        how it ended
 *
 * and of those whose callers waited, many in one file, which has an id of its own:
 *
 *   _jobs/<id>.ends.jsonl        what they were and how they ended
 */
#include "jobs/records.h"

#include <stdio.h>

#include "base/json.h"

static const struct lh_field input_rows[] = {
    LH_STR(struct record_input, filename),
    LH_INT(struct record_input, bytes, .max = INT64_MAX),
    LH_STR(struct record_input, sha256, .required = true),
};
static const struct lh_fields input_fields =
    LH_FIELDS_OF(struct record_input, "JobRecordInput", input_rows);

static const struct lh_field submitted_rows[] = {
    LH_STR(struct record_submitted, kind, .required = true),
    LH_STR(struct record_submitted, dataset),
    LH_STR(struct record_submitted, actor),
    LH_JSON(struct record_submitted, args),
    LH_TIME(struct record_submitted, created_at),
    LH_OBJECT(struct record_submitted, input, const struct record_input *, .fields = &input_fields),
};
const struct lh_fields record_submitted_fields =
    LH_FIELDS_OF(struct record_submitted, "JobSubmitted", submitted_rows);

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
const struct lh_fields record_ended_fields =
    LH_FIELDS_OF(struct record_ended, "JobEnded", ended_rows);

static const struct lh_field batched_rows[] = {
    LH_STR(struct record_batched, id, .required = true),
    LH_STR(struct record_batched, kind, .required = true),
    LH_STR(struct record_batched, dataset),
    LH_STR(struct record_batched, actor),
    LH_TIME(struct record_batched, created_at),
    LH_OBJECT(struct record_batched, ended, const struct record_ended *, .required = true,
              .fields = &record_ended_fields),
};
const struct lh_fields record_batched_fields =
    LH_FIELDS_OF(struct record_batched, "JobBatched", batched_rows);

struct lh_str record_key(struct lh_str id, const char *what, char buffer[RECORD_KEY_BYTES])
{
    snprintf(buffer, RECORD_KEY_BYTES, JOBS_FOLDER "/%.*s.%s", LH_ARG(id), what);
    return lh_str_of(buffer);
}

/* --- the folder -------------------------------------------------------------------------------*/

/* The name "<id>.<what>" in two; false if it is none. */
static bool split_name(struct lh_str name, struct lh_str *ret_id, struct lh_str *ret_what)
{
    *ret_id = lh_str_slice(name, 0, LH_UUID_TEXT_BYTES);
    *ret_what = lh_str_slice(name, LH_UUID_TEXT_BYTES + 1, SIZE_MAX);
    return name.len > LH_UUID_TEXT_BYTES + 1 && name.data[LH_UUID_TEXT_BYTES] == '.' &&
           lh_uuid_is_valid(*ret_id);
}

/* "<prefix><n>.json"; n is raised to the highest. */
static bool note_number(struct lh_str what, const char *prefix, int64_t *highest)
{
    int64_t number = 0;
    struct lh_str text = lh_str_of(prefix);
    if (!lh_str_starts_with(what, text) || !lh_str_ends_with(what, lh_lit(".json")))
        return false;
    struct lh_str digits = lh_str_slice(what, text.len, what.len - text.len - strlen(".json"));
    if (!lh_str_to_int(digits, &number) || number < 1)
        return false;
    *highest = number > *highest ? number : *highest;
    return true;
}

static bool note_file(struct record_files *files, struct lh_str what)
{
    const struct {
        const char *what;
        bool *is_there;
    } names[] = {{"input", &files->has_input},
                 {"submitted.json", &files->is_submitted},
                 {"ended.json", &files->is_ended},
                 {"cancel.json", &files->is_cancelled}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (lh_str_equal(what, lh_str_of(names[i].what)))
            return *names[i].is_there = true;
    return note_number(what, "attempt-", &files->last_attempt) ||
           note_number(what, "stopped-", &files->last_stopped);
}

enum lh_code record_each(struct storage *storage, const struct record_visitor *visitor,
                         struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    size_t kept = 0; /* of this job: moved together, so that strangers are left out */
    struct record_files files = {0};
    enum lh_code code =
        storage_list(storage, STORAGE_PRIMARY, lh_lit(JOBS_FOLDER), arena, &entries, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_str id, what;
        struct record_files next = {0};
        bool is_job = split_name(entries[i].name, &id, &what);
        if (is_job && files.entry_count && !lh_str_equal(id, files.id)) {
            code = visitor->visit(visitor->context, &files, err);
            files = next;
        }
        if (!code && is_job && visitor->batch && !entries[i].is_special && !entries[i].is_folder &&
            lh_str_equal(what, lh_lit(RECORD_BATCH))) {
            code = visitor->batch(visitor->context, id, err);
            continue;
        }
        if (!is_job || entries[i].is_special || entries[i].is_folder || !note_file(&files, what)) {
            if (visitor->stranger)
                visitor->stranger(visitor->context, &entries[i]);
            continue;
        }
        if (!files.entry_count) {
            files.id = id;
            files.entries = &entries[kept];
        }
        entries[kept++] = entries[i];
        files.entry_count++;
    }
    if (!code && files.entry_count)
        code = visitor->visit(visitor->context, &files, err);
    lh_arena_free(arena);
    return code;
}

/* --- reading ----------------------------------------------------------------------------------*/

static enum lh_code parse_record(struct lh_str text, const struct lh_fields *fields,
                                 struct lh_arena *arena, void *record, struct lh_error *err)
{
    enum lh_code code = lh_fields_parse(fields, text, "The job's record", JOBS_RECORD_BYTES_MAX,
                                        arena, record, err);
    return code ? code : lh_fields_check(fields, record, err);
}

static enum lh_code read_record(struct storage *storage, struct lh_str id, const char *what,
                                const struct lh_fields *fields, struct lh_arena *arena,
                                void *record, struct lh_error *err)
{
    char buffer[RECORD_KEY_BYTES];
    struct lh_str text;
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, record_key(id, what, buffer),
                                    JOBS_RECORD_BYTES_MAX, arena, &text, err);
    return code ? code : parse_record(text, fields, arena, record, err);
}

enum lh_code record_read_submitted(struct storage *storage, struct lh_str id,
                                   struct lh_arena *arena, struct record_submitted *ret,
                                   uint8_t ret_sha256[LH_SHA256_BYTES], struct lh_error *err)
{
    enum lh_code code =
        read_record(storage, id, "submitted.json", &record_submitted_fields, arena, ret, err);
    if (!code && ret->input && !lh_hex_parse(ret->input->sha256, ret_sha256, LH_SHA256_BYTES))
        code = lh_fail(err, LH_DAMAGED, "The record of the job '%.*s' holds no SHA-256 sum.",
                       LH_ARG(id));
    return code;
}

static enum lh_code check_ended(const struct record_ended *record, struct lh_error *err)
{
    return record->state >= JOB_SUCCEEDED
               ? LH_OK
               : lh_fail(err, LH_DAMAGED, "The record of an ended job says that it goes on.");
}

enum lh_code record_read_ended(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                               struct record_ended *ret, struct lh_error *err)
{
    enum lh_code code =
        read_record(storage, id, "ended.json", &record_ended_fields, arena, ret, err);
    return code ? code : check_ended(ret, err);
}

/* --- batches ----------------------------------------------------------------------------------*/

#define SEAL_HEAD "{\"sha256\":\""
#define SEAL_TAIL "\"}\n"
#define SEAL_BYTES (strlen(SEAL_HEAD) + LH_SHA256_HEX_BYTES + strlen(SEAL_TAIL))

static struct lh_str seal_of(struct lh_str lines, char buffer[LH_SHA256_HEX_BYTES + 32])
{
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_of(lines, sum);
    lh_hex(sum, sizeof sum, hex);
    snprintf(buffer, LH_SHA256_HEX_BYTES + 32, SEAL_HEAD "%s" SEAL_TAIL, hex);
    return lh_str_of(buffer);
}

void record_batch_seal(struct lh_buf *lines)
{
    char buffer[LH_SHA256_HEX_BYTES + 32];
    lh_buf_append_str(lines, seal_of(lh_buf_str(lines), buffer));
}

static bool is_sealed(struct lh_str text, struct lh_str *ret_lines)
{
    char buffer[LH_SHA256_HEX_BYTES + 32];
    if (text.len < SEAL_BYTES)
        return false;
    *ret_lines = lh_str_head(text, text.len - SEAL_BYTES);
    return lh_str_equal(lh_str_slice(text, ret_lines->len, text.len), seal_of(*ret_lines, buffer));
}

enum lh_code record_batch_parse(struct lh_str text, struct lh_arena *arena,
                                struct record_batch *ret, struct lh_error *err)
{
    struct lh_str rest;
    struct record_batch batch = {0};
    enum lh_code code = LH_OK;
    if (!is_sealed(text, &rest))
        return lh_fail(err, LH_DAMAGED, "The record of ended jobs has not the sum that it says.");
    size_t most = 0;
    for (size_t i = 0; i < rest.len; i++)
        most += rest.data[i] == '\n';
    batch.jobs = lh_arena_array(arena, most + 1, sizeof *batch.jobs);
    batch.lines = lh_arena_array(arena, most + 1, sizeof *batch.lines);
    while (!code && rest.len) {
        struct record_batched *job = &batch.jobs[batch.count];
        struct lh_str line = lh_str_cut(&rest, '\n');
        batch.lines[batch.count++] = line;
        code = parse_record(line, &record_batched_fields, arena, job, err);
        if (!code && !lh_uuid_is_valid(job->id))
            code =
                lh_fail(err, LH_DAMAGED, "The record of ended jobs names '%.*s', which is no id.",
                        LH_ARG(lh_str_head(job->id, 64)));
        if (!code)
            code = check_ended(job->ended, err);
    }
    if (!code)
        *ret = batch;
    return code;
}

enum lh_code record_read_batch(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                               struct record_batch *ret, struct lh_error *err)
{
    char buffer[RECORD_KEY_BYTES];
    struct lh_str text;
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, record_key(id, RECORD_BATCH, buffer),
                                    JOBS_RECORD_BYTES_MAX, arena, &text, err);
    return code ? code : record_batch_parse(text, arena, ret, err);
}
