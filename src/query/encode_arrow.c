/* An Arrow IPC stream: the schema, a batch per dictionary, a batch per chunk, the end. */
#include "query/arrow_message.h"
#include "query/encode.h"

struct state {
    struct arrow_batch batch;
    struct arrow_dictionaries dictionaries;
};

/* What is smaller is copied into the buffer: handing it over would cost more. */
#define LENT_BYTES ((size_t)4096)

static size_t padding(size_t len)
{
    return (ARROW_ALIGNMENT - len % ARROW_ALIGNMENT) % ARROW_ALIGNMENT;
}

/* The table RecordBatch: how many rows, and where in the body which buffer is. */
static size_t write_record(struct flat *flat, const struct arrow_batch *batch, size_t row_count)
{
    const struct flat_field fields[] = {{0, 8, row_count}, FLAT_POINTER(1), FLAT_POINTER(2)};
    size_t places[3];
    int64_t at = 0;
    size_t table = flat_table(flat, fields, 3, places);
    size_t nodes = flat_vector(flat, batch->node_count, sizeof *batch->nodes, 8);
    flat_point(flat, places[1], nodes);
    flat_put(flat, nodes + 4, batch->nodes, batch->node_count * sizeof *batch->nodes);
    size_t buffers = flat_vector(flat, batch->piece_count, 16, 8);
    flat_point(flat, places[2], buffers);
    for (size_t i = 0; i < batch->piece_count; i++) {
        const int64_t buffer[2] = {at, (int64_t)batch->pieces[i].len};
        flat_put(flat, buffers + 4 + 16 * i, buffer, sizeof buffer);
        at += buffer[1] + (int64_t)padding(batch->pieces[i].len);
    }
    return table;
}

static int64_t body_bytes(const struct arrow_batch *batch)
{
    int64_t total = 0;
    for (size_t i = 0; i < batch->piece_count; i++)
        total += (int64_t)(batch->pieces[i].len + padding(batch->pieces[i].len));
    return total;
}

static enum lh_code write_body(const struct arrow_batch *batch, struct query_output *output,
                               struct lh_error *err)
{
    static const char zeroes[ARROW_ALIGNMENT];
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < batch->piece_count && !code; i++) {
        const struct arrow_piece *piece = &batch->pieces[i];
        if (piece->len >= LENT_BYTES)
            code = query_output_lend(output, piece->data, piece->len, err);
        else if (piece->len)
            lh_buf_append(&output->buf, piece->data, piece->len);
        lh_buf_append(&output->buf, zeroes, padding(piece->len));
    }
    return code ? code : lh_buf_check(&output->buf, "A piece of the result", err);
}

static enum lh_code write_dictionary(struct state *state, size_t id, struct query_output *output,
                                     struct lh_error *err)
{
    const struct engine_type_info *info = state->dictionaries.items[id];
    const struct flat_field fields[] = {{0, 8, id}, FLAT_POINTER(1)};
    struct flat flat;
    size_t places[2];
    arrow_batch_begin(&state->batch, err);
    arrow_batch_add_labels(&state->batch, info);
    if (state->batch.code)
        return state->batch.code;
    size_t place =
        arrow_message_begin(&flat, &output->buf, ARROW_DICTIONARY_BATCH, body_bytes(&state->batch));
    flat_point(&flat, place, flat_table(&flat, fields, 2, places));
    flat_point(&flat, places[1], write_record(&flat, &state->batch, info->label_count));
    arrow_message_end(&flat);
    return write_body(&state->batch, output, err);
}

static void release(void *state)
{
    arrow_batch_release(&((struct state *)state)->batch);
}

/* The dictionaries are sent with the first piece, whether rows follow or not. */
static enum lh_code begin(struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err)
{
    (void)options;
    struct state *state = lh_arena_alloc(arena, sizeof *state);
    size_t count;
    const struct engine_column *columns = query_columns(query, &count);
    enum lh_code code = LH_OK;
    arrow_batch_init(&state->batch, arena);
    lh_arena_defer(arena, release, state);
    arrow_write_schema(columns, count, arena, &state->dictionaries, &output->buf);
    for (size_t i = 0; i < state->dictionaries.count && !code; i++)
        code = write_dictionary(state, i, output, err);
    *ret_state = state;
    return code;
}

static enum lh_code chunk_rows(void *raw, const struct engine_chunk *chunk,
                               struct query_output *output, struct lh_error *err)
{
    struct state *state = raw;
    struct arrow_batch *batch = &state->batch;
    struct flat flat;
    arrow_batch_begin(batch, err);
    for (size_t i = 0; i < chunk->column_count; i++)
        arrow_batch_add(batch, &chunk->columns[i], chunk->row_count);
    if (batch->code)
        return batch->code;
    size_t place = arrow_message_begin(&flat, &output->buf, ARROW_RECORD_BATCH, body_bytes(batch));
    flat_point(&flat, place, write_record(&flat, batch, chunk->row_count));
    arrow_message_end(&flat);
    return write_body(batch, output, err);
}

static enum lh_code end(void *state, const struct query *query, struct query_output *output,
                        struct lh_error *err)
{
    (void)state;
    (void)query;
    arrow_write_end(&output->buf);
    return lh_buf_check(&output->buf, "The end of the result", err);
}

const struct query_encoder query_encode_arrow = {
    .name = "arrow",
    .media_type = "application/vnd.apache.arrow.stream",
    .begin = begin,
    .chunk = chunk_rows,
    .end = end,
};
