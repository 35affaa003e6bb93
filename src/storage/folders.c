#include "storage/internal.h"

#include <stdlib.h>

/* Why a set, and not "fsync the parent of what lh_dir_make made": a folder that is there may have
 * been made by another thread a moment ago, or by a process that died before its fsync. Who only
 * sees that it exists and publishes into it acknowledges an object whose folder a power cut can
 * take. So each process makes each folder's way durable once, whoever made it. */
#define FOLDERS_MAX ((size_t)65536) /* then the set starts anew: more fsyncs, never fewer */

static size_t find_slot(const struct folder_set *set, struct lh_str name)
{
    size_t slot = (size_t)lh_str_hash(name) & (set->capacity - 1);
    while (set->names[slot] && !lh_str_equal(lh_str_of(set->names[slot]), name))
        slot = (slot + 1) & (set->capacity - 1);
    return slot;
}

static void clear(struct folder_set *set)
{
    for (size_t i = 0; i < set->capacity; i++)
        free(set->names[i]);
    free(set->names);
    set->names = NULL;
    set->capacity = 0;
    set->count = 0;
}

static bool grow(struct folder_set *set)
{
    struct folder_set larger = {.capacity = set->capacity ? set->capacity * 2 : 64};
    larger.names = calloc(larger.capacity, sizeof *larger.names);
    if (!larger.names)
        return false;
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->names[i])
            larger.names[find_slot(&larger, lh_str_of(set->names[i]))] = set->names[i];
    }
    free(set->names);
    set->names = larger.names;
    set->capacity = larger.capacity;
    return true;
}

static bool contains(const struct folder_set *set, struct lh_str name)
{
    return set->capacity && set->names[find_slot(set, name)];
}

/* Without memory it is not remembered, which only costs another fsync. */
static void add(struct folder_set *set, struct lh_str name)
{
    if (contains(set, name))
        return;
    if (set->count >= FOLDERS_MAX)
        clear(set);
    if (set->count * 2 >= set->capacity && !grow(set))
        return;
    char *copy = strndup(name.data, name.len);
    if (!copy)
        return;
    set->names[find_slot(set, name)] = copy;
    set->count++;
}

/* With the mutex held: makes the folder, then its name in its parent durable, and so on upwards. */
static enum lh_code make_durable(struct lh_dir *dir, const struct folder_set *set, const char *path,
                                 struct lh_error *err)
{
    enum lh_code code = lh_dir_make(dir, path, NULL, err);
    for (struct lh_str level = lh_str_of(path); !code && level.len; level = key_folder(level)) {
        if (contains(set, level))
            return LH_OK; /* and so is the way to it */
        struct lh_str parent = key_folder(level);
        struct key_text text;
        memcpy(text.text, parent.data, parent.len);
        text.text[parent.len] = '\0';
        code = lh_dir_sync(dir, text.text, err);
    }
    return code;
}

void folders_init(struct folder_set *set)
{
    *set = (struct folder_set){0};
    pthread_mutex_init(&set->mutex, NULL);
}

enum lh_code folders_ensure(struct lh_dir *dir, struct folder_set *set, struct lh_str folder,
                            struct lh_error *err)
{
    struct key_text path;
    enum lh_code code = LH_OK;
    if (!folder.len)
        return LH_OK;
    memcpy(path.text, folder.data, folder.len);
    path.text[folder.len] = '\0';
    pthread_mutex_lock(&set->mutex);
    if (!contains(set, folder)) {
        code = make_durable(dir, set, path.text, err);
        for (struct lh_str level = folder; !code && level.len; level = key_folder(level))
            add(set, level);
    }
    pthread_mutex_unlock(&set->mutex);
    return code;
}

void folders_forget(struct folder_set *set)
{
    pthread_mutex_lock(&set->mutex);
    clear(set);
    pthread_mutex_unlock(&set->mutex);
}

void folders_release(struct folder_set *set)
{
    clear(set);
    pthread_mutex_destroy(&set->mutex);
}
