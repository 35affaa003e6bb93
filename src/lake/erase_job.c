/* The steps of an erasure, one after the other; each looks what is left to do, so that one that was
 * cut off begins again from the first. Only the plan is made once: after the files were rewritten,
 * nobody knows any more what the rows held. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/erase.h"
#include "journal/journal.h"
#include "lake/erase_run.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "query/compact.h"
#include "search/tuning.h"
#include "storage/reserve.h"
#include "storage/scrub.h"

#include <time.h>

#define WAIT_NS 100000000
#define WAITS_MAX 600
#define SCANS_MAX 2 /* what is found once is looked for again */

void erase_show(struct erase_run *run, const char *phase)
{
    const struct job_progress progress = {.phase = lh_str_of(phase)};
    if (run->job)
        job_set_progress(run->job, &progress);
}

/* --- the data */

bool erase_run_is_there(struct erase_run *run, struct lake_erased_dataset *dataset)
{
    const struct catalog_dataset *now = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    bool is_found = dataset->dataset_id.len &&
                    catalog_find_id(snapshot, dataset->dataset_id, &now, NULL) != LH_NOT_FOUND;
    if (now && !lh_str_equal(now->name, dataset->dataset))
        dataset->dataset = lh_arena_str(run->arena, now->name);
    catalog_snapshot_unref(snapshot);
    return is_found;
}

static enum lh_code rewrite(struct erase_run *run, struct lake_erased_dataset *dataset,
                            struct lh_error *err)
{
    const struct query_compact_request request = {
        .dataset = dataset->dataset,
        .actor = run->request.committer,
        .reason = lh_lit("Erased rows are left out."),
        .has_room = true,
    };
    struct query_compact_result result;
    int64_t keys = 0, version = 0;
    erase_show(run, "hiding");
    enum lh_code code =
        erase_hide(run->lake, run->id, &run->request, &run->progress, run->cancel, run->arena, err);
    if (code)
        return code;
    erase_show(run, "rewriting");
    code = erase_room_for_dataset(run, dataset->dataset, err);
    if (!code)
        code = query_compact(lake_compactor(run->lake), &request, run->cancel, run->arena, &result,
                             err);
    erase_show(run, "hashing keys");
    if (!code)
        code =
            catalog_erase_keys(lake_catalog(run->lake), lake_engine(run->lake), dataset->dataset_id,
                               run->request.row_key_column, run->request.row_key_values.value,
                               run->request.committer, run->cancel, &keys, &version, err);
    if (!code)
        code = catalog_erase_others(lake_catalog(run->lake), lake_engine(run->lake),
                                    dataset->dataset_id, run->request.row_key_column,
                                    run->request.row_key_values.value, run->cancel, err);
    dataset->keys = code ? 0 : keys;
    return code;
}

static struct lh_str index_args(struct erase_run *run, const struct search_index_info *index,
                                struct lh_str dataset)
{
    const struct search_build_request request = {
        .index_name = index->name,
        .dataset = dataset,
        .chunk_size = index->chunk_size,
        .overlap = index->overlap,
        .from_scratch = true,
    };
    return lh_fields_text(&search_build_request_fields, &request, JOBS_ARGS_BYTES_MAX, run->arena);
}

/* A backup that runs is waited for. */
static enum lh_code empty_trash(struct erase_run *run, const struct lh_str *keys, size_t count,
                                struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = LH_BUSY;
    for (int i = 0; i < WAITS_MAX && code == LH_BUSY; i++) {
        if (i)
            (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        found = (struct lh_error)LH_ERROR_NONE;
        code = lh_cancel_fail(run->cancel, "The erasure", &found);
        if (!code)
            code = storage_trash_remove(lake_storage(run->lake), keys, count, &found);
    }
    if (code && err)
        *err = found;
    return code;
}

/* Likewise; a cancellation comes too late, for there is a receipt. */
static enum lh_code forget(struct erase_run *run, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = LH_BUSY;
    for (int i = 0; i < WAITS_MAX && code == LH_BUSY; i++) {
        if (i)
            (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        found = (struct lh_error)LH_ERROR_NONE;
        code = erase_forget(lake_storage(run->lake), run->id, &found);
        if (code == LH_BUSY && lh_cancel_check(run->cancel))
            break;
    }
    if (code && err)
        *err = found;
    return code;
}

/* What went to the trash of a dataset, or of an index, and of its manifests. */
static enum lh_code remove_trash(struct erase_run *run, const char *kind, struct lh_str id,
                                 struct lh_error *err)
{
    const struct lh_str keys[] = {
        lh_arena_printf(run->arena, "%s/%.*s", kind, LH_ARG(id)),
        lh_arena_printf(run->arena, "_catalog/%s/%.*s", kind, LH_ARG(id))};
    return empty_trash(run, keys, 2, err);
}

/* From nothing: its parts are a log in which the rows stand. While it is refreshed by somebody else
 * it is waited for. */
static enum lh_code rebuild_one(struct erase_run *run, struct lh_str name, struct lh_str dataset,
                                struct search_index_info *ret, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    struct lh_str result;
    size_t moved = 0;
    enum lh_code code = LH_CONFLICT;
    for (int i = 0; i < WAITS_MAX && code == LH_CONFLICT; i++) {
        found = (struct lh_error)LH_ERROR_NONE;
        code = search_get(lake_search(run->lake), name, run->arena, ret, &found);
        if (code == LH_NOT_FOUND) /* removed meanwhile */
            break;
        const struct job_spec spec = {.kind = lh_lit(SEARCH_REFRESH_JOB_KIND),
                                      .dataset = dataset,
                                      .actor = run->request.committer,
                                      .args = index_args(run, ret, dataset)};
        if (!code)
            code = erase_room_for_index(run, ret, &found);
        if (!code)
            code = jobs_run(lake_jobs(run->lake), &spec, run->cancel, run->arena, NULL, &result,
                            &found);
        /* What was made in vain keeps no room until the trash is emptied. */
        if (code == LH_FULL)
            (void)remove_trash(run, "indexes", ret->id, NULL);
        if (code == LH_CONFLICT && lh_cancel_check(run->cancel))
            code = lh_cancel_fail(run->cancel, "The erasure", &found);
        if (code == LH_CONFLICT)
            (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
    }
    if (!code)
        code = search_get(lake_search(run->lake), name, run->arena, ret, &found);
    if (!code)
        code = search_sweep(lake_search(run->lake), &moved, &found);
    if (!code)
        code = remove_trash(run, "indexes", ret->id, &found);
    if (code && err)
        *err = found;
    return code;
}

/* The receipt tells of each. */
static enum lh_code rebuild(struct erase_run *run, struct lake_erased_dataset *dataset,
                            struct lh_error *err)
{
    struct lh_list *told = &run->receipt.indexes;
    struct lh_str_list names = {0};
    enum lh_code code = LH_OK;
    erase_show(run, "rebuilding indexes");
    search_dependents(lake_search(run->lake), dataset->dataset_id, run->arena, &names);
    struct lake_erased_index *indexes =
        lh_arena_array(run->arena, told->count + names.count + 1, sizeof *indexes);
    for (size_t i = 0; i < told->count; i++)
        indexes[i] = ((const struct lake_erased_index *)told->items)[i];
    told->items = indexes;
    for (size_t i = 0; i < names.count && !code; i++) {
        struct search_index_info info;
        code = rebuild_one(run, names.items[i], dataset->dataset, &info, err);
        if (!code)
            indexes[told->count++] =
                (struct lake_erased_index){names.items[i], dataset->dataset, info.version};
        code = code == LH_NOT_FOUND ? LH_OK : code;
    }
    return code;
}

static enum lh_code expire_once(struct erase_run *run, struct lake_erased_dataset *dataset,
                                struct erase_done *done, int64_t *floor, bool *ret_all,
                                struct lh_error *err)
{
    struct catalog_erased_past past = {0};
    enum lh_code code = lake_sync_journal(run->lake, err);
    if (!code)
        code =
            catalog_erase_past(lake_catalog(run->lake), dataset->dataset_id, run->request.committer,
                               lh_lit("Rows were erased from all versions."), floor, &past, err);
    if (code)
        return code;
    if (past.retained_version > done->retained_before)
        done->versions_expired = past.retained_version - done->retained_before;
    done->files_removed += past.file_count;
    *ret_all = past.is_all;
    return LH_OK;
}

/* Who still reads an old version keeps its files: they are waited for. */
static enum lh_code expire(struct erase_run *run, struct lake_erased_dataset *dataset,
                           struct lh_error *err)
{
    struct erase_done *done = erase_done_of(&run->progress, dataset->dataset_id);
    int64_t floor = 0;
    bool is_all = false;
    erase_show(run, "expiring versions");
    enum lh_code code = erase_begin_count(run->lake, run->id, &run->progress, err);
    for (int i = 0; i < WAITS_MAX && !code && !is_all; i++) {
        code = expire_once(run, dataset, done, &floor, &is_all, err);
        if (!code && !is_all)
            code = lh_cancel_fail(run->cancel, "The erasure", err);
        if (!code && !is_all)
            (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
    }
    code = erase_end_count(run->lake, run->id, &run->progress, code, err);
    if (!code && !is_all)
        code = lh_fail(err, LH_BUSY, "Older versions of '%.*s' are still being read.",
                       LH_ARG(dataset->dataset));
    return code ? code : remove_trash(run, "datasets", dataset->dataset_id, err);
}

/* --- the journal */

/* One that is damaged, or too long, stays as it is: the receipt says so, and the scan what stands
 * in it. */
static enum lh_code rewrite_journal(struct erase_run *run, struct lh_error *err)
{
    const struct erase_journal of = {
        .catalog = lake_catalog(run->lake),
        .journal = lake_journal(run->lake),
        .canaries = run->canaries,
        .keys = run->keys,
        .datasets = run->datasets,
        .dataset_count = run->dataset_count,
        .actor = run->request.committer,
        .id = run->id,
        .cancel = run->cancel,
    };
    const struct lh_str folder = lh_lit(JOURNAL_FOLDER);
    struct lake_erased_journal *now = lh_arena_alloc(run->arena, sizeof *now);
    struct lh_error found = LH_ERROR_NONE;
    erase_show(run, "rewriting the journal");
    enum lh_code code = lake_sync_journal(run->lake, err);
    if (!code)
        code = erase_room_for_journal(run, err);
    if (code)
        return code;
    for (int i = 0; i < WAITS_MAX; i++) {
        found = (struct lh_error)LH_ERROR_NONE;
        code = erase_journal(&of, run->arena, now, &found);
        if (code != LH_BUSY || lh_cancel_check(run->cancel))
            break;
        (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
    }
    if (code == LH_DAMAGED || code == LH_TOO_LARGE) {
        run->journal_problem = lh_arena_printf(run->arena, "The journal: %s", found.message);
        return LH_OK;
    }
    if (code) {
        if (err)
            *err = found;
        return code;
    }
    code = erase_note_journal(run->lake, run->id, run->request.created_at, &run->progress, now,
                              run->arena, err);
    if (code)
        return code;
    run->receipt.journal = now;
    run->has_work |= now->records > 0;
    return run->has_work ? empty_trash(run, &folder, 1, err) : LH_OK;
}

/* --- kept answers */

static enum lh_code remove_answers(struct erase_run *run, struct lh_error *err)
{
    const struct lh_str folder = lh_lit("_idempotency");
    const struct erase_answers of = {.storage = lake_storage(run->lake),
                                     .canaries = run->canaries,
                                     .keys = run->keys,
                                     .count = &run->progress.answers_removed};
    erase_show(run, "removing kept answers");
    enum lh_code code = erase_begin_count(run->lake, run->id, &run->progress, err);
    if (!code) {
        code = erase_answers(&of, err);
        code = erase_end_count(run->lake, run->id, &run->progress, code, err);
    }
    run->has_work |= run->progress.answers_removed > 0;
    return code || !run->has_work ? code : empty_trash(run, &folder, 1, err);
}

static enum lh_code remove_rejects(struct erase_run *run, struct lh_error *err)
{
    const struct erase_rejects rejects = {.storage = lake_storage(run->lake),
                                          .engine = lake_engine(run->lake),
                                          .canaries = run->canaries,
                                          .keys = run->keys,
                                          .cancel = run->cancel};
    enum lh_code code = erase_begin_count(run->lake, run->id, &run->progress, err);
    if (code)
        return code;
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        struct erase_done *done = erase_done_of(&run->progress, run->datasets[i].dataset_id);
        int64_t rows = 0;
        if (!done)
            continue;
        code = erase_rejects(&rejects, run->datasets[i].dataset_id, &rows, err);
        done->rejected_rows += rows;
    }
    return erase_end_count(run->lake, run->id, &run->progress, code, err);
}

/* --- eval sets, trials, promotions */

static bool is_erased_from(const struct erase_run *run, struct lh_str dataset_id)
{
    for (size_t i = 0; i < run->dataset_count; i++)
        if (lh_str_equal(run->datasets[i].dataset_id, dataset_id))
            return true;
    return false;
}

/* Elsewhere a short key, or a number, may be anybody's. */
static bool holds_erased(void *context, struct lh_str dataset_id, struct lh_str text)
{
    const struct erase_run *run = context;
    return erase_holds(run->canaries, is_erased_from(run, dataset_id) ? run->keys : NULL, text);
}

static bool is_erased_key(void *context, struct lh_str dataset_id, struct lh_str id)
{
    const struct erase_run *run = context;
    return is_erased_from(run, dataset_id) ? erase_keys_has(run->keys, id)
                                           : erase_holds(run->canaries, NULL, id);
}

static enum lh_code forget_tuning(struct erase_run *run, struct lh_error *err)
{
    const struct search_forget forget = {holds_erased, is_erased_key, run};
    return search_tuning_forget(lake_search(run->lake), &forget, &run->receipt.answers_removed,
                                err);
}

/* What a killed writer left of these datasets, and of their indexes, in no list; and what others
 * moved to the trash meanwhile. */
static enum lh_code remove_leftovers(struct erase_run *run, struct lh_error *err)
{
    static const struct lh_str folders[] = {
        LH_LIT("indexes"),      LH_LIT("_catalog/indexes"), ERASE_RECORD_FOLDERS,
        LH_LIT("_hnsw_trials"), LH_LIT("_hnsw_promotions"), LH_LIT("_hnsw_evals"),
        LH_LIT("_jobs")};
    const struct lh_str_list dropped = catalog_erase_dropped(lake_catalog(run->lake), run->arena);
    size_t moved = 0;
    enum lh_code code = catalog_sweep(lake_catalog(run->lake), &moved, err);
    if (!code)
        code = search_sweep(lake_search(run->lake), &moved, err);
    if (!code)
        code = remove_rejects(run, err);
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        if (run->datasets[i].dataset_id.len)
            code = remove_trash(run, "datasets", run->datasets[i].dataset_id, err);
    for (size_t i = 0; i < dropped.count && !code; i++)
        code = remove_trash(run, "datasets", dropped.items[i], err);
    if (!code)
        code = erase_old_records(lake_storage(run->lake), run->canaries, err);
    if (!code)
        code = erase_jobs(lake_jobs(run->lake), run->canaries, err);
    if (!code)
        code = forget_tuning(run, err);
    if (!code)
        code = erase_clean_receipts(run, err);
    if (!code)
        code = empty_trash(run, folders, sizeof folders / sizeof folders[0], err);
    return code;
}

/* --- the receipt */

/* What was not known when it was asked for: that this says something of the rows. */
static struct lh_str without_texts(const struct erase_run *run, struct lh_str text)
{
    const struct lh_str none = {0};
    return erase_holds(run->canaries, run->keys, text) ? none : text;
}

static enum lh_code end(struct erase_run *run, struct lh_error *err)
{
    struct lake_erasure *receipt = &run->receipt;
    if (run->journal_problem.len) {
        run->own_count++;
        erase_scan_find(&run->scanning, lh_lit(JOURNAL_FOLDER),
                        lh_lit("It was not written anew, and may name the keys."));
    }
    receipt->found = erase_own_findings(run);
    if (run->others)
        receipt->elsewhere = erase_others_list(run->others);
    bool is_found = receipt->found.count || run->own_count;
    receipt->erase_id = run->id;
    receipt->values =
        erase_values_of(&run->progress, run->request.row_key_values.value, run->arena);
    /* Another erasure may have done what was left to do after the rows were hidden. */
    bool has_erased = run->has_work || erase_has_match(receipt->values);
    receipt->state = is_found                   ? LAKE_ERASE_INCOMPLETE
                     : !has_erased              ? LAKE_ERASE_NOTHING
                     : receipt->elsewhere.count ? LAKE_ERASE_HERE
                                                : LAKE_ERASE_ERASED;
    receipt->dataset = run->request.dataset;
    receipt->hint = erase_hint(receipt);
    receipt->row_key_column = run->request.row_key_column;
    receipt->keys = (int64_t)json_array_size(run->request.row_key_values.value);
    receipt->actor = without_texts(run, run->request.actor);
    receipt->committer = run->request.committer;
    receipt->reason = without_texts(run, run->request.reason);
    receipt->created_at = run->request.created_at;
    receipt->ended_at.unix_ms = lh_clock_unix_ms();
    receipt->job_id = job_id(run->job);
    receipt->datasets = (struct lh_list){run->datasets, run->dataset_count};
    for (size_t i = 0; i < run->dataset_count; i++) {
        const struct erase_done *done = erase_done_of(&run->progress, run->datasets[i].dataset_id);
        run->datasets[i].rows = done ? done->rows : 0;
        run->datasets[i].versions_expired = done ? done->versions_expired : 0;
        run->datasets[i].files_removed = done ? done->files_removed : 0;
        run->datasets[i].rejected_rows = done ? done->rejected_rows : 0;
        receipt->rows += run->datasets[i].rows;
    }
    receipt->is_at_least = run->progress.is_at_least;
    receipt->answers_removed = run->progress.answers_removed;
    receipt->scan = &run->scanning.result;
    receipt->not_covered =
        erase_not_covered(&run->plan, &run->scanning, run->id, run->journal_problem, run->arena);
    enum lh_code code = erase_clean_receipt(run, receipt, err);
    if (!code)
        code = erase_write(lake_storage(run->lake), run->id, "receipt", &lake_erasure_fields,
                           receipt, err);
    /* What was found can be mended and looked for again: for that the plan is needed. */
    return code || is_found ? code : forget(run, err);
}

/* --- the job */

bool erase_run_has_work(struct erase_run *run, struct lake_erased_dataset *dataset)
{
    const struct erase_done *done = erase_done_of(&run->progress, dataset->dataset_id);
    return done && done->is_touched && erase_run_is_there(run, dataset);
}

static enum lh_code each_dataset(struct erase_run *run,
                                 enum lh_code (*step)(struct erase_run *run,
                                                      struct lake_erased_dataset *dataset,
                                                      struct lh_error *err),
                                 struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        if (erase_run_has_work(run, &run->datasets[i]))
            code = step(run, &run->datasets[i], err);
    return code;
}

/* What came, or came back, meanwhile. */
static enum lh_code do_again(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code =
        erase_hide(run->lake, run->id, &run->request, &run->progress, run->cancel, run->arena, err);
    if (!code)
        code = erase_find_work(run, NULL, err);
    if (!code)
        code = each_dataset(run, rewrite, err);
    if (!code)
        code = each_dataset(run, erase_lineage, err);
    if (!code)
        code = each_dataset(run, expire, err);
    return code ? code : rewrite_journal(run, err);
}

/* Records about rows name keys of any length: none does any more. */
static enum lh_code prove_journal(struct erase_run *run, struct lh_error *err)
{
    const struct erase_journal of = {
        .catalog = lake_catalog(run->lake),
        .journal = lake_journal(run->lake),
        .canaries = run->canaries,
        .keys = run->keys,
        .datasets = run->datasets,
        .dataset_count = run->dataset_count,
        .is_trial = true,
        .cancel = run->cancel,
    };
    struct lake_erased_journal left = {0};
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = run->journal_problem.len ? LH_OK : LH_BUSY;
    for (int i = 0; i < WAITS_MAX && code == LH_BUSY && !lh_cancel_check(run->cancel); i++) {
        if (i)
            (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        found = (struct lh_error)LH_ERROR_NONE;
        code = erase_journal(&of, run->arena, &left, &found);
    }
    if (code && err)
        *err = found;
    if (!code && left.records)
        erase_scan_find(&run->scanning, lh_lit(JOURNAL_FOLDER),
                        lh_arena_printf(run->arena, "%lld records name a key, or a row's text.",
                                        (long long)left.records));
    run->own_count += !code && left.records;
    return code;
}

/* Of what somebody deleted, and what was found in it, nothing is kept for an undo. */
static enum lh_code remove_found_trash(struct erase_run *run, struct lh_error *err)
{
    const struct erase_scanning *scanning = &run->scanning;
    struct lh_str *keys = lh_arena_array(run->arena, scanning->found_count + 1, sizeof *keys);
    size_t count = 0;
    for (size_t i = 0; i < scanning->found_count; i++) {
        struct lh_str rest = scanning->found[i].object;
        if (!lh_str_starts_with(rest, lh_lit("_trash/")) ||
            (run->request.dataset.len && erase_others_has(run->others, rest)))
            continue;
        (void)lh_str_cut(&rest, '/');
        (void)lh_str_cut(&rest, '/');
        if (rest.len)
            keys[count++] = rest;
    }
    return count ? empty_trash(run, keys, count, err) : LH_OK;
}

/* Until nothing is found. Where nothing was done the search that found nothing is the proof. */
static enum lh_code clean_and_prove(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!run->has_work)
        return erase_note_versions(run, err);
    for (int tries = 0; tries < SCANS_MAX && !code; tries++) {
        if (tries)
            code = remove_found_trash(run, err);
        if (tries && !code)
            code = do_again(run, err);
        if (!code)
            code = remove_leftovers(run, err);
        if (!code)
            code = erase_prove(run, err);
        if (!code)
            code = prove_journal(run, err);
        if (!run->own_count)
            break;
        (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL); /* somebody was sweeping, too */
    }
    return code;
}

static enum lh_code do_all(struct erase_run *run, struct lh_error *err)
{
    erase_show(run, "hiding");
    enum lh_code code =
        erase_hide(run->lake, run->id, &run->request, &run->progress, run->cancel, run->arena, err);
    if (!code)
        code = erase_find_plan(run, err);
    if (!code)
        code = erase_find_work(run, NULL, err);
    if (!code)
        code = erase_room_for_all(run, err);
    if (!code)
        code = each_dataset(run, rewrite, err);
    if (!code)
        code = each_dataset(run, rebuild, err);
    if (!code && run->has_work)
        code = erase_find_shared(run, err);
    if (!code)
        code = each_dataset(run, erase_lineage, err);
    if (!code)
        code = each_dataset(run, expire, err);
    if (!code)
        code = rewrite_journal(run, err);
    if (!code)
        code = remove_answers(run, err);
    if (!code)
        code = clean_and_prove(run, err);
    return code ? code : end(run, err);
}

/* Two may be queued for one erasure, after a kill between a job's record and the note of it. */
static enum lh_code take_turn(struct lake *lake, const struct lh_cancel *cancel,
                              struct lh_error *err)
{
    enum lh_code code = LH_OK;
    while (!code && !lake_take_erasing(lake)) {
        (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        code = lh_cancel_fail(cancel, "The erasure", err);
    }
    return code;
}

static enum lh_code do_once(struct erase_run *run, struct lh_error *err)
{
    struct storage *storage = lake_storage(run->lake);
    struct lake_erasure receipt;
    if (!erase_read(storage, run->id, "receipt", &lake_erasure_fields, run->arena, &receipt,
                    NULL) &&
        receipt.state != LAKE_ERASE_INCOMPLETE)
        return forget(run, err);
    enum lh_code code = erase_note_job(storage, run->id, job_id(run->job), err);
    if (!code)
        code = erase_read(storage, run->id, "request", &erase_request_fields, run->arena,
                          &run->request, err);
    if (!code)
        code =
            erase_progress_open(storage, run->id, &run->request, run->arena, &run->progress, err);
    return code ? code : do_all(run, err);
}

static enum lh_code try_all(struct lake *lake, struct job *job, struct lh_str id,
                            bool *ret_is_short, bool *ret_is_incomplete, struct lh_error *err)
{
    struct erase_run run = {
        .lake = lake, .job = job, .cancel = job_cancel(job), .arena = lh_arena_new(0), .id = id};
    lh_fields_preset(&lake_erasure_fields, &run.receipt);
    enum lh_code code = do_once(&run, err);
    *ret_is_short = run.is_short;
    *ret_is_incomplete = run.receipt.state == LAKE_ERASE_INCOMPLETE;
    canaries_free(run.canaries);
    lh_arena_free(run.arena);
    return code;
}

enum lh_code lake_erase_job(void *context, struct job *job, struct lh_error *err)
{
    struct lake *lake = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str id = {0};
    bool is_short = false, is_incomplete = false;
    enum lh_code code = erase_read_args(job_args(job), arena, &id, err);
    if (!code)
        code = take_turn(lake, job_cancel(job), err);
    if (!code) {
        code = try_all(lake, job, id, &is_short, &is_incomplete, err);
        /* What is written beside the files for which room was made, or others were faster. */
        while (code == LH_FULL && !is_short && storage_reserve_give(lake_storage(lake)))
            code = try_all(lake, job, id, &is_short, &is_incomplete, err);
        storage_reserve_take_back(lake_storage(lake));
        lake_give_erasing(lake);
    }
    if (code == LH_FULL && !is_short)
        lh_error_hint(err,
                      "The rows are hidden. Make room on the disk of the data folder, then POST "
                      "/catalog/erase/%.*s/resume goes on.",
                      LH_ARG(id));
    if (!code)
        job_set_result(job, lh_arena_printf(arena, "{\"erase_id\":\"%.*s\"%s}", LH_ARG(id),
                                            is_incomplete ? ",\"is_partial\":true" : ""));
    lh_arena_free(arena);
    return code;
}
