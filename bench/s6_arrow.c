/* S6: rows as an Arrow stream, against memcpy of as many bytes; seconds of the thread's processor
 * time. Both write into the same 64 MB over and over; memcpy reads from another 64 MB, we from what
 * the engine returns of a table in memory. Ours is the time to fetch and write less the time to
 * fetch alone: memcpy runs no query. With the query is printed beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

#define BLOCK_BYTES ((size_t)64 << 20)

static const char make_table[] =
    "CREATE TABLE mixed AS SELECT range AS id, (hash(range) % 97)::INTEGER AS grp, "
    "'name ' || (hash(range + 1) % 50000) AS name, (hash(range + 2) % 1000000) / 1e4 AS score, "
    "((hash(range + 3) % 10000000) / 100)::DECIMAL(12,2) AS amount, "
    "hash(range + 5) / 18446744073709551616.0 AS part, hash(range) % 3 = 0 AS flag, "
    "DATE '2020-01-01' + (hash(range) % 2000)::INTEGER AS day, "
    "TIMESTAMP '2024-01-01' + to_microseconds((hash(range + 6) % 100000000000)::BIGINT) AS moment "
    "FROM range(2000000)";

static struct rows rows;
static char *source;

struct side {
    const char *sql;
    size_t bytes; /* memcpy's; 0: ours */
};

static double run_side(void *context)
{
    const struct side *side = context;
    double start = bench_cpu_now();
    for (size_t left = side->bytes; left;) {
        size_t part = left < BLOCK_BYTES ? left : BLOCK_BYTES;
        memcpy(rows.target, source, part);
        left -= part;
    }
    if (side->bytes)
        return bench_cpu_now() - start;
    (void)rows_encode(&rows, "arrow", side->sql, NULL);
    double encoded = bench_cpu_now();
    (void)rows_fetch(&rows, side->sql);
    return (encoded - start) - (bench_cpu_now() - encoded);
}

static struct bench_ratio compare(const char *sql, char *detail, size_t size)
{
    struct rows_sent sent = rows_encode(&rows, "arrow", sql, NULL);
    struct side mine = {sql, 0}, copy = {sql, sent.bytes};
    struct bench_side ours = {"ours", run_side, &mine}, theirs = {"memcpy", run_side, &copy};
    struct bench_ratio ratio = bench_compare(theirs, ours, BENCH_ROUNDS);
    double from = bench_cpu_now();
    (void)rows_fetch(&rows, sql);
    double fetch = bench_cpu_now() - from;
    snprintf(detail, size,
             "%.0f MB in %.1f ms = %.2f GB/s; memcpy %.1f ms = %.2f GB/s; the engine's part is "
             "another %.1f ms, with it %.2f×",
             (double)sent.bytes / 1e6, ratio.b_seconds * 1e3,
             (double)sent.bytes / ratio.b_seconds / 1e9, ratio.a_seconds * 1e3,
             (double)sent.bytes / ratio.a_seconds / 1e9, fetch * 1e3,
             ratio.a_seconds / (ratio.b_seconds + fetch));
    return ratio;
}

int main(void)
{
    char detail[512];
    bench_machine();
    rows_open(&rows, 1, BLOCK_BYTES);
    source = malloc(BLOCK_BYTES);
    if (!source)
        bench_die("no memory");
    memset(source, 7, BLOCK_BYTES);
    (void)rows_execute(&rows, make_table);
    struct side copy = {NULL, BLOCK_BYTES * 4};
    struct bench_side same = {"memcpy", run_side, &copy};
    struct bench_ratio noise = bench_compare(same, same, 7);
    printf("noise: A/A %.3f [%.3f … %.3f]\n", noise.median, noise.low, noise.high);
    struct bench_ratio ratio = compare(
        "SELECT id, score, amount, part, moment, grp, day FROM mixed", detail, sizeof(detail));
    bool is_met = bench_report("S6", "Arrow out, memcpy / ours", ratio.median, ratio.low,
                               ratio.high, "×", 0.6, false, detail);
    ratio = compare("FROM mixed", detail, sizeof(detail));
    (void)bench_report("S6t", "  with texts and booleans", ratio.median, ratio.low, ratio.high, "×",
                       0.6, false, detail);
    free(source);
    rows_close(&rows);
    return is_met ? 0 : 1;
}
