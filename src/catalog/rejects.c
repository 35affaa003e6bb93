#include "catalog/rejects.h"

#include "base/hash.h"
#include "catalog/parquet_footer.h"

#define ENDING ".parquet"
#define STAMP_MARK "LHSUM001"
#define STAMP_MARK_BYTES ((size_t)8)
#define STAMP_BYTES (STAMP_MARK_BYTES + LH_SHA256_BYTES)

struct lh_str catalog_rejects_key(struct lh_str dataset_id, struct lh_str id,
                                  const uint8_t sha256[LH_SHA256_BYTES], struct lh_arena *arena)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(sha256, LH_SHA256_BYTES, hex);
    return lh_arena_printf(arena, "datasets/%.*s/rejects/%.*s-%s" ENDING, LH_ARG(dataset_id),
                           LH_ARG(id), hex);
}

/* False: an earlier release made it. */
static bool sum_in_name(struct lh_str key, uint8_t ret[LH_SHA256_BYTES])
{
    const size_t tail = 1 + LH_SHA256_HEX_BYTES + sizeof ENDING - 1;
    if (key.len < tail || key.data[key.len - tail] != '-')
        return false;
    return lh_hex_parse(lh_str_slice(key, key.len - tail + 1, LH_SHA256_HEX_BYTES), ret,
                        LH_SHA256_BYTES);
}

/* Where the footer of the file begins; 0: it is no Parquet file. */
static size_t footer_at(struct lh_str bytes)
{
    if (bytes.len < PARQUET_TAIL_BYTES + PARQUET_MARK_BYTES)
        return 0;
    size_t before = bytes.len - PARQUET_TAIL_BYTES;
    size_t len = parquet_footer_len((const uint8_t *)bytes.data + before);
    return len && len <= before - PARQUET_MARK_BYTES ? before - len : 0;
}

/* Of all that stands before `at` and from `from` on. */
static void sum_around(struct lh_str bytes, size_t at, size_t from, uint8_t ret[LH_SHA256_BYTES])
{
    struct lh_sha256 *sum = lh_sha256_new();
    lh_sha256_add(sum, bytes.data, at);
    lh_sha256_add(sum, bytes.data + from, bytes.len - from);
    lh_sha256_finish(sum, ret);
    lh_sha256_free(sum);
}

enum lh_code catalog_rejects_stamp(struct lh_buf *bytes, struct lh_error *err)
{
    uint8_t stamp[STAMP_BYTES];
    size_t at = footer_at(lh_buf_str(bytes)), end = bytes->len;
    if (!at)
        return lh_fail(err, LH_INTERNAL, "What was written is no Parquet file.");
    memcpy(stamp, STAMP_MARK, STAMP_MARK_BYTES);
    sum_around(lh_buf_str(bytes), at, at, stamp + STAMP_MARK_BYTES);
    lh_buf_append(bytes, stamp, sizeof stamp);
    enum lh_code code = lh_buf_check(bytes, "A file of rows that were not taken", err);
    if (code)
        return code;
    memmove(bytes->data + at + sizeof stamp, bytes->data + at, end - at);
    memcpy(bytes->data + at, stamp, sizeof stamp);
    return LH_OK;
}

enum stamped { STAMP_NONE, STAMP_RIGHT, STAMP_WRONG };

static enum stamped look_at_stamp(struct lh_str bytes)
{
    uint8_t sum[LH_SHA256_BYTES];
    size_t end = footer_at(bytes);
    if (end < STAMP_BYTES ||
        memcmp(bytes.data + end - STAMP_BYTES, STAMP_MARK, STAMP_MARK_BYTES) != 0)
        return STAMP_NONE;
    sum_around(bytes, end - STAMP_BYTES, end, sum);
    return memcmp(bytes.data + end - LH_SHA256_BYTES, sum, sizeof sum) == 0 ? STAMP_RIGHT
                                                                            : STAMP_WRONG;
}

/* It has not the sum of its name, or none is there: an erasure may have written it anew. */
static enum lh_code check_stamp(struct storage *storage, struct lh_str key, bool is_named,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error why = LH_ERROR_NONE;
    struct lh_str bytes = {0};
    enum stamped stamped = STAMP_NONE;
    enum lh_code code =
        storage_get(storage, STORAGE_PRIMARY, key, CATALOG_REJECTS_ANEW_MAX, arena, &bytes, &why);
    if (!code)
        stamped = look_at_stamp(bytes);
    bool is_large = code == LH_TOO_LARGE; /* nobody writes such a one anew */
    if (code && !is_large && err)
        *err = why;
    if (is_large)
        code = LH_OK;
    if (!code && (stamped == STAMP_WRONG || (stamped == STAMP_NONE && is_named))) {
        code = lh_fail(err, LH_DAMAGED,
                       "The file of rejected rows '%.*s' is not what was written: its checksum "
                       "differs.",
                       LH_ARG(key));
        lh_error_hint(err, "Run `lakehouse verify` to see what else is damaged, and restore the "
                           "file from a backup.");
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code catalog_rejects_check(struct storage *storage, struct lh_str key,
                                   const struct lh_cancel *cancel, struct lh_error *err)
{
    struct storage_sum sum;
    uint8_t named[LH_SHA256_BYTES];
    bool is_named = sum_in_name(key, named), is_same = false;
    enum lh_code code = LH_OK;
    if (is_named) {
        code = storage_sum(storage, STORAGE_PRIMARY, key, cancel, &sum, err);
        is_same = !code && memcmp(sum.sha256, named, sizeof named) == 0;
    }
    return code || is_same ? code : check_stamp(storage, key, is_named, err);
}
