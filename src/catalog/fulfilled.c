#include <stdlib.h>

#include "catalog/internal.h"

/* What jobs and idempotency keys did, so that a repetition finds the first result. The truth is in
 * the manifests; this is what was read of them. Manifests of earlier sessions are read when first
 * somebody asks, not at open. Time is measured from the newest commit, not from now: a lake that
 * was off for a week still knows what it did last. */

struct fulfilled_entry {
    struct fulfilled_entry *next;  /* in its bucket of the table */
    struct fulfilled_entry *newer; /* in order of addition */
    char *key;
    char *result;
    size_t key_len, result_len;
    char request_hash[LH_SHA256_HEX_BYTES];
    size_t request_hash_len;
    bool has_result;
    char dataset_id[LH_UUID_TEXT_BYTES];
    struct lh_uuid uuid;
    int64_t version, time_ms;
    uint64_t sequence;
};

#define BUCKETS_AT_FIRST 256

void fulfilled_init(struct fulfilled *fulfilled, int64_t keep_ms)
{
    pthread_mutex_init(&fulfilled->mutex, NULL);
    fulfilled->keep_ms = keep_ms;
    fulfilled->bucket_count = BUCKETS_AT_FIRST;
    fulfilled->table = lh_allocate(BUCKETS_AT_FIRST, sizeof *fulfilled->table);
}

static void entry_free(struct fulfilled_entry *entry)
{
    free(entry->key);
    free(entry->result);
    free(entry);
}

void fulfilled_release(struct fulfilled *fulfilled)
{
    while (fulfilled->oldest) {
        struct fulfilled_entry *entry = fulfilled->oldest;
        fulfilled->oldest = entry->newer;
        entry_free(entry);
    }
    free(fulfilled->table);
    pthread_mutex_destroy(&fulfilled->mutex);
}

static struct fulfilled_entry **bucket_of(struct fulfilled *fulfilled, struct lh_str key)
{
    return &fulfilled->table[lh_str_hash(key) & (fulfilled->bucket_count - 1)];
}

static struct lh_str key_of(const struct fulfilled_entry *entry)
{
    return (struct lh_str){entry->key, entry->key_len};
}

static struct fulfilled_entry *find(struct fulfilled *fulfilled, struct lh_str key)
{
    struct fulfilled_entry *entry = *bucket_of(fulfilled, key);
    while (entry && !lh_str_equal(key_of(entry), key))
        entry = entry->next;
    return entry;
}

static void grow(struct fulfilled *fulfilled)
{
    free(fulfilled->table);
    fulfilled->bucket_count *= 2;
    fulfilled->table = lh_allocate(fulfilled->bucket_count, sizeof *fulfilled->table);
    for (struct fulfilled_entry *entry = fulfilled->oldest; entry; entry = entry->newer) {
        struct fulfilled_entry **bucket = bucket_of(fulfilled, key_of(entry));
        entry->next = *bucket;
        *bucket = entry;
    }
}

static void forget_old(struct fulfilled *fulfilled, int64_t newest_ms)
{
    while (fulfilled->oldest && fulfilled->oldest->time_ms < newest_ms - fulfilled->keep_ms) {
        struct fulfilled_entry *entry = fulfilled->oldest;
        struct fulfilled_entry **link = bucket_of(fulfilled, key_of(entry));
        while (*link != entry)
            link = &(*link)->next;
        *link = entry->next;
        fulfilled->oldest = entry->newer;
        if (!fulfilled->oldest)
            fulfilled->newest = NULL;
        fulfilled->count--;
        entry_free(entry);
    }
}

static void add(struct fulfilled *fulfilled, struct lh_str key, const struct manifest *manifest,
                const struct catalog_commit_info *commit)
{
    if (find(fulfilled, key))
        return;
    struct fulfilled_entry *entry = lh_allocate(1, sizeof *entry);
    entry->key = lh_allocate_text(key);
    entry->key_len = key.len;
    entry->result = lh_allocate_text(commit->result);
    entry->result_len = commit->result.len;
    entry->has_result = commit->result.data != NULL;
    if (commit->request_hash.len && commit->request_hash.len <= sizeof entry->request_hash) {
        memcpy(entry->request_hash, commit->request_hash.data, commit->request_hash.len);
        entry->request_hash_len = commit->request_hash.len;
    }
    memcpy(entry->dataset_id, manifest->dataset_id.data, sizeof entry->dataset_id);
    memcpy(entry->uuid.text, commit->uuid.data,
           commit->uuid.len < LH_UUID_TEXT_BYTES ? commit->uuid.len : LH_UUID_TEXT_BYTES);
    entry->version = manifest->version;
    entry->sequence = manifest->sequence;
    entry->time_ms = manifest->time_ms;
    if (++fulfilled->count > 2 * fulfilled->bucket_count)
        grow(fulfilled);
    struct fulfilled_entry **bucket = bucket_of(fulfilled, key);
    entry->next = *bucket;
    *bucket = entry;
    if (fulfilled->newest)
        fulfilled->newest->newer = entry;
    else
        fulfilled->oldest = entry;
    fulfilled->newest = entry;
}

static struct lh_str prefixed(char prefix, struct lh_str text, struct lh_arena *arena)
{
    return lh_arena_printf(arena, "%c:%.*s", prefix, LH_ARG(text));
}

static void add_manifest(struct fulfilled *fulfilled, const struct manifest *manifest,
                         struct lh_arena *arena)
{
    for (size_t i = 0; i < manifest->commit_count; i++) {
        const struct catalog_commit_info *commit = &manifest->commits[i];
        if (commit->job_id.len)
            add(fulfilled, prefixed('j', commit->job_id, arena), manifest, commit);
        if (commit->idempotency_key.len)
            add(fulfilled, prefixed('k', commit->idempotency_key, arena), manifest, commit);
    }
}

void fulfilled_add(struct catalog *catalog, const struct manifest *manifest)
{
    struct fulfilled *fulfilled = &catalog->fulfilled;
    struct lh_arena *arena = lh_arena_new(0);
    pthread_mutex_lock(&fulfilled->mutex);
    add_manifest(fulfilled, manifest, arena);
    forget_old(fulfilled, manifest->time_ms);
    pthread_mutex_unlock(&fulfilled->mutex);
    lh_arena_free(arena);
}

/* What lies below a damaged manifest cannot be reached: that is reported elsewhere. */
static enum lh_code load_dataset(struct catalog *catalog, const struct catalog_dataset *dataset,
                                 int64_t since_ms, struct lh_arena *arena, struct lh_error *err)
{
    int64_t version = dataset->updated_ms >= since_ms ? dataset->version : 0;
    while (version) {
        struct manifest manifest;
        struct chain_file file = {version, false};
        lh_arena_clear(arena);
        enum lh_code code = chain_read(catalog->storage, dataset->id, file, arena, &manifest, err);
        if (code == LH_NOT_FOUND || code == LH_DAMAGED)
            return LH_OK;
        if (code)
            return code;
        if (manifest.time_ms < since_ms)
            return LH_OK;
        add_manifest(&catalog->fulfilled, &manifest, arena);
        version = manifest.parent.version;
    }
    return LH_OK;
}

static enum lh_code load(struct catalog *catalog, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct lh_arena *arena = lh_arena_new(0);
    int64_t since_ms = snapshot->time_ms - catalog->fulfilled.keep_ms;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < snapshot->item_count && !code; i++)
        if (!snapshot->items[i]->damage)
            code = load_dataset(catalog, &snapshot->items[i]->view, since_ms, arena, err);
    catalog->fulfilled.is_loaded = code == LH_OK;
    lh_arena_free(arena);
    catalog_snapshot_unref(snapshot);
    return code;
}

static void tell(const struct fulfilled_entry *entry, struct lh_arena *arena,
                 struct catalog_commit_result *ret)
{
    struct lh_str id = {entry->dataset_id, sizeof entry->dataset_id};
    struct lh_str result = {entry->result, entry->result_len};
    *ret = (struct catalog_commit_result){
        .dataset_id = lh_arena_str(arena, id),
        .version = entry->version,
        .sequence = entry->sequence,
        .time_ms = entry->time_ms,
        .uuid = entry->uuid,
        .is_repeat = true,
        .result = entry->has_result ? lh_arena_str(arena, result) : (struct lh_str){0},
    };
}

/* Manifests of earlier releases keep no hash: their keys are taken as they come. */
static enum lh_code check_request(const struct fulfilled_entry *entry, struct lh_str request_hash,
                                  struct lh_error *err)
{
    struct lh_str first = {entry->request_hash, entry->request_hash_len};
    if (!first.len || lh_str_equal(first, request_hash))
        return LH_OK;
    lh_fail(err, LH_KEY_REUSED, "This Idempotency-Key came before, with another request.");
    return lh_error_hint(err, "Send every request with a key of its own; only a repetition of the "
                              "same request has the same key.");
}

enum lh_code catalog_fulfilled(struct catalog *catalog, struct lh_str job_id,
                               struct lh_str idempotency_key, struct lh_str request_hash,
                               struct lh_arena *arena, bool *ret_found,
                               struct catalog_commit_result *ret, struct lh_error *err)
{
    struct fulfilled *fulfilled = &catalog->fulfilled;
    const struct fulfilled_entry *entry = NULL;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&fulfilled->mutex);
    if (!fulfilled->is_loaded)
        code = load(catalog, err);
    if (!code && job_id.len)
        entry = find(fulfilled, prefixed('j', job_id, arena));
    if (!code && !entry && idempotency_key.len)
        entry = find(fulfilled, prefixed('k', idempotency_key, arena));
    if (entry && !lh_str_starts_with(key_of(entry), lh_lit("j:")))
        code = check_request(entry, request_hash, err);
    if (!code && entry)
        tell(entry, arena, ret);
    pthread_mutex_unlock(&fulfilled->mutex);
    if (!code)
        *ret_found = entry != NULL;
    return code;
}
