#include "base/file.h"
#include "base/log.h"
#include "base/uuid.h"
#include "cli/internal.h"
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

enum lh_code cli_run_local(const struct cli_call *call, const struct settings *settings,
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
        .if_match = call->if_match,
        .if_none_match = call->if_none_match,
        .range = call->range,
        .idempotency_key = call->idempotency_key,
    };
    code = op_run(call->op, &op_call, call->args, &reply, err);
    if (!code && cli_is_raw(call))
        code = cli_print(lh_buf_str(&reply.body), err);
    else if (!code)
        lh_buf_append_str(body, lh_buf_str(&reply.body));
out:
    op_reply_release(&reply);
    lh_arena_free(arena);
    lake_close(lake);
    return code ? code : lh_buf_check(body, "The reply", err);
}
