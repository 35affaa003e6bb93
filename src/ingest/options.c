#include "ingest/internal.h"

const char *const ingest_mode_names[] = {"auto", "create", "append", "replace", "upsert", NULL};

static const char *const format_names[] = {"auto",   "csv",     "tsv", "json",
                                           "ndjson", "parquet", "npy", NULL};
static const char *const header_names[] = {"auto", "present", "absent", NULL};

#define ENCODING_BYTES_MAX 32
#define NULL_STRINGS_MAX 32

static const struct lh_field option_rows[] = {
    LH_CHOICE(struct ingest_options, format, .choices = format_names, LH_PRESET(FORMAT_AUTO),
              .doc = "What the file is; by its content if not said."),
    LH_STR(struct ingest_options, key, .max = INGEST_COLUMN_NAME_BYTES_MAX,
           .doc = "Of mode upsert: the column whose values name rows."),
    LH_STR(struct ingest_options, delimiter, .max = 4, .doc = "CSV: what stands between cells."),
    LH_STR(struct ingest_options, quote, .max = 1, .doc = "CSV: what cells are quoted with."),
    LH_STR(struct ingest_options, escape, .max = 1,
           .doc = "CSV: what stands before a quote inside a quoted cell."),
    LH_CHOICE(struct ingest_options, header, .choices = header_names, LH_PRESET(HEADER_AUTO),
              .doc = "CSV: whether the first line names the columns."),
    LH_STR(struct ingest_options, encoding, .max = ENCODING_BYTES_MAX,
           .doc =
               "Of a text: utf-8, utf-16, utf-16le, utf-16be, latin-1 or windows-1252; UTF-16 is "
               "found by its mark."),
    LH_STR_LIST(struct ingest_options, null_strings, .max = NULL_STRINGS_MAX,
                .doc = "CSV: texts that mean NULL, besides the empty one."),
    LH_JSON(struct ingest_options, types,
            .doc = "CSV: an object of column names and SQL types, instead of detected ones."),
    LH_BOOL(struct ingest_options, flatten, LH_PRESET(true),
            .doc = "JSON: nested objects become parent_child columns."),
    LH_INT(struct ingest_options, first_row, .min = 0, .max = INT64_C(1) << 60,
           .doc = "NPY: the number of the first row in the column `row`; 0 unless said."),
    LH_BOOL(struct ingest_options, allow_duplicate, LH_PRESET(false),
            .doc = "Takes the file in again although its rows are there."),
    LH_DOUBLE(struct ingest_options, max_rejected_ratio, .min = 0, .max = 1, LH_PRESET_DOUBLE(0.5),
              .doc = "A file of which more than this part does not fit is refused as a whole."),
};
const struct lh_fields ingest_options_fields =
    LH_FIELDS_OF(struct ingest_options, "IngestOptions", option_rows);

static const struct lh_field object_rows[] = {
    LH_STR(struct ingest_object, bucket, .required = true, .min = 1, .max = 63,
           .doc = "Where it is stored: primary, or another of GET /storage/buckets."),
    LH_STR(struct ingest_object, key, .required = true, .min = 1, .max = 4096,
           .doc = "The key under which it was put."),
};
const struct lh_fields ingest_object_fields =
    LH_FIELDS_OF(struct ingest_object, "IngestObject", object_rows);

static const struct lh_field args_rows[] = {
    LH_STR(struct ingest_args, dataset, .doc = "The dataset."),
    LH_CHOICE(struct ingest_args, mode, .choices = ingest_mode_names, LH_PRESET(INGEST_AUTO),
              .doc = "How the rows come in."),
    LH_JSON(struct ingest_args, options, .doc = "How to read the file."),
    LH_LIST(struct ingest_args, objects, .fields = &ingest_object_fields,
            .doc = "What is stored already, instead of a file."),
    LH_STR(struct ingest_args, actor, .doc = "Who asked for it."),
    LH_STR(struct ingest_args, reason, .doc = "Why."),
    LH_STR(struct ingest_args, bucket, .doc = "Where the rows go; absent = where others are."),
    LH_STR(struct ingest_args, idempotency_key, .doc = "Names the request."),
    LH_STR(struct ingest_args, request_hash, .doc = "What it asked for."),
    LH_INT(struct ingest_args, expected_version, .doc = "If-Match; 0 = any."),
};
const struct lh_fields ingest_args_fields =
    LH_FIELDS_OF(struct ingest_args, "IngestArgs", args_rows);

static const struct lh_field result_rows[] = {
    LH_STR(struct ingest_result, dataset, .doc = "The dataset, as the catalog writes it."),
    LH_INT(struct ingest_result, version, .doc = "The version that holds the rows."),
    LH_INT(struct ingest_result, rows, .doc = "Rows that the file brought."),
    LH_INT(struct ingest_result, rejected_rows,
           .doc = "Rows that did not fit and were kept aside."),
    LH_INT(struct ingest_result, suppressed_rows, .doc = "Rows whose key is tombstoned."),
    LH_INT(struct ingest_result, replaced_rows,
           .doc = "upsert: rows that others with their keys took the place of."),
    LH_INT(struct ingest_result, bytes, .doc = "Bytes of the file as it came."),
    LH_STR(struct ingest_result, job_id, .doc = "The job that did it."),
    LH_BOOL(struct ingest_result, deduplicated,
            .doc = "The very file was there already: nothing was changed."),
    LH_INT(struct ingest_result, elapsed_ms, .doc = "How long it took."),
    LH_STR(struct ingest_result, format, .doc = "What the file was read as."),
    LH_STR(struct ingest_result, rejects,
           .doc = "The object with the rejected rows; SQL reads them as __rejects__NAME."),
    LH_STR_LIST(struct ingest_result, rejected_reasons,
                .doc = "Why the first few rejected rows did not fit."),
    LH_STR_LIST(struct ingest_result, warnings, .doc = "What was changed on the way in."),
};
const struct lh_fields ingest_result_fields =
    LH_FIELDS_OF(struct ingest_result, "IngestResult", result_rows);
