#include "vectors.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/scan.h"
#include "support.h"

#define D VECTORS_DIMENSIONS
#define CLUSTERS 500
#define TERM_MAX 32
#define TERMS_MAX (1 << 21) /* slots of the table */
#define RECORDS_MAX ((size_t)200000)
#define RECORD_TERMS_MAX 512

static uint64_t seed;

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
    for (size_t i = 0; i < D; i++)
        square += (double)row[i] * (double)row[i];
    for (size_t i = 0; i < D && square > 0; i++)
        row[i] = (float)((double)row[i] / sqrt(square));
}

static float *room(size_t rows)
{
    float *memory = aligned_alloc(64, rows * D * sizeof(float));
    if (!memory)
        bench_die("there is no memory for %zu vectors", rows);
    return memory;
}

/* --- from the package index: TF-IDF, each term a row of random signs */

struct term {
    uint64_t hash; /* 0: free */
    uint32_t records, last;
};
struct record {
    uint32_t *terms; /* places in the table, several times where they stand several times */
    size_t count;
};
struct index {
    struct term *terms;
    struct record *records;
    size_t record_count;
};

static uint32_t term_of(struct index *index, const char *text, size_t length)
{
    uint64_t hash = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(1099511628211);
    hash |= 1;
    uint32_t at = (uint32_t)(hash >> 20) % TERMS_MAX;
    while (index->terms[at].hash && index->terms[at].hash != hash)
        at = (at + 1) % TERMS_MAX;
    index->terms[at].hash = hash;
    return at;
}

static void read_line(struct index *index, const char *line)
{
    struct record *record = index->records + index->record_count;
    char word[TERM_MAX];
    size_t length = 0;
    for (;; line++) {
        if (isalnum((unsigned char)*line)) {
            if (length < TERM_MAX)
                word[length++] = (char)tolower((unsigned char)*line);
            continue;
        }
        if (length > 1 && record->count < RECORD_TERMS_MAX)
            record->terms[record->count++] = term_of(index, word, length);
        length = 0;
        if (!*line)
            return;
    }
}

static void end_record(struct index *index)
{
    struct record *record = index->records + index->record_count;
    if (!record->count || index->record_count + 1 == RECORDS_MAX)
        return;
    index->record_count++;
    for (size_t i = 0; i < record->count; i++) {
        struct term *term = index->terms + record->terms[i];
        if (term->last != index->record_count)
            term->records++;
        term->last = (uint32_t)index->record_count;
    }
    index->records[index->record_count].terms = malloc(RECORD_TERMS_MAX * sizeof(uint32_t));
}

static void read_index(struct index *index)
{
    char *line = NULL;
    size_t size = 0;
    bool is_text = false;
    FILE *from = popen("apt-cache dumpavail", "r");
    index->terms = calloc(TERMS_MAX, sizeof *index->terms);
    index->records = calloc(RECORDS_MAX + 1, sizeof *index->records);
    index->records[0].terms = malloc(RECORD_TERMS_MAX * sizeof(uint32_t));
    while (from && getline(&line, &size, from) > 0) {
        if (line[0] == '\n')
            end_record(index);
        is_text = line[0] == ' ' ? is_text
                                 : !strncmp(line, "Package:", 8) || !strncmp(line, "Section:", 8) ||
                                       !strncmp(line, "Description", 11);
        if (is_text)
            read_line(index, line[0] == ' ' ? line : strchr(line, ':') + 1);
    }
    free(line);
    if (!from || pclose(from) || index->record_count < VECTORS_QUERIES * 2)
        bench_die("apt-cache dumpavail gives %zu packages", index->record_count);
}

static int compare_terms(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void embed(const struct index *index, struct record *record, float *row)
{
    memset(row, 0, D * sizeof *row);
    qsort(record->terms, record->count, sizeof *record->terms, compare_terms);
    for (size_t i = 0, next; i < record->count; i = next) {
        const struct term *term = index->terms + record->terms[i];
        for (next = i; next < record->count && record->terms[next] == record->terms[i];)
            next++;
        float weight = (float)((1 + log((double)(next - i))) *
                               log((double)index->record_count / term->records));
        for (size_t at = 0; at < D; at += 64) {
            uint64_t signs = term->hash * UINT64_C(0x9E3779B97F4A7C15) + at;
            signs = (signs ^ signs >> 31) * UINT64_C(0xD6E8FEB86659FD93);
            signs ^= signs >> 32;
            for (size_t bit = 0; bit < 64; bit++)
                row[at + bit] += signs >> bit & 1 ? weight : -weight;
        }
    }
    to_unit(row);
}

static void make_texts(struct vectors *set, size_t rows_max)
{
    struct index index = {0};
    read_index(&index);
    size_t rows = index.record_count - VECTORS_QUERIES, step = index.record_count / VECTORS_QUERIES;
    set->count = rows < rows_max ? rows : rows_max;
    set->rows = room(rows);
    size_t row = 0, query = 0;
    for (size_t i = 0; i < index.record_count; i++) {
        bool is_query = i % step == step / 2 && query < VECTORS_QUERIES;
        if (is_query)
            embed(&index, index.records + i, set->queries + query++ * D);
        else if (row < rows)
            embed(&index, index.records + i, set->rows + row++ * D);
    }
    /* Neighbours in the list are alike: what is left out is left out evenly. */
    for (size_t i = 0; i < set->count && set->count < rows; i++)
        memmove(set->rows + i * D, set->rows + i * rows / set->count * D, D * sizeof(float));
    for (size_t i = 0; i <= index.record_count; i++)
        free(index.records[i].terms);
    free(index.records);
    free(index.terms);
}

/* --- from a seed */

static void make_points(struct vectors *set, enum vectors_kind kind, size_t rows)
{
    float *centres = room(CLUSTERS);
    seed = 42;
    set->count = rows;
    set->rows = room(rows);
    for (size_t i = 0; i < CLUSTERS * D; i++)
        centres[i] = gaussian();
    for (size_t at = 0; at < rows + VECTORS_QUERIES; at++) {
        float *to = at < rows ? set->rows + at * D : set->queries + (at - rows) * D;
        const float *centre = centres + (size_t)(uniform() * CLUSTERS) * D;
        for (size_t i = 0; i < D; i++) {
            to[i] = gaussian();
            if (kind == VECTORS_CLUSTERS)
                to[i] = to[i] * 0.5F + centre[i];
            if (kind == VECTORS_SKEWED) /* few dimensions carry most of the variance */
                to[i] *= (float)exp(-(double)i / 60);
        }
        to_unit(to);
    }
    free(centres);
}

/* --- the truth */

struct part {
    const struct vectors *set;
    size_t from, to;
};

static void *find_truth(void *context)
{
    const struct part *part = context;
    const struct vectors *set = part->set;
    struct search_codes *codes = search_codes_new(set->rows, set->count, D);
    for (size_t query = part->from; query < part->to; query++) {
        const struct search_scan_hit *hits = NULL;
        struct search_scanner *scanner = search_scanner_new(set->queries + query * D, D, VECTORS_K);
        if (!codes || !scanner)
            bench_die("there is no memory for an exact search");
        search_scanner_add(
            scanner,
            &(struct search_scan){.rows = set->rows, .row_count = set->count, .codes = codes}, 0);
        size_t count = search_scanner_finish(scanner, &hits);
        set->kth[query] = hits[count - 1].score;
        search_scanner_free(scanner);
    }
    search_codes_free(codes);
    return NULL;
}

size_t vectors_right(const struct vectors *set, size_t query, const size_t *rows, size_t count)
{
    size_t right = 0;
    double limit = 1 - (double)set->kth[query];
    for (size_t i = 0; i < count; i++) {
        float score = 0;
        search_kernels_best()->dots(set->rows + rows[i] * D, 1, D, set->queries + query * D,
                                    &score);
        right += 1 - (double)score <= limit + fabs(limit) * 1e-6;
    }
    return right;
}

void vectors_make(enum vectors_kind kind, size_t rows_max, struct vectors *ret)
{
    static const char *const names[] = {"texts", "clusters", "Gaussian", "skewed"};
    *ret = (struct vectors){.name = names[kind], .queries = room(VECTORS_QUERIES)};
    ret->kth = malloc(VECTORS_QUERIES * sizeof *ret->kth);
    if (kind == VECTORS_TEXTS)
        make_texts(ret, rows_max);
    else
        make_points(ret, kind, rows_max);
    struct part halves[2] = {{ret, 0, VECTORS_QUERIES / 2},
                             {ret, VECTORS_QUERIES / 2, VECTORS_QUERIES}};
    pthread_t other;
    if (pthread_create(&other, NULL, find_truth, halves))
        bench_die("there is no thread for the exact search");
    find_truth(halves + 1);
    pthread_join(other, NULL);
}

void vectors_release(struct vectors *vectors)
{
    free(vectors->rows);
    free(vectors->queries);
    free(vectors->kth);
}
