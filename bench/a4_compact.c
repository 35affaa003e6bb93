/* A4: compaction of eight files into one, over HTTP, against cp and fsync of the same files: bytes
 * read and written per second. Of files with large row groups, which are copied; beside it, without
 * a goal of its own, of the same files with a deleted row in each, which are written anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define PARTS 8
#define PART_ROWS 400000

struct part {
    char *bytes;
    size_t len;
};
struct side {
    struct bench_http *http;
    const char *folder;
    struct part parts[PARTS];
    int number;
    bool has_deleted;
    double bytes; /* read and written in one run */
};

static double number_of(const char *json, const char *key)
{
    const char *found = strstr(json, key);
    if (!found)
        bench_die("There is no %s in the reply: %s", key, json);
    return strtod(found + strlen(key), NULL);
}

/* One row of each part. */
static void delete_rows(struct bench_http *http, const char *dataset)
{
    char path[128], body[256];
    size_t len = (size_t)sprintf(body, "{\"row_key_column\": \"id\", \"row_key_values\": [");
    for (int i = 0; i < PARTS; i++)
        len += (size_t)sprintf(body + len, "%s%d", i ? ", " : "", i * PART_ROWS);
    len += (size_t)sprintf(body + len, "]}");
    snprintf(path, sizeof path, "/catalog/datasets/by-name/%s/tombstone", dataset);
    bench_http_send(http, "POST", path, "application/json", body, len, 200);
}

/* A fresh dataset in as many files, whose making is not counted. */
static double compact(void *context)
{
    struct side *side = context;
    char name[32], body[128];
    snprintf(name, sizeof name, "t_%d", side->number++);
    for (int i = 0; i < PARTS; i++)
        bench_http_ingest(side->http, name, i ? "append" : "create", "p.parquet",
                          side->parts[i].bytes, side->parts[i].len);
    if (side->has_deleted)
        delete_rows(side->http, name);
    snprintf(body, sizeof body, "{\"dataset\": \"%s\"}", name);
    double start = bench_now();
    bench_http_send(side->http, "POST", "/query/compact", "application/json", body, strlen(body),
                    200);
    double seconds = bench_now() - start;
    if (number_of(side->http->body, "\"files_after\":") != 1)
        bench_die("It was not compacted: %s", side->http->body);
    side->bytes = number_of(side->http->body, "\"bytes_before\":") +
                  number_of(side->http->body, "\"bytes_after\":");
    snprintf(body, sizeof body, "/catalog/datasets/by-name/%s", name);
    bench_http_send(side->http, "DELETE", body, NULL, NULL, 0, 204);
    return seconds;
}

static double copy(void *context)
{
    struct side *side = context;
    double start = bench_now();
    if (bench_shell("cd %s && for part in part_*; do cp --reflink=never $part copy_$part && "
                    "sync copy_$part || exit 1; done",
                    side->folder))
        bench_die("The files cannot be copied.");
    return bench_now() - start;
}

static void make_part(struct side *side, int index)
{
    char body[512], path[256];
    snprintf(body, sizeof body,
             "{\"sql\": \"SELECT i AS id, i * 2654435761 %% 100000 AS n, "
             "(i * 7 %% 1000) / 8.0 AS d, 'name ' || i * 7919 %% 10007 || ' of the ' || i %% 97 || "
             "' lakes' AS text FROM "
             "range(%d, %d) r(i)\", \"limit\": 10000000, \"format\": \"parquet\"}",
             index * PART_ROWS, (index + 1) * PART_ROWS);
    bench_http_send(side->http, "POST", "/query/sql", "application/json", body, strlen(body), 200);
    struct part *part = &side->parts[index];
    part->len = side->http->body_len;
    part->bytes = malloc(part->len);
    if (!part->bytes)
        bench_die("There is no memory for the files.");
    memcpy(part->bytes, side->http->body, part->len);
    snprintf(path, sizeof path, "%s/part_%d", side->folder, index);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(part->bytes, 1, part->len, file) != part->len || fclose(file))
        bench_die("'%s' cannot be written.", path);
}

int main(void)
{
    char folder[128], files[128], detail[160];
    struct bench_server server;
    struct bench_http http;
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    bench_temp_folder(files, sizeof(files));
    bench_server_start(&server, folder);
    bench_http_open(&http, server.port);
    struct side side = {.http = &http, .folder = files};
    double copied = 0;
    for (int i = 0; i < PARTS; i++) {
        make_part(&side, i);
        copied += 2 * (double)side.parts[i].len;
    }
    struct bench_ratio ratio = bench_compare((struct bench_side){"compaction", compact, &side},
                                             (struct bench_side){"cp + fsync", copy, &side}, 5);
    double share = side.bytes / copied;
    snprintf(detail, sizeof(detail), "%.0f MB/s in and out of %.0f MB, cp + fsync %.0f MB/s",
             side.bytes / ratio.a_seconds / 1e6, side.bytes / 1e6, copied / ratio.b_seconds / 1e6);
    bool is_met =
        bench_report("A4", "compaction / cp + fsync, bytes per second", share / ratio.median,
                     share / ratio.high, share / ratio.low, "×", 0.5, false, detail);
    side.has_deleted = true;
    ratio = bench_compare((struct bench_side){"writing anew", compact, &side},
                          (struct bench_side){"cp + fsync", copy, &side}, 3);
    share = side.bytes / copied;
    printf("     with deleted rows, written anew: %.3f × [%.3f … %.3f], %.0f MB/s\n",
           share / ratio.median, share / ratio.high, share / ratio.low,
           side.bytes / ratio.a_seconds / 1e6);
    for (int i = 0; i < PARTS; i++)
        free(side.parts[i].bytes);
    bench_http_close(&http);
    bench_server_stop(&server);
    bench_remove_folder(folder);
    bench_remove_folder(files);
    return is_met ? 0 : 1;
}
