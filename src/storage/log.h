/* An object that grows at its end: what is appended is durable when the call returns.
 *
 *   storage_put_exclusive(head) ─▶ storage_log_open ─▶ storage_log_append … ─▶ storage_log_close
 *
 * The one kind of object whose bytes are not final: its owner frames what it appends, so that it
 * can tell a whole piece from a torn one. A log is made like any object (so its head and its name
 * are durable before anything follows), and lies in the bucket "primary".
 *
 * After LH_UNKNOWN nothing can be appended any more: what the disk holds is known only to who opens
 * it next. After any other failure the log is as it was before the call.
 *
 * Threads: one at a time. Every call blocks. Knows nothing of what is appended.
 */
#ifndef LAKEHOUSE_STORAGE_LOG_H
#define LAKEHOUSE_STORAGE_LOG_H

#include "storage/storage.h"

struct storage_log; /* opaque; made by storage_log_open, ended by storage_log_close */

/* Opens an object for appending behind its first `bytes`. What stands behind them is cut off, and
 * they are made durable, before the call returns: the process that wrote them may have ended in
 * between. LH_NOT_FOUND; LH_DAMAGED: it is shorter than that. */
enum lh_code storage_log_open(struct storage *storage, struct lh_str key, int64_t bytes,
                              struct storage_log **ret, struct lh_error *err) LH_MUST_USE;
void storage_log_close(struct storage_log *log); /* NULL is fine */

/* One write, one fsync. `is_vital`: what leads out of a full disk, or must go on on one; when there
 * is no space the reserve is given up for it. LH_FULL, LH_IO: nothing was appended; LH_UNKNOWN. */
enum lh_code storage_log_append(struct storage_log *log, struct lh_str bytes, bool is_vital,
                                struct lh_error *err) LH_MUST_USE;
int64_t storage_log_bytes(const struct storage_log *log); /* that are durable */

#endif
