/* The recall of what is served: some searches of callers are asked again by looking at all rows.
 *
 *   search_run ─▶ (now and then) a sample: the question, and what was found
 *   search_watch_run ─▶ the exact answer to it ─▶ the window of the index's last answers
 *        ─▶ told in replies, and held against the index's min_recall
 *
 * Only plain searches through a graph are sampled: by meaning, for rows, without a filter and an ef
 * of the caller's own. A window belongs to one graph, asked in one way; another one begins anew.
 * Questions are in memory alone, and few.
 *
 * Threads: any may search; one runs the watch. search_watch_run blocks as long as it takes to look
 * at all rows, and rests so that this takes no more of the time than watch_percent says.
 */
#ifndef LAKEHOUSE_SEARCH_WATCH_H
#define LAKEHOUSE_SEARCH_WATCH_H

#include "search/search.h"

#define SEARCH_WATCH_TOLD_MIN 30   /* answers from which on their recall is told in replies, */
#define SEARCH_WATCH_BREACH_MIN 50 /* and a breach may be seen */

struct search_watched {
    struct lh_str index_name;
    int64_t answers; /* that were asked again, of the last ones */
    double recall;
    double recall_most; /* that is still likely, by how few they are */
    double min_recall;  /* 0: there is no contract */
    bool is_breached;   /* even the most likely recall is below it */
    struct lh_time measured_at;
};
/* Looks at a few samples, if there are any and it is time. */
enum lh_code search_watch_run(struct search *search, const struct lh_cancel *cancel,
                              struct lh_error *err) LH_MUST_USE;
/* What is known of the graphs that are served; in `arena`. */
void search_watch_list(struct search *search, struct lh_arena *arena, struct search_watched **ret,
                       size_t *ret_count);
/* Forgets what is known of an index: something was done about it. */
void search_watch_forget(struct search *search, struct lh_str index_name);

#endif
