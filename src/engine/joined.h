/* Whether a Parquet file is others put behind one another: what the engine reads of it, beside the
 * bytes. */
#ifndef LAKEHOUSE_ENGINE_JOINED_H
#define LAKEHOUSE_ENGINE_JOINED_H

#include "engine/engine.h"

struct engine_joined_part {
    struct lh_str path;  /* absolute */
    int64_t shift;       /* its bytes stand so far behind where they stood */
    int64_t first_group; /* of the whole's row groups */
};

/* True: the engine finds in the whole the columns of the first part, the row groups of all of them
 * in this order, and each chunk of a column with all that the engine knows of it (rows, codec,
 * encodings, sizes, statistics, …) and with its bytes where its part's bytes went. So the engine
 * reads from the whole what it reads from the parts, if these bytes are the same, which is the
 * caller's to know. Compared by hashes, whose sums take no memory. No rows are read. LH_IO,
 * LH_UNREADABLE: one of them is nothing that the engine reads. */
enum lh_code engine_parquet_is_joined(struct engine_connection *connection, struct lh_str path,
                                      const struct engine_joined_part *parts, size_t part_count,
                                      int64_t rows, const struct lh_cancel *cancel, bool *ret,
                                      struct lh_error *err) LH_MUST_USE;

#endif
