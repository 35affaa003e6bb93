/* One moment of the catalog, for copying its files while it goes on: which manifests belong to it,
 * what its data files must sum up to, and the note of a clean end that the copy begins with.
 *
 * Between take and release the moment's snapshot is held. One thread at a time.
 */
#ifndef LAKEHOUSE_CATALOG_MOMENT_H
#define LAKEHOUSE_CATALOG_MOMENT_H

#include "catalog/catalog.h"

struct catalog_moment; /* made by catalog_moment_take, ended by catalog_moment_release */

struct catalog_moment_note { /* what a writer that ends cleanly at that moment leaves */
    struct lh_str key;
    struct lh_str bytes;
};
/* The present. While it is taken nobody may be publishing; a commit that was published and is not
 * seen yet does not belong to it. LH_UNKNOWN, LH_LOCKED: writing has stopped, so that what is on
 * disk may not be what was acknowledged. Texts of the note live in the arena. */
enum lh_code catalog_moment_take(struct catalog *catalog, struct lh_arena *arena,
                                 struct catalog_moment **ret, struct catalog_moment_note *ret_note,
                                 struct lh_error *err) LH_MUST_USE;
uint64_t catalog_moment_sequence(const struct catalog_moment *moment);
/* False for manifests and data files that came later. True for what is none of the catalog's. */
bool catalog_moment_has(const struct catalog_moment *moment, struct lh_str key);
/* The checksum that a kept version says a data file has, in whatever bucket; false: none says so.
 * Reads all manifests at the first call. */
bool catalog_moment_sum(struct catalog_moment *moment, struct lh_str key,
                        uint8_t ret[LH_SHA256_BYTES]);
struct catalog_placed { /* a data file in another bucket than primary */
    struct lh_str bucket, key;
    int64_t bytes;
    uint8_t sha256[LH_SHA256_BYTES];
};
/* Those that versions which can be read have at that moment; of damaged datasets nothing is known.
 * Reads manifests. What expires meanwhile may be missing when it is looked for. */
enum lh_code catalog_moment_elsewhere(struct catalog_moment *moment, struct lh_arena *arena,
                                      struct catalog_placed **ret, size_t *ret_count,
                                      struct lh_error *err) LH_MUST_USE;
void catalog_moment_release(struct catalog_moment *moment); /* NULL is fine */

#endif
