/* The journal: what people and programs report, and what was ever done. */
#include "journal/journal.h"

#include "base/json.h"
#include "base/secret.h"
#include "catalog/catalog.h"
#include "lake/lake.h"
#include "ops/internal.h"

/* The key alone is no name: after a day it may come with something else. */
static struct lh_str request_of(const struct op_call *call, struct lh_str key)
{
    return lh_arena_printf(call->arena, "key:%.*s:%.*s", LH_ARG(call->request_hash), LH_ARG(key));
}

struct journal_event op_event(const struct op_call *call, const char *action, struct lh_str entity)
{
    struct lh_str key = op_idempotency_key(call);
    struct journal_event event = {
        .action = lh_str_of(action),
        .entity = entity,
        .actor = call->principal->id,
        .principal = call->principal->id,
    };
    if (key.len)
        event.request = request_of(call, key);
    return event;
}

/* --- an event, as it is shown */

struct event_view {
    int64_t sequence;
    struct lh_str id;
    struct lh_time at;
    struct lh_str action;
    struct lh_str entity_id;
    struct lh_str dataset;
    struct lh_str dataset_id;
    struct lh_opt_int version;
    struct lh_str field;
    struct lh_str old_value;
    struct lh_str new_value;
    struct lh_str actor;
    struct lh_str principal;
    struct lh_str source;
    struct lh_str workspace;
    struct lh_str model_id;
    struct lh_str reason;
    struct lh_json_value detail;
    struct lh_str hash;
};
static const struct lh_field view_rows[] = {
    LH_INT(struct event_view, sequence, .required = true, .doc = "Its place in the journal."),
    LH_STR(struct event_view, id, .required = true, .doc = "For ever; of a commit: its UUID."),
    LH_TIME(struct event_view, at, .required = true, .doc = "When."),
    LH_STR(struct event_view, action, .required = true,
           .doc = "What was done: dataset.append, key.create, update, …"),
    LH_STR(struct event_view, entity_id, .required = true,
           .doc = "To what: a dataset's name, a row's key, …"),
    LH_STR(struct event_view, dataset, .doc = "In which dataset."),
    LH_STR(struct event_view, dataset_id, .doc = "Its id, which a rename does not change."),
    LH_OPT_INT(struct event_view, version, .doc = "Of the dataset, after the change."),
    LH_STR(struct event_view, field, .doc = "Of the entity."),
    LH_STR(struct event_view, old_value, .doc = "Of the field, before."),
    LH_STR(struct event_view, new_value, .doc = "Of the field, after."),
    LH_STR(struct event_view, actor, .doc = "Who did it."),
    LH_STR(struct event_view, principal, .doc = "Whose key brought it in."),
    LH_STR(struct event_view, source, .doc = "Where it came from."),
    LH_STR(struct event_view, workspace, .doc = "In which workspace."),
    LH_STR(struct event_view, model_id, .doc = "Which model proposed it."),
    LH_STR(struct event_view, reason, .doc = "Why."),
    LH_JSON(struct event_view, detail, .doc = "More, by action: figures and names."),
    LH_STR(struct event_view, hash, .required = true,
           .doc = "Of the record, which holds the hash of the one before it."),
};
static const struct lh_fields view_fields =
    LH_FIELDS_OF(struct event_view, "JournalEvent", view_rows);

static struct event_view view_of(const struct journal_record *record)
{
    const struct journal_event *event = &record->event;
    return (struct event_view){
        .sequence = (int64_t)record->sequence,
        .id = event->id,
        .at = {event->time_ms},
        .action = event->action,
        .entity_id = event->entity,
        .dataset = event->dataset,
        .dataset_id = event->dataset_id,
        .version = {event->version != 0, event->version},
        .field = event->field,
        .old_value = event->old_value,
        .new_value = event->new_value,
        .actor = event->actor,
        .principal = event->principal,
        .source = event->source,
        .workspace = event->workspace,
        .model_id = event->model,
        .reason = event->reason,
        .detail.text = event->detail,
        .hash = record->hash,
    };
}

/* --- lists */

struct list_args {
    struct lh_str entity_id;
    struct lh_str dataset;
    struct lh_str action;
    struct lh_str actor;
    struct lh_str workspace;
    struct lh_str source;
    struct lh_time since;
    struct lh_time until;
    int64_t limit;
    struct lh_str after;
};

#define FILTER_ROWS                                                                                \
    LH_STR(struct list_args, dataset, .max = 63,                                                   \
           .doc = "Only what happened in this dataset, under earlier names too."),                 \
        LH_STR(struct list_args, action, .max = JOURNAL_ACTION_BYTES_MAX,                          \
               .doc = "Only those: dataset.append, update, …"),                                    \
        LH_STR(struct list_args, actor, .max = JOURNAL_NAME_BYTES_MAX,                             \
               .doc = "Only what they did."),                                                      \
        LH_STR(struct list_args, workspace, .max = JOURNAL_NAME_BYTES_MAX,                         \
               .doc = "Only what happened in it."),                                                \
        LH_STR(struct list_args, source, .max = JOURNAL_NAME_BYTES_MAX,                            \
               .doc = "Only what came from there."),                                               \
        LH_TIME(struct list_args, since, .doc = "Only what happened then or later."),              \
        LH_TIME(struct list_args, until, .doc = "Only what happened before."),                     \
        OP_LIST_LIMIT(struct list_args), OP_LIST_AFTER(struct list_args)

static const struct lh_field recent_rows[] = {FILTER_ROWS};
static const struct lh_fields recent_fields =
    LH_FIELDS_OF(struct list_args, "JournalRecentArgs", recent_rows);
static const struct lh_field history_rows[] = {
    LH_STR(struct list_args, entity_id, .required = true, .positional = true, .min = 1,
           .max = JOURNAL_NAME_BYTES_MAX, .doc = "A row's key, a dataset's name, …"),
    FILTER_ROWS,
};
static const struct lh_fields history_fields =
    LH_FIELDS_OF(struct list_args, "JournalHistoryArgs", history_rows);

/* Absent: none is called so now. */
static struct lh_str id_of(struct op_call *call, struct lh_str dataset_name)
{
    const struct catalog_dataset *dataset = NULL;
    struct lh_str id = {0};
    if (!dataset_name.data)
        return id;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    if (catalog_find(snapshot, dataset_name, &dataset, NULL) == LH_OK)
        id = lh_arena_str(call->arena, dataset->id);
    catalog_snapshot_unref(snapshot);
    return id;
}

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    const struct journal_filter filter = {
        .entity = args->entity_id,
        .dataset = args->dataset,
        .dataset_id = id_of(call, args->dataset),
        .action = args->action,
        .actor = args->actor,
        .workspace = args->workspace,
        .source = args->source,
        .since_ms = args->since.unix_ms,
        .until_ms = args->until.unix_ms,
    };
    struct journal_record *records = NULL;
    size_t count = 0;
    bool has_more = false;
    int64_t before = 0;
    struct lh_str next = {0};
    if (args->after.len && (!lh_str_to_int(args->after, &before) || before < 1)) {
        lh_fail(err, LH_INVALID, "'%.*s' is not the `next` of a page.", LH_ARG(args->after));
        return lh_error_field(err, lh_lit("after"));
    }
    enum lh_code code = lake_freshen_journal(call->lake, err);
    if (!code)
        code =
            journal_list(lake_journal(call->lake), &filter, (uint64_t)before, (size_t)args->limit,
                         call->cancel, call->arena, &records, &count, &has_more, err);
    if (code)
        return code;
    struct event_view *views = lh_arena_array(call->arena, count + 1, sizeof(*views));
    for (size_t i = 0; i < count; i++)
        views[i] = view_of(&records[i]);
    if (has_more)
        next = lh_arena_printf(call->arena, "%lld", (long long)views[count - 1].sequence);
    return op_reply_list(reply, views, count, next, err);
}

const struct op op_journal_recent = {
    .name = "journal.recent",
    .summary = "What happened, newest first.",
    .description =
        "Every change of the lake is in the journal: of datasets, objects, keys, "
        "indexes, saved queries and profiles, and what was reported to it. SQL reads it as the "
        "table `journal`.",
    .http = {OP_GET, "/journal/recent"},
    .effect = OP_READ,
    .permission = "journal.read",
    .fields = &recent_fields,
    .kind = OP_LIST,
    .result = &view_fields,
    .errors = OP_ERRORS(LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_list,
};

const struct op op_journal_history = {
    .name = "journal.history",
    .summary = "What happened to one entity, newest first.",
    .description = "The bare key in all datasets; `dataset` narrows.",
    .http = {OP_GET, "/journal/history/{*entity_id}"},
    .effect = OP_READ,
    .permission = "journal.read",
    .fields = &history_fields,
    .kind = OP_LIST,
    .result = &view_fields,
    .errors = OP_ERRORS(LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_list,
};

/* --- reporting */

struct report_args {
    struct lh_str entity_id;
    struct lh_str dataset;
    struct lh_str action;
    struct lh_json_value detail;
    struct lh_str field;
    struct lh_str old_value;
    struct lh_str new_value;
    struct lh_str actor;
    struct lh_str source;
    struct lh_str workspace;
    struct lh_str model_id;
    struct lh_str reason;
};

#define REPORT_ROWS                                                                                \
    LH_STR(struct report_args, entity_id, .required = true, .positional = true, .min = 1,          \
           .max = JOURNAL_NAME_BYTES_MAX, .doc = "What it happened to: a row's key, …"),           \
        LH_STR(struct report_args, dataset, .min = 1, .max = 63,                                   \
               .doc = "The dataset that the entity belongs to."),                                  \
        LH_STR(struct report_args, actor, .min = 1, .max = JOURNAL_NAME_BYTES_MAX,                 \
               .doc = "Who did it; absent: the caller."),                                          \
        LH_STR(struct report_args, source, .min = 1, .max = JOURNAL_NAME_BYTES_MAX,                \
               .doc = "Where it came from."),                                                      \
        LH_STR(struct report_args, workspace, .min = 1, .max = JOURNAL_NAME_BYTES_MAX,             \
               .doc = "In which workspace."),                                                      \
        LH_STR(struct report_args, model_id, .min = 1, .max = JOURNAL_NAME_BYTES_MAX,              \
               .doc = "Which model proposed it."),                                                 \
        LH_STR(struct report_args, reason, .max = 1000, .doc = "Why.")

static const struct lh_field event_rows[] = {
    REPORT_ROWS,
    LH_STR(struct report_args, action, LH_PRESET_STR("event"), .min = 1,
           .max = JOURNAL_ACTION_BYTES_MAX,
           .doc = "What happened: called, placed, … No name of the lake's own actions (dataset.…, "
                  "index.…, key.…, tombstone, …)."),
    LH_JSON(struct report_args, detail, .doc = "More of it: an object, at most 64 KB."),
};
static const struct lh_fields event_fields =
    LH_FIELDS_OF(struct report_args, "JournalEventArgs", event_rows);
static const struct lh_field update_rows[] = {
    REPORT_ROWS,
    LH_STR(struct report_args, field, .required = true, .min = 1, .max = JOURNAL_NAME_BYTES_MAX,
           .doc = "What of the entity changed."),
    LH_STR(struct report_args, old_value, .max = JOURNAL_VALUE_BYTES_MAX, .doc = "Before."),
    LH_STR(struct report_args, new_value, .max = JOURNAL_VALUE_BYTES_MAX, .doc = "After."),
};
static const struct lh_fields update_fields =
    LH_FIELDS_OF(struct report_args, "JournalUpdateArgs", update_rows);

/* Free text of people may hold what should not be kept. */
static struct lh_str masked(struct op_call *call, struct lh_str text)
{
    if (!text.len)
        return text;
    char *copy = lh_arena_alloc(call->arena, text.len + 1);
    memcpy(copy, text.data, text.len);
    return (struct lh_str){copy, lh_mask_secrets(copy, text.len)};
}

/* Its texts one by one, so that it stays JSON; as deep as the parser lets it be. */
static void mask_texts(struct op_call *call, json_t *value)
{
    const char *name;
    json_t *item;
    size_t at;
    if (json_is_string(value)) {
        struct lh_str text = masked(call, lh_json_text(value));
        (void)json_string_setn(value, text.data ? text.data : "", text.len);
    }
    json_object_foreach(value, name, item)
    {
        mask_texts(call, item);
    }
    json_array_foreach(value, at, item)
    {
        mask_texts(call, item);
    }
}

static enum lh_code detail_text(struct op_call *call, const json_t *detail, struct lh_str *ret,
                                struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    if (!detail)
        return LH_OK;
    json_t *copy = json_deep_copy(detail);
    if (!copy)
        return lh_fail(err, LH_BUSY, "There is no memory for `detail`.");
    mask_texts(call, copy);
    lh_buf_init(&buf, JOURNAL_VALUE_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_parsed(&json, copy);
    json_decref(copy);
    enum lh_code code = json_is_object(detail)
                            ? lh_buf_check(&buf, "`detail`", err)
                            : lh_fail(err, LH_INVALID, "`detail` is no JSON object.");
    if (code)
        lh_error_field(err, lh_lit("detail"));
    else
        *ret = lh_arena_str(call->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return code;
}

/* Who reads the journal must know what the lake did from what somebody says. */
static enum lh_code check_action(struct lh_str action, struct lh_error *err)
{
    struct lh_buf list;
    if (!lake_is_own_action(action))
        return LH_OK;
    lh_buf_init(&list, LH_ERROR_HINT_BYTES);
    for (size_t i = 0; lake_own_actions[i]; i++)
        lh_buf_printf(&list, "%s%s", i ? ", " : "", lake_own_actions[i]);
    lh_fail(err, LH_INVALID, "The action '%.*s' is one that only the lake itself writes down.",
            LH_ARG(action));
    lh_error_field(err, lh_lit("action"));
    lh_error_hint(err,
                  "Its own are %.*s; a dot at the end stands for all that begin so. Any other name "
                  "is yours.",
                  LH_ARG(lh_buf_str(&list)));
    lh_buf_release(&list);
    return LH_INVALID;
}

static enum lh_code append(struct op_call *call, const struct journal_event *event,
                           struct op_reply *reply, struct lh_error *err)
{
    struct journal *journal = lake_journal(call->lake);
    const struct journal_filter filter = {.entity = event->entity};
    struct journal_record *record = NULL;
    uint64_t sequence = 0;
    size_t count = 0;
    bool has_more = false;
    enum lh_code code = lake_sync_journal(call->lake, err); /* what was before stands before it */
    if (!code)
        code = journal_append(journal, event, 1, false, &sequence, NULL, err);
    if (!code)
        code = journal_list(journal, &filter, sequence + 1, 1, call->cancel, call->arena, &record,
                            &count, &has_more, err);
    if (!code && count != 1)
        code = lh_fail(err, LH_INTERNAL, "The event that was written is not there.");
    if (code)
        return code;
    const struct event_view view = view_of(record);
    return op_reply_record(reply, &view, err);
}

static enum lh_code run_report(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct report_args *args = raw;
    struct lh_str key = op_idempotency_key(call);
    struct journal_event event = {
        .action = args->field.data ? lh_lit("update") : args->action,
        .entity = args->entity_id,
        .dataset = args->dataset,
        .dataset_id = id_of(call, args->dataset),
        .field = args->field,
        .old_value = args->old_value,
        .new_value = args->new_value,
        .actor = args->actor.data ? args->actor : call->principal->id,
        .principal = call->principal->id,
        .source = args->source,
        .workspace = args->workspace,
        .model = args->model_id,
        .reason = masked(call, args->reason),
    };
    if (key.len)
        event.request = request_of(call, key);
    enum lh_code code = check_action(event.action, err);
    if (!code)
        code = detail_text(call, args->detail.value, &event.detail, err);
    if (!code && args->field.data && !event.old_value.data && !event.new_value.data)
        code = lh_fail(err, LH_INVALID, "An update needs old_value or new_value.");
    return code ? code : append(call, &event, reply, err);
}

static const struct op_example event_examples[] = {
    {"A call",
     "{\"entity_id\": \"CAND-123\", \"dataset\": \"candidates\", \"action\": \"called\", "
     "\"detail\": {\"minutes\": 4}}",
     NULL},
};
static const struct op_example update_examples[] = {
    {"A new status",
     "{\"entity_id\": \"CAND-123\", \"dataset\": \"candidates\", \"field\": \"status\", "
     "\"old_value\": \"new\", \"new_value\": \"placed\", \"source\": \"phone\"}",
     NULL},
};

const struct op op_journal_event = {
    .name = "journal.event",
    .summary = "Report that something happened.",
    .description = "It is durable when it is answered, and never changes afterwards.",
    .http = {OP_POST, "/journal/event"},
    .effect = OP_WRITE,
    .permission = "journal.write",
    .body = OP_BODY_JSON,
    .fields = &event_fields,
    .kind = OP_RECORD,
    .result = &view_fields,
    .status = 201,
    .errors = OP_ERRORS(LH_BUSY, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(event_examples),
    .run = run_report,
};

const struct op op_journal_update = {
    .name = "journal.update",
    .summary = "Report that a field of an entity changed: from what to what.",
    .description = "The journal keeps the values; no dataset is changed by this.",
    .http = {OP_POST, "/journal/update"},
    .effect = OP_WRITE,
    .permission = "journal.write",
    .body = OP_BODY_JSON,
    .fields = &update_fields,
    .kind = OP_RECORD,
    .result = &view_fields,
    .status = 201,
    .errors = OP_ERRORS(LH_BUSY, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(update_examples),
    .run = run_report,
};

/* --- figures */

struct stats_view {
    int64_t total_events_created;
    int64_t buffered;
    int64_t persisted;
    int64_t segments;
    int64_t sequence;
    struct lh_str hash;
    int64_t appends;
    int64_t syncs;
    bool waits;
    struct lh_str damage;
};
static const struct lh_field stats_rows[] = {
    LH_INT(struct stats_view, total_events_created, .required = true, .doc = "Ever."),
    LH_INT(struct stats_view, buffered, .required = true,
           .doc = "Of them in the log: durable, and not in a Parquet file yet."),
    LH_INT(struct stats_view, persisted, .required = true, .doc = "Of them in Parquet files."),
    LH_INT(struct stats_view, segments, .required = true, .doc = "Those files."),
    LH_INT(struct stats_view, sequence, .required = true, .doc = "Of the newest record."),
    LH_STR(struct stats_view, hash, .required = true,
           .doc = "Of the newest record. Kept elsewhere, it proves what came before it."),
    LH_INT(struct stats_view, appends, .required = true,
           .doc = "Since the start: how often something was appended."),
    LH_INT(struct stats_view, syncs, .required = true,
           .doc = "Since the start: how often the disk was waited for; those who come together "
                  "share one."),
    LH_BOOL(struct stats_view, waits,
            .doc = "Commits wait to be written down: the disk is full or failing."),
    LH_STR(struct stats_view, damage, .doc = "What is missing or changed; absent: nothing is."),
};
static const struct lh_fields stats_fields =
    LH_FIELDS_OF(struct stats_view, "JournalStats", stats_rows);

static enum lh_code reply_stats(struct op_call *call, struct op_reply *reply, struct lh_error *err)
{
    struct journal_stats stats;
    journal_stats(lake_journal(call->lake), &stats);
    const struct stats_view view = {
        .total_events_created = stats.events,
        .buffered = stats.buffered,
        .persisted = stats.persisted,
        .segments = stats.segments,
        .sequence = (int64_t)stats.sequence,
        .hash = lh_str_of(stats.hash),
        .appends = stats.appends,
        .syncs = stats.syncs,
        .waits = lake_journal_waits(call->lake),
        .damage = journal_damage(lake_journal(call->lake), call->arena),
    };
    return op_reply_record(reply, &view, err);
}

static enum lh_code run_stats(struct op_call *call, const void *args, struct op_reply *reply,
                              struct lh_error *err)
{
    (void)args;
    enum lh_code code = lake_freshen_journal(call->lake, err);
    return code ? code : reply_stats(call, reply, err);
}

const struct op op_journal_stats = {
    .name = "journal.stats",
    .summary = "How many events there are, where they stand, and the hash of the newest.",
    .http = {OP_GET, "/journal/stats"},
    .effect = OP_READ,
    .permission = "journal.read",
    .kind = OP_RECORD,
    .result = &stats_fields,
    .errors = OP_ERRORS(LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_stats,
};

static enum lh_code run_flush(struct op_call *call, const void *args, struct op_reply *reply,
                              struct lh_error *err)
{
    (void)args;
    enum lh_code code = lake_sync_journal(call->lake, err);
    if (!code)
        code = journal_roll(lake_journal(call->lake), true, err);
    return code ? code : reply_stats(call, reply, err);
}

const struct op op_journal_flush = {
    .name = "journal.flush",
    .summary = "Write what is in the journal's log to a Parquet file now.",
    .description = "It happens by itself after 10,000 records or a day. Events are durable and "
                   "readable before.",
    .http = {OP_POST, "/journal/flush"},
    .effect = OP_WRITE,
    .permission = "journal.write",
    .lane = LH_LANE_SLOW,
    .kind = OP_RECORD,
    .result = &stats_fields,
    .errors = OP_ERRORS(LH_BUSY, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_flush,
};
