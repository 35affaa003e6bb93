/* Records written anew: the chain holds, what was taken out is gone, damage is not mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "journal/erase.h"
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
};

static void open_house(struct house *house)
{
    const struct storage_options storage = {
        .path = temp_lake_path(&house->folder), .access = STORAGE_WRITE, .create = true};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 2};
    if (storage_open(&storage, &house->storage, &house->err) ||
        engine_open(&engine, &house->engine, &house->err))
        fail_msg("%s", house->err.message);
    const struct journal_options options = {
        .storage = house->storage, .engine = house->engine, .epoch = 7};
    if (journal_open(&options, &house->journal, &house->err))
        fail_msg("%s", house->err.message);
}

static void close_house(struct house *house)
{
    journal_close(house->journal);
    engine_close(house->engine);
    storage_close(house->storage);
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

static void report(struct house *house, const char *entity)
{
    const struct journal_event event = {.action = lh_lit("update"),
                                        .entity = lh_str_of(entity),
                                        .new_value = lh_str_of(entity),
                                        .actor = lh_lit("ann")};
    if (journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err))
        fail_msg("%s", house->err.message);
}

static bool take_out(void *context, struct journal_event *event, struct lh_arena *arena)
{
    (void)arena;
    if (!lh_str_equal(event->entity, lh_str_of(context)))
        return false;
    event->entity = event->new_value = lh_lit("erased:1");
    return true;
}

static enum lh_code erase(struct house *house, const char *entity, struct journal_erased *ret)
{
    const struct journal_erase_options options = {.rewrite = take_out,
                                                  .context = (void *)(uintptr_t)entity,
                                                  .actor = lh_lit("ann"),
                                                  .reason = lh_lit("asked for")};
    return journal_erase(house->journal, &options, ret, &house->err);
}

static size_t count_of(struct house *house, const char *entity)
{
    const struct journal_filter filter = {.entity = lh_str_of(entity)};
    struct journal_record *records = NULL;
    size_t count = 0;
    bool has_more = false;
    if (journal_list(house->journal, &filter, 0, 1000, NULL, house->arena, &records, &count,
                     &has_more, &house->err))
        fail_msg("%s", house->err.message);
    return count;
}

static size_t verify(struct house *house)
{
    struct storage_findings findings = {.arena = house->arena};
    const struct journal_verify_options options = {.engine = house->engine};
    int64_t count = 0;
    if (journal_verify(house->storage, &options, &findings, &count, &house->err))
        fail_msg("%s", house->err.message);
    for (size_t i = 0; i < findings.count; i++)
        printf("%.*s: %.*s\n", LH_ARG(findings.items[i].object), LH_ARG(findings.items[i].what));
    return findings.error_count;
}

static void texts_go_and_the_chain_holds_over_logs_segments_and_restarts(void **state)
{
    struct house *house = *state;
    struct journal_erased erased;
    struct journal_stats stats;
    report(house, "one");
    report(house, "two");
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    report(house, "one");
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    report(house, "three");
    journal_stats(house->journal, &stats);
    assert_int_equal(erase(house, "one", &erased), LH_OK);
    assert_int_equal(erased.records, 2);
    assert_string_equal(erased.hash_before, stats.hash);
    assert_string_not_equal(erased.hash_after, stats.hash);
    assert_int_equal(count_of(house, "one"), 0);
    assert_int_equal(count_of(house, "erased:1"), 2);
    assert_int_equal(count_of(house, "journal"), 1);
    report(house, "four");
    assert_int_equal(verify(house), 0);
    for (int i = 0; i < 2; i++) {
        close_house(house);
        open_house(house);
        assert_null(journal_damage(house->journal, house->arena).data);
        assert_int_equal(count_of(house, "erased:1"), 2);
        assert_int_equal(count_of(house, "four"), 1 + (size_t)i);
        report(house, "four");
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        assert_int_equal(verify(house), 0);
    }
    assert_int_equal(erase(house, "two", &erased), LH_OK);
    assert_int_equal(erased.records, 1);
    assert_int_equal(verify(house), 0);
    journal_stats(house->journal, &stats);
    assert_int_equal(stats.events, 9);
    assert_int_equal(stats.segments, 1);
}

static void nothing_is_written_where_nothing_is_to_go(void **state)
{
    struct house *house = *state;
    struct journal_erased erased;
    struct journal_stats before, after;
    report(house, "one");
    journal_stats(house->journal, &before);
    assert_int_equal(erase(house, "nobody", &erased), LH_OK);
    assert_int_equal(erased.records, 0);
    journal_stats(house->journal, &after);
    assert_string_equal(before.hash, after.hash);
    assert_int_equal(after.segments, 0);
}

static void an_announced_change_keeps_the_records_as_they_are(void **state)
{
    struct house *house = *state;
    struct journal_erased erased;
    uint64_t intent = 0;
    const struct journal_event event = {.action = lh_lit("key.create"), .entity = lh_lit("K")};
    report(house, "one");
    assert_int_equal(journal_intend(house->journal, &event, false, &intent, &house->err), LH_OK);
    assert_int_equal(erase(house, "one", &erased), LH_BUSY);
    assert_int_equal(count_of(house, "one"), 1);
    assert_int_equal(journal_settle(house->journal, intent, NULL, &house->err), LH_OK);
    assert_int_equal(erase(house, "one", &erased), LH_OK);
    assert_int_equal(erased.records, 1);
    assert_int_equal(verify(house), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_go_and_the_chain_holds_over_logs_segments_and_restarts),
        TEST(nothing_is_written_where_nothing_is_to_go),
        TEST(an_announced_change_keeps_the_records_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
