/* What the files of query/ share: relations being written, resolved plans, messages. Never leaves
 * the folder. */
#ifndef LAKEHOUSE_QUERY_INTERNAL_H
#define LAKEHOUSE_QUERY_INTERNAL_H

#include <pthread.h>

#include "catalog/dataset.h"
#include "query/statement.h"

/* --- relation.c: the text of relations ---------------------------------------------------------*/

#define QUERY_SOURCES_MAX 16
struct query_sources {
    const struct query_relations *items[QUERY_SOURCES_MAX];
    size_t count;
};

struct query_dep { /* what a source said of a name when the plan was made */
    size_t source;
    struct lh_str name;
    struct query_moment moment;
    uint64_t stamp;
};

struct query_relation_writer {
    const struct query_sources *sources;
    const struct query_scope *scope;
    struct lh_arena *arena;
    struct lh_buf *buf;
    size_t source; /* that is writing: query_write_base asks those behind it */
    unsigned depth;
    bool has_files;              /* in the relation that is being written */
    struct lh_opt_int row_count; /* of the relation that was written last; unset: not known */
    struct query_dep *deps;
    size_t dep_count, dep_capacity;
    struct query_version *versions;
    size_t version_count, version_capacity;
};

#define QUERY_VIEW_DEPTH_MAX 32

/* Asks the sources from `first` on. LH_NOT_FOUND with the nearest name. Appends the relation in
 * parentheses. */
enum lh_code query_relation_write(struct query_relation_writer *writer, size_t first,
                                  struct lh_str name, const struct query_moment *moment,
                                  struct lh_error *err) LH_MUST_USE;

/* The stamps that the sources give for a name now; false: not those of the plan. */
bool query_dep_holds(const struct query_sources *sources, const struct query_scope *scope,
                     const struct query_dep *dep);

/* Copies of the rescue bucket in the stead of local files that are not what was committed, as long
 * as the scope's pins live. A plan that reads one is for its statement only. */
struct query_rescued {
    struct lh_str bucket, key, path;
    struct query_rescued *next;
};
struct query_rescues {
    struct query_rescued *first, *last;
    struct query_rescued *found; /* the last that was asked for: the next one is mostly behind it */
    size_t count;
};

/* dataset.c: the catalog's datasets as a source. */
struct query_datasets {
    struct catalog *catalog;
    struct storage *storage;
    struct engine *engine;
    struct query_relations relations;
};
/* Some of a dataset's files as one table of its columns, less the hidden rows. */
struct catalog_hidden;
struct query_objects {
    struct storage *storage;
    struct catalog *catalog;         /* with `scope`; both NULL: nothing stands in for a file */
    const struct query_scope *scope; /* whose rescues stand in for files */
    struct engine *engine;
    const struct catalog_dataset *dataset;
    struct catalog_hidden *hidden; /* NULL: none; held as long as the writer's arena */
    size_t first, count;
    bool is_stored;        /* columns have the names that they have in files */
    struct lh_str where;   /* with nothing hidden: only rows of this condition on file_row_number */
    uint64_t hides_beside; /* a mistake that tests make: hidden is the row so many before */
};
enum lh_code query_write_objects(const struct query_objects *objects,
                                 struct query_relation_writer *writer,
                                 struct lh_error *err) LH_MUST_USE;
void query_datasets_init(struct query_datasets *datasets, struct catalog *catalog,
                         struct storage *storage, struct engine *engine);

/* --- resolve.c ---------------------------------------------------------------------------------*/

enum query_plan_kind { QUERY_PLAN_ROWS, QUERY_PLAN_EXPLAIN, QUERY_PLAN_ANALYZE };

/* A resolved statement; immutable and reference-counted. Everything in it lives in `arena`. */
struct query_plan {
    struct lh_arena *arena;
    enum query_plan_kind kind;
    struct lh_str sql; /* the caller's, whole */
    struct lh_str key; /* as_of, grants: what besides the text it was made for */
    struct query_splice splice;
    const struct query_dep *deps;
    size_t dep_count;
    const struct query_version *versions;
    size_t version_count;
    bool calls_table_functions; /* of the lake; then the text ends in their stamp */
    uint64_t table_function_stamp;
    bool lists_names; /* the answer is the list of names, which may change with any commit */
    uint64_t hash;
    _Atomic unsigned ref_count;
    struct query_plan *newer, *older, *next; /* plans.c */
};

struct query_as_of { /* of a request */
    bool has_time;
    int64_t unix_ms;
    const struct query_as_of_version {
        struct lh_str name;
        uint64_t version;
    } * versions;
    size_t version_count;
    struct lh_str key;
};

struct query_resolve_input {
    struct engine_connection *connection;
    const struct query_sources *sources;
    const struct query_scope *scope;
    const struct lh_str *table_functions;
    size_t table_function_count;
    uint64_t table_function_stamp;
    const struct query_as_of *as_of;
    struct lh_str sql;
    struct lh_str key;
};

/* count.c: whether the statement only counts all rows of one relation; *ret_name: of the column
 * that it returns. */
bool query_is_bare_count(const struct ast_node *tree, struct lh_str *ret_name);

enum lh_code query_resolve(const struct query_resolve_input *input, struct query_plan **ret,
                           struct lh_error *err) LH_MUST_USE;
void query_plan_unref(struct query_plan *plan); /* NULL is fine */

/* --- plans.c: resolved statements remembered ---------------------------------------------------*/

struct query_plans;
struct query_plans *query_plans_new(size_t plan_max);
void query_plans_free(struct query_plans *plans); /* NULL is fine */
struct query_plan *query_plans_find(struct query_plans *plans, struct lh_str sql,
                                    struct lh_str key); /* referenced; NULL: none */
void query_plans_put(struct query_plans *plans, struct query_plan *plan); /* takes a reference */
void query_plans_drop(struct query_plans *plans, struct query_plan *plan);
size_t query_plans_count(struct query_plans *plans);
size_t query_plans_bytes(struct query_plans *plans);

/* --- message.c ---------------------------------------------------------------------------------*/

/* Makes an engine's error speak of the caller's text only. */
enum lh_code query_message(const struct query_plan *plan, struct lh_error *err);
/* The same for a statement that was parsed as it came. */
/* Adds the line of the error's position. */
void query_place_line(struct lh_str sql, struct lh_error *err);
enum lh_code query_message_plain(struct lh_str sql, struct lh_error *err);

/* --- request.c ---------------------------------------------------------------------------------*/

enum lh_code query_as_of_read(const json_t *value, struct lh_arena *arena, struct query_as_of *ret,
                              struct lh_error *err) LH_MUST_USE;
enum lh_code query_params_read(const json_t *value, struct lh_arena *arena,
                               struct engine_params *ret, struct lh_error *err) LH_MUST_USE;
bool query_time_read(struct lh_str text, int64_t *ret_unix_ms); /* blank instead of T, too */
enum lh_code query_fail_at(struct lh_error *err, enum lh_code code, int64_t position,
                           const char *format, ...) LH_PRINTF(4, 5);

/* --- explain.c ---------------------------------------------------------------------------------*/

/* A plan (FORMAT json) of the engine as text, without files and functions that read them. */
enum lh_code query_plan_text(struct lh_str text, struct lh_buf *buf,
                             struct lh_error *err) LH_MUST_USE;

#endif
