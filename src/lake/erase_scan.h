/* The search for what rows held: through every file of the data folder, and of other buckets. Never
 * leaves the folder. */
#ifndef LAKEHOUSE_LAKE_ERASE_SCAN_H
#define LAKEHOUSE_LAKE_ERASE_SCAN_H

#include "lake/erasing_internal.h"

/* --- erase_scan.c: every file of the lake */

struct erase_scanning {
    struct storage *storage;
    struct catalog *catalog;
    struct search *search;
    struct engine *engine;
    struct canaries *canaries;
    const struct lh_cancel *cancel;
    struct lh_arena *arena; /* of what is found */
    bool looks_only;        /* in other buckets, nothing goes */
    bool has_values;        /* a key may stand in a column of numbers, dates or the like */
    /* Datasets whose objects_removed are known: in primary, too, none of those stays. */
    const struct lake_erased_dataset *erased;
    size_t erased_count;
    struct lh_str own; /* files that begin so are the erasure's own */
    struct lake_erase_scan result;
    struct lake_erase_finding *found; /* LAKE_ERASE_FOUND_MAX */
    size_t found_count, found_more;
    /* Told of each finding, those past the most too; may be NULL. */
    void (*told)(void *context, struct lh_str object);
    void *context;
    struct lh_str not_read[16]; /* that could not be looked into */
    size_t not_read_count, not_read_more;
    struct lh_str pending; /* another erasure that has not ended; its files are passed over */
    size_t pending_count;  /* of such files */
};
/* Texts that these data files hold are of rows that are left: they are not searched for (unless
 * `keys_only`), and keys within longer words of theirs only as words. */
enum lh_code erase_scan_shared(struct erase_scanning *scanning,
                               const struct catalog_object *const *objects, size_t count,
                               bool keys_only, struct lh_error *err) LH_MUST_USE;
enum lh_code erase_scan(struct erase_scanning *scanning, struct lh_error *err) LH_MUST_USE;
/* One file, as `object` in what is found: open, and at an absolute path. */
enum lh_code erase_scan_file(struct erase_scanning *scanning, struct lh_str object,
                             struct lh_str path, int fd, struct lh_error *err) LH_MUST_USE;
/* Nothing goes on after it; all other errors are of one file. */
bool erase_is_final(enum lh_code code);
void erase_scan_find(struct erase_scanning *scanning, struct lh_str object, struct lh_str what);

/* --- erase_buckets.c */

/* In primary what is left of files that no version names any more: copies for rescues of files that
 * lay elsewhere. In every other bucket: what no version names of these datasets' folders, their
 * trash, and uploads that nobody ends. All that goes for good, in all versions that a store keeps
 * (nothing where scanning->looks_only); what is left in other buckets is searched. What cannot be
 * removed, or looked into, is found. */
enum lh_code erase_buckets(struct erase_scanning *scanning, struct lh_str_list dataset_ids,
                           struct lh_list *ret, struct lh_error *err) LH_MUST_USE;
/* Calls each() with the Parquet files of these datasets that lie in such buckets, in the trash and
 * in whichever version. A bucket that cannot be looked into is passed over: erase_buckets tells. */
enum lh_code erase_buckets_each(struct storage *storage, struct lh_str_list dataset_ids,
                                const struct lh_cancel *cancel,
                                enum lh_code (*each)(void *context, struct lh_str object,
                                                     struct lh_str path, struct lh_error *err),
                                void *context, struct lh_error *err) LH_MUST_USE;

#endif
