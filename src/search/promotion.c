/* What an index uses from some moment on.
 *
 * The manifest holds the promotion that is in force, and is published once with it: that is the
 * switch. The ledger holds all of them for whoever looks back; the newest may stand in the manifest
 * alone, after a kill between the two, until the ledger is next read or added to. Each names the
 * one before it, so that a rollback goes back over those that were rolled back themselves. */
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "search/building.h"
#include "search/trials.h"

const char *const search_promotion_event_names[] = {"promoted", "rolled_back", NULL};

/* In ascending order of names: it stands in manifests. */
static const struct lh_field promotion_rows[] = {
    LH_OBJECT(struct search_promotion, config, const struct search_configuration *,
              .fields = &search_configuration_fields,
              .doc = "What builds of the index use; absent: none is promoted any more."),
    LH_CHOICE(struct search_promotion, event, .choices = search_promotion_event_names,
              .required = true, .doc = "promoted, or rolled_back to what was promoted before."),
    LH_STR(struct search_promotion, harness, .doc = "The eval set of the trial."),
    LH_STR(struct search_promotion, index_name, .doc = "Of the index."),
    LH_STR(struct search_promotion, job_id, .doc = "The autotune that promoted it."),
    LH_TIME(struct search_promotion, measured_at, .doc = "When the trial was."),
    LH_STR(struct search_promotion, note, .doc = "Why."),
    LH_DOUBLE(struct search_promotion, p50_us, LH_PRESET_DOUBLE(NAN), .nullable = true,
              .doc = "Of the trial; null: there is none."),
    LH_STR(struct search_promotion, previous, .doc = "The promotion that a rollback goes back to."),
    LH_TIME(struct search_promotion, promoted_at, .doc = "When it took effect."),
    LH_STR(struct search_promotion, promoted_by, .doc = "Who did it."),
    LH_STR(struct search_promotion, promotion_id, .required = true,
           .doc = "The later, the higher."),
    LH_OPT_INT(struct search_promotion, queries, .doc = "Of the trial."),
    LH_DOUBLE(struct search_promotion, recall, LH_PRESET_DOUBLE(NAN), .nullable = true,
              .doc = "Of the trial; null: there is none."),
    LH_STR(struct search_promotion, trial_id, .doc = "Whose configuration it is."),
};
const struct lh_fields search_promotion_fields =
    LH_FIELDS_OF(struct search_promotion, "GraphPromotion", promotion_rows);

const struct ledger promotions_ledger = {SEARCH_PROMOTIONS_FOLDER, &search_promotion_fields, 0};

static const struct lh_field promoted_rows[] = {
    LH_STR(struct search_promoted, index_name, .required = true, .doc = "The index."),
    LH_OBJECT(struct search_promoted, config, const struct search_configuration *,
              .fields = &search_configuration_fields, .doc = "What its builds use."),
    LH_OBJECT(struct search_promoted, current, const struct search_promotion *, .nullable = true,
              .fields = &search_promotion_fields, .doc = "null: nothing is promoted."),
    LH_LIST(struct search_promoted, history, .fields = &search_promotion_fields,
            .doc = "Newest first, 50 at most."),
};
const struct lh_fields search_promoted_fields =
    LH_FIELDS_OF(struct search_promoted, "GraphPromoted", promoted_rows);

void search_promotion_copy(const struct search_promotion *from, struct lh_arena *arena,
                           struct search_promotion *ret)
{
    struct search_promotion copy = *from;
    struct lh_str *const texts[] = {
        &copy.promotion_id, &copy.index_name, &copy.harness,  &copy.trial_id,
        &copy.job_id,       &copy.note,       &copy.previous, &copy.promoted_by,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = lh_arena_str(arena, *texts[i]);
    if (from->config) {
        struct search_configuration *config = lh_arena_alloc(arena, sizeof *config);
        *config = *from->config;
        copy.config = config;
    }
    *ret = copy;
}

/* --- history */

/* The ledger's records and the manifest's, oldest first. */
static enum lh_code read_history(struct search *search, const struct index_manifest *head,
                                 struct lh_arena *arena, struct search_promotion **ret,
                                 size_t *ret_count, bool *ret_is_head_missing, struct lh_error *err)
{
    struct lh_list records;
    enum lh_code code = ledger_read(search, &promotions_ledger, head->id, arena, &records, err);
    if (code)
        return code;
    struct search_promotion *items = lh_arena_array(arena, records.count + 1, sizeof *items);
    struct lh_str name = lh_arena_str(arena, head->name);
    bool is_there = !head->promotion;
    for (size_t i = 0; i < records.count; i++) {
        items[i] = ((const struct search_promotion *)records.items)[i];
        items[i].index_name = name;
        is_there |=
            head->promotion && lh_str_equal(items[i].promotion_id, head->promotion->promotion_id);
    }
    *ret_is_head_missing = !is_there;
    *ret_count = records.count + !is_there;
    if (!is_there) {
        search_promotion_copy(head->promotion, arena, &items[records.count]);
        items[records.count].index_name = name;
    }
    *ret = items;
    return LH_OK;
}

enum lh_code promotions_read(struct search *search, const struct index_manifest *head,
                             struct lh_arena *arena, struct search_promotion **ret,
                             size_t *ret_count, struct lh_error *err)
{
    bool is_missing = false;
    return read_history(search, head, arena, ret, ret_count, &is_missing, err);
}

/* What a kill kept out of the ledger is added before another takes its place. */
static enum lh_code catch_up(struct search *search, const struct index_manifest *head,
                             struct lh_arena *arena, struct search_promotion **ret,
                             size_t *ret_count, struct lh_error *err)
{
    bool is_missing = false;
    enum lh_code code = read_history(search, head, arena, ret, ret_count, &is_missing, err);
    if (!code && is_missing)
        code = ledger_append(search, &promotions_ledger, head->id, head->promotion, 1, err);
    return code;
}

static const struct search_promotion *find_promotion(const struct search_promotion *items,
                                                     size_t count, struct lh_str id)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_equal(items[i].promotion_id, id))
            return &items[i];
    return NULL;
}

/* --- the switch */

static void stamp(struct search_promotion *promotion, struct lh_arena *arena)
{
    struct lh_uuid id = lh_uuid_new();
    promotion->promotion_id = lh_arena_str(arena, lh_uuid_str(&id));
    promotion->index_name = (struct lh_str){0};
}

/* By who is busy with the index. */
static enum lh_code switch_to(struct search_index *index, const struct index_manifest *head,
                              struct search_promotion *promotion,
                              const struct search_configuration *otherwise,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct search_promotion *ret, struct lh_error *err)
{
    struct lh_error late = LH_ERROR_NONE;
    stamp(promotion, arena);
    enum lh_code code = graph_promote(index, promotion, otherwise, cancel, err);
    if (code)
        return code;
    if (ledger_append(index->search, &promotions_ledger, head->id, promotion, 1, &late))
        lh_log_error(LH_LOG_WARN, "search.promotion", &late);
    search_promotion_copy(promotion, arena, ret);
    ret->index_name = lh_arena_str(arena, head->name);
    return LH_OK;
}

static void give(struct search_index *index, struct index_manifest *head)
{
    index_manifest_unref(head);
    index_end(index);
    index_unref(index);
}

/* The index, for who changes what it uses; the caller ends with index_end and unrefs both. */
static enum lh_code take(struct search *search, struct lh_str index_name,
                         struct search_index **ret_index, struct index_manifest **ret_head,
                         struct lh_error *err)
{
    struct search_index *index = NULL;
    enum lh_code code = index_find(search, index_name, &index, err);
    if (!code)
        code = index_begin(index, err);
    if (code) {
        index_unref(index);
        return code;
    }
    struct index_manifest *head = index_head(index);
    if (head->state != SEARCH_READY) {
        lh_fail(err, LH_CONFLICT, "The index '%.*s' is still being built.", LH_ARG(head->name));
        give(index, head);
        return LH_CONFLICT;
    }
    *ret_index = index;
    *ret_head = head;
    return LH_OK;
}

/* --- promote */

static enum lh_code find_trial(struct search *search, const struct index_manifest *head,
                               struct lh_str trial_id, struct lh_arena *arena,
                               const struct search_trial **ret, struct lh_error *err)
{
    struct search_trial *trials = NULL;
    size_t count = 0;
    enum lh_code code = trials_read(search, head, arena, &trials, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++)
        if (lh_str_equal(trials[i].trial_id, trial_id)) {
            *ret = &trials[i];
            return LH_OK;
        }
    lh_fail(err, LH_NOT_FOUND, "The index '%.*s' has no trial '%.*s'.", LH_ARG(head->name),
            LH_ARG(lh_str_head(trial_id, 64)));
    return lh_error_hint(err, "GET /vectors/hnsw/trials/%.*s lists them.", LH_ARG(head->name));
}

static bool is_current(const struct index_manifest *head, struct lh_str trial_id)
{
    return head->promotion && lh_str_equal(head->promotion->trial_id, trial_id);
}

static enum lh_code promote(struct search_index *index, const struct index_manifest *head,
                            const struct search_promote_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct search_promotion *ret, struct lh_error *err)
{
    const struct search_trial *trial = NULL;
    struct search_promotion *history = NULL;
    size_t count = 0;
    enum lh_code code = find_trial(index->search, head, request->trial_id, arena, &trial, err);
    if (!code)
        code = catch_up(index->search, head, arena, &history, &count, err);
    if (code || !trial)
        return code;
    if (is_current(head, trial->trial_id)) {
        search_promotion_copy(head->promotion, arena, ret);
        ret->index_name = lh_arena_str(arena, head->name);
        return LH_OK;
    }
    struct search_promotion promotion = {
        .config = trial->config,
        .event = SEARCH_PROMOTED,
        .harness = trial->harness,
        .trial_id = trial->trial_id,
        .recall = trial->recall,
        .p50_us = trial->p50_us,
        .queries = {true, trial->queries},
        .measured_at = trial->trial_at,
        .job_id = request->job_id,
        .note = request->note,
        .promoted_by = request->promoted_by,
    };
    if (head->promotion)
        promotion.previous = head->promotion->promotion_id;
    return switch_to(index, head, &promotion, NULL, cancel, arena, ret, err);
}

static enum lh_code check_note(struct lh_str note, struct lh_error *err)
{
    if (note.len <= SEARCH_NOTE_BYTES_MAX)
        return LH_OK;
    lh_fail(err, LH_INVALID, "A note has at most %d bytes.", SEARCH_NOTE_BYTES_MAX);
    return lh_error_field(err, lh_lit("note"));
}

enum lh_code search_promote(struct search *search, const struct search_promote_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct search_promotion *ret, struct lh_error *err)
{
    struct search_index *index = NULL;
    struct index_manifest *head = NULL;
    enum lh_code code = check_note(request->note, err);
    if (!code)
        code = take(search, request->index_name, &index, &head, err);
    if (code)
        return code;
    code = promote(index, head, request, cancel, arena, ret, err);
    if (!code)
        index_warm(index, cancel);
    give(index, head);
    return code;
}

/* --- rollback */

static enum lh_code roll_back(struct search_index *index, const struct index_manifest *head,
                              const struct search_rollback_request *request,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct search_promotion *ret, struct lh_error *err)
{
    struct search_promotion *history = NULL;
    const struct search_promotion *to = NULL;
    struct search_promotion promotion = {.event = SEARCH_ROLLED_BACK, .recall = NAN, .p50_us = NAN};
    size_t count = 0;
    if (!head->promotion || !head->promotion->config) {
        lh_fail(err, LH_CONFLICT, "Nothing is promoted for the index '%.*s'.", LH_ARG(head->name));
        return lh_error_hint(err,
                             "POST /vectors/hnsw/promote/{index}/{trial_id} promotes a trial.");
    }
    struct lh_str previous = head->promotion->previous;
    enum lh_code code = catch_up(index->search, head, arena, &history, &count, err);
    if (code)
        return code;
    if (previous.len && !(to = find_promotion(history, count, previous)))
        return lh_fail(err, LH_DAMAGED,
                       "The record of the promotion before this one cannot be read; `lakehouse "
                       "verify` names its file. Promote a trial instead.");
    if (to) { /* all of it, but for who did what when */
        promotion = *to;
        promotion.event = SEARCH_ROLLED_BACK;
        promotion.job_id = (struct lh_str){0};
    }
    promotion.note = request->note;
    promotion.promoted_by = request->rolled_back_by;
    return switch_to(index, head, &promotion, request->otherwise, cancel, arena, ret, err);
}

enum lh_code search_rollback(struct search *search, const struct search_rollback_request *request,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct search_promotion *ret, struct lh_error *err)
{
    struct search_index *index = NULL;
    struct index_manifest *head = NULL;
    enum lh_code code = check_note(request->note, err);
    if (!code)
        code = take(search, request->index_name, &index, &head, err);
    if (code)
        return code;
    code = roll_back(index, head, request, cancel, arena, ret, err);
    if (!code)
        index_warm(index, cancel);
    give(index, head);
    return code;
}

/* --- told */

static int compare_heads(const void *a, const void *b)
{
    const struct index_manifest *const *x = a, *const *y = b;
    return lh_str_compare_nocase((*x)->name, (*y)->name);
}

enum lh_code search_promoted_list(struct search *search, struct lh_str after, size_t limit,
                                  struct lh_arena *arena, struct search_promotion **ret,
                                  size_t *ret_count, struct lh_str *ret_next, struct lh_error *err)
{
    struct index_manifest **heads = NULL;
    size_t count = 0, kept = 0;
    (void)err;
    struct search_promotion *items = lh_arena_array(arena, limit + 1, sizeof *items);
    registry_heads(search, &heads, &count);
    qsort(heads, count, sizeof(struct index_manifest *), compare_heads);
    for (size_t i = 0; i < count; i++) {
        const struct index_manifest *head = heads[i];
        bool is_next = !after.len || lh_str_compare_nocase(head->name, after) > 0;
        if (head->promotion && head->promotion->config && is_next && kept <= limit) {
            search_promotion_copy(head->promotion, arena, &items[kept]);
            items[kept++].index_name = lh_arena_str(arena, head->name);
        }
        index_manifest_unref(heads[i]);
    }
    free(heads);
    *ret_next = kept > limit ? items[limit - 1].index_name : (struct lh_str){0};
    *ret_count = kept > limit ? limit : kept;
    *ret = items;
    return LH_OK;
}

static void tell(const struct index_manifest *head, struct search_promotion *items, size_t count,
                 struct lh_arena *arena, struct search_promoted *ret)
{
    size_t shown = count < SEARCH_PROMOTIONS_SHOWN ? count : SEARCH_PROMOTIONS_SHOWN;
    struct search_promotion *history = lh_arena_array(arena, shown + 1, sizeof *history);
    struct search_configuration *config = lh_arena_alloc(arena, sizeof *config);
    for (size_t i = 0; i < shown; i++)
        history[i] = items[count - 1 - i];
    *config = index_configuration(head);
    *ret = (struct search_promoted){
        .index_name = lh_arena_str(arena, head->name),
        .config = config,
        .history = {history, shown},
    };
    if (head->promotion && head->promotion->config)
        ret->current = find_promotion(history, shown, head->promotion->promotion_id);
}

enum lh_code search_promoted_get(struct search *search, struct lh_str index_name,
                                 struct lh_arena *arena, struct search_promoted *ret,
                                 struct lh_error *err)
{
    struct search_index *index = NULL;
    struct search_promotion *items = NULL;
    size_t count = 0;
    bool is_missing = false;
    enum lh_code code = index_find(search, index_name, &index, err);
    if (code)
        return code;
    struct index_manifest *head = index_head(index);
    code = read_history(search, head, arena, &items, &count, &is_missing, err);
    if (!code)
        tell(head, items, count, arena, ret);
    index_manifest_unref(head);
    index_unref(index);
    return code;
}
