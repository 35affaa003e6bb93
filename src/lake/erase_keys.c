/* The texts of the keys, of any length: whether a text is one, or has one as a word. */
#include <ctype.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/uuid.h"
#include "lake/canaries.h"
#include "lake/erasing_internal.h"

#define NUMBER_BYTES_MIN ((size_t)9) /* of a key of digits, to be searched for in bytes */
#define NORMAL_BYTES_MAX 64

struct erase_keys {
    bool is_loose;
    struct lh_str *items; /* as normal_of says, ascending */
    size_t count;
    struct lh_str *odd; /* short ones that are no single word: as they are, ascending */
    size_t odd_count, odd_bytes_max;
};

/* A short number stands anywhere. */
bool erase_key_is_distinctive(struct lh_str key)
{
    if (key.len < CANARY_BYTES_MIN)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (!strchr("0123456789.+-", key.data[i]))
            return true;
    return key.len >= NUMBER_BYTES_MIN;
}

bool erase_key_is_value(struct lh_str key)
{
    for (size_t i = 0; i < key.len; i++)
        if (isalpha((unsigned char)key.data[i]) && !strchr("TZeE", key.data[i]))
            return false;
    return key.len > 0;
}

static bool is_digits(struct lh_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

static bool is_uuid(struct lh_str text) /* in lower or upper case */
{
    for (size_t i = 0; i < text.len && text.len == LH_UUID_TEXT_BYTES; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? text.data[i] != '-'
                                                    : !isxdigit((unsigned char)text.data[i]))
            return false;
    return text.len == LH_UUID_TEXT_BYTES;
}

/* One spelling of a UUID and, with `is_loose`, of a number: in `room`, or `text` itself. */
static struct lh_str normal_of(struct lh_str text, bool is_loose, char room[NORMAL_BYTES_MAX])
{
    struct lh_str rest = text;
    size_t len = 0;
    if (!text.len || text.len >= NORMAL_BYTES_MAX)
        return text;
    if (is_uuid(text)) {
        for (size_t i = 0; i < text.len; i++)
            room[i] = (char)tolower((unsigned char)text.data[i]);
        return (struct lh_str){room, text.len};
    }
    if (!is_loose)
        return text;
    bool is_negative = rest.data[0] == '-';
    if (is_negative || rest.data[0] == '+')
        rest = lh_str_slice(rest, 1, rest.len - 1);
    struct lh_str whole = lh_str_cut(&rest, '.'), fraction = rest.data ? rest : (struct lh_str){0};
    if (!(whole.len + fraction.len) || !is_digits(whole) || !is_digits(fraction))
        return text;
    while (whole.len && whole.data[0] == '0')
        whole = lh_str_slice(whole, 1, whole.len - 1);
    while (fraction.len && fraction.data[fraction.len - 1] == '0')
        fraction.len--;
    if (is_negative && whole.len + fraction.len)
        room[len++] = '-';
    if (!whole.len)
        room[len++] = '0';
    for (size_t i = 0; i < whole.len; i++)
        room[len++] = whole.data[i];
    if (fraction.len)
        room[len++] = '.';
    for (size_t i = 0; i < fraction.len; i++)
        room[len++] = fraction.data[i];
    return (struct lh_str){room, len};
}

static int compare_texts(const void *a, const void *b)
{
    return lh_str_compare(*(const struct lh_str *)a, *(const struct lh_str *)b);
}

static bool is_word(struct lh_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!canaries_joins(text.data[i]))
            return false;
    return true;
}

struct erase_keys *erase_keys_new(struct lh_str_list texts, bool is_loose, struct lh_arena *arena)
{
    struct erase_keys *keys = lh_arena_alloc(arena, sizeof *keys);
    char room[NORMAL_BYTES_MAX];
    *keys = (struct erase_keys){.is_loose = is_loose, .count = texts.count};
    keys->items = lh_arena_array(arena, texts.count + 1, sizeof *keys->items);
    keys->odd = lh_arena_array(arena, texts.count + 1, sizeof *keys->odd);
    for (size_t i = 0; i < texts.count; i++) {
        struct lh_str text = texts.items[i];
        keys->items[i] = lh_arena_str(arena, normal_of(text, is_loose, room));
        if (!is_word(text) && !erase_key_is_distinctive(text))
            keys->odd[keys->odd_count++] = text;
    }
    for (size_t i = 0; i < keys->odd_count; i++)
        if (keys->odd[i].len > keys->odd_bytes_max)
            keys->odd_bytes_max = keys->odd[i].len;
    if (keys->odd_count)
        qsort(keys->odd, keys->odd_count, sizeof *keys->odd, compare_texts);
    if (keys->count)
        qsort(keys->items, keys->count, sizeof *keys->items, compare_texts);
    return keys;
}

bool erase_keys_has(const struct erase_keys *keys, struct lh_str text)
{
    char room[NORMAL_BYTES_MAX];
    struct lh_str asked = normal_of(text, keys->is_loose, room);
    return text.len && keys->count &&
           bsearch(&asked, keys->items, keys->count, sizeof *keys->items, compare_texts);
}

static bool is_digit(struct lh_str text, size_t at)
{
    return at < text.len && text.data[at] >= '0' && text.data[at] <= '9';
}

/* The run of letters and digits, of digits alone: numbers are in dates, times, UUIDs, decimals and
 * the keys of others, where they are not that number. A decimal is taken as a whole. */
static bool has_number(const struct erase_keys *keys, struct lh_str text, size_t at, size_t end)
{
    char before = at ? text.data[at - 1] : ' ', after = end < text.len ? text.data[end] : ' ';
    if ((before == '.' || before == ':' || before == '_') && at > 1 && is_digit(text, at - 2))
        return false;
    if ((after == ':' || after == '_') && is_digit(text, end + 1))
        return false;
    if (before == '-' && at > 1 && canaries_joins(text.data[at - 2]))
        return false;
    if (after == '-' && end + 1 < text.len && canaries_joins(text.data[end + 1]))
        return false;
    if (after == '.' && is_digit(text, end + 1)) {
        for (end++; is_digit(text, end);)
            end++;
        if (end < text.len &&
            (canaries_joins(text.data[end]) || (text.data[end] == '.' && is_digit(text, end + 1))))
            return false;
    }
    at -= before == '-';
    return erase_keys_has(keys, lh_str_slice(text, at, end - at));
}

/* One that begins here, with other bytes than letters and digits in it. */
static bool has_odd(const struct erase_keys *keys, struct lh_str text, size_t at)
{
    for (size_t len = 1; len <= keys->odd_bytes_max && at + len <= text.len; len++) {
        struct lh_str asked = lh_str_slice(text, at, len);
        if (canaries_is_word(text, at, len) &&
            bsearch(&asked, keys->odd, keys->odd_count, sizeof *keys->odd, compare_texts))
            return true;
    }
    return false;
}

/* From one byte that ends a word to the next; a UUID is found in whichever case. */
static bool has_word(const struct erase_keys *keys, struct lh_str text, size_t at, size_t end)
{
    struct lh_str word = lh_str_slice(text, at, end - at);
    size_t whole = at + LH_UUID_TEXT_BYTES;
    if (whole <= text.len && is_uuid(lh_str_slice(text, at, LH_UUID_TEXT_BYTES)) &&
        canaries_is_word(text, at, LH_UUID_TEXT_BYTES) &&
        erase_keys_has(keys, lh_str_slice(text, at, LH_UUID_TEXT_BYTES)))
        return true;
    return is_digits(word) ? has_number(keys, text, at, end) : erase_keys_has(keys, word);
}

bool erase_keys_in(const struct erase_keys *keys, struct lh_str text)
{
    for (size_t at = 0; at < text.len; at++) {
        size_t end = at;
        if (keys->odd_count && has_odd(keys, text, at))
            return true;
        if (!canaries_joins(text.data[at]) || !canaries_begins_word(text, at))
            continue;
        while (end < text.len && canaries_joins(text.data[end]))
            end++;
        if (has_word(keys, text, at, end))
            return true;
    }
    return false;
}

struct lh_str_list erase_keys_of(const json_t *values, struct lh_arena *arena)
{
    size_t at = 0, count = 0;
    const json_t *value = NULL;
    struct lh_str *texts = lh_arena_array(arena, json_array_size(values) + 1, sizeof *texts);
    json_array_foreach(values, at, value)
    {
        if (json_is_string(value)) {
            texts[count++] = lh_json_text(value);
        } else if (!json_is_null(value)) {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            texts[count++] = lh_arena_str(arena, lh_str_of(text));
            free(text);
        }
    }
    return (struct lh_str_list){texts, count};
}

static struct lh_str in_case(struct lh_str text, int (*change)(int byte), struct lh_arena *arena)
{
    char *bytes = lh_arena_array(arena, text.len + 1, 1);
    for (size_t i = 0; i < text.len; i++)
        bytes[i] = (char)change((unsigned char)text.data[i]);
    return (struct lh_str){bytes, text.len};
}

struct lh_str_list erase_keys_join(const struct lh_str_list *lists, size_t count,
                                   struct lh_arena *arena)
{
    size_t most = 0, all = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        most += 3 * lists[i].count;
    struct lh_str *texts = lh_arena_array(arena, most + 1, sizeof *texts);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < lists[i].count; k++) {
            struct lh_str text = lists[i].items[k];
            texts[all++] = text;
            if (is_uuid(text)) {
                texts[all++] = in_case(text, toupper, arena);
                texts[all++] = in_case(text, tolower, arena);
            }
        }
    if (all)
        qsort(texts, all, sizeof *texts, compare_texts);
    for (size_t i = 0; i < all; i++)
        if (!kept || !lh_str_equal(texts[kept - 1], texts[i]))
            texts[kept++] = texts[i];
    return (struct lh_str_list){texts, kept};
}
