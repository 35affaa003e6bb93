#include "base/clock.h"
#include "catalog/tombstone_internal.h"

void publish_prepare(struct catalog *catalog, size_t place, struct lh_str dataset_id,
                     struct manifest *ret)
{
    int64_t now_ms = lh_clock_unix_ms();
    *ret = (struct manifest){
        .dataset_id = dataset_id,
        .version = 1,
        .sequence = catalog->sequence + 1,
        .epoch = catalog->epoch,
        /* Clocks only decorate, but time travel wants times that never go back. */
        .time_ms = now_ms > catalog->time_ms ? now_ms : catalog->time_ms,
    };
    if (place < catalog->slot_count) {
        const struct chain_head *head = &catalog->slots[place].head;
        ret->version = head->head.version + 1;
        ret->parent = head->head;
        ret->checkpoint = head->checkpoint;
    }
}

void catalog_stop_writing(struct catalog *catalog, enum lh_code why)
{
    pthread_mutex_lock(&catalog->queue_mutex);
    if (!catalog->stopped)
        catalog->stopped = why;
    pthread_mutex_unlock(&catalog->queue_mutex);
}

/* It takes away and brings nothing: that must be possible on a full disk. */
static bool is_vital(const struct manifest *manifest)
{
    return !manifest->is_checkpoint && !manifest->added.count &&
           (manifest->set_bits & (MANIFEST_SET_DELETED | MANIFEST_SET_RETAINED) ||
            manifest->removes_all || manifest->removed.count || manifest->tombstones_added.count ||
            manifest->tombstones_removed.count);
}

static enum lh_code put_manifest(struct catalog *catalog, struct manifest *manifest,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf buf;
    lh_buf_init(&buf, MANIFEST_BYTES_MAX);
    enum lh_code code = manifest_encode(manifest, &buf, err);
    if (!code)
        code = (is_vital(manifest) ? storage_put_vital : storage_put_exclusive)(
            catalog->storage, STORAGE_PRIMARY,
            manifest_key(manifest->dataset_id, manifest->version, manifest->is_checkpoint, arena),
            lh_buf_str(&buf), err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    if (code == LH_UNKNOWN)
        catalog_stop_writing(catalog, LH_UNKNOWN);
    return code;
}

static void advance(struct slot *slot, struct dataset_state *state, const struct manifest *manifest)
{
    struct chain_head *head = &slot->head;
    head->state = state;
    head->head.version = manifest->version;
    memcpy(head->head.sha256, manifest->sha256, sizeof manifest->sha256);
    head->parent = manifest->parent;
    head->epoch = manifest->epoch;
    head->sequence = manifest->sequence;
    head->time_ms = manifest->time_ms;
    head->versions_since_checkpoint++;
    head->changes_since_checkpoint += (int64_t)(manifest->added.count + manifest->removed.count);
}

enum lh_code publish_version(struct catalog *catalog, size_t place, struct dataset_state *parent,
                             struct manifest *manifest, struct lh_error *err)
{
    struct dataset_state *state = NULL;
    enum lh_code code = epoch_check(catalog, err);
    if (code)
        return code;
    /* Made before the commit point: nothing that could fail comes after it. */
    code = state_apply(parent, manifest, &state, err);
    if (code)
        return code;
    manifest->row_count = state->view.row_count;
    manifest->byte_count = state->view.byte_count;
    manifest->object_count = (int64_t)state->view.object_count;
    manifest->has_key_columns = tombstone_column_count(&state->view) > 1;
    code = put_manifest(catalog, manifest, err);
    if (code) {
        state_unref(state);
        return code;
    }
    if (place == catalog->slot_count)
        place = catalog_add_slot(catalog, manifest->dataset_id);
    advance(&catalog->slots[place], state, manifest);
    catalog_show(catalog, place, state, manifest->sequence, manifest->time_ms);
    fulfilled_add(catalog, manifest);
    if (catalog->options.on_commit)
        catalog->options.on_commit(catalog->options.context, manifest->sequence);
    return LH_OK;
}

/* Often enough that opening reads few files; seldom enough that a large dataset is not written
 * again with every small change. */
static bool is_checkpoint_due(const struct catalog *catalog, const struct chain_head *head)
{
    int64_t every = catalog->options.checkpoint_every;
    int64_t objects = (int64_t)head->state->view.object_count;
    return head->versions_since_checkpoint >= every &&
           (head->changes_since_checkpoint * 4 >= objects ||
            head->versions_since_checkpoint >= 16 * every);
}

void publish_checkpoint(struct catalog *catalog, size_t place, bool is_wanted)
{
    struct chain_head *head = &catalog->slots[place].head;
    if (!head->state || (!is_wanted && !is_checkpoint_due(catalog, head)))
        return;
    struct lh_arena *arena = lh_arena_new(0);
    struct manifest manifest, found;
    state_to_checkpoint(head->state, arena, &manifest);
    manifest.epoch = catalog->epoch;
    manifest.parent = head->head;
    enum lh_code code = put_manifest(catalog, &manifest, NULL);
    if (code == LH_EXISTS) { /* of a writer that ended before it could refer to it */
        struct chain_file file = {manifest.version, true};
        code = chain_read(catalog->storage, manifest.dataset_id, file, arena, &found, NULL);
        if (!code && memcmp(found.parent.sha256, head->head.sha256, LH_SHA256_BYTES) != 0)
            code = LH_DAMAGED;
        if (!code)
            memcpy(manifest.sha256, found.sha256, sizeof found.sha256);
    }
    if (!code) {
        head->checkpoint.version = manifest.version;
        memcpy(head->checkpoint.sha256, manifest.sha256, sizeof manifest.sha256);
        head->versions_since_checkpoint = 0;
        head->changes_since_checkpoint = 0;
    }
    lh_arena_free(arena);
}
