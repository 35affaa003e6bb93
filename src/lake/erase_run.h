/* One attempt at an erasure, and what its steps share. Never leaves the folder. */
#ifndef LAKEHOUSE_LAKE_ERASE_RUN_H
#define LAKEHOUSE_LAKE_ERASE_RUN_H

#include "catalog/catalog.h"
#include "jobs/jobs.h"
#include "lake/erase_scan.h"

struct search_index_info;

struct erase_run {
    struct lake *lake;
    struct job *job;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct lh_str id;
    struct erase_request request;
    struct erase_plan plan;
    struct erase_progress progress;
    struct lake_erased_dataset *datasets; /* of the plan, filled further */
    size_t dataset_count;
    struct canaries *canaries;
    const struct erase_keys *keys; /* of the plan */
    struct lake_erasure receipt;
    struct lake_erased_journal journal;
    struct lh_str journal_problem; /* why it stayed as it is */
    struct erase_scanning scanning;
    bool is_short; /* of room: what is left to do does not fit on the disk */
    bool has_shared_keys;
    bool has_work;               /* something of the keys was found, or was done */
    struct erase_others *others; /* of the last search */
    size_t own_count;            /* of its findings: those that are nothing of the others' */
};

/* --- erase_job.c */

/* What the job says that it does. */
void erase_show(struct erase_run *run, const char *phase);
/* The rows of the keys in the dataset's files, as it is now. */
struct erase_rows erase_run_rows(const struct erase_run *run,
                                 const struct catalog_dataset *dataset);
/* False: it was dropped meanwhile; else its name is the one that it has now. */
bool erase_run_is_there(struct erase_run *run, struct lake_erased_dataset *dataset);
/* It is there, and has, or had, something of the keys. */
bool erase_run_has_work(struct erase_run *run, struct lake_erased_dataset *dataset);

/* --- erase_room.c: on a full disk */

/* Before the first of them: all that the erasure writes anew has room together, or nothing of the
 * reserve is spent on it. */
enum lh_code erase_room_for_all(struct erase_run *run, struct lh_error *err) LH_MUST_USE;
/* Before the files of the dataset are written anew, an index is built, and the journal: gives up of
 * the reserve what is missing. LH_FULL with what to do: not even so. */
enum lh_code erase_room_for_dataset(struct erase_run *run, struct lh_str name,
                                    struct lh_error *err) LH_MUST_USE;
enum lh_code erase_room_for_index(struct erase_run *run, const struct search_index_info *index,
                                  struct lh_error *err) LH_MUST_USE;
enum lh_code erase_room_for_journal(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

/* --- erase_plan.c: what the rows held, which is written down once */

enum lh_code erase_find_plan(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

/* --- erase_look.c */

struct erase_owner { /* of a file below the data folder */
    enum { ERASE_OF_NOBODY, ERASE_OF_DATASET, ERASE_OF_INDEX } kind;
    struct lh_str id;
    struct lh_str rest; /* of the path, below its folder */
    bool is_manifest, is_trash;
};
/* Of what is found: without the bucket and the version, where it has them. */
struct lh_str erase_key_of_object(struct lh_str object);
struct erase_owner erase_owner_of(struct lh_str path);
bool erase_owner_is_rejects(const struct erase_owner *owner);

struct erase_look {
    bool *has; /* one each of the run's datasets: what is its own has a key, or cannot be read */
    struct lake_erase_finding *places; /* LAKE_ERASE_FOUND_MAX, with lines that were not taken */
    size_t place_count;
    size_t unread_count;
};
/* Looks for keys of any length as values, in all that belongs to the run's datasets. */
enum lh_code erase_look(struct erase_run *run, struct erase_look *ret,
                        struct lh_error *err) LH_MUST_USE;

/* --- erase_work.c: what there is to do */

/* Sets is_touched of the datasets that must be written anew, and run->has_work if anything is found
 * anywhere; what was touched in an earlier attempt stays so. With `ret` (else NULL), which gets
 * what was found as values, all files are searched, else only where that decides something. */
enum lh_code erase_find_work(struct erase_run *run, struct erase_look *ret,
                             struct lh_error *err) LH_MUST_USE;

/* --- erase_elsewhere.c */

struct erase_others; /* the datasets that were not asked for; in the run's arena */
struct erase_others *erase_others_new(struct erase_run *run);
bool erase_others_has(struct erase_others *others, struct lh_str object); /* it is of one */
/* Notes that something was found in the object; false: it is of none of them. */
bool erase_others_take(struct erase_others *others, struct lh_str object);
/* Notes rows of the keys in a column of the same name. */
enum lh_code erase_others_count(struct erase_others *others, struct lh_error *err) LH_MUST_USE;
/* struct lake_erase_elsewhere: those in which something was found. */
struct lh_list erase_others_list(struct erase_others *others);

/* --- erase_proof.c: the search at the end */

/* Before the records of others are written anew: what rows hold that are left is not taken out. */
enum lh_code erase_find_shared(struct erase_run *run, struct lh_error *err) LH_MUST_USE;
/* Of whose files nothing but what versions name may be anywhere: the run's, and dropped ones. */
struct lh_str_list erase_run_ids(struct erase_run *run);
/* What version each dataset has now. */
enum lh_code erase_note_versions(struct erase_run *run, struct lh_error *err) LH_MUST_USE;
void erase_begin_scanning(struct erase_run *run);
/* Fills run->scanning, and what the datasets have now. */
/* The findings that count for its state: not the others', where one dataset was asked for. */
struct lh_list erase_own_findings(struct erase_run *run);
enum lh_code erase_prove(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

/* Keys that rows of other datasets have within longer words count as words from then on. Once. */
enum lh_code erase_share_keys(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

/* --- erase_pseudonyms.c */

/* The name of the file that the dataset's rows came from says no key afterwards, nor a text. */
enum lh_code erase_lineage(struct erase_run *run, struct lake_erased_dataset *dataset,
                           struct lh_error *err) LH_MUST_USE;
/* Keys in it become pseudonyms: of files, too, that are called so. */
enum lh_code erase_clean_receipt(struct erase_run *run, struct lake_erasure *receipt,
                                 struct lh_error *err) LH_MUST_USE;
/* Likewise those of earlier erasures. */
enum lh_code erase_clean_receipts(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

/* --- erase_tell.c */

/* What stands where in the manifest of a dataset, and what to do; absent: nothing that anybody
 * wrote. */
struct lh_str erase_tell_manifest(const struct erase_scanning *scanning, struct lh_str object);

/* --- erase_trial.c: the dry run */

enum lh_code erase_trial(struct lake *lake, const struct erase_request *request,
                         const struct lh_cancel *cancel, struct lh_arena *arena,
                         struct lake_erasure *ret, struct lh_error *err) LH_MUST_USE;

/* --- erase_receipt.c */

/* What to do about what other datasets have; absent: nothing. */
struct lh_str erase_hint(const struct lake_erasure *erasure);
/* Sentences; `journal_problem` is absent unless the journal could not be written anew. */
struct lh_str_list erase_not_covered(const struct erase_plan *plan,
                                     const struct erase_scanning *scanning, struct lh_str id,
                                     struct lh_str journal_problem, struct lh_arena *arena);

#endif
