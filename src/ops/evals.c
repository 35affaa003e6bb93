/* Eval sets: what graphs are measured on. */
#include "lake/lake.h"
#include "ops/internal.h"
#include "search/tuning.h"

#define EVAL_NAME_ROW(struct_type)                                                                 \
    LH_STR(struct_type, name, .required = true, .positional = true, .min = 1, .max = 63,           \
           .doc = "Of the set: a-z, 0-9, - and _.")
#define EVAL_INDEX_ROW(struct_type, is_required)                                                   \
    LH_STR(struct_type, index_name, .required = (is_required), .positional = true, .max = 255,     \
           .doc = "The index that is asked.")

/* --- GET /vectors/hnsw/evals */

struct list_args {
    struct lh_str index_name;
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    EVAL_INDEX_ROW(struct list_args, false),
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "EvalsListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct search_eval *items = NULL;
    size_t count = 0;
    struct lh_str next;
    enum lh_code code =
        search_eval_list(lake_search(call->lake), args->index_name, args->after,
                         (size_t)args->limit, call->arena, &items, &count, &next, err);
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_evals_list = {
    .name = "evals.list",
    .summary = "Eval sets, by index and name, without their queries.",
    .http = {OP_GET, "/vectors/hnsw/evals"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &search_eval_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_list,
};

/* --- GET and DELETE /vectors/hnsw/evals/{name} */

struct one_args {
    struct lh_str name;
    struct lh_str index_name;
};
static const struct lh_field one_rows[] = {
    EVAL_NAME_ROW(struct one_args),
    EVAL_INDEX_ROW(struct one_args, true),
};
static const struct lh_fields one_fields = LH_FIELDS_OF(struct one_args, "EvalArgs", one_rows);

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct one_args *args = raw;
    struct search_eval eval;
    enum lh_code code = search_eval_get(lake_search(call->lake), args->index_name, args->name,
                                        call->arena, &eval, err);
    return code ? code : op_reply_record(reply, &eval, err);
}

const struct op op_evals_get = {
    .name = "evals.get",
    .summary = "One eval set of an index, with its queries and what they should find.",
    .http = {OP_GET, "/vectors/hnsw/evals/{name}"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &one_fields,
    .kind = OP_RECORD,
    .result = &search_eval_whole_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_get,
};

/* Announces what will be done to a set; the index by the name that it has. */
static enum lh_code announce(struct op_call *call, const char *action, struct lh_str index_name,
                             struct lh_str name, struct journal_event *ret_event,
                             struct lake_change *ret, struct lh_error *err)
{
    struct search_index_info info;
    enum lh_code code = search_get(lake_search(call->lake), index_name, call->arena, &info, err);
    if (code)
        return lh_error_field(err, lh_lit("index_name"));
    *ret_event = op_event(call, action, name);
    ret_event->dataset = info.source;
    ret_event->detail =
        lh_arena_printf(call->arena, "{\"index_name\":\"%.*s\"}", LH_ARG(info.name));
    return lake_change_begin(call->lake, ret_event, false, ret, err);
}

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct one_args *args = raw;
    struct journal_event event;
    struct lake_change change;
    (void)reply;
    enum lh_code code =
        announce(call, "eval.delete", args->index_name, args->name, &event, &change, err);
    if (code)
        return code;
    code = search_eval_delete(lake_search(call->lake), args->index_name, args->name, err);
    lake_change_end(call->lake, &change, code, &event);
    return code;
}

const struct op op_evals_delete = {
    .name = "evals.delete",
    .summary = "Remove an eval set. Trials that were measured on it stay.",
    .http = {OP_DELETE, "/vectors/hnsw/evals/{name}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .fields = &one_fields,
    .kind = OP_RESULT_NONE,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_UNKNOWN, LH_FULL),
    .run = run_delete,
};

/* --- POST /vectors/hnsw/evals */

struct put_args {
    struct lh_str name;
    struct lh_str index_name;
    int64_t k;
    struct lh_list queries;
};
static const struct lh_field put_rows[] = {
    EVAL_NAME_ROW(struct put_args),
    EVAL_INDEX_ROW(struct put_args, true),
    LH_INT(struct put_args, k, LH_PRESET(SEARCH_K_PRESET), .min = 1, .max = SEARCH_EVAL_K_MAX,
           .doc = "Rows of an answer that are looked at."),
    LH_LIST(struct put_args, queries, .fields = &search_eval_label_fields, .required = true,
            .min = 1, .max = SEARCH_EVAL_QUERIES_MAX,
            .doc = "What is asked, and what should be found."),
};
static const struct lh_fields put_fields = LH_FIELDS_OF(struct put_args, "EvalsPutArgs", put_rows);

static enum lh_code run_put(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct put_args *args = raw;
    const struct search_eval_request request = {.name = args->name,
                                                .index_name = args->index_name,
                                                .k = args->k,
                                                .queries = args->queries,
                                                .actor = call->principal->id};
    struct search_eval eval;
    struct journal_event event;
    struct lake_change change;
    enum lh_code code =
        announce(call, "eval.put", args->index_name, args->name, &event, &change, err);
    if (code)
        return code;
    code =
        search_eval_put(lake_search(call->lake), &request, call->cancel, call->arena, &eval, err);
    lake_change_end(call->lake, &change, code, &event);
    return code ? code : op_reply_record(reply, &eval, err);
}

static const struct op_example put_examples[] = {
    {.summary = "What people would expect",
     .request =
         "{\"name\": \"editors\", \"index_name\": \"packages_v1\", \"queries\": [{\"query\": "
         "\"edit photos\", \"relevant\": [\"gimp\", \"darktable\"]}]}"},
};
const struct op op_evals_put = {
    .name = "evals.put",
    .summary = "Keep an eval set that people labelled: queries, and which rows are relevant.",
    .description =
        "In the place of a set of that name. A trial on it tells recall, MRR and nDCG against the "
        "labels beside the recall of the graph, which is always the share of the true nearest rows "
        "that it finds.",
    .http = {OP_POST, "/vectors/hnsw/evals"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &put_fields,
    .kind = OP_RECORD,
    .result = &search_eval_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(put_examples),
    .run = run_put,
};

/* --- POST /vectors/hnsw/evals/{name}/autogen */

struct autogen_args {
    struct lh_str name;
    struct lh_str index_name;
    int64_t queries;
    int64_t k;
    int64_t seed;
};
static const struct lh_field autogen_rows[] = {
    EVAL_NAME_ROW(struct autogen_args),
    EVAL_INDEX_ROW(struct autogen_args, true),
    LH_INT(struct autogen_args, queries, LH_PRESET(SEARCH_EVAL_QUERIES_PRESET), .min = 1,
           .max = SEARCH_EVAL_QUERIES_MAX, .doc = "Rows that are drawn; all, if there are fewer."),
    LH_INT(struct autogen_args, k, LH_PRESET(SEARCH_K_PRESET), .min = 1, .max = SEARCH_EVAL_K_MAX,
           .doc = "Rows that each should find."),
    LH_INT(struct autogen_args, seed, LH_PRESET(SEARCH_SEED_PRESET), .min = 0,
           .max = SEARCH_SEED_MAX, .doc = "Equal seeds draw equal rows."),
};
static const struct lh_fields autogen_fields =
    LH_FIELDS_OF(struct autogen_args, "EvalsAutogenArgs", autogen_rows);

static enum lh_code run_autogen(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct autogen_args *args = raw;
    const struct search_autogen request = {.name = args->name,
                                           .index_name = args->index_name,
                                           .queries = args->queries,
                                           .k = args->k,
                                           .seed = args->seed,
                                           .actor = call->principal->id};
    struct search_eval eval;
    struct journal_event event;
    struct lake_change change;
    enum lh_code code =
        announce(call, "eval.put", args->index_name, args->name, &event, &change, err);
    if (code)
        return code;
    code = search_eval_autogen(lake_search(call->lake), &request, call->cancel, call->arena, &eval,
                               err);
    lake_change_end(call->lake, &change, code, &event);
    return code ? code : op_reply_record(reply, &eval, err);
}

static const struct op_example autogen_examples[] = {
    {.summary = "A hundred rows ask", .request = "{\"index_name\": \"packages_v1\"}"},
};
const struct op op_evals_autogen = {
    .name = "evals.autogen",
    .summary = "Draw an eval set from the rows of an index, with what is truly nearest to each.",
    .description =
        "The truth is found by looking at all rows; a row does not count as found by itself. Rows "
        "that the index does not hold yet are left out. A set that was drawn before under that "
        "name "
        "is replaced; one that people labelled is not.",
    .http = {OP_POST, "/vectors/hnsw/evals/{name}/autogen"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &autogen_fields,
    .kind = OP_RECORD,
    .result = &search_eval_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(autogen_examples),
    .run = run_autogen,
};
