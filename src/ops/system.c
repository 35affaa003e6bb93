#include "ops/internal.h"

#include <unistd.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "query/query.h"
#include "storage/storage.h"

/* --- GET /health */

struct health_problem {
    struct lh_str kind;
    struct lh_str name;
    struct lh_str detail;
};
static const struct lh_field problem_rows[] = {
    LH_STR(struct health_problem, kind, .required = true, .doc = "What is broken: a dataset, …"),
    LH_STR(struct health_problem, name, .doc = "Its name."),
    LH_STR(struct health_problem, detail, .required = true, .doc = "What is wrong with it."),
};
static const struct lh_fields problem_fields =
    LH_FIELDS_OF(struct health_problem, "HealthProblem", problem_rows);

static const char *const health_states[] = {"ok", "degraded", NULL};
struct health {
    int status;
    struct lh_str version;
    struct lh_str authentication;
    int64_t uptime_ms;
    int64_t datasets;
    int64_t sequence;
    struct lh_list problems;
};
static const struct lh_field health_rows[] = {
    LH_CHOICE(struct health, status, .choices = health_states, .required = true,
              .doc = "ok, or degraded when there are problems; what works goes on."),
    LH_STR(struct health, version, .required = true, .doc = "Of the program."),
    LH_STR(struct health, authentication, .required = true, .doc = "How callers are known."),
    LH_INT(struct health, uptime_ms, .required = true, .doc = "Since the lake was opened."),
    LH_INT(struct health, datasets, .required = true, .doc = "How many there are."),
    LH_INT(struct health, sequence, .required = true, .doc = "The newest commit of the lake."),
    LH_LIST(struct health, problems, .fields = &problem_fields, .required = true,
            .doc = "Everything that is broken, overdue or not wholly erased, by name."),
};
static const struct lh_fields health_fields = LH_FIELDS_OF(struct health, "Health", health_rows);

static enum lh_code run_health(struct op_call *call, const void *args, struct op_reply *reply,
                               struct lh_error *err)
{
    (void)args;
    struct lake_health found;
    lake_check_health(call->lake, call->arena, &found);
    struct health_problem *problems =
        lh_arena_array(call->arena, found.problem_count + 1, sizeof(*problems));
    for (size_t i = 0; i < found.problem_count; i++)
        problems[i] = (struct health_problem){found.problems[i].kind, found.problems[i].name,
                                              found.problems[i].detail};
    const struct health health = {
        .status = found.is_ok ? 0 : 1,
        .version = lh_lit(LH_VERSION),
        .authentication = lake_settings(call->lake)->auth.enabled
                              ? lh_lit("keys")
                              : lh_lit("none: every caller is local-admin, on loopback only"),
        .uptime_ms = lake_uptime_ms(call->lake),
        .datasets = found.dataset_count,
        .sequence = found.sequence,
        .problems = {problems, found.problem_count},
    };
    return op_reply_record(reply, &health, err);
}

const struct op op_system_health = {
    .name = "system.health",
    .command = "health",
    .summary = "Whether everything works, and what does not.",
    .description =
        "Always 200 while something can be served; `status` is `degraded` when a part is "
        "broken, and every broken part is named.",
    .http = {OP_GET, "/health"},
    .effect = OP_READ,
    .lane = LH_LANE_VITAL,
    .permission = "public",
    .kind = OP_RECORD,
    .result = &health_fields,
    .run = run_health,
};

/* --- GET /system/info */

struct info_limits {
    int64_t json_bytes_max;
    int64_t upload_bytes_max;
    int64_t sql_bytes_max;
    int64_t rows_max;
    int64_t timeout_max_ms;
    int64_t list_max;
    int64_t connections_max;
    int64_t queue_max;
};
static const struct lh_field limit_rows[] = {
    LH_INT(struct info_limits, json_bytes_max, .required = true, .doc = "Of a JSON body."),
    LH_INT(struct info_limits, upload_bytes_max, .required = true, .doc = "Of a form with files."),
    LH_INT(struct info_limits, sql_bytes_max, .required = true, .doc = "Of one statement."),
    LH_INT(struct info_limits, rows_max, .required = true, .doc = "Rows of one reply."),
    LH_INT(struct info_limits, timeout_max_ms, .required = true, .doc = "Of one statement."),
    LH_INT(struct info_limits, list_max, .required = true, .doc = "Items of one page."),
    LH_INT(struct info_limits, connections_max, .required = true, .doc = "Open connections."),
    LH_INT(struct info_limits, queue_max, .required = true, .doc = "Operations that may wait."),
};
static const struct lh_fields limit_fields =
    LH_FIELDS_OF(struct info_limits, "SystemLimits", limit_rows);

struct info {
    struct lh_str version;
    struct lh_str engine_version;
    int64_t data_format;
    struct lh_str lake_id;
    int64_t pid;
    struct lh_time opened_at;
    int64_t uptime_ms;
    int64_t recovery_ms;
    int64_t epoch;
    int64_t sequence;
    int64_t worker_threads;
    const struct info_limits *limits;
};
static const struct lh_field info_rows[] = {
    LH_STR(struct info, version, .required = true, .doc = "Of the program."),
    LH_STR(struct info, engine_version, .required = true, .doc = "Of the SQL engine."),
    LH_INT(struct info, data_format, .required = true, .doc = "Of the data folder."),
    LH_STR(struct info, lake_id, .required = true,
           .doc = "Of this lake, for ever; a restored lake has its own."),
    LH_INT(struct info, pid, .required = true, .doc = "Of the process that serves it."),
    LH_TIME(struct info, opened_at, .required = true, .doc = "When the lake was opened."),
    LH_INT(struct info, uptime_ms, .required = true, .doc = "Since then."),
    LH_INT(struct info, recovery_ms, .required = true, .doc = "How long opening took."),
    LH_INT(struct info, epoch, .required = true, .doc = "How often the lake was opened to write."),
    LH_INT(struct info, sequence, .required = true, .doc = "The newest commit of the lake."),
    LH_INT(struct info, worker_threads, .required = true, .doc = "That run operations."),
    LH_OBJECT(struct info, limits, const struct info_limits *, .fields = &limit_fields,
              .required = true, .doc = "What is refused beyond."),
};
static const struct lh_fields info_fields = LH_FIELDS_OF(struct info, "SystemInfo", info_rows);

static int64_t newest_sequence(struct lake *lake)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    int64_t sequence = (int64_t)catalog_snapshot_sequence(snapshot);
    catalog_snapshot_unref(snapshot);
    return sequence;
}

static enum lh_code run_info(struct op_call *call, const void *args, struct op_reply *reply,
                             struct lh_error *err)
{
    (void)args;
    const struct settings *settings = lake_settings(call->lake);
    const struct info_limits limits = {
        .json_bytes_max = settings->server.json_bytes_max,
        .upload_bytes_max = settings->server.upload_bytes_max,
        .sql_bytes_max = (int64_t)QUERY_SQL_BYTES_MAX,
        .rows_max = settings->query.rows_max,
        .timeout_max_ms = settings->query.timeout_max_ms,
        .list_max = OP_LIST_MAX,
        .connections_max = settings->server.connections_max,
        .queue_max = settings->server.queue_max,
    };
    const struct info info = {
        .version = lh_lit(LH_VERSION),
        .engine_version = lake_engine_version(call->lake),
        .data_format = STORAGE_FORMAT,
        .lake_id = storage_id(lake_storage(call->lake)),
        .pid = getpid(),
        .opened_at = {lake_opened_ms(call->lake)},
        .uptime_ms = lake_uptime_ms(call->lake),
        .recovery_ms = lake_recovery_ms(call->lake),
        .epoch = (int64_t)catalog_epoch(lake_catalog(call->lake)),
        .sequence = newest_sequence(call->lake),
        .worker_threads = lh_pool_stats(lake_pool(call->lake)).thread_count,
        .limits = &limits,
    };
    return op_reply_record(reply, &info, err);
}

const struct op op_system_info = {
    .name = "system.info",
    .summary = "Versions, limits and age of this server.",
    .http = {OP_GET, "/system/info"},
    .effect = OP_READ,
    .permission = "system.read",
    .kind = OP_RECORD,
    .result = &info_fields,
    .run = run_info,
};

/* --- GET /metrics */

static void put_head(struct lh_buf *buf, const char *name, const char *type, const char *help)
{
    lh_buf_printf(buf, "# HELP lakehouse_%s %s\n# TYPE lakehouse_%s %s\n", name, help, name, type);
}

static void put_figure(struct lh_buf *buf, const char *name, const char *type, const char *help,
                       int64_t value)
{
    put_head(buf, name, type, help);
    lh_buf_printf(buf, "lakehouse_%s %lld\n", name, (long long)value);
}

static void put_operations(struct lh_buf *buf)
{
    put_head(buf, "operations_total", "counter", "Calls of an operation.");
    for (size_t i = 0; i < op_table_count; i++)
        lh_buf_printf(buf, "lakehouse_operations_total{operation=\"%s\"} %lld\n", op_table[i]->name,
                      (long long)op_counts_of(i).calls);
    put_head(buf, "operation_failures_total", "counter", "Calls that failed, by class of status.");
    for (size_t i = 0; i < op_table_count; i++)
        for (int class = 4; class < 6; class ++)
            lh_buf_printf(
                buf, "lakehouse_operation_failures_total{operation=\"%s\",class=\"%dxx\"} %lld\n",
                op_table[i]->name, class, (long long)op_counts_of(i).failures[class]);
    put_head(buf, "operation_seconds_total", "counter", "Time that calls took, summed.");
    for (size_t i = 0; i < op_table_count; i++)
        lh_buf_printf(buf, "lakehouse_operation_seconds_total{operation=\"%s\"} %.6f\n",
                      op_table[i]->name, (double)op_counts_of(i).micros / 1e6);
    put_head(buf, "operations_running", "gauge", "Calls that run now.");
    for (size_t i = 0; i < op_table_count; i++)
        lh_buf_printf(buf, "lakehouse_operations_running{operation=\"%s\"} %lld\n",
                      op_table[i]->name, (long long)op_counts_of(i).running);
}

static void put_engine(struct lh_buf *buf, struct lake *lake)
{
    struct engine_stats engine = engine_stats(lake_engine(lake));
    put_figure(buf, "engine_connections", "gauge", "Open engine connections.",
               engine.connections_open);
    put_figure(buf, "engine_connections_busy", "gauge", "Engine connections that run a statement.",
               engine.connections_busy);
    put_figure(buf, "engine_connections_waited_total", "counter",
               "Statements that waited for a connection.", engine.connections_waited);
    put_figure(buf, "engine_statements_total", "counter", "Statements that were run.",
               engine.statements_run);
    put_figure(buf, "engine_statements_failed_total", "counter", "Statements that failed.",
               engine.statements_failed);
    put_figure(buf, "engine_statements_stopped_total", "counter",
               "Statements stopped by a deadline, a hang-up or a cancel.",
               engine.statements_stopped);
    struct query_stats query = query_engine_stats(lake_query(lake));
    put_figure(buf, "queries_total", "counter", "Queries that were opened.", query.queries);
    put_figure(buf, "queries_refused_total", "counter", "Queries refused by the resolver.",
               query.refused);
    put_figure(buf, "plan_cache_hits_total", "counter", "Statements that were remembered.",
               query.plan_hits);
    put_figure(buf, "plan_cache_misses_total", "counter", "Statements that were resolved.",
               query.plan_misses);
    put_figure(buf, "plan_cache_entries", "gauge", "Statements remembered now.", query.plans);
}

static void put_lake(struct lh_buf *buf, struct op_call *call)
{
    static const char *const lanes[LH_LANE_COUNT] = {"short", "slow", "vital"};
    struct lake_health health;
    lake_check_health(call->lake, call->arena, &health);
    put_figure(buf, "datasets", "gauge", "Datasets of the lake.", health.dataset_count);
    put_figure(buf, "problems", "gauge", "Parts that are broken; see /health.",
               (int64_t)health.problem_count);
    put_figure(buf, "sequence", "counter", "The newest commit of the lake.", health.sequence);
    put_figure(buf, "uptime_seconds", "gauge", "Since the lake was opened.",
               lake_uptime_ms(call->lake) / 1000);
    struct lh_pool_stats pool = lh_pool_stats(lake_pool(call->lake));
    put_figure(buf, "workers", "gauge", "Threads that run operations.", pool.thread_count);
    put_figure(buf, "workers_long", "gauge",
               "Operations that gave their place back: they are long.", pool.long_running);
    put_figure(buf, "workers_yielded_total", "counter",
               "Long operations that were stopped to make way for others.", pool.yielded);
    put_head(buf, "workers_running", "gauge", "Threads that are busy.");
    for (int lane = 0; lane < LH_LANE_COUNT; lane++)
        lh_buf_printf(buf, "lakehouse_workers_running{lane=\"%s\"} %lld\n", lanes[lane],
                      (long long)pool.running[lane]);
    put_head(buf, "workers_queued", "gauge", "Operations that wait for a thread.");
    for (int lane = 0; lane < LH_LANE_COUNT; lane++)
        lh_buf_printf(buf, "lakehouse_workers_queued{lane=\"%s\"} %lld\n", lanes[lane],
                      (long long)pool.queued[lane]);
}

static enum lh_code run_metrics(struct op_call *call, const void *args, struct op_reply *reply,
                                struct lh_error *err)
{
    (void)args;
    struct lh_buf buf;
    lh_buf_init(&buf, (size_t)4 << 20);
    put_head(&buf, "info", "gauge", "Constant 1, with the versions as labels.");
    lh_buf_printf(&buf, "lakehouse_info{version=\"%s\",engine=\"%.*s\"} 1\n", LH_VERSION,
                  LH_ARG(lake_engine_version(call->lake)));
    put_lake(&buf, call);
    lake_write_meter(call->lake, &buf);
    put_engine(&buf, call->lake);
    put_operations(&buf);
    enum lh_code code = op_reply_text(reply, lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

const struct op op_system_metrics = {
    .name = "system.metrics",
    .summary = "All meters, as Prometheus text.",
    .http = {OP_GET, "/metrics"},
    .effect = OP_READ,
    .lane = LH_LANE_VITAL,
    .permission = "system.read",
    .kind = OP_TEXT,
    .media_type = "text/plain; version=0.0.4; charset=utf-8",
    .run = run_metrics,
};

/* --- GET /openapi.json */

static enum lh_code run_openapi(struct op_call *call, const void *args, struct op_reply *reply,
                                struct lh_error *err)
{
    (void)args;
    (void)call;
    struct lh_buf buf;
    lh_buf_init(&buf, OP_OPENAPI_BYTES_MAX);
    enum lh_code code = op_write_openapi(op_table, op_table_count, &buf, err);
    if (!code)
        code = op_reply_text(reply, lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    return code;
}

const struct op op_system_openapi = {
    .name = "system.openapi",
    .summary = "This API as an OpenAPI 3.1 document.",
    .http = {OP_GET, "/openapi.json"},
    .effect = OP_READ,
    .permission = "public",
    .kind = OP_TEXT,
    .media_type = "application/json",
    .run = run_openapi,
};
