#include "fuzz.h"

#include "storage/storage.h"

/* A key that is taken leads nowhere but below its bucket. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct lh_str key = {(const char *)bytes, count};
    struct lh_error err = LH_ERROR_NONE;
    if (storage_key_check(key, &err)) {
        fuzz_must(err.message[0] != '\0');
        return 0;
    }
    fuzz_must(key.len > 0 && key.len <= STORAGE_KEY_BYTES_MAX && key.data[0] != '/');
    fuzz_must(!memchr(key.data, '\0', key.len) && !memchr(key.data, '\\', key.len));
    struct lh_str rest = key;
    while (rest.data) {
        struct lh_str part = lh_str_cut(&rest, '/');
        fuzz_must(part.len > 0 && !lh_str_equal(part, lh_lit("..")) &&
                  !lh_str_equal(part, lh_lit(".")));
    }
    return 0;
}
