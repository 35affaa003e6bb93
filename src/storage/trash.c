#include "storage/internal.h"

#include "base/clock.h"

static enum lh_code move_all(struct storage *storage, struct lh_str bucket_name,
                             const struct lh_str *keys, size_t key_count, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text key;
    char folder[sizeof TRASH_FOLDER + LH_UUID_TEXT_BYTES + 1];
    struct lh_uuid uuid = lh_uuid_new(); /* its time is when they were trashed */
    memcpy(folder, TRASH_FOLDER "/", sizeof TRASH_FOLDER);
    memcpy(folder + sizeof TRASH_FOLDER, uuid.text, LH_UUID_TEXT_BYTES + 1);
    enum lh_code code = storage_check_writable(storage, err);
    if (!code)
        code = storage_bucket_find(storage, bucket_name, &bucket, err);
    for (size_t i = 0; !code && i < key_count; i++) /* all or none are fit to be moved */
        code = storage_key_check(keys[i], err);
    for (size_t i = 0; !code && i < key_count; i++) {
        code = key_copy(keys[i], &key, err);
        gate_enter(bucket);
        if (!code)
            code = bucket->backend->trash(bucket, key.text, folder, err);
        gate_leave(bucket, keys[i]);
    }
    for (size_t i = 0; !code && i < key_count; i++) {
        /* Neighbours in one folder mostly come one after the other. */
        if (i && lh_str_equal(key_folder(keys[i]), key_folder(keys[i - 1])))
            continue;
        code = key_copy(keys[i], &key, err);
        if (!code)
            code = bucket->backend->settle(bucket, key.text, err);
        if (code == LH_NOT_FOUND)
            code = LH_OK; /* no such folder: nothing was there to move */
    }
    return code;
}

enum lh_code storage_trash(struct storage *storage, struct lh_str bucket_name,
                           const struct lh_str *keys, size_t key_count, struct lh_error *err)
{
    enum lh_code code = move_all(storage, bucket_name, keys, key_count, err);
    while (code == LH_FULL &&
           storage_reserve_give(storage)) /* what was moved is missing now: fine */
        code = move_all(storage, bucket_name, keys, key_count, err);
    return code;
}

int64_t trash_time(struct lh_str uuid)
{
    uint8_t bytes[6];
    char hex[13];
    memcpy(hex, uuid.data, 8);
    memcpy(hex + 8, uuid.data + 9, 4);
    if (!lh_hex_parse((struct lh_str){hex, 12}, bytes, sizeof bytes))
        return INT64_MAX;
    int64_t time_ms = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        time_ms = time_ms << 8 | bytes[i];
    return time_ms;
}

#define TRASH_DEPTH_MAX 64

static enum lh_code add_bytes(struct lh_dir *dir, struct lh_str folder, unsigned depth,
                              int64_t *bytes, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        lh_dir_list(dir, lh_arena_cstr(arena, folder), arena, &entries, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (!entries[i].is_folder)
            *bytes += entries[i].bytes;
        else if (depth < TRASH_DEPTH_MAX)
            code = add_bytes(
                dir, lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(folder), LH_ARG(entries[i].name)),
                depth + 1, bytes, err);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code trash_sweep_folder(struct lh_dir *dir, int64_t age_ms, int64_t *bytes,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    int64_t now_ms = lh_clock_unix_ms();
    enum lh_code code = lh_dir_list(dir, TRASH_FOLDER, arena, &entries, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_str name = entries[i].name;
        if (!lh_uuid_is_valid(name) || now_ms - trash_time(name) < age_ms)
            continue;
        struct lh_str path = lh_arena_printf(arena, TRASH_FOLDER "/%.*s", LH_ARG(name));
        code = add_bytes(dir, path, 0, bytes, err);
        if (!code)
            code = lh_dir_remove_tree(dir, lh_arena_cstr(arena, path), err);
    }
    lh_arena_free(arena);
    return code;
}

/* One bucket that does not answer keeps no other from being swept; the first error is told. */
enum lh_code storage_trash_sweep(struct storage *storage, int64_t age_ms, int64_t *ret_bytes,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = NULL;
    size_t count = 0;
    int64_t bytes = 0;
    enum lh_code code = storage_check_writable(storage, err);
    if (!code && !atomic_load(&storage->backups))
        storage_bucket_names(storage, arena, &names, &count);
    for (size_t i = 0; i < count; i++) {
        struct storage_bucket *bucket = NULL;
        struct lh_error own = LH_ERROR_NONE;
        enum lh_code each = storage_bucket_find(storage, names[i], &bucket, &own);
        if (!each)
            each = bucket->backend->sweep(bucket, age_ms, &bytes, &own);
        if (each && !code && err)
            *err = own;
        code = code ? code : each;
    }
    lh_arena_free(arena);
    if (!code && ret_bytes)
        *ret_bytes = bytes;
    return code;
}
