/* An erasure that somebody gives up: what it looked for is forgotten, what it did stays done, and
 * the receipt says that nobody goes on. */
#include "base/clock.h"
#include "jobs/jobs.h"
#include "lake/erasing_internal.h"
#include "lake/internal.h"
#include "lake/lake.h"

static enum lh_code fail_busy(struct lh_str id, struct lh_error *err)
{
    lh_fail(err, LH_CONFLICT, "The erasure '%.*s' has neither failed nor is it incomplete.",
            LH_ARG(id));
    return lh_error_hint(err,
                         "GET /catalog/erase/%.*s says how it stands; DELETE /jobs/{id} "
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

/* Its job may have begun before, or wait; an attempt that is at work has the turn. */
static enum lh_code check_job(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                              struct lh_error *err)
{
    struct job_info info;
    struct lh_str job = erase_job_of(lake_storage(lake), id, arena);
    bool goes_on = job.len && !jobs_get(lake_jobs(lake), job, arena, &info, NULL) &&
                   (info.state == JOB_QUEUED || info.state == JOB_RUNNING);
    return goes_on ? fail_busy(id, err) : LH_OK;
}

/* How it stands cannot be read: of the receipt or the request, which keeps what it looked for, one
 * is damaged. A receipt that is whole stands; else one that says what is known takes its place. */
static enum lh_code give_up_damaged(struct lake *lake, struct lh_str id, struct lh_str by,
                                    struct lh_arena *arena, struct lake_erasure *ret,
                                    struct lh_error *err)
{
    struct storage *storage = lake_storage(lake);
    struct erase_request request = {0};
    enum lh_code code = check_job(lake, id, arena, err);
    if (code)
        return code;
    if (!erase_read(storage, id, "receipt", &lake_erasure_fields, arena, ret, NULL))
        return end_done(lake, id, arena, ret, err);
    bool is_known =
        !erase_read(storage, id, "request", &erase_request_fields, arena, &request, NULL);
    struct lake_erasure erasure;
    erase_fill_unread(id, LAKE_ERASE_GIVEN_UP, &erasure);
    erasure.ended_at.unix_ms = lh_clock_unix_ms();
    if (is_known) {
        erasure.dataset = request.dataset;
        erasure.row_key_column = request.row_key_column;
        erasure.keys = (int64_t)json_array_size(request.row_key_values.value);
        erasure.actor = request.actor;
        erasure.committer = request.committer;
        erasure.reason = request.reason;
        erasure.created_at = request.created_at;
    }
    erasure.problem = lh_arena_printf(arena,
                                      "%.*s gave it up: its %s could not be read, so nobody knows "
                                      "how far it was. Rows that it hid stay hidden.",
                                      LH_ARG(by), is_known ? "receipt" : "records");
    code = erase_write(storage, id, "receipt", &lake_erasure_fields, &erasure, err);
    if (!code)
        code = erase_forget(storage, id, err);
    if (!code)
        *ret = erasure;
    return code;
}

static enum lh_code give_up(struct lake *lake, struct lh_str id, struct lh_str by,
                            struct lh_arena *arena, struct lake_erasure *ret, struct lh_error *err)
{
    struct lake_erasure erasure = {0};
    enum lh_code code = lake_erase_get(lake, id, arena, &erasure, err);
    if (code == LH_DAMAGED)
        return give_up_damaged(lake, lh_arena_str(arena, id), by, arena, ret, err);
    if (code)
        return code;
    if (erasure.state == LAKE_ERASE_FAILED && erasure.ended_at.unix_ms)
        return end_done(lake, erasure.erase_id, arena, ret, err);
    if (erasure.state == LAKE_ERASE_FAILED)
        code = fill_from_progress(lake, erasure.erase_id, arena, &erasure, err);
    if (code == LH_DAMAGED) { /* how many rows it hid is not known any more */
        erasure.is_at_least = true;
        code = LH_OK;
    }
    if (erasure.state != LAKE_ERASE_FAILED && erasure.state != LAKE_ERASE_INCOMPLETE)
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
