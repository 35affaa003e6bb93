/* What eval sets, trials and promotions hold of rows that must be forgotten. */
#include <stdlib.h>

#include "search/trials.h"

struct forgetting {
    struct search *search;
    const struct search_forget *forget;
    const struct index_manifest *head;
};

static bool names_one(const struct forgetting *of, const struct search_eval_query *query)
{
    const struct search_forget *forget = of->forget;
    struct lh_str dataset = of->head->dataset_id;
    bool names = query->text.len && forget->holds(forget->context, dataset, query->text);
    if (query->id.len)
        names |= forget->is_key(forget->context, dataset, query->id);
    for (size_t i = 0; i < query->relevant.count && !names; i++)
        names = forget->is_key(forget->context, dataset, query->relevant.items[i]);
    return names;
}

/* Queries in which something of the rows stands go, and with the last of them the set. What was
 * drawn can be drawn anew: it goes as a whole. */
static enum lh_code forget_set(const struct forgetting *of, const struct storage_entry *entry,
                               int64_t *ret_changed, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct eval_set set;
    size_t kept = 0;
    enum lh_code code = sealed_get(of->search, entry->key, &eval_set_fields, arena, &set, err);
    if (code) {
        lh_arena_free(arena);
        return code == LH_NOT_FOUND ? LH_OK : code;
    }
    struct search_eval_query *queries = (struct search_eval_query *)(uintptr_t)set.queries.items;
    for (size_t i = 0; i < set.queries.count; i++)
        if (!names_one(of, &queries[i]))
            queries[kept++] = queries[i];
    bool is_changed = kept < set.queries.count;
    if (is_changed && kept && set.kind == SEARCH_EVAL_LABELLED) {
        set.queries.count = kept;
        code = eval_store(of->search, of->head->id, &set, err);
    } else if (is_changed) {
        code = sealed_trash(of->search, &entry->key, 1, err);
    }
    *ret_changed += !code && is_changed;
    lh_arena_free(arena);
    return code;
}

static bool clear_text(const struct forgetting *of, struct lh_str *text)
{
    if (!text->len || !of->forget->holds(of->forget->context, of->head->dataset_id, *text))
        return false;
    *text = lh_lit("erased");
    return true;
}

static bool clear_trial(void *context, void *record)
{
    struct search_trial *trial = record;
    return clear_text(context, &trial->trial_by);
}

static bool clear_promotion(void *context, void *record)
{
    struct search_promotion *promotion = record;
    bool is_cleared = clear_text(context, &promotion->note);
    is_cleared |= clear_text(context, &promotion->promoted_by);
    return is_cleared;
}

/* The promotion that is in force stands in the manifest, too. */
static enum lh_code forget_current(const struct forgetting *of, int64_t *ret_changed,
                                   struct lh_error *err)
{
    struct search_index *index = NULL;
    struct search_promotion promotion;
    if (!of->head->promotion)
        return LH_OK;
    promotion = *of->head->promotion;
    if (!clear_promotion((void *)(uintptr_t)of, &promotion))
        return LH_OK;
    enum lh_code code = index_find(of->search, of->head->name, &index, err);
    if (!code)
        code = index_begin(index, err);
    if (!code) {
        struct index_manifest *head = index_head(index);
        for (int copy = 0; copy < 2 && !code; copy++) { /* and the one before it, which is kept */
            struct index_manifest *next = index_manifest_copy(head);
            index_manifest_set_promotion(next, &promotion);
            code = index_publish(index, next, err);
            index_manifest_unref(next);
        }
        index_manifest_unref(head);
        index_end(index);
        *ret_changed += !code;
    }
    index_unref(index);
    return code;
}

static enum lh_code forget_index(struct search *search, const struct search_forget *forget,
                                 const struct index_manifest *head, int64_t *ret_changed,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct forgetting of = {.search = search, .forget = forget, .head = head};
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code =
        sealed_list(search, SEARCH_EVALS_FOLDER, head->id, arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        code = forget_set(&of, &entries[i], ret_changed, err);
    if (!code)
        code = ledger_redact(search, &trials_ledger, head->id, clear_trial, &of, ret_changed, err);
    if (!code)
        code = ledger_redact(search, &promotions_ledger, head->id, clear_promotion, &of,
                             ret_changed, err);
    if (!code)
        code = forget_current(&of, ret_changed, err);
    lh_arena_free(arena);
    return code;
}

enum lh_code search_tuning_forget(struct search *search, const struct search_forget *forget,
                                  int64_t *ret_changed, struct lh_error *err)
{
    struct index_manifest **heads = NULL;
    size_t count = 0;
    enum lh_code code = LH_OK;
    registry_heads(search, &heads, &count);
    for (size_t i = 0; i < count; i++) {
        if (!code)
            code = forget_index(search, forget, heads[i], ret_changed, err);
        index_manifest_unref(heads[i]);
    }
    free(heads);
    return code;
}
