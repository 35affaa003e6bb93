/* The agent that tunes indexes by itself. */
#include "lake/tuner.h"

#include "lake/lake.h"
#include "ops/internal.h"

static enum lh_code reply_status(struct op_call *call, struct op_reply *reply, struct lh_error *err)
{
    struct lake_agent_status status;
    lake_agent_status(call->lake, call->arena, &status);
    return op_reply_record(reply, &status, err);
}

static enum lh_code run_status(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    (void)raw;
    return reply_status(call, reply, err);
}

const struct op op_agent_status = {
    .name = "agent.status",
    .summary = "What the tuning agent does, and what recall searches of callers had.",
    .http = {OP_GET, "/vectors/agent/status"},
    .effect = OP_READ,
    .permission = "search.read",
    .kind = OP_RECORD,
    .result = &lake_agent_status_fields,
    .run = run_status,
};

static enum lh_code run_start(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    (void)raw;
    lake_agent_switch(call->lake, true);
    return reply_status(call, reply, err);
}

const struct op op_agent_start = {
    .name = "agent.start",
    .summary = "Let the agent try configurations of indexes by itself, until the server ends.",
    .description =
        "It tries one at a time, near what is promoted or now and then any, and promotes "
        "what is better and finds enough. [agent] of the settings says how often, and "
        "whether it runs from the start.",
    .http = {OP_POST, "/vectors/agent/start"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .kind = OP_RECORD,
    .result = &lake_agent_status_fields,
    .run = run_start,
};

static enum lh_code run_stop(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    (void)raw;
    lake_agent_switch(call->lake, false);
    return reply_status(call, reply, err);
}

const struct op op_agent_stop = {
    .name = "agent.stop",
    .summary = "Let the agent begin nothing more; what it tries now it ends.",
    .http = {OP_POST, "/vectors/agent/stop"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .kind = OP_RECORD,
    .result = &lake_agent_status_fields,
    .run = run_stop,
};

struct enqueue_args {
    struct lh_str index;
};
static const struct lh_field enqueue_rows[] = {
    LH_STR(struct enqueue_args, index, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The index."),
};
static const struct lh_fields enqueue_fields =
    LH_FIELDS_OF(struct enqueue_args, "AgentEnqueueArgs", enqueue_rows);

static enum lh_code run_enqueue(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct enqueue_args *args = raw;
    enum lh_code code = lake_agent_enqueue(call->lake, args->index, err);
    return code ? code : reply_status(call, reply, err);
}

const struct op op_agent_enqueue = {
    .name = "agent.enqueue",
    .summary = "Let the agent take this index next, whatever its cooldown.",
    .description = "While the agent does not run it waits.",
    .http = {OP_POST, "/vectors/agent/enqueue/{index}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .fields = &enqueue_fields,
    .kind = OP_RECORD,
    .result = &lake_agent_status_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT),
    .run = run_enqueue,
};
