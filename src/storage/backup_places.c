/* Where a backup may lie, and what of the lake lies where it does not look. */
#include "storage/backup_internal.h"

static bool is_below(struct lh_str path, struct lh_str folder)
{
    return lh_str_starts_with(path, folder) &&
           (path.len == folder.len || path.data[folder.len] == '/');
}

/* As it is written, and where its links lead. */
static bool is_in_bucket(struct lh_str path, struct lh_str root)
{
    struct lh_dir *dir = NULL;
    bool is_in = is_below(path, root);
    if (!is_in && !lh_dir_open(root, false, &dir, NULL))
        is_in = is_below(path, lh_dir_path(dir));
    lh_dir_close(dir);
    return is_in;
}

static enum lh_code check_buckets(struct storage *storage, struct lh_str path, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_bucket_info *infos = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    storage_bucket_list(storage, arena, &infos, &count);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_str root = infos[i].options.root;
        if (infos[i].options.backend != STORAGE_LOCAL || !root.len || !is_in_bucket(path, root))
            continue;
        lh_fail(err, LH_CONFLICT, "A backup cannot be inside the lake's bucket '%.*s'.",
                LH_ARG(infos[i].options.name));
        code = lh_error_hint(err, "Name a folder elsewhere, best on another disk.");
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code check_path(struct storage *storage, struct lh_str path, struct lh_error *err)
{
    if (!is_below(path, lh_dir_path(storage->dir)))
        return check_buckets(storage, path, err);
    lh_fail(err, LH_CONFLICT, "A backup cannot be inside the lake that it is of.");
    return lh_error_hint(err, "Name a folder elsewhere, best on another disk.");
}

/* What there is of the path, links followed: folders are made only once the answer is known. */
static enum lh_code check_parent(struct storage *storage, struct lh_str path, struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    while (path.len && lh_dir_open(path, false, &dir, NULL)) {
        while (path.len && path.data[path.len - 1] == '/')
            path.len--;
        while (path.len && path.data[path.len - 1] != '/')
            path.len--;
    }
    enum lh_code code = dir ? check_path(storage, lh_dir_path(dir), err) : LH_OK;
    lh_dir_close(dir);
    return code;
}

enum lh_code backup_place_check(struct storage *storage, struct lh_str path, struct lh_error *err)
{
    if (!path.len || path.data[0] != '/') {
        lh_fail(err, LH_INVALID, "'%.*s' is not an absolute path.", LH_ARG(lh_str_head(path, 200)));
        return lh_error_hint(err, "The server may run in another folder than you.");
    }
    enum lh_code code = check_path(storage, path, err);
    return code ? code : check_parent(storage, path, err);
}

enum lh_code storage_backup_check(struct storage *storage, struct lh_str path, struct lh_error *err)
{
    return backup_place_check(storage, path, err);
}

/* --- other buckets */

static enum lh_code stop_at_first(void *context, const struct storage_entry *entry,
                                  struct lh_error *err)
{
    if (entry->is_folder)
        return LH_OK;
    *(bool *)context = true;
    return lh_fail(err, LH_EXISTS, "The bucket holds something.");
}

void backup_places_in_use(struct storage *storage, struct lh_arena *arena, struct lh_str **ret,
                          size_t *ret_count)
{
    size_t count = 0, kept = 0;
    storage_bucket_names(storage, arena, ret, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_used = false;
        struct lh_error ignored = LH_ERROR_NONE;
        if (lh_str_equal((*ret)[i], STORAGE_PRIMARY))
            continue;
        if (storage_walk(storage, (*ret)[i], lh_lit(""), stop_at_first, &is_used, &ignored))
            is_used = true; /* also when it does not answer: nobody knows that it is empty */
        if (is_used)
            (*ret)[kept++] = (*ret)[i];
    }
    *ret_count = kept;
}

struct lh_str backup_names_text(const struct lh_str *names, size_t count, struct lh_arena *arena)
{
    struct lh_str text = {0};
    for (size_t i = 0; i < count; i++)
        text =
            lh_arena_printf(arena, "%.*s%s'%.*s'", LH_ARG(text), i ? ", " : "", LH_ARG(names[i]));
    return text;
}
