/* The indexes there are: read at the opening, each by its newest manifest; changed by publishing
 * the next one exclusively. */
#include "search/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "search/view.h"

#define MANIFESTS_KEPT 2 /* of an index: the newest and the one before it */

struct index_manifest *index_head(struct search_index *index)
{
    pthread_mutex_lock(&index->search->lock);
    struct index_manifest *head = index_manifest_ref(index->head);
    pthread_mutex_unlock(&index->search->lock);
    return head;
}

static struct search_index *index_new(struct search *search, struct index_manifest *head)
{
    struct search_index *index = lh_allocate(1, sizeof *index);
    index->search = search;
    index->head = head;
    atomic_init(&index->refs, 1); /* the list's */
    memcpy(index->id.text, head->id.data, LH_UUID_TEXT_BYTES);
    pthread_mutex_init(&index->load_lock, NULL);
    return index;
}

void index_unref(struct search_index *index)
{
    if (!index || atomic_fetch_sub(&index->refs, 1) != 1)
        return;
    overlay_unref(index->overlay);
    view_unref(index->view);
    words_unref(index->words);
    free(index->damage);
    index_manifest_unref(index->head);
    pthread_mutex_destroy(&index->load_lock);
    free(index);
}

/* Locked. */
static struct search_index *find_locked(struct search *search, struct lh_str name)
{
    for (struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal_nocase(index->head->name, name))
            return index;
    return NULL;
}

/* Locked. Some index has that name, or is about to. */
static bool is_taken(struct search *search, struct lh_str name, const struct search_index *but)
{
    for (struct search_index *index = search->indexes; index; index = index->next)
        if (index != but && (lh_str_equal_nocase(index->head->name, name) ||
                             lh_str_equal_nocase(index->claimed, name)))
            return true;
    return false;
}

static enum lh_code fail_unknown(struct search *search, struct lh_str name, struct lh_error *err)
{
    struct lh_str names[256];
    size_t count = 0;
    for (const struct damaged_index *bad = search->damaged; bad; bad = bad->next)
        if (lh_str_equal_nocase(bad->name, name))
            return lh_fail(err, LH_DAMAGED, "The index '%.*s' is not available: %.*s",
                           LH_ARG(bad->name), LH_ARG(bad->what));
    for (struct search_index *index = search->indexes; index && count < 256; index = index->next)
        names[count++] = index->head->name;
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_NOT_FOUND, "There is no index '%.*s'.", LH_ARG(name));
    if (nearest.len)
        return lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    return lh_error_hint(err, "GET /vectors/indexes lists them; POST /vectors/index makes one.");
}

enum lh_code index_find(struct search *search, struct lh_str name, struct search_index **ret,
                        struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&search->lock);
    struct search_index *index = find_locked(search, name);
    if (index)
        atomic_fetch_add(&index->refs, 1);
    else
        code = fail_unknown(search, name, err);
    pthread_mutex_unlock(&search->lock);
    if (!code)
        *ret = index;
    return code;
}

const struct search_embedder *find_embedder(const struct search *search, struct lh_str name,
                                            struct lh_str version)
{
    for (size_t i = 0; i < search->options.embedder_count; i++) {
        const struct search_embedder *embedder = search->options.embedders[i];
        if ((!name.len || lh_str_equal(name, lh_str_of(embedder->name))) &&
            (!version.len || lh_str_equal(version, lh_str_of(embedder->version))))
            return embedder;
    }
    return NULL;
}

struct lh_str dataset_fingerprint(const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    struct lh_sha256 *sum = lh_sha256_new();
    uint8_t bytes[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_add(sum, dataset->schema.data, dataset->schema.len);
    for (size_t i = 0; i < dataset->object_count; i++) {
        lh_sha256_add(sum, "\n", 1);
        lh_sha256_add(sum, dataset->objects[i]->key.data, dataset->objects[i]->key.len);
    }
    for (size_t i = 0; i < dataset->tombstone_count; i++) {
        lh_sha256_add(sum, "\n-", 2);
        lh_sha256_add(sum, dataset->tombstones[i]->key.data, dataset->tombstones[i]->key.len);
    }
    lh_sha256_finish(sum, bytes);
    lh_sha256_free(sum);
    lh_hex(bytes, sizeof bytes, hex);
    return lh_arena_str(arena, lh_str_slice(lh_str_of(hex), 0, 32));
}

bool index_covers(const struct index_manifest *manifest, const struct catalog_dataset *dataset,
                  struct lh_arena *arena)
{
    if (!manifest->dataset_data.len) /* in the middle of a refresh */
        return false;
    if (manifest->dataset_version >= dataset->content_version && dataset->content_version > 0 &&
        manifest->dataset_version <= dataset->version)
        return true;
    return lh_str_equal(dataset_fingerprint(dataset, arena), manifest->dataset_data);
}

/* --- writing */

static enum lh_code put(struct search *search, const struct index_manifest *manifest,
                        struct lh_error *err)
{
    struct lh_buf buf;
    lh_buf_init(&buf, SEARCH_MANIFEST_BYTES_MAX);
    enum lh_code code = index_manifest_encode(manifest, &buf, err);
    if (!code)
        code = (manifest->is_deleted ? storage_put_vital : storage_put_exclusive)(
            search->options.storage, STORAGE_PRIMARY,
            index_manifest_key(manifest->id, manifest->version, manifest->arena), lh_buf_str(&buf),
            err);
    lh_buf_release(&buf);
    return code;
}

static void stamp(struct search *search, struct index_manifest *manifest, int64_t version)
{
    manifest->version = version;
    manifest->format =
        manifest->bucket.len || manifest->elsewhere.len ? SEARCH_FORMAT_PLACED : SEARCH_FORMAT;
    manifest->epoch = (int64_t)catalog_epoch(search->options.catalog);
    manifest->updated_at.unix_ms = lh_clock_unix_ms();
}

enum lh_code index_create(struct search *search, struct index_manifest *manifest,
                          struct search_index **ret, struct lh_error *err)
{
    stamp(search, manifest, 1);
    pthread_mutex_lock(&search->lock);
    if (is_taken(search, manifest->name, NULL)) {
        pthread_mutex_unlock(&search->lock);
        lh_fail(err, LH_EXISTS, "There is an index '%.*s' already.", LH_ARG(manifest->name));
        return lh_error_hint(err, "POST /vectors/refresh/{dataset} brings it up to date; DELETE "
                                  "/vectors/indexes/{name} removes it.");
    }
    /* In the list before it is durable, so that the name is taken; busy, so that nobody else writes
     * it. */
    struct search_index *index = index_new(search, index_manifest_ref(manifest));
    index->is_busy = true;
    index->next = search->indexes;
    search->indexes = index;
    atomic_fetch_add(&index->refs, 1);
    pthread_mutex_unlock(&search->lock);
    enum lh_code code = put(search, manifest, err);
    if (code) {
        pthread_mutex_lock(&search->lock);
        struct search_index **link = &search->indexes;
        while (*link != index)
            link = &(*link)->next;
        *link = index->next;
        pthread_mutex_unlock(&search->lock);
        index_unref(index);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the list's reference, then the caller's */
        index_unref(index);
        return code;
    }
    atomic_fetch_add(&search->definitions, 1);
    *ret = index;
    return LH_OK;
}

/* What no manifest that is kept names any more. */
static void trash_old_manifest(struct search_index *index, int64_t version)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str key = index_manifest_key(lh_uuid_str(&index->id), version, arena);
    /* An old file that stays costs nothing but its place; the next opening looks again. */
    forgive(storage_trash(index->search->options.storage, STORAGE_PRIMARY, &key, 1,
                          &(struct lh_error)LH_ERROR_NONE));
    lh_arena_free(arena);
}

enum lh_code index_publish(struct search_index *index, struct index_manifest *manifest,
                           struct lh_error *err)
{
    struct search *search = index->search;
    struct index_manifest *old = index_head(index);
    bool is_renamed = !lh_str_equal(old->name, manifest->name);
    enum lh_code code = LH_OK;
    stamp(search, manifest, old->version + 1);
    if (index->is_doubtful)
        code = lh_fail(err, LH_UNKNOWN,
                       "The index '%.*s' may have lost a version in a failed write; restart the "
                       "server to recover it.",
                       LH_ARG(old->name));
    if (!code)
        code = put(search, manifest, err);
    pthread_mutex_lock(&search->lock);
    index->is_doubtful |= code == LH_UNKNOWN;
    if (!code) {
        if (manifest->generation != index->damaged_generation)
            index_forget_damage(index);
        index_manifest_unref(index->head);
        index->head = index_manifest_ref(manifest);
    }
    pthread_mutex_unlock(&search->lock);
    if (!code && is_renamed)
        atomic_fetch_add(&search->definitions, 1);
    if (!code && manifest->version > MANIFESTS_KEPT)
        trash_old_manifest(index, manifest->version - MANIFESTS_KEPT);
    index_manifest_unref(old);
    return code;
}

enum lh_code index_begin(struct search_index *index, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&index->search->lock);
    struct lh_str job = index->head->next ? index->head->next->job_id : index->head->job_id;
    if (index->head->is_deleted)
        code = lh_fail(err, LH_NOT_FOUND, "The index '%.*s' is gone.", LH_ARG(index->head->name));
    else if (index->is_busy)
        code = lh_fail(err, LH_CONFLICT, "The index '%.*s' is being %s%s%.*s.",
                       LH_ARG(index->head->name),
                       index->head->state == SEARCH_READY ? "refreshed" : "built",
                       job.len ? " by the job " : "", LH_ARG(job));
    else
        index->is_busy = true;
    pthread_mutex_unlock(&index->search->lock);
    return code ? code : index_hold(index, err);
}

void index_end(struct search_index *index)
{
    index_let_go(index);
    pthread_mutex_lock(&index->search->lock);
    index->is_busy = false;
    index->claimed = (struct lh_str){0};
    pthread_mutex_unlock(&index->search->lock);
    /* Not when it is published: who is told may want to refresh it, and would find it busy. */
    if (index->search->options.on_change)
        index->search->options.on_change(index->search->options.context);
}

enum lh_code index_claim(struct search_index *index, struct lh_str name, struct lh_error *err)
{
    struct search *search = index->search;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&search->lock);
    if (is_taken(search, name, index))
        code = lh_fail(err, LH_EXISTS, "There is an index '%.*s' already.", LH_ARG(name));
    else
        index->claimed = name;
    pthread_mutex_unlock(&search->lock);
    return code ? lh_error_field(err, lh_lit("new_name")) : LH_OK;
}

enum lh_code index_drop_next(struct search_index *index, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    const struct index_next *next = head->next;
    enum lh_code code = LH_OK;
    if (next) {
        struct index_manifest *last = index_manifest_copy(head);
        last->next = NULL;
        code = index_publish(index, last, err);
        index_manifest_unref(last);
    }
    if (next && !code)
        index_trash_files(index->search, index_bucket(head), &next->parts, next->model_file);
    index_manifest_unref(head);
    return code;
}

void index_trash_files(struct search *search, struct lh_str bucket, const struct lh_list *parts,
                       const struct index_object *model_file)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *keys = lh_arena_array(arena, parts->count + 1, sizeof *keys);
    size_t count = 0;
    for (; count < parts->count; count++)
        keys[count] = ((const struct index_part *)parts->items)[count].key;
    if (model_file)
        keys[count++] = model_file->key;
    /* What cannot be moved now, the next opening moves. */
    if (count)
        forgive(storage_trash(search->options.storage, bucket, keys, count,
                              &(struct lh_error)LH_ERROR_NONE));
    lh_arena_free(arena);
}

void index_trash_graph(struct search *search, struct lh_str bucket, const struct index_graph *graph)
{
    const struct lh_list none = {0};
    if (graph)
        index_trash_files(search, bucket, &none, graph->file);
}

/* Everything of an index, its manifests last: as long as one of them is there, the next opening
 * finishes this. */
enum lh_code index_trash_all(struct search *search, const struct index_manifest *last,
                             struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct lh_str places[] = {last->elsewhere, last->bucket};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < sizeof places / sizeof places[0] && !code; i++)
        if (places[i].len)
            code = place_empty(search, places[i], last->id, err);
    if (!code)
        code = place_empty(search, STORAGE_PRIMARY, last->id, err);
    if (!code)
        code = place_empty_folder(
            search, STORAGE_PRIMARY,
            lh_arena_printf(arena, SEARCH_CATALOG_FOLDER "/%.*s", LH_ARG(last->id)), err);
    lh_arena_free(arena);
    return code;
}

enum lh_code index_remove(struct search_index *index, struct lh_error *err)
{
    struct search *search = index->search;
    struct index_manifest *head = index_head(index);
    struct index_manifest *last = index_manifest_copy(head);
    last->is_deleted = true;
    last->parts = (struct lh_list){0};
    last->model_file = NULL;
    last->graph = NULL;
    last->next = NULL;
    enum lh_code code = index_publish(index, last, err);
    index_manifest_unref(head);
    if (code) {
        index_manifest_unref(last);
        return code;
    }
    pthread_mutex_lock(&search->lock);
    struct search_index **link = &search->indexes;
    while (*link && *link != index)
        link = &(*link)->next;
    if (*link)
        *link = index->next;
    pthread_mutex_unlock(&search->lock);
    atomic_fetch_add(&search->definitions, 1);
    pthread_mutex_lock(&index->load_lock);
    words_unref(index->words);
    index->words = NULL;
    pthread_mutex_unlock(&index->load_lock);
    struct lh_error late = LH_ERROR_NONE;
    /* It is gone for everybody already; what could not be moved now is moved later. */
    if (index_trash_all(search, last, &late))
        place_leave(search, last);
    index_manifest_unref(last);
    index_unref(index);
    return LH_OK;
}

/* While it is busy with us, nobody publishes another. */
static enum lh_code check_version(struct search_index *index, int64_t version, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    int64_t now = (int64_t)head->version;
    enum lh_code code = LH_OK;
    if (version && version != now)
        code = lh_fail(err, LH_PRECONDITION, "The index '%.*s' is at version %lld, not %lld.",
                       LH_ARG(head->name), (long long)now, (long long)version);
    index_manifest_unref(head);
    return code;
}

enum lh_code search_drop(struct search *search, struct lh_str name, int64_t version,
                         struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, name, &index, err);
    if (!code)
        code = index_begin(index, err);
    if (!code) {
        code = check_version(index, version, err);
        if (!code)
            code = index_remove(index, err);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one reference is ours */
        index_end(index);
    }
    index_unref(index);
    return code;
}

/* --- reading at the opening */

static bool version_of(struct lh_str name, int64_t *ret)
{
    if (name.len != 25 || !lh_str_ends_with(name, lh_lit(".json")))
        return false;
    for (size_t i = 0; i < 20; i++)
        if (name.data[i] < '0' || name.data[i] > '9')
            return false;
    return lh_str_to_int(lh_str_slice(name, 0, 20), ret) && *ret > 0;
}

enum lh_code index_read_newest(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                               struct index_manifest **ret, int64_t *ret_lowest,
                               struct lh_error *err)
{
    struct storage_entry *files = NULL;
    size_t count = 0;
    int64_t newest = 0, version = 0, lowest = INT64_MAX;
    struct lh_str bytes;
    enum lh_code code = storage_list(
        storage, STORAGE_PRIMARY, lh_arena_printf(arena, SEARCH_CATALOG_FOLDER "/%.*s", LH_ARG(id)),
        arena, &files, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++) {
        if (!version_of(files[i].name, &version))
            continue;
        newest = version > newest ? version : newest;
        lowest = version < lowest ? version : lowest;
    }
    if (!newest)
        return lh_fail(err, LH_NOT_FOUND, "The index has no manifest.");
    struct lh_str key = index_manifest_key(id, newest, arena);
    struct index_manifest *manifest = NULL;
    code =
        storage_get(storage, STORAGE_PRIMARY, key, SEARCH_MANIFEST_BYTES_MAX, arena, &bytes, err);
    if (!code)
        code = index_manifest_decode(bytes, key, &manifest, err);
    if (!code && (!lh_str_equal(manifest->id, id) || manifest->version != newest)) {
        index_manifest_unref(manifest);
        code = lh_fail(err, LH_DAMAGED, "%.*s is the manifest of another index or version.",
                       LH_ARG(key));
    }
    if (code)
        return code;
    *ret = manifest;
    *ret_lowest = lowest;
    return LH_OK;
}

static void note_damage(struct search *search, struct lh_str id, const struct lh_error *err)
{
    struct damaged_index *bad = lh_arena_alloc(search->arena, sizeof *bad);
    bad->id = bad->name = lh_arena_str(search->arena, id);
    bad->what = lh_arena_str(search->arena, lh_str_of(err->message));
    bad->next = search->damaged;
    search->damaged = bad;
}

static void open_one(struct search *search, struct lh_str id)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct index_manifest *head = NULL;
    struct lh_error err = LH_ERROR_NONE;
    int64_t lowest = 0;
    enum lh_code code = index_read_newest(search->options.storage, id, arena, &head, &lowest, &err);
    assert(code || head);
    /* Found is not yet durable: the process before may have died before its last sync. */
    if (!code)
        code = storage_sync_folder(search->options.storage, STORAGE_PRIMARY,
                                   index_manifest_key(id, head->version, arena), &err);
    if (code && code != LH_NOT_FOUND) {
        note_damage(search, id, &err);
    } else if (!code && head->is_deleted) {
        if (head->bucket.len || head->elsewhere.len) /* an opening waits for no store */
            place_leave(search, head);
        else
            forgive(index_trash_all(search, head, &err));
    } else if (!code) {
        struct search_index *index = index_new(search, index_manifest_ref(head));
        for (int64_t old = lowest; old <= head->version - MANIFESTS_KEPT; old++)
            trash_old_manifest(index, old);
        index_look(index);
        index->next = search->indexes;
        search->indexes = index;
    }
    index_manifest_unref(head);
    lh_arena_free(arena);
}

/* --- what a crashed writer left */

static bool is_among(const struct lh_list *list, const struct index_object *file, struct lh_str key)
{
    const struct index_part *parts = list->items;
    if (file && lh_str_equal(file->key, key))
        return true;
    for (size_t i = 0; i < list->count; i++)
        if (lh_str_equal(parts[i].key, key))
            return true;
    return false;
}

bool index_names(const struct index_manifest *manifest, struct lh_str key)
{
    const struct index_next *next = manifest->next;
    return is_among(&manifest->parts, manifest->model_file, key) ||
           (manifest->graph && lh_str_equal(manifest->graph->file->key, key)) ||
           (next && is_among(&next->parts, next->model_file, key));
}

struct orphan_walk {
    struct search *search;
    struct key_list keys;
};

/* What lies in primary of an index that is in another bucket may be named again, when that comes
 * back: it goes by places_sweep. */
static enum lh_code look_for_orphan(void *context, const struct storage_entry *entry,
                                    struct lh_error *err)
{
    struct orphan_walk *walk = context;
    struct lh_str rest = lh_str_slice(entry->key, sizeof SEARCH_FOLDER, entry->key.len);
    struct lh_str id = lh_str_cut(&rest, '/');
    (void)err;
    for (const struct damaged_index *bad = walk->search->damaged; bad; bad = bad->next)
        if (lh_str_equal(bad->id, id))
            return LH_OK; /* nobody can say what it names */
    for (const struct search_index *index = walk->search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), id) &&
            (words_is_file_of(index->head, entry->key) ||
             (index->head->bucket.len ? !lh_str_starts_with(rest, lh_lit(SEARCH_WORDS_NAME))
                                      : index_names(index->head, entry->key))))
            return LH_OK;
    key_list_add(&walk->keys, entry->key);
    return LH_OK;
}

/* "_hnsw_trials/<id>/…": of an index that is gone. */
static enum lh_code look_for_record(void *context, const struct storage_entry *entry,
                                    struct lh_error *err)
{
    struct orphan_walk *walk = context;
    struct lh_str rest = entry->key;
    (void)lh_str_cut(&rest, '/');
    struct lh_str id = lh_str_cut(&rest, '/');
    (void)err;
    for (const struct damaged_index *bad = walk->search->damaged; bad; bad = bad->next)
        if (lh_str_equal(bad->id, id))
            return LH_OK;
    for (const struct search_index *index = walk->search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), id))
            return LH_OK;
    key_list_add(&walk->keys, entry->key);
    return LH_OK;
}

/* Before anybody can publish: no running writer's file is among them. */
static enum lh_code find_orphans(struct search *search, struct lh_error *err)
{
    static const char *const folders[] = {SEARCH_TUNING_FOLDERS};
    struct orphan_walk walk = {.search = search, .keys = {.arena = search->arena}};
    enum lh_code code = storage_walk(search->options.storage, STORAGE_PRIMARY,
                                     lh_lit(SEARCH_FOLDER), look_for_orphan, &walk, err);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !code; i++)
        code = storage_walk(search->options.storage, STORAGE_PRIMARY, lh_str_of(folders[i]),
                            look_for_record, &walk, err);
    search->orphans = walk.keys.items;
    search->orphan_count = walk.keys.count;
    return code;
}

/* Files of the keyword leg go when the last who searches in them ends. Of an index that was not
 * searched since the start nobody has them. */
struct older_walk {
    struct index_manifest **heads;
    size_t head_count;
    struct key_list keys;
};

static enum lh_code look_for_older(void *context, const struct storage_entry *entry,
                                   struct lh_error *err)
{
    struct older_walk *walk = context;
    (void)err;
    for (size_t i = 0; i < walk->head_count; i++)
        if (words_is_older_file(walk->heads[i], entry->key))
            key_list_add(&walk->keys, entry->key);
    return LH_OK;
}

static enum lh_code sweep_older(struct search *search, size_t *ret_moved, struct lh_error *err)
{
    struct older_walk walk = {.keys = {.arena = lh_arena_new(0)}};
    struct storage *storage = search->options.storage;
    registry_heads(search, &walk.heads, &walk.head_count);
    enum lh_code code =
        storage_walk(storage, STORAGE_PRIMARY, lh_lit(SEARCH_FOLDER), look_for_older, &walk, err);
    if (!code && walk.keys.count)
        code = storage_trash(storage, STORAGE_PRIMARY, walk.keys.items, walk.keys.count, err);
    if (!code)
        *ret_moved += walk.keys.count;
    for (size_t i = 0; i < walk.head_count; i++)
        index_manifest_unref(walk.heads[i]);
    free(walk.heads);
    lh_arena_free(walk.keys.arena);
    return code;
}

enum lh_code search_sweep(struct search *search, size_t *ret_moved, struct lh_error *err)
{
    pthread_mutex_lock(&search->lock);
    size_t count = search->orphan_count;
    search->orphan_count = 0;
    pthread_mutex_unlock(&search->lock);
    enum lh_code code =
        count ? storage_trash(search->options.storage, STORAGE_PRIMARY, search->orphans, count, err)
              : LH_OK;
    if (!code)
        *ret_moved = count;
    if (!code)
        code = sweep_older(search, ret_moved, err);
    return code ? code : places_sweep(search, ret_moved, err);
}

enum lh_code registry_open(struct search *search, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *folders = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(search->options.storage, STORAGE_PRIMARY,
                                     lh_lit(SEARCH_CATALOG_FOLDER), arena, &folders, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        if (folders[i].is_folder && lh_uuid_is_valid(folders[i].name))
            open_one(search, folders[i].name);
    if (!code)
        code = find_orphans(search, err);
    lh_arena_free(arena);
    return code;
}

void registry_close(struct search *search)
{
    while (search->indexes) {
        struct search_index *next = search->indexes->next;
        index_unref(search->indexes);
        search->indexes = next;
    }
}

void registry_heads(struct search *search, struct index_manifest ***ret, size_t *ret_count)
{
    size_t count = 0;
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        count++;
    struct index_manifest **heads = lh_allocate(count + 1, sizeof(struct index_manifest *));
    count = 0;
    for (const struct search_index *index = search->indexes; index; index = index->next)
        heads[count++] = index_manifest_ref(index->head);
    pthread_mutex_unlock(&search->lock);
    *ret = heads;
    *ret_count = count;
}

struct index_manifest *registry_head(struct search *search, const struct index_manifest *manifest)
{
    struct index_manifest *head = NULL;
    pthread_mutex_lock(&search->lock);
    for (struct search_index *index = search->indexes; index && !head; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), manifest->id))
            head = index_manifest_ref(index->head);
    pthread_mutex_unlock(&search->lock);
    return head;
}

void search_problems(struct search *search, struct lh_arena *arena, struct search_problem **ret,
                     size_t *ret_count)
{
    size_t count = 0, broken_count = 0;
    struct search_problem *broken = NULL;
    damage_list(search, arena, &broken, &broken_count);
    pthread_mutex_lock(&search->lock);
    for (const struct damaged_index *bad = search->damaged; bad; bad = bad->next)
        count++;
    for (const struct search_index *index = search->indexes; index; index = index->next)
        count += (index->is_doubtful ? 1U : 0U) + (index->graph_trouble[0] ? 1U : 0U);
    struct search_problem *problems =
        lh_arena_array(arena, count + broken_count + 1, sizeof *problems);
    count = broken_count;
    if (broken_count)
        memcpy(problems, broken, broken_count * sizeof *problems);
    for (const struct damaged_index *bad = search->damaged; bad; bad = bad->next)
        problems[count++] =
            (struct search_problem){lh_arena_str(arena, bad->name), lh_arena_str(arena, bad->what)};
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (index->is_doubtful)
            problems[count++] = (struct search_problem){
                lh_arena_str(arena, index->head->name),
                lh_lit("It takes no more changes after a write of unknown outcome; restart.")};
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (index->graph_trouble[0])
            problems[count++] =
                (struct search_problem){lh_arena_str(arena, index->head->name),
                                        lh_arena_str(arena, lh_str_of(index->graph_trouble))};
    pthread_mutex_unlock(&search->lock);
    *ret = problems;
    *ret_count = count;
}

void search_dependents(struct search *search, struct lh_str dataset_id, struct lh_arena *arena,
                       struct lh_str_list *ret)
{
    size_t count = 0;
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        count++;
    struct lh_str *names = lh_arena_array(arena, count + 1, sizeof *names);
    count = 0;
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal(index->head->dataset_id, dataset_id))
            names[count++] = lh_arena_str(arena, index->head->name);
    pthread_mutex_unlock(&search->lock);
    *ret = (struct lh_str_list){names, count};
}

uint64_t search_definitions(const struct search *search)
{
    return atomic_load(&search->definitions);
}
