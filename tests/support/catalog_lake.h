/* A lake with a catalog and nothing above it: data files are stand-ins with a few bytes. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_CATALOG_LAKE_H
#define LAKEHOUSE_TESTS_SUPPORT_CATALOG_LAKE_H

#include "catalog/catalog.h"
#include "catalog/verify.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

struct catalog_lake {
    struct temp_lake folder;
    struct storage *storage;
    struct catalog *catalog;
    struct catalog_options options;
    struct lh_arena *arena;
};

void catalog_lake_make(struct catalog_lake *lake);
void catalog_lake_remove(struct catalog_lake *lake);
/* These return what opening returned, and fail nothing. */
enum lh_code catalog_lake_try_open(struct catalog_lake *lake, struct lh_error *err);
void catalog_lake_open(struct catalog_lake *lake); /* fails the test on an error */
void catalog_lake_close(struct catalog_lake *lake);
void catalog_lake_reopen(struct catalog_lake *lake);
/* Closes, then removes what says that the end was clean: as after a kill. */
void catalog_lake_crash(struct catalog_lake *lake);

/* A published data file of the dataset, ready to be committed. */
enum lh_code catalog_lake_file(struct catalog_lake *lake, struct lh_str id, int64_t rows,
                               struct lh_arena *arena, struct catalog_object *ret,
                               struct lh_error *err);
/* A change with two columns (id BIGINT, email VARCHAR) and one file; id may be absent: a fresh one.
 */
enum lh_code catalog_lake_try_create(struct catalog_lake *lake, const char *name, int64_t rows,
                                     struct lh_str *ret_id, struct lh_error *err);
enum lh_code catalog_lake_try_append(struct catalog_lake *lake, struct lh_str id, int64_t rows,
                                     struct catalog_commit_result *ret, struct lh_error *err);
struct lh_str catalog_lake_create(struct catalog_lake *lake, const char *name, int64_t rows);
int64_t catalog_lake_append(struct catalog_lake *lake, struct lh_str id, int64_t rows);
enum lh_code catalog_lake_commit(struct catalog_lake *lake, const struct catalog_change *change,
                                 struct catalog_commit_result *ret, struct lh_error *err);

/* Rows of a live dataset now; -1: there is none. */
int64_t catalog_lake_rows(struct catalog_lake *lake, const char *name);
int64_t catalog_lake_version(struct catalog_lake *lake, const char *name);
/* Errors that the offline verifier finds, printed. */
size_t catalog_lake_verify(struct catalog_lake *lake, struct catalog_report *ret);
void catalog_lake_is_clean(struct catalog_lake *lake);
/* "_catalog/datasets/<id>/<version>.json" in the folder. */
const char *catalog_lake_manifest(struct catalog_lake *lake, struct lh_str id, int64_t version);

#endif
