#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "support/op_house.h"

static struct op_house house;

static int make_house(void **state)
{
    (void)state;
    op_house_make(&house);
    return 0;
}

static int remove_house(void **state)
{
    (void)state;
    op_house_remove(&house);
    return 0;
}

static void a_list_comes_in_pages_ordered_by_name(void **state)
{
    char args[128] = "{\"limit\": 2}";
    char seen[256] = "";
    (void)state;
    op_house_rows(&house, "pears", "id\n1\n", "create");
    op_house_rows(&house, "Apples", "id\n1\n", "create");
    op_house_rows(&house, "nuts", "id\n1\n", "create");
    for (int page = 0; page < 5; page++) {
        json_t *list = op_house_call(&house, "datasets.list", args);
        json_t *items = json_object_get(list, "items");
        assert_true(json_array_size(items) <= 2);
        for (size_t i = 0; i < json_array_size(items); i++) {
            size_t len = strlen(seen);
            snprintf(seen + len, sizeof(seen) - len, "%s ",
                     reply_text(json_array_get(items, i), "name"));
        }
        if (json_is_null(json_object_get(list, "next")))
            break;
        snprintf(args, sizeof(args), "{\"limit\": 2, \"after\": \"%s\"}", reply_text(list, "next"));
    }
    assert_string_equal(seen, "Apples nuts pears ");
    op_house_refuses(&house, "datasets.list", "{\"limit\": 0}", LH_INVALID);
    op_house_refuses(&house, "datasets.list", "{\"limit\": 1001}", LH_INVALID);
    op_house_refuses(&house, "datasets.list", "{\"limt\": 1}", LH_UNKNOWN_FIELD);
}

static void a_dataset_is_found_whatever_its_case_and_carries_its_version(void **state)
{
    (void)state;
    op_house_rows(&house, "cases", "id,email\n1,a@x.invalid\n", "create");
    op_house_rows(&house, "cases", "id,email\n2,b@x.invalid\n", "append");
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"CASES\"}");
    assert_string_equal(reply_text(dataset, "name"), "cases");
    assert_int_equal(reply_int(dataset, "version"), 2);
    assert_int_equal(reply_int(dataset, "row_count"), 2);
    assert_int_equal(json_array_size(json_object_get(dataset, "objects")), 2);
    assert_true(lh_str_equal(house.etag, lh_lit("\"2\"")));
    op_house_refuses(&house, "datasets.get", "{\"name\": \"casse\"}", LH_NOT_FOUND);
    op_house_refuses(&house, "datasets.get", "{\"name\": \"\"}", LH_INVALID);
}

static void versions_are_listed_newest_first_in_pages(void **state)
{
    (void)state;
    op_house_rows(&house, "aged", "id\n1\n", "create");
    op_house_rows(&house, "aged", "id\n2\n", "append");
    op_house_rows(&house, "aged", "id\n3\n4\n", "replace");
    json_t *list = op_house_call(&house, "datasets.versions", "{\"name\": \"aged\", \"limit\": 2}");
    json_t *items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 2);
    assert_int_equal(reply_int(json_array_get(items, 0), "version"), 3);
    assert_int_equal(reply_int(json_array_get(items, 0), "row_count"), 2);
    assert_string_equal(reply_text(list, "next"), "2");
    list = op_house_call(&house, "datasets.versions", "{\"name\": \"aged\", \"after\": \"2\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    assert_true(json_is_null(json_object_get(list, "next")));
    op_house_refuses(&house, "datasets.versions", "{\"name\": \"aged\", \"after\": \"x\"}",
                     LH_INVALID);
}

static void metadata_changes_what_was_given_and_nothing_else(void **state)
{
    (void)state;
    op_house_rows(&house, "told", "id,note\n1,a\n", "create");
    op_house_call(&house, "datasets.update",
                  "{\"name\": \"told\", \"description\": \"Told.\", \"owner\": \"me\", \"tags\": "
                  "[\"a\", \"b\"], \"sensitivity\": \"confidential\", \"freshness\": "
                  "{\"max_age_s\": 60}, \"columns\": [{\"name\": \"NOTE\", \"is_pii\": true, "
                  "\"pii_kind\": \"person_name\", \"description\": \"A word.\"}]}");
    json_t *dataset = op_house_call(&house, "datasets.update",
                                    "{\"name\": \"told\", \"owner\": \"\", \"tags\": []}");
    assert_string_equal(reply_text(dataset, "description"), "Told.");
    assert_null(json_object_get(dataset, "owner"));
    assert_int_equal(json_array_size(json_object_get(dataset, "tags")), 0);
    assert_string_equal(reply_text(dataset, "sensitivity"), "confidential");
    assert_int_equal(reply_int(json_object_get(dataset, "freshness"), "max_age_s"), 60);
    json_t *note = json_array_get(json_object_get(dataset, "columns"), 1);
    assert_string_equal(reply_text(note, "name"), "note");
    assert_true(json_is_true(json_object_get(note, "is_pii")));
    assert_string_equal(reply_text(note, "description"), "A word.");
    op_house_reopen(&house);
    dataset = op_house_call(&house, "datasets.get", "{\"name\": \"told\"}");
    assert_string_equal(reply_text(dataset, "description"), "Told.");
}

static void metadata_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    op_house_rows(&house, "strict", "id\n1\n", "create");
    op_house_refuses(&house, "datasets.update", "{\"name\": \"strict\"}", LH_INVALID);
    op_house_refuses(&house, "datasets.update",
                     "{\"name\": \"strict\", \"columns\": [{\"name\": \"nope\"}]}", LH_INVALID);
    op_house_refuses(
        &house, "datasets.update",
        "{\"name\": \"strict\", \"columns\": [{\"name\": \"id\", \"is_pii\": \"yes\"}]}",
        LH_INVALID);
    op_house_refuses(&house, "datasets.update",
                     "{\"name\": \"strict\", \"sensitivity\": \"secret\"}", LH_INVALID);
    op_house_refuses(&house, "datasets.update", "{\"name\": \"strict\", \"row_count\": 1}",
                     LH_UNKNOWN_FIELD);
    assert_int_equal(
        reply_int(op_house_call(&house, "datasets.get", "{\"name\": \"strict\"}"), "version"), 1);
}

static void if_match_holds_writers_to_the_version_they_saw(void **state)
{
    (void)state;
    op_house_rows(&house, "matched", "id\n1\n", "create");
    house.if_match = lh_lit("\"1\"");
    op_house_call(&house, "datasets.update", "{\"name\": \"matched\", \"owner\": \"a\"}");
    house.if_match = lh_lit("\"1\"");
    op_house_refuses(&house, "datasets.update", "{\"name\": \"matched\", \"owner\": \"b\"}",
                     LH_PRECONDITION);
    house.if_match = lh_lit("\"1\"");
    op_house_refuses(&house, "datasets.rename", "{\"name\": \"matched\", \"to\": \"other\"}",
                     LH_PRECONDITION);
    house.if_match = lh_lit("\"9\"");
    op_house_refuses(&house, "datasets.delete", "{\"name\": \"matched\"}", LH_PRECONDITION);
    house.if_match = lh_lit("*");
    op_house_call(&house, "datasets.update", "{\"name\": \"matched\", \"owner\": \"c\"}");
}

static void a_rename_moves_the_name_and_nothing_else(void **state)
{
    (void)state;
    op_house_rows(&house, "before", "id\n7\n", "create");
    op_house_rows(&house, "taken", "id\n1\n", "create");
    json_t *old = op_house_call(&house, "datasets.get", "{\"name\": \"before\"}");
    op_house_refuses(&house, "datasets.rename", "{\"name\": \"before\", \"to\": \"TAKEN\"}",
                     LH_EXISTS);
    op_house_refuses(&house, "datasets.rename", "{\"name\": \"before\", \"to\": \"a b\"}",
                     LH_INVALID);
    assert_string_equal(house.err.field, "to");
    op_house_refuses(&house, "datasets.rename", "{\"name\": \"absent\", \"to\": \"x\"}",
                     LH_NOT_FOUND);
    json_t *renamed =
        op_house_call(&house, "datasets.rename", "{\"name\": \"before\", \"to\": \"afterwards\"}");
    assert_string_equal(reply_text(renamed, "name"), "afterwards");
    assert_string_equal(reply_text(renamed, "id"), reply_text(old, "id"));
    assert_string_equal(op_house_sql(&house, "SELECT id FROM afterwards"), "[[7]]");
    op_house_refuses(&house, "datasets.get", "{\"name\": \"before\"}", LH_NOT_FOUND);
}

static void a_dropped_dataset_is_gone_and_its_name_free(void **state)
{
    (void)state;
    op_house_rows(&house, "dropped", "id\n1\n", "create");
    op_house_call(&house, "datasets.delete", "{\"name\": \"dropped\", \"reason\": \"a test\"}");
    assert_int_equal(house.status, 204);
    op_house_refuses(&house, "datasets.delete", "{\"name\": \"dropped\"}", LH_NOT_FOUND);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT * FROM dropped\"}", LH_NOT_FOUND);
    json_t *again = op_house_rows(&house, "dropped", "id\n2\n", "create");
    assert_int_equal(reply_int(again, "version"), 1);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM dropped"), "[[2]]");
}

static void a_repeated_idempotency_key_changes_nothing_again(void **state)
{
    (void)state;
    op_house_rows(&house, "keyed", "id\n1\n", "create");
    house.idempotency_key = lh_lit("once");
    op_house_call(&house, "datasets.update", "{\"name\": \"keyed\", \"owner\": \"a\"}");
    op_house_call(&house, "datasets.update", "{\"name\": \"keyed\", \"owner\": \"b\"}");
    house.idempotency_key = lh_lit("once");
    op_house_call(&house, "datasets.update", "{\"name\": \"keyed\", \"owner\": \"a\"}");
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"keyed\"}");
    assert_string_equal(reply_text(dataset, "owner"), "b");
    assert_int_equal(reply_int(dataset, "version"), 3);
}

/* Earlier releases took the name. */
static void a_dataset_that_is_called_journal_goes_on_and_can_be_renamed(void **state)
{
    struct catalog_commit_result result;
    (void)state;
    json_t *made = op_house_rows(&house, "t", "id\n1\n", "create");
    struct lh_arena *arena = lh_arena_new(0);
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"t\"}");
    const struct catalog_change change = {.action = CATALOG_RENAME,
                                          .dataset_id = lh_str_of(reply_text(dataset, "id")),
                                          .name = lh_lit("journal")};
    assert_non_null(made);
    assert_int_equal(catalog_commit(lake_catalog(house.lake), &change, arena, &result, NULL),
                     LH_OK);
    lh_arena_free(arena);
    op_house_reopen(&house);
    op_house_rows(&house, "journal", "id\n2\n", "append");
    assert_string_equal(op_house_sql(&house, "SELECT sum(id)::INTEGER FROM journal"), "[[3]]");
    op_house_rows(&house, "journal", "id\n3\n", "replace");
    assert_string_equal(op_house_sql(&house, "FROM journal"), "[[3]]");
    op_house_call(&house, "datasets.rename", "{\"name\": \"journal\", \"to\": \"diary\"}");
    assert_string_equal(op_house_sql(&house, "FROM diary"), "[[3]]");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) > 0 FROM journal"), "[[true]]");
    op_house_refuses(&house, "datasets.rename", "{\"name\": \"diary\", \"to\": \"journal\"}",
                     LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_comes_in_pages_ordered_by_name),
        cmocka_unit_test(a_dataset_is_found_whatever_its_case_and_carries_its_version),
        cmocka_unit_test(versions_are_listed_newest_first_in_pages),
        cmocka_unit_test(metadata_changes_what_was_given_and_nothing_else),
        cmocka_unit_test(metadata_that_makes_no_sense_is_refused),
        cmocka_unit_test(if_match_holds_writers_to_the_version_they_saw),
        cmocka_unit_test(a_rename_moves_the_name_and_nothing_else),
        cmocka_unit_test(a_dropped_dataset_is_gone_and_its_name_free),
        cmocka_unit_test(a_repeated_idempotency_key_changes_nothing_again),
        cmocka_unit_test(a_dataset_that_is_called_journal_goes_on_and_can_be_renamed),
    };
    return cmocka_run_group_tests(tests, make_house, remove_house);
}
