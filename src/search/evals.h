/* Eval sets on the disk. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_EVALS_H
#define LAKEHOUSE_SEARCH_EVALS_H

#include "search/tuning.h"
#include "search/view.h"

/* A set as its file has it: what search_eval tells, and what it was made from. */
struct eval_set {
    int64_t format;
    struct lh_str name;
    int kind; /* enum search_eval_kind */
    int64_t k;
    int64_t seed;
    struct lh_str dataset_id;
    struct lh_str dataset_data;
    int64_t dataset_version;
    struct lh_str covered_data; /* of the dataset, by the index, then */
    int64_t covered_version;
    int64_t generation;
    int64_t unknown_ids; /* labelled: relevant ones that the index did not have then */
    struct lh_str created_by;
    struct lh_time created_at;
    struct lh_list queries; /* of struct search_eval_query */
};
extern const struct lh_fields eval_set_fields;

enum lh_code eval_check_name(struct lh_str name, struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND with the nearest name; LH_DAMAGED. */
enum lh_code eval_load(struct search *search, const struct index_manifest *manifest,
                       struct lh_str name, struct lh_arena *arena, struct eval_set *ret,
                       struct lh_error *err) LH_MUST_USE;
enum lh_code eval_store(struct search *search, struct lh_str index_id, const struct eval_set *set,
                        struct lh_error *err) LH_MUST_USE;
/* Has anything changed that the set was made from? Absent text: nothing. `dataset` NULL: gone. */
struct lh_str eval_stale_because(const struct eval_set *set, const struct index_manifest *manifest,
                                 const struct catalog_dataset *dataset, struct lh_arena *arena);
/* As it is told; ids with the index's prefix. */
void eval_describe(const struct eval_set *set, const struct index_manifest *manifest,
                   const struct catalog_dataset *dataset, struct lh_arena *arena,
                   struct search_eval *ret);

#endif
