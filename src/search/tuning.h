/* Trials of graphs, what they are measured on, and what is promoted. See search.h for what holds of
 * all of it.
 *
 *   eval set (queries with their true nearest) ─▶ trial (a graph of some configuration, measured)
 *        ─▶ promotion (every build of the index uses that configuration) ─▶ rollback
 *
 * Recall here is always the share of the true nearest rows, as exact search gives them, that the
 * graph finds. Where people said which rows are relevant, the share of those is told beside it.
 * What is told of an eval set is held against the dataset's version now: a stale one is measured
 * against what is nearest now, and said to be stale.
 *
 * Trials and promotions are only added, never changed, and are read by SQL as the tables
 * hnsw_trials and hnsw_promotions. What is promoted stands in the index's manifest: switched with
 * it, at once and for good. Format: docs/formats/tuning.md.
 */
#ifndef LAKEHOUSE_SEARCH_TUNING_H
#define LAKEHOUSE_SEARCH_TUNING_H

#include "search/configuration.h"
#include "search/eval_sets.h"

/* --- trials ------------------------------------------------------------------------------------*/

/* Against what people said is relevant; each from 0 to 1. */
struct search_relevance {
    double recall;
    double mrr;  /* mean of 1 / the place of the first relevant row */
    double ndcg; /* gains discounted by place, of the best there could be */
};
extern const struct lh_fields search_relevance_fields;

struct search_trial {
    struct lh_str trial_id;   /* the later, the higher */
    struct lh_str index_name; /* today; not stored */
    struct lh_str harness;    /* the eval set */
    const struct search_configuration *config;
    double recall;
    double p50_us, p95_us; /* of one search in the graph */
    int64_t evaluations;   /* rows that one looks at, on average; 0: not counted */
    int64_t build_ms;      /* of the graph; also where a trial of the same job built it */
    int64_t bytes;         /* of the graph, without the vectors */
    int64_t queries, k;
    int64_t entries;                          /* chunks in the graph */
    const struct search_relevance *relevance; /* NULL: nobody labelled the queries */
    int64_t dataset_version;                  /* that the index covered */
    int64_t generation;
    bool is_stale; /* the eval set was: the truth was found anew */
    struct lh_str trial_by;
    struct lh_str job_id; /* of an autotune; absent: none */
    struct lh_time trial_at;
};
extern const struct lh_fields search_trial_fields;

struct search_trial_request {
    struct lh_str index_name;
    struct lh_str harness; /* absent: SEARCH_HARNESS_PRESET, drawn anew when it is stale */
    struct search_configuration configuration;
    struct lh_str actor;
};
/* Builds a graph beside what is served, measures it, and keeps what was measured. LH_NOT_FOUND: the
 * index or the eval set; LH_CONFLICT: it is being built, or has nothing to measure. */
enum lh_code search_trial_run(struct search *search, const struct search_trial_request *request,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct search_trial *ret, struct lh_error *err) LH_MUST_USE;
/* Newest first, those older than the trial `after`. */
enum lh_code search_trial_list(struct search *search, struct lh_str index_name, struct lh_str after,
                               size_t limit, struct lh_arena *arena, struct search_trial **ret,
                               size_t *ret_count, struct lh_str *ret_next,
                               struct lh_error *err) LH_MUST_USE;

enum search_metric {
    SEARCH_BEST_RECALL,  /* then by p50 */
    SEARCH_BEST_LATENCY, /* by p50, then by recall */
    SEARCH_BEST_PARETO   /* all that none is better than in both, the fastest first */
};
extern const char *const search_metric_names[];
/* Among the trials that were made on the index's vectors of today; the newest of equal
 * configurations counts. LH_NOT_FOUND: there is none. */
enum lh_code search_trial_best(struct search *search, struct lh_str index_name,
                               enum search_metric metric, struct lh_arena *arena,
                               struct search_trial **ret, size_t *ret_count,
                               struct lh_error *err) LH_MUST_USE;

/* --- promotions --------------------------------------------------------------------------------*/

#define SEARCH_PROMOTIONS_SHOWN 50
#define SEARCH_NOTE_BYTES_MAX 1000

enum search_promotion_event { SEARCH_PROMOTED, SEARCH_ROLLED_BACK };
extern const char *const search_promotion_event_names[];

/* What an index uses from some moment on; the members of a manifest's record. */
struct search_promotion {
    struct lh_str promotion_id;                /* the later, the higher */
    struct lh_str index_name;                  /* today; not stored */
    const struct search_configuration *config; /* NULL: none is promoted any more */
    int event;                                 /* enum search_promotion_event */
    struct lh_str harness;                     /* of the trial, like the next five */
    struct lh_str trial_id;
    double recall; /* NaN without a trial; */
    double p50_us; /* likewise */
    struct lh_opt_int queries;
    struct lh_time measured_at;
    struct lh_str job_id; /* of the autotune; absent: none */
    struct lh_str note;
    struct lh_str previous; /* what a rollback goes back to; absent: nothing */
    struct lh_time promoted_at;
    struct lh_str promoted_by;
};
extern const struct lh_fields search_promotion_fields;

struct search_promote_request {
    struct lh_str index_name;
    struct lh_str trial_id;
    struct lh_str promoted_by, note;
    struct lh_str job_id; /* absent: none */
};
/* From now on the index uses the trial's configuration: its graph is built beside the one that is
 * served, then takes its place at once. What is promoted already stays as it is. LH_NOT_FOUND: the
 * index, or it has no such trial; LH_CONFLICT: it is being built or refreshed. */
enum lh_code search_promote(struct search *search, const struct search_promote_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct search_promotion *ret, struct lh_error *err) LH_MUST_USE;
struct search_rollback_request {
    struct lh_str index_name;
    struct lh_str rolled_back_by, note;
    const struct search_configuration *otherwise; /* with nothing promoted; NULL: the preset */
};
/* What was promoted before is again; with nothing before, nothing is. LH_CONFLICT: nothing is
 * promoted, or as above. */
enum lh_code search_rollback(struct search *search, const struct search_rollback_request *request,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct search_promotion *ret, struct lh_error *err) LH_MUST_USE;
/* What is promoted, of all indexes that have something, by name, those after `after`. */
enum lh_code search_promoted_list(struct search *search, struct lh_str after, size_t limit,
                                  struct lh_arena *arena, struct search_promotion **ret,
                                  size_t *ret_count, struct lh_str *ret_next,
                                  struct lh_error *err) LH_MUST_USE;
struct search_promoted {
    struct lh_str index_name;
    const struct search_promotion *current;    /* NULL: none is promoted */
    const struct search_configuration *config; /* that builds use */
    struct lh_list history; /* of struct search_promotion, newest first, the current one too */
};
extern const struct lh_fields search_promoted_fields;
enum lh_code search_promoted_get(struct search *search, struct lh_str index_name,
                                 struct lh_arena *arena, struct search_promoted *ret,
                                 struct lh_error *err) LH_MUST_USE;

/* Gives an index for which nothing is promoted this configuration, now and for every graph that
 * will be made of it. Where the index has a graph, or enough rows for one, it is made with it
 * beside what is served, measured, written, and takes the other's place in one manifest; until
 * then, and if anything fails, searches and restarts find what there was. One that differs in
 * ef_search alone changes no file. LH_INVALID: out of its bounds; LH_CONFLICT: it is being built or
 * refreshed, or one is promoted; LH_TOO_LARGE, LH_BUSY: memory. */
enum lh_code search_reconfigure(struct search *search, struct lh_str name,
                                const struct search_configuration *configuration,
                                const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;

/* --- autotune ----------------------------------------------------------------------------------*/

#define SEARCH_GRID_MAX 32
#define SEARCH_MIN_RECALL_PRESET 0.9
/* By which the winner is chosen: the names of enum search_metric that say one. */
extern const char *const search_autotune_metric_names[];
#define SEARCH_HARNESS_PRESET "auto" /* drawn when it is asked for and not there */

/* The arguments of the job, as its record keeps them. */
struct search_autotune_request {
    struct lh_str index_name;
    struct lh_str harness; /* absent: SEARCH_HARNESS_PRESET */
    double min_recall;
    int metric;          /* SEARCH_BEST_RECALL or SEARCH_BEST_LATENCY */
    struct lh_list grid; /* of struct search_configuration; empty: the usual one */
};
extern const struct lh_fields search_autotune_request_fields;
struct search_autotune_result {
    struct lh_str index_name;
    struct lh_str harness;
    bool is_harness_renewed; /* it was stale, and drawn anew before anything was measured */
    double min_recall;
    struct lh_list trials; /* of struct search_trial, in the order of the grid */
    struct lh_str winner;  /* a trial; the best, whether it was promoted or not */
    bool is_promoted;
    struct lh_str promotion_id;
    struct lh_str note; /* a sentence: what came of it */
    int64_t elapsed_ms;
};
extern const struct lh_fields search_autotune_result_fields;

/* What is wrong with a request is told before a job is accepted. LH_INVALID; LH_NOT_FOUND: the
 * index or the eval set. */
enum lh_code search_autotune_check(struct search *search,
                                   const struct search_autotune_request *request,
                                   struct lh_error *err) LH_MUST_USE;
/* The arguments of the job, in `arena`. */
struct lh_str search_autotune_args(const struct search_autotune_request *request,
                                   struct lh_arena *arena);
/* Accepts a job, durably. LH_CONFLICT: one goes on for the index already; the message names it. */
enum lh_code search_autotune_submit(struct search *search, struct jobs *jobs,
                                    const struct search_autotune_request *request,
                                    struct lh_str actor, struct lh_uuid *ret_id,
                                    struct lh_error *err) LH_MUST_USE;
/* The kind of job; `context` of run is the struct search. Configurations that build the same graph
 * share one; the quickest wins, of those with the best recall, or (SEARCH_BEST_LATENCY) of those
 * that reach min_recall, and is promoted unless it is below that. Times that are nearly equal say
 * nothing: of such the one that looks at the fewest rows is the quickest. One that was killed goes
 * on behind the last trial that it kept. */
#define SEARCH_AUTOTUNE_JOB_KIND "vectors.autotune"
enum lh_code search_autotune_job(struct search *search, struct jobs *jobs, struct job *job,
                                 struct lh_error *err) LH_MUST_USE;
/* As search_find_effect: whether the job promoted something. */
enum lh_code search_autotune_find(struct search *search, struct job *job, bool *ret_is_done,
                                  struct lh_error *err) LH_MUST_USE;

/* --- erasure -----------------------------------------------------------------------------------*/

/* How it is told that something of rows that must go stands in a text, or that an id is theirs; of
 * an index over that dataset. */
struct search_forget {
    bool (*holds)(void *context, struct lh_str dataset_id, struct lh_str text);
    bool (*is_key)(void *context, struct lh_str dataset_id, struct lh_str id);
    void *context;
};
/* Takes queries of eval sets, notes and names in which something of them stands out of what is kept
 * of all indexes; sets that were drawn go as a whole. What is replaced goes to the trash. Counts
 * the files and records that were changed in *ret_changed. LH_CONFLICT: an index is being built. */
enum lh_code search_tuning_forget(struct search *search, const struct search_forget *forget,
                                  int64_t *ret_changed, struct lh_error *err) LH_MUST_USE;

/* --- all records, for SQL ----------------------------------------------------------------------*/

uint64_t search_ledger_stamp(const struct search *search); /* grows with every record */

#endif
