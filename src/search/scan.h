/* The nearest rows of matrices by dot product, found by looking at all of them.
 *
 *   search_scanner_new ─▶ search_scanner_add, one matrix after the other ─▶ search_scanner_finish
 *
 * Where a matrix comes with codes, they are read in its place: a quarter of the bytes. They bound
 * each row's score from both sides; a row whose upper bound reaches the k-th best so far is scored
 * in floats. What is found is the same, to the last bit, as without codes, and the same on every
 * processor (distance.h).
 *
 * Several scanners may look at a matrix together: its codes are then read once for all of them, and
 * multiplied by rows and queries at once. Each finds what it would have found alone.
 *
 * A scanner belongs to one thread. No locks, no blocking.
 */
#ifndef LAKEHOUSE_SEARCH_SCAN_H
#define LAKEHOUSE_SEARCH_SCAN_H

#include "search/codes.h"

struct search_scan {
    const float *rows; /* row after row */
    size_t row_count;
    const uint64_t *left_out;         /* bit per row; NULL: none is */
    const struct search_codes *codes; /* of these rows; NULL: there are none */
};
struct search_scan_hit {
    size_t row;
    float score; /* what is no number counts as minus infinity */
};

struct search_scanner; /* made by search_scanner_new, ended by search_scanner_free */

/* For the best k. `query` is borrowed. NULL: there is no memory. */
struct search_scanner *search_scanner_new(const float *query, size_t dimensions, size_t k);
void search_scanner_free(struct search_scanner *scanner); /* NULL is fine */
/* Other kernels than the best ones. */
void search_scanner_use(struct search_scanner *scanner, const struct search_kernels *kernels);
/* Its rows are told as `first` and on; each matrix begins above the rows of those before it. */
void search_scanner_add(struct search_scanner *scanner, const struct search_scan *scan,
                        size_t first);
/* The same for several scanners of the same dimensions, each of which leaves out its own rows:
 * `left_out` has one entry for each, in place of the scan's. */
void search_scanners_add(struct search_scanner *const *scanners, const uint64_t *const *left_out,
                         size_t count, const struct search_scan *scan, size_t first);
/* Best first, equal scores by row; at most k. Borrowed from the scanner. */
size_t search_scanner_finish(struct search_scanner *scanner, const struct search_scan_hit **ret);
/* Rows that were read as floats. */
size_t search_scanner_scored(const struct search_scanner *scanner);

#endif
