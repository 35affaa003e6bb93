/* When something is due: a cron pattern in UTC, or an interval.
 *
 *   "30 3 * * MON-FRI"     minute, hour, day of month, month, day of week, as OCPS 1.0 has them:
 *                          numbers, names, lists, ranges, steps; where both days are restricted,
 *                          either is enough; Sunday is 0 or 7
 *   "every 15m"            s, m, h or d; counted from midnight of 1970-01-01, so that it does not
 *                          depend on when the process began
 *
 * Pure. No locks, no blocking.
 */
#ifndef LAKEHOUSE_BASE_SCHEDULE_H
#define LAKEHOUSE_BASE_SCHEDULE_H

#include "base/error.h"

struct lh_schedule {
    int64_t interval_ms;                             /* 0: the pattern counts */
    uint64_t minutes, hours, days, months, weekdays; /* bit per value */
    bool is_any_day, is_any_weekday;
};

/* LH_INVALID with what is wrong. */
enum lh_code lh_schedule_parse(struct lh_str text, struct lh_schedule *ret,
                               struct lh_error *err) LH_MUST_USE;
/* The first time it is due after `unix_ms`; INT64_MAX: never (the 30th of February). */
int64_t lh_schedule_next(const struct lh_schedule *schedule, int64_t unix_ms);

#endif
