/* Parquet that is stored already becomes a dataset: its rows, not the objects, which stay what they
 * are and whose they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/op_house.h"
#include "support/stored_parquet.h"

#define FIRST "{\"bucket\": \"primary\", \"key\": \"raw/a.parquet\"}"
#define SECOND "{\"bucket\": \"primary\", \"key\": \"raw/b.parquet\"}"
#define REGISTER(name, objects) "{\"name\": \"" name "\", \"objects\": [" objects "]}"

static void given_two(struct op_house *house)
{
    stored_parquet_put(house, "raw/a.parquet",
                       "SELECT i AS id, 'ann' || i || '@example.org' AS email FROM range(3) t(i)");
    stored_parquet_put(
        house, "raw/b.parquet",
        "SELECT i + 10 AS id, 'bob' || i || '@example.org' AS email FROM range(2) t(i)");
}

static json_t *dataset_of(struct op_house *house, const char *name)
{
    char args[128];
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", name);
    return op_house_call(house, "datasets.get", args);
}

static void objects_of_one_shape_become_one_version(void **state)
{
    struct op_house *house = *state;
    given_two(house);
    json_t *made = op_house_call(house, "datasets.register", REGISTER("people", FIRST "," SECOND));
    assert_int_equal(house->status, 201);
    assert_true(lh_str_equal(house->location, lh_lit("/catalog/datasets/by-name/people")));
    assert_int_equal(reply_int(made, "version"), 1);
    assert_int_equal(reply_int(made, "rows"), 5);
    assert_string_equal(op_house_sql(house, "SELECT id FROM people"), "[[0],[1],[2],[10],[11]]");
    const json_t *dataset = dataset_of(house, "people");
    const json_t *lineage = json_object_get(dataset, "lineage");
    assert_string_equal(reply_text(lineage, "source_system"), "storage");
    assert_string_equal(reply_text(lineage, "source_file"), "primary/raw/a.parquet and 1 more");
    const json_t *mail = json_array_get(json_object_get(dataset, "columns"), 1);
    assert_true(json_is_true(json_object_get(mail, "is_pii")));
    assert_string_equal(reply_text(mail, "pii_kind"), "email");
    const json_t *event = json_array_get(
        json_object_get(op_house_call(house, "journal.recent", "{\"limit\": 1}"), "items"), 0);
    assert_string_equal(reply_text(event, "action"), "dataset.create");
    assert_string_equal(reply_text(event, "entity_id"), "people");
}

static void what_becomes_of_an_object_changes_no_dataset_and_the_reverse(void **state)
{
    struct op_house *house = *state;
    given_two(house);
    op_house_call(house, "datasets.register", REGISTER("people", FIRST));
    op_house_call(house, "datasets.register", REGISTER("twins", FIRST));
    stored_parquet_put(house, "raw/a.parquet", "SELECT 99 AS other");
    op_house_call(house, "datasets.delete", "{\"name\": \"twins\"}");
    op_house_call(house, "catalog.expire", "{\"older_than_s\": 0}");
    assert_int_equal(op_house_try(house, "objects.get", FIRST), LH_OK);
    op_house_call(house, "objects.delete", FIRST);
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*), max(id) FROM people"), "[[3,2]]");
    op_house_rows(house, "people", "id,email\n7,x@example.org\n", "append");
    op_house_call(house, "query.compact", "{\"dataset\": \"people\", \"wait\": true}");
    op_house_call(house, "catalog.expire", "{\"older_than_s\": 0}");
    assert_string_equal(op_house_sql(house, "SELECT count(*), sum(id)::INT FROM people"),
                        "[[4,10]]");
}

static void refuses(struct op_house *house, const char *objects, enum lh_code code,
                    const char *said)
{
    char args[1024];
    snprintf(args, sizeof args, "{\"name\": \"never\", \"objects\": [%s]}", objects);
    op_house_refuses(house, "datasets.register", args, code);
    if (!strstr(house->err.message, said))
        fail_msg("%s: '%s' does not say '%s'", objects, house->err.message, said);
    if (code == LH_INVALID || code == LH_NOT_FOUND)
        assert_string_equal(house->err.field, "objects");
    assert_int_equal(op_house_try(house, "datasets.get", "{\"name\": \"never\"}"), LH_NOT_FOUND);
    assert_int_equal(op_house_staged_count(house), 0);
}

#define KEY(key) "{\"bucket\": \"primary\", \"key\": \"" key "\"}"

static void what_is_no_such_object_is_refused_by_its_name_and_nothing_is_made(void **state)
{
    struct op_house *house = *state;
    given_two(house);
    stored_parquet_put(house, "raw/text.parquet", "SELECT 'x' AS id, 'y' AS email");
    stored_parquet_put(house, "raw/wide.parquet", "SELECT 1::BIGINT AS id, 'y' AS email, 2 AS n");
    stored_parquet_cut(house, "raw/cut.parquet", "SELECT i AS id, 'm' AS email FROM range(9) t(i)");
    op_house_try_file(house, "objects.put", KEY("raw/c.csv"), "c.csv", "id\n1\n", 5);
    refuses(house, FIRST "," KEY("raw/none.parquet"), LH_NOT_FOUND,
            "There is no object 'raw/none.parquet' in the bucket 'primary'.");
    refuses(house, "{\"bucket\": \"nowhere\", \"key\": \"a\"}", LH_NOT_FOUND, "nowhere");
    refuses(house, KEY("_catalog/epoch.json"), LH_INVALID, "");
    refuses(house, KEY("../a"), LH_INVALID, "");
    refuses(house, FIRST "," SECOND "," FIRST, LH_INVALID, "raw/a.parquet");
    refuses(house, FIRST "," KEY("raw/c.csv"), LH_UNREADABLE, "raw/c.csv");
    refuses(house, KEY("raw/cut.parquet"), LH_UNREADABLE, "raw/cut.parquet");
    refuses(house, FIRST "," KEY("raw/text.parquet"), LH_SCHEMA,
            "Column 1 of the object 'raw/text.parquet' of the bucket 'primary'");
    refuses(house, FIRST "," KEY("raw/wide.parquet"), LH_SCHEMA,
            "has 3 columns, the object 'raw/a.parquet'");
    op_house_refuses(house, "datasets.register", REGISTER("no name", FIRST), LH_INVALID);
    assert_string_equal(house->err.field, "name");
    op_house_refuses(house, "datasets.register", "{\"name\": \"x\", \"objects\": []}", LH_INVALID);
    op_house_call(house, "datasets.register", REGISTER("people", FIRST));
    op_house_refuses(house, "datasets.register", REGISTER("PEOPLE", SECOND), LH_EXISTS);
    assert_string_equal(house->err.hint, "Choose another name.");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM people"), "[[3]]");
}

static void a_repetition_with_its_key_gives_the_first_result(void **state)
{
    struct op_house *house = *state;
    given_two(house);
    house->idempotency_key = lh_lit("once");
    json_t *first = op_house_call(house, "datasets.register", REGISTER("people", FIRST));
    house->idempotency_key = lh_lit("once");
    json_t *again = op_house_call(house, "datasets.register", REGISTER("people", FIRST));
    assert_string_equal(reply_text(first, "job_id"), reply_text(again, "job_id"));
    house->idempotency_key = lh_lit("once");
    op_house_refuses(house, "datasets.register", REGISTER("people", SECOND), LH_KEY_REUSED);
    assert_int_equal(reply_int(dataset_of(house, "people"), "version"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(objects_of_one_shape_become_one_version),
        TEST(what_becomes_of_an_object_changes_no_dataset_and_the_reverse),
        TEST(what_is_no_such_object_is_refused_by_its_name_and_nothing_is_made),
        TEST(a_repetition_with_its_key_gives_the_first_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
