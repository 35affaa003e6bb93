/* The log: one JSON object per line on standard error, written with one call per line. Only doors,
 * lake/ and background threads log; what is returned is not logged as well. Never a secret, never a
 * row.
 */
#ifndef LAKEHOUSE_BASE_LOG_H
#define LAKEHOUSE_BASE_LOG_H

#include "base/error.h"

enum lh_log_level { LH_LOG_DEBUG, LH_LOG_INFO, LH_LOG_WARN, LH_LOG_ERROR };

void lh_log_set_level(enum lh_log_level least);
void lh_log_set_fd(int fd); /* where lines go; 2 at the start */

/* {"time":…,"level":…,"event":"http.request","message":…}; `event` is a stable dotted name. */
void lh_log(enum lh_log_level level, const char *event, const char *format, ...) LH_PRINTF(3, 4);
/* The same with members: `members` is the inside of a JSON object ("\"a\":1,\"b\":2"), made by
 * base/json. */
void lh_log_members(enum lh_log_level level, const char *event, struct lh_str members);
void lh_log_error(enum lh_log_level level, const char *event, const struct lh_error *err);

#endif
