/* What there is of primary at one moment, found while others write.
 *
 *   changes are noted ──▶ everything is listed ──▶ what changed is looked at again, until that is
 *                                                  little ──▶ the moment: alone, the last of it
 *
 * So the wait of those who publish depends on what they did a moment ago, not on how much there
 * is. Who publishes, replaces, appends or removes notes the key before it leaves the gate. */
#include <stdlib.h>

#include "base/clock.h"
#include "storage/backup_internal.h"

/* Files of this size or less, in folders where objects may be replaced in place, are read when they
 * are looked at: what is copied later is found under its key, or in the trash. */
#define HELD_BYTES_MAX ((int64_t)65536)
#define HELD_TOTAL_MAX ((int64_t)256 << 20)
#define FEW_CHANGES ((size_t)32)
#define ROUNDS_MAX 20 /* writers that are faster than this go through the gate all the same */

/* --- who notes and who is told */

void gate_note(struct storage *storage, struct lh_str key)
{
    if (!atomic_load(&storage->backups))
        return;
    pthread_mutex_lock(&storage->watch_mutex);
    for (struct backup_watch *watch = storage->watches; watch; watch = watch->next) {
        if (watch->count && lh_str_equal(watch->keys[watch->count - 1], key))
            continue;
        if (watch->count == watch->capacity) {
            size_t capacity = watch->capacity ? watch->capacity * 2 : 256;
            struct lh_str *keys = lh_allocate(capacity, sizeof *keys);
            if (watch->count)
                memcpy(keys, watch->keys, watch->count * sizeof *keys);
            free(watch->keys);
            watch->keys = keys;
            watch->capacity = capacity;
        }
        watch->keys[watch->count++] = lh_arena_str(watch->arena, key);
    }
    pthread_mutex_unlock(&storage->watch_mutex);
}

static void watch_begin(struct storage *storage, struct backup_watch *watch)
{
    watch->arena = lh_arena_new(0);
    pthread_mutex_lock(&storage->watch_mutex);
    watch->next = storage->watches;
    storage->watches = watch;
    pthread_mutex_unlock(&storage->watch_mutex);
}

static void watch_end(struct storage *storage, struct backup_watch *watch)
{
    pthread_mutex_lock(&storage->watch_mutex);
    struct backup_watch **link = &storage->watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    pthread_mutex_unlock(&storage->watch_mutex);
    free(watch->keys);
    lh_arena_free(watch->arena);
}

static size_t watch_count(struct storage *storage, const struct backup_watch *watch)
{
    pthread_mutex_lock(&storage->watch_mutex);
    size_t count = watch->count;
    pthread_mutex_unlock(&storage->watch_mutex);
    return count;
}

/* --- looking */

struct looking {
    struct storage *storage;
    const struct storage_backup_options *options;
    struct backup_list *list;
    struct backup_watch watch;
    int64_t held_bytes;
};

/* Where a key's bytes never become others: the catalog's files and the data of datasets and
 * indexes. */
static bool is_immutable(struct lh_str key)
{
    static const struct lh_str folders[] = {LH_LIT("datasets/"), LH_LIT("indexes/"),
                                            LH_LIT("_catalog/"), LH_LIT("_objects/data/")};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (lh_str_starts_with(key, folders[i]))
            return true;
    return false;
}

static enum lh_code hold_small(struct looking *looking, struct backup_file *file,
                               struct lh_error *err)
{
    if (is_immutable(file->key) || file->bytes > HELD_BYTES_MAX ||
        looking->held_bytes + file->bytes > HELD_TOTAL_MAX)
        return LH_OK;
    enum lh_code code = storage_get(looking->storage, file->bucket, file->key,
                                    (size_t)HELD_BYTES_MAX, looking->list->arena, &file->held, err);
    if (code == LH_TOO_LARGE) { /* a log that grew since its size was asked: it is noted */
        file->held = (struct lh_str){0};
        return LH_OK;
    }
    if (code)
        return code;
    looking->held_bytes += (int64_t)file->held.len;
    file->bytes = (int64_t)file->held.len; /* a log may have grown since it was looked at */
    return LH_OK;
}

/* How a key stands now; it may be gone. */
static enum lh_code look_at(struct looking *looking, struct backup_file *file, struct lh_error *err)
{
    struct storage_info info;
    looking->held_bytes -= (int64_t)file->held.len;
    file->held = (struct lh_str){0};
    file->is_gone = false;
    enum lh_code code = storage_info(looking->storage, STORAGE_PRIMARY, file->key, &info, err);
    if (!code) {
        file->bytes = info.bytes;
        file->inode = info.inode;
        file->changed_ns = info.changed_ns;
        code = hold_small(looking, file, err);
    }
    file->is_gone = code == LH_NOT_FOUND;
    return file->is_gone ? LH_OK : code;
}

static enum lh_code visit(void *context, const struct storage_entry *entry, struct lh_error *err)
{
    struct looking *looking = context;
    if (entry->is_folder || entry->is_special)
        return LH_OK;
    enum lh_code code = lh_cancel_fail(looking->options->cancel, "The backup", err);
    return code
               ? code
               : look_at(looking, backup_list_add(looking->list, STORAGE_PRIMARY, entry->key), err);
}

static int compare_keys(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

/* What was noted until now. The list is sorted, and keeps new files at its end, unsorted. */
static enum lh_code look_again(struct looking *looking, struct lh_error *err)
{
    struct backup_watch *watch = &looking->watch;
    struct backup_list *list = looking->list;
    struct lh_arena *fresh = lh_arena_new(0);
    pthread_mutex_lock(&looking->storage->watch_mutex);
    struct lh_arena *arena = watch->arena;
    struct lh_str *keys = watch->keys;
    size_t count = watch->count;
    watch->arena = fresh;
    watch->keys = NULL;
    watch->count = watch->capacity = 0;
    pthread_mutex_unlock(&looking->storage->watch_mutex);
    if (count)
        qsort(keys, count, sizeof *keys, compare_keys);
    enum lh_code code = LH_OK;
    const size_t sorted = list->count;
    for (size_t i = 0; i < count && !code; i++) {
        const struct backup_list known = {.items = list->items, .count = sorted};
        if (i && lh_str_equal(keys[i], keys[i - 1]))
            continue;
        const struct backup_file *found = backup_list_find(&known, STORAGE_PRIMARY, keys[i]);
        code = look_at(looking,
                       found ? &list->items[found - list->items]
                             : backup_list_add(list, STORAGE_PRIMARY, keys[i]),
                       err);
    }
    free(keys);
    lh_arena_free(arena);
    return code;
}

/* Alone: nobody publishes, replaces, appends or removes. */
static enum lh_code hold(struct looking *looking, const struct storage_document **ret,
                         size_t *ret_count, struct lh_error *err)
{
    const struct storage_backup_source *source = &looking->options->source;
    enum lh_code code = LH_OK;
    looking->list->made_ms = lh_clock_unix_ms();
    if (source->hold)
        code = source->hold(source->context, looking->list->arena, &looking->list->sequence, ret,
                            ret_count, err);
    return code ? code : look_again(looking, err);
}

/* --- what belongs to it */

static void add_document(struct backup_list *list, struct lh_str key, struct lh_str bytes)
{
    const struct backup_file *found = backup_list_find(list, STORAGE_PRIMARY, key);
    struct backup_file *file =
        found ? &list->items[found - list->items] : backup_list_add(list, STORAGE_PRIMARY, key);
    file->held = lh_arena_str(list->arena, bytes);
    file->bytes = (int64_t)bytes.len;
    file->inode = 0;
    file->changed_ns = 0;
    backup_list_sort(list);
}

static void keep_wanted(struct looking *looking)
{
    const struct storage_backup_source *source = &looking->options->source;
    struct backup_list *list = looking->list;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!list->items[i].is_gone &&
            (!source->wants || source->wants(source->context, STORAGE_PRIMARY, list->items[i].key)))
            list->items[kept++] = list->items[i];
    list->count = kept;
    backup_list_sort(list);
}

static enum lh_code list_all(struct looking *looking, struct lh_error *err)
{
    enum lh_code code =
        storage_walk(looking->storage, STORAGE_PRIMARY, lh_lit(""), visit, looking, err);
    for (int i = 0; i < ROUNDS_MAX && !code; i++) {
        backup_list_sort(looking->list);
        if (watch_count(looking->storage, &looking->watch) <= FEW_CHANGES)
            break;
        code = lh_cancel_fail(looking->options->cancel, "The backup", err);
        if (!code)
            code = look_again(looking, err);
    }
    backup_list_sort(looking->list);
    return code;
}

enum lh_code backup_look(struct storage *storage, const struct storage_backup_options *options,
                         struct backup_list *list, int64_t *ret_held_us, struct lh_error *err)
{
    struct looking looking = {.storage = storage, .options = options, .list = list};
    const struct storage_document *documents = NULL;
    struct lh_str identity = {0};
    size_t count = 0;
    watch_begin(storage, &looking.watch);
    enum lh_code code = list_all(&looking, err);
    if (!code) {
        int64_t asked_us = lh_clock_monotonic_us();
        pthread_rwlock_wrlock(&storage->gate);
        code = hold(&looking, &documents, &count, err);
        pthread_rwlock_unlock(&storage->gate);
        *ret_held_us = lh_clock_monotonic_us() - asked_us; /* newcomers wait from there on */
    }
    watch_end(storage, &looking.watch);
    if (!code)
        code = lh_file_read(storage->dir, LAKE_FILE, 65536, list->arena, &identity, err);
    if (code)
        return code;
    keep_wanted(&looking);
    add_document(list, lh_lit(LAKE_FILE), identity);
    for (size_t i = 0; i < count; i++)
        add_document(list, documents[i].key, documents[i].bytes);
    return LH_OK;
}
