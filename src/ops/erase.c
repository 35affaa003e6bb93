#include "lake/erasing.h"

#include <stdio.h>

#include "jobs/jobs.h"
#include "lake/lake.h"
#include "ops/internal.h"

#define HIDDEN_HINT "The rows are hidden all the same; POST /catalog/erase/%.*s/resume goes on."

/* This and the next run in the short lane: who waits for a job must not sit where it is to run. */

/* --- POST /catalog/erase */

struct erase_args {
    struct lh_str dataset;
    struct lh_str row_key_column;
    struct lh_json_value row_key_values;
    struct lh_str actor;
    struct lh_str reason;
    bool wait;
    bool dry_run;
};
static const struct lh_field erase_rows[] = {
    LH_STR(struct erase_args, dataset, .positional = true, .min = 1, .max = 255,
           .doc = "Only this one; absent = every one that has the column."),
    LH_STR(struct erase_args, row_key_column, .required = true, .min = 1, .max = 65536,
           .doc = "The column whose values name rows."),
    LH_JSON(struct erase_args, row_key_values, .required = true,
            .doc = "The keys: a list of at most 100,000 texts, numbers or booleans, as the column "
                   "has them."),
    LH_STR(struct erase_args, actor, .max = 255, .doc = "Who wants it; absent: the caller."),
    LH_STR(struct erase_args, reason, .max = 1000,
           .doc = "Why; kept with the receipt, so it may hold no key."),
    LH_BOOL(struct erase_args, wait, LH_PRESET(true),
            .doc = "false, or many wait already: answer 202 with the id to be asked for."),
    LH_BOOL(struct erase_args, dry_run,
            .doc = "Say what would go, and where something of the rows stands; change nothing."),
};
static const struct lh_fields erase_fields =
    LH_FIELDS_OF(struct erase_args, "CatalogEraseArgs", erase_rows);

struct accepted {
    struct lh_str erase_id;
    struct lh_str job_id;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct accepted, erase_id, .required = true,
           .doc = "To be read at /catalog/erase/{id}."),
    LH_STR(struct accepted, job_id, .required = true, .doc = "To be followed at /jobs/{id}."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct accepted, "CatalogEraseAccepted", accepted_rows);

static enum lh_code fail_as(const struct job_info *info, struct lh_str id, struct lh_error *err)
{
    char what[LH_UUID_TEXT_BYTES + 32];
    (void)snprintf(what, sizeof what, "The erasure '%.*s'", LH_ARG(lh_str_head(id, 36)));
    enum lh_code code = op_fail_as_job(info, what, err);
    if (code != LH_FULL) /* that one says what to do first */
        lh_error_hint(err, HIDDEN_HINT, LH_ARG(id));
    return code;
}

static enum lh_code answer(struct op_call *call, struct lh_str id, struct lh_str job, bool wait,
                           struct op_reply *reply, struct lh_error *err)
{
    struct lake_erasure erasure;
    struct job_info info;
    const struct accepted accepted = {id, job};
    reply->location = lh_arena_printf(call->arena, "/catalog/erase/%.*s", LH_ARG(id));
    if (!wait || !op_may_wait(call->lake)) {
        op_reply_status(reply, 202);
        return op_reply_record(reply, &accepted, err);
    }
    enum lh_code code =
        jobs_wait(lake_jobs(call->lake), job, call->cancel, call->arena, &info, err);
    op_has_waited();
    if (!code && info.state != JOB_SUCCEEDED)
        return fail_as(&info, id, err);
    if (!code)
        code = lake_erase_get(call->lake, id, call->arena, &erasure, err);
    if (!code && erasure.state == LAKE_ERASE_INCOMPLETE)
        op_reply_partial(reply);
    return code ? code : op_reply_record(reply, &erasure, err);
}

static enum lh_code run_erase(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    const struct erase_args *args = raw;
    struct lh_str id, job;
    const struct lake_erase_request request = {
        .dataset = args->dataset,
        .column = args->row_key_column,
        .values = args->row_key_values.value,
        .actor = args->actor.len ? args->actor : call->principal->id,
        .committer = call->principal->id,
        .reason = args->reason,
    };
    if (args->dry_run) {
        struct lake_erasure erasure;
        enum lh_code tried =
            lake_erase_try(call->lake, &request, call->cancel, call->arena, &erasure, err);
        return tried ? tried : op_reply_record(reply, &erasure, err);
    }
    enum lh_code code =
        lake_erase_begin(call->lake, &request, call->cancel, call->arena, &id, &job, err);
    return code ? code : answer(call, id, job, args->wait, reply, err);
}

static const struct op_example erase_examples[] = {
    {"One key, wherever it is",
     "{\"row_key_column\": \"name\", \"row_key_values\": [\"gimp\"], \"reason\": \"asked for by "
     "mail\", \"wait\": false}",
     NULL},
};
const struct op op_catalog_erase = {
    .name = "catalog.erase",
    .command = "erase",
    .summary = "Erase the rows of keys from everything that the lake keeps, with a receipt.",
    .description =
        "The rows are hidden at once, as by a tombstone. Then the data files that hold them are "
        "written anew, the list of tombstones keeps only keyed hashes of the keys (which go on "
        "suppressing rows of them that come later), indexes are made anew, every older version "
        "expires at once, without a grace period, kept answers that hold a key go, and every file "
        "of the data folder is searched for what the rows held. The receipt says what went where, "
        "what was found all the same (state incomplete) and what was not looked into, and never "
        "holds a key. It is a job that goes on after a kill; one that fails leaves the rows hidden "
        "and can be resumed. On a full disk it works out of the room that is kept for deletes; 507 "
        "says how much is missing. A dataset without anything of the keys, in any version, keeps "
        "its "
        "files and versions; where nothing of them is found anywhere, nothing is changed (state "
        "no_match). In every other bucket that the lake knows all that no version names of "
        "these datasets goes, trash, old versions that a store keeps and unfinished uploads too, "
        "and all that is left is fetched and searched; a bucket that does not answer, or whose "
        "store does not tell or give up all that it holds, makes the erasure incomplete and is "
        "named with the reason. 207: it is incomplete. Erased keys cannot be lifted, older "
        "versions not be read.",
    .http = {OP_POST, "/catalog/erase"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .body = OP_BODY_JSON,
    .fields = &erase_fields,
    .kind = OP_RECORD,
    .result = &lake_erasure_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .may_be_partial = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_DAMAGED, LH_UNKNOWN, LH_FULL,
                        LH_TOO_LARGE),
    OP_EXAMPLES(erase_examples),
    .run = run_erase,
};

/* --- POST /catalog/erase/{id}/resume */

struct resume_args {
    struct lh_str id;
    bool wait;
};
#define ID_ROW(struct_type)                                                                        \
    LH_STR(struct_type, id, .required = true, .positional = true, .min = 1, .max = 64,             \
           .doc = "Of the erasure.")
static const struct lh_field resume_rows[] = {
    ID_ROW(struct resume_args),
    LH_BOOL(struct resume_args, wait, LH_PRESET(true),
            .doc = "false, or many wait already: answer 202 with the id to be asked for."),
};
static const struct lh_fields resume_fields =
    LH_FIELDS_OF(struct resume_args, "ErasuresResumeArgs", resume_rows);

static enum lh_code run_resume(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct resume_args *args = raw;
    struct lh_str job;
    enum lh_code code = lake_erase_resume(call->lake, args->id, call->arena, &job, err);
    return code ? code : answer(call, args->id, job, args->wait, reply, err);
}

const struct op op_erasures_resume = {
    .name = "erasures.resume",
    .summary = "Go on with an erasure that failed or is incomplete.",
    .description = "What it did stays done. The next start of the server does the same by itself, "
                   "unless it was cancelled, or the server went down over it again and again. "
                   "207: it is incomplete still.",
    .http = {OP_POST, "/catalog/erase/{id}/resume"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .body = OP_BODY_JSON,
    .fields = &resume_fields,
    .kind = OP_RECORD,
    .result = &lake_erasure_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .may_be_partial = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_resume,
};

/* --- DELETE /catalog/erase/{id} */

struct get_args {
    struct lh_str id;
};
static const struct lh_field get_rows[] = {ID_ROW(struct get_args)};
static const struct lh_fields get_fields =
    LH_FIELDS_OF(struct get_args, "ErasuresGetArgs", get_rows);

static enum lh_code run_give_up(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct get_args *args = raw;
    const struct journal_event event = op_event(call, "erase.give_up", args->id);
    struct lake_change change;
    struct lake_erasure erasure;
    enum lh_code code = lake_erase_get(call->lake, args->id, call->arena, &erasure, err);
    if (!code || code == LH_DAMAGED) /* what cannot be read is given up, too */
        code = lake_change_begin(call->lake, &event, true, &change, err);
    if (code)
        return code;
    code =
        lake_erase_give_up(call->lake, args->id, call->principal->id, call->arena, &erasure, err);
    lake_change_end(call->lake, &change, code, &event);
    return code ? code : op_reply_record(reply, &erasure, err);
}

const struct op op_erasures_give_up = {
    .name = "erasures.give_up",
    .summary = "End an erasure that failed, is incomplete or cannot be read, without going on.",
    .description =
        "What it did stays done: rows that are hidden stay hidden, hashes stay hashes, rewritten "
        "files are not brought back. What it looked for, which is kept until then, is forgotten: "
        "nobody can look for it again. Its receipt stays, with what was found and who gave it up; "
        "the same keys may be asked for anew, and tombstones that name no erased key be lifted. "
        "One whose records are damaged gets a receipt that says what is known of it.",
    .http = {OP_DELETE, "/catalog/erase/{id}"},
    .effect = OP_WRITE,
    .permission = "catalog.write",
    .fields = &get_fields,
    .kind = OP_RECORD,
    .result = &lake_erasure_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_give_up,
};

/* --- GET /catalog/erase, GET /catalog/erase/{id} */

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct get_args *args = raw;
    struct lake_erasure erasure;
    enum lh_code code = lake_erase_get(call->lake, args->id, call->arena, &erasure, err);
    return code ? code : op_reply_record(reply, &erasure, err);
}

const struct op op_erasures_get = {
    .name = "erasures.get",
    .summary = "How an erasure stands, or its receipt: what went, and what was found at the end.",
    .http = {OP_GET, "/catalog/erase/{id}"},
    .effect = OP_READ,
    .permission = "catalog.write",
    .fields = &get_fields,
    .kind = OP_RECORD,
    .result = &lake_erasure_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_get,
};

struct list_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "ErasuresListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct lake_erasure *items = NULL;
    struct lh_str next = {0};
    size_t count = 0;
    enum lh_code code = lake_erase_list(call->lake, args->after, (size_t)args->limit, call->arena,
                                        &items, &count, &next, err);
    for (size_t i = 0; i < count; i++)
        items[i].values = (struct lh_list){0}; /* up to 100,000 each */
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_erasures_list = {
    .name = "erasures.list",
    .summary = "Erasures and their receipts, newest first.",
    .http = {OP_GET, "/catalog/erase"},
    .effect = OP_READ,
    .permission = "catalog.write",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &lake_erasure_fields,
    .errors = OP_ERRORS(LH_DAMAGED),
    .run = run_list,
};
