/* How far work is, as one line on standard error that is drawn over and over.
 *
 *   indexing     [##########..............]  42 %  26,840 rows  3,120/s  12 s left
 *
 * On a terminal a living line, erased at the end; where standard error is none, nothing, unless it
 * is asked for: then a line now and then. Nothing of it ever goes to standard output. One thread at
 * a time.
 */
#ifndef LAKEHOUSE_CLI_PROGRESS_H
#define LAKEHOUSE_CLI_PROGRESS_H

#include "base/buf.h"
#include "base/cancel.h"

enum cli_progress_mode { CLI_PROGRESS_AUTO, CLI_PROGRESS_ALWAYS, CLI_PROGRESS_NEVER };
extern const char *const cli_progress_modes[]; /* NULL-ended */

/* What is known now; a zero means that it is not, or not yet. */
struct cli_step {
    struct lh_str phase;
    int64_t done;
    int64_t total;
    bool is_bytes; /* done and total; else rows */
    double per_second;
    int64_t eta_s; /* -1 = not known */
};

struct cli_progress {
    bool is_shown;
    bool is_live; /* a terminal: the line is drawn over */
    bool has_line;
    int64_t from_us;
    int64_t drawn_us;
    unsigned turn; /* of the sign that something moves while no total is known */
};

void cli_progress_init(struct cli_progress *progress, enum cli_progress_mode mode);
void cli_progress_show(struct cli_progress *progress, const struct cli_step *step);
/* Takes the line away, before anything else is written. */
void cli_progress_clear(struct cli_progress *progress);

/* The line by itself, at most `width` columns. Rate and time left are estimated from `elapsed_us`
 * where the step does not tell them. */
void cli_progress_line(struct lh_buf *out, const struct cli_step *step, int64_t elapsed_us,
                       unsigned turn, size_t width);

#endif
