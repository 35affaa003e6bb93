#include "ingest/beside.h"

static void *run(void *context)
{
    struct beside *beside = context;
    beside->code = beside->run(beside->context, &beside->err);
    return NULL;
}

void beside_start(struct beside *beside, enum lh_code (*work)(void *context, struct lh_error *err),
                  void *context)
{
    *beside = (struct beside){.run = work, .context = context, .err = LH_ERROR_NONE};
    beside->is_threaded = lh_thread_start("ingest", run, beside, &beside->thread, NULL) == LH_OK;
    if (!beside->is_threaded)
        (void)run(beside);
}

void beside_wait(struct beside *beside)
{
    if (beside->is_threaded)
        (void)pthread_join(beside->thread, NULL);
    beside->is_threaded = false;
}

enum lh_code beside_end(struct beside *beside, struct lh_error *err)
{
    beside_wait(beside);
    if (beside->code && err)
        *err = beside->err;
    return beside->code;
}
