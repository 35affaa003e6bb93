/* SIGKILL at every fault point of an erasure that writes a journal anew which an older release
 * left. Afterwards the records are the old ones or the new ones, whole; and that release, which
 * knows no segment with a sum in its name, opens no journal that has one: it would go on behind the
 * old records, and what it then acknowledged would be lost.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "journal/erase.h"
#include "support/journal_house.h"
#include "support/killed_child.h"

#ifdef LH_FAULTS

#define STRIDE 7

static bool take_out(void *context, struct journal_event *event, struct lh_arena *arena)
{
    (void)context;
    (void)arena;
    if (!lh_str_equal(event->entity, lh_lit("E-0")))
        return false;
    event->entity = event->new_value = lh_lit("erased:1");
    return true;
}

static int live(const char *folder)
{
    struct journal_house house = {.arena = lh_arena_new(0)};
    struct journal_erased erased;
    const struct journal_erase_options options = {
        .rewrite = take_out, .actor = lh_lit("ann"), .reason = lh_lit("asked for")};
    snprintf(house.folder.path, sizeof house.folder.path, "%s", folder);
    journal_house_open(&house);
    if (journal_erase(house.journal, &options, &erased, &house.err) || erased.records != 1 ||
        !killed_child_acknowledge())
        return 1;
    journal_house_close(&house);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

/* A segment of two records, and a log: with one more, or empty. */
static void given_an_older_journal(struct journal_house *house, bool is_empty)
{
    temp_lake_make(&house->folder);
    house->arena = lh_arena_new(0);
    journal_house_open(house);
    journal_house_given(house, 2);
    assert_int_equal(journal_roll(house->journal, true, &house->err), LH_OK);
    if (!is_empty) {
        const struct journal_event event = {
            .action = lh_lit("update"), .entity = lh_lit("E-2"), .actor = lh_lit("ann")};
        assert_int_equal(journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err),
                         LH_OK);
    }
    journal_house_close(house);
    journal_house_age(house);
    assert_false(journal_house_misleads_older(house));
}

static size_t count_of(struct journal_house *house, const char *entity)
{
    const struct journal_filter filter = {.entity = lh_str_of(entity)};
    struct journal_record *records = NULL;
    size_t count = 0;
    bool has_more = false;
    if (journal_list(house->journal, &filter, 0, 100, NULL, house->arena, &records, &count,
                     &has_more, &house->err))
        fail_msg("%s", house->err.message);
    return count;
}

static void then_it_goes_on(struct journal_house *house, const char *plan, size_t kept,
                            bool is_acknowledged)
{
    if (journal_house_misleads_older(house))
        fail_msg("%s: an older release would go on behind a segment that it does not know", plan);
    journal_house_open(house);
    if (journal_damage(house->journal, house->arena).data)
        fail_msg("%s: %s", plan, journal_damage(house->journal, house->arena).data);
    size_t old = count_of(house, "E-0"), new = count_of(house, "erased:1");
    if (old + new != 1 || (is_acknowledged && old) || count_of(house, "journal") != new ||
        journal_house_count(house) != kept + new)
        fail_msg("%s: %zu old and %zu new records", plan, old, new);
    journal_house_given(house, 1);
    journal_house_close(house);
    journal_house_open(house);
    assert_int_equal(count_of(house, "E-0"), old + 1);
    journal_house_close(house);
    if (journal_house_verify(house).errors)
        fail_msg("%s: it does not verify", plan);
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    const bool *is_empty = context;
    struct journal_house house = {.err = LH_ERROR_NONE};
    given_an_older_journal(&house, *is_empty);
    struct killed_ending ending = killed_child_run("--live", house.folder.path, plan);
    then_it_goes_on(&house, plan, *is_empty ? 2 : 3, ending.acknowledged > 0);
    lh_arena_free(house.arena);
    temp_lake_remove(&house.folder);
    return ending;
}

static void die_everywhere(bool is_empty)
{
    struct killed_lives lives = killed_everywhere(one_life, &is_empty, 1, STRIDE, 1);
    assert_true(lives.kills * lives.step > 100);
    printf("figure: erasures of an older release's journal killed: %u at %zu points, %s log\n",
           lives.kills, lives.peace.point_count, is_empty ? "an empty" : "a used");
}

static void no_older_release_goes_on_behind_records_that_were_written_anew(void **state)
{
    (void)state;
    die_everywhere(false);
}

static void nor_where_its_log_was_empty(void **state)
{
    (void)state;
    die_everywhere(true);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_older_release_goes_on_behind_records_that_were_written_anew),
        cmocka_unit_test(nor_where_its_log_was_empty),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
