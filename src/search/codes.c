/* Rows and queries as whole numbers. */
#include "search/codes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MAX 127
#define QUERY_CODE_MAX 32767
/* Adding and taking it away rounds a small float to the nearest whole number, many at a time. */
#define ROUNDER 12582912.0F /* 1.5 · 2²³ */
/* Sums of squares in doubles, their root and the float that keeps it are off by less. */
#define ROUND_UP 1.000001

static size_t stride_of(size_t dimensions)
{
    return (dimensions + SEARCH_CODE_ALIGNMENT - 1) / SEARCH_CODE_ALIGNMENT * SEARCH_CODE_ALIGNMENT;
}

bool search_codes_pay(size_t dimensions)
{
    return dimensions && dimensions <= SEARCH_CODE_DIMENSIONS_MAX &&
           stride_of(dimensions) * 2 <= dimensions * sizeof(float);
}

size_t search_codes_bytes(size_t row_count, size_t dimensions)
{
    return row_count * (stride_of(dimensions) + 2 * sizeof(float) + sizeof(int32_t));
}

/* The largest magnitude: as whole numbers, floats without sign are in the same order. */
static float largest(const float *row, size_t count)
{
    uint32_t most = 0;
    float ret;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, row + i, sizeof bits);
        bits &= 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    memcpy(&ret, &most, sizeof ret);
    return ret;
}

static double length_of(const float *row, size_t count)
{
    double lanes[8] = {0}, square = 0;
    size_t whole = count / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        for (size_t lane = 0; lane < 8; lane++)
            lanes[lane] += (double)row[i + lane] * (double)row[i + lane];
    for (size_t i = whole; i < count; i++)
        square += (double)row[i] * (double)row[i];
    for (size_t lane = 0; lane < 8; lane++)
        square += lanes[lane];
    return sqrt(square) * ROUND_UP;
}

static double error_of(const float *row, const int8_t *code, float scale, size_t count)
{
    double lanes[8] = {0}, square = 0;
    size_t whole = count / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        for (size_t lane = 0; lane < 8; lane++) {
            double rest = (double)row[i + lane] - (double)scale * code[i + lane];
            lanes[lane] += rest * rest;
        }
    for (size_t i = whole; i < count; i++) {
        double rest = (double)row[i] - (double)scale * code[i];
        square += rest * rest;
    }
    for (size_t lane = 0; lane < 8; lane++)
        square += lanes[lane];
    return sqrt(square) * ROUND_UP;
}

/* The codes of one row; those behind the dimensions stay zero. */
static int32_t write_codes(const float *row, size_t count, float per_scale, int8_t *code)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t number = (int32_t)(row[i] * per_scale + ROUNDER - ROUNDER);
        code[i] = (int8_t)number;
        sum += number;
    }
    return sum;
}

static void encode_row(struct search_codes *codes, size_t at, const float *row, size_t dimensions)
{
    float most = largest(row, dimensions), scale = most / CODE_MAX;
    int8_t *code = codes->codes + at * codes->stride;
    codes->sums[at] = 0;
    codes->scales[at] = 0;
    if (!isfinite(most)) {
        codes->errors[at] = INFINITY;
        return;
    }
    double length = length_of(row, dimensions);
    float longest = (float)(length * ROUND_UP);
    codes->longest = longest > codes->longest ? longest : codes->longest;
    /* Too small to be divided by: then all of the row is error. */
    if (scale < FLT_MIN * 1024) {
        codes->errors[at] = (float)(length * ROUND_UP) + FLT_TRUE_MIN;
        return;
    }
    codes->scales[at] = scale;
    codes->sums[at] = write_codes(row, dimensions, CODE_MAX / most, code);
    codes->errors[at] = (float)(error_of(row, code, scale, dimensions) * ROUND_UP) + FLT_TRUE_MIN;
}

static void *aligned(size_t bytes)
{
    size_t rounded = (bytes + SEARCH_CODE_ALIGNMENT) / SEARCH_CODE_ALIGNMENT;
    void *memory = aligned_alloc(SEARCH_CODE_ALIGNMENT, rounded * SEARCH_CODE_ALIGNMENT);
    return memory ? memset(memory, 0, bytes) : NULL;
}

struct search_codes *search_codes_new(const float *rows, size_t row_count, size_t dimensions)
{
    struct search_codes *codes = calloc(1, sizeof *codes);
    if (!codes)
        return NULL;
    codes->row_count = row_count;
    codes->stride = stride_of(dimensions);
    codes->codes = aligned(row_count * codes->stride);
    codes->scales = aligned(row_count * sizeof *codes->scales);
    codes->errors = aligned(row_count * sizeof *codes->errors);
    codes->sums = aligned(row_count * sizeof *codes->sums);
    if (!codes->codes || !codes->scales || !codes->errors || !codes->sums) {
        search_codes_free(codes);
        return NULL;
    }
    for (size_t row = 0; row < row_count; row++)
        encode_row(codes, row, rows + row * dimensions, dimensions);
    return codes;
}

void search_codes_free(struct search_codes *codes)
{
    if (!codes)
        return;
    free(codes->codes);
    free(codes->scales);
    free(codes->errors);
    free(codes->sums);
    free(codes);
}

/* --- the query */

bool search_query_init(struct search_query *query, const float *floats, size_t dimensions)
{
    size_t stride = stride_of(dimensions);
    int16_t *values = aligned(stride * 4);
    double square = 0;
    *query = (struct search_query){.floats = floats, .dimensions = dimensions, .memory = values};
    if (!values)
        return false;
    uint8_t *high = (uint8_t *)(values + stride), *low = high + stride;
    float most = largest(floats, dimensions);
    query->length = length_of(floats, dimensions);
    query->step = isfinite(most) ? (double)most / QUERY_CODE_MAX : 0;
    for (size_t i = 0; i < stride; i++) {
        double value = i < dimensions ? (double)floats[i] : 0;
        int32_t number = query->step > 0 ? (int32_t)lrint(value / query->step) : 0;
        double rest = value - query->step * number;
        values[i] = (int16_t)number;
        high[i] = (uint8_t)((uint32_t)(number + SEARCH_BIAS) >> 8);
        low[i] = (uint8_t)((uint32_t)(number + SEARCH_BIAS) & 255);
        square += rest * rest;
    }
    query->code = (struct search_query_code){values, high, low};
    query->blur = sqrt(square) * ROUND_UP;
    query->reach = query->length + query->blur;
    return true;
}

void search_query_release(struct search_query *query)
{
    free(query->memory);
}

/* --- several queries */

static void lay_tiles(const struct search_query *const *queries, size_t count, size_t stride,
                      size_t tile_count, uint8_t *tiles)
{
    for (size_t q = 0; q < count; q++)
        for (size_t i = 0; i < stride; i++) {
            size_t chunk = i / SEARCH_CODE_ALIGNMENT, four = i % SEARCH_CODE_ALIGNMENT / 4;
            size_t pair = chunk * tile_count + q / SEARCH_TILE_QUERIES;
            uint8_t *to = tiles + pair * 2 * SEARCH_TILE_BYTES + four * SEARCH_CODE_ALIGNMENT +
                          q % SEARCH_TILE_QUERIES * 4 + i % 4;
            to[0] = queries[q]->code.high[i];
            to[SEARCH_TILE_BYTES] = queries[q]->code.low[i];
        }
}

struct search_block *search_block_new(const struct search_query *const *queries, size_t count)
{
    struct search_block *block = aligned(sizeof *block);
    size_t stride = stride_of(queries[0]->dimensions);
    size_t tile_count = (count + SEARCH_TILE_QUERIES - 1) / SEARCH_TILE_QUERIES;
    uint8_t *tiles = aligned(stride / SEARCH_CODE_ALIGNMENT * tile_count * 2 * SEARCH_TILE_BYTES);
    if (!block || !tiles) {
        free(block);
        free(tiles);
        return NULL;
    }
    lay_tiles(queries, count, stride, tile_count, tiles);
    block->count = count;
    block->tile_count = tile_count;
    block->tiles = tiles;
    for (size_t q = 0; q < count; q++) {
        block->float_steps[q] = (float)queries[q]->step;
        block->float_reaches[q] = (float)queries[q]->reach;
        block->codes[q] = &queries[q]->code;
    }
    return block;
}

void search_block_free(struct search_block *block)
{
    if (block)
        free((void *)(uintptr_t)block->tiles);
    free(block);
}
