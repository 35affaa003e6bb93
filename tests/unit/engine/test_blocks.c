/* Rows that are written on the engine's threads are those that a cursor has, in the same order, and
 * end as it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "engine/block.h"
#include "support/engine_bench.h"

#define TEXT_BYTES_MAX ((size_t)256 << 20)

static _Atomic int written;

static void append_row(const struct engine_chunk *chunk, size_t row, struct lh_buf *buf)
{
    for (size_t i = 0; i < chunk->column_count; i++) {
        if (engine_vector_is_null(&chunk->columns[i], row))
            lh_buf_append_str(buf, lh_lit("NULL"));
        else if (chunk->columns[i].type >= ENGINE_LIST)
            lh_buf_append_str(buf, lh_lit("nested"));
        else
            engine_value_text(&chunk->columns[i], row, buf);
        lh_buf_append_char(buf, '|');
    }
    lh_buf_append_char(buf, '\n');
}

static enum lh_code write_text(const struct engine_column *columns,
                               const struct engine_chunk *chunk, struct engine_block *block,
                               struct lh_error *err)
{
    (void)columns;
    atomic_fetch_add(&written, 1);
    for (size_t row = 0; row < chunk->row_count; row++) {
        append_row(chunk, row, &block->bytes);
        block->ends[row] = (uint32_t)block->bytes.len;
    }
    return lh_buf_check(&block->bytes, "A block", err);
}

/* Fails once it meets a row that begins with 5000. */
static enum lh_code write_until_5000(const struct engine_column *columns,
                                     const struct engine_chunk *chunk, struct engine_block *block,
                                     struct lh_error *err)
{
    const int64_t *values = chunk->columns[0].data;
    for (size_t row = 0; row < chunk->row_count; row++)
        if (values[row] == 5000)
            return lh_fail(err, LH_TOO_LARGE, "Row 5000 is too large.");
    return write_text(columns, chunk, block, err);
}

static enum lh_code read_chunks(struct engine_bench *bench, const char *sql, struct lh_buf *buf)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    lh_buf_init(buf, TEXT_BYTES_MAX);
    enum lh_code code =
        engine_run(bench->connection, lh_str_of(sql), NULL, NULL, &cursor, &bench->err);
    while (!code && !(code = engine_cursor_next(cursor, &chunk, &bench->err)) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++)
            append_row(chunk, row, buf);
    engine_cursor_close(cursor);
    return code;
}

static enum lh_code read_blocks(struct engine_bench *bench, const char *sql,
                                engine_block_writer writer, struct lh_buf *buf)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_block *block = NULL;
    lh_buf_init(buf, TEXT_BYTES_MAX);
    enum lh_code code =
        engine_run_blocks(bench->connection, lh_str_of(sql), writer, NULL, &cursor, &bench->err);
    if (code)
        return code;
    if (!engine_cursor_has_blocks(cursor))
        fail_msg("no blocks: %s", sql);
    while (!(code = engine_cursor_next_block(cursor, &block, &bench->err)) && block) {
        assert_true(block->row_count > 0);
        assert_int_equal(block->ends[block->row_count - 1], block->bytes.len);
        lh_buf_append_str(buf, lh_buf_str(&block->bytes));
    }
    engine_cursor_close(cursor);
    return code;
}

/* and what is cast to text */
#define NESTED                                                                                     \
    "int_array, double_array, date_array, timestamp_array, timestamptz_array, varchar_array, "     \
    "nested_int_array, struct, struct_of_arrays, array_of_structs, map, \"union\", "               \
    "fixed_int_array, fixed_varchar_array, fixed_nested_int_array, fixed_nested_varchar_array, "   \
    "fixed_struct_array, struct_of_fixed_array, fixed_array_of_int_list, "                         \
    "list_of_fixed_int_array, geometry"

static const char *const statements[] = {
    "SELECT * EXCLUDE (" NESTED ") FROM test_all_types()",
    "SELECT * EXCLUDE (" NESTED ") FROM test_all_types(), range(3000)",
    "SELECT small_enum, medium_enum, large_enum FROM test_all_types(use_large_enum = true)",
    /* constants, dictionaries, sequences */
    "SELECT 1 AS one, 'a constant that is no short text' AS text, i, NULL::DATE AS nothing "
    "FROM range(60000) t(i) WHERE i % 7 = 3",
    "SELECT i, i % 3 = 0 AS flag, CASE WHEN i % 5 > 0 THEN 'text of some length ' || i % 13 END AS "
    "t, (i * 37 % 1000 / 10)::DECIMAL(9,2) AS d FROM range(100000) t(i)",
    "SELECT a.i, b.name FROM range(20000) a(i) JOIN (SELECT range AS k, 'name number ' || range "
    "AS name FROM range(40)) b ON a.i % 40 = b.k ORDER BY a.i",
    "SELECT * FROM range(60000) t(i) ORDER BY i % 1000, i DESC LIMIT 30000 OFFSET 11",
    "SELECT i % 10 AS k, count(*) AS n, avg(i) AS a FROM range(100000) t(i) GROUP BY k ORDER BY k",
    "SELECT 1 AS a, 2 AS a, 3 AS \"A\", 4 AS c0, 5 AS \"sp \"\"ace\"",
    "WITH w AS (SELECT 7 AS seven) SELECT * FROM w UNION ALL SELECT 8 ; ",
    "  VALUES (1, 'x'), (2, NULL)",
    "FROM range(5)",
    "SELECT i FROM range(10) t(i) WHERE i > 100",
    "SELECT i, row_number() OVER (ORDER BY i % 17, i) FROM range(30000) t(i)",
    /* on several threads */
    "FROM large",
    "SELECT i, name || '!' AS n FROM large WHERE i % 3 = 0",
};

static void assert_same(struct engine_bench *bench, const char *sql)
{
    struct lh_buf chunks, blocks;
    if (read_chunks(bench, sql, &chunks) || read_blocks(bench, sql, write_text, &blocks))
        fail_msg("%s: %s", sql, bench->err.message);
    if (!lh_str_equal(lh_buf_str(&chunks), lh_buf_str(&blocks)))
        fail_msg("%s: other rows in blocks: %.300s", sql, blocks.data);
    lh_buf_release(&chunks);
    lh_buf_release(&blocks);
}

static void blocks_hold_the_rows_of_the_cursor_in_their_order(void **state)
{
    assert_int_equal(
        engine_bench_code(*state,
                          "CREATE TABLE large AS SELECT range AS i, 'the name of row ' || range "
                          "% 1000 AS name FROM range(300000)",
                          NULL),
        LH_OK);
    for (int again = 0; again < 2; again++)
        for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
            assert_same(*state, statements[i]);
}

static void names_and_types_are_those_of_the_statement(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_cursor *cursor = NULL;
    struct lh_buf type;
    assert_int_equal(engine_run_blocks(bench->connection,
                                       lh_lit("SELECT 1 AS a, 1.50 AS a, 'x' AS \"b c\""),
                                       write_text, NULL, &cursor, &bench->err),
                     LH_OK);
    assert_true(engine_cursor_has_blocks(cursor));
    assert_int_equal(engine_cursor_column_count(cursor), 3);
    const struct engine_column *columns = engine_cursor_columns(cursor);
    lh_buf_init(&type, 100);
    for (size_t i = 0; i < 3; i++) {
        lh_buf_append_str(&type, columns[i].name);
        lh_buf_append_char(&type, ' ');
        engine_type_text(columns[i].info, &type);
        lh_buf_append_char(&type, ',');
    }
    assert_string_equal(type.data, "a INTEGER,a DECIMAL(3,2),b c VARCHAR,");
    lh_buf_release(&type);
    engine_cursor_close(cursor);
}

static void what_does_not_suit_comes_as_chunks(void **state)
{
    static const char *const kinds[] = {"SELECT [1, 2] AS list", "SELECT {'a': 1} AS s, 1 AS x",
                                        "SELECT NULL AS nothing, 1 AS one",
                                        "SELECT 1 AS one; -- the end", "SELECT MAP {'a': 1} AS m"};
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct engine_cursor *cursor = NULL;
        const struct engine_chunk *chunk = NULL;
        assert_int_equal(engine_run_blocks(bench->connection, lh_str_of(kinds[i]), write_text, NULL,
                                           &cursor, &bench->err),
                         LH_OK);
        assert_false(engine_cursor_has_blocks(cursor));
        assert_int_equal(engine_cursor_next(cursor, &chunk, &bench->err), LH_OK);
        assert_non_null(chunk);
        engine_cursor_close(cursor);
    }
}

static void errors_are_told_as_without_blocks(void **state)
{
    static const char *const wrong[] = {
        "SELECT nothing FROM range(5)",
        "SELECT 1 FROM",
        "SELECT CASE WHEN i = 150000 THEN error('late') ELSE i END FROM range(200000) t(i)",
        "  SELECT CAST('x' || i AS INTEGER) FROM range(10) t(i)",
    };
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct lh_buf rows;
        enum lh_code plain = read_chunks(bench, wrong[i], &rows);
        struct lh_error told = bench->err;
        lh_buf_release(&rows);
        assert_int_not_equal(plain, LH_OK);
        assert_int_equal(read_blocks(bench, wrong[i], write_text, &rows), plain);
        lh_buf_release(&rows);
        assert_string_equal(bench->err.message, told.message);
        assert_int_equal(bench->err.position, told.position);
        assert_string_equal(engine_bench_text(bench, "SELECT 42"), "42");
    }
}

/* What failed is forgotten, what ran is remembered in both its forms, and the count is right. */
static void statements_are_counted_in_both_forms(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_buf rows;
    int64_t before = engine_stats(bench->engine).statements_kept;
    assert_int_equal(read_blocks(bench, "SELECT 4711 AS counted", write_text, &rows), LH_OK);
    lh_buf_release(&rows);
    assert_int_equal(engine_stats(bench->engine).statements_kept, before + 2);
    assert_int_equal(
        read_blocks(bench, "SELECT CASE WHEN i = 3 THEN error('x') ELSE i END FROM range(5) t(i)",
                    write_text, &rows),
        LH_SQL);
    lh_buf_release(&rows);
    assert_int_equal(engine_stats(bench->engine).statements_kept, before + 2);
}

static void what_a_writer_fails_with_comes_where_its_rows_would(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_buf rows;
    assert_int_equal(
        read_blocks(bench, "SELECT i FROM range(100000) t(i)", write_until_5000, &rows),
        LH_TOO_LARGE);
    assert_string_equal(bench->err.message, "Row 5000 is too large.");
    assert_true(lh_str_ends_with(lh_buf_str(&rows), lh_lit("4095|\n")));
    lh_buf_release(&rows);
    assert_same(bench, "SELECT i FROM range(100000) t(i)");
}

#define AHEAD_MAX 40 /* blocks of 2,048 rows: what the stream holds, and one for each thread */

static void a_reader_that_waits_holds_the_engine_back(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_cursor *cursor = NULL;
    const struct engine_block *block = NULL;
    atomic_store(&written, 0);
    assert_int_equal(engine_run_blocks(bench->connection,
                                       lh_lit("SELECT i, 'text ' || i FROM range(5000000) t(i)"),
                                       write_text, NULL, &cursor, &bench->err),
                     LH_OK);
    assert_int_equal(engine_cursor_next_block(cursor, &block, &bench->err), LH_OK);
    assert_non_null(block);
    usleep(300000);
    int made = atomic_load(&written);
    usleep(100000);
    if (made > AHEAD_MAX || atomic_load(&written) != made)
        fail_msg("%d blocks were made ahead, then %d", made, atomic_load(&written));
    engine_cursor_close(cursor);
    made = atomic_load(&written);
    assert_string_equal(engine_bench_text(bench, "SELECT 42"), "42");
    usleep(50000);
    assert_int_equal(atomic_load(&written), made);
}

/* Below a selective filter chunks have a row each, and as many as there are may be made ahead. */
_Static_assert(sizeof(struct engine_block) <= 128, "thousands of blocks of a row are little");

static void rows_that_a_filter_leaves_one_by_one_come_all(void **state)
{
    assert_same(*state,
                "SELECT i, i || ' of many' AS t FROM range(4000000) t(i) WHERE i % 2048 = 7");
}

static void a_statement_that_is_stopped_says_so_and_leaves_nothing_behind(void **state)
{
    struct engine_bench *bench = *state;
    for (int i = 0; i < 20; i++) {
        struct engine_cursor *cursor = NULL;
        const struct engine_block *block = NULL;
        struct lh_cancel cancel;
        lh_cancel_init(&cancel);
        assert_int_equal(
            engine_run_blocks(bench->connection,
                              lh_lit("SELECT i, hash(i) AS h FROM range(1000000000) t(i)"),
                              write_text, &cancel, &cursor, &bench->err),
            LH_OK);
        for (int k = 0; k < i; k++)
            assert_int_equal(engine_cursor_next_block(cursor, &block, &bench->err), LH_OK);
        lh_cancel_fire(&cancel, LH_CANCELLED);
        assert_int_equal(engine_cursor_next_block(cursor, &block, &bench->err), LH_CANCELLED);
        assert_null(block);
        engine_cursor_close(cursor);
        assert_same(bench, "SELECT i FROM range(10) t(i)");
    }
}

static enum lh_code rows_now(struct engine_bench *bench, struct lh_buf *buf)
{
    enum lh_code code = read_blocks(bench, "FROM replaced", write_text, buf);
    if (code)
        lh_buf_release(buf);
    return code;
}

static void a_table_that_is_replaced_is_noticed(void **state)
{
    static const char *const made[] = {
        "CREATE OR REPLACE TABLE replaced AS SELECT 1 AS a, 'x' AS b",
        "CREATE OR REPLACE TABLE replaced AS SELECT 'a text that is not short' AS a, 2 AS b",
        "CREATE OR REPLACE TABLE replaced AS SELECT 3 AS a",
    };
    static const char *const rows[] = {"1|x|\n", "a text that is not short|2|\n", "3|\n"};
    struct engine_bench *bench = *state;
    for (size_t i = 0; i < 3; i++) {
        struct lh_buf buf;
        assert_int_equal(engine_bench_code(bench, made[i], NULL), LH_OK);
        enum lh_code code = rows_now(bench, &buf);
        if (code) /* said, and right from then on */
            code = rows_now(bench, &buf);
        assert_int_equal(code, LH_OK);
        assert_string_equal(buf.data, rows[i]);
        lh_buf_release(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_hold_the_rows_of_the_cursor_in_their_order),
        cmocka_unit_test(names_and_types_are_those_of_the_statement),
        cmocka_unit_test(what_does_not_suit_comes_as_chunks),
        cmocka_unit_test(errors_are_told_as_without_blocks),
        cmocka_unit_test(statements_are_counted_in_both_forms),
        cmocka_unit_test(what_a_writer_fails_with_comes_where_its_rows_would),
        cmocka_unit_test(a_reader_that_waits_holds_the_engine_back),
        cmocka_unit_test(rows_that_a_filter_leaves_one_by_one_come_all),
        cmocka_unit_test(a_statement_that_is_stopped_says_so_and_leaves_nothing_behind),
        cmocka_unit_test(a_table_that_is_replaced_is_noticed),
    };
    return cmocka_run_group_tests(tests, engine_bench_open, engine_bench_close);
}
