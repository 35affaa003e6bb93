/* Datasets from bucket to bucket. */
#include "base/json.h"
#include "jobs/jobs.h"
#include "lake/lake.h"
#include "lake/moving.h"
#include "ops/internal.h"
#include "storage/storage.h"

/* Both run in the short lane: who waits for a job must not sit where it is to run. */

struct accepted {
    struct lh_str job_id;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct accepted, job_id, .required = true, .doc = "To be followed at /jobs/{id}."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct accepted, "MoveAccepted", accepted_rows);

static enum lh_code read_result(const struct job_info *info, struct lh_arena *arena,
                                struct lake_move_result *ret, struct lh_error *err)
{
    return lh_fields_parse(&lake_move_result_fields, info->result.text, "The job's result",
                           JOBS_RESULT_BYTES_MAX, arena, ret, err);
}

static enum lh_code answer(struct op_call *call, const struct lake_move_request *request, bool wait,
                           struct op_reply *reply, struct lh_error *err)
{
    struct lake_move_result result;
    struct job_info info;
    struct accepted accepted;
    enum lh_code code =
        lake_move_begin(call->lake, request, call->cancel, call->arena, &accepted.job_id, err);
    if (code)
        return code;
    reply->location = lh_arena_printf(call->arena, "/jobs/%.*s", LH_ARG(accepted.job_id));
    if (!wait || !op_may_wait(call->lake)) {
        op_reply_status(reply, 202);
        return op_reply_record(reply, &accepted, err);
    }
    code = jobs_wait(lake_jobs(call->lake), accepted.job_id, call->cancel, call->arena, &info, err);
    op_has_waited();
    if (!code && info.state != JOB_SUCCEEDED)
        return op_fail_as_job(&info, "The move", err);
    if (!code)
        code = read_result(&info, call->arena, &result, err);
    return code ? code : op_reply_record(reply, &result, err);
}

static enum lh_code run(struct op_call *call, const struct lake_move_request *request, bool dry_run,
                        bool wait, struct op_reply *reply, struct lh_error *err)
{
    struct lake_move_result plan;
    if (!dry_run)
        return answer(call, request, wait, reply, err);
    enum lh_code code = lake_move_plan(call->lake, request, call->cancel, call->arena, &plan, err);
    return code ? code : op_reply_record(reply, &plan, err);
}

/* --- POST /catalog/datasets/by-name/{name}/move */

struct move_args {
    struct lh_str name;
    struct lh_str to;
    struct lh_str from;
    bool dry_run;
    bool wait;
    struct lh_str reason;
};
static const struct lh_field move_rows[] = {
    LH_STR(struct move_args, name, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The dataset's name; case does not matter."),
    LH_STR(struct move_args, to, .required = true, .positional = true, .min = 1, .max = 63,
           .doc = "The bucket that it goes to."),
    LH_STR(struct move_args, from, .min = 1, .max = 63,
           .doc = "Only its files in this bucket; absent = all that are elsewhere."),
    LH_BOOL(struct move_args, dry_run, .doc = "Only tell what would be moved."),
    LH_BOOL(struct move_args, wait,
            .doc = "true: answer when it has ended. Otherwise 202 with the id of a job."),
    LH_STR(struct move_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields move_fields =
    LH_FIELDS_OF(struct move_args, "DatasetsMoveArgs", move_rows);

static enum lh_code run_move(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct move_args *args = raw;
    const struct lake_move_request request = {
        .dataset = args->name,
        .from = {&args->from, args->from.len ? 1 : 0},
        .to = args->to,
        .actor = call->principal->id,
        .reason = args->reason,
    };
    return run(call, &request, args->dry_run, args->wait, reply, err);
}

static const struct op_example move_examples[] = {
    {"What would be moved?", "{\"to\": \"archive\", \"dry_run\": true}",
     "{\"dry_run\": true, \"to\": \"archive\", \"moved\": 1, \"failed\": 0, \"files\": 64, "
     "\"bytes\": 5120000, \"datasets\": [{\"dataset\": \"calls\", \"dataset_id\": "
     "\"019a3c5e-7d20-7b6e-9a51-3f0c2b8d4e61\", \"version\": 65, \"files\": 64, \"bytes\": "
     "5120000, \"files_left\": 0}], \"objects_left\": [], \"elapsed_ms\": 3}"},
    {"Move it", "{\"to\": \"archive\"}", NULL},
};
const struct op op_datasets_move = {
    .name = "datasets.move",
    .summary = "Move a dataset's files to another bucket, with all versions that can be read.",
    .description =
        "Every data file of the versions that are kept is copied, compared with its checksum, and "
        "known there by one commit; no answer changes, older versions and indexes go on. "
        "Statements "
        "that run read on where they began; then the old copies go to their bucket's trash. Rows "
        "that come meanwhile are moved too, or told as files_left; later ones follow the others. "
        "Before the commit a cancelled or failed move leaves nothing; after a kill it goes on. "
        "Lists of tombstones and rejected rows stay in primary; an index stays where it is (PATCH "
        "/vectors/indexes/{name} moves it). One move runs at a time, "
        "and none beside an erasure.",
    .http = {OP_POST, "/catalog/datasets/by-name/{name}/move"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .body = OP_BODY_JSON,
    .fields = &move_fields,
    .kind = OP_RECORD,
    .result = &lake_move_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_DAMAGED, LH_IO, LH_FULL, LH_UNKNOWN),
    OP_EXAMPLES(move_examples),
    .run = run_move,
};

/* --- POST /catalog/migrate-buckets */

struct migrate_args {
    struct lh_str from;
    struct lh_str to;
    bool dry_run;
    bool wait;
    struct lh_str reason;
};
static const struct lh_field migrate_rows[] = {
    LH_STR(struct migrate_args, from, .positional = true, .min = 1, .max = 63,
           .doc = "The bucket that is to be emptied; absent = those of the old names of primary "
                  "(data, local) that there are."),
    LH_STR(struct migrate_args, to, .min = 1, .max = 63, .doc = "Where to; absent = primary."),
    LH_BOOL(struct migrate_args, dry_run, .doc = "Only tell what would be moved."),
    LH_BOOL(struct migrate_args, wait,
            .doc = "true: answer when it has ended. Otherwise 202 with the id of a job."),
    LH_STR(struct migrate_args, reason, .max = 1000, .doc = "Why; kept with the versions."),
};
static const struct lh_fields migrate_fields =
    LH_FIELDS_OF(struct migrate_args, "CatalogMigrateBucketsArgs", migrate_rows);

static size_t old_names(struct lake *lake, struct lh_str to, struct lh_str *ret)
{
    static const struct lh_str names[] = {LH_LIT("data"), LH_LIT("local")};
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (storage_has_bucket(lake_storage(lake), names[i]) && !lh_str_equal(names[i], to))
            ret[count++] = names[i];
    return count;
}

static enum lh_code run_migrate(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct migrate_args *args = raw;
    struct lh_str from[2] = {args->from};
    struct lake_move_request request = {
        .from = {from, 1},
        .to = args->to.len ? args->to : STORAGE_PRIMARY,
        .actor = call->principal->id,
        .reason = args->reason,
    };
    if (!args->from.len)
        request.from.count = old_names(call->lake, request.to, from);
    return run(call, &request, args->dry_run, args->wait, reply, err);
}

static const struct op_example migrate_examples[] = {
    {"Empty a bucket", "{\"from\": \"archive\", \"wait\": true}", NULL},
    {"Old names of primary", "{}", NULL},
};
const struct op op_catalog_migrate_buckets = {
    .name = "catalog.migrate_buckets",
    .command = "migrate-buckets",
    .summary = "Move all datasets that have files in one bucket to another.",
    .description =
        "As datasets.move does for one, each dataset by a commit of its own; dropped ones that can "
        "come back are moved, too. One that cannot be moved is listed with its problem and does "
        "not "
        "keep the others. It can be repeated: what was moved is not moved again. Objects of people "
        "stay, and the bucket is told in objects_left while there are any. Indexes that are in the "
        "bucket "
        "are moved after the datasets.",
    .http = {OP_POST, "/catalog/migrate-buckets"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .body = OP_BODY_JSON,
    .fields = &migrate_fields,
    .kind = OP_RECORD,
    .result = &lake_move_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_DAMAGED, LH_IO, LH_FULL, LH_UNKNOWN),
    OP_EXAMPLES(migrate_examples),
    .run = run_migrate,
};
