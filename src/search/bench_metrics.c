/* What is told of answers: shares, places, percentiles. */
#include <math.h>

#include "search/bench.h"

static bool is_among(const size_t *rows, size_t count, size_t row)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i] == row)
            return true;
    return false;
}

/* Binary gains: nDCG is the sum of 1 / log2(1 + place) over the relevant that were found, of what
 * it were if they stood first. */
struct search_relevance relevance_of(const size_t *found, size_t found_count,
                                     const size_t *relevant, size_t relevant_count, size_t k)
{
    struct search_relevance result = {0};
    double gain = 0, best = 0;
    size_t hits = 0;
    size_t most = relevant_count < k ? relevant_count : k;
    for (size_t i = 0; i < found_count && i < k; i++) {
        if (!is_among(relevant, relevant_count, found[i]))
            continue;
        if (!hits++)
            result.mrr = 1 / (double)(i + 1);
        gain += 1 / log2((double)i + 2);
    }
    for (size_t i = 0; i < most; i++)
        best += 1 / log2((double)i + 2);
    if (most) {
        result.recall = (double)hits / (double)relevant_count;
        result.ndcg = gain / best;
    }
    return result;
}

double percentile_of(const double *sorted, size_t count, double part)
{
    if (!count)
        return NAN;
    size_t rank = (size_t)ceil(part * (double)count);
    return sorted[rank ? rank - 1 : 0];
}
