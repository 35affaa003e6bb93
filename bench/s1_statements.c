/* S1: repeated statements of 5 ms and more over HTTP, against the engine's C API with prepared
 * statements over the same Parquet files; the worst ratio of the statements counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

#define ROW_COUNT 2000000

static const char *const statements[] = {
    "SELECT grp, sum(amount) AS total, round(avg(score), 6) AS score FROM facts GROUP BY grp "
    "ORDER BY grp",
    "SELECT count(DISTINCT name) FROM facts WHERE score > 0.5",
    "SELECT d.label, count(*) AS n, max(f.amount) AS most FROM facts f JOIN kinds d ON d.id = "
    "f.grp "
    "GROUP BY d.label ORDER BY n DESC, d.label",
    "SELECT id, name, row_number() OVER (PARTITION BY grp ORDER BY score DESC) AS place FROM facts "
    "QUALIFY place = 1 ORDER BY id LIMIT 20",
};
#define STATEMENT_COUNT (sizeof(statements) / sizeof(statements[0]))

struct sides {
    struct bench_http http;
    struct raw_statement raw;
    const char *sql;
};

static double run_ours(void *context)
{
    struct sides *sides = context;
    double start = bench_now();
    bench_http_sql(&sides->http, sides->sql);
    return bench_now() - start;
}

static double run_raw(void *context)
{
    struct sides *sides = context;
    double start = bench_now();
    (void)raw_fetch(&sides->raw);
    return bench_now() - start;
}

static void ingest_file(struct bench_http *http, const char *dataset, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        bench_die("%s cannot be read", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size);
    if (!bytes || fread(bytes, 1, size, file) != size)
        bench_die("%s cannot be read", path);
    fclose(file);
    bench_http_ingest(http, dataset, "replace", "rows.parquet", bytes, size);
    free(bytes);
}

/* Generated rows, the same on both sides because both read the files that ours wrote. */
static void make_data(struct raw_engine *raw, struct bench_http *http, const char *folder)
{
    char sql[1024];
    char path[256];
    snprintf(path, sizeof(path), "%s-facts.parquet", folder);
    snprintf(sql, sizeof(sql),
             "COPY (SELECT range AS id, (hash(range) %% 97)::INTEGER AS grp, "
             "'name ' || (hash(range + 1) %% 50000) AS name, "
             "((hash(range + 2) %% 100000) / 100)::DECIMAL(10,2) AS amount, "
             "(hash(range + 3) %% 1000000) / 1e6 AS score FROM range(%d)) TO '%s' (FORMAT parquet)",
             ROW_COUNT, path);
    raw_run(raw, sql);
    ingest_file(http, "facts", path);
    remove(path);
    snprintf(path, sizeof(path), "%s-kinds.parquet", folder);
    snprintf(sql, sizeof(sql),
             "COPY (SELECT range::INTEGER AS id, 'kind ' || range %% 20 AS label FROM range(97)) "
             "TO '%s' (FORMAT parquet)",
             path);
    raw_run(raw, sql);
    ingest_file(http, "kinds", path);
    remove(path);
}

/* The first cell of both sides must be the same, or the time means nothing. */
static void check_same(struct sides *sides, struct raw_engine *raw)
{
    char sql[2048];
    duckdb_result result;
    snprintf(sql, sizeof(sql), "SELECT count(*), sum(hash(t)::HUGEINT)::VARCHAR FROM (%s) t",
             sides->sql);
    bench_http_sql(&sides->http, sql);
    if (duckdb_query(raw->connection, sql, &result) != DuckDBSuccess)
        bench_die("%s", duckdb_result_error(&result));
    char *sum = duckdb_value_varchar(&result, 1, 0);
    if (!sum || !strstr(sides->http.body, sum))
        bench_die("the two sides disagree about: %s\n%s", sides->sql, sides->http.body);
    duckdb_free(sum);
    duckdb_destroy_result(&result);
}

int main(void)
{
    char folder[128];
    struct bench_server server;
    struct raw_engine raw;
    struct sides sides;
    struct bench_ratio worst = {.median = 0};
    char detail[512] = "";
    size_t used = 0;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&sides.http, server.port);
    raw_open(&raw);
    make_data(&raw, &sides.http, folder);
    raw_view(&raw, folder, &sides.http, "facts");
    raw_view(&raw, folder, &sides.http, "kinds");
    for (size_t at = 0; at < STATEMENT_COUNT; at++) {
        sides.sql = statements[at];
        check_same(&sides, &raw);
        raw_prepare(&raw, sides.sql, &sides.raw);
        struct bench_side ours = {"ours", run_ours, &sides};
        struct bench_side theirs = {"raw", run_raw, &sides};
        if (at == 0) {
            struct bench_ratio noise = bench_compare(theirs, theirs, 7);
            printf("noise: A/A %.3f [%.3f … %.3f]\n", noise.median, noise.low, noise.high);
        }
        struct bench_ratio ratio = bench_compare(ours, theirs, BENCH_ROUNDS);
        used += (size_t)snprintf(detail + used, sizeof(detail) - used,
                                 "%s%zu: %.1f against %.1f ms = %.3f", used ? "; " : "", at + 1,
                                 ratio.a_seconds * 1e3, ratio.b_seconds * 1e3, ratio.median);
        if (ratio.median > worst.median)
            worst = ratio;
        raw_release(&sides.raw);
    }
    bool is_met = bench_report("S1", "repeated statements ≥ 5 ms, HTTP / raw C API (worst)",
                               worst.median, worst.low, worst.high, "×", 1.3, true, detail);
    bench_http_close(&sides.http);
    raw_close(&raw);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
