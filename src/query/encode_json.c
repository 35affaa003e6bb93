/* The reply of POST /query/sql: {columns, rows, row_count, truncated, elapsed_ms, versions}. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/encode_json.h"

#include "base/json.h"

struct state {
    size_t column_count;
    query_json_cell *cells; /* per column: chosen anew for each chunk, as vectors are */
    bool has_rows;
};

static enum lh_code begin(struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err)
{
    (void)options;
    size_t count;
    struct lh_buf *buf = &output->buf;
    const struct engine_column *columns = query_columns(query, &count);
    struct state *state = lh_arena_alloc(arena, sizeof *state);
    struct lh_buf type;
    state->column_count = count;
    state->cells = lh_arena_array(arena, count + 1, sizeof(query_json_cell));
    lh_buf_init(&type, (size_t)1 << 20);
    lh_buf_append_str(buf, lh_lit("{\"columns\":["));
    for (size_t i = 0; i < count; i++) {
        lh_buf_append_str(buf, i ? lh_lit(",{\"name\":") : lh_lit("{\"name\":"));
        lh_json_append_quoted(buf, columns[i].name);
        lh_buf_append_str(buf, lh_lit(",\"type\":"));
        lh_buf_clear(&type);
        engine_type_text(columns[i].info, &type);
        lh_json_append_quoted(buf, lh_buf_str(&type));
        lh_buf_append_char(buf, '}');
    }
    lh_buf_append_str(buf, lh_lit("],\"rows\":"));
    enum lh_code code = lh_buf_check(&type, "The name of a column's type", err);
    lh_buf_release(&type);
    *ret_state = state;
    return code;
}

static inline char *write_cell(struct lh_buf *buf, query_json_cell cell,
                               const struct engine_vector *vector, size_t row, char *out)
{
    if (vector->validity && !(vector->validity[row / 64] >> (row % 64) & 1))
        return query_json_null(out);
    return cell(buf, vector, row, out);
}

/* Each row begins with the comma of the one before, the first of all with the bracket of the list.
 * `ends` (may be NULL) takes where each ends. */
static char *write_rows(const query_json_cell *cells, const struct engine_chunk *chunk, char before,
                        struct lh_buf *buf, uint32_t *ends, char *out)
{
    for (size_t row = 0; row < chunk->row_count && out; row++) {
        char separator = '[';
        *out++ = before;
        before = ',';
        for (size_t i = 0; i < chunk->column_count && out; i++) {
            *out++ = separator;
            separator = ',';
            out = write_cell(buf, cells[i], &chunk->columns[i], row, out);
            if (out)
                out = query_json_room(buf, out, 0);
        }
        if (out)
            *out++ = ']';
        if (out && ends)
            ends[row] = (uint32_t)(out - buf->data);
    }
    return out;
}

static void choose_cells(const struct engine_chunk *chunk, query_json_cell *ret)
{
    for (size_t i = 0; i < chunk->column_count; i++)
        ret[i] = query_json_cell_of(&chunk->columns[i]);
}

static enum lh_code chunk_rows(void *raw, const struct engine_chunk *chunk,
                               struct query_output *output, struct lh_error *err)
{
    struct state *state = raw;
    struct lh_buf *buf = &output->buf;
    choose_cells(chunk, state->cells);
    char *out = lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
    if (out)
        out = write_rows(state->cells, chunk, state->has_rows ? ',' : '[', buf, NULL, out);
    if (out) {
        buf->len = (size_t)(out - buf->data);
        state->has_rows = true;
    }
    return lh_buf_check(buf, "A piece of the result", err);
}

/* Where in the list the rows will stand is not known yet: each has its comma. */
static enum lh_code write_block(const struct engine_column *columns,
                                const struct engine_chunk *chunk, struct engine_block *block,
                                struct lh_error *err)
{
    struct lh_buf *buf = &block->bytes;
    query_json_cell *cells = malloc(chunk->column_count * sizeof *cells);
    (void)columns;
    if (!cells)
        return lh_fail(err, LH_BUSY, "No memory is left for a piece of the result.");
    choose_cells(chunk, cells);
    char *out = lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
    if (out)
        out = write_rows(cells, chunk, ',', buf, block->ends, out);
    if (out)
        buf->len = (size_t)(out - buf->data);
    free(cells);
    return lh_buf_check(buf, "A piece of the result", err);
}

static enum lh_code block_rows(void *raw, struct lh_str rows, struct query_output *output,
                               struct lh_error *err)
{
    struct state *state = raw;
    if (!state->has_rows) {
        lh_buf_append_char(&output->buf, '[');
        rows = lh_str_slice(rows, 1, rows.len);
    }
    state->has_rows = true;
    return query_output_put(output, rows, err);
}

static bool is_repeated(const struct query_version *versions, size_t at)
{
    return at > 0 && lh_str_equal(versions[at - 1].dataset, versions[at].dataset);
}

/* A dataset that is read at several versions stands with its newest under its name, with the others
 * as name@version. */
static void write_versions(const struct query *query, struct lh_json *json)
{
    size_t count;
    const struct query_version *versions = query_versions(query, &count);
    char name[CHAR_BIT * 16];
    lh_json_key(json, "versions");
    lh_json_object(json);
    for (size_t i = 0; i < count; i++) {
        if (is_repeated(versions, i)) {
            int len = snprintf(name, sizeof name, "%.*s@%llu", LH_ARG(versions[i].dataset),
                               (unsigned long long)versions[i].version);
            lh_json_key_str(json, (struct lh_str){name, (size_t)len});
        } else {
            lh_json_key_str(json, versions[i].dataset);
        }
        lh_json_uint(json, versions[i].version);
    }
    lh_json_object_end(json);
}

void query_append_error(const struct lh_error *why, struct lh_buf *buf)
{
    struct lh_json json;
    lh_json_init(&json, buf);
    lh_json_object(&json);
    lh_json_put_cstr(&json, "code", lh_error_row(why->code)->id);
    lh_json_put_cstr(&json, "detail", why->message);
    if (why->hint[0])
        lh_json_put_cstr(&json, "hint", why->hint);
    lh_json_object_end(&json);
}

/* The writer continues an object that begin opened. */
static void write_tail(const struct state *state, const struct query *query,
                       const struct lh_error *why, struct lh_buf *buf)
{
    struct lh_json json;
    lh_json_init(&json, buf);
    lh_buf_append_str(buf, state->has_rows ? lh_lit("]") : lh_lit("[]"));
    size_t at = buf->len;
    lh_json_object(&json);
    lh_json_put_int(&json, "row_count", query_row_count(query));
    lh_json_put_bool(&json, "truncated", query_is_truncated(query));
    lh_json_key(&json, "elapsed_ms");
    lh_json_double(&json, (double)query_elapsed_us(query) / 1e3);
    write_versions(query, &json);
    if (why) {
        lh_json_key(&json, "error");
        lh_json_raw(&json, lh_lit("")); /* the value is written past the writer */
        query_append_error(why, buf);
    }
    lh_json_object_end(&json);
    if (!buf->is_over) /* the object was opened by begin: this is its next member */
        buf->data[at] = ',';
    lh_buf_append_char(buf, '\n');
}

static enum lh_code end(void *state, const struct query *query, struct query_output *output,
                        struct lh_error *err)
{
    write_tail(state, query, NULL, &output->buf);
    return lh_buf_check(&output->buf, "The end of the result", err);
}

/* What was sent last ends with a whole row, so the list can be closed here too. */
static void fail(void *state, const struct query *query, const struct lh_error *why,
                 struct lh_buf *buf)
{
    write_tail(state, query, why, buf);
}

const struct query_encoder query_encode_json = {
    .name = "json",
    .media_type = "application/json",
    .begin = begin,
    .chunk = chunk_rows,
    .write = write_block,
    .block = block_rows,
    .end = end,
    .fail = fail,
};
