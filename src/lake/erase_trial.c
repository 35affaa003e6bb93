/* A dry run of an erasure: the same searches, and nothing is hidden, written or removed. */
#include "lake/erase_run.h"
#include "lake/internal.h"
#include "lake/lake.h"

/* All of its files would be written anew, and all of its versions expire. */
static void tell_dataset(struct erase_run *run, struct lake_erased_dataset *dataset)
{
    const struct erase_done *done = erase_done_of(&run->progress, dataset->dataset_id);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct catalog_dataset *now = NULL;
    dataset->version_after = dataset->version_before;
    dataset->rows = done ? done->rows : 0;
    if (!done || !done->is_touched)
        dataset->objects_removed = (struct lh_list){0};
    else if (!catalog_find_id(snapshot, dataset->dataset_id, &now, NULL))
        dataset->versions_expired =
            now->version - (now->retained_version ? now->retained_version : 1) + 1;
    run->receipt.rows += dataset->rows;
    catalog_snapshot_unref(snapshot);
}

static struct lh_list tell_indexes(const struct erase_run *run)
{
    struct lake_erased_index *indexes = NULL;
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            indexes = lh_arena_array(run->arena, count + 1, sizeof *indexes);
        count = 0;
        for (size_t i = 0; i < run->dataset_count; i++) {
            const struct erase_done *items = run->progress.datasets.items;
            struct lh_str_list names = {0};
            if (!items[i].is_touched)
                continue;
            search_dependents(lake_search(run->lake), run->datasets[i].dataset_id, run->arena,
                              &names);
            for (size_t k = 0; k < names.count; k++, count++) {
                struct search_index_info info = {0};
                if (pass &&
                    !search_get(lake_search(run->lake), names.items[k], run->arena, &info, NULL))
                    indexes[count] = (struct lake_erased_index){
                        names.items[k], run->datasets[i].dataset, info.version};
            }
        }
    }
    return (struct lh_list){indexes, count};
}

/* Where something stands, of which sort. */
static struct lh_list tell_places(const struct erase_run *run, const struct erase_look *look)
{
    const struct erase_scanning *scanning = &run->scanning;
    size_t count = look->place_count;
    struct lake_erase_finding *places =
        lh_arena_array(run->arena, count + scanning->found_count + 1, sizeof *places);
    for (size_t i = 0; i < look->place_count; i++)
        places[i] = look->places[i];
    for (size_t i = 0; i < scanning->found_count; i++)
        if ((!run->request.dataset.len ||
             !erase_others_has(run->others, scanning->found[i].object)) &&
            count < LAKE_ERASE_FOUND_MAX)
            places[count++] = scanning->found[i];
    return (struct lh_list){places, count};
}

static enum lh_code count_others(struct erase_run *run, struct lh_error *err)
{
    const struct erase_answers answers = {.storage = lake_storage(run->lake),
                                          .canaries = run->canaries,
                                          .keys = run->keys,
                                          .count = &run->receipt.answers_removed,
                                          .is_trial = true};
    const struct erase_journal journal = {.catalog = lake_catalog(run->lake),
                                          .journal = lake_journal(run->lake),
                                          .canaries = run->canaries,
                                          .keys = run->keys,
                                          .datasets = run->datasets,
                                          .dataset_count = run->dataset_count,
                                          .is_trial = true,
                                          .cancel = run->cancel};
    enum lh_code code = lake_sync_journal(run->lake, err);
    if (!code)
        code = erase_journal(&journal, run->arena, &run->journal, err);
    if (!code)
        code = erase_answers(&answers, err);
    run->journal.hash_after = (struct lh_str){0};
    run->receipt.journal = &run->journal;
    return code;
}

static void fill(struct erase_run *run, const struct erase_look *look)
{
    struct lake_erasure *receipt = &run->receipt;
    receipt->state = LAKE_ERASE_TRIAL;
    receipt->dataset = run->request.dataset;
    receipt->row_key_column = run->request.row_key_column;
    receipt->keys = (int64_t)json_array_size(run->request.row_key_values.value);
    receipt->values =
        erase_values_of(&run->progress, run->request.row_key_values.value, run->arena);
    receipt->created_at = run->request.created_at;
    for (size_t i = 0; i < run->dataset_count; i++)
        tell_dataset(run, &run->datasets[i]);
    receipt->datasets = (struct lh_list){run->datasets, run->dataset_count};
    receipt->indexes = tell_indexes(run);
    receipt->scan = &run->scanning.result;
    receipt->found = tell_places(run, look);
    receipt->elsewhere = erase_others_list(run->others);
    receipt->hint = erase_hint(receipt);
}

/* What *ret refers to is in `arena`, of the caller; what it was made from goes with the run. */
enum lh_code erase_trial(struct lake *lake, const struct erase_request *request,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct lake_erasure *ret, struct lh_error *err)
{
    struct erase_run *run = lh_arena_alloc(arena, sizeof *run);
    struct erase_look look = {0};
    int64_t keys = 0;
    *run = (struct erase_run){.lake = lake, .cancel = cancel, .arena = arena, .request = *request};
    lh_fields_preset(&lake_erasure_fields, &run->receipt);
    enum lh_code code =
        erase_progress_open(lake_storage(lake), run->id, &run->request, arena, &run->progress, err);
    if (!code)
        code = erase_hide_trial(lake, &run->request, &run->progress, cancel, arena, &keys, err);
    if (!code)
        code = erase_find_plan(run, err);
    if (!code)
        code = erase_find_work(run, &look, err);
    if (!code)
        code = count_others(run, err);
    if (!code) {
        fill(run, &look);
        code = erase_clean_receipt(run, &run->receipt, err);
    }
    if (!code) {
        *ret = run->receipt;
    }
    canaries_free(run->canaries);
    return code;
}
