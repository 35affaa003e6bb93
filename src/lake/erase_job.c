/* The steps of an erasure, one after the other; each looks what is left to do, so that one that was
 * cut off begins again from the first. Only the plan is made once: after the files were rewritten,
 * nobody knows any more what the rows held. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/erase.h"
#include "jobs/jobs.h"
#include "journal/journal.h"
#include "lake/erasing_internal.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "query/compact.h"
#include "storage/scrub.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#define TEXTS_MAX ((size_t)200000)
#define TEXT_BYTES_MAX ((size_t)256)
#define TEXT_BYTES_MIN ((size_t)12) /* of a row's text, to be known by it */
#define TELLING_BYTES_MIN ((size_t)8)
#define WAIT_NS 100000000
#define WAITS_MAX 600
#define SCANS_MAX 2 /* what is found once is looked for again */

struct erase_run {
    struct lake *lake;
    struct job *job;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct lh_str id;
    struct erase_request request;
    struct erase_plan plan;
    struct erase_progress progress;
    struct lake_erased_dataset *datasets; /* of the plan, filled further */
    size_t dataset_count;
    struct canaries *canaries;
    const struct erase_keys *keys; /* of the plan */
    struct lake_erasure receipt;
    struct lake_erased_journal journal;
    struct lh_str journal_problem; /* why it stayed as it is */
    struct erase_scanning scanning;
};

static void show(struct erase_run *run, const char *phase)
{
    const struct job_progress progress = {.phase = lh_str_of(phase)};
    job_set_progress(run->job, &progress);
}

/* --- what the rows held */

struct gathering {
    struct canaries *set; /* to have each once */
    struct lh_arena *arena;
    struct lh_str *texts;
    size_t count;
    int64_t short_count, left_out;
    struct lh_str_list *keys; /* as the datasets write them, one list for each */
    size_t key_lists;
    bool is_loose;
};

/* A short one that is a name or a word of a language may be anybody's; what is made of letters and
 * digits, or is an address, is as good as a key. Packed files have shorter ones by chance. */
static bool is_telling(struct lh_str text)
{
    bool has_digit = false, has_letter = false, has_at = false;
    for (size_t i = 0; i < text.len; i++) {
        has_digit |= isdigit((unsigned char)text.data[i]) != 0;
        has_letter |= isalpha((unsigned char)text.data[i]) != 0;
        has_at |= text.data[i] == '@';
    }
    return text.len >= TEXT_BYTES_MIN ||
           (text.len >= TELLING_BYTES_MIN && has_letter && (has_digit || has_at));
}

static void gather_piece(struct gathering *gathering, struct lh_str text)
{
    size_t before = canaries_count(gathering->set);
    if (before == TEXTS_MAX) {
        gathering->left_out++;
        return;
    }
    (void)canaries_add(gathering->set, text, false);
    if (canaries_count(gathering->set) > before)
        gathering->texts[gathering->count++] = lh_arena_str(gathering->arena, text);
}

/* A long one is known by its beginning, and by its end. */
static void gather(void *context, struct lh_str text)
{
    struct gathering *gathering = context;
    struct lh_str head = lh_str_head(text, TEXT_BYTES_MAX);
    size_t from = text.len - head.len > TEXT_BYTES_MAX ? text.len - TEXT_BYTES_MAX : head.len;
    while (from < text.len && ((unsigned char)text.data[from] & 0xC0) == 0x80)
        from++; /* not in the middle of a letter */
    struct lh_str tail = lh_str_slice(text, from, text.len);
    if (!lh_str_is_utf8(head, NULL) || !is_telling(head)) {
        gathering->short_count++;
        return;
    }
    gather_piece(gathering, head);
    if (tail.len >= TEXT_BYTES_MIN && lh_str_is_utf8(tail, NULL))
        gather_piece(gathering, tail);
}

static struct erase_rows rows_of(const struct erase_run *run, const struct catalog_dataset *dataset)
{
    const struct catalog_column *column =
        catalog_dataset_column(dataset, run->request.row_key_column);
    return (struct erase_rows){.storage = lake_storage(run->lake),
                               .engine = lake_engine(run->lake),
                               .column = column ? column->stored_name : (struct lh_str){0},
                               .type = column ? column->type : (struct lh_str){0},
                               .values = run->request.row_key_values.value,
                               .cancel = run->cancel};
}

static enum lh_code plan_dataset(struct erase_run *run, struct lh_str id,
                                 struct gathering *gathering, struct lake_erased_dataset *ret,
                                 struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = catalog_find_id(snapshot, id, &dataset, err);
    *ret = (struct lake_erased_dataset){.dataset = id, .dataset_id = id};
    if (code == LH_NOT_FOUND) { /* dropped meanwhile */
        catalog_snapshot_unref(snapshot);
        return LH_OK;
    }
    if (!code) {
        *ret =
            (struct lake_erased_dataset){.dataset = lh_arena_str(run->arena, dataset->name),
                                         .dataset_id = lh_arena_str(run->arena, dataset->id),
                                         .version_before = dataset->version,
                                         .objects_removed = erase_objects_of(dataset, run->arena)};
        const struct erase_rows rows = rows_of(run, dataset);
        gathering->is_loose |= !lh_str_equal_nocase(rows.type, lh_lit("VARCHAR"));
        code = erase_rows_texts(&rows, id, gather, gathering, err);
    }
    if (!code)
        code = catalog_erase_texts(lake_catalog(run->lake), lake_engine(run->lake), dataset,
                                   run->request.row_key_column, run->request.row_key_values.value,
                                   run->cancel, run->arena, &gathering->keys[gathering->key_lists],
                                   err);
    gathering->key_lists += !code;
    catalog_snapshot_unref(snapshot);
    return code;
}

/* The rows are hidden: what is written down of them cannot come back. */
static enum lh_code make_plan(struct erase_run *run, struct lh_error *err)
{
    struct gathering gathering = {.set = canaries_new(), .arena = run->arena};
    size_t count = run->request.dataset_ids.count;
    struct lake_erased_dataset *datasets = lh_arena_array(run->arena, count + 1, sizeof *datasets);
    enum lh_code code = LH_OK;
    gathering.texts = lh_arena_array(run->arena, TEXTS_MAX, sizeof *gathering.texts);
    gathering.keys = lh_arena_array(run->arena, count + 2, sizeof *gathering.keys);
    gathering.keys[gathering.key_lists++] =
        erase_keys_of(run->request.row_key_values.value, run->arena);
    for (size_t i = 0; i < count && !code; i++)
        code = plan_dataset(run, run->request.dataset_ids.items[i], &gathering, &datasets[i], err);
    run->plan = (struct erase_plan){
        .datasets = {datasets, count},
        .keys = erase_keys_join(gathering.keys, gathering.key_lists, run->arena),
        .is_loose = gathering.is_loose,
        .texts = {gathering.texts, gathering.count},
        .texts_short = gathering.short_count,
        .texts_left_out = gathering.left_out};
    if (!code)
        code = erase_write(lake_storage(run->lake), run->id, "plan", &erase_plan_fields, &run->plan,
                           err);
    canaries_free(gathering.set);
    return code;
}

static void take_plan(struct erase_run *run)
{
    const struct lake_erased_dataset *datasets = run->plan.datasets.items;
    run->dataset_count = run->plan.datasets.count;
    run->datasets = lh_arena_array(run->arena, run->dataset_count + 1, sizeof *run->datasets);
    for (size_t i = 0; i < run->dataset_count; i++)
        run->datasets[i] = datasets[i];
    run->canaries = canaries_new();
    for (size_t i = 0; i < run->plan.keys.count; i++)
        run->plan.texts_short += !erase_key_is_distinctive(run->plan.keys.items[i]) ||
                                 !canaries_add(run->canaries, run->plan.keys.items[i], true);
    for (size_t i = 0; i < run->plan.texts.count; i++)
        (void)canaries_add(run->canaries, run->plan.texts.items[i], false);
    canaries_seal(run->canaries);
    run->keys = erase_keys_new(run->plan.keys, run->plan.is_loose, run->arena);
}

static enum lh_code find_plan(struct erase_run *run, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = erase_read(lake_storage(run->lake), run->id, "plan", &erase_plan_fields,
                                   run->arena, &run->plan, &found);
    if (code == LH_NOT_FOUND) {
        code = make_plan(run, err);
        if (!code)
            job_checkpoint(run->job);
    } else if (code && err) {
        *err = found;
    }
    if (!code)
        take_plan(run);
    return code;
}

/* --- the data */

/* The name that it has now. False: it was dropped meanwhile. */
static bool is_there(struct erase_run *run, struct lake_erased_dataset *dataset)
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
    };
    struct query_compact_result result;
    int64_t keys = 0, version = 0;
    show(run, "hiding");
    enum lh_code code =
        erase_hide(run->lake, run->id, &run->request, &run->progress, run->cancel, run->arena, err);
    if (code)
        return code;
    show(run, "rewriting");
    code =
        query_compact(lake_compactor(run->lake), &request, run->cancel, run->arena, &result, err);
    show(run, "hashing keys");
    if (!code)
        code = catalog_erase_keys(lake_catalog(run->lake), lake_engine(run->lake),
                                  dataset->dataset_id, run->request.row_key_values.value,
                                  run->request.committer, run->cancel, &keys, &version, err);
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
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, JOBS_ARGS_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_fields_write(&search_build_request_fields, &request, &json);
    struct lh_str text = lh_arena_str(run->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
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
            code = jobs_run(lake_jobs(run->lake), &spec, run->cancel, run->arena, NULL, &result,
                            &found);
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
    show(run, "rebuilding indexes");
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

/* Who still reads an old version keeps its files: they are waited for. */
static enum lh_code expire(struct erase_run *run, struct lake_erased_dataset *dataset,
                           struct lh_error *err)
{
    struct catalog_erased_past past = {0};
    struct erase_done *done = erase_done_of(&run->progress, dataset->dataset_id);
    int64_t floor = 0, versions = done->versions_expired;
    enum lh_code code = LH_OK;
    show(run, "expiring versions");
    for (int i = 0; i < WAITS_MAX && !code && !past.is_all; i++) {
        code = lake_sync_journal(run->lake, err);
        if (!code)
            code = catalog_erase_past(
                lake_catalog(run->lake), dataset->dataset_id, run->request.committer,
                lh_lit("Rows were erased from all versions."), &floor, &past, err);
        if (!code && done->versions_expired < versions + past.version_count)
            done->versions_expired = versions + past.version_count;
        done->files_removed += code ? 0 : past.file_count;
        if (!code && (past.version_count || past.file_count))
            code = erase_progress_note(lake_storage(run->lake), run->id, &run->progress, err);
        if (!code && !past.is_all)
            code = lh_cancel_fail(run->cancel, "The erasure", err);
        if (!code && !past.is_all)
            (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
    }
    if (!code && !past.is_all)
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
    struct lh_error found = LH_ERROR_NONE;
    show(run, "rewriting the journal");
    enum lh_code code = lake_sync_journal(run->lake, err);
    if (code)
        return code;
    for (int i = 0; i < WAITS_MAX; i++) {
        found = (struct lh_error)LH_ERROR_NONE;
        code = erase_journal(&of, run->arena, &run->journal, &found);
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
    code = erase_note_journal(run->lake, run->id, run->request.created_at, &run->progress,
                              &run->journal, run->arena, err);
    if (code)
        return code;
    run->receipt.journal = &run->journal;
    return empty_trash(run, &folder, 1, err);
}

/* --- kept answers */

static enum lh_code remove_answers(struct erase_run *run, struct lh_error *err)
{
    const struct lh_str folder = lh_lit("_idempotency");
    const struct erase_answers of = {.storage = lake_storage(run->lake),
                                     .canaries = run->canaries,
                                     .keys = run->keys,
                                     .count = &run->receipt.answers_removed};
    show(run, "removing kept answers");
    enum lh_code code = erase_answers(&of, err);
    return code ? code : empty_trash(run, &folder, 1, err);
}

/* What a killed writer left of these datasets, and of their indexes, in no list; and what others
 * moved to the trash meanwhile. */
static enum lh_code remove_leftovers(struct erase_run *run, struct lh_error *err)
{
    static const struct lh_str folders[] = {LH_LIT("indexes"), LH_LIT("_catalog/indexes"),
                                            LH_LIT("_catalog/queries"), LH_LIT("_jobs")};
    const struct lh_str_list dropped = catalog_erase_dropped(lake_catalog(run->lake), run->arena);
    size_t moved = 0;
    enum lh_code code = catalog_sweep(lake_catalog(run->lake), &moved, err);
    if (!code)
        code = search_sweep(lake_search(run->lake), &moved, err);
    const struct erase_rejects rejects = {.storage = lake_storage(run->lake),
                                          .engine = lake_engine(run->lake),
                                          .canaries = run->canaries,
                                          .keys = run->keys,
                                          .cancel = run->cancel};
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        if (!run->datasets[i].dataset_id.len)
            continue;
        code = erase_rejects(&rejects, run->datasets[i].dataset_id, err);
        if (!code)
            code = remove_trash(run, "datasets", run->datasets[i].dataset_id, err);
    }
    for (size_t i = 0; i < dropped.count && !code; i++)
        code = remove_trash(run, "datasets", dropped.items[i], err);
    if (!code)
        code = erase_old_queries(lake_storage(run->lake), run->canaries, err);
    if (!code)
        code = erase_jobs(lake_storage(run->lake), lake_jobs(run->lake), run->canaries, err);
    if (!code)
        code = empty_trash(run, folders, sizeof folders / sizeof folders[0], err);
    return code;
}

/* --- the scan */

static void note_rows(struct erase_run *run, struct lh_str key, int64_t rows)
{
    erase_scan_find(
        &run->scanning, key,
        lh_arena_printf(run->arena, "%lld rows of the keys stand in it.", (long long)rows));
}

/* What is there now, and that none of it has a row of the keys. */
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
    const struct lake_erase_object *items = live.items;
    struct lh_str *keys = lh_arena_array(run->arena, live.count + 1, sizeof *keys);
    const struct erase_rows rows = rows_of(run, now);
    dataset->version_after = now->version;
    dataset->objects_removed = erase_objects_without(before, live, run->arena);
    dataset->objects_made = erase_objects_without(live, before, run->arena);
    for (size_t i = 0; i < live.count && !code; i++) {
        int64_t count = 0;
        keys[i] = items[i].key;
        if (rows.column.len)
            code = erase_rows_count(&rows, items[i].key, &count, err);
        if (!code && count)
            note_rows(run, items[i].key, count);
    }
    if (!code)
        code = erase_scan_shared(&run->scanning, keys, live.count, err);
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

static void begin_scanning(struct erase_run *run)
{
    run->scanning = (struct erase_scanning){
        .storage = lake_storage(run->lake),
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
    struct storage_entry *entries = NULL;
    size_t count = 0;
    struct lh_str folder =
        lh_arena_printf(run->arena, "datasets/%.*s", LH_ARG(dataset->dataset_id));
    enum lh_code code = storage_list(lake_storage(run->lake), STORAGE_PRIMARY, folder, run->arena,
                                     &entries, &count, err);
    dataset->is_dropped = true;
    dataset->version_after = 0;
    dataset->objects_removed = dataset->objects_made = (struct lh_list){0};
    if (!code && count)
        erase_scan_find(&run->scanning, folder,
                        lh_lit("The dataset was dropped meanwhile: its files are there until they "
                               "expire, and an undo of the drop brings them back."));
    return code == LH_NOT_FOUND ? LH_OK : code;
}

static enum lh_code scan(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    begin_scanning(run);
    show(run, "scanning");
    const struct lake_erased_dataset *planned = run->plan.datasets.items;
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        code = is_there(run, &run->datasets[i])
                   ? check_dataset(run, &run->datasets[i], planned[i].objects_removed, err)
                   : check_dropped(run, &run->datasets[i], err);
    if (!code)
        code = erase_scan(&run->scanning, err);
    run->scanning.result.texts_short += run->plan.texts_short;
    return code;
}

/* Before the records of others are written anew: what rows hold that are left is not taken out. */
static enum lh_code find_shared(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    begin_scanning(run);
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
        const struct catalog_dataset *now = NULL;
        if (!catalog_find_id(snapshot, run->datasets[i].dataset_id, &now, NULL)) {
            struct lh_str *keys = lh_arena_array(run->arena, now->object_count + 1, sizeof *keys);
            for (size_t k = 0; k < now->object_count; k++)
                keys[k] = now->objects[k]->key;
            code = erase_scan_shared(&run->scanning, keys, now->object_count, err);
        }
        catalog_snapshot_unref(snapshot);
    }
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
    if (run->journal_problem.len)
        erase_scan_find(&run->scanning, lh_lit(JOURNAL_FOLDER),
                        lh_lit("It was not written anew, and may name the keys."));
    size_t found = run->scanning.found_count;
    receipt->erase_id = run->id;
    receipt->state = found ? LAKE_ERASE_INCOMPLETE : LAKE_ERASE_ERASED;
    receipt->dataset = run->request.dataset;
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
        receipt->rows += run->datasets[i].rows;
    }
    receipt->scan = &run->scanning.result;
    receipt->found = (struct lh_list){run->scanning.found, found};
    receipt->not_covered =
        erase_not_covered(&run->plan, &run->scanning, run->id, run->journal_problem, run->arena);
    enum lh_code code = erase_write(lake_storage(run->lake), run->id, "receipt",
                                    &lake_erasure_fields, receipt, err);
    /* What was found can be mended and looked for again: for that the plan is needed. */
    return code || found ? code : forget(run, err);
}

/* --- the job */

/* `step` of each dataset that is there. */
static enum lh_code each_dataset(struct erase_run *run,
                                 enum lh_code (*step)(struct erase_run *run,
                                                      struct lake_erased_dataset *dataset,
                                                      struct lh_error *err),
                                 struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        if (is_there(run, &run->datasets[i]))
            code = step(run, &run->datasets[i], err);
    return code;
}

/* A move may have ended after this was asked for, and before it had its turn. */
static enum lh_code check_places(struct erase_run *run, struct lh_error *err)
{
    struct catalog *catalog = lake_catalog(run->lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->request.dataset_ids.count && !code; i++) {
        const struct catalog_dataset *dataset = NULL;
        if (!catalog_find_id(snapshot, run->request.dataset_ids.items[i], &dataset, NULL) &&
            dataset->move_count)
            code = catalog_erase_check(catalog, dataset, run->request.row_key_column, err);
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

static enum lh_code do_all(struct erase_run *run, struct lh_error *err)
{
    show(run, "hiding");
    enum lh_code code =
        erase_hide(run->lake, run->id, &run->request, &run->progress, run->cancel, run->arena, err);
    if (!code)
        code = check_places(run, err);
    if (!code)
        code = find_plan(run, err);
    if (!code)
        code = each_dataset(run, rewrite, err);
    if (!code)
        code = each_dataset(run, rebuild, err);
    if (!code)
        code = each_dataset(run, expire, err);
    if (!code)
        code = find_shared(run, err);
    if (!code)
        code = rewrite_journal(run, err);
    if (!code)
        code = remove_answers(run, err);
    for (int tries = 0; tries < SCANS_MAX && !code; tries++) {
        if (tries) /* what came, or came back, meanwhile */
            code = each_dataset(run, rewrite, err);
        if (tries && !code)
            code = each_dataset(run, expire, err);
        if (!code)
            code = remove_leftovers(run, err);
        if (!code)
            code = scan(run, err);
        if (!run->scanning.found_count)
            break;
        (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL); /* somebody was sweeping, too */
    }
    return code ? code : end(run, err);
}

/* Two may be queued for one erasure, after a kill between a job's record and the note of it. */
static enum lh_code take_turn(struct erase_run *run, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    while (!code && !lake_take_erasing(run->lake)) {
        (void)nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        code = lh_cancel_fail(run->cancel, "The erasure", err);
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

enum lh_code lake_erase_job(void *context, struct job *job, struct lh_error *err)
{
    struct erase_run run = {
        .lake = context, .job = job, .cancel = job_cancel(job), .arena = lh_arena_new(0)};
    lh_fields_preset(&lake_erasure_fields, &run.receipt);
    enum lh_code code = erase_read_args(job_args(job), run.arena, &run.id, err);
    if (!code)
        code = take_turn(&run, err);
    if (!code) {
        code = do_once(&run, err);
        lake_give_erasing(run.lake);
    }
    if (!code)
        job_set_result(job, lh_arena_printf(run.arena, "{\"erase_id\":\"%.*s\"}", LH_ARG(run.id)));
    canaries_free(run.canaries);
    lh_arena_free(run.arena);
    return code;
}
