/* Parameters, remembered statements, errors, guards and the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/engine_bench.h"

/* The first value of the result as text, or the error's code as "code N". */
static const char *with(struct engine_bench *bench, const char *sql,
                        const struct engine_param *items, size_t count)
{
    static char text[1024];
    const struct engine_chunk *chunk = NULL;
    struct engine_cursor *cursor = NULL;
    struct engine_params params = {items, count};
    bench->err = (struct lh_error)LH_ERROR_NONE;
    enum lh_code code =
        engine_run(bench->connection, lh_str_of(sql), &params, NULL, &cursor, &bench->err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, &bench->err);
    if (code) {
        engine_cursor_close(cursor);
        snprintf(text, sizeof text, "code %d", code);
        return text;
    }
    struct lh_buf buf;
    lh_buf_init(&buf, sizeof text - 1);
    if (engine_vector_is_null(&chunk->columns[0], 0))
        lh_buf_append_str(&buf, lh_lit("NULL"));
    else
        engine_value_text(&chunk->columns[0], 0, &buf);
    snprintf(text, sizeof text, "%.*s", LH_ARG(lh_buf_str(&buf)));
    lh_buf_release(&buf);
    engine_cursor_close(cursor);
    return text;
}

#define WITH(sql, ...)                                                                             \
    with(*state, sql, (const struct engine_param[]){__VA_ARGS__},                                  \
         sizeof((const struct engine_param[]){__VA_ARGS__}) / sizeof(struct engine_param))
#define INT(value)                                                                                 \
    {                                                                                              \
        .type = ENGINE_PARAM_INT, .integer = (value)                                               \
    }
#define TEXT(value)                                                                                \
    {                                                                                              \
        .type = ENGINE_PARAM_TEXT, .text = LH_LIT(value)                                           \
    }
#define JSON(value)                                                                                \
    {                                                                                              \
        .type = ENGINE_PARAM_JSON, .text = LH_LIT(value)                                           \
    }

static void parameters_take_every_kind_of_value(void **state)
{
    assert_string_equal(WITH("SELECT $1 + $2", INT(40), INT(2)), "42");
    assert_string_equal(WITH("SELECT $1 || '!'", TEXT("it's")), "it's!");
    assert_string_equal(WITH("SELECT $1", {.type = ENGINE_PARAM_NULL}), "NULL");
    assert_string_equal(WITH("SELECT NOT $1", {.type = ENGINE_PARAM_BOOL, .boolean = true}),
                        "false");
    assert_string_equal(WITH("SELECT $1 * 2", {.type = ENGINE_PARAM_DOUBLE, .number = 1.25}),
                        "2.5");
    assert_string_equal(WITH("SELECT CAST($1 AS DATE)", TEXT("2024-02-29")), "2024-02-29");
    assert_string_equal(WITH("SELECT $b - $a",
                             {.name = LH_LIT("a"), .type = ENGINE_PARAM_INT, .integer = 1},
                             {.name = LH_LIT("b"), .type = ENGINE_PARAM_INT, .integer = 10}),
                        "9");
}

static void json_parameters_become_lists_and_structs(void **state)
{
    assert_string_equal(WITH("SELECT list_sum($1)", JSON("[1, 2, 39]")), "42");
    assert_string_equal(WITH("SELECT typeof($1)", JSON("[1, 2.5, null]")), "DOUBLE[]");
    assert_string_equal(WITH("SELECT typeof($1)", JSON("[[1], [2, 3], []]")), "BIGINT[][]");
    assert_string_equal(WITH("SELECT ($1).b[2]", JSON("{\"a\": 1, \"b\": [\"x\", \"y\"]}")), "y");
    assert_string_equal(WITH("SELECT 3 IN (SELECT unnest($1))", JSON("[1, 3]")), "true");
    assert_string_equal(WITH("SELECT len($1)", JSON("[]")), "0");
    assert_string_equal(WITH("SELECT $1[2]", JSON("[1, \"a\", true]")), "a");
    char code[16];
    snprintf(code, sizeof code, "code %d", LH_MALFORMED);
    assert_string_equal(WITH("SELECT $1", JSON("[1,")), code);
    snprintf(code, sizeof code, "code %d", LH_INVALID);
    assert_string_equal(WITH("SELECT $1", JSON("{}")), code);
    assert_string_equal(WITH("SELECT $1", JSON("[[1], {\"a\": 1}]")), code);
    assert_string_equal(WITH("SELECT $1", JSON("[{\"a\": 1}, {\"b\": 2}]")), code);
}

static void wrong_parameters_are_refused_with_their_number(void **state)
{
    struct engine_bench *bench = *state;
    char code[16];
    snprintf(code, sizeof code, "code %d", LH_INVALID);
    assert_string_equal(WITH("SELECT $1 + $2", INT(1)), code);
    assert_string_equal(bench->err.message, "The statement has 2 parameters, but 1 was given.");
    assert_string_equal(WITH("SELECT $a", {.name = LH_LIT("b"), .type = ENGINE_PARAM_INT}), code);
    assert_string_equal(bench->err.message, "The statement has no parameter $b.");
    assert_string_equal(bench->err.hint, "It wants a value for $a.");
    assert_string_equal(WITH("SELECT $1", TEXT("\xff")), code);
    assert_int_equal(engine_bench_code(bench, "SELECT $1", NULL), LH_INVALID);
}

static void the_types_of_a_result_follow_the_parameters(void **state)
{
    for (int round = 0; round < 3; round++) {
        assert_string_equal(WITH("SELECT $1 AS v", INT(7)), "7");
        assert_string_equal(WITH("SELECT $1 AS v", TEXT("a text longer than twelve bytes")),
                            "a text longer than twelve bytes");
    }
}

/* --- errors */

struct failing {
    const char *sql;
    enum lh_code code;
    int64_t position;
};

static const struct failing failing[] = {
    {"selec 1", LH_SYNTAX, 0},
    {"SELECT '\xc3\xa9' frm x y z", LH_SYNTAX, 16},
    {"SELECT '\xc3\xa9', nocol", LH_SQL, 13},
    {"SELECT nofunction(1)", LH_SQL, 7},
    {"SELECT * FROM nosuch", LH_SQL, 14},
    {"SELECT 1, CAST('x' AS INT)", LH_SQL, 10},
    {"SELECT 1; SELECT 2", LH_SQL, -1},
    {"", LH_SYNTAX, -1},
    {" \n\t", LH_SYNTAX, -1},
    {"SELECT '\xff'", LH_SYNTAX, 8},
    {"SELECT 10::UTINYINT - 20::UTINYINT", LH_SQL, -1},
    {"INSTALL httpfs", LH_IO, -1},
    {"SET threads = 1", LH_SQL, -1},
    {"SET lock_configuration = false", LH_SQL, -1},
    {"SELECT * FROM read_parquet('/tmp/nosuch/file.parquet')", LH_IO, -1},
    {"SELECT i, 1::VARIANT, nocol FROM range(3) t(i)", LH_SQL, 22},
    {"SELECT list(i) FROM range(2000000000) t(i)", LH_BUSY, -1},
};

static void errors_have_the_right_code_place_and_no_path(void **state)
{
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        enum lh_code code = engine_bench_code(bench, failing[i].sql, NULL);
        if (code != failing[i].code ||
            (failing[i].position >= 0 && bench->err.position != failing[i].position))
            fail_msg("%s: code %d at %lld: %s", failing[i].sql, code,
                     (long long)bench->err.position, bench->err.message);
        assert_true(bench->err.message[0] != 0);
        assert_null(strchr(bench->err.message, '{'));
        assert_null(strchr(bench->err.message, '\n'));
        assert_null(strstr(bench->err.message, "/tmp"));
        assert_null(strstr(bench->err.message, "SET "));
    }
    assert_string_equal(engine_bench_text(bench, "SELECT 1"), "1");
}

static void a_nul_in_the_text_is_an_error(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_str sql = {"SELECT 1\0; SELECT 2", 19};
    assert_int_equal(engine_execute(bench->connection, sql, NULL, NULL, NULL, &bench->err),
                     LH_SYNTAX);
}

static void a_near_name_is_a_hint(void **state)
{
    struct engine_bench *bench = *state;
    assert_int_equal(engine_bench_code(bench, "SELECT nam FROM (SELECT 1 AS name)", NULL), LH_SQL);
    assert_non_null(strstr(bench->err.hint, "name"));
}

static void an_error_while_rows_stream_ends_the_cursor(void **state)
{
    struct engine_bench *bench = *state;
    const struct engine_chunk *chunk = NULL;
    struct engine_cursor *cursor =
        engine_bench_run(bench, "SELECT CASE WHEN i = 3000000 THEN CAST(i || 'x' AS INT) ELSE i "
                                "END FROM range(4000000) t(i)");
    size_t rows = 0;
    enum lh_code code;
    while (!(code = engine_cursor_next(cursor, &chunk, &bench->err)) && chunk)
        rows += chunk->row_count;
    assert_int_equal(code, LH_SQL);
    assert_true(rows > 0 && rows <= 3000000);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &bench->err), LH_OK);
    assert_null(chunk);
    engine_cursor_close(cursor);
}

/* --- remembered statements, pool */

static void a_repeated_statement_is_prepared_once(void **state)
{
    struct engine_bench *bench = *state;
    int64_t before = engine_stats(bench->engine).statements_prepared;
    for (int i = 0; i < 10; i++)
        assert_string_equal(engine_bench_text(bench, "SELECT 'said once'"), "said once");
    assert_int_equal(engine_stats(bench->engine).statements_prepared - before, 1);
}

static void more_statements_than_are_remembered_still_run(void **state)
{
    struct engine_bench *bench = *state;
    char sql[64], expected[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < ENGINE_STATEMENTS_MAX * 2; i++) {
            snprintf(sql, sizeof sql, "SELECT %d + 0", i);
            snprintf(expected, sizeof expected, "%d", i);
            assert_string_equal(engine_bench_text(bench, sql), expected);
        }
}

/* Sixteen connections could remember four times as many. */
static void all_connections_together_remember_a_limited_number(void **state)
{
    (void)state;
    enum { CONNECTIONS = 16 };
    struct engine_connection *connections[CONNECTIONS];
    struct lh_error err = LH_ERROR_NONE;
    struct engine *engine = NULL;
    char sql[64];
    const struct engine_options options = {
        .memory_bytes = 256 << 20, .thread_count = 1, .connection_max = CONNECTIONS};
    assert_int_equal(engine_open(&options, &engine, &err), LH_OK);
    for (int i = 0; i < CONNECTIONS; i++)
        assert_int_equal(engine_acquire(engine, (struct lh_str){0}, NULL, &connections[i], &err),
                         LH_OK);
    for (int i = 0; i < CONNECTIONS; i++)
        for (int at = 0; at < ENGINE_STATEMENTS_MAX; at++) {
            snprintf(sql, sizeof sql, "SELECT %d", i * ENGINE_STATEMENTS_MAX + at);
            assert_int_equal(engine_execute(connections[i], lh_str_of(sql), NULL, NULL, NULL, &err),
                             LH_OK);
        }
    const int64_t most = ENGINE_STATEMENTS_TOTAL + CONNECTIONS * ENGINE_STATEMENTS_LEAST;
    assert_in_range(engine_stats(engine).statements_kept, ENGINE_STATEMENTS_TOTAL, most);
    /* Those who rest give up theirs for the one that works. */
    struct engine_connection *last = connections[CONNECTIONS - 1];
    for (int i = 0; i < CONNECTIONS - 1; i++)
        engine_release(connections[i]);
    for (int round = 0; round < 2; round++) {
        const int64_t before = engine_stats(engine).statements_prepared;
        for (int at = 0; at < ENGINE_STATEMENTS_MAX; at++) {
            snprintf(sql, sizeof sql, "SELECT 'again', %d", at);
            assert_int_equal(engine_execute(last, lh_str_of(sql), NULL, NULL, NULL, &err), LH_OK);
        }
        assert_int_equal(engine_stats(engine).statements_prepared - before,
                         round ? 0 : ENGINE_STATEMENTS_MAX);
    }
    assert_in_range(engine_stats(engine).statements_kept, ENGINE_STATEMENTS_TOTAL, most);
    engine_release(last);
    engine_close(engine);
}

static void a_remembered_statement_sees_a_changed_table(void **state)
{
    struct engine_bench *bench = *state;
    assert_int_equal(engine_bench_code(bench, "CREATE TABLE changing AS SELECT 1 AS a", NULL),
                     LH_OK);
    assert_string_equal(engine_bench_text(bench, "SELECT * FROM changing"), "1");
    assert_int_equal(engine_bench_code(bench, "DROP TABLE changing", NULL), LH_OK);
    assert_int_equal(
        engine_bench_code(bench, "CREATE TABLE changing AS SELECT 'now a longer text' AS b", NULL),
        LH_OK);
    assert_string_equal(engine_bench_text(bench, "SELECT * FROM changing"), "now a longer text");
    struct engine_cursor *cursor = engine_bench_run(bench, "SELECT * FROM changing");
    assert_true(lh_str_equal(engine_cursor_columns(cursor)[0].name, lh_lit("b")));
    engine_cursor_close(cursor);
    assert_int_equal(engine_bench_code(bench, "DROP TABLE changing", NULL), LH_OK);
}

struct worker {
    struct engine *engine;
    unsigned seed;
    int wrong;
};

static void *work(void *context)
{
    struct worker *worker = context;
    for (int i = 0; i < 150; i++) {
        struct lh_error err = LH_ERROR_NONE;
        struct engine_cursor *cursor = NULL;
        const struct engine_chunk *chunk = NULL;
        char sql[96];
        long expected = (long)(worker->seed = worker->seed * 1103515245 + 12345) % 5000;
        expected = expected < 0 ? -expected : expected;
        snprintf(sql, sizeof sql, "SELECT i FROM range(%ld, 100000) t(i)", expected);
        struct lh_cancel cancel;
        lh_cancel_init(&cancel);
        lh_cancel_set_timeout(&cancel, 60000);
        if (engine_query(worker->engine, lh_str_of(sql), NULL, &cancel, &cursor, &err) ||
            engine_cursor_next(cursor, &chunk, &err) || !chunk ||
            ((const int64_t *)chunk->columns[0].data)[0] != expected)
            worker->wrong++;
        engine_cursor_close(cursor); /* nearly always early */
    }
    return NULL;
}

static void eight_threads_share_four_connections(void **state)
{
    struct engine_bench *bench = *state;
    struct worker workers[8];
    pthread_t threads[8];
    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){.engine = bench->engine, .seed = i * 7919 + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    struct engine_stats stats = engine_stats(bench->engine);
    assert_int_equal(stats.connections_open, 4);
    assert_int_equal(stats.connections_busy, 1);
    assert_true(stats.connections_waited > 0);
}

static void waiting_for_a_connection_ends_with_the_token(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_connection *all[3], *none = NULL;
    struct lh_cancel cancel;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            engine_acquire(bench->engine, (struct lh_str){0}, NULL, &all[i], &bench->err), LH_OK);
    lh_cancel_init(&cancel);
    lh_cancel_set_timeout(&cancel, 30);
    assert_int_equal(engine_acquire(bench->engine, (struct lh_str){0}, &cancel, &none, &bench->err),
                     LH_TIMEOUT);
    assert_null(none);
    for (int i = 0; i < 3; i++)
        engine_release(all[i]);
}

static void a_warm_connection_is_preferred(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_connection *a, *b, *again;
    struct lh_str sql = lh_lit("SELECT 'warm'");
    assert_int_equal(engine_acquire(bench->engine, sql, NULL, &a, &bench->err), LH_OK);
    assert_int_equal(engine_acquire(bench->engine, sql, NULL, &b, &bench->err), LH_OK);
    assert_int_equal(engine_execute(a, sql, NULL, NULL, NULL, &bench->err), LH_OK);
    engine_release(a);
    engine_release(b); /* the last released, but cold */
    assert_int_equal(engine_acquire(bench->engine, sql, NULL, &again, &bench->err), LH_OK);
    assert_ptr_equal(again, a);
    engine_release(again);
}

static void an_engine_with_bad_options_does_not_open(void **state)
{
    struct engine_options options = {.connection_max = ENGINE_CONNECTIONS_MAX + 1};
    struct lh_error err = LH_ERROR_NONE;
    struct engine *engine = NULL;
    (void)state;
    assert_int_equal(engine_open(&options, &engine, &err), LH_INVALID);
    assert_null(engine);
    engine_close(NULL);
    engine_release(NULL);
    engine_cursor_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_take_every_kind_of_value),
        cmocka_unit_test(json_parameters_become_lists_and_structs),
        cmocka_unit_test(wrong_parameters_are_refused_with_their_number),
        cmocka_unit_test(the_types_of_a_result_follow_the_parameters),
        cmocka_unit_test(errors_have_the_right_code_place_and_no_path),
        cmocka_unit_test(a_nul_in_the_text_is_an_error),
        cmocka_unit_test(a_near_name_is_a_hint),
        cmocka_unit_test(an_error_while_rows_stream_ends_the_cursor),
        cmocka_unit_test(a_repeated_statement_is_prepared_once),
        cmocka_unit_test(more_statements_than_are_remembered_still_run),
        cmocka_unit_test(all_connections_together_remember_a_limited_number),
        cmocka_unit_test(a_remembered_statement_sees_a_changed_table),
        cmocka_unit_test(eight_threads_share_four_connections),
        cmocka_unit_test(waiting_for_a_connection_ends_with_the_token),
        cmocka_unit_test(a_warm_connection_is_preferred),
        cmocka_unit_test(an_engine_with_bad_options_does_not_open),
    };
    return cmocka_run_group_tests(tests, engine_bench_open, engine_bench_close);
}
