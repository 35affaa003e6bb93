#include "lake/moving.h"

#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/move.h"
#include "jobs/jobs.h"
#include "lake/changes.h"
#include "lake/erasing.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "search/place.h"
#include "storage/buckets.h"
#include "storage/objects.h"

#define WAIT_NS 50000000

struct move_args {            /* of the job, as its record keeps them */
    struct lh_str dataset_id; /* absent: all */
    struct lh_str_list from;
    struct lh_str to;
    struct lh_str actor;
    struct lh_str reason;
};
static const struct lh_field args_rows[] = {
    LH_STR(struct move_args, dataset_id, .doc = "Only this one."),
    LH_STR_LIST(struct move_args, from, .doc = "Only what is there."),
    LH_STR(struct move_args, to, .required = true, .doc = "Where it goes."),
    LH_STR(struct move_args, actor, .doc = "Who asked."),
    LH_STR(struct move_args, reason, .doc = "Why."),
};
static const struct lh_fields args_fields =
    LH_FIELDS_OF(struct move_args, "MoveJobArgs", args_rows);

static const struct lh_field item_rows[] = {
    LH_STR(struct lake_move_item, dataset, .required = true, .doc = "Its name."),
    LH_STR(struct lake_move_item, dataset_id, .required = true, .doc = "Its id."),
    LH_INT(struct lake_move_item, version, .required = true, .doc = "That it has now."),
    LH_INT(struct lake_move_item, files, .required = true,
           .doc = "Data files of all kept versions that were moved; of a dry run: would be."),
    LH_INT(struct lake_move_item, bytes, .required = true, .doc = "Of those."),
    LH_INT(struct lake_move_item, files_left, .required = true,
           .doc = "That came meanwhile and are where others were: move it again."),
    LH_STR(struct lake_move_item, problem, .doc = "Why it is where it was."),
};
static const struct lh_fields item_fields =
    LH_FIELDS_OF(struct lake_move_item, "MovedDataset", item_rows);

static const struct lh_field index_rows[] = {
    LH_STR(struct lake_move_index, index, .required = true, .doc = "Its name."),
    LH_INT(struct lake_move_index, files, .required = true,
           .doc = "That were moved: parts, its graph, records; of a dry run: would be."),
    LH_INT(struct lake_move_index, bytes, .required = true, .doc = "Of those."),
    LH_STR(struct lake_move_index, problem, .doc = "Why it is where it was."),
};
static const struct lh_fields index_fields =
    LH_FIELDS_OF(struct lake_move_index, "MovedIndex", index_rows);

static const struct lh_field result_rows[] = {
    LH_STR(struct lake_move_result, job_id, .doc = "Of the job; absent: a dry run."),
    LH_BOOL(struct lake_move_result, dry_run, .doc = "Nothing was changed."),
    LH_STR(struct lake_move_result, to, .required = true, .doc = "The bucket."),
    LH_INT(struct lake_move_result, moved, .required = true,
           .doc = "Datasets that were moved, or would be."),
    LH_INT(struct lake_move_result, failed, .required = true,
           .doc = "Datasets and indexes with a problem."),
    LH_INT(struct lake_move_result, files, .required = true, .doc = "Of all that were moved."),
    LH_INT(struct lake_move_result, bytes, .required = true, .doc = "Of those."),
    LH_LIST(struct lake_move_result, datasets, .fields = &item_fields, .required = true,
            .doc = "Each with what became of it; the first 100."),
    LH_LIST(struct lake_move_result, indexes, .fields = &index_fields, .is_optional = true,
            .doc = "Of a whole bucket: the indexes that were there, likewise."),
    LH_STR_LIST(struct lake_move_result, objects_left,
                .doc = "Buckets that still hold objects of people, which are not moved."),
    LH_INT(struct lake_move_result, elapsed_ms, .required = true, .doc = "How long it took."),
};
const struct lh_fields lake_move_result_fields =
    LH_FIELDS_OF(struct lake_move_result, "MoveResult", result_rows);

struct moving_run {
    struct lake *lake;
    struct job *job; /* NULL: a dry run */
    struct lh_arena *arena;
    const struct lh_cancel *cancel;
    struct move_args args;
    struct lake_move_item *items;
    size_t item_count;
    struct lake_move_index *indexes;
    size_t index_count;
    struct lake_move_result result;
    int64_t files_before, bytes_before; /* of the datasets that are done */
    int64_t started_us;
};

/* --- which datasets */

static enum lh_code find_id(struct lake *lake, struct lh_str name, struct lh_arena *arena,
                            struct lh_str *ret, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    enum lh_code code = catalog_find(snapshot, name, &dataset, err);
    if (!code)
        *ret = lh_arena_str(arena, dataset->id);
    catalog_snapshot_unref(snapshot);
    return code;
}

static bool has(struct lh_str_list list, struct lh_str text)
{
    for (size_t i = 0; i < list.count; i++)
        if (lh_str_equal(list.items[i], text))
            return true;
    return false;
}

/* All that have files in one of the buckets, each once. */
static enum lh_code list_ids(struct moving_run *run, struct lh_str_list *ret, struct lh_error *err)
{
    struct catalog *catalog = lake_catalog(run->lake);
    enum lh_code code = LH_OK;
    *ret = (struct lh_str_list){&run->args.dataset_id, 1};
    if (run->args.dataset_id.len)
        return LH_OK;
    *ret = (struct lh_str_list){0};
    for (size_t i = 0; i < run->args.from.count && !code; i++) {
        struct lh_str_list found = {0};
        code = catalog_list_in_bucket(catalog, run->args.from.items[i], run->arena, &found, err);
        struct lh_str *ids = lh_arena_array(run->arena, ret->count + found.count + 1, sizeof *ids);
        size_t count = ret->count;
        if (count)
            memcpy(ids, ret->items, count * sizeof *ids);
        for (size_t k = 0; k < found.count; k++)
            if (!has(*ret, found.items[k]))
                ids[count++] = found.items[k];
        *ret = (struct lh_str_list){ids, count};
    }
    return code;
}

/* --- one dataset */

static void on_progress(void *context, int64_t files_done, int64_t files, int64_t bytes_done,
                        int64_t bytes)
{
    struct moving_run *run = context;
    const struct job_progress progress = {
        .phase = files_done < files ? lh_lit("copying") : lh_lit("committing"),
        .bytes_done = run->bytes_before + bytes_done,
        .bytes_total = run->bytes_before + bytes,
        .chunks_done = {true, run->files_before + files_done},
    };
    job_set_progress(run->job, &progress);
    if (files_done)
        job_checkpoint(run->job);
}

/* From each of the buckets, or from wherever it is. */
static enum lh_code move_from(struct moving_run *run, struct lh_str id, struct lh_str from,
                              struct lake_move_item *item, struct lh_error *err)
{
    struct catalog_move moved;
    const struct catalog_move_options options = {
        .dataset_id = id,
        .from = from,
        .to = run->args.to,
        .is_dry_run = !run->job,
        .actor = run->args.actor,
        .reason = run->args.reason,
        .job_id = run->job && run->args.dataset_id.len && run->args.from.count < 2
                      ? job_id(run->job)
                      : (struct lh_str){0},
        .cancel = run->cancel,
        .progress = run->job ? on_progress : NULL,
        .context = run,
    };
    enum lh_code code = catalog_move(lake_catalog(run->lake), &options, run->arena, &moved, err);
    if (code)
        return code;
    item->dataset = moved.name;
    item->version = moved.version;
    item->files += moved.file_count;
    item->bytes += moved.byte_count;
    item->files_left += moved.left_count;
    run->files_before += moved.file_count;
    run->bytes_before += moved.byte_count;
    return LH_OK;
}

static enum lh_code move_dataset(struct moving_run *run, struct lh_str id,
                                 struct lake_move_item *item, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!run->args.from.count)
        return move_from(run, id, (struct lh_str){0}, item, err);
    for (size_t i = 0; i < run->args.from.count && !code; i++)
        if (!lh_str_equal(run->args.from.items[i], run->args.to))
            code = move_from(run, id, run->args.from.items[i], item, err);
    return code;
}

/* --- all of them */

static bool is_final(enum lh_code code)
{
    return code == LH_CANCELLED || code == LH_TIMEOUT || code == LH_STOPPING ||
           code == LH_UNKNOWN || code == LH_LOCKED;
}

static void add_item(struct moving_run *run, const struct lake_move_item *item)
{
    struct lake_move_result *result = &run->result;
    result->files += item->files;
    result->bytes += item->bytes;
    result->failed += item->problem.len > 0;
    result->moved += !item->problem.len && item->files > 0;
    if (run->item_count < LAKE_MOVE_ITEMS_MAX)
        run->items[run->item_count++] = *item;
    result->datasets = (struct lh_list){run->items, run->item_count};
}

/* What is told of one that stays where it is. */
static struct lh_str problem_of(const struct moving_run *run, const struct lh_error *why)
{
    lh_log_error(LH_LOG_WARN, "catalog.move", why);
    return lh_arena_str(run->arena, lh_str_head(lh_str_of(why->message), 300));
}

/* With many, one that cannot be moved does not keep the others where they are. */
static enum lh_code run_one(struct moving_run *run, struct lh_str id, struct lh_error *err)
{
    struct lake_move_item item = {.dataset = id, .dataset_id = id};
    struct lh_error why = LH_ERROR_NONE;
    enum lh_code code = lh_cancel_fail(run->cancel, "The move", &why);
    if (!code && run->job)
        code = lake_erase_check_move(run->lake, id, &why);
    if (!code)
        code = move_dataset(run, id, &item, &why);
    if (code && (run->args.dataset_id.len || is_final(code))) {
        if (err)
            *err = why;
        return code;
    }
    if (code == LH_NOT_FOUND) /* gone meanwhile */
        return LH_OK;
    if (code)
        item.problem = problem_of(run, &why);
    add_item(run, &item);
    return LH_OK;
}

/* --- indexes of a whole bucket */

static enum lh_code move_one_index(struct moving_run *run, struct lh_str name, struct lh_error *err)
{
    struct lake_move_index item = {.index = name};
    struct lh_error why = LH_ERROR_NONE;
    const struct search_move move = {
        .index = name, .to = run->args.to, .cancel = run->cancel, .is_plan = !run->job};
    struct journal_event event = {
        .entity = name, .action = lh_lit("index.move"), .actor = run->args.actor};
    struct search_moved moved = {0};
    enum lh_code code = run->job
                            ? lake_move_index(run->lake, &move, &event, run->arena, &moved, &why)
                            : search_move_index(lake_search(run->lake), &move, &moved, &why);
    if (code && is_final(code)) {
        if (err)
            *err = why;
        return code;
    }
    if (code == LH_NOT_FOUND) /* gone meanwhile */
        return LH_OK;
    if (code)
        item.problem = problem_of(run, &why);
    item.files = moved.files;
    item.bytes = moved.bytes;
    run->result.failed += code != LH_OK;
    if (run->index_count < LAKE_MOVE_ITEMS_MAX)
        run->indexes[run->index_count++] = item;
    run->result.indexes = (struct lh_list){run->indexes, run->index_count};
    return LH_OK;
}

static enum lh_code move_indexes(struct moving_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    run->indexes = lh_arena_array(run->arena, LAKE_MOVE_ITEMS_MAX, sizeof *run->indexes);
    for (size_t i = 0; i < run->args.from.count && !run->args.dataset_id.len; i++) {
        struct lh_str_list names = {0};
        search_list_in_bucket(lake_search(run->lake), run->args.from.items[i], run->arena, &names);
        for (size_t k = 0; k < names.count && !code; k++)
            code = move_one_index(run, names.items[k], err);
    }
    return code;
}

static void find_objects_left(struct moving_run *run)
{
    struct lh_str *left = lh_arena_array(run->arena, run->args.from.count + 1, sizeof *left);
    size_t left_count = 0;
    for (size_t i = 0; i < run->args.from.count && !run->args.dataset_id.len; i++) {
        struct object_info *items = NULL;
        size_t count = 0;
        bool has_more = false;
        const struct lh_str none = {0};
        if (!objects_list(lake_objects(run->lake), run->args.from.items[i], none, none, 1,
                          run->arena, &items, &count, &has_more, NULL) &&
            count)
            left[left_count++] = run->args.from.items[i];
    }
    run->result.objects_left = (struct lh_str_list){left, left_count};
}

static enum lh_code run_all(struct moving_run *run, struct lh_error *err)
{
    struct lh_str_list ids = {0};
    run->items = lh_arena_array(run->arena, LAKE_MOVE_ITEMS_MAX, sizeof *run->items);
    run->result.dry_run = !run->job;
    run->result.to = run->args.to;
    run->result.job_id = run->job ? job_id(run->job) : (struct lh_str){0};
    enum lh_code code = list_ids(run, &ids, err);
    for (size_t i = 0; i < ids.count && !code; i++)
        code = run_one(run, ids.items[i], err);
    if (!code)
        code = move_indexes(run, err);
    if (!code)
        find_objects_left(run);
    run->result.elapsed_ms = (lh_clock_monotonic_us() - run->started_us) / 1000;
    return code;
}

enum lh_code lake_move_index(struct lake *lake, const struct search_move *move,
                             struct journal_event *event, struct lh_arena *arena,
                             struct search_moved *ret, struct lh_error *err)
{
    struct search_index_info info;
    struct lake_change change;
    struct search *search = lake_search(lake);
    enum lh_code code = search_get(search, move->index, arena, &info, err);
    if (code)
        return code;
    if (lh_str_equal(info.bucket, move->to)) /* then nothing happens */
        return search_move_index(search, move, ret, err);
    code = storage_bucket_check(lake_storage(lake), move->to, err);
    if (code)
        return lh_error_field(err, lh_lit("bucket"));
    event->entity = info.name;
    event->dataset = info.source;
    event->detail =
        lh_arena_printf(arena, "{\"from\":\"%.*s\",\"index_id\":\"%.*s\",\"to\":\"%.*s\"}",
                        LH_ARG(info.bucket), LH_ARG(info.id), LH_ARG(move->to));
    code = lake_change_begin(lake, event, false, &change, err);
    if (code)
        return code;
    code = search_move_index(search, move, ret, err);
    lake_change_end(lake, &change, code, event);
    return code;
}

/* --- the job */

static enum lh_code read_args(struct moving_run *run, struct lh_error *err)
{
    return lh_fields_parse(&args_fields, job_args(run->job), "The job's record",
                           JOBS_ARGS_BYTES_MAX, run->arena, &run->args, err);
}

/* What the job committed before it was ended from outside. */
static enum lh_code add_earlier(struct moving_run *run, bool *ret_is_done, struct lh_error *err)
{
    struct catalog_commit_result commit = {0};
    const struct lh_str none = {0};
    json_t *root = NULL;
    *ret_is_done = false;
    enum lh_code code = catalog_fulfilled(lake_catalog(run->lake), job_id(run->job), none, none,
                                          run->arena, ret_is_done, &commit, err);
    if (!code && *ret_is_done)
        code = lh_json_parse(commit.result, "The commit's result", 65536, &root, err);
    if (!code && *ret_is_done && run->item_count) {
        struct lake_move_item *item = &run->items[0];
        int64_t files = json_integer_value(json_object_get(root, "files"));
        int64_t bytes = json_integer_value(json_object_get(root, "bytes"));
        item->files += files;
        item->bytes += bytes;
        run->result.files += files;
        run->result.bytes += bytes;
        run->result.moved = 1;
    }
    json_decref(root);
    return code;
}

/* One at a time, and none beside an erasure. */
static enum lh_code take_turn(struct moving_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    while (!code && !lake_take_erasing(run->lake)) {
        (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        code = lh_cancel_fail(run->cancel, "The move", err);
    }
    return code;
}

enum lh_code lake_move_job(void *context, struct job *job, struct lh_error *err)
{
    struct moving_run run = {.lake = context,
                             .job = job,
                             .cancel = job_cancel(job),
                             .arena = lh_arena_new(0),
                             .started_us = lh_clock_monotonic_us()};
    bool was_done = false;
    enum lh_code code = read_args(&run, err);
    if (!code)
        code = take_turn(&run, err);
    if (!code) {
        code = run_all(&run, err);
        lake_give_erasing(run.lake);
    }
    if (!code && job_attempt(job) > 1)
        code = add_earlier(&run, &was_done, err);
    if (!code)
        job_set_result(job, lh_fields_text(&lake_move_result_fields, &run.result,
                                           JOBS_ARGS_BYTES_MAX, run.arena));
    lh_arena_free(run.arena);
    return code;
}

enum lh_code lake_move_effect(void *context, struct job *job, bool *ret_is_done,
                              struct lh_error *err)
{
    struct lake_move_item item = {0};
    struct moving_run run = {
        .lake = context, .job = job, .arena = lh_arena_new(0), .items = &item, .item_count = 1};
    bool is_done = false;
    enum lh_code code = read_args(&run, err);
    item.dataset = item.dataset_id = run.args.dataset_id;
    run.result =
        (struct lake_move_result){.job_id = job_id(job), .to = run.args.to, .datasets = {&item, 1}};
    if (!code && run.args.dataset_id.len)
        code = add_earlier(&run, &is_done, err);
    if (!code && is_done)
        job_set_result(job, lh_fields_text(&lake_move_result_fields, &run.result,
                                           JOBS_ARGS_BYTES_MAX, run.arena));
    if (!code)
        *ret_is_done = is_done;
    lh_arena_free(run.arena);
    return code;
}

/* --- the door */

static enum lh_code check_buckets(struct lake *lake, const struct lake_move_request *request,
                                  struct lh_error *err)
{
    struct storage *storage = lake_storage(lake);
    enum lh_code code = storage_bucket_check(storage, request->to, err);
    for (size_t i = 0; i < request->from.count && !code; i++) {
        code = storage_bucket_check(storage, request->from.items[i], err);
        if (!code && lh_str_equal(request->from.items[i], request->to))
            code = lh_fail(err, LH_CONFLICT, "From the bucket '%.*s' to itself nothing can move.",
                           LH_ARG(request->to));
    }
    return code;
}

static enum lh_code fill_args(struct lake *lake, const struct lake_move_request *request,
                              struct lh_arena *arena, struct move_args *ret, struct lh_error *err)
{
    *ret = (struct move_args){.from = request->from,
                              .to = request->to,
                              .actor = request->actor,
                              .reason = request->reason};
    enum lh_code code = check_buckets(lake, request, err);
    if (!code && request->dataset.len)
        code = find_id(lake, request->dataset, arena, &ret->dataset_id, err);
    return code;
}

enum lh_code lake_move_plan(struct lake *lake, const struct lake_move_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct lake_move_result *ret, struct lh_error *err)
{
    struct moving_run run = {
        .lake = lake, .arena = arena, .cancel = cancel, .started_us = lh_clock_monotonic_us()};
    enum lh_code code = fill_args(lake, request, arena, &run.args, err);
    if (!code)
        code = run_all(&run, err);
    if (!code)
        *ret = run.result;
    return code;
}

enum lh_code lake_move_begin(struct lake *lake, const struct lake_move_request *request,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct lh_str *ret_job, struct lh_error *err)
{
    struct lake_move_result plan = {0};
    struct move_args args;
    struct lh_uuid id;
    enum lh_code code = fill_args(lake, request, arena, &args, err);
    if (!code && request->dataset.len)
        code = lake_move_plan(lake, request, cancel, arena, &plan, err);
    if (!code && request->dataset.len && !plan.files) {
        lh_fail(err, LH_CONFLICT, "Dataset '%.*s' has no file that is not in the bucket '%.*s'.",
                LH_ARG(request->dataset), LH_ARG(request->to));
        code = lh_error_hint(err, "Nothing is to be moved.");
    }
    if (!code)
        code = storage_bucket_probe(lake_storage(lake), request->to, cancel, err);
    if (code)
        return code;
    const struct job_spec spec = {
        .kind = lh_lit(LAKE_MOVE_JOB_KIND),
        .dataset = request->dataset,
        .actor = request->actor,
        .args = lh_fields_text(&args_fields, &args, JOBS_ARGS_BYTES_MAX, arena)};
    code = jobs_submit(lake_jobs(lake), &spec, &id, err);
    if (!code)
        *ret_job = lh_arena_str(arena, lh_uuid_str(&id));
    return code;
}
