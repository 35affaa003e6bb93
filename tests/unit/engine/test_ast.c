/* Statements as trees: read exactly, written back, compared, refused when too deep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "support/engine_bench.h"

static enum lh_code parse(struct engine_bench *bench, const char *sql, struct lh_arena *arena,
                          struct ast_node **ret)
{
    bench->err = (struct lh_error)LH_ERROR_NONE;
    return engine_parse(bench->connection, lh_str_of(sql), arena, ret, &bench->err);
}

static const char *const corpus[] = {
    "SELECT 1",
    "SELECT 18446744073709551616, 1e400, 0.1, -9223372036854775808, "
    "170141183460469231731687303715884105727",
    "SELECT a.b, \"c d\", 'it''s', '\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80', '\n\t\\\"', '' FROM t "
    "AS a",
    "SELECT * EXCLUDE (x) REPLACE (y + 1 AS y) FROM t WHERE x IN (1, 2) GROUP BY ALL HAVING "
    "count(*) > 1",
    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT * FROM r",
    "SELECT sum(x) OVER (PARTITION BY y ORDER BY z ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM "
    "t",
    "SELECT * FROM a JOIN b USING (id) LEFT JOIN LATERAL (SELECT a.x) l ON true, range(3) r(i)",
    "SELECT CASE WHEN a THEN b ELSE c END, CAST(x AS DECIMAL(9,2)), x::INT[], {'a': 1}, [1, 2], "
    "MAP {'k': 1}",
    "SELECT list_transform(l, x -> x + 1), EXISTS (SELECT 1), x BETWEEN 1 AND 2, NOT y FROM t",
    "PIVOT t ON k IN ('a', 'b') USING sum(v) GROUP BY g",
    "FROM t SELECT DISTINCT ON (a) a, b ORDER BY a NULLS FIRST LIMIT 10% OFFSET 2",
    "SELECT * FROM t AT (VERSION => 3) UNION ALL BY NAME SELECT * FROM u EXCEPT SELECT 1 INTERSECT "
    "VALUES (1), (2)",
    "DESCRIBE SELECT 1",
    "SUMMARIZE t",
    "SELECT $1, $2, COLUMNS('a.*'), x.y.z, INTERVAL 3 DAYS, DATE '2020-01-01' FROM "
    "'file.parquet' TABLESAMPLE 5%",
};

static void trees_are_written_and_read_back_equal(void **state)
{
    for (size_t i = 0; i < sizeof corpus / sizeof corpus[0]; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct ast_node *tree = NULL, *again = NULL;
        struct engine_bench *bench = *state;
        struct lh_buf json;
        lh_buf_init(&json, 1 << 22);
        if (parse(bench, corpus[i], arena, &tree))
            fail_msg("%s: %s", corpus[i], bench->err.message);
        ast_write(tree, &json);
        assert_int_equal(ast_read(lh_buf_str(&json), arena, &again, &bench->err), LH_OK);
        assert_true(ast_equal(tree, again, NULL, NULL));
        assert_true(ast_equal(tree, ast_copy(arena, tree), NULL, NULL));
        lh_buf_release(&json);
        lh_arena_free(arena);
    }
}

static void a_tree_goes_back_to_a_text_with_the_same_tree(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct ast_node *tree, *again;
    struct lh_str text;
    assert_int_equal(parse(bench, corpus[3], arena, &tree), LH_OK);
    assert_int_equal(engine_unparse(bench->connection, tree, arena, &text, &bench->err), LH_OK);
    assert_int_equal(parse(bench, lh_arena_cstr(arena, text), arena, &again), LH_OK);
    assert_true(ast_equal(tree, again, NULL, NULL));
    lh_arena_free(arena);
}

static struct ast_node *first_item(struct ast_node *tree)
{
    struct ast_node *statement = ast_at(ast_get(tree, "statements"), 0);
    return ast_at(ast_get(ast_get(statement, "node"), "select_list"), 0);
}

static void numbers_keep_their_text_and_locations_count_bytes(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct ast_node *tree;
    assert_int_equal(parse(bench, "SELECT /* \xc3\xa9 */ nocol, 1", arena, &tree), LH_OK);
    assert_int_equal(ast_location(first_item(tree)), 16);
    assert_int_equal(ast_location(tree), AST_LOCATION_NONE);
    assert_int_equal(ast_read(lh_lit("{\"query_location\": 18446744073709551615, \"v\": -1.50e+3}"),
                              arena, &tree, &bench->err),
                     LH_OK);
    assert_int_equal(ast_location(tree), AST_LOCATION_NONE);
    assert_true(lh_str_equal(ast_text(tree, "v"), lh_lit("-1.50e+3")));
    lh_arena_free(arena);
}

static void differences_are_found_where_they_are(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct ast_node *a, *b;
    const struct ast_node *left, *right;
    assert_int_equal(parse(bench, "SELECT a + 1 FROM t", arena, &a), LH_OK);
    assert_int_equal(parse(bench, "SELECT   a + 1   FROM t", arena, &b), LH_OK);
    assert_true(ast_equal(a, b, NULL, NULL));
    assert_int_equal(parse(bench, "SELECT a + 2 FROM t", arena, &b), LH_OK);
    assert_false(ast_equal(a, b, &left, &right));
    assert_true(lh_str_equal(left->text, lh_lit("1")) && lh_str_equal(right->text, lh_lit("2")));
    assert_int_equal(parse(bench, "SELECT a + 1 AS x FROM t", arena, &b), LH_OK);
    assert_false(ast_equal(a, b, NULL, NULL));
    assert_int_equal(parse(bench, "SELECT a + 1, 2 FROM t", arena, &b), LH_OK);
    assert_false(ast_equal(a, b, &left, &right));
    assert_true(!left && right);
    lh_arena_free(arena);
}

static void trees_can_be_changed(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct ast_node *tree, *item;
    struct lh_str text;
    assert_int_equal(parse(bench, "SELECT a AS x, 2", arena, &tree), LH_OK);
    item = first_item(tree);
    ast_set(arena, item, "alias", ast_new_text(arena, lh_lit("new name")));
    ast_append(ast_get(ast_get(ast_at(ast_get(tree, "statements"), 0), "node"), "select_list"),
               ast_copy(arena, item));
    assert_int_equal(engine_unparse(bench->connection, tree, arena, &text, &bench->err), LH_OK);
    assert_true(lh_str_equal(text, lh_lit("SELECT a AS \"new name\", 2, a AS \"new name\"")));
    ast_become(
        item,
        ast_at(ast_get(ast_get(ast_at(ast_get(tree, "statements"), 0), "node"), "select_list"), 1));
    ast_remove(item, "alias");
    assert_int_equal(ast_count(ast_get(tree, "statements")), 1);
    assert_int_equal(engine_unparse(bench->connection, tree, arena, &text, &bench->err), LH_OK);
    assert_true(lh_str_starts_with(text, lh_lit("SELECT 2, 2, a")));
    lh_arena_free(arena);
}

struct refusal {
    const char *sql;
    enum lh_code code;
    int64_t position;
};

static void what_cannot_be_parsed_is_refused(void **state)
{
    static const struct refusal refusals[] = {
        {"selec 1", LH_SYNTAX, 0},
        {"SELECT '\xc3\xa9' frm x y", LH_SYNTAX, 16},
        {"SELECT 1 +", LH_SYNTAX, -1},
        {"CREATE TABLE t (a INT)", LH_REFUSED, -1},
        {"COPY (SELECT 1) TO '/tmp/x'", LH_REFUSED, -1},
        {"ATTACH 'x.db'", LH_REFUSED, -1},
        {"EXPLAIN SELECT 1", LH_REFUSED, -1},
        {"SET threads = 1", LH_REFUSED, -1},
        {"DELETE FROM t", LH_REFUSED, -1},
        {"SELECT $1, $name", LH_SQL, -1},
        {"", LH_SYNTAX, -1},
        {"SELECT '\xff'", LH_SYNTAX, 8},
    };
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct ast_node *tree = NULL;
        enum lh_code code = parse(bench, refusals[i].sql, arena, &tree);
        if (code != refusals[i].code ||
            (refusals[i].position >= 0 && bench->err.position != refusals[i].position))
            fail_msg("%s: %d at %lld, %s", refusals[i].sql, code, (long long)bench->err.position,
                     bench->err.message);
        assert_null(tree);
        lh_arena_free(arena);
    }
}

static char *repeated(const char *start, const char *part, size_t count, const char *end)
{
    struct lh_buf buf;
    lh_buf_init(&buf, (size_t)1 << 24);
    lh_buf_append_str(&buf, lh_str_of(start));
    for (size_t i = 0; i < count; i++)
        lh_buf_append_str(&buf, lh_str_of(part));
    lh_buf_append_str(&buf, lh_str_of(end));
    return buf.data;
}

static void deep_and_wide_statements_end_in_a_tree_or_a_clear_error(void **state)
{
    struct engine_bench *bench = *state;
    char *deep[] = {
        repeated("SELECT 1", "+1", 30000, ""),
        repeated("SELECT 1", "+1", 700, ""),
        repeated("SELECT ", "(", 20000, "1"),
        repeated("SELECT ", "-", 30000, "1"),
        repeated("SELECT ", "(SELECT ", 3000, "1"),
        repeated("SELECT ", "NOT ", 15000, "true"),
        repeated("SELECT ", "[", 20000, "1"),
        repeated("SELECT * FROM ", "(SELECT * FROM ", 2000, "t"),
        repeated("SELECT 1 ", "UNION ALL SELECT 1 ", 3000, ""),
    };
    for (size_t i = 0; i < sizeof deep / sizeof deep[0]; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct ast_node *tree = NULL;
        enum lh_code code = parse(bench, deep[i], arena, &tree);
        if (code != LH_OK && code != LH_TOO_LARGE && code != LH_SYNTAX)
            fail_msg("%.40s…: %d %s", deep[i], code, bench->err.message);
        assert_true(code == LH_OK || bench->err.message[0]);
        lh_arena_free(arena);
        free(deep[i]);
    }
    struct lh_arena *arena = lh_arena_new(0);
    struct ast_node *tree = NULL;
    char *wide = repeated("SELECT x IN (0", ",1", 5000, ")");
    assert_int_equal(parse(bench, wide, arena, &tree), LH_OK);
    free(wide);
    char *sum = repeated("SELECT 1", "+1", 300, "");
    assert_int_equal(parse(bench, sum, arena, &tree), LH_OK);
    free(sum);
    char *many = repeated("SELECT 0", ",1", 31000, "");
    assert_int_equal(parse(bench, many, arena, &tree), LH_TOO_LARGE);
    free(many);
    lh_arena_free(arena);
}

static void broken_json_is_malformed(void **state)
{
    static const char *const broken[] = {
        "",
        "{",
        "[1,",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "\"x",
        "\"\\q\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "01x",
        "-",
        "1.",
        "1e",
        "tru",
        "nul",
        "[1]]",
        "{} {}",
        "\"\\",
        "[,]",
        "{,}",
    };
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct ast_node *tree = NULL;
        if (ast_read(lh_str_of(broken[i]), arena, &tree, &bench->err) != LH_MALFORMED)
            fail_msg("%s was read", broken[i]);
        assert_null(tree);
        lh_arena_free(arena);
    }
    struct lh_arena *arena = lh_arena_new(0);
    struct ast_node *tree = NULL;
    assert_int_equal(ast_read(lh_lit("\"\\u00e9\\ud83d\\ude00\\/\\n\""), arena, &tree, &bench->err),
                     LH_OK);
    assert_true(lh_str_equal(tree->text, lh_lit("\xc3\xa9\xf0\x9f\x98\x80/\n")));
    char *deep = repeated("", "[", 100000, "");
    assert_int_equal(ast_read(lh_str_of(deep), arena, &tree, &bench->err), LH_TOO_LARGE);
    free(deep);
    lh_arena_free(arena);
}

static void looking_at_nothing_finds_nothing(void **state)
{
    (void)state;
    assert_null(ast_get(NULL, "a"));
    assert_null(ast_at(NULL, 0));
    assert_int_equal(ast_count(NULL), 0);
    assert_null(ast_text(NULL, "a").data);
    assert_true(ast_bool(NULL, "a", true));
    assert_false(ast_is(NULL, "a", "b"));
    assert_int_equal(ast_location(NULL), AST_LOCATION_NONE);
}

static void quoting_survives_the_engine(void **state)
{
    static const char *const names[] = {
        "a", "a\"b", "it's", "; DROP TABLE x --", "\xf0\x9f\x98\x80", "A b/c"};
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct lh_buf sql;
        lh_buf_init(&sql, 1 << 16);
        lh_buf_append_str(&sql, lh_lit("SELECT "));
        engine_quote_literal(&sql, lh_str_of(names[i]));
        lh_buf_append_str(&sql, lh_lit(" AS "));
        engine_quote_ident(&sql, lh_str_of(names[i]));
        struct engine_cursor *cursor = engine_bench_run(bench, sql.data);
        assert_true(lh_str_equal(engine_cursor_columns(cursor)[0].name, lh_str_of(names[i])));
        engine_cursor_close(cursor);
        assert_string_equal(engine_bench_text(bench, sql.data), names[i]);
        lh_buf_release(&sql);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_written_and_read_back_equal),
        cmocka_unit_test(a_tree_goes_back_to_a_text_with_the_same_tree),
        cmocka_unit_test(numbers_keep_their_text_and_locations_count_bytes),
        cmocka_unit_test(differences_are_found_where_they_are),
        cmocka_unit_test(trees_can_be_changed),
        cmocka_unit_test(what_cannot_be_parsed_is_refused),
        cmocka_unit_test(deep_and_wide_statements_end_in_a_tree_or_a_clear_error),
        cmocka_unit_test(broken_json_is_malformed),
        cmocka_unit_test(looking_at_nothing_finds_nothing),
        cmocka_unit_test(quoting_survives_the_engine),
    };
    return cmocka_run_group_tests(tests, engine_bench_open, engine_bench_close);
}
