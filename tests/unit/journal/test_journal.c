/* The journal by itself: what is acknowledged stays, once and in order; what was done to its files
 * is found; those who come together share an fsync. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/hash.h"
#include "base/little.h"
#include "engine/engine.h"
#include "journal/journal.h"
#include "storage/storage.h"
#include "support/fault_ways.h"
#include "support/journal_house.h"
#include "support/kept_engine.h"

#define FIRST_LOG "_journal/log/00000000000000000001.log"

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

static size_t list(struct journal_house *house, const struct journal_filter *filter,
                   uint64_t before, size_t limit, struct journal_record **ret, bool *ret_has_more)
{
    size_t count = 0;
    if (journal_list(house->journal, filter, before, limit, NULL, house->arena, ret, &count,
                     ret_has_more, &house->err))
        fail_msg("%s", house->err.message);
    return count;
}

/* --- what is acknowledged */

static void what_was_appended_is_read_newest_first_by_page_and_after_a_restart(void **state)
{
    struct journal_house *house = *state;
    const struct journal_filter all = {.since_ms = 0}, one = {.entity = lh_lit("E-3")};
    struct journal_record *records = NULL;
    bool has_more = false;
    journal_house_given(house, 5);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(list(house, &all, 0, 2, &records, &has_more), 2);
        assert_true(has_more);
        assert_int_equal(records[0].sequence, 5);
        assert_int_equal(list(house, &all, records[1].sequence, 10, &records, &has_more), 3);
        assert_false(has_more);
        assert_int_equal(records[2].sequence, 1);
        assert_int_equal(list(house, &one, 0, 10, &records, &has_more), 1);
        assert_true(lh_str_equal(records[0].event.new_value, lh_lit("x")));
        assert_null(records[0].event.old_value.data);
        reopen(house);
    }
    assert_null(journal_damage(house->journal, house->arena).data);
}

static void segments_and_memory_are_one_journal(void **state)
{
    struct journal_house *house = *state;
    const struct journal_filter all = {.since_ms = 0}, one = {.entity = lh_lit("E-1")};
    struct journal_record *records = NULL;
    struct journal_stats stats;
    bool has_more = false;
    for (int round = 0; round < 3; round++) {
        journal_house_given(house, 4);
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        if (round == 1)
            reopen(house);
    }
    journal_house_given(house, 2);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.events, 14);
    assert_int_equal(stats.persisted, 12);
    assert_int_equal(stats.segments, 3);
    reopen(house);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.events, 14);
    assert_int_equal(stats.buffered, 2);
    assert_int_equal(list(house, &all, 0, 1000, &records, &has_more), 14);
    for (size_t i = 0; i < 14; i++)
        assert_int_equal(records[i].sequence, 14 - i);
    assert_int_equal(list(house, &one, 0, 2, &records, &has_more), 2);
    assert_true(has_more);
    assert_int_equal(list(house, &one, records[1].sequence, 5, &records, &has_more), 2);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
}

static void the_log_becomes_a_segment_by_itself_when_it_is_full(void **state)
{
    struct journal_house *house = *state;
    struct journal_stats stats;
    house->options.roll_records = 10;
    reopen(house);
    journal_house_given(house, 9);
    assert_int_equal(journal_roll(house->journal, false, &house->err), LH_OK);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.segments, 0);
    journal_house_given(house, 1);
    assert_int_equal(journal_roll(house->journal, false, &house->err), LH_OK);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.segments, 1);
    assert_int_equal(journal_house_count(house), 10);
}

static void a_request_that_comes_again_is_the_first_one(void **state)
{
    struct journal_house *house = *state;
    const struct journal_event event = {
        .action = lh_lit("call"), .entity = lh_lit("E"), .request = lh_lit("key:1")};
    uint64_t first = 0, again = 0;
    bool is_repeat = false;
    journal_house_given(house, 2);
    assert_int_equal(journal_append(house->journal, &event, 1, false, &first, NULL, &house->err),
                     LH_OK);
    reopen(house);
    assert_int_equal(
        journal_append(house->journal, &event, 1, false, &again, &is_repeat, &house->err), LH_OK);
    assert_true(is_repeat);
    assert_int_equal(first, again);
    assert_int_equal(journal_house_count(house), 3);
}

static void bad_events_are_refused_and_leave_nothing(void **state)
{
    struct journal_house *house = *state;
    char *large = calloc(1, JOURNAL_VALUE_BYTES_MAX + 2);
    memset(large, 'x', JOURNAL_VALUE_BYTES_MAX + 1);
    const struct journal_event bad[] = {
        {.action = lh_lit("a")},
        {.entity = lh_lit("e")},
        {.action = lh_lit("a"), .entity = lh_lit("e"), .detail = lh_lit("[1]")},
        {.action = lh_lit("a"), .entity = lh_lit("e"), .detail = lh_lit("{")},
        {.action = lh_lit("a"), .entity = lh_lit("\xff")},
        {.action = lh_lit("a"), .entity = {"a\0b", 3}},
        {.action = lh_lit("a"), .entity = lh_lit("e"), .id = lh_lit("no uuid")},
        {.action = lh_lit("a"), .entity = lh_lit("e"), .new_value = lh_str_of(large)},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(journal_append(house->journal, &bad[i], 1, false, NULL, NULL, &house->err),
                         LH_INVALID);
    free(large);
    assert_int_equal(journal_house_count(house), 0);
}

/* --- announced changes */

static void
a_change_that_was_announced_and_never_settled_is_asked_about_after_a_restart(void **state)
{
    struct journal_house *house = *state;
    const struct journal_event event = {.action = lh_lit("key.create"), .entity = lh_lit("k")};
    struct journal_intent *intents = NULL;
    size_t count = 0;
    uint64_t one = 0, two = 0, three = 0;
    assert_int_equal(journal_intend(house->journal, &event, false, &one, &house->err), LH_OK);
    assert_int_equal(journal_intend(house->journal, &event, false, &two, &house->err), LH_OK);
    assert_int_equal(journal_intend(house->journal, &event, false, &three, &house->err), LH_OK);
    assert_int_equal(journal_settle(house->journal, one, &event, &house->err), LH_OK);
    assert_int_equal(journal_settle(house->journal, two, NULL, &house->err), LH_OK);
    assert_int_equal(journal_house_count(house), 1);
    reopen(house);
    journal_open_intents(house->journal, house->arena, &intents, &count);
    assert_int_equal(count, 1);
    assert_int_equal(intents[0].sequence, three);
    assert_true(lh_str_equal(intents[0].event.action, lh_lit("key.create")));
    assert_int_equal(journal_settle(house->journal, three, &event, &house->err), LH_OK);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    reopen(house);
    journal_open_intents(house->journal, house->arena, &intents, &count);
    assert_int_equal(count, 0);
    assert_int_equal(journal_house_count(house), 2);
}

static void what_was_drained_is_known_after_segments_and_restarts(void **state)
{
    struct journal_house *house = *state;
    const struct journal_event commits[] = {
        {.action = lh_lit("dataset.append"),
         .entity = lh_lit("t"),
         .lake_sequence = 41,
         .id = lh_lit("01890000-0000-7000-8000-000000000001")},
        {.action = lh_lit("dataset.append"),
         .entity = lh_lit("t"),
         .lake_sequence = 41,
         .id = lh_lit("01890000-0000-7000-8000-000000000002")},
    };
    struct lh_str *ids = NULL;
    size_t count = 0;
    assert_int_equal(journal_append(house->journal, commits, 2, true, NULL, NULL, &house->err),
                     LH_OK);
    journal_house_given(house, 3);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(journal_drained(house->journal, house->arena, &ids, &count), 41);
        assert_int_equal(count, 2);
        assert_true(lh_str_equal(ids[1], commits[1].id));
        if (round == 0)
            assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        reopen(house);
    }
}

/* --- what was done to its files */

/* As after an end that was not clean. */
static void forget_note(struct journal_house *house)
{
    assert_int_equal(remove(temp_lake_file(&house->folder, "_journal/closed.json")), 0);
}

/* As if the power had failed before the newest records were acknowledged. */
static void forget_ends(struct journal_house *house)
{
    forget_note(house);
    assert_int_equal(remove(temp_lake_file(&house->folder, "_heads/journal")), 0);
}

static void a_torn_end_goes_and_what_stands_before_it_stays(void **state)
{
    struct journal_house *house = *state;
    size_t at[8];
    journal_house_given(house, 4);
    journal_house_close(house);
    forget_ends(house); /* it did not end, it was killed */
    size_t count = 0;
    char *bytes = journal_house_read(house, FIRST_LOG, &count);
    assert_int_equal(journal_house_frames(bytes, count, at, 8), 4);
    for (size_t cut = at[3] + 1; cut < count; cut += 17) {
        journal_house_write(house, FIRST_LOG, bytes, cut);
        assert_int_equal(journal_house_verify(house).errors, 0);
        journal_house_open(house);
        assert_null(journal_damage(house->journal, house->arena).data);
        assert_int_equal(journal_house_count(house), 3);
        journal_house_given(house, 1);
        assert_int_equal(journal_house_count(house), 4);
        journal_house_close(house);
        assert_int_equal(journal_house_verify(house).errors, 0);
        forget_ends(house);
    }
    free(bytes);
    journal_house_open(house);
}

static void part_of_an_atom_is_as_nothing(void **state)
{
    struct journal_house *house = *state;
    const struct journal_event events[] = {
        {.action = lh_lit("a"), .entity = lh_lit("1")},
        {.action = lh_lit("a"), .entity = lh_lit("2")},
        {.action = lh_lit("a"), .entity = lh_lit("3")},
    };
    size_t at[8];
    journal_house_given(house, 1);
    assert_int_equal(journal_append(house->journal, events, 3, false, NULL, NULL, &house->err),
                     LH_OK);
    journal_house_close(house);
    forget_ends(house);
    size_t count = 0;
    char *bytes = journal_house_read(house, FIRST_LOG, &count);
    assert_int_equal(journal_house_frames(bytes, count, at, 8), 4);
    journal_house_write(house, FIRST_LOG, bytes, at[3]); /* its first two records are whole */
    journal_house_open(house);
    assert_int_equal(journal_house_count(house), 1);
    assert_null(journal_damage(house->journal, house->arena).data);
    free(bytes);
}

enum harm { REMOVED, CHANGED, FORGED, SWAPPED, PARTED, CUT, HARM_COUNT };

#define PARTED_BY 24 /* bytes */

static void do_harm(struct journal_house *house, enum harm harm, const char *bytes, size_t count,
                    const size_t *at)
{
    char *harmed = calloc(1, count + PARTED_BY);
    size_t len = 0;
    assert_non_null(harmed);
    memcpy(harmed, bytes, count);
    switch (harm) {
    case REMOVED:
        memmove(harmed + at[1], harmed + at[2], count - at[2]);
        len = count - (at[2] - at[1]);
        break;
    case CHANGED:
        harmed[at[1] + 130] ^= 1;
        len = count;
        break;
    case FORGED: /* its own checksum is right; the next one was written behind another */
        harmed[at[1] + 130] ^= 1;
        lh_little_put(harmed + at[2] - 4, lh_crc32c(0, harmed + at[1], at[2] - at[1] - 4), 4);
        len = count;
        break;
    case SWAPPED:
        memcpy(harmed + at[1], bytes + at[2], at[3] - at[2]);
        memcpy(harmed + at[1] + (at[3] - at[2]), bytes + at[1], at[2] - at[1]);
        len = count;
        break;
    case PARTED: /* nothing is missing, and something strange stands between two */
        memcpy(harmed + at[2] + PARTED_BY, bytes + at[2], count - at[2]);
        memset(harmed + at[2], '-', PARTED_BY);
        len = count + PARTED_BY;
        break;
    default:
        len = at[3]; /* the newest one, of a journal that ended well */
    }
    journal_house_write(house, FIRST_LOG, harmed, len);
    free(harmed);
}

static void a_record_that_was_removed_changed_swapped_parted_or_cut_off_is_found(void **state)
{
    struct journal_house *house = *state;
    size_t at[8];
    journal_house_given(house, 4);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    size_t count = 0;
    char *bytes = journal_house_read(house, FIRST_LOG, &count);
    assert_int_equal(journal_house_frames(bytes, count, at, 8), 4);

    for (enum harm harm = REMOVED; harm < HARM_COUNT; harm++) {
        do_harm(house, harm, bytes, count, at);
        if (!journal_house_verify(house).errors)
            fail_msg("harm %d is not found", (int)harm);
        journal_house_open(house); /* it serves what is left, and says so */
        assert_non_null(journal_damage(house->journal, house->arena).data);
        assert_true(journal_house_count(house) >= 2);
        journal_house_close(house);
        if (harm != CUT)
            journal_house_write(house, FIRST_LOG, bytes, count);
    }

    free(bytes);
    journal_house_open(house);
    journal_house_given(house, 1); /* the number that is gone is not given again */
    journal_house_close(house);
    assert_true(journal_house_verify(house).errors > 0);
    journal_house_open(house);
}

static void every_flipped_bit_of_a_log_is_found(void **state)
{
    struct journal_house *house = *state;
    unsigned flips = 0;
    size_t stride = getenv("LAKEHOUSE_LONG") ? 1 : 61;
    journal_house_given(house, 3);
    journal_house_close(house);
    size_t count = 0;
    char *bytes = journal_house_read(house, FIRST_LOG, &count);
    for (size_t bit = 0; bit < count * 8; bit += stride, flips++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        journal_house_write(house, FIRST_LOG, bytes, count);
        if (!journal_house_verify(house).errors)
            fail_msg("a flipped bit %zu of byte %zu is not found", bit % 8, bit / 8);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    printf("figure: %u flipped bits of a log, all found\n", flips);
    journal_house_write(house, FIRST_LOG, bytes, count);
    assert_int_equal(journal_house_verify(house).errors, 0);
    free(bytes);
    journal_house_open(house);
}

static void a_log_of_a_newer_format_is_not_touched(void **state)
{
    struct journal_house *house = *state;
    static const char *const name = "_journal/log/00000000000000000001.log";
    journal_house_given(house, 1);
    journal_house_close(house);
    size_t count = 0;
    char *bytes = journal_house_read(house, FIRST_LOG, &count);
    assert_true(count > 100);
    assert_true(temp_lake_has(&house->folder, name));
    bytes[8] = 4;
    size_t head = (size_t)(unsigned char)bytes[4];
    uint32_t crc = lh_crc32c(0, bytes, head - 4);
    for (size_t i = 0; i < 4; i++)
        bytes[head - 4 + i] = (char)(unsigned char)(crc >> (8 * i));
    journal_house_write(house, FIRST_LOG, bytes, count);
    bytes[8] = 1; /* of earlier releases: read as well */
    const struct storage_options storage = {.path = temp_lake_path(&house->folder),
                                            .access = STORAGE_WRITE};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 2};
    struct journal *journal = NULL;
    assert_int_equal(storage_open(&storage, &house->storage, &house->err), LH_OK);
    assert_int_equal(engine_open(&engine, &house->engine, &house->err), LH_OK);
    const struct journal_options options = {.storage = house->storage, .engine = house->engine};
    assert_int_equal(journal_open(&options, &journal, &house->err), LH_FORMAT);
    journal_house_close(house);
    crc = lh_crc32c(0, bytes, head - 4);
    for (size_t i = 0; i < 4; i++)
        bytes[head - 4 + i] = (char)(unsigned char)(crc >> (8 * i));
    journal_house_write(house, FIRST_LOG, bytes, count);
    free(bytes);
    journal_house_open(house);
    assert_int_equal(journal_house_count(house), 1);
}

/* --- the disk fails */

#ifdef LH_FAULTS

static void a_write_that_fails_leaves_nothing_and_the_next_one_works(void **state)
{
    struct journal_house *house = *state;
    journal_house_given(house, 2);
    assert_true(lh_fault_plan("file.write=1:ENOSPC"));
    assert_int_equal(report(house, "lost", "x"), LH_FULL);
    assert_true(lh_fault_plan("file.write=1:EIO"));
    assert_int_equal(report(house, "lost", "x"), LH_IO);
    lh_fault_plan(NULL);
    journal_house_given(house, 1);
    reopen(house);
    assert_int_equal(journal_house_count(house), 3);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
}

static void after_a_failed_fsync_nothing_is_taken_until_the_next_opening(void **state)
{
    struct journal_house *house = *state;
    struct journal_stats stats;
    journal_house_given(house, 2);
    assert_true(lh_fault_plan("file.sync=1:EIO"));
    assert_int_equal(report(house, "doubtful", "x"), LH_UNKNOWN);
    lh_fault_plan(NULL);
    assert_int_equal(report(house, "refused", "x"), LH_UNKNOWN);
    journal_stats(house->journal, &stats);
    assert_false(stats.is_writable);
    reopen(house);
    assert_int_equal(journal_house_count(house), 3); /* here the doubtful one did last */
    journal_house_given(house, 1);
    journal_house_close(house);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
}

/* At each call of rolling, or a slice of them: whatever fails, all records are there after it,
 * once. */
static void a_roll_that_fails_anywhere_loses_and_doubles_nothing(void **state)
{
    bool is_through = false;
    unsigned struck = 0, stride = fault_stride(1);
    for (unsigned at = 1; at < 200 && !is_through; at += stride) {
        struct journal_house *house = *state;
        char plan[32];
        journal_house_given(house, 3);
        snprintf(plan, sizeof plan, "*=%u:EIO", at);
        assert_true(lh_fault_plan(plan));
        enum lh_code code = journal_roll(house->journal, true, &house->err);
        is_through = !lh_fault_was_struck();
        struck += !is_through;
        lh_fault_plan(NULL);
        if (is_through)
            assert_int_equal(code, LH_OK);
        assert_int_equal(journal_house_count(house), 3);
        reopen(house);
        assert_int_equal(journal_house_count(house), 3);
        journal_house_given(house, 1);
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        assert_int_equal(journal_house_count(house), 4);
        reopen(house);
        assert_int_equal(journal_house_count(house), 4);
        journal_house_close(house);
        if (journal_house_verify(house).errors)
            fail_msg("%s: the verifier finds something", plan);
        journal_house_open(house);
        journal_house_tear_down(state);
        journal_house_set_up(state);
    }
    assert_true(is_through);
    assert_true(struck * stride >= 15);
}

/* --- group commit */

#define WRITERS 16
#define EVENTS_EACH 50

static void *write_many(void *context)
{
    struct journal_house *house = context;
    for (int i = 0; i < EVENTS_EACH; i++) {
        const struct journal_event event = {.action = lh_lit("a"), .entity = lh_lit("e")};
        if (journal_append(house->journal, &event, 1, false, NULL, NULL, NULL))
            return context;
    }
    return NULL;
}

static unsigned count_syncs(void)
{
    static const char *trace[LH_FAULT_TRACE_MAX];
    size_t count = lh_fault_trace(trace, LH_FAULT_TRACE_MAX);
    unsigned syncs = 0;
    assert_true(count < LH_FAULT_TRACE_MAX);
    for (size_t i = 0; i < count; i++)
        syncs += strcmp(trace[i], "file.sync") == 0 || strcmp(trace[i], "dir.sync") == 0;
    return syncs;
}

static void sixteen_writers_share_an_fsync(void **state)
{
    struct journal_house *house = *state;
    pthread_t threads[WRITERS];
    struct journal_stats stats;
    assert_true(lh_fault_plan(NULL)); /* counts and the trace begin here */
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, house), 0);
    for (size_t i = 0; i < WRITERS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    unsigned syncs = count_syncs();
    double share = (double)syncs / (WRITERS * EVENTS_EACH);
    journal_stats(house->journal, &stats);
    printf("figure: %.3f fsyncs per event at %d writers (%u for %d)\n", share, WRITERS, syncs,
           WRITERS * EVENTS_EACH);
    assert_int_equal(stats.syncs, syncs);
    assert_int_equal(stats.events, WRITERS * EVENTS_EACH);
    assert_true(share <= 0.25);
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
        TEST(what_was_appended_is_read_newest_first_by_page_and_after_a_restart),
        TEST(segments_and_memory_are_one_journal),
        TEST(the_log_becomes_a_segment_by_itself_when_it_is_full),
        TEST(a_request_that_comes_again_is_the_first_one),
        TEST(bad_events_are_refused_and_leave_nothing),
        TEST(a_change_that_was_announced_and_never_settled_is_asked_about_after_a_restart),
        TEST(what_was_drained_is_known_after_segments_and_restarts),
        TEST(a_torn_end_goes_and_what_stands_before_it_stays),
        TEST(part_of_an_atom_is_as_nothing),
        TEST(a_record_that_was_removed_changed_swapped_parted_or_cut_off_is_found),
        TEST(every_flipped_bit_of_a_log_is_found),
        TEST(a_log_of_a_newer_format_is_not_touched),
#ifdef LH_FAULTS
        TEST(a_write_that_fails_leaves_nothing_and_the_next_one_works),
        TEST(after_a_failed_fsync_nothing_is_taken_until_the_next_opening),
        TEST(a_roll_that_fails_anywhere_loses_and_doubles_nothing),
        TEST(sixteen_writers_share_an_fsync),
#endif
    };
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}
