/* Every type of the engine, through the vectors, against the engine's own casts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/clock.h"
#include "engine/engine.h"

struct bench {
    struct engine *engine;
    struct engine_connection *connection;
};

static int open_engine(void **state)
{
    static struct bench bench;
    struct engine_options options = {.memory_bytes = (int64_t)1 << 30, .thread_count = 2};
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(engine_open(&options, &bench.engine, &err), LH_OK);
    assert_int_equal(
        engine_acquire(bench.engine, (struct lh_str){0}, NULL, &bench.connection, &err), LH_OK);
    *state = &bench;
    return 0;
}

static int close_engine(void **state)
{
    struct bench *bench = *state;
    engine_release(bench->connection);
    engine_close(bench->engine);
    return 0;
}

static struct engine_cursor *run(struct bench *bench, const char *sql)
{
    struct engine_cursor *cursor = NULL;
    struct lh_error err = LH_ERROR_NONE;
    if (engine_run(bench->connection, lh_str_of(sql), NULL, NULL, &cursor, &err))
        fail_msg("%s: %s", sql, err.message);
    return cursor;
}

/* The value as text, nested ones walked as the library writes them. */
static void write_value(const struct engine_vector *vector, size_t row, bool is_inside,
                        struct lh_buf *buf);

static void write_item(const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    write_value(vector, row, true, buf);
}

static void write_items(const struct engine_vector *vector, size_t from, size_t count,
                        struct lh_buf *buf)
{
    lh_buf_append_char(buf, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            lh_buf_append_str(buf, lh_lit(", "));
        write_item(vector, from + i, buf);
    }
    lh_buf_append_char(buf, ']');
}

static void write_map(const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    struct engine_list_entry entry = engine_vector_list(vector, row);
    lh_buf_append_char(buf, '{');
    for (size_t i = 0; i < entry.length; i++) {
        if (i)
            lh_buf_append_str(buf, lh_lit(", "));
        write_item(&vector->children[0], entry.offset + i, buf);
        lh_buf_append_char(buf, '=');
        write_item(&vector->children[1], entry.offset + i, buf);
    }
    lh_buf_append_char(buf, '}');
}

static void write_struct(const struct engine_vector *vector, size_t row, struct lh_buf *buf)
{
    lh_buf_append_char(buf, '{');
    for (size_t i = 0; i < vector->child_count; i++) {
        lh_buf_printf(buf, "%s'%.*s': ", i ? ", " : "", LH_ARG(vector->info->child_names[i]));
        write_item(&vector->children[i], row, buf);
    }
    lh_buf_append_char(buf, '}');
}

/* Inside of nested values the library quotes text that holds a blank or a mark of its own. */
static void write_scalar(const struct engine_vector *vector, size_t row, bool is_inside,
                         struct lh_buf *buf)
{
    struct lh_buf text;
    lh_buf_init(&text, 1 << 20);
    engine_value_text(vector, row, &text);
    bool needs_quotes = false;
    for (size_t i = 0; i < text.len; i++)
        needs_quotes |= strchr(" ,:=[]{}()'\"\\", text.data[i]) != NULL;
    needs_quotes |= text.len == 0;
    if (is_inside && needs_quotes)
        lh_buf_printf(buf, "'%.*s'", LH_ARG(lh_buf_str(&text)));
    else
        lh_buf_append_str(buf, lh_buf_str(&text));
    lh_buf_release(&text);
}

static void write_value(const struct engine_vector *vector, size_t row, bool is_inside,
                        struct lh_buf *buf)
{
    if (engine_vector_is_null(vector, row)) {
        lh_buf_append_str(buf, lh_lit("NULL"));
        return;
    }
    struct engine_list_entry entry;
    switch (vector->type) {
    case ENGINE_LIST:
        entry = engine_vector_list(vector, row);
        write_items(&vector->children[0], entry.offset, entry.length, buf);
        break;
    case ENGINE_ARRAY:
        write_items(&vector->children[0], row * vector->info->array_size, vector->info->array_size,
                    buf);
        break;
    case ENGINE_MAP:
        write_map(vector, row, buf);
        break;
    case ENGINE_STRUCT:
        write_struct(vector, row, buf);
        break;
    case ENGINE_UNION:
        write_value(&vector->children[engine_vector_union_tag(vector, row)], row, is_inside, buf);
        break;
    default:
        write_scalar(vector, row, is_inside, buf);
        break;
    }
}

/* Both statements return the same columns, the second all as text. */
static void assert_same_text(struct bench *bench, const char *values, const char *texts)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    const struct engine_chunk *chunk = NULL;
    struct lh_str *shown = NULL;
    size_t columns, rows;
    struct engine_cursor *cursor = run(bench, values);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &err), LH_OK);
    assert_non_null(chunk);
    columns = chunk->column_count;
    rows = chunk->row_count;
    shown = lh_arena_array(arena, columns * rows, sizeof *shown);
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < rows; r++) {
            struct lh_buf buf;
            lh_buf_init(&buf, 1 << 20);
            write_value(&chunk->columns[c], r, false, &buf);
            shown[c * rows + r] = lh_arena_str(arena, lh_buf_str(&buf));
            lh_buf_release(&buf);
        }
    engine_cursor_close(cursor);
    cursor = run(bench, texts);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &err), LH_OK);
    assert_int_equal(chunk->column_count, columns);
    assert_int_equal(chunk->row_count, rows);
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < rows; r++) {
            struct lh_str expected = engine_vector_is_null(&chunk->columns[c], r)
                                         ? lh_lit("NULL")
                                         : engine_vector_str(&chunk->columns[c], r);
            /* The library's calendar rounds the last instant of all up by a millisecond. */
            if (lh_str_equal(expected, lh_lit("294247-01-10 04:00:54.776806+00")))
                expected = lh_lit("294247-01-10 04:00:54.775806+00");
            if (!lh_str_equal(expected, shown[c * rows + r]))
                fail_msg("column %.*s, row %zu: '%.*s' is shown as '%.*s'",
                         LH_ARG(engine_cursor_columns(cursor)[c].name), r, LH_ARG(expected),
                         LH_ARG(shown[c * rows + r]));
        }
    engine_cursor_close(cursor);
    lh_arena_free(arena);
}

static void every_type_reads_as_the_library_prints_it(void **state)
{
    assert_same_text(*state, "SELECT * FROM test_all_types()",
                     "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM test_all_types()");
}

static void extreme_values_read_as_the_library_prints_them(void **state)
{
    static const char *const values[] = {
        "1e16::DOUBLE",
        "123456789012345680::DOUBLE",
        "1e15::DOUBLE",
        "0.0001::DOUBLE",
        "0.00001::DOUBLE",
        "-0.0::DOUBLE",
        "0.1::FLOAT",
        "16777216::FLOAT",
        "1e10::FLOAT",
        "100::DOUBLE",
        "3.14159::DOUBLE",
        "1.5e300::DOUBLE",
        "5e-324::DOUBLE",
        "'infinity'::DATE",
        "'-infinity'::TIMESTAMP",
        "'-infinity'::TIMESTAMPTZ",
        "DATE '0001-01-01'",
        "DATE '-0044-03-15'",
        "DATE '2024-02-29'",
        "DATE '1900-03-01'",
        "TIMESTAMP '-0044-03-15 01:02:03.4'",
        "TIMESTAMP '1969-12-31 23:59:59.999999'",
        "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'",
        "TIMESTAMP_MS '2020-01-01 00:00:00.120'",
        "TIMESTAMPTZ '2020-06-01 12:00:00+02'",
        "TIMETZ '12:00:00-05:30'",
        "TIMETZ '01:02:03.5+15:59:59'",
        "TIME '23:59:59.000001'",
        "INTERVAL '-1 year -1 month 2 days -3 hours'",
        "INTERVAL '1 month'",
        "INTERVAL '0 days'",
        "INTERVAL '-0.5 seconds'",
        "INTERVAL '400 hours'",
        "(-170141183460469231731687303715884105728)::HUGEINT",
        "0::HUGEINT",
        "340282366920938463463374607431768211455::UHUGEINT",
        "0.5::DECIMAL(3,2)",
        "(-0.05)::DECIMAL(4,2)",
        "0::DECIMAL(38,37)",
        "(-12345678901234567890123456789012345678)::DECIMAL(38,0)",
        "'\\x00\\xFFab'::BLOB",
        "''::BLOB",
        "'0'::BIT",
        "'101010101'::BIT",
        "'123456789012345678901234567890123456789012345678901234567890'::BIGNUM",
        "'-1000000000000000000'::BIGNUM",
        "'0'::BIGNUM",
        "'-1'::BIGNUM",
        "uuid '00000000-0000-0000-0000-000000000001'",
        "'nan'::FLOAT",
        "'-inf'::DOUBLE",
        "[]::INTEGER[]",
        "[NULL, 'ab']",
        "MAP {'k': [1]}",
        "{'a': {'b': NULL}}",
        "'x'::ENUM('y','x')",
        "''",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char value[256], text[256];
        snprintf(value, sizeof value, "SELECT %s", values[i]);
        snprintf(text, sizeof text, "SELECT CAST(%s AS VARCHAR)", values[i]);
        assert_same_text(*state, value, text);
    }
}

static void type_texts_are_those_of_the_library(void **state)
{
    struct bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct engine_columns columns;
    const struct engine_chunk *chunk = NULL;
    size_t seen = 0;
    assert_int_equal(engine_describe(bench->connection,
                                     lh_lit("SELECT *, '1'::JSON j FROM test_all_types()"), arena,
                                     &columns, &err),
                     LH_OK);
    struct engine_cursor *cursor = run(
        bench, "SELECT column_type FROM (DESCRIBE SELECT *, '1'::JSON j FROM test_all_types())");
    assert_int_equal(engine_cursor_next(cursor, &chunk, &err), LH_OK);
    assert_int_equal(chunk->row_count, columns.count);
    for (size_t i = 0; i < columns.count; i++) {
        struct lh_buf text;
        struct lh_str expected = engine_vector_str(&chunk->columns[0], i);
        lh_buf_init(&text, 4 << 20);
        engine_type_text(columns.items[i].info, &text);
        if (columns.items[i].is_cast) {
            assert_string_equal(text.data, "VARCHAR");
        } else {
            seen++;
            if (!lh_str_equal(lh_buf_str(&text), expected))
                fail_msg("%.*s is called %.200s", (int)(expected.len > 200 ? 200 : expected.len),
                         expected.data, text.data);
        }
        lh_buf_release(&text);
    }
    assert_true(seen >= 55);
    engine_cursor_close(cursor);
    lh_arena_free(arena);
}

static void unknown_types_come_as_text_under_their_own_names(void **state)
{
    struct bench *bench = *state;
    struct lh_error err = LH_ERROR_NONE;
    const struct engine_chunk *chunk = NULL;
    struct engine_cursor *cursor = run(bench, "  SELECT 1 AS a, 42::VARIANT AS \"v\"\"w\", [{'x': "
                                              "1::VARIANT}] AS a FROM range(2) ORDER BY 1; ");
    assert_int_equal(engine_cursor_column_count(cursor), 3);
    const struct engine_column *columns = engine_cursor_columns(cursor);
    assert_true(lh_str_equal(columns[0].name, lh_lit("a")));
    assert_true(lh_str_equal(columns[1].name, lh_lit("v\"w")));
    assert_true(lh_str_equal(columns[2].name, lh_lit("a")));
    assert_false(columns[0].is_cast);
    assert_true(columns[1].is_cast && columns[2].is_cast);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &err), LH_OK);
    assert_int_equal(chunk->row_count, 2);
    assert_true(lh_str_equal(engine_vector_str(&chunk->columns[1], 1), lh_lit("42")));
    engine_cursor_close(cursor);
}

static void unknown_types_behind_parameters_come_as_text(void **state)
{
    struct bench *bench = *state;
    struct lh_error err = LH_ERROR_NONE;
    const struct engine_chunk *chunk = NULL;
    struct engine_param param = {.type = ENGINE_PARAM_INT, .integer = 7};
    struct engine_params params = {&param, 1};
    for (int round = 0; round < 2; round++) {
        struct engine_cursor *cursor = NULL;
        assert_int_equal(engine_run(bench->connection, lh_lit("SELECT $1::VARIANT AS v, $1 AS n"),
                                    &params, NULL, &cursor, &err),
                         LH_OK);
        assert_true(engine_cursor_columns(cursor)[0].is_cast);
        assert_int_equal(engine_cursor_next(cursor, &chunk, &err), LH_OK);
        assert_true(lh_str_equal(engine_vector_str(&chunk->columns[0], 0), lh_lit("7")));
        engine_cursor_close(cursor);
    }
}

static void columns_get_names_that_no_other_has_however_many_there_are(void **state)
{
    static const char *const given[] = {"A", "a", "a_2", "", "column", "A", "b", "a_2"};
    static const char *const wanted[] = {"A",        "a_2", "a_2_2", "column",
                                         "column_2", "A_3", "b",     "a_2_3"};
    enum { FEW = sizeof given / sizeof given[0], MANY = 20000 };
    static struct engine_column columns[MANY];
    struct lh_arena *arena = lh_arena_new(0);
    (void)state;
    for (size_t i = 0; i < FEW; i++)
        columns[i].name = lh_str_of(given[i]);
    const struct lh_str *names = engine_distinct_names(columns, FEW, arena);
    for (size_t i = 0; i < FEW; i++)
        if (!lh_str_equal(names[i], lh_str_of(wanted[i])))
            fail_msg("%s became %.*s, not %s", given[i], LH_ARG(names[i]), wanted[i]);
    for (size_t i = 0; i < MANY; i++)
        columns[i].name = lh_lit("same");
    const int64_t from_us = lh_clock_monotonic_us();
    names = engine_distinct_names(columns, MANY, arena);
    assert_true(lh_clock_monotonic_us() - from_us < 2000000); /* each against each: minutes */
    assert_true(lh_str_equal(names[MANY - 1], lh_lit("same_20000")));
    lh_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_as_the_library_prints_it),
        cmocka_unit_test(extreme_values_read_as_the_library_prints_them),
        cmocka_unit_test(type_texts_are_those_of_the_library),
        cmocka_unit_test(unknown_types_come_as_text_under_their_own_names),
        cmocka_unit_test(unknown_types_behind_parameters_come_as_text),
        cmocka_unit_test(columns_get_names_that_no_other_has_however_many_there_are),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
