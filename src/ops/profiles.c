/* Model profiles: made, read, deleted, activated, searched. */
#include "catalog/profiles.h"

#include "catalog/catalog.h"
#include "lake/activation.h"
#include "lake/lake.h"
#include "ops/internal.h"
#include "ops/searching.h"
#include "search/vectors.h"

#define ID_ROW(struct_type)                                                                        \
    LH_STR(struct_type, id, .required = true, .positional = true, .min = 1,                        \
           .max = CATALOG_PROFILE_ID_BYTES_MAX, .doc = "The profile's id; case does not matter.")

/* --- how it is shown */

struct profile_view {
    struct lh_str id;
    struct lh_str model;
    struct lh_str description;
    struct lh_str_list bound_datasets;
    struct lh_str_list missing_datasets;
    const struct search_configuration *hnsw_config;
    struct lh_str embed_model;
    struct lh_str bucket;
    int vector_backend;
    bool active;
    struct lh_time created_at;
    struct lh_str created_by;
};
static const struct lh_field view_rows[] = {
    LH_STR(struct profile_view, id, .required = true, .doc = "By which it is called."),
    LH_STR(struct profile_view, model,
           .doc = "As its provider knows it; absent where the stored record is damaged."),
    LH_STR(struct profile_view, description, .doc = "What it is for."),
    LH_STR_LIST(struct profile_view, bound_datasets,
                .doc = "The datasets that it searches, by their names of today."),
    LH_STR_LIST(struct profile_view, missing_datasets,
                .doc = "Bound ones that are gone, by the names that they had when it was made."),
    LH_OBJECT(struct profile_view, hnsw_config, const struct search_configuration *,
              .fields = &search_configuration_fields,
              .doc = "Of graphs for which nothing was promoted; absent: the preset."),
    LH_STR(struct profile_view, embed_model, .doc = "That its indexes' vectors should be made by."),
    LH_STR(struct profile_view, bucket, .doc = "Its own; made when it is activated."),
    LH_CHOICE(struct profile_view, vector_backend, .choices = catalog_vector_backend_names,
              .doc = "What its vectors are searched by."),
    LH_BOOL(struct profile_view, active, .doc = "It is the one that is active."),
    LH_TIME(struct profile_view, created_at, .doc = "When it was made; absent likewise."),
    LH_STR(struct profile_view, created_by, .doc = "Who made it."),
};
static const struct lh_fields view_fields = LH_FIELDS_OF(struct profile_view, "Profile", view_rows);

struct viewer {
    struct op_call *call;
    struct catalog_snapshot *snapshot;
    struct lh_str active; /* absent: none */
};

static void viewer_open(struct op_call *call, struct viewer *ret)
{
    struct lake_active_profile active;
    lake_profile_active(call->lake, call->arena, &active);
    *ret = (struct viewer){call, catalog_snapshot_ref(lake_catalog(call->lake)), active.id};
}

static void viewer_close(struct viewer *viewer)
{
    catalog_snapshot_unref(viewer->snapshot);
}

/* Names of today, in the order in which they were bound. */
static void name_datasets(const struct viewer *viewer, const struct catalog_profile *profile,
                          struct lh_str_list *ret_bound, struct lh_str_list *ret_missing)
{
    struct lh_arena *arena = viewer->call->arena;
    size_t count = profile->bound_ids.count, bound_count = 0, missing_count = 0;
    struct lh_str *bound = lh_arena_array(arena, count + 1, sizeof *bound);
    struct lh_str *missing = lh_arena_array(arena, count + 1, sizeof *missing);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_dataset *dataset = NULL;
        struct lh_str then = profile->bound_datasets.items[i];
        enum lh_code code =
            catalog_find_id(viewer->snapshot, profile->bound_ids.items[i], &dataset, NULL);
        if (code == LH_NOT_FOUND)
            missing[missing_count++] = then;
        else /* a damaged one has only the name that it had */
            bound[bound_count++] = code ? then : lh_arena_str(arena, dataset->name);
    }
    *ret_bound = (struct lh_str_list){bound, bound_count};
    *ret_missing = (struct lh_str_list){missing, missing_count};
}

static void view_of(const struct viewer *viewer, const struct catalog_profile *profile,
                    struct profile_view *ret)
{
    bool has_configuration = false;
    struct search_configuration *configuration =
        lh_arena_alloc(viewer->call->arena, sizeof *configuration);
    if (lake_profile_configuration(profile, &has_configuration, configuration, NULL))
        has_configuration = false; /* activating it says so */
    *ret = (struct profile_view){
        .id = profile->name,
        .model = profile->model,
        .description = profile->description,
        .hnsw_config = has_configuration ? configuration : NULL,
        .embed_model = profile->embed_model,
        .bucket = profile->bucket,
        .vector_backend = profile->vector_backend,
        .active = viewer->active.len && lh_str_equal_nocase(viewer->active, profile->name),
        .created_at = profile->saved_at,
        .created_by = profile->saved_by,
    };
    name_datasets(viewer, profile, &ret->bound_datasets, &ret->missing_datasets);
}

static enum lh_code reply_profile(struct op_call *call, const struct catalog_profile *profile,
                                  struct op_reply *reply, struct lh_error *err)
{
    struct viewer viewer;
    struct profile_view view;
    viewer_open(call, &viewer);
    view_of(&viewer, profile, &view);
    viewer_close(&viewer);
    return op_reply_record(reply, &view, err);
}

/* --- GET /catalog/profiles */

struct list_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "ProfilesListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    struct viewer viewer;
    void *found = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    enum lh_code code =
        storage_records_list(lake_profiles(call->lake), args->after, (size_t)args->limit,
                             call->arena, &found, &count, &next, err);
    if (code)
        return code;
    const struct catalog_profile *profiles = found;
    struct profile_view *items = lh_arena_array(call->arena, count + 1, sizeof *items);
    viewer_open(call, &viewer);
    for (size_t i = 0; i < count; i++)
        view_of(&viewer, &profiles[i], &items[i]);
    viewer_close(&viewer);
    return op_reply_list(reply, items, count, next, err);
}

const struct op op_profiles_list = {
    .name = "profiles.list",
    .summary = "Model profiles, by id.",
    .http = {OP_GET, "/catalog/profiles"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &view_fields,
    .run = run_list,
};

/* --- POST /catalog/profiles */

struct create_args {
    struct lh_str id;
    struct lh_str model;
    struct lh_str ollama_name;
    struct lh_str description;
    struct lh_str_list bound_datasets;
    const struct search_configuration *hnsw_config;
    struct lh_str embed_model;
    struct lh_str bucket;
    int vector_backend;
};
static const struct lh_field create_rows[] = {
    ID_ROW(struct create_args),
    LH_STR(struct create_args, model, .max = CATALOG_PROFILE_MODEL_BYTES_MAX,
           .doc = "As its provider knows it."),
    LH_STR(struct create_args, ollama_name, .max = CATALOG_PROFILE_MODEL_BYTES_MAX,
           .doc = "The same by another name."),
    LH_STR(struct create_args, description, .max = 2000, .doc = "What it is for."),
    LH_STR_LIST(struct create_args, bound_datasets, .max = CATALOG_PROFILE_DATASETS_MAX,
                .doc = "The datasets that it searches; they are bound whatever their names become, "
                       "and must be there."),
    LH_OBJECT(struct create_args, hnsw_config, const struct search_configuration *,
              .fields = &search_configuration_input_fields,
              .doc = "Of graphs of their indexes for which nothing was promoted; absent: the "
                     "preset."),
    LH_STR(struct create_args, embed_model, .max = CATALOG_PROFILE_MODEL_BYTES_MAX,
           .doc = "That its indexes' vectors should be made by: activation names those that are "
                  "not."),
    LH_STR(struct create_args, bucket, .max = 63,
           .doc = "Its own, made when it is activated if it is not there, below profile_root of "
                  "the settings."),
    LH_CHOICE(struct create_args, vector_backend, .choices = catalog_vector_backend_names,
              LH_PRESET(CATALOG_BACKEND_HNSW),
              .doc = "hnsw; lance needs a helper process, without which such a profile is kept "
                     "and neither activated nor searched."),
};
static const struct lh_fields create_fields =
    LH_FIELDS_OF(struct create_args, "ProfilesCreateArgs", create_rows);

static struct lh_str configuration_text(const struct search_configuration *configuration,
                                        struct lh_arena *arena)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 1024);
    lh_json_init(&json, &buf);
    lh_fields_write(&search_configuration_fields, configuration, &json);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static enum lh_code check_create(const struct create_args *args, struct lh_error *err)
{
    if (args->model.len && args->ollama_name.len && !lh_str_equal(args->model, args->ollama_name)) {
        lh_fail(err, LH_INVALID, "model and ollama_name say the same thing: give one.");
        return lh_error_field(err, lh_lit("ollama_name"));
    }
    if (args->hnsw_config && search_configuration_check(args->hnsw_config, err))
        return LH_INVALID;
    return LH_OK;
}

static enum lh_code save(struct op_call *call, const struct catalog_profile *profile,
                         struct catalog_profile *ret, struct lh_error *err)
{
    const struct journal_event event = op_event(call, "profile.create", profile->name);
    struct lake_change change;
    enum lh_code code = lake_change_begin(call->lake, &event, false, &change, err);
    if (code)
        return code;
    code = storage_records_put(lake_profiles(call->lake), profile, 0, call->arena, ret, err);
    lake_change_end(call->lake, &change, code, &event);
    return code;
}

static enum lh_code run_create(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct create_args *args = raw;
    struct catalog_profile made, profile = {
                                     .name = args->id,
                                     .model = args->model.len ? args->model : args->ollama_name,
                                     .description = args->description,
                                     .embed_model = args->embed_model,
                                     .bucket = args->bucket,
                                     .vector_backend = args->vector_backend,
                                     .saved_by = call->principal->id,
                                 };
    enum lh_code code = check_create(args, err);
    if (!code)
        code = catalog_profile_check(&profile, err);
    if (code)
        return code;
    if (args->hnsw_config)
        profile.hnsw_config.text = configuration_text(args->hnsw_config, call->arena);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(call->lake));
    code = catalog_profile_bind(snapshot, args->bound_datasets, call->arena, &profile, err);
    catalog_snapshot_unref(snapshot);
    if (!code)
        code = save(call, &profile, &made, err);
    if (code)
        return code;
    reply->location = lh_arena_printf(call->arena, "/catalog/profiles/%.*s", LH_ARG(made.name));
    return reply_profile(call, &made, reply, err);
}

static const struct op_example create_examples[] = {
    {.summary = "A local model over two datasets",
     .request = "{\"id\": \"recruiter\", \"model\": \"qwen2.5:7b\", \"bound_datasets\": "
                "[\"candidates\", \"placements\"], \"hnsw_config\": {\"ef_search\": 60}}"},
};

const struct op op_profiles_create = {
    .name = "profiles.create",
    .summary = "Make a profile: a model, and the datasets that it works with.",
    .description = "A profile is not changed: one that is to be another is deleted and made anew.",
    .http = {OP_POST, "/catalog/profiles"},
    .effect = OP_WRITE,
    .permission = "profile.write",
    .body = OP_BODY_JSON,
    .fields = &create_fields,
    .kind = OP_RECORD,
    .result = &view_fields,
    .status = 201,
    .errors =
        OP_ERRORS(LH_NOT_FOUND, LH_EXISTS, LH_RACE, LH_TOO_LARGE, LH_DAMAGED, LH_UNKNOWN, LH_FULL),
    OP_EXAMPLES(create_examples),
    .run = run_create,
};

/* --- GET, DELETE /catalog/profiles/{id} */

struct id_args {
    struct lh_str id;
};
static const struct lh_field id_rows[] = {ID_ROW(struct id_args)};
static const struct lh_fields id_fields = LH_FIELDS_OF(struct id_args, "ProfilesIdArgs", id_rows);

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct id_args *args = raw;
    struct catalog_profile profile;
    enum lh_code code =
        storage_records_get(lake_profiles(call->lake), args->id, call->arena, &profile, err);
    return code ? code : reply_profile(call, &profile, reply, err);
}

const struct op op_profiles_get = {
    .name = "profiles.get",
    .summary = "One profile.",
    .http = {OP_GET, "/catalog/profiles/{id}"},
    .effect = OP_READ,
    .permission = "search.read",
    .fields = &id_fields,
    .kind = OP_RECORD,
    .result = &view_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_get,
};

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct id_args *args = raw;
    struct storage_records *profiles = lake_profiles(call->lake);
    const struct journal_event event = op_event(call, "profile.delete", args->id);
    struct lake_change change;
    struct catalog_profile profile;
    (void)reply;
    enum lh_code code = storage_records_get(profiles, args->id, call->arena, &profile, err);
    if (code == LH_DAMAGED) /* removing it mends it */
        code = LH_OK;
    if (!code)
        code = lake_change_begin(call->lake, &event, true, &change, err);
    if (code)
        return code;
    code = storage_records_remove(profiles, args->id, -1, call->principal->id, err);
    lake_change_end(call->lake, &change, code, &event);
    if (!code)
        lake_profile_forget(call->lake, args->id);
    return code;
}

const struct op op_profiles_delete = {
    .name = "profiles.delete",
    .summary = "Delete a profile; one that is active is deactivated.",
    .description = "Datasets, indexes and its bucket stay.",
    .http = {OP_DELETE, "/catalog/profiles/{id}"},
    .effect = OP_WRITE,
    .permission = "profile.write",
    .fields = &id_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_RACE, LH_UNKNOWN),
    .run = run_delete,
};

/* --- POST /vectors/profile/{id}/activate, …/deactivate, GET /vectors/profile/active */

static enum lh_code run_activate(struct op_call *call, const void *raw, struct op_reply *reply,
                                 struct lh_error *err)
{
    const struct id_args *args = raw;
    struct lake_active_profile active;
    const struct journal_event event = op_event(call, "profile.activate", args->id);
    enum lh_code code = lake_profile_activate(call->lake, args->id, &event, call->cancel,
                                              call->arena, &active, err);
    return code ? code : op_reply_record(reply, &active, err);
}

const struct op op_profiles_activate = {
    .name = "profiles.activate",
    .summary = "Make a profile the active one: its indexes are configured and loaded.",
    .description =
        "Each index of a bound dataset gets the configuration that was promoted for it, else the "
        "profile's, else the preset: where that is another than it has, its graph is made anew "
        "beside the one that is served. What fails with one index or the bucket is told with it "
        "and keeps nothing else from being done. The profile that was active before leaves: what "
        "only it had in memory is let go of. After a restart none is active.",
    .http = {OP_POST, "/vectors/profile/{id}/activate"},
    .effect = OP_WRITE,
    .permission = "profile.write",
    .lane = LH_LANE_SLOW,
    .fields = &id_fields,
    .kind = OP_RECORD,
    .result = &lake_active_profile_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_RACE, LH_DAMAGED, LH_NO_HELPER),
    .run = run_activate,
};

static enum lh_code run_deactivate(struct op_call *call, const void *raw, struct op_reply *reply,
                                   struct lh_error *err)
{
    const struct id_args *args = raw;
    struct catalog_profile profile;
    (void)reply;
    enum lh_code code =
        storage_records_get(lake_profiles(call->lake), args->id, call->arena, &profile, err);
    return code ? code : lake_profile_deactivate(call->lake, args->id, err);
}

const struct op op_profiles_deactivate = {
    .name = "profiles.deactivate",
    .summary = "Let go of what the active profile has in memory.",
    .description = "Its indexes are loaded again by whoever searches them.",
    .http = {OP_POST, "/vectors/profile/{id}/deactivate"},
    .effect = OP_WRITE,
    .permission = "profile.write",
    .fields = &id_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_DAMAGED),
    .run = run_deactivate,
};

static enum lh_code run_active(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    struct lake_active_profile active;
    (void)raw;
    lake_profile_active(call->lake, call->arena, &active);
    return op_reply_record(reply, &active, err);
}

const struct op op_profiles_active = {
    .name = "profiles.active",
    .summary = "The profile that is active, and what of it is in memory now.",
    .http = {OP_GET, "/vectors/profile/active"},
    .effect = OP_READ,
    .permission = "search.read",
    .kind = OP_RECORD,
    .result = &lake_active_profile_fields,
    .run = run_active,
};

/* --- POST /vectors/profile/{id}/search */

static const struct lh_field search_rows[] = {ID_ROW(struct op_search_args),
                                              OP_SEARCH_ROWS(struct op_search_args)};
static const struct lh_fields search_fields =
    LH_FIELDS_OF(struct op_search_args, "ProfilesSearchArgs", search_rows);

#define NAMES_SHOWN 10

static enum lh_code fail_unbound(struct op_call *call, const struct catalog_profile *profile,
                                 const struct search_index_info *info, struct lh_error *err)
{
    struct viewer viewer;
    struct lh_str_list bound, missing;
    struct lh_buf names;
    viewer_open(call, &viewer);
    name_datasets(&viewer, profile, &bound, &missing);
    viewer_close(&viewer);
    lh_buf_init(&names, LH_ERROR_MESSAGE_BYTES);
    for (size_t i = 0; i < bound.count && i < NAMES_SHOWN; i++)
        lh_buf_printf(&names, "%s'%.*s'", i ? ", " : "", LH_ARG(bound.items[i]));
    lh_fail(err, LH_FORBIDDEN, "profile '%.*s' is not bound to '%.*s'", LH_ARG(profile->name),
            LH_ARG(info->source.len ? info->source : info->name));
    if (bound.count)
        lh_error_hint(err, "It is bound to %.*s%s.", LH_ARG(lh_buf_str(&names)),
                      bound.count > NAMES_SHOWN ? " and more" : "");
    else
        lh_error_hint(err, "It is bound to no dataset.");
    lh_buf_release(&names);
    return lh_error_field(err, lh_lit("index"));
}

static enum lh_code run_search(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct op_search_args *args = raw;
    struct catalog_profile profile;
    struct search_index_info info;
    enum lh_code code =
        storage_records_get(lake_profiles(call->lake), args->id, call->arena, &profile, err);
    if (!code)
        code = lake_profile_check_backend(&profile, err);
    if (!code)
        code = search_get(lake_search(call->lake), args->index, call->arena, &info, err);
    if (code)
        return code;
    if (!catalog_profile_binds(&profile, info.dataset_id))
        return fail_unbound(call, &profile, &info, err);
    struct op_search_scope scope = {
        .index_id = info.id,
        .is_cold = !search_is_warm(lake_search(call->lake), info.name, NULL),
    };
    if (scope.is_cold && info.graph)
        scope.note = lh_arena_printf(call->arena,
                                     "The index was not in memory: all vectors were looked at. "
                                     "Activating the profile '%.*s' loads it.",
                                     LH_ARG(profile.name));
    return op_run_search(call, args, &scope, reply, err);
}

static const struct op_example search_examples[] = {
    {.summary = "In words",
     .request = "{\"index\": \"candidates_v1\", \"query\": \"welder with a driving licence\", "
                "\"k\": 5}"},
};

const struct op op_profiles_search = {
    .name = "profiles.search",
    .summary = "Search by meaning in what a profile is bound to, and in nothing else.",
    .description =
        "As /vectors/search, in indexes of the profile's datasets alone: another one is 403, and "
        "so is a filter with a statement in it, which could read others. By "
        "the index's graph if it is in memory, else by looking at all vectors, which `note` says. "
        "The profile need not be active.",
    .http = {OP_POST, "/vectors/profile/{id}/search"},
    .effect = OP_READ,
    .permission = "search.read",
    .body = OP_BODY_JSON,
    .fields = &search_fields,
    OP_OCTETS(struct op_search_args, octets),
    .kind = OP_RECORD,
    .result = &op_search_answer_fields,
    .errors = OP_ERRORS(OP_SEARCH_ERRORS, LH_FORBIDDEN, LH_RACE, LH_NO_HELPER),
    OP_EXAMPLES(search_examples),
    .run = run_search,
};
