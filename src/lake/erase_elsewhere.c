/* What other datasets have of the keys and rows that were erased from one: that is no failure of
 * the erasure, which was asked for there, and must be known to whoever asked. */
#include "catalog/erase.h"
#include "lake/erase_run.h"
#include "lake/internal.h"
#include "lake/lake.h"

#define OBJECTS_MAX 20 /* that are named, of each dataset */

struct other_index {
    struct lh_str id, dataset_id;
};
struct erase_others {
    struct erase_run *run;
    struct lake_erase_elsewhere *items; /* with something in it or not: one each of all datasets */
    size_t count;
    struct other_index *indexes;
    size_t index_count;
};

static bool is_ours(const struct erase_run *run, struct lh_str id)
{
    for (size_t i = 0; i < run->dataset_count; i++)
        if (lh_str_equal(run->datasets[i].dataset_id, id))
            return true;
    return false;
}

static void add_indexes(struct erase_others *others, struct lh_str dataset_id)
{
    struct erase_run *run = others->run;
    struct lh_str_list names = {0};
    search_dependents(lake_search(run->lake), dataset_id, run->arena, &names);
    struct other_index *grown =
        lh_arena_array(run->arena, others->index_count + names.count + 1, sizeof *grown);
    for (size_t i = 0; i < others->index_count; i++)
        grown[i] = others->indexes[i];
    others->indexes = grown;
    for (size_t i = 0; i < names.count; i++) {
        struct search_index_info info;
        if (!search_get(lake_search(run->lake), names.items[i], run->arena, &info, NULL))
            grown[others->index_count++] = (struct other_index){info.id, dataset_id};
    }
}

static void add_other(struct erase_others *others, struct lh_str id, struct lh_str name,
                      bool is_dropped)
{
    struct lh_str *objects = lh_arena_array(others->run->arena, OBJECTS_MAX, sizeof *objects);
    others->items[others->count++] = (struct lake_erase_elsewhere){
        .dataset = name, .dataset_id = id, .is_dropped = is_dropped, .objects = {objects, 0}};
}

struct erase_others *erase_others_new(struct erase_run *run)
{
    struct erase_others *others = lh_arena_alloc(run->arena, sizeof *others);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct lh_str_list dropped = catalog_erase_dropped(lake_catalog(run->lake), run->arena);
    size_t count = catalog_snapshot_count(snapshot);
    *others = (struct erase_others){.run = run};
    others->items = lh_arena_array(run->arena, count + dropped.count + 1, sizeof *others->items);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, i);
        if (is_ours(run, dataset->id))
            continue;
        struct lh_str id = lh_arena_str(run->arena, dataset->id);
        add_other(others, id, lh_arena_str(run->arena, dataset->name), false);
        add_indexes(others, id);
    }
    for (size_t i = 0; i < dropped.count; i++)
        if (!is_ours(run, dropped.items[i]))
            add_other(others, dropped.items[i], dropped.items[i], true);
    catalog_snapshot_unref(snapshot);
    return others;
}

static struct lake_erase_elsewhere *other_of(struct erase_others *others, struct lh_str object)
{
    const struct erase_owner owner = erase_owner_of(object);
    struct lh_str id = owner.kind == ERASE_OF_DATASET ? owner.id : (struct lh_str){0};
    for (size_t i = 0; owner.kind == ERASE_OF_INDEX && i < others->index_count; i++)
        if (lh_str_equal(others->indexes[i].id, owner.id))
            id = others->indexes[i].dataset_id;
    for (size_t i = 0; i < others->count && id.len; i++)
        if (lh_str_equal(others->items[i].dataset_id, id))
            return &others->items[i];
    return NULL;
}

bool erase_others_take(struct erase_others *others, struct lh_str object)
{
    struct lake_erase_elsewhere *other = other_of(others, object);
    if (!other)
        return false;
    struct lh_str *objects = (struct lh_str *)(uintptr_t)other->objects.items;
    for (size_t i = 0; i < other->objects.count; i++)
        if (lh_str_equal(objects[i], object))
            return true;
    other->object_count++;
    if (other->objects.count < OBJECTS_MAX)
        objects[other->objects.count++] = lh_arena_str(others->run->arena, object);
    return true;
}

bool erase_others_has(struct erase_others *others, struct lh_str object)
{
    return other_of(others, object) != NULL;
}

/* Rows of the keys, of any length, in a dataset that has a column of that name, too. */
static enum lh_code count_rows(struct erase_others *others, const struct catalog_dataset *dataset,
                               struct lh_error *err)
{
    struct erase_run *run = others->run;
    const struct erase_rows rows = erase_run_rows(run, dataset);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->object_count && !code && rows.column.len; i++) {
        const struct catalog_object *object = dataset->objects[i];
        struct lh_str path;
        int64_t count = 0;
        if (!lh_str_equal(object->bucket, STORAGE_PRIMARY))
            continue; /* not_covered says so */
        if (!storage_object_path(rows.storage, object->bucket, object->key, run->arena, &path,
                                 NULL) &&
            erase_rows_count(&rows, path, &count, NULL))
            code = lh_cancel_fail(run->cancel, "The erasure", err); /* the scan names the file */
        if (!code && count && erase_others_take(others, object->key))
            other_of(others, object->key)->rows += count;
    }
    return code;
}

enum lh_code erase_others_count(struct erase_others *others, struct lh_error *err)
{
    struct erase_run *run = others->run;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < catalog_snapshot_count(snapshot) && !code; i++) {
        const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, i);
        if (!is_ours(run, dataset->id))
            code = count_rows(others, dataset, err);
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

struct lh_list erase_others_list(struct erase_others *others)
{
    struct lake_erase_elsewhere *items =
        lh_arena_array(others->run->arena, others->count + 1, sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < others->count; i++)
        if (others->items[i].object_count)
            items[count++] = others->items[i];
    return (struct lh_list){items, count};
}
