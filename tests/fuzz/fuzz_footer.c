#include "fuzz.h"

#include "catalog/parquet_footer.h"

#define BODY_END (INT64_C(1) << 40)

/* What is understood, twice behind itself, is understood again and has the same columns. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct lh_str text = {(const char *)bytes, count};
    struct parquet_footer footer, pair[2], again;
    struct lh_buf buf;
    if (!parquet_footer_read(text, BODY_END, &footer) || footer.rows > INT64_MAX / 2)
        return 0;
    lh_buf_init(&buf, (size_t)64 << 20);
    pair[0] = pair[1] = footer;
    parquet_footer_join(pair, 2, &buf);
    fuzz_must(!buf.is_over && buf.len > PARQUET_TAIL_BYTES);
    size_t len = buf.len - PARQUET_TAIL_BYTES;
    fuzz_must(parquet_footer_len((const uint8_t *)buf.data + len) == len);
    fuzz_must(parquet_footer_read((struct lh_str){buf.data, len}, 2 * BODY_END, &again));
    fuzz_must(again.rows == 2 * footer.rows && again.group_count == 2 * footer.group_count);
    fuzz_must(parquet_footer_fits(&footer, &again));
    lh_buf_release(&buf);
    return 0;
}
