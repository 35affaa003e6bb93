#include "opponents.h"

#include <atomic>
#include <thread>
#include <vector>

#include <hnswlib/hnswlib.h>

namespace
{

struct held {
    ::hnswlib::InnerProductSpace space;
    ::hnswlib::HierarchicalNSW<float> graph;
    held(size_t dimensions, size_t rows, const opponent_config &config)
        : space(dimensions), graph(&space, rows, config.links, config.build_width, 42)
    {
    }
    held(size_t dimensions, const char *path) : space(dimensions), graph(&space, path)
    {
    }
};

void *build(const float *rows, size_t count, size_t dimensions, const opponent_config *config,
            unsigned threads)
{
    auto made = new held(dimensions, count, *config);
    std::atomic<size_t> next{0};
    std::vector<std::thread> team;
    for (unsigned i = 0; i < threads; i++)
        team.emplace_back([&] {
            for (size_t at; (at = next++) < count;)
                made->graph.addPoint(rows + at * dimensions, at);
        });
    for (auto &member : team)
        member.join();
    return made;
}

size_t search(void *from, const float *query, size_t k, size_t width, size_t *ret)
{
    auto &graph = static_cast<held *>(from)->graph;
    graph.setEf(width);
    auto found = graph.searchKnn(query, k);
    size_t count = 0;
    for (; !found.empty(); found.pop())
        ret[count++] = found.top().second;
    return count;
}

/* This release has no filter but its own marks of deletion, which it walks through. */
void allow(void *from, const uint64_t *bits)
{
    auto &graph = static_cast<held *>(from)->graph;
    for (size_t at = 0; at < graph.cur_element_count; at++) {
        bool is_allowed = !bits || bits[at / 64] >> (at % 64) & 1;
        auto number = graph.label_lookup_.at(at);
        if (is_allowed == graph.isMarkedDeleted(number))
            is_allowed ? graph.unmarkDelete(at) : graph.markDelete(at);
    }
}

size_t bytes(const void *from)
{
    const auto &graph = static_cast<const held *>(from)->graph;
    size_t sum = graph.cur_element_count * graph.size_data_per_element_;
    for (size_t i = 0; i < graph.cur_element_count; i++)
        sum += static_cast<size_t>(graph.element_levels_[i]) * graph.size_links_per_element_ +
               sizeof(char *);
    return sum;
}

} // namespace

const opponent opponent_hnswlib = {
    "hnswlib",
    "0.6.2",
    build,
    [](void *from) { delete static_cast<held *>(from); },
    search,
    allow,
    bytes,
    [](const void *from, const char *path) {
        const_cast<held *>(static_cast<const held *>(from))->graph.saveIndex(path);
    },
    [](const char *path, size_t dimensions) -> void * { return new held(dimensions, path); },
    nullptr,
};
