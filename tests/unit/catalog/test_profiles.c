/* Profiles without an engine: what is kept of them, what is refused, every way that saving one can
 * fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "catalog/profiles.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

static struct temp_lake folder;
static struct storage *storage;
static struct storage_records *profiles;
static struct lh_arena *arena;

static void open_profiles(void)
{
    const struct storage_options options = {.path = temp_lake_path(&folder), .create = true};
    assert_int_equal(storage_open(&options, &storage, NULL), LH_OK);
    assert_int_equal(storage_records_open(storage, &catalog_profile_kind, &profiles, NULL), LH_OK);
}

static void close_profiles(void)
{
    storage_records_close(profiles);
    storage_close(storage);
}

static int make(void **state)
{
    (void)state;
    temp_lake_make(&folder);
    arena = lh_arena_new(0);
    open_profiles();
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    (void)lh_fault_plan(NULL);
    close_profiles();
    lh_arena_free(arena);
    temp_lake_remove(&folder);
    return 0;
}

static struct catalog_profile profile_of(const char *id)
{
    static const struct lh_str names[] = {LH_LIT("people"), LH_LIT("jobs")};
    static const struct lh_str ids[] = {LH_LIT("id-1"), LH_LIT("id-2")};
    return (struct catalog_profile){.name = lh_str_of(id),
                                    .model = lh_lit("a-model"),
                                    .bound_datasets = {names, 2},
                                    .bound_ids = {ids, 2},
                                    .hnsw_config = {.text = lh_lit("{\"ef_search\":60}")},
                                    .bucket = lh_lit("p:one"),
                                    .vector_backend = CATALOG_BACKEND_LANCE,
                                    .saved_by = lh_lit("somebody")};
}

static enum lh_code put(const char *id)
{
    const struct catalog_profile profile = profile_of(id);
    struct catalog_profile made;
    return storage_records_put(profiles, &profile, 0, arena, &made, NULL);
}

static void what_was_made_is_there_after_a_restart(void **state)
{
    (void)state;
    struct catalog_profile profile;
    assert_int_equal(put("Recruiter-1"), LH_OK);
    assert_int_equal(put("recruiter-1"), LH_EXISTS);
    assert_int_equal(put("recruiter"), LH_OK);
    close_profiles();
    open_profiles();
    assert_int_equal(storage_records_get(profiles, lh_lit("RECRUITER-1"), arena, &profile, NULL),
                     LH_OK);
    assert_true(lh_str_equal(profile.name, lh_lit("Recruiter-1")));
    assert_true(lh_str_equal(profile.model, lh_lit("a-model")));
    assert_true(lh_str_equal(profile.bucket, lh_lit("p:one")));
    assert_true(lh_str_equal(profile.hnsw_config.text, lh_lit("{\"ef_search\":60}")));
    assert_int_equal(profile.vector_backend, CATALOG_BACKEND_LANCE);
    assert_int_equal(profile.bound_datasets.count, 2);
    assert_true(catalog_profile_binds(&profile, lh_lit("id-2")));
    assert_false(catalog_profile_binds(&profile, lh_lit("jobs")));
    assert_false(catalog_profile_binds(&profile, lh_lit("")));
}

static void what_cannot_be_a_profile_is_refused(void **state)
{
    (void)state;
    static const char *const bad_ids[] = {"", "a b", "a/b", "..", "a.b", "\xc3\xa9"};
    char longest[CATALOG_PROFILE_ID_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[CATALOG_PROFILE_ID_BYTES_MAX] = '\0';
    struct catalog_profile profile = profile_of(longest);
    assert_int_equal(catalog_profile_check(&profile, NULL), LH_OK);
    profile.name.len++;
    assert_int_equal(catalog_profile_check(&profile, NULL), LH_INVALID);
    for (size_t i = 0; i < sizeof bad_ids / sizeof bad_ids[0]; i++) {
        profile = profile_of(bad_ids[i]);
        assert_int_equal(catalog_profile_check(&profile, NULL), LH_INVALID);
    }
    profile = profile_of("fine");
    profile.model = (struct lh_str){0};
    assert_int_equal(catalog_profile_check(&profile, NULL), LH_INVALID);
    profile = profile_of("fine");
    profile.bucket = lh_lit("../up");
    assert_int_equal(catalog_profile_check(&profile, NULL), LH_INVALID);
}

/* Each call that saving makes fails once; whatever was told then holds after a restart. */
static void saving_that_fails_makes_nothing_or_says_that_it_might_have(void **state)
{
    (void)state;
    char plan[64], id[16];
    int failures = 0;
    for (int hit = 1; hit < 200; hit++) {
        struct catalog_profile profile;
        snprintf(id, sizeof id, "p%d", hit);
        snprintf(plan, sizeof plan, "*=%d:EIO", hit);
        assert_true(lh_fault_plan(plan));
        enum lh_code code = put(id);
        bool was_struck = lh_fault_was_struck();
        (void)lh_fault_plan(NULL);
        close_profiles();
        open_profiles();
        assert_int_equal(storage_records_damaged(profiles, NULL, NULL, 0), 0);
        enum lh_code found = storage_records_get(profiles, lh_str_of(id), arena, &profile, NULL);
        if (!code)
            assert_int_equal(found, LH_OK);
        else if (code != LH_UNKNOWN)
            assert_int_equal(found, LH_NOT_FOUND);
        failures += code != LH_OK;
        if (!was_struck) {
            assert_int_equal(code, LH_OK);
            assert_true(failures > 3);
            return;
        }
    }
    fail_msg("saving makes more calls than were counted");
}

/* Half of what each has is not one that was written by us, whatever its checksum says. */
static void a_record_whose_bindings_do_not_match_is_damaged(void **state)
{
    (void)state;
    struct catalog_profile profile = profile_of("odd"), made;
    struct lh_str names[2];
    profile.bound_ids.count = 1;
    assert_int_equal(storage_records_put(profiles, &profile, 0, arena, &made, NULL), LH_OK);
    close_profiles();
    open_profiles();
    assert_int_equal(storage_records_damaged(profiles, arena, names, 2), 1);
    assert_true(lh_str_equal(names[0], lh_lit("odd")));
    assert_int_equal(storage_records_get(profiles, lh_lit("odd"), arena, &profile, NULL),
                     LH_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_made_is_there_after_a_restart, make, remove_all),
        cmocka_unit_test_setup_teardown(what_cannot_be_a_profile_is_refused, make, remove_all),
        cmocka_unit_test_setup_teardown(saving_that_fails_makes_nothing_or_says_that_it_might_have,
                                        make, remove_all),
        cmocka_unit_test_setup_teardown(a_record_whose_bindings_do_not_match_is_damaged, make,
                                        remove_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
