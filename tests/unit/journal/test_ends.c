/* Records that were taken from the journal's end are missed, whoever took them and whenever: the
 * chain alone would not tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/hash.h"
#include "support/fault_ways.h"
#include "support/journal_house.h"
#include "support/kept_engine.h"

#define LOG "_journal/log/00000000000000000001.log"
#define NOTE "_journal/closed.json"
#define MARK "_heads/journal"

static void given_a_kill(struct journal_house *house)
{
    journal_house_close(house);
    assert_int_equal(remove(temp_lake_file(&house->folder, NOTE)), 0);
}

static bool is_damaged(struct journal_house *house)
{
    return journal_damage(house->journal, house->arena).len > 0;
}

static void records_that_were_cut_off_are_missed_after_a_kill_too(void **state)
{
    struct journal_house *house = *state;
    size_t at[8], count = 0;
    journal_house_given(house, 4);
    given_a_kill(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    char *bytes = journal_house_read(house, LOG, &count);
    assert_int_equal(journal_house_frames(bytes, count, at, 8), 4);
    for (size_t kept = 0; kept < 4; kept++) {
        journal_house_write(house, LOG, bytes, at[kept]);
        assert_true(journal_house_verify(house).errors > 0);
    }
    journal_house_write(house, LOG, bytes, at[2]);
    for (int round = 0; round < 3; round++) { /* it is not forgotten */
        struct journal_stats stats;
        journal_house_open(house);
        assert_true(is_damaged(house));
        journal_house_given(house, 1);
        journal_stats(house->journal, &stats);
        assert_int_equal(stats.sequence, 5 + round); /* 3 and 4 are not given again */
        assert_int_equal(journal_house_count(house), 3 + round);
        given_a_kill(house);
        assert_true(journal_house_verify(house).errors > 0);
    }
    free(bytes);
    journal_house_open(house);
}

static void given_one_write(struct journal_house *house, size_t count)
{
    const struct journal_event events[3] = {
        {.action = lh_lit("a"), .entity = lh_lit("e")},
        {.action = lh_lit("b"), .entity = lh_lit("e")},
        {.action = lh_lit("c"), .entity = lh_lit("e")},
    };
    assert_int_equal(journal_append(house->journal, events, count, false, NULL, NULL, &house->err),
                     LH_OK);
}

/* The sectors of a write reach the disk in any order. */
static void
the_end_of_a_write_without_its_beginning_is_torn_but_not_before_a_later_write(void **state)
{
    struct journal_house *house = *state;
    size_t at[8], count = 0;
    journal_house_given(house, 1);
    given_one_write(house, 3);
    given_a_kill(house);
    assert_int_equal(remove(temp_lake_file(&house->folder, MARK)), 0); /* it was on its way, too */
    char *bytes = journal_house_read(house, LOG, &count);
    assert_int_equal(journal_house_frames(bytes, count, at, 8), 4);
    memset(bytes + at[1], 0, 40);
    memset(bytes + at[2] + 10, 0, 20);
    journal_house_write(house, LOG, bytes, count);
    free(bytes);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
    assert_false(is_damaged(house));
    assert_int_equal(journal_house_count(house), 1);
    given_one_write(house, 3);
    given_one_write(house, 1);
    given_a_kill(house);
    bytes = journal_house_read(house, LOG, &count);
    assert_int_equal(journal_house_frames(bytes, count, at, 8), 5);
    memset(bytes + at[1], 0, 40);
    journal_house_write(house, LOG, bytes, count);
    free(bytes);
    assert_true(journal_house_verify(house).errors > 0);
    journal_house_open(house);
    assert_true(is_damaged(house));
}

static void an_older_copy_that_was_written_on_is_noticed(void **state)
{
    struct journal_house *house = *state;
    size_t older_count = 0, mark_count = 0;
    journal_house_given(house, 2);
    char *older = journal_house_read(house, LOG, &older_count);
    journal_house_given(house, 2);
    given_a_kill(house);
    char *mark = journal_house_read(house, MARK, &mark_count);
    journal_house_write(house, LOG, older, older_count);
    assert_int_equal(remove(temp_lake_file(&house->folder, MARK)), 0);
    journal_house_open(house); /* as by a program that knows no mark */
    assert_false(is_damaged(house));
    journal_house_given(house, 5);
    given_a_kill(house);
    journal_house_write(house, MARK, mark, mark_count);
    assert_true(journal_house_verify(house).errors > 0);
    for (int round = 0; round < 2; round++) {
        journal_house_open(house);
        assert_true(is_damaged(house));
        assert_int_equal(journal_house_count(house), (size_t)7 + (size_t)round);
        journal_house_given(house, 1);
        given_a_kill(house);
        assert_true(journal_house_verify(house).errors > 0);
    }
    free(older);
    free(mark);
    journal_house_open(house);
}

static void a_journal_that_vanished_is_missed(void **state)
{
    struct journal_house *house = *state;
    struct journal_stats stats;
    journal_house_given(house, 3);
    given_a_kill(house);
    assert_int_equal(remove(temp_lake_file(&house->folder, LOG)), 0);
    assert_true(journal_house_verify(house).errors > 0);
    journal_house_open(house);
    assert_true(is_damaged(house));
    journal_house_given(house, 1);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.sequence, 4);
    given_a_kill(house);
    assert_true(journal_house_verify(house).errors > 0);
    journal_house_open(house);
    assert_true(is_damaged(house));
}

static void what_cannot_be_proved_is_said(void **state)
{
    struct journal_house *house = *state;
    journal_house_given(house, 3);
    given_a_kill(house);
    assert_int_equal(journal_house_verify(house).others, 0);
    assert_int_equal(remove(temp_lake_file(&house->folder, MARK)), 0);
    struct journal_house_found found = journal_house_verify(house);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.others, 1);
    journal_house_open(house);
    assert_false(is_damaged(house));
    given_a_kill(house);
    assert_int_equal(journal_house_verify(house).others, 0);
    journal_house_open(house);
}

static void half_a_mark_leaves_the_one_before_it(void **state)
{
    struct journal_house *house = *state;
    size_t count = 0, log_count = 0, at[8];
    journal_house_given(house, 4);
    given_a_kill(house);
    char *mark = journal_house_read(house, MARK, &count);
    char *log = journal_house_read(house, LOG, &log_count);
    assert_int_equal(journal_house_frames(log, log_count, at, 8), 4);
    assert_int_equal(count, 512);
    for (size_t place = 0; place < 2; place++) { /* whichever was written last */
        char torn[512];
        memcpy(torn, mark, sizeof torn);
        memset(torn + 256 * place + 100, 0, 100);
        journal_house_write(house, MARK, torn, sizeof torn);
        journal_house_write(house, LOG, log, log_count);
        assert_int_equal(journal_house_verify(house).errors, 0);
        journal_house_write(house, LOG, log, at[2]); /* both marks are above it */
        assert_true(journal_house_verify(house).errors > 0);
    }
    journal_house_write(house, LOG, log, log_count);
    free(mark);
    free(log);
    journal_house_open(house);
}

/* --- how far commits were drained */

#define DRAINED_AT 40 /* in the head of a log */

static void set_drained(char *log, uint64_t drained)
{
    size_t head = (size_t)(unsigned char)log[4];
    for (size_t i = 0; i < 8; i++)
        log[DRAINED_AT + i] = (char)(unsigned char)(drained >> (8 * i));
    uint32_t crc = lh_crc32c(0, log, head - 4);
    for (size_t i = 0; i < 4; i++)
        log[head - 4 + i] = (char)(unsigned char)(crc >> (8 * i));
}

/* A log whose head says too much would let commits be passed over. */
static void what_was_drained_is_what_the_records_say(void **state)
{
    struct journal_house *house = *state;
    const struct journal_event commit = {.action = lh_lit("dataset.append"),
                                         .entity = lh_lit("t"),
                                         .lake_sequence = 41,
                                         .id = lh_lit("01890000-0000-7000-8000-000000000001")};
    size_t count = 0, id_count = 0;
    uint64_t drained = 0;
    struct lh_str *ids = NULL;
    assert_int_equal(journal_append(house->journal, &commit, 1, false, NULL, NULL, &house->err),
                     LH_OK);
    assert_int_equal(journal_check_drained(house->journal, 7, &drained, &house->err), LH_OK);
    assert_int_equal(drained, 41); /* the catalog has lost some: that is not the journal's fault */
    assert_false(is_damaged(house));
    journal_house_close(house);
    char *log = journal_house_read(house, LOG, &count);
    set_drained(log, 1000);
    journal_house_write(house, LOG, log, count);
    assert_true(journal_house_verify(house).errors > 0);
    journal_house_open(house);
    assert_int_equal(journal_check_drained(house->journal, 41, &drained, &house->err), LH_OK);
    assert_int_equal(drained, 41);
    assert_true(is_damaged(house));
    assert_int_equal(journal_drained(house->journal, house->arena, &ids, &id_count), 41);
    assert_int_equal(id_count, 1);
    journal_house_close(house);
    journal_house_open(house); /* the head that lied is gone */
    assert_int_equal(journal_drained(house->journal, house->arena, &ids, &id_count), 41);
    assert_int_equal(journal_house_count(house), 1);
    free(log);
}

#ifdef LH_FAULTS

/* Wherever the disk fails, and however the process ends: nobody is told of a loss that is none. */
static void a_failed_write_is_no_loss(void **state)
{
    bool is_through = false;
    for (unsigned at = 1; at < 100 && !is_through; at += fault_stride(1)) {
        struct journal_house *house = *state;
        const struct journal_event event = {.action = lh_lit("a"), .entity = lh_lit("e")};
        char plan[32];
        journal_house_given(house, 2);
        snprintf(plan, sizeof plan, "*=%u:EIO", at);
        assert_true(lh_fault_plan(plan));
        enum lh_code code =
            journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err);
        if (!code)
            code = journal_roll(house->journal, true, &house->err);
        is_through = !lh_fault_was_struck();
        lh_fault_plan(NULL);
        assert_true(!code || !is_through);
        journal_house_close(house);
        remove(temp_lake_file(&house->folder, NOTE));
        assert_int_equal(journal_house_verify(house).errors, 0);
        journal_house_open(house);
        assert_false(is_damaged(house));
        journal_house_tear_down(state);
        journal_house_set_up(state);
    }
    assert_true(is_through);
}

#endif

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, journal_house_set_up, journal_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_that_were_cut_off_are_missed_after_a_kill_too),
        TEST(the_end_of_a_write_without_its_beginning_is_torn_but_not_before_a_later_write),
        TEST(an_older_copy_that_was_written_on_is_noticed),
        TEST(a_journal_that_vanished_is_missed),
        TEST(what_cannot_be_proved_is_said),
        TEST(half_a_mark_leaves_the_one_before_it),
        TEST(what_was_drained_is_what_the_records_say),
#ifdef LH_FAULTS
        TEST(a_failed_write_is_no_loss),
#endif
    };
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}
