/* Encoders: how the rows of a query become bytes. A table of rows, one per format.
 *
 * An encoder writes into a buffer that query_encode hands to the sink piece by piece, so a result
 * of any size is written with flat memory. Once bytes have left, an error is part of the output:
 * formats that can (JSON) end with an `error` member and are complete; the others are cut, and the
 * door aborts the body (query_encode then returns the error).
 */
#ifndef LAKEHOUSE_QUERY_ENCODER_H
#define LAKEHOUSE_QUERY_ENCODER_H

#include "query/query.h"

/* Where the bytes go. `write` returns LH_OK or why no more are wanted (LH_CANCELLED: hung up). */
struct query_sink {
    void *context;
    enum lh_code (*write)(void *context, struct lh_str bytes, struct lh_error *err);
};

struct query_encoder {
    const char *name;       /* as in `format` */
    const char *media_type; /* as in Accept and Content-Type */
    /* The state is made by begin in `arena`. Each appends to `buf`; none of them fails but for
     * LH_TOO_LARGE of a single row, or LH_BUSY (memory). */
    enum lh_code (*begin)(const struct query *query, struct lh_arena *arena, struct lh_buf *buf,
                          void **ret_state, struct lh_error *err);
    enum lh_code (*chunk)(void *state, const struct engine_chunk *chunk, struct lh_buf *buf,
                          struct lh_error *err);
    enum lh_code (*end)(void *state, const struct query *query, struct lh_buf *buf,
                        struct lh_error *err);
    /* Ends the output in place of `end` by telling `why`; NULL: the format cannot. */
    void (*fail)(void *state, const struct query *query, const struct lh_error *why,
                 struct lh_buf *buf);
};

extern const struct query_encoder *const query_encoders[]; /* the first is the preset */
extern const size_t query_encoder_count;

const struct query_encoder *query_encoder_by_name(struct lh_str name);        /* NULL: none */
const struct query_encoder *query_encoder_by_media_type(struct lh_str media); /* NULL: none */

/* Writes the whole result. An error before the first byte is returned and nothing was written; a
 * later one is in the output (then *ret_failed, which may be NULL, is true and LH_OK is returned),
 * or is returned when the format cannot say it. The query is at its end afterwards. */
enum lh_code query_encode(struct query *query, const struct query_encoder *encoder,
                          const struct query_sink *sink, bool *ret_failed,
                          struct lh_error *err) LH_MUST_USE;

#endif
