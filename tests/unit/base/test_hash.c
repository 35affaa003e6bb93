#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "support/temp_lake.h"

static void then_sums(const char *text, const char *expected)
{
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_of(lh_str_of(text), sum);
    lh_hex(sum, sizeof sum, hex);
    assert_string_equal(hex, expected);
}

static void sha256_gives_the_published_values(void **state)
{
    (void)state;
    then_sums("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    then_sums("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    then_sums("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_running_sum_does_not_depend_on_the_pieces_and_starts_anew(void **state)
{
    (void)state;
    char bytes[1000];
    uint8_t whole[LH_SHA256_BYTES];
    uint8_t pieces[LH_SHA256_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    lh_sha256_of((struct lh_str){bytes, sizeof bytes}, whole);
    struct lh_sha256 *sum = lh_sha256_new();
    for (size_t step = 1; step < 200; step += 37) {
        for (size_t i = 0; i < sizeof bytes; i += step)
            lh_sha256_add(sum, bytes + i, step < sizeof bytes - i ? step : sizeof bytes - i);
        lh_sha256_finish(sum, pieces);
        assert_memory_equal(whole, pieces, sizeof whole);
    }
    lh_sha256_free(sum);
    lh_sha256_free(NULL);
}

static void a_file_sums_like_its_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 262143, 262144, 262145, 700000};
    struct temp_lake lake;
    struct lh_dir *dir = NULL;
    temp_lake_make(&lake);
    assert_int_equal(lh_dir_open(temp_lake_path(&lake), false, &dir, NULL), LH_OK);
    char *bytes = calloc(1, 700000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t expected[LH_SHA256_BYTES];
        uint8_t found[LH_SHA256_BYTES];
        int64_t count = -1;
        int fd = -1;
        memset(bytes, (int)i + 1, sizes[i]);
        temp_lake_write(&lake, "f", bytes, sizes[i]);
        lh_sha256_of((struct lh_str){bytes, sizes[i]}, expected);
        assert_int_equal(lh_file_open(dir, "f", false, &fd, NULL), LH_OK);
        assert_int_equal(lh_sha256_of_file(fd, NULL, found, &count, NULL), LH_OK);
        lh_file_abandon(fd);
        assert_int_equal(count, sizes[i]);
        assert_memory_equal(found, expected, sizeof found);
    }
    free(bytes);
    lh_dir_close(dir);
    temp_lake_remove(&lake);
}

static void hexadecimal_reads_back_and_refuses_the_rest(void **state)
{
    (void)state;
    uint8_t bytes[4];
    char hex[9];
    assert_true(lh_hex_parse(lh_lit("00ffA0a1"), bytes, 4));
    lh_hex(bytes, 4, hex);
    assert_string_equal(hex, "00ffa0a1");
    assert_false(lh_hex_parse(lh_lit("00ffa0a"), bytes, 4));
    assert_false(lh_hex_parse(lh_lit("00ffa0a12"), bytes, 4));
    assert_false(lh_hex_parse(lh_lit("00ffa0ag"), bytes, 4));
    assert_false(lh_hex_parse(lh_lit("00ff 0a1"), bytes, 4));
}

/* One bit at a time: the definition. */
static uint32_t slow_crc32c(const uint8_t *bytes, size_t count)
{
    uint32_t sum = ~0U;
    for (size_t i = 0; i < count; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ 0x82f63b78U : sum >> 1;
    }
    return ~sum;
}

static void crc32c_gives_the_published_value_and_goes_on_from_any_point(void **state)
{
    (void)state;
    uint8_t bytes[100];
    assert_int_equal(lh_crc32c(0, "123456789", 9), 0xe3069283U);
    assert_int_equal(lh_crc32c(0, "", 0), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + 5);
    for (size_t count = 0; count <= sizeof bytes; count++) {
        uint32_t expected = slow_crc32c(bytes, count);
        assert_int_equal(lh_crc32c(0, bytes, count), expected);
        size_t half = count / 3;
        assert_int_equal(lh_crc32c(lh_crc32c(0, bytes, half), bytes + half, count - half),
                         expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_values),
        cmocka_unit_test(a_running_sum_does_not_depend_on_the_pieces_and_starts_anew),
        cmocka_unit_test(a_file_sums_like_its_bytes),
        cmocka_unit_test(hexadecimal_reads_back_and_refuses_the_rest),
        cmocka_unit_test(crc32c_gives_the_published_value_and_goes_on_from_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
