/* Hiding, which comes before everything else of an erasure, and how far one is: what earlier
 * attempts did must not be lost from the receipt by a kill. */
#include "base/json.h"
#include "catalog/tombstones.h"
#include "journal/journal.h"
#include "lake/erasing_internal.h"
#include "lake/lake.h"

#define RESULT_BYTES_MAX ((size_t)65536)
#define TOLD_MAX ((size_t)100)

static void drop_json(void *json)
{
    json_decref(json);
}

enum lh_code erase_progress_open(struct storage *storage, struct lh_str id,
                                 const struct erase_request *request, struct lh_arena *arena,
                                 struct erase_progress *ret, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    struct erase_progress kept;
    size_t count = request->dataset_ids.count;
    struct erase_done *items = lh_arena_array(arena, count + 1, sizeof *items);
    enum lh_code code =
        erase_read(storage, id, "progress", &erase_progress_fields, arena, &kept, &found);
    if (code && code != LH_NOT_FOUND) {
        if (err)
            *err = found;
        return code;
    }
    if (code)
        lh_fields_preset(&erase_progress_fields, &kept);
    const struct erase_done *done = kept.datasets.items;
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct erase_done){.dataset_id = request->dataset_ids.items[i]};
        for (size_t k = 0; k < kept.datasets.count; k++)
            if (lh_str_equal(done[k].dataset_id, items[i].dataset_id))
                items[i] = done[k];
    }
    kept.datasets = (struct lh_list){items, count};
    *ret = kept;
    return LH_OK;
}

struct erase_done *erase_done_of(struct erase_progress *progress, struct lh_str dataset_id)
{
    struct erase_done *items = (struct erase_done *)(uintptr_t)progress->datasets.items;
    for (size_t i = 0; i < progress->datasets.count; i++)
        if (lh_str_equal(items[i].dataset_id, dataset_id))
            return &items[i];
    return NULL;
}

/* The rows that the first tombstone of this erasure hid: a kill may have come between that commit
 * and the note of it. */
static enum lh_code find_first(struct lake *lake, struct lh_str key, struct lh_arena *arena,
                               bool *ret_found, int64_t *ret_rows, struct lh_error *err)
{
    struct catalog_commit_result done = {0};
    json_t *value = NULL;
    enum lh_code code = catalog_fulfilled(lake_catalog(lake), (struct lh_str){0}, key,
                                          (struct lh_str){0}, arena, ret_found, &done, err);
    if (code || !*ret_found)
        return code;
    code = lh_json_parse(done.result, "What a tombstone hid", RESULT_BYTES_MAX, &value, err);
    if (code)
        return code;
    lh_arena_defer(arena, drop_json, value);
    *ret_rows = json_integer_value(json_object_get(value, "rows"));
    return LH_OK;
}

static enum lh_code hide_one(struct lake *lake, struct lh_str id,
                             const struct erase_request *request, struct lh_str name,
                             struct erase_done *done, const struct lh_cancel *cancel,
                             struct lh_arena *arena, struct lh_error *err)
{
    struct catalog_tombstone_result result = {0};
    struct lh_error found = LH_ERROR_NONE;
    struct lh_str key =
        lh_arena_printf(arena, "erase:%.*s:%.*s", LH_ARG(id), LH_ARG(done->dataset_id));
    struct catalog_tombstone_request tombstone = {
        .name = name,
        .column = request->row_key_column,
        .values = request->row_key_values.value,
        .actor = request->actor,
        .committer = request->committer,
        .reason = request->reason,
        .is_erasure = true,
    };
    bool is_repeat = done->is_hidden;
    enum lh_code code = LH_OK;
    if (!is_repeat)
        code = find_first(lake, key, arena, &is_repeat, &done->rows, &found);
    if (!is_repeat)
        tombstone.idempotency_key = key;
    if (!code)
        code = catalog_tombstone(lake_catalog(lake), lake_engine(lake), &tombstone, cancel, arena,
                                 &result, &found);
    if (code == LH_INVALID) /* none is a value of its column's type: it has no such rows */
        code = LH_OK;
    if (code && err)
        *err = found;
    if (!code) {
        done->rows += result.rows;
        done->is_hidden = true;
    }
    return code;
}

enum lh_code erase_hide(struct lake *lake, struct lh_str id, const struct erase_request *request,
                        struct erase_progress *progress, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < request->dataset_ids.count && !code; i++) {
        struct lh_error found = LH_ERROR_NONE;
        struct erase_done *done = erase_done_of(progress, request->dataset_ids.items[i]);
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
        const struct catalog_dataset *dataset = NULL;
        code = catalog_find_id(snapshot, done->dataset_id, &dataset, &found);
        if (!code)
            code = hide_one(lake, id, request, dataset->name, done, cancel, arena, &found);
        else if (code == LH_NOT_FOUND) /* dropped meanwhile */
            code = LH_OK;
        catalog_snapshot_unref(snapshot);
        if (code && err)
            *err = found;
    }
    return code ? code : erase_progress_note(lake_storage(lake), id, progress, err);
}

/* --- notes */

/* What earlier attempts did to the journal, if a kill came before the note of it: the journal says
 * so itself. */
static enum lh_code find_told(struct lake *lake, struct lh_str id, struct lh_time since,
                              struct lh_arena *arena, struct lake_erased_journal *ret,
                              struct lh_error *err)
{
    const struct journal_filter filter = {
        .action = lh_lit("journal.erase"), .entity = lh_lit("journal"), .since_ms = since.unix_ms};
    struct journal_record *records = NULL;
    size_t count = 0, at = 0;
    bool has_more = false;
    enum lh_code code = journal_list(lake_journal(lake), &filter, 0, TOLD_MAX, NULL, arena,
                                     &records, &count, &has_more, err);
    for (size_t i = 0; i < count && !code; i++) {
        json_t *detail = NULL;
        if (!lh_str_find(records[i].event.reason, id, &at) ||
            lh_json_parse(records[i].event.detail, "What was told", RESULT_BYTES_MAX, &detail,
                          NULL))
            continue;
        lh_arena_defer(arena, drop_json, detail);
        ret->records += json_integer_value(json_object_get(detail, "records"));
        ret->hash_before = lh_json_text(json_object_get(detail, "hash_before")); /* the oldest's */
    }
    return code;
}

enum lh_code erase_note_journal(struct lake *lake, struct lh_str id, struct lh_time since,
                                struct erase_progress *progress, struct lake_erased_journal *now,
                                struct lh_arena *arena, struct lh_error *err)
{
    struct lake_erased_journal before = {0};
    enum lh_code code = LH_OK;
    if (progress->journal)
        before = *progress->journal;
    else if (!now->records)
        code = find_told(lake, id, since, arena, &before, err);
    if (code)
        return code;
    if (before.records && !now->records) {
        *now = before;
    } else if (before.records) {
        now->records += before.records;
        now->hash_before = before.hash_before;
    }
    progress->journal = now;
    return erase_progress_note(lake_storage(lake), id, progress, err);
}
