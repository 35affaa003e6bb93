#include "catalog/load.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/pool.h"
#include "storage/buckets.h"

#define THREADS_MAX 4
#define OLDER_TRIES 8

static struct lh_str id_of(const struct load_item *item)
{
    return (struct lh_str){item->id, LH_UUID_TEXT_BYTES};
}

/* Not a fault of this dataset: the lake cannot be opened by us, or not now. */
static bool is_fatal(enum lh_code code)
{
    return code == LH_FORMAT || code == LH_BUSY;
}

static void fail(struct load *load, const struct lh_error *err)
{
    pthread_mutex_lock(&load->mutex);
    if (!load->code) {
        load->code = err->code;
        load->err = *err;
    }
    pthread_mutex_unlock(&load->mutex);
}

/* --- the data files that are there */

static int compare_entries(const void *key, const void *entry)
{
    return lh_str_compare(*(const struct lh_str *)key, ((const struct storage_entry *)entry)->key);
}

static void check_object(struct catalog *catalog, const struct catalog_dataset *dataset,
                         const struct catalog_object *object, struct storage_entry *entries,
                         size_t entry_count)
{
    struct lh_error err = LH_ERROR_NONE;
    struct storage_info info = {.bytes = -1};
    struct storage_entry *entry = NULL;
    if (storage_is_remote(catalog->storage, object->bucket))
        return; /* its store may be slow or away: who reads it will see */
    if (entry_count && lh_str_equal(object->bucket, STORAGE_PRIMARY))
        entry = bsearch(&object->key, entries, entry_count, sizeof *entries, compare_entries);
    if (entry) {
        info.bytes = entry->bytes;
        entry->is_folder = true; /* named by the head: no orphan */
    } else if (storage_info(catalog->storage, object->bucket, object->key, &info, &err) &&
               err.code != LH_NOT_FOUND) {
        catalog_add_file_problem(catalog, dataset, object, lh_str_of(err.message));
        return;
    }
    if (info.bytes != object->bytes) {
        if (info.bytes < 0)
            lh_fail(&err, LH_DAMAGED, "The data file '%.*s' is missing.", LH_ARG(object->key));
        else
            lh_fail(&err, LH_DAMAGED, "The data file '%.*s' has %lld bytes, not %lld.",
                    LH_ARG(object->key), (long long)info.bytes, (long long)object->bytes);
        catalog_add_file_problem(catalog, dataset, object, lh_str_of(err.message));
    }
}

static void keep_orphans(struct load *load, struct lh_str id, const struct storage_entry *entries,
                         size_t count)
{
    struct catalog *catalog = load->catalog;
    pthread_mutex_lock(&load->mutex);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].is_folder || entries[i].is_special)
            continue;
        struct orphan *orphan = lh_arena_alloc(catalog->orphan_arena, sizeof *orphan);
        orphan->key = lh_arena_str(catalog->orphan_arena, entries[i].key);
        orphan->dataset_id = lh_arena_str(catalog->orphan_arena, id);
        orphan->next = catalog->orphans;
        catalog->orphans = orphan;
    }
    pthread_mutex_unlock(&load->mutex);
}

/* Rows that were not taken lie in a folder of their own. */
static enum lh_code look_at_rejects(struct load *load, const struct load_item *item,
                                    struct lh_arena *arena, struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0;
    const struct dataset_state *state = item->head.state;
    struct lh_str folder =
        lh_arena_printf(arena, CATALOG_DATA_FOLDER "/%.*s/rejects", LH_ARG(id_of(item)));
    enum lh_code code =
        storage_list(load->catalog->storage, STORAGE_PRIMARY, folder, arena, &entries, &count, err);
    if (code || !count || item->damage)
        return code;
    for (size_t i = 0; state && i < state->view.object_count; i++)
        for (size_t k = 0; k <= state->view.objects[i]->source_count; k++) {
            struct lh_str key = object_rejects(state->view.objects[i], k);
            struct storage_entry *entry =
                key.len ? bsearch(&key, entries, count, sizeof *entries, compare_entries) : NULL;
            if (entry)
                entry->is_folder = true; /* named by the head */
        }
    keep_orphans(load, id_of(item), entries, count);
    return LH_OK;
}

static void look_at_files(struct load *load, const struct load_item *item, struct lh_arena *arena)
{
    struct storage_entry *entries = NULL;
    size_t count = 0;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str folder = lh_arena_printf(arena, CATALOG_DATA_FOLDER "/%.*s", LH_ARG(id_of(item)));
    if (storage_list(load->catalog->storage, STORAGE_PRIMARY, folder, arena, &entries, &count,
                     &err)) {
        if (item->head.state)
            catalog_add_problem(load->catalog, id_of(item), item->head.state->view.name,
                                lh_str_of(err.message));
        return;
    }
    const struct dataset_state *state = item->head.state;
    for (size_t i = 0; state && i < state->view.object_count; i++)
        check_object(load->catalog, &state->view, state->view.objects[i], entries, count);
    for (size_t i = 0; state && i < state->view.tombstone_count; i++)
        check_object(load->catalog, &state->view, state->view.tombstones[i], entries, count);
    if (!item->damage)
        keep_orphans(load, id_of(item), entries, count);
    if (look_at_rejects(load, item, arena, &err) && state)
        catalog_add_problem(load->catalog, id_of(item), state->view.name, lh_str_of(err.message));
}

/* --- the newest state */

static void note_damage(struct load *load, struct load_item *item, const struct chain_file *files,
                        size_t count, const struct lh_error *err)
{
    unsigned tries = 0;
    item->damage = lh_allocate_text(lh_str_of(err->message));
    for (size_t i = count; i > 0 && tries < OLDER_TRIES && !item->name; i--) {
        struct chain_head head = {0};
        if (files[i - 1].is_checkpoint || files[i - 1].version == item->newest_version)
            continue;
        tries++;
        if (!chain_replay(load->catalog->storage, id_of(item), files[i - 1].version, &head, NULL)) {
            item->name = lh_allocate_text(head.state->view.name);
            item->head.sequence = head.sequence;
            item->head.epoch = head.epoch;
            item->head.time_ms = head.time_ms;
            state_unref(head.state);
        }
    }
    catalog_add_problem(load->catalog, id_of(item), lh_str_of(item->name), lh_str_of(item->damage));
}

static enum lh_code load_item(struct load *load, struct load_item *item, struct lh_arena *arena,
                              struct lh_error *err)
{
    struct storage *storage = load->catalog->storage;
    struct chain_file *files = NULL;
    size_t count = 0;
    enum lh_code code = chain_list(storage, id_of(item), arena, &files, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        item->is_dataset = true;
        if (!files[i].is_checkpoint)
            item->newest_version = files[i].version;
    }
    if (!code && !item->is_dataset) /* its creator ended before the commit */
        return LH_OK;
    if (!code && !item->newest_version)
        code = lh_fail(err, LH_DAMAGED, "Only checkpoints of the dataset are left.");
    if (!code)
        code = chain_replay(storage, id_of(item), item->newest_version, &item->head, err);
    if (!code && (code = chain_check_gaps(storage, id_of(item), files, count,
                                          item->head.state->view.retained_version, err))) {
        state_unref(item->head.state);
        item->head = (struct chain_head){0};
    }
    if (!code && item->head.is_checkpoint_damaged)
        catalog_add_problem(load->catalog, id_of(item), item->head.state->view.name,
                            lh_lit("A checkpoint is damaged; the manifests below it were used."));
    if (code && !is_fatal(code)) {
        item->is_dataset = true;
        note_damage(load, item, files, count, err);
        code = LH_OK;
    }
    return code;
}

static void *run(void *context)
{
    struct load *load = context;
    struct lh_arena *arena = lh_arena_new(0);
    for (;;) {
        size_t at = atomic_fetch_add(&load->next, 1);
        if (at >= load->count)
            break;
        struct lh_error err = LH_ERROR_NONE;
        lh_arena_clear(arena);
        if (load_item(load, &load->items[at], arena, &err))
            fail(load, &err);
        else
            look_at_files(load, &load->items[at], arena);
    }
    lh_arena_free(arena);
    return NULL;
}

/* --- all of them */

static int compare_ids(const void *a, const void *b)
{
    return memcmp(((const struct load_item *)a)->id, ((const struct load_item *)b)->id,
                  LH_UUID_TEXT_BYTES);
}

static void add_ids(struct load *load, const struct storage_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].is_folder && lh_uuid_is_valid(entries[i].name))
            memcpy(load->items[load->count++].id, entries[i].name.data, LH_UUID_TEXT_BYTES);
}

/* Folders of manifests, and folders of data files that never had a manifest. */
static enum lh_code list_ids(struct load *load, struct lh_error *err)
{
    struct storage *storage = load->catalog->storage;
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *manifests = NULL, *data = NULL;
    size_t manifest_count = 0, data_count = 0, kept = 0;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(CATALOG_FOLDER), arena,
                                     &manifests, &manifest_count, err);
    if (!code)
        code = storage_list(storage, STORAGE_PRIMARY, lh_lit(CATALOG_DATA_FOLDER), arena, &data,
                            &data_count, err);
    if (!code) {
        load->items = lh_allocate(manifest_count + data_count, sizeof *load->items);
        add_ids(load, manifests, manifest_count);
        add_ids(load, data, data_count);
        qsort(load->items, load->count, sizeof *load->items, compare_ids);
        for (size_t i = 0; i < load->count; i++)
            if (!kept || compare_ids(&load->items[kept - 1], &load->items[i]) != 0)
                load->items[kept++] = load->items[i];
        load->count = kept;
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code load_all(struct catalog *catalog, struct load *ret, struct lh_error *err)
{
    pthread_t threads[THREADS_MAX];
    size_t started = 0;
    *ret = (struct load){.catalog = catalog};
    pthread_mutex_init(&ret->mutex, NULL);
    enum lh_code code = list_ids(ret, err);
    if (code)
        return code;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = processors > 1 ? (size_t)processors - 1 : 0;
    if (wanted > THREADS_MAX)
        wanted = THREADS_MAX;
    if (ret->count < 32)
        wanted = 0;
    while (started < wanted && !lh_thread_start("catalog-open", run, ret, &threads[started], NULL))
        started++;
    ret->loaded_count = ret->count;
    run(ret);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (ret->code && err)
        *err = ret->err;
    return ret->code;
}

static int compare_id(const void *id, const void *item)
{
    return memcmp(id, ((const struct load_item *)item)->id, LH_UUID_TEXT_BYTES);
}

/* At the end, so that those that were loaded stay sorted for bsearch. */
static struct load_item *add_item(struct load *load, struct lh_str id)
{
    struct load_item *items = lh_allocate(load->count + 1, sizeof *items);
    if (load->count)
        memcpy(items, load->items, load->count * sizeof *items);
    free(load->items);
    load->items = items;
    memcpy(items[load->count].id, id.data, LH_UUID_TEXT_BYTES);
    return &items[load->count++];
}

void load_expect(struct catalog *catalog, struct load *load, struct lh_str id, int64_t version)
{
    struct lh_error err = LH_ERROR_NONE;
    struct load_item *item =
        load->count ? bsearch(id.data, load->items, load->loaded_count, sizeof *item, compare_id)
                    : NULL;
    if (!item)
        item = add_item(load, id);
    if (item->newest_version >= version)
        return;
    item->newest_version = version;
    item->is_dataset = true;
    if (item->damage)
        return;
    lh_fail(&err, LH_DAMAGED,
            "Version %lld of the dataset, which was there at the last clean end, is missing.",
            (long long)version);
    item->damage = lh_allocate_text(lh_str_of(err.message));
    if (item->head.state)
        item->name = lh_allocate_text(item->head.state->view.name);
    state_unref(item->head.state);
    item->head.state = NULL;
    catalog_add_problem(catalog, id, lh_str_of(item->name), lh_str_of(item->damage));
}

void load_release(struct load *load)
{
    for (size_t i = 0; i < load->count; i++) {
        state_unref(load->items[i].head.state);
        free(load->items[i].damage);
        free(load->items[i].name);
    }
    free(load->items);
    pthread_mutex_destroy(&load->mutex);
}
