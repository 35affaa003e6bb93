#include "search/scan.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define BLOCK ((size_t)64) /* rows: one word of what is left out */
#define CANDIDATES_MAX 1024
/* With so few rows for each that is wanted, most would be read as floats anyway. */
#define ROWS_PER_WANTED 16
/* One wanted row in so many is few. */
#define SPARSE_SHARE 8

struct candidate {
    size_t row; /* of the matrix at hand */
    double high;
};

struct search_scanner {
    struct search_query query;
    const struct search_kernels *kernels;
    size_t k, scored;
    struct search_scan_hit *hits; /* the best so far, the worst of them on top */
    size_t hit_count;
    double *lows; /* the best k lower bounds so far, the least on top */
    size_t low_count;
    double floor; /* what is surely below it is not among the best */
    struct candidate candidates[CANDIDATES_MAX];
    size_t candidate_count;
};

/* --- two heaps */

/* True if a is worse than b: it stands nearer to the top of the heap. */
static bool is_worse(const struct search_scan_hit *a, const struct search_scan_hit *b)
{
    return a->score != b->score ? a->score < b->score : a->row > b->row;
}

static void sift_down(struct search_scan_hit *heap, size_t count)
{
    size_t at = 0;
    for (;;) {
        size_t worst = at, left = at * 2 + 1, right = left + 1;
        if (left < count && is_worse(&heap[left], &heap[worst]))
            worst = left;
        if (right < count && is_worse(&heap[right], &heap[worst]))
            worst = right;
        if (worst == at)
            return;
        struct search_scan_hit hit = heap[at];
        heap[at] = heap[worst];
        heap[worst] = hit;
        at = worst;
    }
}

static void sift_up(struct search_scan_hit *heap, size_t at)
{
    while (at && is_worse(&heap[at], &heap[(at - 1) / 2])) {
        struct search_scan_hit hit = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = hit;
        at = (at - 1) / 2;
    }
}

static void raise(struct search_scanner *scanner, double floor)
{
    if (floor > scanner->floor)
        scanner->floor = floor;
}

/* Rows come in ascending order: an equal one stands behind. */
static void push(struct search_scanner *scanner, size_t row, float score)
{
    struct search_scan_hit hit = {row, score == score ? score : -INFINITY};
    if (scanner->hit_count < scanner->k) {
        scanner->hits[scanner->hit_count] = hit;
        sift_up(scanner->hits, scanner->hit_count++);
    } else if (hit.score > scanner->hits[0].score) {
        scanner->hits[0] = hit;
        sift_down(scanner->hits, scanner->hit_count);
    }
    if (scanner->hit_count == scanner->k)
        raise(scanner, (double)scanner->hits[0].score);
}

static void push_low(struct search_scanner *scanner, double low)
{
    double *heap = scanner->lows;
    size_t at = 0;
    if (scanner->low_count < scanner->k) {
        at = scanner->low_count++;
        for (; at && low < heap[(at - 1) / 2]; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = low;
    } else {
        for (size_t next = 1; next < scanner->k; next = at * 2 + 1) {
            if (next + 1 < scanner->k && heap[next + 1] < heap[next])
                next++;
            if (!(heap[next] < low))
                break;
            heap[at] = heap[next];
            at = next;
        }
        heap[at] = low;
    }
    if (scanner->low_count == scanner->k)
        raise(scanner, heap[0]);
}

/* --- floats */

static uint64_t wanted(const struct search_scan *scan, size_t from, size_t count)
{
    uint64_t all = count < BLOCK ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
    return scan->left_out ? all & ~scan->left_out[from / BLOCK] : all;
}

static void scan_floats(struct search_scanner *scanner, const struct search_scan *scan,
                        size_t first)
{
    const struct search_query *query = &scanner->query;
    float scores[BLOCK];
    for (size_t from = 0; from < scan->row_count; from += BLOCK) {
        size_t count = scan->row_count - from < BLOCK ? scan->row_count - from : BLOCK;
        uint64_t rows = wanted(scan, from, count);
        for (size_t at = 0; rows >> at;) { /* each run of wanted rows */
            at += (size_t)__builtin_ctzll(rows >> at);
            uint64_t rest = ~(rows >> at);
            size_t run = rest ? (size_t)__builtin_ctzll(rest) : BLOCK;
            run = run < count - at ? run : count - at;
            scanner->kernels->dots(scan->rows + (from + at) * query->dimensions, run,
                                   query->dimensions, query->floats, scores);
            for (size_t i = 0; i < run; i++)
                push(scanner, first + from + at + i, scores[i]);
            scanner->scored += run;
            at += run;
            if (at >= BLOCK)
                break;
        }
    }
}

/* --- codes */

/* What a row's score may differ by from its estimate besides what its own error does: the query's
 * error, and that sums of floats are rounded. A sum of n products in 16 lanes is rounded at most
 * n / 16 + 7 times on the way of each product, by half of FLT_EPSILON each time. */
static double slack_of(const struct search_query *query, const struct search_codes *codes)
{
    double rounding = ((double)query->dimensions / 16 + 16) * (double)FLT_EPSILON;
    return (double)codes->longest * (query->blur + rounding * query->length) +
           (double)query->dimensions * (double)FLT_MIN;
}

/* Sums that leave the range of floats have no bounds. */
static bool is_bounded(const struct search_query *query, const struct search_codes *codes)
{
    return (double)codes->longest * query->length < (double)FLT_MAX / 4;
}

/* Scores what may still be among the best. */
static void settle(struct search_scanner *scanner, const struct search_scan *scan, size_t first)
{
    const struct search_query *query = &scanner->query;
    size_t kept = 0;
    for (size_t i = 0; i < scanner->candidate_count; i++)
        if (!(scanner->candidates[i].high < scanner->floor))
            scanner->candidates[kept++] = scanner->candidates[i];
    for (size_t i = 0; i < kept; i++) {
        const struct candidate *candidate = &scanner->candidates[i];
        const char *ahead =
            (const char *)(scan->rows + candidate[i + 2 < kept ? 2 : 0].row * query->dimensions);
        float score = 0;
        for (size_t at = 0; at < query->dimensions * sizeof(float); at += 64)
            __builtin_prefetch(ahead + at);
        if (candidate->high < scanner->floor)
            continue;
        scanner->kernels->dots(scan->rows + candidate->row * query->dimensions, 1,
                               query->dimensions, query->floats, &score);
        push(scanner, first + candidate->row, score);
        scanner->scored++;
    }
    scanner->candidate_count = 0;
}

static void judge(struct search_scanner *scanner, const struct search_scan *scan, size_t first,
                  size_t row, double estimate, double spread)
{
    double low = estimate - spread;
    if (scanner->low_count < scanner->k || low > scanner->lows[0])
        push_low(scanner, low == low ? low : -INFINITY);
    if (scanner->candidate_count == CANDIDATES_MAX)
        settle(scanner, scan, first);
    scanner->candidates[scanner->candidate_count++] = (struct candidate){row, estimate + spread};
}

static void scan_codes(struct search_scanner *scanner, const struct search_scan *scan, size_t first)
{
    const struct search_query *query = &scanner->query;
    const struct search_codes *codes = scan->codes;
    double slack = slack_of(query, codes);
    int64_t sums[BLOCK];
    for (size_t from = 0; from < scan->row_count; from += BLOCK) {
        size_t count = scan->row_count - from < BLOCK ? scan->row_count - from : BLOCK;
        uint64_t rows = wanted(scan, from, count);
        bool is_sparse = (size_t)__builtin_popcountll(rows) * 4 < count;
        if (!rows)
            continue;
        if (!is_sparse)
            scanner->kernels->code_dots(codes->codes + from * codes->stride, codes->sums + from,
                                        count, codes->stride, &query->code, sums);
        for (size_t at = 0; at < count; at++) {
            size_t row = from + at;
            if (!(rows >> at & 1))
                continue;
            if (is_sparse)
                scanner->kernels->code_dots(codes->codes + row * codes->stride, codes->sums + row,
                                            1, codes->stride, &query->code, &sums[at]);
            double estimate = (double)codes->scales[row] * query->step * (double)sums[at];
            double spread = (double)codes->errors[row] * query->reach + slack;
            if (!(estimate + spread < scanner->floor))
                judge(scanner, scan, first, row, estimate, spread);
        }
    }
    settle(scanner, scan, first);
}

/* --- codes, for several at once */

/* Scanners that look at the codes of one matrix together. */
struct together {
    struct search_scanner *scanners[SEARCH_BLOCK_QUERIES];
    struct search_scan scans[SEARCH_BLOCK_QUERIES]; /* the matrix, without what each leaves out */
    double slacks[SEARCH_BLOCK_QUERIES], margins[SEARCH_BLOCK_QUERIES];
    size_t count;
};

/* How far the look in floats may be from what it stands for. The sums of bytes stay below stride ·
 * 127 · 65,536, twice that with the bias, and are rounded four times at most; so are a row's error
 * and the query's numbers, and twice more when they are put together. */
static double margin_of(const struct search_query *query, const struct search_codes *codes)
{
    double sums = (double)codes->stride * 4 * query->step / 127;
    double rest = (query->length + query->reach) * 8 * (double)FLT_EPSILON;
    return (double)codes->longest * (sums + rest);
}

/* Far from where floats end, so that nothing above is lost below what they can tell. */
static bool is_tame(const struct search_query *query, const struct search_codes *codes)
{
    const double least = 1e-9, most = 1e9;
    return query->length > least && query->length < most && (double)codes->longest > least &&
           (double)codes->longest < most;
}

static void set_bar(const struct together *together, struct search_block *block, size_t q)
{
    double bar = together->scanners[q]->floor - together->slacks[q] - together->margins[q];
    block->bars[q] = nextafterf((float)bar, -INFINITY);
}

/* A row that may be among the best of some of them. */
static void judge_row(struct together *together, struct search_block *block, size_t first,
                      size_t row, uint32_t reached, const double *sums)
{
    const struct search_codes *codes = together->scans[0].codes;
    for (; reached; reached &= reached - 1) {
        size_t q = (size_t)__builtin_ctz(reached);
        struct search_scanner *scanner = together->scanners[q];
        const uint64_t *left_out = together->scans[q].left_out;
        if (left_out && (left_out[row / BLOCK] >> (row % BLOCK) & 1))
            continue;
        double estimate = (double)codes->scales[row] * scanner->query.step * sums[q];
        double spread = (double)codes->errors[row] * scanner->query.reach + together->slacks[q];
        if (!(estimate + spread < scanner->floor))
            judge(scanner, &together->scans[q], first, row, estimate, spread);
        set_bar(together, block, q);
    }
}

static bool is_any_wanted(const struct together *together, size_t from, size_t count)
{
    for (size_t q = 0; q < together->count; q++)
        if (wanted(&together->scans[q], from, count))
            return true;
    return false;
}

static void scan_together(struct together *together, struct search_block *block, size_t first)
{
    const struct search_scan *scan = &together->scans[0];
    const struct search_codes *codes = scan->codes;
    double sums[SEARCH_BLOCK_ROWS * SEARCH_BLOCK_QUERIES];
    uint32_t reached[SEARCH_BLOCK_ROWS];
    for (size_t q = 0; q < together->count; q++) {
        together->slacks[q] = slack_of(&together->scanners[q]->query, codes);
        together->margins[q] = margin_of(&together->scanners[q]->query, codes);
        set_bar(together, block, q);
    }
    for (size_t from = 0; from < scan->row_count; from += BLOCK) {
        size_t count = scan->row_count - from < BLOCK ? scan->row_count - from : BLOCK;
        const struct search_block_rows rows = {.count = count,
                                               .stride = codes->stride,
                                               .codes = codes->codes + from * codes->stride,
                                               .sums = codes->sums + from,
                                               .scales = codes->scales + from,
                                               .errors = codes->errors + from};
        if (!is_any_wanted(together, from, count))
            continue;
        together->scanners[0]->kernels->block(block, &rows, sums, reached);
        for (size_t at = 0; at < count; at++)
            if (reached[at])
                judge_row(together, block, first, from + at, reached[at],
                          sums + at * SEARCH_BLOCK_QUERIES);
    }
    for (size_t q = 0; q < together->count; q++)
        settle(together->scanners[q], &together->scans[q], first);
}

/* Alone, or without memory for more, each looks by itself. */
static void finish_together(struct together *together, size_t first)
{
    const struct search_query *queries[SEARCH_BLOCK_QUERIES];
    struct search_block *block = NULL;
    for (size_t q = 0; q < together->count; q++)
        queries[q] = &together->scanners[q]->query;
    if (together->count > 1)
        block = search_block_new(queries, together->count);
    if (block)
        scan_together(together, block, first);
    for (size_t q = 0; q < together->count && !block; q++)
        scan_codes(together->scanners[q], &together->scans[q], first);
    search_block_free(block);
    together->count = 0;
}

/* --- its life */

struct search_scanner *search_scanner_new(const float *query, size_t dimensions, size_t k)
{
    struct search_scanner *scanner = calloc(1, sizeof *scanner);
    if (!scanner)
        return NULL;
    scanner->k = k;
    scanner->floor = -INFINITY;
    scanner->kernels = search_kernels_best();
    scanner->hits = calloc(k + 1, sizeof *scanner->hits);
    scanner->lows = calloc(k + 1, sizeof *scanner->lows);
    if (!scanner->hits || !scanner->lows ||
        !search_query_init(&scanner->query, query, dimensions)) {
        search_scanner_free(scanner);
        return NULL;
    }
    return scanner;
}

void search_scanner_free(struct search_scanner *scanner)
{
    if (!scanner)
        return;
    search_query_release(&scanner->query);
    free(scanner->hits);
    free(scanner->lows);
    free(scanner);
}

void search_scanner_use(struct search_scanner *scanner, const struct search_kernels *kernels)
{
    scanner->kernels = kernels;
}

static bool reads_codes(const struct search_scanner *scanner, const struct search_scan *scan)
{
    return scan->codes && scan->row_count / ROWS_PER_WANTED >= scanner->k &&
           is_bounded(&scanner->query, scan->codes);
}

void search_scanner_add(struct search_scanner *scanner, const struct search_scan *scan,
                        size_t first)
{
    if (!scanner->k)
        return;
    if (reads_codes(scanner, scan))
        scan_codes(scanner, scan, first);
    else
        scan_floats(scanner, scan, first);
}

/* Where most rows are left out, the rest is looked at one by one: there is little to share. */
static bool is_sparse(const struct search_scan *scan)
{
    size_t rows = 0, words = scan->row_count / BLOCK;
    for (size_t word = 0; word < words && scan->left_out; word++)
        rows += (size_t)__builtin_popcountll(~scan->left_out[word]);
    return scan->left_out && rows * SPARSE_SHARE < words * BLOCK;
}

void search_scanners_add(struct search_scanner *const *scanners, const uint64_t *const *left_out,
                         size_t count, const struct search_scan *scan, size_t first)
{
    struct together together = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        struct search_scan own = *scan;
        own.left_out = left_out[i];
        if (!scanners[i]->k || !reads_codes(scanners[i], &own) ||
            !is_tame(&scanners[i]->query, scan->codes) || is_sparse(&own)) {
            search_scanner_add(scanners[i], &own, first);
            continue;
        }
        together.scanners[together.count] = scanners[i];
        together.scans[together.count++] = own;
        if (together.count == SEARCH_BLOCK_QUERIES)
            finish_together(&together, first);
    }
    finish_together(&together, first);
}

static int compare_hits(const void *a, const void *b)
{
    return is_worse(a, b) ? 1 : -1;
}

size_t search_scanner_finish(struct search_scanner *scanner, const struct search_scan_hit **ret)
{
    qsort(scanner->hits, scanner->hit_count, sizeof *scanner->hits, compare_hits);
    *ret = scanner->hits;
    return scanner->hit_count;
}

size_t search_scanner_scored(const struct search_scanner *scanner)
{
    return scanner->scored;
}
