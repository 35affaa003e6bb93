/* The keyword leg of a search: the rows that have the words, and how well they answer. */
#include <stdlib.h>

#include "search/asking.h"
#include "search/words.h"

#define PROGRESS_STEPS 20000 /* of SQLite's machine between two looks at the cancel token */

static int look_at_token(void *cancel)
{
    return lh_cancel_check(cancel) != LH_OK;
}

/* False: it is of a part that the view does not have; another search's, or an earlier one's. */
static bool find_ordinal(const struct overlay *overlay, int64_t rowid, size_t *ret)
{
    const struct view *view = overlay->view;
    size_t low = 0, high = view->part_count;
    while (low < high) { /* to the first place behind it */
        size_t middle = (low + high) / 2;
        if (overlay->words_places[middle].first <= rowid)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    const struct words_place *place = &overlay->words_places[low - 1];
    size_t at = (size_t)(rowid - place->first);
    if (at >= view->parts[place->part]->count)
        return false;
    *ret = view->bases[place->part] + at;
    return true;
}

/* The entry of a row of the file, if it may be found. */
static bool place_of(const struct asking *asking, int64_t rowid, struct found *ret)
{
    const struct overlay *overlay = asking->pin.overlay;
    const struct view *view = overlay->view;
    size_t layer = 0, ordinal = 0, at = 0;
    if (rowid >= FRESH_FROM) {
        view = overlay->fresh;
        layer = 1;
        if (!view || rowid < overlay->words_from)
            return false;
        ordinal = (size_t)(rowid - overlay->words_from);
    } else if (!find_ordinal(overlay, rowid, &ordinal)) {
        return false;
    }
    if (ordinal >= view->span || bit_is_set(asking->layers[layer].hidden, ordinal))
        return false;
    const struct entries *part = view_entry(view, ordinal, &at);
    *ret = (struct found){
        .layer = layer, .ordinal = ordinal, .row = ordinal - (size_t)part->chunks[at]};
    return true;
}

/* --- the best of all rows that match, in whatever order they come */

struct harvest {
    struct asking *asking;
    size_t want, capacity;
    struct found_list list;
    double floor; /* what scores less is not among the best */
    struct found_list *also;
    struct found **by_rowid; /* of also, ascending */
};

static int64_t rowid_of(const struct asking *asking, const struct found *found)
{
    const struct overlay *overlay = asking->pin.overlay;
    if (found->layer)
        return overlay->words_from + (int64_t)found->ordinal;
    size_t part = view_part(overlay->view, found->ordinal);
    return overlay->words_first_of[part] + (int64_t)(found->ordinal - overlay->view->bases[part]);
}

static int compare_rowids(const void *a, const void *b)
{
    const struct found *x = *(const struct found *const *)a, *y = *(const struct found *const *)b;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static enum lh_code harvest_init(struct harvest *harvest, struct asking *asking, size_t want,
                                 struct found_list *also, struct lh_error *err)
{
    size_t count = also ? also->count : 0;
    *harvest = (struct harvest){
        .asking = asking, .want = want, .capacity = want * 4 + 1024, .also = also, .floor = -1};
    harvest->list.items = calloc(harvest->capacity, sizeof(struct found));
    harvest->by_rowid = lh_arena_array(asking->arena, count + 1, sizeof *harvest->by_rowid);
    if (!harvest->list.items)
        return lh_fail(err, LH_BUSY, "There is no memory for the search.");
    for (size_t i = 0; i < count; i++)
        harvest->by_rowid[i] = &also->items[i];
    qsort(harvest->by_rowid, count, sizeof *harvest->by_rowid, compare_rowids);
    return LH_OK;
}

/* What the other leg found gets its evidence too. */
static void note_evidence(struct harvest *harvest, const struct found *found)
{
    struct found **match = harvest->also && harvest->also->count
                               ? bsearch(&found, harvest->by_rowid, harvest->also->count,
                                         sizeof *harvest->by_rowid, compare_rowids)
                               : NULL;
    if (match)
        (*match)->evidence = found->evidence;
}

static void take_row(struct harvest *harvest, const struct found *found)
{
    struct found_list *list = &harvest->list;
    note_evidence(harvest, found);
    if (found->score < harvest->floor)
        return;
    if (list->count == harvest->capacity) {
        found_settle(harvest->asking, list, harvest->want);
        if (list->count == harvest->want)
            harvest->floor = list->items[list->count - 1].score;
    }
    /* Ties are told apart by id, so they all are looked at. */
    list->items[list->count++] = *found;
}

static enum lh_code read_rows(struct harvest *harvest, sqlite3_stmt *find,
                              const struct weighing *weighing, struct lh_error *err)
{
    int step = SQLITE_DONE;
    while ((step = sqlite3_step(find)) == SQLITE_ROW) {
        struct found found;
        if (!place_of(harvest->asking, sqlite3_column_int64(find, 0), &found))
            continue;
        found.evidence = weighing->now;
        found.score = weighing->now.bm25;
        take_row(harvest, &found);
    }
    if (step != SQLITE_DONE)
        return words_fail(sqlite3_db_handle(find), err);
    found_settle(harvest->asking, &harvest->list, harvest->want);
    return LH_OK;
}

static enum lh_code read_hits(struct asking *asking, struct reader *reader,
                              const struct terms *terms, struct lh_str match, size_t want,
                              struct found_list *also, struct found_list *ret, struct lh_error *err)
{
    struct weighing weighing = {.phrases = terms->phrases, .terms = terms->count};
    struct harvest harvest;
    enum lh_code code = harvest_init(&harvest, asking, want, also, err);
    if (!code) {
        sqlite3_progress_handler(reader->db, PROGRESS_STEPS, look_at_token,
                                 (void *)(uintptr_t)asking->cancel);
        sqlite3_bind_text64(reader->find, 1, match.data, match.len, SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_bind_pointer(reader->find, 2, &weighing, WORDS_WEIGHING, NULL);
        code = read_rows(&harvest, reader->find, &weighing, err);
        sqlite3_reset(reader->find);
        sqlite3_clear_bindings(reader->find);
    }
    if (!code) {
        size_t count = harvest.list.count;
        ret->items = lh_arena_array(asking->arena, count + 1, sizeof(struct found));
        if (count)
            memcpy(ret->items, harvest.list.items, count * sizeof(struct found));
        ret->count = count;
    }
    free(harvest.list.items);
    return code;
}

static bool write_match(const struct asking *asking, struct terms *terms, struct lh_buf *match)
{
    const struct index_manifest *manifest = asking->pin.overlay->view->manifest;
    lh_buf_init(match, (size_t)SEARCH_QUERY_BYTES_MAX * 4);
    terms_cut(asking->ask->query, manifest->language, terms);
    if (terms->count)
        terms_write(terms, match);
    return terms->count > 0;
}

enum lh_code leg_by_words(struct asking *asking, size_t want, struct found_list *also,
                          struct found_list *ret, struct lh_error *err)
{
    struct words *words = asking->pin.overlay->words;
    struct reader *reader = NULL;
    struct terms terms;
    struct lh_buf match;
    *ret = (struct found_list){0};
    bool has_terms = write_match(asking, &terms, &match);
    if (!words || !want || !has_terms) {
        lh_buf_release(&match);
        return LH_OK;
    }
    enum lh_code code = lh_buf_check(&match, "The query", err);
    if (!code)
        code = reader_open(words, &reader, err);
    if (reader) {
        code = read_hits(asking, reader, &terms, lh_buf_str(&match), want, also, ret, err);
        reader_rest(words, reader);
    }
    if (code == LH_CANCELLED)
        code = lh_cancel_fail(asking->cancel, "The search", err);
    if (code == LH_DAMAGED)
        atomic_store(&words->is_broken, true);
    lh_buf_release(&match);
    return code;
}

void words_highlight(struct asking *asking, const struct found *found, struct search_hit *hits,
                     size_t count)
{
    struct words *words = asking->pin.overlay->words;
    struct reader *reader = NULL;
    struct lh_error ignored = LH_ERROR_NONE;
    struct terms terms;
    struct lh_buf match;
    /* A hit without its marks is still that hit. */
    if (write_match(asking, &terms, &match) && words && !match.is_over &&
        !reader_open(words, &reader, &ignored)) {
        for (size_t i = 0; i < count; i++) {
            sqlite3_bind_text64(reader->mark, 1, match.data, match.len, SQLITE_STATIC, SQLITE_UTF8);
            sqlite3_bind_int64(reader->mark, 2, rowid_of(asking, &found[i]));
            if (sqlite3_step(reader->mark) == SQLITE_ROW)
                hits[i].highlight =
                    lh_arena_str(asking->arena,
                                 (struct lh_str){(const char *)sqlite3_column_text(reader->mark, 0),
                                                 (size_t)sqlite3_column_bytes(reader->mark, 0)});
            sqlite3_reset(reader->mark);
        }
        reader_rest(words, reader);
    }
    lh_buf_release(&match);
}
