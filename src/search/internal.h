/* What the files of search/ share: manifests, parts, what is loaded of an index. Never leaves the
 * folder.
 *
 *   index (name, registry.c) ── newest manifest ── parts (Parquet) ── view (loaded, view.c)
 *                                                                └── overlay (overlay.c): what
 *   differs between the view and one version of the dataset
 */
#ifndef LAKEHOUSE_SEARCH_INTERNAL_H
#define LAKEHOUSE_SEARCH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "catalog/catalog.h"
#include "engine/engine.h"
#include "search/ask.h"
#include "search/make.h"
#include "search/manifest.h"
#include "storage/buckets.h"
#include "storage/storage.h"

/* Each with a folder for every index, by its id. */
#define SEARCH_TRIALS_FOLDER "_hnsw_trials"
#define SEARCH_PROMOTIONS_FOLDER "_hnsw_promotions"
#define SEARCH_EVALS_FOLDER "_hnsw_evals"
#define SEARCH_TUNING_FOLDERS SEARCH_TRIALS_FOLDER, SEARCH_PROMOTIONS_FOLDER, SEARCH_EVALS_FOLDER
#define SEARCH_GRAPH_KEY_BYTES 128
#define SEARCH_HASH_BYTES 16 /* of SHA-256: tells whether a row's text is the indexed one */

/* A failure that changes nothing for the caller: a comment says why. */
static inline void forgive(enum lh_code code)
{
    (void)code;
}

#define SEARCH_WORDS_NAME "keyword" /* begins the names of the keyword leg's files */

struct view;       /* view.h */
struct overlay;    /* view.h */
struct words;      /* view.h */
struct entry_scan; /* part.c */
struct sweeps;     /* asking.h */

/* --- tend.c ---------------------------------------------------------------------------------*/

/* Is a graph of the index to be made, or another one? By the manifest, and what was found bad; not
 * while somebody is busy with it, who looks himself. */
bool graph_is_due(struct search *search, const struct index_manifest *head);

/* --- registry.c: the indexes there are ---------------------------------------------------------*/

/* One index, as long as somebody uses it. */
struct search_index {
    struct search *search;
    struct search_index *next;
    atomic_size_t refs;
    struct lh_uuid id;
    /* guarded by search->lock */
    struct index_manifest *head;
    bool is_busy;                                 /* a build or refresh writes it */
    struct lh_str claimed;                        /* a name that it is about to get; absent: none */
    char held[STORAGE_BUCKET_NAME_BYTES_MAX + 1]; /* bucket that who is busy holds; "": none */
    bool is_swept;    /* in its bucket nothing is left of a writer before this process */
    bool is_doubtful; /* an unknown outcome: nothing more is written before the next opening */
    struct view *view;
    struct overlay *overlay;
    int64_t claimed_bytes;                  /* of the memory that loaded indexes may take */
    int64_t making_bytes;                   /* likewise, of a graph that is being made */
    int64_t trial_bytes;                    /* likewise, of graphs that are tried */
    char bad_graph[SEARCH_GRAPH_KEY_BYTES]; /* key of the one that was found bad; "": none */
    char graph_trouble[256];                /* why it has none, for people; "": nothing is wrong */
    char *damage;                           /* what is wrong with its files; NULL: nothing known */
    int64_t damaged_generation;             /* that this is said of */
    uint64_t used_at;                       /* by search->clock */
    /* one thread at a time loads; taken before search->lock, never after */
    pthread_mutex_t load_lock;
    struct words *words; /* guarded by load_lock */
};

struct damaged_index {
    struct damaged_index *next;
    struct lh_str id, name, what;
};

struct search {
    struct search_options options;
    pthread_mutex_t lock; /* guards the list, heads, views, overlays, orphans */
    struct search_index *indexes;
    uint64_t clock; /* counts searches */
    struct damaged_index *damaged;
    struct lh_arena *arena; /* of the two below */
    struct lh_str *orphans;
    size_t orphan_count;
    atomic_uint_fast64_t definitions;
    pthread_mutex_t scan_lock; /* guards scans: entries that COPY reads */
    struct entry_scan *scans;
    int64_t next_scan;
    struct leaving *leaving;     /* indexes that are gone, and have files yet */
    struct sweeps *sweeps;       /* searches that wait to look at all rows */
    pthread_mutex_t ledger_lock; /* one thread merges batches of records */
    pthread_rwlock_t place_lock; /* alone: records are on their way to another bucket */
    atomic_uint_fast64_t ledger_stamp;
    pthread_mutex_t tune_lock; /* guards tunings; taken before the jobs' own */
    struct tuning *tunings;
    struct watch *watch; /* of the recall that is served */
};

/* By name (ASCII case ignored); the caller ends *ret with index_unref. LH_NOT_FOUND with the
 * nearest name; LH_DAMAGED. */
enum lh_code index_find(struct search *search, struct lh_str name, struct search_index **ret,
                        struct lh_error *err) LH_MUST_USE;
void index_unref(struct search_index *index);                  /* NULL is fine */
struct index_manifest *index_head(struct search_index *index); /* referenced */
/* Makes the index known with its first manifest, durably. LH_EXISTS. */
enum lh_code index_create(struct search *search, struct index_manifest *manifest,
                          struct search_index **ret, struct lh_error *err) LH_MUST_USE;
/* The next version: durable, then seen. Sets version, epoch, updated_at. Only by who is busy. */
enum lh_code index_publish(struct search_index *index, struct index_manifest *manifest,
                           struct lh_error *err) LH_MUST_USE;
/* LH_CONFLICT: somebody else builds or refreshes it. So long its bucket is held, too. */
enum lh_code index_begin(struct search_index *index, struct lh_error *err) LH_MUST_USE;
/* A refresh by policy is short and nobody's wish: it is waited for, a build is not. */
enum lh_code index_begin_patiently(struct search_index *index, struct lh_error *err) LH_MUST_USE;
void index_end(struct search_index *index);
/* Holds a name for who is busy with the index, until index_end; `name` lives as long. LH_EXISTS. */
enum lh_code index_claim(struct search_index *index, struct lh_str name,
                         struct lh_error *err) LH_MUST_USE;
/* Its own policy, or its dataset's; `dataset` NULL: it is gone. Texts are borrowed. */
struct search_policy search_policy_of(const struct index_manifest *manifest,
                                      const struct catalog_dataset *dataset);
/* Files that no manifest names any more. Whoever reads them has them open, or loads anew. */
void index_trash_files(struct search *search, struct lh_str bucket, const struct lh_list *parts,
                       const struct index_object *model_file);
void index_trash_graph(struct search *search, struct lh_str bucket,
                       const struct index_graph *graph); /* NULL is fine */
/* A half-made generation is given up: durably unnamed, then to the trash. Only by who is busy. */
enum lh_code index_drop_next(struct search_index *index, struct lh_error *err) LH_MUST_USE;
/* What is left of one that is gone: files, records, at last its manifests. */
enum lh_code index_trash_all(struct search *search, const struct index_manifest *last,
                             struct lh_error *err) LH_MUST_USE;
/* Its objects go to the trash, durably unnamed before. The caller is busy with it. */
enum lh_code index_remove(struct search_index *index, struct lh_error *err) LH_MUST_USE;
/* The embedder of that name (absent: the default) and version (absent: any); NULL: none. */
const struct search_embedder *find_embedder(const struct search *search, struct lh_str name,
                                            struct lh_str version);

/* What a version of a dataset consists of: equal only if no row came, went or changed. */
struct lh_str dataset_fingerprint(const struct catalog_dataset *dataset, struct lh_arena *arena);
/* Whether what the index covers has the rows that the dataset has: its files, or others that they
 * were rewritten into. */
bool index_covers(const struct index_manifest *manifest, const struct catalog_dataset *dataset,
                  struct lh_arena *arena);

/* Keys that are met one by one; in `arena`. */
struct key_list {
    struct lh_arena *arena;
    struct lh_str *items;
    size_t count, capacity;
};
void key_list_add(struct key_list *list, struct lh_str key);

/* --- place.c: in which bucket ------------------------------------------------------------------*/

/* For index_begin and index_end: who is about to publish there is known to the bucket. */
enum lh_code index_hold(struct search_index *index, struct lh_error *err) LH_MUST_USE;
void index_let_go(struct search_index *index);
/* Everything of the index in that bucket, but its manifests, goes to the trash. A bucket that is no
 * more has nothing. */
enum lh_code place_empty(struct search *search, struct lh_str bucket, struct lh_str id,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code place_empty_folder(struct search *search, struct lh_str bucket, struct lh_str folder,
                                struct lh_error *err) LH_MUST_USE;
/* Where the records of the index are now; `room` has the text. Holds place_lock until
 * place_of_records_end. */
struct lh_str place_of_records(struct search *search, struct lh_str id,
                               char room[STORAGE_BUCKET_NAME_BYTES_MAX + 1]);
void place_of_records_end(struct search *search);
/* What moves left behind, and crashed writers in other buckets than primary. One that does not
 * answer keeps it until later. */
enum lh_code places_sweep(struct search *search, size_t *ret_moved,
                          struct lh_error *err) LH_MUST_USE;

/* An index that is gone: places_sweep empties where it was. */
void place_leave(struct search *search, struct index_manifest *last);
void places_close(struct search *search);
/* What a manifest names, a half-made generation included; `object` is borrowed. */
void index_each_file(const struct index_manifest *manifest,
                     void (*each)(void *context, const struct index_object *object), void *context);

/* --- damage.c: what is wrong with files -------------------------------------------------------*/

/* A load of the manifest failed with LH_DAMAGED: kept and told, if it is the newest; gives the code
 * back, and the hint. */
enum lh_code index_is_damaged(struct search *search, const struct index_manifest *manifest,
                              struct lh_error *err);
/* All of it was read. */
void index_is_sound(struct search_index *index, const struct index_manifest *manifest);
void index_forget_damage(struct search_index *index); /* locked */
/* At the opening, without locks: are its files there, with their sizes? */
void index_look(struct search_index *index);
/* enum search_shown_state, and why; takes search->lock. */
int index_shown_state(struct search *search, const struct index_manifest *head,
                      struct lh_arena *arena, struct lh_str *ret_problem);
/* Of search_problems: indexes that cannot be searched. */
void damage_list(struct search *search, struct lh_arena *arena, struct search_problem **ret,
                 size_t *ret_count);

/* Reading the registry at the opening. */
enum lh_code registry_open(struct search *search, struct lh_error *err) LH_MUST_USE;
void registry_close(struct search *search);
/* The newest manifest of an index on disk; LH_NOT_FOUND: there is none at all. */
enum lh_code index_read_newest(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                               struct index_manifest **ret, int64_t *ret_lowest,
                               struct lh_error *err) LH_MUST_USE;
/* The newest manifests of all indexes, referenced; the caller frees the array. */
void registry_heads(struct search *search, struct index_manifest ***ret, size_t *ret_count);
/* The newest manifest of the same index, referenced; NULL: it was removed. */
struct index_manifest *registry_head(struct search *search, const struct index_manifest *manifest);
bool index_names(const struct index_manifest *manifest, struct lh_str key);

#endif
