/* What the journal says of erased rows: their keys become pseudonyms, which are the same for the
 * same key, and what the rows held goes from the records that name one. */
#include "catalog/erase.h"
#include "journal/erase.h"
#include "lake/erasing_internal.h"
#include "lake/lake.h"

#include <stdlib.h>

#define HITS_MAX 256

struct hit {
    size_t at, len, index;
};
struct journal_rewriting {
    const struct erase_journal *of;
    struct lh_str *keys; /* ascending */
    size_t key_count;
    struct hit hits[HITS_MAX]; /* of one text */
    size_t hit_count, key_hits;
};

static int compare_texts(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static void note_hit(void *context, size_t index, size_t at, size_t len)
{
    struct journal_rewriting *rewriting = context;
    rewriting->key_hits += canaries_is_key(rewriting->of->canaries, index);
    if (rewriting->hit_count < HITS_MAX)
        rewriting->hits[rewriting->hit_count++] = (struct hit){at, len, index};
}

static void search(struct journal_rewriting *rewriting, struct lh_str text)
{
    rewriting->hit_count = rewriting->key_hits = 0;
    canaries_search(rewriting->of->canaries, text, 0, text.len, note_hit, rewriting);
}

static bool is_key(const struct journal_rewriting *rewriting, struct lh_str text)
{
    return bsearch(&text, rewriting->keys, rewriting->key_count, sizeof *rewriting->keys,
                   compare_texts) != NULL;
}

static struct lh_str pseudonym_of(const struct journal_rewriting *rewriting, struct lh_str key,
                                  struct lh_arena *arena)
{
    struct lh_str pseudonym = lh_lit("erased");
    (void)!catalog_pseudonym(rewriting->of->catalog, key, arena, &pseudonym, NULL);
    return pseudonym;
}

static bool is_ours(const struct journal_rewriting *rewriting, struct lh_str dataset)
{
    for (size_t i = 0; i < rewriting->of->dataset_count; i++)
        if (lh_str_equal_nocase(rewriting->of->datasets[i].dataset, dataset))
            return true;
    return false;
}

/* "people/7", and 7 of the dataset people: whatever length a key has. */
static bool rewrite_entity(const struct journal_rewriting *rewriting, struct journal_event *event,
                           struct lh_arena *arena)
{
    struct lh_str rest = event->entity, name = lh_str_cut(&rest, '/');
    if (rest.data && is_ours(rewriting, name) && is_key(rewriting, rest)) {
        event->entity = lh_arena_printf(arena, "%.*s/%.*s", LH_ARG(name),
                                        LH_ARG(pseudonym_of(rewriting, rest, arena)));
        return true;
    }
    if (event->dataset.len && is_ours(rewriting, event->dataset) &&
        is_key(rewriting, event->entity)) {
        event->entity = pseudonym_of(rewriting, event->entity, arena);
        return true;
    }
    return false;
}

/* Keys, and with `all` what the rows held, too. */
static bool rewrite_text(struct journal_rewriting *rewriting, struct lh_str *text, bool all,
                         struct lh_arena *arena)
{
    bool is_changed = false;
    do { /* more than fit into the list: again */
        struct lh_buf buf;
        size_t from = 0;
        search(rewriting, *text);
        bool is_more = rewriting->hit_count == HITS_MAX;
        lh_buf_init(&buf, 4 * JOURNAL_VALUE_BYTES_MAX);
        for (size_t i = 0; i < rewriting->hit_count; i++) {
            struct hit hit = rewriting->hits[i];
            bool is_of_key = canaries_is_key(rewriting->of->canaries, hit.index);
            if (hit.at < from || (!is_of_key && !all))
                continue;
            lh_buf_append_str(&buf, lh_str_slice(*text, from, hit.at - from));
            lh_buf_append_str(
                &buf, is_of_key
                          ? pseudonym_of(rewriting,
                                         canaries_text(rewriting->of->canaries, hit.index), arena)
                          : lh_lit("erased"));
            from = hit.at + hit.len;
        }
        if (!from) {
            lh_buf_release(&buf);
            break;
        }
        lh_buf_append_str(&buf, lh_str_slice(*text, from, text->len));
        *text = lh_str_head(lh_arena_str(arena, lh_buf_str(&buf)), JOURNAL_VALUE_BYTES_MAX);
        lh_buf_release(&buf);
        is_changed = true;
        if (!is_more)
            break;
    } while (true);
    return is_changed;
}

static bool rewrite_event(void *context, struct journal_event *event, struct lh_arena *arena)
{
    struct journal_rewriting *rewriting = context;
    struct lh_str *texts[JOURNAL_TEXT_COUNT];
    bool is_changed = rewrite_entity(rewriting, event, arena), names_key = is_changed;
    journal_event_texts(event, texts);
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT; i++) {
        search(rewriting, *texts[i]);
        names_key |= rewriting->key_hits > 0;
    }
    for (size_t i = 0; i < JOURNAL_TEXT_COUNT && names_key; i++)
        if (texts[i] != &event->id && texts[i] != &event->action)
            is_changed |= rewrite_text(rewriting, texts[i], true, arena);
    return is_changed;
}

enum lh_code erase_journal(const struct erase_journal *of, struct lh_arena *arena,
                           struct lake_erased_journal *ret, struct lh_error *err)
{
    struct journal_rewriting rewriting = {.of = of, .key_count = of->keys.count};
    struct journal_erased erased;
    rewriting.keys = lh_arena_array(arena, of->keys.count + 1, sizeof *rewriting.keys);
    for (size_t i = 0; i < of->keys.count; i++)
        rewriting.keys[i] = of->keys.items[i];
    if (rewriting.key_count)
        qsort(rewriting.keys, rewriting.key_count, sizeof *rewriting.keys, compare_texts);
    const struct journal_erase_options options = {
        .rewrite = rewrite_event,
        .context = &rewriting,
        .actor = of->actor,
        .reason = lh_lit("Rows were erased: their keys are pseudonyms."),
        .cancel = of->cancel,
    };
    enum lh_code code = journal_erase(of->journal, &options, &erased, err);
    if (!code)
        *ret = (struct lake_erased_journal){
            .records = erased.records,
            .hash_before = lh_arena_str(arena, lh_str_of(erased.hash_before)),
            .hash_after = lh_arena_str(arena, lh_str_of(erased.hash_after))};
    return code;
}
