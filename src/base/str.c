#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Longest text of a number that is looked at, and longest name that is compared by distance. */
#define NUMBER_BYTES_MAX 512
#define DISTANCE_BYTES_MAX 64

static unsigned char fold(char character)
{
    unsigned char byte = (unsigned char)character;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 32) : byte;
}

bool lh_str_equal(struct lh_str a, struct lh_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool lh_str_equal_nocase(struct lh_str a, struct lh_str b)
{
    return a.len == b.len && lh_str_compare_nocase(a, b) == 0;
}

int lh_str_compare(struct lh_str a, struct lh_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

int lh_str_compare_nocase(struct lh_str a, struct lh_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < common; i++) {
        int order = (int)fold(a.data[i]) - (int)fold(b.data[i]);
        if (order)
            return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool lh_str_starts_with(struct lh_str str, struct lh_str prefix)
{
    return str.len >= prefix.len && lh_str_equal(lh_str_slice(str, 0, prefix.len), prefix);
}

bool lh_str_ends_with(struct lh_str str, struct lh_str suffix)
{
    return str.len >= suffix.len &&
           lh_str_equal(lh_str_slice(str, str.len - suffix.len, suffix.len), suffix);
}

bool lh_str_find(struct lh_str str, struct lh_str part, size_t *ret_at)
{
    if (part.len == 0) {
        *ret_at = 0;
        return true;
    }
    const char *at = str.len ? memmem(str.data, str.len, part.data, part.len) : NULL;
    if (!at)
        return false;
    *ret_at = (size_t)(at - str.data);
    return true;
}

struct lh_str lh_str_slice(struct lh_str str, size_t from, size_t len)
{
    if (!str.data)
        return str;
    if (from > str.len)
        from = str.len;
    if (len > str.len - from)
        len = str.len - from;
    return (struct lh_str){str.data + from, len};
}

static bool is_space(char character)
{
    return character == ' ' || (character >= '\t' && character <= '\r');
}

struct lh_str lh_str_trim(struct lh_str str)
{
    while (str.len && is_space(str.data[0])) {
        str.data++;
        str.len--;
    }
    while (str.len && is_space(str.data[str.len - 1]))
        str.len--;
    return str;
}

struct lh_str lh_str_cut(struct lh_str *rest, char separator)
{
    struct lh_str all = *rest;
    const char *at = all.len ? memchr(all.data, separator, all.len) : NULL;
    if (!at) {
        *rest = (struct lh_str){NULL, 0};
        return all;
    }
    size_t before = (size_t)(at - all.data);
    *rest = (struct lh_str){at + 1, all.len - before - 1};
    return (struct lh_str){all.data, before};
}

bool lh_str_to_int(struct lh_str str, int64_t *ret)
{
    size_t i = 0;
    bool is_negative = false;
    if (str.len && (str.data[0] == '-' || str.data[0] == '+'))
        is_negative = str.data[i++] == '-';
    if (i == str.len)
        return false;
    /* Counts downwards: the negative range is the larger one. */
    int64_t value = 0;
    for (; i < str.len; i++) {
        if (str.data[i] < '0' || str.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, (int64_t)(str.data[i] - '0'), &value))
            return false;
    }
    if (!is_negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return false;
    *ret = value;
    return true;
}

bool lh_str_to_double(struct lh_str str, double *ret)
{
    char text[NUMBER_BYTES_MAX];
    if (str.len == 0 || str.len >= sizeof text)
        return false;
    for (size_t i = 0; i < str.len; i++) {
        /* strtod alone would also take blanks, hexadecimal, "inf" and "nan". */
        if (!strchr("0123456789+-.eE", str.data[i]) || str.data[i] == 0)
            return false;
    }
    memcpy(text, str.data, str.len);
    text[str.len] = 0;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end != text + str.len || isinf(value))
        return false;
    *ret = value;
    return true;
}

static bool is_tail(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t lh_str_utf8_step(struct lh_str str)
{
    if (str.len == 0)
        return 0;
    const unsigned char *at = (const unsigned char *)str.data;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xC2 || str.len < 2 || !is_tail(at[1]))
        return 0;
    if (at[0] < 0xE0)
        return 2;
    if (at[0] < 0xF0) {
        bool is_overlong = at[0] == 0xE0 && at[1] < 0xA0;
        bool is_surrogate = at[0] == 0xED && at[1] > 0x9F;
        return !is_overlong && !is_surrogate && str.len >= 3 && is_tail(at[2]) ? 3 : 0;
    }
    bool is_overlong = at[0] == 0xF0 && at[1] < 0x90;
    bool is_beyond = at[0] > 0xF4 || (at[0] == 0xF4 && at[1] > 0x8F);
    if (is_overlong || is_beyond || str.len < 4)
        return 0;
    return is_tail(at[2]) && is_tail(at[3]) ? 4 : 0;
}

bool lh_str_is_utf8(struct lh_str str, size_t *ret_bad_at)
{
    size_t i = 0;
    while (i < str.len) {
        uint64_t word;
        if (str.len - i >= sizeof word) {
            memcpy(&word, str.data + i, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t step = lh_str_utf8_step((struct lh_str){str.data + i, str.len - i});
        if (step == 0) {
            if (ret_bad_at)
                *ret_bad_at = i;
            return false;
        }
        i += step;
    }
    return true;
}

struct lh_str lh_str_head(struct lh_str str, size_t max)
{
    if (str.len <= max)
        return str;
    size_t len = max;
    /* A character has at most three bytes after its first; more than that is not UTF-8 and cut
     * anywhere. */
    while (len > 0 && max - len < 3 && is_tail((unsigned char)str.data[len]))
        len--;
    if (is_tail((unsigned char)str.data[len]))
        len = max;
    return (struct lh_str){str.data, len};
}

uint64_t lh_str_hash(struct lh_str str)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < str.len; i++)
        hash = (hash ^ (unsigned char)str.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t lh_str_distance(struct lh_str a, struct lh_str b, size_t limit)
{
    if (a.len > DISTANCE_BYTES_MAX || b.len > DISTANCE_BYTES_MAX)
        return lh_str_equal_nocase(a, b) ? 0 : limit + 1;
    /* Three rows of the table: two above, one above, this one. A transposition looks two rows up.
     */
    size_t rows[3][DISTANCE_BYTES_MAX + 1] = {{0}};
    size_t *above2 = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *spare = above2;
        above2 = above;
        above = row;
        row = spare;
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned char left = fold(a.data[i - 1]), right = fold(b.data[j - 1]);
            size_t cost = above[j - 1] + (left != right);
            cost = least(cost, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && left == fold(b.data[j - 2]) && right == fold(a.data[i - 2]))
                cost = least(cost, above2[j - 2] + 1);
            row[j] = cost;
        }
    }
    return least(row[b.len], limit + 1);
}

struct lh_str lh_str_nearest(struct lh_str name, const struct lh_str *names, size_t count)
{
    struct lh_str nearest = {NULL, 0};
    size_t limit = (name.len + 2) / 3;
    for (size_t i = 0; i < count; i++) {
        size_t distance = lh_str_distance(name, names[i], limit);
        /* A name of which nothing is left is no suggestion. */
        if (distance <= limit && distance < names[i].len) {
            nearest = names[i];
            if (distance == 0)
                break;
            limit = distance - 1;
        }
    }
    return nearest;
}
