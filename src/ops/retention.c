#include "catalog/retention.h"

#include "base/log.h"
#include "lake/lake.h"
#include "ops/internal.h"

/* --- POST /catalog/expire */

struct expire_args {
    struct lh_str dataset;
    int64_t older_than_s;
    bool dry_run;
    struct lh_str reason;
};
#define AS_CONFIGURED (-1)
static const struct lh_field expire_rows[] = {
    LH_STR(struct expire_args, dataset, .positional = true, .min = 1, .max = 255,
           .doc = "Only this one, live or dropped; absent = all."),
    LH_INT(struct expire_args, older_than_s, LH_PRESET(AS_CONFIGURED), .min = AS_CONFIGURED,
           .max = (int64_t)3650 * 86400,
           .doc = "How long ago a version must have been replaced; -1 = as configured "
                  "(catalog.version_retention_s)."),
    LH_BOOL(struct expire_args, dry_run, .doc = "Only tell what would go."),
    LH_STR(struct expire_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields expire_fields =
    LH_FIELDS_OF(struct expire_args, "CatalogExpireArgs", expire_rows);

static const struct lh_field expiry_rows[] = {
    LH_STR(struct catalog_expiry, name, .required = true, .doc = "The dataset."),
    LH_STR(struct catalog_expiry, dataset_id, .required = true, .doc = "Its id."),
    LH_BOOL(struct catalog_expiry, is_dropped, .required = true,
            .doc = "It was dropped: all its files go."),
    LH_INT(struct catalog_expiry, retained_version, .required = true,
           .doc = "The oldest version that stays readable."),
    LH_INT(struct catalog_expiry, version_count, .required = true, .doc = "Versions that expire."),
    LH_INT(struct catalog_expiry, object_count, .required = true,
           .doc = "Data files that only they name."),
    LH_INT(struct catalog_expiry, byte_count, .required = true, .doc = "Bytes of those files."),
};
static const struct lh_fields expiry_fields =
    LH_FIELDS_OF(struct catalog_expiry, "CatalogExpiry", expiry_rows);

static enum lh_code run_expire(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct expire_args *args = raw;
    const struct settings *settings = lake_settings(call->lake);
    int64_t older_than_s = args->older_than_s == AS_CONFIGURED
                               ? settings->catalog.version_retention_s
                               : args->older_than_s;
    const struct catalog_expire_options options = {
        .dataset = args->dataset,
        .older_than_ms = older_than_s * 1000,
        .is_dry_run = args->dry_run,
        .actor = call->principal->id,
        .reason = args->reason,
        .cancel = call->cancel,
    };
    struct catalog_expiry *items = NULL;
    size_t count = 0;
    struct lh_error late = LH_ERROR_NONE;
    /* Manifests that are not written down yet are kept until the keeper comes again. */
    if (!args->dry_run && lake_sync_journal(call->lake, &late))
        lh_log_error(LH_LOG_WARN, "lake.journal", &late);
    enum lh_code code =
        catalog_expire(lake_catalog(call->lake), &options, call->arena, &items, &count, err);
    if (!code && !args->dry_run)
        catalog_seal_expired(lake_catalog(call->lake), lake_engine(call->lake), items, count,
                             call->cancel);
    return code ? code : op_reply_list(reply, items, count, (struct lh_str){0}, err);
}

static const struct op_example expire_examples[] = {
    {"What would go?", "{\"dry_run\": true}",
     "{\"items\": [{\"name\": \"packages\", \"dataset_id\": "
     "\"019a3c5e-7d20-7b6e-9a51-3f0c2b8d4e61\", \"is_dropped\": false, \"retained_version\": 5, "
     "\"version_count\": 4, \"object_count\": 3, \"byte_count\": 48210}], \"next\": null}"},
    {"Only the newest version stays", "{\"dataset\": \"packages\", \"older_than_s\": 0}", NULL},
};
const struct op op_catalog_expire = {
    .name = "catalog.expire",
    .summary = "Let old versions go, and the files that only they name.",
    .description =
        "The server does this by itself, once an hour, for versions that were replaced longer ago "
        "than catalog.version_retention_s. Expired versions cannot be read again. Their files go "
        "to the trash, from which they are removed an hour later; what a running statement reads "
        "stays until it ends. Datasets where nothing is gained are left alone. Tombstoned keys of "
        "which no version that is left has a row stay as keyed hashes only: they go on hiding rows "
        "that come, and can be lifted, but are listed no more.",
    .http = {OP_POST, "/catalog/expire"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &expire_fields,
    .kind = OP_LIST,
    .result = &expiry_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(expire_examples),
    .run = run_expire,
};
