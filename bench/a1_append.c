/* A1: appending 10,000 rows of 768 floats until it is durable, against writing the same bytes to a
 * file and fdatasync. Ours takes an NPY over HTTP, checks it, hashes it, writes Parquet, publishes
 * a version; the rows are read back at the end. Opponent's file is new each time, too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"
#include "vectors.h"

#define ROWS ((size_t)10000)
#define ROUNDS 7

struct sides {
    struct bench_http http;
    char folder[128];
    char *npy;
    size_t bytes, appended;
    int number;
};

static double append(void *context)
{
    struct sides *sides = context;
    double start = bench_now();
    bench_http_ingest(&sides->http, "rows", "append", "rows.npy", sides->npy, sides->bytes);
    sides->appended += ROWS;
    return bench_now() - start;
}

static double write_raw(void *context)
{
    struct sides *sides = context;
    char path[256];
    snprintf(path, sizeof path, "%s/%d", sides->folder, sides->number++);
    double start = bench_now();
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    size_t done = 0;
    while (fd >= 0 && done < sides->bytes) {
        ssize_t some = write(fd, sides->npy + done, sides->bytes - done);
        if (some <= 0)
            bench_die("a file cannot be written");
        done += (size_t)some;
    }
    if (fd < 0 || fdatasync(fd))
        bench_die("a file cannot be synced");
    double seconds = bench_now() - start;
    close(fd);
    unlink(path);
    return seconds;
}

/* The head is of 128 bytes: the format wants a multiple of 64. */
static void make_npy(struct sides *sides)
{
    struct vectors set;
    char head[128];
    size_t numbers = ROWS * VECTORS_DIMENSIONS * sizeof(float);
    vectors_make(VECTORS_GAUSSIAN, ROWS, &set);
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    int length = snprintf(head + 10, sizeof head - 10,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", ROWS,
                          VECTORS_DIMENSIONS);
    head[10 + length] = ' ';
    head[sizeof head - 1] = '\n';
    sides->bytes = sizeof head + numbers;
    sides->npy = malloc(sides->bytes);
    if (!sides->npy)
        bench_die("no memory");
    memcpy(sides->npy, head, sizeof head);
    memcpy(sides->npy + sizeof head, set.rows, numbers);
    vectors_release(&set);
}

int main(void)
{
    char lake[128], detail[160];
    struct bench_server server;
    static struct sides sides;
    bench_machine();
    bench_temp_folder(lake, sizeof lake);
    bench_temp_folder(sides.folder, sizeof sides.folder);
    bench_server_start(&server, lake);
    bench_http_open(&sides.http, server.port);
    make_npy(&sides);
    bench_http_ingest(&sides.http, "rows", "create", "rows.npy", sides.npy, sides.bytes);
    sides.appended = ROWS;
    struct bench_ratio ratio =
        bench_compare((struct bench_side){"append", append, &sides},
                      (struct bench_side){"write + fdatasync", write_raw, &sides}, ROUNDS);
    bench_http_sql(&sides.http, "SELECT count(*) AS n FROM rows");
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%zu", sides.appended);
    if (!strstr(sides.http.body, wanted))
        bench_die("rows are missing: %.200s", sides.http.body);
    snprintf(detail, sizeof detail, "%.1f MB: append %.1f ms, write + fdatasync %.1f ms",
             (double)sides.bytes / 1e6, ratio.a_seconds * 1e3, ratio.b_seconds * 1e3);
    bool is_met = bench_report("A1", "10,000 × 768 appended over HTTP, durable / write + fdatasync",
                               ratio.median, ratio.low, ratio.high, "×", 1.3, true, detail);
    bench_http_close(&sides.http);
    bench_server_stop(&server);
    bench_remove_folder(lake);
    bench_remove_folder(sides.folder);
    free(sides.npy);
    return is_met ? 0 : 1;
}
