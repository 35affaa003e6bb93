/* Indexes whose files are not what their manifest says: met by who loads one, or seen by a look at
 * what lies there when the lake is opened. It is told until a load is good again, or a new
 * generation has other files. */
#include <stdlib.h>

#include "search/building.h"

static struct lh_str dataset_name(struct search *search, const struct index_manifest *manifest,
                                  struct lh_arena *arena)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(search->options.catalog);
    bool is_there = !catalog_find_id(snapshot, manifest->dataset_id, &dataset, NULL);
    struct lh_str name = lh_arena_str(arena, is_there ? dataset->name : manifest->dataset_name);
    catalog_snapshot_unref(snapshot);
    return name;
}

/* Locked. What a running build has made of the next generation is not what is searched. */
static void note(struct search_index *index, const struct index_manifest *manifest,
                 const struct lh_error *why)
{
    if (index->head->version != manifest->version ||
        index->head->generation != manifest->generation || !manifest->parts.count)
        return;
    free(index->damage);
    index->damage = lh_allocate_text(lh_str_of(why->message));
    index->damaged_generation = manifest->generation;
}

enum lh_code index_is_damaged(struct search *search, const struct index_manifest *manifest,
                              struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = err->code;
    pthread_mutex_lock(&search->lock);
    for (struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), manifest->id))
            note(index, manifest, err);
    pthread_mutex_unlock(&search->lock);
    if (!err->hint[0])
        lh_error_hint(err,
                      "POST /vectors/refresh/%.*s {\"index_name\": \"%.*s\", \"from_scratch\": "
                      "true} makes it anew from its dataset.",
                      LH_ARG(dataset_name(search, manifest, arena)), LH_ARG(manifest->name));
    lh_arena_free(arena);
    return code;
}

void index_forget_damage(struct search_index *index)
{
    free(index->damage);
    index->damage = NULL;
}

void index_is_sound(struct search_index *index, const struct index_manifest *manifest)
{
    pthread_mutex_lock(&index->search->lock);
    if (index->damaged_generation <= manifest->generation)
        index_forget_damage(index);
    pthread_mutex_unlock(&index->search->lock);
}

/* --- at the opening */

static int compare_key(const void *key, const void *entry)
{
    return lh_str_compare(*(const struct lh_str *)key, ((const struct storage_entry *)entry)->key);
}

struct looking {
    struct storage_entry *entries; /* ascending by key */
    size_t count;
};

static bool is_there(const struct looking *looking, struct lh_str key, int64_t bytes,
                     struct lh_error *why)
{
    const struct storage_entry *entry =
        looking->count ? bsearch(&key, looking->entries, looking->count, sizeof *entry, compare_key)
                       : NULL;
    if (!entry || entry->is_folder)
        lh_fail(why, LH_DAMAGED, "The file %.*s is missing.", LH_ARG(key));
    else if (entry->bytes != bytes)
        lh_fail(why, LH_DAMAGED, "The file %.*s has %lld bytes, not %lld.", LH_ARG(key),
                (long long)entry->bytes, (long long)bytes);
    else
        return true;
    return false;
}

static bool has_files(const struct looking *looking, const struct index_manifest *head,
                      struct lh_error *why)
{
    const struct index_object *model = head->model_file;
    bool has = !model || is_there(looking, model->key, model->bytes, why);
    for (size_t i = 0; has && i < head->parts.count; i++)
        has = is_there(looking, index_parts(head)[i].key, index_parts(head)[i].bytes, why);
    return has;
}

void index_look(struct search_index *index)
{
    struct storage *storage = index->search->options.storage;
    struct index_manifest *head = index->head;
    struct lh_arena *arena = lh_arena_new(0);
    struct looking looking = {NULL, 0};
    struct lh_error why = LH_ERROR_NONE;
    struct lh_str folder = lh_arena_printf(arena, SEARCH_FOLDER "/%.*s", LH_ARG(head->id));
    /* A store may be slow or away, and a bucket that is not there is told as it is: who searches
     * will see. */
    if (head->state == SEARCH_READY && !storage_is_remote(storage, index_bucket(head)) &&
        !storage_list(storage, index_bucket(head), folder, arena, &looking.entries, &looking.count,
                      &why) &&
        !has_files(&looking, head, &why)) {
        lh_error_context(&why, "The index '%.*s'", LH_ARG(head->name));
        note(index, head, &why);
    }
    lh_arena_free(arena);
}

/* --- telling */

static struct lh_str bucket_problem(struct search *search, struct lh_str bucket,
                                    struct lh_arena *arena)
{
    struct storage_bucket_info *items = NULL;
    size_t count = 0;
    storage_bucket_list(search->options.storage, arena, &items, &count);
    for (size_t i = 0; i < count; i++)
        if (lh_str_equal(items[i].options.name, bucket))
            return items[i].problem;
    return lh_lit("It is not there any more.");
}

int index_shown_state(struct search *search, const struct index_manifest *head,
                      struct lh_arena *arena, struct lh_str *ret_problem)
{
    struct lh_str bucket = index_bucket(head);
    *ret_problem = (struct lh_str){0};
    if (head->state != SEARCH_READY)
        return SEARCH_SHOWN_BUILDING;
    pthread_mutex_lock(&search->lock);
    for (const struct search_index *index = search->indexes; index; index = index->next)
        if (lh_str_equal(lh_uuid_str(&index->id), head->id) && index->damage)
            *ret_problem = lh_arena_str(arena, lh_str_of(index->damage));
    pthread_mutex_unlock(&search->lock);
    if (ret_problem->len)
        return SEARCH_SHOWN_DAMAGED;
    struct lh_str problem = bucket_problem(search, bucket, arena);
    if (!problem.len)
        return SEARCH_SHOWN_READY;
    *ret_problem = lh_arena_printf(arena, "Its bucket '%.*s' is not available: %.*s",
                                   LH_ARG(bucket), LH_ARG(problem));
    return SEARCH_SHOWN_UNAVAILABLE;
}

void damage_list(struct search *search, struct lh_arena *arena, struct search_problem **ret,
                 size_t *ret_count)
{
    struct index_manifest **heads = NULL;
    size_t count = 0;
    *ret_count = 0;
    registry_heads(search, &heads, &count);
    *ret = lh_arena_array(arena, count + 1, sizeof **ret);
    for (size_t i = 0; i < count; i++) {
        struct lh_str problem;
        int state = index_shown_state(search, heads[i], arena, &problem);
        if (state == SEARCH_SHOWN_DAMAGED)
            problem =
                lh_arena_printf(arena,
                                "%.*s Searches in it fail. POST /vectors/refresh/%.*s "
                                "{\"index_name\": \"%.*s\", \"from_scratch\": true} makes it "
                                "anew.",
                                LH_ARG(problem), LH_ARG(dataset_name(search, heads[i], arena)),
                                LH_ARG(heads[i]->name));
        if (problem.len)
            (*ret)[(*ret_count)++] =
                (struct search_problem){lh_arena_str(arena, heads[i]->name), problem};
        index_manifest_unref(heads[i]);
    }
    free(heads);
}
