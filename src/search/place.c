#include "search/place.h"

#include <stdlib.h>

#include "base/log.h"
#include "search/building.h"
#include "search/entries.h"
#include "search/ledger.h"
#include "storage/held.h"

static const char *const record_folders[] = {SEARCH_TUNING_FOLDERS};
#define RECORD_FOLDERS (sizeof record_folders / sizeof record_folders[0])

#define FREE_BYTES_MIN ((int64_t)4 << 20) /* that stay free for all else */

bool search_is_key(struct lh_str key)
{
    struct lh_str rest = key;
    struct lh_str folder = lh_str_cut(&rest, '/');
    bool is_one = lh_str_equal(folder, lh_lit(SEARCH_FOLDER));
    for (size_t i = 0; i < RECORD_FOLDERS; i++)
        is_one |= lh_str_equal(folder, lh_str_of(record_folders[i]));
    /* Other folders of that name in a store are other people's. */
    return is_one && lh_uuid_is_valid(lh_str_cut(&rest, '/')) && rest.len;
}

/* --- who publishes there */

enum lh_code index_hold(struct search_index *index, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    enum lh_code code = LH_OK;
    struct storage *storage = index->search->options.storage;
    /* Of a bucket that is no more nothing is held: the index can be removed, and no more. */
    bool is_held = head->bucket.len && storage_has_bucket(storage, head->bucket);
    if (is_held)
        code = storage_bucket_hold(storage, head->bucket, err);
    pthread_mutex_lock(&index->search->lock);
    index->is_busy = !code;
    if (!code && is_held)
        (void)snprintf(index->held, sizeof index->held, "%.*s", LH_ARG(head->bucket));
    pthread_mutex_unlock(&index->search->lock);
    index_manifest_unref(head);
    return code;
}

void index_let_go(struct search_index *index)
{
    if (index->held[0])
        storage_bucket_let_go(index->search->options.storage, lh_str_of(index->held));
    index->held[0] = '\0';
}

/* --- records */

struct lh_str place_of_records(struct search *search, struct lh_str id,
                               char room[STORAGE_BUCKET_NAME_BYTES_MAX + 1])
{
    struct lh_str bucket = STORAGE_PRIMARY;
    pthread_rwlock_rdlock(&search->place_lock);
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), id))
            bucket = index_bucket(index->head);
    (void)snprintf(room, STORAGE_BUCKET_NAME_BYTES_MAX + 1, "%.*s", LH_ARG(bucket));
    pthread_mutex_unlock(&search->lock);
    return lh_str_of(room);
}

void place_of_records_end(struct search *search)
{
    pthread_rwlock_unlock(&search->place_lock);
}

/* --- what must go */

struct collecting {
    struct key_list keys;
    const struct index_manifest *but; /* what this one names stays; may be NULL */
    bool but_words;                   /* the keyword leg stays */
};

void key_list_add(struct key_list *list, struct lh_str key)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 32;
        struct lh_str *items = lh_arena_array(list->arena, capacity, sizeof *items);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = lh_arena_str(list->arena, key);
}

static enum lh_code collect_file(void *context, const struct storage_entry *entry,
                                 struct lh_error *err)
{
    struct collecting *list = context;
    (void)err;
    bool is_words = lh_str_starts_with(entry->name, lh_lit(SEARCH_WORDS_NAME));
    if (!(list->but_words && is_words) && !(list->but && index_names(list->but, entry->key)))
        key_list_add(&list->keys, entry->key);
    return LH_OK;
}

static enum lh_code empty(struct search *search, struct lh_str bucket, struct lh_str folder,
                          struct collecting *list, struct lh_error *err)
{
    struct storage *storage = search->options.storage;
    list->keys.count = 0;
    enum lh_code code = storage_walk(storage, bucket, folder, collect_file, list, err);
    if (!code && list->keys.count)
        code = storage_trash(storage, bucket, list->keys.items, list->keys.count, err);
    return code;
}

enum lh_code place_empty_folder(struct search *search, struct lh_str bucket, struct lh_str folder,
                                struct lh_error *err)
{
    struct collecting list = {.keys.arena = lh_arena_new(0)};
    enum lh_code code = empty(search, bucket, folder, &list, err);
    lh_arena_free(list.keys.arena);
    return code;
}

static enum lh_code empty_place(struct search *search, struct lh_str bucket, struct lh_str id,
                                bool but_words, struct lh_error *err)
{
    struct collecting list = {.keys.arena = lh_arena_new(0), .but_words = but_words};
    enum lh_code code = LH_OK;
    if (storage_has_bucket(search->options.storage, bucket))
        code =
            empty(search, bucket,
                  lh_arena_printf(list.keys.arena, SEARCH_FOLDER "/%.*s", LH_ARG(id)), &list, err);
    for (size_t i = 0; i < RECORD_FOLDERS && !code; i++)
        if (storage_has_bucket(search->options.storage, bucket))
            code = empty(search, bucket,
                         lh_arena_printf(list.keys.arena, "%s/%.*s", record_folders[i], LH_ARG(id)),
                         &list, err);
    lh_arena_free(list.keys.arena);
    return code;
}

enum lh_code place_empty(struct search *search, struct lh_str bucket, struct lh_str id,
                         struct lh_error *err)
{
    return empty_place(search, bucket, id, false, err);
}

/* --- the move */

struct moving {
    struct search *search;
    struct search_index *index;
    const struct search_move *move;
    struct index_manifest *head; /* before it */
    struct lh_str from;
    struct search_moved moved;
};

/* The manifest with these two; `bucket` and `elsewhere` "" for none. Only by who is busy. */
static enum lh_code publish(struct search_index *index, struct lh_str bucket,
                            struct lh_str elsewhere, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    struct index_manifest *next = index_manifest_copy(head);
    const struct lh_str none = {0};
    bool is_primary = lh_str_equal(bucket, STORAGE_PRIMARY);
    next->bucket = is_primary ? none : lh_arena_str(next->arena, bucket);
    next->elsewhere = elsewhere.len ? lh_arena_str(next->arena, elsewhere) : none;
    enum lh_code code = index_publish(index, next, err);
    index_manifest_unref(next);
    index_manifest_unref(head);
    return code;
}

/* What an earlier move left. After a manifest of unknown outcome nobody knows where that is. */
static enum lh_code clear(struct search_index *index, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    enum lh_code code = LH_OK;
    if (head->elsewhere.len && index->is_doubtful) {
        code = lh_fail(err, LH_UNKNOWN,
                       "Where the index '%.*s' is will be known after a restart of the server.",
                       LH_ARG(head->name));
    } else if (head->elsewhere.len) {
        code = empty_place(index->search, head->elsewhere, head->id, true, err);
        if (!code)
            code = publish(index, index_bucket(head), (struct lh_str){0}, err);
    }
    index_manifest_unref(head);
    return code;
}

static enum lh_code copy_one(struct moving *moving, const struct index_object *object,
                             struct lh_error *err)
{
    const struct search_move *move = moving->move;
    struct storage_sum sum;
    if (!object)
        return LH_OK;
    if (!object_sum(object, &sum))
        return lh_fail(err, LH_DAMAGED, "The checksum of %.*s is none.", LH_ARG(object->key));
    enum lh_code code = LH_OK;
    if (!move->is_plan)
        code = storage_copy(moving->search->options.storage, moving->from, move->to, object->key,
                            &sum, move->cancel, err);
    moving->moved.files += !code;
    moving->moved.bytes += code ? 0 : object->bytes;
    return code;
}

static enum lh_code copy_files(struct moving *moving, struct lh_error *err)
{
    const struct index_manifest *head = moving->head;
    enum lh_code code = copy_one(moving, head->model_file, err);
    for (size_t i = 0; i < head->parts.count && !code; i++) {
        const struct index_part *part = &index_parts(head)[i];
        const struct index_object object = {
            .key = part->key, .bytes = part->bytes, .sha256 = part->sha256};
        code = copy_one(moving, &object, err);
    }
    return code ? code : copy_one(moving, head->graph ? head->graph->file : NULL, err);
}

/* Nobody adds to them, unless this is a plan: place_lock is ours alone. */
static enum lh_code copy_records(struct moving *moving, struct lh_error *err)
{
    struct storage *storage = moving->search->options.storage;
    const struct search_move *move = moving->move;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < RECORD_FOLDERS && !code; i++) {
        struct storage_entry *entries = NULL;
        size_t count = 0;
        code = storage_list(
            storage, moving->from,
            lh_arena_printf(arena, "%s/%.*s", record_folders[i], LH_ARG(moving->head->id)), arena,
            &entries, &count, err);
        for (size_t k = 0; k < count && !code; k++) {
            struct storage_sum sum;
            if (entries[k].is_folder || entries[k].is_special)
                continue;
            sum.bytes = entries[k].bytes;
            if (!move->is_plan)
                code = storage_sum(storage, moving->from, entries[k].key, move->cancel, &sum, err);
            if (!code && !move->is_plan)
                code = storage_copy(storage, moving->from, move->to, entries[k].key, &sum,
                                    move->cancel, err);
            moving->moved.files += !code;
            moving->moved.bytes += code ? 0 : sum.bytes;
        }
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code check_space(const struct moving *moving, struct lh_error *err)
{
    const struct index_manifest *head = moving->head;
    struct lh_str to = moving->move->to;
    int64_t needed = FREE_BYTES_MIN, free_bytes = INT64_MAX;
    for (size_t i = 0; i < head->parts.count; i++)
        needed += index_parts(head)[i].bytes;
    needed += head->graph ? head->graph->file->bytes : 0;
    needed += head->model_file ? head->model_file->bytes : 0;
    enum lh_code code =
        storage_bucket_free_bytes(moving->search->options.storage, to, &free_bytes, err);
    if (code || free_bytes >= needed)
        return code;
    lh_fail(err, LH_FULL,
            "Only %lld MB are free where the bucket '%.*s' lies; the index '%.*s' needs about "
            "%lld MB there.",
            (long long)(free_bytes >> 20), LH_ARG(to), LH_ARG(head->name),
            (long long)((needed + (1 << 20) - 1) >> 20));
    return lh_error_hint(err, "Make room there; nothing was changed.");
}

/* The move itself: records are copied and change places at once. */
static enum lh_code commit(struct moving *moving, struct lh_error *err)
{
    pthread_rwlock_wrlock(&moving->search->place_lock);
    enum lh_code code = copy_records(moving, err);
    if (!code)
        code = publish(moving->index, moving->move->to, moving->from, err);
    pthread_rwlock_unlock(&moving->search->place_lock);
    if (!code)
        atomic_fetch_add(&moving->search->ledger_stamp, 1);
    return code;
}

static enum lh_code move_held(struct moving *moving, struct lh_error *err)
{
    struct lh_str to = moving->move->to;
    struct lh_error late = LH_ERROR_NONE;
    enum lh_code code = clear(moving->index, err);
    if (!code)
        code = check_space(moving, err);
    if (!code)
        code = publish(moving->index, moving->from, to, err);
    if (code)
        return code;
    /* Records of a move that came to nothing must not come back. */
    code = empty_place(moving->search, to, moving->head->id, true, err);
    if (!code)
        code = copy_files(moving, err);
    if (!code)
        code = commit(moving, err);
    /* What was copied in vain goes, or what was left behind. What cannot go now goes by
     * search_sweep: the manifest tells where it is. After an unknown outcome nobody knows which. */
    if (code != LH_UNKNOWN && clear(moving->index, &late))
        lh_log_error(LH_LOG_WARN, "search.move", &late);
    return code ? lh_error_context(err, "The index '%.*s'", LH_ARG(moving->head->name)) : LH_OK;
}

static enum lh_code check(const struct moving *moving, struct lh_error *err)
{
    const struct index_manifest *head = moving->head;
    int64_t expected = moving->move->expected_version;
    if (expected && expected != head->version)
        return lh_fail(err, LH_PRECONDITION, "The index '%.*s' is at version %lld, not %lld.",
                       LH_ARG(head->name), (long long)head->version, (long long)expected);
    if (head->state == SEARCH_BUILDING || head->next)
        return lh_fail(err, LH_CONFLICT,
                       "The index '%.*s' is being built: it can be moved when that has ended.",
                       LH_ARG(head->name));
    return LH_OK;
}

static enum lh_code plan(struct moving *moving, struct lh_error *err)
{
    moving->head = index_head(moving->index);
    moving->from = index_bucket(moving->head);
    bool is_there = lh_str_equal(moving->from, moving->move->to);
    enum lh_code code = check(moving, err);
    if (!code && !is_there)
        code = copy_files(moving, err);
    if (!code && !is_there)
        code = copy_records(moving, err);
    index_manifest_unref(moving->head);
    return code;
}

static enum lh_code move_busy(struct moving *moving, struct lh_error *err)
{
    struct storage *storage = moving->search->options.storage;
    struct lh_str to = moving->move->to;
    moving->head = index_head(moving->index);
    moving->from = index_bucket(moving->head);
    enum lh_code code = check(moving, err);
    if (!code && !lh_str_equal(moving->from, to)) {
        code = storage_bucket_hold(storage, to, err);
        if (!code) {
            code = move_held(moving, err);
            storage_bucket_let_go(storage, to);
        }
    }
    index_manifest_unref(moving->head);
    return code;
}

enum lh_code search_move_index(struct search *search, const struct search_move *move,
                               struct search_moved *ret, struct lh_error *err)
{
    struct moving moving = {.search = search, .move = move};
    enum lh_code code = storage_bucket_check(search->options.storage, move->to, err);
    if (code)
        return lh_error_field(err, lh_lit("bucket"));
    code = index_find(search, move->index, &moving.index, err);
    if (!code && move->is_plan)
        code = plan(&moving, err);
    else if (!code && !(code = index_begin_patiently(moving.index, err))) {
        code = move_busy(&moving, err);
        index_end(moving.index);
    }
    index_unref(moving.index);
    if (!code)
        *ret = moving.moved;
    return code;
}

/* --- sweeping */

/* What a killed writer left where the index is. */
static enum lh_code sweep_own(struct search_index *index, size_t *ret_moved, struct lh_error *err)
{
    struct index_manifest *head = index_head(index);
    struct collecting list = {.keys.arena = lh_arena_new(0), .but = head};
    enum lh_code code = empty(
        index->search, head->bucket,
        lh_arena_printf(list.keys.arena, SEARCH_FOLDER "/%.*s", LH_ARG(head->id)), &list, err);
    if (!code) {
        *ret_moved += list.keys.count;
        index->is_swept = true;
    }
    index_manifest_unref(head);
    lh_arena_free(list.keys.arena);
    return code;
}

static enum lh_code sweep_one(struct search *search, const struct index_manifest *head,
                              size_t *ret_moved, struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, head->name, &index, err);
    if (code)
        return code;
    if ((head->elsewhere.len || !index->is_swept) && !(code = index_begin(index, err))) {
        code = clear(index, err);
        if (!code && head->bucket.len)
            code = sweep_own(index, ret_moved, err);
        index_end(index);
    }
    index_unref(index);
    return code;
}

/* --- indexes that are gone, with files in a bucket that is not asked at once */

struct leaving {
    struct leaving *next;
    struct index_manifest *last;
};

void place_leave(struct search *search, struct index_manifest *last)
{
    struct leaving *leaving = lh_allocate(1, sizeof *leaving);
    leaving->last = index_manifest_ref(last);
    pthread_mutex_lock(&search->lock);
    leaving->next = search->leaving;
    search->leaving = leaving;
    pthread_mutex_unlock(&search->lock);
}

static struct leaving *take_leaving(struct search *search)
{
    pthread_mutex_lock(&search->lock);
    struct leaving *leaving = search->leaving;
    search->leaving = NULL;
    pthread_mutex_unlock(&search->lock);
    return leaving;
}

void places_close(struct search *search)
{
    for (struct leaving *leaving = take_leaving(search); leaving;) {
        struct leaving *next = leaving->next;
        index_manifest_unref(leaving->last);
        free(leaving);
        leaving = next;
    }
}

static void sweep_leaving(struct search *search)
{
    for (struct leaving *leaving = take_leaving(search); leaving;) {
        struct leaving *next = leaving->next;
        struct lh_error ignored = LH_ERROR_NONE;
        if (index_trash_all(search, leaving->last, &ignored))
            place_leave(search, leaving->last); /* away: next time */
        index_manifest_unref(leaving->last);
        free(leaving);
        leaving = next;
    }
}

enum lh_code places_sweep(struct search *search, size_t *ret_moved, struct lh_error *err)
{
    struct index_manifest **heads = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    sweep_leaving(search);
    registry_heads(search, &heads, &count);
    for (size_t i = 0; i < count; i++) {
        struct lh_error why = LH_ERROR_NONE;
        if (!code && (heads[i]->elsewhere.len || heads[i]->bucket.len))
            code = sweep_one(search, heads[i], ret_moved, &why);
        /* Away, or somebody is busy with it: next time. */
        if (code == LH_UNKNOWN && err)
            *err = why;
        else
            code = LH_OK;
        index_manifest_unref(heads[i]);
    }
    free(heads);
    return code;
}

/* --- telling */

void search_list_in_bucket(struct search *search, struct lh_str bucket, struct lh_arena *arena,
                           struct lh_str_list *ret)
{
    struct index_manifest **heads = NULL;
    size_t count = 0, found = 0;
    registry_heads(search, &heads, &count);
    struct lh_str *names = lh_arena_array(arena, count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        if (lh_str_equal(index_bucket(heads[i]), bucket))
            names[found++] = lh_arena_str(arena, heads[i]->name);
        index_manifest_unref(heads[i]);
    }
    free(heads);
    *ret = (struct lh_str_list){names, found};
}

void index_each_file(const struct index_manifest *manifest,
                     void (*each)(void *context, const struct index_object *object), void *context)
{
    const struct index_next *next = manifest->next;
    const struct lh_list lists[] = {manifest->parts, next ? next->parts : (struct lh_list){0}};
    const struct index_object *const others[] = {manifest->model_file,
                                                 manifest->graph ? manifest->graph->file : NULL,
                                                 next ? next->model_file : NULL};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (size_t k = 0; k < lists[i].count; k++) {
            const struct index_part *part = &((const struct index_part *)lists[i].items)[k];
            const struct index_object object = {
                .key = part->key, .bytes = part->bytes, .sha256 = part->sha256};
            each(context, &object);
        }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i])
            each(context, others[i]);
}

static void collect_object(void *context, const struct index_object *object)
{
    key_list_add(context, object->key);
}

static int compare_keys(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static enum lh_code collect_records(struct search *search, struct lh_str bucket, struct lh_str id,
                                    struct collecting *list, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < RECORD_FOLDERS && !code; i++)
        code = storage_walk(
            search->options.storage, bucket,
            lh_arena_printf(list->keys.arena, "%s/%.*s", record_folders[i], LH_ARG(id)),
            collect_file, list, err);
    return code;
}

enum lh_code search_list_named(struct search *search, struct lh_str bucket, struct lh_arena *arena,
                               struct lh_str_list *ret, struct lh_error *err)
{
    struct index_manifest **heads = NULL;
    struct collecting list = {.keys.arena = arena};
    size_t count = 0;
    enum lh_code code = LH_OK;
    registry_heads(search, &heads, &count);
    for (size_t i = 0; i < count; i++) {
        index_each_file(heads[i], collect_object, &list.keys);
        if (!code && lh_str_equal(index_bucket(heads[i]), bucket))
            code = collect_records(search, bucket, heads[i]->id, &list, err);
        index_manifest_unref(heads[i]);
    }
    free(heads);
    if (list.keys.count)
        qsort(list.keys.items, list.keys.count, sizeof *list.keys.items, compare_keys);
    *ret = (struct lh_str_list){list.keys.items, list.keys.count};
    return code;
}
