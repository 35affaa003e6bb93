#include "query/compact.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "query/compact_internal.h"

/* --- arguments and results */

struct compact_args {         /* of the job, as its record keeps them */
    struct lh_str dataset_id; /* absent: all */
    struct lh_str actor;
    struct lh_str reason;
    bool is_automatic;
    bool has_room;
};
static const struct lh_field args_rows[] = {
    LH_STR(struct compact_args, dataset_id, .doc = "Only this one."),
    LH_STR(struct compact_args, actor, .doc = "Who asked."),
    LH_STR(struct compact_args, reason, .doc = "Why."),
    LH_BOOL(struct compact_args, is_automatic, .doc = "Large files stay alone."),
    LH_BOOL(struct compact_args, has_room, .doc = "Nobody asks for room."),
};
static const struct lh_fields args_fields =
    LH_FIELDS_OF(struct compact_args, "QueryCompactJobArgs", args_rows);

static const struct lh_field item_rows[] = {
    LH_STR(struct query_compact_item, dataset, .required = true, .doc = "Its name."),
    LH_INT(struct query_compact_item, version, .required = true, .doc = "That it has now."),
    LH_INT(struct query_compact_item, rows, .required = true, .doc = "That it shows now."),
    LH_INT(struct query_compact_item, files_before, .required = true, .doc = "Data files before."),
    LH_INT(struct query_compact_item, files_after, .required = true,
           .doc = "Data files after; of a dry run: that it would have."),
    LH_INT(struct query_compact_item, bytes_before, .required = true, .doc = "Of those before."),
    LH_OPT_INT(struct query_compact_item, bytes_after,
               .doc = "Of those after; absent: a dry run, or nothing was done."),
    LH_INT(struct query_compact_item, bytes_read, .required = true,
           .doc = "Of the files that were merged; of a dry run: that would be."),
    LH_INT(struct query_compact_item, tombstones_applied, .required = true,
           .doc = "Keys whose rows are gone from the data files now."),
    LH_INT(struct query_compact_item, rows_dropped_by_tombstones, .required = true,
           .doc = "Those rows."),
    LH_INT(struct query_compact_item, rows_dropped_by_upserts,
           .doc = "Rows that upserts put others in the place of."),
    LH_STR(struct query_compact_item, problem,
           .doc = "Why it stays as it was; absent: it was compacted."),
};
static const struct lh_fields item_fields =
    LH_FIELDS_OF(struct query_compact_item, "QueryCompactItem", item_rows);

static const struct lh_field result_rows[] = {
    LH_STR(struct query_compact_result, job_id, .doc = "Of the job; absent of a dry run."),
    LH_BOOL(struct query_compact_result, dry_run, .doc = "Nothing was changed."),
    LH_INT(struct query_compact_result, tombstones_applied,
           .doc = "Keys whose rows are gone from the data files now; they go on suppressing."),
    LH_INT(struct query_compact_result, rows_dropped_by_tombstones, .doc = "Those rows."),
    LH_INT(struct query_compact_result, rows_dropped_by_upserts,
           .doc = "Rows that upserts put others in the place of."),
    LH_INT(struct query_compact_result, final_rows, .doc = "Of all datasets that were looked at."),
    LH_INT(struct query_compact_result, files_before, .doc = "Data files of them before."),
    LH_INT(struct query_compact_result, files_after, .doc = "And after."),
    LH_INT(struct query_compact_result, bytes_before, .doc = "Of the files before."),
    LH_OPT_INT(struct query_compact_result, bytes_after,
               .doc = "Of the files after; absent of a dry run."),
    LH_INT(struct query_compact_result, compacted,
           .doc = "How many datasets were compacted, or would be."),
    LH_LIST(struct query_compact_result, datasets, .fields = &item_fields,
            .doc = "Those that were, and those that could not be; at most 100."),
    LH_INT(struct query_compact_result, elapsed_ms, .doc = "From the start to the last commit."),
};
const struct lh_fields query_compact_result_fields =
    LH_FIELDS_OF(struct query_compact_result, "QueryCompactResult", result_rows);

static bool is_changed(const struct query_compact_item *item)
{
    return item->files_before != item->files_after || item->bytes_read;
}

/* What is told of is bounded; what is counted is not. */
static void add_item(struct query_compact_result *result, struct query_compact_item *items,
                     size_t *item_count, const struct query_compact_item *item)
{
    result->final_rows += item->rows;
    result->tombstones_applied += item->tombstones_applied;
    result->rows_dropped_by_tombstones += item->rows_dropped_by_tombstones;
    result->rows_dropped_by_upserts += item->rows_dropped_by_upserts;
    result->files_before += item->files_before;
    result->files_after += item->problem.len ? item->files_before : item->files_after;
    result->bytes_before += item->bytes_before;
    result->bytes_after.value +=
        item->bytes_after.is_set ? item->bytes_after.value : item->bytes_before;
    result->compacted += is_changed(item) && !item->problem.len;
    if ((is_changed(item) || item->problem.len) && *item_count < QUERY_COMPACT_ITEMS_MAX)
        items[(*item_count)++] = *item;
    result->datasets = (struct lh_list){items, *item_count};
}

struct lh_str compact_tell(struct compact_run *run, const struct query_compact_item *item)
{
    struct query_compact_result result = run->result;
    struct query_compact_item items[QUERY_COMPACT_ITEMS_MAX];
    size_t count = run->item_count;
    memcpy(items, run->items, count * sizeof *items);
    add_item(&result, items, &count, item);
    result.elapsed_ms = (lh_clock_monotonic_us() - run->started_us) / 1000;
    return lh_fields_text(&query_compact_result_fields, &result, JOBS_RESULT_BYTES_MAX, run->arena);
}

/* --- looking */

static void unref_hidden(void *hidden)
{
    catalog_hidden_unref(hidden);
}

/* How many of the rows that do not come along were hidden by upserts, tombstones or not. */
static enum lh_code count_replaced(const struct query_compactor *compactor,
                                   const struct catalog_snapshot *snapshot,
                                   const struct catalog_dataset *dataset,
                                   const struct compact_plan *plan, const struct lh_cancel *cancel,
                                   int64_t *ret, struct lh_error *err)
{
    struct catalog_hidden *replaced = NULL;
    int64_t count = 0;
    enum lh_code code =
        catalog_hidden_open(compactor->catalog, snapshot, dataset, CATALOG_HIDE_REPLACED,
                            compactor->engine, cancel, &replaced, err);
    if (code)
        return code;
    for (size_t i = 0; replaced && i < plan->group_count; i++)
        for (size_t k = 0; k < plan->groups[i].count; k++) {
            const struct catalog_rows *rows =
                catalog_hidden_of(replaced, plan->groups[i].first + k);
            count += rows ? rows->count : 0;
        }
    catalog_hidden_unref(replaced);
    *ret = count;
    return LH_OK;
}

enum lh_code compact_look(const struct query_compactor *compactor,
                          const struct catalog_snapshot *snapshot,
                          const struct catalog_dataset *dataset, bool is_automatic,
                          const struct lh_cancel *cancel, struct lh_arena *arena,
                          struct compact_plan *plan, struct query_compact_item *ret,
                          struct lh_error *err)
{
    struct compact_planning planning = {
        .dataset = dataset, .file_bytes = compactor->file_bytes, .is_automatic = is_automatic};
    size_t keys = 0;
    int64_t replaced = 0;
    *ret = (struct query_compact_item){.dataset = dataset->name,
                                       .version = dataset->version,
                                       .rows = dataset->row_count,
                                       .files_before = (int64_t)dataset->object_count,
                                       .files_after = (int64_t)dataset->object_count,
                                       .bytes_before = dataset->byte_count};
    enum lh_code code = catalog_hidden_open(compactor->catalog, snapshot, dataset, CATALOG_HIDE_ALL,
                                            compactor->engine, cancel, &planning.hidden, err);
    if (code)
        return code;
    lh_arena_defer(arena, unref_hidden, planning.hidden);
    compact_plan(&planning, arena, plan);
    if (plan->hidden)
        code = count_replaced(compactor, snapshot, dataset, plan, cancel, &replaced, err);
    if (!code && plan->hidden > replaced)
        code = catalog_tombstone_count(compactor->catalog, dataset, &keys, err);
    ret->rows -= catalog_hidden_rows(planning.hidden);
    ret->files_after -= (int64_t)(plan->file_count - plan->group_count);
    ret->bytes_read = plan->bytes;
    ret->rows_dropped_by_tombstones = plan->hidden - replaced;
    ret->rows_dropped_by_upserts = replaced;
    ret->tombstones_applied = (int64_t)keys;
    return code;
}

/* The ids of what is asked for: of a name, or of all. */
static enum lh_code list_datasets(struct query_compactor *compactor, struct lh_str name,
                                  struct lh_arena *arena, struct lh_str_list *ret,
                                  struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(compactor->catalog);
    size_t count = name.len ? 1 : catalog_snapshot_count(snapshot);
    struct lh_str *ids = lh_arena_array(arena, count + 1, sizeof *ids);
    enum lh_code code = LH_OK;
    if (name.len)
        code = catalog_find(snapshot, name, &dataset, err);
    for (size_t i = 0; i < count && !code; i++)
        ids[i] =
            lh_arena_str(arena, dataset ? dataset->id : catalog_snapshot_item(snapshot, i)->id);
    catalog_snapshot_unref(snapshot);
    *ret = (struct lh_str_list){ids, code ? 0 : count};
    return code;
}

static enum lh_code look_at_all(struct query_compactor *compactor,
                                const struct query_compact_request *request, struct lh_arena *arena,
                                struct query_compact_result *ret, struct lh_error *err)
{
    struct query_compact_item *items =
        lh_arena_array(arena, QUERY_COMPACT_ITEMS_MAX, sizeof *items);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(compactor->catalog);
    struct lh_str_list ids = {0};
    size_t item_count = 0;
    int64_t started_us = lh_clock_monotonic_us();
    *ret = (struct query_compact_result){.dry_run = true};
    enum lh_code code = list_datasets(compactor, request->dataset, arena, &ids, err);
    for (size_t i = 0; i < ids.count && !code; i++) {
        const struct catalog_dataset *dataset = NULL;
        struct compact_plan plan;
        struct query_compact_item item;
        struct lh_error why = LH_ERROR_NONE;
        if (catalog_find_id(snapshot, ids.items[i], &dataset, &why))
            continue; /* made since the snapshot */
        code = compact_look(compactor, snapshot, dataset, request->is_automatic, NULL, arena, &plan,
                            &item, &why);
        if (code && request->dataset.len && err)
            *err = why;
        if (code && !request->dataset.len) {
            item.problem = lh_arena_str(arena, lh_str_of(why.message));
            code = LH_OK;
        }
        item.dataset = lh_arena_str(arena, item.dataset);
        add_item(ret, items, &item_count, &item);
    }
    catalog_snapshot_unref(snapshot);
    ret->bytes_after.is_set = false;
    ret->elapsed_ms = (lh_clock_monotonic_us() - started_us) / 1000;
    return code;
}

bool query_compact_is_due(const struct query_compactor *compactor,
                          const struct catalog_snapshot *snapshot,
                          const struct catalog_dataset *dataset,
                          const struct query_compact_policy *policy, int64_t now_ms)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct compact_plan plan;
    struct query_compact_item item;
    bool is_due = false;
    if (!compact_look(compactor, snapshot, dataset, true, NULL, arena, &plan, &item, NULL) &&
        plan.group_count) {
        int64_t largest = 0;
        for (size_t i = 0; i < plan.group_count; i++)
            for (size_t k = 0; k < plan.groups[i].count; k++) {
                int64_t bytes = dataset->objects[plan.groups[i].first + k]->bytes;
                largest = bytes > largest ? bytes : largest;
            }
        int64_t rest_ms = now_ms - dataset->updated_ms;
        is_due = (int64_t)plan.file_count >= policy->files || rest_ms >= policy->age_ms ||
                 (rest_ms >= policy->pause_ms &&
                  (plan.bytes - largest >= policy->bytes || plan.hidden > 0));
    }
    lh_arena_free(arena);
    return is_due;
}

/* --- the job */

static bool is_final(enum lh_code code)
{
    return code == LH_CANCELLED || code == LH_TIMEOUT || code == LH_STOPPING ||
           code == LH_UNKNOWN || code == LH_LOCKED;
}

static void count_work(struct compact_run *run, struct lh_str_list ids)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(run->compactor->catalog);
    for (size_t i = 0; i < ids.count; i++) {
        const struct catalog_dataset *dataset = NULL;
        struct compact_plan plan;
        struct query_compact_item item;
        struct lh_arena *arena = lh_arena_new(0);
        if (!catalog_find_id(snapshot, ids.items[i], &dataset, NULL) &&
            !compact_look(run->compactor, snapshot, dataset, run->is_automatic, run->cancel, arena,
                          &plan, &item, NULL)) {
            run->rows_total += plan.rows;
            run->bytes_total += plan.bytes;
        }
        lh_arena_free(arena);
    }
    catalog_snapshot_unref(snapshot);
}

static enum lh_code run_one(struct compact_run *run, struct lh_str id, struct lh_error *err)
{
    struct query_compact_item item = {0};
    struct lh_error why = LH_ERROR_NONE;
    enum lh_code code = compact_dataset(run, id, &item, &why);
    if (code && (run->is_alone || is_final(code))) {
        if (err)
            *err = why;
        return code;
    }
    if (code == LH_NOT_FOUND) /* dropped meanwhile */
        return LH_OK;
    if (code) {
        item.problem = lh_arena_str(run->arena, lh_str_of(why.message));
        item.bytes_after.is_set = false;
        item.files_after = item.files_before;
        item.rows_dropped_by_tombstones = item.tombstones_applied = 0;
        item.rows_dropped_by_upserts = 0;
        lh_log_error(LH_LOG_WARN, "query.compact", &why);
    }
    add_item(&run->result, run->items, &run->item_count, &item);
    return LH_OK;
}

static enum lh_code run_all(struct compact_run *run, struct lh_str_list ids, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    run->items = lh_arena_array(run->arena, QUERY_COMPACT_ITEMS_MAX, sizeof *run->items);
    run->result.job_id = job_id(run->job);
    run->result.bytes_after.is_set = true;
    count_work(run, ids);
    for (size_t i = 0; i < ids.count && !code; i++) {
        code = lh_cancel_fail(run->cancel, "The compaction", err);
        if (!code)
            code = run_one(run, ids.items[i], err);
    }
    run->result.elapsed_ms = (lh_clock_monotonic_us() - run->started_us) / 1000;
    if (!code)
        job_set_result(run->job, lh_fields_text(&query_compact_result_fields, &run->result,
                                                JOBS_RESULT_BYTES_MAX, run->arena));
    return code;
}

enum lh_code query_compact_job(void *context, struct job *job, struct lh_error *err)
{
    struct compact_run run = {.compactor = context,
                              .job = job,
                              .cancel = job_cancel(job),
                              .arena = lh_arena_new(0),
                              .started_us = lh_clock_monotonic_us()};
    struct compact_args args;
    struct lh_str_list ids = {0};
    bool is_done = false;
    enum lh_code code = lh_fields_parse(&args_fields, job_args(job), "The job's record",
                                        JOBS_ARGS_BYTES_MAX, run.arena, &args, err);
    if (!code && args.dataset_id.len)
        code = query_compact_effect(context, job, &is_done, err);
    if (!code && !is_done) {
        run.is_automatic = args.is_automatic;
        run.has_room = args.has_room;
        run.actor = args.actor;
        run.reason = args.reason;
        run.is_alone = args.dataset_id.len > 0;
        if (run.is_alone)
            ids = (struct lh_str_list){&args.dataset_id, 1};
        else
            code = list_datasets(context, (struct lh_str){0}, run.arena, &ids, err);
    }
    if (!code && !is_done)
        code = run_all(&run, ids, err);
    lh_arena_free(run.arena);
    return code;
}

enum lh_code query_compact_effect(void *context, struct job *job, bool *ret_is_done,
                                  struct lh_error *err)
{
    struct query_compactor *compactor = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_commit_result commit = {0};
    struct query_compact_result result;
    bool is_done = false;
    const struct lh_str none = {0};
    enum lh_code code = catalog_fulfilled(compactor->catalog, job_id(job), none, none, arena,
                                          &is_done, &commit, err);
    if (!code && is_done)
        code = lh_fields_parse(&query_compact_result_fields, commit.result, "The job's record",
                               JOBS_ARGS_BYTES_MAX, arena, &result, err);
    if (!code && is_done) {
        struct query_compact_item *items =
            (struct query_compact_item *)(uintptr_t)result.datasets.items;
        if (result.datasets.count == 1) /* what was known only after the commit */
            items[0].version = commit.version;
        job_set_result(job, lh_fields_text(&query_compact_result_fields, &result,
                                           JOBS_RESULT_BYTES_MAX, arena));
    }
    if (!code)
        *ret_is_done = is_done;
    lh_arena_free(arena);
    return code;
}

/* --- the door */

enum lh_code query_compactor_new(const struct query_compactor_options *options,
                                 struct query_compactor **ret, struct lh_error *err)
{
    struct query_compactor *compactor = calloc(1, sizeof *compactor);
    if (!compactor)
        return lh_fail(err, LH_BUSY, "There is no memory for compaction.");
    *compactor = (struct query_compactor){
        .engine = options->engine,
        .storage = options->storage,
        .catalog = options->catalog,
        .jobs = options->jobs,
        .file_bytes = options->file_bytes ? options->file_bytes : QUERY_COMPACT_FILE_BYTES};
    *ret = compactor;
    return LH_OK;
}

void query_compactor_free(struct query_compactor *compactor)
{
    free(compactor);
}

static enum lh_code make_spec(struct query_compactor *compactor,
                              const struct query_compact_request *request, struct lh_arena *arena,
                              struct job_spec *ret, struct lh_error *err)
{
    struct lh_str_list ids = {0};
    struct compact_args args = {.actor = request->actor,
                                .reason = request->reason,
                                .is_automatic = request->is_automatic,
                                .has_room = request->has_room};
    if (request->dataset.len) {
        enum lh_code code = list_datasets(compactor, request->dataset, arena, &ids, err);
        if (code)
            return code;
        args.dataset_id = ids.items[0];
    }
    *ret = (struct job_spec){.kind = lh_lit(QUERY_COMPACT_JOB_KIND),
                             .dataset = request->dataset,
                             .actor = request->actor,
                             .args =
                                 lh_fields_text(&args_fields, &args, JOBS_RESULT_BYTES_MAX, arena)};
    return LH_OK;
}

enum lh_code query_compact(struct query_compactor *compactor,
                           const struct query_compact_request *request,
                           const struct lh_cancel *cancel, struct lh_arena *arena,
                           struct query_compact_result *ret, struct lh_error *err)
{
    struct job_spec spec;
    struct lh_str result = {0};
    if (request->is_dry_run)
        return look_at_all(compactor, request, arena, ret, err);
    enum lh_code code = make_spec(compactor, request, arena, &spec, err);
    if (!code)
        code = jobs_run(compactor->jobs, &spec, cancel, arena, NULL, &result, err);
    return code ? code
                : lh_fields_parse(&query_compact_result_fields, result, "The job's record",
                                  JOBS_ARGS_BYTES_MAX, arena, ret, err);
}

enum lh_code query_compact_later(struct query_compactor *compactor,
                                 const struct query_compact_request *request,
                                 struct lh_uuid *ret_job_id, struct lh_error *err)
{
    struct job_spec spec;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = make_spec(compactor, request, arena, &spec, err);
    if (!code)
        code = jobs_submit(compactor->jobs, &spec, ret_job_id, err);
    lh_arena_free(arena);
    return code;
}
