/* Work that runs beside its caller's, on a thread of its own while that lasts: the second processor
 * looks through the bytes while the engine sniffs, or sums them a second time. */
#ifndef LAKEHOUSE_BASE_BESIDE_H
#define LAKEHOUSE_BASE_BESIDE_H

#include "base/pool.h"

/* Less is done before a thread would have begun. */
#define LH_BESIDE_BYTES_MIN ((int64_t)4 << 20)

struct lh_beside {
    enum lh_code (*run)(void *context, struct lh_error *err);
    void *context;
    pthread_t thread;
    bool is_threaded;
    enum lh_code code;
    struct lh_error err;
};

/* Where no thread can be had, the work is done before this returns. *beside stays where it is. */
void lh_beside_start(struct lh_beside *beside,
                     enum lh_code (*work)(void *context, struct lh_error *err), void *context);
void lh_beside_wait(struct lh_beside *beside);
/* Waits, and tells how it went. */
enum lh_code lh_beside_end(struct lh_beside *beside, struct lh_error *err) LH_MUST_USE;

#endif
