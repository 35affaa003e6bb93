/* Promotions: which configuration the graphs of an index are built and asked by. */
#include "lake/activation.h"
#include "lake/lake.h"
#include "ops/internal.h"
#include "search/tuning.h"

#define INDEX_ROW(struct_type)                                                                     \
    LH_STR(struct_type, index, .required = true, .positional = true, .min = 1, .max = 255,         \
           .doc = "The index.")
#define BY_ROWS(struct_type)                                                                       \
    LH_STR(struct_type, promoted_by, .max = 255, .doc = "For whom; absent: the caller."),          \
        LH_STR(struct_type, note, .max = SEARCH_NOTE_BYTES_MAX, .doc = "Why.")

struct promote_args {
    struct lh_str index;
    struct lh_str trial_id;
    struct lh_str promoted_by;
    struct lh_str note;
};
static const struct lh_field promote_rows[] = {
    INDEX_ROW(struct promote_args),
    LH_STR(struct promote_args, trial_id, .required = true, .positional = true, .min = 1, .max = 64,
           .doc = "The trial whose configuration is to be used."),
    BY_ROWS(struct promote_args),
};
static const struct lh_fields promote_fields =
    LH_FIELDS_OF(struct promote_args, "PromoteArgs", promote_rows);

/* As announce of search_indexes.c: whether it was done, the index's version tells. */
static enum lh_code announce(struct op_call *call, const char *action, struct lh_str index,
                             struct journal_event *ret_event, struct lake_change *ret,
                             struct lh_error *err)
{
    struct search_index_info info;
    enum lh_code code = search_get(lake_search(call->lake), index, call->arena, &info, err);
    if (code)
        return code;
    *ret_event = op_event(call, action, info.name);
    return lake_change_begin_index(call->lake, &info, (struct lh_str){0}, false, call->arena,
                                   ret_event, ret, err);
}

static enum lh_code run_promote(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct promote_args *args = raw;
    const struct search_promote_request request = {
        .index_name = args->index,
        .trial_id = args->trial_id,
        .promoted_by = args->promoted_by.len ? args->promoted_by : call->principal->id,
        .note = args->note,
    };
    struct search_promotion promotion;
    struct journal_event event;
    struct lake_change change;
    enum lh_code code = announce(call, "index.promote", args->index, &event, &change, err);
    if (code)
        return code;
    code = search_promote(lake_search(call->lake), &request, call->cancel, call->arena, &promotion,
                          err);
    lake_change_end(call->lake, &change, code, &event);
    return code ? code : op_reply_record(reply, &promotion, err);
}

const struct op op_hnsw_promote = {
    .name = "hnsw.promote",
    .summary = "Use a trial's configuration for an index, now and in every build to come.",
    .description = "The graph is built beside the one that is served and takes its place at once. "
                   "A trial that is promoted already stays as it is.",
    .http = {OP_POST, "/vectors/hnsw/promote/{index}/{trial_id}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .fields = &promote_fields,
    .kind = OP_RECORD,
    .result = &search_promotion_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_promote,
};

/* --- POST /vectors/hnsw/rollback/{index} */

static const struct lh_field rollback_rows[] = {
    INDEX_ROW(struct promote_args),
    BY_ROWS(struct promote_args),
};
static const struct lh_fields rollback_fields =
    LH_FIELDS_OF(struct promote_args, "RollbackArgs", rollback_rows);

static enum lh_code run_rollback(struct op_call *call, const void *raw, struct op_reply *reply,
                                 struct lh_error *err)
{
    const struct promote_args *args = raw;
    struct search_promotion promotion;
    struct journal_event event;
    struct lake_change change;
    struct search_configuration wanted;
    enum lh_code code = announce(call, "index.rollback", args->index, &event, &change, err);
    if (code)
        return code;
    const struct search_rollback_request request = {
        .index_name = args->index,
        .rolled_back_by = args->promoted_by.len ? args->promoted_by : call->principal->id,
        .note = args->note,
        .otherwise = lake_profile_wants(call->lake, args->index, &wanted) ? &wanted : NULL,
    };
    code = search_rollback(lake_search(call->lake), &request, call->cancel, call->arena, &promotion,
                           err);
    lake_change_end(call->lake, &change, code, &event);
    return code ? code : op_reply_record(reply, &promotion, err);
}

const struct op op_hnsw_rollback = {
    .name = "hnsw.rollback",
    .summary = "Go back to what was promoted before; with nothing before, to the profile's or the "
               "default.",
    .description = "What was rolled back is not gone back to: after promotions of A, B and C three "
                   "rollbacks lead to B, to A, and to none.",
    .http = {OP_POST, "/vectors/hnsw/rollback/{index}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .fields = &rollback_fields,
    .kind = OP_RECORD,
    .result = &search_promotion_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_rollback,
};

/* --- GET /vectors/hnsw/promoted */

struct list_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "PromotedListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct search_promotion *items = NULL;
    size_t count = 0;
    struct lh_str next;
    enum lh_code code =
        search_promoted_list(lake_search(call->lake), args->after, (size_t)args->limit, call->arena,
                             &items, &count, &next, err);
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_hnsw_promoted = {
    .name = "hnsw.promoted",
    .summary = "What is promoted, index by index.",
    .description = "SQL reads all promotions and rollbacks as the table hnsw_promotions.",
    .http = {OP_GET, "/vectors/hnsw/promoted"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &search_promotion_fields,
    .run = run_list,
};

/* --- GET /vectors/hnsw/promoted/{index} */

struct one_args {
    struct lh_str index;
};
static const struct lh_field one_rows[] = {INDEX_ROW(struct one_args)};
static const struct lh_fields one_fields = LH_FIELDS_OF(struct one_args, "PromotedArgs", one_rows);

static enum lh_code run_one(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct one_args *args = raw;
    struct search_promoted promoted;
    enum lh_code code =
        search_promoted_get(lake_search(call->lake), args->index, call->arena, &promoted, err);
    return code ? code : op_reply_record(reply, &promoted, err);
}

const struct op op_hnsw_history = {
    .name = "hnsw.history",
    .summary = "What an index's graphs are built by, and the promotions that led there.",
    .http = {OP_GET, "/vectors/hnsw/promoted/{index}"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &one_fields,
    .kind = OP_RECORD,
    .result = &search_promoted_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_one,
};

/* --- GET /vectors/hnsw/cache/stats */

struct cached {
    struct lh_str index_name;
    int64_t entries;
    int64_t vector_bytes;
    int64_t graph_bytes;
    int64_t bytes;
    int64_t fresh_bytes;
};
static const struct lh_field cached_rows[] = {
    LH_STR(struct cached, index_name, .required = true, .doc = "A loaded index."),
    LH_INT(struct cached, entries, .doc = "Chunks."),
    LH_INT(struct cached, vector_bytes, .doc = "Of vectors and their codes."),
    LH_INT(struct cached, graph_bytes, .doc = "Of its graph; 0: it has none."),
    LH_INT(struct cached, bytes, .doc = "Of everything."),
    LH_INT(struct cached, fresh_bytes, .doc = "Of rows that the index does not hold yet."),
};
static const struct lh_fields cached_fields =
    LH_FIELDS_OF(struct cached, "CachedIndex", cached_rows);

struct cache_stats {
    int64_t loaded;
    int64_t bytes;
    int64_t bytes_max;
    struct lh_list indexes;
};
static const struct lh_field stats_rows[] = {
    LH_INT(struct cache_stats, loaded, .doc = "Indexes in memory."),
    LH_INT(struct cache_stats, bytes, .doc = "That they take."),
    LH_INT(struct cache_stats, bytes_max, .doc = "That they may take; 0: no limit."),
    LH_LIST(struct cache_stats, indexes, .fields = &cached_fields, .doc = "By name."),
};
static const struct lh_fields stats_fields =
    LH_FIELDS_OF(struct cache_stats, "CacheStats", stats_rows);

static enum lh_code run_stats(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    struct search *search = lake_search(call->lake);
    struct search_memory *items = NULL;
    size_t count = 0;
    (void)raw;
    search_memory_list(search, call->arena, &items, &count);
    struct cached *indexes = lh_arena_array(call->arena, count + 1, sizeof *indexes);
    struct cache_stats stats = {.loaded = (int64_t)count,
                                .bytes_max = search_memory_limit(search),
                                .indexes = {indexes, count}};
    for (size_t i = 0; i < count; i++) {
        indexes[i] = (struct cached){items[i].name,        items[i].entries, items[i].vector_bytes,
                                     items[i].graph_bytes, items[i].bytes,   items[i].fresh_bytes};
        stats.bytes += items[i].bytes + items[i].fresh_bytes;
    }
    return op_reply_record(reply, &stats, err);
}

const struct op op_hnsw_cache = {
    .name = "hnsw.cache",
    .summary = "The indexes in memory, and what they take of what they may.",
    .http = {OP_GET, "/vectors/hnsw/cache/stats"},
    .effect = OP_READ,
    .permission = "search.read",
    .kind = OP_RECORD,
    .result = &stats_fields,
    .run = run_stats,
};
