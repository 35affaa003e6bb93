/* Lists of numbers, read from the text without a tree: a value of jansson costs more than its
 * digits.
 *
 * Whatever is not plainly right here (another value among the numbers, a comma too much, a number
 * that no float holds) is left to jansson: it has the words for it, or knows better. */
#include <math.h>

#include "base/json_internal.h"
#include "base/shortest.h"

#define DIGITS_MAX 18    /* whole numbers below 10^18 fit int64_t, which is the door's limit */
#define EXACT_POWER 22   /* 10^22 is the highest power of ten that a double holds */
#define EXPONENT_MAX 400 /* from it on jansson reads them */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

size_t json_skip_spaces(struct lh_str text, size_t at)
{
    while (at < text.len && (text.data[at] == ' ' || text.data[at] == '\n' ||
                             text.data[at] == '\r' || text.data[at] == '\t'))
        at++;
    return at;
}

/* A number as it is written: ±whole × 10^exponent, unless there are more digits than fit. */
struct decimal {
    uint64_t whole;
    int digits; /* of `whole`, zeros in front not counted */
    int exponent;
    bool is_negative, is_real;
};

#define REPEAT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The value of eight digits, each a byte from 0 to 9, the first one in the lowest. Neighbours are
 * joined three times, all pairs of a step at once. */
static uint64_t join_eight(uint64_t digits)
{
    const uint64_t mask = UINT64_C(0x000000FF000000FF);
    digits = digits * 10 + (digits >> 8);
    return ((digits & mask) * (UINT64_C(1000000) << 32 | 100) +
            (digits >> 16 & mask) * (UINT64_C(10000) << 32 | 1)) >>
           32;
}

/* Adds digits to a decimal: `count` of them, `value` together, of which those behind zeros in front
 * are `significant`. */
static void add_digits(struct decimal *decimal, unsigned count, uint64_t value, int significant)
{
    static const uint64_t powers[9] = {1,      10,      100,      1000,     10000,
                                       100000, 1000000, 10000000, 100000000};
    decimal->digits += decimal->digits ? (int)count : significant;
    if (decimal->digits <= DIGITS_MAX)
        decimal->whole = decimal->whole * powers[count] + value;
}

/* Digits from `at` on, eight at a time while there is room to read them: how many they are misleads
 * the processor at nearly every number. Returns where they end. */
static size_t read_digits(struct lh_str text, size_t at, struct decimal *decimal)
{
    while (text.len - at >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        /* The lowest mark is at the first byte that is no digit: nothing below it carries. */
        uint64_t marks = ((word + REPEAT(0x46)) | (word - REPEAT('0'))) & REPEAT(0x80);
        unsigned count = marks ? (unsigned)__builtin_ctzll(marks) / 8 : 8;
        if (!count)
            return at;
        word = (word - REPEAT('0')) << (64 - 8 * count);
        int leading = word ? __builtin_ctzll(word) / 8 : 8;
        add_digits(decimal, count, join_eight(word), 8 - leading);
        at += count;
        if (marks)
            return at;
    }
    for (; at < text.len && is_digit(text.data[at]); at++)
        add_digits(decimal, 1, (uint64_t)(text.data[at] - '0'), text.data[at] != '0');
    return at;
}

/* Returns where the exponent ends; `at` itself: it is none, or for jansson. */
static size_t read_exponent(struct lh_str text, size_t at, struct decimal *decimal)
{
    size_t from = at + 1;
    int exponent = 0;
    bool is_negative = from < text.len && text.data[from] == '-';
    if (from < text.len && (text.data[from] == '-' || text.data[from] == '+'))
        from++;
    size_t end = from;
    for (; end < text.len && is_digit(text.data[end]); end++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (text.data[end] - '0');
    decimal->exponent += is_negative ? -exponent : exponent;
    bool is_plain = exponent < EXPONENT_MAX || !decimal->digits;
    return end > from && is_plain ? end : at;
}

/* By the grammar of JSON. Returns where it ends; `at`: there is no number. */
static size_t read_decimal(struct lh_str text, size_t at, struct decimal *ret)
{
    struct decimal decimal = {0};
    size_t from = at;
    decimal.is_negative = from < text.len && text.data[from] == '-';
    from += decimal.is_negative;
    size_t end = read_digits(text, from, &decimal);
    if (end == from || (text.data[from] == '0' && end > from + 1))
        return at;
    if (end < text.len && text.data[end] == '.') {
        size_t point = end;
        decimal.is_real = true;
        end = read_digits(text, point + 1, &decimal);
        if (end == point + 1)
            return at;
        decimal.exponent = -(int)(end - point - 1);
    }
    if (end < text.len && (text.data[end] == 'e' || text.data[end] == 'E')) {
        size_t letter = end;
        decimal.is_real = true;
        end = read_exponent(text, letter, &decimal);
        if (end == letter)
            return at;
    }
    *ret = decimal;
    return end;
}

/* The double that is nearest. With both parts exact, one multiplication or division rounds once,
 * which is right (Clinger, "How to read floating point numbers accurately"); else the library
 * reads it. */
static bool to_double(const struct decimal *decimal, struct lh_str text, double *ret)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int exponent = decimal->exponent;
    if (!decimal->is_real) {
        if (decimal->digits > DIGITS_MAX)
            return false;
        *ret = (double)(decimal->is_negative ? -(int64_t)decimal->whole : (int64_t)decimal->whole);
        return true; /* -0 too is a whole number, and has no sign */
    }
    if (decimal->digits > DIGITS_MAX || decimal->whole > UINT64_C(1) << 53 ||
        exponent > EXACT_POWER || exponent < -EXACT_POWER)
        return lh_shortest_read(text.data, text.len, ret);
    double value = (double)decimal->whole;
    value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
    *ret = decimal->is_negative ? -value : value;
    return true;
}

#define CHUNK 64 /* numbers that are handed on together */

/* A list of numbers that begins at `at`, appended to `numbers`. Returns where it ends; `at`: it is
 * no such list, or an empty one. */
static size_t read_list(struct lh_str text, size_t at, struct lh_buf *numbers, size_t *ret_count)
{
    float chunk[CHUNK];
    size_t count = 0, from = at;
    do {
        struct decimal decimal = {0};
        double value = 0;
        from = json_skip_spaces(text, from + 1);
        size_t end = read_decimal(text, from, &decimal);
        if (end == from || !to_double(&decimal, lh_str_slice(text, from, end - from), &value))
            return at;
        chunk[count % CHUNK] = (float)value;
        if (!isfinite(chunk[count % CHUNK]))
            return at;
        if (++count % CHUNK == 0)
            lh_buf_append(numbers, chunk, sizeof chunk);
        from = json_skip_spaces(text, end);
    } while (from < text.len && text.data[from] == ',');
    if (from == text.len || text.data[from] != ']')
        return at;
    lh_buf_append(numbers, chunk, count % CHUNK * sizeof chunk[0]);
    *ret_count = count;
    return from + 1;
}

/* Lists of equally many numbers in a list. */
static size_t read_lists(struct lh_str text, size_t at, struct lh_buf *numbers, size_t *ret_each)
{
    size_t each = 0, from = at;
    do {
        size_t count = 0;
        from = json_skip_spaces(text, from + 1);
        if (from == text.len || text.data[from] != '[')
            return at;
        size_t end = read_list(text, from, numbers, &count);
        if (end == from || (each && count != each))
            return at;
        each = count;
        from = json_skip_spaces(text, end);
    } while (from < text.len && text.data[from] == ',');
    *ret_each = each;
    return from < text.len && text.data[from] == ']' ? from + 1 : at;
}

size_t json_read_numbers(struct lh_str text, size_t at, struct lh_json_list *list,
                         struct lh_arena *arena)
{
    struct lh_buf numbers;
    size_t count = 0;
    /* A number takes two bytes of text at least, with what ends it. */
    lh_buf_init(&numbers, text.len < SIZE_MAX / 4 ? 2 * text.len + sizeof(float) : 0);
    size_t end = list->is_nested ? read_lists(text, at, &numbers, &count)
                                 : read_list(text, at, &numbers, &count);
    float *items = NULL;
    if (end > at && !numbers.is_over)
        items = lh_arena_try(arena, numbers.len);
    if (items) {
        memcpy(items, numbers.data, numbers.len);
        list->numbers = (struct lh_floats){.items = items,
                                           .count = numbers.len / sizeof *items,
                                           .each = list->is_nested ? count : 0};
    }
    lh_buf_release(&numbers);
    return items ? end : at;
}
