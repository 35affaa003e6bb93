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

/* encode_json_number.c */
char *query_json_bool(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_int8(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_int16(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_int32(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_int64(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_uint8(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_uint16(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_uint32(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_uint64(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_float(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_double(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_decimal(struct lh_buf *, const struct engine_vector *, size_t, char *);

/* encode_json_time.c */
char *query_json_date(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_time(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_timestamp(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_timestamp_s(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_timestamp_ms(struct lh_buf *, const struct engine_vector *, size_t, char *);
char *query_json_timestamp_ns(struct lh_buf *, const struct engine_vector *, size_t, char *);

/* Writes the engine's own text between quotes: of types that are rare or have no other. */
char *query_json_engine_text(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                             char *out);

static inline char *query_json_null(char *out)
{
    memcpy(out, (const char[]){'n', 'u', 'l', 'l'}, 4);
    return out + 4;
}

/* Where writing goes on when `bytes` and a cell more are to come; NULL: the buffer is over. */
char *query_json_more(struct lh_buf *buf, char *out, size_t bytes);
static inline char *query_json_room(struct lh_buf *buf, char *out, size_t bytes)
{
    return (size_t)(out - buf->data) + bytes + QUERY_JSON_CELL_BYTES <= buf->capacity
               ? out
               : query_json_more(buf, out, bytes);
}

#endif
