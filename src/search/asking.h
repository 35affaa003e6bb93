/* What the files that answer a search share. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_ASKING_H
#define LAKEHOUSE_SEARCH_ASKING_H

#include "search/scan.h"
#include "search/view.h"

/* What is searched: the index, and on top of it what is fresh. */
#define LAYERS 2
struct layer {
    const struct view *view; /* NULL: there is none */
    const uint64_t *hidden;  /* bit per ordinal: not to be found */
    const uint64_t *mute;    /* nor by meaning */
    uint64_t *allowed;       /* bit per ordinal: the filter lets it through; NULL: no filter */
};

/* LH_INVALID unless `filter` is one boolean expression. */
enum lh_code filter_check(struct search *search, struct lh_str filter,
                          const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;
/* LH_FORBIDDEN if something in it is a statement of its own, which may read any dataset. */
enum lh_code filter_check_alone(struct search *search, struct lh_str filter,
                                const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;
/* Fills `allowed` of the layers, to be freed by the caller whatever is returned. */
enum lh_code filter_run(struct search *search, const struct pin *pin, struct lh_str filter,
                        struct layer *layers, const struct lh_cancel *cancel,
                        struct lh_error *err) LH_MUST_USE;
/* Gives each hit its source row as JSON. */
enum lh_code rows_fetch(struct search *search, const struct pin *pin, bool is_raw,
                        struct search_hit *hits, size_t count, const struct lh_cancel *cancel,
                        struct lh_arena *arena, struct lh_error *err) LH_MUST_USE;

/* What the words of a query say of one entry; each higher is better. */
struct evidence {
    double bm25;
    double coverage; /* 0 … 1: terms that it has, weighed by how rare they are, of all */
    double pairs;    /* 0 … 1: neighbours of the query that stand together, of all of them */
};

/* One entry that a leg found. */
struct found {
    size_t layer;
    size_t ordinal;
    size_t row; /* ordinal of the first entry of its row */
    double score;
    struct evidence evidence; /* zero before the words were looked for */
};
struct found_list {
    struct found *items; /* best first; ties by id, then by chunk */
    size_t count;
};

struct asking {
    struct search *search;
    const struct search_ask *ask;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct pin pin;
    struct layer layers[LAYERS];
    size_t ef;            /* of the walk that was gone; 0: none was */
    bool is_graph_broken; /* it should have been asked, and everything was looked at instead */
    const float
        *vector;      /* of the query, once leg_by_meaning made it; NULL: nothing is known of it */
    bool has_vectors; /* a batch of them was given, to be looked at by who reads it */
    bool has_number_ids; /* of the source, whatever prefix replies put before them */
};

/* --- search.c */

/* Pins what is asked, and lays out its layers; asking_close, whatever is returned. */
enum lh_code asking_open(struct asking *asking, struct lh_error *err) LH_MUST_USE;
void asking_close(struct asking *asking);
/* What holds of all answers of an asking. */
void asking_describe(const struct asking *asking, struct search_answer *answer);
struct fused; /* below */
struct search_hit asking_hit(const struct asking *asking, const struct fused *fused);
/* To unit length; zeros stay zeros. */
void make_unit(const float *vector, size_t count, float *ret);
enum lh_code fail_field(struct lh_error *err, const char *field, const char *why);
/* `ef`, and whether it goes with the rest. */
enum lh_code check_width(const struct search_ask *ask, struct lh_error *err) LH_MUST_USE;

/* The best `want` rows (chunks, if so asked) by meaning, or by words. */
enum lh_code leg_by_meaning(struct asking *asking, size_t want, struct found_list *ret,
                            struct lh_error *err) LH_MUST_USE;
/* What is in `also` (may be NULL) gets its evidence, wherever it stands. */
enum lh_code leg_by_words(struct asking *asking, size_t want, struct found_list *also,
                          struct found_list *ret, struct lh_error *err) LH_MUST_USE;

/* --- leg.c */

/* The best `want` rows of each query (chunks, if so asked), one list for each in `rets`: by the
 * index's graph where it has one and that suits, else by looking at all. Empty for a query of
 * zeros. */
enum lh_code meaning_find(struct asking *asking, const float *const *queries, size_t query_count,
                          size_t want, struct found_list *rets, struct lh_error *err) LH_MUST_USE;

/* --- exact.c */

/* One query on its way to enough rows. */
struct open_query {
    const float *query;
    struct found_list *ret;
    size_t take; /* entries that are looked for this time; later more */
};
/* As many as are looked for at first, of `all`. */
struct open_query open_query_of(const float *query, struct found_list *ret, size_t want,
                                size_t all);
/* Takes what was found, if it is enough. */
enum lh_code open_query_settle(struct asking *asking, struct open_query *one,
                               const struct search_scan_hit *hits, size_t count, size_t want,
                               size_t all, bool *ret_is_enough, struct lh_error *err) LH_MUST_USE;
size_t entry_count(const struct asking *asking);
bool is_zero(const float *vector, size_t count);
/* The best `want` rows of each query (chunks, if so asked), by looking at all; one list for each in
 * `rets`. Empty for a query of zeros. */
enum lh_code exact_find(struct asking *asking, const float *const *queries, size_t query_count,
                        size_t want, struct found_list *rets, struct lh_error *err) LH_MUST_USE;

/* --- sweep.c: one look at all rows for everybody who waits for it */

#define SWEEP_QUERIES_MAX SEARCH_BLOCK_QUERIES
struct sweep {
    const void *rows;           /* who has the same looks at the same rows */
    const struct layer *layers; /* LAYERS of them; `mute` is everyone's own */
    struct search_scanner *const *scanners;
    size_t count; /* 1 … SWEEP_QUERIES_MAX */
    const struct lh_cancel *cancel;
    /* Of the line: */
    struct sweep *next, *with;
    int state;
};
/* `places`: how many may look at once; 0: as many as there are processors. */
struct sweeps *sweeps_new(size_t places); /* NULL: there is no memory */
void sweeps_free(struct sweeps *sweeps);  /* nobody may wait; NULL is fine */
/* Passes that ended, and how many joined them. */
void sweeps_count(struct sweeps *sweeps, int64_t *ret_passes, int64_t *ret_served);
/* Returns when the scanners have seen all rows; waits for a place. The stopping codes. */
enum lh_code sweeps_join(struct sweeps *sweeps, struct sweep *sweep,
                         struct lh_error *err) LH_MUST_USE;

/* --- fusion.c */

/* A row that a leg found, or both. */
struct fused {
    struct found found; /* the chunk that is shown; its score is the fusion's */
    struct search_leg vector, keyword;
    struct evidence evidence;
};
/* Both lists as one, best first; *ret has room for both. Returns how many there are. */
size_t fuse(const struct asking *asking, const struct found_list *meaning,
            const struct found_list *words, struct fused *ret);

/* Marks the words in hits that stand for `found`. */
void words_highlight(struct asking *asking, const struct found *found, struct search_hit *hits,
                     size_t count);
/* Sorts, then leaves the best chunk of each row (unless chunks are asked for), at most `want`. */
void found_settle(const struct asking *asking, struct found_list *list, size_t want);
/* For qsort_r, with the asking as context: by score, ties by id, then by chunk. */
int compare_found(const void *a, const void *b, void *context);
/* Numbers by value, texts by bytes. */
int compare_ids(bool are_numbers, struct lh_str a, struct lh_str b);
struct lh_str found_id(const struct asking *asking, const struct found *found);

/* --- functions.c */
enum lh_code functions_register(struct search *search, struct lh_error *err) LH_MUST_USE;

#endif
