/* Small things with names that people save: queries, profiles. The newest of each is in memory.
 *
 *   <folder>/<name in lower case>.<20-digit version>.json
 *
 * Every save is a version, written exclusively and never changed; removing writes one that says so,
 * and the numbers go on. What a name means is its newest version, which is never passed over for an
 * older one: one that cannot be read answers LH_DAMAGED until it is saved anew or removed. A record
 * begins with the checksum of its text (base/sealed.h). Names are compared without regard to case.
 *
 * Threads: any thread may call anything; reading takes a read lock for a look-up in memory, saving
 * and removing write to the disk and are durable when they return.
 */
#ifndef LAKEHOUSE_STORAGE_RECORDS_H
#define LAKEHOUSE_STORAGE_RECORDS_H

#include "base/field.h"

struct storage;
struct storage_findings;
struct storage_records; /* opaque; made by storage_records_open, ended by storage_records_close */

#define STORAGE_RECORD_BYTES_MAX ((size_t)1 << 20)

/* What the struct of every kind begins with. */
#define STORAGE_RECORD_MEMBERS                                                                     \
    struct lh_str name; /* as it was written */                                                    \
    int64_t version;                                                                               \
    struct lh_time saved_at;                                                                       \
    struct lh_str saved_by;                                                                        \
    bool is_removed; /* inside only */

struct storage_record {
    STORAGE_RECORD_MEMBERS
};

struct storage_record_kind {
    const char *folder;  /* "_catalog/queries" */
    const char *what;    /* "saved query" */
    const char *replace; /* a format of a hint for who meant to replace; takes the name */
    const char *mend;    /* a hint for who meets a damaged one */
    size_t count_max;    /* names that were ever used */
    const struct lh_fields *fields; /* of a file, STORAGE_RECORD_MEMBERS among them */
    bool (*is_name)(struct lh_str name);
    /* May be NULL. LH_DAMAGED: what was read cannot be one that was saved. */
    enum lh_code (*check)(const void *record, struct lh_error *err);
};

/* Reads all of them. Kind and storage are borrowed; storage is open for writing. */
enum lh_code storage_records_open(struct storage *storage, const struct storage_record_kind *kind,
                                  struct storage_records **ret, struct lh_error *err) LH_MUST_USE;
void storage_records_close(struct storage_records *records); /* NULL is fine */
/* How many names cannot be read; the first `most` of them are in `ret`, in `arena`. */
size_t storage_records_damaged(struct storage_records *records, struct lh_arena *arena,
                               struct lh_str *ret, size_t most);

/* Saves the record under its name, which is_name let pass; version and time are given here,
 * everything is copied. `over` is the version that it replaces: 0 for a new name (LH_EXISTS: it is
 * taken), -1 for whatever is there (LH_NOT_FOUND: nothing), else exactly that one
 * (LH_PRECONDITION). LH_TOO_LARGE: there are count_max, or it is longer than a record may be;
 * LH_RACE: somebody else was first; LH_IO, LH_FULL, LH_UNKNOWN. *ret in `arena`. */
enum lh_code storage_records_put(struct storage_records *records, const void *record, int64_t over,
                                 struct lh_arena *arena, void *ret,
                                 struct lh_error *err) LH_MUST_USE;
/* `over` as above, from -1. */
enum lh_code storage_records_remove(struct storage_records *records, struct lh_str name,
                                    int64_t over, struct lh_str actor,
                                    struct lh_error *err) LH_MUST_USE;

/* In the order of their names, those behind `after` (absent = from the first); *ret_next absent at
 * the end. *ret: an array of the kind's struct, copied into `arena`, as what storage_records_get
 * returns. LH_BUSY. */
enum lh_code storage_records_list(struct storage_records *records, struct lh_str after,
                                  size_t limit, struct lh_arena *arena, void **ret,
                                  size_t *ret_count, struct lh_str *ret_next,
                                  struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND with the nearest name; LH_DAMAGED. */
enum lh_code storage_records_get(struct storage_records *records, struct lh_str name,
                                 struct lh_arena *arena, void *ret,
                                 struct lh_error *err) LH_MUST_USE;

/* Looks at every record of a lake that nobody has open; *ret_count is how many names there are.
 * Findings are the result, not a failure. */
enum lh_code storage_records_verify(struct storage *storage, const struct storage_record_kind *kind,
                                    struct storage_findings *findings, int64_t *ret_count,
                                    struct lh_error *err) LH_MUST_USE;

#endif
