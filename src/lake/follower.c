/* Follows commits: indexes are refreshed when their policy says so, and get their graphs.
 *
 * on_append: after every change. scheduled: when the schedule comes due after the first change that
 * the index does not cover; what came due while no process ran is made up for at the start. manual:
 * never. One thread, woken by commits and by the clock. What it starts are jobs like any other, one
 * at a time; one that fails is tried again after 30 s, 1 min, 2 min … 1 h, or by the next due time
 * after that. One that waits for the next start of the program is not begun twice. A graph that a
 * refresh or build did not come to make, or that was found damaged, is made by a job of its own. */
#include "lake/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/schedule.h"
#include "catalog/catalog.h"
#include "jobs/jobs.h"
#include "search/search.h"

#define INDEXES_MAX 10000
#define ARGS_BYTES 4096
#define RETRY_MS_MIN INT64_C(30000)
#define RETRY_MS_MAX INT64_C(3600000)
#define REST_MS_MAX INT64_C(60000) /* the wall clock may be set: it is looked at once a minute */

/* What is remembered of an index between two looks. */
struct followed {
    struct followed *next;
    struct lh_uuid id;
    int64_t tried_ms; /* when it was last refreshed, or that was tried */
    int64_t failures; /* in a row */
    bool is_bad_schedule_told;
    bool is_held;           /* its refresh is queued already, and cannot be run by this process */
    int64_t graph_tried_ms; /* the same of its graph */
    int64_t graph_failures;
    bool is_graph_held;
};

struct follower {
    struct catalog *catalog;
    struct jobs *jobs;
    struct search *search;
    struct lh_cancel cancel; /* fired at the end */
    pthread_t thread;
    struct followed *followed; /* the thread's own */
    pthread_mutex_t lock;      /* guards the two below */
    pthread_cond_t wake;
    bool has_news;
    bool is_ending;
};

static struct followed *find_followed(struct follower *follower, struct lh_str id)
{
    struct followed *followed = follower->followed;
    while (followed && !lh_str_equal(lh_uuid_str(&followed->id), id))
        followed = followed->next;
    if (followed)
        return followed;
    followed = lh_allocate(1, sizeof *followed);
    memcpy(followed->id.text, id.data, LH_UUID_TEXT_BYTES);
    followed->next = follower->followed;
    follower->followed = followed;
    return followed;
}

static int64_t retry_after(int64_t tried_ms, int64_t failures)
{
    int64_t wait = RETRY_MS_MIN;
    for (int64_t i = 1; i < failures && wait < RETRY_MS_MAX; i++)
        wait *= 2;
    return failures ? tried_ms + (wait < RETRY_MS_MAX ? wait : RETRY_MS_MAX) : 0;
}

static int64_t retry_at(const struct followed *followed)
{
    return retry_after(followed->tried_ms, followed->failures);
}

/* When the schedule of an index that lags comes due; INT64_MAX: never. */
static int64_t scheduled_at(struct follower *follower, const struct search_index_info *index,
                            struct followed *followed)
{
    struct lh_schedule schedule;
    struct lh_error err = LH_ERROR_NONE;
    int64_t since = 0;
    if (lh_schedule_parse(index->refresh_policy->schedule, &schedule, &err)) {
        lh_error_context(&err, "The refresh schedule of the index '%.*s'", LH_ARG(index->name));
        if (!followed->is_bad_schedule_told)
            lh_log_error(LH_LOG_WARN, "lake.follower", &err);
        followed->is_bad_schedule_told = true;
        return INT64_MAX;
    }
    followed->is_bad_schedule_told = false;
    if (search_stale_since(follower->search, index->name, &since, &err) || !since)
        return INT64_MAX;
    return lh_schedule_next(&schedule, since > followed->tried_ms ? since : followed->tried_ms);
}

/* When the index is to be refreshed; INT64_MAX: not before something else happens. */
static int64_t due_at(struct follower *follower, const struct search_index_info *index,
                      struct followed *followed)
{
    if (index->state != SEARCH_SHOWN_READY || !index->is_stale || !index->source.len ||
        followed->is_held)
        return INT64_MAX;
    switch (index->refresh_policy->kind) {
    case CATALOG_REFRESH_ON_APPEND:
        return retry_at(followed);
    case CATALOG_REFRESH_SCHEDULED:
        return followed->failures ? retry_at(followed) : scheduled_at(follower, index, followed);
    default:
        return INT64_MAX;
    }
}

static struct lh_str args_of(const struct search_index_info *index, struct lh_arena *arena)
{
    struct lh_buf buf;
    struct lh_json json;
    const struct search_build_request request = {.index_name = index->name,
                                                 .dataset = index->source,
                                                 .chunk_size = index->chunk_size,
                                                 .overlap = index->overlap};
    lh_buf_init(&buf, ARGS_BYTES);
    lh_json_init(&json, &buf);
    lh_fields_write(&search_build_request_fields, &request, &json);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* Waits for the job: the next one finds the machine free. False: it did not succeed. */
static bool run_job(struct follower *follower, const struct job_spec *spec, struct lh_arena *arena,
                    bool *ret_is_held)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_uuid id;
    struct job_info info = {.state = JOB_FAILED};
    enum lh_code code = jobs_submit(follower->jobs, spec, &id, &err);
    if (!code)
        code = jobs_wait(follower->jobs, lh_uuid_str(&id), &follower->cancel, arena, &info, &err);
    if (code && code != LH_STOPPING)
        lh_log_error(LH_LOG_WARN, "lake.follower", &err);
    *ret_is_held = !code && info.state == JOB_QUEUED;
    return !code && info.state == JOB_SUCCEEDED;
}

static void refresh(struct follower *follower, const struct search_index_info *index,
                    struct followed *followed, struct lh_arena *arena)
{
    const struct job_spec spec = {
        .kind = lh_lit(SEARCH_REFRESH_JOB_KIND),
        .dataset = index->source,
        .actor = lh_arena_printf(arena, "policy:%s",
                                 catalog_refresh_kind_names[index->refresh_policy->kind]),
        .args = args_of(index, arena)};
    followed->tried_ms = lh_clock_unix_ms();
    bool is_done = run_job(follower, &spec, arena, &followed->is_held);
    followed->failures = is_done ? 0 : followed->failures + 1;
}

static void make_graph(struct follower *follower, const struct search_index_info *index,
                       struct followed *followed, struct lh_arena *arena)
{
    const struct job_spec spec = {.kind = lh_lit(SEARCH_GRAPH_JOB_KIND),
                                  .dataset = index->source,
                                  .actor = lh_lit("policy:graph"),
                                  .args = args_of(index, arena)};
    followed->graph_tried_ms = lh_clock_unix_ms();
    bool is_done = run_job(follower, &spec, arena, &followed->is_graph_held);
    followed->graph_failures = is_done ? 0 : followed->graph_failures + 1;
}

/* When its graph is to be made; INT64_MAX: not before something else happens. */
static int64_t graph_due_at(const struct search_index_info *index, const struct followed *followed)
{
    return index->is_graph_due && !followed->is_graph_held
               ? retry_after(followed->graph_tried_ms, followed->graph_failures)
               : INT64_MAX;
}

/* Refreshes what is due; returns when the next one is. */
static int64_t look(struct follower *follower)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct search_index_info *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    int64_t soonest = INT64_MAX;
    if (search_list(follower->search, NULL, (struct lh_str){0}, INDEXES_MAX, arena, &items, &count,
                    &next, &err))
        lh_log_error(LH_LOG_WARN, "lake.follower", &err);
    for (size_t i = 0; i < count && !lh_cancel_check(&follower->cancel); i++) {
        struct followed *followed = find_followed(follower, items[i].id);
        int64_t due = due_at(follower, &items[i], followed);
        if (due <= lh_clock_unix_ms()) {
            refresh(follower, &items[i], followed, arena);
            due = followed->failures && !followed->is_held ? retry_at(followed) : INT64_MAX;
        }
        soonest = due < soonest ? due : soonest;
        due = graph_due_at(&items[i], followed);
        if (due <= lh_clock_unix_ms()) {
            make_graph(follower, &items[i], followed, arena);
            due = followed->graph_failures && !followed->is_graph_held
                      ? retry_after(followed->graph_tried_ms, followed->graph_failures)
                      : INT64_MAX;
        }
        soonest = due < soonest ? due : soonest;
    }
    lh_arena_free(arena);
    return soonest;
}

/* Locked. Until there is news, or something may be due. */
static void rest(struct follower *follower, int64_t until_ms)
{
    struct timespec until;
    int64_t ms = REST_MS_MAX;
    if (until_ms == INT64_MAX) {
        pthread_cond_wait(&follower->wake, &follower->lock);
        return;
    }
    if (until_ms - lh_clock_unix_ms() < ms)
        ms = until_ms > lh_clock_unix_ms() ? until_ms - lh_clock_unix_ms() : 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanos = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + nanos / 1000000000);
    until.tv_nsec = (long)(nanos % 1000000000);
    pthread_cond_timedwait(&follower->wake, &follower->lock, &until);
}

static void *follow(void *context)
{
    struct follower *follower = context;
    int64_t until_ms = 0;
    pthread_mutex_lock(&follower->lock);
    while (!follower->is_ending) {
        if (!follower->has_news && until_ms > lh_clock_unix_ms()) {
            rest(follower, until_ms);
            continue;
        }
        follower->has_news = false;
        pthread_mutex_unlock(&follower->lock);
        until_ms = look(follower);
        pthread_mutex_lock(&follower->lock);
    }
    pthread_mutex_unlock(&follower->lock);
    return NULL;
}

enum lh_code follower_start(struct catalog *catalog, struct jobs *jobs, struct search *search,
                            struct follower **ret, struct lh_error *err)
{
    struct follower *follower = lh_allocate(1, sizeof *follower);
    follower->catalog = catalog;
    follower->jobs = jobs;
    follower->search = search;
    follower->has_news = true; /* what was committed before the last end is looked at */
    lh_cancel_init(&follower->cancel);
    pthread_mutex_init(&follower->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&follower->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    enum lh_code code = lh_thread_start("follower", follow, follower, &follower->thread, err);
    if (code)
        follower_free(follower);
    else
        *ret = follower;
    return code;
}

void follower_wake(struct follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    follower->has_news = true;
    pthread_cond_signal(&follower->wake);
    pthread_mutex_unlock(&follower->lock);
}

void follower_stop(struct follower *follower)
{
    if (!follower)
        return;
    lh_cancel_fire(&follower->cancel, LH_STOPPING);
    pthread_mutex_lock(&follower->lock);
    follower->is_ending = true;
    pthread_cond_signal(&follower->wake);
    pthread_mutex_unlock(&follower->lock);
    pthread_join(follower->thread, NULL);
}

void follower_free(struct follower *follower)
{
    if (!follower)
        return;
    while (follower->followed) {
        struct followed *next = follower->followed->next;
        free(follower->followed);
        follower->followed = next;
    }
    pthread_cond_destroy(&follower->wake);
    pthread_mutex_destroy(&follower->lock);
    free(follower);
}
