/* Records written anew: the chain holds, what was taken out is gone, damage is not mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/pool.h"
#include "engine/engine.h"
#include "journal/erase.h"
#include "journal/verify.h"
#include "storage/findings.h"
#include "storage/scrub.h"
#include "storage/storage.h"
#include "support/fault_ways.h"
#include "support/journal_house.h"
#include "support/kept_engine.h"

static void report(struct journal_house *house, const char *entity)
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

static enum lh_code erase(struct journal_house *house, const char *entity,
                          struct journal_erased *ret)
{
    const struct journal_erase_options options = {.rewrite = take_out,
                                                  .context = (void *)(uintptr_t)entity,
                                                  .actor = lh_lit("ann"),
                                                  .reason = lh_lit("asked for")};
    return journal_erase(house->journal, &options, ret, &house->err);
}

static size_t count_of(struct journal_house *house, const char *entity)
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

static size_t verify(struct journal_house *house)
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
    struct journal_house *house = *state;
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
        journal_house_close(house);
        journal_house_open(house);
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
    struct journal_house *house = *state;
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
    struct journal_house *house = *state;
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

/* --- who reads meanwhile */

#define REWRITINGS 25

struct reader {
    struct journal *journal;
    _Atomic bool may_end;
    struct lh_error err;
    size_t lists, wrong;
};

static void *read_on(void *context)
{
    struct reader *reader = context;
    const struct journal_filter filter = {.entity = lh_lit("kept")};
    while (!atomic_load(&reader->may_end) && !reader->err.code) {
        struct lh_arena *arena = lh_arena_new(0);
        struct journal_record *records = NULL;
        size_t count = 0;
        bool has_more = false;
        if (!journal_list(reader->journal, &filter, 0, 1000, NULL, arena, &records, &count,
                          &has_more, &reader->err))
            reader->wrong += count != 1;
        reader->lists++;
        lh_arena_free(arena);
    }
    return NULL;
}

static void readers_find_every_record_while_they_are_written_anew(void **state)
{
    struct journal_house *house = *state;
    struct journal_erased erased;
    struct reader reader = {0};
    const struct lh_str folder = lh_lit("_journal");
    pthread_t thread;
    report(house, "kept");
    report(house, "one");
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    journal_house_close(house); /* memory forgets them: only the segment has them */
    journal_house_open(house);
    reader.journal = house->journal;
    assert_int_equal(lh_thread_start("reader", read_on, &reader, &thread, &house->err), LH_OK);
    for (int i = 0; i < REWRITINGS; i++) {
        report(house, "one");
        assert_int_equal(erase(house, "one", &erased), LH_OK);
        assert_int_equal(storage_trash_remove(house->storage, &folder, 1, &house->err), LH_OK);
    }
    atomic_store(&reader.may_end, true);
    pthread_join(thread, NULL);
    if (reader.err.code)
        fail_msg("after %zu lists: %s", reader.lists, reader.err.message);
    assert_int_equal(reader.wrong, 0);
    assert_true(reader.lists > 5);
}

/* --- where the disk fails */

#ifdef LH_FAULTS

#define POINTS_MAX 500
#define OLDER_WAY 2   /* of a journal that an older release left */
#define POINTS_MIN 15 /* that one rewriting has at least */

static void begin_again(struct journal_house *house, bool is_older)
{
    journal_house_close(house);
    temp_lake_remove(&house->folder);
    temp_lake_make(&house->folder);
    journal_house_open(house);
    report(house, "one");
    report(house, "two");
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    report(house, "one");
    if (!is_older)
        return;
    journal_house_close(house);
    journal_house_age(house);
    journal_house_open(house);
}

/* Whatever is told of the rewriting: what is acknowledged after it is there for who opens the
 * journal next, the records are the old ones or the new ones, and the chain holds. */
static bool rewrite_with(struct journal_house *house, const char *plan, bool is_older)
{
    struct journal_erased erased;
    const struct journal_event event = {
        .action = lh_lit("update"), .entity = lh_lit("after"), .actor = lh_lit("ann")};
    begin_again(house, is_older);
    assert_true(lh_fault_plan(plan));
    enum lh_code code = erase(house, "one", &erased);
    bool was_struck = lh_fault_was_struck();
    assert_true(lh_fault_plan(NULL));
    bool was_taken =
        journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err) == LH_OK;
    if (code == LH_UNKNOWN && was_taken)
        fail_msg("%s: it goes on, though nobody knows from where", plan);
    if (code && code != LH_UNKNOWN && !was_taken)
        fail_msg("%s: it takes nothing: %s", plan, house->err.message);
    journal_house_close(house);
    journal_house_open(house);
    if (journal_damage(house->journal, house->arena).data)
        fail_msg("%s: damaged", plan);
    if (count_of(house, "after") != was_taken)
        fail_msg("%s: an acknowledged event is lost, or one is there that was refused", plan);
    size_t old = count_of(house, "one"), new = count_of(house, "erased:1");
    if (old + new != 2 || (old && new) || (!code && old) || count_of(house, "two") != 1)
        fail_msg("%s: %zu old, %zu new records", plan, old, new);
    if (verify(house))
        fail_msg("%s: it does not verify", plan);
    return was_struck;
}

static void no_acknowledged_event_is_lost_wherever_the_disk_fails(void **state)
{
    static const char *const ways[] = {"*=%u:EIO", "*=%u+:EIO", [OLDER_WAY] = "*=%u:EIO"};
    static const unsigned strides[] = {1, 5, 3};
    char plan[64];
    lh_log_set_level(LH_LOG_ERROR);
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        unsigned at = 1;
        for (bool was_struck = true; was_struck; at += fault_stride(strides[way])) {
            assert_true(at < POINTS_MAX);
            snprintf(plan, sizeof plan, ways[way], at);
            was_struck = rewrite_with(*state, plan, way == OLDER_WAY);
        }
        assert_true(at > POINTS_MIN);
    }
}

#endif

/* --- damage */

/* The first file of a folder of the journal. */
static void find(struct journal_house *house, const char *folder, char path[4400])
{
    char command[4400];
    snprintf(command, sizeof command, "find '%s/_journal/%s' -type f | sort | head -n 1",
             house->folder.path, folder);
    FILE *found = popen(command, "r");
    assert_non_null(found);
    assert_int_equal(fscanf(found, "%4399[^\n]", path), 1);
    pclose(found);
}

static void flip_in_log(struct journal_house *house, long at)
{
    char path[4400];
    find(house, "log", path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    fclose(file);
}

/* Somebody who can write Parquet says that it was another who did it. */
static void change_segment(struct journal_house *house)
{
    char path[4400], sql[9000];
    struct lh_str other = lh_arena_printf(house->arena, "%s/other.parquet", house->folder.path);
    struct engine_connection *connection = NULL;
    struct engine_content content;
    const struct engine_copy_options options = {.codec = lh_lit("zstd")};
    const struct engine_options few = {.thread_count = 1, .connection_max = 2};
    find(house, "segments", path);
    snprintf(sql, sizeof sql,
             "SELECT * REPLACE (CASE WHEN sequence = 1 THEN 'bob' ELSE actor END AS actor) "
             "FROM read_parquet('%s')",
             path);
    assert_int_equal(engine_open(&few, &house->engine, &house->err), LH_OK);
    assert_int_equal(
        engine_acquire(house->engine, (struct lh_str){0}, NULL, &connection, &house->err), LH_OK);
    if (engine_copy(connection, lh_str_of(sql), other, &options, NULL, NULL, &content, &house->err))
        fail_msg("%s", house->err.message);
    engine_release(connection);
    engine_close(house->engine);
    assert_int_equal(rename(lh_arena_cstr(house->arena, other), path), 0);
}

static void then_nothing_is_mended(struct journal_house *house)
{
    struct journal_erased erased;
    assert_int_equal(erase(house, "one", &erased), LH_DAMAGED);
    assert_int_equal(erase(house, "two", &erased), LH_DAMAGED);
    assert_true(verify(house) > 0);
}

static void a_log_that_is_damaged_is_not_written_anew(void **state)
{
    struct journal_house *house = *state;
    report(house, "one");
    report(house, "two");
    report(house, "three");
    journal_house_close(house);
    flip_in_log(house, -40); /* in the last record */
    journal_house_open(house);
    then_nothing_is_mended(house);
}

static void a_segment_of_other_records_is_not_written_anew(void **state)
{
    struct journal_house *house = *state;
    struct journal_erased erased;
    report(house, "one");
    report(house, "two");
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    report(house, "three");
    journal_house_close(house);
    change_segment(house);
    journal_house_open(house);
    then_nothing_is_mended(house);
    assert_int_equal(erase(house, "nobody", &erased), LH_DAMAGED);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, journal_house_set_up, journal_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_go_and_the_chain_holds_over_logs_segments_and_restarts),
        TEST(nothing_is_written_where_nothing_is_to_go),
        TEST(an_announced_change_keeps_the_records_as_they_are),
        TEST(readers_find_every_record_while_they_are_written_anew),
        TEST(a_log_that_is_damaged_is_not_written_anew),
        TEST(a_segment_of_other_records_is_not_written_anew),
#ifdef LH_FAULTS
        TEST(no_acknowledged_event_is_lost_wherever_the_disk_fails),
#endif
    };
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}
