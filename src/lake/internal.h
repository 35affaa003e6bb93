/* What the files of lake/ share: the keeper, which looks after stored bytes in the background, and
 * sizes in settings.
 */
#ifndef LAKEHOUSE_LAKE_INTERNAL_H
#define LAKEHOUSE_LAKE_INTERNAL_H

#include "base/error.h"
#include "lake/failures.h"
#include "lake/repeats.h"
#include "lake/settings.h"
#include "search/make.h"

struct access_keys;
struct catalog;
struct objects;
struct storage;
struct query_engine;
struct search;
struct lake;
struct activation; /* made by activation_new, ended by activation_free */
struct keeper; /* made by keeper_start, ended by keeper_stop */

/* When the server compacts by itself. For the keeper's thread alone. Everything is borrowed. */
struct jobs;
struct engine;
struct query_compactor;
struct settings_compaction;
struct compacting; /* made by compacting_new, ended by compacting_free */
struct compacting_options {
    const struct settings_compaction *settings;
    struct catalog *catalog;
    struct engine *engine;
    struct jobs *jobs;
    struct query_compactor *compactor;
};
/* LH_INVALID: the schedule. */
enum lh_code compacting_new(const struct compacting_options *options, struct compacting **ret,
                            struct lh_error *err) LH_MUST_USE;
void compacting_look(struct compacting *compacting); /* begins a job if one is due; is quick */
void compacting_free(struct compacting *compacting); /* NULL is fine */

/* One thread that moves what crashed writers left to the trash, empties the trash after a grace
 * period, and verifies the checksums of all data files, a piece at a time. Everything is borrowed.
 */
struct keeper_options {
    struct catalog *catalog;
    struct engine *engine; /* looks for the rows of keys */
    struct objects *objects;
    struct storage *storage;
    struct search *search;
    struct repeats *repeats;
    struct compacting *compacting;
    int64_t retention_ms; /* how long versions stay readable after others took their place */
};
enum lh_code keeper_start(const struct keeper_options *options, struct keeper **ret,
                          struct lh_error *err) LH_MUST_USE;
void keeper_stop(struct keeper *keeper); /* waits for the piece at hand; NULL is fine */

/* Makes the first administrator's key if there is none in force, and writes it to the data folder's
 * admin.key, for its owner alone. */
enum lh_code admin_key_ensure(struct lake *lake, struct lh_str root,
                              struct lh_error *err) LH_MUST_USE;

/* One thread that refreshes indexes as their policies say: after commits, or when a schedule comes
 * due. Everything is borrowed. */
struct follower; /* made by follower_start, ended by follower_free */
enum lh_code follower_start(struct catalog *catalog, struct jobs *jobs, struct search *search,
                            struct follower **ret, struct lh_error *err) LH_MUST_USE;
void follower_wake(struct follower *follower); /* a dataset or an index changed; does not block */
/* Waits for its thread; it may still be woken, and does nothing any more. NULL is fine. */
void follower_stop(struct follower *follower);
void follower_free(struct follower *follower); /* after follower_stop; NULL is fine */

/* One thread that keeps recall contracts, and the agent: see tuner.h. */
struct tuner; /* made by tuner_start, ended by tuner_free */
enum lh_code tuner_start(struct lake *lake, struct tuner **ret, struct lh_error *err) LH_MUST_USE;
void tuner_wake(struct tuner *tuner); /* there is a commit; does not block */
void tuner_stop(struct tuner *tuner); /* waits for what it does; NULL is fine */
void tuner_free(struct tuner *tuner); /* after tuner_stop; NULL is fine */
struct tuner *lake_tuner(struct lake *lake);

/* The thread that brings commits into the journal. Everything is borrowed. */
struct journal;
/* Before anything is committed: numbers that the journal has seen are not given again. */
enum lh_code scribe_settle(struct catalog *catalog, struct journal *journal,
                           struct lh_error *err) LH_MUST_USE;
struct scribe; /* made by scribe_start, ended by scribe_free */
enum lh_code scribe_start(struct catalog *catalog, struct journal *journal, struct scribe **ret,
                          struct lh_error *err) LH_MUST_USE;
void scribe_wake(struct scribe *scribe); /* there is a commit; does not block */
/* Brings in all that is committed by now. */
enum lh_code scribe_sync(struct scribe *scribe, struct lh_error *err) LH_MUST_USE;
/* The same for readers: LH_OK too if the disk takes nothing. */
enum lh_code scribe_freshen(struct scribe *scribe, struct lh_error *err) LH_MUST_USE;
bool scribe_is_behind(struct scribe *scribe);
/* Waits for its thread; it may still be woken and asked to sync. NULL is fine. */
void scribe_stop(struct scribe *scribe);
void scribe_free(struct scribe *scribe); /* after scribe_stop; NULL is fine */

/* One erasure at a time, and each once: false while another goes on. */
bool lake_take_erasing(struct lake *lake);
void lake_give_erasing(struct lake *lake);

/* activation.c: which profile is active. */
struct activation *activation_new(void);
void activation_free(struct activation *activation); /* NULL is fine */
struct activation *lake_activation(struct lake *lake);

/* Asks about every change that was announced and not settled. */
enum lh_code changes_recover(struct lake *lake, struct lh_error *err) LH_MUST_USE;
/* The kinds of jobs of search/, with their events; the context of all is the lake. */
enum lh_code changes_index_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
enum lh_code changes_refresh_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
enum lh_code changes_find_index(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err) LH_MUST_USE;
enum lh_code changes_find_refresh(void *context, struct job *job, bool *ret_is_done,
                                  struct lh_error *err) LH_MUST_USE;

enum lh_code changes_autotune_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
enum lh_code changes_find_autotune(void *context, struct job *job, bool *ret_is_done,
                                   struct lh_error *err) LH_MUST_USE;

/* The journal as a table of SQL; `context` is where the lake's scribe and journal stand. */
struct journal_source {
    struct journal *journal;
    _Atomic(struct scribe *) *scribe;
};
struct query_relations;
struct query_relations journal_relation(struct journal_source *source);

/* tuning_tables.c: trials and promotions likewise. */
struct query_relations tuning_relation(void);

struct lake_problem;
/* unsettled.c: how many there are. */
size_t lake_unsettled(struct lake *lake, struct lh_arena *arena, struct lake_problem **ret);

/* rejects_table.c: borrowed for as long as the relation is used. */
struct rejects_source {
    struct catalog *catalog;
    struct storage *storage;
};
struct query_relations rejects_relation(struct rejects_source *source);

/* What search needs of its siblings: rows through the query engine at *engine (which may be made
 * later), vectors from the models of ai/. */
struct search_source searching_source(struct query_engine **engine);
extern const struct search_embedder *const searching_embedders[];
extern const size_t searching_embedder_count;

/* What a job that is not run again has done before: job_kind.find_effect, with the catalog as its
 * context. */
struct job;
enum lh_code effect_of_ingest(void *context, struct job *job, bool *ret_is_done,
                              struct lh_error *err) LH_MUST_USE;

/* The rings behind lake_note_failure and lake_list_failures; watches the log. */
struct failures;
enum lh_code failures_new(struct failures **ret, struct lh_error *err) LH_MUST_USE;
void failures_free(struct failures *failures); /* NULL is fine */
void failures_note(struct failures *failures, const struct lake_failure_request *request,
                   const struct lh_error *err);
void failures_list(struct failures *failures, const struct lake_failure_filter *filter,
                   int64_t before, size_t limit, struct lh_arena *arena, struct lake_failure **ret,
                   size_t *ret_count, bool *ret_has_more);

/* What stands behind lake_repeat_begin and lake_repeat_end. `storage` is borrowed. */
struct repeats;
enum lh_code repeats_new(struct storage *storage, struct repeats **ret,
                         struct lh_error *err) LH_MUST_USE;
void repeats_free(struct repeats *repeats); /* NULL is fine */
enum lh_code repeats_begin(struct repeats *repeats, struct lh_str key, struct lh_str request_hash,
                           struct lh_arena *arena, const struct lake_answer **ret,
                           struct lh_error *err) LH_MUST_USE;
void repeats_end(struct repeats *repeats, struct lh_str key, const struct lake_answer *answer);
/* Of the record at `key`, which says `text`: if something in it must go, all that was answered
 * does, and a repetition is told that the answer is not kept. */
enum lh_code repeats_redact(struct storage *storage, struct lh_str key, struct lh_str text,
                            bool (*must_go)(void *context, struct lh_str text), void *context,
                            bool *ret_changed, struct lh_error *err) LH_MUST_USE;
/* Moves records of more than a day ago to the trash. */
enum lh_code repeats_sweep(struct repeats *repeats, struct lh_error *err) LH_MUST_USE;
/* Over a lake that nobody has open; *ret_count is how many records there are. */
struct storage_findings;
enum lh_code repeats_verify(struct storage *storage, struct storage_findings *findings,
                            int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

/* The commits of the catalog beside the events of the journal, for the verifier: each stands in it
 * once, and none without its commit. In `arena`. */
struct commit_list;
struct catalog_version;
struct journal_event;
struct commit_list *commit_list_new(struct lh_arena *arena);
void commit_list_add(struct commit_list *list, const struct catalog_version *version);
void commit_list_visit(void *context, uint64_t sequence, const struct journal_event *event);
void commit_list_compare(struct commit_list *list, struct storage_findings *findings);

/* "4GB", "512 MiB", "1000000" as bytes; empty = 0. LH_INVALID. */
enum lh_code settings_bytes(struct lh_str text, int64_t *ret, struct lh_error *err) LH_MUST_USE;

#endif
