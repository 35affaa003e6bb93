#include "storage/scrub.h"

#include "storage/internal.h"

#define DEPTH_MAX 64

struct walk {
    struct storage *storage;
    enum lh_code (*visit)(void *context, struct lh_str path, int fd, struct lh_error *err);
    void *context;
    int64_t special;
};

static enum lh_code visit_file(struct walk *walk, struct lh_str path, struct lh_arena *arena,
                               struct lh_error *err)
{
    int fd = -1;
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code =
        lh_file_open(walk->storage->dir, lh_arena_cstr(arena, path), false, &fd, &found);
    if (code == LH_NOT_FOUND)
        return LH_OK;
    if (code) {
        if (err)
            *err = found;
        return code;
    }
    code = walk->visit(walk->context, path, fd, err);
    lh_file_abandon(fd);
    return code;
}

static enum lh_code walk_folder(struct walk *walk, struct lh_str folder, unsigned depth,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        lh_dir_list(walk->storage->dir, lh_arena_cstr(arena, folder), arena, &entries, &count, err);
    if (!code && depth > DEPTH_MAX)
        code = lh_fail(err, LH_INVALID, "Folders of '%.*s' are nested too deeply.", LH_ARG(folder));
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_str path = entries[i].name;
        if (folder.len)
            path = lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(folder), LH_ARG(path));
        if (entries[i].is_special)
            walk->special++;
        else if (entries[i].is_folder)
            code = walk_folder(walk, path, depth + 1, err);
        else
            code = visit_file(walk, path, arena, err);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code storage_each_file(struct storage *storage,
                               enum lh_code (*visit)(void *context, struct lh_str path, int fd,
                                                     struct lh_error *err),
                               void *context, int64_t *ret_special, struct lh_error *err)
{
    struct walk walk = {storage, visit, context, 0};
    enum lh_code code = walk_folder(&walk, lh_lit(""), 0, err);
    if (!code)
        *ret_special = walk.special;
    return code;
}

enum lh_code storage_remove(struct storage *storage, const struct lh_str *keys, size_t key_count,
                            struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = storage_check_writable(storage, err);
    if (!code && atomic_load(&storage->backups))
        code = lh_fail(err, LH_BUSY, "A backup runs: nothing is removed until it ends.");
    for (size_t i = 0; i < key_count && !code; i++)
        code = storage_key_check(keys[i], err);
    for (size_t i = 0; i < key_count && !code; i++) {
        code = lh_file_remove(storage->dir, lh_arena_cstr(arena, keys[i]), err);
        if (!code)
            code = lh_dir_sync(storage->dir, lh_arena_cstr(arena, key_folder(keys[i])), err);
        if (code == LH_NOT_FOUND)
            code = LH_OK; /* no such folder */
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code storage_trash_remove(struct storage *storage, const struct lh_str *keys,
                                  size_t key_count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_check_writable(storage, err);
    if (!code && atomic_load(&storage->backups))
        code = lh_fail(err, LH_BUSY, "A backup runs: what is in the trash stays until it ends.");
    for (size_t i = 0; i < key_count && !code; i++)
        code = storage_key_check(keys[i], err);
    if (!code)
        code = lh_dir_list(storage->dir, TRASH_FOLDER, arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        if (!entries[i].is_folder)
            continue;
        for (size_t k = 0; k < key_count && !code; k++) {
            struct lh_str path = lh_arena_printf(arena, TRASH_FOLDER "/%.*s/%.*s",
                                                 LH_ARG(entries[i].name), LH_ARG(keys[k]));
            struct lh_file_info info;
            if (lh_file_info(storage->dir, path.data, &info, NULL))
                continue;
            code = lh_dir_remove_tree(storage->dir, path.data, err);
            if (!code)
                code = lh_dir_sync(storage->dir, lh_arena_cstr(arena, key_folder(path)), err);
        }
    }
    lh_arena_free(arena);
    return code;
}
