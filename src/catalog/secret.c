/* Keys of erased rows are kept as keyed hashes: enough to know them again, useless to who has the
 * list without the key. */
#include "base/secret.h"
#include "catalog/rehash.h"

#define SECRET_BYTES 32
#define SECRET_FILE_BYTES_MAX ((size_t)256)

static enum lh_code read_secret(struct storage *storage, struct lh_arena *arena,
                                const uint8_t **ret, struct lh_error *err)
{
    struct lh_str text;
    uint8_t *secret = lh_arena_alloc(arena, SECRET_BYTES);
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, lh_lit(ERASE_SECRET_KEY),
                                    SECRET_FILE_BYTES_MAX, arena, &text, err);
    if (code)
        return code;
    if (!lh_hex_parse(lh_str_trim(text), secret, SECRET_BYTES))
        return lh_fail(err, LH_DAMAGED, "'%s' is not the key that erased keys are hashed with.",
                       ERASE_SECRET_KEY);
    *ret = secret;
    return LH_OK;
}

static enum lh_code make_secret(struct storage *storage, struct lh_error *err)
{
    uint8_t bytes[SECRET_BYTES];
    char hex[2 * SECRET_BYTES + 2];
    lh_random_bytes(bytes, sizeof bytes);
    lh_hex(bytes, sizeof bytes, hex);
    hex[sizeof hex - 2] = '\n';
    enum lh_code code = storage_put_exclusive(storage, STORAGE_PRIMARY, lh_lit(ERASE_SECRET_KEY),
                                              (struct lh_str){hex, 2 * SECRET_BYTES + 1}, err);
    lh_wipe(bytes, sizeof bytes);
    lh_wipe(hex, sizeof hex);
    return code == LH_EXISTS ? LH_OK : code;
}

enum lh_code erase_secret(struct storage *storage, bool create, struct lh_arena *arena,
                          const uint8_t **ret, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = read_secret(storage, arena, ret, &found);
    if (code == LH_NOT_FOUND && create) {
        code = make_secret(storage, err);
        return code ? code : read_secret(storage, arena, ret, err);
    }
    if (code == LH_NOT_FOUND) {
        lh_fail(err, LH_DAMAGED, "'%s' is missing: keys of erased rows cannot be known again.",
                ERASE_SECRET_KEY);
        return lh_error_hint(err, "Restore the file from a backup of this lake.");
    }
    if (code && err)
        *err = found;
    return code;
}

void erase_hash(const uint8_t *secret, struct lh_str text, char ret[ERASE_HASH_BYTES + 1])
{
    uint8_t sum[LH_SHA256_BYTES];
    lh_hmac_sha256((struct lh_str){(const char *)secret, SECRET_BYTES}, text, sum);
    lh_hex(sum, sizeof sum, ret);
}
