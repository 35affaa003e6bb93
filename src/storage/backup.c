#include "base/clock.h"
#include "storage/backup_internal.h"

/* Files of this size or less, in folders where objects may be replaced in place, are read while
 * nobody writes: what is copied later is found under its key, or in the trash. */
#define HELD_BYTES_MAX ((int64_t)65536)
#define HELD_TOTAL_MAX ((int64_t)256 << 20)

struct backing {
    struct storage *storage;
    const struct storage_backup_options *options;
    struct backup_store store;
    struct backup_list now, before; /* before: the newest list that can be read, sorted */
    int64_t held_bytes;
    struct storage_backup_result result;
};

/* --- the moment */

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

static enum lh_code hold_small(struct backing *backing, struct backup_file *file,
                               struct lh_error *err)
{
    if (is_immutable(file->key) || file->bytes > HELD_BYTES_MAX ||
        backing->held_bytes + file->bytes > HELD_TOTAL_MAX)
        return LH_OK;
    backing->held_bytes += file->bytes;
    enum lh_code code = storage_get(backing->storage, file->bucket, file->key,
                                    (size_t)HELD_BYTES_MAX, backing->now.arena, &file->held, err);
    if (!code)
        file->bytes = (int64_t)file->held.len; /* a log may have grown since it was looked at */
    return code;
}

static enum lh_code visit(void *context, const struct storage_entry *entry, struct lh_error *err)
{
    struct backing *backing = context;
    const struct storage_backup_source *source = &backing->options->source;
    struct storage_info info;
    if (entry->is_folder || entry->is_special ||
        (source->wants && !source->wants(source->context, STORAGE_PRIMARY, entry->key)))
        return LH_OK;
    enum lh_code code = lh_cancel_fail(backing->options->cancel, "The backup", err);
    if (!code)
        code = storage_info(backing->storage, STORAGE_PRIMARY, entry->key, &info, err);
    if (code)
        return code;
    struct backup_file *file = backup_list_add(&backing->now, STORAGE_PRIMARY, entry->key);
    file->bytes = info.bytes;
    file->inode = info.inode;
    file->changed_ns = info.changed_ns;
    return hold_small(backing, file, err);
}

static void add_document(struct backing *backing, struct lh_str key, struct lh_str bytes)
{
    struct backup_file *file = NULL;
    for (size_t i = 0; i < backing->now.count && !file; i++)
        if (lh_str_equal(backing->now.items[i].key, key))
            file = &backing->now.items[i];
    if (!file)
        file = backup_list_add(&backing->now, STORAGE_PRIMARY, key);
    file->held = lh_arena_str(backing->now.arena, bytes);
    file->bytes = (int64_t)bytes.len;
    file->inode = 0;
    file->changed_ns = 0;
}

static enum lh_code look(struct backing *backing, struct lh_error *err)
{
    const struct storage_backup_source *source = &backing->options->source;
    const struct storage_document *documents = NULL;
    struct lh_str identity = {0};
    size_t count = 0;
    enum lh_code code = LH_OK;
    if (source->hold)
        code = source->hold(source->context, backing->now.arena, &backing->now.sequence, &documents,
                            &count, err);
    if (!code)
        code = storage_walk(backing->storage, STORAGE_PRIMARY, lh_lit(""), visit, backing, err);
    if (!code)
        code = lh_file_read(backing->storage->dir, LAKE_FILE, 65536, backing->now.arena, &identity,
                            err);
    if (code)
        return code;
    add_document(backing, lh_lit(LAKE_FILE), identity);
    for (size_t i = 0; i < count; i++)
        add_document(backing, documents[i].key, documents[i].bytes);
    return LH_OK;
}

/* --- copying */

static bool is_known(struct backing *backing, struct backup_file *file)
{
    if (file->is_summed)
        return backup_store_has(&backing->store, file->sha256, file->bytes);
    const struct backup_file *old = backup_list_find(&backing->before, file->bucket, file->key);
    if (!old || !file->changed_ns || old->changed_ns != file->changed_ns ||
        old->inode != file->inode || old->bytes != file->bytes ||
        !backup_store_has(&backing->store, old->sha256, old->bytes))
        return false;
    memcpy(file->sha256, old->sha256, sizeof file->sha256);
    return true;
}

static enum lh_code check_inode(int fd, const struct backup_file *file, bool *ret_is_it,
                                struct lh_error *err)
{
    struct lh_file_info info;
    enum lh_code code = lh_file_info_of(fd, &info, err);
    *ret_is_it = !code && info.inode == file->inode;
    return code;
}

/* Whoever removed it since put it there, with its key below a folder of the removal's own. */
static enum lh_code open_trashed(struct backing *backing, const struct backup_file *file,
                                 int *ret_fd, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    bool is_it = false;
    enum lh_code code =
        lh_dir_list(backing->storage->dir, TRASH_FOLDER, arena, &entries, &count, err);
    for (size_t i = count; i > 0 && !code && !is_it; i--) {
        struct lh_str path = lh_arena_printf(arena, TRASH_FOLDER "/%.*s/%.*s",
                                             LH_ARG(entries[i - 1].name), LH_ARG(file->key));
        int fd = -1;
        if (lh_file_open(backing->storage->dir, path.data, false, &fd, NULL))
            continue;
        code = check_inode(fd, file, &is_it, err);
        if (is_it)
            *ret_fd = fd;
        else
            lh_file_abandon(fd);
    }
    lh_arena_free(arena);
    if (!code && !is_it) {
        lh_fail(err, LH_BUSY, "The file '%.*s' went while it was being backed up.",
                LH_ARG(file->key));
        code = lh_error_hint(err, "Start the backup again: what was copied is kept.");
    }
    return code;
}

static enum lh_code open_file(struct backing *backing, const struct backup_file *file, int *ret_fd,
                              struct lh_error *err)
{
    bool is_it = false;
    int fd = -1;
    enum lh_code code = storage_open_file(backing->storage, file->bucket, file->key, &fd, err);
    if (!code)
        code = check_inode(fd, file, &is_it, err);
    if (is_it) {
        *ret_fd = fd;
        return LH_OK;
    }
    lh_file_abandon(fd);
    return code && code != LH_NOT_FOUND ? code : open_trashed(backing, file, ret_fd, err);
}

static enum lh_code copy(struct backing *backing, struct backup_file *file, bool is_mending,
                         struct lh_error *err)
{
    const struct storage_backup_source *source = &backing->options->source;
    uint8_t expected[LH_SHA256_BYTES];
    struct backup_input input = {.fd = -1,
                                 .held = file->held,
                                 .bytes = file->bytes,
                                 .shown = file->key,
                                 .is_mending = is_mending,
                                 .cancel = backing->options->cancel};
    enum lh_code code = LH_OK;
    if (!file->held.data && !lh_str_equal(file->bucket, STORAGE_PRIMARY))
        code = backup_others_open(backing->storage, &backing->store, file, input.cancel, &input.fd,
                                  err);
    else if (!file->held.data)
        code = open_file(backing, file, &input.fd, err);
    if (file->is_summed) {
        memcpy(expected, file->sha256, sizeof expected);
        input.expected = expected;
    } else if (!code && source->sum_of &&
               source->sum_of(source->context, file->bucket, file->key, expected)) {
        input.expected = expected;
    }
    if (!code)
        code = backup_store_put(&backing->store, &input, file->sha256, err);
    lh_file_abandon(input.fd);
    backing->result.copied_count++;
    backing->result.copied_bytes += file->bytes;
    return code;
}

static enum lh_code take(struct backing *backing, struct backup_file *file, struct lh_error *err)
{
    enum lh_code code = lh_cancel_fail(backing->options->cancel, "The backup", err);
    backing->result.file_count++;
    backing->result.byte_count += file->bytes;
    if (code)
        return code;
    if (!is_known(backing, file)) /* the same bytes may lie there, damaged, from another key */
        return copy(backing, file, backing->options->is_rechecked, err);
    if (!backing->options->is_rechecked)
        return LH_OK;
    code = backup_store_check(&backing->store, file, backing->options->cancel, err);
    if (code != LH_DAMAGED)
        return code;
    backing->result.mended_count++;
    return copy(backing, file, true, err);
}

/* --- one backup */

/* Asked before anything is copied, and again after the moment: what was put into a bucket and
 * committed between is seen then. */
static enum lh_code look_at_others(struct backing *backing, struct lh_error *err)
{
    struct backup_list *now = &backing->now;
    if (!backing->options->is_primary_only)
        return backup_others_check(backing->storage, err);
    backup_places_in_use(backing->storage, now->arena, &now->left_out, &now->left_out_count);
    return LH_OK;
}

/* Lists that cannot be read are passed over: they are told when they are asked for. */
static enum lh_code read_before(struct backing *backing, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    int64_t *numbers = NULL;
    size_t count = 0;
    enum lh_code code = backup_store_numbers(&backing->store, arena, &numbers, &count, err);
    backing->now.number = !code && count ? numbers[count - 1] + 1 : 1;
    bool is_read = false;
    while (!code && !is_read && count) {
        backup_list_release(&backing->before);
        backup_list_init(&backing->before);
        is_read = !backup_store_read(&backing->store, numbers[--count], &backing->before, NULL);
    }
    if (!is_read) {
        backup_list_release(&backing->before);
        backup_list_init(&backing->before);
    }
    backup_list_sort(&backing->before);
    lh_arena_free(arena);
    return code;
}

static enum lh_code back_up(struct backing *backing, struct lh_error *err)
{
    struct storage *storage = backing->storage;
    enum lh_code code = backup_place_check(storage, backing->options->path, err);
    if (!code) /* before a folder is made */
        code = look_at_others(backing, err);
    if (!code)
        code = backup_store_open(backing->options->path, &storage->id, &backing->store, err);
    if (!code) /* links followed */
        code = backup_place_check(storage, lh_dir_path(backing->store.dir), err);
    if (!code)
        code = read_before(backing, err);
    if (code)
        return code;
    pthread_rwlock_wrlock(&storage->gate);
    int64_t started_us = lh_clock_monotonic_us();
    backing->now.made_ms = lh_clock_unix_ms();
    code = look(backing, err);
    backing->result.held_us = lh_clock_monotonic_us() - started_us;
    pthread_rwlock_unlock(&storage->gate);
    if (!code)
        code = look_at_others(backing, err);
    if (!code && !backing->options->is_primary_only)
        code = backup_others_add(storage, &backing->options->source, backing->options->cancel,
                                 &backing->now, err);
    for (size_t i = 0; i < backing->now.count && !code; i++)
        code = take(backing, &backing->now.items[i], err);
    backing->now.lake = storage->id;
    if (!code)
        code = backup_store_publish(&backing->store, &backing->now, err);
    backing->result.number = backing->now.number;
    backing->result.sequence = backing->now.sequence;
    return code;
}

static struct lh_str *copy_names(const struct lh_str *names, size_t count, struct lh_arena *arena)
{
    struct lh_str *ret = lh_arena_array(arena, count + 1, sizeof *ret);
    for (size_t i = 0; i < count; i++)
        ret[i] = lh_arena_str(arena, names[i]);
    return ret;
}

enum lh_code storage_backup(struct storage *storage, const struct storage_backup_options *options,
                            struct storage_backup_result *ret, struct lh_error *err)
{
    struct backing backing = {.storage = storage, .options = options, .store = {.lock_fd = -1}};
    backup_list_init(&backing.now);
    backup_list_init(&backing.before);
    atomic_fetch_add(&storage->backups, 1);
    enum lh_code code = back_up(&backing, err);
    atomic_fetch_sub(&storage->backups, 1);
    if (!code && options->arena)
        backing.result.left_out =
            copy_names(backing.now.left_out, backing.now.left_out_count, options->arena);
    backing.result.left_out_count = backing.now.left_out_count;
    backup_store_close(&backing.store);
    backup_list_release(&backing.now);
    backup_list_release(&backing.before);
    if (!code)
        *ret = backing.result;
    return code;
}
