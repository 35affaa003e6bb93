/* Keys whose rows are gone from every version are kept as hashes: they go on suppressing, they can
 * be lifted, and the list names them no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/op_house.h"

static int64_t append(struct op_house *house, const char *csv)
{
    return reply_int(op_house_rows(house, "t", csv, "append"), "suppressed_rows");
}

static json_t *tombstone(struct op_house *house, const char *values)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"k\", \"row_key_values\": %s}", values);
    return op_house_call(house, "datasets.tombstone", args);
}

static json_t *lift(struct op_house *house, const char *values)
{
    char args[512];
    snprintf(args, sizeof args, "{\"name\": \"t\", \"row_key_values\": %s, \"actor\": \"bob\"}",
             values);
    return op_house_call(house, "datasets.lift", args);
}

static void compact_and_expire(struct op_house *house)
{
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
}

static void then_listed(struct op_house *house, const char *keys)
{
    const json_t *items =
        json_object_get(op_house_call(house, "datasets.tombstones", "{\"name\": \"t\"}"), "items");
    char found[512] = "";
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (i)
            strcat(found, ",");
        strcat(found, reply_text(json_array_get(items, i), "row_key_value"));
    }
    assert_string_equal(found, keys);
}

/* Whether the newest list of tombstones, as a file, holds the text. */
static bool is_in_lists(struct op_house *house, const char *text)
{
    const char *id = reply_text(op_house_call(house, "datasets.get", "{\"name\": \"t\"}"), "id");
    char folder[4400], path[4800];
    bool is_found = false;
    snprintf(folder, sizeof folder, "%s/lake/datasets/%s", house->folder.path, id);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        static char bytes[65536];
        if (!strstr(entry->d_name, ".tombstones"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t count = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        is_found |= memmem(bytes, count, text, strlen(text)) != NULL;
    }
    closedir(dir);
    return is_found;
}

static void given_three_of_five_deleted(struct op_house *house)
{
    op_house_rows(house, "t", "k,n\nann-1,1\nbob-2,2\ncid-3,3\ndan-4,4\neve-5,5\n", "create");
    tombstone(house, "[\"ann-1\", \"bob-2\", \"cid-3\"]");
}

static void a_key_is_named_as_long_as_any_version_has_its_rows(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    then_listed(house, "ann-1,bob-2,cid-3"); /* version 1 has them */
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "");
    assert_int_equal(append(house, "k,n\nann-1,11\nfay-6,6\n"), 1);
    assert_string_equal(op_house_sql(house, "SELECT k FROM t ORDER BY k"),
                        "[[\"dan-4\"],[\"eve-5\"],[\"fay-6\"]]");
    op_house_reopen(house);
    assert_int_equal(append(house, "k,n\nbob-2,12\n"), 1);
    assert_int_equal(reply_int(tombstone(house, "[\"bob-2\", \"dan-4\"]"), "keys_tombstoned"), 1);
    then_listed(house, "dan-4");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    assert_false(is_in_lists(house, "ann-1"));
    assert_true(is_in_lists(house, "dan-4"));
}

static void a_key_that_came_again_is_named_until_its_rows_go(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    assert_int_equal(append(house, "k,n\nbob-2,12\n"), 1);
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    assert_int_equal(append(house, "k,n\ncid-3,13\n"), 1);
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "cid-3");
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "");
    assert_int_equal(append(house, "k,n\nann-1,1\nbob-2,2\ncid-3,3\n"), 3);
}

static void a_sealed_key_can_be_lifted_and_deleted_again(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    compact_and_expire(house);
    assert_int_equal(append(house, "k,n\ncid-3,33\nann-1,34\n"), 2);
    json_t *reply = lift(house, "[\"cid-3\", \"bob-2\", \"zoe-9\"]");
    assert_int_equal(reply_int(reply, "keys_lifted"), 2);
    assert_int_equal(reply_int(reply, "rows_restored"), 1);
    assert_string_equal(op_house_sql(house, "SELECT n FROM t WHERE k = 'cid-3'"), "[[33]]");
    assert_int_equal(append(house, "k,n\nbob-2,35\n"), 0);
    assert_int_equal(append(house, "k,n\nann-1,36\n"), 1);
    const json_t *items = json_object_get(
        op_house_call(house, "journal.history", "{\"entity_id\": \"cid-3\"}"), "items");
    assert_int_equal(json_array_size(items), 2);
    assert_string_equal(reply_text(json_array_get(items, 0), "action"), "lift");
    assert_string_equal(reply_text(json_array_get(items, 0), "actor"), "bob");
    tombstone(house, "[\"cid-3\"]");
    then_listed(house, "cid-3");
    assert_int_equal(reply_int(lift(house, "[\"cid-3\", \"ann-1\"]"), "rows_restored"), 3);
    then_listed(house, "");
    assert_int_equal(append(house, "k,n\nann-1,37\nbob-2,38\ncid-3,39\n"), 0);
}

static void an_erased_key_that_was_sealed_is_lifted_by_nobody(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    compact_and_expire(house);
    json_t *receipt = op_house_call(house, "catalog.erase",
                                    "{\"dataset\": \"t\", \"row_key_column\": \"k\", "
                                    "\"row_key_values\": [\"ann-1\"], \"wait\": true}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    op_house_try(house, "datasets.lift", "{\"name\": \"t\", \"row_key_values\": [\"ann-1\"]}");
    assert_int_equal(append(house, "k,n\nann-1,1\nbob-2,2\n"), 2);
    assert_int_equal(reply_int(lift(house, "[\"bob-2\"]"), "keys_lifted"), 1);
    assert_string_equal(op_house_sql(house, "SELECT k FROM t ORDER BY k"),
                        "[[\"bob-2\"],[\"dan-4\"],[\"eve-5\"]]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_named_as_long_as_any_version_has_its_rows),
        TEST(a_key_that_came_again_is_named_until_its_rows_go),
        TEST(a_sealed_key_can_be_lifted_and_deleted_again),
        TEST(an_erased_key_that_was_sealed_is_lifted_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
