/* How much a graph finds: asked, not claimed. Questions are asked once by looking at all, then by
 * walks of growing width.
 *
 * Where a model makes the vectors, a question is a few words out of a row's text, as people ask:
 * rows themselves lie where the graph is dense, and walks find more of their neighbours (0.97
 * against 0.90 of the package index at the preset width) than of those of a question. Where
 * vectors were given, rows ask; a row does not count as its own neighbour. */
#include "search/tending.h"

#include <stdlib.h>

#define SAMPLE_MAX 100
#define NEAREST 10
#define RECALL_PRESET 0.95
#define RECALL_ENOUGH 0.995 /* wider walks are not measured */

#define QUESTION_WORDS 4

/* A question, by a row or out of its text. */
struct sampled {
    const float *query;
    size_t ordinal;
    bool is_row;   /* which is not its own neighbour */
    size_t wanted; /* so many there are, NEAREST at most */
    float worst;   /* the score that the last of them has */
};

static const float *vector_of(const struct view *view, size_t ordinal)
{
    size_t at = 0;
    const struct entries *part = view_entry(view, ordinal, &at);
    return part->vectors + at * part->dimensions;
}

/* Spread over all rows that may be found; equal views give equal samples. */
static size_t choose_sample(const struct view *view, struct sampled *ret)
{
    size_t live = bits_clear(view->mute, view->span), count = live < SAMPLE_MAX ? live : SAMPLE_MAX;
    size_t taken = 0, passed = 0;
    for (size_t at = 0; at < view->span && taken < count; at++) {
        if (bit_is_set(view->mute, at))
            continue;
        if (passed++ >= taken * live / count)
            ret[taken++] = (struct sampled){.ordinal = at};
    }
    return taken;
}

/* Some words that stand side by side; where depends on the row. */
static struct lh_str question_of(const struct view *view, size_t ordinal)
{
    size_t at = 0, words = 0;
    const struct entries *part = view_entry(view, ordinal, &at);
    struct lh_str text = part->texts_of[at], rest = text;
    for (; rest.len; words++)
        (void)lh_str_cut(&rest, ' ');
    size_t skip = words > QUESTION_WORDS ? ordinal % (words - QUESTION_WORDS + 1) : 0;
    for (rest = text; skip; skip--)
        (void)lh_str_cut(&rest, ' ');
    struct lh_str from = rest;
    for (size_t i = 0; i < QUESTION_WORDS && rest.len; i++)
        (void)lh_str_cut(&rest, ' ');
    return rest.len ? (struct lh_str){from.data, (size_t)(rest.data - from.data)} : from;
}

static bool is_zero_vector(const float *vector, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (vector[i] != 0)
            return false;
    return true;
}

/* The vectors of the questions, in `room`. */
static enum lh_code make_questions(const struct tending *tending, struct sampled *sample,
                                   size_t count, float *room, struct lh_error *err)
{
    const struct view *view = tending_view(tending);
    size_t dimensions = (size_t)view->manifest->dimensions;
    struct lh_str texts[SAMPLE_MAX];
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count; i++)
        texts[i] = question_of(view, sample[i].ordinal);
    if (view->model && count)
        code = view->model->embedder->embed(view->model->loaded, texts, count, room,
                                            tending->cancel, err);
    for (size_t i = 0; i < count; i++) {
        const float *made = room + i * dimensions;
        sample[i].is_row = !view->model || is_zero_vector(made, dimensions);
        sample[i].query = sample[i].is_row ? vector_of(view, sample[i].ordinal) : made;
    }
    return code;
}

static enum lh_code find_truth(const struct tending *tending, struct sampled *sample, size_t count,
                               struct lh_error *err)
{
    const struct view *view = tending_view(tending);
    struct graph_hit hits[NEAREST];
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count && !code; i++) {
        tending_show(tending, "measuring", i, count);
        code = view_nearest(view, view->mute, sample[i].query, NEAREST,
                            sample[i].is_row ? sample[i].ordinal : VIEW_NONE, hits,
                            &sample[i].wanted, err);
        if (!code && sample[i].wanted)
            sample[i].worst = hits[sample[i].wanted - 1].score;
        if (!code)
            code = lh_cancel_fail(tending->cancel, "Measuring a graph", err);
    }
    return code;
}

/* Equal rows are as good as one another: what counts is how far they are. */
static size_t count_right(const struct sampled *of, const struct graph_hit *hits, size_t count)
{
    size_t right = 0;
    double least = 1 - (1 - (double)of->worst) * (1 + 1e-6) - 1e-6;
    for (size_t i = 0; i < count && right < of->wanted; i++)
        right += (!of->is_row || hits[i].row != of->ordinal) && (double)hits[i].score >= least;
    return right;
}

/* What is asked of a graph that is not served yet: its numbers are ordinals, or, of one that was
 * extended, those of its parts. */
static void to_ordinals(const struct tending *tending, struct graph_hit *hits, size_t count)
{
    const struct view *view = tending_view(tending);
    const struct index_graph_part *parts = tending->made.parts.items;
    for (size_t i = 0; i < count; i++) {
        size_t number = 0, part = 0;
        while (number + (size_t)graph_span(parts[part].entries) <= hits[i].row)
            number += (size_t)graph_span(parts[part++].entries);
        for (size_t at = 0; at < view->part_count; at++)
            if (lh_str_equal(index_parts(view->manifest)[at].key, parts[part].key)) {
                hits[i].row = view->bases[at] + (hits[i].row - number);
                break;
            }
    }
}

static enum lh_code ask_graph(const struct tending *tending, const struct sampled *of, size_t ef,
                              struct graph_hit *hits, size_t *ret_count, struct lh_error *err)
{
    const struct view *view = tending_view(tending);
    const struct graph_ask ask = {.k = NEAREST + 1, .width = ef};
    const float *query = of->query;
    if (tending->graph) {
        enum lh_code code = graph_search(tending->graph, query, &ask, hits, ret_count, NULL, err);
        if (!code)
            to_ordinals(tending, hits, *ret_count);
        return code;
    }
    bool is_used = false;
    const struct view_graph_ask served = {
        .query = query, .mute = view->mute, .k = NEAREST + 1, .ef = ef};
    enum lh_code code = view_graph_search(view, &served, hits, ret_count, &is_used, err);
    if (!code && !is_used)
        code = view_nearest(view, view->mute, query, NEAREST + 1, VIEW_NONE, hits, ret_count, err);
    return code;
}

static enum lh_code measure_at(const struct tending *tending, const struct sampled *sample,
                               size_t count, size_t ef, double *ret, struct lh_error *err)
{
    struct graph_hit hits[NEAREST + 1];
    size_t right = 0, wanted = 0, found = 0;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count && !code; i++) {
        code = ask_graph(tending, &sample[i], ef, hits, &found, err);
        if (!code)
            right += count_right(&sample[i], hits, found);
        wanted += sample[i].wanted;
        if (!code)
            code = lh_cancel_fail(tending->cancel, "Measuring a graph", err);
    }
    *ret = wanted ? (double)right / (double)wanted : 1;
    return code;
}

/* Walks wider and wider; the first that finds enough is what searches take. */
enum lh_code graph_measure(struct tending *tending, struct lh_error *err)
{
    struct sampled sample[SAMPLE_MAX];
    struct index_graph *made = &tending->made;
    double least = tending->head->min_recall > 0 ? tending->head->min_recall : RECALL_PRESET;
    size_t count = choose_sample(tending_view(tending), sample), widths = 0;
    int64_t ef = tending->configuration.ef_search;
    bool is_enough = false;
    float *room = malloc((count * (size_t)tending->head->dimensions + 1) * sizeof *room);
    enum lh_code code = room ? make_questions(tending, sample, count, room, err)
                             : lh_fail(err, LH_BUSY, "There is no memory to measure a graph.");
    if (!code)
        code = find_truth(tending, sample, count, err);
    made->sample = (int64_t)count;
    while (!code && widths < TENDING_WIDTHS_MAX && ef <= SEARCH_EF_SEARCH_MAX) {
        struct search_graph_recall *recall = &tending->recalls[widths++];
        recall->ef = ef;
        code = measure_at(tending, sample, count, (size_t)ef, &recall->recall, err);
        if (!is_enough)
            made->ef_search = ef;
        is_enough |= recall->recall >= least;
        if (recall->recall >= RECALL_ENOUGH)
            break;
        ef *= 2;
    }
    made->recalls = (struct lh_list){tending->recalls, widths};
    free(room);
    return code;
}
