/* How a graph is built and asked: the four numbers that trials vary, promotions choose and every
 * rebuild uses.
 *
 *   m                links of a node: a graph's lowest level has at least 2m of them
 *   ef_construction  candidates of a new node: more makes a better graph, more slowly
 *   ef_search        nodes kept on a walk: more finds more, more slowly. Not part of the graph:
 *                    two configurations that differ in it alone share one
 *   seed             of the levels that nodes stand in
 *
 * A value without allocations; nothing here blocks.
 */
#ifndef LAKEHOUSE_SEARCH_CONFIGURATION_H
#define LAKEHOUSE_SEARCH_CONFIGURATION_H

#include "base/field.h"

struct graph_options;

#define SEARCH_EF_CONSTRUCTION_PRESET 80
#define SEARCH_EF_SEARCH_PRESET 30
#define SEARCH_SEED_PRESET 42
#define SEARCH_M_PRESET 16

/* What may be asked for in words: what the kernel takes. */
#define SEARCH_EF_CONSTRUCTION_MIN 8
#define SEARCH_EF_CONSTRUCTION_MAX 4096
#define SEARCH_EF_SEARCH_MIN 1
#define SEARCH_EF_SEARCH_MAX 65536
#define SEARCH_M_MIN 2
#define SEARCH_M_MAX 31
#define SEARCH_SEED_MAX ((INT64_C(1) << 53) - 1) /* every reader of JSON holds it exactly */

/* What a tuner proposes, and a grid may hold: past these, time is spent for nothing. */
#define SEARCH_TUNED_EF_CONSTRUCTION_MIN 10
#define SEARCH_TUNED_EF_CONSTRUCTION_MAX 400
#define SEARCH_TUNED_EF_SEARCH_MIN 10
#define SEARCH_TUNED_EF_SEARCH_MAX 200

struct search_configuration {
    int64_t ef_construction;
    int64_t ef_search;
    int64_t seed;
    int64_t m;
};
/* With presets: any may be left out. The same as arguments have another name in the documents. */
extern const struct lh_fields search_configuration_fields;
extern const struct lh_fields search_configuration_input_fields;

struct search_configuration search_configuration_preset(void);
/* LH_INVALID names the member that is out of its bounds. */
enum lh_code search_configuration_check(const struct search_configuration *configuration,
                                        struct lh_error *err) LH_MUST_USE;
/* The same within the tuner's bounds. */
enum lh_code search_configuration_check_tuned(const struct search_configuration *configuration,
                                              struct lh_error *err) LH_MUST_USE;
bool search_configuration_equal(const struct search_configuration *a,
                                const struct search_configuration *b);
/* Is a graph built by the one what the other would build? */
bool search_configuration_builds_same(const struct search_configuration *a,
                                      const struct search_configuration *b);
/* Sets what the configuration says of a graph (links, build_width, seed) and leaves the rest. The
 * configuration was checked. */
void search_configuration_to_graph(const struct search_configuration *configuration,
                                   struct graph_options *options);

#endif
