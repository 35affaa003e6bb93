/* The end of an erasure: what the datasets have now, and the search through every file. */
#include "catalog/erase.h"
#include "lake/erase_run.h"
#include "lake/lake.h"
#include "storage/buckets.h"

/* What is there now, and what of the texts its rows hold. */
static enum lh_code check_dataset(struct erase_run *run, struct lake_erased_dataset *dataset,
                                  struct lh_list before, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct catalog_dataset *now = NULL;
    enum lh_code code = catalog_find_id(snapshot, dataset->dataset_id, &now, err);
    if (code) {
        catalog_snapshot_unref(snapshot);
        return code;
    }
    struct lh_list live = erase_objects_of(now, run->arena);
    dataset->version_after = now->version;
    dataset->objects_removed = erase_objects_without(before, live, run->arena);
    dataset->objects_made = erase_objects_without(live, before, run->arena);
    code = erase_scan_shared(&run->scanning, now->objects, now->object_count, false, err);
    catalog_snapshot_unref(snapshot);
    return code;
}

static bool has_values(const struct erase_run *run)
{
    for (size_t i = 0; i < run->plan.keys.count; i++)
        if (erase_key_is_value(run->plan.keys.items[i]))
            return true;
    return false;
}

void erase_begin_scanning(struct erase_run *run)
{
    run->scanning = (struct erase_scanning){
        .storage = lake_storage(run->lake),
        .catalog = lake_catalog(run->lake),
        .search = lake_search(run->lake),
        .engine = lake_engine(run->lake),
        .canaries = run->canaries,
        .cancel = run->cancel,
        .arena = run->arena,
        .has_values = has_values(run),
        .own = lh_arena_printf(run->arena, ERASE_FOLDER "/%.*s.", LH_ARG(run->id)),
        .found = lh_arena_array(run->arena, LAKE_ERASE_FOUND_MAX, sizeof *run->scanning.found),
    };
}

/* Dropped while it was erased from, or before the first attempt: what an undo of the drop needs may
 * be there yet, and what went of it nobody has looked at. */
static enum lh_code check_dropped(struct erase_run *run, struct lake_erased_dataset *dataset,
                                  struct lh_error *err)
{
    struct storage *storage = lake_storage(run->lake);
    struct storage_entry *entries = NULL;
    struct lh_str *buckets = NULL;
    size_t count = 0, bucket_count = 0, files = 0;
    struct lh_str folder =
        lh_arena_printf(run->arena, "datasets/%.*s", LH_ARG(dataset->dataset_id));
    enum lh_code code = LH_OK;
    dataset->is_dropped = true;
    dataset->version_after = 0;
    dataset->objects_removed = dataset->objects_made = (struct lh_list){0};
    storage_bucket_names(storage, run->arena, &buckets, &bucket_count);
    for (size_t i = 0; i < bucket_count && !code; i++) {
        bool is_primary = lh_str_equal(buckets[i], STORAGE_PRIMARY);
        code = storage_list(storage, buckets[i], folder, run->arena, &entries, &count,
                            is_primary ? err : NULL);
        files += code ? 0 : count;
        if (code == LH_NOT_FOUND || !is_primary) /* erase_buckets tells why it is not available */
            code = LH_OK;
    }
    if (!code && files)
        erase_scan_find(&run->scanning, folder,
                        lh_lit("The dataset was dropped meanwhile: its files are there until they "
                               "expire, and an undo of the drop brings them back."));
    return code;
}

/* Of whose files nothing but what versions name may be anywhere. */
struct lh_str_list erase_run_ids(struct erase_run *run)
{
    const struct lh_str_list dropped = catalog_erase_dropped(lake_catalog(run->lake), run->arena);
    struct lh_str *ids =
        lh_arena_array(run->arena, run->dataset_count + dropped.count + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < run->dataset_count; i++)
        ids[count++] = run->datasets[i].dataset_id;
    for (size_t i = 0; i < dropped.count; i++)
        ids[count++] = dropped.items[i];
    return (struct lh_str_list){ids, count};
}

enum lh_code erase_note_versions(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        struct lake_erased_dataset *dataset = &run->datasets[i];
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
        const struct catalog_dataset *now = NULL;
        dataset->objects_removed = (struct lh_list){0};
        if (!erase_run_is_there(run, dataset))
            dataset->is_dropped = true;
        else if (!(code = catalog_find_id(snapshot, dataset->dataset_id, &now, err)))
            dataset->version_after = now->version;
        catalog_snapshot_unref(snapshot);
    }
    return code;
}

/* From one dataset rows go that was asked for; from all, what others have is a finding. */
static void take_finding(void *context, struct lh_str object)
{
    struct erase_run *run = context;
    bool is_others = erase_others_take(run->others, object);
    run->own_count += !is_others || !run->request.dataset.len;
}

struct lh_list erase_own_findings(struct erase_run *run)
{
    struct erase_scanning *scanning = &run->scanning;
    size_t count = 0;
    for (size_t i = 0; i < scanning->found_count; i++)
        if (!run->request.dataset.len || !run->others ||
            !erase_others_has(run->others, scanning->found[i].object))
            scanning->found[count++] = scanning->found[i];
    scanning->found_count = count;
    return (struct lh_list){scanning->found, count};
}

enum lh_code erase_prove(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    erase_begin_scanning(run);
    erase_show(run, "scanning");
    run->others = erase_others_new(run);
    run->own_count = 0;
    run->scanning.told = take_finding;
    run->scanning.context = run;
    const struct lake_erased_dataset *planned = run->plan.datasets.items;
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        code = erase_run_is_there(run, &run->datasets[i])
                   ? check_dataset(run, &run->datasets[i], planned[i].objects_removed, err)
                   : check_dropped(run, &run->datasets[i], err);
    struct erase_look look;
    run->scanning.erased = run->datasets;
    run->scanning.erased_count = run->dataset_count;
    if (!code)
        code = erase_buckets(&run->scanning, erase_run_ids(run), &run->receipt.buckets, err);
    if (!code)
        code = erase_look(run, &look, err);
    for (size_t i = 0; !code && i < look.place_count; i++)
        erase_scan_find(&run->scanning, look.places[i].object, look.places[i].what);
    if (!code)
        code = erase_scan(&run->scanning, err);
    if (!code && run->request.dataset.len)
        code = erase_others_count(run->others, err);
    run->scanning.told = NULL;
    run->scanning.result.texts_short += run->plan.texts_short;
    return code;
}

/* Files that cannot be read are named by the search through all of them. */
static enum lh_code share_keys_of(struct erase_run *run, const struct catalog_dataset *dataset,
                                  struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->dataset_count; i++)
        if (lh_str_equal(run->datasets[i].dataset_id, dataset->id)) /* it has rows of the keys */
            return LH_OK;
    for (size_t i = 0; i < dataset->object_count && !code; i++) {
        struct lh_error found = LH_ERROR_NONE;
        if (!lh_str_equal(dataset->objects[i]->bucket, STORAGE_PRIMARY))
            continue;
        code = erase_scan_shared(&run->scanning, &dataset->objects[i], 1, true, &found);
        if (code && erase_is_final(code) && err)
            *err = found;
        else
            code = LH_OK;
    }
    return code;
}

enum lh_code erase_share_keys(struct erase_run *run, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    bool is_needed = !run->has_shared_keys && canaries_has_parts(run->canaries);
    enum lh_code code = LH_OK;
    for (size_t i = 0; is_needed && i < catalog_snapshot_count(snapshot) && !code; i++)
        code = share_keys_of(run, catalog_snapshot_item(snapshot, i), err);
    catalog_snapshot_unref(snapshot);
    run->has_shared_keys |= !code;
    return code;
}

enum lh_code erase_find_shared(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    erase_begin_scanning(run);
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
        const struct catalog_dataset *now = NULL;
        if (!catalog_find_id(snapshot, run->datasets[i].dataset_id, &now, NULL))
            code = erase_scan_shared(&run->scanning, now->objects, now->object_count, false, err);
        catalog_snapshot_unref(snapshot);
    }
    return code ? code : erase_share_keys(run, err);
}
