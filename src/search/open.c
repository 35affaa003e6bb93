/* The life of search/. */
#include <stdlib.h>

#include "search/asking.h"
#include "search/building.h"
#include "search/trials.h"
#include "search/watching.h"

enum lh_code search_open(const struct search_options *options, struct search **ret,
                         struct lh_error *err)
{
    struct search *search = lh_allocate(1, sizeof *search);
    search->options = *options;
    search->arena = lh_arena_new(0);
    atomic_init(&search->definitions, 1);
    pthread_mutex_init(&search->lock, NULL);
    pthread_mutex_init(&search->scan_lock, NULL);
    pthread_mutex_init(&search->ledger_lock, NULL);
    pthread_rwlock_init(&search->place_lock, NULL);
    pthread_mutex_init(&search->tune_lock, NULL);
    atomic_init(&search->ledger_stamp, 1);
    search->sweeps = sweeps_new(0);
    search->watch = watch_new();
    enum lh_code code = search->sweeps && search->watch
                            ? LH_OK
                            : lh_fail(err, LH_BUSY, "There is no memory for searches.");
    if (!code)
        code = registry_open(search, err);
    if (!code)
        code = part_register(search, err);
    if (!code)
        code = functions_register(search, err);
    if (!code)
        code = tuning_tables_register(search, err);
    if (code)
        search_close(search);
    else
        *ret = search;
    return code;
}

void search_close(struct search *search)
{
    if (!search)
        return;
    registry_close(search);
    places_close(search);
    pthread_mutex_destroy(&search->lock);
    pthread_mutex_destroy(&search->scan_lock);
    sweeps_free(search->sweeps);
    watch_free(search->watch);
    pthread_mutex_destroy(&search->ledger_lock);
    pthread_rwlock_destroy(&search->place_lock);
    pthread_mutex_destroy(&search->tune_lock);
    tunings_free(search);
    lh_arena_free(search->arena);
    free(search);
}

static bool will_run(struct jobs *jobs, struct lh_str id)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct job_info info;
    struct lh_error none = LH_ERROR_NONE;
    bool is_waiting = !jobs_get(jobs, id, arena, &info, &none) && info.state <= JOB_RUNNING;
    lh_arena_free(arena);
    return is_waiting;
}

static void forget_next(struct search *search, struct lh_str name)
{
    struct search_index *index = NULL;
    struct lh_error ignored = LH_ERROR_NONE;
    if (index_find(search, name, &index, &ignored))
        return;
    if (!index_begin(index, &ignored)) {
        forgive(index_drop_next(index, &ignored));
        index_end(index);
    }
    index_unref(index);
}

void search_forget_abandoned(struct search *search, struct jobs *jobs)
{
    struct index_manifest **heads = NULL;
    size_t count = 0;
    registry_heads(search, &heads, &count);
    for (size_t i = 0; i < count; i++) {
        struct lh_error ignored = LH_ERROR_NONE;
        if (heads[i]->state == SEARCH_BUILDING && !will_run(jobs, heads[i]->job_id))
            forgive(search_drop(search, heads[i]->name, 0, &ignored));
        else if (heads[i]->next && !will_run(jobs, heads[i]->next->job_id))
            forget_next(search, heads[i]->name);
        index_manifest_unref(heads[i]);
    }
    free(heads);
}
