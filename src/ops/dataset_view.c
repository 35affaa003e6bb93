#include "ops/dataset_view.h"

#include "base/clock.h"

/* --- field tables */

static const struct lh_field column_rows[] = {
    LH_STR(struct column_view, name, .required = true, .doc = "As SQL calls it."),
    LH_STR(struct column_view, type, .required = true, .doc = "The SQL type."),
    LH_CHOICE(struct column_view, sensitivity, .choices = catalog_sensitivity_names,
              .required = true, .doc = "How carefully its values must be handled."),
    LH_BOOL(struct column_view, is_pii, .doc = "Whether it holds personal data."),
    LH_STR(struct column_view, pii_kind, .doc = "Which: email, phone, …"),
    LH_STR(struct column_view, description, .doc = "In words."),
};
static const struct lh_fields column_fields =
    LH_FIELDS_OF(struct column_view, "Column", column_rows);

static const struct lh_field object_rows[] = {
    LH_STR(struct object_view, bucket, .required = true, .doc = "Where it lies."),
    LH_STR(struct object_view, key, .required = true, .doc = "Under which key."),
    LH_INT(struct object_view, bytes, .required = true, .doc = "Its size."),
    LH_INT(struct object_view, rows, .required = true, .doc = "Rows in it."),
    LH_STR(struct object_view, sha256, .required = true, .doc = "Of the whole file, hexadecimal."),
    LH_INT(struct object_view, added_version, .required = true, .doc = "Which version brought it."),
};
static const struct lh_fields object_fields =
    LH_FIELDS_OF(struct object_view, "DataObject", object_rows);

static const struct lh_field lineage_rows[] = {
    LH_STR(struct lineage_view, source_system, .doc = "What kind of source it came from."),
    LH_STR(struct lineage_view, source_file, .doc = "Its name, without secrets."),
    LH_STR(struct lineage_view, ingest_job, .doc = "The job that brought it."),
    LH_TIME(struct lineage_view, timestamp, .doc = "When."),
};
static const struct lh_fields lineage_fields =
    LH_FIELDS_OF(struct lineage_view, "Lineage", lineage_rows);

static const struct lh_field freshness_rows[] = {
    LH_INT(struct freshness_view, max_age_s, .required = true, .doc = "Older data is overdue."),
    LH_BOOL(struct freshness_view, is_overdue, .doc = "Whether it is."),
};
static const struct lh_fields freshness_fields =
    LH_FIELDS_OF(struct freshness_view, "Freshness", freshness_rows);

static const struct lh_field refresh_rows[] = {
    LH_CHOICE(struct refresh_view, kind, .choices = catalog_refresh_kind_names, .required = true,
              .doc = "When embeddings follow the data."),
    LH_STR(struct refresh_view, schedule, .doc = "A cron pattern in UTC, or an interval."),
};
static const struct lh_fields refresh_fields =
    LH_FIELDS_OF(struct refresh_view, "RefreshPolicy", refresh_rows);

static const struct lh_field dataset_rows[] = {
    LH_STR(struct dataset_view, id, .required = true, .doc = "Stays through every rename."),
    LH_STR(struct dataset_view, name, .required = true, .doc = "As SQL calls it."),
    LH_INT(struct dataset_view, version, .required = true, .doc = "1 = as created."),
    LH_INT(struct dataset_view, sequence, .required = true,
           .doc = "Of that version in the order of all commits."),
    LH_STR(struct dataset_view, description, .doc = "In words."),
    LH_STR(struct dataset_view, owner, .doc = "Who answers for it."),
    LH_CHOICE(struct dataset_view, sensitivity, .choices = catalog_sensitivity_names,
              .required = true, .doc = "How carefully it must be handled."),
    LH_STR_LIST(struct dataset_view, tags, .doc = "Words to find it by."),
    LH_LIST(struct dataset_view, columns, .fields = &column_fields, .doc = "In their order."),
    LH_STR(struct dataset_view, schema_fingerprint, .doc = "Of the columns' names and types."),
    LH_OBJECT(struct dataset_view, lineage, const struct lineage_view *, .fields = &lineage_fields,
              .doc = "Where the last change came from."),
    LH_OBJECT(struct dataset_view, freshness, const struct freshness_view *,
              .fields = &freshness_fields, .doc = "How old it may become."),
    LH_INT(struct dataset_view, row_count, .required = true, .doc = "Rows that can be read."),
    LH_INT(struct dataset_view, quarantined_rows,
           .doc = "In damaged files that were set aside; 0 = none."),
    LH_INT(struct dataset_view, hidden_rows, .required = true,
           .doc = "Rows of the data files that cannot: tombstoned or replaced."),
    LH_INT(struct dataset_view, byte_count, .required = true, .doc = "Bytes of the data files."),
    LH_LIST(struct dataset_view, objects, .fields = &object_fields, .doc = "The data files."),
    LH_TIME(struct dataset_view, created_at, .required = true, .doc = "Of version 1."),
    LH_TIME(struct dataset_view, updated_at, .required = true, .doc = "Of this version."),
    LH_TIME(struct dataset_view, last_embedded_at, .doc = "Of the newest embeddings."),
    LH_TIME(struct dataset_view, embedding_stale_since, .doc = "They are older than the data."),
    LH_OBJECT(struct dataset_view, embedding_refresh_policy, const struct refresh_view *,
              .fields = &refresh_fields, .doc = "When embeddings follow the data."),
};
const struct lh_fields dataset_view_fields =
    LH_FIELDS_OF(struct dataset_view, "Dataset", dataset_rows);

static const struct lh_field summary_rows[] = {
    LH_STR(struct dataset_summary, id, .required = true, .doc = "Stays through every rename."),
    LH_STR(struct dataset_summary, name, .required = true, .doc = "As SQL calls it."),
    LH_INT(struct dataset_summary, version, .required = true, .doc = "1 = as created."),
    LH_STR(struct dataset_summary, description, .doc = "In words."),
    LH_STR(struct dataset_summary, owner, .doc = "Who answers for it."),
    LH_CHOICE(struct dataset_summary, sensitivity, .choices = catalog_sensitivity_names,
              .required = true, .doc = "How carefully it must be handled."),
    LH_STR_LIST(struct dataset_summary, tags, .doc = "Words to find it by."),
    LH_INT(struct dataset_summary, column_count, .required = true, .doc = "Columns."),
    LH_INT(struct dataset_summary, row_count, .required = true, .doc = "Rows."),
    LH_INT(struct dataset_summary, byte_count, .required = true, .doc = "Bytes of the data files."),
    LH_INT(struct dataset_summary, object_count, .required = true, .doc = "Data files."),
    LH_TIME(struct dataset_summary, updated_at, .required = true, .doc = "Of this version."),
    LH_BOOL(struct dataset_summary, is_overdue, .doc = "Older than its declared freshness."),
};
const struct lh_fields dataset_summary_fields =
    LH_FIELDS_OF(struct dataset_summary, "DatasetSummary", summary_rows);

static const struct lh_field commit_rows[] = {
    LH_STR(struct commit_view, action, .required = true, .doc = "create, append, replace, …"),
    LH_STR(struct commit_view, actor, .doc = "Who wanted it, if that was said, else who did it."),
    LH_STR(struct commit_view, committer, .doc = "Who did it; absent: the same."),
    LH_STR(struct commit_view, reason, .doc = "Why, if it was said."),
    LH_STR(struct commit_view, job_id, .doc = "The job that did it."),
};
static const struct lh_fields commit_fields =
    LH_FIELDS_OF(struct commit_view, "VersionCommit", commit_rows);

static const struct lh_field version_rows[] = {
    LH_INT(struct version_view, version, .required = true, .doc = "1 = as created."),
    LH_INT(struct version_view, sequence, .required = true, .doc = "In the order of all commits."),
    LH_TIME(struct version_view, committed_at, .required = true, .doc = "When."),
    LH_INT(struct version_view, row_count, .required = true,
           .doc = "Rows in its data files, hidden ones too."),
    LH_OPT_INT(struct version_view, hidden_rows,
               .doc =
                   "Those of them that nobody sees: tombstoned or replaced. Only of the newest."),
    LH_INT(struct version_view, byte_count, .required = true, .doc = "Bytes after it."),
    LH_INT(struct version_view, object_count, .required = true, .doc = "Data files after it."),
    LH_LIST(struct version_view, commits, .fields = &commit_fields,
            .doc = "What was done; several when writers shared one version."),
};
const struct lh_fields version_view_fields =
    LH_FIELDS_OF(struct version_view, "DatasetVersion", version_rows);

/* --- filling them */

/* Text that was never said is left out of replies. */
static struct lh_str said(struct lh_str text)
{
    return text.len ? text : (struct lh_str){0};
}

static bool is_overdue(const struct catalog_dataset *dataset)
{
    return catalog_is_overdue(dataset, lh_clock_unix_ms());
}

static struct lh_list view_columns(const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    struct column_view *columns =
        lh_arena_array(arena, dataset->column_count + 1, sizeof(*columns));
    for (size_t i = 0; i < dataset->column_count; i++) {
        const struct catalog_column *from = &dataset->columns[i];
        columns[i] = (struct column_view){
            .name = from->name,
            .type = from->type,
            .sensitivity = (int)from->sensitivity,
            .is_pii = from->is_pii,
            .pii_kind = said(from->pii_kind),
            .description = said(from->description),
        };
    }
    return (struct lh_list){columns, dataset->column_count};
}

static struct lh_list view_objects(const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    struct object_view *objects =
        lh_arena_array(arena, dataset->object_count + 1, sizeof(*objects));
    for (size_t i = 0; i < dataset->object_count; i++) {
        const struct catalog_object *from = dataset->objects[i];
        char *hex = lh_arena_alloc(arena, LH_SHA256_HEX_BYTES + 1);
        lh_hex(from->sha256, LH_SHA256_BYTES, hex);
        objects[i] = (struct object_view){
            .bucket = from->bucket,
            .key = from->key,
            .bytes = from->bytes,
            .rows = from->rows,
            .sha256 = {hex, LH_SHA256_HEX_BYTES},
            .added_version = from->added_version,
        };
    }
    return (struct lh_list){objects, dataset->object_count};
}

static void view_parts(const struct catalog_dataset *dataset, struct lh_arena *arena,
                       struct dataset_view *ret)
{
    struct lineage_view *lineage = lh_arena_alloc(arena, sizeof(*lineage));
    *lineage = (struct lineage_view){
        .source_system = said(dataset->lineage.source_system),
        .source_file = said(dataset->lineage.source_file),
        .ingest_job = said(dataset->lineage.ingest_job),
        .timestamp = {dataset->lineage.timestamp_ms},
    };
    ret->lineage = lineage;
    if (dataset->freshness_max_age_s > 0) {
        struct freshness_view *freshness = lh_arena_alloc(arena, sizeof(*freshness));
        *freshness = (struct freshness_view){dataset->freshness_max_age_s, is_overdue(dataset)};
        ret->freshness = freshness;
    }
    struct refresh_view *refresh = lh_arena_alloc(arena, sizeof(*refresh));
    *refresh = (struct refresh_view){(int)dataset->refresh.kind, said(dataset->refresh.schedule)};
    ret->embedding_refresh_policy = refresh;
}

void dataset_view_of(const struct catalog_dataset *dataset, int64_t hidden_rows,
                     struct lh_arena *arena, struct dataset_view *ret)
{
    *ret = (struct dataset_view){
        .id = dataset->id,
        .name = dataset->name,
        .version = dataset->version,
        .sequence = (int64_t)dataset->sequence,
        .description = said(dataset->description),
        .owner = said(dataset->owner),
        .sensitivity = (int)dataset->sensitivity,
        .tags = dataset->tags,
        .columns = view_columns(dataset, arena),
        .schema_fingerprint = said(dataset->schema),
        .row_count = dataset->row_count - hidden_rows,
        .hidden_rows = hidden_rows,
        .quarantined_rows = dataset->quarantined_rows,
        .byte_count = dataset->byte_count,
        .objects = view_objects(dataset, arena),
        .created_at = {dataset->created_ms},
        .updated_at = {dataset->updated_ms},
        .last_embedded_at = {dataset->last_embedded_at_ms},
        .embedding_stale_since = {dataset->embedding_stale_since_ms},
    };
    view_parts(dataset, arena, ret);
}

void dataset_summary_of(const struct catalog_dataset *dataset, int64_t hidden_rows,
                        struct dataset_summary *ret)
{
    *ret = (struct dataset_summary){
        .id = dataset->id,
        .name = dataset->name,
        .version = dataset->version,
        .description = said(dataset->description),
        .owner = said(dataset->owner),
        .sensitivity = (int)dataset->sensitivity,
        .tags = dataset->tags,
        .column_count = (int64_t)dataset->column_count,
        .row_count = dataset->row_count - hidden_rows,
        .byte_count = dataset->byte_count,
        .object_count = (int64_t)dataset->object_count,
        .updated_at = {dataset->updated_ms},
        .is_overdue = is_overdue(dataset),
    };
}

void version_view_of(const struct catalog_version *version, struct lh_arena *arena,
                     struct version_view *ret)
{
    struct commit_view *commits =
        lh_arena_array(arena, version->commit_count + 1, sizeof(*commits));
    for (size_t i = 0; i < version->commit_count; i++) {
        const struct catalog_commit_info *from = &version->commits[i];
        struct lh_str wanted = from->event_count
                                   ? catalog_event_actor(from->events[0].detail, arena)
                                   : (struct lh_str){0};
        bool is_another = wanted.len && !lh_str_equal(wanted, from->actor);
        commits[i] = (struct commit_view){
            .action = from->action,
            .actor = said(is_another ? wanted : from->actor),
            .committer = is_another ? said(from->actor) : (struct lh_str){0},
            .reason = said(from->reason),
            .job_id = said(from->job_id),
        };
    }
    *ret = (struct version_view){
        .version = version->version,
        .sequence = (int64_t)version->sequence,
        .committed_at = {version->time_ms},
        .row_count = version->row_count,
        .byte_count = version->byte_count,
        .object_count = version->object_count,
        .commits = {commits, version->commit_count},
    };
}
