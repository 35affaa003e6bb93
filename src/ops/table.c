#include "ops/internal.h"

/* clang-format off: one a line, so that two that are added at once do not collide. */
const struct op *const op_table[] = {
    &op_system_home,     &op_system_docs,     &op_system_health,     &op_system_info,
    &op_system_metrics,  &op_system_errors,   &op_system_memory,     &op_system_openapi,
    &op_datasets_list,   &op_datasets_get,    &op_datasets_versions, &op_datasets_update,
    &op_datasets_rename, &op_datasets_delete, &op_catalog_expire,    &op_ingest_file,
    &op_system_backup,
    &op_datasets_undo,
    &op_datasets_quarantine,
    &op_datasets_resync,
    &op_catalog_resync_missing,
    &op_datasets_diff,
    &op_datasets_tombstone,
    &op_datasets_tombstones,
    &op_datasets_lift,
    &op_query_sql,       &op_query_explain,
    &op_query_compact,
    &op_queries_list,    &op_queries_get,     &op_queries_create,    &op_queries_replace,
    &op_queries_delete,  &op_queries_run,     &op_jobs_list,         &op_jobs_get,
    &op_jobs_cancel,     &op_jobs_events,     &op_access_me,         &op_access_roles,
    &op_keys_list,       &op_keys_create,     &op_keys_revoke,       &op_objects_list,
    &op_objects_get,     &op_objects_put,     &op_objects_delete,    &op_vectors_index,
    &op_vectors_search,  &op_vectors_hybrid,  &op_vectors_list,      &op_vectors_get,
    &op_vectors_doc,     &op_vectors_update,  &op_vectors_delete,    &op_vectors_refresh,
    &op_vectors_rebuild, &op_vectors_stale,   &op_journal_recent,    &op_journal_history,
    &op_journal_event,   &op_journal_update,  &op_journal_flush,     &op_journal_stats,
    &op_buckets_list,    &op_buckets_create,  &op_buckets_delete,    &op_buckets_health,
    &op_failures_list,   &op_failures_flush,  &op_failures_compact,
};
/* clang-format on */
const size_t op_table_count = sizeof(op_table) / sizeof(op_table[0]);
