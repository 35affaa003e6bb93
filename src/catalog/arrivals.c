#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "catalog/tombstone_internal.h"
#include "engine/engine.h"

/* --- rows that come with a tombstoned key */

struct found {
    uint64_t *rows;
    size_t count, capacity;
    bool is_full; /* no memory */
};

static void note_row(void *context, size_t file, uint64_t row, size_t key)
{
    struct found *found = context;
    (void)file;
    (void)key;
    if (found->count == found->capacity) {
        size_t capacity = found->capacity ? found->capacity * 2 : 256;
        uint64_t *grown = realloc(found->rows, capacity * sizeof *grown);
        if (!grown) {
            found->is_full = true;
            return;
        }
        found->rows = grown;
        found->capacity = capacity;
    }
    found->rows[found->count++] = row;
}

static int compare_rows(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void sort_rows(struct found *found)
{
    size_t kept = 0; /* several keys may name one row */
    if (found->count)
        qsort(found->rows, found->count, sizeof *found->rows, compare_rows);
    for (size_t i = 0; i < found->count; i++)
        if (!kept || found->rows[i] != found->rows[kept - 1])
            found->rows[kept++] = found->rows[i];
    found->count = kept;
}

static enum lh_code fail_full(struct lh_error *err)
{
    return lh_fail(err, LH_BUSY, "There is no memory for the rows of tombstoned keys.");
}

static const struct catalog_column *column_of(const struct catalog_arrival *arrival,
                                              struct lh_str name)
{
    for (size_t i = 0; i < arrival->column_count; i++)
        if (lh_str_equal_nocase(arrival->columns[i].name, name))
            return &arrival->columns[i];
    return NULL;
}

static enum lh_code find_rows(struct engine *engine, const struct catalog_arrival *arrival,
                              const struct key_list *keys, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct found *found, struct lh_error *err)
{
    const struct catalog_column *column = column_of(arrival, keys->column);
    if (!column)
        return LH_OK;
    const struct key_files files = {.stored = column->stored_name,
                                    .type = column->type,
                                    .paths = &arrival->path,
                                    .path_count = 1};
    enum lh_code code =
        arrival->rows <= (int64_t)keys->count
            ? key_list_scan(keys, engine, &files, cancel, arena, note_row, found, err)
            : key_list_rows(keys, engine, &files, cancel, arena, note_row, found, err);
    if (!code && found->is_full)
        code = fail_full(err);
    sort_rows(found);
    return code;
}

static enum lh_code publish(struct catalog *catalog, const struct catalog_dataset *dataset,
                            const struct catalog_arrival *arrival, const struct key_list *keys,
                            const struct found *found, struct lh_arena *arena,
                            struct catalog_arrived *ret, struct lh_error *err)
{
    struct catalog_object *object = &ret->tombstones[ret->tombstone_count];
    const struct tombstone_file file = {arrival->key, found->rows, found->count};
    const struct tombstone_record record = {
        .kind = TOMBSTONE_ARRIVED,
        .base = dataset->version,
        .column = keys->column,
        .type = keys->type,
        .time_ms = lh_clock_unix_ms(),
        .files = &file,
        .file_count = 1,
    };
    ret->stamp = dataset->tombstone_stamp;
    enum lh_code code = tombstone_publish(catalog, dataset->id, &record, 1, arena, object, err);
    ret->tombstone_count += !code;
    return code;
}

/* The rows that keys of one column name, and all of those that came before, each once. */
static void gather_rows(const struct found *found, struct found *all)
{
    for (size_t i = 0; i < found->count; i++)
        note_row(all, 0, found->rows[i], 0);
    sort_rows(all);
}

/* Of each column whose keys have rows in the file an object of its own. */
static enum lh_code suppress(struct catalog *catalog, struct engine *engine,
                             const struct catalog_dataset *dataset,
                             const struct catalog_arrival *arrival, const struct lh_cancel *cancel,
                             struct lh_arena *arena, struct catalog_arrived *ret,
                             struct lh_error *err)
{
    const struct lh_str_list columns = tombstone_columns(dataset, arena);
    struct found all = {0};
    enum lh_code code = LH_OK;
    ret->tombstones = lh_arena_array(arena, columns.count + 1, sizeof *ret->tombstones);
    for (size_t i = 0; i < columns.count && !code; i++) {
        struct key_list keys = {0};
        struct found found = {0};
        code = tombstone_keys(catalog, dataset, columns.items[i], arena, &keys, err);
        if (!code && keys.count) {
            ret->through = dataset->version;
            code = find_rows(engine, arrival, &keys, cancel, arena, &found, err);
        }
        if (!code && found.count)
            code = publish(catalog, dataset, arrival, &keys, &found, arena, ret, err);
        if (!code)
            gather_rows(&found, &all);
        free(found.rows);
    }
    if (!code && all.is_full)
        code = fail_full(err);
    ret->suppressed_rows = (int64_t)all.count;
    free(all.rows);
    for (size_t i = 0; i < ret->tombstone_count && code; i++)
        (void)!storage_trash(catalog->storage, STORAGE_PRIMARY, &ret->tombstones[i].key, 1, NULL);
    return code;
}

enum lh_code catalog_arrivals(struct catalog *catalog, struct engine *engine,
                              const struct catalog_arrival *arrival, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct catalog_arrived *ret,
                              struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t place = snapshot_find_id(snapshot, arrival->dataset_id);
    const struct catalog_dataset *dataset =
        place == SIZE_MAX ? NULL : &snapshot->items[place]->view;
    struct catalog_arrived arrived = {0};
    enum lh_code code = LH_OK;
    if (dataset && dataset->tombstone_stamp)
        code = suppress(catalog, engine, dataset, arrival, cancel, arena, &arrived, err);
    if (!code)
        *ret = arrived;
    catalog_snapshot_unref(snapshot);
    return code;
}

/* --- whether a file that is there is still as it came */

static enum lh_code is_touched(struct catalog *catalog, const struct catalog_dataset *dataset,
                               const struct catalog_object *object, bool *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->tombstone_count && !code && !*ret; i++) {
        const struct catalog_object *tombstones = dataset->tombstones[i];
        const struct tombstone_content *content = NULL;
        code = tombstone_read(catalog->storage, tombstones, &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++) {
            const struct tombstone_record *record = &content->records[k];
            int64_t version = record->version ? record->version : tombstones->added_version;
            if (version <= object->added_version || record->kind == TOMBSTONE_LIFTED)
                continue;
            for (size_t f = 0; f < record->file_count; f++)
                *ret = *ret || (record->files[f].row_count &&
                                lh_str_equal(record->files[f].key, object->key));
        }
    }
    return code;
}

/* Nothing is hidden in a merged file but what was deleted since it was written. */
static bool hides_any(const struct catalog_rows *rows, int64_t from, int64_t to)
{
    int64_t row = from;
    while (rows && row < to) {
        size_t page = (size_t)row / CATALOG_ROWS_PER_PAGE;
        if (page >= rows->page_count)
            return false;
        if (!rows->pages[page])
            row = (int64_t)(page + 1) * CATALOG_ROWS_PER_PAGE;
        else if (catalog_rows_has(rows, (uint64_t)row))
            return true;
        else
            row++;
    }
    return false;
}

enum lh_code catalog_source_is_whole(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     const struct catalog_hidden *hidden, size_t object_index,
                                     size_t source_index, bool *ret, struct lh_error *err)
{
    const struct catalog_object *object = dataset->objects[object_index];
    const struct catalog_rows *rows = hidden ? catalog_hidden_of(hidden, object_index) : NULL;
    bool is_other = false;
    int64_t from = 0;
    enum lh_code code = LH_OK;
    if (rows && !source_index)
        code = is_touched(catalog, dataset, object, &is_other, err);
    for (size_t i = 1; rows && i < source_index; i++)
        from += object->sources[i - 1].kept;
    if (rows && source_index)
        is_other = hides_any(rows, from, from + object->sources[source_index - 1].kept);
    if (!code)
        *ret = !is_other;
    return code;
}

enum lh_code catalog_whole_source(struct catalog *catalog, struct engine *engine,
                                  const struct catalog_snapshot *snapshot,
                                  const struct catalog_dataset *dataset,
                                  struct lh_str source_sha256, struct lh_str source_options,
                                  const struct lh_cancel *cancel, bool *ret_is_whole,
                                  struct catalog_source *ret, struct lh_error *err)
{
    struct catalog_hidden *hidden = NULL;
    struct catalog_source source;
    bool is_whole = false, has_hidden = false;
    enum lh_code code = LH_OK;
    for (size_t i = 0; !code && source_sha256.len && !is_whole && i < dataset->object_count; i++)
        for (size_t k = 0; !code && !is_whole && k <= dataset->objects[i]->source_count; k++) {
            if (!catalog_object_source(dataset->objects[i], k, &source) ||
                !lh_str_equal(source.sha256, source_sha256) ||
                !lh_str_equal(source.options, source_options))
                continue;
            if (!has_hidden) /* most sources are new: then nothing is added up */
                code = catalog_hidden_open(catalog, snapshot, dataset, CATALOG_HIDE_ALL, engine,
                                           cancel, &hidden, err);
            has_hidden = !code;
            if (!code)
                code = catalog_source_is_whole(catalog, dataset, hidden, i, k, &is_whole, err);
        }
    if (!code && is_whole)
        *ret = source;
    if (!code)
        *ret_is_whole = is_whole;
    catalog_hidden_unref(hidden);
    return code;
}

/* --- many small objects into one */

/* So that a dataset with many single tombstones opens few files: what has gathered at the end of
 * the list is written together when it is much, but never what is far larger, so that each record
 * is written a few times only. */
#define FOLD_FROM 16
#define FOLD_RATIO 4

static size_t fold_from(const struct catalog_object *const *objects, size_t count)
{
    int64_t bytes = count ? objects[count - 1]->bytes : 0;
    size_t first = count;
    while (first > 0 && (first == count || objects[first - 1]->bytes <= FOLD_RATIO * bytes)) {
        first--;
        bytes += first + 1 == count ? 0 : objects[first]->bytes;
    }
    return count - first >= FOLD_FROM ? first : count;
}

static enum lh_code gather(struct catalog *catalog, const struct catalog_object *const *objects,
                           size_t count, struct lh_arena *arena, struct tombstone_record **ret,
                           size_t *ret_count, struct lh_error *err)
{
    size_t record_count = 0;
    enum lh_code code = LH_OK;
    struct tombstone_record *records = NULL;
    for (int pass = 0; pass < 2 && !code; pass++) {
        if (pass)
            records = lh_arena_array(arena, record_count + 1, sizeof *records);
        record_count = 0;
        for (size_t i = 0; i < count && !code; i++) {
            const struct tombstone_content *content = NULL;
            code = tombstone_read(catalog->storage, objects[i], &content, err);
            for (size_t k = 0; !code && k < content->record_count; k++, record_count++) {
                if (!pass)
                    continue;
                records[record_count] = content->records[k];
                if (!records[record_count].version)
                    records[record_count].version = objects[i]->added_version;
            }
        }
    }
    *ret = records;
    *ret_count = record_count;
    return code;
}

/* `column` absent: the records of rows. */
static enum lh_code fold(struct catalog *catalog, const struct catalog_dataset *dataset,
                         struct lh_str column, struct lh_arena *arena, struct lh_error *err)
{
    size_t count = 0, record_count = 0;
    struct tombstone_record *records = NULL;
    struct catalog_object object = {0};
    struct catalog_commit_result done;
    const struct catalog_object **objects =
        lh_arena_array(arena, dataset->tombstone_count + 1, sizeof *objects);
    struct lh_str *keys = lh_arena_array(arena, dataset->tombstone_count + 1, sizeof *keys);
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        if (column.len ? tombstone_is_of_column(dataset->tombstones[i], column)
                       : tombstone_is_of_rows(dataset->tombstones[i]))
            objects[count++] = dataset->tombstones[i];
    size_t first = fold_from(objects, count);
    if (first == count)
        return LH_OK;
    for (size_t i = first; i < count; i++)
        keys[i - first] = objects[i]->key;
    enum lh_code code =
        gather(catalog, objects + first, count - first, arena, &records, &record_count, err);
    if (!code)
        code = tombstone_publish(catalog, dataset->id, records, record_count, arena, &object, err);
    const struct catalog_change change = {.action = CATALOG_FOLD,
                                          .dataset_id = dataset->id,
                                          .tombstones = &object,
                                          .tombstone_count = 1,
                                          .tombstones_removed = keys,
                                          .tombstone_removed_count = count - first,
                                          .tombstone_stamp = dataset->tombstone_stamp,
                                          .actor = lh_lit("system"),
                                          .reason = lh_lit("Tombstones are written together.")};
    if (!code)
        code = catalog_commit(catalog, &change, arena, &done, err);
    if (code && code != LH_UNKNOWN && code != LH_LOCKED && object.key.len)
        (void)!storage_trash(catalog->storage, STORAGE_PRIMARY, &object.key, 1, NULL);
    return code;
}

/* The columns by which keys are named, and the absent one. */
static struct lh_str_list list_columns(struct catalog *catalog, struct lh_str dataset_id,
                                       struct lh_arena *arena)
{
    const struct catalog_dataset *dataset = NULL;
    struct lh_str_list columns = {0};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    if (!catalog_find_id(snapshot, dataset_id, &dataset, NULL))
        columns = tombstone_columns(dataset, arena);
    struct lh_str *names = lh_arena_array(arena, columns.count + 1, sizeof *names);
    for (size_t i = 0; i < columns.count; i++)
        names[i] = lh_arena_str(arena, columns.items[i]);
    catalog_snapshot_unref(snapshot);
    return (struct lh_str_list){names, columns.count + 1};
}

void tombstone_fold(struct catalog *catalog, struct lh_str dataset_id)
{
    struct lh_arena *names = lh_arena_new(0);
    const struct lh_str_list columns = list_columns(catalog, dataset_id, names);
    for (size_t i = 0; i < columns.count; i++) {
        struct lh_error late = LH_ERROR_NONE;
        const struct catalog_dataset *dataset = NULL;
        struct lh_arena *arena = lh_arena_new(0);
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
        if (!catalog_find_id(snapshot, dataset_id, &dataset, NULL) &&
            fold(catalog, dataset, columns.items[i], arena, &late) && late.code != LH_RACE &&
            late.code != LH_STOPPING)
            lh_log_error(LH_LOG_WARN, "catalog.fold", &late);
        catalog_snapshot_unref(snapshot);
        lh_arena_free(arena);
    }
    lh_arena_free(names);
}

void catalog_tidy_tombstones(struct catalog *catalog, struct lh_str dataset_id)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t place = snapshot_find_id(snapshot, dataset_id);
    bool is_much = place != SIZE_MAX && snapshot->items[place]->view.tombstone_count >= FOLD_FROM;
    catalog_snapshot_unref(snapshot);
    if (is_much)
        tombstone_fold(catalog, dataset_id);
}
