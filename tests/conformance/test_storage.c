/* What every storage backend must do: the same tests over each row of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "storage/buckets.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

struct fixture {
    struct temp_lake lake;
    struct temp_lake place;
    struct storage *storage;
    struct lh_arena *arena;
};

/* Where the objects are: the data folder itself, or a folder that may be another disk. */
static const char *const places[] = {"primary", "elsewhere"};
static struct lh_str bucket; /* under test */

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->place); /* both look at what is open now */
    temp_lake_make(&fixture->lake);
    fixture->arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct storage_options options = {
        .path = temp_lake_path(&fixture->lake), .access = STORAGE_WRITE, .create = true};
    if (storage_open(&options, &fixture->storage, &err) != LH_OK)
        fail_msg("%s", err.message);
    if (!lh_str_equal(bucket, STORAGE_PRIMARY)) {
        const struct storage_bucket_options added = {.name = bucket,
                                                     .root = temp_lake_path(&fixture->place)};
        if (storage_bucket_add(fixture->storage, &added, &err) != LH_OK)
            fail_msg("%s", err.message);
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    storage_close(fixture->storage);
    lh_arena_free(fixture->arena);
    temp_lake_remove(&fixture->lake);
    temp_lake_remove(&fixture->place);
    free(fixture);
    return 0;
}

static enum lh_code put(struct fixture *fixture, const char *key, const char *text)
{
    struct lh_error err = LH_ERROR_NONE;
    return storage_put_exclusive(fixture->storage, bucket, lh_str_of(key), lh_str_of(text), &err);
}

static void then_holds(struct fixture *fixture, const char *key, const char *text)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str bytes = {0};
    enum lh_code code = storage_get(fixture->storage, bucket, lh_str_of(key), 1 << 20,
                                    fixture->arena, &bytes, &err);
    if (code)
        fail_msg("%s: %s", key, err.message);
    assert_true(lh_str_equal(bytes, lh_str_of(text)));
}

static enum lh_code look(struct fixture *fixture, const char *key)
{
    struct storage_info info;
    return storage_info(fixture->storage, bucket, lh_str_of(key), &info, NULL);
}

static struct storage_staged *staged_with(struct fixture *fixture, const char *text)
{
    struct storage_staged *staged = NULL;
    assert_int_equal(storage_stage(fixture->storage, lh_lit(".data"), &staged, NULL), LH_OK);
    assert_int_equal(storage_staged_write(staged, text, strlen(text), NULL), LH_OK);
    return staged;
}

static void what_is_put_can_be_got(void **state)
{
    assert_int_equal(put(*state, "_catalog/datasets/a/00000000000000000001.json", "{}\n"), LH_OK);
    then_holds(*state, "_catalog/datasets/a/00000000000000000001.json", "{}\n");
    assert_int_equal(put(*state, "empty", ""), LH_OK);
    then_holds(*state, "empty", "");
}

static void a_second_put_of_a_key_loses_and_changes_nothing(void **state)
{
    assert_int_equal(put(*state, "a/1", "first"), LH_OK);
    assert_int_equal(put(*state, "a/1", "second"), LH_EXISTS);
    then_holds(*state, "a/1", "first");
}

static void a_replacing_put_takes_the_place_of_the_other_and_readers_keep_theirs(void **state)
{
    struct fixture *fixture = *state;
    char bytes[16];
    size_t count = 0;
    int fd = -1;
    const char *const texts[] = {"first", "second and longer", ""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(storage_put_replacing(fixture->storage, bucket, lh_lit("r/head"),
                                               lh_str_of(texts[i]), NULL),
                         LH_OK);
        then_holds(fixture, "r/head", texts[i]);
        if (i == 0)
            assert_int_equal(
                storage_open_file(fixture->storage, bucket, lh_lit("r/head"), &fd, NULL), LH_OK);
    }
    assert_int_equal(lh_file_read_at(fd, bytes, sizeof bytes, 0, &count, NULL), LH_OK);
    assert_int_equal(count, 5);
    assert_memory_equal(bytes, "first", 5);
    lh_file_abandon(fd);
    assert_int_equal(storage_open_file(fixture->storage, bucket, lh_lit("r/nosuch"), &fd, NULL),
                     LH_NOT_FOUND);
    assert_int_equal(
        storage_put_replacing(fixture->storage, bucket, lh_lit("_lock"), lh_lit("x"), NULL),
        LH_INVALID);
}

static void a_missing_object_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct lh_str bytes;
    struct storage_sum sum;
    assert_int_equal(put(fixture, "a/1", "x"), LH_OK);
    const char *const keys[] = {"a/2", "b/1", "a", "a/1/below"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(look(fixture, keys[i]), LH_NOT_FOUND);
    assert_int_equal(
        storage_get(fixture->storage, bucket, lh_lit("a/2"), 10, fixture->arena, &bytes, NULL),
        LH_NOT_FOUND);
    assert_int_equal(storage_sum(fixture->storage, bucket, lh_lit("a/2"), NULL, &sum, NULL),
                     LH_NOT_FOUND);
    assert_int_equal(
        storage_object_path(fixture->storage, bucket, lh_lit("a/2"), fixture->arena, &bytes, NULL),
        LH_NOT_FOUND);
}

static void an_object_over_the_callers_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct lh_str bytes;
    assert_int_equal(put(fixture, "k", "12345"), LH_OK);
    assert_int_equal(
        storage_get(fixture->storage, bucket, lh_lit("k"), 4, fixture->arena, &bytes, NULL),
        LH_TOO_LARGE);
    assert_int_equal(
        storage_get(fixture->storage, bucket, lh_lit("k"), 5, fixture->arena, &bytes, NULL), LH_OK);
}

static void a_staged_file_appears_only_when_it_is_published(void **state)
{
    struct fixture *fixture = *state;
    struct storage_sum sum;
    struct storage_sum found;
    struct storage_staged *staged = staged_with(fixture, "abc");
    assert_int_equal(storage_staged_seal(staged, &sum, NULL), LH_OK);
    assert_int_equal(look(fixture, "datasets/d/x.data"), LH_NOT_FOUND);
    assert_int_equal(storage_staged_publish(staged, bucket, lh_lit("datasets/d/x.data"), NULL),
                     LH_OK);
    storage_staged_discard(staged);
    then_holds(fixture, "datasets/d/x.data", "abc");
    assert_int_equal(
        storage_sum(fixture->storage, bucket, lh_lit("datasets/d/x.data"), NULL, &found, NULL),
        LH_OK);
    assert_int_equal(sum.bytes, 3);
    assert_memory_equal(&sum.sha256, &found.sha256, sizeof sum.sha256);
}

static void a_taken_key_is_not_published_over(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, "a/1", "old"), LH_OK);
    struct storage_staged *staged = staged_with(fixture, "new");
    assert_int_equal(storage_staged_seal(staged, NULL, NULL), LH_OK);
    assert_int_equal(storage_staged_publish(staged, bucket, lh_lit("a/1"), NULL), LH_EXISTS);
    /* It may still go elsewhere. */
    assert_int_equal(storage_staged_publish(staged, bucket, lh_lit("a/2"), NULL), LH_OK);
    storage_staged_discard(staged);
    then_holds(fixture, "a/1", "old");
    then_holds(fixture, "a/2", "new");
}

static void several_files_are_published_together(void **state)
{
    struct fixture *fixture = *state;
    struct storage_target targets[5];
    char keys[5][32];
    for (int i = 0; i < 5; i++) {
        snprintf(keys[i], sizeof keys[i], "d/%d/%d", i % 2, i);
        targets[i] = (struct storage_target){staged_with(fixture, keys[i]), lh_str_of(keys[i])};
        assert_int_equal(storage_staged_seal(targets[i].staged, NULL, NULL), LH_OK);
    }
    assert_int_equal(storage_publish(fixture->storage, bucket, targets, 5, NULL), LH_OK);
    for (int i = 0; i < 5; i++) {
        storage_staged_discard(targets[i].staged);
        then_holds(fixture, keys[i], keys[i]);
    }
}

static void the_list_is_in_byte_order_and_knows_its_folders(void **state)
{
    struct fixture *fixture = *state;
    struct storage_entry *entries = NULL;
    size_t count = 0;
    const char *const keys[] = {"l/b", "l/a/1", "l/\xc3\xa9", "l/B", "l/10", "l/9", "other"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(put(fixture, keys[i], "xy"), LH_OK);
    assert_int_equal(
        storage_list(fixture->storage, bucket, lh_lit("l"), fixture->arena, &entries, &count, NULL),
        LH_OK);
    const char *const expected[] = {"l/10", "l/9", "l/B", "l/a", "l/b", "l/\xc3\xa9"};
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) {
        assert_true(lh_str_equal(entries[i].key, lh_str_of(expected[i])));
        assert_true(entries[i].is_folder == (i == 3));
        assert_false(entries[i].is_special);
        if (i != 3)
            assert_int_equal(entries[i].bytes, 2);
    }
}

static void the_whole_bucket_lists_without_the_layouts_own_names(void **state)
{
    struct fixture *fixture = *state;
    struct storage_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(put(fixture, "a", "x"), LH_OK);
    assert_int_equal(
        storage_list(fixture->storage, bucket, lh_lit(""), fixture->arena, &entries, &count, NULL),
        LH_OK);
    assert_int_equal(count, 1);
    assert_true(lh_str_equal(entries[0].key, lh_lit("a")));
    assert_int_equal(storage_list(fixture->storage, bucket, lh_lit("no/such"), fixture->arena,
                                  &entries, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 0);
}

struct seen {
    char text[512];
    int stop_after; /* 0: never */
    int count;
};

static enum lh_code note(void *context, const struct storage_entry *entry, struct lh_error *err)
{
    struct seen *seen = context;
    strncat(seen->text, " ", 2);
    strncat(seen->text, entry->key.data, entry->key.len);
    if (++seen->count == seen->stop_after)
        return lh_fail(err, LH_CANCELLED, "Enough.");
    return LH_OK;
}

static void a_walk_visits_every_object_and_ends_when_told(void **state)
{
    struct fixture *fixture = *state;
    const char *const keys[] = {"w/a/1", "w/a/b/2", "w/c", "w/a/0"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(put(fixture, keys[i], ""), LH_OK);
    struct seen all = {0};
    assert_int_equal(storage_walk(fixture->storage, bucket, lh_lit(""), note, &all, NULL), LH_OK);
    assert_string_equal(all.text, " w/a/0 w/a/1 w/a/b/2 w/c");
    struct seen two = {.stop_after = 2};
    assert_int_equal(storage_walk(fixture->storage, bucket, lh_lit("w"), note, &two, NULL),
                     LH_CANCELLED);
    assert_int_equal(two.count, 2);
}

static void trashed_objects_are_gone_and_missing_ones_are_fine(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, "d/1", "one"), LH_OK);
    assert_int_equal(put(fixture, "d/2", "two"), LH_OK);
    const struct lh_str keys[] = {LH_LIT("d/1"), LH_LIT("d/never"), LH_LIT("nowhere/1")};
    for (int i = 0; i < 2; i++)
        assert_int_equal(storage_trash(fixture->storage, bucket, keys, 3, NULL), LH_OK);
    assert_int_equal(look(fixture, "d/1"), LH_NOT_FOUND);
    then_holds(fixture, "d/2", "two");
    assert_int_equal(put(fixture, "d/1", "again"), LH_OK);
}

static void hostile_keys_are_refused_everywhere(void **state)
{
    struct fixture *fixture = *state;
    char long_part[300];
    char long_key[1100];
    memset(long_part, 'a', sizeof long_part);
    memset(long_key, 'a', sizeof long_key);
    for (size_t i = 99; i < sizeof long_key; i += 100)
        long_key[i] = '/';
    const struct lh_str keys[] = {
        LH_LIT(""),           LH_LIT("/"),          LH_LIT("/etc/passwd"),  LH_LIT("a/"),
        LH_LIT("a//b"),       LH_LIT("."),          LH_LIT(".."),           LH_LIT("../x"),
        LH_LIT("a/../b"),     LH_LIT("a/./b"),      LH_LIT("a/.."),         LH_LIT("a\\b"),
        LH_LIT("a\0b"),       LH_LIT("a\nb"),       LH_LIT("a\x7f"),        LH_LIT("a\xc2\x85z"),
        LH_LIT("\xff"),       LH_LIT("a/\xc0\xaf"), LH_LIT("\xed\xa0\x80"), LH_LIT("_staging/x"),
        LH_LIT("_lake.json"), LH_LIT("_lock"),      LH_LIT("_trash/1/a"),   LH_LIT("_scratch"),
        {long_part, 256},     {long_key, 1025},     LH_LIT("_owner.json"),
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct lh_error err = LH_ERROR_NONE;
        struct lh_str bytes;
        struct storage_info info;
        if (storage_key_check(keys[i], &err) != LH_INVALID)
            fail_msg("key %zu was not refused", i);
        assert_true(err.message[0] != '\0');
        assert_int_equal(
            storage_put_exclusive(fixture->storage, bucket, keys[i], lh_lit("x"), NULL),
            LH_INVALID);
        assert_int_equal(
            storage_get(fixture->storage, bucket, keys[i], 10, fixture->arena, &bytes, NULL),
            LH_INVALID);
        assert_int_equal(storage_info(fixture->storage, bucket, keys[i], &info, NULL), LH_INVALID);
        assert_int_equal(storage_trash(fixture->storage, bucket, &keys[i], 1, NULL), LH_INVALID);
    }
    const struct lh_str fine[] = {
        LH_LIT("a"),
        LH_LIT("..a"),
        LH_LIT("a b/c'd\"e"),
        {long_part, 255},
        {long_key, 999},
        LH_LIT("\xf0\x9f\x98\x80/\xc3\xa9"),
        LH_LIT("_catalog/_staging/x"),
        LH_LIT("-rf"),
        LH_LIT("a:b*?"),
    };
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_int_equal(
            storage_put_exclusive(fixture->storage, bucket, fine[i], lh_lit("x"), NULL), LH_OK);
}

static void an_unknown_bucket_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct storage_info info;
    assert_int_equal(storage_info(fixture->storage, lh_lit("nowhere"), lh_lit("a"), &info, NULL),
                     LH_NOT_FOUND);
    assert_false(storage_has_bucket(fixture->storage, lh_lit("nowhere")));
    assert_true(storage_has_bucket(fixture->storage, STORAGE_PRIMARY));
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bucket = lh_str_of(places[i]);
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(what_is_put_can_be_got, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_second_put_of_a_key_loses_and_changes_nothing, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(
                a_replacing_put_takes_the_place_of_the_other_and_readers_keep_theirs, set_up,
                tear_down),
            cmocka_unit_test_setup_teardown(a_missing_object_is_not_found, set_up, tear_down),
            cmocka_unit_test_setup_teardown(an_object_over_the_callers_limit_is_refused, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(a_staged_file_appears_only_when_it_is_published, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(a_taken_key_is_not_published_over, set_up, tear_down),
            cmocka_unit_test_setup_teardown(several_files_are_published_together, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(the_list_is_in_byte_order_and_knows_its_folders, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(the_whole_bucket_lists_without_the_layouts_own_names,
                                            set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_walk_visits_every_object_and_ends_when_told, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(trashed_objects_are_gone_and_missing_ones_are_fine,
                                            set_up, tear_down),
            cmocka_unit_test_setup_teardown(hostile_keys_are_refused_everywhere, set_up, tear_down),
            cmocka_unit_test_setup_teardown(an_unknown_bucket_is_not_found, set_up, tear_down),
        };
        print_message("bucket %s\n", places[i]);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
