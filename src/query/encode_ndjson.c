/* One JSON object per row and line; the cells are those of the JSON reply. */
#include "query/encode_json.h"

#include "base/json.h"

struct state {
    size_t column_count;
    struct lh_str *keys; /* what stands before each cell: {"id": or ,"name": in whole blocks */
    query_json_cell *cells;
};

/* Keys are copied in blocks of a fixed size, which takes no call; what is beyond their end is
 * written over. */
#define KEY_BLOCK 16
_Static_assert(KEY_BLOCK <= QUERY_JSON_CELL_BYTES, "a key's last block is within the cell's room");

static struct lh_str keep_key(struct lh_str key, struct lh_arena *arena)
{
    char *blocks = lh_arena_array(arena, key.len / KEY_BLOCK + 1, KEY_BLOCK);
    memcpy(blocks, key.data, key.len);
    return (struct lh_str){blocks, key.len};
}

static inline char *write_key(char *out, struct lh_str key)
{
    for (size_t at = 0; at < key.len; at += KEY_BLOCK)
        memcpy(out + at, key.data + at, KEY_BLOCK);
    return out + key.len;
}

static enum lh_code make_state(const struct engine_column *columns, size_t column_count,
                               struct lh_arena *arena, struct state **ret, struct lh_error *err)
{
    struct state *state = lh_arena_alloc(arena, sizeof *state);
    const struct lh_str *names = engine_distinct_names(columns, column_count, arena);
    struct lh_buf key;
    enum lh_code code = LH_OK;
    state->column_count = column_count;
    state->keys = lh_arena_array(arena, column_count + 1, sizeof *state->keys);
    state->cells = lh_arena_array(arena, column_count + 1, sizeof *state->cells);
    lh_buf_init(&key, (size_t)1 << 20);
    for (size_t i = 0; i < column_count && !code; i++) {
        lh_buf_clear(&key);
        lh_buf_append_char(&key, i ? ',' : '{');
        lh_json_append_quoted(&key, names[i]);
        lh_buf_append_char(&key, ':');
        code = lh_buf_check(&key, "The name of a column", err);
        state->keys[i] = keep_key(lh_buf_str(&key), arena);
    }
    lh_buf_release(&key);
    *ret = state;
    return code;
}

static enum lh_code begin(struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err)
{
    (void)options;
    (void)output;
    size_t count;
    struct state *state;
    const struct engine_column *columns = query_columns(query, &count);
    enum lh_code code = make_state(columns, count, arena, &state, err);
    *ret_state = state;
    return code;
}

static char *write_row(const struct state *state, const struct engine_chunk *chunk, size_t row,
                       struct lh_buf *buf, char *out)
{
    for (size_t i = 0; i < state->column_count && out; i++) {
        const struct engine_vector *vector = &chunk->columns[i];
        out = query_json_room(buf, out, state->keys[i].len);
        if (!out)
            return NULL;
        out = write_key(out, state->keys[i]);
        if (engine_vector_is_null(vector, row)) {
            out = query_json_null(out);
        } else {
            out = state->cells[i](buf, vector, row, out);
        }
    }
    out = out ? query_json_room(buf, out, 2) : NULL;
    if (!out)
        return NULL;
    *out++ = '}';
    *out++ = '\n';
    return out;
}

static enum lh_code write_lines(struct state *state, const struct engine_chunk *chunk,
                                struct lh_buf *buf, uint32_t *ends, struct lh_error *err)
{
    for (size_t i = 0; i < state->column_count; i++)
        state->cells[i] = query_json_cell_of(&chunk->columns[i]);
    char *out = lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
    for (size_t row = 0; row < chunk->row_count && out; row++) {
        out = write_row(state, chunk, row, buf, out);
        if (out && ends)
            ends[row] = (uint32_t)(out - buf->data);
    }
    if (out)
        buf->len = (size_t)(out - buf->data);
    return lh_buf_check(buf, "A piece of the result", err);
}

static enum lh_code chunk_rows(void *state, const struct engine_chunk *chunk,
                               struct query_output *output, struct lh_error *err)
{
    return write_lines(state, chunk, &output->buf, NULL, err);
}

/* The keys are made anew for each block: beside its rows they are little. */
static enum lh_code write_block(const struct engine_column *columns,
                                const struct engine_chunk *chunk, struct engine_block *block,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new_small();
    struct state *state;
    enum lh_code code = make_state(columns, chunk->column_count, arena, &state, err);
    if (!code)
        code = write_lines(state, chunk, &block->bytes, block->ends, err);
    lh_arena_free(arena);
    return code;
}

static enum lh_code block_rows(void *state, struct lh_str rows, struct query_output *output,
                               struct lh_error *err)
{
    (void)state;
    return query_output_put(output, rows, err);
}

static enum lh_code end(void *state, const struct query *query, struct query_output *output,
                        struct lh_error *err)
{
    (void)state;
    (void)query;
    (void)output;
    (void)err;
    return LH_OK;
}

/* What was written last ends with a whole line. */
static void fail(void *state, const struct query *query, const struct lh_error *why,
                 struct lh_buf *buf)
{
    (void)state;
    (void)query;
    lh_buf_append_str(buf, lh_lit("{\"error\":"));
    query_append_error(why, buf);
    lh_buf_append_str(buf, lh_lit("}\n"));
}

const struct query_encoder query_encode_ndjson = {
    .name = "ndjson",
    .media_type = "application/x-ndjson",
    .other_types = "application/ndjson application/jsonl application/json-lines",
    .begin = begin,
    .chunk = chunk_rows,
    .write = write_block,
    .block = block_rows,
    .end = end,
    .fail = fail,
};
