/* An erasure that somebody gives up: what it looked for is forgotten, what it did stays done, and
 * the receipt says that nobody goes on. */
#include "base/clock.h"
#include "lake/erasing_internal.h"
#include "lake/internal.h"
#include "lake/lake.h"

static enum lh_code fail_busy(struct lh_str id, struct lh_error *err)
{
    lh_fail(err, LH_CONFLICT, "The erasure '%.*s' has neither failed nor is it incomplete.",
            LH_ARG(id));
    return lh_error_hint(err,
                         "GET /catalog/erase/%.*s says how it stands; POST /jobs/{id}/cancel "
                         "stops the job of one that waits or runs.",
                         LH_ARG(id));
}

/* What is known without a receipt: how many rows were hidden, and why it failed. */
static enum lh_code fill_from_progress(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                                       struct lake_erasure *erasure, struct lh_error *err)
{
    struct erase_request request;
    struct erase_progress progress;
    enum lh_code code =
        erase_read(lake_storage(lake), id, "request", &erase_request_fields, arena, &request, err);
    if (!code)
        code = erase_progress_open(lake_storage(lake), id, &request, arena, &progress, err);
    if (code)
        return code;
    const struct erase_done *done = progress.datasets.items;
    for (size_t i = 0; i < progress.datasets.count; i++)
        erasure->rows += done[i].rows;
    erasure->journal = progress.journal;
    erasure->answers_removed = progress.answers_removed;
    return LH_OK;
}

/* All was done but to forget what it looked for: that is done now, and it stands as it ended. */
static enum lh_code end_done(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                             struct lake_erasure *ret, struct lh_error *err)
{
    enum lh_code code = erase_forget(lake_storage(lake), id, err);
    return code ? code : lake_erase_get(lake, id, arena, ret, err);
}

static enum lh_code give_up(struct lake *lake, struct lh_str id, struct lh_str by,
                            struct lh_arena *arena, struct lake_erasure *ret, struct lh_error *err)
{
    struct lake_erasure erasure = {0};
    enum lh_code code = lake_erase_get(lake, id, arena, &erasure, err);
    if (code)
        return code;
    if (erasure.state == LAKE_ERASE_FAILED && erasure.ended_at.unix_ms)
        return end_done(lake, erasure.erase_id, arena, ret, err);
    if (erasure.state == LAKE_ERASE_FAILED)
        code = fill_from_progress(lake, erasure.erase_id, arena, &erasure, err);
    else if (erasure.state != LAKE_ERASE_INCOMPLETE)
        code = fail_busy(erasure.erase_id, err);
    if (code)
        return code;
    bool is_found = erasure.state == LAKE_ERASE_INCOMPLETE;
    erasure.state = LAKE_ERASE_GIVEN_UP;
    erasure.phase = (struct lh_str){0};
    erasure.problem = lh_arena_printf(arena, "%.*s gave it up: %s", LH_ARG(by),
                                      is_found ? "what was found stays where it is."
                                               : "the rows are hidden, and are there.");
    if (!erasure.ended_at.unix_ms)
        erasure.ended_at.unix_ms = lh_clock_unix_ms();
    code = erase_write(lake_storage(lake), erasure.erase_id, "receipt", &lake_erasure_fields,
                       &erasure, err);
    if (!code)
        code = erase_forget(lake_storage(lake), erasure.erase_id, err);
    if (!code)
        *ret = erasure;
    return code;
}

enum lh_code lake_erase_give_up(struct lake *lake, struct lh_str id, struct lh_str by,
                                struct lh_arena *arena, struct lake_erasure *ret,
                                struct lh_error *err)
{
    if (!lake_take_erasing(lake)) /* its own attempt, perhaps */
        return lh_fail(err, LH_CONFLICT, "An erasure is at work: ask again when it has ended.");
    enum lh_code code = give_up(lake, id, by, arena, ret, err);
    lake_give_erasing(lake);
    return code;
}
