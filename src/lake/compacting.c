/* When the server compacts by itself: looked at by the keeper every few seconds, done by a job.
 *
 *   nothing due ◀──────────────────────────────┐
 *       │ a dataset is due, nobody is busy      │ it ended
 *       ▼                                       │
 *   a job runs ─────────────────────────────────┘
 *
 * One dataset at a time, the one with most files first. Statements come first: while any runs, the
 * work waits, but not for ever. A dataset to which somebody appends right now waits for a pause,
 * but not once it has files enough: statements over many deltas are slow, and an append does not
 * mind. One that could not be compacted is left alone for an hour, or until it changes. */
#include "lake/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/schedule.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "jobs/jobs.h"
#include "query/compact.h"

#define LOOK_EVERY_MS INT64_C(5000)
#define PAUSE_MS INT64_C(10000)    /* without a commit */
#define BUSY_MS_MAX INT64_C(15000) /* work that is due waits no longer for quiet */
#define AGAIN_MS INT64_C(3600000)

struct tried {
    struct tried *next;
    char id[LH_UUID_TEXT_BYTES];
    int64_t version; /* that the dataset had */
    int64_t at_ms;
};

struct compacting {
    struct compacting_options options;
    struct query_compact_policy policy;
    struct lh_schedule schedule;
    bool has_schedule;
    bool is_open;     /* the schedule has come due, and not all is done */
    int64_t since_ms; /* the schedule counts from here */
    int64_t looked_us;
    int64_t due_us; /* since when work waits for quiet; 0: it does not */
    bool has_job;
    struct lh_uuid job;
    struct tried *tried;
};

enum lh_code compacting_new(const struct compacting_options *options, struct compacting **ret,
                            struct lh_error *err)
{
    const struct settings_compaction *settings = options->settings;
    struct lh_schedule schedule = {0};
    if (settings->schedule.len && lh_schedule_parse(settings->schedule, &schedule, err))
        return lh_error_field(err, lh_lit("compaction.schedule"));
    struct compacting *compacting = lh_allocate(1, sizeof *compacting);
    compacting->options = *options;
    compacting->policy = (struct query_compact_policy){
        .files = settings->files,
        .pause_ms = PAUSE_MS,
        .bytes = settings->bytes,
        .age_ms = settings->age_s * 1000,
    };
    compacting->schedule = schedule;
    compacting->has_schedule = settings->schedule.len > 0;
    compacting->since_ms = lh_clock_unix_ms();
    *ret = compacting;
    return LH_OK;
}

void compacting_free(struct compacting *compacting)
{
    if (!compacting)
        return;
    while (compacting->tried) {
        struct tried *next = compacting->tried->next;
        free(compacting->tried);
        compacting->tried = next;
    }
    free(compacting);
}

static bool job_goes_on(struct compacting *compacting)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct job_info info;
    bool goes_on =
        compacting->has_job &&
        !jobs_get(compacting->options.jobs, lh_uuid_str(&compacting->job), arena, &info, NULL) &&
        info.state < JOB_SUCCEEDED;
    lh_arena_free(arena);
    compacting->has_job = goes_on;
    return goes_on;
}

static bool is_time(struct compacting *compacting, int64_t now_ms)
{
    if (compacting->has_schedule && !compacting->is_open) {
        compacting->is_open =
            lh_schedule_next(&compacting->schedule, compacting->since_ms) <= now_ms;
        compacting->since_ms = now_ms;
    }
    return !compacting->has_schedule || compacting->is_open;
}

static struct tried *find_tried(struct compacting *compacting, struct lh_str id)
{
    struct tried *tried = compacting->tried;
    while (tried && memcmp(tried->id, id.data, sizeof tried->id) != 0)
        tried = tried->next;
    return tried;
}

static bool is_candidate(struct compacting *compacting, const struct catalog_snapshot *snapshot,
                         const struct catalog_dataset *dataset, int64_t now_ms)
{
    const struct tried *tried = find_tried(compacting, dataset->id);
    const struct query_compact_policy *policy = &compacting->policy;
    int64_t rest_ms = now_ms - dataset->updated_ms;
    bool is_soon = rest_ms < policy->pause_ms && rest_ms < policy->age_ms;
    if ((dataset->object_count < 2 && !dataset->tombstone_count) ||
        ((int64_t)dataset->object_count < policy->files && is_soon)) /* saves looking closer */
        return false;
    if (tried && tried->version == dataset->version && now_ms - tried->at_ms < AGAIN_MS)
        return false;
    return query_compact_is_due(compacting->options.compactor, snapshot, dataset, policy, now_ms);
}

static void begin(struct compacting *compacting, const struct catalog_dataset *dataset,
                  int64_t now_ms)
{
    struct lh_error err = LH_ERROR_NONE;
    const struct query_compact_request request = {.dataset = dataset->name,
                                                  .is_automatic = true,
                                                  .actor = lh_lit("lakehouse"),
                                                  .reason = lh_lit("as [compaction] says")};
    struct tried *tried = find_tried(compacting, dataset->id);
    if (!tried) {
        tried = lh_allocate(1, sizeof *tried);
        memcpy(tried->id, dataset->id.data, sizeof tried->id);
        tried->next = compacting->tried;
        compacting->tried = tried;
    }
    tried->version = dataset->version;
    tried->at_ms = now_ms;
    enum lh_code code =
        query_compact_later(compacting->options.compactor, &request, &compacting->job, &err);
    compacting->has_job = code == LH_OK;
    if (code && code != LH_STOPPING)
        lh_log_error(LH_LOG_WARN, "lake.compacting", &err);
}

void compacting_look(struct compacting *compacting)
{
    int64_t now_us = lh_clock_monotonic_us(), now_ms = lh_clock_unix_ms();
    if (!compacting->options.settings->enabled ||
        (compacting->looked_us && now_us - compacting->looked_us < LOOK_EVERY_MS * 1000))
        return;
    compacting->looked_us = now_us;
    if (job_goes_on(compacting) || !is_time(compacting, now_ms))
        return;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(compacting->options.catalog);
    const struct catalog_dataset *best = NULL;
    for (size_t i = 0; i < catalog_snapshot_count(snapshot); i++) {
        const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, i);
        if ((!best || dataset->object_count > best->object_count) &&
            is_candidate(compacting, snapshot, dataset, now_ms))
            best = dataset;
    }
    bool is_busy = engine_stats(compacting->options.engine).connections_busy > 0;
    if (!best) {
        compacting->is_open = false;
        compacting->due_us = 0;
    } else if (is_busy &&
               (!compacting->due_us || now_us - compacting->due_us < BUSY_MS_MAX * 1000)) {
        compacting->due_us = compacting->due_us ? compacting->due_us : now_us;
    } else {
        compacting->due_us = 0;
        begin(compacting, best, now_ms);
    }
    catalog_snapshot_unref(snapshot);
}
