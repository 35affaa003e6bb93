/* Arrow's columnar layout, inside query/ only: schemas as messages, chunks as record batches.
 *
 * The types are those of Arrow's format 1.x, metadata version 5, little-endian. How each SQL type
 * is told stands in docs/decisions/0007-arrow-types.md.
 */
#ifndef LAKEHOUSE_QUERY_ARROW_H
#define LAKEHOUSE_QUERY_ARROW_H

#include "engine/engine.h"
#include "query/encoder.h"

/* --- arrow_schema.c: what the columns are ------------------------------------------------------*/

/* The dictionaries of a schema: one per ENUM, in the order in which they are met. */
struct arrow_dictionaries {
    const struct engine_type_info **items;
    size_t count, capacity;
};

/* Appends the schema's message, its length in front, and lists the dictionaries in `arena`. */
void arrow_write_schema(const struct engine_column *columns, size_t count, struct lh_arena *arena,
                        struct arrow_dictionaries *ret, struct lh_buf *buf);

/* Every buffer of a batch begins at a multiple of this in the stream. */
#define ARROW_ALIGNMENT ((size_t)64)

/* --- arrow_column.c: what is in them -----------------------------------------------------------*/

/* Memory for one batch, given back whole and used again. */
struct arrow_scratch {
    struct arrow_block *blocks, *current;
};
void arrow_scratch_reset(struct arrow_scratch *scratch);
void arrow_scratch_release(struct arrow_scratch *scratch);

struct arrow_node {
    int64_t length;
    int64_t null_count;
};
struct arrow_piece { /* one buffer of a batch: the chunk's own memory, or scratch */
    const void *data;
    size_t len;
};

/* The columns of one batch, as nodes and buffers in the order that the schema dictates. */
struct arrow_batch {
    struct arrow_scratch scratch;
    struct lh_buf text; /* of values that are written as text */
    struct arrow_node *nodes;
    size_t node_count, node_capacity;
    struct arrow_piece *pieces;
    size_t piece_count, piece_capacity;
    struct lh_arena *arena; /* of the two lists */
    enum lh_code code;      /* what went wrong first */
    struct lh_error *err;
};

void arrow_batch_init(struct arrow_batch *batch, struct lh_arena *arena);
void arrow_batch_release(struct arrow_batch *batch);
void arrow_batch_begin(struct arrow_batch *batch, struct lh_error *err);
/* Adds a column's rows 0 … count - 1. What it lends lives as long as the chunk and the batch. */
void arrow_batch_add(struct arrow_batch *batch, const struct engine_vector *vector, size_t count);
/* Adds the labels of an ENUM as a column of text. */
void arrow_batch_add_labels(struct arrow_batch *batch, const struct engine_type_info *info);

#endif
