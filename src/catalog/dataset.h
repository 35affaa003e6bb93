/* What the catalog knows of a dataset at one version: plain structs, filled once, then only read.
 *
 * A struct catalog_dataset is immutable and reference-counted; everything it points to lives as
 * long as it does. Time travel gives the same structs as the present. Texts are valid UTF-8.
 */
#ifndef LAKEHOUSE_CATALOG_DATASET_H
#define LAKEHOUSE_CATALOG_DATASET_H

#include "base/field.h"
#include "base/hash.h"
#include "base/uuid.h"

#define CATALOG_NAME_BYTES_MAX 63

/* Order of strictness is not implied: SPEC names kinds, not levels. Undeclared means internal. */
enum catalog_sensitivity {
    CATALOG_PUBLIC,
    CATALOG_INTERNAL,
    CATALOG_CONFIDENTIAL,
    CATALOG_PII,
    CATALOG_PHI,
    CATALOG_FINANCIAL,
    CATALOG_SENSITIVITY_COUNT
};
/* Their names in that order, NULL-ended: for LH_CHOICE rows and for manifests. */
extern const char *const catalog_sensitivity_names[];

enum catalog_refresh_kind {
    CATALOG_REFRESH_MANUAL,
    CATALOG_REFRESH_ON_APPEND,
    CATALOG_REFRESH_SCHEDULED
};
extern const char *const catalog_refresh_kind_names[];

struct catalog_column {
    struct lh_str name;        /* as the user calls it */
    struct lh_str stored_name; /* in the data files: differs for names that the engine claims */
    struct lh_str type;        /* the engine's type, as SQL text: "DECIMAL(18,2)", "VARCHAR[]" */
    enum catalog_sensitivity sensitivity;
    bool is_pii;
    struct lh_str pii_kind; /* "email", "person_name", …; absent if none */
    struct lh_str description;
};

/* The smallest and largest value of a column in one object, as SQL text; absent bound = unknown. */
struct catalog_range {
    struct lh_str column;
    struct lh_str min;
    struct lh_str max;
};

/* A file that rows came from. */
struct catalog_source {
    struct lh_str sha256;  /* hex; absent = unknown, or rows of it were deleted since */
    struct lh_str options; /* fingerprint of mode and options it was read with */
    int64_t rows;          /* that it brought */
    int64_t kept;          /* of those: in the data file, behind those of the sources before it */
    struct lh_str rejects; /* key of the object that keeps its rows which were not taken; absent =
                              none. Referenced: no sweep takes it */
    int64_t rejected_rows; /* in it */
};

/* One immutable data file. */
struct catalog_object {
    struct lh_str bucket; /* "primary" unless said otherwise */
    struct lh_str key;    /* "datasets/<id>/<uuid>.parquet" */
    int64_t bytes;
    int64_t rows;
    uint8_t sha256[LH_SHA256_BYTES]; /* of the whole file */
    struct lh_str content_hash;      /* order-free, over the columns; absent = not taken */
    struct lh_str schema;            /* fingerprint: which of the dataset's schemas it has */
    const struct catalog_range *ranges;
    size_t range_count;
    struct lh_str source_sha256;  /* hex, of the file it came from; absent = unknown */
    struct lh_str source_options; /* fingerprint of mode and options it was read with */
    struct lh_str rejects;        /* key of the object that keeps the rows of that file which were
                                     not taken; absent = none. Referenced: no sweep takes it */
    int64_t rejected_rows;        /* in it */
    /* Of a file that was written from others: where all of its rows came from, as far as it is
     * known; the four members above are absent then. */
    const struct catalog_source *sources;
    size_t source_count;
    struct lh_str stands_for;   /* REWRITE: the removed file whose place in the order it takes; not
                                 kept. Absent = behind all others */
    int64_t added_version;      /* filled by the catalog */
    int64_t tombstones_through; /* its rows were compared with the dataset's tombstones as of that
                                   version; 0 = never */
};

/* The columns of the files of one fingerprint: an older file may lack what was added later. */
struct catalog_schema_column {
    struct lh_str stored_name;
    struct lh_str type;
};
struct catalog_schema {
    struct lh_str fingerprint;
    const struct catalog_schema_column *columns;
    size_t column_count;
};

/* Files that were copied to another bucket: from the commit of the move on, every file of `from`
 * that a version up to `through` brought is found in `to`, under the same key, in every version. */
struct catalog_moved {
    struct lh_str from, to;
    int64_t through;
    int64_t version; /* of the move; filled by the catalog, as the time */
    int64_t time_ms;
};

struct catalog_lineage {
    struct lh_str source_system; /* "file", "postgresql", … */
    struct lh_str source_file;   /* a file's name or a redacted DSN */
    struct lh_str ingest_job;
    int64_t timestamp_ms; /* 0 = unknown */
};

struct catalog_refresh_policy {
    enum catalog_refresh_kind kind;
    struct lh_str schedule; /* as lh_schedule_parse reads it; absent unless scheduled */
};

struct catalog_dataset {
    struct lh_str id; /* a UUID: names the folders */
    struct lh_str name;
    int64_t version;   /* 1 = as created */
    uint64_t sequence; /* of the lake: one order over all datasets */
    /* The newest version that brought, took or changed rows or columns: those after it only
     * described or rewrote them, so two versions with the same one have the same rows. */
    int64_t content_version;
    bool is_deleted; /* a drop is a version; snapshots do not list it, time travel may meet it */
    int64_t retained_version; /* the oldest that can still be read; 0 = the first */
    int64_t created_ms;
    int64_t updated_ms;
    struct lh_str description;
    struct lh_str owner;
    enum catalog_sensitivity sensitivity;
    struct lh_str_list tags;
    const struct catalog_column *columns; /* in their order for SELECT * */
    size_t column_count;
    struct lh_str schema; /* fingerprint of `columns`' stored names and types */
    const struct catalog_schema
        *schemas; /* every fingerprint that an object has, and the current */
    size_t schema_count;
    struct catalog_lineage lineage; /* of the last change of data */
    int64_t freshness_max_age_s;    /* 0 = none declared */
    int64_t last_embedded_at_ms;    /* 0 = never */
    int64_t embedding_stale_since_ms;
    struct catalog_refresh_policy refresh;
    const struct catalog_object *const *objects; /* in the order they were added */
    size_t object_count;
    const struct catalog_object *const *tombstones; /* see catalog/tombstones.h; in their order */
    size_t tombstone_count;
    uint64_t tombstone_stamp;  /* another one whenever they change; 0 = there are none */
    int64_t quarantined_files; /* damaged ones that were set aside; 0 = none */
    int64_t quarantined_rows;  /* in them */
    int64_t row_count;         /* of the objects, hidden rows too */
    int64_t byte_count;
    const struct catalog_moved *moves; /* that older versions need to be read; oldest first */
    size_t move_count;
    int64_t moved_version; /* its files are where the move of that version, the newest that is told,
                              put them; 0 = none: the same version may be elsewhere later */
};

/* Members of it that a change sets. */
enum catalog_set_bit {
    CATALOG_SET_DESCRIPTION = 1,
    CATALOG_SET_OWNER = 2,
    CATALOG_SET_SENSITIVITY = 4,
    CATALOG_SET_TAGS = 8,
    CATALOG_SET_COLUMNS = 16,
    CATALOG_SET_LINEAGE = 32,
    CATALOG_SET_FRESHNESS = 64,
    CATALOG_SET_EMBEDDED_AT = 128,
    CATALOG_SET_STALE_SINCE = 256,
    CATALOG_SET_REFRESH = 512,
    CATALOG_SET_SCHEMAS = 1024, /* of files that lack some of the columns */
    CATALOG_SET_QUARANTINED = 2048
};

/* Shares a dataset beyond its snapshot's life. Any thread; NULL is fine for unref. */
const struct catalog_dataset *catalog_dataset_ref(const struct catalog_dataset *dataset);
void catalog_dataset_unref(const struct catalog_dataset *dataset);

/* True if live rows came from this very source with these options (dedup); texts of *ret (may be
 * NULL) live as long as the dataset. */
bool catalog_dataset_source(const struct catalog_dataset *dataset, struct lh_str source_sha256,
                            struct lh_str source_options, struct catalog_source *ret);

/* Source by source: at most source_count + 1 of them, the first being the members of the object
 * itself. False: none of that index. */
bool catalog_object_source(const struct catalog_object *object, size_t index,
                           struct catalog_source *ret);

/* NULL if no column has that name (ASCII case ignored). */
const struct catalog_column *catalog_dataset_column(const struct catalog_dataset *dataset,
                                                    struct lh_str name);

/* SHA-256 hex over (stored name, type) in order: equal exactly for files that one relation reads
 * alike. */
struct lh_str catalog_schema_fingerprint(const struct catalog_column *columns, size_t column_count,
                                         struct lh_arena *arena);

/* The name under which a user's column is stored: itself, but for the names that the engine's
 * readers claim (file_row_number, file_index, filename, in any case), which get an escape that no
 * other name can have. */
struct lh_str catalog_stored_name(struct lh_str name, struct lh_arena *arena);

/* Older than its declared freshness. */
bool catalog_is_overdue(const struct catalog_dataset *dataset, int64_t now_ms);

/* LH_INVALID with the rule: [A-Za-z_][A-Za-z0-9_]{0,62}, not starting with "__". */
enum lh_code catalog_check_name(struct lh_str name, struct lh_error *err) LH_MUST_USE;
/* The same for a name that nothing has yet: LH_INVALID for "journal" too, which was free once. */
enum lh_code catalog_check_new_name(struct lh_str name, struct lh_error *err) LH_MUST_USE;

#endif
