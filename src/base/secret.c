#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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

/* --- masking */

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool ends_value(char c)
{
    return c == '\0' || strchr(" \t\r\n&;,'\"`)]}", c) != NULL;
}

/* The length of a key of ours at `at`: also of one that was cut short, or is followed by more. */
static size_t key_length(const char *text, size_t count, size_t at)
{
    size_t end = at + 3;
    if (count - at < 12 || strncasecmp(text + at, "lh_", 3) != 0 || (at && is_word(text[at - 1])))
        return 0;
    while (end < count && is_word(text[end]))
        end++;
    return end - at >= 12 ? end - at : 0;
}

/* How many bytes of a password stand at `at`, just behind the "user:" of an address. */
static size_t password_length(const char *text, size_t count, size_t at)
{
    size_t colon = at, end = at;
    if (!at || text[at - 1] != ':')
        return 0;
    for (colon = at - 1; colon > 0 && !ends_value(text[colon - 1]) && text[colon - 1] != '/';)
        colon--;
    if (colon < 3 || memcmp(text + colon - 3, "://", 3) != 0)
        return 0;
    while (end < count && !ends_value(text[end]) && text[end] != '/' && text[end] != '@')
        end++;
    /* A password may hold what ends it elsewhere: the last '@' of the word counts. */
    for (size_t look = end; look < count && !ends_value(text[look]) && text[look] != '/'; look++)
        if (text[look] == '@')
            end = look;
    return end < count && text[end] == '@' ? end - at : 0;
}

/* How many bytes of a value stand at `at`, just behind "password=" or the like. */
static size_t named_length(const char *text, size_t count, size_t at)
{
    static const char *const names[] = {"password", "passwd", "pwd",    "secret",
                                        "token",    "apikey", "api_key"};
    size_t end = at;
    if (!at || text[at - 1] != '=')
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        if (at - 1 < len || strncasecmp(text + at - 1 - len, names[i], len) != 0)
            continue;
        while (end < count && !ends_value(text[end]))
            end++;
        return end - at;
    }
    return 0;
}

size_t lh_mask_secrets(char *text, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t len = key_length(text, count, at);
        len = len ? len : password_length(text, count, at);
        len = len ? len : named_length(text, count, at);
        if (!len) {
            at++;
            continue;
        }
        size_t stars = len < 3 ? len : 3;
        memset(text + at, '*', stars);
        memmove(text + at + stars, text + at + len, count - at - len);
        count -= len - stars;
        at += stars;
    }
    return count;
}
