/* UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits; ascending within a process. */
#ifndef LAKEHOUSE_BASE_UUID_H
#define LAKEHOUSE_BASE_UUID_H

#include "base/str.h"

#define LH_UUID_TEXT_BYTES 36

struct lh_uuid {
    char text[LH_UUID_TEXT_BYTES + 1]; /* canonical lower-case form, NUL-ended */
};

struct lh_uuid lh_uuid_new(void); /* any thread; ends the process without a random source */
bool lh_uuid_is_valid(struct lh_str text);

static inline struct lh_str lh_uuid_str(const struct lh_uuid *uuid)
{
    return (struct lh_str){uuid->text, LH_UUID_TEXT_BYTES};
}

#endif
