/* What went wrong with buckets. */
#include "storage/failures.h"

#include "lake/lake.h"
#include "ops/internal.h"

/* --- GET /storage/errors */

struct list_args {
    struct lh_str bucket;
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    LH_STR(struct list_args, bucket, .max = 63, .doc = "Only those of this bucket."),
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "FailuresListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct storage_failures_page page;
    enum lh_code code = storage_failures_list(lake_storage(call->lake), args->bucket, args->after,
                                              (size_t)args->limit, call->arena, &page, err);
    if (code)
        return code;
    struct lh_str next = page.has_more ? page.items[page.count - 1].id : (struct lh_str){0};
    return op_reply_list(reply, page.items, page.count, next, err);
}

const struct op op_failures_list = {
    .name = "failures.list",
    .summary = "What went wrong with buckets, newest first.",
    .description = "Kept over restarts; what fails again at once is counted.",
    .http = {OP_GET, "/storage/errors"},
    .effect = OP_READ,
    .permission = "storage.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &storage_failure_fields,
    .run = run_list,
};

/* --- POST /storage/errors/flush */

struct flushed {
    int64_t written;
};
static const struct lh_field flushed_rows[] = {
    LH_INT(struct flushed, written, .required = true, .doc = "Failures that were in memory."),
};
static const struct lh_fields flushed_fields =
    LH_FIELDS_OF(struct flushed, "FailuresFlushed", flushed_rows);

static enum lh_code run_flush(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    size_t count = 0;
    (void)raw;
    enum lh_code code = storage_failures_flush(lake_storage(call->lake), &count, err);
    const struct flushed flushed = {(int64_t)count};
    return code ? code : op_reply_record(reply, &flushed, err);
}

const struct op op_failures_flush = {
    .name = "failures.flush",
    .summary = "Write the failures of buckets that are in memory; done every few seconds anyway.",
    .http = {OP_POST, "/storage/errors/flush"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .kind = OP_RECORD,
    .result = &flushed_fields,
    .errors = OP_ERRORS(LH_FULL, LH_UNKNOWN),
    .run = run_flush,
};

/* --- POST /storage/errors/compact */

struct compacted {
    int64_t batches_before;
    int64_t batches_after;
    int64_t kept;
    int64_t dropped;
};
static const struct lh_field compacted_rows[] = {
    LH_INT(struct compacted, batches_before, .required = true, .doc = "Files that there were."),
    LH_INT(struct compacted, batches_after, .required = true, .doc = "Files that there are."),
    LH_INT(struct compacted, kept, .required = true, .doc = "Failures in the new file."),
    LH_INT(struct compacted, dropped, .required = true,
           .doc = "That were older than 10,000 others."),
};
static const struct lh_fields compacted_fields =
    LH_FIELDS_OF(struct compacted, "FailuresCompacted", compacted_rows);

static enum lh_code run_compact(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    struct storage_failures_compacted done;
    (void)raw;
    enum lh_code code = storage_failures_compact(lake_storage(call->lake), &done, err);
    if (code)
        return code;
    const struct compacted view = {(int64_t)done.batches_before, (int64_t)done.batches_after,
                                   (int64_t)done.kept, (int64_t)done.dropped};
    return op_reply_record(reply, &view, err);
}

const struct op op_failures_compact = {
    .name = "failures.compact",
    .summary = "Make one file of all batches of failures, with the newest 10,000.",
    .http = {OP_POST, "/storage/errors/compact"},
    .effect = OP_WRITE,
    .permission = "storage.manage",
    .kind = OP_RECORD,
    .result = &compacted_fields,
    .errors = OP_ERRORS(LH_FULL, LH_UNKNOWN),
    .run = run_compact,
};
