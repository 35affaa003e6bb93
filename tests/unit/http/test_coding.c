#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/coding.h"

static void the_best_liked_coding_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum coding coding;
    } rows[] = {
        {NULL, CODING_NONE},
        {"", CODING_NONE},
        {"identity", CODING_NONE},
        {"gzip", CODING_GZIP},
        {"GZip", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"zstd", CODING_ZSTD},
        {"gzip, deflate, br, zstd", CODING_ZSTD},
        {"gzip, deflate, br", CODING_GZIP},
        {"gzip;q=1.0, zstd;q=0.5", CODING_GZIP},
        {"gzip ; q=0.3 , zstd ; q=0.31", CODING_ZSTD},
        {"gzip;q=0", CODING_NONE},
        {"gzip;q=0, *", CODING_ZSTD},
        {"zstd;q=0, *;q=0.1", CODING_GZIP},
        {"*", CODING_ZSTD},
        {"*;q=0", CODING_NONE},
        {"identity;q=1, gzip;q=0.5", CODING_NONE},
        {"identity;q=0.5, gzip;q=1", CODING_GZIP},
        {"identity;q=0, gzip;q=0.1", CODING_GZIP},
        {"gzip;q=nonsense, zstd;q=7", CODING_NONE},
        {"br, deflate, compress", CODING_NONE},
        {", ,;q=1,gzip,", CODING_GZIP},
        {"gzipped, zstd2", CODING_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (coding_choose(lh_str_of(rows[i].accept)) != rows[i].coding)
            fail_msg("'%s' chose %d", rows[i].accept,
                     (int)coding_choose(lh_str_of(rows[i].accept)));
}

static enum lh_code keep(void *context, const void *bytes, size_t count, struct lh_error *err)
{
    (void)err;
    assert_true(count > 0 && count <= CODING_PIECE_BYTES);
    lh_buf_append(context, bytes, count);
    return LH_OK;
}

/* What the library itself reads from it, as far as it goes. */
static size_t unpack(enum coding coding, struct lh_str packed, char *ret, size_t max)
{
    if (coding == CODING_ZSTD) {
        ZSTD_DCtx *context = ZSTD_createDCtx();
        ZSTD_inBuffer in = {packed.data, packed.len, 0};
        ZSTD_outBuffer out = {ret, max, 0};
        while (in.pos < in.size)
            assert_false(ZSTD_isError(ZSTD_decompressStream(context, &out, &in)));
        ZSTD_freeDCtx(context);
        return out.pos;
    }
    z_stream stream = {0};
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    union {
        const char *from;
        Bytef *bytes;
    } in = {.from = packed.data};
    stream.next_in = in.bytes;
    stream.avail_in = (uInt)packed.len;
    stream.next_out = (Bytef *)ret;
    stream.avail_out = (uInt)max;
    int result = inflate(&stream, Z_SYNC_FLUSH);
    assert_true(result == Z_OK || result == Z_STREAM_END);
    size_t count = max - stream.avail_out;
    inflateEnd(&stream);
    return count;
}

#define BODY_BYTES ((size_t)3000000)

static char *given_body(void)
{
    char *body = malloc(BODY_BYTES);
    uint32_t seed = 7;
    assert_non_null(body);
    for (size_t i = 0; i < BODY_BYTES; i++) {
        seed = seed * 1664525 + 1013904223;
        body[i] = i / 1000000 == 1 ? (char)(seed >> 24) : "0123456789abcdef"[seed >> 30];
    }
    return body;
}

static void packs_and_unpacks(enum coding coding, bool is_whole, size_t step)
{
    struct coder *coder = NULL;
    struct lh_buf packed;
    const struct coder_sink sink = {&packed, keep};
    char *body = given_body(), *back = malloc(BODY_BYTES + 1);
    lh_buf_init(&packed, BODY_BYTES * 2);
    assert_int_equal(coder_open(coding, is_whole, &coder, NULL), LH_OK);
    for (size_t at = 0; at < BODY_BYTES; at += step)
        assert_int_equal(coder_write(coder, body + at,
                                     step < BODY_BYTES - at ? step : BODY_BYTES - at, &sink, NULL),
                         LH_OK);
    assert_int_equal(coder_end(coder, &sink, NULL), LH_OK);
    assert_true(packed.len < BODY_BYTES * 2 / 3);
    assert_int_equal(unpack(coding, lh_buf_str(&packed), back, BODY_BYTES + 1), BODY_BYTES);
    assert_memory_equal(body, back, BODY_BYTES);
    coder_close(coder);
    lh_buf_release(&packed);
    free(body);
    free(back);
}

static void what_was_packed_comes_back(void **state)
{
    (void)state;
    static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        packs_and_unpacks(codings[i], false, 262144);
        packs_and_unpacks(codings[i], true, BODY_BYTES);
        packs_and_unpacks(codings[i], false, 997);
    }
}

static void what_was_flushed_can_be_read(void **state)
{
    (void)state;
    static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        struct coder *coder = NULL;
        struct lh_buf packed;
        const struct coder_sink sink = {&packed, keep};
        char back[64];
        lh_buf_init(&packed, 65536);
        assert_int_equal(coder_open(codings[i], false, &coder, NULL), LH_OK);
        assert_int_equal(coder_write(coder, "first row\n", 10, &sink, NULL), LH_OK);
        assert_int_equal(coder_flush(coder, &sink, NULL), LH_OK);
        assert_int_equal(unpack(codings[i], lh_buf_str(&packed), back, sizeof back), 10);
        assert_memory_equal(back, "first row\n", 10);
        coder_close(coder); /* a stream that is cut */
        lh_buf_release(&packed);
    }
}

static enum lh_code refuse(void *context, const void *bytes, size_t count, struct lh_error *err)
{
    (void)context;
    (void)bytes;
    (void)count;
    return lh_fail(err, LH_CANCELLED, "gone");
}

static void a_sink_that_fails_ends_the_packing(void **state)
{
    (void)state;
    static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};
    const struct coder_sink sink = {NULL, refuse};
    char *body = given_body();
    for (size_t i = 0; i < 2; i++) {
        struct coder *coder = NULL;
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(coder_open(codings[i], false, &coder, NULL), LH_OK);
        assert_int_equal(coder_write(coder, body, BODY_BYTES, &sink, &err), LH_CANCELLED);
        assert_string_equal(err.message, "gone");
        coder_close(coder);
    }
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_liked_coding_is_chosen),
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(what_was_flushed_can_be_read),
        cmocka_unit_test(a_sink_that_fails_ends_the_packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
