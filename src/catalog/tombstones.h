/* Tombstones: keys whose rows nobody sees, in any version, and which rows those are.
 *
 *   catalog_tombstone ─▶ values typed as the column ─▶ rows found in the data files
 *                                      ─▶ tombstone object ─▶ commit ─▶ hidden from then on
 *
 * A tombstone names a key, not today's rows: rows of it that come later are hidden as they come
 * (catalog_arrivals), in whichever version. What a dataset's newest version lists counts for all
 * its versions. Rows that an upsert put others in the place of are a thing of their own: they are
 * hidden from that version on, and name no key.
 *
 * Positions are found once and kept (docs/formats/tombstones.md). Of files for which they are not
 * known (a file of an old version, one that came while the tombstone was made) they are found when
 * somebody reads them. Keys are compared as values of the column's type; NULL is no key.
 *
 * Each column has a list of keys of its own. A row is hidden as long as one of the lists hides it:
 * lifting a key of one column shows no row that a key of another one hides.
 *
 * Threads: any thread may call anything. Blocking: everything here may read files; commits write.
 */
#ifndef LAKEHOUSE_CATALOG_TOMBSTONES_H
#define LAKEHOUSE_CATALOG_TOMBSTONES_H

#include <jansson.h>

#include "base/cancel.h"
#include "catalog/catalog.h"

struct engine;

#define CATALOG_TOMBSTONE_KEYS_MAX ((size_t)100000)
#define CATALOG_KEY_BYTES_MAX ((size_t)65536)
#define CATALOG_KEY_COLUMNS_MAX ((size_t)16) /* by which the rows of one dataset are named */

/* --- reading */

struct catalog_hidden; /* hidden rows of one version's files; immutable, reference-counted */

enum catalog_hiding {
    CATALOG_HIDE_ALL,     /* tombstones and replaced rows */
    CATALOG_HIDE_REPLACED /* not the tombstones: what __raw__ shows */
};
/* What of `dataset`, which may be of any version, nobody sees as of `snapshot`. *ret is NULL if
 * nothing is hidden, at no cost without tombstones; ended by catalog_hidden_unref. `engine` reads
 * what is not known yet. LH_DAMAGED: a tombstone object is not what was written. */
enum lh_code catalog_hidden_open(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                 const struct catalog_dataset *dataset, enum catalog_hiding hiding,
                                 struct engine *engine, const struct lh_cancel *cancel,
                                 struct catalog_hidden **ret, struct lh_error *err) LH_MUST_USE;
struct catalog_hidden *catalog_hidden_ref(struct catalog_hidden *hidden);
void catalog_hidden_unref(struct catalog_hidden *hidden);         /* NULL is fine */
int64_t catalog_hidden_rows(const struct catalog_hidden *hidden); /* 0 of NULL */

/* The hidden rows of one file: bits in pages, so that few of many rows take little. */
#define CATALOG_ROWS_PER_PAGE 4096
struct catalog_rows {
    uint64_t *const *pages; /* NULL: none of those rows */
    size_t page_count;
    int64_t count;
};
/* Of dataset->objects[index]; NULL: none. */
const struct catalog_rows *catalog_hidden_of(const struct catalog_hidden *hidden, size_t index);
static inline bool catalog_rows_has(const struct catalog_rows *rows, uint64_t row)
{
    size_t page = (size_t)(row / CATALOG_ROWS_PER_PAGE);
    const uint64_t *bits = page < rows->page_count ? rows->pages[page] : NULL;
    return bits && (bits[row % CATALOG_ROWS_PER_PAGE / 64] >> (row % 64) & 1);
}

/* Whether a dataset of that name was dropped with tombstones, and is still known. They do not count
 * for another one of its name: whoever makes that is told. */
bool catalog_dropped_with_tombstones(const struct catalog_snapshot *snapshot, struct lh_str name);

/* A number that differs whenever what is hidden of `dataset` may: 0 without tombstones. No more
 * than a look-up. */
uint64_t catalog_hidden_stamp(const struct catalog_snapshot *snapshot,
                              const struct catalog_dataset *dataset);

/* --- tombstones */

struct catalog_tombstone_request {
    struct lh_str name;       /* of the dataset, unless: */
    struct lh_str dataset_id; /* its id, whatever it is called by now */
    struct lh_str column;     /* LIFT: may be absent where there is one */
    const json_t *values;     /* an array of texts, numbers and booleans */
    struct lh_str actor;      /* who wants it: kept with the tombstone */
    struct lh_str committer;  /* who does it: kept with the version */
    struct lh_str reason;
    struct lh_str idempotency_key; /* absent = none */
    struct lh_str request_hash;
    int64_t expected_version; /* 0 = any */
    bool is_erasure;          /* no event names a key; of whatever column */
    bool adds_column;         /* though the tombstones that are there name rows by another one */
    bool is_trial;            /* says what it would do, and commits nothing */
};
enum catalog_key_outcome {
    CATALOG_KEY_DONE,
    CATALOG_KEY_ALREADY,  /* it was done before: success */
    CATALOG_KEY_NO_MATCH, /* no row has it; LIFT: it is not tombstoned */
    CATALOG_KEY_NULL,
    CATALOG_KEY_TYPE,   /* it is no value of the column's type */
    CATALOG_KEY_ERASED, /* LIFT: its rows were erased, nobody can bring them back */
};
struct catalog_key_result {
    struct lh_str value; /* as it was given: JSON */
    enum catalog_key_outcome outcome;
    int64_t rows;   /* that are hidden, or shown again, by it */
    bool is_erased; /* ALREADY: of the key only a hash is kept, its rows were erased */
};
struct catalog_tombstone_result {
    struct lh_str name;   /* of the dataset, as the catalog writes it */
    struct lh_str column; /* likewise */
    struct lh_str type;
    int64_t version;                   /* that the dataset has now; unchanged if nothing was done */
    int64_t rows;                      /* that were hidden, or shown again */
    int64_t keys;                      /* that were tombstoned, or lifted */
    struct catalog_key_result *values; /* one per value, in their order */
    size_t value_count;
};
/* Hides the rows of these keys, now and when they come again. Values that are refused (NULL, not of
 * the type, no row has them) make no tombstone and do not keep the others from theirs. LH_INVALID:
 * the column cannot be a key, or no value is of its type; LH_NOT_FOUND; LH_CONFLICT: tombstones
 * name rows by too many other columns. */
enum lh_code catalog_tombstone(struct catalog *catalog, struct engine *engine,
                               const struct catalog_tombstone_request *request,
                               const struct lh_cancel *cancel, struct lh_arena *arena,
                               struct catalog_tombstone_result *ret,
                               struct lh_error *err) LH_MUST_USE;
/* Shows the rows of these keys again, those that came while they were tombstoned too, but for those
 * that a key of another column hides. LH_INVALID also: it does not say which of several columns. */
enum lh_code catalog_tombstone_lift(struct catalog *catalog, struct engine *engine,
                                    const struct catalog_tombstone_request *request,
                                    const struct lh_cancel *cancel, struct lh_arena *arena,
                                    struct catalog_tombstone_result *ret,
                                    struct lh_error *err) LH_MUST_USE;

/* Of a version whose manifest has no event of each key that it tombstoned or lifted, because they
 * are many: adds those to its commit's events, in `arena`. For who drains commits. */
enum lh_code catalog_tombstone_events(struct catalog *catalog, struct catalog_version *version,
                                      struct lh_arena *arena, struct lh_error *err) LH_MUST_USE;

struct catalog_tombstone_item {
    struct lh_str column;
    struct lh_str value; /* as SQL writes it */
    int64_t deleted_at_ms;
    struct lh_str actor;
    struct lh_str reason;
    struct lh_str place; /* as the next question's `after` */
};
/* Of one column (absent: of all, by their names), in the order of values as texts, behind the place
 * `after` (absent: from the first), at most `limit`. LH_NOT_FOUND: no such column. LH_INVALID: the
 * place does not say of which of several columns it is. */
enum lh_code catalog_tombstone_list(struct catalog *catalog, const struct catalog_dataset *dataset,
                                    struct lh_str column, struct lh_str after, size_t limit,
                                    struct lh_arena *arena, struct catalog_tombstone_item **ret,
                                    size_t *ret_count, struct lh_error *err) LH_MUST_USE;

/* How many keys are tombstoned. */
enum lh_code catalog_tombstone_count(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     size_t *ret, struct lh_error *err) LH_MUST_USE;
/* Whether rows that were hidden in the older version `then` may be seen again, or others were
 * replaced since: then files that were written without the hidden ones are not those of `dataset`.
 */
enum lh_code catalog_tombstones_differ(struct catalog *catalog,
                                       const struct catalog_dataset *dataset,
                                       const struct catalog_dataset *then, bool *ret,
                                       struct lh_error *err) LH_MUST_USE;

/* Keys of which no version that is kept has a row any more stay as keyed hashes only: they go on
 * suppressing, are listed no more, and can be lifted. For after versions have expired; costs
 * nothing where none can be, else the key column is read. *ret_keys is how many it did. */
enum lh_code catalog_seal_tombstones(struct catalog *catalog, struct engine *engine,
                                     struct lh_str dataset_id, const struct lh_cancel *cancel,
                                     int64_t *ret_keys, struct lh_error *err) LH_MUST_USE;

/* --- rows that come */

/* A file that is about to be committed into a dataset. */
struct catalog_arrival {
    struct lh_str dataset_id;
    struct lh_str path; /* where the engine reads it */
    struct lh_str key;  /* under which it will be */
    int64_t rows;
    const struct catalog_column *columns;
    size_t column_count;
};
struct catalog_arrived {
    int64_t suppressed_rows;           /* of tombstoned keys */
    int64_t through;                   /* for catalog_object.tombstones_through */
    uint64_t stamp;                    /* for catalog_change.tombstone_stamp */
    struct catalog_object *tombstones; /* published; for catalog_change.tombstones */
    size_t tombstone_count;            /* one of each column whose keys have rows in it */
};
/* Finds which of the file's rows have keys that are tombstoned now. Costs nothing without
 * tombstones. What it publishes is the caller's to trash if the commit does not come. */
enum lh_code catalog_arrivals(struct catalog *catalog, struct engine *engine,
                              const struct catalog_arrival *arrival, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct catalog_arrived *ret,
                              struct lh_error *err) LH_MUST_USE;

/* After such commits: writes many small objects of tombstones as one. Failures are logged. */
void catalog_tidy_tombstones(struct catalog *catalog, struct lh_str dataset_id);

struct catalog_replaced {
    int64_t rows;         /* that could be seen, and that others come in the place of */
    int64_t base_version; /* for catalog_change.base_version */
    bool has_object;
    struct catalog_object object; /* published; for catalog_change.tombstones */
};
/* Finds the rows that have a key which the file has, too, in the dataset as it is and, but for the
 * last of each key, in the file itself: an upsert hides them. NULL keys replace nothing.
 * LH_INVALID: the file has no such column, or it cannot be a key. */
enum lh_code catalog_replacements(struct catalog *catalog, struct engine *engine,
                                  const struct catalog_arrival *arrival, struct lh_str key,
                                  const struct lh_cancel *cancel, struct lh_arena *arena,
                                  struct catalog_replaced *ret, struct lh_error *err) LH_MUST_USE;

/* Whether live rows came from this very source with these options, and none of them was deleted or
 * replaced since they came. Texts of *ret live as long as the dataset; it is written only if so. */
enum lh_code catalog_whole_source(struct catalog *catalog, struct engine *engine,
                                  const struct catalog_snapshot *snapshot,
                                  const struct catalog_dataset *dataset,
                                  struct lh_str source_sha256, struct lh_str source_options,
                                  const struct lh_cancel *cancel, bool *ret_is_whole,
                                  struct catalog_source *ret, struct lh_error *err) LH_MUST_USE;
/* The same of one source of one of the dataset's objects, by catalog_object_source's index;
 * `hidden` is what is hidden of the dataset, NULL: nothing. */
enum lh_code catalog_source_is_whole(struct catalog *catalog, const struct catalog_dataset *dataset,
                                     const struct catalog_hidden *hidden, size_t object_index,
                                     size_t source_index, bool *ret,
                                     struct lh_error *err) LH_MUST_USE;

#endif
