/* Erasures from one dataset while others have the same values: they end, and say who has what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/op_house.h"

static json_t *erase(struct op_house *house, const char *args)
{
    return op_house_call(house, "catalog.erase", args);
}

static void given_two(struct op_house *house)
{
    op_house_make(house);
    op_house_rows(house, "people", "id,n,text\nCAND-00001,7,one of the seven lakes\n2,8,b\n",
                  "create");
    op_house_rows(house, "calls", "who,n,said\nCAND-00001,7,x\n3,9,y\n", "create");
}

static const json_t *only(const json_t *receipt, const char *list)
{
    const json_t *items = json_object_get(receipt, list);
    if (json_array_size(items) != 1)
        fail_msg("%s", json_dumps(receipt, 0));
    return json_array_get(items, 0);
}

static void what_another_dataset_has_is_told_and_is_no_failure(void **state)
{
    struct op_house house;
    (void)state;
    given_two(&house);
    const json_t *receipt = erase(&house, "{\"dataset\": \"people\", \"row_key_column\": \"id\", "
                                          "\"row_key_values\": [\"CAND-00001\"]}");
    assert_string_equal(reply_text(receipt, "state"), "erased_here");
    assert_int_equal(json_array_size(json_object_get(receipt, "found")), 0);
    const json_t *other = only(receipt, "elsewhere");
    assert_string_equal(reply_text(other, "dataset"), "calls");
    assert_int_equal(reply_int(other, "object_count"), 1);
    assert_non_null(strstr(reply_text(receipt, "hint"), "without 'dataset'"));
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[1]]");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM calls"), "[[2]]");
    /* It has ended: nothing is kept, nothing to resume, and health has nothing to say. */
    char args[128];
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", reply_text(receipt, "erase_id"));
    op_house_refuses(&house, "erasures.resume", args, LH_CONFLICT);
    op_house_reopen(&house);
    assert_string_equal(reply_text(op_house_call(&house, "erasures.get", args), "state"),
                        "erased_here");
    /* Gone on with there, by its own column, nothing of it is anywhere. */
    receipt = erase(&house, "{\"dataset\": \"calls\", \"row_key_column\": \"who\", "
                            "\"row_key_values\": [\"CAND-00001\"]}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(json_array_size(json_object_get(receipt, "elsewhere")), 0);
    op_house_remove(&house);
}

static void short_keys_are_told_where_a_column_of_that_name_has_them(void **state)
{
    struct op_house house;
    (void)state;
    given_two(&house);
    const json_t *told = erase(&house, "{\"dataset\": \"people\", \"row_key_column\": \"n\", "
                                       "\"row_key_values\": [7, 8], \"dry_run\": true}");
    assert_int_equal(reply_int(only(told, "elsewhere"), "rows"), 1);
    const json_t *receipt = erase(&house, "{\"dataset\": \"people\", \"row_key_column\": \"n\", "
                                          "\"row_key_values\": [8]}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    receipt = erase(&house, "{\"dataset\": \"people\", \"row_key_column\": \"n\", "
                            "\"row_key_values\": [7]}");
    assert_string_equal(reply_text(receipt, "state"), "erased_here");
    assert_int_equal(reply_int(only(receipt, "elsewhere"), "rows"), 1);
    receipt = erase(&house, "{\"row_key_column\": \"n\", \"row_key_values\": [7]}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    op_house_remove(&house);
}

static void keys_of_another_dataset_alone_change_nothing_and_are_told(void **state)
{
    struct op_house house;
    (void)state;
    given_two(&house);
    const json_t *receipt = erase(&house, "{\"dataset\": \"people\", \"row_key_column\": \"n\", "
                                          "\"row_key_values\": [9]}");
    assert_string_equal(reply_text(receipt, "state"), "no_match");
    assert_string_equal(reply_text(only(receipt, "elsewhere"), "dataset"), "calls");
    op_house_remove(&house);
}

static void
from_all_datasets_what_one_without_the_column_has_is_a_finding_with_its_name(void **state)
{
    struct op_house house;
    (void)state;
    given_two(&house);
    const json_t *receipt =
        erase(&house, "{\"row_key_column\": \"id\", \"row_key_values\": [\"CAND-00001\"]}");
    assert_string_equal(reply_text(receipt, "state"), "incomplete");
    assert_int_equal(json_array_size(json_object_get(receipt, "found")), 1);
    assert_string_equal(reply_text(only(receipt, "elsewhere"), "dataset"), "calls");
    assert_non_null(strstr(reply_text(receipt, "hint"), "resume"));
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_another_dataset_has_is_told_and_is_no_failure),
        cmocka_unit_test(short_keys_are_told_where_a_column_of_that_name_has_them),
        cmocka_unit_test(keys_of_another_dataset_alone_change_nothing_and_are_told),
        cmocka_unit_test(
            from_all_datasets_what_one_without_the_column_has_is_a_finding_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
