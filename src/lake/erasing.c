#include "lake/erasing.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/erase.h"
#include "jobs/jobs.h"
#include "lake/erase_run.h"
#include "lake/lake.h"
#include "storage/findings.h"
#include "storage/scrub.h"

/* --- accepting */

/* Any of them as a word, and a long one anywhere. */
static bool holds_value(struct lh_str text, struct lh_str_list values, struct lh_arena *arena)
{
    size_t place = 0;
    for (size_t i = 0; i < values.count; i++)
        if (values.items[i].len >= CANARY_BYTES_MIN && lh_str_find(text, values.items[i], &place))
            return true;
    return erase_keys_in(erase_keys_new(values, true, arena), text);
}

static enum lh_code check_texts(const struct lake_erase_request *request, struct lh_arena *arena,
                                struct lh_error *err)
{
    size_t count = json_array_size(request->values);
    enum lh_code code = LH_OK;
    if (!json_is_array(request->values) || !count)
        code = lh_fail(err, LH_INVALID, "row_key_values is a list of at least one value.");
    else if (count > CATALOG_TOMBSTONE_KEYS_MAX)
        code = lh_fail(err, LH_TOO_LARGE, "row_key_values has %zu values; the most is %zu.", count,
                       CATALOG_TOMBSTONE_KEYS_MAX);
    if (code)
        return lh_error_field(err, lh_lit("row_key_values"));
    struct lh_str_list values = erase_keys_of(request->values, arena);
    bool is_reason = holds_value(request->reason, values, arena);
    if (!is_reason && !holds_value(request->actor, values, arena))
        return LH_OK;
    lh_fail(err, LH_INVALID, "The %s holds a value that is to be erased, and would be kept.",
            is_reason ? "reason" : "actor");
    return lh_error_field(err, is_reason ? lh_lit("reason") : lh_lit("actor"));
}

/* The datasets, each checked: all can be erased from, or nothing is begun. */
static enum lh_code find_datasets(struct lake *lake, const struct lake_erase_request *request,
                                  struct lh_arena *arena, struct lh_str_list *ret,
                                  struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    size_t all = catalog_snapshot_count(snapshot), count = 0;
    struct lh_str *ids = lh_arena_array(arena, all + 1, sizeof *ids);
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = LH_OK;
    if (request->dataset.len) {
        code = catalog_find(snapshot, request->dataset, &dataset, err);
        if (!code)
            code = catalog_erase_check(lake_catalog(lake), dataset, request->column, err);
        if (!code)
            ids[count++] = lh_arena_str(arena, dataset->id);
    }
    for (size_t i = 0; i < all && !code && !request->dataset.len; i++) {
        dataset = catalog_snapshot_item(snapshot, i);
        if (!catalog_dataset_column(dataset, request->column))
            continue;
        code = catalog_erase_check(lake_catalog(lake), dataset, request->column, err);
        ids[count++] = lh_arena_str(arena, dataset->id);
    }
    catalog_snapshot_unref(snapshot);
    if (!code)
        code =
            catalog_erase_check_dropped(lake_catalog(lake), request->dataset, request->column, err);
    if (!code && !count) {
        code = lh_fail(err, LH_NOT_FOUND, "No dataset has a column '%.*s'.",
                       LH_ARG(lh_str_head(request->column, 100)));
        lh_error_field(err, lh_lit("row_key_column"));
    }
    *ret = (struct lh_str_list){ids, count};
    return code;
}

/* The ids in the folder, ascending, each once. */
static enum lh_code list_ids(struct storage *storage, struct lh_arena *arena, struct lh_str **ret,
                             size_t *ret_count, struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t entry_count = 0, count = 0;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(ERASE_FOLDER), arena,
                                     &entries, &entry_count, err);
    struct lh_str *ids = lh_arena_array(arena, entry_count + 1, sizeof *ids);
    for (size_t i = 0; i < entry_count && !code; i++) {
        struct lh_str id = lh_str_head(entries[i].name, LH_UUID_TEXT_BYTES);
        bool is_whole = lh_str_ends_with(entries[i].name, lh_lit(".request.json")) ||
                        lh_str_ends_with(entries[i].name, lh_lit(".receipt.json"));
        if (is_whole && lh_uuid_is_valid(id) && (!count || !lh_str_equal(ids[count - 1], id)))
            ids[count++] = id;
    }
    *ret = ids;
    *ret_count = code ? 0 : count;
    return code;
}

/* All its steps were done, and what it looked for is kept. */
static bool is_incomplete(struct storage *storage, struct lh_str id, struct lh_arena *arena)
{
    struct lake_erasure erasure;
    return !erase_read(storage, id, "receipt", &lake_erasure_fields, arena, &erasure, NULL) &&
           erasure.state == LAKE_ERASE_INCOMPLETE;
}

static bool is_overlap(const struct erase_request *a, const struct erase_request *b,
                       struct lh_arena *arena)
{
    struct lh_str_list values = erase_keys_of(b->row_key_values.value, arena);
    const struct erase_keys *keys =
        erase_keys_new(erase_keys_of(a->row_key_values.value, arena), true, arena);
    bool has_dataset = false, has_key = false;
    for (size_t i = 0; i < a->dataset_ids.count; i++)
        for (size_t k = 0; k < b->dataset_ids.count; k++)
            has_dataset |= lh_str_equal(a->dataset_ids.items[i], b->dataset_ids.items[k]);
    for (size_t i = 0; i < values.count && has_dataset; i++)
        has_key |= erase_keys_has(keys, values.items[i]);
    return has_key;
}

/* What the rows held is known to that one alone: another one would find nothing, and say so. */
static enum lh_code check_incomplete(struct lake *lake, const struct erase_request *request,
                                     struct lh_arena *arena, struct lh_error *err)
{
    struct lh_str *ids = NULL;
    size_t count = 0;
    enum lh_code code = list_ids(lake_storage(lake), arena, &ids, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct erase_request other;
        if (erase_read(lake_storage(lake), ids[i], "request", &erase_request_fields, arena, &other,
                       NULL) ||
            !is_incomplete(lake_storage(lake), ids[i], arena) ||
            !is_overlap(&other, request, arena))
            continue;
        lh_fail(err, LH_CONFLICT, "Rows of one of these keys were erased, and found again.");
        code = lh_error_hint(err,
                             "GET /catalog/erase/%.*s says where; POST /catalog/erase/%.*s/resume "
                             "looks again for what they held.",
                             LH_ARG(ids[i]), LH_ARG(ids[i]));
    }
    return code;
}

static enum lh_code submit(struct lake *lake, struct lh_str id, struct lh_str actor,
                           struct lh_str dataset, struct lh_arena *arena, struct lh_str *ret_job,
                           struct lh_error *err)
{
    struct lh_uuid job_id;
    const struct job_spec spec = {
        .kind = lh_lit(LAKE_ERASE_JOB_KIND),
        .dataset = dataset,
        .actor = actor,
        .args = lh_arena_printf(arena, "{\"erase_id\":\"%.*s\"}", LH_ARG(id)),
        .is_vital = true,
    };
    enum lh_code code = jobs_submit(lake_jobs(lake), &spec, &job_id, err);
    if (code)
        return code;
    *ret_job = lh_arena_str(arena, lh_uuid_str(&job_id));
    return erase_note_job(lake_storage(lake), id, *ret_job, err);
}

/* Nobody goes on with it, not the next start either: a request that cannot be removed now, because
 * a backup runs, stands as failed. */
static void refuse(struct lake *lake, struct lh_str id, const struct erase_progress *progress,
                   struct lh_error *err)
{
    struct storage *storage = lake_storage(lake);
    struct lh_error later = LH_ERROR_NONE;
    const struct erase_done *done = progress->datasets.items;
    size_t hidden = 0;
    for (size_t i = 0; i < progress->datasets.count; i++)
        hidden += done[i].is_hidden;
    bool is_left = erase_forget(storage, id, &later) != LH_OK;
    if (is_left)
        lh_log_error(LH_LOG_WARN, "lake.erase", &later);
    if (is_left && erase_note_job(storage, id, lh_lit("none"), &later))
        lh_log_error(LH_LOG_WARN, "lake.erase", &later);
    if (is_left)
        lh_error_hint(err,
                      "What was asked for is kept, and nobody goes on with it: DELETE "
                      "/catalog/erase/%.*s removes it, POST /catalog/erase/%.*s/resume goes on.",
                      LH_ARG(id), LH_ARG(id));
    else if (hidden)
        lh_error_hint(err,
                      "In %zu of %zu datasets the rows are hidden already: ask again, or lift "
                      "their tombstones.",
                      hidden, progress->datasets.count);
}

/* Hidden first, then a job: whatever becomes of that one, nobody sees the rows. What was not hidden
 * was not accepted; where that is not known, the next start goes on. */
static enum lh_code set_out(struct lake *lake, struct lh_str id,
                            const struct erase_request *request, const struct lh_cancel *cancel,
                            struct lh_arena *arena, struct lh_str *ret_job, struct lh_error *err)
{
    struct storage *storage = lake_storage(lake);
    struct lh_error later = LH_ERROR_NONE;
    struct erase_progress progress = {0};
    enum lh_code code = erase_progress_open(storage, id, request, arena, &progress, err);
    if (!code)
        code = erase_hide(lake, id, request, &progress, cancel, arena, err);
    if (code && code != LH_UNKNOWN && code != LH_LOCKED) {
        refuse(lake, id, &progress, err);
        return code;
    }
    if (!code)
        code = submit(lake, id, request->committer, request->dataset, arena, ret_job, err);
    if (!code || code == LH_UNKNOWN || code == LH_LOCKED)
        return code;
    if (erase_note_job(storage, id, lh_lit("none"), &later))
        lh_log_error(LH_LOG_WARN, "lake.erase", &later);
    return lh_error_hint(err, "The rows are hidden; POST /catalog/erase/%.*s/resume goes on.",
                         LH_ARG(id));
}

/* What is asked for, checked. */
static enum lh_code prepare(struct lake *lake, const struct lake_erase_request *request,
                            struct lh_arena *arena, struct erase_request *ret, struct lh_error *err)
{
    *ret = (struct erase_request){
        .dataset = request->dataset,
        .row_key_column = request->column,
        .row_key_values = {.value = request->values},
        .actor = request->actor,
        .committer = request->committer,
        .reason = request->reason,
        .created_at = {lh_clock_unix_ms()},
    };
    enum lh_code code = check_texts(request, arena, err);
    if (!code)
        code = find_datasets(lake, request, arena, &ret->dataset_ids, err);
    return code ? code : check_incomplete(lake, ret, arena, err);
}

enum lh_code lake_erase_try(struct lake *lake, const struct lake_erase_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct lake_erasure *ret, struct lh_error *err)
{
    struct erase_request asked;
    enum lh_code code = prepare(lake, request, arena, &asked, err);
    return code ? code : erase_trial(lake, &asked, cancel, arena, ret, err);
}

enum lh_code lake_erase_begin(struct lake *lake, const struct lake_erase_request *request,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct lh_str *ret_id, struct lh_str *ret_job, struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_str id = lh_arena_str(arena, lh_uuid_str(&uuid));
    struct erase_request kept;
    enum lh_code code = prepare(lake, request, arena, &kept, err);
    if (!code)
        code = erase_write(lake_storage(lake), id, "request", &erase_request_fields, &kept, err);
    if (!code)
        code = set_out(lake, id, &kept, cancel, arena, ret_job, err);
    if (!code)
        *ret_id = id;
    return code;
}

/* --- telling */

enum known_job {
    JOB_NONE, /* there never was one: it was killed while it was accepted */
    JOB_GONE, /* it has ended, and is remembered no more */
    JOB_KNOWN
};

static enum known_job find_job(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                               struct job_info *ret)
{
    struct lh_str job = erase_job_of(lake_storage(lake), id, arena);
    if (!job.len)
        return JOB_NONE;
    return jobs_get(lake_jobs(lake), job, arena, ret, NULL) ? JOB_GONE : JOB_KNOWN;
}

static bool goes_on(const struct job_info *info)
{
    return info->state == JOB_QUEUED || info->state == JOB_RUNNING;
}

/* False: it has succeeded meanwhile, so there is a receipt. */
static bool describe_job(struct lake *lake, struct lh_arena *arena, struct lake_erasure *ret)
{
    struct job_info info;
    enum known_job known = find_job(lake, ret->erase_id, arena, &info);
    ret->state = known == JOB_GONE ? LAKE_ERASE_FAILED : LAKE_ERASE_WAITING;
    if (known == JOB_GONE)
        ret->problem = lh_lit("Its job is not known any more.");
    if (known != JOB_KNOWN)
        return true;
    ret->job_id = info.id;
    if (info.state == JOB_RUNNING) {
        ret->state = LAKE_ERASE_RUNNING;
        ret->phase = info.progress ? info.progress->phase : (struct lh_str){0};
    } else if (!goes_on(&info)) {
        ret->state = LAKE_ERASE_FAILED;
        ret->problem = info.error ? info.error->message : lh_lit("It was cancelled.");
    }
    return info.state != JOB_SUCCEEDED;
}

static enum lh_code get_pending(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                                struct lake_erasure *ret, struct lh_error *err)
{
    struct erase_request request;
    enum lh_code code =
        erase_read(lake_storage(lake), id, "request", &erase_request_fields, arena, &request, err);
    if (code)
        return code;
    lh_fields_preset(&lake_erasure_fields, ret);
    ret->erase_id = id;
    ret->dataset = request.dataset;
    ret->row_key_column = request.row_key_column;
    ret->keys = (int64_t)json_array_size(request.row_key_values.value);
    ret->actor = request.actor;
    ret->committer = request.committer;
    ret->reason = request.reason;
    ret->created_at = request.created_at;
    return describe_job(lake, arena, ret) ? LH_OK : LH_NOT_FOUND;
}

/* While the request is there, with what must go, it has not ended. */
static enum lh_code get_receipt(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                                struct lake_erasure *ret, struct lh_error *err)
{
    struct job_info info;
    struct erase_request request;
    enum lh_code code =
        erase_read(lake_storage(lake), id, "receipt", &lake_erasure_fields, arena, ret, err);
    if (code)
        return code;
    bool is_running = find_job(lake, id, arena, &info) == JOB_KNOWN && goes_on(&info);
    if (is_running) {
        ret->state = LAKE_ERASE_RUNNING;
        ret->phase = lh_lit("ending");
        return LH_OK;
    }
    if (ret->state == LAKE_ERASE_INCOMPLETE || ret->state == LAKE_ERASE_GIVEN_UP)
        return LH_OK;
    code =
        erase_read(lake_storage(lake), id, "request", &erase_request_fields, arena, &request, err);
    if (code) /* one that cannot be read is there, too */
        return code == LH_NOT_FOUND ? LH_OK : code;
    ret->state = LAKE_ERASE_FAILED;
    ret->problem = lh_lit("All was done, but the request, which holds the keys, is there yet.");
    return LH_OK;
}

enum lh_code lake_erase_get(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                            struct lake_erasure *ret, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = LH_NOT_FOUND;
    id = lh_arena_str(arena, id);
    if (lh_uuid_is_valid(id)) {
        code = get_receipt(lake, id, arena, ret, &found);
        if (code == LH_NOT_FOUND)
            code = get_pending(lake, id, arena, ret, &found);
        if (code == LH_NOT_FOUND) /* it ended between the two */
            code = get_receipt(lake, id, arena, ret, &found);
    }
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_NOT_FOUND, "There is no erasure '%.*s'.",
                       LH_ARG(lh_str_head(id, 64)));
    if (code == LH_DAMAGED)
        lh_error_hint(&found,
                      "Restore the file from a backup; or DELETE /catalog/erase/%.*s gives the "
                      "erasure up, and says what is known of it.",
                      LH_ARG(id));
    if (code && err)
        *err = found;
    return code;
}

enum lh_code lake_erase_list(struct lake *lake, struct lh_str after, size_t limit,
                             struct lh_arena *arena, struct lake_erasure **ret, size_t *ret_count,
                             struct lh_str *ret_next, struct lh_error *err)
{
    struct lh_str *ids = NULL;
    size_t id_count = 0, count = 0;
    enum lh_code code = list_ids(lake_storage(lake), arena, &ids, &id_count, err);
    struct lake_erasure *items = lh_arena_array(arena, limit + 1, sizeof *items);
    *ret_next = (struct lh_str){0};
    for (size_t i = id_count; i > 0 && !code; i--) {
        if (after.len && lh_str_compare(ids[i - 1], after) >= 0)
            continue;
        if (count == limit) {
            *ret_next = items[count - 1].erase_id;
            break;
        }
        struct lh_error why = LH_ERROR_NONE;
        code = lake_erase_get(lake, ids[i - 1], arena, &items[count], &why);
        if (code == LH_DAMAGED) { /* the others are told all the same */
            erase_fill_unread(ids[i - 1], LAKE_ERASE_FAILED, &items[count]);
            items[count].problem = lh_arena_str(arena, lh_str_of(why.message));
            code = LH_OK;
        }
        if (code && err)
            *err = why;
        count += !code;
    }
    *ret = items;
    *ret_count = count;
    return code;
}

enum lh_code lake_erase_resume(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                               struct lh_str *ret_job, struct lh_error *err)
{
    struct lake_erasure erasure = {0};
    enum lh_code code = lake_erase_get(lake, id, arena, &erasure, err);
    if (code)
        return code;
    struct erase_request request;
    bool is_kept = !erase_read(lake_storage(lake), erasure.erase_id, "request",
                               &erase_request_fields, arena, &request, NULL);
    if (erasure.state != LAKE_ERASE_FAILED && !(erasure.state == LAKE_ERASE_INCOMPLETE && is_kept))
        return lh_fail(err, LH_CONFLICT,
                       "The erasure '%.*s' has neither failed nor is it incomplete.",
                       LH_ARG(erasure.erase_id));
    return submit(lake, erasure.erase_id, erasure.committer, erasure.dataset, arena, ret_job, err);
}

/* --- what others must not do meanwhile */

/* *ret: the erasure of rows of the dataset that has not ended; absent: there is none. */
static enum lh_code find_running(struct lake *lake, struct lh_str dataset_id,
                                 struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    struct lh_str *ids = NULL;
    size_t count = 0;
    *ret = (struct lh_str){0};
    enum lh_code code = list_ids(lake_storage(lake), arena, &ids, &count, err);
    for (size_t i = 0; i < count && !code && !ret->len; i++) {
        struct erase_request request;
        struct lh_error why = LH_ERROR_NONE;
        code = erase_read(lake_storage(lake), ids[i], "request", &erase_request_fields, arena,
                          &request, &why);
        if (code && code != LH_NOT_FOUND && err)
            *err = why;
        bool is_of_it = false;
        for (size_t k = 0; !code && k < request.dataset_ids.count; k++)
            is_of_it |= lh_str_equal(request.dataset_ids.items[k], dataset_id);
        if (is_of_it && !is_incomplete(lake_storage(lake), ids[i], arena))
            *ret = ids[i];
        if (code == LH_NOT_FOUND) /* it has ended */
            code = LH_OK;
    }
    return code;
}

enum lh_code lake_erase_check_lift(struct lake *lake, struct lh_str dataset, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    const struct catalog_dataset *found = NULL;
    struct lh_str running = {0};
    enum lh_code code = catalog_find(snapshot, dataset, &found, err);
    if (!code)
        code = find_running(lake, found->id, arena, &running, err);
    if (!code && running.len) {
        code = lh_fail(err, LH_CONFLICT, "Rows of '%.*s' are being erased: nothing is lifted.",
                       LH_ARG(found->name));
        lh_error_hint(err, "GET /catalog/erase/%.*s says how it stands; lift when it has ended.",
                      LH_ARG(running));
    }
    catalog_snapshot_unref(snapshot);
    lh_arena_free(arena);
    return code;
}

enum lh_code lake_erase_check_move(struct lake *lake, struct lh_str dataset_id,
                                   struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str running = {0};
    enum lh_code code = find_running(lake, dataset_id, arena, &running, err);
    if (!code && running.len) {
        code = lh_fail(err, LH_CONFLICT,
                       "Rows of the dataset are being erased: its files stay where they are.");
        lh_error_hint(err, "GET /catalog/erase/%.*s says how it stands; move when it has ended.",
                      LH_ARG(running));
    }
    lh_arena_free(arena);
    return code;
}

/* --- after a kill */

/* One that somebody cancelled, or that took the process down again and again, is gone on with when
 * somebody says so (lake_erase_resume): a start does not wish it. */
static bool shall_go_on(struct lake *lake, struct lh_str id, struct lh_arena *arena)
{
    struct job_info info;
    enum known_job known = find_job(lake, id, arena, &info);
    if (known != JOB_KNOWN)
        return known == JOB_NONE;
    struct lh_str given_up = lh_str_of(lh_error_row(LH_INTERNAL)->id);
    return info.state == JOB_FAILED && !(info.error && lh_str_equal(info.error->code, given_up));
}

static enum lh_code set_out_again(struct lake *lake, struct lh_str id,
                                  const struct erase_request *request, struct lh_arena *arena,
                                  struct lh_error *err)
{
    struct erase_progress progress;
    struct lh_str job;
    enum lh_code code = erase_progress_open(lake_storage(lake), id, request, arena, &progress, err);
    if (!code)
        code = erase_hide(lake, id, request, &progress, NULL, arena, err);
    return code ? code : submit(lake, id, request->committer, request->dataset, arena, &job, err);
}

void lake_erase_recover(struct lake *lake)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str *ids = NULL;
    const struct lh_str folder = lh_lit(ERASE_FOLDER); /* earlier releases left some there */
    size_t count = 0;
    if (storage_trash_remove(lake_storage(lake), &folder, 1, &err))
        lh_log_error(LH_LOG_WARN, "lake.erase", &err);
    enum lh_code code = list_ids(lake_storage(lake), arena, &ids, &count, &err);
    for (size_t i = 0; i < count && !code; i++) {
        struct lake_erasure erasure;
        struct erase_request request;
        struct lh_error own = LH_ERROR_NONE;
        if (erase_read(lake_storage(lake), ids[i], "request", &erase_request_fields, arena,
                       &request, NULL))
            continue; /* it has ended */
        if (!erase_read(lake_storage(lake), ids[i], "receipt", &lake_erasure_fields, arena,
                        &erasure, NULL)) {
            if (erasure.state != LAKE_ERASE_INCOMPLETE &&
                erase_forget(lake_storage(lake), ids[i], &own))
                lh_log_error(LH_LOG_WARN, "lake.erase", &own);
            continue;
        }
        if (!shall_go_on(lake, ids[i], arena))
            continue;
        if (set_out_again(lake, ids[i], &request, arena, &own))
            lh_log_error(LH_LOG_WARN, "lake.erase", &own);
    }
    if (code)
        lh_log_error(LH_LOG_WARN, "lake.erase", &err);
    lh_arena_free(arena);
}

/* --- the verifier */

static bool has_keys(const struct lake_erasure *erasure)
{
    const struct lake_erased_dataset *datasets = erasure->datasets.items;
    for (size_t i = 0; i < erasure->datasets.count; i++)
        if (datasets[i].keys)
            return true;
    return false;
}

enum lh_code lake_erase_verify(struct storage *storage, struct storage_findings *findings,
                               int64_t *ret_count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *ids = NULL;
    size_t count = 0;
    struct storage_info info;
    bool has_secret =
        !storage_info(storage, STORAGE_PRIMARY, lh_lit("_catalog/erasure.key"), &info, NULL);
    enum lh_code code = list_ids(storage, arena, &ids, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct lake_erasure erasure;
        struct erase_request request;
        struct lh_error found = LH_ERROR_NONE;
        struct lh_str object = lh_arena_printf(arena, ERASE_FOLDER "/%.*s", LH_ARG(ids[i]));
        enum lh_code receipt =
            erase_read(storage, ids[i], "receipt", &lake_erasure_fields, arena, &erasure, &found);
        if (receipt && receipt != LH_NOT_FOUND)
            storage_find(findings, true, object, "%s", found.message);
        if (!receipt && has_keys(&erasure) && !has_secret)
            storage_find(findings, true, object,
                         "Keys are hashed with '_catalog/erasure.key', which is missing.");
        enum lh_code asked =
            erase_read(storage, ids[i], "request", &erase_request_fields, arena, &request, &found);
        if (asked && asked != LH_NOT_FOUND)
            storage_find(findings, true, object, "%s", found.message);
        else if (!asked && (receipt || erasure.state != LAKE_ERASE_INCOMPLETE))
            storage_find(
                findings, false, object,
                receipt ? "The erasure has not ended: the next start goes on with it, or, if it "
                          "was cancelled, POST /catalog/erase/{id}/resume."
                        : "The erasure has ended: the next start removes its request.");
    }
    *ret_count = (int64_t)count;
    lh_arena_free(arena);
    return code;
}
