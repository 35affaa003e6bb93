#include "lake/backups.h"

#include "lake/lake.h"
#include "ops/internal.h"

/* --- POST /system/backup */

struct backup_args {
    struct lh_str to;
    bool recheck;
    bool primary_only;
    bool wait;
};
static const struct lh_field backup_rows[] = {
    LH_STR(struct backup_args, to, .required = true, .positional = true, .min = 1, .max = 4096,
           .doc = "The backup's folder on the machine of the lake: an absolute path outside it."),
    LH_BOOL(struct backup_args, recheck,
            .doc = "Read what earlier backups copied, and mend what is damaged of it."),
    LH_BOOL(struct backup_args, primary_only, .doc = "Leave out what other buckets hold."),
    LH_BOOL(struct backup_args, wait, LH_PRESET(true),
            .doc = "false: answer 202 with the id of a job."),
};
static const struct lh_fields backup_fields =
    LH_FIELDS_OF(struct backup_args, "SystemBackupArgs", backup_rows);

struct backup_accepted {
    struct lh_str job_id;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct backup_accepted, job_id, .required = true,
           .doc = "To be followed at /jobs/{id}."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct backup_accepted, "SystemBackupAccepted", accepted_rows);

static enum lh_code run_backup(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct backup_args *args = raw;
    const struct lake_backup_request request = {
        .to = args->to,
        .recheck = args->recheck,
        .primary_only = args->primary_only,
        .actor = call->principal->id,
    };
    if (args->wait) {
        struct lake_backup_result result;
        enum lh_code code =
            lake_backup(call->lake, &request, call->cancel, call->arena, &result, err);
        return code ? code : op_reply_record(reply, &result, err);
    }
    struct lh_uuid id;
    enum lh_code code = lake_backup_begin(call->lake, &request, &id, err);
    if (code)
        return code;
    const struct backup_accepted accepted = {lh_arena_str(call->arena, lh_uuid_str(&id))};
    op_reply_status(reply, 202);
    reply->location = lh_arena_printf(call->arena, "/jobs/%s", id.text);
    return op_reply_record(reply, &accepted, err);
}

static const struct op_example backup_examples[] = {
    {"Back the lake up", "{\"to\": \"/mnt/backup/lake\"}",
     "{\"job_id\": \"019a3c5e-7d20-7b6e-9a51-3f0c2b8d4e61\", \"to\": \"/mnt/backup/lake\", "
     "\"number\": 3, \"sequence\": 412, \"files\": 218, \"bytes\": "
     "48210331, \"copied_files\": 7, \"copied_bytes\": 910222, \"mended_files\": 0, \"held_ms\": "
     "3.1, \"buckets_not_included\": []}"},
    {"As a job that is followed at /jobs/{id}", "{\"to\": \"/mnt/backup/lake\", \"wait\": false}",
     NULL},
};
const struct op op_system_backup = {
    .name = "system.backup",
    .command = "backup",
    .summary = "Copy the lake, as it is at one moment, to a folder elsewhere.",
    .description =
        "Everything that is acknowledged before is in it, whole, and nothing of what comes later; "
        "reading and writing go on: commits wait only while the last changes are looked at, "
        "however "
        "many files there are. Only files that no earlier backup of the folder has are "
        "copied, each summed on its way and, where the lake knows its checksum, compared. The "
        "backup is there once this answers, or its job has succeeded; one that was cut off or "
        "cancelled leaves the earlier ones as they were, and what it had copied serves the next. A "
        "job goes on after a restart of the server. `lakehouse restore` brings it back. The "
        "files of keys are in it hashed, secrets and settings are not. "
        "The data of datasets in other buckets, and objects there, are in it, too; a bucket that "
        "does "
        "not answer is 409, unless `primary_only` leaves all of them out. Objects in other buckets "
        "are as they are a little later, each whole.",
    .http = {OP_POST, "/system/backup"},
    .effect = OP_WRITE,
    .permission = "system.backup",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &backup_fields,
    .kind = OP_RECORD,
    .result = &lake_backup_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors = OP_ERRORS(LH_CONFLICT, LH_LOCKED, LH_DAMAGED, LH_FORMAT, LH_FULL, LH_UNKNOWN),
    OP_EXAMPLES(backup_examples),
    .run = run_backup,
};
