#include "catalog/tombstones.h"

#include "lake/erasing.h"
#include "lake/lake.h"
#include "ops/internal.h"

#define PATH "/catalog/datasets/by-name/{name}/tombstone"
#define NAME_ROW(struct_type)                                                                      \
    LH_STR(struct_type, name, .required = true, .positional = true, .min = 1, .max = 255,          \
           .doc = "The dataset's name; case does not matter.")

/* --- POST and DELETE …/{name}/tombstone */

struct tombstone_args {
    struct lh_str name;
    struct lh_str row_key_column;
    struct lh_json_value row_key_values;
    struct lh_str actor;
    struct lh_str reason;
    bool another_key_column;
};
#define VALUES_ROW                                                                                 \
    LH_JSON(struct tombstone_args, row_key_values, .required = true,                               \
            .doc =                                                                                 \
                "The keys: a list of at most 100,000 texts, numbers or booleans, as the column "   \
                "has them.")
#define WHO_ROWS                                                                                   \
    LH_STR(struct tombstone_args, actor, .max = 255, .doc = "Who wants it; absent: the caller."),  \
        LH_STR(struct tombstone_args, reason, .max = 1000, .doc = "Why; kept with the tombstone.")
static const struct lh_field tombstone_rows[] = {
    NAME_ROW(struct tombstone_args),
    LH_STR(struct tombstone_args, row_key_column, .required = true, .min = 1, .max = 65536,
           .doc = "The column whose values name rows."),
    VALUES_ROW,
    WHO_ROWS,
    LH_BOOL(struct tombstone_args, another_key_column,
            .doc = "The tombstones that are there may name rows by another column."),
};
static const struct lh_fields tombstone_fields =
    LH_FIELDS_OF(struct tombstone_args, "DatasetsTombstoneArgs", tombstone_rows);
static const struct lh_field lift_rows[] = {
    NAME_ROW(struct tombstone_args),
    LH_STR(struct tombstone_args, row_key_column, .min = 1, .max = 65536,
           .doc = "The key column; absent: the one that the tombstones name, if it is one."),
    VALUES_ROW,
    WHO_ROWS,
};
static const struct lh_fields lift_fields =
    LH_FIELDS_OF(struct tombstone_args, "DatasetsLiftArgs", lift_rows);

struct failure_view {
    struct lh_json_value row_key_value;
    int code;
    struct lh_str message;
};
static const char *const failure_codes[] = {"no_match", "null", "wrong_type", "erased", NULL};
static const struct lh_field failure_rows[] = {
    LH_JSON(struct failure_view, row_key_value, .doc = "As it was given."),
    LH_CHOICE(struct failure_view, code, .choices = failure_codes, .required = true,
              .doc = "What is wrong with it."),
    LH_STR(struct failure_view, message, .required = true, .doc = "The same, as a sentence."),
};
static const struct lh_fields failure_fields =
    LH_FIELDS_OF(struct failure_view, "TombstoneFailure", failure_rows);

struct value_view {
    struct lh_json_value row_key_value;
    int outcome;
    int64_t rows;
};
static const char *const outcomes[] = {"done",       "already", "no_match", "null",
                                       "wrong_type", "erased",  NULL};
static const struct lh_field value_rows[] = {
    LH_JSON(struct value_view, row_key_value, .doc = "As it was given."),
    LH_CHOICE(struct value_view, outcome, .choices = outcomes, .required = true,
              .doc =
                  "done; already: it was so before, or the value was given twice; the others are "
                  "failures."),
    LH_INT(struct value_view, rows, .required = true, .doc = "Rows that changed by it."),
};
static const struct lh_fields value_fields =
    LH_FIELDS_OF(struct value_view, "TombstoneValue", value_rows);

struct tombstone_view {
    struct lh_str dataset;
    int64_t version;
    struct lh_str row_key_column;
    struct lh_str row_key_type;
    int64_t keys_tombstoned;
    int64_t rows_tombstoned;
    int64_t failed;
    struct lh_list failures;
    struct lh_list values;
};
static const struct lh_field tombstoned_rows[] = {
    LH_STR(struct tombstone_view, dataset, .required = true, .doc = "Its name."),
    LH_INT(struct tombstone_view, version, .required = true, .doc = "That it has now."),
    LH_STR(struct tombstone_view, row_key_column, .required = true, .doc = "The key column."),
    LH_STR(struct tombstone_view, row_key_type, .required = true, .doc = "Its type."),
    LH_INT(struct tombstone_view, keys_tombstoned, .required = true, .doc = "Keys, each once."),
    LH_INT(struct tombstone_view, rows_tombstoned, .required = true,
           .doc = "Rows that could be seen before and cannot now."),
    LH_INT(struct tombstone_view, failed, .required = true, .doc = "Values that failed."),
    LH_LIST(struct tombstone_view, failures, .fields = &failure_fields,
            .doc = "The values that failed, and why."),
    LH_LIST(struct tombstone_view, values, .fields = &value_fields,
            .doc = "What became of each value, in their order."),
};
static const struct lh_fields tombstoned_fields =
    LH_FIELDS_OF(struct tombstone_view, "DatasetsTombstoned", tombstoned_rows);

struct lift_view {
    struct lh_str dataset;
    int64_t version;
    struct lh_str row_key_column;
    int64_t keys_lifted;
    int64_t rows_restored;
    struct lh_str note;
    int64_t failed;
    struct lh_list failures;
    struct lh_list values;
};
static const struct lh_field lifted_rows[] = {
    LH_STR(struct lift_view, dataset, .required = true, .doc = "Its name."),
    LH_INT(struct lift_view, version, .required = true, .doc = "That it has now."),
    LH_STR(struct lift_view, row_key_column,
           .doc = "The key column; absent: nothing is tombstoned."),
    LH_INT(struct lift_view, keys_lifted, .required = true, .doc = "Keys, each once."),
    LH_INT(struct lift_view, rows_restored, .required = true, .doc = "Rows that are seen again."),
    LH_STR(struct lift_view, note,
           .doc = "Absent unless a key was lifted of which no row is there: where its rows may "
                  "still be read."),
    LH_INT(struct lift_view, failed, .required = true, .doc = "Values that failed."),
    LH_LIST(struct lift_view, failures, .fields = &failure_fields,
            .doc = "The values that failed, and why."),
    LH_LIST(struct lift_view, values, .fields = &value_fields,
            .doc = "What became of each value, in their order."),
};
static const struct lh_fields lifted_fields =
    LH_FIELDS_OF(struct lift_view, "DatasetsLifted", lifted_rows);

static struct failure_view failure_of(const struct catalog_tombstone_result *result,
                                      const struct catalog_key_result *value, bool is_lift,
                                      struct lh_arena *arena)
{
    struct failure_view failure = {.row_key_value.text = value->value};
    if (value->outcome == CATALOG_KEY_NULL) {
        failure.code = 1;
        failure.message = lh_lit("NULL names no row.");
    } else if (value->outcome == CATALOG_KEY_TYPE) {
        failure.code = 2;
        failure.message = lh_arena_printf(arena,
                                          "It is no value of the column '%.*s', which is "
                                          "%.*s.%s",
                                          LH_ARG(result->column), LH_ARG(result->type),
                                          lh_str_starts_with(result->type, lh_lit("TIMESTAMP"))
                                              ? " A time has no offset but Z: give it in UTC."
                                              : "");
    } else if (value->outcome == CATALOG_KEY_ERASED) {
        failure.code = 3;
        failure.message = lh_lit("Its rows were erased: they are gone, and nothing can be shown "
                                 "again. Rows of it that come stay hidden.");
    } else {
        failure.message = lh_arena_printf(arena,
                                          is_lift ? "'%.*s' has no tombstone of this key."
                                                  : "No row of '%.*s' has this key.",
                                          LH_ARG(result->name));
    }
    return failure;
}

static void view_values(const struct catalog_tombstone_result *result, bool is_lift,
                        struct lh_arena *arena, struct lh_list *ret_values,
                        struct lh_list *ret_failures)
{
    size_t failed = 0;
    struct value_view *values = lh_arena_array(arena, result->value_count + 1, sizeof *values);
    for (size_t i = 0; i < result->value_count; i++) {
        const struct catalog_key_result *value = &result->values[i];
        values[i] = (struct value_view){{.text = value->value}, (int)value->outcome, value->rows};
        failed += value->outcome > CATALOG_KEY_ALREADY;
    }
    struct failure_view *failures = lh_arena_array(arena, failed + 1, sizeof *failures);
    failed = 0;
    for (size_t i = 0; i < result->value_count; i++)
        if (result->values[i].outcome > CATALOG_KEY_ALREADY)
            failures[failed++] = failure_of(result, &result->values[i], is_lift, arena);
    *ret_values = (struct lh_list){values, result->value_count};
    *ret_failures = (struct lh_list){failures, failed};
}

static enum lh_code request_of(struct op_call *call, const struct tombstone_args *args,
                               struct catalog_tombstone_request *ret, struct lh_error *err)
{
    *ret = (struct catalog_tombstone_request){
        .name = args->name,
        .column = args->row_key_column,
        .values = args->row_key_values.value,
        .actor = args->actor.len ? args->actor : call->principal->id,
        .committer = call->principal->id,
        .reason = args->reason,
        .adds_column = args->another_key_column,
        .idempotency_key = op_idempotency_key(call),
        .request_hash = call->request_hash,
    };
    return op_if_match(call, &ret->expected_version, err);
}

static enum lh_code run_tombstone(struct op_call *call, const void *raw, struct op_reply *reply,
                                  struct lh_error *err)
{
    struct catalog_tombstone_request request;
    struct catalog_tombstone_result result;
    enum lh_code code = request_of(call, raw, &request, err);
    if (!code)
        code = catalog_tombstone(lake_catalog(call->lake), lake_engine(call->lake), &request,
                                 call->cancel, call->arena, &result, err);
    if (code)
        return code;
    struct tombstone_view view = {
        .dataset = result.name,
        .version = result.version,
        .row_key_column = result.column,
        .row_key_type = result.type,
        .keys_tombstoned = result.keys,
        .rows_tombstoned = result.rows,
    };
    view_values(&result, false, call->arena, &view.values, &view.failures);
    view.failed = (int64_t)view.failures.count;
    if (view.failed)
        op_reply_partial(reply);
    op_reply_version(reply, call, result.version);
    return op_reply_record(reply, &view, err);
}

static const struct op_example tombstone_examples[] = {
    {"One is there, one is not",
     "{\"row_key_column\": \"name\", \"row_key_values\": [\"gimp\", \"gmip\"], \"reason\": \"asked "
     "for by mail\"}",
     "{\"dataset\": \"packages\", \"version\": 4, \"row_key_column\": \"name\", \"row_key_type\": "
     "\"VARCHAR\", \"keys_tombstoned\": 1, \"rows_tombstoned\": 1, \"failed\": 1, \"failures\": "
     "[{\"row_key_value\": \"gmip\", \"code\": \"no_match\", \"message\": \"No row of 'packages' "
     "has this key.\"}], \"values\": [{\"row_key_value\": \"gimp\", \"outcome\": \"done\", "
     "\"rows\": 1}, {\"row_key_value\": \"gmip\", \"outcome\": \"no_match\", \"rows\": 0}]}"},
};
const struct op op_datasets_tombstone = {
    .name = "datasets.tombstone",
    .summary = "Delete rows by their keys.",
    .description =
        "The rows are gone from the next statement on: from SQL, views, searches, and from all "
        "earlier versions too. A tombstone names a key, not today's rows: rows of it that come "
        "later stay hidden, and the ingest says how many (suppressed_rows), until the tombstone is "
        "lifted. Keys are compared as values of the column's type. 207: some values failed, and "
        "made no tombstone; the others did. When no value is of the column's type, nothing is "
        "done: 400. A second key column is 409, unless another_key_column is set: each of up to 16 "
        "has keys of its own then, and a row is hidden as long as one of them names it. "
        "Administrators still read the rows as __raw__name.",
    .http = {OP_POST, PATH},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &tombstone_fields,
    .kind = OP_RECORD,
    .result = &tombstoned_fields,
    .may_be_partial = true,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN,
                        LH_FULL, LH_TOO_LARGE),
    OP_EXAMPLES(tombstone_examples),
    .run = run_tombstone,
};

/* Keys were lifted, and nothing came to light: a compaction may have left the rows out. Their
 * versions keep them as long as they are kept. */
static struct lh_str note_of(const struct catalog_tombstone_result *result, struct lh_arena *arena)
{
    int64_t empty = 0;
    for (size_t i = 0; i < result->value_count; i++)
        empty += result->values[i].outcome == CATALOG_KEY_DONE && !result->values[i].rows;
    if (!empty)
        return (struct lh_str){0};
    return lh_arena_printf(
        arena,
        "Of %lld lifted keys the newest version shows no row: a compaction or a replacement left "
        "it out, or a key of another column hides it. Earlier versions may have it as long as they "
        "are kept: GET /catalog/datasets/by-name/%.*s/versions lists them, SELECT * FROM %.*s AT "
        "(VERSION => n) reads one.",
        (long long)empty, LH_ARG(result->name), LH_ARG(result->name));
}

static enum lh_code run_lift(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    struct catalog_tombstone_request request;
    struct catalog_tombstone_result result;
    enum lh_code code = request_of(call, raw, &request, err);
    if (!code)
        code = lake_erase_check_lift(call->lake, request.name, err);
    if (!code)
        code = catalog_tombstone_lift(lake_catalog(call->lake), lake_engine(call->lake), &request,
                                      call->cancel, call->arena, &result, err);
    if (code)
        return code;
    struct lift_view view = {
        .dataset = result.name,
        .version = result.version,
        .row_key_column = result.column,
        .keys_lifted = result.keys,
        .rows_restored = result.rows,
        .note = note_of(&result, call->arena),
    };
    view_values(&result, true, call->arena, &view.values, &view.failures);
    view.failed = (int64_t)view.failures.count;
    if (view.failed)
        op_reply_partial(reply);
    op_reply_version(reply, call, result.version);
    return op_reply_record(reply, &view, err);
}

const struct op op_datasets_lift = {
    .name = "datasets.lift",
    .summary = "Lift tombstones: their rows are seen again.",
    .description = "As long as the rows are still there; rows that came while their key was "
                   "tombstoned are seen, too, but none that a key of another column hides. Where "
                   "tombstones name rows by several columns, row_key_column says which: else 400. "
                   "207: some values have no tombstone. 409: rows of the "
                   "dataset are being erased, or an erasure of them failed and waits to be gone on "
                   "with.",
    .http = {OP_DELETE, PATH},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &lift_fields,
    .kind = OP_RECORD,
    .result = &lifted_fields,
    .may_be_partial = true,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN,
                        LH_FULL, LH_TOO_LARGE),
    .run = run_lift,
};

/* --- GET …/{name}/tombstone */

struct list_args {
    struct lh_str name;
    struct lh_str row_key_column;
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    NAME_ROW(struct list_args),
    LH_STR(struct list_args, row_key_column, .min = 1, .max = 65536,
           .doc = "Only the keys of this column; absent: of all."),
    OP_LIST_LIMIT(struct list_args),
    LH_STR(struct list_args, after, .max = 3 * (int64_t)CATALOG_KEY_BYTES_MAX,
           .doc = "The `next` of the page before this one."),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "DatasetsTombstonesArgs", list_rows);

struct item_view {
    struct lh_str row_key_column;
    struct lh_str row_key_value;
    struct lh_time deleted_at;
    struct lh_str actor;
    struct lh_str reason;
};
static const struct lh_field item_rows[] = {
    LH_STR(struct item_view, row_key_column, .required = true, .doc = "The key column."),
    LH_STR(struct item_view, row_key_value, .required = true, .doc = "The key, as SQL writes it."),
    LH_TIME(struct item_view, deleted_at, .required = true, .doc = "When."),
    LH_STR(struct item_view, actor, .doc = "Who wanted it."),
    LH_STR(struct item_view, reason, .doc = "Why, if it was said."),
};
static const struct lh_fields item_fields = LH_FIELDS_OF(struct item_view, "Tombstone", item_rows);

static void drop_snapshot(void *snapshot)
{
    catalog_snapshot_unref(snapshot);
}

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    const struct catalog_dataset *dataset = NULL;
    struct catalog_tombstone_item *items = NULL;
    size_t count = 0, limit = (size_t)args->limit;
    struct lh_str next = {0};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    lh_arena_defer(call->arena, drop_snapshot, snapshot);
    enum lh_code code = catalog_find(snapshot, args->name, &dataset, err);
    if (!code)
        code = catalog_tombstone_list(lake_catalog(call->lake), dataset, args->row_key_column,
                                      args->after, limit + 1, call->arena, &items, &count, err);
    if (code)
        return code;
    if (count > limit) {
        count = limit;
        next = items[count - 1].place;
    }
    struct item_view *views = lh_arena_array(call->arena, count + 1, sizeof *views);
    for (size_t i = 0; i < count; i++)
        views[i] = (struct item_view){
            .row_key_column = items[i].column,
            .row_key_value = items[i].value,
            .deleted_at = {items[i].deleted_at_ms},
            .actor = items[i].actor,
            .reason = items[i].reason.len ? items[i].reason : (struct lh_str){0},
        };
    return op_reply_list(reply, views, count, next, err);
}

const struct op op_datasets_tombstones = {
    .name = "datasets.tombstones",
    .summary = "The tombstones of a dataset: which keys, since when, by whom and why.",
    .description =
        "In the order of the keys as texts, one key column after the other, by name. For those "
        "who may delete: the keys of "
        "deleted rows are nobody else's business.",
    .http = {OP_GET, PATH},
    .effect = OP_READ,
    .permission = "catalog.write",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &item_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_list,
};
