/* The catalog: which datasets there are, and every version they had.
 *
 *   change ─▶ queue ─▶ leader: rebase, check
 *                        │
 *                        ▼
 *             manifest N+1 written, synced, published exclusively
 *                        │
 *                        ├─ the folder's sync failed ─▶ writing stopped (LH_UNKNOWN); the next open
 *                        ▼                              publishes the commit anew
 *             readers' snapshot swapped ─▶ every caller of the group answered
 *
 * A change is durable when catalog_commit returns LH_OK and never before. Readers hold a snapshot:
 * all datasets at one lake sequence, immutable. Data files are written, verified, synced and
 * published by the caller before it commits them. One process writes a lake at a time: storage
 * holds the lock, the catalog numbers the writers (epochs) and stops when it meets a later one.
 *
 * Threads: any thread may call anything between open and close. Blocking: commits and time travel
 * read and write the disk; snapshots and lookups in them do not. Formats: docs/formats/manifest.md.
 */
#ifndef LAKEHOUSE_CATALOG_CATALOG_H
#define LAKEHOUSE_CATALOG_CATALOG_H

#include "catalog/dataset.h"

struct storage;
struct catalog;          /* made by catalog_open, ended by catalog_close */
struct catalog_snapshot; /* immutable, reference-counted */

struct catalog_options {
    unsigned checkpoint_every; /* versions between full states; 0 = 16 */
    int64_t fulfilled_keep_ms; /* how long job ids and idempotency keys are known; 0 = 24 h */
    void (*on_commit)(void *context, uint64_t sequence); /* after readers see it; must not block */
    /* Appends the names of what depends on the dataset (views, indexes); drops ask it. May be NULL.
     */
    enum lh_code (*dependents)(void *context, const struct catalog_dataset *dataset,
                               struct lh_arena *arena, struct lh_str_list *ret,
                               struct lh_error *err);
    void *context;
};

/* Numbers this writer durably, reads the newest state of every dataset, completes a commit of
 * unknown outcome. A damaged dataset does not fail the open: it is unavailable and listed by
 * catalog_problems. The storage must be open for writing and outlive the catalog. LH_FORMAT:
 * written by a newer release. LH_DAMAGED: the epochs themselves cannot be read. */
enum lh_code catalog_open(struct storage *storage, const struct catalog_options *options,
                          struct catalog **ret, struct lh_error *err) LH_MUST_USE;
/* Waits for running commits; notes that the end was clean. NULL is fine. Snapshots may outlive it.
 */
void catalog_close(struct catalog *catalog);

/* --- reading */

/* The present: one short lock. Never NULL. */
struct catalog_snapshot *catalog_snapshot_ref(struct catalog *catalog);
void catalog_snapshot_unref(struct catalog_snapshot *snapshot); /* NULL is fine */
uint64_t catalog_snapshot_sequence(const struct catalog_snapshot *snapshot);
/* Live datasets in ascending order of lower-case names; borrowed from the snapshot. */
size_t catalog_snapshot_count(const struct catalog_snapshot *snapshot);
const struct catalog_dataset *catalog_snapshot_item(const struct catalog_snapshot *snapshot,
                                                    size_t index);

/* By name (ASCII case ignored) or by id; *ret is borrowed from the snapshot. LH_NOT_FOUND with the
 * nearest names; LH_DAMAGED if it is unavailable. */
enum lh_code catalog_find(const struct catalog_snapshot *snapshot, struct lh_str name,
                          const struct catalog_dataset **ret, struct lh_error *err) LH_MUST_USE;
enum lh_code catalog_find_id(const struct catalog_snapshot *snapshot, struct lh_str id,
                             const struct catalog_dataset **ret, struct lh_error *err) LH_MUST_USE;

enum catalog_when { CATALOG_NOW, CATALOG_AT_VERSION, CATALOG_AT_TIME, CATALOG_AT_SEQUENCE };
struct catalog_as_of {
    enum catalog_when when;
    int64_t value; /* a version, Unix milliseconds, or a lake sequence */
};
/* The dataset as it was. A time or sequence means the last commit at or before it, so that several
 * tables at one time fit together (commit times never go back), and the name it had then; a version
 * goes by today's name. Nothing newer than the snapshot is seen. The caller ends *ret with
 * catalog_dataset_unref. LH_NOT_FOUND: no such version, or it did not exist then. */
enum lh_code catalog_find_at(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                             struct lh_str name, struct catalog_as_of as_of,
                             const struct catalog_dataset **ret, struct lh_error *err) LH_MUST_USE;

/* The outbox of the journal: committed together with the change. Every commit is an event of its
 * own already; one given here with the commit's action says of what, and how, others stand
 * beside it. */
struct catalog_event {
    struct lh_str entity; /* "packages" or "candidates/CAND-123" */
    struct lh_str action; /* lower case, stable */
    struct lh_str detail; /* one JSON object; absent = {} */
};
struct catalog_commit_info {
    struct lh_str uuid;
    struct lh_str action; /* "create", "append", … */
    struct lh_str actor;
    struct lh_str reason;
    struct lh_str job_id;          /* absent if none */
    struct lh_str idempotency_key; /* absent if none */
    struct lh_str request_hash;    /* of the request that came with it; absent if none */
    struct lh_str result;          /* JSON, as given with the change; absent if none */
    const struct catalog_event *events;
    size_t event_count;
};
/* Who wanted it, by an event's detail: not always who did it. Absent: it does not say. */
struct lh_str catalog_event_actor(struct lh_str detail, struct lh_arena *arena);
struct catalog_version {
    struct lh_str dataset_id;
    struct lh_str name; /* filled by catalog_changes and catalog_versions: today's */
    int64_t version;
    uint64_t sequence;
    uint64_t epoch;
    int64_t time_ms;
    int64_t row_count; /* after the change */
    int64_t object_count;
    int64_t byte_count;
    uint32_t set_bits; /* what of the dataset was set: enum catalog_set_bit */
    const struct catalog_commit_info *commits; /* several when writers shared one version */
    size_t commit_count;
};
/* Versions of a dataset below `before` (0 = from the newest), newest first, at most `limit`. */
enum lh_code catalog_versions(struct catalog *catalog, const struct catalog_dataset *dataset,
                              int64_t before, size_t limit, struct lh_arena *arena,
                              struct catalog_version **ret, size_t *ret_count,
                              struct lh_error *err) LH_MUST_USE;
/* Everything committed after `sequence`, in its order, at most `limit`: for followers. */
enum lh_code catalog_changes(struct catalog *catalog, uint64_t sequence, size_t limit,
                             struct lh_arena *arena, struct catalog_version **ret,
                             size_t *ret_count, struct lh_error *err) LH_MUST_USE;

/* Up to which sequence somebody has drained the commits: the manifests of later ones are kept, even
 * when their versions have expired. Never called: nobody drains, and none is kept for it. */
void catalog_set_drained(struct catalog *catalog, uint64_t sequence);
/* Before the first commit: somebody has seen commits up to `sequence`. Later ones are numbered
 * behind it; if some are missing, that is a problem. Returns the highest sequence given so far. */
uint64_t catalog_expect(struct catalog *catalog, uint64_t sequence);

/* --- writing */

enum catalog_action {
    CATALOG_CREATE,     /* `name`, `set` with columns, objects */
    CATALOG_APPEND,     /* objects; `set` may carry lineage, and columns if some were added */
    CATALOG_UPSERT,     /* as APPEND, with `tombstones` of the rows that are replaced */
    CATALOG_REPLACE,    /* objects; all earlier ones go */
    CATALOG_REWRITE,    /* objects instead of `removed`: compaction */
    CATALOG_UPDATE,     /* `set` only */
    CATALOG_RENAME,     /* `name`; LH_EXISTS */
    CATALOG_DROP,       /* LH_CONFLICT with the dependents unless `cascade` */
    CATALOG_EXPIRE,     /* `retain_from`: see retention.h; of a dropped dataset all objects go */
    CATALOG_UNDO,       /* as REWRITE, with `name`; of a dropped dataset, too. For catalog_undo */
    CATALOG_TOMBSTONE,  /* `tombstones`: see catalog/tombstones.h */
    CATALOG_LIFT,       /* `tombstones`, or `tombstones_removed` when none is left */
    CATALOG_FOLD,       /* `tombstones` that say what the `tombstones_removed` said */
    CATALOG_QUARANTINE, /* `removed`, `set`: see catalog/repair.h */
    CATALOG_RESYNC,     /* the `removed` anew, with other row counts */
    CATALOG_MOVE        /* `moves`: see catalog/move.h; of a dropped dataset, too */
};

struct catalog_change {
    enum catalog_action action;
    struct lh_str dataset_id; /* CREATE: the fresh UUID under which the data files lie */
    struct lh_str name;
    int64_t expected_version;  /* If-Match: another one is LH_PRECONDITION; 0 = any */
    int64_t base_version;      /* UPSERT: LH_RACE if the dataset is at another one; 0 = any */
    struct lh_str base_schema; /* that files were made for; LH_RACE if it changed; absent = any */
    uint32_t set_bits;         /* which members of `set` count */
    struct catalog_dataset set;
    const struct catalog_object *objects; /* published and durable; added_version is ignored */
    size_t object_count;
    const struct lh_str *removed; /* REWRITE: keys; LH_RACE if one is no longer live */
    size_t removed_count;
    int64_t rows_dropped; /* REWRITE: hidden rows of `removed` that `objects` lack */
    const struct catalog_object *tombstones; /* published and durable */
    size_t tombstone_count;
    const struct lh_str *tombstones_removed; /* keys; LH_RACE if one is not there */
    size_t tombstone_removed_count;
    uint64_t tombstone_stamp; /* LH_RACE if it is another by now; 0 = REWRITE: there are none;
                                 others: not checked */
    /* Asked in the commit about the dataset as it is then; NULL: nobody. May read objects. */
    enum lh_code (*tombstone_check)(const void *context, const struct catalog_dataset *now,
                                    struct lh_error *err);
    const void *tombstone_context;
    bool once; /* APPEND: LH_RACE if a live object came from the same source, options and all */
    bool cascade;
    int64_t retain_from;               /* EXPIRE: the oldest version that stays readable */
    const struct catalog_moved *moves; /* MOVE: copied, verified and durable */
    size_t move_count;
    bool checkpoint; /* one is written behind it, whether it is due or not */
    struct lh_str actor;
    struct lh_str reason;
    struct lh_str job_id;          /* a second change with the same one is not made: the first */
    struct lh_str idempotency_key; /* result is returned; the caller puts the principal into it */
    struct lh_str request_hash; /* with the key: another one is LH_KEY_REUSED; 64 bytes at most */
    struct lh_str result;       /* JSON to be returned to a repetition; at most 64 KB */
    const struct catalog_event *events;
    size_t event_count;
};
struct catalog_commit_result {
    struct lh_str dataset_id;
    int64_t version;
    uint64_t sequence;
    int64_t time_ms;
    struct lh_uuid uuid;
    bool is_repeat;       /* this job or key was fulfilled before: nothing was changed now */
    struct lh_str result; /* of the first time */
};

/* Makes one change of one dataset and waits until it is durable and readable. `change` is borrowed;
 * texts of *ret are copied into `arena`. Besides the codes above: LH_NOT_FOUND, LH_DAMAGED (the
 * dataset is unavailable), LH_FULL and LH_IO (nothing was changed), LH_UNKNOWN (no more commits
 * until the lake is opened again), LH_LOCKED (another process took the lake over), LH_STOPPING. */
enum lh_code catalog_commit(struct catalog *catalog, const struct catalog_change *change,
                            struct lh_arena *arena, struct catalog_commit_result *ret,
                            struct lh_error *err) LH_MUST_USE;

/* What a job or idempotency key did, if it was fulfilled: looked up before the work is done again.
 * LH_KEY_REUSED: the key came with another request. */
enum lh_code catalog_fulfilled(struct catalog *catalog, struct lh_str job_id,
                               struct lh_str idempotency_key, struct lh_str request_hash,
                               struct lh_arena *arena, bool *ret_found,
                               struct catalog_commit_result *ret, struct lh_error *err) LH_MUST_USE;

/* --- trust */

/* Before a statement reads an object: its checksum was verified for the file as it is now (inode,
 * size and time of change); else it is verified here and now. LH_DAMAGED names the object. Cheap
 * when known: one call of the file system. `cancel` may be NULL. */
enum lh_code catalog_ensure_verified(struct catalog *catalog, const struct catalog_object *object,
                                     const struct lh_cancel *cancel,
                                     struct lh_error *err) LH_MUST_USE;
/* Verifies what has not been verified since opening, file by file until `bytes_max` are passed;
 * false: nothing is left. Damage is added to the problems. For a thread that paces itself. */
bool catalog_verify_some(struct catalog *catalog, int64_t bytes_max,
                         const struct lh_cancel *cancel);

struct catalog_problem {
    struct lh_str dataset_id;
    struct lh_str name; /* absent if it is not known */
    struct lh_str what; /* a sentence */
};
/* What is wrong now: for /health. */
void catalog_problems(struct catalog *catalog, struct lh_arena *arena, struct catalog_problem **ret,
                      size_t *ret_count);
/* False after an unknown outcome or a takeover. */
bool catalog_is_writable(struct catalog *catalog);
uint64_t catalog_epoch(const struct catalog *catalog);

/* Moves data files that a crashed writer left (published before this opening, named by no manifest)
 * to the trash. Reads all manifests: for a background thread. */
enum lh_code catalog_sweep(struct catalog *catalog, size_t *ret_moved,
                           struct lh_error *err) LH_MUST_USE;

#endif
