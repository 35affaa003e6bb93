/* Prints, for every set of kernels that runs here, a sum over the bits of what it finds: the same
 * numbers are asked of every processor. Compiled and run by kernels.test.mjs. */
#include <stdio.h>
#include <stdlib.h>

#include "search/scan.h"

#define ROWS 1500
#define K 12

static uint64_t state = 99;

static float number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (float)(state >> 40) / (float)(1 << 23) - 1;
}

static uint64_t add(uint64_t sum, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001B3);
    return sum;
}

static uint64_t look(const struct search_kernels *kernels, const float *rows, const float *query,
                     size_t width, bool with_codes, uint64_t sum)
{
    const struct search_scan_hit *hits = NULL;
    struct search_codes *codes = with_codes ? search_codes_new(rows, ROWS, width) : NULL;
    struct search_scanner *scanner = search_scanner_new(query, width, K);
    if (!scanner)
        exit(2);
    search_scanner_use(scanner, kernels);
    search_scanner_add(scanner, &(struct search_scan){rows, ROWS, NULL, codes}, 0);
    size_t count = search_scanner_finish(scanner, &hits);
    for (size_t i = 0; i < count; i++) {
        uint32_t row = (uint32_t)hits[i].row;
        sum = add(sum, &row, sizeof row);
        sum = add(sum, &hits[i].score, sizeof hits[i].score);
    }
    search_scanner_free(scanner);
    search_codes_free(codes);
    return sum;
}

static uint64_t scores(const struct search_kernels *kernels, const float *rows, const float *query,
                       size_t width, uint64_t sum)
{
    static float all[ROWS];
    kernels->dots(rows, ROWS, width, query, all);
    return add(sum, all, sizeof all);
}

int main(void)
{
    static const size_t widths[] = {1, 15, 16, 47, 64, 130, 384, 1030};
    for (size_t at = 0; search_kernels_at(at); at++) {
        uint64_t sum = UINT64_C(0xCBF29CE484222325);
        state = 99;
        for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
            size_t width = widths[i];
            float *rows = calloc(ROWS * width, sizeof *rows), *query = calloc(width, sizeof *query);
            for (size_t k = 0; rows && k < ROWS * width; k++)
                rows[k] = number();
            for (size_t k = 0; query && k < width; k++)
                query[k] = number();
            sum = scores(search_kernels_at(at), rows, query, width, sum);
            sum = look(search_kernels_at(at), rows, query, width, false, sum);
            sum = look(search_kernels_at(at), rows, query, width, width >= 64, sum);
            free(rows);
            free(query);
        }
        printf("%s %016llx\n", search_kernels_at(at)->name, (unsigned long long)sum);
    }
    return 0;
}
