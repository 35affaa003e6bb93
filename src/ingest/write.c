/* From a relation to a commit: COPY into staging, made durable, read back and compared, published,
 * committed. Whatever fails before the commit leaves nothing: staged files are discarded, and a
 * published file that no manifest names is swept by the catalog. */
#include "ingest/internal.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "catalog/data_file.h"
#include "catalog/files.h"
#include "catalog/rejects.h"
#include "catalog/tombstones.h"
#include "storage/buckets.h"

#define REASONS_SHOWN 5
#define HIDING_TRIES_MAX 8
#define RESULT_BYTES_MAX ((size_t)65536)

/* One file on its way: staged, then an object. */
struct output {
    struct data_file file;
    struct lh_str key;
};

static void show_progress(void *context, int64_t rows)
{
    struct task *task = context;
    int64_t most = task->scan.rows_max > rows ? task->scan.rows_max : rows + 1;
    double done = (double)rows / (double)most;
    task_phase(task, "writing", rows, (int64_t)(done * (double)task->input.bytes));
}

static enum lh_code write_file(struct task *task, struct lh_str select, struct output *ret,
                               struct lh_error *err)
{
    char what[CATALOG_NAME_BYTES_MAX + 32];
    struct engine_copy_options options = {
        .codec = lh_lit("snappy"), .progress = show_progress, .progress_context = task};
    snprintf(what, sizeof(what), "the file of '%.*s'", LH_ARG(task->args.dataset));
    enum lh_code code = data_file_copy(task->ingest->storage, task->connection, select, &options,
                                       task->cancel, &ret->file, err);
    if (code)
        return code == LH_IO ? code : fail_unreadable(task, code, err); /* the disk's fault */
    return data_file_seal(&ret->file, task->connection, what, task->cancel, err);
}

static enum lh_code count_rejects(struct task *task, int64_t *ret, struct ingest_result *result,
                                  struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_str *reasons = lh_arena_array(task->arena, REASONS_SHOWN, sizeof(*reasons));
    size_t shown = 0;
    *ret = 0;
    if (lh_str_empty(task->rejects))
        return LH_OK;
    enum lh_code code =
        engine_run(task->connection, task->rejects, NULL, task->cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk) {
        *ret += (int64_t)chunk->row_count;
        for (size_t row = 0; row < chunk->row_count && shown < REASONS_SHOWN; row++) {
            struct lh_str reason = engine_vector_str(&chunk->columns[1], row);
            reason = lh_str_head(reason, 300);
            reasons[shown++] =
                engine_vector_is_null(&chunk->columns[0], row)
                    ? lh_arena_str(task->arena, reason)
                    : lh_arena_printf(task->arena, "line %lld: %.*s",
                                      (long long)((const int64_t *)chunk->columns[0].data)[row],
                                      LH_ARG(reason));
        }
    }
    engine_cursor_close(cursor);
    result->rejected_reasons = (struct lh_str_list){reasons, shown};
    return code;
}

/* Whether rows were left out. Asking costs another reading of the file, so lines are counted first:
 * mostly every one is accounted for. */
static enum lh_code has_left_out(struct task *task, int64_t rows, bool *ret, struct lh_error *err)
{
    int64_t rejected = 0;
    enum lh_code code = LH_OK;
    *ret = !lh_str_empty(task->misfits);
    if (!*ret || lh_str_empty(task->reject_table) || !task->scan.lines)
        return LH_OK;
    code = task_ask(task,
                    lh_arena_printf(task->arena, "SELECT count(DISTINCT line) FROM %.*s",
                                    LH_ARG(task->reject_table)),
                    &rejected, err);
    *ret = rows + rejected + task->head_lines != task->scan.lines;
    if (code || !*ret)
        return code;
    code = task_ask(
        task, lh_arena_printf(task->arena, "SELECT count(*) FROM (%.*s)", LH_ARG(task->misfits)),
        &rejected, err);
    *ret = rejected > 0;
    return code;
}

/* The first conversion that failed says that the sample misled; then every row is asked. */
static enum lh_code has_misled_types(struct task *task, bool *ret, struct lh_error *err)
{
    int64_t count = 0;
    *ret = false;
    if (lh_str_empty(task->reject_table) || task->is_thorough || task->action == CATALOG_APPEND)
        return LH_OK;
    struct lh_str sql =
        lh_arena_printf(task->arena, "SELECT count(*) FROM %.*s WHERE error_type = 'CAST'",
                        LH_ARG(task->reject_table));
    enum lh_code code = task_ask(task, sql, &count, err);
    *ret = count > 0;
    return code;
}

static enum lh_code check_ratio(struct task *task, int64_t rejected, int64_t rows,
                                const struct ingest_result *result, struct lh_error *err)
{
    double all = (double)(rejected + rows);
    if (rejected == 0 || (double)rejected <= task->options.max_rejected_ratio * all)
        return LH_OK;
    lh_fail(err, LH_UNREADABLE, "%lld of %lld rows of the file do not fit; the first: %.*s",
            (long long)rejected, (long long)(rejected + rows),
            LH_ARG(result->rejected_reasons.count ? result->rejected_reasons.items[0]
                                                  : lh_lit("unknown")));
    return lh_error_hint(err,
                         "Say how to read it (options.delimiter, options.header, options.types), "
                         "or allow more with options.max_rejected_ratio.");
}

/* COPY. What describing the file did not meet may still be in its lines: then once more without
 * those that are bad. */
static enum lh_code write_first(struct task *task, struct output *data, struct lh_error *err)
{
    enum lh_code code = write_file(task, task->select, data, err);
    if (code != LH_UNREADABLE || task->source->format != FORMAT_NDJSON || task->rejects.len)
        return code;
    storage_staged_discard(data->file.staged);
    *data = (struct output){0};
    task->is_wary = true;
    code = task->source->open(task, err);
    if (!code)
        code = columns_fit(task, err);
    return code ? code : write_file(task, task->select, data, err);
}

/* Once more with types from every row if the sample misled. */
static enum lh_code write_rows(struct task *task, struct output *data, struct output *rejects,
                               struct ingest_result *result, struct lh_error *err)
{
    bool is_misled = false;
    bool is_left_out = false;
    enum lh_code code = write_first(task, data, err);
    if (!code)
        code = has_misled_types(task, &is_misled, err);
    if (!code && !is_misled)
        code = has_left_out(task, (int64_t)data->file.content.rows, &is_left_out, err);
    bool can_look_again =
        !task->is_thorough && task->action != CATALOG_APPEND && task->reject_table.len;
    if (!code && (is_misled || (is_left_out && can_look_again))) {
        data_file_discard(&data->file);
        *data = (struct output){0};
        task->is_thorough = true;
        code = task->source->open(task, err);
        if (!code)
            code = columns_fit(task, err);
        if (!code)
            code = write_file(task, task->select, data, err);
        if (!code)
            code = has_left_out(task, (int64_t)data->file.content.rows, &is_left_out, err);
    }
    if (!code && is_left_out)
        task->rejects = lh_str_empty(task->rejects)
                            ? task->misfits
                            : lh_arena_printf(task->arena, "SELECT * FROM (%.*s) UNION ALL (%.*s)",
                                              LH_ARG(task->rejects), LH_ARG(task->misfits));
    if (!code)
        code = count_rejects(task, &result->rejected_rows, result, err);
    result->rows = (int64_t)data->file.content.rows;
    if (!code)
        code = lines_check(task, storage_staged_path(data->file.staged), result->rows,
                           result->rejected_rows, err);
    if (!code)
        code = check_ratio(task, result->rejected_rows, result->rows, result, err);
    if (!code && result->rejected_rows)
        code = write_file(task, task->rejects, rejects, err);
    if (!code)
        code = dirty_warn(task, storage_staged_path(data->file.staged), err);
    return code;
}

/* That was asked for; else the one that the dataset's newest rows are in. */
static struct lh_str bucket_of(const struct task *task)
{
    const struct catalog_dataset *dataset = task->dataset;
    if (task->args.bucket.len)
        return task->args.bucket;
    return dataset && dataset->object_count ? dataset->objects[dataset->object_count - 1]->bucket
                                            : STORAGE_PRIMARY;
}

static enum lh_code publish(struct task *task, struct lh_str dataset_id, struct output *data,
                            struct output *rejects, struct lh_error *err)
{
    struct lh_uuid id = lh_uuid_new();
    struct storage_target targets[2] = {{.staged = data->file.staged},
                                        {.staged = rejects->file.staged}};
    data->key = targets[0].key =
        lh_arena_printf(task->arena, "datasets/%.*s/%s.parquet", LH_ARG(dataset_id), id.text);
    if (rejects->file.staged)
        rejects->key = targets[1].key = catalog_rejects_key(dataset_id, lh_uuid_str(&id),
                                                            rejects->file.sum.sha256, task->arena);
    enum lh_code code = storage_publish(task->ingest->storage, bucket_of(task), targets, 1, err);
    /* Rows that were not taken are for people to look at, and stay at hand. */
    if (!code && rejects->file.staged)
        code = storage_publish(task->ingest->storage, STORAGE_PRIMARY, targets + 1, 1, err);
    return code;
}

static struct lh_str event_detail(struct task *task, const struct ingest_result *result)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "rows", result->rows);
    lh_json_put_int(&json, "rejected_rows", result->rejected_rows);
    lh_json_put_str(&json, "source_file", task->input.filename);
    lh_json_put_str(&json, "source_sha256", task->source_sha256);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(task->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* Where it is sure that nothing names them, the files go now; else the next opening decides. */
static void trash(struct task *task, struct lh_str bucket, struct lh_str key)
{
    struct lh_error late = LH_ERROR_NONE;
    if (storage_trash(task->ingest->storage, bucket, &key, 1, &late))
        lh_log_error(LH_LOG_WARN, "ingest.trash", &late);
}

static bool is_surely_unnamed(enum lh_code code, const struct catalog_commit_result *committed)
{
    return committed->is_repeat || (code && code != LH_UNKNOWN && code != LH_LOCKED);
}

/* What is hidden of the new file, and by it. */
struct hiding {
    struct catalog_arrived arrived;
    struct catalog_replaced replaced;
    struct catalog_object *objects;
    size_t count;
};

static enum lh_code find_hiding(struct task *task, const struct catalog_arrival *arrival,
                                struct hiding *ret, struct lh_error *err)
{
    struct ingest *ingest = task->ingest;
    *ret = (struct hiding){.count = 0};
    enum lh_code code = catalog_arrivals(ingest->catalog, ingest->engine, arrival, task->cancel,
                                         task->arena, &ret->arrived, err);
    size_t arrived = code ? 0 : ret->arrived.tombstone_count;
    ret->objects = lh_arena_array(task->arena, arrived + 1, sizeof *ret->objects);
    for (size_t i = 0; i < arrived; i++)
        ret->objects[ret->count++] = ret->arrived.tombstones[i];
    if (!code && task->is_upsert)
        code = catalog_replacements(ingest->catalog, ingest->engine, arrival, task->options.key,
                                    task->cancel, task->arena, &ret->replaced, err);
    if (!code && ret->replaced.has_object)
        ret->objects[ret->count++] = ret->replaced.object;
    return code;
}

static void trash_hiding(struct task *task, const struct hiding *hiding)
{
    for (size_t i = 0; i < hiding->count; i++)
        trash(task, STORAGE_PRIMARY, hiding->objects[i].key);
}

/* Rows of tombstoned keys come hidden, and an upsert hides those that it replaces. Both are found
 * in the dataset as it is; when somebody changes it meanwhile they are looked for again, and the
 * file is not written anew. */
static enum lh_code commit_hiding(struct task *task, struct catalog_change *change,
                                  struct catalog_object *object, struct ingest_result *result,
                                  struct catalog_commit_result *committed, struct lh_error *err)
{
    struct catalog_arrival arrival = {.dataset_id = change->dataset_id,
                                      .key = object->key,
                                      .rows = object->rows,
                                      .columns = task->stored,
                                      .column_count = task->stored_count};
    struct hiding hiding = {.count = 0};
    enum lh_code code = LH_OK;
    if (task->dataset || task->is_upsert) /* only then somebody looks into the new file */
        code = catalog_object_file(task->ingest->catalog, object, task->cancel, task->arena,
                                   &arrival.path, err);
    for (int tries = 0; !tries || (code == LH_RACE && tries < HIDING_TRIES_MAX); tries++) {
        if (!code || code == LH_RACE)
            code = find_hiding(task, &arrival, &hiding, err);
        if (code) {
            trash_hiding(task, &hiding);
            break;
        }
        result->suppressed_rows = hiding.arrived.suppressed_rows;
        result->replaced_rows = hiding.replaced.rows;
        object->tombstones_through = hiding.arrived.through;
        change->tombstones = hiding.objects;
        change->tombstone_count = hiding.count;
        change->tombstone_stamp = hiding.arrived.stamp;
        change->base_version = hiding.replaced.base_version;
        change->result =
            lh_fields_text(&ingest_result_fields, result, RESULT_BYTES_MAX, task->arena);
        code = catalog_commit(task->ingest->catalog, change, task->arena, committed, err);
        if (is_surely_unnamed(code, committed))
            trash_hiding(task, &hiding);
        if (!hiding.count && !task->is_upsert)
            break;
    }
    change->tombstones = NULL; /* they end with this call */
    change->tombstone_count = 0;
    if (!code && task->is_upsert)
        catalog_tidy_tombstones(task->ingest->catalog, change->dataset_id);
    return code;
}

static enum lh_code commit(struct task *task, struct lh_str dataset_id, const struct output *data,
                           const struct output *rejects, struct ingest_result *result,
                           struct lh_error *err)
{
    struct catalog_commit_result committed = {0};
    struct catalog_object object = {
        .bucket = bucket_of(task),
        .key = data->key,
        .bytes = data->file.sum.bytes,
        .rows = result->rows,
        .content_hash = data_file_content_text(&data->file.content, task->arena),
        .schema = catalog_schema_fingerprint(task->stored, task->stored_count, task->arena),
        .source_sha256 = task->source_sha256,
        .source_options = task->source_options,
        .rejects = rejects->key,
        .rejected_rows = result->rejected_rows,
    };
    memcpy(object.sha256, data->file.sum.sha256, sizeof(object.sha256));
    struct catalog_event event = {
        .entity = task->args.dataset,
        .action = task->action == CATALOG_CREATE   ? lh_lit("create")
                  : task->is_upsert                ? lh_lit("upsert")
                  : task->action == CATALOG_APPEND ? lh_lit("append")
                                                   : lh_lit("replace"),
        .detail = event_detail(task, result),
    };
    assert(task->dataset || task->action != CATALOG_APPEND);
    struct catalog_change change = {
        .action = task->is_upsert && task->action == CATALOG_APPEND ? CATALOG_UPSERT : task->action,
        .dataset_id = dataset_id,
        .name = task->args.dataset,
        .expected_version = task->args.expected_version,
        .base_schema = task->action == CATALOG_APPEND ? task->dataset->schema : lh_str_of(NULL),
        .set_bits =
            CATALOG_SET_LINEAGE | (task->action == CATALOG_APPEND ? 0 : CATALOG_SET_COLUMNS),
        .set = {.columns = task->stored,
                .column_count = task->stored_count,
                .lineage = {.source_system =
                                task->stored_files ? lh_lit("storage") : lh_lit("file"),
                            .source_file = task->input.filename,
                            .ingest_job = job_id(task->job),
                            .timestamp_ms = lh_clock_unix_ms()}},
        .objects = &object,
        .object_count = 1,
        .once = !task->options.allow_duplicate && !task->is_twin,
        .actor = task->args.actor,
        .reason = task->args.reason,
        .job_id = job_id(task->job),
        .idempotency_key = task->args.idempotency_key,
        .request_hash = task->args.request_hash,
        .events = &event,
        .event_count = 1,
    };
    result->rejects = rejects->key;
    enum lh_code code = commit_hiding(task, &change, &object, result, &committed, err);
    if (code == LH_EXISTS && task->args.mode != INGEST_CREATE)
        code = err ? (err->code = LH_RACE) : LH_RACE; /* made by another since we looked */
    if (!code)
        result->version = committed.version;
    if (is_surely_unnamed(code, &committed)) {
        trash(task, object.bucket, data->key);
        if (rejects->key.len)
            trash(task, STORAGE_PRIMARY, rejects->key);
    }
    return code;
}

/* Keys that were deleted there come back here, unless somebody does something. */
static void warn_of_dropped(struct task *task)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(task->ingest->catalog);
    if (catalog_dropped_with_tombstones(snapshot, task->args.dataset))
        task_warn(task,
                  "A dataset '%.*s' that was dropped had tombstones; they do not hide rows of this "
                  "one. Tombstone the keys here, too, or undo the drop.",
                  LH_ARG(task->args.dataset));
    catalog_snapshot_unref(snapshot);
}

enum lh_code write_dataset(struct task *task, struct ingest_result *result, struct lh_error *err)
{
    struct output data = {0};
    struct output rejects = {0};
    struct lh_uuid fresh = lh_uuid_new();
    struct lh_str dataset_id = task->dataset ? task->dataset->id : lh_uuid_str(&fresh);
    enum lh_code code = write_rows(task, &data, &rejects, result, err);
    if (!code)
        code = lh_cancel_fail(task->cancel, "The ingest", err);
    struct lh_str bucket = bucket_of(task);
    bool is_held = false;
    if (!code) /* nobody removes it before the commit names it */
        code = storage_bucket_hold(task->ingest->storage, bucket, err);
    if (!code) {
        is_held = true;
        task_phase(task, "committing", result->rows, task->input.bytes);
        if (!task->dataset)
            warn_of_dropped(task);
        code = publish(task, dataset_id, &data, &rejects, err);
    }
    if (!code)
        code = commit(task, dataset_id, &data, &rejects, result, err);
    if (is_held)
        storage_bucket_let_go(task->ingest->storage, bucket);
    data_file_discard(&data.file);
    data_file_discard(&rejects.file);
    return code;
}
