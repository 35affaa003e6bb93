/* What the encoders share; inside query/ only. */
#ifndef LAKEHOUSE_QUERY_ENCODE_H
#define LAKEHOUSE_QUERY_ENCODE_H

#include "engine/block.h"
#include "query/encoder.h"

extern const struct query_encoder query_encode_json;
extern const struct query_encoder query_encode_ndjson;
extern const struct query_encoder query_encode_csv;
extern const struct query_encoder query_encode_arrow;
extern const struct query_encoder query_encode_parquet;

/* Appends {"code": …, "detail": …, "hint": …} of an error. */
void query_append_error(const struct lh_error *why, struct lh_buf *buf);

/* Appends to the buffer what is little, and sends what is much without copying it. */
enum lh_code query_output_put(struct query_output *output, struct lh_str bytes,
                              struct lh_error *err) LH_MUST_USE;

/* query.c: the rows come as blocks that the encoder's `write` has written, in place of query_next's
 * chunks. */
bool query_has_blocks(const struct query *query);
/* query_next for these; the rows' bytes, absent at the end. */
enum lh_code query_next_block(struct query *query, struct lh_str *ret,
                              struct lh_error *err) LH_MUST_USE;

/* query.c: the nameless file that takes the rows as Parquet; -1: the query was not opened for it.
 */
int query_file(const struct query *query);
/* Runs the statement into it; `step` is called as the file grows, and its error ends the statement.
 */
enum lh_code query_copy(struct query *query,
                        enum lh_code (*step)(void *context, struct lh_error *err), void *context,
                        struct lh_error *err) LH_MUST_USE;

#endif
