#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#define FILE_STEP_BYTES ((size_t)262144)

struct lh_sha256 {
    EVP_MD_CTX *context;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const EVP_MD
    *algorithm; /* fetched once: looking it up by name costs more than a short sum */

static void must(int is_fine)
{
    if (!is_fine) {
        fprintf(stderr, "lakehouse: OpenSSL cannot compute SHA-256\n");
        abort();
    }
}

static void fetch_algorithm(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(algorithm != NULL);
}

struct lh_sha256 *lh_sha256_new(void)
{
    pthread_once(&once, fetch_algorithm);
    struct lh_sha256 *sum = malloc(sizeof *sum);
    must(sum != NULL);
    sum->context = EVP_MD_CTX_new();
    must(sum->context != NULL);
    must(EVP_DigestInit_ex(sum->context, algorithm, NULL));
    return sum;
}

void lh_sha256_add(struct lh_sha256 *sum, const void *bytes, size_t count)
{
    if (count)
        must(EVP_DigestUpdate(sum->context, bytes, count));
}

void lh_sha256_finish(struct lh_sha256 *sum, uint8_t ret[LH_SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(sum->context, ret, NULL));
    must(EVP_DigestInit_ex(sum->context, algorithm, NULL));
}

void lh_sha256_free(struct lh_sha256 *sum)
{
    if (!sum)
        return;
    EVP_MD_CTX_free(sum->context);
    free(sum);
}

void lh_sha256_of(struct lh_str bytes, uint8_t ret[LH_SHA256_BYTES])
{
    pthread_once(&once, fetch_algorithm);
    must(EVP_Digest(bytes.data ? bytes.data : "", bytes.len, ret, NULL, algorithm, NULL));
}

void lh_hmac_sha256(struct lh_str key, struct lh_str bytes, uint8_t ret[LH_SHA256_BYTES])
{
    static const unsigned char none[1];
    unsigned char sum[LH_SHA256_BYTES];
    pthread_once(&once, fetch_algorithm);
    must(HMAC(algorithm, key.data ? key.data : (const char *)none, (int)key.len,
              (const unsigned char *)(bytes.data ? bytes.data : (const char *)none), bytes.len, sum,
              NULL) != NULL);
    memcpy(ret, sum, sizeof sum);
}

enum lh_code lh_sha256_of_file(int fd, const struct lh_cancel *cancel, uint8_t ret[LH_SHA256_BYTES],
                               int64_t *ret_bytes, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct lh_sha256 *sum = lh_sha256_new();
    int64_t offset = 0;
    size_t count = 0;
    char *buffer = malloc(FILE_STEP_BYTES);
    if (!buffer) {
        code = lh_fail(err, LH_BUSY, "There is no memory left to check a file.");
        goto out;
    }
    do {
        code = lh_cancel_fail(cancel, "Checking a file", err);
        if (!code)
            code = lh_file_read_at(fd, buffer, FILE_STEP_BYTES, offset, &count, err);
        if (code)
            goto out;
        lh_sha256_add(sum, buffer, count);
        offset += (int64_t)count;
    } while (count == FILE_STEP_BYTES);
    lh_sha256_finish(sum, ret);
    if (ret_bytes)
        *ret_bytes = offset;
out:
    free(buffer);
    lh_sha256_free(sum);
    return code;
}

enum lh_code lh_upload_sum(struct lh_upload *upload, const struct lh_cancel *cancel,
                           struct lh_error *err)
{
    static const uint8_t none[LH_SHA256_BYTES];
    int fd = -1;
    if (lh_str_empty(upload->path) || memcmp(upload->sha256, none, sizeof none) != 0)
        return LH_OK;
    enum lh_code code = lh_file_open_path(upload->path, &fd, err);
    if (!code)
        code = lh_sha256_of_file(fd, cancel, upload->sha256, &upload->bytes, err);
    lh_file_abandon(fd);
    return code;
}

void lh_hex(const uint8_t *bytes, size_t count, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *ret++ = digits[bytes[i] >> 4];
        *ret++ = digits[bytes[i] & 15];
    }
    *ret = '\0';
}

static int digit_of(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

bool lh_hex_parse(struct lh_str hex, uint8_t *ret, size_t count)
{
    if (hex.len != count * 2)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        if (digit_of(hex.data[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < count; i++)
        ret[i] = (uint8_t)((unsigned)digit_of(hex.data[2 * i]) << 4 |
                           (unsigned)digit_of(hex.data[2 * i + 1]));
    return true;
}

/* Eight tables, eight bytes a step: table k holds the sum of a byte followed by k zero bytes. About
 * 2 GB/s without any processor's special instruction, and the sums here guard records of a few KB.
 */
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;
static uint32_t crc_tables[8][256];

static void make_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t sum = i;
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ 0x82f63b78U : sum >> 1;
        crc_tables[0][i] = sum;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            uint32_t before = crc_tables[k - 1][i];
            crc_tables[k][i] = before >> 8 ^ crc_tables[0][before & 255];
        }
    }
}

uint32_t lh_crc32c(uint32_t start, const void *bytes, size_t count)
{
    pthread_once(&crc_once, make_crc_tables);
    const uint8_t *next = bytes;
    uint32_t sum = ~start;
    for (; count >= 8; count -= 8, next += 8) {
        sum ^= (uint32_t)next[0] | (uint32_t)next[1] << 8 | (uint32_t)next[2] << 16 |
               (uint32_t)next[3] << 24;
        sum = crc_tables[7][sum & 255] ^ crc_tables[6][sum >> 8 & 255] ^
              crc_tables[5][sum >> 16 & 255] ^ crc_tables[4][sum >> 24] ^ crc_tables[3][next[4]] ^
              crc_tables[2][next[5]] ^ crc_tables[1][next[6]] ^ crc_tables[0][next[7]];
    }
    for (; count; count--, next++)
        sum = sum >> 8 ^ crc_tables[0][(sum ^ *next) & 255];
    return ~sum;
}
