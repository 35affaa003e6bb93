/* The draw of a configuration. */
#include "search/proposal.h"

#define DRAWS_MAX 100
#define ANY_PERCENT 25
#define CONSTRUCTION_STEP 20
#define SEARCH_STEP 10

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static int64_t between(uint64_t *state, int64_t min, int64_t max)
{
    return min + (int64_t)(next(state) % (uint64_t)(max - min + 1));
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static bool was_tried(const struct search_proposal *from,
                      const struct search_configuration *configuration)
{
    for (size_t i = 0; i < from->tried_count; i++)
        if (search_configuration_equal(&from->tried[i], configuration))
            return true;
    return false;
}

bool search_propose(const struct search_proposal *from, struct search_configuration *ret)
{
    uint64_t state = from->seed ^ (from->tried_count * UINT64_C(0xD1B54A32D192ED03));
    const int64_t least_build = SEARCH_TUNED_EF_CONSTRUCTION_MIN;
    const int64_t most_build = SEARCH_TUNED_EF_CONSTRUCTION_MAX;
    const int64_t least = SEARCH_TUNED_EF_SEARCH_MIN, most = SEARCH_TUNED_EF_SEARCH_MAX;
    for (int draw = 0; draw < DRAWS_MAX; draw++) {
        struct search_configuration one = from->champion;
        if (between(&state, 0, 99) < ANY_PERCENT) {
            one.ef_construction = between(&state, least_build, most_build);
            one.ef_search = between(&state, least, most);
        } else {
            one.ef_construction += CONSTRUCTION_STEP * between(&state, -1, 1);
            one.ef_search += SEARCH_STEP * between(&state, -1, 1);
        }
        one.ef_construction = clamp(one.ef_construction, least_build, most_build);
        one.ef_search = clamp(one.ef_search, least, most);
        if (!was_tried(from, &one)) {
            *ret = one;
            return true;
        }
    }
    return false;
}
