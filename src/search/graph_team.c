/* Threads that share a loop: fork and join, numbers handed out one by one.
 *
 *   waiting ──graph_team_run──▶ working ──no number is left──▶ waiting
 *
 * The caller is a worker too. A thread that cannot be started is done without. */
#include <stdlib.h>

#include "base/pool.h"
#include "search/graph_internal.h"

struct graph_team {
    pthread_mutex_t lock;
    pthread_cond_t has_work, is_done;
    pthread_t threads[GRAPH_THREADS_MAX];
    unsigned thread_count; /* beside the caller */
    unsigned working;
    uint64_t round;
    bool is_ending;
    atomic_uint named;
    void (*each)(void *context, unsigned worker, size_t at);
    void *context;
    size_t count;
    atomic_size_t next;
};

static void work(struct graph_team *team, unsigned worker)
{
    for (;;) {
        size_t at = atomic_fetch_add(&team->next, 1);
        if (at >= team->count)
            return;
        team->each(team->context, worker, at);
    }
}

static void *run(void *context)
{
    struct graph_team *team = context;
    unsigned worker = atomic_fetch_add(&team->named, 1) + 1;
    uint64_t round = 0;
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (team->round == round && !team->is_ending)
            pthread_cond_wait(&team->has_work, &team->lock);
        if (team->is_ending)
            break;
        round = team->round;
        pthread_mutex_unlock(&team->lock);
        work(team, worker);
        pthread_mutex_lock(&team->lock);
        if (--team->working == 0)
            pthread_cond_signal(&team->is_done);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

struct graph_team *graph_team_new(unsigned threads)
{
    if (threads < 2)
        return NULL;
    struct graph_team *team = calloc(1, sizeof *team);
    if (!team)
        return NULL;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->has_work, NULL);
    pthread_cond_init(&team->is_done, NULL);
    if (threads > GRAPH_THREADS_MAX)
        threads = GRAPH_THREADS_MAX;
    while (team->thread_count + 1 < threads &&
           lh_thread_start("graph", run, team, team->threads + team->thread_count, NULL) == LH_OK)
        team->thread_count++;
    return team;
}

void graph_team_free(struct graph_team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    team->is_ending = true;
    pthread_cond_broadcast(&team->has_work);
    pthread_mutex_unlock(&team->lock);
    for (unsigned i = 0; i < team->thread_count; i++)
        pthread_join(team->threads[i], NULL);
    pthread_cond_destroy(&team->has_work);
    pthread_cond_destroy(&team->is_done);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

unsigned graph_team_size(const struct graph_team *team)
{
    return team ? team->thread_count + 1 : 1;
}

void graph_team_run(struct graph_team *team,
                    void (*each)(void *context, unsigned worker, size_t at), void *context,
                    size_t count)
{
    if (!team || !team->thread_count || count < 2) {
        for (size_t at = 0; at < count; at++)
            each(context, 0, at);
        return;
    }
    pthread_mutex_lock(&team->lock);
    team->each = each;
    team->context = context;
    team->count = count;
    atomic_store(&team->next, 0);
    team->working = team->thread_count;
    team->round++;
    pthread_cond_broadcast(&team->has_work);
    pthread_mutex_unlock(&team->lock);
    work(team, 0);
    pthread_mutex_lock(&team->lock);
    while (team->working)
        pthread_cond_wait(&team->is_done, &team->lock);
    pthread_mutex_unlock(&team->lock);
}
