/* Changes that are no commits of the catalog, and their events: announced before they are made,
 * settled afterwards, so that each that was acknowledged is in the journal once.
 *
 *   lake_change_begin ─▶ (the change) ─▶ lake_change_end
 *
 * When the process ends in between, the next opening asks whoever owns the thing whether it
 * happened; how, stands beside each action in changes.c. So an event carries in `entity`, `actor`
 * and `detail` what that question needs.
 *
 * Threads: any; a change belongs to one. Blocking: both wait for the disk.
 */
#ifndef LAKEHOUSE_LAKE_CHANGES_H
#define LAKEHOUSE_LAKE_CHANGES_H

#include "journal/journal.h"

struct lake;

struct lake_change {
    uint64_t intent; /* 0: nothing was announced */
};

/* What only the lake itself writes: names that end with a dot begin those of a family, of later
 * releases too. NULL ends them. */
extern const char *const lake_own_actions[];
/* Is it one of these, in whatever case? No event of a user is called so. */
bool lake_is_own_action(struct lh_str action);

/* Announces what will be the event. `is_vital`: the change must be possible on a full disk. A
 * request (event->request) that has its event already is not announced again. Errors as
 * journal_intend: the change must not be made then. */
enum lh_code lake_change_begin(struct lake *lake, const struct journal_event *event, bool is_vital,
                               struct lake_change *ret, struct lh_error *err) LH_MUST_USE;
/* The same for what is done to an index: sets the event's dataset and detail, from which the next
 * opening knows whether it was done: by the index's version. `new_name` may be absent. */
struct search_index_info;
struct lh_arena;
enum lh_code lake_change_begin_index(struct lake *lake, const struct search_index_info *info,
                                     struct lh_str new_name, bool is_vital, struct lh_arena *arena,
                                     struct journal_event *event, struct lake_change *ret,
                                     struct lh_error *err) LH_MUST_USE;
/* What came of it. LH_OK: the event is durable, or will be written by the next opening; LH_UNKNOWN:
 * the next opening asks; anything else: nothing happened. */
void lake_change_end(struct lake *lake, const struct lake_change *change, enum lh_code outcome,
                     const struct journal_event *event);

#endif
