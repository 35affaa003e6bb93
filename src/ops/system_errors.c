/* GET /system/errors: what went wrong lately, in one call. */
#include "lake/failures.h"
#include "ops/internal.h"

struct errors_args {
    int64_t limit;
    struct lh_str after;
    int source;
    int side;
    struct lh_str code;
    struct lh_str operation;
    struct lh_str request_id;
    struct lh_time since;
};
static const struct lh_field errors_rows[] = {
    OP_LIST_LIMIT(struct errors_args),
    OP_LIST_AFTER(struct errors_args),
    LH_CHOICE(struct errors_args, source, .choices = lake_failure_sources, .doc = "Only those."),
    LH_CHOICE(struct errors_args, side, .choices = lake_failure_sides,
              .doc = "Only those: of callers (4xx), or of the server (5xx)."),
    LH_STR(struct errors_args, code, .max = 64, .doc = "Only those: not_found, …"),
    LH_STR(struct errors_args, operation, .max = 64,
           .doc = "Only those: the operation of a request, or the event of the background."),
    LH_STR(struct errors_args, request_id, .max = 128, .doc = "Only what this request got."),
    LH_TIME(struct errors_args, since, .doc = "Only what happened then or later."),
};
static const struct lh_fields errors_fields =
    LH_FIELDS_OF(struct errors_args, "SystemErrorsArgs", errors_rows);

static enum lh_code run_errors(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct errors_args *args = raw;
    const struct lake_failure_filter filter = {
        .source = args->source,
        .side = args->side,
        .code = args->code,
        .operation = args->operation,
        .request_id = args->request_id,
        .since_ms = args->since.unix_ms,
    };
    struct lake_failure *items = NULL;
    size_t count = 0;
    bool has_more = false;
    int64_t before = 0;
    struct lh_str next = {0};
    if (args->after.len && (!lh_str_to_int(args->after, &before) || before < 1)) {
        lh_fail(err, LH_INVALID, "'%.*s' is not the `next` of a page.", LH_ARG(args->after));
        return lh_error_field(err, lh_lit("after"));
    }
    lake_list_failures(call->lake, &filter, before, (size_t)args->limit, call->arena, &items,
                       &count, &has_more);
    if (has_more)
        next = lh_arena_printf(call->arena, "%lld", (long long)items[count - 1].number);
    return op_reply_list(reply, items, count, next, err);
}

const struct op op_system_errors = {
    .name = "system.errors",
    .command = "errors",
    .summary = "What went wrong lately, newest first.",
    .description =
        "The last 1,000 failures of callers and the last 1,000 of the server, since it was "
        "started: of requests and of what goes on in the background. What looks like a secret is "
        "masked.",
    .http = {OP_GET, "/system/errors"},
    .effect = OP_READ,
    .permission = "system.read",
    .fields = &errors_fields,
    .kind = OP_LIST,
    .result = &lake_failure_fields,
    .run = run_errors,
};
