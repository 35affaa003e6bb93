/* How objects of remote buckets are read: the cache on local disk, and what stands in for a bucket
 * that fails. Inside storage/ only. */
#ifndef LAKEHOUSE_STORAGE_CACHE_H
#define LAKEHOUSE_STORAGE_CACHE_H

#include "storage/internal.h"

/* cache.c. Without STORAGE_WRITE there is none. */
enum lh_code cache_open(struct storage *storage, struct lh_error *err) LH_MUST_USE;
void cache_close(struct storage *storage);
/* Where the object is, or would be: an absolute path in `arena`. */
struct lh_str cache_path(struct storage_bucket *bucket, const char *key, struct lh_arena *arena);
void cache_forget(struct storage_bucket *bucket, const char *key); /* it was removed */
/* Takes over the staged file that has just become the object; false: there is no room. */
bool cache_adopt(struct storage_bucket *bucket, const char *key, const char *staged,
                 const struct storage_sum *sum);
enum lh_code cache_open_file(struct storage_bucket *bucket, const char *key, int *ret_fd,
                             struct lh_error *err) LH_MUST_USE;

/* rescue.c */
void storage_rescue_note(struct lh_str bucket, struct lh_str reason);
/* Whether another bucket may have what one failed to give in this way. */
bool rescue_may_help(enum lh_code code);

#endif
