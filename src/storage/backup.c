#include <stdlib.h>

#include "storage/backup_internal.h"

struct backing {
    struct storage *storage;
    const struct storage_backup_options *options;
    struct backup_store store;
    struct backup_list now, before; /* before: the newest list that can be read, sorted */
    struct backup_meter meter;
    struct storage_backup_result result;
};

/* --- copying */

/* By its sum, which is known without copying: of what was read already, and where a manifest says
 * it. */
static bool has_sum_of(struct backing *backing, struct backup_file *file)
{
    const struct storage_backup_source *source = &backing->options->source;
    if (file->held.data)
        lh_sha256_of(file->held, file->sha256);
    file->has_sum =
        file->held.data ||
        (source->sum_of && source->sum_of(source->context, file->bucket, file->key, file->sha256));
    return file->has_sum && backup_store_has(&backing->store, file->sha256, file->bytes);
}

/* What an earlier backup has, and what one that was cut off had copied: it has no list, but what is
 * known of a file tells its name in the store. So it does of one that is the same in another place
 * of the disk: a lake that was moved needs no more room than it did. */
static bool is_known(struct backing *backing, struct backup_file *file)
{
    if (file->is_summed)
        return backup_store_has(&backing->store, file->sha256, file->bytes);
    const struct backup_file *old = backup_list_find(&backing->before, file->bucket, file->key);
    if (!old || !file->changed_ns || old->changed_ns != file->changed_ns ||
        old->inode != file->inode || old->bytes != file->bytes ||
        !backup_store_has(&backing->store, old->sha256, old->bytes))
        return has_sum_of(backing, file);
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
                                 .cancel = backing->options->cancel,
                                 .meter = &backing->meter};
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
    if (code)
        return code;
    if (!file->is_known) /* the same bytes may lie there, damaged, from another key */
        return copy(backing, file, backing->options->is_rechecked, err);
    if (!backing->options->is_rechecked)
        return LH_OK;
    code =
        backup_store_check(&backing->store, file, backing->options->cancel, &backing->meter, err);
    if (code != LH_DAMAGED)
        return code;
    backing->result.mended_count++;
    return copy(backing, file, true, err);
}

/* Equal files are kept once: of those whose sums are known that is seen. */
static enum lh_code check_room(const struct backing *backing, struct lh_error *err)
{
    const struct backup_list *now = &backing->now;
    const struct backup_file **summed = lh_allocate(now->count + 1, sizeof *summed);
    size_t count = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < now->count; i++) {
        const struct backup_file *file = &now->items[i];
        if (file->is_known)
            continue;
        if (file->is_summed || file->has_sum)
            summed[count++] = file;
        else
            bytes += file->bytes;
    }
    if (count)
        qsort(summed, count, sizeof *summed, backup_compare_sums);
    for (size_t i = 0; i < count; i++)
        if (!i || backup_compare_sums(&summed[i - 1], &summed[i]) != 0)
            bytes += summed[i]->bytes;
    free(summed);
    enum lh_code code = room_check(backing->store.dir, bytes, "the backup", err);
    if (code == LH_FULL)
        lh_error_hint(err, "Make room there, or choose another folder; nothing was copied.");
    return code;
}

static enum lh_code take_all(struct backing *backing, struct lh_error *err)
{
    struct backup_list *now = &backing->now;
    struct storage_backup_progress *progress = &backing->meter.progress;
    enum lh_code code = LH_OK;
    backup_meter_phase(&backing->meter, "comparing");
    for (size_t i = 0; i < now->count && !code; i++) {
        struct backup_file *file = &now->items[i];
        code = lh_cancel_fail(backing->options->cancel, "The backup", err);
        file->is_known = is_known(backing, file);
        backing->result.byte_count += file->bytes;
        if (!file->is_known || backing->options->is_rechecked) {
            progress->files_total++;
            progress->bytes_total += file->bytes;
        }
    }
    backing->result.file_count = (int64_t)now->count;
    if (!code)
        code = check_room(backing, err);
    backup_meter_phase(&backing->meter, "copying");
    for (size_t i = 0; i < now->count && !code; i++) {
        code = take(backing, &now->items[i], err);
        progress->files_done += !now->items[i].is_known || backing->options->is_rechecked;
    }
    return code;
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
    backup_meter_phase(&backing->meter, "listing");
    code = backup_look(storage, backing->options, &backing->now, &backing->result.held_us, err);
    if (!code)
        code = look_at_others(backing, err);
    if (!code && !backing->options->is_primary_only)
        code = backup_others_add(storage, &backing->options->source, backing->options->cancel,
                                 &backing->now, err);
    if (!code)
        code = take_all(backing, err);
    backing->now.lake = storage->id;
    backing->result.number = backing->now.number;
    backing->result.sequence = backing->now.sequence;
    backing->now.job = backing->options->job;
    backing->now.result = backing->result;
    backup_meter_phase(&backing->meter, "ending");
    return code ? code : backup_store_publish(&backing->store, &backing->now, err);
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
    struct backing backing = {.storage = storage,
                              .options = options,
                              .store = {.lock_fd = -1},
                              .meter = {.options = options}};
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

/* --- which one a job made */

/* The newest first. One that was made well before the job was accepted ends the search: clocks are
 * put right by seconds, not by hours. */
#define CLOCK_DOUBT_MS INT64_C(3600000)

enum lh_code storage_backup_of_job(struct lh_str path, struct lh_str job, struct lh_arena *arena,
                                   bool *ret_is_there, struct storage_backup_result *ret,
                                   struct lh_error *err)
{
    struct backup_store store;
    int64_t *numbers = NULL;
    size_t count = 0;
    bool is_there = false, is_older = false;
    enum lh_code code = backup_store_open(path, NULL, &store, err);
    if (code == LH_NOT_FOUND) { /* not begun */
        *ret_is_there = false;
        backup_store_close(&store);
        return LH_OK;
    }
    if (!code)
        code = backup_store_numbers(&store, arena, &numbers, &count, err);
    while (!code && count && !is_there && !is_older) {
        struct backup_list list;
        backup_list_init(&list);
        /* One that cannot be read is not this job's: it would have been told as damaged. */
        if (!backup_store_read(&store, numbers[--count], &list, NULL)) {
            is_there = lh_str_equal(list.job, job);
            is_older = list.made_ms + CLOCK_DOUBT_MS < trash_time(job);
            if (is_there) {
                *ret = list.result;
                ret->left_out = copy_names(list.left_out, list.left_out_count, arena);
                ret->left_out_count = list.left_out_count;
            }
        }
        backup_list_release(&list);
    }
    if (!code && is_there) /* it may have been killed before it made the list's name durable */
        code = lh_dir_sync(store.dir, BACKUP_LISTS, err);
    backup_store_close(&store);
    if (!code)
        *ret_is_there = is_there;
    return code;
}
