#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <poll.h>

#include "base/clock.h"
#include "support/http_house.h"

#define HOST "Host: x\r\n"

static int given_house(void **state)
{
    *state = http_house_new(NULL, 2, 16);
    return 0;
}

static int remove_house(void **state)
{
    http_house_free(*state);
    return 0;
}

static void then_contains(char *answer, const char *part)
{
    if (!strstr(answer, part))
        fail_msg("'%s' is not in: %s", part, answer);
}

static void expect(void **state, const char *request, const char *status, const char *part)
{
    char *answer = raw_ask(*state, request);
    if (strncmp(answer, status, strlen(status)) != 0)
        fail_msg("expected %s, got: %s\nfor: %.300s", status, answer, request);
    then_contains(answer, part);
    free(answer);
}

static void a_request_is_split_and_decoded_once(void **state)
{
    expect(state,
           "GET /show/a%2Fb%20c//d%2541/?x=1%262&y=a+b&z&%C3%A4= HTTP/1.1\r\n" HOST
           "X-Test:  padded value \r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
           "HTTP/1.1 200",
           "method GET\npath /show/a%2Fb%20c//d%2541/\nremote 127.0.0.1\nsegment [show]\n"
           "segment [a/b c]\nsegment []\nsegment [d%41]\nquery [x]=[1&2]\nquery [y]=[a b]\n"
           "query [z]=[]\nquery [\xc3\xa4]=[]\nheader [padded value]\ntype [text/plain]\n");
}

static void reply_headers_cannot_be_injected(void **state)
{
    expect(state, "GET /show HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
           "X-Clean: a  Set-Cookie: b\r\n");
}

static void targets_that_cannot_be_read_are_400(void **state)
{
    static const char *const targets[] = {
        "/show/%",     "/show/%4",       "/show/%zz", "/show/%00", "/show/%ff",
        "/show?a=%e4", "/show/\xc3\xa4", "show",      "/show/a b", "*"};
    for (size_t at = 0; at < sizeof targets / sizeof targets[0]; at++) {
        char request[200];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[at]);
        expect(state, request, "HTTP/1.1 400", "\"code\":\"invalid_argument\"");
    }
}

static void heads_that_could_be_read_in_two_ways_are_400(void **state)
{
    static const char *const heads[] = {"Content-Length: 3\r\nContent-Length: 4\r\n",
                                        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                                        "Transfer-Encoding: gzip\r\n",
                                        "Transfer-Encoding: chunked, chunked\r\n",
                                        "B@d: x\r\n",
                                        "X-Control: a\x01\r\n"};
    for (size_t at = 0; at < sizeof heads / sizeof heads[0]; at++) {
        char request[300];
        snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\n" HOST "%s\r\n", heads[at]);
        expect(state, request, "HTTP/1.1 400", "\"code\":\"invalid_argument\"");
    }
    expect(state, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3x\r\n\r\n", "HTTP/1.1 400", "");
    expect(state, "GET /show HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "no Host header");
    expect(state, "GET /show HTTP/1.1\r\n" HOST "hOST: y\r\n\r\n", "HTTP/1.1 400",
           "more than one Host header");
    expect(state, "GET /show HTTP/1.1\r\n" HOST HOST "\r\n", "HTTP/1.1 400",
           "more than one Host header");
}

static char *filled(const char *prefix, const char *unit, int count, const char *suffix)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 24);
    lh_buf_append_str(&buf, lh_str_of(prefix));
    for (int at = 0; at < count; at++)
        lh_buf_append_str(&buf, lh_str_of(unit));
    lh_buf_append_str(&buf, lh_str_of(suffix));
    lh_buf_append_char(&buf, '\0');
    return buf.data;
}

static void expect_filled(void **state, const char *prefix, const char *unit, int count,
                          const char *suffix, const char *status, const char *part)
{
    char *request = filled(prefix, unit, count, suffix);
    expect(state, request, status, part);
    free(request);
}

static void heads_over_the_limits_are_refused_by_name(void **state)
{
    const char *const get = "GET /show HTTP/1.1\r\n" HOST;
    expect_filled(state, get, "A: b\r\n", 99, "\r\n", "HTTP/1.1 200", "");
    expect_filled(state, get, "A: b\r\n", 100, "\r\n", "HTTP/1.1 431", "headers_too_large");
    expect_filled(state, "GET /show HTTP/1.1\r\n" HOST "A: ", "x", 16300, "\r\n\r\n",
                  "HTTP/1.1 200", "");
    expect_filled(state, "GET /show HTTP/1.1\r\n" HOST "A: ", "x", 16384, "\r\n\r\n",
                  "HTTP/1.1 431", "headers_too_large");
    expect_filled(state, "GET /show?", "x", 8186, " HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "");
    expect_filled(state, "GET /show?", "x", 8187, " HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 414",
                  "target_too_long");
}

static void rubbish_does_not_hurt(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "\x16\x03\x01\x02\xff\xfe\xfd rubbish\r\n\r\n");
    free(raw_read_all(fd, 1000));
    close(fd);
    expect(state, "GET /show HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "method GET");
}

static void a_connection_serves_many_requests(void **state)
{
    struct http_house *house = *state;
    const int fd = raw_connect(house);
    for (int round = 0; round < 50; round++) {
        raw_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        char *answer = raw_read_response(fd);
        then_contains(answer, "\r\n\r\nhello");
        free(answer);
    }
    close(fd);
    const struct http_server_stats stats = http_server_stats(house->server);
    assert_int_equal(stats.connections_total, 1);
    assert_int_equal(stats.requests_total, 50);
    assert_int_equal(stats.replies[2], 50);
    assert_int_equal(stats.bytes_received, 250);
    assert_int_equal(stats.bytes_sent, 250);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    const int fd = raw_connect(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
                 "GET /nowhere HTTP/1.1\r\n" HOST "\r\n"
                 "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n2"
                 "GET /stream?bytes=70000 HTTP/1.1\r\n" HOST "\r\n"
                 "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    static const char *const wanted[] = {"\r\n\r\n1", "404", "\r\n\r\n2", "chunked", "204"};
    for (size_t at = 0; at < 5; at++) {
        char *answer = raw_read_response(fd);
        then_contains(answer, wanted[at]);
        free(answer);
    }
    close(fd);
}

static void head_is_get_without_a_body(void **state)
{
    const int fd = raw_connect(*state);
    raw_send(fd, "HEAD /show HTTP/1.1\r\n" HOST "\r\nHEAD /stream HTTP/1.1\r\n" HOST
                 "\r\nHEAD /nowhere HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    char *answer = raw_read_all(fd, 2000);
    then_contains(answer, "HTTP/1.1 404");
    assert_null(strstr(answer, "method"));
    assert_null(strstr(answer, "no_such_path"));
    int count = 0;
    for (const char *at = answer; (at = strstr(at, "HTTP/1.1 200")); at++)
        count++;
    assert_int_equal(count, 2);
    free(answer);
    close(fd);
}

static void chunked_bodies_are_put_together(void **state)
{
    expect(state,
           "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
           "HTTP/1.1 200", "\r\n\r\nabc0123456789");
}

static void refused_bodies_are_not_asked_for(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\n" HOST
                 "Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n");
    char *answer = raw_read_all(fd, 3000);
    assert_int_equal(strncmp(answer, "HTTP/1.1 413", 12), 0);
    assert_null(strstr(answer, "100 Continue"));
    free(answer);
    close(fd);
    fd = raw_connect(*state);
    raw_send(fd,
             "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    answer = raw_read_response(fd);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    free(answer);
    raw_send(fd, "hi");
    answer = raw_read_response(fd);
    then_contains(answer, "\r\n\r\nhi");
    free(answer);
    close(fd);
}

/* The client sends everything before it reads: it must find the answer, not a reset. */
static void a_client_that_sends_too_much_still_reads_its_413(void **state)
{
    static const char *const heads[] = {"Content-Length: 8000000\r\n\r\n",
                                        "Transfer-Encoding: chunked\r\n\r\n7A1200\r\n"};
    for (size_t at = 0; at < 2; at++) {
        const int fd = raw_connect(*state);
        char *body = filled("", "0123456789", 800000, "");
        raw_send(fd, "POST /echo HTTP/1.1\r\n" HOST);
        raw_send(fd, heads[at]);
        assert_true(raw_try_send(fd, body, 8000000));
        char *answer = raw_read_all(fd, 5000);
        assert_int_equal(strncmp(answer, "HTTP/1.1 413", 12), 0);
        then_contains(answer, "larger than 1048576 bytes");
        then_contains(answer, "Connection: close");
        free(answer);
        free(body);
        close(fd);
    }
}

static void a_small_refused_body_keeps_the_connection(void **state)
{
    const int fd = raw_connect(*state);
    raw_send(fd, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789"
                 "POST /show HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx"
                 "GET /show HTTP/1.1\r\n" HOST "\r\n");
    static const char *const wanted[] = {"404", "400", "200"};
    for (size_t at = 0; at < 3; at++) {
        char *answer = raw_read_response(fd);
        then_contains(answer, wanted[at]);
        free(answer);
    }
    close(fd);
}

static void an_upload_without_room_is_507_before_it_is_read(void **state)
{
    http_house_free(*state);
    const struct http_server_options options = {.disk_reserve_bytes = (int64_t)1 << 60};
    struct http_house *house = http_house_new(&options, 1, 1);
    *state = house;
    expect(state, "POST /spool HTTP/1.1\r\n" HOST "Content-Length: 900000000\r\n\r\n",
           "HTTP/1.1 507", "There is no room for the upload");
    expect(state,
           "POST /spool HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
           "HTTP/1.1 507", "kept");
    assert_int_equal(http_house_staged(house), 0);
}

static void a_full_queue_is_503_with_retry_after(void **state)
{
    http_house_free(*state);
    struct http_house *house = http_house_new(NULL, 1, 1);
    *state = house;
    const int running = raw_connect(house);
    raw_send(running, "GET /gate HTTP/1.1\r\n" HOST "\r\n");
    http_house_wait(house, 1);
    const int queued = raw_connect(house);
    raw_send(queued, "GET /gate HTTP/1.1\r\n" HOST "\r\n");
    while (http_server_stats(house->server).handling < 2)
        usleep(1000);
    expect(state, "GET /show HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 503", "Retry-After: 1\r\n");
    http_house_open(house);
    char *answer = raw_read_response(running);
    then_contains(answer, "through");
    free(answer);
    answer = raw_read_response(queued);
    then_contains(answer, "through");
    free(answer);
    close(running);
    close(queued);
    assert_int_equal(http_server_stats(house->server).queue_refused, 1);
}

static void a_hang_up_cancels_the_handler_within_milliseconds(void **state)
{
    struct http_house *house = *state;
    for (int round = 1; round <= 10; round++) {
        atomic_store(&house->last_cancel, 0);
        const int fd = raw_connect(house);
        raw_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        http_house_wait(house, round);
        const int64_t left_us = lh_clock_monotonic_us();
        close(fd);
        while (!atomic_load(&house->last_cancel))
            usleep(200);
        assert_int_equal(atomic_load(&house->last_cancel), LH_CANCELLED);
        /* The handler looks every millisecond; a busy machine may delay both threads. */
        assert_true(atomic_load(&house->cancelled_us) - left_us < 200000);
    }
    assert_int_equal(http_server_stats(house->server).hang_ups, 10);
}

static void what_comes_after_a_reply_keeps_nobody_waiting(void **state)
{
    http_house_free(*state);
    struct http_house *house = http_house_new(NULL, 4, 16);
    *state = house;
    const int fd = raw_connect(house);
    for (int round = 1; round <= 2; round++) { /* the connection goes on, too */
        raw_send(fd, "GET /after HTTP/1.1\r\n" HOST "X-Test: kept\r\n\r\n");
        char *answer = raw_read_response(fd);
        then_contains(answer, "now");
        free(answer);
        http_house_wait(house, round);
    }
    close(fd);
    const int left = raw_connect(house); /* a stream whose reader leaves */
    raw_send(left, "GET /after?bytes=4000000 HTTP/1.1\r\n" HOST "X-Test: kept\r\n\r\n");
    usleep(20000);
    close(left);
    http_house_wait(house, 3);
    const int last = raw_connect(house);
    raw_send(last, "GET /after?bytes=40000 HTTP/1.1\r\n" HOST "X-Test: kept\r\n\r\n");
    http_house_wait(house, 4);
    assert_int_equal(atomic_load(&house->looked_back), 0);
    http_house_open(house);
    for (int step = 0; step < 5000 && atomic_load(&house->looked_back) < 4; step++)
        usleep(1000);
    assert_int_equal(atomic_load(&house->looked_back), 4);
    close(last);
}

static void a_port_in_use_is_named(void **state)
{
    struct http_house *house = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct http_server *second = NULL;
    struct http_server_options options = {.port = http_server_port(house->server),
                                          .pool = house->pool};
    char wanted[100];
    snprintf(wanted, sizeof wanted, "Port %u of 127.0.0.1 is in use by another program.",
             options.port);
    assert_int_equal(http_server_start(&options, &http_house_handlers, &second, &err), LH_BUSY);
    assert_string_equal(err.message, wanted);
    assert_non_null(strstr(err.hint, "--listen"));
    options.address = lh_lit("203.0.113.1");
    assert_int_equal(http_server_start(&options, &http_house_handlers, &second, &err), LH_INVALID);
    options.address = lh_lit("localhost");
    assert_int_equal(http_server_start(&options, &http_house_handlers, &second, &err), LH_INVALID);
}

/* libmicrohttpd's own way of not listening any more ends the program, one stop in some thousand. */
static void a_server_stops_while_clients_knock_and_leaves_its_port_each_time(void **state)
{
    struct http_house *house = *state;
    struct http_server *const first = house->server;
    struct http_server_options options = {
        .io_threads = 4, .pool = house->pool, .staging = house->dir};
    struct http_handlers handlers = http_house_handlers;
    handlers.context = house;
    for (int round = 0; round < 200; round++) {
        struct lh_error err = LH_ERROR_NONE;
        if (http_server_start(&options, &handlers, &house->server, &err))
            fail_msg("round %d: %s", round, err.message);
        options.port = http_server_port(house->server); /* which the next one takes again */
        int knocking[6];
        for (int at = 0; at < 6; at++) {
            knocking[at] = raw_connect(house);
            raw_send(knocking[at], "GET /show HTTP/1.1\r\n");
        }
        if (round % 2)
            free(raw_ask(house, "GET /show HTTP/1.1\r\n" HOST "\r\n"));
        http_server_stop(house->server, 100);
        for (int at = 0; at < 6; at++) {
            assert_true(raw_is_closed(knocking[at], 5000));
            close(knocking[at]);
        }
    }
    house->server = first;
}

/* The server has said something to a client that is still sending, or has left it. */
static bool is_answered(int fd, int timeout_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, timeout_ms) == 1;
}

static void slow_headers_and_slow_bodies_are_cut_with_408(void **state)
{
    http_house_free(*state);
    const struct http_server_options options = {
        .header_timeout_ms = 300, .body_rate_min = 1000000, .idle_timeout_ms = 300};
    struct http_house *house = http_house_new(&options, 2, 16);
    *state = house;
    const int drip = raw_connect(house);
    const int body = raw_connect(house);
    const int idle = raw_connect(house);
    raw_send(body, "POST /spool HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc");
    raw_send(idle, "GET /show HTTP/1.1\r\n" HOST "\r\n");
    free(raw_read_response(idle));
    bool is_cut = false;
    for (int step = 0; step < 100 && !is_cut; step++) /* a byte now and then does not help */
        is_cut = !raw_try_send(drip, "G", 1) || is_answered(drip, 50);
    assert_true(is_cut);
    char *answer = raw_read_all(body, 5000);
    assert_int_equal(strncmp(answer, "HTTP/1.1 408", 12), 0);
    free(answer);
    assert_true(raw_is_closed(idle, 5000));
    for (int step = 0; step < 5000 && http_server_stats(house->server).timeouts < 3; step++)
        (void)poll(NULL, 0, 1);
    assert_true(http_server_stats(house->server).timeouts >= 3);
    close(drip);
    close(body);
    close(idle);
}

int main(void)
{
#define HOUSE_TEST(name) cmocka_unit_test_setup_teardown(name, given_house, remove_house)
    const struct CMUnitTest tests[] = {
        HOUSE_TEST(a_request_is_split_and_decoded_once),
        HOUSE_TEST(reply_headers_cannot_be_injected),
        HOUSE_TEST(targets_that_cannot_be_read_are_400),
        HOUSE_TEST(heads_that_could_be_read_in_two_ways_are_400),
        HOUSE_TEST(heads_over_the_limits_are_refused_by_name),
        HOUSE_TEST(rubbish_does_not_hurt),
        HOUSE_TEST(a_connection_serves_many_requests),
        HOUSE_TEST(pipelined_requests_are_answered_in_order),
        HOUSE_TEST(head_is_get_without_a_body),
        HOUSE_TEST(chunked_bodies_are_put_together),
        HOUSE_TEST(refused_bodies_are_not_asked_for),
        HOUSE_TEST(a_client_that_sends_too_much_still_reads_its_413),
        HOUSE_TEST(a_small_refused_body_keeps_the_connection),
        HOUSE_TEST(an_upload_without_room_is_507_before_it_is_read),
        HOUSE_TEST(a_full_queue_is_503_with_retry_after),
        HOUSE_TEST(a_hang_up_cancels_the_handler_within_milliseconds),
        HOUSE_TEST(what_comes_after_a_reply_keeps_nobody_waiting),
        HOUSE_TEST(a_port_in_use_is_named),
        HOUSE_TEST(a_server_stops_while_clients_knock_and_leaves_its_port_each_time),
        HOUSE_TEST(slow_headers_and_slow_bodies_are_cut_with_408),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
