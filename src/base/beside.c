#include "base/beside.h"

static void *run(void *context)
{
    struct lh_beside *beside = context;
    beside->code = beside->run(beside->context, &beside->err);
    return NULL;
}

void lh_beside_start(struct lh_beside *beside,
                     enum lh_code (*work)(void *context, struct lh_error *err), void *context)
{
    *beside = (struct lh_beside){.run = work, .context = context, .err = LH_ERROR_NONE};
    beside->is_threaded = lh_thread_start("beside", run, beside, &beside->thread, NULL) == LH_OK;
    if (!beside->is_threaded)
        (void)run(beside);
}

void lh_beside_wait(struct lh_beside *beside)
{
    if (beside->is_threaded)
        (void)pthread_join(beside->thread, NULL);
    beside->is_threaded = false;
}

enum lh_code lh_beside_end(struct lh_beside *beside, struct lh_error *err)
{
    lh_beside_wait(beside);
    if (beside->code && err)
        *err = beside->err;
    return beside->code;
}
