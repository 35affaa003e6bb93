/* Trials: made, kept, listed, compared. */
#include "search/trials.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

const char *const search_metric_names[] = {"recall", "latency", "pareto", NULL};
const char *const search_autotune_metric_names[] = {"recall", "latency", NULL};

/* Times of which the higher is the other's by chance, on a machine that does other things too. */
#define CLOSE_SHARE 0.1
#define CLOSE_US 2.0

static const struct lh_field relevance_rows[] = {
    LH_DOUBLE(struct search_relevance, recall,
              .doc = "Share of the relevant rows among the first k."),
    LH_DOUBLE(struct search_relevance, mrr, .doc = "Mean of 1 / the place of the first of them."),
    LH_DOUBLE(struct search_relevance, ndcg, .doc = "Gains by place, of the best there could be."),
};
const struct lh_fields search_relevance_fields =
    LH_FIELDS_OF(struct search_relevance, "TrialRelevance", relevance_rows);

static const struct lh_field trial_rows[] = {
    LH_STR(struct search_trial, trial_id, .required = true, .doc = "The later, the higher."),
    LH_STR(struct search_trial, index_name, .doc = "What was tried on."),
    LH_STR(struct search_trial, harness, .required = true, .doc = "The eval set."),
    LH_OBJECT(struct search_trial, config, const struct search_configuration *,
              .fields = &search_configuration_fields, .required = true, .doc = "What was tried."),
    LH_DOUBLE(struct search_trial, recall,
              .doc = "Share of the true nearest that the graph found, from 0 to 1."),
    LH_DOUBLE(struct search_trial, p50_us, .doc = "Half of the searches took so long at most."),
    LH_DOUBLE(struct search_trial, p95_us, .doc = "All but a twentieth."),
    LH_INT(struct search_trial, evaluations,
           .doc = "Rows that a search looks at, in codes or floats, on average; 0: not counted."),
    LH_INT(struct search_trial, build_ms, .doc = "How long the graph was built."),
    LH_INT(struct search_trial, bytes, .doc = "Of the graph, without the vectors."),
    LH_INT(struct search_trial, queries, .doc = "That were asked."),
    LH_INT(struct search_trial, k, .doc = "Rows of an answer."),
    LH_INT(struct search_trial, entries, .doc = "Chunks in the graph."),
    LH_OBJECT(struct search_trial, relevance, const struct search_relevance *,
              .fields = &search_relevance_fields,
              .doc = "Of a labelled set: against what people said."),
    LH_INT(struct search_trial, dataset_version, .doc = "That the index covered."),
    LH_INT(struct search_trial, generation, .doc = "Of the index's vectors."),
    LH_BOOL(struct search_trial, is_stale,
            .doc = "The eval set was older than the rows: the truth was found anew."),
    LH_STR(struct search_trial, trial_by, .doc = "Who asked for it."),
    LH_STR(struct search_trial, job_id, .doc = "The autotune that it was part of."),
    LH_TIME(struct search_trial, trial_at, .doc = "When it was measured."),
};
const struct lh_fields search_trial_fields =
    LH_FIELDS_OF(struct search_trial, "GraphTrial", trial_rows);

const struct ledger trials_ledger = {SEARCH_TRIALS_FOLDER, &search_trial_fields, TRIALS_KEPT};

uint64_t search_ledger_stamp(const struct search *search)
{
    return atomic_load(&search->ledger_stamp);
}

/* --- made */

static void fill(const struct trial_case *of, const struct measured *measured,
                 struct lh_arena *arena, struct search_trial *trial)
{
    const struct index_manifest *manifest = of->bench->view->manifest;
    struct search_configuration *config = lh_arena_alloc(arena, sizeof *config);
    struct lh_uuid id = lh_uuid_new();
    *config = *of->configuration;
    *trial = (struct search_trial){
        .trial_id = lh_arena_str(arena, lh_uuid_str(&id)),
        .harness = lh_arena_str(arena, of->bench->set.name),
        .config = config,
        .recall = measured->recall,
        .p50_us = measured->p50_us,
        .p95_us = measured->p95_us,
        .evaluations = llround(measured->evaluations),
        .build_ms = of->graph->build_ms,
        .bytes = graph_state(of->graph->graph).bytes,
        .queries = (int64_t)of->bench->query_count,
        .k = (int64_t)of->bench->k,
        .entries = (int64_t)of->graph->rows,
        .dataset_version = manifest->dataset_version,
        .generation = manifest->generation,
        .is_stale = of->bench->is_stale,
        .trial_by = lh_arena_str(arena, of->actor),
        .job_id = lh_arena_str(arena, of->job_id),
        .trial_at = {lh_clock_unix_ms()},
    };
    if (measured->has_labels) {
        struct search_relevance *relevance = lh_arena_alloc(arena, sizeof *relevance);
        *relevance = measured->relevance;
        trial->relevance = relevance;
    }
}

enum lh_code trial_measure(const struct trial_case *of, struct lh_arena *arena,
                           struct search_trial *ret, struct lh_error *err)
{
    const struct index_manifest *manifest = of->bench->view->manifest;
    struct measured measured;
    struct search_trial trial;
    enum lh_code code =
        bench_run(of->bench, of->graph, of->configuration->ef_search, &measured, err);
    if (code)
        return code;
    fill(of, &measured, arena, &trial);
    code = ledger_append(of->bench->search, &trials_ledger, manifest->id, &trial, 1, err);
    if (code)
        return code;
    trial.index_name = lh_arena_str(arena, manifest->name);
    *ret = trial;
    return LH_OK;
}

static enum lh_code settle_usual(struct search *search, struct lh_str index_name,
                                 struct lh_str actor, const struct lh_cancel *cancel,
                                 struct lh_error *err)
{
    struct search_index *index = NULL;
    bool is_renewed = false;
    enum lh_code code = index_find(search, index_name, &index, err);
    if (code)
        return code;
    struct lh_arena *arena = lh_arena_new(0);
    struct index_manifest *head = index_head(index);
    code = harness_settle(search, head, lh_lit(SEARCH_HARNESS_PRESET), actor, cancel, arena,
                          &is_renewed, err);
    index_manifest_unref(head);
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

enum lh_code search_trial_run(struct search *search, const struct search_trial_request *request,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct search_trial *ret, struct lh_error *err)
{
    struct bench bench;
    struct bench_graph graph;
    struct lh_str harness = request->harness;
    enum lh_code code = search_configuration_check(&request->configuration, err);
    if (!code && !harness.len) {
        harness = lh_lit(SEARCH_HARNESS_PRESET);
        code = settle_usual(search, request->index_name, request->actor, cancel, err);
    }
    if (!code)
        code = bench_open(search, request->index_name, harness, cancel, &bench, err);
    if (code)
        return code;
    code = bench_build(&bench, &request->configuration, NULL, NULL, &graph, err);
    if (!code) {
        const struct trial_case of = {.bench = &bench,
                                      .graph = &graph,
                                      .configuration = &request->configuration,
                                      .actor = request->actor};
        code = trial_measure(&of, arena, ret, err);
        bench_graph_release(&bench, &graph);
    }
    bench_close(&bench);
    return code;
}

/* --- read */

enum lh_code trials_read(struct search *search, const struct index_manifest *manifest,
                         struct lh_arena *arena, struct search_trial **ret, size_t *ret_count,
                         struct lh_error *err)
{
    struct lh_list records;
    enum lh_code code = ledger_read(search, &trials_ledger, manifest->id, arena, &records, err);
    if (code)
        return code;
    struct search_trial *trials = (struct search_trial *)(uintptr_t)records.items;
    struct lh_str name = lh_arena_str(arena, manifest->name);
    for (size_t i = 0; i < records.count; i++)
        trials[i].index_name = name;
    *ret = trials;
    *ret_count = records.count;
    return LH_OK;
}

static enum lh_code read_of(struct search *search, struct lh_str index_name, struct lh_arena *arena,
                            int64_t *ret_generation, struct search_trial **ret, size_t *ret_count,
                            struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, index_name, &index, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    *ret_generation = head->generation;
    code = trials_read(search, head, arena, ret, ret_count, err);
    index_manifest_unref(head);
    index_unref(index);
    return code;
}

enum lh_code search_trial_list(struct search *search, struct lh_str index_name, struct lh_str after,
                               size_t limit, struct lh_arena *arena, struct search_trial **ret,
                               size_t *ret_count, struct lh_str *ret_next, struct lh_error *err)
{
    struct search_trial *trials = NULL;
    size_t count = 0, kept = 0;
    int64_t generation = 0;
    enum lh_code code = read_of(search, index_name, arena, &generation, &trials, &count, err);
    if (code)
        return code;
    struct search_trial *items = lh_arena_array(arena, limit + 1, sizeof *items);
    for (size_t i = count; i > 0 && kept <= limit; i--)
        if (!after.len || lh_str_compare(trials[i - 1].trial_id, after) < 0)
            items[kept++] = trials[i - 1];
    *ret_next = kept > limit ? items[limit - 1].trial_id : (struct lh_str){0};
    *ret_count = kept > limit ? limit : kept;
    *ret = items;
    return LH_OK;
}

/* --- compared */

static bool is_better(const struct search_trial *a, const struct search_trial *b)
{
    return a->recall != b->recall ? a->recall > b->recall : a->p50_us < b->p50_us;
}

static bool is_faster(const struct search_trial *a, const struct search_trial *b)
{
    return a->p50_us != b->p50_us ? a->p50_us < b->p50_us : a->recall > b->recall;
}

/* Of two that are nearly as quick; one whose rows were not counted is taken for the slower. */
static bool is_lighter(const struct search_trial *a, const struct search_trial *b)
{
    if (a->evaluations != b->evaluations)
        return a->evaluations && (!b->evaluations || a->evaluations < b->evaluations);
    if (a->recall != b->recall)
        return a->recall > b->recall;
    return a->config->ef_search < b->config->ef_search;
}

size_t trial_choose(const struct search_trial *trials, size_t count, enum search_metric metric,
                    double min_recall)
{
    double best = 0, least, quickest = INFINITY;
    size_t winner = count;
    for (size_t i = 0; i < count; i++)
        best = trials[i].recall > best ? trials[i].recall : best;
    least = metric == SEARCH_BEST_LATENCY && min_recall < best ? min_recall : best;
    for (size_t i = 0; i < count; i++)
        if (trials[i].recall >= least && trials[i].p50_us < quickest)
            quickest = trials[i].p50_us;
    double close = quickest + fmax(quickest * CLOSE_SHARE, CLOSE_US);
    for (size_t i = 0; i < count; i++)
        if (trials[i].recall >= least && trials[i].p50_us <= close &&
            (winner == count || is_lighter(&trials[i], &trials[winner])))
            winner = i;
    return winner;
}

static int compare_by_speed(const void *a, const void *b)
{
    return is_faster(a, b) ? -1 : is_faster(b, a);
}

/* Of the trials on today's vectors, the newest of each configuration. */
static size_t leave_newest(struct search_trial *trials, size_t count, int64_t generation)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_last = trials[i].generation == generation;
        for (size_t k = i + 1; k < count && is_last; k++)
            is_last = trials[k].generation != generation ||
                      !search_configuration_equal(trials[k].config, trials[i].config);
        if (is_last)
            trials[kept++] = trials[i];
    }
    return kept;
}

/* In the order of speed a trial is beaten unless it finds more than all before it. */
static size_t leave_pareto(struct search_trial *trials, size_t count)
{
    size_t kept = 0;
    qsort(trials, count, sizeof *trials, compare_by_speed);
    for (size_t i = 0; i < count; i++)
        if (!kept || trials[i].recall > trials[kept - 1].recall)
            trials[kept++] = trials[i];
    return kept;
}

enum lh_code search_trial_best(struct search *search, struct lh_str index_name,
                               enum search_metric metric, struct lh_arena *arena,
                               struct search_trial **ret, size_t *ret_count, struct lh_error *err)
{
    struct search_trial *trials = NULL;
    size_t count = 0, best = 0;
    int64_t generation = 0;
    enum lh_code code = read_of(search, index_name, arena, &generation, &trials, &count, err);
    if (code)
        return code;
    count = leave_newest(trials, count, generation);
    if (!count) {
        lh_fail(err, LH_NOT_FOUND, "The index '%.*s' has no trial on its vectors of today.",
                LH_ARG(index_name));
        return lh_error_hint(err, "POST /vectors/hnsw/trial makes one, POST /vectors/hnsw/autotune "
                                  "several.");
    }
    *ret = trials;
    if (metric == SEARCH_BEST_PARETO) {
        *ret_count = leave_pareto(trials, count);
        return LH_OK;
    }
    for (size_t i = 1; i < count; i++)
        if ((metric == SEARCH_BEST_RECALL ? is_better : is_faster)(&trials[i], &trials[best]))
            best = i;
    *ret = &trials[best];
    *ret_count = 1;
    return LH_OK;
}
