#include "base/sealed.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

#define PREFIX "{\"" LH_SEALED_MEMBER "\":\""
#define HEX_AT (sizeof PREFIX - 1)
#define SUMMED_FROM (HEX_AT + LH_SHA256_HEX_BYTES + 2) /* behind the quote and the comma */

static void sum_of(struct lh_str rest, char hex[LH_SHA256_HEX_BYTES + 1])
{
    uint8_t sum[LH_SHA256_BYTES];
    lh_sha256_of(rest, sum);
    lh_hex(sum, sizeof sum, hex);
}

void lh_sealed_append(struct lh_buf *buf, struct lh_str object)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    assert(object.len > 2 && object.data[0] == '{');
    struct lh_str rest = lh_str_slice(object, 1, object.len);
    sum_of(rest, hex);
    lh_buf_printf(buf, PREFIX "%s\",", hex);
    lh_buf_append_str(buf, rest);
}

bool lh_sealed_is(struct lh_str bytes)
{
    return lh_str_starts_with(bytes, lh_lit(PREFIX));
}

enum lh_code lh_sealed_check(struct lh_str bytes, struct lh_str what, struct lh_error *err)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    if (bytes.len <= SUMMED_FROM || !lh_sealed_is(bytes) ||
        memcmp(bytes.data + SUMMED_FROM - 2, "\",", 2) != 0)
        return lh_fail(err, LH_DAMAGED, "%.*s does not begin with its checksum.", LH_ARG(what));
    sum_of(lh_str_slice(bytes, SUMMED_FROM, bytes.len), hex);
    /* As digits: the same number in other letters is a change, too. */
    if (memcmp(hex, bytes.data + HEX_AT, LH_SHA256_HEX_BYTES) != 0)
        return lh_fail(err, LH_DAMAGED, "%.*s does not have the checksum that it was written with.",
                       LH_ARG(what));
    return LH_OK;
}

enum lh_code lh_sealed_parse(struct lh_str bytes, struct lh_str what, size_t bytes_max,
                             json_t **ret, struct lh_error *err)
{
    char name[256];
    json_t *root = NULL;
    snprintf(name, sizeof name, "%.*s", LH_ARG(what));
    enum lh_code code = lh_json_parse(bytes, name, bytes_max, &root, err);
    if (code == LH_BUSY)
        return code;
    if (code || !json_is_object(root)) {
        json_decref(root);
        return lh_fail(err, LH_DAMAGED, "%.*s has its checksum but is no JSON object.",
                       LH_ARG(what));
    }
    *ret = root;
    return LH_OK;
}
