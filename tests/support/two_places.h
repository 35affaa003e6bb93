/* A lake with a catalog, and a bucket "other" in a folder of its own beside it. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_TWO_PLACES_H
#define LAKEHOUSE_TESTS_SUPPORT_TWO_PLACES_H

#include "catalog/move.h"
#include "support/catalog_lake.h"

struct two_places {
    struct catalog_lake lake; /* first: open after two_places_make */
    struct temp_lake other;
};
void two_places_make(struct two_places *places);
void two_places_remove(struct two_places *places); /* verifies */

enum lh_code two_places_move(struct catalog_lake *lake, struct lh_str id, const char *to,
                             struct catalog_move *ret, struct lh_error *err);
/* Files of data that lie in the bucket. */
size_t two_places_count(struct catalog_lake *lake, const char *bucket);
/* Every file of that version (0: of the present) is there, with its bytes; how many lie in the
 * bucket. Fails the test if not, or if there is no such version. */
size_t two_places_read(struct catalog_lake *lake, const char *name, int64_t version,
                       const char *bucket);

#endif
