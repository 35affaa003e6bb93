/* Work that runs beside its caller's, on a thread of its own while that lasts: the second processor
 * looks through the bytes while the engine sniffs. */
#ifndef LAKEHOUSE_INGEST_BESIDE_H
#define LAKEHOUSE_INGEST_BESIDE_H

#include "base/pool.h"

/* Less is done before a thread would have begun. */
#define BESIDE_BYTES_MIN ((int64_t)4 << 20)

struct beside {
    enum lh_code (*run)(void *context, struct lh_error *err);
    void *context;
    pthread_t thread;
    bool is_threaded;
    enum lh_code code;
    struct lh_error err;
};

/* Where no thread can be had, the work is done before this returns. *beside stays where it is. */
void beside_start(struct beside *beside, enum lh_code (*work)(void *context, struct lh_error *err),
                  void *context);
void beside_wait(struct beside *beside);
/* Waits, and tells how it went. */
enum lh_code beside_end(struct beside *beside, struct lh_error *err) LH_MUST_USE;

#endif
