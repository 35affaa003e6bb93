/* Content codings (RFC 9110, 8.4): which one a client prefers, and bodies packed as they are made.
 *
 * A coder belongs to one thread at a time. It allocates when it is opened and not while it packs;
 * what it makes goes to the sink in pieces of at most CODING_PIECE_BYTES.
 */
#ifndef LAKEHOUSE_HTTP_CODING_H
#define LAKEHOUSE_HTTP_CODING_H

#include "base/error.h"
#include "base/str.h"

#define CODING_PIECE_BYTES ((size_t)65536)

enum coding { CODING_NONE, CODING_GZIP, CODING_ZSTD };

/* The coding that this Accept-Encoding likes best; of equally liked ones zstd, then gzip, then
 * none. Absent text: none. */
enum coding coding_choose(struct lh_str accept_encoding);
struct lh_str coding_name(enum coding coding); /* as in Content-Encoding */

struct coder; /* made by coder_open, ended by coder_close */

struct coder_sink {
    void *context;
    enum lh_code (*write)(void *context, const void *bytes, size_t count, struct lh_error *err);
};

/* `is_whole`: the body is all there, so that more effort pays; else speed counts. LH_BUSY: no
 * memory. */
enum lh_code coder_open(enum coding coding, bool is_whole, struct coder **ret,
                        struct lh_error *err) LH_MUST_USE;
enum lh_code coder_write(struct coder *coder, const void *bytes, size_t count,
                         const struct coder_sink *sink, struct lh_error *err) LH_MUST_USE;
/* Makes everything readable that was written so far. */
enum lh_code coder_flush(struct coder *coder, const struct coder_sink *sink,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code coder_end(struct coder *coder, const struct coder_sink *sink,
                       struct lh_error *err) LH_MUST_USE;
void coder_close(struct coder *coder); /* NULL is fine */

#endif
