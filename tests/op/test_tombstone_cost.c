/* What tombstones cost those who append: as much as comes, not as much as was deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/op_house.h"

#define CALL 50000
#define ROUNDS 7

static void given_rows(struct op_house *house, const char *dataset, int count)
{
    char *csv = malloc((size_t)count * 24 + 16);
    char args[64];
    size_t len = (size_t)sprintf(csv, "k,n\n");
    for (int i = 1; i <= count; i++)
        len += (size_t)sprintf(csv + len, "key-%d,%d\n", i, i);
    snprintf(args, sizeof args, "{\"dataset\": \"%s\"}", dataset);
    if (op_house_try_file(house, "ingest.file", args, "t.csv", csv, len))
        fail_msg("%s", house->err.message);
    free(csv);
}

static void tombstone(struct op_house *house, int from, int upto)
{
    char *args = malloc((size_t)(upto - from + 1) * 16 + 512);
    size_t len = (size_t)sprintf(args, "{\"name\": \"t\", \"row_key_column\": \"k\", "
                                       "\"row_key_values\": [");
    for (int i = from; i <= upto; i++)
        len += (size_t)sprintf(args + len, "%s\"key-%d\"", i > from ? "," : "", i);
    sprintf(args + len, "]}");
    op_house_call(house, "datasets.tombstone", args);
    free(args);
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Of a few rows, one of which is of a deleted key if there are such: the middle of some rounds. */
static int64_t append_us(struct op_house *house, const char *dataset, int suppressed)
{
    static int fresh; /* the same file twice would be one */
    int64_t took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        char csv[64];
        snprintf(csv, sizeof csv, "k,n\nkey-%d,1\nfresh-%d,2\n", i + 1, fresh++);
        int64_t started_us = lh_clock_monotonic_us();
        json_t *reply = op_house_rows(house, dataset, csv, "append");
        took[i] = lh_clock_monotonic_us() - started_us;
        assert_int_equal(reply_int(reply, "suppressed_rows"), suppressed);
    }
    qsort(took, ROUNDS, sizeof *took, compare);
    return took[ROUNDS / 2];
}

static int64_t no_match_us(struct op_house *house, const char *dataset)
{
    int64_t took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        char args[128];
        snprintf(args, sizeof args,
                 "{\"name\": \"%s\", \"row_key_column\": \"k\", \"row_key_values\": [\"no-%d\"]}",
                 dataset, i);
        int64_t started_us = lh_clock_monotonic_us();
        json_t *reply = op_house_call(house, "datasets.tombstone", args);
        took[i] = lh_clock_monotonic_us() - started_us;
        assert_int_equal(reply_int(reply, "rows_tombstoned"), 0);
    }
    qsort(took, ROUNDS, sizeof *took, compare);
    return took[ROUNDS / 2];
}

static void an_append_costs_what_it_brings(void **state)
{
    struct op_house *house = *state;
    int tombstones = getenv("LAKEHOUSE_LONG") ? 4 * CALL : CALL;
    given_rows(house, "t", tombstones + 10);
    given_rows(house, "u", tombstones + 10);
    for (int from = 1; from <= tombstones; from += CALL)
        tombstone(house, from, from + CALL - 1);
    op_house_call(house, "journal.flush", "{}");
    int64_t without = append_us(house, "u", 0), with = append_us(house, "t", 1);
    int64_t again = append_us(house, "t", 1);
    printf("figure: an append of 2 rows takes %.1f ms without tombstones, %.1f ms with %d: %.1f "
           "times (again %.1f)\n",
           (double)without / 1000, (double)with / 1000, tombstones, (double)with / (double)without,
           (double)again / 1000);
    assert_true(with < 8 * without);
}

static void a_call_that_matches_nothing_costs_little(void **state)
{
    enum { VERSIONS = 60 };
    struct op_house *house = *state;
    op_house_rows(house, "t", "k,n\na,1\n", "create");
    op_house_rows(house, "u", "k,n\na,1\n", "create");
    for (int i = 0; i < VERSIONS; i++) {
        char csv[64];
        snprintf(csv, sizeof csv, "k,n\nv-%d,1\n", i);
        op_house_rows(house, "t", csv, "append");
        if (i % 20 == 19)
            op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    }
    int64_t without = no_match_us(house, "u"), with = no_match_us(house, "t");
    printf("figure: a tombstone of no row takes %.1f ms, with %d versions behind it %.1f ms: %.1f "
           "times\n",
           (double)without / 1000, VERSIONS, (double)with / 1000, (double)with / (double)without);
    /* What only an older version has is found all the same. */
    op_house_rows(house, "t", "k,n\nz,1\n", "replace");
    json_t *reply = op_house_call(house, "datasets.tombstone",
                                  "{\"name\": \"t\", \"row_key_column\": \"k\", "
                                  "\"row_key_values\": [\"v-7\", \"v-8\"]}");
    assert_int_equal(reply_int(reply, "keys_tombstoned"), 2);
    assert_true(with < 8 * without);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_append_costs_what_it_brings),
        TEST(a_call_that_matches_nothing_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
