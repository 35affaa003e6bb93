/* Rows that were not taken, as SQL sees them: a table `__rejects__NAME` beside each dataset, of the
 * files in the version that is asked for. Who may read the dataset may read them. */
#include "catalog/rejects.h"
#include "engine/engine.h"
#include "lake/internal.h"
#include "query/relations.h"
#include "storage/storage.h"

#define PREFIX "__rejects__"

static enum lh_code find(const struct rejects_source *source, const struct query_scope *scope,
                         struct lh_str name, const struct query_moment *moment,
                         const struct catalog_dataset **ret, struct lh_error *err)
{
    struct lh_str head = lh_str_head(name, sizeof PREFIX - 1);
    if (!scope->snapshot || !lh_str_equal_nocase(head, lh_lit(PREFIX)))
        return lh_fail(err, LH_NOT_FOUND, "There is no such table.");
    name = lh_str_slice(name, head.len, name.len);
    return query_find_dataset(source->catalog, scope, name, moment, ret, err);
}

/* An erasure writes such files anew in their place. */
static uint64_t state_of(const struct storage_info *info)
{
    return (uint64_t)info->changed_ns ^ info->inode * UINT64_C(0xbf58476d1ce4e5b9) ^
           (uint64_t)info->bytes;
}

static uint64_t mix_state(const struct rejects_source *source, uint64_t stamp, struct lh_str key)
{
    struct storage_info info = {0};
    if (!key.len || storage_info(source->storage, STORAGE_PRIMARY, key, &info, NULL))
        return stamp;
    return (stamp ^ state_of(&info)) * UINT64_C(0x94d049bb133111eb);
}

static uint64_t stamp(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment)
{
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(context, scope, name, moment, &dataset, NULL);
    if (code == LH_DAMAGED)
        return UINT64_MAX;
    if (code || dataset->is_deleted)
        return 0;
    uint64_t stamp = dataset->sequence;
    for (size_t i = 0; i < dataset->object_count; i++) {
        const struct catalog_object *object = dataset->objects[i];
        stamp = mix_state(context, stamp, object->rejects);
        for (size_t j = 0; j < object->source_count; j++)
            stamp = mix_state(context, stamp, object->sources[j].rejects);
    }
    return stamp << 1 | 1;
}

/* One more file of the list, unless there is none; `sql` NULL: it is only looked at. */
static enum lh_code add_file(const struct rejects_source *source, const struct query_scope *scope,
                             struct lh_str key, struct lh_arena *arena, struct lh_buf *sql,
                             struct lh_error *err)
{
    struct lh_str path;
    struct storage_info info = {0};
    if (!key.len)
        return LH_OK;
    enum lh_code code = catalog_rejects_ensure(source->catalog, key, scope->cancel, &info, err);
    if (code || !sql)
        return code;
    code = storage_object_path(source->storage, STORAGE_PRIMARY, key, arena, &path, err);
    if (code)
        return code;
    lh_buf_append_str(sql, sql->len ? lh_lit(", ") : lh_lit(""));
    engine_quote_path(sql, engine_path_of(path, state_of(&info), arena));
    return LH_OK;
}

static enum lh_code add_files(const struct rejects_source *source, const struct query_scope *scope,
                              const struct catalog_dataset *dataset, struct lh_arena *arena,
                              struct lh_buf *sql, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; !code && i < dataset->object_count; i++) {
        const struct catalog_object *object = dataset->objects[i];
        code = add_file(source, scope, object->rejects, arena, sql, err);
        for (size_t j = 0; !code && j < object->source_count; j++)
            code = add_file(source, scope, object->sources[j].rejects, arena, sql, err);
    }
    return code || !sql ? code : lh_buf_check(sql, "The list of files with rejected rows", err);
}

static enum lh_code ensure(void *context, const struct query_scope *scope, struct lh_str name,
                           const struct query_moment *moment, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(context, scope, name, moment, &dataset, err);
    return code ? code : add_files(context, scope, dataset, NULL, NULL, err);
}

static enum lh_code write(void *context, const struct query_scope *scope, struct lh_str name,
                          const struct query_moment *moment, struct query_relation_writer *writer,
                          struct lh_error *err)
{
    const struct rejects_source *source = context;
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = find(source, scope, name, moment, &dataset, err);
    if (code)
        return code;
    if (dataset->is_deleted)
        return lh_fail(err, LH_NOT_FOUND, "The dataset '%.*s' did not exist at that moment.",
                       LH_ARG(dataset->name));
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf files;
    lh_buf_init(&files, (size_t)16 << 20);
    code = add_files(source, scope, dataset, arena, &files, err);
    if (!code && files.len)
        query_write_sql(writer,
                        lh_arena_printf(arena,
                                        "SELECT line, reason, raw, 'datasets/%.*s/rejects/' || "
                                        "parse_filename(filename) AS rejects FROM read_parquet("
                                        "[%.*s], filename = true, hive_partitioning = false)",
                                        LH_ARG(dataset->id), LH_ARG(lh_buf_str(&files))));
    else if (!code)
        query_write_sql(writer, lh_lit("SELECT NULL::BIGINT AS line, NULL::VARCHAR AS reason, "
                                       "NULL::VARCHAR AS raw, NULL::VARCHAR AS rejects "
                                       "WHERE false"));
    if (!code)
        query_write_version(writer, dataset->name, (uint64_t)dataset->version);
    lh_buf_release(&files);
    lh_arena_free(arena);
    return code;
}

struct query_relations rejects_relation(struct rejects_source *source)
{
    return (struct query_relations){
        .kind = "rejects", .context = source, .stamp = stamp, .write = write, .ensure = ensure};
}
