/* A manifest holds events of few keys by themselves. Of many the lists of tombstones tell that the
 * version brought, or, where it lifted the last ones, took away: they are there until the version
 * has expired, and it does not before somebody drained it. */
#include "base/json.h"
#include "base/log.h"
#include "catalog/tombstone_internal.h"

#define DETAIL_BYTES_MAX ((size_t)65536)

struct naming {
    struct catalog *catalog;
    const struct catalog_version *version;
    struct lh_arena *arena; /* of what is returned */
    struct lh_arena *scratch;
    struct lh_str detail; /* of each */
    struct catalog_event *events;
    size_t count, capacity;
};

/* Who wanted it: the version's own event says so. False: each key has an event already. */
static bool read_own(struct naming *naming)
{
    const struct catalog_commit_info *commit = naming->version->commits;
    json_t *own = NULL;
    struct lh_buf buf;
    struct lh_json json;
    if (naming->version->commit_count != 1 || !commit->event_count ||
        lh_json_parse(commit->events[0].detail, "The detail", DETAIL_BYTES_MAX, &own, NULL))
        return false;
    bool is_each = json_is_true(json_object_get(own, TOMBSTONE_EACH_KEY));
    lh_buf_init(&buf, DETAIL_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_str(&json, "actor", lh_json_text(json_object_get(own, "actor")));
    lh_json_object_end(&json);
    naming->detail = lh_arena_str(naming->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    json_decref(own);
    return is_each;
}

static void add(struct naming *naming, struct lh_str key)
{
    const struct catalog_event *own = naming->version->commits->events;
    if (naming->count == naming->capacity) {
        size_t capacity = naming->capacity * 2;
        struct catalog_event *grown = lh_arena_array(naming->arena, capacity, sizeof *grown);
        memcpy(grown, naming->events, naming->count * sizeof *grown);
        naming->events = grown;
        naming->capacity = capacity;
    }
    naming->events[naming->count++] = (struct catalog_event){
        .entity = tombstone_entity(own->entity, key, naming->arena),
        .action = own->action,
        .detail = naming->detail,
    };
}

static enum lh_code add_brought(struct naming *naming, const struct manifest_objects *brought,
                                struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < brought->count && !code; i++) {
        struct tombstone_content *content = NULL;
        code = tombstone_load(naming->catalog->storage, &brought->items[i], naming->scratch,
                              &content, err);
        for (size_t k = 0; !code && k < content->record_count; k++)
            for (size_t at = 0; at < content->records[k].key_count; at++)
                if (content->records[k].keys[at].form == TOMBSTONE_VALUE)
                    add(naming, content->records[k].keys[at].text);
        if (!code)
            tombstone_content_free(content);
    }
    return code;
}

/* The objects of a version that are among those. */
static size_t list_removed(const struct catalog_dataset *view, struct lh_str_list removed,
                           const struct catalog_object **ret)
{
    size_t count = 0;
    for (size_t i = 0; i < view->tombstone_count; i++)
        for (size_t k = 0; k < removed.count; k++)
            if (lh_str_equal(view->tombstones[i]->key, removed.items[k]))
                ret[count++] = view->tombstones[i];
    return count;
}

/* All that were tombstoned by the column before it. */
static enum lh_code add_lifted(struct naming *naming, const struct manifest *manifest,
                               struct lh_error *err)
{
    struct dataset_state *state = NULL;
    struct key_list list = {0};
    const struct catalog_object **objects =
        lh_arena_array(naming->scratch, manifest->tombstones_removed.count + 1, sizeof *objects);
    size_t count = 0;
    enum lh_code code = history_state_at(naming->catalog, naming->version->dataset_id,
                                         manifest->parent.version, &state, err);
    if (!code) {
        count = list_removed(&state->view, manifest->tombstones_removed, objects);
        code = key_list_make(naming->catalog->storage, NULL, objects, count, naming->scratch, &list,
                             err);
    }
    for (size_t i = 0; !code && i < list.count; i++)
        if (list.items[i].form == TOMBSTONE_VALUE)
            add(naming, list.items[i].text);
    state_unref(state);
    return code;
}

static enum lh_code name_keys(struct naming *naming, struct lh_error *err)
{
    struct manifest manifest;
    const struct chain_file file = {naming->version->version, false};
    enum lh_code code = chain_read(naming->catalog->storage, naming->version->dataset_id, file,
                                   naming->scratch, &manifest, err);
    if (code)
        return code;
    return manifest.tombstones_added.count ? add_brought(naming, &manifest.tombstones_added, err)
                                           : add_lifted(naming, &manifest, err);
}

enum lh_code catalog_tombstone_events(struct catalog *catalog, struct catalog_version *version,
                                      struct lh_arena *arena, struct lh_error *err)
{
    struct naming naming = {.catalog = catalog, .version = version, .arena = arena};
    struct lh_error why = LH_ERROR_NONE;
    if (!read_own(&naming))
        return LH_OK;
    naming.scratch = lh_arena_new(0);
    naming.capacity = 1024;
    naming.events = lh_arena_array(arena, naming.capacity, sizeof *naming.events);
    naming.events[naming.count++] = version->commits->events[0];
    enum lh_code code = name_keys(&naming, &why);
    lh_arena_free(naming.scratch);
    if (code == LH_NOT_FOUND || code == LH_DAMAGED) {
        /* The rest must be told all the same. */
        lh_log_error(LH_LOG_ERROR, "catalog.tombstone_events", &why);
        return LH_OK;
    }
    if (code) {
        if (err)
            *err = why;
        return code;
    }
    struct catalog_commit_info *commit = lh_arena_alloc(arena, sizeof *commit);
    *commit = version->commits[0];
    commit->events = naming.events;
    commit->event_count = naming.count;
    version->commits = commit;
    return LH_OK;
}
