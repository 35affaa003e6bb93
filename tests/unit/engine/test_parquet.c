/* Parquet files: what goes in comes out, and sums tell when it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/engine_bench.h"

static struct engine_content copy(struct engine_bench *bench, const char *select, const char *name)
{
    struct engine_content content = {0};
    if (engine_copy(bench->connection, lh_str_of(select), lh_str_of(engine_bench_path(bench, name)),
                    NULL, NULL, NULL, &content, &bench->err))
        fail_msg("%s: %s", select, bench->err.message);
    return content;
}

static struct engine_content check(struct engine_bench *bench, const char *name)
{
    struct engine_content content = {0};
    if (engine_parquet_check(bench->connection, lh_str_of(engine_bench_path(bench, name)), NULL,
                             &content, &bench->err))
        fail_msg("%s: %s", name, bench->err.message);
    return content;
}

static bool same(struct engine_content a, struct engine_content b)
{
    return a.rows == b.rows && a.sums[0] == b.sums[0] && a.sums[1] == b.sums[1];
}

static void every_type_is_stored_so_that_it_reads_back_the_same(void **state)
{
    struct engine_content in = copy(*state, "SELECT * FROM test_all_types()", "all.parquet");
    assert_int_equal(in.rows, 3);
    assert_true(in.sums[0] != 0 && in.sums[1] != 0);
    assert_true(same(in, check(*state, "all.parquet")));
}

static void each_type_alone_reads_back_the_same(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_columns columns;
    assert_int_equal(engine_describe(bench->connection, lh_lit("SELECT * FROM test_all_types()"),
                                     arena, &columns, &bench->err),
                     LH_OK);
    for (size_t i = 0; i < columns.count; i++) {
        struct lh_str select = lh_arena_printf(arena, "SELECT \"%.*s\" FROM test_all_types();",
                                               LH_ARG(columns.items[i].name));
        struct lh_str name = lh_arena_printf(arena, "type-%zu.parquet", i);
        struct engine_content in = copy(bench, select.data, name.data);
        if (!same(in, check(bench, name.data)))
            fail_msg("%.*s reads back differently", LH_ARG(columns.items[i].name));
    }
    lh_arena_free(arena);
}

static void sums_do_not_depend_on_order_and_add_up(void **state)
{
    struct engine_content up =
        copy(*state, "SELECT i, i::VARCHAR AS t FROM range(200000) r(i)", "up.parquet");
    struct engine_content down =
        copy(*state, "SELECT i, i::VARCHAR AS t FROM range(200000) r(i) ORDER BY i DESC",
             "down.parquet");
    struct engine_content low =
        copy(*state, "SELECT i, i::VARCHAR AS t FROM range(70000) r(i)", "low.parquet");
    struct engine_content high =
        copy(*state, "SELECT i, i::VARCHAR AS t FROM range(70000, 200000) r(i)", "high.parquet");
    struct engine_content both = {low.rows + high.rows,
                                  {low.sums[0] + high.sums[0], low.sums[1] + high.sums[1]}};
    assert_int_equal(up.rows, 200000);
    assert_true(same(up, down));
    assert_true(same(up, both));
    assert_true(same(up, check(*state, "up.parquet")));
}

static void one_changed_value_changes_both_sums(void **state)
{
    struct engine_content a = copy(*state, "SELECT i FROM range(1000) r(i)", "a.parquet");
    struct engine_content b =
        copy(*state, "SELECT CASE WHEN i = 500 THEN -1 ELSE i END AS i FROM range(1000) r(i)",
             "b.parquet");
    struct engine_content c = copy(
        *state, "SELECT CASE WHEN i < 2 THEN 1 ELSE i END AS i FROM range(1000) r(i)", "c.parquet");
    assert_true(a.sums[0] != b.sums[0] && a.sums[1] != b.sums[1]);
    assert_true(a.sums[0] != c.sums[0] && a.sums[1] != c.sums[1]);
}

static void volatile_values_are_summed_as_they_are_stored(void **state)
{
    struct engine_content in = copy(
        *state, "SELECT i, random() AS r, uuid() AS u FROM range(50000) t(i)", "random.parquet");
    assert_true(same(in, check(*state, "random.parquet")));
}

static void ugly_names_and_an_empty_result_are_stored(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_columns columns;
    int64_t rows = -1;
    struct engine_content in = copy(bench,
                                    "SELECT 1 AS \"a\"\"b\", 2 AS __lh_row, 3 AS __lh_ok, 4 AS c1, "
                                    "5 AS \" \" WHERE false -- end",
                                    "empty.parquet");
    assert_int_equal(in.rows, 0);
    assert_true(same(in, check(bench, "empty.parquet")));
    assert_int_equal(engine_parquet_schema(bench->connection,
                                           lh_str_of(engine_bench_path(bench, "empty.parquet")),
                                           arena, &columns, &rows, &bench->err),
                     LH_OK);
    assert_int_equal(rows, 0);
    assert_int_equal(columns.count, 5);
    assert_true(lh_str_equal(columns.items[0].name, lh_lit("a\"b")));
    assert_true(lh_str_equal(columns.items[1].name, lh_lit("__lh_row")));
    assert_int_equal(columns.items[3].info->type, ENGINE_INT32);
    lh_arena_free(arena);
}

static void a_copy_takes_parameters_and_row_groups(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_param param = {.type = ENGINE_PARAM_INT, .integer = 30000};
    struct engine_params params = {&param, 1};
    struct engine_copy_options options = {.codec = lh_lit("zstd"), .row_group_rows = 10240};
    struct engine_content content;
    char sql[256];
    assert_int_equal(engine_copy(bench->connection,
                                 lh_lit("SELECT i FROM range(100000) t(i) WHERE i < $1"),
                                 lh_str_of(engine_bench_path(bench, "groups.parquet")), &options,
                                 &params, NULL, &content, &bench->err),
                     LH_OK);
    assert_int_equal(content.rows, 30000);
    snprintf(
        sql, sizeof sql,
        "SELECT max(row_group_num_rows) || ' ' || max(compression) FROM parquet_metadata('%s')",
        engine_bench_path(bench, "groups.parquet"));
    assert_string_equal(engine_bench_text(bench, sql), "10240 ZSTD");
}

struct seen {
    _Atomic int calls;
    _Atomic bool is_wrong;
    int64_t last;
};

static void see(void *context, int64_t done)
{
    struct seen *seen = context;
    atomic_fetch_add(&seen->calls, 1);
    if (done < seen->last || done > 1000000)
        atomic_store(&seen->is_wrong, true);
    seen->last = done;
}

static void a_long_copy_reports_how_far_it_is(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_content content;
    struct seen seen = {0};
    struct engine_copy_options options = {.progress = see, .progress_context = &seen};
    assert_int_equal(
        engine_bench_code(
            bench, "CREATE TABLE much AS SELECT i, md5(i::VARCHAR) AS m FROM range(500000) t(i)",
            NULL),
        LH_OK);
    for (int rounds = 0; rounds < 20 && atomic_load(&seen.calls) < 2; rounds++) {
        seen.last = 0;
        assert_int_equal(
            engine_copy(bench->connection,
                        lh_lit("SELECT * FROM much UNION ALL SELECT i, md5(m) FROM much"),
                        lh_str_of(engine_bench_path(bench, "much.parquet")), &options, NULL, NULL,
                        &content, &bench->err),
            LH_OK);
    }
    assert_true(atomic_load(&seen.calls) >= 2);
    assert_false(atomic_load(&seen.is_wrong));
    assert_int_equal(engine_bench_code(bench, "DROP TABLE much", NULL), LH_OK);
}

static void a_failing_row_is_told_in_the_callers_text(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_content content;
    const char *select = "SELECT nosuch FROM range(3)";
    assert_int_equal(engine_copy(bench->connection, lh_str_of(select),
                                 lh_str_of(engine_bench_path(bench, "x.parquet")), NULL, NULL, NULL,
                                 &content, &bench->err),
                     LH_SQL);
    assert_int_equal(bench->err.position, 7);
    select = "SELECT CASE WHEN i = 2000 THEN CAST('word ' || i AS INT) ELSE 1 END AS v FROM "
             "range(5000) t(i)";
    assert_int_equal(engine_copy(bench->connection, lh_str_of(select),
                                 lh_str_of(engine_bench_path(bench, "y.parquet")), NULL, NULL, NULL,
                                 &content, &bench->err),
                     LH_SQL);
    assert_int_equal(bench->err.position, strstr(select, "CAST") - select);
    assert_null(strstr(bench->err.message, bench->folder));
}

static void a_copy_is_cancelled_and_the_connection_goes_on(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_content content;
    struct lh_cancel cancel;
    lh_cancel_init(&cancel);
    lh_cancel_set_timeout(&cancel, 50);
    assert_int_equal(engine_copy(bench->connection,
                                 lh_lit("SELECT md5(i::VARCHAR) AS m FROM range(1000000000) t(i)"),
                                 lh_str_of(engine_bench_path(bench, "stopped.parquet")), NULL, NULL,
                                 &cancel, &content, &bench->err),
                     LH_TIMEOUT);
    assert_string_equal(engine_bench_text(bench, "SELECT 1"), "1");
}

static void what_is_no_parquet_file_is_unreadable_without_its_path(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_content content;
    const char *path = engine_bench_path(bench, "no.parquet");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "PAR1 but not really", 19), 19);
    close(fd);
    assert_int_equal(
        engine_parquet_check(bench->connection, lh_str_of(path), NULL, &content, &bench->err),
        LH_UNREADABLE);
    assert_null(strstr(bench->err.message, "/tmp"));
    assert_true(bench->err.position < 0);
    path = engine_bench_path(bench, "missing.parquet");
    assert_int_equal(
        engine_parquet_check(bench->connection, lh_str_of(path), NULL, &content, &bench->err),
        LH_IO);
    assert_null(strstr(bench->err.message, "/tmp"));
}

static void bad_options_are_refused(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_content content;
    struct engine_copy_options options = {.codec = lh_lit("x', FORMAT csv --")};
    assert_int_equal(engine_copy(bench->connection, lh_lit("SELECT 1"), lh_lit("/tmp/x"), &options,
                                 NULL, NULL, &content, &bench->err),
                     LH_INVALID);
    assert_int_equal(engine_copy(bench->connection, lh_lit("SELECT 1"), lh_lit("relative"), NULL,
                                 NULL, NULL, &content, &bench->err),
                     LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_stored_so_that_it_reads_back_the_same),
        cmocka_unit_test(each_type_alone_reads_back_the_same),
        cmocka_unit_test(sums_do_not_depend_on_order_and_add_up),
        cmocka_unit_test(one_changed_value_changes_both_sums),
        cmocka_unit_test(volatile_values_are_summed_as_they_are_stored),
        cmocka_unit_test(ugly_names_and_an_empty_result_are_stored),
        cmocka_unit_test(a_copy_takes_parameters_and_row_groups),
        cmocka_unit_test(a_long_copy_reports_how_far_it_is),
        cmocka_unit_test(a_failing_row_is_told_in_the_callers_text),
        cmocka_unit_test(a_copy_is_cancelled_and_the_connection_goes_on),
        cmocka_unit_test(what_is_no_parquet_file_is_unreadable_without_its_path),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, engine_bench_open, engine_bench_close);
}
