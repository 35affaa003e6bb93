/* The corpus: statements whose values, types and column names must be the engine's own, and
 * statements that must be refused for the expected reason. The oracle runs the very text over views
 * of the same names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/encode.h"
#include "query/encode_json.h"
#include "support/query_lake.h"

static struct query_lake lake;

static int open_lake(void **state)
{
    (void)state;
    query_lake_open(&lake);
    return 0;
}

static int close_lake(void **state)
{
    (void)state;
    query_lake_close(&lake);
    return 0;
}

/* --- one result as text: a line of names and types, then a line per row */

static void write_head(struct lh_buf *buf, const struct engine_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lh_buf_append_str(buf, columns[i].name);
        lh_buf_append_char(buf, ' ');
        engine_type_text(columns[i].info, buf);
        lh_buf_append_char(buf, '|');
    }
    lh_buf_append_char(buf, '\n');
}

static void write_rows(struct lh_buf *buf, const struct engine_chunk *chunk)
{
    for (size_t row = 0; row < chunk->row_count; row++) {
        for (size_t i = 0; i < chunk->column_count; i++) {
            char *out = lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
            out = out ? query_json_value(buf, &chunk->columns[i], row, out) : NULL;
            assert_non_null(out);
            buf->len = (size_t)(out - buf->data);
            lh_buf_append_char(buf, '|');
        }
        lh_buf_append_char(buf, '\n');
    }
}

static enum lh_code run_ours(struct lh_str sql, struct lh_buf *buf, struct lh_error *err)
{
    const struct query_principal admin = {.is_trusted = true};
    const struct query_request request = {.sql = sql};
    const struct engine_chunk *chunk = NULL;
    struct query *query = NULL;
    size_t count;
    enum lh_code code = query_open(lake.query, &admin, &request, NULL, &query, err);
    if (code)
        return code;
    const struct engine_column *columns = query_columns(query, &count);
    write_head(buf, columns, count);
    while (!(code = query_next(query, &chunk, err)) && chunk)
        write_rows(buf, chunk);
    query_close(query);
    return code;
}

static enum lh_code run_oracle(struct lh_str sql, struct lh_buf *buf, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    struct engine_cursor *cursor = NULL;
    enum lh_code code = engine_query(lake.oracle, sql, NULL, NULL, &cursor, err);
    if (code)
        return code;
    write_head(buf, engine_cursor_columns(cursor), engine_cursor_column_count(cursor));
    while (!(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        write_rows(buf, chunk);
    engine_cursor_close(cursor);
    return code;
}

/* --- the files: one case per line, # starts a comment */

typedef bool (*case_check)(struct lh_str line, size_t number);

static size_t for_each_case(const char *name, case_check check, size_t *ret_bad)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_dir *dir = NULL;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text;
    size_t count = 0, number = 0;
    *ret_bad = 0;
    if (lh_dir_open(lh_lit("tests/unit/query/corpus"), false, &dir, &err) ||
        lh_file_read(dir, name, (size_t)1 << 20, arena, &text, &err))
        fail_msg("%s", err.message);
    while (text.len) {
        struct lh_str line = lh_str_cut(&text, '\n');
        number++;
        if (!lh_str_trim(line).len || line.data[0] == '#')
            continue;
        count++;
        *ret_bad += !check(line, number);
    }
    lh_dir_close(dir);
    lh_arena_free(arena);
    return count;
}

static bool runs_like_the_engine(struct lh_str line, size_t number)
{
    struct lh_buf ours, theirs;
    struct lh_error our_err = LH_ERROR_NONE, their_err = LH_ERROR_NONE;
    lh_buf_init(&ours, (size_t)64 << 20);
    lh_buf_init(&theirs, (size_t)64 << 20);
    enum lh_code their_code = run_oracle(line, &theirs, &their_err);
    enum lh_code our_code = run_ours(line, &ours, &our_err);
    bool is_same = !our_code && !their_code && lh_str_equal(lh_buf_str(&ours), lh_buf_str(&theirs));
    if (!is_same)
        print_error("accepted.sql:%zu: %.*s\n  ours:   %s %.600s\n  engine: %s %.600s\n", number,
                    LH_ARG(line), our_err.message, ours.data ? ours.data : "", their_err.message,
                    theirs.data ? theirs.data : "");
    lh_buf_release(&ours);
    lh_buf_release(&theirs);
    return is_same;
}

/* "<error id> | <part of the message or hint> | <statement>" */
static bool is_refused_as_expected(struct lh_str line, size_t number)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf rows;
    size_t at;
    struct lh_str rest = line;
    struct lh_str id = lh_str_trim(lh_str_cut(&rest, '|'));
    struct lh_str part = lh_str_trim(lh_str_cut(&rest, '|'));
    struct lh_str sql = rest;
    lh_buf_init(&rows, (size_t)64 << 20);
    enum lh_code code = run_ours(sql, &rows, &err);
    bool is_as_expected = code && lh_str_equal(id, lh_str_of(lh_error_row(code)->id)) &&
                          (lh_str_find(lh_str_of(err.message), part, &at) ||
                           lh_str_find(lh_str_of(err.hint), part, &at));
    const char *leaks[] = {"read_parquet", ".parquet'", lake.folder.path, "hive_partitioning"};
    for (size_t i = 0; i < sizeof leaks / sizeof leaks[0]; i++)
        if ((lh_str_find(lh_str_of(err.message), lh_str_of(leaks[i]), &at) ||
             lh_str_find(lh_str_of(err.hint), lh_str_of(leaks[i]), &at)) &&
            !lh_str_find(sql, lh_str_of(leaks[i]), &at))
            is_as_expected = false;
    if (err.position > (int64_t)sql.len)
        is_as_expected = false;
    if (!is_as_expected)
        print_error("refused.txt:%zu: %.*s\n  got %s: %s (%s)\n", number, LH_ARG(line),
                    lh_error_row(code)->id, err.message, err.hint);
    lh_buf_release(&rows);
    return is_as_expected;
}

/* --- written on the engine's threads, as many rows are */

static enum lh_code keep(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    lh_buf_append_str(context, bytes);
    return LH_OK;
}

static void encode(struct lh_str sql, const char *format, int64_t limit, struct lh_buf *buf,
                   bool *ret_has_blocks)
{
    const struct query_principal admin = {.is_trusted = true};
    const struct query_request request = {
        .sql = sql, .limit = limit, .encoder = query_encoder_by_name(lh_str_of(format))};
    const struct query_sink sink = {.context = buf, .write = keep};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    size_t at;
    lh_buf_init(buf, (size_t)64 << 20);
    enum lh_code code = query_open(lake.query, &admin, &request, NULL, &query, &err);
    *ret_has_blocks = !code && query_has_blocks(query);
    if (!code)
        code = query_encode(query, request.encoder, NULL, &sink, NULL, &err);
    if (code)
        lh_buf_append_str(buf, lh_str_of(err.message));
    else if (lh_str_find(lh_buf_str(buf), lh_lit(",\"elapsed_ms\""), &at))
        buf->len = at;
    query_close(query);
}

static size_t block_count;

static bool is_the_same_in_blocks(struct lh_str line, size_t number)
{
    const char *format = number % 2 ? "json" : "ndjson";
    struct lh_buf few, many;
    bool has_blocks, has_no_blocks;
    encode(line, format, 10000, &few, &has_no_blocks);
    encode(line, format, QUERY_ROWS_MAX, &many, &has_blocks);
    bool is_same = lh_str_equal(lh_buf_str(&few), lh_buf_str(&many)) && !has_no_blocks;
    if (!is_same)
        print_error("accepted.sql:%zu: %.*s\n  few:  %.600s\n  many: %.600s\n", number,
                    LH_ARG(line), few.data ? few.data : "", many.data ? many.data : "");
    block_count += has_blocks;
    lh_buf_release(&few);
    lh_buf_release(&many);
    return is_same;
}

#define ACCEPTED_LEAST 320
#define REFUSED_LEAST 80

static void accepted_statements_answer_as_the_engine_does(void **state)
{
    size_t bad;
    (void)state;
    size_t count = for_each_case("accepted.sql", runs_like_the_engine, &bad);
    print_message("%zu statements compared, %zu differ\n", count, bad);
    assert_int_equal(bad, 0);
    assert_true(count >= ACCEPTED_LEAST);
}

/* The second time they come from the plan cache. */
static void remembered_statements_answer_the_same(void **state)
{
    size_t bad;
    (void)state;
    struct query_stats before = query_engine_stats(lake.query);
    size_t count = for_each_case("accepted.sql", runs_like_the_engine, &bad);
    struct query_stats after = query_engine_stats(lake.query);
    print_message("%zu statements compared again, %lld from the plan cache\n", count,
                  (long long)(after.plan_hits - before.plan_hits));
    assert_int_equal(bad, 0);
    assert_true(after.plan_hits - before.plan_hits >= (int64_t)count - 2);
}

static void statements_asked_for_many_rows_answer_the_same(void **state)
{
    size_t bad;
    (void)state;
    size_t count = for_each_case("accepted.sql", is_the_same_in_blocks, &bad);
    print_message("%zu statements compared, %zu of them in blocks\n", count, block_count);
    assert_int_equal(bad, 0);
    assert_true(block_count > count / 2);
}

static void refused_statements_say_why(void **state)
{
    size_t bad;
    (void)state;
    size_t count = for_each_case("refused.txt", is_refused_as_expected, &bad);
    print_message("%zu statements refused, %zu not as expected\n", count, bad);
    assert_int_equal(bad, 0);
    assert_true(count >= REFUSED_LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_statements_answer_as_the_engine_does),
        cmocka_unit_test(remembered_statements_answer_the_same),
        cmocka_unit_test(statements_asked_for_many_rows_answer_the_same),
        cmocka_unit_test(refused_statements_say_why),
    };
    return cmocka_run_group_tests(tests, open_lake, close_lake);
}
