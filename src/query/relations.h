/* Where table names come from: a source of relations is one row of callbacks.
 *
 * The catalog's datasets are one source; AI-safe views, pinned tables and the like are others, and
 * stand before it (who is asked first shadows). A source says what a name is at the pinned moment
 * by a stamp, and writes the relation as a SELECT. It adds files, deltas and tombstones through
 * query_write_files; a view inlines its base with query_write_base, so that the base's version is
 * reported and watched too.
 */
#ifndef LAKEHOUSE_QUERY_RELATIONS_H
#define LAKEHOUSE_QUERY_RELATIONS_H

#include "query/query.h"

struct catalog; /* catalog/catalog.h, and those below */
struct catalog_dataset;
struct catalog_snapshot;
struct query_rescues; /* query/internal.h */

/* Which moment of a name is asked for. */
struct query_moment {
    enum { QUERY_NOW, QUERY_AT_VERSION, QUERY_AT_TIME } kind;
    uint64_t version;
    int64_t unix_ms;
};

struct query_scope {
    struct catalog_snapshot
        *snapshot;                  /* NULL without a catalog; pinned until the query is closed */
    struct lh_str grants;           /* of the principal */
    bool sees_raw;                  /* it may read __raw__ relations */
    struct lh_arena *pins;          /* lives until the query is closed: for what must, too */
    const struct lh_cancel *cancel; /* of the statement */
    struct query_rescues *rescues;  /* that stand in for files of this statement; never NULL */
};

struct query_relation_writer; /* collects one relation: its SQL and what it rests on */

struct query_relations {
    const char *kind; /* for messages: "dataset", "view" */
    void *context;
    /* A number that differs whenever the written relation would; 0: no such name at that moment.
     * Called for every run of a remembered statement: no more than a look-up. */
    uint64_t (*stamp)(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment);
    /* Writes the relation of a name whose stamp is not 0. */
    enum lh_code (*write)(void *context, const struct query_scope *scope, struct lh_str name,
                          const struct query_moment *moment, struct query_relation_writer *writer,
                          struct lh_error *err);
    /* Before each run, for every name that is read: LH_DAMAGED if its files are not what was
     * committed. May be NULL. */
    enum lh_code (*ensure)(void *context, const struct query_scope *scope, struct lh_str name,
                           const struct query_moment *moment, struct lh_error *err);
    /* Calls each(name) for every name that the principal may see now. */
    void (*list)(void *context, const struct query_scope *scope,
                 void (*each)(void *each_context, struct lh_str name), void *each_context);
};

struct query_relation_column {
    struct lh_str name;   /* as SQL sees it */
    struct lh_str stored; /* in the files */
    struct lh_str type;   /* SQL type, as text */
};

/* Files of one schema. */
struct query_relation_files {
    const struct query_relation_column *columns; /* stored absent: not in these files, so NULL */
    size_t column_count;
    bool is_cast;               /* stored types differ from `type` */
    const struct lh_str *paths; /* absolute; none: an empty table of these columns */
    size_t path_count;
    uint64_t filter;     /* of engine/filter.h: rows of these files that nobody sees; 0 = none */
    struct lh_str where; /* a condition in place of the filter; empty: none */
};

/* The dataset of the scope at that moment, dropped ones too; it lives as long as the scope's pins.
 * LH_NOT_FOUND, LH_DAMAGED. */
enum lh_code query_find_dataset(struct catalog *catalog, const struct query_scope *scope,
                                struct lh_str name, const struct query_moment *moment,
                                const struct catalog_dataset **ret,
                                struct lh_error *err) LH_MUST_USE;

/* Writes SELECT "stored" AS "name", … FROM read_parquet([…]); a second call adds its rows behind.
 */
void query_write_files(struct query_relation_writer *writer,
                       const struct query_relation_files *files);
/* Notes what is read, for the reply: the name as the catalog writes it. */
void query_write_version(struct query_relation_writer *writer, struct lh_str dataset,
                         uint64_t version);
/* Text of the source's own, trusted. */
void query_write_sql(struct query_relation_writer *writer, struct lh_str sql);
/* The relation, in parentheses, that `name` is for the sources behind this one. */
enum lh_code query_write_base(struct query_relation_writer *writer, struct lh_str name,
                              const struct query_moment *moment, struct lh_error *err) LH_MUST_USE;

#endif
