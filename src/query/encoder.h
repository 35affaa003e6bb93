/* Encoders: how the rows of a query become bytes. A table of rows, one per format.
 *
 * An encoder appends to the output's buffer, which query_encode hands to the sink piece by piece,
 * so that a result of any size is written with flat memory; a sink that waits holds back the
 * engine. Once bytes have left, an error is part of the output: formats that can (JSON, NDJSON) end
 * with it and are complete; the others are cut, and the door aborts the body (query_encode then
 * returns the error). Parquet is written by the engine into a nameless file
 * (query_request.encoder), which is sent as it grows.
 */
#ifndef LAKEHOUSE_QUERY_ENCODER_H
#define LAKEHOUSE_QUERY_ENCODER_H

#include "engine/block.h"
#include "query/query.h"

/* Where the bytes go. `write` returns LH_OK or why no more are wanted (LH_CANCELLED: hung up). */
struct query_sink {
    void *context;
    enum lh_code (*write)(void *context, struct lh_str bytes, struct lh_error *err);
};

struct query_encode_options {
    /* CSV: a text that a spreadsheet would take for a formula gets an apostrophe before it. */
    bool escapes_formulas;
};

/* What an encoder writes to. */
struct query_output {
    struct lh_buf buf;
    const struct query_sink *sink;
    size_t whole;    /* bytes of buf that end with whole rows */
    int64_t sent_us; /* when bytes were handed over last */
    bool has_sent;
    bool is_hung_up; /* the sink wants no more */
};

/* Sends what is in the buffer and then these bytes, which are not copied. Fails as the sink does.
 */
enum lh_code query_output_lend(struct query_output *output, const void *bytes, size_t count,
                               struct lh_error *err) LH_MUST_USE;

struct query_encoder {
    const char *name;         /* as in `format` */
    const char *media_type;   /* as in Accept and Content-Type */
    const char *other_types;  /* in Accept too, parted by blanks; NULL: none */
    const char *content_type; /* when Content-Type says more than the media type; else NULL */
    bool is_file;             /* the query must have been opened for it */
    /* The state is made by begin in `arena`. Each appends to output->buf; besides what lending
     * says, they fail with LH_TOO_LARGE (a single piece), LH_SQL (a value that the format cannot
     * hold) and LH_BUSY (memory). */
    enum lh_code (*begin)(struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err);
    enum lh_code (*chunk)(void *state, const struct engine_chunk *chunk,
                          struct query_output *output, struct lh_error *err);
    /* For many rows, which are then written on the engine's threads, several chunks at once and
     * before `begin`: `write` does so without a state, and `block` appends what it wrote, in order,
     * in place of `chunk`. Both NULL: the format needs its rows one after the other. */
    engine_block_writer write;
    enum lh_code (*block)(void *state, struct lh_str rows, struct query_output *output,
                          struct lh_error *err);
    enum lh_code (*end)(void *state, const struct query *query, struct query_output *output,
                        struct lh_error *err);
    /* Ends the output in place of `end` by telling `why`; NULL: the format cannot. */
    void (*fail)(void *state, const struct query *query, const struct lh_error *why,
                 struct lh_buf *buf);
};

extern const struct query_encoder *const query_encoders[]; /* the first is the preset */
extern const size_t query_encoder_count;

const struct query_encoder *query_encoder_by_name(struct lh_str name);        /* NULL: none */
const struct query_encoder *query_encoder_by_media_type(struct lh_str media); /* NULL: none */
struct lh_str query_encoder_content_type(const struct query_encoder *encoder);

/* Writes the whole result; `options` may be NULL (presets). An error before the first byte is
 * returned and nothing was written; a later one is in the output (then *ret_failed, which may be
 * NULL, is true and LH_OK is returned), or is returned when the format cannot say it. The query is
 * at its end afterwards. */
enum lh_code query_encode(struct query *query, const struct query_encoder *encoder,
                          const struct query_encode_options *options, const struct query_sink *sink,
                          bool *ret_failed, struct lh_error *err) LH_MUST_USE;

#endif
