/* What the encoders share; inside query/ only. */
#ifndef LAKEHOUSE_QUERY_ENCODE_H
#define LAKEHOUSE_QUERY_ENCODE_H

#include "query/encoder.h"

extern const struct query_encoder query_encode_json;
extern const struct query_encoder query_encode_ndjson;
extern const struct query_encoder query_encode_csv;
extern const struct query_encoder query_encode_arrow;
extern const struct query_encoder query_encode_parquet;

/* Appends {"code": …, "detail": …, "hint": …} of an error. */
void query_append_error(const struct lh_error *why, struct lh_buf *buf);

/* query.c: the nameless file that takes the rows as Parquet; -1: the query was not opened for it.
 */
int query_file(const struct query *query);
/* Runs the statement into it; `step` is called as the file grows, and its error ends the statement.
 */
enum lh_code query_copy(struct query *query,
                        enum lh_code (*step)(void *context, struct lh_error *err), void *context,
                        struct lh_error *err) LH_MUST_USE;

#endif
