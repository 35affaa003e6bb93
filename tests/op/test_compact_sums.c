/* A compaction that leaves out a wrong row in place of a deleted one is refused: the number of rows
 * is right, their sums are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "support/op_house.h"
#include "support/op_house_columns.h"

#ifdef LH_FAULTS

static const char compaction[] = "{\"dataset\": \"t\"}";

static void bring(struct op_house *house, const char *mode, int first, int count)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)16 << 20);
    lh_buf_append_str(&csv, lh_lit("id,name\n"));
    for (int i = first; i < first + count; i++)
        lh_buf_printf(&csv, "%d,name of %d\n", i, i * 7919 % 1000003);
    lh_buf_append_char(&csv, '\0');
    op_house_rows(house, "t", csv.data, mode);
    lh_buf_release(&csv);
}

/* Every `step`th of them. */
static void tombstone(struct op_house *house, int first, int end, int step)
{
    struct lh_buf args;
    lh_buf_init(&args, (size_t)4 << 20);
    lh_buf_append_str(
        &args, lh_lit("{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": ["));
    for (int i = first; i < end; i += step)
        lh_buf_printf(&args, "%s%d", i > first ? "," : "", i);
    lh_buf_append(&args, "]}", sizeof "]}");
    op_house_call(house, "datasets.tombstone", args.data);
    lh_buf_release(&args);
}

static void check_refused(struct op_house *house)
{
    const char *before = op_house_sql(house, "SELECT * FROM t");
    json_t *dataset = op_house_call(house, "datasets.get", "{\"name\": \"t\"}");
    assert_true(lh_fault_plan("compact.hide=1:EDOM"));
    enum lh_code code = op_house_try(house, "query.compact", compaction);
    bool was_struck = lh_fault_was_struck();
    assert_true(lh_fault_plan(NULL));
    assert_true(was_struck);
    assert_int_equal(code, LH_INTERNAL);
    assert_non_null(strstr(house->err.message, "less the deleted ones"));
    assert_int_equal(op_house_staged_count(house), 0);
    json_t *after = op_house_call(house, "datasets.get", "{\"name\": \"t\"}");
    assert_true(json_equal(json_object_get(dataset, "objects"), json_object_get(after, "objects")));
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
    op_house_call(house, "query.compact", compaction); /* without the mistake */
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
}

static void a_neighbour_in_place_of_a_deleted_row_is_noticed(void **state)
{
    struct op_house *house = *state;
    bring(house, "create", 0, 10);
    bring(house, "append", 10, 10);
    tombstone(house, 3, 19, 15); /* 3, 18 */
    check_refused(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[18]]");
}

static void it_is_noticed_in_files_that_lack_a_column(void **state)
{
    struct op_house *house = *state;
    bring(house, "create", 0, 10);
    op_house_add_column(house, "t", "later");
    op_house_rows(house, "t", "id,name,later\n100,n,here\n101,m,there\n", "append");
    tombstone(house, 3, 102, 98); /* 3, 101 */
    check_refused(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(later) FROM __raw__t"),
                        "[[10,1]]");
}

/* More than one statement lists; some of them stand close together. */
static void many_deleted_rows_are_counted_to_the_last(void **state)
{
    struct op_house *house = *state;
    bring(house, "create", 0, 100000);
    bring(house, "append", 100000, 10);
    tombstone(house, 1, 45000, 2);
    tombstone(house, 60000, 85000, 1);
    tombstone(house, 99999, 100005, 3);
    json_t *result = op_house_call(house, "query.compact", compaction);
    assert_int_equal(reply_int(result, "rows_dropped_by_tombstones"), 22500 + 25000 + 2);
    assert_string_equal(op_house_sql(house, "SELECT count(*), min(id), max(id) FROM __raw__t"),
                        "[[52508,0,100009]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_neighbour_in_place_of_a_deleted_row_is_noticed,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(it_is_noticed_in_files_that_lack_a_column, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(many_deleted_rows_are_counted_to_the_last, op_house_set_up,
                                        op_house_tear_down),
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
