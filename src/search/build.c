/* Building: one pass over the dataset, its new rows embedded and written part by part.
 *
 *   (model fitted) ─▶ manifest ─▶ part 1 ─▶ manifest ─▶ part 2 ─▶ manifest … ─▶ last part ─▶
 * "ready"
 *
 * A part is published first and named by the next manifest; what a kill leaves between the two is
 * an orphan. Whoever goes on after a kill passes over the same rows in the same order, finds those
 * of the recorded parts indexed, and cuts the rest into the same parts. A refresh ends with one
 * part more, or with fewer (merge.c). */
#include "search/building.h"

#include <inttypes.h>

#include "base/clock.h"

/* The first part is small, so that little is lost early; later ones are an eighth of what is there,
 * so that a large index has few, and a kill costs an eighth of the work at most. */
#define PART_ENTRIES_MIN 8192
#define PART_ENTRIES_MAX 131072
#define PART_VECTOR_BYTES_MAX ((size_t)256 << 20)
#define MODEL_BYTES_MAX ((size_t)1 << 30)

struct build {
    struct search_index *index;
    struct search *search;
    struct index_manifest *manifest; /* as it stands on disk, or one step ahead */
    struct job *job;
    struct pass pass;
    const struct build_target *target;
    struct merging merging;
    struct lh_arena *arena;
    bool is_quiet;
    int64_t entries; /* in recorded parts */
    int64_t chunks_embedded;
    int64_t started_us;
};

static void show(struct build *build, const char *phase)
{
    const struct pass *pass = &build->pass;
    int64_t chunks = build->chunks_embedded + (pass->fresh ? (int64_t)pass->fresh->count : 0);
    job_set_progress(build->job, &(struct job_progress){.phase = lh_str_of(phase),
                                                        .rows_done = pass->rows,
                                                        .rows_total = {true, build->target->rows},
                                                        .chunks_done = {true, chunks}});
}

static void show_pass(struct pass *pass)
{
    show(pass->context, "embedding");
}

/* --- what the model learns */

static enum lh_code learn(void *context, struct lh_str text, struct lh_error *err)
{
    void **fit_and_embedder = context;
    const struct search_embedder *embedder = fit_and_embedder[1];
    return embedder->fit_add(fit_and_embedder[0], &text, 1, err);
}

static enum lh_code fit(struct build *build, const struct search_embedder *embedder,
                        struct lh_buf *bytes, struct lh_error *err)
{
    void *context[2] = {NULL, (void *)(uintptr_t)embedder};
    enum lh_code code = embedder->fit_new(embedder->context, &context[0], err);
    if (!code)
        code = pass_texts(build->search, build->manifest, build->pass.dataset_name,
                          build->target->version, build->pass.cancel, learn, context, err);
    if (!code)
        code = embedder->fit_finish(context[0], bytes, err);
    embedder->fit_free(context[0]);
    return code;
}

/* The old generation is served until the new one is whole; what there is of that is named beside
 * it, so that whoever goes on after a kill finds it. */
static enum lh_code publish_beside(struct build *build, struct lh_error *err)
{
    const struct index_manifest *made = build->manifest;
    const struct index_next next = {.attempt = job_attempt(build->job),
                                    .dimensions = made->dimensions,
                                    .generation = made->generation,
                                    .job_id = job_id(build->job),
                                    .model_file = made->model_file,
                                    .parts = made->parts};
    struct index_manifest *head = index_head(build->index);
    struct index_manifest *step = index_manifest_copy(head);
    index_manifest_set_next(step, &next);
    enum lh_code code = index_publish(build->index, step, err);
    if (!code)
        job_checkpoint(build->job);
    index_manifest_unref(head);
    index_manifest_unref(step);
    return code;
}

static enum lh_code publish(struct build *build, struct lh_error *err)
{
    enum lh_code code = lh_cancel_fail(build->pass.cancel, "The index", err);
    if (!code && build->is_quiet)
        return publish_beside(build, err);
    if (!code)
        code = index_publish(build->index, build->manifest, err);
    if (code)
        return code;
    job_checkpoint(build->job);
    /* What is published is not changed any more. */
    struct index_manifest *next = index_manifest_copy(build->manifest);
    index_manifest_unref(build->manifest);
    build->manifest = next;
    build->pass.manifest = next;
    return LH_OK;
}

static enum lh_code ensure_model(struct build *build, struct lh_error *err)
{
    struct index_manifest *manifest = build->manifest;
    if (!manifest->model.len || manifest->model_file)
        return LH_OK;
    const struct search_embedder *embedder =
        find_embedder(build->search, manifest->model, manifest->model_version);
    if (!embedder || !embedder->fit_new)
        return LH_OK; /* nothing to learn; model_load says what is missing */
    struct lh_buf bytes;
    struct lh_uuid name = lh_uuid_new();
    struct index_object *file = lh_arena_alloc(manifest->arena, sizeof *file);
    lh_buf_init(&bytes, MODEL_BYTES_MAX);
    show(build, "fitting");
    enum lh_code code = fit(build, embedder, &bytes, err);
    if (!code)
        code = lh_buf_check(&bytes, "What the model learned", err);
    if (!code)
        code = object_write(build->search, index_bucket(manifest),
                            lh_arena_printf(manifest->arena, SEARCH_FOLDER "/%.*s/%s.model",
                                            LH_ARG(manifest->id), name.text),
                            lh_buf_str(&bytes), manifest->arena, file, err);
    lh_buf_release(&bytes);
    if (code)
        return code;
    manifest->model_file = file;
    return publish(build, err);
}

/* --- how long given vectors are */

static enum lh_code measure(struct build *build, struct lh_error *err)
{
    struct index_manifest *manifest = build->manifest;
    const struct search_source *source = &build->search->options.source;
    const struct engine_chunk *chunk = NULL;
    void *rows = NULL;
    struct lh_buf sql;
    if (!manifest->vector_column.len || manifest->dimensions)
        return LH_OK;
    lh_buf_init(&sql, 65536);
    lh_buf_append_str(&sql, lh_lit("SELECT CAST(len("));
    engine_quote_ident(&sql, manifest->vector_column);
    lh_buf_append_str(&sql, lh_lit(") AS BIGINT) FROM "));
    engine_quote_ident(&sql, build->pass.dataset_name);
    lh_buf_printf(&sql, " AT (VERSION => %" PRId64 ") WHERE ", build->target->version);
    engine_quote_ident(&sql, manifest->vector_column);
    lh_buf_append_str(&sql, lh_lit(" IS NOT NULL LIMIT 1"));
    enum lh_code code = lh_buf_check(&sql, "The statement", err);
    if (!code)
        code =
            source->open(source->context, lh_buf_str(&sql), NULL, build->pass.cancel, &rows, err);
    if (!code)
        code = source->next(rows, &chunk, err);
    if (!code && chunk)
        manifest->dimensions = ((const int64_t *)chunk->columns[0].data)[0];
    source->close(rows);
    lh_buf_release(&sql);
    if (!code && (manifest->dimensions < 1 || manifest->dimensions > SEARCH_DIMENSIONS_MAX)) {
        lh_fail(err, LH_INVALID, "The column '%.*s' has %s.", LH_ARG(manifest->vector_column),
                chunk ? "vectors of no usable length" : "no vectors");
        return lh_error_field(err, lh_lit("vector_column"));
    }
    return code;
}

/* --- parts */

static size_t next_part_entries(const struct build *build)
{
    size_t row = (size_t)build->manifest->dimensions * sizeof(float);
    size_t most = row ? PART_VECTOR_BYTES_MAX / row : PART_ENTRIES_MAX;
    size_t size = (size_t)build->entries / 8;
    size = size > PART_ENTRIES_MIN ? size : PART_ENTRIES_MIN;
    size = size < PART_ENTRIES_MAX ? size : PART_ENTRIES_MAX;
    return size < most ? size : most;
}

/* What was fresh stands in a part of the manifest. */
static void end_fresh(struct build *build)
{
    struct pass *pass = &build->pass;
    build->entries += (int64_t)pass->fresh->count;
    build->chunks_embedded += (int64_t)pass->fresh->count;
    entries_unref(pass->fresh);
    pass->fresh = NULL;
    pass->flush_entries = next_part_entries(build);
}

static enum lh_code write_fresh(struct build *build, struct lh_error *err)
{
    struct pass *pass = &build->pass;
    struct index_part part;
    if (!pass->fresh || !pass->fresh->count)
        return LH_OK;
    enum lh_code code = part_write(build->search, build->manifest, pass->fresh, pass->cancel,
                                   build->manifest->arena, &part, err);
    if (code)
        return code;
    index_manifest_add_part(build->manifest, &part);
    end_fresh(build);
    return LH_OK;
}

static enum lh_code embed_and_write(struct build *build, struct lh_error *err)
{
    enum lh_code code = pass_embed(&build->pass, err);
    show(build, "writing");
    return code ? code : write_fresh(build, err);
}

/* A first build cuts parts as they shall stay. A merge that fails costs nothing: what is fresh is
 * written by itself, and the next refresh tries again. */
static void merge(struct build *build)
{
    struct pass *pass = &build->pass;
    bool is_first = build->manifest->state == SEARCH_BUILDING || build->target->from_scratch;
    struct lh_error late = LH_ERROR_NONE;
    build->merging = (struct merging){.search = build->search,
                                      .manifest = build->manifest,
                                      .fresh = pass->fresh,
                                      .cancel = pass->cancel,
                                      .arena = build->arena};
    if (is_first || merge_parts(&build->merging, pass->view, &late))
        return;
    if (build->merging.took_fresh)
        end_fresh(build);
}

static enum lh_code flush(struct pass *pass, struct lh_error *err)
{
    struct build *build = pass->context;
    enum lh_code code = embed_and_write(build, err);
    return code ? code : publish(build, err);
}

/* Rows that are indexed and not in the dataset: an entry each that says so. */
static enum lh_code add_removals(struct build *build, int64_t *ret_removed, struct lh_error *err)
{
    static const uint8_t no_hash[SEARCH_HASH_BYTES];
    struct pass *pass = &build->pass;
    const struct view *view = pass->view;
    size_t at = 0;
    enum lh_code code = LH_OK;
    *ret_removed = 0;
    for (size_t part = 0; part < view->part_count && !code; part++) {
        for (size_t i = 0; i < view->parts[part]->count && !code; i++) {
            size_t ordinal = view->bases[part] + i;
            if (view->parts[part]->chunks[i] != 0 || bit_is_set(view->dead, ordinal) ||
                bit_is_set(pass->seen, ordinal))
                continue;
            const struct entry entry = {.id = view_entry(view, ordinal, &at)->ids[i],
                                        .chunk = ENTRY_REMOVED,
                                        .hash = no_hash};
            if (!pass->fresh)
                pass->fresh = entries_new((size_t)build->manifest->dimensions, true);
            code = entries_add(pass->fresh, &entry, err);
            ++*ret_removed;
        }
    }
    return code;
}

/* --- all of it */

static void describe(struct build *build, int64_t removed, struct search_build_result *ret)
{
    const struct pass *pass = &build->pass;
    struct index_manifest *manifest = build->manifest;
    bool is_first = manifest->state == SEARCH_BUILDING || build->target->from_scratch;
    int64_t elapsed_us = lh_clock_monotonic_us() - build->started_us;
    manifest->dataset_version = build->target->version;
    manifest->dataset_data = lh_arena_str(manifest->arena, build->target->data);
    manifest->dataset_name = lh_arena_str(manifest->arena, build->target->name);
    manifest->rows = pass->rows;
    manifest->empty_rows = pass->empty_rows;
    manifest->null_ids = pass->null_ids;
    manifest->duplicate_ids = pass->duplicate_ids;
    *ret = (struct search_build_result){
        .index_name = manifest->name,
        .dataset = manifest->dataset_name,
        .dataset_version = manifest->dataset_version,
        .rows = pass->rows,
        /* One that goes on after a stop has made all of them. */
        .new = is_first ? pass->rows : pass->new_rows,
        .changed = pass->changed,
        .removed = removed,
        .chunks_embedded = is_first ? build->entries : build->chunks_embedded - removed,
        .empty_rows = pass->empty_rows,
        .null_ids = pass->null_ids,
        .duplicate_ids = pass->duplicate_ids,
        .stale_cleared = true,
        .rows_per_second = elapsed_us > 0 ? (double)pass->rows * 1e6 / (double)elapsed_us : 0,
        .elapsed_ms = elapsed_us / 1000,
    };
}

static enum lh_code finish(struct build *build, struct search_build_result *ret,
                           struct lh_error *err)
{
    int64_t removed = 0;
    enum lh_code code = add_removals(build, &removed, err);
    if (!code)
        code = pass_embed(&build->pass, err);
    if (code)
        return code;
    show(build, "writing");
    merge(build);
    code = write_fresh(build, err);
    if (code)
        return code;
    describe(build, removed, ret);
    struct index_manifest *head = index_head(build->index);
    ret->version = head->version + 1;
    index_manifest_unref(head);
    build->manifest->state = SEARCH_READY;
    build->manifest->result =
        lh_fields_text(&search_build_result_fields, ret, (size_t)65536, build->manifest->arena);
    build->is_quiet = false;
    show(build, "publishing");
    code = publish(build, err);
    if (!code)
        index_trash_files(build->search, index_bucket(build->manifest), &build->merging.replaced,
                          NULL);
    return code;
}

static enum lh_code prepare(struct build *build, struct view **ret_view, struct lh_error *err)
{
    enum lh_code code = measure(build, err);
    if (!code)
        code = ensure_model(build, err);
    if (!code)
        code = view_load(build->search, build->manifest, false, NULL, NULL, build->pass.cancel,
                         ret_view, err);
    if (!code && build->manifest->model.len)
        code = model_load(build->search, build->manifest, &build->pass.model, err);
    for (size_t i = 0; i < build->manifest->parts.count && !code; i++)
        build->entries += index_parts(build->manifest)[i].entries;
    build->pass.view = *ret_view;
    build->pass.flush_entries = next_part_entries(build);
    return code;
}

/* A new generation, or what this very job made of it before it was stopped. */
static void begin_anew(struct build *build, const struct index_manifest *manifest)
{
    const struct index_next *next = manifest->next;
    struct index_manifest *made = build->manifest;
    build->is_quiet = true;
    made->next = NULL;
    made->parts = (struct lh_list){0};
    made->model_file = NULL;
    made->graph = NULL;
    made->generation++;
    if (!made->model.len)
        made->dimensions = 0; /* of given vectors: as they are now */
    if (!next || !lh_str_equal(next->job_id, job_id(build->job)))
        return;
    index_manifest_take_next(made, next);
}

enum lh_code build_run(struct search_index *index, const struct index_manifest *manifest,
                       const struct build_target *target, struct job *job,
                       struct search_build_result *ret, struct lh_error *err)
{
    struct view *view = NULL;
    struct build build = {
        .index = index,
        .search = index->search,
        .manifest = index_manifest_copy(manifest),
        .job = job,
        .target = target,
        .started_us = lh_clock_monotonic_us(),
        .arena = lh_arena_new(0),
    };
    /* Between two versions it covers none: searches compare it with the dataset row by row. */
    if (manifest->state == SEARCH_READY)
        build.manifest->dataset_data = (struct lh_str){0};
    if (target->from_scratch)
        begin_anew(&build, manifest);
    build.pass = (struct pass){.search = index->search,
                               .manifest = build.manifest,
                               .dataset_name = target->name,
                               .dataset_version = target->version,
                               .cancel = job_cancel(job),
                               .flush = flush,
                               .progress = show_pass,
                               .context = &build};
    enum lh_code code = prepare(&build, &view, err);
    if (!code)
        code = pass_run(&build.pass, err);
    if (!code)
        code = finish(&build, ret, err);
    if (!code && target->from_scratch) {
        index_trash_files(index->search, index_bucket(manifest), &manifest->parts,
                          manifest->model_file);
        index_trash_graph(index->search, index_bucket(manifest), manifest->graph);
    }
    pass_release(&build.pass);
    model_unref(build.pass.model);
    view_unref(view);
    index_manifest_unref(build.manifest);
    lh_arena_free(build.arena);
    return code;
}
