/* The backend on a folder: the keys are paths below it. Of primary it is the data folder, in which
 * the staged files lie too; into any other they are copied, because it may be another disk. */
#include <stdlib.h>

#include "base/clock.h"
#include "storage/failures.h"
#include "storage/held_internal.h"

#define COPY_BYTES ((size_t)1 << 20)
#define MARK_BYTES_MAX ((size_t)4096)

/* A folder that was open before another came to its path: somebody may be in it yet. */
struct left_dir {
    struct lh_dir *dir;
    struct left_dir *next;
};

struct place {
    struct lh_dir *_Atomic dir;
    pthread_mutex_t mutex; /* guards the change of `dir`, and `left`; taken before no other */
    struct left_dir *left;
    _Atomic bool is_lost; /* and that is the bucket's problem */
    struct folder_set *folders;
    struct folder_set own; /* what `folders` is if it is not the data folder's */
    bool is_home;
    _Atomic int64_t seen_us; /* when the folder was last found under its name */
};

#define SEEN_US ((int64_t)1000000) /* that is believed for so long */

static struct lh_dir *dir_of(const struct storage_bucket *bucket)
{
    struct place *place = bucket->state;
    return place->dir;
}

struct lh_dir *local_dir(const struct storage_bucket *bucket)
{
    return dir_of(bucket);
}

static bool is_below(struct lh_str path, struct lh_str folder)
{
    return lh_str_starts_with(path, folder) &&
           (path.len == folder.len || path.data[folder.len] == '/');
}

static enum lh_code check_root(struct storage_bucket *bucket, struct lh_dir *dir,
                               struct lh_error *err)
{
    struct lh_str path = lh_dir_path(dir), home = lh_dir_path(bucket->storage->dir);
    struct lh_file_info info;
    if (is_below(path, home) || is_below(home, path))
        return lh_fail(err, LH_CONFLICT,
                       "The bucket '%.*s' would lie in or around the data folder.",
                       LH_ARG(bucket->name));
    if (lh_file_info(dir, LAKE_FILE, &info, NULL) == LH_OK)
        return lh_fail(err, LH_CONFLICT, "The folder of the bucket '%.*s' is another lake's.",
                       LH_ARG(bucket->name));
    return LH_OK;
}

/* A folder that the lake knew and that has no mark any more is a disk that is not mounted, or was
 * emptied: nothing is put there. */
static enum lh_code take_possession(struct storage_bucket *bucket, struct lh_dir *dir,
                                    struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_uuid uuid = lh_uuid_new();
    const char *fresh = lh_arena_printf(arena, STAGING_FOLDER "/%s.mark", uuid.text).data;
    struct lh_str text = {0};
    enum lh_code code = lh_file_read(dir, BUCKET_FILE, MARK_BYTES_MAX, arena, &text, err);
    if (code == LH_NOT_FOUND && (bucket->is_known || !bucket->storage->is_writable)) {
        code = lh_fail(err, LH_IO, "The folder of the bucket '%.*s' is not the one that it had.",
                       LH_ARG(bucket->name));
        lh_error_hint(err, "Is its disk mounted? The file " BUCKET_FILE " tells that it is.");
    } else if (!code) {
        code = bucket_mark_check(bucket, text, err);
    } else if (code == LH_NOT_FOUND) {
        code = lh_file_make(dir, fresh, bucket_mark_text(bucket, arena), err);
        if (!code)
            code = lh_file_publish(dir, fresh, BUCKET_FILE, err);
        if (!code)
            code = lh_dir_sync(dir, "", err);
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code adopt(struct storage_bucket *bucket, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_uuid uuid = lh_uuid_new();
    const char *fresh = lh_arena_printf(arena, STAGING_FOLDER "/%s.mark", uuid.text).data;
    struct lh_dir *dir = NULL;
    struct lh_str text = {0};
    enum lh_code code = lh_dir_open(bucket->options.root, false, &dir, err);
    if (!code)
        code = check_root(bucket, dir, err);
    if (!code)
        code = lh_file_read(dir, BUCKET_FILE, MARK_BYTES_MAX, arena, &text, err);
    if (code == LH_NOT_FOUND)
        code = lh_fail(err, LH_IO, "The folder of the bucket '%.*s' is not the one that it had.",
                       LH_ARG(bucket->name));
    if (!code)
        code = bucket_mark_check_adoptable(bucket, text, err);
    if (!code)
        code = lh_dir_make(dir, STAGING_FOLDER, NULL, err);
    if (!code)
        code = lh_file_make(dir, fresh, bucket_mark_text(bucket, arena), err);
    if (!code)
        code = lh_file_replace(dir, fresh, BUCKET_FILE, err);
    if (!code)
        code = lh_dir_sync(dir, "", err);
    lh_dir_close(dir);
    lh_arena_free(arena);
    return code;
}

static enum lh_code sweep_staging(struct lh_dir *dir, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = lh_dir_remove_tree(dir, STAGING_FOLDER, &own);
    if (code && code != LH_NOT_FOUND) {
        if (err)
            *err = own;
        return code;
    }
    code = lh_dir_make(dir, STAGING_FOLDER, NULL, err);
    if (!code)
        code = lh_dir_make(dir, TRASH_FOLDER, NULL, err);
    return code ? code : lh_dir_sync(dir, "", err);
}

static enum lh_code open_elsewhere(struct storage_bucket *bucket, struct place *place,
                                   struct lh_error *err)
{
    bool creates = bucket->storage->is_writable && !bucket->is_known;
    struct lh_dir *dir = NULL;
    enum lh_code code = lh_dir_open(bucket->options.root, creates, &dir, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_IO, "The folder of the bucket '%.*s' is not there.",
                       LH_ARG(bucket->name));
    place->dir = dir;
    if (!code)
        code = check_root(bucket, place->dir, err);
    if (!code && bucket->storage->is_writable && !bucket->is_known)
        code = lh_dir_make(place->dir, STAGING_FOLDER, NULL, err);
    if (!code)
        code = take_possession(bucket, place->dir, err);
    if (!code && bucket->storage->is_writable)
        code = sweep_staging(place->dir, err);
    return code;
}

static void close_bucket(struct storage_bucket *bucket)
{
    struct place *place = bucket->state;
    bucket->state = NULL;
    if (!place)
        return;
    if (!place->is_home) {
        folders_release(&place->own);
        lh_dir_close(place->dir);
    }
    while (place->left) {
        struct left_dir *left = place->left;
        place->left = left->next;
        lh_dir_close(left->dir);
        free(left);
    }
    pthread_mutex_destroy(&place->mutex);
    free(place);
}

static enum lh_code open_bucket(struct storage_bucket *bucket, struct lh_error *err)
{
    struct place *place = calloc(1, sizeof *place);
    if (!place)
        return lh_fail(err, LH_BUSY, "There is no memory for a bucket.");
    pthread_mutex_init(&place->mutex, NULL);
    place->is_home = bucket == &bucket->storage->primary;
    if (place->is_home) {
        place->dir = bucket->storage->dir;
        place->folders = &bucket->storage->folders;
        bucket->state = place;
        return LH_OK;
    }
    folders_init(&place->own);
    place->folders = &place->own;
    enum lh_code code = open_elsewhere(bucket, place, err);
    bucket->state = place;
    if (code)
        close_bucket(bucket);
    return code;
}

/* The folder that came to the path in the place of the one that is open, if it has our mark. */
static enum lh_code move_into(struct storage_bucket *bucket, struct lh_dir **dir,
                              struct lh_error *err)
{
    struct place *place = bucket->state;
    struct lh_arena *arena = lh_arena_new(0);
    struct left_dir *left = calloc(1, sizeof *left);
    struct lh_str text = {0};
    enum lh_code code = left ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory for a folder.");
    if (!code)
        code = check_root(bucket, *dir, err);
    if (!code)
        code = lh_file_read(*dir, BUCKET_FILE, MARK_BYTES_MAX, arena, &text, err);
    if (!code)
        code = bucket_mark_check(bucket, text, err);
    if (!code && bucket->storage->is_writable) {
        code = lh_dir_make(*dir, STAGING_FOLDER, NULL, err);
        if (!code)
            code = lh_dir_make(*dir, TRASH_FOLDER, NULL, err);
        if (!code)
            code = lh_dir_sync(*dir, "", err);
    }
    if (!code) {
        *left = (struct left_dir){place->dir, place->left};
        place->left = left;
        place->dir = *dir;
        *dir = NULL;
        left = NULL;
        folders_forget(place->folders); /* what was made in the other one */
    }
    free(left);
    lh_arena_free(arena);
    return code;
}

static enum lh_code find_again(struct storage_bucket *bucket, struct lh_error *err)
{
    struct place *place = bucket->state;
    struct lh_file_info known, found;
    struct lh_dir *dir = NULL;
    pthread_mutex_lock(&place->mutex);
    enum lh_code code = lh_dir_open(lh_dir_path(place->dir), false, &dir, err);
    if (!code)
        code = lh_file_info(dir, BUCKET_FILE, &found, err);
    if (!code && (lh_file_info(place->dir, BUCKET_FILE, &known, NULL) != LH_OK ||
                  known.inode != found.inode || known.changed_ns != found.changed_ns))
        code = move_into(bucket, &dir, err);
    pthread_mutex_unlock(&place->mutex);
    lh_dir_close(dir);
    return code;
}

/* For health: that it is lost, and once it is back that it is not. */
static void tell_problem(struct storage_bucket *bucket, const struct lh_error *err)
{
    struct place *place = bucket->state;
    pthread_mutex_lock(&bucket->storage->buckets_mutex);
    bool is_news = place->is_lost != (err->code != LH_OK);
    if (is_news)
        bucket->problem = *err;
    place->is_lost = err->code != LH_OK;
    pthread_mutex_unlock(&bucket->storage->buckets_mutex);
    if (is_news && err->code)
        storage_failure_note(bucket->storage, bucket->name, (struct lh_str){0}, "look", err);
}

/* What is open may have been moved or unmounted: the engine opens files by their names, and what
 * is put there would be found by nobody. The mark tells whether it is the same folder; one that
 * came back under another inode is opened again. `is_now`: whatever was seen a moment ago. Not
 * under the buckets' mutex. */
static enum lh_code check_there(struct storage_bucket *bucket, bool is_now, struct lh_error *err)
{
    struct place *place = bucket->state;
    struct lh_error own = LH_ERROR_NONE;
    int64_t now_us = lh_clock_monotonic_us();
    if (place->is_home || (!is_now && place->seen_us && now_us - place->seen_us < SEEN_US))
        return LH_OK;
    enum lh_code code = find_again(bucket, &own);
    place->seen_us = code ? 0 : now_us;
    if (code && code != LH_BUSY) { /* what is not there is no mistake of who asks */
        if (code == LH_NOT_FOUND)
            lh_fail(&own, LH_IO, "The folder of the bucket '%.*s' is not there.",
                    LH_ARG(bucket->name));
        else
            lh_error_context(&own, "The folder of the bucket '%.*s'", LH_ARG(bucket->name));
        own.code = code = LH_IO;
        lh_error_hint(&own, "Is its disk mounted? It is looked for again and again.");
    }
    if (code == LH_IO || (!code && place->is_lost))
        tell_problem(bucket, &own);
    if (code && err)
        *err = own;
    return code;
}

/* After an answer that there is none: because the whole folder is away? LH_OK: no, ask again, for
 * the folder may be another one now. */
static enum lh_code after_none(struct storage_bucket *bucket, enum lh_code code,
                               struct lh_error *err)
{
    const struct place *place = bucket->state;
    return place->is_home ? code : check_there(bucket, true, err);
}

static enum lh_code probe(struct storage_bucket *bucket, const struct lh_cancel *cancel,
                          struct lh_error *err)
{
    struct place *place = bucket->state;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_uuid uuid = lh_uuid_new();
    const char *name = lh_arena_printf(arena, STAGING_FOLDER "/%s.probe", uuid.text).data;
    struct lh_str text = {0};
    enum lh_code code = lh_cancel_fail(cancel, "The probe", err);
    if (!code)
        code = check_there(bucket, true, err);
    struct lh_dir *dir = place->dir;
    if (!code && !place->is_home) {
        code = lh_file_read(dir, BUCKET_FILE, MARK_BYTES_MAX, arena, &text, err);
        if (code)
            lh_fail(err, code = LH_IO, "The folder of the bucket '%.*s' is not the one it had.",
                    LH_ARG(bucket->name));
        else
            code = bucket_mark_check(bucket, text, err);
    }
    if (!code) {
        code = lh_file_make(dir, name, lh_lit("probe\n"), err);
        enum lh_code removed = lh_file_remove(dir, name, code ? NULL : err);
        code = code ? code : removed;
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code look(struct storage_bucket *bucket, struct lh_error *err)
{
    return check_there(bucket, true, err);
}

static enum lh_code prepare(struct storage_bucket *bucket, const char *key, struct lh_error *err)
{
    struct place *place = bucket->state;
    enum lh_code code = check_there(bucket, true, err);
    return code ? code
                : folders_ensure(place->dir, place->folders, key_folder(lh_str_of(key)), err);
}

/* --- a staged file of the data folder comes to another one: the same name in its own staging */

static enum lh_code copy_bytes(int from, int to, struct lh_sha256 *sum, struct lh_error *err)
{
    size_t got = COPY_BYTES;
    char *bytes = malloc(COPY_BYTES);
    enum lh_code code =
        bytes ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory to copy the file.");
    for (int64_t at = 0; !code && got == COPY_BYTES; at += (int64_t)got) {
        code = lh_file_read_at(from, bytes, COPY_BYTES, at, &got, err);
        if (!code)
            code = lh_file_write(to, bytes, got, err);
        lh_sha256_add(sum, bytes, code ? 0 : got);
    }
    free(bytes);
    return code;
}

/* As the other disk gives it back. */
static enum lh_code compare(struct place *place, const char *staged, struct lh_sha256 *sum,
                            struct lh_error *err)
{
    uint8_t expected[LH_SHA256_BYTES], found[LH_SHA256_BYTES];
    int64_t bytes = 0;
    int fd = -1;
    lh_sha256_finish(sum, expected);
    enum lh_code code = lh_file_open(place->dir, staged, false, &fd, err);
    if (!code)
        code = lh_sha256_of_file(fd, NULL, found, &bytes, err);
    lh_file_abandon(fd);
    if (!code && memcmp(expected, found, sizeof found) != 0)
        code = lh_fail(err, LH_DAMAGED, "The disk gives back other bytes than were written.");
    return code;
}

static enum lh_code bring(struct storage_bucket *bucket, const char *staged, struct lh_error *err)
{
    struct place *place = bucket->state;
    struct lh_sha256 *sum = lh_sha256_new();
    int from = -1, to = -1;
    enum lh_code code = lh_file_open(bucket->storage->dir, staged, false, &from, err);
    if (!code)
        code = lh_file_create(place->dir, staged, &to, err);
    bool is_made = !code;
    if (!code)
        code = copy_bytes(from, to, sum, err);
    if (!code)
        code = lh_file_sync(to, err);
    if (code)
        lh_file_abandon(to);
    else
        code = lh_file_close(to, err);
    if (!code)
        code = compare(place, staged, sum, err);
    lh_file_abandon(from);
    lh_sha256_free(sum);
    if (code && is_made && lh_file_remove(place->dir, staged, NULL) != LH_OK)
        return code; /* swept at the next opening */
    return code;
}

/* Whether the object is the staged file after all: a rename that answers with an error of the disk
 * may have happened. */
static bool may_be_there(struct lh_dir *dir, const char *staged, const char *key)
{
    struct lh_file_info info;
    enum lh_code code = lh_file_info(dir, staged, &info, NULL);
    if (code == LH_OK)
        return false; /* it still has its old name */
    return code != LH_NOT_FOUND || lh_file_info(dir, key, &info, NULL) != LH_NOT_FOUND;
}

static enum lh_code rename_new(struct storage_bucket *bucket, const char *staged, const char *key,
                               bool *ret_is_unknown, struct lh_error *err)
{
    struct lh_dir *dir = dir_of(bucket);
    struct lh_file_info info;
    enum lh_code code = lh_file_publish(dir, staged, key, err);
    if (code == LH_NOT_FOUND && lh_file_info(dir, staged, &info, NULL) == LH_OK) {
        /* Somebody removed the folder under us. */
        folders_forget(((struct place *)bucket->state)->folders);
        code = prepare(bucket, key, err);
        if (!code)
            code = lh_file_publish(dir, staged, key, err);
    }
    *ret_is_unknown = code && code != LH_EXISTS && may_be_there(dir, staged, key);
    return code;
}

static enum lh_code rename_over(struct storage_bucket *bucket, const char *staged, const char *key,
                                bool *ret_is_unknown, struct lh_error *err)
{
    struct lh_dir *dir = dir_of(bucket);
    struct lh_file_info info;
    enum lh_code code = lh_file_replace(dir, staged, key, err);
    if (code == LH_NOT_FOUND && lh_file_info(dir, staged, &info, NULL) == LH_OK) {
        folders_forget(((struct place *)bucket->state)->folders); /* as in publish */
        code = prepare(bucket, key, err);
        if (!code)
            code = lh_file_replace(dir, staged, key, err);
    }
    *ret_is_unknown = code && may_be_there(dir, staged, key);
    return code;
}

typedef enum lh_code (*rename_fn)(struct storage_bucket *bucket, const char *staged,
                                  const char *key, bool *ret_is_unknown, struct lh_error *err);

/* It went while something was put there. */
static enum lh_code fail_away(struct storage_bucket *bucket, struct lh_error *err)
{
    enum lh_code code = check_there(bucket, true, err);
    if (code)
        return code;
    lh_fail(err, LH_IO, "The folder of the bucket '%.*s' changed meanwhile.", LH_ARG(bucket->name));
    return lh_error_hint(err, "Try again.");
}

/* Before anybody says that it was put: it is where it will be looked for. */
static enum lh_code check_named(struct storage_bucket *bucket, const char *key,
                                struct lh_error *err)
{
    struct lh_file_info info;
    enum lh_code code = check_there(bucket, true, err);
    if (!code && lh_file_info(dir_of(bucket), key, &info, NULL) != LH_OK)
        code = fail_away(bucket, err);
    return code;
}

static enum lh_code bring_and_rename(struct storage_bucket *bucket, const char *staged,
                                     const char *key, rename_fn give_name, bool *ret_is_unknown,
                                     struct lh_error *err)
{
    struct place *place = bucket->state;
    if (place->is_home)
        return give_name(bucket, staged, key, ret_is_unknown, err);
    enum lh_code code = bring(bucket, staged, err);
    if (code)
        return code == LH_NOT_FOUND ? fail_away(bucket, err) : code;
    code = give_name(bucket, staged, key, ret_is_unknown, err);
    if (code == LH_NOT_FOUND)
        code = fail_away(bucket, err);
    else if (!code && (code = check_named(bucket, key, err)))
        *ret_is_unknown = true; /* it shows if that folder comes back */
    /* What stays behind is swept at the next opening. */
    if (lh_file_remove(code ? place->dir : bucket->storage->dir, staged, NULL) != LH_OK)
        return code;
    return code;
}

static enum lh_code publish(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err)
{
    return bring_and_rename(bucket, staged, key, rename_new, ret_is_unknown, err);
}

static enum lh_code replace(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err)
{
    return bring_and_rename(bucket, staged, key, rename_over, ret_is_unknown, err);
}

static enum lh_code open_file(struct storage_bucket *bucket, const char *key, int *ret_fd,
                              struct lh_error *err)
{
    enum lh_code code = lh_file_open(dir_of(bucket), key, false, ret_fd, err);
    if (code == LH_NOT_FOUND && (code = after_none(bucket, code, err)) == LH_OK)
        code = lh_file_open(dir_of(bucket), key, false, ret_fd, err);
    return code;
}

static enum lh_code settle(struct storage_bucket *bucket, const char *key, struct lh_error *err)
{
    struct lh_str folder = key_folder(lh_str_of(key));
    struct key_text text;
    memcpy(text.text, folder.data, folder.len);
    text.text[folder.len] = '\0';
    return lh_dir_sync(dir_of(bucket), text.text, err);
}

static enum lh_code get(struct storage_bucket *bucket, const char *key, size_t bytes_max,
                        struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    enum lh_code code = lh_file_read(dir_of(bucket), key, bytes_max, arena, ret, err);
    if (code == LH_NOT_FOUND && (code = after_none(bucket, code, err)) == LH_OK)
        code = lh_file_read(dir_of(bucket), key, bytes_max, arena, ret, err);
    return code;
}

static enum lh_code info(struct storage_bucket *bucket, const char *key, struct storage_info *ret,
                         struct lh_error *err)
{
    struct lh_file_info found;
    enum lh_code code = check_there(bucket, false, err);
    if (!code)
        code = lh_file_info(dir_of(bucket), key, &found, err);
    if (code == LH_NOT_FOUND && (code = after_none(bucket, code, err)) == LH_OK)
        code = lh_file_info(dir_of(bucket), key, &found, err);
    if (code)
        return code;
    if (found.is_folder)
        return lh_fail(err, LH_NOT_FOUND, "There is no object '%s': it is a folder.", key);
    *ret = (struct storage_info){.bytes = found.bytes,
                                 .modified_ms = found.modified_ms,
                                 .changed_ns = found.changed_ns,
                                 .inode = found.inode};
    return LH_OK;
}

static enum lh_code sum(struct storage_bucket *bucket, const char *key,
                        const struct lh_cancel *cancel, struct storage_sum *ret,
                        struct lh_error *err)
{
    struct storage_sum found;
    int fd = -1;
    enum lh_code code = open_file(bucket, key, &fd, err);
    if (code)
        return code;
    code = lh_sha256_of_file(fd, cancel, found.sha256, &found.bytes, err);
    lh_file_abandon(fd);
    if (!code)
        *ret = found;
    return code;
}

static enum lh_code path(struct storage_bucket *bucket, const char *key, struct lh_arena *arena,
                         struct lh_str *ret, struct lh_error *err)
{
    struct storage_info found;
    enum lh_code code = info(bucket, key, &found, err);
    if (code)
        return code;
    *ret = lh_arena_printf(arena, "%.*s/%s", LH_ARG(lh_dir_path(dir_of(bucket))), key);
    return LH_OK;
}

static enum lh_code list(struct storage_bucket *bucket, const char *folder, struct lh_arena *arena,
                         struct storage_entry **ret, size_t *ret_count, struct lh_error *err)
{
    struct lh_dir_entry *found = NULL;
    size_t count = 0;
    enum lh_code code = check_there(bucket, true, err);
    if (!code)
        code = lh_dir_list(dir_of(bucket), folder, arena, &found, &count, err);
    if (code)
        return code;
    struct storage_entry *entries = lh_arena_try(arena, (count ? count : 1) * sizeof *entries);
    if (!entries)
        return lh_fail(err, LH_TOO_LARGE, "The folder '%s' has too many entries.", folder);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct storage_entry){
            .name = found[i].name,
            .is_folder = found[i].is_folder,
            .is_special = found[i].is_special,
            .bytes = found[i].bytes,
            .modified_ms = found[i].modified_ms,
        };
    }
    *ret = entries;
    *ret_count = count;
    return LH_OK;
}

static enum lh_code trash(struct storage_bucket *bucket, const char *key, const char *folder,
                          struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str target = lh_arena_printf(arena, "%s/%s", folder, key);
    struct storage_info found;
    enum lh_code code = info(bucket, key, &found, err);
    if (code == LH_NOT_FOUND) {
        code = LH_OK;
        goto out;
    }
    if (code)
        goto out;
    code = lh_dir_make(dir_of(bucket), lh_arena_cstr(arena, key_folder(target)), NULL, err);
    if (!code)
        code = lh_file_publish(dir_of(bucket), key, target.data, err);
    if (!code)
        code = lh_dir_sync(dir_of(bucket), lh_arena_cstr(arena, key_folder(target)), err);
out:
    lh_arena_free(arena);
    return code;
}

static enum lh_code sweep(struct storage_bucket *bucket, int64_t age_ms, int64_t *bytes,
                          struct lh_error *err)
{
    return trash_sweep_folder(dir_of(bucket), age_ms, bytes, err);
}

const struct storage_backend storage_local = {
    .name = "local",
    .adopt = adopt,
    .open = open_bucket,
    .close = close_bucket,
    .probe = probe,
    .look = look,
    .prepare = prepare,
    .publish = publish,
    .replace = replace,
    .settle = settle,
    .get = get,
    .open_file = open_file,
    .info = info,
    .sum = sum,
    .path = path,
    .list = list,
    .trash = trash,
    .sweep = sweep,
    .held = &held_local,
};
