/* Asking an index: by meaning, by words, or by both. See search.h for what holds of all of it.
 *
 * A search pins the dataset's version when it begins and answers for exactly that version: rows
 * that the index still has and the dataset has not are left out before anything is ranked; rows
 * that the dataset has and the index has not yet are searched beside it, or counted as pending.
 */
#ifndef LAKEHOUSE_SEARCH_ASK_H
#define LAKEHOUSE_SEARCH_ASK_H

#include "search/search.h"

enum search_mode { SEARCH_VECTOR, SEARCH_KEYWORD, SEARCH_HYBRID };
extern const char *const search_mode_names[]; /* "vector", "keyword", "hybrid", NULL */

/* How the lists of a hybrid search become one: by what rows score in them and how well they fit the
 * words, by their places, or by their scores alone. */
enum search_fusion { SEARCH_BLEND, SEARCH_RRF, SEARCH_WEIGHTED };
extern const char *const search_fusion_names[]; /* "blend", "rrf", "weighted", NULL */
/* How much each counts; of places, the first two alone. Not negative, and not all zero. */
struct search_weights {
    double meaning, words, coverage, pairs;
};
struct search_weights
search_fusion_weights(enum search_fusion fusion); /* unless others are given */

struct search_ask {
    struct lh_str index;
    struct lh_str index_id; /* LH_RACE unless it has that id; absent: whichever has the name */
    enum search_mode mode;
    enum search_fusion fusion;            /* of SEARCH_HYBRID */
    const struct search_weights *weights; /* NULL: the fusion's own */
    struct lh_str query;                  /* words; absent with a vector */
    const float *vector;                  /* instead of the query; only SEARCH_VECTOR */
    size_t vector_count;                  /* LH_INVALID unless the index's dimensions */
    int64_t k;                            /* 0 … SEARCH_K_MAX: hits at most */
    int64_t ef;           /* nodes kept on a graph's walk, at least k; 0: as the index says */
    bool is_exact;        /* whatever there is, all vectors are looked at */
    struct lh_str filter; /* a boolean SQL expression over the dataset; absent: all rows */
    bool is_alone;        /* the filter reads no other dataset: LH_FORBIDDEN if it could */
    bool per_chunk;       /* one hit per chunk, not per row */
    bool with_rows;       /* each hit with its source row */
    bool is_raw_id;       /* ids without the index's prefix, as the dataset has them */
};

struct search_leg {
    int64_t rank; /* from 1; 0: not found by this leg */
    double score;
};

struct search_hit {
    struct lh_str id;      /* as text */
    struct lh_str id_json; /* as a JSON value: a number if the column holds such */
    double score;          /* vector: cosine similarity; keyword: BM25; hybrid: of the fusion */
    struct lh_str text;
    int64_t chunk; /* of its row, from 0 */
    struct search_leg vector;
    struct search_leg keyword;
    /* Of a hybrid search, each from 0 to 1. */
    double coverage; /* how much of the query's words it has, weighed by how rare they are */
    double pairs;    /* how many neighbours of the query stand together in it */
    struct lh_str highlight; /* the text with the words marked; absent if none matched */
    struct lh_str row;       /* JSON; absent unless asked for */
    bool is_fresh;           /* not in the index yet */
};

struct search_answer {
    const struct search_hit *hits; /* best first; ties by id */
    size_t hit_count;
    const char *method; /* "exact", "hnsw", "keyword", "hybrid" */
    /* Of the leg by meaning: 1 if all was looked at, else as it was measured of the graph's ten
     * nearest. NaN: not a matter of it (keyword), or nothing so narrow was measured. */
    double recall;
    struct lh_time recall_measured_at; /* 0: nothing was measured */
    int64_t recall_sample;             /* rows that it was measured with */
    int64_t ef;                        /* nodes that the walk kept; 0: there was none */
    struct lh_str note;                /* what the reader should know; absent: nothing */
    struct lh_str dataset;
    int64_t dataset_version; /* pinned */
    int64_t index_version;
    int64_t covered_version; /* of the dataset, by the index */
    int64_t fresh_rows;      /* searched from memory beside the index */
    int64_t hidden_rows;     /* left out: gone or changed since */
    int64_t pending_rows;    /* not searched: too many have come since; refresh */
    double elapsed_ms;
};

/* Everything in *ret lives in `arena`. LH_INVALID: both or none of query and vector, wrong
 * dimensions, NaN, k, the filter is no boolean expression; LH_SQL: the filter's names and types
 * (err->position counts in the filter); LH_NOT_FOUND: the index, or its dataset is gone;
 * LH_CONFLICT: it is still being built. */
enum lh_code search_run(struct search *search, const struct search_ask *ask,
                        const struct lh_cancel *cancel, struct lh_arena *arena,
                        struct search_answer *ret, struct lh_error *err) LH_MUST_USE;

/* Several questions of one index at once, by meaning: the rows are looked at together for all. */
#define SEARCH_BATCH_MAX 1000
#define SEARCH_BATCH_HITS_MAX 100000
struct search_batch {
    /* What holds for all of them; its mode is SEARCH_VECTOR, its query and vector are absent. */
    struct search_ask ask;
    const struct lh_str *queries; /* words; or: */
    size_t query_count;
    const float *vectors; /* one after the other */
    size_t number_count;  /* of them all */
    size_t vector_count;  /* numbers of each; 0: as many as the index's */
};
struct search_hits {
    const struct search_hit *items;
    size_t count;
};
/* As search_run; *ret tells what holds for all of them and has no hits, *ret_hits has those of each
 * question. LH_INVALID: none, or more than SEARCH_BATCH_MAX of them, or more than
 * SEARCH_BATCH_HITS_MAX hits are asked for; a number that is not finite. */
enum lh_code search_run_batch(struct search *search, const struct search_batch *asked,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct search_answer *ret, struct search_hits **ret_hits,
                              size_t *ret_count, struct lh_error *err) LH_MUST_USE;

/* What the index holds of one source row. */
struct search_doc_chunk {
    int64_t chunk;
    struct lh_str text;
    int64_t start;               /* in characters of the row's joined text */
    struct lh_json_value vector; /* text: a JSON list of floats */
};
extern const struct lh_fields search_doc_chunk_fields;
struct search_doc {
    struct lh_str index;
    struct lh_json_value id;
    struct lh_str content_hash; /* hex */
    bool is_live;               /* the dataset has this very text now */
    struct lh_list chunks;
};
extern const struct lh_fields search_doc_fields;
/* LH_NOT_FOUND: the index has no such row. */
enum lh_code search_find_doc(struct search *search, struct lh_str index, struct lh_str id,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct search_doc *ret, struct lh_error *err) LH_MUST_USE;

#endif
