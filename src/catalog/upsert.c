#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "catalog/files.h"
#include "catalog/tombstone_internal.h"
#include "engine/engine.h"

/* Rows whose keys come again in a new file: their positions in the files that are there are hidden
 * by the version that brings the file, and by those after it. In the file itself the last row of a
 * key counts. */

#define SQL_BYTES_MAX ((size_t)16 << 20)

struct replacing {
    struct catalog *catalog;
    struct engine *engine;
    const struct catalog_arrival *arrival;
    const struct catalog_column *column; /* the key, in the new file */
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct catalog_snapshot *snapshot;
    const struct catalog_dataset *dataset; /* NULL: a new one */
    struct catalog_hidden *hidden;
    struct row_set **sets; /* of the dataset's files; then of the new one */
    int64_t visible;       /* of them, rows that could be seen */
};

static void write_source(struct lh_buf *sql, const struct replacing *replacing,
                         struct lh_str stored, const struct lh_str *paths, size_t count)
{
    lh_buf_append_str(sql, lh_lit("(SELECT TRY_CAST("));
    engine_quote_ident(sql, stored);
    lh_buf_printf(sql, " AS %.*s) AS v, CAST(file_index AS BIGINT) AS i, ",
                  LH_ARG(replacing->column->type));
    lh_buf_append_str(sql, lh_lit("CAST(file_row_number AS BIGINT) AS r FROM read_parquet(["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            lh_buf_append_str(sql, lh_lit(", "));
        engine_quote_path(sql, paths[i]);
    }
    lh_buf_append_str(sql, lh_lit("], hive_partitioning = false))"));
}

/* Runs a statement of (file, row) and puts its rows into the sets of `indexes`. */
static enum lh_code put_rows(struct replacing *replacing, struct lh_buf *sql, const size_t *indexes,
                             struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    bool is_beyond = false;
    enum lh_code code = lh_buf_check(sql, "The list of files", err);
    if (!code)
        code = engine_acquire(replacing->engine, (struct lh_str){0}, replacing->cancel, &connection,
                              err);
    if (!code)
        code = engine_run(connection, lh_buf_str(sql), NULL, replacing->cancel, &cursor, err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++) {
            size_t index = indexes[((const int64_t *)chunk->columns[0].data)[row]];
            uint64_t at = (uint64_t)((const int64_t *)chunk->columns[1].data)[row];
            const struct catalog_rows *hidden = catalog_hidden_of(replacing->hidden, index);
            is_beyond = !row_set_put(replacing->sets[index], at, true) || is_beyond;
            replacing->visible += !hidden || !catalog_rows_has(hidden, at);
        }
    engine_cursor_close(cursor);
    engine_release(connection);
    if (!code && is_beyond)
        code = lh_fail(err, LH_DAMAGED, "A data file has more rows than it should.");
    return code;
}

/* The files of one schema. */
static enum lh_code replace_in(struct replacing *replacing, struct lh_str schema,
                               struct lh_error *err)
{
    const struct catalog_dataset *dataset = replacing->dataset;
    struct lh_str stored = tombstone_stored(dataset, schema, replacing->column->name);
    struct lh_str *paths = lh_arena_array(replacing->arena, dataset->object_count, sizeof *paths);
    size_t *indexes = lh_arena_array(replacing->arena, dataset->object_count, sizeof *indexes);
    size_t count = 0;
    struct lh_buf sql;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->object_count && !code; i++) {
        const struct catalog_object *object = dataset->objects[i];
        if (replacing->sets[i] || !lh_str_equal(object->schema, schema))
            continue;
        replacing->sets[i] = row_set_new(object->rows);
        if (!stored.len)
            continue;
        indexes[count] = i;
        code = catalog_object_file(replacing->catalog, object, replacing->cancel, replacing->arena,
                                   &paths[count++], err);
    }
    if (code || !count)
        return code;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, lh_lit("SELECT i, r FROM "));
    write_source(&sql, replacing, stored, paths, count);
    lh_buf_append_str(&sql, lh_lit(" SEMI JOIN "));
    assert(replacing->column);
    write_source(&sql, replacing, replacing->column->stored_name, &replacing->arrival->path, 1);
    lh_buf_append_str(&sql, lh_lit(" USING (v)"));
    code = put_rows(replacing, &sql, indexes, err);
    lh_buf_release(&sql);
    return code;
}

/* All but the last row of each key. */
static enum lh_code replace_within(struct replacing *replacing, struct lh_error *err)
{
    size_t last = replacing->dataset ? replacing->dataset->object_count : 0;
    int64_t before = replacing->visible;
    assert(replacing->column);
    struct lh_buf sql;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    replacing->sets[last] = row_set_new(replacing->arrival->rows);
    lh_buf_append_str(&sql, lh_lit("SELECT i, r FROM (SELECT v, i, r, max(r) OVER (PARTITION BY v) "
                                   "AS m FROM "));
    write_source(&sql, replacing, replacing->column->stored_name, &replacing->arrival->path, 1);
    lh_buf_append_str(&sql, lh_lit(" WHERE v IS NOT NULL) WHERE r < m"));
    enum lh_code code = put_rows(replacing, &sql, &last, err);
    lh_buf_release(&sql);
    replacing->visible = before; /* nobody ever saw them */
    return code;
}

/* --- the object */

static void fill_files(const struct replacing *replacing, struct tombstone_record *record)
{
    size_t count = (replacing->dataset ? replacing->dataset->object_count : 0) + 1;
    struct tombstone_file *files = lh_arena_array(replacing->arena, count, sizeof *files);
    for (size_t i = 0; i < count; i++) {
        const struct row_set *set = replacing->sets[i];
        if (!set || !set->view.count)
            continue;
        uint64_t *rows = lh_arena_array(replacing->arena, (size_t)set->view.count, sizeof *rows);
        struct tombstone_file *file = &files[record->file_count++];
        *file = (struct tombstone_file){.key = i + 1 < count ? replacing->dataset->objects[i]->key
                                                             : replacing->arrival->key,
                                        .rows = rows,
                                        .row_count = row_set_list(set, rows)};
    }
    record->files = files;
}

static enum lh_code publish(struct replacing *replacing, struct catalog_replaced *ret,
                            struct lh_error *err)
{
    struct tombstone_record record = {
        .kind = TOMBSTONE_REPLACED,
        .base = replacing->dataset ? replacing->dataset->version : 0,
        .time_ms = lh_clock_unix_ms(),
    };
    fill_files(replacing, &record);
    ret->rows = replacing->visible;
    ret->base_version = record.base;
    if (!record.file_count)
        return LH_OK;
    ret->has_object = true;
    return tombstone_publish(replacing->catalog, replacing->arrival->dataset_id, &record, 1,
                             replacing->arena, &ret->object, err);
}

static enum lh_code find_key(struct replacing *replacing, struct lh_str key, struct lh_error *err)
{
    const struct catalog_arrival *arrival = replacing->arrival;
    for (size_t i = 0; i < arrival->column_count; i++)
        if (lh_str_equal_nocase(arrival->columns[i].name, key))
            replacing->column = &arrival->columns[i];
    if (!replacing->column) {
        lh_fail(err, LH_INVALID, "The file has no column '%.*s', which is to be the key.",
                LH_ARG(lh_str_head(key, 100)));
        return lh_error_field(err, lh_lit("options.key"));
    }
    enum lh_code code = keys_check_type(replacing->column->name, replacing->column->type, err);
    return code ? lh_error_field(err, lh_lit("options.key")) : LH_OK;
}

enum lh_code catalog_replacements(struct catalog *catalog, struct engine *engine,
                                  const struct catalog_arrival *arrival, struct lh_str key,
                                  const struct lh_cancel *cancel, struct lh_arena *arena,
                                  struct catalog_replaced *ret, struct lh_error *err)
{
    struct replacing replacing = {.catalog = catalog,
                                  .engine = engine,
                                  .arrival = arrival,
                                  .cancel = cancel,
                                  .arena = arena,
                                  .snapshot = catalog_snapshot_ref(catalog)};
    size_t place = snapshot_find_id(replacing.snapshot, arrival->dataset_id), count = 1;
    enum lh_code code = find_key(&replacing, key, err);
    *ret = (struct catalog_replaced){0};
    if (place != SIZE_MAX) {
        replacing.dataset = &replacing.snapshot->items[place]->view;
        count += replacing.dataset->object_count;
        if (!code)
            code = catalog_hidden_open(catalog, replacing.snapshot, replacing.dataset,
                                       CATALOG_HIDE_ALL, engine, cancel, &replacing.hidden, err);
    }
    replacing.sets = lh_allocate(count, sizeof(struct row_set *));
    for (size_t i = 0; i + 1 < count && !code; i++)
        if (!replacing.sets[i])
            code = replace_in(&replacing, replacing.dataset->objects[i]->schema, err);
    if (!code)
        code = replace_within(&replacing, err);
    if (!code)
        code = publish(&replacing, ret, err);
    for (size_t i = 0; i < count; i++)
        row_set_free(replacing.sets[i]);
    free(replacing.sets);
    catalog_hidden_unref(replacing.hidden);
    catalog_snapshot_unref(replacing.snapshot);
    return code;
}
