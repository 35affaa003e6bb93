/* One attempt at an erasure, and what its steps share. Never leaves the folder. */
#ifndef LAKEHOUSE_LAKE_ERASE_RUN_H
#define LAKEHOUSE_LAKE_ERASE_RUN_H

#include "catalog/catalog.h"
#include "jobs/jobs.h"
#include "lake/erasing_internal.h"

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
};

/* --- erase_job.c */

/* What the job says that it does. */
void erase_show(struct erase_run *run, const char *phase);
/* The rows of the keys in the dataset's files, as it is now. */
struct erase_rows erase_run_rows(const struct erase_run *run,
                                 const struct catalog_dataset *dataset);
/* False: it was dropped meanwhile; else its name is the one that it has now. */
bool erase_run_is_there(struct erase_run *run, struct lake_erased_dataset *dataset);

/* --- erase_plan.c: what the rows held, which is written down once */

enum lh_code erase_find_plan(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

/* --- erase_proof.c: the search at the end */

/* Before the records of others are written anew: what rows hold that are left is not taken out. */
enum lh_code erase_find_shared(struct erase_run *run, struct lh_error *err) LH_MUST_USE;
/* Fills run->scanning, and what the datasets have now. */
enum lh_code erase_prove(struct erase_run *run, struct lh_error *err) LH_MUST_USE;

#endif
