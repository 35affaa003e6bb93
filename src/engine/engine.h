/* DuckDB behind a door: guarded in-memory instances, pooled connections, streaming cursors, Parquet
 * files. The only module that knows the library; nothing of it shows here.
 *
 *   engine_open ─▶ engine_acquire ─▶ engine_run ─▶ engine_cursor_next … ─▶ engine_cursor_close
 *                                                                              └─▶ engine_release
 *
 * Guarded: no extension is installed or loaded by itself, the time zone is UTC, the configuration
 * is locked, memory, threads and temporary space are bounded. It is not a security boundary: what
 * may run is decided above, by the resolver. A connection carries one open cursor at most.
 *
 * Stopping: each call that takes a cancel token returns soon after it fires (a watchdog repeats the
 * interrupt until the statement has ended) with the token's reason.
 * Errors: LH_SYNTAX (cannot be parsed), LH_SQL (unknown names, types, values), LH_BUSY (memory),
 * LH_FULL (temporary space), LH_IO, LH_UNREADABLE (a file is not what it should be), LH_CANCELLED /
 * LH_TIMEOUT / LH_STOPPING; err->position is the byte of `sql` it speaks of. Messages carry no path
 * of the machine. Threads: an engine is shared; a connection and its cursor belong to one thread at
 * a time.
 */
#ifndef LAKEHOUSE_ENGINE_ENGINE_H
#define LAKEHOUSE_ENGINE_ENGINE_H

#include "base/cancel.h"
#include "engine/ast.h"
#include "engine/vector.h"

struct engine;            /* one instance; opened by engine_open, ended by engine_close */
struct engine_connection; /* taken by engine_acquire, given back by engine_release */
struct engine_cursor;     /* a running statement; ended by engine_cursor_close */

struct engine_options {
    int64_t memory_bytes;    /* 0: three quarters of the machine's */
    unsigned thread_count;   /* 0: as many as there are processors */
    unsigned connection_max; /* 0: 32; at most ENGINE_CONNECTIONS_MAX */
    struct lh_str temp_path; /* where what does not fit in memory goes; absent: nowhere */
    int64_t temp_bytes; /* most of it; 0: the library's own bound (nine tenths of what is free) */
};

#define ENGINE_CONNECTIONS_MAX 256
#define ENGINE_STATEMENTS_MAX 64 /* prepared statements that a connection remembers */
/* … and all of them together, but that each may have a few: one is some 20 KB. */
#define ENGINE_STATEMENTS_TOTAL 256
#define ENGINE_STATEMENTS_LEAST 4

enum lh_code engine_open(const struct engine_options *options, struct engine **ret,
                         struct lh_error *err) LH_MUST_USE;
/* Every connection must have been released. NULL is fine. */
void engine_close(struct engine *engine);

struct engine_stats {
    int64_t connections_open;
    int64_t connections_busy;
    int64_t connections_waited; /* since the start: acquires that had to wait */
    int64_t statements_run;     /* since the start */
    int64_t statements_failed;
    int64_t statements_stopped;  /* by their cancel token */
    int64_t statements_prepared; /* not found among the remembered ones */
    int64_t statements_kept;     /* remembered now */
};
struct engine_stats engine_stats(struct engine *engine);

/* What the instance holds, by what it is for ("PARQUET_READER", …), largest first; those that hold
 * nothing are left out. In `arena`. */
struct engine_memory_tag {
    struct lh_str name;
    int64_t bytes;
    int64_t temp_bytes; /* moved out to temporary files */
};
struct engine_memory {
    int64_t limit_bytes;
    int64_t bytes; /* of all tags */
    int64_t temp_bytes;
    const struct engine_memory_tag *tags;
    size_t tag_count;
};
enum lh_code engine_memory(struct engine *engine, struct lh_arena *arena, struct engine_memory *ret,
                           struct lh_error *err) LH_MUST_USE;

/* --- connections */

/* Takes a connection, one that has `sql` prepared if such is free (absent text: any). With all of
 * them taken it waits until one is released or `cancel` (may be NULL) stops. */
enum lh_code engine_acquire(struct engine *engine, struct lh_str sql,
                            const struct lh_cancel *cancel, struct engine_connection **ret,
                            struct lh_error *err) LH_MUST_USE;
void engine_release(struct engine_connection *connection); /* closes an open cursor; NULL is fine */

/* --- statements */

enum engine_param_type {
    ENGINE_PARAM_NULL,
    ENGINE_PARAM_BOOL,
    ENGINE_PARAM_INT,
    ENGINE_PARAM_DOUBLE,
    ENGINE_PARAM_TEXT,
    ENGINE_PARAM_JSON, /* text of a JSON array or object: bound as a list or struct */
};

struct engine_param {
    struct lh_str name; /* of $name; absent: positional, the first is $1 */
    enum engine_param_type type;
    bool boolean;
    int64_t integer;
    double number;
    struct lh_str text;
};

struct engine_params {
    const struct engine_param *items;
    size_t count;
};

/* Starts one statement; params may be NULL (none). Everything passed is borrowed until the cursor
 * is closed
 * (`cancel`) or the call returns (the rest). Result columns of types that vector.h does not know
 * are cast to text, LH_INVALID: the parameters are not those the statement
 * has. */
enum lh_code engine_run(struct engine_connection *connection, struct lh_str sql,
                        const struct engine_params *params, const struct lh_cancel *cancel,
                        struct engine_cursor **ret, struct lh_error *err) LH_MUST_USE;
/* The same with a connection of its own, released when the cursor is closed. */
enum lh_code engine_query(struct engine *engine, struct lh_str sql,
                          const struct engine_params *params, const struct lh_cancel *cancel,
                          struct engine_cursor **ret, struct lh_error *err) LH_MUST_USE;
/* Runs a statement to its end, dropping what it returns. ret_rows (may be NULL): rows changed or
 * returned. */
enum lh_code engine_execute(struct engine_connection *connection, struct lh_str sql,
                            const struct engine_params *params, const struct lh_cancel *cancel,
                            int64_t *ret_rows, struct lh_error *err) LH_MUST_USE;

/* The names of a statement's parameters ("1" for $1 and the first ?, "city" for $city), which is
 * prepared and not run; in `arena`. */
enum lh_code engine_param_names(struct engine_connection *connection, struct lh_str sql,
                                const struct lh_cancel *cancel, struct lh_arena *arena,
                                struct lh_str **ret, size_t *ret_count,
                                struct lh_error *err) LH_MUST_USE;

/* Live as long as the cursor. */
size_t engine_cursor_column_count(const struct engine_cursor *cursor);
const struct engine_column *engine_cursor_columns(const struct engine_cursor *cursor);

/* The next rows, never an empty chunk; *ret = NULL at the end. What the last call returned is gone.
 */
enum lh_code engine_cursor_next(struct engine_cursor *cursor, const struct engine_chunk **ret,
                                struct lh_error *err) LH_MUST_USE;
/* Stops the statement if it still runs. NULL is fine. */
void engine_cursor_close(struct engine_cursor *cursor);

struct engine_columns {
    const struct engine_column *items;
    size_t count;
};

/* The columns that a statement would return, without running it. */
enum lh_code engine_describe(struct engine_connection *connection, struct lh_str sql,
                             struct lh_arena *arena, struct engine_columns *ret,
                             struct lh_error *err) LH_MUST_USE;

/* The columns' names made different from each other by _2, _3, …, for whatever finds a column by
 * its name; case does not part them, as in SQL. A name that is empty becomes "column". */
const struct lh_str *engine_distinct_names(const struct engine_column *columns, size_t count,
                                           struct lh_arena *arena);

/* The tree of the engine's parser: {"error": false, "statements": [{"node": …}, …]}. Members that
 * are null or have their default value are left out. LH_SYNTAX; LH_REFUSED: not a SELECT;
 * LH_TOO_LARGE (AST limits). */
enum lh_code engine_parse(struct engine_connection *connection, struct lh_str sql,
                          struct lh_arena *arena, struct ast_node **ret,
                          struct lh_error *err) LH_MUST_USE;
/* The statement's text from its tree, as the engine writes it (see DESIGN 5 for what that changes).
 */
enum lh_code engine_unparse(struct engine_connection *connection, const struct ast_node *tree,
                            struct lh_arena *arena, struct lh_str *ret,
                            struct lh_error *err) LH_MUST_USE;

/* The one place that quotes: an identifier as "a""b", a text literal as 'it''s'. */
void engine_quote_ident(struct lh_buf *buf, struct lh_str name);
void engine_quote_literal(struct lh_buf *buf, struct lh_str text);
/* The literal that makes read_parquet and its like read this very file: they take * ? [ in a path
 * for a pattern. (They also make columns of folders called a=b: hive_partitioning = false.) */
void engine_quote_path(struct lh_buf *buf, struct lh_str path);
/* The same file under another spelling for each `state`: for files that are written anew in their
 * place. The engine keeps bytes of files by their paths and never asks whether they changed. */
struct lh_str engine_path_of(struct lh_str path, uint64_t state, struct lh_arena *arena);

/* --- Parquet */

/* What rows hold, whatever their order: equal multisets of equal rows have equal sums, and sums add
 * up. Over the values as they are stored, by the library's own hash: meaningful for one pinned
 * version of it. */
struct engine_content {
    uint64_t rows;
    uint64_t sums[2]; /* wrapping */
};

struct engine_copy_options {
    struct lh_str codec;     /* "zstd", "snappy", "lz4", "uncompressed"; absent: "snappy" */
    int64_t row_group_rows;  /* 0: 61440, so that 100,000 rows keep two threads busy */
    int64_t row_max;         /* only so many of the rows; 0: all */
    bool has_distinct_names; /* columns are stored under engine_distinct_names */
    bool has_no_sums;        /* nobody will compare: *ret has rows only */
    /* Called on this thread whenever it has done a part of the work, or waits for others who do;
     * may read what the file has grown by, which the library only appends to. An error ends the
     * copy. May be NULL. */
    enum lh_code (*step)(void *context, struct lh_error *err);
    void *step_context;
    /* Called about ten times a second on another thread, with the rows that went in so far. The
     * library's own progress is not asked: keeping it costs a tenth of a copy. A lock of the
     * connection is held meanwhile, so that no call comes after the copy has returned: it takes no
     * lock under which the engine is called, calls nothing of the engine, and is quick. May be
     * NULL.
     */
    void (*progress)(void *context, int64_t rows);
    void *progress_context;
};

/* Writes what `select` returns to a new Parquet file at an absolute path, and sums up what went in.
 * Types that Parquet does not keep are stored as the nearest that it does (engine_stored_text).
 * Does not sync: storage/ does. On an error there may be a part of a file: the caller removes it.
 */
enum lh_code engine_copy(struct engine_connection *connection, struct lh_str select,
                         struct lh_str path, const struct engine_copy_options *options,
                         const struct engine_params *params, const struct lh_cancel *cancel,
                         struct engine_content *ret, struct lh_error *err) LH_MUST_USE;

/* Reads a file back whole and sums it up: equal to what engine_copy returned, or the file is not
 * that. */
enum lh_code engine_parquet_check(struct engine_connection *connection, struct lh_str path,
                                  const struct lh_cancel *cancel, struct engine_content *ret,
                                  struct lh_error *err) LH_MUST_USE;

/* Sums up what `select` returns as engine_copy would, and writes nothing. */
enum lh_code engine_content_of(struct engine_connection *connection, struct lh_str select,
                               const struct lh_cancel *cancel, struct engine_content *ret,
                               struct lh_error *err) LH_MUST_USE;

/* Columns and row count from the footer. */
enum lh_code engine_parquet_schema(struct engine_connection *connection, struct lh_str path,
                                   struct lh_arena *arena, struct engine_columns *ret,
                                   int64_t *ret_rows, struct lh_error *err) LH_MUST_USE;

/* The type that a column is stored as, as text: mostly its own; ENUM and 128-bit integers as text,
 * …. False: it is stored as it is (nothing was appended). */
bool engine_stored_text(const struct engine_type_info *info, struct lh_buf *buf);

#endif
