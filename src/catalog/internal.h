/* What the files of the catalog share; never leaves this folder.
 *
 * Locks, in the order in which they may be taken (docs/concurrency.md):
 *   catalog.retention.mutex who expires and collects old versions; held while that reads and
 * commits catalog.queue_mutex     the queue of changes, who leads, whether writing stopped
 *   catalog.fulfilled.mutex what jobs and keys did
 *   catalog.snapshot_mutex  the pointer to the newest snapshot
 *   catalog.trust.mutex     which objects were verified
 *   catalog.problem_mutex   the list of problems
 *   catalog.history.mutex   old versions kept in memory
 *   catalog.hidden.mutex    which rows are hidden, as it was added up lately
 *   catalog.live.mutex      the list of all versions in memory
 * The slots belong to the leader: there is one at a time, and it holds no lock while it writes.
 */
#ifndef LAKEHOUSE_CATALOG_INTERNAL_H
#define LAKEHOUSE_CATALOG_INTERNAL_H

#include "base/json.h"
#include <pthread.h>
#include <stdatomic.h>

#include "catalog/collecting.h"
#include "catalog/versions.h"

#define CATALOG_EPOCH_FOLDER "_catalog/epochs"
#define EPOCH_BYTES_MAX ((size_t)64 << 20) /* its file names a million datasets */
#define CATALOG_DATA_FOLDER "datasets"
#define CATALOG_CHECKPOINT_EVERY 16
#define CATALOG_FULFILLED_KEEP_MS ((int64_t)24 * 3600 * 1000)

/* --- snapshot.c: all datasets at one sequence */

struct snapshot_index;
struct catalog_snapshot {
    atomic_size_t refs;
    uint64_t sequence;
    int64_t time_ms; /* of the commit with that sequence */
    size_t item_count;
    struct snapshot_index *index;  /* shared as long as no name changes */
    struct dataset_state *items[]; /* dropped and damaged ones too; place = place of the slot */
};
struct catalog_snapshot *snapshot_new(struct dataset_state **items, size_t count, uint64_t sequence,
                                      int64_t time_ms);
/* A copy with one state exchanged or (place == item_count) added. Takes over the reference. */
struct catalog_snapshot *snapshot_with(const struct catalog_snapshot *old, size_t place,
                                       struct dataset_state *state, uint64_t sequence,
                                       int64_t time_ms);
/* The place of an item; SIZE_MAX if there is none. Names find live and damaged ones only. */
size_t snapshot_find_name(const struct catalog_snapshot *snapshot, struct lh_str name);
size_t snapshot_find_id(const struct catalog_snapshot *snapshot, struct lh_str id);
enum lh_code snapshot_fail_not_found(const struct catalog_snapshot *snapshot, struct lh_str name,
                                     struct lh_error *err);
enum lh_code state_fail_damaged(const struct dataset_state *state, struct lh_error *err);

/* --- trust.c */

struct trust_entry {
    char *key; /* "bucket:key"; NULL = free */
    struct storage_info info;
    bool is_running; /* somebody reads it right now */
    bool is_good;
};
struct trust {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct trust_entry *entries;
    size_t count, capacity;
};
void trust_init(struct trust *trust);
void trust_release(struct trust *trust);
/* The file's identity and size now; on commit its checksum was just taken by who wrote it. */
enum lh_code trust_note(struct catalog *catalog, const struct catalog_object *object,
                        struct lh_error *err) LH_MUST_USE;
void trust_forget(struct trust *trust, struct lh_str bucket, struct lh_str key); /* it is gone */
/* As catalog_ensure_verified, and reads the file whatever is known of it. */
enum lh_code trust_recheck(struct catalog *catalog, const struct catalog_object *object,
                           const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;

/* --- fulfilled.c */

struct fulfilled_entry;
struct fulfilled {
    pthread_mutex_t mutex;
    struct fulfilled_entry **table; /* by hash of "j:<job>" or "k:<key>"; chained */
    size_t bucket_count, count;
    struct fulfilled_entry *oldest, *newest; /* in order of addition: forgotten from the front */
    int64_t keep_ms;
    bool is_loaded; /* the manifests of earlier sessions were read */
};
void fulfilled_init(struct fulfilled *fulfilled, int64_t keep_ms);
void fulfilled_release(struct fulfilled *fulfilled);
/* Remembers what the commits of a manifest fulfilled. */
void fulfilled_add(struct catalog *catalog, const struct manifest *manifest);

/* --- the catalog */

struct slot { /* the writer's view of a dataset */
    char id[LH_UUID_TEXT_BYTES + 1];
    struct chain_head head; /* state is NULL while it is damaged */
};

struct commit_request;

#define HISTORY_KEPT 64
struct history {
    pthread_mutex_t mutex;
    struct dataset_state *items[HISTORY_KEPT];
    uint64_t used_at[HISTORY_KEPT];
    uint64_t clock;
};

/* A version that can still be read. LH_NOT_FOUND: it has expired, or never was. The caller ends
 * *ret with state_unref. */
enum lh_code history_state_at(struct catalog *catalog, struct lh_str id, int64_t version,
                              struct dataset_state **ret, struct lh_error *err) LH_MUST_USE;
/* Forgets the dataset's versions below `version`. */
void history_forget(struct history *history, struct lh_str dataset_id, int64_t version);

struct hidden_entry;
struct hidden_cache { /* hidden.c: what was added up lately */
    pthread_mutex_t mutex;
    struct hidden_entry *entries;
    uint64_t clock;
};
void hidden_init(struct hidden_cache *cache);
void hidden_release(struct hidden_cache *cache);

struct problem {
    struct problem *next;
    char *dataset_id, *name, *what, *file; /* file: "bucket:key", or NULL */
};

struct orphan { /* a data file that no head named when the lake was opened */
    struct orphan *next;
    struct lh_str key;
    struct lh_str dataset_id;
    bool is_named; /* by some manifest, it turned out */
};

struct catalog {
    struct storage *storage;
    struct catalog_options options;
    uint64_t epoch;
    uint64_t closed_epoch; /* the newest that ended cleanly */

    pthread_mutex_t queue_mutex;
    pthread_cond_t queue_changed;
    struct commit_request *queue_first, *queue_last;
    size_t queue_count;
    size_t last_group;      /* how many shared the last manifest */
    int64_t last_commit_us; /* how long it took to become durable */
    bool has_leader, is_closing;
    enum lh_code stopped; /* LH_OK while commits are taken; LH_UNKNOWN, LH_LOCKED */

    struct slot *slots;
    size_t slot_count, slot_capacity;
    uint64_t sequence;
    int64_t time_ms;
    pthread_mutex_t snapshot_mutex;
    struct catalog_snapshot *snapshot;

    struct trust trust;
    struct fulfilled fulfilled;
    struct history history;
    struct hidden_cache hidden;
    struct kept_keys *kept;  /* kept.c: what is tombstoned */
    struct past_lists *past; /* tombstone_past.c: versions before something went */
    struct live_states *live;
    struct retention retention;
    _Atomic uint64_t drained; /* manifests of later commits are not retired */

    pthread_mutex_t problem_mutex;
    struct problem *problems;
    _Atomic size_t file_problems;       /* those of files */
    size_t verify_place, verify_object; /* how far catalog_verify_some came; problem_mutex */

    struct lh_arena *orphan_arena; /* found at open, before anyone could publish */
    struct orphan *orphans;
};

void catalog_add_problem(struct catalog *catalog, struct lh_str dataset_id, struct lh_str name,
                         struct lh_str what);
void catalog_drop_problems(struct catalog *catalog, struct lh_str dataset_id);
void catalog_tell_file(struct catalog *catalog, const struct catalog_object *object,
                       const struct lh_error *err); /* NULL: it is good, or gone */
/* Makes a new state what readers see. Takes over the reference in slot->head.state's stead. */
void catalog_show(struct catalog *catalog, size_t place, struct dataset_state *state,
                  uint64_t sequence, int64_t time_ms);
size_t catalog_add_slot(struct catalog *catalog, struct lh_str id);

/* --- group.c and change.c: the commit pipeline */

struct commit_request {
    struct commit_request *next;
    const struct catalog_change *change;
    struct lh_arena *arena; /* the caller's; touched by the leader while the caller waits */
    struct catalog_commit_result *ret;
    struct lh_error *err;
    struct lh_uuid uuid;
    enum lh_code code;
    bool is_done;
    pthread_cond_t turn; /* it is done, or nobody leads and it is first */
};

/* What can be said without looking at the dataset. */
enum lh_code change_check(const struct catalog_change *change, struct lh_error *err) LH_MUST_USE;
/* May share a version with other changes of its dataset, in any order. */
bool change_is_joinable(const struct catalog_change *change);
/* Adds a change to the manifest of the next version of `state` (NULL: to be created). Codes as
 * catalog_commit; on failure the manifest is as before. */
enum lh_code change_merge(const struct catalog_snapshot *snapshot,
                          const struct dataset_state *state, const struct catalog_change *change,
                          const struct lh_uuid *uuid, struct lh_arena *arena,
                          struct manifest *manifest, struct lh_error *err) LH_MUST_USE;

/* --- publish.c */

/* Makes the manifest of the next version of a slot (place == slot_count: of a new dataset). */
void publish_prepare(struct catalog *catalog, size_t place, struct lh_str dataset_id,
                     struct manifest *ret);
/* Encodes and publishes a version on top of `parent`; on LH_OK slot and readers have it. LH_EXISTS:
 * somebody else published that version. LH_UNKNOWN: writing has been stopped. */
enum lh_code publish_version(struct catalog *catalog, size_t place, struct dataset_state *parent,
                             struct manifest *manifest, struct lh_error *err) LH_MUST_USE;
/* A checkpoint if one is due, or wanted; failing is not an error but LH_UNKNOWN, which stops
 * writing. */
void publish_checkpoint(struct catalog *catalog, size_t place, bool is_wanted);
void catalog_stop_writing(struct catalog *catalog, enum lh_code why);

/* --- epoch.c */

enum lh_code epoch_begin(struct catalog *catalog, struct lh_error *err) LH_MUST_USE;
/* LH_LOCKED if a later writer has begun. */
enum lh_code epoch_check(struct catalog *catalog, struct lh_error *err) LH_MUST_USE;
bool epoch_ended_cleanly(struct catalog *catalog, uint64_t epoch);
void epoch_end(struct catalog *catalog);
/* What this writer would leave if it ended cleanly with that snapshot; texts in the arena. */
enum lh_code epoch_note_of(const struct catalog *catalog, const struct catalog_snapshot *snapshot,
                           struct lh_arena *arena, struct lh_str *ret_key, struct lh_str *ret_bytes,
                           struct lh_error *err) LH_MUST_USE;
/* What the last writer with a clean end noted, and whether it was the last of all. */
struct epoch_note {
    uint64_t sequence;   /* 0: none is known */
    const json_t *heads; /* {id: newest version}; NULL: not known; lives as long as the arena */
    bool was_clean;      /* nobody opened the lake for writing after it; so too in a new lake */
};
void epoch_read_note(struct storage *storage, struct lh_arena *arena, struct epoch_note *ret);

#endif
