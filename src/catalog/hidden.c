#include <stdlib.h>

#include "catalog/files.h"
#include "catalog/tombstone_internal.h"
#include "engine/engine.h"

/* Which rows of a version's files nobody sees: the log of tombstone records applied to them.
 *
 * A record says positions in the files of the version that was looked through, its base. Of a file
 * the record is complete if the file was in that version, or if its rows were compared with the
 * tombstones when it came (tombstones_through). Whether it was in that version is known of files
 * that came before it and are still there later: in the version that is read, or in the newest. Of
 * any other file the rows are looked for here, by the keys that hold now.
 *
 * Each column's records are a log of their own: what a lift shows again stays hidden as long as a
 * key of another column hides it. So they are added up one column after the other. */

#define HIDDEN_KEPT 32

struct catalog_hidden {
    atomic_size_t refs;
    size_t count; /* of objects */
    struct row_set **sets;
    int64_t rows;
};
struct hidden_entry {
    char dataset_id[LH_UUID_TEXT_BYTES];
    int64_t version;
    uint64_t of_keys, of_rows; /* stamps */
    bool is_used;
    struct catalog_hidden *hidden; /* NULL: nothing is hidden */
    uint64_t used_at;
};

struct catalog_hidden *catalog_hidden_ref(struct catalog_hidden *hidden)
{
    atomic_fetch_add_explicit(&hidden->refs, 1, memory_order_relaxed);
    return hidden;
}

void catalog_hidden_unref(struct catalog_hidden *hidden)
{
    if (!hidden || atomic_fetch_sub_explicit(&hidden->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < hidden->count; i++)
        row_set_free(hidden->sets[i]);
    free(hidden->sets);
    free(hidden);
}

int64_t catalog_hidden_rows(const struct catalog_hidden *hidden)
{
    return hidden ? hidden->rows : 0;
}

const struct catalog_rows *catalog_hidden_of(const struct catalog_hidden *hidden, size_t index)
{
    const struct row_set *set = hidden && index < hidden->count ? hidden->sets[index] : NULL;
    return set && set->view.count ? &set->view : NULL;
}

/* --- kept ones */

void hidden_init(struct hidden_cache *cache)
{
    pthread_mutex_init(&cache->mutex, NULL);
    cache->entries = lh_allocate(HIDDEN_KEPT, sizeof *cache->entries);
}

void hidden_release(struct hidden_cache *cache)
{
    for (size_t i = 0; i < HIDDEN_KEPT; i++)
        catalog_hidden_unref(cache->entries[i].hidden);
    free(cache->entries);
    pthread_mutex_destroy(&cache->mutex);
}

static bool recall(struct hidden_cache *cache, const struct hidden_entry *wanted,
                   struct catalog_hidden **ret)
{
    bool is_found = false;
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < HIDDEN_KEPT && !is_found; i++) {
        struct hidden_entry *entry = &cache->entries[i];
        if (!entry->is_used || entry->version != wanted->version ||
            entry->of_keys != wanted->of_keys || entry->of_rows != wanted->of_rows ||
            memcmp(entry->dataset_id, wanted->dataset_id, sizeof entry->dataset_id) != 0)
            continue;
        is_found = true;
        entry->used_at = ++cache->clock;
        *ret = entry->hidden ? catalog_hidden_ref(entry->hidden) : NULL;
    }
    pthread_mutex_unlock(&cache->mutex);
    return is_found;
}

/* What was last added up for the dataset, at whichever moment: most of it is the same. */
static struct catalog_hidden *recall_any(struct hidden_cache *cache, const char *dataset_id)
{
    struct hidden_entry *newest = NULL;
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < HIDDEN_KEPT; i++) {
        struct hidden_entry *entry = &cache->entries[i];
        if (entry->hidden && (!newest || entry->used_at > newest->used_at) &&
            memcmp(entry->dataset_id, dataset_id, sizeof entry->dataset_id) == 0)
            newest = entry;
    }
    struct catalog_hidden *hidden = newest ? catalog_hidden_ref(newest->hidden) : NULL;
    pthread_mutex_unlock(&cache->mutex);
    return hidden;
}

/* Statements that are remembered hold what they were made for: equal parts are held once. */
static void share(struct hidden_cache *cache, const char *dataset_id, struct catalog_hidden *hidden)
{
    struct catalog_hidden *older = recall_any(cache, dataset_id);
    for (size_t i = 0; older && i < hidden->count && i < older->count; i++)
        if (hidden->sets[i] && older->sets[i])
            row_set_share(hidden->sets[i], older->sets[i]);
    catalog_hidden_unref(older);
}

static void remember(struct hidden_cache *cache, const struct hidden_entry *fresh)
{
    pthread_mutex_lock(&cache->mutex);
    struct hidden_entry *oldest = &cache->entries[0];
    for (size_t i = 1; i < HIDDEN_KEPT; i++)
        if (cache->entries[i].used_at < oldest->used_at)
            oldest = &cache->entries[i];
    struct catalog_hidden *replaced = oldest->hidden;
    *oldest = *fresh;
    oldest->is_used = true;
    oldest->used_at = ++cache->clock;
    if (fresh->hidden)
        catalog_hidden_ref(fresh->hidden);
    pthread_mutex_unlock(&cache->mutex);
    catalog_hidden_unref(replaced);
}

/* --- adding up */

struct file_place {
    struct lh_str key;
    size_t index;
};
struct adding {
    struct catalog *catalog;
    const struct catalog_dataset *view; /* the version that is read */
    const struct catalog_dataset *now;  /* the newest: its tombstones count */
    struct lh_arena *arena;
    struct file_place *places; /* sorted by key */
    struct lh_str column;      /* whose records are added up; absent: those of rows */
    bool *is_open;             /* per object: its rows must be looked for */
    struct row_set **sets;     /* of the column */
    struct catalog_hidden *hidden;
    struct lh_str but; /* a column that is left out; absent: none */
};

static bool is_asked_for(const struct adding *adding, const struct catalog_object *object)
{
    return adding->column.len ? tombstone_is_of_column(object, adding->column)
                              : tombstone_is_of_rows(object);
}

static int compare_places(const void *a, const void *b)
{
    const struct file_place *x = a, *y = b;
    return lh_str_compare(x->key, y->key);
}

static void find_places(struct adding *adding)
{
    const struct catalog_dataset *view = adding->view;
    adding->places = lh_arena_array(adding->arena, view->object_count + 1, sizeof *adding->places);
    adding->is_open = lh_arena_array(adding->arena, view->object_count + 1, sizeof(bool));
    for (size_t i = 0; i < view->object_count; i++)
        adding->places[i] = (struct file_place){view->objects[i]->key, i};
    if (view->object_count)
        qsort(adding->places, view->object_count, sizeof *adding->places, compare_places);
}

static struct row_set *set_of(struct adding *adding, size_t index)
{
    struct row_set **set = &adding->sets[index];
    if (!*set)
        *set = row_set_new(adding->view->objects[index]->rows);
    return *set;
}

static enum lh_code add_file(struct adding *adding, const struct tombstone_file *file, bool is_in,
                             struct lh_error *err)
{
    struct file_place wanted = {.key = file->key};
    size_t count = adding->view->object_count;
    const struct file_place *place =
        count ? bsearch(&wanted, adding->places, count, sizeof wanted, compare_places) : NULL;
    if (!place || (adding->is_open[place->index]))
        return LH_OK;
    struct row_set *set = set_of(adding, place->index);
    for (size_t i = 0; i < file->row_count; i++)
        if (!row_set_put(set, file->rows[i], is_in))
            return lh_fail(err, LH_DAMAGED,
                           "A tombstone names row %llu of '%.*s', which has fewer.",
                           (unsigned long long)file->rows[i], LH_ARG(file->key));
    return LH_OK;
}

/* All records of the column. */
static enum lh_code add_records(struct adding *adding, const struct catalog_dataset *from,
                                struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < from->tombstone_count && !code; i++) {
        const struct tombstone_content *content = NULL;
        if (!is_asked_for(adding, from->tombstones[i]))
            continue;
        code = tombstone_read(adding->catalog->storage, from->tombstones[i], &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++) {
            const struct tombstone_record *record = &content->records[k];
            for (size_t f = 0; !code && f < record->file_count; f++)
                code = add_file(adding, &record->files[f], record->kind != TOMBSTONE_LIFTED, err);
        }
    }
    return code;
}

/* --- files of which a record does not tell */

static bool is_still_there(const struct adding *adding, const struct catalog_object *object)
{
    const struct catalog_dataset *now = adding->now;
    for (size_t i = 0; i < now->object_count; i++)
        if (now->objects[i] == object || (now->objects[i]->added_version == object->added_version &&
                                          lh_str_equal(now->objects[i]->key, object->key)))
            return true;
    return false;
}

static void note_open(struct adding *adding, const struct tombstone_record *record, int64_t version)
{
    const struct catalog_dataset *view = adding->view;
    for (size_t i = 0; i < view->object_count; i++) {
        const struct catalog_object *object = view->objects[i];
        if (adding->is_open[i] || version <= object->tombstones_through)
            continue;
        if (object->added_version > record->base ||
            (record->base > view->version && !is_still_there(adding, object)))
            adding->is_open[i] = true;
    }
}

static enum lh_code find_open(struct adding *adding, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < adding->now->tombstone_count && !code; i++) {
        const struct catalog_object *object = adding->now->tombstones[i];
        const struct tombstone_content *content = NULL;
        if (!is_asked_for(adding, object))
            continue;
        code = tombstone_read(adding->catalog->storage, object, &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++) {
            const struct tombstone_record *record = &content->records[k];
            if (record->kind == TOMBSTONE_KEYS || record->kind == TOMBSTONE_LIFTED)
                note_open(adding, record,
                          record->version ? record->version : object->added_version);
        }
    }
    return code;
}

struct looking {
    struct adding *adding;
    const size_t *indexes; /* of the statement's files */
    bool is_beyond;
};

static void note_row(void *context, size_t file, uint64_t row, size_t key)
{
    struct looking *looking = context;
    (void)key;
    if (!row_set_put(set_of(looking->adding, looking->indexes[file]), row, true))
        looking->is_beyond = true;
}

/* The open files of one schema. */
static enum lh_code look_through(struct adding *adding, struct engine *engine, struct lh_str schema,
                                 const struct key_list *keys, const struct lh_cancel *cancel,
                                 struct lh_error *err)
{
    const struct catalog_dataset *view = adding->view;
    const struct catalog_column *column = catalog_dataset_column(view, keys->column);
    struct lh_str *paths = lh_arena_array(adding->arena, view->object_count, sizeof *paths);
    size_t *indexes = lh_arena_array(adding->arena, view->object_count, sizeof *indexes);
    struct looking looking = {.adding = adding, .indexes = indexes};
    struct key_files files = {.stored = tombstone_stored(view, schema, keys->column),
                              .paths = paths};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < view->object_count && !code; i++) {
        const struct catalog_object *object = view->objects[i];
        if (!adding->is_open[i] || !lh_str_equal(object->schema, schema))
            continue;
        adding->is_open[i] = false;
        if (!files.stored.len)
            continue;
        indexes[files.path_count] = i;
        code = catalog_object_file(adding->catalog, object, cancel, adding->arena,
                                   &paths[files.path_count], err);
        files.path_count++;
    }
    if (code || !files.path_count)
        return code;
    files.type = column->type;
    code = key_list_rows(keys, engine, &files, cancel, adding->arena, note_row, &looking, err);
    if (!code && looking.is_beyond)
        code = lh_fail(err, LH_DAMAGED, "A data file of '%.*s' has more rows than it should.",
                       LH_ARG(view->name));
    return code;
}

static enum lh_code close_files(struct adding *adding, struct engine *engine,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct catalog_dataset *view = adding->view;
    struct key_list keys = {0};
    size_t open_count = 0;
    for (size_t i = 0; i < view->object_count; i++)
        open_count += adding->is_open[i];
    if (!open_count)
        return LH_OK;
    enum lh_code code =
        tombstone_keys(adding->catalog, adding->now, adding->column, adding->arena, &keys, err);
    if (code || !keys.count)
        return code;
    if (!engine)
        return lh_fail(err, LH_INTERNAL, "The rows of tombstones cannot be looked for.");
    for (size_t i = 0; i < view->object_count && !code; i++)
        if (adding->is_open[i])
            code = look_through(adding, engine, view->objects[i]->schema, &keys, cancel, err);
    return code;
}

/* --- all of it */

static enum lh_code add_column(struct adding *adding, struct engine *engine,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    enum lh_code code = find_open(adding, err);
    if (!code)
        code = add_records(adding, adding->now, err);
    if (!code)
        code = close_files(adding, engine, cancel, err);
    memset(adding->is_open, 0, adding->hidden->count * sizeof *adding->is_open);
    return code;
}

/* What one column hides, another one's lifts do not show: from the second on, each has sets of its
 * own, which are put in with the others' when they are complete. */
static void put_together(struct adding *adding)
{
    struct catalog_hidden *hidden = adding->hidden;
    for (size_t i = 0; i < hidden->count; i++) {
        if (adding->sets[i] && hidden->sets[i])
            row_set_add(hidden->sets[i], adding->sets[i]);
        else if (adding->sets[i])
            hidden->sets[i] = adding->sets[i];
        if (adding->sets[i] != hidden->sets[i])
            row_set_free(adding->sets[i]);
    }
    free(adding->sets);
    adding->sets = hidden->sets;
}

static enum lh_code add_columns(struct adding *adding, struct engine *engine,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct lh_str_list columns = tombstone_columns(adding->now, adding->arena);
    enum lh_code code = LH_OK;
    bool is_first = true;
    for (size_t i = 0; i < columns.count && !code; i++) {
        if (adding->but.len && lh_str_equal_nocase(adding->but, columns.items[i]))
            continue;
        adding->column = columns.items[i];
        if (!is_first)
            adding->sets = lh_allocate(adding->hidden->count, sizeof(struct row_set *));
        code = add_column(adding, engine, cancel, err);
        if (!is_first)
            put_together(adding);
        is_first = false;
    }
    return code;
}

static enum lh_code add_up(struct adding *adding, bool with_keys, struct engine *engine,
                           const struct lh_cancel *cancel, struct lh_error *err)
{
    struct catalog_hidden *hidden = adding->hidden;
    enum lh_code code = LH_OK;
    hidden->count = adding->view->object_count;
    hidden->sets = lh_allocate(hidden->count, sizeof(struct row_set *));
    adding->sets = hidden->sets;
    find_places(adding);
    if (with_keys)
        code = add_columns(adding, engine, cancel, err);
    adding->column = (struct lh_str){0};
    if (!code)
        code = add_records(adding, adding->view, err);
    for (size_t i = 0; i < hidden->count; i++)
        hidden->rows += hidden->sets[i] ? hidden->sets[i]->view.count : 0;
    return code;
}

static const struct catalog_dataset *newest_of(const struct catalog_snapshot *snapshot,
                                               const struct catalog_dataset *dataset)
{
    size_t place = snapshot_find_id(snapshot, dataset->id);
    if (place == SIZE_MAX || snapshot->items[place]->damage ||
        snapshot->items[place]->view.version < dataset->version)
        return dataset;
    return &snapshot->items[place]->view;
}

uint64_t catalog_hidden_stamp(const struct catalog_snapshot *snapshot,
                              const struct catalog_dataset *dataset)
{
    return newest_of(snapshot, dataset)->tombstone_stamp ^ (dataset->tombstone_stamp << 1);
}

/* *ret is NULL if nothing is hidden. */
static enum lh_code make(struct catalog *catalog, const struct catalog_dataset *dataset,
                         const struct catalog_dataset *now, bool with_keys, struct lh_str but,
                         struct engine *engine, const struct lh_cancel *cancel,
                         struct catalog_hidden **ret, struct lh_error *err)
{
    struct catalog_hidden *hidden = lh_allocate(1, sizeof *hidden);
    atomic_init(&hidden->refs, 1);
    struct adding adding = {.catalog = catalog,
                            .view = dataset,
                            .now = now,
                            .arena = lh_arena_new(0),
                            .but = but,
                            .hidden = hidden};
    struct lh_error why = LH_ERROR_NONE;
    enum lh_code code = add_up(&adding, with_keys, engine, cancel, err ? err : &why);
    lh_arena_free(adding.arena);
    if (code == LH_DAMAGED)
        catalog_add_problem(catalog, dataset->id, dataset->name,
                            lh_str_of((err ? err : &why)->message));
    if (code || !hidden->rows) {
        catalog_hidden_unref(hidden);
        hidden = NULL;
    }
    *ret = hidden;
    return code;
}

enum lh_code tombstone_hidden_but(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                  const struct catalog_dataset *dataset, struct lh_str column,
                                  struct engine *engine, const struct lh_cancel *cancel,
                                  struct catalog_hidden **ret, struct lh_error *err)
{
    return make(catalog, dataset, newest_of(snapshot, dataset), true, column, engine, cancel, ret,
                err);
}

enum lh_code catalog_hidden_open(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                 const struct catalog_dataset *dataset, enum catalog_hiding hiding,
                                 struct engine *engine, const struct lh_cancel *cancel,
                                 struct catalog_hidden **ret, struct lh_error *err)
{
    const struct catalog_dataset *now = newest_of(snapshot, dataset);
    bool with_keys = hiding == CATALOG_HIDE_ALL;
    struct hidden_entry entry = {.version = dataset->version,
                                 .of_keys = with_keys ? now->tombstone_stamp : 0,
                                 .of_rows = dataset->tombstone_stamp};
    *ret = NULL;
    if (!entry.of_keys && !entry.of_rows)
        return LH_OK;
    memcpy(entry.dataset_id, dataset->id.data, sizeof entry.dataset_id);
    if (recall(&catalog->hidden, &entry, ret))
        return LH_OK;
    struct catalog_hidden *hidden = NULL;
    enum lh_code code =
        make(catalog, dataset, now, with_keys, (struct lh_str){0}, engine, cancel, &hidden, err);
    if (!code && hidden)
        share(&catalog->hidden, entry.dataset_id, hidden);
    if (!code) {
        entry.hidden = hidden;
        remember(&catalog->hidden, &entry);
        *ret = hidden;
    }
    return code;
}
