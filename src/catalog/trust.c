#include <stdlib.h>
#include <time.h>

#include "catalog/files.h"
#include "catalog/internal.h"
#include "catalog/rejects.h"
#include "storage/buckets.h"
#include "storage/failures.h"

/* Which files are what their manifests say, as far as somebody looked: an open-addressed table by
 * "bucket:key". An entry is good for one identity of the file (inode, size, time of change). */

static struct lh_str entry_key(char *text, size_t size, const struct catalog_object *object)
{
    size_t bucket = object->bucket.len, len = bucket + 1 + object->key.len;
    if (len > size)
        return (struct lh_str){0};
    memcpy(text, object->bucket.data, bucket);
    text[bucket] = ':';
    memcpy(text + bucket + 1, object->key.data, object->key.len);
    return (struct lh_str){text, len};
}
#define ENTRY_KEY_BYTES (STORAGE_KEY_BYTES_MAX + 256)

void trust_init(struct trust *trust)
{
    pthread_mutex_init(&trust->mutex, NULL);
    pthread_cond_init(&trust->cond, NULL);
    trust->capacity = 1024;
    trust->entries = lh_allocate(trust->capacity, sizeof *trust->entries);
}

void trust_release(struct trust *trust)
{
    for (size_t i = 0; i < trust->capacity; i++)
        free(trust->entries[i].key);
    free(trust->entries);
    pthread_cond_destroy(&trust->cond);
    pthread_mutex_destroy(&trust->mutex);
}

static struct trust_entry *slot_of(struct trust_entry *entries, size_t capacity, struct lh_str key)
{
    size_t at = (size_t)lh_str_hash(key) & (capacity - 1);
    while (entries[at].key && !lh_str_equal(lh_str_of(entries[at].key), key))
        at = (at + 1) & (capacity - 1);
    return &entries[at];
}

static void grow(struct trust *trust)
{
    size_t capacity = trust->capacity * 2;
    struct trust_entry *entries = lh_allocate(capacity, sizeof *entries);
    for (size_t i = 0; i < trust->capacity; i++)
        if (trust->entries[i].key)
            *slot_of(entries, capacity, lh_str_of(trust->entries[i].key)) = trust->entries[i];
    free(trust->entries);
    trust->entries = entries;
    trust->capacity = capacity;
}

/* Under the mutex; the entry may move with the next call. */
static struct trust_entry *entry_of(struct trust *trust, struct lh_str key)
{
    struct trust_entry *entry = slot_of(trust->entries, trust->capacity, key);
    if (entry->key)
        return entry;
    if (trust->count * 2 >= trust->capacity) {
        grow(trust);
        entry = slot_of(trust->entries, trust->capacity, key);
    }
    trust->count++;
    entry->key = lh_allocate_text(key);
    return entry;
}

/* Under the mutex. Entries behind it that stand where they do because it was there move up. */
static void empty_slot(struct trust *trust, struct trust_entry *entry)
{
    const size_t mask = trust->capacity - 1;
    size_t hole = (size_t)(entry - trust->entries);
    free(entry->key);
    for (size_t at = (hole + 1) & mask; trust->entries[at].key; at = (at + 1) & mask) {
        const size_t home = (size_t)lh_str_hash(lh_str_of(trust->entries[at].key)) & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        trust->entries[hole] = trust->entries[at];
        hole = at;
    }
    trust->entries[hole] = (struct trust_entry){0};
    trust->count--;
}

void trust_forget(struct trust *trust, struct lh_str bucket, struct lh_str object_key)
{
    char text[ENTRY_KEY_BYTES];
    const struct catalog_object object = {.bucket = bucket, .key = object_key};
    struct lh_str key = entry_key(text, sizeof text, &object);
    if (!key.len)
        return;
    pthread_mutex_lock(&trust->mutex);
    struct trust_entry *entry = slot_of(trust->entries, trust->capacity, key);
    if (entry->key && !entry->is_running)
        empty_slot(trust, entry);
    pthread_mutex_unlock(&trust->mutex);
}

static enum lh_code look(struct catalog *catalog, const struct catalog_object *object,
                         struct storage_info *ret, struct lh_error *err)
{
    enum lh_code code = storage_info(catalog->storage, object->bucket, object->key, ret, err);
    if (code == LH_NOT_FOUND) {
        lh_fail(err, LH_DAMAGED, "The data file '%.*s' is missing in the bucket '%.*s'.",
                LH_ARG(object->key), LH_ARG(object->bucket));
        return lh_error_hint(err, "Bring it back there from a backup; `lakehouse verify` names all "
                                  "that is missing.");
    }
    if (code == LH_INVALID)
        return lh_fail(err, LH_DAMAGED, "The data file '%.*s' is no ordinary file any more.",
                       LH_ARG(object->key));
    if (!code && ret->bytes != object->bytes)
        return lh_fail(err, LH_DAMAGED, "The data file '%.*s' has %lld bytes, not %lld.",
                       LH_ARG(object->key), (long long)ret->bytes, (long long)object->bytes);
    return code;
}

enum lh_code trust_note(struct catalog *catalog, const struct catalog_object *object,
                        struct lh_error *err)
{
    char text[ENTRY_KEY_BYTES];
    struct lh_str key = entry_key(text, sizeof text, object);
    struct storage_info info;
    if (storage_is_remote(catalog->storage, object->bucket))
        return LH_OK; /* the store has confirmed its sum, and the cache will compare it */
    enum lh_code code = look(catalog, object, &info, err);
    if (code || !key.len)
        return code;
    pthread_mutex_lock(&catalog->trust.mutex);
    struct trust_entry *entry = entry_of(&catalog->trust, key);
    if (!entry->is_running) {
        entry->info = info;
        entry->is_good = true;
    }
    pthread_mutex_unlock(&catalog->trust.mutex);
    return LH_OK;
}

static enum lh_code compare_sum(struct catalog *catalog, const struct catalog_object *object,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    struct storage_sum sum;
    enum lh_code code =
        storage_sum(catalog->storage, object->bucket, object->key, cancel, &sum, err);
    if (code)
        return code;
    if (sum.bytes == object->bytes && memcmp(sum.sha256, object->sha256, sizeof sum.sha256) == 0)
        return LH_OK;
    lh_fail(err, LH_DAMAGED, "The data file '%.*s' is not what was written: its checksum differs.",
            LH_ARG(object->key));
    return lh_error_hint(err, "Run `lakehouse verify` to see what else is damaged, and restore the "
                              "file from a backup.");
}

#define LOOK_EVERY_NS 20000000L

/* Until another thread has read the file, or this one's caller no longer wants it. */
static enum lh_code await_reader(struct trust *trust, struct lh_str key,
                                 const struct lh_cancel *cancel, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    while (!code && entry_of(trust, key)->is_running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_EVERY_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&trust->cond, &trust->mutex, &until);
        code = lh_cancel_fail(cancel, "Waiting for a file to be checked", err);
    }
    return code;
}

/* Claims the entry for this thread, or says that the file is already known to be good. */
static enum lh_code claim(struct trust *trust, struct lh_str key, const struct storage_info *info,
                          bool is_anew, const struct lh_cancel *cancel, bool *ret_is_good,
                          struct lh_error *err)
{
    pthread_mutex_lock(&trust->mutex);
    enum lh_code code = await_reader(trust, key, cancel, err);
    if (!code) {
        struct trust_entry *entry = entry_of(trust, key);
        *ret_is_good = !is_anew && entry->is_good && storage_is_same(&entry->info, info);
        entry->is_running = !*ret_is_good;
    }
    pthread_mutex_unlock(&trust->mutex);
    return code;
}

/* Claimed by this thread; `info` as it was before it was read: a later change shows. */
static void settle(struct trust *trust, struct lh_str key, const struct storage_info *info,
                   bool is_good)
{
    if (!key.len)
        return;
    pthread_mutex_lock(&trust->mutex);
    struct trust_entry *entry = entry_of(trust, key);
    entry->info = *info;
    entry->is_good = is_good;
    entry->is_running = false;
    pthread_cond_broadcast(&trust->cond);
    pthread_mutex_unlock(&trust->mutex);
}

static enum lh_code ensure(struct catalog *catalog, const struct catalog_object *object,
                           bool is_anew, const struct lh_cancel *cancel, struct lh_error *ret_err)
{
    struct lh_error own = LH_ERROR_NONE, *err = ret_err ? ret_err : &own;
    struct trust *trust = &catalog->trust;
    char text[ENTRY_KEY_BYTES];
    struct lh_str key = entry_key(text, sizeof text, object);
    struct storage_info info;
    bool is_good = false;
    enum lh_code code = look(catalog, object, &info, err);
    if (code == LH_DAMAGED)
        catalog_tell_file(catalog, object, err);
    if (!code && key.len)
        code = claim(trust, key, &info, is_anew, cancel, &is_good, err);
    if (is_good)
        catalog_tell_file(catalog, object, NULL);
    if (code || is_good)
        return code;
    code = compare_sum(catalog, object, cancel, err);
    settle(trust, key, &info, code == LH_OK);
    if (!code || code == LH_DAMAGED)
        catalog_tell_file(catalog, object, code ? err : NULL);
    return code;
}

enum lh_code catalog_rejects_ensure(struct catalog *catalog, struct lh_str key,
                                    const struct lh_cancel *cancel, struct storage_info *ret_info,
                                    struct lh_error *err)
{
    const struct catalog_object object = {.bucket = STORAGE_PRIMARY, .key = key};
    char text[ENTRY_KEY_BYTES];
    struct lh_str entry = entry_key(text, sizeof text, &object);
    bool is_good = false;
    enum lh_code code = storage_info(catalog->storage, object.bucket, key, ret_info, err);
    if (code == LH_NOT_FOUND || code == LH_INVALID)
        return lh_fail(err, LH_DAMAGED,
                       "The file of rejected rows '%.*s' is missing or no ordinary file.",
                       LH_ARG(key));
    if (!code && entry.len)
        code = claim(&catalog->trust, entry, ret_info, false, cancel, &is_good, err);
    if (code || is_good)
        return code;
    code = catalog_rejects_check(catalog->storage, key, cancel, err);
    settle(&catalog->trust, entry, ret_info, code == LH_OK);
    return code;
}

enum lh_code catalog_ensure_verified(struct catalog *catalog, const struct catalog_object *object,
                                     const struct lh_cancel *cancel, struct lh_error *err)
{
    return ensure(catalog, object, false, cancel, err);
}

enum lh_code trust_recheck(struct catalog *catalog, const struct catalog_object *object,
                           const struct lh_cancel *cancel, struct lh_error *err)
{
    return ensure(catalog, object, true, cancel, err);
}

static void unpin(void *pin)
{
    storage_unpin(pin);
}

static struct storage_sum sum_of(const struct catalog_object *object)
{
    struct storage_sum sum = {.bytes = object->bytes};
    memcpy(sum.sha256, object->sha256, sizeof sum.sha256);
    return sum;
}

static enum lh_code pin(struct catalog *catalog, const struct catalog_object *object,
                        const struct lh_cancel *cancel, struct lh_arena *arena,
                        struct lh_error *err)
{
    struct storage_pin *pinned = NULL;
    const struct storage_sum sum = sum_of(object);
    enum lh_code code =
        storage_pin(catalog->storage, object->bucket, object->key, &sum, cancel, &pinned, err);
    if (code == LH_NOT_FOUND && storage_has_bucket(catalog->storage, object->bucket))
        return lh_fail(err, LH_DAMAGED, "The data file '%.*s' is missing in the bucket '%.*s'.",
                       LH_ARG(object->key), LH_ARG(object->bucket));
    if (!code)
        lh_arena_defer(arena, unpin, pinned);
    return code;
}

enum lh_code catalog_rescued_file(struct catalog *catalog, const struct catalog_object *object,
                                  enum lh_code code, const struct lh_cancel *cancel,
                                  struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    struct storage_pin *pinned = NULL;
    struct lh_error own = LH_ERROR_NONE;
    struct storage_info info;
    const struct storage_sum sum = sum_of(object);
    enum lh_code reason = code;
    if (code == LH_DAMAGED) { /* what is not there at all is told as such */
        storage_failure_note(catalog->storage, object->bucket, object->key, "check", err);
        if (storage_info(catalog->storage, object->bucket, object->key, &info, NULL) ==
            LH_NOT_FOUND)
            reason = LH_NOT_FOUND;
    }
    enum lh_code rescued = storage_pin_rescued(catalog->storage, object->bucket, object->key, &sum,
                                               reason, cancel, arena, &pinned, ret, &own);
    if (rescued == LH_NOT_FOUND)
        return code;
    if (rescued)
        *err = own;
    else
        lh_arena_defer(arena, unpin, pinned);
    return rescued;
}

enum lh_code catalog_object_file(struct catalog *catalog, const struct catalog_object *object,
                                 const struct lh_cancel *cancel, struct lh_arena *arena,
                                 struct lh_str *ret, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = catalog_own_file(catalog, object, cancel, arena, ret, &own);
    if (code && !storage_is_remote(catalog->storage, object->bucket))
        code = catalog_rescued_file(catalog, object, code, cancel, arena, ret, &own);
    if (code && err)
        *err = own;
    return code;
}

enum lh_code catalog_own_file(struct catalog *catalog, const struct catalog_object *object,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct lh_str *ret, struct lh_error *err)
{
    enum lh_code code = storage_is_remote(catalog->storage, object->bucket)
                            ? pin(catalog, object, cancel, arena, err)
                            : catalog_ensure_verified(catalog, object, cancel, err);
    return code ? code
                : storage_object_path(catalog->storage, object->bucket, object->key, arena, ret,
                                      err);
}

static bool is_known(struct catalog *catalog, const struct catalog_object *object)
{
    char text[ENTRY_KEY_BYTES];
    struct lh_str key = entry_key(text, sizeof text, object);
    pthread_mutex_lock(&catalog->trust.mutex);
    bool is_good = key.len && entry_of(&catalog->trust, key)->is_good;
    pthread_mutex_unlock(&catalog->trust.mutex);
    return is_good;
}

/* One step of the walk over all objects of a snapshot; false at its end. */
static bool next_object(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                        const struct catalog_object **ret)
{
    bool is_found = false;
    pthread_mutex_lock(&catalog->problem_mutex);
    while (!is_found && catalog->verify_place < snapshot->item_count) {
        const struct catalog_dataset *dataset = &snapshot->items[catalog->verify_place]->view;
        size_t count = dataset->is_deleted ? 0 : dataset->object_count;
        if (catalog->verify_object < count) {
            *ret = dataset->objects[catalog->verify_object++];
            is_found = true;
        } else {
            catalog->verify_place++;
            catalog->verify_object = 0;
        }
    }
    pthread_mutex_unlock(&catalog->problem_mutex);
    return is_found;
}

bool catalog_verify_some(struct catalog *catalog, int64_t bytes_max, const struct lh_cancel *cancel)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_object *object = NULL;
    int64_t bytes = 0;
    bool is_more = true;
    while (is_more && bytes < bytes_max && !lh_cancel_check(cancel)) {
        struct lh_error err = LH_ERROR_NONE;
        is_more = next_object(catalog, snapshot, &object);
        /* A remote one is compared when it comes into the cache, each time. */
        if (!is_more || is_known(catalog, object) ||
            storage_is_remote(catalog->storage, object->bucket))
            continue;
        enum lh_code code = catalog_ensure_verified(catalog, object, cancel, &err);
        if (code && code != LH_STOPPING && code != LH_CANCELLED)
            catalog_tell_file(catalog, object, &err);
        bytes += object->bytes;
    }
    catalog_snapshot_unref(snapshot);
    return is_more;
}
