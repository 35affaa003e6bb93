/* S5: rows as JSON, against the engine's own COPY … (FORMAT json) to /dev/null, both on one thread,
 * both from the same table in memory, scan included; seconds of the thread's processor time, which
 * neighbours on the machine change less than the clock's. Our JSON is a list per row, theirs an
 * object per row: our NDJSON is the same text as theirs but for the rules of types. Doubles with
 * all their 17 digits, which measured data have and stored data seldom, are a claim of their own.
 */
#include <stdio.h>
#include <string.h>

#include "rows.h"

#define ROW_COUNT 400000

static const char make_table[] =
    "CREATE TABLE mixed AS SELECT range AS id, (hash(range) % 97)::INTEGER AS grp, "
    "'name ' || (hash(range + 1) % 50000) AS name, "
    "CASE WHEN range % 10 = 0 THEN NULL ELSE 'A longer text with \"quotes\" here and there, Zoë, ' "
    "|| (hash(range + 2) % 1000000) END AS note, "
    "((hash(range + 3) % 10000000) / 100)::DECIMAL(12,2) AS amount, "
    "(hash(range + 4) % 1000000) / 1e4 AS score, hash(range + 5) / 18446744073709551616.0 AS part, "
    "hash(range) % 3 = 0 AS flag, DATE '2020-01-01' + (hash(range) % 2000)::INTEGER AS day, "
    "TIMESTAMP '2024-01-01' + to_microseconds((hash(range + 6) % 100000000000)::BIGINT) AS moment "
    "FROM range(400000)";

static struct rows rows;

struct side {
    const char *format; /* NULL: the engine's own */
    const char *sql;
};

static double run_side(void *context)
{
    const struct side *side = context;
    char copy[512];
    double start = bench_cpu_now();
    if (side->format) {
        (void)rows_encode(&rows, side->format, side->sql, NULL);
    } else {
        snprintf(copy, sizeof(copy), "COPY (%s) TO '/dev/null' (FORMAT json, USE_TMP_FILE false)",
                 side->sql);
        (void)rows_execute(&rows, copy);
    }
    return bench_cpu_now() - start;
}

/* The engine reads our NDJSON back and finds its table in it. */
static void check_same(void)
{
    char path[256], sql[1024], ours[128], theirs[128];
    bench_temp_folder(path, sizeof(path) - 16);
    snprintf(path + strlen(path), 16, "/rows.ndjson");
    (void)rows_encode(&rows, "ndjson", "FROM mixed", path);
    static const char sum[] =
        "SELECT count(*) || ' ' || sum(hash(id, grp, name, note, amount::DECIMAL(12,2), "
        "score::DOUBLE, part::DOUBLE, flag::BOOLEAN, day::DATE, moment::TIMESTAMP)::HUGEINT) FROM ";
    snprintf(sql, sizeof(sql),
             "%s read_json('%s', format = 'newline_delimited', columns = {id: 'BIGINT', grp: "
             "'INTEGER', name: 'VARCHAR', note: 'VARCHAR', amount: 'VARCHAR', score: 'DOUBLE', "
             "part: 'DOUBLE', flag: 'BOOLEAN', day: 'VARCHAR', moment: 'VARCHAR'})",
             sum, path);
    rows_cell(&rows, sql, ours, sizeof(ours));
    snprintf(sql, sizeof(sql), "%s mixed", sum);
    rows_cell(&rows, sql, theirs, sizeof(theirs));
    if (strcmp(ours, theirs) != 0)
        bench_die("the rows differ: %s against %s", ours, theirs);
    remove(path);
    *strrchr(path, '/') = '\0';
    bench_remove_folder(path);
}

static struct bench_ratio compare(const char *format, const char *sql, char *detail, size_t size)
{
    struct side mine = {format, sql}, engine = {NULL, sql};
    struct bench_side ours = {format, run_side, &mine}, theirs = {"engine", run_side, &engine};
    struct bench_ratio ratio = bench_compare(theirs, ours, BENCH_ROUNDS);
    struct rows_sent sent = rows_encode(&rows, format, sql, NULL);
    double from = bench_cpu_now();
    (void)rows_fetch(&rows, sql);
    double scan = bench_cpu_now() - from;
    snprintf(
        detail, size,
        "%s: %.1f against %.1f ms, %.0f MB/s; the engine's stream of the rows alone takes %.1f",
        format, ratio.b_seconds * 1e3, ratio.a_seconds * 1e3,
        (double)sent.bytes / ratio.b_seconds / 1e6, scan * 1e3);
    return ratio;
}

#define PLAIN "SELECT * EXCLUDE (part) FROM mixed"

int main(void)
{
    char detail[512];
    bench_machine();
    rows_open(&rows, 1, 0);
    (void)rows_execute(&rows, make_table);
    check_same();
    struct side mine = {"json", PLAIN};
    struct bench_side ours = {"ours", run_side, &mine};
    struct bench_ratio noise = bench_compare(ours, ours, 7);
    printf("noise: A/A %.3f [%.3f … %.3f]\n", noise.median, noise.low, noise.high);
    struct bench_ratio json = compare("json", PLAIN, detail, sizeof(detail));
    bool is_met = bench_report("S5", "JSON out, the engine's COPY (FORMAT json) / ours",
                               json.median, json.low, json.high, "×", 6, false, detail);
    json = compare("ndjson", PLAIN, detail, sizeof(detail));
    (void)bench_report("S5n", "  the same as NDJSON", json.median, json.low, json.high, "×", 6,
                       false, detail);
    json = compare("json", "FROM mixed", detail, sizeof(detail));
    (void)bench_report("S5d", "  and a column of doubles of 17 digits", json.median, json.low,
                       json.high, "×", 6, false, detail);
    rows_close(&rows);
    return is_met ? 0 : 1;
}
