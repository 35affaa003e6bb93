#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "support/http_house.h"

#define HOST "Host: x\r\n"
#define FORM "POST /form HTTP/1.1\r\n" HOST "Content-Type: multipart/form-data; boundary=XX\r\n"
#define FILE_PART                                                                                  \
    "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big.csv\"\r\n\r\n"

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

static void pause_ms(long ms)
{
    const struct timespec step = {0, ms * 1000000};
    nanosleep(&step, NULL);
}

static void then_contains(const char *answer, const char *part)
{
    if (!strstr(answer, part))
        fail_msg("'%s' is not in: %.2000s", part, answer);
}

static void expect_form(void **state, const char *body, const char *status, const char *part)
{
    struct lh_buf request;
    lh_buf_init(&request, (size_t)1 << 24);
    lh_buf_printf(&request, FORM "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    char *answer = raw_ask(*state, request.data);
    then_contains(answer, status);
    then_contains(answer, part);
    free(answer);
    lh_buf_release(&request);
}

static void a_form_arrives_with_its_files_and_values(void **state)
{
    expect_form(
        state,
        "--XX\r\nContent-Disposition: form-data; name=\"dataset\"\r\n\r\npackages\r\n" FILE_PART
        "abc\r\n--XX--\r\n",
        "HTTP/1.1 200",
        "dataset value [packages] type []\nfile file [big.csv] 3 "
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad type []\n");
}

static void a_large_file_is_spooled_with_flat_memory(void **state)
{
    static char piece[1 << 20];
    const size_t pieces = 50;
    char hex[LH_SHA256_HEX_BYTES + 1], head[300], wanted[200];
    uint8_t sum[LH_SHA256_BYTES];
    struct lh_sha256 *running = lh_sha256_new();
    struct rusage before, after;
    const char *const tail = "\r\n--XX--";
    const int fd = raw_connect(*state);
    snprintf(head, sizeof head, FORM "Content-Length: %zu\r\n\r\n" FILE_PART,
             strlen(FILE_PART) + pieces * sizeof piece + strlen(tail));
    getrusage(RUSAGE_SELF, &before);
    raw_send(fd, head);
    for (size_t at = 0; at < pieces; at++) {
        memset(piece, (int)at, sizeof piece);
        lh_sha256_add(running, piece, sizeof piece);
        assert_true(raw_try_send(fd, piece, sizeof piece));
    }
    raw_send(fd, tail);
    char *answer = raw_read_response(fd);
    getrusage(RUSAGE_SELF, &after);
    lh_sha256_finish(running, sum);
    lh_hex(sum, sizeof sum, hex);
    snprintf(wanted, sizeof wanted, "[big.csv] %zu %s", pieces * sizeof piece, hex);
    then_contains(answer, wanted);
    assert_true(after.ru_maxrss - before.ru_maxrss < 20000); /* KB */
    free(answer);
    close(fd);
    lh_sha256_free(running);
}

static void a_raw_body_is_spooled(void **state)
{
    char *answer =
        raw_ask(*state, "POST /spool HTTP/1.1\r\n" HOST
                        "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");
    then_contains(answer, "3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    free(answer);
}

static void hostile_forms_are_refused_and_leave_nothing(void **state)
{
    struct lh_buf parts;
    lh_buf_init(&parts, (size_t)1 << 22);
    for (int at = 0; at < 1000; at++)
        lh_buf_append_str(
            &parts, lh_lit("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n"));
    lh_buf_append_str(&parts, lh_lit("--XX--"));
    expect_form(state, parts.data, "HTTP/1.1 413", "more than 100 parts");
    lh_buf_clear(&parts);
    lh_buf_append_str(&parts, lh_lit("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"));
    for (int at = 0; at < 110000; at++)
        lh_buf_append_str(&parts, lh_lit("0123456789"));
    lh_buf_append_str(&parts, lh_lit("\r\n--XX--"));
    expect_form(state, parts.data, "HTTP/1.1 413", "larger than 1048576 bytes");
    lh_buf_release(&parts);
    expect_form(state, FILE_PART "abc", "HTTP/1.1 400", "ends in part 1");
    expect_form(state, FILE_PART "abc\r\n--XX\r\n\r\n\r\n--XX--", "HTTP/1.1 400",
                "Part 2 of the form");
    char *answer = raw_ask(*state, "POST /form HTTP/1.1\r\n" HOST
                                   "Content-Type: text/csv\r\nContent-Length: 1\r\n\r\nx");
    then_contains(answer, "HTTP/1.1 415");
    free(answer);
    assert_int_equal(http_house_staged(*state), 0);
}

static void a_hang_up_in_the_middle_removes_the_file(void **state)
{
    struct http_house *house = *state;
    const int fd = raw_connect(house);
    raw_send(fd, FORM "Content-Length: 100000\r\n\r\n" FILE_PART "some bytes");
    for (int step = 0; step < 2000 && http_house_staged(house) == 0; step++)
        pause_ms(1);
    assert_int_equal(http_house_staged(house), 1);
    close(fd);
    for (int step = 0; step < 2000 && http_house_staged(house) > 0; step++)
        pause_ms(1);
    assert_int_equal(http_house_staged(house), 0);
    assert_int_equal(http_server_stats(house->server).in_flight, 0);
}

static void too_many_bodies_in_memory_are_503(void **state)
{
    http_house_free(*state);
    const struct http_server_options options = {.body_memory_max = 1000};
    *state = http_house_new(&options, 2, 16);
    static char request[3000];
    const int head = snprintf(request, sizeof request,
                              "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n");
    memset(request + head, 'x', 1001);
    for (int round = 0; round < 2; round++) {
        char *answer = raw_ask(*state, request);
        then_contains(answer, "HTTP/1.1 503");
        then_contains(answer, "Retry-After");
        free(answer);
    }
    /* What was counted is given back, when the server has noticed that its client is gone. */
    char *answer = NULL;
    for (int tries = 0; tries < 200 && !(answer && strstr(answer, "\r\n\r\nhi")); tries++) {
        free(answer);
        if (tries)
            pause_ms(10);
        answer = raw_ask(*state, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
    }
    then_contains(answer, "\r\n\r\nhi");
    free(answer);
}

int main(void)
{
#define HOUSE_TEST(name) cmocka_unit_test_setup_teardown(name, given_house, remove_house)
    const struct CMUnitTest tests[] = {
        HOUSE_TEST(a_form_arrives_with_its_files_and_values),
        HOUSE_TEST(a_large_file_is_spooled_with_flat_memory),
        HOUSE_TEST(a_raw_body_is_spooled),
        HOUSE_TEST(hostile_forms_are_refused_and_leave_nothing),
        HOUSE_TEST(a_hang_up_in_the_middle_removes_the_file),
        HOUSE_TEST(too_many_bodies_in_memory_are_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
