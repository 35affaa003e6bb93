/* The files of the versions that follow one another. A version that only adds files goes on in the
 * list of the one before it, whose readers never look behind what they have: so a commit costs what
 * it adds, however many files there are. Any other change, or one on top of a version that another
 * already followed, makes a new list. */
#include <pthread.h>
#include <stdlib.h>

#include "catalog/versions.h"

struct object_list {
    atomic_size_t refs; /* of versions */
    size_t capacity;
    size_t mask; /* of the table: a power of two less one, at least twice the capacity */
    const struct catalog_object **items;
    pthread_mutex_t mutex; /* the two below; nothing is taken under it */
    size_t count;          /* that some version has; each holds a reference */
    uint32_t *table;       /* by key: place + 1; 0 = free */
};

static void put(struct object_list *list, size_t place)
{
    size_t at = (size_t)lh_str_hash(list->items[place]->key) & list->mask;
    while (list->table[at])
        at = (at + 1) & list->mask;
    list->table[at] = (uint32_t)place + 1;
}

/* Under the mutex. `bucket` absent: any. */
static bool has(const struct object_list *list, size_t count, struct lh_str bucket,
                struct lh_str key)
{
    for (size_t at = (size_t)lh_str_hash(key) & list->mask; list->table[at];
         at = (at + 1) & list->mask) {
        size_t place = list->table[at] - 1;
        if (place < count && lh_str_equal(list->items[place]->key, key) &&
            (!bucket.data || lh_str_equal(list->items[place]->bucket, bucket)))
            return true;
    }
    return false;
}

/* Room for a quarter more than there is, so that copies for new room stay rare. */
static struct object_list *list_new(size_t count)
{
    struct object_list *list = lh_allocate(1, sizeof *list);
    atomic_init(&list->refs, 1);
    pthread_mutex_init(&list->mutex, NULL);
    list->capacity = count + count / 4 + 8;
    list->mask = 15;
    while (list->mask + 1 < 2 * list->capacity)
        list->mask = 2 * list->mask + 1;
    list->items = lh_allocate(list->capacity, sizeof *list->items);
    list->table = lh_allocate(list->mask + 1, sizeof *list->table);
    return list;
}

void object_list_unref(struct object_list *list)
{
    if (!list || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) > 1)
        return;
    objects_unref(list->items, list->count);
    free(list->table);
    pthread_mutex_destroy(&list->mutex);
    free(list);
}

const struct catalog_object *const *object_list_items(const struct object_list *list)
{
    return list->items;
}

bool object_list_has(struct object_list *list, size_t count, struct lh_str key)
{
    if (!list)
        return false;
    pthread_mutex_lock(&list->mutex);
    bool is_there = has(list, count, (struct lh_str){0}, key);
    pthread_mutex_unlock(&list->mutex);
    return is_there;
}

static struct object_list *list_of(const struct catalog_object *const *objects, size_t count)
{
    struct object_list *list = list_new(count);
    for (; list->count < count; list->count++) {
        list->items[list->count] = object_ref(objects[list->count]);
        put(list, list->count);
    }
    return list;
}

static enum lh_code fail_twin(const struct manifest *manifest, struct lh_error *err)
{
    return lh_fail(err, LH_DAMAGED, "Version %lld adds a file that the dataset already has.",
                   (long long)manifest->version);
}

/* --- versions that only add */

static bool only_adds(const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->added.count; i++)
        if (manifest->added.items[i].stands_for.len)
            return false;
    return !manifest->removed.count;
}

/* Under the mutex. */
static bool has_any(const struct object_list *list, size_t count, struct manifest_objects added)
{
    for (size_t i = 0; i < added.count; i++)
        if (has(list, count, added.items[i].bucket, added.items[i].key))
            return true;
    return false;
}

/* Behind the first `count`: in the list if nothing stands there yet and there is room, else in a
 * copy. */
static enum lh_code append(struct object_list *old, size_t count, const struct manifest *manifest,
                           struct object_list **ret, struct lh_error *err)
{
    const struct manifest_objects added = manifest->added;
    struct object_list *list = old;
    if (objects_repeat(added))
        return fail_twin(manifest, err);
    pthread_mutex_lock(&old->mutex);
    bool is_twin = has_any(old, count, added);
    bool goes_on =
        !is_twin && (!added.count || (old->count == count && old->capacity - count >= added.count));
    if (goes_on)
        atomic_fetch_add_explicit(&old->refs, 1, memory_order_relaxed);
    else
        pthread_mutex_unlock(&old->mutex);
    if (is_twin)
        return fail_twin(manifest, err);
    if (!goes_on) {
        list = list_new(count + added.count);
        for (; list->count < count; list->count++) {
            list->items[list->count] = object_ref(old->items[list->count]);
            put(list, list->count);
        }
        pthread_mutex_lock(&list->mutex);
    }
    for (size_t i = 0; i < added.count; i++) {
        list->items[list->count] = object_new(&added.items[i]);
        put(list, list->count++);
    }
    pthread_mutex_unlock(&list->mutex);
    *ret = list;
    return LH_OK;
}

/* --- all others */

enum lh_code object_list_change(struct object_list *old, size_t old_count,
                                const struct manifest *manifest, struct object_list **ret,
                                size_t *ret_count, struct lh_error *err)
{
    if (old && only_adds(manifest)) {
        enum lh_code code = append(old, old_count, manifest, ret, err);
        if (!code)
            *ret_count = old_count + manifest->added.count;
        return code;
    }
    size_t count = 0;
    const struct catalog_object **objects = objects_change(
        old ? old->items : NULL, old_count, manifest->removed, manifest->added, &count);
    if (!objects)
        return lh_fail(err, LH_DAMAGED,
                       "Version %lld removes a file that the dataset does not have, or puts one in "
                       "the place of a file that it does not remove.",
                       (long long)manifest->version);
    bool has_twins = objects_have_twins(objects, count, manifest->added);
    if (!has_twins) {
        *ret = list_of(objects, count);
        *ret_count = count;
    }
    objects_unref(objects, count);
    return has_twins ? fail_twin(manifest, err) : LH_OK;
}

struct object_list *object_list_settle(struct object_list *list, size_t count, int64_t version,
                                       const struct catalog_moved *moves, size_t move_count)
{
    const struct catalog_object **settled = NULL;
    if (!list || !move_count)
        return list;
    settled = (const struct catalog_object **)(uintptr_t)objects_hold(list->items, count);
    objects_settle(settled, count, version, moves, move_count);
    struct object_list *fresh = list_of(settled, count);
    objects_unref(settled, count);
    object_list_unref(list);
    return fresh;
}
