#include "opponent.h"

#include <hnswlib/hnswlib.h>

struct opponent {
    ::hnswlib::InnerProductSpace space;
    ::hnswlib::HierarchicalNSW<float> graph;
    opponent(size_t dimensions, size_t rows_max, size_t links, size_t build_width)
        : space(dimensions), graph(&space, rows_max, links, build_width, 42)
    {
    }
};

struct opponent *opponent_new(size_t dimensions, size_t rows_max, size_t links, size_t build_width)
{
    return new struct opponent(dimensions, rows_max, links, build_width);
}

void opponent_free(struct opponent *index)
{
    delete index;
}

void opponent_add(struct opponent *index, const float *row, size_t number)
{
    index->graph.addPoint(row, number);
}

void opponent_set_width(struct opponent *index, size_t width)
{
    index->graph.setEf(width);
}

size_t opponent_search(struct opponent *index, const float *query, size_t k, size_t *ret)
{
    auto found = index->graph.searchKnn(query, k);
    size_t count = 0;
    for (; !found.empty(); found.pop())
        ret[count++] = found.top().second;
    return count;
}

size_t opponent_bytes(const struct opponent *index)
{
    const auto &graph = index->graph;
    size_t bytes = graph.cur_element_count * graph.size_data_per_element_;
    for (size_t i = 0; i < graph.cur_element_count; i++)
        bytes += static_cast<size_t>(graph.element_levels_[i]) * graph.size_links_per_element_ +
                 sizeof(char *);
    return bytes;
}
