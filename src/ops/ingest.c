#include "ingest/ingest.h"

#include "jobs/jobs.h"
#include "lake/lake.h"
#include "ops/internal.h"

struct file_args {
    struct lh_upload file;
    struct lh_str dataset;
    int mode;
    struct lh_str key;
    struct lh_json_value options;
    struct lh_str reason;
    bool wait;
};
static const struct lh_field file_rows[] = {
    LH_FILE(struct file_args, file, .required = true, .positional = true,
            .doc =
                "The file: CSV, JSON, NDJSON, Parquet or NPY, each also gzipped. What it is, its "
                "content says."),
    LH_STR(struct file_args, dataset, .required = true, .min = 1, .max = 255,
           .doc = "Where the rows go: [A-Za-z_][A-Za-z0-9_]{0,62}."),
    LH_CHOICE(struct file_args, mode, .choices = ingest_mode_names, LH_PRESET(INGEST_AUTO),
              .doc = "create (a new name), append, replace (as a new version), upsert (append, and "
                     "rows with the same key are replaced); auto creates or replaces."),
    LH_STR(struct file_args, key, .max = INGEST_COLUMN_NAME_BYTES_MAX,
           .doc = "Of mode upsert: the column whose values name rows; the same as options.key."),
    LH_JSON(struct file_args, options, .fields = &ingest_options_fields,
            .doc = "How to read the file; everything is detected by default."),
    LH_STR(struct file_args, reason, .max = 1000, .doc = "Why; kept with the version."),
    LH_BOOL(struct file_args, wait, LH_PRESET(true),
            .doc = "false: answer 202 with the id of a job as soon as the file is safe."),
};
static const struct lh_fields file_fields =
    LH_FIELDS_OF(struct file_args, "IngestFileArgs", file_rows);

struct accepted {
    struct lh_str job_id;
    struct lh_str dataset;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct accepted, job_id, .required = true, .doc = "To be followed at /jobs/{id}."),
    LH_STR(struct accepted, dataset, .required = true, .doc = "Where the rows go."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct accepted, "JobAccepted", accepted_rows);

/* `key` is one of the options that has a field of its own. */
static enum lh_code add_key(struct op_call *call, const struct file_args *args,
                            struct lh_json_value *ret, struct lh_error *err)
{
    const json_t *given = args->options.value, *other = json_object_get(given, "key");
    *ret = args->options;
    if (!args->key.len || (given && !json_is_object(given)))
        return LH_OK; /* what is no object is told with the other options */
    if (other && !lh_str_equal(lh_json_text(other), args->key)) {
        lh_fail(err, LH_INVALID, "`key` and options.key name two columns.");
        return lh_error_field(err, lh_lit("key"));
    }
    json_t *options = given ? json_copy((json_t *)(uintptr_t)given) : json_object();
    lh_json_keep(options, call->arena);
    json_object_set_new(options, "key", json_stringn(args->key.data, args->key.len));
    *ret = (struct lh_json_value){.value = options};
    return LH_OK;
}

static enum lh_code run_file(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct file_args *args = raw;
    struct ingest_request request = {
        .upload = args->file,
        .dataset = args->dataset,
        .mode = args->mode,
        .options = args->options,
        .actor = call->principal->id,
        .reason = args->reason,
        .bucket = call->bucket,
        .idempotency_key = op_idempotency_key(call),
        .request_hash = call->request_hash,
    };
    struct ingest *ingest = lake_ingest(call->lake);
    enum lh_code code = op_if_match(call, &request.expected_version, err);
    if (!code)
        code = add_key(call, args, &request.options, err);
    if (code)
        return code;
    if (args->wait) {
        struct ingest_result result;
        code = ingest_file(ingest, &request, call->cancel, call->arena, &result, err);
        if (code)
            return code;
        op_reply_version(reply, call, result.version);
        return op_reply_record(reply, &result, err);
    }
    struct lh_uuid job_id;
    if ((code = ingest_file_later(ingest, &request, &job_id, err)))
        return code;
    const struct accepted accepted = {lh_uuid_str(&job_id), args->dataset};
    op_reply_status(reply, 202);
    reply->location = lh_arena_printf(call->arena, "/jobs/%s", job_id.text);
    return op_reply_record(reply, &accepted, err);
}

const struct op op_ingest_file = {
    .name = "ingest.file",
    .summary = "Bring a file in: it becomes the next version of a dataset, whole or not at all.",
    .description =
        "Rows that do not fit are counted and kept beside the data. A file that is already in the "
        "current version, brought by the same mode and options, changes nothing "
        "(`deduplicated`). The rows go where X-Lakehouse-Bucket says; without it where the "
        "dataset's newest rows are, those of a new one to primary.",
    .http = {OP_POST, "/ingest/file"},
    .effect = OP_WRITE,
    .permission = "ingest",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_MULTIPART,
    .fields = &file_fields,
    .kind = OP_RECORD,
    .result = &ingest_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .takes_bucket = true,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_EXISTS, LH_SCHEMA, LH_RACE, LH_PRECONDITION, LH_TOO_LARGE,
                        LH_UNREADABLE, LH_CONFLICT, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_file,
};
