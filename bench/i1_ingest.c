/* I1: a CSV over HTTP until its dataset is committed (SHA-256, content hash, personal-data marks,
 * manifest, everything durable), against `cp`, `sha256sum`, the engine's own CSV → Parquet COPY and
 * an fsync, one after the other. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raw.h"

#define ROW_COUNT 1000000
/* Every column, in no order: doubles are summed as whole numbers. */
#define SUMS                                                                                       \
    "SELECT concat_ws('|', count(*), sum(id), sum(length(name)), count(DISTINCT city), "           \
    "sum(round(amount * 100)::BIGINT), sum(round(score * 10000)::BIGINT), max(day), "              \
    "sum(length(note)))"

struct sides {
    struct bench_http http;
    struct raw_engine raw;
    char folder[128];
    char *csv;
    size_t csv_bytes;
    int number;
};

static double run_ours(void *context)
{
    struct sides *sides = context;
    double start = bench_now();
    bench_http_ingest(&sides->http, "facts", "replace", "facts.csv", sides->csv, sides->csv_bytes);
    return bench_now() - start;
}

static double run_tools(void *context)
{
    struct sides *sides = context;
    char sql[1024];
    char parquet[256];
    double start = bench_now();
    int number = sides->number++;
    if (bench_shell("cp '%s/source.csv' '%s/copy-%d.csv' && sha256sum '%s/copy-%d.csv' >/dev/null",
                    sides->folder, sides->folder, number, sides->folder, number))
        bench_die("cp or sha256sum failed");
    snprintf(parquet, sizeof(parquet), "%s/out-%d.parquet", sides->folder, number);
    snprintf(sql, sizeof(sql), "COPY (FROM read_csv('%s/copy-%d.csv')) TO '%s' (FORMAT parquet)",
             sides->folder, number, parquet);
    raw_run(&sides->raw, sql);
    int fd = open(parquet, O_RDONLY);
    if (fd < 0 || fsync(fd))
        bench_die("fsync failed");
    close(fd);
    double took = bench_now() - start;
    if (bench_shell("rm '%s/copy-%d.csv' '%s'", sides->folder, number, parquet))
        bench_die("rm failed");
    return took;
}

static void make_csv(struct sides *sides)
{
    sides->csv = malloc((size_t)ROW_COUNT * 96);
    if (!sides->csv)
        bench_die("no memory");
    char *at = sides->csv + sprintf(sides->csv, "id,name,city,amount,score,day,note\n");
    for (unsigned row = 0; row < ROW_COUNT; row++) {
        unsigned mixed = row * 2654435761u;
        at += sprintf(at, "%u,name %u,city %u,%u.%02u,0.%04u,2024-%02u-%02u,\"note, %u\"\n", row,
                      mixed % 50000, mixed % 300, mixed % 9999, row % 100, mixed % 10000,
                      1 + mixed % 12, 1 + row % 28, mixed % 1000);
    }
    sides->csv_bytes = (size_t)(at - sides->csv);
    char path[256];
    snprintf(path, sizeof(path), "%s/source.csv", sides->folder);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(sides->csv, 1, sides->csv_bytes, file) != sides->csv_bytes || fclose(file))
        bench_die("%s cannot be written", path);
}

int main(void)
{
    char lake[128];
    struct bench_server server;
    static struct sides sides;
    bench_machine();
    bench_temp_folder(lake, sizeof(lake));
    bench_temp_folder(sides.folder, sizeof(sides.folder));
    bench_server_start(&server, lake);
    bench_http_open(&sides.http, server.port);
    raw_open(&sides.raw);
    make_csv(&sides);
    struct bench_side ours = {"ours", run_ours, &sides};
    struct bench_side tools = {"cp + sha256sum + COPY + fsync", run_tools, &sides};
    struct bench_ratio ratio = bench_compare(ours, tools, 7);
    char raw_sql[1024];
    snprintf(raw_sql, sizeof(raw_sql), SUMS " FROM read_csv('%s/source.csv')", sides.folder);
    raw_compare(&sides.raw, &sides.http, SUMS " FROM facts", raw_sql);
    char detail[160];
    snprintf(detail, sizeof(detail), "%.0f MB of CSV, %d rows: ours %.2f s, tools %.2f s",
             (double)sides.csv_bytes / 1e6, ROW_COUNT, ratio.a_seconds, ratio.b_seconds);
    bool is_met = bench_report("I1", "CSV over HTTP → committed / cp, sha256sum, COPY, fsync",
                               ratio.median, ratio.low, ratio.high, "×", 1.5, true, detail);
    bench_http_close(&sides.http);
    raw_close(&sides.raw);
    bench_server_stop(&server);
    bench_remove_folder(lake);
    bench_remove_folder(sides.folder);
    free(sides.csv);
    return is_met ? 0 : 1;
}
