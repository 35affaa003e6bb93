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
/* The same without the watchers: for who tells them more than a line says. */
void lh_log_error_alone(enum lh_log_level level, const char *event, const struct lh_error *err);

/* Calls seen() for every lh_log_error, whatever level is written: for who keeps failures to show
 * them. It may not log. Up to LH_LOG_WATCHERS_MAX; false if there are that many. lh_log_unwatch
 * waits until no call is under way. */
#define LH_LOG_WATCHERS_MAX 16
bool lh_log_watch(void (*seen)(void *context, const char *event, const struct lh_error *err),
                  void *context) LH_MUST_USE;
void lh_log_unwatch(void *context); /* unknown ones are fine */

#endif
