/* FlatBuffers, as much as Arrow's messages need: tables, vectors and strings, written in the order
 * of reading.
 *
 * A table is written with places for what it points to; what is pointed to comes later and its
 * position is put into the place. Positions and alignment count from the message's start. Appends
 * cannot fail one by one: the buffer says at the end whether it is over. One thread; does not
 * block.
 */
#ifndef LAKEHOUSE_QUERY_FLAT_H
#define LAKEHOUSE_QUERY_FLAT_H

#include "base/buf.h"

struct flat {
    struct lh_buf *buf;
    size_t start; /* of the message in buf */
};

/* A member of a table: `size` 1, 2, 4 or 8 bytes of `value`; a place for a pointer is 4 of 0. */
struct flat_field {
    uint8_t slot; /* the member's number in its schema */
    uint8_t size;
    uint64_t value;
};

#define FLAT_FIELDS_MAX 8
#define FLAT_POINTER(number)                                                                       \
    {                                                                                              \
        .slot = (number), .size = 4                                                                \
    }

void flat_init(struct flat *flat, struct lh_buf *buf); /* leaves the place of the root */
/* Writes a table; ret_places (may be NULL) gets the position of each field. Returns the table's. */
size_t flat_table(struct flat *flat, const struct flat_field *fields, size_t field_count,
                  size_t *ret_places);
size_t flat_string(struct flat *flat, struct lh_str text);
/* A vector of zeroes, to be filled by flat_put or flat_point; its items begin 4 bytes behind it and
 * are aligned to `alignment` (4 or 8). */
size_t flat_vector(struct flat *flat, size_t item_count, size_t item_size, size_t alignment);
void flat_put(struct flat *flat, size_t at, const void *bytes, size_t count);
void flat_point(struct flat *flat, size_t place, size_t target);
void flat_root(struct flat *flat, size_t table);

#endif
