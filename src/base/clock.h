/* Time: the wall clock decorates, the monotonic clock measures. Tests set a fake wall clock. */
#ifndef LAKEHOUSE_BASE_CLOCK_H
#define LAKEHOUSE_BASE_CLOCK_H

#include "base/str.h"

int64_t lh_clock_unix_ms(void);      /* wall time, milliseconds since 1970; the fake one if set */
int64_t lh_clock_monotonic_us(void); /* microseconds since some fixed point */

void lh_clock_set_fake(int64_t unix_ms); /* tests only; from then on the wall clock stands still */
void lh_clock_advance_fake(int64_t ms);
void lh_clock_clear_fake(void);

#define LH_TIME_TEXT_BYTES 24
/* RFC 3339 in UTC with milliseconds: "2026-01-31T09:00:00.123Z"; ret has room for
 * LH_TIME_TEXT_BYTES + 1. */
void lh_time_format(int64_t unix_ms, char *ret);
bool lh_time_parse(struct lh_str text,
                   int64_t *ret_unix_ms); /* RFC 3339, any offset; date alone = midnight UTC */

#endif
