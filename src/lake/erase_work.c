/* What an erasure has to do: a dataset without anything of the keys, in any version, keeps its
 * files and its versions. Decided by the same search that shows at the end that nothing is left. */
#include "catalog/catalog.h"
#include "lake/erase_run.h"
#include "lake/internal.h"
#include "lake/lake.h"

struct work {
    struct erase_run *run;
    struct lh_str_list *live; /* data files of the untouched datasets, one list each */
};

static bool *touched_of(struct erase_run *run, struct lh_str dataset_id)
{
    struct erase_done *done = erase_done_of(&run->progress, dataset_id);
    return done ? &done->is_touched : NULL;
}

/* The index is made from one of the datasets: that one's. */
static struct lh_str dataset_of_index(struct erase_run *run, struct lh_str index_id)
{
    for (size_t i = 0; i < run->dataset_count; i++) {
        struct lh_str_list names = {0};
        search_dependents(lake_search(run->lake), run->datasets[i].dataset_id, run->arena, &names);
        for (size_t k = 0; k < names.count; k++) {
            struct search_index_info info;
            if (!search_get(lake_search(run->lake), names.items[k], run->arena, &info, NULL) &&
                lh_str_equal(info.id, index_id))
                return run->datasets[i].dataset_id;
        }
    }
    return (struct lh_str){0};
}

static bool is_live(const struct work *work, struct lh_str path)
{
    for (size_t i = 0; i < work->run->dataset_count; i++)
        for (size_t k = 0; k < work->live[i].count; k++)
            if (lh_str_equal(work->live[i].items[k], erase_key_of_object(path)))
                return true;
    return false;
}

/* A row that stays and mentions a key is not helped by writing it anew: the end tells of it. */
static void take_finding(void *context, struct lh_str object)
{
    struct work *work = context;
    const struct erase_owner owner = erase_owner_of(object);
    struct lh_str id = owner.kind == ERASE_OF_DATASET ? owner.id
                       : owner.kind == ERASE_OF_INDEX ? dataset_of_index(work->run, owner.id)
                                                      : (struct lh_str){0};
    bool *is_touched = id.len ? touched_of(work->run, id) : NULL;
    bool is_others = erase_others_take(work->run->others, object);
    /* From one dataset rows go: what others have is told, and nothing to be done. */
    work->run->has_work |= !is_others || !work->run->request.dataset.len;
    if (is_touched && !is_live(work, object) && !erase_owner_is_rejects(&owner))
        *is_touched = true;
}

static enum lh_code list_live(struct work *work, size_t at, struct lh_error *err)
{
    struct erase_run *run = work->run;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct catalog_dataset *now = NULL;
    enum lh_code code = LH_OK;
    if (!catalog_find_id(snapshot, run->datasets[at].dataset_id, &now, NULL)) {
        struct lh_str *keys = lh_arena_array(run->arena, now->object_count + 1, sizeof *keys);
        for (size_t i = 0; i < now->object_count; i++)
            keys[i] = lh_arena_str(run->arena, now->objects[i]->key);
        work->live[at] = (struct lh_str_list){keys, now->object_count};
        code = erase_scan_shared(&run->scanning, now->objects, now->object_count, false, err);
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

/* What is no value anywhere: texts, and keys where nobody expects them. */
static enum lh_code look_everywhere(struct erase_run *run, struct lh_error *err)
{
    struct work work = {.run = run};
    enum lh_code code = LH_OK;
    work.live = lh_arena_array(run->arena, run->dataset_count + 1, sizeof *work.live);
    run->others = erase_others_new(run);
    erase_begin_scanning(run);
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        if (!*touched_of(run, run->datasets[i].dataset_id))
            code = list_live(&work, i, err);
    if (!code)
        code = erase_share_keys(run, err);
    run->scanning.told = take_finding;
    run->scanning.context = &work;
    run->scanning.looks_only = true;
    if (!code)
        code = erase_buckets(&run->scanning, erase_run_ids(run), &run->receipt.buckets, err);
    if (!code)
        code = erase_scan(&run->scanning, err);
    if (!code && run->request.dataset.len)
        code = erase_others_count(run->others, err);
    run->scanning.told = NULL;
    run->scanning.result.texts_short += run->plan.texts_short;
    return code;
}

enum lh_code erase_find_work(struct erase_run *run, struct erase_look *ret, struct lh_error *err)
{
    struct erase_look look;
    bool is_any_untouched = false;
    erase_show(run, "looking");
    enum lh_code code = erase_look(run, &look, err);
    if (!code && ret)
        *ret = look;
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        bool *is_touched = touched_of(run, run->datasets[i].dataset_id);
        if (!is_touched)
            continue;
        *is_touched |= look.has[i];
        run->has_work |= *is_touched;
        is_any_untouched |= !*is_touched;
    }
    run->has_work |= !code && look.place_count > 0;
    if (!code && (is_any_untouched || ret))
        code = look_everywhere(run, err);
    return code || !run->id.len
               ? code
               : erase_progress_note(lake_storage(run->lake), run->id, &run->progress, err);
}
