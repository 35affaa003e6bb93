/* Signatures, held against the published examples of the algorithm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/sign.h"

#define KEYS                                                                                       \
    {                                                                                              \
        LH_LIT("AKIAIOSFODNN7EXAMPLE"), LH_LIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),        \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define MAY_24_2013 INT64_C(1369353600000)
#define AUGUST_30_2015 INT64_C(1440938160000)

static struct sign_request request_of(const char *method, const char *path)
{
    return (struct sign_request){
        .method = method,
        .host = lh_lit("examplebucket.s3.amazonaws.com"),
        .path = lh_str_of(path),
        .payload_hash = lh_lit(SIGN_EMPTY),
        .unix_ms = MAY_24_2013,
        .region = lh_lit("us-east-1"),
        .service = lh_lit("s3"),
        .keys = KEYS,
    };
}

static void then_signature_is(const struct sign_request *request, const char *expected)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct http_pair headers[4];
    size_t count = sign_headers(request, arena, headers);
    struct lh_str value = headers[count - 1].value;
    assert_true(lh_str_equal(headers[count - 1].name, lh_lit("Authorization")));
    struct lh_str found = lh_str_slice(value, value.len - 64, value.len);
    if (!lh_str_equal(found, lh_str_of(expected)))
        fail_msg("%.*s", LH_ARG(value));
    lh_arena_free(arena);
}

static void a_get_with_a_range_is_signed_as_published(void **state)
{
    const struct http_pair range = {LH_LIT("Range"), LH_LIT("bytes=0-9")};
    struct sign_request request = request_of("GET", "/test.txt");
    (void)state;
    request.headers = &range;
    request.header_count = 1;
    then_signature_is(&request, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void a_put_with_a_body_and_a_strange_key_is_signed_as_published(void **state)
{
    const struct http_pair headers[] = {
        {LH_LIT("Date"), LH_LIT("Fri, 24 May 2013 00:00:00 GMT")},
        {LH_LIT("x-amz-storage-class"), LH_LIT("REDUCED_REDUNDANCY")},
    };
    struct sign_request request = request_of("PUT", "/test$file.text");
    (void)state;
    request.headers = headers;
    request.header_count = 2;
    request.payload_hash =
        lh_lit("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    then_signature_is(&request, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void queries_are_sorted_and_one_without_a_value_is_signed_as_published(void **state)
{
    const struct http_pair lifecycle = {LH_LIT("lifecycle"), LH_LIT("")};
    const struct http_pair list[] = {{LH_LIT("prefix"), LH_LIT("J")},
                                     {LH_LIT("max-keys"), LH_LIT("2")}};
    struct sign_request request = request_of("GET", "/");
    (void)state;
    request.query = &lifecycle;
    request.query_count = 1;
    then_signature_is(&request, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    request.query = list;
    request.query_count = 2;
    then_signature_is(&request, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void an_address_is_signed_as_published(void **state)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct sign_request request = request_of("GET", "/test.txt");
    (void)state;
    request.payload_hash = (struct lh_str){0};
    struct lh_str query = sign_query(&request, 86400, arena);
    struct lh_str expected = lh_lit(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
        "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
        "X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    if (!lh_str_equal(query, expected))
        fail_msg("%.*s", LH_ARG(query));
    lh_arena_free(arena);
}

static struct sign_request suite_request(const char *method, const char *path)
{
    return (struct sign_request){
        .method = method,
        .host = lh_lit("example.amazonaws.com"),
        .path = lh_str_of(path),
        .unix_ms = AUGUST_30_2015,
        .region = lh_lit("us-east-1"),
        .service = lh_lit("service"),
        .keys = {LH_LIT("AKIDEXAMPLE"), LH_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), {0}},
    };
}

static void the_plain_cases_of_the_test_suite_hold(void **state)
{
    struct sign_request get = suite_request("GET", "/");
    struct sign_request post = suite_request("POST", "/");
    (void)state;
    then_signature_is(&get, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    then_signature_is(&post, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
}

static void a_session_token_is_signed_as_in_the_test_suite(void **state)
{
    struct sign_request request = suite_request("POST", "/");
    (void)state;
    request.keys.session_token =
        lh_lit("AQoDYXdzEPT//////////"
               "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSP"
               "fIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
               "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYw"
               "T7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"
               "xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKm"
               "lzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==");
    then_signature_is(&request, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

static void what_is_signed_never_holds_the_secret(void **state)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct http_pair headers[4];
    struct sign_request request = request_of("GET", "/test.txt");
    size_t count = sign_headers(&request, arena, headers);
    struct lh_str secret = request.keys.secret_key;
    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_null(memmem(headers[i].value.data, headers[i].value.len, secret.data, secret.len));
    struct lh_str query = sign_query(&request, 60, arena);
    assert_null(memmem(query.data, query.len, secret.data, secret.len));
    lh_arena_free(arena);
}

static void texts_are_encoded_by_the_byte_and_in_capitals(void **state)
{
    struct lh_arena *arena = lh_arena_new(0);
    (void)state;
    assert_true(
        lh_str_equal(sign_encode(lh_lit("a/b c+d~é"), true, arena), lh_lit("a/b%20c%2Bd~%C3%A9")));
    assert_true(lh_str_equal(sign_encode(lh_lit("a/b"), false, arena), lh_lit("a%2Fb")));
    lh_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_with_a_range_is_signed_as_published),
        cmocka_unit_test(a_put_with_a_body_and_a_strange_key_is_signed_as_published),
        cmocka_unit_test(queries_are_sorted_and_one_without_a_value_is_signed_as_published),
        cmocka_unit_test(an_address_is_signed_as_published),
        cmocka_unit_test(the_plain_cases_of_the_test_suite_hold),
        cmocka_unit_test(a_session_token_is_signed_as_in_the_test_suite),
        cmocka_unit_test(what_is_signed_never_holds_the_secret),
        cmocka_unit_test(texts_are_encoded_by_the_byte_and_in_capitals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
