/* Hiding, which comes before everything else of an erasure, and how far one is: what earlier
 * attempts did must not be lost from the receipt by a kill. */
#include "base/json.h"
#include "catalog/tombstones.h"
#include "journal/journal.h"
#include "lake/erasing_internal.h"
#include "lake/lake.h"

#define RESULT_BYTES_MAX ((size_t)65536)
#define TOLD_MAX ((size_t)100)

/* --- outcomes: one letter for each value, the further down the more is known */

static const char outcome_letters[] = "t0nam"; /* by enum lake_erase_outcome */

static enum lake_erase_outcome outcome_of(const struct erase_progress *progress, size_t index)
{
    const char *at = index < progress->outcomes.len
                         ? strchr(outcome_letters, progress->outcomes.data[index])
                         : NULL;
    return at ? (enum lake_erase_outcome)(at - outcome_letters) : LAKE_ERASE_NO_KEY;
}

static enum lake_erase_proof proof_of(const json_t *value, enum lake_erase_outcome outcome,
                                      struct lh_arena *arena)
{
    json_t *alone = json_array();
    (void)json_array_append(alone, (json_t *)(uintptr_t)value);
    struct lh_str_list texts = erase_keys_of(alone, arena);
    bool is_long = texts.count && erase_key_is_distinctive(texts.items[0]);
    json_decref(alone);
    if (outcome < LAKE_ERASE_NO_MATCH)
        return LAKE_ERASE_NOT_LOOKED_FOR;
    return is_long ? LAKE_ERASE_SEARCHED : LAKE_ERASE_COMPARED;
}

struct lh_list erase_values_of(const struct erase_progress *progress, const json_t *asked,
                               struct lh_arena *arena)
{
    size_t count = progress->outcomes.len;
    struct lake_erase_value *values = lh_arena_array(arena, count + 1, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        enum lake_erase_outcome outcome = outcome_of(progress, i);
        values[i] = (struct lake_erase_value){
            (int64_t)i, (int)outcome, (int)proof_of(json_array_get(asked, i), outcome, arena)};
    }
    return (struct lh_list){values, count};
}

bool erase_has_match(struct lh_list values)
{
    const struct lake_erase_value *items = values.items;
    for (size_t i = 0; i < values.count; i++)
        if (items[i].outcome == LAKE_ERASE_MATCH)
            return true;
    return false;
}

static struct lh_str no_outcomes(const json_t *values, struct lh_arena *arena)
{
    size_t count = json_array_size(values);
    char *letters = lh_arena_array(arena, count + 1, 1);
    for (size_t i = 0; i < count; i++)
        letters[i] = outcome_letters[json_is_null(json_array_get(values, i)) ? LAKE_ERASE_NULL
                                                                             : LAKE_ERASE_NO_KEY];
    return (struct lh_str){letters, count};
}

static enum lake_erase_outcome outcome_from(const struct catalog_key_result *value)
{
    switch (value->outcome) {
    case CATALOG_KEY_DONE:
        return LAKE_ERASE_MATCH;
    case CATALOG_KEY_ALREADY:
    case CATALOG_KEY_ERASED:
        return value->is_erased ? LAKE_ERASE_ALREADY : LAKE_ERASE_MATCH;
    case CATALOG_KEY_NO_MATCH:
        return LAKE_ERASE_NO_MATCH;
    case CATALOG_KEY_NULL:
        return LAKE_ERASE_NULL;
    case CATALOG_KEY_TYPE:
        break;
    }
    return LAKE_ERASE_NO_KEY;
}

static void note_outcomes(struct erase_progress *progress,
                          const struct catalog_tombstone_result *result, struct lh_arena *arena)
{
    char *letters = lh_arena_array(arena, progress->outcomes.len + 1, 1);
    for (size_t i = 0; i < progress->outcomes.len; i++) {
        enum lake_erase_outcome known = outcome_of(progress, i),
                                now = i < result->value_count ? outcome_from(&result->values[i])
                                                              : LAKE_ERASE_NO_KEY;
        letters[i] = outcome_letters[now > known ? now : known];
    }
    progress->outcomes.data = letters;
}

/* --- what earlier attempts noted */

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
    if (kept.outcomes.len != json_array_size(request->row_key_values.value))
        kept.outcomes = no_outcomes(request->row_key_values.value, arena);
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

/* --- hiding, which is counted once: the note that it begins comes before it, the note of what it
 * did behind it, and after a kill between the two what was committed under its key is looked up */

static struct lh_str hide_key(struct lh_str id, struct lh_str dataset_id, int64_t serial,
                              struct lh_arena *arena)
{
    if (serial == 1)
        return lh_arena_printf(arena, "erase:%.*s:%.*s", LH_ARG(id), LH_ARG(dataset_id));
    return lh_arena_printf(arena, "erase:%.*s:%.*s:%lld", LH_ARG(id), LH_ARG(dataset_id),
                           (long long)serial);
}

/* The rows that a tombstone of this erasure hid, if there is one under the key. */
static enum lh_code find_hidden(struct lake *lake, struct lh_str key, struct lh_arena *arena,
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
    lh_json_keep(value, arena);
    *ret_rows = json_integer_value(json_object_get(value, "rows"));
    return LH_OK;
}

/* After a kill. What is not found was not done, unless the version that would say so is gone. */
static enum lh_code recover_one(struct lake *lake, struct lh_str id, int64_t serial,
                                struct erase_progress *progress, struct erase_done *done,
                                bool *ret_any, struct lh_arena *arena, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    const struct catalog_dataset *dataset = NULL;
    bool is_found = false;
    int64_t rows = 0;
    enum lh_code code = find_hidden(lake, hide_key(id, done->dataset_id, serial, arena), arena,
                                    &is_found, &rows, err);
    if (!code && is_found) {
        done->rows += rows;
        done->is_hidden = *ret_any = true;
    } else if (!code && done->version_then) { /* of one that is dropped no version tells */
        bool is_gone = catalog_find_id(snapshot, done->dataset_id, &dataset, NULL) != LH_OK;
        progress->is_at_least |= is_gone || dataset->retained_version > done->version_then + 1;
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

static enum lh_code recover(struct lake *lake, struct lh_str id, struct erase_progress *progress,
                            struct lh_arena *arena, struct lh_error *err)
{
    struct erase_done *items = (struct erase_done *)(uintptr_t)progress->datasets.items;
    enum lh_code code = LH_OK;
    bool is_any = false, is_first = !progress->hides_begun;
    int64_t serial = progress->hides_noted + 1;
    if (!is_first && progress->hides_begun == progress->hides_noted)
        return LH_OK;
    for (size_t i = 0; i < progress->datasets.count && !code; i++)
        if (!is_first || !items[i].is_hidden)
            code = recover_one(lake, id, serial, progress, &items[i], &is_any, arena, err);
    for (size_t i = 0; i < progress->datasets.count && is_first; i++)
        is_any |= items[i].is_hidden; /* an earlier release noted no beginnings */
    if (!code && (!is_first || is_any))
        progress->hides_begun = progress->hides_noted = serial;
    return code;
}

struct hiding {
    struct lake *lake;
    struct lh_str id;
    const struct erase_request *request;
    struct erase_progress *progress;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    bool is_trial;
    int64_t keys; /* that would be hidden, or were */
};

static enum lh_code hide_one(struct hiding *hiding, const struct catalog_dataset *dataset,
                             struct erase_done *done, struct lh_error *err)
{
    const struct erase_request *request = hiding->request;
    struct catalog_tombstone_result result = {0};
    struct lh_error found = LH_ERROR_NONE;
    struct catalog_tombstone_request tombstone = {
        .dataset_id = dataset->id, /* its name may be another's by now */
        .column = request->row_key_column,
        .values = request->row_key_values.value,
        .actor = request->actor,
        .committer = request->committer,
        .reason = request->reason,
        .is_erasure = true,
        .is_trial = hiding->is_trial,
    };
    if (!hiding->is_trial)
        tombstone.idempotency_key =
            hide_key(hiding->id, done->dataset_id, hiding->progress->hides_begun, hiding->arena);
    struct lh_arena *scratch = lh_arena_new(0); /* files are pinned as long as it lives */
    enum lh_code code = catalog_tombstone(lake_catalog(hiding->lake), lake_engine(hiding->lake),
                                          &tombstone, hiding->cancel, scratch, &result, &found);
    if (!code)
        note_outcomes(hiding->progress, &result, hiding->arena);
    lh_arena_free(scratch);
    if (code == LH_INVALID) /* none is a value of its column's type: it has no such rows */
        return LH_OK;
    if (code && err)
        *err = found;
    if (code)
        return code;
    hiding->keys += result.keys;
    if (!hiding->is_trial || !hiding->progress->hides_begun) /* a dry run, too */
        done->rows += result.rows;
    done->is_hidden |= !hiding->is_trial;
    return LH_OK;
}

static enum lh_code hide_all(struct hiding *hiding, struct lh_error *err)
{
    struct erase_done *items = (struct erase_done *)(uintptr_t)hiding->progress->datasets.items;
    enum lh_code code = LH_OK;
    hiding->keys = 0;
    for (size_t i = 0; i < hiding->progress->datasets.count && !code; i++) {
        struct lh_error found = LH_ERROR_NONE;
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(hiding->lake));
        const struct catalog_dataset *dataset = NULL;
        code = catalog_find_id(snapshot, items[i].dataset_id, &dataset, &found);
        if (!code)
            code = hide_one(hiding, dataset, &items[i], &found);
        else if (code == LH_NOT_FOUND) /* dropped meanwhile */
            code = LH_OK;
        catalog_snapshot_unref(snapshot);
        if (code && err)
            *err = found;
    }
    return code;
}

static void begin_hiding(struct lake *lake, struct erase_progress *progress)
{
    struct erase_done *items = (struct erase_done *)(uintptr_t)progress->datasets.items;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    for (size_t i = 0; i < progress->datasets.count; i++) {
        const struct catalog_dataset *dataset = NULL;
        if (catalog_find_id(snapshot, items[i].dataset_id, &dataset, NULL))
            continue;
        items[i].version_then = dataset->version;
        if (!items[i].retained_before)
            items[i].retained_before = dataset->retained_version ? dataset->retained_version : 1;
    }
    catalog_snapshot_unref(snapshot);
    progress->hides_begun = progress->hides_noted + 1;
}

enum lh_code erase_hide_trial(struct lake *lake, const struct erase_request *request,
                              struct erase_progress *progress, const struct lh_cancel *cancel,
                              struct lh_arena *arena, int64_t *ret_keys, struct lh_error *err)
{
    struct hiding hiding = {.lake = lake,
                            .request = request,
                            .progress = progress,
                            .cancel = cancel,
                            .arena = arena,
                            .is_trial = true};
    enum lh_code code = hide_all(&hiding, err);
    *ret_keys = hiding.keys;
    return code;
}

enum lh_code erase_hide(struct lake *lake, struct lh_str id, const struct erase_request *request,
                        struct erase_progress *progress, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct lh_error *err)
{
    struct storage *storage = lake_storage(lake);
    struct hiding hiding = {.lake = lake,
                            .id = id,
                            .request = request,
                            .progress = progress,
                            .cancel = cancel,
                            .arena = arena};
    int64_t keys = 0;
    enum lh_code code = recover(lake, id, progress, arena, err);
    if (!code && progress->hides_noted) { /* mostly nothing is left to hide */
        code = erase_hide_trial(lake, request, progress, cancel, arena, &keys, err);
        if (code || !keys)
            return code ? code : erase_progress_note(storage, id, progress, err);
    }
    if (!code) {
        begin_hiding(lake, progress);
        code = erase_progress_note(storage, id, progress, err);
    }
    if (!code)
        code = hide_all(&hiding, err);
    if (!code)
        progress->hides_noted = progress->hides_begun;
    return code ? code : erase_progress_note(storage, id, progress, err);
}

/* --- notes */

enum lh_code erase_begin_count(struct lake *lake, struct lh_str id, struct erase_progress *progress,
                               struct lh_error *err)
{
    progress->is_at_least |= progress->is_counting;
    progress->is_counting = true;
    return erase_progress_note(lake_storage(lake), id, progress, err);
}

enum lh_code erase_end_count(struct lake *lake, struct lh_str id, struct erase_progress *progress,
                             enum lh_code so_far, struct lh_error *err)
{
    struct lh_error later = LH_ERROR_NONE;
    progress->is_counting = false;
    enum lh_code code = erase_progress_note(lake_storage(lake), id, progress, &later);
    if (so_far)
        return so_far;
    if (code && err)
        *err = later;
    return code;
}

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
        lh_json_keep(detail, arena);
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
