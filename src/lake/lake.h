/* One opened lakehouse: owns the modules, wires them to each other, and ends them in order.
 *
 *   lake_open:  storage + lock ─▶ keys ─▶ engine ─▶ catalog (recovery) ─▶ jobs ─▶ ingest, query,
 *               search ─▶ open
 *   lake_close: the same backwards, after running jobs were told to stop and have ended
 *
 * One process opens a lake for writing at a time; a second gets LH_LOCKED naming the first.
 * Threads: once open, everything here may be called by any thread. lake_open, lake_drain and
 * lake_close block (recovery, running jobs).
 */
#ifndef LAKEHOUSE_LAKE_LAKE_H
#define LAKEHOUSE_LAKE_LAKE_H

#include "base/pool.h"
#include "lake/settings.h"

struct storage;
struct objects;
struct engine;
struct catalog;
struct jobs;
struct job_info;
struct ingest;
struct query_engine;
struct query_compactor;
struct search;
struct access_keys;
struct storage_records;
struct journal;

/* query_principal.grants of who may read all datasets but not the journal. */
#define LAKE_GRANTS_WITHOUT_JOURNAL lh_lit("all but the journal")

struct lake; /* opaque; made by lake_open, ended by lake_close */

/* Opens or creates the lake of settings_root(settings). `settings` is borrowed until lake_close.
 * LH_LOCKED: another process has it, and the message names its pid; LH_FORMAT: written by a newer
 * release; LH_DAMAGED: recovery found damage that it must not skip. On failure nothing stays open.
 */
enum lh_code lake_open(const struct settings *settings, struct lake **ret,
                       struct lh_error *err) LH_MUST_USE;
/* Tells running jobs to stop, without waiting: for the time between a signal and lake_drain. */
void lake_stop(struct lake *lake);
/* The same, and waits for them as long as server.drain_ms says; the log names those it waits for.
 * False: one goes on. Then the lake is not closed but left: the process ends as if it were killed,
 * and the next one queues the job again. */
bool lake_drain(struct lake *lake) LH_MUST_USE;
/* No call may be running. Waits for running jobs as long as it takes; who may not, drains first.
 * NULL is fine. */
void lake_close(struct lake *lake);

const struct settings *lake_settings(const struct lake *lake);
struct lh_str lake_engine_version(const struct lake *lake);
struct lh_pool *lake_pool(struct lake *lake); /* runs requests and jobs */
struct storage *lake_storage(struct lake *lake);
struct objects *lake_objects(struct lake *lake);
struct engine *lake_engine(struct lake *lake);
struct catalog *lake_catalog(struct lake *lake);
struct jobs *lake_jobs(struct lake *lake);
/* How a job ended that jobs/ does not know (any more), from the commit that names it. *ret borrows
 * job_id, the rest lives in `arena`. LH_NOT_FOUND: no commit does. */
enum lh_code lake_find_effect(struct lake *lake, struct lh_str job_id, struct lh_arena *arena,
                              struct job_info *ret, struct lh_error *err) LH_MUST_USE;
struct ingest *lake_ingest(struct lake *lake);
struct query_engine *lake_query(struct lake *lake);
struct query_compactor *lake_compactor(struct lake *lake);
struct storage_records *lake_saved(struct lake *lake); /* queries by name */
struct storage_records *lake_profiles(struct lake *lake); /* of models: catalog/profiles.h */
struct search *lake_search(struct lake *lake);
struct access_keys *
lake_keys(struct lake *lake); /* of callers, whether they are asked for or not */
struct journal *lake_journal(struct lake *lake);
/* Brings every commit that was acknowledged into the journal. Cheap if nothing was committed since.
 */
enum lh_code lake_sync_journal(struct lake *lake, struct lh_error *err) LH_MUST_USE;
/* The same before it is read: a disk that is full or failing keeps nobody from reading what stands
 * there; that it is not all is told by /health and lake_journal_waits. */
enum lh_code lake_freshen_journal(struct lake *lake, struct lh_error *err) LH_MUST_USE;
bool lake_journal_waits(struct lake *lake);      /* commits that are not in it yet */
int64_t lake_opened_ms(const struct lake *lake); /* wall time */
int64_t lake_uptime_ms(const struct lake *lake);
int64_t lake_recovery_ms(const struct lake *lake); /* how long lake_open took */

/* The key that the lake itself made for its first administrator, from the file in the data folder
 * that its owner alone can read. LH_NOT_FOUND. */
enum lh_code lake_admin_key(struct lh_str root, struct lh_arena *arena, struct lh_str *ret,
                            struct lh_error *err) LH_MUST_USE;

/* Writes where this process answers ("127.0.0.1:3100") beside the lake's lock, so that the command
 * line finds it. */
enum lh_code lake_announce(struct lake *lake, struct lh_str address,
                           struct lh_error *err) LH_MUST_USE;

struct lake_holder {
    bool is_running;   /* a process holds the lake */
    int64_t pid;       /* 0: not known */
    struct lh_str url; /* "http://127.0.0.1:3100"; absent: it serves no HTTP (yet) */
};
/* Who holds the lake of that folder. A folder that is not there is held by nobody. */
enum lh_code lake_holder(struct lh_str root, struct lh_arena *arena, struct lake_holder *ret,
                         struct lh_error *err) LH_MUST_USE;

/* Figures of a door, for GET /metrics: `write` appends Prometheus text. One door at a time; NULL
 * takes it away and waits until nobody is in it. */
void lake_set_meter(struct lake *lake, void (*write)(void *context, struct lh_buf *buf),
                    void *context);
void lake_write_meter(struct lake *lake, struct lh_buf *buf);

struct lake_problem {
    struct lh_str kind; /* "dataset", "storage", … */
    struct lh_str name;
    struct lh_str detail;
};
struct lake_health {
    bool is_ok; /* no problems */
    const struct lake_problem *problems;
    size_t problem_count;
    int64_t dataset_count;
    int64_t sequence; /* the newest lake commit sequence */
};
/* Everything that is broken, overdue or not wholly erased, by name; reads memory, one free-space
 * figure and the folder of erasures. Text lives in
 * `arena`. */
void lake_check_health(struct lake *lake, struct lh_arena *arena, struct lake_health *ret);

#endif
