/* The table of encoders, and the one loop that drives them. */
#include "query/encoder.h"

#include "query/encode_json.h"

const struct query_encoder *const query_encoders[] = {&query_encode_json};
const size_t query_encoder_count = sizeof query_encoders / sizeof query_encoders[0];

/* What is handed to the sink at once: enough that its cost vanishes, little enough to stay in a
 * cache. A single row may be larger. */
#define PIECE_BYTES ((size_t)256 * 1024)
#define ROW_BYTES_MAX ((size_t)1 << 30)

const struct query_encoder *query_encoder_by_name(struct lh_str name)
{
    for (size_t i = 0; i < query_encoder_count; i++)
        if (lh_str_equal_nocase(name, lh_str_of(query_encoders[i]->name)))
            return query_encoders[i];
    return NULL;
}

const struct query_encoder *query_encoder_by_media_type(struct lh_str media)
{
    for (size_t i = 0; i < query_encoder_count; i++)
        if (lh_str_equal_nocase(media, lh_str_of(query_encoders[i]->media_type)))
            return query_encoders[i];
    return NULL;
}

struct encoding {
    const struct query_sink *sink;
    struct lh_buf buf;
    size_t whole; /* bytes of buf that end with a whole row */
    bool has_sent;
    bool is_hung_up; /* the sink wants no more */
};

static enum lh_code hand_over(struct encoding *encoding, size_t from_bytes, struct lh_error *err)
{
    if (encoding->buf.len < from_bytes || encoding->buf.len == 0)
        return LH_OK;
    enum lh_code code =
        encoding->sink->write(encoding->sink->context, lh_buf_str(&encoding->buf), err);
    encoding->has_sent = true;
    encoding->is_hung_up = code != LH_OK;
    encoding->whole = 0;
    lh_buf_clear(&encoding->buf);
    return code;
}

static enum lh_code encode_rows(struct query *query, const struct query_encoder *encoder,
                                void *state, const struct engine_chunk *chunk,
                                struct encoding *encoding, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    while (!code && chunk) {
        code = encoder->chunk(state, chunk, &encoding->buf, err);
        if (!code)
            code = lh_buf_check(&encoding->buf, "A piece of the result", err);
        if (!code)
            encoding->whole = encoding->buf.len;
        if (!code)
            code = hand_over(encoding, PIECE_BYTES, err);
        if (!code)
            code = query_next(query, &chunk, err);
    }
    if (!code)
        code = encoder->end(state, query, &encoding->buf, err);
    return code;
}

/* The first rows are fetched before the first byte is written, so that most errors still have a
 * status of their own. */
enum lh_code query_encode(struct query *query, const struct query_encoder *encoder,
                          const struct query_sink *sink, bool *ret_failed, struct lh_error *err)
{
    struct encoding encoding = {.sink = sink};
    struct lh_error own = LH_ERROR_NONE;
    const struct engine_chunk *chunk = NULL;
    void *state = NULL;
    bool is_failed = false;
    lh_buf_init(&encoding.buf, ROW_BYTES_MAX);
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = query_next(query, &chunk, &own);
    if (!code)
        code = encoder->begin(query, arena, &encoding.buf, &state, &own);
    if (!code)
        code = encode_rows(query, encoder, state, chunk, &encoding, &own);
    if (code && encoding.has_sent && !encoding.is_hung_up && encoder->fail) {
        is_failed = true;
        encoding.buf.len = encoding.whole;
        encoding.buf.is_over = encoding.buf.is_out_of_memory = false;
        encoder->fail(state, query, &own, &encoding.buf);
        code = LH_OK;
    }
    if (!code)
        code = hand_over(&encoding, 0, &own);
    lh_buf_release(&encoding.buf);
    lh_arena_free(arena);
    if (err && own.code)
        *err = own;
    if (ret_failed)
        *ret_failed = is_failed;
    return code;
}
