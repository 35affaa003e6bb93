/* A2: what deleting one row writes, and how that grows from 100,000 rows to 10,000,000: everything
 * that lies in the data folder afterwards and did not before, manifest, tombstones and journal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define SMALL 100000
#define LARGE 10000000
#define DELETES 9

static void make_rows(struct bench_http *http, const char *dataset, int rows)
{
    char *csv = malloc((size_t)rows * 24 + 16);
    if (!csv)
        bench_die("There is no memory for %d rows.", rows);
    size_t len = (size_t)sprintf(csv, "id,name\n");
    for (int i = 0; i < rows; i++)
        len += (size_t)sprintf(csv + len, "%d,name %d\n", i, i % 1000);
    bench_http_ingest(http, dataset, "create", "rows.csv", csv, len);
    free(csv);
}

static double folder_bytes(const char *folder)
{
    char command[512];
    double bytes = -1;
    snprintf(command, sizeof command,
             "find '%s' -type f ! -name _reserve -printf '%%s\\n' | awk '{s+=$1} END {print s}'",
             folder);
    FILE *pipe = popen(command, "r");
    if (!pipe || fscanf(pipe, "%lf", &bytes) != 1)
        bench_die("The size of the data folder cannot be told.");
    pclose(pipe);
    return bytes;
}

static double delete_one(struct bench_http *http, const char *folder, const char *dataset, int id)
{
    char path[128], body[128];
    double before = folder_bytes(folder);
    snprintf(path, sizeof path, "/catalog/datasets/by-name/%s/tombstone", dataset);
    int len =
        snprintf(body, sizeof body, "{\"row_key_column\": \"id\", \"row_key_values\": [%d]}", id);
    bench_http_send(http, "POST", path, "application/json", body, (size_t)len, 200);
    return folder_bytes(folder) - before;
}

int main(void)
{
    char folder[128], detail[160];
    struct bench_server server;
    struct bench_http http;
    double small[DELETES], large[DELETES];
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    make_rows(&http, "small", SMALL);
    make_rows(&http, "large", LARGE);
    for (int i = 0; i < DELETES; i++) {
        small[i] = delete_one(&http, folder, "small", 77 + i * 1111);
        large[i] = delete_one(&http, folder, "large", 77 + i * 111111);
    }
    double small_bytes = bench_median(small, DELETES), large_bytes = bench_median(large, DELETES);
    snprintf(detail, sizeof(detail), "of 100,000 rows %.0f bytes, of 10,000,000 %.0f bytes",
             small_bytes, large_bytes);
    bool is_met = bench_report("A2", "one-row delete: bytes written, 10M rows", large_bytes,
                               large[1], large[DELETES - 2], "bytes", 4096, true, detail);
    double growth = large_bytes / small_bytes - 1;
    is_met = bench_report("A2", "growth from 100,000 to 10M rows", growth, growth, growth, "", 0.05,
                          true, "the positions of later rows are larger numbers") &&
             is_met;
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    return is_met ? 0 : 1;
}
