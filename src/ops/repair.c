#include "catalog/repair.h"

#include "catalog/files.h"
#include "lake/lake.h"
#include "ops/internal.h"

struct repair_args {
    struct lh_str name;
    bool dry_run;
    struct lh_str reason;
};
static const struct lh_field repair_rows[] = {
    LH_STR(struct repair_args, name, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The dataset's name; case does not matter."),
    LH_BOOL(struct repair_args, dry_run, .doc = "Only look."),
    LH_STR(struct repair_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields quarantine_fields =
    LH_FIELDS_OF(struct repair_args, "DatasetsQuarantineArgs", repair_rows);
static const struct lh_fields resync_fields =
    LH_FIELDS_OF(struct repair_args, "DatasetsResyncArgs", repair_rows);

static struct catalog_repair_options options_of(struct op_call *call, struct lh_str name,
                                                bool is_dry_run, struct lh_str reason)
{
    return (struct catalog_repair_options){
        .dataset = name,
        .is_dry_run = is_dry_run,
        .actor = call->principal->id,
        .reason = reason,
        .cancel = call->cancel,
    };
}

/* --- POST …/{name}/quarantine */

struct quarantine_view {
    struct lh_str name;
    int64_t version;
    int64_t file_count;
    int64_t row_count;
    struct lh_list files;
    bool is_dry_run;
};
static const struct lh_field aside_rows[] = {
    LH_STR(struct catalog_repaired_file, key, .required = true, .doc = "The data file."),
    LH_INT(struct catalog_repaired_file, rows, .required = true, .doc = "Rows in it."),
    LH_STR(struct catalog_repaired_file, what, .required = true, .doc = "What is wrong with it."),
};
static const struct lh_fields aside_fields =
    LH_FIELDS_OF(struct catalog_repaired_file, "QuarantinedFile", aside_rows);
static const struct lh_field quarantine_rows[] = {
    LH_STR(struct quarantine_view, name, .required = true, .doc = "The dataset."),
    LH_INT(struct quarantine_view, version, .required = true,
           .doc = "That it has now; the one it had if nothing was damaged."),
    LH_INT(struct quarantine_view, file_count, .required = true, .doc = "Files that were read."),
    LH_INT(struct quarantine_view, row_count, .required = true,
           .doc = "Rows of its data files now, hidden ones too."),
    LH_LIST(struct quarantine_view, files, .fields = &aside_fields, .required = true,
            .doc = "Those that are damaged: set aside, unless this was a dry run."),
    LH_BOOL(struct quarantine_view, is_dry_run, .doc = "Nothing was changed."),
};
static const struct lh_fields quarantine_view_fields =
    LH_FIELDS_OF(struct quarantine_view, "DatasetQuarantine", quarantine_rows);

static enum lh_code run_quarantine(struct op_call *call, const void *raw, struct op_reply *reply,
                                   struct lh_error *err)
{
    const struct repair_args *args = raw;
    struct catalog_repair_options options =
        options_of(call, args->name, args->dry_run, args->reason);
    struct catalog_repair repair;
    enum lh_code code = op_if_match(call, &options.expected_version, err);
    if (!code)
        code = catalog_quarantine(lake_catalog(call->lake), &options, call->arena, &repair, err);
    if (code)
        return code;
    const struct quarantine_view view = {
        .name = repair.name,
        .version = repair.version,
        .file_count = repair.file_count,
        .row_count = repair.row_count,
        .files = {repair.files, repair.repaired_count},
        .is_dry_run = repair.is_dry_run,
    };
    op_reply_version(reply, call, view.version);
    return op_reply_record(reply, &view, err);
}

const struct op op_datasets_quarantine = {
    .name = "datasets.quarantine",
    .summary = "Set damaged data files of a dataset aside, so that the rest can be read.",
    .description =
        "Reads every data file. A statement over a damaged one fails and names it; after this it "
        "reads the dataset without the rows of those files, and the dataset, its versions, the "
        "journal and /health say so. The files stay where they are: when they are back from a "
        "backup, undoing this commit brings their rows back. 409 when every file is damaged.",
    .http = {OP_POST, "/catalog/datasets/by-name/{name}/quarantine"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &quarantine_fields,
    .kind = OP_RECORD,
    .result = &quarantine_view_fields,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN,
                        LH_FULL),
    .run = run_quarantine,
};

/* --- POST /catalog/datasets/{name}/resync, POST /catalog/resync-missing */

struct resync_view {
    struct lh_str name;
    int64_t version;
    int64_t file_count;
    int64_t row_count;
    struct lh_list files;
    bool is_dry_run;
};
static const struct lh_field counted_rows[] = {
    LH_STR(struct catalog_repaired_file, key, .required = true, .doc = "The data file."),
    LH_INT(struct catalog_repaired_file, rows, .required = true, .doc = "As the manifest said."),
    LH_INT(struct catalog_repaired_file, found_rows, .required = true,
           .doc = "As its footer says."),
};
static const struct lh_fields counted_fields =
    LH_FIELDS_OF(struct catalog_repaired_file, "ResyncedFile", counted_rows);
static const struct lh_field resync_rows[] = {
    LH_STR(struct resync_view, name, .required = true, .doc = "The dataset."),
    LH_INT(struct resync_view, version, .required = true,
           .doc = "That it has now; the one it had if every count was right."),
    LH_INT(struct resync_view, file_count, .required = true,
           .doc = "Files whose footers were read."),
    LH_INT(struct resync_view, row_count, .required = true,
           .doc = "Rows of its data files now, hidden ones too."),
    LH_LIST(struct resync_view, files, .fields = &counted_fields, .required = true,
            .doc = "Those whose count was wrong."),
    LH_BOOL(struct resync_view, is_dry_run, .doc = "Nothing was changed."),
};
static const struct lh_fields resync_view_fields =
    LH_FIELDS_OF(struct resync_view, "DatasetResync", resync_rows);

struct counting {
    struct op_call *call;
    const struct catalog_dataset *dataset;
};

static bool has_column(const struct engine_columns *columns, struct lh_str stored_name)
{
    for (size_t i = 0; i < columns->count; i++)
        if (lh_str_equal(columns->items[i].name, stored_name))
            return true;
    return false;
}

/* The columns that the manifest says the file has. */
static enum lh_code check_columns(const struct counting *counting,
                                  const struct catalog_object *object,
                                  const struct engine_columns *columns, struct lh_error *err)
{
    const struct catalog_dataset *dataset = counting->dataset;
    for (size_t i = 0; i < dataset->schema_count; i++) {
        const struct catalog_schema *schema = &dataset->schemas[i];
        if (!lh_str_equal(schema->fingerprint, object->schema))
            continue;
        for (size_t k = 0; k < schema->column_count; k++)
            if (!has_column(columns, schema->columns[k].stored_name))
                return lh_fail(err, LH_DAMAGED,
                               "The data file '%.*s' has no column '%.*s', which its manifest says "
                               "it has.",
                               LH_ARG(object->key), LH_ARG(schema->columns[k].stored_name));
    }
    return LH_OK;
}

static enum lh_code count_rows(void *context, const struct catalog_object *object,
                               int64_t *ret_rows, struct lh_error *err)
{
    const struct counting *counting = context;
    struct op_call *call = counting->call;
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_connection *connection = NULL;
    struct engine_columns columns;
    struct lh_str path;
    enum lh_code code =
        catalog_object_file(lake_catalog(call->lake), object, call->cancel, arena, &path, err);
    if (!code)
        code = engine_acquire(lake_engine(call->lake), (struct lh_str){0}, call->cancel,
                              &connection, err);
    if (!code)
        code = engine_parquet_schema(connection, path, arena, &columns, ret_rows, err);
    if (!code)
        code = check_columns(counting, object, &columns, err);
    engine_release(connection);
    lh_arena_free(arena);
    return code;
}

static enum lh_code resync(struct op_call *call, const struct catalog_repair_options *options,
                           struct resync_view *ret, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    struct counting counting = {.call = call};
    struct catalog_repair repair;
    struct catalog_repair_options own = *options;
    enum lh_code code = catalog_find(snapshot, options->dataset, &counting.dataset, err);
    own.count_rows = count_rows;
    own.context = &counting;
    if (!code)
        code = catalog_resync(lake_catalog(call->lake), &own, call->arena, &repair, err);
    catalog_snapshot_unref(snapshot);
    if (!code)
        *ret = (struct resync_view){
            .name = repair.name,
            .version = repair.version,
            .file_count = repair.file_count,
            .row_count = repair.row_count,
            .files = {repair.files, repair.repaired_count},
            .is_dry_run = repair.is_dry_run,
        };
    return code;
}

static enum lh_code run_resync(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct repair_args *args = raw;
    struct catalog_repair_options options =
        options_of(call, args->name, args->dry_run, args->reason);
    struct resync_view view;
    enum lh_code code = op_if_match(call, &options.expected_version, err);
    if (!code)
        code = resync(call, &options, &view, err);
    if (code)
        return code;
    op_reply_version(reply, call, view.version);
    return op_reply_record(reply, &view, err);
}

const struct op op_datasets_resync = {
    .name = "datasets.resync",
    .summary = "Compare a dataset's row counts with the footers of its data files.",
    .description = "Where they differ, what the footers say is committed. Each file's checksum and "
                   "columns are compared too; a file that is not what was written is 422.",
    .http = {OP_POST, "/catalog/datasets/{name}/resync"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &resync_fields,
    .kind = OP_RECORD,
    .result = &resync_view_fields,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_resync,
};

struct missing_args {
    bool dry_run;
    struct lh_str reason;
};
static const struct lh_field missing_rows[] = {
    LH_BOOL(struct missing_args, dry_run, .doc = "Only look."),
    LH_STR(struct missing_args, reason, .max = 1000, .doc = "Why; kept with the versions."),
};
static const struct lh_fields missing_fields =
    LH_FIELDS_OF(struct missing_args, "CatalogResyncMissingArgs", missing_rows);

struct missing_view {
    struct lh_str name;
    bool is_resynced;
    int64_t version;
    int64_t row_count;
    int64_t repaired_count;
    struct lh_str reason;
};
static const struct lh_field missing_view_rows[] = {
    LH_STR(struct missing_view, name, .required = true, .doc = "The dataset."),
    LH_BOOL(struct missing_view, is_resynced, .doc = "Its counts are right now; else `reason`."),
    LH_INT(struct missing_view, version, .required = true, .doc = "That it has now."),
    LH_INT(struct missing_view, row_count, .required = true, .doc = "Rows of its data files."),
    LH_INT(struct missing_view, repaired_count, .required = true,
           .doc = "Files whose count was wrong."),
    LH_STR(struct missing_view, reason, .doc = "Why its files could not be read."),
};
static const struct lh_fields missing_view_fields =
    LH_FIELDS_OF(struct missing_view, "CatalogResynced", missing_view_rows);

/* Of one dataset; false: all was right, there is nothing to tell. */
static bool resync_one(struct op_call *call, const struct missing_args *args,
                       const struct catalog_dataset *dataset, struct missing_view *ret)
{
    struct catalog_repair_options options =
        options_of(call, dataset->name, args->dry_run, args->reason);
    struct lh_error why = LH_ERROR_NONE;
    struct resync_view view = {0};
    enum lh_code code = resync(call, &options, &view, &why);
    *ret = (struct missing_view){
        .name = dataset->name,
        .is_resynced = !code,
        .version = code ? dataset->version : view.version,
        .row_count = code ? dataset->row_count : view.row_count,
        .repaired_count = (int64_t)view.files.count,
    };
    if (code)
        ret->reason = lh_arena_str(call->arena, lh_str_of(why.message));
    return code || view.files.count;
}

static void drop_snapshot(void *snapshot)
{
    catalog_snapshot_unref(snapshot);
}

static enum lh_code run_missing(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    lh_arena_defer(call->arena, drop_snapshot, snapshot);
    size_t total = catalog_snapshot_count(snapshot), count = 0;
    struct missing_view *items = lh_arena_array(call->arena, total + 1, sizeof(*items));
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < total && !code; i++) {
        count += resync_one(call, raw, catalog_snapshot_item(snapshot, i), &items[count]);
        code = lh_cancel_fail(call->cancel, "Comparing row counts", err);
    }
    return code ? code : op_reply_list(reply, items, count, (struct lh_str){0}, err);
}

const struct op op_catalog_resync_missing = {
    .name = "catalog.resync_missing",
    .summary = "Compare the row counts of all datasets with the footers of their data files.",
    .description = "The answer lists the datasets whose counts were wrong, and those whose files "
                   "cannot be read, with the reason; one does not keep the others from theirs.",
    .http = {OP_POST, "/catalog/resync-missing"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &missing_fields,
    .kind = OP_LIST,
    .result = &missing_view_fields,
    .errors = OP_ERRORS(LH_UNKNOWN, LH_FULL),
    .run = run_missing,
};
