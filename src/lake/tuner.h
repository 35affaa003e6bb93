/* The background of tuning: one thread that holds indexes to their min_recall, and, if it is told
 * to, tries configurations by itself.
 *
 * The contract: searches of callers are asked again (search/watch.h). When an index finds less than
 * its min_recall, that is an event, and it is tuned; if nothing promises enough, its last promotion
 * is rolled back to one that did. Then it is left in peace for a while.
 *
 * The agent ([agent] of the settings): every cycle, and after commits, it takes the index that was
 * asked for, or the one with a graph that waited longest, tries one configuration that was not
 * tried yet, and promotes it if it is better and finds enough. At most so many an hour, and none of
 * an index twice within the cooldown. Started and stopped while the server runs; what the settings
 * say counts again at the next start.
 *
 * Threads: any may call. Nothing here blocks for long.
 */
#ifndef LAKEHOUSE_LAKE_TUNER_H
#define LAKEHOUSE_LAKE_TUNER_H

#include "base/field.h"

struct lake;

#define LAKE_AGENT_QUEUE_MAX 100
#define LAKE_AGENT_NAME "agent"       /* who tries and promotes */
#define LAKE_CONTRACT_NAME "contract" /* who tunes and rolls back */

struct lake_agent_contract {
    struct lh_str index_name;
    double recall;
    double min_recall;
    int64_t answers; /* that were asked again */
    bool is_breached;
    struct lh_time measured_at;
};
struct lake_agent_status {
    bool is_running;
    struct lh_str working_on; /* an index; absent: it rests */
    int64_t cycle_interval_s, cooldown_s;
    double min_recall;
    int64_t max_trials_per_hour;
    int64_t trials_this_hour;
    int64_t trials, promotions; /* since the start of the server */
    struct lh_str_list queue;   /* indexes that were asked for */
    struct lh_str last_index, last_trial_id, last_note;
    struct lh_time last_at;
    struct lh_list contracts; /* of struct lake_agent_contract: what was measured of callers */
};
extern const struct lh_fields lake_agent_status_fields;

void lake_agent_status(struct lake *lake, struct lh_arena *arena, struct lake_agent_status *ret);
void lake_agent_switch(struct lake *lake, bool is_on);
/* The index is taken next. LH_NOT_FOUND; LH_CONFLICT: too many wait. Twice is fine. */
enum lh_code lake_agent_enqueue(struct lake *lake, struct lh_str index_name,
                                struct lh_error *err) LH_MUST_USE;

#endif
