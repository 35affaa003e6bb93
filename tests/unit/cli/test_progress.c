#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cli/progress.h"

static void shows(const struct cli_step *step, int64_t elapsed_us, unsigned turn, size_t width,
                  const char *wanted)
{
    struct lh_buf out;
    lh_buf_init(&out, 4096);
    cli_progress_line(&out, step, elapsed_us, turn, width);
    lh_buf_append_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    lh_buf_release(&out);
}

static void a_share_a_rate_and_the_time_left_are_shown(void **state)
{
    const struct cli_step step = {
        LH_LIT("indexing"), 26840, 64000, false, 3120.4, 12,
    };
    (void)state;
    shows(&step, 5000000, 0, 100,
          "indexing     [##########..............]   41 %  26,840 rows  3,120/s  12 s left");
}

static void what_is_not_told_is_estimated_once_there_is_a_second_to_judge_by(void **state)
{
    const struct cli_step step = {LH_LIT("sending"), 2500000, 10000000, true, 0, -1};
    (void)state;
    shows(&step, 500000, 0, 100, "sending      [######..................]   25 %  2.5 MB");
    shows(&step, 2000000, 0, 100,
          "sending      [######..................]   25 %  2.5 MB  1.2 MB/s  6 s left");
}

static void without_a_total_something_moves(void **state)
{
    const struct cli_step step = {LH_LIT("writing"), 1234567, 0, false, 0, -1};
    const struct cli_step nothing = {LH_LIT("reading"), 0, 500, true, 0, -1};
    (void)state;
    shows(&step, 0, 0, 100, "writing      [###.....................]  1,234,567 rows");
    shows(&step, 0, 9, 100, "writing      [...###..................]  1,234,567 rows");
    shows(&nothing, 9000000, 7, 100, "reading      [.....................###]");
}

static void long_times_are_read_in_minutes_and_hours(void **state)
{
    struct cli_step step = {LH_LIT("x"), 1, 100, false, 0.1, 125};
    (void)state;
    shows(&step, 0, 0, 100,
          "x            [........................]    1 %  1 rows  2 min 05 s left");
    step.eta_s = 7384;
    shows(&step, 0, 0, 100,
          "x            [........................]    1 %  1 rows  2 h 03 min left");
}

static void it_stays_within_its_bounds(void **state)
{
    const struct cli_step over = {LH_LIT("a\033[31mb"), 900, 100, false, 5, 3};
    struct lh_buf out;
    (void)state;
    lh_buf_init(&out, 4096);
    for (size_t width = 0; width < 90; width += 7) {
        lh_buf_clear(&out);
        cli_progress_line(&out, &over, 1000000, 1, width);
        assert_true(out.len <= width);
        assert_true(!out.len || !memchr(out.data, '\033', out.len));
    }
    lh_buf_clear(&out);
    cli_progress_line(&out, &over, 1000000, 1, 200);
    size_t at;
    assert_true(lh_str_find(lh_buf_str(&out), lh_lit("100 %"), &at));
    assert_false(lh_str_find(lh_buf_str(&out), lh_lit("left"), &at));
    lh_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_a_rate_and_the_time_left_are_shown),
        cmocka_unit_test(what_is_not_told_is_estimated_once_there_is_a_second_to_judge_by),
        cmocka_unit_test(without_a_total_something_moves),
        cmocka_unit_test(long_times_are_read_in_minutes_and_hours),
        cmocka_unit_test(it_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
