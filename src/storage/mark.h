/* A mark: a few bytes that are overwritten in place, again and again, and never waited for.
 *
 * For what only helps to notice a loss: a process that is killed leaves the mark that it wrote last
 * (the kernel has it), a power cut perhaps an older one, never half of one: two places are written
 * in turn, each with a number and a checksum. The file is durable from its first opening on.
 *
 * Threads: one at a time. The first opening blocks as storage_put_replacing does; writing takes a
 * system call.
 */
#ifndef LAKEHOUSE_STORAGE_MARK_H
#define LAKEHOUSE_STORAGE_MARK_H

#include "storage/storage.h"

#define STORAGE_MARK_BYTES_MAX 200

struct storage_mark; /* opaque; made by storage_mark_open, ended by storage_mark_close */

/* Opens the mark `key` in the bucket "primary", or makes it durably, and writes `bytes` (at most
 * STORAGE_MARK_BYTES_MAX). */
enum lh_code storage_mark_open(struct storage *storage, struct lh_str key, struct lh_str bytes,
                               struct storage_mark **ret, struct lh_error *err) LH_MUST_USE;
/* Not durable. After a failure the mark is the one before, or cannot be read. */
enum lh_code storage_mark_write(struct storage_mark *mark, struct lh_str bytes,
                                struct lh_error *err) LH_MUST_USE;
void storage_mark_close(struct storage_mark *mark); /* NULL is fine */

/* The newest that is whole, in `arena`. LH_NOT_FOUND: no file; LH_DAMAGED: none in it is whole. */
enum lh_code storage_mark_read(struct storage *storage, struct lh_str key, struct lh_arena *arena,
                               struct lh_str *ret, struct lh_error *err) LH_MUST_USE;

#endif
