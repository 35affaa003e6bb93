#include <stdlib.h>

#include "catalog/files.h"
#include "catalog/tombstone_internal.h"

/* Keys that no row has now may have had rows in versions that can still be read: a tombstone counts
 * for those, too. Looked for only when a key is found nowhere else. */

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
    struct lh_str *seen; /* keys of files that were looked through, and of live ones */
    size_t seen_count, seen_capacity;
};

static bool see(struct past *past, struct lh_str key)
{
    for (size_t i = past->seen_count; i > 0; i--)
        if (lh_str_equal(past->seen[i - 1], key))
            return false;
    if (past->seen_count == past->seen_capacity) {
        size_t capacity = past->seen_capacity ? past->seen_capacity * 2 : 64;
        struct lh_str *grown = lh_arena_array(past->arena, capacity, sizeof *grown);
        if (past->seen_count)
            memcpy(grown, past->seen, past->seen_count * sizeof *grown);
        past->seen = grown;
        past->seen_capacity = capacity;
    }
    past->seen[past->seen_count++] = lh_arena_str(past->arena, key);
    return true;
}

static void note(void *context, size_t file, uint64_t row, size_t key)
{
    struct past *past = context;
    (void)file;
    (void)row;
    past->found[key] = true;
}

/* The files of a version that later ones do not have, one by one: they are few. */
static enum lh_code look_through(struct past *past, const struct catalog_dataset *view,
                                 struct lh_error *err)
{
    const struct catalog_column *column = catalog_dataset_column(view, past->column);
    enum lh_code code = LH_OK;
    for (size_t i = 0; column && i < view->object_count && !code; i++) {
        const struct catalog_object *object = view->objects[i];
        struct lh_str path;
        struct key_files files = {.stored = tombstone_stored(view, object->schema, past->column),
                                  .type = column->type,
                                  .key_type = past->type,
                                  .paths = &path,
                                  .path_count = 1};
        if (!files.stored.len || !see(past, object->key))
            continue;
        code = catalog_object_file(past->catalog, object, past->cancel, past->arena, &path, err);
        if (!code)
            code = keys_find(past->engine, &files, past->texts, past->text_count, past->cancel,
                             note, past, err);
    }
    return code;
}

/* From the newest version down: whenever files went, the version before it. */
static enum lh_code walk(struct past *past, struct lh_error *err)
{
    struct lh_arena *scratch = lh_arena_new(0);
    int64_t version = past->now->version;
    enum lh_code code = LH_OK;
    while (!code && version > past->now->retained_version) {
        struct manifest manifest;
        struct dataset_state *before = NULL;
        struct chain_file file = {version, false};
        lh_arena_clear(scratch);
        code = chain_read(past->catalog->storage, past->now->id, file, scratch, &manifest, err);
        if (code == LH_NOT_FOUND) { /* retired */
            code = LH_OK;
            break;
        }
        if (code)
            break;
        version = manifest.parent.version;
        if (!version || (!manifest.removes_all && !manifest.removed.count))
            continue;
        if (version < past->now->retained_version)
            break;
        code = history_state_at(past->catalog, past->now->id, version, &before, err);
        if (!code)
            code = look_through(past, &before->view, err);
        state_unref(before);
    }
    lh_arena_free(scratch);
    return code;
}

enum lh_code tombstone_find_past(struct catalog *catalog, struct engine *engine,
                                 const struct catalog_dataset *now, struct lh_str column,
                                 struct lh_str type, const struct lh_str *texts, size_t text_count,
                                 bool *ret_found, const struct lh_cancel *cancel,
                                 struct lh_error *err)
{
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
    for (size_t i = 0; i < now->object_count; i++)
        see(&past, now->objects[i]->key);
    enum lh_code code = walk(&past, err);
    lh_arena_free(past.arena);
    return code;
}
