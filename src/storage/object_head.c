/* Heads: what they say, how they are written and read, and which keys there are. */
#include "base/hash.h"
#include "storage/objects_internal.h"

#define HEAD_BYTES_MAX ((size_t)16384)

static const struct lh_field rows[] = {
    LH_INT(struct object_head, format, .required = true, .doc = "Of this file."),
    LH_STR(struct object_head, key, .required = true, .min = 1, .doc = "The object's key."),
    LH_STR(struct object_head, data, .required = true, .min = LH_UUID_TEXT_BYTES,
           .max = LH_UUID_TEXT_BYTES, .doc = "Names the bytes."),
    LH_INT(struct object_head, bytes, .required = true, .min = 0, .doc = "How many there are."),
    LH_STR(struct object_head, sha256, .required = true, .min = LH_SHA256_HEX_BYTES,
           .max = LH_SHA256_HEX_BYTES, .doc = "Of the bytes."),
    LH_STR(struct object_head, content_type, .required = true, .min = 1,
           .max = OBJECT_TYPE_BYTES_MAX, .doc = "What they are said to be."),
    LH_TIME(struct object_head, modified_at, .required = true, .doc = "When they came."),
    LH_STR(struct object_head, modified_by, .doc = "Who brought them."),
    LH_STR(struct object_head, request, .max = 128, .doc = "By which request, if it had a name."),
    LH_BOOL(struct object_head, was_new, .doc = "There was no such object before."),
};
static const struct lh_fields fields = LH_FIELDS_OF(struct object_head, "ObjectHead", rows);

/* --- keys */

static size_t count_parts(struct lh_str key)
{
    size_t count = 1;
    for (size_t i = 0; i < key.len; i++)
        count += key.data[i] == '/';
    return count;
}

enum lh_code object_key_check(struct lh_str key, struct lh_error *err)
{
    struct lh_str shown = lh_str_slice(key, 0, 64);
    enum lh_code code = storage_key_check(key, err);
    if (code)
        return code;
    if (key.len > OBJECT_KEY_BYTES_MAX || count_parts(key) > OBJECT_KEY_PARTS_MAX)
        return lh_fail(err, LH_INVALID,
                       "The object key '%.*s…' has %zu bytes in %zu parts; %d bytes in %d parts "
                       "are taken.",
                       LH_ARG(shown), key.len, count_parts(key), OBJECT_KEY_BYTES_MAX,
                       OBJECT_KEY_PARTS_MAX);
    for (struct lh_str rest = key; rest.data;)
        if (lh_str_cut(&rest, '/').len == STORAGE_KEY_PART_BYTES_MAX)
            return lh_fail(err, LH_INVALID,
                           "A part of the object key '%.*s…' is longer than %d bytes.",
                           LH_ARG(shown), STORAGE_KEY_PART_BYTES_MAX - 1);
    if (key.data[0] != '_')
        return LH_OK;
    lh_fail(err, LH_INVALID, "The object key '%.*s' cannot be used: it begins with '_'.",
            LH_ARG(shown));
    return lh_error_hint(err, "Such names are kept for what the lake itself writes.");
}

struct lh_str object_head_key(struct lh_str key, struct lh_arena *arena)
{
    struct lh_str path = lh_lit(OBJECTS_HEADS);
    for (struct lh_str rest = key; rest.data;) {
        struct lh_str part = lh_str_cut(&rest, '/');
        path = lh_arena_printf(arena, "%.*s/%c%.*s", LH_ARG(path), rest.data ? '+' : '=',
                               LH_ARG(part));
    }
    return path;
}

bool object_key_of_head(struct lh_str head, struct lh_arena *arena, struct lh_str *ret)
{
    struct lh_str rest = lh_str_slice(head, sizeof OBJECTS_HEADS, head.len);
    char *key = lh_arena_alloc(arena, rest.len + 1);
    size_t len = 0;
    if (!lh_str_starts_with(head, lh_lit(OBJECTS_HEADS "/")))
        return false;
    while (rest.data) {
        struct lh_str part = lh_str_cut(&rest, '/');
        if (part.len < 2 || part.data[0] != (rest.data ? '+' : '='))
            return false;
        if (len)
            key[len++] = '/';
        memcpy(key + len, part.data + 1, part.len - 1);
        len += part.len - 1;
    }
    *ret = (struct lh_str){key, len};
    return object_key_check(*ret, NULL) == LH_OK;
}

/* By the last two digits, which are random: so that no folder grows beyond measure. */
struct lh_str object_data_key(struct lh_str uuid, struct lh_arena *arena)
{
    return lh_arena_printf(arena, OBJECTS_DATA "/%.*s/%.*s",
                           LH_ARG(lh_str_slice(uuid, uuid.len - 2, 2)), LH_ARG(uuid));
}

/* --- what a head says: one line of JSON, and one with the SHA-256 of the first */

enum lh_code object_head_write(const struct object_head *head, struct lh_buf *buf,
                               struct lh_error *err)
{
    struct lh_json json;
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_buf_init(buf, HEAD_BYTES_MAX);
    lh_json_init(&json, buf);
    lh_fields_write(&fields, head, &json);
    lh_sha256_of(lh_buf_str(buf), sum);
    lh_hex(sum, sizeof sum, hex);
    lh_buf_printf(buf, "\n%s\n", hex);
    return lh_buf_check(buf, "The object's head", err);
}

enum lh_code object_head_parse(struct lh_str text, struct lh_str key, struct lh_arena *arena,
                               struct object_head *ret, struct lh_error *err)
{
    struct lh_str check = text;
    struct lh_str line = lh_str_cut(&check, '\n');
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    json_t *object = NULL;
    struct object_head head;
    lh_sha256_of(line, sum);
    lh_hex(sum, sizeof sum, hex);
    if (!lh_str_equal(lh_str_trim(check), lh_str_of(hex)))
        return lh_fail(err, LH_DAMAGED, "The head of the object '%.*s' is not what was written.",
                       LH_ARG(key));
    enum lh_code code = lh_json_parse(line, "The head", HEAD_BYTES_MAX, &object, err);
    if (code)
        return lh_fail(err, LH_DAMAGED, "The head of the object '%.*s' is no JSON.", LH_ARG(key));
    lh_json_keep(object, arena);
    if (json_integer_value(json_object_get(object, "format")) > OBJECTS_FORMAT)
        return lh_fail(err, LH_FORMAT, "The object '%.*s' was written by a newer release.",
                       LH_ARG(key));
    lh_fields_preset(&fields, &head);
    code = lh_fields_bind_json(&fields, object, arena, &head, NULL);
    if (!code)
        code = lh_fields_check(&fields, &head, NULL);
    if (code || (key.data && !lh_str_equal(key, head.key)) || !lh_uuid_is_valid(head.data))
        return lh_fail(err, LH_DAMAGED, "The head of the object '%.*s' does not say what it must.",
                       LH_ARG(key));
    *ret = head;
    return LH_OK;
}

enum lh_code object_head_read(struct storage *storage, struct lh_str bucket, struct lh_str key,
                              struct lh_arena *arena, struct object_head *ret, struct lh_error *err)
{
    struct lh_str text = {0};
    enum lh_code code = storage_get(storage, bucket, object_head_key(key, arena), HEAD_BYTES_MAX,
                                    arena, &text, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_NOT_FOUND, "There is no object '%.*s' in the bucket '%.*s'.",
                       LH_ARG(key), LH_ARG(bucket));
    return code ? code : object_head_parse(text, key, arena, ret, err);
}

void object_info_of(const struct object_head *head, struct lh_arena *arena, struct object_info *ret)
{
    *ret = (struct object_info){
        .key = head->key,
        .bytes = head->bytes,
        .etag = lh_arena_printf(arena, "\"%.*s\"", LH_ARG(head->sha256)),
        .content_type = head->content_type,
        .modified_at = head->modified_at,
        .modified_by = head->modified_by,
    };
}
