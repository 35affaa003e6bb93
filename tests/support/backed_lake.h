/* A lake with a catalog, a folder for its backups and one to restore into: what the fault tests and
 * the unit tests of backups share. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_BACKED_LAKE_H
#define LAKEHOUSE_TESTS_SUPPORT_BACKED_LAKE_H

#include "storage/backup.h"
#include "support/catalog_lake.h"

struct backed_lake {
    struct catalog_lake lake;
    struct temp_lake backup; /* a folder; the backup is "b" in it */
    struct temp_lake target; /* the restored lake is "r" in it */
};

/* The lake has a dataset "old" with 3 rows, and is open. */
void backed_lake_make(struct backed_lake *backed);
void backed_lake_remove(struct backed_lake *backed);
/* The lake gets a bucket "other" in a folder beside the backup, and a dataset "far" with a file in
 * it: one more each time. Restored, it lies beside the target. */
void backed_lake_spread(struct backed_lake *backed);

enum lh_code backed_lake_backup(struct backed_lake *backed, bool is_rechecked,
                                struct storage_backup_result *ret, struct lh_error *err);
/* With `number` 0 the newest. Into the target, or only checked. */
enum lh_code backed_lake_restore(struct backed_lake *backed, int64_t number, bool is_check,
                                 struct lh_error *err);
/* Opens the restored lake: rows of "old", and of "new" (-1: none). Verifies it; empties the target.
 */
void backed_lake_look(struct backed_lake *backed, int64_t *ret_old, int64_t *ret_new);
/* The path of a file of the backup. */
const char *backed_lake_file(struct backed_lake *backed, const char *name);
/* All files of the backup below a folder, as paths for backed_lake_file; at most `max`. */
size_t backed_lake_files(struct backed_lake *backed, const char *folder, char ret[][160],
                         size_t max);

#endif
