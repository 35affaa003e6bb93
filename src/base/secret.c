#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void lh_random_bytes(void *ret, size_t count)
{
    unsigned char *bytes = ret;
    while (count > 0) {
        ssize_t got = getrandom(bytes, count, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fprintf(stderr, "lakehouse: the system gives no random bytes\n");
            abort();
        }
        bytes += got;
        count -= (size_t)got;
    }
}

bool lh_secret_equal(const void *a, const void *b, size_t count)
{
    return CRYPTO_memcmp(a, b, count) == 0;
}

void lh_wipe(void *bytes, size_t count)
{
    OPENSSL_cleanse(bytes, count);
}
