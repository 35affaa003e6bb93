/* What is told of indexes. */
#include <stdlib.h>

#include "search/building.h"
#include "search/watching.h"

static const struct lh_field graph_rows[] = {
    LH_OBJECT(struct search_graph_info, configuration, const struct search_configuration *,
              .fields = &search_configuration_fields, .doc = "That it was made with."),
    LH_INT(struct search_graph_info, ef_search,
           .doc = "Nodes kept on a walk: the configuration's, raised until enough was found."),
    LH_DOUBLE(struct search_graph_info, recall,
              .doc = "Share of the ten nearest that it finds so, as measured."),
    LH_INT(struct search_graph_info, sample, .doc = "Rows of the index that it was measured with."),
    LH_TIME(struct search_graph_info, made_at, .doc = "When it was made and measured."),
    LH_INT(struct search_graph_info, dataset_version, .doc = "That it was made at."),
    LH_INT(struct search_graph_info, rows, .doc = "Chunks that it could find then."),
    LH_INT(struct search_graph_info, tail,
           .doc = "Chunks that came since: searched beside it by looking at all of them."),
    LH_INT(struct search_graph_info, bytes, .doc = "Of its file."),
    LH_LIST(struct search_graph_info, recalls, .fields = &search_graph_recall_fields,
            .doc = "What was measured, by nodes kept."),
};
static const struct lh_fields graph_fields =
    LH_FIELDS_OF(struct search_graph_info, "VectorsIndexGraph", graph_rows);

static const char *const shown_state_names[] = {"building", "ready", "damaged", "unavailable",
                                                NULL};

static const struct lh_field info_rows[] = {
    LH_STR(struct search_index_info, name, .required = true, .doc = "Of the index."),
    LH_STR(struct search_index_info, id, .required = true, .doc = "For ever, whatever its name."),
    LH_CHOICE(struct search_index_info, state, .choices = shown_state_names,
              .doc = "building: not to be searched yet; damaged: its files are not what was "
                     "written; unavailable: its bucket is away."),
    LH_STR(struct search_index_info, problem,
           .doc = "Of damaged and unavailable: what is wrong. A refresh from scratch makes a "
                  "damaged one anew."),
    LH_STR(struct search_index_info, source, .nullable = true,
           .doc = "The dataset's name today; null: it is gone."),
    LH_STR(struct search_index_info, dataset_id, .required = true, .doc = "The dataset's id."),
    LH_STR(struct search_index_info, model, .nullable = true,
           .doc = "What made the vectors; null: they were given."),
    LH_STR(struct search_index_info, model_version, .doc = "Of the model."),
    LH_INT(struct search_index_info, dimensions, .doc = "Numbers of a vector."),
    LH_STR(struct search_index_info, bucket, .required = true, .doc = "Where it lives."),
    LH_STR(struct search_index_info, backend, .required = true,
           .doc = "How it is searched by meaning: hnsw, by a graph; exact, by looking at all."),
    LH_STR(struct search_index_info, id_column, .required = true, .doc = "Of the dataset."),
    LH_STR(struct search_index_info, id_type, .required = true, .doc = "Of that column, in SQL."),
    LH_STR(struct search_index_info, id_prefix, .doc = "Before ids in replies; absent: none."),
    LH_STR_LIST(struct search_index_info, text_columns, .doc = "What is read."),
    LH_STR(struct search_index_info, vector_column, .doc = "Where given vectors come from."),
    LH_INT(struct search_index_info, chunk_size, .doc = "Characters of a chunk."),
    LH_INT(struct search_index_info, overlap, .doc = "Characters that neighbours share."),
    LH_STR(struct search_index_info, language, .doc = "Whose stems the words are found by."),
    LH_DOUBLE(struct search_index_info, recall,
              .doc = "Share of the ten nearest that a search finds: exact search finds all, a "
                     "graph what was measured of it."),
    LH_DOUBLE(struct search_index_info, min_recall,
              .doc = "That searches through its graph shall have; 0: none is promised."),
    LH_OBJECT(struct search_index_info, configuration, const struct search_configuration *,
              .fields = &search_configuration_fields, .doc = "Of its graphs."),
    LH_OBJECT(struct search_index_info, graph, const struct search_graph_info *,
              .fields = &graph_fields, .doc = "Absent: it has none."),
    LH_INT(struct search_index_info, version, .doc = "Grows with everything that is published."),
    LH_INT(struct search_index_info, generation, .doc = "Of its vectors: those of one fit."),
    LH_INT(struct search_index_info, dataset_version, .doc = "That it covers."),
    LH_INT(struct search_index_info, rows, .doc = "Of the dataset at that version."),
    LH_INT(struct search_index_info, chunks, .doc = "Entries of its parts."),
    LH_INT(struct search_index_info, empty_rows, .doc = "Rows without text: nothing finds them."),
    LH_INT(struct search_index_info, null_ids, .doc = "Rows left out: they have no id."),
    LH_INT(struct search_index_info, duplicate_ids,
           .doc = "Rows left out: an earlier one has their id."),
    LH_INT(struct search_index_info, parts, .doc = "Parquet files."),
    LH_INT(struct search_index_info, bytes, .doc = "Their size."),
    LH_STR(struct search_index_info, description, .doc = "For people."),
    LH_OBJECT(struct search_index_info, refresh_policy, const struct search_policy *,
              .fields = &search_policy_fields, .doc = "When it follows its dataset."),
    LH_BOOL(struct search_index_info, has_own_policy,
            .doc = "false: the policy is the dataset's embedding_refresh_policy."),
    LH_BOOL(struct search_index_info, is_stale, .doc = "The dataset has changed since."),
    LH_TIME(struct search_index_info, created_at, .doc = "When it was begun."),
    LH_TIME(struct search_index_info, updated_at, .doc = "When it last changed."),
    LH_STR(struct search_index_info, job_id, .doc = "The job that made or makes this version."),
};
const struct lh_fields search_index_info_fields =
    LH_FIELDS_OF(struct search_index_info, "VectorsIndex", info_rows);

static const struct lh_field policy_rows[] = {
    LH_CHOICE(struct search_policy, kind, .choices = catalog_refresh_kind_names, .required = true,
              .doc = "manual, on_append (after every change) or scheduled."),
    LH_STR(struct search_policy, schedule, .max = 64,
           .doc = "Of scheduled: a cron pattern in UTC (\"30 3 * * *\") or an interval (\"every "
                  "15m\")."),
};
const struct lh_fields search_policy_fields =
    LH_FIELDS_OF(struct search_policy, "IndexRefreshPolicy", policy_rows);

static void copy_columns(struct lh_arena *arena, struct lh_str_list *columns)
{
    struct lh_str *items = lh_arena_array(arena, columns->count + 1, sizeof *items);
    for (size_t i = 0; i < columns->count; i++)
        items[i] = lh_arena_str(arena, columns->items[i]);
    columns->items = items;
}

static void describe_policy(const struct index_manifest *head,
                            const struct catalog_dataset *dataset, struct lh_arena *arena,
                            struct search_index_info *ret)
{
    struct search_policy *policy = lh_arena_alloc(arena, sizeof *policy);
    *policy = search_policy_of(head, dataset);
    policy->schedule = lh_arena_str(arena, policy->schedule);
    ret->refresh_policy = policy;
}

static int64_t count_tail(const struct index_manifest *head)
{
    const struct index_graph_part *covered = head->graph->parts.items;
    int64_t tail = 0;
    for (size_t i = 0; i < head->parts.count; i++) {
        bool is_covered = false;
        for (size_t k = 0; k < head->graph->parts.count && !is_covered; k++)
            is_covered = lh_str_equal(covered[k].key, index_parts(head)[i].key);
        tail += is_covered ? 0 : index_parts(head)[i].entries;
    }
    return tail;
}

static void describe_graph(struct search *search, const struct index_manifest *head,
                           struct lh_arena *arena, struct search_index_info *ret)
{
    const struct index_graph *graph = head->graph;
    struct search_configuration *configurations = lh_arena_array(arena, 2, sizeof *configurations);
    configurations[0] = index_configuration(head);
    ret->configuration = &configurations[0];
    ret->is_promoted = head->promotion && head->promotion->config;
    if (!graph)
        return;
    struct search_graph_info *info = lh_arena_alloc(arena, sizeof *info);
    struct search_graph_recall *recalls =
        lh_arena_array(arena, graph->recalls.count + 1, sizeof *recalls);
    configurations[1] = *graph->configuration;
    for (size_t i = 0; i < graph->recalls.count; i++)
        recalls[i] = ((const struct search_graph_recall *)graph->recalls.items)[i];
    *info = (struct search_graph_info){.configuration = &configurations[1],
                                       .ef_search = graph->ef_search,
                                       .recall = index_graph_recall(graph, 0),
                                       .sample = graph->sample,
                                       .made_at = graph->made_at,
                                       .dataset_version = graph->dataset_version,
                                       .rows = graph->rows,
                                       .tail = count_tail(head),
                                       .bytes = graph->file->bytes,
                                       .recalls = {recalls, graph->recalls.count}};
    ret->graph = info;
    ret->backend = lh_lit("hnsw");
    ret->recall = info->recall;
    struct lh_time at;
    int64_t answers = 0;
    (void)watch_recall(search, head, &ret->recall, &at, &answers);
}

static void describe(struct search *search, const struct index_manifest *head,
                     const struct catalog_snapshot *snapshot, struct lh_arena *arena,
                     struct search_index_info *ret)
{
    const struct catalog_dataset *dataset = NULL;
    const struct index_part *parts = index_parts(head);
    bool has_dataset = !catalog_find_id(snapshot, head->dataset_id, &dataset, NULL);
    *ret = (struct search_index_info){
        .name = lh_arena_str(arena, head->name),
        .id = lh_arena_str(arena, head->id),
        .dataset_id = lh_arena_str(arena, head->dataset_id),
        .model = lh_arena_str(arena, head->model),
        .model_version = lh_arena_str(arena, head->model_version),
        .dimensions = head->dimensions,
        .bucket = lh_arena_str(arena, index_bucket(head)),
        .backend = lh_lit("exact"),
        .id_column = lh_arena_str(arena, head->id_column),
        .id_type = lh_arena_str(arena, head->id_type),
        .id_prefix = lh_arena_str(arena, head->id_prefix),
        .text_columns = head->text_columns,
        .vector_column = lh_arena_str(arena, head->vector_column),
        .chunk_size = head->chunk_size,
        .overlap = head->overlap,
        .language = lh_arena_str(arena, head->language),
        .recall = 1,
        .min_recall = head->min_recall,
        .version = head->version,
        .generation = head->generation,
        .dataset_version = head->dataset_version,
        .rows = head->rows,
        .empty_rows = head->empty_rows,
        .null_ids = head->null_ids,
        .duplicate_ids = head->duplicate_ids,
        .parts = (int64_t)head->parts.count,
        .created_at = head->created_at,
        .updated_at = head->updated_at,
        .job_id = lh_arena_str(arena, head->job_id),
        .description = lh_arena_str(arena, head->description),
        .has_own_policy = head->refresh_policy != NULL,
    };
    ret->state = index_shown_state(search, head, arena, &ret->problem);
    describe_policy(head, has_dataset ? dataset : NULL, arena, ret);
    describe_graph(search, head, arena, ret);
    ret->is_graph_due = has_dataset && graph_is_due(search, head);
    copy_columns(arena, &ret->text_columns);
    for (size_t i = 0; i < head->parts.count; i++) {
        ret->chunks += parts[i].entries;
        ret->bytes += parts[i].bytes;
    }
    if (has_dataset) {
        ret->source = lh_arena_str(arena, dataset->name);
        ret->is_stale = head->state == SEARCH_READY && !index_covers(head, dataset, arena);
    }
}

static int compare_info(const void *a, const void *b)
{
    const struct search_index_info *x = a, *y = b;
    return lh_str_compare_nocase(x->name, y->name);
}

static bool is_wanted(const struct search_index_info *info, const struct search_list_filter *filter,
                      struct lh_str after)
{
    if (after.len && lh_str_compare_nocase(info->name, after) <= 0)
        return false;
    if (filter && filter->source.len && !lh_str_equal_nocase(filter->source, info->source))
        return false;
    return !(filter && filter->model.len && !lh_str_equal(filter->model, info->model));
}

enum lh_code search_list(struct search *search, const struct search_list_filter *filter,
                         struct lh_str after, size_t limit, struct lh_arena *arena,
                         struct search_index_info **ret, size_t *ret_count, struct lh_str *ret_next,
                         struct lh_error *err)
{
    struct index_manifest **heads = NULL;
    size_t count = 0, wanted = 0;
    (void)err;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    registry_heads(search, &heads, &count);
    struct search_index_info *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        describe(search, heads[i], snapshot, arena, &items[wanted]);
        wanted += is_wanted(&items[wanted], filter, after);
        index_manifest_unref(heads[i]);
    }
    free(heads);
    catalog_snapshot_unref(snapshot);
    qsort(items, wanted, sizeof *items, compare_info);
    *ret_next = wanted > limit ? items[limit - 1].name : (struct lh_str){0};
    *ret = items;
    *ret_count = wanted < limit ? wanted : limit;
    return LH_OK;
}

enum lh_code search_get(struct search *search, struct lh_str name, struct lh_arena *arena,
                        struct search_index_info *ret, struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, name, &index, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    describe(search, head, snapshot, arena, ret);
    catalog_snapshot_unref(snapshot);
    index_manifest_unref(head);
    index_unref(index);
    return LH_OK;
}

/* --- one row of an index */

static const struct lh_field chunk_rows[] = {
    LH_INT(struct search_doc_chunk, chunk, .doc = "From 0."),
    LH_STR(struct search_doc_chunk, text, .nullable = true, .doc = "Of the chunk."),
    LH_INT(struct search_doc_chunk, start, .doc = "Where it begins, in characters of the row."),
    LH_JSON(struct search_doc_chunk, vector, .nullable = true, .doc = "A list of floats."),
};
const struct lh_fields search_doc_chunk_fields =
    LH_FIELDS_OF(struct search_doc_chunk, "VectorsDocChunk", chunk_rows);
static const struct lh_field doc_rows[] = {
    LH_STR(struct search_doc, index, .required = true, .doc = "The index."),
    LH_JSON(struct search_doc, id, .required = true, .doc = "Of the row."),
    LH_STR(struct search_doc, content_hash, .required = true, .doc = "Of its text, in hex."),
    LH_BOOL(struct search_doc, is_live, .doc = "The dataset has the row with this text now."),
    LH_LIST(struct search_doc, chunks, .fields = &search_doc_chunk_fields, .doc = "In order."),
};
const struct lh_fields search_doc_fields = LH_FIELDS_OF(struct search_doc, "VectorsDoc", doc_rows);

static struct lh_str vector_text(const struct entries *part, size_t at, struct lh_arena *arena)
{
    if (part->is_blank[at])
        return (struct lh_str){0};
    char *begin = lh_arena_alloc(arena, part->dimensions * (LH_JSON_DOUBLE_BYTES + 1) + 1);
    char *out = begin;
    for (size_t i = 0; i < part->dimensions; i++) {
        *out++ = i ? ',' : '[';
        out = lh_json_write_float(out, part->vectors[at * part->dimensions + i]);
    }
    *out++ = ']';
    return (struct lh_str){begin, (size_t)(out - begin)};
}

static void describe_doc(const struct view *view, size_t ordinal, struct lh_arena *arena,
                         struct search_doc *ret)
{
    size_t at = 0, length = view_row_length(view, ordinal);
    const struct entries *part = view_entry(view, ordinal, &at);
    struct search_doc_chunk *chunks = lh_arena_array(arena, length, sizeof *chunks);
    char hex[SEARCH_HASH_BYTES * 2 + 1];
    for (size_t i = 0; i < length; i++)
        chunks[i] = (struct search_doc_chunk){.chunk = part->chunks[at + i],
                                              .text = lh_arena_str(arena, part->texts_of[at + i]),
                                              .start = part->starts[at + i],
                                              .vector = {.text = vector_text(part, at + i, arena)}};
    lh_hex(part->hashes[at], SEARCH_HASH_BYTES, hex);
    ret->content_hash = lh_arena_str(arena, lh_str_of(hex));
    ret->chunks = (struct lh_list){chunks, length};
}

enum lh_code search_find_doc(struct search *search, struct lh_str index, struct lh_str id,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct search_doc *ret, struct lh_error *err)
{
    struct pin pin;
    enum lh_code code = pin_open(search, index, cancel, &pin, err);
    if (code)
        return code;
    const struct overlay *overlay = pin.overlay;
    const struct index_manifest *manifest = overlay->view->manifest;
    struct lh_str prefix = manifest->id_prefix;
    if (prefix.len && lh_str_starts_with(id, prefix))
        id = lh_str_slice(id, prefix.len, id.len);
    /* What is fresh stands for what is hidden. */
    const struct view *view = overlay->fresh;
    size_t ordinal = view ? view_find(view, id) : VIEW_NONE;
    if (ordinal == VIEW_NONE) {
        view = overlay->view;
        ordinal = view_find(view, id);
    }
    bool is_live = view == overlay->fresh || !overlay->hidden ||
                   (ordinal != VIEW_NONE && !bit_is_set(overlay->hidden, ordinal));
    /* What the index still holds of a row that was deleted is nobody's to read. */
    if (ordinal == VIEW_NONE || (!is_live && pin.dataset->tombstone_stamp)) {
        code = lh_fail(err, LH_NOT_FOUND, "The index '%.*s' has no row with the id '%.*s'.",
                       LH_ARG(manifest->name), LH_ARG(lh_str_head(id, 200)));
    } else {
        *ret = (struct search_doc){.index = lh_arena_str(arena, manifest->name)};
        ret->is_live = is_live;
        ret->id.text = search_id_json(manifest, id, arena);
        describe_doc(view, ordinal, arena, ret);
    }
    pin_release(&pin);
    return code;
}
