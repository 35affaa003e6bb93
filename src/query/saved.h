/* Saved queries: statements with a name, kept in the lake, run with named parameters.
 *
 * Every save is a version: `_catalog/queries/<name>.<20-digit version>.json`, written exclusively
 * and never changed; removing one writes a version that says so, and the numbers go on. What a name
 * means is its newest version. Names are as those of datasets ([A-Za-z_][A-Za-z0-9_]{0,62},
 * compared without regard to case), with a space of their own.
 *
 * Threads: any thread may call anything; reading takes a read lock for a look-up in memory, saving
 * and removing write to the disk and are durable when they return.
 */
#ifndef LAKEHOUSE_QUERY_SAVED_H
#define LAKEHOUSE_QUERY_SAVED_H

#include <jansson.h>

#include "base/field.h"

struct storage;
struct storage_findings;
struct query_saved; /* opaque; made by query_saved_open, ended by query_saved_close */

#define QUERY_SAVED_MAX 10000
#define QUERY_SAVED_NAME_BYTES_MAX 63

/* Reads all of them. Storage is borrowed, and open for writing. One whose newest version cannot be
 * read answers LH_DAMAGED until it is saved anew or removed; query_saved_damaged counts them. */
enum lh_code query_saved_open(struct storage *storage, struct query_saved **ret,
                              struct lh_error *err) LH_MUST_USE;
void query_saved_close(struct query_saved *saved); /* NULL is fine */
size_t query_saved_damaged(struct query_saved *saved);

struct query_saved_query {
    struct lh_str name; /* as it was written */
    struct lh_str description;
    struct lh_str sql;
    struct lh_str_list parameters; /* names, in the order of the statement */
    struct lh_json_value defaults; /* an object; what is in it need not be given. Going in it is the
                                      value that counts, coming out there is only the text */
    int64_t version;
    struct lh_time saved_at;
    struct lh_str saved_by;
    bool is_removed; /* inside only */
};
extern const struct lh_fields query_saved_fields;

/* LH_INVALID: the name, or a default that no parameter has, or parameters without names. */
enum lh_code query_saved_check(const struct query_saved_query *query,
                               struct lh_error *err) LH_MUST_USE;

/* Saves query->name, which query_saved_check let pass; version and time are given here, everything
 * is copied. `over` is the version that it replaces: 0 for a new name (LH_EXISTS: it is taken), -1
 * for whatever is there (LH_NOT_FOUND: nothing), else exactly that one (LH_PRECONDITION).
 * LH_TOO_LARGE: there are QUERY_SAVED_MAX; LH_RACE: somebody else was first; LH_IO, LH_FULL,
 * LH_UNKNOWN. *ret in `arena`. */
enum lh_code query_saved_put(struct query_saved *saved, const struct query_saved_query *query,
                             int64_t over, struct lh_arena *arena, struct query_saved_query *ret,
                             struct lh_error *err) LH_MUST_USE;
/* `over` as above, from -1. */
enum lh_code query_saved_remove(struct query_saved *saved, struct lh_str name, int64_t over,
                                struct lh_str actor, struct lh_error *err) LH_MUST_USE;

/* In the order of their names, those behind `after` (absent = from the first); *ret_next absent at
 * the end. Copied into `arena`, as what query_saved_get returns. */
void query_saved_list(struct query_saved *saved, struct lh_str after, size_t limit,
                      struct lh_arena *arena, struct query_saved_query **ret, size_t *ret_count,
                      struct lh_str *ret_next);
/* LH_NOT_FOUND with the nearest name; LH_DAMAGED. */
enum lh_code query_saved_get(struct query_saved *saved, struct lh_str name, struct lh_arena *arena,
                             struct query_saved_query *ret, struct lh_error *err) LH_MUST_USE;

/* The values for one run: the defaults and over them those given (an object, or NULL), one for each
 * parameter; lives in `arena`. LH_INVALID names what is missing or unknown. */
enum lh_code query_saved_values(const struct query_saved_query *query, const json_t *given,
                                struct lh_arena *arena, const json_t **ret,
                                struct lh_error *err) LH_MUST_USE;

/* --- offline */

/* Looks at every record of a lake that nobody has open; *ret_count is how many names there are.
 * Findings are the result, not a failure. */
enum lh_code query_saved_verify(struct storage *storage, struct storage_findings *findings,
                                int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

#endif
