/* Eval sets: small sealed files, one for each name. */
#include "search/evals.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "search/bench.h"
#include "search/ledger.h"

#define NAME_BYTES_MAX 63

const char *const search_eval_kind_names[] = {"generated", "labelled", NULL};

/* --- tables */

static const struct lh_field query_rows[] = {
    LH_STR(struct search_eval_query, id, .doc = "Of the row that asks."),
    LH_STR(struct search_eval_query, text, .doc = "Words that ask."),
    LH_JSON(struct search_eval_query, vector, .doc = "A vector that asks."),
    LH_STR_LIST(struct search_eval_query, relevant, .max = SEARCH_EVAL_RELEVANT_MAX,
                .doc = "Ids of what should be found, best first if it was generated."),
    LH_DOUBLE(struct search_eval_query, floor,
              .doc = "Generated: what the last of them scores; what scores as much is as right."),
};
const struct lh_fields search_eval_query_fields =
    LH_FIELDS_OF(struct search_eval_query, "EvalQuery", query_rows);

static const struct lh_field set_rows[] = {
    LH_INT(struct eval_set, format, .required = true, .min = 1, .doc = "Of this file."),
    LH_STR(struct eval_set, name, .required = true, .doc = "Of the set."),
    LH_CHOICE(struct eval_set, kind, .choices = search_eval_kind_names, .required = true,
              .doc = "Where relevance comes from."),
    LH_INT(struct eval_set, k, .required = true, .min = 1, .max = SEARCH_EVAL_K_MAX,
           .doc = "Rows that are looked at."),
    LH_INT(struct eval_set, seed, .doc = "Of the draw."),
    LH_STR(struct eval_set, dataset_id, .required = true, .doc = "Of the index."),
    LH_STR(struct eval_set, dataset_data, .doc = "Fingerprint of the version's files."),
    LH_INT(struct eval_set, dataset_version, .doc = "That it was made from."),
    LH_STR(struct eval_set, covered_data, .doc = "Of what the index covered."),
    LH_INT(struct eval_set, covered_version, .doc = "That the index covered."),
    LH_INT(struct eval_set, generation, .doc = "Of the vectors."),
    LH_INT(struct eval_set, unknown_ids, .doc = "Relevant ones that the index did not have."),
    LH_STR(struct eval_set, created_by, .doc = "Who made it."),
    LH_TIME(struct eval_set, created_at, .doc = "When."),
    LH_LIST(struct eval_set, queries, .fields = &search_eval_query_fields,
            .max = SEARCH_EVAL_QUERIES_MAX, .doc = "What is asked."),
};
const struct lh_fields eval_set_fields = LH_FIELDS_OF(struct eval_set, "An eval set", set_rows);

#define EVAL_ROWS                                                                                  \
    LH_STR(struct search_eval, name, .required = true, .doc = "Of the set: a trial's `harness`."), \
        LH_STR(struct search_eval, index_name, .required = true, .doc = "What it asks."),          \
        LH_CHOICE(struct search_eval, kind, .choices = search_eval_kind_names, .required = true,   \
                  .doc =                                                                           \
                      "generated: rows ask, and what is nearest to them counts; labelled: people " \
                      "said what does."),                                                          \
        LH_INT(struct search_eval, k, .doc = "Rows of an answer that are looked at."),             \
        LH_INT(struct search_eval, query_count, .doc = "Queries."),                                \
        LH_INT(struct search_eval, seed, .doc = "Of the draw."),                                   \
        LH_INT(struct search_eval, dataset_version, .doc = "That it was made from."),              \
        LH_INT(struct search_eval, generation, .doc = "Of the index's vectors then."),             \
        LH_BOOL(struct search_eval, is_stale,                                                      \
                .doc = "Something changed since: trials look for the truth anew, and say so."),    \
        LH_STR(struct search_eval, stale_because, .doc = "What changed."),                         \
        LH_INT(struct search_eval, unknown_ids,                                                    \
               .doc = "Relevant ids that the index did not have when they were sent."),            \
        LH_STR(struct search_eval, created_by, .doc = "Who made it."),                             \
        LH_TIME(struct search_eval, created_at, .doc = "When.")
static const struct lh_field eval_rows[] = {EVAL_ROWS};
const struct lh_fields search_eval_fields = LH_FIELDS_OF(struct search_eval, "EvalSet", eval_rows);
static const struct lh_field whole_rows[] = {
    EVAL_ROWS,
    LH_LIST(struct search_eval, queries, .fields = &search_eval_query_fields,
            .doc = "What is asked."),
};
const struct lh_fields search_eval_whole_fields =
    LH_FIELDS_OF(struct search_eval, "EvalSetWhole", whole_rows);

/* --- files */

enum lh_code eval_check_name(struct lh_str name, struct lh_error *err)
{
    bool is_fine = name.len > 0 && name.len <= NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len && is_fine; i++) {
        char c = name.data[i];
        is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    if (is_fine && lh_str_equal(name, lh_lit(SEARCH_HARNESS_CALLERS))) {
        lh_fail(err, LH_INVALID, "The name 'callers' stands for what callers asked.");
        return lh_error_field(err, lh_lit("name"));
    }
    if (is_fine)
        return LH_OK;
    lh_fail(err, LH_INVALID, "The name of an eval set is 1 to %d of a-z, 0-9, - and _.",
            NAME_BYTES_MAX);
    return lh_error_field(err, lh_lit("name"));
}

static struct lh_str key_of(struct lh_str index_id, struct lh_str name, struct lh_arena *arena)
{
    return lh_arena_printf(arena, SEARCH_EVALS_FOLDER "/%.*s/%.*s.json", LH_ARG(index_id),
                           LH_ARG(name));
}

static struct lh_str name_of(const struct storage_entry *entry)
{
    return lh_str_head(entry->name, entry->name.len - strlen(".json"));
}

static enum lh_code fail_unknown(struct search *search, const struct index_manifest *manifest,
                                 struct lh_str name, struct lh_arena *arena, struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        sealed_list(search, SEARCH_EVALS_FOLDER, manifest->id, arena, &entries, &count, err);
    if (code)
        return code;
    struct lh_str *names = lh_arena_array(arena, count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = name_of(&entries[i]);
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_NOT_FOUND, "The index '%.*s' has no eval set '%.*s'.", LH_ARG(manifest->name),
            LH_ARG(lh_str_head(name, 100)));
    if (nearest.len)
        lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    else
        lh_error_hint(err, "POST /vectors/hnsw/evals/{name}/autogen makes one.");
    return LH_NOT_FOUND;
}

enum lh_code eval_load(struct search *search, const struct index_manifest *manifest,
                       struct lh_str name, struct lh_arena *arena, struct eval_set *ret,
                       struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    enum lh_code code = LH_NOT_FOUND;
    if (!eval_check_name(name, NULL))
        code = sealed_get(search, key_of(manifest->id, name, arena), &eval_set_fields, arena, ret,
                          &why);
    if (code == LH_NOT_FOUND)
        return fail_unknown(search, manifest, name, arena, err);
    if (code && err)
        *err = why;
    return code;
}

enum lh_code eval_store(struct search *search, struct lh_str index_id, const struct eval_set *set,
                        struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new_small();
    enum lh_code code =
        sealed_put(search, key_of(index_id, set->name, arena), &eval_set_fields, set, true, err);
    lh_arena_free(arena);
    return code;
}

/* --- how it is told */

struct lh_str eval_stale_because(const struct eval_set *set, const struct index_manifest *manifest,
                                 const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    const struct index_manifest then = {.dataset_data = set->dataset_data,
                                        .dataset_version = set->dataset_version};
    if (!dataset)
        return lh_lit("The dataset is gone.");
    if (set->generation != manifest->generation)
        return lh_lit("The index's vectors are of another generation.");
    if (!index_covers(&then, dataset, arena))
        return lh_arena_printf(arena, "The dataset is at version %lld, not %lld.",
                               (long long)dataset->version, (long long)set->dataset_version);
    if (set->covered_version != manifest->dataset_version &&
        !lh_str_equal(set->covered_data, manifest->dataset_data))
        return lh_arena_printf(arena, "The index covers version %lld, not %lld.",
                               (long long)manifest->dataset_version,
                               (long long)set->covered_version);
    return (struct lh_str){0};
}

void eval_describe(const struct eval_set *set, const struct index_manifest *manifest,
                   const struct catalog_dataset *dataset, struct lh_arena *arena,
                   struct search_eval *ret)
{
    *ret = (struct search_eval){
        .name = set->name,
        .index_name = lh_arena_str(arena, manifest->name),
        .kind = set->kind,
        .k = set->k,
        .query_count = (int64_t)set->queries.count,
        .seed = set->seed,
        .dataset_id = set->dataset_id,
        .dataset_data = set->dataset_data,
        .dataset_version = set->dataset_version,
        .generation = set->generation,
        .unknown_ids = set->unknown_ids,
        .stale_because = eval_stale_because(set, manifest, dataset, arena),
        .created_by = set->created_by,
        .created_at = set->created_at,
    };
    ret->is_stale = ret->stale_because.len > 0;
}

/* --- asking for them */

/* The index's manifest and its dataset now. */
struct looking {
    struct search_index *index;
    struct index_manifest *head;
    struct catalog_snapshot *snapshot;
    const struct catalog_dataset *dataset; /* NULL: it is gone */
};

static void look_at(struct search *search, struct index_manifest *head, struct looking *ret)
{
    *ret =
        (struct looking){.head = head, .snapshot = catalog_snapshot_ref(search->options.catalog)};
    if (catalog_find_id(ret->snapshot, head->dataset_id, &ret->dataset, NULL))
        ret->dataset = NULL;
}

static enum lh_code look(struct search *search, struct lh_str index_name, struct looking *ret,
                         struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, index_name, &index, err);
    if (code) {
        lh_error_field(err, lh_lit("index_name"));
        return code;
    }
    look_at(search, index_head(index), ret);
    ret->index = index;
    return LH_OK;
}

static void look_away(struct looking *looking)
{
    catalog_snapshot_unref(looking->snapshot);
    index_manifest_unref(looking->head);
    index_unref(looking->index);
}

/* Ids as replies show them. */
static void put_prefix(const struct index_manifest *manifest, struct lh_arena *arena,
                       struct search_eval_query *query)
{
    struct lh_str prefix = manifest->id_prefix;
    struct lh_str *ids = lh_arena_array(arena, query->relevant.count + 1, sizeof *ids);
    if (!prefix.len)
        return;
    for (size_t i = 0; i < query->relevant.count; i++)
        ids[i] =
            lh_arena_printf(arena, "%.*s%.*s", LH_ARG(prefix), LH_ARG(query->relevant.items[i]));
    query->relevant.items = ids;
    if (query->id.len)
        query->id = lh_arena_printf(arena, "%.*s%.*s", LH_ARG(prefix), LH_ARG(query->id));
}

static void tell_queries(const struct eval_set *set, const struct index_manifest *manifest,
                         struct lh_arena *arena, struct search_eval *ret)
{
    const struct search_eval_query *from = set->queries.items;
    struct search_eval_query *queries =
        lh_arena_array(arena, set->queries.count + 1, sizeof *queries);
    for (size_t i = 0; i < set->queries.count; i++) {
        queries[i] = from[i];
        put_prefix(manifest, arena, &queries[i]);
    }
    ret->queries = (struct lh_list){queries, set->queries.count};
}

enum lh_code search_eval_get(struct search *search, struct lh_str index_name, struct lh_str name,
                             struct lh_arena *arena, struct search_eval *ret, struct lh_error *err)
{
    struct looking looking = {0};
    struct eval_set set = {0};
    enum lh_code code = look(search, index_name, &looking, err);
    if (code)
        return code;
    code = eval_load(search, looking.head, name, arena, &set, err);
    if (!code) {
        eval_describe(&set, looking.head, looking.dataset, arena, ret);
        tell_queries(&set, looking.head, arena, ret);
    }
    look_away(&looking);
    return code;
}

enum lh_code search_eval_delete(struct search *search, struct lh_str index_name, struct lh_str name,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct looking looking = {0};
    struct eval_set set = {0};
    enum lh_code code = look(search, index_name, &looking, err);
    if (!code) {
        code = eval_load(search, looking.head, name, arena, &set, err);
        if (!code || code == LH_DAMAGED) { /* that one shall go, too */
            struct lh_str key = key_of(looking.head->id, name, arena);
            code = sealed_trash(search, &key, 1, err);
        }
        look_away(&looking);
    }
    lh_arena_free(arena);
    return code;
}

/* --- lists */

static int compare_heads(const void *a, const void *b)
{
    const struct index_manifest *const *x = a, *const *y = b;
    return lh_str_compare_nocase((*x)->name, (*y)->name);
}

struct listing {
    struct search *search;
    struct lh_str index_name, after;
    size_t limit;
    struct lh_arena *arena;
    struct search_eval *items;
    size_t count;
    bool has_more;
};

static enum lh_code list_one(struct listing *listing, struct index_manifest *head,
                             struct lh_error *err)
{
    struct lh_arena *arena = listing->arena;
    struct storage_entry *entries = NULL;
    struct looking looking = {0};
    size_t count = 0;
    enum lh_code code =
        sealed_list(listing->search, SEARCH_EVALS_FOLDER, head->id, arena, &entries, &count, err);
    look_at(listing->search, index_manifest_ref(head), &looking);
    for (size_t i = 0; i < count && !code && !listing->has_more; i++) {
        struct eval_set set = {0};
        struct lh_str place =
            lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(head->name), LH_ARG(name_of(&entries[i])));
        if (listing->after.len && lh_str_compare_nocase(place, listing->after) <= 0)
            continue;
        if (listing->count == listing->limit) {
            listing->has_more = true;
            break;
        }
        code = eval_load(listing->search, head, name_of(&entries[i]), arena, &set, err);
        if (code == LH_NOT_FOUND) { /* it went meanwhile */
            code = LH_OK;
            continue;
        }
        if (!code)
            eval_describe(&set, head, looking.dataset, arena, &listing->items[listing->count++]);
    }
    look_away(&looking);
    return code;
}

enum lh_code search_eval_list(struct search *search, struct lh_str index_name, struct lh_str after,
                              size_t limit, struct lh_arena *arena, struct search_eval **ret,
                              size_t *ret_count, struct lh_str *ret_next, struct lh_error *err)
{
    struct listing listing = {.search = search, .after = after, .limit = limit, .arena = arena};
    struct index_manifest **heads = NULL;
    struct search_index *index = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    if (index_name.len && (code = index_find(search, index_name, &index, err)))
        return lh_error_field(err, lh_lit("index_name"));
    listing.items = lh_arena_array(arena, limit + 1, sizeof *listing.items);
    registry_heads(search, &heads, &count);
    qsort(heads, count, sizeof(struct index_manifest *), compare_heads);
    for (size_t i = 0; i < count; i++) {
        if (!code && !listing.has_more &&
            (!index || lh_str_equal(heads[i]->id, lh_uuid_str(&index->id))))
            code = list_one(&listing, heads[i], err);
        index_manifest_unref(heads[i]);
    }
    free(heads);
    index_unref(index);
    if (code)
        return code;
    *ret = listing.items;
    *ret_count = listing.count;
    *ret_next = (struct lh_str){0};
    if (listing.has_more)
        *ret_next =
            lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(listing.items[listing.count - 1].index_name),
                            LH_ARG(listing.items[listing.count - 1].name));
    return LH_OK;
}
