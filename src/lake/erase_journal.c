/* What the journal says of erased rows: their keys become pseudonyms, which are the same for the
 * same key, and what the rows held goes. */
#include "base/json.h"
#include "catalog/erase.h"
#include "journal/erase.h"
#include "lake/erasing_internal.h"
#include "lake/lake.h"

#define NAMES_MAX 4096

struct journal_rewriting {
    const struct erase_journal *of;
    struct lh_arena *arena;
    struct lh_str *names; /* that the datasets have or had */
    size_t name_count;
    size_t hit_count;           /* of keys, in one text */
    size_t text_hits, own_hits; /* own: of texts that no row has which is left */
    int64_t trial_count;
};

static void note_hit(void *context, size_t index, size_t at, size_t len)
{
    struct journal_rewriting *rewriting = context;
    (void)at;
    (void)len;
    if (!canaries_is_key(rewriting->of->canaries, index)) {
        rewriting->text_hits++;
        rewriting->own_hits += !canaries_is_dropped(rewriting->of->canaries, index);
    } else {
        rewriting->hit_count++;
    }
}

static void search(struct journal_rewriting *rewriting, struct lh_str text)
{
    rewriting->hit_count = rewriting->text_hits = rewriting->own_hits = 0;
    canaries_search(rewriting->of->canaries, text, 0, text.len, note_hit, rewriting);
}

/* --- whose records */

static bool is_our_id(const struct journal_rewriting *rewriting, struct lh_str id)
{
    for (size_t i = 0; i < rewriting->of->dataset_count && id.len; i++)
        if (lh_str_equal(rewriting->of->datasets[i].dataset_id, id))
            return true;
    return false;
}

static bool is_our_name(const struct journal_rewriting *rewriting, struct lh_str name)
{
    for (size_t i = 0; i < rewriting->name_count; i++)
        if (lh_str_equal_nocase(rewriting->names[i], name))
            return true;
    return false;
}

static void add_name(struct journal_rewriting *rewriting, struct lh_str name)
{
    if (name.len && rewriting->name_count < NAMES_MAX && !is_our_name(rewriting, name))
        rewriting->names[rewriting->name_count++] = lh_arena_str(rewriting->arena, name);
}

/* Changes nothing: what the datasets were called before they were renamed. */
static bool collect_names(void *context, struct journal_event *event, struct lh_arena *arena)
{
    struct journal_rewriting *rewriting = context;
    (void)arena;
    if (is_our_id(rewriting, event->dataset_id))
        add_name(rewriting, event->dataset);
    return false;
}

/* --- one record */

/* "people/7", and 7 of the dataset people: whatever length a key has. */
static bool rewrite_entity(const struct journal_rewriting *rewriting, struct journal_event *event,
                           struct lh_arena *arena)
{
    const struct erase_keys *keys = rewriting->of->keys;
    struct lh_str rest = event->entity, name = lh_str_cut(&rest, '/');
    if (rest.data && is_our_name(rewriting, name) && erase_keys_has(keys, rest)) {
        event->entity =
            lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(name),
                            LH_ARG(erase_pseudonym(rewriting->of->catalog, rest, arena)));
        return true;
    }
    bool is_ours = event->dataset_id.len
                       ? is_our_id(rewriting, event->dataset_id)
                       : event->dataset.len && is_our_name(rewriting, event->dataset);
    if (is_ours && erase_keys_has(keys, event->entity)) {
        event->entity = erase_pseudonym(rewriting->of->catalog, event->entity, arena);
        return true;
    }
    return false;
}

static bool is_object(struct lh_str text)
{
    json_t *value = NULL;
    bool is_one =
        !lh_json_parse(text, "The detail", text.len + 1, &value, NULL) && json_is_object(value);
    json_decref(value);
    return is_one;
}

/* Names are not texts of a row, whatever row says the same. */
static bool takes_texts(const struct journal_event *event, const struct lh_str *text)
{
    return text != &event->dataset && text != &event->dataset_id && text != &event->principal &&
           text != &event->model && text != &event->workspace;
}

/* `names_key`: the record names one, and whatever the rows held goes from it. A text is known by
 * its beginning: where it stands, the whole field goes. */
static bool rewrite_text(struct journal_rewriting *rewriting, struct journal_event *event,
                         struct lh_str *text, bool names_key, struct lh_arena *arena)
{
    bool is_detail = text == &event->detail;
    search(rewriting, *text);
    size_t texts = names_key ? rewriting->text_hits : rewriting->own_hits;
    bool is_whole = takes_texts(event, text) && texts;
    if (!is_whole && rewriting->hit_count) {
        *text = lh_str_head(
            erase_without_keys(rewriting->of->canaries, rewriting->of->catalog, *text, arena),
            JOURNAL_VALUE_BYTES_MAX);
        if (!is_detail || is_object(*text))
            return true;
        is_whole = true;
    }
    if (is_whole)
        *text = is_detail ? lh_lit("{\"erased\":true}") : lh_lit("erased");
    return is_whole;
}

/* Of a record about an erased row: its values go, however short, and what says a key. */
static void rewrite_own(const struct journal_rewriting *rewriting, struct journal_event *event)
{
    const struct erase_keys *keys = rewriting->of->keys;
    if (event->old_value.data)
        event->old_value = lh_lit("erased");
    if (event->new_value.data)
        event->new_value = lh_lit("erased");
    if (erase_keys_in(keys, event->reason))
        event->reason = lh_lit("erased");
    if (erase_keys_in(keys, event->detail))
        event->detail = lh_lit("{\"erased\":true}");
}

static bool rewrite_event(void *context, struct journal_event *event, struct lh_arena *arena)
{
    struct journal_rewriting *rewriting = context;
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    bool is_changed = rewrite_entity(rewriting, event, arena), names_key = is_changed;
    if (is_changed)
        rewrite_own(rewriting, event);
    journal_event_texts(event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT && !names_key; i++) {
        search(rewriting, *texts[i]);
        names_key = rewriting->hit_count > 0;
    }
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++)
        if (texts[i] != &event->id && texts[i] != &event->action)
            is_changed |= rewrite_text(rewriting, event, texts[i], names_key, arena);
    return is_changed;
}

static bool count_event(void *context, struct journal_event *event, struct lh_arena *arena)
{
    struct journal_rewriting *rewriting = context;
    struct journal_event copy = *event;
    rewriting->trial_count += rewrite_event(context, &copy, arena);
    return false;
}

enum lh_code erase_journal(const struct erase_journal *of, struct lh_arena *arena,
                           struct lake_erased_journal *ret, struct lh_error *err)
{
    struct journal_rewriting rewriting = {.of = of, .arena = arena};
    struct journal_erased erased;
    struct journal_erase_options options = {
        .rewrite = collect_names,
        .context = &rewriting,
        .actor = of->actor,
        .reason = lh_arena_printf(arena, "Rows were erased: their keys are pseudonyms (%.*s).",
                                  LH_ARG(of->id)),
        .cancel = of->cancel,
    };
    rewriting.names = lh_arena_array(arena, NAMES_MAX, sizeof *rewriting.names);
    for (size_t i = 0; i < of->dataset_count; i++)
        add_name(&rewriting, of->datasets[i].dataset);
    enum lh_code code = journal_erase(of->journal, &options, &erased, err);
    options.rewrite = of->is_trial ? count_event : rewrite_event;
    if (!code)
        code = journal_erase(of->journal, &options, &erased, err);
    if (!code)
        *ret = (struct lake_erased_journal){
            .records = of->is_trial ? rewriting.trial_count : erased.records,
            .hash_before = lh_arena_str(arena, lh_str_of(erased.hash_before)),
            .hash_after = lh_arena_str(arena, lh_str_of(erased.hash_after))};
    return code;
}
