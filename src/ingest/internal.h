/* What the parts of the ingest share: one attempt to take one file in.
 *
 *   task_open ─▶ scan ─▶ source->open: relation and columns ─▶ fit: what is stored ─▶ write ─▶
 * commit
 */
#ifndef LAKEHOUSE_INGEST_INTERNAL_H
#define LAKEHOUSE_INGEST_INTERNAL_H

#include <pthread.h>

#include "catalog/catalog.h"
#include "engine/engine.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "storage/storage.h"

struct npy; /* npy.c */

struct ingest {
    struct engine *engine;
    struct storage *storage;
    struct catalog *catalog;
    struct jobs *jobs;
    struct objects *objects;
    pthread_mutex_t npy_lock; /* guards the two below: NPY files that tasks have open */
    struct npy *npys;
    int64_t next_npy;
};

/* The arguments of the job, as its record keeps them. */
struct ingest_args {
    struct lh_str dataset;
    int mode;
    struct lh_json_value options;
    struct lh_list objects;
    struct lh_str actor;
    struct lh_str reason;
    struct lh_str bucket;
    struct lh_str idempotency_key;
    struct lh_str request_hash;
    int64_t expected_version;
};
extern const struct lh_fields ingest_args_fields;

enum ingest_format {
    FORMAT_AUTO,
    FORMAT_CSV,
    FORMAT_TSV,
    FORMAT_JSON,
    FORMAT_NDJSON,
    FORMAT_PARQUET,
    FORMAT_NPY
};
enum ingest_header { HEADER_AUTO, HEADER_PRESENT, HEADER_ABSENT };

/* One column that the source offers. */
struct source_column {
    struct lh_str name; /* unique, clean */
    struct lh_str expr; /* SQL over the relation */
    struct lh_str type; /* as it will be stored: SQL text */
    bool is_null_only;  /* no value told its type */
    bool is_told;       /* CSV: its type is the caller's or the dataset's word */
    bool is_asked;     /* CSV: of numbers, of which some may not be what the reader makes of them */
    bool has_fraction; /* CSV, if asked: something like 1.5 or 15e-1 */
    bool has_zeros;    /* CSV, if asked: something like 007 */
    size_t digits;     /* CSV, if asked: of the longest whole number */
    bool is_checked;   /* CSV: read as text and cast exactly, for the reader would round */
};

struct task;

/* One format. `open` waits for the scan, gives task->relation and task->columns, and may be asked
 * again with task->is_thorough when types turned out to be wrong. */
struct ingest_source {
    const char *name;
    enum ingest_format format;
    bool is_text; /* scanned for encoding and NUL before the engine sees it */
    enum lh_code (*open)(struct task *task, struct lh_error *err);
};
extern const struct ingest_source ingest_sources[];
extern const size_t ingest_source_count;

/* Drops the reader's temporary tables: the connection goes back to the pool without them. */
void csv_close(struct task *task);
enum lh_code csv_open(struct task *task, struct lh_error *err);
enum lh_code json_open(struct task *task, struct lh_error *err);
enum lh_code parquet_open(struct task *task, struct lh_error *err);
enum lh_code npy_open(struct task *task, struct lh_error *err);
/* Makes the table that NPY files are read through known to the engine. */
enum lh_code npy_register(struct ingest *ingest, struct lh_error *err) LH_MUST_USE;

/* An object on its way in. */
struct stored {
    struct lh_str name; /* as errors name it */
    struct lh_str etag; /* when it was found */
    struct lh_str path; /* its copy, once there is one */
};
/* stored.c: LH_NOT_FOUND: the bucket or an object; LH_INVALID: one is named twice. Sets task->input
 * to what they are together. */
enum lh_code stored_find(struct task *task, struct lh_error *err) LH_MUST_USE;
/* Copies them into staging, each compared with its checksum, and makes Parquet the source. LH_RACE:
 * one was replaced since; LH_DAMAGED. */
enum lh_code stored_stage(struct task *task, struct lh_error *err) LH_MUST_USE;

/* What a look at the file's bytes tells. */
struct scan {
    bool is_gzip;
    bool has_mark;         /* of UTF-8: the JSON reader does not know it */
    int64_t bytes;         /* inflated */
    int64_t rows_max;      /* line breaks + 1: a bound for progress */
    int64_t lines;         /* exactly; 0: not known (wide characters, carriage returns alone) */
    int64_t depth;         /* JSON: of the whole text, broken lines and all */
    bool has_fractions;    /* something in the file may be a number with a fraction, */
    bool has_zeros;        /* one that begins with a nought, */
    bool has_long_numbers; /* a whole one that no DOUBLE keeps */
};

struct task {
    struct ingest *ingest;
    struct lh_arena *arena;
    const struct lh_cancel *cancel;
    struct job *job;
    struct engine_connection *connection;
    struct ingest_args args;
    struct ingest_options options;
    struct lh_upload input;
    struct lh_str source_sha256;  /* hex */
    struct lh_str source_options; /* fingerprint of mode and options */
    struct lh_str path;           /* what the engine reads */
    struct stored *stored_files;  /* of args.objects, instead of it; NULL: there are none */
    const struct ingest_source *source;
    struct scan scan;
    struct scanning *scanning; /* NULL: the scan has ended */
    struct catalog_snapshot *snapshot;
    const struct catalog_dataset *dataset; /* that there is now; NULL = none */
    enum catalog_action action;
    bool is_upsert;   /* `action` is what it comes to: CREATE or APPEND */
    bool is_twin;     /* the same file is there, with rows that were deleted since it came */
    bool is_thorough; /* types from every row instead of a sample */
    bool is_wary;     /* NDJSON: a first reading failed midway, so bad lines are looked for */

    /* set by the source */
    struct lh_str relation; /* goes behind FROM */
    struct source_column *columns;
    size_t column_count;
    struct lh_str
        rejects; /* SELECT line, reason, raw of the rows not taken; absent = none can be */
    struct lh_str reject_table; /* CSV: the engine's temporary table behind it */
    int64_t head_lines;         /* CSV: before the first row */
    int64_t name_breaks;        /* CSV: line breaks inside the header's names */
    char comment;               /* CSV: what comments begin with; 0 = there are none */

    /* set by fit: what is written */
    struct catalog_column *stored;
    size_t stored_count;
    struct lh_str select;
    struct lh_str
        misfits; /* the same SELECT for rows that the one above leaves out; absent = none */
    struct lh_str_list warnings;
};

/* scan.c: format, encoding, NUL bytes, nesting; LH_UNREADABLE names what and where. The first tells
 * the source and begins; of a big CSV the rest is looked at beside what the caller does next, and
 * task->scan is whole only after the second (which may be called again). */
enum lh_code scan_begin(struct task *task, struct lh_error *err) LH_MUST_USE;
enum lh_code scan_end(struct task *task, struct lh_error *err) LH_MUST_USE;

/* encoding.c */
enum encoding {
    ENCODING_UTF8,
    ENCODING_UTF16LE,
    ENCODING_UTF16BE,
    ENCODING_LATIN1,
    ENCODING_WINDOWS
};
bool encoding_find(struct lh_str name, enum encoding *ret);
/* By its mark, then by what the options say, then UTF-8. */
enum encoding encoding_of(const struct ingest_options *options, const unsigned char *head,
                          size_t count);
/* Writes the file into staging, inflated, as UTF-8 without a mark, and makes it the one that is
 * read. */
enum lh_code encoding_convert(struct task *task, enum encoding from,
                              struct lh_error *err) LH_MUST_USE;
/* A file of the task's own, gone with it. */
enum lh_code task_stage(struct task *task, struct lh_str suffix, struct storage_staged **ret,
                        struct lh_error *err) LH_MUST_USE;

/* numbers.c: notes what the fields of the columns that are asked hold. */
struct csv_marks {
    struct lh_str delimiter; /* one to four bytes */
    unsigned char quote;
    unsigned char escape;
    bool has_quote;
    int64_t head_lines; /* before the first row: of no column */
};
enum lh_code numbers_find(struct task *task, const struct csv_marks *marks,
                          struct lh_error *err) LH_MUST_USE;

/* types.c: LH_INVALID if a value of options.types is no type; before any file is read. */
enum lh_code types_check(struct ingest *ingest, const json_t *types, struct lh_arena *arena,
                         struct lh_error *err) LH_MUST_USE;
/* A type that was checked, as the engine writes it and as it will be stored. */
enum lh_code types_settle(struct task *task, struct lh_str type, struct lh_str *ret,
                          struct lh_error *err) LH_MUST_USE;

/* dirty.c: warns of a CSV's text columns, written to `path`, that a few values made so. */
enum lh_code dirty_warn(struct task *task, struct lh_str path, struct lh_error *err) LH_MUST_USE;

/* lines.c: LH_UNREADABLE if lines of a CSV became neither rows nor rejected ones; `path` is the
 * file of the rows. */
enum lh_code lines_check(struct task *task, struct lh_str path, int64_t rows, int64_t rejected,
                         struct lh_error *err) LH_MUST_USE;

/* columns.c */
/* Makes `count` names unique (ASCII case ignored), not empty, printable; notes what it changed. */
enum lh_code columns_fail_width(size_t count, struct lh_error *err); /* LH_TOO_LARGE */
enum lh_code columns_clean(struct task *task, struct lh_error *err) LH_MUST_USE;
/* LH_INVALID if options.types names a column that the file has not. */
enum lh_code columns_check_types(const struct task *task, struct lh_error *err) LH_MUST_USE;
/* LH_INVALID if options.types names any: for formats that have types of their own. */
enum lh_code columns_refuse_types(const struct task *task, struct lh_error *err) LH_MUST_USE;
/* Settles what is stored, and the SELECT that gives it; LH_SCHEMA with the differences. */
enum lh_code columns_fit(struct task *task, struct lh_error *err) LH_MUST_USE;
/* True for TINYINT to HUGEINT and the unsigned ones. */
bool column_is_whole(struct lh_str type);
void task_warn(struct task *task, const char *format, ...) LH_PRINTF(2, 3);

/* write.c: relation → published object, and the commit. */
enum lh_code write_dataset(struct task *task, struct ingest_result *result,
                           struct lh_error *err) LH_MUST_USE;

/* SQL text: 'quoted' and "quoted". */
struct lh_str sql_literal(struct lh_arena *arena, struct lh_str text);
struct lh_str sql_ident(struct lh_arena *arena, struct lh_str name);
/* The literal of a path, of which nothing is a pattern. */
struct lh_str sql_path(struct lh_arena *arena, struct lh_str path);
/* The one number that a statement gives; 0 without rows. */
enum lh_code task_ask(struct task *task, struct lh_str sql, int64_t *ret,
                      struct lh_error *err) LH_MUST_USE;
/* An engine error about the file becomes LH_UNREADABLE naming the format. */
enum lh_code fail_unreadable(struct task *task, enum lh_code code, struct lh_error *err);
/* The stored form of a type, as SQL text. */
struct lh_str stored_type(struct lh_arena *arena, const struct engine_type_info *info);

void task_phase(struct task *task, const char *phase, int64_t rows_done, int64_t bytes_done);

#endif
