/* Parquet: the engine has written the rows to a nameless file; here it is sent. */
#include "base/file.h"
#include "query/encode.h"

#define BLOCK_BYTES ((size_t)256 * 1024)

static enum lh_code begin(const struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err)
{
    (void)options;
    (void)arena;
    (void)output;
    *ret_state = NULL;
    if (query_file(query) < 0)
        return lh_fail(err, LH_INTERNAL,
                       "The statement was not opened for a format that is a file.");
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

static enum lh_code end(void *state, const struct query *query, struct query_output *output,
                        struct lh_error *err)
{
    int64_t at = 0;
    size_t count = 0;
    enum lh_code code;
    (void)state;
    do {
        lh_buf_clear(&output->buf);
        char *block = lh_buf_reserve(&output->buf, BLOCK_BYTES);
        if (!block)
            return lh_buf_check(&output->buf, "A piece of the result", err);
        code = lh_file_read_at(query_file(query), block, BLOCK_BYTES, at, &count, err);
        at += (int64_t)count;
        if (!code && count)
            code = query_output_lend(output, block, count, err);
    } while (!code && count == BLOCK_BYTES);
    return code;
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
