#include "raw.h"

#include <stdio.h>
#include <string.h>

void raw_open(struct raw_engine *raw)
{
    if (duckdb_open(NULL, &raw->database) != DuckDBSuccess ||
        duckdb_connect(raw->database, &raw->connection) != DuckDBSuccess)
        bench_die("the engine does not open");
    raw_run(raw, "SET parquet_metadata_cache = true");
    raw_run(raw, "SET validate_external_file_cache = 'NO_VALIDATION'");
    raw_run(raw, "SET TimeZone = 'UTC'");
}

void raw_close(struct raw_engine *raw)
{
    duckdb_disconnect(&raw->connection);
    duckdb_close(&raw->database);
}

void raw_run(struct raw_engine *raw, const char *sql)
{
    duckdb_result result;
    if (duckdb_query(raw->connection, sql, &result) != DuckDBSuccess)
        bench_die("%s: %s", sql, duckdb_result_error(&result));
    duckdb_destroy_result(&result);
}

void raw_compare(struct raw_engine *raw, struct bench_http *http, const char *sql,
                 const char *raw_sql)
{
    duckdb_result result;
    if (duckdb_query(raw->connection, raw_sql, &result) != DuckDBSuccess)
        bench_die("%s", duckdb_result_error(&result));
    char *expected = duckdb_value_varchar(&result, 0, 0);
    bench_http_sql(http, sql);
    if (!expected || !expected[0] || !strstr(http->body, expected))
        bench_die("the sides do not agree: %s against %s", expected, http->body);
    duckdb_free(expected);
    duckdb_destroy_result(&result);
}

void raw_prepare(struct raw_engine *raw, const char *sql, struct raw_statement *ret)
{
    if (duckdb_prepare(raw->connection, sql, &ret->prepared) != DuckDBSuccess)
        bench_die("%s: %s", sql, duckdb_prepare_error(ret->prepared));
}

uint64_t raw_fetch(struct raw_statement *statement)
{
    duckdb_result result;
    uint64_t rows = 0;
    if (duckdb_execute_prepared(statement->prepared, &result) != DuckDBSuccess)
        bench_die("%s", duckdb_result_error(&result));
    for (;;) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (!chunk)
            break;
        rows += duckdb_data_chunk_get_size(chunk);
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&result);
    return rows;
}

void raw_release(struct raw_statement *statement)
{
    duckdb_destroy_prepare(&statement->prepared);
}

void raw_view(struct raw_engine *raw, const char *folder, struct bench_http *http,
              const char *dataset)
{
    char path[256];
    char sql[1024];
    snprintf(path, sizeof(path), "/catalog/datasets/by-name/%s", dataset);
    bench_http_send(http, "GET", path, NULL, "", 0, 200);
    const char *id = strstr(http->body, "\"id\":\"");
    if (!id)
        bench_die("dataset %s has no id: %s", dataset, http->body);
    snprintf(sql, sizeof(sql),
             "CREATE VIEW %s AS SELECT * FROM read_parquet('%s/datasets/%.36s/*.parquet')", dataset,
             folder, id + strlen("\"id\":\""));
    raw_run(raw, sql);
}
