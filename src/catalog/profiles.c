/* Model profiles: what their records hold, and what may be one. */
#include "catalog/profiles.h"

#include "catalog/catalog.h"
#include "storage/buckets.h"

const char *const catalog_vector_backend_names[] = {"hnsw", "lance", NULL};

static const struct lh_field record_rows[] = {
    LH_STR(struct catalog_profile, name, .required = true),
    LH_STR(struct catalog_profile, model),
    LH_STR(struct catalog_profile, description),
    LH_STR_LIST(struct catalog_profile, bound_datasets, .max = CATALOG_PROFILE_DATASETS_MAX),
    LH_STR_LIST(struct catalog_profile, bound_ids, .max = CATALOG_PROFILE_DATASETS_MAX),
    LH_JSON(struct catalog_profile, hnsw_config),
    LH_STR(struct catalog_profile, embed_model),
    LH_STR(struct catalog_profile, bucket),
    LH_CHOICE(struct catalog_profile, vector_backend, .choices = catalog_vector_backend_names,
              LH_PRESET(CATALOG_BACKEND_HNSW)),
    LH_INT(struct catalog_profile, version, .required = true, .min = 1),
    LH_TIME(struct catalog_profile, saved_at),
    LH_STR(struct catalog_profile, saved_by),
    LH_BOOL(struct catalog_profile, is_removed),
};
static const struct lh_fields record_fields =
    LH_FIELDS_OF(struct catalog_profile, "ProfileRecord", record_rows);

static bool is_id(struct lh_str id)
{
    bool is_fine = id.len && id.len <= CATALOG_PROFILE_ID_BYTES_MAX;
    for (size_t i = 0; is_fine && i < id.len; i++) {
        char c = id.data[i];
        is_fine = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
    }
    return is_fine;
}

static enum lh_code check_record(const void *record, struct lh_error *err)
{
    const struct catalog_profile *profile = record;
    return profile->model.len && profile->bound_ids.count == profile->bound_datasets.count
               ? LH_OK
               : lh_fail(err, LH_DAMAGED, "The record of a profile lacks what each has.");
}

const struct storage_record_kind catalog_profile_kind = {
    .folder = "_catalog/profiles",
    .what = "profile",
    .replace = "Delete it first, or take another id.",
    .mend = "Delete it, and make it anew.",
    .count_max = CATALOG_PROFILES_MAX,
    .fields = &record_fields,
    .is_name = is_id,
    .check = check_record,
};

enum lh_code catalog_profile_check(const struct catalog_profile *profile, struct lh_error *err)
{
    if (!is_id(profile->name)) {
        lh_fail(err, LH_INVALID, "'%.*s' cannot be the id of a profile.",
                LH_ARG(lh_str_head(profile->name, 64)));
        lh_error_hint(err, "Take up to 63 letters, digits, _ and -.");
        return lh_error_field(err, lh_lit("id"));
    }
    if (!profile->model.len) {
        lh_fail(err, LH_INVALID, "A profile has a model.");
        lh_error_hint(err, "Give it as `model`: the name that its provider knows it by.");
        return lh_error_field(err, lh_lit("model"));
    }
    if (profile->bucket.len && !storage_bucket_is_name(profile->bucket)) {
        lh_fail(err, LH_INVALID, "'%.*s' is no name of a bucket.",
                LH_ARG(lh_str_head(profile->bucket, 64)));
        lh_error_hint(err, "Lower-case letters, digits, ':', '_' and '-'; the first is a letter or "
                           "a digit; 63 at most.");
        return lh_error_field(err, lh_lit("bucket"));
    }
    return LH_OK;
}

/* --- bindings */

static bool has_text(const struct lh_str *texts, size_t count, struct lh_str text)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_equal(texts[i], text))
            return true;
    return false;
}

bool catalog_profile_binds(const struct catalog_profile *profile, struct lh_str dataset_id)
{
    return has_text(profile->bound_ids.items, profile->bound_ids.count, dataset_id);
}

/* One that is missing fails as it does elsewhere, with the nearest names; several are all named. */
static enum lh_code fail_missing(const struct lh_str *missing, size_t count, struct lh_error *err)
{
    struct lh_buf names;
    if (count > 1) {
        lh_buf_init(&names, LH_ERROR_MESSAGE_BYTES);
        for (size_t i = 0; i < count; i++)
            lh_buf_printf(&names, "%s'%.*s'",
                          i == 0          ? ""
                          : i + 1 < count ? ", "
                                          : " and ",
                          LH_ARG(lh_str_head(missing[i], 64)));
        lh_fail(err, LH_NOT_FOUND, "There are no datasets %.*s.", LH_ARG(lh_buf_str(&names)));
        lh_error_hint(err, "GET /catalog/datasets lists those that there are.");
        lh_buf_release(&names);
    }
    return lh_error_field(err, lh_lit("bound_datasets"));
}

enum lh_code catalog_profile_bind(const struct catalog_snapshot *snapshot, struct lh_str_list names,
                                  struct lh_arena *arena, struct catalog_profile *profile,
                                  struct lh_error *err)
{
    struct lh_str *bound = lh_arena_array(arena, names.count + 1, sizeof *bound);
    struct lh_str *ids = lh_arena_array(arena, names.count + 1, sizeof *ids);
    struct lh_str *missing = lh_arena_array(arena, names.count + 1, sizeof *missing);
    size_t count = 0, missing_count = 0;
    for (size_t i = 0; i < names.count; i++) {
        const struct catalog_dataset *dataset = NULL;
        enum lh_code code = catalog_find(snapshot, names.items[i], &dataset, err);
        if (code && code != LH_NOT_FOUND)
            return code;
        if (code) {
            missing[missing_count++] = names.items[i];
        } else if (!has_text(ids, count, dataset->id)) {
            bound[count] = lh_arena_str(arena, dataset->name);
            ids[count++] = lh_arena_str(arena, dataset->id);
        }
    }
    if (missing_count)
        return fail_missing(missing, missing_count, err);
    profile->bound_datasets = (struct lh_str_list){bound, count};
    profile->bound_ids = (struct lh_str_list){ids, count};
    return LH_OK;
}
