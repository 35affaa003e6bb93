/* The catalog's datasets as relations: the objects of one version, read as one table. */
#include "query/internal.h"

#include "catalog/catalog.h"
#include "storage/storage.h"

static void unref_dataset(void *dataset)
{
    catalog_dataset_unref(dataset);
}

/* The dataset at that moment; it lives as long as the scope's pins. */
static enum lh_code find(const struct query_datasets *datasets, const struct query_scope *scope,
                         struct lh_str name, const struct query_moment *moment,
                         const struct catalog_dataset **ret, struct lh_error *err)
{
    if (moment->kind == QUERY_NOW)
        return catalog_find(scope->snapshot, name, ret, err);
    struct catalog_as_of as_of = {.when = CATALOG_AT_TIME, .value = moment->unix_ms};
    if (moment->kind == QUERY_AT_VERSION)
        as_of = (struct catalog_as_of){CATALOG_AT_VERSION, (int64_t)moment->version};
    enum lh_code code = catalog_find_at(datasets->catalog, scope->snapshot, name, as_of, ret, err);
    if (!code)
        lh_arena_defer(scope->pins, unref_dataset, (void *)(uintptr_t)*ret);
    return code;
}

/* A dataset's commits each take a lake sequence of their own, whatever changed. A name that is
 * there but unavailable has a stamp too, so that `write` can say why. */
static uint64_t stamp(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment)
{
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(context, scope, name, moment, &dataset, NULL);
    if (code == LH_DAMAGED)
        return UINT64_MAX;
    return code || dataset->is_deleted ? 0 : dataset->sequence;
}

static const struct catalog_schema *find_schema(const struct catalog_dataset *dataset,
                                                struct lh_str fingerprint)
{
    for (size_t i = 0; i < dataset->schema_count; i++)
        if (lh_str_equal(dataset->schemas[i].fingerprint, fingerprint))
            return &dataset->schemas[i];
    return NULL;
}

/* What the files of a schema have of the dataset's columns. */
static bool columns_of(const struct catalog_dataset *dataset, const struct catalog_schema *schema,
                       struct query_relation_column *columns)
{
    bool is_cast = false;
    for (size_t i = 0; i < dataset->column_count; i++) {
        const struct catalog_column *column = &dataset->columns[i];
        columns[i] = (struct query_relation_column){.name = column->name, .type = column->type};
        for (size_t j = 0; schema && j < schema->column_count; j++) {
            if (!lh_str_equal(schema->columns[j].stored_name, column->stored_name))
                continue;
            columns[i].stored = column->stored_name;
            is_cast |= !lh_str_equal(schema->columns[j].type, column->type);
        }
        if (!schema)
            columns[i].stored = column->stored_name;
    }
    return is_cast;
}

/* Objects stay in their order; a run of equal schemas becomes one list of files. */
static enum lh_code write_objects(const struct query_datasets *datasets,
                                  const struct catalog_dataset *dataset,
                                  struct query_relation_writer *writer, struct lh_error *err)
{
    struct lh_arena *arena = writer->arena;
    struct query_relation_files files = {.column_count = dataset->column_count};
    struct query_relation_column *columns =
        lh_arena_try(arena, (dataset->column_count + 1) * sizeof *columns);
    struct lh_str *paths = lh_arena_try(arena, (dataset->object_count + 1) * sizeof *paths);
    if (!columns || !paths)
        return lh_fail(err, LH_BUSY, "There is no memory to read '%.*s'.", LH_ARG(dataset->name));
    files.columns = columns;
    files.paths = paths;
    for (size_t i = 0; i < dataset->object_count; i++) {
        const struct catalog_object *object = dataset->objects[i];
        const struct catalog_object *next =
            i + 1 < dataset->object_count ? dataset->objects[i + 1] : NULL;
        enum lh_code code = storage_object_path(datasets->storage, object->bucket, object->key,
                                                arena, &paths[files.path_count], err);
        if (code == LH_NOT_FOUND || code == LH_INVALID)
            return lh_fail(err, LH_DAMAGED,
                           "The data file '%.*s' of dataset '%.*s' is missing or no ordinary file.",
                           LH_ARG(object->key), LH_ARG(dataset->name));
        if (code)
            return lh_error_context(err, "The dataset '%.*s'", LH_ARG(dataset->name));
        files.path_count++;
        if (next && lh_str_equal(next->schema, object->schema))
            continue;
        bool is_current = lh_str_equal(object->schema, dataset->schema);
        files.is_cast =
            columns_of(dataset, is_current ? NULL : find_schema(dataset, object->schema), columns);
        query_write_files(writer, &files);
        files.path_count = 0;
    }
    if (dataset->object_count == 0) {
        columns_of(dataset, NULL, columns);
        query_write_files(writer, &files);
    }
    return LH_OK;
}

static enum lh_code write(void *context, const struct query_scope *scope, struct lh_str name,
                          const struct query_moment *moment, struct query_relation_writer *writer,
                          struct lh_error *err)
{
    const struct query_datasets *datasets = context;
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(datasets, scope, name, moment, &dataset, err);
    if (code)
        return code;
    if (dataset->is_deleted)
        return lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' did not exist at that moment.",
                       LH_ARG(name));
    query_write_version(writer, dataset->name, (uint64_t)dataset->version);
    return write_objects(datasets, dataset, writer, err);
}

static enum lh_code ensure(void *context, const struct query_scope *scope, struct lh_str name,
                           const struct query_moment *moment, struct lh_error *err)
{
    const struct query_datasets *datasets = context;
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(datasets, scope, name, moment, &dataset, err);
    for (size_t i = 0; !code && i < dataset->object_count; i++)
        code = catalog_ensure_verified(datasets->catalog, dataset->objects[i], scope->cancel, err);
    return code;
}

static void list(void *context, const struct query_scope *scope,
                 void (*each)(void *each_context, struct lh_str name), void *each_context)
{
    (void)context;
    size_t count = catalog_snapshot_count(scope->snapshot);
    for (size_t i = 0; i < count; i++)
        each(each_context, catalog_snapshot_item(scope->snapshot, i)->name);
}

void query_datasets_init(struct query_datasets *datasets, struct catalog *catalog,
                         struct storage *storage)
{
    *datasets = (struct query_datasets){
        .catalog = catalog,
        .storage = storage,
        .relations = {
            .kind = "dataset", .stamp = stamp, .write = write, .ensure = ensure, .list = list}};
    datasets->relations.context = datasets;
}
