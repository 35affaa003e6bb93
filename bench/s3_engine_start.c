/* S3: a short query over Parquet, asked of the running server, against an engine that is started
 * for it: this same program in a child process that opens the engine, runs the statement, prints
 * the rows and ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

#define OURS_PER_RUN 20

static const char sql[] = "SELECT grp, count(*) AS n, sum(amount) AS total FROM facts GROUP BY grp "
                          "ORDER BY n DESC LIMIT 5";

/* The same rows as one text; sums of doubles depend on their order, so as decimals. */
#define SUMS                                                                                       \
    "SELECT string_agg(concat_ws(':', grp, n, total), ',' ORDER BY n DESC, grp) FROM (SELECT "     \
    "grp, count(*) AS n, sum(amount::DECIMAL(18,2)) AS total FROM facts GROUP BY grp)"

struct sides {
    struct bench_http http;
    const char *self;
    char view[1024];
};

static double run_ours(void *context)
{
    struct sides *sides = context;
    double start = bench_now();
    for (int at = 0; at < OURS_PER_RUN; at++)
        bench_http_sql(&sides->http, sql);
    return (bench_now() - start) / OURS_PER_RUN;
}

static double run_started(void *context)
{
    struct sides *sides = context;
    double start = bench_now();
    pid_t pid = fork();
    if (pid == 0) {
        execl(sides->self, sides->self, "--once", sides->view, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        bench_die("the started engine failed");
    return bench_now() - start;
}

/* What the child does. */
static int once(const char *view)
{
    struct raw_engine raw;
    duckdb_result result;
    raw_open(&raw);
    raw_run(&raw, view);
    if (duckdb_query(raw.connection, sql, &result) != DuckDBSuccess)
        bench_die("%s", duckdb_result_error(&result));
    FILE *out = fopen("/dev/null", "w");
    for (idx_t row = 0; out && row < duckdb_row_count(&result); row++) {
        char *value = duckdb_value_varchar(&result, 0, row);
        fprintf(out, "%s\n", value);
        duckdb_free(value);
    }
    if (out)
        fclose(out);
    duckdb_destroy_result(&result);
    raw_close(&raw);
    return 0;
}

int main(int argc, char **argv)
{
    char folder[128];
    char csv_line[64];
    struct bench_server server;
    struct sides sides = {.self = argv[0]};
    if (argc == 3 && strcmp(argv[1], "--once") == 0)
        return once(argv[2]);
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&sides.http, server.port);
    size_t size = 0;
    char *csv = malloc(100000 * sizeof(csv_line));
    if (!csv)
        bench_die("no memory");
    size += (size_t)sprintf(csv, "id,grp,amount\n");
    for (unsigned row = 0; row < 100000; row++)
        size += (size_t)sprintf(csv + size, "%u,%u,%u.%02u\n", row, row * 2654435761u % 40,
                                row % 977, row % 100);
    bench_http_ingest(&sides.http, "facts", "replace", "facts.csv", csv, size);
    free(csv);
    bench_http_send(&sides.http, "GET", "/catalog/datasets/by-name/facts", NULL, "", 0, 200);
    const char *id = strstr(sides.http.body, "\"id\":\"");
    if (!id)
        bench_die("the dataset has no id");
    snprintf(sides.view, sizeof(sides.view),
             "CREATE VIEW facts AS SELECT * FROM read_parquet('%s/datasets/%.36s/*.parquet')",
             folder, id + strlen("\"id\":\""));
    struct raw_engine raw;
    raw_open(&raw);
    raw_run(&raw, sides.view);
    raw_compare(&raw, &sides.http, SUMS, SUMS);
    raw_close(&raw);
    struct bench_side ours = {"ours", run_ours, &sides};
    struct bench_side started = {"engine started per query", run_started, &sides};
    struct bench_ratio ratio = bench_compare(started, ours, BENCH_ROUNDS);
    char detail[128];
    snprintf(detail, sizeof(detail), "started per query %.1f ms, ours over HTTP %.2f ms",
             ratio.a_seconds * 1e3, ratio.b_seconds * 1e3);
    bool is_met = bench_report("S3", "short Parquet query, engine per query / ours", ratio.median,
                               ratio.low, ratio.high, "×", 10, false, detail);
    bench_http_close(&sides.http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
