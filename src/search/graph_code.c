/* Rows as codes: turned by a random orthogonal map, then rounded to few bits with one scale.
 *
 * The turn spreads what few dimensions carry over all of them, so that one scale fits each number
 * of a row, whatever the data. It is two rounds of: signs changed at random, numbers exchanged at
 * random, and a Walsh-Hadamard transform of blocks whose lengths are powers of two; n · log n
 * additions where a matrix would take n². It changes no length and no dot product.
 *
 * A code of 4 bits stands for odd numbers -15 … 15, one of 8 bits for -127 … 127. The step is the
 * best of a few; the scale then is the one that leaves the shortest error.
 *
 * Only additions, products and roots of floats in an order that is written here: the same bits on
 * all processors. */
#include <math.h>
#include <string.h>

#include "search/graph_internal.h"

#define ROUNDS 2

/* A number of 64 bits that looks random: each argument is mixed by multiplying and folding. */
uint64_t graph_random(uint64_t seed, uint64_t at)
{
    uint64_t bits = seed * UINT64_C(0x9E3779B97F4A7C15) + at + UINT64_C(0x632BE59BD9B4E019);
    for (int round = 0; round < 3; round++) {
        bits ^= bits >> 31;
        bits *= UINT64_C(0xD6E8FEB86659FD93);
        bits ^= bits >> 29;
    }
    return bits;
}

/* --- the turn */

/* values[0 … length − 1] by the Hadamard matrix of that length, a power of two. */
static void transform(float *values, size_t length)
{
    for (size_t half = 1; half < length; half *= 2)
        for (size_t from = 0; from < length; from += 2 * half) {
            float *a = values + from, *b = a + half;
            for (size_t i = 0; i < half; i++) {
                float sum = a[i] + b[i], difference = a[i] - b[i];
                a[i] = sum;
                b[i] = difference;
            }
        }
}

static void transform_blocks(float *values, size_t count)
{
    while (count) {
        size_t length = 1;
        while (length * 2 <= count)
            length *= 2;
        float scale = 1 / sqrtf((float)length);
        transform(values, length);
        for (size_t i = 0; i < length; i++)
            values[i] *= scale;
        values += length;
        count -= length;
    }
}

void graph_turn(const struct graph *graph, const float *row, float *ret)
{
    size_t count = graph->options.dimensions;
    const struct graph_turn_step *steps = graph->turn;
    for (size_t i = 0; i < count; i++)
        ret[i] = row[steps[i].from] * steps[i].sign;
    transform_blocks(ret, count);
    float *other = ret + graph->padded;
    steps += count;
    for (size_t i = 0; i < count; i++)
        other[i] = ret[steps[i].from] * steps[i].sign;
    transform_blocks(other, count);
    memcpy(ret, other, count * sizeof *ret);
    memset(ret + count, 0, (graph->padded - count) * sizeof *ret);
}

void graph_turn_make(const struct graph *graph, struct graph_turn_step *ret)
{
    size_t count = graph->options.dimensions;
    for (int round = 0; round < ROUNDS; round++, ret += count) {
        uint64_t seed = graph_random(graph->options.seed, (uint64_t)round + 1);
        for (size_t i = 0; i < count; i++) {
            size_t other = (size_t)(graph_random(seed, 2 * i) % (i + 1));
            ret[i].from = ret[other].from;
            ret[other].from = (uint32_t)i;
            ret[i].sign = graph_random(seed, 2 * i + 1) >> 63 ? 1.0F : -1.0F;
        }
    }
}

/* --- codes */

static float largest(const float *values, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++) {
        float value = fabsf(values[i]);
        most = value > most ? value : most;
    }
    return most;
}

/* Adding and taking it away rounds a small float to the nearest whole number. */
#define ROUNDER 12582912.0F /* 1.5 · 2²³ */

/* What a step makes of a value: odd numbers for 4 bits, all for 8. */
static inline int32_t number_of(float value, float per_step, unsigned bits)
{
    if (bits == 8) {
        float number = value * per_step + ROUNDER - ROUNDER;
        return (int32_t)(number > 127 ? 127 : number < -127 ? -127 : number);
    }
    float half = value * per_step - 0.5F; /* k + ½ becomes 2k + 1 */
    half = half > 7 ? 7 : half < -8 ? -8 : half;
    return 2 * (int32_t)(half + ROUNDER - ROUNDER) + 1;
}

/* How much of the row a step keeps: (row · code)² / |code|². Sixteen sums, added in order. */
static float kept_by(const float *turned, size_t count, float per_step, unsigned bits,
                     float *ret_product, float *ret_square)
{
    float products[16] = {0}, product = 0;
    int32_t squares[16] = {0}, square = 0;
    for (size_t from = 0; from < count; from += 16)
        for (size_t i = 0; i < 16 && from + i < count; i++) {
            int32_t number = number_of(turned[from + i], per_step, bits);
            products[i] += turned[from + i] * (float)number;
            squares[i] += number * number;
        }
    for (size_t i = 0; i < 16; i++) {
        product += products[i];
        square += squares[i];
    }
    *ret_product = product;
    *ret_square = (float)square;
    return square > 0 ? product * (product / (float)square) : 0;
}

static void write_code(const struct graph *graph, const float *turned, float per_step,
                       uint8_t *code)
{
    size_t count = graph->options.dimensions;
    memset(code, 0, graph->blocks * PACKED_BLOCK_BYTES);
    for (size_t i = 0; i < count; i++) {
        int32_t number = number_of(turned[i], per_step, graph->options.bits);
        if (graph->options.bits == 8) {
            code[i] = (uint8_t)(number + 128);
            continue;
        }
        size_t block = i / (2 * PACKED_BLOCK_BYTES), at = i % (2 * PACKED_BLOCK_BYTES);
        uint8_t half = (uint8_t)((number + 15) / 2);
        code[block * PACKED_BLOCK_BYTES + at % PACKED_BLOCK_BYTES] |=
            (uint8_t)(at < PACKED_BLOCK_BYTES ? half : half << 4);
    }
}

void graph_encode(const struct graph *graph, const float *turned, struct graph_node *node)
{
    /* In parts of the largest number: what lies beyond the last step is cut. */
    static const float parts[] = {1, 0.9F, 0.8F, 0.7F, 0.6F, 0.5F};
    size_t count = graph->options.dimensions;
    unsigned bits = graph->options.bits, part_count = bits == 8 ? 1 : 6;
    float most = largest(turned, count), best = -1, per_step = 0, product = 0, square = 0;
    uint8_t *code = (uint8_t *)node + graph->head_bytes;
    node->scale = 0;
    node->self = 0;
    if (!(most > 1e-30F)) { /* of no length that counts */
        write_code(graph, turned, 0, code);
        return;
    }
    for (unsigned i = 0; i < part_count; i++) {
        float step = (bits == 8 ? 127.0F : 7.5F) / (most * parts[i]), by, of;
        float kept = kept_by(turned, count, step, bits, &by, &of);
        if (kept > best) {
            best = kept;
            per_step = step;
            product = by;
            square = of;
        }
    }
    write_code(graph, turned, per_step, code);
    node->scale = product / square;
    node->self = node->scale * node->scale * square;
}

float graph_query_bytes(const struct graph *graph, const float *turned, int8_t *ret)
{
    float most = largest(turned, graph->options.dimensions);
    memset(ret, 0, graph->padded);
    if (!(most > 1e-30F))
        return 0;
    for (size_t i = 0; i < graph->options.dimensions; i++)
        ret[i] = (int8_t)number_of(turned[i], 127 / most, 8);
    return most / 127;
}

void graph_decode(const struct graph *graph, const struct graph_node *node, int8_t *ret)
{
    const uint8_t *code = graph_code_of(graph, node);
    for (size_t block = 0; block < graph->blocks; block++, code += PACKED_BLOCK_BYTES) {
        if (graph->options.bits == 8) {
            for (size_t i = 0; i < PACKED_BLOCK_BYTES; i++)
                ret[i] = (int8_t)(code[i] ^ 128);
            ret += PACKED_BLOCK_BYTES;
            continue;
        }
        for (size_t i = 0; i < PACKED_BLOCK_BYTES; i++)
            ret[i] = (int8_t)(2 * (code[i] & 15) - 15);
        for (size_t i = 0; i < PACKED_BLOCK_BYTES; i++)
            ret[PACKED_BLOCK_BYTES + i] = (int8_t)(2 * (code[i] >> 4) - 15);
        ret += 2 * PACKED_BLOCK_BYTES;
    }
    ret -= graph->padded;
    memset(ret + graph->options.dimensions, 0, graph->padded - graph->options.dimensions);
}
