#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "support/temp_lake.h"

struct fixture {
    struct temp_lake lake;
    int fd;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->lake);
    fixture->fd =
        open(temp_lake_file(&fixture->lake, "log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    lh_log_set_fd(fixture->fd);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lh_log_set_fd(2);
    lh_log_set_level(LH_LOG_INFO);
    lh_clock_clear_fake();
    close(fixture->fd);
    temp_lake_remove(&fixture->lake);
    free(fixture);
    return 0;
}

/* Every line parsed, in an array the caller ends. */
static json_t *lines(struct fixture *fixture)
{
    json_t *list = json_array();
    FILE *file = fopen(temp_lake_file(&fixture->lake, "log"), "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len = 0;
    while ((len = getline(&line, &capacity, file)) > 0) {
        json_error_t error;
        json_t *value =
            json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (!value)
            fail_msg("%s: %s", error.text, line);
        assert_int_equal(line[len - 1], '\n');
        json_array_append_new(list, value);
    }
    free(line);
    fclose(file);
    return list;
}

static const char *member(json_t *list, size_t index, const char *name)
{
    return json_string_value(json_object_get(json_array_get(list, index), name));
}

static void a_line_has_time_level_event_and_message(void **state)
{
    lh_clock_set_fake(0);
    lh_log(LH_LOG_WARN, "a.b", "%d of \"%s\"\n", 3, "x\ty");
    json_t *list = lines(*state);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(member(list, 0, "time"), "1970-01-01T00:00:00.000Z");
    assert_string_equal(member(list, 0, "level"), "warn");
    assert_string_equal(member(list, 0, "event"), "a.b");
    assert_string_equal(member(list, 0, "message"), "3 of \"x\ty\"\n");
    json_decref(list);
}

static void lines_below_the_level_are_left_out(void **state)
{
    lh_log(LH_LOG_DEBUG, "a", "no");
    lh_log_set_level(LH_LOG_ERROR);
    lh_log(LH_LOG_WARN, "a", "no");
    lh_log_members(LH_LOG_INFO, "a", lh_lit("\"a\":1"));
    lh_log(LH_LOG_ERROR, "a", "yes");
    json_t *list = lines(*state);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
}

static void bad_bytes_and_long_messages_still_make_valid_lines(void **state)
{
    char *text = malloc(20001);
    memset(text, 1, 20000);
    text[20000] = '\0';
    lh_log(LH_LOG_ERROR, "a", "%s", text);
    for (size_t i = 0; i < 20000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    lh_log(LH_LOG_ERROR, "a", "x%s", text);
    lh_log(LH_LOG_ERROR, "a", "\xff\xfe \xed\xa0\x80");
    json_t *list = lines(*state);
    assert_int_equal(json_array_size(list), 3);
    assert_int_equal(strlen(member(list, 0, "message")), 8192);
    assert_int_equal(strlen(member(list, 1, "message")), 8191);
    json_decref(list);
    free(text);
}

static void members_and_errors_are_written(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    lh_fail(&err, LH_NOT_FOUND, "There is no 'x'.");
    lh_error_hint(&err, "Make one.");
    lh_log_error(LH_LOG_ERROR, "a", &err);
    lh_log_members(LH_LOG_INFO, "b", lh_lit("\"n\":1,\"o\":{\"p\":[]}"));
    lh_log_members(LH_LOG_INFO, "c", lh_lit(""));
    char *huge = malloc(100000);
    memset(huge, 'x', 100000);
    memcpy(huge, "\"k\":\"", 5);
    huge[99999] = '"';
    lh_log_members(LH_LOG_INFO, "d", (struct lh_str){huge, 100000});
    free(huge);
    json_t *list = lines(*state);
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(member(list, 0, "code"), "not_found");
    assert_string_equal(member(list, 0, "hint"), "Make one.");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "n")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 3), "bytes_left_out")),
                     100000);
    json_decref(list);
}

static void *write_many(void *context)
{
    for (int i = 0; i < 200; i++)
        lh_log(LH_LOG_INFO, "many", "%s %d", (const char *)context, i);
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, "some text to write"), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    json_t *list = lines(*state);
    assert_int_equal(json_array_size(list), 800);
    json_decref(list);
}

static void a_reader_that_takes_nothing_does_not_stop_the_server(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    lh_log_set_fd(ends[1]);
    char filler[4096] = {0};
    while (write(ends[1], filler, sizeof filler) > 0) {
    }
    int64_t before_us = lh_clock_monotonic_us();
    lh_log(LH_LOG_ERROR, "a", "lost");
    assert_true(lh_clock_monotonic_us() - before_us < 5000000);
    lh_log_set_fd(fixture->fd);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_event_and_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_below_the_level_are_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_bytes_and_long_messages_still_make_valid_lines, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(members_and_errors_are_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_stay_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_that_takes_nothing_does_not_stop_the_server,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
