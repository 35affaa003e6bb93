/* The catalog's datasets as relations: the objects of one version, read as one table. */
#include "query/internal.h"

#include <assert.h>

#include "catalog/files.h"
#include "catalog/tombstones.h"
#include "engine/filter.h"
#include "storage/buckets.h"
#include "storage/storage.h"

/* What tombstones hide, for those who may: "__raw__packages". */
#define RAW_PREFIX "__raw__"

static bool is_raw(struct lh_str name, struct lh_str *ret_name)
{
    struct lh_str head = lh_str_head(name, sizeof RAW_PREFIX - 1);
    *ret_name = name;
    if (!lh_str_equal_nocase(head, lh_lit(RAW_PREFIX)))
        return false;
    *ret_name = lh_str_slice(name, head.len, name.len);
    return true;
}

static void unref_dataset(void *dataset)
{
    catalog_dataset_unref(dataset);
}

enum lh_code query_find_dataset(struct catalog *catalog, const struct query_scope *scope,
                                struct lh_str name, const struct query_moment *moment,
                                const struct catalog_dataset **ret, struct lh_error *err)
{
    if (moment->kind == QUERY_NOW)
        return catalog_find(scope->snapshot, name, ret, err);
    struct catalog_as_of as_of = {.when = CATALOG_AT_TIME, .value = moment->unix_ms};
    if (moment->kind == QUERY_AT_VERSION)
        as_of = (struct catalog_as_of){CATALOG_AT_VERSION, (int64_t)moment->version};
    enum lh_code code = catalog_find_at(catalog, scope->snapshot, name, as_of, ret, err);
    if (!code)
        lh_arena_defer(scope->pins, unref_dataset, (void *)(uintptr_t)*ret);
    return code;
}

static enum lh_code find(const struct query_datasets *datasets, const struct query_scope *scope,
                         struct lh_str name, const struct query_moment *moment,
                         const struct catalog_dataset **ret, struct lh_error *err)
{
    if (is_raw(name, &name) && !scope->sees_raw)
        return lh_fail(err, LH_NOT_FOUND, "There is no such dataset.");
    return query_find_dataset(datasets->catalog, scope, name, moment, ret, err);
}

/* Other numbers give another one, and none is lost: each step can be undone. */
static uint64_t mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
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
    if (code || !dataset || dataset->is_deleted)
        return 0;
    /* A tombstone of today counts for all versions, and so does a move of their files. */
    uint64_t hidden = catalog_hidden_stamp(scope->snapshot, dataset);
    uint64_t place = mix((uint64_t)dataset->moved_version);
    uint64_t stamp = mix(hidden ^ mix(dataset->sequence ^ place));
    return stamp && stamp != UINT64_MAX ? stamp : dataset->sequence << 1 | 1;
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

/* --- hidden rows */

struct hiding {
    struct engine *engine;
    uint64_t number;
    struct catalog_hidden *hidden;
    size_t first;    /* object of the first file */
    uint64_t beside; /* query_objects.hides_beside */
};

/* As a scan gives them: rows of one file, one after the other. Every one is looked at, for what is
 * taken for a row that it is not would be shown. No branch, so that the compiler does many at once.
 */
static bool is_run(const uint64_t *files, const int64_t *rows, size_t count)
{
    uint64_t differs = 0;
    for (size_t i = 0; i < count; i++)
        differs |= (files[i] ^ files[0]) | ((uint64_t)rows[i] ^ ((uint64_t)rows[0] + i));
    return differs == 0;
}

/* All of them stay but for the bits that are set, of which there are few. */
static void keep_run(const struct catalog_rows *hidden, uint64_t first, size_t count, bool *ret)
{
    memset(ret, true, count);
    for (uint64_t row = first, end = first + count; hidden && row < end;) {
        size_t page = (size_t)(row / CATALOG_ROWS_PER_PAGE);
        const uint64_t *words = page < hidden->page_count ? hidden->pages[page] : NULL;
        uint64_t page_end = (uint64_t)(page + 1) * CATALOG_ROWS_PER_PAGE;
        if (!words) {
            row = page_end;
            continue;
        }
        uint64_t word_start = row & ~UINT64_C(63);
        uint64_t bits = words[row % CATALOG_ROWS_PER_PAGE / 64] >> (row % 64) << (row % 64);
        for (; bits; bits &= bits - 1) {
            uint64_t at = word_start + (unsigned)__builtin_ctzll(bits);
            if (at < end)
                ret[at - first] = false;
        }
        row = word_start + 64;
    }
}

static void keep(const void *context, const uint64_t *files, const int64_t *rows, size_t count,
                 bool *ret)
{
    const struct hiding *hiding = context;
    const struct catalog_rows *hidden = NULL;
    uint64_t file = UINT64_MAX;
    if (is_run(files, rows, count)) {
        hidden = catalog_hidden_of(hiding->hidden, hiding->first + (size_t)files[0]);
        keep_run(hidden, (uint64_t)rows[0] + hiding->beside, count, ret);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (files[i] != file) {
            file = files[i];
            hidden = catalog_hidden_of(hiding->hidden, hiding->first + (size_t)file);
        }
        ret[i] = !hidden || !catalog_rows_has(hidden, (uint64_t)rows[i] + hiding->beside);
    }
}

static void end_hiding(void *object)
{
    struct hiding *hiding = object;
    engine_filter_remove(hiding->engine, hiding->number);
    catalog_hidden_unref(hiding->hidden);
}

/* The filter of files[first] to files[last]; 0 if none of their rows is hidden. It lives as long as
 * the plan, and every run of the plan holds that. */
static enum lh_code hide(const struct query_objects *objects, size_t first, size_t last,
                         struct lh_arena *arena, uint64_t *ret, struct lh_error *err)
{
    struct engine *engine = objects->engine;
    struct catalog_hidden *hidden = objects->hidden;
    bool has_any = false;
    *ret = 0;
    for (size_t i = first; i <= last && !has_any; i++)
        has_any = catalog_hidden_of(hidden, i) != NULL;
    if (!has_any)
        return LH_OK;
    struct hiding *hiding = lh_arena_alloc(arena, sizeof *hiding);
    *hiding = (struct hiding){.engine = engine, .first = first, .beside = objects->hides_beside};
    const struct engine_filter filter = {.keep = keep, .context = hiding};
    enum lh_code code = engine_filter_add(engine, &filter, &hiding->number, err);
    if (code)
        return code;
    hiding->hidden = catalog_hidden_ref(hidden);
    lh_arena_defer(arena, end_hiding, hiding);
    *ret = hiding->number;
    return LH_OK;
}

static void name_as_stored(const struct catalog_dataset *dataset,
                           struct query_relation_column *columns)
{
    for (size_t i = 0; i < dataset->column_count; i++)
        columns[i].name = dataset->columns[i].stored_name;
}

/* --- files, and what stands in for them */

static bool find_rescued(struct query_rescues *rescues, const struct catalog_object *object,
                         struct lh_str *ret)
{
    struct query_rescued *at = rescues->found;
    for (size_t i = 0; i < rescues->count; i++) {
        at = at && at->next ? at->next : rescues->first;
        if (!lh_str_equal(at->key, object->key) || !lh_str_equal(at->bucket, object->bucket))
            continue;
        rescues->found = at;
        *ret = at->path;
        return true;
    }
    return false;
}

/* What is nowhere is no damage of what is there: the one answer says restore, the other verify. */
static enum lh_code tell_lost(struct storage *storage, const struct catalog_object *object,
                              struct lh_error *err)
{
    struct storage_info info;
    if (storage_info(storage, object->bucket, object->key, &info, NULL) != LH_NOT_FOUND)
        return LH_DAMAGED;
    lh_fail(err, LH_LOST,
            "The data file '%.*s' is missing in the bucket '%.*s', and there is no sound copy to "
            "rescue it from.",
            LH_ARG(object->key), LH_ARG(object->bucket));
    return lh_error_hint(err, "Bring it back there from a backup, or under the same key into the "
                              "rescue bucket; `lakehouse verify` names all that is missing.");
}

/* A local file that was refused with `code`. */
static enum lh_code rescue(struct catalog *catalog, const struct query_scope *scope,
                           const struct catalog_object *object, enum lh_code code,
                           struct lh_str *ret, struct lh_error *err)
{
    struct query_rescues *rescues = scope->rescues;
    code = catalog_rescued_file(catalog, object, code, scope->cancel, scope->pins, ret, err);
    if (code)
        return code;
    struct query_rescued *fresh = lh_arena_alloc(scope->pins, sizeof *fresh);
    *fresh = (struct query_rescued){.bucket = lh_arena_str(scope->pins, object->bucket),
                                    .key = lh_arena_str(scope->pins, object->key),
                                    .path = *ret};
    *(rescues->last ? &rescues->last->next : &rescues->first) = fresh;
    rescues->last = fresh;
    rescues->count++;
    return LH_OK;
}

static enum lh_code path_of(const struct query_objects *objects,
                            const struct catalog_object *object, struct lh_arena *arena,
                            struct lh_str *ret, struct lh_error *err)
{
    const struct query_scope *scope = objects->scope;
    struct lh_error own = LH_ERROR_NONE;
    if (scope && find_rescued(scope->rescues, object, ret))
        return LH_OK;
    enum lh_code code =
        storage_object_path(objects->storage, object->bucket, object->key, arena, ret, &own);
    if (code == LH_NOT_FOUND || code == LH_INVALID)
        code = lh_fail(&own, LH_DAMAGED,
                       "The data file '%.*s' of dataset '%.*s' is missing or no ordinary file.",
                       LH_ARG(object->key), LH_ARG(objects->dataset->name));
    if (code && scope && !storage_is_remote(objects->storage, object->bucket))
        code = rescue(objects->catalog, scope, object, code, ret, &own);
    if (code == LH_DAMAGED && scope)
        code = tell_lost(objects->storage, object, &own);
    else if (code && code != LH_DAMAGED)
        lh_error_context(&own, "The dataset '%.*s'", LH_ARG(objects->dataset->name));
    if (code && err)
        *err = own;
    return code;
}

/* Objects stay in their order; a run of equal schemas becomes one list of files. */
enum lh_code query_write_objects(const struct query_objects *objects,
                                 struct query_relation_writer *writer, struct lh_error *err)
{
    const struct catalog_dataset *dataset = objects->dataset;
    struct lh_arena *arena = writer->arena;
    struct query_relation_files files = {.column_count = dataset->column_count,
                                         .where = objects->where};
    struct query_relation_column *columns =
        lh_arena_try(arena, (dataset->column_count + 1) * sizeof *columns);
    struct lh_str *paths = lh_arena_try(arena, (objects->count + 1) * sizeof *paths);
    if (!columns || !paths)
        return lh_fail(err, LH_BUSY, "There is no memory to read '%.*s'.", LH_ARG(dataset->name));
    files.columns = columns;
    files.paths = paths;
    for (size_t i = 0; i < objects->count; i++) {
        const struct catalog_object *object = dataset->objects[objects->first + i];
        const struct catalog_object *next =
            i + 1 < objects->count ? dataset->objects[objects->first + i + 1] : NULL;
        assert(object);
        enum lh_code code = path_of(objects, object, arena, &paths[files.path_count], err);
        if (code)
            return code;
        files.path_count++;
        if (next && lh_str_equal(next->schema, object->schema))
            continue;
        bool is_current = lh_str_equal(object->schema, dataset->schema);
        files.is_cast =
            columns_of(dataset, is_current ? NULL : find_schema(dataset, object->schema), columns);
        if (objects->is_stored)
            name_as_stored(dataset, columns);
        size_t last = objects->first + i;
        code = hide(objects, last + 1 - files.path_count, last, arena, &files.filter, err);
        if (code)
            return code;
        query_write_files(writer, &files);
        files.path_count = 0;
    }
    if (objects->count == 0) {
        columns_of(dataset, NULL, columns);
        query_write_files(writer, &files);
    }
    return LH_OK;
}

static int64_t count_rows(const struct catalog_dataset *dataset,
                          const struct catalog_hidden *hidden)
{
    int64_t count = 0;
    for (size_t i = 0; i < dataset->object_count; i++) {
        const struct catalog_rows *rows = catalog_hidden_of(hidden, i);
        count += dataset->objects[i]->rows - (rows ? rows->count : 0);
    }
    return count;
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
    assert(dataset);
    if (dataset->is_deleted)
        return lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' did not exist at that moment.",
                       LH_ARG(name));
    query_write_version(writer, dataset->name, (uint64_t)dataset->version);
    struct catalog_hidden *hidden = NULL;
    struct lh_str plain;
    code = catalog_hidden_open(datasets->catalog, scope->snapshot, dataset,
                               is_raw(name, &plain) ? CATALOG_HIDE_REPLACED : CATALOG_HIDE_ALL,
                               datasets->engine, scope->cancel, &hidden, err);
    if (!code)
        code = query_write_objects(&(struct query_objects){.storage = datasets->storage,
                                                           .catalog = datasets->catalog,
                                                           .scope = scope,
                                                           .engine = datasets->engine,
                                                           .dataset = dataset,
                                                           .hidden = hidden,
                                                           .count = dataset->object_count},
                                   writer, err);
    if (!code)
        writer->row_count = (struct lh_opt_int){true, count_rows(dataset, hidden)};
    catalog_hidden_unref(hidden);
    return code;
}

static enum lh_code ensure(void *context, const struct query_scope *scope, struct lh_str name,
                           const struct query_moment *moment, struct lh_error *err)
{
    const struct query_datasets *datasets = context;
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(datasets, scope, name, moment, &dataset, err);
    assert(code || dataset);
    for (size_t i = 0; !code && i < dataset->object_count; i++) {
        const struct catalog_object *object = dataset->objects[i];
        struct lh_str path;
        struct lh_error own = LH_ERROR_NONE;
        bool is_remote = storage_is_remote(datasets->storage, object->bucket);
        code = is_remote ? catalog_object_file(datasets->catalog, object, scope->cancel,
                                               scope->pins, &path, &own)
                         : catalog_ensure_verified(datasets->catalog, object, scope->cancel, &own);
        if (code && !is_remote)
            code = find_rescued(scope->rescues, object, &path)
                       ? LH_OK
                       : rescue(datasets->catalog, scope, object, code, &path, &own);
        if (code == LH_DAMAGED)
            code = tell_lost(datasets->storage, object, &own);
        if (code && is_remote)
            lh_error_context(&own, "The dataset '%.*s'", LH_ARG(dataset->name));
        if (code && err)
            *err = own;
    }
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
                         struct storage *storage, struct engine *engine)
{
    *datasets = (struct query_datasets){
        .catalog = catalog,
        .storage = storage,
        .engine = engine,
        .relations = {
            .kind = "dataset", .stamp = stamp, .write = write, .ensure = ensure, .list = list}};
    datasets->relations.context = datasets;
}
