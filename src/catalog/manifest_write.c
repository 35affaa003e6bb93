#include "base/clock.h"
#include "catalog/manifest_internal.h"

/* The keys of every object stand in ascending byte order below: the writer asserts it. */

static void put_sha256(struct lh_json *json, const char *key, const uint8_t *sha256)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(sha256, LH_SHA256_BYTES, hex);
    lh_json_put_cstr(json, key, hex);
}

static void put_text(struct lh_json *json, const char *key, struct lh_str text)
{
    if (text.len)
        lh_json_put_str(json, key, text);
}

static void put_texts(struct lh_json *json, const char *key, struct lh_str_list list)
{
    lh_json_key(json, key);
    lh_json_array(json);
    for (size_t i = 0; i < list.count; i++)
        lh_json_str(json, list.items[i]);
    lh_json_array_end(json);
}

static void put_ref(struct lh_json *json, const char *key, const struct manifest_ref *ref)
{
    if (!ref->version)
        return;
    lh_json_key(json, key);
    lh_json_object(json);
    put_sha256(json, "sha256", ref->sha256);
    lh_json_put_int(json, "version", ref->version);
    lh_json_object_end(json);
}

static void put_ranges(struct lh_json *json, const struct catalog_object *object)
{
    if (!object->range_count)
        return;
    lh_json_key(json, "ranges");
    lh_json_array(json);
    for (size_t i = 0; i < object->range_count; i++) {
        const struct catalog_range *range = &object->ranges[i];
        lh_json_object(json);
        lh_json_put_str(json, "column", range->column);
        if (range->max.data)
            lh_json_put_str(json, "max", range->max);
        if (range->min.data)
            lh_json_put_str(json, "min", range->min);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_sources(struct lh_json *json, const struct catalog_object *object)
{
    if (!object->source_count)
        return;
    lh_json_key(json, "sources");
    lh_json_array(json);
    for (size_t i = 0; i < object->source_count; i++) {
        const struct catalog_source *source = &object->sources[i];
        lh_json_object(json);
        if (source->kept != source->rows)
            lh_json_put_int(json, "kept", source->kept);
        put_text(json, "options", source->options);
        if (source->rejects.len) {
            lh_json_put_int(json, "rejected_rows", source->rejected_rows);
            lh_json_put_str(json, "rejects", source->rejects);
        }
        lh_json_put_int(json, "rows", source->rows);
        put_text(json, "sha256", source->sha256);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_objects(struct lh_json *json, const char *key, struct manifest_objects objects)
{
    if (!objects.count)
        return;
    lh_json_key(json, key);
    lh_json_array(json);
    for (size_t i = 0; i < objects.count; i++) {
        const struct catalog_object *object = &objects.items[i];
        lh_json_object(json);
        lh_json_put_int(json, "added_version", object->added_version);
        lh_json_put_str(json, "bucket", object->bucket);
        lh_json_put_int(json, "bytes", object->bytes);
        put_text(json, "content_hash", object->content_hash);
        lh_json_put_str(json, "key", object->key);
        put_ranges(json, object);
        if (object->rejects.len) {
            lh_json_put_int(json, "rejected_rows", object->rejected_rows);
            lh_json_put_str(json, "rejects", object->rejects);
        }
        lh_json_put_int(json, "rows", object->rows);
        put_text(json, "schema", object->schema);
        put_sha256(json, "sha256", object->sha256);
        put_text(json, "source_options", object->source_options);
        put_text(json, "source_sha256", object->source_sha256);
        put_sources(json, object);
        put_text(json, "stands_for", object->stands_for);
        if (object->tombstones_through)
            lh_json_put_int(json, "tombstones_through", object->tombstones_through);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_columns(struct lh_json *json, const struct catalog_dataset *set)
{
    lh_json_key(json, "columns");
    lh_json_array(json);
    for (size_t i = 0; i < set->column_count; i++) {
        const struct catalog_column *column = &set->columns[i];
        lh_json_object(json);
        put_text(json, "description", column->description);
        lh_json_put_bool(json, "is_pii", column->is_pii);
        lh_json_put_str(json, "name", column->name);
        put_text(json, "pii_kind", column->pii_kind);
        lh_json_put_cstr(json, "sensitivity", catalog_sensitivity_names[column->sensitivity]);
        lh_json_put_str(json, "stored_name", column->stored_name);
        lh_json_put_str(json, "type", column->type);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_schemas(struct lh_json *json, const struct catalog_dataset *set)
{
    lh_json_key(json, "schemas");
    lh_json_array(json);
    for (size_t i = 0; i < set->schema_count; i++) {
        const struct catalog_schema *schema = &set->schemas[i];
        lh_json_object(json);
        lh_json_key(json, "columns");
        lh_json_array(json);
        for (size_t k = 0; k < schema->column_count; k++) {
            lh_json_array(json);
            lh_json_str(json, schema->columns[k].stored_name);
            lh_json_str(json, schema->columns[k].type);
            lh_json_array_end(json);
        }
        lh_json_array_end(json);
        lh_json_put_str(json, "fingerprint", schema->fingerprint);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_lineage(struct lh_json *json, const struct catalog_lineage *lineage)
{
    lh_json_key(json, "lineage");
    lh_json_object(json);
    put_text(json, "ingest_job", lineage->ingest_job);
    put_text(json, "source_file", lineage->source_file);
    put_text(json, "source_system", lineage->source_system);
    lh_json_put_int(json, "timestamp_ms", lineage->timestamp_ms);
    lh_json_object_end(json);
}

static void put_refresh(struct lh_json *json, const struct catalog_refresh_policy *refresh)
{
    lh_json_key(json, "embedding_refresh_policy");
    lh_json_object(json);
    lh_json_put_cstr(json, "kind", catalog_refresh_kind_names[refresh->kind]);
    put_text(json, "schedule", refresh->schedule);
    lh_json_object_end(json);
}

static void put_set(struct lh_json *json, uint32_t bits, const struct catalog_dataset *set)
{
    if (!bits)
        return;
    lh_json_key(json, "set");
    lh_json_object(json);
    if (bits & CATALOG_SET_COLUMNS)
        put_columns(json, set);
    if ((bits & MANIFEST_SET_CONTENT) && set->content_version != set->version)
        lh_json_put_int(json, "content_version", set->content_version);
    if (bits & MANIFEST_SET_CREATED)
        lh_json_put_int(json, "created_ms", set->created_ms);
    if (bits & MANIFEST_SET_DELETED)
        lh_json_put_bool(json, "deleted", set->is_deleted);
    if (bits & CATALOG_SET_DESCRIPTION)
        lh_json_put_str(json, "description", set->description);
    if (bits & CATALOG_SET_REFRESH)
        put_refresh(json, &set->refresh);
    if (bits & CATALOG_SET_STALE_SINCE)
        lh_json_put_int(json, "embedding_stale_since_ms", set->embedding_stale_since_ms);
    if (bits & CATALOG_SET_FRESHNESS)
        lh_json_put_int(json, "freshness_max_age_s", set->freshness_max_age_s);
    if (bits & CATALOG_SET_EMBEDDED_AT)
        lh_json_put_int(json, "last_embedded_at_ms", set->last_embedded_at_ms);
    if (bits & CATALOG_SET_LINEAGE)
        put_lineage(json, &set->lineage);
    if (bits & MANIFEST_SET_NAME)
        lh_json_put_str(json, "name", set->name);
    if (bits & CATALOG_SET_OWNER)
        lh_json_put_str(json, "owner", set->owner);
    /* Likewise of nothing set aside; a change may say that nothing is any more. */
    if ((bits & CATALOG_SET_QUARANTINED) &&
        (set->quarantined_files || !(bits & MANIFEST_SET_RETAINED))) {
        lh_json_key(json, "quarantined");
        lh_json_object(json);
        lh_json_put_int(json, "files", set->quarantined_files);
        lh_json_put_int(json, "rows", set->quarantined_rows);
        lh_json_object_end(json);
    }
    /* Nothing expired yet: a checkpoint has the bytes it always had. */
    if ((bits & MANIFEST_SET_RETAINED) && set->retained_version)
        lh_json_put_int(json, "retained_version", set->retained_version);
    if (bits & CATALOG_SET_SCHEMAS)
        put_schemas(json, set);
    if (bits & CATALOG_SET_SENSITIVITY)
        lh_json_put_cstr(json, "sensitivity", catalog_sensitivity_names[set->sensitivity]);
    if (bits & CATALOG_SET_TAGS)
        put_texts(json, "tags", set->tags);
    lh_json_object_end(json);
}

static void put_events(struct lh_json *json, const struct catalog_commit_info *commit)
{
    if (!commit->event_count)
        return;
    lh_json_key(json, "events");
    lh_json_array(json);
    for (size_t i = 0; i < commit->event_count; i++) {
        const struct catalog_event *event = &commit->events[i];
        lh_json_object(json);
        lh_json_put_str(json, "action", event->action);
        put_text(json, "detail", event->detail);
        lh_json_put_str(json, "entity", event->entity);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_commits(struct lh_json *json, const struct manifest *manifest)
{
    lh_json_key(json, "commits");
    lh_json_array(json);
    for (size_t i = 0; i < manifest->commit_count; i++) {
        const struct catalog_commit_info *commit = &manifest->commits[i];
        lh_json_object(json);
        lh_json_put_str(json, "action", commit->action);
        put_text(json, "actor", commit->actor);
        put_events(json, commit);
        put_text(json, "idempotency_key", commit->idempotency_key);
        put_text(json, "job_id", commit->job_id);
        put_text(json, "reason", commit->reason);
        put_text(json, "request_hash", commit->request_hash);
        put_text(json, "result", commit->result);
        lh_json_put_str(json, "uuid", commit->uuid);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

/* A change's own have its version and time, whatever that becomes when it is published anew. */
static void put_moves(struct lh_json *json, const struct manifest *manifest)
{
    if (!manifest->move_count)
        return;
    lh_json_key(json, "moves");
    lh_json_array(json);
    for (size_t i = 0; i < manifest->move_count; i++) {
        const struct catalog_moved *moved = &manifest->moves[i];
        lh_json_object(json);
        lh_json_put_str(json, "from", moved->from);
        lh_json_put_int(json, "through", moved->through);
        if (manifest->is_checkpoint)
            lh_json_put_int(json, "time_ms", moved->time_ms);
        lh_json_put_str(json, "to", moved->to);
        if (manifest->is_checkpoint)
            lh_json_put_int(json, "version", moved->version);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static bool needs_rewrites(struct manifest_objects objects)
{
    for (size_t i = 0; i < objects.count; i++)
        if (objects.items[i].source_count || objects.items[i].stands_for.len)
            return true;
    return false;
}

/* What a release that does not know it would show, sweep or take in twice. */
static void put_features(struct lh_json *json, const struct manifest *manifest)
{
    const struct {
        struct lh_str name;
        bool is_used;
    } rows[] = {
        {lh_lit(MANIFEST_REWRITES), needs_rewrites(manifest->added)},
        {lh_lit(MANIFEST_TOMBSTONES), manifest->tombstones_added.count > 0},
        {lh_lit(MANIFEST_MOVES), manifest->move_count > 0},
        {lh_lit(MANIFEST_KEY_COLUMNS), manifest->has_key_columns},
    };
    lh_json_key(json, "features");
    lh_json_array(json);
    for (size_t i = 0; i < manifest->features.count; i++)
        lh_json_str(json, manifest->features.items[i]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_there = !rows[i].is_used;
        for (size_t k = 0; k < manifest->features.count && !is_there; k++)
            is_there = lh_str_equal(manifest->features.items[k], rows[i].name);
        if (!is_there)
            lh_json_str(json, rows[i].name);
    }
    lh_json_array_end(json);
}

static void put_manifest(struct lh_json *json, const struct manifest *manifest)
{
    char time[LH_TIME_TEXT_BYTES + 1];
    lh_time_format(manifest->time_ms, time);
    lh_json_put_cstr(json, MANIFEST_CHECKSUM_KEY,
                     "0000000000000000000000000000000000000000000000000000000000000000");
    lh_json_put_int(json, "byte_count", manifest->byte_count);
    put_ref(json, "checkpoint", &manifest->checkpoint);
    put_commits(json, manifest);
    lh_json_put_str(json, "dataset", manifest->dataset_id);
    lh_json_put_int(json, "epoch", (int64_t)manifest->epoch);
    put_features(json, manifest);
    lh_json_put_int(json, "format", MANIFEST_FORMAT);
    lh_json_put_cstr(json, "kind", manifest->is_checkpoint ? "checkpoint" : "change");
    put_moves(json, manifest);
    lh_json_put_int(json, "object_count", manifest->object_count);
    put_objects(json, "objects_added", manifest->added);
    if (manifest->removed.count)
        put_texts(json, "objects_removed", manifest->removed);
    put_ref(json, "parent", &manifest->parent);
    if (manifest->removes_all)
        lh_json_put_bool(json, "removes_all", true);
    lh_json_put_int(json, "row_count", manifest->row_count);
    lh_json_put_int(json, "sequence", (int64_t)manifest->sequence);
    put_set(json, manifest->set_bits, &manifest->set);
    lh_json_put_cstr(json, "time", time);
    lh_json_put_int(json, "time_ms", manifest->time_ms);
    put_objects(json, "tombstones_added", manifest->tombstones_added);
    if (manifest->tombstones_removed.count)
        put_texts(json, "tombstones_removed", manifest->tombstones_removed);
    lh_json_put_int(json, "version", manifest->version);
}

enum lh_code manifest_encode(struct manifest *manifest, struct lh_buf *buf, struct lh_error *err)
{
    size_t start = buf->len;
    struct lh_json json;
    lh_json_init(&json, buf);
    json.is_canonical = true;
    lh_json_object(&json);
    put_manifest(&json, manifest);
    lh_json_object_end(&json);
    lh_buf_append_char(buf, '\n');
    enum lh_code code = lh_buf_check(buf, "A manifest", err);
    if (code)
        return code;
    struct lh_str summed = {buf->data + start + MANIFEST_SUMMED_FROM,
                            buf->len - start - MANIFEST_SUMMED_FROM};
    lh_sha256_of(summed, manifest->sha256);
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(manifest->sha256, LH_SHA256_BYTES, hex);
    memcpy(buf->data + start + sizeof MANIFEST_PREFIX - 1, hex, LH_SHA256_HEX_BYTES);
    return LH_OK;
}

struct lh_str manifest_key(struct lh_str dataset_id, int64_t version, bool is_checkpoint,
                           struct lh_arena *arena)
{
    return lh_arena_printf(arena, CATALOG_FOLDER "/%.*s/%020lld%s", LH_ARG(dataset_id),
                           (long long)version, is_checkpoint ? ".checkpoint.json" : ".json");
}

bool manifest_version_of_name(struct lh_str name, int64_t *ret_version, bool *ret_is_checkpoint)
{
    if (name.len < 20)
        return false;
    struct lh_str rest = lh_str_slice(name, 20, name.len);
    bool is_checkpoint = lh_str_equal(rest, lh_lit(".checkpoint.json"));
    int64_t version = 0;
    for (size_t i = 0; i < 20; i++)
        if (name.data[i] < '0' || name.data[i] > '9')
            return false;
    if ((!is_checkpoint && !lh_str_equal(rest, lh_lit(".json"))) ||
        !lh_str_to_int(lh_str_slice(name, 0, 20), &version) || version < 1)
        return false;
    *ret_version = version;
    *ret_is_checkpoint = is_checkpoint;
    return true;
}
