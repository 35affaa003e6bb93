/* Keys of which only keyed hashes are kept: the lake's secret, and lists of tombstones written
 * anew. Internal to the catalog; docs/formats/tombstones.md and erasures.md say when.
 */
#ifndef LAKEHOUSE_CATALOG_REHASH_H
#define LAKEHOUSE_CATALOG_REHASH_H

#include "catalog/tombstone_internal.h"

/* --- secret.c: with what the keys of erased rows are hashed */

#define ERASE_SECRET_KEY "_catalog/erasure.key"
/* The lake's; in `arena`. `create`: makes it if there is none. LH_DAMAGED: it cannot be read, or
 * there is none and none may be made. */
enum lh_code erase_secret(struct storage *storage, bool create, struct lh_arena *arena,
                          const uint8_t **ret, struct lh_error *err) LH_MUST_USE;
#define ERASE_HASH_BYTES LH_SHA256_HEX_BYTES
void erase_hash(const uint8_t *secret, struct lh_str text, char ret[ERASE_HASH_BYTES + 1]);

/* --- rehash.c: keys become hashes in all records of a dataset's column */

struct rehash {
    struct catalog *catalog;
    const struct catalog_dataset *dataset;
    struct lh_str column;
    bool forgets_reasons;       /* of records in which no key is left in clear, */
    struct lh_str_list telling; /* and those in which one of these texts stands */
    struct lh_str *texts;       /* ascending: keys that get the form */
    size_t text_count;
    struct lh_str *sealed; /* ascending: hashes of sealed keys that get it */
    size_t sealed_count;
    enum tombstone_form form;
    struct lh_str actor, reason;
    struct lh_arena *arena;
    const uint8_t *secret; /* filled */
};
/* Commits the records written anew, with the keys' hashes. LH_RACE: keys of the column were
 * tombstoned or lifted since `dataset`, or its records written together; rows that came with a key
 * that is tombstoned, and what happened to other columns, are no race. */
enum lh_code tombstone_rehash(struct rehash *rehash, int64_t *ret_version,
                              struct lh_error *err) LH_MUST_USE;
/* Whether a reason, or who wanted it, holds one of the telling texts. */
enum lh_code tombstone_tells(const struct rehash *rehash, bool *ret,
                             struct lh_error *err) LH_MUST_USE;
int compare_str(const void *a, const void *b); /* of struct lh_str, for sorting */

#endif
