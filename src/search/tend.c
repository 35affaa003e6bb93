/* Tending graphs: which index has one, when it is made, extended, made anew or dropped.
 *
 *                      enough rows                 many new rows: extended
 *   (exact) ──────────────────────────▶ graph ──▶ many gone, another configuration,
 *      ▲                                 │         found bad: made anew
 *      └─────────────────────────────────┘
 *           less than half of that
 *
 * A graph is made beside what is served: built, measured, written, then named by the next manifest.
 * Whatever stops it before leaves the index as it was; a file without a name is swept. What the
 * graph does not have yet is searched exactly beside it, so small refreshes leave it alone. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "search/tending.h"
#include "search/tuning.h"

#define TAIL_ENTRIES_MIN 1024 /* searched exactly beside any graph, */
#define TAIL_PART 32          /* and such a part of what it has */
#define GONE_PART 3           /* of the numbers: it is made anew */

/* --- what is due */

static int64_t entries_of(const struct lh_list *parts)
{
    int64_t entries = 0;
    for (size_t i = 0; i < parts->count; i++)
        entries += ((const struct index_part *)parts->items)[i].entries;
    return entries;
}

static bool has_part(const struct index_manifest *manifest, struct lh_str key)
{
    for (size_t i = 0; i < manifest->parts.count; i++)
        if (lh_str_equal(index_parts(manifest)[i].key, key))
            return true;
    return false;
}

static enum plan plan_of_graph(const struct index_manifest *head,
                               const struct search_configuration *wanted)
{
    const struct index_graph *graph = head->graph;
    const struct index_graph_part *parts = graph->parts.items;
    int64_t numbers = 0, covered = 0, gone = 0;
    for (size_t i = 0; i < graph->parts.count; i++) {
        numbers += graph_span(parts[i].entries);
        if (has_part(head, parts[i].key))
            covered += parts[i].entries;
        else
            gone += parts[i].entries;
    }
    int64_t tail = entries_of(&head->parts) - covered;
    if (!search_configuration_builds_same(graph->configuration, wanted) ||
        gone > numbers / GONE_PART)
        return PLAN_BUILD;
    if (tail > TAIL_ENTRIES_MIN && tail > covered / TAIL_PART)
        return PLAN_EXTEND;
    return graph->configuration->ef_search == wanted->ef_search ? PLAN_NOTHING : PLAN_MEASURE;
}

static enum plan plan_of(const struct search *search, const struct index_manifest *head,
                         const struct search_configuration *wanted, bool is_bad)
{
    int64_t entries = entries_of(&head->parts), least = search->options.graph_rows;
    least = least ? least : SEARCH_GRAPH_ROWS_PRESET;
    if (head->state != SEARCH_READY || head->is_deleted || !head->dimensions)
        return PLAN_NOTHING;
    if (entries < (head->graph ? (least + 1) / 2 : least))
        return head->graph ? PLAN_DROP : PLAN_NOTHING;
    return !head->graph || is_bad ? PLAN_BUILD : plan_of_graph(head, wanted);
}

/* Locked. */
static bool is_bad(const struct search_index *index, const struct index_manifest *head)
{
    return index->bad_graph[0] && head->graph &&
           lh_str_equal(head->graph->file->key, lh_str_of(index->bad_graph));
}

bool graph_is_due(struct search *search, const struct index_manifest *head)
{
    const struct search_configuration wanted = index_configuration(head);
    bool bad = false, is_busy = false;
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), head->id)) {
            bad = is_bad(index, head);
            is_busy = index->is_busy;
        }
    pthread_mutex_unlock(&search->lock);
    return !is_busy && plan_of(search, head, &wanted, bad) != PLAN_NOTHING;
}

/* --- what is wrong */

void graph_is_bad(struct search *search, const struct view *view, const struct lh_error *why)
{
    const struct index_graph *graph = view->manifest->graph;
    bool is_news = false;
    pthread_mutex_lock(&search->lock);
    for (struct search_index *index = search->indexes; index; index = index->next) {
        const struct index_graph *now = index->head->graph;
        /* One that was replaced meanwhile may be gone. */
        if (!lh_str_equal(lh_uuid_str(&index->id), view->manifest->id) || !now ||
            !lh_str_equal(now->file->key, graph->file->key) ||
            !lh_str_equal(index->head->bucket, view->manifest->bucket) ||
            is_bad(index, index->head))
            continue;
        snprintf(index->bad_graph, sizeof index->bad_graph, "%.*s", LH_ARG(graph->file->key));
        snprintf(index->graph_trouble, sizeof index->graph_trouble,
                 "%.200s Until it is made anew, searches look at all.", why->message);
        is_news = true;
    }
    pthread_mutex_unlock(&search->lock);
    if (is_news && search->options.on_change)
        search->options.on_change(search->options.context);
}

static void note_trouble(struct search_index *index, const struct lh_error *why)
{
    pthread_mutex_lock(&index->search->lock);
    snprintf(index->graph_trouble, sizeof index->graph_trouble, "%.200s%s", why ? why->message : "",
             why ? " Searches look at all." : "");
    pthread_mutex_unlock(&index->search->lock);
}

/* --- making */

void tending_show(const struct tending *tending, const char *phase, size_t done, size_t total)
{
    if (!tending->job)
        return;
    job_set_progress(tending->job, &(struct job_progress){.phase = lh_str_of(phase),
                                                          .rows_done = (int64_t)done,
                                                          .rows_total = {true, (int64_t)total}});
}

static void show_graph(void *context, size_t done, size_t total)
{
    tending_show(context, "graph", done, total);
}

static enum lh_code make(struct tending *tending, struct lh_error *err)
{
    const struct view *view = tending_view(tending);
    const struct graph_work work = {.threads = tending->search->options.graph_threads,
                                    .cancel = tending->cancel,
                                    .progress = show_graph,
                                    .context = tending};
    if (tending->plan == PLAN_MEASURE)
        return LH_OK;
    if (tending->plan == PLAN_EXTEND)
        return view_graph_extend(tending->search->options.storage, view, &work, tending->arena,
                                 &tending->graph, &tending->made.parts, err);
    const struct index_part *parts = index_parts(view->manifest);
    struct index_graph_part *covered =
        lh_arena_array(tending->arena, view->part_count + 1, sizeof *covered);
    for (size_t i = 0; i < view->part_count; i++)
        covered[i] = (struct index_graph_part){parts[i].entries, parts[i].key};
    tending->made.parts = (struct lh_list){covered, view->part_count};
    return view_graph_build(view, view->mute, &tending->configuration, &work, &tending->graph, err);
}

/* --- writing */

static enum lh_code add_to_staged(void *context, const void *bytes, size_t count,
                                  struct lh_error *err)
{
    return storage_staged_write(context, bytes, count, err);
}

static enum lh_code write_graph(struct tending *tending, struct lh_error *err)
{
    struct storage *storage = tending->search->options.storage;
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    struct lh_uuid name = lh_uuid_new();
    struct index_object *file = lh_arena_alloc(tending->arena, sizeof *file);
    char hex[LH_SHA256_HEX_BYTES + 1];
    file->key = lh_arena_printf(tending->arena, SEARCH_FOLDER "/%.*s/%s.graph",
                                LH_ARG(tending->head->id), name.text);
    enum lh_code code = storage_stage(storage, lh_lit(".graph"), &staged, err);
    if (!code)
        code = graph_write_to(tending->graph, add_to_staged, staged, tending->cancel, err);
    if (!code)
        code = storage_staged_seal(staged, &sum, err);
    if (!code)
        code = storage_staged_publish(staged, index_bucket(tending->head), file->key, err);
    storage_staged_discard(staged);
    if (code)
        return code;
    lh_hex(sum.sha256, sizeof sum.sha256, hex);
    file->sha256 = lh_arena_str(tending->arena, lh_str_of(hex));
    file->bytes = sum.bytes;
    tending->made.file = file;
    return LH_OK;
}

/* What the job gave stands under the number of the manifest that says so last. */
static void renumber_result(struct index_manifest *next, int64_t version)
{
    json_t *result = NULL;
    if (!next->result.len ||
        lh_json_parse(next->result, "The index's result", JOBS_RESULT_BYTES_MAX, &result, NULL))
        return;
    if (json_integer_value(json_object_get(result, "version")) == version) {
        json_object_set_new(result, "version", json_integer(version + 1));
        char *text = json_dumps(result, JSON_COMPACT | JSON_PRESERVE_ORDER);
        if (text)
            next->result = lh_arena_str(next->arena, lh_str_of(text));
        free(text);
    }
    json_decref(result);
}

static enum lh_code publish(struct tending *tending, const struct index_graph *graph,
                            struct lh_error *err)
{
    struct index_manifest *head = tending->head, *next = index_manifest_copy(head);
    index_manifest_set_graph(next, graph);
    if (tending->is_reconfigured)
        index_manifest_set_configuration(next, &tending->configuration);
    if (tending->promotion) {
        tending->promotion->promoted_at.unix_ms = lh_clock_unix_ms();
        index_manifest_set_configuration(
            next, tending->promotion->config ? tending->promotion->config : tending->otherwise);
        index_manifest_set_promotion(next, tending->promotion);
    }
    renumber_result(next, head->version);
    enum lh_code code = index_publish(tending->index, next, err);
    if (!code)
        note_trouble(tending->index, NULL);
    if (!code && tending->job)
        job_checkpoint(tending->job);
    if (!code && head->graph && (!graph || !lh_str_equal(graph->file->key, head->graph->file->key)))
        index_trash_graph(tending->search, index_bucket(head), head->graph);
    index_manifest_unref(next);
    return code;
}

/* --- the whole */

/* On a thread that gives way: queries come first. */
struct last {
    struct tending *tending;
    struct lh_error *err;
    enum lh_code code;
};

static void *run_last(void *context)
{
    struct last *last = context;
    struct tending *tending = last->tending;
    lh_thread_be_last();
    last->code = make(tending, last->err);
    if (!last->code)
        last->code = graph_measure(tending, last->err);
    if (!last->code && tending->graph) {
        tending_show(tending, "writing", 0, 0);
        last->code = write_graph(tending, last->err);
    }
    return NULL;
}

static int64_t bytes_expected(const struct tending *tending)
{
    struct graph_options options = {.dimensions = (size_t)tending->head->dimensions};
    search_configuration_to_graph(&tending->configuration, &options);
    int64_t row = tending->head->dimensions + 4 * (int64_t)options.links + 16; /* at most */
    return tending->plan == PLAN_MEASURE ? 0 : entries_of(&tending->head->parts) * row;
}

static enum lh_code make_and_publish(struct tending *tending, struct lh_error *err)
{
    struct last last = {.tending = tending, .err = err};
    struct index_graph *made = &tending->made;
    pthread_t thread;
    enum lh_code code =
        pin_open(tending->search, tending->head->name, tending->cancel, &tending->pin, err);
    if (code)
        return code;
    if (tending->plan == PLAN_MEASURE && !tending_view(tending)->graph)
        tending->plan = PLAN_BUILD; /* it could not be opened */
    if (tending->plan == PLAN_MEASURE)
        *made = *tending->head->graph;
    made->configuration = &tending->configuration;
    code = memory_claim_making(tending->index, tending->head->name, bytes_expected(tending), err);
    if (!code)
        code = lh_thread_start("graph", run_last, &last, &thread, err);
    if (!code) {
        pthread_join(thread, NULL);
        code = last.code;
    }
    if (!code) {
        const struct view *view = tending_view(tending);
        made->made_at.unix_ms = lh_clock_unix_ms();
        made->rows = (int64_t)bits_clear(view->mute, view->span);
        made->dataset_version = tending->head->dataset_version;
        code = publish(tending, made, err);
    }
    graph_free(tending->graph); /* lends rows of the view */
    memory_settle_making(tending->index);
    pin_release(&tending->pin);
    return code;
}

static enum lh_code tend(struct tending *of, struct lh_error *err)
{
    struct tending tending = *of;
    struct search_index *index = of->index;
    struct search *search = of->search;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&search->lock);
    bool bad = is_bad(index, tending.head);
    pthread_mutex_unlock(&search->lock);
    tending.plan = plan_of(search, tending.head, &tending.configuration, bad);
    if (tending.plan == PLAN_DROP)
        code = publish(&tending, NULL, err);
    else if (tending.plan != PLAN_NOTHING)
        code = make_and_publish(&tending, err);
    else if (tending.promotion || tending.is_reconfigured)
        code = publish(&tending, tending.head->graph, err);
    else
        note_trouble(index, NULL);
    return code;
}

/* Of the newest manifest, by which all of them begin and end. */
static enum lh_code tend_newest(struct tending tending, const struct search_configuration *wanted,
                                struct lh_error *err)
{
    tending.search = tending.index->search;
    tending.head = index_head(tending.index);
    tending.arena = lh_arena_new(0);
    tending.configuration = wanted ? *wanted : index_configuration(tending.head);
    enum lh_code code = tend(&tending, err);
    index_manifest_unref(tending.head);
    lh_arena_free(tending.arena);
    return code;
}

enum lh_code graph_tend(struct search_index *index, struct job *job, const struct lh_cancel *cancel,
                        struct lh_error *err)
{
    return tend_newest((struct tending){.index = index, .job = job, .cancel = cancel}, NULL, err);
}

enum lh_code graph_promote(struct search_index *index, struct search_promotion *promotion,
                           const struct search_configuration *otherwise,
                           const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct search_configuration preset = search_configuration_preset();
    const struct search_configuration *wanted = otherwise ? otherwise : &preset;
    return tend_newest(
        (struct tending){
            .index = index, .cancel = cancel, .promotion = promotion, .otherwise = otherwise},
        promotion->config ? promotion->config : wanted, err);
}

static enum lh_code fail_promoted(struct lh_str name, struct lh_error *err)
{
    lh_fail(err, LH_CONFLICT, "The index '%.*s' uses the configuration that is promoted.",
            LH_ARG(name));
    return lh_error_hint(err, "POST /vectors/hnsw/rollback/%.*s takes it back.", LH_ARG(name));
}

enum lh_code search_reconfigure(struct search *search, struct lh_str name,
                                const struct search_configuration *configuration,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = search_configuration_check(configuration, err);
    if (!code)
        code = index_find(search, name, &index, err);
    if (code)
        return code;
    code = index_begin(index, err);
    if (!code) {
        struct index_manifest *head = index_head(index);
        if (head->state != SEARCH_READY)
            code = lh_fail(err, LH_CONFLICT, "The index '%.*s' is still being built.",
                           LH_ARG(head->name));
        else if (head->promotion && head->promotion->config)
            code = fail_promoted(head->name, err);
        else
            code = tend_newest(
                (struct tending){.index = index, .cancel = cancel, .is_reconfigured = true},
                configuration, err);
        index_manifest_unref(head);
        index_end(index);
    }
    if (!code)
        index_warm(index, cancel);
    index_unref(index);
    return code;
}

/* --- vectors.graph */

static const struct lh_field result_rows[] = {
    LH_STR(struct search_graph_result, index_name, .required = true, .doc = "The index."),
    LH_INT(struct search_graph_result, version, .doc = "Of the index."),
    LH_INT(struct search_graph_result, rows, .doc = "That the graph finds; 0: there is none."),
    LH_INT(struct search_graph_result, ef_search, .doc = "Nodes kept on a walk."),
    LH_DOUBLE(struct search_graph_result, recall, .nullable = true,
              .doc = "Share of the ten nearest that it finds, as measured."),
    LH_INT(struct search_graph_result, sample, .doc = "Rows that it was measured with."),
    LH_INT(struct search_graph_result, elapsed_ms, .doc = "Of the whole."),
};
const struct lh_fields search_graph_result_fields =
    LH_FIELDS_OF(struct search_graph_result, "VectorsGraphResult", result_rows);

static void tell(struct search_index *index, struct job *job, int64_t started_us)
{
    struct index_manifest *head = index_head(index);
    const struct index_graph *graph = head->graph;
    const struct search_graph_result result = {
        .index_name = head->name,
        .version = head->version,
        .rows = graph ? graph->rows : 0,
        .ef_search = graph ? graph->ef_search : 0,
        .recall = index_graph_recall(graph, 0),
        .sample = graph ? graph->sample : 0,
        .elapsed_ms = (lh_clock_monotonic_us() - started_us) / 1000,
    };
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, JOBS_RESULT_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&search_graph_result_fields, &result, &json);
    job_set_result(job, lh_buf_str(&buf));
    lh_buf_release(&buf);
    index_manifest_unref(head);
}

enum lh_code search_graph_job(void *context, struct job *job, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct search_build_request request;
    struct search_index *index = NULL;
    int64_t started_us = lh_clock_monotonic_us();
    enum lh_code code = request_read(job, arena, &request, err);
    if (!code)
        code = index_find(context, request.index_name, &index, err);
    if (!code)
        code = index_begin(index, err);
    if (!code) {
        code = graph_tend(index, job, job_cancel(job), err);
        if (code)
            note_trouble(index, err);
        index_end(index);
        if (!code)
            index_warm(index, job_cancel(job));
        if (!code)
            tell(index, job, started_us);
    }
    index_unref(index);
    lh_arena_free(arena);
    return code;
}

enum lh_code graph_tend_after(struct search_index *index, struct job *job, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    struct index_manifest *before = index_head(index);
    enum lh_code code = graph_tend(index, job, job_cancel(job), &why);
    struct index_manifest *head = index_head(index);
    if (head->version != before->version && lh_str_equal(head->job_id, job_id(job)))
        job_set_result(job, head->result); /* with the version that stands now */
    index_manifest_unref(before);
    index_manifest_unref(head);
    if (code == LH_CANCELLED || code == LH_STOPPING || code == LH_UNKNOWN || code == LH_LOCKED) {
        if (err)
            *err = why;
        return code;
    }
    if (code)
        note_trouble(index, &why);
    return LH_OK;
}
