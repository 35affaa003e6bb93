#include <stdlib.h>

#include "catalog/tombstone_internal.h"

static struct lh_str place_text(char **at, struct lh_str text)
{
    struct lh_str placed = {*at, text.len};
    if (!text.data)
        return text;
    memcpy(*at, text.data, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return placed;
}

static size_t text_bytes(const struct catalog_object *object)
{
    size_t bytes = object->bucket.len + object->key.len + object->content_hash.len +
                   object->schema.len + object->source_sha256.len + object->source_options.len +
                   object->rejects.len + 7;
    for (size_t i = 0; i < object->range_count; i++)
        bytes += object->ranges[i].column.len + object->ranges[i].min.len +
                 object->ranges[i].max.len + 3;
    return bytes;
}

static const struct catalog_object *object_new(const struct catalog_object *from)
{
    size_t head = sizeof(struct object_node) + from->range_count * sizeof *from->ranges;
    struct object_node *node = lh_allocate(1, head + text_bytes(from));
    struct catalog_range *ranges = (struct catalog_range *)(node + 1);
    char *at = (char *)node + head;
    atomic_init(&node->refs, 1);
    atomic_init(&node->content, NULL);
    node->view = *from;
    node->view.bucket = place_text(&at, from->bucket);
    node->view.key = place_text(&at, from->key);
    node->view.content_hash = place_text(&at, from->content_hash);
    node->view.schema = place_text(&at, from->schema);
    node->view.source_sha256 = place_text(&at, from->source_sha256);
    node->view.source_options = place_text(&at, from->source_options);
    node->view.rejects = place_text(&at, from->rejects);
    for (size_t i = 0; i < from->range_count; i++) {
        ranges[i].column = place_text(&at, from->ranges[i].column);
        ranges[i].min = place_text(&at, from->ranges[i].min);
        ranges[i].max = place_text(&at, from->ranges[i].max);
    }
    node->view.ranges = from->range_count ? ranges : NULL;
    return &node->view;
}

static const struct catalog_object *object_ref(const struct catalog_object *object)
{
    struct object_node *node = (struct object_node *)(uintptr_t)object;
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return object;
}

void objects_unref(const struct catalog_object *const *objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct object_node *node = (struct object_node *)(uintptr_t)objects[i];
        if (atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) > 1)
            continue;
        tombstone_content_free(atomic_load(&node->content));
        free(node);
    }
    free((void *)(uintptr_t)objects);
}

static int compare_texts(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static int compare_keys(const void *a, const void *b)
{
    const struct catalog_object *const *x = a, *const *y = b;
    int order = lh_str_compare((*x)->key, (*y)->key);
    return order ? order : lh_str_compare((*x)->bucket, (*y)->bucket);
}

/* Whether one of the last `added_count` is there twice: what stood before has been checked. */
bool objects_have_twins(const struct catalog_object *const *objects, size_t count,
                        size_t added_count)
{
    const struct catalog_object **added = lh_allocate(added_count, sizeof *added);
    size_t old_count = count - added_count;
    bool found = false;
    for (size_t i = 0; i < added_count; i++)
        added[i] = objects[old_count + i];
    qsort(added, added_count, sizeof *added, compare_keys);
    for (size_t i = 1; i < added_count && !found; i++)
        found = compare_keys(&added[i - 1], &added[i]) == 0;
    for (size_t i = 0; added_count && i < old_count && !found; i++)
        found = bsearch(&objects[i], added, added_count, sizeof *added, compare_keys);
    free(added);
    return found;
}

const struct catalog_object **objects_change(const struct catalog_object *const *old,
                                             size_t old_count, struct lh_str_list removed,
                                             struct manifest_objects added, size_t *ret_count)
{
    const struct catalog_object **list = lh_allocate(old_count + added.count, sizeof *list);
    struct lh_str *sorted = lh_allocate(removed.count, sizeof *sorted);
    size_t count = 0, removed_count = 0;
    for (size_t i = 0; i < removed.count; i++)
        sorted[i] = removed.items[i];
    qsort(sorted, removed.count, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < old_count; i++) {
        if (removed.count &&
            bsearch(&old[i]->key, sorted, removed.count, sizeof *sorted, compare_texts))
            removed_count++;
        else
            list[count++] = object_ref(old[i]);
    }
    free(sorted);
    for (size_t i = 0; i < added.count; i++)
        list[count++] = object_new(&added.items[i]);
    *ret_count = count;
    if (removed_count == removed.count)
        return list;
    objects_unref(list, count);
    return NULL;
}
