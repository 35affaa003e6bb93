/* Statements to trees and back, by the library's own parser. */
#include "engine/internal.h"

#define TREE_BYTES_MAX ((size_t)64 * 1024 * 1024)

static enum lh_code prepare_once(struct engine_connection *connection, const char *sql,
                                 duckdb_prepared_statement *statement, struct lh_error *err)
{
    if (*statement)
        return LH_OK;
    if (duckdb_prepare(connection->handle, sql, statement) == DuckDBSuccess)
        return LH_OK;
    enum lh_code code =
        engine_fail(duckdb_prepare_error(*statement), (struct lh_str){0}, 0, NULL, err);
    duckdb_destroy_prepare(statement);
    return code;
}

/* Runs a statement of one text parameter; its one text is copied into the arena. */
static enum lh_code call(duckdb_prepared_statement statement, struct lh_str argument,
                         struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    duckdb_result result;
    duckdb_data_chunk chunk = NULL;
    enum lh_code code = LH_OK;
    duckdb_clear_bindings(statement);
    if (duckdb_bind_varchar_length(statement, 1, argument.data, argument.len) == DuckDBError)
        return lh_fail(err, LH_BUSY, "No memory is left to parse the statement.");
    if (duckdb_execute_prepared(statement, &result) == DuckDBError) {
        code = engine_fail(duckdb_result_error(&result), (struct lh_str){0}, 0, NULL, err);
        goto out;
    }
    chunk = duckdb_fetch_chunk(result);
    if (!chunk || duckdb_data_chunk_get_size(chunk) != 1) {
        code = lh_fail(err, LH_INTERNAL, "The SQL engine's parser returned nothing.");
        goto out;
    }
    struct engine_vector vector = {
        .type = ENGINE_TEXT,
        .data = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)),
    };
    struct lh_str text = engine_vector_str(&vector, 0);
    char *copy = lh_arena_try(arena, text.len + 1);
    if (!copy) {
        code = lh_fail(err, LH_TOO_LARGE, "The statement's tree needs too much memory.");
        goto out;
    }
    memcpy(copy, text.data, text.len);
    *ret = (struct lh_str){copy, text.len};
out:
    duckdb_destroy_data_chunk(&chunk);
    duckdb_destroy_result(&result);
    return code;
}

enum lh_code engine_parse(struct engine_connection *connection, struct lh_str sql,
                          struct lh_arena *arena, struct ast_node **ret, struct lh_error *err)
{
    struct lh_arena *work = lh_arena_new(TREE_BYTES_MAX);
    struct lh_str json = {0};
    struct ast_node *root = NULL;
    enum lh_code code = statement_check_text(sql, err);
    if (code)
        goto out;
    /* Empty members stay: json_deserialize_sql misses them, and '' is not an absent constant. */
    code = prepare_once(connection,
                        "SELECT json_serialize_sql($1::VARCHAR, skip_null := true, "
                        "skip_default := true)::VARCHAR",
                        &connection->parse, err);
    if (code)
        goto out;
    code = call(connection->parse, sql, work, &json, err);
    if (code)
        goto out;
    code = ast_read(json, arena, &root, err);
    if (code)
        goto out;
    if (ast_bool(root, "error", true)) {
        code = engine_fail_parse(root, sql, err);
        goto out;
    }
    *ret = root;
out:
    lh_arena_free(work);
    return code;
}

enum lh_code engine_unparse(struct engine_connection *connection, const struct ast_node *tree,
                            struct lh_arena *arena, struct lh_str *ret, struct lh_error *err)
{
    struct lh_buf json;
    lh_buf_init(&json, TREE_BYTES_MAX);
    enum lh_code code = prepare_once(connection, "SELECT json_deserialize_sql($1::JSON)",
                                     &connection->unparse, err);
    if (code)
        goto out;
    ast_write(tree, &json);
    code = lh_buf_check(&json, "The statement's tree", err);
    if (code)
        goto out;
    code = call(connection->unparse, lh_buf_str(&json), arena, ret, err);
out:
    lh_buf_release(&json);
    return code;
}
