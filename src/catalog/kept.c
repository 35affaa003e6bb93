/* What is tombstoned by a column, kept sorted: whoever appends asks for a few rows' keys, and would
 * else gather and sort all of them each time. A list stands for the objects that name keys of the
 * column; when others come behind those, it is what the older one was with their keys merged in.
 * Rows that were suppressed (records of kind 3) name none and change no list. Holds objects, never
 * versions: nothing waits for it to be removed. */
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

#define KEPT_MAX 32

struct kept {
    atomic_size_t refs;
    struct lh_arena *arena;
    struct key_list list;
    const struct catalog_object *const *objects; /* that name keys, in their order; held */
    size_t object_count;
};
struct kept_entry {
    char dataset_id[LH_UUID_TEXT_BYTES];
    struct kept *kept; /* NULL: unused */
    uint64_t used_at;
};
struct kept_keys {
    pthread_mutex_t mutex;
    uint64_t clock;
    struct kept_entry entries[KEPT_MAX];
};

static void kept_unref(void *object)
{
    struct kept *kept = object;
    if (!kept || atomic_fetch_sub_explicit(&kept->refs, 1, memory_order_acq_rel) > 1)
        return;
    objects_unref(kept->objects, kept->object_count);
    lh_arena_free(kept->arena);
    free(kept);
}

static struct kept *kept_ref(struct kept *kept)
{
    if (kept)
        atomic_fetch_add_explicit(&kept->refs, 1, memory_order_relaxed);
    return kept;
}

struct kept_keys *kept_new(void)
{
    struct kept_keys *keys = lh_allocate(1, sizeof *keys);
    pthread_mutex_init(&keys->mutex, NULL);
    return keys;
}

void kept_free(struct kept_keys *keys)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        kept_unref(keys->entries[i].kept);
    pthread_mutex_destroy(&keys->mutex);
    free(keys);
}

/* --- making one */

static bool names_keys(const struct tombstone_content *content)
{
    for (size_t i = 0; i < content->record_count; i++)
        if (content->records[i].key_count)
            return true;
    return false;
}

static enum lh_code list_objects(struct storage *storage, const struct catalog_dataset *dataset,
                                 struct lh_str column, struct lh_arena *arena,
                                 const struct catalog_object ***ret, size_t *ret_count,
                                 struct lh_error *err)
{
    const struct catalog_object **objects =
        lh_arena_array(arena, dataset->tombstone_count + 1, sizeof *objects);
    enum lh_code code = LH_OK;
    *ret_count = 0;
    for (size_t i = 0; i < dataset->tombstone_count && !code; i++) {
        const struct tombstone_content *content = NULL;
        if (!tombstone_is_of_column(dataset->tombstones[i], column))
            continue;
        code = tombstone_read(storage, dataset->tombstones[i], &content, err);
        if (!code && names_keys(content))
            objects[(*ret_count)++] = dataset->tombstones[i];
    }
    *ret = objects;
    return code;
}

/* How many of the objects the list stands for already; 0: it must be made anew. */
static size_t covered(const struct kept *kept, const struct catalog_object *const *objects,
                      size_t count)
{
    if (!kept || kept->object_count > count)
        return 0;
    for (size_t i = 0; i < kept->object_count; i++)
        if (!lh_str_equal(kept->objects[i]->key, objects[i]->key))
            return 0;
    return kept->object_count;
}

static enum lh_code make(struct storage *storage, const struct kept *older,
                         const struct catalog_object *const *objects, size_t count, size_t from,
                         struct kept **ret, struct lh_error *err)
{
    struct kept *kept = lh_allocate(1, sizeof *kept);
    atomic_init(&kept->refs, 1);
    kept->arena = lh_arena_new(0);
    kept->objects = objects_hold(objects, count);
    kept->object_count = count;
    enum lh_code code = key_list_make(storage, from ? &older->list : NULL, objects + from,
                                      count - from, kept->arena, &kept->list, err);
    if (code)
        kept_unref(kept);
    else
        *ret = kept;
    return code;
}

/* --- keeping them */

static bool is_of(const struct kept_entry *entry, struct lh_str dataset_id, struct lh_str column)
{
    return entry->kept && tombstone_is_of_column(entry->kept->objects[0], column) &&
           lh_str_equal((struct lh_str){entry->dataset_id, LH_UUID_TEXT_BYTES}, dataset_id);
}

static struct kept_entry *entry_of(struct kept_keys *keys, struct lh_str dataset_id,
                                   struct lh_str column)
{
    struct kept_entry *oldest = &keys->entries[0];
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct kept_entry *entry = &keys->entries[i];
        if (is_of(entry, dataset_id, column))
            return entry;
        if (!entry->kept || (oldest->kept && entry->used_at < oldest->used_at))
            oldest = entry;
    }
    return oldest;
}

static struct kept *recall(struct kept_keys *keys, struct lh_str dataset_id, struct lh_str column)
{
    pthread_mutex_lock(&keys->mutex);
    struct kept_entry *entry = entry_of(keys, dataset_id, column);
    struct kept *kept = is_of(entry, dataset_id, column) ? kept_ref(entry->kept) : NULL;
    entry->used_at = ++keys->clock;
    pthread_mutex_unlock(&keys->mutex);
    return kept;
}

static void remember(struct kept_keys *keys, struct lh_str dataset_id, struct lh_str column,
                     struct kept *kept)
{
    pthread_mutex_lock(&keys->mutex);
    struct kept_entry *entry = entry_of(keys, dataset_id, column);
    struct kept *replaced = entry->kept;
    memcpy(entry->dataset_id, dataset_id.data, sizeof entry->dataset_id);
    entry->kept = kept_ref(kept);
    entry->used_at = ++keys->clock;
    pthread_mutex_unlock(&keys->mutex);
    kept_unref(replaced);
}

enum lh_code tombstone_keys(struct catalog *catalog, const struct catalog_dataset *dataset,
                            struct lh_str column, struct lh_arena *arena, struct key_list *ret,
                            struct lh_error *err)
{
    const struct catalog_object **objects = NULL;
    size_t count = 0;
    enum lh_code code =
        list_objects(catalog->storage, dataset, column, arena, &objects, &count, err);
    if (code)
        return code;
    *ret = (struct key_list){0};
    if (!count)
        return LH_OK;
    struct kept *kept = recall(catalog->kept, dataset->id, column), *fresh = NULL;
    size_t from = covered(kept, objects, count);
    if (from < count) {
        code = make(catalog->storage, kept, objects, count, from, &fresh, err);
        kept_unref(kept);
        kept = fresh;
        if (code)
            return code;
        remember(catalog->kept, dataset->id, column, kept);
    }
    lh_arena_defer(arena, kept_unref, kept);
    *ret = kept->list;
    return LH_OK;
}
