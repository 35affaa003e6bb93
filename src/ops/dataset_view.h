/* Datasets and versions as replies show them: structs with field tables, filled from the catalog's.
 *
 * A view borrows the texts of what it shows and lives in the call's arena.
 */
#ifndef LAKEHOUSE_OPS_DATASET_VIEW_H
#define LAKEHOUSE_OPS_DATASET_VIEW_H

#include "catalog/catalog.h"

struct column_view {
    struct lh_str name;
    struct lh_str type;
    int sensitivity;
    bool is_pii;
    struct lh_str pii_kind;
    struct lh_str description;
};
struct object_view {
    struct lh_str bucket;
    struct lh_str key;
    int64_t bytes;
    int64_t rows;
    struct lh_str sha256;
    int64_t added_version;
};
struct lineage_view {
    struct lh_str source_system;
    struct lh_str source_file;
    struct lh_str ingest_job;
    struct lh_time timestamp;
};
struct freshness_view {
    int64_t max_age_s;
    bool is_overdue;
};
struct refresh_view {
    int kind;
    struct lh_str schedule;
};
struct dataset_view {
    struct lh_str id;
    struct lh_str name;
    int64_t version;
    int64_t sequence;
    struct lh_str description;
    struct lh_str owner;
    int sensitivity;
    struct lh_str_list tags;
    struct lh_list columns;
    struct lh_str schema_fingerprint;
    const struct lineage_view *lineage;
    const struct freshness_view *freshness;
    int64_t row_count;
    int64_t hidden_rows;
    int64_t quarantined_rows;
    int64_t byte_count;
    struct lh_list objects;
    struct lh_time created_at;
    struct lh_time updated_at;
    struct lh_time last_embedded_at;
    struct lh_time embedding_stale_since;
    const struct refresh_view *embedding_refresh_policy;
};
extern const struct lh_fields dataset_view_fields;

struct dataset_summary {
    struct lh_str id;
    struct lh_str name;
    int64_t version;
    struct lh_str description;
    struct lh_str owner;
    int sensitivity;
    struct lh_str_list tags;
    int64_t column_count;
    int64_t row_count;
    int64_t byte_count;
    int64_t object_count;
    struct lh_time updated_at;
    bool is_overdue;
};
extern const struct lh_fields dataset_summary_fields;

struct commit_view {
    struct lh_str action;
    struct lh_str actor;
    struct lh_str committer;
    struct lh_str reason;
    struct lh_str job_id;
};
struct version_view {
    int64_t version;
    int64_t sequence;
    struct lh_time committed_at;
    int64_t row_count;
    struct lh_opt_int hidden_rows;
    int64_t byte_count;
    int64_t object_count;
    struct lh_list commits;
};
extern const struct lh_fields version_view_fields;

/* `hidden_rows` of the dataset's rows nobody sees. */
void dataset_view_of(const struct catalog_dataset *dataset, int64_t hidden_rows,
                     struct lh_arena *arena, struct dataset_view *ret);
void dataset_summary_of(const struct catalog_dataset *dataset, int64_t hidden_rows,
                        struct dataset_summary *ret);
void version_view_of(const struct catalog_version *version, struct lh_arena *arena,
                     struct version_view *ret);

#endif
