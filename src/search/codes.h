/* Rows of floats as whole numbers of 8 bits, and how far that is from the truth.
 *
 * A row r is scale · c + e: c are its codes, |e| its error (Euclid's length, rounded up). A query q
 * is step · u + f, u of 16 bits. Then
 *
 *   |r · q − scale · step · (c · u)| ≤ |e| · (|q| + |f|) + |r| · |f|        (Cauchy, Schwarz)
 *
 * and c · u is an exact sum of whole numbers. So a scan of a quarter of the bytes tells which rows
 * can be among the best at all: those alone are looked at in floats (scan.h).
 *
 * Codes are derived from the rows, in memory only, and immutable once made. No locks, no blocking.
 */
#ifndef LAKEHOUSE_SEARCH_CODES_H
#define LAKEHOUSE_SEARCH_CODES_H

#include "search/distance.h"

struct search_codes {
    size_t row_count;
    size_t stride; /* bytes from row to row; 64-byte aligned */
    float longest; /* at least the length of every finite row */
    int8_t *codes;
    float *scales;
    float *errors; /* infinite for a row that is not finite */
    int32_t *sums; /* of a row's codes */
};

/* Whether codes of vectors this long are worth their bytes. */
bool search_codes_pay(size_t dimensions);
/* NULL: there is no memory. */
struct search_codes *search_codes_new(const float *rows, size_t row_count, size_t dimensions);
void search_codes_free(struct search_codes *codes); /* NULL is fine */
size_t search_codes_bytes(size_t row_count, size_t dimensions);

/* A query made ready for several scans. */
struct search_query {
    const float *floats; /* borrowed */
    size_t dimensions;
    struct search_query_code code;
    double step;
    double reach;  /* |q| + |f| */
    double blur;   /* |f| */
    double length; /* |q| */
    void *memory;
};
/* False: there is no memory. */
bool search_query_init(struct search_query *query, const float *floats, size_t dimensions);
void search_query_release(struct search_query *query);

/* Up to SEARCH_BLOCK_QUERIES queries of the same dimensions made ready to be asked together; they
 * are borrowed. The bars are the caller's to set. NULL: there is no memory. */
struct search_block *search_block_new(const struct search_query *const *queries, size_t count);
void search_block_free(struct search_block *block); /* NULL is fine */

#endif
