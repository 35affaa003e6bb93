/* Sets of rows for the benchmarks of exact searches. */
#include "exact.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#define CLUSTERS 1000

static uint64_t seed = 42;

static double uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / (double)(UINT64_C(1) << 53);
}

static float gaussian(void)
{
    return (float)(sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform()));
}

static void to_unit(float *row)
{
    double square = 0;
    for (size_t i = 0; i < EXACT_DIMENSIONS; i++)
        square += (double)row[i] * (double)row[i];
    for (size_t i = 0; i < EXACT_DIMENSIONS && square > 0; i++)
        row[i] = (float)((double)row[i] / sqrt(square));
}

float *exact_room(size_t rows)
{
    float *memory = aligned_alloc(64, rows * EXACT_DIMENSIONS * sizeof(float));
    if (!memory)
        bench_die("there is no memory for %zu rows", rows);
    return memory;
}

/* Rows about centres; without a spread of the centres, Gaussian. Noise is drawn from a table: each
 * row takes another stretch of it. */
static void make_points(struct exact_set *set, float spread)
{
    enum { NOISE = 1 << 20 };
    float *noise = malloc(NOISE * sizeof *noise), *centres = exact_room(CLUSTERS);
    for (size_t i = 0; i < NOISE; i++)
        noise[i] = gaussian();
    for (size_t i = 0; i < CLUSTERS * EXACT_DIMENSIONS; i++)
        centres[i] = gaussian() * spread;
    for (size_t row = 0; row < EXACT_ROWS + EXACT_QUERIES; row++) {
        float *to = row < EXACT_ROWS ? set->rows + row * EXACT_DIMENSIONS
                                     : set->queries + (row - EXACT_ROWS) * EXACT_DIMENSIONS;
        const float *centre = centres + (size_t)(uniform() * CLUSTERS) * EXACT_DIMENSIONS;
        const float *from = noise + (size_t)(uniform() * (NOISE - 2 * EXACT_DIMENSIONS));
        for (size_t i = 0; i < EXACT_DIMENSIONS; i++)
            to[i] = centre[i] + from[i] + noise[(size_t)(i * 2731 + row * 17) % NOISE] * 0.3F;
        to_unit(to);
    }
    free(noise);
    free(centres);
}

/* Texts of words whose frequencies fall as their ranks do. */
static struct lh_str make_text(char *text, size_t size)
{
    static const char *const ends[] = {"tion", "er", "ing", "lib", "ity", "ode", "um", "ax"};
    size_t at = 0;
    for (int word = 0; word < 9; word++) {
        unsigned rank = (unsigned)exp(uniform() * log(30000.0));
        at += (size_t)snprintf(text + at, size - at, "%s%c%c%c%s", word ? " " : "",
                               (int)('a' + rank % 26), (int)('a' + rank / 26 % 26),
                               (int)('a' + rank / 676 % 26), ends[rank % 8]);
    }
    return (struct lh_str){text, at};
}

static void make_texts(struct exact_set *set)
{
    struct lexical_fit *fit = NULL;
    struct lexical *lexical = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf bytes;
    char text[256];
    if (lexical_fit_new(&fit, &err))
        bench_die("%s", err.message);
    for (int i = 0; i < 20000; i++)
        if (lexical_fit_add(fit, make_text(text, sizeof text), &err))
            bench_die("%s", err.message);
    lh_buf_init(&bytes, (size_t)16 << 20);
    lexical_fit_finish(fit, &bytes);
    lexical_fit_free(fit);
    if (lexical_load(lh_buf_str(&bytes), &lexical, &err))
        bench_die("%s", err.message);
    for (size_t row = 0; row < EXACT_ROWS + EXACT_QUERIES; row++) {
        struct lh_str one = make_text(text, sizeof text);
        float *to = row < EXACT_ROWS ? set->rows + row * EXACT_DIMENSIONS
                                     : set->queries + (row - EXACT_ROWS) * EXACT_DIMENSIONS;
        if (lexical_embed(lexical, &one, 1, to, &err))
            bench_die("%s", err.message);
    }
    lexical_free(lexical);
    lh_buf_release(&bytes);
}

void exact_make(struct exact_set *set, enum exact_kind kind)
{
    static const char *const names[] = {"clusters", "Gaussian", "texts"};
    set->name = names[kind];
    if (!set->rows) {
        set->rows = exact_room(EXACT_ROWS);
        set->queries = exact_room(EXACT_QUERIES);
    }
    if (kind == EXACT_TEXTS)
        make_texts(set);
    else
        make_points(set, kind == EXACT_GAUSSIAN ? 0 : 2);
    search_codes_free(set->codes);
    set->codes = search_codes_new(set->rows, EXACT_ROWS, EXACT_DIMENSIONS);
    if (!set->codes)
        bench_die("there is no memory for codes");
}

void exact_release(struct exact_set *set)
{
    search_codes_free(set->codes);
    free(set->rows);
    free(set->queries);
}
