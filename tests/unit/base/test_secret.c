#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"

static void masks_to(const char *text, const char *wanted)
{
    char bytes[512];
    size_t count = strlen(text);
    memcpy(bytes, text, count);
    memset(bytes + count, '#', sizeof(bytes) - count);
    size_t left = lh_mask_secrets(bytes, count);
    bytes[left] = '\0';
    assert_string_equal(bytes, wanted);
}

static void keys_are_masked_whole_cut_or_followed_by_more(void **state)
{
    (void)state;
    masks_to("lh_0123456789abcdef_0123456789abcdef0123456789abcdef", "***");
    masks_to("key 'LH_0123456789abcdef_01' is bad", "key '***' is bad");
    masks_to("/by-name/lh_0123456789ab", "/by-name/***");
    masks_to("x=lh_0123456789abcdef_ffff&y=1", "x=***&y=1");
    masks_to("lh_short health_0123456789abcdef", "lh_short health_0123456789abcdef");
}

static void passwords_of_addresses_are_masked(void **state)
{
    (void)state;
    masks_to("postgres://me:pa@ss@host/db", "postgres://me:***@host/db");
    masks_to("see 'mysql://u:p@h' and http://a:bcd@e", "see 'mysql://u:*@h' and http://a:***@e");
    masks_to("http://host:3100/path", "http://host:3100/path");
    masks_to("http://host:3100/path?to=a@b.test", "http://host:3100/path?to=a@b.test");
    masks_to("at 12:30@noon", "at 12:30@noon");
}

static void values_behind_telling_names_are_masked(void **state)
{
    (void)state;
    masks_to("host=a PASSWORD=hunter2 port=1", "host=a PASSWORD=*** port=1");
    masks_to("access_token=abc;pwd=x;secret=", "access_token=***;pwd=*;secret=");
    masks_to("", "");
    masks_to("password", "password");
    masks_to("=", "=");
}

static int seen_count;
static void see(void *context, const char *event, const struct lh_error *err)
{
    assert_ptr_equal(context, &seen_count);
    assert_string_equal(event, "test.event");
    assert_int_equal(err->code, LH_IO);
    seen_count++;
}

static void watchers_hear_of_errors_whatever_is_written_until_they_leave(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    lh_log_set_level(LH_LOG_ERROR);
    assert_int_equal(lh_fail(&err, LH_IO, "It broke."), LH_IO);
    assert_true(lh_log_watch(see, &seen_count));
    lh_log_error(LH_LOG_WARN, "test.event", &err);
    assert_int_equal(seen_count, 1);
    lh_log_error_alone(LH_LOG_WARN, "test.event", &err);
    assert_int_equal(seen_count, 1);
    lh_log_unwatch(&seen_count);
    lh_log_error(LH_LOG_WARN, "test.event", &err);
    assert_int_equal(seen_count, 1);
    size_t taken = 0;
    while (lh_log_watch(see, &seen_count))
        taken++;
    assert_int_equal(taken, LH_LOG_WATCHERS_MAX);
    lh_log_unwatch(&seen_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_masked_whole_cut_or_followed_by_more),
        cmocka_unit_test(passwords_of_addresses_are_masked),
        cmocka_unit_test(values_behind_telling_names_are_masked),
        cmocka_unit_test(watchers_hear_of_errors_whatever_is_written_until_they_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
