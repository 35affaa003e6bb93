#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "storage/backup_internal.h"

/*   empty ──▶ marker ──▶ files, folders durable ──▶ `_lake.json` ──▶ marker removed
 * Until `_lake.json` is there no program takes the folder for a lake; with the marker a restore of
 * the same backup goes on where it was. */

struct restoring {
    const struct storage_restore_options *options;
    struct backup_store store;
    struct backup_list list;
    struct lh_dir *target;
    struct restore_places places;
    struct lh_dir *at; /* where the files of the bucket at hand go */
    struct lh_uuid id; /* of the lake that it becomes */
    int marker_fd;
    bool is_continued;
    bool is_complete; /* only the marker was left */
};

/* --- which backup */

static enum lh_code read_list(struct restoring *restoring, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    int64_t number = restoring->options->number, *numbers = NULL;
    size_t count = 0;
    enum lh_code code = backup_store_numbers(&restoring->store, arena, &numbers, &count, err);
    if (!code && !count)
        code = lh_fail(err, LH_NOT_FOUND, "The folder '%.*s' holds no finished backup.",
                       LH_ARG(restoring->options->path));
    if (!code && !number)
        number = numbers[count - 1];
    if (!code)
        code = backup_store_read(&restoring->store, number, &restoring->list, err);
    if (code == LH_NOT_FOUND && count)
        lh_error_hint(err, "The newest is %lld.", (long long)numbers[count - 1]);
    lh_arena_free(arena);
    if (!code &&
        memcmp(restoring->list.lake.text, restoring->store.lake.text, LH_UUID_TEXT_BYTES) != 0)
        code = lh_fail(err, LH_DAMAGED, "The list of backup %lld is of another lake.",
                       (long long)number);
    return code;
}

/* Everything, each object once, before the target is looked at. */
static enum lh_code check_objects(struct restoring *restoring, struct lh_error *err)
{
    const struct backup_list *list = &restoring->list;
    const struct backup_file **files = lh_allocate(list->count + 1, sizeof *files);
    bool has_identity = false;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < list->count; i++) {
        files[i] = &list->items[i];
        has_identity = has_identity || lh_str_equal(files[i]->key, lh_lit(LAKE_FILE));
    }
    if (list->count)
        qsort(files, list->count, sizeof *files, backup_compare_sums);
    for (size_t i = 0; i < list->count && !code; i++)
        if (!i || backup_compare_sums(&files[i - 1], &files[i]) != 0)
            code = backup_store_check(&restoring->store, files[i], restoring->options->cancel, NULL,
                                      err);
    free(files);
    if (!code && !has_identity)
        code = lh_fail(err, LH_DAMAGED, "The backup's list does not name '" LAKE_FILE "'.");
    if (code == LH_DAMAGED)
        lh_error_hint(err, "Nothing was restored. An earlier backup in the same folder may be "
                           "whole; `backup` with `recheck` mends this one while the lake lives.");
    return code;
}

/* What does not come back is said before anything is written. */
static enum lh_code check_left_out(struct restoring *restoring, struct lh_error *err)
{
    struct backup_list *list = &restoring->list;
    if (!list->left_out_count || restoring->options->is_primary_only)
        return LH_OK;
    struct lh_str names = backup_names_text(list->left_out, list->left_out_count, list->arena);
    lh_fail(err, LH_CONFLICT,
            "Backup %lld was made of the bucket 'primary' only: what lay in %.*s is not in it.",
            (long long)list->number, LH_ARG(names));
    return lh_error_hint(err, "With --primary-only the rest is restored; data in those buckets "
                              "is missing until they are there again.");
}

/* --- the target */

static enum lh_code fail_not_empty(const struct restoring *restoring, struct lh_str name,
                                   struct lh_error *err)
{
    lh_fail(err, LH_CONFLICT, "The folder '%.*s' is not empty: it holds '%.*s'.",
            LH_ARG(restoring->options->target), LH_ARG(lh_str_head(name, 100)));
    return lh_error_hint(err,
                         "A lake is restored into an empty folder, or one that does not exist.");
}

static struct lh_str marker_text(const struct restoring *restoring, struct lh_arena *arena)
{
    return lh_arena_printf(arena, "{\"lake\":\"%s\",\"number\":%lld}\n", restoring->list.lake.text,
                           (long long)restoring->list.number);
}

static enum lh_code check_marker(struct restoring *restoring, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_file_info info;
    struct lh_str text = {0};
    enum lh_code code = lh_file_read(restoring->target, RESTORING_FILE, 4096, arena, &text, err);
    /* An empty one: ended before anything was written. */
    if (!code && text.len && !lh_str_equal(text, marker_text(restoring, arena))) {
        lh_fail(err, LH_CONFLICT,
                "The folder '%.*s' holds the restore of another backup that did not finish.",
                LH_ARG(restoring->options->target));
        code = lh_error_hint(err, "Empty it, or restore that backup again.");
    }
    restoring->is_continued = !code;
    restoring->is_complete =
        !code && lh_file_info(restoring->target, LAKE_FILE, &info, NULL) == LH_OK;
    lh_arena_free(arena);
    return code;
}

static enum lh_code check_empty(struct restoring *restoring, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    bool has_marker = false;
    enum lh_code code = lh_dir_list(restoring->target, "", arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        has_marker = has_marker || lh_str_equal(entries[i].name, lh_lit(RESTORING_FILE));
    for (size_t i = 0; i < count && !code && !has_marker; i++)
        if (!lh_str_equal(entries[i].name, lh_lit("lost+found")))
            code = fail_not_empty(restoring, entries[i].name, err);
    lh_arena_free(arena);
    return !code && has_marker ? check_marker(restoring, err) : code;
}

static enum lh_code write_marker(struct restoring *restoring, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = marker_text(restoring, arena);
    enum lh_code code =
        lh_file_open(restoring->target, RESTORING_FILE, true, &restoring->marker_fd, NULL);
    if (code)
        code = lh_file_create(restoring->target, RESTORING_FILE, &restoring->marker_fd, err);
    if (!code)
        code = lh_file_lock(restoring->marker_fd, err);
    if (code == LH_LOCKED)
        lh_fail(err, LH_LOCKED, "Another restore into that folder is running.");
    if (!code)
        code = lh_file_resize(restoring->marker_fd, 0, err);
    if (!code)
        code = lh_file_write(restoring->marker_fd, text.data, text.len, err);
    if (!code)
        code = lh_file_sync(restoring->marker_fd, err);
    if (!code)
        code = lh_dir_sync(restoring->target, "", err);
    lh_arena_free(arena);
    return code;
}

/* --- files */

static bool is_there(struct restoring *restoring, const char *path, const struct backup_file *file)
{
    uint8_t found[LH_SHA256_BYTES];
    int64_t bytes = 0;
    int fd = -1;
    if (!restoring->is_continued || lh_file_open(restoring->at, path, false, &fd, NULL))
        return false;
    bool is_it = !lh_sha256_of_file(fd, restoring->options->cancel, found, &bytes, NULL) &&
                 bytes == file->bytes && memcmp(found, file->sha256, sizeof found) == 0;
    is_it = is_it && !lh_file_sync(fd, NULL); /* who wrote it may have ended before that */
    lh_file_abandon(fd);
    return is_it;
}

static enum lh_code write_file(struct restoring *restoring, const char *path,
                               const struct backup_file *file, struct lh_error *err)
{
    char object[BACKUP_OBJECT_BYTES];
    uint8_t found[LH_SHA256_BYTES];
    int from = -1, to = -1;
    backup_object_path(file->sha256, object);
    enum lh_code code = lh_file_open(restoring->store.dir, object, false, &from, err);
    if (!code && restoring->is_continued)
        code = lh_file_remove(restoring->at, path, err);
    if (!code)
        code = lh_file_create(restoring->at, path, &to, err);
    if (!code)
        code = backup_copy(from, to, file->bytes, file->key, restoring->options->cancel, NULL,
                           found, err);
    if (!code && memcmp(found, file->sha256, sizeof found) != 0)
        code = lh_fail(err, LH_DAMAGED, "The backup's file '%s' gives other bytes than before.",
                       object);
    if (!code)
        code = lh_file_sync(to, err);
    lh_file_abandon(from); /* only read */
    if (code)
        lh_file_abandon(to);
    else
        code = lh_file_close(to, err);
    return code;
}

/* Each folder on the way, when the next file is in another one; the list is sorted by key. */
static enum lh_code sync_folders(struct restoring *restoring, struct lh_str from,
                                 struct lh_str next, struct lh_error *err)
{
    struct key_text text;
    enum lh_code code = LH_OK;
    for (struct lh_str folder = key_folder(from); folder.len && !code;
         folder = key_folder(folder)) {
        if (lh_str_starts_with(next, folder) && next.len > folder.len &&
            next.data[folder.len] == '/')
            break;
        memcpy(text.text, folder.data, folder.len);
        text.text[folder.len] = '\0';
        code = lh_dir_sync(restoring->at, text.text, err);
    }
    return code;
}

static enum lh_code restore_one(struct restoring *restoring, const struct backup_file *file,
                                struct lh_error *err)
{
    struct key_text key, folder;
    struct lh_str parent = key_folder(file->key);
    enum lh_code code = lh_cancel_fail(restoring->options->cancel, "The restore", err);
    memcpy(key.text, file->key.data, file->key.len);
    key.text[file->key.len] = '\0';
    memcpy(folder.text, parent.data, parent.len);
    folder.text[parent.len] = '\0';
    if (!code && parent.len)
        code = lh_dir_make(restoring->at, folder.text, NULL, err);
    if (!code && !is_there(restoring, key.text, file))
        code = write_file(restoring, key.text, file, err);
    return code;
}

/* The folder of a bucket; NULL: it is left out. */
static struct lh_dir *dir_of(const struct restoring *restoring, struct lh_str bucket)
{
    if (lh_str_equal(bucket, STORAGE_PRIMARY))
        return restoring->target;
    for (size_t i = 0; i < restoring->places.count; i++)
        if (lh_str_equal(restoring->places.items[i].place->bucket, bucket))
            return restoring->places.items[i].dir;
    return NULL;
}

static enum lh_code end_bucket(struct restoring *restoring, struct lh_str last,
                               struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (restoring->at && last.len)
        code = sync_folders(restoring, last, (struct lh_str){0}, err);
    if (!code && restoring->at)
        code = lh_dir_sync(restoring->at, "", err);
    return code;
}

/* In the order of buckets and keys. */
static enum lh_code restore_files(struct restoring *restoring, struct lh_error *err)
{
    const struct backup_list *list = &restoring->list;
    struct lh_str last = {0}, bucket = {0};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < list->count && !code; i++) {
        const struct backup_file *file = &list->items[i];
        if (!lh_str_equal(file->bucket, bucket)) {
            code = end_bucket(restoring, last, err);
            bucket = file->bucket;
            last = (struct lh_str){0};
            restoring->at = dir_of(restoring, bucket);
        }
        if (code || !restoring->at || lh_str_equal(file->key, lh_lit(LAKE_FILE)))
            continue;
        if (last.len)
            code = sync_folders(restoring, last, file->key, err);
        if (!code)
            code = restore_one(restoring, file, err);
        last = file->key;
    }
    return code ? code : end_bucket(restoring, last, err);
}

/* --- room */

/* What of a bucket is not there yet; a continued one finds most. */
static int64_t missing_bytes(const struct restoring *restoring, struct lh_str bucket,
                             struct lh_dir *dir)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < restoring->list.count; i++) {
        const struct backup_file *file = &restoring->list.items[i];
        struct lh_file_info info;
        struct key_text key;
        if (!lh_str_equal(file->bucket, bucket))
            continue;
        memcpy(key.text, file->key.data, file->key.len);
        key.text[file->key.len] = '\0';
        if (!restoring->is_continued || lh_file_info(dir, key.text, &info, NULL) ||
            info.bytes != file->bytes)
            bytes += file->bytes;
    }
    return bytes;
}

/* Of the folders that are open by now; several may lie on one disk. */
static enum lh_code check_room(const struct restoring *restoring, struct lh_error *err)
{
    struct {
        struct lh_dir *dir;
        int64_t bytes;
    } parts[STORAGE_RESTORE_PLACES_MAX + 1];
    size_t count = 0;
    enum lh_code code = LH_OK;
    parts[count].dir = restoring->target;
    parts[count++].bytes = missing_bytes(restoring, STORAGE_PRIMARY, restoring->target);
    for (size_t i = 0; i < restoring->places.count; i++) {
        const struct restore_place *place = &restoring->places.items[i];
        if (!place->dir)
            continue;
        parts[count].dir = place->dir;
        parts[count++].bytes = missing_bytes(restoring, place->place->bucket, place->dir);
    }
    for (size_t i = 0; i < count && !code; i++) {
        int64_t bytes = 0;
        for (size_t k = 0; k < count; k++)
            bytes += k == i || lh_dir_shares_disk(parts[i].dir, parts[k].dir) ? parts[k].bytes : 0;
        code = room_check(parts[i].dir, bytes, "what is restored", err);
    }
    if (code == LH_FULL)
        lh_error_hint(err, "Make room there, then restore again; no file was restored.");
    return code;
}

/* A lake of its own that knows whose it was: places that only one may write to are not its. */
static enum lh_code identity_text(struct restoring *restoring, const struct backup_file *identity,
                                  struct lh_arena *arena, struct lh_buf *buf, struct lh_error *err)
{
    char object[BACKUP_OBJECT_BYTES], time[LH_TIME_TEXT_BYTES + 1];
    struct lh_str text = {0};
    struct lh_json json;
    json_t *root = NULL;
    backup_object_path(identity->sha256, object);
    enum lh_code code = lh_file_read(restoring->store.dir, object, 65536, arena, &text, err);
    if (!code)
        code = lh_json_parse(text, LAKE_FILE, 65536, &root, err);
    json_t *ancestors = json_object_get(root, "restored_from");
    if (!code && !json_is_array(ancestors)) {
        ancestors = json_array();
        if (json_object_set_new(root, "restored_from", ancestors))
            ancestors = NULL;
    }
    lh_time_format(lh_clock_unix_ms(), time);
    if (!code && (json_array_append(ancestors, json_object_get(root, "id")) ||
                  json_object_set_new(root, "id", json_string(restoring->id.text)) ||
                  json_object_set_new(root, "restored", json_string(time))))
        code = lh_fail(err, LH_BUSY, "There is no memory for the lake's identity.");
    if (!code) {
        lh_json_init(&json, buf);
        lh_json_parsed(&json, root);
        lh_buf_append_char(buf, '\n');
        code = lh_buf_check(buf, LAKE_FILE, err);
    }
    json_decref(root);
    return code;
}

static enum lh_code write_identity(struct restoring *restoring, const struct backup_file *identity,
                                   struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf buf;
    lh_buf_init(&buf, 65536);
    enum lh_code code = identity_text(restoring, identity, arena, &buf, err);
    if (!code)
        code = lh_file_make(restoring->target, RESTORING_LAKE_FILE, lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

/* What makes it a lake comes last, whole and at once. */
static enum lh_code finish(struct restoring *restoring, struct lh_error *err)
{
    const struct backup_file *identity =
        backup_list_find(&restoring->list, STORAGE_PRIMARY, lh_lit(LAKE_FILE));
    enum lh_code code = LH_OK;
    if (!restoring->is_complete) {
        code = restore_places_claim(&restoring->places, restoring->target, &restoring->id, err);
        if (!code)
            code = lh_file_remove(restoring->target, RESTORING_LAKE_FILE, err);
        if (!code)
            code = write_identity(restoring, identity, err);
        if (!code)
            code = lh_file_publish(restoring->target, RESTORING_LAKE_FILE, LAKE_FILE, err);
        if (!code)
            code = lh_dir_sync(restoring->target, "", err);
    }
    if (!code)
        code = restore_places_end(&restoring->places, err);
    if (!code)
        code = lh_file_remove(restoring->target, RESTORING_FILE, err);
    return code ? code : lh_dir_sync(restoring->target, "", err);
}

/* Their markers say the same as the target's, so that a continued one knows them. */
static enum lh_code open_places(struct restoring *restoring, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = restore_places_open(&restoring->places, marker_text(restoring, arena),
                                            restoring->is_complete, err);
    lh_arena_free(arena);
    return code;
}

static enum lh_code restore(struct restoring *restoring, struct lh_error *err)
{
    enum lh_code code = backup_store_open(restoring->options->path, NULL, &restoring->store, err);
    if (!code)
        code = read_list(restoring, err);
    if (!code)
        code = check_objects(restoring, err);
    if (code || !restoring->options->target.len)
        return code;
    backup_list_sort(&restoring->list);
    code = check_left_out(restoring, err);
    if (!code)
        code = restore_places_find(&restoring->places, restoring->options, &restoring->list, err);
    if (code)
        return code;
    code = lh_dir_open(restoring->options->target, true, &restoring->target, err);
    if (!code)
        code = check_empty(restoring, err);
    if (!code && !restoring->is_complete) /* before anything is written, as far as can be said */
        code = check_room(restoring, err);
    if (!code && !restoring->is_complete)
        code = write_marker(restoring, err);
    if (!code)
        code = open_places(restoring, err);
    if (!code && !restoring->is_complete && restoring->places.count)
        code = check_room(restoring, err);
    if (!code && !restoring->is_complete)
        code = restore_files(restoring, err);
    return code ? code : finish(restoring, err);
}

/* What the backup lacks, and what of it was not wanted. */
static struct lh_str left_out_text(const struct restoring *restoring, struct lh_arena *arena)
{
    const struct backup_list *list = &restoring->list;
    struct lh_str *names =
        lh_arena_array(arena, list->left_out_count + STORAGE_BUCKETS_MAX, sizeof *names);
    struct lh_str last = STORAGE_PRIMARY;
    size_t count = 0;
    for (size_t i = 0; i < list->left_out_count; i++)
        names[count++] = list->left_out[i];
    for (size_t i = 0; i < list->count && restoring->options->is_primary_only; i++) {
        struct lh_str bucket = list->items[i].bucket;
        if (lh_str_equal(bucket, last) || lh_str_equal(bucket, STORAGE_PRIMARY) ||
            count == list->left_out_count + STORAGE_BUCKETS_MAX)
            continue;
        names[count++] = last = bucket;
    }
    return backup_names_text(names, count, arena);
}

enum lh_code storage_restore(const struct storage_restore_options *options,
                             struct storage_restore_result *ret, struct lh_error *err)
{
    struct restoring restoring = {
        .options = options, .store = {.lock_fd = -1}, .id = lh_uuid_new(), .marker_fd = -1};
    backup_list_init(&restoring.list);
    enum lh_code code = restore(&restoring, err);
    if (!code) {
        *ret = (struct storage_restore_result){.number = restoring.list.number,
                                               .sequence = restoring.list.sequence,
                                               .made_ms = restoring.list.made_ms,
                                               .file_count = (int64_t)restoring.list.count};
        for (size_t i = 0; i < restoring.list.count; i++)
            ret->byte_count += restoring.list.items[i].bytes;
        if (options->arena)
            ret->left_out = left_out_text(&restoring, options->arena);
        memcpy(ret->lake, restoring.list.lake.text, sizeof ret->lake);
    }
    lh_file_abandon(restoring.marker_fd);
    restore_places_release(&restoring.places);
    lh_dir_close(restoring.target);
    backup_store_close(&restoring.store);
    backup_list_release(&restoring.list);
    return code;
}
