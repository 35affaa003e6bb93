/* JSON objects that begin with the checksum of what follows, so that a changed byte is noticed:
 *
 *   {"_sha256":"<64 hexadecimal digits>","name": …}
 *               the sum is of everything from here ^ (the first member's quote) to the end
 *
 * For small records that are written once. No locks, no blocking, any thread.
 */
#ifndef LAKEHOUSE_BASE_SEALED_H
#define LAKEHOUSE_BASE_SEALED_H

#include "base/buf.h"
#include "base/json.h"

/* The checksum's own member; readers take it out before they look at the others. */
#define LH_SEALED_MEMBER "_sha256"

/* Appends `object`, the text of a JSON object with a member at least, with its checksum. */
void lh_sealed_append(struct lh_buf *buf, struct lh_str object);
/* Does it begin as one that has a checksum? */
bool lh_sealed_is(struct lh_str bytes);
/* LH_DAMAGED with a sentence about `what`: there is no checksum, or it is not that of the bytes. */
enum lh_code lh_sealed_check(struct lh_str bytes, struct lh_str what,
                             struct lh_error *err) LH_MUST_USE;
/* The object, once its checksum was found right; the caller drops *ret. LH_DAMAGED if it is none,
 * but LH_BUSY without the memory to read it: what cannot be read now is not damaged. */
enum lh_code lh_sealed_parse(struct lh_str bytes, struct lh_str what, size_t bytes_max,
                             json_t **ret, struct lh_error *err) LH_MUST_USE;

#endif
