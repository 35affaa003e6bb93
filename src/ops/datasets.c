#include "ops/internal.h"
#include "storage/storage.h"

#include "base/log.h"
#include "base/schedule.h"
#include "catalog/tombstones.h"
#include "lake/lake.h"
#include "ops/dataset_view.h"
#include "search/search.h"

static void drop_snapshot(void *snapshot)
{
    catalog_snapshot_unref(snapshot);
}

/* The present, held until the call's arena ends, for replies borrow from it. */
static struct catalog_snapshot *hold_snapshot(struct op_call *call)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    lh_arena_defer(call->arena, drop_snapshot, snapshot);
    return snapshot;
}

static enum lh_code count_hidden(struct op_call *call, const struct catalog_dataset *dataset,
                                 int64_t *ret, struct lh_error *err)
{
    struct catalog_hidden *hidden = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    enum lh_code code =
        catalog_hidden_open(lake_catalog(call->lake), snapshot, dataset, CATALOG_HIDE_ALL,
                            lake_engine(call->lake), call->cancel, &hidden, err);
    if (!code)
        *ret = catalog_hidden_rows(hidden);
    catalog_hidden_unref(hidden);
    catalog_snapshot_unref(snapshot);
    return code;
}

static enum lh_code reply_dataset(struct op_call *call, const struct catalog_dataset *dataset,
                                  struct op_reply *reply, struct lh_error *err)
{
    struct dataset_view view;
    int64_t hidden_rows = 0;
    enum lh_code code = count_hidden(call, dataset, &hidden_rows, err);
    if (code)
        return code;
    dataset_view_of(dataset, hidden_rows, call->arena, &view);
    op_reply_version(reply, call, dataset->version);
    return op_reply_record(reply, &view, err);
}

/* --- GET /catalog/datasets */

struct list_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "DatasetsListArgs", list_rows);

static bool lives_in(const struct catalog_dataset *dataset, struct lh_str bucket)
{
    bool lives = !dataset->object_count && lh_str_equal(bucket, STORAGE_PRIMARY);
    for (size_t i = 0; i < dataset->object_count && !lives; i++)
        lives = lh_str_equal(dataset->objects[i]->bucket, bucket);
    return lives;
}

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct catalog_snapshot *snapshot = hold_snapshot(call);
    size_t total = catalog_snapshot_count(snapshot);
    struct dataset_summary *items =
        lh_arena_array(call->arena, (size_t)args->limit, sizeof(*items));
    struct lh_str next = {0};
    size_t count = 0;
    for (size_t i = 0; i < total && !next.data; i++) {
        const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, i);
        if (args->after.len && lh_str_compare_nocase(dataset->name, args->after) <= 0)
            continue;
        if (call->bucket.len && !lives_in(dataset, call->bucket))
            continue;
        if (count == (size_t)args->limit) {
            next = items[count - 1].name;
            continue;
        }
        /* One whose tombstones are damaged is listed all the same; /health names it. */
        int64_t hidden_rows = 0;
        if (count_hidden(call, dataset, &hidden_rows, NULL) && call->cancel &&
            lh_cancel_fail(call->cancel, "The list", err))
            return err ? err->code : LH_CANCELLED;
        dataset_summary_of(dataset, hidden_rows, &items[count++]);
    }
    return op_reply_list(reply, items, count, next, err);
}

const struct op op_datasets_list = {
    .name = "datasets.list",
    .summary = "The datasets, by name.",
    .description = "With X-Lakehouse-Bucket only those that have data there.",
    .http = {OP_GET, "/catalog/datasets"},
    .effect = OP_READ,
    .permission = "catalog.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &dataset_summary_fields,
    .takes_bucket = true,
    .errors = OP_ERRORS(LH_NOT_FOUND),
    .run = run_list,
};

/* --- GET /catalog/datasets/by-name/{name} */

struct get_args {
    struct lh_str name;
};
#define NAME_ROW(struct_type)                                                                      \
    LH_STR(struct_type, name, .required = true, .positional = true, .min = 1, .max = 255,          \
           .doc = "The dataset's name; case does not matter.")
static const struct lh_field get_rows[] = {NAME_ROW(struct get_args)};
static const struct lh_fields get_fields =
    LH_FIELDS_OF(struct get_args, "DatasetsGetArgs", get_rows);

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct get_args *args = raw;
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = catalog_find(hold_snapshot(call), args->name, &dataset, err);
    return code ? code : reply_dataset(call, dataset, reply, err);
}

const struct op op_datasets_get = {
    .name = "datasets.get",
    .summary = "One dataset: columns, lineage, data files.",
    .description = "The ETag is the dataset's version.",
    .http = {OP_GET, "/catalog/datasets/by-name/{name}"},
    .effect = OP_READ,
    .permission = "catalog.read",
    .fields = &get_fields,
    .kind = OP_RECORD,
    .result = &dataset_view_fields,
    .takes_bucket = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_get,
};

/* --- GET …/{name}/versions */

struct versions_args {
    struct lh_str name;
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field versions_rows[] = {
    NAME_ROW(struct versions_args),
    OP_LIST_LIMIT(struct versions_args),
    OP_LIST_AFTER(struct versions_args),
};
static const struct lh_fields versions_fields =
    LH_FIELDS_OF(struct versions_args, "DatasetsVersionsArgs", versions_rows);

static enum lh_code run_versions(struct op_call *call, const void *raw, struct op_reply *reply,
                                 struct lh_error *err)
{
    const struct versions_args *args = raw;
    const struct catalog_dataset *dataset = NULL;
    struct catalog_version *versions = NULL;
    size_t count = 0;
    int64_t before = 0;
    if (args->after.len && (!lh_str_to_int(args->after, &before) || before < 1)) {
        lh_fail(err, LH_INVALID, "'%.*s' is not the `next` of a page.", LH_ARG(args->after));
        return lh_error_field(err, lh_lit("after"));
    }
    enum lh_code code = catalog_find(hold_snapshot(call), args->name, &dataset, err);
    if (code)
        return code;
    size_t limit = (size_t)args->limit;
    code = catalog_versions(lake_catalog(call->lake), dataset, before, limit + 1, call->arena,
                            &versions, &count, err);
    if (code)
        return code;
    struct lh_str next = {0};
    if (count > limit) {
        count = limit;
        next = lh_arena_printf(call->arena, "%lld", (long long)versions[count - 1].version);
    }
    struct version_view *items = lh_arena_array(call->arena, count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++)
        version_view_of(&versions[i], call->arena, &items[i]);
    /* Known already, if anybody reads it; and no reason to withhold the list if it cannot be. */
    if (count && versions[0].version == dataset->version)
        items[0].hidden_rows.is_set =
            !count_hidden(call, dataset, &items[0].hidden_rows.value, NULL);
    return op_reply_list(reply, items, count, next, err);
}

const struct op op_datasets_versions = {
    .name = "datasets.versions",
    .summary = "The versions of a dataset, newest first.",
    .description =
        "Each can be read with `FROM name AT (VERSION => n)` as long as it is kept. What "
        "tombstones hide now is hidden in all of them: how many rows of an older one are "
        "seen, `SELECT count(*)` tells.",
    .http = {OP_GET, "/catalog/datasets/by-name/{name}/versions"},
    .effect = OP_READ,
    .permission = "catalog.read",
    .fields = &versions_fields,
    .kind = OP_LIST,
    .result = &version_view_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_versions,
};

/* --- POST …/{name}/rename */

static enum lh_code reply_committed(struct op_call *call,
                                    const struct catalog_commit_result *result,
                                    struct op_reply *reply, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    if (reply->op->kind == OP_RESULT_NONE)
        return LH_OK;
    enum lh_code code = catalog_find_id(hold_snapshot(call), result->dataset_id, &dataset, err);
    return code ? code : reply_dataset(call, dataset, reply, err);
}

/* A repetition is answered before anything is looked up: after a rename or a drop the name leads
 * nowhere, or to another dataset. */
static enum lh_code answer_repetition(struct op_call *call, bool *ret_done, struct op_reply *reply,
                                      struct lh_error *err)
{
    struct catalog_commit_result result;
    struct lh_str key = op_idempotency_key(call);
    *ret_done = false;
    enum lh_code code =
        key.len ? catalog_fulfilled(lake_catalog(call->lake), (struct lh_str){0}, key,
                                    call->request_hash, call->arena, ret_done, &result, err)
                : LH_OK;
    return !code && *ret_done ? reply_committed(call, &result, reply, err) : code;
}

static enum lh_code commit(struct op_call *call, struct lh_str name, struct catalog_change *change,
                           struct op_reply *reply, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_commit_result result;
    enum lh_code code = LH_OK;
    if (!change->dataset_id.len) {
        code = catalog_find(hold_snapshot(call), name, &dataset, err);
        if (code)
            return code;
        change->dataset_id = dataset->id;
    }
    int64_t wanted = 0;
    if ((code = op_if_match(call, &wanted, err)))
        return code;
    if (wanted)
        change->expected_version = wanted;
    change->actor = call->principal->id;
    change->idempotency_key = op_idempotency_key(call);
    change->request_hash = call->request_hash;
    code = catalog_commit(lake_catalog(call->lake), change, call->arena, &result, err);
    return code ? code : reply_committed(call, &result, reply, err);
}

struct rename_args {
    struct lh_str name;
    struct lh_str to;
};
static const struct lh_field rename_rows[] = {
    NAME_ROW(struct rename_args),
    LH_STR(struct rename_args, to, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The new name; nothing is copied or moved."),
};
static const struct lh_fields rename_fields =
    LH_FIELDS_OF(struct rename_args, "DatasetsRenameArgs", rename_rows);

static enum lh_code run_rename(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct rename_args *args = raw;
    struct catalog_change change = {.action = CATALOG_RENAME, .name = args->to};
    bool is_done = false;
    enum lh_code code = answer_repetition(call, &is_done, reply, err);
    if (code || is_done)
        return code;
    if (catalog_check_new_name(args->to, err))
        return lh_error_field(err, lh_lit("to"));
    return commit(call, args->name, &change, reply, err);
}

const struct op op_datasets_rename = {
    .name = "datasets.rename",
    .summary = "Give a dataset another name.",
    .http = {OP_POST, "/catalog/datasets/by-name/{name}/rename"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .body = OP_BODY_JSON,
    .fields = &rename_fields,
    .kind = OP_RECORD,
    .result = &dataset_view_fields,
    .takes_bucket = true,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_EXISTS, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN,
                        LH_FULL),
    .run = run_rename,
};

/* --- DELETE /catalog/datasets/by-name/{name} */

struct delete_args {
    struct lh_str name;
    bool cascade;
    struct lh_str reason;
};
static const struct lh_field delete_rows[] = {
    NAME_ROW(struct delete_args),
    LH_BOOL(struct delete_args, cascade, .doc = "Also what depends on it: views, indexes."),
    LH_STR(struct delete_args, reason, .max = 1000, .doc = "Why; kept with the version."),
};
static const struct lh_fields delete_fields =
    LH_FIELDS_OF(struct delete_args, "DatasetsDeleteArgs", delete_rows);

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct delete_args *args = raw;
    struct catalog_change change = {
        .action = CATALOG_DROP,
        .cascade = args->cascade,
        .reason = args->reason,
    };
    struct lh_str_list indexes = {0};
    const struct catalog_dataset *dataset = NULL;
    bool is_done = false;
    enum lh_code code = answer_repetition(call, &is_done, reply, err);
    if (code || is_done)
        return code;
    if (args->cascade && !catalog_find(hold_snapshot(call), args->name, &dataset, NULL))
        search_dependents(lake_search(call->lake), dataset->id, call->arena, &indexes);
    code = commit(call, args->name, &change, reply, err);
    /* The dataset is gone: an index of it that cannot be removed now answers nothing, and says so.
     */
    struct lh_error late = LH_ERROR_NONE;
    for (size_t i = 0; i < indexes.count && !code; i++)
        if (search_drop(lake_search(call->lake), indexes.items[i], 0, &late))
            lh_log_error(LH_LOG_WARN, "datasets.delete", &late);
    return code;
}

const struct op op_datasets_delete = {
    .name = "datasets.delete",
    .summary = "Drop a dataset.",
    .description = "Its name is free at once; its data files go when no kept version needs them.",
    .http = {OP_DELETE, "/catalog/datasets/by-name/{name}"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .fields = &delete_fields,
    .kind = OP_RESULT_NONE,
    .takes_bucket = true,
    .takes_if_match = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN,
                        LH_FULL),
    .run = run_delete,
};

/* --- PATCH …/{name}/metadata */

struct column_patch {
    struct lh_str name;
    int sensitivity;
    struct lh_json_value is_pii;
    struct lh_str pii_kind;
    struct lh_str description;
};
static const struct lh_field column_patch_rows[] = {
    LH_STR(struct column_patch, name, .required = true, .min = 1, .max = 255, .doc = "Which."),
    LH_CHOICE(struct column_patch, sensitivity, .choices = catalog_sensitivity_names,
              .doc = "How carefully its values must be handled."),
    LH_JSON(struct column_patch, is_pii, .doc = "true or false: whether it holds personal data."),
    LH_STR(struct column_patch, pii_kind, .max = 64, .doc = "Which: email, phone, …"),
    LH_STR(struct column_patch, description, .max = 4000, .doc = "In words."),
};
static const struct lh_fields column_patch_fields =
    LH_FIELDS_OF(struct column_patch, "ColumnPatch", column_patch_rows);

struct freshness_patch {
    int64_t max_age_s;
};
static const struct lh_field freshness_patch_rows[] = {
    LH_INT(struct freshness_patch, max_age_s, .required = true, .min = 0,
           .max = (int64_t)36500 * 86400, .doc = "Older data is overdue; 0 = never."),
};
static const struct lh_fields freshness_patch_fields =
    LH_FIELDS_OF(struct freshness_patch, "FreshnessPatch", freshness_patch_rows);

struct refresh_patch {
    int kind;
    struct lh_str schedule;
};
static const struct lh_field refresh_patch_rows[] = {
    LH_CHOICE(struct refresh_patch, kind, .choices = catalog_refresh_kind_names, .required = true,
              .doc = "When embeddings follow the data."),
    LH_STR(struct refresh_patch, schedule, .max = 64,
           .doc = "Of scheduled: a cron pattern in UTC (\"30 3 * * *\") or an interval (\"every "
                  "15m\")."),
};
static const struct lh_fields refresh_patch_fields =
    LH_FIELDS_OF(struct refresh_patch, "RefreshPolicyPatch", refresh_patch_rows);

struct update_args {
    struct lh_str name;
    struct lh_str description;
    struct lh_str owner;
    int sensitivity;
    struct lh_str_list tags;
    struct lh_list columns;
    const struct freshness_patch *freshness;
    const struct refresh_patch *embedding_refresh_policy;
};
static const struct lh_field update_rows[] = {
    NAME_ROW(struct update_args),
    LH_STR(struct update_args, description, .max = 10000, .doc = "In words."),
    LH_STR(struct update_args, owner, .max = 255, .doc = "Who answers for it."),
    LH_CHOICE(struct update_args, sensitivity, .choices = catalog_sensitivity_names,
              .doc = "How carefully it must be handled."),
    LH_STR_LIST(struct update_args, tags, .max = 100, .doc = "Words to find it by."),
    LH_LIST(struct update_args, columns, .fields = &column_patch_fields, .max = 4096,
            .doc = "Columns to describe; those that are not listed stay as they are."),
    LH_OBJECT(struct update_args, freshness, const struct freshness_patch *,
              .fields = &freshness_patch_fields, .doc = "How old it may become."),
    LH_OBJECT(struct update_args, embedding_refresh_policy, const struct refresh_patch *,
              .fields = &refresh_patch_fields, .doc = "When embeddings follow the data."),
};
static const struct lh_fields update_fields =
    LH_FIELDS_OF(struct update_args, "DatasetsUpdateArgs", update_rows);

static enum lh_code patch_columns(struct op_call *call, const struct catalog_dataset *dataset,
                                  const struct lh_list *patches, struct catalog_change *change,
                                  struct lh_error *err)
{
    const struct column_patch *patch = patches->items;
    struct catalog_column *columns =
        lh_arena_array(call->arena, dataset->column_count + 1, sizeof(*columns));
    memcpy(columns, dataset->columns, dataset->column_count * sizeof(*columns));
    for (size_t i = 0; i < patches->count; i++, patch++) {
        const struct catalog_column *found = catalog_dataset_column(dataset, patch->name);
        if (!found) {
            lh_fail(err, LH_INVALID, "'%.*s' has no column '%.*s'.", LH_ARG(dataset->name),
                    LH_ARG(patch->name));
            return lh_error_field(err, lh_lit("columns"));
        }
        struct catalog_column *column = &columns[found - dataset->columns];
        if (patch->sensitivity >= 0)
            column->sensitivity = (enum catalog_sensitivity)patch->sensitivity;
        if (patch->is_pii.value && !json_is_boolean(patch->is_pii.value)) {
            lh_fail(err, LH_INVALID, "`is_pii` of column '%.*s' is neither true nor false.",
                    LH_ARG(patch->name));
            return lh_error_field(err, lh_lit("columns"));
        }
        if (patch->is_pii.value)
            column->is_pii = json_is_true(patch->is_pii.value);
        if (patch->pii_kind.data)
            column->pii_kind = patch->pii_kind;
        if (patch->description.data)
            column->description = patch->description;
    }
    change->set_bits |= CATALOG_SET_COLUMNS;
    change->set.columns = columns;
    change->set.column_count = dataset->column_count;
    return LH_OK;
}

static void patch_dataset(const struct update_args *args, struct catalog_change *change)
{
    if (args->description.data)
        change->set_bits |= CATALOG_SET_DESCRIPTION;
    if (args->owner.data)
        change->set_bits |= CATALOG_SET_OWNER;
    if (args->sensitivity >= 0)
        change->set_bits |= CATALOG_SET_SENSITIVITY;
    if (args->tags.items)
        change->set_bits |= CATALOG_SET_TAGS;
    change->set.description = args->description;
    change->set.owner = args->owner;
    change->set.sensitivity =
        (enum catalog_sensitivity)(args->sensitivity >= 0 ? args->sensitivity : 0);
    change->set.tags = args->tags;
    if (args->freshness) {
        change->set_bits |= CATALOG_SET_FRESHNESS;
        change->set.freshness_max_age_s = args->freshness->max_age_s;
    }
    if (args->embedding_refresh_policy) {
        change->set_bits |= CATALOG_SET_REFRESH;
        change->set.refresh.kind = (enum catalog_refresh_kind)args->embedding_refresh_policy->kind;
        change->set.refresh.schedule = args->embedding_refresh_policy->schedule;
    }
}

static enum lh_code check_refresh(const struct refresh_patch *patch, struct lh_error *err)
{
    struct lh_schedule schedule;
    enum lh_code code = LH_OK;
    bool is_scheduled = patch && patch->kind == CATALOG_REFRESH_SCHEDULED;
    if (patch && is_scheduled != (patch->schedule.len > 0))
        code = lh_fail(err, LH_INVALID,
                       is_scheduled ? "A scheduled refresh needs a `schedule`."
                                    : "Only a scheduled refresh has a `schedule`.");
    else if (is_scheduled)
        code = lh_schedule_parse(patch->schedule, &schedule, err);
    return code ? lh_error_field(err, lh_lit("embedding_refresh_policy")) : LH_OK;
}

/* One try: reads the dataset, changes what was read, commits. */
static enum lh_code update_once(struct op_call *call, const struct update_args *args,
                                struct op_reply *reply, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_change change = {.action = CATALOG_UPDATE};
    enum lh_code code = catalog_find(hold_snapshot(call), args->name, &dataset, err);
    if (code)
        return code;
    if ((code = check_refresh(args->embedding_refresh_policy, err)))
        return code;
    change.dataset_id = dataset->id;
    patch_dataset(args, &change);
    if (args->columns.count) {
        /* All columns are written: what another writer did to them meanwhile must not be undone. */
        change.expected_version = dataset->version;
        code = patch_columns(call, dataset, &args->columns, &change, err);
    }
    if (code)
        return code;
    if (!change.set_bits) {
        lh_fail(err, LH_INVALID, "There is nothing to change.");
        return lh_error_hint(err, "Give description, owner, sensitivity, tags, columns, freshness "
                                  "or embedding_refresh_policy.");
    }
    return commit(call, args->name, &change, reply, err);
}

#define UPDATE_TRIES 8

static enum lh_code run_update(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    bool is_done = false;
    enum lh_code code = answer_repetition(call, &is_done, reply, err);
    if (code || is_done)
        return code;
    code = LH_PRECONDITION;
    for (int i = 0; i < UPDATE_TRIES && code == LH_PRECONDITION; i++) {
        code = update_once(call, raw, reply, err);
        if (call->if_match.data)
            return code; /* the caller named a version: no other one will do */
    }
    if (code == LH_PRECONDITION)
        return lh_fail(err, LH_RACE, "Others kept changing the dataset; nothing was changed.");
    return code;
}

static const struct op_example update_examples[] = {
    {.summary = "Describe a dataset",
     .request = "{\"description\": \"Every package of the index.\", \"tags\": [\"index\"], "
                "\"sensitivity\": \"public\"}"},
};

const struct op op_datasets_update = {
    .name = "datasets.update",
    .summary = "Change what is said about a dataset and its columns.",
    .description = "Members that are not given stay as they are; an empty text clears.",
    .http = {OP_PATCH, "/catalog/datasets/by-name/{name}/metadata"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .body = OP_BODY_JSON,
    .fields = &update_fields,
    .kind = OP_RECORD,
    .result = &dataset_view_fields,
    .takes_bucket = true,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(update_examples),
    .run = run_update,
};
