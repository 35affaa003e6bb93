/* A set of texts that must be nowhere any more, and the search for them in bytes.
 *
 * A text of at least CANARY_BYTES_MIN bytes is searched for as it is, as JSON writes it, and with
 * its quotes doubled, as SQL and CSV write them. Texts
 * that stand for a key, and short ones, count only where they are a word of their own: CAND-7 is
 * not in CAND-70.
 *
 * Threads: one adds; once sealed, any may search. Nothing blocks.
 */
#ifndef LAKEHOUSE_LAKE_CANARIES_H
#define LAKEHOUSE_LAKE_CANARIES_H

#include "base/arena.h"

#define CANARY_BYTES_MIN 6
#define CANARY_WORD_BYTES 12  /* a shorter one counts only as a word */
#define CANARY_BYTES_MAX 4096 /* of a longer text the beginning is searched for */

struct canaries; /* made by canaries_new, ended by canaries_free, which wipes it */

struct canaries *canaries_new(void);
void canaries_free(struct canaries *canaries); /* NULL is fine */
/* False: it is too short. One that is there already is not added again. */
bool canaries_add(struct canaries *canaries, struct lh_str text, bool is_key);
/* No more are added. */
void canaries_seal(struct canaries *canaries);
size_t canaries_count(const struct canaries *canaries);
struct lh_str canaries_text(const struct canaries *canaries, size_t index);
bool canaries_is_key(const struct canaries *canaries, size_t index);
/* Notes that it does not count any more: it is found all the same, and whoever finds it asks. */
void canaries_drop(struct canaries *canaries, size_t index);
bool canaries_is_dropped(const struct canaries *canaries, size_t index);

/* Calls found(index, at, len) for each place from `from` on and below `upto` where one begins that
 * ends in `bytes`, too. */
void canaries_search(const struct canaries *canaries, struct lh_str bytes, size_t from, size_t upto,
                     void (*found)(void *context, size_t index, size_t at, size_t len),
                     void *context);
/* As many bytes of one piece must stand before the next one, so that nothing falls between. */
size_t canaries_overlap(const struct canaries *canaries);

#endif
