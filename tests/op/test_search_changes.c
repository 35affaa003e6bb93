/* Indexes through their life: changed, refreshed by policy, made anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "support/op_house.h"

static int make(void **state)
{
    struct op_house *house = calloc(1, sizeof *house);
    op_house_make(house);
    op_house_rows(house, "notes", "id,text\n1,houses by the lake\n2,a small boat\n", "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"notes_v1\", \"dataset\": \"notes\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
    *state = house;
    return 0;
}

/* The clock stands still, at ten in the evening. */
static int make_at_night(void **state)
{
    int64_t night = 0;
    assert_true(lh_time_parse(lh_lit("2026-01-31T22:00:00Z"), &night));
    lh_clock_set_fake(night);
    return make(state);
}

static int remove_house(void **state)
{
    lh_clock_clear_fake();
    op_house_remove(*state);
    free(*state);
    return 0;
}

static json_t *info_of(struct op_house *house, const char *name)
{
    char args[128];
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", name);
    return op_house_call(house, "vectors.get", args);
}

static json_int_t number_of(const json_t *object, const char *member)
{
    assert_true(json_is_integer(json_object_get(object, member)));
    return json_integer_value(json_object_get(object, member));
}

/* How many rows the words find, and the first one's id as JSON. */
static size_t found(struct op_house *house, const char *index, const char *query, char *ret_first)
{
    char args[512];
    snprintf(args, sizeof args, "{\"index\": \"%s\", \"query\": \"%s\", \"mode\": \"keyword\"}",
             index, query);
    const json_t *items = json_object_get(op_house_call(house, "vectors.hybrid", args), "items");
    char *id = json_dumps(json_object_get(json_array_get(items, 0), "id"), JSON_ENCODE_ANY);
    snprintf(ret_first, 64, "%s", id ? id : "none");
    free(id);
    return json_array_size(items);
}

static void an_index_gets_another_name_and_answers_under_it_alone(void **state)
{
    struct op_house *house = *state;
    char first[64];
    json_int_t version = number_of(info_of(house, "notes_v1"), "version");
    json_t *info = op_house_call(house, "vectors.update",
                                 "{\"name\": \"notes_v1\", \"new_name\": \"Letters\", "
                                 "\"description\": \"of the lake\", \"id_prefix\": \"n-\"}");
    assert_string_equal(reply_text(info, "name"), "Letters");
    assert_string_equal(reply_text(info, "description"), "of the lake");
    assert_int_equal(number_of(info, "version"), version + 1);
    op_house_refuses(house, "vectors.get", "{\"name\": \"notes_v1\"}", LH_NOT_FOUND);
    assert_int_equal(found(house, "letters", "boat", first), 1);
    assert_string_equal(first, "\"n-2\"");
    assert_string_equal(op_house_sql(house, "SELECT id FROM text_search('letters', 'boat')"),
                        "[[2]]");
    op_house_refuses(house, "query.sql", "{\"sql\": \"FROM text_search('notes_v1', 'boat')\"}",
                     LH_NOT_FOUND);
    op_house_reopen(house);
    info = info_of(house, "letters");
    assert_string_equal(reply_text(info, "description"), "of the lake");
    assert_int_equal(found(house, "letters", "boat", first), 1);
    /* Its own name in other letters is no other name. */
    op_house_call(house, "vectors.update", "{\"name\": \"Letters\", \"new_name\": \"letters\"}");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"notes_v1\", \"dataset\": \"notes\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
    op_house_refuses(house, "vectors.update", "{\"name\": \"notes_v1\", \"new_name\": \"LETTERS\"}",
                     LH_EXISTS);
}

/* How many rows meaning, words and both find of the dataset's two. */
static void then_finds(struct op_house *house, size_t count)
{
    static const char *const ops[] = {"vectors.search", "vectors.hybrid"};
    char first[64];
    for (size_t i = 0; i < 2; i++) {
        json_t *reply =
            op_house_call(house, ops[i], "{\"index\": \"notes_v1\", \"query\": \"boat lake\"}");
        assert_int_equal(json_array_size(json_object_get(reply, "items")), count);
    }
    assert_int_equal(found(house, "notes_v1", "boat", first), count - 1);
}

static void a_tombstoned_row_is_found_by_no_search(void **state)
{
    struct op_house *house = *state;
    char first[64];
    then_finds(house, 2);
    op_house_call(house, "vectors.doc", "{\"name\": \"notes_v1\", \"doc_id\": \"2\"}");
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"notes\", \"row_key_column\": \"id\", \"row_key_values\": [2]}");
    then_finds(house, 1);
    assert_string_equal(op_house_sql(house, "SELECT id FROM text_search('notes_v1', 'boat')"),
                        "[]");
    op_house_refuses(house, "vectors.doc", "{\"name\": \"notes_v1\", \"doc_id\": \"2\"}",
                     LH_NOT_FOUND);
    op_house_reopen(house);
    then_finds(house, 1);
    op_house_rows(house, "notes", "id,text\n2,another boat\n", "append");
    assert_int_equal(found(house, "notes_v1", "boat", first), 0);
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"notes\"}");
    assert_int_equal(found(house, "notes_v1", "boat", first), 0);
    op_house_call(house, "datasets.lift", "{\"name\": \"notes\", \"row_key_values\": [2]}");
    assert_int_equal(found(house, "notes_v1", "boat", first), 1);
}

static void what_cannot_be_changed_is_refused(void **state)
{
    struct op_house *house = *state;
    static const struct {
        const char *more;
        enum lh_code code;
    } rows[] = {
        {"", LH_INVALID},
        {", \"new_name\": \"no name\"", LH_INVALID},
        {", \"language\": \"klingon\"", LH_INVALID},
        {", \"chunk_size\": 500", LH_UNKNOWN_FIELD},
        {", \"refresh_policy\": {\"kind\": \"scheduled\"}", LH_INVALID},
        {", \"refresh_policy\": {\"kind\": \"scheduled\", \"schedule\": \"soon\"}", LH_INVALID},
        {", \"refresh_policy\": {\"kind\": \"manual\", \"schedule\": \"every 1h\"}", LH_INVALID},
        {", \"refresh_policy\": {\"kind\": \"dataset\", \"schedule\": \"every 1h\"}", LH_INVALID},
        {", \"refresh_policy\": {\"schedule\": \"every 1h\"}", LH_INVALID},
    };
    json_int_t version = number_of(info_of(house, "notes_v1"), "version");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char args[256];
        snprintf(args, sizeof args, "{\"name\": \"notes_v1\"%s}", rows[i].more);
        op_house_refuses(house, "vectors.update", args, rows[i].code);
    }
    op_house_refuses(house, "vectors.update", "{\"name\": \"nope\", \"description\": \"x\"}",
                     LH_NOT_FOUND);
    assert_int_equal(number_of(info_of(house, "notes_v1"), "version"), version);
    op_house_refuses(house, "datasets.update",
                     "{\"name\": \"notes\", \"embedding_refresh_policy\": {\"kind\": "
                     "\"scheduled\", \"schedule\": \"61 * * * *\"}}",
                     LH_INVALID);
}

static void words_are_found_by_the_stems_of_the_language_that_is_said(void **state)
{
    struct op_house *house = *state;
    char first[64];
    op_house_rows(house, "notes",
                  "id,text\n1,die H\xC3\xA4user am See\n2,ein kleines Boot\n3,house\n", "replace");
    assert_int_equal(found(house, "notes_v1", "haus", first), 0);
    assert_int_equal(found(house, "notes_v1", "houses", first), 1);
    json_t *info = op_house_call(house, "vectors.update",
                                 "{\"name\": \"notes_v1\", \"language\": \"german\"}");
    assert_string_equal(reply_text(info, "language"), "german");
    /* Häuser and Haus have one stem in German, and accents are not asked for. */
    assert_int_equal(found(house, "notes_v1", "haus", first), 1);
    assert_string_equal(first, "1");
    assert_int_equal(found(house, "notes_v1", "kleine", first), 1);
    assert_int_equal(found(house, "notes_v1", "die am", first), 1);
    op_house_reopen(house);
    assert_int_equal(found(house, "notes_v1", "H\xC3\x84USER", first), 1);
    op_house_call(house, "vectors.update", "{\"name\": \"notes_v1\", \"language\": \"none\"}");
    assert_int_equal(found(house, "notes_v1", "haus", first), 0);
    assert_int_equal(found(house, "notes_v1", "hauser", first), 1);
    assert_int_equal(found(house, "notes_v1", "houses", first), 0);
    op_house_refuses(house, "vectors.refresh", "{\"dataset\": \"notes\", \"language\": \"german\"}",
                     LH_CONFLICT);
}

static void wait_until_fresh(struct op_house *house, const char *name)
{
    const struct timespec pause = {0, 5000000};
    for (int i = 0; i < 2000; i++) {
        if (json_is_false(json_object_get(info_of(house, name), "is_stale")))
            return;
        nanosleep(&pause, NULL);
    }
    op_house_call(house, "jobs.list", "{\"limit\": 2}");
    fail_msg("the index '%s' was not refreshed; the newest jobs: %.*s", name, LH_ARG(house->body));
}

static bool is_stale_after(struct op_house *house, const char *name, long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
    return json_is_true(json_object_get(info_of(house, name), "is_stale"));
}

static void append(struct op_house *house, int id)
{
    char csv[64];
    snprintf(csv, sizeof csv, "id,text\n%d,another boat\n", id);
    op_house_rows(house, "notes", csv, "append");
}

static void an_index_follows_its_dataset_as_its_own_policy_says(void **state)
{
    struct op_house *house = *state;
    append(house, 3);
    assert_true(is_stale_after(house, "notes_v1", 150)); /* manual is what is preset */
    json_t *info =
        op_house_call(house, "vectors.update",
                      "{\"name\": \"notes_v1\", \"refresh_policy\": {\"kind\": \"on_append\"}}");
    assert_string_equal(reply_text(json_object_get(info, "refresh_policy"), "kind"), "on_append");
    assert_true(json_is_true(json_object_get(info, "has_own_policy")));
    wait_until_fresh(house, "notes_v1"); /* at once: it lagged */
    append(house, 4);
    wait_until_fresh(house, "notes_v1");
    /* Its own policy counts before its dataset's. */
    op_house_call(house, "datasets.update",
                  "{\"name\": \"notes\", \"embedding_refresh_policy\": {\"kind\": \"manual\"}}");
    op_house_reopen(house);
    append(house, 5);
    wait_until_fresh(house, "notes_v1");
    info = op_house_call(house, "vectors.update",
                         "{\"name\": \"notes_v1\", \"refresh_policy\": {\"kind\": \"dataset\"}}");
    assert_string_equal(reply_text(json_object_get(info, "refresh_policy"), "kind"), "manual");
    append(house, 6);
    assert_true(is_stale_after(house, "notes_v1", 150));
}

static void a_scheduled_refresh_comes_when_it_is_due_and_not_before(void **state)
{
    struct op_house *house = *state;
    op_house_call(house, "vectors.update",
                  "{\"name\": \"notes_v1\", \"refresh_policy\": {\"kind\": \"scheduled\", "
                  "\"schedule\": \"30 3 * * *\"}}");
    append(house, 3);
    assert_true(is_stale_after(house, "notes_v1", 150));
    /* The change of 22:00 counts, not the one of 3:29. */
    lh_clock_advance_fake((5 * 60 + 29) * 60000);
    append(house, 4);
    assert_true(is_stale_after(house, "notes_v1", 150));
    lh_clock_advance_fake(2 * 60000);
    op_house_rows(house, "other", "id\n1\n", "create"); /* wakes whoever looks at the clock */
    wait_until_fresh(house, "notes_v1");
    append(house, 5);
    assert_true(is_stale_after(house, "notes_v1", 150));
}

static void what_came_due_while_nobody_ran_is_made_up_for(void **state)
{
    struct op_house *house = *state;
    op_house_call(house, "datasets.update",
                  "{\"name\": \"notes\", \"embedding_refresh_policy\": {\"kind\": \"scheduled\", "
                  "\"schedule\": \"every 6h\"}}");
    append(house, 3);
    assert_true(is_stale_after(house, "notes_v1", 100));
    lh_clock_advance_fake(3 * 3600000);
    op_house_reopen(house);
    wait_until_fresh(house, "notes_v1");
}

static const json_t *rebuilt(const json_t *list, const char *name)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(list, "items"), i,
                       item) if (strcmp(reply_text(item, "index_name"), name) == 0) return item;
    fail_msg("nothing is said of the index '%s'", name);
    return NULL;
}

static void one_index_that_cannot_be_made_anew_does_not_keep_the_others_from_it(void **state)
{
    struct op_house *house = *state;
    char first[64];
    op_house_rows(house, "lost", "id,text\n1,a boat\n", "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"a_lost\", \"dataset\": \"lost\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
    op_house_rows(house, "lost", "id,words\n1,a boat\n", "replace");
    json_t *list = op_house_call(house, "vectors.rebuild", NULL);
    const json_t *item = rebuilt(list, "a_lost");
    assert_string_equal(reply_text(item, "state"), "failed");
    assert_string_equal(reply_text(item, "code"), "conflict");
    assert_non_null(strstr(reply_text(item, "reason"), "'text'"));
    item = rebuilt(list, "notes_v1");
    assert_string_equal(reply_text(item, "state"), "rebuilt");
    assert_int_equal(number_of(json_object_get(item, "result"), "rows"), 2);
    assert_int_equal(number_of(info_of(house, "notes_v1"), "generation"), 2);
    assert_int_equal(found(house, "notes_v1", "boat", first), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_house)
#define AT_NIGHT(name) cmocka_unit_test_setup_teardown(name, make_at_night, remove_house)
    const struct CMUnitTest tests[] = {
        TEST(an_index_gets_another_name_and_answers_under_it_alone),
        TEST(a_tombstoned_row_is_found_by_no_search),
        TEST(what_cannot_be_changed_is_refused),
        TEST(words_are_found_by_the_stems_of_the_language_that_is_said),
        TEST(an_index_follows_its_dataset_as_its_own_policy_says),
        AT_NIGHT(a_scheduled_refresh_comes_when_it_is_due_and_not_before),
        AT_NIGHT(what_came_due_while_nobody_ran_is_made_up_for),
        TEST(one_index_that_cannot_be_made_anew_does_not_keep_the_others_from_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
