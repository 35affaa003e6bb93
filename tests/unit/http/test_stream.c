#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/http_house.h"

#define HOST "Host: x\r\n"

static int given_house(void **state)
{
    /* Whoever is gone and whose end was overlooked goes at the idle timeout at the latest. */
    const struct http_server_options options = {.idle_timeout_ms = 2000};
    *state = http_house_new(&options, 2, 16);
    return 0;
}

static int remove_house(void **state)
{
    http_house_free(*state);
    return 0;
}

static void pause_ms(long ms)
{
    const struct timespec step = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&step, NULL);
}

static void then_contains(const char *answer, const char *part)
{
    if (!strstr(answer, part))
        fail_msg("'%s' is not in: %.500s", part, answer);
}

static int wait_for_cancel(struct http_house *house)
{
    for (int step = 0; step < 5000 && !atomic_load(&house->last_cancel); step++)
        pause_ms(1);
    return atomic_load(&house->last_cancel);
}

static void a_short_stream_leaves_in_one_piece(void **state)
{
    char *answer = raw_ask(*state, "GET /stream?bytes=20000 HTTP/1.1\r\n" HOST "\r\n");
    then_contains(answer, "Content-Length: 20000\r\n");
    assert_null(strstr(answer, "chunked"));
    free(answer);
}

static void a_long_stream_is_chunked_and_complete(void **state)
{
    struct http_house *house = *state;
    const int fd = raw_connect(house);
    raw_send(fd, "GET /stream?bytes=30000000 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    free(raw_read_all(fd, 3000));
    close(fd);
    assert_int_equal(atomic_load(&house->streamed), 30000000);
    assert_int_equal(atomic_load(&house->last_cancel), LH_OK);
    assert_int_equal(http_server_stats(house->server).bytes_sent, 30000000);
}

static void flushed_rows_arrive_before_the_end(void **state)
{
    struct http_house *house = *state;
    const int fd = raw_connect(house);
    raw_send(fd, "GET /events HTTP/1.1\r\n" HOST "\r\n");
    char *first = raw_read_all(fd, 300);
    then_contains(first, "chunked");
    then_contains(first, "4\r\none\n\r\n");
    assert_null(strstr(first, "two"));
    free(first);
    http_house_open(house);
    char *rest = raw_read_all(fd, 300);
    assert_string_equal(rest, "4\r\ntwo\n\r\n0\r\n\r\n");
    free(rest);
    close(fd);
}

static void flushed_rows_arrive_packed_before_the_end(void **state)
{
    struct http_house *house = *state;
    const int fd = raw_connect(house);
    raw_send(fd, "GET /events HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n");
    char *first = raw_read_all(fd, 300);
    then_contains(first, "Content-Encoding: gzip\r\n");
    then_contains(first, "Vary: Accept-Encoding\r\n");
    const char *body = strstr(first, "\r\n\r\n");
    assert_non_null(body);
    assert_true(strtol(body + 4, NULL, 16) > 10);
    then_contains(body, "\r\n\x1f\x8b"); /* gzip's magic number: the coding is that of the name */
    free(first);
    http_house_open(house);
    free(raw_read_all(fd, 300));
    close(fd);
}

/* The buffer and the two sockets' own are all that the handler gets rid of. */
static void a_slow_reader_holds_its_handler_back_and_is_cut_in_the_end(void **state)
{
    http_house_free(*state);
    const struct http_server_options options = {.write_timeout_ms = 500,
                                                .stream_buffer_bytes = 100000};
    struct http_house *house = http_house_new(&options, 2, 16);
    *state = house;
    const int fd = raw_connect(house);
    raw_send(fd, "GET /stream?bytes=1000000000 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(wait_for_cancel(house), LH_TIMEOUT);
    assert_true(atomic_load(&house->streamed) < 50000000);
    assert_int_equal(http_server_stats(house->server).timeouts, 1);
    close(fd);
}

static void a_client_that_leaves_ends_the_stream(void **state)
{
    struct http_house *house = *state;
    const int fd = raw_connect(house);
    raw_send(fd, "GET /stream?bytes=1000000000 HTTP/1.1\r\n" HOST "\r\n");
    while (atomic_load(&house->streamed) < 100000)
        pause_ms(1);
    close(fd);
    assert_int_equal(wait_for_cancel(house), LH_CANCELLED);
}

static void an_error_after_some_rows_is_told_or_seen(void **state)
{
    char *early = raw_ask(*state, "GET /late?bytes=1000 HTTP/1.1\r\n" HOST "\r\n");
    then_contains(early, "HTTP/1.1 400");
    then_contains(early, "\r\n\r\na late error");
    free(early);
    const int fd = raw_connect(*state);
    raw_send(fd, "GET /late?bytes=150000 HTTP/1.1\r\n" HOST "\r\n");
    char *late = raw_read_all(fd, 2000);
    then_contains(late, "HTTP/1.1 200");
    assert_null(
        strstr(late, "\r\n0\r\n\r\n")); /* no last chunk: the client knows that it was cut */
    assert_true(raw_is_closed(fd, 1000));
    free(late);
    close(fd);
    char *cut = raw_ask(*state, "GET /cut HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(cut, "");
    free(cut);
}

static void *stop(void *context)
{
    struct http_house *house = context;
    http_server_stop(house->server, 100);
    return NULL;
}

/* Two handlers of the kinds that last, and a client that reads nothing. */
static void stopping_ends_what_runs(void **state)
{
    struct http_house *house = *state;
    pthread_t thread;
    const int64_t start_us = lh_clock_monotonic_us();
    const int streaming = raw_connect(house);
    const int waiting = raw_connect(house);
    const int idle = raw_connect(house);
    raw_send(streaming, "GET /stream?bytes=1000000000 HTTP/1.1\r\n" HOST "\r\n");
    raw_send(waiting, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    http_house_wait(house, 1);
    assert_int_equal(pthread_create(&thread, NULL, stop, house), 0);
    char *answer = raw_read_all(waiting, 3000);
    then_contains(answer, "cancelled");
    free(answer);
    pthread_join(thread, NULL);
    house->server = NULL;
    assert_int_equal(atomic_load(&house->last_cancel), LH_STOPPING);
    assert_true(lh_clock_monotonic_us() - start_us < 5000000);
    assert_true(raw_is_closed(idle, 100));
    close(streaming);
    close(waiting);
    close(idle);
}

static void stopping_waits_for_a_handler_within_its_grace(void **state)
{
    struct http_house *house = *state;
    pthread_t thread;
    const int fd = raw_connect(house);
    raw_send(fd, "GET /gate HTTP/1.1\r\n" HOST "\r\n");
    http_house_wait(house, 1);
    assert_int_equal(pthread_create(&thread, NULL, stop, house), 0);
    pause_ms(30);
    http_house_open(house);
    char *answer = raw_read_response(fd);
    then_contains(answer, "through");
    free(answer);
    pthread_join(thread, NULL);
    house->server = NULL;
    close(fd);
}

struct load {
    struct http_house *house;
    unsigned seed;
};

/* Requests of every kind, some cut off at random places. */
static void *make_load(void *context)
{
    struct load *load = context;
    static const char *const requests[] = {
        "GET /show HTTP/1.1\r\n" HOST "\r\n",
        "GET /stream?bytes=300000 HTTP/1.1\r\n" HOST "\r\n",
        "POST /spool HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
        "GET /nowhere HTTP/1.1\r\n" HOST "\r\n",
        "GET /stream?bytes=9000000 HTTP/1.1\r\n" HOST "Accept-Encoding: zstd\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\n\r\nhello",
    };
    for (int round = 0; round < 60; round++) {
        const int fd = raw_connect(load->house);
        const char *request = requests[(size_t)rand_r(&load->seed) % 7];
        const size_t len = strlen(request);
        const bool is_cut = rand_r(&load->seed) % 4 == 0;
        (void)raw_try_send(fd, request, is_cut ? (size_t)rand_r(&load->seed) % len : len);
        if (!is_cut && rand_r(&load->seed) % 3)
            free(raw_read_response(fd));
        close(fd);
    }
    return NULL;
}

static void clients_that_come_and_go_leave_nothing_behind(void **state)
{
    struct http_house *house = *state;
    pthread_t threads[4];
    struct load loads[4];
    for (unsigned at = 0; at < 4; at++) {
        loads[at] = (struct load){house, at + 1};
        assert_int_equal(pthread_create(&threads[at], NULL, make_load, &loads[at]), 0);
    }
    for (unsigned at = 0; at < 4; at++)
        pthread_join(threads[at], NULL);
    struct http_server_stats stats = http_server_stats(house->server);
    for (int step = 0; step < 20000 && (stats.connections || stats.handling); step++) {
        pause_ms(1);
        stats = http_server_stats(house->server);
    }
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.handling, 0);
    assert_int_equal(http_house_staged(house), 0);
}

int main(void)
{
#define HOUSE_TEST(name) cmocka_unit_test_setup_teardown(name, given_house, remove_house)
    const struct CMUnitTest tests[] = {
        HOUSE_TEST(a_short_stream_leaves_in_one_piece),
        HOUSE_TEST(a_long_stream_is_chunked_and_complete),
        HOUSE_TEST(flushed_rows_arrive_before_the_end),
        HOUSE_TEST(flushed_rows_arrive_packed_before_the_end),
        HOUSE_TEST(a_slow_reader_holds_its_handler_back_and_is_cut_in_the_end),
        HOUSE_TEST(a_client_that_leaves_ends_the_stream),
        HOUSE_TEST(an_error_after_some_rows_is_told_or_seen),
        HOUSE_TEST(stopping_ends_what_runs),
        HOUSE_TEST(stopping_waits_for_a_handler_within_its_grace),
        HOUSE_TEST(clients_that_come_and_go_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
