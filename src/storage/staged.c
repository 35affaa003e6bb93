#include "storage/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/beside.h"
#include "storage/witness.h"

#define SUFFIX_BYTES_MAX 64
#define COPY_BYTES ((size_t)1 << 20)
/* A thread is begun for each: that takes a hundredth of what summing it does. */
#define SEEN_BYTES ((size_t)4 << 20)
#define NAME_BYTES_MAX (sizeof STAGING_FOLDER + STORAGE_KEY_PART_BYTES_MAX + 1)

/*            write            seal            publish
 *   fresh ─────────▶ open ─────────▶ sealed ─────────▶ published
 *     └── somebody else writes ──seal──▲
 * Any failure of write or seal leads to failed, from where only discard leads on. */
enum staged_state { STAGED_FRESH, STAGED_OPEN, STAGED_SEALED, STAGED_PUBLISHED, STAGED_FAILED };

struct storage_staged {
    struct storage *storage;
    enum staged_state state;
    int fd;                    /* in STAGED_OPEN */
    struct lh_sha256 *written; /* in STAGED_OPEN: what storage_staged_write was given */
    bool is_copied;            /* by storage_staged_copy: a witness has to see it */
    char name[NAME_BYTES_MAX]; /* below the data folder */
    struct lh_str path;
};

static enum lh_code staged_new(struct storage *storage, struct lh_str name,
                               struct storage_staged **ret, struct lh_error *err)
{
    struct lh_str folder = lh_dir_path(storage->dir);
    size_t prefix_len = sizeof STAGING_FOLDER; /* "_staging/": the NUL's place is the slash's */
    size_t path_len = folder.len + 1 + prefix_len + name.len;
    struct storage_staged *staged = calloc(1, sizeof *staged + path_len + 1);
    if (!staged)
        return lh_fail(err, LH_BUSY, "There is no memory for a new file.");
    staged->storage = storage;
    staged->fd = -1;
    memcpy(staged->name, STAGING_FOLDER "/", prefix_len);
    memcpy(staged->name + prefix_len, name.data, name.len);
    char *path = (char *)(staged + 1);
    memcpy(path, folder.data, folder.len);
    path[folder.len] = '/';
    memcpy(path + folder.len + 1, staged->name, prefix_len + name.len);
    staged->path = (struct lh_str){path, path_len};
    *ret = staged;
    return LH_OK;
}

enum lh_code storage_stage(struct storage *storage, struct lh_str suffix,
                           struct storage_staged **ret, struct lh_error *err)
{
    enum lh_code code = storage_check_writable(storage, err);
    if (code)
        return code;
    char name[LH_UUID_TEXT_BYTES + SUFFIX_BYTES_MAX];
    struct lh_uuid uuid = lh_uuid_new();
    if (suffix.len > SUFFIX_BYTES_MAX || (suffix.len && memchr(suffix.data, '/', suffix.len)))
        return lh_fail(err, LH_INVALID, "'%.*s' cannot end a file's name.", LH_ARG(suffix));
    memcpy(name, uuid.text, LH_UUID_TEXT_BYTES);
    if (suffix.len)
        memcpy(name + LH_UUID_TEXT_BYTES, suffix.data, suffix.len);
    struct lh_str whole = {name, LH_UUID_TEXT_BYTES + suffix.len};
    code = storage_key_check(whole, err);
    return code ? code : staged_new(storage, whole, ret, err);
}

bool storage_is_staging(const struct storage *storage, struct lh_str path)
{
    struct lh_str folder = storage->staging_path;
    return lh_str_starts_with(path, folder) && path.len > folder.len + 1 &&
           path.data[folder.len] == '/';
}

enum lh_code storage_stage_adopt(struct storage *storage, struct lh_str path,
                                 struct storage_staged **ret, struct lh_error *err)
{
    enum lh_code code = storage_check_writable(storage, err);
    if (code)
        return code;
    struct lh_str name = lh_str_slice(path, storage->staging_path.len + 1, path.len);
    if (!storage_is_staging(storage, path) || memchr(name.data, '/', name.len))
        return lh_fail(err, LH_INVALID, "Only a file of the staging folder can be taken over.");
    code = storage_key_check(name, err);
    if (code)
        return code;
    struct storage_staged *staged = NULL;
    struct lh_file_info info;
    code = staged_new(storage, name, &staged, err);
    if (code)
        return code;
    code = lh_file_info(storage->dir, staged->name, &info, err);
    if (code) {
        free(staged); /* not discarded: nothing of ours has this name */
        return code;
    }
    *ret = staged;
    return LH_OK;
}

struct lh_str storage_staged_path(const struct storage_staged *staged)
{
    return staged->path;
}

/* Ends the open file, whatever comes of it. */
static enum lh_code finish_open(struct storage_staged *staged, struct lh_error *err)
{
    int fd = staged->fd;
    staged->fd = -1;
    lh_sha256_free(staged->written);
    staged->written = NULL;
    return fd >= 0 ? lh_file_close(fd, err) : LH_OK;
}

static enum lh_code give_up(struct storage_staged *staged, enum lh_code code)
{
    lh_file_abandon(staged->fd);
    staged->fd = -1;
    lh_sha256_free(staged->written);
    staged->written = NULL;
    staged->state = STAGED_FAILED;
    return code;
}

static enum lh_code append(struct storage_staged *staged, const void *bytes, size_t count,
                           bool is_copied, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (staged->state == STAGED_FRESH) {
        code = lh_file_create(staged->storage->dir, staged->name, &staged->fd, err);
        if (code)
            return give_up(staged, code);
        staged->written = is_copied ? NULL : lh_sha256_new();
        staged->is_copied = is_copied;
        staged->state = STAGED_OPEN;
    }
    if (staged->state != STAGED_OPEN || staged->is_copied != is_copied)
        return lh_fail(err, LH_INTERNAL,
                       "A staged file was written to in two ways, or after it was sealed or "
                       "failed.");
    code = lh_file_write(staged->fd, bytes, count, err);
    if (code)
        return give_up(staged, code);
    if (!is_copied)
        lh_sha256_add(staged->written, bytes, count);
    return LH_OK;
}

enum lh_code storage_staged_write(struct storage_staged *staged, const void *bytes, size_t count,
                                  struct lh_error *err)
{
    return append(staged, bytes, count, false, err);
}

enum lh_code storage_staged_copy(struct storage_staged *staged, const void *bytes, size_t count,
                                 struct lh_error *err)
{
    return append(staged, bytes, count, true, err);
}

static enum lh_code copy_into(struct storage_staged *staged, struct lh_str path,
                              struct lh_error *err)
{
    int fd = -1;
    size_t got = COPY_BYTES;
    char *bytes = malloc(COPY_BYTES);
    enum lh_code code = bytes ? lh_file_open_path(path, &fd, err)
                              : lh_fail(err, LH_BUSY, "There is no memory to copy the file.");
    for (int64_t at = 0; !code && got == COPY_BYTES; at += (int64_t)got) {
        code = lh_file_read_at(fd, bytes, COPY_BYTES, at, &got, err);
        if (!code)
            code = storage_staged_write(staged, bytes, got, err);
    }
    lh_file_abandon(fd); /* only read */
    free(bytes);
    return code;
}

enum lh_code storage_stage_file(struct storage *storage, struct lh_str path, struct lh_str suffix,
                                struct storage_staged **ret, struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    if (storage_is_staging(storage, path))
        return storage_stage_adopt(storage, path, ret, err);
    enum lh_code code = storage_stage(storage, suffix, &staged, err);
    assert(code || staged);
    if (!code)
        code = copy_into(staged, path, err);
    if (code)
        storage_staged_discard(staged);
    else
        *ret = staged;
    return code;
}

/* Reads the file back; what we wrote ourselves must be what is there. */
static enum lh_code read_back(struct storage_staged *staged, struct storage_sum *ret,
                              struct lh_error *err)
{
    enum lh_code code = lh_sha256_of_file(staged->fd, NULL, ret->sha256, &ret->bytes, err);
    if (code || !staged->written)
        return code;
    uint8_t expected[LH_SHA256_BYTES];
    lh_sha256_finish(staged->written, expected);
    if (memcmp(expected, ret->sha256, sizeof expected) != 0)
        return lh_fail(err, LH_DAMAGED, "The disk gives back other bytes than were written.");
    return LH_OK;
}

struct block {
    struct lh_sha256 *sum;
    const uint8_t *bytes;
    size_t count;
};

static enum lh_code add_block(void *context, struct lh_error *err)
{
    const struct block *block = context;
    (void)err;
    lh_sha256_add(block->sum, block->bytes, block->count);
    return LH_OK;
}

/* The same with the witness in place of the sum of what was written. */
static enum lh_code show_to(const struct storage_witness *witness, struct storage_staged *staged,
                            struct storage_sum *ret, struct lh_error *err)
{
    struct lh_sha256 *sum = lh_sha256_new();
    uint8_t *bytes = malloc(SEEN_BYTES);
    size_t got = SEEN_BYTES;
    enum lh_code code = bytes ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory to read back.");
    for (ret->bytes = 0; !code && got == SEEN_BYTES; ret->bytes += (int64_t)got) {
        code = lh_file_read_at(staged->fd, bytes, SEEN_BYTES, ret->bytes, &got, err);
        if (code || !got)
            break;
        struct block block = {sum, bytes, got};
        struct lh_beside beside;
        lh_beside_start(&beside, add_block, &block);
        code = witness->see(witness->context, bytes, got, err);
        lh_beside_wait(&beside);
    }
    if (!code)
        lh_sha256_finish(sum, ret->sha256);
    lh_sha256_free(sum);
    free(bytes);
    return code;
}

static enum lh_code seal(struct storage_staged *staged, const struct storage_witness *witness,
                         struct storage_sum *ret_sum, struct lh_error *err)
{
    struct storage_sum sum;
    enum lh_code code = LH_OK;
    if ((staged->state != STAGED_FRESH && staged->state != STAGED_OPEN) ||
        (staged->is_copied && !witness))
        return lh_fail(err, LH_INTERNAL,
                       "A staged file was sealed twice, after a failure or without its witness.");
    if (staged->state == STAGED_FRESH) /* somebody else wrote it, by path */
        code = lh_file_open(staged->storage->dir, staged->name, true, &staged->fd, err);
    if (!code)
        code = lh_file_make_private(staged->fd, err);
    if (!code)
        code = lh_file_sync(staged->fd, err);
    if (!code && ret_sum)
        code = witness ? show_to(witness, staged, &sum, err) : read_back(staged, &sum, err);
    if (code)
        return give_up(staged, code);
    code = finish_open(staged, err);
    if (code)
        return give_up(staged, code);
    staged->state = STAGED_SEALED;
    if (ret_sum)
        *ret_sum = sum;
    return LH_OK;
}

enum lh_code storage_staged_seal(struct storage_staged *staged, struct storage_sum *ret_sum,
                                 struct lh_error *err)
{
    return seal(staged, NULL, ret_sum, err);
}

enum lh_code storage_staged_seal_seen(struct storage_staged *staged,
                                      const struct storage_witness *witness,
                                      struct storage_sum *ret_sum, struct lh_error *err)
{
    assert(witness && ret_sum);
    return seal(staged, witness, ret_sum, err);
}

void storage_staged_discard(struct storage_staged *staged)
{
    if (!staged)
        return;
    if (staged->state != STAGED_PUBLISHED) {
        give_up(staged, LH_OK);
        /* If that fails, the next storage_open sweeps it away. */
        if (lh_file_remove(staged->storage->dir, staged->name, NULL) != LH_OK)
            staged->state = STAGED_FAILED;
    }
    free(staged);
}

/* --- publishing ---------------------------------------------------------------------------------
 */

static enum lh_code check_target(struct storage_bucket *bucket, const struct storage_target *target,
                                 struct lh_error *err)
{
    struct key_text key;
    if (target->staged->state != STAGED_SEALED)
        return lh_fail(err, LH_INTERNAL, "A staged file was published before it was sealed.");
    enum lh_code code = key_copy(target->key, &key, err);
    return code ? code : bucket->backend->prepare(bucket, key.text, err);
}

static enum lh_code publish_one(struct storage_bucket *bucket, const struct storage_target *target,
                                bool *ret_is_unknown, struct lh_error *err)
{
    struct key_text key;
    enum lh_code code = key_copy(target->key, &key, err);
    if (!code)
        code =
            bucket->backend->publish(bucket, target->staged->name, key.text, ret_is_unknown, err);
    if (!code)
        target->staged->state = STAGED_PUBLISHED;
    return code;
}

/* True if a target before this one has the same folder. */
static bool is_settled(const struct storage_target *targets, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (lh_str_equal(key_folder(targets[i].key), key_folder(targets[index].key)))
            return true;
    }
    return false;
}

enum lh_code storage_publish(struct storage *storage, struct lh_str bucket_name,
                             const struct storage_target *targets, size_t target_count,
                             struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text key;
    bool is_unknown = false; /* nothing references these files yet: a failure is a failure */
    enum lh_code code = storage_check_writable(storage, err);
    if (!code)
        code = storage_bucket_find(storage, bucket_name, &bucket, err);
    for (size_t i = 0; !code && i < target_count; i++)
        code = check_target(bucket, &targets[i], err);
    gate_enter(bucket);
    for (size_t i = 0; !code && i < target_count; i++)
        code = publish_one(bucket, &targets[i], &is_unknown, err);
    for (size_t i = 1; bucket == &storage->primary && i < target_count; i++)
        gate_note(storage, targets[i].key);
    gate_leave(bucket, target_count ? targets[0].key : (struct lh_str){0});
    for (size_t i = 0; !code && i < target_count; i++) {
        if (is_settled(targets, i))
            continue;
        code = key_copy(targets[i].key, &key, err);
        if (!code)
            code = bucket->backend->settle(bucket, key.text, err);
    }
    return code;
}

enum lh_code storage_staged_publish(struct storage_staged *staged, struct lh_str bucket,
                                    struct lh_str key, struct lh_error *err)
{
    struct storage_target target = {.staged = staged, .key = key};
    return storage_publish(staged->storage, bucket, &target, 1, err);
}

/* --- the commit point ---------------------------------------------------------------------------
 */

static enum lh_code stage_bytes(struct storage *storage, struct lh_str bytes,
                                struct storage_staged **ret, struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    enum lh_code code = storage_stage(storage, lh_lit(".new"), &staged, err);
    assert(code || staged);
    if (!code)
        code = storage_staged_write(staged, bytes.data, bytes.len, err);
    if (!code)
        code = storage_staged_seal(staged, &sum, err); /* compares with what was written */
    if (code) {
        storage_staged_discard(staged);
        return code;
    }
    *ret = staged;
    return LH_OK;
}

static enum lh_code fail_unknown(struct lh_error *err, struct lh_str key)
{
    struct lh_error cause = LH_ERROR_NONE;
    if (err)
        cause = *err;
    lh_fail(err, LH_UNKNOWN, "Whether '%.*s' will last is not known: %s", LH_ARG(key),
            cause.message);
    lh_error_hint(err, "Restart the server: it recovers what is there.");
    return LH_UNKNOWN;
}

/* Stages the bytes, gives them their key in one step, and makes that durable. */
static enum lh_code put(struct storage *storage, struct lh_str bucket_name, struct lh_str key,
                        struct lh_str bytes, bool is_replacing, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct storage_staged *staged = NULL;
    struct key_text text;
    bool is_unknown = false;
    enum lh_code code = storage_check_writable(storage, err);
    if (code)
        goto out;
    code = storage_bucket_find(storage, bucket_name, &bucket, err);
    if (code)
        goto out;
    code = key_copy(key, &text, err);
    if (code)
        goto out;
    code = stage_bytes(storage, bytes, &staged, err);
    if (code)
        goto out;
    code = bucket->backend->prepare(bucket, text.text, err);
    gate_enter(bucket);
    if (!code)
        code = (is_replacing ? bucket->backend->replace : bucket->backend->publish)(
            bucket, staged->name, text.text, &is_unknown, err);
    gate_leave(bucket, key);
    if (code) {
        if (is_unknown)
            code = fail_unknown(err, key);
        goto out;
    }
    staged->state = STAGED_PUBLISHED;
    if (bucket->backend->settle(bucket, text.text, err) != LH_OK)
        code = fail_unknown(err, key);
out:
    storage_staged_discard(staged);
    return code;
}

enum lh_code storage_put_exclusive(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                   struct lh_str bytes, struct lh_error *err)
{
    return put(storage, bucket, key, bytes, false, err);
}

enum lh_code storage_put_replacing(struct storage *storage, struct lh_str bucket, struct lh_str key,
                                   struct lh_str bytes, struct lh_error *err)
{
    return put(storage, bucket, key, bytes, true, err);
}

enum lh_code storage_sync_folder(struct storage *storage, struct lh_str bucket_name,
                                 struct lh_str key, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct key_text text;
    enum lh_code code = storage_bucket_find(storage, bucket_name, &bucket, err);
    if (!code)
        code = key_copy(key, &text, err);
    return code ? code : bucket->backend->settle(bucket, text.text, err);
}
