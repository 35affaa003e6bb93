/* Autotune: a grid of configurations is tried, the best is promoted.
 *
 *   accepted ─▶ eval set (drawn anew if stale) ─▶ graph, trial, trial … graph, trial … ─▶ winner
 *                                                     each kept at once           promoted, or not
 *
 * A job that was killed finds the trials that it kept and goes on behind them. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "jobs/jobs.h"
#include "search/trials.h"

#define BUSY_WAIT_NS 100000000L
#define BUSY_WAITS_MAX 6000 /* ten minutes: a build or refresh holds the index */

static const struct search_configuration usual_grid[] = {
    {20, 30, SEARCH_SEED_PRESET, SEARCH_M_PRESET},  {40, 30, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
    {80, 30, SEARCH_SEED_PRESET, SEARCH_M_PRESET},  {80, 60, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
    {160, 30, SEARCH_SEED_PRESET, SEARCH_M_PRESET},
};

static const struct lh_field request_rows[] = {
    LH_STR(struct search_autotune_request, index_name, .required = true, .doc = "The index."),
    LH_STR(struct search_autotune_request, harness, .doc = "The eval set."),
    LH_DOUBLE(struct search_autotune_request, min_recall,
              LH_PRESET_DOUBLE(SEARCH_MIN_RECALL_PRESET), .min = 0, .max = 1,
              .doc = "Below it nothing is promoted."),
    LH_CHOICE(struct search_autotune_request, metric, LH_PRESET(SEARCH_BEST_RECALL),
              .choices = search_autotune_metric_names, .doc = "What the winner is chosen by."),
    LH_LIST(struct search_autotune_request, grid, .fields = &search_configuration_fields,
            .max = SEARCH_GRID_MAX, .doc = "What is tried."),
};
const struct lh_fields search_autotune_request_fields =
    LH_FIELDS_OF(struct search_autotune_request, "AutotuneRequest", request_rows);

static const struct lh_field result_rows[] = {
    LH_STR(struct search_autotune_result, index_name, .required = true, .doc = "The index."),
    LH_STR(struct search_autotune_result, harness, .required = true, .doc = "The eval set."),
    LH_BOOL(struct search_autotune_result, is_harness_renewed,
            .doc = "The eval set was stale, and was drawn anew before anything was measured."),
    LH_DOUBLE(struct search_autotune_result, min_recall, .doc = "Below it nothing is promoted."),
    LH_LIST(struct search_autotune_result, trials, .fields = &search_trial_fields,
            .doc = "In the order of the grid."),
    LH_STR(struct search_autotune_result, winner, .doc = "The best trial, promoted or not."),
    LH_BOOL(struct search_autotune_result, is_promoted, .doc = "The winner is used from now on."),
    LH_STR(struct search_autotune_result, promotion_id, .doc = "The promotion."),
    LH_STR(struct search_autotune_result, note, .required = true, .doc = "What came of it."),
    LH_INT(struct search_autotune_result, elapsed_ms, .doc = "Of the last attempt."),
};
const struct lh_fields search_autotune_result_fields =
    LH_FIELDS_OF(struct search_autotune_result, "AutotuneResult", result_rows);

/* --- one for each index */

/* An autotune that was accepted; it may have ended since. */
struct tuning {
    struct tuning *next;
    struct lh_uuid index_id, job_id;
};

void tunings_free(struct search *search)
{
    while (search->tunings) {
        struct tuning *next = search->tunings->next;
        free(search->tunings);
        search->tunings = next;
    }
}

static bool goes_on(struct jobs *jobs, struct lh_str job_id)
{
    struct lh_arena *arena = lh_arena_new_small();
    struct job_info info;
    bool does = !jobs_get(jobs, job_id, arena, &info, NULL) && info.state <= JOB_RUNNING;
    lh_arena_free(arena);
    return does;
}

/* Under tune_lock. The place of the index in the list; LH_CONFLICT: another job has it. */
static enum lh_code find_place(struct search *search, struct jobs *jobs,
                               const struct search_index *index, struct lh_str own,
                               struct tuning **ret, struct lh_error *err)
{
    struct tuning *tuning = search->tunings;
    while (tuning && !lh_str_equal(lh_uuid_str(&tuning->index_id), lh_uuid_str(&index->id)))
        tuning = tuning->next;
    if (tuning && !lh_str_equal(lh_uuid_str(&tuning->job_id), own) &&
        goes_on(jobs, lh_uuid_str(&tuning->job_id))) {
        struct index_manifest *head = index_head((struct search_index *)(uintptr_t)index);
        lh_fail(err, LH_CONFLICT, "The index '%.*s' is being tuned by the job %s.",
                LH_ARG(head->name), tuning->job_id.text);
        index_manifest_unref(head);
        return lh_error_hint(err, "GET /jobs/%s tells how far it is; DELETE ends it.",
                             tuning->job_id.text);
    }
    if (!tuning) {
        tuning = lh_allocate(1, sizeof *tuning);
        tuning->index_id = index->id;
        tuning->next = search->tunings;
        search->tunings = tuning;
    }
    *ret = tuning;
    return LH_OK;
}

/* A job that begins, whether it was accepted by this process or by the one before. */
static enum lh_code take_place(struct search *search, struct jobs *jobs,
                               const struct search_index *index, struct job *job,
                               struct lh_error *err)
{
    struct tuning *tuning = NULL;
    pthread_mutex_lock(&search->tune_lock);
    enum lh_code code = find_place(search, jobs, index, job_id(job), &tuning, err);
    if (!code)
        memcpy(tuning->job_id.text, job_id(job).data, LH_UUID_TEXT_BYTES);
    pthread_mutex_unlock(&search->tune_lock);
    return code;
}

/* --- the request */

static enum lh_code check_grid(const struct lh_list *grid, struct lh_error *err)
{
    const struct search_configuration *items = grid->items;
    enum lh_code code = LH_OK;
    if (grid->count > SEARCH_GRID_MAX) {
        lh_fail(err, LH_INVALID, "A grid has at most %d configurations.", SEARCH_GRID_MAX);
        return lh_error_field(err, lh_lit("grid"));
    }
    for (size_t i = 0; i < grid->count && !code; i++) {
        code = search_configuration_check_tuned(&items[i], err);
        if (code && err) {
            char field[LH_ERROR_FIELD_BYTES];
            snprintf(field, sizeof field, "grid[%zu].%.60s", i, err->field);
            lh_error_field(err, lh_str_of(field));
        }
    }
    return code;
}

enum lh_code search_autotune_check(struct search *search,
                                   const struct search_autotune_request *request,
                                   struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_index *index = NULL;
    struct eval_set set;
    enum lh_code code = check_grid(&request->grid, err);
    if (!code && !(request->min_recall >= 0 && request->min_recall <= 1)) {
        lh_fail(err, LH_INVALID, "min_recall is a number from 0 to 1.");
        code = lh_error_field(err, lh_lit("min_recall"));
    }
    if (!code)
        code = index_find(search, request->index_name, &index, err);
    bool is_kept = request->harness.len &&
                   !lh_str_equal(request->harness, lh_lit(SEARCH_HARNESS_PRESET)) &&
                   !lh_str_equal(request->harness, lh_lit(SEARCH_HARNESS_CALLERS));
    if (!code && is_kept) {
        struct index_manifest *head = index_head(index);
        code = eval_load(search, head, request->harness, arena, &set, err);
        index_manifest_unref(head);
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

struct lh_str search_autotune_args(const struct search_autotune_request *request,
                                   struct lh_arena *arena)
{
    return lh_fields_text(&search_autotune_request_fields, request, JOBS_ARGS_BYTES_MAX, arena);
}

enum lh_code search_autotune_submit(struct search *search, struct jobs *jobs,
                                    const struct search_autotune_request *request,
                                    struct lh_str actor, struct lh_uuid *ret_id,
                                    struct lh_error *err)
{
    struct search_index *index = NULL;
    struct tuning *tuning = NULL;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = search_autotune_check(search, request, err);
    if (!code)
        code = index_find(search, request->index_name, &index, err);
    if (!code) {
        struct index_manifest *head = index_head(index);
        const struct job_spec spec = {.kind = lh_lit(SEARCH_AUTOTUNE_JOB_KIND),
                                      .dataset = head->dataset_name,
                                      .actor = actor,
                                      .args = search_autotune_args(request, arena)};
        pthread_mutex_lock(&search->tune_lock);
        code = find_place(search, jobs, index, (struct lh_str){0}, &tuning, err);
        if (!code)
            code = jobs_submit(jobs, &spec, ret_id, err);
        if (!code)
            tuning->job_id = *ret_id;
        pthread_mutex_unlock(&search->tune_lock);
        index_manifest_unref(head);
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

/* --- the eval set */

/* What was drawn is drawn anew when it is stale, the usual one also when it is not there. */
enum lh_code harness_settle(struct search *search, const struct index_manifest *head,
                            struct lh_str name, struct lh_str actor, const struct lh_cancel *cancel,
                            struct lh_arena *arena, bool *ret_is_renewed, struct lh_error *err)
{
    struct eval_set set;
    struct search_eval told;
    struct lh_error why = LH_ERROR_NONE;
    const struct catalog_dataset *dataset = NULL;
    struct search_autogen request = {.name = name,
                                     .index_name = head->name,
                                     .queries = SEARCH_EVAL_QUERIES_PRESET,
                                     .k = SEARCH_K_PRESET,
                                     .seed = SEARCH_SEED_PRESET,
                                     .actor = actor};
    *ret_is_renewed = false;
    if (lh_str_equal(name, lh_lit(SEARCH_HARNESS_CALLERS)))
        return LH_OK;
    enum lh_code code = eval_load(search, head, name, arena, &set, &why);
    if (code == LH_NOT_FOUND && lh_str_equal(name, lh_lit(SEARCH_HARNESS_PRESET)))
        return search_eval_autogen(search, &request, cancel, arena, &told, err);
    if (code) {
        if (err)
            *err = why;
        return code;
    }
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    if (catalog_find_id(snapshot, head->dataset_id, &dataset, NULL))
        dataset = NULL;
    bool is_stale = eval_stale_because(&set, head, dataset, arena).len > 0;
    catalog_snapshot_unref(snapshot);
    if (!is_stale || set.kind == SEARCH_EVAL_LABELLED || !dataset)
        return LH_OK;
    request.queries = (int64_t)set.queries.count;
    request.k = set.k;
    request.seed = set.seed;
    *ret_is_renewed = true;
    return search_eval_autogen(search, &request, cancel, arena, &told, err);
}

/* --- the job */

struct tune {
    struct search *search;
    struct job *job;
    struct lh_arena *arena;
    const struct search_autotune_request *request;
    struct bench bench;
    const struct search_configuration *grid;
    size_t grid_count;
    struct search_trial *trials; /* of the grid */
    bool *is_tried;
    size_t entries;             /* of one graph */
    size_t graphs, graphs_done; /* that are to be built */
};

static void show(struct tune *tune, const char *phase, size_t done)
{
    const struct job_progress progress = {
        .phase = lh_str_of(phase),
        .rows_done = (int64_t)(tune->graphs_done * tune->entries + done),
        .rows_total = {true, (int64_t)(tune->graphs * tune->entries)},
    };
    job_set_progress(tune->job, &progress);
}

static void show_build(void *context, size_t done, size_t total)
{
    (void)total;
    show(context, "building a graph", done);
}

/* What an earlier attempt of this very job kept, on the same vectors. */
static enum lh_code find_own_trials(struct tune *tune, struct lh_error *err)
{
    const struct index_manifest *manifest = tune->bench.view->manifest;
    struct search_trial *trials = NULL;
    size_t count = 0;
    enum lh_code code = trials_read(tune->search, manifest, tune->arena, &trials, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        for (size_t g = 0; g < tune->grid_count; g++)
            if (lh_str_equal(trials[i].job_id, job_id(tune->job)) &&
                trials[i].generation == manifest->generation &&
                search_configuration_equal(trials[i].config, &tune->grid[g])) {
                tune->trials[g] = trials[i];
                tune->is_tried[g] = true;
            }
    return code;
}

/* Is it the first of the grid that needs this graph? */
static bool begins_graph(const struct tune *tune, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (!tune->is_tried[i] && search_configuration_builds_same(&tune->grid[i], &tune->grid[at]))
            return false;
    return !tune->is_tried[at];
}

/* Every configuration of the grid that `graph` is right for. */
static enum lh_code try_graph(struct tune *tune, const struct bench_graph *graph, size_t first,
                              struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = first; i < tune->grid_count && !code; i++) {
        if (tune->is_tried[i] ||
            !search_configuration_builds_same(&tune->grid[i], &tune->grid[first]))
            continue;
        const struct trial_case of = {.bench = &tune->bench,
                                      .graph = graph,
                                      .configuration = &tune->grid[i],
                                      .actor = job_actor(tune->job),
                                      .job_id = job_id(tune->job)};
        show(tune, "measuring", tune->entries);
        code = trial_measure(&of, tune->arena, &tune->trials[i], err);
        if (!code) {
            tune->is_tried[i] = true;
            job_checkpoint(tune->job);
        }
    }
    return code;
}

static enum lh_code try_all(struct tune *tune, struct lh_error *err)
{
    enum lh_code code = find_own_trials(tune, err);
    for (size_t p = 0; p < tune->bench.view->part_count; p++)
        tune->entries += tune->bench.view->parts[p]->count;
    for (size_t i = 0; i < tune->grid_count && !code; i++)
        tune->graphs += begins_graph(tune, i);
    for (size_t i = 0; i < tune->grid_count && !code; i++) {
        struct bench_graph graph;
        if (tune->is_tried[i])
            continue;
        code = bench_build(&tune->bench, &tune->grid[i], show_build, tune, &graph, err);
        if (code)
            break;
        code = try_graph(tune, &graph, i, err);
        bench_graph_release(&tune->bench, &graph);
        tune->graphs_done++;
    }
    return code;
}

/* A build or refresh that holds the index ends some time. */
static enum lh_code promote_winner(struct tune *tune, const struct search_trial *winner,
                                   struct lh_str note, struct search_promotion *ret,
                                   struct lh_error *err)
{
    const struct search_promote_request request = {.index_name = tune->bench.view->manifest->name,
                                                   .trial_id = winner->trial_id,
                                                   .promoted_by = job_actor(tune->job),
                                                   .note = note,
                                                   .job_id = job_id(tune->job)};
    enum lh_code code = LH_CONFLICT;
    show(tune, "promoting", 0);
    for (int i = 0; i < BUSY_WAITS_MAX && code == LH_CONFLICT; i++) {
        if (i && (code = lh_cancel_fail(tune->bench.cancel, "The autotune", err)))
            return code;
        if (i)
            (void)nanosleep(&(struct timespec){0, BUSY_WAIT_NS}, NULL);
        code = search_promote(tune->search, &request, tune->bench.cancel, tune->arena, ret, err);
    }
    return code;
}

static enum lh_code conclude(struct tune *tune, struct search_autotune_result *result,
                             struct lh_error *err)
{
    const struct search_trial *winner = &tune->trials[trial_choose(
        tune->trials, tune->grid_count, (enum search_metric)tune->request->metric,
        tune->request->min_recall)];
    struct search_promotion promotion;
    result->winner = winner->trial_id;
    result->trials = (struct lh_list){tune->trials, tune->grid_count};
    if (winner->recall < tune->request->min_recall) {
        result->note = lh_arena_printf(
            tune->arena, "Nothing is promoted: the best recall is %.4f, and %.4f is asked for.",
            winner->recall, tune->request->min_recall);
        return LH_OK;
    }
    result->note = lh_arena_printf(tune->arena, "autotune winner: recall=%.4f p50=%.0fus",
                                   winner->recall, winner->p50_us);
    enum lh_code code = promote_winner(tune, winner, result->note, &promotion, err);
    if (code)
        return code;
    result->is_promoted = true;
    result->promotion_id = promotion.promotion_id;
    return LH_OK;
}

static void tell(struct job *job, const struct search_autotune_result *result)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, JOBS_RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&search_autotune_result_fields, result, &json);
    job_set_result(job, lh_buf_str(&buf));
    lh_buf_release(&buf);
}

static enum lh_code tune_index(struct search *search, struct search_index *index, struct job *job,
                               const struct search_autotune_request *request,
                               struct lh_arena *arena, struct lh_error *err)
{
    struct tune tune = {.search = search, .job = job, .arena = arena, .request = request};
    struct search_autotune_result result = {.min_recall = request->min_recall};
    int64_t started_us = lh_clock_monotonic_us();
    struct index_manifest *head = index_head(index);
    result.index_name = lh_arena_str(arena, head->name);
    result.harness = request->harness.len ? request->harness : lh_lit(SEARCH_HARNESS_PRESET);
    tune.grid = request->grid.count ? request->grid.items : usual_grid;
    tune.grid_count =
        request->grid.count ? request->grid.count : sizeof usual_grid / sizeof usual_grid[0];
    tune.trials = lh_arena_array(arena, tune.grid_count, sizeof *tune.trials);
    tune.is_tried = lh_arena_array(arena, tune.grid_count, sizeof *tune.is_tried);
    enum lh_code code = harness_settle(search, head, result.harness, job_actor(job),
                                       job_cancel(job), arena, &result.is_harness_renewed, err);
    if (!code)
        code = bench_open(search, head->name, result.harness, job_cancel(job), &tune.bench, err);
    index_manifest_unref(head);
    if (code)
        return code;
    code = try_all(&tune, err);
    if (!code)
        code = conclude(&tune, &result, err);
    if (!code) {
        result.elapsed_ms = (lh_clock_monotonic_us() - started_us) / 1000;
        tell(job, &result);
    }
    bench_close(&tune.bench);
    return code;
}

static enum lh_code read_request(struct job *job, struct lh_arena *arena,
                                 struct search_autotune_request *ret, struct lh_error *err)
{
    enum lh_code code =
        lh_fields_parse(&search_autotune_request_fields, job_args(job), "The job's arguments",
                        JOBS_ARGS_BYTES_MAX, arena, ret, err);
    return code ? code : lh_fields_check(&search_autotune_request_fields, ret, err);
}

/* What this very job promoted before it was stopped; what it measured stands in the trials. */
static bool was_done(const struct index_manifest *head, struct job *job,
                     const struct search_autotune_request *request)
{
    const struct search_promotion *promotion = head->promotion;
    if (!promotion || !lh_str_equal(promotion->job_id, job_id(job)))
        return false;
    const struct search_autotune_result result = {
        .index_name = head->name,
        .harness = promotion->harness,
        .min_recall = request->min_recall,
        .winner = promotion->trial_id,
        .is_promoted = true,
        .promotion_id = promotion->promotion_id,
        .note = promotion->note,
    };
    tell(job, &result);
    return true;
}

enum lh_code search_autotune_job(struct search *search, struct jobs *jobs, struct job *job,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_autotune_request request;
    struct search_index *index = NULL;
    enum lh_code code = read_request(job, arena, &request, err);
    if (!code)
        code = index_find(search, request.index_name, &index, err);
    if (!code)
        code = take_place(search, jobs, index, job, err);
    if (!code) {
        struct index_manifest *head = index_head(index);
        if (!was_done(head, job, &request))
            code = tune_index(search, index, job, &request, arena, err);
        index_manifest_unref(head);
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

enum lh_code search_autotune_find(struct search *search, struct job *job, bool *ret_is_done,
                                  struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_autotune_request request;
    struct search_index *index = NULL;
    *ret_is_done = false;
    enum lh_code code = read_request(job, arena, &request, err);
    if (!code && !index_find(search, request.index_name, &index, NULL)) {
        struct index_manifest *head = index_head(index);
        *ret_is_done = was_done(head, job, &request);
        index_manifest_unref(head);
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}
