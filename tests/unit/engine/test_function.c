/* Table functions of our own, from bind to the last row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/function.h"
#include "support/engine_bench.h"

/* countdown(from, label := , weights := ): rows from .. 1 with their text, a list and the label; it
 * pins the epoch of its context when it starts. */
struct context {
    _Atomic int epoch;
    _Atomic int live_bounds;
    _Atomic int live_states;
    _Atomic int columns_written;
};

static struct context context;

struct bound {
    int64_t from;
    struct lh_str label;
    double weight;
};

struct counting {
    int64_t next;
    int epoch;
};

static enum lh_code bind(void *ours, struct engine_bind *bind, void **ret_bound,
                         struct lh_error *err)
{
    (void)ours;
    int64_t from = engine_bind_int(bind, 0);
    if (from < 0) {
        lh_fail(err, LH_NOT_FOUND, "There is no countdown from %lld.", (long long)from);
        return lh_error_hint(err, "Start at 0 or above.");
    }
    struct bound *bound = calloc(1, sizeof *bound);
    double weights[8] = {0};
    bound->from = from;
    bound->label = engine_bind_str(bind, 1);
    if (engine_bind_has(bind, 2) && engine_bind_list_count(bind, 2) <= 8)
        engine_bind_list_doubles(bind, 2, weights);
    for (int i = 0; i < 8; i++)
        bound->weight += weights[i];
    engine_bind_column(bind, lh_lit("n"), ENGINE_INT64, false);
    engine_bind_column(bind, lh_lit("text"), ENGINE_TEXT, false);
    engine_bind_column(bind, lh_lit("halves"), ENGINE_FLOAT, true);
    engine_bind_column(bind, lh_lit("label"), ENGINE_TEXT, false);
    engine_bind_column(bind, lh_lit("epoch"), ENGINE_INT32, false);
    engine_bind_column(bind, lh_lit("weight"), ENGINE_DOUBLE, false);
    engine_bind_rows(bind, from);
    atomic_fetch_add(&context.live_bounds, 1);
    *ret_bound = bound;
    return LH_OK;
}

static enum lh_code start(void *ours, void *bound, struct engine_scan *scan, void **ret_state,
                          struct lh_error *err)
{
    (void)scan;
    (void)err;
    struct counting *counting = calloc(1, sizeof *counting);
    counting->next = ((struct bound *)bound)->from;
    counting->epoch = atomic_load(&((struct context *)ours)->epoch);
    atomic_fetch_add(&context.live_states, 1);
    *ret_state = counting;
    return LH_OK;
}

static void write_cell(const struct bound *bound, const struct counting *counting,
                       struct engine_scan *scan, struct engine_write *write, size_t at, size_t row)
{
    char text[64];
    float halves[2] = {(float)counting->next / 2, 0.5f};
    int len = snprintf(text, sizeof text, "number %lld of a countdown", (long long)counting->next);
    switch (engine_scan_column(scan, at)) {
    case 0:
        ((int64_t *)engine_write_data(write, at))[row] = counting->next;
        break;
    case 1:
        engine_write_str(write, at, row, (struct lh_str){text, (size_t)len});
        break;
    case 2:
        engine_write_floats(write, at, row, halves, (size_t)(counting->next % 3));
        break;
    case 3:
        if (bound->label.data)
            engine_write_str(write, at, row, bound->label);
        else
            engine_write_null(write, at, row);
        break;
    case 4:
        ((int32_t *)engine_write_data(write, at))[row] = counting->epoch;
        break;
    default:
        ((double *)engine_write_data(write, at))[row] = bound->weight;
        break;
    }
}

static enum lh_code next(void *ours, void *bound, void *state, struct engine_scan *scan,
                         struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    (void)ours;
    struct counting *counting = state;
    size_t rows = 0;
    atomic_store(&context.columns_written, (int)engine_scan_column_count(scan));
    for (; rows < ENGINE_CHUNK_ROWS && counting->next > 0; rows++, counting->next--) {
        if (counting->next == 666)
            return lh_fail(err, LH_CONFLICT, "The countdown does not pass 666.");
        for (size_t at = 0; at < engine_scan_column_count(scan); at++)
            write_cell(bound, counting, scan, write, at, rows);
    }
    if (counting->next > 1000000000) { /* the endless one */
        enum lh_code code = LH_OK;
        while (!code) {
            usleep(1000);
            code = lh_cancel_fail(engine_scan_cancel(scan), "The countdown", err);
        }
        return code;
    }
    *ret_rows = rows;
    return LH_OK;
}

static void free_bound(void *bound)
{
    atomic_fetch_sub(&context.live_bounds, 1);
    free(bound);
}

static void free_state(void *state)
{
    atomic_fetch_sub(&context.live_states, 1);
    free(state);
}

static const struct engine_argument arguments[] = {
    {NULL, ENGINE_INT64, false},
    {"label", ENGINE_TEXT, false},
    {"weights", ENGINE_DOUBLE, true},
};

static const struct engine_table_function countdown = {
    .name = "countdown",
    .arguments = arguments,
    .argument_count = 3,
    .context = &context,
    .bind = bind,
    .start = start,
    .next = next,
    .free_bound = free_bound,
    .free_state = free_state,
};

static int open_with_function(void **state)
{
    if (engine_bench_open(state))
        return -1;
    struct engine_bench *bench = *state;
    return (int)engine_register_table(bench->engine, &countdown, &bench->err);
}

static int close_with_function(void **state)
{
    int code = engine_bench_close(state);
    return code || atomic_load(&context.live_bounds) || atomic_load(&context.live_states);
}

static void its_rows_join_filter_and_aggregate(void **state)
{
    struct engine_bench *bench = *state;
    assert_string_equal(engine_bench_text(bench, "SELECT sum(n) FROM countdown(600)"), "180300");
    assert_string_equal(engine_bench_text(bench, "SELECT count(*) FROM countdown(0)"), "0");
    assert_string_equal(
        engine_bench_text(bench,
                          "SELECT text FROM countdown(5) c JOIN range(3) r(i) ON c.n = r.i + 1 "
                          "ORDER BY n DESC LIMIT 1"),
        "number 3 of a countdown");
    assert_string_equal(engine_bench_text(bench, "SELECT sum(len(halves)) FROM countdown(5)"), "6");
    assert_string_equal(engine_bench_text(bench, "SELECT halves[1] FROM countdown(2)"), "1.0");
}

static void it_writes_only_the_columns_that_are_read(void **state)
{
    struct engine_bench *bench = *state;
    engine_bench_text(bench, "SELECT max(n) FROM countdown(5)");
    assert_int_equal(atomic_load(&context.columns_written), 1);
    engine_bench_text(bench, "SELECT label, n FROM countdown(5)");
    assert_int_equal(atomic_load(&context.columns_written), 2);
}

static void named_arguments_may_be_absent(void **state)
{
    struct engine_bench *bench = *state;
    assert_string_equal(engine_bench_text(bench, "SELECT label FROM countdown(1)"), "NULL");
    assert_string_equal(
        engine_bench_text(bench, "SELECT label FROM countdown(1, label := 'a label')"), "a label");
    assert_string_equal(
        engine_bench_text(bench, "SELECT weight FROM countdown(1, weights := [1.5, 2])"), "3.5");
}

static void parameters_reach_its_arguments(void **state)
{
    struct engine_bench *bench = *state;
    for (int64_t from = 1; from < 4; from++) {
        struct engine_param param = {.type = ENGINE_PARAM_INT, .integer = from};
        struct engine_params params = {&param, 1};
        int64_t rows = 0;
        assert_int_equal(engine_execute(bench->connection, lh_lit("SELECT * FROM countdown($1)"),
                                        &params, NULL, &rows, &bench->err),
                         LH_OK);
        assert_int_equal(rows, from);
    }
}

static void a_remembered_statement_pins_anew_each_time_it_starts(void **state)
{
    struct engine_bench *bench = *state;
    for (int epoch = 1; epoch < 4; epoch++) {
        char expected[16];
        atomic_store(&context.epoch, epoch);
        snprintf(expected, sizeof expected, "%d", epoch);
        assert_string_equal(engine_bench_text(bench, "SELECT epoch FROM countdown(1)"), expected);
    }
}

static void its_errors_arrive_whole(void **state)
{
    struct engine_bench *bench = *state;
    assert_int_equal(engine_bench_code(bench, "SELECT * FROM countdown(-1)", NULL), LH_NOT_FOUND);
    assert_string_equal(bench->err.message, "There is no countdown from -1.");
    assert_string_equal(bench->err.hint, "Start at 0 or above.");
    assert_int_equal(engine_bench_code(bench, "SELECT sum(n) FROM countdown(5000)", NULL),
                     LH_CONFLICT);
    assert_string_equal(bench->err.message, "The countdown does not pass 666.");
    assert_int_equal(engine_bench_code(bench, "SELECT * FROM countdown()", NULL), LH_SQL);
    assert_int_equal(engine_bench_code(bench, "SELECT * FROM countdown(3)", NULL), LH_OK);
}

static void it_sees_the_token_of_its_statement(void **state)
{
    struct engine_bench *bench = *state;
    struct lh_cancel cancel;
    lh_cancel_init(&cancel);
    lh_cancel_set_timeout(&cancel, 30);
    assert_int_equal(
        engine_bench_code(bench, "SELECT count(*) FROM countdown(2000000000)", &cancel),
        LH_TIMEOUT);
}

static void a_name_is_taken_once(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_table_function again = countdown;
    again.name = "COUNTDOWN";
    assert_int_equal(engine_register_table(bench->engine, &again, &bench->err), LH_EXISTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_rows_join_filter_and_aggregate),
        cmocka_unit_test(it_writes_only_the_columns_that_are_read),
        cmocka_unit_test(named_arguments_may_be_absent),
        cmocka_unit_test(parameters_reach_its_arguments),
        cmocka_unit_test(a_remembered_statement_pins_anew_each_time_it_starts),
        cmocka_unit_test(its_errors_arrive_whole),
        cmocka_unit_test(it_sees_the_token_of_its_statement),
        cmocka_unit_test(a_name_is_taken_once),
    };
    return cmocka_run_group_tests(tests, open_with_function, close_with_function);
}
