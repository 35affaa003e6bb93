/* Indexes: made, listed, refreshed, removed. */
#include "search/ask.h"
#include "search/make.h"
#include "search/place.h"

#include "catalog/dataset.h"
#include "jobs/jobs.h"
#include "lake/lake.h"
#include "lake/moving.h"
#include "ops/internal.h"

/* --- POST /vectors/index */

struct accepted {
    struct lh_str job_id;
    struct lh_str index_name;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct accepted, job_id, .required = true, .doc = "To be followed at /jobs/{id}."),
    LH_STR(struct accepted, index_name, .required = true, .doc = "What is made or refreshed."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct accepted, "VectorsAccepted", accepted_rows);

struct index_args {
    struct lh_str index_name;
    struct lh_str dataset;
    struct lh_str id_column;
    struct lh_str_list text_columns;
    struct lh_str vector_column;
    struct lh_str model;
    int64_t chunk_size;
    int64_t overlap;
    struct lh_str id_prefix;
    int language;
    bool from_scratch;
    bool wait;
};

#define BUILD_ROWS(struct_type, is_id_required)                                                    \
    LH_STR(struct_type, id_column, .required = (is_id_required), .max = 255,                       \
           .doc = "Tells the dataset's rows apart: integers, text or UUIDs."),                     \
        LH_STR_LIST(struct_type, text_columns, .max = 64,                                          \
                    .doc = "What is read, joined by line breaks."),                                \
        LH_STR(struct_type, vector_column, .max = 255,                                             \
               .doc = "Ready vectors instead of a model: lists of numbers of one length."),        \
        LH_STR(struct_type, model, .max = 64,                                                      \
               .doc = "What makes the vectors; absent: the built-in embedder."),                   \
        LH_INT(struct_type, chunk_size, LH_PRESET(SEARCH_CHUNK_SIZE_PRESET), .min = 50,            \
               .max = 100000, .doc = "Characters of a chunk."),                                    \
        LH_INT(struct_type, overlap, LH_PRESET(SEARCH_OVERLAP_PRESET), .min = 0, .max = 50000,     \
               .doc = "Characters that neighbouring chunks share; half a chunk at most."),         \
        LH_STR(struct_type, id_prefix, .max = 64,                                                  \
               .doc = "Put before ids in replies; absent: raw ids."),                              \
        LH_CHOICE(struct_type, language, .choices = search_languages,                              \
                  .doc = "Whose stems words are found by; absent: english; none: as they stand."), \
        LH_BOOL(struct_type, wait, LH_PRESET(true),                                                \
                .doc = "false: answer 202 with the id of a job that goes on after a restart.")

static const struct lh_field index_rows[] = {
    LH_STR(struct index_args, index_name, .required = true, .positional = true, .min = 1,
           .max = 255, .doc = "Of the new index: [A-Za-z_][A-Za-z0-9_]{0,62}."),
    LH_STR(struct index_args, dataset, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "What is indexed."),
    BUILD_ROWS(struct index_args, true),
};
static const struct lh_fields index_fields =
    LH_FIELDS_OF(struct index_args, "VectorsIndexArgs", index_rows);

static struct search_build_request request_of(const struct index_args *args)
{
    return (struct search_build_request){
        .index_name = args->index_name,
        .dataset = args->dataset,
        .id_column = args->id_column,
        .text_columns = args->text_columns,
        .vector_column = args->vector_column,
        .model = args->model,
        .chunk_size = args->chunk_size,
        .overlap = args->overlap,
        .id_prefix = args->id_prefix,
        .language =
            args->language >= 0 ? lh_str_of(search_languages[args->language]) : (struct lh_str){0},
        .from_scratch = args->from_scratch,
    };
}

static struct lh_str args_text(struct op_call *call, const struct search_build_request *request)
{
    return lh_fields_text(&search_build_request_fields, request, JOBS_ARGS_BYTES_MAX, call->arena);
}

/* The result of a job is the JSON of the record that is answered. */
static enum lh_code reply_result(struct op_call *call, struct lh_str text, struct op_reply *reply,
                                 struct lh_error *err)
{
    struct search_build_result result;
    enum lh_code code = lh_fields_parse(&search_build_result_fields, text, "The job's result",
                                        JOBS_RESULT_BYTES_MAX, call->arena, &result, err);
    return code ? code : op_reply_record(reply, &result, err);
}

static enum lh_code run_job(struct op_call *call, const char *kind,
                            const struct search_build_request *request, bool wait,
                            struct op_reply *reply, struct lh_error *err)
{
    struct jobs *jobs = lake_jobs(call->lake);
    struct lh_str result;
    struct lh_uuid job_id;
    const struct job_spec spec = {
        .kind = lh_str_of(kind),
        .dataset = request->dataset,
        .actor = call->principal->id,
        .args = args_text(call, request),
    };
    enum lh_code code = LH_OK;
    if (wait) {
        code = jobs_run(jobs, &spec, call->cancel, call->arena, NULL, &result, err);
        return code ? code : reply_result(call, result, reply, err);
    }
    if ((code = jobs_submit(jobs, &spec, &job_id, err)))
        return code;
    const struct accepted accepted = {lh_uuid_str(&job_id), request->index_name};
    op_reply_status(reply, 202);
    reply->location = lh_arena_printf(call->arena, "/jobs/%s", job_id.text);
    return op_reply_record(reply, &accepted, err);
}

static enum lh_code run_index(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    const struct index_args *args = raw;
    const struct search_build_request request = request_of(args);
    enum lh_code code = search_check(lake_search(call->lake), &request, err);
    if (code)
        return code;
    return run_job(call, SEARCH_INDEX_JOB_KIND, &request, args->wait, reply, err);
}

static const struct op_example index_examples[] = {
    {.summary = "Texts of a dataset",
     .request = "{\"index_name\": \"packages_v1\", \"dataset\": \"packages\", \"id_column\": "
                "\"name\", \"text_columns\": [\"summary\", \"description\"]}"},
    {.summary = "Vectors that are there already",
     .request = "{\"index_name\": \"notes_v1\", \"dataset\": \"notes\", \"id_column\": \"id\", "
                "\"text_columns\": [\"text\"], \"vector_column\": \"embedding\"}"},
};

const struct op op_vectors_index = {
    .name = "vectors.index",
    .summary = "Make an index of a dataset's texts, or of vectors that it has.",
    .description =
        "Rows without an id, and rows whose id came before, are left out and counted. A build that "
        "was accepted (wait: false) goes on after a restart where it stopped; one that fails or "
        "is cancelled leaves nothing.",
    .http = {OP_POST, "/vectors/index"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &index_fields,
    .kind = OP_RECORD,
    .result = &search_build_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors =
        OP_ERRORS(LH_NOT_FOUND, LH_EXISTS, LH_CONFLICT, LH_SQL, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(index_examples),
    .run = run_index,
};

/* --- POST /vectors/refresh/{dataset} */

static const struct lh_field refresh_rows[] = {
    LH_STR(struct index_args, dataset, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The dataset."),
    LH_STR(struct index_args, index_name, .max = 255,
           .doc = "Its index; absent: the one that it has."),
    LH_BOOL(struct index_args, from_scratch,
            .doc = "Make everything anew, as a new generation that takes the old one's place when "
                   "it is whole."),
    BUILD_ROWS(struct index_args, false),
};
static const struct lh_fields refresh_fields =
    LH_FIELDS_OF(struct index_args, "VectorsRefreshArgs", refresh_rows);

/* The index that is meant, and the dataset by the name that it has now. */
static enum lh_code settle_index(struct op_call *call, struct search_build_request *request,
                                 struct lh_error *err)
{
    const struct search_list_filter filter = {.source = request->dataset};
    struct search_index_info *items = NULL;
    struct search_index_info info;
    size_t count = 0;
    struct lh_str next = {0};
    if (request->index_name.len) {
        struct lh_error none = LH_ERROR_NONE;
        if (search_get(lake_search(call->lake), request->index_name, call->arena, &info, &none))
            return LH_OK; /* it is made */
        if (info.source.len && !lh_str_equal_nocase(info.source, request->dataset)) {
            lh_fail(err, LH_CONFLICT, "The index '%.*s' is made from '%.*s'.", LH_ARG(info.name),
                    LH_ARG(info.source));
            return lh_error_field(err, lh_lit("index_name"));
        }
        return LH_OK;
    }
    enum lh_code code = search_list(lake_search(call->lake), &filter, (struct lh_str){0}, 2,
                                    call->arena, &items, &count, &next, err);
    if (code)
        return code;
    if (count != 1) {
        lh_fail(err, count ? LH_INVALID : LH_NOT_FOUND, "The dataset '%.*s' has %s.",
                LH_ARG(request->dataset), count ? "more than one index: say which" : "no index");
        return lh_error_field(err, lh_lit("index_name"));
    }
    request->index_name = items[0].name;
    return LH_OK;
}

static enum lh_code run_refresh(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct index_args *args = raw;
    struct search_build_request request = request_of(args);
    enum lh_code code = settle_index(call, &request, err);
    if (code)
        return code;
    return run_job(call, SEARCH_REFRESH_JOB_KIND, &request, args->wait, reply, err);
}

const struct op op_vectors_refresh = {
    .name = "vectors.refresh",
    .summary = "Bring an index up to its dataset: new, changed and removed rows.",
    .description = "Only what is new or has another text (by its hash) is embedded. An index that "
                   "is not there is made; then id_column and text_columns are needed. For one that "
                   "is there they may be left out, and must not differ.",
    .http = {OP_POST, "/vectors/refresh/{dataset}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &refresh_fields,
    .kind = OP_RECORD,
    .result = &search_build_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_SQL, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_refresh,
};

/* --- POST /vectors/rebuild */

enum { REBUILT, REBUILD_FAILED, REBUILD_SKIPPED };
static const char *const rebuild_states[] = {"rebuilt", "failed", "skipped", NULL};

struct rebuilt {
    struct lh_str index_name;
    struct lh_str dataset;
    int state;
    struct lh_str reason;
    struct lh_str code;
    struct lh_str hint;
    const struct search_build_result *result;
};
static const struct lh_field rebuilt_rows[] = {
    LH_STR(struct rebuilt, index_name, .required = true, .doc = "The index."),
    LH_STR(struct rebuilt, dataset, .nullable = true, .doc = "Its dataset; null: it is gone."),
    LH_CHOICE(struct rebuilt, state, .choices = rebuild_states, .required = true,
              .doc = "rebuilt, failed (the old generation is served on), or skipped."),
    LH_STR(struct rebuilt, reason, .doc = "Why it failed or was skipped."),
    LH_STR(struct rebuilt, code, .doc = "Of the error."),
    LH_STR(struct rebuilt, hint, .doc = "What to do."),
    LH_OBJECT(struct rebuilt, result, const struct search_build_result *,
              .fields = &search_build_result_fields, .doc = "What was made."),
};
static const struct lh_fields rebuilt_fields =
    LH_FIELDS_OF(struct rebuilt, "VectorsRebuilt", rebuilt_rows);

static enum lh_code run_refresh_anew(struct op_call *call, const struct search_index_info *index,
                                     struct search_build_result *ret, struct lh_error *err)
{
    const struct search_build_request request = {
        .index_name = index->name,
        .dataset = index->source,
        .chunk_size = index->chunk_size,
        .overlap = index->overlap,
        .from_scratch = true,
    };
    struct lh_str text;
    const struct job_spec spec = {
        .kind = lh_lit(SEARCH_REFRESH_JOB_KIND),
        .dataset = index->source,
        .actor = call->principal->id,
        .args = args_text(call, &request),
    };
    enum lh_code code =
        jobs_run(lake_jobs(call->lake), &spec, call->cancel, call->arena, NULL, &text, err);
    if (!code)
        code = lh_fields_parse(&search_build_result_fields, text, "The job's result",
                               JOBS_RESULT_BYTES_MAX, call->arena, ret, err);
    return code;
}

/* What ends the whole and not only this index: the caller or the server gave up. */
static bool ends_all(enum lh_code code)
{
    return code == LH_CANCELLED || code == LH_STOPPING || code == LH_TIMEOUT || code == LH_UNKNOWN;
}

static enum lh_code rebuild_one(struct op_call *call, const struct search_index_info *index,
                                struct rebuilt *ret, struct lh_error *err)
{
    struct search_build_result *result = lh_arena_alloc(call->arena, sizeof *result);
    struct lh_error why = LH_ERROR_NONE;
    *ret = (struct rebuilt){.index_name = index->name, .dataset = index->source};
    if (!index->source.len || index->state == SEARCH_SHOWN_BUILDING) {
        ret->state = REBUILD_SKIPPED;
        ret->reason =
            index->source.len ? lh_lit("It is being built.") : lh_lit("Its dataset is gone.");
        return LH_OK;
    }
    enum lh_code code = run_refresh_anew(call, index, result, &why);
    if (ends_all(code)) {
        *err = why;
        return lh_error_context(err, "The index '%.*s'", LH_ARG(index->name));
    }
    ret->state = code ? REBUILD_FAILED : REBUILT;
    if (code) {
        ret->reason = lh_arena_str(call->arena, lh_str_of(why.message));
        ret->hint = lh_arena_str(call->arena, lh_str_of(why.hint));
        ret->code = lh_str_of(lh_error_row(code)->id);
    } else {
        ret->result = result;
    }
    return LH_OK;
}

static enum lh_code run_rebuild(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    struct search_index_info *items = NULL;
    size_t count = 0, failed = 0;
    struct lh_str next = {0};
    (void)raw;
    enum lh_code code = search_list(lake_search(call->lake), NULL, (struct lh_str){0}, SIZE_MAX,
                                    call->arena, &items, &count, &next, err);
    struct rebuilt *results = lh_arena_array(call->arena, count + 1, sizeof(*results));
    for (size_t i = 0; i < count && !code; i++) {
        code = rebuild_one(call, &items[i], &results[i], err);
        failed += !code && results[i].state == REBUILD_FAILED;
    }
    if (!code && failed)
        op_reply_partial(reply);
    return code ? code : op_reply_list(reply, results, count, (struct lh_str){0}, err);
}

const struct op op_vectors_rebuild = {
    .name = "vectors.rebuild",
    .command = "rebuild",
    .summary = "Make everything that is derived from datasets anew: all indexes.",
    .description =
        "One after the other; each serves its old generation until the new one is whole. One that "
        "fails does not keep the others from being made: then the answer is 207 and says why. "
        "Indexes whose dataset is gone, or that are being built, are skipped.",
    .http = {OP_POST, "/vectors/rebuild"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .kind = OP_LIST,
    .result = &rebuilt_fields,
    .may_be_partial = true,
    .errors = OP_ERRORS(LH_CONFLICT, LH_NOT_FOUND, LH_SQL, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_rebuild,
};

/* --- GET /vectors/stale */

static enum lh_code run_stale(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    struct search_stale *items = NULL;
    size_t count = 0;
    (void)raw;
    enum lh_code code =
        search_stale_list(lake_search(call->lake), call->cancel, call->arena, &items, &count, err);
    return code ? code : op_reply_list(reply, items, count, (struct lh_str){0}, err);
}

const struct op op_vectors_stale = {
    .name = "vectors.stale",
    .summary = "Indexes whose datasets have changed since, and how many rows wait.",
    .description = "Rows are compared one by one, so this takes as long as reading them.",
    .http = {OP_GET, "/vectors/stale"},
    .effect = OP_READ,
    .permission = "search.read",
    .kind = OP_LIST,
    .result = &search_stale_fields,
    .errors = OP_ERRORS(LH_DAMAGED, LH_TIMEOUT),
    .run = run_stale,
};

/* --- /vectors/indexes */

struct list_args {
    int64_t limit;
    struct lh_str after;
    struct lh_str source;
    struct lh_str model;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
    LH_STR(struct list_args, source, .max = 255, .doc = "Only those of this dataset."),
    LH_STR(struct list_args, model, .max = 64, .doc = "Only those of this model."),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "VectorsListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    const struct search_list_filter filter = {args->source, args->model};
    struct search_index_info *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    enum lh_code code = search_list(lake_search(call->lake), &filter, args->after,
                                    (size_t)args->limit, call->arena, &items, &count, &next, err);
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_vectors_list = {
    .name = "vectors.list",
    .summary = "All indexes, by name.",
    .http = {OP_GET, "/vectors/indexes"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &search_index_info_fields,
    .run = run_list,
};

struct name_args {
    struct lh_str name;
};
#define NAME_ROW(struct_type)                                                                      \
    LH_STR(struct_type, name, .required = true, .positional = true, .min = 1, .max = 255,          \
           .doc = "The index.")
static const struct lh_field name_rows[] = {NAME_ROW(struct name_args)};
static const struct lh_fields name_fields =
    LH_FIELDS_OF(struct name_args, "VectorsNameArgs", name_rows);

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct name_args *args = raw;
    struct search_index_info info;
    enum lh_code code = search_get(lake_search(call->lake), args->name, call->arena, &info, err);
    if (!code)
        op_reply_version(reply, call, info.version);
    return code ? code : op_reply_record(reply, &info, err);
}

const struct op op_vectors_get = {
    .name = "vectors.get",
    .summary = "One index: what it was made from and how, what it covers.",
    .http = {OP_GET, "/vectors/indexes/{name}"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &name_fields,
    .kind = OP_RECORD,
    .result = &search_index_info_fields,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_get,
};

/* --- PATCH /vectors/indexes/{name} */

static const char *const policy_kinds[] = {"dataset", "manual", "on_append", "scheduled", NULL};
enum { POLICY_OF_DATASET };

struct policy_patch {
    int kind;
    struct lh_str schedule;
};
static const struct lh_field policy_patch_rows[] = {
    LH_CHOICE(struct policy_patch, kind, .choices = policy_kinds, .required = true,
              .doc = "When it follows its dataset; dataset: as that says."),
    LH_STR(struct policy_patch, schedule, .max = 64,
           .doc = "Of scheduled: a cron pattern in UTC (\"30 3 * * *\") or an interval (\"every "
                  "15m\")."),
};
static const struct lh_fields policy_patch_fields =
    LH_FIELDS_OF(struct policy_patch, "IndexRefreshPolicyPatch", policy_patch_rows);

struct change_args {
    struct lh_str name;
    struct lh_str new_name;
    struct lh_str description;
    struct lh_str id_prefix;
    int language;
    const struct policy_patch *refresh_policy;
    struct lh_json_value min_recall;
    struct lh_str bucket;
};
static const struct lh_field change_rows[] = {
    NAME_ROW(struct change_args),
    LH_STR(struct change_args, new_name, .min = 1, .max = 255,
           .doc = "Another name: [A-Za-z_][A-Za-z0-9_]{0,62}."),
    LH_STR(struct change_args, description, .max = 10000, .doc = "In words, for people."),
    LH_STR(struct change_args, id_prefix, .max = 64, .doc = "Put before ids in replies."),
    LH_CHOICE(struct change_args, language, .choices = search_languages,
              .doc = "Whose stems words are found by; the next search counts them anew."),
    LH_OBJECT(struct change_args, refresh_policy, const struct policy_patch *,
              .fields = &policy_patch_fields, .doc = "When it follows its dataset."),
    LH_JSON(struct change_args, min_recall,
            .doc = "A number from 0 to 1: the share of the true nearest that searches through its "
                   "graph shall find. Some are asked again by looking at all rows; when they find "
                   "less, the index is tuned, or its last promotion rolled back. null: nothing is "
                   "promised."),
    LH_STR(struct change_args, bucket, .min = 1, .max = 63,
           .doc = "Moves it there, with its trials, promotions and eval sets; alone."),
};
static const struct lh_fields change_fields =
    LH_FIELDS_OF(struct change_args, "VectorsUpdateArgs", change_rows);

static struct search_change change_of(const struct change_args *args, struct search_policy *policy)
{
    struct search_change change = {
        .name = args->new_name,
        .description = args->description,
        .id_prefix = args->id_prefix,
        .min_recall = args->min_recall.value ? json_number_value(args->min_recall.value) : -1};
    if (args->language >= 0)
        change.language = lh_str_of(search_languages[args->language]);
    if (args->refresh_policy && args->refresh_policy->kind == POLICY_OF_DATASET) {
        change.is_policy_of_dataset = true;
    } else if (args->refresh_policy) {
        *policy =
            (struct search_policy){args->refresh_policy->kind - 1, args->refresh_policy->schedule};
        change.refresh_policy = policy;
    }
    return change;
}

/* Finds the index and announces what will be done to it. */
static enum lh_code announce(struct op_call *call, const char *action, struct lh_str name,
                             struct lh_str new_name, bool is_vital, struct journal_event *ret_event,
                             struct lake_change *ret, struct lh_error *err)
{
    struct search_index_info info;
    enum lh_code code = search_get(lake_search(call->lake), name, call->arena, &info, err);
    if (code)
        return code;
    *ret_event = op_event(call, action, info.name);
    return lake_change_begin_index(call->lake, &info, new_name, is_vital, call->arena, ret_event,
                                   ret, err);
}

static enum lh_code change_index(struct op_call *call, struct lh_str name,
                                 const struct search_change *change, struct lh_error *err)
{
    struct journal_event event;
    struct lake_change announced;
    if (change->name.data && catalog_check_name(change->name, err))
        return lh_error_field(err, lh_lit("new_name"));
    enum lh_code code =
        announce(call, "index.update", name, change->name, false, &event, &announced, err);
    if (code)
        return code;
    code = search_change_index(lake_search(call->lake), name, change, err);
    lake_change_end(call->lake, &announced, code, &event);
    return code;
}

static enum lh_code run_move(struct op_call *call, const struct change_args *args,
                             struct op_reply *reply, struct lh_error *err)
{
    struct search_move move = {.index = args->name, .to = args->bucket, .cancel = call->cancel};
    struct journal_event event = op_event(call, "index.move", args->name);
    struct search_moved moved;
    struct search_index_info info;
    enum lh_code code = op_if_match(call, &move.expected_version, err);
    if (!code)
        code = lake_move_index(call->lake, &move, &event, call->arena, &moved, err);
    if (!code)
        code = search_get(lake_search(call->lake), args->name, call->arena, &info, err);
    if (code)
        return code;
    op_reply_version(reply, call, info.version);
    return op_reply_record(reply, &info, err);
}

static enum lh_code run_update(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct change_args *args = raw;
    struct search_index_info info;
    struct search_policy policy;
    struct search_change change = change_of(args, &policy);
    if (!change.name.data && !change.description.data && !change.id_prefix.data &&
        !change.language.data && !args->refresh_policy && change.min_recall < 0) {
        if (args->bucket.data && !args->min_recall.value)
            return run_move(call, args, reply, err);
        lh_fail(err, LH_INVALID, "There is nothing to change.");
        return lh_error_hint(err, "Give new_name, description, id_prefix, language, min_recall, "
                                  "refresh_policy or bucket.");
    }
    if (args->bucket.data) {
        lh_fail(err, LH_INVALID, "A move to another bucket is a change of its own.");
        return lh_error_field(err, lh_lit("bucket"));
    }
    if (change.is_policy_of_dataset && args->refresh_policy->schedule.len) {
        lh_fail(err, LH_INVALID, "Only a scheduled refresh has a `schedule`.");
        return lh_error_field(err, lh_lit("refresh_policy"));
    }
    const json_t *least = args->min_recall.value;
    if (least && !json_is_null(least) &&
        !(json_is_number(least) && change.min_recall >= 0 && change.min_recall <= 1)) {
        lh_fail(err, LH_INVALID, "min_recall is a number from 0 to 1, or null.");
        return lh_error_field(err, lh_lit("min_recall"));
    }
    enum lh_code code = op_if_match(call, &change.expected_version, err);
    if (!code)
        code = change_index(call, args->name, &change, err);
    if (!code)
        code = search_get(lake_search(call->lake), change.name.data ? change.name : args->name,
                          call->arena, &info, err);
    if (code)
        return code;
    op_reply_version(reply, call, info.version);
    return op_reply_record(reply, &info, err);
}

static const struct op_example update_examples[] = {
    {.summary = "To another bucket", .request = "{\"bucket\": \"archive\"}"},
    {.summary = "Refreshed every night",
     .request = "{\"refresh_policy\": {\"kind\": \"scheduled\", \"schedule\": \"30 3 * * *\"}}"},
};

const struct op op_vectors_update = {
    .name = "vectors.update",
    .summary =
        "Change an index: its name, description, id prefix, language, refresh policy, bucket.",
    .description =
        "Nothing is embedded anew. What is made of text (columns, chunks, the model) "
        "stays as it was made: for another one make another index. With `bucket` it is "
        "copied there file by file, each compared with its checksum, and served from "
        "there by one commit; then the old copies go to their bucket's trash. Trials, "
        "promotions and eval sets go with it, and later refreshes write there; manifests "
        "and the keyword leg stay in primary. A move that fails or is killed leaves it "
        "where it was.",
    .http = {OP_PATCH, "/vectors/indexes/{name}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &change_fields,
    .kind = OP_RECORD,
    .result = &search_index_info_fields,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_EXISTS, LH_PRECONDITION, LH_DAMAGED, LH_IO,
                        LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(update_examples),
    .run = run_update,
};

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct name_args *args = raw;
    int64_t version = 0;
    (void)reply;
    enum lh_code code = op_if_match(call, &version, err);
    struct journal_event event;
    struct lake_change change;
    if (!code)
        code = announce(call, "index.delete", args->name, (struct lh_str){0}, true, &event, &change,
                        err);
    if (code)
        return code;
    code = search_drop(lake_search(call->lake), args->name, version, err);
    lake_change_end(call->lake, &change, code, &event);
    return code;
}

const struct op op_vectors_delete = {
    .name = "vectors.delete",
    .summary = "Remove an index. Its dataset stays.",
    .http = {OP_DELETE, "/vectors/indexes/{name}"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .fields = &name_fields,
    .kind = OP_RESULT_NONE,
    .takes_if_match = true,
    .errors =
        OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_PRECONDITION, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    .run = run_delete,
};

/* --- GET /vectors/indexes/{name}/docs/{doc_id} */

struct doc_args {
    struct lh_str name;
    struct lh_str doc_id;
};
static const struct lh_field doc_rows[] = {
    NAME_ROW(struct doc_args),
    LH_STR(struct doc_args, doc_id, .required = true, .positional = true, .max = 4096,
           .doc = "The row's id."),
};
static const struct lh_fields doc_fields =
    LH_FIELDS_OF(struct doc_args, "VectorsDocArgs", doc_rows);

static enum lh_code run_doc(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct doc_args *args = raw;
    struct search_doc doc;
    enum lh_code code = search_find_doc(lake_search(call->lake), args->name, args->doc_id,
                                        call->cancel, call->arena, &doc, err);
    return code ? code : op_reply_record(reply, &doc, err);
}

const struct op op_vectors_doc = {
    .name = "vectors.doc",
    .summary = "What an index holds of one row: its chunks and their vectors.",
    .http = {OP_GET, "/vectors/indexes/{name}/docs/{doc_id}"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &doc_fields,
    .kind = OP_RECORD,
    .result = &search_doc_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_DAMAGED, LH_TOO_LARGE),
    .run = run_doc,
};
