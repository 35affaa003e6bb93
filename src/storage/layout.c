#include "storage/internal.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

#define SMALL_FILE_BYTES_MAX ((size_t)4096)

/* Reads one small JSON object of the layout. LH_NOT_FOUND; LH_MALFORMED. */
static enum lh_code read_object(struct lh_dir *dir, const char *name, json_t **ret,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = {0};
    json_t *object = NULL;
    enum lh_code code = lh_file_read(dir, name, SMALL_FILE_BYTES_MAX, arena, &text, err);
    if (code)
        goto out;
    code = lh_json_parse(text, name, SMALL_FILE_BYTES_MAX, &object, err);
    if (code)
        goto out;
    if (!json_is_object(object)) {
        json_decref(object);
        code = lh_fail(err, LH_MALFORMED, "%s is not a JSON object.", name);
        goto out;
    }
    *ret = object;
out:
    lh_arena_free(arena);
    return code;
}

/* Writes a small file under a fresh name in the staging folder; the caller ends *ret. */
static enum lh_code stage_text(struct storage *storage, struct lh_str text,
                               struct storage_staged **ret, struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    enum lh_code code = storage_stage(storage, lh_lit(".json"), &staged, err);
    if (!code)
        code = storage_staged_write(staged, text.data, text.len, err);
    if (code) {
        storage_staged_discard(staged);
        return code;
    }
    *ret = staged;
    return LH_OK;
}

/* --- _lake.json ---------------------------------------------------------------------------------
 */

static enum lh_code damaged(struct lh_error *err, struct lh_str shown, const char *reason)
{
    lh_fail(err, LH_DAMAGED, "The data folder '%.*s' %s.", LH_ARG(shown), reason);
    return lh_error_hint(err, "Restore the file '" LAKE_FILE "' of this folder from a backup.");
}

/* What a program must understand to read or write the folder; this release knows of none. */
static enum lh_code fail_feature(const json_t *feature, struct lh_str shown, struct lh_error *err)
{
    struct lh_str name = lh_str_head(lh_json_text(feature), 100);
    lh_fail(err, LH_FORMAT,
            "The data folder '%.*s' needs '%.*s', which this release does not know.", LH_ARG(shown),
            LH_ARG(name));
    return lh_error_hint(err, "Use the release that wrote it, or a newer one.");
}

static void read_ancestors(struct storage *storage, const json_t *ids)
{
    storage->restored_count = json_array_size(ids);
    storage->restored_from =
        lh_arena_array(storage->arena, storage->restored_count + 1, sizeof *storage->restored_from);
    for (size_t i = 0; i < storage->restored_count; i++)
        storage->restored_from[i] =
            lh_arena_str(storage->arena, lh_json_text(json_array_get(ids, i)));
}

static enum lh_code read_lake_file(struct storage *storage, struct lh_str shown,
                                   struct lh_error *err)
{
    json_t *object = NULL;
    enum lh_code code = read_object(storage->dir, LAKE_FILE, &object, err);
    if (code == LH_MALFORMED || code == LH_TOO_LARGE)
        return damaged(err, shown, "has an unreadable '" LAKE_FILE "'");
    if (code)
        return code;
    const json_t *format = json_object_get(object, "format");
    const char *id = json_string_value(json_object_get(object, "id"));
    if (!json_is_integer(format) || json_integer_value(format) < 1 || !id ||
        !lh_uuid_is_valid(lh_str_of(id))) {
        code = damaged(err, shown, "has a '" LAKE_FILE "' without format and id");
    } else if (json_integer_value(format) > STORAGE_FORMAT) {
        lh_fail(err, LH_FORMAT,
                "The data folder '%.*s' has format %lld; this release knows formats up to %d.",
                LH_ARG(shown), (long long)json_integer_value(format), STORAGE_FORMAT);
        code = lh_error_hint(err, "Use the release that wrote it, or a newer one.");
    } else if (json_array_size(json_object_get(object, "features"))) {
        code = fail_feature(json_array_get(json_object_get(object, "features"), 0), shown, err);
    } else {
        memcpy(storage->id.text, id, LH_UUID_TEXT_BYTES + 1);
        read_ancestors(storage, json_object_get(object, "restored_from"));
    }
    json_decref(object);
    return code;
}

/* A folder without `_lake.json` may become a lake only if nothing of anybody's is in it. */
static enum lh_code check_unused(struct storage *storage, struct lh_str shown, bool create,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    bool is_foreign = false;
    bool is_lake = false;
    bool is_restoring = false;
    enum lh_code code = lh_dir_list(storage->dir, "", arena, &entries, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        struct lh_str name = entries[i].name;
        is_lake = is_lake || lh_str_equal(name, lh_lit("_catalog"));
        is_restoring = is_restoring || lh_str_equal(name, lh_lit(RESTORING_FILE));
        is_foreign = is_foreign || !(name.data[0] == '.' || key_is_reserved(name) ||
                                     lh_str_equal(name, lh_lit("lost+found")));
    }
    lh_arena_free(arena);
    if (code)
        return code;
    if (is_restoring) {
        lh_fail(err, LH_DAMAGED, "The restore into the folder '%.*s' did not finish.",
                LH_ARG(shown));
        return lh_error_hint(err, "Run `lakehouse restore` again with the same backup: it goes on "
                                  "where it was.");
    }
    if (is_lake)
        return damaged(err, shown, "holds a catalog but no '" LAKE_FILE "'");
    if (is_foreign) {
        lh_fail(err, LH_CONFLICT, "The folder '%.*s' holds other files and is not a data folder.",
                LH_ARG(shown));
        return lh_error_hint(err, "Name an empty folder, or one that does not exist yet.");
    }
    if (!create)
        return lh_fail(err, LH_NOT_FOUND, "The folder '%.*s' is not a data folder.", LH_ARG(shown));
    return LH_OK;
}

enum lh_code layout_check(struct storage *storage, struct lh_str shown, bool create,
                          struct lh_error *err)
{
    enum lh_code code = read_lake_file(storage, shown, err);
    if (code == LH_NOT_FOUND)
        return check_unused(storage, shown, create, err);
    return code;
}

static enum lh_code write_lake_file(struct storage *storage, struct lh_error *err)
{
    struct lh_uuid id = lh_uuid_new();
    char time[LH_TIME_TEXT_BYTES + 1];
    char text[256];
    struct storage_staged *staged = NULL;
    lh_time_format(lh_clock_unix_ms(), time);
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, sizeof text);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "format", STORAGE_FORMAT);
    lh_json_put_cstr(&json, "id", id.text);
    lh_json_put_cstr(&json, "made", time);
    lh_json_object_end(&json);
    lh_buf_append_char(&buf, '\n');
    enum lh_code code = lh_buf_check(&buf, LAKE_FILE, err);
    if (code)
        goto out;
    code = stage_text(storage, lh_buf_str(&buf), &staged, err);
    if (code)
        goto out;
    code = storage_staged_seal(staged, NULL, err);
    if (code)
        goto out;
    const char *path = storage_staged_path(staged).data + lh_dir_path(storage->dir).len + 1;
    code = lh_file_publish(storage->dir, path, LAKE_FILE, err);
    if (code)
        goto out;
    code = lh_dir_sync(storage->dir, "", err);
    if (code)
        goto out;
    storage->id = id;
out:
    storage_staged_discard(staged);
    lh_buf_release(&buf);
    return code;
}

/* --- lock and owner -----------------------------------------------------------------------------
 */

static enum lh_code read_owner(struct lh_dir *dir, struct lh_arena *arena,
                               struct storage_owner *ret)
{
    struct lh_error ignored;
    json_t *object = NULL;
    int64_t started_ms = 0;
    enum lh_code code = read_object(dir, OWNER_FILE, &object, &ignored);
    if (code)
        return code;
    const char *address = json_string_value(json_object_get(object, "address"));
    const char *started = json_string_value(json_object_get(object, "started"));
    if (started && lh_time_parse(lh_str_of(started), &started_ms))
        ret->started_ms = started_ms;
    ret->pid = json_integer_value(json_object_get(object, "pid"));
    ret->address = lh_arena_str(arena, lh_str_of(address ? address : ""));
    json_decref(object);
    return LH_OK;
}

static enum lh_code open_lock_file(struct lh_dir *dir, int *ret_fd, struct lh_error *err)
{
    enum lh_code code = lh_file_open(dir, LOCK_FILE, true, ret_fd, err);
    if (code != LH_NOT_FOUND)
        return code;
    code = lh_file_create(dir, LOCK_FILE, ret_fd, err);
    if (code == LH_EXISTS) /* a second server that starts in the same moment */
        code = lh_file_open(dir, LOCK_FILE, true, ret_fd, err);
    return code;
}

static enum lh_code fail_locked(struct storage *storage, struct lh_str shown, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_owner owner = {0};
    if (read_owner(storage->dir, arena, &owner) != LH_OK || owner.pid == 0)
        lh_fail(err, LH_LOCKED, "The data folder '%.*s' is in use by another process.",
                LH_ARG(shown));
    else if (owner.address.len)
        lh_fail(err, LH_LOCKED,
                "The data folder '%.*s' is in use by process %lld, which listens on %.*s.",
                LH_ARG(shown), (long long)owner.pid, LH_ARG(owner.address));
    else
        lh_fail(err, LH_LOCKED, "The data folder '%.*s' is in use by process %lld.", LH_ARG(shown),
                (long long)owner.pid);
    lh_arena_free(arena);
    lh_error_hint(err, "Stop that process first, or name another data folder.");
    return LH_LOCKED;
}

/* A file system that is mounted to be read only, or rights: who meets it did not ask for a lock. */
static enum lh_code fail_lock_file(struct lh_str shown, enum lh_code code, struct lh_error *err)
{
    char why[LH_ERROR_MESSAGE_BYTES];
    if (code != LH_IO || !err)
        return code;
    snprintf(why, sizeof why, "%s", err->message);
    lh_fail(err, code, "The data folder '%.*s' cannot be written: %s", LH_ARG(shown), why);
    return lh_error_hint(err, "A lake is locked while it is open, for reading too. Copy the folder "
                              "to where it can be written; its data files are Parquet, which other "
                              "tools read.");
}

enum lh_code layout_lock(struct storage *storage, struct lh_str shown, struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = open_lock_file(storage->dir, &fd, err);
    if (code)
        return fail_lock_file(shown, code, err);
    code = lh_file_lock(fd, err);
    if (!code) {
        storage->lock_fd = fd; /* as long as it is open, the lock is ours */
        return LH_OK;
    }
    if (code == LH_LOCKED)
        code = fail_locked(storage, shown, err);
    lh_file_abandon(fd);
    return code;
}

enum lh_code layout_write_owner(struct storage *storage, struct lh_str address,
                                struct lh_error *err)
{
    char started[LH_TIME_TEXT_BYTES + 1];
    struct storage_staged *staged = NULL;
    struct lh_buf buf;
    struct lh_json json;
    lh_time_format(storage->started_ms, started);
    lh_buf_init(&buf, SMALL_FILE_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "pid", getpid());
    lh_json_put_str(&json, "address", address);
    lh_json_put_cstr(&json, "started", started);
    lh_json_object_end(&json);
    lh_buf_append_char(&buf, '\n');
    enum lh_code code = lh_buf_check(&buf, OWNER_FILE, err);
    if (code)
        goto out;
    code = stage_text(storage, lh_buf_str(&buf), &staged, err);
    if (code)
        goto out;
    /* Not durable on purpose: after a power cut nobody holds the lock, and then it says nothing. */
    const char *path = storage_staged_path(staged).data + lh_dir_path(storage->dir).len + 1;
    code = lh_file_replace(storage->dir, path, OWNER_FILE, err);
out:
    storage_staged_discard(staged);
    lh_buf_release(&buf);
    return code;
}

enum lh_code storage_owner(struct lh_str path, struct lh_arena *arena, struct storage_owner *ret,
                           struct lh_error *err)
{
    struct storage_owner owner = {.address = lh_lit("")};
    struct lh_dir *dir = NULL;
    int fd = -1;
    enum lh_code code = lh_dir_open(path, false, &dir, err);
    if (!code)
        code = lh_file_open(dir, LOCK_FILE, false, &fd, err);
    if (!code)
        code = lh_file_is_locked(fd, &owner.is_running, err);
    if (code == LH_NOT_FOUND)
        code = LH_OK;
    /* Unreadable for the moment between lock and announcement: then only pid and address are not
     * known. */
    if (!code && owner.is_running && read_owner(dir, arena, &owner) != LH_OK)
        owner.pid = 0;
    lh_file_abandon(fd);
    lh_dir_close(dir);
    if (!code)
        *ret = owner;
    return code;
}

/* --- the folders --------------------------------------------------------------------------------
 */

/* What lies there belongs to a process that is gone: the lock is ours. */
static enum lh_code empty_folder(struct storage *storage, const char *name, struct lh_error *err)
{
    enum lh_code code = lh_dir_remove_tree(storage->dir, name, err);
    return code ? code : lh_dir_make(storage->dir, name, NULL, err);
}

enum lh_code layout_make(struct storage *storage, struct lh_error *err)
{
    enum lh_code code = empty_folder(storage, STAGING_FOLDER, err);
    if (!code)
        code = empty_folder(storage, SCRATCH_FOLDER, err);
    if (!code)
        code = lh_dir_make(storage->dir, TRASH_FOLDER, NULL, err);
    if (!code)
        code = layout_write_owner(storage, lh_lit(""), err);
    if (!code && storage->id.text[0] == '\0')
        code = write_lake_file(storage, err);
    return code;
}
