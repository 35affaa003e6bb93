/* What may change of an index without making it anew. */
#include <time.h>

#include "base/schedule.h"
#include "search/building.h"

#define PAUSE_MS 20
#define PATIENCE_MS 2000

struct search_policy search_policy_of(const struct index_manifest *manifest,
                                      const struct catalog_dataset *dataset)
{
    if (manifest->refresh_policy)
        return *manifest->refresh_policy;
    if (!dataset)
        return (struct search_policy){.kind = CATALOG_REFRESH_MANUAL};
    return (struct search_policy){(int)dataset->refresh.kind, dataset->refresh.schedule};
}

static enum lh_code check_policy(const struct search_policy *policy, struct lh_error *err)
{
    struct lh_schedule schedule;
    enum lh_code code = LH_OK;
    bool is_scheduled = policy->kind == CATALOG_REFRESH_SCHEDULED;
    if (is_scheduled != (policy->schedule.len > 0))
        code = lh_fail(err, LH_INVALID,
                       is_scheduled ? "A scheduled refresh needs a `schedule`."
                                    : "Only a scheduled refresh has a `schedule`.");
    else if (is_scheduled)
        code = lh_schedule_parse(policy->schedule, &schedule, err);
    return code ? lh_error_field(err, lh_lit("refresh_policy")) : LH_OK;
}

static enum lh_code check(const struct search_change *change, struct lh_error *err)
{
    if (change->name.data && catalog_check_name(change->name, err))
        return lh_error_field(err, lh_lit("new_name"));
    if (change->language.data && !index_is_language(change->language)) {
        lh_fail(err, LH_INVALID, "No stems of the language '%.*s' are known.",
                LH_ARG(change->language));
        return lh_error_field(err, lh_lit("language"));
    }
    return change->refresh_policy ? check_policy(change->refresh_policy, err) : LH_OK;
}

static void take(struct lh_str *to, struct lh_str from, struct index_manifest *manifest)
{
    if (from.data)
        *to = lh_arena_str(manifest->arena, from);
}

static enum lh_code publish(struct search_index *index, const struct search_change *change,
                            struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    struct index_manifest *next = index_manifest_copy(head);
    enum lh_code code = LH_OK;
    take(&next->name, change->name, next);
    take(&next->description, change->description, next);
    take(&next->id_prefix, change->id_prefix, next);
    take(&next->language, change->language, next);
    if (change->refresh_policy)
        index_manifest_set_policy(next, change->refresh_policy);
    if (change->is_policy_of_dataset)
        next->refresh_policy = NULL;
    if (change->min_recall >= 0)
        next->min_recall = change->min_recall;
    if (change->expected_version && change->expected_version != head->version)
        code = lh_fail(err, LH_PRECONDITION, "The index '%.*s' is at version %lld, not %lld.",
                       LH_ARG(head->name), (long long)head->version,
                       (long long)change->expected_version);
    if (!code)
        code = index_publish(index, next, err);
    index_manifest_unref(head);
    index_manifest_unref(next);
    return code;
}

enum lh_code index_begin_patiently(struct search_index *index, struct lh_error *err)
{
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    enum lh_code code = index_begin(index, err);
    for (int64_t ms = 0; code == LH_CONFLICT && ms < PATIENCE_MS; ms += PAUSE_MS) {
        nanosleep(&pause, NULL);
        code = index_begin(index, err);
    }
    return code;
}

enum lh_code search_change_index(struct search *search, struct lh_str name,
                                 const struct search_change *change, struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = check(change, err);
    if (!code)
        code = index_find(search, name, &index, err);
    if (code)
        return code;
    code = index_begin_patiently(index, err);
    if (!code) {
        if (change->name.data)
            code = index_claim(index, change->name, err);
        if (!code)
            code = publish(index, change, err);
        index_end(index);
    }
    index_unref(index);
    return code;
}
