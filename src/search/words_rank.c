/* How well a row answers, computed where FTS5 has the words' places at hand.
 *
 * BM25 as Robertson and Zaragoza give it (The Probabilistic Relevance Framework, 2009), with k1 1.2
 * and b 0.75, and the IDF that stays positive for frequent words: ln(1 + (N − n + ½) / (n + ½)).
 * Beside it what a sum over words cannot tell: how much of the query the row has, and whether
 * neighbours of the query are neighbours there. */
#include <math.h>

#include "search/words.h"

#define K1 1.2
#define B 0.75
/* Words that may stand between neighbours: one that was left out of the query, and one more. */
#define GAP 2

static int count_row(const Fts5ExtensionApi *api, Fts5Context *context, void *count)
{
    (void)api;
    (void)context;
    ++*(int64_t *)count;
    return SQLITE_OK;
}

/* The terms stand behind the phrases that must be there. */
static int prepare(const Fts5ExtensionApi *api, Fts5Context *context, struct weighing *weighing)
{
    sqlite3_int64 rows = 0, words = 0;
    int code = api->xRowCount(context, &rows);
    if (code == SQLITE_OK)
        code = api->xColumnTotalSize(context, -1, &words);
    if (code != SQLITE_OK)
        return code;
    weighing->average = rows > 0 ? (double)words / (double)rows : 1;
    weighing->average = weighing->average > 0 ? weighing->average : 1;
    /* A term in which this SQLite's Unicode sees no word is not among them. */
    size_t count = (size_t)api->xPhraseCount(context);
    if (count != weighing->phrases + weighing->terms) {
        weighing->phrases = 0;
        weighing->terms = count < TERMS_MAX ? count : TERMS_MAX;
    }
    for (size_t i = 0; i < weighing->terms; i++) {
        int64_t having = 0;
        code = api->xQueryPhrase(context, (int)(weighing->phrases + i), (void *)&having, count_row);
        if (code != SQLITE_OK)
            return code;
        weighing->idf[i] = log(1 + ((double)(rows - having) + 0.5) / ((double)having + 0.5));
        weighing->idf_sum += weighing->idf[i];
    }
    weighing->is_prepared = true;
    return SQLITE_OK;
}

struct tally {
    double counts[TERMS_MAX];
    int ends[TERMS_MAX]; /* behind the last one met, from 1; 0: not met */
    uint64_t pairs;      /* bit per term: its neighbour before it stood before it */
};

static int take_tally(const Fts5ExtensionApi *api, Fts5Context *context,
                      const struct weighing *weighing, struct tally *tally)
{
    int count = 0, code = api->xInstCount(context, &count);
    for (int i = 0; i < count && code == SQLITE_OK; i++) {
        int phrase = 0, column = 0, at = 0;
        code = api->xInst(context, i, &phrase, &column, &at);
        size_t term = (size_t)phrase - weighing->phrases; /* of what must be there: past the end */
        if (code != SQLITE_OK || term >= weighing->terms)
            continue;
        tally->counts[term]++;
        tally->ends[term] = at + api->xPhraseSize(context, phrase) + 1;
        int before = term ? tally->ends[term - 1] : 0;
        if (before && at + 1 >= before && at + 1 - before <= GAP)
            tally->pairs |= UINT64_C(1) << term;
    }
    return code;
}

static int weigh(const Fts5ExtensionApi *api, Fts5Context *context, struct weighing *weighing)
{
    struct tally tally = {0};
    int length = 0, code = SQLITE_OK, pairs = 0;
    double bm25 = 0, covered = 0;
    if (!weighing->is_prepared)
        code = prepare(api, context, weighing);
    if (code == SQLITE_OK)
        code = take_tally(api, context, weighing, &tally);
    if (code == SQLITE_OK)
        code = api->xColumnSize(context, -1, &length);
    double damp = K1 * (1 - B + B * (double)length / weighing->average);
    for (size_t i = 0; i < weighing->terms && code == SQLITE_OK; i++) {
        if (tally.counts[i] == 0)
            continue;
        bm25 += weighing->idf[i] * tally.counts[i] * (K1 + 1) / (tally.counts[i] + damp);
        covered += weighing->idf[i];
        pairs += (int)(tally.pairs >> i & 1);
    }
    weighing->now = (struct evidence){
        .bm25 = bm25,
        .coverage = weighing->idf_sum > 0 ? covered / weighing->idf_sum : 0,
        .pairs = weighing->terms > 1 ? (double)pairs / (double)(weighing->terms - 1) : 0,
    };
    return code;
}

void words_weigh(const Fts5ExtensionApi *api, Fts5Context *context, sqlite3_context *result,
                 int count, sqlite3_value **values)
{
    struct weighing *weighing =
        count == 1 ? sqlite3_value_pointer(values[0], WORDS_WEIGHING) : NULL;
    int code = weighing ? weigh(api, context, weighing) : SQLITE_MISUSE;
    if (code != SQLITE_OK)
        sqlite3_result_error_code(result, code);
    else
        sqlite3_result_double(result, weighing->now.bm25);
}
