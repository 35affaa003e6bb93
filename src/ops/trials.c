/* Trials of graphs, and tuning by them. */
#include "jobs/jobs.h"
#include "lake/lake.h"
#include "ops/internal.h"
#include "search/tuning.h"

#define TUNED_INDEX_ROW(struct_type)                                                               \
    LH_STR(struct_type, index_name, .required = true, .positional = true, .min = 1, .max = 255,    \
           .doc = "The index.")
#define HARNESS_ROW(struct_type)                                                                   \
    LH_STR(struct_type, harness, .positional = true, .max = 63,                                    \
           .doc = "The eval set; absent: `auto`, which is drawn when it is not there or stale; "   \
                  "`callers`: the last searches of callers that were asked again.")

/* --- POST /vectors/hnsw/trial */

struct trial_args {
    struct lh_str index_name;
    struct lh_str harness;
    const struct search_configuration *config;
};
static const struct lh_field trial_rows[] = {
    TUNED_INDEX_ROW(struct trial_args),
    HARNESS_ROW(struct trial_args),
    LH_OBJECT(struct trial_args, config, const struct search_configuration *,
              .fields = &search_configuration_input_fields,
              .doc = "What is tried; absent: the default."),
};
static const struct lh_fields trial_fields =
    LH_FIELDS_OF(struct trial_args, "TrialArgs", trial_rows);

static enum lh_code run_trial(struct op_call *call, const void *raw, struct op_reply *reply,
                              struct lh_error *err)
{
    const struct trial_args *args = raw;
    struct search_trial trial;
    const struct search_trial_request request = {
        .index_name = args->index_name,
        .harness = args->harness,
        .configuration = args->config ? *args->config : search_configuration_preset(),
        .actor = call->principal->id,
    };
    enum lh_code code =
        search_trial_run(lake_search(call->lake), &request, call->cancel, call->arena, &trial, err);
    return code ? code : op_reply_record(reply, &trial, err);
}

static const struct op_example trial_examples[] = {
    {.summary = "A wider search",
     .request = "{\"index_name\": \"packages_v1\", \"harness\": \"auto\", \"config\": "
                "{\"ef_construction\": 80, \"ef_search\": 60}}"},
};
const struct op op_hnsw_trial = {
    .name = "hnsw.trial",
    .summary = "Build a graph beside the index, measure it on an eval set, and keep the figures.",
    .description = "Nothing that is served changes. The recall is that of the graph over the rows "
                   "that the index holds; what is newer is always searched exactly.",
    .http = {OP_POST, "/vectors/hnsw/trial"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &trial_fields,
    .kind = OP_RECORD,
    .result = &search_trial_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(trial_examples),
    .run = run_trial,
};

/* --- GET /vectors/hnsw/trials/{index} */

struct trials_args {
    struct lh_str index;
    int64_t limit;
    struct lh_str after;
};
#define INDEX_ROW(struct_type)                                                                     \
    LH_STR(struct_type, index, .required = true, .positional = true, .min = 1, .max = 255,         \
           .doc = "The index.")
static const struct lh_field trials_rows[] = {
    INDEX_ROW(struct trials_args),
    OP_LIST_LIMIT(struct trials_args),
    OP_LIST_AFTER(struct trials_args),
};
static const struct lh_fields trials_fields =
    LH_FIELDS_OF(struct trials_args, "TrialsArgs", trials_rows);

static enum lh_code run_trials(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct trials_args *args = raw;
    struct search_trial *items = NULL;
    size_t count = 0;
    struct lh_str next;
    enum lh_code code =
        search_trial_list(lake_search(call->lake), args->index, args->after, (size_t)args->limit,
                          call->arena, &items, &count, &next, err);
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_hnsw_trials = {
    .name = "hnsw.trials",
    .summary = "The trials of an index, newest first.",
    .description = "SQL reads those of all indexes as the table hnsw_trials.",
    .http = {OP_GET, "/vectors/hnsw/trials/{index}"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &trials_fields,
    .kind = OP_LIST,
    .result = &search_trial_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_trials,
};

/* --- GET /vectors/hnsw/trials/{index}/best */

struct best_args {
    struct lh_str index;
    int metric;
};
static const struct lh_field best_rows[] = {
    INDEX_ROW(struct best_args),
    LH_CHOICE(struct best_args, metric, .choices = search_metric_names,
              LH_PRESET(SEARCH_BEST_RECALL),
              .doc = "recall: the best, then the fastest; latency: the fastest, then the best; "
                     "pareto: all that none is better than in both, the fastest first."),
};
static const struct lh_fields best_fields =
    LH_FIELDS_OF(struct best_args, "TrialsBestArgs", best_rows);

static enum lh_code run_best(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct best_args *args = raw;
    struct search_trial *items = NULL;
    size_t count = 0;
    enum lh_code code =
        search_trial_best(lake_search(call->lake), args->index, (enum search_metric)args->metric,
                          call->arena, &items, &count, err);
    return code ? code : op_reply_list(reply, items, count, (struct lh_str){0}, err);
}

const struct op op_hnsw_best = {
    .name = "hnsw.best",
    .summary = "The best trials of an index on its vectors of today.",
    .description = "Of equal configurations the newest trial counts.",
    .http = {OP_GET, "/vectors/hnsw/trials/{index}/best"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &best_fields,
    .kind = OP_LIST,
    .result = &search_trial_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_best,
};

/* --- POST /vectors/hnsw/autotune */

struct autotune_args {
    struct lh_str index_name;
    struct lh_str harness;
    double min_recall;
    int metric;
    struct lh_list grid;
    bool wait;
};
static const struct lh_field autotune_rows[] = {
    TUNED_INDEX_ROW(struct autotune_args),
    HARNESS_ROW(struct autotune_args),
    LH_DOUBLE(struct autotune_args, min_recall, LH_PRESET_DOUBLE(SEARCH_MIN_RECALL_PRESET),
              .min = 0, .max = 1, .doc = "Below it nothing is promoted."),
    LH_CHOICE(struct autotune_args, metric, LH_PRESET(SEARCH_BEST_RECALL),
              .choices = search_autotune_metric_names,
              .doc = "recall: the best recall wins, then the quickest. latency: the quickest that "
                     "finds min_recall."),
    LH_LIST(struct autotune_args, grid, .fields = &search_configuration_input_fields,
            .max = SEARCH_GRID_MAX,
            .doc = "What is tried; absent: ef_construction and ef_search of 20/30, 40/30, 80/30, "
                   "80/60 and 160/30. Here ef_construction is from 10 to 400, ef_search from 10 to "
                   "200."),
    LH_BOOL(struct autotune_args, wait, LH_PRESET(true),
            .doc = "false: answer 202 with the id of a job that goes on after a restart."),
};
static const struct lh_fields autotune_fields =
    LH_FIELDS_OF(struct autotune_args, "AutotuneArgs", autotune_rows);

struct autotune_accepted {
    struct lh_str job_id;
    struct lh_str index_name;
};
static const struct lh_field accepted_rows[] = {
    LH_STR(struct autotune_accepted, job_id, .required = true,
           .doc = "To be followed at /jobs/{id}."),
    LH_STR(struct autotune_accepted, index_name, .required = true, .doc = "What is tuned."),
};
static const struct lh_fields accepted_fields =
    LH_FIELDS_OF(struct autotune_accepted, "AutotuneAccepted", accepted_rows);

/* The result of a job is the JSON of the record that is answered. */
static enum lh_code reply_result(struct op_call *call, struct lh_str text, struct op_reply *reply,
                                 struct lh_error *err)
{
    struct search_autotune_result result;
    enum lh_code code = lh_fields_parse(&search_autotune_result_fields, text, "The job's result",
                                        JOBS_RESULT_BYTES_MAX, call->arena, &result, err);
    return code ? code : op_reply_record(reply, &result, err);
}

static enum lh_code run_autotune(struct op_call *call, const void *raw, struct op_reply *reply,
                                 struct lh_error *err)
{
    const struct autotune_args *args = raw;
    const struct search_autotune_request request = {.index_name = args->index_name,
                                                    .harness = args->harness,
                                                    .min_recall = args->min_recall,
                                                    .metric = args->metric,
                                                    .grid = args->grid};
    struct search *search = lake_search(call->lake);
    struct jobs *jobs = lake_jobs(call->lake);
    struct lh_uuid job_id;
    if (!args->wait) {
        enum lh_code code =
            search_autotune_submit(search, jobs, &request, call->principal->id, &job_id, err);
        if (code)
            return code;
        const struct autotune_accepted accepted = {lh_uuid_str(&job_id), args->index_name};
        op_reply_status(reply, 202);
        reply->location = lh_arena_printf(call->arena, "/jobs/%s", job_id.text);
        return op_reply_record(reply, &accepted, err);
    }
    struct lh_str result;
    struct search_index_info info;
    enum lh_code code = search_autotune_check(search, &request, err);
    if (!code)
        code = search_get(search, args->index_name, call->arena, &info, err);
    if (code)
        return code;
    const struct job_spec spec = {.kind = lh_lit(SEARCH_AUTOTUNE_JOB_KIND),
                                  .dataset = info.source,
                                  .actor = call->principal->id,
                                  .args = search_autotune_args(&request, call->arena)};
    code = jobs_run(jobs, &spec, call->cancel, call->arena, NULL, &result, err);
    return code ? code : reply_result(call, result, reply, err);
}

static const struct op_example autotune_examples[] = {
    {.summary = "The usual grid",
     .request = "{\"index_name\": \"packages_v1\", \"min_recall\": 0.95}"},
    {.summary = "An own grid, as a job",
     .request = "{\"index_name\": \"packages_v1\", \"harness\": \"auto\", \"grid\": "
                "[{\"ef_construction\": 100, \"ef_search\": 40}, {\"ef_construction\": 100, "
                "\"ef_search\": 80}], \"wait\": false}"},
};
const struct op op_hnsw_autotune = {
    .name = "hnsw.autotune",
    .summary = "Try a grid of configurations, and promote the best.",
    .description =
        "The best recall wins, then the lowest p50; or, with `metric` latency, the lowest p50 of "
        "those that find `min_recall`. Of times that are nearly equal (by a tenth, or 2 µs) the "
        "one "
        "that looks at fewer rows counts as the lower. Configurations that differ in ef_search "
        "alone "
        "share a graph. Each trial is kept as it is measured: one that was killed goes on behind "
        "them, one that is cancelled leaves them and promotes nothing. One autotune for each index "
        "at a time; a second is refused with the id of the job.",
    .http = {OP_POST, "/vectors/hnsw/autotune"},
    .effect = OP_WRITE,
    .permission = "search.write",
    .lane = LH_LANE_SLOW,
    .body = OP_BODY_JSON,
    .fields = &autotune_fields,
    .kind = OP_RECORD,
    .result = &search_autotune_result_fields,
    .other_status = 202,
    .other_result = &accepted_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(autotune_examples),
    .run = run_autotune,
};
