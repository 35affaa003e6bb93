/* The profile that is active: the indexes of its datasets are in memory, as it wants them.
 *
 *   lake_profile_activate ─▶ warming (one at a time) ─▶ active ─▶ lake_profile_deactivate, its
 *   deletion, or another one's activation: what only it had is let go of
 *
 * Which one is active is known in memory only: after a restart none is. What the activation did to
 * indexes stays: an index has the configuration that was promoted for it, else the profile's, else
 * the preset.
 *
 * Threads: any. Blocking: activating takes as long as indexes are loaded and graphs made; it looks
 * at `cancel`. The rest is quick, but for unloading, which waits for who loads the same index.
 */
#ifndef LAKEHOUSE_LAKE_ACTIVATION_H
#define LAKEHOUSE_LAKE_ACTIVATION_H

#include "base/cancel.h"
#include "catalog/profiles.h"
#include "search/configuration.h"

struct lake;
struct journal_event;

enum lake_binding_state {
    LAKE_BINDING_WARM,
    LAKE_BINDING_COLD, /* it was loaded, and has made room for others */
    LAKE_BINDING_FAILED,
    LAKE_BINDING_UNINDEXED, /* no index rests on the dataset */
    LAKE_BINDING_GONE       /* the dataset is */
};
enum lake_configuration_source { LAKE_FROM_PROMOTION, LAKE_FROM_PROFILE, LAKE_FROM_PRESET };

/* One for each index of a bound dataset, or for the dataset that has none. */
struct lake_binding {
    struct lh_str dataset;
    struct lh_str index;  /* absent: none */
    int state;            /* enum lake_binding_state, now */
    struct lh_str method; /* of searches by meaning: hnsw, exact; absent: it is not loaded */
    struct lh_opt_int vectors;
    const struct search_configuration *configuration; /* of its graphs */
    int configuration_from;                           /* -1: unknown */
    struct lh_str note;
    struct lh_str error, hint;
    int64_t elapsed_ms;
};
struct lake_profile_bucket {
    struct lh_str name;
    int state; /* enum lake_bucket_state */
    struct lh_str error, hint;
};
enum lake_bucket_state { LAKE_BUCKET_READY, LAKE_BUCKET_MADE, LAKE_BUCKET_MISSING };

struct lake_active_profile {
    struct lh_str id; /* absent: none is active */
    struct lh_str model;
    struct lh_time activated_at;
    struct lh_str activated_by;
    struct lh_str replaced;                   /* the one that was active before; absent: none */
    const struct lake_profile_bucket *bucket; /* NULL: it has none */
    struct lh_list bindings;                  /* of struct lake_binding */
    int64_t warm, failed;                     /* of them */
    int64_t elapsed_ms;
    int64_t version; /* of the profile; not shown */
};
extern const struct lh_fields lake_active_profile_fields;

/* `event` says who asks: events of what it changes are made from it. *ret lives in `arena`. What
 * fails with one binding or the bucket is told in *ret. LH_NOT_FOUND, LH_DAMAGED: the profile;
 * LH_CONFLICT: one is being activated; LH_NO_HELPER: its backend; the stopping codes. */
enum lh_code lake_profile_activate(struct lake *lake, struct lh_str id,
                                   const struct journal_event *event,
                                   const struct lh_cancel *cancel, struct lh_arena *arena,
                                   struct lake_active_profile *ret,
                                   struct lh_error *err) LH_MUST_USE;
/* LH_CONFLICT: it is not the one that is active. */
enum lh_code lake_profile_deactivate(struct lake *lake, struct lh_str id,
                                     struct lh_error *err) LH_MUST_USE;
/* The same for a profile that was deleted; one that is not active is fine. */
void lake_profile_forget(struct lake *lake, struct lh_str id);
void lake_profile_active(struct lake *lake, struct lh_arena *arena,
                         struct lake_active_profile *ret);

/* What the active profile wants the graph of that index to be made with. False: none is active, it
 * is not bound to the index, or does not say. */
bool lake_profile_wants(struct lake *lake, struct lh_str index, struct search_configuration *ret);

/* What it wants graphs to be made with. *ret_has: false: it does not say. LH_DAMAGED. */
enum lh_code lake_profile_configuration(const struct catalog_profile *profile, bool *ret_has,
                                        struct search_configuration *ret,
                                        struct lh_error *err) LH_MUST_USE;
/* LH_NO_HELPER unless its vectors are searched by what there is. */
enum lh_code lake_profile_check_backend(const struct catalog_profile *profile,
                                        struct lh_error *err) LH_MUST_USE;

#endif
