/* What a bucket is: its options, checked, and how they are written down. */
#include <ctype.h>
#include <stdlib.h>

#include "storage/findings.h"
#include "storage/internal.h"

#define RECORD_BYTES_MAX ((size_t)16384)
#define RECORD_FORMAT 1

static const char *const backend_names[] = {"local", "s3", NULL};
static const struct lh_field bucket_rows[] = {
    LH_STR(struct storage_bucket_options, name, .required = true, .min = 1,
           .max = STORAGE_BUCKET_NAME_BYTES_MAX, .doc = "[a-z0-9][a-z0-9:_-]{0,62}"),
    LH_CHOICE(struct storage_bucket_options, backend, .choices = backend_names,
              LH_PRESET(STORAGE_LOCAL), .doc = "local: a folder; s3: a store of that protocol."),
    LH_STR(struct storage_bucket_options, root, .max = 4000,
           .doc = "local: the folder, as an absolute path; it is made if it is not there."),
    LH_STR(struct storage_bucket_options, endpoint, .max = 255,
           .doc = "s3: the store's address, such as https://s3.example.org."),
    LH_STR(struct storage_bucket_options, region, .max = 64,
           .doc = "s3: the region that requests are signed for; absent = us-east-1."),
    LH_STR(struct storage_bucket_options, bucket, .max = 63,
           .doc = "s3: what the store calls the bucket."),
    LH_STR(struct storage_bucket_options, prefix, .max = 128,
           .doc = "s3: what all keys begin with there, without a slash at its end."),
    LH_STR(struct storage_bucket_options, secret, .max = 64,
           .doc = "s3: the section of the secrets file that has its keys."),
};
const struct lh_fields storage_bucket_fields =
    LH_FIELDS_OF(struct storage_bucket_options, "BucketOptions", bucket_rows);

bool storage_bucket_is_name(struct lh_str name)
{
    bool is_fine = name.len > 0 && name.len <= STORAGE_BUCKET_NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len && is_fine; i++) {
        char c = name.data[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        is_fine = is_plain || (i && (c == ':' || c == '_' || c == '-'));
    }
    return is_fine;
}

static enum lh_code fail_field(struct lh_error *err, const char *field, const char *message)
{
    lh_fail(err, LH_INVALID, "%s", message);
    return lh_error_field(err, lh_str_of(field));
}

static enum lh_code check_local(const struct storage_bucket_options *options, struct lh_error *err)
{
    if (options->endpoint.len || options->region.len || options->bucket.len ||
        options->prefix.len || options->secret.len)
        return fail_field(err, "backend", "A local bucket has a root, and nothing of an S3 store.");
    if (!options->root.len || options->root.data[0] != '/')
        return fail_field(err, "root", "The root of a local bucket is an absolute path.");
    for (struct lh_str rest = options->root; rest.data;)
        if (lh_str_equal(lh_str_cut(&rest, '/'), lh_lit("..")))
            return fail_field(err, "root", "The root of a bucket has no '..' in it.");
    return LH_OK;
}

/* As stores allow them; nothing that could end a path or begin a query. */
static bool is_store_name(struct lh_str name)
{
    bool is_fine = name.len >= 3 && name.data[0] != '.' && name.data[0] != '-';
    for (size_t i = 0; i < name.len && is_fine; i++)
        is_fine = isalnum((unsigned char)name.data[i]) || name.data[i] == '.' ||
                  name.data[i] == '-' || name.data[i] == '_';
    return is_fine;
}

static bool is_endpoint(struct lh_str endpoint)
{
    static const char marks[] = {'.', '-', ':', '[', ']'};
    struct lh_str rest;
    if (lh_str_starts_with(endpoint, lh_lit("https://")))
        rest = lh_str_slice(endpoint, 8, endpoint.len);
    else if (lh_str_starts_with(endpoint, lh_lit("http://")))
        rest = lh_str_slice(endpoint, 7, endpoint.len);
    else
        return false;
    bool is_fine = rest.len > 0;
    for (size_t i = 0; i < rest.len && is_fine; i++)
        is_fine = isalnum((unsigned char)rest.data[i]) || memchr(marks, rest.data[i], sizeof marks);
    return is_fine;
}

static enum lh_code check_s3(const struct storage_bucket_options *options, struct lh_error *err)
{
    if (options->root.len)
        return fail_field(err, "root", "A bucket of an S3 store has no root.");
    if (!is_endpoint(options->endpoint)) {
        fail_field(err, "endpoint", "The endpoint of an S3 store is http(s)://host or host:port.");
        return lh_error_hint(err, "Without path, user or password: https://s3.example.org");
    }
    if (!is_store_name(options->bucket))
        return fail_field(err, "bucket", "The store's name of the bucket is missing or no such.");
    for (size_t i = 0; i < options->region.len; i++)
        if (!isalnum((unsigned char)options->region.data[i]) && options->region.data[i] != '-')
            return fail_field(err, "region", "A region has letters, digits and '-' only.");
    if (options->prefix.len && storage_key_check(options->prefix, NULL) != LH_OK)
        return fail_field(err, "prefix", "The prefix is no key, or ends in a slash.");
    if (!options->secret.len)
        return fail_field(err, "secret",
                          "The id of the store's keys in the secrets file is missing.");
    return LH_OK;
}

enum lh_code bucket_options_check(const struct storage_bucket_options *options,
                                  struct lh_error *err)
{
    if (!storage_bucket_is_name(options->name)) {
        lh_fail(err, LH_INVALID, "'%.*s' is no name of a bucket.", LH_ARG(options->name));
        lh_error_hint(err, "Lower-case letters, digits, ':', '_' and '-'; the first is a letter or "
                           "a digit; 63 at most.");
        return lh_error_field(err, lh_lit("name"));
    }
    return options->backend == STORAGE_S3 ? check_s3(options, err) : check_local(options, err);
}

void bucket_options_copy(const struct storage_bucket_options *from, struct lh_arena *arena,
                         struct storage_bucket_options *ret)
{
    struct lh_str root = from->root;
    while (root.len > 1 && root.data[root.len - 1] == '/')
        root.len--;
    *ret = (struct storage_bucket_options){
        .name = lh_arena_str(arena, from->name),
        .backend = from->backend == STORAGE_S3 ? STORAGE_S3 : STORAGE_LOCAL,
        .root = lh_arena_str(arena, root),
        .endpoint = lh_arena_str(arena, from->endpoint),
        .region = lh_arena_str(arena, from->region),
        .bucket = lh_arena_str(arena, from->bucket),
        .prefix = lh_arena_str(arena, from->prefix),
        .secret = lh_arena_str(arena, from->secret),
    };
}

bool bucket_is_same_place(const struct storage_bucket_options *a,
                          const struct storage_bucket_options *b)
{
    if (a->backend != b->backend)
        return false;
    if (a->backend == STORAGE_LOCAL)
        return lh_str_equal(a->root, b->root);
    return lh_str_equal(a->endpoint, b->endpoint) && lh_str_equal(a->bucket, b->bucket) &&
           lh_str_equal(a->prefix, b->prefix);
}

/* --- the record in primary */

struct lh_str bucket_record_key(struct lh_str name, struct lh_arena *arena)
{
    return lh_arena_printf(arena, BUCKETS_FOLDER "/%.*s.json", LH_ARG(name));
}

enum lh_code bucket_record_text(struct lh_str lake, const struct storage_bucket_options *options,
                                struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, RECORD_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "format", RECORD_FORMAT);
    lh_json_put_str(&json, "lake", lake);
    lh_json_key(&json, "bucket");
    lh_fields_write(&storage_bucket_fields, options, &json);
    lh_json_object_end(&json);
    lh_buf_append_str(&buf, lh_lit("\n"));
    enum lh_code code = lh_buf_check(&buf, "The record of the bucket", err);
    if (!code)
        *ret = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return code;
}

enum lh_code bucket_record_write(struct storage *storage,
                                 const struct storage_bucket_options *options, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = {0};
    enum lh_code code = bucket_record_text(storage_id(storage), options, arena, &text, err);
    if (!code)
        code = storage_put_replacing(storage, STORAGE_PRIMARY,
                                     bucket_record_key(options->name, arena), text, err);
    lh_arena_free(arena);
    return code;
}

/* The member `name` of a parsed record of ours. */
static enum lh_code parse_record(struct lh_str text, const char *what, int64_t format_max,
                                 json_t **ret, struct lh_error *err)
{
    enum lh_code code = lh_json_parse(text, what, RECORD_BYTES_MAX, ret, err);
    if (code)
        return lh_fail(err, LH_DAMAGED, "%s is not what was written.", what);
    const json_t *format = json_object_get(*ret, "format");
    if (!json_is_integer(format) || json_integer_value(format) < 1)
        code = lh_fail(err, LH_DAMAGED, "%s is not what was written.", what);
    else if (json_integer_value(format) > format_max)
        code = lh_fail(err, LH_FORMAT, "%s was written by a newer release.", what);
    if (code) {
        json_decref(*ret);
        *ret = NULL;
    }
    return code;
}

enum lh_code bucket_record_read(struct storage *storage, struct lh_str name, struct lh_arena *arena,
                                struct storage_bucket_options *ret, bool *ret_is_inherited,
                                struct lh_error *err)
{
    struct lh_str text = {0};
    json_t *root = NULL;
    struct storage_bucket_options options;
    lh_fields_preset(&storage_bucket_fields, &options);
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, bucket_record_key(name, arena),
                                    RECORD_BYTES_MAX, arena, &text, err);
    if (!code)
        code = parse_record(text, "The record of the bucket", RECORD_FORMAT, &root, err);
    if (code)
        return code;
    const json_t *bucket = json_object_get(root, "bucket");
    if (!json_is_object(bucket) ||
        lh_fields_bind_json(&storage_bucket_fields, bucket, arena, &options, NULL) ||
        bucket_options_check(&options, NULL) || !lh_str_equal(options.name, name))
        code = lh_fail(err, LH_DAMAGED, "The record of the bucket is not what was written.");
    const json_t *lake = json_object_get(root, "lake"); /* absent in older ones */
    *ret_is_inherited =
        lake ? !lh_str_equal(lh_json_text(lake), storage_id(storage)) : storage->restored_count > 0;
    json_decref(root);
    if (!code)
        bucket_options_copy(&options, arena, ret);
    return code;
}

/* --- the mark in its own place */

struct lh_str bucket_mark_text_of(struct lh_str lake, struct lh_arena *arena)
{
    return lh_arena_printf(arena, "{\"format\":1,\"lake\":\"%.*s\"}\n", LH_ARG(lake));
}

struct lh_str bucket_mark_text(const struct storage_bucket *bucket, struct lh_arena *arena)
{
    return bucket_mark_text_of(storage_id(bucket->storage), arena);
}

static bool is_ancestor(const struct storage *storage, struct lh_str lake)
{
    bool is_one = false;
    for (size_t i = 0; i < storage->restored_count && !is_one; i++)
        is_one = lh_str_equal(storage->restored_from[i], lake);
    return is_one;
}

static enum lh_code check_mark(const struct storage_bucket *bucket, struct lh_str text,
                               bool allows_ancestors, struct lh_error *err)
{
    json_t *root = NULL;
    enum lh_code code = parse_record(text, "The mark `" BUCKET_FILE "`", RECORD_FORMAT, &root, err);
    if (code)
        return lh_error_context(err, "The place of the bucket '%.*s'", LH_ARG(bucket->name));
    struct lh_str lake = lh_json_text(json_object_get(root, "lake"));
    if (!lh_str_equal(lake, storage_id(bucket->storage)) &&
        !(allows_ancestors && is_ancestor(bucket->storage, lake))) {
        code = lh_fail(err, LH_CONFLICT, "The place of the bucket '%.*s' belongs to another lake.",
                       LH_ARG(bucket->name));
        lh_error_hint(err, "Give every lake a folder or a prefix of its own.");
    }
    json_decref(root);
    return code;
}

enum lh_code bucket_mark_check(const struct storage_bucket *bucket, struct lh_str text,
                               struct lh_error *err)
{
    return check_mark(bucket, text, false, err);
}

enum lh_code bucket_mark_check_adoptable(const struct storage_bucket *bucket, struct lh_str text,
                                         struct lh_error *err)
{
    return check_mark(bucket, text, true, err);
}

void bucket_inherited_fail(struct lh_str name, struct lh_error *err)
{
    lh_fail(err, LH_IO, "The bucket '%.*s' is that of the lake which this one was restored from.",
            LH_ARG(name));
    lh_error_hint(err,
                  "Stop that lake, then adopt the bucket: POST /storage/buckets/%.*s/adopt. Until "
                  "then nothing is read or written there.",
                  LH_ARG(name));
}

/* --- offline */

enum lh_code storage_buckets_verify(struct storage *storage, struct storage_findings *findings,
                                    int64_t *ret_count, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(BUCKETS_FOLDER), arena,
                                     &entries, &count, err);
    *ret_count = 0;
    for (size_t i = 0; i < count && !code; i++) {
        struct storage_bucket_options options;
        struct storage_bucket *bucket = NULL;
        struct lh_error why = LH_ERROR_NONE;
        bool is_inherited = false;
        struct lh_str name = entries[i].name;
        size_t ending = sizeof ".json" - 1;
        if (entries[i].is_folder || entries[i].is_special || name.len <= ending) {
            storage_find(findings, true, entries[i].key, "It is no file that a lakehouse makes.");
            continue;
        }
        name = lh_str_slice(name, 0, name.len - ending);
        if (bucket_record_read(storage, name, arena, &options, &is_inherited, &why) ||
            storage_bucket_find(storage, name, &bucket, &why))
            storage_find(findings, !is_inherited, entries[i].key, "%s", why.message);
        ++*ret_count;
    }
    lh_arena_free(arena);
    return code;
}
