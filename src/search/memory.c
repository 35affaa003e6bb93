/* What indexes hold in memory. */
#include <stdlib.h>

#include "search/view.h"

static int64_t bytes_of_entries(const struct entries *entries)
{
    const size_t each = 2 * sizeof(struct lh_str) + sizeof *entries->chunks +
                        sizeof *entries->starts + sizeof *entries->hashes +
                        sizeof *entries->is_blank;
    return (int64_t)(entries->capacity * each + lh_arena_bytes(entries->texts));
}

static int64_t bytes_of_vectors(const struct entries *entries)
{
    return entries->has_vectors
               ? (int64_t)(entries->capacity * entries->dimensions * sizeof *entries->vectors)
               : 0;
}

static void add_view(const struct view *view, struct search_memory *memory)
{
    memory->bytes += (int64_t)(view->slot_count * sizeof *view->slots +
                               view->span / 64 * 2 * sizeof *view->dead);
    for (size_t i = 0; i < view->part_count; i++) {
        memory->entries += (int64_t)view->parts[i]->count;
        memory->vector_bytes += bytes_of_vectors(view->parts[i]);
        memory->bytes += bytes_of_entries(view->parts[i]) + bytes_of_vectors(view->parts[i]);
    }
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
