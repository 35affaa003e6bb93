/* What the files of erasures share. Never leaves the folder. */
#ifndef LAKEHOUSE_LAKE_ERASING_INTERNAL_H
#define LAKEHOUSE_LAKE_ERASING_INTERNAL_H

#include <jansson.h>

#include "base/cancel.h"
#include "lake/canaries.h"
#include "lake/erasing.h"
#include "storage/storage.h"

struct catalog;
struct catalog_dataset;
struct catalog_object;
struct engine;

#define ERASE_FOLDER "_erase"
#define ERASE_BYTES_MAX ((size_t)64 << 20)

/* --- erase_record.c: the files of one erasure, under _erase/<id>. */

struct erase_request { /* .request.json: goes at the end, for it holds the keys */
    struct lh_str dataset;
    struct lh_str row_key_column;
    struct lh_json_value row_key_values;
    struct lh_str actor, committer, reason;
    struct lh_str_list dataset_ids;
    struct lh_time created_at;
};
struct erase_plan {          /* .plan.json: likewise, for it holds what the rows held */
    struct lh_list datasets; /* struct lake_erased_dataset: as they were */
    struct lh_str_list keys;
    struct lh_str_list texts;
    int64_t texts_short;
    int64_t texts_left_out; /* there were too many */
    bool is_loose;          /* a key's column is no text: 7 and 7.0 are one */
};
struct erase_done { /* what all attempts together did to a dataset */
    struct lh_str dataset_id;
    bool is_hidden;
    bool is_touched; /* it has, or had, something of the keys: it is written anew */
    int64_t rows;    /* that could be seen before */
    int64_t retained_before, version_then; /* its oldest version first, its newest at a hiding */
    int64_t versions_expired;
    int64_t files_removed;
    int64_t rejected_rows;
};
struct erase_progress {      /* .progress.json: likewise, though it names no key */
    struct lh_list datasets; /* struct erase_done: one each of the request's */
    struct lh_str outcomes;  /* a letter for each value (erase_hide.c) */
    int64_t hides_begun, hides_noted;
    bool is_counting; /* something goes, and is not counted yet */
    bool is_at_least; /* a kill came meanwhile */
    const struct lake_erased_journal *journal;
    int64_t answers_removed;
};
extern const struct lh_fields erase_request_fields;
extern const struct lh_fields erase_plan_fields;
extern const struct lh_fields erase_progress_fields;

/* Reads "<id>.<what>.json"; LH_NOT_FOUND. JSON stays as long as the arena. */
enum lh_code erase_read(struct storage *storage, struct lh_str id, const char *what,
                        const struct lh_fields *fields, struct lh_arena *arena, void *ret,
                        struct lh_error *err) LH_MUST_USE;
enum lh_code erase_write(struct storage *storage, struct lh_str id, const char *what,
                         const struct lh_fields *fields, const void *record,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code erase_progress_note(struct storage *storage, struct lh_str id,
                                 const struct erase_progress *progress,
                                 struct lh_error *err) LH_MUST_USE;
/* Request, plan and progress, for good. */
enum lh_code erase_forget(struct storage *storage, struct lh_str id,
                          struct lh_error *err) LH_MUST_USE;
/* Of a job: which erasure. */
enum lh_code erase_read_args(struct lh_str text, struct lh_arena *arena, struct lh_str *ret_id,
                             struct lh_error *err) LH_MUST_USE;
enum lh_code erase_note_job(struct storage *storage, struct lh_str id, struct lh_str job_id,
                            struct lh_error *err) LH_MUST_USE;
/* Absent: it is not known. */
struct lh_str erase_job_of(struct storage *storage, struct lh_str id, struct lh_arena *arena);
/* All that is known of one whose records cannot be read. */
void erase_fill_unread(struct lh_str id, enum lake_erase_state state, struct lake_erasure *ret);

/* --- erase_hide.c */

/* What earlier attempts noted, or nothing; in `arena`. */
enum lh_code erase_progress_open(struct storage *storage, struct lh_str id,
                                 const struct erase_request *request, struct lh_arena *arena,
                                 struct erase_progress *ret, struct lh_error *err) LH_MUST_USE;
/* NULL: it is not one of the request's. */
struct erase_done *erase_done_of(struct erase_progress *progress, struct lh_str dataset_id);
/* What was found of each value: struct lake_erase_value, in `arena`. */
struct lh_list erase_values_of(const struct erase_progress *progress, const json_t *asked,
                               struct lh_arena *arena);
bool erase_has_match(struct lh_list values);
/* What erase_hide would hide; the outcomes of *progress are filled, and how many rows if nothing
 * was hidden yet. */
enum lh_code erase_hide_trial(struct lake *lake, const struct erase_request *request,
                              struct erase_progress *progress, const struct lh_cancel *cancel,
                              struct lh_arena *arena, int64_t *ret_keys,
                              struct lh_error *err) LH_MUST_USE;
/* The rows are seen no more from here on, in all datasets of the request that are there; and how
 * many they were is noted. Again and again: what was lifted meanwhile is hidden again. */
enum lh_code erase_hide(struct lake *lake, struct lh_str id, const struct erase_request *request,
                        struct erase_progress *progress, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct lh_error *err) LH_MUST_USE;

/* Around what goes and is counted afterwards: a kill between the two makes counts lower bounds. The
 * end returns `so_far` if that is an error, whose err stays. */
enum lh_code erase_begin_count(struct lake *lake, struct lh_str id, struct erase_progress *progress,
                               struct lh_error *err) LH_MUST_USE;
enum lh_code erase_end_count(struct lake *lake, struct lh_str id, struct erase_progress *progress,
                             enum lh_code so_far, struct lh_error *err) LH_MUST_USE;

/* Notes what became of the journal: of *now and of what earlier attempts did, since the erasure was
 * asked for, *now becomes the sum. */
enum lh_code erase_note_journal(struct lake *lake, struct lh_str id, struct lh_time since,
                                struct erase_progress *progress, struct lake_erased_journal *now,
                                struct lh_arena *arena, struct lh_error *err) LH_MUST_USE;

/* --- erase_objects.c */

struct lh_list erase_objects_of(const struct catalog_dataset *dataset, struct lh_arena *arena);
/* Those, and of older versions that are kept, up to LAKE_ERASE_OBJECTS_MAX. */
enum lh_code erase_objects_kept(struct catalog *catalog, const struct catalog_dataset *dataset,
                                struct lh_arena *arena, struct lh_list *ret,
                                struct lh_error *err) LH_MUST_USE;
/* Those of `from` that are not in `those`. */
struct lh_list erase_objects_without(struct lh_list from, struct lh_list those,
                                     struct lh_arena *arena);

/* --- erase_rows.c: what the rows of the keys hold */

struct erase_rows {
    struct storage *storage;
    struct engine *engine;
    struct lh_str column; /* as stored */
    struct lh_str type;
    const json_t *values;
    const struct lh_cancel *cancel;
};
/* Calls each(text) for every text that a row of the keys holds in one of the data files that the
 * dataset's folders have, of whichever version and bucket. One of `buckets` that cannot be read is
 * an error. */
enum lh_code erase_rows_texts(const struct erase_rows *rows, struct lh_str dataset_id,
                              struct lh_str_list buckets,
                              void (*each)(void *context, struct lh_str text), void *context,
                              struct lh_error *err) LH_MUST_USE;
/* How many rows of the keys the data file at an absolute path has. */
enum lh_code erase_rows_count(const struct erase_rows *rows, struct lh_str path, int64_t *ret,
                              struct lh_error *err) LH_MUST_USE;

/* --- erase_keys.c: keys of any length */

struct erase_keys;
/* The values of a request as texts, as they are given; in `arena`. */
struct lh_str_list erase_keys_of(const json_t *values, struct lh_arena *arena);
/* The lists as one, each text once, and UUIDs in lower and in upper case. */
struct lh_str_list erase_keys_join(const struct lh_str_list *lists, size_t count,
                                   struct lh_arena *arena);
/* UUIDs are the same in either case; `is_loose`: numbers in every spelling. All in `arena`, texts
 * borrowed. */
struct erase_keys *erase_keys_new(struct lh_str_list texts, bool is_loose, struct lh_arena *arena);
bool erase_keys_has(const struct erase_keys *keys, struct lh_str text); /* it is one */
bool erase_keys_in(const struct erase_keys *keys, struct lh_str text);  /* as a word of its own */
/* A number, a moment or the like: columns may hold it in another form than as a text. */
bool erase_key_is_value(struct lh_str key);
/* Long enough to mean something wherever it stands. */
bool erase_key_is_distinctive(struct lh_str key);

/* --- erase_answers.c */

struct erase_answers {
    struct storage *storage;
    const struct canaries *canaries;
    const struct erase_keys *keys;
    int64_t *count; /* of those that were changed or went */
    bool is_trial;  /* only counts */
};
enum lh_code erase_answers(const struct erase_answers *of, struct lh_error *err) LH_MUST_USE;
/* Moves records of saved queries and profiles that newer ones took the place of to the trash, if
 * something of the rows stands in them. */
#define ERASE_RECORD_FOLDERS LH_LIT("_catalog/queries"), LH_LIT("_catalog/profiles")
enum lh_code erase_old_records(struct storage *storage, const struct canaries *canaries,
                               struct lh_error *err) LH_MUST_USE;
/* Forgets jobs that have ended and in whose records something of the rows stands. */
struct jobs;
enum lh_code erase_jobs(struct jobs *jobs, const struct canaries *canaries,
                        struct lh_error *err) LH_MUST_USE;
/* A key of any length (NULL: a distinctive one), or a text of the rows. */
bool erase_holds(const struct canaries *canaries, const struct erase_keys *keys,
                 struct lh_str text);

/* --- erase_pseudonyms.c */

/* "erased:<16 digits>", or where that cannot be made, "erased". */
struct lh_str erase_pseudonym(struct catalog *catalog, struct lh_str key, struct lh_arena *arena);
/* The text with a pseudonym for each key that stands in it, in `arena`; or the text itself. */
struct lh_str erase_without_keys(const struct canaries *canaries, struct catalog *catalog,
                                 struct lh_str text, struct lh_arena *arena);

/* --- erase_journal.c */

struct journal;
struct erase_journal {
    struct catalog *catalog;
    struct journal *journal;
    const struct canaries *canaries;
    const struct erase_keys *keys;
    const struct lake_erased_dataset *datasets;
    size_t dataset_count;
    struct lh_str actor;
    struct lh_str id; /* of the erasure: the event names it */
    bool is_trial;    /* only counts */
    const struct lh_cancel *cancel;
};
/* Keys become pseudonyms in every record, and a field in which a text of a row stands goes as a
 * whole: of records that name a key, any text; of others, one that is not dropped. Errors as
 * journal_erase. */
enum lh_code erase_journal(const struct erase_journal *of, struct lh_arena *arena,
                           struct lake_erased_journal *ret, struct lh_error *err) LH_MUST_USE;

/* --- erase_rejects.c */

struct erase_rejects {
    struct storage *storage;
    struct engine *engine;
    const struct canaries *canaries;
    const struct erase_keys *keys;
    const struct lh_cancel *cancel;
};
/* Of the dataset's rows that were not taken those in which something of the erased ones stands say
 * "erased" afterwards; *ret_rows is how many. */
enum lh_code erase_rejects(const struct erase_rejects *of, struct lh_str dataset_id,
                           int64_t *ret_rows, struct lh_error *err) LH_MUST_USE;
/* How many such rows a file has, by its path below the data folder. */
enum lh_code erase_rejects_count(const struct erase_rejects *of, struct lh_str file, int64_t *ret,
                                 struct lh_error *err) LH_MUST_USE;

#endif
