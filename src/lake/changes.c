#include "lake/changes.h"

#include <assert.h>

#include "access/keys.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/profiles.h"
#include "jobs/jobs.h"
#include "lake/erasing.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "query/saved.h"
#include "search/tuning.h"
#include "storage/buckets.h"
#include "storage/objects.h"
#include "storage/storage.h"

const char *const lake_own_actions[] = {
    "bucket.", "dataset.", "erase.",   "eval.",  "index.", "job.",      "journal.", "key.",
    "lake.",   "object.",  "profile.", "query.", "lift",   "tombstone", "void",     NULL};

bool lake_is_own_action(struct lh_str action)
{
    for (size_t i = 0; lake_own_actions[i]; i++) {
        struct lh_str own = lh_str_of(lake_own_actions[i]);
        bool is_family = lh_str_ends_with(own, lh_lit("."));
        if (lh_str_equal_nocase(is_family ? lh_str_head(action, own.len) : action, own))
            return true;
    }
    return false;
}

enum lh_code lake_change_begin(struct lake *lake, const struct journal_event *event, bool is_vital,
                               struct lake_change *ret, struct lh_error *err)
{
    struct lh_error drained = LH_ERROR_NONE;
    assert(lake_is_own_action(event->action));
    *ret = (struct lake_change){0};
    /* So that the journal has them in their order; that it could not be brought up to date keeps no
     * change from being made. */
    if (lake_sync_journal(lake, &drained))
        lh_log_error(LH_LOG_WARN, "lake.journal", &drained);
    if (journal_has_request(lake_journal(lake), event->request))
        return LH_OK;
    return journal_intend(lake_journal(lake), event, is_vital, &ret->intent, err);
}

enum lh_code lake_change_begin_index(struct lake *lake, const struct search_index_info *info,
                                     struct lh_str new_name, bool is_vital, struct lh_arena *arena,
                                     struct journal_event *event, struct lake_change *ret,
                                     struct lh_error *err)
{
    event->dataset = info->source;
    event->detail =
        lh_arena_printf(arena, "{\"index_id\":\"%.*s\",\"new_name\":\"%.*s\",\"version\":%lld}",
                        LH_ARG(info->id), LH_ARG(new_name), (long long)info->version);
    return lake_change_begin(lake, event, is_vital, ret, err);
}

void lake_change_end(struct lake *lake, const struct lake_change *change, enum lh_code outcome,
                     const struct journal_event *event)
{
    struct lh_error err = LH_ERROR_NONE;
    if (!change->intent || outcome == LH_UNKNOWN)
        return;
    /* The announcement is durable: what cannot be written now, the next opening writes. */
    if (journal_settle(lake_journal(lake), change->intent, outcome ? NULL : event, &err))
        lh_log_error(LH_LOG_WARN, "lake.journal", &err);
}

/* --- asking whether it happened */

/* Something that was written by its actor, and not before it was announced. */
static bool is_by(const struct journal_event *event, struct lh_str actor, struct lh_time at)
{
    return lh_str_equal(event->actor, actor) && at.unix_ms >= event->time_ms;
}

static struct lh_str detail_text(const json_t *detail, const char *name)
{
    return lh_json_text(json_object_get(detail, name));
}

static bool was_key_created(struct lake *lake, const struct journal_event *event,
                            const json_t *detail, struct lh_arena *arena)
{
    struct access_key key;
    (void)event;
    return access_keys_get(lake_keys(lake), detail_text(detail, "key_id"), arena, &key, NULL) ==
           LH_OK;
}

static bool was_key_revoked(struct lake *lake, const struct journal_event *event,
                            const json_t *detail, struct lh_arena *arena)
{
    struct access_key key;
    return access_keys_get(lake_keys(lake), detail_text(detail, "key_id"), arena, &key, NULL) ==
               LH_OK &&
           is_by(event, key.revoked_by, key.revoked_at);
}

static bool was_query_saved(struct lake *lake, const struct journal_event *event,
                            const json_t *detail, struct lh_arena *arena)
{
    struct query_saved_query query;
    (void)detail;
    return storage_records_get(lake_saved(lake), event->entity, arena, &query, NULL) == LH_OK &&
           is_by(event, query.saved_by, query.saved_at);
}

static bool was_query_deleted(struct lake *lake, const struct journal_event *event,
                              const json_t *detail, struct lh_arena *arena)
{
    struct query_saved_query query;
    (void)detail;
    return storage_records_get(lake_saved(lake), event->entity, arena, &query, NULL) ==
           LH_NOT_FOUND;
}

static bool was_profile_created(struct lake *lake, const struct journal_event *event,
                                const json_t *detail, struct lh_arena *arena)
{
    struct catalog_profile profile;
    (void)detail;
    return storage_records_get(lake_profiles(lake), event->entity, arena, &profile, NULL) ==
               LH_OK &&
           is_by(event, profile.saved_by, profile.saved_at);
}

static bool was_profile_deleted(struct lake *lake, const struct journal_event *event,
                                const json_t *detail, struct lh_arena *arena)
{
    struct catalog_profile profile;
    (void)detail;
    return storage_records_get(lake_profiles(lake), event->entity, arena, &profile, NULL) ==
           LH_NOT_FOUND;
}

static bool was_object_put(struct lake *lake, const struct journal_event *event,
                           const json_t *detail, struct lh_arena *arena)
{
    struct object_info info;
    return objects_get(lake_objects(lake), detail_text(detail, "bucket"), event->entity, arena,
                       &info, NULL) == LH_OK &&
           is_by(event, info.modified_by, info.modified_at);
}

static bool was_object_deleted(struct lake *lake, const struct journal_event *event,
                               const json_t *detail, struct lh_arena *arena)
{
    struct object_info info;
    return objects_get(lake_objects(lake), detail_text(detail, "bucket"), event->entity, arena,
                       &info, NULL) == LH_NOT_FOUND;
}

static bool was_index_changed(struct lake *lake, const struct journal_event *event,
                              const json_t *detail, struct lh_arena *arena)
{
    struct search_index_info info;
    struct lh_str name = detail_text(detail, "new_name");
    int64_t version = json_integer_value(json_object_get(detail, "version"));
    return search_get(lake_search(lake), name.len ? name : event->entity, arena, &info, NULL) ==
               LH_OK &&
           lh_str_equal(info.id, detail_text(detail, "index_id")) && info.version > version;
}

static bool was_index_moved(struct lake *lake, const struct journal_event *event,
                            const json_t *detail, struct lh_arena *arena)
{
    struct search_index_info info;
    return search_get(lake_search(lake), event->entity, arena, &info, NULL) == LH_OK &&
           lh_str_equal(info.id, detail_text(detail, "index_id")) &&
           lh_str_equal(info.bucket, detail_text(detail, "to"));
}

static bool was_eval_put(struct lake *lake, const struct journal_event *event, const json_t *detail,
                         struct lh_arena *arena)
{
    struct search_eval eval;
    return search_eval_get(lake_search(lake), detail_text(detail, "index_name"), event->entity,
                           arena, &eval, NULL) == LH_OK &&
           is_by(event, eval.created_by, eval.created_at);
}

static bool was_eval_deleted(struct lake *lake, const struct journal_event *event,
                             const json_t *detail, struct lh_arena *arena)
{
    struct search_eval eval;
    return search_eval_get(lake_search(lake), detail_text(detail, "index_name"), event->entity,
                           arena, &eval, NULL) == LH_NOT_FOUND;
}

static bool was_index_deleted(struct lake *lake, const struct journal_event *event,
                              const json_t *detail, struct lh_arena *arena)
{
    struct search_index_info info;
    enum lh_code code = search_get(lake_search(lake), event->entity, arena, &info, NULL);
    return code == LH_NOT_FOUND ||
           (!code && !lh_str_equal(info.id, detail_text(detail, "index_id")));
}

static bool was_bucket_made(struct lake *lake, const struct journal_event *event,
                            const json_t *detail, struct lh_arena *arena)
{
    (void)detail;
    (void)arena;
    return storage_has_bucket(lake_storage(lake), event->entity);
}

static bool was_bucket_removed(struct lake *lake, const struct journal_event *event,
                               const json_t *detail, struct lh_arena *arena)
{
    return !was_bucket_made(lake, event, detail, arena);
}

static bool was_bucket_adopted(struct lake *lake, const struct journal_event *event,
                               const json_t *detail, struct lh_arena *arena)
{
    return was_bucket_made(lake, event, detail, arena) &&
           !storage_bucket_is_inherited(lake_storage(lake), event->entity);
}

static bool was_erasure_given_up(struct lake *lake, const struct journal_event *event,
                                 const json_t *detail, struct lh_arena *arena)
{
    struct lake_erasure erasure;
    (void)detail;
    return lake_erase_get(lake, event->entity, arena, &erasure, NULL) == LH_OK &&
           erasure.state == LAKE_ERASE_GIVEN_UP;
}

static const struct {
    const char *action;
    bool (*was_made)(struct lake *lake, const struct journal_event *event, const json_t *detail,
                     struct lh_arena *arena);
} actions[] = {
    {"key.create", was_key_created},         {"key.revoke", was_key_revoked},
    {"query.save", was_query_saved},         {"query.delete", was_query_deleted},
    {"object.put", was_object_put},          {"object.delete", was_object_deleted},
    {"index.update", was_index_changed},     {"index.delete", was_index_deleted},
    {"index.move", was_index_moved},         {"bucket.create", was_bucket_made},
    {"bucket.delete", was_bucket_removed},   {"bucket.adopt", was_bucket_adopted},
    {"erase.give_up", was_erasure_given_up}, {"index.promote", was_index_changed},
    {"index.rollback", was_index_changed},   {"eval.put", was_eval_put},
    {"eval.delete", was_eval_deleted},       {"profile.create", was_profile_created},
    {"profile.delete", was_profile_deleted}, {"index.configure", was_index_changed},
};

static bool was_made(struct lake *lake, const struct journal_event *event, struct lh_arena *arena)
{
    json_t *detail = NULL;
    bool is_made = false;
    if (event->detail.len &&
        lh_json_parse(event->detail, "The detail", JOURNAL_VALUE_BYTES_MAX, &detail, NULL))
        return false;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0] && !is_made; i++)
        if (lh_str_equal(lh_str_of(actions[i].action), event->action))
            is_made = actions[i].was_made(lake, event, detail, arena);
    json_decref(detail);
    return is_made;
}

enum lh_code changes_recover(struct lake *lake, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_intent *intents = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    journal_open_intents(lake_journal(lake), arena, &intents, &count);
    for (size_t i = 0; i < count && !code; i++) {
        /* An event of its own: the announcement has that id. */
        intents[i].event.id = (struct lh_str){0};
        bool is_made = was_made(lake, &intents[i].event, arena);
        code = journal_settle(lake_journal(lake), intents[i].sequence,
                              is_made ? &intents[i].event : NULL, err);
    }
    lh_arena_free(arena);
    /* A full or failing disk keeps nobody from opening: they stay announced. */
    if (code && err)
        lh_log_error(LH_LOG_WARN, "lake.journal", err);
    return LH_OK;
}

/* --- jobs that make indexes: the job names the event, so it comes once however often the job is
 * run, and whichever attempt it was that had the effect */

static void note_job(struct lake *lake, struct job *job, const char *action)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    json_t *args = NULL;
    if (!lh_json_parse(job_args(job), "The job's arguments", JOBS_ARGS_BYTES_MAX, &args, NULL)) {
        struct journal_event event = {
            .action = lh_str_of(action),
            .entity = detail_text(args, "index_name"),
            .dataset = detail_text(args, "dataset"),
            .actor = job_actor(job),
            .detail = lh_arena_printf(arena, "{\"job_id\":\"%.*s\"}", LH_ARG(job_id(job))),
            .request = lh_arena_printf(arena, "job:%.*s", LH_ARG(job_id(job))),
        };
        journal_event_fit(&event);
        if (journal_append(lake_journal(lake), &event, 1, true, NULL, NULL, &err))
            lh_log_error(LH_LOG_WARN, "lake.journal", &err);
    }
    json_decref(args);
    lh_arena_free(arena);
}

enum lh_code changes_index_job(void *context, struct job *job, struct lh_error *err)
{
    enum lh_code code = search_index_job(lake_search(context), job, err);
    if (!code)
        note_job(context, job, "index.create");
    return code;
}

enum lh_code changes_refresh_job(void *context, struct job *job, struct lh_error *err)
{
    enum lh_code code = search_refresh_job(lake_search(context), job, err);
    if (!code)
        note_job(context, job, "index.refresh");
    return code;
}

static enum lh_code find(void *context, struct job *job, const char *action, bool *ret_is_done,
                         struct lh_error *err)
{
    enum lh_code code = search_find_effect(lake_search(context), job, ret_is_done, err);
    if (!code && *ret_is_done)
        note_job(context, job, action);
    return code;
}

enum lh_code changes_find_index(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err)
{
    return find(context, job, "index.create", ret_is_done, err);
}

enum lh_code changes_find_refresh(void *context, struct job *job, bool *ret_is_done,
                                  struct lh_error *err)
{
    return find(context, job, "index.refresh", ret_is_done, err);
}

enum lh_code changes_autotune_job(void *context, struct job *job, struct lh_error *err)
{
    enum lh_code code = search_autotune_job(lake_search(context), lake_jobs(context), job, err);
    if (!code)
        note_job(context, job, "index.autotune");
    return code;
}

enum lh_code changes_find_autotune(void *context, struct job *job, bool *ret_is_done,
                                   struct lh_error *err)
{
    enum lh_code code = search_autotune_find(lake_search(context), job, ret_is_done, err);
    if (!code && *ret_is_done)
        note_job(context, job, "index.autotune");
    return code;
}
