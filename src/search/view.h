/* What is in memory of an index: entries, the view over its parts, and what one version of its
 * dataset differs by. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_VIEW_H
#define LAKEHOUSE_SEARCH_VIEW_H

#include "search/entries.h"

/* --- view.c: an index in memory ----------------------------------------------------------------*/

/* A set of small numbers. */
static inline bool bit_is_set(const uint64_t *bits, size_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}
static inline void bit_set(uint64_t *bits, size_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}

/* A loaded model, shared by the views of one generation. */
struct model {
    atomic_size_t refs;
    const struct search_embedder *embedder;
    void *loaded;
};
struct model *model_ref(struct model *model);
void model_unref(struct model *model); /* NULL is fine */
enum lh_code model_load(struct search *search, const struct index_manifest *manifest,
                        struct model **ret, struct lh_error *err) LH_MUST_USE;

struct view_graph; /* view_graph.h */

struct view { /* immutable once made, but for what grows while a build adds to it */
    atomic_size_t refs;
    struct index_manifest *manifest;
    struct entries **parts;
    size_t *bases; /* the ordinal of a part's first entry: a multiple of 64 */
    size_t part_count;
    size_t span;    /* above the last ordinal; a multiple of 64 */
    uint64_t *dead; /* bit per ordinal: superseded, a removal, or nothing stands there */
    uint64_t *mute; /* those, and what has no vector */
    size_t live_rows, live_chunks;
    uint32_t *slots; /* by hash of the id: ordinal + 1 of its row's first entry; 0: free */
    size_t slot_count;
    bool has_vectors;
    struct model *model;      /* NULL: vectors were given */
    struct view_graph *graph; /* NULL: it is searched by looking at all */
    int64_t graph_failed_us;  /* when its file could not be had from its bucket; 0: it could */
};

/* `old` (may be NULL) lends the parts and the model that it has already. `owner`: whose claim on
 * memory grows with what is read; NULL: nobody's. */
enum lh_code view_load(struct search *search, struct index_manifest *manifest, bool has_vectors,
                       struct view *old, struct search_index *owner, const struct lh_cancel *cancel,
                       struct view **ret, struct lh_error *err) LH_MUST_USE;
/* It has no graph for a reason that may have passed: it is worth being loaded again. */
bool view_is_due(const struct view *view);
/* Without vectors and model; `old` (may be NULL) lends parts. `more` (may be NULL): entries that
 * come after those of all parts, as one part more than the manifest names. */
enum lh_code view_load_with(struct search *search, const struct index_manifest *manifest,
                            const struct view *old, struct entries *more,
                            const struct lh_cancel *cancel, struct view **ret,
                            struct lh_error *err) LH_MUST_USE;
/* A view of these entries alone, with the model of `like`. */
enum lh_code view_of_entries(const struct view *like, struct entries *entries, struct view **ret,
                             struct lh_error *err) LH_MUST_USE;
struct view *view_ref(struct view *view);
void view_unref(struct view *view); /* NULL is fine */

#define VIEW_NONE SIZE_MAX
/* The ordinal of a live row's first entry. */
size_t view_find(const struct view *view, struct lh_str id);
/* Is that first entry of a row, or removal, the last word on its id? */
bool view_is_last(const struct view *view, size_t ordinal);
/* The part of an ordinal: its number; itself, and the place in it. */
size_t view_part(const struct view *view, size_t ordinal);
const struct entries *view_entry(const struct view *view, size_t ordinal, size_t *ret_at);
/* Entries of the row that begins at `ordinal`, side by side. */
size_t view_row_length(const struct view *view, size_t ordinal);

/* --- memory.c: what loaded indexes may take ----------------------------------------------------*/

int64_t view_bytes(const struct view *view);
int64_t part_bytes_expected(const struct index_manifest *manifest, const struct index_part *part);
/* Makes room for so many bytes of the index, in place of what it has claimed before, by unloading
 * others that nobody searches, those first that were not asked for longest. Under the index's
 * load_lock. LH_TOO_LARGE: more than there may be; LH_BUSY: the others are being searched. */
enum lh_code memory_claim(struct search_index *index, struct lh_str name, int64_t bytes,
                          struct lh_error *err) LH_MUST_USE;
/* The same beside it, for a graph that is being made, by who is busy with the index. */
enum lh_code memory_claim_making(struct search_index *index, struct lh_str name, int64_t bytes,
                                 struct lh_error *err) LH_MUST_USE;
void memory_settle_making(struct search_index *index); /* it is made, or given up */
/* The same for a graph that is tried, by anybody, beside others. */
enum lh_code memory_claim_trial(struct search_index *index, struct lh_str name, int64_t bytes,
                                struct lh_error *err) LH_MUST_USE;
void memory_settle_trial(struct search_index *index, int64_t bytes);
/* Claims what the index has in fact. */
void memory_settle(struct search_index *index);

/* --- pass.c: the dataset's rows against what is indexed ----------------------------------------*/

/* One look at every row of one version of the dataset. Rows that are not indexed as they are now
 * are cut into chunks and collected in `fresh`. */
struct pass {
    struct search *search;
    const struct index_manifest *manifest; /* columns, chunking */
    const struct view *view;               /* what is indexed; vectors are not needed */
    struct model *model;                   /* NULL: vectors are given */
    struct lh_str dataset_name;
    int64_t dataset_version;
    const struct lh_cancel *cancel;
    /* Called when `fresh` is full, and may take it (leaving an empty one). NULL: collects up to
     * rows_max new and changed rows, counts the others as pending. */
    enum lh_code (*flush)(struct pass *pass, struct lh_error *err);
    void (*progress)(struct pass *pass); /* may be NULL */
    void *context;
    int64_t rows_max;
    bool is_count_only;
    size_t flush_entries; /* when `fresh` is full */

    /* made by the pass */
    struct entries *fresh;
    uint64_t *seen;     /* bit per ordinal of a first entry: the dataset has that id */
    uint64_t *stale;    /* of those: with another text now */
    struct id_set *ids; /* of rows that were not in the view */
    int64_t rows, new_rows, changed, pending, null_ids, duplicate_ids, empty_rows;
    size_t dimensions; /* of given vectors; 0 until the first */
};
enum lh_code pass_run(struct pass *pass, struct lh_error *err) LH_MUST_USE;
/* Gives the vectors of everything in `fresh` that has text and none yet. */
enum lh_code pass_embed(struct pass *pass, struct lh_error *err) LH_MUST_USE;
void pass_release(struct pass *pass);
/* Only the texts, one after the other: what a model learns from. */
enum lh_code
pass_texts(struct search *search, const struct index_manifest *manifest, struct lh_str dataset_name,
           int64_t dataset_version, const struct lh_cancel *cancel,
           enum lh_code (*each)(void *context, struct lh_str text, struct lh_error *err),
           void *context, struct lh_error *err) LH_MUST_USE;

/* --- overlay.c: view and dataset brought together ----------------------------------------------*/

/* A part of a view in the keyword file: its first entry is row `first` there. */
struct words_place {
    int64_t first;
    size_t part;
};

/* What one version of the dataset differs by from a view; immutable. */
struct overlay {
    atomic_size_t refs;
    struct lh_arena *arena;
    struct view *view;
    int64_t dataset_version; /* that it was made for; another with equal files is as good, */
    int64_t content_version; /* and one that has the same here: rewritten files */
    struct lh_str data;      /* fingerprint of those files */
    uint64_t *hidden;        /* bit per ordinal, in place of view->dead; NULL: as the view has it */
    uint64_t *mute;          /* the same in place of view->mute */
    struct view *fresh;      /* rows that the view has not, or not so; NULL: none */
    int64_t fresh_rows, hidden_rows, pending_rows;
    struct words *words; /* the keyword leg; NULL: there is nothing to find by words */
    int64_t words_from;  /* its number of the first fresh entry */
    /* Where the parts of the view stand in it; NULL with `words`. */
    struct words_place *words_places; /* ascending */
    const int64_t *words_first_of;    /* by the part's number in the view */
};
struct overlay *overlay_ref(struct overlay *overlay);
void overlay_unref(struct overlay *overlay); /* NULL is fine */

/* What a search holds as long as it runs. */
struct pin {
    struct search_index *index;
    struct catalog_snapshot *snapshot;
    const struct catalog_dataset *dataset; /* now; the snapshot's */
    struct overlay *overlay;
};
/* Finds the index, pins its dataset, loads what is not loaded. LH_NOT_FOUND: the index, or its
 * dataset is gone; LH_CONFLICT: it is still being built. */
enum lh_code pin_open(struct search *search, struct lh_str name, const struct lh_cancel *cancel,
                      struct pin *ret, struct lh_error *err) LH_MUST_USE;
void pin_release(struct pin *pin);
/* LH_CONFLICT: the dataset has no longer the columns that the index is made from. */
enum lh_code index_fits_dataset(const struct index_manifest *manifest,
                                const struct catalog_dataset *dataset,
                                struct lh_error *err) LH_MUST_USE;
/* The dataset alone. */
enum lh_code pin_dataset(struct search_index *index, struct pin *pin,
                         struct lh_error *err) LH_MUST_USE;

/* An id as a JSON value: a number where the column is one and no prefix stands before it. */
struct lh_str search_id_json(const struct index_manifest *manifest, struct lh_str id,
                             struct lh_arena *arena);

/* --- words.c: the keyword leg of an index ------------------------------------------------------*/

/* Brings the keyword file up to the overlay; under the index's load_lock. */
enum lh_code words_catch_up(struct search_index *index, struct overlay *overlay,
                            const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;
void words_unref(struct words *words); /* NULL is fine */
/* A search found that the file is not what was written: the next loading makes it anew. False for
 * NULL. */
bool words_is_broken(const struct words *words);
/* Is the object the keyword file that belongs to this manifest? */
bool words_is_file_of(const struct index_manifest *manifest, struct lh_str key);
/* Is it one of an earlier generation of the index? */
bool words_is_older_file(const struct index_manifest *manifest, struct lh_str key);

#endif
