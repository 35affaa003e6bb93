/* Model profiles: which datasets a model works with, and how their indexes are to be searched.
 *
 * They are named records (storage/records.h): `_catalog/profiles/<id>.<20-digit version>.json`. An
 * id is [A-Za-z0-9_-]{1,63}; case does not matter. A profile is made and deleted, not changed.
 *
 * A dataset is bound for ever, whatever its name becomes: another one that gets the name is not
 * bound, and one that is gone stays bound without effect.
 */
#ifndef LAKEHOUSE_CATALOG_PROFILES_H
#define LAKEHOUSE_CATALOG_PROFILES_H

#include "storage/records.h"

struct catalog_snapshot;

#define CATALOG_PROFILES_MAX 10000
#define CATALOG_PROFILE_ID_BYTES_MAX 63
#define CATALOG_PROFILE_MODEL_BYTES_MAX 255
#define CATALOG_PROFILE_DATASETS_MAX 256

enum catalog_vector_backend { CATALOG_BACKEND_HNSW, CATALOG_BACKEND_LANCE };
extern const char *const catalog_vector_backend_names[]; /* "hnsw", "lance", NULL */

struct catalog_profile {
    STORAGE_RECORD_MEMBERS /* its name is the id; it was saved when, and by whom, it was made */
        struct lh_str model;
    struct lh_str description;
    struct lh_str_list bound_datasets; /* as they were called when it was made */
    struct lh_str_list bound_ids;      /* theirs, in that order */
    struct lh_json_value hnsw_config;  /* of its indexes' graphs; absent: it has none */
    struct lh_str embed_model;
    struct lh_str bucket;
    int vector_backend; /* enum catalog_vector_backend */
};
extern const struct storage_record_kind catalog_profile_kind;

/* LH_INVALID: the id, the model, or the bucket's name. */
enum lh_code catalog_profile_check(const struct catalog_profile *profile,
                                   struct lh_error *err) LH_MUST_USE;
/* Sets bound_datasets and bound_ids, in `arena`: each dataset once. LH_NOT_FOUND names all that are
 * not there. */
enum lh_code catalog_profile_bind(const struct catalog_snapshot *snapshot, struct lh_str_list names,
                                  struct lh_arena *arena, struct catalog_profile *profile,
                                  struct lh_error *err) LH_MUST_USE;
bool catalog_profile_binds(const struct catalog_profile *profile, struct lh_str dataset_id);

#endif
