/* What is in memory of an index: entries, the view over its parts, and what one version of its
 * dataset differs by. Inside search/ only.
 *
 * An entry is one chunk of one source row. Entries are a log: a later entry of an id stands for the
 * row instead of all earlier parts' ones, and an entry with the chunk ENTRY_REMOVED says that the
 * row is gone. The chunks of a row stand side by side in one part.
 */
#ifndef LAKEHOUSE_SEARCH_VIEW_H
#define LAKEHOUSE_SEARCH_VIEW_H

#include "search/internal.h"

/* --- part.c: entries in memory and on disk -----------------------------------------------------*/

#define ENTRY_REMOVED (-1)

/* Column by column. A part that was read, or rows on their way to one. */
struct entries {
    atomic_size_t refs;
    struct lh_arena *texts; /* ids and texts */
    size_t text_bytes;
    size_t count, capacity;
    size_t dimensions;
    bool has_vectors;
    struct lh_str *ids;
    struct lh_str *texts_of; /* of the chunk; absent: no text */
    int32_t *chunks;
    int64_t *starts;
    uint8_t (*hashes)[SEARCH_HASH_BYTES];
    bool *is_blank;             /* without a vector */
    float *vectors;             /* dimensions floats each, 64-byte aligned as a whole */
    struct search_codes *codes; /* of the vectors; NULL: none were made */
};

struct entry {
    struct lh_str id;
    struct lh_str text;
    int32_t chunk;
    int64_t start;
    const uint8_t *hash;
};

struct entries *entries_new(size_t dimensions, bool has_vectors);
struct entries *entries_ref(struct entries *entries);
void entries_unref(struct entries *entries); /* NULL is fine */
/* Room for so many in all. LH_BUSY. */
enum lh_code entries_reserve(struct entries *entries, size_t count,
                             struct lh_error *err) LH_MUST_USE;
/* Copies the texts; its vector is blank until entries_set_vector. LH_BUSY. */
enum lh_code entries_add(struct entries *entries, const struct entry *entry,
                         struct lh_error *err) LH_MUST_USE;
/* To unit length; one of no length stays blank. */
void entries_set_vector(struct entries *entries, size_t at, const float *vector);
/* Once they are complete, and before anybody else sees them. Searches are the same without, and
 * slower: so nothing is made of few, and no memory for it is no failure. */
void entries_make_codes(struct entries *entries);

/* Writes entries as one Parquet object: verified, durable, published, named by nothing yet. */
enum lh_code part_write(struct search *search, const struct index_manifest *manifest,
                        struct entries *entries, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct index_part *ret,
                        struct lh_error *err) LH_MUST_USE;
/* Reads one back, after its checksum was verified. LH_DAMAGED. */
enum lh_code part_read(struct search *search, const struct index_manifest *manifest,
                       const struct index_part *part, bool has_vectors,
                       const struct lh_cancel *cancel, struct entries **ret,
                       struct lh_error *err) LH_MUST_USE;
/* Makes the function that COPY reads entries from known to the engine. */
enum lh_code part_register(struct search *search, struct lh_error *err) LH_MUST_USE;
/* A small file of an index (what a model learned), published and read back verified. */
enum lh_code object_write(struct search *search, struct lh_str key, struct lh_str bytes,
                          struct lh_arena *arena, struct index_object *ret,
                          struct lh_error *err) LH_MUST_USE;
enum lh_code object_verify(struct storage *storage, const struct index_object *object,
                           struct lh_error *err) LH_MUST_USE;

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
    struct model *model; /* NULL: vectors were given */
};

/* `old` (may be NULL) lends the parts and the model that it has already. `owner`: whose claim on
 * memory grows with what is read; NULL: nobody's. */
enum lh_code view_load(struct search *search, struct index_manifest *manifest, bool has_vectors,
                       struct view *old, struct search_index *owner, const struct lh_cancel *cancel,
                       struct view **ret, struct lh_error *err) LH_MUST_USE;
/* A view of these entries alone, with the model of `like`. */
enum lh_code view_of_entries(const struct view *like, struct entries *entries, struct view **ret,
                             struct lh_error *err) LH_MUST_USE;
struct view *view_ref(struct view *view);
void view_unref(struct view *view); /* NULL is fine */

#define VIEW_NONE SIZE_MAX
/* The ordinal of a live row's first entry. */
size_t view_find(const struct view *view, struct lh_str id);
/* The part of an ordinal and the place in it. */
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

/* What one version of the dataset differs by from a view; immutable. */
struct overlay {
    atomic_size_t refs;
    struct lh_arena *arena;
    struct view *view;
    int64_t dataset_version; /* that it was made for; another with equal files is as good */
    struct lh_str data;      /* fingerprint of those files */
    uint64_t *hidden;        /* bit per ordinal, in place of view->dead; NULL: as the view has it */
    uint64_t *mute;          /* the same in place of view->mute */
    struct view *fresh;      /* rows that the view has not, or not so; NULL: none */
    int64_t fresh_rows, hidden_rows, pending_rows;
    struct words *words; /* the keyword leg; NULL: there is nothing to find by words */
    int64_t words_from;  /* its number of the first fresh entry */
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
/* Is the object the keyword file that belongs to this manifest? */
bool words_is_file_of(const struct index_manifest *manifest, struct lh_str key);

#endif
