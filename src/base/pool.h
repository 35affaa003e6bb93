/* A thread pool with bounded queues, one per lane.
 *
 * Short work may use every place, slow work (big ingests, models, remote databases) at most half
 * of them, so a queue of slow work never stands before a short request; one slow piece may always
 * run, so neither does short work starve it. Vital work (what tells how the server is) has a thread
 * of its own, so it is done however much waits in the others. A full queue is LH_BUSY, at once.
 *
 * What was taken for short and is not gives its place back while others wait for one:
 *
 *            LH_POOL_LONG_MS, a long place is free
 *   short ───────────────────────────────────────▶ long
 *     └─ all long places are taken, and LH_POOL_YIELD_MS have passed:
 *        the youngest that yields is stopped with LH_BUSY
 *
 * so there are thread_count + long_max threads, of which thread_count are for short and slow work.
 * Threads have 8 MB stacks, because the engine parses recursively.
 */
#ifndef LAKEHOUSE_BASE_POOL_H
#define LAKEHOUSE_BASE_POOL_H

#include <pthread.h>

#include "base/cancel.h"
#include "base/error.h"

enum lh_lane { LH_LANE_SHORT, LH_LANE_SLOW, LH_LANE_VITAL, LH_LANE_COUNT };

#define LH_POOL_LONG_MS 250
#define LH_POOL_YIELD_MS 1000
#define LH_THREAD_STACK_BYTES ((size_t)8 * 1024 * 1024)

struct lh_pool; /* made by lh_pool_new, ended by lh_pool_free */

struct lh_pool_stats {
    int64_t thread_count; /* places for short and slow work */
    int64_t long_max;     /* places for short work that turned out to be long */
    int64_t long_running; /* of them taken; they count as running in the short lane too */
    int64_t yielded;      /* pieces that were told to stop for others, since the start */
    int64_t running[LH_LANE_COUNT];
    int64_t queued[LH_LANE_COUNT];
    int64_t refused[LH_LANE_COUNT]; /* since the start */
};

enum lh_code lh_pool_new(unsigned thread_count, unsigned long_max, unsigned queue_max,
                         struct lh_pool **ret, struct lh_error *err) LH_MUST_USE;
/* Waits for running work and for everything queued. NULL is fine. */
void lh_pool_free(struct lh_pool *pool);

/* Runs work(context) on a pool thread, in order within its lane. LH_BUSY: the queue is full, work
 * will not run. */
enum lh_code lh_pool_submit(struct lh_pool *pool, enum lh_lane lane, void (*work)(void *context),
                            void *context, struct lh_error *err) LH_MUST_USE;
/* Called by a piece of work about itself: from now on it may be stopped through `cancel` to make
 * way for others. NULL: no longer; must be said before the token ends. Outside a pool: nothing. */
void lh_pool_yields(struct lh_cancel *cancel);
struct lh_pool_stats lh_pool_stats(struct lh_pool *pool);

/* One named thread (at most 15 bytes of its name are kept) with the stack size above, to be joined
 * by the caller with pthread_join. All signals but those of its own faults are blocked in it: the
 * main thread gets them. */
enum lh_code lh_thread_start(const char *name, void *(*run)(void *context), void *context,
                             pthread_t *ret, struct lh_error *err) LH_MUST_USE;

/* Said by a thread of itself: it does little at a time and shall do it soon. Where the system knows
 * how (Linux 6.12), it asks for short turns, and so for a processor before those who take long
 * ones; its share of the processors stays what it is, and no right is needed. Elsewhere: nothing.
 */
void lh_thread_be_prompt(void);
/* Said by a thread of itself and of those that it starts later: others come first. For ever. */
void lh_thread_be_last(void);

#endif
