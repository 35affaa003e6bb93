#include "jobs/jobs.h"

#include <stdatomic.h>

#include "lake/lake.h"
#include "ops/internal.h"

/* --- GET /jobs */

struct list_args {
    int64_t limit;
    struct lh_str after;
    int state;
    struct lh_str kind;
    struct lh_str dataset;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
    LH_CHOICE(struct list_args, state, .choices = job_state_names, .doc = "Only those."),
    LH_STR(struct list_args, kind, .max = 64, .doc = "Only those: ingest.file, …"),
    LH_STR(struct list_args, dataset, .max = 255, .doc = "Only those that work on it."),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "JobsListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    const struct jobs_filter filter = {
        .kind = args->kind,
        .dataset = args->dataset,
        .state = args->state,
    };
    struct job_info *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    enum lh_code code = jobs_list(lake_jobs(call->lake), &filter, args->after, (size_t)args->limit,
                                  call->arena, &items, &count, &next, err);
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_jobs_list = {
    .name = "jobs.list",
    .summary = "Background work, newest first.",
    .http = {OP_GET, "/jobs"},
    .effect = OP_READ,
    .permission = "jobs.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &job_info_fields,
    .run = run_list,
};

/* --- GET /jobs/{id} */

struct get_args {
    struct lh_str id;
    int64_t wait_ms;
};
static const struct lh_field get_rows[] = {
    LH_STR(struct get_args, id, .required = true, .positional = true, .min = 1, .max = 64,
           .doc = "The job's id."),
    LH_INT(struct get_args, wait_ms, LH_PRESET(0), .min = 0, .max = 60000,
           .doc = "Answer when the job has ended, or after so long; at once when many wait."),
};
static const struct lh_fields get_fields = LH_FIELDS_OF(struct get_args, "JobsGetArgs", get_rows);

/* Who waits sits on a worker. At most a quarter of them do, so that the jobs that are waited for,
 * and everybody else, still find one; beyond that the answer comes at once. */
static _Atomic int64_t waiting;

bool op_may_wait(struct lake *lake)
{
    int64_t most = lh_pool_stats(lake_pool(lake)).thread_count / 4;
    if (atomic_fetch_add(&waiting, 1) < (most > 1 ? most : 1))
        return true;
    op_has_waited();
    return false;
}

void op_has_waited(void)
{
    atomic_fetch_sub(&waiting, 1);
}

enum lh_code op_fail_as_job(const struct job_info *info, const char *what, struct lh_error *err)
{
    const struct job_error *error = info->error;
    enum lh_code code = LH_INTERNAL;
    for (int i = 1; error && i < LH_CODE_COUNT; i++)
        if (lh_str_equal(lh_str_of(lh_error_row((enum lh_code)i)->id), error->code))
            code = (enum lh_code)i;
    lh_fail(err, code, "%s stopped: %.*s", what,
            LH_ARG(error ? error->message : lh_lit("it was cancelled.")));
    if (error && error->hint.len)
        lh_error_hint(err, "%.*s", LH_ARG(error->hint));
    return code;
}

/* A crash may have kept its end from being written; its effect is not lost then. */
static enum lh_code reply_effect(struct op_call *call, struct lh_str id, struct op_reply *reply,
                                 struct lh_error *err)
{
    struct job_info info;
    struct lh_error cause = LH_ERROR_NONE;
    enum lh_code code = lake_find_effect(call->lake, id, call->arena, &info, &cause);
    if (code == LH_NOT_FOUND)
        return code; /* *err says so already */
    if (code) {
        *err = cause;
        return code;
    }
    return op_reply_record(reply, &info, err);
}

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct get_args *args = raw;
    struct jobs *jobs = lake_jobs(call->lake);
    struct job_info info;
    enum lh_code code = LH_TIMEOUT;
    if (args->wait_ms > 0 && op_may_wait(call->lake)) {
        struct lh_cancel patience;
        lh_cancel_init_child(&patience, call->cancel);
        lh_cancel_set_timeout(&patience, args->wait_ms);
        code = jobs_wait(jobs, args->id, &patience, call->arena, &info, err);
        op_has_waited();
        if (code && code != LH_NOT_FOUND && (code != LH_TIMEOUT || lh_cancel_check(call->cancel)))
            return code;
    }
    if (code) /* it was not waited for, or goes on */
        code = jobs_get(jobs, args->id, call->arena, &info, err);
    if (code == LH_NOT_FOUND)
        return reply_effect(call, args->id, reply, err);
    return code ? code : op_reply_record(reply, &info, err);
}

const struct op op_jobs_get = {
    .name = "jobs.get",
    .summary = "One job: state, progress, result or error.",
    .http = {OP_GET, "/jobs/{id}"},
    .effect = OP_READ,
    .permission = "jobs.read",
    .fields = &get_fields,
    .kind = OP_RECORD,
    .result = &job_info_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND),
    .run = run_get,
};

/* --- GET /jobs/{id}/events */

struct id_args {
    struct lh_str id;
};

#define EVENT_BYTES_MAX ((size_t)1 << 20)
#define HEARTBEAT_MS 10000

static const struct lh_field events_rows[] = {
    LH_STR(struct id_args, id, .required = true, .positional = true, .min = 1, .max = 64,
           .doc = "The job's id."),
};
static const struct lh_fields events_fields =
    LH_FIELDS_OF(struct id_args, "JobsEventsArgs", events_rows);

/* One event as text/event-stream writes it; the JSON has no line breaks. */
static enum lh_code send_event(struct op_reply *reply, const struct job_info *info,
                               struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, EVENT_BYTES_MAX);
    lh_buf_printf(&buf, "id: %llu\nevent: %s\ndata: ", (unsigned long long)info->change,
                  info->state >= JOB_SUCCEEDED ? "end" : "progress");
    lh_json_init(&json, &buf);
    lh_fields_write(&job_info_fields, info, &json);
    lh_buf_append_str(&buf, lh_lit("\n\n"));
    enum lh_code code = lh_buf_check(&buf, "The event", err);
    if (!code)
        code = op_reply_write(reply, lh_buf_str(&buf), err);
    if (!code)
        code = op_reply_flush(reply, err);
    lh_buf_release(&buf);
    return code;
}

/* Tells how the job stands and then of every change. An own arena per event: a job may go on for
 * hours. */
static enum lh_code follow(struct op_call *call, struct lh_str id, struct op_reply *reply,
                           struct lh_error *err)
{
    uint64_t seen = 0;
    bool is_over = false;
    enum lh_code code = LH_OK;
    while (!code && !is_over) {
        struct lh_arena *arena = lh_arena_new(0);
        struct job_info info;
        code = jobs_watch(lake_jobs(call->lake), id, seen, HEARTBEAT_MS, call->cancel, arena, &info,
                          err);
        if (!code && info.change == seen) {
            code = op_reply_write(reply, lh_lit(": still there\n\n"), err);
            code = code ? code : op_reply_flush(reply, err);
        } else if (!code) {
            code = send_event(reply, &info, err);
            seen = info.change;
            /* One that is left to the next start does not change before that. */
            is_over = info.state >= JOB_SUCCEEDED || (info.state == JOB_QUEUED && info.error);
        }
        lh_arena_free(arena);
    }
    return code;
}

static enum lh_code run_events(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct id_args *args = raw;
    struct job_info info;
    enum lh_code code = jobs_get(lake_jobs(call->lake), args->id, call->arena, &info, err);
    if (code)
        return code;
    reply->content_type = lh_str_of(reply->op->media_type);
    code = op_reply_stream(reply, err);
    if (!code)
        code = op_reply_write(reply, lh_lit("retry: 1000\n\n"), err);
    if (code)
        return code;
    /* Too many sit here already: say how it stands, and let the client come back. */
    if (!op_may_wait(call->lake))
        return send_event(reply, &info, err);
    code = follow(call, args->id, reply, err);
    op_has_waited();
    return code;
}

const struct op op_jobs_events = {
    .name = "jobs.events",
    .summary = "A job's changes as server-sent events, until it has ended.",
    .description =
        "The first event tells how the job stands; `progress` events follow, `end` is "
        "the last; a job that waits for the server's next start (it says why) ends the stream "
        "without one. When many follow jobs at once, the stream ends early and `retry` says "
        "when to come back.",
    .http = {OP_GET, "/jobs/{id}/events"},
    .effect = OP_READ,
    .permission = "jobs.read",
    .fields = &events_fields,
    .kind = OP_TEXT,
    .media_type = "text/event-stream",
    .errors = OP_ERRORS(LH_NOT_FOUND),
    .run = run_events,
};

/* --- DELETE /jobs/{id} */

static const struct lh_field cancel_rows[] = {
    LH_STR(struct id_args, id, .required = true, .positional = true, .min = 1, .max = 64,
           .doc = "The job's id."),
};
static const struct lh_fields cancel_fields =
    LH_FIELDS_OF(struct id_args, "JobsCancelArgs", cancel_rows);

static enum lh_code run_cancel(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct id_args *args = raw;
    struct jobs *jobs = lake_jobs(call->lake);
    struct job_info info;
    enum lh_code code = jobs_cancel(jobs, args->id, err);
    if (!code)
        code = jobs_get(jobs, args->id, call->arena, &info, err);
    if (code)
        return code;
    if (info.state < JOB_SUCCEEDED)
        op_reply_status(reply, 202);
    return op_reply_record(reply, &info, err);
}

const struct op op_jobs_cancel = {
    .name = "jobs.cancel",
    .summary = "Stop a job.",
    .description = "A job that was never begun ends at once; any other is told to stop (202) and "
                   "leaves nothing half-made. How that one ends, it tells itself: its work may be "
                   "done already.",
    .http = {OP_DELETE, "/jobs/{id}"},
    .effect = OP_WRITE,
    .permission = "jobs.write",
    .fields = &cancel_fields,
    .kind = OP_RECORD,
    .result = &job_info_fields,
    .other_status = 202,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT),
    .run = run_cancel,
};
