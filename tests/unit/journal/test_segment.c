/* Segments of the journal: what was done to one is found, and no row of it is told to anybody, by a
 * list or by SQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "engine/engine.h"
#include "journal/verify.h"
#include "storage/findings.h"
#include "support/journal_house.h"

/* LAKEHOUSE_LONG: more of them. */
static size_t stride(void)
{
    return getenv("LAKEHOUSE_LONG") ? 31 : 1601;
}

/* A text of a segment with another letter is a record that is damaged, not another record. */
static void a_changed_text_of_a_segment_is_told_as_damage(void **state)
{
    struct journal_house *house = *state;
    static const char text[] = "people";
    size_t count = 0, places = 0;
    journal_house_given(house, 2);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    const char *name = journal_house_segment(house, 1, 2);
    journal_house_close(house);
    char *bytes = journal_house_read(house, name, &count);
    for (char *at = bytes; (at = memmem(at, count - (size_t)(at - bytes), text, strlen(text)));
         at++, places++)
        at[1] ^= 1;
    assert_true(places > 0);
    journal_house_write(house, name, bytes, count);
    free(bytes);
    journal_house_open(house);
    const struct journal_filter all = {.since_ms = 0};
    struct journal_record *records = NULL;
    bool has_more = false;
    assert_int_equal(journal_list(house->journal, &all, 0, 10, NULL, house->arena, &records, &count,
                                  &has_more, &house->err),
                     LH_DAMAGED);
}

/* A journal that may be damaged tells its records as they were, or an error. */
static void tells_nothing_else(struct journal_house *house)
{
    const struct journal_filter all = {.since_ms = 0};
    struct journal_record *records = NULL;
    bool has_more = false;
    size_t count = 0;
    if (journal_list(house->journal, &all, 0, 1000, NULL, house->arena, &records, &count, &has_more,
                     &house->err))
        return;
    for (size_t i = 0; i < count; i++)
        if (!lh_str_equal(records[i].event.new_value, lh_lit("x")) ||
            !lh_str_equal(records[i].event.dataset, lh_lit("people")) ||
            !lh_str_starts_with(records[i].event.entity, lh_lit("E-")))
            fail_msg("record %llu is told otherwise", (unsigned long long)records[i].sequence);
}

/* What a statement counts under a condition that only some rows fit; -1: it is told that a segment
 * is damaged, and which. */
static int count_by_sql(struct journal_house *house, const char *condition)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_buf sql;
    int64_t rows = -1;
    enum lh_code code = journal_ensure_sound(house->journal, NULL, &house->err);
    if (code == LH_DAMAGED) {
        assert_non_null(strstr(house->err.message, "'_journal/segments/"));
        return -1;
    }
    assert_int_equal(code, LH_OK);
    lh_buf_init(&sql, 1 << 20);
    lh_buf_append_str(&sql, lh_lit("SELECT count(*) FROM ("));
    assert_int_equal(journal_write_sql(house->journal, &sql, &house->err), LH_OK);
    lh_buf_printf(&sql, ") WHERE %s", condition);
    if (engine_query(house->engine, lh_buf_str(&sql), NULL, NULL, &cursor, &house->err) ||
        engine_cursor_next(cursor, &chunk, &house->err))
        fail_msg("%s", house->err.message);
    if (chunk)
        rows = ((const int64_t *)chunk->columns[0].data)[0];
    assert_true(rows >= 0);
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    return (int)rows;
}

/* Conditions that the engine compares with what the file says of its rows. */
static const struct {
    const char *condition;
    int rows;
} questions[] = {
    {"entity = 'E-1' AND new_value = 'x' AND dataset = 'people' AND actor = 'ann'", 1},
    {"sequence BETWEEN 2 AND 3 AND happened_at > '2000-01-01' AND field = 'status'", 2},
    {"entity = 'E-9' OR sequence > 4 OR new_value <> 'x'", 0},
};

static bool is_told_as_damaged(struct journal_house *house)
{
    int told = 0;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        int rows = count_by_sql(house, questions[i].condition);
        told += rows < 0;
        if (rows >= 0)
            assert_int_equal(rows, questions[i].rows);
    }
    assert_true(told == 0 || told == sizeof questions / sizeof questions[0]);
    return told;
}

struct flips {
    unsigned tried, found, told;
};

/* Each with lists and SQL, of a journal that was opened with the flip. */
static struct flips flip_segment(struct journal_house *house, const char *name)
{
    struct flips flips = {0};
    size_t count = 0;
    char *bytes = journal_house_read(house, name, &count);
    for (size_t bit = 0; bit < count * 8; bit += stride(), flips.tried++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        journal_house_write(house, name, bytes, count);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        flips.found += journal_house_verify(house).errors > 0;
        journal_house_open(house);
        flips.told += is_told_as_damaged(house);
        tells_nothing_else(house);
        journal_house_close(house);
    }
    journal_house_write(house, name, bytes, count);
    free(bytes);
    assert_int_equal(journal_house_verify(house).errors, 0);
    journal_house_open(house);
    assert_false(is_told_as_damaged(house));
    assert_int_equal(journal_house_count(house), 4);
    journal_house_close(house);
    return flips;
}

static void no_flipped_bit_of_a_segment_gives_a_row_to_anybody(void **state)
{
    struct journal_house *house = *state;
    journal_house_given(house, 4);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    const char *name = journal_house_segment(house, 1, 4);
    journal_house_close(house);
    struct flips flips = flip_segment(house, name);
    assert_int_equal(flips.found, flips.tried);
    assert_int_equal(flips.told, flips.tried);
    printf("figure: %u flipped bits of a segment, all found, none read\n", flips.tried);
    journal_house_open(house);
}

/* A folder with a segment of four records, as format 2 named it; its journal is closed. */
static const char *given_format_2(struct journal_house *house)
{
    journal_house_given(house, 4);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    journal_house_close(house);
    journal_house_age(house);
    return journal_house_segment(house, 1, 4);
}

/* Without a sum what a segment says is told by its rows: a flip that changes none of them (the
 * library's own statistics, a name of who wrote it) harms nobody, and one that changes any is
 * found. */
static void no_flipped_bit_of_a_segment_of_format_2_gives_another_row_to_anybody(void **state)
{
    struct journal_house *house = *state;
    struct flips flips = flip_segment(house, given_format_2(house));
    assert_true(flips.told >= flips.found && flips.found > flips.tried / 3);
    printf("figure: %u flipped bits of a segment of format 2, %u found, the rest changed no row\n",
           flips.tried, flips.found);
    journal_house_open(house);
}

/* The file is looked at before each statement, and read again only when it is another. */
static void a_segment_that_changes_under_an_open_journal_is_told_too(void **state)
{
    struct journal_house *house = *state;
    size_t count = 0;
    journal_house_given(house, 4);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    const char *name = journal_house_segment(house, 1, 4);
    char *bytes = journal_house_read(house, name, &count);
    for (int round = 0; round < 2; round++) {
        assert_false(is_told_as_damaged(house));
        bytes[count / 2] ^= 4;
        journal_house_write(house, name, bytes, count);
        assert_true(is_told_as_damaged(house));
        bytes[count / 2] ^= 4;
        journal_house_write(house, name, bytes, count);
    }
    free(bytes);
    assert_false(is_told_as_damaged(house));
    assert_int_equal(unlink(temp_lake_file(&house->folder, name)), 0);
    assert_true(is_told_as_damaged(house));
}

/* There are few descriptors left, or none: the bytes are what they were. */
static void a_segment_that_cannot_be_read_just_now_is_not_called_damaged(void **state)
{
    struct journal_house *house = *state;
    struct rlimit usual;
    unsigned failed = 0;
    given_format_2(house);
    journal_house_open(house);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    int lowest = dup(0); /* the next one that is given */
    assert_true(lowest >= 0 && close(lowest) == 0);
    enum lh_code code = LH_BUSY;
    for (unsigned left = 0; code && left < 40; left++) {
        const struct rlimit few = {(rlim_t)lowest + left, usual.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        code = journal_ensure_sound(house->journal, NULL, &house->err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        if (code && code != LH_IO && code != LH_BUSY)
            fail_msg("%u descriptors are left: %s", left, house->err.message);
        failed += code != LH_OK;
    }
    assert_true(failed > 0);
    assert_int_equal(code, LH_OK);
    assert_false(is_told_as_damaged(house));
}

#ifdef LH_FAULTS
/* Without the engine the sum is all that is known of a segment: one that cannot be had is told. */
static void a_segment_whose_sum_cannot_be_had_is_a_finding(void **state)
{
    struct journal_house *house = *state;
    const struct journal_verify_options options = {.engine = NULL};
    unsigned told = 0;
    bool is_through = false;
    journal_house_given(house, 4);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    struct lh_str key = lh_str_of(journal_house_segment(house, 1, 4));
    for (unsigned at = 1; !is_through; at++) {
        struct storage_findings findings = {.arena = house->arena};
        char plan[32];
        int64_t count = 0;
        snprintf(plan, sizeof plan, "file.read=%u:EIO", at);
        assert_true(lh_fault_plan(plan));
        assert_int_equal(journal_verify(house->storage, &options, &findings, &count, &house->err),
                         LH_OK);
        is_through = !lh_fault_was_struck();
        for (size_t i = 0; i < findings.count; i++)
            told += findings.items[i].is_error && lh_str_equal(findings.items[i].object, key);
        if (is_through)
            assert_int_equal(findings.error_count, 0);
    }
    lh_fault_plan(NULL);
    assert_true(told > 0);
}
#endif

static void rewrite_segment(struct journal_house *house, const char *select)
{
    struct engine *engine = NULL;
    struct engine_connection *connection = NULL;
    struct engine_content content;
    const struct engine_options options = {.thread_count = 1, .connection_max = 1};
    const char *name = journal_house_segment(house, 1, 4);
    char sql[4096], path[4096], fresh[4200];
    snprintf(path, sizeof path, "%s", temp_lake_file(&house->folder, name));
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(sql, sizeof sql, select, path);
    struct lh_error *err = &house->err;
    if (engine_open(&options, &engine, err) ||
        engine_acquire(engine, (struct lh_str){0}, NULL, &connection, err) ||
        engine_copy(connection, lh_str_of(sql), lh_str_of(fresh), NULL, NULL, NULL, &content, err))
        fail_msg("%s", err->message);
    engine_release(connection);
    engine_close(engine);
    assert_int_equal(rename(fresh, path), 0);
}

static void a_row_of_a_segment_that_was_removed_changed_or_swapped_is_found(void **state)
{
    struct journal_house *house = *state;
    static const char *const harms[] = {
        "SELECT * FROM read_parquet('%s') WHERE sequence <> 2 ORDER BY sequence",
        "SELECT * REPLACE (CASE sequence WHEN 3 THEN 'bob' ELSE actor END AS actor) FROM "
        "read_parquet('%s') ORDER BY sequence",
        "SELECT * FROM read_parquet('%s') ORDER BY CASE sequence WHEN 2 THEN 3 WHEN 3 THEN 2 ELSE "
        "sequence END",
        "SELECT * FROM read_parquet('%s') WHERE sequence < 4 ORDER BY sequence",
        "SELECT * REPLACE (happened_at + INTERVAL 1 DAY AS happened_at) FROM read_parquet('%s') "
        "ORDER BY sequence",
    };
    for (size_t i = 0; i < sizeof harms / sizeof harms[0]; i++) {
        if (i) {
            journal_house_tear_down(state);
            journal_house_set_up(state);
            house = *state;
        }
        journal_house_given(house, 4);
        assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
        journal_house_given(house, 1);
        journal_house_close(house);
        assert_int_equal(journal_house_verify(house).errors, 0);
        rewrite_segment(house, harms[i]);
        if (!journal_house_verify(house).errors)
            fail_msg("harm %zu is not found", i);
        journal_house_open(house);
    }
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, journal_house_set_up, journal_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_flipped_bit_of_a_segment_gives_a_row_to_anybody),
        TEST(no_flipped_bit_of_a_segment_of_format_2_gives_another_row_to_anybody),
        TEST(a_segment_that_cannot_be_read_just_now_is_not_called_damaged),
#ifdef LH_FAULTS
        TEST(a_segment_whose_sum_cannot_be_had_is_a_finding),
#endif
        TEST(a_segment_that_changes_under_an_open_journal_is_told_too),
        TEST(a_changed_text_of_a_segment_is_told_as_damage),
        TEST(a_row_of_a_segment_that_was_removed_changed_or_swapped_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
