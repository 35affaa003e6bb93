/* What the operations share: the rows themselves, paging, and how versions are shown.
 *
 * Everything here is stateless; any thread may call it.
 */
#ifndef LAKEHOUSE_OPS_INTERNAL_H
#define LAKEHOUSE_OPS_INTERNAL_H

#include "lake/changes.h"
#include "ops/describe.h"
#include "ops/op.h"
#include "query/query.h"

#define OP_LIST_PRESET 100
#define OP_LIST_MAX 1000

/* The rows that every list has. */
#define OP_LIST_LIMIT(struct_type)                                                                 \
    LH_INT(struct_type, limit, LH_PRESET(OP_LIST_PRESET), .min = 1, .max = OP_LIST_MAX,            \
           .doc = "Most items of a page.")
#define OP_LIST_AFTER(struct_type)                                                                 \
    LH_STR(struct_type, after, .max = 256, .doc = "The `next` of the page before this one.")

/* The rows that say how a statement is run, and how its rows come. */
#define OP_QUERY_OPTIONS(struct_type)                                                              \
    LH_JSON(struct_type, as_of,                                                                    \
            .doc = "Read the past: a time for all datasets, or {\"dataset\": version}."),          \
        LH_INT(struct_type, timeout_ms, LH_PRESET(QUERY_TIMEOUT_MS_PRESET), .min = 1,              \
               .max = QUERY_TIMEOUT_MS_MAX, .doc = "When to give up.")
#define OP_ROWS_OPTIONS(struct_type)                                                               \
    LH_INT(struct_type, limit, LH_PRESET(QUERY_ROWS_PRESET), .min = 1, .max = QUERY_ROWS_MAX,      \
           .doc = "Most rows to return."),                                                         \
        LH_STR(struct_type, format, .min = 1, .max = 32,                                           \
               .doc = "How the rows are written: json, ndjson, csv, arrow or parquet; absent: "    \
                      "what Accept says, else json."),                                             \
        LH_BOOL(struct_type, escape_formulas,                                                      \
                .doc = "CSV: put an apostrophe before texts that a spreadsheet would calculate.")

struct op_statement {
    struct lh_str sql;
    const json_t *parameters; /* NULL: none */
    const json_t *as_of;      /* NULL: now */
    int64_t limit;
    int64_t timeout_ms;
    struct lh_str format; /* absent: what the caller accepts */
    bool escapes_formulas;
};
/* An event of this call: who asks, under which key. The rest is the caller's. */
struct journal_event op_event(const struct op_call *call, const char *action, struct lh_str entity);
/* query.c: as whom the caller's SQL is run. */
struct query_principal op_query_principal(const struct op_call *call);
/* query.c: runs it with the caller's rights and writes its rows. */
enum lh_code op_run_statement(struct op_call *call, const struct op_statement *statement,
                              struct op_reply *reply, struct lh_error *err) LH_MUST_USE;
/* jobs.c: whether the caller may sit on a worker of the short lane until a job has ended; who may
 * says afterwards that it has. */
bool op_may_wait(struct lake *lake);
void op_has_waited(void);
struct job_info;
/* Why a job did not succeed, as the failure of who waited for it; `what` names the work. */
enum lh_code op_fail_as_job(const struct job_info *info, const char *what, struct lh_error *err);
extern const struct lh_fields op_query_result_fields; /* what JSON rows look like */

extern const struct op op_system_home;
extern const struct op op_system_docs;
extern const struct op op_system_health;
extern const struct op op_system_info;
extern const struct op op_system_metrics;
extern const struct op op_system_openapi;
extern const struct op op_system_errors;
extern const struct op op_system_memory;
extern const struct op op_system_backup;
extern const struct op op_datasets_list;
extern const struct op op_datasets_register;
extern const struct op op_datasets_get;
extern const struct op op_datasets_versions;
extern const struct op op_datasets_update;
extern const struct op op_datasets_rename;
extern const struct op op_datasets_delete;
extern const struct op op_datasets_move;
extern const struct op op_catalog_migrate_buckets;
extern const struct op op_datasets_undo;
extern const struct op op_datasets_quarantine;
extern const struct op op_datasets_resync;
extern const struct op op_catalog_resync_missing;
extern const struct op op_datasets_diff;
extern const struct op op_datasets_tombstone;
extern const struct op op_datasets_tombstones;
extern const struct op op_datasets_lift;
extern const struct op op_catalog_expire;
extern const struct op op_catalog_erase;
extern const struct op op_erasures_list;
extern const struct op op_erasures_get;
extern const struct op op_erasures_resume;
extern const struct op op_erasures_give_up;
extern const struct op op_journal_recent;
extern const struct op op_journal_history;
extern const struct op op_journal_event;
extern const struct op op_journal_update;
extern const struct op op_journal_flush;
extern const struct op op_journal_stats;
extern const struct op op_ingest_file;
extern const struct op op_query_sql;
extern const struct op op_query_explain;
extern const struct op op_query_compact;
extern const struct op op_queries_list;
extern const struct op op_queries_get;
extern const struct op op_queries_create;
extern const struct op op_queries_replace;
extern const struct op op_queries_delete;
extern const struct op op_queries_run;
extern const struct op op_buckets_list;
extern const struct op op_buckets_create;
extern const struct op op_buckets_delete;
extern const struct op op_buckets_adopt;
extern const struct op op_buckets_health;
extern const struct op op_failures_list;
extern const struct op op_failures_flush;
extern const struct op op_failures_compact;
extern const struct op op_objects_list;
extern const struct op op_objects_get;
extern const struct op op_objects_put;
extern const struct op op_objects_delete;
extern const struct op op_vectors_index;
extern const struct op op_vectors_search;
extern const struct op op_vectors_hybrid;
extern const struct op op_vectors_list;
extern const struct op op_vectors_get;
extern const struct op op_vectors_doc;
extern const struct op op_vectors_export;
extern const struct op op_vectors_delete;
extern const struct op op_vectors_update;
extern const struct op op_vectors_refresh;
extern const struct op op_vectors_rebuild;
extern const struct op op_vectors_stale;
extern const struct op op_evals_list;
extern const struct op op_evals_get;
extern const struct op op_evals_put;
extern const struct op op_evals_autogen;
extern const struct op op_evals_delete;
extern const struct op op_hnsw_trial;
extern const struct op op_hnsw_trials;
extern const struct op op_hnsw_best;
extern const struct op op_hnsw_autotune;
extern const struct op op_hnsw_promote;
extern const struct op op_hnsw_rollback;
extern const struct op op_hnsw_promoted;
extern const struct op op_hnsw_history;
extern const struct op op_hnsw_cache;
extern const struct op op_agent_status;
extern const struct op op_agent_start;
extern const struct op op_agent_stop;
extern const struct op op_agent_enqueue;
extern const struct op op_profiles_list;
extern const struct op op_profiles_create;
extern const struct op op_profiles_get;
extern const struct op op_profiles_delete;
extern const struct op op_profiles_activate;
extern const struct op op_profiles_deactivate;
extern const struct op op_profiles_active;
extern const struct op op_profiles_search;
extern const struct op op_jobs_list;
extern const struct op op_jobs_get;
extern const struct op op_jobs_cancel;
extern const struct op op_jobs_events;
extern const struct op op_access_me;
extern const struct op op_access_roles;
extern const struct op op_keys_list;
extern const struct op op_keys_create;
extern const struct op op_keys_revoke;

#endif
