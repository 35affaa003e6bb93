/* What people wrote of a dataset, and a key stands in it: nothing of it is a row, so whoever wrote
 * it must write something else. */
#include "lake/erase_run.h"

static const char *part_of(const struct canaries *canaries, const struct catalog_dataset *dataset)
{
    if (canaries_holds(canaries, dataset->name))
        return "name";
    if (canaries_holds(canaries, dataset->description))
        return "description";
    if (canaries_holds(canaries, dataset->owner))
        return "owner";
    for (size_t i = 0; i < dataset->tags.count; i++)
        if (canaries_holds(canaries, dataset->tags.items[i]))
            return "tags";
    for (size_t i = 0; i < dataset->column_count; i++)
        if (canaries_holds(canaries, dataset->columns[i].description))
            return "columns";
    return NULL;
}

struct lh_str erase_tell_manifest(const struct erase_scanning *scanning, struct lh_str object)
{
    const struct erase_owner owner = erase_owner_of(object);
    const struct catalog_dataset *now = NULL;
    struct lh_str told = {0};
    if (owner.kind != ERASE_OF_DATASET || !owner.is_manifest || owner.is_trash)
        return told;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(scanning->catalog);
    const char *part =
        catalog_find_id(snapshot, owner.id, &now, NULL) ? NULL : part_of(scanning->canaries, now);
    bool is_name = part && strcmp(part, "name") == 0;
    if (part)
        told = lh_arena_printf(
            scanning->arena,
            "It is in the %s of the dataset '%.*s': give it another (%s), then POST "
            "/catalog/erase/{id}/resume.",
            part, LH_ARG(now->name),
            is_name ? "POST /catalog/datasets/by-name/{name}/rename"
                    : "PATCH /catalog/datasets/by-name/{name}/metadata");
    else if (now && canaries_holds(scanning->canaries, now->lineage.source_file))
        told = lh_arena_printf(scanning->arena,
                               "It is in the name of the file that rows of the dataset '%.*s' came "
                               "from: erase there, too.",
                               LH_ARG(now->name));
    catalog_snapshot_unref(snapshot);
    return told;
}
