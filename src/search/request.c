/* What an index shall be: the request, checked against its dataset, as the first manifest. */
#include "search/view.h"

#include "base/clock.h"
#include "search/building.h"

#define CHUNK_SIZE_MIN 50
#define CHUNK_SIZE_MAX 100000
#define TEXT_COLUMNS_MAX 64

static const struct lh_field request_rows[] = {
    LH_STR(struct search_build_request, index_name, .required = true, .min = 1,
           .max = SEARCH_NAME_BYTES_MAX, .doc = "Of the index: [A-Za-z_][A-Za-z0-9_]{0,62}."),
    LH_STR(struct search_build_request, dataset, .required = true, .min = 1, .max = 255,
           .doc = "What is indexed."),
    LH_STR(struct search_build_request, id_column, .max = 255,
           .doc = "Tells its rows apart: integers, text or UUIDs."),
    LH_STR_LIST(struct search_build_request, text_columns, .max = TEXT_COLUMNS_MAX,
                .doc = "What is read, joined by line breaks."),
    LH_STR(struct search_build_request, vector_column, .max = 255,
           .doc = "Ready vectors instead of a model: lists of floats, all of one length."),
    LH_STR(struct search_build_request, model, .max = 64,
           .doc = "What makes the vectors; absent: the built-in embedder."),
    LH_INT(struct search_build_request, chunk_size, LH_PRESET(SEARCH_CHUNK_SIZE_PRESET),
           .min = CHUNK_SIZE_MIN, .max = CHUNK_SIZE_MAX, .doc = "Characters of a chunk."),
    LH_INT(struct search_build_request, overlap, LH_PRESET(SEARCH_OVERLAP_PRESET), .min = 0,
           .max = CHUNK_SIZE_MAX / 2, .doc = "Characters that neighbouring chunks share."),
    LH_STR(struct search_build_request, id_prefix, .max = 64,
           .doc = "Put before ids in replies; absent: raw ids."),
    LH_STR(struct search_build_request, language, .max = 32,
           .doc = "Whose stems words are found by; absent: english."),
    LH_BOOL(struct search_build_request, from_scratch, .doc = "A refresh makes everything anew."),
};
const struct lh_fields search_build_request_fields =
    LH_FIELDS_OF(struct search_build_request, "VectorsIndexRequest", request_rows);

static enum lh_code fail_field(struct lh_error *err, const char *field)
{
    return lh_error_field(err, lh_str_of(field));
}

static enum lh_code find_column(const struct catalog_dataset *dataset, struct lh_str name,
                                const char *field, const struct catalog_column **ret,
                                struct lh_error *err)
{
    struct lh_str names[256];
    size_t count = 0;
    *ret = catalog_dataset_column(dataset, name);
    if (*ret)
        return LH_OK;
    for (; count < dataset->column_count && count < 256; count++)
        names[count] = dataset->columns[count].name;
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' has no column '%.*s'.", LH_ARG(dataset->name),
            LH_ARG(name));
    if (nearest.len)
        lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    return fail_field(err, field);
}

static bool is_id_type(struct lh_str type)
{
    static const char *const types[] = {"TINYINT", "SMALLINT", "INTEGER",   "BIGINT",
                                        "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
                                        "UBIGINT", "UHUGEINT", "VARCHAR",   "UUID"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (lh_str_equal(type, lh_str_of(types[i])))
            return true;
    return false;
}

static enum lh_code take_id_column(const struct catalog_dataset *dataset,
                                   const struct search_build_request *request,
                                   struct index_manifest *manifest, struct lh_error *err)
{
    const struct catalog_column *column = NULL;
    if (!request->id_column.len) {
        lh_fail(err, LH_INVALID, "id_column says which column tells the rows apart.");
        return fail_field(err, "id_column");
    }
    enum lh_code code = find_column(dataset, request->id_column, "id_column", &column, err);
    if (code)
        return code;
    if (!is_id_type(column->type)) {
        lh_fail(err, LH_INVALID, "The column '%.*s' is %.*s; ids are integers, text or UUIDs.",
                LH_ARG(column->name), LH_ARG(column->type));
        return fail_field(err, "id_column");
    }
    manifest->id_column = lh_arena_str(manifest->arena, column->name);
    manifest->id_type = lh_arena_str(manifest->arena, column->type);
    return LH_OK;
}

static enum lh_code take_text_columns(const struct catalog_dataset *dataset,
                                      const struct search_build_request *request,
                                      struct index_manifest *manifest, struct lh_error *err)
{
    const struct catalog_column *column = NULL;
    size_t count = request->text_columns.count;
    struct lh_str *names = lh_arena_array(manifest->arena, count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        enum lh_code code =
            find_column(dataset, request->text_columns.items[i], "text_columns", &column, err);
        if (code)
            return code;
        for (size_t j = 0; j < i; j++)
            if (lh_str_equal(names[j], column->name)) {
                lh_fail(err, LH_INVALID, "The column '%.*s' is named twice.", LH_ARG(column->name));
                return fail_field(err, "text_columns");
            }
        names[i] = lh_arena_str(manifest->arena, column->name);
    }
    manifest->text_columns = (struct lh_str_list){names, count};
    return LH_OK;
}

static bool is_vector_type(struct lh_str type)
{
    /* FLOAT[], DOUBLE[384], DECIMAL(5,3)[], UTINYINT[] */
    static const char *const numbers[] = {"FLOAT",     "DOUBLE",   "DECIMAL", "TINYINT",
                                          "SMALLINT",  "INTEGER",  "BIGINT",  "UTINYINT",
                                          "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"};
    if (!lh_str_ends_with(type, lh_lit("]")) || lh_str_ends_with(type, lh_lit("][]")))
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (lh_str_starts_with(type, lh_str_of(numbers[i])))
            return true;
    return false;
}

static enum lh_code take_vectors(struct search *search, const struct catalog_dataset *dataset,
                                 const struct search_build_request *request,
                                 struct index_manifest *manifest, struct lh_error *err)
{
    const struct catalog_column *column = NULL;
    const struct search_embedder *embedder = NULL;
    if (request->vector_column.len) {
        enum lh_code code =
            find_column(dataset, request->vector_column, "vector_column", &column, err);
        if (code)
            return code;
        if (request->model.len) {
            lh_fail(err, LH_INVALID, "Vectors come from a column or from a model, not both.");
            return fail_field(err, "model");
        }
        if (!is_vector_type(column->type)) {
            lh_fail(err, LH_INVALID, "The column '%.*s' is %.*s; vectors are lists of floats.",
                    LH_ARG(column->name), LH_ARG(column->type));
            return fail_field(err, "vector_column");
        }
        manifest->vector_column = lh_arena_str(manifest->arena, column->name);
        return LH_OK;
    }
    if (!request->text_columns.count) {
        lh_fail(err, LH_INVALID, "An index needs text_columns or a vector_column.");
        return fail_field(err, "text_columns");
    }
    embedder = find_embedder(search, request->model, (struct lh_str){0});
    if (!embedder) {
        lh_fail(err, LH_NOT_FOUND, "There is no model '%.*s'.", LH_ARG(request->model));
        if (search->options.embedder_count)
            lh_error_hint(err, "There is '%s'.", search->options.embedders[0]->name);
        return fail_field(err, "model");
    }
    manifest->model = lh_arena_str(manifest->arena, lh_str_of(embedder->name));
    manifest->model_version = lh_arena_str(manifest->arena, lh_str_of(embedder->version));
    manifest->dimensions = (int64_t)embedder->dimensions;
    return LH_OK;
}

static enum lh_code check_settings(const struct search_build_request *request, struct lh_error *err)
{
    if (request->language.len && !index_is_language(request->language)) {
        lh_fail(err, LH_INVALID, "No stems of the language '%.*s' are known.",
                LH_ARG(request->language));
        return fail_field(err, "language");
    }
    if (request->chunk_size < CHUNK_SIZE_MIN || request->chunk_size > CHUNK_SIZE_MAX) {
        lh_fail(err, LH_INVALID, "chunk_size is from %d to %d characters.", CHUNK_SIZE_MIN,
                CHUNK_SIZE_MAX);
        return fail_field(err, "chunk_size");
    }
    if (request->overlap < 0 || request->overlap * 2 > request->chunk_size) {
        lh_fail(err, LH_INVALID, "overlap is at most half of chunk_size (%lld).",
                (long long)request->chunk_size);
        return fail_field(err, "overlap");
    }
    return LH_OK;
}

enum lh_code request_manifest(struct search *search, const struct search_build_request *request,
                              struct index_manifest **ret, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct lh_uuid id = lh_uuid_new();
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    struct index_manifest *manifest = index_manifest_new();
    enum lh_code code = catalog_check_name(request->index_name, err);
    if (code)
        fail_field(err, "index_name");
    if (!code)
        code = check_settings(request, err);
    if (!code)
        code = catalog_find(snapshot, request->dataset, &dataset, err);
    if (!code)
        code = take_id_column(dataset, request, manifest, err);
    if (!code)
        code = take_text_columns(dataset, request, manifest, err);
    if (!code)
        code = take_vectors(search, dataset, request, manifest, err);
    if (!code) {
        manifest->id = lh_arena_str(manifest->arena, lh_uuid_str(&id));
        manifest->name = lh_arena_str(manifest->arena, request->index_name);
        manifest->dataset_id = lh_arena_str(manifest->arena, dataset->id);
        manifest->dataset_name = lh_arena_str(manifest->arena, dataset->name);
        manifest->dataset_version = dataset->version;
        manifest->dataset_data = dataset_fingerprint(dataset, manifest->arena);
        manifest->id_prefix = lh_arena_str(manifest->arena, request->id_prefix);
        manifest->language = lh_arena_str(
            manifest->arena, request->language.len ? request->language : lh_lit("english"));
        manifest->chunk_size = request->chunk_size;
        manifest->overlap = request->overlap;
        manifest->generation = 1;
        manifest->state = SEARCH_BUILDING;
        manifest->created_at.unix_ms = lh_clock_unix_ms();
    }
    catalog_snapshot_unref(snapshot);
    if (code)
        index_manifest_unref(manifest);
    else
        *ret = manifest;
    return code;
}

enum lh_code search_check(struct search *search, const struct search_build_request *request,
                          struct lh_error *err)
{
    struct index_manifest *manifest = NULL;
    struct search_index *index = NULL;
    enum lh_code code = request_manifest(search, request, &manifest, err);
    if (code)
        return code;
    index_manifest_unref(manifest);
    if (index_find(search, request->index_name, &index, NULL))
        return LH_OK;
    index_unref(index);
    lh_fail(err, LH_EXISTS, "There is an index '%.*s' already.", LH_ARG(request->index_name));
    return lh_error_hint(err, "POST /vectors/refresh/{dataset} brings it up to date; DELETE "
                              "/vectors/indexes/{name} removes it.");
}

/* Members that were given must be what the index has. */
enum lh_code request_fits(const struct search_build_request *request,
                          const struct index_manifest *manifest, struct lh_error *err)
{
    const char *field = NULL;
    bool same_texts = request->text_columns.count == manifest->text_columns.count;
    for (size_t i = 0; same_texts && i < request->text_columns.count; i++)
        same_texts =
            lh_str_equal_nocase(request->text_columns.items[i], manifest->text_columns.items[i]);
    if (request->id_column.len && !lh_str_equal_nocase(request->id_column, manifest->id_column))
        field = "id_column";
    else if (request->text_columns.count && !same_texts)
        field = "text_columns";
    else if (request->vector_column.len &&
             !lh_str_equal_nocase(request->vector_column, manifest->vector_column))
        field = "vector_column";
    else if (request->language.len && !lh_str_equal(request->language, manifest->language))
        field = "language";
    else if (request->model.len && !lh_str_equal(request->model, manifest->model))
        field = "model";
    if (!field)
        return LH_OK;
    lh_fail(err, LH_CONFLICT, "The index '%.*s' was made with another %s.", LH_ARG(manifest->name),
            field);
    lh_error_hint(err, "Leave it out, or make an index of another name.");
    return fail_field(err, field);
}
