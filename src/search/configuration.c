/* The numbers that a graph is built and asked by. */
#include "search/configuration.h"

#include "search/graph.h"

/* In ascending order of names: it stands in manifests. */
static const struct lh_field configuration_rows[] = {
    LH_INT(struct search_configuration, ef_construction, LH_PRESET(SEARCH_EF_CONSTRUCTION_PRESET),
           .min = SEARCH_EF_CONSTRUCTION_MIN, .max = SEARCH_EF_CONSTRUCTION_MAX,
           .doc = "Candidates of a new node: more makes a better graph, more slowly."),
    LH_INT(struct search_configuration, ef_search, LH_PRESET(SEARCH_EF_SEARCH_PRESET),
           .min = SEARCH_EF_SEARCH_MIN, .max = SEARCH_EF_SEARCH_MAX,
           .doc = "Nodes kept on a search's walk: more finds more, more slowly."),
    LH_INT(struct search_configuration, m, LH_PRESET(SEARCH_M_PRESET), .min = SEARCH_M_MIN,
           .max = SEARCH_M_MAX,
           .doc = "Links of a node; the lowest level has the next of 14, 30, 46, 62 from 2m on."),
    LH_INT(struct search_configuration, seed, LH_PRESET(SEARCH_SEED_PRESET), .min = 0,
           .max = SEARCH_SEED_MAX, .doc = "Equal seeds and rows give equal graphs."),
};
const struct lh_fields search_configuration_fields =
    LH_FIELDS_OF(struct search_configuration, "GraphConfiguration", configuration_rows);

const struct lh_fields search_configuration_input_fields =
    LH_FIELDS_OF(struct search_configuration, "GraphConfigurationArgs", configuration_rows);

struct search_configuration search_configuration_preset(void)
{
    struct search_configuration configuration;
    lh_fields_preset(&search_configuration_fields, &configuration);
    return configuration;
}

static enum lh_code check_between(const char *name, int64_t value, int64_t min, int64_t max,
                                  struct lh_error *err)
{
    if (value >= min && value <= max)
        return LH_OK;
    lh_fail(err, LH_INVALID, "%s is a whole number from %lld to %lld here, not %lld.", name,
            (long long)min, (long long)max, (long long)value);
    return lh_error_field(err, lh_str_of(name));
}

static enum lh_code check_within(const struct search_configuration *configuration,
                                 const int64_t construction[2], const int64_t search[2],
                                 struct lh_error *err)
{
    enum lh_code code = check_between("ef_construction", configuration->ef_construction,
                                      construction[0], construction[1], err);
    if (!code)
        code = check_between("ef_search", configuration->ef_search, search[0], search[1], err);
    if (!code)
        code = check_between("seed", configuration->seed, 0, SEARCH_SEED_MAX, err);
    return code ? code : check_between("m", configuration->m, SEARCH_M_MIN, SEARCH_M_MAX, err);
}

enum lh_code search_configuration_check(const struct search_configuration *configuration,
                                        struct lh_error *err)
{
    return check_within(configuration,
                        (int64_t[]){SEARCH_EF_CONSTRUCTION_MIN, SEARCH_EF_CONSTRUCTION_MAX},
                        (int64_t[]){SEARCH_EF_SEARCH_MIN, SEARCH_EF_SEARCH_MAX}, err);
}

enum lh_code search_configuration_check_tuned(const struct search_configuration *configuration,
                                              struct lh_error *err)
{
    return check_within(
        configuration,
        (int64_t[]){SEARCH_TUNED_EF_CONSTRUCTION_MIN, SEARCH_TUNED_EF_CONSTRUCTION_MAX},
        (int64_t[]){SEARCH_TUNED_EF_SEARCH_MIN, SEARCH_TUNED_EF_SEARCH_MAX}, err);
}

bool search_configuration_builds_same(const struct search_configuration *a,
                                      const struct search_configuration *b)
{
    struct graph_options left = {0}, right = {0};
    search_configuration_to_graph(a, &left);
    search_configuration_to_graph(b, &right);
    return left.build_width == right.build_width && left.seed == right.seed &&
           left.links == right.links;
}

bool search_configuration_equal(const struct search_configuration *a,
                                const struct search_configuration *b)
{
    return a->ef_construction == b->ef_construction && a->ef_search == b->ef_search &&
           a->seed == b->seed && a->m == b->m;
}

void search_configuration_to_graph(const struct search_configuration *configuration,
                                   struct graph_options *options)
{
    /* A node's links fill whole cache lines beside its head: 16 words less two. */
    unsigned links = 14;
    while (links < 2 * (unsigned)configuration->m)
        links += 16;
    options->links = links;
    options->build_width = (unsigned)configuration->ef_construction;
    options->seed = (uint64_t)configuration->seed;
}
