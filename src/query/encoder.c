/* The table of encoders, and the one loop that drives them. */
#include "query/encode.h"

#include "base/clock.h"

const struct query_encoder *const query_encoders[] = {
    &query_encode_json,  &query_encode_ndjson,  &query_encode_csv,
    &query_encode_arrow, &query_encode_parquet,
};
const size_t query_encoder_count = sizeof query_encoders / sizeof query_encoders[0];

/* What is handed to the sink at once: enough that its cost vanishes, little enough to stay in a
 * cache; of a slow statement, what there is. A single row may be larger. */
#define PIECE_BYTES ((size_t)256 * 1024)
#define PIECE_US 50000
#define ROW_BYTES_MAX ((size_t)1 << 30)

const struct query_encoder *query_encoder_by_name(struct lh_str name)
{
    for (size_t i = 0; i < query_encoder_count; i++)
        if (lh_str_equal_nocase(name, lh_str_of(query_encoders[i]->name)))
            return query_encoders[i];
    return NULL;
}

static bool is_among(struct lh_str media, struct lh_str types)
{
    while (types.len)
        if (lh_str_equal_nocase(media, lh_str_cut(&types, ' ')))
            return true;
    return false;
}

const struct query_encoder *query_encoder_by_media_type(struct lh_str media)
{
    for (size_t i = 0; i < query_encoder_count; i++)
        if (lh_str_equal_nocase(media, lh_str_of(query_encoders[i]->media_type)) ||
            is_among(media, lh_str_of(query_encoders[i]->other_types)))
            return query_encoders[i];
    return NULL;
}

struct lh_str query_encoder_content_type(const struct query_encoder *encoder)
{
    return lh_str_of(encoder->content_type ? encoder->content_type : encoder->media_type);
}

static enum lh_code send(struct query_output *output, struct lh_str bytes, struct lh_error *err)
{
    enum lh_code code = output->sink->write(output->sink->context, bytes, err);
    output->has_sent = true;
    output->is_hung_up = code != LH_OK;
    return code;
}

static enum lh_code send_buffer(struct query_output *output, struct lh_error *err)
{
    if (output->buf.len == 0)
        return LH_OK;
    enum lh_code code = send(output, lh_buf_str(&output->buf), err);
    output->whole = 0;
    output->sent_us = lh_clock_monotonic_us();
    lh_buf_clear(&output->buf);
    return code;
}

enum lh_code query_output_lend(struct query_output *output, const void *bytes, size_t count,
                               struct lh_error *err)
{
    enum lh_code code = lh_buf_check(&output->buf, "A piece of the result", err);
    if (!code)
        code = send_buffer(output, err);
    return code ? code : send(output, (struct lh_str){bytes, count}, err);
}

enum lh_code query_output_put(struct query_output *output, struct lh_str bytes,
                              struct lh_error *err)
{
    if (bytes.len >= PIECE_BYTES / 4)
        return query_output_lend(output, bytes.data, bytes.len, err);
    lh_buf_append_str(&output->buf, bytes);
    return LH_OK;
}

static bool is_due(const struct query_output *output)
{
    return output->buf.len >= PIECE_BYTES || lh_clock_monotonic_us() - output->sent_us > PIECE_US;
}

/* Rows on their way from the query to the encoder. */
struct rows {
    const struct engine_chunk *chunk;
    struct lh_str block;
};

static enum lh_code next_rows(struct query *query, struct rows *rows, struct lh_error *err)
{
    return query_has_blocks(query) ? query_next_block(query, &rows->block, err)
                                   : query_next(query, &rows->chunk, err);
}

static enum lh_code encode_rows(struct query *query, const struct query_encoder *encoder,
                                void *state, struct rows *rows, struct query_output *output,
                                struct lh_error *err)
{
    enum lh_code code = LH_OK;
    while (!code && (rows->chunk || rows->block.len)) {
        code = rows->chunk ? encoder->chunk(state, rows->chunk, output, err)
                           : encoder->block(state, rows->block, output, err);
        if (!code)
            code = lh_buf_check(&output->buf, "A piece of the result", err);
        if (!code)
            output->whole = output->buf.len;
        if (!code && is_due(output))
            code = send_buffer(output, err);
        if (!code)
            code = next_rows(query, rows, err);
    }
    if (!code)
        code = encoder->end(state, query, output, err);
    return code;
}

/* The first rows are fetched before the first byte is written, so that most errors still have a
 * status of their own. */
enum lh_code query_encode(struct query *query, const struct query_encoder *encoder,
                          const struct query_encode_options *options, const struct query_sink *sink,
                          bool *ret_failed, struct lh_error *err)
{
    static const struct query_encode_options presets = {0};
    struct query_output output = {.sink = sink, .sent_us = lh_clock_monotonic_us()};
    struct lh_error own = LH_ERROR_NONE;
    struct rows rows = {0};
    void *state = NULL;
    bool is_failed = false;
    lh_buf_init(&output.buf, ROW_BYTES_MAX);
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = encoder->is_file ? LH_OK : next_rows(query, &rows, &own);
    if (!code)
        code = encoder->begin(query, options ? options : &presets, arena, &output, &state, &own);
    if (!code)
        output.whole = output.buf.len;
    if (!code)
        code = encode_rows(query, encoder, state, &rows, &output, &own);
    if (code && output.has_sent && !output.is_hung_up && encoder->fail) {
        is_failed = true;
        output.buf.len = output.whole;
        output.buf.is_over = output.buf.is_out_of_memory = false;
        encoder->fail(state, query, &own, &output.buf);
        code = LH_OK;
    }
    if (!code)
        code = send_buffer(&output, &own);
    lh_buf_release(&output.buf);
    lh_arena_free(arena);
    if (err && own.code)
        *err = own;
    if (ret_failed)
        *ret_failed = is_failed;
    return code;
}
