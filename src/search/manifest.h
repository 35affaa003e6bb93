/* One version of one index, as its manifest says it (docs/formats/search.md). Inside search/ only.
 */
#ifndef LAKEHOUSE_SEARCH_MANIFEST_H
#define LAKEHOUSE_SEARCH_MANIFEST_H

#include <stdatomic.h>

#include "search/tuning.h"
#include "storage/storage.h"

#define SEARCH_MANIFEST_BYTES_MAX ((size_t)16 << 20)
#define SEARCH_FORMAT 1        /* of a manifest, while all of the index is in primary */
#define SEARCH_FORMAT_PLACED 2 /* of one that names another bucket */
#define SEARCH_CATALOG_FOLDER "_catalog/indexes"
#define SEARCH_FOLDER "indexes"

struct index_object {
    struct lh_str key; /* absent: there is none */
    int64_t bytes;
    struct lh_str sha256; /* hex */
};
struct index_part {
    int64_t bytes;
    int64_t entries; /* rows of the Parquet file */
    struct lh_str key;
    struct lh_str sha256; /* hex */
};

/* A part whose entries a graph has: in the order of its numbers, each from a multiple of 64 on. */
struct index_graph_part {
    int64_t entries;
    struct lh_str key; /* of the part, which may be gone */
};
/* The graph over an index's parts. */
struct index_graph {
    const struct search_configuration *configuration; /* that it was made with */
    int64_t dataset_version;                          /* that its parts covered */
    int64_t ef_search; /* asked with: raised from the configuration's until enough is found */
    const struct index_object *file;
    struct lh_time made_at;
    struct lh_list parts;   /* of struct index_graph_part */
    struct lh_list recalls; /* of struct search_graph_recall, ascending by ef: as measured */
    int64_t rows;           /* that may be found by it when it was made */
    int64_t sample;         /* rows that it was measured with */
};

/* A generation that is being made beside the one that is served. */
struct index_next {
    int64_t attempt; /* of the job, that came this far */
    int64_t dimensions;
    int64_t generation;
    struct lh_str job_id;                  /* that makes it */
    const struct index_object *model_file; /* NULL: not fitted yet */
    struct lh_list parts;                  /* of struct index_part */
};

/* Immutable once published; everything lives in its arena. Docs: docs/formats/search.md. */
struct index_manifest {
    int64_t attempt;      /* of the job that wrote this */
    struct lh_str bucket; /* where its files and records are; absent: primary */
    int64_t chunk_size;
    const struct search_configuration *configuration; /* of graphs; NULL: the preset */
    struct lh_time created_at;
    struct lh_str dataset_data; /* fingerprint of the covered version's files */
    struct lh_str dataset_id;
    struct lh_str dataset_name; /* when it was written: for people */
    int64_t dataset_version;    /* covered; of a first build: the one that it reads */
    struct lh_str description;  /* for people */
    int64_t dimensions;         /* 0: not known yet (imported vectors) */
    int64_t duplicate_ids;
    /* A bucket where copies may be that nobody reads: of a move there that has not ended, or from
     * there that has; absent: none. */
    struct lh_str elsewhere;
    int64_t empty_rows;
    int64_t epoch;
    int64_t format;
    int64_t generation;
    const struct index_graph *graph; /* NULL: there is none */
    struct lh_str id;
    struct lh_str id_column;
    struct lh_str id_prefix;
    struct lh_str id_type;
    bool is_deleted;
    struct lh_str job_id;   /* that wrote it */
    struct lh_str language; /* of the stems */
    double min_recall;      /* that its graph shall have; 0: the preset */
    struct lh_str model;
    const struct index_object *model_file; /* NULL: not fitted yet, or none is needed */
    struct lh_str model_version;
    struct lh_str name;
    const struct index_next *next; /* NULL: none is being made */
    int64_t null_ids;
    int64_t overlap;
    struct lh_list parts;                       /* of struct index_part */
    const struct search_promotion *promotion;   /* in force; NULL: there never was one */
    const struct search_policy *refresh_policy; /* NULL: as the dataset says */
    struct lh_str result;                       /* of the job that made it ready: JSON text */
    int64_t rows;                               /* of the dataset at the covered version */
    int state;                                  /* enum search_state */
    struct lh_str_list text_columns;
    struct lh_time updated_at;
    struct lh_str vector_column;
    int64_t version;
    /* Of this copy alone; the last members: what stands before them is what is copied. */
    struct lh_arena *arena;
    atomic_size_t refs;
};

struct index_manifest *index_manifest_new(void); /* one reference, an arena, all absent */
/* A copy to change, with an arena of its own. */
struct index_manifest *index_manifest_copy(const struct index_manifest *manifest);
struct index_manifest *index_manifest_ref(struct index_manifest *manifest);
void index_manifest_unref(struct index_manifest *manifest); /* NULL is fine */
/* The half-made generation as what is served; copied. */
void index_manifest_take_next(struct index_manifest *manifest, const struct index_next *next);
/* Both are copied. */
void index_manifest_set_next(struct index_manifest *manifest, const struct index_next *next);
void index_manifest_set_policy(struct index_manifest *manifest, const struct search_policy *policy);
/* Both are copied; NULL: none. */
void index_manifest_set_graph(struct index_manifest *manifest, const struct index_graph *graph);
void index_manifest_set_configuration(struct index_manifest *manifest,
                                      const struct search_configuration *configuration);
void index_manifest_set_promotion(struct index_manifest *manifest,
                                  const struct search_promotion *promotion);
/* promotion.c: with its texts. */
void search_promotion_copy(const struct search_promotion *from, struct lh_arena *arena,
                           struct search_promotion *ret);
/* Do searches find the same with both, told in the same words? */
bool index_manifest_serves_same(const struct index_manifest *a, const struct index_manifest *b);
/* Adds a part at the end; texts are copied. */
void index_manifest_add_part(struct index_manifest *manifest, const struct index_part *part);
/* `part` (NULL: none) takes the place of the parts from … to - 1; texts are copied. */
void index_manifest_replace_parts(struct index_manifest *manifest, size_t from, size_t to,
                                  const struct index_part *part);
struct lh_str index_manifest_key(struct lh_str id, int64_t version, struct lh_arena *arena);
enum lh_code index_manifest_encode(const struct index_manifest *manifest, struct lh_buf *buf,
                                   struct lh_error *err) LH_MUST_USE;
/* LH_DAMAGED, LH_FORMAT. `what` names the file. */
enum lh_code index_manifest_decode(struct lh_str bytes, struct lh_str what,
                                   struct index_manifest **ret, struct lh_error *err) LH_MUST_USE;
bool index_is_language(struct lh_str name);
static inline struct lh_str index_bucket(const struct index_manifest *manifest)
{
    return manifest->bucket.len ? manifest->bucket : STORAGE_PRIMARY;
}
static inline const struct index_part *index_parts(const struct index_manifest *manifest)
{
    return manifest->parts.items;
}

/* The one that its graphs are made with. */
static inline struct search_configuration index_configuration(const struct index_manifest *manifest)
{
    return manifest->configuration ? *manifest->configuration : search_configuration_preset();
}
extern const struct lh_fields search_graph_recall_fields;
/* What was measured of walks that keep `ef` (0: as many as it is asked with), or of the next
 * narrower ones; NaN: nothing. `graph` may be NULL. */
double index_graph_recall(const struct index_graph *graph, int64_t ef);

#endif
