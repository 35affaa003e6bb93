/* Repairing a dataset: damaged data files set aside, row counts taken from the files anew.
 *
 * Statements over a damaged file fail and name it: nothing is left out silently. Who decides that
 * the rest must be read without it sets it aside by a commit, which says which files and how many
 * rows; the dataset shows it, and /health, until the commit is undone (when the file is back from a
 * backup) or the dataset is replaced. The file stays where it is.
 *
 * Threads: any. Blocks: reads every data file, commits.
 */
#ifndef LAKEHOUSE_CATALOG_REPAIR_H
#define LAKEHOUSE_CATALOG_REPAIR_H

#include "base/cancel.h"
#include "catalog/catalog.h"

struct catalog_repair_options {
    struct lh_str dataset;    /* its name */
    int64_t expected_version; /* If-Match: another one is LH_PRECONDITION; 0 = any */
    bool is_dry_run;          /* only look */
    struct lh_str actor;
    struct lh_str reason;
    const struct lh_cancel *cancel; /* may be NULL */
    /* Of resync: rows of a data file as its footer says; the file was verified before. */
    enum lh_code (*count_rows)(void *context, const struct catalog_object *object,
                               int64_t *ret_rows, struct lh_error *err);
    void *context;
};
struct catalog_repaired_file {
    struct lh_str key;
    int64_t rows;       /* as the manifest said */
    int64_t found_rows; /* of resync: as the footer says */
    struct lh_str what; /* of quarantine: what is wrong, a sentence */
};
struct catalog_repair {
    struct lh_str dataset_id;
    struct lh_str name;
    int64_t version;    /* that the dataset has now; unchanged if there was nothing to repair */
    int64_t file_count; /* that were looked at */
    int64_t row_count;  /* afterwards; of a dry run now */
    struct catalog_repaired_file *files; /* that were set aside, or counted anew */
    size_t repaired_count;
    bool is_dry_run;
};

/* Reads every data file of the newest version and sets those aside that are missing or are not what
 * was written. LH_CONFLICT: nothing would be left. LH_RACE: the dataset changed meanwhile. */
enum lh_code catalog_quarantine(struct catalog *catalog,
                                const struct catalog_repair_options *options,
                                struct lh_arena *arena, struct catalog_repair *ret,
                                struct lh_error *err) LH_MUST_USE;
/* Compares the row counts of the manifest with those in the footers, and commits the latter where
 * they differ. LH_DAMAGED: a file is not what was written. LH_RACE as above. */
enum lh_code catalog_resync(struct catalog *catalog, const struct catalog_repair_options *options,
                            struct lh_arena *arena, struct catalog_repair *ret,
                            struct lh_error *err) LH_MUST_USE;

#endif
