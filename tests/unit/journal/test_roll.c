/* From log to segment: by bytes, beside open announcements, and with several logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/hash.h"
#include "journal/journal.h"
#include "storage/storage.h"
#include "support/journal_house.h"

static void reopen(struct journal_house *house)
{
    journal_house_close(house);
    journal_house_open(house);
}

static enum lh_code report(struct journal_house *house, const char *entity, const char *value)
{
    const struct journal_event event = {.action = lh_lit("update"),
                                        .entity = lh_str_of(entity),
                                        .dataset = lh_lit("people"),
                                        .field = lh_lit("status"),
                                        .new_value = lh_str_of(value),
                                        .actor = lh_lit("ann")};
    return journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err);
}

static void given_events(struct journal_house *house, int count)
{
    for (int i = 0; i < count; i++) {
        char entity[32];
        snprintf(entity, sizeof entity, "E-%d", i);
        if (report(house, entity, "x"))
            fail_msg("%s", house->err.message);
    }
}

static size_t count_all(struct journal_house *house)
{
    const struct journal_filter all = {.since_ms = 0};
    struct journal_record *records = NULL;
    size_t count = 0;
    bool has_more = false;
    if (journal_list(house->journal, &all, 0, 1000, NULL, house->arena, &records, &count, &has_more,
                     &house->err))
        fail_msg("%s", house->err.message);
    return count;
}

/* --- what is acknowledged */

static void an_announced_change_survives_a_roll_and_is_settled_after_it(void **state)
{
    struct journal_house *house = *state;
    const struct journal_event event = {.action = lh_lit("key.create"), .entity = lh_lit("K")};
    const char *first_log = temp_lake_file(&house->folder, "_journal/log/00000000000000000001.log");
    struct journal_intent *intents = NULL;
    uint64_t intent = 0;
    size_t count = 0;
    given_events(house, 2);
    assert_int_equal(journal_intend(house->journal, &event, false, &intent, &house->err), LH_OK);
    given_events(house, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        reopen(house);
        journal_open_intents(house->journal, house->arena, &intents, &count);
        assert_int_equal(count, 1);
        assert_int_equal(intents[0].sequence, intent);
        given_events(house, 1);
    }
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
    assert_int_equal(journal_settle(house->journal, intent, &event, &house->err), LH_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        reopen(house);
        journal_open_intents(house->journal, house->arena, &intents, &count);
        assert_int_equal(count, 0);
    }
    assert_int_equal(count_all(house), 7);
    assert_null(journal_damage(house->journal, house->arena).data);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    assert_int_not_equal(access(first_log, F_OK), 0); /* no longer needed */
    journal_house_open(house);
}

static void count_call(void *context)
{
    (*(int *)context)++;
}

static void large_records_fill_several_files_and_roll_by_their_bytes(void **state)
{
    struct journal_house *house = *state;
    static char value[60001];
    struct journal_stats stats;
    int calls = 0;
    memset(value, 'v', sizeof value - 1);
    house->options.roll_bytes = 200000;
    house->options.waiting_bytes_max = 1000000;
    reopen(house);
    journal_on_due(house->journal, count_call, &calls);
    for (int i = 0; i < 3; i++)
        assert_int_equal(report(house, "big", value), LH_OK);
    assert_int_equal(calls, 0);
    enum lh_code code = LH_OK;
    int taken = 3;
    for (; taken < 40 && !code; taken += !code)
        code = report(house, "big", value);
    assert_int_equal(code, LH_BUSY); /* and not before there was much */
    assert_in_range(taken, 16, 18);
    assert_int_equal(calls, taken - 3);
    const struct journal_event event = {
        .action = lh_lit("remove"), .entity = lh_lit("E"), .new_value = lh_str_of(value)};
    assert_int_equal(journal_append(house->journal, &event, 1, true, NULL, NULL, &house->err),
                     LH_OK);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(storage_list(house->storage, STORAGE_PRIMARY, lh_lit("_journal/log"),
                                  house->arena, &entries, &count, &house->err),
                     LH_OK);
    assert_in_range(count, 5, 8);
    for (size_t i = 0; i < count; i++)
        assert_true(entries[i].bytes <= house->options.roll_bytes);
    reopen(house);
    assert_int_equal(count_all(house), taken + 1);
    assert_int_equal(journal_roll(house->journal, false, &house->err), LH_OK);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.segments, 1);
    assert_int_equal(report(house, "big", value), LH_OK);
    reopen(house);
    assert_int_equal(count_all(house), taken + 2);
    assert_null(journal_damage(house->journal, house->arena).data);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
}

static void a_head_that_counts_wrongly_is_found(void **state)
{
    struct journal_house *house = *state;
    given_events(house, 3);
    const struct journal_event commit = {
        .action = lh_lit("dataset.append"), .entity = lh_lit("t"), .lake_sequence = 41};
    assert_int_equal(journal_append(house->journal, &commit, 1, false, NULL, NULL, &house->err),
                     LH_OK);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    journal_house_close(house);
    const char *path = temp_lake_file(&house->folder, "_journal/log/00000000000000000005.log");
    assert_int_equal(journal_house_verify(house).errors, 0);
    for (size_t at = 32; at <= 40; at += 8) { /* the events before it; what was drained */
        char bytes[256];
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        size_t count = fread(bytes, 1, sizeof bytes, file);
        assert_in_range(count, 84, sizeof bytes - 1);
        char was = bytes[at];
        for (int round = 0; round < 2; round++) {
            bytes[at] = round ? was : (char)(was + 1);
            uint32_t sum = lh_crc32c(0, bytes, count - 4);
            for (size_t i = 0; i < 4; i++)
                bytes[count - 4 + i] = (char)(unsigned char)(sum >> (8 * i));
            rewind(file);
            assert_int_equal(fwrite(bytes, 1, count, file), count);
            assert_int_equal(fflush(file), 0);
            assert_int_equal(journal_house_verify(house).errors, round ? 0 : 1);
        }
        fclose(file);
    }
    journal_house_open(house);
}

#ifdef LH_FAULTS

/* A log that an older release began, and that nothing came into since the last try of a segment. */
static void the_log_behind_a_segment_is_one_that_no_older_release_goes_on_with(void **state)
{
    struct journal_house *house = *state;
    given_events(house, 2);
    assert_true(lh_fault_plan("file.publish=2:EIO"));
    assert_int_not_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    assert_true(lh_fault_was_struck());
    assert_true(lh_fault_plan(NULL));
    journal_house_close(house);
    journal_house_age(house);
    journal_house_open(house);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    assert_false(journal_house_misleads_older(house));
    given_events(house, 1);
    reopen(house);
    assert_int_equal(count_all(house), 3);
    assert_null(journal_damage(house->journal, house->arena).data);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
}

#endif

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, journal_house_set_up, journal_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_announced_change_survives_a_roll_and_is_settled_after_it),
        TEST(a_head_that_counts_wrongly_is_found),
#ifdef LH_FAULTS
        TEST(the_log_behind_a_segment_is_one_that_no_older_release_goes_on_with),
#endif
        TEST(large_records_fill_several_files_and_roll_by_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
