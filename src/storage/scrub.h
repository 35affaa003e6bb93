/* For who must know that something is gone: every file of the data folder, whoever's it is, and
 * what lies in the trash removed before its time.
 *
 * Threads: any. Blocks.
 */
#ifndef LAKEHOUSE_STORAGE_SCRUB_H
#define LAKEHOUSE_STORAGE_SCRUB_H

#include "storage/storage.h"

/* Calls visit with every ordinary file in the data folder, at any depth, those of the layout's own
 * folders (staging, scratch, trash, cache) too: its path below the folder and the open file, which
 * storage closes. What goes meanwhile is passed over; links and devices count in *ret_special. What
 * visit returns other than LH_OK ends it. */
enum lh_code storage_each_file(struct storage *storage,
                               enum lh_code (*visit)(void *context, struct lh_str path, int fd,
                                                     struct lh_error *err),
                               void *context, int64_t *ret_special,
                               struct lh_error *err) LH_MUST_USE;

/* Removes objects of primary for good, not by way of the trash; missing ones are fine. LH_BUSY: a
 * backup runs and may need them. */
enum lh_code storage_remove(struct storage *storage, const struct lh_str *keys, size_t key_count,
                            struct lh_error *err) LH_MUST_USE;

/* Removes for good what was trashed of primary under these keys (of objects, or of folders with
 * all that is in them). LH_BUSY: a backup runs and may need it. */
enum lh_code storage_trash_remove(struct storage *storage, const struct lh_str *keys,
                                  size_t key_count, struct lh_error *err) LH_MUST_USE;

#endif
