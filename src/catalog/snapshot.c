#include <ctype.h>
#include <stdlib.h>

#include "catalog/internal.h"

/* Where names and ids lead: unchanged by most commits, so snapshots share it. */
struct snapshot_index {
    atomic_size_t refs;
    size_t live_count;
    uint32_t *live;        /* places in ascending order of names */
    size_t mask;           /* of both tables; a power of two less one */
    uint32_t *names, *ids; /* place + 1; 0 = free */
};

static uint64_t hash_name(struct lh_str name)
{
    char lower[CATALOG_NAME_BYTES_MAX + 1];
    size_t len = name.len < sizeof lower ? name.len : sizeof lower;
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)tolower((unsigned char)name.data[i]);
    return lh_str_hash((struct lh_str){lower, len});
}

static size_t find_name(const struct snapshot_index *index, struct dataset_state *const *items,
                        struct lh_str name)
{
    for (size_t at = hash_name(name) & index->mask; index->names[at]; at = (at + 1) & index->mask)
        if (lh_str_equal_nocase(items[index->names[at] - 1]->view.name, name))
            return index->names[at] - 1;
    return SIZE_MAX;
}

static void put(uint32_t *table, size_t mask, uint64_t hash, size_t place)
{
    size_t at = (size_t)hash & mask;
    while (table[at])
        at = (at + 1) & mask;
    table[at] = (uint32_t)place + 1;
}

struct by_name {
    struct lh_str name;
    uint32_t place;
};

static int compare_names(const void *a, const void *b)
{
    const struct by_name *x = a, *y = b;
    return lh_str_compare_nocase(x->name, y->name);
}

static void sort_live(struct snapshot_index *index, struct dataset_state *const *items,
                      size_t count)
{
    struct by_name *sorted = lh_allocate(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        if (!items[i]->damage && !items[i]->view.is_deleted)
            sorted[index->live_count++] = (struct by_name){items[i]->view.name, (uint32_t)i};
    qsort(sorted, index->live_count, sizeof *sorted, compare_names);
    for (size_t i = 0; i < index->live_count; i++)
        index->live[i] = sorted[i].place;
    free(sorted);
}

static struct snapshot_index *index_new(struct dataset_state *const *items, size_t count)
{
    struct snapshot_index *index = lh_allocate(1, sizeof *index);
    atomic_init(&index->refs, 1);
    index->mask = 15;
    while (index->mask < 2 * count)
        index->mask = index->mask * 2 + 1;
    index->names = lh_allocate(index->mask + 1, sizeof *index->names);
    index->ids = lh_allocate(index->mask + 1, sizeof *index->ids);
    index->live = lh_allocate(count, sizeof *index->live);
    sort_live(index, items, count);
    for (size_t i = 0; i < index->live_count; i++)
        put(index->names, index->mask, hash_name(items[index->live[i]]->view.name), index->live[i]);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_dataset *view = &items[i]->view;
        put(index->ids, index->mask, lh_str_hash(view->id), i);
        /* A damaged dataset keeps its name, if it is known, so that it can be named. */
        if (items[i]->damage && view->name.len && find_name(index, items, view->name) == SIZE_MAX)
            put(index->names, index->mask, hash_name(view->name), i);
    }
    return index;
}

static void index_unref(struct snapshot_index *index)
{
    if (atomic_fetch_sub_explicit(&index->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(index->names);
    free(index->ids);
    free(index->live);
    free(index);
}

static struct catalog_snapshot *allocate(size_t count, uint64_t sequence, int64_t time_ms)
{
    struct catalog_snapshot *snapshot =
        lh_allocate(1, sizeof *snapshot + count * sizeof snapshot->items[0]);
    atomic_init(&snapshot->refs, 1);
    snapshot->sequence = sequence;
    snapshot->time_ms = time_ms;
    snapshot->item_count = count;
    return snapshot;
}

struct catalog_snapshot *snapshot_new(struct dataset_state **items, size_t count, uint64_t sequence,
                                      int64_t time_ms)
{
    struct catalog_snapshot *snapshot = allocate(count, sequence, time_ms);
    for (size_t i = 0; i < count; i++)
        snapshot->items[i] = state_ref(items[i]);
    snapshot->index = index_new(snapshot->items, count);
    return snapshot;
}

static bool keeps_index(const struct dataset_state *old, const struct dataset_state *state)
{
    return !old->damage && !state->damage && old->view.is_deleted == state->view.is_deleted &&
           lh_str_equal(old->view.name, state->view.name);
}

struct catalog_snapshot *snapshot_with(const struct catalog_snapshot *old, size_t place,
                                       struct dataset_state *state, uint64_t sequence,
                                       int64_t time_ms)
{
    size_t count = old->item_count + (place == old->item_count);
    struct catalog_snapshot *snapshot = allocate(count, sequence, time_ms);
    for (size_t i = 0; i < count; i++)
        snapshot->items[i] = i == place ? state : state_ref(old->items[i]);
    if (place < old->item_count && keeps_index(old->items[place], state)) {
        snapshot->index = old->index;
        atomic_fetch_add_explicit(&snapshot->index->refs, 1, memory_order_relaxed);
    } else {
        snapshot->index = index_new(snapshot->items, count);
    }
    return snapshot;
}

size_t snapshot_find_name(const struct catalog_snapshot *snapshot, struct lh_str name)
{
    if (name.len > CATALOG_NAME_BYTES_MAX)
        return SIZE_MAX;
    return find_name(snapshot->index, snapshot->items, name);
}

size_t snapshot_find_id(const struct catalog_snapshot *snapshot, struct lh_str id)
{
    const struct snapshot_index *index = snapshot->index;
    for (size_t at = lh_str_hash(id) & index->mask; index->ids[at]; at = (at + 1) & index->mask)
        if (lh_str_equal(snapshot->items[index->ids[at] - 1]->view.id, id))
            return index->ids[at] - 1;
    return SIZE_MAX;
}

enum lh_code snapshot_fail_not_found(const struct catalog_snapshot *snapshot, struct lh_str name,
                                     struct lh_error *err)
{
    const struct snapshot_index *index = snapshot->index;
    struct lh_str *names = lh_allocate(index->live_count, sizeof *names);
    for (size_t i = 0; i < index->live_count; i++)
        names[i] = snapshot->items[index->live[i]]->view.name;
    struct lh_str nearest = {0};
    if (name.len <= CATALOG_NAME_BYTES_MAX)
        nearest = lh_str_nearest(name, names, index->live_count);
    free(names);
    struct lh_str shown = lh_str_head(name, 100);
    enum lh_code code = lh_fail(err, LH_NOT_FOUND, "There is no dataset '%.*s'.", LH_ARG(shown));
    if (nearest.len)
        code = lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    else if (!index->live_count)
        code = lh_error_hint(err, "The lake has no datasets yet: ingest a file first.");
    return code;
}

enum lh_code state_fail_damaged(const struct dataset_state *state, struct lh_error *err)
{
    struct lh_str name = state->view.name.len ? state->view.name : state->view.id;
    lh_fail(err, LH_DAMAGED, "Dataset '%.*s' is not available: %s", LH_ARG(name), state->damage);
    return lh_error_hint(err, "Run `lakehouse verify`; older versions may still be read, and a "
                              "backup brings the newest one back.");
}

void catalog_snapshot_unref(struct catalog_snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < snapshot->item_count; i++)
        state_unref(snapshot->items[i]);
    index_unref(snapshot->index);
    free(snapshot);
}

struct catalog_snapshot *catalog_snapshot_ref(struct catalog *catalog)
{
    pthread_mutex_lock(&catalog->snapshot_mutex);
    struct catalog_snapshot *snapshot = catalog->snapshot;
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&catalog->snapshot_mutex);
    return snapshot;
}

uint64_t catalog_snapshot_sequence(const struct catalog_snapshot *snapshot)
{
    return snapshot->sequence;
}

size_t catalog_snapshot_count(const struct catalog_snapshot *snapshot)
{
    return snapshot->index->live_count;
}

const struct catalog_dataset *catalog_snapshot_item(const struct catalog_snapshot *snapshot,
                                                    size_t index)
{
    return &snapshot->items[snapshot->index->live[index]]->view;
}

enum lh_code catalog_find(const struct catalog_snapshot *snapshot, struct lh_str name,
                          const struct catalog_dataset **ret, struct lh_error *err)
{
    size_t place = snapshot_find_name(snapshot, name);
    if (place == SIZE_MAX)
        return snapshot_fail_not_found(snapshot, name, err);
    if (snapshot->items[place]->damage)
        return state_fail_damaged(snapshot->items[place], err);
    *ret = &snapshot->items[place]->view;
    return LH_OK;
}

enum lh_code catalog_find_id(const struct catalog_snapshot *snapshot, struct lh_str id,
                             const struct catalog_dataset **ret, struct lh_error *err)
{
    size_t place = snapshot_find_id(snapshot, id);
    if (place == SIZE_MAX || snapshot->items[place]->view.is_deleted)
        return lh_fail(err, LH_NOT_FOUND, "There is no dataset with the id '%.*s'.",
                       LH_ARG(lh_str_head(id, 100)));
    if (snapshot->items[place]->damage)
        return state_fail_damaged(snapshot->items[place], err);
    *ret = &snapshot->items[place]->view;
    return LH_OK;
}
