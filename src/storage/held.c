#include "storage/held.h"

#include <stdio.h>

#include "base/log.h"
#include "storage/cache.h"
#include "storage/held_internal.h"

#define HELD_MAX ((size_t)4000000)
#define DEPTH_MAX 64

static enum lh_code find(struct storage *storage, struct lh_str name, struct storage_bucket **ret,
                         struct lh_error *err)
{
    enum lh_code code = storage_check_writable(storage, err);
    return code ? code : storage_bucket_find(storage, name, ret, err);
}

enum lh_code held_add(struct held_list *list, const struct storage_held *held, struct lh_error *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct storage_held *items =
            capacity <= HELD_MAX ? lh_arena_try(list->arena, capacity * sizeof *items) : NULL;
        if (!items)
            return lh_fail(err, LH_TOO_LARGE, "A bucket holds more than can be looked through.");
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *held;
    return LH_OK;
}

/* --- a folder */

struct walk {
    struct lh_dir *dir;
    const struct lh_cancel *cancel;
    struct held_list list;
    size_t special;
};

static enum lh_code walk_folder(struct walk *walk, struct lh_str folder, unsigned depth,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        lh_dir_list(walk->dir, lh_arena_cstr(arena, folder), arena, &entries, &count, err);
    if (!code && depth > DEPTH_MAX)
        code = lh_fail(err, LH_INVALID, "Folders of '%.*s' are nested too deeply.", LH_ARG(folder));
    if (!code)
        code = lh_cancel_fail(walk->cancel, "Looking through a bucket", err);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_str path =
            lh_arena_printf(entries[i].is_folder ? arena : walk->list.arena, "%.*s%s%.*s",
                            LH_ARG(folder), folder.len ? "/" : "", LH_ARG(entries[i].name));
        const struct storage_held held = {.key = path, .bytes = entries[i].bytes};
        if (entries[i].is_special)
            walk->special++;
        else if (entries[i].is_folder)
            code = walk_folder(walk, path, depth + 1, err);
        else
            code = held_add(&walk->list, &held, err);
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code list_local(struct storage_bucket *bucket, const struct lh_cancel *cancel,
                               struct lh_arena *arena, struct storage_holdings *ret,
                               struct lh_error *err)
{
    enum lh_code code = bucket->backend->look(bucket, err);
    if (code)
        return code;
    struct walk walk = {.dir = local_dir(bucket), .cancel = cancel, .list.arena = arena};
    code = walk_folder(&walk, lh_lit(""), 0, err);
    if (!code)
        *ret = (struct storage_holdings){walk.list.items, walk.list.count, walk.special};
    return code;
}

static enum lh_code remove_local(struct storage_bucket *bucket, const struct storage_held *held,
                                 const struct lh_cancel *cancel, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir *dir = local_dir(bucket);
    (void)cancel;
    enum lh_code code = lh_file_remove(dir, lh_arena_cstr(arena, held->key), err);
    if (!code)
        code = lh_dir_sync(dir, lh_arena_cstr(arena, key_folder(held->key)), err);
    lh_arena_free(arena);
    return code == LH_NOT_FOUND ? LH_OK : code; /* no such folder any more */
}

const struct storage_held_backend held_local = {.list = list_local, .remove = remove_local};

/* --- the door */

enum lh_code storage_held_list(struct storage *storage, struct lh_str name,
                               const struct lh_cancel *cancel, struct lh_arena *arena,
                               struct storage_holdings *ret, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    enum lh_code code = find(storage, name, &bucket, err);
    return code ? code : bucket->backend->held->list(bucket, cancel, arena, ret, err);
}

enum lh_code storage_held_remove(struct storage *storage, struct lh_str name,
                                 const struct storage_held *held, const struct lh_cancel *cancel,
                                 struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    enum lh_code code = find(storage, name, &bucket, err);
    if (!code && atomic_load(&storage->backups))
        code = lh_fail(err, LH_BUSY, "A backup runs: nothing is removed until it ends.");
    if (!code)
        code = bucket->backend->held->remove(bucket, held, cancel, err);
    if (!code) { /* of a folder: what came from there in another bucket's stead */
        struct lh_arena *arena = lh_arena_new(0);
        cache_forget(bucket, lh_arena_cstr(arena, held->key));
        lh_arena_free(arena);
    }
    return code;
}

enum lh_code storage_bucket_free_bytes(struct storage *storage, struct lh_str name, int64_t *ret,
                                       struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    enum lh_code code = find(storage, name, &bucket, err);
    if (!code && bucket->backend->is_remote)
        *ret = INT64_MAX;
    else if (!code)
        code = lh_dir_free_bytes(local_dir(bucket), ret, err);
    return code;
}

static enum lh_code fetch(struct storage_bucket *bucket, const struct storage_held *held,
                          const struct lh_cancel *cancel, struct lh_arena *arena,
                          struct storage_held_file *ret, struct lh_error *err)
{
    struct storage *storage = bucket->storage;
    struct lh_uuid uuid = lh_uuid_new();
    (void)snprintf(ret->fresh, sizeof ret->fresh, SCRATCH_FOLDER "/%s.held", uuid.text);
    ret->path = lh_arena_printf(arena, "%.*s/%s", LH_ARG(storage_path(storage)), ret->fresh);
    enum lh_code code = lh_file_create(storage->dir, ret->fresh, &ret->fd, err);
    if (code) {
        ret->fresh[0] = '\0';
        return code;
    }
    code = bucket->backend->held->fetch(bucket, held, ret->fd, cancel, err);
    if (code) {
        storage_held_close(ret);
        return code;
    }
    code = lh_file_close(ret->fd, err);
    ret->fd = -1;
    if (!code)
        code = lh_file_open(storage->dir, ret->fresh, false, &ret->fd, err);
    if (code)
        storage_held_close(ret);
    return code;
}

enum lh_code storage_held_open(struct storage *storage, struct lh_str name,
                               const struct storage_held *held, const struct lh_cancel *cancel,
                               struct lh_arena *arena, struct storage_held_file *ret,
                               struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct storage_held_file file = {.storage = storage, .fd = -1};
    enum lh_code code = find(storage, name, &bucket, err);
    if (!code && bucket->backend->is_remote) {
        code = fetch(bucket, held, cancel, arena, &file, err);
    } else if (!code) {
        struct lh_dir *dir = local_dir(bucket);
        file.path =
            lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(lh_dir_path(dir)), LH_ARG(held->key));
        code = lh_file_open(dir, lh_arena_cstr(arena, held->key), false, &file.fd, err);
    }
    if (!code)
        *ret = file;
    return code;
}

void storage_held_close(struct storage_held_file *file)
{
    struct lh_error late = LH_ERROR_NONE;
    if (file->fd >= 0)
        lh_file_abandon(file->fd);
    file->fd = -1;
    if (file->fresh[0] && lh_file_remove(file->storage->dir, file->fresh, &late))
        lh_log_error(LH_LOG_WARN, "storage.held", &late);
    file->fresh[0] = '\0';
}
