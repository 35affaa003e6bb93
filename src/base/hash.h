/* SHA-256 and its HMAC (OpenSSL), CRC32C, and their hexadecimal forms. */
#ifndef LAKEHOUSE_BASE_HASH_H
#define LAKEHOUSE_BASE_HASH_H

#include "base/cancel.h"
#include "base/field.h"

#define LH_SHA256_BYTES 32
#define LH_SHA256_HEX_BYTES 64

struct lh_sha256; /* a running sum; one thread at a time */

struct lh_sha256 *lh_sha256_new(void); /* never NULL; ended by lh_sha256_free */
void lh_sha256_add(struct lh_sha256 *sum, const void *bytes, size_t count);
void lh_sha256_finish(struct lh_sha256 *sum,
                      uint8_t ret[LH_SHA256_BYTES]); /* may then be used anew */
void lh_sha256_free(struct lh_sha256 *sum);

void lh_sha256_of(struct lh_str bytes, uint8_t ret[LH_SHA256_BYTES]);
/* Sum of everything in an open file, from its start; `cancel` may be NULL. */
enum lh_code lh_sha256_of_file(int fd, const struct lh_cancel *cancel, uint8_t ret[LH_SHA256_BYTES],
                               int64_t *ret_bytes, struct lh_error *err) LH_MUST_USE;
/* Fills in sum and size of a file that was not summed on its way in; `cancel` may be NULL. */
enum lh_code lh_upload_sum(struct lh_upload *upload, const struct lh_cancel *cancel,
                           struct lh_error *err) LH_MUST_USE;

void lh_hmac_sha256(struct lh_str key, struct lh_str bytes, uint8_t ret[LH_SHA256_BYTES]);

void lh_hex(const uint8_t *bytes, size_t count,
            char *ret); /* 2*count characters and NUL, lower case */
bool lh_hex_parse(struct lh_str hex, uint8_t *ret, size_t count);

uint32_t lh_crc32c(uint32_t start, const void *bytes, size_t count); /* Castagnoli; start with 0 */

#endif
