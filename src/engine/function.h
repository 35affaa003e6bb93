/* Functions of the lakehouse inside SQL: tables that are computed when a statement reads them.
 *
 *   bind (the statement is prepared)  →  start (it begins to run)  →  next, next, …  →  free_scan
 *         says the columns                pins what will be read       fills chunks
 *
 * A prepared statement binds once and starts many times; so whatever may change in between is
 * pinned in start, never in bind. Callbacks run on engine threads, one at a time per scan; several
 * statements may scan at once, so `context` must bear that. Errors they return end the statement
 * with that very error.
 */
#ifndef LAKEHOUSE_ENGINE_FUNCTION_H
#define LAKEHOUSE_ENGINE_FUNCTION_H

#include "base/cancel.h"
#include "engine/vector.h"

struct engine;       /* engine.h */
struct engine_bind;  /* what a bind callback may ask and say */
struct engine_scan;  /* one running read: asked by start and next */
struct engine_write; /* where next puts its rows */

struct engine_argument {
    const char *name; /* NULL: positional, required, in order; else `name := value`, optional */
    enum engine_type type;
    bool is_list; /* a list of that type */
};

struct engine_table_function {
    const char *name;
    const struct engine_argument *arguments;
    size_t argument_count;
    void *context; /* outlives the engine */
    enum lh_code (*bind)(void *context, struct engine_bind *bind, void **ret_bound,
                         struct lh_error *err);
    enum lh_code (*start)(void *context, void *bound, struct engine_scan *scan, void **ret_state,
                          struct lh_error *err);
    /* Writes at most ENGINE_CHUNK_ROWS rows; *ret_rows = 0 is the end. */
    enum lh_code (*next)(void *context, void *bound, void *state, struct engine_scan *scan,
                         struct engine_write *write, size_t *ret_rows, struct lh_error *err);
    void (*free_bound)(void *bound); /* may be NULL; so may bound and state */
    void (*free_state)(void *state);
};

/* Makes the function known to every connection. Names are global: LH_EXISTS if it is taken. */
enum lh_code engine_register_table(struct engine *engine,
                                   const struct engine_table_function *function,
                                   struct lh_error *err) LH_MUST_USE;

/* --- in bind */
bool engine_bind_has(const struct engine_bind *bind, size_t argument); /* given and not NULL */
int64_t engine_bind_int(const struct engine_bind *bind, size_t argument);
double engine_bind_double(const struct engine_bind *bind, size_t argument);
bool engine_bind_bool(const struct engine_bind *bind, size_t argument);
struct lh_str engine_bind_str(const struct engine_bind *bind,
                              size_t argument); /* lives as long as bind */
size_t engine_bind_list_count(const struct engine_bind *bind, size_t argument);
void engine_bind_list_doubles(const struct engine_bind *bind, size_t argument,
                              double *ret); /* count of them */
struct lh_str engine_bind_list_str(const struct engine_bind *bind, size_t argument, size_t item);
void engine_bind_column(struct engine_bind *bind, struct lh_str name, enum engine_type type,
                        bool is_list);
void engine_bind_rows(struct engine_bind *bind,
                      int64_t row_count); /* what the planner may expect */

/* --- in start and next */
const struct lh_cancel *
engine_scan_cancel(const struct engine_scan *scan); /* NULL: cannot be stopped */
size_t engine_scan_column_count(
    const struct engine_scan *scan); /* only these are written, in this order: */
size_t engine_scan_column(const struct engine_scan *scan,
                          size_t at); /* its index as bind named it */

/* --- in next; `at` counts the scan's columns */
void *engine_write_data(struct engine_write *write, size_t at); /* array of the storage type */
void engine_write_null(struct engine_write *write, size_t at, size_t row);
void engine_write_str(struct engine_write *write, size_t at, size_t row,
                      struct lh_str value); /* copies */
void engine_write_floats(struct engine_write *write, size_t at, size_t row, const float *values,
                         size_t count);
void engine_write_doubles(struct engine_write *write, size_t at, size_t row, const double *values,
                          size_t count);
void engine_write_strs(struct engine_write *write, size_t at, size_t row,
                       const struct lh_str *values, size_t count);

#endif
