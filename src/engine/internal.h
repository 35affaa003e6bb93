/* What the files of engine/ share. See engine.h for the promises. */
#ifndef LAKEHOUSE_ENGINE_INTERNAL_H
#define LAKEHOUSE_ENGINE_INTERNAL_H

#include <duckdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/block_internal.h"
#include "engine/engine.h"
#include "engine/filter.h"
#include "engine/function.h"

/* --- statement.c */

#define STATEMENT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define STATEMENT_KEPT_BYTES ((size_t)64 * 1024) /* longer texts are prepared each time */

/* The columns of a result and the vectors that show its chunks: made once, filled per chunk. */
struct engine_shape {
    struct lh_arena *arena; /* NULL: there is no shape yet */
    size_t column_count;
    struct engine_column *columns;
    struct engine_vector *vectors;
    bool has_unknown; /* a column of a type that vector.h has not */
};

struct engine_statement {
    struct lh_buf text;    /* what the caller wrote */
    uint64_t hash;         /* of it */
    struct lh_buf wrapped; /* what runs instead, if prefix > 0 */
    size_t prefix;         /* bytes of `wrapped` before the caller's text … */
    size_t skipped;        /* … from which so many leading blanks were left out */
    duckdb_prepared_statement prepared;
    size_t param_count;
    bool is_kept;         /* among the remembered ones */
    bool has_fixed_shape; /* the columns do not depend on parameters */
    bool *casts;          /* which columns the wrapper casts; NULL: there is none */
    struct engine_shape shape;
    uint64_t last_used;
};

/* --- engine.c */

struct engine_progress {
    void (*call)(void *context, int64_t rows);
    void *context;
    int64_t next_us;
};

struct engine_step { /* see engine_copy_options */
    enum lh_code (*call)(void *context, struct lh_error *err);
    void *context;
};

struct engine_cursor {
    struct engine_connection *connection;
    const struct engine_step *step; /* while the statement starts; NULL: none */
    struct engine_statement *statement;
    struct engine_statement *plain; /* with blocks: the statement as its caller knows it */
    const struct lh_cancel *cancel;
    duckdb_result result;
    duckdb_data_chunk current;
    struct engine_chunk chunk;
    bool is_open;    /* the statement was started */
    bool has_result; /* `result` must be destroyed */
    bool is_at_end;  /* nothing runs any more */
    bool has_failed; /* … because it failed */
    bool owns_connection;
    bool has_blocks;
    struct made_block *block; /* the one that was returned last */
};

struct engine_connection {
    struct engine *engine;
    duckdb_connection handle;
    uint64_t id;       /* the library's own, to find it from callbacks */
    size_t index;      /* in engine->connections */
    bool is_busy;      /* under engine->lock */
    uint64_t released; /* under engine->lock: order of release, to prefer warm ones */
    struct engine_statement statements[ENGINE_STATEMENTS_MAX];
    /* Of `statements`, those that are remembered; under engine->lock while nobody has it. */
    size_t kept_count;
    struct engine_statement once; /* the one that is not remembered */
    uint64_t use_count;
    struct engine_cursor cursor;
    struct engine_blocks blocks;
    duckdb_prepared_statement parse;
    duckdb_prepared_statement unparse;

    /* The error of a callback of ours that ended the statement: it travels around the library,
     * whose own would carry the message only. Written by an engine thread, read when the statement
     * has failed. */
    pthread_mutex_t error_lock;
    struct lh_error error;

    pthread_mutex_t watch_lock; /* guards the three below against the watchdog */
    _Atomic bool is_watched;
    _Atomic(const struct lh_cancel *) watched;
    struct engine_progress progress;

    /* The sums of the statement that runs; see copy.c. */
    _Atomic uint64_t tap_rows;
    _Atomic uint64_t tap_sums[2];
};

struct engine {
    duckdb_database database;
    size_t connection_max;
    pthread_mutex_t lock; /* guards the pool: which are busy */
    pthread_cond_t released;
    struct engine_connection **connections; /* all opened with the engine: never changed after */
    size_t connection_count;
    size_t busy_count;
    uint64_t release_count;
    int64_t memory_bytes;

    pthread_t watchdog;
    bool has_watchdog;
    pthread_mutex_t watchdog_lock; /* only for sleeping and waking */
    pthread_cond_t watchdog_wake;
    _Atomic bool watchdog_sleeps;
    _Atomic bool is_closing;
    _Atomic int64_t watched_count;

    struct engine_table *tables; /* registered functions, under `lock`; freed at close */
    struct filters *filters;     /* filter.c; has a lock of its own */

    _Atomic int64_t kept; /* statements, by all connections */

    _Atomic int64_t waited;
    _Atomic int64_t run;
    _Atomic int64_t failed;
    _Atomic int64_t stopped;
    _Atomic int64_t prepared;
};

/* --- watchdog.c */

enum lh_code watchdog_start(struct engine *engine, struct lh_error *err);
void watchdog_stop(struct engine *engine);
/* From now on the connection is interrupted while `cancel` says stop. Both may be NULL. */
void watchdog_watch(struct engine_connection *connection, const struct lh_cancel *cancel,
                    const struct engine_progress *progress);
void watchdog_unwatch(struct engine_connection *connection);

/* --- advice.c */

/* Appends a line of the library's message, in words that a caller knows. */
void advice_reword(struct lh_str line, struct lh_buf *ret);
/* A hint for a syntax error whose position is known and that has none. */
void advice_on_syntax(struct lh_str sql, struct lh_error *err);

/* --- fail.c */

/* Turns the library's message into an error. `prefix` bytes of the text that ran were put before
 * the caller's `sql` (absent: positions are dropped). The cancel token's reason wins over an
 * interrupt. */
enum lh_code engine_fail(const char *message, struct lh_str sql, size_t prefix,
                         const struct lh_cancel *cancel, struct lh_error *err);
/* The same for an error object of json_serialize_sql. */
enum lh_code engine_fail_parse(const struct ast_node *root, struct lh_str sql,
                               struct lh_error *err);

/* --- type.c */

/* *ret_unknown is set if the type or one inside it is not among enum engine_type. */
const struct engine_type_info *type_read(duckdb_logical_type type, struct lh_arena *arena,
                                         bool *ret_unknown);
/* True if `info` is that type and the type says all (not so: DECIMAL, ENUM, nested and derived
 * ones). */
bool type_is(const struct engine_type_info *info, duckdb_type type);
/* The library's type of a scalar. */
duckdb_logical_type type_make(enum engine_type type, bool is_list);
/* True if it is that type, for scalars. */
bool type_fits(const struct engine_type_info *info, duckdb_logical_type type);
bool keyword_is(struct lh_str name); /* keywords.c; `name` in lower case */
void shape_vectors(struct engine_shape *shape);
void shape_fill(struct engine_vector *vector, duckdb_vector source);

/* --- statement.c, params.c */

/* `keep`: finds the statement among the remembered ones, or prepares and remembers it. Otherwise it
 * is prepared anew and gone after the next. */
enum lh_code statement_get(struct engine_connection *connection, struct lh_str sql, bool keep,
                           const struct lh_cancel *cancel, struct engine_statement **ret,
                           struct lh_error *err);
/* Prepares it anew, with the columns of unknown types cast to text. */
enum lh_code statement_wrap(struct engine_connection *connection,
                            struct engine_statement *statement, const struct lh_cancel *cancel,
                            struct lh_error *err);
/* The same statement as it runs for blocks; *ret = NULL: it does not. */
enum lh_code statement_get_blocks(struct engine_connection *connection,
                                  const struct engine_statement *plain,
                                  const struct lh_cancel *cancel, struct engine_statement **ret,
                                  struct lh_error *err);
bool statement_is_kept(const struct engine_connection *connection, uint64_t hash,
                       struct lh_str sql);
/* LH_SYNTAX unless it is UTF-8 without NUL, and not blank. */
enum lh_code statement_check_text(struct lh_str sql, struct lh_error *err);
size_t statement_offset(const struct engine_statement *statement);
/* The part of a statement that may stand in parentheses: no blanks around it, no semicolon after
 * it. */
struct lh_str statement_body(struct lh_str sql);
void statement_drop(struct engine_statement *statement);
/* The same, of a remembered one too. */
void statement_forget(struct engine_connection *connection, struct engine_statement *statement);
void statement_shape_of_result(struct engine_statement *statement, duckdb_result *result);
enum lh_code params_bind(struct engine_statement *statement, const struct engine_params *params,
                         struct lh_error *err);

/* --- cursor.c, describe.c */

/* Runs a statement that will not come again, with a report of progress, and in steps (both may be
 * NULL); it is not remembered. */
enum lh_code execute_once(struct engine_connection *connection, struct lh_str sql,
                          const struct engine_params *params, const struct lh_cancel *cancel,
                          const struct engine_progress *progress, const struct engine_step *step,
                          int64_t *ret_rows, struct lh_error *err);
/* The next chunk, not shown, in cursor->current; NULL at the end. */
enum lh_code cursor_fetch(struct engine_cursor *cursor, struct lh_error *err);
/* engine_describe of a statement with parameters. */
enum lh_code describe_columns(struct engine_connection *connection, struct lh_str sql,
                              const struct engine_params *params, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct engine_columns *ret,
                              struct lh_error *err);

/* --- copy.c, function.c */

enum lh_code copy_register_tap(struct engine *engine, duckdb_connection handle,
                               struct lh_error *err);
void function_free_all(struct engine *engine);
enum lh_code filters_register(struct engine *engine, duckdb_connection handle,
                              struct lh_error *err); /* filter.c */
void filters_free(struct engine *engine);
/* Keeps the first error of a callback until the statement fails; the connection may be NULL. */
void connection_keep_error(struct engine_connection *connection, const struct lh_error *err);
/* LH_OK: there was none. Forgets it. */
enum lh_code connection_take_error(struct engine_connection *connection, struct lh_error *err);
struct engine_connection *engine_find_connection(struct engine *engine, uint64_t id);

#endif
