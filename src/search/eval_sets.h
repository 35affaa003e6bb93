/* Eval sets: queries with what they should find. See tuning.h for what they are for.
 *
 * What is told of a set is held against the dataset and the index now: one that was made from other
 * rows, or other vectors, is stale, and says why. Each is replaced as a whole.
 */
#ifndef LAKEHOUSE_SEARCH_EVAL_SETS_H
#define LAKEHOUSE_SEARCH_EVAL_SETS_H

#include "search/search.h"

#define SEARCH_EVAL_QUERIES_MAX 10000
#define SEARCH_EVAL_QUERIES_PRESET 100
#define SEARCH_EVAL_K_MAX 1000
#define SEARCH_EVAL_RELEVANT_MAX 1000
#define SEARCH_EVALS_MAX 1000 /* of an index */
/* A name that none has: the last searches of callers that were asked again (watch.h). They are in
 * memory alone. */
#define SEARCH_HARNESS_CALLERS "callers"

enum search_eval_kind {
    SEARCH_EVAL_GENERATED, /* queries are rows of the index; relevant is what is nearest to them */
    SEARCH_EVAL_LABELLED   /* people said what is relevant */
};
extern const char *const search_eval_kind_names[];

struct search_eval_query {
    struct lh_str id;            /* of the row that asks; absent: text or vector */
    struct lh_str text;          /* words */
    struct lh_json_value vector; /* a list of numbers */
    struct lh_str_list relevant; /* ids, best first where they were generated */
    double floor;                /* generated: what the last of them scores */
};
extern const struct lh_fields search_eval_query_fields;

struct search_eval {
    struct lh_str name;
    struct lh_str index_name; /* today */
    int kind;                 /* enum search_eval_kind */
    int64_t k;
    int64_t query_count;
    int64_t seed; /* generated */
    struct lh_str dataset_id;
    struct lh_str dataset_data; /* fingerprint of the version's files */
    int64_t dataset_version;    /* that it was made from */
    int64_t generation;         /* of the index's vectors then */
    bool is_stale;
    struct lh_str stale_because; /* a sentence; absent unless stale */
    int64_t unknown_ids;         /* labelled: relevant ids that the index does not have */
    struct lh_str created_by;
    struct lh_time created_at;
    struct lh_list queries; /* of struct search_eval_query; empty in lists */
};
extern const struct lh_fields search_eval_fields;       /* without the queries */
extern const struct lh_fields search_eval_whole_fields; /* with them */

/* Of people, as it is sent. */
struct search_eval_label {
    struct lh_str query;
    struct lh_json_value vector;
    struct lh_json_value relevant; /* a list of ids: numbers or texts */
};
extern const struct lh_fields search_eval_label_fields;
struct search_eval_request {
    struct lh_str name;
    struct lh_str index_name;
    int64_t k;
    struct lh_list queries; /* of struct search_eval_label */
    struct lh_str actor;
};
/* In the place of one that has the name. LH_INVALID; LH_NOT_FOUND: the index. */
enum lh_code search_eval_put(struct search *search, const struct search_eval_request *request,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct search_eval *ret, struct lh_error *err) LH_MUST_USE;

struct search_autogen {
    struct lh_str name;
    struct lh_str index_name;
    int64_t queries; /* as many as there are, if fewer */
    int64_t k;
    int64_t seed; /* equal seeds over equal rows draw equal queries */
    struct lh_str actor;
};
/* Draws rows of the index and looks for what is nearest to each by looking at all of them; the row
 * itself does not count. In the place of a set that has the name. LH_CONFLICT: a labelled set has
 * the name, or there are fewer than two rows. */
enum lh_code search_eval_autogen(struct search *search, const struct search_autogen *request,
                                 const struct lh_cancel *cancel, struct lh_arena *arena,
                                 struct search_eval *ret, struct lh_error *err) LH_MUST_USE;
/* With its queries. LH_NOT_FOUND with the nearest name. */
enum lh_code search_eval_get(struct search *search, struct lh_str index_name, struct lh_str name,
                             struct lh_arena *arena, struct search_eval *ret,
                             struct lh_error *err) LH_MUST_USE;
/* Of one index (absent: of all), by "index/name", those after `after`. */
enum lh_code search_eval_list(struct search *search, struct lh_str index_name, struct lh_str after,
                              size_t limit, struct lh_arena *arena, struct search_eval **ret,
                              size_t *ret_count, struct lh_str *ret_next,
                              struct lh_error *err) LH_MUST_USE;
enum lh_code search_eval_delete(struct search *search, struct lh_str index_name, struct lh_str name,
                                struct lh_error *err) LH_MUST_USE;

#endif
