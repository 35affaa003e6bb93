/* Keys of any length, looked for as values in the places that hold keys: rows of the datasets' data
 * files, of whichever version and in the trash, too; lists of deleted keys; manifests; ids in
 * indexes; lines that were not taken. With that an erasure decides what it must write anew, and
 * shows at the end that a key which is too short to be searched for in bytes is gone. */
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "catalog/erase.h"
#include "lake/erase_run.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "storage/scrub.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)
#define PIECE_BYTES ((size_t)1 << 20)
#define TRASH "_trash/"

struct looked_index {
    struct lh_str id;
    size_t dataset;
    bool has_keys; /* its rows are named by the key column */
};
struct looking {
    struct erase_run *run;
    struct erase_look *ret;
    struct erase_rows *rows; /* of each dataset; without a column: it was dropped */
    struct looked_index *indexes;
    size_t index_count;
};

/* --- whose a file is */

struct lh_str erase_key_of_object(struct lh_str object)
{
    size_t at = 0;
    if (!lh_str_find(object, lh_lit("://"), &at))
        return object;
    struct lh_str key = lh_str_slice(object, at + 3, object.len);
    return lh_str_cut(&key, '?');
}

struct erase_owner erase_owner_of(struct lh_str path)
{
    struct erase_owner owner = {0};
    struct lh_str rest = erase_key_of_object(path);
    if (lh_str_starts_with(rest, lh_lit(TRASH))) {
        (void)lh_str_cut(&rest, '/');
        (void)lh_str_cut(&rest, '/');
        owner.is_trash = true;
    }
    struct lh_str kind = lh_str_cut(&rest, '/');
    if (lh_str_equal(kind, lh_lit("_catalog"))) {
        kind = lh_str_cut(&rest, '/');
        owner.is_manifest = true;
    }
    bool is_dataset = lh_str_equal(kind, lh_lit("datasets"));
    if ((!is_dataset && !lh_str_equal(kind, lh_lit("indexes"))) || !rest.len)
        return (struct erase_owner){0};
    owner.kind = is_dataset ? ERASE_OF_DATASET : ERASE_OF_INDEX;
    owner.id = lh_str_cut(&rest, '/');
    owner.rest = rest.data ? rest : (struct lh_str){0};
    return owner;
}

bool erase_owner_is_rejects(const struct erase_owner *owner)
{
    return owner->kind == ERASE_OF_DATASET && !owner->is_manifest &&
           lh_str_starts_with(owner->rest, lh_lit("rejects/"));
}

static size_t dataset_of(const struct looking *looking, const struct erase_owner *owner,
                         const struct looked_index **ret_index)
{
    const struct erase_run *run = looking->run;
    *ret_index = NULL;
    for (size_t i = 0; owner->kind == ERASE_OF_DATASET && i < run->dataset_count; i++)
        if (lh_str_equal(run->datasets[i].dataset_id, owner->id))
            return i;
    for (size_t i = 0; owner->kind == ERASE_OF_INDEX && i < looking->index_count; i++)
        if (lh_str_equal(looking->indexes[i].id, owner->id)) {
            *ret_index = &looking->indexes[i];
            return looking->indexes[i].dataset;
        }
    return SIZE_MAX;
}

/* --- what is found */

static void note(struct looking *looking, size_t dataset, struct lh_str path, const char *what,
                 int64_t count)
{
    struct erase_look *ret = looking->ret;
    struct lh_arena *arena = looking->run->arena;
    const struct erase_owner owner = erase_owner_of(path);
    /* Lines that were not taken are no rows: they go by themselves. */
    ret->has[dataset] |= owner.is_trash || !erase_owner_is_rejects(&owner);
    if (ret->place_count == LAKE_ERASE_FOUND_MAX)
        return;
    ret->places[ret->place_count++] = (struct lake_erase_finding){
        lh_arena_str(arena, path), lh_arena_printf(arena, "%lld %s", (long long)count, what)};
}

struct naming {
    const struct erase_keys *keys;
    int64_t count;
};

static void each_key(void *context, struct lh_str text)
{
    struct naming *naming = context;
    naming->count += erase_keys_has(naming->keys, text);
}

static enum lh_code read_whole(int fd, struct lh_buf *ret, struct lh_error *err)
{
    char *piece = lh_allocate(PIECE_BYTES, 1);
    size_t count = PIECE_BYTES;
    enum lh_code code = LH_OK;
    while (!code && count == PIECE_BYTES) {
        code = lh_file_read_at(fd, piece, PIECE_BYTES, (int64_t)ret->len, &count, err);
        if (!code)
            lh_buf_append_str(ret, (struct lh_str){piece, count});
        if (!code)
            code = lh_buf_check(ret, "A small file", err);
    }
    free(piece);
    return code;
}

static enum lh_code look_into_list(struct looking *looking, size_t dataset, struct lh_str path,
                                   int fd, struct lh_error *err)
{
    struct naming naming = {.keys = looking->run->keys};
    struct lh_buf bytes;
    lh_buf_init(&bytes, FILE_BYTES_MAX);
    enum lh_code code = read_whole(fd, &bytes, err);
    if (!code)
        code = catalog_erase_each_key(lh_buf_str(&bytes), looking->run->request.row_key_column,
                                      each_key, &naming, err);
    if (!code && naming.count)
        note(looking, dataset, path, "keys stand in it, a list of deleted ones.", naming.count);
    lh_buf_release(&bytes);
    return code;
}

/* "people/7", whatever people was called then. */
static int64_t count_entities(const struct erase_keys *keys, const json_t *events)
{
    int64_t count = 0;
    size_t at = 0;
    const json_t *event = NULL;
    json_array_foreach(events, at, event)
    {
        struct lh_str rest = lh_json_text(json_object_get(event, "entity"));
        (void)lh_str_cut(&rest, '/');
        count += rest.data && erase_keys_has(keys, rest);
    }
    return count;
}

static int64_t count_ranges(const struct looking *looking, size_t dataset, const json_t *objects)
{
    const struct erase_rows *rows = &looking->rows[dataset];
    const struct erase_keys *keys = looking->run->keys;
    int64_t count = 0;
    size_t at = 0, i = 0;
    const json_t *object = NULL, *range = NULL;
    json_array_foreach(objects, at, object)
    {
        json_array_foreach(json_object_get(object, "ranges"), i, range)
        {
            struct lh_str column = lh_json_text(json_object_get(range, "column"));
            if (!lh_str_equal_nocase(column, rows->column) &&
                !lh_str_equal_nocase(column, looking->run->request.row_key_column))
                continue;
            count += erase_keys_has(keys, lh_json_text(json_object_get(range, "min")));
            count += erase_keys_has(keys, lh_json_text(json_object_get(range, "max")));
        }
    }
    return count;
}

static enum lh_code look_into_manifest(struct looking *looking, size_t dataset, struct lh_str path,
                                       int fd, struct lh_error *err)
{
    struct lh_buf bytes;
    json_t *manifest = NULL;
    int64_t count = 0;
    size_t at = 0;
    const json_t *commit = NULL;
    lh_buf_init(&bytes, FILE_BYTES_MAX);
    enum lh_code code = read_whole(fd, &bytes, err);
    if (!code)
        code = lh_json_parse(lh_buf_str(&bytes), "A manifest", FILE_BYTES_MAX, &manifest, err);
    json_array_foreach(json_object_get(manifest, "commits"), at, commit) count +=
        count_entities(looking->run->keys, json_object_get(commit, "events"));
    count += count_ranges(looking, dataset, json_object_get(manifest, "objects_added"));
    if (!code && count)
        note(looking, dataset, path, "times it names a key, a manifest.", count);
    json_decref(manifest);
    lh_buf_release(&bytes);
    return code;
}

static enum lh_code look_into_rows(struct looking *looking, size_t dataset, struct lh_str path,
                                   struct lh_str whole, bool is_index, struct lh_error *err)
{
    struct erase_rows rows = looking->rows[dataset];
    int64_t count = 0;
    if (is_index)
        rows.column = lh_lit("id");
    enum lh_code code = erase_rows_count(&rows, whole, &count, err);
    if (!code && count)
        note(looking, dataset, path,
             is_index ? "texts of the keys' rows stand in it, of an index."
                      : "rows of the keys stand in it.",
             count);
    return code;
}

static enum lh_code look_into_rejects(struct looking *looking, size_t dataset, struct lh_str path,
                                      struct lh_error *err)
{
    const struct erase_run *run = looking->run;
    const struct erase_rejects of = {.storage = lake_storage(run->lake),
                                     .engine = lake_engine(run->lake),
                                     .canaries = run->canaries,
                                     .keys = run->keys,
                                     .cancel = run->cancel};
    int64_t count = 0;
    enum lh_code code = erase_rejects_count(&of, path, &count, err);
    if (!code && count)
        note(looking, dataset, path, "lines that were not taken name a key.", count);
    return code;
}

static struct lh_str whole_path(const struct looking *looking, struct lh_str path)
{
    struct lh_str root = storage_path(lake_storage(looking->run->lake));
    return lh_arena_printf(looking->run->arena, "%.*s/%.*s", LH_ARG(root), LH_ARG(path));
}

static enum lh_code visit(void *context, struct lh_str path, int fd, struct lh_error *err)
{
    struct looking *looking = context;
    struct lh_error found = LH_ERROR_NONE;
    const struct erase_owner owner = erase_owner_of(path);
    const struct looked_index *index = NULL;
    size_t dataset = dataset_of(looking, &owner, &index);
    enum lh_code code = LH_OK;
    if (dataset == SIZE_MAX || !looking->rows[dataset].column.len || (index && !index->has_keys))
        return LH_OK;
    bool is_parquet = lh_str_ends_with(path, lh_lit(".parquet"));
    if (is_parquet && erase_owner_is_rejects(&owner))
        code = look_into_rejects(looking, dataset, path, &found);
    else if (is_parquet)
        code = look_into_rows(looking, dataset, path, whole_path(looking, path), index != NULL,
                              &found);
    else if (!index && lh_str_ends_with(path, lh_lit(".tombstones")))
        code = look_into_list(looking, dataset, path, fd, &found);
    else if (!index && owner.is_manifest && lh_str_ends_with(path, lh_lit(".json")))
        code = look_into_manifest(looking, dataset, path, fd, &found);
    if (erase_is_final(code)) {
        if (err)
            *err = found;
        return code;
    }
    if (code) { /* what cannot be read may hold anything */
        looking->ret->has[dataset] = true;
        looking->ret->unread_count++;
    }
    return LH_OK;
}

/* Of another bucket: there lie data files, and parts of indexes. */
static enum lh_code visit_elsewhere(void *context, struct lh_str object, struct lh_str path,
                                    struct lh_error *err)
{
    struct looking *looking = context;
    struct lh_error found = LH_ERROR_NONE;
    const struct erase_owner owner = erase_owner_of(object);
    const struct looked_index *index = NULL;
    size_t dataset = dataset_of(looking, &owner, &index);
    if (dataset == SIZE_MAX || !looking->rows[dataset].column.len || (index && !index->has_keys))
        return LH_OK;
    enum lh_code code = look_into_rows(looking, dataset, object, path, index != NULL, &found);
    if (erase_is_final(code)) {
        if (err)
            *err = found;
        return code;
    }
    looking->ret->has[dataset] |= code != LH_OK;
    looking->ret->unread_count += code != LH_OK;
    return LH_OK;
}

/* --- all of them */

static void add_indexes(struct looking *looking, size_t dataset)
{
    struct erase_run *run = looking->run;
    struct lh_str_list names = {0};
    search_dependents(lake_search(run->lake), run->datasets[dataset].dataset_id, run->arena,
                      &names);
    struct looked_index *indexes =
        lh_arena_array(run->arena, looking->index_count + names.count + 1, sizeof *indexes);
    for (size_t i = 0; i < looking->index_count; i++)
        indexes[i] = looking->indexes[i];
    looking->indexes = indexes;
    for (size_t i = 0; i < names.count; i++) {
        struct search_index_info info;
        if (!search_get(lake_search(run->lake), names.items[i], run->arena, &info, NULL))
            indexes[looking->index_count++] = (struct looked_index){
                info.id, dataset, lh_str_equal_nocase(info.id_column, run->request.row_key_column)};
    }
}

static enum lh_code look_into_keys(struct looking *looking, size_t dataset, struct lh_error *err)
{
    struct erase_run *run = looking->run;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(run->lake));
    const struct catalog_dataset *now = NULL;
    bool has_keys = false;
    enum lh_code code = LH_OK;
    if (!catalog_find_id(snapshot, run->datasets[dataset].dataset_id, &now, NULL)) {
        looking->rows[dataset] = erase_run_rows(run, now);
        looking->rows[dataset].column = lh_arena_str(run->arena, looking->rows[dataset].column);
        looking->rows[dataset].type = lh_arena_str(run->arena, looking->rows[dataset].type);
        add_indexes(looking, dataset);
        code = catalog_erase_has_keys(
            lake_catalog(run->lake), lake_engine(run->lake), now, run->request.row_key_column,
            run->request.row_key_values.value, run->cancel, &has_keys, err);
    }
    looking->ret->has[dataset] |= has_keys;
    catalog_snapshot_unref(snapshot);
    return code;
}

enum lh_code erase_look(struct erase_run *run, struct erase_look *ret, struct lh_error *err)
{
    struct looking looking = {.run = run, .ret = ret};
    int64_t special = 0;
    enum lh_code code = LH_OK;
    *ret = (struct erase_look){
        .has = lh_arena_array(run->arena, run->dataset_count + 1, sizeof *ret->has),
        .places = lh_arena_array(run->arena, LAKE_ERASE_FOUND_MAX, sizeof *ret->places)};
    looking.rows = lh_arena_array(run->arena, run->dataset_count + 1, sizeof *looking.rows);
    for (size_t i = 0; i < run->dataset_count && !code; i++)
        code = look_into_keys(&looking, i, err);
    if (!code)
        code = storage_each_file(lake_storage(run->lake), visit, &looking, &special, err);
    if (!code)
        code = erase_buckets_each(lake_storage(run->lake), erase_run_ids(run), run->cancel,
                                  visit_elsewhere, &looking, err);
    return code;
}
