/* Looking at all rows, once for everybody who waits.
 *
 *   sweeps_join ── a place is free ──▶ leads: takes those who wait for the same rows along
 *        │                                    │ one pass over the codes
 *        └─ none is ──▶ waits ──▶ taken ──────┴──▶ done
 *
 * There are as many places as processors: who comes while one is free starts at once, alone. Only
 * when all are busy do searches pile up, and then the next who gets a place serves the pile. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "search/asking.h"

#define PATIENCE_MS 20 /* between two looks at whether who waits still wants it */
/* Less than this is looked at faster than a place is given away. */
#define SMALL_BYTES ((size_t)4 << 20)

enum sweep_state { SWEEP_WAITS, SWEEP_IS_TAKEN, SWEEP_IS_DONE };

struct sweeps {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    size_t places; /* that are free */
    int64_t passes, served;
    struct sweep *first; /* who waits, in the order of coming */
};

struct sweeps *sweeps_new(size_t places)
{
    struct sweeps *sweeps = calloc(1, sizeof *sweeps);
    pthread_condattr_t attributes;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (!sweeps)
        return NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&sweeps->lock, NULL);
    pthread_cond_init(&sweeps->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    sweeps->places = places ? places : processors > 1 ? (size_t)processors : 1;
    return sweeps;
}

void sweeps_free(struct sweeps *sweeps)
{
    if (!sweeps)
        return;
    pthread_cond_destroy(&sweeps->moved);
    pthread_mutex_destroy(&sweeps->lock);
    free(sweeps);
}

void sweeps_count(struct sweeps *sweeps, int64_t *ret_passes, int64_t *ret_served)
{
    pthread_mutex_lock(&sweeps->lock);
    *ret_passes = sweeps->passes;
    *ret_served = sweeps->served;
    pthread_mutex_unlock(&sweeps->lock);
}

/* --- the pass */

/* Who leads goes on for those who are with it, until nobody wants it any more. */
static bool is_wanted(const struct sweep *crowd)
{
    for (; crowd; crowd = crowd->with)
        if (!lh_cancel_check(crowd->cancel))
            return true;
    return false;
}

static void look_at_part(const struct sweep *crowd, size_t layer, size_t part, size_t first)
{
    const struct view *view = crowd->layers[layer].view;
    const struct entries *entries = view->parts[part];
    const struct search_scan scan = {
        .rows = entries->vectors, .row_count = entries->count, .codes = entries->codes};
    struct search_scanner *scanners[SWEEP_QUERIES_MAX];
    const uint64_t *left_out[SWEEP_QUERIES_MAX];
    size_t count = 0, base = view->bases[part];
    for (const struct sweep *sweep = crowd; sweep; sweep = sweep->with)
        for (size_t i = 0; i < sweep->count; i++) {
            scanners[count] = sweep->scanners[i];
            left_out[count++] = sweep->layers[layer].mute + base / 64;
        }
    search_scanners_add(scanners, left_out, count, &scan, first + base);
}

static void look(const struct sweep *crowd)
{
    for (size_t i = 0; i < LAYERS; i++) {
        const struct view *view = crowd->layers[i].view;
        size_t first = i && crowd->layers[0].view ? crowd->layers[0].view->span : 0;
        for (size_t part = 0; view && part < view->part_count && is_wanted(crowd); part++)
            look_at_part(crowd, i, part, first);
    }
}

/* --- the line */

static void leave(struct sweeps *sweeps, const struct sweep *sweep)
{
    struct sweep **at = &sweeps->first;
    while (*at != sweep)
        at = &(*at)->next;
    *at = sweep->next;
}

/* Locked. Who stands first, and after it those who want the same rows. */
static struct sweep *take_crowd(struct sweeps *sweeps)
{
    struct sweep *crowd = sweeps->first, *last = crowd;
    size_t queries = crowd->count;
    sweeps->first = crowd->next;
    crowd->with = NULL;
    crowd->state = SWEEP_IS_TAKEN;
    for (struct sweep **at = &sweeps->first; *at;) {
        struct sweep *sweep = *at;
        if (sweep->rows != crowd->rows || queries + sweep->count > SWEEP_QUERIES_MAX) {
            at = &sweep->next;
            continue;
        }
        *at = sweep->next;
        queries += sweep->count;
        last->with = sweep;
        last = sweep;
        sweep->with = NULL;
        sweep->state = SWEEP_IS_TAKEN;
    }
    return crowd;
}

/* Locked; without the lock as long as it takes. */
static void lead(struct sweeps *sweeps)
{
    struct sweep *crowd = take_crowd(sweeps);
    sweeps->places--;
    /* Another place may be free, and somebody else first now. */
    pthread_cond_broadcast(&sweeps->moved);
    pthread_mutex_unlock(&sweeps->lock);
    look(crowd);
    pthread_mutex_lock(&sweeps->lock);
    sweeps->places++;
    sweeps->passes++;
    for (struct sweep *sweep = crowd, *with = NULL; sweep; sweep = with) {
        with = sweep->with;
        sweep->state = SWEEP_IS_DONE;
        sweeps->served++;
    }
    pthread_cond_broadcast(&sweeps->moved);
}

static void wait_a_little(struct sweeps *sweeps)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PATIENCE_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&sweeps->moved, &sweeps->lock, &until);
}

static size_t bytes_of(const struct sweep *sweep)
{
    size_t bytes = 0;
    for (size_t i = 0; i < LAYERS; i++)
        if (sweep->layers[i].view)
            bytes +=
                sweep->layers[i].view->span * (size_t)sweep->layers[i].view->manifest->dimensions;
    return bytes * sweep->count;
}

enum lh_code sweeps_join(struct sweeps *sweeps, struct sweep *sweep, struct lh_error *err)
{
    struct sweep **last = &sweeps->first;
    sweep->next = sweep->with = NULL;
    sweep->state = SWEEP_WAITS;
    if (bytes_of(sweep) < SMALL_BYTES) {
        look(sweep);
        return lh_cancel_fail(sweep->cancel, "The search", err);
    }
    pthread_mutex_lock(&sweeps->lock);
    while (*last)
        last = &(*last)->next;
    *last = sweep;
    while (sweep->state != SWEEP_IS_DONE) {
        if (sweep->state == SWEEP_WAITS && sweeps->first == sweep && sweeps->places) {
            lead(sweeps);
        } else if (sweep->state == SWEEP_WAITS && lh_cancel_check(sweep->cancel)) {
            leave(sweeps, sweep);
            pthread_cond_broadcast(&sweeps->moved);
            break;
        } else {
            wait_a_little(sweeps);
        }
    }
    pthread_mutex_unlock(&sweeps->lock);
    return lh_cancel_fail(sweep->cancel, "The search", err);
}
