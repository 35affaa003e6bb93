/* The room that is kept for a full disk, for work that is more than one small object: that one has
 * storage_put_vital, which takes what it needs by itself.
 *
 * Threads: any. Blocking: short.
 */
#ifndef LAKEHOUSE_STORAGE_RESERVE_H
#define LAKEHOUSE_STORAGE_RESERVE_H

#include "storage/storage.h"

/* For vital work that is larger, which asks before it begins: gives up of the reserve what is
 * missing to `bytes` free ones. LH_FULL: both together have less; nothing was given up. *ret_bytes
 * (may be NULL) is what they have. */
enum lh_code storage_reserve_make_room(struct storage *storage, int64_t bytes, int64_t *ret_bytes,
                                       struct lh_error *err) LH_MUST_USE;
/* A piece of it, for vital work that has met LH_FULL and can be tried again; false: there is none.
 */
bool storage_reserve_give(struct storage *storage);
/* That work has ended: of what is free now the reserve takes what it lacks, however full the disk
 * is, for others would use it for what is not vital. */
void storage_reserve_take_back(struct storage *storage);

#endif
