#include <assert.h>
#include <stdlib.h>

#include "catalog/internal.h"

struct live_states {
    atomic_size_t refs; /* the catalog's, and one of each listed state: snapshots may outlive it */
    pthread_mutex_t mutex;
    struct dataset_state *first;
};

struct live_states *live_new(void)
{
    struct live_states *live = lh_allocate(1, sizeof *live);
    atomic_init(&live->refs, 1);
    pthread_mutex_init(&live->mutex, NULL);
    return live;
}

void live_unref(struct live_states *live)
{
    if (!live || atomic_fetch_sub_explicit(&live->refs, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&live->mutex);
    free(live);
}

void live_add(struct live_states *live, struct dataset_state *state)
{
    assert(!state->live);
    atomic_fetch_add_explicit(&live->refs, 1, memory_order_relaxed);
    state->live = live;
    pthread_mutex_lock(&live->mutex);
    state->live_next = live->first;
    if (live->first)
        live->first->live_previous = state;
    live->first = state;
    pthread_mutex_unlock(&live->mutex);
}

void live_drop(struct dataset_state *state)
{
    struct live_states *live = state->live;
    if (!live)
        return;
    pthread_mutex_lock(&live->mutex);
    if (state->live_previous)
        state->live_previous->live_next = state->live_next;
    else
        live->first = state->live_next;
    if (state->live_next)
        state->live_next->live_previous = state->live_previous;
    pthread_mutex_unlock(&live->mutex);
    state->live = NULL;
    live_unref(live);
}

/* One whose last holder is just letting go may be met: it is whole until live_drop has the mutex.
 */
void live_visit(struct live_states *live, struct lh_str dataset_id, int64_t version,
                void (*visit)(void *context, const struct catalog_dataset *view), void *context)
{
    pthread_mutex_lock(&live->mutex);
    for (const struct dataset_state *at = live->first; at; at = at->live_next)
        if (at->view.version < version && lh_str_equal(at->view.id, dataset_id))
            visit(context, &at->view);
    pthread_mutex_unlock(&live->mutex);
}
