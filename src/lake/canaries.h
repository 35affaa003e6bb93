/* A set of texts that must be nowhere any more, and the search for them in bytes.
 *
 * A text of at least CANARY_BYTES_MIN bytes is searched for as it is, as JSON writes it, and with
 * its quotes doubled, as SQL and CSV write them. Where does one stand?
 *
 *   text of a row of CANARY_WORD_BYTES    anywhere
 *   key with an '@', or of as many bytes   anywhere; but once a row that is left has it within a
 *   that is no number                      longer word (ann@x in joann@x), as a word
 *   all others                             as a word: CAND-7 is not in CAND-70
 *
 * A word ends where no ASCII letter or digit goes on: what stands beside "_", "-", a quotation mark
 * of any language or a letter with an accent is a word of its own, so is what follows "\n" in JSON.
 *
 * Threads: one adds; once sealed, any may search. Nothing blocks.
 */
#ifndef LAKEHOUSE_LAKE_CANARIES_H
#define LAKEHOUSE_LAKE_CANARIES_H

#include "base/arena.h"

#define CANARY_BYTES_MIN 6
#define CANARY_WORD_BYTES 12  /* a shorter one counts only as a word */
#define CANARY_AROUND_BYTES 8 /* that decide whether it is a word: JSON's escapes before it */
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
/* These bytes are of a row that is left. Texts that stand there do not count any more: they are
 * found all the same, and whoever finds one asks. A key that stands there within a longer word
 * counts only as a word from then on. */
void canaries_share(struct canaries *canaries, struct lh_str bytes, bool keys_only);
bool canaries_is_dropped(const struct canaries *canaries, size_t index);
bool canaries_is_shared_key(const struct canaries *canaries, size_t index); /* only as a word */
bool canaries_has_parts(const struct canaries *canaries); /* keys that count within words */
bool canaries_joins(char byte);                           /* it makes a word longer */
bool canaries_begins_word(struct lh_str bytes, size_t at);
bool canaries_is_word(struct lh_str bytes, size_t at, size_t len);

/* Calls found(index, at, len) for each place from `from` on and below `upto` where one begins that
 * ends in `bytes`, too. */
void canaries_search(const struct canaries *canaries, struct lh_str bytes, size_t from, size_t upto,
                     void (*found)(void *context, size_t index, size_t at, size_t len),
                     void *context);
/* One stands in the text, and no row that is left has it. */
bool canaries_holds(const struct canaries *canaries, struct lh_str text);
/* As many bytes of one piece must stand before the next one, so that nothing falls between. */
size_t canaries_overlap(const struct canaries *canaries);

#endif
