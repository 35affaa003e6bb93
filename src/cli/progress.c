#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text_table.h"

#define LIVE_EVERY_US 100000
#define LINE_EVERY_US 2000000
#define WIDTH_PRESET 80
#define BAR_WIDTH 24
#define PHASE_WIDTH 12

const char *const cli_progress_modes[] = {"auto", "always", "never", NULL};

/* 63666 as "63,666". */
static void put_count(struct lh_buf *out, int64_t count)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRId64, count);
    for (int place = 0; place < len; place++) {
        if (place && (len - place) % 3 == 0)
            lh_buf_append_char(out, ',');
        lh_buf_append_char(out, digits[place]);
    }
}

static void put_bytes(struct lh_buf *out, double bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        bytes /= 1000;
    lh_buf_printf(out, unit && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void put_amount(struct lh_buf *out, const struct cli_step *step, double amount)
{
    if (step->is_bytes)
        put_bytes(out, amount);
    else
        put_count(out, (int64_t)amount);
}

static void put_time_left(struct lh_buf *out, int64_t seconds)
{
    if (seconds >= 3600)
        lh_buf_printf(out, "  %" PRId64 " h %02" PRId64 " min left", seconds / 3600,
                      seconds / 60 % 60);
    else if (seconds >= 60)
        lh_buf_printf(out, "  %" PRId64 " min %02" PRId64 " s left", seconds / 60, seconds % 60);
    else
        lh_buf_printf(out, "  %" PRId64 " s left", seconds);
}

static void put_bar(struct lh_buf *out, double share, unsigned turn)
{
    lh_buf_append_char(out, '[');
    for (unsigned i = 0; i < BAR_WIDTH; i++) {
        bool is_full = share < 0 ? i / 3 == turn % (BAR_WIDTH / 3) : i < share * BAR_WIDTH - 0.5;
        lh_buf_append_char(out, is_full ? '#' : '.');
    }
    lh_buf_append_char(out, ']');
}

void cli_progress_line(struct lh_buf *out, const struct cli_step *step, int64_t elapsed_us,
                       unsigned turn, size_t width)
{
    const double seconds = (double)elapsed_us / 1e6;
    /* Nothing done is no share of anything: it may be the kind of work that cannot tell. */
    const bool has_share = step->total > 0 && step->done > 0;
    double share = has_share ? (double)step->done / (double)step->total : -1;
    double rate = step->per_second;
    int64_t left = step->eta_s;
    if (share > 1)
        share = 1;
    if (rate <= 0 && seconds >= 1)
        rate = (double)step->done / seconds;
    if (left < 0 && has_share && rate > 0 && seconds >= 1)
        left = (int64_t)((double)(step->total - step->done) / rate + 0.5);
    size_t from = out->len;
    lh_text_line(out, step->phase);
    for (size_t at = lh_text_width(step->phase); at < PHASE_WIDTH; at++)
        lh_buf_append_char(out, ' ');
    lh_buf_append_char(out, ' ');
    put_bar(out, share, turn);
    if (has_share)
        lh_buf_printf(out, "  %3d %%", (int)(share * 100));
    if (step->done > 0) {
        lh_buf_append_str(out, lh_lit("  "));
        put_amount(out, step, (double)step->done);
        lh_buf_append_str(out, step->is_bytes ? lh_lit("") : lh_lit(" rows"));
    }
    if (rate >= 1) {
        lh_buf_append_str(out, lh_lit("  "));
        put_amount(out, step, rate);
        lh_buf_append_str(out, lh_lit("/s"));
    }
    if (left >= 0 && share < 1)
        put_time_left(out, left);
    if (out->len - from > width) /* all of it is ASCII but the phase, which comes first */
        out->len = from + width;
}

static size_t terminal_width(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col - 1U; /* a full last column would wrap on some terminals */
    return WIDTH_PRESET - 1;
}

void cli_progress_init(struct cli_progress *progress, enum cli_progress_mode mode)
{
    const char *terminal = getenv("TERM");
    const bool is_live = isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
    *progress = (struct cli_progress){
        .is_shown = mode == CLI_PROGRESS_ALWAYS || (mode == CLI_PROGRESS_AUTO && is_live),
        .is_live = is_live,
        .from_us = lh_clock_monotonic_us(),
    };
}

void cli_progress_show(struct cli_progress *progress, const struct cli_step *step)
{
    struct lh_buf line;
    const int64_t now_us = lh_clock_monotonic_us();
    const int64_t every_us = progress->is_live ? LIVE_EVERY_US : LINE_EVERY_US;
    if (!progress->is_shown || (progress->drawn_us && now_us - progress->drawn_us < every_us))
        return;
    progress->drawn_us = now_us;
    lh_buf_init(&line, 4096);
    cli_progress_line(&line, step, now_us - progress->from_us, progress->turn++,
                      progress->is_live ? terminal_width() : 200);
    if (progress->is_live)
        fprintf(stderr, "\r\033[K%.*s", LH_ARG(lh_buf_str(&line)));
    else
        fprintf(stderr, "%.*s\n", LH_ARG(lh_buf_str(&line)));
    (void)fflush(stderr);
    progress->has_line = true;
    lh_buf_release(&line);
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (progress->has_line && progress->is_live) {
        fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    progress->has_line = false;
}
