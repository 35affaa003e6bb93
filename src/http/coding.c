#define ZLIB_CONST /* what is packed is not written to */
#include "http/coding.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

static const struct lh_str names[] = {[CODING_NONE] = LH_LIT("identity"),
                                      [CODING_GZIP] = LH_LIT("gzip"),
                                      [CODING_ZSTD] = LH_LIT("zstd")};

struct lh_str coding_name(enum coding coding)
{
    return names[coding];
}

/* --- what the client likes */

static double weight_of(struct lh_str parameters)
{
    double weight = 1;
    while (parameters.len) {
        struct lh_str one = lh_str_trim(lh_str_cut(&parameters, ';'));
        bool is_weight =
            one.len > 2 && (one.data[0] == 'q' || one.data[0] == 'Q') && one.data[1] == '=';
        if (is_weight && (!lh_str_to_double(lh_str_slice(one, 2, one.len), &weight) ||
                          !(weight >= 0 && weight <= 1)))
            return 0;
    }
    return weight;
}

/* That of the name, else of "*", else `absent`. "x-gzip" is an old name of gzip. */
static double liking(struct lh_str accept, enum coding coding, double absent)
{
    double any = absent;
    while (accept.len) {
        struct lh_str rest = lh_str_cut(&accept, ',');
        struct lh_str name = lh_str_trim(lh_str_cut(&rest, ';'));
        double weight = weight_of(rest);
        if (lh_str_equal_nocase(name, names[coding]) ||
            (coding == CODING_GZIP && lh_str_equal_nocase(name, lh_lit("x-gzip"))))
            return weight;
        if (lh_str_equal(name, lh_lit("*")))
            any = weight;
    }
    return any;
}

/* A client that refuses even "identity" gets what it likes least badly: an answer is more use than
 * a 406, as RFC 9110 allows. */
enum coding coding_choose(struct lh_str accept_encoding)
{
    static const enum coding order[] = {CODING_ZSTD, CODING_GZIP};
    enum coding chosen = CODING_NONE;
    if (!accept_encoding.data)
        return chosen;
    /* Not named, "identity" is acceptable, but less than anything that is. */
    double best = liking(accept_encoding, CODING_NONE, 0);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        double weight = liking(accept_encoding, order[i], 0);
        bool is_better = chosen == CODING_NONE ? weight > 0 && weight >= best : weight > best;
        if (is_better) {
            chosen = order[i];
            best = weight;
        }
    }
    return chosen;
}

/* --- packing */

/* Why these levels: a stream must not be slower than what makes it, so zstd 1 (some 400 MB/s a
 * core) and gzip 1 (some 80); a whole body is small. */
#define GZIP_LEVEL_STREAM 1
#define GZIP_LEVEL_WHOLE 6
#define ZSTD_LEVEL_STREAM 1
#define ZSTD_LEVEL_WHOLE 3
#define GZIP_WINDOW_BITS (15 + 16) /* with gzip's head */

enum step { STEP_WRITE, STEP_FLUSH, STEP_END };

struct coder {
    enum coding coding;
    z_stream gzip; /* must not move */
    ZSTD_CCtx *zstd;
    char piece[CODING_PIECE_BYTES];
};

enum lh_code coder_open(enum coding coding, bool is_whole, struct coder **ret, struct lh_error *err)
{
    assert(coding != CODING_NONE);
    struct coder *coder = calloc(1, sizeof *coder);
    bool is_ready = false;
    if (coder && coding == CODING_GZIP) {
        is_ready = deflateInit2(&coder->gzip, is_whole ? GZIP_LEVEL_WHOLE : GZIP_LEVEL_STREAM,
                                Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    } else if (coder) {
        coder->zstd = ZSTD_createCCtx();
        is_ready =
            coder->zstd &&
            !ZSTD_isError(ZSTD_CCtx_setParameter(coder->zstd, ZSTD_c_compressionLevel,
                                                 is_whole ? ZSTD_LEVEL_WHOLE : ZSTD_LEVEL_STREAM));
    }
    if (!is_ready) {
        if (coder)
            ZSTD_freeCCtx(coder->zstd);
        free(coder);
        return lh_fail(err, LH_BUSY, "There is no memory to pack the reply.");
    }
    coder->coding = coding;
    *ret = coder;
    return LH_OK;
}

static enum lh_code pass(struct coder *coder, size_t count, const struct coder_sink *sink,
                         struct lh_error *err)
{
    return count ? sink->write(sink->context, coder->piece, count, err) : LH_OK;
}

static enum lh_code run_gzip(struct coder *coder, const void *bytes, size_t count, enum step step,
                             const struct coder_sink *sink, struct lh_error *err)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *stream = &coder->gzip;
    assert(count <= UINT32_MAX);
    stream->next_in = bytes;
    stream->avail_in = (uInt)count;
    do {
        stream->next_out = (Bytef *)coder->piece;
        stream->avail_out = sizeof coder->piece;
        int result = deflate(stream, flushes[step]);
        assert(result != Z_STREAM_ERROR);
        (void)result; /* Z_BUF_ERROR: nothing was left to do */
        enum lh_code code = pass(coder, sizeof coder->piece - stream->avail_out, sink, err);
        if (code)
            return code;
    } while (stream->avail_out == 0);
    return LH_OK;
}

static enum lh_code run_zstd(struct coder *coder, const void *bytes, size_t count, enum step step,
                             const struct coder_sink *sink, struct lh_error *err)
{
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer in = {bytes, count, 0};
    bool is_done = false;
    while (!is_done) {
        ZSTD_outBuffer out = {coder->piece, sizeof coder->piece, 0};
        size_t left = ZSTD_compressStream2(coder->zstd, &out, &in, directives[step]);
        if (ZSTD_isError(left))
            return lh_fail(err, LH_BUSY, "The reply cannot be packed: %s.",
                           ZSTD_getErrorName(left));
        enum lh_code code = pass(coder, out.pos, sink, err);
        if (code)
            return code;
        is_done = step == STEP_WRITE ? in.pos == in.size : left == 0;
    }
    return LH_OK;
}

static enum lh_code run(struct coder *coder, const void *bytes, size_t count, enum step step,
                        const struct coder_sink *sink, struct lh_error *err)
{
    return coder->coding == CODING_GZIP ? run_gzip(coder, bytes, count, step, sink, err)
                                        : run_zstd(coder, bytes, count, step, sink, err);
}

/* zlib counts its input in 32 bits. */
#define STEP_BYTES_MAX ((size_t)1 << 30)

enum lh_code coder_write(struct coder *coder, const void *bytes, size_t count,
                         const struct coder_sink *sink, struct lh_error *err)
{
    const char *from = bytes;
    enum lh_code code = LH_OK;
    while (count && !code) {
        size_t part = count < STEP_BYTES_MAX ? count : STEP_BYTES_MAX;
        code = run(coder, from, part, STEP_WRITE, sink, err);
        from += part;
        count -= part;
    }
    return code;
}

enum lh_code coder_flush(struct coder *coder, const struct coder_sink *sink, struct lh_error *err)
{
    return run(coder, NULL, 0, STEP_FLUSH, sink, err);
}

enum lh_code coder_end(struct coder *coder, const struct coder_sink *sink, struct lh_error *err)
{
    return run(coder, NULL, 0, STEP_END, sink, err);
}

void coder_close(struct coder *coder)
{
    if (!coder)
        return;
    if (coder->coding == CODING_GZIP)
        deflateEnd(&coder->gzip);
    ZSTD_freeCCtx(coder->zstd);
    free(coder);
}
