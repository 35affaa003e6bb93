#include "query/compact.h"

#include "lake/lake.h"
#include "ops/internal.h"

/* --- POST /query/compact */

struct compact_args {
    struct lh_str dataset;
    bool dry_run;
    bool automatic;
    bool wait;
    struct lh_str reason;
};
static const struct lh_field compact_rows[] = {
    LH_STR(struct compact_args, dataset, .positional = true, .min = 1, .max = 255,
           .doc = "Only this one; absent = all."),
    LH_BOOL(struct compact_args, dry_run, .doc = "Only tell what would be done."),
    LH_BOOL(struct compact_args, automatic,
            .doc =
                "As the server does it by itself: large files that would gain little stay alone, "
                "so that less is written."),
    LH_BOOL(struct compact_args, wait, LH_PRESET(true),
            .doc = "false: answer 202 with the id of a job."),
    LH_STR(struct compact_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields compact_fields =
    LH_FIELDS_OF(struct compact_args, "QueryCompactArgs", compact_rows);

struct compact_accepted {
    struct lh_str job_id;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct compact_accepted, job_id, .required = true,
           .doc = "To be followed at /jobs/{id}."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct compact_accepted, "QueryCompactAccepted", accepted_rows);

static enum lh_code run_compact(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct compact_args *args = raw;
    const struct query_compact_request request = {
        .dataset = args->dataset,
        .is_dry_run = args->dry_run,
        .is_automatic = args->automatic,
        .actor = call->principal->id,
        .reason = args->reason,
    };
    struct query_compactor *compactor = lake_compactor(call->lake);
    struct lh_uuid id;
    if (args->wait || args->dry_run) {
        struct query_compact_result result;
        enum lh_code code =
            query_compact(compactor, &request, call->cancel, call->arena, &result, err);
        return code ? code : op_reply_record(reply, &result, err);
    }
    enum lh_code code = query_compact_later(compactor, &request, &id, err);
    if (code)
        return code;
    const struct compact_accepted accepted = {lh_arena_str(call->arena, lh_uuid_str(&id))};
    op_reply_status(reply, 202);
    reply->location = lh_arena_printf(call->arena, "/jobs/%s", id.text);
    return op_reply_record(reply, &accepted, err);
}

static const struct op_example compact_examples[] = {
    {"One dataset", "{\"dataset\": \"calls\"}",
     "{\"job_id\": \"019a3c5e-7d20-7b6e-9a51-3f0c2b8d4e61\", \"dry_run\": false, "
     "\"tombstones_applied\": 0, \"rows_dropped_by_tombstones\": 0, \"rows_dropped_by_upserts\": "
     "0, \"final_rows\": 64000, "
     "\"files_before\": 64, \"files_after\": 1, \"bytes_before\": 5120000, \"bytes_after\": "
     "3900000, \"compacted\": 1, \"datasets\": [{\"dataset\": \"calls\", \"version\": 65, "
     "\"rows\": 64000, \"files_before\": 64, \"files_after\": 1, \"bytes_before\": 5120000, "
     "\"bytes_after\": 3900000, \"bytes_read\": 5120000, \"tombstones_applied\": 0, "
     "\"rows_dropped_by_tombstones\": 0, \"rows_dropped_by_upserts\": 0}], \"elapsed_ms\": 140}"},
    {"What would be done?", "{\"dry_run\": true}", NULL},
};
const struct op op_query_compact = {
    .name = "query.compact",
    .command = "compact",
    .summary = "Merge the small files of a dataset, or of all; no answer changes.",
    .description =
        "Each append is a file of its own. Neighbours are merged, in their order, up to "
        "compaction.file_bytes; what was written is compared with what was read before it is "
        "committed, and rows that are appended meanwhile stay. Deleted rows are left out of what "
        "is written; their keys go on hiding them in older versions, and when they come again. "
        "Older versions keep their files until they expire (POST /catalog/expire). The server does "
        "this by itself as [compaction] says. With all datasets, one that cannot be compacted is "
        "listed with its problem and does not keep the others from it.",
    .http = {OP_POST, "/query/compact"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &compact_fields,
    .kind = OP_RECORD,
    .result = &query_compact_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(compact_examples),
    .run = run_compact,
};
