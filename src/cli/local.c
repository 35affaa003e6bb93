#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/uuid.h"
#include "cli/internal.h"
#include "jobs/jobs.h"
#include "lake/lake.h"

static enum lh_code pass_begin(void *context, struct op_reply *reply, struct lh_error *err)
{
    (void)context;
    (void)reply;
    (void)err;
    return LH_OK;
}

static enum lh_code pass_on(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)context;
    return cli_print(bytes, err);
}

/* A reading call must not leave a new lake behind where a folder was misspelt. */
static enum lh_code check_folder(const struct cli_call *call, const struct settings *settings,
                                 struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    if (call->op->effect == OP_WRITE ||
        lh_dir_open(settings_root(settings), false, &dir, NULL) == LH_OK) {
        lh_dir_close(dir);
        return LH_OK;
    }
    lh_fail(err, LH_NOT_FOUND, "There is no lake at '%.*s'.", LH_ARG(settings_root(settings)));
    return lh_error_hint(err, "Name its folder with --data, or a server with --server.");
}

/* --- how far it is: the job that runs in this process, looked at from beside */

#define LOOK_EVERY_MS 100

struct watcher {
    struct lake *lake;
    struct cli_progress *progress;
    struct lh_cancel ended;
    pthread_t thread;
};

static void show_job(struct cli_progress *progress, const struct job_info *job)
{
    const struct job_progress *made = job->progress;
    struct cli_step step = {
        .phase = made->phase.len ? made->phase : job->kind,
        .done = made->rows_done,
        .total = made->rows_total.is_set ? made->rows_total.value : 0,
        .per_second = made->rows_per_second,
        .eta_s = made->eta_s.is_set ? made->eta_s.value : -1,
    };
    if (!step.total && made->bytes_total > 0)
        step = (struct cli_step){.phase = step.phase,
                                 .done = made->bytes_done,
                                 .total = made->bytes_total,
                                 .is_bytes = true,
                                 .eta_s = -1};
    cli_progress_show(progress, &step);
}

static void *watch(void *context)
{
    struct watcher *watcher = context;
    const struct jobs_filter running = {.state = JOB_RUNNING};
    const struct timespec step = {0, LOOK_EVERY_MS * 1000000L};
    while (!lh_cancel_check(&watcher->ended)) {
        struct lh_arena *arena = lh_arena_new(0);
        struct job_info *jobs = NULL;
        struct lh_str next = {0};
        size_t count = 0;
        if (!jobs_list(lake_jobs(watcher->lake), &running, (struct lh_str){0}, 1, arena, &jobs,
                       &count, &next, NULL) &&
            count)
            show_job(watcher->progress, &jobs[0]);
        lh_arena_free(arena);
        (void)nanosleep(&step, NULL);
    }
    return NULL;
}

/* Runs the operation, with somebody watching if that is to be shown. */
static enum lh_code run_watched(struct cli_call *call, struct op_call *op_call,
                                struct op_reply *reply, struct lh_error *err)
{
    struct watcher watcher = {.lake = op_call->lake, .progress = &call->shown};
    lh_cancel_init(&watcher.ended);
    bool is_watched = call->is_followed &&
                      lh_thread_start("progress", watch, &watcher, &watcher.thread, NULL) == LH_OK;
    enum lh_code code = op_run(call->op, op_call, call->args, reply, err);
    lh_cancel_fire(&watcher.ended, LH_STOPPING);
    if (is_watched)
        pthread_join(watcher.thread, NULL);
    cli_progress_clear(&call->shown);
    return code;
}

enum lh_code cli_run_local(struct cli_call *call, const struct settings *settings,
                           struct lh_buf *body, struct lh_error *err)
{
    struct lake *lake = NULL;
    struct lh_uuid request_id = lh_uuid_new();
    struct lh_cancel cancel;
    struct op_reply reply;
    struct lh_arena *arena = lh_arena_new(0); /* ends before the lake: the reply borrows from it */
    const struct op_sink sink = {pass_begin, pass_on, NULL, NULL};
    lh_cancel_init(&cancel);
    lh_log_set_level(LH_LOG_WARN);
    op_reply_init(&reply, call->op, cli_is_raw(call) ? &sink : NULL, CLI_BODY_BYTES_MAX);
    enum lh_code code = check_folder(call, settings, err);
    if (!code)
        code = lake_open(settings, &lake, err);
    if (code)
        goto out;
    struct op_call op_call = {
        .lake = lake,
        .principal = access_local_admin(),
        .arena = arena,
        .cancel = &cancel,
        .request_id = lh_uuid_str(&request_id),
        .bucket = call->bucket,
        .if_match = call->if_match,
        .if_none_match = call->if_none_match,
        .range = call->range,
        .idempotency_key = call->idempotency_key,
    };
    code = run_watched(call, &op_call, &reply, err);
    call->is_partial = !code && reply.status == OP_STATUS_PARTIAL;
    if (!code && cli_is_raw(call))
        code = cli_print(lh_buf_str(&reply.body), err);
    else if (!code)
        lh_buf_append_str(body, lh_buf_str(&reply.body));
    if (!code && reply.is_failed &&
        cli_is_raw(call)) /* after its first rows: the reply says so too */
        code = err->code;
out:
    op_reply_release(&reply);
    lh_arena_free(arena);
    lake_close(lake);
    return code ? code : lh_buf_check(body, "The reply", err);
}
