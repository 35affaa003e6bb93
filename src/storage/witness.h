/* Staged files whose bytes somebody else can vouch for: parts of objects that are in the lake.
 *
 *   storage_stage ─▶ storage_staged_copy … ─▶ storage_staged_seal_seen ─▶ storage_staged_publish
 *
 * What storage_staged_write is given is summed once while it is written and once when it is read
 * back. Of bytes that have a sum already, the first tells nothing that the witness cannot say of
 * what is read back, and more: that it is what was committed and not only what was read a moment
 * ago. The file's own sum and what the witness does take a processor each.
 */
#ifndef LAKEHOUSE_STORAGE_WITNESS_H
#define LAKEHOUSE_STORAGE_WITNESS_H

#include "storage/storage.h"

/* Sees a durable file from its first byte to its last, block by block, on the caller's thread; what
 * the sum is made of are the very bytes that it sees. Anything but LH_OK ends the sealing. */
struct storage_witness {
    enum lh_code (*see)(void *context, const uint8_t *bytes, size_t count, struct lh_error *err);
    void *context;
};

/* As storage_staged_write, of which a file has one or the other, but nothing is summed. */
enum lh_code storage_staged_copy(struct storage_staged *staged, const void *bytes, size_t count,
                                 struct lh_error *err) LH_MUST_USE;
/* As storage_staged_seal; the only way to seal what was copied. Whether the bytes are enough, the
 * witness has to know: it is not told of the end. */
enum lh_code storage_staged_seal_seen(struct storage_staged *staged,
                                      const struct storage_witness *witness,
                                      struct storage_sum *ret_sum,
                                      struct lh_error *err) LH_MUST_USE;

#endif
