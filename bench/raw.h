/* The opponent: the engine through its own C API, with nothing of ours between. */
#ifndef LAKEHOUSE_BENCH_RAW_H
#define LAKEHOUSE_BENCH_RAW_H

#include <duckdb.h>

#include "support.h"

struct raw_engine {
    duckdb_database database;
    duckdb_connection connection;
};
void raw_open(struct raw_engine *raw);
void raw_close(struct raw_engine *raw);
void raw_run(struct raw_engine *raw, const char *sql); /* drops the result; dies on an error */

/* Dies unless the server and the engine answer `sql` (one row, one text) alike. */
void raw_compare(struct raw_engine *raw, struct bench_http *http, const char *sql,
                 const char *raw_sql);

struct raw_statement {
    duckdb_prepared_statement prepared;
};
void raw_prepare(struct raw_engine *raw, const char *sql, struct raw_statement *ret);
/* Runs it, fetches every chunk; returns the rows. */
uint64_t raw_fetch(struct raw_statement *statement);
void raw_release(struct raw_statement *statement);

/* Creates a view of that name over the Parquet files below folder/datasets/<id>. `sql` asks the
 * server which dataset has which id. */
void raw_view(struct raw_engine *raw, const char *folder, struct bench_http *http,
              const char *dataset);

#endif
