/* The backend on a local folder: the keys are paths below the data folder. */
#include "storage/internal.h"

static enum lh_code open_bucket(struct storage_bucket *bucket, struct lh_error *err)
{
    (void)err;
    bucket->state = bucket->storage->dir;
    return LH_OK;
}

static void close_bucket(struct storage_bucket *bucket)
{
    bucket->state = NULL; /* the folder is the storage's own */
}

static enum lh_code prepare(struct storage_bucket *bucket, const char *key, struct lh_error *err)
{
    return folders_ensure(bucket->storage, key_folder(lh_str_of(key)), err);
}

/* Whether the object is the staged file after all: a rename that answers with an error of the disk
 * may have happened. */
static bool may_be_there(struct lh_dir *dir, const char *staged, const char *key)
{
    struct lh_file_info info;
    enum lh_code code = lh_file_info(dir, staged, &info, NULL);
    if (code == LH_OK)
        return false; /* it still has its old name */
    return code != LH_NOT_FOUND || lh_file_info(dir, key, &info, NULL) != LH_NOT_FOUND;
}

static enum lh_code publish(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err)
{
    struct lh_dir *dir = bucket->state;
    struct lh_file_info info;
    enum lh_code code = lh_file_publish(dir, staged, key, err);
    if (code == LH_NOT_FOUND && lh_file_info(dir, staged, &info, NULL) == LH_OK) {
        /* Somebody removed the folder under us. */
        folders_forget(bucket->storage);
        code = prepare(bucket, key, err);
        if (!code)
            code = lh_file_publish(dir, staged, key, err);
    }
    *ret_is_unknown = code && code != LH_EXISTS && may_be_there(dir, staged, key);
    return code;
}

static enum lh_code replace(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err)
{
    struct lh_dir *dir = bucket->state;
    struct lh_file_info info;
    enum lh_code code = lh_file_replace(dir, staged, key, err);
    if (code == LH_NOT_FOUND && lh_file_info(dir, staged, &info, NULL) == LH_OK) {
        folders_forget(bucket->storage); /* as in publish */
        code = prepare(bucket, key, err);
        if (!code)
            code = lh_file_replace(dir, staged, key, err);
    }
    *ret_is_unknown = code && may_be_there(dir, staged, key);
    return code;
}

static enum lh_code open_file(struct storage_bucket *bucket, const char *key, int *ret_fd,
                              struct lh_error *err)
{
    return lh_file_open(bucket->state, key, false, ret_fd, err);
}

static enum lh_code settle(struct storage_bucket *bucket, const char *key, struct lh_error *err)
{
    struct lh_str folder = key_folder(lh_str_of(key));
    struct key_text text;
    memcpy(text.text, folder.data, folder.len);
    text.text[folder.len] = '\0';
    return lh_dir_sync(bucket->state, text.text, err);
}

static enum lh_code get(struct storage_bucket *bucket, const char *key, size_t bytes_max,
                        struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    return lh_file_read(bucket->state, key, bytes_max, arena, ret, err);
}

static enum lh_code info(struct storage_bucket *bucket, const char *key, struct storage_info *ret,
                         struct lh_error *err)
{
    struct lh_file_info found;
    enum lh_code code = lh_file_info(bucket->state, key, &found, err);
    if (code)
        return code;
    if (found.is_folder)
        return lh_fail(err, LH_NOT_FOUND, "There is no object '%s': it is a folder.", key);
    *ret = (struct storage_info){.bytes = found.bytes,
                                 .modified_ms = found.modified_ms,
                                 .changed_ns = found.changed_ns,
                                 .inode = found.inode};
    return LH_OK;
}

static enum lh_code sum(struct storage_bucket *bucket, const char *key,
                        const struct lh_cancel *cancel, struct storage_sum *ret,
                        struct lh_error *err)
{
    struct storage_sum found;
    int fd = -1;
    enum lh_code code = lh_file_open(bucket->state, key, false, &fd, err);
    if (code)
        return code;
    code = lh_sha256_of_file(fd, cancel, found.sha256, &found.bytes, err);
    lh_file_abandon(fd);
    if (!code)
        *ret = found;
    return code;
}

static enum lh_code path(struct storage_bucket *bucket, const char *key, struct lh_arena *arena,
                         struct lh_str *ret, struct lh_error *err)
{
    struct storage_info found;
    enum lh_code code = info(bucket, key, &found, err);
    if (code)
        return code;
    *ret = lh_arena_printf(arena, "%.*s/%s", LH_ARG(lh_dir_path(bucket->state)), key);
    return LH_OK;
}

static enum lh_code list(struct storage_bucket *bucket, const char *folder, struct lh_arena *arena,
                         struct storage_entry **ret, size_t *ret_count, struct lh_error *err)
{
    struct lh_dir_entry *found = NULL;
    size_t count = 0;
    enum lh_code code = lh_dir_list(bucket->state, folder, arena, &found, &count, err);
    if (code)
        return code;
    struct storage_entry *entries = lh_arena_try(arena, (count ? count : 1) * sizeof *entries);
    if (!entries)
        return lh_fail(err, LH_TOO_LARGE, "The folder '%s' has too many entries.", folder);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct storage_entry){
            .name = found[i].name,
            .is_folder = found[i].is_folder,
            .is_special = found[i].is_special,
            .bytes = found[i].bytes,
            .modified_ms = found[i].modified_ms,
        };
    }
    *ret = entries;
    *ret_count = count;
    return LH_OK;
}

static enum lh_code trash(struct storage_bucket *bucket, const char *key, const char *folder,
                          struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str target = lh_arena_printf(arena, "%s/%s", folder, key);
    struct storage_info found;
    enum lh_code code = info(bucket, key, &found, err);
    if (code == LH_NOT_FOUND) {
        code = LH_OK;
        goto out;
    }
    if (code)
        goto out;
    code = lh_dir_make(bucket->state, lh_arena_cstr(arena, key_folder(target)), NULL, err);
    if (!code)
        code = lh_file_publish(bucket->state, key, target.data, err);
    if (!code)
        code = lh_dir_sync(bucket->state, lh_arena_cstr(arena, key_folder(target)), err);
out:
    lh_arena_free(arena);
    return code;
}

const struct storage_backend storage_local = {
    .name = "local",
    .open = open_bucket,
    .close = close_bucket,
    .prepare = prepare,
    .publish = publish,
    .replace = replace,
    .settle = settle,
    .get = get,
    .open_file = open_file,
    .info = info,
    .sum = sum,
    .path = path,
    .list = list,
    .trash = trash,
};
