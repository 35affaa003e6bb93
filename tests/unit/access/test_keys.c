#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "access/keys.h"
#include "base/clock.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

static struct temp_lake folder;
static struct storage *storage;
static struct access_keys *keys;
static struct lh_arena *arena;

static void open_keys(void)
{
    const struct storage_options options = {.path = temp_lake_path(&folder), .create = true};
    assert_int_equal(storage_open(&options, &storage, NULL), LH_OK);
    assert_int_equal(access_keys_open(storage, &keys, NULL), LH_OK);
}

static void close_keys(void)
{
    access_keys_close(keys);
    storage_close(storage);
}

static int make(void **state)
{
    (void)state;
    temp_lake_make(&folder);
    arena = lh_arena_new(0);
    lh_clock_set_fake(1700000000000);
    open_keys();
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    lh_clock_clear_fake();
    close_keys();
    lh_arena_free(arena);
    temp_lake_remove(&folder);
    return 0;
}

static struct access_key about; /* of the key that was made last */

static struct lh_str made(const char *name, const char *role, int64_t expires_in_s)
{
    struct lh_str text = {0};
    const struct access_key_spec spec = {
        lh_str_of(name), lh_str_of(role), expires_in_s, lh_lit("somebody"), {0}};
    assert_int_equal(access_keys_create(keys, &spec, arena, &about, &text, NULL), LH_OK);
    return text;
}

static enum lh_code refused(const char *name, const char *role, int64_t expires_in_s)
{
    struct lh_str text;
    struct access_key key;
    const struct access_key_spec spec = {
        lh_str_of(name), lh_str_of(role), expires_in_s, lh_lit("somebody"), {0}};
    return access_keys_create(keys, &spec, arena, &key, &text, NULL);
}

static enum lh_code find(struct lh_str text, struct principal *ret)
{
    return access_keys_find(keys, text, arena, ret, NULL);
}

static void a_key_says_who_calls_and_in_which_role(void **state)
{
    struct principal caller;
    (void)state;
    struct lh_str text = made("reports", "reader", 0);
    assert_int_equal(text.len, ACCESS_KEY_BYTES);
    assert_int_equal(find(text, &caller), LH_OK);
    assert_true(lh_str_equal(caller.id, lh_lit("reports")));
    assert_true(lh_str_equal(caller.role, lh_lit("reader")));
    assert_true(lh_str_equal(caller.key_id, about.id));
    assert_int_equal(access_check(&caller, "query", NULL), LH_OK);
    assert_int_equal(access_check(&caller, "ingest", NULL), LH_FORBIDDEN);
    assert_int_equal(access_check(&caller, "access.write", NULL), LH_FORBIDDEN);
}

/* Every byte of a key counts: no key with one byte changed opens anything. */
static void a_forged_key_opens_nothing(void **state)
{
    struct principal caller;
    char forged[ACCESS_KEY_BYTES];
    (void)state;
    struct lh_str text = made("admin2", "admin", 0);
    for (size_t i = 0; i < ACCESS_KEY_BYTES; i++) {
        memcpy(forged, text.data, text.len);
        forged[i] = forged[i] == '0' ? '1' : '0';
        assert_int_equal(find((struct lh_str){forged, sizeof forged}, &caller), LH_UNAUTHENTICATED);
    }
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(find(lh_str_slice(text, 0, len), &caller), LH_UNAUTHENTICATED);
    assert_int_equal(find(lh_arena_printf(arena, "%.*s0", LH_ARG(text)), &caller),
                     LH_UNAUTHENTICATED);
    assert_int_equal(find((struct lh_str){0}, &caller), LH_UNAUTHENTICATED);
}

static void the_parts_of_two_keys_make_no_third(void **state)
{
    struct principal caller;
    (void)state;
    struct lh_str one = made("one", "admin", 0);
    struct lh_str two = made("two", "reader", 0);
    struct lh_str mixed = lh_arena_printf(arena, "%.*s%.*s", LH_ARG(lh_str_slice(one, 0, 20)),
                                          LH_ARG(lh_str_slice(two, 20, SIZE_MAX)));
    assert_int_equal(mixed.len, ACCESS_KEY_BYTES);
    assert_int_equal(find(mixed, &caller), LH_UNAUTHENTICATED);
}

static void a_key_ends_at_its_time_and_its_name_is_free_again(void **state)
{
    struct principal caller;
    struct access_key shown;
    (void)state;
    struct lh_str text = made("short", "reader", 60);
    struct lh_str id = about.id;
    lh_clock_advance_fake(59999);
    assert_int_equal(find(text, &caller), LH_OK);
    assert_int_equal(refused("short", "reader", 0), LH_EXISTS);
    lh_clock_advance_fake(1);
    assert_int_equal(find(text, &caller), LH_UNAUTHENTICATED);
    assert_int_equal(access_keys_get(keys, id, arena, &shown, NULL), LH_OK);
    assert_string_equal(access_key_states[shown.state], "expired");
    made("short", "reader", 0);
}

static void a_revoked_key_opens_nothing_from_the_next_call_on_for_good(void **state)
{
    struct principal caller;
    struct access_key shown;
    (void)state;
    struct lh_str text = made("lost", "admin", 0);
    struct lh_str id = about.id;
    assert_true(access_keys_has_admin(keys));
    assert_int_equal(access_keys_revoke(keys, id, lh_lit("boss"), NULL), LH_OK);
    assert_int_equal(find(text, &caller), LH_UNAUTHENTICATED);
    assert_false(access_keys_has_admin(keys));
    assert_int_equal(access_keys_revoke(keys, id, lh_lit("boss"), NULL), LH_OK);
    close_keys();
    open_keys();
    assert_int_equal(find(text, &caller), LH_UNAUTHENTICATED);
    assert_int_equal(access_keys_get(keys, id, arena, &shown, NULL), LH_OK);
    assert_string_equal(access_key_states[shown.state], "revoked");
    assert_true(lh_str_equal(shown.revoked_by, lh_lit("boss")));
    assert_int_equal(access_keys_revoke(keys, lh_lit("0123456789abcdef"), lh_lit("x"), NULL),
                     LH_NOT_FOUND);
}

static void keys_outlive_the_process_and_their_secrets_are_not_kept(void **state)
{
    struct principal caller;
    struct lh_str kept;
    (void)state;
    struct lh_str text = made("kept", "reader", 0);
    struct lh_str key = lh_arena_printf(arena, "_access/keys/%.*s.json", LH_ARG(about.id));
    close_keys();
    open_keys();
    assert_int_equal(find(text, &caller), LH_OK);
    assert_true(lh_str_equal(caller.id, lh_lit("kept")));
    assert_int_equal(storage_get(storage, STORAGE_PRIMARY, key, 4096, arena, &kept, NULL), LH_OK);
    size_t at;
    assert_false(lh_str_find(kept, lh_str_slice(text, 20, SIZE_MAX), &at));
    assert_true(lh_str_find(kept, lh_lit("kept"), &at));
}

static void names_roles_and_times_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_int_equal(refused("", "reader", 0), LH_INVALID);
    assert_int_equal(refused("two words", "reader", 0), LH_INVALID);
    assert_int_equal(refused("-first", "reader", 0), LH_INVALID);
    assert_int_equal(refused("Local-Admin", "reader", 0), LH_INVALID);
    assert_int_equal(refused("fine", "king", 0), LH_INVALID);
    assert_int_equal(refused("fine", "reader", -1), LH_INVALID);
    made("fine", "reader", 0);
    assert_int_equal(refused("FINE", "reader", 0), LH_EXISTS);
}

static void lists_come_in_pages_in_the_order_of_ids(void **state)
{
    struct access_key *page = NULL;
    size_t count = 0;
    size_t seen = 0;
    struct lh_str after = {0};
    struct lh_str last = lh_lit("");
    char name[16];
    (void)state;
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof name, "key%d", i);
        made(name, "reader", 0);
    }
    do {
        access_keys_list(keys, after, 10, arena, &page, &count, &after);
        for (size_t i = 0; i < count; i++) {
            assert_true(lh_str_compare(last, page[i].id) < 0);
            last = page[i].id;
        }
        seen += count;
    } while (after.len);
    assert_int_equal(seen, 25);
}

static void a_damaged_record_opens_nothing_and_is_counted(void **state)
{
    struct principal caller;
    (void)state;
    struct lh_str text = made("torn", "admin", 0);
    struct lh_str other = made("whole", "reader", 0);
    char name[64];
    snprintf(name, sizeof name, "_access/keys/%.16s.json", text.data + 3);
    temp_lake_write(&folder, name, "{\"name\": \"torn\"", 15);
    close_keys();
    open_keys();
    assert_int_equal(access_keys_damaged(keys), 1);
    assert_int_equal(find(text, &caller), LH_UNAUTHENTICATED);
    assert_int_equal(find(other, &caller), LH_OK);
}

/* The record alone decides: one whose content is lost still revokes. */
static void an_unreadable_revocation_revokes(void **state)
{
    struct principal caller;
    char name[64];
    (void)state;
    struct lh_str text = made("gone", "admin", 0);
    snprintf(name, sizeof name, "_access/keys/%.16s.revoked.json", text.data + 3);
    temp_lake_write(&folder, name, "", 0);
    close_keys();
    open_keys();
    assert_int_equal(find(text, &caller), LH_UNAUTHENTICATED);
}

static void a_caller_is_lowered_and_never_raised(void **state)
{
    struct principal lowered;
    struct principal reader;
    (void)state;
    assert_int_equal(find(made("r", "reader", 0), &reader), LH_OK);
    assert_int_equal(access_lower(access_local_admin(), lh_lit("agent"), &lowered, NULL), LH_OK);
    assert_int_equal(access_check(&lowered, "query", NULL), LH_FORBIDDEN);
    assert_int_equal(access_lower(&reader, lh_lit("admin"), &lowered, NULL), LH_FORBIDDEN);
    assert_int_equal(access_lower(&reader, lh_lit("reader"), &lowered, NULL), LH_OK);
    assert_int_equal(access_lower(&reader, lh_lit("nobody"), &lowered, NULL), LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_says_who_calls_and_in_which_role, make, remove_all),
        cmocka_unit_test_setup_teardown(a_forged_key_opens_nothing, make, remove_all),
        cmocka_unit_test_setup_teardown(the_parts_of_two_keys_make_no_third, make, remove_all),
        cmocka_unit_test_setup_teardown(a_key_ends_at_its_time_and_its_name_is_free_again, make,
                                        remove_all),
        cmocka_unit_test_setup_teardown(a_revoked_key_opens_nothing_from_the_next_call_on_for_good,
                                        make, remove_all),
        cmocka_unit_test_setup_teardown(keys_outlive_the_process_and_their_secrets_are_not_kept,
                                        make, remove_all),
        cmocka_unit_test_setup_teardown(names_roles_and_times_that_cannot_be_are_refused, make,
                                        remove_all),
        cmocka_unit_test_setup_teardown(lists_come_in_pages_in_the_order_of_ids, make, remove_all),
        cmocka_unit_test_setup_teardown(a_damaged_record_opens_nothing_and_is_counted, make,
                                        remove_all),
        cmocka_unit_test_setup_teardown(an_unreadable_revocation_revokes, make, remove_all),
        cmocka_unit_test_setup_teardown(a_caller_is_lowered_and_never_raised, make, remove_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
