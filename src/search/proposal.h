/* What to try next: of the configurations that were not tried yet, one near the champion, or now
 * and then any.
 *
 * A fourth of the proposals is drawn from the tuner's bounds; the others are the champion with a
 * small step up, down or none in ef_construction and in ef_search. Nothing is proposed twice. The
 * draw is seeded by how much was tried: the same history proposes the same. Pure.
 */
#ifndef LAKEHOUSE_SEARCH_PROPOSAL_H
#define LAKEHOUSE_SEARCH_PROPOSAL_H

#include "search/configuration.h"

struct search_proposal {
    const struct search_configuration *tried; /* all that were */
    size_t tried_count;
    struct search_configuration champion;
    uint64_t seed; /* of the index: two propose differently */
};
/* False: nothing new was found. */
bool search_propose(const struct search_proposal *from, struct search_configuration *ret);

#endif
