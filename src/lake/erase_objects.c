/* Data files of a dataset, before and after its rows were erased. */
#include <stdlib.h>

#include "base/hash.h"
#include "catalog/erase.h"
#include "lake/erasing_internal.h"

static int compare_objects(const void *a, const void *b)
{
    return lh_str_compare(((const struct lake_erase_object *)a)->key,
                          ((const struct lake_erase_object *)b)->key);
}

static struct lake_erase_object object_of(struct lh_str key, const uint8_t *sha256,
                                          struct lh_arena *arena)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(sha256, LH_SHA256_BYTES, hex);
    return (struct lake_erase_object){lh_arena_str(arena, key),
                                      lh_arena_str(arena, lh_str_of(hex))};
}

struct lh_list erase_objects_of(const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    struct lake_erase_object *items =
        lh_arena_array(arena, dataset->object_count + 1, sizeof *items);
    for (size_t i = 0; i < dataset->object_count; i++)
        items[i] = object_of(dataset->objects[i]->key, dataset->objects[i]->sha256, arena);
    return (struct lh_list){items, dataset->object_count};
}

/* Each once, by key: a file that was moved stands there for each of its buckets. */
static size_t sort_objects(struct lake_erase_object *items, size_t count)
{
    size_t kept = 0;
    if (count)
        qsort(items, count, sizeof *items, compare_objects);
    for (size_t i = 0; i < count; i++)
        if (!kept || compare_objects(&items[kept - 1], &items[i]) != 0)
            items[kept++] = items[i];
    return kept;
}

struct keeping {
    struct lh_arena *arena;
    struct lake_erase_object *items;
    size_t count, most;
};

static void keep(void *context, struct lh_str key, const uint8_t *sha256)
{
    struct keeping *keeping = context;
    if (keeping->count < keeping->most)
        keeping->items[keeping->count++] = object_of(key, sha256, keeping->arena);
}

enum lh_code erase_objects_kept(struct catalog *catalog, const struct catalog_dataset *dataset,
                                struct lh_arena *arena, struct lh_list *ret, struct lh_error *err)
{
    const struct lh_list live = erase_objects_of(dataset, arena); /* which come once more below */
    struct keeping keeping = {.arena = arena, .most = 2 * live.count + LAKE_ERASE_OBJECTS_MAX};
    keeping.items = lh_arena_array(arena, keeping.most, sizeof *keeping.items);
    keeping.count = live.count;
    if (live.count)
        memcpy(keeping.items, live.items, live.count * sizeof *keeping.items);
    enum lh_code code = catalog_erase_each_file(catalog, dataset, keep, &keeping, err);
    if (!code)
        *ret = (struct lh_list){keeping.items, sort_objects(keeping.items, keeping.count)};
    return code;
}

struct lh_list erase_objects_without(struct lh_list from, struct lh_list those,
                                     struct lh_arena *arena)
{
    const struct lake_erase_object *items = from.items;
    struct lake_erase_object *kept = lh_arena_array(arena, from.count + 1, sizeof *kept),
                             *others = lh_arena_array(arena, those.count + 1, sizeof *others);
    size_t count = 0;
    if (those.count)
        memcpy(others, those.items, those.count * sizeof *others);
    size_t other_count = sort_objects(others, those.count);
    for (size_t i = 0; i < from.count; i++)
        if (!other_count ||
            !bsearch(&items[i], others, other_count, sizeof *others, compare_objects))
            kept[count++] = items[i];
    return (struct lh_list){kept, count};
}
