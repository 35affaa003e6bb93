/* What a backup must know of indexes in other buckets: which files there belong to its moment.
 *
 * At the moment a manifest may be durable that its writer has not shown to anybody yet. So the
 * newest one on disk counts. */
#include <stdlib.h>

#include "search/entries.h"
#include "search/ledger.h"
#include "search/place.h"
#include "storage/backup.h"

struct search_moment {
    struct storage *storage;
    struct index_manifest **manifests;
    size_t count;
};

/* Most have not changed a moment ago: then nothing is read. */
static enum lh_code take_newest(struct search *search, struct index_manifest **manifest,
                                struct lh_arena *arena, struct lh_error *err)
{
    struct storage *storage = search->options.storage;
    struct index_manifest *head = *manifest, *newest = NULL;
    struct storage_info info;
    int64_t lowest = 0;
    struct lh_str later = index_manifest_key(head->id, head->version + 1, arena);
    enum lh_code code = storage_info(storage, STORAGE_PRIMARY, later, &info, err);
    if (code)
        return code == LH_NOT_FOUND ? LH_OK : code;
    code = index_read_newest(storage, head->id, arena, &newest, &lowest, err);
    if (code)
        return code;
    *manifest = newest;
    index_manifest_unref(head);
    return LH_OK;
}

enum lh_code search_moment_new(struct search *search, struct search_moment **ret,
                               struct lh_error *err)
{
    struct search_moment *moment = lh_allocate(1, sizeof *moment);
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = LH_OK;
    moment->storage = search->options.storage;
    registry_heads(search, &moment->manifests, &moment->count);
    for (size_t i = 0; i < moment->count && !code; i++)
        code = take_newest(search, &moment->manifests[i], arena, err);
    lh_arena_free(arena);
    if (code)
        search_moment_free(moment);
    else
        *ret = moment;
    return code;
}

void search_moment_free(struct search_moment *moment)
{
    if (!moment)
        return;
    for (size_t i = 0; i < moment->count; i++)
        index_manifest_unref(moment->manifests[i]);
    free(moment->manifests);
    free(moment);
}

struct placing {
    struct lh_arena *arena;
    struct lh_str bucket;
    struct storage_placed *items;
    size_t count, capacity;
};

static struct storage_placed *add(struct placing *placing, struct lh_str key)
{
    if (placing->count == placing->capacity) {
        size_t capacity = placing->capacity ? placing->capacity * 2 : 32;
        struct storage_placed *items = lh_arena_array(placing->arena, capacity, sizeof *items);
        if (placing->count)
            memcpy(items, placing->items, placing->count * sizeof *items);
        placing->items = items;
        placing->capacity = capacity;
    }
    struct storage_placed *placed = &placing->items[placing->count++];
    *placed = (struct storage_placed){.bucket = placing->bucket,
                                      .key = lh_arena_str(placing->arena, key)};
    return placed;
}

static void add_file(void *context, const struct index_object *object)
{
    struct storage_placed *placed = add(context, object->key);
    struct storage_sum sum = {.bytes = object->bytes};
    placed->bytes = object->bytes;
    if (object_sum(object, &sum))
        memcpy(placed->sha256, sum.sha256, sizeof placed->sha256);
}

/* One that is replaced or merged away meanwhile is taken as it is when it is read. */
static enum lh_code add_records(const struct search_moment *moment, const char *folder,
                                struct lh_str id, struct placing *placing, struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(moment->storage, placing->bucket,
                                     lh_arena_printf(placing->arena, "%s/%.*s", folder, LH_ARG(id)),
                                     placing->arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_str text = {0};
        if (entries[i].is_folder || entries[i].is_special)
            continue;
        code = storage_get(moment->storage, placing->bucket, entries[i].key, LEDGER_BYTES_MAX,
                           placing->arena, &text, err);
        if (!code) {
            struct storage_placed *placed = add(placing, entries[i].key);
            placed->text = text;
            placed->bytes = (int64_t)text.len;
        }
        code = code == LH_NOT_FOUND ? LH_OK : code;
    }
    return code;
}

enum lh_code search_moment_list(const struct search_moment *moment, struct lh_arena *arena,
                                struct storage_placed **ret, size_t *ret_count,
                                struct lh_error *err)
{
    static const char *const folders[] = {SEARCH_TUNING_FOLDERS};
    struct placing placing = {.arena = arena};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < moment->count && !code; i++) {
        const struct index_manifest *manifest = moment->manifests[i];
        if (!manifest->bucket.len || manifest->is_deleted)
            continue;
        placing.bucket = lh_arena_str(arena, manifest->bucket);
        index_each_file(manifest, add_file, &placing);
        for (size_t k = 0; k < sizeof folders / sizeof folders[0] && !code; k++)
            code = add_records(moment, folders[k], manifest->id, &placing, err);
    }
    *ret = placing.items;
    *ret_count = placing.count;
    return code;
}
