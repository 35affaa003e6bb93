#include "search/scan.h"

#include <stdlib.h>

#define LANES 16

#define DOT_BODY                                                                                   \
    float lanes[LANES] = {0};                                                                      \
    size_t whole = count / LANES * LANES;                                                          \
    for (size_t i = 0; i < whole; i += LANES)                                                      \
        for (size_t lane = 0; lane < LANES; lane++)                                                \
            lanes[lane] += a[i + lane] * b[i + lane];                                              \
    for (size_t i = whole; i < count; i++)                                                         \
        lanes[i - whole] += a[i] * b[i];                                                           \
    for (size_t width = LANES / 2; width; width /= 2)                                              \
        for (size_t lane = 0; lane < width; lane++)                                                \
            lanes[lane] += lanes[lane + width];                                                    \
    return lanes[0];

typedef float (*dot_function)(const float *a, const float *b, size_t count);

static float dot_plain(const float *a, const float *b, size_t count)
{
    DOT_BODY
}

#if defined(__x86_64__)
/* The same sums by wider registers; without FMA, which would round differently. */
__attribute__((target("avx2"))) static float dot_avx2(const float *a, const float *b, size_t count)
{
    DOT_BODY
}
#endif

static dot_function choose_dot(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return dot_avx2;
#endif
    return dot_plain;
}

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

static int compare_hits(const void *a, const void *b)
{
    return is_worse(a, b) ? 1 : -1;
}

size_t search_scan_top(const struct search_scan *scan, const float *query, size_t k,
                       struct search_scan_hit *ret)
{
    dot_function dot = choose_dot();
    size_t count = 0;
    for (size_t row = 0; row < scan->row_count && k; row++) {
        if (scan->left_out && (scan->left_out[row / 64] >> (row % 64) & 1))
            continue;
        float score = dot(scan->rows + row * scan->dimensions, query, scan->dimensions);
        if (count < k) {
            ret[count] = (struct search_scan_hit){row, score};
            sift_up(ret, count++);
        } else if (score > ret[0].score) { /* an equal one stands behind: its row is higher */
            ret[0] = (struct search_scan_hit){row, score};
            sift_down(ret, count);
        }
    }
    qsort(ret, count, sizeof *ret, compare_hits);
    return count;
}
