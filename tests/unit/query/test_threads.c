/* One query engine, many threads: plans are shared, found, dropped and replaced at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/query_lake.h"

#define THREADS 6
#define STATEMENTS 120

static struct query_lake lake;

static enum lh_code count_bytes(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    *(size_t *)context += bytes.len;
    return LH_OK;
}

static bool run_one(unsigned seed)
{
    static const char *const forms[] = {
        "SELECT %u, count(*) FROM packages", "SELECT max(id) + %u FROM packages p, edges",
        "SELECT (SELECT max(src) FROM edges) AS m, %u", "EXPLAIN SELECT %u FROM odd"};
    const struct query_principal admin = {.is_trusted = true};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    char sql[128];
    size_t bytes = 0;
    snprintf(sql, sizeof sql, forms[seed % 4], seed / 4 % 5);
    struct query_request request = {.sql = lh_str_of(sql)};
    struct query_sink sink = {.context = &bytes, .write = count_bytes};
    enum lh_code code = query_open(lake.query, &admin, &request, NULL, &query, &err);
    if (!code)
        code = query_encode(query, query_encoders[0], NULL, &sink, NULL, &err);
    query_close(query);
    if (code)
        print_error("%s: %s\n", sql, err.message);
    return !code && bytes > 0;
}

static void *work(void *context)
{
    unsigned seed = *(const unsigned *)context * 7919;
    size_t bad = 0;
    for (unsigned i = 0; i < STATEMENTS; i++) {
        seed = seed * 1103515245 + 12345;
        bad += !run_one(seed >> 8);
    }
    return (void *)(uintptr_t)bad;
}

static void statements_of_many_threads_share_plans(void **state)
{
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    (void)state;
    query_lake_open(&lake);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *bad;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_int_equal((uintptr_t)bad, 0);
    }
    struct query_stats stats = query_engine_stats(lake.query);
    assert_int_equal(stats.queries, THREADS * STATEMENTS);
    assert_int_equal(stats.plan_hits + stats.plan_misses, stats.queries);
    assert_true(stats.plan_hits > stats.queries / 2);
    query_lake_close(&lake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(statements_of_many_threads_share_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
