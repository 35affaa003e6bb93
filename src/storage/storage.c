#include "storage/cache.h"
#include "storage/failures.h"

#include <stdlib.h>

#include "base/clock.h"

static const struct storage_backend *const backends[] = {&storage_local, &storage_s3};

#define BACKEND_COUNT (sizeof backends / sizeof backends[0])

const char *storage_backend_name(size_t index)
{
    return index < BACKEND_COUNT ? backends[index]->name : NULL;
}

static enum lh_code open_primary(struct storage *storage, struct lh_error *err)
{
    storage->primary = (struct storage_bucket){
        .name = STORAGE_PRIMARY, .backend = &storage_local, .storage = storage};
    return storage_local.open(&storage->primary, err);
}

static enum lh_code open_folder(struct storage *storage, const struct storage_options *options,
                                struct lh_error *err)
{
    bool create = options->create && storage->is_writable;
    enum lh_code code = lh_dir_open(options->path, create, &storage->dir, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_NOT_FOUND, "There is no data folder '%.*s'.", LH_ARG(options->path));
    if (code)
        return code;
    code = layout_check(storage, options->path, create, err);
    if (code)
        return code;
    struct lh_str path = lh_dir_path(storage->dir);
    storage->staging_path = lh_arena_printf(storage->arena, "%.*s/" STAGING_FOLDER, LH_ARG(path));
    storage->scratch_path = lh_arena_printf(storage->arena, "%.*s/" SCRATCH_FOLDER, LH_ARG(path));
    if (!storage->is_writable)
        return LH_OK;
    code = layout_lock(storage, options->path, err);
    /* Again, now that nobody else writes: who held the lock a moment ago may have made it a lake.
     */
    if (!code && storage->id.text[0] == '\0')
        code = layout_check(storage, options->path, create, err);
    if (code)
        return code;
    /* Left by a restore that ended after its last step. */
    code = lh_file_remove(storage->dir, RESTORING_FILE, err);
    if (code)
        return code;
    reserve_open(storage);
    code = layout_make(storage, err);
    while (code == LH_FULL && storage_reserve_give(storage))
        code = layout_make(storage, err);
    /* A reserve that cannot be kept is told by whoever looks after the lake, and keeps nobody out.
     */
    if (!code && storage_reserve_fill(storage, NULL) != LH_OK)
        storage->reserve_bytes = 0;
    return code;
}

/* A backup that waits goes before newcomers: else busy writers would keep it out for ever. */
static void gate_init(pthread_rwlock_t *gate)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(gate, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

void gate_enter(struct storage_bucket *bucket)
{
    if (bucket && bucket == &bucket->storage->primary)
        pthread_rwlock_rdlock(&bucket->storage->gate);
}

void gate_leave(struct storage_bucket *bucket, struct lh_str key)
{
    if (!bucket || bucket != &bucket->storage->primary)
        return;
    gate_note(bucket->storage, key);
    pthread_rwlock_unlock(&bucket->storage->gate);
}

enum lh_code storage_open(const struct storage_options *options, struct storage **ret,
                          struct lh_error *err)
{
    struct storage *storage = calloc(1, sizeof *storage);
    if (!storage)
        return lh_fail(err, LH_BUSY, "There is no memory for opening a data folder.");
    storage->lock_fd = -1;
    storage->arena = lh_arena_new(0);
    storage->is_writable = options->access == STORAGE_WRITE;
    storage->started_ms = lh_clock_unix_ms();
    folders_init(&storage->folders);
    pthread_mutex_init(&storage->buckets_mutex, NULL);
    storage->cache_bytes_max = options->cache_bytes_max;
    storage->secrets_path = lh_arena_str(storage->arena, options->secrets_path);
    pthread_mutex_init(&storage->reserve_mutex, NULL);
    gate_init(&storage->gate);
    pthread_mutex_init(&storage->watch_mutex, NULL);
    enum lh_code code = open_folder(storage, options, err);
    if (!code)
        code = open_primary(storage, err);
    if (!code)
        code = failures_open(storage, err);
    if (!code)
        code = cache_open(storage, err);
    if (!code)
        code = buckets_load(storage, err);
    if (code) {
        storage_close(storage);
        return code;
    }
    *ret = storage;
    return LH_OK;
}

void storage_close(struct storage *storage)
{
    if (!storage)
        return;
    buckets_close(storage);
    cache_close(storage);
    failures_close(storage);
    if (storage->primary.backend)
        storage->primary.backend->close(&storage->primary);
    if (storage->lock_fd >= 0) {
        /* First the owner's name, then the lock: a name without a lock says nothing. */
        if (lh_file_remove(storage->dir, OWNER_FILE, NULL) != LH_OK)
            storage->started_ms = 0; /* a stale name, told from a live one by the lock */
        lh_file_abandon(storage->lock_fd);
    }
    folders_release(&storage->folders);
    pthread_mutex_destroy(&storage->buckets_mutex);
    pthread_mutex_destroy(&storage->reserve_mutex);
    pthread_rwlock_destroy(&storage->gate);
    pthread_mutex_destroy(&storage->watch_mutex);
    lh_dir_close(storage->dir);
    lh_arena_free(storage->arena);
    free(storage);
}

struct lh_str storage_path(const struct storage *storage)
{
    return lh_dir_path(storage->dir);
}

struct lh_str storage_id(const struct storage *storage)
{
    return lh_uuid_str(&storage->id);
}

struct lh_str storage_staging_path(const struct storage *storage)
{
    return storage->staging_path;
}

struct lh_str storage_scratch_path(const struct storage *storage)
{
    return storage->scratch_path;
}

enum lh_code storage_free_bytes(struct storage *storage, int64_t *ret, struct lh_error *err)
{
    return lh_dir_free_bytes(storage->dir, ret, err);
}

enum lh_code storage_check_writable(const struct storage *storage, struct lh_error *err)
{
    if (!storage->is_writable)
        return lh_fail(err, LH_CONFLICT, "The data folder was opened for reading only.");
    return LH_OK;
}

enum lh_code storage_announce(struct storage *storage, struct lh_str address, struct lh_error *err)
{
    enum lh_code code = storage_check_writable(storage, err);
    return code ? code : layout_write_owner(storage, address, err);
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* Bucket and key of a call. */
static enum lh_code locate(struct storage *storage, struct lh_str name, struct lh_str key,
                           struct storage_bucket **ret_bucket, struct key_text *ret_key,
                           struct lh_error *err)
{
    enum lh_code code = storage_bucket_find(storage, name, ret_bucket, err);
    return code ? code : key_copy(key, ret_key, err);
}

enum lh_code storage_get(struct storage *storage, struct lh_str bucket_name, struct lh_str key,
                         size_t bytes_max, struct lh_arena *arena, struct lh_str *ret,
                         struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    enum lh_code code = locate(storage, bucket_name, key, &bucket, &text, err);
    return code ? code : bucket->backend->get(bucket, text.text, bytes_max, arena, ret, err);
}

/* Whoever reads a file looks at it first, so this is where a place that went away shows. Stores
 * note their failures themselves. */
static enum lh_code tell(struct storage *storage, const struct storage_bucket *bucket,
                         struct lh_str key, enum lh_code code, const struct lh_error *own,
                         struct lh_error *err)
{
    if (code == LH_IO && bucket != &storage->primary && !bucket->backend->is_remote)
        storage_failure_note(storage, bucket->name, key, "look", own);
    if (code && err)
        *err = *own;
    return code;
}

bool storage_is_same(const struct storage_info *a, const struct storage_info *b)
{
    return a->bytes == b->bytes && a->modified_ms == b->modified_ms &&
           a->changed_ns == b->changed_ns && a->inode == b->inode;
}

enum lh_code storage_info(struct storage *storage, struct lh_str bucket_name, struct lh_str key,
                          struct storage_info *ret, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct lh_error own = LH_ERROR_NONE;
    struct key_text text;
    enum lh_code code = locate(storage, bucket_name, key, &bucket, &text, err);
    if (code)
        return code;
    code = bucket->backend->info(bucket, text.text, ret, &own);
    return tell(storage, bucket, key, code, &own, err);
}

enum lh_code storage_sum(struct storage *storage, struct lh_str bucket_name, struct lh_str key,
                         const struct lh_cancel *cancel, struct storage_sum *ret,
                         struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    enum lh_code code = locate(storage, bucket_name, key, &bucket, &text, err);
    return code ? code : bucket->backend->sum(bucket, text.text, cancel, ret, err);
}

enum lh_code storage_open_file(struct storage *storage, struct lh_str bucket_name,
                               struct lh_str key, int *ret_fd, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    enum lh_code code = locate(storage, bucket_name, key, &bucket, &text, err);
    return code ? code : bucket->backend->open_file(bucket, text.text, ret_fd, err);
}

enum lh_code storage_object_path(struct storage *storage, struct lh_str bucket_name,
                                 struct lh_str key, struct lh_arena *arena, struct lh_str *ret,
                                 struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = locate(storage, bucket_name, key, &bucket, &text, err);
    if (code)
        return code;
    code = bucket->backend->path(bucket, text.text, arena, ret, &own);
    return tell(storage, bucket, key, code, &own, err);
}

enum lh_code storage_list(struct storage *storage, struct lh_str bucket_name, struct lh_str folder,
                          struct lh_arena *arena, struct storage_entry **ret, size_t *ret_count,
                          struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_bucket_find(storage, bucket_name, &bucket, err);
    if (!code)
        code = folder_copy(folder, &text, err);
    if (!code)
        code = bucket->backend->list(bucket, text.text, arena, &entries, &count, err);
    if (code)
        return code;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct storage_entry entry = entries[i];
        if (folder.len == 0 && key_is_reserved(entry.name))
            continue;
        entry.key = folder.len
                        ? lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(folder), LH_ARG(entry.name))
                        : entry.name;
        if (storage_key_check(entry.key, NULL) != LH_OK)
            entry.is_special = true; /* nothing of ours has such a name */
        entries[kept++] = entry;
    }
    *ret = entries;
    *ret_count = kept;
    return LH_OK;
}

#define WALK_DEPTH_MAX 64

struct walk {
    struct storage *storage;
    struct lh_str bucket;
    enum lh_code (*visit)(void *context, const struct storage_entry *entry, struct lh_error *err);
    void *context;
};

static enum lh_code walk_folder(const struct walk *walk, struct lh_str folder, unsigned depth,
                                struct lh_error *err)
{
    if (depth > WALK_DEPTH_MAX)
        return lh_fail(err, LH_DAMAGED, "The folder '%.*s' is nested too deeply.", LH_ARG(folder));
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        storage_list(walk->storage, walk->bucket, folder, arena, &entries, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (entries[i].is_folder && !entries[i].is_special)
            code = walk_folder(walk, entries[i].key, depth + 1, err);
        else
            code = walk->visit(walk->context, &entries[i], err);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code storage_walk(struct storage *storage, struct lh_str bucket, struct lh_str folder,
                          enum lh_code (*visit)(void *context, const struct storage_entry *entry,
                                                struct lh_error *err),
                          void *context, struct lh_error *err)
{
    struct walk walk = {storage, bucket, visit, context};
    return walk_folder(&walk, folder, 0, err);
}
