/* What a search asks of the dataset itself: which rows a filter lets through, and whole rows of
 * hits. */
#include "search/asking.h"

#include <stdlib.h>
#include <string.h>

#define FILTER_BYTES_MAX ((size_t)32768)
#define ROWS_BYTES_MAX ((size_t)256 << 20)

/* --- is it one expression? */

static bool is_plain(const struct ast_node *select)
{
    static const char *const others[] = {"group_expressions", "group_sets", "having",
                                         "qualify",           "modifiers",  "sample"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct ast_node *member = ast_get(select, others[i]);
        if (member && member->first)
            return false;
    }
    const struct ast_node *ctes = ast_get(ast_get(select, "cte_map"), "map");
    return !(ctes && ctes->first) && ast_get(select, "where_clause");
}

#define FRONT "SELECT 1 FROM t WHERE (\n"
#define BACK "\n)"
#define FRONT_BARE "SELECT 1 FROM t WHERE \n"

/* A place in the statement around the filter, as the caller sees it. */
static void place_error(struct lh_error *err, int64_t position, struct lh_str filter)
{
    if (!err)
        return;
    bool is_inside = position >= 0 && position <= (int64_t)filter.len;
    err->position = is_inside ? position : -1;
    err->line = is_inside;
    for (int64_t i = 0; is_inside && i < position; i++)
        err->line += filter.data[i] == '\n';
}

/* Whether the statement around the filter is one, and the one that was meant. */
static enum lh_code check_within(struct engine_connection *connection, const char *front,
                                 const char *back, struct lh_str filter, struct lh_arena *arena,
                                 struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    struct ast_node *tree = NULL;
    struct lh_str sql = lh_arena_printf(arena, "%s%.*s%s", front, LH_ARG(filter), back);
    enum lh_code code = engine_parse(connection, sql, arena, &tree, &why);
    const struct ast_node *statements = code ? NULL : ast_get(tree, "statements");
    const struct ast_node *node =
        statements && statements->first ? ast_get(statements->first, "node") : NULL;
    if (code && code != LH_SYNTAX && code != LH_REFUSED) {
        if (err)
            *err = why;
        return code;
    }
    if (node && !statements->first->next &&
        lh_str_equal(ast_text(node, "type"), lh_lit("SELECT_NODE")) && is_plain(node))
        return LH_OK;
    lh_fail(err, LH_INVALID, "sql_filter is no boolean expression%s%s", code ? ": " : ".",
            code ? why.message : "");
    if (why.position >= 0)
        place_error(err, why.position - (int64_t)strlen(front), filter);
    lh_error_field(err, lh_lit("sql_filter"));
    return lh_error_hint(err, "Write what would stand behind WHERE: section = 'editors' AND "
                              "installed_size < 1000000.");
}

/* A filter becomes part of a statement, and must not become more than that: the statement around it
 * is parsed and must still be the one that was meant. It must be an expression without parentheses
 * around it, too: "a) OR (b" is not one, though it is one between them. Names and functions are the
 * resolver's to check. */
enum lh_code filter_check(struct search *search, struct lh_str filter,
                          const struct lh_cancel *cancel, struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    if (filter.len > FILTER_BYTES_MAX)
        return lh_fail(err, LH_TOO_LARGE, "The filter has %zu bytes; at most %zu are read.",
                       filter.len, FILTER_BYTES_MAX);
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code =
        engine_acquire(search->options.engine, (struct lh_str){0}, cancel, &connection, err);
    if (!code)
        code = check_within(connection, FRONT, BACK, filter, arena, err);
    if (!code && memchr(filter.data ? filter.data : "", ')', filter.len))
        code = check_within(connection, FRONT_BARE, "\n", filter, arena, err);
    engine_release(connection);
    lh_arena_free(arena);
    return code;
}

static bool has_statement(const struct ast_node *node)
{
    for (; node; node = node->next)
        if ((node->key.data && lh_str_equal(node->key, lh_lit("subquery"))) ||
            has_statement(node->first))
            return true;
    return false;
}

enum lh_code filter_check_alone(struct search *search, struct lh_str filter,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    struct ast_node *tree = NULL;
    enum lh_code code = filter_check(search, filter, cancel, err); /* a whole expression, then */
    if (code)
        return code;
    struct lh_arena *arena = lh_arena_new(0);
    code = engine_acquire(search->options.engine, (struct lh_str){0}, cancel, &connection, err);
    if (!code)
        code = engine_parse(connection, lh_arena_printf(arena, FRONT "%.*s" BACK, LH_ARG(filter)),
                            arena, &tree, err);
    if (!code && has_statement(tree)) {
        code = lh_fail(err, LH_FORBIDDEN, "Here sql_filter looks at the index's own rows alone.");
        lh_error_hint(err, "Write it without SELECT and FROM.");
        lh_error_field(err, lh_lit("sql_filter"));
    }
    engine_release(connection);
    lh_arena_free(arena);
    return code;
}

/* --- rows of the dataset */

static struct lh_str from_dataset(const struct pin *pin, struct lh_arena *arena)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1024);
    engine_quote_ident(&buf, pin->dataset->name);
    lh_buf_printf(&buf, " AT (VERSION => %lld)", (long long)pin->dataset->version);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static struct lh_str quoted_id(const struct pin *pin, struct lh_arena *arena)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 65536);
    engine_quote_ident(&buf, pin->overlay->view->manifest->id_column);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static void allow(const struct view *view, struct lh_str id, uint64_t *allowed)
{
    size_t first = view ? view_find(view, id) : VIEW_NONE;
    if (first == VIEW_NONE)
        return;
    size_t length = view_row_length(view, first);
    for (size_t i = 0; i < length; i++)
        bit_set(allowed, first + i);
}

static enum lh_code read_allowed(struct search *search, struct lh_str sql, struct layer *layers,
                                 const struct lh_cancel *cancel, struct lh_error *err)
{
    const struct search_source *source = &search->options.source;
    const struct engine_chunk *chunk = NULL;
    void *rows = NULL;
    enum lh_code code = source->open(source->context, sql, NULL, cancel, &rows, err);
    while (!code && !(code = source->next(rows, &chunk, err)) && chunk) {
        for (size_t row = 0; row < chunk->row_count; row++) {
            if (engine_vector_is_null(&chunk->columns[0], row))
                continue;
            struct lh_str id = engine_vector_str(&chunk->columns[0], row);
            for (size_t i = 0; i < LAYERS; i++)
                if (layers[i].view)
                    allow(layers[i].view, id, layers[i].allowed);
        }
    }
    source->close(rows);
    return code;
}

enum lh_code filter_run(struct search *search, const struct pin *pin, struct lh_str filter,
                        struct layer *layers, const struct lh_cancel *cancel, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = filter_check(search, filter, cancel, err);
    for (size_t i = 0; i < LAYERS && !code; i++) {
        if (!layers[i].view)
            continue;
        layers[i].allowed = calloc(layers[i].view->span / 64 + 1, sizeof(uint64_t));
        if (!layers[i].allowed)
            code = lh_fail(err, LH_BUSY, "There is no memory for the filter.");
    }
    if (!code) {
        struct lh_str front =
            lh_arena_printf(arena, "SELECT CAST(%.*s AS VARCHAR) FROM %.*s WHERE (\n",
                            LH_ARG(quoted_id(pin, arena)), LH_ARG(from_dataset(pin, arena)));
        struct lh_str sql = lh_arena_printf(arena, "%.*s%.*s" BACK, LH_ARG(front), LH_ARG(filter));
        code = read_allowed(search, sql, layers, cancel, err);
        if (code && err && err->position >= 0)
            place_error(err, err->position - (int64_t)front.len, filter);
        if (code == LH_SQL || code == LH_SYNTAX || code == LH_REFUSED)
            lh_error_field(err, lh_lit("sql_filter"));
    }
    lh_arena_free(arena);
    return code;
}

/* --- whole rows of hits */

struct row_sink {
    struct search_hit *hits;
    size_t count;
    size_t prefix; /* bytes of the id_prefix that hits carry */
    struct lh_arena *arena;
};

static void keep_row(struct row_sink *sink, struct lh_str id, struct lh_str row)
{
    struct lh_str copy = {0};
    for (size_t i = 0; i < sink->count; i++) {
        struct lh_str own = lh_str_slice(sink->hits[i].id, sink->prefix, sink->hits[i].id.len);
        if (!lh_str_equal(own, id))
            continue;
        if (!copy.data)
            copy = lh_arena_str(sink->arena, row);
        sink->hits[i].row = copy;
    }
}

enum lh_code rows_fetch(struct search *search, const struct pin *pin, bool is_raw,
                        struct search_hit *hits, size_t count, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct lh_error *err)
{
    const struct index_manifest *manifest = pin->overlay->view->manifest;
    const struct search_source *source = &search->options.source;
    struct row_sink sink = {hits, count, is_raw ? 0 : manifest->id_prefix.len, arena};
    const struct engine_chunk *chunk = NULL;
    void *rows = NULL;
    json_t *ids = json_array(), *parameters = json_array();
    for (size_t i = 0; i < count; i++) {
        struct lh_str id = lh_str_slice(hits[i].id, sink.prefix, hits[i].id.len);
        json_array_append_new(ids, json_stringn(id.data, id.len));
    }
    json_array_append_new(parameters, ids);
    struct lh_str id = quoted_id(pin, arena);
    struct lh_str sql = lh_arena_printf(
        arena,
        "SELECT CAST(%.*s AS VARCHAR), source_row FROM (FROM %.*s) AS source_row WHERE %.*s IN "
        "(SELECT CAST(unnest(CAST($1 AS VARCHAR[])) AS %.*s))",
        LH_ARG(id), LH_ARG(from_dataset(pin, arena)), LH_ARG(id), LH_ARG(manifest->id_type));
    enum lh_code code = source->open(source->context, sql, parameters, cancel, &rows, err);
    struct lh_buf text;
    lh_buf_init(&text, ROWS_BYTES_MAX);
    while (!code && !(code = source->next(rows, &chunk, err)) && chunk)
        for (size_t row = 0; row < chunk->row_count && !code; row++) {
            text.len = 0;
            code = source->write(&chunk->columns[1], row, &text, err);
            if (!code)
                keep_row(&sink, engine_vector_str(&chunk->columns[0], row), lh_buf_str(&text));
        }
    lh_buf_release(&text);
    source->close(rows);
    json_decref(parameters);
    return code;
}
