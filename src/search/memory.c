/* What indexes hold in memory, and how much of it they may. */
#include <stdlib.h>

#include "search/codes.h"
#include "search/vectors.h"
#include "search/view_graph.h"

/* --- what is there */

static int64_t bytes_of_entries(const struct entries *entries)
{
    const size_t each = 2 * sizeof(struct lh_str) + sizeof *entries->chunks +
                        sizeof *entries->starts + sizeof *entries->hashes +
                        sizeof *entries->is_blank;
    return (int64_t)(entries->capacity * each + lh_arena_bytes(entries->texts));
}

static int64_t bytes_of_vectors(const struct entries *entries)
{
    size_t bytes = 0;
    if (entries->has_vectors)
        bytes = entries->capacity * entries->dimensions * sizeof *entries->vectors;
    if (entries->codes)
        bytes += search_codes_bytes(entries->codes->row_count, entries->dimensions);
    return (int64_t)bytes;
}

static void add_view(const struct view *view, struct search_memory *memory)
{
    memory->bytes += (int64_t)(view->slot_count * sizeof *view->slots +
                               view->span / 64 * 2 * sizeof *view->dead);
    memory->graph_bytes += view_graph_bytes(view->graph);
    memory->bytes += view_graph_bytes(view->graph);
    for (size_t i = 0; i < view->part_count; i++) {
        memory->entries += (int64_t)view->parts[i]->count;
        memory->vector_bytes += bytes_of_vectors(view->parts[i]);
        memory->bytes += bytes_of_entries(view->parts[i]) + bytes_of_vectors(view->parts[i]);
    }
}

int64_t view_bytes(const struct view *view)
{
    struct search_memory memory = {.bytes = 0};
    const struct index_object *model = view->manifest->model_file;
    add_view(view, &memory);
    return memory.bytes + (model ? model->bytes : 0);
}

static int compare(const void *a, const void *b)
{
    return lh_str_compare_nocase(((const struct search_memory *)a)->name,
                                 ((const struct search_memory *)b)->name);
}

void search_memory_list(struct search *search, struct lh_arena *arena, struct search_memory **ret,
                        size_t *ret_count)
{
    size_t count = 0;
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        count++;
    struct search_memory *items = lh_arena_array(arena, count + 1, sizeof *items);
    count = 0;
    for (const struct search_index *index = search->indexes; index; index = index->next) {
        if (!index->view && !index->overlay)
            continue;
        struct search_memory *item = &items[count++];
        item->name = lh_arena_str(arena, index->head->name);
        if (index->view)
            add_view(index->view, item);
        if (index->overlay && index->overlay->fresh) {
            struct search_memory fresh = {0};
            add_view(index->overlay->fresh, &fresh);
            item->fresh_bytes = fresh.bytes + (int64_t)lh_arena_bytes(index->overlay->arena);
        }
    }
    pthread_mutex_unlock(&search->lock);
    qsort(items, count, sizeof *items, compare);
    *ret = items;
    *ret_count = count;
}

/* --- what may be there */

int64_t search_memory_limit(const struct search *search)
{
    return search->options.memory_max;
}

/* A part before it is read: vectors and their codes hardly shrink in a file, texts by half. */
int64_t part_bytes_expected(const struct index_manifest *manifest, const struct index_part *part)
{
    const size_t each = 2 * sizeof(struct lh_str) + sizeof(int32_t) + sizeof(int64_t) +
                        SEARCH_HASH_BYTES + sizeof(bool) + 4 * sizeof(uint32_t);
    size_t dimensions = (size_t)manifest->dimensions, entries = (size_t)part->entries;
    int64_t vectors = (int64_t)(entries * dimensions * sizeof(float));
    int64_t texts = part->bytes > vectors ? (part->bytes - vectors) * 2 : 0;
    int64_t codes =
        search_codes_pay(dimensions) ? (int64_t)search_codes_bytes(entries, dimensions) : 0;
    return vectors + codes + texts + (int64_t)(entries * each);
}

/* Locked. Nobody searches it, and nobody loads it. */
static bool is_idle(const struct search_index *index)
{
    size_t own = index->overlay && index->overlay->view == index->view ? 2 : 1;
    if (index->overlay && atomic_load(&index->overlay->refs) > 1)
        return false;
    return index->view && atomic_load(&index->view->refs) <= own;
}

/* Locked. Of those that are idle, the one that was not asked for longest. */
static struct search_index *find_oldest(struct search *search, const struct search_index *but)
{
    struct search_index *oldest = NULL;
    for (struct search_index *index = search->indexes; index; index = index->next)
        if (index != but && index->claimed_bytes && is_idle(index) &&
            (!oldest || index->used_at < oldest->used_at))
            oldest = index;
    return oldest;
}

/* Locked. */
static int64_t claimed_by_all(const struct search *search)
{
    int64_t bytes = 0;
    for (const struct search_index *index = search->indexes; index; index = index->next)
        bytes += index->claimed_bytes + index->making_bytes + index->trial_bytes;
    return bytes;
}

static enum lh_code fail_alone(const struct search *search, struct lh_str name, int64_t bytes,
                               struct lh_error *err)
{
    lh_fail(err, LH_TOO_LARGE,
            "The index '%.*s' takes %lld MB of memory, and all loaded indexes together may take "
            "%lld MB.",
            LH_ARG(name), (long long)(bytes >> 20) + 1,
            (long long)(search->options.memory_max >> 20));
    return lh_error_hint(err,
                         "Raise memory_limit under [search] and restart, or index fewer rows.");
}

static enum lh_code fail_together(struct lh_str name, struct lh_error *err)
{
    lh_fail(err, LH_BUSY,
            "The index '%.*s' is not loaded, and those that are searched now leave it no memory.",
            LH_ARG(name));
    return lh_error_hint(err, "Try again, or raise memory_limit under [search] and restart.");
}

/* `place`: of the claim, a member of the index; `adds`: to what stands there. */
static enum lh_code claim(struct search_index *index, int64_t *place, bool adds, struct lh_str name,
                          int64_t bytes, struct lh_error *err)
{
    struct search *search = index->search;
    int64_t most = search->options.memory_max;
    if (!most)
        return LH_OK;
    if (bytes > most)
        return fail_alone(search, name, bytes, err);
    for (;;) {
        struct search_index *oldest = NULL;
        struct overlay *overlay = NULL;
        struct view *view = NULL;
        pthread_mutex_lock(&search->lock);
        bool fits = claimed_by_all(search) - (adds ? 0 : *place) + bytes <= most;
        if (!fits && (oldest = find_oldest(search, index))) {
            overlay = oldest->overlay;
            view = oldest->view;
            oldest->overlay = NULL;
            oldest->view = NULL;
            oldest->claimed_bytes = 0;
        } else if (fits) {
            *place = bytes + (adds ? *place : 0);
        }
        pthread_mutex_unlock(&search->lock);
        overlay_unref(overlay);
        view_unref(view);
        if (!oldest)
            return fits ? LH_OK : fail_together(name, err);
    }
}

enum lh_code memory_claim(struct search_index *index, struct lh_str name, int64_t bytes,
                          struct lh_error *err)
{
    return claim(index, &index->claimed_bytes, false, name, bytes, err);
}

enum lh_code memory_claim_making(struct search_index *index, struct lh_str name, int64_t bytes,
                                 struct lh_error *err)
{
    return claim(index, &index->making_bytes, false, name, bytes, err);
}

enum lh_code memory_claim_trial(struct search_index *index, struct lh_str name, int64_t bytes,
                                struct lh_error *err)
{
    return claim(index, &index->trial_bytes, true, name, bytes, err);
}

void memory_settle_trial(struct search_index *index, int64_t bytes)
{
    pthread_mutex_lock(&index->search->lock);
    if (index->search->options.memory_max) /* else nothing was claimed */
        index->trial_bytes -= bytes;
    pthread_mutex_unlock(&index->search->lock);
}

void memory_settle_making(struct search_index *index)
{
    pthread_mutex_lock(&index->search->lock);
    index->making_bytes = 0;
    pthread_mutex_unlock(&index->search->lock);
}

void memory_settle(struct search_index *index)
{
    struct search *search = index->search;
    pthread_mutex_lock(&search->lock);
    index->claimed_bytes = index->view ? view_bytes(index->view) : 0;
    if (index->overlay && index->overlay->fresh)
        index->claimed_bytes += view_bytes(index->overlay->fresh);
    pthread_mutex_unlock(&search->lock);
}

/* --- by name */

bool search_is_warm(struct search *search, struct lh_str name, bool *ret_has_graph)
{
    struct search_index *index = NULL;
    if (index_find(search, name, &index, NULL))
        return false;
    pthread_mutex_lock(&search->lock);
    bool is_warm = index->view && index->overlay &&
                   index_manifest_serves_same(index->view->manifest, index->head);
    if (is_warm && ret_has_graph)
        *ret_has_graph = index->view->graph && !atomic_load(&index->view->graph->is_broken);
    pthread_mutex_unlock(&search->lock);
    index_unref(index);
    return is_warm;
}

void search_unload(struct search *search, struct lh_str name)
{
    struct search_index *index = NULL;
    if (index_find(search, name, &index, NULL))
        return;
    pthread_mutex_lock(&index->load_lock);
    pthread_mutex_lock(&search->lock);
    struct overlay *overlay = index->overlay;
    struct view *view = index->view;
    index->overlay = NULL;
    index->view = NULL;
    index->claimed_bytes = 0;
    pthread_mutex_unlock(&search->lock);
    overlay_unref(overlay);
    view_unref(view);
    pthread_mutex_unlock(&index->load_lock);
    index_unref(index);
}
