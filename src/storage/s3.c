/* The backend on a store of the S3 protocol. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/secret.h"
#include "storage/cache.h"
#include "storage/held_internal.h"
#include "storage/s3_internal.h"

#define MARK_BYTES_MAX ((size_t)4096)

static struct lh_str host_of(struct lh_str endpoint)
{
    bool is_secure = lh_str_starts_with(endpoint, lh_lit("https://"));
    struct lh_str host = lh_str_slice(endpoint, is_secure ? 8 : 7, endpoint.len);
    struct lh_str preset = is_secure ? lh_lit(":443") : lh_lit(":80");
    if (host.len > preset.len &&
        lh_str_equal(lh_str_slice(host, host.len - preset.len, host.len), preset))
        host.len -= preset.len; /* the client does not send it either */
    return host;
}

/* Asks nobody: whether the store answers shows the first request. */
static enum lh_code open_bucket(struct storage_bucket *bucket, struct lh_error *err)
{
    struct s3 *s3 = calloc(1, sizeof *s3);
    if (!s3)
        return lh_fail(err, LH_BUSY, "There is no memory for a bucket.");
    s3->bucket = bucket;
    s3->host = host_of(bucket->options.endpoint);
    s3->region = bucket->options.region.len ? bucket->options.region : lh_lit("us-east-1");
    pthread_mutex_init(&s3->mutex, NULL);
    bucket->state = s3;
    return LH_OK;
}

static void close_bucket(struct storage_bucket *bucket)
{
    struct s3 *s3 = bucket->state;
    bucket->state = NULL;
    if (!s3)
        return;
    for (size_t i = 0; i < s3->client_count; i++)
        http_client_free(s3->clients[i]);
    pthread_mutex_destroy(&s3->mutex);
    lh_wipe(&s3->keys, sizeof s3->keys);
    free(s3);
}

/* --- reading small ones */

static enum lh_code get_key(struct s3 *s3, struct lh_str key, size_t bytes_max,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct lh_str *ret, struct lh_error *err)
{
    struct s3_call call = {.method = "GET",
                           .key = key,
                           .response_bytes_max = bytes_max > 4096 ? bytes_max : 4096,
                           .cancel = cancel};
    struct s3_answer answer = {0};
    enum lh_code code = s3_send(s3, &call, &answer, err);
    if (code == LH_TOO_LARGE)
        return lh_fail(err, LH_TOO_LARGE, "The object '%.*s' has more than %zu bytes.", LH_ARG(key),
                       bytes_max);
    if (code)
        return code;
    struct lh_str text = lh_buf_str(&answer.response.body);
    if (answer.response.status >= 300)
        code = s3_fail(s3, &answer, key, err);
    else if (text.len > bytes_max)
        code = lh_fail(err, LH_TOO_LARGE, "The object '%.*s' has more than %zu bytes.", LH_ARG(key),
                       bytes_max);
    else if (!lh_arena_try_str(arena, text, ret))
        code = lh_fail(err, LH_BUSY, "There is no memory for the object '%.*s'.", LH_ARG(key));
    s3_answer_release(&answer);
    return code;
}

static enum lh_code get(struct storage_bucket *bucket, const char *key, size_t bytes_max,
                        struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    return get_key(bucket->state, lh_str_of(key), bytes_max, NULL, arena, ret, err);
}

static enum lh_code remove_key(struct s3 *s3, struct lh_str key, const struct lh_cancel *cancel,
                               struct lh_error *err)
{
    struct s3_call call = {.method = "DELETE", .key = key, .cancel = cancel};
    struct s3_answer answer = {0};
    enum lh_code code = s3_send(s3, &call, &answer, err);
    if (code)
        return code;
    if (answer.response.status >= 300 && answer.response.status != 404)
        code = s3_fail(s3, &answer, key, err);
    s3_answer_release(&answer);
    return code;
}

/* --- the probe: its keys open it, its place is ours, and it takes a put only where there is none
 */

static enum lh_code claim(struct s3 *s3, const struct lh_cancel *cancel, struct lh_arena *arena,
                          struct lh_error *err)
{
    struct lh_str key = lh_lit(BUCKET_FILE), text = {0};
    enum lh_code code =
        s3_put_text(s3, bucket_mark_text(s3->bucket, arena), key, true, cancel, err);
    if (code != LH_EXISTS)
        return code;
    code = get_key(s3, key, MARK_BYTES_MAX, cancel, arena, &text, err);
    return code ? code : bucket_mark_check(s3->bucket, text, err);
}

static enum lh_code try_condition(struct s3 *s3, const struct lh_cancel *cancel,
                                  struct lh_arena *arena, struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_str key = lh_arena_printf(arena, S3_PROBE_FOLDER "/%s", uuid.text);
    enum lh_code code = s3_put_text(s3, lh_lit("probe\n"), key, true, cancel, err);
    if (code)
        return code;
    code = s3_put_text(s3, lh_lit("probe again\n"), key, true, cancel, err);
    if (!code) {
        code = lh_fail(err, LH_IO,
                       "The store of the bucket '%.*s' puts one object over another "
                       "although it is told not to.",
                       LH_ARG(s3->bucket->name));
        lh_error_hint(err, "It must know `If-None-Match: *`.");
    } else if (code == LH_EXISTS) {
        code = LH_OK;
    }
    enum lh_code removed = remove_key(s3, key, cancel, code ? NULL : err);
    return code ? code : removed;
}

static enum lh_code probe(struct storage_bucket *bucket, const struct lh_cancel *cancel,
                          struct lh_error *err)
{
    struct s3 *s3 = bucket->state;
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = claim(s3, cancel, arena, err);
    if (!code)
        code = try_condition(s3, cancel, arena, err);
    lh_arena_free(arena);
    pthread_mutex_lock(&s3->mutex);
    s3->is_probed = !code;
    pthread_mutex_unlock(&s3->mutex);
    return code;
}

/* --- writing */

static enum lh_code prepare(struct storage_bucket *bucket, const char *key, struct lh_error *err)
{
    struct s3 *s3 = bucket->state;
    (void)key;
    pthread_mutex_lock(&s3->mutex);
    bool is_probed = s3->is_probed;
    pthread_mutex_unlock(&s3->mutex);
    return is_probed ? LH_OK : probe(bucket, NULL, err);
}

static enum lh_code put(struct storage_bucket *bucket, const char *staged, const char *key,
                        bool is_exclusive, bool *ret_is_unknown, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_sum sum;
    struct lh_str path =
        lh_arena_printf(arena, "%.*s/%s", LH_ARG(storage_path(bucket->storage)), staged);
    *ret_is_unknown = false;
    if (!is_exclusive)
        cache_forget(bucket, key);
    enum lh_code code =
        s3_put_file(bucket->state, path, lh_str_of(key), is_exclusive, &sum, ret_is_unknown, err);
    lh_arena_free(arena);
    /* The file itself is what the next reader wants. One that stays is swept at the next opening.
     */
    if (!code && (!is_exclusive || !cache_adopt(bucket, key, staged, &sum)) &&
        lh_file_remove(bucket->storage->dir, staged, NULL) != LH_OK)
        return LH_OK;
    return code;
}

static enum lh_code publish(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err)
{
    return put(bucket, staged, key, true, ret_is_unknown, err);
}

static enum lh_code replace(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err)
{
    return put(bucket, staged, key, false, ret_is_unknown, err);
}

/* What a store has answered for lasts. */
static enum lh_code settle(struct storage_bucket *bucket, const char *key, struct lh_error *err)
{
    (void)bucket;
    (void)key;
    (void)err;
    return LH_OK;
}

/* --- reading */

static enum lh_code info(struct storage_bucket *bucket, const char *key, struct storage_info *ret,
                         struct lh_error *err)
{
    struct s3 *s3 = bucket->state;
    struct s3_call call = {.method = "HEAD", .key = lh_str_of(key)};
    struct s3_answer answer = {0};
    int64_t bytes = 0;
    enum lh_code code = s3_send(s3, &call, &answer, err);
    if (code)
        return code;
    if (answer.response.status >= 300)
        code = s3_fail(s3, &answer, lh_str_of(key), err);
    else if (!lh_str_to_int(http_client_response_header(&answer.response, "Content-Length"),
                            &bytes))
        code = lh_fail(err, LH_IO, "The store does not say how long '%s' is.", key);
    s3_answer_release(&answer);
    if (!code)
        *ret = (struct storage_info){.bytes = bytes};
    return code;
}

static enum lh_code add_to_sum(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    lh_sha256_add(context, bytes.data, bytes.len);
    return LH_OK;
}

static enum lh_code sum(struct storage_bucket *bucket, const char *key,
                        const struct lh_cancel *cancel, struct storage_sum *ret,
                        struct lh_error *err)
{
    struct lh_sha256 *hash = lh_sha256_new();
    const struct s3_reading reading = {
        .key = lh_str_of(key), .cancel = cancel, .take = add_to_sum, .context = hash};
    int64_t bytes = 0;
    enum lh_code code = s3_read(bucket->state, &reading, &bytes, err);
    if (!code) {
        ret->bytes = bytes;
        lh_sha256_finish(hash, ret->sha256);
    }
    lh_sha256_free(hash);
    return code;
}

enum lh_code s3_write_to_file(void *context, struct lh_str bytes, struct lh_error *err)
{
    return lh_file_write(*(const int *)context, bytes.data, bytes.len, err);
}

static enum lh_code fetch(struct storage_bucket *bucket, const char *key, int fd,
                          const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct s3_reading reading = {
        .key = lh_str_of(key), .cancel = cancel, .take = s3_write_to_file, .context = &fd};
    int64_t bytes = 0;
    return s3_read(bucket->state, &reading, &bytes, err);
}

static enum lh_code path(struct storage_bucket *bucket, const char *key, struct lh_arena *arena,
                         struct lh_str *ret, struct lh_error *err)
{
    (void)err;
    *ret = cache_path(bucket, key, arena);
    return LH_OK;
}

/* --- lists */

struct listing {
    struct s3 *s3;
    struct lh_str start; /* what all names that are asked for begin with, the prefix included */
    bool is_deep;        /* everything below, not only what stands directly there */
    struct lh_arena *arena;
    struct storage_entry *entries;
    size_t count, capacity;
};

#define ENTRIES_MAX ((size_t)2000000)

static enum lh_code add_entry(struct listing *listing, const struct storage_entry *entry,
                              struct lh_error *err)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 256;
        struct storage_entry *entries =
            capacity <= ENTRIES_MAX ? lh_arena_try(listing->arena, capacity * sizeof *entries)
                                    : NULL;
        if (!entries)
            return lh_fail(err, LH_TOO_LARGE, "The folder has too many entries.");
        if (listing->count)
            memcpy(entries, listing->entries, listing->count * sizeof *entries);
        listing->entries = entries;
        listing->capacity = capacity;
    }
    listing->entries[listing->count++] = *entry;
    return LH_OK;
}

static enum lh_code add_page(struct listing *listing, struct lh_str page, struct lh_str *ret_next,
                             struct lh_error *err)
{
    struct lh_str at = page, element = {0};
    enum lh_code code = LH_OK;
    bool is_encoded = lh_str_equal(s3_xml_next(&at, "EncodingType"), lh_lit("url"));
    at = page;
    while (!code && (element = s3_xml_next(&at, "Contents")).data) {
        struct lh_str inner = element;
        struct lh_str raw = s3_xml_next(&inner, "Key");
        struct storage_entry entry = {.name = is_encoded ? s3_url_text(raw, listing->arena)
                                                         : s3_xml_text(raw, listing->arena)};
        inner = element;
        if (!lh_str_to_int(s3_xml_next(&inner, "Size"), &entry.bytes) ||
            !lh_str_starts_with(entry.name, listing->start))
            return lh_fail(err, LH_IO, "The store's list cannot be understood.");
        entry.name = lh_str_slice(entry.name, listing->start.len, entry.name.len);
        if (entry.name.len && entry.name.data[entry.name.len - 1] != '/')
            code = add_entry(listing, &entry, err);
    }
    at = page;
    while (!code && (element = s3_xml_next(&at, "CommonPrefixes")).data) {
        struct lh_str raw = s3_xml_next(&element, "Prefix");
        struct lh_str name =
            is_encoded ? s3_url_text(raw, listing->arena) : s3_xml_text(raw, listing->arena);
        if (!lh_str_starts_with(name, listing->start) || name.len <= listing->start.len + 1)
            continue;
        struct storage_entry entry = {
            .name = lh_str_slice(name, listing->start.len, name.len - listing->start.len - 1),
            .is_folder = true};
        code = add_entry(listing, &entry, err);
    }
    at = page;
    bool is_cut = lh_str_equal(s3_xml_next(&at, "IsTruncated"), lh_lit("true"));
    at = page;
    *ret_next = is_cut ? s3_xml_text(s3_xml_next(&at, "NextContinuationToken"), listing->arena)
                       : (struct lh_str){0};
    if (!code && is_cut && !ret_next->len)
        code = lh_fail(err, LH_IO, "The store's list does not say how it goes on.");
    return code;
}

static enum lh_code list_pages(struct listing *listing, struct lh_error *err)
{
    struct lh_str next = {0};
    enum lh_code code = LH_OK;
    do {
        struct s3_call call = {.method = "GET"};
        struct s3_answer answer = {0};
        s3_query(&call, "list-type", lh_lit("2"));
        s3_query(&call, "encoding-type", lh_lit("url"));
        s3_query(&call, "prefix", listing->start);
        if (!listing->is_deep)
            s3_query(&call, "delimiter", lh_lit("/"));
        if (next.len)
            s3_query(&call, "continuation-token", next);
        code = s3_send(listing->s3, &call, &answer, err);
        if (code)
            return code;
        if (answer.response.status >= 300)
            code = s3_fail(listing->s3, &answer, listing->start, err);
        else
            code = add_page(listing, lh_buf_str(&answer.response.body), &next, err);
        s3_answer_release(&answer);
    } while (!code && next.len);
    return code;
}

static int compare_entries(const void *a, const void *b)
{
    return lh_str_compare(((const struct storage_entry *)a)->name,
                          ((const struct storage_entry *)b)->name);
}

struct lh_str s3_start(const struct s3 *s3, const char *folder, struct lh_arena *arena)
{
    struct lh_str prefix = s3->bucket->options.prefix;
    return lh_arena_printf(arena, "%.*s%s%s%s", LH_ARG(prefix), prefix.len ? "/" : "", folder,
                           *folder ? "/" : "");
}

static enum lh_code list(struct storage_bucket *bucket, const char *folder, struct lh_arena *arena,
                         struct storage_entry **ret, size_t *ret_count, struct lh_error *err)
{
    struct listing listing = {
        .s3 = bucket->state, .start = s3_start(bucket->state, folder, arena), .arena = arena};
    enum lh_code code = list_pages(&listing, err);
    if (code)
        return code;
    if (listing.count)
        qsort(listing.entries, listing.count, sizeof *listing.entries, compare_entries);
    *ret = listing.entries;
    *ret_count = listing.count;
    return LH_OK;
}

enum lh_code s3_list_deep(struct storage_bucket *bucket, struct lh_arena *arena,
                          struct storage_entry **ret, size_t *ret_count, struct lh_error *err)
{
    struct listing listing = {.s3 = bucket->state,
                              .start = s3_start(bucket->state, "", arena),
                              .is_deep = true,
                              .arena = arena};
    enum lh_code code = list_pages(&listing, err);
    if (!code) {
        *ret = listing.entries;
        *ret_count = listing.count;
    }
    return code;
}

/* --- removing */

static enum lh_code copy(struct s3 *s3, struct lh_str from, struct lh_str to,
                         struct lh_arena *arena, struct lh_error *err)
{
    const struct storage_bucket_options *options = &s3->bucket->options;
    struct s3_call call = {.method = "PUT", .key = to};
    struct s3_answer answer = {0};
    struct lh_str source =
        lh_arena_printf(arena, "/%.*s/%.*s%s%.*s", LH_ARG(options->bucket), LH_ARG(options->prefix),
                        options->prefix.len ? "/" : "", LH_ARG(from));
    s3_header(&call, "x-amz-copy-source", sign_encode(source, true, arena));
    enum lh_code code = s3_send(s3, &call, &answer, err);
    if (code)
        return code;
    struct lh_str body = lh_buf_str(&answer.response.body);
    if (answer.response.status >= 300)
        code = s3_fail(s3, &answer, from, err);
    else if (s3_xml_next(&body, "Code").len) /* it may begin to answer before it is done */
        code = lh_fail(err, LH_IO, "The store of the bucket '%.*s' could not copy an object.",
                       LH_ARG(s3->bucket->name));
    s3_answer_release(&answer);
    return code;
}

static enum lh_code trash(struct storage_bucket *bucket, const char *key, const char *folder,
                          struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = copy(bucket->state, lh_str_of(key),
                             lh_arena_printf(arena, "%s/%s", folder, key), arena, err);
    if (!code)
        code = remove_key(bucket->state, lh_str_of(key), NULL, err);
    if (!code || code == LH_NOT_FOUND) {
        cache_forget(bucket, key);
        code = LH_OK;
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code sweep(struct storage_bucket *bucket, int64_t age_ms, int64_t *bytes,
                          struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    int64_t now_ms = lh_clock_unix_ms();
    struct listing listing = {.s3 = bucket->state,
                              .start = s3_start(bucket->state, TRASH_FOLDER, arena),
                              .is_deep = true,
                              .arena = arena};
    enum lh_code code = list_pages(&listing, err);
    for (size_t i = 0; i < listing.count && !code; i++) {
        struct lh_str rest = listing.entries[i].name;
        struct lh_str uuid = lh_str_cut(&rest, '/');
        if (!lh_uuid_is_valid(uuid) || now_ms - trash_time(uuid) < age_ms)
            continue;
        code = remove_key(
            bucket->state,
            lh_arena_printf(arena, TRASH_FOLDER "/%.*s", LH_ARG(listing.entries[i].name)), NULL,
            err);
        if (!code)
            *bytes += listing.entries[i].bytes;
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code adopt(struct storage_bucket *bucket, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str key = lh_lit(BUCKET_FILE), text = {0};
    enum lh_code code = open_bucket(bucket, err);
    if (!code)
        code = get_key(bucket->state, key, MARK_BYTES_MAX, NULL, arena, &text, err);
    if (code == LH_NOT_FOUND)
        code = lh_fail(err, LH_IO, "The place of the bucket '%.*s' is not the one that it had.",
                       LH_ARG(bucket->name));
    if (!code)
        code = bucket_mark_check_adoptable(bucket, text, err);
    if (!code)
        code = s3_put_text(bucket->state, bucket_mark_text(bucket, arena), key, false, NULL, err);
    if (bucket->state)
        close_bucket(bucket);
    lh_arena_free(arena);
    return code;
}

const struct storage_backend storage_s3 = {
    .name = "s3",
    .is_remote = true,
    .adopt = adopt,
    .open = open_bucket,
    .close = close_bucket,
    .probe = probe,
    .prepare = prepare,
    .publish = publish,
    .replace = replace,
    .settle = settle,
    .get = get,
    .open_file = cache_open_file,
    .info = info,
    .sum = sum,
    .path = path,
    .list = list,
    .trash = trash,
    .sweep = sweep,
    .held = &held_s3,
    .fetch = fetch,
};
