/* Rows that a statement leaves out: sets of them, known to SQL by a number.
 *
 *   engine_filter_add ─▶ … FROM read_parquet([…]) WHERE __lh_keep(7, file_index, file_row_number)
 *                                                          └─▶ keep(), once per chunk
 *
 * The function's arguments are the reader's own virtual columns: the place of the file in its list,
 * and of the row in the file. A statement that names a number which is not there (any more) fails.
 *
 * Threads: any may add and remove; keep() runs on engine threads, several at a time. Whoever adds a
 * filter keeps it until no statement that names it runs.
 */
#ifndef LAKEHOUSE_ENGINE_FILTER_H
#define LAKEHOUSE_ENGINE_FILTER_H

#include "base/error.h"

struct engine;

#define ENGINE_FILTER_FUNCTION "__lh_keep"

struct engine_filter {
    /* Sets ret[i] for every row that stays: row rows[i] of file files[i]. */
    void (*keep)(const void *context, const uint64_t *files, const int64_t *rows, size_t count,
                 bool *ret);
    const void *context;
};

/* *ret is never 0 and never comes again. */
enum lh_code engine_filter_add(struct engine *engine, const struct engine_filter *filter,
                               uint64_t *ret, struct lh_error *err) LH_MUST_USE;
void engine_filter_remove(struct engine *engine, uint64_t number); /* 0 is fine */

#endif
