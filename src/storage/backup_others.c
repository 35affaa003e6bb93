/* What of a lake lies in other buckets than primary: data files, which the owner of the lake names,
 * and objects of people, whose heads name their bytes. */
#include <stdio.h>

#include "storage/backup_internal.h"
#include "storage/held.h"
#include "storage/objects_internal.h"

#define HEAD_BYTES_MAX ((size_t)65536)

static enum lh_code check_one(struct storage *storage, struct lh_str name, struct lh_arena *arena,
                              struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct storage_info info;
    struct lh_error why = LH_ERROR_NONE;
    if (lh_str_equal(name, STORAGE_PRIMARY))
        return LH_OK;
    enum lh_code code = storage_bucket_find(storage, name, &bucket, &why);
    struct lh_str none = lh_arena_printf(arena, OBJECTS_HEADS "/none");
    if (!code) /* it answers */
        code = storage_info(storage, name, none, &info, &why);
    if (!code || code == LH_NOT_FOUND)
        return LH_OK;
    if (code != LH_IO) {
        if (err)
            *err = why;
        return code;
    }
    lh_fail(err, LH_CONFLICT, "The bucket '%.*s' cannot be backed up: %s", LH_ARG(name),
            why.message);
    return lh_error_hint(err, "Bring it back, or remove it if the lake needs it no more; with "
                              "`primary_only` the backup is made without other buckets.");
}

enum lh_code backup_others_check(struct storage *storage, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    storage_bucket_names(storage, arena, &names, &count);
    for (size_t i = 0; i < count && !code; i++)
        code = check_one(storage, names[i], arena, err);
    lh_arena_free(arena);
    return code;
}

/* --- objects of people */

struct walking {
    struct storage *storage;
    struct lh_str bucket;
    const struct lh_cancel *cancel;
    struct backup_list *list;
};

static enum lh_code add_head(void *context, const struct storage_entry *entry, struct lh_error *err)
{
    struct walking *walking = context;
    struct backup_list *list = walking->list;
    struct object_head head;
    struct lh_str text = {0};
    if (entry->is_folder || entry->is_special)
        return LH_OK;
    enum lh_code code = lh_cancel_fail(walking->cancel, "The backup", err);
    if (!code)
        code = storage_get(walking->storage, walking->bucket, entry->key, HEAD_BYTES_MAX,
                           list->arena, &text, err);
    if (code == LH_NOT_FOUND) /* deleted a moment ago */
        return LH_OK;
    if (!code)
        code = object_head_parse(text, (struct lh_str){0}, list->arena, &head, err);
    if (code)
        return code;
    struct backup_file *file = backup_list_add(list, walking->bucket, entry->key);
    file->held = text;
    file->bytes = (int64_t)text.len;
    file = backup_list_add(list, walking->bucket, object_data_key(head.data, list->arena));
    file->bytes = head.bytes;
    file->is_summed = lh_hex_parse(head.sha256, file->sha256, sizeof file->sha256);
    return LH_OK;
}

static enum lh_code add_objects(struct storage *storage, const struct lh_cancel *cancel,
                                struct backup_list *list, struct lh_error *err)
{
    struct lh_str *names = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    storage_bucket_names(storage, list->arena, &names, &count);
    for (size_t i = 0; i < count && !code; i++) {
        struct walking walking = {storage, names[i], cancel, list};
        if (!lh_str_equal(names[i], STORAGE_PRIMARY))
            code = storage_walk(storage, names[i], lh_lit(OBJECTS_HEADS), add_head, &walking, err);
    }
    return code;
}

enum lh_code backup_others_add(struct storage *storage, const struct storage_backup_source *source,
                               const struct lh_cancel *cancel, struct backup_list *list,
                               struct lh_error *err)
{
    const struct storage_placed *placed = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    if (source->elsewhere)
        code = source->elsewhere(source->context, list->arena, &placed, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct backup_file *file = backup_list_add(list, placed[i].bucket, placed[i].key);
        file->bytes = placed[i].bytes;
        file->held = placed[i].text;
        file->is_summed = !placed[i].text.data;
        memcpy(file->sha256, placed[i].sha256, sizeof file->sha256);
    }
    return code ? code : add_objects(storage, cancel, list, err);
}

/* --- reading them */

static enum lh_code fetch(struct storage_bucket *bucket, const char *key,
                          struct backup_store *store, const struct lh_cancel *cancel, int *ret_fd,
                          struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    char fresh[sizeof BACKUP_NEW + LH_UUID_TEXT_BYTES + 8];
    int fd = -1;
    (void)snprintf(fresh, sizeof fresh, BACKUP_NEW "/%s.fetch", uuid.text);
    enum lh_code code = lh_file_create(store->dir, fresh, &fd, err);
    if (code)
        return code;
    code = bucket->backend->fetch(bucket, key, fd, cancel, err);
    if (code)
        lh_file_abandon(fd);
    else
        code = lh_file_close(fd, err);
    if (!code)
        code = lh_file_open(store->dir, fresh, false, ret_fd, err);
    /* Open, it stays until it is closed; what is left after a failure goes with the next backup. */
    if (lh_file_remove(store->dir, fresh, NULL) != LH_OK)
        return code;
    return code;
}

/* Trash is kept while a backup runs: what was moved away, or expired, lies there. */
static enum lh_code open_trashed(struct storage *storage, const struct backup_file *file,
                                 const struct lh_cancel *cancel, int *ret_fd, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_holdings held = {0};
    struct lh_str end = lh_arena_printf(arena, "/%.*s", LH_ARG(file->key));
    bool is_found = false;
    enum lh_code code = storage_held_list(storage, file->bucket, cancel, arena, &held, err);
    for (size_t i = 0; i < held.count && !code && !is_found; i++) {
        struct storage_held_file opened;
        if (held.items[i].is_marker || held.items[i].is_upload || held.items[i].is_past ||
            !lh_str_starts_with(held.items[i].key, lh_lit(TRASH_FOLDER "/")) ||
            !lh_str_ends_with(held.items[i].key, end))
            continue;
        code =
            storage_held_open(storage, file->bucket, &held.items[i], cancel, arena, &opened, err);
        if (code)
            continue;
        is_found = true;
        *ret_fd = opened.fd; /* open, it stays */
        opened.fd = -1;
        storage_held_close(&opened);
    }
    lh_arena_free(arena);
    return code || is_found ? code : LH_NOT_FOUND;
}

/* What is nowhere is damage, not somebody else's doing. */
static enum lh_code open_missing(struct storage *storage, const struct backup_file *file,
                                 const struct lh_cancel *cancel, int *ret_fd, struct lh_error *err)
{
    struct storage_sum expected = {.bytes = file->bytes};
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = open_trashed(storage, file, cancel, ret_fd, &own);
    memcpy(expected.sha256, file->sha256, sizeof expected.sha256);
    if (code && file->is_summed &&
        !storage_open_rescued(storage, file->bucket, file->key, &expected, LH_NOT_FOUND, ret_fd))
        return LH_OK;
    if (code && code != LH_NOT_FOUND && code != LH_FORBIDDEN && err)
        *err = own;
    if (code != LH_NOT_FOUND && code != LH_FORBIDDEN)
        return code;
    lh_fail(err, LH_DAMAGED,
            "The file '%.*s' is missing in the bucket '%.*s': a backup without it would not be "
            "whole.",
            LH_ARG(file->key), LH_ARG(file->bucket));
    return lh_error_hint(err,
                         "Bring it back, there or in the rescue bucket, or expire or drop what "
                         "needs it; what was copied is kept for the next backup.");
}

enum lh_code backup_others_open(struct storage *storage, struct backup_store *store,
                                const struct backup_file *file, const struct lh_cancel *cancel,
                                int *ret_fd, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text key;
    enum lh_code code = storage_bucket_find(storage, file->bucket, &bucket, err);
    if (!code)
        code = key_copy(file->key, &key, err);
    if (code)
        return code;
    if (bucket->backend->is_remote)
        code = fetch(bucket, key.text, store, cancel, ret_fd, err);
    else
        code = bucket->backend->open_file(bucket, key.text, ret_fd, err);
    return code == LH_NOT_FOUND ? open_missing(storage, file, cancel, ret_fd, err) : code;
}
