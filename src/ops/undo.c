#include "catalog/undo.h"

#include "lake/lake.h"
#include "ops/internal.h"

/* --- POST …/{name}/undo */

struct undo_args {
    struct lh_str name;
    bool dry_run;
    struct lh_str reason;
};
static const struct lh_field undo_rows[] = {
    LH_STR(struct undo_args, name, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The dataset's name or id; of a dropped one too."),
    LH_BOOL(struct undo_args, dry_run, .doc = "Only tell what would be undone."),
    LH_STR(struct undo_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields undo_fields =
    LH_FIELDS_OF(struct undo_args, "DatasetsUndoArgs", undo_rows);

static const struct lh_field result_rows[] = {
    LH_STR(struct catalog_undo, dataset_id, .required = true, .doc = "The dataset's id."),
    LH_STR(struct catalog_undo, name, .required = true, .doc = "Its name afterwards."),
    LH_INT(struct catalog_undo, version, .required = true,
           .doc = "That the undo made; of a dry run the one that there is."),
    LH_INT(struct catalog_undo, undone_version, .required = true,
           .doc = "The one that was taken back. It stays readable as long as it is kept."),
    LH_INT(struct catalog_undo, restored_version, .required = true,
           .doc = "The one whose columns, data files and description are there again."),
    LH_STR_LIST(struct catalog_undo, actions, .required = true,
                .doc = "What was undone: \"append\", …; several when writers shared the version."),
    LH_INT(struct catalog_undo, row_count, .required = true,
           .doc = "Rows of its data files afterwards, hidden ones too."),
    LH_BOOL(struct catalog_undo, is_dry_run, .doc = "Nothing was changed."),
};
static const struct lh_fields result_fields =
    LH_FIELDS_OF(struct catalog_undo, "DatasetUndo", result_rows);

static enum lh_code run_undo(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct undo_args *args = raw;
    struct catalog_undo_options options = {
        .dataset = args->name,
        .is_dry_run = args->dry_run,
        .actor = call->principal->id,
        .reason = args->reason,
        .idempotency_key = op_idempotency_key(call),
        .request_hash = call->request_hash,
        .cancel = call->cancel,
    };
    struct catalog_undo undo;
    enum lh_code code = op_if_match(call, &options.expected_version, err);
    if (!code)
        code = catalog_undo(lake_catalog(call->lake), &options, call->arena, &undo, err);
    if (code)
        return code;
    op_reply_version(reply, call, undo.version);
    return op_reply_record(reply, &undo, err);
}

static const struct op_example undo_examples[] = {
    {"Take the last commit back", "{\"reason\": \"the wrong file\"}",
     "{\"dataset_id\": \"019a3c5e-7d20-7b6e-9a51-3f0c2b8d4e61\", \"name\": \"packages\", "
     "\"version\": 5, \"undone_version\": 4, \"restored_version\": 3, \"actions\": [\"append\"], "
     "\"row_count\": 64012, \"is_dry_run\": false}"},
    {"What would go?", "{\"dry_run\": true}", NULL},
};
const struct op op_datasets_undo = {
    .name = "datasets.undo",
    .summary = "Take the last commit of a dataset back.",
    .description =
        "The undo is a version of its own, with who and why; nothing is lost, and what was undone "
        "stays readable with `AT (VERSION => n)` as long as it is kept. A dropped dataset is there "
        "again, under the name it had. Expiries and compactions are passed over. 409 when there is "
        "nothing that can be undone: the last commit is itself an undo or a tombstone, it made the "
        "dataset, or what was before it has expired.",
    .http = {OP_POST, "/catalog/datasets/by-name/{name}/undo"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &undo_fields,
    .kind = OP_RECORD,
    .result = &result_fields,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_EXISTS, LH_RACE, LH_PRECONDITION, LH_DAMAGED,
                        LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(undo_examples),
    .run = run_undo,
};
