#include "base/sealed.h"
#include "catalog/manifest_internal.h"

/* Remembers the first thing that is wrong, so that a row of reads is checked once. Strings are
 * copied: the tree ends before the manifest does. */
struct reader {
    struct lh_arena *arena;
    const char *wrong; /* the member; NULL while all is well */
};

static const json_t *member(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

static void mark(struct reader *reader, const char *key)
{
    if (!reader->wrong)
        reader->wrong = key;
}

static struct lh_str text_of(struct reader *reader, const json_t *value, const char *key)
{
    if (!json_is_string(value)) {
        mark(reader, key);
        return (struct lh_str){0};
    }
    struct lh_str text = {json_string_value(value), json_string_length(value)};
    return lh_arena_str(reader->arena, text);
}

static struct lh_str get_text(struct reader *reader, const json_t *object, const char *key,
                              bool required)
{
    const json_t *value = member(object, key);
    if (!value && !required)
        return (struct lh_str){0};
    return text_of(reader, value, key);
}

static int64_t get_int(struct reader *reader, const json_t *object, const char *key, int64_t min)
{
    const json_t *value = member(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < min) {
        mark(reader, key);
        return min;
    }
    return json_integer_value(value);
}

static bool get_bool(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = member(object, key);
    if (value && !json_is_boolean(value))
        mark(reader, key);
    return json_is_true(value);
}

static void get_sha256(struct reader *reader, const json_t *object, const char *key, uint8_t *ret)
{
    const json_t *value = member(object, key);
    struct lh_str hex = lh_str_of(json_string_value(value));
    if (!lh_hex_parse(hex, ret, LH_SHA256_BYTES))
        mark(reader, key);
}

static int get_choice(struct reader *reader, const json_t *object, const char *key,
                      const char *const *choices)
{
    struct lh_str text = lh_str_of(json_string_value(member(object, key)));
    for (int i = 0; choices[i]; i++)
        if (lh_str_equal(text, lh_str_of(choices[i])))
            return i;
    mark(reader, key);
    return 0;
}

/* An optional list; the count of its items. */
static const json_t *get_list(struct reader *reader, const json_t *object, const char *key,
                              size_t *ret_count)
{
    const json_t *list = member(object, key);
    if (list && !json_is_array(list))
        mark(reader, key);
    *ret_count = json_array_size(list);
    return list;
}

static struct lh_str_list get_texts(struct reader *reader, const json_t *object, const char *key)
{
    struct lh_str_list ret = {0};
    const json_t *list = get_list(reader, object, key, &ret.count);
    if (!ret.count)
        return ret;
    struct lh_str *items = lh_arena_array(reader->arena, ret.count, sizeof *items);
    for (size_t i = 0; i < ret.count; i++)
        items[i] = text_of(reader, json_array_get(list, i), key);
    ret.items = items;
    return ret;
}

static struct manifest_ref get_ref(struct reader *reader, const json_t *object, const char *key)
{
    struct manifest_ref ref = {0};
    const json_t *value = member(object, key);
    if (!value)
        return ref;
    ref.version = get_int(reader, value, "version", 1);
    get_sha256(reader, value, "sha256", ref.sha256);
    return ref;
}

static void get_ranges(struct reader *reader, const json_t *value, struct catalog_object *object)
{
    const json_t *list = get_list(reader, value, "ranges", &object->range_count);
    if (!object->range_count)
        return;
    struct catalog_range *ranges =
        lh_arena_array(reader->arena, object->range_count, sizeof *ranges);
    for (size_t i = 0; i < object->range_count; i++) {
        const json_t *item = json_array_get(list, i);
        ranges[i].column = get_text(reader, item, "column", true);
        ranges[i].min = get_text(reader, item, "min", false);
        ranges[i].max = get_text(reader, item, "max", false);
    }
    object->ranges = ranges;
}

static void get_sources(struct reader *reader, const json_t *value, struct catalog_object *object)
{
    const json_t *list = get_list(reader, value, "sources", &object->source_count);
    if (!object->source_count)
        return;
    struct catalog_source *sources =
        lh_arena_array(reader->arena, object->source_count, sizeof *sources);
    for (size_t i = 0; i < object->source_count; i++) {
        const json_t *item = json_array_get(list, i);
        sources[i].sha256 = get_text(reader, item, "sha256", false);
        sources[i].options = get_text(reader, item, "options", false);
        sources[i].rows = get_int(reader, item, "rows", 0);
        sources[i].kept = member(item, "kept") ? get_int(reader, item, "kept", 0) : sources[i].rows;
        sources[i].rejects = get_text(reader, item, "rejects", false);
        sources[i].rejected_rows =
            sources[i].rejects.len ? get_int(reader, item, "rejected_rows", 1) : 0;
    }
    object->sources = sources;
}

static struct manifest_objects get_objects(struct reader *reader, const json_t *root,
                                           const char *key)
{
    struct manifest_objects ret = {0};
    const json_t *list = get_list(reader, root, key, &ret.count);
    if (!ret.count)
        return ret;
    struct catalog_object *items = lh_arena_array(reader->arena, ret.count, sizeof *items);
    for (size_t i = 0; i < ret.count; i++) {
        const json_t *value = json_array_get(list, i);
        struct catalog_object *object = &items[i];
        object->bucket = get_text(reader, value, "bucket", true);
        object->key = get_text(reader, value, "key", true);
        object->bytes = get_int(reader, value, "bytes", 0);
        object->rows = get_int(reader, value, "rows", 0);
        get_sha256(reader, value, "sha256", object->sha256);
        object->content_hash = get_text(reader, value, "content_hash", false);
        object->schema = get_text(reader, value, "schema", false);
        get_ranges(reader, value, object);
        object->source_sha256 = get_text(reader, value, "source_sha256", false);
        object->source_options = get_text(reader, value, "source_options", false);
        object->added_version = get_int(reader, value, "added_version", 1);
        if (member(value, "tombstones_through"))
            object->tombstones_through = get_int(reader, value, "tombstones_through", 1);
        object->rejects = get_text(reader, value, "rejects", false);
        object->rejected_rows =
            object->rejects.len ? get_int(reader, value, "rejected_rows", 1) : 0;
        get_sources(reader, value, object);
        object->stands_for = get_text(reader, value, "stands_for", false);
    }
    ret.items = items;
    return ret;
}

static void get_columns(struct reader *reader, const json_t *set, struct catalog_dataset *ret)
{
    const json_t *list = get_list(reader, set, "columns", &ret->column_count);
    struct catalog_column *columns =
        lh_arena_array(reader->arena, ret->column_count + 1, sizeof *columns);
    for (size_t i = 0; i < ret->column_count; i++) {
        const json_t *value = json_array_get(list, i);
        columns[i].name = get_text(reader, value, "name", true);
        columns[i].stored_name = get_text(reader, value, "stored_name", true);
        columns[i].type = get_text(reader, value, "type", true);
        columns[i].sensitivity = (enum catalog_sensitivity)get_choice(reader, value, "sensitivity",
                                                                      catalog_sensitivity_names);
        columns[i].is_pii = get_bool(reader, value, "is_pii");
        columns[i].pii_kind = get_text(reader, value, "pii_kind", false);
        columns[i].description = get_text(reader, value, "description", false);
    }
    ret->columns = columns;
}

static void get_schema(struct reader *reader, const json_t *value, struct catalog_schema *ret)
{
    ret->fingerprint = get_text(reader, value, "fingerprint", true);
    const json_t *list = get_list(reader, value, "columns", &ret->column_count);
    struct catalog_schema_column *columns =
        lh_arena_array(reader->arena, ret->column_count + 1, sizeof *columns);
    for (size_t i = 0; i < ret->column_count; i++) {
        const json_t *pair = json_array_get(list, i);
        columns[i].stored_name = text_of(reader, json_array_get(pair, 0), "schemas");
        columns[i].type = text_of(reader, json_array_get(pair, 1), "schemas");
    }
    ret->columns = columns;
}

static void get_schemas(struct reader *reader, const json_t *set, struct catalog_dataset *ret)
{
    const json_t *list = get_list(reader, set, "schemas", &ret->schema_count);
    struct catalog_schema *schemas =
        lh_arena_array(reader->arena, ret->schema_count + 1, sizeof *schemas);
    for (size_t i = 0; i < ret->schema_count; i++)
        get_schema(reader, json_array_get(list, i), &schemas[i]);
    ret->schemas = schemas;
}

static void get_lineage(struct reader *reader, const json_t *set, struct catalog_lineage *ret)
{
    const json_t *value = member(set, "lineage");
    ret->source_system = get_text(reader, value, "source_system", false);
    ret->source_file = get_text(reader, value, "source_file", false);
    ret->ingest_job = get_text(reader, value, "ingest_job", false);
    ret->timestamp_ms = get_int(reader, value, "timestamp_ms", INT64_MIN);
}

static uint32_t bits_of(const json_t *set)
{
    static const struct {
        const char *key;
        uint32_t bit;
    } rows[] = {
        {"columns", CATALOG_SET_COLUMNS},
        {"content_version", MANIFEST_SET_CONTENT},
        {"created_ms", MANIFEST_SET_CREATED},
        {"deleted", MANIFEST_SET_DELETED},
        {"description", CATALOG_SET_DESCRIPTION},
        {"embedding_refresh_policy", CATALOG_SET_REFRESH},
        {"embedding_stale_since_ms", CATALOG_SET_STALE_SINCE},
        {"freshness_max_age_s", CATALOG_SET_FRESHNESS},
        {"last_embedded_at_ms", CATALOG_SET_EMBEDDED_AT},
        {"lineage", CATALOG_SET_LINEAGE},
        {"name", MANIFEST_SET_NAME},
        {"owner", CATALOG_SET_OWNER},
        {"quarantined", CATALOG_SET_QUARANTINED},
        {"retained_version", MANIFEST_SET_RETAINED},
        {"schemas", CATALOG_SET_SCHEMAS},
        {"sensitivity", CATALOG_SET_SENSITIVITY},
        {"tags", CATALOG_SET_TAGS},
    };
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (member(set, rows[i].key))
            bits |= rows[i].bit;
    return bits;
}

static void get_set(struct reader *reader, const json_t *root, struct manifest *manifest)
{
    const json_t *set = member(root, "set");
    struct catalog_dataset *ret = &manifest->set;
    uint32_t bits = manifest->set_bits = bits_of(set);
    if (bits & CATALOG_SET_COLUMNS)
        get_columns(reader, set, ret);
    if (bits & MANIFEST_SET_CONTENT)
        ret->content_version = get_int(reader, set, "content_version", 1);
    if (bits & MANIFEST_SET_CREATED)
        ret->created_ms = get_int(reader, set, "created_ms", INT64_MIN);
    ret->is_deleted = get_bool(reader, set, "deleted");
    ret->description = get_text(reader, set, "description", false);
    if (bits & CATALOG_SET_REFRESH) {
        const json_t *policy = member(set, "embedding_refresh_policy");
        ret->refresh.kind = (enum catalog_refresh_kind)get_choice(reader, policy, "kind",
                                                                  catalog_refresh_kind_names);
        ret->refresh.schedule = get_text(reader, policy, "schedule", false);
    }
    if (bits & CATALOG_SET_STALE_SINCE)
        ret->embedding_stale_since_ms = get_int(reader, set, "embedding_stale_since_ms", INT64_MIN);
    if (bits & CATALOG_SET_FRESHNESS)
        ret->freshness_max_age_s = get_int(reader, set, "freshness_max_age_s", 0);
    if (bits & CATALOG_SET_EMBEDDED_AT)
        ret->last_embedded_at_ms = get_int(reader, set, "last_embedded_at_ms", INT64_MIN);
    if (bits & CATALOG_SET_LINEAGE)
        get_lineage(reader, set, &ret->lineage);
    ret->name = get_text(reader, set, "name", false);
    ret->owner = get_text(reader, set, "owner", false);
    if (bits & CATALOG_SET_QUARANTINED) {
        ret->quarantined_files = get_int(reader, member(set, "quarantined"), "files", 0);
        ret->quarantined_rows = get_int(reader, member(set, "quarantined"), "rows", 0);
    }
    if (bits & MANIFEST_SET_RETAINED)
        ret->retained_version = get_int(reader, set, "retained_version", 1);
    if (bits & CATALOG_SET_SCHEMAS)
        get_schemas(reader, set, ret);
    if (bits & CATALOG_SET_SENSITIVITY)
        ret->sensitivity = (enum catalog_sensitivity)get_choice(reader, set, "sensitivity",
                                                                catalog_sensitivity_names);
    ret->tags = get_texts(reader, set, "tags");
}

static void get_events(struct reader *reader, const json_t *value, struct catalog_commit_info *ret)
{
    const json_t *list = get_list(reader, value, "events", &ret->event_count);
    if (!ret->event_count)
        return;
    struct catalog_event *events = lh_arena_array(reader->arena, ret->event_count, sizeof *events);
    for (size_t i = 0; i < ret->event_count; i++) {
        const json_t *item = json_array_get(list, i);
        events[i].entity = get_text(reader, item, "entity", true);
        events[i].action = get_text(reader, item, "action", true);
        events[i].detail = get_text(reader, item, "detail", false);
    }
    ret->events = events;
}

static void get_commits(struct reader *reader, const json_t *root, struct manifest *manifest)
{
    const json_t *list = get_list(reader, root, "commits", &manifest->commit_count);
    struct catalog_commit_info *commits =
        lh_arena_array(reader->arena, manifest->commit_count + 1, sizeof *commits);
    for (size_t i = 0; i < manifest->commit_count; i++) {
        const json_t *item = json_array_get(list, i);
        commits[i].uuid = get_text(reader, item, "uuid", true);
        commits[i].action = get_text(reader, item, "action", true);
        commits[i].actor = get_text(reader, item, "actor", false);
        commits[i].reason = get_text(reader, item, "reason", false);
        commits[i].job_id = get_text(reader, item, "job_id", false);
        commits[i].idempotency_key = get_text(reader, item, "idempotency_key", false);
        commits[i].request_hash = get_text(reader, item, "request_hash", false);
        commits[i].result = get_text(reader, item, "result", false);
        get_events(reader, item, &commits[i]);
    }
    manifest->commits = commits;
}

static void get_moves(struct reader *reader, const json_t *root, struct manifest *manifest)
{
    const json_t *list = get_list(reader, root, "moves", &manifest->move_count);
    if (!manifest->move_count)
        return;
    struct catalog_moved *moves =
        lh_arena_array(reader->arena, manifest->move_count, sizeof *moves);
    bool is_checkpoint = manifest->is_checkpoint;
    for (size_t i = 0; i < manifest->move_count; i++) {
        const json_t *item = json_array_get(list, i);
        moves[i] = (struct catalog_moved){
            .from = get_text(reader, item, "from", true),
            .to = get_text(reader, item, "to", true),
            .through = get_int(reader, item, "through", 1),
            .version = is_checkpoint ? get_int(reader, item, "version", 1) : manifest->version,
            .time_ms =
                is_checkpoint ? get_int(reader, item, "time_ms", INT64_MIN) : manifest->time_ms,
        };
        if (moves[i].through >= moves[i].version || moves[i].version > manifest->version)
            mark(reader, "moves");
    }
    manifest->moves = moves;
}

static void get_manifest(struct reader *reader, const json_t *root, struct manifest *manifest)
{
    static const char *const kinds[] = {"change", "checkpoint", NULL};
    manifest->is_checkpoint = get_choice(reader, root, "kind", kinds) == 1;
    manifest->dataset_id = get_text(reader, root, "dataset", true);
    manifest->version = get_int(reader, root, "version", 1);
    manifest->sequence = (uint64_t)get_int(reader, root, "sequence", 1);
    manifest->epoch = (uint64_t)get_int(reader, root, "epoch", 1);
    manifest->time_ms = get_int(reader, root, "time_ms", INT64_MIN);
    manifest->parent = get_ref(reader, root, "parent");
    manifest->checkpoint = get_ref(reader, root, "checkpoint");
    get_set(reader, root, manifest);
    manifest->removes_all = get_bool(reader, root, "removes_all");
    manifest->added = get_objects(reader, root, "objects_added");
    manifest->removed = get_texts(reader, root, "objects_removed");
    manifest->tombstones_added = get_objects(reader, root, "tombstones_added");
    manifest->tombstones_removed = get_texts(reader, root, "tombstones_removed");
    get_moves(reader, root, manifest);
    manifest->row_count = get_int(reader, root, "row_count", 0);
    manifest->object_count = get_int(reader, root, "object_count", 0);
    manifest->byte_count = get_int(reader, root, "byte_count", 0);
    get_commits(reader, root, manifest);
    if (manifest->is_checkpoint ? manifest->parent.version != manifest->version
                                : manifest->parent.version >= manifest->version)
        mark(reader, "parent");
    if (!lh_uuid_is_valid(manifest->dataset_id))
        mark(reader, "dataset");
}

static enum lh_code check_sum(struct lh_str bytes, struct lh_str what, uint8_t *ret_sha256,
                              struct lh_error *err)
{
    uint8_t written[LH_SHA256_BYTES];
    if (bytes.len <= MANIFEST_SUMMED_FROM || !lh_str_starts_with(bytes, lh_lit(MANIFEST_PREFIX)) ||
        !lh_hex_parse(lh_str_slice(bytes, sizeof MANIFEST_PREFIX - 1, LH_SHA256_HEX_BYTES), written,
                      sizeof written))
        return lh_fail(err, LH_DAMAGED, "%.*s does not begin with its checksum.", LH_ARG(what));
    lh_sha256_of(lh_str_slice(bytes, MANIFEST_SUMMED_FROM, bytes.len), ret_sha256);
    if (memcmp(ret_sha256, written, sizeof written) != 0)
        return lh_fail(err, LH_DAMAGED, "%.*s does not have the checksum that it was written with.",
                       LH_ARG(what));
    return LH_OK;
}

/* Before anything else is understood: may this release read the file at all? */
static enum lh_code check_format(struct reader *reader, const json_t *root, struct lh_str what,
                                 struct manifest *manifest, struct lh_error *err)
{
    int64_t format = get_int(reader, root, "format", 1);
    manifest->features = get_texts(reader, root, "features");
    if (!reader->wrong && format > MANIFEST_FORMAT) {
        lh_fail(err, LH_FORMAT, "%.*s has format %lld, this release reads up to %d.", LH_ARG(what),
                (long long)format, MANIFEST_FORMAT);
        return lh_error_hint(err, "Open the lake with the release that wrote it, or a newer one.");
    }
    for (size_t i = 0; i < manifest->features.count && !reader->wrong; i++) {
        if (lh_str_equal(manifest->features.items[i], lh_lit(MANIFEST_KEY_COLUMNS))) {
            manifest->has_key_columns = true;
            continue;
        }
        if (lh_str_equal(manifest->features.items[i], lh_lit(MANIFEST_TOMBSTONES)) ||
            lh_str_equal(manifest->features.items[i], lh_lit(MANIFEST_MOVES)) ||
            lh_str_equal(manifest->features.items[i], lh_lit(MANIFEST_REWRITES)))
            continue;
        lh_fail(err, LH_FORMAT, "%.*s needs the feature '%.*s', which this release does not have.",
                LH_ARG(what), LH_ARG(manifest->features.items[i]));
        return lh_error_hint(err, "Open the lake with the release that wrote it, or a newer one.");
    }
    return LH_OK;
}

enum lh_code manifest_decode(struct lh_str bytes, struct lh_str what, struct lh_arena *arena,
                             struct manifest *ret, struct lh_error *err)
{
    struct reader reader = {.arena = arena};
    struct manifest manifest = {0};
    json_t *root = NULL;
    enum lh_code code = check_sum(bytes, what, manifest.sha256, err);
    if (code)
        goto out;
    code = lh_sealed_parse(bytes, what, MANIFEST_BYTES_MAX, &root, err);
    if (code)
        goto out;
    code = check_format(&reader, root, what, &manifest, err);
    if (code)
        goto out;
    get_manifest(&reader, root, &manifest);
    if (reader.wrong) {
        code =
            lh_fail(err, LH_DAMAGED, "%.*s: the member '%s' is missing or not what it should be.",
                    LH_ARG(what), reader.wrong);
        goto out;
    }
    *ret = manifest;
out:
    json_decref(root);
    return code;
}
