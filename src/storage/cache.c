/* Remote objects on the local disk. A file of `_cache` is called after where its object is:
 * SHA-256 of endpoint, bucket, prefix and key. It is complete when it has that name, and of bytes
 * that were compared with their sum; one of an earlier process is compared when it is first asked
 * for. Nothing is fsynced: what a power cut spoils is fetched again.
 *
 *   (absent) ── pin ──▶ fetching ──▶ ready ◀──▶ pinned
 *      ▲                   │           │ room is needed, or the object was removed
 *      └───────────────────┴───────────┘
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "storage/cache.h"
#include "storage/failures.h"
#include "storage/held.h"

#define CACHE_BYTES_PRESET ((int64_t)8 << 30)
#define TABLE_SIZE ((size_t)4096)
#define LOOK_EVERY_NS 20000000L
#define NAME_BYTES LH_SHA256_HEX_BYTES
#define SUFFIX ".parquet"

enum entry_state { ENTRY_FETCHING, ENTRY_UNKNOWN, ENTRY_READY };

struct entry {
    struct entry *next; /* of its slot */
    char name[NAME_BYTES + 1];
    enum entry_state state;
    unsigned pins;
    bool is_doomed; /* removed with the last pin */
    int64_t used_at;
    struct storage_sum sum;                   /* READY: of the bytes; UNKNOWN: only how many */
    struct lh_file_info file;                 /* READY: the file that was summed */
    char rescue[STORAGE_RESCUE_REASON_BYTES]; /* why the bytes are the rescue bucket's; "" */
};

struct cache {
    struct storage *storage;
    pthread_mutex_t mutex; /* guards all below; never held while bytes move */
    pthread_cond_t cond;   /* an entry left FETCHING */
    struct entry *table[TABLE_SIZE];
    int64_t clock;
    struct storage_cache_figures figures;
};

struct storage_pin {
    struct cache *cache;
    struct entry *entry;
};

/* --- names and the table */

static void name_of(const struct storage_bucket *bucket, const char *key, char ret[NAME_BYTES + 1])
{
    const struct storage_bucket_options *options = &bucket->options;
    const struct lh_str parts[] = {options->endpoint, options->bucket, options->prefix};
    uint8_t sum[LH_SHA256_BYTES];
    struct lh_sha256 *hash = lh_sha256_new();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        lh_sha256_add(hash, parts[i].data, parts[i].len);
        lh_sha256_add(hash, "", 1); /* a NUL between them */
    }
    lh_sha256_add(hash, key, strlen(key));
    lh_sha256_finish(hash, sum);
    lh_sha256_free(hash);
    lh_hex(sum, sizeof sum, ret);
}

struct file_name {
    char text[sizeof CACHE_FOLDER + 3 + NAME_BYTES + sizeof SUFFIX];
};

static struct file_name file_of(const char *name)
{
    struct file_name file;
    (void)snprintf(file.text, sizeof file.text, CACHE_FOLDER "/%.2s/%s" SUFFIX, name, name + 2);
    return file;
}

struct lh_str cache_path(struct storage_bucket *bucket, const char *key, struct lh_arena *arena)
{
    char name[NAME_BYTES + 1];
    name_of(bucket, key, name);
    return lh_arena_printf(arena, "%.*s/%s", LH_ARG(storage_path(bucket->storage)),
                           file_of(name).text);
}

static struct entry **slot_of(struct cache *cache, const char *name)
{
    uint8_t bytes[2] = {0};
    if (!lh_hex_parse((struct lh_str){name, 4}, bytes, sizeof bytes))
        bytes[0] = 0;
    struct entry **at = &cache->table[((size_t)bytes[0] << 8 | bytes[1]) & (TABLE_SIZE - 1)];
    while (*at && memcmp((*at)->name, name, NAME_BYTES) != 0)
        at = &(*at)->next;
    return at;
}

/* Under the mutex, as all that follows up to the next heading. */
static struct entry *entry_add(struct cache *cache, const char *name, int64_t bytes)
{
    struct entry **at = slot_of(cache, name);
    assert(!*at);
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    memcpy(entry->name, name, NAME_BYTES);
    entry->sum.bytes = bytes;
    entry->used_at = ++cache->clock;
    *at = entry;
    cache->figures.bytes += bytes;
    cache->figures.objects++;
    return entry;
}

/* The entry and its file; who reads it still has it open. */
static void entry_drop(struct cache *cache, struct entry *entry)
{
    struct entry **at = slot_of(cache, entry->name);
    struct lh_error err = LH_ERROR_NONE;
    if (lh_file_remove(cache->storage->dir, file_of(entry->name).text, &err))
        lh_log_error(LH_LOG_WARN, "storage.cache", &err);
    *at = entry->next;
    cache->figures.bytes -= entry->sum.bytes;
    cache->figures.objects--;
    free(entry);
}

static struct entry *oldest(struct cache *cache)
{
    struct entry *found = NULL;
    for (size_t i = 0; i < TABLE_SIZE; i++)
        for (struct entry *at = cache->table[i]; at; at = at->next)
            if (!at->pins && at->state != ENTRY_FETCHING &&
                (!found || at->used_at < found->used_at))
                found = at;
    return found;
}

static enum lh_code make_room(struct cache *cache, int64_t bytes, struct lh_error *err)
{
    int64_t most = cache->figures.bytes_max;
    if (bytes > most) {
        lh_fail(err, LH_TOO_LARGE,
                "An object of %lld bytes does not fit into the cache of %lld bytes.",
                (long long)bytes, (long long)most);
        return lh_error_hint(err,
                             "Raise [storage] cache_bytes_max; remote objects are read whole.");
    }
    while (cache->figures.bytes + bytes > most) {
        struct entry *entry = oldest(cache);
        if (!entry) {
            lh_fail(err, LH_BUSY,
                    "The cache of %lld bytes is full of what statements read now: %lld more do not "
                    "fit.",
                    (long long)most, (long long)bytes);
            return lh_error_hint(err, "Try again later, or raise [storage] cache_bytes_max.");
        }
        cache->figures.evictions++;
        entry_drop(cache, entry);
    }
    return LH_OK;
}

static void unpin(struct cache *cache, struct entry *entry)
{
    if (--entry->pins == 0) {
        cache->figures.pinned_bytes -= entry->sum.bytes;
        if (entry->is_doomed)
            entry_drop(cache, entry);
    }
}

static void pin_entry(struct cache *cache, struct entry *entry)
{
    if (entry->pins++ == 0)
        cache->figures.pinned_bytes += entry->sum.bytes;
    entry->used_at = ++cache->clock;
}

static enum lh_code await(struct cache *cache, const char *name, const struct lh_cancel *cancel,
                          struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (struct entry *entry = *slot_of(cache, name);
         !code && entry && entry->state == ENTRY_FETCHING; entry = *slot_of(cache, name)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_EVERY_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&cache->cond, &cache->mutex, &until);
        code = lh_cancel_fail(cancel, "Waiting for an object to be fetched", err);
    }
    return code;
}

/* --- fetching: the entry is FETCHING and this thread's alone */

struct wanted {
    struct storage_bucket *bucket;
    const char *key;
    const struct storage_sum *expected; /* NULL: only how long it is, is known */
    int64_t bytes;
    const struct lh_cancel *cancel;
};

static enum lh_code compare(const struct wanted *wanted, const struct storage_sum *sum,
                            struct lh_error *err)
{
    const struct storage_sum *expected = wanted->expected;
    bool is_same = sum->bytes == wanted->bytes &&
                   (!expected || memcmp(sum->sha256, expected->sha256, sizeof sum->sha256) == 0);
    if (is_same)
        return LH_OK;
    lh_fail(err, LH_DAMAGED,
            "The object '%s' of the bucket '%.*s' is not what was written: its "
            "checksum differs.",
            wanted->key, LH_ARG(wanted->bucket->name));
    return lh_error_hint(err, "Restore it, in its bucket or in the rescue bucket.");
}

static enum lh_code sum_file(struct storage *storage, const char *path,
                             const struct lh_cancel *cancel, struct storage_sum *ret,
                             struct lh_file_info *ret_file, struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = lh_file_open(storage->dir, path, false, &fd, err);
    if (!code)
        code = lh_file_info_of(fd, ret_file, err);
    if (!code)
        code = lh_sha256_of_file(fd, cancel, ret->sha256, &ret->bytes, err);
    lh_file_abandon(fd);
    return code;
}

static enum lh_code copy_local(struct storage_bucket *bucket, const char *key, int to,
                               const struct lh_cancel *cancel, struct lh_error *err)
{
    char bytes[65536];
    size_t got = sizeof bytes;
    int from = -1;
    enum lh_code code = bucket->backend->open_file(bucket, key, &from, err);
    for (int64_t at = 0; !code && got == sizeof bytes; at += (int64_t)got) {
        code = lh_file_read_at(from, bytes, sizeof bytes, at, &got, err);
        if (!code)
            code = lh_file_write(to, bytes, got, err);
        if (!code)
            code = lh_cancel_fail(cancel, "Copying an object", err);
    }
    lh_file_abandon(from);
    return code;
}

/* From `from`, which is the bucket or the one that rescues, into a fresh file with these bytes. */
static enum lh_code fetch_from(struct cache *cache, const struct wanted *wanted,
                               struct storage_bucket *from, const char *fresh,
                               struct storage_sum *ret, struct lh_error *err)
{
    struct lh_file_info file;
    int fd = -1;
    enum lh_code code = lh_file_create(cache->storage->dir, fresh, &fd, err);
    if (code)
        return code;
    code = from->backend->is_remote
               ? from->backend->fetch(from, wanted->key, fd, wanted->cancel, err)
               : copy_local(from, wanted->key, fd, wanted->cancel, err);
    if (code)
        lh_file_abandon(fd);
    else
        code = lh_file_close(fd, err);
    if (!code)
        code = sum_file(cache->storage, fresh, wanted->cancel, ret, &file, err);
    if (!code && (code = compare(wanted, ret, err)) && err)
        storage_failure_note(cache->storage, from->name, lh_str_of(wanted->key), "compare", err);
    if (code && lh_file_remove(cache->storage->dir, fresh, NULL) != LH_OK)
        return code; /* swept at the next opening */
    return code;
}

static enum lh_code fetch(struct cache *cache, const struct wanted *wanted, const char *fresh,
                          struct entry *entry, struct storage_sum *ret, struct lh_error *err)
{
    struct storage *storage = cache->storage;
    struct storage_bucket *rescue = NULL;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = fetch_from(cache, wanted, wanted->bucket, fresh, ret, &own);
    if (code == LH_DAMAGED) /* once more: it may have been the way here */
        code = fetch_from(cache, wanted, wanted->bucket, fresh, ret, &own);
    bool is_rescue = rescue_may_help(code) && wanted->expected && storage->rescue.len &&
                     !lh_str_equal(storage->rescue, wanted->bucket->name);
    if (is_rescue && !storage_bucket_find(storage, storage->rescue, &rescue, NULL) &&
        !fetch_from(cache, wanted, rescue, fresh, ret, NULL)) {
        (void)snprintf(entry->rescue, sizeof entry->rescue, "%s", lh_error_row(code)->id);
        return LH_OK;
    }
    if (code && err)
        *err = own;
    return code;
}

static enum lh_code put_in_place(struct cache *cache, const struct entry *entry, const char *fresh,
                                 struct lh_file_info *ret, struct lh_error *err)
{
    struct lh_dir *dir = cache->storage->dir;
    struct file_name file = file_of(entry->name);
    char folder[sizeof CACHE_FOLDER + 3];
    (void)snprintf(folder, sizeof folder, CACHE_FOLDER "/%.2s", entry->name);
    enum lh_code code = lh_dir_make(dir, folder, NULL, err);
    if (!code)
        code = lh_file_replace(dir, fresh, file.text, err);
    return code ? code : lh_file_info(dir, file.text, ret, err);
}

static bool is_same_file(const struct lh_file_info *a, const struct lh_file_info *b)
{
    return a->inode == b->inode && a->bytes == b->bytes && a->changed_ns == b->changed_ns;
}

/* A file of an earlier process, or one that somebody touched. */
static bool is_still_good(struct cache *cache, const struct wanted *wanted, struct entry *entry,
                          struct storage_sum *ret, struct lh_file_info *ret_file)
{
    return !sum_file(cache->storage, file_of(entry->name).text, wanted->cancel, ret, ret_file,
                     NULL) &&
           !compare(wanted, ret, NULL);
}

static enum lh_code fill(struct cache *cache, const struct wanted *wanted, struct entry *entry,
                         bool has_file, struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    struct storage_sum sum;
    struct lh_file_info file;
    char fresh[sizeof STAGING_FOLDER + LH_UUID_TEXT_BYTES + 16];
    (void)snprintf(fresh, sizeof fresh, STAGING_FOLDER "/%s.fetch", uuid.text);
    enum lh_code code = LH_OK;
    if (!has_file || !is_still_good(cache, wanted, entry, &sum, &file)) {
        code = fetch(cache, wanted, fresh, entry, &sum, err);
        if (!code)
            code = put_in_place(cache, entry, fresh, &file, err);
    }
    if (!code) {
        entry->sum = sum;
        entry->file = file;
    }
    return code;
}

/* --- pinning */

/* Under the mutex. An entry that can be used as it is, is pinned: *ret. One that must be filled
 * first is claimed: *ret_claimed. */
static enum lh_code claim(struct cache *cache, const char *name, const struct wanted *wanted,
                          struct entry **ret, struct entry **ret_claimed, bool *ret_has_file,
                          struct lh_error *err)
{
    struct lh_file_info file;
    enum lh_code code = await(cache, name, wanted->cancel, err);
    if (code)
        return code;
    struct entry *entry = *slot_of(cache, name);
    if (entry && entry->state == ENTRY_READY &&
        !lh_file_info(cache->storage->dir, file_of(name).text, &file, NULL) &&
        is_same_file(&file, &entry->file)) {
        code = compare(wanted, &entry->sum, err);
        if (code)
            return code;
        cache->figures.hits++;
        cache->figures.rescues += entry->rescue[0] != '\0';
        pin_entry(cache, entry);
        *ret = entry;
        return LH_OK;
    }
    if (entry && entry->pins) /* somebody reads a file that was taken away from under it */
        return lh_fail(err, LH_BUSY, "A file of the cache was changed by somebody else.");
    *ret_has_file = entry && entry->sum.bytes == wanted->bytes;
    if (entry && !*ret_has_file) {
        entry_drop(cache, entry);
        entry = NULL;
    }
    if (!entry) {
        cache->figures.misses++;
        code = make_room(cache, wanted->bytes, err);
        if (!code && !(entry = entry_add(cache, name, wanted->bytes)))
            code = lh_fail(err, LH_BUSY, "There is no memory for the cache.");
        if (code)
            return code;
    }
    entry->state = ENTRY_FETCHING;
    entry->rescue[0] = '\0';
    *ret_claimed = entry;
    return LH_OK;
}

static enum lh_code pin(struct cache *cache, const struct wanted *wanted, struct entry **ret,
                        struct lh_error *err)
{
    char name[NAME_BYTES + 1];
    struct entry *claimed = NULL;
    bool has_file = false;
    name_of(wanted->bucket, wanted->key, name);
    pthread_mutex_lock(&cache->mutex);
    enum lh_code code = claim(cache, name, wanted, ret, &claimed, &has_file, err);
    pthread_mutex_unlock(&cache->mutex);
    if (code || !claimed)
        return code;
    code = fill(cache, wanted, claimed, has_file, err);
    pthread_mutex_lock(&cache->mutex);
    claimed->state = ENTRY_READY;
    if (code) {
        entry_drop(cache, claimed);
    } else {
        cache->figures.rescues += claimed->rescue[0] != '\0';
        pin_entry(cache, claimed);
        *ret = claimed;
    }
    pthread_cond_broadcast(&cache->cond);
    pthread_mutex_unlock(&cache->mutex);
    return code;
}

static enum lh_code fail_readonly(struct lh_error *err)
{
    return lh_fail(err, LH_CONFLICT,
                   "The data folder was opened for reading only: remote objects "
                   "cannot be fetched into its cache.");
}

static enum lh_code pin_of(struct storage *storage, const struct wanted *wanted,
                           struct storage_pin **ret, struct lh_error *err)
{
    struct storage_pin *made = calloc(1, sizeof *made);
    if (!made)
        return lh_fail(err, LH_BUSY, "There is no memory for reading an object.");
    made->cache = storage->cache;
    enum lh_code code = pin(storage->cache, wanted, &made->entry, err);
    if (code) {
        free(made);
        return code;
    }
    assert(made->entry);
    *ret = made;
    return LH_OK;
}

enum lh_code storage_pin(struct storage *storage, struct lh_str bucket_name, struct lh_str key,
                         const struct storage_sum *expected, const struct lh_cancel *cancel,
                         struct storage_pin **ret, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    if (!storage->cache)
        return fail_readonly(err);
    enum lh_code code = storage_bucket_find(storage, bucket_name, &bucket, err);
    if (!code)
        code = key_copy(key, &text, err);
    if (code)
        return code;
    const struct wanted wanted = {bucket, text.text, expected, expected->bytes, cancel};
    code = pin_of(storage, &wanted, ret, err);
    if (!code && (*ret)->entry->rescue[0])
        storage_rescue_note(bucket->name, lh_str_of((*ret)->entry->rescue));
    return code;
}

/* A local bucket needs no cache while it gives its files: only the copy is in it, as the rescue
 * bucket's. */
enum lh_code storage_pin_rescued(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                 const struct storage_sum *expected, enum lh_code reason,
                                 const struct lh_cancel *cancel, struct lh_arena *arena,
                                 struct storage_pin **ret, struct lh_str *ret_path,
                                 struct lh_error *err)
{
    struct storage_bucket *rescue = NULL;
    struct key_text text;
    if (!rescue_may_help(reason) || !storage->rescue.len || !storage->cache ||
        lh_str_equal(storage->rescue, bucket) ||
        storage_bucket_find(storage, storage->rescue, &rescue, NULL) || key_copy(key, &text, NULL))
        return lh_fail(err, LH_NOT_FOUND, "There is no bucket to rescue it from.");
    const struct wanted wanted = {rescue, text.text, expected, expected->bytes, cancel};
    enum lh_code code = pin_of(storage, &wanted, ret, err);
    if (rescue_may_help(code))
        return lh_fail(err, LH_NOT_FOUND, "The rescue bucket has no sound copy.");
    if (code)
        return code;
    pthread_mutex_lock(&storage->cache->mutex);
    storage->cache->figures.rescues++;
    pthread_mutex_unlock(&storage->cache->mutex);
    storage_rescue_note(bucket, lh_str_of(lh_error_row(reason)->id));
    *ret_path = cache_path(rescue, text.text, arena);
    return LH_OK;
}

void storage_unpin(struct storage_pin *pin)
{
    if (!pin)
        return;
    pthread_mutex_lock(&pin->cache->mutex);
    unpin(pin->cache, pin->entry);
    pthread_mutex_unlock(&pin->cache->mutex);
    free(pin);
}

enum lh_code cache_open_file(struct storage_bucket *bucket, const char *key, int *ret_fd,
                             struct lh_error *err)
{
    struct cache *cache = bucket->storage->cache;
    struct storage_info info;
    struct entry *entry = NULL;
    if (!cache)
        return fail_readonly(err);
    enum lh_code code = bucket->backend->info(bucket, key, &info, err);
    if (code)
        return code;
    const struct wanted wanted = {bucket, key, NULL, info.bytes, NULL};
    code = pin(cache, &wanted, &entry, err);
    if (code)
        return code;
    code = lh_file_open(bucket->storage->dir, file_of(entry->name).text, false, ret_fd, err);
    pthread_mutex_lock(&cache->mutex);
    assert(entry);
    unpin(cache, entry); /* who has it open keeps it */
    pthread_mutex_unlock(&cache->mutex);
    return code;
}

/* --- what writers tell it */

bool cache_adopt(struct storage_bucket *bucket, const char *key, const char *staged,
                 const struct storage_sum *sum)
{
    struct cache *cache = bucket->storage->cache;
    char name[NAME_BYTES + 1];
    struct entry *entry = NULL;
    name_of(bucket, key, name);
    pthread_mutex_lock(&cache->mutex);
    if (!*slot_of(cache, name) && !make_room(cache, sum->bytes, NULL))
        entry = entry_add(cache, name, sum->bytes);
    if (entry)
        entry->state = ENTRY_FETCHING;
    pthread_mutex_unlock(&cache->mutex);
    if (!entry)
        return false;
    enum lh_code code = put_in_place(cache, entry, staged, &entry->file, NULL);
    pthread_mutex_lock(&cache->mutex);
    entry->sum = *sum;
    entry->state = ENTRY_READY;
    if (code)
        entry_drop(cache, entry);
    pthread_cond_broadcast(&cache->cond);
    pthread_mutex_unlock(&cache->mutex);
    return code == LH_OK;
}

void cache_forget(struct storage_bucket *bucket, const char *key)
{
    struct cache *cache = bucket->storage->cache;
    char name[NAME_BYTES + 1];
    if (!cache)
        return;
    name_of(bucket, key, name);
    pthread_mutex_lock(&cache->mutex);
    struct entry *entry = *slot_of(cache, name);
    if (entry && (entry->pins || entry->state == ENTRY_FETCHING))
        entry->is_doomed = true;
    else if (entry)
        entry_drop(cache, entry);
    pthread_mutex_unlock(&cache->mutex);
}

void storage_cache_empty(struct storage *storage)
{
    struct cache *cache = storage->cache;
    struct entry *entry = NULL;
    if (!cache)
        return;
    pthread_mutex_lock(&cache->mutex);
    while ((entry = oldest(cache)))
        entry_drop(cache, entry);
    for (size_t i = 0; i < TABLE_SIZE; i++)
        for (entry = cache->table[i]; entry; entry = entry->next)
            entry->is_doomed = true;
    pthread_mutex_unlock(&cache->mutex);
}

struct storage_cache_figures storage_cache_figures(struct storage *storage)
{
    struct storage_cache_figures figures = {0};
    if (!storage->cache)
        return figures;
    pthread_mutex_lock(&storage->cache->mutex);
    figures = storage->cache->figures;
    pthread_mutex_unlock(&storage->cache->mutex);
    return figures;
}

/* --- a life */

static bool name_of_file(struct lh_str folder, struct lh_str file, char ret[NAME_BYTES + 1])
{
    uint8_t bytes[LH_SHA256_BYTES];
    if (folder.len != 2 || file.len != NAME_BYTES - 2 + sizeof SUFFIX - 1)
        return false;
    memcpy(ret, folder.data, 2);
    memcpy(ret + 2, file.data, NAME_BYTES - 2);
    ret[NAME_BYTES] = '\0';
    return lh_hex_parse((struct lh_str){ret, NAME_BYTES}, bytes, sizeof bytes);
}

static enum lh_code find_files(struct cache *cache, struct lh_str folder, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *files = NULL;
    size_t count = 0;
    char name[NAME_BYTES + 1];
    const char *path = lh_arena_printf(arena, CACHE_FOLDER "/%.*s", LH_ARG(folder)).data;
    enum lh_code code = lh_dir_list(cache->storage->dir, path, arena, &files, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct entry *entry = NULL;
        if (files[i].is_folder || !name_of_file(folder, files[i].name, name))
            continue;
        entry = entry_add(cache, name, files[i].bytes);
        if (entry) {
            entry->state = ENTRY_UNKNOWN;
            entry->used_at = 0;
        }
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code cache_open(struct storage *storage, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *folders = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    struct cache *cache = storage->is_writable ? calloc(1, sizeof *cache) : NULL;
    if (storage->is_writable && !cache)
        code = lh_fail(err, LH_BUSY, "There is no memory for the cache.");
    if (cache) {
        cache->storage = storage;
        cache->figures.bytes_max =
            storage->cache_bytes_max ? storage->cache_bytes_max : CACHE_BYTES_PRESET;
        pthread_mutex_init(&cache->mutex, NULL);
        pthread_cond_init(&cache->cond, NULL);
        storage->cache = cache;
        code = lh_dir_list(storage->dir, CACHE_FOLDER, arena, &folders, &count, err);
    }
    for (size_t i = 0; i < count && !code; i++)
        if (folders[i].is_folder)
            code = find_files(cache, folders[i].name, err);
    if (cache && !code && make_room(cache, 0, NULL) != LH_OK)
        code = lh_fail(err, LH_INTERNAL, "Something was pinned before the cache was open.");
    lh_arena_free(arena);
    return code;
}

void cache_close(struct storage *storage)
{
    struct cache *cache = storage->cache;
    if (!cache)
        return;
    for (size_t i = 0; i < TABLE_SIZE; i++)
        for (struct entry *at = cache->table[i], *next; at; at = next) {
            next = at->next;
            free(at);
        }
    pthread_cond_destroy(&cache->cond);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
    storage->cache = NULL;
}
