/* Every key that was deleted or lifted has its line in the journal, however many there are in one
 * call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/op_house.h"

#define KEYS 120

static void given_rows(struct op_house *house, int count)
{
    char *csv = malloc((size_t)count * 24 + 16);
    size_t len = (size_t)sprintf(csv, "k,n\n");
    for (int i = 1; i <= count; i++)
        len += (size_t)sprintf(csv + len, "key-%d,%d\n", i, i);
    if (op_house_try_file(house, "ingest.file", "{\"dataset\": \"t\"}", "t.csv", csv, len))
        fail_msg("%s", house->err.message);
    free(csv);
}

/* The keys from one number to another. */
static json_t *call(struct op_house *house, const char *op, int from, int upto)
{
    char *args = malloc((size_t)(upto - from + 1) * 16 + 512);
    size_t len = 0;
    if (strcmp(op, "datasets.lift") == 0)
        len = (size_t)sprintf(args, "{\"name\": \"t\"");
    else if (strcmp(op, "catalog.erase") == 0)
        len = (size_t)sprintf(args, "{\"dataset\": \"t\", \"row_key_column\": \"k\", "
                                    "\"wait\": true");
    else
        len = (size_t)sprintf(args, "{\"name\": \"t\", \"row_key_column\": \"k\"");
    len += (size_t)sprintf(args + len, ", \"actor\": \"ann\", \"reason\": \"asked for\", "
                                       "\"row_key_values\": [");
    for (int i = from; i <= upto; i++)
        len += (size_t)sprintf(args + len, "%s\"key-%d\"", i > from ? "," : "", i);
    sprintf(args + len, "]}");
    json_t *reply = op_house_call(house, op, args);
    free(args);
    return reply;
}

static void then_history(struct op_house *house, int key, size_t count, const char *newest)
{
    char args[64];
    snprintf(args, sizeof args, "{\"entity_id\": \"key-%d\"}", key);
    const json_t *items = json_object_get(op_house_call(house, "journal.history", args), "items");
    assert_int_equal(json_array_size(items), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(items, i);
        if (!i)
            assert_string_equal(reply_text(item, "action"), newest);
        assert_string_equal(reply_text(item, "actor"), "ann");
        assert_string_equal(reply_text(item, "reason"), "asked for");
        assert_string_equal(reply_text(item, "dataset"), "t");
    }
}

static void each_of_many_keys_has_its_history(void **state)
{
    struct op_house *house = *state;
    given_rows(house, KEYS + 1);
    call(house, "datasets.tombstone", 1, KEYS);
    for (int key = 1; key <= KEYS; key++)
        then_history(house, key, 1, "tombstone");
    then_history(house, KEYS + 1, 0, NULL);
    call(house, "datasets.lift", 1, KEYS - 10); /* some of them */
    then_history(house, 101, 2, "lift");
    then_history(house, KEYS, 1, "tombstone");
    call(house, "datasets.tombstone", 1, KEYS - 10);
    call(house, "datasets.lift", 1, KEYS); /* the last: no list of them is left */
    then_history(house, 101, 4, "lift");
    then_history(house, KEYS, 2, "lift");
    op_house_reopen(house);
    then_history(house, 101, 4, "lift");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM journal WHERE action = "
                                            "'tombstone' AND dataset = 't'"),
                        "[[230]]");
}

/* The lists are written together before anybody drained the calls. */
static void a_fold_that_comes_between_takes_none_away(void **state)
{
    struct op_house *house = *state;
    given_rows(house, KEYS + 20);
    call(house, "datasets.tombstone", 1, KEYS);
    for (int key = KEYS + 1; key <= KEYS + 20; key++) /* so many that lists are written together */
        call(house, "datasets.tombstone", key, key);
    for (int key = 1; key <= KEYS + 20; key += 20)
        then_history(house, key, 1, "tombstone");
}

static void an_erasure_names_none_of_many_keys(void **state)
{
    struct op_house *house = *state;
    given_rows(house, KEYS + 1);
    call(house, "datasets.tombstone", 1, KEYS);
    then_history(house, 77, 1, "tombstone");
    json_t *receipt = call(house, "catalog.erase", 1, KEYS);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_string_equal(
        op_house_sql(house, "SELECT count(*) FROM journal WHERE entity LIKE 'key-%'"), "[[0]]");
    assert_string_equal(op_house_sql(house,
                                     "SELECT count(DISTINCT entity) FROM journal WHERE entity LIKE "
                                     "'erased:%' AND actor = 'ann'"),
                        "[[120]]");
}

static void a_hundred_thousand_keys_are_journaled_behind_the_call(void **state)
{
    enum { COUNT = 100000 };
    struct op_house *house = *state;
    given_rows(house, COUNT + 1);
    int64_t started_us = lh_clock_monotonic_us();
    json_t *reply = call(house, "datasets.tombstone", 1, COUNT);
    int64_t called_us = lh_clock_monotonic_us();
    assert_int_equal(reply_int(reply, "rows_tombstoned"), COUNT);
    then_history(house, COUNT, 1, "tombstone");
    then_history(house, 101, 1, "tombstone");
    int64_t told_us = lh_clock_monotonic_us();
    printf("figure: %d keys: the call %lld ms, all in the journal and two histories %lld ms "
           "later\n",
           COUNT, (long long)(called_us - started_us) / 1000,
           (long long)(told_us - called_us) / 1000);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(DISTINCT entity) FROM journal "
                                            "WHERE action = 'tombstone'"),
                        "[[100000,100000]]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_of_many_keys_has_its_history),
        TEST(a_fold_that_comes_between_takes_none_away),
        TEST(an_erasure_names_none_of_many_keys),
        TEST(a_hundred_thousand_keys_are_journaled_behind_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
