/* Ingest: a file becomes the next version of a dataset, whole or not at all.
 *
 *   upload ─▶ sniff ─▶ source relation ─▶ COPY to staged Parquet ─▶ sealed, read back, compared
 *                                                      ─▶ published ─▶ catalog_commit ─▶ result
 *
 * What a file is, its content says; its name only breaks a tie. Types are detected over the whole
 * file before a row is given up: rows that still do not fit are not lost but kept, with line,
 * reason and raw text, in a Parquet object beside the data. Columns are matched by name. On every
 * failure, and when cancelled, nothing of the attempt stays behind and the dataset is what it was.
 *
 * Errors: LH_UNREADABLE (the file is not what it should be), LH_INVALID and LH_UNKNOWN_FIELD
 * (request or options), LH_SCHEMA (the rows do not fit the dataset: the differences are listed),
 * LH_EXISTS (create), LH_NOT_FOUND (append, the bucket), LH_TOO_LARGE, LH_FULL, LH_IO, LH_RACE,
 * LH_PRECONDITION and the stopping codes.
 *
 * Threads: any thread may call. Blocking: as long as the work takes.
 */
#ifndef LAKEHOUSE_INGEST_INGEST_H
#define LAKEHOUSE_INGEST_INGEST_H

#include "base/cancel.h"
#include "base/field.h"
#include "base/uuid.h"

struct storage;
struct objects;
struct engine;
struct catalog;
struct jobs;
struct job;
struct ingest; /* made by ingest_new, ended by ingest_free */

#define INGEST_COLUMNS_MAX 4096
#define INGEST_COLUMN_NAME_BYTES_MAX 255
#define INGEST_JSON_DEPTH_MAX 200
#define INGEST_LINE_BYTES_MAX (16 << 20)      /* of a CSV line or one JSON value */
#define INGEST_INFLATED_BYTES_MAX (1LL << 40) /* of a gzipped file */
/* Deflate's own limit is 1032; tables of real data stay below 50, very dull ones below 200. */
#define INGEST_INFLATED_RATIO_MAX 250
#define INGEST_EXACT_DIGITS 15   /* whole numbers of so many digits are exact as DOUBLE */
#define INGEST_BIGINT_DIGITS 18  /* of so many surely fit a BIGINT, */
#define INGEST_DECIMAL_DIGITS 38 /* and of so many as DECIMAL */

struct ingest_open_options {
    struct engine *engine; /* all borrowed, all outlive the ingest */
    struct storage *storage;
    struct catalog *catalog;
    struct jobs *jobs;
    struct objects *objects;
};

enum lh_code ingest_new(const struct ingest_open_options *options, struct ingest **ret,
                        struct lh_error *err) LH_MUST_USE;
void ingest_free(struct ingest *ingest); /* no call may be running; NULL is fine */

/* --- the request -------------------------------------------------------------------------------*/

enum ingest_mode { INGEST_AUTO, INGEST_CREATE, INGEST_APPEND, INGEST_REPLACE, INGEST_UPSERT };
/* Their names in that order, NULL-ended. Auto: create if the name is new, else replace. Upsert:
 * create if it is new, else append, and rows of the same options.key are replaced. */
extern const char *const ingest_mode_names[];

/* `options` of a request. Defaults detect everything. */
struct ingest_options {
    int format;              /* auto, csv, tsv, json, ndjson, parquet, npy */
    struct lh_str key;       /* upsert: the column whose values name rows */
    struct lh_str delimiter; /* CSV: one to four bytes */
    struct lh_str quote;     /* CSV: one character; "" = none */
    struct lh_str escape;    /* CSV: one character */
    int header;              /* CSV: auto, present, absent */
    struct lh_str encoding;  /* of a text: utf-8, utf-16, …; absent: detected by its mark */
    struct lh_str_list null_strings; /* CSV: texts that mean NULL, besides the empty one */
    struct lh_json_value types;      /* {"column": "DECIMAL(10,2)", …} instead of detection */
    bool flatten;                    /* JSON: nested objects become parent_child columns */
    int64_t first_row;               /* NPY: the number of the first row */
    bool allow_duplicate;            /* takes a file in again that is already there */
    double max_rejected_ratio;       /* more rejected rows than this refuse the file */
};
extern const struct lh_fields ingest_options_fields; /* for OpenAPI and the command line */

/* Parquet that is stored already, as storage/objects.h has it. */
#define INGEST_OBJECTS_MAX 1000
struct ingest_object {
    struct lh_str bucket;
    struct lh_str key;
};
extern const struct lh_fields ingest_object_fields;

struct ingest_request {
    struct lh_upload upload; /* `path` absolute, below the staging folder or anywhere; all-zero
                                `sha256`: not summed yet */
    struct lh_list objects;  /* of struct ingest_object: instead of an upload; none twice. They have
                                the same columns, and stay what and whose they are: the dataset gets
                                a copy of their rows */
    struct lh_str dataset;
    int mode;                     /* enum ingest_mode */
    struct lh_json_value options; /* value or text: a JSON object; absent = {} */
    struct lh_str actor;
    struct lh_str reason;          /* absent = none */
    struct lh_str bucket;          /* where the rows go; absent = where the dataset's newest are, a
                                      new one's to primary */
    struct lh_str idempotency_key; /* the caller puts the principal into it; absent = none */
    struct lh_str request_hash;    /* with the key: of all that was asked for */
    int64_t expected_version;      /* If-Match; 0 = any */
};

struct ingest_result {
    struct lh_str dataset;
    int64_t version;
    int64_t rows; /* that this file brought */
    int64_t rejected_rows;
    int64_t suppressed_rows; /* of those: keys that are tombstoned */
    int64_t replaced_rows;   /* of the dataset: others with their keys came in their place */
    int64_t bytes;           /* of the file as it came */
    struct lh_str job_id;
    bool deduplicated; /* the very file was there already: nothing was changed */
    int64_t elapsed_ms;
    struct lh_str format;  /* what it was read as */
    struct lh_str rejects; /* key of the object with the rejected rows; absent = none */
    struct lh_str_list rejected_reasons; /* the first few, with their lines */
    struct lh_str_list warnings;         /* columns that were renamed or widened */
};
extern const struct lh_fields ingest_result_fields;

/* --- the work ----------------------------------------------------------------------------------*/

/* Takes the file in and waits. It shows as a job meanwhile. A request whose idempotency key was
 * fulfilled before returns that result. The upload stays where it is: it is the caller's. Texts of
 * *ret live in `arena`. */
enum lh_code ingest_file(struct ingest *ingest, const struct ingest_request *request,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct ingest_result *ret, struct lh_error *err) LH_MUST_USE;
/* Checks the request, then accepts it as a job (jobs_submit): *ret_job_id can be asked for at once.
 * An upload in the staging folder is taken over. */
enum lh_code ingest_file_later(struct ingest *ingest, const struct ingest_request *request,
                               struct lh_uuid *ret_job_id, struct lh_error *err) LH_MUST_USE;

/* The kind of job for the table that lake/ hands to jobs_start; `context` of run is the struct
 * ingest. Its result is the JSON of ingest_result_fields. */
#define INGEST_JOB_KIND "ingest.file"
enum lh_code ingest_job_run(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;

#endif
