/* Parquet: the engine writes the rows to a nameless file, which is sent as it grows and gives back
 * the disk space of what was sent. The directory stands at a Parquet file's end, so nothing that
 * was written changes any more. */
#include "base/file.h"
#include "query/encode.h"

#define BLOCK_BYTES ((size_t)256 * 1024)
#define FORGET_BYTES ((int64_t)16 * 1024 * 1024)

struct state {
    struct query *query;
    struct query_output *output;
    int64_t sent;
    int64_t forgotten;
};

static enum lh_code begin(struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err)
{
    (void)options;
    if (query_file(query) < 0)
        return lh_fail(err, LH_INTERNAL,
                       "The statement was not opened for a format that is a file.");
    struct state *state = lh_arena_alloc(arena, sizeof *state);
    *state = (struct state){.query = query, .output = output};
    *ret_state = state;
    return LH_OK;
}

static enum lh_code chunk_rows(void *state, const struct engine_chunk *chunk,
                               struct query_output *output, struct lh_error *err)
{
    (void)state;
    (void)chunk;
    (void)output;
    return lh_fail(err, LH_INTERNAL, "The rows of a file do not come in chunks.");
}

static enum lh_code send_grown(void *context, struct lh_error *err)
{
    struct state *state = context;
    struct lh_buf *buf = &state->output->buf;
    int file = query_file(state->query);
    size_t count = 0;
    enum lh_code code = LH_OK;
    do {
        lh_buf_clear(buf);
        char *block = lh_buf_reserve(buf, BLOCK_BYTES);
        if (!block)
            return lh_buf_check(buf, "A piece of the result", err);
        code = lh_file_read_at(file, block, BLOCK_BYTES, state->sent, &count, err);
        if (!code && count)
            code = query_output_lend(state->output, block, count, err);
        state->sent += (int64_t)count;
    } while (!code && count == BLOCK_BYTES);
    if (state->sent - state->forgotten >= FORGET_BYTES) {
        lh_file_forget_before(file, state->sent);
        state->forgotten = state->sent;
    }
    return code;
}

static enum lh_code end(void *raw, const struct query *query, struct query_output *output,
                        struct lh_error *err)
{
    struct state *state = raw;
    (void)query;
    (void)output;
    enum lh_code code = query_copy(state->query, send_grown, state, err);
    return code ? code : send_grown(state, err);
}

const struct query_encoder query_encode_parquet = {
    .name = "parquet",
    .media_type = "application/vnd.apache.parquet",
    .other_types = "application/parquet application/x-parquet",
    .is_file = true,
    .begin = begin,
    .chunk = chunk_rows,
    .end = end,
};
