#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "opponents.h"
#include "support.h"
#include "usearch.h"

#define FOUND_MAX 1024

struct index {
    usearch_index_t graph;
    const float *rows; /* codes of 8 bits are ordered by these; NULL: it has floats itself */
    size_t dimensions;
    const uint64_t *bits;
};

struct filling {
    struct index *index;
    const float *rows;
    size_t count;
    atomic_size_t next;
};

static void must(usearch_error_t error)
{
    if (error)
        bench_die("usearch: %s", error);
}

static void *fill(void *context)
{
    struct filling *filling = context;
    size_t d = filling->index->dimensions;
    for (size_t at; (at = atomic_fetch_add(&filling->next, 1)) < filling->count;) {
        usearch_error_t error = NULL;
        usearch_add(filling->index->graph, at, filling->rows + at * d, usearch_scalar_f32_k,
                    &error);
        must(error);
    }
    return NULL;
}

static void *build(const float *rows, size_t count, size_t dimensions,
                   const struct opponent_config *config, unsigned threads,
                   usearch_scalar_kind_t kind)
{
    usearch_error_t error = NULL;
    struct index *made = calloc(1, sizeof *made);
    pthread_t *team = calloc(threads, sizeof *team);
    if (!made || !team)
        bench_die("there is no memory for usearch");
    usearch_init_options_t options = {.metric_kind = usearch_metric_ip_k,
                                      .quantization = kind,
                                      .dimensions = dimensions,
                                      .connectivity = config->links,
                                      .expansion_add = config->build_width};
    made->dimensions = dimensions;
    made->rows = kind == usearch_scalar_f32_k ? NULL : rows;
    made->graph = usearch_init(&options, &error);
    must(error);
    usearch_reserve(made->graph, count, &error);
    must(error);
    usearch_change_threads_add(made->graph, threads, &error);
    must(error);
    struct filling filling = {.index = made, .rows = rows, .count = count};
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(team + i, NULL, fill, &filling))
            bench_die("there is no thread for usearch");
    fill(&filling);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(team[i], NULL);
    free(team);
    return made;
}

static void *build_f32(const float *rows, size_t count, size_t dimensions,
                       const struct opponent_config *config, unsigned threads)
{
    return build(rows, count, dimensions, config, threads, usearch_scalar_f32_k);
}

static void *build_i8(const float *rows, size_t count, size_t dimensions,
                      const struct opponent_config *config, unsigned threads)
{
    return build(rows, count, dimensions, config, threads, usearch_scalar_i8_k);
}

static void release(void *from)
{
    struct index *index = from;
    usearch_error_t error = NULL;
    usearch_free(index->graph, &error);
    free(index);
}

static int is_allowed(usearch_key_t key, void *context)
{
    const uint64_t *bits = context;
    return bits[key / 64] >> (key % 64) & 1;
}

static size_t find(struct index *index, const float *query, size_t k, size_t width,
                   usearch_key_t *keys)
{
    usearch_error_t error = NULL;
    usearch_distance_t scores[FOUND_MAX];
    usearch_change_expansion_search(index->graph, width, &error);
    must(error);
    size_t count =
        index->bits
            ? usearch_filtered_search(index->graph, query, usearch_scalar_f32_k, k, is_allowed,
                                      (void *)index->bits, keys, scores, &error)
            : usearch_search(index->graph, query, usearch_scalar_f32_k, k, keys, scores, &error);
    must(error);
    return count;
}

static float dot(const float *a, const float *b, size_t dimensions)
{
    float sums[16] = {0};
    size_t at = 0;
    for (; at + 16 <= dimensions; at += 16)
        for (size_t i = 0; i < 16; i++)
            sums[i] += a[at + i] * b[at + i];
    for (; at < dimensions; at++)
        sums[0] += a[at] * b[at];
    for (size_t i = 1; i < 16; i++)
        sums[0] += sums[i];
    return sums[0];
}

struct candidate {
    float score;
    size_t row;
};

static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

/* With codes of 8 bits: a quarter of the list, ordered by floats. */
static size_t search(void *from, const float *query, size_t k, size_t width, size_t *ret)
{
    struct index *index = from;
    struct candidate candidates[FOUND_MAX];
    usearch_key_t keys[FOUND_MAX];
    size_t wanted = index->rows && width / 4 > k ? width / 4 : k;
    size_t count = find(index, query, wanted < FOUND_MAX ? wanted : FOUND_MAX, width, keys);
    for (size_t i = 0; i < count && index->rows; i++)
        candidates[i] = (struct candidate){
            dot(index->rows + keys[i] * index->dimensions, query, index->dimensions), keys[i]};
    if (index->rows)
        qsort(candidates, count, sizeof candidates[0], compare);
    count = count < k ? count : k;
    for (size_t i = 0; i < count; i++)
        ret[i] = index->rows ? candidates[i].row : keys[i];
    return count;
}

static void allow(void *from, const uint64_t *bits)
{
    ((struct index *)from)->bits = bits;
}

static size_t bytes(const void *from)
{
    usearch_error_t error = NULL;
    return usearch_memory_usage(((const struct index *)from)->graph, &error);
}

static void save(const void *from, const char *path)
{
    usearch_error_t error = NULL;
    usearch_save(((const struct index *)from)->graph, path, &error);
    must(error);
}

static void *load_f32(const char *path, size_t dimensions)
{
    usearch_error_t error = NULL;
    struct index *made = calloc(1, sizeof *made);
    usearch_init_options_t options = {.metric_kind = usearch_metric_ip_k,
                                      .quantization = usearch_scalar_f32_k,
                                      .dimensions = dimensions};
    if (!made)
        bench_die("there is no memory for usearch");
    made->dimensions = dimensions;
    made->graph = usearch_init(&options, &error);
    must(error);
    usearch_view(made->graph, path, &error);
    must(error);
    return made;
}

const struct opponent opponent_usearch_f32 = {
    .name = "usearch f32",
    .version = BENCH_USEARCH,
    .build = build_f32,
    .free = release,
    .search = search,
    .allow = allow,
    .bytes = bytes,
    .save = save,
    .load = load_f32,
    .speed = usearch_hardware_acceleration_available,
};

const struct opponent opponent_usearch_i8 = {
    .name = "usearch i8 + floats",
    .version = BENCH_USEARCH,
    .build = build_i8,
    .free = release,
    .search = search,
    .allow = allow,
    .bytes = bytes,
    .speed = usearch_hardware_acceleration_available,
};
