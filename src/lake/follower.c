/* Follows commits: indexes of datasets whose policy says so are refreshed after every change.
 *
 * One thread, woken by commits. What it starts are jobs like any other, one at a time; a refresh
 * that fails is not tried again before the next commit, one that waits for the next start not at
 * all. */
#include "lake/internal.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/pool.h"
#include "catalog/catalog.h"
#include "jobs/jobs.h"
#include "search/search.h"

#define INDEXES_MAX 10000
#define ARGS_BYTES 4096
#define HELD_MAX 64 /* beyond it, every commit may leave one more job of an index */

struct follower {
    struct catalog *catalog;
    struct jobs *jobs;
    struct search *search;
    struct lh_cancel cancel; /* fired at the end */
    pthread_t thread;
    struct lh_arena *arena;       /* of the list below; only the thread uses them */
    struct lh_str held[HELD_MAX]; /* names of indexes whose refresh waits for the next start */
    size_t held_count;
    pthread_mutex_t lock; /* guards the two below */
    pthread_cond_t wake;
    bool has_news;
    bool is_ending;
};

/* Its refresh is queued already, and cannot be run by this process. */
static bool is_held(const struct follower *follower, struct lh_str name)
{
    for (size_t i = 0; i < follower->held_count; i++)
        if (lh_str_equal_nocase(follower->held[i], name))
            return true;
    return false;
}

static bool is_followed(const struct catalog_snapshot *snapshot,
                        const struct search_index_info *index)
{
    const struct catalog_dataset *dataset = NULL;
    return index->state == SEARCH_READY && index->is_stale &&
           !catalog_find_id(snapshot, index->dataset_id, &dataset, NULL) &&
           dataset->refresh.kind == CATALOG_REFRESH_ON_APPEND;
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

/* Waits for the job: the next one finds the machine free. */
static void refresh(struct follower *follower, const struct search_index_info *index,
                    struct lh_arena *arena)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_uuid id;
    struct job_info info;
    const struct job_spec spec = {.kind = lh_lit(SEARCH_REFRESH_JOB_KIND),
                                  .dataset = index->source,
                                  .actor = lh_lit("policy:on_append"),
                                  .args = args_of(index, arena)};
    enum lh_code code = jobs_submit(follower->jobs, &spec, &id, &err);
    if (!code)
        code = jobs_wait(follower->jobs, lh_uuid_str(&id), &follower->cancel, arena, &info, &err);
    if (code && code != LH_STOPPING)
        lh_log_error(LH_LOG_WARN, "lake.follower", &err);
    if (!code && info.state == JOB_QUEUED && follower->held_count < HELD_MAX)
        follower->held[follower->held_count++] = lh_arena_str(follower->arena, index->name);
}

static void look(struct follower *follower)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct search_index_info *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(follower->catalog);
    if (search_list(follower->search, NULL, (struct lh_str){0}, INDEXES_MAX, arena, &items, &count,
                    &next, &err))
        lh_log_error(LH_LOG_WARN, "lake.follower", &err);
    for (size_t i = 0; i < count && !lh_cancel_check(&follower->cancel); i++)
        if (is_followed(snapshot, &items[i]) && !is_held(follower, items[i].name))
            refresh(follower, &items[i], arena);
    catalog_snapshot_unref(snapshot);
    lh_arena_free(arena);
}

static void *follow(void *context)
{
    struct follower *follower = context;
    pthread_mutex_lock(&follower->lock);
    while (!follower->is_ending) {
        if (!follower->has_news) {
            pthread_cond_wait(&follower->wake, &follower->lock);
            continue;
        }
        follower->has_news = false;
        pthread_mutex_unlock(&follower->lock);
        look(follower);
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
    follower->arena = lh_arena_new(0);
    follower->has_news = true; /* what was committed before the last end is looked at */
    lh_cancel_init(&follower->cancel);
    pthread_mutex_init(&follower->lock, NULL);
    pthread_cond_init(&follower->wake, NULL);
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
    pthread_cond_destroy(&follower->wake);
    pthread_mutex_destroy(&follower->lock);
    lh_arena_free(follower->arena);
    free(follower);
}
