#include <stdlib.h>

#include "catalog/internal.h"

/* Candidates were listed at open, before anybody could publish: no running writer's file is among
 * them. One that no manifest of any version names is what a crashed writer left. */

static int compare_orphans(const void *a, const void *b)
{
    return lh_str_compare((*(struct orphan *const *)a)->key, (*(struct orphan *const *)b)->key);
}

static int compare_key(const void *key, const void *orphan)
{
    return lh_str_compare(*(const struct lh_str *)key, (*(struct orphan *const *)orphan)->key);
}

static void mark_key(struct orphan **list, size_t count, struct lh_str key)
{
    struct orphan **found =
        key.len ? bsearch(&key, list, count, sizeof(struct orphan *), compare_key) : NULL;
    if (found)
        (*found)->is_named = true;
}

static void mark(struct orphan **list, size_t count, struct manifest_objects objects)
{
    for (size_t i = 0; i < objects.count; i++) {
        mark_key(list, count, objects.items[i].key);
        for (size_t k = 0; k <= objects.items[i].source_count; k++)
            mark_key(list, count, object_rejects(&objects.items[i], k));
    }
}

/* What could not be done now is done another time. */
static void give_back(struct catalog *catalog, struct orphan *first)
{
    struct orphan *last = first;
    while (last->next)
        last = last->next;
    pthread_mutex_lock(&catalog->problem_mutex);
    last->next = catalog->orphans;
    catalog->orphans = first;
    pthread_mutex_unlock(&catalog->problem_mutex);
}

static enum lh_code mark_dataset(struct catalog *catalog, struct lh_str id, struct orphan **list,
                                 size_t count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0), *scratch = lh_arena_new(0);
    struct chain_file *files = NULL;
    size_t file_count = 0;
    enum lh_code code = chain_list(catalog->storage, id, arena, &files, &file_count, err);
    for (size_t i = 0; i < file_count && !code; i++) {
        struct manifest manifest;
        lh_arena_clear(scratch);
        code = chain_read(catalog->storage, id, files[i], scratch, &manifest, err);
        if (!code) {
            mark(list, count, manifest.added);
            mark(list, count, manifest.tombstones_added);
        }
    }
    lh_arena_free(scratch);
    lh_arena_free(arena);
    return code;
}

/* All datasets, not only the orphan's own: a dataset may name files of any folder. What cannot be
 * read might name it too, so then nothing is moved. */
static enum lh_code mark_all(struct catalog *catalog, struct orphan **list, size_t count,
                             struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *folders = NULL;
    size_t folder_count = 0;
    enum lh_code code = storage_list(catalog->storage, STORAGE_PRIMARY, lh_lit(CATALOG_FOLDER),
                                     arena, &folders, &folder_count, err);
    for (size_t i = 0; i < folder_count && !code; i++)
        if (folders[i].is_folder && lh_uuid_is_valid(folders[i].name))
            code = mark_dataset(catalog, folders[i].name, list, count, err);
    lh_arena_free(arena);
    return code;
}

enum lh_code catalog_sweep(struct catalog *catalog, size_t *ret_moved, struct lh_error *err)
{
    size_t count = 0, key_count = 0;
    pthread_mutex_lock(&catalog->problem_mutex);
    struct orphan *first = catalog->orphans;
    catalog->orphans = NULL;
    pthread_mutex_unlock(&catalog->problem_mutex);
    for (const struct orphan *at = first; at; at = at->next)
        count++;
    if (!count) {
        *ret_moved = 0;
        return LH_OK;
    }
    struct orphan **list = lh_allocate(count, sizeof(struct orphan *));
    struct lh_str *keys = lh_allocate(count, sizeof *keys);
    size_t at = 0;
    for (struct orphan *orphan = first; orphan; orphan = orphan->next)
        list[at++] = orphan;
    qsort(list, count, sizeof(struct orphan *), compare_orphans);
    enum lh_code code = mark_all(catalog, list, count, err);
    for (size_t i = 0; i < count && !code; i++)
        if (!list[i]->is_named)
            keys[key_count++] = list[i]->key;
    if (!code && key_count)
        code = storage_trash(catalog->storage, STORAGE_PRIMARY, keys, key_count, err);
    if (!code)
        *ret_moved = key_count;
    else
        give_back(catalog, first);
    free(list);
    free(keys);
    return code;
}
