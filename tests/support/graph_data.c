#include "support/graph_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/file.h"

#define QUERIES ((size_t)40)

static uint64_t state_of_random = 11;

uint64_t graph_data_bits(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return state_of_random * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}

static float gaussian(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(graph_data_bits() % 65536) / 65536;
    return (float)(sum - 6);
}

static void to_unit(float *row, size_t width)
{
    double square = 0;
    for (size_t i = 0; i < width; i++)
        square += (double)row[i] * (double)row[i];
    for (size_t i = 0; i < width && square > 0; i++)
        row[i] = (float)((double)row[i] / sqrt(square));
}

struct graph_data graph_data_make(enum graph_data_kind kind, size_t count, size_t dimensions,
                                  bool is_unit)
{
    enum { CENTRES = 30 };
    struct graph_data data = {.count = count, .dimensions = dimensions, .query_count = QUERIES};
    size_t all = count + QUERIES;
    float *centres = malloc(CENTRES * dimensions * sizeof *centres);
    data.rows = malloc(all * dimensions * sizeof *data.rows);
    data.queries = data.rows + count * dimensions;
    data.is_unit = is_unit;
    assert_true(centres && data.rows);
    for (size_t i = 0; i < CENTRES * dimensions; i++)
        centres[i] = gaussian();
    for (size_t at = 0; at < all; at++) {
        float *row = data.rows + at * dimensions;
        const float *centre = centres + graph_data_bits() % CENTRES * dimensions;
        for (size_t i = 0; i < dimensions; i++) {
            row[i] = gaussian();
            if (kind == GRAPH_DATA_CLUSTERS)
                row[i] = row[i] * 0.4F + centre[i];
            if (kind == GRAPH_DATA_SKEWED)
                row[i] *= (float)exp(-(double)i * 8 / (double)dimensions);
        }
        if (is_unit)
            to_unit(row, dimensions);
        if (kind == GRAPH_DATA_EQUAL && at > 4 && at < count && at % 2)
            memcpy(row, data.rows + at % 3 * 2 * dimensions, dimensions * sizeof *row);
    }
    free(centres);
    return data;
}

void graph_data_release(struct graph_data *data)
{
    free(data->rows);
}

static int compare(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return *x > *y ? -1 : *x < *y;
}

float graph_data_kth(const struct graph_data *data, const float *query, size_t k)
{
    float *scores = malloc(data->count * sizeof *scores), ret;
    assert_non_null(scores);
    for (size_t at = 0; at < data->count; at++) {
        const float *row = data->rows + at * data->dimensions;
        double sum = 0;
        for (size_t i = 0; i < data->dimensions; i++) {
            double difference = (double)row[i] - (double)query[i];
            sum += data->is_dot ? (double)row[i] * (double)query[i] : -difference * difference;
        }
        scores[at] = (float)sum;
    }
    qsort(scores, data->count, sizeof *scores, compare);
    ret = scores[k - 1];
    free(scores);
    return ret;
}

struct graph *graph_data_build_with(struct graph_data *data, const struct graph_options *options,
                                    unsigned threads)
{
    struct graph *graph = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct graph_work work = {.threads = threads};
    size_t first = 1;
    data->is_dot = options->metric != GRAPH_L2;
    if (graph_new(options, &graph, &err) ||
        graph_insert(graph, data->rows, data->count, &work, &first, &err))
        fail_msg("%s", err.message);
    assert_int_equal(first, 0);
    return graph;
}

struct graph *graph_data_build(struct graph_data *data, enum graph_metric metric, unsigned bits,
                               unsigned threads)
{
    struct graph_options options = {.dimensions = data->dimensions,
                                    .metric = metric,
                                    .bits = bits,
                                    .build_width = 100,
                                    .seed = 3};
    return graph_data_build_with(data, &options, threads);
}

static int nameless(void)
{
    struct lh_error err = LH_ERROR_NONE;
    int fd = -1;
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    if (lh_file_nameless(lh_str_of(folder), &fd, &err))
        fail_msg("%s", err.message);
    return fd;
}

struct graph_data_bytes graph_data_write(struct graph *graph)
{
    struct graph_data_bytes ret = {0};
    struct lh_error err = LH_ERROR_NONE;
    struct lh_file_info info;
    int fd = nameless();
    if (graph_write(graph, fd, NULL, &err))
        fail_msg("%s", err.message);
    assert_int_equal(lh_file_info_of(fd, &info, &err), LH_OK);
    ret.bytes = malloc((size_t)info.bytes);
    assert_non_null(ret.bytes);
    assert_int_equal(lh_file_read_at(fd, ret.bytes, (size_t)info.bytes, 0, &ret.count, &err),
                     LH_OK);
    lh_file_abandon(fd);
    return ret;
}

enum lh_code graph_data_open(const struct graph_data_bytes *bytes, struct graph **ret,
                             struct lh_error *err)
{
    int fd = nameless();
    assert_int_equal(lh_file_write(fd, bytes->bytes, bytes->count, err), LH_OK);
    enum lh_code code = graph_open(fd, ret, err);
    lh_file_abandon(fd);
    return code;
}
