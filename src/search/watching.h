/* What searches tell the watch, and are told by it. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_WATCHING_H
#define LAKEHOUSE_SEARCH_WATCHING_H

#include "search/asking.h"
#include "search/watch.h"

struct watch *watch_new(void);
void watch_free(struct watch *watch); /* NULL is fine */
/* An answer, which may be taken as a sample; is quick. */
void watch_offer(const struct asking *asking, const struct search_answer *answer);
/* What was measured of answers through this graph; false: too few were. */
bool watch_recall(struct search *search, const struct index_manifest *manifest, double *ret_recall,
                  struct lh_time *ret_at, int64_t *ret_answers);
/* The questions that were asked again, one after the other, in `arena`; how many there are. */
size_t watch_queries(struct search *search, const struct index_manifest *manifest,
                     struct lh_arena *arena, float **ret);

#endif
