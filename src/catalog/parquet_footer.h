/* Footers of Parquet files, as far as it takes to put files behind one another.
 *
 * A footer is Thrift in its compact protocol. Only what says where bytes lie is understood and
 * changed; names, types, statistics and encodings are carried over byte for byte. A footer that
 * holds what is not known here, and so might hold a place, is refused: the caller then has the
 * engine write the rows anew.
 *
 * Threads: pure functions. Nothing blocks, nothing fails but for memory.
 */
#ifndef LAKEHOUSE_CATALOG_PARQUET_FOOTER_H
#define LAKEHOUSE_CATALOG_PARQUET_FOOTER_H

#include "base/buf.h"

#define PARQUET_MARK "PAR1" /* in front of the first row group and at the end */
#define PARQUET_MARK_BYTES ((size_t)4)
#define PARQUET_TAIL_BYTES ((size_t)8) /* length of the footer, and the mark */
#define PARQUET_FIELDS 10              /* of FileMetaData, by number; 0 is none */

struct parquet_footer { /* points into the bytes that it was read from */
    int64_t body_end; /* of the row groups and what belongs to them, which begin behind the mark */
    int64_t rows;
    size_t group_count;
    struct lh_str fields[PARQUET_FIELDS]; /* values; the row groups without the list's head */
    uint8_t types[PARQUET_FIELDS];        /* 0: there is none */
};

/* The length of the footer from the last PARQUET_TAIL_BYTES of a file; 0: it is no such file. */
size_t parquet_footer_len(const uint8_t *tail);
/* Whether it is a footer of a file whose row groups end at `body_end`, with no places but known
 * ones, all of them in the file. */
bool parquet_footer_read(struct lh_str bytes, int64_t body_end, struct parquet_footer *ret);
/* Whether both have the same columns and differ in row groups alone. */
bool parquet_footer_fits(const struct parquet_footer *a, const struct parquet_footer *b);
/* Appends the footer and tail of a file that has the mark, then the row groups of all of them, one
 * behind the other. They fit each other. */
void parquet_footer_join(const struct parquet_footer *footers, size_t count, struct lh_buf *buf);

#endif
