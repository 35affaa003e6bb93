/* A file of the user's, read piece by piece, inflated if it is gzipped. One thread at a time. */
#ifndef LAKEHOUSE_INGEST_PIECES_H
#define LAKEHOUSE_INGEST_PIECES_H

#include <zlib.h>

#include "base/file.h"

#define PIECE_BYTES ((size_t)262144)

struct pieces {
    int fd;
    int64_t offset; /* read of the file itself; where it is not gzipped, may be set */
    int64_t end;    /* of the file itself: nothing from there on is read; may be set likewise */
    int64_t file_bytes;
    int64_t given; /* handed out */
    bool is_gzip;
    bool is_member_open; /* a gzip member has begun and not ended */
    bool is_end;
    z_stream stream;
    unsigned char *packed;
};

/* *ret stays where it is, because zlib's state points back at its stream; ended by pieces_close. */
enum lh_code pieces_open(struct lh_str path, struct pieces *ret, struct lh_error *err) LH_MUST_USE;
void pieces_close(struct pieces *pieces);
/* The next bytes, at most PIECE_BYTES; none at the end. LH_UNREADABLE: a gzip that is damaged or
 * cut off; LH_TOO_LARGE: one that inflates beyond all measure. */
enum lh_code pieces_next(struct pieces *pieces, unsigned char *space, size_t *ret_count,
                         struct lh_error *err) LH_MUST_USE;

#endif
