/* An index in memory: its parts, which of their entries are live, and where each row stands. */
#include "search/view_graph.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define MODEL_BYTES_MAX ((size_t)1 << 30)

/* --- the model */

struct model *model_ref(struct model *model)
{
    atomic_fetch_add(&model->refs, 1);
    return model;
}

void model_unref(struct model *model)
{
    if (!model || atomic_fetch_sub(&model->refs, 1) != 1)
        return;
    model->embedder->free_model(model->loaded);
    free(model);
}

static bool same_file(const struct index_object *a, const struct index_object *b)
{
    return a && b ? lh_str_equal(a->sha256, b->sha256) : a == b;
}

static enum lh_code read_model(struct search *search, const struct index_manifest *manifest,
                               const struct search_embedder *embedder, void **ret_loaded,
                               struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str bytes = {0};
    enum lh_code code = LH_OK;
    if (manifest->model_file)
        code = object_read(search->options.storage, index_bucket(manifest), manifest->model_file,
                           MODEL_BYTES_MAX, arena, &bytes, err);
    if (!code)
        code = embedder->load(embedder->context, bytes, ret_loaded, err);
    lh_arena_free(arena);
    return code ? lh_error_context(err, "The index '%.*s'", LH_ARG(manifest->name)) : LH_OK;
}

enum lh_code model_load(struct search *search, const struct index_manifest *manifest,
                        struct model **ret, struct lh_error *err)
{
    void *loaded = NULL;
    const struct search_embedder *embedder =
        find_embedder(search, manifest->model, manifest->model_version);
    if (!embedder) {
        lh_fail(err, LH_NOT_FOUND,
                "The index '%.*s' was made by the model %.*s %.*s, which this release does not "
                "have.",
                LH_ARG(manifest->name), LH_ARG(manifest->model), LH_ARG(manifest->model_version));
        return lh_error_hint(err, "Remove the index and make it anew.");
    }
    enum lh_code code = read_model(search, manifest, embedder, &loaded, err);
    if (code)
        return code;
    struct model *model = lh_allocate(1, sizeof *model);
    atomic_init(&model->refs, 1);
    model->embedder = embedder;
    model->loaded = loaded;
    *ret = model;
    return LH_OK;
}

/* --- the view */

struct view *view_ref(struct view *view)
{
    atomic_fetch_add(&view->refs, 1);
    return view;
}

void view_unref(struct view *view)
{
    if (!view || atomic_fetch_sub(&view->refs, 1) != 1)
        return;
    view_graph_free(view->graph); /* lends rows of the parts */
    for (size_t i = 0; i < view->part_count; i++)
        entries_unref(view->parts[i]);
    index_manifest_unref(view->manifest);
    model_unref(view->model);
    free(view->parts);
    free(view->bases);
    free(view->dead);
    free(view->mute);
    free(view->slots);
    free(view);
}

size_t view_part(const struct view *view, size_t ordinal)
{
    size_t low = 0, high = view->part_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (view->bases[middle] <= ordinal)
            low = middle;
        else
            high = middle;
    }
    return low;
}

const struct entries *view_entry(const struct view *view, size_t ordinal, size_t *ret_at)
{
    size_t part = view_part(view, ordinal);
    *ret_at = ordinal - view->bases[part];
    return view->parts[part];
}

size_t view_row_length(const struct view *view, size_t ordinal)
{
    size_t at = 0, length = 1;
    const struct entries *part = view_entry(view, ordinal, &at);
    while (at + length < part->count && part->chunks[at + length] == (int32_t)length)
        length++;
    return length;
}

/* The slot of an id: the one that names its row, or the free one where it would stand. */
static size_t find_slot(const struct view *view, struct lh_str id)
{
    size_t mask = view->slot_count - 1, at = 0;
    size_t slot = (size_t)lh_str_hash(id) & mask;
    while (view->slots[slot]) {
        const struct entries *part = view_entry(view, view->slots[slot] - 1, &at);
        if (lh_str_equal(part->ids[at], id))
            return slot;
        slot = (slot + 1) & mask;
    }
    return slot;
}

size_t view_find(const struct view *view, struct lh_str id)
{
    size_t slot = find_slot(view, id);
    if (!view->slots[slot] || bit_is_set(view->dead, view->slots[slot] - 1))
        return VIEW_NONE;
    return view->slots[slot] - 1;
}

bool view_is_last(const struct view *view, size_t ordinal)
{
    size_t at = 0;
    const struct entries *part = view_entry(view, ordinal, &at);
    return view->slots[find_slot(view, part->ids[at])] == ordinal + 1;
}

static void bury(struct view *view, size_t ordinal)
{
    size_t length = view_row_length(view, ordinal);
    for (size_t i = 0; i < length; i++)
        bit_set(view->dead, ordinal + i);
    view->live_rows--;
    view->live_chunks -= length;
}

/* Replays the log of entries: what comes later stands for what came before. */
static void index_part_rows(struct view *view, size_t at)
{
    const struct entries *part = view->parts[at];
    for (size_t i = 0; i < part->count; i++) {
        size_t ordinal = view->bases[at] + i;
        if (part->is_blank[i])
            bit_set(view->mute, ordinal);
        if (part->chunks[i] > 0) {
            view->live_chunks++;
            continue;
        }
        size_t slot = find_slot(view, part->ids[i]);
        if (view->slots[slot] && !bit_is_set(view->dead, view->slots[slot] - 1))
            bury(view, view->slots[slot] - 1);
        view->slots[slot] = (uint32_t)ordinal + 1;
        if (part->chunks[i] == ENTRY_REMOVED) {
            bit_set(view->dead, ordinal);
        } else {
            view->live_rows++;
            view->live_chunks++;
        }
    }
    for (size_t i = part->count; i % 64; i++)
        bit_set(view->dead, view->bases[at] + i);
}

static enum lh_code index_rows(struct view *view, struct lh_error *err)
{
    size_t span = 0;
    for (size_t i = 0; i < view->part_count; i++) {
        view->bases[i] = span;
        span += (view->parts[i]->count + 63) / 64 * 64;
    }
    if (span >= UINT32_MAX / 2)
        return lh_fail(err, LH_TOO_LARGE, "The index '%.*s' has more than two billion chunks.",
                       LH_ARG(view->manifest->name));
    view->span = span;
    view->slot_count = 64;
    while (view->slot_count < span * 2)
        view->slot_count *= 2;
    view->dead = calloc(span / 64 + 1, sizeof *view->dead);
    view->mute = calloc(span / 64 + 1, sizeof *view->mute);
    view->slots = calloc(view->slot_count, sizeof *view->slots);
    if (!view->dead || !view->mute || !view->slots)
        return lh_fail(err, LH_BUSY, "There is no memory for the index '%.*s'.",
                       LH_ARG(view->manifest->name));
    for (size_t i = 0; i < view->part_count; i++)
        index_part_rows(view, i);
    for (size_t i = 0; i < span / 64; i++)
        view->mute[i] |= view->dead[i];
    return LH_OK;
}

/* Parts that were merged away leave those behind them at other places. */
static struct entries *borrow_part(const struct view *old, const struct index_part *part, size_t at,
                                   bool has_vectors)
{
    const struct index_part *parts = old ? index_parts(old->manifest) : NULL;
    if (!old || (has_vectors && !old->has_vectors))
        return NULL;
    if (at < old->part_count && lh_str_equal(parts[at].key, part->key))
        return entries_ref(old->parts[at]);
    for (size_t i = 0; i < old->part_count; i++)
        if (lh_str_equal(parts[i].key, part->key))
            return entries_ref(old->parts[i]);
    return NULL;
}

/* What the index takes with the parts that are read, and those that are not yet. */
static int64_t bytes_expected(const struct view *view)
{
    const struct index_part *parts = index_parts(view->manifest);
    int64_t bytes = view_bytes(view);
    for (size_t i = view->part_count; i < view->manifest->parts.count; i++)
        bytes += part_bytes_expected(view->manifest, &parts[i]);
    return bytes;
}

static enum lh_code load_parts(struct search *search, struct view *view, const struct view *old,
                               struct search_index *owner, const struct lh_cancel *cancel,
                               struct lh_error *err)
{
    const struct index_part *parts = index_parts(view->manifest);
    size_t count = view->manifest->parts.count;
    enum lh_code code = LH_OK;
    view->parts = lh_allocate(count + 1, sizeof *view->parts);
    view->bases = lh_allocate(count + 1, sizeof *view->bases);
    for (size_t i = 0; i < count && !code; i++) {
        view->parts[i] = borrow_part(old, &parts[i], i, view->has_vectors);
        if (owner)
            code = memory_claim(owner, view->manifest->name, bytes_expected(view), err);
        if (!code && !view->parts[i])
            code = part_read(search, view->manifest, &parts[i], view->has_vectors, cancel,
                             &view->parts[i], err);
        if (!code)
            view->part_count++;
        else
            entries_unref(view->parts[i]);
    }
    return code || !owner ? code : memory_claim(owner, view->manifest->name, view_bytes(view), err);
}

static struct view *view_new(const struct index_manifest *manifest, bool has_vectors)
{
    struct view *view = lh_allocate(1, sizeof *view);
    atomic_init(&view->refs, 1);
    view->manifest = index_manifest_ref((struct index_manifest *)(uintptr_t)manifest);
    view->has_vectors = has_vectors;
    return view;
}

enum lh_code view_load_with(struct search *search, const struct index_manifest *manifest,
                            const struct view *old, struct entries *more,
                            const struct lh_cancel *cancel, struct view **ret, struct lh_error *err)
{
    struct view *view = view_new(manifest, false);
    enum lh_code code = load_parts(search, view, old, NULL, cancel, err);
    if (!code && more)
        view->parts[view->part_count++] = entries_ref(more);
    if (!code)
        code = index_rows(view, err);
    if (code == LH_DAMAGED)
        code = index_is_damaged(search, manifest, err);
    if (code)
        view_unref(view);
    else
        *ret = view;
    return code;
}

/* What is wrong with it, or that there is no memory for it, keeps nobody from searching. */
static void load_graph(struct search *search, struct view *view, struct search_index *owner)
{
    const struct index_manifest *manifest = view->manifest;
    struct lh_error why = LH_ERROR_NONE;
    if (!manifest->graph || !view->has_vectors || !owner)
        return;
    int64_t bytes = view_bytes(view);
    if (memory_claim(owner, manifest->name, bytes + manifest->graph->file->bytes, &why)) {
        forgive(memory_claim(owner, manifest->name, bytes, &why));
        return;
    }
    enum lh_code code = view_graph_open(search->options.storage, view, &view->graph, &why);
    if (code == LH_DAMAGED || code == LH_FORMAT) {
        graph_is_bad(search, view, &why);
    } else if (code) {
        view->graph_failed_us = lh_clock_monotonic_us();
        lh_log_error(LH_LOG_WARN, "search.graph", &why);
    }
}

#define GRAPH_AGAIN_US ((int64_t)30 * 1000000)

bool view_is_due(const struct view *view)
{
    return view->graph_failed_us &&
           lh_clock_monotonic_us() - view->graph_failed_us > GRAPH_AGAIN_US;
}

enum lh_code view_load(struct search *search, struct index_manifest *manifest, bool has_vectors,
                       struct view *old, struct search_index *owner, const struct lh_cancel *cancel,
                       struct view **ret, struct lh_error *err)
{
    struct view *view = view_new(manifest, has_vectors);
    enum lh_code code = load_parts(search, view, old, owner, cancel, err);
    if (!code)
        code = index_rows(view, err);
    if (!code && has_vectors && manifest->model.len) {
        if (old && old->model && same_file(old->manifest->model_file, manifest->model_file))
            view->model = model_ref(old->model);
        else
            code = model_load(search, manifest, &view->model, err);
    }
    if (!code)
        load_graph(search, view, owner);
    if (!code && has_vectors && owner)
        index_is_sound(owner, manifest);
    if (code == LH_DAMAGED)
        code = index_is_damaged(search, manifest, err);
    if (code)
        view_unref(view);
    else
        *ret = view;
    return code;
}

enum lh_code view_of_entries(const struct view *like, struct entries *entries, struct view **ret,
                             struct lh_error *err)
{
    struct view *view = view_new(like->manifest, true);
    view->model = like->model ? model_ref(like->model) : NULL;
    view->parts = lh_allocate(1, sizeof *view->parts);
    view->bases = lh_allocate(1, sizeof *view->bases);
    entries_make_codes(entries);
    view->parts[0] = entries_ref(entries);
    view->part_count = 1;
    enum lh_code code = index_rows(view, err);
    if (code)
        view_unref(view);
    else
        *ret = view;
    return code;
}
