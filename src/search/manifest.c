/* An index's manifests: canonical JSON that begins with its own checksum, made once, never changed.
 */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/sealed.h"
#include "search/internal.h"

static const struct lh_field object_rows[] = {
    LH_INT(struct index_object, bytes, .doc = "Its size."),
    LH_STR(struct index_object, key, .required = true, .doc = "In its bucket."),
    LH_STR(struct index_object, sha256, .required = true, .doc = "Of the whole file."),
};
static const struct lh_fields object_fields =
    LH_FIELDS_OF(struct index_object, "IndexObject", object_rows);

static const struct lh_field part_rows[] = {
    LH_INT(struct index_part, bytes, .doc = "Its size."),
    LH_INT(struct index_part, entries, .doc = "Rows of the file."),
    LH_STR(struct index_part, key, .required = true, .doc = "In its bucket."),
    LH_STR(struct index_part, sha256, .required = true, .doc = "Of the whole file."),
};
static const struct lh_fields part_fields = LH_FIELDS_OF(struct index_part, "IndexPart", part_rows);

/* Not search_configuration_fields: names ascend here. */
static const struct lh_field configuration_rows[] = {
    LH_INT(struct search_configuration, ef_construction, .doc = "Candidates of a new node."),
    LH_INT(struct search_configuration, ef_search, .doc = "Nodes kept on a walk."),
    LH_INT(struct search_configuration, m, .doc = "Links of a node."),
    LH_INT(struct search_configuration, seed, .doc = "Of the levels."),
};
static const struct lh_fields configuration_fields =
    LH_FIELDS_OF(struct search_configuration, "IndexConfiguration", configuration_rows);

static const struct lh_field graph_part_rows[] = {
    LH_INT(struct index_graph_part, entries, .doc = "Rows of the part."),
    LH_STR(struct index_graph_part, key, .required = true, .doc = "Of the part."),
};
static const struct lh_fields graph_part_fields =
    LH_FIELDS_OF(struct index_graph_part, "IndexGraphPart", graph_part_rows);

static const struct lh_field graph_recall_rows[] = {
    LH_INT(struct search_graph_recall, ef, .doc = "Nodes kept on a walk."),
    LH_DOUBLE(struct search_graph_recall, recall, .doc = "Share of the ten nearest found."),
};
const struct lh_fields search_graph_recall_fields =
    LH_FIELDS_OF(struct search_graph_recall, "GraphRecall", graph_recall_rows);

static const struct lh_field graph_rows[] = {
    LH_OBJECT(struct index_graph, configuration, const struct search_configuration *,
              .fields = &configuration_fields, .required = true, .doc = "That it was made with."),
    LH_INT(struct index_graph, dataset_version, .doc = "That its parts covered."),
    LH_INT(struct index_graph, ef_search, .doc = "That it is asked with."),
    LH_OBJECT(struct index_graph, file, const struct index_object *, .fields = &object_fields,
              .required = true, .doc = "The graph's file."),
    LH_TIME(struct index_graph, made_at, .doc = "When it was made and measured."),
    LH_LIST(struct index_graph, parts, .fields = &graph_part_fields,
            .doc = "In the order of its numbers."),
    LH_LIST(struct index_graph, recalls, .fields = &search_graph_recall_fields,
            .doc = "As measured."),
    LH_INT(struct index_graph, rows, .doc = "That it found when it was made."),
    LH_INT(struct index_graph, sample, .doc = "Rows that it was measured with."),
};
static const struct lh_fields graph_fields =
    LH_FIELDS_OF(struct index_graph, "IndexGraph", graph_rows);

static const struct lh_field next_rows[] = {
    LH_INT(struct index_next, attempt, .doc = "Of the job, that came this far."),
    LH_INT(struct index_next, dimensions, .doc = "Of a vector."),
    LH_INT(struct index_next, generation, .doc = "That it will be."),
    LH_STR(struct index_next, job_id, .required = true, .doc = "That makes it."),
    LH_OBJECT(struct index_next, model_file, const struct index_object *, .fields = &object_fields,
              .doc = "What the model learned."),
    LH_LIST(struct index_next, parts, .fields = &part_fields, .doc = "In their order."),
};
static const struct lh_fields next_fields = LH_FIELDS_OF(struct index_next, "IndexNext", next_rows);

const char *const search_state_names[] = {"building", "ready", NULL};

/* In ascending order of names: that is what makes the text canonical. */
static const struct lh_field manifest_rows[] = {
    LH_INT(struct index_manifest, attempt, .doc = "Of the job."),
    LH_STR(struct index_manifest, bucket, .doc = "Where its files are; absent: primary."),
    LH_INT(struct index_manifest, chunk_size, .doc = "Characters of a chunk."),
    LH_OBJECT(struct index_manifest, configuration, const struct search_configuration *,
              .fields = &configuration_fields, .doc = "Of its graphs; absent: the preset."),
    LH_TIME(struct index_manifest, created_at, .doc = "Of the index."),
    LH_STR(struct index_manifest, dataset_data, .doc = "Fingerprint of the version's files."),
    LH_STR(struct index_manifest, dataset_id, .required = true, .doc = "What it is made from."),
    LH_STR(struct index_manifest, dataset_name, .doc = "Its name then."),
    LH_INT(struct index_manifest, dataset_version, .doc = "That it covers."),
    LH_STR(struct index_manifest, description, .doc = "For people."),
    LH_INT(struct index_manifest, dimensions, .doc = "Of a vector."),
    LH_INT(struct index_manifest, duplicate_ids, .doc = "Rows left out: their id came before."),
    LH_STR(struct index_manifest, elsewhere, .doc = "Where copies may be that go."),
    LH_INT(struct index_manifest, empty_rows, .doc = "Rows without text."),
    LH_INT(struct index_manifest, epoch, .doc = "Of the writing process."),
    LH_INT(struct index_manifest, format, .doc = "Of this file."),
    LH_INT(struct index_manifest, generation, .doc = "Of its vectors."),
    LH_OBJECT(struct index_manifest, graph, const struct index_graph *, .fields = &graph_fields,
              .doc = "Over its parts; absent: there is none."),
    LH_STR(struct index_manifest, id, .required = true, .doc = "A UUID."),
    LH_STR(struct index_manifest, id_column, .required = true, .doc = "Of the dataset."),
    LH_STR(struct index_manifest, id_prefix, .doc = "Before ids in replies."),
    LH_STR(struct index_manifest, id_type, .required = true, .doc = "SQL."),
    LH_BOOL(struct index_manifest, is_deleted, .doc = "The index is gone."),
    LH_STR(struct index_manifest, job_id, .doc = "That wrote it."),
    LH_STR(struct index_manifest, language, .doc = "Of the stems; absent: english."),
    LH_DOUBLE(struct index_manifest, min_recall, .doc = "Of its graph; 0: the preset."),
    LH_STR(struct index_manifest, model, .doc = "Absent: vectors were given."),
    LH_OBJECT(struct index_manifest, model_file, const struct index_object *,
              .fields = &object_fields, .doc = "What the model learned."),
    LH_STR(struct index_manifest, model_version, .doc = "Of the model."),
    LH_STR(struct index_manifest, name, .required = true, .doc = "Of the index."),
    LH_OBJECT(struct index_manifest, next, const struct index_next *, .fields = &next_fields,
              .doc = "A generation that is being made."),
    LH_INT(struct index_manifest, null_ids, .doc = "Rows left out: they have no id."),
    LH_INT(struct index_manifest, overlap, .doc = "Characters that chunks share."),
    LH_LIST(struct index_manifest, parts, .fields = &part_fields, .doc = "In their order."),
    LH_OBJECT(struct index_manifest, promotion, const struct search_promotion *,
              .fields = &search_promotion_fields, .doc = "What is or was promoted last."),
    LH_OBJECT(struct index_manifest, refresh_policy, const struct search_policy *,
              .fields = &search_policy_fields, .doc = "Absent: as the dataset says."),
    LH_STR(struct index_manifest, result, .doc = "Of the job."),
    LH_INT(struct index_manifest, rows, .doc = "Of the dataset at that version."),
    LH_CHOICE(struct index_manifest, state, .choices = search_state_names, .doc = "Of the index."),
    LH_STR_LIST(struct index_manifest, text_columns, .doc = "Of the dataset."),
    LH_TIME(struct index_manifest, updated_at, .doc = "When this was written."),
    LH_STR(struct index_manifest, vector_column, .doc = "Of the dataset."),
    LH_INT(struct index_manifest, version, .doc = "Of the index: the file's name."),
};
static const struct lh_fields manifest_fields =
    LH_FIELDS_OF(struct index_manifest, "IndexManifest", manifest_rows);

struct index_manifest *index_manifest_new(void)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct index_manifest *manifest = lh_arena_alloc(arena, sizeof *manifest);
    manifest->arena = arena;
    atomic_init(&manifest->refs, 1);
    return manifest;
}

struct index_manifest *index_manifest_ref(struct index_manifest *manifest)
{
    atomic_fetch_add(&manifest->refs, 1);
    return manifest;
}

void index_manifest_unref(struct index_manifest *manifest)
{
    if (manifest && atomic_fetch_sub(&manifest->refs, 1) == 1)
        lh_arena_free(manifest->arena);
}

static void copy_texts(struct lh_arena *arena, struct index_manifest *to)
{
    struct lh_str *const texts[] = {
        &to->dataset_data,  &to->dataset_id, &to->dataset_name,
        &to->description,   &to->id,         &to->id_column,
        &to->id_prefix,     &to->id_type,    &to->job_id,
        &to->language,      &to->model,      &to->name,
        &to->model_version, &to->result,     &to->vector_column,
        &to->bucket,        &to->elsewhere,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = lh_arena_str(arena, *texts[i]);
    struct lh_str *columns = lh_arena_array(arena, to->text_columns.count + 1, sizeof *columns);
    for (size_t i = 0; i < to->text_columns.count; i++)
        columns[i] = lh_arena_str(arena, to->text_columns.items[i]);
    to->text_columns.items = columns;
}

static const struct index_object *copy_object(const struct index_object *object,
                                              struct lh_arena *arena)
{
    if (!object)
        return NULL;
    struct index_object *copy = lh_arena_alloc(arena, sizeof *copy);
    *copy = (struct index_object){lh_arena_str(arena, object->key), object->bytes,
                                  lh_arena_str(arena, object->sha256)};
    return copy;
}

void index_manifest_set_next(struct index_manifest *manifest, const struct index_next *next)
{
    struct lh_arena *arena = manifest->arena;
    const struct index_part *parts = next->parts.items;
    struct index_next *copy = lh_arena_alloc(arena, sizeof *copy);
    struct index_part *copies = lh_arena_array(arena, next->parts.count + 1, sizeof *copies);
    *copy = *next;
    copy->job_id = lh_arena_str(arena, next->job_id);
    copy->model_file = copy_object(next->model_file, arena);
    for (size_t i = 0; i < next->parts.count; i++) {
        copies[i] = parts[i];
        copies[i].key = lh_arena_str(arena, parts[i].key);
        copies[i].sha256 = lh_arena_str(arena, parts[i].sha256);
    }
    copy->parts.items = copies;
    manifest->next = copy;
}

void index_manifest_take_next(struct index_manifest *manifest, const struct index_next *next)
{
    const struct index_part *parts = next->parts.items;
    manifest->generation = next->generation;
    manifest->dimensions = next->dimensions;
    manifest->model_file = copy_object(next->model_file, manifest->arena);
    manifest->parts = (struct lh_list){0};
    for (size_t i = 0; i < next->parts.count; i++)
        index_manifest_add_part(manifest, &parts[i]);
}

void index_manifest_set_policy(struct index_manifest *manifest, const struct search_policy *policy)
{
    struct search_policy *copy = lh_arena_alloc(manifest->arena, sizeof *copy);
    *copy = (struct search_policy){policy->kind, lh_arena_str(manifest->arena, policy->schedule)};
    manifest->refresh_policy = copy;
}

static void *copy_bytes(struct lh_arena *arena, const void *from, size_t count)
{
    void *to = lh_arena_alloc(arena, count);
    memcpy(to, from, count);
    return to;
}

void index_manifest_set_configuration(struct index_manifest *manifest,
                                      const struct search_configuration *configuration)
{
    manifest->configuration =
        configuration ? copy_bytes(manifest->arena, configuration, sizeof *configuration) : NULL;
}

void index_manifest_set_graph(struct index_manifest *manifest, const struct index_graph *graph)
{
    struct lh_arena *arena = manifest->arena;
    manifest->graph = NULL;
    if (!graph)
        return;
    struct index_graph *copy = copy_bytes(arena, graph, sizeof *graph);
    const struct index_graph_part *parts = graph->parts.items;
    struct index_graph_part *copies = lh_arena_array(arena, graph->parts.count + 1, sizeof *copies);
    for (size_t i = 0; i < graph->parts.count; i++)
        copies[i] = (struct index_graph_part){parts[i].entries, lh_arena_str(arena, parts[i].key)};
    copy->parts.items = copies;
    if (graph->recalls.count)
        copy->recalls.items = copy_bytes(arena, graph->recalls.items,
                                         graph->recalls.count * sizeof(struct search_graph_recall));
    copy->file = copy_object(graph->file, arena);
    copy->configuration = copy_bytes(arena, graph->configuration, sizeof *graph->configuration);
    manifest->graph = copy;
}

double index_graph_recall(const struct index_graph *graph, int64_t ef)
{
    double recall = NAN;
    if (!graph)
        return recall;
    const struct search_graph_recall *recalls = graph->recalls.items;
    for (size_t i = 0; i < graph->recalls.count; i++)
        if (recalls[i].ef <= (ef ? ef : graph->ef_search))
            recall = recalls[i].recall;
    return recall;
}

/* Served the same way. */
static bool have_same_graph(const struct index_graph *a, const struct index_graph *b)
{
    if (!a || !b)
        return a == b;
    return lh_str_equal(a->file->key, b->file->key) && a->ef_search == b->ef_search;
}

void index_manifest_set_promotion(struct index_manifest *manifest,
                                  const struct search_promotion *promotion)
{
    struct search_promotion *copy = lh_arena_alloc(manifest->arena, sizeof *copy);
    search_promotion_copy(promotion, manifest->arena, copy);
    manifest->promotion = copy;
}

static bool have_same_parts(const struct index_manifest *a, const struct index_manifest *b)
{
    if (a->parts.count != b->parts.count)
        return false;
    for (size_t i = 0; i < a->parts.count; i++)
        if (!lh_str_equal(index_parts(a)[i].key, index_parts(b)[i].key))
            return false;
    return true;
}

bool index_manifest_serves_same(const struct index_manifest *a, const struct index_manifest *b)
{
    return a == b ||
           (a->generation == b->generation && have_same_parts(a, b) && a->state == b->state &&
            a->dataset_version == b->dataset_version &&
            lh_str_equal(a->dataset_data, b->dataset_data) && lh_str_equal(a->name, b->name) &&
            lh_str_equal(a->bucket, b->bucket) && lh_str_equal(a->id_prefix, b->id_prefix) &&
            lh_str_equal(a->language, b->language) && have_same_graph(a->graph, b->graph));
}

struct index_manifest *index_manifest_copy(const struct index_manifest *manifest)
{
    struct index_manifest *copy = index_manifest_new();
    struct lh_arena *arena = copy->arena;
    const struct index_part *parts = manifest->parts.items;
    memcpy(copy, manifest, offsetof(struct index_manifest, arena)); /* others count refs now */
    copy_texts(arena, copy);
    copy->model_file = copy_object(manifest->model_file, arena);
    if (manifest->next)
        index_manifest_set_next(copy, manifest->next);
    if (manifest->refresh_policy)
        index_manifest_set_policy(copy, manifest->refresh_policy);
    index_manifest_set_configuration(copy, manifest->configuration);
    index_manifest_set_graph(copy, manifest->graph);
    if (manifest->promotion)
        index_manifest_set_promotion(copy, manifest->promotion);
    copy->parts = (struct lh_list){0};
    for (size_t i = 0; i < manifest->parts.count; i++)
        index_manifest_add_part(copy, &parts[i]);
    return copy;
}

void index_manifest_add_part(struct index_manifest *manifest, const struct index_part *part)
{
    struct lh_arena *arena = manifest->arena;
    size_t count = manifest->parts.count;
    struct index_part *parts = (struct index_part *)(uintptr_t)manifest->parts.items;
    if ((count & (count - 1)) == 0) { /* a power of two: it is full */
        parts = lh_arena_array(arena, count ? count * 2 : 1, sizeof *parts);
        if (count)
            memcpy(parts, manifest->parts.items, count * sizeof *parts);
    }
    parts[count] = *part;
    parts[count].key = lh_arena_str(arena, part->key);
    parts[count].sha256 = lh_arena_str(arena, part->sha256);
    manifest->parts = (struct lh_list){parts, count + 1};
}

void index_manifest_replace_parts(struct index_manifest *manifest, size_t from, size_t to,
                                  const struct index_part *part)
{
    const struct lh_list before = manifest->parts;
    const struct index_part *parts = before.items;
    assert(from <= to && to <= before.count);
    manifest->parts = (struct lh_list){0};
    for (size_t i = 0; i < from; i++)
        index_manifest_add_part(manifest, &parts[i]);
    if (part)
        index_manifest_add_part(manifest, part);
    for (size_t i = to; i < before.count; i++)
        index_manifest_add_part(manifest, &parts[i]);
}

struct lh_str index_manifest_key(struct lh_str id, int64_t version, struct lh_arena *arena)
{
    return lh_arena_printf(arena, SEARCH_CATALOG_FOLDER "/%.*s/%020lld.json", LH_ARG(id),
                           (long long)version);
}

enum lh_code index_manifest_encode(const struct index_manifest *manifest, struct lh_buf *buf,
                                   struct lh_error *err)
{
    struct lh_buf body;
    struct lh_json json;
    lh_buf_init(&body, SEARCH_MANIFEST_BYTES_MAX);
    lh_json_init(&json, &body);
    json.is_canonical = true;
    lh_fields_write(&manifest_fields, manifest, &json);
    lh_buf_append_char(&body, '\n');
    enum lh_code code = lh_buf_check(&body, "The manifest of an index", err);
    if (!code) {
        lh_sealed_append(buf, lh_buf_str(&body));
        code = lh_buf_check(buf, "The manifest of an index", err);
    }
    lh_buf_release(&body);
    return code;
}

const char *const search_languages[] = {
    "none",      "arabic",     "basque",   "catalan", "danish",     "dutch",
    "english",   "finnish",    "french",   "german",  "greek",      "hindi",
    "hungarian", "indonesian", "irish",    "italian", "lithuanian", "nepali",
    "norwegian", "portuguese", "romanian", "russian", "serbian",    "spanish",
    "swedish",   "tamil",      "turkish",  "yiddish", NULL};

bool index_is_language(struct lh_str name)
{
    for (size_t i = 0; search_languages[i]; i++)
        if (lh_str_equal(name, lh_str_of(search_languages[i])))
            return true;
    return false;
}

static bool is_sound_object(const struct index_object *object)
{
    return object->bytes > 0 && object->sha256.len == LH_SHA256_HEX_BYTES && object->key.len > 0;
}

static bool is_sound_graph(const struct index_graph *graph)
{
    const struct index_graph_part *parts = graph->parts.items;
    bool is_sound = is_sound_object(graph->file) && graph->ef_search > 0 && graph->rows >= 0 &&
                    graph->ef_search <= SEARCH_EF_SEARCH_MAX &&
                    !search_configuration_check(graph->configuration, NULL);
    for (size_t i = 0; i < graph->parts.count && is_sound; i++)
        is_sound = parts[i].entries > 0;
    return is_sound;
}

/* Sound as a file; is it so as an index? */
static enum lh_code check_members(const struct index_manifest *manifest, struct lh_str what,
                                  struct lh_error *err)
{
    bool is_sound = lh_uuid_is_valid(manifest->id) && lh_uuid_is_valid(manifest->dataset_id) &&
                    manifest->version > 0 && manifest->state >= 0 && manifest->dimensions >= 0 &&
                    manifest->dimensions <= SEARCH_DIMENSIONS_MAX &&
                    index_is_language(manifest->language);
    const struct index_part *parts = manifest->parts.items;
    for (size_t i = 0; i < manifest->parts.count && is_sound; i++)
        is_sound = parts[i].bytes > 0 && parts[i].entries > 0 &&
                   parts[i].sha256.len == LH_SHA256_HEX_BYTES && parts[i].key.len > 0;
    if (manifest->graph)
        is_sound = is_sound && is_sound_graph(manifest->graph);
    if (manifest->configuration)
        is_sound = is_sound && !search_configuration_check(manifest->configuration, NULL);
    if (is_sound)
        return LH_OK;
    return lh_fail(err, LH_DAMAGED, "%.*s has its checksum but does not describe an index.",
                   LH_ARG(what));
}

static enum lh_code bind(json_t *root, struct lh_str what, struct index_manifest *manifest,
                         struct lh_error *err)
{
    struct lh_arena *arena = manifest->arena;
    struct lh_error why = LH_ERROR_NONE;
    int64_t format = json_integer_value(json_object_get(root, "format"));
    if (format > SEARCH_FORMAT_PLACED) {
        lh_fail(err, LH_FORMAT, "%.*s has format %lld, this release reads up to %d.", LH_ARG(what),
                (long long)format, SEARCH_FORMAT_PLACED);
        return lh_error_hint(err, "Open the lake with the release that wrote it, or a newer one.");
    }
    json_object_del(root, LH_SEALED_MEMBER);
    lh_fields_preset(&manifest_fields, manifest);
    enum lh_code code = lh_fields_bind_json(&manifest_fields, root, arena, manifest, &why);
    if (!code)
        code = lh_fields_check(&manifest_fields, manifest, &why);
    manifest->arena = arena;
    atomic_init(&manifest->refs, 1);
    if (!manifest->language.len) /* written before there was a choice */
        manifest->language = lh_lit("english");
    if (code)
        return lh_fail(err, LH_DAMAGED, "%.*s: %s", LH_ARG(what), why.message);
    return check_members(manifest, what, err);
}

enum lh_code index_manifest_decode(struct lh_str bytes, struct lh_str what,
                                   struct index_manifest **ret, struct lh_error *err)
{
    json_t *root = NULL;
    enum lh_code code = lh_sealed_check(bytes, what, err);
    if (code)
        return code;
    code = lh_sealed_parse(bytes, what, SEARCH_MANIFEST_BYTES_MAX, &root, err);
    if (code)
        return code;
    struct index_manifest *manifest = index_manifest_new();
    code = bind(root, what, manifest, err);
    json_decref(root);
    if (code)
        index_manifest_unref(manifest);
    else
        *ret = manifest;
    return code;
}
