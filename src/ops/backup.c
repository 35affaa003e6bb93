#include "storage/backup.h"

#include "catalog/moment.h"
#include "lake/lake.h"
#include "ops/internal.h"

/* --- POST /system/backup */

struct backup_args {
    struct lh_str to;
    bool recheck;
    bool primary_only;
};
static const struct lh_field backup_rows[] = {
    LH_STR(struct backup_args, to, .required = true, .positional = true, .min = 1, .max = 4096,
           .doc = "The backup's folder on the machine of the lake: an absolute path outside it."),
    LH_BOOL(struct backup_args, recheck,
            .doc = "Read what earlier backups copied, and mend what is damaged of it."),
    LH_BOOL(struct backup_args, primary_only, .doc = "Leave out what other buckets hold."),
};
static const struct lh_fields backup_fields =
    LH_FIELDS_OF(struct backup_args, "SystemBackupArgs", backup_rows);

struct backup_view {
    struct lh_str to;
    int64_t number;
    int64_t sequence;
    int64_t files;
    int64_t bytes;
    int64_t copied_files;
    int64_t copied_bytes;
    int64_t mended_files;
    double held_ms;
    struct lh_str_list buckets_not_included;
};
static const struct lh_field view_rows[] = {
    LH_STR(struct backup_view, to, .required = true, .doc = "The backup's folder."),
    LH_INT(struct backup_view, number, .required = true,
           .doc = "Which backup of that folder it is: 1, 2, 3 …"),
    LH_INT(struct backup_view, sequence, .required = true,
           .doc = "Of the lake's last commit that is in it; no later one is, not even in part."),
    LH_INT(struct backup_view, files, .required = true, .doc = "Files of the lake."),
    LH_INT(struct backup_view, bytes, .required = true, .doc = "Their size."),
    LH_INT(struct backup_view, copied_files, .required = true,
           .doc = "That were read now; the others are in earlier backups."),
    LH_INT(struct backup_view, copied_bytes, .required = true, .doc = "Their size."),
    LH_INT(struct backup_view, mended_files, .required = true,
           .doc = "Of earlier backups, that were damaged and were copied anew."),
    LH_DOUBLE(struct backup_view, held_ms, .required = true,
              .doc = "How long commits had to wait."),
    LH_STR_LIST(struct backup_view, buckets_not_included, .required = true,
                .doc = "Buckets that hold something, or do not answer: it is not in the backup."),
};
static const struct lh_fields view_fields =
    LH_FIELDS_OF(struct backup_view, "SystemBackup", view_rows);

static enum lh_code run_backup(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct backup_args *args = raw;
    struct catalog_moment *moment = catalog_moment_new(lake_catalog(call->lake));
    struct storage_backup_result result;
    const struct storage_backup_options options = {
        .path = args->to,
        .is_primary_only = args->primary_only,
        .is_rechecked = args->recheck,
        .arena = call->arena,
        .source = catalog_moment_source(moment),
        .cancel = call->cancel,
    };
    enum lh_code code = storage_backup(lake_storage(call->lake), &options, &result, err);
    catalog_moment_free(moment);
    if (code)
        return code;
    const struct backup_view view = {
        .to = args->to,
        .number = result.number,
        .sequence = (int64_t)result.sequence,
        .files = result.file_count,
        .bytes = result.byte_count,
        .copied_files = result.copied_count,
        .copied_bytes = result.copied_bytes,
        .mended_files = result.mended_count,
        .held_ms = (double)result.held_us / 1000,
        .buckets_not_included = {result.left_out, result.left_out_count},
    };
    return op_reply_record(reply, &view, err);
}

static const struct op_example backup_examples[] = {
    {"Back the lake up", "{\"to\": \"/mnt/backup/lake\"}",
     "{\"to\": \"/mnt/backup/lake\", \"number\": 3, \"sequence\": 412, \"files\": 218, \"bytes\": "
     "48210331, \"copied_files\": 7, \"copied_bytes\": 910222, \"mended_files\": 0, \"held_ms\": "
     "3.1, \"buckets_not_included\": []}"},
};
const struct op op_system_backup = {
    .name = "system.backup",
    .command = "backup",
    .summary = "Copy the lake, as it is at one moment, to a folder elsewhere.",
    .description =
        "Everything that is acknowledged before is in it, whole, and nothing of what comes later; "
        "reading and writing go on. Only files that no earlier backup of the folder has are "
        "copied, each summed on its way and, where the lake knows its checksum, compared. The "
        "backup is there once this answers; one that was cut off leaves the earlier ones as they "
        "were, and what it had copied serves the next. `lakehouse restore` brings it back. The "
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
    .result = &view_fields,
    .errors = OP_ERRORS(LH_CONFLICT, LH_LOCKED, LH_DAMAGED, LH_FORMAT, LH_FULL, LH_UNKNOWN),
    OP_EXAMPLES(backup_examples),
    .run = run_backup,
};
