/* Rows of an in-memory table through the query engine and an encoder, in this process: what a
 * format costs without HTTP and files. */
#ifndef LAKEHOUSE_BENCH_ROWS_H
#define LAKEHOUSE_BENCH_ROWS_H

#include "query/encoder.h"
#include "support.h"

struct rows {
    struct engine *engine;
    struct query_engine *query;
    char *target; /* what the encoders write is copied to here, over and over; NULL: nowhere */
    size_t target_bytes;
};

void rows_open(struct rows *rows, unsigned threads, size_t target_bytes);
void rows_close(struct rows *rows);
/* Any statement, outside of the resolver; returns the rows changed or returned. */
int64_t rows_execute(struct rows *rows, const char *sql);
/* The one cell of a statement, as text. */
void rows_cell(struct rows *rows, const char *sql, char *ret, size_t size);

struct rows_sent {
    double seconds; /* from opening the query to the last byte */
    size_t bytes;
    int64_t rows;
};
/* Everything that `sql` (over tables of this engine) returns, in that format; with `path` it is
 * written to that file instead of the target. */
struct rows_sent rows_encode(struct rows *rows, const char *format, const char *sql,
                             const char *path);
/* The same without an encoder: chunks are fetched and dropped. */
struct rows_sent rows_fetch(struct rows *rows, const char *sql);

#endif
