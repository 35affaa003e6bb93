/* View and dataset brought together: which version is asked, and what it differs by from the index.
 */
#include "search/view.h"

#include <stdlib.h>

/* What comes fresh is searched from memory, up to so many rows: at some 50,000 texts a second their
 * vectors take a fifth of a second, once per version of the dataset. */
#define FRESH_ROWS_MAX 10000

struct overlay *overlay_ref(struct overlay *overlay)
{
    atomic_fetch_add(&overlay->refs, 1);
    return overlay;
}

void overlay_unref(struct overlay *overlay)
{
    if (!overlay || atomic_fetch_sub(&overlay->refs, 1) != 1)
        return;
    view_unref(overlay->view);
    view_unref(overlay->fresh);
    words_unref(overlay->words);
    free(overlay->hidden);
    free(overlay->mute);
    lh_arena_free(overlay->arena);
    free(overlay);
}

static struct overlay *overlay_new(struct view *view, const struct catalog_dataset *dataset)
{
    struct overlay *overlay = lh_allocate(1, sizeof *overlay);
    atomic_init(&overlay->refs, 1);
    overlay->arena = lh_arena_new(0);
    overlay->view = view_ref(view);
    overlay->data = dataset_fingerprint(dataset, overlay->arena);
    overlay->dataset_version = dataset->version;
    overlay->content_version = dataset->content_version;
    return overlay;
}

/* Every chunk of rows that the dataset does not have, or has with another text. */
static enum lh_code hide(struct overlay *overlay, const struct pass *pass, struct lh_error *err)
{
    const struct view *view = overlay->view;
    size_t words = view->span / 64 + 1;
    overlay->hidden = calloc(words, sizeof *overlay->hidden);
    overlay->mute = calloc(words, sizeof *overlay->mute);
    if (!overlay->hidden || !overlay->mute)
        return lh_fail(err, LH_BUSY, "There is no memory to compare the index.");
    memcpy(overlay->hidden, view->dead, words * sizeof *overlay->hidden);
    for (size_t at = 0; at < view->slot_count; at++) {
        if (!view->slots[at] || bit_is_set(view->dead, view->slots[at] - 1))
            continue;
        size_t first = view->slots[at] - 1;
        if (bit_is_set(pass->seen, first) && !bit_is_set(pass->stale, first))
            continue;
        size_t length = view_row_length(view, first);
        for (size_t i = 0; i < length; i++)
            bit_set(overlay->hidden, first + i);
        overlay->hidden_rows++;
    }
    for (size_t i = 0; i < words; i++)
        overlay->mute[i] = overlay->hidden[i] | view->mute[i];
    return LH_OK;
}

static enum lh_code compare(struct search *search, struct overlay *overlay,
                            const struct catalog_dataset *dataset, const struct lh_cancel *cancel,
                            struct lh_error *err)
{
    struct view *view = overlay->view;
    struct pass pass = {.search = search,
                        .manifest = view->manifest,
                        .view = view,
                        .model = view->model,
                        .dataset_name = dataset->name,
                        .dataset_version = dataset->version,
                        .cancel = cancel,
                        .rows_max = FRESH_ROWS_MAX};
    enum lh_code code = pass_run(&pass, err);
    if (!code)
        code = pass_embed(&pass, err);
    if (!code)
        code = hide(overlay, &pass, err);
    if (!code && pass.fresh && pass.fresh->count)
        code = view_of_entries(view, pass.fresh, &overlay->fresh, err);
    overlay->fresh_rows = pass.new_rows + pass.changed - pass.pending;
    overlay->pending_rows = pass.pending;
    pass_release(&pass);
    return code;
}

/* Locked. What is loaded fits the newest manifest and the dataset's files. */
static struct overlay *current(struct search_index *index, const struct catalog_dataset *dataset,
                               struct lh_arena *arena)
{
    struct overlay *overlay = index->overlay;
    if (!overlay || view_is_due(overlay->view) || words_is_broken(overlay->words) ||
        !index_manifest_serves_same(overlay->view->manifest, index->head))
        return NULL;
    if (overlay->dataset_version != dataset->version &&
        overlay->content_version != dataset->content_version &&
        !lh_str_equal(overlay->data, dataset_fingerprint(dataset, arena)))
        return NULL;
    return overlay_ref(overlay);
}

/* Locked: takes away what is loaded of another generation, which no new search uses and no part can
 * be borrowed from. The caller ends both. */
static void put_away(struct search_index *index, const struct index_manifest *head,
                     struct view **ret_view, struct overlay **ret_overlay)
{
    if (!index->view || index->view->manifest->generation == head->generation)
        return;
    *ret_view = index->view;
    *ret_overlay = index->overlay;
    index->view = NULL;
    index->overlay = NULL;
}

static enum lh_code load_newest(struct search_index *index, const struct lh_cancel *cancel,
                                struct view **ret, bool *ret_is_newest, struct lh_error *err)
{
    struct search *search = index->search;
    struct view *replaced = NULL;
    struct overlay *replaced_overlay = NULL;
    pthread_mutex_lock(&search->lock);
    struct index_manifest *head = index_manifest_ref(index->head);
    put_away(index, head, &replaced, &replaced_overlay);
    struct view *old = index->view ? view_ref(index->view) : NULL;
    pthread_mutex_unlock(&search->lock);
    overlay_unref(replaced_overlay);
    view_unref(replaced);
    enum lh_code code = LH_OK;
    if (old && !view_is_due(old) && index_manifest_serves_same(old->manifest, head)) {
        *ret = view_ref(old);
    } else {
        code = view_load(search, head, true, old, index, cancel, ret, err);
        if (!code) {
            pthread_mutex_lock(&search->lock);
            view_unref(index->view);
            index->view = view_ref(*ret);
            pthread_mutex_unlock(&search->lock);
        }
    }
    pthread_mutex_lock(&search->lock);
    *ret_is_newest = index->head == head;
    pthread_mutex_unlock(&search->lock);
    view_unref(old);
    index_manifest_unref(head);
    return code;
}

#define LOADS_MAX 10

/* Files that were just replaced, by a new generation or by a merged part, may be gone: then what
 * is newest is loaded. */
static enum lh_code load_view(struct search_index *index, const struct lh_cancel *cancel,
                              struct view **ret, struct lh_error *err)
{
    bool is_newest = false;
    enum lh_code code = LH_DAMAGED;
    for (int attempt = 0; attempt < LOADS_MAX && code == LH_DAMAGED && !is_newest; attempt++)
        code = load_newest(index, cancel, ret, &is_newest, err);
    return code;
}

/* One thread loads; the others wait and find it done. */
static enum lh_code load(struct search_index *index, const struct catalog_dataset *dataset,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct overlay **ret, struct lh_error *err)
{
    struct search *search = index->search;
    struct view *view = NULL;
    struct overlay *overlay = NULL;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&index->load_lock);
    pthread_mutex_lock(&search->lock);
    overlay = current(index, dataset, arena);
    pthread_mutex_unlock(&search->lock);
    if (overlay)
        goto out;
    code = load_view(index, cancel, &view, err);
    if (code)
        goto out;
    overlay = overlay_new(view, dataset);
    if (!index_covers(view->manifest, dataset, arena))
        code = compare(search, overlay, dataset, cancel, err);
    if (!code && overlay->fresh)
        code = memory_claim(index, view->manifest->name,
                            view_bytes(view) + view_bytes(overlay->fresh), err);
    if (!code)
        code = words_catch_up(index, overlay, cancel, err);
    if (code)
        goto out;
    pthread_mutex_lock(&search->lock);
    struct overlay *old = index->overlay;
    index->overlay = overlay_ref(overlay);
    pthread_mutex_unlock(&search->lock);
    overlay_unref(old); /* may end a keyword file, which takes a while */
out:
    if (view || code)
        memory_settle(index);
    pthread_mutex_unlock(&index->load_lock);
    view_unref(view);
    if (code)
        overlay_unref(overlay);
    else
        *ret = overlay;
    return code;
}

enum lh_code index_fits_dataset(const struct index_manifest *manifest,
                                const struct catalog_dataset *dataset, struct lh_error *err)
{
    const struct catalog_column *id = catalog_dataset_column(dataset, manifest->id_column);
    struct lh_str missing = {0};
    if (!id)
        missing = manifest->id_column;
    for (size_t i = 0; i < manifest->text_columns.count; i++)
        if (!catalog_dataset_column(dataset, manifest->text_columns.items[i]))
            missing = manifest->text_columns.items[i];
    if (manifest->vector_column.len && !catalog_dataset_column(dataset, manifest->vector_column))
        missing = manifest->vector_column;
    if (missing.len)
        lh_fail(err, LH_CONFLICT, "The dataset '%.*s' has no column '%.*s' any more.",
                LH_ARG(dataset->name), LH_ARG(missing));
    else if (id && !lh_str_equal(id->type, manifest->id_type))
        lh_fail(err, LH_CONFLICT, "The column '%.*s' of '%.*s' was %.*s and is %.*s now.",
                LH_ARG(id->name), LH_ARG(dataset->name), LH_ARG(manifest->id_type),
                LH_ARG(id->type));
    else
        return LH_OK;
    return lh_error_hint(err, "Remove the index '%.*s' and make it anew.", LH_ARG(manifest->name));
}

enum lh_code pin_dataset(struct search_index *index, struct pin *pin, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(index->search->options.catalog);
    enum lh_code code = catalog_find_id(snapshot, head->dataset_id, &pin->dataset, err);
    if (code == LH_NOT_FOUND) {
        code = lh_fail(err, LH_NOT_FOUND,
                       "The dataset '%.*s' that the index '%.*s' was made from is gone.",
                       LH_ARG(head->dataset_name), LH_ARG(head->name));
        lh_error_hint(err, "DELETE /vectors/indexes/%.*s removes the index.", LH_ARG(head->name));
    } else if (!code && head->state != SEARCH_READY) {
        code =
            lh_fail(err, LH_CONFLICT, "The index '%.*s' is still being built.", LH_ARG(head->name));
        lh_error_hint(err, "GET /jobs/%.*s tells how far it is.", LH_ARG(head->job_id));
    }
    if (!code)
        code = index_fits_dataset(head, pin->dataset, err);
    index_manifest_unref(head);
    if (code)
        catalog_snapshot_unref(snapshot);
    else
        pin->snapshot = snapshot;
    return code;
}

enum lh_code pin_open(struct search *search, struct lh_str name, const struct lh_cancel *cancel,
                      struct pin *ret, struct lh_error *err)
{
    struct pin pin = {.index = NULL};
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = index_find(search, name, &pin.index, err);
    if (!code)
        code = pin_dataset(pin.index, &pin, err);
    if (!code) {
        pthread_mutex_lock(&search->lock);
        pin.overlay = current(pin.index, pin.dataset, arena);
        pin.index->used_at = ++search->clock;
        pthread_mutex_unlock(&search->lock);
        if (!pin.overlay)
            code = load(pin.index, pin.dataset, cancel, arena, &pin.overlay, err);
    }
    lh_arena_free(arena);
    if (code)
        pin_release(&pin);
    else
        *ret = pin;
    return code;
}

void pin_release(struct pin *pin)
{
    overlay_unref(pin->overlay);
    catalog_snapshot_unref(pin->snapshot);
    index_unref(pin->index);
}
