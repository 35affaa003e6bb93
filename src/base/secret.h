/* Secrets: random bytes to make them of, comparing them in constant time, and wiping them. */
#ifndef LAKEHOUSE_BASE_SECRET_H
#define LAKEHOUSE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* From the system's generator; ends the process if it has none, for nothing may go on then. */
void lh_random_bytes(void *ret, size_t count);
/* Takes the same time wherever they differ. */
bool lh_secret_equal(const void *a, const void *b, size_t count);
/* Overwrites memory, even memory that nobody reads again. */
void lh_wipe(void *bytes, size_t count);
/* Replaces by stars, in place, what looks like a secret: keys of ours (lh_…), the password of an
 * address (scheme://user:password@host), values behind password=, pwd=, secret=, token= and the
 * like. Returns the new length, never more than `count`. For texts that are kept or shown. */
size_t lh_mask_secrets(char *text, size_t count);

#endif
