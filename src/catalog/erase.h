/* Erasing: what a tombstone hides goes for good, and only keyed hashes of the keys stay.
 *
 *   catalog_tombstone (is_erasure) ─▶ hidden from the next statement on
 *        ─▶ (the files that hold the rows are rewritten: query/compact.h)
 *        ─▶ catalog_erase_keys: the list of tombstones is written anew, with hashes for these keys
 *        ─▶ catalog_erase_past: every older version expires at once, with its files, its tombstones
 *           and its manifests
 *
 * Each step may be made again after a kill: it does what is left. A hashed key goes on suppressing:
 * rows of it that come are hidden and counted as before, and nobody can lift it.
 *
 * Threads: any. Blocks: reads and writes files, commits.
 */
#ifndef LAKEHOUSE_CATALOG_ERASE_H
#define LAKEHOUSE_CATALOG_ERASE_H

#include "catalog/tombstones.h"

/* Whether rows of the column can be erased from this dataset. LH_NOT_FOUND: it has no such column;
 * LH_INVALID: it cannot be a key; LH_CONFLICT: its tombstones name rows by too many others.
 * LH_NOT_FOUND also: a version that is kept has files in a bucket that there is not. Reads
 * manifests. */
enum lh_code catalog_erase_check(struct catalog *catalog, const struct catalog_dataset *dataset,
                                 struct lh_str column, struct lh_error *err) LH_MUST_USE;

/* LH_CONFLICT: a dropped dataset of that name (absent: any) that has the column keeps its files, so
 * that undoing the drop would bring the rows back. */
enum lh_code catalog_erase_check_dropped(struct catalog *catalog, struct lh_str name,
                                         struct lh_str column, struct lh_error *err) LH_MUST_USE;
/* The ids of all dropped datasets, in `arena`. */
struct lh_str_list catalog_erase_dropped(struct catalog *catalog, struct lh_arena *arena);

/* Of these values of the column (a list as of a tombstone request) those that are tombstoned, or
 * once were, stay only as hashes; *ret_keys is how many that are now or were before, *ret_version
 * the dataset's then. LH_RACE: tombstones changed again and again. */
enum lh_code catalog_erase_keys(struct catalog *catalog, struct engine *engine,
                                struct lh_str dataset_id, struct lh_str column,
                                const json_t *values, struct lh_str actor,
                                const struct lh_cancel *cancel, int64_t *ret_keys,
                                int64_t *ret_version, struct lh_error *err) LH_MUST_USE;
/* The erased rows may have been tombstoned by another column, too, whose keys name them as well. Of
 * the columns but this one, keys that no file of the newest version has a row of stay as sealed
 * hashes, and where none is left in clear, not who wanted it nor why; of all columns, no reason
 * and no actor stays that holds one of the values as its text, byte by byte, unless that has less
 * than six bytes. For between the rewriting and catalog_erase_past. */
enum lh_code catalog_erase_others(struct catalog *catalog, struct engine *engine,
                                  struct lh_str dataset_id, struct lh_str column,
                                  const json_t *values, const struct lh_cancel *cancel,
                                  struct lh_error *err) LH_MUST_USE;

/* Whether catalog_erase_keys would make hashes of some. */
enum lh_code catalog_erase_has_keys(struct catalog *catalog, struct engine *engine,
                                    const struct catalog_dataset *dataset, struct lh_str column,
                                    const json_t *values, const struct lh_cancel *cancel, bool *ret,
                                    struct lh_error *err) LH_MUST_USE;
/* Calls each() for every key of the column that an object of tombstones, given as its bytes, says
 * in clear. LH_DAMAGED: it is none. */
enum lh_code catalog_erase_each_key(struct lh_str bytes, struct lh_str column,
                                    void (*each)(void *context, struct lh_str text), void *context,
                                    struct lh_error *err) LH_MUST_USE;
/* The buckets that versions of it which are kept have files in, each once; in `arena`. Reads
 * manifests. */
enum lh_code catalog_erase_buckets(struct catalog *catalog, const struct catalog_dataset *dataset,
                                   struct lh_arena *arena, struct lh_str_list *ret,
                                   struct lh_error *err) LH_MUST_USE;
/* Calls each() for every data file of the versions of it which are kept, of the newest, too. Reads
 * manifests. LH_NOT_FOUND: it is there no more; LH_DAMAGED: a manifest cannot be read. */
enum lh_code catalog_erase_each_file(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     void (*each)(void *context, struct lh_str key,
                                                  const uint8_t *sha256),
                                     void *context, struct lh_error *err) LH_MUST_USE;
/* The keys of all files that a version names which is kept, or is being read, of whichever dataset;
 * ascending, in `arena`. What is published and not committed yet is not among them. LH_DAMAGED: one
 * dataset's cannot be known. LH_UNKNOWN: a commit's outcome is not. Reads all manifests. */
enum lh_code catalog_erase_named(struct catalog *catalog, struct lh_arena *arena,
                                 struct lh_str_list *ret, struct lh_error *err) LH_MUST_USE;

/* These values as texts, in each type in which they could be written down: that of the column now,
 * and those that it had when others of its keys were tombstoned. A value that is none of a type is
 * left out. In `arena`. */
enum lh_code catalog_erase_texts(struct catalog *catalog, struct engine *engine,
                                 const struct catalog_dataset *dataset, struct lh_str column,
                                 const json_t *values, const struct lh_cancel *cancel,
                                 struct lh_arena *arena, struct lh_str_list *ret,
                                 struct lh_error *err) LH_MUST_USE;

struct catalog_erased_past {
    int64_t retained_version; /* the oldest that there is now */
    int64_t version_count;    /* that expired now */
    int64_t file_count;       /* that went to the trash, manifests too */
    bool is_all;              /* false: somebody still reads an older version; ask again */
};
/* Expires every version but the newest, if *floor is 0, and says in it from which on they stay;
 * else goes on with what it began. The commits up to now must have been drained
 * (catalog_set_drained). What went lies in the trash of its bucket, under "datasets/<id>", and of
 * primary, "_catalog/datasets/<id>": whoever calls empties it. */
enum lh_code catalog_erase_past(struct catalog *catalog, struct lh_str dataset_id,
                                struct lh_str actor, struct lh_str reason, int64_t *floor,
                                struct catalog_erased_past *ret, struct lh_error *err) LH_MUST_USE;

/* A text by which it can be known again, by nobody else: "erased:<16 digits>". In `arena`. */
enum lh_code catalog_pseudonym(struct catalog *catalog, struct lh_str text, struct lh_arena *arena,
                               struct lh_str *ret, struct lh_error *err) LH_MUST_USE;

#endif
