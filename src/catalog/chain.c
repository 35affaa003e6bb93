#include <assert.h>
#include <stdlib.h>

#include "catalog/internal.h"

struct lh_str catalog_folder_of(struct lh_str dataset_id, struct lh_arena *arena)
{
    return lh_arena_printf(arena, CATALOG_FOLDER "/%.*s", LH_ARG(dataset_id));
}

static int compare_files(const void *a, const void *b)
{
    const struct chain_file *x = a, *y = b;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return (int)x->is_checkpoint - (int)y->is_checkpoint;
}

enum lh_code chain_list(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                        struct chain_file **ret, size_t *ret_count, struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t entry_count = 0, count = 0;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, catalog_folder_of(id, arena), arena,
                                     &entries, &entry_count, err);
    if (code)
        return code;
    struct chain_file *files = lh_arena_array(arena, entry_count + 1, sizeof *files);
    for (size_t i = 0; i < entry_count; i++)
        if (manifest_version_of_name(entries[i].name, &files[count].version,
                                     &files[count].is_checkpoint))
            count++;
    qsort(files, count, sizeof *files, compare_files);
    *ret = files;
    *ret_count = count;
    return LH_OK;
}

enum lh_code chain_read(struct storage *storage, struct lh_str id, struct chain_file file,
                        struct lh_arena *arena, struct manifest *ret, struct lh_error *err)
{
    struct lh_str bytes = {0};
    struct manifest manifest;
    struct lh_str key = manifest_key(id, file.version, file.is_checkpoint, arena);
    enum lh_code code =
        storage_get(storage, STORAGE_PRIMARY, key, MANIFEST_BYTES_MAX, arena, &bytes, err);
    if (code)
        return code;
    code = manifest_decode(bytes, key, arena, &manifest, err);
    if (code)
        return code;
    if (!lh_str_equal(manifest.dataset_id, id) || manifest.version != file.version ||
        manifest.is_checkpoint != file.is_checkpoint)
        return lh_fail(err, LH_DAMAGED, "%.*s holds version %lld of dataset %.*s.", LH_ARG(key),
                       (long long)manifest.version, LH_ARG(manifest.dataset_id));
    *ret = manifest;
    return LH_OK;
}

/* The manifests from the head down to where replay starts, newest first. */
struct replay {
    struct storage *storage;
    struct lh_str id;
    struct lh_arena *arena;
    struct manifest *items;
    size_t count, capacity;
    struct manifest checkpoint;
    struct manifest_ref checkpoint_ref; /* of it, once it is known to be good */
    bool has_checkpoint;
    bool is_checkpoint_damaged; /* that one, or one above it */
};

static bool is_same_ref(const struct manifest_ref *a, const struct manifest_ref *b)
{
    return a->version == b->version && memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

/* A checkpoint that cannot be used is passed over: the manifests below it, down to the next older
 * checkpoint, say the same. */
static enum lh_code use_checkpoint(struct replay *replay, const struct manifest_ref *wanted,
                                   const struct manifest_ref *parent, struct lh_error *err)
{
    struct chain_file file = {wanted->version, true};
    struct manifest *checkpoint = &replay->checkpoint;
    enum lh_code code =
        chain_read(replay->storage, replay->id, file, replay->arena, checkpoint, err);
    if (code && code != LH_DAMAGED && code != LH_NOT_FOUND)
        return code;
    replay->has_checkpoint =
        !code && memcmp(checkpoint->sha256, wanted->sha256, sizeof wanted->sha256) == 0 &&
        is_same_ref(&checkpoint->parent, parent);
    replay->is_checkpoint_damaged = replay->is_checkpoint_damaged || !replay->has_checkpoint;
    replay->checkpoint_ref = *wanted;
    return LH_OK;
}

static struct manifest *push(struct replay *replay)
{
    if (replay->count == replay->capacity) {
        size_t capacity = replay->capacity ? replay->capacity * 2 : 16;
        struct manifest *items = lh_arena_array(replay->arena, capacity, sizeof *items);
        if (replay->count)
            memcpy(items, replay->items, replay->count * sizeof *items);
        replay->items = items;
        replay->capacity = capacity;
    }
    return &replay->items[replay->count++];
}

static enum lh_code read_down(struct replay *replay, int64_t version, struct lh_error *err)
{
    struct manifest_ref wanted = {.version = version}, checkpoint = {0};
    while (wanted.version) {
        struct manifest *item = push(replay);
        struct chain_file file = {wanted.version, false};
        enum lh_code code = chain_read(replay->storage, replay->id, file, replay->arena, item, err);
        if (code == LH_NOT_FOUND && replay->count > 1)
            return lh_fail(err, LH_DAMAGED, "Version %lld of the dataset is missing.",
                           (long long)wanted.version);
        if (code)
            return code;
        bool is_newest = replay->count == 1;
        if (!checkpoint.version) /* of the newest; or the next older than one that is damaged */
            checkpoint = item->checkpoint;
        if (!is_newest && memcmp(item->sha256, wanted.sha256, sizeof wanted.sha256) != 0)
            return lh_fail(
                err, LH_DAMAGED,
                "Version %lld of the dataset is not the one that the next was made from.",
                (long long)wanted.version);
        wanted = item->parent;
        if (wanted.version && wanted.version == checkpoint.version) {
            code = use_checkpoint(replay, &checkpoint, &wanted, err);
            if (code || replay->has_checkpoint)
                return code;
            checkpoint.version = 0;
        }
    }
    return LH_OK;
}

static enum lh_code replay_up(struct replay *replay, struct chain_head *ret, struct lh_error *err)
{
    struct dataset_state *state = NULL, *next = NULL;
    enum lh_code code = LH_OK;
    if (replay->has_checkpoint) {
        code = state_apply(NULL, &replay->checkpoint, &state, err);
        if (!code)
            code = state_check(state, &replay->checkpoint, err);
    }
    for (size_t i = replay->count; !code && i > 0; i--) {
        const struct manifest *manifest = &replay->items[i - 1];
        code = state_apply(state, manifest, &next, err);
        if (code)
            break;
        state_unref(state);
        state = next;
        code = state_check(state, manifest, err);
        ret->changes_since_checkpoint += (int64_t)(manifest->added.count + manifest->removed.count);
    }
    if (code)
        state_unref(state);
    else
        ret->state = state;
    return code;
}

enum lh_code chain_replay(struct storage *storage, struct lh_str id, int64_t version,
                          struct chain_head *ret, struct lh_error *err)
{
    struct replay replay = {.storage = storage, .id = id, .arena = lh_arena_new(0)};
    struct chain_head head = {0};
    enum lh_code code = read_down(&replay, version, err);
    if (!code)
        code = replay_up(&replay, &head, err);
    if (!code) {
        const struct manifest *newest = &replay.items[0];
        assert(newest && replay.count); /* reading down begins with the version asked for */
        head.head.version = newest->version;
        memcpy(head.head.sha256, newest->sha256, sizeof newest->sha256);
        head.parent = newest->parent;
        head.epoch = newest->epoch;
        head.sequence = newest->sequence;
        head.time_ms = newest->time_ms;
        head.versions_since_checkpoint = (int64_t)replay.count;
        head.is_checkpoint_damaged = replay.is_checkpoint_damaged;
        if (replay.has_checkpoint)
            head.checkpoint = replay.checkpoint_ref;
        *ret = head;
    }
    lh_arena_free(replay.arena);
    return code;
}

enum lh_code chain_check_gaps(struct storage *storage, struct lh_str id,
                              const struct chain_file *files, size_t file_count, int64_t retained,
                              struct lh_error *err)
{
    int64_t wanted = retained ? retained : 1; /* the next that must be there */
    struct lh_arena *arena = NULL;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < file_count && !code; i++) {
        int64_t version = files[i].version;
        if (files[i].is_checkpoint || version < wanted)
            continue;
        /* Only a version that replaces the missing ones may stand above them. */
        if (version > wanted) {
            struct manifest manifest = {0};
            if (!arena)
                arena = lh_arena_new(0);
            code = chain_read(storage, id, files[i], arena, &manifest, err);
            if (!code && manifest.parent.version >= wanted)
                code = lh_fail(err, LH_DAMAGED, "Version %lld of the dataset is missing.",
                               (long long)wanted);
        }
        wanted = version + 1;
    }
    lh_arena_free(arena);
    return code;
}
