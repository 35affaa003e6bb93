/* Statements as callers send them: limits, parameters, moments, positions, the plan cache,
 * stopping, EXPLAIN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "support/query_lake.h"

static struct query_lake lake;
static struct lh_arena *arena;

static int open_lake(void **state)
{
    (void)state;
    arena = lh_arena_new(0);
    query_lake_open(&lake);
    return 0;
}

static int close_lake(void **state)
{
    (void)state;
    query_lake_close(&lake);
    lh_arena_free(arena);
    return 0;
}

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static struct lh_str rows_of(struct lh_str reply)
{
    size_t from, to;
    if (!lh_str_find(reply, lh_lit("\"rows\":"), &from) ||
        !lh_str_find(reply, lh_lit(",\"row_count\""), &to))
        return reply;
    return lh_str_slice(reply, from + 7, to - from - 7);
}

static void assert_str(struct lh_str actual, const char *expected)
{
    if (!lh_str_equal(actual, lh_str_of(expected)))
        fail_msg("got %.*s\nexpected %s", LH_ARG(actual), expected);
}

static void assert_rows(const char *sql, const char *expected)
{
    assert_str(rows_of(query_lake_sql(&lake, sql, arena)), expected);
}

static struct lh_str ask(const char *sql, const char *parameters, const char *as_of,
                         struct lh_error *ret_err)
{
    json_t *values = parameters ? parse(parameters) : NULL, *moment = as_of ? parse(as_of) : NULL;
    struct query_request request = {.sql = lh_str_of(sql), .parameters = values, .as_of = moment};
    struct lh_str reply = query_lake_json(&lake, &request, arena, ret_err);
    json_decref(values);
    json_decref(moment);
    return reply;
}

static void assert_error(const char *sql, enum lh_code code, int64_t position)
{
    struct lh_error err;
    struct query_request request = {.sql = lh_str_of(sql)};
    query_lake_json(&lake, &request, arena, &err);
    if (err.code != code || err.position != position)
        fail_msg("%s: got %s at %lld: %s", sql, lh_error_row(err.code)->id, (long long)err.position,
                 err.message);
}

/* --- limits of the text */

static char *repeated(const char *start, const char *part, size_t bytes)
{
    struct lh_buf buf;
    lh_buf_init(&buf, bytes + 64);
    lh_buf_append_str(&buf, lh_str_of(start));
    while (buf.len + strlen(part) <= bytes)
        lh_buf_append_str(&buf, lh_str_of(part));
    char *text = strdup(buf.data);
    lh_buf_release(&buf);
    return text;
}

static enum lh_code code_of(const char *sql)
{
    struct lh_error err;
    struct query_request request = {.sql = lh_str_of(sql)};
    query_lake_json(&lake, &request, arena, &err);
    return err.code;
}

static void sixty_kilobytes_of_sums_are_refused_cleanly(void **state)
{
    char *sums = repeated("SELECT 1", "+1", 60000);
    (void)state;
    assert_int_equal(code_of(sums), LH_TOO_LARGE);
    free(sums);
    assert_rows("SELECT 1", "[[1]]");
}

static void deep_parentheses_and_subqueries_are_refused_cleanly(void **state)
{
    (void)state;
    char *open = repeated("SELECT ", "(", 30000);
    assert_true(code_of(open) != LH_OK);
    free(open);
    char *from = repeated("SELECT * FROM ", "(SELECT * FROM ", 60000);
    assert_true(code_of(from) != LH_OK);
    free(from);
    char *lists = repeated("SELECT ", "[", 60000);
    assert_true(code_of(lists) != LH_OK);
    free(lists);
    char *not = repeated("SELECT ", "NOT ", 60000);
    assert_true(code_of(not ) != LH_OK);
    free(not );
}

static void wide_statements_run(void **state)
{
    (void)state;
    char *wide = repeated("SELECT id FROM packages WHERE id IN (1", ", 12345", 60000);
    wide[strlen(wide)] = 0;
    size_t len = strlen(wide);
    char *closed = malloc(len + 2);
    memcpy(closed, wide, len);
    memcpy(closed + len, ")", 2);
    assert_str(rows_of(query_lake_sql(&lake, closed, arena)), "[[1]]");
    free(closed);
    free(wide);
}

static void longer_texts_bad_utf8_and_nul_are_refused(void **state)
{
    struct lh_error err;
    (void)state;
    char *long_text = repeated("SELECT 1 --", "x", QUERY_SQL_BYTES_MAX + 1);
    assert_int_equal(code_of(long_text), LH_TOO_LARGE);
    free(long_text);
    assert_error("SELECT '\xff'", LH_SYNTAX, 8);
    struct query_request nul = {.sql = {"SELECT 1\0, 2", 12}};
    query_lake_json(&lake, &nul, arena, &err);
    assert_int_equal(err.code, LH_SYNTAX);
    assert_int_equal(err.position, 8);
}

/* --- parameters and moments */

static void parameters_bind_by_place_and_by_name(void **state)
{
    struct lh_error err;
    (void)state;
    assert_str(rows_of(ask("SELECT name FROM packages WHERE id = $1", "[7]", NULL, &err)),
               "[[\"pkg-007\"]]");
    assert_str(rows_of(ask("SELECT ?, ?, ?, ?", "[1, \"it's\", null, true]", NULL, &err)),
               "[[1,\"it's\",null,true]]");
    assert_str(rows_of(ask("SELECT id FROM packages WHERE id > $low AND id < $high",
                           "{\"low\": 3, \"high\": 5.5}", NULL, &err)),
               "[[4],[5]]");
    assert_str(rows_of(ask("SELECT len($l), $l[1]", "{\"l\": [1, 2]}", NULL, &err)), "[[2,1]]");
    ask("SELECT $1", "[1, 2]", NULL, &err);
    assert_int_equal(err.code, LH_INVALID);
    ask("SELECT $1", NULL, NULL, &err);
    assert_int_equal(err.code, LH_INVALID);
    ask("SELECT 1", "7", NULL, &err);
    assert_int_equal(err.code, LH_INVALID);
    assert_string_equal(err.field, "parameters");
}

static void a_parameter_is_never_text_of_the_statement(void **state)
{
    struct lh_error err;
    (void)state;
    assert_str(rows_of(ask("SELECT count(*) FROM packages WHERE name = $1", "[\"' OR 1=1 --\"]",
                           NULL, &err)),
               "[[0]]");
}

static void moments_choose_versions(void **state)
{
    struct lh_error err;
    (void)state;
    assert_rows("SELECT count(*) FROM packages", "[[50]]");
    assert_rows("SELECT count(*) FROM packages AT (VERSION => 1)", "[[30]]");
    assert_rows("SELECT count(*) FROM packages p AT (VERSION => 1) WHERE p.id > 0", "[[29]]");
    assert_rows("SELECT count(a) FROM packages AS p(a, b) AT (VERSION => 1) TABLESAMPLE 5 ROWS",
                "[[5]]");
    assert_rows("SELECT max(packages.id) FROM packages AT (TIMESTAMP => '2026-01-01T12:00:00Z')",
                "[[29]]");
    assert_rows("SELECT max(id) FROM packages AT (TIMESTAMP => TIMESTAMP '2026-01-02 00:00:00')",
                "[[49]]");
    assert_rows("SELECT count(*) FROM packages AT (VERSION => 2) n "
                "ANTI JOIN packages o AT (VERSION => 1) USING (id)",
                "ERROR sql_syntax: syntax error at or near \"n\"");
    assert_rows("SELECT count(x.id) FROM packages AT (VERSION => 1) AS x WHERE x.id >= 0",
                "[[30]]");
    assert_rows("SELECT count(a) FROM packages AT (VERSION => 1) /* ' */ AS \"p q\"(a, b)",
                "[[30]]");
    assert_rows("SELECT count(*) FROM packages AT (VERSION => 2) AS n "
                "ANTI JOIN packages at (version => (1)) as o USING (id)",
                "[[20]]");
    assert_rows("SELECT 'FROM t AT (VERSION => 1) AS x' FROM packages AT (VERSION => 1)\nAS x "
                "LIMIT 1",
                "[[\"FROM t AT (VERSION => 1) AS x\"]]");
    assert_rows("SELECT nosuch FROM packages AT (VERSION => 1) AS WHERE",
                "ERROR sql_syntax: syntax error at or near \"AS\"");
    assert_rows("SELECT count(*) FROM packages n AT (VERSION => 2) "
                "ANTI JOIN packages o AT (VERSION => 1) USING (id)",
                "[[20]]");
    assert_str(rows_of(ask("SELECT count(*) FROM packages", NULL, "{\"packages\": 1}", &err)),
               "[[30]]");
    assert_str(rows_of(ask("SELECT count(*) FROM packages, edges WHERE src = id", NULL,
                           "\"2026-01-01T06:00:00Z\"", &err)),
               "[[11]]");
    assert_str(rows_of(ask("SELECT count(*) FROM packages AT (VERSION => 2)", NULL,
                           "{\"packages\": 1}", &err)),
               "[[50]]");
}

static void wrong_moments_are_told(void **state)
{
    struct lh_error err;
    (void)state;
    ask("SELECT 1 FROM packages", NULL, "{\"edges\": 1}", &err);
    assert_int_equal(err.code, LH_INVALID);
    assert_string_equal(err.field, "as_of");
    ask("SELECT 1 FROM packages", NULL, "\"soon\"", &err);
    assert_int_equal(err.code, LH_INVALID);
    ask("SELECT 1 FROM packages", NULL, "[1]", &err);
    assert_int_equal(err.code, LH_INVALID);
    ask("SELECT 1 FROM packages", NULL, "{\"packages\": 0}", &err);
    assert_int_equal(err.code, LH_INVALID);
    ask("SELECT 1 FROM packages", NULL, "{\"packages\": 7}", &err);
    assert_int_equal(err.code, LH_NOT_FOUND);
}

static void versions_say_what_was_read(void **state)
{
    size_t at;
    (void)state;
    struct lh_str reply = query_lake_sql(
        &lake, "SELECT 1 FROM Packages a AT (VERSION => 1), EDGES, packages b LIMIT 1", arena);
    assert_true(lh_str_find(
        reply, lh_lit("\"versions\":{\"edges\":1,\"packages\":2,\"packages@1\":1}"), &at));
}

/* --- limits of the result */

static void a_limit_cuts_and_says_so(void **state)
{
    struct lh_error err;
    size_t at;
    (void)state;
    struct query_request request = {.sql = lh_lit("SELECT * FROM range(5000)"), .limit = 3};
    struct lh_str reply = query_lake_json(&lake, &request, arena, &err);
    assert_str(rows_of(reply), "[[0],[1],[2]]");
    assert_true(lh_str_find(reply, lh_lit("\"row_count\":3,\"truncated\":true"), &at));
    request.sql = lh_lit("SELECT * FROM range(3)");
    reply = query_lake_json(&lake, &request, arena, &err);
    assert_true(lh_str_find(reply, lh_lit("\"row_count\":3,\"truncated\":false"), &at));
    request.sql = lh_lit("SELECT * FROM range(2048)");
    request.limit = 2048;
    reply = query_lake_json(&lake, &request, arena, &err);
    assert_true(lh_str_find(reply, lh_lit("\"row_count\":2048,\"truncated\":false"), &at));
    request.sql = lh_lit("SELECT * FROM range(2049)");
    reply = query_lake_json(&lake, &request, arena, &err);
    assert_true(lh_str_find(reply, lh_lit("\"row_count\":2048,\"truncated\":true"), &at));
    request.limit = -1;
    query_lake_json(&lake, &request, arena, &err);
    assert_int_equal(err.code, LH_INVALID);
}

static void a_statement_ends_at_its_deadline(void **state)
{
    struct lh_error err;
    (void)state;
    struct query_request request = {
        .sql = lh_lit("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"),
        .timeout_ms = 200};
    int64_t start = lh_clock_monotonic_us();
    query_lake_json(&lake, &request, arena, &err);
    assert_int_equal(err.code, LH_TIMEOUT);
    assert_true(lh_clock_monotonic_us() - start < 5000000);
}

static void a_fired_token_stops_before_the_first_row(void **state)
{
    const struct query_principal admin = {.is_trusted = true};
    struct lh_error err = LH_ERROR_NONE;
    struct lh_cancel cancel;
    struct query *query = NULL;
    (void)state;
    lh_cancel_init(&cancel);
    lh_cancel_fire(&cancel, LH_CANCELLED);
    struct query_request request = {.sql = lh_lit("SELECT count(*) FROM range(100000000)")};
    enum lh_code code = query_open(lake.query, &admin, &request, &cancel, &query, &err);
    const struct engine_chunk *chunk = NULL;
    if (!code)
        code = query_next(query, &chunk, &err);
    assert_int_equal(code, LH_CANCELLED);
    query_close(query);
}

static void other_principals_may_not_use_sql(void **state)
{
    const struct query_principal analyst = {.is_trusted = false};
    struct query_request request = {.sql = lh_lit("SELECT 1")};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    (void)state;
    assert_int_equal(query_open(lake.query, &analyst, &request, NULL, &query, &err), LH_FORBIDDEN);
    assert_null(query);
}

/* --- positions */

static void positions_are_those_of_the_callers_text(void **state)
{
    (void)state;
    assert_error("SELECT nosuch FROM packages", LH_SQL, 7);
    assert_error("SELECT id FROM packages WHERE nosuch = 1", LH_SQL, 30);
    assert_error("SELECT 'é', id FROM packages p JOIN edges e ON p.nosuch = e.src", LH_SQL, 48);
    assert_error("SELECT (SELECT max(id) FROM packages), nosuch FROM edges", LH_SQL, 39);
    assert_error("EXPLAIN SELECT nosuch FROM packages", LH_SQL, 15);
    assert_error("SELECT *\nFROM packages\nWHERE nosuch", LH_SQL, 29);
    assert_error("SELECT * FROM nosuch", LH_NOT_FOUND, 14);
    assert_error("SELECT id FROM packages, read_csv('x')", LH_REFUSED, 25);
    assert_error("SELECT 1 FROM packages p AT (VERSION => 1) WHERE nosuch", LH_SQL, 49);
}

static void wide_blanks_keep_places(void **state)
{
    (void)state;
    assert_rows("SELECT\xC2\xA0id\xE3\x80\x80"
                "FROM packages\xE2\x80\x83WHERE id = 3",
                "[[3]]");
    assert_rows("SELECT '\xC2\xA0' || name /* \xC2\xA0 */ FROM packages WHERE id = 3",
                "[[\"\xC2\xA0pkg-003\"]]");
    assert_error("SELECT\xC2\xA0nosuch FROM packages", LH_SQL, 8);
}

/* --- the plan cache */

static void a_commit_is_seen_by_the_next_statement_and_spares_other_plans(void **state)
{
    const char *edges = "SELECT count(*) AS spared FROM edges";
    const char *packages = "SELECT count(*) AS changed FROM packages";
    (void)state;
    assert_rows(edges, "[[11]]");
    assert_rows(packages, "[[50]]");
    struct query_stats before = query_engine_stats(lake.query);
    lake.version_count[0] = 1; /* as if the second version had not been committed yet */
    assert_rows(packages, "[[30]]");
    assert_rows(edges, "[[11]]");
    lake.version_count[0] = 2;
    assert_rows(packages, "[[50]]");
    struct query_stats after = query_engine_stats(lake.query);
    assert_int_equal(after.plan_misses - before.plan_misses, 2);
    assert_int_equal(after.plan_hits - before.plan_hits, 1);
}

static void plans_are_bounded(void **state)
{
    struct query_engine *small = NULL, *large = lake.query;
    struct query_engine_options options = {
        .engine = lake.engine, .relations = lake.sources, .relation_count = 1, .plan_max = 4};
    struct lh_error err;
    char sql[64];
    (void)state;
    assert_int_equal(query_engine_new(&options, &small, &err), LH_OK);
    lake.query = small;
    for (int i = 0; i < 20; i++) {
        snprintf(sql, sizeof sql, "SELECT %d FROM edges LIMIT 1", i % 7);
        query_lake_sql(&lake, sql, arena);
    }
    lake.query = large;
    assert_int_equal(query_engine_stats(small).plans, 4);
    query_engine_free(small);
}

static void grants_and_moments_do_not_share_plans(void **state)
{
    struct lh_error err;
    (void)state;
    const char *sql = "SELECT count(*) AS keyed FROM packages";
    assert_str(rows_of(ask(sql, NULL, "{\"packages\": 1}", &err)), "[[30]]");
    assert_str(rows_of(ask(sql, NULL, NULL, &err)), "[[50]]");
    assert_str(rows_of(ask(sql, NULL, "{\"packages\": 1}", &err)), "[[30]]");
}

/* --- EXPLAIN and SHOW */

static void plans_tell_operators_and_no_files(void **state)
{
    const struct query_principal admin = {.is_trusted = true};
    static const char *const texts[] = {
        "SELECT count(*) FROM packages p JOIN edges e ON p.id = e.src WHERE p.id > 2",
        "SELECT (SELECT max(id) FROM packages)", "SELECT * FROM odd ORDER BY 1",
        "EXPLAIN ANALYZE SELECT * FROM packages, edges"};
    struct lh_error err;
    size_t at;
    (void)state;
    for (size_t i = 0; i < 2 * sizeof texts / sizeof texts[0]; i++) {
        struct query_request request = {.sql = lh_str_of(texts[i / 2])};
        struct lh_str plan;
        if (query_explain(lake.query, &admin, &request, i % 2, NULL, arena, &plan, &err))
            fail_msg("%s", err.message);
        assert_true(lh_str_find(plan, lh_lit("SCAN"), &at));
        assert_false(lh_str_find(plan, lh_str_of(lake.folder.path), &at));
        assert_false(lh_str_find(plan, lh_lit("parquet"), &at));
        assert_false(lh_str_find(plan, lh_lit("PARQUET"), &at));
    }
    struct lh_str rows = query_lake_sql(&lake, "EXPLAIN SELECT 1 FROM packages", arena);
    assert_true(lh_str_find(rows, lh_lit("physical_plan"), &at));
}

/* --- the encoder */

static enum lh_code count_pieces(void *context, struct lh_str bytes, struct lh_error *err)
{
    size_t *pieces = context;
    (void)err;
    (*pieces)++;
    assert_true(bytes.len > 0 && bytes.len < (size_t)1 << 20);
    return LH_OK;
}

static void every_type_is_written_as_json(void **state)
{
    struct lh_str reply = query_lake_sql(&lake, "SELECT * FROM test_all_types()", arena);
    (void)state;
    json_error_t error;
    json_t *json =
        json_loadb(reply.data, reply.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!json)
        fail_msg("%s at %d in %.*s", error.text, error.position, LH_ARG(reply));
    assert_int_equal(json_array_size(json_object_get(json, "rows")), 3);
    json_decref(json);
    assert_rows("SELECT 12.50::DECIMAL(9,2), 1::HUGEINT, 'NaN'::DOUBLE, -1/0e0, 'AB'::BLOB, "
                "DATE '2024-02-29', TIMESTAMP '2024-02-29 01:02:03.5', TIME '23:59:59', "
                "TIMESTAMPTZ '2024-02-29 01:00:00+02', '01:02:03+05:30'::TIMETZ",
                "[[\"12.50\",\"1\",\"NaN\",\"-Infinity\",\"QUI=\",\"2024-02-29\","
                "\"2024-02-29T01:02:03.500Z\",\"23:59:59\",\"2024-02-28T23:00:00Z\","
                "\"01:02:03+05:30\"]]");
    assert_rows("SELECT [1, NULL], {'a': 1, 'b': [true]}, MAP {'x': 1}, MAP {1: 'y'}, (1, 'z'), "
                "'a\"\\\n' || chr(1), 0.1::FLOAT, 1e22::DOUBLE, 9007199254740993, "
                "INTERVAL '1 month 2 days', '101'::BIT, 'q'::ENUM('q')",
                "[[[1,null],{\"a\":1,\"b\":[true]},{\"x\":1},[[1,\"y\"]],[1,\"z\"],"
                "\"a\\\"\\\\\\n\\u0001\",0.1,1e+22,9007199254740993,\"1 month 2 days\",\"101\","
                "\"q\"]]");
    assert_rows("SELECT DATE '0001-01-01', DATE '9999-12-31', DATE '1969-12-31', "
                "TIMESTAMP '1969-12-31 23:59:59.999999', DATE 'infinity', DATE '10000-01-01'",
                "[[\"0001-01-01\",\"9999-12-31\",\"1969-12-31\",\"1969-12-31T23:59:59.999999Z\","
                "\"infinity\",\"10000-01-01\"]]");
}

static void doubles_read_back_as_they_were(void **state)
{
    struct lh_str reply = query_lake_sql(
        &lake,
        "SELECT v, v::VARCHAR FROM (SELECT (hash(i) % 100000000)::DOUBLE / [1, 10, 1000, 7, 1e6][i "
        "% 5 + 1] * [1e0, -1e0, 1e-9, 1e200][i % 4 + 1] AS v FROM range(4000) r(i))",
        arena);
    (void)state;
    json_t *json = json_loadb(reply.data, reply.len, 0, NULL);
    assert_non_null(json);
    const json_t *rows = json_object_get(json, "rows");
    assert_int_equal(json_array_size(rows), 4000);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        double expected = strtod(json_string_value(json_array_get(row, 1)), NULL);
        if (json_number_value(json_array_get(row, 0)) != expected)
            fail_msg("row %zu: %s", i, json_string_value(json_array_get(row, 1)));
    }
    json_decref(json);
}

static void long_texts_are_escaped_wherever_they_break(void **state)
{
    (void)state;
    struct lh_str reply = query_lake_sql(
        &lake,
        "SELECT repeat('é', i::INTEGER) || chr(10) || repeat('x', i::INTEGER * 37) || '\"', "
        "length(repeat('é', i::INTEGER)) FROM range(0, 3000, 13) r(i)",
        arena);
    json_t *json = json_loadb(reply.data, reply.len, 0, NULL);
    assert_non_null(json);
    const json_t *rows = json_object_get(json, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *text = json_array_get(json_array_get(rows, i), 0);
        assert_int_equal(json_string_length(text), 13 * i * 39 + 2);
    }
    json_decref(json);
}

static void results_leave_in_pieces_and_errors_end_them(void **state)
{
    const struct query_principal admin = {.is_trusted = true};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    size_t pieces = 0;
    bool is_failed = false;
    (void)state;
    struct query_sink sink = {.context = &pieces, .write = count_pieces};
    struct query_request request = {
        .sql = lh_lit("SELECT range, 'text ' || range FROM range(200000)"), .limit = 1000000};
    assert_int_equal(query_open(lake.query, &admin, &request, NULL, &query, &err), LH_OK);
    assert_int_equal(query_encode(query, query_encoders[0], NULL, &sink, &is_failed, &err), LH_OK);
    assert_true(pieces > 10 && !is_failed);
    query_close(query);
    request.sql = lh_lit("SELECT CASE WHEN range = 150000 THEN error('late') ELSE 'text' END "
                         "FROM range(200000)");
    assert_int_equal(query_open(lake.query, &admin, &request, NULL, &query, &err), LH_OK);
    assert_int_equal(query_encode(query, query_encoders[0], NULL, &sink, &is_failed, &err), LH_OK);
    assert_true(is_failed);
    assert_int_equal(err.code, LH_SQL);
    query_close(query);
    struct lh_str reply = query_lake_json(&lake, &request, arena, &err);
    json_t *json = json_loadb(reply.data, reply.len, 0, NULL);
    assert_non_null(json);
    const json_t *error = json_object_get(json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "detail")), "late");
    json_decref(json);
}

/* What is over the limit lies within a chunk: 2,048 rows each. */
static void many_rows_are_cut_at_the_limit(void **state)
{
    static const int64_t limits[] = {50000, 51200, 99999, 100000, 100001};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct lh_error err;
        struct query_request request = {.sql = lh_lit("SELECT range, 'x' FROM range(100000)"),
                                        .limit = limits[i],
                                        .encoder = query_encoders[0]};
        int64_t expected = limits[i] < 100000 ? limits[i] : 100000;
        struct lh_str reply = query_lake_json(&lake, &request, arena, &err);
        json_t *json = json_loadb(reply.data, reply.len, 0, NULL);
        assert_non_null(json);
        const json_t *rows = json_object_get(json, "rows");
        assert_int_equal(json_array_size(rows), expected);
        for (int64_t row = 0; row < expected; row += 997)
            assert_int_equal(
                json_integer_value(json_array_get(json_array_get(rows, (size_t)row), 0)), row);
        assert_int_equal(json_integer_value(json_object_get(json, "row_count")), expected);
        assert_int_equal(json_is_true(json_object_get(json, "truncated")), limits[i] < 100000);
        json_decref(json);
    }
}

static void encoders_are_found_by_name_and_media_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < query_encoder_count; i++) {
        const struct query_encoder *row = query_encoders[i];
        assert_ptr_equal(query_encoder_by_name(lh_str_of(row->name)), row);
        assert_ptr_equal(query_encoder_by_media_type(lh_str_of(row->media_type)), row);
        assert_non_null(row->begin);
        assert_non_null(row->chunk);
        assert_non_null(row->end);
    }
    assert_null(query_encoder_by_name(lh_lit("yaml")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_kilobytes_of_sums_are_refused_cleanly),
        cmocka_unit_test(deep_parentheses_and_subqueries_are_refused_cleanly),
        cmocka_unit_test(wide_statements_run),
        cmocka_unit_test(longer_texts_bad_utf8_and_nul_are_refused),
        cmocka_unit_test(parameters_bind_by_place_and_by_name),
        cmocka_unit_test(a_parameter_is_never_text_of_the_statement),
        cmocka_unit_test(moments_choose_versions),
        cmocka_unit_test(wrong_moments_are_told),
        cmocka_unit_test(versions_say_what_was_read),
        cmocka_unit_test(a_limit_cuts_and_says_so),
        cmocka_unit_test(a_statement_ends_at_its_deadline),
        cmocka_unit_test(a_fired_token_stops_before_the_first_row),
        cmocka_unit_test(other_principals_may_not_use_sql),
        cmocka_unit_test(positions_are_those_of_the_callers_text),
        cmocka_unit_test(wide_blanks_keep_places),
        cmocka_unit_test(a_commit_is_seen_by_the_next_statement_and_spares_other_plans),
        cmocka_unit_test(plans_are_bounded),
        cmocka_unit_test(grants_and_moments_do_not_share_plans),
        cmocka_unit_test(plans_tell_operators_and_no_files),
        cmocka_unit_test(every_type_is_written_as_json),
        cmocka_unit_test(doubles_read_back_as_they_were),
        cmocka_unit_test(long_texts_are_escaped_wherever_they_break),
        cmocka_unit_test(results_leave_in_pieces_and_errors_end_them),
        cmocka_unit_test(many_rows_are_cut_at_the_limit),
        cmocka_unit_test(encoders_are_found_by_name_and_media_type),
    };
    return cmocka_run_group_tests(tests, open_lake, close_lake);
}
