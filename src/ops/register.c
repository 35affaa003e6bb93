/* POST /catalog/datasets: what is stored already becomes a dataset. */
#include "ingest/ingest.h"
#include "lake/lake.h"
#include "ops/internal.h"

struct register_args {
    struct lh_str name;
    struct lh_list objects;
    struct lh_str reason;
};
static const struct lh_field register_rows[] = {
    LH_STR(struct register_args, name, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "Of the new dataset: [A-Za-z_][A-Za-z0-9_]{0,62}."),
    LH_LIST(struct register_args, objects, .fields = &ingest_object_fields, .required = true,
            .min = 1, .max = INGEST_OBJECTS_MAX,
            .doc = "Parquet files, all with the same columns; their rows come in this order."),
    LH_STR(struct register_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields register_fields =
    LH_FIELDS_OF(struct register_args, "DatasetsRegisterArgs", register_rows);

static enum lh_code run_register(struct op_call *call, const void *raw, struct op_reply *reply,
                                 struct lh_error *err)
{
    const struct register_args *args = raw;
    const struct ingest_request request = {
        .dataset = args->name,
        .mode = INGEST_CREATE,
        .objects = args->objects,
        .actor = call->principal->id,
        .reason = args->reason,
        .bucket = call->bucket,
        .idempotency_key = op_idempotency_key(call),
        .request_hash = call->request_hash,
    };
    struct ingest_result result;
    enum lh_code code =
        ingest_file(lake_ingest(call->lake), &request, call->cancel, call->arena, &result, err);
    if (code && lh_str_equal(lh_str_of(err->field), lh_lit("dataset")))
        return lh_error_field(err, lh_lit("name")); /* what it is called here */
    if (code)
        return code;
    reply->location =
        lh_arena_printf(call->arena, "/catalog/datasets/by-name/%.*s", LH_ARG(result.dataset));
    op_reply_version(reply, call, result.version);
    return op_reply_record(reply, &result, err);
}

static const struct op_example register_examples[] = {
    {.summary = "Two files that were put before",
     .request = "{\"name\": \"readings\", \"objects\": [{\"bucket\": \"primary\", \"key\": "
                "\"raw/2026-01.parquet\"}, {\"bucket\": \"primary\", \"key\": "
                "\"raw/2026-02.parquet\"}]}"},
};
const struct op op_datasets_register = {
    .name = "datasets.register",
    .summary = "Make a dataset of Parquet objects that are stored already.",
    .description =
        "All of them in one commit, or nothing. Each is compared with its checksum, and its rows "
        "are copied: the objects stay as they are, and what becomes of them changes no dataset. "
        "The rows go where X-Lakehouse-Bucket says; without it to primary. An existing name is "
        "409; so are objects whose columns differ.",
    .http = {OP_POST, "/catalog/datasets"},
    .effect = OP_WRITE,
    .permission = "ingest",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &register_fields,
    .kind = OP_RECORD,
    .result = &ingest_result_fields,
    .status = 201,
    .takes_bucket = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_EXISTS, LH_SCHEMA, LH_RACE, LH_TOO_LARGE, LH_UNREADABLE,
                        LH_CONFLICT, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(register_examples),
    .run = run_register,
};
