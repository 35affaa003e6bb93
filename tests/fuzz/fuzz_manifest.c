#include "fuzz.h"

#include "catalog/manifest_internal.h"

/* The input stands behind the checksum, which is put right: what a forger could write. What is
 * understood is written and understood again, to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    uint8_t sum[LH_SHA256_BYTES];
    struct lh_str rest = {(const char *)bytes, count};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct manifest manifest, again;
    struct lh_buf first, second;
    lh_buf_init(&first, (size_t)16 << 20);
    lh_buf_init(&second, (size_t)16 << 20);
    lh_sha256_of(rest, sum);
    lh_hex(sum, sizeof sum, hex);
    struct lh_str whole =
        lh_arena_printf(arena, "%s%s%.*s", MANIFEST_PREFIX, hex, (int)count, (const char *)bytes);
    fuzz_must(manifest_decode(rest, lh_lit("it"), arena, &manifest, &err) != LH_OK);
    if (manifest_decode(whole, lh_lit("it"), arena, &manifest, &err) == LH_OK) {
        fuzz_must(manifest_encode(&manifest, &first, &err) == LH_OK);
        fuzz_must(manifest_decode(lh_buf_str(&first), lh_lit("it"), arena, &again, &err) == LH_OK);
        fuzz_must(manifest_encode(&again, &second, &err) == LH_OK);
        fuzz_must(lh_str_equal(lh_buf_str(&first), lh_buf_str(&second)));
    } else {
        fuzz_must(err.message[0] != '\0');
    }
    lh_buf_release(&first);
    lh_buf_release(&second);
    lh_arena_free(arena);
    return 0;
}
