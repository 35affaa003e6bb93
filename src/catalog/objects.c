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
    for (size_t i = 0; i < object->source_count; i++)
        bytes += object->sources[i].sha256.len + object->sources[i].options.len +
                 object->sources[i].rejects.len + 3;
    for (size_t i = 0; i < object->range_count; i++)
        bytes += object->ranges[i].column.len + object->ranges[i].min.len +
                 object->ranges[i].max.len + 3;
    return bytes;
}

const struct catalog_object *object_new(const struct catalog_object *from)
{
    size_t head = sizeof(struct object_node) + from->range_count * sizeof *from->ranges +
                  from->source_count * sizeof *from->sources;
    struct object_node *node = lh_allocate(1, head + text_bytes(from));
    struct catalog_range *ranges = (struct catalog_range *)(node + 1);
    struct catalog_source *sources = (struct catalog_source *)(ranges + from->range_count);
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
    for (size_t i = 0; i < from->source_count; i++) {
        sources[i] = from->sources[i];
        sources[i].sha256 = place_text(&at, from->sources[i].sha256);
        sources[i].options = place_text(&at, from->sources[i].options);
        sources[i].rejects = place_text(&at, from->sources[i].rejects);
    }
    node->view.sources = from->source_count ? sources : NULL;
    node->view.stands_for = (struct lh_str){0};
    return &node->view;
}

const struct catalog_object *object_ref(const struct catalog_object *object)
{
    struct object_node *node = (struct object_node *)(uintptr_t)object;
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return object;
}

const struct catalog_object *const *objects_hold(const struct catalog_object *const *objects,
                                                 size_t count)
{
    const struct catalog_object **held = lh_allocate(count + 1, sizeof *held);
    for (size_t i = 0; i < count; i++)
        held[i] = object_ref(objects[i]);
    return held;
}

static void object_unref(const struct catalog_object *object)
{
    struct object_node *node = (struct object_node *)(uintptr_t)object;
    if (atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) > 1)
        return;
    tombstone_content_free(atomic_load(&node->content));
    free(node);
}

void objects_unref(const struct catalog_object *const *objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        object_unref(objects[i]);
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

struct lh_str object_rejects(const struct catalog_object *object, size_t index)
{
    return index ? object->sources[index - 1].rejects : object->rejects;
}

static const struct catalog_object **sorted_objects(struct manifest_objects objects)
{
    const struct catalog_object **sorted = lh_allocate(objects.count, sizeof *sorted);
    for (size_t i = 0; i < objects.count; i++)
        sorted[i] = &objects.items[i];
    qsort(sorted, objects.count, sizeof *sorted, compare_keys);
    return sorted;
}

bool objects_repeat(struct manifest_objects objects)
{
    bool found = false;
    if (objects.count < 2)
        return false;
    const struct catalog_object **sorted = sorted_objects(objects);
    for (size_t i = 1; i < objects.count && !found; i++)
        found = compare_keys(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    return found;
}

bool objects_have_twins(const struct catalog_object *const *objects, size_t count,
                        struct manifest_objects added)
{
    if (!added.count)
        return false;
    if (objects_repeat(added))
        return true;
    const struct catalog_object **sorted = sorted_objects(added);
    size_t met = 0;
    for (size_t i = 0; i < count; i++)
        met += bsearch(&objects[i], sorted, added.count, sizeof *sorted, compare_keys) != NULL;
    free(sorted);
    return met != added.count;
}

/* Those that take the place of `key` (absent: of none), as long as there is room. */
static size_t place_objects(struct manifest_objects added, struct lh_str key,
                            const struct catalog_object **list, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < added.count && count < room; i++)
        if (lh_str_equal(added.items[i].stands_for, key))
            list[count++] = object_new(&added.items[i]);
    return count;
}

const struct catalog_object **objects_change(const struct catalog_object *const *old,
                                             size_t old_count, struct lh_str_list removed,
                                             struct manifest_objects added, size_t *ret_count)
{
    size_t room = old_count + added.count;
    const struct catalog_object **list = lh_allocate(room, sizeof *list);
    struct lh_str *sorted = lh_allocate(removed.count, sizeof *sorted);
    size_t count = 0, removed_count = 0, left = old_count;
    for (size_t i = 0; i < removed.count; i++)
        sorted[i] = removed.items[i];
    qsort(sorted, removed.count, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < old_count; i++) {
        left--;
        if (removed.count &&
            bsearch(&old[i]->key, sorted, removed.count, sizeof *sorted, compare_texts)) {
            removed_count++;
            count += place_objects(added, old[i]->key, list + count, room - left - count);
        } else {
            list[count++] = object_ref(old[i]);
        }
    }
    free(sorted);
    count += place_objects(added, (struct lh_str){0}, list + count, room - count);
    *ret_count = count;
    /* The second: none stands for a file that stays, or is not there. */
    if (removed_count == removed.count && count == old_count - removed_count + added.count)
        return list;
    objects_unref(list, count);
    return NULL;
}

/* --- files that were copied to another bucket */

struct lh_str object_place(const struct catalog_object *object, int64_t version,
                           const struct catalog_moved *moves, size_t move_count)
{
    struct lh_str bucket = object->bucket;
    for (size_t i = 0; i < move_count; i++)
        if (moves[i].version > version && object->added_version <= moves[i].through &&
            lh_str_equal(moves[i].from, bucket))
            bucket = moves[i].to;
    return bucket;
}

void objects_settle(const struct catalog_object **objects, size_t count, int64_t version,
                    const struct catalog_moved *moves, size_t move_count)
{
    for (size_t i = 0; i < count; i++) {
        struct catalog_object moved = *objects[i];
        moved.bucket = object_place(objects[i], version, moves, move_count);
        if (lh_str_equal(moved.bucket, objects[i]->bucket))
            continue;
        const struct catalog_object *fresh = object_new(&moved);
        object_unref(objects[i]);
        objects[i] = fresh;
    }
}
