/* Between block.c and the files that run statements; see block.h for what it is. */
#ifndef LAKEHOUSE_ENGINE_BLOCK_INTERNAL_H
#define LAKEHOUSE_ENGINE_BLOCK_INTERNAL_H

#include <duckdb.h>
#include <pthread.h>

#include "engine/block.h"

struct engine_shape;
struct made_block;

/* What a statement that runs for blocks has made; see block.c. */
struct engine_blocks {
    pthread_mutex_t lock; /* guards all of it */
    pthread_cond_t rested;
    const struct engine_shape *shape; /* of the rows */
    engine_block_writer writer;       /* NULL: nobody wants rows */
    struct made_block **items;
    size_t count;
    size_t capacity;
    struct made_block *idle;
    size_t writing_count; /* calls of the writer that are under way */
};

#define BLOCKS_FUNCTION "__lh_rows"
enum lh_code blocks_register(struct engine *engine, duckdb_connection handle, struct lh_error *err);
void blocks_init(struct engine_blocks *blocks);
void blocks_release(struct engine_blocks *blocks);
/* From now on the rows of the statement that runs are written. `shape` lives until blocks_end. */
void blocks_begin(struct engine_blocks *blocks, const struct engine_shape *shape,
                  engine_block_writer writer);
/* No writer is called any more when it returns; what it wrote stays. */
void blocks_mute(struct engine_blocks *blocks);
/* The same, and nothing stays. */
void blocks_end(struct engine_blocks *blocks);

#endif
