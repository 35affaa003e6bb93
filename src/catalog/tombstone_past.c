#include <stdlib.h>

#include "base/hash.h"
#include "catalog/files.h"
#include "catalog/tombstone_internal.h"

/* Keys that no row has now may have had rows in versions that can still be read: a tombstone counts
 * for those, too. Looked for only when a key is found nowhere else.
 *
 * Which older versions have files that later ones have not is found by reading manifests from the
 * newest down, and kept: the next question reads those that came since. A rewrite that dropped no
 * row took nothing away but files: what they held is in those that it brought. */

#define PATHS_MAX 1000
#define KEPT_MAX 32

/* --- versions before something went */

struct past_list {
    char dataset_id[LH_UUID_TEXT_BYTES];
    int64_t top;      /* the newest version that was walked over; 0: unused */
    int64_t *befores; /* descending */
    size_t count, capacity;
    int64_t sealed_at; /* version at which keys were last looked for everywhere; 0: never */
    uint64_t used_at;
};
struct past_lists {
    pthread_mutex_t mutex;
    uint64_t clock;
    struct past_list items[KEPT_MAX];
};

struct past_lists *past_new(void)
{
    struct past_lists *lists = lh_allocate(1, sizeof *lists);
    pthread_mutex_init(&lists->mutex, NULL);
    return lists;
}

void past_free(struct past_lists *lists)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        free(lists->items[i].befores);
    pthread_mutex_destroy(&lists->mutex);
    free(lists);
}

static bool is_of(const struct past_list *list, struct lh_str id)
{
    return list->top && memcmp(list->dataset_id, id.data, LH_UUID_TEXT_BYTES) == 0;
}

/* Under the mutex: that of the dataset, or the one that was asked for longest ago. */
static struct past_list *list_of(struct past_lists *lists, struct lh_str id)
{
    struct past_list *oldest = &lists->items[0];
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct past_list *list = &lists->items[i];
        if (is_of(list, id))
            return list;
        if (list->used_at < oldest->used_at)
            oldest = list;
    }
    return oldest;
}

static void put(struct past_list *list, int64_t version)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        int64_t *grown = lh_allocate(capacity, sizeof *grown);
        if (list->count)
            memcpy(grown, list->befores, list->count * sizeof *grown);
        free(list->befores);
        list->befores = grown;
        list->capacity = capacity;
    }
    list->befores[list->count++] = version;
}

static void append(const struct past_list *from, int64_t retained, struct past_list *to)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->befores[i] >= retained)
            put(to, from->befores[i]);
}

/* A copy; of nothing is kept an empty one. */
static void recall(struct past_lists *lists, struct lh_str id, struct past_list *ret)
{
    pthread_mutex_lock(&lists->mutex);
    const struct past_list *kept = list_of(lists, id);
    if (is_of(kept, id)) {
        ret->top = kept->top;
        append(kept, 0, ret);
    }
    pthread_mutex_unlock(&lists->mutex);
}

static void remember(struct past_lists *lists, struct lh_str id, int64_t top,
                     const struct past_list *fresh)
{
    pthread_mutex_lock(&lists->mutex);
    struct past_list *kept = list_of(lists, id);
    if (!is_of(kept, id))
        kept->sealed_at = 0;
    if (!is_of(kept, id) || kept->top < top) {
        kept->count = 0;
        append(fresh, 0, kept);
        kept->top = top;
        memcpy(kept->dataset_id, id.data, sizeof kept->dataset_id);
    }
    kept->used_at = ++lists->clock;
    pthread_mutex_unlock(&lists->mutex);
}

int64_t past_sealed(struct past_lists *lists, struct lh_str id)
{
    pthread_mutex_lock(&lists->mutex);
    const struct past_list *kept = list_of(lists, id);
    int64_t version = is_of(kept, id) ? kept->sealed_at : 0;
    pthread_mutex_unlock(&lists->mutex);
    return version;
}

void past_set_sealed(struct past_lists *lists, struct lh_str id, int64_t version)
{
    pthread_mutex_lock(&lists->mutex);
    struct past_list *kept = list_of(lists, id);
    if (is_of(kept, id)) /* else it is looked for once more */
        kept->sealed_at = version;
    pthread_mutex_unlock(&lists->mutex);
}

/* A manifest with what went: whether rows did shows in the one before it. */
struct going {
    int64_t before; /* 0: none */
    bool is_rewrite;
    int64_t rows;
};

static void settle(struct going *going, const struct manifest *before, struct past_list *list)
{
    if (going->before && !(going->is_rewrite && before && before->row_count == going->rows))
        put(list, going->before);
    going->before = 0;
}

/* From the newest version down to `floor`, which was walked over before. */
static enum lh_code walk(struct catalog *catalog, const struct catalog_dataset *now, int64_t floor,
                         struct past_list *list, struct lh_error *err)
{
    struct lh_arena *scratch = lh_arena_new(0);
    struct going going = {0};
    int64_t version = now->version;
    enum lh_code code = LH_OK;
    while (!code && version >= now->retained_version && version > 0) {
        struct manifest manifest;
        const struct chain_file file = {version, false};
        lh_arena_clear(scratch);
        code = chain_read(catalog->storage, now->id, file, scratch, &manifest, err);
        if (code)
            break;
        settle(&going, &manifest, list);
        version = manifest.parent.version;
        if (manifest.version <= floor)
            break;
        if (version < now->retained_version || (!manifest.removes_all && !manifest.removed.count))
            continue;
        going = (struct going){
            .before = version,
            .is_rewrite = manifest.commit_count == 1 &&
                          lh_str_equal(manifest.commits[0].action, lh_lit("rewrite")),
            .rows = manifest.row_count,
        };
    }
    if (code == LH_NOT_FOUND) /* retired */
        code = LH_OK;
    settle(&going, NULL, list);
    lh_arena_free(scratch);
    return code;
}

static enum lh_code list_befores(struct catalog *catalog, const struct catalog_dataset *now,
                                 struct past_list *ret, struct lh_error *err)
{
    struct past_list kept = {0};
    enum lh_code code = LH_OK;
    recall(catalog->past, now->id, &kept);
    if (kept.top < now->version)
        code = walk(catalog, now, kept.top, ret, err);
    if (!code) {
        append(&kept, now->retained_version, ret);
        remember(catalog->past, now->id, now->version, ret);
    }
    free(kept.befores);
    return code;
}

/* --- their files */

struct past {
    struct catalog *catalog;
    struct engine *engine;
    const struct catalog_dataset *now;
    struct lh_str column, type;
    const struct lh_str *texts;
    size_t text_count;
    bool *found; /* per text */
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct lh_str *seen; /* keys of files that were looked through, and of live ones: by hash */
    size_t seen_count, seen_capacity;
};

static bool place(struct lh_str *table, size_t capacity, struct lh_str key)
{
    size_t at = lh_crc32c(0, key.data, key.len) & (capacity - 1);
    while (table[at].data && !lh_str_equal(table[at], key))
        at = (at + 1) & (capacity - 1);
    bool is_new = !table[at].data;
    table[at] = key;
    return is_new;
}

/* True the first time; `key` must stay. */
static bool see(struct past *past, struct lh_str key)
{
    if (past->seen_count * 2 >= past->seen_capacity) {
        size_t capacity = past->seen_capacity ? past->seen_capacity * 2 : 256;
        struct lh_str *grown = lh_arena_array(past->arena, capacity, sizeof *grown);
        for (size_t i = 0; i < past->seen_capacity; i++)
            if (past->seen[i].data)
                place(grown, capacity, past->seen[i]);
        past->seen = grown;
        past->seen_capacity = capacity;
    }
    bool is_new = place(past->seen, past->seen_capacity, key);
    past->seen_count += is_new;
    return is_new;
}

static void note(void *context, size_t file, uint64_t row, size_t key)
{
    struct past *past = context;
    (void)file;
    (void)row;
    past->found[key] = true;
}

static enum lh_code look_at(struct past *past, struct key_files *files, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (files->path_count)
        code = keys_find(past->engine, files, past->texts, past->text_count, past->cancel, note,
                         past, err);
    files->path_count = 0;
    return code;
}

/* The files of a version that no later one has, those of one schema together. */
static enum lh_code look_through(struct past *past, const struct catalog_dataset *view,
                                 struct lh_error *err)
{
    const struct catalog_column *column = catalog_dataset_column(view, past->column);
    struct lh_str *paths = lh_arena_array(past->arena, PATHS_MAX, sizeof *paths);
    struct key_files files = {.key_type = past->type, .paths = paths};
    struct lh_str schema = {0};
    enum lh_code code = LH_OK;
    for (size_t i = 0; column && i < view->object_count && !code; i++) {
        const struct catalog_object *object = view->objects[i];
        bool is_other = !lh_str_equal(schema, object->schema);
        if (!see(past, lh_arena_str(past->arena, object->key)))
            continue;
        if (is_other || files.path_count == PATHS_MAX)
            code = look_at(past, &files, err);
        if (is_other) {
            schema = object->schema;
            files.type = column->type;
            files.stored = tombstone_stored(view, schema, past->column);
        }
        if (!code && files.stored.len)
            code = catalog_object_file(past->catalog, object, past->cancel, past->arena,
                                       &paths[files.path_count++], err);
    }
    return code ? code : look_at(past, &files, err);
}

enum lh_code tombstone_find_past(struct catalog *catalog, struct engine *engine,
                                 const struct catalog_dataset *now, struct lh_str column,
                                 struct lh_str type, const struct lh_str *texts, size_t text_count,
                                 bool *ret_found, const struct lh_cancel *cancel,
                                 struct lh_error *err)
{
    struct past_list list = {0};
    struct past past = {.catalog = catalog,
                        .engine = engine,
                        .now = now,
                        .column = column,
                        .type = type,
                        .texts = texts,
                        .text_count = text_count,
                        .found = ret_found,
                        .cancel = cancel,
                        .arena = lh_arena_new(0)};
    enum lh_code code = list_befores(catalog, now, &list, err);
    for (size_t i = 0; i < now->object_count && list.count; i++)
        see(&past, now->objects[i]->key);
    for (size_t i = 0; i < list.count && !code; i++) {
        struct dataset_state *before = NULL;
        code = history_state_at(catalog, now->id, list.befores[i], &before, err);
        if (!code)
            code = look_through(&past, &before->view, err);
        state_unref(before);
    }
    free(list.befores);
    lh_arena_free(past.arena);
    return code;
}
