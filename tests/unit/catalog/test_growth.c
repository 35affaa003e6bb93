/* What a commit costs does not depend on how many came before it: the processor's time for a few
 * hundred appends to a dataset, at its beginning and behind thousands of versions with a file each.
 *
 * LAKEHOUSE_LONG: behind 50,000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "support/catalog_lake.h"

#define PIECES 5 /* the median counts */
#define EACH 40  /* appends of a piece */
#define TIMES_MAX 2.0

static double processor_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void append_many(struct catalog_lake *lake, struct lh_str id, int count)
{
    for (int i = 0; i < count; i++) {
        struct catalog_commit_result result;
        struct lh_error err = LH_ERROR_NONE;
        if (catalog_lake_try_append(lake, id, 1, &result, &err))
            fail_msg("%s", err.message);
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Of one append; a checkpoint falls into few of the pieces. */
static double cost_us(struct catalog_lake *lake, struct lh_str id)
{
    double pieces[PIECES];
    for (int i = 0; i < PIECES; i++) {
        double before = processor_us();
        append_many(lake, id, EACH);
        pieces[i] = (processor_us() - before) / EACH;
    }
    qsort(pieces, PIECES, sizeof pieces[0], compare_numbers);
    return pieces[PIECES / 2];
}

static void a_commit_behind_thousands_of_versions_costs_what_the_first_ones_did(void **state)
{
    static const int places[] = {1, 5000, 10000, 50000};
    const size_t count = getenv("LAKEHOUSE_LONG") ? 4 : 2;
    struct catalog_lake lake;
    double first_us = 0;
    int commits = 0;
    (void)state;
    catalog_lake_make(&lake);
    catalog_lake_open(&lake);
    struct lh_str id = catalog_lake_create(&lake, "many", 1);
    append_many(&lake, id, 50); /* what is allocated once is no cost of a commit */
    for (size_t i = 0; i < count; i++) {
        append_many(&lake, id, places[i] - commits);
        commits = places[i];
        double us = cost_us(&lake, id);
        commits += PIECES * EACH;
        if (!i)
            first_us = us;
        printf("figure: an append behind %d versions takes %.0f us of the processor, %.2f times "
               "the first ones\n",
               places[i], us, us / first_us);
        assert_true(us < first_us * TIMES_MAX);
    }
    assert_int_equal(catalog_lake_rows(&lake, "many"), commits + 51);
    catalog_lake_reopen(&lake);
    assert_int_equal(catalog_lake_rows(&lake, "many"), commits + 51);
    catalog_lake_remove(&lake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_behind_thousands_of_versions_costs_what_the_first_ones_did),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
