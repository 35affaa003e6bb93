/* CSV as RFC 4180 says: a line of names, CRLF, cells in quotes where they must be.
 *
 * NULL is nothing at all, an empty text is "". Numbers, dates and the like are written as in JSON,
 * without its quotes; lists, structs and maps are their JSON, as a text. */
#include "query/encode_json.h"

struct state {
    size_t column_count;
    query_json_cell *cells;
    struct lh_buf nested; /* the JSON of one cell, before it is quoted */
    bool escapes_formulas;
};

/* --- texts */

static bool needs_quotes(struct lh_str text)
{
    if (text.len == 0 || text.data[0] == ' ' || text.data[text.len - 1] == ' ')
        return true;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == ',' || text.data[i] == '"' || text.data[i] == '\n' ||
            text.data[i] == '\r')
            return true;
    return false;
}

/* What makes a spreadsheet calculate: these at the start of a cell, blanks before them or not, and
 * their wide forms. */
static bool is_formula(struct lh_str text)
{
    static const char first[] = {'=', '+', '-', '@', '\t', '\r', '\n'};
    static const struct lh_str wide[] = {LH_LIT("＝"), LH_LIT("＋"), LH_LIT("－"), LH_LIT("＠")};
    while (text.len && text.data[0] == ' ')
        text = lh_str_slice(text, 1, text.len);
    if (text.len && memchr(first, text.data[0], sizeof first))
        return true;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (lh_str_starts_with(text, wide[i]))
            return true;
    return false;
}

static void append_quoted(struct lh_buf *buf, struct lh_str text, bool is_escaped)
{
    lh_buf_append_str(buf, is_escaped ? lh_lit("\"'") : lh_lit("\""));
    while (text.len) {
        const char *quote = memchr(text.data, '"', text.len);
        size_t run = quote ? (size_t)(quote - text.data) + 1 : text.len;
        lh_buf_append(buf, text.data, run);
        if (quote)
            lh_buf_append_char(buf, '"');
        text.data += run;
        text.len -= run;
    }
    lh_buf_append_char(buf, '"');
}

static void append_text(const struct state *state, struct lh_buf *buf, struct lh_str text)
{
    bool is_escaped = state->escapes_formulas && is_formula(text);
    if (is_escaped || needs_quotes(text))
        append_quoted(buf, text, is_escaped);
    else
        lh_buf_append_str(buf, text);
}

/* --- cells */

/* A scalar as JSON writes it; none of these holds what JSON or CSV would escape. */
static void append_scalar(const struct state *state, query_json_cell cell,
                          const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    size_t from = buf->len;
    char *out = lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
    if (out)
        out = cell(buf, vector, row, out);
    if (!out)
        return;
    buf->len = (size_t)(out - buf->data);
    if (buf->data[from] != '"')
        return;
    struct lh_str text = {buf->data + from + 1, buf->len - from - 2};
    bool is_number = vector->type <= ENGINE_DECIMAL || vector->type == ENGINE_BIGNUM;
    if (text.len == 0) /* an empty blob is an empty text */
        return;
    if (state->escapes_formulas && !is_number && is_formula(text)) {
        lh_buf_append_char(buf, '"');
        if (buf->is_over)
            return;
        memmove(buf->data + from + 2, text.data, text.len);
        buf->data[from + 1] = '\'';
        buf->data[buf->len - 1] = '"';
        return;
    }
    memmove(buf->data + from, text.data, text.len);
    buf->len = from + text.len;
}

static void append_nested(struct state *state, query_json_cell cell,
                          const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    struct lh_buf *nested = &state->nested;
    lh_buf_clear(nested);
    char *out = lh_buf_reserve(nested, QUERY_JSON_CELL_BYTES);
    if (out)
        out = cell(nested, vector, row, out);
    if (out)
        nested->len = (size_t)(out - nested->data);
    else
        buf->is_over = true;
    append_quoted(buf, lh_buf_str(nested), false);
}

static void append_cell(struct state *state, query_json_cell cell,
                        const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    if (engine_vector_is_null(vector, row))
        return;
    switch (vector->type) {
    case ENGINE_TEXT:
        append_text(state, buf, engine_vector_str(vector, row));
        break;
    case ENGINE_ENUM:
        append_text(state, buf, engine_vector_enum_label(vector, row));
        break;
    case ENGINE_UNION:
        append_cell(state,
                    query_json_cell_of(&vector->children[engine_vector_union_tag(vector, row)]),
                    &vector->children[engine_vector_union_tag(vector, row)], row, buf);
        break;
    case ENGINE_LIST:
    case ENGINE_ARRAY:
    case ENGINE_MAP:
    case ENGINE_STRUCT:
        append_nested(state, cell, vector, row, buf);
        break;
    default:
        append_scalar(state, cell, vector, row, buf);
        break;
    }
}

/* --- the encoder */

static void release_nested(void *buf)
{
    lh_buf_release(buf);
}

static enum lh_code begin(struct query *query, const struct query_encode_options *options,
                          struct lh_arena *arena, struct query_output *output, void **ret_state,
                          struct lh_error *err)
{
    struct state *state = lh_arena_alloc(arena, sizeof *state);
    const struct engine_column *columns = query_columns(query, &state->column_count);
    const struct lh_str *names = engine_distinct_names(columns, state->column_count, arena);
    state->cells = lh_arena_array(arena, state->column_count + 1, sizeof *state->cells);
    state->escapes_formulas = options->escapes_formulas;
    lh_buf_init(&state->nested, output->buf.max);
    lh_arena_defer(arena, release_nested, &state->nested);
    for (size_t i = 0; i < state->column_count; i++) {
        if (i)
            lh_buf_append_char(&output->buf, ',');
        append_text(state, &output->buf, names[i]);
    }
    lh_buf_append_str(&output->buf, lh_lit("\r\n"));
    *ret_state = state;
    return lh_buf_check(&output->buf, "The line of names", err);
}

static enum lh_code chunk_rows(void *raw, const struct engine_chunk *chunk,
                               struct query_output *output, struct lh_error *err)
{
    struct state *state = raw;
    struct lh_buf *buf = &output->buf;
    for (size_t i = 0; i < state->column_count; i++)
        state->cells[i] = query_json_cell_of(&chunk->columns[i]);
    for (size_t row = 0; row < chunk->row_count && !buf->is_over; row++) {
        for (size_t i = 0; i < state->column_count; i++) {
            if (i)
                lh_buf_append_char(buf, ',');
            append_cell(state, state->cells[i], &chunk->columns[i], row, buf);
        }
        lh_buf_append_str(buf, lh_lit("\r\n"));
    }
    return lh_buf_check(buf, "A piece of the result", err);
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

const struct query_encoder query_encode_csv = {
    .name = "csv",
    .media_type = "text/csv",
    .content_type = "text/csv; charset=utf-8; header=present",
    .begin = begin,
    .chunk = chunk_rows,
    .end = end,
};
