#include "catalog/file_set.h"

#include <stdlib.h>

static int compare_files(const void *a, const void *b)
{
    const struct file_name *x = a, *y = b;
    int order = lh_str_compare(x->bucket, y->bucket);
    return order ? order : lh_str_compare(x->key, y->key);
}

void file_set_add(struct file_set *set, struct lh_str bucket, struct lh_str key, int64_t bytes)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 64;
        struct file_name *items = lh_arena_array(set->arena, capacity, sizeof *items);
        if (set->count)
            memcpy(items, set->items, set->count * sizeof *items);
        set->items = items;
        set->capacity = capacity;
    }
    set->items[set->count++] = (struct file_name){.bucket = lh_arena_str(set->arena, bucket),
                                                  .key = lh_arena_str(set->arena, key),
                                                  .bytes = bytes};
}

static void file_set_add_object(struct file_set *set, const struct catalog_object *object,
                                struct lh_str bucket)
{
    file_set_add(set, bucket, object->key, object->bytes);
    for (size_t i = 0; i <= object->source_count; i++)
        if (object_rejects(object, i).len)
            file_set_add(set, STORAGE_PRIMARY, object_rejects(object, i), 0);
}

static void file_set_add_data(struct file_set *set, const struct catalog_object *object,
                              struct lh_str bucket)
{
    size_t at = set->count;
    uint8_t *sha256 = lh_arena_array(set->arena, LH_SHA256_BYTES, 1);
    memcpy(sha256, object->sha256, LH_SHA256_BYTES);
    file_set_add_object(set, object, bucket);
    set->items[at].sha256 = sha256;
}

void file_set_add_manifest(struct file_set *set, const struct manifest *manifest,
                           const struct catalog_dataset *now)
{
    for (size_t i = 0; i < manifest->added.count; i++)
        file_set_add_data(set, &manifest->added.items[i],
                          object_place(&manifest->added.items[i], manifest->version, now->moves,
                                       now->move_count));
    for (size_t i = 0; i < manifest->tombstones_added.count; i++)
        file_set_add_object(set, &manifest->tombstones_added.items[i],
                            manifest->tombstones_added.items[i].bucket);
}

void file_set_add_view(void *context, const struct catalog_dataset *view)
{
    struct file_set *set = context;
    for (size_t i = 0; i < view->object_count; i++)
        file_set_add_data(set, view->objects[i], view->objects[i]->bucket);
    for (size_t i = 0; i < view->tombstone_count; i++)
        file_set_add_object(set, view->tombstones[i], view->tombstones[i]->bucket);
}

void file_set_sort(struct file_set *set)
{
    size_t kept = 0;
    if (set->count)
        qsort(set->items, set->count, sizeof *set->items, compare_files);
    for (size_t i = 0; i < set->count; i++)
        if (!kept || compare_files(&set->items[kept - 1], &set->items[i]) != 0)
            set->items[kept++] = set->items[i];
    set->count = kept;
}

void file_set_subtract(struct file_set *set, const struct file_set *other)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++)
        if (!other->count || !bsearch(&set->items[i], other->items, other->count,
                                      sizeof *other->items, compare_files))
            set->items[kept++] = set->items[i];
    set->count = kept;
}
