/* Rows that are written where they are made.
 *
 * A cursor's chunks are copies: the engine's stream copies every row before it hands it over, which
 * for many rows costs as much as writing them. A statement that is run for blocks calls its writer
 * instead, on the threads of the engine and on the rows before they are copied, and what the writer
 * wrote comes out of the cursor in the order of the rows. A few blocks are made ahead of the
 * reader, as many as the engine's stream takes of an ordinary result; then the engine waits.
 *
 * Errors of a writer come out where its rows would have. Threads: those of engine.h; the writer is
 * called on several at once.
 */
#ifndef LAKEHOUSE_ENGINE_BLOCK_H
#define LAKEHOUSE_ENGINE_BLOCK_H

#include "engine/engine.h"

struct engine_block {
    struct lh_buf bytes; /* at most ENGINE_BLOCK_BYTES_MAX */
    size_t row_count;
    uint32_t *ends; /* where each row ends in `bytes`: row_count of them, to be written */
};
#define ENGINE_BLOCK_BYTES_MAX ((size_t)1 << 30)

/* Appends the chunk's rows to the empty block's bytes and notes their ends. Everything is borrowed;
 * it calls nothing of the engine that runs statements, and is quick. */
typedef enum lh_code (*engine_block_writer)(const struct engine_column *columns,
                                            const struct engine_chunk *chunk,
                                            struct engine_block *block, struct lh_error *err);

/* engine_run, for blocks if the statement allows: it is short enough to be remembered, has no
 * parameters, and its columns are scalars (none a bare NULL). Otherwise the cursor has chunks. It
 * costs preparing the statement twice, the first time. A table that it reads and that was altered
 * since it was prepared may fail it once. */
enum lh_code engine_run_blocks(struct engine_connection *connection, struct lh_str sql,
                               engine_block_writer writer, const struct lh_cancel *cancel,
                               struct engine_cursor **ret, struct lh_error *err) LH_MUST_USE;

/* Which of engine_cursor_next and engine_cursor_next_block this cursor has. */
bool engine_cursor_has_blocks(const struct engine_cursor *cursor);

/* The next block, never an empty one; *ret = NULL at the end. What the last call returned is gone.
 */
enum lh_code engine_cursor_next_block(struct engine_cursor *cursor, const struct engine_block **ret,
                                      struct lh_error *err) LH_MUST_USE;

#endif
