/* The two kinds of jobs: an index is made, an index is brought up to date; and which ones need it.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "search/building.h"
#include "search/view_graph.h"

static const struct lh_field result_rows[] = {
    LH_STR(struct search_build_result, index_name, .required = true, .doc = "The index."),
    LH_STR(struct search_build_result, dataset, .required = true, .doc = "What it is made from."),
    LH_INT(struct search_build_result, dataset_version, .doc = "That it covers now."),
    LH_INT(struct search_build_result, version, .doc = "Of the index."),
    LH_INT(struct search_build_result, rows, .doc = "Of the dataset, with an id of their own."),
    LH_INT(struct search_build_result, new, .doc = "Rows that were not indexed."),
    LH_INT(struct search_build_result, changed, .doc = "Rows whose text was another one."),
    LH_INT(struct search_build_result, removed, .doc = "Rows that the dataset no longer has."),
    LH_INT(struct search_build_result, chunks_embedded, .doc = "Vectors that were made."),
    LH_INT(struct search_build_result, empty_rows,
           .doc = "Rows without text: known, but nothing finds them."),
    LH_INT(struct search_build_result, null_ids, .doc = "Rows left out: they have no id."),
    LH_INT(struct search_build_result, duplicate_ids,
           .doc = "Rows left out: an earlier one has their id."),
    LH_BOOL(struct search_build_result, stale_cleared, .doc = "The index lagged and does not now."),
    LH_DOUBLE(struct search_build_result, rows_per_second, .doc = "From the first to the last."),
    LH_INT(struct search_build_result, elapsed_ms, .doc = "Of the whole."),
};
const struct lh_fields search_build_result_fields =
    LH_FIELDS_OF(struct search_build_result, "VectorsBuildResult", result_rows);

static const struct lh_field stale_rows[] = {
    LH_STR(struct search_stale, dataset, .required = true, .doc = "What has changed."),
    LH_STR(struct search_stale, index_name, .required = true, .doc = "What lags behind."),
    LH_TIME(struct search_stale, stale_since, .doc = "The first change that it does not cover."),
    LH_INT(struct search_stale, age_s, .doc = "Seconds since then."),
    LH_STR(struct search_stale, policy, .required = true, .doc = "When it is refreshed."),
    LH_INT(struct search_stale, rows_waiting, .doc = "New and changed rows."),
    LH_INT(struct search_stale, rows_removed, .doc = "Rows that are gone."),
    LH_STR(struct search_stale, problem,
           .doc = "Why neither is known (both say 0): the index cannot be read. Absent: they are."),
};
const struct lh_fields search_stale_fields =
    LH_FIELDS_OF(struct search_stale, "VectorsStale", stale_rows);

/* --- arguments and results */

enum lh_code request_read(struct job *job, struct lh_arena *arena, struct search_build_request *ret,
                          struct lh_error *err)
{
    enum lh_code code =
        lh_fields_parse(&search_build_request_fields, job_args(job), "The job's arguments",
                        JOBS_ARGS_BYTES_MAX, arena, ret, err);
    return code ? code : lh_fields_check(&search_build_request_fields, ret, err);
}

static void tell(struct job *job, const struct search_build_result *result)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, JOBS_RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&search_build_result_fields, result, &json);
    job_set_result(job, lh_buf_str(&buf));
    lh_buf_release(&buf);
}

/* The manifest that the job starts from: the newest, told whose work goes on. */
static struct index_manifest *take_over(struct search_index *index, struct job *job)
{
    struct index_manifest *head = index_head(index);
    struct index_manifest *manifest = index_manifest_copy(head);
    manifest->job_id = lh_arena_str(manifest->arena, job_id(job));
    manifest->attempt = job_attempt(job);
    index_manifest_unref(head);
    return manifest;
}

void index_warm(struct search_index *index, const struct lh_cancel *cancel)
{
    struct pin pin;
    struct index_manifest *head = index_head(index);
    struct lh_error ignored = LH_ERROR_NONE;
    if (!pin_open(index->search, head->name, cancel, &pin, &ignored))
        pin_release(&pin);
    index_manifest_unref(head);
}

static enum lh_code run_and_tell(struct search_index *index, const struct index_manifest *manifest,
                                 const struct build_target *target, struct job *job,
                                 struct lh_error *err)
{
    struct search_build_result result;
    enum lh_code code = build_run(index, manifest, target, job, &result, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    result.index_name = head->name;
    result.dataset = head->dataset_name;
    tell(job, &result);
    index_manifest_unref(head);
    return LH_OK;
}

/* --- vectors.index */

/* The version that the build was begun for, under the name that the dataset has now. */
static enum lh_code first_target(struct search *search, const struct index_manifest *manifest,
                                 struct lh_arena *arena, struct build_target *ret,
                                 struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    enum lh_code code = catalog_find_id(snapshot, manifest->dataset_id, &dataset, err);
    if (!code)
        *ret = (struct build_target){.name = lh_arena_str(arena, dataset->name),
                                     .version = manifest->dataset_version,
                                     .data = manifest->dataset_data,
                                     .rows = dataset->row_count};
    else if (code == LH_NOT_FOUND)
        code = lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' is gone.",
                       LH_ARG(manifest->dataset_name));
    catalog_snapshot_unref(snapshot);
    return code;
}

/* A kill is no fault of the work, but a text that takes the process down would do so for ever:
 * after so many attempts in a row that wrote nothing, the build is given up. */
#define FRUITLESS_ATTEMPTS_MAX 25

static enum lh_code check_attempts(struct search_index *index, int64_t fruitful, struct job *job,
                                   struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    enum lh_code code = LH_OK;
    if (job_attempt(job) - fruitful > FRUITLESS_ATTEMPTS_MAX)
        code = lh_fail(err, LH_INTERNAL,
                       "The server went down %d times in a row while it built the index '%.*s', so "
                       "it is not built.",
                       FRUITLESS_ATTEMPTS_MAX, LH_ARG(head->name));
    index_manifest_unref(head);
    return code;
}

/* A first build that failed leaves nothing; one that was stopped goes on later. */
static enum lh_code build_first(struct search_index *index, struct job *job, struct lh_arena *arena,
                                struct lh_error *err)
{
    struct build_target target;
    struct index_manifest *before = index_head(index);
    enum lh_code code = check_attempts(index, before->attempt, job, err);
    struct index_manifest *manifest = take_over(index, job);
    index_manifest_unref(before);
    job_checkpoint(job); /* from here on the attempts are counted by the index */
    if (!code)
        code = first_target(index->search, manifest, arena, &target, err);
    if (!code)
        code = run_and_tell(index, manifest, &target, job, err);
    index_manifest_unref(manifest);
    struct index_manifest *head = index_head(index);
    bool is_half = head->state == SEARCH_BUILDING;
    index_manifest_unref(head);
    struct lh_error late = LH_ERROR_NONE;
    if (code && is_half && code != LH_STOPPING && code != LH_UNKNOWN)
        forgive(index_remove(index, &late));
    return code;
}

static enum lh_code create(struct search *search, const struct search_build_request *request,
                           struct job *job, struct search_index **ret, struct lh_error *err)
{
    struct index_manifest *manifest = NULL;
    enum lh_code code = request_manifest(search, request, &manifest, err);
    if (code)
        return code;
    manifest->job_id = lh_arena_str(manifest->arena, job_id(job));
    manifest->attempt = job_attempt(job);
    code = index_create(search, manifest, ret, err);
    index_manifest_unref(manifest);
    return code;
}

/* The index of that name, if this very job made or is making it. */
static enum lh_code find_own(struct search *search, struct lh_str name, struct job *job,
                             struct search_index **ret, bool *ret_is_done, struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, name, &index, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    bool is_own = lh_str_equal(head->job_id, job_id(job));
    *ret_is_done = is_own && head->state == SEARCH_READY;
    if (*ret_is_done && head->result.len)
        job_set_result(job, head->result);
    index_manifest_unref(head);
    if (!is_own) {
        index_unref(index);
        return lh_fail(err, LH_EXISTS, "There is an index '%.*s' already.", LH_ARG(name));
    }
    *ret = index;
    return LH_OK;
}

static enum lh_code make_index(struct search *search, const struct search_build_request *request,
                               struct job *job, struct lh_arena *arena, struct lh_error *err)
{
    struct search_index *index = NULL;
    bool is_done = false;
    enum lh_code code = find_own(search, request->index_name, job, &index, &is_done, err);
    if (code == LH_NOT_FOUND) {
        code = create(search, request, job, &index, err); /* and begun */
        if (code)
            return code;
    } else if (!code && !is_done) {
        code = index_begin(index, err);
    }
    if (!code && !is_done) {
        code = build_first(index, job, arena, err);
        if (!code)
            code = graph_tend_after(index, job, err);
        index_end(index);
        if (!code)
            index_warm(index, job_cancel(job));
    }
    index_unref(index);
    return code;
}

enum lh_code search_index_job(void *context, struct job *job, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_build_request request;
    enum lh_code code = request_read(job, arena, &request, err);
    if (!code)
        code = make_index(context, &request, job, arena, err);
    lh_arena_free(arena);
    return code;
}

/* --- vectors.refresh */

/* The manifest of the last step says what the whole gave, under its own number; those of the steps
 * before carry on what an earlier job gave. */
static bool is_whole(const struct index_manifest *head)
{
    json_t *result = NULL;
    if (head->state != SEARCH_READY || !head->result.len ||
        lh_json_parse(head->result, "The index's result", JOBS_RESULT_BYTES_MAX, &result, NULL))
        return false;
    bool is_last = json_integer_value(json_object_get(result, "version")) == head->version;
    json_decref(result);
    return is_last;
}

/* This very job brought the index up before it was stopped. */
static bool was_done(struct search_index *index, struct job *job)
{
    struct index_manifest *head = index_head(index);
    bool is_done = lh_str_equal(head->job_id, job_id(job)) && is_whole(head);
    if (is_done)
        job_set_result(job, head->result);
    index_manifest_unref(head);
    return is_done;
}

/* What another job left half made goes; what this one made is gone on with. */
static enum lh_code make_room(struct search_index *index, struct job *job, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    const struct index_next *next = head->next;
    bool is_own = next && lh_str_equal(next->job_id, job_id(job));
    enum lh_code code = check_attempts(index, is_own ? next->attempt : 0, job, err);
    job_checkpoint(job); /* from here on the attempts are counted by the index */
    if (!code && next && !is_own)
        code = index_drop_next(index, err);
    index_manifest_unref(head);
    return code;
}

/* A new generation that failed leaves nothing; one that was stopped goes on later. */
static void clear_up(struct search_index *index, struct job *job, enum lh_code code)
{
    struct index_manifest *head = index_head(index);
    bool is_own = head->next && lh_str_equal(head->next->job_id, job_id(job));
    index_manifest_unref(head);
    if (code && is_own && code != LH_STOPPING && code != LH_UNKNOWN && code != LH_LOCKED)
        forgive(index_drop_next(index, &(struct lh_error)LH_ERROR_NONE));
}

static enum lh_code refresh(struct search *search, struct search_index *index,
                            const struct search_build_request *request, struct job *job,
                            struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    struct index_manifest *manifest = take_over(index, job);
    int64_t started_us = lh_clock_monotonic_us();
    enum lh_code code = request_fits(request, manifest, err);
    if (!code)
        code = catalog_find_id(snapshot, manifest->dataset_id, &dataset, err);
    if (!code)
        code = index_fits_dataset(manifest, dataset, err);
    if (!code) {
        const struct build_target target = {.name = dataset->name,
                                            .version = dataset->version,
                                            .data = dataset_fingerprint(dataset, manifest->arena),
                                            .rows = dataset->row_count,
                                            .from_scratch = request->from_scratch};
        if (target.from_scratch || !index_covers(manifest, dataset, manifest->arena))
            code = run_and_tell(index, manifest, &target, job, err);
        else
            tell(job, &(struct search_build_result){
                          .index_name = manifest->name,
                          .dataset = dataset->name,
                          .dataset_version = dataset->version,
                          .version = manifest->version,
                          .rows = manifest->rows,
                          .elapsed_ms = (lh_clock_monotonic_us() - started_us) / 1000});
    }
    index_manifest_unref(manifest);
    catalog_snapshot_unref(snapshot);
    return code;
}

enum lh_code search_refresh_job(void *context, struct job *job, struct lh_error *err)
{
    struct search *search = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct search_build_request request;
    struct search_index *index = NULL;
    enum lh_code code = request_read(job, arena, &request, err);
    if (!code)
        code = index_find(search, request.index_name, &index, err);
    if (code == LH_NOT_FOUND) {
        code = make_index(search, &request, job, arena, err);
    } else if (!code) {
        struct index_manifest *head = index_head(index);
        bool is_building = head->state == SEARCH_BUILDING;
        index_manifest_unref(head);
        if (is_building) { /* by this very job, before it was stopped; or by another, which says so
                            */
            code = make_index(search, &request, job, arena, err);
        } else if (!(code = index_begin(index, err))) {
            code = request.from_scratch ? make_room(index, job, err) : LH_OK;
            if (!code && !was_done(index, job))
                code = refresh(search, index, &request, job, err);
            clear_up(index, job, code);
            if (!code)
                code = graph_tend_after(index, job, err);
            index_end(index);
            if (!code)
                index_warm(index, job_cancel(job));
        }
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

/* --- what was done before */

enum lh_code search_find_effect(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_build_request request;
    struct search_index *index = NULL;
    enum lh_code code = request_read(job, arena, &request, err);
    if (!code)
        code = index_find(context, request.index_name, &index, err);
    if (!code) {
        struct index_manifest *head = index_head(index);
        *ret_is_done = lh_str_equal(head->job_id, job_id(job)) && is_whole(head);
        if (*ret_is_done)
            job_set_result(job, head->result);
        index_manifest_unref(head);
    } else if (code == LH_NOT_FOUND) {
        *ret_is_done = false;
        code = LH_OK;
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

/* --- what is stale */

static int64_t first_change(struct search *search, const struct catalog_dataset *dataset,
                            int64_t covered, struct lh_arena *arena)
{
    struct catalog_version *versions = NULL;
    size_t count = 0;
    struct lh_error ignored = LH_ERROR_NONE;
    int64_t most = dataset->version - covered;
    int64_t since = dataset->updated_ms;
    if (most < 1 || most > 1000 ||
        catalog_versions(search->options.catalog, dataset, 0, (size_t)most, arena, &versions,
                         &count, &ignored))
        return since;
    for (size_t i = 0; i < count; i++)
        if (versions[i].version > covered)
            since = versions[i].time_ms;
    return since;
}

static enum lh_code count_waiting(struct search *search, struct index_manifest *head,
                                  const struct catalog_dataset *dataset,
                                  const struct lh_cancel *cancel, struct search_stale *stale,
                                  struct lh_error *err)
{
    struct view *view = NULL;
    enum lh_code code = view_load(search, head, false, NULL, NULL, cancel, &view, err);
    if (code)
        return code;
    struct pass pass = {.search = search,
                        .manifest = head,
                        .view = view,
                        .dataset_name = dataset->name,
                        .dataset_version = dataset->version,
                        .cancel = cancel,
                        .is_count_only = true};
    code = pass_run(&pass, err);
    stale->rows_waiting = pass.new_rows + pass.changed;
    stale->rows_removed = (int64_t)view->live_rows - (pass.rows - pass.new_rows);
    pass_release(&pass);
    view_unref(view);
    return code;
}

enum lh_code search_stale_since(struct search *search, struct lh_str name, int64_t *ret_unix_ms,
                                struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, name, &index, err);
    if (code)
        return code;
    const struct catalog_dataset *dataset = NULL;
    struct lh_arena *arena = lh_arena_new(0);
    struct index_manifest *head = index_head(index);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    bool is_stale = !catalog_find_id(snapshot, head->dataset_id, &dataset, NULL) &&
                    !index_covers(head, dataset, arena);
    *ret_unix_ms = is_stale ? first_change(search, dataset, head->dataset_version, arena) : 0;
    catalog_snapshot_unref(snapshot);
    index_manifest_unref(head);
    index_unref(index);
    lh_arena_free(arena);
    return LH_OK;
}

static enum lh_code look(struct search *search, struct index_manifest *head,
                         const struct catalog_snapshot *snapshot, const struct lh_cancel *cancel,
                         struct lh_arena *arena, struct search_stale *ret, bool *ret_is_stale,
                         struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    *ret_is_stale = false;
    if (head->state != SEARCH_READY ||
        catalog_find_id(snapshot, head->dataset_id, &dataset, NULL) ||
        index_fits_dataset(head, dataset, NULL) || index_covers(head, dataset, arena))
        return LH_OK;
    struct search_stale stale = {
        .dataset = lh_arena_str(arena, dataset->name),
        .index_name = lh_arena_str(arena, head->name),
        .stale_since = {first_change(search, dataset, head->dataset_version, arena)},
        .policy = lh_str_of(catalog_refresh_kind_names[search_policy_of(head, dataset).kind])};
    stale.age_s = (lh_clock_unix_ms() - stale.stale_since.unix_ms) / 1000;
    enum lh_code code = count_waiting(search, head, dataset, cancel, &stale, err);
    /* A dataset that was written anew with the same rows leaves nothing to do but to note it. */
    *ret_is_stale = true;
    *ret = stale;
    return code;
}

/* Parts that were merged, or an index that was removed, while it was looked at. */
static enum lh_code look_newest(struct search *search, struct index_manifest **head,
                                const struct catalog_snapshot *snapshot,
                                const struct lh_cancel *cancel, struct lh_arena *arena,
                                struct search_stale *ret, bool *ret_is_stale, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    for (;;) {
        enum lh_code code = look(search, *head, snapshot, cancel, arena, ret, ret_is_stale, &why);
        struct index_manifest *newest = code == LH_DAMAGED ? registry_head(search, *head) : NULL;
        if (code == LH_DAMAGED && newest != *head) {
            index_manifest_unref(*head);
            *head = newest;
            *ret_is_stale = false;
            if (newest)
                continue;
            return LH_OK;
        }
        index_manifest_unref(newest);
        if (code == LH_DAMAGED || code == LH_IO) { /* the others are told all the same */
            ret->rows_waiting = ret->rows_removed = 0;
            ret->problem = lh_arena_str(arena, lh_str_of(why.message));
            return LH_OK;
        }
        if (code && err)
            *err = why;
        return code;
    }
}

static int compare_stale(const void *a, const void *b)
{
    const struct search_stale *x = a, *y = b;
    return lh_str_compare_nocase(x->index_name, y->index_name);
}

enum lh_code search_stale_list(struct search *search, const struct lh_cancel *cancel,
                               struct lh_arena *arena, struct search_stale **ret, size_t *ret_count,
                               struct lh_error *err)
{
    struct index_manifest **heads = NULL;
    size_t count = 0, found = 0;
    enum lh_code code = LH_OK;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    registry_heads(search, &heads, &count);
    struct search_stale *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count && !code; i++) {
        bool is_stale = false;
        code =
            look_newest(search, &heads[i], snapshot, cancel, arena, &items[found], &is_stale, err);
        found += is_stale;
    }
    for (size_t i = 0; i < count; i++)
        index_manifest_unref(heads[i]);
    free(heads);
    catalog_snapshot_unref(snapshot);
    if (code)
        return code;
    qsort(items, found, sizeof *items, compare_stale);
    *ret = items;
    *ret_count = found;
    return LH_OK;
}
