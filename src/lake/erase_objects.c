/* Data files of a dataset, before and after its rows were erased. */
#include "base/hash.h"
#include "catalog/catalog.h"
#include "lake/erasing_internal.h"

struct lh_list erase_objects_of(const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    struct lake_erase_object *items =
        lh_arena_array(arena, dataset->object_count + 1, sizeof *items);
    for (size_t i = 0; i < dataset->object_count; i++) {
        lh_hex(dataset->objects[i]->sha256, LH_SHA256_BYTES, hex);
        items[i] = (struct lake_erase_object){lh_arena_str(arena, dataset->objects[i]->key),
                                              lh_arena_str(arena, lh_str_of(hex))};
    }
    return (struct lh_list){items, dataset->object_count};
}

struct lh_list erase_objects_without(struct lh_list from, struct lh_list those,
                                     struct lh_arena *arena)
{
    const struct lake_erase_object *items = from.items, *others = those.items;
    struct lake_erase_object *kept = lh_arena_array(arena, from.count + 1, sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < from.count; i++) {
        bool is_other = false;
        for (size_t k = 0; k < those.count && !is_other; k++)
            is_other = lh_str_equal(items[i].key, others[k].key);
        if (!is_other)
            kept[count++] = items[i];
    }
    return (struct lh_list){kept, count};
}
