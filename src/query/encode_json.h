/* Rows as JSON, inside query/ only: the encoder and the cells that others may reuse. */
#ifndef LAKEHOUSE_QUERY_ENCODE_JSON_H
#define LAKEHOUSE_QUERY_ENCODE_JSON_H

#include "query/encode.h"

/* Most bytes that a cell of a fixed size takes, its comma included. */
#define QUERY_JSON_CELL_BYTES 80

/* Writes one value that is not NULL. `out` has room for QUERY_JSON_CELL_BYTES behind `buf->len`;
 * what may be longer asks for more. Returns where the next byte goes, with room for as many again;
 * NULL: the buffer is over. */
typedef char *(*query_json_cell)(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                                 char *out);

query_json_cell query_json_cell_of(const struct engine_vector *vector);

/* With the row's validity, and with room made first: for what stands inside lists and structs. */
char *query_json_value(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out);

/* encode_json_time.c: cells of dates, times and intervals. */
char *query_json_date(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_time(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_timestamp(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_uint(char *out, uint64_t value); /* decimal digits */
/* Ends what engine_value_text wrote between quotes. */
char *query_json_engine_text(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                             char *out);
char *query_json_room(struct lh_buf *buf, char *out, size_t bytes);

#endif
