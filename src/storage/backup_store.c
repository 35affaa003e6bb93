#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "storage/backup_internal.h"

#define COPY_BYTES ((size_t)1 << 20)

/* --- the folder */

static enum lh_code read_identity(struct backup_store *store, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = {0};
    json_t *root = NULL;
    enum lh_code code = lh_file_read(store->dir, BACKUP_FILE, 65536, arena, &text, err);
    if (code)
        goto out;
    code = lh_json_parse(text, BACKUP_FILE, 65536, &root, NULL);
    const char *lake = json_string_value(json_object_get(root, "lake"));
    int64_t format = json_integer_value(json_object_get(root, "format"));
    if (code || format < 1 || !lake || !lh_uuid_is_valid(lh_str_of(lake)))
        code = lh_fail(err, LH_DAMAGED, "The file '" BACKUP_FILE "' of the backup is damaged.");
    else if (format > BACKUP_FORMAT || json_array_size(json_object_get(root, "features")))
        code = lh_fail(err, LH_FORMAT,
                       "The backup was made by a newer release: its format is %lld, this one knows "
                       "%d.",
                       (long long)format, BACKUP_FORMAT);
    else
        memcpy(store->lake.text, lake, LH_UUID_TEXT_BYTES + 1);
    json_decref(root);
out:
    lh_arena_free(arena);
    return code;
}

static enum lh_code write_identity(struct backup_store *store, const struct lh_uuid *lake,
                                   struct lh_error *err)
{
    char made[LH_TIME_TEXT_BYTES + 1];
    struct lh_buf buf;
    lh_time_format(lh_clock_unix_ms(), made);
    lh_buf_init(&buf, 4096);
    lh_buf_printf(&buf, "{\"features\":[],\"format\":%d,\"lake\":\"%s\",\"made\":\"%s\"}\n",
                  BACKUP_FORMAT, lake->text, made);
    enum lh_code code = lh_file_make(store->dir, BACKUP_NEW "/identity", lh_buf_str(&buf), err);
    if (!code)
        code = lh_file_publish(store->dir, BACKUP_NEW "/identity", BACKUP_FILE, err);
    if (!code)
        code = lh_dir_sync(store->dir, "", err);
    store->lake = *lake;
    lh_buf_release(&buf);
    return code;
}

/* Nothing of anybody's may be in a folder that is to become a backup. */
static enum lh_code check_unused(struct backup_store *store, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = lh_dir_list(store->dir, "", arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_str name = entries[i].name;
        if (lh_str_equal(name, lh_lit(BACKUP_LOCK)) || lh_str_equal(name, lh_lit(BACKUP_NEW)) ||
            lh_str_equal(name, lh_lit(BACKUP_OBJECTS)) ||
            lh_str_equal(name, lh_lit(BACKUP_LISTS)) || lh_str_equal(name, lh_lit("lost+found")))
            continue;
        code = lh_fail(err, LH_CONFLICT, "The folder holds '%.*s', and is not a backup.",
                       LH_ARG(lh_str_head(name, 100)));
        lh_error_hint(err, "Name an empty folder, or one that does not exist yet.");
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code lock(struct backup_store *store, struct lh_error *err)
{
    enum lh_code code = lh_file_open(store->dir, BACKUP_LOCK, true, &store->lock_fd, err);
    if (code == LH_NOT_FOUND)
        code = lh_file_create(store->dir, BACKUP_LOCK, &store->lock_fd, err);
    if (!code)
        code = lh_file_lock(store->lock_fd, err);
    if (code != LH_LOCKED)
        return code;
    lh_fail(err, LH_BUSY, "Another backup is being written to that folder.");
    return lh_error_hint(err, "Wait until it ends, or name another folder.");
}

static enum lh_code make_folders(struct backup_store *store, struct lh_error *err)
{
    static const char *const names[] = {BACKUP_OBJECTS, BACKUP_LISTS, BACKUP_NEW};
    /* What a backup that was killed had begun to write. */
    enum lh_code code = lh_dir_remove_tree(store->dir, BACKUP_NEW, err);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !code; i++)
        code = lh_dir_make(store->dir, names[i], NULL, err);
    return code ? code : lh_dir_sync(store->dir, "", err);
}

/* Whether it is a backup already. */
static enum lh_code look(struct backup_store *store, bool *ret_is_there, struct lh_error *err)
{
    struct lh_file_info info;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = lh_file_info(store->dir, BACKUP_FILE, &info, &own);
    *ret_is_there = !code;
    if (code && code != LH_NOT_FOUND && err)
        *err = own;
    return code == LH_NOT_FOUND ? LH_OK : code;
}

static enum lh_code open_for_writing(struct backup_store *store, const struct lh_uuid *lake,
                                     struct lh_error *err)
{
    bool is_there = false;
    enum lh_code code = look(store, &is_there, err);
    if (!code && !is_there)
        code = check_unused(store, err);
    if (!code)
        code = lock(store, err);
    if (!code) /* again: another may have made it while we waited for nothing */
        code = look(store, &is_there, err);
    if (!code && is_there)
        code = read_identity(store, err);
    if (!code && is_there && memcmp(store->lake.text, lake->text, LH_UUID_TEXT_BYTES) != 0) {
        lh_fail(err, LH_CONFLICT, "The folder holds the backup of another lake, %s.",
                store->lake.text);
        code = lh_error_hint(err, "Every lake has a backup folder of its own.");
    }
    if (!code)
        code = make_folders(store, err);
    return !code && !is_there ? write_identity(store, lake, err) : code;
}

static enum lh_code fail_place(struct lh_str path, struct lh_error *err)
{
    lh_fail(err, LH_CONFLICT, "Nothing can be made in the place of the backup folder '%.*s'.",
            LH_ARG(lh_str_head(path, 200)));
    return lh_error_hint(err, "Name a folder on a disk that the server may write to.");
}

enum lh_code backup_store_open(struct lh_str path, const struct lh_uuid *lake,
                               struct backup_store *ret, struct lh_error *err)
{
    *ret = (struct backup_store){.lock_fd = -1};
    enum lh_code code = lh_dir_open(path, lake != NULL, &ret->dir, err);
    if (code == LH_NOT_FOUND && lake) /* it is not there, and nobody can make it */
        return fail_place(path, err);
    if (code)
        return lh_error_context(err, "The backup folder '%.*s'", LH_ARG(path));
    if (lake)
        code = open_for_writing(ret, lake, err);
    else
        code = read_identity(ret, err);
    if (code == LH_NOT_FOUND && lake)
        return fail_place(path, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_NOT_FOUND, "The folder '%.*s' is not a backup.", LH_ARG(path));
    return code ? lh_error_context(err, "The backup folder '%.*s'", LH_ARG(path)) : LH_OK;
}

void backup_store_close(struct backup_store *store)
{
    lh_file_abandon(store->lock_fd);
    lh_dir_close(store->dir);
}

enum lh_code backup_store_numbers(struct backup_store *store, struct lh_arena *arena, int64_t **ret,
                                  size_t *ret_count, struct lh_error *err)
{
    struct lh_dir_entry *entries = NULL;
    size_t count = 0, found = 0;
    enum lh_code code = lh_dir_list(store->dir, BACKUP_LISTS, arena, &entries, &count, err);
    if (code)
        return code;
    int64_t *numbers = lh_arena_array(arena, count + 1, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        struct lh_str name = entries[i].name;
        if (name.len == 24 && lh_str_ends_with(name, lh_lit(".txt")) &&
            lh_str_to_int(lh_str_slice(name, 0, 20), &numbers[found]) && numbers[found] > 0)
            found++;
    }
    *ret = numbers;
    *ret_count = found;
    return LH_OK;
}

/* --- objects */

void backup_object_path(const uint8_t *sha256, char ret[BACKUP_OBJECT_BYTES])
{
    memcpy(ret, BACKUP_OBJECTS "/", sizeof BACKUP_OBJECTS);
    lh_hex(sha256, 1, ret + sizeof BACKUP_OBJECTS);
    ret[sizeof BACKUP_OBJECTS + 2] = '/';
    lh_hex(sha256, LH_SHA256_BYTES, ret + sizeof BACKUP_OBJECTS + 3);
}

bool backup_store_has(struct backup_store *store, const uint8_t *sha256, int64_t bytes)
{
    char path[BACKUP_OBJECT_BYTES];
    struct lh_file_info info;
    backup_object_path(sha256, path);
    return lh_file_info(store->dir, path, &info, NULL) == LH_OK && !info.is_folder &&
           info.bytes == bytes;
}

#define TELL_EVERY_US INT64_C(100000)

static void tell(struct backup_meter *meter)
{
    if (meter->options->tell)
        meter->options->tell(meter->options->tell_context, &meter->progress);
    meter->told_us = lh_clock_monotonic_us();
}

void backup_meter_phase(struct backup_meter *meter, const char *phase)
{
    meter->progress.phase = phase;
    tell(meter);
}

void backup_meter_add(struct backup_meter *meter, int64_t bytes)
{
    if (!meter)
        return;
    meter->progress.bytes_done += bytes;
    if (lh_clock_monotonic_us() - meter->told_us >= TELL_EVERY_US)
        tell(meter);
}

enum lh_code backup_copy(int from, int to, int64_t bytes, struct lh_str shown,
                         const struct lh_cancel *cancel, struct backup_meter *meter,
                         uint8_t ret[LH_SHA256_BYTES], struct lh_error *err)
{
    struct lh_sha256 *sum = lh_sha256_new();
    char *buffer = malloc(COPY_BYTES);
    enum lh_code code = buffer ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory to copy files.");
    for (int64_t at = 0; at < bytes && !code;) {
        size_t wanted = bytes - at < (int64_t)COPY_BYTES ? (size_t)(bytes - at) : COPY_BYTES;
        size_t got = 0;
        code = lh_cancel_fail(cancel, "Copying files", err);
        if (!code)
            code = lh_file_read_at(from, buffer, wanted, at, &got, err);
        if (!code && !got)
            code = lh_fail(err, LH_DAMAGED, "The file '%.*s' has %lld bytes, not %lld.",
                           LH_ARG(shown), (long long)at, (long long)bytes);
        if (!code && to >= 0)
            code = lh_file_write(to, buffer, got, err);
        if (!code)
            lh_sha256_add(sum, buffer, got);
        at += (int64_t)got;
        backup_meter_add(meter, (int64_t)got);
    }
    lh_sha256_finish(sum, ret);
    lh_sha256_free(sum);
    free(buffer);
    return code;
}

enum lh_code backup_store_check(struct backup_store *store, const struct backup_file *file,
                                const struct lh_cancel *cancel, struct backup_meter *meter,
                                struct lh_error *err)
{
    char path[BACKUP_OBJECT_BYTES];
    uint8_t found[LH_SHA256_BYTES];
    struct lh_file_info info;
    int fd = -1;
    backup_object_path(file->sha256, path);
    enum lh_code code = lh_file_open(store->dir, path, false, &fd, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_DAMAGED, "The backup lacks '%s', the bytes of '%.*s'.", path,
                       LH_ARG(file->key));
    if (!code)
        code = lh_file_info_of(fd, &info, err);
    if (!code && info.bytes != file->bytes)
        code = lh_fail(err, LH_DAMAGED,
                       "The backup's file '%s', the bytes of '%.*s', is %lld bytes long, not %lld.",
                       path, LH_ARG(file->key), (long long)info.bytes, (long long)file->bytes);
    if (!code)
        code = backup_copy(fd, -1, file->bytes, file->key, cancel, meter, found, err);
    if (!code && memcmp(found, file->sha256, sizeof found) != 0)
        code = lh_fail(err, LH_DAMAGED,
                       "The backup's file '%s', the bytes of '%.*s', is not what was copied.", path,
                       LH_ARG(file->key));
    lh_file_abandon(fd); /* only read */
    return code;
}

static enum lh_code make_folder(struct backup_store *store, const uint8_t *sha256,
                                struct lh_error *err)
{
    char path[sizeof BACKUP_OBJECTS + 3];
    if (store->has_folder[sha256[0]])
        return LH_OK;
    memcpy(path, BACKUP_OBJECTS "/", sizeof BACKUP_OBJECTS);
    lh_hex(sha256, 1, path + sizeof BACKUP_OBJECTS);
    enum lh_code code = lh_dir_make(store->dir, path, NULL, err);
    store->has_folder[sha256[0]] = !code;
    return code;
}

static enum lh_code write_fresh(struct backup_store *store, const struct backup_input *input,
                                const char *fresh, uint8_t ret[LH_SHA256_BYTES],
                                struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = lh_file_create(store->dir, fresh, &fd, err);
    if (code)
        return code;
    if (input->fd >= 0) {
        code = backup_copy(input->fd, fd, input->bytes, input->shown, input->cancel, input->meter,
                           ret, err);
    } else {
        backup_meter_add(input->meter, (int64_t)input->held.len);
        lh_sha256_of(input->held, ret);
        code = lh_file_write(fd, input->held.data, input->held.len, err);
    }
    if (!code && input->expected && memcmp(ret, input->expected, LH_SHA256_BYTES) != 0) {
        code = lh_fail(err, LH_DAMAGED,
                       "The file '%.*s' is not what was written: its checksum "
                       "differs.",
                       LH_ARG(input->shown));
        lh_error_hint(err, "Run `lakehouse verify` to see what is damaged. Earlier backups are "
                           "as they were.");
    }
    if (!code)
        code = lh_file_sync(fd, err);
    if (code)
        lh_file_abandon(fd);
    else
        code = lh_file_close(fd, err);
    return code;
}

enum lh_code backup_store_put(struct backup_store *store, const struct backup_input *input,
                              uint8_t ret[LH_SHA256_BYTES], struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    char fresh[sizeof BACKUP_NEW + LH_UUID_TEXT_BYTES + 1], path[BACKUP_OBJECT_BYTES];
    uint8_t sum[LH_SHA256_BYTES];
    if (input->fd < 0 && !input->is_mending) { /* in memory: its sum is known without copying */
        lh_sha256_of(input->held, sum);
        if (backup_store_has(store, sum, (int64_t)input->held.len)) {
            backup_meter_add(input->meter, (int64_t)input->held.len);
            memcpy(ret, sum, sizeof sum);
            return LH_OK;
        }
    }
    memcpy(fresh, BACKUP_NEW "/", sizeof BACKUP_NEW);
    memcpy(fresh + sizeof BACKUP_NEW, uuid.text, LH_UUID_TEXT_BYTES + 1);
    enum lh_code code = write_fresh(store, input, fresh, sum, err);
    if (!code)
        code = make_folder(store, sum, err);
    if (!code) {
        backup_object_path(sum, path);
        bool replaces = input->is_mending || !backup_store_has(store, sum, input->bytes);
        code = (replaces ? lh_file_replace : lh_file_publish)(store->dir, fresh, path, err);
        if (code == LH_EXISTS) /* the same bytes under another key */
            code = LH_OK;
    }
    if (!code)
        memcpy(ret, sum, sizeof sum);
    /* It has its place, unless something failed or was there; what stays goes with the next
     * backup's first act. */
    bool is_left = lh_file_remove(store->dir, fresh, NULL) != LH_OK;
    (void)is_left;
    return code;
}
