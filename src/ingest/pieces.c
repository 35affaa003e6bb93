#include "ingest/pieces.h"

#include <stdlib.h>

#include "ingest/ingest.h"

#define RATIO_FREE_BYTES ((int64_t)64 << 20) /* small files may inflate as they like */

void pieces_close(struct pieces *pieces)
{
    if (pieces->is_gzip)
        (void)inflateEnd(&pieces->stream);
    lh_file_abandon(pieces->fd);
    free(pieces->packed);
}

enum lh_code pieces_open(struct lh_str path, struct pieces *ret, struct lh_error *err)
{
    *ret = (struct pieces){.fd = -1, .end = INT64_MAX};
    unsigned char magic[2] = {0};
    size_t got = 0;
    struct lh_file_info info = {0};
    enum lh_code code = lh_file_open_path(path, &ret->fd, err);
    if (!code)
        code = lh_file_info_of(ret->fd, &info, err);
    if (!code)
        code = lh_file_read_at(ret->fd, magic, sizeof(magic), 0, &got, err);
    ret->file_bytes = info.bytes;
    ret->packed = malloc(PIECE_BYTES);
    if (!code && !ret->packed)
        code = lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    if (!code && got == 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
        ret->is_gzip = inflateInit2(&ret->stream, 15 + 16) == Z_OK;
        if (!ret->is_gzip)
            code = lh_fail(err, LH_BUSY, "There is no memory to inflate the file.");
    }
    if (code) {
        pieces_close(ret);
        return code;
    }
    return LH_OK;
}

static enum lh_code check_ratio(const struct pieces *pieces, struct lh_error *err)
{
    if (pieces->given <= RATIO_FREE_BYTES ||
        pieces->given / INGEST_INFLATED_RATIO_MAX <= pieces->file_bytes)
        return LH_OK;
    return lh_fail(err, LH_TOO_LARGE, "The gzipped file inflates to more than %d times its size.",
                   INGEST_INFLATED_RATIO_MAX);
}

static enum lh_code inflate_some(struct pieces *pieces, unsigned char *space, size_t *ret_count,
                                 struct lh_error *err)
{
    z_stream *stream = &pieces->stream;
    stream->next_out = space;
    stream->avail_out = (unsigned)PIECE_BYTES;
    while (stream->avail_out == PIECE_BYTES) {
        if (stream->avail_in == 0) {
            size_t got = 0;
            enum lh_code code =
                lh_file_read_at(pieces->fd, pieces->packed, PIECE_BYTES, pieces->offset, &got, err);
            if (code)
                return code;
            if (got == 0)
                break;
            pieces->offset += (int64_t)got;
            stream->next_in = pieces->packed;
            stream->avail_in = (unsigned)got;
        }
        pieces->is_member_open = true;
        int status = inflate(stream, Z_NO_FLUSH);
        if (status == Z_STREAM_END) { /* another member may follow */
            pieces->is_member_open = false;
            if (inflateReset(stream) != Z_OK)
                break;
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            return lh_fail(err, LH_UNREADABLE, "The gzipped file is damaged near byte %lld.",
                           (long long)(pieces->offset - (int64_t)stream->avail_in));
        }
    }
    *ret_count = PIECE_BYTES - stream->avail_out;
    if (*ret_count == 0 && pieces->is_member_open)
        return lh_fail(err, LH_UNREADABLE, "The gzipped file is cut off: its end is missing.");
    return LH_OK;
}

enum lh_code pieces_next(struct pieces *pieces, unsigned char *space, size_t *ret_count,
                         struct lh_error *err)
{
    enum lh_code code;
    if (pieces->is_gzip) {
        code = inflate_some(pieces, space, ret_count, err);
    } else {
        int64_t left = pieces->end - pieces->offset;
        size_t wanted = left < (int64_t)PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        code = lh_file_read_at(pieces->fd, space, wanted, pieces->offset, ret_count, err);
        pieces->offset += code ? 0 : (int64_t)*ret_count;
    }
    if (code)
        return code;
    pieces->given += (int64_t)*ret_count;
    return check_ratio(pieces, err);
}
