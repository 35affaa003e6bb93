/* One object into another bucket, under its own key, with the bytes that it must have. */
#include "storage/cache.h"
#include "storage/failures.h"

#include <stdio.h>
#include <stdlib.h>

#define COPY_BYTES ((size_t)1 << 20)
#define COPY_TRIES 3 /* of what came with other bytes: it may have been the way here */

struct copying {
    struct storage *storage;
    struct storage_bucket *from, *to;
    struct lh_str key;
    struct key_text text;
    const struct storage_sum *expected;
    const struct lh_cancel *cancel;
};

static enum lh_code copy_fd(const struct copying *copying, int from, int to, struct lh_error *err)
{
    char *bytes = malloc(COPY_BYTES);
    size_t got = COPY_BYTES;
    enum lh_code code = bytes ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory to copy files.");
    for (int64_t at = 0; !code && got == COPY_BYTES; at += (int64_t)got) {
        code = lh_cancel_fail(copying->cancel, "Copying an object", err);
        if (!code)
            code = lh_file_read_at(from, bytes, COPY_BYTES, at, &got, err);
        if (!code)
            code = lh_file_write(to, bytes, got, err);
    }
    free(bytes);
    return code;
}

/* `rescued`: an open file to be read in the bucket's stead; -1: there is none. */
static enum lh_code read_into(const struct copying *copying, int rescued, int to,
                              struct lh_error *err)
{
    const struct storage_backend *backend = copying->from->backend;
    int from = -1;
    if (rescued >= 0)
        return copy_fd(copying, rescued, to, err);
    if (backend->is_remote)
        return backend->fetch(copying->from, copying->text.text, to, copying->cancel, err);
    enum lh_code code = backend->open_file(copying->from, copying->text.text, &from, err);
    if (!code)
        code = copy_fd(copying, from, to, err);
    lh_file_abandon(from); /* only read */
    return code;
}

static bool is_expected(const struct copying *copying, const struct storage_sum *sum)
{
    return sum->bytes == copying->expected->bytes &&
           memcmp(sum->sha256, copying->expected->sha256, sizeof sum->sha256) == 0;
}

static enum lh_code fail_sum(const struct copying *copying, struct lh_error *err)
{
    return lh_fail(err, LH_DAMAGED,
                   "The file '%.*s' in the bucket '%.*s' is not what was written: its checksum "
                   "differs.",
                   LH_ARG(copying->key), LH_ARG(copying->from->name));
}

/* A sealed file of the staging folder with the object's bytes. */
static enum lh_code stage_once(const struct copying *copying, int rescued,
                               struct storage_staged **ret, struct lh_error *err)
{
    struct storage *storage = copying->storage;
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    struct lh_uuid uuid = lh_uuid_new();
    char name[sizeof STAGING_FOLDER + LH_UUID_TEXT_BYTES + 8];
    int fd = -1;
    (void)snprintf(name, sizeof name, STAGING_FOLDER "/%s.move", uuid.text);
    enum lh_code code = lh_file_create(storage->dir, name, &fd, err);
    if (code)
        return code;
    code = read_into(copying, rescued, fd, err);
    if (code)
        lh_file_abandon(fd);
    else
        code = lh_file_close(fd, err);
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str path = lh_arena_printf(arena, "%.*s/%s", LH_ARG(storage->staging_path),
                                         name + sizeof STAGING_FOLDER);
    if (!code)
        code = storage_stage_adopt(storage, path, &staged, err);
    if (code && lh_file_remove(storage->dir, name, NULL) != LH_OK)
        staged = NULL; /* swept at the next opening */
    lh_arena_free(arena);
    if (!code)
        code = storage_staged_seal(staged, &sum, err);
    if (!code && !is_expected(copying, &sum))
        code = fail_sum(copying, err);
    if (code)
        storage_staged_discard(staged);
    else
        *ret = staged;
    return code;
}

static enum lh_code stage(const struct copying *copying, struct storage_staged **ret,
                          struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = LH_DAMAGED;
    int fd = -1;
    for (int i = 0; i < COPY_TRIES && code == LH_DAMAGED; i++)
        code = stage_once(copying, -1, ret, &own);
    if (code == LH_NOT_FOUND)
        code = lh_fail(&own, LH_DAMAGED, "The file '%.*s' is missing in the bucket '%.*s'.",
                       LH_ARG(copying->key), LH_ARG(copying->from->name));
    if (code == LH_DAMAGED)
        storage_failure_note(copying->storage, copying->from->name, copying->key, "copy", &own);
    if (rescue_may_help(code) &&
        !storage_open_rescued(copying->storage, copying->from->name, copying->key,
                              copying->expected, code, &fd)) {
        code = stage_once(copying, fd, ret, &own);
        lh_file_abandon(fd);
    }
    if (code && err)
        *err = own;
    return code;
}

/* What an earlier attempt copied is left alone if it is whole. */
static enum lh_code look(const struct copying *copying, bool *ret_is_there, struct lh_error *err)
{
    struct storage_sum sum;
    struct storage_info info;
    struct storage_bucket *to = copying->to;
    enum lh_code code = to->backend->info(to, copying->text.text, &info, err);
    *ret_is_there = false;
    if (code)
        return code == LH_NOT_FOUND ? LH_OK : code;
    code = to->backend->sum(to, copying->text.text, copying->cancel, &sum, err);
    if (code)
        return code;
    *ret_is_there = is_expected(copying, &sum);
    return *ret_is_there ? to->backend->settle(to, copying->text.text, err)
                         : storage_trash(copying->storage, to->name, &copying->key, 1, err);
}

enum lh_code storage_copy(struct storage *storage, struct lh_str from, struct lh_str to,
                          struct lh_str key, const struct storage_sum *expected,
                          const struct lh_cancel *cancel, struct lh_error *err)
{
    struct copying copying = {
        .storage = storage, .key = key, .expected = expected, .cancel = cancel};
    struct storage_staged *staged = NULL;
    bool is_there = false;
    enum lh_code code = storage_check_writable(storage, err);
    if (!code)
        code = key_copy(key, &copying.text, err);
    if (!code)
        code = storage_bucket_find(storage, from, &copying.from, err);
    if (!code)
        code = storage_bucket_find(storage, to, &copying.to, err);
    if (!code)
        code = look(&copying, &is_there, err);
    if (!code && !is_there)
        code = stage(&copying, &staged, err);
    if (!code && !is_there)
        code = storage_staged_publish(staged, to, key, err);
    storage_staged_discard(staged);
    return code;
}
