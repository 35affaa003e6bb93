/* The data files of a dataset, as something that the engine can read.
 *
 * Wherever an object is, its bytes were compared with what the manifest says before its path is
 * given.
 * Threads: any. Blocks: a file that was not looked at yet is read, a remote one is fetched.
 */
#ifndef LAKEHOUSE_CATALOG_FILES_H
#define LAKEHOUSE_CATALOG_FILES_H

#include "catalog/catalog.h"

/* What catalog_ensure_verified does, and the path of a file that holds as long as `arena` lives: a
 * remote object is fetched and pinned so long, and so is a copy of the rescue bucket for a local
 * file that is not what it was. LH_DAMAGED; LH_TOO_LARGE and LH_BUSY as in storage_pin; LH_IO: its
 * bucket is not available. */
enum lh_code catalog_object_file(struct catalog *catalog, const struct catalog_object *object,
                                 const struct lh_cancel *cancel, struct lh_arena *arena,
                                 struct lh_str *ret, struct lh_error *err) LH_MUST_USE;
/* The same for who asks storage_object_path again: the path is that one, so a local file has no
 * copy in its stead. */
enum lh_code catalog_own_file(struct catalog *catalog, const struct catalog_object *object,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct lh_str *ret, struct lh_error *err) LH_MUST_USE;
/* In the stead of a local file that was refused with `code`: the copy, as above; else `code`, and
 * err, what was said of the file, stays. Never NULL, that one. */
enum lh_code catalog_rescued_file(struct catalog *catalog, const struct catalog_object *object,
                                  enum lh_code code, const struct lh_cancel *cancel,
                                  struct lh_arena *arena, struct lh_str *ret,
                                  struct lh_error *err) LH_MUST_USE;

#endif
