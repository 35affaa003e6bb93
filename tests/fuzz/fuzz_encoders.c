#include "fuzz.h"

#include <jansson.h>

#include "query/encode.h"
#include "vectors.h"

/* Whole replies in every format of rows. The query is ours: some columns and one chunk, given out
 * as often as the input says, then an end or an error. */

#define ROWS_MAX 5
#define COLUMNS_MAX 4
#define REPLY_BYTES_MAX ((size_t)8 << 20)

struct query {
    struct engine_column columns[COLUMNS_MAX];
    struct engine_vector vectors[COLUMNS_MAX];
    struct engine_chunk chunk;
    unsigned chunks_left;
    bool ends_badly;
    int64_t row_count;
    engine_block_writer write; /* the rows come as its blocks; NULL: as chunks */
    struct engine_block block;
    uint32_t ends[ROWS_MAX + 1];
};

const struct engine_column *query_columns(const struct query *query, size_t *ret_count)
{
    *ret_count = query->chunk.column_count;
    return query->columns;
}

enum lh_code query_next(struct query *query, const struct engine_chunk **ret, struct lh_error *err)
{
    if (!query->chunks_left && query->ends_badly)
        return lh_fail(err, LH_SQL, "The statement failed in the middle.");
    *ret = query->chunks_left ? &query->chunk : NULL;
    query->row_count += query->chunks_left ? (int64_t)query->chunk.row_count : 0;
    query->chunks_left -= query->chunks_left > 0;
    return LH_OK;
}

bool query_has_blocks(const struct query *query)
{
    return query->write != NULL;
}

enum lh_code query_next_block(struct query *query, struct lh_str *ret, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    *ret = (struct lh_str){0};
    enum lh_code code = query_next(query, &chunk, err);
    if (code || !chunk)
        return code;
    lh_buf_clear(&query->block.bytes);
    query->block.row_count = chunk->row_count;
    query->block.ends = query->ends;
    code = query->write(query->columns, chunk, &query->block, err);
    if (!code) {
        for (size_t row = 1; row < chunk->row_count; row++)
            fuzz_must(query->ends[row] > query->ends[row - 1]);
        fuzz_must(query->ends[chunk->row_count - 1] == query->block.bytes.len);
        *ret = lh_buf_str(&query->block.bytes);
    }
    return code;
}

const struct query_version *query_versions(const struct query *query, size_t *ret_count)
{
    static const struct query_version versions[] = {{LH_LIT("it"), 7}, {LH_LIT("it"), 3}};
    (void)query;
    *ret_count = 2;
    return versions;
}

int64_t query_row_count(const struct query *query)
{
    return query->row_count;
}

bool query_is_truncated(const struct query *query)
{
    return query->chunk.row_count % 2;
}

int64_t query_elapsed_us(const struct query *query)
{
    (void)query;
    return 1234;
}

int query_file(const struct query *query)
{
    (void)query;
    return -1;
}

/* Parquet is the engine's own work. */
enum lh_code query_copy(struct query *query,
                        enum lh_code (*step)(void *context, struct lh_error *err), void *context,
                        struct lh_error *err)
{
    (void)query;
    return step(context, err);
}

/* --- what comes out */

struct reply {
    struct lh_buf buf;
    unsigned pieces_left; /* then the client is gone */
};

static enum lh_code take_piece(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct reply *reply = context;
    if (!reply->pieces_left--)
        return lh_fail(err, LH_CANCELLED, "The client is gone.");
    lh_buf_append_str(&reply->buf, bytes); /* reads what was lent */
    return LH_OK;
}

static json_t *parse(struct lh_str text)
{
    json_t *value = json_loadb(text.data, text.len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
    fuzz_must(value);
    return value;
}

static void check_json(const struct query *query, struct lh_str text, bool has_failed)
{
    json_t *reply = parse(text);
    const json_t *rows = json_object_get(reply, "rows");
    fuzz_must(json_array_size(json_object_get(reply, "columns")) == query->chunk.column_count);
    fuzz_must(json_array_size(rows) == (size_t)query->row_count);
    for (size_t i = 0; i < json_array_size(rows); i++)
        fuzz_must(json_array_size(json_array_get(rows, i)) == query->chunk.column_count);
    fuzz_must(has_failed == (json_object_get(reply, "error") != NULL));
    json_decref(reply);
}

static void check_ndjson(const struct query *query, struct lh_str text, bool has_failed)
{
    int64_t lines = 0;
    fuzz_must(text.len == 0 || text.data[text.len - 1] == '\n');
    for (struct lh_str rest = text; rest.len; lines++) {
        json_t *row = parse(lh_str_cut(&rest, '\n'));
        fuzz_must(has_failed || json_object_size(row) == query->chunk.column_count);
        json_decref(row);
    }
    fuzz_must(lines == query->row_count + has_failed);
}

/* Cells and lines, counted as RFC 4180 reads them. */
static void check_csv(const struct query *query, struct lh_str text)
{
    size_t cells = 1, lines = 0;
    bool is_quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"') {
            is_quoted = !is_quoted; /* a doubled one opens again at once */
        } else if (!is_quoted && text.data[i] == ',') {
            cells++;
        } else if (!is_quoted && text.data[i] == '\n') {
            fuzz_must(i > 0 && text.data[i - 1] == '\r' && cells == query->chunk.column_count);
            cells = 1;
            lines++;
        }
    }
    fuzz_must(!is_quoted && cells == 1 && lines == (size_t)query->row_count + 1);
}

static uint32_t word_at(struct lh_str text, size_t at)
{
    uint32_t word;
    fuzz_must(at + 4 <= text.len);
    memcpy(&word, text.data + at, 4);
    return word;
}

/* The stream's frames: a mark, the length of the metadata, the metadata, a body whose length it
 * tells in its fourth member; then the end. */
static void check_arrow(const struct query *query, struct lh_str text)
{
    size_t at = 0, messages = 0;
    for (;; messages++) {
        fuzz_must(at % 8 == 0 && word_at(text, at) == 0xffffffff);
        uint32_t len = word_at(text, at + 4);
        at += 8;
        if (!len)
            break;
        fuzz_must(len % 8 == 0 && at + len <= text.len);
        size_t table = at + word_at(text, at);
        size_t members = table - word_at(text, table); /* the table's own list of its members */
        uint16_t place = 0;
        fuzz_must(members + 12 <= text.len);
        if ((word_at(text, members) & 0xffff) > 10)
            memcpy(&place, text.data + members + 10, 2);
        at += len;
        at += place ? word_at(text, table + place) : 0;
    }
    fuzz_must(at == text.len && messages >= 1 + (query->row_count > 0));
}

static void run(const struct query *made, const struct query_encoder *encoder, bool escapes,
                unsigned pieces)
{
    struct query query = *made;
    struct reply reply = {.pieces_left = pieces};
    struct lh_error err = LH_ERROR_NONE;
    bool has_failed = false;
    const struct query_encode_options options = {.escapes_formulas = escapes};
    const struct query_sink sink = {&reply, take_piece};
    lh_buf_init(&reply.buf, REPLY_BYTES_MAX);
    lh_buf_init(&query.block.bytes, ENGINE_BLOCK_BYTES_MAX);
    enum lh_code code = query_encode(&query, encoder, &options, &sink, &has_failed, &err);
    struct lh_str text = lh_buf_str(&reply.buf);
    fuzz_must(!code || err.message[0]);
    fuzz_must(code != LH_INTERNAL && !reply.buf.is_over);
    if (!code && encoder == &query_encode_json)
        check_json(&query, text, has_failed);
    else if (!code && encoder == &query_encode_ndjson)
        check_ndjson(&query, text, has_failed);
    else if (!code && encoder == &query_encode_csv)
        check_csv(&query, text);
    else if (!code)
        check_arrow(&query, text);
    lh_buf_release(&query.block.bytes);
    lh_buf_release(&reply.buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct query_encoder *const encoders[] = {&query_encode_json, &query_encode_ndjson,
                                                           &query_encode_csv, &query_encode_arrow};
    struct input input = {
        .bytes = bytes, .left = count, .arena = lh_arena_new(0), .is_nested = true};
    struct query query = {.chunks_left = take_below(&input, 3)};
    unsigned choice = take_below(&input, 16);
    query.ends_badly = take_below(&input, 4) == 1;
    query.chunk.row_count = 1 + take_below(&input, ROWS_MAX);
    query.chunk.column_count = 1 + take_below(&input, COLUMNS_MAX);
    query.chunk.columns = query.vectors;
    for (size_t i = 0; i < query.chunk.column_count; i++) {
        query.columns[i].info = make_type(&input, 0);
        query.columns[i].name = take_text(&input);
        query.vectors[i] = *make_vector(&input, query.columns[i].info, query.chunk.row_count);
    }
    if (take_below(&input, 2))
        query.write = encoders[choice % 4]->write;
    run(&query, encoders[choice % 4], choice & 4, choice & 8 ? 1 : 1000000);
    lh_arena_free(input.arena);
    return 0;
}
