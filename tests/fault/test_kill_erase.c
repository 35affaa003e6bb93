/* SIGKILL at every fault point of an erasure: a child erases a row, and is killed at the first,
 * second, third … point until it lives through. The next start goes on with what was begun: then
 * the row is in no file, its key goes on suppressing, and the lake verifies.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 151
#define POINTS_MAX 6000
#define PLAN_BYTES (KILLED_LINE_BYTES + 64)
#define KEY "Zaphod-key-42"
#define TEXT "towel and the third gargle blaster"

static int live(const char *folder)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    op_house_call(&house, "catalog.erase",
                  "{\"dataset\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": "
                  "[\"" KEY "\"], \"reason\": \"a letter\"}");
    if (!killed_child_acknowledge())
        return 1;
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

static void copy_folder(const char *from, const char *to)
{
    char command[9000];
    snprintf(command, sizeof(command), "cp -a '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static bool stands_in(const char *folder, const char *text)
{
    char command[9000];
    snprintf(command, sizeof(command), "grep -rqF -- '%s' '%s'", text, folder);
    int status = system(command);
    assert_true(status == 0 || WEXITSTATUS(status) == 1);
    return status == 0;
}

/* The state of the newest erasure, once it has come to an end; NULL: there is none. */
static const char *ending_of(struct op_house *house)
{
    for (;;) {
        const json_t *items = json_object_get(op_house_call(house, "erasures.list", "{}"), "items");
        const json_t *first = json_array_get(items, 0);
        const char *state = json_string_value(json_object_get(first, "state"));
        if (!state || (strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0))
            return state;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

static void check_lake(const char *folder, bool was_told, const char *plan)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    const char *state = ending_of(&house);
    if (!state && was_told)
        fail_msg("%s: the erasure was acknowledged and is lost", plan);
    if (state && strcmp(state, "erased") != 0)
        fail_msg("%s: it ended %s: %.*s", plan, state, LH_ARG(house.body));
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"),
                        state ? "[[4]]" : "[[5]]");
    if (state) {
        assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[4]]");
        if (stands_in(folder, KEY) || stands_in(folder, TEXT))
            fail_msg("%s: something of the row is left", plan);
        op_house_rows(&house, "people", "id,text\n" KEY ",again\n", "append");
        assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[4]]");
    }
    op_house_close(&house); /* verifies */
}

static struct killed_ending one_life(const struct temp_lake *folder, const char *plan)
{
    struct temp_lake own;
    char base[4200], lake[4200];
    temp_lake_make(&own);
    snprintf(base, sizeof(base), "%s/lake", folder->path);
    snprintf(lake, sizeof(lake), "%s/lake", own.path);
    copy_folder(base, lake);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, ending.acknowledged > 0, plan);
    temp_lake_remove(&own);
    return ending;
}

static void an_erasure_may_be_killed_anywhere(void **state)
{
    struct op_house house;
    char plan[PLAN_BYTES];
    unsigned kills = 0, step = fault_stride(STRIDE);
    bool is_through = false;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "people", "id,text\none,first\ntwo,second\n" KEY ",\"has a " TEXT "\"\n",
                  "create");
    op_house_rows(&house, "people", "id,text\nthree,third\nfour,fourth\n", "append");
    op_house_call(&house, "journal.event",
                  "{\"entity_id\": \"people/" KEY "\", \"action\": \"called\"}");
    op_house_close(&house);
    assert_true(stands_in(house.folder.path, KEY) && stands_in(house.folder.path, TEXT));
    struct killed_ending peace = one_life(&house.folder, "");
    assert_false(peace.was_killed);
    assert_int_equal(peace.acknowledged, 1);
    for (size_t i = 0; i < peace.name_count; i++) {
        snprintf(plan, sizeof(plan), "%s=1:kill", peace.names[i]);
        kills += one_life(&house.folder, plan).was_killed;
    }
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at += step) {
        snprintf(plan, sizeof(plan), "*=%u:kill", at);
        is_through = !one_life(&house.folder, plan).was_killed;
        kills += !is_through;
    }
    assert_true(is_through);
    assert_true(kills > 15);
    printf("figure: erasures killed: %zu points under %zu names in one life, %u kills (every %u), "
           "0 bytes of the row left\n",
           peace.point_count, peace.name_count, kills, step);
    temp_lake_remove(&house.folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_erasure_may_be_killed_anywhere),
    };
    temp_lake_prefer_memory(); /* a kill leaves the page cache alone: memory is as good */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
