/* What trials, tuning and promotions share. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_TRIALS_H
#define LAKEHOUSE_SEARCH_TRIALS_H

#include "search/bench.h"
#include "search/ledger.h"
#include "search/tuning.h"

#define TRIALS_KEPT 10000 /* of an index, when batches are merged */

extern const struct ledger trials_ledger;
extern const struct ledger promotions_ledger;

/* Measures one configuration on a graph that was built for it, or for one that builds the same, and
 * keeps what was measured. `job_id` absent: of no job. In `arena`. */
struct trial_case {
    struct bench *bench;
    const struct bench_graph *graph;
    const struct search_configuration *configuration;
    struct lh_str actor, job_id;
};
enum lh_code trial_measure(const struct trial_case *of, struct lh_arena *arena,
                           struct search_trial *ret, struct lh_error *err) LH_MUST_USE;
/* All trials of an index, oldest first. */
enum lh_code trials_read(struct search *search, const struct index_manifest *manifest,
                         struct lh_arena *arena, struct search_trial **ret, size_t *ret_count,
                         struct lh_error *err) LH_MUST_USE;
/* All promotions and rollbacks, oldest first; the last one is in force. */
enum lh_code promotions_read(struct search *search, const struct index_manifest *head,
                             struct lh_arena *arena, struct search_promotion **ret,
                             size_t *ret_count, struct lh_error *err) LH_MUST_USE;
/* tuning_tables.c: for SQL, which reaches them by the names that lake/ gives. */
enum lh_code tuning_tables_register(struct search *search, struct lh_error *err) LH_MUST_USE;
/* Which of them wins: of those with the best recall, or that find `min_recall` (if any does and the
 * metric is latency), the quickest. Of those that are nearly as quick, the one that looks at the
 * fewest rows, then has more recall, then the narrowest walk, then comes first. There is one at
 * least. */
size_t trial_choose(const struct search_trial *trials, size_t count, enum search_metric metric,
                    double min_recall);

/* Makes the eval set that is asked for fit: the usual one is drawn when it is not there, what was
 * drawn is drawn anew when it is stale. LH_NOT_FOUND. */
enum lh_code harness_settle(struct search *search, const struct index_manifest *head,
                            struct lh_str name, struct lh_str actor, const struct lh_cancel *cancel,
                            struct lh_arena *arena, bool *ret_is_renewed,
                            struct lh_error *err) LH_MUST_USE;
void tunings_free(struct search *search);

#endif
