/* Buckets: where data and objects are, beside the data folder. */
#include "storage/buckets.h"

#include "base/clock.h"
#include "base/json.h"
#include "catalog/retention.h"
#include "lake/changes.h"
#include "lake/lake.h"
#include "ops/internal.h"
#include "search/place.h"
#include "storage/objects.h"
#include "storage/storage.h"

struct bucket_view {
    struct lh_str name;
    struct lh_str backend;
    struct lh_str origin;
    bool rescue;
    bool available;
    struct lh_str problem;
    struct lh_str root;
    struct lh_str endpoint;
    struct lh_str region;
    struct lh_str bucket;
    struct lh_str prefix;
    struct lh_str secret;
};
static const struct lh_field view_rows[] = {
    LH_STR(struct bucket_view, name, .required = true, .doc = "Of the bucket."),
    LH_STR(struct bucket_view, backend, .required = true, .doc = "local or s3."),
    LH_STR(struct bucket_view, origin, .required = true,
           .doc = "builtin (primary), configuration, or registered at run time."),
    LH_BOOL(struct bucket_view, rescue, .doc = "Reads that fail elsewhere are tried here."),
    LH_BOOL(struct bucket_view, available, .doc = "It was, when it was last asked."),
    LH_STR(struct bucket_view, problem, .doc = "Why it was not."),
    LH_STR(struct bucket_view, root, .doc = "The folder, for those who may manage buckets."),
    LH_STR(struct bucket_view, endpoint, .doc = "The store, likewise, as all that follows."),
    LH_STR(struct bucket_view, region, .doc = "That requests are signed for."),
    LH_STR(struct bucket_view, bucket, .doc = "As the store calls it."),
    LH_STR(struct bucket_view, prefix, .doc = "Of all keys there."),
    LH_STR(struct bucket_view, secret, .doc = "The section of the secrets file; never a secret."),
};
static const struct lh_fields view_fields = LH_FIELDS_OF(struct bucket_view, "Bucket", view_rows);

static void view_of(const struct op_call *call, const struct storage_bucket_info *info,
                    struct bucket_view *ret)
{
    bool is_primary = lh_str_equal(info->options.name, STORAGE_PRIMARY);
    *ret = (struct bucket_view){
        .name = info->options.name,
        .backend = info->is_remote ? lh_lit("s3") : lh_lit("local"),
        .origin = is_primary            ? lh_lit("builtin")
                  : info->is_configured ? lh_lit("configuration")
                                        : lh_lit("registered"),
        .rescue = info->is_rescue,
        .available = !info->problem.data,
        .problem = info->problem,
    };
    if (access_check(call->principal, "storage.manage", NULL))
        return;
    const struct storage_bucket_options *options = &info->options;
    ret->root = options->root.len ? options->root : (struct lh_str){0};
    ret->endpoint = options->endpoint.len ? options->endpoint : (struct lh_str){0};
    ret->region = options->region.len ? options->region : (struct lh_str){0};
    ret->bucket = options->bucket.len ? options->bucket : (struct lh_str){0};
    ret->prefix = options->prefix.len ? options->prefix : (struct lh_str){0};
    ret->secret = options->secret.len ? options->secret : (struct lh_str){0};
}

/* --- GET /storage/buckets */

struct list_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "BucketsListArgs", list_rows);

/* Primary is the first, the others follow by name. */
static bool is_after(struct lh_str name, struct lh_str after)
{
    if (!after.len || lh_str_equal(name, STORAGE_PRIMARY))
        return !after.len;
    return lh_str_equal(after, STORAGE_PRIMARY) || lh_str_compare(name, after) > 0;
}

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct storage_bucket_info *infos = NULL;
    size_t total = 0, count = 0;
    struct lh_str next = {0};
    storage_bucket_list(lake_storage(call->lake), call->arena, &infos, &total);
    struct bucket_view *items = lh_arena_array(call->arena, total + 1, sizeof *items);
    for (size_t i = 0; i < total && !next.data; i++) {
        if (!is_after(infos[i].options.name, args->after))
            continue;
        if (count == (size_t)args->limit)
            next = items[count - 1].name;
        else
            view_of(call, &infos[i], &items[count++]);
    }
    return op_reply_list(reply, items, count, next, err);
}

const struct op op_buckets_list = {
    .name = "buckets.list",
    .summary = "The buckets: primary, then the others by name.",
    .description = "As they were last seen; GET /storage/bucket-health asks them now.",
    .http = {OP_GET, "/storage/buckets"},
    .effect = OP_READ,
    .permission = "storage.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &view_fields,
    .run = run_list,
};

/* --- POST /storage/buckets */

/* Where it is, but nothing of who may read there. */
static struct journal_event event_of(struct op_call *call, const char *action, struct lh_str bucket,
                                     const struct storage_bucket_options *options)
{
    struct journal_event event = op_event(call, action, bucket);
    struct lh_buf buf;
    struct lh_json json;
    if (!options)
        return event;
    lh_buf_init(&buf, 16384);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_cstr(&json, "backend", options->backend == STORAGE_S3 ? "s3" : "local");
    if (options->root.len)
        lh_json_put_str(&json, "root", options->root);
    if (options->endpoint.len)
        lh_json_put_str(&json, "endpoint", options->endpoint);
    if (options->bucket.len)
        lh_json_put_str(&json, "bucket", options->bucket);
    if (options->prefix.len)
        lh_json_put_str(&json, "prefix", options->prefix);
    lh_json_object_end(&json);
    event.detail = lh_arena_str(call->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return event;
}

/* A name that is taken is told before anything is announced. */
static enum lh_code add_bucket(struct op_call *call, const struct storage_bucket_options *options,
                               struct lh_error *err)
{
    const struct journal_event event = event_of(call, "bucket.create", options->name, options);
    struct lake_change change = {0};
    enum lh_code code = LH_OK;
    if (!storage_has_bucket(lake_storage(call->lake), options->name))
        code = lake_change_begin(call->lake, &event, false, &change, err);
    if (code)
        return code;
    code = storage_bucket_add(lake_storage(call->lake), options, err);
    lake_change_end(call->lake, &change, code, &event);
    return code;
}

static enum lh_code run_create(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct storage_bucket_options *options = raw;
    const struct storage_bucket_info info = {.options = *options,
                                             .is_remote = options->backend == STORAGE_S3};
    struct bucket_view view;
    enum lh_code code = add_bucket(call, options, err);
    if (code)
        return code;
    view_of(call, &info, &view);
    reply->location = lh_lit("/storage/buckets");
    return op_reply_record(reply, &view, err);
}

const struct op op_buckets_create = {
    .name = "buckets.create",
    .summary = "Add a bucket: a folder of this machine, or one of an S3 store.",
    .description =
        "A folder is made if it is not there; an S3 bucket must exist, and its keys stand in the "
        "secrets file under the id `secret`. It is asked, and takes a trial object, before it is "
        "added; from then on it is known after a restart too.",
    .http = {OP_POST, "/storage/buckets"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &storage_bucket_fields,
    .kind = OP_RECORD,
    .result = &view_fields,
    .status = 201,
    .errors = OP_ERRORS(LH_EXISTS, LH_CONFLICT, LH_TOO_LARGE, LH_IO, LH_FULL, LH_UNKNOWN),
    .run = run_create,
};

/* --- DELETE /storage/buckets/{bucket} */

struct delete_args {
    struct lh_str bucket;
};
static const struct lh_field delete_rows[] = {
    LH_STR(struct delete_args, bucket, .required = true, .positional = true, .min = 1, .max = 63,
           .doc = "The bucket."),
};
static const struct lh_fields delete_fields =
    LH_FIELDS_OF(struct delete_args, "BucketsDeleteArgs", delete_rows);

#define NAMES_SHOWN 5

static enum lh_code check_objects(struct lake *lake, struct lh_str bucket, struct lh_arena *arena,
                                  struct lh_error *err)
{
    struct object_info *items = NULL;
    size_t count = 0;
    bool has_more = false;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = objects_list(lake_objects(lake), bucket, (struct lh_str){0},
                                     (struct lh_str){0}, 1, arena, &items, &count, &has_more, &own);
    if (code == LH_IO) /* it is away: what lies there stays there, and can be added again */
        return LH_OK;
    if (code && err)
        *err = own;
    if (code || !count)
        return code;
    lh_fail(err, LH_CONFLICT, "The object '%.*s'%s is in the bucket '%.*s'.", LH_ARG(items[0].key),
            has_more ? " and others" : "", LH_ARG(bucket));
    return lh_error_hint(err, "Delete them first.");
}

static enum lh_code check_indexes(struct lake *lake, struct lh_str bucket, struct lh_arena *arena,
                                  struct lh_error *err)
{
    struct lh_str_list names = {0};
    search_list_in_bucket(lake_search(lake), bucket, arena, &names);
    if (!names.count)
        return LH_OK;
    lh_fail(err, LH_CONFLICT, "The index '%.*s'%s is in the bucket '%.*s'.", LH_ARG(names.items[0]),
            names.count > 1 ? " and others" : "", LH_ARG(bucket));
    return lh_error_hint(err,
                         "Move it (PATCH /vectors/indexes/{name} with `bucket`) or remove it.");
}

/* Old versions count: they can be read as long as they are kept. */
static enum lh_code check_empty(void *context, struct lh_str bucket, struct lh_error *err)
{
    struct lake *lake = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = NULL;
    size_t count = 0;
    struct lh_buf list;
    lh_buf_init(&list, LH_ERROR_MESSAGE_BYTES);
    enum lh_code code = LH_OK;
    catalog_bucket_users(lake_catalog(lake), bucket, arena, &names, &count);
    for (size_t i = 0; i < count && i < NAMES_SHOWN; i++)
        lh_buf_printf(&list, "%s'%.*s'", i ? ", " : "", LH_ARG(names[i]));
    if (count) {
        code = lh_fail(err, LH_CONFLICT, "The bucket '%.*s' has data of %zu dataset%s: %.*s%s.",
                       LH_ARG(bucket), count, count == 1 ? "" : "s", LH_ARG(lh_buf_str(&list)),
                       count > NAMES_SHOWN ? ", …" : "");
        lh_error_hint(err,
                      "Move them to another bucket: POST /catalog/migrate-buckets, or "
                      "/catalog/datasets/by-name/{name}/move for one. Or drop or replace them, "
                      "and let their old versions expire: POST /catalog/expire.");
    }
    if (!code)
        code = check_indexes(lake, bucket, arena, err);
    if (!code)
        code = check_objects(lake, bucket, arena, err);
    lh_buf_release(&list);
    lh_arena_free(arena);
    return code;
}

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct delete_args *args = raw;
    const struct journal_event event = event_of(call, "bucket.delete", args->bucket, NULL);
    struct storage *storage = lake_storage(call->lake);
    struct lake_change change = {0};
    (void)reply;
    enum lh_code code = storage_bucket_check(storage, args->bucket, err);
    if (!code)
        code = lake_change_begin(call->lake, &event, true, &change, err);
    if (code)
        return code;
    code = storage_bucket_remove(storage, args->bucket, check_empty, call->lake, err);
    lake_change_end(call->lake, &change, code, &event);
    return code;
}

const struct op op_buckets_delete = {
    .name = "buckets.delete",
    .summary = "Forget a bucket; its bytes stay where they are.",
    .description =
        "409 while a version of a dataset has data there, an index, or an object of people.",
    .http = {OP_DELETE, "/storage/buckets/{bucket}"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .lane = LH_LANE_SLOW,
    .fields = &delete_fields,
    .kind = OP_RESULT_NONE,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_FULL, LH_UNKNOWN),
    .run = run_delete,
};

/* --- POST /storage/buckets/{bucket}/adopt */

static enum lh_code run_adopt(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    const struct delete_args *args = raw;
    const struct journal_event event = event_of(call, "bucket.adopt", args->bucket, NULL);
    struct storage *storage = lake_storage(call->lake);
    struct lake_change change = {0};
    (void)reply;
    enum lh_code code = LH_OK;
    if (storage_bucket_is_inherited(storage, args->bucket))
        code = lake_change_begin(call->lake, &event, false, &change, err);
    if (code)
        return code;
    code = storage_bucket_adopt(storage, args->bucket, err);
    lake_change_end(call->lake, &change, code, &event);
    return code;
}

const struct op op_buckets_adopt = {
    .name = "buckets.adopt",
    .summary = "Make a bucket of the lake that this one was restored from its own.",
    .description =
        "A restored lake neither reads nor writes the buckets of its original: that may live, and "
        "both would remove each other's files. Stop the original for good, or remove the bucket "
        "there, before this: it is refused the bucket when it is opened again. A bucket that is "
        "the lake's own already stays as it is. 409 when the place is another lake's.",
    .http = {OP_POST, "/storage/buckets/{bucket}/adopt"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .lane = LH_LANE_SLOW,
    .fields = &delete_fields,
    .kind = OP_RESULT_NONE,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_IO, LH_FULL, LH_UNKNOWN),
    .run = run_adopt,
};

/* --- GET /storage/bucket-health */

struct health_view {
    struct lh_str name;
    bool available;
    struct lh_str problem;
    struct lh_str hint;
    int64_t elapsed_ms;
};
static const struct lh_field health_rows[] = {
    LH_STR(struct health_view, name, .required = true, .doc = "Of the bucket."),
    LH_BOOL(struct health_view, available, .doc = "It answered, and took a trial object."),
    LH_STR(struct health_view, problem, .doc = "What is wrong."),
    LH_STR(struct health_view, hint, .doc = "What to look at."),
    LH_INT(struct health_view, elapsed_ms, .doc = "How long it took."),
};
static const struct lh_fields health_fields =
    LH_FIELDS_OF(struct health_view, "BucketHealth", health_rows);

static enum lh_code run_health(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    struct lh_str *names = NULL;
    size_t count = 0;
    (void)raw;
    storage_bucket_names(lake_storage(call->lake), call->arena, &names, &count);
    struct health_view *items = lh_arena_array(call->arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        struct lh_error why = LH_ERROR_NONE;
        int64_t from_us = lh_clock_monotonic_us();
        enum lh_code code =
            storage_bucket_probe(lake_storage(call->lake), names[i], call->cancel, &why);
        if (lh_cancel_check(call->cancel))
            return lh_cancel_fail(call->cancel, "The probe", err);
        items[i] = (struct health_view){
            .name = names[i],
            .available = !code,
            .elapsed_ms = (lh_clock_monotonic_us() - from_us) / 1000,
        };
        if (code)
            items[i].problem = lh_arena_str(call->arena, lh_str_of(why.message));
        if (code && why.hint[0])
            items[i].hint = lh_arena_str(call->arena, lh_str_of(why.hint));
    }
    return op_reply_list(reply, items, count, (struct lh_str){0}, err);
}

const struct op op_buckets_health = {
    .name = "buckets.health",
    .summary = "Asks every bucket now, with a trial object.",
    .http = {OP_GET, "/storage/bucket-health"},
    .effect = OP_READ,
    .permission = "storage.read",
    .lane = LH_LANE_SLOW,
    .kind = OP_LIST,
    .result = &health_fields,
    .run = run_health,
};
