#include "storage/buckets.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/failures.h"
#include "storage/held.h"
#include "storage/internal.h"

#define RETRY_US                                                                                   \
    ((int64_t)2000000) /* between two attempts to open a bucket that is not available */

/* The mutex guards the lists, holds, is_leaving and problem of every bucket, and the opening of one
 * that was not available; it is held while that is tried, never while objects move. */

static struct storage_bucket *look_up(struct storage *storage, struct lh_str name)
{
    if (lh_str_equal(name, storage->primary.name))
        return &storage->primary;
    for (struct storage_bucket *at = storage->buckets; at; at = at->next)
        if (lh_str_equal(at->name, name))
            return at;
    return NULL;
}

static enum lh_code fail_unknown(struct storage *storage, struct lh_str name, struct lh_error *err)
{
    struct lh_buf names;
    lh_buf_init(&names, LH_ERROR_HINT_BYTES);
    lh_buf_printf(&names, "%.*s", LH_ARG(storage->primary.name));
    for (struct storage_bucket *at = storage->buckets; at; at = at->next)
        lh_buf_printf(&names, ", %.*s", LH_ARG(at->name));
    lh_fail(err, LH_NOT_FOUND, "There is no bucket '%.*s'.", LH_ARG(lh_str_head(name, 64)));
    lh_error_hint(err, "There are: %.*s.", LH_ARG(lh_buf_str(&names)));
    lh_buf_release(&names);
    return LH_NOT_FOUND;
}

static void bucket_free(struct storage_bucket *bucket)
{
    if (!bucket)
        return;
    if (bucket->state)
        bucket->backend->close(bucket);
    lh_arena_free(bucket->arena);
    free(bucket);
}

static struct storage_bucket *bucket_new(struct storage *storage,
                                         const struct storage_bucket_options *options)
{
    struct storage_bucket *bucket = calloc(1, sizeof *bucket);
    if (!bucket)
        return NULL;
    bucket->arena = lh_arena_new(0);
    bucket_options_copy(options, bucket->arena, &bucket->options);
    bucket->name = bucket->options.name;
    bucket->storage = storage;
    bucket->backend = options->backend == STORAGE_S3 ? &storage_s3 : &storage_local;
    return bucket;
}

/* Under the mutex. */
static enum lh_code open_again(struct storage_bucket *bucket, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    int64_t now_us = lh_clock_monotonic_us();
    if (bucket->is_inherited) { /* it is another lake's until somebody decides */
        bucket_inherited_fail(bucket->name, &bucket->problem);
        if (err)
            *err = bucket->problem;
        return LH_IO;
    }
    if (bucket->state)
        return LH_OK;
    if (!bucket->tried_us || now_us - bucket->tried_us >= RETRY_US) {
        bucket->tried_us = now_us;
        if (bucket->backend->open(bucket, &own) == LH_OK) {
            bucket->problem.code = LH_OK;
            bucket->is_known = true;
            return LH_OK;
        }
        bucket->problem = own;
        storage_failure_note(bucket->storage, bucket->name, (struct lh_str){0}, "open", &own);
    }
    if (err)
        *err = bucket->problem;
    /* What is not there now is no mistake of who asks. */
    if (err && err->code != LH_BUSY)
        err->code = LH_IO;
    return bucket->problem.code == LH_BUSY ? LH_BUSY : LH_IO;
}

enum lh_code storage_bucket_find(struct storage *storage, struct lh_str name,
                                 struct storage_bucket **ret, struct lh_error *err)
{
    if (lh_str_equal(name, storage->primary.name)) {
        *ret = &storage->primary;
        return LH_OK;
    }
    pthread_mutex_lock(&storage->buckets_mutex);
    struct storage_bucket *bucket = look_up(storage, name);
    enum lh_code code = bucket ? open_again(bucket, err) : fail_unknown(storage, name, err);
    pthread_mutex_unlock(&storage->buckets_mutex);
    if (!code)
        *ret = bucket;
    return code;
}

/* --- what there is */

bool storage_has_bucket(struct storage *storage, struct lh_str name)
{
    pthread_mutex_lock(&storage->buckets_mutex);
    bool has = look_up(storage, name) != NULL;
    pthread_mutex_unlock(&storage->buckets_mutex);
    return has;
}

bool storage_is_remote(struct storage *storage, struct lh_str name)
{
    if (lh_str_equal(name, storage->primary.name))
        return false;
    pthread_mutex_lock(&storage->buckets_mutex);
    const struct storage_bucket *bucket = look_up(storage, name);
    bool is_remote = bucket && bucket->backend->is_remote;
    pthread_mutex_unlock(&storage->buckets_mutex);
    return is_remote;
}

enum lh_code storage_bucket_check(struct storage *storage, struct lh_str name, struct lh_error *err)
{
    pthread_mutex_lock(&storage->buckets_mutex);
    enum lh_code code = look_up(storage, name) ? LH_OK : fail_unknown(storage, name, err);
    pthread_mutex_unlock(&storage->buckets_mutex);
    return code;
}

static void describe(struct storage *storage, const struct storage_bucket *bucket,
                     struct lh_arena *arena, struct storage_bucket_info *ret)
{
    *ret = (struct storage_bucket_info){
        .is_configured = bucket->is_configured,
        .is_rescue = storage->rescue.len && lh_str_equal(bucket->name, storage->rescue),
        .is_remote = bucket->backend->is_remote,
    };
    bucket_options_copy(&bucket->options, arena, &ret->options);
    ret->options.name = lh_arena_str(arena, bucket->name);
    if (bucket->problem.code)
        ret->problem = lh_arena_str(arena, lh_str_of(bucket->problem.message));
}

void storage_bucket_list(struct storage *storage, struct lh_arena *arena,
                         struct storage_bucket_info **ret, size_t *ret_count)
{
    size_t count = 0;
    struct storage_bucket_info *items = lh_arena_array(arena, STORAGE_BUCKETS_MAX, sizeof *items);
    pthread_mutex_lock(&storage->buckets_mutex);
    describe(storage, &storage->primary, arena, &items[count++]);
    for (struct storage_bucket *at = storage->buckets; at; at = at->next)
        describe(storage, at, arena, &items[count++]);
    pthread_mutex_unlock(&storage->buckets_mutex);
    *ret = items;
    *ret_count = count;
}

void storage_bucket_names(struct storage *storage, struct lh_arena *arena, struct lh_str **ret,
                          size_t *ret_count)
{
    struct storage_bucket_info *items = NULL;
    storage_bucket_list(storage, arena, &items, ret_count);
    *ret = lh_arena_array(arena, *ret_count, sizeof **ret);
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = items[i].options.name;
}

enum lh_code storage_bucket_probe(struct storage *storage, struct lh_str name,
                                  const struct lh_cancel *cancel, struct lh_error *err)
{
    struct storage_bucket *bucket = NULL;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = storage_bucket_find(storage, name, &bucket, &own);
    bool is_there = bucket != NULL;
    if (!code)
        code = bucket->backend->probe(bucket, cancel, &own);
    if (is_there && code != LH_CANCELLED && code != LH_STOPPING) {
        pthread_mutex_lock(&storage->buckets_mutex);
        bucket->problem = own;
        bucket->problem.code = code;
        pthread_mutex_unlock(&storage->buckets_mutex);
    }
    if (code && err)
        *err = own;
    return code;
}

void storage_buckets_look(struct storage *storage)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_bucket_info *items = NULL;
    size_t count = 0;
    storage_bucket_list(storage, arena, &items, &count);
    for (size_t i = 0; i < count; i++) {
        struct storage_bucket *bucket = NULL;
        struct lh_error err = LH_ERROR_NONE;
        if (items[i].is_remote ||
            storage_bucket_find(storage, items[i].options.name, &bucket, &err))
            continue; /* it is its problem already */
        if (bucket->backend->look(bucket, &err))
            lh_log_error(LH_LOG_WARN, "storage.bucket", &err);
    }
    lh_arena_free(arena);
}

/* --- holding */

enum lh_code storage_bucket_hold(struct storage *storage, struct lh_str name, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&storage->buckets_mutex);
    struct storage_bucket *bucket = look_up(storage, name);
    if (!bucket || bucket->is_leaving)
        code = fail_unknown(storage, name, err);
    else
        bucket->holds++;
    pthread_mutex_unlock(&storage->buckets_mutex);
    return code;
}

void storage_bucket_let_go(struct storage *storage, struct lh_str name)
{
    pthread_mutex_lock(&storage->buckets_mutex);
    struct storage_bucket *bucket = look_up(storage, name);
    if (bucket && bucket->holds)
        bucket->holds--;
    pthread_mutex_unlock(&storage->buckets_mutex);
}

bool storage_bucket_is_held(struct storage *storage, struct lh_str name)
{
    pthread_mutex_lock(&storage->buckets_mutex);
    const struct storage_bucket *bucket = look_up(storage, name);
    bool is_held = bucket && bucket->holds;
    pthread_mutex_unlock(&storage->buckets_mutex);
    return is_held;
}

/* --- adding */

/* Under the mutex. */
static enum lh_code check_new(struct storage *storage, const struct storage_bucket_options *options,
                              struct lh_error *err)
{
    struct lh_str root = options->root;
    size_t count = 1;
    while (root.len > 1 && root.data[root.len - 1] == '/')
        root.len--;
    struct storage_bucket_options place = *options;
    place.root = root;
    if (look_up(storage, options->name))
        return lh_fail(err, LH_EXISTS, "There is a bucket '%.*s' already.", LH_ARG(options->name));
    for (struct storage_bucket *at = storage->buckets; at; at = at->next, count++)
        if (bucket_is_same_place(&at->options, &place))
            return lh_fail(err, LH_CONFLICT, "The bucket '%.*s' is in that very place.",
                           LH_ARG(at->name));
    if (count >= STORAGE_BUCKETS_MAX)
        return lh_fail(err, LH_TOO_LARGE, "There are %d buckets, which is the most.",
                       STORAGE_BUCKETS_MAX);
    return LH_OK;
}

/* The same without it. */
static enum lh_code check_free(struct storage *storage,
                               const struct storage_bucket_options *options, struct lh_error *err)
{
    pthread_mutex_lock(&storage->buckets_mutex);
    enum lh_code code = check_new(storage, options, err);
    pthread_mutex_unlock(&storage->buckets_mutex);
    return code;
}

static void insert(struct storage *storage, struct storage_bucket *bucket)
{
    struct storage_bucket **at = &storage->buckets;
    while (*at && lh_str_compare((*at)->name, bucket->name) < 0)
        at = &(*at)->next;
    bucket->next = *at;
    *at = bucket;
}

enum lh_code storage_bucket_add(struct storage *storage,
                                const struct storage_bucket_options *options, struct lh_error *err)
{
    enum lh_code code = bucket_options_check(options, err);
    if (!code)
        code = storage_check_writable(storage, err);
    if (code)
        return code;
    struct storage_bucket *bucket = bucket_new(storage, options);
    if (!bucket)
        return lh_fail(err, LH_BUSY, "There is no memory for a bucket.");
    code = check_free(storage, &bucket->options, err);
    if (!code)
        code = bucket->backend->open(bucket, err);
    if (!code)
        code = bucket->backend->probe(bucket, NULL, err);
    pthread_mutex_lock(&storage->buckets_mutex);
    if (!code)
        code = check_new(storage, &bucket->options, err); /* again: another may have been faster */
    if (!code)
        code = bucket_record_write(storage, &bucket->options, err);
    bucket->is_known = true;
    if (!code)
        insert(storage, bucket);
    pthread_mutex_unlock(&storage->buckets_mutex);
    if (code)
        bucket_free(bucket);
    return code;
}

/* --- removing */

static enum lh_code check_may_leave(struct storage *storage, const struct storage_bucket *bucket,
                                    struct lh_error *err)
{
    if (bucket == &storage->primary)
        return lh_fail(err, LH_FORBIDDEN, "The bucket 'primary' is the lake itself.");
    if (storage->rescue.len && lh_str_equal(bucket->name, storage->rescue))
        return lh_fail(err, LH_FORBIDDEN, "The bucket '%.*s' is the one that rescues reads.",
                       LH_ARG(bucket->name));
    if (bucket->is_configured) {
        lh_fail(err, LH_FORBIDDEN, "The configuration lists the bucket '%.*s'.",
                LH_ARG(bucket->name));
        return lh_error_hint(err, "Take it out of the configuration, restart, and remove it then.");
    }
    if (bucket->holds || bucket->is_leaving) {
        lh_fail(err, LH_CONFLICT, "Somebody is putting something into the bucket '%.*s'.",
                LH_ARG(bucket->name));
        return lh_error_hint(err, "Try again when that has ended.");
    }
    return LH_OK;
}

static void unlist(struct storage *storage, struct storage_bucket *bucket)
{
    struct storage_bucket **at = &storage->buckets;
    while (*at != bucket)
        at = &(*at)->next;
    *at = bucket->next;
    bucket->next = storage->left;
    storage->left = bucket;
}

enum lh_code storage_bucket_remove(struct storage *storage, struct lh_str name,
                                   enum lh_code (*check)(void *context, struct lh_str name,
                                                         struct lh_error *err),
                                   void *context, struct lh_error *err)
{
    enum lh_code code = storage_check_writable(storage, err);
    if (code)
        return code;
    pthread_mutex_lock(&storage->buckets_mutex);
    struct storage_bucket *bucket = look_up(storage, name);
    code = bucket ? check_may_leave(storage, bucket, err) : fail_unknown(storage, name, err);
    assert(code || bucket);
    if (!code)
        bucket->is_leaving = true;
    pthread_mutex_unlock(&storage->buckets_mutex);
    if (code)
        return code;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str key = bucket_record_key(bucket->name, arena);
    code = check(context, bucket->name, err);
    if (!code)
        code = storage_trash(storage, STORAGE_PRIMARY, &key, 1, err);
    pthread_mutex_lock(&storage->buckets_mutex);
    bucket->is_leaving = false;
    if (!code)
        unlist(storage, bucket);
    pthread_mutex_unlock(&storage->buckets_mutex);
    lh_arena_free(arena);
    return code;
}

/* --- adopting */

bool storage_bucket_is_inherited(struct storage *storage, struct lh_str name)
{
    pthread_mutex_lock(&storage->buckets_mutex);
    const struct storage_bucket *bucket = look_up(storage, name);
    bool is_inherited = bucket && bucket->is_inherited;
    pthread_mutex_unlock(&storage->buckets_mutex);
    return is_inherited;
}

/* The mark first: ended between the two, it is done again. */
enum lh_code storage_bucket_adopt(struct storage *storage, struct lh_str name, struct lh_error *err)
{
    enum lh_code code = storage_check_writable(storage, err);
    if (code)
        return code;
    pthread_mutex_lock(&storage->buckets_mutex);
    struct storage_bucket *bucket = look_up(storage, name);
    if (!bucket)
        code = fail_unknown(storage, name, err);
    else if (bucket->is_inherited) {
        code = bucket->backend->adopt(bucket, err);
        if (!code)
            code = bucket_record_write(storage, &bucket->options, err);
        if (!code) {
            bucket->is_inherited = false;
            bucket->tried_us = 0;
            code = open_again(bucket, err);
        }
    }
    pthread_mutex_unlock(&storage->buckets_mutex);
    return code;
}

/* --- a life */

static void open_or_note(struct storage_bucket *bucket)
{
    struct lh_error err = LH_ERROR_NONE;
    if (open_again(bucket, &err)) {
        lh_error_context(&err, "The bucket '%.*s' is not available", LH_ARG(bucket->name));
        lh_log_error(LH_LOG_WARN, "storage.bucket", &err);
    }
}

static enum lh_code load_one(struct storage *storage, const struct storage_entry *entry,
                             struct lh_arena *arena, struct lh_error *err)
{
    struct storage_bucket_options options;
    bool is_inherited = false;
    static const char ending[] = ".json";
    struct lh_str name = entry->name;
    if (entry->is_folder || name.len < sizeof ending ||
        !lh_str_equal(lh_str_slice(name, name.len - (sizeof ending - 1), name.len),
                      lh_str_of(ending)))
        return LH_OK;
    name = lh_str_slice(name, 0, name.len - (sizeof ending - 1));
    enum lh_code code = bucket_record_read(storage, name, arena, &options, &is_inherited, err);
    if (code == LH_DAMAGED) { /* what lies there is not readable; everything else is */
        lh_error_context(err, "The bucket '%.*s'", LH_ARG(name));
        lh_log_error(LH_LOG_ERROR, "storage.bucket", err);
        return LH_OK;
    }
    if (code)
        return lh_error_context(err, "The bucket '%.*s'", LH_ARG(name));
    struct storage_bucket *bucket = bucket_new(storage, &options);
    if (!bucket)
        return lh_fail(err, LH_BUSY, "There is no memory for a bucket.");
    bucket->is_known = true;
    bucket->is_inherited = is_inherited;
    insert(storage, bucket);
    return LH_OK;
}

enum lh_code buckets_load(struct storage *storage, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(BUCKETS_FOLDER), arena,
                                     &entries, &count, &own);
    for (size_t i = 0; i < count && i < STORAGE_BUCKETS_MAX - 1 && !code; i++)
        code = load_one(storage, &entries[i], arena, &own);
    if (code && err)
        *err = own;
    lh_arena_free(arena);
    return code;
}

/* In the place of what the record says, if nothing moved. */
static enum lh_code configure_one(struct storage *storage,
                                  const struct storage_bucket_options *options,
                                  struct lh_error *err)
{
    struct storage_bucket *known = look_up(storage, options->name);
    struct storage_bucket *bucket = NULL;
    enum lh_code code = bucket_options_check(options, err);
    if (!code && (known == &storage->primary || (known && known->is_configured)))
        code =
            lh_fail(err, LH_INVALID, "The bucket '%.*s' is listed twice.", LH_ARG(options->name));
    if (!code && !known)
        code = check_new(storage, options, err);
    if (!code && !(bucket = bucket_new(storage, options)))
        code = lh_fail(err, LH_BUSY, "There is no memory for a bucket.");
    if (!code && known && !bucket_is_same_place(&known->options, &bucket->options)) {
        code = lh_fail(err, LH_CONFLICT,
                       "The bucket '%.*s' is configured for another place than "
                       "the one it has.",
                       LH_ARG(options->name));
        lh_error_hint(err, "Give the new place a name of its own.");
    }
    if (code) {
        bucket_free(bucket);
        return code;
    }
    if (known) { /* region and secret may have changed */
        bucket->is_known = true;
        bucket->is_inherited = known->is_inherited;
        unlist(storage, known);
    } else if ((code = bucket->backend->open(bucket, err)) == LH_OK) {
        code = bucket_record_write(storage, &bucket->options, err);
        bucket->is_known = true;
    } else if (code != LH_CONFLICT) {
        bucket->problem.code = LH_IO; /* told when it is opened, below */
        code = LH_OK;
    }
    bucket->is_configured = true;
    insert(storage, bucket);
    return code;
}

enum lh_code storage_buckets_configure(struct storage *storage,
                                       const struct storage_bucket_options *items, size_t count,
                                       struct lh_str rescue, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&storage->buckets_mutex);
    for (size_t i = 0; i < count && !code; i++)
        code = configure_one(storage, &items[i], err);
    if (!code && rescue.len && !look_up(storage, rescue)) {
        code = lh_fail(err, LH_INVALID, "The rescue bucket '%.*s' is not among the buckets.",
                       LH_ARG(rescue));
        lh_error_field(err, lh_lit("storage.rescue_bucket"));
    }
    if (!code && rescue.len)
        storage->rescue = lh_arena_str(storage->arena, rescue);
    for (struct storage_bucket *at = storage->buckets; at && !code; at = at->next)
        open_or_note(at);
    pthread_mutex_unlock(&storage->buckets_mutex);
    return code;
}

static void free_list(struct storage_bucket *first)
{
    while (first) {
        struct storage_bucket *next = first->next;
        bucket_free(first);
        first = next;
    }
}

void buckets_close(struct storage *storage)
{
    free_list(storage->buckets);
    free_list(storage->left);
    storage->buckets = storage->left = NULL;
}
