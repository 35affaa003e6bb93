/* Tombstone objects as bytes and in memory, and sets of rows. Internal to the catalog; the format
 * is described in docs/formats/tombstones.md.
 */
#ifndef LAKEHOUSE_CATALOG_TOMBSTONE_INTERNAL_H
#define LAKEHOUSE_CATALOG_TOMBSTONE_INTERNAL_H

#include "catalog/internal.h"
#include "catalog/tombstones.h"

#define TOMBSTONE_SUFFIX ".tombstones"
#define TOMBSTONE_BYTES_MAX ((size_t)256 << 20)

/* --- tombstone_file.c: one object */

enum tombstone_kind {
    TOMBSTONE_KEYS = 1,    /* keys, and their rows in the files of version `base` */
    TOMBSTONE_LIFTED = 2,  /* keys that no longer are, and the rows that can be seen again */
    TOMBSTONE_ARRIVED = 3, /* rows of tombstoned keys in files that came with this commit */
    TOMBSTONE_REPLACED = 4 /* rows that others took the place of */
};
enum tombstone_form {
    TOMBSTONE_VALUE = 0,
    TOMBSTONE_HASHED = 1, /* of a key whose rows were erased: nobody lifts it */
    TOMBSTONE_SEALED = 2  /* of one whose rows are gone from every version: it can be lifted */
};

struct tombstone_key {
    enum tombstone_form form;
    struct lh_str text; /* the value as SQL writes it, or its keyed hash */
};
struct tombstone_file {
    struct lh_str key;    /* of the data file */
    const uint64_t *rows; /* ascending */
    size_t row_count;
};
struct tombstone_record {
    enum tombstone_kind kind;
    int64_t base;    /* version whose files were looked through */
    int64_t version; /* that brought it; 0: the one that added the object */
    struct lh_str column, type;
    int64_t time_ms;
    struct lh_str actor, reason;
    const struct tombstone_key *keys;
    size_t key_count;
    const struct tombstone_file *files;
    size_t file_count;
};
struct tombstone_content {
    struct lh_arena *arena;
    const struct tombstone_record *records;
    size_t record_count;
};
void tombstone_encode(const struct tombstone_record *records, size_t count, struct lh_buf *buf);
/* LH_DAMAGED; LH_FORMAT: of a newer release. `what` names it. */
enum lh_code tombstone_decode(struct lh_str bytes, struct lh_str what,
                              struct tombstone_content **ret, struct lh_error *err) LH_MUST_USE;
void tombstone_content_free(struct tombstone_content *content); /* NULL is fine */

/* The same of an object that is in no state; end *ret with tombstone_content_free. */
enum lh_code tombstone_load(struct storage *storage, const struct catalog_object *object,
                            struct lh_arena *scratch, struct tombstone_content **ret,
                            struct lh_error *err) LH_MUST_USE;
/* The version that brought a record of one of the dataset's objects. */
int64_t tombstone_version(const struct catalog_dataset *dataset,
                          const struct tombstone_record *record);
/* What an object of a state says; lives as long as the state. */
enum lh_code tombstone_read(struct storage *storage, const struct catalog_object *object,
                            const struct tombstone_content **ret, struct lh_error *err) LH_MUST_USE;
/* Writes an object and publishes it under a fresh key in the dataset's folder. */
enum lh_code tombstone_publish(struct catalog *catalog, struct lh_str dataset_id,
                               const struct tombstone_record *records, size_t count,
                               struct lh_arena *arena, struct catalog_object *ret,
                               struct lh_error *err) LH_MUST_USE;
/* Of rows that an upsert replaced: it belongs to versions, where the others belong to keys. */
bool tombstone_is_of_rows(const struct catalog_object *object);
struct lh_str tombstone_column(const struct catalog_object *object); /* absent: of rows */
bool tombstone_is_of_column(const struct catalog_object *object, struct lh_str column);
/* The columns by which its tombstones name rows, each once, the one first used first; in `arena`,
 * the names themselves in the dataset. */
struct lh_str_list tombstone_columns(const struct catalog_dataset *dataset, struct lh_arena *arena);
size_t tombstone_column_count(const struct catalog_dataset *dataset);
/* LH_DAMAGED: it holds records of another column than its manifest says. */
enum lh_code tombstone_check_records(const struct tombstone_content *content,
                                     const struct catalog_object *object,
                                     struct lh_error *err) LH_MUST_USE;

/* Of an own event's detail: each key has an event of its own, which the manifest does not hold
 * (tombstone_events.c). */
#define TOMBSTONE_EACH_KEY "each_key"
/* "people/42": what an event of a key is about. */
struct lh_str tombstone_entity(struct lh_str dataset, struct lh_str key, struct lh_arena *arena);

/* arrivals.c: writes many small objects as one, when there are. Says the same afterwards; a failure
 * is logged and changes nothing. */
void tombstone_fold(struct catalog *catalog, struct lh_str dataset_id);

/* LH_CONFLICT: it would be one column more than a dataset's tombstones may have, or, unless
 * `adds_column`, another than they have. */
enum lh_code tombstone_check_column(const struct catalog_dataset *dataset, struct lh_str column,
                                    bool adds_column, struct lh_error *err) LH_MUST_USE;

/* hidden.c: catalog_hidden_open of all but the tombstones of one column; kept by nobody. */
enum lh_code tombstone_hidden_but(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                  const struct catalog_dataset *dataset, struct lh_str column,
                                  struct engine *engine, const struct lh_cancel *cancel,
                                  struct catalog_hidden **ret, struct lh_error *err) LH_MUST_USE;

struct past_lists *past_new(void);
void past_free(struct past_lists *lists);
/* At which version the dataset's keys were last looked for in all files; 0: it is not known. */
int64_t past_sealed(struct past_lists *lists, struct lh_str dataset_id);
void past_set_sealed(struct past_lists *lists, struct lh_str dataset_id, int64_t version);
/* tombstone_past.c: sets ret_found[i] for keys that an older version has, in files that the newest
 * has not. */
enum lh_code tombstone_find_past(struct catalog *catalog, struct engine *engine,
                                 const struct catalog_dataset *now, struct lh_str column,
                                 struct lh_str type, const struct lh_str *texts, size_t text_count,
                                 bool *ret_found, const struct lh_cancel *cancel,
                                 struct lh_error *err) LH_MUST_USE;

/* --- rows.c: sets of rows */

struct row_set {
    struct catalog_rows view; /* pages is `pages` */
    uint64_t **pages;
    uint64_t row_count; /* of the file */
};
struct row_set *row_set_new(int64_t row_count);
void row_set_free(struct row_set *set); /* NULL is fine */
/* False: there is no such row. */
bool row_set_put(struct row_set *set, uint64_t row, bool is_in);
/* Puts in all rows of another set of the same file. */
void row_set_add(struct row_set *set, const struct row_set *other);
/* Lets equal pages be one; neither set is changed afterwards. */
void row_set_share(struct row_set *set, const struct row_set *older);
size_t row_set_list(const struct row_set *set, uint64_t *ret); /* ascending; how many */

/* --- keys.c: values as keys of a column, and the rows that have them */

/* LH_INVALID: the type cannot be a key's. */
enum lh_code keys_check_type(struct lh_str column, struct lh_str type,
                             struct lh_error *err) LH_MUST_USE;
/* Each value as the column's type writes it, or why not. */
struct typed_key {
    struct lh_str text; /* absent unless the outcome is DONE */
    enum catalog_key_outcome outcome;
};
enum lh_code keys_type(struct engine *engine, const json_t *values, struct lh_str type,
                       const struct lh_cancel *cancel, struct lh_arena *arena,
                       struct typed_key **ret, struct lh_error *err) LH_MUST_USE;

/* Files of one schema, in which `stored` is the key column. */
struct key_files {
    struct lh_str stored;
    struct lh_str type;     /* as which the column is read */
    struct lh_str key_type; /* of which the keys are values; absent: `type` */
    const struct lh_str *paths;
    size_t path_count;
};
/* Calls found(file, row, key) for every row that has one of the keys. */
enum lh_code keys_find(struct engine *engine, const struct key_files *files,
                       const struct lh_str *keys, size_t key_count, const struct lh_cancel *cancel,
                       void (*found)(void *context, size_t file, uint64_t row, size_t key),
                       void *context, struct lh_error *err) LH_MUST_USE;
/* Calls each(file, row, text) for the values that are one of `key_type`, as a key of it would have
 * been written. */
enum lh_code keys_values(struct engine *engine, const struct key_files *files,
                         const struct lh_cancel *cancel,
                         void (*each)(void *context, size_t file, uint64_t row, struct lh_str text),
                         void *context, struct lh_error *err) LH_MUST_USE;
/* False: keys of that type are compared by what they are in the column's, not by their texts. */
bool keys_have_values(const struct key_files *files);
/* keys_find for keys of which only keyed hashes are known, ascending: every value of the column is
 * hashed. */
enum lh_code keys_find_hashed(struct engine *engine, const struct key_files *files,
                              const uint8_t *secret, const struct lh_str *hashes, size_t hash_count,
                              const struct lh_cancel *cancel,
                              void (*found)(void *context, size_t file, uint64_t row, size_t key),
                              void *context, struct lh_error *err) LH_MUST_USE;

/* --- tombstone_keys.c: what the records of a dataset add up to */

struct key_entry {
    struct lh_str text;
    enum tombstone_form form;
    const struct tombstone_record *record;
    size_t order;
};
struct key_list { /* tombstoned now, ascending by text */
    struct key_entry *items;
    size_t count;
    struct lh_str column, type;
    struct lh_str *types; /* in which they were made, each once; NULL: not listed */
    size_t type_count;
    const uint8_t *secret; /* NULL: no key is hashed */
};
/* kept.c: of one column, kept from one question to the next; *ret lives as `arena`. */
enum lh_code tombstone_keys(struct catalog *catalog, const struct catalog_dataset *dataset,
                            struct lh_str column, struct lh_arena *arena, struct key_list *ret,
                            struct lh_error *err) LH_MUST_USE;
struct kept_keys *kept_new(void);
void kept_free(struct kept_keys *keys);
/* What objects of one column add up to behind what others did (NULL: nothing); texts are theirs. */
enum lh_code key_list_make(struct storage *storage, const struct key_list *older,
                           const struct catalog_object *const *objects, size_t object_count,
                           struct lh_arena *arena, struct key_list *ret,
                           struct lh_error *err) LH_MUST_USE;
/* Every key that records of the column name, lifted ones too. */
enum lh_code key_list_named(struct storage *storage, const struct catalog_dataset *dataset,
                            struct lh_str column, struct lh_arena *arena, struct key_list *ret,
                            struct lh_error *err) LH_MUST_USE;
const struct key_entry *key_list_find(const struct key_list *list, struct lh_str text);
/* Of a key of which only the hash is kept: NULL if there is none. */
const struct key_entry *key_list_find_hash(const struct key_list *list, struct lh_str text);
/* The types in which its keys were made, each once; of `arena`. */
struct lh_str *key_list_types(const struct key_list *list, struct lh_arena *arena,
                              size_t *ret_count);
/* keys_find by the keys of the list, each in the type in which it was made; `key` counts items. A
 * row that several keys name is found several times. */
enum lh_code key_list_rows(const struct key_list *list, struct engine *engine,
                           const struct key_files *files, const struct lh_cancel *cancel,
                           struct lh_arena *arena,
                           void (*found)(void *context, size_t file, uint64_t row, size_t key),
                           void *context, struct lh_error *err) LH_MUST_USE;

/* The same by the values of the files, each looked up: for files of fewer rows than the list has
 * keys. */
enum lh_code key_list_scan(const struct key_list *list, struct engine *engine,
                           const struct key_files *files, const struct lh_cancel *cancel,
                           struct lh_arena *arena,
                           void (*found)(void *context, size_t file, uint64_t row, size_t key),
                           void *context, struct lh_error *err) LH_MUST_USE;

/* The stored name of the dataset's key column in the files of a schema; absent: not in them. */
struct lh_str tombstone_stored(const struct catalog_dataset *dataset, struct lh_str fingerprint,
                               struct lh_str column);

#endif
