/* A thread pool with bounded queues, one per lane.
 *
 * Short work may use every thread, slow work (big ingests, models, remote databases) at most half
 * of them, so a queue of slow work never stands before a short request; one slow piece may always
 * run, so neither does short work starve it. Vital work (what tells how the server is) has a thread
 * of its own, so it is done however much waits in the others. A full queue is LH_BUSY, at once.
 * Threads have 8 MB stacks, because the engine parses recursively.
 */
#ifndef LAKEHOUSE_BASE_POOL_H
#define LAKEHOUSE_BASE_POOL_H

#include <pthread.h>

#include "base/error.h"

enum lh_lane { LH_LANE_SHORT, LH_LANE_SLOW, LH_LANE_VITAL, LH_LANE_COUNT };

#define LH_THREAD_STACK_BYTES ((size_t)8 * 1024 * 1024)

struct lh_pool; /* made by lh_pool_new, ended by lh_pool_free */

struct lh_pool_stats {
    int64_t thread_count; /* without the one of the vital lane */
    int64_t running[LH_LANE_COUNT];
    int64_t queued[LH_LANE_COUNT];
    int64_t refused[LH_LANE_COUNT]; /* since the start */
};

enum lh_code lh_pool_new(unsigned thread_count, unsigned queue_max, struct lh_pool **ret,
                         struct lh_error *err) LH_MUST_USE;
/* Waits for running work and for everything queued. NULL is fine. */
void lh_pool_free(struct lh_pool *pool);

/* Runs work(context) on a pool thread, in order within its lane. LH_BUSY: the queue is full, work
 * will not run. */
enum lh_code lh_pool_submit(struct lh_pool *pool, enum lh_lane lane, void (*work)(void *context),
                            void *context, struct lh_error *err) LH_MUST_USE;
struct lh_pool_stats lh_pool_stats(struct lh_pool *pool);

/* One named thread (at most 15 bytes of its name are kept) with the stack size above, to be joined
 * by the caller with pthread_join. All signals but those of its own faults are blocked in it: the
 * main thread gets them. */
enum lh_code lh_thread_start(const char *name, void *(*run)(void *context), void *context,
                             pthread_t *ret, struct lh_error *err) LH_MUST_USE;

#endif
