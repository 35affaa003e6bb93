#include "catalog/moment.h"

#include <assert.h>
#include <stdlib.h>

#include "catalog/internal.h"

struct file_sum { /* a key has the same bytes wherever it is moved */
    struct lh_str key;
    uint8_t sha256[LH_SHA256_BYTES];
};

struct catalog_moment {
    struct catalog *catalog;
    struct catalog_snapshot *snapshot; /* NULL: not taken yet */
    struct lh_arena *arena;
    struct file_sum *sums; /* sorted by key */
    size_t sum_count, sum_capacity;
    bool has_sums;
};

struct catalog_moment *catalog_moment_new(struct catalog *catalog)
{
    struct catalog_moment *moment = lh_allocate(1, sizeof *moment);
    moment->catalog = catalog;
    moment->arena = lh_arena_new(0);
    return moment;
}

/* The copy begins with the note that a writer that ends cleanly at that moment leaves. */
static enum lh_code take(void *context, struct lh_arena *arena, uint64_t *ret_sequence,
                         const struct storage_document **ret, size_t *ret_count,
                         struct lh_error *err)
{
    struct catalog_moment *moment = context;
    struct catalog *catalog = moment->catalog;
    assert(!moment->snapshot);
    pthread_mutex_lock(&catalog->queue_mutex);
    enum lh_code stopped = catalog->stopped;
    pthread_mutex_unlock(&catalog->queue_mutex);
    if (stopped) {
        lh_fail(err, stopped,
                "Writing to this lake has stopped: what is on its disk may not be "
                "what was acknowledged.");
        return lh_error_hint(err, "Restart the server: it recovers on opening.");
    }
    struct storage_document *note = lh_arena_alloc(arena, sizeof *note);
    moment->snapshot = catalog_snapshot_ref(catalog);
    enum lh_code code =
        epoch_note_of(catalog, moment->snapshot, arena, &note->key, &note->bytes, err);
    if (code)
        return code;
    *ret_sequence = moment->snapshot->sequence;
    *ret = note;
    *ret_count = 1;
    return LH_OK;
}

/* False for manifests and data files that came later. True for what is none of the catalog's. */
static bool has(void *context, struct lh_str bucket, struct lh_str key)
{
    const struct catalog_moment *moment = context;
    struct lh_str rest = key;
    (void)bucket;
    bool is_manifest = lh_str_starts_with(key, lh_lit(CATALOG_FOLDER "/"));
    if (is_manifest)
        rest = lh_str_slice(key, sizeof CATALOG_FOLDER, key.len);
    else if (lh_str_starts_with(key, lh_lit(CATALOG_DATA_FOLDER "/")))
        rest = lh_str_slice(key, sizeof CATALOG_DATA_FOLDER, key.len);
    else
        return true;
    struct lh_str id = lh_str_cut(&rest, '/');
    if (!lh_uuid_is_valid(id))
        return true;
    size_t place = snapshot_find_id(moment->snapshot, id);
    if (place == SIZE_MAX)
        return false;
    const struct dataset_state *state = moment->snapshot->items[place];
    int64_t version = 0;
    bool is_checkpoint = false;
    return !is_manifest || state->damage ||
           !manifest_version_of_name(rest, &version, &is_checkpoint) ||
           version <= state->view.version;
}

/* --- sums */

static void add_sum(struct catalog_moment *moment, const struct catalog_object *object)
{
    if (moment->sum_count == moment->sum_capacity) {
        size_t capacity = moment->sum_capacity ? moment->sum_capacity * 2 : 256;
        struct file_sum *sums = lh_allocate(capacity, sizeof *sums);
        if (moment->sum_count)
            memcpy(sums, moment->sums, moment->sum_count * sizeof *sums);
        free(moment->sums);
        moment->sums = sums;
        moment->sum_capacity = capacity;
    }
    struct file_sum *sum = &moment->sums[moment->sum_count++];
    sum->key = lh_arena_str(moment->arena, object->key);
    memcpy(sum->sha256, object->sha256, sizeof sum->sha256);
}

static int compare_sums(const void *a, const void *b)
{
    return lh_str_compare(((const struct file_sum *)a)->key, ((const struct file_sum *)b)->key);
}

/* A manifest that cannot be read says nothing of its files: they are copied as they are, and so is
 * it. */
static void add_dataset(struct catalog_moment *moment, struct lh_str id)
{
    struct lh_arena *arena = lh_arena_new(0), *scratch = lh_arena_new(0);
    struct chain_file *files = NULL;
    size_t count = 0;
    if (!chain_list(moment->catalog->storage, id, arena, &files, &count, NULL)) {
        for (size_t i = 0; i < count; i++) {
            struct manifest manifest;
            lh_arena_clear(scratch);
            if (chain_read(moment->catalog->storage, id, files[i], scratch, &manifest, NULL))
                continue;
            for (size_t k = 0; k < manifest.added.count; k++)
                add_sum(moment, &manifest.added.items[k]);
            for (size_t k = 0; k < manifest.tombstones_added.count; k++)
                add_sum(moment, &manifest.tombstones_added.items[k]);
        }
    }
    lh_arena_free(scratch);
    lh_arena_free(arena);
}

static void read_sums(struct catalog_moment *moment)
{
    for (size_t i = 0; i < moment->snapshot->item_count; i++)
        add_dataset(moment, moment->snapshot->items[i]->view.id);
    if (moment->sum_count)
        qsort(moment->sums, moment->sum_count, sizeof *moment->sums, compare_sums);
    moment->has_sums = true;
}

/* What a kept version says, in whatever bucket the file is. The first call reads all manifests. */
static bool sum_of(void *context, struct lh_str bucket, struct lh_str key,
                   uint8_t ret[LH_SHA256_BYTES])
{
    struct catalog_moment *moment = context;
    (void)bucket;
    const struct file_sum wanted = {.key = key};
    if (!moment->has_sums)
        read_sums(moment);
    const struct file_sum *found =
        moment->sum_count
            ? bsearch(&wanted, moment->sums, moment->sum_count, sizeof wanted, compare_sums)
            : NULL;
    if (found)
        memcpy(ret, found->sha256, sizeof found->sha256);
    return found;
}

/* Those of versions that can be read; of damaged datasets nothing is known. What expires meanwhile
 * may be missing when it is looked for. */
static enum lh_code elsewhere(void *context, struct lh_arena *arena,
                              const struct storage_placed **ret, size_t *ret_count,
                              struct lh_error *err)
{
    struct catalog_moment *moment = context;
    struct storage_placed *all = NULL;
    size_t count = 0, capacity = 0;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < moment->snapshot->item_count && !code; i++) {
        struct storage_placed *found = NULL;
        size_t found_count = 0;
        if (moment->snapshot->items[i]->damage)
            continue;
        code = move_list_elsewhere(moment->catalog, moment->snapshot->items[i], arena, &found,
                                   &found_count, err);
        if (code || !found_count)
            continue;
        if (count + found_count > capacity) {
            capacity = 2 * (count + found_count);
            struct storage_placed *grown = lh_arena_array(arena, capacity, sizeof *grown);
            if (count)
                memcpy(grown, all, count * sizeof *grown);
            all = grown;
        }
        memcpy(all + count, found, found_count * sizeof *found);
        count += found_count;
    }
    *ret = all;
    *ret_count = count;
    return code;
}

struct storage_backup_source catalog_moment_source(struct catalog_moment *moment)
{
    return (struct storage_backup_source){moment, take, has, sum_of, elsewhere};
}

void catalog_moment_free(struct catalog_moment *moment)
{
    if (!moment)
        return;
    catalog_snapshot_unref(moment->snapshot);
    lh_arena_free(moment->arena);
    free(moment->sums);
    free(moment);
}
