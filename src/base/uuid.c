#include "base/uuid.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/secret.h"

/* What follows the milliseconds: a counter of 22 bits (the 12 of rand_a and the first 10 of
 * rand_b), started at random in its lower half in each millisecond, so that ids ascend within the
 * process; then 52 bits that are fresh each time, so that a forked child, which inherits the
 * counter, does not repeat its parent. */
#define COUNTER_BITS 22
#define TIME_MAX (((uint64_t)1 << 48) - 1)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_ms;
static uint32_t counter;

struct lh_uuid lh_uuid_new(void)
{
    int64_t now = lh_clock_unix_ms();
    uint64_t now_ms = now > 0 ? (uint64_t)now & TIME_MAX : 0;
    uint64_t random[2];
    lh_random_bytes(random, sizeof random);
    uint64_t start = random[0], tail = random[1];

    pthread_mutex_lock(&mutex);
    if (now_ms > last_ms) {
        last_ms = now_ms;
        counter = (uint32_t)(start & ((1U << (COUNTER_BITS - 1)) - 1));
    } else if (++counter >> COUNTER_BITS) {
        last_ms++; /* a little ahead of the clock rather than out of order */
        counter = 0;
    }
    uint64_t time_ms = last_ms;
    uint64_t count = counter;
    pthread_mutex_unlock(&mutex);

    uint64_t high = time_ms << 16 | 0x7000 | count >> 10;
    uint64_t low = (uint64_t)2 << 62 | (count & 0x3ff) << 52 | tail >> 12;
    struct lh_uuid uuid;
    snprintf(uuid.text, sizeof uuid.text, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
             (unsigned long long)(low & 0xffffffffffffU));
    return uuid;
}

bool lh_uuid_is_valid(struct lh_str text)
{
    if (text.len != LH_UUID_TEXT_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char character = text.data[i];
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_hex =
            (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f');
        if (is_dash ? character != '-' : !is_hex)
            return false;
    }
    return true;
}
