/* The reviewed list of functions is that of the pinned engine.
 *
 *     unit.query.functions --print > src/query/functions.def
 *
 * writes the table anew: verdicts that were given stay, new functions stand as UNREVIEWED, which
 * does not compile until somebody has decided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/internal.h"

static const char list_sql[] =
    "SELECT DISTINCT lower(function_name) AS name, function_type LIKE 'table%' AS is_table "
    "FROM duckdb_functions() WHERE function_type <> 'pragma' AND NOT starts_with(function_name, "
    "'__lh_') ORDER BY name, is_table"; /* functions of our own: never callable by name */

typedef void (*each_function)(void *context, struct lh_str name, enum query_function_kind kind);

static void for_each_function(each_function each, void *context)
{
    struct lh_error err = LH_ERROR_NONE;
    struct engine_options options = {.thread_count = 1, .memory_bytes = INT64_C(256) << 20};
    struct engine *engine = NULL;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    if (engine_open(&options, &engine, &err) ||
        engine_query(engine, lh_str_of(list_sql), NULL, NULL, &cursor, &err))
        fail_msg("%s", err.message);
    while (!engine_cursor_next(cursor, &chunk, &err) && chunk)
        for (size_t row = 0; row < chunk->row_count; row++)
            each(context, engine_vector_str(&chunk->columns[0], row),
                 ((const uint8_t *)chunk->columns[1].data)[row] ? QUERY_FUNCTION_TABLE
                                                                : QUERY_FUNCTION_SCALAR);
    engine_cursor_close(cursor);
    engine_close(engine);
}

struct seen {
    size_t at; /* in query_functions: both lists have one order */
    size_t differences;
};

static void compare(void *context, struct lh_str name, enum query_function_kind kind)
{
    struct seen *seen = context;
    if (seen->at < query_function_count) {
        const struct query_function *row = &query_functions[seen->at];
        if (lh_str_equal(lh_str_of(row->name), name) && row->kind == kind) {
            seen->at++;
            return;
        }
    }
    if (query_function_verdict(name, kind) == QUERY_FUNCTION_UNKNOWN) {
        print_error("not reviewed: %.*s\n", LH_ARG(name));
        seen->differences++;
        return;
    }
    print_error("reviewed, but gone or out of order: %s\n", query_functions[seen->at].name);
    seen->differences++;
    seen->at++;
}

static void the_reviewed_list_is_the_engines_own(void **state)
{
    struct seen seen = {0};
    (void)state;
    for_each_function(compare, &seen);
    print_message("%zu functions, %zu differences\n", query_function_count, seen.differences);
    assert_int_equal(seen.differences, 0);
    assert_int_equal(seen.at, query_function_count);
}

static void what_touches_files_and_settings_is_not_allowed(void **state)
{
    static const char *const denied[] = {
        "read_",   "parquet_", "pragma_",      "duckdb_",    "enable_",         "disable_",
        "query",   "glob",     "json_execute", "sniff_",     "current_setting", "getenv",
        "nextval", "which_",   "write_",       "__internal", "pg_get",          "checkpoint"};
    (void)state;
    for (size_t i = 0; i < query_function_count; i++)
        for (size_t j = 0; j < sizeof denied / sizeof denied[0]; j++)
            if (lh_str_starts_with(lh_str_of(query_functions[i].name), lh_str_of(denied[j])) &&
                query_functions[i].verdict == QUERY_FUNCTION_ALLOWED)
                fail_msg("%s is allowed", query_functions[i].name);
}

static void names_are_found_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(query_function_verdict(lh_lit("UPPER"), QUERY_FUNCTION_SCALAR),
                     QUERY_FUNCTION_ALLOWED);
    assert_int_equal(query_function_verdict(lh_lit("upper"), QUERY_FUNCTION_TABLE),
                     QUERY_FUNCTION_UNKNOWN);
    assert_int_equal(query_function_verdict(lh_lit("Read_CSV"), QUERY_FUNCTION_TABLE),
                     QUERY_FUNCTION_FILES);
    for (size_t i = 0; i < query_function_count; i++)
        assert_int_equal(
            query_function_verdict(lh_str_of(query_functions[i].name), query_functions[i].kind),
            query_functions[i].verdict);
}

static void print_row(void *context, struct lh_str name, enum query_function_kind kind)
{
    static const char *const verdicts[] = {"UNREVIEWED", "ALLOWED",  "FILES",    "STRINGS",
                                           "CATALOG",    "SETTINGS", "INTERNAL", "WAITS"};
    (void)context;
    printf("QUERY_FUNCTION_ROW(\"%.*s\", %s, %s)\n", LH_ARG(name),
           kind == QUERY_FUNCTION_TABLE ? "TABLE" : "SCALAR",
           verdicts[query_function_verdict(name, kind)]);
}

static int print_table(void)
{
    puts(
        "/* QUERY_FUNCTION_ROW(name, kind, verdict): every function of the pinned engine, in lower "
        "case, in\n * bytewise order, each looked at by a person. A test fails when the engine's "
        "own list differs; it\n * prints the new table with --print, where new functions stand as "
        "UNREVIEWED, which does not\n * compile until somebody decided. */");
    for_each_function(print_row, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reviewed_list_is_the_engines_own),
        cmocka_unit_test(what_touches_files_and_settings_is_not_allowed),
        cmocka_unit_test(names_are_found_in_any_case),
    };
    if (argc == 2 && strcmp(argv[1], "--print") == 0)
        return print_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
