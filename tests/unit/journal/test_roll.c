/* From log to segment: by bytes, beside open announcements, and with several logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "engine/engine.h"
#include "journal/journal.h"
#include "journal/verify.h"
#include "storage/findings.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

struct house {
    struct temp_lake folder;
    struct storage *storage;
    struct engine *engine;
    struct journal *journal;
    struct lh_arena *arena;
    struct lh_error err;
    int64_t roll_bytes, waiting_bytes_max;
};

static void open_house(struct house *house)
{
    const struct storage_options storage = {
        .path = temp_lake_path(&house->folder), .access = STORAGE_WRITE, .create = true};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 2};
    if (storage_open(&storage, &house->storage, &house->err) ||
        engine_open(&engine, &house->engine, &house->err))
        fail_msg("%s", house->err.message);
    const struct journal_options options = {.storage = house->storage,
                                            .engine = house->engine,
                                            .epoch = 7,
                                            .roll_bytes = house->roll_bytes,
                                            .waiting_bytes_max = house->waiting_bytes_max};
    if (journal_open(&options, &house->journal, &house->err))
        fail_msg("%s", house->err.message);
}

static void close_house(struct house *house)
{
    journal_close(house->journal);
    engine_close(house->engine);
    storage_close(house->storage);
    house->journal = NULL;
    house->engine = NULL;
    house->storage = NULL;
}

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    temp_lake_make(&house->folder);
    house->arena = lh_arena_new(0);
    open_house(house);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    close_house(house);
    lh_arena_free(house->arena);
    temp_lake_remove(&house->folder);
    free(house);
    return 0;
}

static void reopen(struct house *house)
{
    close_house(house);
    open_house(house);
}

static enum lh_code report(struct house *house, const char *entity, const char *value)
{
    const struct journal_event event = {.action = lh_lit("update"),
                                        .entity = lh_str_of(entity),
                                        .dataset = lh_lit("people"),
                                        .field = lh_lit("status"),
                                        .new_value = lh_str_of(value),
                                        .actor = lh_lit("ann")};
    return journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err);
}

static void given_events(struct house *house, int count)
{
    for (int i = 0; i < count; i++) {
        char entity[32];
        snprintf(entity, sizeof entity, "E-%d", i);
        if (report(house, entity, "x"))
            fail_msg("%s", house->err.message);
    }
}

static size_t count_all(struct house *house)
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

/* The verifier's errors; the journal is closed meanwhile. */
static size_t verify(struct house *house)
{
    struct storage_findings findings = {.arena = house->arena};
    struct engine *engine = NULL;
    struct storage *storage = NULL;
    const struct storage_options options = {.path = temp_lake_path(&house->folder),
                                            .access = STORAGE_READ};
    const struct engine_options engine_options = {.thread_count = 1, .connection_max = 1};
    int64_t count = 0;
    if (storage_open(&options, &storage, &house->err) ||
        engine_open(&engine_options, &engine, &house->err))
        fail_msg("%s", house->err.message);
    const struct journal_verify_options journal = {.engine = engine};
    if (journal_verify(storage, &journal, &findings, &count, &house->err))
        fail_msg("%s", house->err.message);
    engine_close(engine);
    storage_close(storage);
    return findings.error_count;
}

/* --- what is acknowledged */

static void an_announced_change_survives_a_roll_and_is_settled_after_it(void **state)
{
    struct house *house = *state;
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
    close_house(house);
    assert_int_equal(verify(house), 0);
    open_house(house);
    assert_int_equal(journal_settle(house->journal, intent, &event, &house->err), LH_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        reopen(house);
        journal_open_intents(house->journal, house->arena, &intents, &count);
        assert_int_equal(count, 0);
    }
    assert_int_equal(count_all(house), 7);
    assert_null(journal_damage(house->journal, house->arena).data);
    close_house(house);
    assert_int_equal(verify(house), 0);
    assert_int_not_equal(access(first_log, F_OK), 0); /* no longer needed */
    open_house(house);
}

static void count_call(void *context)
{
    (*(int *)context)++;
}

static void large_records_fill_several_files_and_roll_by_their_bytes(void **state)
{
    struct house *house = *state;
    static char value[60001];
    struct journal_stats stats;
    int calls = 0;
    memset(value, 'v', sizeof value - 1);
    house->roll_bytes = 200000;
    house->waiting_bytes_max = 1000000;
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
        assert_true(entries[i].bytes <= house->roll_bytes);
    reopen(house);
    assert_int_equal(count_all(house), taken + 1);
    assert_int_equal(journal_roll(house->journal, false, &house->err), LH_OK);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.segments, 1);
    assert_int_equal(report(house, "big", value), LH_OK);
    reopen(house);
    assert_int_equal(count_all(house), taken + 2);
    assert_null(journal_damage(house->journal, house->arena).data);
    close_house(house);
    assert_int_equal(verify(house), 0);
    open_house(house);
}

static void a_head_that_counts_wrongly_is_found(void **state)
{
    struct house *house = *state;
    given_events(house, 3);
    const struct journal_event commit = {
        .action = lh_lit("dataset.append"), .entity = lh_lit("t"), .lake_sequence = 41};
    assert_int_equal(journal_append(house->journal, &commit, 1, false, NULL, NULL, &house->err),
                     LH_OK);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    close_house(house);
    const char *path = temp_lake_file(&house->folder, "_journal/log/00000000000000000005.log");
    assert_int_equal(verify(house), 0);
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
            assert_int_equal(verify(house), round ? 0 : 1);
        }
        fclose(file);
    }
    open_house(house);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_announced_change_survives_a_roll_and_is_settled_after_it),
        TEST(a_head_that_counts_wrongly_is_found),
        TEST(large_records_fill_several_files_and_roll_by_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
