/* Profiles made active: indexes configured and loaded, one profile at a time. */
#include "lake/activation.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "lake/changes.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "search/tuning.h"
#include "search/vectors.h"
#include "storage/buckets.h"
#include "storage/storage.h"

/* --- what is told */

static const char *const state_names[] = {"warm", "cold", "failed", "unindexed", "gone", NULL};
static const char *const source_names[] = {"promoted", "profile", "preset", NULL};
static const struct lh_field binding_rows[] = {
    LH_STR(struct lake_binding, dataset, .required = true, .doc = "That is bound."),
    LH_STR(struct lake_binding, index, .doc = "An index of it; absent: it has none."),
    LH_CHOICE(struct lake_binding, state, .choices = state_names,
              .doc = "warm: in memory; cold: it was, and made room for others; failed: see "
                     "`error`; unindexed: no index rests on the dataset; gone: the dataset is."),
    LH_STR(struct lake_binding, method,
           .doc = "Of searches by meaning: hnsw, by its graph; exact, by looking at all."),
    LH_OPT_INT(struct lake_binding, vectors, .doc = "That are found."),
    LH_OBJECT(struct lake_binding, configuration, const struct search_configuration *,
              .fields = &search_configuration_fields, .doc = "That its graphs are made with."),
    LH_CHOICE(struct lake_binding, configuration_from, .choices = source_names,
              .doc = "promoted: what was promoted for the index; else what the profile says; else "
                     "the preset."),
    LH_STR(struct lake_binding, note, .doc = "What else is to be known."),
    LH_STR(struct lake_binding, error, .doc = "Why it failed."),
    LH_STR(struct lake_binding, hint, .doc = "What to do."),
    LH_INT(struct lake_binding, elapsed_ms, .doc = "Of its activation."),
};
static const struct lh_fields binding_fields =
    LH_FIELDS_OF(struct lake_binding, "ProfileBinding", binding_rows);

static const char *const bucket_state_names[] = {"ready", "made", "missing", NULL};
static const struct lh_field bucket_rows[] = {
    LH_STR(struct lake_profile_bucket, name, .required = true, .doc = "Of the bucket."),
    LH_CHOICE(struct lake_profile_bucket, state, .choices = bucket_state_names,
              .doc = "ready: it was there; made: by this activation; missing: see `error`."),
    LH_STR(struct lake_profile_bucket, error, .doc = "Why it is missing."),
    LH_STR(struct lake_profile_bucket, hint, .doc = "What to do."),
};
static const struct lh_fields bucket_fields =
    LH_FIELDS_OF(struct lake_profile_bucket, "ProfileBucket", bucket_rows);

static const struct lh_field active_rows[] = {
    LH_STR(struct lake_active_profile, id, .nullable = true, .doc = "null: none is active."),
    LH_STR(struct lake_active_profile, model, .doc = "Of the profile."),
    LH_TIME(struct lake_active_profile, activated_at, .doc = "When its activation ended."),
    LH_STR(struct lake_active_profile, activated_by, .doc = "Who asked for it."),
    LH_STR(struct lake_active_profile, replaced, .doc = "The profile that was active before."),
    LH_OBJECT(struct lake_active_profile, bucket, const struct lake_profile_bucket *,
              .fields = &bucket_fields, .doc = "Its bucket; absent: it names none."),
    LH_LIST(struct lake_active_profile, bindings, .fields = &binding_fields,
            .doc = "One for each index of a bound dataset, or for the dataset that has none."),
    LH_INT(struct lake_active_profile, warm, .doc = "Indexes that are in memory now."),
    LH_INT(struct lake_active_profile, failed, .doc = "Indexes that could not be loaded."),
    LH_INT(struct lake_active_profile, elapsed_ms, .doc = "Of the activation."),
};
const struct lh_fields lake_active_profile_fields =
    LH_FIELDS_OF(struct lake_active_profile, "ActiveProfile", active_rows);

/* --- the slot */

struct active {
    atomic_size_t refs;
    struct lh_arena *arena;
    struct lake_active_profile told;
    bool has_configuration;
    struct search_configuration configuration;
};

struct activation {
    pthread_mutex_t lock; /* guards what follows */
    struct lh_str warming;
    char warming_text[CATALOG_PROFILE_ID_BYTES_MAX + 1];
    struct active *active; /* NULL: none */
};

static struct active *active_new(void)
{
    struct active *active = lh_allocate(1, sizeof *active);
    atomic_init(&active->refs, 1);
    active->arena = lh_arena_new(0);
    return active;
}

static void active_unref(void *object)
{
    struct active *active = object;
    if (active && atomic_fetch_sub(&active->refs, 1) == 1) {
        lh_arena_free(active->arena);
        free(active);
    }
}

struct activation *activation_new(void)
{
    struct activation *activation = lh_allocate(1, sizeof *activation);
    pthread_mutex_init(&activation->lock, NULL);
    return activation;
}

void activation_free(struct activation *activation)
{
    if (!activation)
        return;
    active_unref(activation->active);
    pthread_mutex_destroy(&activation->lock);
    free(activation);
}

/* The states as they are now. */
static void tell(struct lake *lake, struct active *active, struct lh_arena *arena,
                 struct lake_active_profile *ret)
{
    const struct lake_binding *from = active->told.bindings.items;
    size_t count = active->told.bindings.count;
    struct lake_binding *bindings = lh_arena_array(arena, count + 1, sizeof *bindings);
    lh_arena_defer(arena, active_unref, active);
    *ret = active->told;
    ret->warm = 0;
    for (size_t i = 0; i < count; i++) {
        bindings[i] = from[i];
        if (from[i].state != LAKE_BINDING_WARM)
            continue;
        bool is_warm = search_is_warm(lake_search(lake), from[i].index, NULL);
        bindings[i].state = is_warm ? LAKE_BINDING_WARM : LAKE_BINDING_COLD;
        ret->warm += is_warm;
    }
    ret->bindings = (struct lh_list){bindings, count};
}

void lake_profile_active(struct lake *lake, struct lh_arena *arena, struct lake_active_profile *ret)
{
    struct activation *activation = lake_activation(lake);
    pthread_mutex_lock(&activation->lock);
    struct active *active = activation->active;
    if (active)
        atomic_fetch_add(&active->refs, 1);
    pthread_mutex_unlock(&activation->lock);
    lh_fields_preset(&lake_active_profile_fields, ret);
    if (active)
        tell(lake, active, arena, ret);
}

static bool has_index(const struct active *active, struct lh_str index)
{
    const struct lake_binding *bindings = active ? active->told.bindings.items : NULL;
    for (size_t i = 0; active && i < active->told.bindings.count; i++)
        if (bindings[i].index.len && lh_str_equal_nocase(bindings[i].index, index))
            return true;
    return false;
}

bool lake_profile_wants(struct lake *lake, struct lh_str index, struct search_configuration *ret)
{
    struct activation *activation = lake_activation(lake);
    pthread_mutex_lock(&activation->lock);
    const struct active *active = activation->active;
    bool wants = active && active->has_configuration && has_index(active, index);
    if (wants)
        *ret = active->configuration;
    pthread_mutex_unlock(&activation->lock);
    return wants;
}

/* What only the one that leaves had in memory. */
static void unload(struct lake *lake, struct active *leaving, const struct active *staying)
{
    const struct lake_binding *bindings = leaving ? leaving->told.bindings.items : NULL;
    for (size_t i = 0; leaving && i < leaving->told.bindings.count; i++)
        if (bindings[i].state == LAKE_BINDING_WARM && !has_index(staying, bindings[i].index))
            search_unload(lake_search(lake), bindings[i].index);
    active_unref(leaving);
}

/* Locked. */
static bool is_active(const struct activation *activation, struct lh_str id)
{
    return activation->active && lh_str_equal_nocase(activation->active->told.id, id);
}

static struct active *take_out(struct activation *activation, struct lh_str id)
{
    struct active *active = NULL;
    pthread_mutex_lock(&activation->lock);
    if (is_active(activation, id)) {
        active = activation->active;
        activation->active = NULL;
    }
    pthread_mutex_unlock(&activation->lock);
    return active;
}

void lake_profile_forget(struct lake *lake, struct lh_str id)
{
    unload(lake, take_out(lake_activation(lake), id), NULL);
}

enum lh_code lake_profile_deactivate(struct lake *lake, struct lh_str id, struct lh_error *err)
{
    struct active *active = take_out(lake_activation(lake), id);
    if (!active) {
        lh_fail(err, LH_CONFLICT, "The profile '%.*s' is not active.", LH_ARG(id));
        return lh_error_hint(err, "GET /vectors/profile/active tells which one is.");
    }
    unload(lake, active, NULL);
    return LH_OK;
}

/* --- what a profile wants */

enum lh_code lake_profile_check_backend(const struct catalog_profile *profile, struct lh_error *err)
{
    if (profile->vector_backend == CATALOG_BACKEND_HNSW)
        return LH_OK;
    lh_fail(err, LH_NO_HELPER,
            "The profile '%.*s' wants its vectors in Lance, and Lance's helper process is not "
            "there.",
            LH_ARG(profile->name));
    return lh_error_hint(err, "Make the profile with vector_backend hnsw: it needs no helper.");
}

enum lh_code lake_profile_configuration(const struct catalog_profile *profile, bool *ret_has,
                                        struct search_configuration *ret, struct lh_error *err)
{
    json_t *json = NULL;
    struct lh_arena *arena = NULL;
    struct search_configuration configuration = search_configuration_preset();
    if (!profile->hnsw_config.text.len) {
        *ret_has = false;
        return LH_OK;
    }
    arena = lh_arena_new_small();
    enum lh_code code = lh_json_parse(profile->hnsw_config.text, "The hnsw_config",
                                      STORAGE_RECORD_BYTES_MAX, &json, err);
    if (!code)
        code = lh_fields_bind_json(&search_configuration_fields, json, arena, &configuration, err);
    if (!code)
        code = search_configuration_check(&configuration, err);
    json_decref(json);
    lh_arena_free(arena);
    if (code)
        return lh_fail(err, LH_DAMAGED, "The hnsw_config of the profile '%.*s' is none.",
                       LH_ARG(profile->name));
    *ret = configuration;
    *ret_has = true;
    return LH_OK;
}

/* --- warming */

struct warming {
    struct lake *lake;
    const struct catalog_profile *profile;
    const struct journal_event *event;
    const struct lh_cancel *cancel;
    struct lh_arena *arena; /* of what is told */
    bool has_configuration;
    struct search_configuration configuration;
    struct lake_binding *items;
    size_t count, capacity;
};

static bool is_stopping(enum lh_code code)
{
    return code == LH_CANCELLED || code == LH_STOPPING || code == LH_TIMEOUT;
}

static struct lake_binding *add_binding(struct warming *warming, struct lh_str dataset,
                                        struct lh_str index, enum lake_binding_state state)
{
    if (warming->count == warming->capacity) {
        size_t capacity = warming->capacity * 2 + 16;
        struct lake_binding *items = lh_arena_array(warming->arena, capacity, sizeof *items);
        if (warming->count)
            memcpy(items, warming->items, warming->count * sizeof *items);
        warming->items = items;
        warming->capacity = capacity;
    }
    struct lake_binding *binding = &warming->items[warming->count++];
    *binding = (struct lake_binding){.dataset = lh_arena_str(warming->arena, dataset),
                                     .state = (int)state,
                                     .configuration_from = -1};
    if (index.len)
        binding->index = lh_arena_str(warming->arena, index);
    return binding;
}

static void tell_failure(const struct warming *warming, const struct lh_error *why,
                         struct lh_str *ret_error, struct lh_str *ret_hint)
{
    *ret_error = lh_arena_str(warming->arena, lh_str_of(why->message));
    if (why->hint[0])
        *ret_hint = lh_arena_str(warming->arena, lh_str_of(why->hint));
}

/* An event of this activation: of one of several changes, so it names no request. */
static struct journal_event event_of(const struct warming *warming, const char *action,
                                     struct lh_str entity)
{
    struct journal_event event = *warming->event;
    event.action = lh_str_of(action);
    event.entity = entity;
    event.request = (struct lh_str){0};
    event.reason = lh_arena_printf(warming->arena, "profile %.*s", LH_ARG(warming->profile->name));
    return event;
}

static enum lh_code reconfigure(const struct warming *warming, const struct search_index_info *info,
                                const struct search_configuration *wanted, struct lh_error *err)
{
    struct journal_event event = event_of(warming, "index.configure", info->name);
    struct lake_change change;
    enum lh_code code = lake_change_begin_index(warming->lake, info, (struct lh_str){0}, false,
                                                warming->arena, &event, &change, err);
    if (code)
        return code;
    code = search_reconfigure(lake_search(warming->lake), info->name, wanted, warming->cancel, err);
    lake_change_end(warming->lake, &change, code, &event);
    return code;
}

/* Promoted, else the profile's, else the preset. */
static enum lh_code configure(const struct warming *warming, struct search_index_info *info,
                              struct lake_binding *binding, struct lh_error *err)
{
    const struct search_configuration preset = search_configuration_preset();
    const struct search_configuration *wanted =
        warming->has_configuration ? &warming->configuration : &preset;
    enum lh_code code = LH_OK;
    if (!info->is_promoted && !search_configuration_equal(info->configuration, wanted)) {
        struct lh_error why = LH_ERROR_NONE;
        code = reconfigure(warming, info, wanted, &why);
        enum lh_code now = search_get(lake_search(warming->lake), info->name, warming->arena, info,
                                      code ? NULL : err);
        if (code && (now || !info->is_promoted)) { /* else one was promoted meanwhile */
            if (err)
                *err = why;
            return code;
        }
        code = code && info->is_promoted ? LH_OK : now;
    }
    if (code)
        return code;
    binding->configuration_from = info->is_promoted            ? LAKE_FROM_PROMOTION
                                  : warming->has_configuration ? LAKE_FROM_PROFILE
                                                               : LAKE_FROM_PRESET;
    return LH_OK;
}

static void note(struct warming *warming, const struct search_index_info *info, bool has_graph,
                 struct lake_binding *binding)
{
    struct lh_str wanted = warming->profile->embed_model;
    if (info->graph && !has_graph)
        binding->note = lh_lit("Its graph cannot be read: all vectors are looked at until it is "
                               "made anew; /health says why.");
    else if (wanted.len && !lh_str_equal(wanted, info->model))
        binding->note = lh_arena_printf(
            warming->arena, "Its vectors are made by %.*s, not by the profile's %.*s.",
            LH_ARG(info->model.len ? info->model : lh_lit("whoever gave them")), LH_ARG(wanted));
}

static enum lh_code load(struct warming *warming, const struct search_index_info *info,
                         struct lake_binding *binding, struct lh_error *err)
{
    struct search_vectors *vectors = NULL;
    bool has_graph = false;
    enum lh_code code =
        search_vectors_open(lake_search(warming->lake), info->name, warming->cancel, &vectors, err);
    if (code)
        return code;
    binding->vectors = (struct lh_opt_int){true, (int64_t)search_vectors_info(vectors)->live};
    search_vectors_close(vectors);
    (void)search_is_warm(lake_search(warming->lake), info->name, &has_graph);
    binding->method = has_graph ? lh_lit("hnsw") : lh_lit("exact");
    note(warming, info, has_graph, binding);
    return LH_OK;
}

/* One that fails is told, and keeps no other from being loaded: only the stopping codes. */
static enum lh_code warm_index(struct warming *warming, struct lh_str dataset,
                               struct search_index_info *info, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    int64_t started_us = lh_clock_monotonic_us();
    struct lake_binding *binding = add_binding(warming, dataset, info->name, LAKE_BINDING_WARM);
    enum lh_code code = configure(warming, info, binding, &why);
    binding->configuration = info->configuration;
    if (!code)
        code = load(warming, info, binding, &why);
    binding->elapsed_ms = (lh_clock_monotonic_us() - started_us) / 1000;
    if (is_stopping(code)) {
        if (err)
            *err = why;
        return code;
    }
    if (code) {
        binding->state = LAKE_BINDING_FAILED;
        tell_failure(warming, &why, &binding->error, &binding->hint);
    }
    return LH_OK;
}

static void tell_unindexed(struct warming *warming, struct lh_str dataset)
{
    struct lake_binding *binding =
        add_binding(warming, dataset, (struct lh_str){0}, LAKE_BINDING_UNINDEXED);
    binding->hint = lh_lit("POST /vectors/index makes an index of it.");
}

static enum lh_code warm_indexes(struct warming *warming, struct lh_str dataset,
                                 struct lh_error *err)
{
    const struct search_list_filter filter = {.source = dataset};
    struct lh_str after = {0};
    size_t found = 0;
    enum lh_code code = LH_OK;
    do {
        struct search_index_info *items = NULL;
        size_t count = 0;
        code = search_list(lake_search(warming->lake), &filter, after, 100, warming->arena, &items,
                           &count, &after, err);
        for (size_t i = 0; i < count && !code; i++)
            code = warm_index(warming, dataset, &items[i], err);
        found += count;
    } while (!code && after.len);
    if (!code && !found)
        tell_unindexed(warming, dataset);
    return code;
}

static enum lh_code warm_datasets(struct warming *warming, struct lh_error *err)
{
    const struct catalog_profile *profile = warming->profile;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(warming->lake));
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < profile->bound_ids.count && !code; i++) {
        struct lh_error why = LH_ERROR_NONE;
        const struct catalog_dataset *dataset = NULL;
        enum lh_code found = catalog_find_id(snapshot, profile->bound_ids.items[i], &dataset, &why);
        if (!found) {
            code = warm_indexes(warming, dataset->name, err);
            continue;
        }
        struct lake_binding *binding =
            add_binding(warming, profile->bound_datasets.items[i], (struct lh_str){0},
                        found == LH_NOT_FOUND ? LAKE_BINDING_GONE : LAKE_BINDING_FAILED);
        if (found != LH_NOT_FOUND)
            tell_failure(warming, &why, &binding->error, &binding->hint);
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

/* --- its bucket */

static enum lh_code make_bucket(const struct warming *warming, struct lh_str root,
                                struct lh_error *err)
{
    struct lh_str name = warming->profile->bucket;
    const struct storage_bucket_options options = {
        .name = name,
        .backend = STORAGE_LOCAL,
        .root = lh_arena_printf(warming->arena, "%.*s/%.*s", LH_ARG(root), LH_ARG(name)),
    };
    struct journal_event event = event_of(warming, "bucket.create", name);
    struct lake_change change;
    struct lh_buf detail;
    lh_buf_init(&detail, JOURNAL_VALUE_BYTES_MAX);
    lh_buf_printf(&detail, "{\"backend\":\"local\",\"root\":");
    lh_json_append_quoted(&detail, options.root);
    lh_buf_append_char(&detail, '}');
    event.detail = lh_arena_str(warming->arena, lh_buf_str(&detail));
    lh_buf_release(&detail);
    enum lh_code code = lake_change_begin(warming->lake, &event, false, &change, err);
    if (code)
        return code;
    code = storage_bucket_add(lake_storage(warming->lake), &options, err);
    lake_change_end(warming->lake, &change, code, &event);
    return code;
}

static const struct lake_profile_bucket *provide_bucket(const struct warming *warming)
{
    struct lh_error why = LH_ERROR_NONE;
    struct lh_str name = warming->profile->bucket;
    struct lh_str root = lake_settings(warming->lake)->storage.profile_root;
    if (!name.len)
        return NULL;
    struct lake_profile_bucket *bucket = lh_arena_alloc(warming->arena, sizeof *bucket);
    *bucket = (struct lake_profile_bucket){.name = lh_arena_str(warming->arena, name)};
    if (storage_has_bucket(lake_storage(warming->lake), name))
        return bucket;
    enum lh_code code = LH_OK;
    if (root.len) {
        code = make_bucket(warming, root, &why);
    } else {
        code = lh_fail(&why, LH_NOT_FOUND, "There is no bucket '%.*s'.", LH_ARG(name));
        lh_error_hint(&why, "Set profile_root under [storage] and restart, then activation makes "
                            "it; or make it with POST /storage/buckets.");
    }
    bucket->state = !code               ? LAKE_BUCKET_MADE
                    : code == LH_EXISTS ? LAKE_BUCKET_READY
                                        : LAKE_BUCKET_MISSING;
    if (bucket->state == LAKE_BUCKET_MISSING)
        tell_failure(warming, &why, &bucket->error, &bucket->hint);
    return bucket;
}

/* --- the whole */

static enum lh_code begin(struct activation *activation, struct lh_str id, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&activation->lock);
    if (activation->warming.len) {
        code = lh_fail(err, LH_CONFLICT, "The profile '%.*s' is being activated.",
                       LH_ARG(activation->warming));
        lh_error_hint(err, "One is at a time: try again when it is done.");
    } else {
        activation->warming = (struct lh_str){activation->warming_text, id.len};
        memcpy(activation->warming_text, id.data, id.len);
    }
    pthread_mutex_unlock(&activation->lock);
    return code;
}

/* Takes the slot, unless the profile went meanwhile: whoever deletes it looks into the slot after
 * that. */
static enum lh_code end(struct lake *lake, struct active *active, enum lh_code code,
                        struct active **ret_replaced, struct lh_error *err)
{
    struct activation *activation = lake_activation(lake);
    struct catalog_profile now;
    pthread_mutex_lock(&activation->lock);
    activation->warming = (struct lh_str){0};
    if (!code)
        code = storage_records_get(lake_profiles(lake), active->told.id, active->arena, &now, err);
    if (!code && now.version != active->told.version)
        code = lh_fail(err, LH_RACE, "The profile '%.*s' was made anew meanwhile.",
                       LH_ARG(active->told.id));
    if (!code) {
        *ret_replaced = activation->active;
        if (*ret_replaced && !lh_str_equal_nocase((*ret_replaced)->told.id, active->told.id))
            active->told.replaced = lh_arena_str(active->arena, (*ret_replaced)->told.id);
        activation->active = active;
        atomic_fetch_add(&active->refs, 1);
    }
    pthread_mutex_unlock(&activation->lock);
    return code;
}

static enum lh_code warm(struct warming *warming, struct active *active, struct lh_error *err)
{
    int64_t started_us = lh_clock_monotonic_us();
    const struct catalog_profile *profile = warming->profile;
    enum lh_code code = lake_profile_configuration(profile, &warming->has_configuration,
                                                   &warming->configuration, err);
    if (code)
        return code;
    active->has_configuration = warming->has_configuration;
    active->configuration = warming->configuration;
    active->told = (struct lake_active_profile){
        .id = lh_arena_str(active->arena, profile->name),
        .model = lh_arena_str(active->arena, profile->model),
        .activated_by = lh_arena_str(active->arena, warming->event->actor),
        .bucket = provide_bucket(warming),
        .version = profile->version,
    };
    code = warm_datasets(warming, err);
    active->told.bindings = (struct lh_list){warming->items, warming->count};
    for (size_t i = 0; i < warming->count; i++)
        active->told.failed += warming->items[i].state == LAKE_BINDING_FAILED;
    active->told.elapsed_ms = (lh_clock_monotonic_us() - started_us) / 1000;
    active->told.activated_at.unix_ms = lh_clock_unix_ms();
    return code;
}

enum lh_code lake_profile_activate(struct lake *lake, struct lh_str id,
                                   const struct journal_event *event,
                                   const struct lh_cancel *cancel, struct lh_arena *arena,
                                   struct lake_active_profile *ret, struct lh_error *err)
{
    struct catalog_profile profile;
    enum lh_code code = storage_records_get(lake_profiles(lake), id, arena, &profile, err);
    if (!code)
        code = lake_profile_check_backend(&profile, err);
    if (!code)
        code = begin(lake_activation(lake), profile.name, err);
    if (code)
        return code;
    struct active *active = active_new(), *replaced = NULL;
    struct warming warming = {.lake = lake,
                              .profile = &profile,
                              .event = event,
                              .cancel = cancel,
                              .arena = active->arena};
    code = warm(&warming, active, err);
    code = end(lake, active, code, &replaced, err);
    if (code) {
        active_unref(active);
        return code;
    }
    unload(lake, replaced, active);
    tell(lake, active, arena, ret);
    return LH_OK;
}
